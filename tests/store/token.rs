//! Keys in a PKCS#11 token: what they sign, what device memory keeps of them, and what fails in words.

use std::sync::Arc;

use devid::crypto::pkcs11::{TokenError, TokenKey};
use devid::crypto::{CryptoError, DigestAlgorithm, KeyKind, PrivateKey, SignatureAlgorithm};
use devid::store::export::{Export, Layout};
use devid::store::*;
use devid::{Code, Error};

use crate::common::*;
use crate::kinds::Keys;
use crate::softhsm::{PIN, module, new_key, no_pin, pin};

#[test]
fn a_key_in_a_token_makes_every_signature_of_its_kind() {
    let _turn = crate::softhsm::turn();
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

/// What runs with keys in memory and has no meaning here: a secret for keys at rest (nothing is sealed; the suite's one
/// would fail if it were asked for), an export (there is nothing to write), and overwriting an old key (it is not there).
#[test]
fn of_a_key_in_a_token_nothing_secret_is_kept_sealed_or_exported() {
    let _turn = crate::softhsm::turn();
    if module().is_none() {
        return;
    }
    let place = Place::new();
    let store = Keys::Token.open(&place);
    store.install("device", &Keys::Token.issued(1).new_identity()).unwrap();
    store.put_pending_key("renewal", &Signer::Key(Keys::Token.key(2))).unwrap();

    let files = files_below(&place.memory());
    let references = files.iter().filter(|path| path.ends_with("key.ref")).count();
    assert_eq!(references, 2, "{files:?}");
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "{}", path.display());
    }
    for layout in ["pem", "openssl", "nginx", "strongswan", "mosquitto", "pkcs12"] {
        let folder = place.0.join(layout);
        let export = Export {
            password: Some("secret".to_owned().into()),
            ..Export::new(Layout::from_name(layout).unwrap(), &folder)
        };
        let refused = store.export("device", &export).unwrap_err();
        assert_eq!(
            (refused.kind, Error::from(refused.clone()).code()),
            (StoreErrorKind::Key, Code::BadKey),
            "{layout}"
        );
        assert!(refused.detail.contains("cannot leave its home"), "{refused}");
        assert!(!folder.exists(), "{layout}: nothing was begun");
    }
}

#[test]
fn a_generation_that_is_swept_leaves_its_key_in_the_token_until_it_is_destroyed() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let store = Keys::Token.open(&place);
    let key: Arc<dyn PrivateKey> = Arc::new(new_key("swept", KeyKind::P256).unwrap());
    let uri = key.reference().unwrap().to_owned();
    let first = issued_for(key, 1);
    store.install("device", &first.new_identity()).unwrap();
    for number in [2, 3] {
        store.install("device", &Keys::Token.issued(number).new_identity()).unwrap();
    }
    let kept = files_below(&place.memory()).iter().filter(|path| path.ends_with("key.ref")).count();
    assert_eq!(kept, 2, "device memory has forgotten it");
    assert_eq!(TokenKey::open(Some(module), &uri, pin(PIN)).unwrap().spki(), first.key.spki());
    TokenKey::destroy(Some(module), &uri, pin(PIN)).unwrap();
    code(TokenKey::open(Some(module), &uri, pin(PIN)), Code::NotFound, "no private key");
}

/// Whoever dies between the making of a key and the record that names it leaves it in the token: it was announced before.
#[test]
fn a_key_that_was_announced_and_never_named_is_destroyed_by_the_next_renewal_and_no_other() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let store = Keys::Token.open(&place);
    let make =
        |name: &str| store.make_key(name, "pkcs11:token=device;object=announced", KeyKind::P256).unwrap().unwrap();
    let is_there = |key: &Arc<dyn PrivateKey>| TokenKey::open(Some(module), key.reference().unwrap(), pin(PIN)).is_ok();
    let (lost, named, of_another) = (make("router"), make("router"), make("another"));
    store.put_pending_key("router", &Signer::from(&named)).unwrap();
    let blob = String::from_utf8(store.blob("announced-keys").unwrap().to_vec()).unwrap();
    assert!(blob.contains(&format!("router {}\n", lost.reference().unwrap())), "{blob}");

    // Another process, later: what a renewal does before anything else.
    drop(store);
    let store = Keys::Token.open(&place);
    let (planner, config) = (devid::client::Planner::new(), devid::client::Config::new());
    let to = devid::client::Destination { store: &store, name: "router", purpose: "ldevid" };
    let renewal =
        devid::client::Renewal { planner: &planner, config: &config, to, factory: None, subject: None, new_key: None };
    let mut nobody = devid::transport::ExchangeFn(|_: &[u8], _: &devid::transport::ExchangeLimits| unreachable!());
    let now = devid::Time::from_unix(1_800_000_000);
    let report = renewal.run_due(Some(now), &mut nobody, &mut devid::client::Unattended).unwrap();
    assert!(report.outcome.is_err(), "nobody is named to ask: {report:?}");
    assert_eq!((is_there(&lost), is_there(&named), is_there(&of_another)), (false, true, true));
    let blob = String::from_utf8(store.blob("announced-keys").unwrap().to_vec()).unwrap();
    assert!(!blob.contains(lost.reference().unwrap()), "{blob}");
}

