//! Device memory that is moved away, removed or replaced while programs have it open; and who is in a conversation about an identity.

use std::fs;
use std::path::Path;
use std::process::Command;

use devid::Code;
use devid::client::Destination;
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;

fn to(store: &Store) -> Destination<'_> {
    Destination { store, name: "device", purpose: "ldevid" }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// A store with one generation, open, and a copy of it beside, in which the program has not renewed.
fn open_with_backup() -> (Place, Store) {
    let place = Place::new();
    let store = place.open();
    store.install("device", &issued(1).new_identity()).unwrap();
    copy(&place.memory(), &place.0.join("backup"));
    store.install("device", &issued(2).new_identity()).unwrap();
    (place, store)
}

fn generation_at(place: &Place) -> u32 {
    place.open().current("device").unwrap().generation
}

#[test]
fn whoever_has_it_open_goes_on_in_what_was_put_in_its_place() {
    for look_first in [false, true] {
        let (place, store) = open_with_backup();
        assert_eq!(store.current("device").unwrap().generation, 2);
        fs::rename(place.memory(), place.0.join("old")).unwrap();
        copy(&place.0.join("backup"), &place.memory());
        if look_first {
            assert_eq!(store.current("device").unwrap().generation, 1, "what is there counts");
        }
        let installed = store.install("device", &issued(3).new_identity()).unwrap();
        assert_eq!((installed.generation, generation_at(&place)), (2, 2), "it went where its path leads");
        assert!(issued(3).is(&place.open().current("device").unwrap()));
        let old = Store::open_directory(place.0.join("old"), provider(), StoreOptions::default()).unwrap();
        assert!(issued(2).is(&old.current("device").unwrap()), "what was taken away is as it was");
    }
}

#[test]
fn what_was_taken_away_is_not_written_to_and_comes_back_by_itself() {
    for removed in [false, true] {
        let (place, store) = open_with_backup();
        match removed {
            true => fs::remove_dir_all(place.memory()).unwrap(),
            false => fs::rename(place.memory(), place.0.join("old")).unwrap(),
        }
        let gone = |outcome: Result<Identity, StoreError>| {
            let error = outcome.unwrap_err();
            assert!(error.kind == Kind::Io && error.detail.contains("moved or removed"), "{error}");
            assert!(!error.is_damage(), "nobody asks for a new certificate because of it");
        };
        gone(store.install("device", &issued(3).new_identity()));
        gone(store.current("device"));
        // A medium that is not mounted: an empty folder is where it belongs, and does not become device memory.
        fs::create_dir(place.memory()).unwrap();
        let error = store.install("device", &issued(3).new_identity()).unwrap_err();
        assert!(error.kind == Kind::Io && error.detail.contains("no device memory"), "{error}");
        assert_eq!(fs::read_dir(place.memory()).unwrap().count(), 0);
        fs::remove_dir(place.memory()).unwrap();
        copy(&place.0.join("backup"), &place.memory());
        assert_eq!(store.install("device", &issued(3).new_identity()).unwrap().generation, 2);
    }
}

/// The dark twin: what is where it was is not opened anew, and one turn of the lock is one place.
#[test]
fn a_change_that_has_begun_ends_where_it_began() {
    let (place, store) = open_with_backup();
    let hold = store.hold().unwrap();
    fs::rename(place.memory(), place.0.join("old")).unwrap();
    copy(&place.0.join("backup"), &place.memory());
    assert_eq!(store.current("device").unwrap().generation, 2);
    drop(hold);
    assert_eq!(store.current("device").unwrap().generation, 1);
}

#[test]
fn one_is_in_a_conversation_about_an_identity_of_all_threads_and_handles() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let first = to(&store).converse().unwrap();
    let again = to(&store).converse().unwrap();
    drop(first);
    let locked = |store: &Store| {
        let error = to(store).converse().unwrap_err();
        assert_eq!(error.code(), Code::Locked, "{error}");
        let who = format!("a program (process {}, since 2", std::process::id());
        assert!(error.message().contains(&who) && error.message().contains("at work on \"device\""), "{error}");
    };
    locked(&other);
    std::thread::scope(|scope| scope.spawn(|| locked(&store)).join().unwrap());
    // The dark twins: another identity is another conversation, and changes go on meanwhile.
    drop(Destination { name: "second", ..to(&other) }.converse().unwrap());
    other.install("device", &issued(1).new_identity()).unwrap();
    drop(again);
    drop(to(&other).converse().unwrap());
    std::thread::scope(|scope| scope.spawn(|| drop(to(&store).converse().unwrap())).join().unwrap());
    assert!(store.verify().unwrap().is_empty());
}
