//! The page that `--trace FILE.html` writes, looked at in a browser: whole, readable, and in need of nothing else.

mod common;

use std::process::Command;

use common::{Story, json};
use serde_json::Value;

/// Debian's browsers without a window, the small one first.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "chromium", "chromium-browser"];

/// Looks at the page from inside, and leaves what it finds in the document's title.
const LOOK: &str = r#"<script>
const all = name => [...document.querySelectorAll(name)];
const arrows = all("svg a"), svgs = all("svg");
const box = e => e.getBoundingClientRect(), inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
const texts = all("svg text").map(box);
const overlaps = texts.filter((a, i) => texts.some((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length;
const opens = arrows.every(a => { location.hash = a.getAttribute("href"); const e = document.querySelector(a.getAttribute("href")); return e && e.closest("details"); });
const outside = svgs.flatMap(svg => [...svg.querySelectorAll("text,line:not(.life)")].filter(e => !inside(box(e), box(svg)))).length;
const ids = all("[id]").map(e => e.id);
const colour = e => getComputedStyle(e).color;
document.title = JSON.stringify({
  arrows: arrows.map(a => a.querySelector("text").textContent),
  outside, overlaps, opens, unique: new Set(ids).size == ids.length,
  details: [...document.querySelectorAll("details")].map(d => d.querySelector("pre").textContent.length),
  saves: [...document.querySelectorAll("details a[download]")].map(a => a.href.slice(0, 40)),
  wide: document.documentElement.scrollWidth > innerWidth,
  loaded: performance.getEntriesByType("resource").map(e => e.name),
  scripts: document.scripts.length, images: document.images.length,
  heading: document.querySelector("h1").textContent, outcome: document.querySelector(".outcome").textContent,
  conversations: all("h2.identity").map(e => [e.textContent, e.nextElementSibling.textContent, e.nextElementSibling.nextElementSibling.tagName]),
  outcomeColour: colour(document.querySelector(".outcome")), paper: getComputedStyle(document.body).backgroundColor,
  parts: ["svg", "details", "pre", "style"].map(name => document.getElementsByTagName(name).length)
});
</script>"#;

fn browser() -> Option<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|done| done.status.success());
    BROWSERS.iter().copied().find(is_there)
}

/// The page as the browser has it, a screen of this width.
fn look(browser: &str, story: &Story, page: &str, width: u32) -> Value {
    let text = std::fs::read_to_string(page).unwrap();
    let copy = story.path("looked.html");
    std::fs::write(&copy, text.replace("</html>", &format!("{LOOK}</html>"))).unwrap();
    let done = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
        .args([
            format!("--window-size={width},900"),
            format!("--user-data-dir={}", story.path("browser")),
            format!("file://{copy}"),
        ])
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&done.stdout);
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    let title = title.unwrap_or_else(|| panic!("no page: {dom}\n{}", String::from_utf8_lossy(&done.stderr)));
    json(&title.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

fn check(seen: &Value, messages: usize) {
    let count = |name: &str| seen[name].as_array().map_or(0, Vec::len);
    assert_eq!((count("arrows"), count("details"), count("saves")), (messages, messages, messages), "{seen}");
    assert!(seen["details"].as_array().unwrap().iter().all(|length| length.as_u64() > Some(100)), "opened: {seen}");
    assert_eq!((&seen["outside"], &seen["overlaps"]), (&Value::from(0), &Value::from(0)), "{seen}");
    assert_eq!(seen["unique"], true, "{seen}");
    assert_eq!((&seen["opens"], &seen["wide"]), (&Value::from(true), &Value::from(false)), "{seen}");
    // The one script is this test's own.
    assert_eq!((count("loaded"), seen["scripts"].as_u64(), seen["images"].as_u64()), (0, Some(1), Some(0)), "{seen}");
    assert_ne!(seen["outcomeColour"], seen["paper"]);
}

#[test]
fn a_trace_is_one_page_that_a_browser_shows_whole() {
    let Some(browser) = browser() else {
        return left_out::left_out("no browser to look at the page of --trace (chromium-headless-shell)");
    };
    let story = Story::new("page");
    story.init_with_secret();
    let page = story.path("trace.html");
    story.good(&["enroll", "--trace", &page]);
    for width in [1200, 400] {
        let seen = look(browser, &story, &page, width);
        check(&seen, 4);
        let titles = seen["arrows"].to_string();
        assert!(
            ["ir", "ip", "certConf", "pkiconf"].iter().all(|body| titles.contains(&format!("\"{body}\""))),
            "{titles}"
        );
        assert_eq!((&seen["heading"], &seen["outcome"]), (&Value::from("devid enroll"), &Value::from("done")));
    }

    // What others say is shown as words; the failure stands at the end, for all to see.
    let story = Story::new("page-bad");
    story.init_with_secret();
    story.knob("status", "2");
    story.knob("text", "<img src=x onerror=alert(1)></pre><script>document.title='owned'</script>");
    let page = story.path("trace.html");
    let failed = story.run(&["enroll", "--trace", &page]);
    assert_eq!(failed.status.code(), Some(6), "{}", String::from_utf8_lossy(&failed.stderr));
    let seen = look(browser, &story, &page, 1200);
    check(&seen, 2);
    assert!(seen["outcome"].as_str().unwrap().contains("REJECTED"), "{seen}");
}

/// Three identities: nothing is due for the first, the second one enrols, nobody says who the third is.
fn three(name: &str) -> Story {
    let story = Story::new(name);
    story.init_with_secret();
    story.good(&["enroll"]);
    story.set("[identity.second]\nsubject = \"CN=second\"\n[identity.third]\npurpose = \"x\"");
    story
}

#[test]
fn a_trace_of_several_identities_is_one_page_with_each_conversation_under_its_name() {
    let story = three("page-three");
    let page = story.path("trace.html");
    let (status, words) = story.bad(&["keep", "--trace", &page]);
    assert!(status == 2 && words.contains("third"), "{words}");
    let Some(browser) = browser() else {
        return left_out::left_out("no browser to look at the page of --trace (chromium-headless-shell)");
    };
    for width in [1200, 400] {
        let seen = look(browser, &story, &page, width);
        check(&seen, 4);
        let told = seen["conversations"].as_array().unwrap();
        let wanted = [("device", "done", "P"), ("second", "done", "svg"), ("third", "INVALID_ARGUMENT", "P")];
        assert_eq!(told.len(), wanted.len(), "{seen}");
        for (told, (name, outcome, then)) in told.iter().zip(wanted) {
            assert_eq!((&told[0], &told[2]), (&Value::from(format!("Identity {name}")), &Value::from(then)), "{seen}");
            assert!(told[1].as_str().unwrap().starts_with(outcome), "{seen}");
        }
    }
}

#[test]
fn lines_and_diagrams_of_several_identities_have_each_of_them_too() {
    let story = three("page-three-lines");
    let (lines, folder) = (story.path("trace.jsonl"), story.path("messages"));
    story.bad(&["keep", "--trace", &lines]);
    let lines: Vec<Value> = std::fs::read_to_string(lines).unwrap().lines().map(json).collect();
    let of = |name: &str, event: &str| {
        lines.iter().filter(|line| line["identity"] == name && line["event"] == event).cloned().collect::<Vec<_>>()
    };
    assert_eq!([of("device", "sent").len(), of("second", "sent").len(), of("third", "sent").len()], [0, 2, 0]);
    for (name, is_good) in [("device", true), ("second", true), ("third", false)] {
        let [end] = &of(name, "end")[..] else { panic!("{lines:?}") };
        assert_eq!(end["error"].is_null(), is_good, "{end}");
    }
    let text = story.path("trace.txt");
    story.bad(&["keep", "--trace", &text]);
    let text = std::fs::read_to_string(text).unwrap();
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(at("identity device") < at("identity second") && at("identity third") < at("INVALID_ARGUMENT"), "{text}");
    // A folder is numbered on over all of them.
    story.set("[identity.fourth]\nsubject = \"CN=fourth\"\n[identity.fifth]\nsubject = \"CN=fifth\"");
    story.bad(&["keep", "--trace", &folder]);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 8);
}

use devid_test_support::left_out;