/// No PIN is needed to see that a key is gone, nor given: a token counts wrong ones.
#[test]
fn a_key_in_use_that_is_gone_is_told_by_the_plan_without_a_login_and_looks_spend_no_pin() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let (store, planner) = (Keys::Token.open(&place), devid::client::Planner::new());
    let key = store.make_key("device", "pkcs11:token=device;object=missed", KeyKind::P256).unwrap().unwrap();
    store.install("device", &issued_for(key.clone(), 1).new_identity()).unwrap();
    let looked = || {
        let store = Keys::Plain.open(&place);
        devid::client::open_token_keys(&store, Some(module), no_pin());
        let plan = planner.plan(&store, "device", None).unwrap();
        let found = |problems: &[Problem]| problems.iter().filter(|one| one.kind == ProblemKind::KeyElsewhere).count();
        (found(&plan.findings), found(&store.verify().unwrap()), plan.alarm)
    };
    let uri = key.reference().unwrap().to_owned();
    drop((key, store));
    assert_eq!(looked(), (0, 0, devid::client::renewal::Alarm::Quiet));
    TokenKey::destroy(Some(module), &uri, pin(PIN)).unwrap();
    let (by_plan, by_look, alarm) = looked();
    assert_eq!((by_plan, by_look), (1, 1));
    assert!(alarm >= devid::client::renewal::Alarm::Late);
}

/// Whoever opens a key of device memory with a PIN that the token refuses writes that down: the next process does not give it again.
#[test]
fn a_pin_that_was_refused_while_a_key_was_opened_is_kept_whoever_opened_it() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let store = Keys::Plain.open(&place);
    devid::client::open_token_keys(&store, Some(module), pin(PIN));
    let key = store.make_key("device", "pkcs11:token=strict;object=kept-pin", KeyKind::P256).unwrap().unwrap();
    store.install("device", &issued_for(key.clone(), 1).new_identity()).unwrap();
    // Who is logged in is not asked.
    drop(key);
    let given = Keys::Plain.open(&place);
    devid::client::open_token_keys(&given, Some(module), pin("4711"));
    let identity = given.current("device").unwrap();
    assert!(given.blob("refused-pins").is_err());
    // As the handle of a key has it, which does not keep device memory.
    let opener = given.key_opener();
    let refused = open_key(opener.as_ref(), &identity.key).unwrap_err();
    assert_eq!(refused.code(), Code::WrongSecret, "{refused}");
    assert!(given.blob("refused-pins").is_ok(), "it is written down");
    devid::crypto::pkcs11::forget_refused_pins();
    // The dark twin: nobody has it any more.
    drop((given, store));
    Keys::Plain.open(&place).remove_blob("refused-pins").unwrap();
    assert!(open_key(opener.as_ref(), &identity.key).is_err());
    assert!(Keys::Plain.open(&place).blob("refused-pins").is_err());
    devid::crypto::pkcs11::forget_refused_pins();
}

/// Keys that are opened by their URI beside device memory: what it has is known, and what they are refused is written there.
#[test]
fn a_pin_that_was_refused_to_a_key_outside_device_memory_is_kept_where_there_is_one() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let (place, other) = (Place::new(), Place::new());
    let store = Keys::Plain.open(&place);
    devid::client::open_token_keys(&store, Some(module), pin(PIN));
    let key = store.make_key("device", "pkcs11:token=strict;object=beside", KeyKind::P256).unwrap().unwrap();
    let uri = key.reference().unwrap().to_owned();
    // Who is logged in is not asked.
    drop(key);
    let open = |given: &'static str| {
        TokenKey::open(Some(module), &uri, pin(given)).map(drop).map_err(|error| error.to_string())
    };
    let refused = open("4711").unwrap_err();
    assert!(refused.contains("does not take the PIN"), "{refused}");
    assert!(store.blob("refused-pins").is_ok(), "it is written down");
    // The next process, which has it open.
    devid::crypto::pkcs11::forget_refused_pins();
    drop(store);
    let store = Keys::Plain.open(&place);
    devid::client::open_token_keys(&store, Some(module), pin(PIN));
    let refused = open("4711").unwrap_err();
    assert!(refused.contains("refused before"), "{refused}");
    // The dark twin: one that has given the PIN itself is told of that alone.
    devid::crypto::pkcs11::forget_refused_pins();
    store.remove_blob("refused-pins").unwrap();
    let second = Keys::Plain.open(&other);
    devid::client::open_token_keys(&second, Some(module), pin("4712"));
    assert!(second.make_key("device", "pkcs11:token=strict;object=beside", KeyKind::P256).is_err());
    assert!(second.blob("refused-pins").is_ok() && store.blob("refused-pins").is_err());
    devid::crypto::pkcs11::forget_refused_pins();
    // The token counts anew.
    open(PIN).unwrap();
}

