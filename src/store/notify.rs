//! The owner of a store is told of each change.

use std::sync::{Arc, PoisonError};

use super::change::{Change, ChangeKind};
use super::identity::Identity;
use super::{Store, StoreError};

impl Store {
    /// Has `hook` called after each install, promotion and rollback by this handle, and after each export, when all is
    /// done and durable. It replaces an earlier one.
    ///
    /// It runs in the thread that made the change, without the store's lock (unless [`Store::hold`] keeps it), and may
    /// call the store, also to export. It cannot undo what happened: what it has to say of failures is its own affair.
    pub fn on_change(&self, hook: impl Fn(&Change<'_>) + Send + Sync + 'static) {
        let earlier = self.on_change.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(hook));
        // Its end may be the program's code, and that may call the store: the lock is open by now.
        drop(earlier);
    }

    pub(super) fn tell(&self, change: &Change<'_>) {
        // The hook runs without the lock: it may call the store, also to put another in its place.
        let hook = self.on_change.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(change);
        }
    }

    /// The same where a generation came into use.
    pub(super) fn told(&self, kind: ChangeKind, outcome: Result<Identity, StoreError>) -> Result<Identity, StoreError> {
        if let Ok(identity) = &outcome {
            // Best effort: a renewal settles it too.
            let _ = self.settle_announced_key(&identity.key);
            self.tell(&Change { kind, name: &identity.name, generation: identity.generation, folder: None });
        }
        outcome
    }
}
