//! Algorithms by identifier and by name, each kind in a file of its own.

pub use super::digest_algorithm::{DigestAlgorithm, digest_identifier, encode_oid};
pub use super::key_kind::KeyKind;
pub use super::signature_algorithm::SignatureAlgorithm;
pub(super) use super::signature_algorithm::pss_parameters;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};
    use crate::asn1::oid;

    #[test]
    fn identifiers_survive_the_round_trip() {
        use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
        let mut all = vec![
            SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::MlDsa44,
            SignatureAlgorithm::MlDsa65,
            SignatureAlgorithm::MlDsa87,
        ];
        for digest in [Sha1, Sha224, Sha256, Sha384, Sha512] {
            all.push(SignatureAlgorithm::RsaPkcs1(digest));
            all.push(SignatureAlgorithm::Ecdsa(digest));
            all.push(SignatureAlgorithm::RsaPss { digest, salt_len: 20 });
            all.push(SignatureAlgorithm::RsaPss { digest, salt_len: digest.output_len() as u32 });
        }
        for algorithm in all {
            assert_eq!(SignatureAlgorithm::from_der(&algorithm.to_der()), Ok(algorithm));
        }
    }

    #[test]
    fn names_are_found_again_and_unknown_ones_refused() {
        for name in ["RSA-2048", "RSA-4096", "P-256", "P-384", "P-521", "Ed25519", "ML-DSA-65", "X25519", "ML-KEM-768"]
        {
            assert_eq!(KeyKind::from_name(name).unwrap().to_string(), name);
            assert_eq!(KeyKind::from_name(&name.to_lowercase()), KeyKind::from_name(name));
        }
        for name in ["", "RSA", "RSA-", "RSA-+2048", "RSA-99999999999", "P-257", "é€"] {
            assert_eq!(KeyKind::from_name(name), None, "{name}");
        }
        for name in ["RSA-PKCS1-SHA256", "RSA-PSS-SHA384", "ECDSA-SHA512", "Ed25519", "ML-DSA-44"] {
            assert_eq!(SignatureAlgorithm::from_name(name).unwrap().name(), name);
        }
        assert_eq!(SignatureAlgorithm::from_name("ECDSA-MD5"), None);
    }

    #[test]
    fn pss_with_another_digest_in_the_mask_is_told_apart_and_strong_by_the_message() {
        let sha256 = sequence(&[&encode_oid(oid::SHA256), &[5, 0]]);
        let parameters = sequence(&[&element(0xa0, &[&sha256])]);
        let identifier = sequence(&[&encode_oid(oid::RSASSA_PSS), &parameters]);
        let (digest, mask) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha1);
        let mixed = SignatureAlgorithm::RsaPssMasked { digest, mask, salt_len: 20 };
        assert_eq!(SignatureAlgorithm::from_der(&identifier), Ok(mixed));
        assert_eq!(mixed.to_der(), identifier);
        assert!(!mixed.is_weak());
        let weak = SignatureAlgorithm::RsaPssMasked { digest: mask, mask: digest, salt_len: 20 };
        assert!(weak.is_weak());
    }

    #[test]
    fn ecdsa_with_null_is_weak_and_with_other_parameters_refused() {
        let with = |parameters: &[u8]| {
            SignatureAlgorithm::from_der(&sequence(&[&encode_oid(oid::ECDSA_WITH_SHA256), parameters]))
        };
        assert!(with(&[5, 0]).unwrap().is_weak());
        assert!(with(&[2, 1, 0]).is_err() && with(&[5, 1, 0]).is_err());
    }
}
