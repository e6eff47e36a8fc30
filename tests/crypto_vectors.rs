//! Project Wycheproof's vectors, with their known attacks and edge cases, against every provider that is compiled in.

use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::pkcs8::encode_private_key_info;
use devid::crypto::{
    CipherAlgorithm, CryptoError, DigestAlgorithm, KeyKind, Provider, PublicKey, RsaEncryption, SignatureAlgorithm,
};
use wycheproof::{EllipticCurve, HashFunction, TestResult};

fn providers() -> Vec<Box<dyn Provider>> {
    vec![
        #[cfg(feature = "crypto-awslc")]
        Box::new(devid::crypto::awslc::AwsLc),
        #[cfg(feature = "crypto-rust")]
        Box::new(devid::crypto::rust::RustCrypto),
    ]
}

/// Every how many vectors of the larger curves a provider sees: RustCrypto's generic arithmetic takes milliseconds per
/// operation where tests are built without optimization.
fn step(provider: &dyn Provider, kind: KeyKind) -> usize {
    if provider.name() == "rustcrypto" && kind != KeyKind::P256 { 5 } else { 1 }
}

/// Compares verdicts and counts them, so that a set that ran empty is seen.
#[derive(Default)]
struct Score {
    accepted: usize,
    refused: usize,
    unsupported: usize,
}

impl Score {
    fn count<T, E: std::fmt::Debug>(&mut self, expected: TestResult, outcome: &Result<T, E>, place: &str) {
        match (expected, outcome) {
            (TestResult::Valid, Err(error)) => panic!("{place}: valid, but refused: {error:?}"),
            (TestResult::Invalid, Ok(_)) => panic!("{place}: invalid, but accepted"),
            (_, Ok(_)) => self.accepted += 1,
            (_, Err(_)) => self.refused += 1,
        }
    }

    fn count_signature(&mut self, expected: TestResult, outcome: Result<(), CryptoError>, place: &str) {
        match outcome {
            Err(CryptoError::Unsupported(_)) => self.unsupported += 1,
            outcome => self.count(expected, &outcome, place),
        }
    }

    fn at_least(&self, accepted: usize, refused: usize) {
        assert!(self.accepted >= accepted, "only {} accepted", self.accepted);
        assert!(self.refused >= refused, "only {} refused", self.refused);
    }
}

fn digest_of(hash: HashFunction) -> Option<DigestAlgorithm> {
    match hash {
        HashFunction::Sha1 => Some(DigestAlgorithm::Sha1),
        HashFunction::Sha2_224 => Some(DigestAlgorithm::Sha224),
        HashFunction::Sha2_256 => Some(DigestAlgorithm::Sha256),
        HashFunction::Sha2_384 => Some(DigestAlgorithm::Sha384),
        HashFunction::Sha2_512 => Some(DigestAlgorithm::Sha512),
        _ => None,
    }
}

#[test]
fn ecdsa_signatures() {
    use wycheproof::ecdsa::TestName::*;
    for provider in providers() {
        let mut score = Score::default();
        for name in [
            EcdsaSecp256r1Sha256,
            EcdsaSecp256r1Sha512,
            EcdsaSecp384r1Sha256,
            EcdsaSecp384r1Sha384,
            EcdsaSecp384r1Sha512,
            EcdsaSecp521r1Sha512,
        ] {
            for group in wycheproof::ecdsa::TestSet::load(name).unwrap().test_groups {
                let digest = digest_of(group.hash).unwrap();
                let algorithm = SignatureAlgorithm::Ecdsa(digest);
                let kind = KeyKind::of_spki(&group.der).unwrap();
                for test in group.tests.into_iter().filter(|test| test.tc_id % step(&*provider, kind) == 0) {
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let outcome = provider.verify(&algorithm, &group.der, &test.msg, &test.sig, false);
                    score.count_signature(test.result, outcome, &place);
                    let value = provider.digest(digest, &[&test.msg]).unwrap();
                    let outcome = provider.verify_digest(&algorithm, &group.der, &value, &test.sig, false);
                    score.count_signature(test.result, outcome, &place);
                }
            }
        }
        assert_eq!(score.unsupported, 0);
        score.at_least(900, 900);
    }
}

