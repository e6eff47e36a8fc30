//! Password-based encryption by PBES2 (RFC 8018): PBKDF2 or scrypt, AES-CBC; what is older is named.

use ::der::Tag;
use zeroize::Zeroizing;

use super::scrypt::scrypt;
use super::{CipherAlgorithm, CryptoError, DigestAlgorithm, Provider};
use crate::asn1::der::{self, Cursor, Tlv, element, sequence};
use crate::asn1::known_as::named;
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{absent_or_null, algorithm_identifier};
use crate::prelude::*;

/// How a password is stretched to a key: RFC 8018 section 5.2, RFC 7914.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretching {
    /// PBKDF2-HMAC-SHA256, by so many iterations, which the caller has bounded.
    Pbkdf2(u32),
    /// scrypt with this N, r = 8 and p = 1.
    Scrypt(u32),
}

/// scrypt's r, as everybody has it.
const BLOCK_SIZE: u32 = 8;

impl Stretching {
    /// By scrypt where its N is told, else by so many iterations.
    pub fn of(iterations: u32, scrypt: Option<u32>) -> Self {
        scrypt.map_or(Stretching::Pbkdf2(iterations), Stretching::Scrypt)
    }

    /// The key, and the keyDerivationFunc, DER, that tells how to derive it.
    fn derive(self, provider: &dyn Provider, password: &[u8], key: &mut [u8; 32]) -> Result<Vec<u8>, CryptoError> {
        let object = |found: Oid| element(0x06, &[found.as_bytes()]);
        let mut salt = [0u8; 16];
        provider.random(&mut salt)?;
        let salt_field = element(0x04, &[&salt]);
        Ok(match self {
            Stretching::Pbkdf2(iterations) => {
                provider.pbkdf2(DigestAlgorithm::Sha256, password, &salt, iterations, key)?;
                let prf = sequence(&[&object(oid::HMAC_WITH_SHA256), &[0x05, 0x00]]);
                let parameters = sequence(&[&salt_field, &der::encode(&iterations), &prf]);
                sequence(&[&object(oid::PBKDF2), &parameters])
            }
            Stretching::Scrypt(n) => {
                scrypt(provider, password, &salt, (n.into(), BLOCK_SIZE, 1), key)?;
                // keyLength is not needed, and some read it: it says what the cipher says.
                let costs = [n, BLOCK_SIZE, 1, 32].map(|cost| der::encode(&cost)).concat();
                sequence(&[&object(oid::SCRYPT), &sequence(&[&salt_field, &costs])])
            }
        })
    }
}

/// PBES2 with AES-256-CBC: the AlgorithmIdentifier, DER, and the ciphertext.
pub(crate) fn pbes2_encrypt(
    provider: &dyn Provider,
    plaintext: &[u8],
    password: &[u8],
    stretching: Stretching,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let mut key = Zeroizing::new([0u8; 32]);
    let derivation = stretching.derive(provider, password, &mut key)?;
    pbes2_under(provider, plaintext, &key, &derivation)
}

/// The same under a key that `derivation`, a keyDerivationFunc, tells how to derive.
fn pbes2_under(
    provider: &dyn Provider,
    plaintext: &[u8],
    key: &[u8; 32],
    derivation: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let mut iv = [0u8; 16];
    provider.random(&mut iv)?;
    let ciphertext = provider.encrypt(CipherAlgorithm::AesCbc, key, &iv, &[], plaintext)?;
    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let encryption = sequence(&[&object(oid::AES256_CBC), &element(0x04, &[&iv])]);
    Ok((sequence(&[&object(oid::PBES2), &sequence(&[derivation, &encryption])]), ciphertext))
}

