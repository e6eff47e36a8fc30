//! Content encryption, key wrap, key transport, ephemeral key agreement.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Nonce, Payload};
use aes_kw::AesKw;
use curve25519_dalek::MontgomeryPoint;
use rsa::{Oaep, Pkcs1v15Encrypt};
use zeroize::Zeroizing;

use super::super::public_key::PublicKey;
use super::super::{CipherAlgorithm, CryptoError, DigestAlgorithm, KeyKind, RsaEncryption};
use super::verify::rsa_public_key;
use super::{keygen, with_curve, with_digest};

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
        CipherAlgorithm::AesGcm => with_aes!(key, C => {
            let cipher = gcm::<C>(key)?;
            let nonce = Nonce::<AesGcm<C, U12>>::try_from(iv).map_err(|_| bad_iv())?;
            cipher.encrypt(&nonce, Payload { msg: plaintext, aad }).map_err(|_| CryptoError::KeyCannot("encrypt"))
        }),
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
        CipherAlgorithm::AesGcm => with_aes!(key, C => {
            let cipher = gcm::<C>(key)?;
            let nonce = Nonce::<AesGcm<C, U12>>::try_from(iv).map_err(|_| CryptoError::Decrypt)?;
            cipher.decrypt(&nonce, Payload { msg: ciphertext, aad }).map_err(|_| CryptoError::Decrypt)
        }),
    };
    opened.map(Zeroizing::new).map_err(|_| CryptoError::Decrypt)
}

pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
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

pub(super) fn rsa_encrypt(scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let PublicKey::Rsa(rsa) = PublicKey::from_spki(spki)? else {
        return Err(CryptoError::KeyCannot("encrypt"));
    };
    if rsa.bits < crate::limits::MIN_RSA_BITS {
        return Err(CryptoError::BadKey(format!("RSA of {} bits does not encrypt", rsa.bits)));
    }
    let key = rsa_public_key(&rsa)?;
    let mut rng = keygen::random_source()?;
    let sealed = match scheme {
        RsaEncryption::Oaep(DigestAlgorithm::Sha224) => {
            return Err(CryptoError::Unsupported("OAEP with SHA-224".to_owned()));
        }
        RsaEncryption::Oaep(digest) => with_digest!(digest, D => key.encrypt(&mut rng, Oaep::<D>::new(), plaintext)),
        RsaEncryption::OaepMasked { .. } => return Err(CryptoError::KeyCannot("encrypt with two digests in OAEP")),
        RsaEncryption::Pkcs1 => key.encrypt(&mut rng, Pkcs1v15Encrypt, plaintext),
    };
    sealed.map_err(|_| CryptoError::Unsupported(format!("encrypting {} bytes with such a key", plaintext.len())))
}

pub(super) fn agree_ephemeral(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    match PublicKey::from_spki(spki)? {
        PublicKey::Ec { kind, point } => {
            let scalar = keygen::random_scalar(kind)?;
            let own = keygen::public_point(kind, &scalar)?;
            Ok((own, agree(kind, &scalar, point)?))
        }
        PublicKey::X25519(point) => {
            let mut scalar = Zeroizing::new([0u8; 32]);
            getrandom::fill(&mut *scalar).map_err(|_| CryptoError::Random)?;
            let own = MontgomeryPoint::mul_base_clamped(*scalar);
            Ok((own.to_bytes().to_vec(), agree_x25519(&scalar, point)?))
        }
        _ => Err(CryptoError::KeyCannot("agree on a secret")),
    }
}

pub(super) fn agree_x25519(scalar: &[u8; 32], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let peer = MontgomeryPoint(point.try_into().map_err(|_| bad_point())?);
    let secret = Zeroizing::new(peer.mul_clamped(*scalar).to_bytes().to_vec());
    // RFC 7748 section 6.1: points of small order give zeros, whatever the key.
    if secret.iter().fold(0, |all, byte| all | byte) == 0 {
        return Err(bad_point());
    }
    Ok(secret)
}

pub(super) fn agree(kind: KeyKind, scalar: &[u8], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    with_curve!(kind, curve => {
        let own = curve::SecretKey::from_slice(scalar).map_err(|_| CryptoError::KeyCannot("agree on a secret"))?;
        let peer = curve::PublicKey::from_sec1_bytes(point).map_err(|_| bad_point())?;
        Ok(Zeroizing::new(own.diffie_hellman(&peer).raw_secret_bytes().to_vec()))
    })
}

fn gcm<C>(key: &[u8]) -> Result<AesGcm<C, U12>, CryptoError>
where
    AesGcm<C, U12>: KeyInit,
{
    AesGcm::new_from_slice(key).map_err(|_| CryptoError::BadKey(format!("an AES key of {} bytes", key.len())))
}

fn bad_point() -> CryptoError {
    CryptoError::BadKey("the peer's point is not on the curve".to_owned())
}
