//! Fields that stand in many structures: object identifiers, times, serial numbers, bit strings.

use core::ops::Range;
use core::str::FromStr;

use super::der::{Asn1Error, Cursor, Tag, Tlv, element, sequence};
use super::object_identifier::{ObjectIdentifier, is_well_formed};
use crate::limits::MAX_OID_BYTES;
use crate::prelude::*;
use crate::time::Time;
use crate::words::hex;

const OID: &str = "OBJECT IDENTIFIER";

/// A serial number, content of the INTEGER, as it is shown to people: its bytes in hexadecimal digits, such as `00c1f2`. A
/// negative one (against RFC 5280 section 4.1.2.2, and found in the field) is its magnitude behind a minus sign: `-05`.
pub fn serial_text(content: &[u8]) -> String {
    match content.first() {
        Some(first) if first & 0x80 != 0 => {
            let magnitude = negated(content);
            let zeros = magnitude.iter().take_while(|byte| **byte == 0).count().min(magnitude.len() - 1);
            format!("-{}", hex(&magnitude[zeros..]))
        }
        _ => hex(content),
    }
}

/// The two's complement of a number, most significant byte first, in as many bytes.
pub fn negated(number: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut bytes: Vec<u8> = number
        .iter()
        .rev()
        .map(|byte| {
            let (sum, overflows) = (!byte).overflowing_add(u8::from(carry));
            carry = overflows;
            sum
        })
        .collect();
    bytes.reverse();
    bytes
}

impl ObjectIdentifier {
    /// From the content of an encoding.
    pub fn from_bytes(content: &[u8]) -> Result<Self, Asn1Error> {
        if content.len() > MAX_OID_BYTES {
            return Err(Asn1Error::too_large(OID, "size in bytes", MAX_OID_BYTES, content.len()));
        }
        if !is_well_formed(content) {
            return Err(Asn1Error::invalid(OID, "malformed"));
        }
        Ok(Self::of(content))
    }

    /// From numbers with dots between them.
    pub fn new(dotted: &str) -> Result<Self, Asn1Error> {
        // Digits cost the square of their count.
        if dotted.len() > 4 * MAX_OID_BYTES {
            return Err(Asn1Error::too_large(OID, "size in characters", 4 * MAX_OID_BYTES, dotted.len()));
        }
        Self::parse(dotted.as_bytes()).ok_or_else(|| Asn1Error::invalid(OID, "not numbers with dots between them"))
    }
}

/// In dots.
impl FromStr for ObjectIdentifier {
    type Err = Asn1Error;

    fn from_str(text: &str) -> Result<Self, Asn1Error> {
        Self::new(text)
    }
}

/// Reads an object identifier of at most [`MAX_OID_BYTES`].
pub fn read_oid(cursor: &mut Cursor<'_>) -> Result<ObjectIdentifier, Asn1Error> {
    read_oid_content(cursor).map(ObjectIdentifier::of)
}

/// The same as it came: content that is well formed.
pub(crate) fn read_oid_content<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Asn1Error> {
    const WHAT: &str = "OBJECT IDENTIFIER";
    let content = cursor.expect(Tag::ObjectIdentifier, "an OBJECT IDENTIFIER")?.value;
    if content.len() > MAX_OID_BYTES {
        return Err(Asn1Error::too_large(WHAT, "size in bytes", MAX_OID_BYTES, content.len()));
    }
    if is_well_formed(content) { Ok(content) } else { Err(Asn1Error::invalid(WHAT, "malformed")) }
}

/// Reads a Time: UTCTime or GeneralizedTime in the forms of RFC 5280 section 4.1.2.5.
///
/// GeneralizedTime before 2050 is against the profile but unambiguous, and real roots have it: taken.
pub fn read_time(cursor: &mut Cursor<'_>, field: &'static str) -> Result<Time, Asn1Error> {
    let element = cursor.any(field)?;
    match element.tag {
        Tag::UtcTime => Time::from_utc_time(element.value),
        Tag::GeneralizedTime => Time::from_generalized_time(element.value),
        _ => None,
    }
    .ok_or_else(|| Asn1Error::invalid(field, "not a time in the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ"))
}

/// Content of a BIT STRING that must fill whole bytes.
pub fn bit_string<'a>(element: Tlv<'a>, structure: &'static str, rule: &'static str) -> Result<&'a [u8], Asn1Error> {
    match element.value {
        [0, content @ ..] => Ok(content),
        _ => Err(Asn1Error::invalid(structure, rule)),
    }
}

/// Puts a certificate, CRL or request together from its signed part, AlgorithmIdentifier and signature.
pub fn assemble_signed(tbs: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    sequence(&[tbs, algorithm, &element(0x03, &[&[0], signature])])
}

/// Where `part`, a slice of `whole`, stands in it.
pub(crate) fn span_of(whole: &[u8], part: &[u8]) -> Range<u32> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start as u32..(start + part.len()) as u32
}
