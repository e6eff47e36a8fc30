//! CRLs in files, with their index in another file, so that it need not be made anew.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::asn1::crl::Bytes;
use crate::limits::MAX_CRL_BYTES;
use crate::validation::{INDEX_MAGIC, StatusSources};
use crate::{Code, Error};

/// Adds the CRLs of a file in any form: a CA's own and those of the CAs above it often stand in one. The index of a file of one list is kept in
/// another file, if that is wanted. An index that is missing, damaged or of another list is made anew; one that cannot be written is no reason
/// to do without the list.
///
/// # Errors
///
/// As of [`crate::files::read`]; what is wrong with the only list; [`Code::InvalidArgument`], and nothing is changed, if something else than
/// an index stands in its place.
pub fn add_crl_file(status: &mut StatusSources, path: &Path, index: Option<&Path>) -> Result<(), Error> {
    let (before, kept) = (status.crls.len(), index.map(read_index).transpose()?.flatten());
    let of_file = |error| Error::from(error).context(&crate::files::shown(path));
    status.add_crls(read(path)?).map_err(of_file)?;
    let (Some(index), [crl]) = (index, &mut status.crls[before..]) else { return Ok(()) };
    let Some(crl) = Arc::get_mut(crl) else { return Ok(()) };
    if kept.is_some_and(|kept| crl.take_index(kept).is_ok()) {
        return Ok(());
    }
    if let Some(made) = crl.index_to_bytes() {
        // One that cannot be written is made again the next time.
        let _ = write_whole(index, &made);
    }
    Ok(())
}

/// What stands in an index's place, if anything can be read there: an index, whole or damaged, or nothing yet. Another file is somebody's,
/// perhaps the list itself, and anything but a file is no place for one.
fn read_index(path: &Path) -> Result<Option<Bytes>, Error> {
    let refused = |what: &str| {
        let words = format!("the index of a CRL: {} is {what} and is not replaced", crate::files::shown(path));
        Err(Error::new(Code::InvalidArgument, words))
    };
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => return refused("no regular file"),
        Ok(_) => {}
        Err(_) => return Ok(None),
    }
    let kept = read(path)?;
    let begin = &(*kept).as_ref()[..INDEX_MAGIC.len().min((*kept).as_ref().len())];
    if !INDEX_MAGIC.starts_with(begin) {
        return refused("another file");
    }
    Ok(Some(kept))
}

/// Written beside it and renamed: nobody meets half an index. Every writer has a file of its own, threads and processes alike.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    let beside = PathBuf::from(beside);
    // What stands there already is not ours: left by a process of our number, or put there to be written through.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

/// All of a file. Read and not mapped: a mapped file that somebody cuts ends the process at the next look.
fn read(path: &Path) -> Result<Bytes, Error> {
    let mut bytes = crate::files::read(path, MAX_CRL_BYTES)?;
    Ok(Arc::new(std::mem::take(&mut *bytes)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Only an index, whole or damaged, gives way to an index.
    #[test]
    fn whatever_is_no_index_stays_in_its_place() {
        let folder = std::env::temp_dir().join(format!("devid-crl-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let list = folder.join("list");
        std::fs::write(&list, b"no list").unwrap();
        let tried = |index: &Path| add_crl_file(&mut StatusSources::none(), &list, Some(index)).unwrap_err().code();
        let is_list_refused = |index: &Path| tried(index) != Code::InvalidArgument;
        for (content, is_fine) in [
            (&b""[..], true),
            (b"crl", true),
            (b"crlidx1\n damaged", true),
            (b"-----BEGIN", false),
            (b"crlidx2\n", false),
        ] {
            let index = folder.join("index");
            std::fs::write(&index, content).unwrap();
            assert_eq!(is_list_refused(&index), is_fine, "{content:?}");
            assert_eq!(std::fs::read(&index).unwrap(), content);
        }
        assert!(is_list_refused(&folder.join("none")));
        assert!(!is_list_refused(&folder) && !is_list_refused(&list) && !is_list_refused(Path::new("/dev/null")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
