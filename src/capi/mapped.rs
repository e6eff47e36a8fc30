//! Files mapped into memory: a big CRL costs the heap nothing but its index, and that can lie in a file as well.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::asn1::crl::Bytes;
use crate::validation::Crl;
use crate::{Code, Error};

/// The CRL in a file, with its index in another one, if that is wanted. An index that is missing, damaged or of another list is
/// made anew; one that cannot be written is no reason to do without the list.
pub(super) fn crl_of(path: &Path, index: Option<&Path>) -> Result<Crl, Error> {
    let list = map(path)?;
    let Some(index) = index else { return Ok(Crl::from_bytes(list)?) };
    if let Ok(kept) = map(index)
        && let Ok(crl) = Crl::from_bytes_with_index(list.clone(), kept)
    {
        return Ok(crl);
    }
    let crl = Crl::from_bytes(list.clone())?;
    let Some(made) = crl.index_to_bytes() else { return Ok(crl) };
    if write_whole(index, &made).is_err() {
        return Ok(crl);
    }
    drop(made);
    // From the file: the index on the heap is let go.
    Ok(map(index).ok().and_then(|kept| Crl::from_bytes_with_index(list, kept).ok()).unwrap_or(crl))
}

/// Written beside it and renamed: nobody meets half an index.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => Code::NotFound,
        std::io::ErrorKind::PermissionDenied => Code::Permission,
        _ => Code::Io,
    };
    Error::new(code, format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn map(path: &Path) -> Result<Bytes, Error> {
    let file = File::open(path).map_err(|e| failed(path, &e))?;
    let len = file.metadata().map_err(|e| failed(path, &e))?.len();
    let len = usize::try_from(len).ok().filter(|len| *len <= crate::limits::MAX_CRL_BYTES);
    let len = len.ok_or_else(|| Error::new(Code::TooLarge, format!("{}: a file of that size", path.display())))?;
    if len == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    Ok(Arc::new(Mapping::new(&file, len).map_err(|e| failed(path, &e))?))
}

#[cfg(not(unix))]
fn map(path: &Path) -> Result<Bytes, Error> {
    Ok(Arc::new(std::fs::read(path).map_err(|e| failed(path, &e))?))
}

#[cfg(unix)]
struct Mapping {
    address: std::ptr::NonNull<u8>,
    len: usize,
}

#[cfg(unix)]
impl Mapping {
    fn new(file: &File, len: usize) -> std::io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        // SAFETY: a new private mapping at an address that the system chooses; nobody else knows it.
        let address = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        let address = std::ptr::NonNull::new(address.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { address, len })
    }
}

// SAFETY: memory that is only read, and whose address nobody else writes to.
#[cfg(unix)]
unsafe impl Send for Mapping {}
// SAFETY: as above.
#[cfg(unix)]
unsafe impl Sync for Mapping {}

#[cfg(unix)]
impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped for `len` bytes until drop. The header demands that the file is replaced and never changed in place.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.len) }
    }
}

#[cfg(unix)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: what new() mapped; the last borrow has ended.
        let _ = unsafe { rustix::mm::munmap(self.address.as_ptr().cast(), self.len) };
    }
}
