//! What a process knows and could not write down: it stays beside device memory until it can be written there.

use crate::sorted::Map;
use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What is to be written, for whoever knows what it is.
pub(crate) trait Beside: Send + Sync {
    /// Whether nothing is left to be written.
    fn is_empty(&self) -> bool;

    /// Writes it, in one attempt; `store` is the device memory, for whoever knows its kind. What cannot be written stays.
    fn write(&self, store: &dyn Any);

    /// Itself, for whoever knows its kind.
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// By the home's path, for all handles of it in this process: also when the one that could not write is gone.
static HOMES: Mutex<Map<PathBuf, Arc<dyn Beside>>> = Mutex::new(Map::new());

/// Where it is kept for one home: the same for all clones of a handle, which are counted, as what is left is written with the last of them.
pub(super) struct BesideHome(Arc<Place>);

struct Place {
    clones: AtomicUsize,
    /// Which home it is, if others may have it open too.
    path: Option<PathBuf>,
    own: Mutex<Option<Arc<dyn Beside>>>,
}

impl BesideHome {
    pub fn at(path: Option<PathBuf>) -> Self {
        BesideHome(Arc::new(Place { clones: AtomicUsize::new(1), path, own: Mutex::default() }))
    }

    /// Whether the home has a place of its own, which is there after this process.
    pub fn has_path(&self) -> bool {
        self.0.path.is_some()
    }

    /// What was left to be written by anybody in this process.
    pub fn left<T: Beside + Default + Any>(&self) -> Arc<T> {
        let Some(path) = self.0.path.clone() else {
            return of_one_kind(guard(&self.0.own).get_or_insert_with(|| Arc::new(T::default())));
        };
        let mut homes = guard(&HOMES);
        // Those that nobody has open, and into which all is written, are forgotten.
        homes.retain(|_, beside| Arc::strong_count(beside) > 1 || !beside.is_empty());
        of_one_kind(homes.get_or_insert_with(path, || Arc::new(T::default())))
    }

    /// Writes what is left, if anything is.
    pub fn write(&self, store: &dyn Any) {
        let left = match &self.0.path {
            None => guard(&self.0.own).clone(),
            Some(path) => guard(&HOMES).get(path).cloned(),
        };
        if let Some(left) = left.filter(|left| !left.is_empty()) {
            left.write(store);
        }
    }

    /// It as known to what must not keep it.
    pub fn downgrade(&self) -> WeakBesideHome {
        WeakBesideHome(Arc::downgrade(&self.0))
    }

    /// One clone goes: whether it was the last.
    pub fn leave(&self) -> bool {
        self.0.clones.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// [`BesideHome`], for as long as somebody else has it.
pub(super) struct WeakBesideHome(Weak<Place>);

impl WeakBesideHome {
    /// One clone more, if there is one.
    pub fn upgrade(&self) -> Option<BesideHome> {
        let place = self.0.upgrade()?;
        place.clones.fetch_add(1, Ordering::Relaxed);
        Some(BesideHome(place))
    }
}

impl Clone for BesideHome {
    fn clone(&self) -> Self {
        self.0.clones.fetch_add(1, Ordering::Relaxed);
        BesideHome(Arc::clone(&self.0))
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_one_kind<T: Beside + Default + Any>(beside: &Arc<dyn Beside>) -> Arc<T> {
    // There is one kind.
    Arc::clone(beside).any().downcast().unwrap_or_default()
}
