//! What a provider of cryptography does, and what a private key does, wherever it lives.

use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

use super::algorithm::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use super::error::CryptoError;
use crate::prelude::*;

/// A digest value: up to 64 bytes, no allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DigestValue {
    bytes: [u8; 64],
    length: u8,
}

impl DigestValue {
    /// From at most 64 bytes.
    pub fn new(value: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes[..value.len()].copy_from_slice(value);
        DigestValue { bytes, length: value.len() as u8 }
    }
}

impl core::ops::Deref for DigestValue {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for DigestValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::words::hex(self))
    }
}

/// Symmetric content encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherAlgorithm {
    /// AES-CBC with PKCS#7 padding; the key length (16, 24, 32 bytes) chooses the variant. IV of 16 bytes.
    AesCbc,
    /// AES-GCM; nonce of 12 bytes, tag of 16 bytes behind the ciphertext.
    AesGcm,
}

/// How an RSA key decrypts or encrypts a content-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaEncryption {
    /// RSAES-OAEP, the same digest for label and MGF1, empty label.
    Oaep(DigestAlgorithm),
    /// The same with another digest in MGF1: only to decrypt what somebody else made.
    OaepMasked {
        /// Of the label.
        digest: DigestAlgorithm,
        /// Of MGF1.
        mask: DigestAlgorithm,
    },
    /// RSAES-PKCS1-v1_5; only where an old peer leaves no choice.
    Pkcs1,
}

/// `RSA-OAEP-SHA256`, `RSA-OAEP-SHA256-MGF1-SHA1`, `RSA-PKCS1`.
impl fmt::Display for RsaEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |digest: &DigestAlgorithm| digest.to_string().replace('-', "");
        match self {
            RsaEncryption::Oaep(digest) => write!(f, "RSA-OAEP-{}", word(digest)),
            RsaEncryption::OaepMasked { digest, mask } => write!(f, "RSA-OAEP-{}-MGF1-{}", word(digest), word(mask)),
            RsaEncryption::Pkcs1 => f.write_str("RSA-PKCS1"),
        }
    }
}

/// One implementation of all algorithms. Shared between threads; holds no state a caller could notice.
pub trait Provider: Send + Sync + fmt::Debug {
    /// Name for people and logs, such as `aws-lc`.
    fn name(&self) -> &'static str;

    /// Fills `out` from a generator fit for keys and nonces.
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError>;

    /// Digest over the parts, one after the other.
    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]]) -> Result<DigestValue, CryptoError>;

    /// Digest over the parts, then over its own result, `count` times in all, at least once: the key derivation of
    /// PasswordBasedMac (RFC 4210 section 5.1.3.1).
    fn digest_repeated(
        &self,
        algorithm: DigestAlgorithm,
        parts: &[&[u8]],
        count: u32,
    ) -> Result<DigestValue, CryptoError> {
        let mut value = self.digest(algorithm, parts)?;
        for _ in 1..count {
            value = self.digest(algorithm, &[&value])?;
        }
        Ok(value)
    }

    /// A digest that is fed piece by piece: for input that is never whole in memory.
    fn digest_start(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestStream>, CryptoError>;

    /// HMAC over the parts, one after the other.
    fn hmac(&self, algorithm: DigestAlgorithm, key: &[u8], parts: &[&[u8]]) -> Result<DigestValue, CryptoError>;

    /// PBKDF2 with HMAC as pseudo-random function (RFC 8018 section 5.2). The caller has bounded `iterations`.
    fn pbkdf2(
        &self,
        prf: DigestAlgorithm,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        out: &mut [u8],
    ) -> Result<(), CryptoError>;

    /// HKDF (RFC 5869), extract and expand.
    fn hkdf(
        &self,
        digest: DigestAlgorithm,
        secret: &[u8],
        salt: &[u8],
        info: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError>;

    /// Checks a signature by the key in a SubjectPublicKeyInfo (DER). Named curves only; RSA from 2048 bits, from 1024
    /// only where [`SignatureAlgorithm::is_weak`] or `allow_weak` says so. `Err(Mismatch)` if the signature is wrong.
    fn verify(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        message: &[u8],
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError>;

    /// The same over a message whose digest the caller already has; not for Ed25519 and ML-DSA.
    fn verify_digest(
        &self,
        algorithm: &SignatureAlgorithm,
        spki: &[u8],
        digest: &DigestValue,
        signature: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError>;

    /// A new key pair.
    fn generate_key(&self, kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError>;

    /// A key from unencrypted PKCS#8 (RFC 5958), DER. Other forms are brought to this one by `crypto::keys`.
    fn import_pkcs8(&self, pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError>;

    /// Encrypts; for AES-GCM `aad` is authenticated and the tag appended. `iv` as the algorithm demands.
    fn encrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// The opposite; every failure is `Decrypt`.
    fn decrypt(
        &self,
        algorithm: CipherAlgorithm,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError>;

    /// AES key wrap (RFC 3394).
    fn wrap_key(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// AES key unwrap (RFC 3394); every failure is `Decrypt`.
    fn unwrap_key(&self, kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>;

    /// Encrypts a short secret to an RSA key in a SubjectPublicKeyInfo.
    fn rsa_encrypt(&self, scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// One-sided key agreement: makes an ephemeral key on the curve of `spki`, returns its public point (uncompressed,
    /// or 32 bytes for X25519) and the shared secret.
    fn agree_ephemeral(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError>;

    /// A fresh secret for the holder of a KEM key in a SubjectPublicKeyInfo (ML-KEM): its ciphertext, and the secret.
    fn encapsulate(&self, spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError>;
}

/// A digest in progress.
pub trait DigestStream: Send {
    /// Adds bytes.
    fn update(&mut self, part: &[u8]);
    /// Ends it.
    fn finish(self: Box<Self>) -> DigestValue;
}

/// A private key, wherever it lives: memory, a PKCS#11 token, a TPM, the caller's callback.
pub trait PrivateKey: Send + Sync + fmt::Debug {
    /// The public half as SubjectPublicKeyInfo, DER.
    fn spki(&self) -> &[u8];

    /// Type and size.
    fn kind(&self) -> KeyKind;

    /// How it signs unless the caller says otherwise: as its identifier binds it, else as its kind does.
    fn default_signature(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::default_for(self.spki(), self.kind())
    }

    /// Signs a message. ECDSA signatures are Ecdsa-Sig-Value (DER), the others as their RFC says.
    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Unencrypted PKCS#8, DER; `None` where the key cannot leave its home.
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>>;

    /// By what words a key that cannot leave its home is found again, such as a `pkcs11:` URI; `None` where it does not
    /// know, and where it leaves.
    fn reference(&self) -> Option<&str> {
        None
    }

    /// Decrypts a short secret (RSA keys). Failures are `Decrypt` whatever the reason.
    fn decrypt(&self, _scheme: RsaEncryption, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("decrypt"))
    }

    /// The secret in a KEM's ciphertext (ML-KEM keys). A ciphertext of the right length that was made for another key gives
    /// another secret, not an error (FIPS 203 section 6.3).
    fn decapsulate(&self, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("decapsulate"))
    }

    /// Shared secret with the holder of a public point (EC keys, X25519); the point as in a SubjectPublicKeyInfo's BIT STRING.
    fn agree(&self, _peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("agree on a secret"))
    }
}
