//! Guards of the house's rules that no compiler checks.

mod circles;
mod names;
mod no_std;
mod settings;
mod source;
mod sources;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::{Texts, code_of};

/// Rooms from the ground up. A room may use rooms with a smaller number only; equal numbers do not know each other.
const FLOORS: [(&str, u8); 9] = [
    ("asn1", 1),
    ("inspect", 2),
    ("crypto", 2),
    ("cms", 3),
    ("validation", 4),
    ("cmp", 5),
    ("transport", 6),
    ("store", 6),
    ("client", 7),
];

/// What every room may use: it knows nothing of any of them.
const GROUND: [&str; 14] = [
    "codes", "defaults", "error", "features", "files", "limits", "order", "phase", "prelude", "sorted", "sync", "time",
    "words", "Code",
];

/// Steps upwards that are accepted, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 1] =
    [("asn1", "crypto", "algorithm names and their identifiers are one table, read by both floors")];

#[test]
fn lower_rooms_never_look_up() {
    let violations = steps_upwards(Path::new("src"));
    assert!(violations.is_empty(), "steps in the wrong direction:\n{}", violations.join("\n"));
}

/// However they are written: by `crate::`, by `super::`, in braces, by a name of the crate's own front door.
fn steps_upwards(root: &Path) -> Vec<String> {
    let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
    let mut violations = Vec::new();
    for (file, used) in circles::rooms_used(root, &rust_files(root)) {
        let below = file.strip_prefix(root).unwrap();
        let Some(room) = below.components().next().filter(|_| below.components().count() > 1) else { continue };
        let room = room.as_os_str().to_str().unwrap();
        let floor = floors[room];
        for used in used.iter().map(String::as_str).filter(|used| *used != room) {
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == room && *to == used);
            match floors.get(used) {
                Some(other) if *other >= floor && !excepted => {
                    violations.push(format!("{}: {room} uses {used}", file.display()));
                }
                None if !GROUND.contains(&used) && used.chars().all(char::is_lowercase) => {
                    violations.push(format!("{}: {used} is no room of the map", file.display()));
                }
                _ => {}
            }
        }
    }
    violations
}

