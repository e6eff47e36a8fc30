//! Checking signatures by keys in SubjectPublicKeyInfo.
//!
//! Keys go to AWS-LC in their smallest form (numbers, point, raw bytes): the SubjectPublicKeyInfo is read once, here.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1,
    ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA1_ASN1,
    ECDSA_P521_SHA224_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents,
    VerificationAlgorithm,
};

use super::super::public_key::{PublicKey, RsaPublicKey};
use super::super::{CryptoError, DigestAlgorithm, DigestValue, KeyKind, SignatureAlgorithm};
use super::{digest_algorithm, for_curve};
use crate::limits;

pub(super) fn verify(
    algorithm: &SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
    allow_weak: bool,
) -> Result<(), CryptoError> {
    let key = PublicKey::from_spki(spki)?;
    key.admit(algorithm, allow_weak)?;
    match key {
        PublicKey::Rsa(rsa) if matches!(algorithm, SignatureAlgorithm::RsaPssMasked { .. }) => {
            let digest = algorithm.digest().ok_or(CryptoError::Mismatch)?;
            masked(algorithm, &rsa, hash(digest, &[message]).as_slice(), signature)
        }
        PublicKey::Rsa(rsa) => {
            let parameters = rsa_parameters(algorithm, &rsa)?;
            let numbers = RsaPublicKeyComponents { n: rsa.modulus, e: rsa.exponent };
            numbers.verify(&parameters, message, signature).map_err(|_| CryptoError::Mismatch)
        }
        PublicKey::Ec { kind, point } => {
            let digest = algorithm.digest().ok_or(CryptoError::Mismatch)?;
            match ecdsa(kind, digest) {
                Some(method) => outcome(method.verify_sig(point, message, signature), method, point),
                None => {
                    let value = aws_lc_rs::digest::digest(digest_algorithm(digest), message);
                    ecdsa_digest(kind, point, value.as_ref(), signature)
                }
            }
        }
        PublicKey::Ed25519(key) => raw(&signature::ED25519, key, message, signature),
        PublicKey::MlDsa { kind: KeyKind::MlDsa44, key } => raw(&signature::ML_DSA_44, key, message, signature),
        PublicKey::MlDsa { kind: KeyKind::MlDsa65, key } => raw(&signature::ML_DSA_65, key, message, signature),
        PublicKey::MlDsa { key, .. } => raw(&signature::ML_DSA_87, key, message, signature),
        PublicKey::X25519(_) | PublicKey::MlKem { .. } => Err(CryptoError::KeyCannot("sign")),
    }
}

pub(super) fn verify_digest(
    algorithm: &SignatureAlgorithm,
    spki: &[u8],
    digest: &DigestValue,
    signature: &[u8],
    allow_weak: bool,
) -> Result<(), CryptoError> {
    let Some(digest_name) = algorithm.digest() else {
        return Err(CryptoError::Unsupported(format!("{algorithm} over a digest instead of a message")));
    };
    let key = PublicKey::from_spki(spki)?;
    key.admit(algorithm, allow_weak)?;
    let value = Digest::import_less_safe(digest, digest_algorithm(digest_name))
        .map_err(|_| CryptoError::Unsupported(format!("a digest of {} bytes as {digest_name}", digest.len())))?;
    match key {
        PublicKey::Rsa(rsa) if matches!(algorithm, SignatureAlgorithm::RsaPssMasked { .. }) => {
            masked(algorithm, &rsa, value.as_ref(), signature)
        }
        PublicKey::Rsa(rsa) => {
            let parameters = rsa_parameters(algorithm, &rsa)?;
            parameters.verify_digest_sig(rsa.pkcs1, &value, signature).map_err(|_| CryptoError::Mismatch)
        }
        PublicKey::Ec { kind, point } => ecdsa_digest(kind, point, value.as_ref(), signature),
        _ => Err(CryptoError::KeyCannot("sign a digest")),
    }
}

/// PSS with another digest in its mask: AWS-LC's Rust face has no such, so the block is looked at here.
fn masked(
    algorithm: &SignatureAlgorithm,
    rsa: &RsaPublicKey<'_>,
    value: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let SignatureAlgorithm::RsaPssMasked { digest, mask, salt_len } = *algorithm else {
        return Err(CryptoError::Unsupported(algorithm.to_string()));
    };
    super::super::rsa_pss::verify_masked(rsa, (digest, mask, salt_len), value, signature, &hash)
}

