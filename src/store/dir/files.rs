//! Files and folders below the directory, each step without following links.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};
use zeroize::Zeroizing;

use super::{DirectoryBackend, TEMPORARY, check_owner};
use crate::limits::MAX_STORED_RECORD_BYTES;
use crate::store::calls::At;
use crate::store::error::{StoreError, StoreErrorKind};

/// The folder that the root of an ext file system has from the beginning: nobody's in device memory.
pub(super) fn is_file_systems(directory: &str, name: &str) -> bool {
    directory.is_empty() && name == "lost+found"
}

impl DirectoryBackend {
    /// Opens the directory with this key, step by step; with `create`, makes what is missing.
    pub(super) fn directory(&mut self, key: &str, create: bool) -> Result<Option<Arc<OwnedFd>>, StoreError> {
        if let Some(opened) = self.opened.get(key) {
            return Ok(Some(Arc::clone(opened)));
        }
        let (parent, walked, name) = match key.rsplit_once('/') {
            // "." is device memory's own directory.
            None if key.is_empty() => (None, "", "."),
            None => (None, "", key),
            Some((parent, name)) => match self.directory(parent, create)? {
                Some(opened) => (Some(opened), parent, name),
                None => return Ok(None),
            },
        };
        let at = At { handle: parent.as_deref().unwrap_or(&self.root), key: walked };
        let next = match self.calls.open_directory(at, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && create => {
                self.dirty.insert(walked.to_owned());
                self.calls.make_directory(at, name).map_err(|e| self.fail(key, "creating the directory", e))?;
                // A new one: nobody left anything in it.
                self.tidied.insert(key.to_owned());
                self.made.insert(key.to_owned());
                self.calls.open_directory(at, name)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            next => next,
        };
        let opened = Arc::new(next.map_err(|e| self.fail(key, "opening the directory", e))?);
        if self.lock_depth > 0 {
            self.opened.insert(key.to_owned(), Arc::clone(&opened));
        }
        Ok(Some(opened))
    }

    pub(super) fn read_file(&mut self, directory: &str, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let key = join(directory, name);
        let Some(handle) = self.directory(directory, false)? else { return Ok(None) };
        let at = At { handle: &handle, key: directory };
        let file = match self.calls.open(at, name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.fail(&key, "opening", e)),
        };
        let stat = self.calls.stat(at, name, &file).map_err(|e| self.fail(&key, "reading the mode", e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StoreError::new(StoreErrorKind::Permission, key, "not a regular file"));
        }
        check_owner(&stat, &key)?;
        if is_secret(name) && stat.st_mode & 0o077 != 0 {
            let detail = format!("others may read the private key (mode {:o}); expected 600", stat.st_mode & 0o7777);
            return Err(StoreError::new(StoreErrorKind::Permission, key, detail));
        }
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if size > MAX_STORED_RECORD_BYTES {
            let detail = format!("{size} bytes, the limit is {MAX_STORED_RECORD_BYTES}");
            return Err(StoreError::new(StoreErrorKind::Limit, key, detail));
        }
        self.calls.read(at, name, &file, size).map(Some).map_err(|e| self.fail(&key, "reading", e))
    }

    pub(super) fn write_file(
        &mut self,
        directory: &str,
        name: &str,
        bytes: &[u8],
        is_spare: bool,
    ) -> Result<(), StoreError> {
        let key = join(directory, name);
        let handle = self.directory(directory, true)?.expect("created if missing");
        self.tidy_once(directory)?;
        let at = At { handle: &handle, key: directory };
        let temporary = self.temporary_name();
        self.dirty.insert(directory.to_owned());
        let written = self.put(at, &temporary, name, bytes, is_spare);
        if written.is_err() {
            let _ = self.calls.unlink(at, &temporary);
        }
        written.map_err(|e| self.fail(&key, "writing", e))
    }

    /// A name nobody else uses: writers hold the lock, and leftovers of a process of the same number are gone by then.
    fn temporary_name(&mut self) -> String {
        self.temporary_count += 1;
        format!("{TEMPORARY}{}-{}", std::process::id(), self.temporary_count)
    }

    fn put(&self, at: At<'_>, temporary: &str, name: &str, bytes: &[u8], is_spare: bool) -> io::Result<()> {
        let file = self.calls.create(at, temporary)?;
        self.calls.write(at, temporary, &file, bytes)?;
        if !is_spare {
            self.calls.sync(at, temporary, &file)?;
        }
        self.calls.rename(at, temporary, name)
    }