#[test]
fn a_step_upwards_is_seen_however_it_is_written() {
    let folder = std::env::temp_dir().join(format!("devid-steps-{}", std::process::id()));
    let write = |name: &str, code: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, code).unwrap();
    };
    write("lib.rs", "pub mod store;\npub mod transport;\npub mod time;\npub use transport::Url as Address;\n");
    write("time.rs", "pub struct Time;\n");
    write("transport/mod.rs", "mod url;\npub use url::Url;\n");
    write("transport/url.rs", "pub struct Url;\n");
    let cases = [
        ("fn f(_: &crate::transport::Url) {}", true),
        ("fn f(_: &super::super::transport::Url) {}", true),
        ("use crate::{time, transport::Url};\nfn f(_: &Url) {}", true),
        ("use crate::{\n    time::Time,\n    transport,\n};\nfn f(_: &transport::Url) {}", true),
        ("fn f(_: &crate::Address) {}", true),
        ("use super::super::Address;\nfn f(_: &Address) {}", true),
        ("#[cfg(test)]\nmod tests {\n    use crate::time::Time;\n}\nuse crate::transport::Url;", true),
        ("fn f() -> String { format!(\"a \\\n b {}\", crate::transport::Url) }", true),
        (
            "use crate::time::Time;\n/// As [`crate::transport::Url`].\nfn f(_: &Time) -> &str { \"crate::transport\" }",
            false,
        ),
        ("#[cfg(test)]\nmod tests {\n    use crate::transport::Url;\n}", false),
    ];
    let mut wrong = Vec::new();
    for (code, is_upwards) in cases {
        write("store/mod.rs", "mod record;\n");
        write("store/record.rs", code);
        if steps_upwards(&folder).is_empty() == is_upwards {
            wrong.push(code);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(wrong.is_empty(), "judged wrongly: {wrong:#?}");
}

/// What a file uses is read in it.
#[test]
fn names_are_brought_in_by_their_names() {
    let root = Path::new("src");
    let found = circles::brought_unnamed(root, &rust_files(root));
    assert!(found.is_empty(), "a glob hides what is used:\n{}", found.join("\n"));
}

#[test]
fn every_room_is_on_the_map() {
    let mut rooms: Vec<String> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    rooms.retain(|room| FLOORS.iter().all(|(name, _)| name != room));
    assert!(rooms.is_empty(), "folders in src/ that tests/architecture does not know: {rooms:?}");
}

/// The compiler refuses `unsafe` below the C face, and the C face is given nothing that other programs are not given.
#[test]
fn the_library_forbids_unsafe_code_and_exports_no_symbol() {
    assert!(fs::read_to_string("src/lib.rs").unwrap().contains("\n#![forbid(unsafe_code)]\n"));
    for file in all_rust_files(Path::new("src")) {
        for (number, line) in code_lines(&file) {
            let found = ["no_mangle", "export_name", "extern \"C\""].iter().any(|word| line.contains(word));
            assert!(!found, "{}:{number}: a symbol for C outside bindings/c", file.display());
        }
    }
}

/// The engine is told the time, handed its randomness and carried its bytes.
#[test]
fn the_operation_has_no_clock_no_socket_no_thread_and_no_environment() {
    const FORBIDDEN: [&str; 10] = [
        "SystemTime",
        "Instant",
        "TcpStream",
        "UdpSocket",
        "ToSocketAddrs",
        "std::thread",
        "std::env",
        "std::fs",
        "println!",
        "eprintln!",
    ];
    for room in ["asn1", "crypto", "cms", "validation", "cmp"] {
        for file in rust_files(&Path::new("src").join(room)) {
            for (number, line) in code_lines(&file) {
                for word in FORBIDDEN {
                    assert!(!line.contains(word), "{}:{number}: {word} in {room}", file.display());
                }
            }
        }
    }
}

/// AWS-LC's build takes "s" and "z" for a wish to do without its assembly language for P-256.
#[test]
fn no_build_for_size_slows_aws_lc_down() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let profiles: Vec<&str> = manifest.split("\n[profile.").skip(1).collect();
    let level = |profile: &str| -> Option<String> {
        let found = profiles.iter().find_map(|text| text.strip_prefix(&format!("{profile}]")))?;
        found.lines().find_map(|line| line.strip_prefix("opt-level = ")).map(str::to_owned)
    };
    for profile in ["release", "small"] {
        assert!(level(profile).is_some_and(|level| level.starts_with('"')), "{profile} is built for size");
        let its_own = level(&format!("{profile}.package.aws-lc-sys"));
        assert!(
            its_own.is_some_and(|level| ["2", "3"].contains(&&*level)),
            "{profile}: aws-lc-sys needs a level of its own"
        );
    }
}

/// Each sort of the standard library is kilobytes for every type and comparison; one is compiled, behind `order`.
#[test]
fn things_are_put_in_order_by_one_door() {
    for file in all_rust_files(Path::new("src")).into_iter().filter(|file| !file.ends_with("src/order.rs")) {
        for (number, line) in code_lines(&file) {
            let sorts = [".sort(", ".sort_by", ".sort_unstable"].iter().any(|word| line.contains(word));
            assert!(!sorts, "{}:{number}: things are put in order by crate::order", file.display());
        }
    }
}

