//! What every provider must do, run over each that is compiled in, and each against the other.

use super::*;
use crate::asn1::oid;

const ALL_KINDS: [KeyKind; 8] = [
    KeyKind::Rsa(2048),
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::Ed25519,
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];

fn providers() -> Vec<Arc<dyn Provider>> {
    vec![
        #[cfg(feature = "crypto-awslc")]
        Arc::new(awslc::AwsLc),
        #[cfg(feature = "crypto-rust")]
        Arc::new(rust::RustCrypto),
    ]
}

fn algorithms(kind: KeyKind) -> Vec<SignatureAlgorithm> {
    use DigestAlgorithm::{Sha224, Sha256, Sha384, Sha512};
    match kind {
        KeyKind::Rsa(_) => [Sha256, Sha384, Sha512]
            .into_iter()
            .flat_map(|digest| {
                let salt_len = digest.output_len() as u32;
                [SignatureAlgorithm::RsaPkcs1(digest), SignatureAlgorithm::RsaPss { digest, salt_len }]
            })
            .collect(),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
            [Sha224, Sha256, Sha384, Sha512].map(SignatureAlgorithm::Ecdsa).to_vec()
        }
        other => vec![other.default_signature()],
    }
}

#[test]
fn what_one_provider_signs_every_provider_verifies() {
    for signer in providers() {
        for kind in ALL_KINDS {
            let key = signer.generate_key(kind).unwrap();
            assert_eq!((key.kind(), KeyKind::of_spki(key.spki()).unwrap()), (kind, kind));
            for algorithm in algorithms(kind) {
                let signature = key.sign(&algorithm, b"message").unwrap();
                for verifier in providers() {
                    let pair = format!("{} signs, {} verifies: {algorithm} by {kind}", signer.name(), verifier.name());
                    let verify = |message: &[u8], signature: &[u8]| {
                        verifier.verify(&algorithm, key.spki(), message, signature, false)
                    };
                    assert_eq!(verify(b"message", &signature), Ok(()), "{pair}");
                    assert_eq!(verify(b"messagE", &signature), Err(CryptoError::Mismatch), "{pair}");
                    assert_eq!(verify(b"message", &[]), Err(CryptoError::Mismatch), "{pair}");
                    let Some(digest) = algorithm.digest() else { continue };
                    let value = verifier.digest(digest, &[b"mess", b"age"]).unwrap();
                    let over = |value| verifier.verify_digest(&algorithm, key.spki(), &value, &signature, false);
                    assert_eq!(over(value), Ok(()), "{pair}, over the digest");
                    let other = verifier.digest(digest, &[b"other"]).unwrap();
                    assert_eq!(over(other), Err(CryptoError::Mismatch), "{pair}, over the digest");
                }
            }
        }
    }
}

#[test]
fn exported_keys_are_the_same_keys_in_every_provider() {
    for maker in providers() {
        for kind in ALL_KINDS {
            let key = maker.generate_key(kind).unwrap();
            let exported = key.to_pkcs8().unwrap();
            for taker in providers() {
                let again = taker.import_pkcs8(&exported).unwrap();
                assert_eq!(again.spki(), key.spki(), "{} to {}: {kind}", maker.name(), taker.name());
                let algorithm = kind.default_signature();
                let signature = again.sign(&algorithm, b"m").unwrap();
                assert_eq!(maker.verify(&algorithm, key.spki(), b"m", &signature, false), Ok(()));
                assert_eq!(*again.to_pkcs8().unwrap(), *exported, "{} to {}: {kind}", maker.name(), taker.name());
            }
        }
    }
}

#[test]
fn a_private_key_shows_its_kind_and_not_itself() {
    for provider in providers() {
        for kind in ALL_KINDS {
            let key = provider.generate_key(kind).unwrap();
            assert_eq!(format!("{key:?}"), format!("PrivateKey({kind}, in memory)"));
        }
    }
}

