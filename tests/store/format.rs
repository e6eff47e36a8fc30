//! Device memory of format 1 as it was written once, kept in `tests/vectors/device-memory`: every later version reads it, goes
//! on with it, and says by name what is newer than itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use devid::crypto::DigestAlgorithm;
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;

const SETS: [(AnchorSet, usize); 4] =
    [(AnchorSet::Cmp, 1), (AnchorSet::Enrolment, 2), (AnchorSet::Tls, 1), (AnchorSet::Peer, 2)];

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/device-memory").join(name)
}

fn options(is_sealed: bool) -> StoreOptions {
    StoreOptions { key_secret: is_sealed.then(device_secret), key_iterations: 1000, ..StoreOptions::default() }
}

/// A copy with the access rights that version control does not keep.
fn copied(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// What is in there, in the calls that put it there.
fn fill(store: &Store) {
    let idevid = issued(0);
    let new = NewIdentity { purpose: "idevid", ..idevid.new_identity() };
    store.install("idevid", &new).unwrap();
    for number in [1, 2] {
        store.install("router", &issued(number).new_identity()).unwrap();
    }
    store.put_pending_key("router", &Signer::Key(key(3))).unwrap();
    store.stage("router", &issued(3).with(NewKey::Pending("router"))).unwrap();
    let reference = KeyReference::new("pkcs11:object=hsm;id=%07", key(4).spki().to_vec()).unwrap();
    store.put_pending_key("by-file", &Signer::Deferred(reference.clone())).unwrap();
    store.save_operation("router", b"a saved operation").unwrap();
    for (set, count) in SETS {
        store.set_anchors(set, &ca_chain()[..count]).unwrap();
    }
    store.put_blob("root.crl", b"a CRL").unwrap();
    store.raise_number("root.crl", &[1, 2, 3]).unwrap();
    store.note_time(NOW).unwrap();
    store.install("gone", &issued(5).new_identity()).unwrap();
    store.remove_identity("gone").unwrap();
}

/// Run once for each format; what it writes is committed.
#[test]
#[ignore = "writes the vectors of a new format"]
fn write_the_vectors() {
    for (name, is_sealed) in [("store-1", false), ("store-1-sealed", true)] {
        let place = vectors(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fill(&Store::open_directory(&place, provider(), options(is_sealed)).unwrap());
    }
}

#[test]
fn device_memory_of_format_1_is_read_and_goes_on() {
    for (name, is_sealed) in [("store-1", false), ("store-1-sealed", true)] {
        let place = Place::new();
        copied(&vectors(name), &place.memory());
        let store = Store::open_directory(place.memory(), provider(), options(is_sealed)).unwrap();

        assert_eq!(store.identities().unwrap(), ["idevid", "router"]);
        let state = store.state("router").unwrap();
        assert_eq!((state.current, state.previous, state.pending), (Some(2), Some(1), Some(3)));
        for (identity, purpose) in [
            (store.current("idevid").unwrap(), "idevid"),
            (store.current("router").unwrap(), "ldevid"),
            (store.previous("router").unwrap(), "ldevid"),
            (store.pending("router").unwrap(), "ldevid"),
        ] {
            let key = identity.key.held().expect("the key is there");
            let algorithm = key.default_signature();
            let signature = key.sign(&algorithm, b"still me").unwrap();
            provider().verify(&algorithm, identity.key.spki(), b"still me", &signature, false).unwrap();
            assert_eq!((&*identity.purpose, identity.created, identity.chain.len()), (purpose, NOW, 2));
        }
        assert_eq!(store.pending_keys().unwrap(), ["by-file", "router"]);
        match store.pending_key("by-file").unwrap().key {
            Signer::Deferred(key) => assert_eq!(key.reference, "pkcs11:object=hsm;id=%07"),
            other => panic!("{other:?}"),
        }
        assert_eq!(&**store.load_operation("router").unwrap(), b"a saved operation");
        for (set, count) in SETS {
            assert_eq!(store.anchors(set).unwrap().len(), count, "{set:?}");
        }
        assert_eq!(&**store.blob("root.crl").unwrap(), b"a CRL");
        assert_eq!(store.number("root.crl").unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(store.last_known_time().unwrap(), Some(NOW));
        let problems = store.verify().unwrap();
        assert!(problems.iter().all(|problem| problem.kind == ProblemKind::Unresolved), "{problems:?}");

        assert_eq!(store.promote("router").unwrap().generation, 3);
        assert_eq!(store.install("router", &issued(6).new_identity()).unwrap().generation, 4);
        assert!(store.install("new", &issued(7).new_identity()).unwrap().generation > 1, "number 1 was somebody's");
        assert_eq!(store.verify().unwrap(), []);
    }
}

/// What a later library may write is refused by its number, and stays as it is.
#[test]
fn what_is_newer_is_refused_by_name_and_left_alone() {
    let place = Place::new();
    copied(&vectors("store-1"), &place.memory());
    let file = |name: &str| place.memory().join(name);
    let refused = |error: StoreError, what: &str| {
        assert_eq!(error.kind, Kind::Version, "{error}");
        assert!(error.to_string().contains(what) && error.to_string().contains("version 1"), "{error}");
    };
    // Records, with a check that is right.
    let store = Store::open_directory(place.memory(), provider(), options(false)).unwrap();
    let body = "devid-pointer 2\nwhatever -\n";
    let check: String = provider()
        .digest(DigestAlgorithm::Sha256, &[body.as_bytes()])
        .unwrap()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let newer = format!("{body}check {check}\n");
    fs::write(file("identity/router/current"), &newer).unwrap();
    refused(store.current("router").unwrap_err(), "devid-pointer");
    refused(store.install("router", &issued(1).new_identity()).unwrap_err(), "devid-pointer");
    fs::write(file("blob/root.crl"), "devid-blob 7 5 0\nwords").unwrap();
    refused(store.blob("root.crl").unwrap_err(), "devid-blob");
    let told: Vec<_> = store.repair().unwrap().into_iter().map(|one| (one.kind, one.place, one.is_mended)).collect();
    let newer_one = |place: &str| (ProblemKind::Newer, place.to_owned(), false);
    assert_eq!(told, [newer_one("identity/router/current"), newer_one("blob/root.crl")]);
    assert_eq!(fs::read_to_string(file("identity/router/current")).unwrap(), newer, "repair does not touch it");
    drop(store);
    // The whole.
    fs::write(file("devid-store"), "devid store 2\n").unwrap();
    let error = Store::open_directory(place.memory(), provider(), options(false)).unwrap_err();
    refused(error, "devid store 2");
}
