//! Which key it is, whatever form it is written in: the one thing by which keys are compared.
//!
//! One key has several SubjectPublicKeyInfos: a point uncompressed or compressed (RFC 5480 section 2.2), an RSA key labelled
//! rsaEncryption, with NULL or without, or id-RSASSA-PSS with whatever parameters (RFC 4055 section 1.2). Whoever certifies a
//! key once more chooses the form, so that a comparison of bytes would be a comparison of what somebody else has chosen.

use alloc::borrow::Cow;

use super::modulus::Modulus;
use super::public_key::{coordinate_len, encode_spki};
use super::{KeyKind, PublicKey};
use crate::asn1::x509::{Certificate, KeyForm};
use crate::prelude::*;

/// A public key by its content. Of two that are equal the holder is the same.
///
/// What is written in the usual form already is its own identity; so is what cannot be read. Comparing takes no square root: a point is
/// the same as a compressed one if it lies on the curve, has the same abscissa, and an ordinate of that parity. What a root is needed
/// for is [`Self::as_spki`] alone, of a compressed point: whoever asks for that of what a stranger sent has it paid for.
#[derive(Clone, Debug)]
pub(crate) struct KeyIdentity<'a> {
    /// As it came; an RSA key in the usual form.
    spki: Cow<'a, [u8]>,
    form: KeyForm,
    /// What remembers what was worked out.
    certificate: Option<&'a Certificate>,
}

impl PartialEq for KeyIdentity<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.spki == other.spki {
            return true;
        }
        match (self.form, other.form) {
            (KeyForm::Compressed(_), KeyForm::Uncompressed(_)) => other.is_written_out(self),
            (KeyForm::Uncompressed(_), KeyForm::Compressed(_)) => self.is_written_out(other),
            _ => false,
        }
    }
}

impl Eq for KeyIdentity<'_> {}

impl<'a> KeyIdentity<'a> {
    /// Of a certificate's key: worked out once for all copies of it.
    pub fn of(certificate: &'a Certificate) -> Self {
        let form = certificate.key_form(form_of);
        let spki = match form {
            KeyForm::Rsa => certificate.key_in_usual_form(usual_form),
            _ => certificate.spki(),
        };
        KeyIdentity { spki: Cow::Borrowed(spki), form, certificate: Some(certificate) }
    }

    /// Of the key in a SubjectPublicKeyInfo, DER.
    pub fn of_spki(spki: &'a [u8]) -> Self {
        let form = form_of(spki);
        let usual = if form == KeyForm::Rsa { usual_form(spki) } else { None };
        KeyIdentity { spki: usual.map_or(Cow::Borrowed(spki), Cow::Owned), form, certificate: None }
    }

    /// SHA-256 of [`Self::as_spki`], as `digest` makes it: of a certificate's key it is worked out once.
    pub fn digest<E>(&self, digest: impl FnOnce(&[u8]) -> Result<[u8; 32], E>) -> Result<[u8; 32], E> {
        match self.certificate {
            Some(certificate) => certificate.key_digest(|| digest(&self.as_spki())),
            None => digest(&self.as_spki()),
        }
    }

    /// Whether it may be a key whose parameters stand in a certificate above: it is none of a kind that has them in itself.
    pub fn may_inherit(certificate: &Certificate) -> bool {
        certificate.key_form(form_of) == KeyForm::Only
    }

