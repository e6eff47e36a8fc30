//! Algorithm identifiers (RFC 9481, RFC 4055, RFC 5758, RFC 8410, RFC 9881) and our names for them; what is weak.

use std::fmt;

use ::der::Tag;

use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::read_oid;
use crate::codes::Code;
use crate::error::Error;

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
    fn short_name(self) -> String {
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

    const ALL: [Self; 5] = [
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

    /// By the name that [`Display`](fmt::Display) writes, such as `RSA-2048`, `P-256` or `Ed25519`; letter case is free.
    pub fn from_name(name: &str) -> Option<Self> {
        const FIXED: [KeyKind; 11] = [
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
        if let Some(kind) = FIXED.into_iter().find(|kind| name.eq_ignore_ascii_case(&kind.to_string())) {
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
            oid::RSA_ENCRYPTION | oid::RSASSA_PSS => {
                let content = key.value.get(1..).unwrap_or_default();
                let modulus = Cursor::sequence(content, "RSAPublicKey")?.expect(Tag::Integer, "modulus")?.value;
                let significant = modulus.iter().position(|b| *b != 0).map_or(&[][..], |i| &modulus[i..]);
                let leading = significant.first().map_or(0, |b| b.leading_zeros());
                Ok(KeyKind::Rsa(significant.len() as u32 * 8 - leading))
            }
            oid::EC_PUBLIC_KEY => match algorithm.peek() {
                Some(Tag::ObjectIdentifier) => match read_oid(&mut algorithm)? {
                    oid::CURVE_P256 => Ok(KeyKind::P256),
                    oid::CURVE_P384 => Ok(KeyKind::P384),
                    oid::CURVE_P521 => Ok(KeyKind::P521),
                    other => Err(Asn1Error::unknown(WHAT, "a curve", other)),
                },
                // RFC 5480 section 2.1.1: implicitCurve and specifiedCurve MUST NOT be used.
                _ => Err(Asn1Error::invalid(WHAT, "curve parameters that are not a named curve")),
            },
            oid::ED25519 => Ok(KeyKind::Ed25519),
            oid::ML_DSA_44 => Ok(KeyKind::MlDsa44),
            oid::ML_DSA_65 => Ok(KeyKind::MlDsa65),
            oid::ML_DSA_87 => Ok(KeyKind::MlDsa87),
            oid::X25519 => Ok(KeyKind::X25519),
            oid::ML_KEM_512 => Ok(KeyKind::MlKem512),
            oid::ML_KEM_768 => Ok(KeyKind::MlKem768),
            oid::ML_KEM_1024 => Ok(KeyKind::MlKem1024),
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
            oid::SHA1_WITH_RSA => rsa(Sha1),
            oid::SHA224_WITH_RSA => rsa(Sha224),
            oid::SHA256_WITH_RSA => rsa(Sha256),
            oid::SHA384_WITH_RSA => rsa(Sha384),
            oid::SHA512_WITH_RSA => rsa(Sha512),
            oid::RSASSA_PSS => {
                let parameters = parameters.ok_or_else(|| Asn1Error::invalid(WHAT, "RSASSA-PSS without parameters"))?;
                pss_parameters(parameters.bytes)
            }
            oid::ECDSA_WITH_SHA1 => ecdsa(Sha1),
            oid::ECDSA_WITH_SHA224 => ecdsa(Sha224),
            oid::ECDSA_WITH_SHA256 => ecdsa(Sha256),
            oid::ECDSA_WITH_SHA384 => ecdsa(Sha384),
            oid::ECDSA_WITH_SHA512 => ecdsa(Sha512),
            oid::ED25519 => without(Self::Ed25519),
            oid::ML_DSA_44 => without(Self::MlDsa44),
            oid::ML_DSA_65 => without(Self::MlDsa65),
            oid::ML_DSA_87 => without(Self::MlDsa87),
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

/// The DER of an OBJECT IDENTIFIER.
pub fn encode_oid(found: Oid) -> Vec<u8> {
    element(0x06, &[found.as_bytes()])
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

/// A digest's AlgorithmIdentifier: parameters NULL or absent.
pub fn digest_identifier(bytes: &[u8]) -> Result<DigestAlgorithm, Asn1Error> {
    const WHAT: &str = "digest AlgorithmIdentifier";
    let mut fields = Cursor::sequence(bytes, WHAT)?;
    let found = read_oid(&mut fields)?;
    fields.optional(Tag::Null)?;
    fields.finish()?;
    DigestAlgorithm::from_oid(found).ok_or_else(|| Asn1Error::unknown(WHAT, "a digest", found))
}

fn unknown_name(name: &str, what: &str, example: &str) -> Error {
    let words = format!("{} is not a known {what} (for example {example})", crate::words::quoted(name));
    Error::new(Code::InvalidArgument, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_survive_the_round_trip() {
        use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
        let mut all = vec![
            SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::MlDsa44,
            SignatureAlgorithm::MlDsa65,
            SignatureAlgorithm::MlDsa87,
        ];
        for digest in [Sha1, Sha224, Sha256, Sha384, Sha512] {
            all.push(SignatureAlgorithm::RsaPkcs1(digest));
            all.push(SignatureAlgorithm::Ecdsa(digest));
            all.push(SignatureAlgorithm::RsaPss { digest, salt_len: 20 });
            all.push(SignatureAlgorithm::RsaPss { digest, salt_len: digest.output_len() as u32 });
        }
        for algorithm in all {
            assert_eq!(SignatureAlgorithm::from_der(&algorithm.to_der()), Ok(algorithm));
        }
    }

    #[test]
    fn names_are_found_again_and_unknown_ones_refused() {
        for name in ["RSA-2048", "RSA-4096", "P-256", "P-384", "P-521", "Ed25519", "ML-DSA-65", "X25519", "ML-KEM-768"]
        {
            assert_eq!(KeyKind::from_name(name).unwrap().to_string(), name);
            assert_eq!(KeyKind::from_name(&name.to_lowercase()), KeyKind::from_name(name));
        }
        for name in ["", "RSA", "RSA-", "RSA-+2048", "RSA-99999999999", "P-257", "é€"] {
            assert_eq!(KeyKind::from_name(name), None, "{name}");
        }
        for name in ["RSA-PKCS1-SHA256", "RSA-PSS-SHA384", "ECDSA-SHA512", "Ed25519", "ML-DSA-44"] {
            assert_eq!(SignatureAlgorithm::from_name(name).unwrap().name(), name);
        }
        assert_eq!(SignatureAlgorithm::from_name("ECDSA-MD5"), None);
    }

    #[test]
    fn pss_with_another_digest_in_the_mask_is_told_apart_and_strong_by_the_message() {
        let sha256 = sequence(&[&encode_oid(oid::SHA256), &[5, 0]]);
        let parameters = sequence(&[&element(0xa0, &[&sha256])]);
        let identifier = sequence(&[&encode_oid(oid::RSASSA_PSS), &parameters]);
        let (digest, mask) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha1);
        let mixed = SignatureAlgorithm::RsaPssMasked { digest, mask, salt_len: 20 };
        assert_eq!(SignatureAlgorithm::from_der(&identifier), Ok(mixed));
        assert_eq!(mixed.to_der(), identifier);
        assert!(!mixed.is_weak());
        let weak = SignatureAlgorithm::RsaPssMasked { digest: mask, mask: digest, salt_len: 20 };
        assert!(weak.is_weak());
    }

    #[test]
    fn ecdsa_with_null_is_weak_and_with_other_parameters_refused() {
        let with = |parameters: &[u8]| {
            SignatureAlgorithm::from_der(&sequence(&[&encode_oid(oid::ECDSA_WITH_SHA256), parameters]))
        };
        assert!(with(&[5, 0]).unwrap().is_weak());
        assert!(with(&[2, 1, 0]).is_err() && with(&[5, 1, 0]).is_err());
    }
}
