//! Device memory under faults: stopped at every step, failing at every step, power lost with writes unsynced.
//!
//! After each fault the memory is opened again and must hold exactly one usable identity, the old or the new one, never
//! a mixture; it must be possible to go on; and a look-over must find nothing that it cannot put right.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use devid::store::{StoreErrorKind as Kind, *};
use zeroize::Zeroizing;

use crate::common::*;

/// A change to device memory that may be interrupted.
struct Change {
    name: &'static str,
    prepare: fn(&Store),
    act: fn(&Store) -> Result<(), StoreError>,
    /// Numbers of the identities that may be in use afterwards: if it failed or was cut off, and if it succeeded.
    before: Option<usize>,
    after: Option<usize>,
}

fn nothing(_: &Store) {}

fn one(store: &Store) {
    store.install("device", &issued(1).new_identity()).unwrap();
}

fn two(store: &Store) {
    one(store);
    store.install("device", &issued(2).new_identity()).unwrap();
}

fn staged(store: &Store) {
    two(store);
    store.put_pending_key("next", &NewKey::Held(&*key(3))).unwrap();
    store.stage("device", &issued(3).with(NewKey::Pending("next"))).unwrap();
}

const CHANGES: &[Change] = &[
    Change {
        name: "first installation",
        prepare: nothing,
        act: |s| s.install("device", &issued(1).new_identity()).map(drop),
        before: None,
        after: Some(1),
    },
    Change {
        name: "key update with a pending key and retention",
        prepare: |s| {
            two(s);
            s.put_pending_key("next", &NewKey::Held(&*key(3))).unwrap();
        },
        act: |s| s.install("device", &issued(3).with(NewKey::Pending("next"))).map(drop),
        before: Some(2),
        after: Some(3),
    },
    Change {
        name: "staging",
        prepare: two,
        act: |s| s.stage("device", &issued(3).new_identity()).map(drop),
        before: Some(2),
        after: Some(2),
    },
    Change {
        name: "promotion",
        prepare: staged,
        act: |s| s.promote("device").map(drop),
        before: Some(2),
        after: Some(3),
    },
    Change { name: "discarding", prepare: staged, act: |s| s.discard("device"), before: Some(2), after: Some(2) },
    Change { name: "rollback", prepare: two, act: |s| s.rollback("device").map(drop), before: Some(2), after: Some(1) },
    Change { name: "removal", prepare: two, act: |s| s.remove_identity("device"), before: Some(2), after: None },
    Change {
        name: "a new pending key",
        prepare: two,
        act: |s| s.put_pending_key("fresh", &NewKey::Held(&*key(4))),
        before: Some(2),
        after: Some(2),
    },
    Change {
        name: "status data and a saved operation",
        prepare: |s| {
            one(s);
            s.put_blob("crl", b"old crl").unwrap();
            s.raise_number("crl", &[5]).unwrap();
            s.save_operation("enrol", b"old state").unwrap();
            s.set_anchors(AnchorSet::Cmp, &ca_chain()[..1]).unwrap();
        },
        act: |s| {
            s.put_blob("crl", b"new crl")?;
            s.raise_number("crl", &[6])?;
            s.save_operation("enrol", b"new state")?;
            s.set_anchors(AnchorSet::Cmp, &ca_chain())
        },
        before: Some(1),
        after: Some(1),
    },
];

/// What must hold after a fault. `outcome` is what the interrupted call said.
fn check(change: &Change, at: &str, outcome: &Result<(), StoreError>, store: &Store) {
    let at = format!("{}, {at}, {outcome:?}", change.name);
    let mut allowed = vec![change.after];
    if outcome.is_err() {
        allowed.push(change.before);
    }
    let is_allowed = |store: &Store, when: &str| {
        let found = store.current("device");
        let good = allowed.iter().any(|expected| match (expected, &found) {
            (Some(number), Ok(found)) => issued(*number).is(found),
            (None, Err(error)) => error.kind == Kind::NotFound,
            _ => false,
        });
        assert!(good, "{when}: {at}: {found:?}");
    };
    is_allowed(store, "after the fault");
    if change.name.starts_with("status") {
        assert!([&b"old crl"[..], b"new crl"].contains(&store.blob("crl").unwrap().as_slice()), "{at}");
        assert!([&b"old state"[..], b"new state"].contains(&store.load_operation("enrol").unwrap().as_slice()), "{at}");
        assert!([1, 2].contains(&store.anchors(AnchorSet::Cmp).unwrap().len()), "{at}");
        assert!([[5], [6]].contains(&store.number("crl").unwrap().unwrap().try_into().unwrap()), "{at}");
    }
    if change.name.starts_with("key update") {
        let has_key = store.pending_keys().unwrap().contains(&"next".to_owned());
        let is_new = issued(3).is(&store.current("device").unwrap());
        assert!(has_key || is_new, "the new key is either waiting or in use: {at}");
    }

    // What was left behind is put right, and a second look finds nothing.
    let mended = store.repair().unwrap();
    assert!(mended.iter().all(|p| p.is_mended || p.kind == ProblemKind::Unresolved), "{at}: {mended:?}");
    let left: Vec<_> = store.verify().unwrap().into_iter().filter(|p| p.kind != ProblemKind::Unresolved).collect();
    assert!(left.is_empty(), "{at}: {left:?}");
    is_allowed(store, "after repair");

    // And life goes on.
    if store.state("device").unwrap().pending.is_some() {
        store.discard("device").unwrap();
    }
    store.install("device", &issued(6).new_identity()).unwrap_or_else(|e| panic!("{at}: {e}"));
    assert!(issued(6).is(&store.current("device").unwrap()));
}

