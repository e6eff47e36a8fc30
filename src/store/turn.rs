//! Who may change something now: threads take turns, processes the home's lock, and a callback of device memory may not use it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Condvar, Mutex, PoisonError};

use super::backend::Backend;
use super::error::{StoreError, StoreErrorKind};

thread_local! {
    /// The stores in whose calls this thread is, by address; 0 where there is none. Nothing here needs to be dropped, so that
    /// it is still there when a thread ends and its other values are.
    static ENTERED: Cell<[usize; MAX_ENTERED]> = const { Cell::new([0; MAX_ENTERED]) };
}

/// Most stores in whose calls one thread is at the same time: a backend of one that asks another, and so on.
const MAX_ENTERED: usize = 8;

/// A call of a store on this thread. A callback that called the store again would wait for itself for ever: it is refused.
pub(super) struct Entered(usize);

impl Entered {
    pub fn by(backend: &SharedBackend) -> Result<Self, StoreError> {
        let address = std::ptr::from_ref(backend).addr();
        let mut entered = ENTERED.get();
        if entered.contains(&address) {
            let words = "a callback of device memory must not use it";
            return Err(StoreError::new(StoreErrorKind::Reentrant, "", words));
        }
        let Some(place) = entered.iter_mut().find(|place| **place == 0) else {
            let words = format!("more than {MAX_ENTERED} stores call each other");
            return Err(StoreError::new(StoreErrorKind::Reentrant, "", words));
        };
        *place = address;
        ENTERED.set(entered);
        Ok(Entered(address))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.set(ENTERED.get().map(|address| if address == self.0 { 0 } else { address }));
    }
}

/// A home with a lock of its own, which calls of any thread share.
pub(super) type SharedBackend = Mutex<Box<dyn Backend>>;

/// Threads that change something take turns: who has one, and how many calls deep.
#[derive(Debug, Default)]
pub(super) struct Turns {
    holder: Mutex<Option<(usize, usize)>>,
    freed: Condvar,
}

impl Turns {
    /// This thread's turn; turns of one thread nest. Taken before the home's own mutex and lock, which are no thread's.
    pub fn take(&self) -> Turn<'_> {
        let me = this_thread();
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        while holder.is_some_and(|(thread, _)| thread != me) {
            holder = self.freed.wait(holder).unwrap_or_else(PoisonError::into_inner);
        }
        *holder = Some((me, holder.map_or(0, |(_, depth)| depth) + 1));
        Turn { turns: self, of_one_thread: PhantomData }
    }
}

/// Gives the lock back, also when a callback panics.
pub(super) struct Locked<'a>(pub &'a mut dyn Backend);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// Holds the lock of a home; see [`Store::hold`](super::Store::hold).
#[must_use = "the lock is given back when this is dropped"]
pub struct Hold<'a> {
    backend: &'a SharedBackend,
    _turn: Turn<'a>,
}

impl<'a> Hold<'a> {
    pub(super) fn of(turns: &'a Turns, backend: &'a SharedBackend) -> Result<Self, StoreError> {
        let turn = turns.take();
        backend.lock().unwrap_or_else(PoisonError::into_inner).lock()?;
        Ok(Hold { backend, _turn: turn })
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.backend.lock().unwrap_or_else(PoisonError::into_inner).unlock();
    }
}

impl std::fmt::Debug for Hold<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

/// A thread's turn. It ends in the thread that took it.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    of_one_thread: PhantomData<*const ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut holder = self.turns.holder.lock().unwrap_or_else(PoisonError::into_inner);
        *holder = holder.take().filter(|(_, depth)| *depth > 1).map(|(thread, depth)| (thread, depth - 1));
        if holder.is_none() {
            self.turns.freed.notify_one();
        }
    }
}

/// What tells this thread from all others that live: the address of something of its own. `thread::current` would panic in
/// destructors of a thread's data, where C programs may call, and keeps memory for threads that Rust has not begun.
pub(super) fn this_thread() -> usize {
    thread_local!(static OWN: u8 = const { 0 });
    OWN.with(|own| std::ptr::from_ref(own).addr())
}
