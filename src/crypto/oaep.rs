//! RSAES-OAEP whose mask is made with another digest than the label's (RFC 4055 section 4.1 only recommends one), decryption only:
//! Java's `OAEPWithSHA-256AndMGF1Padding` has SHA-1 in MGF1. Every failure looks alike.

use zeroize::Zeroizing;

use super::{CryptoError, DigestAlgorithm};
use crate::prelude::*;

/// By AWS-LC, whose Rust face has one digest for both parts.
#[cfg(feature = "crypto-awslc")]
pub(super) fn decrypt_by_awslc(
    pkcs8: &[u8],
    digest: DigestAlgorithm,
    mask: DigestAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    use devid_awslc::Digest;
    let of = |digest| match digest {
        DigestAlgorithm::Sha1 => Digest::Sha1,
        DigestAlgorithm::Sha224 => Digest::Sha224,
        DigestAlgorithm::Sha256 => Digest::Sha256,
        DigestAlgorithm::Sha384 => Digest::Sha384,
        DigestAlgorithm::Sha512 => Digest::Sha512,
    };
    devid_awslc::rsa_oaep_decrypt(pkcs8, of(digest), of(mask), ciphertext).ok_or(CryptoError::Decrypt)
}

/// By the portable implementation, where each pair of digests is code of its own.
#[cfg(feature = "rust-rsa")]
pub(super) fn decrypt(
    key: &rsa::RsaPrivateKey,
    digest: DigestAlgorithm,
    mask: DigestAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    macro_rules! with {
        ($digest:ty, $mask:ty) => {
            key.decrypt_blinded(
                &mut rsa::rand_core::UnwrapErr(getrandom::SysRng),
                rsa::Oaep::<$digest, $mask>::new_with_mgf_hash(),
                ciphertext,
            )
        };
    }
    let opened = match (digest, mask) {
        (Sha256, Sha1) => with!(sha2::Sha256, sha1::Sha1),
        (Sha384, Sha1) => with!(sha2::Sha384, sha1::Sha1),
        (Sha512, Sha1) => with!(sha2::Sha512, sha1::Sha1),
        (Sha384, Sha256) => with!(sha2::Sha384, sha2::Sha256),
        (Sha512, Sha256) => with!(sha2::Sha512, sha2::Sha256),
        (Sha1, Sha256) => with!(sha1::Sha1, sha2::Sha256),
        _ => return Err(CryptoError::Unsupported(format!("OAEP with {digest} and MGF1 with {mask}"))),
    };
    opened.map(Zeroizing::new).map_err(|_| CryptoError::Decrypt)
}