// ---- a home of primitives that fail ------------------------------------------------------------------------------

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The process is stopped: this call and all later ones do not happen.
    Stop,
    /// This call fails, later ones work.
    Fail(Kind),
}

/// Which of the changes that were not synced survive the loss of power.
#[derive(Clone, Copy, Debug)]
enum Survivors {
    All,
    None,
    First,
    Last,
    EverySecond,
}

/// Records on a medium that remembers what was synced.
#[derive(Clone, Default)]
struct Medium {
    durable: BTreeMap<String, Vec<u8>>,
    /// Since the last sync, in order; `None` removes.
    unsynced: Vec<(String, Option<Vec<u8>>)>,
}

impl Medium {
    fn now(&self) -> BTreeMap<String, Vec<u8>> {
        let mut records = self.durable.clone();
        for (key, value) in &self.unsynced {
            apply(&mut records, key, value.as_ref());
        }
        records
    }

    fn lose_power(&mut self, survivors: Survivors) {
        let count = self.unsynced.len();
        for (i, (key, value)) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            let survives = match survivors {
                Survivors::All => true,
                Survivors::None => false,
                Survivors::First => i == 0,
                Survivors::Last => i + 1 == count,
                Survivors::EverySecond => i % 2 == 1,
            };
            if survives {
                apply(&mut self.durable, &key, value.as_ref());
            }
        }
    }
}

fn apply(records: &mut BTreeMap<String, Vec<u8>>, key: &str, value: Option<&Vec<u8>>) {
    match value {
        Some(bytes) => records.insert(key.to_owned(), bytes.clone()),
        None => records.remove(key),
    };
}

/// Counts primitives and goes wrong at one of them.
#[derive(Clone)]
struct Faulty {
    medium: Arc<Mutex<Medium>>,
    step: Arc<AtomicUsize>,
    at: usize,
    fault: Fault,
    /// A write that is stopped leaves half of the bytes.
    tears: bool,
}

impl Faulty {
    fn new(medium: &Arc<Mutex<Medium>>, at: usize, fault: Fault) -> Self {
        Faulty { medium: medium.clone(), step: Arc::default(), at, fault, tears: false }
    }

    /// Whether this step goes wrong.
    fn step(&self, key: &str) -> Result<(), StoreError> {
        let step = self.step.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fault {
            Fault::Stop if step >= self.at => Err(StoreError::new(Kind::Io, key, "stopped")),
            Fault::Fail(kind) if step == self.at => Err(StoreError::new(kind, key, "injected")),
            _ => Ok(()),
        }
    }

    fn put(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let outcome = self.step(key);
        let step = self.step.load(Ordering::SeqCst);
        let mut medium = self.medium.lock().unwrap();
        match &outcome {
            Ok(()) => medium.unsynced.push((key.to_owned(), Some(bytes.to_vec()))),
            Err(_) if self.tears && step == self.at => {
                medium.unsynced.push((key.to_owned(), Some(bytes[..bytes.len() / 2].to_vec())));
            }
            Err(_) => {}
        }
        outcome
    }

    fn drop_record(&mut self, key: &str) -> Result<(), StoreError> {
        self.step(key)?;
        self.medium.lock().unwrap().unsynced.push((key.to_owned(), None));
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), StoreError> {
        self.step("sync")?;
        self.medium.lock().unwrap().lose_power(Survivors::All);
        Ok(())
    }

    fn get(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        // A stopped process reads nothing; failing reads are steps of their own.
        self.step(key)?;
        Ok(self.medium.lock().unwrap().now().get(key).cloned().map(Zeroizing::new))
    }

