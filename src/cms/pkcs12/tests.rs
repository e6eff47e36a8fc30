use super::*;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::oid;
use crate::asn1::pem;
use crate::cms::{CmsError, certificates_from_pkcs7};
use crate::crypto::keys::{key_matches_certificate, load_private_key};
use crate::crypto::{CryptoError, default_provider};
use crate::limits;

const DEVICE: &[u8] = include_bytes!("../../../tests/c/data/device.pem");
const DEVICE_KEY: &[u8] = include_bytes!("../../../tests/c/data/device.key");
const CA: &[u8] = include_bytes!("../../../tests/c/data/ca.pem");

fn open(input: &[u8], password: &str) -> Result<Pkcs12, CmsError> {
    Pkcs12::open(&*default_provider(), input, password)
}

fn wrong_secret<T: fmt::Debug>(result: Result<T, CmsError>) -> bool {
    matches!(result.unwrap_err(), CmsError::Crypto(CryptoError::WrongSecret))
}

/// A file of our own with few iterations.
fn sealed(mac: Pkcs12Mac, password: &str) -> Vec<u8> {
    let provider = default_provider();
    let key = load_private_key(&*provider, DEVICE_KEY, None).unwrap().to_pkcs8().unwrap();
    let (device, ca) = (Certificate::many_from_bytes(DEVICE).unwrap(), Certificate::many_from_bytes(CA).unwrap());
    let new = NewPkcs12 {
        pkcs8: &key,
        certificate: &device[0],
        chain: &ca,
        name: "Gerät 7",
        mac,
        iterations: 100,
        scrypt: None,
    };
    new.seal(&*provider, password).unwrap()
}

#[test]
fn a_chain_that_begins_with_the_certificate_itself_holds_it_once() {
    let provider = default_provider();
    let key = load_private_key(&*provider, DEVICE_KEY, None).unwrap().to_pkcs8().unwrap();
    let (device, ca) = (Certificate::many_from_bytes(DEVICE).unwrap(), Certificate::many_from_bytes(CA).unwrap());
    let whole = [&device[..1], &ca[..]].concat();
    let sealed = [&ca[..], &whole].map(|chain| {
        let (mac, iterations) = (Pkcs12Mac::Hmac, 100);
        let new = NewPkcs12 { pkcs8: &key, certificate: &device[0], chain, name: "", mac, iterations, scrypt: None };
        new.seal(&*provider, "pw").unwrap()
    });
    // Reading leaves doubles out: that none was written is seen by the length.
    assert_eq!(sealed[0].len(), sealed[1].len());
    assert_eq!(open(&sealed[1], "pw").unwrap().certificates, whole);
}

#[test]
fn a_file_is_known_in_base64_in_armour_and_cut_short() {
    let file = sealed(Pkcs12Mac::Hmac, "pw");
    let armoured = pem::encode("PKCS12", &file).to_string();
    let bare: String = armoured.lines().filter(|line| !line.starts_with('-')).collect();
    for whole in [&file[..], armoured.as_bytes(), bare.as_bytes(), format!("mail\n{armoured}").as_bytes()] {
        assert!(is_pkcs12(whole));
        assert_eq!(open(whole, "pw").unwrap().keys.len(), 1);
    }
    let cut = &file[..file.len() - 10];
    assert!(is_pkcs12(cut));
    assert!(matches!(open(cut, "pw").unwrap_err(), CmsError::Malformed(_)));
    // Certificates beside it are what the file is read for.
    assert!(!is_pkcs12(&[armoured.as_bytes(), DEVICE].concat()));
}