#[test]
fn digests_macs_and_derived_keys_match_the_published_values() {
    use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha512};
    let shown = |value: &[u8]| crate::words::hex(value);
    for p in providers() {
        // FIPS 180-4 examples.
        assert_eq!(shown(&p.digest(Sha1, &[b"a", b"bc"]).unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            shown(&p.digest(Sha224, &[b"abc"]).unwrap()),
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"
        );
        let mut stream = p.digest_start(Sha256).unwrap();
        stream.update(b"ab");
        stream.update(b"c");
        assert_eq!(shown(&stream.finish()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // RFC 4231 test case 2.
        assert_eq!(
            shown(&p.hmac(Sha256, b"Jefe", &[b"what do ya want ", b"for nothing?"]).unwrap()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            shown(&p.hmac(Sha224, b"Jefe", &[b"what do ya want for nothing?"]).unwrap()),
            "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"
        );
        // RFC 6070 test vector 4 with 4096 iterations; RFC 7914 section 11.
        let mut out = [0u8; 20];
        p.pbkdf2(Sha1, b"password", b"salt", 4096, &mut out).unwrap();
        assert_eq!(shown(&out), "4b007901b765489abead49d926f721d065a429c1");
        let mut out = [0u8; 64];
        p.pbkdf2(Sha256, b"passwd", b"salt", 1, &mut out).unwrap();
        assert!(shown(&out).starts_with("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"));
        assert!(p.pbkdf2(Sha256, b"passwd", b"salt", 0, &mut out).is_err());
        // RFC 5869 test case 1.
        let mut out = [0u8; 42];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        p.hkdf(Sha256, &[0x0b; 22], &salt, &info, &mut out).unwrap();
        assert_eq!(shown(&out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
        assert!(p.hkdf(Sha512, b"k", b"s", b"i", &mut vec![0; 255 * 64 + 1]).is_err());
    }
}

#[test]
fn every_provider_derives_and_encrypts_the_same() {
    use DigestAlgorithm::{Sha1, Sha224, Sha256, Sha384, Sha512};
    let results: Vec<_> = providers()
        .iter()
        .map(|p| {
            let mut all = Vec::new();
            for digest in [Sha1, Sha224, Sha256, Sha384, Sha512] {
                all.push(p.hmac(digest, &[7; 200], &[b"a", b"b"]).unwrap().to_vec());
                let mut out = vec![0; 150];
                p.pbkdf2(digest, b"pw", b"salty", 3, &mut out).unwrap();
                all.push(out.clone());
                p.hkdf(digest, b"ikm", b"salt", b"info", &mut out).unwrap();
                all.push(out);
            }
            for key_len in [16, 24, 32] {
                for length in [0, 1, 15, 16, 17, 100] {
                    let (key, text) = (vec![9; key_len], vec![5; length]);
                    let cbc = p.encrypt(CipherAlgorithm::AesCbc, &key, &[3; 16], &[], &text).unwrap();
                    assert_eq!(*p.decrypt(CipherAlgorithm::AesCbc, &key, &[3; 16], &[], &cbc).unwrap(), text);
                    let gcm = p.encrypt(CipherAlgorithm::AesGcm, &key, &[3; 12], b"aad", &text).unwrap();
                    assert_eq!(*p.decrypt(CipherAlgorithm::AesGcm, &key, &[3; 12], b"aad", &gcm).unwrap(), text);
                    let changed = p.decrypt(CipherAlgorithm::AesGcm, &key, &[3; 12], b"axd", &gcm);
                    assert_eq!(changed.unwrap_err(), CryptoError::Decrypt);
                    all.extend([cbc, gcm]);
                }
            }
            for kek in [&[1u8; 16][..], &[4; 24], &[2; 32]] {
                let wrapped = p.wrap_key(kek, &[8; 32]).unwrap();
                assert_eq!(*p.unwrap_key(kek, &wrapped).unwrap(), [8; 32]);
                assert_eq!(p.unwrap_key(kek, &wrapped[1..]).unwrap_err(), CryptoError::Decrypt);
                assert_eq!(p.unwrap_key(&[3; 32], &wrapped).unwrap_err(), CryptoError::Decrypt);
                all.push(wrapped);
            }
            all
        })
        .collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn keys_wrap_as_rfc_3394_shows() {
    let bytes = |range: core::ops::RangeInclusive<u8>| range.collect::<Vec<u8>>();
    let key: Vec<u8> = (0u8..16).map(|i| i * 0x11).collect();
    for p in providers() {
        let shown = |kek_len: u8| crate::words::hex(&p.wrap_key(&bytes(0..=kek_len - 1), &key).unwrap());
        assert_eq!(shown(16), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
        assert_eq!(shown(24), "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d");
        assert_eq!(shown(32), "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7");
        assert!(p.wrap_key(&[0; 16], &[0; 17]).is_err());
        assert!(p.wrap_key(&[0; 24], &[0; 17]).is_err());
        assert!(p.wrap_key(&[0; 15], &key).is_err());
    }
}

#[test]
fn secrets_travel_to_rsa_keys_and_ec_keys_agree_on_them() {
    for a in providers() {
        let rsa = a.generate_key(KeyKind::Rsa(2048)).unwrap();
        for b in providers() {
            for scheme in [RsaEncryption::Oaep(DigestAlgorithm::Sha256), RsaEncryption::Pkcs1] {
                let sealed = b.rsa_encrypt(scheme, rsa.spki(), b"secret").unwrap();
                assert_eq!(*rsa.decrypt(scheme, &sealed).unwrap(), b"secret");
                assert!(b.rsa_encrypt(scheme, rsa.spki(), &[0; 256]).is_err());
            }
            let oaep = RsaEncryption::Oaep(DigestAlgorithm::Sha256);
            assert_eq!(rsa.decrypt(oaep, &[1; 256]).unwrap_err(), CryptoError::Decrypt);
            for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
                let own = a.generate_key(kind).unwrap();
                let (point, secret) = b.agree_ephemeral(own.spki()).unwrap();
                assert_eq!(own.agree(&point).unwrap(), secret);
                let mut off_curve = point.clone();
                *off_curve.last_mut().unwrap() ^= 1;
                assert!(own.agree(&off_curve).is_err(), "{kind}: a point off the curve");
                assert!(own.agree(&[0]).is_err(), "{kind}: the point at infinity");
            }
            // RFC 7748's base point times anything is fine; the all-zero point gives a zero secret and must not.
            let x25519 = |point: &[u8; 32]| {
                let identifier = crate::asn1::der::sequence(&[&algorithm::encode_oid(oid::X25519)]);
                let key = crate::asn1::der::element(0x03, &[&[0], point]);
                b.agree_ephemeral(&crate::asn1::der::sequence(&[&identifier, &key]))
            };
            assert_eq!(x25519(&[9; 32]).unwrap().0.len(), 32);
            assert!(x25519(&[0; 32]).is_err());
        }
    }
}

#[test]
fn weak_signatures_verify_only_where_the_caller_allows_them() {
    for provider in providers() {
        let key = provider.generate_key(KeyKind::P256).unwrap();
        let sha1 = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha1);
        assert!(matches!(key.sign(&sha1, b"m"), Err(CryptoError::Unsupported(_))));
        let verdict = |allow_weak| provider.verify(&sha1, key.spki(), b"m", b"junk", allow_weak);
        assert!(matches!(verdict(false), Err(CryptoError::Unsupported(_))));
        assert_eq!(verdict(true), Err(CryptoError::Mismatch));
    }
}

#[test]
fn an_ecdsa_signature_of_zeros_is_refused() {
    // CVE-2022-21449: r = s = 0 satisfied a verifier that forgot to look at the range.
    for provider in providers() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            let key = provider.generate_key(kind).unwrap();
            for zeros in [&[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00][..], &[0x30, 0x04, 0x02, 0x00, 0x02, 0x00]]
            {
                let verdict = provider.verify(&kind.default_signature(), key.spki(), b"any message", zeros, false);
                assert_eq!(verdict, Err(CryptoError::Mismatch), "{} {kind}", provider.name());
            }
        }
    }
}

#[test]
fn keys_that_are_costly_malformed_or_of_another_type_are_refused_before_any_arithmetic() {
    use crate::asn1::der::{element, sequence};
    let number = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes.insert(0, 0);
        element(0x02, &[&bytes])
    };
    let rsa =
        |modulus: &[u8], exponent: &[u8]| public_key::encode_spki(KeyKind::Rsa(0), &sequence(&[modulus, exponent]));
    let e = [0x02, 0x03, 0x01, 0x00, 0x01];
    for provider in providers() {
        let refusal = |algorithm: SignatureAlgorithm, spki: &[u8], weak| match provider
            .verify(&algorithm, spki, b"m", &[1; 256], weak)
            .unwrap_err()
        {
            CryptoError::BadKey(why) => why,
            other => panic!("{other:?}"),
        };
        let rs256 = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256);
        assert!(refusal(rs256, &rsa(&number(8200), &e), false).contains("limit is 8192"));
        assert!(refusal(rs256, &rsa(&number(2048), &number(40)), false).contains("exponent of more than 33"));
        assert!(refusal(rs256, &rsa(&number(2048), &[2, 1, 1]), false).contains("exponent 1"));
        assert!(refusal(rs256, &rsa(&number(2048), &[2, 1, 0x81]), false).contains("not positive"));
        assert!(refusal(rs256, &rsa(&number(1024), &e), false).contains("at least 2048"));
        assert!(refusal(rs256, &rsa(&number(512), &e), true).contains("at least 1024"));
        assert_eq!(provider.verify(&rs256, &rsa(&number(1024), &e), b"m", &[1; 128], true), Err(CryptoError::Mismatch));
        let es256 = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
        assert!(refusal(es256, &rsa(&number(2048), &e), false).contains("makes no signatures"));
        let ec = |point: &[u8]| public_key::encode_spki(KeyKind::P256, point);
        assert!(refusal(es256, &ec(&[4; 65]), false).contains("not a point"));
        assert!(refusal(es256, &ec(&[0]), false).contains("octets of a point"));
        assert!(refusal(es256, &ec(&[6; 65]), false).contains("octets of a point"), "hybrid form");
        let explicit = sequence(&[
            &sequence(&[&algorithm::encode_oid(oid::EC_PUBLIC_KEY), &sequence(&[])]),
            &element(0x03, &[&[0, 4]]),
        ]);
        assert!(refusal(es256, &explicit, false).contains("named curve"));
    }
}

#[test]
fn a_key_bound_to_pss_verifies_pss_and_nothing_else() {
    use crate::asn1::der::{element, sequence};
    for provider in providers() {
        let key = provider.generate_key(KeyKind::Rsa(2048)).unwrap();
        let pss = SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: 32 };
        let PublicKey::Rsa(rsa) = PublicKey::from_spki(key.spki()).unwrap() else { panic!("an RSA key") };
        let spki = |identifier: &[u8]| sequence(&[identifier, &element(0x03, &[&[0], rsa.pkcs1])]);
        let plain = sequence(&[&algorithm::encode_oid(oid::RSASSA_PSS)]);
        let signature = key.sign(&pss, b"m").unwrap();
        for identifier in [&plain, &pss.to_der()] {
            assert_eq!(provider.verify(&pss, &spki(identifier), b"m", &signature, false), Ok(()));
            let rs256 = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256);
            let signature = key.sign(&rs256, b"m").unwrap();
            let verdict = provider.verify(&rs256, &spki(identifier), b"m", &signature, false);
            assert!(matches!(verdict, Err(CryptoError::BadKey(_))));
        }
        let longer = SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: 48 };
        let verdict = provider.verify(&pss, &spki(&longer.to_der()), b"m", &signature, false);
        assert!(matches!(verdict, Err(CryptoError::BadKey(_))), "a shorter salt than the key demands");
        assert_eq!(provider.verify(&longer, key.spki(), b"m", &signature, false), Err(CryptoError::Mismatch));
        let huge = SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: u32::MAX };
        assert_eq!(provider.verify(&huge, key.spki(), b"m", &signature, false), Err(CryptoError::Mismatch));
    }
}