    fn keys(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.step(prefix)?;
        Ok(self.medium.lock().unwrap().now().into_keys().filter(|k| k.starts_with(prefix)).collect())
    }
}

impl Backend for Faulty {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.get(key)
    }
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(key, bytes)
    }
    fn remove(&mut self, key: &str, _: bool) -> Result<(), StoreError> {
        self.drop_record(key)
    }
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.keys(prefix)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.barrier()
    }
}

impl RawStorage for Faulty {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.get(key)
    }
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(key, bytes)
    }
    fn remove(&mut self, key: &str, _: bool) -> Result<(), StoreError> {
        self.drop_record(key)
    }
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.keys(prefix)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.barrier()
    }
}

const NEVER: usize = usize::MAX;

/// Runs a change with a fault at every step in turn; `open` makes a store over the medium. Returns how many points were
/// tried.
fn at_every_step(
    change: &Change,
    fault: Fault,
    tears: bool,
    survivors: Survivors,
    open: impl Fn(Faulty) -> Store,
) -> usize {
    let prepared = Arc::new(Mutex::new(Medium::default()));
    (change.prepare)(&open(Faulty::new(&prepared, NEVER, Fault::Stop)));
    for at in 1.. {
        let medium = Arc::new(Mutex::new(prepared.lock().unwrap().clone()));
        let faulty = Faulty { tears, ..Faulty::new(&medium, at, fault) };
        let steps = faulty.step.clone();
        let outcome = (change.act)(&open(faulty));
        let was_reached = steps.load(Ordering::SeqCst) >= at;
        medium.lock().unwrap().lose_power(survivors);
        let label = format!("step {at}, {fault:?}, {survivors:?}");
        check(change, &label, &outcome, &open(Faulty::new(&medium, NEVER, Fault::Stop)));
        if !was_reached {
            outcome.unwrap_or_else(|e| panic!("{}: without a fault: {e}", change.name));
            return at - 1;
        }
    }
    unreachable!()
}

fn plain(home: Faulty) -> Store {
    Store::new(Box::new(home), provider(), StoreOptions::default())
}

fn callback(home: Faulty) -> Store {
    Store::new(Box::new(CallbackBackend::new(home, provider())), provider(), StoreOptions::default())
}

#[test]
fn stopped_at_any_primitive_with_any_unsynced_writes_lost_the_old_or_the_new_identity_is_whole() {
    let mut points = 0;
    for change in CHANGES {
        for survivors in [Survivors::All, Survivors::None, Survivors::First, Survivors::Last, Survivors::EverySecond] {
            points += at_every_step(change, Fault::Stop, false, survivors, plain);
        }
    }
    eprintln!("{points} points, 0 violations");
    assert!(points > 500);
}

#[test]
fn storage_that_tears_writes_is_made_whole_by_the_callback_home() {
    let mut points = 0;
    for change in CHANGES {
        for survivors in [Survivors::All, Survivors::None, Survivors::Last] {
            points += at_every_step(change, Fault::Stop, true, survivors, callback);
        }
    }
    eprintln!("{points} points, 0 violations");
    assert!(points > 500);
}

#[test]
fn a_primitive_that_fails_once_is_reported_and_does_no_harm() {
    for change in CHANGES {
        for kind in [Kind::Io, Kind::Full, Kind::Permission] {
            at_every_step(change, Fault::Fail(kind), false, Survivors::All, plain);
        }
        at_every_step(change, Fault::Fail(Kind::Full), true, Survivors::All, callback);
    }
}

// ---- a directory whose system calls fail -------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn stopped_or_failing_at_any_system_call_a_directory_keeps_one_whole_identity() {
    let mut points = 0;
    for change in CHANGES {
        for fault in [None, Some(io::ErrorKind::StorageFull), Some(io::ErrorKind::ReadOnlyFilesystem)] {
            points += at_every_system_call(change, fault);
        }
    }
    eprintln!("{points} points, 0 violations");
    assert!(points > 300);
}

