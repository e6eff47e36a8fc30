//! Device memory as it is known to what outlives its user's interest in it: the handle of a key must keep neither its lock nor its
//! program's functions.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, Weak};

use super::beside::WeakBesideHome;
use super::change::OnChange;
use super::opener::{KeyMaker, KeyOpener, Made, Missed};
use super::turn::{SharedBackend, Turns};
use super::{OnFailedKey, Store, StoreOptions, conversation};
use crate::crypto::Provider;

/// All of a [`Store`] but the secret for keys at rest, for as long as somebody else has it.
pub(crate) struct WeakStore {
    backend: Weak<SharedBackend>,
    is_settled: Weak<AtomicBool>,
    ended_waits: Weak<AtomicU64>,
    provider: Arc<dyn Provider>,
    turns: Weak<Turns>,
    conversations: Weak<conversation::All>,
    on_change: Weak<Mutex<Option<OnChange>>>,
    opener: Weak<Mutex<Option<KeyOpener>>>,
    maker: Weak<Mutex<Option<Arc<dyn KeyMaker>>>>,
    on_failed_key: Weak<Mutex<Option<OnFailedKey>>>,
    missed: Weak<Mutex<Missed>>,
    made: Weak<Mutex<Made>>,
    companion: Weak<Mutex<Option<Weak<dyn Any + Send + Sync>>>>,
    beside: WeakBesideHome,
}

impl Store {
    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore {
            backend: Arc::downgrade(&self.backend),
            is_settled: Arc::downgrade(&self.is_settled),
            ended_waits: Arc::downgrade(&self.ended_waits),
            provider: Arc::clone(&self.provider),
            turns: Arc::downgrade(&self.turns),
            conversations: Arc::downgrade(&self.conversations),
            on_change: Arc::downgrade(&self.on_change),
            opener: Arc::downgrade(&self.opener),
            maker: Arc::downgrade(&self.maker),
            on_failed_key: Arc::downgrade(&self.on_failed_key),
            missed: Arc::downgrade(&self.missed),
            made: Arc::downgrade(&self.made),
            companion: Arc::downgrade(&self.companion),
            beside: self.beside.downgrade(),
        }
    }
}

impl WeakStore {
    /// Device memory without its secret for keys, if somebody still has it.
    pub fn upgrade(&self) -> Option<Store> {
        Some(Store {
            backend: self.backend.upgrade()?,
            is_settled: self.is_settled.upgrade()?,
            ended_waits: self.ended_waits.upgrade()?,
            provider: Arc::clone(&self.provider),
            options: StoreOptions::default(),
            turns: self.turns.upgrade()?,
            conversations: self.conversations.upgrade()?,
            on_change: self.on_change.upgrade()?,
            opener: self.opener.upgrade()?,
            maker: self.maker.upgrade()?,
            on_failed_key: self.on_failed_key.upgrade()?,
            missed: self.missed.upgrade()?,
            made: self.made.upgrade()?,
            companion: self.companion.upgrade()?,
            beside: self.beside.upgrade()?,
        })
    }
}
