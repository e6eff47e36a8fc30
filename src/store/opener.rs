//! Keys that device memory only names are opened by whoever can.

use std::sync::Arc;

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

    /// Destroys a key, if it is one that was made here: anybody else's stays. Whether it did; one that is not there is none. Errors: it
    /// cannot be reached now; it is asked for again later.
    fn destroy(&self, reference: &KeyReference) -> Result<bool, Error>;
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
