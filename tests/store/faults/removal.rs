//! The removal of an identity while a request is under way, interrupted anywhere.

use std::sync::Arc;

use devid::crypto::DigestAlgorithm;
use devid::store::{StoreErrorKind as Kind, *};

use super::medium::Lies;
use super::plan::{Dice, Fault, Plan};
use super::scenarios::request;
use super::world::{Directory, Primitives, Promise, World};
use crate::common::*;

/// What an identity has while its renewal waits, beside another one in the same state. Up to `parts` of what it can have.
fn fill(store: &Store, name: &str, (old, new): (usize, usize), parts: usize) {
    let digest = provider().digest(DigestAlgorithm::Sha256, &[name.as_bytes()]).unwrap();
    let mark: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let export = format!("devid export 1\nidentity {name}\nof 00\nprogram done\n");
    let steps: [&dyn Fn(); 7] = [
        &|| {
            store.put_pending_key(name, &Signer::Key(key(3))).unwrap();
            store.put_pending_request(name, &request()).unwrap();
        },
        &|| store.save_operation(name, b"waits at the CA").unwrap(),
        &|| drop(store.install(name, &issued(old).new_identity()).unwrap()),
        &|| drop(store.install(name, &issued(new).new_identity()).unwrap()),
        &|| store.put_pending_key(&format!("online-{mark}-{name}"), &Signer::Key(key(4))).unwrap(),
        &|| {
            store.put_blob(&format!("renewal-{mark}-{name}"), b"devid renewal 3\nidentity 00").unwrap();
            store.put_blob(&format!("changed-{mark}"), b"00").unwrap();
            store.put_blob(&format!("export-of-{name}"), export.as_bytes()).unwrap();
        },
        &|| drop(store.stage(name, &issued(5).new_identity()).unwrap()),
    ];
    steps.iter().take(parts).for_each(|step| step());
}

/// Records of one identity: not those of the other.
fn records_of<W: World>(world: &W, name: &str) -> Vec<String> {
    let mark = |name: &str| {
        let digest = provider().digest(DigestAlgorithm::Sha256, &[name.as_bytes()]).unwrap();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let is_its = |key: &str| key.contains(&mark(name)) || key.split(['/', '.', '-', '~']).any(|part| part == name);
    world.contents().into_iter().map(|(key, ..)| key).filter(|key| is_its(key)).collect()
}

fn removed_anywhere<W: World>(empty: &W, parts: usize, stride: usize) -> usize {
    let store = empty.reopen();
    fill(&store, "other", (6, 7), 6);
    let others = records_of(empty, "other");
    fill(&store, "device", (1, 2), parts);
    drop(store);
    let prepared = empty.fork();
    let plan = Arc::new(Plan::none());
    let clean = prepared.fork();
    clean.open(&plan).unwrap().remove_identity("device").unwrap();
    assert_eq!(records_of(&clean, "device"), Vec::<String>::new(), "{}", clean.name());
    assert_eq!(records_of(&clean, "other"), others, "{}", clean.name());
    // The dark twin: what is gone cannot be removed again.
    assert_eq!(clean.reopen().remove_identity("device").unwrap_err().kind, Kind::NotFound);

    let mut dice = Dice::new(&clean.name());
    let mut points = 0;
    for at in (1..=plan.count()).step_by(stride) {
        let world = prepared.fork();
        let stopped = Arc::new(Plan::new(at, Fault::Stop));
        drop(world.open(&stopped).and_then(|store| store.remove_identity("device")));
        let label = format!("{}, {parts} parts, stopped at {at} ({})", world.name(), stopped.chosen());
        let images = world.after_power_loss(&mut dice, 2);
        for left in std::iter::once(world).chain(images) {
            points += 1;
            let before = records_of(&left.fork(), "device").len();

            // Looked over: it is as if nothing had been begun, or it is finished.
            let (mended, again, anew) = (left.fork(), left.fork(), left.fork());
            let store = mended.reopen();
            store.repair().unwrap();
            let found = store.verify().unwrap();
            assert!(found.iter().all(|found| found.kind == ProblemKind::Unresolved), "{label}: {found:?}");
            let is_begun = store.state("device").unwrap() == IdentityState::default() && parts > 2
                || records_of(&mended, "device").is_empty();
            let rest = records_of(&mended, "device");
            assert!(!is_begun || rest.is_empty(), "{label}: repair leaves {rest:?}");
            assert!(is_begun || rest.len() + 1 >= before, "{label}: of {before}, {rest:?}");
            assert_eq!(records_of(&mended, "other"), others, "{label}");
            assert_eq!(store.current("other").unwrap().certificate, issued(7).certificate, "{label}");

            // The same call once more finishes it.
            if let Err(error) = again.reopen().remove_identity("device") {
                assert_eq!(error.kind, Kind::NotFound, "{label}: {error}");
            }
            assert_eq!(records_of(&again, "device"), Vec::<String>::new(), "{label}");
            assert_eq!(records_of(&again, "other"), others, "{label}");

            // Or whoever begins anew under this name: nothing of the old one is met with.
            let store = anew.reopen();
            if is_begun {
                store.install("device", &issued(1).new_identity()).unwrap();
                let rest = records_of(&anew, "device");
                assert!(rest.iter().all(|key| key.starts_with("identity/device/")), "{label}: {rest:?}");
                assert_eq!(store.verify().unwrap().len(), 0, "{label}");
            }
        }
    }
    points
}

#[test]
fn a_removal_interrupted_anywhere_leaves_no_key_and_no_request_behind() {
    let mut points = 0;
    for parts in 1..=7 {
        // All that an identity can have is tried at every call, in every home; less of it at some.
        let stride = if parts == 7 { 7 } else { 29 };
        let lies = Lies { file_sync: false, directory_sync: false };
        points += removed_anywhere(&Directory::new(parts % 2 == 0, lies), parts, stride);
        for promise in [Promise::Backend, Promise::AtomicCallbacks, Promise::Callbacks] {
            points += removed_anywhere(&Primitives::new(promise, false), parts, stride);
        }
    }
    eprintln!("{points} points");
    assert!(points > 300, "{points}");
}

/// Nobody's request is taken away while he is at work.
#[test]
fn an_identity_is_not_removed_while_somebody_is_in_a_conversation_about_it() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    fill(&one, "device", (1, 2), 4);
    let to = devid::client::Destination { store: &one, name: "device", purpose: "ldevid" };
    let alone = to.converse().unwrap();
    assert!(place.memory().join("lock.device").exists());
    let refused = other.remove_identity("device").unwrap_err();
    assert_eq!(refused.kind, Kind::AtWork, "{refused}");
    assert_eq!(other.current("device").unwrap().generation, 2);
    drop(alone);
    other.remove_identity("device").unwrap();
    assert!(!place.memory().join("lock.device").exists());
    // Whoever comes next makes the lock anew, and it keeps others out as before.
    let alone = to.converse().unwrap();
    assert_eq!(other.remove_identity("device").unwrap_err().kind, Kind::AtWork);
    drop(alone);
}
