//! Files in other software's folders: written beside, made durable, read back, switched.

mod noted;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use zeroize::Zeroizing;

use super::Export;
use super::layout::{Output, Plan, Swanctl};
use crate::limits::moment_in;
use crate::store::calls::{At, Calls};
use crate::store::conversation::FOR_GOOD;
use crate::store::dir::check_owner;
use crate::store::holder::holder;
use crate::store::{StoreError, StoreErrorKind};

/// Files being written begin with this.
const TEMPORARY: &str = ".devid-";
const CURRENT: &str = "current";
/// How long another export into the same folder is waited for, and how often it is looked at.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Writes what is planned. The paths are those that a configuration refers to.
pub(super) fn write(plan: &Plan, export: &Export, ended_waits: &AtomicU64) -> Result<Vec<PathBuf>, StoreError> {
    let folder = Folder::open(export, ended_waits)?;
    match plan {
        Plan::Single(output) => {
            folder.tidy(&folder.root)?;
            folder.take(&[(&folder.root, "", output)])?;
            if !folder.stands(&folder.root, std::slice::from_ref(output)) {
                folder.replace(&folder.root, "", output)?;
            }
            folder.sync(&folder.root, "")?;
            Ok(vec![export.folder.join(&output.name)])
        }
        Plan::Set(outputs) => {
            folder.switch_set(outputs)?;
            Ok(outputs.iter().map(|output| export.folder.join(CURRENT).join(&output.name)).collect())
        }
        Plan::Swanctl(swanctl) => folder.write_swanctl(swanctl),
    }
}

/// The folder while an export is at work in it; locked.
struct Folder<'a> {
    export: &'a Export,
    root: OwnedFd,
}

/// By name, not by closing: a child that another thread is just starting holds the same lock until it has become its program.
impl Drop for Folder<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.root, FlockOperation::Unlock);
    }
}

