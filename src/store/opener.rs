//! Keys that device memory only names are opened by whoever can.

use std::sync::{Arc, PoisonError};

use super::Store;
use super::error::StoreError;
use super::generations::REFERENCE;
use super::identity::{IdentityKey, KeyReference};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;

/// Opens the key that a reference names; `None` if it is none of its kind.
pub type KeyOpener = Arc<dyn Fn(&KeyReference) -> Result<Option<Arc<dyn PrivateKey>>, Error> + Send + Sync>;

/// Makes keys where device memory only names them, such as in a token, and destroys what it made.
pub trait KeyMaker: Send + Sync {
    /// A new key at a place: the words of a template, or the reference of a key beside which the new one is to be. `None` if
    /// the place is none of its kind.
    fn make(&self, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error>;

    /// Destroys a key, if it is one that was made here: anybody else's stays. Whether it did.
    fn destroy(&self, reference: &KeyReference) -> Result<bool, Error>;
}

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
    /// Errors: the opener's; [`Code::KeyMismatch`] if another key than the one kept is there now.
    pub fn open_key(&self, key: &IdentityKey) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        open_key(self.key_opener().as_ref(), key)
    }
}

/// The same by an opener at hand.
pub fn open_key(opener: Option<&KeyOpener>, key: &IdentityKey) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
    let reference = match key {
        IdentityKey::Held(key) => return Ok(Some(Arc::clone(key))),
        IdentityKey::External(reference) => reference,
    };
    let Some(opened) = opener.map_or(Ok(None), |opener| opener(reference))? else { return Ok(None) };
    if same_public_key(opened.spki(), &reference.spki) {
        return Ok(Some(opened));
    }
    let words = format!("{} is another key than the one that device memory knows", reference.reference);
    Err(Error::new(Code::KeyMismatch, words))
}
