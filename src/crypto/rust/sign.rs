//! Private keys in memory: signing, decrypting, agreeing.

use std::fmt;

use ecdsa::hazmat::sign_prehashed_rfc6979;
use ed25519_dalek::Signer;
use getrandom::SysRng;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::{Oaep, Pkcs1v15Encrypt, Pkcs1v15Sign, Pss, RsaPrivateKey};
use zeroize::Zeroizing;

use super::super::public_key::curve_oid;
use super::super::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm};
use super::kem::KemSecret;
use super::{cipher, digest, keygen, with_curve, with_digest, with_ml_dsa};
use crate::asn1::der::element;
use crate::asn1::oid;
use crate::asn1::pkcs8::{encode_ec_private_key, encode_private_key_info};

/// A key in this process's memory, wiped when it is dropped.
pub(super) struct Key {
    pub(super) spki: Vec<u8>,
    pub(super) kind: KeyKind,
    pub(super) secret: Secret,
}

pub(super) enum Secret {
    Rsa(Box<RsaPrivateKey>),
    /// The scalar in the length of the curve.
    Ec(Zeroizing<Vec<u8>>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    /// The seed.
    MlDsa(Zeroizing<[u8; 32]>),
    /// The scalar, not yet clamped.
    X25519(Zeroizing<[u8; 32]>),
    MlKem(KemSecret),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, in memory)", self.kind)
    }
}

impl PrivateKey for Key {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !algorithm.fits(self.kind) {
            return Err(CryptoError::Unsupported(format!("{algorithm} by a key of type {}", self.kind)));
        }
        if algorithm.is_weak() {
            return Err(CryptoError::Unsupported("signing with SHA-1".to_owned()));
        }
        let failed = CryptoError::KeyCannot("sign");
        match (&self.secret, *algorithm) {
            (Secret::Rsa(key), SignatureAlgorithm::RsaPkcs1(found)) => {
                let value = digest(found, &[message]);
                with_digest!(found, D => key.sign(Pkcs1v15Sign::new::<D>(), &value)).map_err(|_| failed)
            }
            (Secret::Rsa(key), SignatureAlgorithm::RsaPss { digest: found, salt_len }) => {
                let value = digest(found, &[message]);
                let salt_len = salt_len as usize;
                if salt_len > self.spki.len() {
                    return Err(CryptoError::Unsupported(format!("signing with {algorithm}")));
                }
                with_digest!(found, D => key.sign(Pss::<D>::new_with_salt(salt_len), &value))
                    .map_err(|_| CryptoError::Unsupported(format!("signing with {algorithm}")))
            }
            (Secret::Rsa(_), SignatureAlgorithm::RsaPssMasked { .. }) => {
                Err(CryptoError::Unsupported(format!("signing with {algorithm}")))
            }
            (Secret::Ec(scalar), SignatureAlgorithm::Ecdsa(found)) => {
                let value = digest(found, &[message]);
                // Randomness beside RFC 6979's derivation: a fault in one of two equal signatures tells nothing.
                let mut hedge = Zeroizing::new([0u8; 32]);
                getrandom::fill(&mut *hedge).map_err(|_| CryptoError::Random)?;
                with_curve!(self.kind, curve => {
                    let key = curve::SecretKey::from_slice(scalar).map_err(|_| failed)?;
                    let scalar = key.to_nonzero_scalar();
                    let (signature, _) = with_digest!(found, D => {
                        sign_prehashed_rfc6979::<_, D>(&scalar, &value, &*hedge)
                    });
                    Ok(signature.to_der().as_bytes().to_vec())
                })
            }
            (Secret::Ed25519(key), _) => Ok(key.sign(message).to_bytes().to_vec()),
            (Secret::MlDsa(seed), _) => with_ml_dsa!(self.kind, P => {
                let key = ml_dsa::SigningKey::<P>::from_seed(&(**seed).into());
                let signature = key.expanded_key().sign_randomized(message, &[], &mut SysRng).map_err(|_| failed)?;
                Ok(signature.encode().to_vec())
            }),
            _ => Err(failed),
        }
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.secret {
            Secret::Rsa(key) => {
                let content = key.to_pkcs1_der().ok()?;
                Some(encode_private_key_info(oid::RSA_ENCRYPTION, &[0x05, 0x00], content.as_bytes()))
            }
            Secret::Ec(scalar) => {
                let content = encode_ec_private_key(scalar, &keygen::public_point(self.kind, scalar).ok()?);
                let curve = element(0x06, &[curve_oid(self.kind)?.as_bytes()]);
                Some(encode_private_key_info(oid::EC_PUBLIC_KEY, &curve, &content))
            }
            Secret::Ed25519(key) => {
                let content = Zeroizing::new(element(0x04, &[key.as_bytes()]));
                Some(encode_private_key_info(oid::ED25519, &[], &content))
            }
            Secret::X25519(scalar) => {
                let content = Zeroizing::new(element(0x04, &[&**scalar]));
                Some(encode_private_key_info(oid::X25519, &[], &content))
            }
            Secret::MlKem(secret) => Some(secret.to_pkcs8(self.kind)),
            Secret::MlDsa(seed) => {
                let content = Zeroizing::new(element(0x80, &[&**seed]));
                let algorithm = match self.kind {
                    KeyKind::MlDsa44 => oid::ML_DSA_44,
                    KeyKind::MlDsa65 => oid::ML_DSA_65,
                    _ => oid::ML_DSA_87,
                };
                Some(encode_private_key_info(algorithm, &[], &content))
            }
        }
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let Secret::Rsa(key) = &self.secret else { return Err(CryptoError::KeyCannot("decrypt")) };
        let opened = match scheme {
            RsaEncryption::Oaep(DigestAlgorithm::Sha224) => {
                return Err(CryptoError::Unsupported("OAEP with SHA-224".to_owned()));
            }
            RsaEncryption::Oaep(digest) => with_digest!(digest, D => key.decrypt(Oaep::<D>::new(), ciphertext)),
            RsaEncryption::OaepMasked { digest, mask } => {
                return super::super::oaep::decrypt(key, digest, mask, ciphertext);
            }
            RsaEncryption::Pkcs1 => key.decrypt(Pkcs1v15Encrypt, ciphertext),
        };
        opened.map(Zeroizing::new).map_err(|_| CryptoError::Decrypt)
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match &self.secret {
            Secret::Ec(scalar) => cipher::agree(self.kind, scalar, peer_point),
            Secret::X25519(scalar) => cipher::agree_x25519(scalar, peer_point),
            _ => Err(CryptoError::KeyCannot("agree on a secret")),
        }
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let Secret::MlKem(secret) = &self.secret else { return Err(CryptoError::KeyCannot("decapsulate")) };
        secret.decapsulate(self.kind, ciphertext)
    }
}
