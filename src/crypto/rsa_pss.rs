//! What RSASSA-PSS needs beyond an RSA key: keys whose identifier binds them to it (RFC 4055 section 1.2), and signatures
//! whose mask is made with another digest than the message's (RFC 4055 section 2.2 recommends one digest, no more).

use alloc::sync::Arc;

use zeroize::Zeroizing;

use super::public_key::{PublicKey, RsaPublicKey};
use super::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};
use crate::asn1::der::{element, sequence};
use crate::asn1::oid;
use crate::asn1::pkcs8::{PrivateKeyInfo, encode_private_key_info};
use crate::prelude::*;

/// A private key under the identifier it came with: written, certified and used as that says.
#[derive(Debug)]
struct PssKey {
    inner: Arc<dyn PrivateKey>,
    /// Parameters of the identifier, DER; empty where there are none.
    parameters: Vec<u8>,
    spki: Vec<u8>,
}

/// The key under the identifier of its PKCS#8: unchanged, where that is not id-RSASSA-PSS.
pub(super) fn labelled(
    key: Arc<dyn PrivateKey>,
    pkcs8: &PrivateKeyInfo<'_>,
) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    if pkcs8.algorithm != oid::RSASSA_PSS {
        return Ok(key);
    }
    let parameters = pkcs8.parameters.map(|p| p.bytes.to_vec()).unwrap_or_default();
    let spki = {
        let PublicKey::Rsa(rsa) = PublicKey::from_spki(key.spki())? else {
            return Err(CryptoError::BadKey("no RSA key under the identifier of RSASSA-PSS".to_owned()));
        };
        let identifier = sequence(&[&super::algorithm::encode_oid(oid::RSASSA_PSS), &parameters]);
        sequence(&[&identifier, &element(0x03, &[&[0], rsa.pkcs1])])
    };
    // Parameters that cannot be read are found now and not when the key is to sign.
    PublicKey::from_spki(&spki)?;
    Ok(Arc::new(PssKey { inner: key, parameters, spki }))
}

impl PrivateKey for PssKey {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn kind(&self) -> KeyKind {
        self.inner.kind()
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // RFC 4055 section 1.2: such a key makes no other signatures, and with parameters none with others.
        PublicKey::from_spki(&self.spki)?.admit(algorithm, false)?;
        self.inner.sign(algorithm, message)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let plain = self.inner.to_pkcs8()?;
        let info = PrivateKeyInfo::from_der(&plain).ok()?;
        Some(encode_private_key_info(oid::RSASSA_PSS, &self.parameters, info.key))
    }

    fn reference(&self) -> Option<&str> {
        self.inner.reference()
    }
}

/// A provider's digest over parts, one after the other.
type Hash<'a> = dyn Fn(DigestAlgorithm, &[&[u8]]) -> Vec<u8> + 'a;

/// Checks a signature whose mask is made with another digest: the public operation, and EMSA-PSS-VERIFY (RFC 8017 section
/// 9.1.2). Nothing in it is secret.
pub(super) fn verify_masked(
    key: &RsaPublicKey<'_>,
    (digest, mask, salt_len): (DigestAlgorithm, DigestAlgorithm, u32),
    value: &[u8],
    signature: &[u8],
    hash: &Hash<'_>,
) -> Result<(), CryptoError> {
    let (hash_len, salt_len) = (digest.output_len(), salt_len as usize);
    let bits = key.bits as usize - 1;
    let length = bits.div_ceil(8);
    // "inconsistent": no room for digest, salt and the two fixed bytes.
    if length.checked_sub(hash_len + 2).is_none_or(|room| salt_len > room) || signature.len() != key.modulus.len() {
        return Err(CryptoError::Mismatch);
    }
    let opened = public_operation(key.modulus, key.exponent, signature).ok_or(CryptoError::Mismatch)?;
    let (above, message) = opened.split_at(opened.len() - length);
    let (masked, rest) = message.split_at(length - hash_len - 1);
    let (seed, trailer) = rest.split_at(hash_len);
    let unused = length * 8 - bits;
    let top = !(0xffu8.checked_shr(unused as u32).unwrap_or(0));
    if above.iter().any(|b| *b != 0) || trailer != [0xbc] || masked[0] & top != 0 {
        return Err(CryptoError::Mismatch);
    }
    let mut block = masked.to_vec();
    for (counter, chunk) in block.chunks_mut(mask.output_len()).enumerate() {
        let stream = hash(mask, &[seed, &(counter as u32).to_be_bytes()]);
        chunk.iter_mut().zip(stream).for_each(|(byte, other)| *byte ^= other);
    }
    block[0] &= !top;
    let (padding, salt) = block.split_at(block.len() - salt_len);
    let is_padded = padding.split_last().is_some_and(|(one, zeros)| *one == 1 && zeros.iter().all(|b| *b == 0));
    if is_padded && hash(digest, &[&[0; 8], value, salt]) == seed { Ok(()) } else { Err(CryptoError::Mismatch) }
}

/// `signature ^ exponent mod modulus`, big endian, as long as the modulus; `None` if it is not below the modulus.
fn public_operation(modulus: &[u8], exponent: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let n = limbs(modulus, modulus.len());
    let base = limbs(signature, modulus.len());
    if n[0] & 1 == 0 || !is_below(&base, &n) {
        return None;
    }
    // -n^-1 mod 2^32 by Newton's method: each round doubles the bits that are right.
    let inverse = (0..5).fold(1u32, |x, _| x.wrapping_mul(2u32.wrapping_sub(n[0].wrapping_mul(x)))).wrapping_neg();
    let mut one = vec![0u32; n.len()];
    one[0] = 1;
    let shift = |value: &[u32]| (0..32 * n.len()).fold(value.to_vec(), |value, _| doubled(value, &n));
    let unit = shift(&one);
    let base = montgomery(&base, &shift(&unit), &n, inverse);
    let mut result = unit;
    for byte in exponent {
        for bit in (0..8).rev() {
            result = montgomery(&result, &result, &n, inverse);
            if byte >> bit & 1 == 1 {
                result = montgomery(&result, &base, &n, inverse);
            }
        }
    }
    let result = montgomery(&result, &one, &n, inverse);
    let bytes: Vec<u8> = result.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    Some(bytes[bytes.len() - modulus.len()..].to_vec())
}

