//! Places where device memory lives and where anything can go wrong: a directory with its system calls, and homes of
//! primitives with theirs. The same suite runs over all of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use devid::store::*;
use zeroize::Zeroizing;

use super::medium::{Image, Lies, Medium, content};
use super::plan::{Dice, EIO, ENOSPC, EROFS, Plan, Seen};
use crate::common::*;

/// How keys are kept.
pub fn options(is_sealed: bool) -> StoreOptions {
    let key_secret = is_sealed.then(device_secret);
    // Few iterations: the tests are about storage.
    StoreOptions { key_secret, key_iterations: 1, ..StoreOptions::default() }
}

/// A place with device memory in it.
pub trait World: Sized + Send + Sync {
    /// For the report.
    fn name(&self) -> String;

    /// The same again, everything in it durable.
    fn fork(&self) -> Self;

    /// A process starts and opens device memory; its calls follow the plan.
    fn open(&self, plan: &Arc<Plan>) -> Result<Store, StoreError>;

    /// Of all that is there.
    fn fingerprint(&self) -> u64;

    /// What may be found after the power was lost now.
    fn after_power_loss(&self, dice: &mut Dice, most: usize) -> Vec<Self>;

    /// All bytes that are there, with names; and whether others may read them.
    fn contents(&self) -> Vec<(String, Vec<u8>, bool)>;

    fn is_sealed(&self) -> bool;

    fn reopen(&self) -> Store {
        self.open(&Arc::new(Plan::none())).expect("device memory opens after a restart")
    }
}

// ---- a directory -------------------------------------------------------------------------------------------------

/// A directory, with a model of what of it is durable.
pub struct Directory {
    place: Place,
    medium: Arc<Mutex<Medium>>,
    lies: Lies,
    is_sealed: bool,
}

impl Directory {
    pub fn new(is_sealed: bool, lies: Lies) -> Self {
        let place = Place::new();
        let medium = Arc::new(Mutex::new(Medium::of(&place.memory(), lies)));
        Directory { place, medium, lies, is_sealed }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.place.memory()
    }

    /// After the power was lost now, and with it all that was not synced.
    pub fn oldest(&self) -> Self {
        self.of(&self.medium.lock().unwrap().image(&mut |_| 0))
    }

    /// After the power was lost now, one of the ways.
    pub fn by_chance(&self, dice: &mut Dice) -> Self {
        self.of(&self.medium.lock().unwrap().image(&mut |arity| dice.below(arity)))
    }

    fn of(&self, image: &Image) -> Self {
        let place = Place::new();
        if self.path().exists() {
            image.write_to(&place.memory());
        }
        let medium = Arc::new(Mutex::new(Medium::of(&place.memory(), self.lies)));
        Directory { place, medium, lies: self.lies, is_sealed: self.is_sealed }
    }
}

/// Follows the plan, and tells the medium what was done.
struct Recorder {
    plan: Arc<Plan>,
    medium: Arc<Mutex<Medium>>,
}

impl Witness for Recorder {
    fn before(&self, call: &Call<'_>) -> Verdict {
        self.plan.next(seen(call))
    }

    fn after(&self, call: &Call<'_>) {
        self.medium.lock().unwrap().record(call);
    }
}

/// A system call in words.
pub fn seen(call: &Call<'_>) -> Seen {
    Seen {
        text: call.to_string(),
        changes_something: call.kind.changes_something(),
        can_be_short: matches!(call.kind, CallKind::Write(_) | CallKind::Read),
    }
}

impl World for Directory {
    fn name(&self) -> String {
        format!("directory, {}", if self.is_sealed { "sealed keys" } else { "plain keys" })
    }

    fn fork(&self) -> Self {
        self.of(&Image::of(&self.path()))
    }

    fn open(&self, plan: &Arc<Plan>) -> Result<Store, StoreError> {
        let recorder = Recorder { plan: plan.clone(), medium: self.medium.clone() };
        // A process that another test starts has our lock for a moment, until it is the other program.
        let lock_wait = std::time::Duration::from_secs(5);
        let directory =
            DirectoryOptions { lock_wait, witness: Some(Arc::new(recorder)), ..DirectoryOptions::default() };
        let home = DirectoryBackend::open(self.path(), directory)?;
        Ok(Store::new(Box::new(home), provider(), options(self.is_sealed)))
    }