#[test]
fn rsa_pkcs1_signatures() {
    use wycheproof::rsa_pkcs1_verify::TestName::*;
    for provider in providers() {
        let mut score = Score::default();
        for name in [
            Rsa2048Sha224,
            Rsa2048Sha256,
            Rsa2048Sha384,
            Rsa2048Sha512,
            Rsa3072Sha256,
            Rsa3072Sha384,
            Rsa3072Sha512,
            Rsa4096Sha256,
            Rsa4096Sha512,
            Rsa8192Sha256,
        ] {
            for group in wycheproof::rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                let digest = digest_of(group.hash).unwrap();
                for test in group.tests {
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let algorithm = SignatureAlgorithm::RsaPkcs1(digest);
                    let outcome = provider.verify(&algorithm, &group.der, &test.msg, &test.sig, false);
                    if matches!(outcome, Err(CryptoError::Unsupported(_))) {
                        assert_eq!((digest, provider.name()), (DigestAlgorithm::Sha224, "aws-lc"));
                    }
                    score.count_signature(test.result, outcome, &place);
                }
            }
        }
        score.at_least(50, 1500);
    }
}

#[test]
fn rsa_pss_signatures() {
    for provider in providers() {
        let mut score = Score::default();
        for name in wycheproof::rsa_pss_verify::TestName::all() {
            for group in wycheproof::rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
                let Some(digest) = digest_of(group.hash) else { continue };
                if group.mgf_hash != Some(group.hash) {
                    continue;
                }
                let algorithm = SignatureAlgorithm::RsaPss { digest, salt_len: group.salt_size as u32 };
                for test in group.tests {
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let outcome = provider.verify(&algorithm, &group.der, &test.msg, &test.sig, true);
                    if matches!(outcome, Err(CryptoError::Unsupported(_))) {
                        assert!(matches!(digest, DigestAlgorithm::Sha1 | DigestAlgorithm::Sha224), "{place}");
                        assert_eq!(provider.name(), "aws-lc", "{place}");
                    }
                    score.count_signature(test.result, outcome, &place);
                }
            }
        }
        score.at_least(300, 300);
    }
}

#[test]
fn ed25519_signatures() {
    for provider in providers() {
        let mut score = Score::default();
        let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
        for group in set.test_groups {
            for test in group.tests {
                let place = format!("{} {} {}", provider.name(), test.tc_id, test.comment);
                let algorithm = SignatureAlgorithm::Ed25519;
                let outcome = provider.verify(&algorithm, &group.der, &test.msg, &test.sig, false);
                score.count_signature(test.result, outcome, &place);
            }
        }
        assert_eq!(score.unsupported, 0);
        score.at_least(80, 60);
    }
}

#[test]
fn ml_dsa_signatures() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    for provider in providers() {
        let mut score = Score::default();
        for (name, algorithm, identifier) in [
            (TestName::MlDsa44Verify, SignatureAlgorithm::MlDsa44, oid::ML_DSA_44),
            (TestName::MlDsa65Verify, SignatureAlgorithm::MlDsa65, oid::ML_DSA_65),
            (TestName::MlDsa87Verify, SignatureAlgorithm::MlDsa87, oid::ML_DSA_87),
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                // Keys of wrong lengths come without a SubjectPublicKeyInfo that could hold them.
                let identifier = sequence(&[&element(0x06, &[identifier.as_bytes()])]);
                let spki = sequence(&[&identifier, &element(0x03, &[&[0], &group.pubkey])]);
                for test in group.tests {
                    // X.509 and CMP sign with the empty context only (RFC 9881 section 3).
                    if test.ctx.is_some_and(|context| !context.is_empty()) {
                        continue;
                    }
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let outcome = provider.verify(&algorithm, &spki, &test.msg, &test.sig, false);
                    score.count_signature(test.result, outcome, &place);
                }
            }
        }
        assert_eq!(score.unsupported, 0);
        score.at_least(100, 60);
    }
}

#[test]
fn hmac_values() {
    use wycheproof::mac::{TestName, TestSet};
    for provider in providers() {
        let mut score = Score::default();
        for (name, digest) in [
            (TestName::HmacSha1, DigestAlgorithm::Sha1),
            (TestName::HmacSha224, DigestAlgorithm::Sha224),
            (TestName::HmacSha256, DigestAlgorithm::Sha256),
            (TestName::HmacSha384, DigestAlgorithm::Sha384),
            (TestName::HmacSha512, DigestAlgorithm::Sha512),
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                for test in group.tests {
                    let value = provider.hmac(digest, &test.key, &[&test.msg]).unwrap();
                    let same = value[..group.tag_size / 8] == test.tag[..];
                    let outcome = if same { Ok(()) } else { Err("another value") };
                    score.count(test.result, &outcome, &format!("{} {name:?} {}", provider.name(), test.tc_id));
                }
            }
        }
        score.at_least(300, 300);
    }
}

