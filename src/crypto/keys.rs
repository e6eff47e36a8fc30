//! Private keys from files: every usual form in, encrypted PKCS#8 out; which key belongs to which certificate.

use alloc::sync::Arc;

use ::der::Tag;
use zeroize::Zeroizing;

#[cfg(feature = "legacy-ciphers")]
use super::pbe;
use super::pbes2::{Stretching, outdated, pbes2_decrypt, pbes2_encrypt};
use super::{CryptoError, KeyIdentity, PrivateKey, Provider};
use crate::asn1::der::{self, Cursor, element, sequence};
use crate::asn1::kind::{self, Kind};
use crate::asn1::not_der;
use crate::asn1::oid;
use crate::asn1::pem;
use crate::asn1::pkcs8::{EcPrivateKey, EncryptedPrivateKeyInfo, PrivateKeyInfo, encode_private_key_info};
use crate::asn1::x509::Certificate;
use crate::limits;
use crate::prelude::*;

/// Reads a private key: PEM or DER; PKCS#8 version 1 and 2, encrypted PKCS#8 (PBES2 with PBKDF2 or scrypt and AES-CBC),
/// PKCS#1 RSAPrivateKey, SEC 1 ECPrivateKey.
///
/// In PEM, other blocks (certificates, EC PARAMETERS) are skipped; exactly one private key must be there. The password
/// is used only for encrypted keys; an encrypted key with a wrong one is [`CryptoError::WrongSecret`], without one
/// [`CryptoError::NoSecret`]. No error holds anything of the input: it may be a key all the same.
pub fn load_private_key(
    provider: &dyn Provider,
    input: &[u8],
    password: Option<&[u8]>,
) -> Result<Arc<dyn PrivateKey>, CryptoError> {
    let pkcs8 = to_pkcs8(provider, input, password)?;
    provider.import_pkcs8(&pkcs8).map_err(|error| match has_more_primes(&pkcs8) {
        true => CryptoError::Unsupported("RSA keys of more than two primes (RFC 8017 section 3.2)".to_owned()),
        false => error,
    })
}

/// RSAPrivateKey version 1 (RFC 8017 appendix A.1.2).
fn has_more_primes(pkcs8: &[u8]) -> bool {
    let is_multi = |key: &[u8]| -> Result<bool, der::Asn1Error> {
        Ok(Cursor::sequence(key, "RSAPrivateKey")?.expect(Tag::Integer, "version")?.value == [1])
    };
    PrivateKeyInfo::from_der(pkcs8).is_ok_and(|info| {
        [oid::RSA_ENCRYPTION, oid::RSASSA_PSS].contains(&info.algorithm) && is_multi(info.key).unwrap_or(false)
    })
}

/// The same, brought to unencrypted PKCS#8 instead of being imported.
pub fn to_pkcs8(
    provider: &dyn Provider,
    input: &[u8],
    password: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if !pem::is_pem(input) {
        let der = pem::without_padding(input);
        return match kind::other_than(Kind::PrivateKey, der) {
            Some(words) => Err(CryptoError::BadKey(words)),
            // Text may begin as DER does: "0x30".
            None => der_to_pkcs8(provider, der, password)
                .map_err(|error| not_der::as_text(der, "a private key").map_or(error, CryptoError::from)),
        };
    }
    let all = pem::parse(input)?;
    let blocks: Vec<_> = all.iter().filter(|block| block.label.ends_with("PRIVATE KEY")).collect();
    // A key in a form that is not read here does not spoil the one beside it that is.
    let read = |block: &&&pem::Block<'_>| {
        matches!(block.label, "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY")
            && !block.is_encrypted_traditional()
    };
    let mut ours = blocks.iter().filter(read);
    match (ours.next(), ours.next(), blocks.first()) {
        // No form of it is read: told before how it is encrypted.
        (None, _, Some(block)) if Kind::unused_key(block.label).is_some() => {
            Err(CryptoError::Unsupported(Kind::unused_key(block.label).unwrap_or_default().to_owned()))
        }
        (Some(block), None, _) => der_to_pkcs8(provider, &block.decode()?, password),
        (Some(_), Some(_), _) => Err(CryptoError::BadKey("more than one private key in the PEM input".to_owned())),
        (None, _, Some(block)) if block.is_encrypted_traditional() => Err(CryptoError::Unsupported(format!(
            "a traditional {} under a password (RFC 1421); make it PKCS#8: openssl pkcs8 -topk8",
            block.label
        ))),
        (None, _, Some(block)) => Err(CryptoError::Unsupported(
            kind::other_label(block.label).unwrap_or_else(|| format!("PEM blocks labelled {}; PKCS#8 is", block.label)),
        )),
        (None, _, None) => Err(CryptoError::BadKey(kind::no_block(Kind::PrivateKey, "PRIVATE KEY", &all).to_string())),
    }
}

