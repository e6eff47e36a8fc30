//! New key pairs, and key pairs out of PKCS#8.

use std::sync::Arc;

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::kem::DecapsulationKey;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING,
    PqdsaKeyPair, PqdsaSigningAlgorithm, RsaKeyPair,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::keys::same_public_key;
use super::super::public_key::check_rsa_private_key;
use super::super::public_key::{self, PublicKey, encode_spki};
use super::super::{CryptoError, KeyKind, PrivateKey};
use super::kem;
use super::sign::{Key, Pair};
use crate::asn1::known_as::named;
use crate::asn1::oid;
use crate::asn1::pkcs8::{EcPrivateKey, PrivateKeyInfo, SeededPrivateKey, curve_private_key};

pub(super) fn generate(kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let failed = |_: Unspecified| CryptoError::Random;
    let pair = match kind {
        KeyKind::Rsa(bits) => {
            let size = match bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                4096 => KeySize::Rsa4096,
                _ => return Err(CryptoError::Unsupported(format!("new RSA keys of {bits} bits"))),
            };
            Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
        }
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
            Pair::Ecdsa(EcdsaKeyPair::generate(ecdsa(kind)).map_err(failed)?)
        }
        KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => {
            Pair::MlDsa(PqdsaKeyPair::generate(ml_dsa(kind)).map_err(failed)?, None)
        }
        KeyKind::X25519 => {
            let pair = agreement::PrivateKey::generate(&agreement::X25519).map_err(failed)?;
            return x25519(pair).map(|key| Arc::new(key) as _);
        }
        KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024 => {
            return Ok(Arc::new(ml_kem(kind, kem::generate(kind)?)));
        }
    };
    Ok(Arc::new(key(kind, pair)))
}

pub(super) fn import(pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let info = PrivateKeyInfo::from_der(pkcs8)?;
    let made = match info.algorithm {
        o if o == oid::RSA_ENCRYPTION || o == oid::RSASSA_PSS => {
            check_rsa_private_key(info.key)?;
            let pair = RsaKeyPair::from_der(info.key).map_err(rejected)?;
            let spki = encode_spki(KeyKind::Rsa(0), pair.public_key().as_ref());
            let PublicKey::Rsa(rsa) = PublicKey::from_spki(&spki)? else { unreachable!("encoded as RSA") };
            key(KeyKind::Rsa(rsa.bits), Pair::Rsa(pair))
        }
        o if o == oid::EC_PUBLIC_KEY => {
            let curve = info.named_curve()?;
            let kind = public_key::curve_kind(curve)?;
            if EcPrivateKey::from_der(info.key)?.curve.is_some_and(|inner| inner != curve) {
                return Err(CryptoError::BadKey("two different curves in one key".to_owned()));
            }
            key(kind, Pair::Ecdsa(EcdsaKeyPair::from_private_key_der(ecdsa(kind), info.key).map_err(rejected)?))
        }
        o if o == oid::ED25519 => {
            let seed = curve_private_key(info.key)?;
            key(KeyKind::Ed25519, Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(seed).map_err(rejected)?))
        }
        o if o == oid::ML_DSA_44 => import_ml_dsa(KeyKind::MlDsa44, info.key, pkcs8)?,
        o if o == oid::ML_DSA_65 => import_ml_dsa(KeyKind::MlDsa65, info.key, pkcs8)?,
        o if o == oid::ML_DSA_87 => import_ml_dsa(KeyKind::MlDsa87, info.key, pkcs8)?,
        o if o == oid::X25519 => {
            let seed = curve_private_key(info.key)?;
            x25519(agreement::PrivateKey::from_private_key(&agreement::X25519, seed).map_err(rejected)?)?
        }
        o if o == oid::ML_KEM_512 => ml_kem(KeyKind::MlKem512, kem::import(KeyKind::MlKem512, info.key)?),
        o if o == oid::ML_KEM_768 => ml_kem(KeyKind::MlKem768, kem::import(KeyKind::MlKem768, info.key)?),
        o if o == oid::ML_KEM_1024 => ml_kem(KeyKind::MlKem1024, kem::import(KeyKind::MlKem1024, info.key)?),
        other => return Err(CryptoError::Unsupported(format!("private keys of type {}", named(&other)))),
    };
    // RFC 5958 section 2: the public key that may stand beside it is this key's.
    let same = |public: &[u8]| same_public_key(&encode_spki(made.kind, public), &made.spki);
    if info.public_key.is_some_and(|public| !same(public)) {
        return Err(CryptoError::BadKey("private and public half do not belong together".to_owned()));
    }
    Ok(Arc::new(made))
}

