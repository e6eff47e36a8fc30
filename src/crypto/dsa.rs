//! DSA signatures (FIPS 186-4 section 4.7), verification only, for certificates of CAs that are older than ECDSA.
//! Reached through the *weak* switch alone: neither provider has DSA, and nothing here ever touches a secret.
//!
//! Kept because NIST's PKITS asks for it (4.1.4 valid signatures, 4.1.5 parameters inherited from the issuer, 4.1.6), and old
//! government PKIs still hold such roots. Own code because no crate fits: the stable `dsa` crate brings a second bignum that
//! nothing else here needs, the new one is a pre-release, and neither knows inherited parameters. The arithmetic is
//! that of `modulus`, on public data only; the whole is checked against OpenSSL's signatures below.

use alloc::borrow::Cow;

use ::der::Tag;

use super::algorithm::encode_oid;
use super::modulus::{Modulus, limbs};
use super::{CryptoError, DigestAlgorithm, Provider};
use crate::asn1::Asn1Error;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::oid::Oid;
use crate::asn1::x509::read_oid;
use crate::prelude::*;

/// id-dsa (RFC 3279 section 2.3.2).
const ID_DSA: Oid = Oid::new_unwrap("1.2.840.10040.4.1");
/// id-dsa-with-sha1 (RFC 3279 section 2.2.2).
const DSA_WITH_SHA1: Oid = Oid::new_unwrap("1.2.840.10040.4.3");
/// id-dsa-with-sha256 (RFC 5758 section 3.1).
const DSA_WITH_SHA256: Oid = Oid::new_unwrap("2.16.840.1.101.3.4.3.2");

/// Sizes of p and q in bits (FIPS 186-4 section 4.2).
const P_BITS: [usize; 3] = [1024, 2048, 3072];
const Q_BITS: [usize; 3] = [160, 224, 256];

/// The digest, if an AlgorithmIdentifier is one of DSA's; its parameters must be absent (RFC 3279 section 2.2.2).
pub(crate) fn digest_of(identifier: &[u8]) -> Option<DigestAlgorithm> {
    let mut fields = Cursor::sequence(identifier, "AlgorithmIdentifier").ok()?;
    let digest = match read_oid(&mut fields).ok()? {
        o if o == DSA_WITH_SHA1 => DigestAlgorithm::Sha1,
        o if o == DSA_WITH_SHA256 => DigestAlgorithm::Sha256,
        _ => return None,
    };
    fields.is_empty().then_some(digest)
}

/// A DSA key without parameters completed with those of the next DSA key above it (RFC 5280 section 6.1.4 (f)); any
/// other key as it is. `above` are the keys of its issuer, the issuer's issuer and so on.
pub(crate) fn working_key<'a>(spki: &'a [u8], above: impl IntoIterator<Item = &'a [u8]>) -> Cow<'a, [u8]> {
    let Ok((None, key)) = split_key(spki) else { return Cow::Borrowed(spki) };
    let inherited = above.into_iter().map_while(|spki| split_key(spki).ok()).find_map(|(parameters, _)| parameters);
    match inherited {
        Some(parameters) => {
            let algorithm = sequence(&[&encode_oid(ID_DSA), parameters]);
            Cow::Owned(sequence(&[&algorithm, &element(0x03, &[&[0], key])]))
        }
        None => Cow::Borrowed(spki),
    }
}

/// Checks a signature by the DSA key in a SubjectPublicKeyInfo.
pub(crate) fn verify(
    provider: &dyn Provider,
    digest: DigestAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let key = Key::read(spki).map_err(|e| CryptoError::BadKey(e.to_string()))?;
    let hash = provider.digest(digest, &[message])?;
    if key.accepts(&hash, signature).unwrap_or(false) { Ok(()) } else { Err(CryptoError::Mismatch) }
}

