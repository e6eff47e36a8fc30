//! What came in place of DER: text of some kind, or nothing.

use super::error::Asn1Error;

/// The error for input that is text where DER belongs, or nothing at all. It says which kind of text and never quotes it:
/// what was handed in may be a key.
#[cold]
pub(crate) fn as_text(bytes: &[u8], structure: &'static str) -> Option<Asn1Error> {
    let words = match bytes {
        [] => "expected DER, found nothing: the input is empty",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "expected DER, found text in UTF-16: save it as UTF-8 or ASCII",
        [0x1f, 0x8b, ..] => "expected DER, found data compressed by gzip",
        [b'P', b'K', 3, 4, ..] => "expected DER, found a ZIP archive",
        _ => {
            let head = &bytes[..bytes.len().min(4096)];
            let is_text = head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
            (is_text && (head.len() >= 8 || head.trim_ascii().is_empty())).then(|| kind_of_text(head))?
        }
    };
    Some(Asn1Error::invalid(structure, words))
}

fn kind_of_text(text: &[u8]) -> &'static str {
    let trimmed = text.trim_ascii_start();
    let is = |allowed: fn(&u8) -> bool| text.iter().all(|byte| allowed(byte) || byte.is_ascii_whitespace());
    if trimmed.is_empty() {
        "expected DER, found nothing but blanks"
    } else if text.split(|byte| matches!(byte, b'\n' | b'\r')).any(is_begin_line) {
        "expected DER, found PEM: what is read here is what stands between its BEGIN and END lines, decoded from base64"
    } else if trimmed.windows(11).any(|part| part == b"-----BEGIN ") {
        "expected DER, found text with a BEGIN line that does not stand on a line of its own, or whose lines are \
         joined"
    } else if is_hex(text) {
        "expected DER, found text in hex: xxd -r -p makes the file of it"
    } else if is(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)) {
        "expected DER, found text in base64 without a BEGIN line"
    } else if trimmed.starts_with(b"<") {
        "expected DER, found text that looks like HTML or XML"
    } else if trimmed.starts_with(b"{") || trimmed.starts_with(b"[") {
        "expected DER, found text that looks like JSON"
    } else {
        "expected DER, found text"
    }
}

/// A BEGIN line of PEM with nothing else in it: not a whole file in one line, nor with its line ends written as `\n`.
fn is_begin_line(line: &[u8]) -> bool {
    let label = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.trim_ascii_end().strip_suffix(b"-----"));
    label.is_some_and(|label| !label.windows(5).any(|part| part == b"-----"))
}

/// Digits with what tools put between them (`30:82`, `0x30, 0x82`), or a dump with whole lines of them among words.
fn is_hex(text: &[u8]) -> bool {
    let is_all = |line: &[u8]| {
        let mut digits = 0;
        let groups = line.split(|byte| !byte.is_ascii_alphanumeric()).filter(|group| !group.is_empty());
        for group in groups {
            let group = group.strip_prefix(b"0x").or_else(|| group.strip_prefix(b"0X")).unwrap_or(group);
            if !group.iter().all(u8::is_ascii_hexdigit) {
                return 0;
            }
            digits += group.len();
        }
        digits
    };
    let is_line = |line: &&[u8]| line.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace());
    let lines = text.split(|byte| *byte == b'\n').filter(|line| is_all(line) >= 16).filter(is_line);
    is_all(text) >= 6 || lines.count() >= 2
}
