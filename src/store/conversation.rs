//! One conversation at a time about each identity: of all threads of a program, and of all processes where the home can keep them apart.
//!
//! Device memory's own lock is held for single changes. This one is held from the first message to the last; it dies with its
//! process, so there are no stale ones.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::{StoreError, StoreErrorKind};
use crate::sorted::Map;

/// A count of ended waits that says: all of them, from now on.
pub(super) const FOR_GOOD: u64 = u64::MAX;

/// Those under way by one store.
pub(super) type Conversations = Arc<All>;
pub(super) type All = Mutex<Map<String, Held>>;

/// What keeps others out.
pub(super) struct Held {
    thread: usize,
    depth: usize,
    who: String,
    /// The home's own, for other processes.
    _lock: Box<dyn Send>,
}

/// Keeps others from a conversation about an identity until it is dropped. Those of one thread nest: what one has begun,
/// its own steps go on with.
#[must_use = "others are kept out until this is dropped"]
pub struct Conversation {
    name: String,
    all: Conversations,
}

impl Conversation {
    /// `lock`: has the home keep other processes out.
    pub(super) fn begin(
        all: &Conversations,
        (name, who, thread): (&str, &str, usize),
        lock: impl FnOnce() -> Result<Box<dyn Send>, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut under_way = all.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(name) {
            Some(held) if held.thread == thread => held.depth += 1,
            Some(held) => return Err(taken(name, &held.who)),
            None => {
                let held = Held { thread, depth: 1, who: who.to_owned(), _lock: lock()? };
                under_way.insert(name.to_owned(), held);
            }
        }
        Ok(Conversation { name: name.to_owned(), all: Arc::clone(all) })
    }

    /// Whether this thread was in one about the same identity before, and still is when this one ends.
    pub(crate) fn is_nested(&self) -> bool {
        let under_way = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&self.name).is_some_and(|held| held.depth > 1)
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let mut under_way = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = under_way.get_mut(&self.name) else { return };
        held.depth -= 1;
        if held.depth == 0 {
            under_way.remove(&self.name);
        }
    }
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who is in one by this store.
pub(super) fn who(all: &Conversations, name: &str) -> Option<String> {
    all.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(|held| held.who.clone())
}

/// Somebody else is in one.
pub(super) fn taken(name: &str, who: &str) -> StoreError {
    StoreError::new(StoreErrorKind::AtWork, "", format!("{who} is at work on \"{name}\""))
}
