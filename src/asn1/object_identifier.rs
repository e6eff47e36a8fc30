//! Object identifiers: the one type and the one reader, for numbers of any size, such as those made of UUIDs (ITU-T X.667:
//! 2.25 and 128 bits).

use core::fmt;

use ::der::{DecodeValue, EncodeValue, FixedTag, Header, Length, Reader, Tag, Writer};

use crate::limits::MAX_OID_BYTES;
use crate::prelude::*;

/// An object identifier by the content of its encoding; its numbers may be of any size.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
pub struct ObjectIdentifier {
    /// The content, then zeros.
    content: [u8; MAX_OID_BYTES],
    len: u8,
}

/// Not derived: constants are no patterns then. In a pattern each byte would be compared by itself, kilobytes of code in each `match`.
impl PartialEq for ObjectIdentifier {
    #[inline(never)]
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl core::hash::Hash for ObjectIdentifier {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl ObjectIdentifier {
    /// From numbers with dots between them, in the source; what is none does not compile.
    pub const fn new_unwrap(dotted: &str) -> Self {
        match Self::parse(dotted.as_bytes()) {
            Some(oid) => oid,
            None => panic!("no object identifier"),
        }
    }

    /// The content of the encoding.
    pub const fn as_bytes(&self) -> &[u8] {
        self.content.split_at(self.len as usize).0
    }

    /// Of content that is well formed, and no longer than there is room.
    pub(super) fn of(content: &[u8]) -> Self {
        let mut oid = Self::EMPTY;
        oid.content[..content.len()].copy_from_slice(content);
        oid.len = content.len() as u8;
        oid
    }

    pub(super) const EMPTY: Self = ObjectIdentifier { content: [0; MAX_OID_BYTES], len: 0 };

    pub(super) const fn with(mut self, byte: u8) -> Self {
        self.content[self.len as usize] = byte;
        self.len += 1;
        self
    }

    pub(super) const fn parse(text: &[u8]) -> Option<Self> {
        let mut oid = Self::EMPTY;
        let mut position = 0;
        let mut count = 0;
        let mut offset = 0;
        while position < text.len() {
            let start = position;
            while position < text.len() && text[position].is_ascii_digit() {
                position += 1;
            }
            let digits = text.split_at(position).0.split_at(start).1;
            if digits.is_empty() || (digits.len() > 1 && digits[0] == b'0') {
                return None;
            }
            match count {
                // X.690 section 8.19.4: the first two numbers share one.
                0 if digits.len() == 1 && digits[0] <= b'2' => offset = 40 * (digits[0] - b'0'),
                0 => return None,
                1 if offset < 80 && !is_below_40(digits) => return None,
                _ => match oid.with_number(digits, if count == 1 { offset } else { 0 }) {
                    Some(longer) => oid = longer,
                    None => return None,
                },
            }
            count += 1;
            if position < text.len() {
                // A dot, and something behind it.
                if text[position] != b'.' || position + 1 == text.len() {
                    return None;
                }
                position += 1;
            }
        }
        if count < 2 { None } else { Some(oid) }
    }

    /// Appends a decimal number and an offset, in seven bits a byte; `None` where there is no room.
    const fn with_number(mut self, digits: &[u8], offset: u8) -> Option<Self> {
        // Groups of seven bits, the lowest first.
        let mut groups = [0u8; MAX_OID_BYTES];
        let mut used = 1;
        let mut i = 0;
        while i <= digits.len() {
            let (times, mut carry) =
                if i < digits.len() { (10, (digits[i] - b'0') as u32) } else { (1, offset as u32) };
            let mut at = 0;
            while at < used || carry != 0 {
                if at == groups.len() {
                    return None;
                }
                carry += groups[at] as u32 * times;
                groups[at] = (carry & 0x7f) as u8;
                carry >>= 7;
                at += 1;
            }
            used = at;
            i += 1;
        }
        if self.len as usize + used > MAX_OID_BYTES {
            return None;
        }
        while used > 0 {
            used -= 1;
            self = self.with(if used == 0 { groups[used] } else { groups[used] | 0x80 });
        }
        Some(self)
    }
}

const fn is_below_40(digits: &[u8]) -> bool {
    digits.len() == 1 || (digits.len() == 2 && digits[0] < b'4')
}

/// X.690 section 8.19.2: the last byte of each number has bit 8 clear, and none begins with 0x80.
pub(crate) const fn is_well_formed(content: &[u8]) -> bool {
    let mut begins = true;
    let mut i = 0;
    while i < content.len() {
        if begins && content[i] == 0x80 {
            return false;
        }
        begins = content[i] & 0x80 == 0;
        i += 1;
    }
    begins && !content.is_empty()
}

impl fmt::Display for ObjectIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dotted(self.as_bytes(), f)
    }
}

/// The dots and numbers of any content that is well formed, however long.
pub(crate) struct Dotted<'a>(pub &'a [u8]);

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_well_formed(self.0) { write_dotted(self.0, f) } else { f.write_str(&crate::words::hex(self.0)) }
    }
}

