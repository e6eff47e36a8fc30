//! The system calls that device memory in a directory makes, one function each, and the witness who sees every one.
//!
//! Interrupted calls (`EINTR`) are made again. `close` is not listed: it changes nothing that was not synced before.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use zeroize::Zeroizing;

/// A system call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Which one.
    pub kind: CallKind<'a>,
    /// The directory it works in, as a key: empty for device memory's own, `..` for the one that holds it.
    pub directory: &'a str,
    /// The entry's name in there; empty if the directory itself is meant.
    pub name: &'a str,
}

/// Kinds of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind<'a> {
    /// `openat` of a directory.
    OpenDirectory,
    /// `openat` of a file that is there.
    Open,
    /// `openat` that makes a file, or with the lock file opens it if it is there.
    Create,
    /// `fstat` and its relatives.
    Stat,
    /// `read`.
    Read,
    /// `openat` of the directory once more and `getdents64`, as often as it takes.
    List,
    /// `flock`.
    Lock,
    /// `write` of these bytes, which follow what was written through the same handle before.
    Write(&'a [u8]),
    /// `fsync` of a file; of an entry, whatever it is, after `fchmod`.
    Sync,
    /// `fsync` of a directory.
    SyncDirectory,
    /// `renameat` to this name in the same directory.
    Rename(&'a str),
    /// `unlinkat` of a file.
    Unlink,
    /// `mkdirat`.
    MakeDirectory,
    /// `unlinkat` of a directory.
    RemoveDirectory,
    /// `fchmod`.
    Narrow,
}

impl CallKind<'_> {
    /// Whether it asks for a change on the medium.
    pub fn changes_something(self) -> bool {
        !matches!(
            self,
            CallKind::OpenDirectory
                | CallKind::Open
                | CallKind::Stat
                | CallKind::Read
                | CallKind::List
                | CallKind::Lock
        )
    }

    /// Its name in the way of `strace`; one name for the whole family of `stat`.
    pub fn name(self) -> &'static str {
        match self {
            CallKind::OpenDirectory | CallKind::Open | CallKind::Create => "openat",
            CallKind::Stat => "stat",
            CallKind::Read => "read",
            CallKind::List => "getdents64",
            CallKind::Lock => "flock",
            CallKind::Write(_) => "write",
            CallKind::Sync | CallKind::SyncDirectory => "fsync",
            CallKind::Rename(_) => "renameat",
            CallKind::Unlink | CallKind::RemoveDirectory => "unlinkat",
            CallKind::MakeDirectory => "mkdir",
            CallKind::Narrow => "fchmod",
        }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.directory.is_empty() { "." } else { self.directory };
        write!(f, "{} {place}/{}", self.kind.name(), self.name)?;
        match self.kind {
            CallKind::Rename(to) => write!(f, " -> {to}"),
            CallKind::Write(bytes) => write!(f, ", {} bytes", bytes.len()),
            _ => Ok(()),
        }
    }
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Verdict {
    /// It is made.
    Go,
    /// It is not made, and this is its outcome.
    Fail(io::Error),
    /// A `read` or `write` is made with so many bytes at most; others as they are.
    Short(usize),
}

/// Sees every system call. For fault-injection tests.
pub trait Witness: Send + Sync {
    /// Before a call.
    fn before(&self, _call: &Call<'_>) -> Verdict {
        Verdict::Go
    }

    /// After a call that was made and succeeded; a `write` with the bytes that were taken.
    fn after(&self, _call: &Call<'_>) {}
}

/// Makes the calls.
#[derive(Clone, Default)]
pub(super) struct Calls(pub Option<Arc<dyn Witness>>);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open directory of device memory and its key.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub handle: &'a OwnedFd,
    pub key: &'a str,
}

impl<'a> At<'a> {
    fn call(self, kind: CallKind<'a>, name: &'a str) -> Call<'a> {
        Call { kind, directory: self.key, name }
    }
}

