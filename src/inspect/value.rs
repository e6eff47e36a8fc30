//! What was found, ready to be written as text or as JSON.

use std::fmt::Write as _;

use crate::words::is_misleading;

/// A node of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    Null,
    /// Fields in the order of the structure.
    Object(Vec<(String, Value)>),
    List(Vec<Value>),
}

impl Value {
    pub(super) fn text(words: impl Into<String>) -> Self {
        Value::Text(words.into())
    }

    /// Indented lines for people.
    pub(super) fn to_lines(&self) -> String {
        let mut out = String::new();
        self.write_lines(&mut out, 0);
        out
    }

    fn write_lines(&self, out: &mut String, depth: usize) {
        match self {
            Value::Object(fields) => {
                for (name, value) in fields {
                    indent(out, depth);
                    out.push_str(name);
                    value.write_after_label(out, depth);
                }
            }
            Value::List(items) => {
                for item in items {
                    indent(out, depth);
                    out.push('-');
                    match item {
                        // The first field stands on the line of the dash.
                        Value::Object(_) | Value::List(_) => {
                            let mut inner = String::new();
                            item.write_lines(&mut inner, depth + 1);
                            out.push(' ');
                            out.push_str(inner.trim_start_matches(' '));
                            if inner.is_empty() {
                                out.push_str("(empty)\n");
                            }
                        }
                        leaf => {
                            out.push(' ');
                            out.push_str(&leaf.word());
                            out.push('\n');
                        }
                    }
                }
            }
            leaf => {
                indent(out, depth);
                out.push_str(&leaf.word());
                out.push('\n');
            }
        }
    }

    fn write_after_label(&self, out: &mut String, depth: usize) {
        match self {
            Value::Object(fields) if fields.is_empty() => out.push_str(": (empty)\n"),
            Value::List(items) if items.is_empty() => out.push_str(": (none)\n"),
            Value::Object(_) | Value::List(_) => {
                out.push_str(":\n");
                self.write_lines(out, depth + 1);
            }
            leaf => {
                out.push_str(": ");
                out.push_str(&leaf.word());
                out.push('\n');
            }
        }
    }

    fn word(&self) -> String {
        match self {
            // Strangers' words: none of them moves the cursor, turns the line round, or is there without being seen.
            Value::Text(words) => words.chars().map(|c| if is_misleading(c) { '\u{fffd}' } else { c }).collect(),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Null => "NULL".to_owned(),
            Value::Object(_) | Value::List(_) => String::new(),
        }
    }

    /// JSON (RFC 8259) in one line.
    pub(super) fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Value::Text(words) => quote(out, words),
            Value::Number(number) => out.push_str(&number.to_string()),
            Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Null => out.push_str("null"),
            Value::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quote(out, name);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
            Value::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn quote(out: &mut String, words: &str) {
    out.push('"');
    for c in words.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // What it is remains, and what it would do on a terminal does not.
            c if is_misleading(c) => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| write!(out, "\\u{unit:04x}").expect("a String takes everything")),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_stranger_moves_a_cursor_or_turns_a_line() {
        for c in ['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{e0041}']
        {
            let value = Value::Object(vec![("text".to_owned(), Value::Text(format!("a{c}b\u{e4}")))]);
            assert_eq!(value.to_lines(), "text: a\u{fffd}b\u{e4}\n", "{c:?}");
            let json = value.to_json();
            assert!(!json.contains(c) && json.contains("\\u") && json.ends_with("b\u{e4}\"}"), "{c:?}: {json}");
            #[cfg(feature = "settings")]
            {
                let read: toml::Value = format!("v = {}", json.split_once(':').unwrap().1.trim_end_matches('}'))
                    .parse::<toml::Table>()
                    .map_or_else(
                        // TOML knows no surrogate pairs.
                        |_| toml::Value::String(String::new()),
                        |mut one| one.remove("v").unwrap(),
                    );
                assert!(u32::from(c) > 0xffff || read.as_str() == Some(&format!("a{c}b\u{e4}")[..]), "{c:?}: {json}");
            }
        }
    }
}
