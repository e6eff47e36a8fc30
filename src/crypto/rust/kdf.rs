//! Key derivation: PBKDF2 and HKDF.

use hkdf::Hkdf;

use super::super::{CryptoError, DigestAlgorithm};
use super::with_digest;
use crate::prelude::*;

pub(super) fn pbkdf2(
    prf: DigestAlgorithm,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) -> Result<(), CryptoError> {
    if iterations == 0 {
        return Err(CryptoError::Unsupported("PBKDF2 with 0 iterations".to_owned()));
    }
    with_digest!(prf, D => pbkdf2::pbkdf2_hmac::<D>(password, salt, iterations, out));
    Ok(())
}

pub(super) fn hkdf(
    digest: DigestAlgorithm,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    // RFC 5869 section 2.3: L <= 255*HashLen.
    let too_long = CryptoError::Unsupported(format!("{} bytes of HKDF with {digest}", out.len()));
    with_digest!(digest, D => Hkdf::<D>::new(Some(salt), secret).expand(info, out)).map_err(|_| too_long)
}
