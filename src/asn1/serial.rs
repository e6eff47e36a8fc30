//! Serial numbers from text, as people and tools write them.

use super::crl::shortest_integer;
use super::fields::negated;
use crate::prelude::*;

/// More than any serial number has: 20 octets (RFC 5280 section 4.1.2.2), and twice that for those in the field.
const MAX_DIGITS: usize = 80;

/// Content of the INTEGER, from hexadecimal digits as [`serial_text`](super::x509::serial_text) writes them: blanks and colons do
/// not count, a minus sign makes it negative. None for anything else.
pub fn serial_from_text(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix('-') {
        Some(magnitude) => {
            let number = negated(&[&[0], &magnitude_of(magnitude)?[..]].concat());
            Some(shortest_integer(&number).to_vec())
        }
        None => magnitude_of(text),
    }
}

fn magnitude_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !matches!(c, ':' | ' '));
    let values: Vec<u8> = digits.map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
    if values.is_empty() || values.len() > MAX_DIGITS {
        return None;
    }
    let octets = values.rchunks(2).rev().map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit));
    // A zero in front keeps the number positive; those that are not needed go.
    let bytes: Vec<u8> = core::iter::once(0).chain(octets).collect();
    Some(shortest_integer(&bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::fields::serial_text;

    #[test]
    fn serial_numbers_are_read_as_people_and_tools_write_them() {
        for (text, bytes) in [
            ("0", vec![0]),
            ("000", vec![0]),
            ("1f", vec![0x1f]),
            ("00:81", vec![0, 0x81]),
            ("81", vec![0, 0x81]),
            ("abc", vec![0x0a, 0xbc]),
            ("-05", vec![0xfb]),
            ("-1", vec![0xff]),
            ("-80", vec![0x80]),
            ("-0100", vec![0xff, 0x00]),
        ] {
            assert_eq!(serial_from_text(text).unwrap(), bytes, "{text}");
            let shown = serial_text(&bytes);
            assert_eq!(serial_from_text(&shown).unwrap(), bytes, "{shown}");
        }
        for text in ["", ":", "0x1f", "-", "--1", "1-", "xyz", &"1".repeat(81)] {
            assert!(serial_from_text(text).is_none(), "{text}");
        }
    }
}
