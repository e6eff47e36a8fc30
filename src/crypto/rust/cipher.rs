//! Content encryption, key wrap, key transport, ephemeral key agreement. All of it but AES-CBC, which key files are under as well, is
//! for what is enveloped.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Nonce, Payload};
use aes_kw::AesKw;
use zeroize::Zeroizing;

use super::super::public_key::PublicKey;
use super::super::{CipherAlgorithm, CryptoError, RsaEncryption};
use super::{ec, not_built_in};
use crate::features::{self, needs};
use crate::prelude::*;

/// Evaluates an expression with `$cipher` bound to AES of a key's length.
macro_rules! with_aes {
    ($key:expr, $cipher:ident => $body:expr) => {
        match $key.len() {
            16 => {
                type $cipher = Aes128;
                $body
            }
            24 => {
                type $cipher = Aes192;
                $body
            }
            32 => {
                type $cipher = Aes256;
                $body
            }
            other => Err(CryptoError::BadKey(format!("an AES key of {other} bytes"))),
        }
    };
}

pub(super) fn encrypt(
    algorithm: CipherAlgorithm,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let expected = if algorithm == CipherAlgorithm::AesCbc { 16 } else { 12 };
    let bad_iv = || {
        let found = format!("an initialization vector of {} bytes, expected {expected}", iv.len());
        CryptoError::Unsupported(found)
    };
    match algorithm {
        CipherAlgorithm::AesCbc => with_aes!(key, C => {
            let cipher = cbc::Encryptor::<C>::new_from_slices(key, iv).map_err(|_| bad_iv())?;
            Ok(cipher.encrypt_padded_vec::<Pkcs7>(plaintext))
        }),
        CipherAlgorithm::AesGcm => {
            needs(features::ENVELOPED)?;
            with_aes!(key, C => {
                let cipher = gcm::<C>(key)?;
                let nonce = Nonce::<AesGcm<C, U12>>::try_from(iv).map_err(|_| bad_iv())?;
                cipher.encrypt(&nonce, Payload { msg: plaintext, aad }).map_err(|_| CryptoError::KeyCannot("encrypt"))
            })
        }
    }
}

pub(super) fn decrypt(
    algorithm: CipherAlgorithm,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let opened = match algorithm {
        CipherAlgorithm::AesCbc => with_aes!(key, C => {
            let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(|_| CryptoError::Decrypt)?;
            cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).map_err(|_| CryptoError::Decrypt)
        }),
        CipherAlgorithm::AesGcm => {
            needs(features::ENVELOPED)?;
            with_aes!(key, C => {
                let cipher = gcm::<C>(key)?;
                let nonce = Nonce::<AesGcm<C, U12>>::try_from(iv).map_err(|_| CryptoError::Decrypt)?;
                cipher.decrypt(&nonce, Payload { msg: ciphertext, aad }).map_err(|_| CryptoError::Decrypt)
            })
        }
    };
    opened.map(Zeroizing::new).map_err(|_| CryptoError::Decrypt)
}

pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
    needs(features::ENVELOPED)?;
    let refused = || CryptoError::Unsupported(format!("wrapping a key of {} bytes", key.len()));
    // RFC 3394 section 2.2: at least two blocks of 64 bits.
    if key.len() < 16 {
        return Err(refused());
    }
    let mut out = vec![0u8; key.len() + 8];
    with_aes!(kek, C => {
        AesKw::<C>::new_from_slice(kek).map_err(|_| refused())?.wrap_key(key, &mut out).map_err(|_| refused())?;
        Ok(out)
    })
}

pub(super) fn unwrap(kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    needs(features::ENVELOPED)?;
    if wrapped.len() < 24 {
        return Err(CryptoError::Decrypt);
    }
    let mut out = Zeroizing::new(vec![0u8; wrapped.len() - 8]);
    let opened: Result<(), CryptoError> = with_aes!(kek, C => {
        let cipher = AesKw::<C>::new_from_slice(kek).map_err(|_| CryptoError::Decrypt)?;
        cipher.unwrap_key(wrapped, &mut out).map(drop).map_err(|_| CryptoError::Decrypt)
    });
    opened.map(|()| out).map_err(|_| CryptoError::Decrypt)
}

#[cfg_attr(not(feature = "rust-rsa"), allow(unused_variables, reason = "nobody encrypts in this build"))]
pub(super) fn rsa_encrypt(scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    match PublicKey::from_spki(spki)? {
        #[cfg(feature = "rust-rsa")]
        PublicKey::Rsa(key) => super::rsa::encrypt(scheme, &key, plaintext),
        #[cfg(not(feature = "rust-rsa"))]
        key @ PublicKey::Rsa(_) => Err(not_built_in(key.kind())),
        _ => Err(CryptoError::KeyCannot("encrypt")),
    }
}

pub(super) fn agree_ephemeral(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    needs(features::ENVELOPED)?;
    match PublicKey::from_spki(spki)? {
        PublicKey::Ec { kind, point } => ec::agree_ephemeral(kind, point),
        #[cfg(feature = "rust-25519")]
        PublicKey::X25519(point) => super::curve25519::agree_ephemeral(point),
        other if other.kind().can_agree() => Err(not_built_in(other.kind())),
        _ => Err(CryptoError::KeyCannot("agree on a secret")),
    }
}

fn gcm<C>(key: &[u8]) -> Result<AesGcm<C, U12>, CryptoError>
where
    AesGcm<C, U12>: KeyInit,
{
    AesGcm::new_from_slice(key).map_err(|_| CryptoError::BadKey(format!("an AES key of {} bytes", key.len())))
}
