//! Signature algorithms: identifiers, parameters, names, and with which keys they go.

use core::fmt;

use ::der::Tag;

use super::digest_algorithm::{DigestAlgorithm, digest_identifier, encode_oid, unknown_name};
use super::key_kind::KeyKind;
use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::asn1::fields::read_oid;
use crate::asn1::oid::{self, Oid};
use crate::error::Error;
use crate::prelude::*;

/// Signature algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with this digest.
    RsaPkcs1(DigestAlgorithm),
    /// RSASSA-PSS, MGF1 with the same digest, salt of this many bytes.
    RsaPss {
        /// Digest of message and mask generation.
        digest: DigestAlgorithm,
        /// Length of the salt in bytes.
        salt_len: u32,
    },
    /// RSASSA-PSS whose mask is made with another digest: verified (a weak digest is no weakness there), never made.
    RsaPssMasked {
        /// Digest of the message.
        digest: DigestAlgorithm,
        /// Digest of MGF1.
        mask: DigestAlgorithm,
        /// Length of the salt in bytes.
        salt_len: u32,
    },
    /// ECDSA with this digest.
    Ecdsa(DigestAlgorithm),
    /// The same with NULL as parameters, which RFC 5758 section 3.2 rules out and Mbed TLS wrote until 2023, JDK 11 too: only read,
    /// and only where weak signatures are taken.
    EcdsaWithNull(DigestAlgorithm),
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// ML-DSA-44, pure, empty context (RFC 9881).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl SignatureAlgorithm {
    /// The name that programs use: `RSA-PKCS1-SHA256`, `RSA-PSS-SHA256` (the salt as long as the digest, else
    /// `RSA-PSS-SHA256/20`), `ECDSA-SHA256`, `Ed25519`, `ML-DSA-44`.
    pub fn name(self) -> String {
        match self {
            Self::RsaPkcs1(digest) => format!("RSA-PKCS1-{}", digest.short_name()),
            Self::RsaPss { digest, salt_len } if salt_len as usize == digest.output_len() => {
                format!("RSA-PSS-{}", digest.short_name())
            }
            Self::RsaPss { digest, salt_len } => format!("RSA-PSS-{}/{salt_len}", digest.short_name()),
            Self::RsaPssMasked { digest, mask, salt_len } => {
                format!("RSA-PSS-{}/{salt_len}/MGF1-{}", digest.short_name(), mask.short_name())
            }
            Self::Ecdsa(digest) | Self::EcdsaWithNull(digest) => format!("ECDSA-{}", digest.short_name()),
            Self::Ed25519 | Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => self.to_string(),
        }
    }

    /// By the name that [`SignatureAlgorithm::name`] gives, salts as long as the digest; letter case is free.
    pub fn from_name(name: &str) -> Option<Self> {
        let with_digest = DigestAlgorithm::ALL.into_iter().flat_map(|digest| {
            let salt_len = digest.output_len() as u32;
            [Self::RsaPkcs1(digest), Self::RsaPss { digest, salt_len }, Self::Ecdsa(digest)]
        });
        let mut all = with_digest.chain([Self::Ed25519, Self::MlDsa44, Self::MlDsa65, Self::MlDsa87]);
        all.find(|algorithm| name.eq_ignore_ascii_case(&algorithm.name()))
    }

    /// The same, for a name that somebody wrote: what is unknown is told with an example.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| unknown_name(name, "signature algorithm", "ECDSA-SHA256"))
    }

    /// From an AlgorithmIdentifier, DER. Parameters are checked against what the identifier demands.
    pub fn from_der(identifier: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "AlgorithmIdentifier";
        let mut fields = Cursor::sequence(identifier, WHAT)?;
        let found = read_oid(&mut fields)?;
        let parameters = if fields.is_empty() { None } else { Some(fields.any("parameters")?) };
        fields.finish()?;
        let absent_or_null = parameters.is_none_or(|p| p.tag == Tag::Null && p.value.is_empty());
        use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
        let rsa = |digest| {
            // RFC 4055 section 5: NULL; absent must be accepted too.
            if absent_or_null {
                Ok(Self::RsaPkcs1(digest))
            } else {
                Err(Asn1Error::invalid(WHAT, "parameters of an RSA signature other than NULL"))
            }
        };
        let without = |algorithm| {
            // RFC 5758 section 3.2, RFC 8410 section 3, RFC 9881 section 2: parameters MUST be absent.
            if parameters.is_none() {
                Ok(algorithm)
            } else {
                Err(Asn1Error::invalid(WHAT, "parameters where there must be none"))
            }
        };
        let ecdsa = |digest| match parameters {
            Some(_) if absent_or_null => Ok(Self::EcdsaWithNull(digest)),
            _ => without(Self::Ecdsa(digest)),
        };
        match found {
            o if o == oid::SHA1_WITH_RSA => rsa(Sha1),
            o if o == oid::SHA224_WITH_RSA => rsa(Sha224),
            o if o == oid::SHA256_WITH_RSA => rsa(Sha256),
            o if o == oid::SHA384_WITH_RSA => rsa(Sha384),
            o if o == oid::SHA512_WITH_RSA => rsa(Sha512),
            o if o == oid::RSASSA_PSS => {
                let parameters = parameters.ok_or_else(|| Asn1Error::invalid(WHAT, "RSASSA-PSS without parameters"))?;
                pss_parameters(parameters.bytes)
            }
            o if o == oid::ECDSA_WITH_SHA1 => ecdsa(Sha1),
            o if o == oid::ECDSA_WITH_SHA224 => ecdsa(Sha224),
            o if o == oid::ECDSA_WITH_SHA256 => ecdsa(Sha256),
            o if o == oid::ECDSA_WITH_SHA384 => ecdsa(Sha384),
            o if o == oid::ECDSA_WITH_SHA512 => ecdsa(Sha512),
            o if o == oid::ED25519 => without(Self::Ed25519),
            o if o == oid::ML_DSA_44 => without(Self::MlDsa44),
            o if o == oid::ML_DSA_65 => without(Self::MlDsa65),
            o if o == oid::ML_DSA_87 => without(Self::MlDsa87),
            other => Err(Asn1Error::unknown(WHAT, "a signature algorithm", other)),
        }
    }

    /// The AlgorithmIdentifier, DER.
    pub fn to_der(self) -> Vec<u8> {
        const NULL: &[u8] = &[0x05, 0x00];
        use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
        let plain = |found: Oid| sequence(&[&encode_oid(found)]);
        match self {
            Self::RsaPkcs1(digest) => {
                let found = match digest {
                    Sha1 => oid::SHA1_WITH_RSA,
                    Sha224 => oid::SHA224_WITH_RSA,
                    Sha256 => oid::SHA256_WITH_RSA,
                    Sha384 => oid::SHA384_WITH_RSA,
                    Sha512 => oid::SHA512_WITH_RSA,
                };
                sequence(&[&encode_oid(found), NULL])
            }
            Self::RsaPss { .. } | Self::RsaPssMasked { .. } => {
                let (digest, mask, salt_len) = match self {
                    Self::RsaPssMasked { digest, mask, salt_len } => (digest, mask, salt_len),
                    Self::RsaPss { digest, salt_len } => (digest, digest, salt_len),
                    _ => unreachable!("matched above"),
                };
                let hash = sequence(&[&encode_oid(digest.oid()), NULL]);
                let mask_hash = sequence(&[&encode_oid(mask.oid()), NULL]);
                let mask_generation = sequence(&[&encode_oid(oid::MGF1), &mask_hash]);
                let salt = crate::asn1::der::encode(&salt_len);
                // The DEFAULTs of RFC 4055 section 3.1 are SHA-1, MGF1 with SHA-1 and 20: DER leaves those out.
                let mut parameters = Vec::new();
                if digest != Sha1 {
                    parameters.extend(element(0xa0, &[&hash]));
                }
                if mask != Sha1 {
                    parameters.extend(element(0xa1, &[&mask_generation]));
                }
                if salt_len != 20 {
                    parameters.extend(element(0xa2, &[&salt]));
                }
                sequence(&[&encode_oid(oid::RSASSA_PSS), &sequence(&[&parameters])])
            }
            Self::Ecdsa(digest) | Self::EcdsaWithNull(digest) => {
                let found = match digest {
                    Sha1 => oid::ECDSA_WITH_SHA1,
                    Sha224 => oid::ECDSA_WITH_SHA224,
                    Sha256 => oid::ECDSA_WITH_SHA256,
                    Sha384 => oid::ECDSA_WITH_SHA384,
                    Sha512 => oid::ECDSA_WITH_SHA512,
                };
                match self {
                    Self::EcdsaWithNull(_) => sequence(&[&encode_oid(found), NULL]),
                    _ => plain(found),
                }
            }
            Self::Ed25519 => plain(oid::ED25519),
            Self::MlDsa44 => plain(oid::ML_DSA_44),
            Self::MlDsa65 => plain(oid::ML_DSA_65),
            Self::MlDsa87 => plain(oid::ML_DSA_87),
        }
    }

    /// What a provider says of one that it cannot check, with the object identifier: by that it is found in the settings of a peer.
    pub(crate) fn not_checked(self, words: &str) -> String {
        let der = self.to_der();
        let identifier = Cursor::sequence(&der, "AlgorithmIdentifier").and_then(|mut fields| read_oid(&mut fields));
        identifier.map_or_else(|_| words.to_owned(), |identifier| format!("{words} ({identifier})"))
    }

    /// The digest that the algorithm applies to the message; `None` where it takes the message whole.
    pub const fn digest(self) -> Option<DigestAlgorithm> {
        match self {
            Self::RsaPkcs1(digest)
            | Self::RsaPss { digest, .. }
            | Self::RsaPssMasked { digest, .. }
            | Self::Ecdsa(digest)
            | Self::EcdsaWithNull(digest) => Some(digest),
            Self::Ed25519 | Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => None,
        }
    }

    /// Whether it is refused unless the caller allows weak algorithms: SHA-1.
    pub const fn is_weak(self) -> bool {
        self.weakness().is_some()
    }

    /// What speaks against taking such a signature, unless somebody has said that weak ones are taken.
    pub const fn weakness(self) -> Option<&'static str> {
        match (self, self.digest()) {
            (_, Some(DigestAlgorithm::Sha1)) => Some("over a SHA-1 digest"),
            (Self::EcdsaWithNull(_), _) => {
                Some("by ECDSA with NULL as parameters, where RFC 5758 section 3.2 has none")
            }
            _ => None,
        }
    }

    /// Whether a key of this kind can make such signatures.
    pub const fn fits(self, kind: KeyKind) -> bool {
        matches!(
            (self, kind),
            (Self::RsaPkcs1(_) | Self::RsaPss { .. } | Self::RsaPssMasked { .. }, KeyKind::Rsa(_))
                | (Self::Ecdsa(_) | Self::EcdsaWithNull(_), KeyKind::P256 | KeyKind::P384 | KeyKind::P521)
                | (Self::Ed25519, KeyKind::Ed25519)
                | (Self::MlDsa44, KeyKind::MlDsa44)
                | (Self::MlDsa65, KeyKind::MlDsa65)
                | (Self::MlDsa87, KeyKind::MlDsa87)
        )
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(digest) => write!(f, "RSA PKCS#1 v1.5 with {digest}"),
            Self::RsaPss { digest, salt_len } => write!(f, "RSASSA-PSS with {digest} and a salt of {salt_len} bytes"),
            Self::RsaPssMasked { digest, mask, salt_len } => {
                write!(f, "RSASSA-PSS with {digest}, MGF1 with {mask} and a salt of {salt_len} bytes")
            }
            Self::Ecdsa(digest) => write!(f, "ECDSA with {digest}"),
            Self::EcdsaWithNull(digest) => write!(f, "ECDSA with {digest} and NULL as parameters"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::MlDsa44 => f.write_str("ML-DSA-44"),
            Self::MlDsa65 => f.write_str("ML-DSA-65"),
            Self::MlDsa87 => f.write_str("ML-DSA-87"),
        }
    }
}