    fn fingerprint(&self) -> u64 {
        Image::of(&self.path()).fingerprint()
    }

    fn after_power_loss(&self, dice: &mut Dice, most: usize) -> Vec<Self> {
        let images = self.medium.lock().unwrap().images(dice, most);
        images.iter().map(|image| self.of(image)).collect()
    }

    fn contents(&self) -> Vec<(String, Vec<u8>, bool)> {
        let image = Image::of(&self.path());
        image.files().map(|(name, bytes, mode)| (name.to_owned(), bytes.to_vec(), mode & 0o077 != 0)).collect()
    }

    fn is_sealed(&self) -> bool {
        self.is_sealed
    }
}

// ---- primitives --------------------------------------------------------------------------------------------------

/// What a home of primitives promises, and what it is used through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A `Backend` of its own, as memory is one.
    Backend,
    /// Callbacks whose writes are atomic.
    AtomicCallbacks,
    /// Callbacks whose writes may be interrupted anywhere.
    Callbacks,
    /// Callbacks that tear writes and say that they do not: a lie, to see that it is noticed.
    LyingCallbacks,
    /// Callbacks whose `sync` does nothing: another one.
    UnsyncedCallbacks,
}

/// Records on a medium that remembers what was synced.
#[derive(Clone, Default)]
struct Records {
    durable: BTreeMap<String, Vec<u8>>,
    /// Since the last sync, in order; `None` removes.
    unsynced: Vec<(String, Option<Vec<u8>>)>,
}

impl Records {
    fn now(&self) -> BTreeMap<String, Vec<u8>> {
        let mut records = self.durable.clone();
        self.unsynced.iter().for_each(|(key, value)| set(&mut records, key, value.as_deref()));
        records
    }
}

fn set(records: &mut BTreeMap<String, Vec<u8>>, key: &str, value: Option<&[u8]>) {
    match value {
        Some(bytes) => records.insert(key.to_owned(), bytes.to_vec()),
        None => records.remove(key),
    };
}

pub struct Primitives {
    records: Arc<Mutex<Records>>,
    promise: Promise,
    is_sealed: bool,
}

impl Primitives {
    pub fn new(promise: Promise, is_sealed: bool) -> Self {
        Primitives { records: Arc::default(), promise, is_sealed }
    }

    fn with(&self, durable: BTreeMap<String, Vec<u8>>) -> Self {
        let records = Records { durable, unsynced: Vec::new() };
        Primitives { records: Arc::new(Mutex::new(records)), promise: self.promise, is_sealed: self.is_sealed }
    }
}

impl World for Primitives {
    fn name(&self) -> String {
        let home = match self.promise {
            Promise::Backend => "memory",
            Promise::AtomicCallbacks => "atomic callbacks",
            Promise::Callbacks => "callbacks",
            Promise::LyingCallbacks => "lying callbacks",
            Promise::UnsyncedCallbacks => "callbacks without sync",
        };
        format!("{home}, {}", if self.is_sealed { "sealed keys" } else { "plain keys" })
    }

    fn fork(&self) -> Self {
        self.with(self.records.lock().unwrap().now())
    }