    pub fn into_owned(self) -> KeyIdentity<'static> {
        if self.is_written_out_already() {
            let spki = self.as_spki().into_owned();
            return KeyIdentity { form: form_of(&spki), spki: Cow::Owned(spki), certificate: None };
        }
        KeyIdentity { spki: Cow::Owned(self.spki.into_owned()), form: self.form, certificate: None }
    }

    /// The SubjectPublicKeyInfo in the usual form: bound to no parameters, a point uncompressed. Of a compressed one it costs as much as
    /// a signature, unless it is known.
    pub fn as_spki(&self) -> Cow<'_, [u8]> {
        match (self.form, self.certificate) {
            (KeyForm::Compressed(_), Some(certificate)) => Cow::Borrowed(certificate.key_in_usual_form(usual_form)),
            (KeyForm::Compressed(_), None) => usual_form(&self.spki).map_or(Cow::Borrowed(&self.spki), Cow::Owned),
            _ => Cow::Borrowed(&self.spki),
        }
    }

    /// Whether it is a point without its ordinate.
    pub fn is_compressed(&self) -> bool {
        matches!(self.form, KeyForm::Compressed(_))
    }

    /// Whether [`Self::as_spki`] costs nothing worth counting.
    pub fn is_written_out_already(&self) -> bool {
        match self.form {
            KeyForm::Compressed(_) => self.certificate.is_some_and(Certificate::knows_usual_form),
            _ => true,
        }
    }

    /// Whether a SubjectPublicKeyInfo of this key is one that its identifier may bind to some signatures only, so that another form of it
    /// verifies more.
    pub fn is_bound_in(&self, spki: &[u8]) -> bool {
        self.form == KeyForm::Rsa && *self.spki != *spki
    }

    /// The same with its point compressed; `None`: it has none.
    pub fn compressed(&self) -> Option<Cow<'_, [u8]>> {
        match self.form {
            KeyForm::Compressed(_) => Some(Cow::Borrowed(&self.spki)),
            KeyForm::Uncompressed(len) => {
                let (x, y) = self.last(2 * usize::from(len))?.split_at(usize::from(len));
                Some(Cow::Owned(encode_spki(kind_of(len), &[&[2 | y[y.len() - 1] & 1], x].concat())))
            }
            KeyForm::Only | KeyForm::Rsa => None,
        }
    }

    /// Of two points: whether this one, uncompressed, is the other, compressed.
    fn is_written_out(&self, compressed: &KeyIdentity<'_>) -> bool {
        let (KeyForm::Uncompressed(len), KeyForm::Compressed(other_len)) = (self.form, compressed.form) else {
            return false;
        };
        let size = usize::from(len);
        let (Some(point), Some([sign, x @ ..])) = (self.last(2 * size), compressed.last(1 + size)) else {
            return false;
        };
        let is_alike = len == other_len && point[..size] == *x && (point[2 * size - 1] ^ sign) & 1 == 0;
        is_alike && self.is_on_curve(kind_of(len), point)
    }

    fn is_on_curve(&self, kind: KeyKind, point: &[u8]) -> bool {
        let look = || is_on_curve(kind, point);
        self.certificate.map_or_else(look, |certificate| certificate.key_is_on_curve(look))
    }

    /// The last octets of the SubjectPublicKeyInfo, where the point is.
    fn last(&self, len: usize) -> Option<&[u8]> {
        self.spki.len().checked_sub(len).map(|start| &self.spki[start..])
    }
}

/// How a SubjectPublicKeyInfo writes its key.
fn form_of(spki: &[u8]) -> KeyForm {
    match PublicKey::from_spki(spki) {
        Ok(PublicKey::Rsa(_)) => KeyForm::Rsa,
        Ok(PublicKey::Ec { kind, point: [4, ..] }) => KeyForm::Uncompressed(coordinate_len(kind) as u8),
        Ok(PublicKey::Ec { kind, .. }) => KeyForm::Compressed(coordinate_len(kind) as u8),
        _ => KeyForm::Only,
    }
}

/// The curve whose coordinates have this length.
const fn kind_of(coordinate_len: u8) -> KeyKind {
    match coordinate_len {
        48 => KeyKind::P384,
        66 => KeyKind::P521,
        _ => KeyKind::P256,
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
    let (field, square) = square_of_ordinate(kind, x)?;
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

/// Whether these coordinates are a point of the curve.
fn is_on_curve(kind: KeyKind, coordinates: &[u8]) -> bool {
    let (x, y) = coordinates.split_at(coordinate_len(kind));
    let Some((field, square)) = square_of_ordinate(kind, x) else { return false };
    field.residue(y).is_some_and(|y| field.product(&y, &y) == square)
}

/// The field of a curve, and the square of the ordinate at an abscissa: x^3 - 3x + b.
fn square_of_ordinate(kind: KeyKind, x: &[u8]) -> Option<(Modulus, Vec<u64>)> {
    let (prime, b) = curve(kind)?;
    let field = Modulus::new(prime, &[256, 384, 521]).ok()?;
    let (x, b) = (field.residue(x)?, field.residue(b)?);
    let minus_three = {
        let mut number = field.n.clone();
        number[0] -= 3;
        number
    };
    let cube = field.product(&x, &field.product(&x, &x));
    let square = field.sum(&field.sum(&cube, &field.product(&minus_three, &x)), &b);
    Some((field, square))
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
                let compressed = identity.compressed().unwrap().into_owned();
                assert_ne!(compressed, key.spki());
                assert_eq!(KeyIdentity::of_spki(&compressed), identity, "{kind}");
                assert_eq!(KeyIdentity::of_spki(&compressed).as_spki(), key.spki(), "{kind}");
                // The other point of the same abscissa is another key.
                let mut other = compressed.clone();
                let sign = other.len() - coordinate_len(kind) - 1;
                other[sign] ^= 1;
                assert_ne!(KeyIdentity::of_spki(&other), identity, "{kind}");
                // What has the same abscissa and parity and is no point is nobody's key.
                let mut beside = key.spki().to_vec();
                let last = beside.len() - 1;
                beside[last] ^= 2;
                assert_ne!(KeyIdentity::of_spki(&beside), KeyIdentity::of_spki(&compressed), "{kind}");
                assert_ne!(KeyIdentity::of_spki(&beside), identity, "{kind}");
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
                    *KeyIdentity::of_spki(&spki).as_spki() == spki
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
