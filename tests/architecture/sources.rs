//! The error of a lower layer goes up with its type: who needs more than a code and words asks `source()`.

use std::fs;
use std::path::Path;

use super::{all_rust_files, code_lines};

/// Words that quote another error, without that error behind them.
fn loses_its_source(statement: &str) -> bool {
    const QUOTED: [&str; 4] = ["{e}", "{error}", "{cause}", "{err}"];
    (statement.contains("Error::new(Code::") || statement.contains(".broken(Code::"))
        && QUOTED.iter().any(|name| statement.contains(name))
        && !statement.contains(".with_source(")
        && !statement.contains("StoreError::new(")
}

#[test]
fn an_error_that_quotes_another_has_it_as_its_source() {
    let mut count = 0;
    for file in all_rust_files(Path::new("src")).into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let lines: Vec<String> = code_lines(&file).into_iter().map(|(_, line)| line).collect();
        for statement in lines.join(" ").split(';') {
            count += usize::from(statement.contains(".with_source(") || statement.contains("caused_by("));
            assert!(!loses_its_source(statement), "{}: {}", file.display(), statement.trim());
        }
    }
    assert!(count > 10, "{count} places keep their source");
}

#[test]
fn what_becomes_an_error_of_the_library_is_kept_as_its_source() {
    let mut found = 0;
    for file in all_rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("for Error {\n").chain(text.match_indices("for crate::Error {\n")) {
            let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
            if !line.starts_with("impl From<") {
                continue;
            }
            found += 1;
            let body = text[at..].split("\n}\n").next().unwrap_or_default();
            assert!(
                body.contains("caused_by(") || body.contains(".with_source("),
                "{}: {line}for Error has no source",
                file.display()
            );
            assert!(!body.contains("Error::new(") || body.contains(".with_source("), "{}: {line}", file.display());
        }
    }
    assert!(found >= 6, "{found} conversions");
}
