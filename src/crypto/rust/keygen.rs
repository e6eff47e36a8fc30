//! New key pairs, and key pairs out of PKCS#8.

use std::sync::Arc;

use curve25519_dalek::MontgomeryPoint;
use getrandom::SysRng;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::rand_core::UnwrapErr;
use rsa::traits::PublicKeyParts;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::public_key::check_rsa_private_key;
use super::super::public_key::{self, PublicKey, coordinate_len, encode_spki};
use super::super::{CryptoError, KeyKind, PrivateKey};
use super::kem::KemSecret;
use super::sign::{Key, Secret};
use super::{with_curve, with_ml_dsa};
use crate::asn1::known_as::named;
use crate::asn1::oid;
use crate::asn1::pkcs8::{EcPrivateKey, PrivateKeyInfo, SeededPrivateKey, curve_private_key};

pub(super) fn generate(kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let secret = match kind {
        KeyKind::Rsa(bits @ (2048 | 3072 | 4096)) => {
            let key = RsaPrivateKey::new(&mut random_source()?, bits as usize).map_err(|_| CryptoError::Random)?;
            Secret::Rsa(Box::new(key))
        }
        KeyKind::Rsa(bits) => return Err(CryptoError::Unsupported(format!("new RSA keys of {bits} bits"))),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Secret::Ec(random_scalar(kind)?),
        KeyKind::Ed25519 => Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&*random_seed()?))),
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => Secret::MlDsa(random_seed()?),
        KeyKind::X25519 => Secret::X25519(random_seed()?),
        KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024 => Secret::MlKem(KemSecret::generate(kind)?),
    };
    Ok(Arc::new(key(kind, secret)?))
}

pub(super) fn import(pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let info = PrivateKeyInfo::from_der(pkcs8)?;
    let made = match info.algorithm {
        oid::RSA_ENCRYPTION | oid::RSASSA_PSS => {
            // The crate's own words may name numbers of the key: not passed on.
            let refused = || CryptoError::BadKey("an RSA private key that is malformed or inconsistent".to_owned());
            check_rsa_private_key(info.key)?;
            let private = RsaPrivateKey::from_pkcs1_der(info.key).map_err(|_| refused())?;
            private.validate().map_err(|_| refused())?;
            let bits = private.n().bits();
            key(KeyKind::Rsa(bits), Secret::Rsa(Box::new(private)))?
        }
        oid::EC_PUBLIC_KEY => {
            let curve = info.named_curve()?;
            let kind = public_key::curve_kind(curve)?;
            let inner = EcPrivateKey::from_der(info.key)?;
            if inner.curve.is_some_and(|inner| inner != curve) {
                return Err(CryptoError::BadKey("two different curves in one key".to_owned()));
            }
            let made = key(kind, Secret::Ec(scalar_in_length(kind, inner.scalar)?))?;
            check_public_half(&made, inner.public_key)?;
            made
        }
        oid::ED25519 => {
            let seed = curve_private_key(info.key)?;
            key(KeyKind::Ed25519, Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed))))?
        }
        oid::ML_DSA_44 => import_ml_dsa(KeyKind::MlDsa44, info.key)?,
        oid::ML_DSA_65 => import_ml_dsa(KeyKind::MlDsa65, info.key)?,
        oid::ML_DSA_87 => import_ml_dsa(KeyKind::MlDsa87, info.key)?,
        oid::X25519 => key(KeyKind::X25519, Secret::X25519(Zeroizing::new(*curve_private_key(info.key)?)))?,
        oid::ML_KEM_512 => import_ml_kem(KeyKind::MlKem512, info.key)?,
        oid::ML_KEM_768 => import_ml_kem(KeyKind::MlKem768, info.key)?,
        oid::ML_KEM_1024 => import_ml_kem(KeyKind::MlKem1024, info.key)?,
        other => return Err(CryptoError::Unsupported(format!("private keys of type {}", named(&other)))),
    };
    // RFC 5958 section 2: the public key that may stand beside it is this key's.
    check_public_half(&made, info.public_key)?;
    Ok(Arc::new(made))
}

/// A generator for functions that cannot report its failure: asked for a byte first, so that a missing source is an
/// error and not a panic.
pub(super) fn random_source() -> Result<UnwrapErr<SysRng>, CryptoError> {
    getrandom::fill(&mut [0u8; 1]).map_err(|_| CryptoError::Random)?;
    Ok(UnwrapErr(SysRng))
}