#[test]
fn keys_that_only_receive_do_so_across_providers_and_sign_nothing() {
    for (maker, other) in providers().iter().flat_map(|a| providers().into_iter().map(move |b| (a.clone(), b))) {
        for kind in [KeyKind::X25519, KeyKind::MlKem512, KeyKind::MlKem768, KeyKind::MlKem1024] {
            let key = maker.generate_key(kind).unwrap();
            assert_eq!((key.kind(), KeyKind::of_spki(key.spki()).unwrap()), (kind, kind));
            let again = other.import_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.spki(), key.spki(), "{kind}: {} and {}", maker.name(), other.name());
            if kind == KeyKind::X25519 {
                let (point, secret) = other.agree_ephemeral(key.spki()).unwrap();
                assert_eq!(key.agree(&point).unwrap(), secret);
                assert_eq!(again.agree(&point).unwrap(), secret);
                assert!(key.agree(&[0; 32]).is_err(), "a point of small order");
            } else {
                let (ciphertext, secret) = other.encapsulate(key.spki()).unwrap();
                assert_eq!(key.decapsulate(&ciphertext).unwrap(), secret);
                assert_eq!(again.decapsulate(&ciphertext).unwrap(), secret);
                let mut changed = ciphertext.clone();
                changed[0] ^= 1;
                assert_ne!(key.decapsulate(&changed).unwrap(), secret, "FIPS 203: another secret, not an error");
                assert_eq!(key.decapsulate(&ciphertext[1..]).unwrap_err(), CryptoError::Decrypt);
            }
            for algorithm in [kind.default_signature(), SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256)] {
                assert!(key.sign(&algorithm, b"m").is_err());
            }
            assert!(other.encapsulate(other.generate_key(KeyKind::P256).unwrap().spki()).is_err());
        }
    }
}