/// Encrypts PKCS#8 with a password: PBES2 (RFC 8018 section 6.2), PBKDF2-HMAC-SHA256, AES-256-CBC. The result is an
/// EncryptedPrivateKeyInfo, DER; its PEM label is `ENCRYPTED PRIVATE KEY`.
pub fn encrypt_pkcs8(
    provider: &dyn Provider,
    pkcs8: &[u8],
    password: &[u8],
    iterations: u32,
) -> Result<Vec<u8>, CryptoError> {
    PrivateKeyInfo::from_der(pkcs8)?;
    if iterations == 0 || iterations > limits::MAX_KEY_FILE_ITERATIONS {
        return Err(CryptoError::Unsupported(format!("PBKDF2 with {iterations} iterations")));
    }
    let (algorithm, ciphertext) = pbes2_encrypt(provider, pkcs8, password, Stretching::Pbkdf2(iterations))?;
    Ok(sequence(&[&algorithm, &element(0x04, &[&ciphertext])]))
}

/// scrypt's N where nobody chose: 16 MiB of memory.
pub const SCRYPT_COST: u32 = 16_384;

/// The same with scrypt in the place of PBKDF2 (RFC 7914 section 7.1), r = 8 and p = 1: who guesses passwords needs memory too,
/// 1 KiB for each of the `n`, a power of two. 16384 is what OpenSSL writes with `-scrypt`, and the most that it reads unless told otherwise.
pub fn encrypt_pkcs8_scrypt(
    provider: &dyn Provider,
    pkcs8: &[u8],
    password: &[u8],
    n: u32,
) -> Result<Vec<u8>, CryptoError> {
    PrivateKeyInfo::from_der(pkcs8)?;
    let (algorithm, ciphertext) = pbes2_encrypt(provider, pkcs8, password, Stretching::Scrypt(n))?;
    Ok(sequence(&[&algorithm, &element(0x04, &[&ciphertext])]))
}

/// Whether the certificate certifies this key.
pub fn key_matches_certificate(key: &dyn PrivateKey, certificate: &Certificate) -> bool {
    same_public_key(key.spki(), certificate.spki())
}

/// Whether two SubjectPublicKeyInfo hold the same key, however it is written: an RSA key may be labelled rsaEncryption
/// or RSASSA-PSS, a point may be compressed.
pub fn same_public_key(a: &[u8], b: &[u8]) -> bool {
    a == b || KeyIdentity::of_spki(a) == KeyIdentity::of_spki(b)
}

/// Tells the forms apart by their first elements.
fn der_to_pkcs8(
    provider: &dyn Provider,
    input: &[u8],
    password: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut fields = Cursor::sequence(input, "a private key")?;
    let first = fields.any("version or algorithm")?;
    match (first.tag, fields.peek()) {
        (Tag::Integer, Some(Tag::Sequence)) => Ok(Zeroizing::new(input.to_vec())),
        (Tag::Integer, Some(Tag::Integer)) if is_dsa(&fields) => {
            Err(CryptoError::Unsupported(kind::DSA_KEY.to_owned()))
        }
        (Tag::Integer, Some(Tag::Integer)) => Ok(encode_private_key_info(oid::RSA_ENCRYPTION, &[0x05, 0x00], input)),
        (Tag::Integer, Some(Tag::OctetString)) => {
            let curve = EcPrivateKey::from_der(input)?.curve;
            let curve = curve.ok_or_else(|| CryptoError::BadKey("an ECPrivateKey that names no curve".to_owned()))?;
            Ok(encode_private_key_info(oid::EC_PUBLIC_KEY, &element(0x06, &[curve.as_bytes()]), input))
        }
        (Tag::Sequence, Some(Tag::OctetString)) => decrypt_pkcs8(provider, input, password),
        _ => Err(CryptoError::BadKey("neither PKCS#8 nor PKCS#1 nor SEC 1".to_owned())),
    }
}

/// As OpenSSL writes keys of DSA without PKCS#8: version, p, q, g, y, x. An RSAPrivateKey has nine numbers.
fn is_dsa(behind_version: &Cursor<'_>) -> bool {
    let mut fields = behind_version.clone();
    let numbers = core::iter::from_fn(|| fields.expect(Tag::Integer, "a number").ok()).count();
    numbers == 5 && fields.is_empty()
}