impl Calls {
    fn make<T>(&self, call: Call<'_>, mut go: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            let made = match self.before(&call) {
                Verdict::Fail(error) => Err(error),
                Verdict::Go | Verdict::Short(_) => go().inspect(|_| self.after(&call)),
            };
            match made {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                made => return made,
            }
        }
    }

    fn before(&self, call: &Call<'_>) -> Verdict {
        self.0.as_ref().map_or(Verdict::Go, |witness| witness.before(call))
    }

    fn after(&self, call: &Call<'_>) {
        if let Some(witness) = &self.0 {
            witness.after(call);
        }
    }

    /// Whether device memory's own directory is there.
    pub fn root_exists(&self, path: &Path) -> bool {
        self.stat_root(path).is_ok()
    }

    /// What its path leads to.
    pub fn stat_root(&self, path: &Path) -> io::Result<Stat> {
        let call = Call { kind: CallKind::Stat, directory: "..", name: "" };
        self.make(call, || Ok(rustix::fs::stat(path)?))
    }

    pub fn make_root(&self, path: &Path) -> io::Result<()> {
        let call = Call { kind: CallKind::MakeDirectory, directory: "..", name: "" };
        self.make(call, || Ok(rustix::fs::mkdir(path, Mode::RWXU)?))
    }

    /// Makes the entry of device memory's own directory durable.
    pub fn sync_parent(&self, parent: &Path) -> io::Result<()> {
        let call = |kind| Call { kind, directory: "..", name: "" };
        let handle =
            self.make(call(CallKind::OpenDirectory), || Ok(rustix::fs::open(parent, DIRECTORY, Mode::empty())?))?;
        self.make(call(CallKind::SyncDirectory), || Ok(rustix::fs::fsync(&handle)?))
    }

    /// The path itself is the administrator's choice and may lead through symbolic links.
    pub fn open_root(&self, path: &Path) -> io::Result<OwnedFd> {
        let call = Call { kind: CallKind::OpenDirectory, directory: "", name: "" };
        self.make(call, || Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?))
    }

    pub fn open_directory(&self, at: At<'_>, name: &str) -> io::Result<OwnedFd> {
        self.make(at.call(CallKind::OpenDirectory, name), || {
            Ok(rustix::fs::openat(at.handle, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
        })
    }

    /// Opens a file that is there. A pipe in a file's place does not hold us.
    pub fn open(&self, at: At<'_>, name: &str, access: OFlags) -> io::Result<OwnedFd> {
        let flags = access | FILE | OFlags::NONBLOCK;
        self.make(at.call(CallKind::Open, name), || Ok(rustix::fs::openat(at.handle, name, flags, Mode::empty())?))
    }

    /// Makes a file, which must not be there.
    pub fn create(&self, at: At<'_>, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE;
        self.make(at.call(CallKind::Create, name), || Ok(rustix::fs::openat(at.handle, name, flags, OWNER_ONLY)?))
    }

    /// Opens the lock file, made if it is missing.
    pub fn open_lock(&self, at: At<'_>, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | FILE;
        let call = at.call(CallKind::Create, name);
        self.make(call, || Ok(File::from(rustix::fs::openat(at.handle, name, flags, OWNER_ONLY)?)))
    }

    /// `false` if somebody else has it.
    pub fn try_lock(&self, at: At<'_>, name: &str, file: &File) -> io::Result<bool> {
        self.make(at.call(CallKind::Lock, name), || {
            match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }

    pub fn unlock(&self, at: At<'_>, name: &str, file: &File) -> io::Result<()> {
        self.make(at.call(CallKind::Lock, name), || Ok(rustix::fs::flock(file, FlockOperation::Unlock)?))
    }

    /// Of an open file or, with an empty name, of the directory.
    pub fn stat(&self, at: At<'_>, name: &str, handle: impl AsFd) -> io::Result<Stat> {
        self.make(at.call(CallKind::Stat, name), || Ok(rustix::fs::fstat(&handle)?))
    }

    /// Of an entry, whatever it is.
    pub fn stat_entry(&self, at: At<'_>, name: &str) -> io::Result<Stat> {
        let call = at.call(CallKind::Stat, name);
        self.make(call, || Ok(rustix::fs::statat(at.handle, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Everything, but no more than `size` and a byte.
    pub fn read(&self, at: At<'_>, name: &str, handle: &OwnedFd, size: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        // Room for everything at once: growing would leave copies of a key behind.
        let mut bytes = Zeroizing::new(vec![0; size + 1]);
        let mut len = 0;
        while len < bytes.len() {
            let call = at.call(CallKind::Read, name);
            let most = match self.before(&call) {
                Verdict::Fail(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Verdict::Fail(e) => return Err(e),
                Verdict::Short(most) => most.clamp(1, bytes.len() - len),
                Verdict::Go => bytes.len() - len,
            };
            match rustix::io::read(handle, &mut bytes[len..len + most]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    pub fn write(&self, at: At<'_>, name: &str, handle: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let call = at.call(CallKind::Write(rest), name);
            let part = match self.before(&call) {
                Verdict::Fail(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Verdict::Fail(e) => return Err(e),
                Verdict::Short(most) => &rest[..most.clamp(1, rest.len())],
                Verdict::Go => rest,
            };
            match rustix::io::write(handle, part) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.after(&at.call(CallKind::Write(&part[..count]), name));
                    rest = &rest[count..];
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    pub fn sync(&self, at: At<'_>, name: &str, handle: &OwnedFd) -> io::Result<()> {
        self.make(at.call(CallKind::Sync, name), || Ok(rustix::fs::fsync(handle)?))
    }

    pub fn sync_directory(&self, at: At<'_>) -> io::Result<()> {
        self.make(at.call(CallKind::SyncDirectory, ""), || Ok(rustix::fs::fsync(at.handle)?))
    }

    pub fn rename(&self, at: At<'_>, from: &str, to: &str) -> io::Result<()> {
        self.make(at.call(CallKind::Rename(to), from), || Ok(rustix::fs::renameat(at.handle, from, at.handle, to)?))
    }

    pub fn unlink(&self, at: At<'_>, name: &str) -> io::Result<()> {
        self.make(at.call(CallKind::Unlink, name), || Ok(rustix::fs::unlinkat(at.handle, name, AtFlags::empty())?))
    }

    pub fn make_directory(&self, at: At<'_>, name: &str) -> io::Result<()> {
        self.make(at.call(CallKind::MakeDirectory, name), || Ok(rustix::fs::mkdirat(at.handle, name, Mode::RWXU)?))
    }

    pub fn remove_directory(&self, at: At<'_>, name: &str) -> io::Result<()> {
        let call = at.call(CallKind::RemoveDirectory, name);
        self.make(call, || Ok(rustix::fs::unlinkat(at.handle, name, AtFlags::REMOVEDIR)?))
    }

    /// Takes everybody else's access away, durably.
    pub fn narrow(&self, at: At<'_>, name: &str, kind: FileType) -> io::Result<()> {
        let (handle, mode) = match kind {
            FileType::Directory => (self.open_directory(at, name)?, Mode::RWXU),
            _ => (self.open(at, name, OFlags::RDONLY)?, OWNER_ONLY),
        };
        self.make(at.call(CallKind::Narrow, name), || Ok(rustix::fs::fchmod(&handle, mode)?))?;
        self.sync(at, name, &handle)
    }

    /// Names and types in a directory, sorted. Names that are not text cannot be ours and are left out.
    pub fn list(&self, at: At<'_>) -> io::Result<Vec<(String, FileType)>> {
        let entries = self.make(at.call(CallKind::List, ""), || {
            // A handle of its own: reading moves its position.
            let handle = rustix::fs::openat(at.handle, ".", DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
            Ok(Dir::new(handle)?.collect::<Result<Vec<_>, _>>()?)
        })?;
        let mut found = Vec::new();
        for entry in entries {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => FileType::from_raw_mode(self.stat_entry(at, name)?.st_mode),
                kind => kind,
            };
            found.push((name.to_owned(), kind));
        }
        crate::order::sort_by(&mut found, |a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}
