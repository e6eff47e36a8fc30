//! Device memory: identities, each a key with its certificate and chain, switched as one; what is pending; anchors;
//! status data. It survives power cuts, full disks and damaged files; `docs/device-memory.md` has the picture.
//!
//! [`Store`] is the logic; where the records live is a [`Backend`]: a directory, memory, or the caller's own storage
//! through [`CallbackBackend`]. This room knows certificates and keys and nothing of networks. It checks what it is
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
#[cfg(unix)]
mod dir;
mod error;
pub mod export;
mod generations;
#[cfg(unix)]
mod holder;
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
pub use error::{StoreError, StoreErrorKind, is_at_work};
pub use identity::{
    AnchorSet, Identity, IdentityState, KeySecret, NewIdentity, NewKey, PendingKey, PublicPart, StoreOptions,
};
pub use memory::MemoryBackend;
pub use opener::{KeyMaker, KeyOpener, Seen, open_key, usable_key};
pub use problem::{Problem, ProblemKind};
pub use record::{REVOKED_RECORD, is_own_record};
pub use turn::Hold;

pub use crate::crypto::{KeyReference, Signer};

use crate::cmp::SavedCredential;
use crate::crypto::{Provider, keys};
pub(crate) use backend::check_name;
pub(crate) use beside::Beside;
use generations::{Home, Unreadable, identity_key};
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
        let directory = DirectoryOptions { lock_wait: std::time::Duration::from_secs(2), ..Default::default() };
        Ok(Self::new(Box::new(DirectoryBackend::open(path, directory)?), provider, options))
    }

    /// In memory, for tests.
    pub fn in_memory(provider: Arc<dyn Provider>) -> Self {
        Self::new(Box::new(MemoryBackend::new()), provider, StoreOptions::default())
    }

    // ---- identities ---------------------------------------------------------------------------------------------

    /// Installs an identity: checks it, writes it as a new generation, makes that durable, reads it back, and switches
    /// to it in one atomic step. The generation that was in use becomes the previous one.
    ///
    /// On any failure the identity in use is the one from before, whole. (One exception, which no storage can rule out:
    /// if making the switch itself durable fails, the new one may be in use already; both are whole.)
    pub fn install(&self, name: &str, new: &NewIdentity<'_>) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state_to_begin(name)?;
            let identity = home.write(name, new, true)?;
            let state = IdentityState {
                current: Some(identity.generation),
                previous: before.current.or(before.previous),
                ..before
            };
            home.switch(name, state, identity.generation)?;
            home.clear_up(name, state, &new.key);
            Ok(identity)
        });
        self.told(ChangeKind::Installed, outcome)
    }

    /// The first half of [`Store::install`]: everything but the switch. For a certificate that the CA has issued and
    /// that is not confirmed yet (RFC 9810 section 5.3.18): it survives a reboot and is not in use.
    ///
    /// [`StoreErrorKind::Exists`] if another one is waiting already: promote or discard that one first.
    pub fn stage(&self, name: &str, new: &NewIdentity<'_>) -> Result<Identity, StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let before = home.state_to_begin(name)?;
            if let Some(number) = before.pending {
                let detail = format!("generation {number} is waiting to be confirmed or discarded");
                return Err(StoreError::new(StoreErrorKind::Exists, identity_key(name), detail));
            }
            let identity = home.write(name, new, false)?;
            let state = IdentityState { pending: Some(identity.generation), ..before };
            home.switch(name, state, identity.generation)?;
            // The pending key stays until the identity is in use: the CA may still turn it down.
            Ok(identity)
        })
    }

    /// The second half: the staged generation comes into use in one atomic step.
    pub fn promote(&self, name: &str) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.pending.ok_or_else(|| absent(name, "nothing is waiting to be confirmed"))?;
            let identity = home.load(name, number)?;
            let state =
                IdentityState { current: Some(number), previous: before.current.or(before.previous), pending: None };
            home.write_pointer(name, state)?;
            // Beside a pointer it says nothing.
            let _ = home.backend.remove_spare(&format!("{}/gen-{number:06}/unconfirmed", identity_key(name)));
            let twin = home.pending_labels().ok().into_iter().flatten().find(|label| {
                home.load_key(&format!("pending/{label}"))
                    .is_ok_and(|key| keys::same_public_key(key.key.spki(), identity.key.spki()))
            });
            let key = twin.as_deref().map_or(NewKey::Current, NewKey::Pending);
            home.clear_up(name, state, &key);
            Ok(identity)
        });
        self.told(ChangeKind::Installed, outcome)
    }

    /// Drops the staged generation: the CA, or the caller, turned it down.
    pub fn discard(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.pending.ok_or_else(|| absent(name, "nothing is waiting to be confirmed"))?;
            let state = IdentityState { pending: None, ..before };
            if state == IdentityState::default() {
                return home.remove_identity(name);
            }
            if let Err(error) = home.write_pointer(name, state) {
                // What it is about makes room. Until the pointer is written it names an incomplete generation, which `repair` clears away.
                home.only_if_full(error)?;
                home.remove_generation(name, number)?;
                home.backend.sync()?;
                home.write_pointer(name, state)?;
            }
            home.remove_generation(name, number)?;
            home.backend.sync()
        })
    }

    /// Back to the previous generation in one atomic step. The one that was in use becomes the previous one: a second
    /// call undoes the first.
    pub fn rollback(&self, name: &str) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.previous.ok_or_else(|| absent(name, "there is no previous generation"))?;
            let identity = home.load(name, number)?;
            let state = IdentityState { current: Some(number), previous: before.current, ..before };
            home.write_pointer(name, state)?;
            Ok(identity)
        });
        self.told(ChangeKind::RolledBack, outcome)
    }

    /// The identity in use, read and checked. [`StoreError::is_damage`] says whether `repair` or [`Store::last_good`]
    /// can help.
    pub fn current(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "generation in use", |state| state.current)
    }

    /// The identity in use but for its private key, which need not open: see [`PublicPart`].
    pub fn in_use(&self, name: &str) -> Result<PublicPart, StoreError> {
        self.chosen(
            name,
            "generation in use",
            |state| state.current,
            |home, number| home.load_public(name, number).map(|(public, _)| public),
        )
    }

    /// The generation before.
    pub fn previous(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "previous generation", |state| state.previous)
    }

    /// The staged generation.
    pub fn pending(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "generation waiting to be confirmed", |state| state.pending)
    }

    /// The identity in use or, if it is damaged, the best one there is, with what is wrong with the one in use.
    pub fn last_good(&self, name: &str) -> Result<(Identity, Option<StoreError>), StoreError> {
        let damage = match self.current(name) {
            Ok(identity) => return Ok((identity, None)),
            // A medium that cannot read it any more, too: this call changes nothing.
            Err(damage) if damage.is_damage() || damage.kind == StoreErrorKind::Io => damage,
            Err(other) => return Err(other),
        };
        if let Ok(previous) = self.previous(name) {
            return Ok((previous, Some(damage)));
        }
        match self.reading(|home| home.newest_good(name, &[], Unreadable::Skip))? {
            Some(identity) => Ok((identity, Some(damage))),
            None => Err(damage),
        }
    }

    /// What [`Store::repair`] does for one identity alone: where the one in use is damaged, the last good generation comes back into
    /// use. Nothing is changed where there is no such generation, or the one in use is whole. What was found.
    pub(crate) fn bring_back(&self, name: &str) -> Result<Vec<Problem>, StoreError> {
        if !self.current(name).is_err_and(|error| error.is_damage()) || self.last_good(name).is_err() {
            return Ok(Vec::new());
        }
        self.changing(&identity_key(name), |home| {
            let mut problems = Vec::new();
            repair::examine_identity(home, name, true, &mut problems)?;
            home.backend.sync()?;
            problems.retain(|problem| matches!(problem.kind, ProblemKind::Generation | ProblemKind::Pointer));
            Ok(problems)
        })
    }

    /// Finishes what an interrupted switch of an identity has left, and writes a damaged pointer anew whose twin is whole: else the next
    /// damage would meet an older one. What was damaged.
    pub(crate) fn settle(&self, name: &str) -> Result<Option<Problem>, StoreError> {
        check_name(name)?;
        if !self.reading(|home| home.is_unsettled(name))? {
            return Ok(None);
        }
        self.changing(&identity_key(name), |home| {
            // Somebody may have been in the middle of it.
            let (state, damage) = (home.state(name)?, home.damaged_pointer(name)?);
            let Some(number) = state.current.filter(|_| home.is_unsettled(name).unwrap_or(false)) else {
                return Ok(None);
            };
            home.write_pointer(name, state)?;
            home.backend.remove_spare(&format!("{}/gen-{number:06}/unconfirmed", identity_key(name)))?;
            let text = |damage: StoreError| format!("{}; written anew by its twin", damage.detail);
            Ok(damage
                .map(|damage| Problem::new(ProblemKind::Pointer, &damage.place.clone(), &text(damage)).mended(true)))
        })
    }

    /// Keys with their certificates of generations whose other parts are damaged: for what was begun with one of them. The newest first.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<Identity>, StoreError> {
        check_name(name)?;
        self.reading(|home| {
            let numbers = home.numbers(name)?;
            Ok(numbers.into_iter().rev().filter_map(|number| home.load_pair(name, number).ok()).collect())
        })
    }

    /// Whether what was begun with this credential cannot be gone on with by any generation of the identity, and was once: see
    /// [`Home::has_lost`].
    pub(crate) fn has_lost(&self, name: &str, credential: &SavedCredential) -> Result<bool, StoreError> {
        check_name(name)?;
        self.reading(|home| home.has_lost(name, credential))
    }

    /// Makes the identity ready to take a certificate: what installing one would fail for fails before the CA is asked for it, and what
    /// it would sweep is swept.
    pub(crate) fn make_ready(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let state = home.state_to_begin(name)?;
            home.next_number(name, state)?;
            home.sweep(name, state)
        })
    }

    /// Which generations there are.
    pub fn state(&self, name: &str) -> Result<IdentityState, StoreError> {
        check_name(name)?;
        self.reading(|home| home.state(name))
    }

    /// Names of all identities, sorted.
    pub fn identities(&self) -> Result<Vec<String>, StoreError> {
        self.reading(|home| {
            let keys = home.backend.list("identity/")?;
            let mut names = Vec::new();
            for name in repair::identity_names(&keys) {
                // A damaged pointer belongs to an identity all the same.
                if !matches!(home.state(&name), Ok(state) if state == IdentityState::default()) {
                    names.push(name);
                }
            }
            Ok(names)
        })
    }

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
        locked.0.settle(part)?;
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

    fn generation(
        &self,
        name: &str,
        what: &str,
        choose: impl Fn(IdentityState) -> Option<u32>,
    ) -> Result<Identity, StoreError> {
        self.chosen(name, what, choose, |home, number| home.load(name, number))
    }

    fn chosen<T>(
        &self,
        name: &str,
        what: &str,
        choose: impl Fn(IdentityState) -> Option<u32>,
        load: impl Fn(&mut Home<'_>, u32) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        check_name(name)?;
        self.reading(|home| {
            let mut number = choose(home.state(name)?).ok_or_else(|| absent(name, &format!("there is no {what}")))?;
            loop {
                let outcome = load(home, number);
                if outcome.is_ok() {
                    return outcome;
                }
                // Another process may have moved on while we were reading.
                match choose(home.state(name)?) {
                    Some(now) if now != number => number = now,
                    _ => return outcome,
                }
            }
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

impl Home<'_> {
    /// Writes the pointer; a generation it was for is removed if the switch certainly did not happen.
    fn switch(&mut self, name: &str, state: IdentityState, generation: u32) -> Result<(), StoreError> {
        let switched = self.write_pointer(name, state);
        if switched.is_err() {
            let names_it =
                |found: IdentityState| [found.current, found.previous, found.pending].contains(&Some(generation));
            if matches!(self.state(name), Ok(found) if !names_it(found)) {
                let _ = self.remove_generation(name, generation).and_then(|()| self.backend.sync());
            }
        }
        switched
    }

    /// What follows a switch and must not make it fail: what stays behind is removed by the next call or by `repair`.
    fn clear_up(&mut self, name: &str, state: IdentityState, key: &NewKey<'_>) {
        let pending = match key {
            NewKey::Pending(label) => self.remove_pending(label),
            _ => Ok(()),
        };
        let _ = pending.and_then(|()| self.sweep(name, state)).and_then(|()| self.backend.sync());
    }

    fn only_if_full(&self, error: StoreError) -> Result<(), StoreError> {
        if error.kind == StoreErrorKind::Full { Ok(()) } else { Err(error) }
    }
}

fn absent(name: &str, detail: &str) -> StoreError {
    StoreError::not_found(identity_key(name), detail)
}
