//! Device memory: identities, each a key with its certificate and chain, switched as one; what is pending; anchors;
//! status data. It survives power cuts, full disks and damaged files; `docs/device-memory.md` has the picture.
//!
//! [`Store`] is the logic; where the records live is a [`Backend`]: a directory, memory, or the caller's own storage
//! through [`CallbackBackend`]. This module knows certificates and keys and nothing of networks. It checks what it is
//! given for consistency (key and certificate, chain by names); whether a certificate is to be trusted is the caller's
//! affair.

mod backend;
mod beside;
mod callback;
#[cfg(unix)]
mod calls;
mod change;
mod clock;
mod conversation;
mod damage;
#[cfg(unix)]
mod dir;
mod error;
pub mod export;
mod generations;
#[cfg(unix)]
mod holder;
mod identities;
mod identity;
mod keeping;
mod memory;
mod named;
mod named_keys;
mod notify;
mod opener;
mod pointer;
mod problem;
mod record;
mod removal;
mod repair;
mod room;
mod turn;
mod waited_for;
mod weak;

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use backend::{Backend, key_names};
pub use callback::{CallbackBackend, RawStorage};
#[cfg(unix)]
pub use calls::{Call, CallKind, Verdict, Witness};
pub use change::{Change, ChangeKind};
pub use conversation::Conversation;
#[cfg(unix)]
pub use dir::{DirectoryBackend, DirectoryOptions};
pub(crate) use error::is_sealed;
pub use error::{StoreError, StoreErrorKind, is_at_work};
pub use identity::{
    AnchorSet, Identity, IdentityState, KeySecret, NewIdentity, NewKey, PendingKey, PublicPart, StoreOptions,
};

pub use memory::MemoryBackend;
pub use opener::{KeyMaker, KeyOpener, Seen, open_key, usable_key};
pub use problem::{Problem, ProblemKind};
pub use record::{REVOKED_RECORD, is_own_record};
pub use room::FreeRoom;
pub use turn::Hold;

pub use crate::crypto::{KeyReference, Signer};

use crate::crypto::Provider;
pub(crate) use backend::check_name;
pub(crate) use beside::Beside;
use generations::{Home, identity_key};
use turn::{Entered, Locked, SharedBackend, Turns, this_thread};

/// Called with device memory when a key that it names could not be had.
type OnFailedKey = Arc<dyn Fn(&Store) + Send + Sync>;

/// Device memory. May be shared between threads; calls take turns.
///
/// Names (of identities, labels, operations, blobs) are 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot or a
/// dash. Calls that change something take the home's lock for their time ([`StoreErrorKind::Locked`] if another process
/// has it); [`Store::hold`] keeps it over several calls. Reading needs no lock and never sees a half state. Callbacks
/// (storage, the secret for keys) must not call the store again.
///
/// A clone is the same handle: it shares all, its turns too. With the last one goes [`Store::write_unwritten`], where
/// the home is a place that outlives this process.
#[derive(Clone)]
pub struct Store {
    backend: Arc<SharedBackend>,
    /// What was there at the start is durable.
    is_settled: Arc<AtomicBool>,
    /// How often waits for another's lock were ended.
    ended_waits: Arc<AtomicU64>,
    provider: Arc<dyn Provider>,
    options: StoreOptions,
    turns: Arc<Turns>,
    conversations: conversation::Conversations,
    on_change: Arc<Mutex<Option<change::OnChange>>>,
    opener: Arc<Mutex<Option<KeyOpener>>>,
    maker: Arc<Mutex<Option<Arc<dyn KeyMaker>>>>,
    on_failed_key: Arc<Mutex<Option<OnFailedKey>>>,
    missed: Arc<Mutex<opener::Missed>>,
    made: Arc<Mutex<opener::Made>>,
    companion: Arc<Mutex<Option<Weak<dyn Any + Send + Sync>>>>,
    beside: beside::BesideHome,
}