/// One key has several SubjectPublicKeyInfos, and whoever certifies it once more chooses among them: whose key it is, is asked of its
/// identity, never of the bytes.
#[test]
fn keys_are_compared_by_their_identity() {
    // What was checked with which bytes: an RSA key's label decides which signatures it verifies.
    const BY_BYTES: [(&str, &str); 2] =
        [("signed.rs", "*c.spki == *spki"), ("judged.rs", "n.certificate.spki() == spki")];
    for folder in ["src/validation", "src/client/status"] {
        for file in rust_files(Path::new(folder)) {
            let excepted =
                |line: &str| BY_BYTES.iter().any(|(name, words)| file.ends_with(name) && line.contains(words));
            for (number, line) in code_lines(&file) {
                let compares = ["==", "!=", ".contains("].iter().any(|word| line.contains(word));
                // With the identity beside it, whether this is the usual form is asked.
                let is_of_bytes = line.contains("spki") && !line.contains("as_spki()");
                let by_bytes = compares && is_of_bytes && !excepted(&line);
                assert!(!by_bytes, "{}:{number}: keys are compared by crypto::KeyIdentity", file.display());
            }
        }
    }
}

/// Pages that map duties and attacks to tests; a test that is renamed or removed must not stay on a map. With each the
/// least number of tests it names.
const MAPS_OF_TESTS: [(&str, usize); 3] =
    [("docs/requirements.md", 80), ("docs/attacks.md", 30), ("docs/threat-model.md", 60)];

#[test]
fn every_test_that_a_map_names_exists() {
    let mut defined: BTreeSet<String> = BTreeSet::new();
    for folder in ["src", "tests", "testca"] {
        for file in all_rust_files(Path::new(folder)) {
            defined.extend(tests_of(&fs::read_to_string(file).unwrap(), "rs"));
        }
    }
    for (folder, ending) in [("tests/c", "c"), ("bindings/python/tests", "py")] {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|found| found == ending)) {
            defined.extend(tests_of(&fs::read_to_string(file).unwrap(), ending));
        }
    }
    let exists = |name: &str| defined.contains(name);
    let is_test_name = |word: &&str| word.matches('_').count() >= 2 && !word.contains(['/', '.', ':', ' ']);
    for (page, least) in MAPS_OF_TESTS {
        let map = fs::read_to_string(page).unwrap();
        let named: Vec<&str> = map.split('`').skip(1).step_by(2).filter(is_test_name).collect();
        let missing: Vec<&&str> = named.iter().filter(|name| !exists(name)).collect();
        assert!(named.len() > least, "{page}: only {} tests are named", named.len());
        assert!(missing.is_empty(), "named in {page}, but no test: {missing:?}");
        let places = map.split('`').skip(1).step_by(2).filter(|word| word.starts_with("src/"));
        let gone: Vec<&str> = places.filter(|place| !Path::new(place).exists()).collect();
        assert!(gone.is_empty(), "named in {page}, but not there: {gone:?}");
    }
}

/// The names of the tests of a file: what is run, not every function.
fn tests_of(text: &str, ending: &str) -> Vec<String> {
    let before = |kind: &str, end: char| -> Vec<String> {
        text.split(kind).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0.trim().to_owned())).collect()
    };
    match ending {
        "rs" => {
            let rest = text.split("#[test]\n").skip(1).filter_map(|rest| rest.split_once("fn "));
            let own = rest.filter(|(between, _)| {
                between.lines().all(|line| line.trim().is_empty() || line.trim().starts_with("#["))
            });
            own.filter_map(|(_, rest)| Some(rest.split_once('(')?.0.to_owned())).collect()
        }
        "py" => before("def test_", '(').into_iter().map(|name| format!("test_{name}")).collect(),
        _ => {
            let found = before("static void ", '(').into_iter();
            found
                .filter(|name| text.matches(&format!("{name}(")).count() > 1 || text.contains(&format!("{name})")))
                .collect()
        }
    }
}

#[test]
fn a_helper_is_no_test() {
    let rust = "fn a_helper_here() {}\n#[test]\n#[cfg(unix)]\nfn what_is_a_test() {}\n#[test]\nfn another_is_one() { a_helper_here() }\n";
    assert_eq!(tests_of(rust, "rs"), ["what_is_a_test", "another_is_one"]);
    assert_eq!(
        tests_of(
            "static void unused_one(void)\n{}\nstatic void one_run(void)\n{}\nint main(void) { one_run(); }\n",
            "c"
        ),
        ["one_run"]
    );
    assert_eq!(tests_of("def help_me(x):\ndef test_this(y):\n", "py"), ["test_this"]);
}