/// Decrypts by PBES2-params (RFC 8018 appendix A.4): PBKDF2 or scrypt, AES-CBC. Padding that is not right is
/// [`CryptoError::WrongSecret`]; one wrong password in 256 passes.
pub(crate) fn pbes2_decrypt(
    provider: &dyn Provider,
    parameters: Tlv<'_>,
    password: Option<&[u8]>,
    ciphertext: &[u8],
    most_iterations: u32,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut fields = Cursor::sequence(parameters.bytes, "PBES2-params")?;
    let (derivation, derivation_parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "keyDerivationFunc")?)?;
    let (encryption, encryption_parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "encryptionScheme")?)?;
    fields.finish()?;
    let key_len = match encryption {
        o if o == oid::AES128_CBC => 16,
        o if o == oid::AES192_CBC => 24,
        o if o == oid::AES256_CBC => 32,
        // What OpenSSL wrote before 1.1.0: read where PKCS#12 files of that age are.
        o if o == oid::DES_EDE3_CBC && cfg!(feature = "legacy-ciphers") => 24,
        other => return Err(outdated(other)),
    };
    let iv_len = if encryption == oid::DES_EDE3_CBC { 8 } else { 16 };
    let iv = encryption_parameters.filter(|p| p.tag == Tag::OctetString && p.value.len() == iv_len);
    let iv =
        iv.ok_or_else(|| CryptoError::BadKey(format!("CBC without an initialization vector of {iv_len} bytes")))?;
    let derivation_parameters =
        derivation_parameters.ok_or_else(|| CryptoError::BadKey("key derivation without parameters".to_owned()))?;

    let password = password.ok_or(CryptoError::NoSecret)?;
    let mut key = Zeroizing::new([0u8; 32]);
    let key = &mut key[..key_len];
    match derivation {
        o if o == oid::PBKDF2 => {
            derive_pbkdf2(provider, derivation_parameters, password, (most_iterations, usize::MAX), key)?;
        }
        o if o == oid::SCRYPT => derive_scrypt(provider, derivation_parameters, password, key)?,
        other => return Err(CryptoError::Unsupported(format!("key derivation {other}; PBKDF2 and scrypt are"))),
    }
    #[cfg(feature = "legacy-ciphers")]
    if encryption == oid::DES_EDE3_CBC {
        let opened = super::legacy::decrypt(super::legacy::LegacyCipher::TripleDes, key, iv.value, ciphertext);
        return opened.map_err(|_| CryptoError::WrongSecret);
    }
    provider.decrypt(CipherAlgorithm::AesCbc, key, iv.value, &[], ciphertext).map_err(|_| CryptoError::WrongSecret)
}

/// Derives a key by PBKDF2-params (RFC 8018 appendix A.2) within limits on iterations and salt.
pub(crate) fn derive_pbkdf2(
    provider: &dyn Provider,
    parameters: Tlv<'_>,
    password: &[u8],
    (most_iterations, most_salt_bytes): (u32, usize),
    key: &mut [u8],
) -> Result<(), CryptoError> {
    const WHAT: &str = "PBKDF2-params";
    let mut fields = Cursor::sequence(parameters.bytes, WHAT)?;
    let salt = fields.expect(Tag::OctetString, "salt")?.value;
    let iterations: u32 = fields.decode()?;
    check_key_len(&mut fields, key.len())?;
    // DEFAULT algid-hmacWithSHA1.
    let prf = match fields.optional(Tag::Sequence)? {
        None => DigestAlgorithm::Sha1,
        Some(field) => {
            let (found, parameters) = algorithm_identifier(field)?;
            absent_or_null(parameters, WHAT)?;
            DigestAlgorithm::from_hmac_oid(found)
                .ok_or_else(|| CryptoError::Unsupported(format!("PBKDF2 with {found}")))?
        }
    };
    fields.finish()?;
    // Each block of the key is derived by itself (RFC 8018 section 5.2), and the wide digests take about twice the time.
    let blocks = u32::try_from(key.len().div_ceil(prf.output_len())).unwrap_or(u32::MAX).max(1);
    let weight = if prf.output_len() > 32 { 2 } else { 1 };
    let work = iterations.saturating_mul(blocks).saturating_mul(weight);
    if iterations == 0 || work > most_iterations || salt.len() > most_salt_bytes {
        return Err(CryptoError::Unsupported(format!(
            "PBKDF2 with {iterations} iterations and a salt of {} bytes, the limits are {most_iterations} and \
             {most_salt_bytes}",
            salt.len()
        )));
    }
    provider.pbkdf2(prf, password, salt, iterations, key)
}

/// scrypt-params (RFC 7914 section 7.1).
fn derive_scrypt(
    provider: &dyn Provider,
    parameters: Tlv<'_>,
    password: &[u8],
    key: &mut [u8],
) -> Result<(), CryptoError> {
    let mut fields = Cursor::sequence(parameters.bytes, "scrypt-params")?;
    let salt = fields.expect(Tag::OctetString, "salt")?.value;
    let cost = (fields.decode()?, fields.decode()?, fields.decode()?);
    check_key_len(&mut fields, key.len())?;
    fields.finish()?;
    scrypt(provider, password, salt, cost, key)
}

fn check_key_len(fields: &mut Cursor<'_>, expected: usize) -> Result<(), CryptoError> {
    if fields.peek() == Some(Tag::Integer) {
        let found: u32 = fields.decode()?;
        if found as usize != expected {
            return Err(CryptoError::BadKey(format!("a derived key of {found} bytes for a cipher of {expected}")));
        }
    }
    Ok(())
}

pub(super) fn outdated(found: Oid) -> CryptoError {
    CryptoError::Unsupported(format!(
        "keys encrypted with {}; encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc",
        named(&found)
    ))
}