impl<'a> Folder<'a> {
    fn open(export: &'a Export, ended_waits: &AtomicU64) -> Result<Self, StoreError> {
        let path: &Path = &export.folder;
        let place = path.display().to_string();
        let probe = |what| export.probe.as_ref().map_or(Ok(()), |probe| probe(what, ""));
        let mut is_new = false;
        if !path.exists() {
            let made = probe("mkdir").and_then(|()| Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))?));
            match made {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io(&place, "creating the folder", &e));
                }
                made => is_new = made.is_ok(),
            }
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            probe("fsync-dir")
                .and_then(|()| File::open(parent)?.sync_all())
                .map_err(|e| StoreError::io(&place, "syncing the parent", &e))?;
        }
        // The path itself is the administrator's choice and may lead through symbolic links.
        let root = rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|e| StoreError::io(&place, "opening the folder", &e.into()))?;
        if is_new {
            // Whatever the umask: the software may run as another user.
            rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755))
                .map_err(|e| StoreError::io(&place, "setting the mode", &e.into()))?;
        }
        check_writers(&root, &place)?;
        lock(&root, &place, ended_waits)?;
        Ok(Folder { export, root })
    }

    /// A new set of files beside the old ones, then one rename.
    fn switch_set(&self, outputs: &[Output]) -> Result<(), StoreError> {
        self.tidy(&self.root)?;
        let before = self.current_set()?;
        // Who asks for the same again, such as each process of a server, does not take the files from under the others.
        let in_use = before.as_ref().and_then(|set| self.subfolder(set).ok());
        if in_use
            .is_some_and(|at| self.stands(&at, outputs) && entries(&at).is_ok_and(|all| all.len() == outputs.len()))
        {
            return self.sync(&self.root, "");
        }
        let sets = self.sets()?;
        let set = format!("set-{:06}", sets.iter().map(|(number, _)| number).max().unwrap_or(&0) + 1);
        let written = self.write_set(&set, outputs).and_then(|()| self.switch_to(&set));
        if let Err(error) = written {
            // Only if the switch certainly did not happen.
            if self.current_set().is_ok_and(|now| now.as_deref() != Some(&set)) {
                let _ = self.remove_set(&set);
            }
            return Err(error);
        }
        // What is left behind goes with the next export.
        for (_, old) in sets.iter().filter(|(_, name)| before.as_ref() != Some(name)) {
            let _ = self.remove_set(old);
        }
        Ok(())
    }

    fn write_set(&self, set: &str, outputs: &[Output]) -> Result<(), StoreError> {
        self.probe("mkdir", set)
            .and_then(|()| Ok(rustix::fs::mkdirat(&self.root, set, Mode::from_raw_mode(0o755))?))
            .map_err(|e| self.fail(set, "creating the folder", e))?;
        let at = self.subfolder(set)?;
        // Whatever the umask: the software may run as another user.
        rustix::fs::fchmod(&at, Mode::from_raw_mode(0o755)).map_err(|e| self.fail(set, "setting the mode", e))?;
        for output in outputs {
            self.create(&at, &output.name, output).map_err(|e| self.fail(&output.name, "writing", e))?;
            self.read_back(&at, &output.name, output)?;
        }
        self.sync(&at, set)
    }

    fn switch_to(&self, set: &str) -> Result<(), StoreError> {
        let temporary = temporary_name();
        self.probe("symlink", set)
            .and_then(|()| Ok(rustix::fs::symlinkat(set, &self.root, &temporary)?))
            .and_then(|()| self.probe("rename", CURRENT))
            .and_then(|()| Ok(rustix::fs::renameat(&self.root, &temporary, &self.root, CURRENT)?))
            .map_err(|e| self.fail(CURRENT, "switching to the new files", e))?;
        self.sync(&self.root, "")
    }

    /// Which set is in use.
    fn current_set(&self) -> Result<Option<String>, StoreError> {
        match rustix::fs::readlinkat(&self.root, CURRENT, Vec::new()) {
            Ok(target) => match target.to_str() {
                Ok(target) if set_number(target).is_some() => Ok(Some(target.to_owned())),
                _ => Err(self.foreign(CURRENT, "a link that no export made")),
            },
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(rustix::io::Errno::INVAL) => Err(self.foreign(CURRENT, "not the link that an export makes")),
            Err(e) => Err(self.fail(CURRENT, "reading the link", e)),
        }
    }

    fn sets(&self) -> Result<Vec<(u32, String)>, StoreError> {
        let found = entries(&self.root).map_err(|e| self.fail("", "listing", e))?;
        Ok(found.into_iter().filter_map(|(name, _)| Some((set_number(&name)?, name))).collect())
    }

    fn remove_set(&self, set: &str) -> io::Result<()> {
        let at = rustix::fs::openat(&self.root, set, DIRECTORY, Mode::empty())?;
        for (name, _) in entries(&at)? {
            self.remove(&at, &name)?;
        }
        self.probe("rmdir", set)?;
        Ok(rustix::fs::unlinkat(&self.root, set, AtFlags::REMOVEDIR)?)
    }

    /// The key comes first and the old one goes last: at each moment the certificate has its key beside it.
    fn write_swanctl(&self, swanctl: &Swanctl) -> Result<Vec<PathBuf>, StoreError> {
        const FOLDERS: [(&str, u32); 3] = [("private", 0o700), ("x509ca", 0o755), ("x509", 0o755)];
        self.tidy(&self.root)?;
        let mut opened = Vec::new();
        for (name, mode) in FOLDERS {
            let made = self
                .probe("mkdir", name)
                .and_then(|()| Ok(rustix::fs::mkdirat(&self.root, name, Mode::from_raw_mode(mode))?));
            match made {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(self.fail(name, "creating the folder", e));
                }
                made => {
                    let at = self.subfolder(name)?;
                    if made.is_ok() {
                        rustix::fs::fchmod(&at, Mode::from_raw_mode(mode))
                            .map_err(|e| self.fail(name, "setting the mode", e))?;
                    }
                    opened.push(at);
                }
            }
            self.tidy(opened.last().expect("pushed above"))?;
        }
        self.sync(&self.root, "")?;
        let [private, authorities, own] = &opened[..] else { unreachable!("three folders") };

        let mut wanted = vec![(private, "private", &swanctl.key), (own, "x509", &swanctl.certificate)];
        wanted.extend(swanctl.authorities.iter().map(|authority| (authorities, "x509ca", authority)));
        let made = self.take(&wanted)?;
        self.replace(private, "private", &swanctl.key)?;
        self.sync(private, "private")?;
        for authority in &swanctl.authorities {
            self.replace(authorities, "x509ca", authority)?;
        }
        self.sync(authorities, "x509ca")?;
        self.replace(own, "x509", &swanctl.certificate)?;
        self.sync(own, "x509")?;

        // From here on the new files are in use; what cannot be removed goes with the next export.
        let is_old = |name: &str, kept: &[&str], digits: fn(&str) -> bool| {
            let middle = name.strip_prefix(&swanctl.name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".pem"));
            middle.is_some_and(digits) && !kept.contains(&name)
        };
        let kept: Vec<&str> = swanctl.authorities.iter().map(|output| output.name.as_str()).collect();
        let is_key_name = |middle: &str| middle.len() == 8 && middle.bytes().all(|b| b.is_ascii_hexdigit());
        let is_index = |middle: &str| !middle.is_empty() && middle.bytes().all(|b| b.is_ascii_digit());
        let is_made = |folder: &str, name: &str| made.contains(&noted::within(folder, name));
        self.remove_where(authorities, |name| is_made("x509ca", name) && is_old(name, &kept, is_index));
        self.remove_where(private, |name| is_made("private", name) && is_old(name, &[&swanctl.key.name], is_key_name));
        let _ = self.forget_removed();

        let place = |folder: &str, output: &Output| self.export.folder.join(folder).join(&output.name);
        let mut files = vec![place("private", &swanctl.key), place("x509", &swanctl.certificate)];
        files.extend(swanctl.authorities.iter().map(|authority| place("x509ca", authority)));
        Ok(files)
    }

    fn remove_where(&self, at: &OwnedFd, is_old: impl Fn(&str) -> bool) {
        for (name, _) in entries(at).unwrap_or_default() {
            if is_old(&name) && self.remove(at, &name).is_err() {
                return;
            }
        }
        let _ = rustix::fs::fsync(at);
    }

    /// A file in place of one of the same name, by one rename.
    fn replace(&self, at: &OwnedFd, folder: &str, output: &Output) -> Result<(), StoreError> {
        let name = &output.name;
        match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Err(self.foreign(&format!("{folder}/{name}"), "something else than a file has this name"));
            }
            Ok(_) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(self.fail(name, "looking at the file", e)),
        }
        let temporary = temporary_name();
        let made = self
            .create(at, &temporary, output)
            .map_err(|e| self.fail(name, "writing", e))
            .and_then(|()| self.read_back(at, &temporary, output))
            .and_then(|()| {
                self.probe("rename", name)
                    .and_then(|()| Ok(rustix::fs::renameat(at, &temporary, at, name)?))
                    .map_err(|e| self.fail(name, "switching to the new file", e))
            });
        if made.is_err() {
            let _ = self.remove(at, &temporary);
        }
        made
    }

    /// A new file, on the medium when this returns.
    fn create(&self, at: &OwnedFd, name: &str, output: &Output) -> io::Result<()> {
        self.probe("create", name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(at, name, flags, Mode::RUSR | Mode::WUSR)?);
        self.probe("write", name)?;
        file.write_all(&output.bytes)?;
        // Whatever the umask is.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode_of(output)))?;
        if let Some((user, group)) = self.export.key_owner.filter(|_| output.is_secret) {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        self.probe("fsync", name)?;
        file.sync_all()
    }

    fn read_back(&self, at: &OwnedFd, name: &str, output: &Output) -> Result<(), StoreError> {
        let mut found = Zeroizing::new(Vec::with_capacity(output.bytes.len() + 1));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(at, name, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).take(output.bytes.len() as u64 + 1).read_to_end(&mut found))
            .map_err(|e| self.fail(name, "reading back", e))?;
        if *found == *output.bytes {
            return Ok(());
        }
        let detail = "what was read back is not what was written";
        Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, self.place(&output.name), detail))
    }

    /// Whether these files are there as they would be written.
    fn stands(&self, at: &OwnedFd, outputs: &[Output]) -> bool {
        outputs.iter().all(|output| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(file) = rustix::fs::openat(at, &output.name, flags, Mode::empty()) else { return false };
            let Ok(stat) = rustix::fs::fstat(&file) else { return false };
            let is_owned = match self.export.key_owner.filter(|_| output.is_secret) {
                Some(owner) => (stat.st_uid, stat.st_gid) == owner,
                None => stat.st_uid == rustix::process::geteuid().as_raw(),
            };
            let has_mode = stat.st_mode & 0o7777 == mode_of(output);
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            is_file && is_owned && has_mode && self.read_back(at, &output.name, output).is_ok()
        })
    }

    /// Removes what an export that was stopped left half written.
    fn tidy(&self, at: &OwnedFd) -> Result<(), StoreError> {
        for (name, _) in entries(at).map_err(|e| self.fail("", "listing", e))? {
            if name.starts_with(TEMPORARY) {
                self.remove(at, &name).map_err(|e| self.fail(&name, "removing", e))?;
            }
        }
        Ok(())
    }

    /// Removes a file, overwritten first as well as can be: it may hold a private key.
    fn remove(&self, at: &OwnedFd, name: &str) -> io::Result<()> {
        self.probe("unlink", name)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if let Ok(file) = rustix::fs::openat(at, name, flags, Mode::empty()) {
            let stat = rustix::fs::fstat(&file)?;
            // A second link is someone's backup; removing ours is all we may do.
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1 {
                let length = usize::try_from(stat.st_size).unwrap_or(0);
                let mut file = File::from(file);
                let _ = file.write_all(&vec![0; length]).and_then(|()| file.sync_all());
            }
        }
        Ok(rustix::fs::unlinkat(at, name, AtFlags::empty())?)
    }

    fn subfolder(&self, name: &str) -> Result<OwnedFd, StoreError> {
        let opened = rustix::fs::openat(&self.root, name, DIRECTORY, Mode::empty());
        let opened = opened.map_err(|e| match e {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => self.foreign(name, "not a folder"),
            e => self.fail(name, "opening the folder", e),
        })?;
        check_writers(&opened, &self.place(name))?;
        Ok(opened)
    }

    fn sync(&self, at: &OwnedFd, name: &str) -> Result<(), StoreError> {
        self.probe("fsync-dir", name)
            .and_then(|()| Ok(rustix::fs::fsync(at)?))
            .map_err(|e| self.fail(name, "syncing the folder", e))
    }

    fn probe(&self, what: &'static str, name: &str) -> io::Result<()> {
        self.export.probe.as_ref().map_or(Ok(()), |probe| probe(what, name))
    }

    fn place(&self, name: &str) -> String {
        self.export.folder.join(name).display().to_string()
    }

    fn fail(&self, name: &str, doing: &str, error: impl Into<io::Error>) -> StoreError {
        StoreError::io(self.place(name), doing, &error.into())
    }

    fn foreign(&self, name: &str, detail: &str) -> StoreError {
        StoreError::new(StoreErrorKind::Exists, self.place(name), detail)
    }
}

