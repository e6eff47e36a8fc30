//! What device memory does in every home alike.

use std::sync::{Arc, Mutex};

use devid::crypto::PrivateKey;
use devid::store::{StoreErrorKind as Kind, *};
use devid::{Code, Error};

use crate::common::*;
use crate::kinds::*;

#[test]
fn an_installed_identity_is_in_use_and_the_one_before_is_kept() {
    every_home(|home, store| {
        let (first, second, third) = (home.issued(1), home.issued(2), home.issued(3));
        assert_eq!(store.current("device").unwrap_err().kind, Kind::NotFound, "{home}");

        store.install("device", &first.new_identity()).unwrap();
        let found = home.current("device");
        assert!(first.is(&found), "{home}");
        assert_eq!((found.purpose.as_str(), found.created, found.generation), ("ldevid", NOW, 1));
        assert_eq!(store.previous("device").unwrap_err().kind, Kind::NotFound);

        store.install("device", &second.new_identity()).unwrap();
        assert!(second.is(&home.current("device")), "{home}");
        assert!(first.is(&home.previous("device")), "{home}");

        store.install("device", &third.new_identity()).unwrap();
        assert!(third.is(&home.current("device")), "{home}");
        assert!(second.is(&home.previous("device")), "{home}");
        assert_eq!(store.identities().unwrap(), ["device"]);
        assert_eq!(store.verify().unwrap(), [], "{home}");
    });
}

#[test]
fn the_key_that_comes_back_signs_for_the_certificate() {
    every_home(|home, store| {
        store.install("device", &home.issued(1).new_identity()).unwrap();
        let found = home.current("device");
        let key = store.open_key(&found.key).unwrap().expect("device memory holds it, or the token does");
        let algorithm = key.kind().default_signature();
        let signature = key.sign(&algorithm, b"message").unwrap();
        provider().verify(&algorithm, home.issued(1).key.spki(), b"message", &signature, false).expect(&home.label);
    });
}

#[test]
fn rollback_is_one_call_and_a_second_one_undoes_it() {
    every_home(|home, store| {
        let (first, second) = (home.issued(1), home.issued(2));
        store.install("device", &first.new_identity()).unwrap();
        assert_eq!(store.rollback("device").unwrap_err().kind, Kind::NotFound, "{home}");
        store.install("device", &second.new_identity()).unwrap();

        assert!(first.is(&store.rollback("device").unwrap()));
        assert!(first.is(&home.current("device")), "{home}");
        assert!(second.is(&store.rollback("device").unwrap()));
        assert!(second.is(&home.current("device")), "{home}");
    });
}

#[test]
fn a_staged_identity_waits_until_it_is_promoted() {
    every_home(|home, store| {
        let (first, second) = (home.issued(1), home.issued(2));
        store.install("device", &first.new_identity()).unwrap();
        store.put_pending_key("renewal", &Signer::from(&second.key)).unwrap();

        store.stage("device", &second.with(NewKey::Pending("renewal"))).unwrap();
        assert!(first.is(&home.current("device")), "{home}");
        assert!(second.is(&home.pending("device")), "{home}");
        assert_eq!(
            store.state("device").unwrap(),
            IdentityState { current: Some(1), previous: None, pending: Some(2) }
        );
        assert_eq!(store.verify().unwrap().iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::Unresolved]);
        assert_eq!(store.stage("device", &home.issued(3).new_identity()).unwrap_err().kind, Kind::Exists);

        store.promote("device").unwrap();
        assert!(second.is(&home.current("device")), "{home}");
        assert!(first.is(&home.previous("device")), "{home}");
        assert_eq!(store.promote("device").unwrap_err().kind, Kind::NotFound);
        assert!(store.pending_keys().unwrap().is_empty(), "{home}");
        assert_eq!(store.verify().unwrap(), []);
    });
}