#[test]
fn what_is_sealed_by_scrypt_is_read_again_with_the_password_and_no_other() {
    let provider = default_provider();
    let key = load_private_key(&*provider, DEVICE_KEY, None).unwrap().to_pkcs8().unwrap();
    let device = Certificate::many_from_bytes(DEVICE).unwrap();
    let mac = Pkcs12Mac::Hmac;
    let new =
        NewPkcs12 { pkcs8: &key, certificate: &device[0], chain: &[], name: "", mac, iterations: 100, scrypt: None };
    let sealed = |scrypt| NewPkcs12 { scrypt, ..new }.seal(&*provider, "pw");
    let by_scrypt = sealed(Some(1024)).unwrap();
    let named = crate::crypto::algorithm::encode_oid(crate::asn1::oid::SCRYPT);
    let count = |file: &[u8]| file.windows(named.len()).filter(|bytes| *bytes == named).count();
    assert_eq!((count(&by_scrypt), count(&sealed(None).unwrap())), (2, 0), "key and certificates");
    assert_eq!(open(&by_scrypt, "pw").unwrap().keys[0].pkcs8[..], key[..]);
    assert!(wrong_secret(open(&by_scrypt, "Pw")));
    for cost in [0, 1, 1000, 1 << 20] {
        sealed(Some(cost)).unwrap_err();
    }
}

#[test]
fn what_is_written_is_read_again_with_the_password_and_no_other() {
    for mac in [Pkcs12Mac::Hmac, Pkcs12Mac::Pbmac1] {
        let file = sealed(mac, "Schlüssel \u{1F511}");
        assert!(is_pkcs12(&file) && !is_pkcs12(DEVICE) && !is_pkcs12(b""));
        let found = open(&file, "Schlüssel \u{1F511}").unwrap();
        assert_eq!((found.keys.len(), found.certificates.len(), found.is_outdated), (1, 2, false));
        assert_eq!(found.keys[0].friendly_name.as_deref(), Some("Gerät 7"));
        let key = default_provider().import_pkcs8(&found.keys[0].pkcs8).unwrap();
        assert!(key_matches_certificate(&*key, &found.certificates[0]));
        for wrong in ["", "schlüssel \u{1F511}", "Schlüssel"] {
            assert!(wrong_secret(open(&file, wrong)), "{wrong}");
        }
    }
}

/// The key that a certificate is for is the one that was meant.
#[test]
fn a_key_that_is_not_for_us_does_not_spoil_the_right_one() {
    let provider = default_provider();
    let mut found = open(&sealed(Pkcs12Mac::Hmac, "pw"), "pw").unwrap();
    let dsa = crate::asn1::pkcs8::encode_private_key_info(oid::Oid::new_unwrap("1.2.840.10040.4.1"), &[], &[2, 1, 1]);
    found.keys.insert(0, Pkcs12Key { pkcs8: dsa, friendly_name: None });
    assert_eq!(found.identity(&*provider).unwrap().unwrap().certificate, found.certificates[0]);
    // Alone it is named.
    found.keys.truncate(1);
    assert!(found.identity(&*provider).unwrap_err().to_string().contains("1.2.840.10040.4.1"));
}

#[test]
fn an_empty_password_and_a_count_of_zero_are_refused_on_writing() {
    let provider = default_provider();
    let key = load_private_key(&*provider, DEVICE_KEY, None).unwrap().to_pkcs8().unwrap();
    let device = Certificate::many_from_bytes(DEVICE).unwrap();
    let new = NewPkcs12 {
        pkcs8: &key,
        certificate: &device[0],
        chain: &[],
        name: "",
        mac: Pkcs12Mac::Hmac,
        iterations: 100,
        scrypt: None,
    };
    assert!(new.seal(&*provider, "").is_err());
    assert!(NewPkcs12 { iterations: 0, ..new }.seal(&*provider, "x").is_err());
    assert!(NewPkcs12 { iterations: u32::MAX, ..new }.seal(&*provider, "x").is_err());
    assert!(NewPkcs12 { pkcs8: b"no key", ..new }.seal(&*provider, "x").is_err());
}

/// RFC 9579 appendix A.
#[test]
fn the_vectors_of_rfc_9579_are_read_and_refused_as_it_says() {
    let good: [&[u8]; 3] = [
        include_bytes!("../../../tests/vectors/rfc9579/a1.p12"),
        include_bytes!("../../../tests/vectors/rfc9579/a2.p12"),
        include_bytes!("../../../tests/vectors/rfc9579/a3.p12"),
    ];
    for file in good {
        let found = open(file, "1234").unwrap();
        let key = default_provider().import_pkcs8(&found.keys[0].pkcs8).unwrap();
        assert!(key_matches_certificate(&*key, &found.certificates[0]));
        assert!(wrong_secret(open(file, "12345")));
    }
    // Wrong iteration count, wrong salt: the MAC fails, and the password is right all the same.
    let changed: [&[u8]; 2] = [
        include_bytes!("../../../tests/vectors/rfc9579/a4.p12"),
        include_bytes!("../../../tests/vectors/rfc9579/a5.p12"),
    ];
    for file in changed {
        assert!(matches!(open(file, "1234").unwrap_err(), CmsError::Damaged(_)));
    }
    let refused = open(include_bytes!("../../../tests/vectors/rfc9579/a6.p12"), "1234").unwrap_err();
    assert!(refused.to_string().contains("no keyLength"), "{refused}");
}

