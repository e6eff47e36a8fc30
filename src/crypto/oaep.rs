//! RSAES-OAEP whose mask is made with another digest than the label's (RFC 4055 section 4.1 only recommends one), decryption only:
//! Java's `OAEPWithSHA-256AndMGF1Padding` has SHA-1 in MGF1.

use rsa::{Oaep, RsaPrivateKey};
use zeroize::Zeroizing;

use super::{CryptoError, DigestAlgorithm};
use crate::prelude::*;

/// Undoes it; every failure looks alike.
pub(super) fn decrypt(
    key: &RsaPrivateKey,
    digest: DigestAlgorithm,
    mask: DigestAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    macro_rules! with {
        ($digest:ty, $mask:ty) => {
            key.decrypt_blinded(
                &mut rsa::rand_core::UnwrapErr(getrandom::SysRng),
                Oaep::<$digest, $mask>::new_with_mgf_hash(),
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

#[cfg(test)]
mod tests {
    use rsa::pkcs8::DecodePrivateKey;

    use super::super::{DigestAlgorithm, KeyKind, RsaEncryption, default_provider};
    use super::*;

    #[test]
    fn what_was_encrypted_with_two_digests_is_opened_and_with_others_is_not() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::Rsa(2048)).unwrap();
        let theirs = RsaPrivateKey::from_pkcs8_der(&key.to_pkcs8().unwrap()).unwrap().to_public_key();
        let padding = Oaep::<sha2::Sha256, sha1::Sha1>::new_with_mgf_hash();
        let mut random = rsa::rand_core::UnwrapErr(getrandom::SysRng);
        let sealed = theirs.encrypt(&mut random, padding, b"content key").unwrap();
        let scheme = |digest, mask| RsaEncryption::OaepMasked { digest, mask };
        let opened = key.decrypt(scheme(DigestAlgorithm::Sha256, DigestAlgorithm::Sha1), &sealed).unwrap();
        assert_eq!(opened[..], *b"content key");
        for other in [
            scheme(DigestAlgorithm::Sha512, DigestAlgorithm::Sha1),
            scheme(DigestAlgorithm::Sha1, DigestAlgorithm::Sha256),
            RsaEncryption::Oaep(DigestAlgorithm::Sha256),
            RsaEncryption::Oaep(DigestAlgorithm::Sha1),
        ] {
            assert_eq!(key.decrypt(other, &sealed).unwrap_err(), CryptoError::Decrypt, "{other:?}");
        }
    }
}