/// Code without comments and without tests.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let code = code_of(&fs::read_to_string(file).unwrap(), Texts::Kept);
    code.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// Without files of unit tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = all_rust_files(folder);
    found.retain(|path| path.file_name().is_none_or(|n| n != "tests.rs"));
    found
}

fn all_rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// How a value looks to a programmer is no part of a sentence for people: `{:?}` stands in `Debug` itself, in assertions and in
/// tests, and everywhere else the words are made by hand, or in `src/words.rs`.
#[test]
fn no_text_for_people_shows_a_value_as_programmers_see_it() {
    let mut found = Vec::new();
    for file in all_rust_files(Path::new("src")) {
        if file.ends_with("words.rs") && file.parent() == Some(Path::new("src")) || file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let mut is_debug = false;
        for (number, line) in code.lines().enumerate() {
            match line {
                "}" => is_debug = false,
                line if line.starts_with("impl") => is_debug = line.contains("Debug for"),
                _ => {}
            }
            let is_promise = ["assert", "panic!", "unreachable!"].iter().any(|word| line.contains(word));
            if shows_debug_form(line) && !is_debug && !is_promise && !line.trim_start().starts_with("//") {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "values as programmers see them in texts for people:\n{}", found.join("\n"));
}

/// `{x:?}`, `{:#?}`, `{x:02x?}`: what stands between colon and question mark is a form.
fn shows_debug_form(line: &str) -> bool {
    let is_form = |before: &str| {
        let inside = before.rsplit('{').next().unwrap_or_default();
        let form = inside.rsplit_once(':').map(|(_, form)| form);
        form.is_some_and(|form| form.chars().all(|c| c.is_ascii_alphanumeric() || "#<>^+-.*$".contains(c)))
    };
    line.match_indices("?}").any(|(at, _)| is_form(&line[..at]))
}

#[test]
fn every_debug_form_is_seen() {
    assert!(["{x:?}", "a {:#?}", "{x:02x?} b", "{:>8?}"].iter().all(|line| shows_debug_form(line)));
    assert!(
        ["{x}", "{x:02x}", "Ok(match self { Some(x) => f(x)?})", "what? {x}"]
            .iter()
            .all(|line| !shows_debug_form(line))
    );
}

/// Files that need each other in a circle and may, by names or by the functions of one type that stand in several files: each a module
/// with the files of its own folder, one type whose functions stand by topic, or a true recursion. Nothing is added here without its reason;
/// what has been untied leaves it.
const CIRCLES: [(&[&str], &str); 12] = [
    (&["client/device/"], "the parts of one reader of settings"),
    (&["client/renewal/"], "the parts of one planner"),
    (&["client/status.rs", "client/status/"], "the parts of one fetcher"),
    (&["cmp/exchange.rs", "cmp/exchange/"], "one exchange: its steps, each with what it leads to"),
    (&["crypto/awslc/"], "one provider"),
    (&["crypto/rust/"], "one provider"),
    (&["crypto/pkcs11/"], "one provider of keys"),
    (&["store/dir.rs", "store/dir/"], "one home in a directory"),
    (&["store/export/"], "one export"),
    (&STORE, "one handle on device memory, and what is at work behind it: their functions stand by topic"),
    (&["transport/coap/"], "one client for CoAP"),
    (&STATUS, "a true recursion: who signs status data has a path too, on which status is asked"),
];

const STORE: [&str; 11] = [
    "store/generations.rs",
    "store/identities.rs",
    "store/keeping.rs",
    "store/mod.rs",
    "store/named.rs",
    "store/named_keys.rs",
    "store/notify.rs",
    "store/pointer.rs",
    "store/repair.rs",
    "store/waited_for.rs",
    "store/weak.rs",
];
const STATUS: [&str; 9] = [
    "validation/crl_status.rs",
    "validation/crl_status/",
    "validation/ocsp_status.rs",
    "validation/path.rs",
    "validation/path/",
    "validation/revocation.rs",
    "validation/status.rs",
    "validation/status_before.rs",
    "validation/status_signers.rs",
];

/// Files in a circle can only be understood, moved and tested together.
#[test]
fn files_need_each_other_in_no_circle() {
    let root = Path::new("src");
    let files = rust_files(root);
    let mut met = [false; CIRCLES.len()];
    for circle in circles::circles(root, &files) {
        let known = CIRCLES.iter().position(|(places, _)| {
            circle
                .iter()
                .all(|file| places.iter().any(|place| file == place || place.ends_with('/') && file.starts_with(place)))
        });
        match known {
            Some(index) => met[index] = true,
            None => {
                let steps = circles::needs_within(root, &files, &circle);
                panic!(
                    "{} files need each other in a circle:\n{}\n{}",
                    circle.len(),
                    circle.join("\n"),
                    steps.join("\n")
                );
            }
        }
    }
    let untied: Vec<_> = CIRCLES.iter().zip(met).filter(|(_, is_met)| !is_met).map(|((places, _), _)| places).collect();
    assert!(untied.is_empty(), "circles that are no more: take them off the list: {untied:?}");
}

/// What everybody knows must know nobody: else the rooms above it hang together by it.
#[test]
fn ground_files_know_no_room() {
    let root = Path::new("src");
    for (file, used) in circles::rooms_used(root, &rust_files(root)) {
        let is_ground = GROUND.iter().any(|name| file == root.join(format!("{name}.rs")));
        let rooms: Vec<&String> = used.iter().filter(|used| !GROUND.contains(&used.as_str())).collect();
        assert!(!is_ground || rooms.is_empty(), "{}: the ground uses {rooms:?}", file.display());
    }
}

/// The rows that rules cite, each with where.
fn cited_rows(root: &Path) -> Vec<(String, String)> {
    let mut cited = Vec::new();
    for file in rust_files(root) {
        let code: String = code_lines(&file).into_iter().map(|(_, line)| line).collect();
        for rule in code.split("Rule::new(").skip(1).filter(|rest| rest.trim_start().starts_with('"')) {
            let place = rule.split('"').nth(1).unwrap_or_default();
            let Some((_, inside)) = place.split_once('(') else { continue };
            let rows = rows_in(inside.trim_end_matches(')'));
            cited.extend(rows.into_iter().map(|row| (row, format!("{}: '{place}'", file.display()))));
        }
    }
    cited
}

/// The lines of the map of duties: the rows of each, and its level.
fn map_of_duties() -> Vec<(Vec<String>, String)> {
    let map = fs::read_to_string("docs/requirements.md").unwrap();
    let cells = map.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((rows_in(cells.next()?.trim_end_matches(" |")), cells.next()?.trim().to_owned()))
    });
    cells.filter(|(rows, _)| !rows.is_empty()).collect()
}

