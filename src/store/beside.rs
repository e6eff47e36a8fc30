//! What a process knows and could not write down: it stays beside device memory until it can be written there.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is to be written, for whoever knows what it is.
pub(crate) trait Beside: Send + Sync {
    /// Whether nothing is left to be written.
    fn is_empty(&self) -> bool;

    /// Itself, for whoever knows its kind.
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// By the home's path, for all handles of it in this process: also when the one that could not write is gone.
static HOMES: Mutex<BTreeMap<PathBuf, Arc<dyn Beside>>> = Mutex::new(BTreeMap::new());

/// Where it is kept for one home.
pub(super) struct BesideHome {
    /// Which home it is, if others may have it open too.
    path: Option<PathBuf>,
    own: Mutex<Option<Arc<dyn Beside>>>,
}

impl BesideHome {
    pub fn at(path: Option<PathBuf>) -> Self {
        BesideHome { path, own: Mutex::default() }
    }

    /// Whether the home has a place of its own, which is there after this process.
    pub fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// What was left to be written by anybody in this process.
    pub fn left<T: Beside + Default + Any>(&self) -> Arc<T> {
        let Some(path) = self.path.clone() else {
            return of_one_kind(guard(&self.own).get_or_insert_with(|| Arc::new(T::default())));
        };
        let mut homes = guard(&HOMES);
        // Those that nobody has open, and into which all is written, are forgotten.
        homes.retain(|_, beside| Arc::strong_count(beside) > 1 || !beside.is_empty());
        of_one_kind(homes.entry(path).or_insert_with(|| Arc::new(T::default())))
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_one_kind<T: Beside + Default + Any>(beside: &Arc<dyn Beside>) -> Arc<T> {
    // There is one kind.
    Arc::clone(beside).any().downcast().unwrap_or_default()
}