    /// Overwrites a file in place. Best effort: flash, journals and snapshots may keep the old blocks.
    fn wipe(&self, at: At<'_>, name: &str) -> io::Result<()> {
        let file = self.calls.open(at, name, OFlags::WRONLY)?;
        let stat = self.calls.stat(at, name, &file)?;
        // A second link is someone's backup; removing ours is all we may do.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Ok(());
        }
        let len = usize::try_from(stat.st_size).unwrap_or(0).min(MAX_STORED_RECORD_BYTES);
        self.calls.write(at, name, &file, &vec![0; len])?;
        self.calls.sync(at, name, &file)
    }

    /// Calls `visit` for every entry below the directory with this key.
    pub(super) fn walk(&mut self, directory: &str, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let Some(handle) = self.directory(directory, false)? else { return Ok(()) };
        let at = At { handle: &handle, key: directory };
        for (name, kind) in self.calls.list(at).map_err(|e| self.fail(directory, "listing", e))? {
            if is_file_systems(directory, &name) {
                continue;
            }
            visit(self, at, &name, kind)?;
            if kind == FileType::Directory && directory.matches('/').count() < 6 {
                self.walk(&join(directory, &name), visit)?;
            }
        }
        Ok(())
    }

    /// Removes temporary files of a process that was stopped, and has the directory synced: what that process did last can
    /// be seen, and perhaps is not durable yet. Only under the lock: nobody else is writing then. Says which directories are
    /// in it.
    fn tidy(&mut self, directory: &str) -> Result<Vec<String>, StoreError> {
        let Some(handle) = self.directory(directory, false)? else { return Ok(Vec::new()) };
        let at = At { handle: &handle, key: directory };
        let entries = self.calls.list(at).map_err(|e| self.fail(directory, "listing", e))?;
        self.dirty.insert(directory.to_owned());
        for (name, _) in
            entries.iter().filter(|(name, kind)| *kind != FileType::Directory && name.starts_with(TEMPORARY))
        {
            self.unlink(directory, name, true)?;
        }
        self.tidied.insert(directory.to_owned());
        let is_directory = |(name, kind): (String, FileType)| {
            (kind == FileType::Directory && !is_file_systems(directory, &name)).then_some(name)
        };
        Ok(entries.into_iter().filter_map(is_directory).map(|name| join(directory, &name)).collect())
    }

    pub(super) fn tidy_once(&mut self, directory: &str) -> Result<(), StoreError> {
        if self.lock_depth == 0 || self.tidied.contains(directory) { Ok(()) } else { self.tidy(directory).map(drop) }
    }

    pub(super) fn tidy_below(&mut self, directory: &str, depth: usize) -> Result<(), StoreError> {
        for below in self.tidy(directory)? {
            if depth < 6 {
                self.tidy_below(&below, depth + 1)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, directory: &str, name: &str, wipe: bool) -> Result<(), StoreError> {
        self.tidy_once(directory)?;
        self.unlink(directory, name, wipe)?;
        self.remove_empty(directory)
    }

    pub(super) fn unlink(&mut self, directory: &str, name: &str, wipe: bool) -> Result<(), StoreError> {
        let key = join(directory, name);
        let Some(handle) = self.directory(directory, false)? else { return Ok(()) };
        let at = At { handle: &handle, key: directory };
        let removed = if wipe { self.unlink_wiped(at, name) } else { self.calls.unlink(at, name) };
        if matches!(&removed, Err(e) if e.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        // Also after a failure: the name may be gone already.
        self.dirty.insert(directory.to_owned());
        removed.map_err(|e| self.fail(&key, "removing", e))
    }

    /// Takes the record's name away first, durably: zeros must never stand where a key belongs.
    fn unlink_wiped(&mut self, at: At<'_>, name: &str) -> io::Result<()> {
        if name.starts_with(TEMPORARY) {
            let _ = self.wipe(at, name);
            return self.calls.unlink(at, name);
        }
        let nameless = self.temporary_name();
        self.calls.rename(at, name, &nameless)?;
        // A file that cannot be overwritten is removed all the same.
        let _ = self.calls.sync_directory(at).and_then(|()| self.wipe(at, &nameless));
        self.calls.unlink(at, &nameless)
    }

    /// Removes directories that became empty, upwards, but not those of the first level.
    fn remove_empty(&mut self, directory: &str) -> Result<(), StoreError> {
        let mut key = directory;
        while let Some((parent, name)) = key.rsplit_once('/') {
            let Some(handle) = self.directory(parent, false)? else { return Ok(()) };
            match self.calls.remove_directory(At { handle: &handle, key: parent }, name) {
                Ok(()) => {
                    self.dirty.remove(key);
                    self.made.remove(key);
                    self.opened.remove(key);
                    self.dirty.insert(parent.to_owned());
                }
                Err(_) => return Ok(()),
            }
            key = parent;
        }
        Ok(())
    }
}

/// Gets each entry of a walk: the home, the directory, the entry's name and type.
type Visitor<'a> = dyn FnMut(&DirectoryBackend, At<'_>, &str, FileType) -> Result<(), StoreError> + 'a;

/// Private keys: nobody else may read these.
pub(super) fn is_secret(name: &str) -> bool {
    name == "key.pem"
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
