//! RSA: keys, signatures, key transport.

use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep, Pkcs1v15Encrypt, Pkcs1v15Sign, Pss, RsaPrivateKey};
use zeroize::Zeroizing;

use super::super::public_key::{RsaPublicKey, check_rsa_private_key};
use super::super::{CryptoError, DigestAlgorithm, KeyKind, RsaEncryption, SignatureAlgorithm};
use super::key::{Key, Secret, random_source};
use super::{digest, with_digest};
use crate::asn1::oid;
use crate::asn1::pkcs8::encode_private_key_info;
use crate::limits;
use crate::prelude::*;

struct RsaSecret(Box<RsaPrivateKey>);

impl Secret for RsaSecret {
    fn public(&self) -> Result<Vec<u8>, CryptoError> {
        let encoded = self.0.to_public_key().to_pkcs1_der();
        Ok(encoded.map_err(|_| CryptoError::BadKey("an RSA key that cannot be written".to_owned()))?.into_vec())
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let content = self.0.to_pkcs1_der().ok()?;
        Some(encode_private_key_info(oid::RSA_ENCRYPTION, &[0x05, 0x00], content.as_bytes()))
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let refused = || CryptoError::Unsupported(format!("signing with {algorithm}"));
        match *algorithm {
            SignatureAlgorithm::RsaPkcs1(found) => {
                let value = digest(found, &[message]);
                with_digest!(found, D => self.0.sign(Pkcs1v15Sign::new::<D>(), &value))
                    .map_err(|_| CryptoError::KeyCannot("sign"))
            }
            // A salt that is longer than the key is nothing to allocate.
            SignatureAlgorithm::RsaPss { digest: found, salt_len } if salt_len as usize <= self.0.size() => {
                let value = digest(found, &[message]);
                with_digest!(found, D => self.0.sign(Pss::<D>::new_with_salt(salt_len as usize), &value))
                    .map_err(|_| refused())
            }
            SignatureAlgorithm::RsaPss { .. } | SignatureAlgorithm::RsaPssMasked { .. } => Err(refused()),
            _ => Err(CryptoError::KeyCannot("sign")),
        }
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let opened = match scheme {
            RsaEncryption::Oaep(DigestAlgorithm::Sha224) => {
                return Err(CryptoError::Unsupported("OAEP with SHA-224".to_owned()));
            }
            RsaEncryption::Oaep(digest) => with_digest!(digest, D => self.0.decrypt(Oaep::<D>::new(), ciphertext)),
            RsaEncryption::OaepMasked { digest, mask } => {
                return super::super::oaep::decrypt(&self.0, digest, mask, ciphertext);
            }
            RsaEncryption::Pkcs1 => self.0.decrypt(Pkcs1v15Encrypt, ciphertext),
        };
        opened.map(Zeroizing::new).map_err(|_| CryptoError::Decrypt)
    }
}

pub(super) fn generate(bits: u32) -> Result<Key, CryptoError> {
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(CryptoError::Unsupported(format!("new RSA keys of {bits} bits")));
    }
    let key = RsaPrivateKey::new(&mut random_source()?, bits as usize).map_err(|_| CryptoError::Random)?;
    Key::new(KeyKind::Rsa(bits), RsaSecret(Box::new(key)))
}

pub(super) fn import(content: &[u8]) -> Result<Key, CryptoError> {
    // The crate's own words may name numbers of the key: not passed on.
    let refused = || CryptoError::BadKey("an RSA private key that is malformed or inconsistent".to_owned());
    check_rsa_private_key(content)?;
    let private = RsaPrivateKey::from_pkcs1_der(content).map_err(|_| refused())?;
    private.validate().map_err(|_| refused())?;
    Key::new(KeyKind::Rsa(private.n().bits()), RsaSecret(Box::new(private)))
}

/// Checks a signature over a digest.
pub(super) fn verify(
    key: &RsaPublicKey<'_>,
    algorithm: SignatureAlgorithm,
    value: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(digest) => {
            let key = public_key(key)?;
            with_digest!(digest, D => key.verify(Pkcs1v15Sign::new::<D>(), value, signature))
                .map_err(|_| CryptoError::Mismatch)
        }
        SignatureAlgorithm::RsaPss { digest, salt_len } => {
            // RFC 8017 section 9.1.2: emLen < hLen + sLen + 2 is "inconsistent".
            let room = (key.bits as usize - 1).div_ceil(8).saturating_sub(digest.output_len() + 2);
            let salt_len = salt_len as usize;
            if salt_len > room {
                return Err(CryptoError::Mismatch);
            }
            let key = public_key(key)?;
            with_digest!(digest, D => key.verify(Pss::<D>::new_with_salt(salt_len), value, signature))
                .map_err(|_| CryptoError::Mismatch)
        }
        SignatureAlgorithm::RsaPssMasked { digest: found, mask, salt_len } => {
            let hash = |found, parts: &[&[u8]]| digest(found, parts).to_vec();
            super::super::rsa_pss::verify_masked(key, (found, mask, salt_len), value, signature, &hash)
        }
        _ => Err(CryptoError::KeyCannot("sign a digest")),
    }
}

pub(super) fn encrypt(scheme: RsaEncryption, key: &RsaPublicKey<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    if key.bits < limits::MIN_RSA_BITS {
        return Err(CryptoError::BadKey(format!("RSA of {} bits does not encrypt", key.bits)));
    }
    let key = public_key(key)?;
    let mut rng = random_source()?;
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

fn public_key(key: &RsaPublicKey<'_>) -> Result<rsa::RsaPublicKey, CryptoError> {
    let number = BoxedUint::from_be_slice_vartime;
    let sizes = limits::MIN_WEAK_RSA_BITS as usize..=limits::MAX_RSA_BITS as usize;
    rsa::RsaPublicKey::new_with_size_limits(number(key.modulus), number(key.exponent), sizes)
        .map_err(|error| CryptoError::BadKey(format!("the RSA key is refused: {error}")))
}