impl Store {
    /// Which handle this is: its clones have the same.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn handle(&self) -> usize {
        Arc::as_ptr(&self.turns) as usize
    }

    /// In any home.
    pub fn new(mut backend: Box<dyn Backend>, provider: Arc<dyn Provider>, options: StoreOptions) -> Self {
        let ended_waits = Arc::<AtomicU64>::default();
        backend.end_waits_by(Arc::clone(&ended_waits));
        Store {
            ended_waits,
            beside: beside::BesideHome::at(backend.home()),
            backend: Arc::new(Mutex::new(backend)),
            is_settled: Arc::default(),
            provider,
            options,
            turns: Arc::default(),
            conversations: Arc::default(),
            on_change: Arc::default(),
            opener: Arc::default(),
            maker: Arc::default(),
            on_failed_key: Arc::default(),
            missed: Arc::default(),
            made: Arc::default(),
            companion: Arc::default(),
        }
    }

    /// In a directory, which is created if it is missing (its parent must exist).
    #[cfg(unix)]
    pub fn open_directory(
        path: impl AsRef<std::path::Path>,
        provider: Arc<dyn Provider>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Ok(Self::new(Box::new(DirectoryBackend::open(path, DirectoryOptions::waiting())?), provider, options))
    }

    /// In memory, for tests.
    pub fn in_memory(provider: Arc<dyn Provider>) -> Self {
        Self::new(Box::new(MemoryBackend::new()), provider, StoreOptions::default())
    }

    // ---- identities ---------------------------------------------------------------------------------------------

    // ---- the whole -----------------------------------------------------------------------------------------------

    /// Back to how the device left the factory: every identity but those named in `keep` goes, with unfinished operations, pending
    /// keys and requests, anchors and blobs. The last known time, the numbers of revocation lists and the record of who is revoked stay:
    /// they do not change with the owner. Keys are overwritten first as well as the home can; keys in tokens are not touched.
    ///
    /// Every step is durable on its own: who is interrupted calls it again.
    pub fn factory_reset(&self, keep: &[&str]) -> Result<(), StoreError> {
        let _hold = self.hold()?;
        for name in self.operations()? {
            self.remove_operation(&name)?;
        }
        for label in self.pending_keys()? {
            self.remove_pending_key(&label)?;
        }
        // Also what is left of one whose removal was interrupted: no list names it, and its keys may be whole.
        for name in self.identity_folders()?.iter().filter(|name| !keep.contains(&name.as_str())) {
            self.changing("", |home| home.remove_left(name))?;
        }
        for set in AnchorSet::ALL {
            self.set_anchors(set, &[])?;
        }
        for name in self.blobs()?.iter().filter(|name| *name != REVOKED_RECORD) {
            self.remove_blob(name)?;
        }
        // A key whose removal was interrupted has another name by now.
        self.changing("", |home| home.backend.inspect(true).map(drop))
    }

    /// Names of all identities that have left a trace.
    fn identity_folders(&self) -> Result<Vec<String>, StoreError> {
        let keys = self.reading(|home| home.backend.list("identity/"))?;
        Ok(repair::identity_names(&keys).into_iter().filter(|name| check_name(name).is_ok()).collect())
    }

    /// Looks everything over and changes nothing. Keys that are only named are opened where they are, if somebody can
    /// ([`Store::open_keys_with`]): a PIN may be asked for, once.
    pub fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let mut problems = self.reading(|home| repair::examine(home, false))?;
        problems.extend(self.keys_not_to_be_had()?);
        Ok(problems)
    }

    /// What the medium lacks for an enrolment, or a key update, in words; `None`: nothing, or the home cannot tell. Nothing is written for it.
    pub fn lack_of_room(&self) -> Result<Option<String>, StoreError> {
        let free = self.reading(|home| home.backend.free_room())?;
        Ok(free.and_then(|free| free.lack()))
    }

    /// Looks everything over and puts right what can be: removes what interrupted calls left, restores pointers, brings
    /// the last good generation into use where the one in use is damaged, narrows access rights, drops damaged saved
    /// operations and blobs. Damaged keys, anchors and numbers are only reported, and so are keys that are not to be had where they are.
    pub fn repair(&self) -> Result<Vec<Problem>, StoreError> {
        let mut problems = self.changing("", |home| repair::examine(home, true))?;
        problems.extend(self.keys_not_to_be_had()?);
        Ok(problems)
    }

    /// What anybody in this process could not write to this device memory, and knows.
    pub(crate) fn beside<T: Beside + Default + std::any::Any>(&self) -> Arc<T> {
        self.beside.left()
    }

    /// Writes what this process has found and could not write: who is revoked, numbers of revocation lists. It waits for the lock once at
    /// most; what still cannot be written stays known to whoever has this device memory in the process. For whoever lets go of device
    /// memory; the last clone of a handle on a directory does so by itself.
    pub fn write_unwritten(&self) {
        self.beside.write(self);
    }

    /// Whether the home is a place that is there after this process, and needs nothing of its program.
    pub(crate) fn has_path(&self) -> bool {
        self.beside.has_path()
    }

    /// What checks and encrypts its records.
    pub(crate) fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// What a layer above makes of this device memory: one for all who ask by this handle, as long as any of them holds it.
    pub(crate) fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut place = self.companion.lock().unwrap_or_else(PoisonError::into_inner);
        let held = place.as_ref().and_then(Weak::upgrade).and_then(|held| held.downcast::<T>().ok());
        held.unwrap_or_else(|| {
            let made = Arc::new(make());
            let shared: Arc<dyn Any + Send + Sync> = made.clone();
            *place = Some(Arc::downgrade(&shared));
            made
        })
    }

    /// Ends the waits of this handle for another process that changes the same device memory, from another thread: what waits
    /// fails with [`StoreErrorKind::Locked`] within 10 ms, and has changed nothing.
    pub fn end_waits(&self) {
        let next = |count: u64| (count < conversation::FOR_GOOD - 1).then(|| count + 1);
        let _ = self.ended_waits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// The same, and from now on nothing waits for another process: for a program that was told to end. What finds the lock free
    /// still changes what it has to.
    pub fn end_waits_for_good(&self) {
        self.ended_waits.store(conversation::FOR_GOOD, Ordering::Relaxed);
    }

    /// Who is in a conversation about this identity, in this process or in another: what they say of themselves. `None`: nobody, or it
    /// cannot be told. Nobody is kept out by the question.
    pub fn at_work(&self, name: &str) -> Result<Option<String>, StoreError> {
        check_name(name)?;
        let _entered = Entered::by(&self.backend)?;
        match conversation::who(&self.conversations, name) {
            Some(who) => Ok(Some(who)),
            None => self.backend.lock().unwrap_or_else(PoisonError::into_inner).at_work(name),
        }
    }

    /// Keeps the home's lock until the guard is dropped, over as many calls as this thread makes meanwhile. Other threads that
    /// change something through this store wait, as other processes do.
    pub fn hold(&self) -> Result<Hold<'_>, StoreError> {
        let _entered = Entered::by(&self.backend)?;
        Hold::of(&self.turns, &self.backend)
    }

    /// Keeps others, in this process and in others, from a conversation about this identity until what is answered is dropped. Nests
    /// in one thread. `who`: for whoever meets with it.
    ///
    /// Errors: [`StoreErrorKind::AtWork`] if somebody is in one, with who; the home cannot be written.
    pub(crate) fn converse(&self, name: &str, who: &str) -> Result<Conversation, StoreError> {
        check_name(name)?;
        let _entered = Entered::by(&self.backend)?;
        Conversation::begin(&self.conversations, (name, who, this_thread()), || {
            self.backend.lock().unwrap_or_else(PoisonError::into_inner).converse(name, who)
        })
    }

    fn reading<T>(&self, call: impl FnOnce(&mut Home<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _entered = Entered::by(&self.backend)?;
        let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        backend.look_again()?;
        call(&mut Home { backend: &mut **backend, provider: &self.provider, options: &self.options })
    }

    /// A change of `part`: of the records whose keys begin with it.
    fn changing<T>(
        &self,
        part: &str,
        call: impl FnOnce(&mut Home<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.at_work_in(|backend| backend.settle(part), call)
    }

    /// The same for a call that succeeds with a sync behind all that it has found there, or fails.
    fn adding<T>(
        &self,
        part: &str,
        call: impl FnOnce(&mut Home<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.at_work_in(|backend| backend.settle_with_next_sync(part), call)
    }

    fn at_work_in<T>(
        &self,
        settle: impl FnOnce(&mut dyn Backend) -> Result<(), StoreError>,
        call: impl FnOnce(&mut Home<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _entered = Entered::by(&self.backend)?;
        let _turn = self.turns.take();
        let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        backend.lock()?;
        let locked = Locked(&mut **backend);
        // A process that was stopped may have left changes that can be seen and are not durable: nothing is built on them.
        if !self.is_settled.load(Ordering::Relaxed) {
            locked.0.sync()?;
            self.is_settled.store(true, Ordering::Relaxed);
        }
        settle(&mut *locked.0)?;
        call(&mut Home { backend: &mut *locked.0, provider: &self.provider, options: &self.options })
    }

    /// What is removed because of what was seen of an identity: that is durable first, whoever did it.
    fn removing<T>(
        &self,
        part: &str,
        name: &str,
        call: impl FnOnce(&mut Home<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.changing(part, |home| {
            home.backend.settle(&identity_key(name))?;
            call(home)
        })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("retention_count", &self.options.retention_count).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A home of the program's own is not called then: its own end may have come.
        if self.beside.leave() && self.has_path() && !std::thread::panicking() {
            self.write_unwritten();
        }
    }
}
