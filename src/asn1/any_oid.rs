//! Object identifiers whose numbers may be of any size, such as those made of UUIDs (ITU-T X.667: 2.25 and 128 bits).

use std::fmt;
use std::str::FromStr;

use super::der::Asn1Error;
use super::oid::Oid;
use crate::limits;

const WHAT: &str = "OBJECT IDENTIFIER";

/// An object identifier by the content of its encoding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnyOid(Box<[u8]>);

impl AnyOid {
    /// From content that a reader of OBJECT IDENTIFIER has checked.
    pub(crate) fn from_checked(content: &[u8]) -> Self {
        AnyOid(content.into())
    }

    /// The content of the encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Oid> for AnyOid {
    fn from(oid: Oid) -> Self {
        AnyOid(oid.as_bytes().into())
    }
}

impl PartialEq<Oid> for AnyOid {
    fn eq(&self, other: &Oid) -> bool {
        *self.0 == *other.as_bytes()
    }
}

/// In dots.
impl FromStr for AnyOid {
    type Err = Asn1Error;

    fn from_str(text: &str) -> Result<Self, Asn1Error> {
        let malformed = || Asn1Error::invalid(WHAT, "not numbers with dots between them");
        let is_number =
            |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (n.len() == 1 || !n.starts_with('0'));
        // Digits cost the square of their count.
        if text.len() > 4 * limits::MAX_OID_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in characters", 4 * limits::MAX_OID_BYTES, text.len()));
        }
        let numbers: Vec<&str> = text.split('.').collect();
        let ([first, second, rest @ ..], true) = (&numbers[..], numbers.iter().all(is_number)) else {
            return Err(malformed());
        };
        let mut content = Vec::new();
        // X.690 section 8.19.4: the first two numbers share one.
        let first: u8 = match *first {
            "0" => 0,
            "1" => 40,
            "2" => 80,
            _ => return Err(malformed()),
        };
        if first < 80 && second.parse::<u8>().map_or(true, |n| n >= 40) {
            return Err(malformed());
        }
        push_number(&mut content, second, first);
        rest.iter().for_each(|number| push_number(&mut content, number, 0));
        if content.len() > limits::MAX_OID_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_OID_BYTES, content.len()));
        }
        Ok(AnyOid(content.into()))
    }
}

/// Appends a decimal number and an offset, in seven bits a byte.
fn push_number(content: &mut Vec<u8>, decimal: &str, offset: u8) {
    // Groups of seven bits, the lowest first.
    let mut groups: Vec<u8> = vec![0];
    let mut times_and_plus = |times: u32, plus: u32| {
        let mut carry = plus;
        for group in &mut groups {
            carry += u32::from(*group) * times;
            *group = (carry & 0x7f) as u8;
            carry >>= 7;
        }
        while carry != 0 {
            groups.push((carry & 0x7f) as u8);
            carry >>= 7;
        }
    };
    decimal.bytes().for_each(|digit| times_and_plus(10, u32::from(digit - b'0')));
    times_and_plus(1, u32::from(offset));
    content.extend(groups.iter().enumerate().rev().map(|(i, group)| if i == 0 { *group } else { group | 0x80 }));
}

impl fmt::Display for AnyOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for number in self.0.split_inclusive(|byte| byte & 0x80 == 0) {
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

impl fmt::Debug for AnyOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyOid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_identifiers_are_those_of_everyone() {
        for text in ["0.39.1", "1.2.840.113549.1.1.1", "2.5.29.32.0", "2.16.840.1.101.3.2.1.48.1"] {
            let ours: AnyOid = text.parse().unwrap();
            // The fixed-size type takes second numbers to 39 only, also below 2, where the standard has no bound.
            if let Ok(theirs) = Oid::new(text) {
                assert_eq!(ours, AnyOid::from(theirs), "{text}");
            }
            assert_eq!(ours.to_string(), text);
        }
    }

    /// X.690 section 8.19: what the other reader does not take, as computed by hand.
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
            let ours: AnyOid = text.parse().unwrap();
            assert_eq!((ours.as_bytes(), ours.to_string().as_str()), (content, text));
        }
    }

    #[test]
    fn a_uuid_is_one_number() {
        // The example of ITU-T X.667: F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6.
        let text = "2.25.329800735698586629295641978511506172918";
        let oid: AnyOid = text.parse().unwrap();
        assert_eq!(oid.to_string(), text);
        // Computed from the UUID's 128 bits in groups of seven.
        let uuid = 0xf81d_4fae_7dec_11d0_a765_00a0_c91e_6bf6u128;
        let mut groups: Vec<u8> = (0..19).rev().map(|i| (uuid >> (7 * i)) as u8 | 0x80).collect();
        *groups.last_mut().unwrap() &= 0x7f;
        assert_eq!(oid.as_bytes(), [&[0x69][..], &groups].concat());
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for text in ["", "1", "1.", ".1", "1.40", "0.40", "3.1", "1.2.03", "1.2.x", "1.2.-3", "1.2 .3"] {
            assert!(text.parse::<AnyOid>().is_err(), "{text}");
        }
        let long = format!("1.2.{}", "9".repeat(2000));
        assert!(long.parse::<AnyOid>().is_err());
    }
}