/// `None` stops the process: nothing is done from that call on, no cleaning up either.
#[cfg(unix)]
fn at_every_system_call(change: &Change, fault: Option<io::ErrorKind>) -> usize {
    let prepared = Place::new();
    (change.prepare)(&prepared.open());
    for at in 1.. {
        let place = Place::new();
        copy_directory(&prepared.memory(), &place.memory());
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let probe: Probe = Arc::new(move |_, _| {
            let call = counter.fetch_add(1, Ordering::SeqCst) + 1;
            match fault {
                None if call >= at => Err(io::Error::other("stopped")),
                Some(kind) if call == at => Err(kind.into()),
                _ => Ok(()),
            }
        });
        let options = DirectoryOptions { probe: Some(probe), ..Default::default() };
        let outcome = DirectoryBackend::open(place.memory(), options)
            .and_then(|home| (change.act)(&Store::new(Box::new(home), provider(), StoreOptions::default())));
        let label = format!("system call {at}, {fault:?}");
        if let (Err(error), Some(kind)) = (&outcome, fault) {
            let expected = if kind == io::ErrorKind::StorageFull { Kind::Full } else { Kind::Permission };
            assert!([expected, Kind::VerifyAfterWrite].contains(&error.kind), "{}: {label}: {error:?}", change.name);
        }
        for path in files_below(&place.memory()) {
            use std::os::unix::fs::MetadataExt;
            let mode = std::fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o077, 0, "{}: {label}: {} lets others in", change.name, path.display());
        }
        check(change, &label, &outcome, &place.open());
        let leftovers: Vec<_> =
            files_below(&place.memory()).into_iter().filter(|p| p.to_string_lossy().contains(".tmp-")).collect();
        assert!(leftovers.is_empty(), "{}: {label}: {leftovers:?}", change.name);
        if calls.load(Ordering::SeqCst) < at {
            outcome.unwrap_or_else(|e| panic!("{}: without a fault: {e}", change.name));
            return at - 1;
        }
    }
    unreachable!()
}

#[cfg(unix)]
#[test]
fn making_a_directory_can_be_interrupted_anywhere_and_tried_again() {
    for fault in [None, Some(io::ErrorKind::StorageFull)] {
        for at in 1.. {
            let place = Place::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let counter = calls.clone();
            let probe: Probe = Arc::new(move |_, _| {
                let call = counter.fetch_add(1, Ordering::SeqCst) + 1;
                match fault {
                    None if call >= at => Err(io::Error::other("stopped")),
                    Some(kind) if call == at => Err(kind.into()),
                    _ => Ok(()),
                }
            });
            let options = DirectoryOptions { probe: Some(probe), ..Default::default() };
            let outcome = DirectoryBackend::open(place.memory(), options).map(drop);
            place.open().install("device", &issued(1).new_identity()).unwrap();
            assert_eq!(place.open().verify().unwrap(), [], "system call {at}, {outcome:?}");
            if calls.load(Ordering::SeqCst) < at {
                outcome.unwrap();
                assert!(at > 6);
                break;
            }
            assert!(outcome.is_err(), "system call {at}");
        }
    }
}

#[cfg(unix)]
const VICTIM: &str = "DEVID_TEST_STORE_VICTIM";

#[cfg(unix)]
#[test]
#[ignore = "run by the next test, in a process of its own"]
fn victim() {
    let path = std::env::var(VICTIM).expect("set by the test that kills this process");
    let store = Store::open_directory(path, provider(), StoreOptions::default()).unwrap();
    println!("ready");
    for number in (1..=5).cycle() {
        store.put_pending_key("next", &NewKey::Held(&*key(number))).unwrap();
        store.install("device", &issued(number).with(NewKey::Pending("next"))).unwrap();
        store.raise_number("rounds", &(1 + count(&store)).to_be_bytes()).unwrap();
    }
}

#[cfg(unix)]
fn count(store: &Store) -> u64 {
    store.number("rounds").unwrap().unwrap_or_default().iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

#[cfg(unix)]
#[test]
fn a_process_killed_while_it_installs_leaves_one_whole_identity_and_no_lock() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let place = Place::new();
    one(&place.open());
    let mut last = 0;
    for round in 0..15u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::victim", "--nocapture"])
            .env(VICTIM, place.memory())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        std::thread::sleep(std::time::Duration::from_millis(3 + 5 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = place.open();
        let found = store.current("device").unwrap_or_else(|e| panic!("round {round}: {e}"));
        let key = found.key.held().unwrap();
        let algorithm = key.kind().default_signature();
        let signature = key.sign(&algorithm, b"still me").unwrap();
        provider().verify(&algorithm, key.spki(), b"still me", &signature, false).unwrap();
        assert!(count(&store) >= last, "numbers never go back");
        last = count(&store);
        let mended = store.repair().unwrap();
        assert!(mended.iter().all(|p| p.is_mended), "round {round}: {mended:?}");
        assert_eq!(store.verify().unwrap(), [], "round {round}");
        // The key it was about to use is waiting, or in use already.
        store.remove_pending_key("next").unwrap();
    }
    assert!(last > 0, "it was killed while installing, not before");
}

/// With its access rights.
#[cfg(unix)]
fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
