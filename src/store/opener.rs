//! Keys that device memory only names are opened by whoever can.

use std::sync::{Arc, PoisonError};

use super::Store;
use super::identity::{IdentityKey, KeyReference};
use crate::codes::Code;
use crate::crypto::PrivateKey;
use crate::crypto::keys::same_public_key;
use crate::error::Error;

/// Opens the key that a reference names; `None` if it is none of its kind.
pub type KeyOpener = Arc<dyn Fn(&KeyReference) -> Result<Option<Arc<dyn PrivateKey>>, Error> + Send + Sync>;

impl Store {
    /// Says how keys are opened that device memory only names. Nothing is opened before the key is needed: by
    /// [`Store::open_key`], an enrolment that is resumed, a renewal. It replaces an earlier opener.
    pub fn open_keys_with(&self, opener: KeyOpener) {
        let earlier = self.opener.lock().unwrap_or_else(PoisonError::into_inner).replace(opener);
        // Its end may be the program's code, and that may call the store: the lock is open by now.
        drop(earlier);
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
