//! Checking signatures by keys in SubjectPublicKeyInfo: the kind of key leads to who checks them.

use super::super::public_key::PublicKey;
use super::super::{CryptoError, DigestValue, SignatureAlgorithm};
use super::{digest, ec, not_built_in};

pub(super) fn verify(
    algorithm: &SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
    allow_weak: bool,
) -> Result<(), CryptoError> {
    let key = PublicKey::from_spki(spki)?;
    key.admit(algorithm, allow_weak)?;
    match key {
        #[cfg(feature = "rust-25519")]
        PublicKey::Ed25519(key) => super::curve25519::verify(key, message, signature),
        #[cfg(feature = "rust-ml-dsa")]
        PublicKey::MlDsa { kind, key } => super::ml_dsa::verify(kind, key, message, signature),
        PublicKey::Rsa(_) | PublicKey::Ec { .. } => {
            let digest_name = algorithm.digest().ok_or(CryptoError::Mismatch)?;
            prehashed(algorithm, &key, &digest(digest_name, &[message]), signature)
        }
        other => Err(not_built_in(other.kind())),
    }
}

pub(super) fn verify_digest(
    algorithm: &SignatureAlgorithm,
    spki: &[u8],
    digest: &DigestValue,
    signature: &[u8],
    allow_weak: bool,
) -> Result<(), CryptoError> {
    let Some(digest_name) = algorithm.digest() else {
        return Err(CryptoError::Unsupported(format!("{algorithm} over a digest instead of a message")));
    };
    if digest.len() != digest_name.output_len() {
        return Err(CryptoError::Unsupported(format!("a digest of {} bytes as {digest_name}", digest.len())));
    }
    let key = PublicKey::from_spki(spki)?;
    key.admit(algorithm, allow_weak)?;
    prehashed(algorithm, &key, digest, signature)
}

fn prehashed(
    algorithm: &SignatureAlgorithm,
    key: &PublicKey<'_>,
    value: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    match (key, *algorithm) {
        #[cfg(feature = "rust-rsa")]
        (PublicKey::Rsa(key), algorithm) => super::rsa::verify(key, algorithm, value, signature),
        #[cfg(not(feature = "rust-rsa"))]
        (PublicKey::Rsa(_), _) => Err(not_built_in(key.kind())),
        (PublicKey::Ec { kind, point }, SignatureAlgorithm::Ecdsa(_) | SignatureAlgorithm::EcdsaWithNull(_)) => {
            ec::verify(*kind, point, value, signature)
        }
        _ => Err(CryptoError::KeyCannot("sign a digest")),
    }
}