fn hash(digest: DigestAlgorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = aws_lc_rs::digest::Context::new(digest_algorithm(digest));
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

fn raw(
    method: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    outcome(method.verify_sig(key, message, signature), method, key)
}

fn ecdsa_digest(kind: KeyKind, point: &[u8], value: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let method: &'static EcdsaVerificationAlgorithm = match kind {
        KeyKind::P256 => &ECDSA_P256_SHA256_ASN1,
        KeyKind::P384 => &ECDSA_P384_SHA384_ASN1,
        _ => &ECDSA_P521_SHA512_ASN1,
    };
    outcome(method.verify_digest_sig(point, &for_curve(kind, value), signature), method, point)
}

/// A failed check is looked at again: a key that is none is not the signature's fault.
fn outcome(
    result: Result<(), aws_lc_rs::error::Unspecified>,
    method: &'static dyn VerificationAlgorithm,
    key: &[u8],
) -> Result<(), CryptoError> {
    result.map_err(|_| match ParsedPublicKey::new(method, key) {
        Ok(_) => CryptoError::Mismatch,
        Err(_) => CryptoError::BadKey("the key's octets are not a point of its curve or a key of its type".to_owned()),
    })
}

fn ecdsa(kind: KeyKind, digest: DigestAlgorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
    match (kind, digest) {
        (KeyKind::P256, Sha1) => Some(&ECDSA_P256_SHA1_ASN1),
        (KeyKind::P256, Sha256) => Some(&ECDSA_P256_SHA256_ASN1),
        (KeyKind::P256, Sha384) => Some(&ECDSA_P256_SHA384_ASN1),
        (KeyKind::P256, Sha512) => Some(&ECDSA_P256_SHA512_ASN1),
        (KeyKind::P384, Sha256) => Some(&ECDSA_P384_SHA256_ASN1),
        (KeyKind::P384, Sha384) => Some(&ECDSA_P384_SHA384_ASN1),
        (KeyKind::P384, Sha512) => Some(&ECDSA_P384_SHA512_ASN1),
        (KeyKind::P521, Sha1) => Some(&ECDSA_P521_SHA1_ASN1),
        (KeyKind::P521, Sha224) => Some(&ECDSA_P521_SHA224_ASN1),
        (KeyKind::P521, Sha256) => Some(&ECDSA_P521_SHA256_ASN1),
        (KeyKind::P521, Sha384) => Some(&ECDSA_P521_SHA384_ASN1),
        (KeyKind::P521, Sha512) => Some(&ECDSA_P521_SHA512_ASN1),
        _ => None,
    }
}

fn rsa_parameters(algorithm: &SignatureAlgorithm, rsa: &RsaPublicKey<'_>) -> Result<RsaParameters, CryptoError> {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    let short = rsa.bits < limits::MIN_RSA_BITS;
    let parameters = match *algorithm {
        SignatureAlgorithm::RsaPkcs1(Sha1) if short => signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::RsaPkcs1(Sha256) if short => signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::RsaPkcs1(Sha512) if short => signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ if short => {
            return Err(CryptoError::Unsupported(format!("{algorithm} by an RSA key of {} bits", rsa.bits)));
        }
        SignatureAlgorithm::RsaPkcs1(Sha1) => signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::RsaPkcs1(Sha256) => signature::RSA_PKCS1_2048_8192_SHA256,
        SignatureAlgorithm::RsaPkcs1(Sha384) => signature::RSA_PKCS1_2048_8192_SHA384,
        SignatureAlgorithm::RsaPkcs1(Sha512) => signature::RSA_PKCS1_2048_8192_SHA512,
        SignatureAlgorithm::RsaPss { digest, salt_len } => {
            let parameters = match digest {
                Sha256 => signature::RSA_PSS_2048_8192_SHA256,
                Sha384 => signature::RSA_PSS_2048_8192_SHA384,
                Sha512 => signature::RSA_PSS_2048_8192_SHA512,
                _ => return Err(CryptoError::Unsupported(algorithm.to_string())),
            };
            // RFC 8017 section 9.1.2: emLen < hLen + sLen + 2 is "inconsistent".
            let room = (rsa.bits as usize - 1).div_ceil(8).saturating_sub(digest.output_len() + 2);
            let salt_len = u16::try_from(salt_len).ok().filter(|len| usize::from(*len) <= room);
            let salt_len = salt_len.ok_or(CryptoError::Mismatch)?;
            parameters.with_pss_salt_length(RsaPssSaltLength::Custom(salt_len))
        }
        _ => return Err(CryptoError::Unsupported(algorithm.to_string())),
    };
    Ok(parameters)
}
