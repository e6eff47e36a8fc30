//! Keys in a PKCS#11 token: what they sign, what device memory keeps of them, and what fails in words.

use std::sync::Arc;

use devid::crypto::pkcs11::{TokenError, TokenKey};
use devid::crypto::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};
use devid::store::*;
use devid::{Code, Error};

use crate::common::*;
use crate::softhsm::{PIN, module, new_key, no_pin, pin};

#[test]
fn a_key_in_a_token_makes_every_signature_of_its_kind() {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Rsa(2048)] {
        let Some(key) = new_key(&format!("signs-{kind}"), kind) else { return };
        assert_eq!(key.kind(), kind);
        assert!(key.to_pkcs8().is_none());
        for digest in [Sha256, Sha384, Sha512] {
            let salt_len = digest.output_len() as u32;
            let algorithms = match kind {
                KeyKind::Rsa(_) => {
                    vec![SignatureAlgorithm::RsaPkcs1(digest), SignatureAlgorithm::RsaPss { digest, salt_len }]
                }
                _ => vec![SignatureAlgorithm::Ecdsa(digest)],
            };
            for algorithm in algorithms {
                let signature = key.sign(&algorithm, b"message").unwrap_or_else(|e| panic!("{algorithm}: {e}"));
                let verdict = provider().verify(&algorithm, key.spki(), b"message", &signature, false);
                assert_eq!(verdict, Ok(()), "{kind}: {algorithm}");
            }
        }
        let unfit = key.sign(&SignatureAlgorithm::Ed25519, b"message");
        assert!(matches!(unfit, Err(CryptoError::Unsupported(_))));
    }
    assert!(matches!(
        TokenKey::generate(module(), "pkcs11:token=device;object=ed", KeyKind::Ed25519, pin(PIN)),
        Err(TokenError::Unsupported(_))
    ));
}

/// The identity cases of every other kind of key, in every home: install, rollback, stage, promote, pending.
#[test]
fn identities_with_keys_in_a_token_live_like_others() {
    let Some(module) = module() else { return };
    let round = std::sync::atomic::AtomicU32::new(0);
    every_home(|home, store| {
        let number = round.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let key = |name: &str| new_key(&format!("{name}-{number}"), KeyKind::P256).unwrap();
        let (first, second) = (key("first"), key("second"));
        let chain = ca_chain();
        let certificates = [certificate_for(&first, 10), certificate_for(&second, 11)];
        let new = |key, which: usize| NewIdentity {
            key,
            certificate: &certificates[which],
            chain: &chain,
            purpose: "ldevid",
            at: NOW,
        };

        store.install("device", &new(NewKey::Held(&first), 0)).unwrap();
        store.put_pending_key("renewal", &NewKey::Held(&second)).unwrap();
        store.stage("device", &new(NewKey::Pending("renewal"), 1)).unwrap();
        store.promote("device").unwrap();
        assert!(store.pending_keys().unwrap().is_empty(), "{home}");
        assert_eq!(store.current("device").unwrap().certificate, certificates[1], "{home}");
        assert_eq!(store.rollback("device").unwrap().certificate, certificates[0], "{home}");
        assert!(store.install("device", &new(NewKey::Held(&second), 0)).is_err(), "{home}: another key's certificate");
        assert!(store.verify().unwrap().is_empty(), "{home}");

        // After a restart the words in device memory lead back to the key.
        let IdentityKey::External(reference) = store.current("device").unwrap().key else { panic!("{home}: a copy?") };
        assert!(reference.reference.starts_with("pkcs11:token=device;serial="), "{}", reference.reference);
        let again = TokenKey::open(Some(module), &reference.reference, pin(PIN)).unwrap();
        assert_eq!(again.spki(), first.spki());
        assert_eq!(again.reference(), Some(reference.reference.as_str()), "the same words again");
        let algorithm = again.kind().default_signature();
        let signature = again.sign(&algorithm, b"m").unwrap();
        assert_eq!(provider().verify(&algorithm, first.spki(), b"m", &signature, false), Ok(()));
    });
}