/// While a token says that its count is low, a try that cannot be written down is not made, whichever PIN is given.
#[test]
fn with_the_count_low_no_pin_is_given_that_cannot_be_written_down_before() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let make = |given: &'static str| {
        // The next process: what it knows is what device memory tells it.
        devid::crypto::pkcs11::forget_refused_pins();
        let store = Keys::Plain.open(&place);
        devid::client::open_token_keys(&store, Some(module), pin(given));
        let made = store.make_key("device", "pkcs11:token=low;object=noted", KeyKind::P256);
        made.map(|key| key.expect("it is made there")).map_err(|error| error.to_string())
    };
    drop(Keys::Plain.open(&place).put_blob("other", b"x"));
    // Nobody can write there.
    let record = place.memory().join("blob/refused-pins");
    std::fs::create_dir_all(record.join("in the way")).unwrap();
    let first = make("0000").map(|_| ()).unwrap_err();
    assert!(first.contains("does not take the PIN"), "{first}");
    for given in ["0000", PIN, "4711"] {
        let held = make(given).map(|_| ()).unwrap_err();
        assert!(held.contains("cannot note the try"), "{given}: {held}");
    }
    std::fs::remove_dir_all(&record).unwrap();
    // The dark twin: the one that was never given before is, is refused, and stays written; so the right one is given, and nothing is left.
    for words in ["does not take the PIN", "refused before"] {
        let refused = make("4711").map(|_| ()).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    let key = make(PIN).unwrap();
    assert!(key.sign(&key.kind().default_signature(), b"m").is_ok());
    devid::crypto::pkcs11::forget_refused_pins();
}

/// The dark side of reopening: device memory is whole, and the key is gone or another one.
#[test]
fn an_identity_whose_key_left_the_token_is_found_and_cannot_sign() {
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let place = Place::new();
    let key: Arc<dyn PrivateKey> = Arc::new(new_key("leaves;id=%2a", KeyKind::P256).unwrap());
    let uri = key.reference().unwrap().to_owned();
    Keys::Token.open(&place).install("device", &issued_for(key, 1).new_identity()).unwrap();
    TokenKey::destroy(Some(module), &uri, pin(PIN)).unwrap();

    let store = Keys::Token.open(&place);
    let found = store.current("device").unwrap();
    let [problem] = &store.verify().unwrap()[..] else { panic!("{:?}", store.verify()) };
    assert_eq!(problem.kind, ProblemKind::KeyElsewhere);
    assert!(problem.text.contains(&uri) && problem.text.contains("no private key"), "{}", problem.text);
    assert_eq!(store.open_key(&found.key).unwrap_err().code(), Code::NotFound);
    new_key("leaves;id=%2a", KeyKind::P256).unwrap();
    assert_eq!(store.open_key(&found.key).unwrap_err().code(), Code::KeyMismatch, "another key under the same words");
}

fn code<T: std::fmt::Debug>(outcome: Result<T, TokenError>, code: Code, words: &str) {
    let error = Error::from(outcome.unwrap_err());
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn what_is_missing_or_not_clear_is_said_in_words() {
    let _turn = crate::softhsm::turn();
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
    let _turn = crate::softhsm::turn();
    let Some(module) = module() else { return };
    let uri = "pkcs11:token=strict;object=a";
    let make = |source| TokenKey::generate(Some(module), uri, KeyKind::P256, source);
    code(make(pin("0000")), Code::WrongSecret, "CKR_PIN_INCORRECT");
    // A loop above gives the same one again and again: the token counts one try.
    (0..20).for_each(|_| code(make(pin("0000")), Code::WrongSecret, "refused before"));
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
    let _turn = crate::softhsm::turn();
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