fn decrypt_pkcs8(
    provider: &dyn Provider,
    input: &[u8],
    password: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let info = EncryptedPrivateKeyInfo::from_der(input)?;
    if info.algorithm != oid::PBES2 {
        return decrypt_outdated(provider, &info, password);
    }
    let parameters = info.parameters.ok_or_else(|| CryptoError::BadKey("PBES2 without parameters".to_owned()))?;
    let opened = pbes2_decrypt(provider, parameters, password, info.ciphertext, limits::MAX_KEY_FILE_ITERATIONS)?;
    // One wrong password in 256 leaves padding that looks right; what it opens is no key.
    PrivateKeyInfo::from_der(&opened).map_err(|_| CryptoError::WrongSecret)?;
    Ok(opened)
}

/// PKCS#12's way of old, as in PKCS#12 files. Single DES, RC4 and MD5 (PBES1) are not read.
#[cfg(feature = "legacy-ciphers")]
fn decrypt_outdated(
    provider: &dyn Provider,
    info: &EncryptedPrivateKeyInfo<'_>,
    password: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (Some(parameters), true) = (info.parameters, oid::PBE_SHA1_OUTDATED.contains(&info.algorithm)) else {
        return Err(outdated(info.algorithm));
    };
    let password =
        core::str::from_utf8(password.ok_or(CryptoError::NoSecret)?).map_err(|_| CryptoError::WrongSecret)?;
    let spend = |iterations: u32| match iterations > limits::MAX_KEY_FILE_ITERATIONS {
        true => Err(CryptoError::Unsupported(format!("a key file of {iterations} iterations"))),
        false => Ok(()),
    };
    let how = (info.algorithm, parameters);
    let opened =
        pbe::decrypt(provider, how, &pbe::bmp(password), info.ciphertext, spend).map_err(|error| match error {
            CryptoError::Decrypt => CryptoError::WrongSecret,
            other => other,
        })?;
    PrivateKeyInfo::from_der(&opened).map_err(|_| CryptoError::WrongSecret)?;
    Ok(opened)
}

#[cfg(not(feature = "legacy-ciphers"))]
fn decrypt_outdated(
    _provider: &dyn Provider,
    info: &EncryptedPrivateKeyInfo<'_>,
    _password: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    Err(outdated(info.algorithm))
}

#[cfg(test)]
mod tests {
    use super::super::{KeyKind, PublicKey, default_provider};
    use super::*;
    use crate::asn1::pkcs8::encode_ec_private_key;