#[test]
fn aes_gcm_and_aes_cbc_content() {
    for provider in providers() {
        let mut score = Score::default();
        let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
        for group in set.test_groups {
            for test in group.tests {
                let place = format!("{} GCM {} {}", provider.name(), test.tc_id, test.comment);
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let opened = provider.decrypt(CipherAlgorithm::AesGcm, &test.key, &test.nonce, &test.aad, &sealed);
                // Other nonces than 96 bits are outside RFC 5084's advice and outside ours.
                if group.nonce_size != 96 {
                    assert_eq!(opened.unwrap_err(), CryptoError::Decrypt, "{place}");
                    continue;
                }
                if let Ok(opened) = &opened {
                    assert_eq!(opened[..], test.pt[..], "{place}");
                    let made = provider.encrypt(CipherAlgorithm::AesGcm, &test.key, &test.nonce, &test.aad, &test.pt);
                    assert_eq!(made.unwrap(), sealed, "{place}");
                }
                score.count(test.result, &opened, &place);
            }
        }
        score.at_least(100, 50);

        let mut score = Score::default();
        let set = wycheproof::cipher::TestSet::load(wycheproof::cipher::TestName::AesCbcPkcs5).unwrap();
        for group in set.test_groups {
            for test in group.tests {
                let place = format!("{} CBC {} {}", provider.name(), test.tc_id, test.comment);
                let opened = provider.decrypt(CipherAlgorithm::AesCbc, &test.key, &test.nonce, &[], &test.ct);
                if let Ok(opened) = &opened {
                    assert_eq!(opened[..], test.pt[..], "{place}");
                    let made = provider.encrypt(CipherAlgorithm::AesCbc, &test.key, &test.nonce, &[], &test.pt);
                    assert_eq!(made.unwrap()[..], test.ct[..], "{place}");
                }
                score.count(test.result, &opened, &place);
            }
        }
        score.at_least(70, 50);
    }
}

#[test]
fn aes_wrapped_keys() {
    for provider in providers() {
        let mut score = Score::default();
        let set = wycheproof::keywrap::TestSet::load(wycheproof::keywrap::TestName::AesKeyWrap).unwrap();
        for group in set.test_groups {
            for test in group.tests {
                let place = format!("{} {} {}", provider.name(), test.tc_id, test.comment);
                let opened = provider.unwrap_key(&test.key, &test.ct);
                if let Ok(opened) = &opened {
                    assert_eq!(opened[..], test.pt[..], "{place}");
                    assert_eq!(provider.wrap_key(&test.key, &test.pt).unwrap()[..], test.ct[..], "{place}");
                }
                score.count(test.result, &opened, &place);
            }
        }
        score.at_least(36, 50);
    }
}

#[test]
fn ecdh_secrets() {
    use wycheproof::ecdh::{EcdhEncoding, TestName, TestSet};
    for provider in providers() {
        let mut score = Score::default();
        for name in [
            TestName::EcdhSecp256r1,
            TestName::EcdhSecp384r1,
            TestName::EcdhSecp521r1,
            TestName::EcdhSecp256r1Ecpoint,
            TestName::EcdhSecp384r1Ecpoint,
            TestName::EcdhSecp521r1Ecpoint,
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                let (kind, curve) = match group.curve {
                    EllipticCurve::Secp256r1 => (KeyKind::P256, oid::CURVE_P256),
                    EllipticCurve::Secp384r1 => (KeyKind::P384, oid::CURVE_P384),
                    _ => (KeyKind::P521, oid::CURVE_P521),
                };
                for test in group.tests.into_iter().filter(|test| test.tc_id % step(&*provider, kind) == 0) {
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let inner = sequence(&[&[0x02, 0x01, 0x01], &element(0x04, &[&test.private_key])]);
                    let curve = element(0x06, &[curve.as_bytes()]);
                    let pkcs8 = encode_private_key_info(oid::EC_PUBLIC_KEY, &curve, &inner);
                    let key = provider.import_pkcs8(&pkcs8).unwrap_or_else(|error| panic!("{place}: {error}"));
                    let secret = match group.encoding {
                        EcdhEncoding::EcPoint => key.agree(&test.public_key),
                        EcdhEncoding::Asn1 => match PublicKey::from_spki(&test.public_key) {
                            Ok(PublicKey::Ec { kind: found, point }) if found == kind => key.agree(point),
                            Ok(_) => Err(CryptoError::BadKey("another curve".to_owned())),
                            Err(error) => Err(error),
                        },
                    };
                    if let Ok(secret) = &secret {
                        assert_eq!(secret[..], test.shared_secret[..], "{place}");
                    }
                    score.count(test.result, &secret, &place);
                }
            }
        }
        score.at_least(700, 70);
    }
}

