//! Private keys in memory: signing, decrypting, agreeing.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, Pkcs8V1Der};
use aws_lc_rs::kem::DecapsulationKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, PqdsaKeyPair, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{agreement, digest};
use zeroize::Zeroizing;

use super::super::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, RsaEncryption, SignatureAlgorithm};
use super::{cipher, digest_algorithm, for_curve, kem};
use crate::asn1::der::element;
use crate::asn1::oid;
use crate::asn1::pkcs8::encode_private_key_info;

/// A key in this process's memory. AWS-LC wipes it when it is dropped.
pub(super) struct Key {
    pub(super) spki: Vec<u8>,
    pub(super) kind: KeyKind,
    pub(super) pair: Pair,
}

pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// With the PKCS#8 it came in, where AWS-LC cannot write one: keys without their seed.
    MlDsa(PqdsaKeyPair, Option<Zeroizing<Vec<u8>>>),
    X25519(agreement::PrivateKey),
    MlKem(DecapsulationKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, in memory)", self.kind)
    }
}

impl PrivateKey for Key {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let failed = |_| CryptoError::KeyCannot("sign");
        match (&self.pair, *algorithm) {
            (Pair::Rsa(pair), _) => {
                let encoding = rsa_encoding(algorithm)?;
                let mut out = vec![0u8; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut out).map_err(failed)?;
                Ok(out)
            }
            (Pair::Ecdsa(_), SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha1)) => {
                Err(CryptoError::Unsupported("signing with SHA-1".to_owned()))
            }
            (Pair::Ecdsa(pair), SignatureAlgorithm::Ecdsa(found)) => {
                let made = if self.kind.default_signature() == *algorithm {
                    pair.sign(&SystemRandom::new(), message)
                } else {
                    let value = digest::digest(digest_algorithm(found), message);
                    pair.sign_digest(&for_curve(self.kind, value.as_ref()))
                };
                Ok(made.map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), SignatureAlgorithm::Ed25519) => {
                Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::MlDsa(pair, _), _) if algorithm.fits(self.kind) => {
                let mut out = vec![0u8; pair.algorithm().signature_len()];
                pair.sign(message, &mut out).map_err(failed)?;
                Ok(out)
            }
            _ => Err(CryptoError::Unsupported(format!("{algorithm} by a key of type {}", self.kind))),
        }
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let written = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        match &self.pair {
            Pair::Rsa(pair) => Some(written(AsDer::<Pkcs8V1Der<'_>>::as_der(pair).ok()?.as_ref())),
            Pair::Ecdsa(pair) => Some(written(pair.to_pkcs8v1().ok()?.as_ref())),
            Pair::Ed25519(pair) => Some(written(pair.to_pkcs8v1().ok()?.as_ref())),
            Pair::MlDsa(_, Some(kept)) => Some(kept.clone()),
            Pair::X25519(pair) => {
                let seed: Curve25519SeedBin<'_> = pair.as_be_bytes().ok()?;
                let content = Zeroizing::new(element(0x04, &[seed.as_ref()]));
                Some(encode_private_key_info(oid::X25519, &[], &content))
            }
            Pair::MlKem(pair) => kem::to_pkcs8(self.kind, pair),
            Pair::MlDsa(pair, None) => Some(written(pair.to_pkcs8v1().ok()?.as_ref())),
        }
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let Pair::Rsa(pair) = &self.pair else { return Err(CryptoError::KeyCannot("decrypt")) };
        // AWS-LC's Rust face keeps keys that sign and keys that decrypt apart; decrypting is rare enough to convert.
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| CryptoError::KeyCannot("decrypt"))?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| CryptoError::KeyCannot("decrypt"))?;
        if let RsaEncryption::OaepMasked { digest, mask } = scheme {
            return super::super::oaep::decrypt_by_awslc(pkcs8.as_ref(), digest, mask, ciphertext);
        }
        let mut out = Zeroizing::new(vec![0u8; key.key_size_bytes()]);
        let length = match scheme {
            RsaEncryption::Oaep(digest) => {
                let algorithm = cipher::oaep(digest)?;
                let key = OaepPrivateDecryptingKey::new(key).map_err(|_| CryptoError::Decrypt)?;
                key.decrypt(algorithm, ciphertext, &mut out, None).map_err(|_| CryptoError::Decrypt)?.len()
            }
            RsaEncryption::OaepMasked { .. } => return Err(CryptoError::Decrypt),
            RsaEncryption::Pkcs1 => {
                let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| CryptoError::Decrypt)?;
                key.decrypt(ciphertext, &mut out).map_err(|_| CryptoError::Decrypt)?.len()
            }
        };
        out.truncate(length);
        Ok(out)
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let refused = CryptoError::KeyCannot("agree on a secret");
        if let Pair::X25519(own) = &self.pair {
            return cipher::agree(own, peer_point);
        }
        let (Pair::Ecdsa(pair), Some(algorithm)) = (&self.pair, cipher::ecdh(self.kind)) else { return Err(refused) };
        let Ok(pkcs8) = pair.to_pkcs8v1() else { return Err(refused) };
        let Ok(own) = agreement::PrivateKey::from_private_key_der(algorithm, pkcs8.as_ref()) else {
            return Err(refused);
        };
        cipher::agree(&own, peer_point)
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let Pair::MlKem(pair) = &self.pair else { return Err(CryptoError::KeyCannot("decapsulate")) };
        kem::decapsulate(pair, ciphertext)
    }
}

fn rsa_encoding(algorithm: &SignatureAlgorithm) -> Result<&'static dyn RsaEncoding, CryptoError> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    match *algorithm {
        SignatureAlgorithm::RsaPkcs1(Sha256) => Ok(&signature::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaPkcs1(Sha384) => Ok(&signature::RSA_PKCS1_SHA384),
        SignatureAlgorithm::RsaPkcs1(Sha512) => Ok(&signature::RSA_PKCS1_SHA512),
        SignatureAlgorithm::RsaPss { digest: Sha256, salt_len: 32 } => Ok(&signature::RSA_PSS_SHA256),
        SignatureAlgorithm::RsaPss { digest: Sha384, salt_len: 48 } => Ok(&signature::RSA_PSS_SHA384),
        SignatureAlgorithm::RsaPss { digest: Sha512, salt_len: 64 } => Ok(&signature::RSA_PSS_SHA512),
        _ => Err(CryptoError::Unsupported(format!("signing with {algorithm}"))),
    }
}