    /// However a key is written that is not read here: what is said of it holds no part of it.
    #[test]
    fn no_error_quotes_a_key() {
        use base64ct::{Base64, Encoding};
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::P256).unwrap();
        let pkcs8 = key.to_pkcs8().unwrap();
        let base64 = Base64::encode_string(&pkcs8);
        let block = pem::encode("PRIVATE KEY", &pkcs8);
        let hex: String = pkcs8.iter().map(|byte| format!("{byte:02x}")).collect();
        let wide = |first: [u8; 2], text: &str| {
            [&first[..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat()
        };
        let forms = [
            base64.clone().into_bytes(),
            hex.clone().into_bytes(),
            block.replace('\n', "\\n").into_bytes(),
            block.replace('\n', " ").into_bytes(),
            format!("key: \"{}\"", block.replace('\n', "")).into_bytes(),
            format!("{{\"key\": \"{base64}\"}}").into_bytes(),
            wide([0xff, 0xfe], &block),
            pkcs8[..pkcs8.len() - 5].to_vec(),
            [&pkcs8[..], b"behind"].concat(),
        ];
        for form in forms {
            let error = load_private_key(&*provider, &form, None).unwrap_err();
            let said = format!("{error} {error:?} {}", crate::Error::from(error.clone()).report());
            for secret in [&base64, &hex] {
                let parts: Vec<&[u8]> = secret.as_bytes().windows(6).collect();
                assert!(!said.as_bytes().windows(6).any(|shown| parts.contains(&shown)), "{said}");
            }
        }
        // A line end behind it harms nobody.
        let padded = [&pkcs8[..], b"\r\n\0"].concat();
        assert_eq!(load_private_key(&*provider, &padded, None).unwrap().spki(), key.spki());
    }

    #[test]
    fn an_encrypted_key_opens_with_its_password_and_no_other() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::P256).unwrap();
        let sealed = encrypt_pkcs8(&*provider, &key.to_pkcs8().unwrap(), b"correct", 10).unwrap();
        for input in [&sealed[..], pem::encode("ENCRYPTED PRIVATE KEY", &sealed).as_bytes()] {
            let load = |password: Option<&[u8]>| load_private_key(&*provider, input, password);
            assert_eq!(load(Some(b"correct")).unwrap().spki(), key.spki());
            assert_eq!(load(None).unwrap_err(), CryptoError::NoSecret);
            // Enough tries that some leave padding that looks right.
            for n in 0..1000u32 {
                assert_eq!(load(Some(&n.to_be_bytes())).unwrap_err(), CryptoError::WrongSecret);
            }
        }
    }

    #[test]
    fn a_key_under_scrypt_opens_with_its_password_and_no_other() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::P256).unwrap();
        let pkcs8 = key.to_pkcs8().unwrap();
        let sealed = encrypt_pkcs8_scrypt(&*provider, &pkcs8, b"correct", 1024).unwrap();
        let load = |password: Option<&[u8]>| load_private_key(&*provider, &sealed, password);
        assert_eq!(load(Some(b"correct")).unwrap().spki(), key.spki());
        assert_eq!(load(Some(b"wrong")).unwrap_err(), CryptoError::WrongSecret);
        assert_eq!(load(None).unwrap_err(), CryptoError::NoSecret);
        assert_ne!(encrypt_pkcs8_scrypt(&*provider, &pkcs8, b"correct", 1024).unwrap(), sealed, "salted");
        // What nobody could read again is not written.
        for n in [0, 1, 1000, 1 << 20] {
            assert!(matches!(encrypt_pkcs8_scrypt(&*provider, &pkcs8, b"p", n), Err(CryptoError::Unsupported(_))));
        }
    }

    #[test]
    fn a_key_in_another_form_does_not_spoil_the_one_beside_it() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::P256).unwrap();
        let good = pem::encode("PRIVATE KEY", &key.to_pkcs8().unwrap());
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nQUJD\n\
                           -----END RSA PRIVATE KEY-----\n";
        let dsa = pem::encode("DSA PRIVATE KEY", b"any");
        for other in [traditional, &dsa, "-----BEGIN X-----\nQU*D\n-----END X-----\n"] {
            for text in [format!("{other}{}", *good), format!("{}{other}", *good)] {
                assert_eq!(load_private_key(&*provider, text.as_bytes(), None).unwrap().spki(), key.spki());
            }
        }
        let words = load_private_key(&*provider, traditional.as_bytes(), None).unwrap_err().to_string();
        assert!(words.contains("openssl pkcs8 -topk8"), "{words}");
        assert!(load_private_key(&*provider, format!("{}{}", *good, *good).as_bytes(), None).is_err());
    }

    #[test]
    fn a_key_that_is_not_for_us_is_told_by_its_name_with_what_helps() {
        let provider = default_provider();
        let number = |bytes: &[u8]| element(0x02, &[&[0x00], bytes]);
        let object = |text: &str| element(0x06, &[oid::Oid::new_unwrap(text).as_bytes()]);
        let (p, q) = (number(&[0xc1; 128]), number(&[0xc1; 20]));
        let dsa = sequence(&[&[2, 1, 0], &p, &q, &p, &p, &q]);
        let dsa_pkcs8 =
            encode_private_key_info(oid::Oid::new_unwrap("1.2.840.10040.4.1"), &sequence(&[&p, &q, &p]), &q);
        let scalar = encode_ec_private_key(&[7; 32], &[4; 65]);
        let on = |curve: &[u8]| encode_private_key_info(oid::EC_PUBLIC_KEY, curve, &scalar);
        let sec1 = |curve: &[u8]| sequence(&[&[2, 1, 1], &element(4, &[&[7; 32]]), &element(0xa0, &[curve])]);
        let explicit = sequence(&[&[2, 1, 1], &sequence(&[])]);
        let encrypted = "-----BEGIN DSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nQUJD\n\
                         -----END DSA PRIVATE KEY-----\n";
        for (file, said) in [
            (&dsa[..], "a key of DSA"),
            (pem::encode("DSA PRIVATE KEY", &dsa).as_bytes(), "a key of DSA"),
            (encrypted.as_bytes(), "a key of DSA"),
            (&dsa_pkcs8, "DSA (1.2.840.10040.4.1)"),
            (&on(&object("1.3.36.3.3.2.8.1.1.7")), "brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7); P-256"),
            (&on(&object("1.3.132.0.10")), "secp256k1 (1.3.132.0.10)"),
            (&sec1(&object("1.3.132.0.33")), "P-224 (1.3.132.0.33)"),
            (&on(&explicit), "openssl ec -in FILE -param_enc named_curve"),
            (&sec1(&explicit), "openssl ec -in FILE -param_enc named_curve"),
        ] {
            let words = load_private_key(&*provider, file, None).unwrap_err().to_string();
            assert!(words.contains(said) && !words.contains("topk8"), "{said}: {words}");
        }
    }

    #[test]
    fn a_key_file_cannot_order_unbounded_work() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::Ed25519).unwrap().to_pkcs8().unwrap();
        let refused = |result: Result<(), CryptoError>| matches!(result, Err(CryptoError::Unsupported(_)));
        let above = limits::MAX_KEY_FILE_ITERATIONS + 1;
        assert!(refused(encrypt_pkcs8(&*provider, &key, b"p", above).map(drop)));
        // The count as 02 03 01 00 00, easy to find and to rewrite.
        let sealed = encrypt_pkcs8(&*provider, &key, b"p", 0x1_0000).unwrap();
        let place = sealed.windows(5).position(|w| w == [0x02, 0x03, 0x01, 0x00, 0x00]).unwrap();
        let with_count = |count: [u8; 3]| {
            let mut changed = sealed.clone();
            changed[place + 2..place + 5].copy_from_slice(&count);
            load_private_key(&*provider, &changed, Some(b"p"))
        };
        assert!(with_count([0x01, 0x00, 0x00]).is_ok());
        assert_eq!(with_count([0x01, 0x00, 0x01]).unwrap_err(), CryptoError::WrongSecret);
        assert!(matches!(with_count([0xff, 0x00, 0x00]), Err(CryptoError::BadKey(_))), "a negative count");
        assert!(encrypt_pkcs8(&*provider, b"not a key", b"p", 1).is_err());
    }

    #[test]
    fn a_key_beside_the_public_half_of_another_is_refused() {
        let provider = default_provider();
        let scalar = [7u8; 32];
        let stranger = provider.generate_key(KeyKind::P256).unwrap();
        let PublicKey::Ec { point, .. } = PublicKey::from_spki(stranger.spki()).unwrap() else { panic!("an EC key") };
        let inner = encode_ec_private_key(&scalar, point);
        let curve = element(0x06, &[oid::CURVE_P256.as_bytes()]);
        let mixed = encode_private_key_info(oid::EC_PUBLIC_KEY, &curve, &inner);
        assert!(matches!(provider.import_pkcs8(&mixed), Err(CryptoError::BadKey(_))));
        assert!(matches!(provider.import_pkcs8(&[0x30, 0x00]), Err(CryptoError::BadKey(_))));
    }

    #[test]
    fn one_point_written_in_two_ways_is_one_key() {
        let provider = default_provider();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let key = provider.generate_key(kind).unwrap();
            let PublicKey::Ec { point, .. } = PublicKey::from_spki(key.spki()).unwrap() else { panic!("an EC key") };
            let (x, y) = point[1..].split_at(point.len() / 2);
            let parity = y[y.len() - 1] & 1;
            let compressed = |sign: u8| super::super::public_key::encode_spki(kind, &[&[sign], x].concat());
            assert!(same_public_key(key.spki(), &compressed(2 + parity)));
            assert!(!same_public_key(key.spki(), &compressed(3 - parity)));
            let signature = key.sign(&kind.default_signature(), b"m").unwrap();
            let verdict = provider.verify(&kind.default_signature(), &compressed(2 + parity), b"m", &signature, false);
            assert_eq!(verdict, Ok(()), "a compressed point verifies too");
        }
    }

    #[test]
    fn pem_without_exactly_one_private_key_is_refused_in_words() {
        let provider = default_provider();
        let key = provider.generate_key(KeyKind::Ed25519).unwrap().to_pkcs8().unwrap();
        let block = pem::encode("PRIVATE KEY", &key);
        let reason = |text: &str| load_private_key(&*provider, text.as_bytes(), None).unwrap_err().to_string();
        assert!(reason(&format!("{}{}", *block, *block)).contains("more than one"));
        assert!(reason(&pem::encode("CERTIFICATE", &key)).contains("no PRIVATE KEY"));
        assert!(reason(&pem::encode("DSA PRIVATE KEY", &key)).contains("DSA"));
        let beside = format!("{}{}", *pem::encode("CERTIFICATE", b"any"), *block);
        assert!(load_private_key(&*provider, beside.as_bytes(), None).is_ok());
        for junk in [&b""[..], b"\x30", &[0x30, 0x00], &[0x30, 0x03, 0x02, 0x01, 0x00], b"hello"] {
            assert!(matches!(load_private_key(&*provider, junk, None), Err(CryptoError::BadKey(_))));
        }
    }
}