/// Another export into the folder is waited for: each takes moments.
fn lock(root: &OwnedFd, place: &str, ended_waits: &AtomicU64) -> Result<(), StoreError> {
    let (deadline, begun) = (moment_in(LOCK_WAIT), ended_waits.load(Ordering::Relaxed));
    let is_ended = || matches!(ended_waits.load(Ordering::Relaxed), now if now != begun || now == FOR_GOOD);
    loop {
        match rustix::fs::flock(root, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline && !is_ended() => {
                std::thread::sleep(LOOK_AGAIN)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let who = holder(root).unwrap_or_else(|| "another process or handle".to_owned());
                let detail =
                    format!("{who} holds the lock of this folder, as an export does; try again when it is done");
                return Err(StoreError::new(StoreErrorKind::Locked, place, detail));
            }
            Err(e) => return Err(StoreError::io(place, "locking the folder", &e.into())),
        }
    }
}

/// Private keys are their owner's alone.
fn mode_of(output: &Output) -> u32 {
    if output.is_secret { 0o600 } else { 0o644 }
}

/// Who else may write into a folder could put other files there.
fn check_writers(at: impl AsFd, place: &str) -> Result<(), StoreError> {
    let stat = rustix::fs::fstat(at).map_err(|e| StoreError::io(place, "reading the folder's mode", &e.into()))?;
    check_owner(&stat, place)?;
    if stat.st_mode & 0o022 != 0 {
        let detail = format!("others may write to the folder (mode {:o}); expected 755 or less", stat.st_mode & 0o7777);
        return Err(StoreError::new(StoreErrorKind::Permission, place, detail));
    }
    Ok(())
}

/// Names and types in a folder, sorted.
fn entries(at: &OwnedFd) -> io::Result<Vec<(String, FileType)>> {
    Calls::default().list(At { handle: at, key: "" })
}

/// The number in `set-000007`.
fn set_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("set-")?.parse().ok()?;
    (name == format!("set-{number:06}")).then_some(number)
}

/// The folder is locked and leftovers are gone: the process number is enough.
fn temporary_name() -> String {
    format!("{TEMPORARY}{}", std::process::id())
}
