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

/// What went wrong is a type, of which words are made for people: who calls can tell one failure from another.
#[test]
fn no_function_answers_words_in_place_of_an_error() {
    let mut found = Vec::new();
    for file in all_rust_files(Path::new("src")) {
        for (number, line) in code_lines(&file) {
            if answers_words(&line) {
                found.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "an error of its own, or the library's:\n{}", found.join("\n"));
}

/// Whether a line has a `Result` whose error is a text.
fn answers_words(line: &str) -> bool {
    line.match_indices("Result<").any(|(at, begin)| {
        let (mut depth, mut last) = (0, None);
        let inside = &line[at + begin.len()..];
        for (place, character) in inside.char_indices() {
            match character {
                '<' | '(' | '[' => depth += 1,
                '>' | ')' | ']' if depth == 0 => {
                    // With one type alone the error's is that of the module, as in io::Result.
                    let error = last.map_or("", |last: usize| inside[last..place].trim());
                    return ["String", "&'static str", "&str", "Cow<'static, str>"].contains(&error);
                }
                '>' | ')' | ']' => depth -= 1,
                ',' if depth == 0 => last = Some(place + 1),
                _ => {}
            }
        }
        false
    })
}

#[test]
fn words_in_place_of_an_error_are_seen_however_the_answer_is_written() {
    for bare in ["-> Result<Self, String>", "x: Result<(A, B<C>), &'static str>,", "Result<Vec<u8>, Cow<'static, str>>"]
    {
        assert!(answers_words(bare), "{bare}");
    }
    for typed in [
        "-> Result<String, Error>",
        "Result<Vec<String>, (String, Error)>",
        "Option<&'static str>",
        "io::Result<String>",
    ] {
        assert!(!answers_words(typed), "{typed}");
    }
}
