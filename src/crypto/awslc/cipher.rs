//! Content encryption, key wrap, key transport, ephemeral key agreement.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement;
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::public_key::{PublicKey, encode_spki};
use super::super::{CipherAlgorithm, CryptoError, DigestAlgorithm, KeyKind, RsaEncryption};

pub(super) fn encrypt(
    algorithm: CipherAlgorithm,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let failed = || CryptoError::KeyCannot("encrypt");
    // Room for padding or tag: no copy while growing.
    let mut out = Vec::with_capacity(plaintext.len() + 16);
    out.extend_from_slice(plaintext);
    match algorithm {
        CipherAlgorithm::AesCbc => {
            let iv = FixedLength::try_from(iv).map_err(|_| iv_len(iv, 16))?;
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(cbc_key(key)?).map_err(|_| failed())?;
            key.less_safe_encrypt(&mut out, EncryptionContext::Iv128(iv)).map_err(|_| failed())?;
        }
        CipherAlgorithm::AesGcm => {
            let nonce = Nonce::try_assume_unique_for_key(iv).map_err(|_| iv_len(iv, 12))?;
            gcm_key(key)?.seal_in_place_append_tag(nonce, Aad::from(aad), &mut out).map_err(|_| failed())?;
        }
    }
    Ok(out)
}

pub(super) fn decrypt(
    algorithm: CipherAlgorithm,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut out = Zeroizing::new(ciphertext.to_vec());
    let length = match algorithm {
        CipherAlgorithm::AesCbc => {
            let iv = FixedLength::try_from(iv).map_err(|_| CryptoError::Decrypt)?;
            let key =
                cbc_key(key).and_then(|key| PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| CryptoError::Decrypt));
            key.map_err(|_| CryptoError::Decrypt)?
                .decrypt(&mut out, DecryptionContext::Iv128(iv))
                .map_err(|_| CryptoError::Decrypt)?
                .len()
        }
        CipherAlgorithm::AesGcm => {
            let nonce = Nonce::try_assume_unique_for_key(iv).map_err(|_| CryptoError::Decrypt)?;
            gcm_key(key)
                .map_err(|_| CryptoError::Decrypt)?
                .open_in_place(nonce, Aad::from(aad), &mut out)
                .map_err(|_| CryptoError::Decrypt)?
                .len()
        }
    };
    out.truncate(length);
    Ok(out)
}

pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
    if kek.len() == 24 {
        return wrap_192(kek, key);
    }
    let mut out = vec![0u8; key.len() + 8];
    let length = kek_of(kek)?
        .wrap(key, &mut out)
        .map_err(|_| CryptoError::Unsupported(format!("wrapping a key of {} bytes", key.len())))?
        .len();
    out.truncate(length);
    Ok(out)
}

pub(super) fn unwrap(kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if kek.len() == 24 {
        return unwrap_192(kek, wrapped);
    }
    let mut out = Zeroizing::new(vec![0u8; wrapped.len()]);
    let length = kek_of(kek)
        .map_err(|_| CryptoError::Decrypt)?
        .unwrap(wrapped, &mut out)
        .map_err(|_| CryptoError::Decrypt)?
        .len();
    out.truncate(length);
    Ok(out)
}

/// RFC 3394 section 2.2.1 over single blocks: AWS-LC's Rust face wraps with 128 and 256 bits only.
fn wrap_192(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let failed = |_| CryptoError::Unsupported(format!("wrapping a key of {} bytes", key.len()));
    if key.len() < 16 || key.len() % 8 != 0 {
        return Err(failed(()));
    }
    let cipher = EncryptingKey::ecb(cbc_key(kek)?).map_err(|_| failed(()))?;
    let mut block = Zeroizing::new([0xa6u8; 16]);
    let mut out = [&[0xa6; 8], key].concat();
    let count = key.len() / 8;
    for step in 0..6 * count {
        let at = 8 + step % count * 8;
        block[8..].copy_from_slice(&out[at..at + 8]);
        cipher.less_safe_encrypt(&mut *block, EncryptionContext::None).map_err(|_| failed(()))?;
        count_in(&mut block, step);
        out[at..at + 8].copy_from_slice(&block[8..]);
    }
    out[..8].copy_from_slice(&block[..8]);
    Ok(out)
}

/// RFC 3394 section 2.2.2.
fn unwrap_192(kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if wrapped.len() < 24 || wrapped.len() % 8 != 0 {
        return Err(CryptoError::Decrypt);
    }
    let cipher = DecryptingKey::ecb(cbc_key(kek)?).map_err(|_| CryptoError::Decrypt)?;
    let mut block = Zeroizing::new([0u8; 16]);
    block[..8].copy_from_slice(&wrapped[..8]);
    let mut out = Zeroizing::new(wrapped[8..].to_vec());
    let count = out.len() / 8;
    for step in (0..6 * count).rev() {
        let at = step % count * 8;
        count_in(&mut block, step);
        block[8..].copy_from_slice(&out[at..at + 8]);
        cipher.decrypt(&mut *block, DecryptionContext::None).map_err(|_| CryptoError::Decrypt)?;
        out[at..at + 8].copy_from_slice(&block[8..]);
    }
    if bool::from(block[..8].ct_eq(&[0xa6; 8])) { Ok(out) } else { Err(CryptoError::Decrypt) }
}