/// A rule that a check names, and the map of duties, are about the same: each row that a rule cites is on the map.
#[test]
fn every_rule_that_a_check_names_is_on_the_map_of_duties() {
    let rows: BTreeSet<String> = map_of_duties().into_iter().flat_map(|(rows, _)| rows).collect();
    let cited = cited_rows(Path::new("src"));
    let unknown: Vec<_> = cited.iter().filter(|(row, _)| !rows.contains(row)).collect();
    assert!(cited.len() > 60, "only {} rows are cited", cited.len());
    assert!(unknown.is_empty(), "rules that docs/requirements.md does not have: {unknown:#?}");
}

/// And back: what the map says is refused is refused by a rule that names it, and what such a rule names is said on the map.
#[test]
fn every_duty_that_answers_are_refused_by_is_named_by_a_rule() {
    let cited = [cited_rows(Path::new("src/cmp")), cited_rows(Path::new("src/validation"))].concat();
    let cited: BTreeSet<String> = cited.into_iter().map(|(row, _)| row).collect();
    let map = map_of_duties();
    let is_cited = |rows: &[String]| rows.iter().any(|row| cited.contains(row));
    let refused: Vec<_> = map.iter().filter(|(_, level)| level == "MR").collect();
    assert!(refused.len() > 25, "only {} duties are refused by", refused.len());
    let unnamed: Vec<_> = refused.iter().filter(|(rows, _)| !is_cited(rows)).map(|(rows, _)| rows).collect();
    assert!(unnamed.is_empty(), "refused by, and no rule of src/cmp or src/validation names it: {unnamed:?}");
    // A row may stand in several lines, of which one is about answers.
    let is_said = |row: &String| map.iter().any(|(rows, level)| rows.contains(row) && level != "M");
    let unsaid: Vec<_> = cited.iter().filter(|row| !is_said(row)).collect();
    assert!(unsaid.is_empty(), "named by a rule, and the map does not say that answers are refused by it: {unsaid:?}");
}

