//! What device memory needs from its home, and the names of the records in it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zeroize::Zeroizing;

use super::error::{StoreError, StoreErrorKind};
use super::problem::Problem;
use super::room::FreeRoom;

/// A home for records: a directory, memory, the caller's storage. Generations, checks and recovery are built on top and
/// are the same for all homes.
///
/// A record's key is a path of one to four names separated by `/`; each name is 1 to 64 of `A-Z a-z 0-9 . _ -` and does
/// not begin with a dot. What the levels above rely on:
///
/// - **`write` is atomic**: whatever happens, `read` gives the old bytes or the new ones, never a mixture or none. A home
///   whose primitives cannot promise that goes through [`super::CallbackBackend`], which makes it so.
/// - **`sync` is a barrier**: when it has returned, everything written or removed before is durable, and nothing written
///   after it becomes durable without what came before.
/// - **an error leaves the old bytes or the new ones** in the record that was concerned, and others alone.
pub trait Backend: Send {
    /// The record's bytes; `None` if there is none.
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Puts or replaces a record.
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a record; it is no error if there is none. With `wipe`, its bytes are overwritten first as well as the
    /// home can.
    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError>;

    /// The same for a record that counts only beside another damage, or whose bytes say nothing: after lost power it may be
    /// the old one, the new one, or spoilt. Saves a device the cost of making sure.
    fn write_spare(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(key, bytes)
    }

    /// Removes such a record; after lost power it may be back.
    fn remove_spare(&mut self, key: &str) -> Result<(), StoreError> {
        self.remove(key, false)
    }

    /// The keys that begin with `prefix` (empty, or ending with `/`), in any order.
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// The barrier.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Keeps other processes from changing anything until [`Backend::unlock`]; calls nest. Reading needs no lock.
    fn lock(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends one [`Backend::lock`].
    fn unlock(&mut self) {}

    /// A call begins that only reads. For homes that can be taken away and come back in another place while they are open.
    fn look_again(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Keeps other processes from a conversation about the identity `name` until what is answered is dropped;
    /// [`StoreErrorKind::AtWork`] if one of them is in it. `who`: for whoever meets with it. A home without other processes has nothing to do.
    fn converse(&mut self, name: &str, who: &str) -> Result<Box<dyn Send>, StoreError> {
        let _ = (name, who);
        Ok(Box::new(()))
    }

    /// Who is in such a conversation, in another process: what they say of themselves. `None`: nobody, or it cannot be told.
    fn at_work(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let _ = name;
        Ok(None)
    }

    /// An identity goes, and its lock of [`Backend::converse`] with it, where that has left anything. `is_ours`: the caller has it; else it
    /// goes if nobody has it.
    fn forget_conversation(&mut self, name: &str, is_ours: bool) -> Result<(), StoreError> {
        let _ = (name, is_ours);
        Ok(())
    }

    /// What tells this home from all others of this process, if several handles may have it open: its path.
    fn home(&mut self) -> Option<std::path::PathBuf> {
        None
    }

    /// Is given a count: when it changes, a wait for another's lock ends at once; at `u64::MAX` none begins any more.
    fn end_waits_by(&mut self, count: Arc<AtomicU64>) {
        let _ = count;
    }

    /// A change of the records whose keys begin with `part` (a key's first names, or "" for all) is about to be made, under
    /// the lock. What a process that was stopped left there and that can be seen is made durable before anything is built
    /// on it, once for each part. [`Backend::sync`] has been called once before; most homes have nothing left to do.
    fn settle(&mut self, part: &str) -> Result<(), StoreError> {
        let _ = part;
        Ok(())
    }

    /// What is free on its medium; `None` where that cannot be told.
    fn free_room(&mut self) -> Result<Option<FreeRoom>, StoreError> {
        Ok(None)
    }

    /// The same for a change that ends with [`Backend::sync`] before anything is told to have been done: what is left becomes durable with it.
    fn settle_with_next_sync(&mut self, part: &str) -> Result<(), StoreError> {
        self.settle(part)
    }

    /// Looks for what only the home knows: left-over temporary files, access rights. With `mend`, puts right what can be.
    fn inspect(&mut self, mend: bool) -> Result<Vec<Problem>, StoreError> {
        let _ = mend;
        Ok(Vec::new())
    }
}

/// Longest name, in bytes.
const MAX_NAME_LEN: usize = 64;

/// Most names in a key.
const MAX_KEY_DEPTH: usize = 4;

/// Refuses names that could leave their place or mean something to a file system or shell.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let is_good =
        (1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with(['.', '-']);
    if is_good {
        return Ok(());
    }
    let shown = crate::words::quoted(&name.chars().take(80).collect::<String>());
    let detail =
        format!("{shown} is not a name: 1 to {MAX_NAME_LEN} of A-Z a-z 0-9 . _ -, not beginning with a dot or a dash");
    Err(StoreError::new(StoreErrorKind::Name, "", detail))
}

/// Splits a key into its names, each checked. For homes.
pub fn key_names(key: &str) -> Result<Vec<&str>, StoreError> {
    let names: Vec<_> = key.split('/').collect();
    if names.len() > MAX_KEY_DEPTH {
        return Err(StoreError::new(StoreErrorKind::Name, key, "too many levels"));
    }
    names.iter().try_for_each(|name| check_name(name))?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["router-7", "a", "A.b_c-9", &"x".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a b", "ä", "a\0", "a\n", "con:", &"x".repeat(65)]
        {
            assert_eq!(check_name(bad).unwrap_err().kind, StoreErrorKind::Name, "{bad:?}");
        }
        assert!(key_names("identity/a/gen-000001/key.pem").is_ok());
        for bad in ["/etc/passwd", "a//b", "a/", "identity/../x", "a/b/c/d/e", ""] {
            assert!(key_names(bad).is_err(), "{bad}");
        }
    }
}