#[test]
fn derived_keys() {
    for provider in providers() {
        let mut score = Score::default();
        {
            use wycheproof::pbkdf2::{TestName, TestSet};
            for (name, digest) in [
                (TestName::Pbkdf2HmacSha1, DigestAlgorithm::Sha1),
                (TestName::Pbkdf2HmacSha224, DigestAlgorithm::Sha224),
                (TestName::Pbkdf2HmacSha256, DigestAlgorithm::Sha256),
                (TestName::Pbkdf2HmacSha384, DigestAlgorithm::Sha384),
                (TestName::Pbkdf2HmacSha512, DigestAlgorithm::Sha512),
            ] {
                for test in TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
                    // Long derivations say nothing new and cost seconds.
                    if test.iteration_count > 5000 {
                        continue;
                    }
                    let mut out = vec![0; test.dk_len];
                    let count = test.iteration_count as u32;
                    let made = provider.pbkdf2(digest, &test.password, &test.salt, count, &mut out);
                    assert_eq!(out[..], test.dk[..], "{} {name:?} {}", provider.name(), test.tc_id);
                    score.count(test.result, &made, "PBKDF2");
                }
            }
        }
        {
            use wycheproof::hkdf::{TestName, TestSet};
            for (name, digest) in [
                (TestName::HkdfSha1, DigestAlgorithm::Sha1),
                (TestName::HkdfSha256, DigestAlgorithm::Sha256),
                (TestName::HkdfSha384, DigestAlgorithm::Sha384),
                (TestName::HkdfSha512, DigestAlgorithm::Sha512),
            ] {
                for test in TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
                    let mut out = vec![0; test.size];
                    let made = provider.hkdf(digest, &test.ikm, &test.salt, &test.info, &mut out);
                    if made.is_ok() {
                        assert_eq!(out[..], test.okm[..], "{} {name:?} {}", provider.name(), test.tc_id);
                    }
                    score.count(test.result, &made, "HKDF");
                }
            }
        }
        score.at_least(400, 4);
    }
}

#[test]
fn rsa_oaep_ciphertexts() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    for provider in providers() {
        let mut score = Score::default();
        for name in [
            TestName::Rsa2048Sha1Mgf1Sha1,
            TestName::Rsa2048Sha256Mgf1Sha256,
            TestName::Rsa2048Sha384Mgf1Sha384,
            TestName::Rsa3072Sha512Mgf1Sha512,
            TestName::Rsa2048Sha256Mgf1Sha1,
            TestName::Rsa2048Sha384Mgf1Sha1,
            TestName::Rsa2048Sha512Mgf1Sha1,
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                let (digest, mask) = (digest_of(group.hash).unwrap(), digest_of(group.mgf_hash).unwrap());
                let scheme = if digest == mask {
                    RsaEncryption::Oaep(digest)
                } else {
                    RsaEncryption::OaepMasked { digest, mask }
                };
                let key = provider.import_pkcs8(&group.pkcs8).unwrap();
                // Labels are not offered: CMS forbids none, but nobody uses them.
                for test in group.tests.into_iter().filter(|test| test.label.is_empty()) {
                    let place = format!("{} {name:?} {} {}", provider.name(), test.tc_id, test.comment);
                    let opened = key.decrypt(scheme, &test.ct);
                    match &opened {
                        Ok(opened) => assert_eq!(opened[..], test.pt[..], "{place}"),
                        Err(error) => assert_eq!(*error, CryptoError::Decrypt, "{place}"),
                    }
                    score.count(test.result, &opened, &place);
                }
            }
        }
        score.at_least(60, 60);
    }
}
