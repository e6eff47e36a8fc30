//! A record that is damaged is the same matter in every home: what is kept beside it goes on, and what takes its place can be written.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use devid::store::*;

use crate::common::*;

/// A medium whose bytes a test can reach.
enum Medium {
    Map(MapStorage),
    #[cfg(unix)]
    Folder(Place),
}

impl Medium {
    fn all() -> Vec<(&'static str, Medium)> {
        let map = |is_atomic| Medium::Map(MapStorage { is_atomic, ..Default::default() });
        vec![
            ("callbacks", map(false)),
            ("atomic callbacks", map(true)),
            #[cfg(unix)]
            ("a directory", Medium::Folder(Place::new())),
        ]
    }

    fn open(&self) -> Store {
        match self {
            Medium::Map(storage) => Store::new(
                Box::new(CallbackBackend::new(storage.clone(), provider())),
                provider(),
                StoreOptions::default(),
            ),
            #[cfg(unix)]
            Medium::Folder(place) => place.open(),
        }
    }

    fn records(&self) -> BTreeMap<String, Vec<u8>> {
        match self {
            Medium::Map(storage) => storage.records.lock().unwrap().clone(),
            #[cfg(unix)]
            Medium::Folder(place) => {
                let (memory, is_lock) = (place.memory(), |name: &str| name.starts_with("lock"));
                let named = files_below(&memory).into_iter().map(|path| {
                    (path.strip_prefix(&memory).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
                });
                named.filter(|(name, _)| !is_lock(name)).collect()
            }
        }
    }

    /// The medium with these bytes in one place; `None`: the record is gone.
    fn with(&self, key: &str, bytes: Option<Vec<u8>>) -> Medium {
        match self {
            Medium::Map(storage) => {
                let mut records = storage.records.lock().unwrap().clone();
                records.remove(key);
                records.extend(bytes.map(|bytes| (key.to_owned(), bytes)));
                Medium::Map(MapStorage { records: Arc::new(Mutex::new(records)), ..storage.clone() })
            }
            #[cfg(unix)]
            Medium::Folder(place) => {
                let copy = Place::new();
                let made = std::process::Command::new("cp").arg("-a").arg(place.memory()).arg(copy.memory()).status();
                assert!(made.unwrap().success());
                match bytes {
                    Some(bytes) => fs::write(copy.memory().join(key), bytes).unwrap(),
                    None => fs::remove_file(copy.memory().join(key)).unwrap(),
                }
                Medium::Folder(copy)
            }
        }
    }
}

/// Everything that device memory keeps: two generations and a staged one, a removed identity's number, and all kinds of records.
fn fill(store: &Store) {
    store.install("gone", &issued(1).new_identity()).unwrap();
    store.remove_identity("gone").unwrap();
    store.install("device", &issued(1).new_identity()).unwrap();
    store.install("device", &issued(2).new_identity()).unwrap();
    store.stage("device", &issued(3).new_identity()).unwrap();
    store.put_pending_key("device", &Signer::Key(key(4))).unwrap();
    store.set_anchors(AnchorSet::Cmp, &ca_chain()).unwrap();
    store.save_operation("device", b"an operation").unwrap();
    store.put_blob("words", b"a blob").unwrap();
    store.raise_number("crl", &[7]).unwrap();
    store.note_time(NOW).unwrap();
}

const DAMAGES: [&str; 7] = ["missing", "empty", "half", "zeros", "garbage", "a bit", "the version"];

fn damaged(bytes: &[u8], damage: &str) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    match damage {
        "missing" => return None,
        "empty" => bytes.clear(),
        "half" => bytes.truncate(bytes.len() / 2),
        "zeros" => bytes.fill(0),
        "garbage" => bytes.iter_mut().zip(0u8..=255).for_each(|(byte, n)| *byte = n.wrapping_mul(167) ^ 0xa5),
        "a bit" => {
            let at = bytes.len() * 2 / 3;
            bytes[at] ^= 4;
        }
        _ => {
            // The "1" behind the kind, where there is a line that says one.
            let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            let at = bytes[..line].windows(2).position(|two| two == b" 1").map_or(0, |at| at + 1);
            bytes[at] ^= 2;
        }
    }
    Some(bytes)
}

#[test]
fn whichever_record_is_damaged_in_whichever_home_the_next_certificate_can_be_taken() {
    for (home, medium) in Medium::all() {
        fill(&medium.open());
        let records = medium.records();
        assert!(records.len() >= 20, "{home}: {:?}", records.keys());
        for (key, damage) in records.keys().flat_map(|key| DAMAGES.map(|damage| (key, damage))) {
            let what = format!("{home}, {key}: {damage}");
            for is_repaired in [false, true] {
                let broken = medium.with(key, damaged(&records[key], damage));
                let store = broken.open();
                if is_repaired {
                    store.repair().unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                let held = |error: StoreError| -> Identity { panic!("{what}, repaired: {is_repaired}: {error}") };
                store.last_good("device").map(|(good, _)| good).unwrap_or_else(held);
                let new = store.install("device", &issued(5).new_identity()).unwrap_or_else(held);
                assert!(new.generation > 3, "{what}: {}", new.generation);
                assert!(issued(5).is(&broken.open().current("device").unwrap_or_else(held)), "{what}");
                store.note_time(NOW.plus(60)).unwrap_or_else(|error| panic!("{what}: {error}"));
                store.save_operation("device", b"another").unwrap_or_else(|error| panic!("{what}: {error}"));
                store.put_blob("words", b"others").unwrap_or_else(|error| panic!("{what}: {error}"));
                let (first, again) = (store.remove_identity("device"), broken.open().identities().unwrap());
                first.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(again.is_empty(), "{what}: {again:?}");
                store.install("device", &issued(6).new_identity()).unwrap_or_else(held);
                store.repair().unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}