    fn open(&self, plan: &Arc<Plan>) -> Result<Store, StoreError> {
        let home = Planned { plan: plan.clone(), records: self.records.clone(), promise: self.promise };
        let home: Box<dyn Backend> = match self.promise {
            Promise::Backend => Box::new(home),
            _ => Box::new(CallbackBackend::new(home, provider())),
        };
        Ok(Store::new(home, provider(), options(self.is_sealed)))
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (key, bytes) in self.records.lock().unwrap().now() {
            (key, content(&bytes)).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn after_power_loss(&self, dice: &mut Dice, most: usize) -> Vec<Self> {
        let records = self.records.lock().unwrap().clone();
        let tears = self.promise.tears();
        let arities = vec![if tears { 5 } else { 2 }; records.unsynced.len()];
        let mut found = BTreeMap::new();
        for choice in dice.combinations(&arities, most) {
            let mut left = records.durable.clone();
            for (((key, value), chosen), arity) in records.unsynced.iter().zip(choice).zip(&arities) {
                let old = left.get(key).cloned().unwrap_or_default();
                let bytes = value.as_ref().unwrap_or(&old);
                match chosen {
                    0 => {}
                    _ if chosen == arity - 1 => set(&mut left, key, value.as_deref()),
                    // "Any bytes, or none, in this record", whether it was written or removed.
                    1 => set(&mut left, key, Some(&bytes[..bytes.len() / 2])),
                    2 => set(&mut left, key, Some(&vec![0xff; bytes.len()])),
                    _ => set(&mut left, key, None),
                }
            }
            let world = self.with(left);
            found.entry(world.fingerprint()).or_insert(world);
        }
        found.into_values().collect()
    }

    fn contents(&self) -> Vec<(String, Vec<u8>, bool)> {
        self.records.lock().unwrap().now().into_iter().map(|(key, bytes)| (key, bytes, false)).collect()
    }

    fn is_sealed(&self) -> bool {
        self.is_sealed
    }
}

impl Promise {
    fn tears(self) -> bool {
        !matches!(self, Promise::Backend | Promise::AtomicCallbacks)
    }
}

/// A home of primitives that follows a plan.
struct Planned {
    plan: Arc<Plan>,
    records: Arc<Mutex<Records>>,
    promise: Promise,
}

impl Planned {
    fn call(&self, what: &str, key: &str, changes_something: bool) -> Result<(), StoreError> {
        let seen = Seen { text: format!("{what} {key}"), changes_something, can_be_short: false };
        match self.plan.next(seen) {
            Verdict::Fail(error) => {
                let kind = match error.raw_os_error() {
                    Some(EROFS) => StoreErrorKind::Permission,
                    Some(ENOSPC) => StoreErrorKind::Full,
                    Some(EIO) | None => StoreErrorKind::Io,
                    Some(other) => StoreErrorKind::Application(other),
                };
                Err(StoreError::new(kind, key, format!("injected: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn push(&self, key: &str, value: Option<&[u8]>) {
        self.records.lock().unwrap().unsynced.push((key.to_owned(), value.map(<[u8]>::to_vec)));
    }

    fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.call("read", key, false)?;
        Ok(self.records.lock().unwrap().now().remove(key).map(Zeroizing::new))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let outcome = self.call("write", key, true);
        if outcome.is_ok() {
            self.push(key, Some(bytes));
        } else if self.promise.tears() && self.plan.is_now() {
            self.push(key, Some(&bytes[..bytes.len() / 2]));
        }
        outcome
    }

    fn drop_record(&self, key: &str) -> Result<(), StoreError> {
        let outcome = self.call("remove", key, true);
        if outcome.is_ok() {
            self.push(key, None);
        } else if self.promise.tears() && self.plan.is_now() {
            let old = self.records.lock().unwrap().now().remove(key);
            if let Some(bytes) = old {
                self.push(key, Some(&vec![0; bytes.len()]));
            }
        }
        outcome
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.call("list", prefix, false)?;
        Ok(self.records.lock().unwrap().now().into_keys().filter(|k| k.starts_with(prefix)).collect())
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.call("sync", "", true)?;
        let mut records = self.records.lock().unwrap();
        if self.promise != Promise::UnsyncedCallbacks {
            records.durable = records.now();
            records.unsynced.clear();
        }
        Ok(())
    }
}

impl Backend for Planned {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.get(key)
    }
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(key, bytes)
    }
    fn remove(&mut self, key: &str, _wipe: bool) -> Result<(), StoreError> {
        self.drop_record(key)
    }
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.keys(prefix)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.barrier()
    }
}

impl RawStorage for Planned {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.get(key)
    }
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(key, bytes)
    }
    fn remove(&mut self, key: &str, _wipe: bool) -> Result<(), StoreError> {
        self.drop_record(key)
    }
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.keys(prefix)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.barrier()
    }
    fn has_atomic_writes(&self) -> bool {
        matches!(self.promise, Promise::AtomicCallbacks | Promise::LyingCallbacks)
    }
}

impl Primitives {
    /// Damages a record on the medium.
    pub fn damage(&self, damage: super::scenarios::Damage) {
        use super::scenarios::Damage;
        let mut records = self.records.lock().unwrap();
        records.durable = records.now();
        records.unsynced.clear();
        match damage {
            Damage::Truncate(key) => {
                let bytes = records.durable.get_mut(key).unwrap();
                bytes.truncate(bytes.len() / 2);
            }
            Damage::Remove(key) => drop(records.durable.remove(key)),
            Damage::Open(_) => {}
        }
    }
}
