//! Device memory in a directory: plain files that an administrator can read and back up.
//!
//! Every step from the root downwards is taken with `openat` and without following symbolic links, so that nobody who
//! may write somewhere below can make the library read or write elsewhere. A record is written to a temporary file,
//! synced, and renamed over the old one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use zeroize::Zeroizing;

use super::backend::{Backend, key_names};
use super::error::{StoreError, StoreErrorKind};
use super::repair::{Problem, ProblemKind};
use crate::limits::MAX_STORED_RECORD_BYTES;

const MARKER: &str = "devid-store";
const MARKER_TEXT: &[u8] = b"devid store 1\n";
const LOCK: &str = "lock";
const TEMPORARY: &str = ".tmp-";
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Gets each entry of a walk: the home, the directory's handle and key, the entry's name and type.
type Visitor<'a> = dyn FnMut(&DirectoryBackend, &OwnedFd, &str, &str, FileType) -> Result<(), StoreError> + 'a;

/// Called before each system call that changes something, with its name and the key concerned; an error stops the call.
/// For fault-injection tests.
pub type Probe = Arc<dyn Fn(&'static str, &str) -> io::Result<()> + Send + Sync>;

/// How a directory is opened.
#[derive(Clone, Default)]
pub struct DirectoryOptions {
    /// Do not create the directory if it is missing.
    pub must_exist: bool,
    /// How long to wait for another process that holds the lock; not at all by default.
    pub lock_wait: Duration,
    /// For fault-injection tests.
    pub probe: Option<Probe>,
}

/// A home in a directory: directories with mode 0700, files with mode 0600.
pub struct DirectoryBackend {
    path: PathBuf,
    root: OwnedFd,
    options: DirectoryOptions,
    lock: Option<File>,
    lock_depth: usize,
    /// Directories whose entries changed since the last sync, as keys; the root is "".
    dirty: BTreeSet<String>,
    temporary_count: u64,
    is_tidied: bool,
}

impl DirectoryBackend {
    /// Opens, or creates, the directory. Its parent must exist.
    ///
    /// Refused: a directory of another user, one that others may write to, one with files but without the mark of
    /// device memory, one of a newer version.
    pub fn open(path: impl AsRef<Path>, options: DirectoryOptions) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let place = path.display().to_string();
        let probe = |what| options.probe.as_ref().map_or(Ok(()), |probe| probe(what, ""));
        let fail = |doing: &str, e: io::Error| StoreError::io(&place, doing, &e);
        if !options.must_exist && !path.exists() {
            let made = probe("mkdir").and_then(|()| Ok(rustix::fs::mkdir(&path, Mode::RWXU)?));
            match made {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail("creating the directory", e)),
                _ => {}
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            probe("fsync-dir")
                .and_then(|()| File::open(parent)?.sync_all())
                .map_err(|e| fail("syncing the parent", e))?;
        }
        // The path itself is the administrator's choice and may lead through symbolic links.
        let flags = DIRECTORY_FLAGS.difference(OFlags::NOFOLLOW);
        let root =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| fail("opening the directory", e.into()))?;
        let stat = rustix::fs::fstat(&root).map_err(|e| fail("reading the directory's mode", e.into()))?;
        check_owner(&stat, &place)?;
        if stat.st_mode & 0o022 != 0 {
            let detail = format!("others may write to the directory (mode {:o}); expected 700", stat.st_mode & 0o7777);
            return Err(StoreError::new(StoreErrorKind::Permission, place, detail));
        }
        let mut home = DirectoryBackend {
            path,
            root,
            options,
            lock: None,
            lock_depth: 0,
            dirty: BTreeSet::new(),
            temporary_count: 0,
            is_tidied: false,
        };
        home.check_marker()?;
        Ok(home)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_marker(&mut self) -> Result<(), StoreError> {
        let place = self.path.display().to_string();
        match self.read_file("", MARKER)? {
            Some(text) if text.as_slice() == MARKER_TEXT => Ok(()),
            Some(text) if text.starts_with(b"devid store ") => {
                let found = String::from_utf8_lossy(&text).trim().to_owned();
                let detail = format!("{found}; this library knows version 1");
                Err(StoreError::new(StoreErrorKind::Version, place, detail))
            }
            Some(_) => Err(StoreError::corrupt(place, format!("{MARKER} does not hold what it should"))),
            None => {
                let is_ours = |name: &str| name == LOCK || name.starts_with(TEMPORARY);
                if entries(&self.root).map_err(|e| self.fail("", "listing", e))?.iter().any(|(n, _)| !is_ours(n)) {
                    let detail = format!("the directory holds files but no {MARKER}: it is not device memory");
                    return Err(StoreError::corrupt(place, detail));
                }
                self.lock()?;
                let written = self.write_file("", MARKER, MARKER_TEXT).and_then(|()| self.sync());
                self.unlock();
                written
            }
        }
    }

    fn probe(&self, what: &'static str, key: &str) -> io::Result<()> {
        self.options.probe.as_ref().map_or(Ok(()), |probe| probe(what, key))
    }

    fn fail(&self, key: &str, doing: &str, error: impl Into<io::Error>) -> StoreError {
        let error = error.into();
        let is_link = matches!(error.raw_os_error(), Some(code)
            if code == rustix::io::Errno::LOOP.raw_os_error() || code == rustix::io::Errno::NOTDIR.raw_os_error());
        if is_link {
            let detail = "a symbolic link, or not a directory, where a plain one belongs: not followed";
            return StoreError::new(StoreErrorKind::Permission, key, detail);
        }
        StoreError::io(if key.is_empty() { self.path.display().to_string() } else { key.to_owned() }, doing, &error)
    }

    /// Opens the directory with this key, step by step; with `create`, makes what is missing.
    fn directory(&mut self, key: &str, create: bool) -> Result<Option<OwnedFd>, StoreError> {
        let mut at = self.root.try_clone().map_err(|e| self.fail(key, "opening", e))?;
        let mut walked = String::new();
        for name in key.split('/').filter(|n| !n.is_empty()) {
            let opened = match rustix::fs::openat(&at, name, DIRECTORY_FLAGS, Mode::empty()) {
                Err(rustix::io::Errno::NOENT) if create => {
                    self.dirty.insert(walked.clone());
                    self.probe("mkdir", key)
                        .and_then(|()| Ok(rustix::fs::mkdirat(&at, name, Mode::RWXU)?))
                        .map_err(|e| self.fail(key, "creating the directory", e))?;
                    rustix::fs::openat(&at, name, DIRECTORY_FLAGS, Mode::empty())
                }
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                opened => opened,
            };
            at = opened.map_err(|e| self.fail(key, "opening the directory", e))?;
            walked = join(&walked, name);
        }
        Ok(Some(at))
    }

    fn read_file(&mut self, directory: &str, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let key = join(directory, name);
        let Some(at) = self.directory(directory, false)? else { return Ok(None) };
        // NONBLOCK: a pipe put in a file's place must not hold us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(self.fail(&key, "opening", e)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| self.fail(&key, "reading the mode", e))?;
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
        // Room for everything at once: growing would leave copies of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        let read = file.take(MAX_STORED_RECORD_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|e| self.fail(&key, "reading", e))?;
        Ok(Some(bytes))
    }

    fn write_file(&mut self, directory: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let key = join(directory, name);
        let at = self.directory(directory, true)?.expect("created if missing");
        let temporary = self.temporary_name();
        let written = self.put(&at, &temporary, name, &key, bytes);
        if written.is_err() && self.probe("unlink", &key).is_ok() {
            let _ = rustix::fs::unlinkat(&at, &temporary, AtFlags::empty());
        }
        written.map_err(|e| self.fail(&key, "writing", e))?;
        self.dirty.insert(directory.to_owned());
        Ok(())
    }

    /// A name nobody else uses: writers hold the lock, and leftovers of a process of the same number are gone by then.
    fn temporary_name(&mut self) -> String {
        self.temporary_count += 1;
        format!("{TEMPORARY}{}-{}", std::process::id(), self.temporary_count)
    }

    fn put(&self, at: &OwnedFd, temporary: &str, name: &str, key: &str, bytes: &[u8]) -> io::Result<()> {
        self.probe("create", key)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(at, temporary, flags, Mode::RUSR | Mode::WUSR)?);
        self.probe("write", key)?;
        file.write_all(bytes)?;
        self.probe("fsync", key)?;
        file.sync_all()?;
        self.probe("rename", key)?;
        Ok(rustix::fs::renameat(at, temporary, at, name)?)
    }

    /// Overwrites a file in place. Best effort: flash, journals and snapshots may keep the old blocks.
    fn wipe(&self, at: &OwnedFd, name: &str, key: &str) -> io::Result<()> {
        let file = rustix::fs::openat(at, name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let mut file = File::from(file);
        let stat = rustix::fs::fstat(&file)?;
        // A second link is someone's backup; removing ours is all we may do.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Ok(());
        }
        self.probe("wipe", key)?;
        let len = usize::try_from(stat.st_size).unwrap_or(0).min(MAX_STORED_RECORD_BYTES);
        file.write_all(&vec![0; len])?;
        self.probe("fsync", key)?;
        file.sync_all()
    }

    /// Calls `visit` for every entry below the directory with this key.
    fn walk(&mut self, directory: &str, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let Some(at) = self.directory(directory, false)? else { return Ok(()) };
        for (name, kind) in entries(&at).map_err(|e| self.fail(directory, "listing", e))? {
            visit(self, &at, directory, &name, kind)?;
            if kind == FileType::Directory && directory.matches('/').count() < 6 {
                self.walk(&join(directory, &name), visit)?;
            }
        }
        Ok(())
    }

    /// Removes temporary files of a process that was stopped. Only under the lock: nobody else is writing then.
    fn tidy(&mut self) -> Result<(), StoreError> {
        let mut leftovers = Vec::new();
        self.walk("", &mut |_, _, directory, name, _| {
            if name.starts_with(TEMPORARY) {
                leftovers.push((directory.to_owned(), name.to_owned()));
            }
            Ok(())
        })?;
        for (directory, name) in leftovers {
            self.remove_file(&directory, &name, true)?;
        }
        self.is_tidied = true;
        Ok(())
    }

    fn remove_file(&mut self, directory: &str, name: &str, wipe: bool) -> Result<(), StoreError> {
        let key = join(directory, name);
        let Some(at) = self.directory(directory, false)? else { return Ok(()) };
        let removed = if wipe { self.unlink_wiped(&at, name, &key) } else { self.unlink(&at, name, &key) };
        match removed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(|e| self.fail(&key, "removing", e))?,
        }
        self.dirty.insert(directory.to_owned());
        self.remove_empty(directory)
    }

    fn unlink(&self, at: &OwnedFd, name: &str, key: &str) -> io::Result<()> {
        self.probe("unlink", key)?;
        Ok(rustix::fs::unlinkat(at, name, AtFlags::empty())?)
    }

    /// Takes the record's name away first: a stop in the middle must not leave zeros where a key belongs.
    fn unlink_wiped(&mut self, at: &OwnedFd, name: &str, key: &str) -> io::Result<()> {
        let mut nameless = name.to_owned();
        if !name.starts_with(TEMPORARY) {
            nameless = self.temporary_name();
            self.probe("rename", key)?;
            rustix::fs::renameat(at, name, at, &nameless)?;
        }
        // A file that cannot be overwritten is removed all the same.
        let _ = self.wipe(at, &nameless, key);
        self.unlink(at, &nameless, key)
    }

    /// Removes directories that became empty, upwards, but not those of the first level.
    fn remove_empty(&mut self, directory: &str) -> Result<(), StoreError> {
        let mut key = directory;
        while let Some((parent, name)) = key.rsplit_once('/') {
            let Some(at) = self.directory(parent, false)? else { return Ok(()) };
            self.probe("rmdir", key).map_err(|e| self.fail(key, "removing", e))?;
            match rustix::fs::unlinkat(&at, name, AtFlags::REMOVEDIR) {
                Ok(()) => {
                    self.dirty.remove(key);
                    self.dirty.insert(parent.to_owned());
                }
                Err(_) => return Ok(()),
            }
            key = parent;
        }
        Ok(())
    }

    fn take_lock(&mut self) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.fail(LOCK, "opening the lock file", e))?;
        let file = File::from(file);
        let deadline = Instant::now() + self.options.lock_wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::Error(e)) => return Err(self.fail(LOCK, "locking", e)),
                Err(std::fs::TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let place = self.path.display().to_string();
                    let detail = "another process or handle is changing device memory; try again when it is done";
                    return Err(StoreError::new(StoreErrorKind::Locked, place, detail));
                }
                Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Backend for DirectoryBackend {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.read_file(directory, name)
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.write_file(directory, name, bytes)
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.remove_file(directory, name, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        self.walk(prefix.trim_end_matches('/'), &mut |_, _, directory, name, kind| {
            let is_own = directory.is_empty() && (name == LOCK || name == MARKER);
            if kind != FileType::Directory && !name.starts_with(TEMPORARY) && !is_own {
                keys.push(join(directory, name));
            }
            Ok(())
        })?;
        Ok(keys)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.dirty) {
            let synced = match self.directory(&key, false)? {
                Some(at) => self.probe("fsync-dir", &key).and_then(|()| Ok(rustix::fs::fsync(&at)?)),
                None => Ok(()),
            };
            if let Err(e) = synced {
                self.dirty.insert(key.clone());
                return Err(self.fail(&key, "syncing the directory", e));
            }
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        if self.lock_depth == 0 {
            self.lock = Some(self.take_lock()?);
        }
        self.lock_depth += 1;
        if !self.is_tidied
            && let Err(e) = self.tidy()
        {
            self.unlock();
            return Err(e);
        }
        Ok(())
    }

    fn unlock(&mut self) {
        self.lock_depth = self.lock_depth.saturating_sub(1);
        if self.lock_depth == 0 {
            self.lock = None;
        }
    }

    fn inspect(&mut self, mend: bool) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        let mut leftovers = Vec::new();
        self.walk("", &mut |home, at, directory, name, kind| {
            let key = join(directory, name);
            if name.starts_with(TEMPORARY) {
                problems.push(Problem::new(ProblemKind::Leftover, &key, "a write was interrupted").mended(mend));
                leftovers.push((directory.to_owned(), name.to_owned()));
                return Ok(());
            }
            if !matches!(kind, FileType::Directory | FileType::RegularFile) {
                problems.push(Problem::new(ProblemKind::Foreign, &key, "neither a file nor a directory; not followed"));
                return Ok(());
            }
            let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| home.fail(&key, "reading the mode", e))?;
            if let Err(e) = check_owner(&stat, &key) {
                problems.push(Problem::new(ProblemKind::Access, &key, &e.detail));
            }
            if stat.st_mode & 0o077 != 0 {
                let mut text = format!("mode {:o} lets others in", stat.st_mode & 0o7777);
                if is_secret(name) {
                    text.push_str("; the private key may have been read: replace it");
                }
                let is_mended = mend && narrow(at, name, kind).is_ok();
                problems.push(Problem::new(ProblemKind::Access, &key, &text).mended(is_mended));
            }
            Ok(())
        })?;
        if mend {
            for (directory, name) in leftovers {
                self.remove_file(&directory, &name, true)?;
            }
            self.sync()?;
        }
        Ok(problems)
    }
}

/// Private keys: nobody else may read these.
fn is_secret(name: &str) -> bool {
    name == "key.pem"
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

fn check_owner(stat: &Stat, place: &str) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid == me || stat.st_uid == 0 {
        return Ok(());
    }
    let detail = format!("belongs to user {}; expected user {me} or root", stat.st_uid);
    Err(StoreError::new(StoreErrorKind::Permission, place, detail))
}

/// Takes everybody else's access away.
fn narrow(at: &OwnedFd, name: &str, kind: FileType) -> io::Result<()> {
    let (flags, mode) = match kind {
        FileType::Directory => (DIRECTORY_FLAGS, Mode::RWXU),
        _ => (OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR),
    };
    Ok(rustix::fs::fchmod(rustix::fs::openat(at, name, flags, Mode::empty())?, mode)?)
}

/// Names and types in a directory, sorted. Names that are not text cannot be ours and are left out.
fn entries(at: impl AsFd) -> io::Result<Vec<(String, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(&at)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        found.push((name.to_owned(), kind));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