#[test]
fn a_staged_identity_that_is_turned_down_leaves_nothing_and_its_key_can_be_tried_again() {
    every_home(|home, store| {
        let second = home.issued(2);
        store.put_pending_key("first-try", &Signer::from(&second.key)).unwrap();
        store.stage("device", &second.with(NewKey::Pending("first-try"))).unwrap();
        store.discard("device").unwrap();
        assert_eq!(store.current("device").unwrap_err().kind, Kind::NotFound, "{home}");
        assert_eq!(store.pending("device").unwrap_err().kind, Kind::NotFound);
        assert_eq!(store.pending_keys().unwrap(), ["first-try"]);
        assert_eq!(store.verify().unwrap(), []);
        store.install("device", &second.with(NewKey::Pending("first-try"))).unwrap();
        assert!(second.is(&home.current("device")));
    });
}

#[test]
fn a_pending_key_is_found_by_the_certificate_made_for_it() {
    every_home(|home, store| {
        for (label, number) in [("a", 1), ("b", 2), ("c", 3)] {
            store.put_pending_key(label, &Signer::Key(home.key(number))).unwrap();
        }
        let second = home.issued(2);
        let found = store.pending_key_for(&second.certificate).unwrap().expect(&home.label);
        assert_eq!((found.label.as_str(), found.key.spki()), ("b", second.key.spki()));
        home.signs(&home.reopened().pending_key("b").unwrap().key);

        store.install("device", &second.with(NewKey::Pending(&found.label))).unwrap();
        assert_eq!(store.pending_keys().unwrap(), ["a", "c"], "{home}");
        assert!(store.pending_key_for(&second.certificate).unwrap().is_none());
        assert_eq!(store.pending_key("b").unwrap_err().kind, Kind::NotFound);
        let again = store.put_pending_key("a", &Signer::Key(home.key(4))).unwrap_err();
        assert_eq!(again.kind, Kind::Exists, "a waiting key is never overwritten");
        store.remove_pending_key("a").unwrap();
        store.put_pending_key("a", &Signer::Key(home.key(4))).unwrap();
    });
}

#[test]
fn a_new_certificate_can_keep_the_current_key() {
    every_home(|home, store| {
        store.install("device", &home.issued(1).new_identity()).unwrap();
        let renewed = Issued {
            certificate: certificate_for(home.key(1).spki(), "CN=device", "CN=Issuing CA,O=Factory", 77),
            ..home.issued(1)
        };
        store.install("device", &renewed.with(NewKey::Current)).unwrap();
        assert!(renewed.is(&home.current("device")), "{home}");

        let other = home.issued(2);
        let error = store.install("device", &other.with(NewKey::Current)).unwrap_err();
        assert_eq!(error.kind, Kind::KeyMismatch);
        assert_eq!(store.install("new", &other.with(NewKey::Current)).unwrap_err().kind, Kind::NotFound);
    });
}

#[test]
fn a_key_that_is_gone_from_its_token_is_found_by_a_look_and_by_nothing_else() {
    every_home(|home, store| {
        let first = home.issued(1);
        let reference = KeyReference::new("slot 1", first.key.spki().to_vec()).unwrap();
        store.install("device", &first.with(NewKey::Given(Signer::Deferred(reference.clone())))).unwrap();
        let verified = || store.verify().unwrap();
        assert_eq!(verified(), [], "{home}: nobody can look, and nothing is said");

        // What the token answers: its key, nothing, another key, or that it is not there.
        let token: Arc<Mutex<Result<Arc<dyn PrivateKey>, Error>>> = Arc::new(Mutex::new(Ok(first.key.clone())));
        let asked = Arc::clone(&token);
        store.open_keys_with(Arc::new(move |_: &KeyReference| asked.lock().unwrap().clone().map(Some)));
        assert_eq!(verified(), [], "{home}");
        let troubles = [
            (Err(Error::new(Code::NotFound, "no such object")), "no such object"),
            (Err(Error::new(Code::Signer, "the token is not there")), "the token is not there"),
            (Ok(home.issued(2).key.clone()), "another key than the one"),
        ];
        for (trouble, words) in troubles {
            *token.lock().unwrap() = trouble;
            for found in [verified(), store.repair().unwrap()] {
                let [problem] = &found[..] else { panic!("{home}: {found:?}") };
                assert_eq!((problem.kind, problem.is_mended), (ProblemKind::KeyElsewhere, false), "{home}");
                assert_eq!(problem.place, "identity/device/gen-000001/key.ref", "{home}");
                assert!(problem.text.contains("slot 1") && problem.text.contains(words), "{home}: {}", problem.text);
            }
            assert_eq!(store.current("device").unwrap().certificate, first.certificate, "{home}: it stays in use");
        }
        *token.lock().unwrap() = Ok(first.key.clone());
        assert_eq!(verified(), [], "{home}: back in its socket");
    });
}

