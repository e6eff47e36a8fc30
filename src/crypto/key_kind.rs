//! Kinds of keys: identifiers, names, what they can do.

use core::fmt;

use ::der::Tag;

use super::digest_algorithm::unknown_name;
use crate::asn1::der::{Asn1Error, Cursor};
use crate::asn1::fields::read_oid;
use crate::asn1::oid;
use crate::error::Error;
use crate::prelude::*;

/// Types and sizes of key pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA with a modulus of this many bits.
    Rsa(u32),
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
    /// X25519: agrees on secrets, signs nothing (RFC 8410).
    X25519,
    /// ML-KEM-512: decapsulates, signs nothing (RFC 9935).
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
}

impl KeyKind {
    /// Whether such a key makes signatures.
    pub const fn can_sign(self) -> bool {
        !matches!(self, KeyKind::X25519 | KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024)
    }

    /// Whether such a key agrees on a secret with another of its kind.
    pub const fn can_agree(self) -> bool {
        matches!(self, KeyKind::P256 | KeyKind::P384 | KeyKind::P521 | KeyKind::X25519)
    }

    /// Whether a secret is encapsulated to such a key.
    pub const fn can_decapsulate(self) -> bool {
        matches!(self, KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024)
    }

    /// Whether something can be encrypted to such a key: by transport, agreement or encapsulation.
    pub const fn can_receive(self) -> bool {
        self.can_agree() || self.can_decapsulate() || matches!(self, KeyKind::Rsa(_))
    }

    /// The identifier of its algorithm in SubjectPublicKeyInfo and PKCS#8; of EC keys the curve stands beside it.
    pub(crate) const fn identifier(self) -> oid::Oid {
        match self {
            KeyKind::Rsa(_) => oid::RSA_ENCRYPTION,
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => oid::EC_PUBLIC_KEY,
            KeyKind::Ed25519 => oid::ED25519,
            KeyKind::MlDsa44 => oid::ML_DSA_44,
            KeyKind::MlDsa65 => oid::ML_DSA_65,
            KeyKind::MlDsa87 => oid::ML_DSA_87,
            KeyKind::X25519 => oid::X25519,
            KeyKind::MlKem512 => oid::ML_KEM_512,
            KeyKind::MlKem768 => oid::ML_KEM_768,
            KeyKind::MlKem1024 => oid::ML_KEM_1024,
        }
    }

    /// Those whose size is in their name.
    pub(crate) const NAMED: [KeyKind; 11] = [
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
        KeyKind::MlDsa44,
        KeyKind::MlDsa65,
        KeyKind::MlDsa87,
        KeyKind::X25519,
        KeyKind::MlKem512,
        KeyKind::MlKem768,
        KeyKind::MlKem1024,
    ];

    /// By the name that [`Display`](fmt::Display) writes, such as `RSA-2048`, `P-256` or `Ed25519`; letter case is free.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(kind) = Self::NAMED.into_iter().find(|kind| name.eq_ignore_ascii_case(&kind.to_string())) {
            return Some(kind);
        }
        let (prefix, bits) = name.split_at_checked(4)?;
        if !prefix.eq_ignore_ascii_case("RSA-") || !bits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        bits.parse().ok().map(KeyKind::Rsa)
    }

    /// The same, for a name that somebody wrote: what is unknown is told with an example.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| unknown_name(name, "kind of key", "P-256 or RSA-2048"))
    }

    /// Reads type and size from a SubjectPublicKeyInfo, DER. Explicit curve parameters are refused.
    pub fn of_spki(spki: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "SubjectPublicKeyInfo";
        let mut fields = Cursor::sequence(spki, WHAT)?;
        let mut algorithm = Cursor::new(fields.expect(Tag::Sequence, "algorithm")?.value, WHAT)?;
        let key = fields.expect(Tag::BitString, "subjectPublicKey")?;
        fields.finish()?;
        let found = read_oid(&mut algorithm)?;
        match found {
            o if o == oid::RSA_ENCRYPTION || o == oid::RSASSA_PSS => {
                let content = key.value.get(1..).unwrap_or_default();
                let modulus = Cursor::sequence(content, "RSAPublicKey")?.expect(Tag::Integer, "modulus")?.value;
                let significant = modulus.iter().position(|b| *b != 0).map_or(&[][..], |i| &modulus[i..]);
                let leading = significant.first().map_or(0, |b| b.leading_zeros());
                Ok(KeyKind::Rsa(significant.len() as u32 * 8 - leading))
            }
            o if o == oid::EC_PUBLIC_KEY => match algorithm.peek() {
                Some(Tag::ObjectIdentifier) => match read_oid(&mut algorithm)? {
                    o if o == oid::CURVE_P256 => Ok(KeyKind::P256),
                    o if o == oid::CURVE_P384 => Ok(KeyKind::P384),
                    o if o == oid::CURVE_P521 => Ok(KeyKind::P521),
                    other => Err(Asn1Error::unknown(WHAT, "a curve", other)),
                },
                // RFC 5480 section 2.1.1: implicitCurve and specifiedCurve MUST NOT be used.
                _ => Err(Asn1Error::invalid(WHAT, "curve parameters that are not a named curve")),
            },
            o if o == oid::ED25519 => Ok(KeyKind::Ed25519),
            o if o == oid::ML_DSA_44 => Ok(KeyKind::MlDsa44),
            o if o == oid::ML_DSA_65 => Ok(KeyKind::MlDsa65),
            o if o == oid::ML_DSA_87 => Ok(KeyKind::MlDsa87),
            o if o == oid::X25519 => Ok(KeyKind::X25519),
            o if o == oid::ML_KEM_512 => Ok(KeyKind::MlKem512),
            o if o == oid::ML_KEM_768 => Ok(KeyKind::MlKem768),
            o if o == oid::ML_KEM_1024 => Ok(KeyKind::MlKem1024),
            other => Err(Asn1Error::unknown(WHAT, "a type of key", other)),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa(bits) => write!(f, "RSA-{bits}"),
            KeyKind::P256 => f.write_str("P-256"),
            KeyKind::P384 => f.write_str("P-384"),
            KeyKind::P521 => f.write_str("P-521"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
            KeyKind::MlDsa44 => f.write_str("ML-DSA-44"),
            KeyKind::MlDsa65 => f.write_str("ML-DSA-65"),
            KeyKind::MlDsa87 => f.write_str("ML-DSA-87"),
            KeyKind::X25519 => f.write_str("X25519"),
            KeyKind::MlKem512 => f.write_str("ML-KEM-512"),
            KeyKind::MlKem768 => f.write_str("ML-KEM-768"),
            KeyKind::MlKem1024 => f.write_str("ML-KEM-1024"),
        }
    }
}
