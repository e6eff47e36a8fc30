//! Protection of messages: MACs under a shared secret, and what of signatures is not the provider's business.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use ::der::Tag;

use super::context::MacParameters;
use crate::asn1::der::{Asn1Error, Cursor, element, encode, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::read_oid;
use crate::codes::Code;
use crate::crypto::algorithm::{digest_identifier, encode_oid};
use crate::crypto::{CryptoError, DigestAlgorithm, DigestValue, Provider};
use crate::error::Error;
use crate::limits::Limits;

/// A MAC key derived under given parameters, kept so that a secret is stretched once and not for every message
/// (RFC 9810 section 5.1.3.1: parameters should stay constant within a transaction).
pub(super) struct MacKey {
    algorithm: Vec<u8>,
    mac: DigestAlgorithm,
    key: Zeroizing<Vec<u8>>,
}

impl MacKey {
    /// Derives the key for what we send, under a fresh salt.
    pub fn make(provider: &dyn Provider, parameters: MacParameters, secret: &[u8]) -> Result<Self, CryptoError> {
        let mut salt = [0u8; 16];
        provider.random(&mut salt)?;
        let recipe = Recipe::ours(parameters, salt.to_vec());
        Ok(MacKey { algorithm: recipe.to_der(), mac: recipe.mac, key: recipe.derive(provider, secret)? })
    }

    /// Derives the key for an AlgorithmIdentifier that came with a message or was saved, within the limits.
    pub fn from_algorithm(
        provider: &dyn Provider,
        algorithm: &[u8],
        secret: &[u8],
        limits: &Limits,
    ) -> Result<Self, Error> {
        let recipe = Recipe::parse(algorithm)?;
        recipe.check(limits)?;
        Ok(MacKey { algorithm: algorithm.to_vec(), mac: recipe.mac, key: recipe.derive(provider, secret)? })
    }

    /// The AlgorithmIdentifier for protectionAlg, DER.
    pub fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// The MAC over the protected part.
    pub fn protect(&self, provider: &dyn Provider, protected_part: &[u8]) -> Result<DigestValue, CryptoError> {
        provider.hmac(self.mac, &self.key, &[protected_part])
    }

    /// Whether the MAC matches; in constant time.
    pub fn verify(&self, provider: &dyn Provider, protected_part: &[u8], protection: &[u8]) -> Result<(), CryptoError> {
        let expected = self.protect(provider, protected_part)?;
        if bool::from(expected.ct_eq(protection)) { Ok(()) } else { Err(CryptoError::Mismatch) }
    }
}

/// Whether an AlgorithmIdentifier names a password-based MAC.
pub(super) fn is_mac(algorithm: &[u8]) -> bool {
    let found = Cursor::sequence(algorithm, "protectionAlg").and_then(|mut fields| read_oid(&mut fields));
    matches!(found, Ok(oid::PASSWORD_BASED_MAC | oid::PBMAC1))
}

/// How a key is made of a secret, and which HMAC uses it.
struct Recipe {
    stretch: Stretch,
    salt: Vec<u8>,
    iterations: u32,
    mac: DigestAlgorithm,
}

enum Stretch {
    /// RFC 4211 section 4.4, by this one-way function.
    PasswordBased(DigestAlgorithm),
    /// PBKDF2 to this many bytes.
    Pbkdf2 { prf: DigestAlgorithm, key_len: usize },
}

impl Recipe {
    fn ours(parameters: MacParameters, salt: Vec<u8>) -> Self {
        match parameters {
            MacParameters::PasswordBased { owf, mac, iterations } => {
                Recipe { stretch: Stretch::PasswordBased(owf), salt, iterations, mac }
            }
            MacParameters::Pbmac1 { prf, mac, iterations } => {
                // RFC 9481 section 6.1.2: the key as long as the MAC's digest.
                Recipe { stretch: Stretch::Pbkdf2 { prf, key_len: mac.output_len() }, salt, iterations, mac }
            }
        }
    }

    fn derive(&self, provider: &dyn Provider, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self.stretch {
            Stretch::PasswordBased(owf) => {
                // RFC 9810 section 5.1.3.1. HMAC takes a key of any length, so BASEKEY is used whole: K is not above H
                // and the expansion does not arise.
                let mut value = provider.digest(owf, &[secret, &self.salt])?;
                for _ in 1..self.iterations {
                    value = provider.digest(owf, &[&value])?;
                }
                Ok(Zeroizing::new(value.to_vec()))
            }
            Stretch::Pbkdf2 { prf, key_len } => {
                let mut key = Zeroizing::new(vec![0u8; key_len]);
                provider.pbkdf2(prf, secret, &self.salt, self.iterations, &mut key)?;
                Ok(key)
            }
        }
    }

    /// Bounds what a peer may impose before anything is computed (BC CVE-2026-59647).
    fn check(&self, limits: &Limits) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::new(Code::MacParameters, what));
        if self.iterations > limits.max_mac_iterations {
            let (found, most) = (self.iterations, limits.max_mac_iterations);
            return refuse(format!("the MAC's iteration count is {found}, the limit is {most}"));
        }
        if self.salt.len() > limits.max_mac_salt_bytes {
            let (found, most) = (self.salt.len(), limits.max_mac_salt_bytes);
            return refuse(format!("the MAC's salt has {found} bytes, the limit is {most}"));
        }
        if let Stretch::Pbkdf2 { key_len, .. } = self.stretch
            && !(16..=128).contains(&key_len)
        {
            return refuse(format!("PBMAC1 with a key of {key_len} bytes; 16 to 128 are accepted"));
        }
        Ok(())
    }

    fn parse(algorithm: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "protectionAlg";
        let mut fields = Cursor::sequence(algorithm, WHAT)?;
        let found = read_oid(&mut fields)?;
        // The identifier decides what the parameters are, before they are read (OpenSSL CVE-2026-63076).
        let parse = match found {
            oid::PASSWORD_BASED_MAC => Self::parse_password_based,
            oid::PBMAC1 => Self::parse_pbmac1,
            _ => return Err(Error::new(Code::Algorithm, format!("protectionAlg {found} is not a MAC known here"))),
        };
        let parameters = fields.expect(Tag::Sequence, "the MAC's parameters")?;
        fields.finish()?;
        parse(parameters.value)
    }

    /// ```text
    /// PBMParameter ::= SEQUENCE {
    ///     salt            OCTET STRING,
    ///     owf             AlgorithmIdentifier,
    ///     iterationCount  INTEGER,
    ///     mac             AlgorithmIdentifier }
    /// ```
    fn parse_password_based(content: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "PBMParameter";
        let mut fields = Cursor::new(content, WHAT)?;
        let salt = fields.expect(Tag::OctetString, "salt")?.value.to_vec();
        let owf = digest_identifier(fields.expect(Tag::Sequence, "owf")?.bytes)?;
        let iterations = read_iterations(&mut fields)?;
        let mac = hmac_identifier(fields.expect(Tag::Sequence, "mac")?.bytes)?;
        fields.finish()?;
        Ok(Recipe { stretch: Stretch::PasswordBased(owf), salt, iterations, mac })
    }

    /// ```text
    /// PBMAC1-params ::= SEQUENCE {
    ///     keyDerivationFunc  AlgorithmIdentifier {{PBMAC1-KDFs}},
    ///     messageAuthScheme  AlgorithmIdentifier {{PBMAC1-MACs}} }
    /// PBKDF2-params ::= SEQUENCE {
    ///     salt            CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
    ///     iterationCount  INTEGER (1..MAX),
    ///     keyLength       INTEGER (1..MAX)     OPTIONAL,
    ///     prf             AlgorithmIdentifier  DEFAULT algid-hmacWithSHA1 }
    /// ```
    fn parse_pbmac1(content: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "PBMAC1-params";
        let mut fields = Cursor::new(content, WHAT)?;
        let mut derivation = Cursor::new(fields.expect(Tag::Sequence, "keyDerivationFunc")?.value, WHAT)?;
        let mac = hmac_identifier(fields.expect(Tag::Sequence, "messageAuthScheme")?.bytes)?;
        fields.finish()?;
        let function = read_oid(&mut derivation)?;
        // Bouncy Castle writes the identifier of PBES2 around the parameters of PBKDF2.
        if function != oid::PBKDF2 && function != oid::PBES2 {
            return Err(Error::new(Code::Algorithm, format!("PBMAC1 with key derivation {function}, not PBKDF2")));
        }
        let mut parameters = Cursor::new(derivation.expect(Tag::Sequence, "PBKDF2-params")?.value, "PBKDF2-params")?;
        derivation.finish()?;
        let salt = parameters.expect(Tag::OctetString, "a specified salt")?.value.to_vec();
        let iterations = read_iterations(&mut parameters)?;
        let key_len = match parameters.peek() {
            Some(Tag::Integer) => parameters.decode::<u16>()?.into(),
            _ => mac.output_len(),
        };
        let prf = match parameters.optional(Tag::Sequence)? {
            Some(identifier) => hmac_identifier(identifier.bytes)?,
            None => DigestAlgorithm::Sha1,
        };
        parameters.finish()?;
        Ok(Recipe { stretch: Stretch::Pbkdf2 { prf, key_len }, salt, iterations, mac })
    }

    fn to_der(&self) -> Vec<u8> {
        const NULL: &[u8] = &[0x05, 0x00];
        let salt = element(0x04, &[&self.salt]);
        let iterations = encode(&self.iterations);
        let with_null = |found: Oid| sequence(&[&encode_oid(found), NULL]);
        match self.stretch {
            Stretch::PasswordBased(owf) => {
                let mac = match self.mac {
                    // What CAs that still want HMAC-SHA1 know it by.
                    DigestAlgorithm::Sha1 => oid::HMAC_SHA1_RFC2202,
                    other => other.hmac_oid(),
                };
                let parameters = sequence(&[&salt, &with_null(owf.oid()), &iterations, &with_null(mac)]);
                sequence(&[&encode_oid(oid::PASSWORD_BASED_MAC), &parameters])
            }
            Stretch::Pbkdf2 { prf, key_len } => {
                let key_len = encode(&(key_len as u32));
                // DER leaves the DEFAULT, hmacWithSHA1, out.
                let prf = if prf == DigestAlgorithm::Sha1 { Vec::new() } else { with_null(prf.hmac_oid()) };
                let parameters = sequence(&[&salt, &iterations, &key_len, &prf]);
                let derivation = sequence(&[&encode_oid(oid::PBKDF2), &parameters]);
                sequence(&[&encode_oid(oid::PBMAC1), &sequence(&[&derivation, &with_null(self.mac.hmac_oid())])])
            }
        }
    }
}

fn read_iterations(fields: &mut Cursor<'_>) -> Result<u32, Error> {
    let count = fields.expect(Tag::Integer, "iterationCount")?;
    let negative_or_zero = count.value.iter().all(|b| *b == 0) || count.value.first().is_some_and(|b| b & 0x80 != 0);
    if negative_or_zero {
        return Err(Error::new(Code::MacParameters, "the MAC's iteration count is not above zero"));
    }
    // What does not fit is above every limit.
    Ok(<u32 as ::der::Decode>::from_der(count.bytes).unwrap_or(u32::MAX))
}

/// HMAC's AlgorithmIdentifier: parameters NULL, or absent (RFC 9045 section 4.4 says SHOULD be present).
fn hmac_identifier(bytes: &[u8]) -> Result<DigestAlgorithm, Asn1Error> {
    const WHAT: &str = "HMAC AlgorithmIdentifier";
    let mut fields = Cursor::sequence(bytes, WHAT)?;
    let found = read_oid(&mut fields)?;
    fields.optional(Tag::Null)?;
    fields.finish()?;
    DigestAlgorithm::from_hmac_oid(found).ok_or_else(|| Asn1Error::invalid(WHAT, "not an HMAC that is known here"))
}