/// Who refuses what a server, a device or another RA says names the rule in the same breath.
#[test]
fn no_answer_is_refused_without_a_rule() {
    // In authority.rs all go through one door, which names the rule of each act.
    const FILES: [&str; 15] = [
        "response",
        "received",
        "answer_signer",
        "protection",
        "transaction",
        "issued",
        "revoke",
        "info",
        "keygen",
        "proof",
        "kem_mac",
        "bearer",
        "ra",
        "nested",
        "about",
    ];
    let mut files: Vec<PathBuf> = FILES.iter().map(|name| PathBuf::from(format!("src/cmp/{name}.rs"))).collect();
    files.extend(rust_files(Path::new("src/cmp/exchange")));
    let mut bare = Vec::new();
    let mut refusals = 0;
    for file in files {
        let code: String = code_lines(&file).into_iter().map(|(_, line)| format!("{line}\n")).collect();
        refusals += code.matches(".broken(").count();
        bare.extend(refusals_without_a_rule(&code).into_iter().map(|line| format!("{}: {line}", file.display())));
    }
    assert!(refusals > 60, "only {refusals} refusals");
    assert!(bare.is_empty(), "refusals without a rule; Rule::broken names it:\n{}", bare.join("\n"));
}

/// What refuses a path names the rule: a finding or an objection is made with one, and only where a limit of the library's own is reached
/// is there none.
#[test]
fn no_path_is_refused_without_a_rule() {
    let mut made = 0;
    let mut bare = Vec::new();
    for file in rust_files(Path::new("src/validation")) {
        let code: String = code_lines(&file).into_iter().map(|(_, line)| format!("{line}\n")).collect();
        made += ["objection(", "Finding::fatal(", "self.fail("]
            .iter()
            .map(|maker| code.matches(maker).count())
            .sum::<usize>();
        bare.extend(without_a_rule(&code).into_iter().map(|line| format!("{}: {line}", file.display())));
    }
    assert!(made > 30, "only {made} objections");
    assert!(bare.is_empty(), "name the rule that is broken:\n{}", bare.join("\n"));
}

/// Findings and objections that are written out without a rule, other than about a budget.
fn without_a_rule(code: &str) -> Vec<String> {
    let made = ["Finding {", "Objection {"].iter().flat_map(|maker| code.split(maker).skip(1));
    let written = made.map(|rest| rest.split('}').next().unwrap_or_default());
    let is_bare = |fields: &&str| fields.contains("rule: None") && !fields.contains("Code::Budget");
    let mut bare: Vec<String> = written.filter(is_bare).map(|fields| fields.trim().to_owned()).collect();
    // A tuple that is both: there is a rule for whatever code is no budget's.
    let tuples = code.lines().filter(|line| line.contains("(None, Code::") && !line.contains("Code::Budget"));
    bare.extend(tuples.map(|line| line.trim().to_owned()));
    bare
}