/// A scalar from 1 to the group order less 1, in the length of the curve.
pub(super) fn random_scalar(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut scalar = Zeroizing::new(vec![0u8; coordinate_len(kind)]);
    // FIPS 186-5 appendix A.2.2: tried until it is in range, which it nearly always is.
    for _ in 0..128 {
        getrandom::fill(&mut scalar).map_err(|_| CryptoError::Random)?;
        if kind == KeyKind::P521 {
            scalar[0] &= 1;
        }
        if with_curve!(kind, curve => curve::SecretKey::from_slice(&scalar).is_ok()) {
            return Ok(scalar);
        }
    }
    Err(CryptoError::Random)
}

/// The public point of a scalar, uncompressed.
pub(super) fn public_point(kind: KeyKind, scalar: &[u8]) -> Result<Vec<u8>, CryptoError> {
    with_curve!(kind, curve => {
        let key = curve::SecretKey::from_slice(scalar)
            .map_err(|_| CryptoError::BadKey("an EC private key outside the range of its curve".to_owned()))?;
        Ok(curve::ecdsa::VerifyingKey::from(key.public_key()).to_sec1_point(false).as_bytes().to_vec())
    })
}

/// Keys without their seed are refused: the crate's reader of expanded keys does not check them.
fn import_ml_dsa(kind: KeyKind, content: &[u8]) -> Result<Key, CryptoError> {
    let SeededPrivateKey { seed, expanded } = SeededPrivateKey::from_der(content, "ML-DSA-PrivateKey", 32)?;
    let seed: &[u8; 32] = seed
        .and_then(|seed| seed.try_into().ok())
        .ok_or_else(|| CryptoError::Unsupported("ML-DSA keys without their seed".to_owned()))?;
    if let Some(expanded) = expanded {
        #[allow(deprecated, reason = "deprecated as a form to keep; here it is compared with what came")]
        let own = with_ml_dsa!(kind, P => {
            let key = ml_dsa::SigningKey::<P>::from_seed(&(*seed).into());
            Zeroizing::new(key.expanded_key().to_expanded().to_vec())
        });
        if !bool::from(own.ct_eq(expanded)) {
            return Err(CryptoError::BadKey("seed and expanded key do not belong together".to_owned()));
        }
    }
    key(kind, Secret::MlDsa(Zeroizing::new(*seed)))
}

fn import_ml_kem(kind: KeyKind, content: &[u8]) -> Result<Key, CryptoError> {
    key(kind, Secret::MlKem(KemSecret::import(kind, content)?))
}

fn key(kind: KeyKind, secret: Secret) -> Result<Key, CryptoError> {
    let public = match &secret {
        Secret::Rsa(key) => {
            let encoded = key.to_public_key().to_pkcs1_der();
            encoded.map_err(|_| CryptoError::BadKey("an RSA key that cannot be written".to_owned()))?.into_vec()
        }
        Secret::Ec(scalar) => public_point(kind, scalar)?,
        Secret::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
        Secret::X25519(scalar) => MontgomeryPoint::mul_base_clamped(**scalar).to_bytes().to_vec(),
        Secret::MlKem(secret) => secret.public(kind)?,
        Secret::MlDsa(seed) => with_ml_dsa!(kind, P => {
            ml_dsa::SigningKey::<P>::from_seed(&(**seed).into()).expanded_key().verifying_key().encode().to_vec()
        }),
    };
    let spki = encode_spki(kind, &public);
    // The same bounds as for everybody else's keys.
    PublicKey::from_spki(&spki)?;
    Ok(Key { spki, kind, secret })
}

fn check_public_half(key: &Key, public: Option<&[u8]>) -> Result<(), CryptoError> {
    match public {
        Some(public) if !super::super::keys::same_public_key(&encode_spki(key.kind, public), &key.spki) => {
            Err(CryptoError::BadKey("private and public half do not belong together".to_owned()))
        }
        _ => Ok(()),
    }
}

/// RFC 5915 fixes the scalar's length; zeros too few or too many are taken as OpenSSL takes them.
fn scalar_in_length(kind: KeyKind, scalar: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let length = coordinate_len(kind);
    let surplus = scalar.len().saturating_sub(length);
    if scalar[..surplus].iter().any(|byte| *byte != 0) {
        return Err(CryptoError::BadKey("an EC private key longer than its curve".to_owned()));
    }
    let mut out = Zeroizing::new(vec![0u8; length]);
    let scalar = &scalar[surplus..];
    out[length - scalar.len()..].copy_from_slice(scalar);
    Ok(out)
}

fn random_seed() -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *seed).map_err(|_| CryptoError::Random)?;
    Ok(seed)
}
