//! CRLs in files, with their index in another file, so that it need not be made anew.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::asn1::crl::Bytes;
use crate::asn1::pem::Held;
use crate::limits::MAX_CRL_BYTES;
use crate::validation::{Crl, INDEX_MAGIC};
use crate::{Code, Error};

/// The CRL in a file (DER or base64), with its index in another one, if that is wanted. An index that is missing, damaged or of another list is
/// made anew; one that cannot be written is no reason to do without the list.
///
/// # Errors
///
/// As of [`crate::files::read`]; what is wrong with the list; [`Code::InvalidArgument`], and nothing is changed, if something else than an
/// index stands in its place.
pub fn crl_from_file(path: &Path, index: Option<&Path>) -> Result<Crl, Error> {
    let list = read(path)?;
    let Some(index) = index else { return Ok(Crl::from_document(list)?) };
    let kept = read_index(index)?;
    let kept = kept.and_then(|kept| Crl::from_bytes_with_index(list.clone(), kept).ok());
    if let Some(crl) = kept {
        return Ok(crl);
    }
    let crl = Crl::from_document(list)?;
    let Some(made) = crl.index_to_bytes() else { return Ok(crl) };
    // One that cannot be written is made again the next time.
    let _ = write_whole(index, &made);
    Ok(crl)
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

/// All CRLs of a file in DER, base64 or PEM: a CA's own and those of the CAs above it often stand in one.
///
/// # Errors
///
/// As of [`crl_from_file`].
pub fn crls_from_file(path: &Path) -> Result<Vec<Arc<Crl>>, Error> {
    Ok(held_crls_of_file(path)?.all.into_iter().map(Arc::new).collect())
}

/// The same, and what begins as a list and cannot be read.
pub(crate) fn held_crls_of_file(path: &Path) -> Result<Held<Crl>, Error> {
    let held = Crl::held_in((*read(path)?).as_ref());
    held.map_err(|error| Error::from(error).context(&crate::files::shown(path)))
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
        let tried = |index: &Path| crl_from_file(&list, Some(index)).unwrap_err().code();
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
