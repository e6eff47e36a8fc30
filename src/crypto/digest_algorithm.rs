//! Digests: identifiers, names, lengths.

use core::fmt;

use ::der::Tag;

use crate::asn1::der::{Asn1Error, Cursor, element};
use crate::asn1::fields::read_oid;
use crate::asn1::oid::{self, Oid};
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;

/// Message digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// For old signatures behind the *weak* switch, for key identifiers and OCSP CertIDs, and old MACs.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// Length of the value in bytes.
    pub const fn output_len(self) -> usize {
        match self {
            DigestAlgorithm::Sha1 => 20,
            DigestAlgorithm::Sha224 => 28,
            DigestAlgorithm::Sha256 => 32,
            DigestAlgorithm::Sha384 => 48,
            DigestAlgorithm::Sha512 => 64,
        }
    }

    /// By name, with or without the dash: `SHA256`, `SHA-256`; letter case is free.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|d| name.eq_ignore_ascii_case(&d.to_string()) || name.eq_ignore_ascii_case(&d.short_name()))
    }

    /// The same, for a name that somebody wrote: what is unknown is told with an example.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| unknown_name(name, "digest", "SHA256"))
    }

    /// Without the dash, as in `ECDSA-SHA256`.
    pub(super) fn short_name(self) -> String {
        self.to_string().replace('-', "")
    }

    /// The identifier of the digest itself.
    pub const fn oid(self) -> Oid {
        match self {
            DigestAlgorithm::Sha1 => oid::SHA1,
            DigestAlgorithm::Sha224 => oid::SHA224,
            DigestAlgorithm::Sha256 => oid::SHA256,
            DigestAlgorithm::Sha384 => oid::SHA384,
            DigestAlgorithm::Sha512 => oid::SHA512,
        }
    }

    /// The identifier of HMAC with this digest (RFC 8018 appendix B.1.2).
    pub const fn hmac_oid(self) -> Oid {
        match self {
            DigestAlgorithm::Sha1 => oid::HMAC_WITH_SHA1,
            DigestAlgorithm::Sha224 => oid::HMAC_WITH_SHA224,
            DigestAlgorithm::Sha256 => oid::HMAC_WITH_SHA256,
            DigestAlgorithm::Sha384 => oid::HMAC_WITH_SHA384,
            DigestAlgorithm::Sha512 => oid::HMAC_WITH_SHA512,
        }
    }

    /// By the digest's identifier.
    pub fn from_oid(found: Oid) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.oid() == found)
    }

    /// By the identifier of HMAC with it; the identifier of RFC 2202's HMAC-SHA1 counts too.
    pub fn from_hmac_oid(found: Oid) -> Option<Self> {
        if found == oid::HMAC_SHA1_RFC2202 {
            return Some(DigestAlgorithm::Sha1);
        }
        Self::ALL.into_iter().find(|d| d.hmac_oid() == found)
    }

    pub(super) const ALL: [Self; 5] = [
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha224,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    ];
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DigestAlgorithm::Sha1 => "SHA-1",
            DigestAlgorithm::Sha224 => "SHA-224",
            DigestAlgorithm::Sha256 => "SHA-256",
            DigestAlgorithm::Sha384 => "SHA-384",
            DigestAlgorithm::Sha512 => "SHA-512",
        })
    }
}

/// The DER of an OBJECT IDENTIFIER.
pub fn encode_oid(found: Oid) -> Vec<u8> {
    element(0x06, &[found.as_bytes()])
}

/// A digest's AlgorithmIdentifier: parameters NULL or absent.
pub fn digest_identifier(bytes: &[u8]) -> Result<DigestAlgorithm, Asn1Error> {
    const WHAT: &str = "digest AlgorithmIdentifier";
    let mut fields = Cursor::sequence(bytes, WHAT)?;
    let found = read_oid(&mut fields)?;
    fields.optional(Tag::Null)?;
    fields.finish()?;
    DigestAlgorithm::from_oid(found).ok_or_else(|| Asn1Error::unknown(WHAT, "a digest", found))
}

pub(super) fn unknown_name(name: &str, what: &str, example: &str) -> Error {
    let words = format!("{} is not a known {what} (for example {example})", crate::words::quoted(name));
    Error::new(Code::InvalidArgument, words)
}
