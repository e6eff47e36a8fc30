//! What is decided is decided by types: words are for people, and may change with every release.

use std::path::Path;

use super::{all_rust_files, code_lines};

/// How an error's words, or the name of where it came up, would be looked into.
const LOOKS: [&str; 4] = [".contains(", ".starts_with(", ".ends_with(", "=="];
const WORDS: [&str; 7] =
    [".message()", ".to_string()", ".detail", ".words", ".phase.map(Phase::name)", ".name()", ".server_texts"];

fn looks_into_words(code: &str) -> Option<String> {
    let code: String = code.split_whitespace().collect();
    for words in WORDS {
        for (at, _) in code.match_indices(words) {
            let rest = &code[at + words.len()..];
            let rest = rest.strip_prefix(".as_str()").unwrap_or(rest);
            let look = LOOKS.iter().find_map(|look| rest.strip_prefix(look).map(|asked| (look, asked)));
            if look.is_some_and(|(_, asked)| asked.starts_with(['"', '\'', '&', '|'])) {
                return Some(code[at.saturating_sub(40)..].chars().take(100).collect());
            }
        }
    }
    None
}

#[test]
fn nothing_is_decided_by_the_words_of_an_error() {
    for folder in ["src", "bindings/c/src", "cli/src"] {
        for file in all_rust_files(Path::new(folder)).into_iter().filter(|file| !file.ends_with("tests.rs")) {
            let lines: Vec<String> = code_lines(&file).into_iter().map(|(_, line)| line).collect();
            let found = looks_into_words(&lines.join("\n"));
            assert!(found.is_none(), "{}: decided by words: {}", file.display(), found.unwrap_or_default());
        }
    }
}

#[test]
fn a_look_into_words_is_seen_however_it_is_written() {
    for code in [
        r#"if error.message().contains("kur") {}"#,
        "matches!(e\n    .message()\n    .starts_with(\"the salt\"), true)",
        r#"facts.phase.map(Phase::name) == "x""#,
        r#"finding.words.starts_with('a')"#,
        r#"body.name() == "kur""#,
    ] {
        assert!(looks_into_words(code).is_some(), "{code}");
    }
    for code in [r#"words.push(error.message())"#, r#"assert_eq!(facts.phase, Some(BodyType::KUR.into()))"#] {
        assert!(looks_into_words(code).is_none(), "{code}");
    }
}
