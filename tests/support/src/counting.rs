//! A provider that counts the signatures that it checks, and hands everything else on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devid::crypto::{
    CipherAlgorithm, CryptoError, DigestAlgorithm, DigestStream, DigestValue, KeyKind, PrivateKey, Provider,
    RsaEncryption, SignatureAlgorithm,
};
use zeroize::Zeroizing;

use crate::certificates::provider;

/// Counts what costs: signatures, and iterations of key derivation.
#[derive(Debug, Default)]
pub struct Counting {
    signatures: AtomicU32,
    iterations: AtomicU32,
}

impl Counting {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Signatures checked since the last call.
    pub fn take_signatures(&self) -> u32 {
        self.signatures.swap(0, Ordering::SeqCst)
    }

    /// Iterations computed since the last call.
    pub fn take_iterations(&self) -> u32 {
        self.iterations.swap(0, Ordering::SeqCst)
    }
}

impl Provider for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        provider().random(out)
    }

    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> Result<DigestValue, CryptoError> {
        provider().digest(algorithm, parts)
    }

    fn digest_repeated(
        &self,
        algorithm: DigestAlgorithm,
        parts: &[&[u8]],
        count: u32,
    ) -> Result<DigestValue, CryptoError> {
        self.iterations.fetch_add(count, Ordering::SeqCst);
        provider().digest_repeated(algorithm, parts, count)
    }

    fn digest_start(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestStream>, CryptoError> {
        provider().digest_start(algorithm)
    }

    fn hmac(&self, algorithm: DigestAlgorithm, key: &[u8], parts: &[&[u8]]) -> Result<DigestValue, CryptoError> {
        provider().hmac(algorithm, key, parts)
    }

    fn pbkdf2(
        &self,
        prf: DigestAlgorithm,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.iterations.fetch_add(iterations, Ordering::SeqCst);
        provider().pbkdf2(prf, password, salt, iterations, out)
    }

    fn hkdf(
        &self,
        digest: DigestAlgorithm,
        secret: &[u8],
        salt: &[u8],
        info: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        provider().hkdf(digest, secret, salt, info, out)
    }

    fn verify(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        message: &[u8],
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        self.signatures.fetch_add(1, Ordering::SeqCst);
        provider().verify(algorithm, spki, message, signature, allow_weak)
    }

    fn verify_digest(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        digest: &DigestValue,
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        self.signatures.fetch_add(1, Ordering::SeqCst);
        provider().verify_digest(algorithm, spki, digest, signature, allow_weak)
    }

    fn generate_key(&self, kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError> {
        provider().generate_key(kind)
    }

    fn import_pkcs8(&self, pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
        provider().import_pkcs8(pkcs8)
    }

    fn encrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        provider().encrypt(algorithm, key, iv, aad, plaintext)
    }

    fn decrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        provider().decrypt(algorithm, key, iv, aad, ciphertext)
    }

    fn wrap_key(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        provider().wrap_key(kek, key)
    }

    fn unwrap_key(&self, kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        provider().unwrap_key(kek, wrapped)
    }

    fn rsa_encrypt(&self, scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        provider().rsa_encrypt(scheme, spki, plaintext)
    }

    fn agree_ephemeral(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
        provider().agree_ephemeral(spki)
    }

    fn encapsulate(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
        provider().encapsulate(spki)
    }
}
