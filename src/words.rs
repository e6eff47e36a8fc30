//! Other people's texts in our sentences.
//!
//! How a value looks to a programmer (`{:?}`) is no sentence: a test keeps it out of all texts but those made here.

use core::fmt;

use crate::prelude::*;

/// Lower-case hexadecimal, as serial numbers are shown to people.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

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

/// A URI as it may be shown, kept or repeated: without user name and password (RFC 3986 section 3.2.1), and without a PIN and all that
/// follows it (RFC 7512 section 2.4), whether it stands in the query, where it belongs, or not. Other texts stay as they are.
#[cfg(any(test, feature = "pkcs11", feature = "settings"))]
pub(crate) fn uri(text: &str) -> String {
    const HIDDEN: &str = "(not shown)";
    let Some((scheme, rest)) = text.split_once(':') else { return text.to_owned() };
    if scheme.eq_ignore_ascii_case("pkcs11") {
        let lower = text.to_ascii_lowercase();
        let pin =
            ["pin-value", "pin-source"].iter().filter_map(|name| lower.find(name).map(|at| at + name.len())).min();
        return pin.map_or_else(|| text.to_owned(), |end| format!("{}={HIDDEN}", &text[..end]));
    }
    let Some(rest) = rest.strip_prefix("//") else { return text.to_owned() };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{target}"),
        None => text.to_owned(),
    }
}

/// One character of such a text, in quotes.
pub(crate) fn character(c: char) -> String {
    match is_misleading(c) || c == '\'' {
        true => format!("the character U+{:04X}", u32::from(c)),
        false => format!("'{c}'"),
    }
}

/// A time to wait, such as `30 seconds`.
#[cfg(any(test, feature = "http", feature = "coap"))]
pub(crate) fn duration(time: core::time::Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (1, 0) => "1 second".to_owned(),
        (seconds, 0) => format!("{seconds} seconds"),
        (0, thousandths) => format!("{thousandths} milliseconds"),
        _ => format!("{:.1} seconds", time.as_secs_f64()),
    }
}

/// The name of a value of another library's, which is all that it has to say of itself, as it stands in that library: the one
/// place where such names become part of what people read.
#[cfg(any(test, feature = "pkcs11", feature = "tls", feature = "settings"))]
pub(crate) fn as_written(value: &impl fmt::Debug) -> String {
    format!("{value:?}")
}

/// The same in words: `UnknownCA` as `unknown CA`.
#[cfg(any(test, feature = "tls"))]
pub(crate) fn spaced(value: &impl fmt::Debug) -> String {
    let mut words = String::new();
    let name: Vec<char> = as_written(value).chars().collect();
    for (at, c) in name.iter().enumerate() {
        let is_new = c.is_ascii_uppercase() && name[..at].last().is_some_and(char::is_ascii_lowercase);
        let is_acronym = name.get(at + 1).is_none_or(char::is_ascii_uppercase);
        if is_new {
            words.push(' ');
        }
        words.push(if is_acronym { *c } else { c.to_ascii_lowercase() });
    }
    words
}

/// Control characters, line separators, direction marks, and what has no width.
pub(crate) fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Levenshtein's distance: how many letters differ.
#[cfg(feature = "settings")]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (row[j + 1] + 1).min(row[j] + 1).min(corner + usize::from(ca != *cb));
            corner = core::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_words() {
        #[derive(Debug)]
        enum Alert {
            UnknownCA,
            HandshakeFailure,
        }
        assert_eq!([spaced(&Alert::UnknownCA), spaced(&Alert::HandshakeFailure)], ["unknown CA", "handshake failure"]);
        let times =
            [1000, 30_000, 250, 1500].map(|thousandths| duration(core::time::Duration::from_millis(thousandths)));
        assert_eq!(times, ["1 second", "30 seconds", "250 milliseconds", "1.5 seconds"]);
        assert_eq!([character('x'), character('\n')], ["'x'", "the character U+000A"]);
    }

    #[test]
    fn a_uri_is_shown_without_login_and_pin() {
        for (text, shown) in [
            ("http://user:geheim@host:80/a@b?c", "http://(not shown)@host:80/a@b?c"),
            ("https://geheim@a@host", "https://(not shown)@host"),
            ("coap://ge/heim", "coap://ge/heim"),
            ("http://host/x?mail=a@b", "http://host/x?mail=a@b"),
            (
                "pkcs11:token=a;object=b?pin-value=geheim&module-path=/x",
                "pkcs11:token=a;object=b?pin-value=(not shown)",
            ),
            ("PKCS11:token=a;PIN-VALUE=geheim", "PKCS11:token=a;PIN-VALUE=(not shown)"),
            (
                "pkcs11:object=a?module-path=/x&pin-source=file:/geheim",
                "pkcs11:object=a?module-path=/x&pin-source=(not shown)",
            ),
            ("pkcs11:token=a;object=b", "pkcs11:token=a;object=b"),
            ("env:PIN", "env:PIN"),
            ("CN=a@b", "CN=a@b"),
        ] {
            assert_eq!(uri(text), shown);
        }
    }

    #[test]
    fn a_text_stays_within_its_quotes() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("a\" [hint: b]"), "\"a\\\" [hint: b]\"");
        assert_eq!(quoted("a\u{202e}b\u{2028}c\n"), "\"a\u{fffd}b\u{fffd}c\u{fffd}\"");
    }
}
