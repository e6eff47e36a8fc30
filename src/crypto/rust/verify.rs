//! Checking signatures by keys in SubjectPublicKeyInfo.

use ecdsa::hazmat::verify_prehashed;
use ed25519_dalek::Verifier;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey as Rsa};

use super::super::public_key::{PublicKey, RsaPublicKey};
use super::super::{CryptoError, DigestValue, KeyKind, SignatureAlgorithm};
use super::{digest, with_curve, with_digest, with_ml_dsa};
use crate::limits;

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
        PublicKey::Ed25519(key) => {
            let bad_key = || CryptoError::BadKey("the key's octets are not a point of its curve".to_owned());
            let key = key.try_into().map_err(|_| bad_key())?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| bad_key())?;
            let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| CryptoError::Mismatch)?;
            key.verify(message, &signature).map_err(|_| CryptoError::Mismatch)
        }
        PublicKey::MlDsa { kind, key } => ml_dsa(kind, key, message, signature),
        _ => {
            let digest_name = algorithm.digest().ok_or(CryptoError::Mismatch)?;
            prehashed(algorithm, &key, &digest(digest_name, &[message]), signature)
        }
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
        (PublicKey::Rsa(rsa), SignatureAlgorithm::RsaPkcs1(digest)) => {
            let key = rsa_public_key(rsa)?;
            with_digest!(digest, D => key.verify(Pkcs1v15Sign::new::<D>(), value, signature))
                .map_err(|_| CryptoError::Mismatch)
        }
        (PublicKey::Rsa(rsa), SignatureAlgorithm::RsaPss { digest, salt_len }) => {
            // RFC 8017 section 9.1.2: emLen < hLen + sLen + 2 is "inconsistent".
            let room = (rsa.bits as usize - 1).div_ceil(8).saturating_sub(digest.output_len() + 2);
            let salt_len = salt_len as usize;
            if salt_len > room {
                return Err(CryptoError::Mismatch);
            }
            let key = rsa_public_key(rsa)?;
            with_digest!(digest, D => key.verify(Pss::<D>::new_with_salt(salt_len), value, signature))
                .map_err(|_| CryptoError::Mismatch)
        }
        (PublicKey::Rsa(rsa), SignatureAlgorithm::RsaPssMasked { digest: found, mask, salt_len }) => {
            let hash = |found, parts: &[&[u8]]| digest(found, parts).to_vec();
            super::super::rsa_pss::verify_masked(rsa, (found, mask, salt_len), value, signature, &hash)
        }
        (PublicKey::Ec { kind, point }, SignatureAlgorithm::Ecdsa(_) | SignatureAlgorithm::EcdsaWithNull(_)) => {
            with_curve!(*kind, curve => {
                let key = curve::PublicKey::from_sec1_bytes(point)
                    .map_err(|_| CryptoError::BadKey("the key's octets are not a point of its curve".to_owned()))?;
                let signature = curve::ecdsa::Signature::from_der(signature).map_err(|_| CryptoError::Mismatch)?;
                verify_prehashed(&key.to_projective(), value, &signature).map_err(|_| CryptoError::Mismatch)
            })
        }
        _ => Err(CryptoError::KeyCannot("sign a digest")),
    }
}

fn ml_dsa(kind: KeyKind, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    with_ml_dsa!(kind, P => {
        let key = ml_dsa::EncodedVerifyingKey::<P>::try_from(key)
            .map_err(|_| CryptoError::BadKey("an ML-DSA key of another length".to_owned()))?;
        let signature = ml_dsa::Signature::<P>::try_from(signature).map_err(|_| CryptoError::Mismatch)?;
        let genuine = ml_dsa::VerifyingKey::<P>::decode(&key).verify_with_context(message, &[], &signature);
        if genuine { Ok(()) } else { Err(CryptoError::Mismatch) }
    })
}

pub(super) fn rsa_public_key(key: &RsaPublicKey<'_>) -> Result<Rsa, CryptoError> {
    let number = BoxedUint::from_be_slice_vartime;
    let sizes = limits::MIN_WEAK_RSA_BITS as usize..=limits::MAX_RSA_BITS as usize;
    Rsa::new_with_size_limits(number(key.modulus), number(key.exponent), sizes)
        .map_err(|error| CryptoError::BadKey(format!("the RSA key is refused: {error}")))
}
