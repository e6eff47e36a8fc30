//! What one damaged or interrupted thing leaves behind is seen for what it is, and is not the end of the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use devid::store::{StoreErrorKind as Kind, *};
use zeroize::Zeroizing;

use crate::common::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn open_error(path: &Path) -> StoreError {
    Store::open_directory(path, provider(), StoreOptions::default()).unwrap_err()
}

/// A store with two generations of one identity, closed.
fn two_generations() -> Place {
    let place = Place::new();
    let store = place.open();
    store.install("device", &issued(1).new_identity()).unwrap();
    store.install("device", &issued(2).new_identity()).unwrap();
    place
}

/// One damaged file is not the end of all the others: an identity is in there.
#[test]
fn device_memory_whose_mark_is_lost_or_damaged_is_known_by_what_it_holds() {
    for mark in [None, Some(""), Some("devid sto"), Some("devid store "), Some("devid store 1"), Some("\u{1}\u{2}")] {
        let place = two_generations();
        let path = place.memory().join("devid-store");
        match mark {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        assert_eq!(place.open().current("device").unwrap().generation, 2, "{mark:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "devid store 1\n", "{mark:?}");
    }
    // Nor is it while the first certificate is waited for, or where the factory has put anchors alone.
    for (what, fill) in [
        ("a key", (|store: &Store| store.put_pending_key("device", &Signer::Key(key(1))).unwrap()) as fn(&Store)),
        ("a request", |store| store.save_operation("device", b"state").unwrap()),
        ("a record", |store| store.put_blob("renewal", b"state").unwrap()),
        ("the time", |store| assert_eq!(store.note_time(NOW).unwrap(), NOW)),
        ("anchors", |store| store.set_anchors(AnchorSet::Cmp, &ca_chain()).unwrap()),
    ] {
        for mark in [None, Some(""), Some("devid sto"), Some("devid stork 1\n"), Some("\0\0\0\0\0\0\0\0\0\0\0\0\0\0")] {
            let place = Place::new();
            fill(&place.open());
            let path = place.memory().join("devid-store");
            let before: Vec<_> = files_below(&place.memory()).into_iter().filter(|file| *file != path).collect();
            match mark {
                None => fs::remove_file(&path).unwrap(),
                Some(text) => fs::write(&path, text).unwrap(),
            }
            place.open();
            assert_eq!(fs::read_to_string(&path).unwrap(), "devid store 1\n", "{what}, {mark:?}");
            let after: Vec<_> = files_below(&place.memory()).into_iter().filter(|file| *file != path).collect();
            assert_eq!(after, before, "{what}, {mark:?}");
        }
    }
    // The dark twin: a folder of that name holds no identity by itself, and one of a newer version is none of ours.
    let place = Place::new();
    fs::create_dir_all(place.0.join("identity/device")).unwrap();
    fs::write(place.0.join("identity/device/current"), "somebody else's").unwrap();
    set_mode(&place.0, 0o700);
    let refused = open_error(&place.0);
    assert_eq!(refused.kind, Kind::Corrupt);
    assert!(refused.detail.contains("\"devid store 1\" belongs into devid-store"), "the way on: {refused}");
    assert!(!place.0.join("devid-store").exists());
}

/// With an identity goes what is unfinished under its name: its key could still be certified, and nobody could go on with it.
#[test]
fn an_identity_that_is_removed_leaves_no_key_and_no_request_behind() {
    for has_identity in [true, false] {
        let place = if has_identity { two_generations() } else { Place::new() };
        let store = place.open();
        store.put_pending_key("device", &Signer::Key(key(3))).unwrap();
        store.save_operation("device", b"state").unwrap();
        store.put_pending_key("other", &Signer::Key(key(4))).unwrap();
        store.save_operation("other", b"state").unwrap();
        store.remove_identity("device").unwrap();
        let left = (store.identities().unwrap(), store.operations().unwrap(), store.pending_keys().unwrap());
        assert_eq!(left, (Vec::new(), vec!["other".to_owned()], vec!["other".to_owned()]), "{has_identity}");
        // The dark twin: what is not there is not removed.
        assert_eq!(store.remove_identity("device").unwrap_err().kind, Kind::NotFound);
    }
}

/// A sealed key that is damaged is damaged, whatever the secret is.
#[test]
fn a_damaged_byte_of_a_sealed_key_is_damage_and_no_wrong_secret() {
    let place = Place::new();
    let options =
        || StoreOptions { key_secret: Some(device_secret()), key_iterations: 1000, ..StoreOptions::default() };
    let store = Store::open_directory(place.memory(), provider(), options()).unwrap();
    for number in [1, 2] {
        store.install("device", &issued(number).new_identity()).unwrap();
    }
    let path = place.memory().join("identity/device/gen-000002/key.pem");
    let whole = fs::read_to_string(&path).unwrap();
    // In the middle of what is encrypted.
    let at = whole.len() * 2 / 3;
    let other = if whole.as_bytes()[at] == b'A' { "B" } else { "A" };
    fs::write(&path, format!("{}{other}{}", &whole[..at], &whole[at + 1..])).unwrap();
    assert_eq!(store.current("device").unwrap_err().kind, Kind::Corrupt);
    assert_eq!(store.last_good("device").unwrap().0.generation, 1);

    // The dark twin: a wrong secret damages nothing.
    fs::write(&path, whole).unwrap();
    let wrong: KeySecret = Arc::new(|| Ok(Zeroizing::new(b"another device's".to_vec())));
    let other =
        Store::open_directory(place.memory(), provider(), StoreOptions { key_secret: Some(wrong), ..options() })
            .unwrap();
    assert_eq!(other.current("device").unwrap_err().kind, Kind::Secret);
    assert!(other.repair().unwrap().iter().all(|found| !found.is_mended));
    assert_eq!(store.current("device").unwrap().generation, 2);
}

/// What an interrupted removal has left is nobody's, and its keys go with a factory reset.
#[test]
fn a_factory_reset_takes_what_an_interrupted_removal_has_left() {
    for files in 0..8 {
        let place = two_generations();
        let store = place.open();
        store.install("idevid", &issued(3).new_identity()).unwrap();
        store.remove_identity("device").unwrap();
        // The removal had begun, and has got so far: its pointer names nothing, files are there.
        let whole = two_generations();
        let (from, to) = (whole.memory().join("identity/device"), place.memory().join("identity/device"));
        let parts = files_below(&from).into_iter().filter(|path| path.to_str().unwrap().contains("gen-"));
        for path in parts.skip(files) {
            let target = to.join(path.strip_prefix(&from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            set_mode(target.parent().unwrap(), 0o700);
            fs::copy(&path, target).unwrap();
        }
        set_mode(&to, 0o700);
        fs::write(place.memory().join("identity/.tmp-9-9"), "a key whose removal was interrupted").unwrap();

        let store = place.open();
        store.factory_reset(&["idevid"]).unwrap();
        let left = files_below(&place.memory());
        assert!(left.iter().all(|path| !path.to_str().unwrap().contains("identity/device")), "{files}: {left:?}");
        assert!(left.iter().all(|path| !path.to_str().unwrap().contains(".tmp-")), "{files}: {left:?}");
        assert_eq!(store.identities().unwrap(), ["idevid"]);
        assert_eq!(store.current("idevid").unwrap().generation, 1);
        assert_eq!(store.verify().unwrap(), []);
    }
}
