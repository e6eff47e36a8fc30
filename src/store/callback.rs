//! The caller's own storage: flash translation layers, NVRAM, secure elements, a database.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::backend::{Backend, key_names};
use super::error::{StoreError, StoreErrorKind};
use super::problem::{Problem, ProblemKind};
use super::record;
use crate::crypto::Provider;

/// What the caller provides. Nothing here needs to be atomic: a `write` or `remove` that is interrupted may leave any
/// bytes, or none, in that record (and only there).
///
/// Keys are the ones of [`Backend`], some with a `~` behind. Values are opaque and carry their own check.
pub trait RawStorage: Send {
    /// The record's bytes; `None` if there is none.
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Puts or replaces a record.
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a record; it is no error if there is none. With `wipe` it held a private key.
    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError>;

    /// The keys that begin with `prefix`, in any order.
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Makes everything before it durable, in front of everything after it. Storage that does so at once returns `Ok`.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Whether an interrupted `write` always leaves the old or the new bytes, and an interrupted `remove` the record or
    /// nothing. Saves a second copy of each record.
    fn has_atomic_writes(&self) -> bool {
        false
    }

    /// Keeps other users of the storage out; calls nest. Storage with one user has nothing to do.
    fn lock(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends one `lock`.
    fn unlock(&mut self) {}
}

/// Makes a [`Backend`] of [`RawStorage`].
///
/// Each record is framed with its length and SHA-256. Where writes are not atomic, new bytes go to `<key>~` first, are
/// made durable, and only then replace `<key>`: at every moment one of the two is whole, and a reader takes that one. A
/// removal is announced in `<key>~` likewise.
pub struct CallbackBackend<S> {
    storage: S,
    provider: Arc<dyn Provider>,
}

/// A record's bytes, or what is wrong with them.
type Whole = Result<Zeroizing<Vec<u8>>, StoreError>;

/// What stands beside a record.
enum Beside {
    Nothing,
    /// The record's new bytes: its write was interrupted.
    Bytes(Zeroizing<Vec<u8>>),
    /// Its removal was begun.
    Removal,
    /// What was interrupted itself counts for nothing.
    Incomplete,
}

const KIND: &str = "frame";
const REMOVAL: &str = "removal";

fn beside(key: &str) -> String {
    format!("{key}~")
}

/// A private key, or a request that goes with one.
fn is_wiped(key: &str) -> bool {
    key.ends_with(".pem")
}

impl<S: RawStorage> CallbackBackend<S> {
    /// Around the caller's storage; the provider computes the checks.
    pub fn new(storage: S, provider: Arc<dyn Provider>) -> Self {
        CallbackBackend { storage, provider }
    }

    /// What is under exactly this key.
    fn read_whole(&mut self, key: &str) -> Result<Option<Whole>, StoreError> {
        let Some(stored) = self.storage.read(key)? else { return Ok(None) };
        Ok(Some(record::unwrap(&stored, KIND, key, &*self.provider).map(|bytes| Zeroizing::new(bytes.to_vec()))))
    }

    fn read_beside(&mut self, key: &str) -> Result<Beside, StoreError> {
        let place = beside(key);
        let Some(stored) = self.storage.read(&place)? else { return Ok(Beside::Nothing) };
        if record::unwrap(&stored, REMOVAL, &place, &*self.provider).is_ok() {
            return Ok(Beside::Removal);
        }
        Ok(match record::unwrap(&stored, KIND, &place, &*self.provider) {
            Ok(bytes) => Beside::Bytes(Zeroizing::new(bytes.to_vec())),
            Err(_) => Beside::Incomplete,
        })
    }

    /// The announcement stays until the record is gone for good.
    fn finish_removal(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        self.storage.remove(key, wipe)?;
        self.storage.sync()?;
        self.storage.remove(&beside(key), false)
    }
}

impl<S: RawStorage> Backend for CallbackBackend<S> {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        key_names(key)?;
        let damage = match self.read_whole(key)? {
            Some(Ok(bytes)) => return Ok(Some(bytes)),
            Some(Err(damage)) => Some(damage),
            None => None,
        };
        // A write or removal was interrupted after it was announced, or before there was anything.
        match (self.read_beside(key)?, damage) {
            (Beside::Bytes(bytes), _) => Ok(Some(bytes)),
            (Beside::Removal, _) | (_, None) => Ok(None),
            (_, Some(damage)) => Err(damage),
        }
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        key_names(key)?;
        let framed = record::wrap(KIND, bytes, &*self.provider)?;
        if self.storage.has_atomic_writes() {
            return self.storage.write(key, &framed);
        }
        self.storage.write(&beside(key), &framed)?;
        self.storage.sync()?;
        self.storage.write(key, &framed)?;
        self.storage.sync()?;
        self.storage.remove(&beside(key), is_wiped(key))
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        if self.storage.has_atomic_writes() {
            // First what must not come back in its place: from days when writes were not atomic.
            self.storage.remove(&beside(key), wipe)?;
            return self.storage.remove(key, wipe);
        }
        if self.storage.read(key)?.is_none() && matches!(self.read_beside(key)?, Beside::Nothing) {
            return Ok(());
        }
        let announcement = record::wrap(REMOVAL, b"", &*self.provider)?;
        match self.storage.write(&beside(key), &announcement) {
            // On a full medium what makes room must not need any: an interruption leaves a damaged record then.
            Err(error) if error.kind != StoreErrorKind::Full => return Err(error),
            _ => self.storage.sync()?,
        }
        self.finish_removal(key, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (interrupted, mut keys): (Vec<_>, Vec<_>) =
            self.storage.list(prefix)?.into_iter().partition(|key| key.ends_with('~'));
        for place in interrupted {
            // The reader says what is there.
            let key = place.trim_end_matches('~');
            keys.retain(|other| other != key);
            match self.read(key) {
                Ok(None) => {}
                Err(error) if !error.is_damage() => return Err(error),
                _ => keys.push(key.to_owned()),
            }
        }
        crate::order::sort(&mut keys);
        Ok(keys)
    }

    fn inspect(&mut self, mend: bool) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        for place in self.storage.list("")?.into_iter().filter(|key| key.ends_with('~')) {
            let key = place.trim_end_matches('~');
            if mend {
                // What was interrupted is finished.
                match (self.read_beside(key)?, self.read_whole(key)?) {
                    (Beside::Removal, _) => self.finish_removal(key, is_wiped(key))?,
                    (Beside::Bytes(bytes), None | Some(Err(_))) => self.write(key, &bytes)?,
                    _ => self.storage.remove(&place, is_wiped(key))?,
                }
            }
            let text = "a write or removal was interrupted";
            problems.push(Problem::new(ProblemKind::Leftover, &place, text).mended(mend));
        }
        if mend {
            self.storage.sync()?;
        }
        Ok(problems)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.storage.sync()
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        self.storage.lock()
    }

    fn unlock(&mut self) {
        self.storage.unlock();
    }
}
