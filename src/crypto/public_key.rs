//! Public keys out of SubjectPublicKeyInfo: split, bounded and told apart before an algorithm sees them.

use ::der::Tag;

use super::{CryptoError, KeyKind, SignatureAlgorithm};
use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{absent_or_null, algorithm_identifier};
use crate::asn1::x509::{bit_string, read_oid};
use crate::limits;
use crate::prelude::*;

/// A public key, borrowed from its SubjectPublicKeyInfo.
#[derive(Clone, Copy)]
pub enum PublicKey<'a> {
    /// RSA; bounded by `limits`.
    Rsa(RsaPublicKey<'a>),
    /// A point on P-256, P-384 or P-521, uncompressed or compressed; not yet checked to lie on the curve.
    Ec {
        /// The curve.
        kind: KeyKind,
        /// The point's octets (SEC 1 section 2.3.3).
        point: &'a [u8],
    },
    /// Ed25519, 32 bytes.
    Ed25519(&'a [u8]),
    /// X25519, 32 bytes: for key agreement only.
    X25519(&'a [u8]),
    /// ML-DSA.
    MlDsa {
        /// The parameter set.
        kind: KeyKind,
        /// The encoded key.
        key: &'a [u8],
    },
    /// ML-KEM.
    MlKem {
        /// The parameter set.
        kind: KeyKind,
        /// The encapsulation key.
        key: &'a [u8],
    },
}

/// The numbers of an RSA key.
#[derive(Clone, Copy)]
pub struct RsaPublicKey<'a> {
    /// The modulus, big endian, first byte not zero.
    pub modulus: &'a [u8],
    /// The public exponent, big endian, first byte not zero.
    pub exponent: &'a [u8],
    /// RSAPublicKey, DER (RFC 8017 appendix A.1.1).
    pub pkcs1: &'a [u8],
    /// Bits of the modulus.
    pub bits: u32,
    use_only: RsaUse,
}

/// What the identifier of an RSA key allows (RFC 4055 section 1.2).
#[derive(Clone, Copy)]
enum RsaUse {
    Anything,
    Pss,
    PssWith(SignatureAlgorithm),
}

impl<'a> PublicKey<'a> {
    /// Splits a SubjectPublicKeyInfo. Named curves only (RFC 5480 section 2.1.1).
    pub fn from_spki(spki: &'a [u8]) -> Result<Self, CryptoError> {
        const WHAT: &str = "SubjectPublicKeyInfo";
        let mut fields = Cursor::sequence(spki, WHAT)?;
        let (algorithm, parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "algorithm")?)?;
        let key = bit_string(fields.expect(Tag::BitString, "subjectPublicKey")?, WHAT, "the key has unused bits")?;
        fields.finish()?;
        let plain = |size: usize| {
            // RFC 8410 section 3, RFC 9881 section 2: parameters MUST be absent.
            if parameters.is_some() {
                Err(CryptoError::BadKey("parameters where there must be none".to_owned()))
            } else if key.len() != size {
                Err(CryptoError::BadKey(format!("a key of {} bytes where {size} belong", key.len())))
            } else {
                Ok(key)
            }
        };
        match algorithm {
            o if o == oid::RSA_ENCRYPTION => {
                absent_or_null(parameters, WHAT)?;
                RsaPublicKey::from_pkcs1(key, RsaUse::Anything).map(PublicKey::Rsa)
            }
            o if o == oid::RSASSA_PSS => {
                let use_only = match parameters {
                    Some(p) if p.tag == Tag::Sequence => RsaUse::PssWith(super::algorithm::pss_parameters(p.bytes)?),
                    other => absent_or_null(other, WHAT).map(|()| RsaUse::Pss)?,
                };
                RsaPublicKey::from_pkcs1(key, use_only).map(PublicKey::Rsa)
            }
            o if o == oid::EC_PUBLIC_KEY => {
                let Some(parameters) = parameters.filter(|p| p.tag == Tag::ObjectIdentifier) else {
                    return Err(CryptoError::BadKey("curve parameters that are not a named curve".to_owned()));
                };
                let kind = curve_kind(read_oid(&mut Cursor::new(parameters.bytes, WHAT)?)?)?;
                let coordinate = coordinate_len(kind);
                match key.first() {
                    Some(4) if key.len() == 1 + 2 * coordinate => {}
                    Some(2 | 3) if key.len() == 1 + coordinate => {}
                    _ => return Err(CryptoError::BadKey("not the octets of a point on the curve".to_owned())),
                }
                Ok(PublicKey::Ec { kind, point: key })
            }
            o if o == oid::ED25519 => plain(32).map(PublicKey::Ed25519),
            o if o == oid::X25519 => plain(32).map(PublicKey::X25519),
            // FIPS 204 table 2.
            o if o == oid::ML_DSA_44 => plain(1312).map(|key| PublicKey::MlDsa { kind: KeyKind::MlDsa44, key }),
            o if o == oid::ML_DSA_65 => plain(1952).map(|key| PublicKey::MlDsa { kind: KeyKind::MlDsa65, key }),
            o if o == oid::ML_DSA_87 => plain(2592).map(|key| PublicKey::MlDsa { kind: KeyKind::MlDsa87, key }),
            // FIPS 203 table 3; RFC 9935 section 3: parameters MUST be absent.
            o if o == oid::ML_KEM_512 => plain(800).map(|key| PublicKey::MlKem { kind: KeyKind::MlKem512, key }),
            o if o == oid::ML_KEM_768 => plain(1184).map(|key| PublicKey::MlKem { kind: KeyKind::MlKem768, key }),
            o if o == oid::ML_KEM_1024 => plain(1568).map(|key| PublicKey::MlKem { kind: KeyKind::MlKem1024, key }),
            other => Err(CryptoError::Unsupported(format!("keys of type {other}"))),
        }
    }

    /// Type and size.
    pub fn kind(&self) -> KeyKind {
        match self {
            PublicKey::Rsa(rsa) => KeyKind::Rsa(rsa.bits),
            PublicKey::Ec { kind, .. } | PublicKey::MlDsa { kind, .. } | PublicKey::MlKem { kind, .. } => *kind,
            PublicKey::Ed25519(_) => KeyKind::Ed25519,
            PublicKey::X25519(_) => KeyKind::X25519,
        }
    }

    /// Refuses algorithms that the key is not for, weak digests and short RSA keys.
    pub fn admit(&self, algorithm: &SignatureAlgorithm, allow_weak: bool) -> Result<(), CryptoError> {
        if algorithm.is_weak() && !allow_weak {
            return Err(CryptoError::Unsupported(format!("{algorithm} is too weak")));
        }
        let found = self.kind();
        if !algorithm.fits(found) {
            return Err(CryptoError::BadKey(format!("a key of type {found} makes no signatures of type {algorithm}")));
        }
        if let PublicKey::Rsa(rsa) = self {
            rsa.admit(algorithm, allow_weak)?;
        }
        Ok(())
    }
}

