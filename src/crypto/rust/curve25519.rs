//! Ed25519 and X25519 (RFC 8410).

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signer, SigningKey, Verifier, VerifyingKey};
use zeroize::Zeroizing;

use super::super::{CryptoError, KeyKind, SignatureAlgorithm};
use super::key::{Key, Secret, random_seed};
use crate::asn1::der::element;
use crate::asn1::oid;
use crate::asn1::pkcs8::{curve_private_key, encode_private_key_info};
use crate::prelude::*;

struct Ed25519Secret(Box<SigningKey>);

impl Secret for Ed25519Secret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        Ok(self.0.verifying_key().to_bytes().to_vec())
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let content = Zeroizing::new(element(0x04, &[self.0.as_bytes()]));
        Some(encode_private_key_info(oid::ED25519, &[], &content))
    }

    fn sign(&self, _: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

/// The scalar, not yet clamped.
struct X25519Secret(Zeroizing<[u8; 32]>);

impl Secret for X25519Secret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        Ok(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes().to_vec())
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let content = Zeroizing::new(element(0x04, &[&*self.0]));
        Some(encode_private_key_info(oid::X25519, &[], &content))
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        agree(&self.0, peer_point)
    }
}

pub(super) fn generate_ed25519() -> Result<Key, CryptoError> {
    Key::new(KeyKind::Ed25519, Ed25519Secret(Box::new(SigningKey::from_bytes(&*random_seed()?))))
}

pub(super) fn generate_x25519() -> Result<Key, CryptoError> {
    Key::new(KeyKind::X25519, X25519Secret(random_seed()?))
}

pub(super) fn import_ed25519(content: &[u8]) -> Result<Key, CryptoError> {
    let seed = curve_private_key(content)?;
    Key::new(KeyKind::Ed25519, Ed25519Secret(Box::new(SigningKey::from_bytes(seed))))
}

pub(super) fn import_x25519(content: &[u8]) -> Result<Key, CryptoError> {
    Key::new(KeyKind::X25519, X25519Secret(Zeroizing::new(*curve_private_key(content)?)))
}

pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let bad_key = || CryptoError::BadKey("the key's octets are not a point of its curve".to_owned());
    let key = key.try_into().map_err(|_| bad_key())?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| bad_key())?;
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| CryptoError::Mismatch)?;
    key.verify(message, &signature).map_err(|_| CryptoError::Mismatch)
}

/// A fresh key's public half and its secret with the holder of `point`.
pub(super) fn agree_ephemeral(point: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let scalar = random_seed()?;
    Ok((MontgomeryPoint::mul_base_clamped(*scalar).to_bytes().to_vec(), agree(&scalar, point)?))
}

fn agree(scalar: &[u8; 32], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let bad_point = || CryptoError::BadKey("the peer's point is not on the curve".to_owned());
    let peer = MontgomeryPoint(point.try_into().map_err(|_| bad_point())?);
    let secret = Zeroizing::new(peer.mul_clamped(*scalar).to_bytes().to_vec());
    // RFC 7748 section 6.1: points of small order give zeros, whatever the key.
    if secret.iter().fold(0, |all, byte| all | byte) == 0 {
        return Err(bad_point());
    }
    Ok(secret)
}