#[test]
fn a_damaged_ml_kem_key_is_refused() {
    for provider in providers() {
        let pkcs8 = provider.generate_key(KeyKind::MlKem768).unwrap().to_pkcs8().unwrap();
        let key = crate::asn1::pkcs8::PrivateKeyInfo::from_der(&pkcs8).unwrap().key.to_vec();
        let form = crate::asn1::pkcs8::SeededPrivateKey::from_der(&key, "test", 64).unwrap();
        let expanded = form.expanded.unwrap();
        assert_eq!(expanded.len(), 2400);
        // The private half, the public half, and its hash; the last 32 bytes are random and may be anything.
        for place in [0, 1151, 1152, 2335, 2336, 2367] {
            let mut changed = expanded.to_vec();
            changed[place] ^= 1;
            let content = crate::asn1::der::element(0x04, &[&changed]);
            let damaged = crate::asn1::pkcs8::encode_private_key_info(oid::ML_KEM_768, &[], &content);
            assert!(matches!(provider.import_pkcs8(&damaged), Err(CryptoError::BadKey(_))), "byte {place}");
        }
        let short = crate::asn1::der::element(0x04, &[&expanded[1..]]);
        let short = crate::asn1::pkcs8::encode_private_key_info(oid::ML_KEM_768, &[], &short);
        assert!(matches!(provider.import_pkcs8(&short), Err(CryptoError::BadKey(_))));
    }
}

