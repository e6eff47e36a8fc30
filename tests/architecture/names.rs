//! What an error or a hint tells the reader to use is there: in C, in Python, in the settings of the command. The names are taken from
//! the texts themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{all_rust_files, rust_files};

/// Names of Rust alone, in errors that Rust programs alone can meet.
const RUST_ALONE: [&str; 1] = ["from_pkcs10"];
/// What follows the options of OpenSSL in recipes.
const OF_OPENSSL: [&str; 2] = ["named_curve", "output_formats"];

/// String literals of code, without comments and without the tests at a file's end; literals that go over several lines are joined.
fn literals(code: &str) -> Vec<String> {
    let code =
        ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().fold(code, |code, cut| code.split(cut).next().unwrap_or(code));
    let (mut found, mut rest) = (Vec::new(), code.char_indices().peekable());
    while let Some((at, c)) = rest.next() {
        match c {
            '/' if code[at..].starts_with("//") => while rest.next_if(|(_, c)| *c != '\n').is_some() {},
            // A raw string: patterns, and no sentences.
            'r' if code[at..].starts_with("r#\"") => {
                let end = code[at..].find("\"#").map_or(code.len(), |length| at + length + 2);
                while rest.next_if(|(place, _)| *place < end).is_some() {}
            }
            // A character, or a lifetime.
            '\'' => {
                let text: Vec<char> = code[at..].chars().take(4).collect();
                let length = match text[..] {
                    ['\'', '\\', _, '\''] => Some(4),
                    ['\'', _, '\'', ..] => Some(3),
                    _ => None,
                };
                (1..length.unwrap_or(1)).for_each(|_| {
                    rest.next();
                });
            }
            '"' => {
                let mut text = String::new();
                while let Some((_, c)) = rest.next() {
                    match c {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some((_, '\n')) => while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                            Some((_, c)) => text.push(if c == 'n' { '\n' } else { c }),
                            None => {}
                        },
                        c => text.push(c),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

/// Words of names with what stands between their parts, without what is filled in.
fn words(text: &str, between: &[char]) -> Vec<String> {
    let mut outside = String::new();
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => outside.push(c),
            _ => outside.push('\0'),
        }
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || between.contains(&c);
    let parts = outside.split(|c: char| !is_part(c) && !"\0-".contains(c) || between.contains(&'-') && c == '\0');
    // Options of another program (`-msg_timeout`) are none of ours.
    let is_ours = |part: &&str| !part.contains('\0') && (between.contains(&'-') || !part.contains('-'));
    parts.filter(is_ours).map(|part| part.trim_matches(between).to_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// Every sentence for people, with its file.
fn sentences() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "cli/src"] {
        for file in rust_files(Path::new(folder)) {
            let all = literals(&read(&file.display().to_string()));
            found.extend(
                all.into_iter().filter(|text| text.contains(' ')).map(|text| (file.display().to_string(), text)),
            );
        }
    }
    assert!(found.len() > 1000, "only {} sentences", found.len());
    found
}

#[test]
fn functions_and_constants_that_texts_name_exist() {
    let symbols: BTreeSet<String> = read("bindings/c/symbols.txt").lines().map(str::to_owned).collect();
    let constants = names_in(&read("bindings/c/constants.txt"));
    let mut python = BTreeSet::new();
    for entry in fs::read_dir("bindings/python/src/devid").unwrap() {
        let path = entry.unwrap().path();
        let is_source = path.extension().is_some_and(|e| e == "py") && !path.ends_with("_abi.py");
        python.extend(names_in(&if is_source { read(&path.display().to_string()) } else { String::new() }));
    }
    // The switches, which Python has by this table.
    python.extend(names_in(&read("src/cmp/tolerance.rs")));
    let (mut missing, mut seen) = (Vec::new(), 0);
    for (file, text) in sentences() {
        for word in words(&text, &['_']) {
            let exists = match &word {
                name if name.starts_with("devid_") => symbols.contains(name),
                name if name.starts_with("DEVID_") => constants.contains(name) || symbols.contains(name),
                name if name.contains('_')
                    && name.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit()) =>
                {
                    python.contains(name)
                        || symbols.iter().any(|symbol| symbol.ends_with(&format!("_{name}")))
                        || [&RUST_ALONE[..], &OF_OPENSSL].concat().contains(&&**name)
                }
                _ => continue,
            };
            seen += 1;
            if !exists {
                missing.push(format!("{file}: {word} in \"{text}\""));
            }
        }
    }
    assert!(seen > 80, "only {seen} names");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn people_with_a_command_are_not_told_to_call_functions() {
    let mut told = Vec::new();
    for (file, text) in sentences().into_iter().filter(|(file, _)| !file.ends_with("device/as_settings.rs")) {
        let as_people_see_it = devid::client::device::in_settings(&text);
        let is_function = |word: &String| word.starts_with("devid_") || word.starts_with("DEVID_");
        // What the environment gives has names of the same form.
        let calls = words(&as_people_see_it, &['_']).into_iter().filter(is_function);
        told.extend(calls.filter(|name| name != "DEVID_CLOCK_NOW").map(|name| format!("{file}: {name} in \"{text}\"")));
    }
    assert!(
        told.is_empty(),
        "say it as `name (devid_name, setting)`, or in src/client/device/as_settings.rs:\n{}",
        told.join("\n")
    );
}

#[test]
fn settings_that_texts_name_exist() {
    let schema: serde_json::Value = serde_json::from_str(&read("docs/schema/settings.json")).unwrap();
    let keys: Vec<String> = devid::client::device::keys::ALL.iter().map(|key| key.path.to_owned()).collect();
    let heads: Vec<String> = schema["properties"].as_object().unwrap().keys().map(|head| format!("{head}.")).collect();
    let (mut missing, mut seen) = (Vec::new(), 0);
    for (file, text) in sentences() {
        for word in words(&text, &['.', '-']) {
            let is_setting = heads.iter().any(|head| word.starts_with(head.as_str()));
            // Files and hosts may begin like that.
            let is_name = [".toml", ".example", ".pem", ".p12", ".NAME"].iter().any(|end| word.ends_with(end));
            if !is_setting || is_name {
                continue;
            }
            seen += 1;
            let fits = |key: &String| *key == word || key.starts_with(&format!("{word}.")) || matches(key, &word);
            if !keys.iter().any(fits) {
                missing.push(format!("{file}: {word} in \"{text}\""));
            }
        }
    }
    assert!(seen > 30, "only {seen} settings");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// `identity.*.key` is the key of any identity.
fn matches(key: &str, word: &str) -> bool {
    let (key, word): (Vec<&str>, Vec<&str>) = (key.split('.').collect(), word.split('.').collect());
    let without_name: Vec<&str> = key.iter().copied().filter(|part| *part != "*").collect();
    without_name == word || key.len() == word.len() && key.iter().zip(&word).all(|(k, w)| *k == "*" || k == w)
}

#[test]
fn switches_profiles_and_commands_that_texts_name_exist() {
    let switches = names_in(&read("src/cmp/tolerance.rs"));
    let commands = names_in(&read("cli/src/arguments.rs").to_lowercase());
    let profiles: BTreeSet<String> = literals(&read("src/cmp/profile.rs")).into_iter().collect();
    let (mut missing, mut seen) = (Vec::new(), 0);
    // Records and labels of device memory begin with the same word.
    let is_record = |text: &str| text.starts_with("devid ") && text.contains(['\n', '\0', '0']);
    for (file, text) in sentences().into_iter().filter(|(_, text)| !is_record(text)) {
        let all: Vec<&str> = text.split_whitespace().collect();
        for pair in all.windows(2) {
            let name = pair[1].trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_lower = |name: &str| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || "_-0123456789".contains(c))
            };
            let exists = match pair[0].trim_matches(|c: char| !c.is_ascii_alphanumeric()) {
                "switch" | "switches" if name.contains('_') => switches.contains(name),
                "profile" | "profiles" if name.contains('-') => profiles.contains(name),
                // The words of the command itself, as they are typed.
                "devid" if is_lower(name) && !name.contains('_') && name != "is" => {
                    let is_verb = name.strip_suffix('s').is_some_and(|verb| commands.contains(verb));
                    commands.contains(&name.replace('-', "")) || commands.contains(name) || is_verb
                }
                _ => continue,
            };
            seen += 1;
            if !exists {
                missing.push(format!("{file}: {} {name} in \"{text}\"", pair[0]));
            }
        }
    }
    assert!(seen > 60, "only {seen} names");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(!all_rust_files(Path::new("cli")).is_empty());
}

#[test]
fn texts_are_found_as_they_are_written() {
    let code = "let a = \"one\"; // \"none\"\nlet b = '\"'; let c = \"two \\\n   and\"; 'x';\n#[cfg(test)]\nmod tests { \"three\" }";
    assert_eq!(literals(code), ["one", "two and"]);
    assert_eq!(words("see {name_of} and set_it (devid_set_it)", &['_']).iter().filter(|w| w.contains('_')).count(), 2);
}

/// Words that this house uses among itself and that a reader of the C headers cannot look up; and what stands in their place.
const NOT_IN_HEADERS: [(&str, &str); 8] = [
    ("words", "text, message"),
    ("people", "users, operators"),
    ("what came", "what was received"),
    ("mends", "repairs"),
    ("mend", "repair"),
    ("goes on", "continues"),
    ("shelf", "store"),
    ("riddle", "challenge"),
];

#[test]
fn the_headers_speak_as_other_headers_do() {
    let mut found = Vec::new();
    for folder in ["include", "include/devid", "include/devid/unstable"] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "h") {
                continue;
            }
            for line in
                read(&path.display().to_string()).lines().filter(|line| line.trim_start().starts_with(['*', '/']))
            {
                let spaced =
                    format!(" {} ", line.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != '_', " "));
                for (ours, theirs) in NOT_IN_HEADERS.iter().filter(|(ours, _)| spaced.contains(&format!(" {ours} "))) {
                    found.push(format!("{}: \"{ours}\" in \"{}\": say {theirs}", path.display(), line.trim()));
                }
                let denied = spaced.match_indices(" is no ").filter(|(at, _)| !spaced[..*at].ends_with("there"));
                found.extend(
                    denied.map(|_| format!("{}: \"is no ...\" in \"{}\": say is not a", path.display(), line.trim())),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
