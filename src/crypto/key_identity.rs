//! Which key it is, whatever form it is written in: the one thing by which keys are compared.
//!
//! One key has several SubjectPublicKeyInfos: a point uncompressed or compressed (RFC 5480 section 2.2), an RSA key labelled
//! rsaEncryption, with NULL or without, or id-RSASSA-PSS with whatever parameters (RFC 4055 section 1.2). Whoever certifies a
//! key once more chooses the form, so that a comparison of bytes would be a comparison of what somebody else has chosen.

use alloc::borrow::Cow;

use super::modulus::Modulus;
use super::public_key::{coordinate_len, encode_spki};
use super::{KeyKind, PublicKey};
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// A public key by its content: its SubjectPublicKeyInfo in the usual form. Of two that are equal the holder is the same.
///
/// What is written in the usual form already is its own identity; so is what cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyIdentity<'a>(Cow<'a, [u8]>);

impl<'a> KeyIdentity<'a> {
    /// Of a certificate's key: worked out once for all copies of it.
    pub fn of(certificate: &'a Certificate) -> Self {
        KeyIdentity(Cow::Borrowed(certificate.key_in_usual_form(usual_form)))
    }

    /// Of the key in a SubjectPublicKeyInfo, DER.
    pub fn of_spki(spki: &'a [u8]) -> Self {
        KeyIdentity(usual_form(spki).map_or(Cow::Borrowed(spki), Cow::Owned))
    }

    pub fn into_owned(self) -> KeyIdentity<'static> {
        KeyIdentity(Cow::Owned(self.0.into_owned()))
    }

    /// The SubjectPublicKeyInfo in the usual form: bound to no parameters, a point uncompressed.
    pub fn as_spki(&self) -> &[u8] {
        &self.0
    }

    /// Whether a SubjectPublicKeyInfo of this key is one that its identifier may bind to some signatures only, so that another form of it
    /// verifies more.
    pub fn is_bound_in(&self, spki: &[u8]) -> bool {
        self.as_spki() != spki && matches!(PublicKey::from_spki(spki), Ok(PublicKey::Rsa(_)))
    }

    /// The same with its point compressed; `None`: it has none.
    pub fn compressed(&self) -> Option<Vec<u8>> {
        match PublicKey::from_spki(&self.0) {
            Ok(PublicKey::Ec { kind, point: [4, coordinates @ ..] }) => {
                let (x, y) = coordinates.split_at(coordinate_len(kind));
                Some(encode_spki(kind, &[&[2 | y[y.len() - 1] & 1], x].concat()))
            }
            _ => None,
        }
    }
}

/// The usual form of a key that is written in another; `None`: it is in that form, or cannot be read.
fn usual_form(spki: &[u8]) -> Option<Vec<u8>> {
    let usual = match PublicKey::from_spki(spki).ok()? {
        PublicKey::Rsa(rsa) => encode_spki(KeyKind::Rsa(rsa.bits), rsa.pkcs1),
        PublicKey::Ec { kind, point: [sign @ (2 | 3), x @ ..] } => encode_spki(kind, &uncompressed(kind, *sign, x)?),
        // Of the others there is one way to write a key.
        _ => return None,
    };
    (usual != spki).then_some(usual)
}

/// The octets of the point of this abscissa (SEC 1 section 2.3.4); `None`: there is none on the curve.
fn uncompressed(kind: KeyKind, sign: u8, x: &[u8]) -> Option<Vec<u8>> {
    let (prime, b) = curve(kind)?;
    let field = Modulus::new(prime, &[256, 384, 521]).ok()?;
    let (x_residue, b) = (field.residue(x)?, field.residue(b)?);
    // y^2 = x^3 - 3x + b.
    let minus_three = {
        let mut number = field.n.clone();
        number[0] -= 3;
        number
    };
    let cube = field.product(&x_residue, &field.product(&x_residue, &x_residue));
    let square = field.sum(&field.sum(&cube, &field.product(&minus_three, &x_residue)), &b);
    // All three primes are 3 modulo 4, so that the power (p + 1) / 4 of a square is its root.
    let mut root = field.power(&square, &quarter(&field.n));
    if field.product(&root, &root) != square {
        return None;
    }
    if root[0] & 1 != u64::from(sign & 1) {
        // p - y.
        let mut other = field.n.clone();
        other[0] -= 1;
        root = field.product(&other, &root);
    }
    let len = coordinate_len(kind);
    let bytes: Vec<u8> = root.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    let y = &bytes[bytes.len() - len..];
    Some([&[4], x, y].concat())
}

