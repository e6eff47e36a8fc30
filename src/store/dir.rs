//! Device memory in a directory: plain files that an administrator can read and back up.
//!
//! Every step from the root downwards is taken with `openat` and without following symbolic links, so that nobody who
//! may write somewhere below can make the library read or write elsewhere. A record is written to a temporary file,
//! synced, and renamed over the old one.

mod files;
mod locks;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rustix::fs::{FileType, Stat};
use zeroize::Zeroizing;

use super::backend::{Backend, key_names};
use super::calls::{At, Calls, Witness};
use super::error::{StoreError, StoreErrorKind};
use super::identity::AnchorSet;
use super::problem::{Problem, ProblemKind};
use super::room::FreeRoom;
use crate::sorted::{Map, Set};
use files::{is_file_systems, is_secret, join};

const MARKER: &str = "devid-store";
const MARKER_TEXT: &[u8] = b"devid store 1\n";
const TEMPORARY: &str = ".tmp-";
/// Folders of the first level that each enrolment uses.
const FIRST_ROOMS: [&str; 3] = ["identity", "pending", "operation"];
/// The folders of the first level, by what is in them.
const ROOMS: &[&str] = &["identity", "pending", "operation", "anchors", "blob", "number", "generation", "clock"];

/// How a directory is opened.
#[derive(Clone, Default)]
pub struct DirectoryOptions {
    /// Do not make device memory where there is none: neither a directory that is missing, nor in an empty one, as the place of a
    /// medium is that is not mounted.
    pub must_exist: bool,
    /// How long to wait for another process that holds the lock; not at all by default.
    pub lock_wait: Duration,
    /// Sees every system call. For fault-injection tests.
    pub witness: Option<Arc<dyn Witness>>,
}

impl DirectoryOptions {
    /// The defaults of a program: another process that holds the lock is waited for, 2 seconds long.
    pub fn waiting() -> Self {
        DirectoryOptions { lock_wait: Duration::from_secs(2), ..Default::default() }
    }
}

/// A home in a directory: directories with mode 0700, files with mode 0600.
pub struct DirectoryBackend {
    path: PathBuf,
    /// The same wherever the process goes meanwhile.
    full_path: PathBuf,
    /// Which folder is open: device and number.
    folder: (u64, u64),
    root: OwnedFd,
    calls: Calls,
    lock_wait: Duration,
    ended_waits: Arc<AtomicU64>,
    lock: Option<File>,
    lock_depth: usize,
    /// Directories whose entries changed since the last sync, as keys; the root is "".
    dirty: Set<String>,
    temporary_count: u64,
    /// Directories without leftovers of a process that was stopped, whose entries are durable or in `dirty`.
    tidied: Set<String>,
    /// Directories that this process has made.
    made: Set<String>,
    /// Parts that are settled: see [`Backend::settle`].
    settled: Set<String>,
    /// Directories that are open, while we have the lock and nobody else makes or removes any.
    opened: Map<String, Arc<OwnedFd>>,
}

impl DirectoryBackend {
    /// Opens, or creates, the directory. Its parent must exist.
    ///
    /// Refused: a directory of another user, one that others may write to, one with files but without the mark of
    /// device memory, one of a newer version.
    pub fn open(path: impl AsRef<Path>, options: DirectoryOptions) -> Result<Self, StoreError> {
        let must_exist = options.must_exist;
        let mut home = Self::open_folder(path.as_ref(), options)?;
        let none = "no device memory is in this folder: it is empty; is its medium mounted?";
        home.check_marker(must_exist.then_some((StoreErrorKind::NotFound, none)))?;
        Ok(home)
    }