#[test]
fn ml_dsa_keys_are_read_in_the_three_forms_of_rfc_9881() {
    use crate::asn1::der::{element, sequence};
    use crate::asn1::pkcs8::{PrivateKeyInfo, SeededPrivateKey, encode_private_key_info};
    for (kind, identifier) in
        [(KeyKind::MlDsa44, oid::ML_DSA_44), (KeyKind::MlDsa65, oid::ML_DSA_65), (KeyKind::MlDsa87, oid::ML_DSA_87)]
    {
        // FIPS 204's expansion of the seed, by the portable implementation or AWS-LC's own.
        let seed = [kind.to_string().as_bytes()[7]; 32];
        let with = |content: &[u8]| encode_private_key_info(identifier, &[], content);
        let by_seed = with(&element(0x80, &[&seed]));
        let Some(expanded) = expanded_of(kind, &seed) else { return };
        let both = |expanded: &[u8]| with(&sequence(&[&element(0x04, &[&seed]), &element(0x04, &[expanded])]));
        let mut changed = expanded.clone();
        *changed.last_mut().unwrap() ^= 1;
        for provider in providers() {
            let key = provider.import_pkcs8(&by_seed).unwrap();
            assert_eq!(key.kind(), kind);
            assert_eq!(provider.import_pkcs8(&both(&expanded)).unwrap().spki(), key.spki());
            assert!(matches!(provider.import_pkcs8(&both(&changed)), Err(CryptoError::BadKey(_))));
            assert!(matches!(provider.import_pkcs8(&with(&element(0x80, &[&[1; 31]]))), Err(CryptoError::BadKey(_))));
            match provider.import_pkcs8(&with(&element(0x04, &[&expanded]))) {
                Ok(alone) => {
                    assert_eq!(alone.spki(), key.spki());
                    let kept = alone.to_pkcs8().unwrap();
                    let content = PrivateKeyInfo::from_der(&kept).unwrap().key;
                    assert_eq!(
                        SeededPrivateKey::from_der(content, "ML-DSA-PrivateKey", 32).unwrap().expanded,
                        Some(&expanded[..])
                    );
                    let signature = alone.sign(&kind.default_signature(), b"m").unwrap();
                    let verdict = provider.verify(&kind.default_signature(), key.spki(), b"m", &signature, false);
                    assert_eq!(verdict, Ok(()));
                }
                Err(refused) => {
                    assert_eq!(provider.name(), "rustcrypto");
                    assert!(refused.to_string().contains("without their seed"));
                }
            }
        }
    }
}