#[test]
fn a_key_in_hardware_stays_a_reference() {
    every_home(|home, store| {
        let first = home.issued(1);
        let reference = KeyReference::new("pkcs11:token=device;object=idevid", first.key.spki().to_vec()).unwrap();
        store.install("idevid", &first.with(NewKey::Given(Signer::Deferred(reference.clone())))).unwrap();
        let found = store.current("idevid").unwrap();
        assert!(matches!(&found.key, Signer::Deferred(found) if *found == reference), "{home}");
        assert!(found.key.held().is_none());

        let error = store
            .install("other", &home.issued(2).with(NewKey::Given(Signer::Deferred(reference.clone()))))
            .unwrap_err();
        assert_eq!(error.kind, Kind::KeyMismatch);
        let two_lines = KeyReference::new("a\ncheck x", reference.spki.clone()).unwrap();
        assert_eq!(
            store.install("other", &first.with(NewKey::Given(Signer::Deferred(two_lines)))).unwrap_err().kind,
            Kind::Key
        );
    });
}

#[test]
fn what_does_not_belong_together_is_refused_and_nothing_changes() {
    every_home(|home, store| {
        let (first, second) = (home.issued(1), home.issued(2));
        store.install("device", &first.new_identity()).unwrap();

        let error = store.install("device", &second.with(NewKey::Given(Signer::from(&first.key)))).unwrap_err();
        assert_eq!((error.kind, error.code()), (Kind::KeyMismatch, Code::KeyMismatch));

        let mut shuffled = home.issued(2);
        shuffled.chain.reverse();
        let error = store.install("device", &shuffled.new_identity()).unwrap_err();
        assert_eq!((error.kind, error.code()), (Kind::Chain, Code::NoPath));
        assert!(error.detail.contains("Root"), "{error}");

        assert_eq!(store.install("device", &second.with(NewKey::Pending("none"))).unwrap_err().kind, Kind::NotFound);
        let odd = NewIdentity { purpose: "a purpose", ..second.new_identity() };
        assert_eq!(store.install("device", &odd).unwrap_err().kind, Kind::Name);

        assert!(first.is(&home.current("device")), "{home}");
        assert_eq!(store.state("device").unwrap(), IdentityState { current: Some(1), ..Default::default() });
        assert_eq!(store.verify().unwrap(), []);
    });
}

#[test]
fn names_that_lead_elsewhere_are_refused_everywhere() {
    every_home(|home, store| {
        for name in ["", "..", ".x", "../x", "a/b", "/etc", "a b", "-x", "ä"] {
            let kinds = [
                store.install(name, &home.issued(1).new_identity()).unwrap_err().kind,
                store.current(name).unwrap_err().kind,
                store.rollback(name).unwrap_err().kind,
                store.put_pending_key(name, &Signer::Key(home.key(1))).unwrap_err().kind,
                store.save_operation(name, b"x").unwrap_err().kind,
                store.put_blob(name, b"x").unwrap_err().kind,
                store.raise_number(name, b"x").unwrap_err().kind,
                store.remove_identity(name).unwrap_err().kind,
            ];
            assert!(kinds.iter().all(|k| *k == Kind::Name), "{name:?}: {kinds:?}");
        }
    });
}

#[test]
fn identities_are_kept_apart_and_removed_one_by_one() {
    every_home(|home, store| {
        store.install("one", &home.issued(1).new_identity()).unwrap();
        store.install("two", &home.issued(2).new_identity()).unwrap();
        store.install("two", &home.issued(3).new_identity()).unwrap();
        assert_eq!(store.identities().unwrap(), ["one", "two"]);
        store.remove_identity("two").unwrap();
        assert_eq!(store.identities().unwrap(), ["one"], "{home}");
        assert_eq!(store.current("two").unwrap_err().kind, Kind::NotFound);
        assert_eq!(store.remove_identity("two").unwrap_err().kind, Kind::NotFound);
        assert!(home.issued(1).is(&home.current("one")));
        assert_eq!(store.verify().unwrap(), [], "{home}");
    });
}

