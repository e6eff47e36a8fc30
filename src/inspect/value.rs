//! What was found, ready to be written as text or as JSON.

use std::fmt::Write as _;

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
            Value::Text(words) => words.clone(),
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
            c if (c as u32) < 0x20 => write!(out, "\\u{:04x}", c as u32).expect("a String takes everything"),
            c => out.push(c),
        }
    }
    out.push('"');
}