impl<'a> RsaPublicKey<'a> {
    fn from_pkcs1(pkcs1: &'a [u8], use_only: RsaUse) -> Result<Self, CryptoError> {
        let mut fields = Cursor::sequence(pkcs1, "RSAPublicKey")?;
        let modulus = positive(&mut fields, "modulus")?;
        let exponent = positive(&mut fields, "publicExponent")?;
        fields.finish()?;
        let bits = bit_len(modulus);
        if bits > limits::MAX_RSA_BITS {
            let limit = limits::MAX_RSA_BITS;
            return Err(CryptoError::BadKey(format!("RSA of {bits} bits, the limit is {limit}")));
        }
        if bit_len(exponent) > limits::MAX_RSA_EXPONENT_BITS {
            let limit = limits::MAX_RSA_EXPONENT_BITS;
            return Err(CryptoError::BadKey(format!("an RSA exponent of more than {limit} bits")));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(exponent) || exponent == [1] || !odd(modulus) {
            return Err(CryptoError::BadKey("an RSA modulus or exponent that is even, or exponent 1".to_owned()));
        }
        Ok(RsaPublicKey { modulus, exponent, pkcs1, bits, use_only })
    }

    /// The signatures that the key's identifier binds it to; `None`: any. A salt is the least one (RFC 4055 section 3.3), and
    /// one as long as the digest is what all can make.
    pub(super) fn bound_to(&self) -> Option<SignatureAlgorithm> {
        let whole = |digest: super::DigestAlgorithm| digest.output_len() as u32;
        match self.use_only {
            RsaUse::Anything => None,
            RsaUse::Pss => {
                let digest = super::DigestAlgorithm::Sha256;
                Some(SignatureAlgorithm::RsaPss { digest, salt_len: whole(digest) })
            }
            RsaUse::PssWith(SignatureAlgorithm::RsaPss { digest, salt_len }) => {
                Some(SignatureAlgorithm::RsaPss { digest, salt_len: salt_len.max(whole(digest)) })
            }
            RsaUse::PssWith(other) => Some(other),
        }
    }

    fn admit(&self, algorithm: &SignatureAlgorithm, allow_weak: bool) -> Result<(), CryptoError> {
        let least = if allow_weak { limits::MIN_WEAK_RSA_BITS } else { limits::MIN_RSA_BITS };
        if self.bits < least {
            return Err(CryptoError::BadKey(format!("RSA of {} bits, at least {least} are needed", self.bits)));
        }
        // RFC 4055 section 3.3: a key with parameters verifies with its digest, and no shorter salt.
        let admitted = match (self.use_only, *algorithm) {
            (RsaUse::Anything, _)
            | (RsaUse::Pss, SignatureAlgorithm::RsaPss { .. } | SignatureAlgorithm::RsaPssMasked { .. }) => true,
            (
                RsaUse::PssWith(SignatureAlgorithm::RsaPss { digest: bound, salt_len: least }),
                SignatureAlgorithm::RsaPss { digest, salt_len },
            ) => bound == digest && salt_len >= least,
            (
                RsaUse::PssWith(SignatureAlgorithm::RsaPssMasked { digest: bound, mask: with, salt_len: least }),
                SignatureAlgorithm::RsaPssMasked { digest, mask, salt_len },
            ) => bound == digest && with == mask && salt_len >= least,
            _ => false,
        };
        if admitted {
            Ok(())
        } else {
            Err(CryptoError::BadKey(format!("a key bound to other RSASSA-PSS parameters than {algorithm}")))
        }
    }
}

/// Refuses an RSAPrivateKey (RFC 8017 appendix A.1.2) of a size that is not taken, by its size.
#[cfg(any(feature = "crypto-awslc", feature = "rust-rsa"))]
pub(super) fn check_rsa_private_key(pkcs1: &[u8]) -> Result<(), CryptoError> {
    let mut fields = Cursor::sequence(pkcs1, "RSAPrivateKey")?;
    fields.expect(Tag::Integer, "version")?;
    check_rsa_size(bit_len(positive(&mut fields, "modulus")?))
}

#[cfg(any(feature = "crypto-awslc", feature = "rust-rsa"))]
fn check_rsa_size(bits: u32) -> Result<(), CryptoError> {
    let (least, most) = (limits::MIN_RSA_BITS, limits::MAX_RSA_BITS);
    if (least..=most).contains(&bits) {
        return Ok(());
    }
    Err(CryptoError::BadKey(format!(
        "an RSA private key of {bits} bits; at least {least} and at most {most} are taken"
    )))
}

impl From<Asn1Error> for CryptoError {
    fn from(error: Asn1Error) -> Self {
        match error.problem {
            crate::asn1::Problem::Unknown { .. } => CryptoError::Unsupported(error.to_string()),
            _ => CryptoError::BadKey(error.to_string()),
        }
    }
}

/// The kind that belongs to a named curve.
pub(super) fn curve_kind(curve: Oid) -> Result<KeyKind, CryptoError> {
    match curve {
        o if o == oid::CURVE_P256 => Ok(KeyKind::P256),
        o if o == oid::CURVE_P384 => Ok(KeyKind::P384),
        o if o == oid::CURVE_P521 => Ok(KeyKind::P521),
        other => Err(CryptoError::Unsupported(format!(
            "the curve {}; P-256, P-384 and P-521 are",
            crate::asn1::known_as::named(&other)
        ))),
    }
}

/// The named curve of a kind.
pub(super) fn curve_oid(kind: KeyKind) -> Option<Oid> {
    match kind {
        KeyKind::P256 => Some(oid::CURVE_P256),
        KeyKind::P384 => Some(oid::CURVE_P384),
        KeyKind::P521 => Some(oid::CURVE_P521),
        _ => None,
    }
}

/// Bytes of one coordinate, and of the scalar.
pub(super) const fn coordinate_len(kind: KeyKind) -> usize {
    match kind {
        KeyKind::P384 => 48,
        KeyKind::P521 => 66,
        _ => 32,
    }
}

/// A SubjectPublicKeyInfo from a key in the form its type defines.
pub(crate) fn encode_spki(kind: KeyKind, key: &[u8]) -> Vec<u8> {
    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let parameters = match (kind, curve_oid(kind)) {
        (KeyKind::Rsa(_), _) => vec![0x05, 0x00],
        (_, Some(curve)) => object(curve),
        (_, None) => Vec::new(),
    };
    let identifier = sequence(&[&object(kind.identifier()), &parameters]);
    sequence(&[&identifier, &element(0x03, &[&[0], key])])
}

/// Bits of a number without leading zero bytes.
pub(super) fn bit_len(number: &[u8]) -> u32 {
    number.first().map_or(0, |first| number.len() as u32 * 8 - first.leading_zeros())
}

/// A positive INTEGER in DER's one form, without the zero that keeps it positive.
fn positive<'a>(fields: &mut Cursor<'a>, field: &'static str) -> Result<&'a [u8], Asn1Error> {
    match fields.expect(Tag::Integer, field)?.value {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
        value @ [1..=0x7f, ..] => Ok(value),
        _ => Err(Asn1Error::invalid("RSAPublicKey", "a number that is not positive or not in its shortest form")),
    }
}

impl SignatureAlgorithm {
    /// How a key signs unless the caller says otherwise. An RSA key whose identifier is id-RSASSA-PSS makes such signatures
    /// only, with parameters by those (RFC 4055 section 1.2); other keys as [`KeyKind::default_signature`] says.
    pub fn default_for(spki: &[u8], kind: KeyKind) -> Self {
        match PublicKey::from_spki(spki) {
            Ok(PublicKey::Rsa(rsa)) => rsa.bound_to().unwrap_or(kind.default_signature()),
            _ => kind.default_signature(),
        }
    }
}
