//! The end of an identity: its generations go, and all that belongs to it.
//!
//! ```text
//! identity/<name>/current       names nothing, with a line "removal": written first, removed last
//! operation/<name>              what waits at the CA: nobody goes on with it
//! operation/revocation-<digest> a request to revoke its certificate that waits there
//! pending/<name>, pending/online-<digest>-<name>    its key, and the request beside it
//! blob/renewal-<digest>-..., blob/changed-<digest>, blob/export-...    what was remembered about it
//! lock.<name>                   the lock of its conversations
//! ```
//!
//! Each step can be made again. What an interruption leaves is finished by the next call that begins something for the same
//! name, by the next removal, and by `repair`.

use super::Store;
use super::backend::check_name;
use super::error::StoreError;
use super::generations::{Home, identity_key};
use super::identity::IdentityState;
use super::record::{BLOB, OPERATION, digest_hex};

/// Whose the lock of an identity's conversations is while it is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// The caller's: it goes with the rest.
    Ours,
    /// Perhaps somebody's, or the caller's for what follows: it goes if nobody has it.
    Whoever,
}

impl Store {
    /// Removes an identity with all its generations, the request that is under way for it, the keys of both, and what was remembered
    /// about it. Keys are overwritten first as well as the home can; keys in tokens are not touched. Who is interrupted calls it
    /// again.
    ///
    /// Errors: there is nothing of that name; [`StoreErrorKind::AtWork`](super::StoreErrorKind) if somebody is in a conversation
    /// about it.
    pub fn remove_identity(&self, name: &str) -> Result<(), StoreError> {
        let conversation = self.converse(name, &format!("a removal (process {})", std::process::id()))?;
        let lock = if conversation.is_nested() { Lock::Whoever } else { Lock::Ours };
        self.changing("", |home| {
            if home.has_anything_of(name)? {
                return home.remove_whole(name, lock);
            }
            home.backend.inspect(true)?;
            home.backend.forget_conversation(name, lock == Lock::Ours)?;
            Err(super::identities::absent(name, "there is no such identity"))
        })
    }

    /// Finishes a removal that was interrupted, before anything begins anew under the same name.
    pub(crate) fn finish_removal(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        // One that cannot be read says nothing of a removal; whoever needs it meets with its damage.
        if !self.reading(|home| Ok(home.is_going(name)))? {
            return Ok(());
        }
        self.changing("", |home| home.finish_removal(name))
    }
}

