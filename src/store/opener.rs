//! Keys that device memory only names are opened by whoever can.

use std::sync::Arc;
use std::time::Instant;

use super::damage::Damage;
use super::problem::Problem;
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{KeyKind, KeyReference, PrivateKey, Signer};
use crate::error::Error;
use crate::sorted::Map;

/// Opens the key that a reference names; `None` if it is none of its kind.
pub type KeyOpener = Arc<dyn Fn(&KeyReference) -> Result<Option<Arc<dyn PrivateKey>>, Error> + Send + Sync>;

/// What a look for a key shows that asks for nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its public half is there.
    There,
    /// Its home is there, and has no such key.
    Gone,
    /// That cannot be told.
    Untold,
}

/// By identity: the key that was looked for, when, and what was found wrong.
pub(super) type Missed = Map<String, (KeyReference, Instant, Option<Problem>)>;

/// Of keys that this process has announced, newest last: what was damaged of device memory then.
pub(super) type Made = Vec<(String, Damage)>;

/// Makes keys where device memory only names them, such as in a token, and destroys what it made.
pub trait KeyMaker: Send + Sync {
    /// A new key at a place: the words of a template, or the reference of a key beside which the new one is to be. `None` if
    /// the place is none of its kind.
    fn make(&self, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error>;

    /// The words that the next key at a place will be kept by, before there is one: whoever dies while it is made leaves a trace of it. `None`:
    /// they are not known before.
    fn announce(&self, _place: &str) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// Makes the key that was announced by these words.
    fn make_announced(&self, words: &str, _kind: KeyKind) -> Result<Arc<dyn PrivateKey>, Error> {
        Err(Error::new(Code::Unsupported, format!("{words}: keys are not announced here")))
    }

    /// Destroys the key that was announced by these words, if it was made. Whether there was one. Errors: as [`KeyMaker::destroy`].
    fn destroy_announced(&self, _words: &str) -> Result<bool, Error> {
        Ok(false)
    }

    /// Looks for a key where it is, without anything secret.
    fn look(&self, _reference: &KeyReference) -> Result<Seen, Error> {
        Ok(Seen::Untold)
    }

    /// Destroys a key, if it is one that was made here: anybody else's stays. Whether it did; one that is not there is none. Errors: it
    /// cannot be reached now; it is asked for again later.
    fn destroy(&self, reference: &KeyReference) -> Result<bool, Error>;
}

/// The same by an opener at hand.
pub fn open_key(opener: Option<&KeyOpener>, key: &Signer) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
    let reference = match key {
        Signer::Key(key) => return Ok(Some(Arc::clone(key))),
        Signer::Deferred(reference) => reference,
    };
    let Some(opened) = opener.map_or(Ok(None), |opener| opener(reference))? else { return Ok(None) };
    if same_public_key(opened.spki(), &reference.spki) {
        return Ok(Some(opened));
    }
    let words = format!("{} is another key than the one that device memory knows", reference.reference);
    Err(Error::new(Code::KeyMismatch, words))
}

/// The key as it can be used now: at hand where it is held or can be opened, else deferred.
///
/// Errors: as [`open_key`].
pub fn usable_key(opener: Option<&KeyOpener>, key: &Signer) -> Result<Signer, Error> {
    Ok(open_key(opener, key)?.map_or_else(|| key.clone(), Signer::Key))
}
