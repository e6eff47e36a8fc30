//! A setting stands in few places: its row, which is its documentation, field, default and reader; the option that the row sets; the
//! function of C, and the method of Python.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{Texts, block, code_of};
use super::{all_rust_files, rust_files};

const MOST_PLACES: usize = 5;

const ROWS: &str = "src/client/device/settings";

/// Where options of a client stand.
const OPTIONS: [&str; 8] = [
    "src/client/config.rs",
    "src/client/way.rs",
    "src/cmp/options.rs",
    "src/cmp/signer_authorisation.rs",
    "src/limits.rs",
    "src/transport/coap/mod.rs",
    "src/transport/mod.rs",
    "src/transport/tls/mod.rs",
];

/// Files about settings that say what they are together, and not what one of them is.
const JUDGES: [&str; 5] = ["exports.rs", "idle.rs", "judging.rs", "loading.rs", "values.rs"];

/// A setting, and what its row's reader sets.
struct Row {
    key: String,
    options: Vec<String>,
}

/// The rows of a file: `pub FIELD: TYPE = "DEFAULT" ... => READER,` below `FORM "TABLE"`.
fn rows_of(code: &str, readers: &BTreeMap<String, Vec<String>>) -> Vec<Row> {
    let (mut table, mut rows) = (String::new(), Vec::<(String, String)>::new());
    for line in code.lines().map(str::trim) {
        let of_table = ["open \"", "whole \"", "list \""].iter().find_map(|form| line.strip_prefix(form));
        if let Some(path) = of_table {
            table = path.trim_end_matches('"').to_owned();
        } else if let Some((field, rest)) = line.strip_prefix("pub ").and_then(|row| row.split_once(": ")) {
            rows.push((format!("{table}.{}", field.trim_start_matches("r#").replace('_', "-")), rest.to_owned()));
        } else if let Some((_, text)) = rows.last_mut().filter(|_| line.starts_with(['.', '='])) {
            text.push_str(line);
        }
    }
    let rows = rows.into_iter().filter(|(_, text)| text.contains(" = \""));
    rows.map(|(key, text)| {
        let reader = text.split_once("=> ").map_or("", |(_, reader)| reader);
        let mut options = options_set(reader);
        for (function, set) in readers {
            if reader.contains(&format!("read::{function}(")) {
                options.extend(set.iter().cloned());
            }
        }
        Row { key, options }
    })
    .collect()
}

/// What code sets of `config`: the last name of `config.a.b = `, of `config.set_b(`, the limit in `config.limits.set("b"`.
fn options_set(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("config.") {
        let rest = &code[at + "config.".len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        let mut names: Vec<&str> = rest[..end].split('.').collect();
        let last = names.pop().unwrap_or_default();
        found.push(match last {
            "set" => match rest[end..].strip_prefix("(\"") {
                Some(name) => name[..name.find('"').unwrap()].to_owned(),
                None => names.pop().unwrap_or_default().to_owned(),
            },
            "push" => names.pop().unwrap_or_default().to_owned(),
            other => other.to_owned(),
        });
    }
    found.dedup();
    found
}

fn code(path: &Path) -> String {
    code_of(&fs::read_to_string(path).unwrap(), Texts::Kept)
}

/// Whether code sets an option of `config` as a whole.
fn sets(code: &str, option: &str) -> bool {
    let at = code.match_indices(option).map(|(at, _)| (&code[..at], &code[at + option.len()..]));
    let mut at = at.filter(|(before, _)| before.ends_with('.') && before.contains("config"));
    at.any(|(_, rest)| [" = ", "(", ".add", ".push", ".extend"].iter().any(|next| rest.starts_with(next)))
}

/// Where a setting stands besides its row, as `FILE: LINE`.
fn places(row: &Row, ours: &[(PathBuf, String)], face: &[(String, String)], python: &str) -> Vec<String> {
    let mut found = Vec::new();
    let literal = format!("\"{}\"", row.key);
    for (file, code) in ours.iter().filter(|(file, _)| !JUDGES.iter().any(|judge| file.ends_with(judge))) {
        let lines = code.lines().filter(|line| line.contains(&literal));
        found.extend(lines.map(|line| format!("{}: {}", file.display(), line.trim())));
    }
    for option in &row.options {
        for file in OPTIONS {
            let code = code(Path::new(file));
            let declares = |line: &&str| {
                let shown = line.trim().strip_prefix("pub ").map(|line| line.strip_prefix("fn ").unwrap_or(line));
                let rest = shown.and_then(|line| line.strip_prefix(option.as_str()));
                rest.is_some_and(|rest| rest.starts_with(": ") || rest.starts_with('('))
            };
            found.extend(code.lines().filter(declares).map(|line| format!("{file}: {}", line.trim())));
        }
        let named = format!("\"{option}\"");
        for (function, _) in face.iter().filter(|(_, text)| sets(text, option) || text.contains(&named)) {
            found.push(format!("the C function {function}"));
            let method = python.lines().find(|line| line.contains(&format!("\"{function}\"")));
            found.extend(method.map(|line| format!("Python: {}", line.trim())));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_setting_stands_in_five_places_at_most() {
    let read = code(&Path::new(ROWS).join("read.rs"));
    let mut readers = BTreeMap::new();
    for part in read.split("fn ").skip(1) {
        let name = part.split(['(', '<']).next().unwrap_or_default();
        readers.insert(name.to_owned(), options_set(block(part)));
    }
    let rows: Vec<Row> = rust_files(Path::new(ROWS)).iter().flat_map(|file| rows_of(&code(file), &readers)).collect();
    assert!(rows.len() > 110, "{} settings", rows.len());
    let ours: Vec<(PathBuf, String)> =
        all_rust_files(Path::new("src/client/device")).into_iter().map(|file| (file.clone(), code(&file))).collect();
    let mut face = Vec::new();
    for file in all_rust_files(Path::new("bindings/c/src")) {
        let text = fs::read_to_string(&file).unwrap();
        for part in text.split("#[export]\n").skip(1) {
            let name = part.trim_start_matches("pub ").trim_start_matches("fn ").split('(').next().unwrap_or_default();
            face.push((name.to_owned(), block(part).to_owned()));
        }
    }
    let mut python = String::new();
    for entry in fs::read_dir("bindings/python/src/devid").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "py") && !path.ends_with("_abi.py") {
            python.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    for row in &rows {
        let places = places(row, &ours, &face, &python);
        assert!(places.len() < MOST_PLACES, "{} stands in its row and in {}", row.key, places.join("\n"));
    }
    let whole = |key: &str| rows.iter().find(|row| row.key == key).map(|row| places(row, &ours, &face, &python).len());
    // What it counts: an option, the function of C that sets it, and the method of Python.
    for (key, count) in [("ca.time-window", 3), ("ca.accept-ca-pubs", 3), ("ca.http.retries", 4)] {
        assert_eq!(whole(key), Some(count), "{key}");
    }
}

#[test]
fn what_a_reader_sets_is_found() {
    let set = |code| options_set(code).join(" ");
    assert_eq!(set("|config, on| config.accept_ca_pubs = *on,"), "accept_ca_pubs");
    assert_eq!(set("|config, most| config.limits.set(\"max_polls\", 1)"), "max_polls");
    assert_eq!(set("|config, name| config.authorisation.subjects.push(name)"), "subjects");
    assert!(sets("config.config.max_retries = max_retries;", "max_retries"));
    assert!(!sets("let max_retries = 1; other.max_retries;", "max_retries"));
}