impl Home<'_> {
    fn is_going(&mut self, name: &str) -> bool {
        self.pointer(name).is_ok_and(|pointer| pointer.is_some_and(|pointer| pointer.is_going))
    }

    /// The same under the lock.
    pub(super) fn finish_removal(&mut self, name: &str) -> Result<(), StoreError> {
        if self.is_going(name) { self.remove_whole(name, Lock::Whoever) } else { Ok(()) }
    }

    /// The state of an identity that something new is begun for: see [`Store::finish_removal`].
    pub(super) fn state_to_begin(&mut self, name: &str) -> Result<IdentityState, StoreError> {
        let pointer = self.pointer(name)?.unwrap_or_default();
        if pointer.is_going {
            self.remove_whole(name, Lock::Whoever)?;
        }
        Ok(pointer.state)
    }

    fn has_anything_of(&mut self, name: &str) -> Result<bool, StoreError> {
        let has_records = !self.backend.list(&format!("{}/", identity_key(name)))?.is_empty();
        let operations = self.backend.list("operation/")?;
        Ok(has_records
            || self.operations_of(name)?.iter().any(|kept| operations.contains(kept))
            || !self.labels_of(name)?.is_empty()
            || !self.blobs_about(name)?.is_empty())
    }

    /// The records of what the CA was asked for about it.
    fn operations_of(&mut self, name: &str) -> Result<[String; 2], StoreError> {
        let revocation = self.label_of_revocation(name)?;
        Ok([name, &revocation].map(|label| format!("{}/{label}", OPERATION.0)))
    }

    /// The label of a request to revoke the certificate of this identity.
    pub(super) fn label_of_revocation(&mut self, name: &str) -> Result<String, StoreError> {
        Ok(format!("revocation-{}", self.mark_of_name(name)?))
    }

    /// Labels of the keys that wait for this identity.
    fn labels_of(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        let beside = self.label_beside_request(name)?;
        let mut labels = vec![name.to_owned(), beside];
        let keys = self.backend.list("pending/")?;
        labels.retain(|label| keys.iter().any(|key| key.starts_with(&format!("pending/{label}/"))));
        Ok(labels)
    }

    /// The label of a key that waits while a PKCS#10 request is out under this name.
    pub(super) fn label_beside_request(&mut self, name: &str) -> Result<String, StoreError> {
        // Names are as long as labels may be: a digest keeps two that begin alike apart.
        let mark = self.mark_of_name(name)?;
        Ok(format!("online-{mark}-{}", &name[..name.len().min(40)]))
    }

    /// What stands for an identity's name in names of records: names are as long as those may be.
    fn mark_of_name(&mut self, name: &str) -> Result<String, StoreError> {
        let mut mark = digest_hex(&**self.provider, &[name.as_bytes()])?;
        mark.truncate(16);
        Ok(mark)
    }

    /// What was remembered about an identity: `<what>-<mark of its name>`, or a text that says so in its second line.
    fn blobs_about(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        let (mark, prefix) = (self.mark_of_name(name)?, format!("{}/", BLOB.0));
        let line = format!("identity {name}");
        let mut found = Vec::new();
        for key in self.backend.list(&prefix)? {
            let Some(blob) = key.strip_prefix(&prefix).filter(|blob| check_name(blob).is_ok()) else { continue };
            let is_named = blob.split('-').nth(1) == Some(&*mark);
            // Lists and responses are large, and never about an identity.
            let is_text = blob.starts_with("export-");
            let says = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| text.lines().nth(1) == Some(&*line));
            if is_named || is_text && self.load_blob(BLOB, blob).is_ok_and(|bytes| says(&bytes)) {
                found.push(key);
            }
        }
        Ok(found)
    }

    /// For who has no conversation about it: the lock goes if nobody has it.
    pub(super) fn remove_left(&mut self, name: &str) -> Result<(), StoreError> {
        self.remove_whole(name, Lock::Whoever)
    }

    fn remove_whole(&mut self, name: &str, lock: Lock) -> Result<(), StoreError> {
        // A key whose removal was interrupted has another name by now, which no list says.
        self.backend.settle("")?;
        self.backend.inspect(true)?;
        // Best effort: that it goes counts for more.
        let before = self.state(name).unwrap_or_default();
        let _ = self.keep_last_number(name, before);
        if let Err(error) = self.write_removal(name) {
            // The pointer goes after what it names then: a removal that is interrupted is one of a damaged identity.
            self.only_if_full(error)?;
        }
        for operation in self.operations_of(name)? {
            self.backend.remove(&operation, false)?;
        }
        self.backend.sync()?;
        for label in self.labels_of(name)? {
            self.remove_pending(&label)?;
        }
        for blob in self.blobs_about(name)? {
            self.backend.remove(&blob, false)?;
        }
        self.backend.forget_conversation(name, lock == Lock::Ours)?;
        self.remove_generations(name)
    }

    /// The generations alone: what the CA was asked for may go on. The pointer that names nothing comes first, too.
    pub(super) fn remove_identity(&mut self, name: &str) -> Result<(), StoreError> {
        let before = self.state(name).unwrap_or_default();
        let _ = self.keep_last_number(name, before);
        if let Err(error) = self.write_pointer(name, IdentityState::default()) {
            self.only_if_full(error)?;
        }
        self.remove_generations(name)
    }

    fn remove_generations(&mut self, name: &str) -> Result<(), StoreError> {
        for number in self.numbers(name)? {
            self.remove_generation(name, number)?;
        }
        // The copy's content may never have reached the medium: it must not be what is left when power goes.
        let key = identity_key(name);
        self.backend.remove(&format!("{key}/current.copy"), false)?;
        self.backend.sync()?;
        self.backend.remove(&format!("{key}/current"), false)?;
        self.backend.sync()
    }
}