/// RSASSA-PSS-params (RFC 4055 section 3.1): MGF1, trailer 1; one digest throughout is usual.
pub(super) fn pss_parameters(bytes: &[u8]) -> Result<SignatureAlgorithm, Asn1Error> {
    const WHAT: &str = "RSASSA-PSS-params";
    let mut fields = Cursor::sequence(bytes, WHAT)?;
    let mut digest = DigestAlgorithm::Sha1;
    let mut mask_digest = DigestAlgorithm::Sha1;
    let mut salt_len = 20;
    if let Some(field) = fields.optional_context(0, true)? {
        digest = digest_identifier(field.value)?;
    }
    if let Some(field) = fields.optional_context(1, true)? {
        let mut mask = Cursor::sequence(field.value, WHAT)?;
        if read_oid(&mut mask)? != oid::MGF1 {
            return Err(Asn1Error::invalid(WHAT, "a mask generation function other than MGF1"));
        }
        mask_digest = digest_identifier(mask.any("the digest of MGF1")?.bytes)?;
        mask.finish()?;
    }
    if let Some(field) = fields.optional_context(2, true)? {
        salt_len = crate::asn1::der::decode(field.value, WHAT)?;
    }
    if fields.optional_context(3, true)?.is_some_and(|field| field.value != [0x02, 0x01, 0x01]) {
        return Err(Asn1Error::invalid(WHAT, "a trailerField other than 1"));
    }
    fields.finish()?;
    if mask_digest != digest {
        return Ok(SignatureAlgorithm::RsaPssMasked { digest, mask: mask_digest, salt_len });
    }
    Ok(SignatureAlgorithm::RsaPss { digest, salt_len })
}

impl KeyKind {
    /// The signature algorithm used with such a key unless the caller says otherwise: RSA PKCS#1 v1.5 with SHA-256
    /// (mandatory under RFC 9810's profiles), ECDSA with the digest of the curve's size. For keys that cannot sign it is
    /// one that does not fit them: see [`KeyKind::can_sign`] and [`SignatureAlgorithm::fits`].
    pub const fn default_signature(self) -> SignatureAlgorithm {
        match self {
            KeyKind::Rsa(_) => SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
            KeyKind::P256 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256),
            KeyKind::P384 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384),
            KeyKind::P521 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha512),
            KeyKind::Ed25519 => SignatureAlgorithm::Ed25519,
            KeyKind::MlDsa44 => SignatureAlgorithm::MlDsa44,
            KeyKind::MlDsa65 => SignatureAlgorithm::MlDsa65,
            KeyKind::MlDsa87 => SignatureAlgorithm::MlDsa87,
            KeyKind::X25519 | KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024 => SignatureAlgorithm::Ed25519,
        }
    }
}