/// The expanded key of a seed; `None` without AWS-LC.
#[cfg(feature = "crypto-awslc")]
fn expanded_of(kind: KeyKind, seed: &[u8; 32]) -> Option<Vec<u8>> {
    use aws_lc_rs::encoding::AsRawBytes;
    use aws_lc_rs::signature::{ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair};
    let algorithm = match kind {
        KeyKind::MlDsa44 => &ML_DSA_44_SIGNING,
        KeyKind::MlDsa65 => &ML_DSA_65_SIGNING,
        _ => &ML_DSA_87_SIGNING,
    };
    let pair = PqdsaKeyPair::from_seed(algorithm, seed).unwrap();
    Some(pair.private_key().as_raw_bytes().unwrap().as_ref().to_vec())
}

#[cfg(not(feature = "crypto-awslc"))]
fn expanded_of(_: KeyKind, _: &[u8; 32]) -> Option<Vec<u8>> {
    None
}

#[test]
fn damaged_keys_are_refused_or_are_other_keys_and_nothing_panics() {
    for provider in providers() {
        for kind in ALL_KINDS {
            let key = provider.generate_key(kind).unwrap();
            let algorithm = kind.default_signature();
            let signature = key.sign(&algorithm, b"m").unwrap();
            let verify = |spki: &[u8], signature: &[u8]| provider.verify(&algorithm, spki, b"m", signature, true);
            // Long keys are sampled: their inside is one number or one polynomial like the other. So are curves where
            // an operation takes milliseconds without optimization.
            let slow = provider.name() == "rustcrypto" && matches!(kind, KeyKind::P384 | KeyKind::P521);
            let places = |length: usize| {
                (0..length).step_by(if length > 400 {
                    37
                } else if slow {
                    7
                } else {
                    1
                })
            };
            for place in places(key.spki().len()) {
                for mask in [0x01, 0x80, 0xff] {
                    let mut changed = key.spki().to_vec();
                    changed[place] ^= mask;
                    // An rsaEncryption key stays itself without its NULL; everything else must show.
                    if verify(&changed, &signature).is_ok() {
                        assert!(super::keys::same_public_key(&changed, key.spki()), "{kind} {place} {mask:#x}");
                    }
                }
                assert!(verify(&key.spki()[..place], &signature).is_err());
            }
            for place in places(signature.len()) {
                let mut changed = signature.clone();
                changed[place] ^= 1;
                assert_eq!(verify(key.spki(), &changed), Err(CryptoError::Mismatch), "{kind} {place}");
                assert_eq!(verify(key.spki(), &signature[..place]), Err(CryptoError::Mismatch), "{kind} {place}");
            }
            let pkcs8 = key.to_pkcs8().unwrap();
            for place in places(pkcs8.len()) {
                let mut changed = pkcs8.clone();
                changed[place] ^= 1;
                let _ = provider.import_pkcs8(&changed).map(|other| other.sign(&algorithm, b"m"));
                assert!(provider.import_pkcs8(&pkcs8[..place]).is_err(), "{kind} {place}");
            }
        }
    }
}

/// Mbed TLS until 2023 and JDK 11 wrote NULL behind ECDSA, where RFC 5758 section 3.2 has nothing: the same signature, taken where
/// weak ones are, and not otherwise.
#[test]
fn ecdsa_with_null_as_parameters_is_verified_where_weak_signatures_are_taken() {
    use crate::asn1::der::sequence;
    use crate::asn1::oid;
    let provider = default_provider();
    let key = provider.generate_key(KeyKind::P256).unwrap();
    let plain = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
    let signature = key.sign(&plain, b"message").unwrap();
    let identifier = sequence(&[&super::algorithm::encode_oid(oid::ECDSA_WITH_SHA256), &[5, 0]]);
    let odd = SignatureAlgorithm::from_der(&identifier).unwrap();
    assert_eq!(odd.to_der(), identifier);
    assert!(odd.is_weak() && odd != plain);
    provider.verify(&odd, key.spki(), b"message", &signature, true).unwrap();
    assert!(provider.verify(&odd, key.spki(), b"massage", &signature, true).is_err());
    let other = sequence(&[&super::algorithm::encode_oid(oid::ECDSA_WITH_SHA256), &[2, 1, 0]]);
    assert!(SignatureAlgorithm::from_der(&other).is_err());
}
