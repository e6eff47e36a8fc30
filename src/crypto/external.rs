//! Keys that live elsewhere: an HSM, a TPM, a secure element, reached through the caller's closure.

use core::fmt;

use zeroize::Zeroizing;

use super::public_key::{coordinate_len, curve_oid, encode_spki};
use super::{CryptoError, KeyKind, PrivateKey, PublicKey, RsaEncryption, SignatureAlgorithm, default_provider};
use crate::asn1::der::{Cursor, element};
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
    /// It answers [`CryptoError::External`] where the key could not be asked, such as a token that is away: what needed it is tried again.
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

    /// The same key, able to decrypt (RSA). The closure answers [`CryptoError::Decrypt`] where the key does not open it, and
    /// [`CryptoError::External`] where the key could not be asked.
    #[must_use]
    pub fn with_decrypt(
        mut self,
        decrypt: impl Fn(RsaEncryption, &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> + Send + Sync + 'static,
    ) -> Self {
        self.decrypt = Some(Box::new(decrypt));
        self
    }

    /// The same key, able to agree on a secret with the holder of a public point (EC). The closure answers as that for decryption does.
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

/// SubjectPublicKeyInfo (RFC 5480 section 2) of a key on P-256, P-384 or P-521, from the point in whichever form its home gives it:
/// 04, x and y (SEC 1 section 2.3.3), x and y alone, or the former in an OCTET STRING (PKCS#11's CKA_EC_POINT). A point that does not lie
/// on the curve is refused.
pub fn ec_public_key(kind: KeyKind, point: &[u8]) -> Result<Vec<u8>, CryptoError> {
    if curve_oid(kind).is_none() {
        return Err(CryptoError::Unsupported(format!("a point of {kind}: P-256, P-384 and P-521 have one")));
    }
    let numbers = 2 * coordinate_len(kind);
    let plain = |point: &[u8]| point.len() == numbers + 1 && point[0] == 4;
    let wrapped = Cursor::new(point, "CKA_EC_POINT").and_then(|mut all| {
        let inner = all.expect(::der::Tag::OctetString, "point")?.value;
        all.finish().map(|()| inner)
    });
    let point = match wrapped {
        _ if plain(point) => point.to_vec(),
        _ if point.len() == numbers => [&[4], point].concat(),
        Ok(inner) if plain(inner) => inner.to_vec(),
        _ => {
            let words = format!(
                "a point of {kind} with {} bytes: expected {} that begin with 04, or {numbers}",
                point.len(),
                numbers + 1
            );
            return Err(CryptoError::BadKey(words));
        }
    };
    let spki = encode_spki(kind, &point);
    // Who agrees on a secret with it has to look whether it lies on the curve.
    default_provider().agree_ephemeral(&spki).map_err(|error| match error {
        CryptoError::BadKey(_) => CryptoError::BadKey(format!("a point that does not lie on {kind}")),
        other => other,
    })?;
    Ok(spki)
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

    #[test]
    fn a_point_in_each_form_becomes_the_public_key_and_one_beside_the_curve_does_not() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let Ok(key) = default_provider().generate_key(kind) else { continue };
            let spki = key.spki();
            let point = &spki[spki.len() - 1 - 2 * coordinate_len(kind)..];
            for form in [point, &point[1..], &element(0x04, &[point])] {
                assert_eq!(ec_public_key(kind, form).unwrap(), spki, "{kind}: {} bytes", form.len());
            }
            let mut beside = point.to_vec();
            *beside.last_mut().unwrap() ^= 1;
            let compressed = [&[2], &point[1..=coordinate_len(kind)]].concat();
            let longer = [point, &[0]].concat();
            for wrong in [&beside[..], &beside[1..], &compressed, &longer, &point[..point.len() - 1], &[], &[4]] {
                assert!(matches!(ec_public_key(kind, wrong), Err(CryptoError::BadKey(_))), "{kind}: {wrong:02x?}");
            }
        }
        for kind in [KeyKind::Rsa(2048), KeyKind::Ed25519] {
            assert!(matches!(ec_public_key(kind, &[4; 65]), Err(CryptoError::Unsupported(_))));
        }
    }
}
