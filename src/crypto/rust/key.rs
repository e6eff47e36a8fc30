//! Private keys in memory: what every kind has in common, new ones, and those out of PKCS#8.

use alloc::sync::Arc;
use core::fmt;

#[cfg(any(feature = "rust-rsa", feature = "rust-ml-kem"))]
use getrandom::{SysRng, rand_core::UnwrapErr};
use zeroize::Zeroizing;

use super::super::public_key::{PublicKey, encode_spki};
use super::super::{CryptoError, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm};
use super::{ec, not_built_in};
use crate::asn1::known_as::named;
use crate::asn1::oid;
use crate::asn1::pkcs8::PrivateKeyInfo;
use crate::prelude::*;

/// The secret half of a key, and what such a key can do; wiped when it is dropped.
pub(super) trait Secret: Send + Sync {
    /// The public half, in the form its type defines for a SubjectPublicKeyInfo.
    fn public(&self) -> Result<Vec<u8>, CryptoError>;

    /// PKCS#8 without encryption, DER.
    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>>;

    /// Signs by an algorithm that fits the kind of key and is not weak.
    fn sign(&self, _algorithm: &SignatureAlgorithm, _message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::KeyCannot("sign"))
    }

    /// See [`PrivateKey::decrypt`].
    fn decrypt(&self, _scheme: RsaEncryption, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("decrypt"))
    }

    /// See [`PrivateKey::agree`].
    fn agree(&self, _peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("agree on a secret"))
    }

    /// See [`PrivateKey::decapsulate`].
    fn decapsulate(&self, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::KeyCannot("decapsulate"))
    }
}

/// A key in this process's memory.
pub(super) struct Key {
    spki: Vec<u8>,
    kind: KeyKind,
    secret: Box<dyn Secret>,
}

impl Key {
    /// With its public half, which keeps the bounds that everybody else's keys keep.
    pub(super) fn new(kind: KeyKind, secret: impl Secret + 'static) -> Result<Self, CryptoError> {
        let spki = encode_spki(kind, &secret.public()?);
        PublicKey::from_spki(&spki)?;
        Ok(Key { spki, kind, secret: Box::new(secret) })
    }

    /// Refused if a public half that stands beside the private one is another key's.
    pub(super) fn check_public_half(&self, public: Option<&[u8]>) -> Result<(), CryptoError> {
        match public {
            Some(public) if !super::super::keys::same_public_key(&encode_spki(self.kind, public), &self.spki) => {
                Err(CryptoError::BadKey("private and public half do not belong together".to_owned()))
            }
            _ => Ok(()),
        }
    }
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
        self.secret.sign(algorithm, message)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.secret.to_pkcs8()
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.secret.decrypt(scheme, ciphertext)
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.secret.agree(peer_point)
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.secret.decapsulate(ciphertext)
    }
}

pub(super) fn generate(kind: KeyKind) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let key = match kind {
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => ec::generate(kind)?,
        #[cfg(feature = "rust-rsa")]
        KeyKind::Rsa(bits) => super::rsa::generate(bits)?,
        #[cfg(feature = "rust-25519")]
        KeyKind::Ed25519 => super::curve25519::generate_ed25519()?,
        #[cfg(feature = "rust-25519")]
        KeyKind::X25519 => super::curve25519::generate_x25519()?,
        #[cfg(feature = "rust-ml-dsa")]
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => super::ml_dsa::generate(kind)?,
        #[cfg(feature = "rust-ml-kem")]
        KeyKind::MlKem512 | KeyKind::MlKem768 | KeyKind::MlKem1024 => super::ml_kem::generate(kind)?,
        #[allow(unreachable_patterns, reason = "where every kind is built in")]
        other => return Err(not_built_in(other)),
    };
    Ok(Arc::new(key))
}

pub(super) fn import(pkcs8: &[u8]) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let info = PrivateKeyInfo::from_der(pkcs8)?;
    let key = match info.algorithm {
        o if o == oid::EC_PUBLIC_KEY => ec::import(info.named_curve()?, info.key)?,
        #[cfg(feature = "rust-rsa")]
        o if o == oid::RSA_ENCRYPTION || o == oid::RSASSA_PSS => super::rsa::import(info.key)?,
        #[cfg(feature = "rust-25519")]
        o if o == oid::ED25519 => super::curve25519::import_ed25519(info.key)?,
        #[cfg(feature = "rust-25519")]
        o if o == oid::X25519 => super::curve25519::import_x25519(info.key)?,
        #[cfg(feature = "rust-ml-dsa")]
        o if o == oid::ML_DSA_44 => super::ml_dsa::import(KeyKind::MlDsa44, info.key)?,
        #[cfg(feature = "rust-ml-dsa")]
        o if o == oid::ML_DSA_65 => super::ml_dsa::import(KeyKind::MlDsa65, info.key)?,
        #[cfg(feature = "rust-ml-dsa")]
        o if o == oid::ML_DSA_87 => super::ml_dsa::import(KeyKind::MlDsa87, info.key)?,
        #[cfg(feature = "rust-ml-kem")]
        o if o == oid::ML_KEM_512 => super::ml_kem::import(KeyKind::MlKem512, info.key)?,
        #[cfg(feature = "rust-ml-kem")]
        o if o == oid::ML_KEM_768 => super::ml_kem::import(KeyKind::MlKem768, info.key)?,
        #[cfg(feature = "rust-ml-kem")]
        o if o == oid::ML_KEM_1024 => super::ml_kem::import(KeyKind::MlKem1024, info.key)?,
        other => {
            return Err(CryptoError::Unsupported(format!("private keys of type {}, in this build", named(&other))));
        }
    };
    // RFC 5958 section 2: the public key that may stand beside it is this key's.
    key.check_public_half(info.public_key)?;
    Ok(Arc::new(key))
}

/// A generator for functions that cannot report its failure: asked for a byte first, so that a missing source is an
/// error and not a panic.
#[cfg(any(feature = "rust-rsa", feature = "rust-ml-kem"))]
pub(super) fn random_source() -> Result<UnwrapErr<SysRng>, CryptoError> {
    getrandom::fill(&mut [0u8; 1]).map_err(|_| CryptoError::Random)?;
    Ok(UnwrapErr(SysRng))
}

/// As many random bytes as a seed has.
#[cfg(any(feature = "rust-25519", feature = "rust-ml-dsa", feature = "rust-ml-kem"))]
pub(super) fn random_seed<const N: usize>() -> Result<Zeroizing<[u8; N]>, CryptoError> {
    let mut seed = Zeroizing::new([0u8; N]);
    getrandom::fill(&mut *seed).map_err(|_| CryptoError::Random)?;
    Ok(seed)
}
