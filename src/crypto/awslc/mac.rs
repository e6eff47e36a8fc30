//! HMAC.

use aws_lc_rs::hmac;

use super::super::{DigestAlgorithm, DigestValue};

pub(super) fn hmac(algorithm: DigestAlgorithm, key: &[u8], parts: &[&[u8]]) -> DigestValue {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac_algorithm(algorithm), key));
    parts.iter().for_each(|part| context.update(part));
    DigestValue::new(context.sign().as_ref())
}

pub(super) fn hmac_algorithm(algorithm: DigestAlgorithm) -> hmac::Algorithm {
    match algorithm {
        DigestAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        DigestAlgorithm::Sha224 => hmac::HMAC_SHA224,
        DigestAlgorithm::Sha256 => hmac::HMAC_SHA256,
        DigestAlgorithm::Sha384 => hmac::HMAC_SHA384,
        DigestAlgorithm::Sha512 => hmac::HMAC_SHA512,
    }
}
