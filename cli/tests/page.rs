//! The page that `--trace FILE.html` writes, looked at in a browser: whole, readable, and in need of nothing else.

mod common;

use std::process::Command;

use common::{Story, json};
use serde_json::Value;

/// Debian's browsers without a window, the small one first.
const BROWSERS: [&str; 3] = ["chromium-headless-shell", "chromium", "chromium-browser"];

/// Looks at the page from inside, and leaves what it finds in the document's title.
const LOOK: &str = r#"<script>
const arrows = [...document.querySelectorAll("svg a")], svg = document.querySelector("svg");
const box = e => e.getBoundingClientRect(), inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
const texts = [...svg.querySelectorAll("text")].map(box);
const overlaps = texts.filter((a, i) => texts.some((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length;
const opens = arrows.every(a => { location.hash = a.getAttribute("href"); const e = document.querySelector(a.getAttribute("href")); return e && e.closest("details"); });
const colour = e => getComputedStyle(e).color;
document.title = JSON.stringify({
  arrows: arrows.map(a => a.querySelector("text").textContent),
  outside: [...svg.querySelectorAll("text,line:not(.life)")].filter(e => !inside(box(e), box(svg))).length,
  overlaps, opens,
  details: [...document.querySelectorAll("details")].map(d => d.querySelector("pre").textContent.length),
  saves: [...document.querySelectorAll("details a[download]")].map(a => a.href.slice(0, 40)),
  wide: document.documentElement.scrollWidth > innerWidth,
  loaded: performance.getEntriesByType("resource").map(e => e.name),
  scripts: document.scripts.length, images: document.images.length,
  heading: document.querySelector("h1").textContent, outcome: document.querySelector('#outcome').textContent,
  outcomeColour: colour(document.querySelector('#outcome')), paper: getComputedStyle(document.body).backgroundColor,
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

use devid_test_support::left_out;
