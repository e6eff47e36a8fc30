//! CRLNumber (RFC 5280 section 5.2.3).

use core::fmt;

use ::der::Tag;

use super::der::{Asn1Error, Cursor};
use crate::limits;
use crate::prelude::*;

/// A CRLNumber or BaseCRLNumber: content of a non-negative INTEGER, kept without leading zeros and so ordered by length,
/// then bytes. RFC 5280 section 5.2.3 has issuers keep to 20 octets; a longer one is a number all the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CrlNumber(Box<[u8]>);

impl CrlNumber {
    /// From the value of the extension.
    pub fn from_der(value: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CRLNumber";
        let mut cursor = Cursor::new(value, WHAT)?;
        let content = cursor.expect(Tag::Integer, "an INTEGER")?.value;
        cursor.finish()?;
        match content {
            [] => Err(Asn1Error::invalid(WHAT, "an INTEGER without content")),
            [first, ..] if first & 0x80 != 0 => Err(Asn1Error::invalid(WHAT, "negative")),
            _ if content.len() > limits::MAX_CRL_NUMBER_BYTES => {
                Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_CRL_NUMBER_BYTES, content.len()))
            }
            _ => Ok(Self::from_be_bytes(content)),
        }
    }

    /// From its bytes, most significant first.
    pub fn from_be_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        CrlNumber(bytes[zeros..].into())
    }

    /// Its bytes, most significant first, without leading zeros.
    pub fn as_be_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for CrlNumber {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for CrlNumber {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 8 {
            return write!(f, "{}", self.0.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
        }
        write!(f, "0x{}", crate::words::hex(&self.0))
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlNumber({self})")
    }
}
