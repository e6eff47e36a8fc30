//! A file's code as the guards read it: without comments, without its tests, with or without what stands in quotes.

/// What becomes of texts in quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    Kept,
    /// The quotes stay, with nothing between them.
    Emptied,
}

/// The code, line by line where it was.
pub fn code_of(text: &str, texts: Texts) -> String {
    without_tests(&without_comments(text, texts))
}

fn without_comments(text: &str, texts: Texts) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let is_name = code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let taken = match next {
            '/' if rest.starts_with("//") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let length = comment(rest);
                code.extend(rest[..length].chars().filter(|c| *c == '\n'));
                rest = &rest[length..];
                continue;
            }
            'r' if !is_name && rest[1..].trim_start_matches('#').starts_with('"') => raw_text(rest),
            'b' if !is_name && rest.starts_with("br") && rest[2..].trim_start_matches('#').starts_with('"') => {
                1 + raw_text(&rest[1..])
            }
            '"' => quoted(rest, '"'),
            // A lifetime has no end.
            '\'' if rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'') => quoted(rest, '\''),
            other => {
                code.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        match texts {
            Texts::Kept => code.push_str(&rest[..taken]),
            Texts::Emptied => {
                code.push('"');
                code.extend(rest[..taken].chars().filter(|c| *c == '\n'));
                code.push('"');
            }
        }
        rest = &rest[taken..];
    }
    code
}

fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_text(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = hashes + 2;
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            other if other == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Modules that are compiled for tests alone are left out, wherever they stand; their lines stay, empty.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let (mut is_announced, mut depth) = (false, 0i32);
    for line in code.lines() {
        let trimmed = line.trim();
        let braces = line.matches('{').count() as i32 - line.matches('}').count() as i32;
        if depth > 0 {
            depth += braces;
        } else if is_announced && trimmed.contains("mod ") && trimmed.ends_with('{') {
            depth = braces;
        } else {
            kept.push_str(line);
        }
        kept.push('\n');
        let is_attribute = trimmed.starts_with("#[");
        is_announced =
            is_attribute && (is_announced || trimmed == "#[cfg(test)]" || trimmed.starts_with("#[cfg(all(test,"));
    }
    kept
}

/// The block that the first brace opens, without it.
pub fn block(code: &str) -> &str {
    let Some(open) = code.find('{') else { return "" };
    let mut depth = 0;
    for (at, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[open + 1..open + at];
        }
    }
    &code[open + 1..]
}

#[test]
fn comments_texts_and_tests_are_no_code() {
    let text = "a; // b\n/* c /* d */\n e */ f(\"g // \\\" h\\\n i\", r#\"j \" k\"#, 'l', '\\'', '{');\nfn m<'n>() {}\n#[cfg(test)]\nmod o {\n    p! { '}' }\n}\nq;\n";
    let code = code_of(text, Texts::Emptied);
    let words: String = code.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["a", "f", "fn", "mn", "cfgtest", "q"]);
    assert_eq!(code.lines().count(), text.lines().count(), "what is found has its line");
    let kept = code_of(text, Texts::Kept);
    assert!(
        kept.contains("\"g // \\\" h\\\n i\"") && kept.contains("'l'") && !kept.contains('p') && !kept.contains('b')
    );
}
