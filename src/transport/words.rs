//! What a server says in a body that is no message: told to people in quotes, and never believed.

/// Most characters of a server's words that are told.
const MAX_CHARACTERS: usize = 300;
/// Most bytes of a body that are looked at for words.
const MAX_BYTES: usize = 16 * 1024;

/// The text in a body, on one line, without markup; `None` if it is no text.
pub(super) fn words_of(body: &[u8]) -> Option<String> {
    let head = &body[..body.len().min(MAX_BYTES)];
    let text = match std::str::from_utf8(head) {
        _ if is_utf_16(head).is_some() => from_utf_16(head),
        Ok(text) => text.to_owned(),
        // Cut within a character.
        Err(error) if body.len() > head.len() && error.error_len().is_none() => {
            String::from_utf8_lossy(&head[..error.valid_up_to()]).into_owned()
        }
        // Latin-1, as old servers have it; what has other control characters is no text.
        Err(_) => head.iter().map(|byte| char::from(*byte)).collect(),
    };
    let text = text.trim_start_matches('\u{feff}');
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let plain = if text.trim_start().starts_with('<') { without_markup(text) } else { text.to_owned() };
    let mut words = String::new();
    for word in plain.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().map(|c| if crate::asn1::name::is_misleading(c) { '\u{fffd}' } else { c }));
    }
    if words.chars().count() > MAX_CHARACTERS {
        words = words.chars().take(MAX_CHARACTERS).collect();
        words.push_str(" ...");
    }
    (!words.is_empty()).then_some(words)
}

/// Whether this is UTF-16, as servers on Windows write it, and whether its high bytes come first.
fn is_utf_16(body: &[u8]) -> Option<bool> {
    match body {
        [0xfe, 0xff, ..] => Some(true),
        [0xff, 0xfe, ..] => Some(false),
        // Without a mark: markup or JSON begins with two ASCII characters.
        [0, b'<' | b'{', 0, b'!'..=b'~', ..] => Some(true),
        [b'<' | b'{', 0, b'!'..=b'~', 0, ..] => Some(false),
        _ => None,
    }
}

fn from_utf_16(body: &[u8]) -> String {
    let is_big = is_utf_16(body).unwrap_or_default();
    let units = body.chunks_exact(2).map(|pair| match is_big {
        true => u16::from_be_bytes([pair[0], pair[1]]),
        false => u16::from_le_bytes([pair[0], pair[1]]),
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The text between the tags of HTML or XML, but for scripts and styles.
fn without_markup(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        out.push(' ');
        rest = tag.split_once('>').map_or("", |(_, behind)| behind);
        for element in ["script", "style"] {
            let is_it = tag.get(..element.len()).is_some_and(|name| name.eq_ignore_ascii_case(element));
            if is_it {
                rest = rest.split_once("</").map_or("", |(_, behind)| behind.split_once('>').map_or("", |(_, b)| b));
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_on_one_line() {
        assert_eq!(words_of(b"CMP alias 'x'\r\n does not exist\n").unwrap(), "CMP alias 'x' does not exist");
        assert_eq!(words_of(b"{\"message\": \"no\"}").unwrap(), "{\"message\": \"no\"}");
        assert_eq!(words_of("Ger\u{e4}t".as_bytes()).unwrap(), "Ger\u{e4}t");
        assert_eq!(words_of(b"Ger\xe4t").unwrap(), "Ger\u{e4}t");
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(words_of(&wide("\u{feff}n\u{f6}")).unwrap(), "n\u{f6}");
        assert_eq!(words_of(&wide("<p>No</p>")).unwrap(), "No");
        let page = b"<html><head><style>b{x:y}</style><title>Error</title></head><body><b>No</b> alias</body></html>";
        assert_eq!(words_of(page).unwrap(), "Error No alias");
    }

    #[test]
    fn what_is_no_text_is_not_told_and_long_texts_are_cut() {
        for body in [&b""[..], b" \n", &[0x30, 0x03, 0x02, 0x01, 0x00], &[0x1f, 0x8b, 8, 0], b"<html></html>"] {
            assert_eq!(words_of(body), None, "{body:?}");
        }
        let long = words_of("ä".repeat(MAX_BYTES).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), MAX_CHARACTERS + 4);
        assert!(!words_of("a\u{202e}b".as_bytes()).unwrap().contains('\u{202e}'));
    }
}