/// (n + 1) / 4 of a number that is 3 modulo 4: n / 4 rounded down, and one.
fn quarter(n: &[u64]) -> Vec<u64> {
    let above = n.iter().skip(1).chain(&[0]);
    let mut quarter: Vec<u64> = n.iter().zip(above).map(|(limb, above)| limb >> 2 | above << 62).collect();
    for limb in &mut quarter {
        let (sum, over) = limb.overflowing_add(1);
        *limb = sum;
        if !over {
            break;
        }
    }
    quarter
}

/// The prime of a curve's field, and b of its equation (SEC 2 sections 2.4.2, 2.5.1 and 2.6.1).
fn curve(kind: KeyKind) -> Option<(&'static [u8], &'static [u8])> {
    match kind {
        KeyKind::P256 => Some((&P256.0, &P256.1)),
        KeyKind::P384 => Some((&P384.0, &P384.1)),
        KeyKind::P521 => Some((&P521.0, &P521.1)),
        _ => None,
    }
}

const P256: ([u8; 32], [u8; 32]) = (
    bytes(b"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
    bytes(b"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
);
const P384: ([u8; 48], [u8; 48]) = (
    bytes(b"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff"),
    bytes(b"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef"),
);
const P521: ([u8; 66], [u8; 66]) = (
    bytes(
        b"01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
          ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ),
    bytes(
        b"0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1\
          56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    ),
);

/// Bytes from lower-case hexadecimal digits.
const fn bytes<const N: usize>(digits: &[u8]) -> [u8; N] {
    const fn nibble(digit: u8) -> u8 {
        if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
    }
    assert!(digits.len() == 2 * N);
    let mut out = [0; N];
    let mut index = 0;
    while index < N {
        out[index] = nibble(digits[2 * index]) << 4 | nibble(digits[2 * index + 1]);
        index += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};
    use crate::crypto::algorithm::encode_oid;
    use crate::crypto::default_provider;

    #[test]
    fn a_point_is_one_key_in_both_of_its_forms() {
        let provider = default_provider();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            for _ in 0..8 {
                let key = provider.generate_key(kind).unwrap();
                let identity = KeyIdentity::of_spki(key.spki());
                assert_eq!(identity.as_spki(), key.spki(), "the usual form is its own identity");
                let compressed = identity.compressed().unwrap();
                assert_ne!(compressed, key.spki());
                assert_eq!(KeyIdentity::of_spki(&compressed), identity, "{kind}");
                // The other point of the same abscissa is another key.
                let mut other = compressed;
                let sign = other.len() - coordinate_len(kind) - 1;
                other[sign] ^= 1;
                assert_ne!(KeyIdentity::of_spki(&other), identity, "{kind}");
            }
        }
    }

    #[test]
    fn an_abscissa_without_a_point_is_its_own_identity() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let without = (0u8..40)
                .filter(|last| {
                    let mut x = vec![0; coordinate_len(kind)];
                    *x.last_mut().unwrap() = *last;
                    let spki = encode_spki(kind, &[&[2], &x[..]].concat());
                    KeyIdentity::of_spki(&spki).as_spki() == spki
                })
                .count();
            assert!((5..36).contains(&without), "about a half of all numbers, {without} of 40 for {kind}");
        }
    }

    #[test]
    fn an_rsa_key_is_one_under_all_labels() {
        let key = default_provider().generate_key(KeyKind::Rsa(2048)).unwrap();
        let Ok(PublicKey::Rsa(rsa)) = PublicKey::from_spki(key.spki()) else { panic!("an RSA key") };
        let labelled = |parts: &[&[u8]]| sequence(&[&sequence(parts), &element(0x03, &[&[0], rsa.pkcs1])]);
        let (rsa_oid, pss_oid) =
            (encode_oid(crate::asn1::oid::RSA_ENCRYPTION), encode_oid(crate::asn1::oid::RSASSA_PSS));
        let bound =
            super::super::SignatureAlgorithm::RsaPss { digest: super::super::DigestAlgorithm::Sha384, salt_len: 48 };
        let forms = [
            labelled(&[&rsa_oid, &[5, 0]]),
            labelled(&[&rsa_oid]),
            labelled(&[&pss_oid]),
            sequence(&[&bound.to_der(), &element(0x03, &[&[0], rsa.pkcs1])]),
        ];
        for form in &forms {
            assert_eq!(KeyIdentity::of_spki(form), KeyIdentity::of_spki(key.spki()));
        }
        assert_eq!(KeyIdentity::of_spki(key.spki()).as_spki(), key.spki());
    }
}
