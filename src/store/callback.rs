//! The caller's own storage: flash translation layers, NVRAM, secure elements, a database.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::backend::{Backend, key_names};
use super::error::StoreError;
use super::record;
use super::repair::{Problem, ProblemKind};
use crate::crypto::Provider;

/// What the caller provides. Nothing here needs to be atomic: a `write` that is interrupted may leave any bytes, or none,
/// in that record (and only there).
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

    /// Whether an interrupted `write` always leaves the old or the new bytes. Saves a second copy of each record.
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
/// made durable, and only then replace `<key>`: at every moment one of the two is whole, and a reader takes that one.
pub struct CallbackBackend<S> {
    storage: S,
    provider: Arc<dyn Provider>,
}

/// A record's bytes, or what is wrong with them.
type Whole = Result<Zeroizing<Vec<u8>>, StoreError>;

const KIND: &str = "frame";

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
}

impl<S: RawStorage> Backend for CallbackBackend<S> {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        key_names(key)?;
        let damage = match self.read_whole(key)? {
            Some(Ok(bytes)) => return Ok(Some(bytes)),
            Some(Err(damage)) => Some(damage),
            None => None,
        };
        // A write was interrupted after its copy was durable, or before the first record was ever complete.
        match (self.read_whole(&format!("{key}~"))?, damage) {
            (Some(Ok(bytes)), _) => Ok(Some(bytes)),
            (_, Some(damage)) => Err(damage),
            (_, None) => Ok(None),
        }
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        key_names(key)?;
        let framed = record::wrap(KIND, bytes, &*self.provider)?;
        if self.storage.has_atomic_writes() {
            return self.storage.write(key, &framed);
        }
        let copy = format!("{key}~");
        self.storage.write(&copy, &framed)?;
        self.storage.sync()?;
        self.storage.write(key, &framed)?;
        self.storage.sync()?;
        self.storage.remove(&copy, key.ends_with(".pem"))
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        // The copy first: it must not come back in place of what was removed.
        self.storage.remove(&format!("{key}~"), wipe)?;
        self.storage.remove(key, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (copies, mut keys): (Vec<_>, Vec<_>) =
            self.storage.list(prefix)?.into_iter().partition(|key| key.ends_with('~'));
        for copy in copies {
            let key = copy.trim_end_matches('~').to_owned();
            // A copy that stands alone is the record if it is whole, and nothing if it is not.
            if !keys.contains(&key) && matches!(self.read_whole(&copy)?, Some(Ok(_))) {
                keys.push(key);
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn inspect(&mut self, mend: bool) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        for copy in self.storage.list("")?.into_iter().filter(|key| key.ends_with('~')) {
            let key = copy.trim_end_matches('~');
            if mend {
                match (self.read_whole(key)?, self.read_whole(&copy)?) {
                    // The interrupted write is finished; it ends by removing the copy.
                    (None | Some(Err(_)), Some(Ok(bytes))) => self.write(key, &bytes)?,
                    _ => self.storage.remove(&copy, copy.ends_with(".pem~"))?,
                }
            }
            problems.push(Problem::new(ProblemKind::Leftover, &copy, "a write was interrupted").mended(mend));
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