fn import_ml_dsa(kind: KeyKind, content: &[u8], pkcs8: &[u8]) -> Result<Key, CryptoError> {
    let SeededPrivateKey { seed, expanded } = SeededPrivateKey::from_der(content, "ML-DSA-PrivateKey", 32)?;
    let algorithm = ml_dsa(kind);
    let (pair, kept) = match (seed, expanded) {
        (Some(seed), expanded) => {
            let pair = PqdsaKeyPair::from_seed(algorithm, seed).map_err(rejected)?;
            if let Some(expanded) = expanded {
                let own = pair.private_key().as_raw_bytes().map_err(|_| CryptoError::KeyCannot("be read"))?;
                if !bool::from(own.as_ref().ct_eq(expanded)) {
                    return Err(CryptoError::BadKey("seed and expanded key do not belong together".to_owned()));
                }
            }
            (pair, None)
        }
        (None, expanded) => {
            let expanded = expanded.unwrap_or_default();
            let pair = PqdsaKeyPair::from_raw_private_key(algorithm, expanded).map_err(rejected)?;
            (pair, Some(Zeroizing::new(pkcs8.to_vec())))
        }
    };
    Ok(key(kind, Pair::MlDsa(pair, kept)))
}

fn x25519(pair: agreement::PrivateKey) -> Result<Key, CryptoError> {
    let public = pair.compute_public_key().map_err(|_| CryptoError::KeyCannot("be read"))?;
    Ok(Key { spki: encode_spki(KeyKind::X25519, public.as_ref()), kind: KeyKind::X25519, pair: Pair::X25519(pair) })
}

fn ml_kem(kind: KeyKind, (pair, public): (DecapsulationKey, Vec<u8>)) -> Key {
    Key { spki: encode_spki(kind, &public), kind, pair: Pair::MlKem(pair) }
}

fn key(kind: KeyKind, pair: Pair) -> Key {
    let public = match &pair {
        Pair::Rsa(pair) => pair.public_key().as_ref(),
        Pair::Ecdsa(pair) => pair.public_key().as_ref(),
        Pair::Ed25519(pair) => pair.public_key().as_ref(),
        Pair::MlDsa(pair, _) => pair.public_key().as_ref(),
        Pair::X25519(_) | Pair::MlKem(_) => unreachable!("made by functions of their own"),
    };
    Key { spki: encode_spki(kind, public), kind, pair }
}

/// AWS-LC's reason is a word of its own that tells nobody what to do.
fn rejected(_: KeyRejected) -> CryptoError {
    CryptoError::BadKey("a private key that is malformed, or whose parts do not belong together".to_owned())
}

fn ecdsa(kind: KeyKind) -> &'static EcdsaSigningAlgorithm {
    match kind {
        KeyKind::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyKind::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        _ => &ECDSA_P521_SHA512_ASN1_SIGNING,
    }
}

fn ml_dsa(kind: KeyKind) -> &'static PqdsaSigningAlgorithm {
    match kind {
        KeyKind::MlDsa44 => &ML_DSA_44_SIGNING,
        KeyKind::MlDsa65 => &ML_DSA_65_SIGNING,
        _ => &ML_DSA_87_SIGNING,
    }
}
