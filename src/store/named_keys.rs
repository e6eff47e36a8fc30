//! Keys that device memory only names: opened, made and destroyed by whoever can.

use std::sync::{Arc, PoisonError};

use super::Store;
use super::error::StoreError;
use super::generations::REFERENCE;
use super::identity::{IdentityKey, KeyReference};
use super::opener::{KeyMaker, KeyOpener, open_key};
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;

impl Store {
    /// Says how keys are opened that device memory only names. Nothing is opened before the key is needed: by
    /// [`Store::open_key`], an enrolment that is resumed, a renewal. It replaces an earlier opener.
    pub fn open_keys_with(&self, opener: KeyOpener) {
        let earlier = self.opener.lock().unwrap_or_else(PoisonError::into_inner).replace(opener);
        // Its end may be the program's code, and that may call the store: the lock is open by now.
        drop(earlier);
    }

    /// Says who makes keys that device memory only names: the next key of an identity is then where the last one was. It
    /// replaces an earlier maker.
    pub fn make_keys_with(&self, maker: Arc<dyn KeyMaker>) {
        let earlier = self.maker.lock().unwrap_or_else(PoisonError::into_inner).replace(maker);
        drop(earlier);
    }

    /// A new key at a place that a template or the reference of another key names. `None` if nobody makes one there.
    pub fn make_key(&self, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        self.key_maker().map_or(Ok(None), |maker| maker.make(place, kind))
    }

    fn key_maker(&self) -> Option<Arc<dyn KeyMaker>> {
        self.maker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys that device memory only names: of every generation of every identity, and those that are pending.
    pub fn key_references(&self) -> Result<Vec<KeyReference>, StoreError> {
        self.reading(|home| {
            let mut found = Vec::new();
            for folder in ["identity/", "pending/"] {
                let keys = home.backend.list(folder)?;
                for place in keys.iter().filter_map(|key| key.strip_suffix(REFERENCE)?.strip_suffix('/')) {
                    if let IdentityKey::External(reference) = home.load_key(place)?.key {
                        found.push(reference);
                    }
                }
            }
            Ok(found)
        })
    }

    /// The same where keys are made anew, else none.
    pub(crate) fn makers_keys(&self) -> Result<Vec<KeyReference>, StoreError> {
        if self.key_maker().is_some() { self.key_references() } else { Ok(Vec::new()) }
    }

    /// Destroys those of the keys that device memory does not name any more and that its maker made: else a token would be
    /// full some day of keys that nobody can use. Returns how many.
    pub fn destroy_forgotten_keys(&self, candidates: &[KeyReference]) -> Result<usize, Error> {
        let Some(maker) = self.key_maker().filter(|_| !candidates.is_empty()) else { return Ok(0) };
        let named = self.key_references()?;
        let mut destroyed = 0;
        for forgotten in candidates.iter().filter(|candidate| named.iter().all(|n| n.spki != candidate.spki)) {
            destroyed += usize::from(maker.destroy(forgotten)?);
        }
        Ok(destroyed)
    }

    /// The opener in use.
    pub fn key_opener(&self) -> Option<KeyOpener> {
        self.opener.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A key that signs: the one that device memory holds, or the one that it names, opened. `None` if nobody opens it.
    ///
    /// Errors: the opener's; [`Code::KeyMismatch`](crate::Code::KeyMismatch) if another key than the one kept is there now.
    pub fn open_key(&self, key: &IdentityKey) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        open_key(self.key_opener().as_ref(), key)
    }
}
