//! ML-DSA (FIPS 204): keys, signatures.

use getrandom::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::{CryptoError, KeyKind, SignatureAlgorithm};
use super::key::{Key, Secret, random_seed};
use crate::asn1::der::element;
use crate::asn1::pkcs8::{SeededPrivateKey, encode_private_key_info};
use crate::prelude::*;

/// Evaluates an expression with `$set` bound to a parameter set.
macro_rules! with_ml_dsa {
    ($kind:expr, $set:ident => $body:expr) => {
        match $kind {
            KeyKind::MlDsa44 => {
                type $set = ml_dsa::MlDsa44;
                $body
            }
            KeyKind::MlDsa65 => {
                type $set = ml_dsa::MlDsa65;
                $body
            }
            _ => {
                type $set = ml_dsa::MlDsa87;
                $body
            }
        }
    };
}

struct MlDsaSecret {
    kind: KeyKind,
    seed: Zeroizing<[u8; 32]>,
}

impl Secret for MlDsaSecret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        Ok(with_ml_dsa!(self.kind, P => {
            ml_dsa::SigningKey::<P>::from_seed(&(*self.seed).into()).expanded_key().verifying_key().encode().to_vec()
        }))
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let content = Zeroizing::new(element(0x80, &[&*self.seed]));
        Some(encode_private_key_info(self.kind.identifier(), &[], &content))
    }

    fn sign(&self, _: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        with_ml_dsa!(self.kind, P => {
            let key = ml_dsa::SigningKey::<P>::from_seed(&(*self.seed).into());
            let signature = key.expanded_key().sign_randomized(message, &[], &mut SysRng);
            Ok(signature.map_err(|_| CryptoError::KeyCannot("sign"))?.encode().to_vec())
        })
    }
}

pub(super) fn generate(kind: KeyKind) -> Result<Key, CryptoError> {
    Key::new(kind, MlDsaSecret { kind, seed: random_seed()? })
}

/// Keys without their seed are refused: the crate's reader of expanded keys does not check them.
pub(super) fn import(kind: KeyKind, content: &[u8]) -> Result<Key, CryptoError> {
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
    Key::new(kind, MlDsaSecret { kind, seed: Zeroizing::new(*seed) })
}

pub(super) fn verify(kind: KeyKind, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    with_ml_dsa!(kind, P => {
        let key = ml_dsa::EncodedVerifyingKey::<P>::try_from(key)
            .map_err(|_| CryptoError::BadKey("an ML-DSA key of another length".to_owned()))?;
        let signature = ml_dsa::Signature::<P>::try_from(signature).map_err(|_| CryptoError::Mismatch)?;
        let genuine = ml_dsa::VerifyingKey::<P>::decode(&key).verify_with_context(message, &[], &signature);
        if genuine { Ok(()) } else { Err(CryptoError::Mismatch) }
    })
}
