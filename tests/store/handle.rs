//! A key is handed on by one handle, and what device memory makes of it is decided by the key.

use std::sync::Arc;

use devid::Code;
use devid::crypto::{ExternalKey, PrivateKey};
use devid::store::{KeyOpener, KeyReference, Signer, Store};

use super::common::{key, provider};

/// A key of a chip: it signs, and does not leave.
fn in_a_chip(number: usize) -> Arc<dyn PrivateKey> {
    let inside = key(number);
    let sign = move |algorithm: &_, message: &[u8]| inside.sign(algorithm, message);
    Arc::new(ExternalKey::new(key(number).spki(), sign).unwrap())
}

fn memory() -> Store {
    Store::in_memory(provider())
}

fn kept(store: &Store, label: &str, key: &Signer) -> Signer {
    store.put_pending_key(label, key).unwrap();
    store.pending_key(label).unwrap().key
}

#[test]
fn a_key_that_can_leave_its_home_is_held_and_another_is_found_by_its_words() {
    let store = memory();
    let deferred = Signer::deferred(key(3).spki().to_vec()).unwrap();
    let named = Signer::Deferred(KeyReference::new("slot 4", key(4).spki().to_vec()).unwrap());
    let cases = [
        ("soft", Signer::Key(key(1)), None, None),
        ("soft-named", Signer::Key(key(1)), Some("slot 1"), None),
        ("chip", Signer::Key(in_a_chip(2)), Some("slot 2"), Some("slot 2")),
        ("deferred", deferred, Some("slot 3"), Some("slot 3")),
        ("named", named.clone(), None, Some("slot 4")),
        ("renamed", named, Some("slot 5"), Some("slot 5")),
    ];
    for (label, given, words, found_by) in cases {
        let found = kept(&store, label, &given.to_keep(words).unwrap());
        assert_eq!((found.spki(), found.kind()), (given.spki(), given.kind()), "{label}");
        assert_eq!((found.reference(), found.held().is_none()), (found_by, found_by.is_some()), "{label}");
        // What came out goes in again as what it is.
        let again = kept(&store, &format!("{label}-again"), &found.to_keep(None).unwrap());
        assert_eq!((again.spki(), again.reference()), (found.spki(), found.reference()), "{label}");
    }
}

#[test]
fn a_key_that_nobody_would_find_again_is_not_kept() {
    let store = memory();
    for lost in [Signer::Key(in_a_chip(1)), Signer::deferred(key(1).spki().to_vec()).unwrap()] {
        assert_eq!(lost.to_keep(None).unwrap_err().code(), Code::InvalidArgument, "{lost:?}");
        assert!(store.put_pending_key("lost", &lost).is_err(), "{lost:?}");
    }
    assert!(KeyReference::new("slot 1", b"no public key".to_vec()).is_err());
    assert!(store.pending_keys().unwrap().is_empty());
}

#[test]
fn a_handle_that_is_opened_signs_here_and_one_that_nobody_opens_stays_deferred() {
    let store = memory();
    let words = |number: usize| Signer::Key(in_a_chip(number)).to_keep(Some(&format!("slot {number}"))).unwrap();
    let (ours, strange) = (kept(&store, "ours", &words(1)), kept(&store, "strange", &words(2)));
    assert!(store.usable_key(&ours).unwrap().held().is_none(), "nobody opens it");
    let opener: KeyOpener = Arc::new(|reference| Ok((reference.reference == "slot 1").then(|| in_a_chip(1))));
    store.open_keys_with(opener);
    assert_eq!(store.usable_key(&ours).unwrap().held().unwrap().spki(), ours.spki());
    assert_eq!(store.usable_key(&strange).unwrap().reference(), Some("slot 2"));
    // Another key under the same words is not this one.
    let other = Signer::Deferred(KeyReference::new("slot 1", key(2).spki().to_vec()).unwrap());
    assert_eq!(store.usable_key(&other).unwrap_err().code(), Code::KeyMismatch);
}
