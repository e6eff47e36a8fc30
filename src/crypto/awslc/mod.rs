//! The default provider: AWS-LC through `aws-lc-rs`.
//!
//! What AWS-LC's Rust face does not offer is refused by name: RSA signatures with SHA-224, RSASSA-PSS with SHA-1 or
//! SHA-224, RSA-1024 with SHA-384 or RSASSA-PSS, signing with a salt of another length than the digest's. The portable provider (`crypto::rust`) has those.

mod cipher;
mod kdf;
mod kem;
mod keygen;
mod mac;
mod sign;
mod verify;

use std::sync::Arc;

use aws_lc_rs::{digest, rand};
use zeroize::Zeroizing;

use super::{
    CipherAlgorithm, CryptoError, DigestAlgorithm, DigestStream, DigestValue, KeyKind, PrivateKey, Provider,
    RsaEncryption, SignatureAlgorithm,
};

/// The provider. Without state: making one costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl Provider for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        rand::fill(out).map_err(|_| CryptoError::Random)
    }

    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> Result<DigestValue, CryptoError> {
        let algorithm = digest_algorithm(algorithm);
        // One part is the usual case and the cheap one: no context is allocated.
        if let [part] = parts {
            return Ok(DigestValue::new(digest::digest(algorithm, part).as_ref()));
        }
        let mut context = digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        Ok(DigestValue::new(context.finish().as_ref()))
    }

    fn digest_repeated(
        &self,
        algorithm: DigestAlgorithm,
        parts: &[&[u8]],
        count: u32,
    ) -> Result<DigestValue, CryptoError> {
        let algorithm = digest_algorithm(algorithm);
        let mut context = digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        let mut value = context.finish();
        for _ in 1..count {
            value = digest::digest(algorithm, value.as_ref());
        }
        Ok(DigestValue::new(value.as_ref()))
    }

    fn digest_start(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestStream>, CryptoError> {
        Ok(Box::new(Stream(digest::Context::new(digest_algorithm(algorithm)))))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, key: &[u8], parts: &[&[u8]]) -> Result<DigestValue, CryptoError> {
        Ok(mac::hmac(algorithm, key, parts))
    }

    fn pbkdf2(
        &self,
        prf: DigestAlgorithm,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        kdf::pbkdf2(prf, password, salt, iterations, out)
    }

    fn hkdf(
        &self,
        digest: DigestAlgorithm,
        secret: &[u8],
        salt: &[u8],
        info: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        kdf::hkdf(digest, secret, salt, info, out)
    }

    fn verify(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        message: &[u8],
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        verify::verify(algorithm, spki, message, signature, allow_weak)
    }

    fn verify_digest(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        digest: &DigestValue,
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        verify::verify_digest(algorithm, spki, digest, signature, allow_weak)
    }

    fn generate_key(&self, kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError> {
        keygen::generate(kind)
    }

    fn import_pkcs8(&self, pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
        super::rsa_pss::labelled(keygen::import(pkcs8)?, &crate::asn1::pkcs8::PrivateKeyInfo::from_der(pkcs8)?)
    }

    fn encrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        cipher::encrypt(algorithm, key, iv, aad, plaintext)
    }

    fn decrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        cipher::decrypt(algorithm, key, iv, aad, ciphertext)
    }

    fn wrap_key(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cipher::wrap(kek, key)
    }

    fn unwrap_key(&self, kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        cipher::unwrap(kek, wrapped)
    }

    fn rsa_encrypt(&self, scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cipher::rsa_encrypt(scheme, spki, plaintext)
    }

    fn agree_ephemeral(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
        cipher::agree_ephemeral(spki)
    }

    fn encapsulate(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
        kem::encapsulate(spki)
    }
}

struct Stream(digest::Context);

impl DigestStream for Stream {
    fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    fn finish(self: Box<Self>) -> DigestValue {
        DigestValue::new(self.0.finish().as_ref())
    }
}

fn digest_algorithm(algorithm: DigestAlgorithm) -> &'static digest::Algorithm {
    match algorithm {
        DigestAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        DigestAlgorithm::Sha224 => &digest::SHA224,
        DigestAlgorithm::Sha256 => &digest::SHA256,
        DigestAlgorithm::Sha384 => &digest::SHA384,
        DigestAlgorithm::Sha512 => &digest::SHA512,
    }
}

/// A digest as ECDSA on this curve uses it, dressed as the digest of the curve's size.
///
/// ECDSA takes the leftmost bits of the digest as a number, as many as the group order has (FIPS 186-5 section 6.4.1).
/// Zeros in front and cutting to whole bytes leave that number what it is, so one algorithm per curve serves all.
fn for_curve(kind: KeyKind, value: &[u8]) -> digest::Digest {
    let algorithm = match kind {
        KeyKind::P256 => &digest::SHA256,
        KeyKind::P384 => &digest::SHA384,
        _ => &digest::SHA512,
    };
    let mut bytes = [0u8; 64];
    let bytes = &mut bytes[..algorithm.output_len()];
    let taken = value.len().min(bytes.len());
    let start = bytes.len() - taken;
    bytes[start..].copy_from_slice(&value[..taken]);
    digest::Digest::import_less_safe(bytes, algorithm).expect("made in the algorithm's length")
}
