//! Which files of a folder exports have made. Those are written anew and removed; somebody else's are neither.
//!
//! The list lies in the folder itself, so that it is there as long as the files are: device memory may be lost. Its name begins with a
//! dot, as servers that read whole folders pass such files over.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use zeroize::Zeroizing;

use super::Folder;
use crate::store::StoreError;
use crate::store::export::layout::Output;

const NAME: &str = ".devid";
const HEAD: &str = "written by exports of devid";
/// Names of 255 bytes at most, a few for each identity.
const MOST_BYTES: u64 = 1 << 20;

/// A file that is to be written: where, below which folder, and what.
pub(super) type Wanted<'f> = (&'f OwnedFd, &'static str, &'f Output);

impl Folder<'_> {
    /// Makes sure that nothing is written over what no export has made, and notes the files before they are written: one that
    /// cannot be written then leaves a name too much, and none too little. Answers what exports have made until now.
    pub(super) fn take(&self, wanted: &[Wanted<'_>]) -> Result<BTreeSet<String>, StoreError> {
        let noted = self.noted()?;
        let mut all = noted.clone();
        for (at, folder, output) in wanted {
            let name = within(folder, &output.name);
            let is_there = rustix::fs::statat(at, &output.name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            // What stands as it would be written is nobody's loss.
            if is_there && !noted.contains(&name) && !self.stands(at, std::slice::from_ref(*output)) {
                let detail = "a file that no export has made: nothing is written over it; move it away, or export to another folder";
                return Err(self.foreign(&name, detail));
            }
            all.insert(name);
        }
        if all != noted {
            self.note(&all)?;
        }
        Ok(noted)
    }

    /// Writes the list; names whose files are gone leave it.
    fn note(&self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        let bytes = Zeroizing::new(format!("{HEAD}\n{lines}").into_bytes());
        self.replace(&self.root, "", &Output { name: NAME.to_owned(), bytes, is_secret: false })?;
        self.sync(&self.root, "")
    }

    /// Takes names out of the list whose files are removed.
    pub(super) fn forget_removed(&self) -> Result<(), StoreError> {
        let noted = self.noted()?;
        let is_there = |name: &String| rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let left: BTreeSet<String> = noted.iter().filter(|name| is_there(name)).cloned().collect();
        if left == noted { Ok(()) } else { self.note(&left) }
    }

    fn noted(&self) -> Result<BTreeSet<String>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut text = String::new();
        let read = match rustix::fs::openat(&self.root, NAME, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(BTreeSet::new()),
            Err(error) => Err(error.into()),
            Ok(file) => File::from(file).take(MOST_BYTES).read_to_string(&mut text),
        };
        read.map_err(|error| self.fail(NAME, "reading the list of files", error))?;
        let mut lines = text.lines();
        match lines.next() {
            Some(HEAD) => Ok(lines.map(str::to_owned).collect()),
            _ => Err(self.foreign(NAME, "not the list that an export makes")),
        }
    }
}

/// The name of a file, from the folder on.
pub(super) fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
