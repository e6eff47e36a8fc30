//! Keys that live elsewhere: an HSM, a TPM, a secure element, reached through the caller's closure.

use core::fmt;

use zeroize::Zeroizing;

use super::{CryptoError, KeyKind, PrivateKey, PublicKey, RsaEncryption, SignatureAlgorithm, default_provider};
use crate::asn1::der::element;
use crate::prelude::*;

type Sign = dyn Fn(&SignatureAlgorithm, &[u8]) -> Result<Vec<u8>, CryptoError> + Send + Sync;
type Decrypt = dyn Fn(RsaEncryption, &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> + Send + Sync;
type Agree = dyn Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> + Send + Sync;

/// A private key behind closures. Its private half is never seen here.
pub struct ExternalKey {
    spki: Vec<u8>,
    kind: KeyKind,
    sign: Box<Sign>,
    decrypt: Option<Box<Decrypt>>,
    agree: Option<Box<Agree>>,
}

impl ExternalKey {
    /// From the public half (SubjectPublicKeyInfo, DER) and a closure that signs a message whole.
    ///
    /// The closure gets algorithms that fit the key only; it hashes the message itself where the algorithm does. ECDSA
    /// signatures must come as Ecdsa-Sig-Value: [`ecdsa_signature_to_der`] makes that from the two numbers in a row
    /// that PKCS#11 and most chips give.
    pub fn new(
        spki: &[u8],
        sign: impl Fn(&SignatureAlgorithm, &[u8]) -> Result<Vec<u8>, CryptoError> + Send + Sync + 'static,
    ) -> Result<Self, CryptoError> {
        let kind = PublicKey::from_spki(spki)?.kind();
        Ok(ExternalKey { spki: spki.to_vec(), kind, sign: Box::new(sign), decrypt: None, agree: None })
    }

    /// The same key, able to decrypt (RSA).
    #[must_use]
    pub fn with_decrypt(
        mut self,
        decrypt: impl Fn(RsaEncryption, &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> + Send + Sync + 'static,
    ) -> Self {
        self.decrypt = Some(Box::new(decrypt));
        self
    }

    /// The same key, able to agree on a secret with the holder of a public point (EC).
    #[must_use]
    pub fn with_agree(
        mut self,
        agree: impl Fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> + Send + Sync + 'static,
    ) -> Self {
        self.agree = Some(Box::new(agree));
        self
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, external)", self.kind)
    }
}

impl PrivateKey for ExternalKey {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !algorithm.fits(self.kind) {
            return Err(CryptoError::Unsupported(format!("{algorithm} by a key of type {}", self.kind)));
        }
        let signature = (self.sign)(algorithm, message)?;
        // A token with another key is found here and not at the CA; a faulty RSA signature would give the key away.
        default_provider().verify(algorithm, &self.spki, message, &signature, true).map_err(|_| {
            CryptoError::External(0, format!("what it gave is not a {algorithm} signature by the key announced"))
        })?;
        Ok(signature)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn decrypt(&self, scheme: RsaEncryption, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let decrypt = self.decrypt.as_ref().ok_or(CryptoError::KeyCannot("decrypt"))?;
        decrypt(scheme, ciphertext)
    }

    fn agree(&self, peer_point: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let agree = self.agree.as_ref().ok_or(CryptoError::KeyCannot("agree on a secret"))?;
        agree(peer_point)
    }
}

/// Ecdsa-Sig-Value (RFC 3279 section 2.2.3) from r and s in a row, each half of `numbers`, big endian.
pub fn ecdsa_signature_to_der(numbers: &[u8]) -> Result<Vec<u8>, CryptoError> {
    if numbers.is_empty() || numbers.len() % 2 != 0 {
        return Err(CryptoError::Unsupported(format!("an ECDSA signature of {} bytes", numbers.len())));
    }
    let (r, s) = numbers.split_at(numbers.len() / 2);
    Ok(element(0x30, &[&unsigned_integer(r), &unsigned_integer(s)]))
}

fn unsigned_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
    let number = &number[start..];
    if number[0] >= 0x80 { element(0x02, &[&[0], number]) } else { element(0x02, &[number]) }
}

#[cfg(test)]
mod tests {
    use super::super::DigestAlgorithm;
    use super::*;

    #[test]
    fn a_closure_signs_in_place_of_a_key() {
        let provider = default_provider();
        let hidden = provider.generate_key(KeyKind::P256).unwrap();
        let chip = hidden.clone();
        let key = ExternalKey::new(hidden.spki(), move |algorithm, message| chip.sign(algorithm, message)).unwrap();
        let algorithm = key.default_signature();
        let signature = key.sign(&algorithm, b"m").unwrap();
        assert_eq!(provider.verify(&algorithm, key.spki(), b"m", &signature, false), Ok(()));
        assert!(key.to_pkcs8().is_none());
        assert_eq!(key.agree(&[4; 65]).unwrap_err(), CryptoError::KeyCannot("agree on a secret"));
        assert_eq!(format!("{key:?}"), "PrivateKey(P-256, external)");
    }

    #[test]
    fn a_chip_with_another_key_is_found_out() {
        let provider = default_provider();
        let (announced, used) =
            (provider.generate_key(KeyKind::P256).unwrap(), provider.generate_key(KeyKind::P256).unwrap());
        let key = ExternalKey::new(announced.spki(), move |algorithm, message| used.sign(algorithm, message)).unwrap();
        let refused = key.sign(&key.default_signature(), b"m");
        assert!(matches!(refused, Err(CryptoError::External(0, _))));
    }

    #[test]
    fn a_closure_is_not_asked_for_what_its_key_cannot_make() {
        let hidden = default_provider().generate_key(KeyKind::P256).unwrap();
        let key = ExternalKey::new(hidden.spki(), |_, _| panic!("called for RSA")).unwrap();
        let refused = key.sign(&SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256), b"m");
        assert!(matches!(refused, Err(CryptoError::Unsupported(_))));
        assert!(ExternalKey::new(&[0x30, 0x00], |_, _| Ok(Vec::new())).is_err());
    }

    #[test]
    fn numbers_in_a_row_become_a_der_signature() {
        let der = ecdsa_signature_to_der(&[0x00, 0x80, 0x00, 0x00]).unwrap();
        assert_eq!(der, [0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x00]);
        assert!(ecdsa_signature_to_der(&[1, 2, 3]).is_err());
        assert!(ecdsa_signature_to_der(&[]).is_err());
    }
}