/// Big endian bytes as limbs, the lowest first.
fn limbs(bytes: &[u8], length: usize) -> Vec<u32> {
    let mut all = vec![0u32; length.div_ceil(4)];
    for (at, byte) in bytes.iter().rev().enumerate() {
        all[at / 4] |= u32::from(*byte) << (at % 4 * 8);
    }
    all
}

fn is_below(a: &[u32], n: &[u32]) -> bool {
    a.iter().rev().lt(n.iter().rev())
}

fn subtract(a: &mut [u32], n: &[u32]) {
    let mut borrow = false;
    for (a, n) in a.iter_mut().zip(n) {
        let (value, first) = a.overflowing_sub(*n);
        let (value, second) = value.overflowing_sub(u32::from(borrow));
        (*a, borrow) = (value, first | second);
    }
}

fn doubled(mut a: Vec<u32>, n: &[u32]) -> Vec<u32> {
    let mut carry = 0;
    for limb in &mut a {
        (*limb, carry) = (*limb << 1 | carry, *limb >> 31);
    }
    if carry == 1 || !is_below(&a, n) {
        subtract(&mut a, n);
    }
    a
}

/// `a * b / 2^(32 * limbs) mod n`.
fn montgomery(a: &[u32], b: &[u32], n: &[u32], inverse: u32) -> Vec<u32> {
    let size = n.len();
    let mut sum = vec![0u32; size + 2];
    let add = |sum: &mut [u32], values: &[u32], factor: u32| {
        let mut carry = 0u64;
        for (limb, value) in sum.iter_mut().zip(values.iter().copied().chain([0, 0])) {
            let total = u64::from(*limb) + u64::from(value) * u64::from(factor) + carry;
            (*limb, carry) = (total as u32, total >> 32);
        }
    };
    for limb in a {
        add(&mut sum, b, *limb);
        let factor = sum[0].wrapping_mul(inverse);
        add(&mut sum, n, factor);
        // The lowest limb is zero by now.
        sum.rotate_left(1);
        sum[size + 1] = 0;
    }
    let overflow = sum[size] != 0;
    sum.truncate(size);
    if overflow || !is_below(&sum, n) {
        subtract(&mut sum, n);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    /// Against the provider's own public operation: with one digest throughout both must agree on every signature.
    #[test]
    fn signatures_of_one_digest_are_judged_as_the_provider_judges_them() {
        let provider = default_provider();
        let hash = |digest: DigestAlgorithm, parts: &[&[u8]]| provider.digest(digest, parts).unwrap().to_vec();
        let key = provider.generate_key(KeyKind::Rsa(2048)).unwrap();
        let digest = DigestAlgorithm::Sha256;
        let algorithm = SignatureAlgorithm::RsaPss { digest, salt_len: 32 };
        let signature = key.sign(&algorithm, b"message").unwrap();
        let PublicKey::Rsa(rsa) = PublicKey::from_spki(key.spki()).unwrap() else { panic!("not RSA") };
        let value = hash(digest, &[b"message"]);
        let judge = |value: &[u8], signature: &[u8], mask, salt_len| {
            verify_masked(&rsa, (digest, mask, salt_len), value, signature, &hash).is_ok()
        };
        assert!(judge(&value, &signature, digest, 32));
        assert!(!judge(&value, &signature, DigestAlgorithm::Sha1, 32), "another mask");
        assert!(!judge(&value, &signature, digest, 20), "another salt");
        assert!(!judge(&hash(digest, &[b"massage"]), &signature, digest, 32));
        for at in (0..signature.len()).step_by(17) {
            let mut bent = signature.clone();
            bent[at] ^= 1;
            assert!(!judge(&value, &bent, digest, 32), "byte {at}");
        }
        assert!(!judge(&value, &signature[1..], digest, 32));
        assert!(!judge(&value, rsa.modulus, digest, 32), "not below the modulus");
    }

    #[test]
    fn a_key_keeps_its_identifier_and_makes_no_other_signatures() {
        let provider = default_provider();
        let plain = provider.generate_key(KeyKind::Rsa(2048)).unwrap().to_pkcs8().unwrap();
        let content = PrivateKeyInfo::from_der(&plain).unwrap();
        let digest = DigestAlgorithm::Sha384;
        let bound = SignatureAlgorithm::RsaPss { digest, salt_len: 48 };
        let identifier = bound.to_der();
        let parameters = &identifier[4 + super::oid::RSASSA_PSS.as_bytes().len()..];
        for (parameters, default) in [
            (parameters, bound),
            (&[][..], SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: 32 }),
        ] {
            let pkcs8 = encode_private_key_info(oid::RSASSA_PSS, parameters, content.key);
            let key = provider.import_pkcs8(&pkcs8).unwrap();
            assert_eq!(*key.to_pkcs8().unwrap(), *pkcs8, "written as it came");
            assert_eq!(key.default_signature(), default);
            let signature = key.sign(&default, b"m").unwrap();
            provider.verify(&default, key.spki(), b"m", &signature, false).unwrap();
            assert!(key.sign(&SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256), b"m").is_err());
        }
    }
}
