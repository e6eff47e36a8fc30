//! The string types of names as text (RFC 5280 section 4.1.2.4), and which of them an attribute takes (appendix A.1).

use alloc::borrow::Cow;

use super::oid::{self, Oid};
use crate::prelude::*;

/// Universal tags of the string types.
pub(crate) const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
const GRAPHIC_STRING: u8 = 0x19;
const VISIBLE_STRING: u8 = 0x1a;
const GENERAL_STRING: u8 = 0x1b;
pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// The text of a string by its tag byte and content; `None` for other types and for text that breaks its encoding.
pub(crate) fn text(tag: u8, content: &[u8]) -> Option<Cow<'_, str>> {
    match tag {
        UTF8_STRING | NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING => {
            core::str::from_utf8(content).ok().map(Cow::Borrowed)
        }
        // Escape sequences choose their characters; without any they are those of ASCII.
        GRAPHIC_STRING | GENERAL_STRING => core::str::from_utf8(content)
            .ok()
            .filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
            .map(Cow::Borrowed),
        // T.61 as everyone has read it since: Latin-1.
        TELETEX_STRING => Some(match core::str::from_utf8(content) {
            Ok(text) if text.is_ascii() => Cow::Borrowed(text),
            _ => content.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
        }),
        BMP_STRING => {
            let units = content.chunks(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                // An odd length: a lone surrogate, which the decoder refuses.
                _ => 0xd800,
            });
            char::decode_utf16(units).collect::<Result<String, _>>().ok().map(Cow::Owned)
        }
        // ISO 10646 UCS-4: four bytes a character.
        UNIVERSAL_STRING => {
            let characters = content.chunks(4).map(|c| <[u8; 4]>::try_from(c).ok().map(u32::from_be_bytes));
            characters.map(|c| char::from_u32(c?)).collect::<Option<String>>().map(Cow::Owned)
        }
        _ => None,
    }
}

/// PKCS#9 unstructuredName, as Cisco's devices have it; mail of RFC 4524.
const UNSTRUCTURED_NAME: Oid = Oid::new_unwrap("1.2.840.113549.1.9.2");
const MAIL: Oid = Oid::new_unwrap("0.9.2342.19200300.100.1.3");

/// The string type that RFC 5280 appendix A.1 (and RFC 3739, RFC 4524 and PKCS#9 for theirs) gives to an attribute;
/// DirectoryString is written as UTF8String.
pub(crate) fn type_of(attribute: Oid) -> u8 {
    match attribute {
        o if o == oid::AT_COUNTRY
            || o == oid::AT_SERIAL_NUMBER
            || o == oid::AT_DN_QUALIFIER
            || o == oid::AT_TELEPHONE_NUMBER
            || o == oid::AT_JURISDICTION_COUNTRY
            || o == oid::AT_GENDER
            || o == oid::AT_COUNTRY_OF_CITIZENSHIP
            || o == oid::AT_COUNTRY_OF_RESIDENCE =>
        {
            PRINTABLE_STRING
        }
        o if [oid::AT_DOMAIN_COMPONENT, oid::EMAIL_ADDRESS, UNSTRUCTURED_NAME, MAIL].contains(&o) => IA5_STRING,
        _ => UTF8_STRING,
    }
}

/// Why an attribute cannot have this text.
pub(crate) fn objection(attribute: Oid, text: &str) -> Option<&'static str> {
    if text.is_empty() {
        // DirectoryString and the others have SIZE (1..MAX).
        return Some("an empty value");
    }
    let is_country =
        [oid::AT_COUNTRY, oid::AT_JURISDICTION_COUNTRY, oid::AT_COUNTRY_OF_CITIZENSHIP, oid::AT_COUNTRY_OF_RESIDENCE]
            .contains(&attribute);
    if is_country && !(text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_alphabetic())) {
        return Some("a country that is not the two letters of ISO 3166");
    }
    match type_of(attribute) {
        PRINTABLE_STRING if !text.bytes().all(is_printable) => {
            Some("a character that PrintableString does not have: it has letters, digits, space and '()+,-./:=?")
        }
        IA5_STRING if !text.is_ascii() => Some("a character beyond ASCII where IA5String is needed"),
        _ => None,
    }
}

/// The alphabet of PrintableString (X.680 section 41.4).
pub(crate) fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_string_types_are_text() {
        let cases: [(u8, &[u8]); 6] = [
            (UTF8_STRING, "Gerät".as_bytes()),
            (TELETEX_STRING, b"Ger\xe4t"),
            (BMP_STRING, b"\0G\0e\0r\0\xe4\0t"),
            (UNIVERSAL_STRING, b"\0\0\0G\0\0\0e\0\0\0r\0\0\0\xe4\0\0\0t"),
            (PRINTABLE_STRING, "Gerät".as_bytes()),
            (IA5_STRING, "Gerät".as_bytes()),
        ];
        for (tag, content) in cases {
            assert_eq!(text(tag, content).unwrap(), "Gerät", "tag {tag:#x}");
        }
        assert_eq!(text(BMP_STRING, b"\xd8\x3d\xde\x00").unwrap(), "\u{1f600}");
    }

    #[test]
    fn what_breaks_its_encoding_is_no_text() {
        let cases: [(u8, &[u8]); 6] = [
            (UTF8_STRING, b"\xff"),
            (BMP_STRING, b"\0G\0"),
            (BMP_STRING, b"\xd8\x00\0G"),
            (UNIVERSAL_STRING, b"\0\0G"),
            (UNIVERSAL_STRING, b"\0\x11\0\0"),
            (0x02, b"1"),
        ];
        for (tag, content) in cases {
            assert_eq!(text(tag, content), None, "tag {tag:#x}");
        }
    }
}