#[test]
fn a_finding_without_a_rule_is_seen() {
    assert_eq!(without_a_rule("Finding { code, fatal: true, rule: None }").len(), 1);
    assert_eq!(without_a_rule("Objection {\n code: Code::Name,\n rule: None,\n text }").len(), 1);
    assert_eq!(without_a_rule("X => (None, Code::Malformed),").len(), 1);
    assert!(without_a_rule("Finding { code: Code::Budget, rule: None }").is_empty());
    assert!(without_a_rule("Finding { code, rule: Some(rule) }").is_empty());
}

/// Errors that are made by a code for what others say, or by one that is not told, and are given no rule where they are made.
fn refusals_without_a_rule(code: &str) -> Vec<String> {
    const OF_ANSWERS: [&str; 8] = [
        "Code::Protocol",
        "Code::Nonce",
        "Code::TransactionId",
        "Code::UnexpectedBody",
        "Code::MessageTime",
        "Code::UnknownVersion",
        "Code::ProtectionInvalid",
        "Code::WrongCertificate",
    ];
    let makers = ["Error::new(", "Error::caused_by("];
    let made = makers.iter().flat_map(|maker| code.split(maker).skip(1)).map(str::trim_start);
    let bare = made.filter_map(|made| {
        let is_untold = !made.starts_with("Code::");
        // What one code leads to may stand below, and the facts of another error bring its rule along.
        let statements = made.split_inclusive(";\n").take(if is_untold { 2 } else { 1 }).collect::<String>();
        let is_named = statements.contains(".breaks") || is_untold && statements.contains("|facts| *facts = ");
        let is_of_answers = is_untold || OF_ANSWERS.iter().any(|code| made.starts_with(code));
        (is_of_answers && !is_named).then(|| made.lines().next().unwrap_or_default().to_owned())
    });
    bare.collect()
}

#[test]
fn a_refusal_without_a_rule_is_seen_however_it_is_written() {
    for bare in [
        "Err(Error::new(Code::Protocol, \"bad\"));\n",
        "Err(Error::new(\n    Code::WrongCertificate,\n    words,\n));\n",
        "map_err(|e| Error::caused_by(Code::Nonce, e));\n",
        "let code = Code::Protocol;\nErr(Error::new(code, \"bad\"));\n",
    ] {
        assert_eq!(refusals_without_a_rule(bare).len(), 1, "{bare}");
    }
    for named in [
        "Err(RULE.broken(Code::Protocol, words));\n",
        "Error::new(Code::Nonce, words)\n    .breaks(RULE);\n",
        "Error::new(Code::State, words);\n",
    ] {
        assert!(refusals_without_a_rule(named).is_empty(), "{named}");
    }
}

/// `H5, H13` and `P6 to P8` as single rows.
fn rows_in(text: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for part in text.split(',').map(str::trim) {
        let split = |row: &str| {
            let at = row.find(|c: char| c.is_ascii_digit())?;
            Some((row[..at].to_owned(), row[at..].parse::<u32>().ok()?))
        };
        match part.split_once(" to ") {
            Some((from, to)) => {
                if let (Some((letter, from)), Some((_, to))) = (split(from), split(to)) {
                    rows.extend((from..=to).map(|number| format!("{letter}{number}")));
                }
            }
            None => rows.extend(split(part).map(|(letter, number)| format!("{letter}{number}"))),
        }
    }
    rows
}

/// What belongs to one handle of C is found in few files, each by its topic.
#[test]
fn the_functions_of_a_handle_stand_in_few_files() {
    for (beginning, most) in [("devid_op_", 8), ("devid_config_", 4), ("devid_store_", 12), ("devid_renewal_", 9)] {
        let is_here = |file: &PathBuf| fs::read_to_string(file).unwrap().contains(&format!("\nfn {beginning}"));
        let files: Vec<PathBuf> = rust_files(Path::new("bindings/c/src")).into_iter().filter(is_here).collect();
        assert!((1..=most).contains(&files.len()), "{beginning}* in {} files: {files:?}", files.len());
    }
}