    fn open_folder(path: &Path, options: DirectoryOptions) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let place = path.display().to_string();
        let calls = Calls(options.witness);
        let fail = |doing: &str, e: io::Error| StoreError::io(&place, doing, &e);
        if !options.must_exist && !calls.root_exists(&path) {
            match calls.make_root(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail("creating the directory", e)),
                _ => {}
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            calls.sync_parent(parent).map_err(|e| fail("syncing the parent", e))?;
        }
        let root = calls.open_root(&path).map_err(|e| fail("opening the directory", e))?;
        let at = At { handle: &root, key: "" };
        let stat = calls.stat(at, "", &root).map_err(|e| fail("reading the directory's mode", e))?;
        check_owner(&stat, &place)?;
        if stat.st_mode & 0o022 != 0 {
            let detail = format!("others may write to the directory (mode {:o}); expected 700", stat.st_mode & 0o7777);
            return Err(StoreError::new(StoreErrorKind::Permission, place, detail));
        }
        Ok(DirectoryBackend {
            full_path: std::path::absolute(&path).unwrap_or_else(|_| path.clone()),
            folder: (stat.st_dev, stat.st_ino),
            path,
            root,
            calls,
            lock_wait: options.lock_wait,
            ended_waits: Arc::default(),
            lock: None,
            lock_depth: 0,
            dirty: Set::new(),
            temporary_count: 0,
            tidied: Set::new(),
            made: Set::new(),
            settled: Set::new(),
            opened: Map::new(),
        })
    }

    /// Device memory is what its path leads to. Where that is another folder by now (a backup was put in place of the old one, a medium
    /// was mounted again), that one is opened; where none is there, nothing goes on in the one that was taken away. Whether
    /// another one is open now.
    fn follow_path(&mut self) -> Result<bool, StoreError> {
        match self.calls.stat_root(&self.full_path) {
            Ok(there) if (there.st_dev, there.st_ino) == self.folder => Ok(false),
            Ok(_) => self.open_anew().map(|()| true),
            // Whoever has given its rights away after it was opened goes on with what is open.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let place = self.path.display().to_string();
                let detail =
                    format!("device memory was moved or removed while it was open, and none is there now ({error})");
                Err(StoreError::new(StoreErrorKind::Io, place, detail))
            }
            Err(error) => Err(self.fail("", "looking whether it is still there", error)),
        }
    }

    fn open_anew(&mut self) -> Result<(), StoreError> {
        let options = DirectoryOptions { must_exist: true, lock_wait: self.lock_wait, witness: self.calls.0.clone() };
        let mut fresh = Self::open_folder(&self.full_path, options)?;
        let none = "the folder is another one than was opened, and no device memory: is its medium mounted?";
        fresh.check_marker(Some((StoreErrorKind::Io, none)))?;
        fresh.path.clone_from(&self.path);
        fresh.full_path.clone_from(&self.full_path);
        fresh.ended_waits = Arc::clone(&self.ended_waits);
        fresh.temporary_count = self.temporary_count;
        *self = fresh;
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty folder becomes device memory, but where one is to be there: then `none` says what is wrong.
    fn check_marker(&mut self, none: Option<(StoreErrorKind, &str)>) -> Result<(), StoreError> {
        let place = self.path.display().to_string();
        match self.read_file("", MARKER)? {
            Some(text) if text.as_slice() == MARKER_TEXT => Ok(()),
            Some(text) if is_another_version(&text) => {
                let found = String::from_utf8_lossy(&text).trim().to_owned();
                let detail = format!("{found}; this library knows version 1");
                Err(StoreError::new(StoreErrorKind::Version, place, detail))
            }
            marker => {
                let is_ours =
                    |name: &str| Self::is_lock(name) || name.starts_with(TEMPORARY) || is_file_systems("", name);
                let is_room = |name: &str| ROOMS.contains(&name) || name == MARKER;
                let entries = self.calls.list(self.root()).map_err(|e| self.fail("", "listing", e))?;
                let mut is_new = marker.is_none();
                for (name, _) in entries.iter().filter(|(name, _)| !is_ours(name)) {
                    // Rooms are made with the mark, and may be durable before it.
                    is_new &= ROOMS.contains(&name.as_str()) && self.list(&format!("{name}/"))?.is_empty();
                }
                if let Some((kind, detail)) = none.filter(|_| is_new) {
                    return Err(StoreError::new(kind, place, detail));
                }
                // One damaged file is not the end of all the others.
                let has_rooms_alone = || entries.iter().all(|(name, _)| is_ours(name) || is_room(name));
                if is_new || marker.is_some() && has_rooms_alone() || self.holds_records()? {
                    return self.mark();
                }
                let what = match marker {
                    Some(_) => format!("{MARKER} does not hold what it should, and no record of device memory is here"),
                    None => format!("the directory holds files but no {MARKER}: it is not device memory"),
                };
                let line = String::from_utf8_lossy(MARKER_TEXT);
                let detail = format!("{what}; if it is, the line \"{}\" belongs into {MARKER}", line.trim());
                Err(StoreError::corrupt(place, detail))
            }
        }
    }

    fn mark(&mut self) -> Result<(), StoreError> {
        self.lock()?;
        // One that is spoilt by lost power is written anew by whoever opens it: the records tell what it is, or there are none.
        let written = self.write_file("", MARKER, MARKER_TEXT, true).and_then(|()| {
            // One sync for all: made when it is first used, each would want one of its own. What fails here is made then.
            FIRST_ROOMS.iter().for_each(|room| drop(self.directory(room, true)));
            self.sync()
        });
        self.unlock();
        written
    }

    /// Whether this is device memory by what it holds, whatever else lies beside: a record that nobody else writes, the key of a request, a set of anchors.
    fn holds_records(&mut self) -> Result<bool, StoreError> {
        for room in ROOMS {
            for key in self.list(&format!("{room}/"))? {
                let is_record = |bytes: Zeroizing<Vec<u8>>| bytes.starts_with(b"devid-");
                let is_key = *room == "pending" && key.ends_with("/key.pem");
                let is_set = AnchorSet::ALL.iter().any(|set| key == format!("anchors/{}.pem", set.name()));
                if is_key || is_set || self.read(&key).is_ok_and(|found| found.is_some_and(is_record)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn root(&self) -> At<'_> {
        At { handle: &self.root, key: "" }
    }

    fn fail(&self, key: &str, doing: &str, error: io::Error) -> StoreError {
        let is_link = matches!(error.raw_os_error(), Some(code)
            if code == rustix::io::Errno::LOOP.raw_os_error() || code == rustix::io::Errno::NOTDIR.raw_os_error());
        if is_link {
            let detail = "a symbolic link, or not a directory, where a plain one belongs: not followed";
            return StoreError::new(StoreErrorKind::Permission, key, detail);
        }
        StoreError::io(if key.is_empty() { self.path.display().to_string() } else { key.to_owned() }, doing, &error)
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
        self.write_file(directory, name, bytes, false)
    }

    fn write_spare(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.write_file(directory, name, bytes, true)
    }

    fn remove_spare(&mut self, key: &str) -> Result<(), StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        let was_dirty = self.dirty.contains(directory);
        let removed = self.remove_file(directory, name, false);
        if removed.is_ok() && !was_dirty {
            self.dirty.remove(directory);
        }
        removed
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        key_names(key)?;
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.remove_file(directory, name, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        self.walk(prefix.trim_end_matches('/'), &mut |_, at, name, kind| {
            let is_own = at.key.is_empty() && (name == MARKER || Self::is_lock(name));
            if kind != FileType::Directory && !name.starts_with(TEMPORARY) && !is_own {
                keys.push(join(at.key, name));
            }
            Ok(())
        })?;
        Ok(keys)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        // What fails, and all that comes after it, stays to be synced by the next call.
        while let Some(key) = self.dirty.first().cloned() {
            if let Some(handle) = self.directory(&key, false)? {
                let at = At { handle: &handle, key: &key };
                self.calls.sync_directory(at).map_err(|e| self.fail(&key, "syncing the directory", e))?;
            }
            self.dirty.remove(&key);
        }
        Ok(())
    }

    fn look_again(&mut self) -> Result<(), StoreError> {
        if self.lock_depth == 0 { self.follow_path().map(drop) } else { Ok(()) }
    }

    fn converse(&mut self, name: &str, who: &str) -> Result<Box<dyn Send>, StoreError> {
        self.begin_conversation(name, who)
    }

    fn at_work(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.who_converses(name)
    }

    fn forget_conversation(&mut self, name: &str, is_ours: bool) -> Result<(), StoreError> {
        self.remove_conversation(name, is_ours)
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        self.enter()
    }

    fn unlock(&mut self) {
        self.leave();
    }

    fn home(&mut self) -> Option<PathBuf> {
        Some(self.full_path.clone())
    }

    fn end_waits_by(&mut self, count: Arc<AtomicU64>) {
        self.ended_waits = count;
    }

    fn settle(&mut self, part: &str) -> Result<(), StoreError> {
        if self.settled.contains(part) || self.settled.contains("") {
            return Ok(());
        }
        self.settle_with_next_sync(part)?;
        self.sync()
    }

    fn settle_with_next_sync(&mut self, part: &str) -> Result<(), StoreError> {
        if self.settled.contains(part) || self.settled.contains("") {
            return Ok(());
        }
        // The way to it, then all of it.
        let mut way = vec![""];
        way.extend(part.match_indices('/').map(|(at, _)| &part[..at]));
        for directory in way.into_iter().filter(|directory| *directory != part) {
            self.tidy_once(directory)?;
        }
        // In what this process has made nobody else has left anything.
        if !self.made.contains(part) {
            self.tidy_below(part, part.split('/').count())?;
        }
        self.settled.insert(part.to_owned());
        Ok(())
    }

    fn free_room(&mut self) -> Result<Option<FreeRoom>, StoreError> {
        let fail =
            |e: rustix::io::Errno| StoreError::io(self.path.display().to_string(), "asking what is free", &e.into());
        let free = rustix::fs::fstatvfs(&self.root).map_err(fail)?;
        // Some is set aside for who administers the machine.
        let is_administrator = rustix::process::geteuid().is_root();
        let (blocks, files) = match is_administrator {
            true => (free.f_bfree, free.f_ffree),
            false => (free.f_bavail, free.f_favail),
        };
        Ok(Some(FreeRoom {
            bytes: blocks.saturating_mul(free.f_frsize),
            block_bytes: free.f_frsize,
            files: (free.f_files > 0).then_some(files),
        }))
    }

    fn inspect(&mut self, mend: bool) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        let (mut leftovers, mut narrowed) = (Vec::new(), Vec::new());
        self.walk("", &mut |home, at, name, kind| {
            let key = join(at.key, name);
            if name.starts_with(TEMPORARY) && kind != FileType::Directory {
                problems.push(Problem::new(ProblemKind::Leftover, &key, "a write was interrupted").mended(mend));
                leftovers.push((at.key.to_owned(), name.to_owned()));
                return Ok(());
            }
            if !matches!(kind, FileType::Directory | FileType::RegularFile) {
                problems.push(Problem::new(ProblemKind::Foreign, &key, "neither a file nor a directory; not followed"));
                return Ok(());
            }
            let stat = home.calls.stat_entry(at, name).map_err(|e| home.fail(&key, "reading the mode", e))?;
            if let Err(e) = check_owner(&stat, &key) {
                problems.push(Problem::new(ProblemKind::Access, &key, &e.detail));
            }
            if stat.st_mode & 0o077 != 0 {
                let mut text = format!("mode {:o} lets others in", stat.st_mode & 0o7777);
                if is_secret(name) {
                    text.push_str("; the private key may have been read: replace it");
                }
                let is_mended = mend && home.calls.narrow(at, name, kind).is_ok();
                narrowed.push(at.key.to_owned());
                problems.push(Problem::new(ProblemKind::Access, &key, &text).mended(is_mended));
            }
            Ok(())
        })?;
        if mend {
            self.dirty.extend(narrowed);
            for (directory, name) in leftovers {
                self.remove_file(&directory, &name, true)?;
            }
            self.sync()?;
        }
        Ok(problems)
    }
}

/// Whether a marker names a version, and another one than this library's: what is cut off names none. Nor does a number that one bit
/// makes of 1: no version ever has it, since a marker has no check.
fn is_another_version(marker: &[u8]) -> bool {
    let text = String::from_utf8_lossy(marker);
    let number = text.strip_prefix("devid store ").and_then(|rest| rest.trim().parse::<u32>().ok());
    number.is_some_and(|number| ![0, 1, 3, 5, 9].contains(&number))
}

pub(super) fn check_owner(stat: &Stat, place: &str) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid == me || stat.st_uid == 0 {
        return Ok(());
    }
    let detail = format!("belongs to user {}; expected user {me} or root", stat.st_uid);
    Err(StoreError::new(StoreErrorKind::Permission, place, detail))
}