fn write_dotted(content: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut is_first = true;
    for number in content.split_inclusive(|byte| byte & 0x80 == 0) {
        if is_first {
            // Only 2.x can have a first subidentifier above 119, or of several bytes.
            let (first, offset) = match number {
                [0..40] => (0, 0),
                [40..80] => (1, 40),
                _ => (2, 80),
            };
            write!(f, "{first}.{}", decimal(number, offset))?;
            is_first = false;
        } else {
            write!(f, ".{}", decimal(number, 0))?;
        }
    }
    Ok(())
}

/// A number in seven bits a byte, less an offset that it is not below, in decimal digits.
fn decimal(number: &[u8], offset: u8) -> String {
    // Decimal digits, the lowest first.
    let mut digits: Vec<u8> = vec![0];
    for byte in number {
        let mut carry = u32::from(byte & 0x7f);
        for digit in &mut digits {
            carry += u32::from(*digit) << 7;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry != 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    let mut borrow = i16::from(offset);
    for digit in &mut digits {
        let value = i16::from(*digit) - borrow % 10;
        borrow = borrow / 10 + i16::from(value < 0);
        *digit = value.rem_euclid(10) as u8;
    }
    while digits.len() > 1 && digits.last() == Some(&0) {
        digits.pop();
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

impl fmt::Debug for ObjectIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectIdentifier({self})")
    }
}

impl FixedTag for ObjectIdentifier {
    const TAG: Tag = Tag::ObjectIdentifier;
}

impl<'a> DecodeValue<'a> for ObjectIdentifier {
    type Error = ::der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> ::der::Result<Self> {
        let malformed = || ::der::Error::from(Tag::ObjectIdentifier.value_error());
        let mut content = [0; MAX_OID_BYTES];
        let len = usize::try_from(header.length())?;
        let content = content.get_mut(..len).ok_or_else(malformed)?;
        reader.read_into(content)?;
        Self::from_bytes(content).map_err(|_| malformed())
    }
}

impl EncodeValue for ObjectIdentifier {
    fn value_len(&self) -> ::der::Result<Length> {
        Ok(Length::from(u16::from(self.len)))
    }

    fn encode_value(&self, writer: &mut impl Writer) -> ::der::Result<()> {
        writer.write(self.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_identifiers_are_those_of_everyone() {
        for text in ["1.2.840.113549.1.1.1", "2.5.29.32.0", "2.16.840.1.101.3.2.1.48.1", "1.3.6.1.4.1.99999.2"] {
            let ours = ObjectIdentifier::new(text).unwrap();
            let theirs = const_oid::ObjectIdentifier::new(text).unwrap();
            assert_eq!((ours.as_bytes(), ours.to_string()), (theirs.as_bytes(), theirs.to_string()));
        }
    }

    /// X.690 section 8.19: what fixed-size readers do not take, as computed by hand.
    #[test]
    fn the_first_two_numbers_share_one_however_large() {
        let known: [(&str, &[u8]); 5] = [
            ("0.0", &[0x00]),
            ("1.39", &[0x4f]),
            ("2.0", &[0x50]),
            ("2.48", &[0x81, 0x00]),
            ("2.999.4294967295", &[0x88, 0x37, 0x8f, 0xff, 0xff, 0xff, 0x7f]),
        ];
        for (text, content) in known {
            let ours: ObjectIdentifier = text.parse().unwrap();
            assert_eq!((ours.as_bytes(), ours.to_string().as_str()), (content, text));
        }
    }

    #[test]
    fn a_uuid_is_one_number() {
        // The example of ITU-T X.667: F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6.
        let text = "2.25.329800735698586629295641978511506172918";
        let oid: ObjectIdentifier = text.parse().unwrap();
        assert_eq!(oid.to_string(), text);
        // Computed from the UUID's 128 bits in groups of seven.
        let uuid = 0xf81d_4fae_7dec_11d0_a765_00a0_c91e_6bf6u128;
        let mut groups: Vec<u8> = (0..19).rev().map(|i| (uuid >> (7 * i)) as u8 | 0x80).collect();
        *groups.last_mut().unwrap() &= 0x7f;
        assert_eq!(oid.as_bytes(), [&[0x69][..], &groups].concat());
    }

    #[test]
    fn twenty_numbers_of_28_bits_have_room() {
        let text = format!("1.3{}", ".268435455".repeat(19));
        assert_eq!(ObjectIdentifier::new(&text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for text in ["", "1", "1.", ".1", "1.40", "0.40", "3.1", "1.2.03", "1.2.x", "1.2.-3", "1.2 .3", "1.2.", "1..2"]
        {
            assert!(text.parse::<ObjectIdentifier>().is_err(), "{text}");
        }
        for digits in [200, 2000] {
            assert!(format!("1.2.{}", "9".repeat(digits)).parse::<ObjectIdentifier>().is_err());
        }
        let longest = [&[0x2a; MAX_OID_BYTES - 1][..], &[0x03]].concat();
        assert!(ObjectIdentifier::from_bytes(&longest).is_ok());
        let malformed: [&[u8]; 5] =
            [&[], &[0x80, 0x01], &[0x2a, 0x80, 0x01], &[0x2a, 0x81], &[0x2a; MAX_OID_BYTES + 1]];
        for content in malformed {
            assert!(ObjectIdentifier::from_bytes(content).is_err());
        }
    }
}