/// A = MSB(64, B) xor t, where t counts from 1.
fn count_in(block: &mut [u8; 16], step: usize) {
    let t = (step as u64 + 1).to_be_bytes();
    block.iter_mut().zip(t).for_each(|(a, t)| *a ^= t);
}

pub(super) fn rsa_encrypt(scheme: RsaEncryption, spki: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let PublicKey::Rsa(rsa) = PublicKey::from_spki(spki)? else {
        return Err(CryptoError::KeyCannot("encrypt"));
    };
    // Rebuilt as rsaEncryption: the identifier around the key is not always that.
    let key = PublicEncryptingKey::from_der(&encode_spki(KeyKind::Rsa(rsa.bits), rsa.pkcs1))
        .map_err(|_| CryptoError::BadKey(format!("RSA of {} bits does not encrypt", rsa.bits)))?;
    let mut out = vec![0u8; key.key_size_bytes()];
    let too_long = |_| CryptoError::Unsupported(format!("encrypting {} bytes with such a key", plaintext.len()));
    let length = match scheme {
        RsaEncryption::Oaep(digest) => {
            let algorithm = oaep(digest)?;
            let key = OaepPublicEncryptingKey::new(key).map_err(too_long)?;
            key.encrypt(algorithm, plaintext, &mut out, None).map_err(too_long)?.len()
        }
        RsaEncryption::OaepMasked { .. } => return Err(CryptoError::KeyCannot("encrypt with two digests in OAEP")),
        RsaEncryption::Pkcs1 => {
            let key = Pkcs1PublicEncryptingKey::new(key).map_err(too_long)?;
            key.encrypt(plaintext, &mut out).map_err(too_long)?.len()
        }
    };
    out.truncate(length);
    Ok(out)
}

pub(super) fn oaep(digest: DigestAlgorithm) -> Result<&'static OaepAlgorithm, CryptoError> {
    match digest {
        DigestAlgorithm::Sha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        DigestAlgorithm::Sha256 => Ok(&OAEP_SHA256_MGF1SHA256),
        DigestAlgorithm::Sha384 => Ok(&OAEP_SHA384_MGF1SHA384),
        DigestAlgorithm::Sha512 => Ok(&OAEP_SHA512_MGF1SHA512),
        DigestAlgorithm::Sha224 => Err(CryptoError::Unsupported("OAEP with SHA-224".to_owned())),
    }
}

pub(super) fn agree_ephemeral(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CryptoError> {
    let (algorithm, point) = match PublicKey::from_spki(spki)? {
        PublicKey::Ec { kind, point } => (ecdh(kind).ok_or(CryptoError::KeyCannot("agree on a secret"))?, point),
        PublicKey::X25519(point) => (&agreement::X25519, point),
        _ => return Err(CryptoError::KeyCannot("agree on a secret")),
    };
    let own = agreement::PrivateKey::generate(algorithm).map_err(|_| CryptoError::Random)?;
    let public = own.compute_public_key().map_err(|_| CryptoError::Random)?;
    let secret = agree(&own, point)?;
    Ok((public.as_ref().to_vec(), secret))
}

pub(super) fn agree(own: &agreement::PrivateKey, point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let peer = agreement::UnparsedPublicKey::new(own.algorithm(), point);
    agreement::agree(own, peer, CryptoError::BadKey("the peer's point is not on the curve".to_owned()), |secret| {
        Ok(Zeroizing::new(secret.to_vec()))
    })
}

pub(super) fn ecdh(kind: KeyKind) -> Option<&'static agreement::Algorithm> {
    match kind {
        KeyKind::P256 => Some(&agreement::ECDH_P256),
        KeyKind::P384 => Some(&agreement::ECDH_P384),
        KeyKind::P521 => Some(&agreement::ECDH_P521),
        _ => None,
    }
}

fn cbc_key(key: &[u8]) -> Result<UnboundCipherKey, CryptoError> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        other => return Err(key_len(other)),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| key_len(key.len()))
}

fn gcm_key(key: &[u8]) -> Result<LessSafeKey, CryptoError> {
    let algorithm = match key.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        32 => &aead::AES_256_GCM,
        other => return Err(key_len(other)),
    };
    UnboundKey::new(algorithm, key).map(LessSafeKey::new).map_err(|_| key_len(key.len()))
}

fn kek_of(kek: &[u8]) -> Result<AesKek, CryptoError> {
    let algorithm = match kek.len() {
        16 => &key_wrap::AES_128,
        32 => &key_wrap::AES_256,
        other => return Err(key_len(other)),
    };
    AesKek::new(algorithm, kek).map_err(|_| key_len(kek.len()))
}

fn key_len(found: usize) -> CryptoError {
    CryptoError::BadKey(format!("an AES key of {found} bytes"))
}

fn iv_len(iv: &[u8], expected: usize) -> CryptoError {
    CryptoError::Unsupported(format!("an initialization vector of {} bytes, expected {expected}", iv.len()))
}
