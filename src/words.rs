//! Other people's texts in our sentences.

use crate::asn1::name::is_misleading;

/// A text in quotes, such as a server's words or a file's name: its own quotes do not end them, and it has no character that
/// moves the cursor or turns the line round.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            c if is_misleading(c) => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_within_its_quotes() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("a\" [hint: b]"), "\"a\\\" [hint: b]\"");
        assert_eq!(quoted("a\u{202e}b\u{2028}c\n"), "\"a\u{fffd}b\u{fffd}c\u{fffd}\"");
    }
}
