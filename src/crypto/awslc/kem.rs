//! ML-KEM (FIPS 203): keys, encapsulation.
//!
//! AWS-LC's Rust face knows keys in their expanded form only: a seed alone is refused.

use aws_lc_rs::digest;
use aws_lc_rs::kem::{Algorithm, AlgorithmId, DecapsulationKey, EncapsulationKey, ML_KEM_512, ML_KEM_768, ML_KEM_1024};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::public_key::PublicKey;
use super::super::{CryptoError, KeyKind};
use crate::asn1::der::element;
use crate::asn1::pkcs8::{SeededPrivateKey, encode_private_key_info};

/// RFC 9935 section 6 has both forms.
const SEED_ALONE: &str = "ML-KEM keys of a seed alone: openssl pkey -in FILE -provparam ml-kem.output_formats=priv-only -out NEW (3.5 or later) writes the key that follows from it; builds with the provider crypto-rust read both";

pub(super) fn generate(kind: KeyKind) -> Result<(DecapsulationKey, Vec<u8>), CryptoError> {
    let key = DecapsulationKey::generate(algorithm(kind)).map_err(|_| CryptoError::Random)?;
    let public = key.encapsulation_key().and_then(|key| key.key_bytes()).map_err(|_| CryptoError::Random)?;
    Ok((key, public.as_ref().to_vec()))
}

/// From the content of PKCS#8's privateKey.
pub(super) fn import(kind: KeyKind, content: &[u8]) -> Result<(DecapsulationKey, Vec<u8>), CryptoError> {
    let expanded = SeededPrivateKey::from_der(content, "ML-KEM-PrivateKey", 64)?.expanded;
    let expanded = expanded.ok_or_else(|| CryptoError::Unsupported(SEED_ALONE.to_owned()))?;
    let rejected = || CryptoError::BadKey("an ML-KEM key that is malformed or inconsistent".to_owned());
    let key = DecapsulationKey::new(algorithm(kind), expanded).map_err(|_| rejected())?;
    // FIPS 203 section 7.1: dk_PKE, ek, H(ek), z. The hash is checked (section 7.3), then that both halves are one pair.
    let (start, length) = (384 * rank(kind), 384 * rank(kind) + 32);
    let public = &expanded[start..start + length];
    let hash = digest::digest(&digest::SHA3_256, public);
    if !bool::from(hash.as_ref().ct_eq(&expanded[start + length..start + length + 32])) {
        return Err(rejected());
    }
    let (ciphertext, secret) = encapsulate_to(kind, public)?;
    let opened = decapsulate(&key, &ciphertext).map_err(|_| rejected())?;
    if !bool::from(opened.ct_eq(&secret)) {
        return Err(rejected());
    }
    Ok((key, public.to_vec()))
}

pub(super) fn to_pkcs8(kind: KeyKind, key: &DecapsulationKey) -> Option<Zeroizing<Vec<u8>>> {
    let expanded = key.key_bytes().ok()?;
    let content = Zeroizing::new(element(0x04, &[expanded.as_ref()]));
    Some(encode_private_key_info(kind.identifier(), &[], &content))
}

pub(super) fn decapsulate(key: &DecapsulationKey, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let secret = key.decapsulate(ciphertext.into()).map_err(|_| CryptoError::Decrypt)?;
    Ok(Zeroizing::new(secret.as_ref().to_vec()))
}

pub(super) fn encapsulate(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let PublicKey::MlKem { kind, key } = PublicKey::from_spki(spki)? else {
        return Err(CryptoError::KeyCannot("take an encapsulated secret"));
    };
    encapsulate_to(kind, key)
}

fn encapsulate_to(kind: KeyKind, key: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let refused = || CryptoError::BadKey("an ML-KEM key that is none".to_owned());
    let key = EncapsulationKey::new(algorithm(kind), key).map_err(|_| refused())?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| refused())?;
    Ok((ciphertext.as_ref().to_vec(), Zeroizing::new(secret.as_ref().to_vec())))
}

fn algorithm(kind: KeyKind) -> &'static Algorithm<AlgorithmId> {
    match kind {
        KeyKind::MlKem512 => &ML_KEM_512,
        KeyKind::MlKem768 => &ML_KEM_768,
        _ => &ML_KEM_1024,
    }
}

/// FIPS 203 table 2: k.
fn rank(kind: KeyKind) -> usize {
    match kind {
        KeyKind::MlKem512 => 2,
        KeyKind::MlKem768 => 3,
        _ => 4,
    }
}
