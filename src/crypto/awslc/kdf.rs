//! Key derivation: PBKDF2 and HKDF.

use std::num::NonZeroU32;

use aws_lc_rs::{hkdf, hmac, pbkdf2};
use zeroize::{Zeroize, Zeroizing};

use super::super::{CryptoError, DigestAlgorithm};
use super::mac::{self, hmac_algorithm};

pub(super) fn pbkdf2(
    prf: DigestAlgorithm,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let Some(iterations) = NonZeroU32::new(iterations) else {
        return Err(CryptoError::Unsupported("PBKDF2 with 0 iterations".to_owned()));
    };
    let algorithm = match prf {
        DigestAlgorithm::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        DigestAlgorithm::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        DigestAlgorithm::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        DigestAlgorithm::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        // AWS-LC's Rust face leaves this one out.
        DigestAlgorithm::Sha224 => {
            pbkdf2_by_hand(prf, password, salt, iterations, out);
            return Ok(());
        }
    };
    pbkdf2::derive(algorithm, iterations, salt, password, out);
    Ok(())
}

/// RFC 8018 section 5.2, step by step.
fn pbkdf2_by_hand(prf: DigestAlgorithm, password: &[u8], salt: &[u8], iterations: NonZeroU32, out: &mut [u8]) {
    let key = hmac::Key::new(hmac_algorithm(prf), password);
    for (index, block) in (1u32..).zip(out.chunks_mut(prf.output_len())) {
        let mut first = hmac::Context::with_key(&key);
        first.update(salt);
        first.update(&index.to_be_bytes());
        let mut u = first.sign();
        let mut sum = Zeroizing::new([0u8; 64]);
        sum[..prf.output_len()].copy_from_slice(u.as_ref());
        for _ in 1..iterations.get() {
            u = hmac::sign(&key, u.as_ref());
            sum.iter_mut().zip(u.as_ref()).for_each(|(s, u)| *s ^= u);
        }
        block.copy_from_slice(&sum[..block.len()]);
    }
}

pub(super) fn hkdf(
    digest: DigestAlgorithm,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    // RFC 5869 section 2.3: L <= 255*HashLen.
    if out.len() > 255 * digest.output_len() {
        return Err(CryptoError::Unsupported(format!("{} bytes of HKDF with {digest}", out.len())));
    }
    let algorithm = match digest {
        DigestAlgorithm::Sha1 => hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY,
        DigestAlgorithm::Sha256 => hkdf::HKDF_SHA256,
        DigestAlgorithm::Sha384 => hkdf::HKDF_SHA384,
        DigestAlgorithm::Sha512 => hkdf::HKDF_SHA512,
        DigestAlgorithm::Sha224 => {
            hkdf_by_hand(digest, secret, salt, info, out);
            return Ok(());
        }
    };
    hkdf::Salt::new(algorithm, salt)
        .extract(secret)
        .expand(&[info], OutputLen(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| CryptoError::Unsupported("this HKDF".to_owned()))
}

/// RFC 5869 section 2, step by step.
fn hkdf_by_hand(digest: DigestAlgorithm, secret: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) {
    let prk = mac::hmac(digest, salt, &[secret]);
    let mut previous: Option<super::DigestValue> = None;
    for (counter, block) in (1u8..).zip(out.chunks_mut(digest.output_len())) {
        let before: &[u8] = previous.as_deref().unwrap_or_default();
        let mut value = Zeroizing::new([0u8; 64]);
        let next = mac::hmac(digest, &prk, &[before, info, &[counter]]);
        value[..next.len()].copy_from_slice(&next);
        block.copy_from_slice(&value[..block.len()]);
        value.zeroize();
        previous = Some(next);
    }
}

struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}
