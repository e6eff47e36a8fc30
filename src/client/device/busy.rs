//! One conversation at a time for each identity, over all processes: the daemon and a person at the shell.
//!
//! Device memory's own lock is held for single changes. This one is held from the first message to the last; it dies with its
//! process, so there are no stale ones.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

use super::{Device, rfc3339};
use crate::client::run::system_time;
use crate::codes::Code;
use crate::error::Error;
use crate::store::BUSY_LOCK;

/// What whoever is at work says of itself is shorter.
const MOST_BYTES: u64 = 200;

/// Held while there is a conversation about an identity.
#[derive(Debug)]
pub struct Busy {
    _locked: File,
}

impl Device {
    /// Keeps others from beginning anything about this identity until what is answered is dropped. `what`: for whoever meets
    /// with it, such as the command's name.
    ///
    /// Errors: [`Code::Locked`] if somebody is at work, with who and since when; device memory cannot be written.
    pub fn busy(&self, name: &str, what: &str) -> Result<Busy, Error> {
        crate::store::check_name(name)?;
        let memory = &self.settings.device.memory;
        let file = open(memory, &format!("{BUSY_LOCK}{name}")).map_err(|error| {
            let words = format!("{}: the lock of \"{name}\": {error}", memory.display());
            Error::new(Code::Io, words)
        })?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let by = said(&file).unwrap_or_else(|| "another process".to_owned());
            return Err(Error::new(Code::Locked, format!("{by} is at work on \"{name}\"")));
        }
        // For people only: the lock holds without it.
        let words = format!("{what} (process {}, since {})", std::process::id(), rfc3339(system_time()));
        // Never empty in between: somebody may be reading it.
        let _ = (&file).write_all(words.as_bytes()).and_then(|()| file.set_len(words.len() as u64));
        Ok(Busy { _locked: file })
    }
}

fn open(memory: &Path, name: &str) -> std::io::Result<File> {
    let folder = File::open(memory)?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(folder.as_fd(), name, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(file))
}

/// What the process at work says of itself.
fn said(file: &File) -> Option<String> {
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.escape_debug().to_string())
}