#[test]
fn saved_operations_blobs_and_anchors_come_back_as_they_were() {
    every_home(|home, store| {
        store.save_operation("enrol", b"state 1").unwrap();
        store.save_operation("enrol", b"state 2").unwrap();
        store.put_blob("root.crl", &[0; 100_000]).unwrap();
        store.put_blob("empty", b"").unwrap();
        assert_eq!(store.load_operation("enrol").unwrap().as_slice(), b"state 2", "{home}");
        assert_eq!(store.blob("root.crl").unwrap().len(), 100_000);
        assert_eq!(store.blob("empty").unwrap().len(), 0);
        assert_eq!(
            (store.operations().unwrap(), store.blobs().unwrap()),
            (vec!["enrol".into()], vec!["empty".into(), "root.crl".into()])
        );
        store.remove_operation("enrol").unwrap();
        store.remove_operation("enrol").unwrap();
        assert_eq!(store.load_operation("enrol").unwrap_err().kind, Kind::NotFound);

        assert!(store.anchors(AnchorSet::Cmp).unwrap().is_empty());
        store.set_anchors(AnchorSet::Cmp, &ca_chain()).unwrap();
        store.set_anchors(AnchorSet::Peer, &ca_chain()[1..]).unwrap();
        assert_eq!(store.anchors(AnchorSet::Cmp).unwrap(), ca_chain(), "{home}");
        assert_eq!(store.anchors(AnchorSet::Peer).unwrap().len(), 1);
        store.set_anchors(AnchorSet::Cmp, &[]).unwrap();
        assert!(store.anchors(AnchorSet::Cmp).unwrap().is_empty());
        assert_eq!(store.verify().unwrap(), [], "{home}");
    });
}

#[test]
fn a_number_goes_up_and_never_back() {
    every_home(|home, store| {
        assert_eq!(store.number("crl").unwrap(), None);
        assert!(store.raise_number("crl", &[0, 0, 9]).unwrap());
        assert!(!store.raise_number("crl", &[9]).unwrap(), "{home}: equal");
        assert!(!store.raise_number("crl", &[8]).unwrap());
        assert!(!store.raise_number("crl", &[]).unwrap());
        assert!(store.raise_number("crl", &[1, 0]).unwrap(), "longer is larger");
        assert!(!store.raise_number("crl", &[0xff]).unwrap());
        assert_eq!(store.number("crl").unwrap(), Some(vec![1, 0]));
    });
}

#[test]
fn sealed_keys_open_with_their_secret_and_with_no_other() {
    let storage = MapStorage::default();
    let open = |key_secret: Option<KeySecret>| {
        let options = StoreOptions { key_secret, key_iterations: 10, ..StoreOptions::default() };
        Store::new(Box::new(CallbackBackend::new(storage.clone(), provider())), provider(), options)
    };
    open(Some(device_secret())).install("device", &issued(1).new_identity()).unwrap();

    let plain = issued(1).key.to_pkcs8().unwrap();
    for (key, bytes) in storage.records.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(bytes);
        assert!(
            !text.contains("BEGIN PRIVATE KEY") && !bytes.windows(16).any(|w| w == &plain[plain.len() - 16..]),
            "{key}"
        );
    }
    assert!(issued(1).is(&open(Some(device_secret())).current("device").unwrap()));
    let wrong: KeySecret = std::sync::Arc::new(|| Ok(b"another device".to_vec().into()));
    for secret in [None, Some(wrong)] {
        let error = open(secret).current("device").unwrap_err();
        assert_eq!((error.kind, error.code()), (Kind::Secret, Code::WrongSecret), "{error}");
        assert!(!error.is_damage(), "a missing secret is no reason to repair anything");
    }
    // Nothing is sealed with nothing.
    let empty: KeySecret = std::sync::Arc::new(|| Ok(Vec::new().into()));
    let error = open(Some(empty)).install("other", &issued(1).new_identity()).unwrap_err();
    assert_eq!((error.kind, error.code()), (Kind::Secret, Code::WrongSecret), "{error}");
    assert!(open(None).current("other").is_err());
    let failing: KeySecret =
        std::sync::Arc::new(|| Err(StoreError::new(Kind::Application(-10_007), "", "fuse not blown")));
    let error = Error::from(open(Some(failing)).current("device").unwrap_err());
    assert_eq!((error.code(), error.number()), (Code::Application, -10_007));
}

