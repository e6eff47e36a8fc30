//! The locks of a directory: the one of whoever changes something, and one of each conversation about an identity. Others, also in this
//! process, are kept out by the system's locks on files.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::DirectoryBackend;
use crate::limits::moment_in;
use crate::store::backend::Backend;
use crate::store::conversation;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::holder::holder;

const LOCK: &str = "lock";
/// Begins the name of the lock that is held while there is a conversation about an identity, in device memory's own directory:
/// no record, and nothing is ever written there that matters.
const BUSY_LOCK: &str = "lock.";
/// What whoever is in a conversation says of itself is shorter.
const MOST_SAID_BYTES: u64 = 200;
/// How often another's lock is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl DirectoryBackend {
    /// Whether a file in the directory itself is a lock.
    pub(super) fn is_lock(name: &str) -> bool {
        name == LOCK || name.starts_with(BUSY_LOCK)
    }

    pub(super) fn enter(&mut self) -> Result<(), StoreError> {
        if self.lock_depth == 0 {
            self.follow_path()?;
            let mut lock = self.take_lock()?;
            // It may have been moved while another one had the lock.
            if self.follow_path()? {
                let _ = rustix::fs::flock(&lock, FlockOperation::Unlock);
                lock = self.take_lock()?;
            }
            self.lock = Some(lock);
        }
        self.lock_depth += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.lock_depth = self.lock_depth.saturating_sub(1);
        if self.lock_depth > 0 {
            return;
        }
        self.opened.clear();
        if let Some(file) = self.lock.take() {
            // By name, not by closing alone: a child that was forked meanwhile has the same open file, and would hold the
            // lock until it ends.
            let _ = self.calls.unlock(self.root(), LOCK, &file);
        }
    }

    pub(super) fn begin_conversation(&mut self, name: &str, who: &str) -> Result<Box<dyn Send>, StoreError> {
        self.look_again()?;
        let name_of_lock = format!("{BUSY_LOCK}{name}");
        let file = loop {
            let file = self.open_lock_of(&name_of_lock, OFlags::CREATE)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if self.is_still(&name_of_lock, &file) => break file,
                // Its identity was removed, and the lock with it, between the two calls.
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(conversation::taken(
                        name,
                        &said(&file).unwrap_or_else(|| "another process".to_owned()),
                    ));
                }
                Err(e) => return Err(self.fail(&name_of_lock, "locking", e.into())),
            }
        };
        // For people only: the lock holds without it. Never empty in between: somebody may be reading it.
        let _ = (&file).write_all(who.as_bytes()).and_then(|()| file.set_len(who.len() as u64));
        Ok(Box::new(Talk(file)))
    }

    pub(super) fn who_converses(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.look_again()?;
        // Not by trying the lock: whoever begins meanwhile would take that for a conversation.
        let Ok(file) = self.open_lock_of(&format!("{BUSY_LOCK}{name}"), OFlags::empty()) else { return Ok(None) };
        Ok(holder(&file).map(|process| said(&file).unwrap_or(process)))
    }

    pub(super) fn remove_conversation(&mut self, name: &str, is_ours: bool) -> Result<(), StoreError> {
        let name_of_lock = format!("{BUSY_LOCK}{name}");
        if !is_ours {
            let Ok(file) = self.open_lock_of(&name_of_lock, OFlags::empty()) else { return Ok(()) };
            // It is unlinked by who has it: whoever waits for it looks again.
            let talk = Talk(file);
            if rustix::fs::flock(&talk.0, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Ok(());
            }
            return self.unlink("", &name_of_lock, false);
        }
        self.unlink("", &name_of_lock, false)
    }

    fn open_lock_of(&self, name_of_lock: &str, create: OFlags) -> Result<File, StoreError> {
        let flags = create | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        rustix::fs::openat(&self.root, name_of_lock, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|e| self.fail(name_of_lock, "opening the lock of a conversation", e.into()))
    }

    /// Whether the name still leads to this file.
    fn is_still(&self, name: &str, file: &File) -> bool {
        let there = rustix::fs::statat(&self.root, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(there), Ok(open)) = (there, rustix::fs::fstat(file)) else { return false };
        (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino)
    }

    fn take_lock(&mut self) -> Result<File, StoreError> {
        let file = self.calls.open_lock(self.root(), LOCK).map_err(|e| self.fail(LOCK, "opening the lock file", e))?;
        let (deadline, begun) = (moment_in(self.lock_wait), self.ended_waits.load(Ordering::Relaxed));
        loop {
            if self.calls.try_lock(self.root(), LOCK, &file).map_err(|e| self.fail(LOCK, "locking", e))? {
                return Ok(file);
            }
            if Instant::now() >= deadline {
                return Err(self.locked(&file, "nothing was changed; try again when it is done"));
            }
            let ended = self.ended_waits.load(Ordering::Relaxed);
            if ended != begun || ended == conversation::FOR_GOOD {
                return Err(self.locked(&file, "the wait for it was ended, and nothing was changed"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Somebody else has the lock, who is named where the system tells it.
    fn locked(&self, file: &File, then: &str) -> StoreError {
        let who = holder(file).unwrap_or_else(|| "another process or handle".to_owned());
        let detail = format!("{who} holds the lock of device memory; {then}");
        StoreError::new(StoreErrorKind::Locked, self.path.display().to_string(), detail)
    }
}

/// The lock of a conversation. It is given back by name, not by closing: see [`DirectoryBackend::leave`].
struct Talk(File);

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// What the process in a conversation says of itself.
fn said(file: &File) -> Option<String> {
    let mut text = String::new();
    file.take(MOST_SAID_BYTES).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.escape_debug().to_string())
}
