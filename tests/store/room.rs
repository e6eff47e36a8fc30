//! What a change costs, what a full medium still allows, and numbers that only count up.

use std::sync::{Arc, Mutex};

use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;

fn current(store: &Store) -> u32 {
    store.current("device").unwrap().generation
}

/// Whoever reads a generation while it is replaced must not find another one's key under its number.
#[test]
fn no_number_of_a_generation_is_used_twice() {
    let place = Place::new();
    let open = || Store::open_directory(place.memory(), provider(), StoreOptions::default()).unwrap();
    let store = open();
    let mut used = Vec::new();
    for round in 0..3 {
        used.push(store.install("device", &issued(1).new_identity()).unwrap().generation);
        used.push(store.stage("device", &issued(2).new_identity()).unwrap().generation);
        store.discard("device").unwrap();
        used.push(store.stage("device", &issued(3).new_identity()).unwrap().generation);
        // Also by another process.
        let store = open();
        used.push(store.install("device", &issued(4).new_identity()).unwrap().generation);
        store.rollback("device").unwrap();
        store.promote("device").unwrap();
        used.push(store.install("device", &issued(5).new_identity()).unwrap().generation);
        if round < 2 {
            store.remove_identity("device").unwrap();
        }
    }
    assert!(used.windows(2).all(|pair| pair[0] < pair[1]), "{used:?}");
    assert_eq!(used[0], 1, "a device's first one is the first");
    assert_eq!(store.verify().unwrap(), []);
    // A first one that was never in use leaves no number behind either.
    let before = store.stage("other", &issued(6).new_identity()).unwrap().generation;
    store.discard("other").unwrap();
    assert!(store.install("other", &issued(6).new_identity()).unwrap().generation > before);
}

/// Pointers as the first versions wrote them have no line for it.
#[test]
fn a_pointer_without_the_highest_number_is_read() {
    let place = Place::new();
    let store = Store::open_directory(place.memory(), provider(), StoreOptions::default()).unwrap();
    store.install("device", &issued(1).new_identity()).unwrap();
    store.install("device", &issued(2).new_identity()).unwrap();
    let body = "devid-pointer 1\ncurrent 2\nprevious 1\npending -\n";
    let digest = provider().digest(devid::crypto::DigestAlgorithm::Sha256, &[body.as_bytes()]).unwrap();
    let check: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    for name in ["current", "current.copy"] {
        std::fs::write(place.memory().join("identity/device").join(name), format!("{body}check {check}\n")).unwrap();
    }
    assert_eq!(current(&store), 2);
    assert_eq!(store.verify().unwrap(), []);
    assert_eq!(store.install("device", &issued(3).new_identity()).unwrap().generation, 3);
}

/// The system calls that a process makes for its first change.
fn first_change(place: &Place) -> Vec<String> {
    struct Counter(Mutex<Vec<String>>);
    impl Witness for Counter {
        fn before(&self, call: &Call<'_>) -> Verdict {
            self.0.lock().unwrap().push(call.to_string());
            Verdict::Go
        }
    }
    let counter = Arc::new(Counter(Mutex::default()));
    let options = DirectoryOptions { witness: Some(counter.clone()), ..DirectoryOptions::default() };
    let home = DirectoryBackend::open(place.memory(), options).unwrap();
    let store = Store::new(Box::new(home), provider(), StoreOptions::default());
    store.put_blob("x", b"1").unwrap();
    store.rollback("d000").unwrap();
    counter.0.lock().unwrap().clone()
}

#[test]
fn the_first_change_of_a_part_does_not_cost_the_whole() {
    let place = Place::new();
    let store = Store::open_directory(place.memory(), provider(), StoreOptions::default()).unwrap();
    let mut costs = Vec::new();
    store.put_blob("x", b"0").unwrap();
    for number in 0..40 {
        store.install(&format!("d{number:03}"), &issued(1).new_identity()).unwrap();
        store.install(&format!("d{number:03}"), &issued(2).new_identity()).unwrap();
        if number == 0 || number == 39 {
            costs.push(first_change(&place).len());
        }
    }
    assert!(costs[1] <= costs[0] + 4, "with one identity, with forty: {costs:?} calls");
}

/// A part that is not looked at now is put in order when it is changed.
#[test]
fn what_a_stopped_process_left_goes_with_the_next_change_of_that_part() {
    let place = Place::new();
    let store = Store::open_directory(place.memory(), provider(), StoreOptions::default()).unwrap();
    for name in ["device", "tls"] {
        store.install(name, &issued(1).new_identity()).unwrap();
    }
    drop(store);
    let left = |name: &str| place.memory().join(format!("identity/{name}/gen-000001/.tmp-1-1"));
    for name in ["device", "tls"] {
        std::fs::write(left(name), b"half a key").unwrap();
    }
    let store = Store::open_directory(place.memory(), provider(), StoreOptions::default()).unwrap();
    store.install("device", &issued(2).new_identity()).unwrap();
    assert!(!left("device").exists() && left("tls").exists());
    assert!(store.repair().unwrap().iter().all(|problem| problem.is_mended));
    assert!(!left("tls").exists());
}

#[test]
fn on_a_full_medium_what_makes_room_works_and_so_does_the_way_back() {
    for is_atomic in [true, false] {
        let room = Arc::new(Mutex::new(usize::MAX));
        let medium = MapStorage { room: Some(room.clone()), is_atomic, ..Default::default() };
        let store =
            Store::new(Box::new(CallbackBackend::new(medium.clone(), provider())), provider(), StoreOptions::default());
        for number in [1, 2] {
            store.install("device", &issued(number).new_identity()).unwrap();
        }
        store.install("other", &issued(4).new_identity()).unwrap();
        store.note_time(NOW).unwrap();
        store.stage("device", &issued(3).new_identity()).unwrap();

        *room.lock().unwrap() = medium.used();
        assert_eq!(store.put_blob("more", b"x").unwrap_err().kind, Kind::Full);
        assert_eq!(current(&store), 2);
        if is_atomic {
            assert_eq!(store.note_time(NOW.plus(60)).unwrap(), NOW.plus(60));
            *room.lock().unwrap() = medium.used();
            store.rollback("device").unwrap();
            assert_eq!(current(&store), 1);
            *room.lock().unwrap() = medium.used();
            store.promote("device").unwrap();
            assert_eq!(current(&store), 3, "what the CA takes for confirmed comes into use");
            *room.lock().unwrap() = medium.used();
        } else {
            *room.lock().unwrap() = medium.used();
            store.discard("device").unwrap();
            *room.lock().unwrap() = medium.used();
        }
        store.remove_identity("other").unwrap();
        assert_eq!(store.identities().unwrap(), ["device"]);
        *room.lock().unwrap() = usize::MAX;
        store.repair().unwrap();
        assert_eq!(store.verify().unwrap(), []);
    }
}