/// A certificate of the factory's issuing CA for any key.
fn certificate_for(key: &dyn PrivateKey, serial: u8) -> devid::asn1::x509::Certificate {
    use devid::asn1::der::{element, sequence};
    let algorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256).to_der();
    let name = |text: &str| devid::asn1::name::Name::parse(text).unwrap().as_der().to_vec();
    let tbs = sequence(&[
        &element(0x02, &[&[serial]]),
        &algorithm,
        &name("CN=Issuing CA,O=Factory"),
        &sequence(&[&element(0x17, &[b"260101000000Z"]), &element(0x17, &[b"360101000000Z"])]),
        &name("CN=device"),
        key.spki(),
    ]);
    let signature = crate::common::key(0).sign(&SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256), &tbs).unwrap();
    let der = devid::asn1::x509::assemble_signed(&tbs, &algorithm, &signature);
    devid::asn1::x509::Certificate::from_der(&der).unwrap()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, TokenError>, code: Code, words: &str) {
    let error = Error::from(outcome.unwrap_err());
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn what_is_missing_or_not_clear_is_said_in_words() {
    let Some(module) = module() else { return };
    let open = |uri: &str| TokenKey::open(Some(module), uri, pin(PIN));
    let make = |uri: &str| TokenKey::generate(Some(module), uri, KeyKind::P256, pin(PIN));
    code(open("pkcs11:token=nobody;object=a"), Code::NotFound, "\"device\"");
    code(open("pkcs11:token=device;object=nothing"), Code::NotFound, "no private key");
    code(open("pkcs11:token=twin;object=a"), Code::InvalidArgument, "2 tokens");
    code(open("a key"), Code::InvalidArgument, "pkcs11:");
    code(make("pkcs11:token=device"), Code::InvalidArgument, "object=");
    code(TokenKey::open(None, "pkcs11:object=a", pin(PIN)), Code::InvalidArgument, "module-path");
    let nowhere = TokenKey::open(Some("/nonexistent/module.so"), "pkcs11:object=a", pin(PIN));
    code(nowhere, Code::Signer, "/nonexistent/module.so");
    let no_module = TokenKey::open(Some("/usr/bin/env"), "pkcs11:object=a", pin(PIN));
    code(no_module, Code::Signer, "/usr/bin/env");

    let uri = "pkcs11:token=device;object=once";
    make(uri).unwrap();
    code(make(uri), Code::Exists, "already");
    make("pkcs11:token=device;object=once;id=%07").unwrap();
    code(open(uri), Code::InvalidArgument, "2 private keys");
    open("pkcs11:token=device;object=once;id=%07").unwrap();
    open(&format!("pkcs11:token=device;object=once;id=%07?module-path={module}")).unwrap();
    assert!(TokenKey::open(None, &format!("{uri};id=%07?module-path={module}"), pin(PIN)).is_ok());
}

/// In a token of its own: who is logged in once is not asked again.
#[test]
fn a_wrong_pin_is_said_once_and_the_right_one_is_asked_once_a_login() {
    let Some(module) = module() else { return };
    let uri = "pkcs11:token=strict;object=a";
    let make = |source| TokenKey::generate(Some(module), uri, KeyKind::P256, source);
    code(make(pin("0000")), Code::WrongSecret, "\"strict\"");
    code(make(pin("")), Code::WrongSecret, "\"strict\"");
    let refused = Error::from(make(no_pin()).unwrap_err());
    assert_eq!(refused.number(), -10_007, "the program's own number: {refused}");

    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let key = make(Arc::new(move |request| {
        assert!(request.token == "strict" && !request.serial.is_empty());
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(PIN.to_owned().into())
    }))
    .unwrap();
    let algorithm = key.kind().default_signature();
    (0..3).for_each(|_| drop(key.sign(&algorithm, b"m").unwrap()));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_key_that_was_deleted_no_longer_signs() {
    let Some(key) = new_key("deleted", KeyKind::P256) else { return };
    let algorithm = key.kind().default_signature();
    key.sign(&algorithm, b"m").unwrap();
    let uri = key.reference().unwrap().to_owned();
    TokenKey::destroy(module(), &uri, pin(PIN)).unwrap();
    let refused = key.sign(&algorithm, b"m").unwrap_err();
    assert!(matches!(&refused, CryptoError::External(0, words) if words.contains("no private key")), "{refused}");
    code(TokenKey::open(module(), &uri, pin(PIN)), Code::NotFound, "no private key");
    code(TokenKey::destroy(module(), &uri, pin(PIN)), Code::NotFound, "no private key");
}
