//! ML-KEM (FIPS 203): keys, encapsulation.

#[allow(deprecated, reason = "deprecated as a form to keep; what others wrote is read, and written for them")]
use ml_kem::ExpandedKeyEncoding;
use ml_kem::array::Array;
use ml_kem::kem::{Decapsulate, Encapsulate, KeyExport};
use ml_kem::{DecapsulationKey, EncapsulationKey};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::public_key::PublicKey;
use super::super::{CryptoError, KeyKind};
use super::key::{Key, Secret, random_seed, random_source};
use crate::asn1::der::{element, sequence};
use crate::asn1::pkcs8::{SeededPrivateKey, encode_private_key_info};
use crate::prelude::*;

/// Evaluates an expression with `$set` bound to a parameter set.
macro_rules! with_ml_kem {
    ($kind:expr, $set:ident => $body:expr) => {
        match $kind {
            KeyKind::MlKem512 => {
                type $set = ml_kem::MlKem512;
                $body
            }
            KeyKind::MlKem768 => {
                type $set = ml_kem::MlKem768;
                $body
            }
            _ => {
                type $set = ml_kem::MlKem1024;
                $body
            }
        }
    };
}

/// Evaluates an expression with `$key` bound to the decapsulation key of a [`KemSecret`].
macro_rules! with_key {
    ($secret:expr, $kind:expr, $key:ident => $body:expr) => {
        with_ml_kem!($kind, P => {
            let refused = || CryptoError::BadKey("an ML-KEM key that is malformed or inconsistent".to_owned());
            let expanded = Array::try_from(&$secret.expanded[..]).map_err(|_| refused())?;
            #[allow(deprecated, reason = "see above")]
            let $key = DecapsulationKey::<P>::from_expanded_bytes(&expanded).map_err(|_| refused())?;
            $body
        })
    };
}

/// A decapsulation key as it is kept: expanded, and with the seed it came from where that is known.
struct KemSecret {
    kind: KeyKind,
    expanded: Zeroizing<Vec<u8>>,
    seed: Option<Zeroizing<[u8; 64]>>,
}

impl Secret for KemSecret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        with_key!(self, self.kind, key => Ok(key.encapsulation_key().to_bytes().to_vec()))
    }

    /// With the seed and the expanded key (RFC 9935 section 6): some read only the one, some only the other.
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let expanded = Zeroizing::new(element(0x04, &[&self.expanded]));
        let content = match &self.seed {
            Some(seed) => Zeroizing::new(sequence(&[&Zeroizing::new(element(0x04, &[&**seed])), &expanded])),
            None => expanded,
        };
        Some(encode_private_key_info(self.kind.identifier(), &[], &content))
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        with_key!(self, self.kind, key => {
            let ciphertext = Array::try_from(ciphertext).map_err(|_| CryptoError::Decrypt)?;
            Ok(Zeroizing::new(key.decapsulate(&ciphertext).to_vec()))
        })
    }
}

pub(super) fn generate(kind: KeyKind) -> Result<Key, CryptoError> {
    Key::new(kind, of_seed(kind, random_seed()?))
}

/// From the content of PKCS#8's privateKey.
pub(super) fn import(kind: KeyKind, content: &[u8]) -> Result<Key, CryptoError> {
    let SeededPrivateKey { seed, expanded } = SeededPrivateKey::from_der(content, "ML-KEM-PrivateKey", 64)?;
    let rejected = || CryptoError::BadKey("an ML-KEM key that is malformed or inconsistent".to_owned());
    if let Some(seed) = seed {
        let made = of_seed(kind, Zeroizing::new(seed.try_into().map_err(|_| rejected())?));
        let same = expanded.is_none_or(|expanded| bool::from(made.expanded.ct_eq(expanded)));
        return if same { Key::new(kind, made) } else { Err(rejected()) };
    }
    let made = KemSecret { kind, expanded: Zeroizing::new(expanded.unwrap_or_default().to_vec()), seed: None };
    // The crate checks the hash of the public half; that both halves are one pair is tried out.
    let (ciphertext, secret) = encapsulate_to(kind, &made.public().map_err(|_| rejected())?)?;
    let opened = made.decapsulate(&ciphertext)?;
    if bool::from(opened.ct_eq(&secret)) { Key::new(kind, made) } else { Err(rejected()) }
}

fn of_seed(kind: KeyKind, seed: Zeroizing<[u8; 64]>) -> KemSecret {
    #[allow(deprecated, reason = "see above")]
    let expanded = with_ml_kem!(kind, P => {
        DecapsulationKey::<P>::from_seed((*seed).into()).to_expanded_bytes().to_vec()
    });
    KemSecret { kind, expanded: Zeroizing::new(expanded), seed: Some(seed) }
}

pub(super) fn encapsulate(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let PublicKey::MlKem { kind, key } = PublicKey::from_spki(spki)? else {
        return Err(CryptoError::KeyCannot("take an encapsulated secret"));
    };
    encapsulate_to(kind, key)
}

fn encapsulate_to(kind: KeyKind, key: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let refused = || CryptoError::BadKey("an ML-KEM key that is none".to_owned());
    let mut rng = random_source()?;
    with_ml_kem!(kind, P => {
        let key = Array::try_from(key).map_err(|_| refused())?;
        let key = EncapsulationKey::<P>::new(&key).map_err(|_| refused())?;
        let (ciphertext, secret) = key.encapsulate_with_rng(&mut rng);
        Ok((ciphertext.to_vec(), Zeroizing::new(secret.to_vec())))
    })
}
