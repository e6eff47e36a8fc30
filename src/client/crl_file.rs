//! CRLs in files, with their index in another file, so that it need not be made anew.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::asn1::crl::Bytes;
use crate::limits::MAX_CRL_BYTES;
use crate::validation::Crl;

/// The CRL in a file (DER or base64), with its index in another one, if that is wanted. An index that is missing, damaged or of another list is
/// made anew; one that cannot be written is no reason to do without the list.
///
/// # Errors
///
/// As of [`crate::files::read`]; what is wrong with the list.
pub fn crl_from_file(path: &Path, index: Option<&Path>) -> Result<Crl, Error> {
    let list = read(path)?;
    let Some(index) = index else { return Ok(Crl::from_document(list)?) };
    let kept = read(index).ok().and_then(|kept| Crl::from_bytes_with_index(list.clone(), kept).ok());
    if let Some(crl) = kept {
        return Ok(crl);
    }
    let crl = Crl::from_document(list)?;
    let Some(made) = crl.index_to_bytes() else { return Ok(crl) };
    // One that cannot be written is made again the next time.
    let _ = write_whole(index, &made);
    Ok(crl)
}

/// All CRLs of a file in DER, base64 or PEM: a CA's own and those of the CAs above it often stand in one.
///
/// # Errors
///
/// As of [`crl_from_file`].
pub fn crls_from_file(path: &Path) -> Result<Vec<Arc<Crl>>, Error> {
    let lists = Crl::many_from_bytes((*read(path)?).as_ref())
        .map_err(|error| Error::from(error).context(&crate::files::shown(path)))?;
    Ok(lists.into_iter().map(Arc::new).collect())
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