#[test]
fn a_file_that_nss_streams_in_ber_is_read() {
    let file = include_bytes!("../../../tests/vectors/nss/streamed.p12");
    assert!(is_pkcs12(file));
    let found = open(file, "correct").unwrap();
    let key = default_provider().import_pkcs8(&found.keys[0].pkcs8).unwrap();
    assert!(key_matches_certificate(&*key, &found.certificates[0]));
    assert_eq!(found.keys[0].friendly_name.as_deref(), Some("device"));
    assert!(wrong_secret(open(file, "wrong")));
}

#[test]
fn a_changed_file_is_never_taken_and_is_mostly_told_from_a_wrong_password() {
    let file = sealed(Pkcs12Mac::Hmac, "correct");
    let mut told_apart = 0;
    for place in 0..file.len() {
        let mut changed = file.clone();
        changed[place] ^= 0x04;
        match open(&changed, "correct") {
            // Not protected by the MAC: MacData's own optional parameters, nothing else.
            Ok(_) => panic!("byte {place} is changed and nobody noticed"),
            Err(CmsError::Crypto(CryptoError::WrongSecret)) => {}
            Err(_) => told_apart += 1,
        }
    }
    // Salts and counts of one part damage that part alone: the other tells that the password is right.
    assert!(told_apart * 10 > file.len() * 9, "{told_apart} of {}", file.len());
    for end in 0..file.len() {
        assert!(open(&file[..end], "correct").is_err());
    }
}

#[test]
fn a_file_cannot_order_unbounded_work() {
    let count = |iterations: u32| crate::asn1::der::encode(&iterations);
    let salt = element(0x04, &[&[7; 8]]);
    let object = |found: oid::Oid| element(0x06, &[found.as_bytes()]);
    let file = |mac: Vec<u8>, iterations: u32| {
        let data = sequence(&[&object(oid::CMS_DATA), &element(0xa0, &[&element(0x04, &[&sequence(&[])])])]);
        let info = sequence(&[&mac, &element(0x04, &[&[0; 32]])]);
        sequence(&[&[2, 1, 3], &data, &sequence(&[&info, &salt, &count(iterations)])])
    };
    let hmac = sequence(&[&object(oid::SHA256), &[5, 0]]);
    let limit = |result: Result<Pkcs12, CmsError>| crate::Error::from(result.unwrap_err()).code() == crate::Code::Limit;
    assert!(limit(open(&file(hmac.clone(), 0x7fff_ffff), "x")));
    assert!(open(&file(hmac, 0), "x").is_err());
    let prf = sequence(&[&object(oid::HMAC_WITH_SHA256), &[5, 0]]);
    let derivation = sequence(&[&object(oid::PBKDF2), &sequence(&[&salt, &count(0x7fff_ffff), &[2, 1, 32], &prf])]);
    let pbmac1 = sequence(&[&object(oid::PBMAC1), &sequence(&[&derivation, &prf])]);
    assert!(limit(open(&file(pbmac1, 1), "x")));
    assert!(limit(open(&vec![0x30; limits::MAX_PKCS12_BYTES + 1], "x")));
}

#[test]
fn a_file_without_a_mac_is_refused() {
    let file = sealed(Pkcs12Mac::Hmac, "correct");
    let mut fields = Cursor::sequence(&file, "test").unwrap();
    let (version, safe) = (fields.any("version").unwrap().bytes, fields.any("authSafe").unwrap().bytes);
    let without = sequence(&[version, safe]);
    assert!(open(&without, "correct").unwrap_err().to_string().contains("without a MAC"));
    assert!(certificates_from_pkcs7(&file).is_err(), "it is no PKCS#7");
}
