//! Keys on the NIST curves: ECDSA, ECDH.

use ecdsa::hazmat::{sign_prehashed_rfc6979, verify_prehashed};
use zeroize::Zeroizing;

use super::super::public_key::{coordinate_len, curve_kind, curve_oid};
use super::super::{CryptoError, KeyKind, SignatureAlgorithm};
use super::key::{Key, Secret};
use super::{digest, not_built_in, with_digest};
use crate::asn1::der::element;
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{EcPrivateKey, encode_ec_private_key, encode_private_key_info};
use crate::prelude::*;

/// Evaluates an expression, a `Result`, with `$curve` bound to the crate of a NIST curve.
macro_rules! with_curve {
    ($kind:expr, $curve:ident => $body:expr) => {
        match $kind {
            KeyKind::P256 => {
                use p256 as $curve;
                $body
            }
            #[cfg(feature = "rust-p384")]
            KeyKind::P384 => {
                use p384 as $curve;
                $body
            }
            #[cfg(feature = "rust-p521")]
            KeyKind::P521 => {
                use p521 as $curve;
                $body
            }
            other => Err(not_built_in(other)),
        }
    };
}

struct EcSecret {
    kind: KeyKind,
    /// In the length of the curve.
    scalar: Zeroizing<Vec<u8>>,
}

impl Secret for EcSecret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        public_point(self.kind, &self.scalar)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let content = encode_ec_private_key(&self.scalar, &self.public().ok()?);
        let curve = element(0x06, &[curve_oid(self.kind)?.as_bytes()]);
        Some(encode_private_key_info(oid::EC_PUBLIC_KEY, &curve, &content))
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let failed = CryptoError::KeyCannot("sign");
        let SignatureAlgorithm::Ecdsa(found) = *algorithm else { return Err(failed) };
        let value = digest(found, &[message]);
        // Randomness beside RFC 6979's derivation: a fault in one of two equal signatures tells nothing.
        let mut hedge = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *hedge).map_err(|_| CryptoError::Random)?;
        with_curve!(self.kind, curve => {
            let key = curve::SecretKey::from_slice(&self.scalar).map_err(|_| failed)?;
            let scalar = key.to_nonzero_scalar();
            let (signature, _) = with_digest!(found, D => {
                sign_prehashed_rfc6979::<_, D>(&scalar, &value, &*hedge)
            });
            Ok(signature.to_der().as_bytes().to_vec())
        })
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        agree(self.kind, &self.scalar, peer_point)
    }
}

pub(super) fn generate(kind: KeyKind) -> Result<Key, CryptoError> {
    Key::new(kind, EcSecret { kind, scalar: random_scalar(kind)? })
}

pub(super) fn import(curve: Oid, content: &[u8]) -> Result<Key, CryptoError> {
    let kind = curve_kind(curve)?;
    let inner = EcPrivateKey::from_der(content)?;
    if inner.curve.is_some_and(|inner| inner != curve) {
        return Err(CryptoError::BadKey("two different curves in one key".to_owned()));
    }
    let key = Key::new(kind, EcSecret { kind, scalar: scalar_in_length(kind, inner.scalar)? })?;
    key.check_public_half(inner.public_key)?;
    Ok(key)
}

/// Checks a signature over a digest.
pub(super) fn verify(kind: KeyKind, point: &[u8], value: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    with_curve!(kind, curve => {
        let key = curve::PublicKey::from_sec1_bytes(point)
            .map_err(|_| CryptoError::BadKey("the key's octets are not a point of its curve".to_owned()))?;
        let signature = curve::ecdsa::Signature::from_der(signature).map_err(|_| CryptoError::Mismatch)?;
        verify_prehashed(&key.to_projective(), value, &signature).map_err(|_| CryptoError::Mismatch)
    })
}

/// A fresh key's public point, uncompressed, and its secret with the holder of `point`.
pub(super) fn agree_ephemeral(kind: KeyKind, point: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let scalar = random_scalar(kind)?;
    Ok((public_point(kind, &scalar)?, agree(kind, &scalar, point)?))
}

fn agree(kind: KeyKind, scalar: &[u8], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    with_curve!(kind, curve => {
        let own = curve::SecretKey::from_slice(scalar).map_err(|_| CryptoError::KeyCannot("agree on a secret"))?;
        let peer = curve::PublicKey::from_sec1_bytes(point)
            .map_err(|_| CryptoError::BadKey("the peer's point is not on the curve".to_owned()))?;
        Ok(Zeroizing::new(own.diffie_hellman(&peer).raw_secret_bytes().to_vec()))
    })
}

/// A scalar from 1 to the group order less 1, in the length of the curve.
fn random_scalar(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut scalar = Zeroizing::new(vec![0u8; coordinate_len(kind)]);
    // FIPS 186-5 appendix A.2.2: tried until it is in range, which it nearly always is.
    for _ in 0..128 {
        getrandom::fill(&mut scalar).map_err(|_| CryptoError::Random)?;
        if kind == KeyKind::P521 {
            scalar[0] &= 1;
        }
        if with_curve!(kind, curve => Ok(curve::SecretKey::from_slice(&scalar).is_ok()))? {
            return Ok(scalar);
        }
    }
    Err(CryptoError::Random)
}

/// The public point of a scalar, uncompressed.
fn public_point(kind: KeyKind, scalar: &[u8]) -> Result<Vec<u8>, CryptoError> {
    with_curve!(kind, curve => {
        let key = curve::SecretKey::from_slice(scalar)
            .map_err(|_| CryptoError::BadKey("an EC private key outside the range of its curve".to_owned()))?;
        Ok(curve::ecdsa::VerifyingKey::from(key.public_key()).to_sec1_point(false).as_bytes().to_vec())
    })
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