/// By PBKDF2 or by scrypt, each memory reads what the other one has sealed, and goes on with its own.
#[test]
fn keys_are_sealed_by_scrypt_where_that_is_asked_and_read_either_way() {
    let storage = MapStorage::default();
    let open = |key_scrypt: Option<u32>| {
        let options = StoreOptions {
            key_secret: Some(device_secret()),
            key_iterations: 10,
            key_scrypt,
            ..StoreOptions::default()
        };
        Store::new(Box::new(CallbackBackend::new(storage.clone(), provider())), provider(), options)
    };
    // OBJECT IDENTIFIER scrypt (RFC 7914 section 7), in what is sealed.
    let is_by_scrypt = |number: u32| {
        let records = storage.records.lock().unwrap();
        let sealed = &records[&format!("identity/device/gen-{number:06}/key.pem")];
        let blocks = devid::asn1::pem::parse(sealed).unwrap();
        blocks[0].decode().unwrap().windows(9).any(|bytes| bytes == [0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11])
    };
    open(None).install("device", &issued(1).new_identity()).unwrap();
    open(Some(1024)).install("device", &issued(2).new_identity()).unwrap();
    assert!(!is_by_scrypt(1) && is_by_scrypt(2));
    for key_scrypt in [None, Some(1024)] {
        let store = open(key_scrypt);
        assert!(issued(2).is(&store.current("device").unwrap()) && issued(1).is(&store.previous("device").unwrap()));
        assert_eq!(store.verify().unwrap(), []);
    }
    open(None).install("device", &issued(3).new_identity()).unwrap();
    assert!(!is_by_scrypt(3));
    // The dark twins: another secret, and a cost that is none.
    let wrong = StoreOptions {
        key_secret: Some(std::sync::Arc::new(|| Ok(b"another device".to_vec().into()))),
        ..StoreOptions::default()
    };
    let other = Store::new(Box::new(CallbackBackend::new(storage.clone(), provider())), provider(), wrong);
    assert_eq!(other.previous("device").unwrap_err().kind, Kind::Secret);
    for cost in [0, 1, 1000, 1 << 30] {
        let refused = open(Some(cost)).install("device", &issued(4).new_identity()).unwrap_err();
        assert_eq!(refused.kind, Kind::Key, "{cost}: {refused}");
        assert!(issued(3).is(&open(None).current("device").unwrap()));
    }
}

#[test]
fn a_held_store_shuts_other_handles_out_until_the_guard_is_gone() {
    let place = Place::new();
    let (ours, theirs) = (place.open(), place.open());
    let hold = ours.hold().unwrap();
    ours.install("device", &issued(1).new_identity()).unwrap();
    ours.put_blob("x", b"1").unwrap();

    let error = theirs.put_blob("x", b"2").unwrap_err();
    assert_eq!((error.kind, error.code()), (Kind::Locked, Code::Locked));
    assert!(issued(1).is(&theirs.current("device").unwrap()), "reading needs no lock");

    drop(hold);
    theirs.put_blob("x", b"2").unwrap();
}

#[test]
fn a_store_can_be_shared_between_threads_and_survives_a_callback_that_panics() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Store>();

    let place = Place::new();
    let nervous: KeySecret = std::sync::Arc::new(|| panic!("the secret's callback panicked"));
    let options = StoreOptions { key_secret: Some(nervous), ..StoreOptions::default() };
    let store = Store::open_directory(place.memory(), provider(), options).unwrap();
    let caught =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.install("device", &issued(1).new_identity())));
    assert!(caught.is_err());
    place.open().put_blob("x", b"1").expect("the lock was given back");
    store.put_blob("x", b"2").expect("the store still works");
}
