//! The portable provider: RustCrypto, no C compiler needed. P-256 is always there; each other family of keys is a feature of its own
//! and a file of its own.
//!
//! RSA private key operations are blinded, yet the `rsa` crate carries an open advisory on timing (RUSTSEC-2023-0071):
//! where an attacker can measure signing or decrypting with an RSA key, take the default provider or an EC key. RSA
//! decryption by PKCS#1 v1.5 answers malformed ciphertexts with bytes that depend on key and ciphertext instead of an
//! error. ML-DSA keys are kept by their seed; PKCS#8 that holds an expanded key only is refused.

mod cipher;
#[cfg(feature = "rust-25519")]
mod curve25519;
mod ec;
mod kdf;
mod key;
mod mac;
#[cfg(feature = "rust-ml-dsa")]
mod ml_dsa;
#[cfg(feature = "rust-ml-kem")]
mod ml_kem;
#[cfg(feature = "rust-rsa")]
mod rsa;
mod verify;

use alloc::sync::Arc;

use sha2::Digest;
use zeroize::Zeroizing;

use super::{
    CipherAlgorithm, CryptoError, DigestAlgorithm, DigestStream, DigestValue, KeyKind, PrivateKey, Provider,
    RsaEncryption, SignatureAlgorithm,
};
use crate::prelude::*;

/// Evaluates an expression with `$digest` bound to the type that implements a digest.
macro_rules! with_digest {
    ($algorithm:expr, $digest:ident => $body:expr) => {
        match $algorithm {
            $crate::crypto::DigestAlgorithm::Sha1 => {
                type $digest = sha1::Sha1;
                $body
            }
            $crate::crypto::DigestAlgorithm::Sha224 => {
                type $digest = sha2::Sha224;
                $body
            }
            $crate::crypto::DigestAlgorithm::Sha256 => {
                type $digest = sha2::Sha256;
                $body
            }
            $crate::crypto::DigestAlgorithm::Sha384 => {
                type $digest = sha2::Sha384;
                $body
            }
            $crate::crypto::DigestAlgorithm::Sha512 => {
                type $digest = sha2::Sha512;
                $body
            }
        }
    };
}

pub(crate) use with_digest;

/// The provider. Without state: making one costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Provider for RustCrypto {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(out).map_err(|_| CryptoError::Random)
    }

    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> Result<DigestValue, CryptoError> {
        Ok(digest(algorithm, parts))
    }

    fn digest_start(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestStream>, CryptoError> {
        Ok(with_digest!(algorithm, D => Box::new(Stream(D::new()))))
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
        key::generate(kind)
    }

    fn import_pkcs8(&self, pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
        super::rsa_pss::labelled(key::import(pkcs8)?, &crate::asn1::pkcs8::PrivateKeyInfo::from_der(pkcs8)?)
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
        #[cfg(feature = "rust-ml-kem")]
        return ml_kem::encapsulate(spki);
        #[cfg(not(feature = "rust-ml-kem"))]
        match super::PublicKey::from_spki(spki)?.kind() {
            kind if kind.can_decapsulate() => Err(not_built_in(kind)),
            _ => Err(CryptoError::KeyCannot("take an encapsulated secret")),
        }
    }
}

/// A kind of key that this build was made without.
fn not_built_in(kind: KeyKind) -> CryptoError {
    let feature = match kind {
        KeyKind::Rsa(_) => "rust-rsa",
        KeyKind::P256 => "crypto-rust-p256",
        KeyKind::P384 => "rust-p384",
        KeyKind::P521 => "rust-p521",
        KeyKind::Ed25519 | KeyKind::X25519 => "rust-25519",
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => "rust-ml-dsa",
        KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024 => "rust-ml-kem",
    };
    CryptoError::Unsupported(format!("{kind} keys: this library was built without its feature {feature}"))
}

fn digest(algorithm: DigestAlgorithm, parts: &[&[u8]]) -> DigestValue {
    with_digest!(algorithm, D => {
        let mut state = D::new();
        parts.iter().for_each(|part| state.update(part));
        DigestValue::new(&state.finalize())
    })
}

struct Stream<D>(D);

impl<D: Digest + Send> DigestStream for Stream<D> {
    fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    fn finish(self: Box<Self>) -> DigestValue {
        DigestValue::new(&self.0.finalize())
    }
}