fn split_key(spki: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Asn1Error> {
    const WHAT: &str = "SubjectPublicKeyInfo";
    let mut fields = Cursor::sequence(spki, WHAT)?;
    let mut algorithm = Cursor::new(fields.expect(Tag::Sequence, "algorithm")?.value, WHAT)?;
    let key = fields.expect(Tag::BitString, "subjectPublicKey")?.value;
    fields.finish()?;
    if read_oid(&mut algorithm)? != ID_DSA {
        return Err(Asn1Error::invalid(WHAT, "not a DSA key"));
    }
    let parameters = algorithm.optional(Tag::Sequence)?.map(|p| p.bytes);
    Ok((parameters, key.strip_prefix(&[0]).unwrap_or_default()))
}

struct Key {
    p: Modulus,
    q: Modulus,
    g: Vec<u64>,
    y: Vec<u64>,
}

impl Key {
    fn read(spki: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "DSA key";
        let (parameters, key) = split_key(spki)?;
        let parameters = parameters.ok_or_else(|| Asn1Error::invalid(WHAT, "no parameters, and none inherited"))?;
        let mut fields = Cursor::sequence(parameters, "Dss-Parms")?;
        let p = Modulus::new(positive(&mut fields)?, &P_BITS)?;
        let q = Modulus::new(positive(&mut fields)?, &Q_BITS)?;
        let g = p.residue(positive(&mut fields)?);
        fields.finish()?;
        let mut key = Cursor::new(key, WHAT)?;
        let y = p.residue(positive(&mut key)?);
        key.finish()?;
        match (g, y) {
            (Some(g), Some(y)) => Ok(Key { p, q, g, y }),
            _ => Err(Asn1Error::invalid(WHAT, "a generator or public value out of range")),
        }
    }

    /// FIPS 186-4 section 4.7; `None` where the signature is not one.
    fn accepts(&self, hash: &[u8], signature: &[u8]) -> Option<bool> {
        let mut fields = Cursor::sequence(signature, "Dss-Sig-Value").ok()?;
        // residue() demands 0 < r, s < q.
        let r = self.q.residue(positive(&mut fields).ok()?)?;
        let s = self.q.residue(positive(&mut fields).ok()?)?;
        fields.finish().ok()?;
        let z = self.q.reduce(&limbs(&hash[..hash.len().min(self.q.bits / 8)]));
        // q is prime, so s^(q-2) is the inverse of s.
        let mut exponent = self.q.n.clone();
        exponent[0] -= 2;
        let w = self.q.power(&s, &exponent);
        let g_part = self.p.power(&self.g, &self.q.product(&z, &w));
        let y_part = self.p.power(&self.y, &self.q.product(&r, &w));
        Some(self.q.reduce(&self.p.product(&g_part, &y_part)) == r)
    }
}

/// Content of the next INTEGER, positive, without its leading zero.
fn positive<'a>(fields: &mut Cursor<'a>) -> Result<&'a [u8], Asn1Error> {
    match fields.expect(Tag::Integer, "an INTEGER")?.value {
        [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => Ok(rest),
        content @ [1..=0x7f, ..] => Ok(content),
        _ => Err(Asn1Error::invalid("INTEGER", "not positive or not in its shortest form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_values_out_of_range_are_refused() {
        assert!(Modulus::new(&[0xff; 20], &P_BITS).is_err());
        assert!(Modulus::new(&[0xff; 1024], &P_BITS).is_err());
        assert!(Modulus::new(&[0xfe; 20], &Q_BITS).is_err(), "even");
        let q = Modulus::new(&[0xff; 20], &Q_BITS).unwrap();
        assert!(q.residue(&[]).is_none() && q.residue(&[0]).is_none() && q.residue(&[0xff; 20]).is_none());
        assert!(q.residue(&[1; 21]).is_none() && q.residue(&[1; 400]).is_none());
    }

    /// A key and signatures of it over MESSAGE with SHA-256 and SHA-1, made by OpenSSL 3.0.19.
    const KEY: &str = "\
        308201be3082013306072a8648ce3804013082012602818100831843e54d8fe2045b9b1d710969fccbcc1cbcebcf3206\
        79cd133b9a7f9fb81c4ce9b238445818ff11623656f1ee4c3b283e0c998f48bbac55fb615f84cb5890318747e64d032e\
        3df5954e9016c0e91d1d0b3daa7632b814a49a047333fde8b2d33c3af4513a519a0678145244dfa725512a7e02664614\
        78cbc03f1b55249317021d00ba608afc4be9b5c25af9c2a0fae45ec37fa7bb599cf1cdc4d198fedb0281802f94f5dd2c\
        e39835bd5d2ef7d97ba9c4711f4ba17a828bdde113bf863a6eeba05f0e7da9cd0eb0b8ed9432a836b52371f2cd40a765\
        f72b5305b3bc71c7a302394946aaa75317c2b5780461a3782988cdb36b72a55a65deb2f1ef3c29f308f8368bc0b368d0\
        01f51a6ae1ad267bb29acd87962849624e42157aa62cb6ae2f92a603818400028180732541a5c6d0e26221c7d4c32e7f\
        c3ce82ceb552f478fe5dfd69d7dc42bec5d7fe95e75d994b18d4b8334165646ff7e8fd9e7552e56256e0b63f28ea6bcd\
        8e566c25fe37bd17750649a74da5ad71bb089951acba38d24bca15117eb4e10a0c72ff3fc9d251448a2ddbd98a50548d\
        cf25c5d872836fa671fc03d7aca7a83372e5";
    const SHA256_SIGNATURE: &str = "303c021c3c18cba04691134bdfa86b901256be0e774a04d64262e38ece817868\
        021c1e5b2a67474479aefb85d2d279dd94dc5d2dadaaea47d63b4a8e39f3";
    const SHA1_SIGNATURE: &str = "303c021c0c1d2118df3f42b5bfba735c5468e5fafb70cfe7c1eb5b18f8395809\
        021c3f98aab0c4b4dc277064b63722e77283e501ad109695081de668340c";
    const MESSAGE: &[u8] = b"an old CA signs";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|p| u8::from_str_radix(core::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    fn check(digest: DigestAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        verify(&*crate::crypto::default_provider(), digest, spki, message, signature)
    }

    #[test]
    fn signatures_of_openssl_hold_and_changed_ones_do_not() {
        use DigestAlgorithm::{Sha1, Sha256};
        let key = bytes(KEY);
        assert_eq!(check(Sha256, &key, MESSAGE, &bytes(SHA256_SIGNATURE)), Ok(()));
        assert_eq!(check(Sha1, &key, MESSAGE, &bytes(SHA1_SIGNATURE)), Ok(()));
        assert_eq!(check(Sha1, &key, MESSAGE, &bytes(SHA256_SIGNATURE)), Err(CryptoError::Mismatch));
        assert_eq!(check(Sha256, &key, b"another", &bytes(SHA256_SIGNATURE)), Err(CryptoError::Mismatch));
        let signature = bytes(SHA256_SIGNATURE);
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(check(Sha256, &key, MESSAGE, &changed).is_err(), "{at}");
        }
        // Zero is in no range.
        let zero: &[u8] = &[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00];
        assert_eq!(check(Sha256, &key, MESSAGE, zero), Err(CryptoError::Mismatch));
    }

    #[test]
    fn a_key_without_parameters_works_with_those_above_it() {
        let key = bytes(KEY);
        let (_, public) = split_key(&key).unwrap();
        let bare = sequence(&[&sequence(&[&encode_oid(ID_DSA)]), &element(0x03, &[&[0], public])]);
        let signature = bytes(SHA256_SIGNATURE);
        assert!(matches!(check(DigestAlgorithm::Sha256, &bare, MESSAGE, &signature), Err(CryptoError::BadKey(_))));
        let completed = working_key(&bare, [&bare[..], &key[..]]);
        assert_eq!(*completed, *key);
        assert_eq!(check(DigestAlgorithm::Sha256, &completed, MESSAGE, &signature), Ok(()));
        // A key of another kind in between ends the inheritance.
        assert_eq!(*working_key(&bare, [&[0x30, 0x00][..], &key[..]]), *bare);
    }
}
