//! Byte buffers.

use super::args::{Slot, bytes_in};
use super::prelude::*;
use zeroize::Zeroizing;

/// Bytes that the library gives, or that a callback fills. One extra NUL stands behind the data, so that PEM and text print
/// directly. The memory is wiped when freed: it may hold a key.
#[handle]
pub type devid_bytes = Buffer;

/// The data and one NUL.
#[doc(hidden)]
pub struct Buffer(Zeroizing<Vec<u8>>);

impl Buffer {
    fn data(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }

    /// A copy of the buffer's own data, if that is what C points to: growing would take it away underneath.
    fn own(&self, data: *const u8, len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let (begin, at) = (self.0.as_ptr().addr(), data.addr());
        if len == 0 || at >= begin + self.0.capacity() || at.saturating_add(len) <= begin {
            return Ok(None);
        }
        let part = at.checked_sub(begin).and_then(|offset| self.data().get(offset..offset.checked_add(len)?));
        let words = "data: begins in the buffer itself and ends outside it, or the opposite";
        part.map(|part| Some(Zeroizing::new(part.to_vec()))).ok_or_else(|| Error::new(Code::InvalidArgument, words))
    }

    /// Grows by hand: a Vec that reallocates would leave a copy of a secret behind.
    fn append(&mut self, more: &[u8]) -> Result<(), Error> {
        let too_long = || Error::new(Code::Limit, "the buffer would be larger than memory");
        let needed = self.0.len().checked_add(more.len()).ok_or_else(too_long)?;
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::new());
            larger.try_reserve_exact(needed.max(2 * self.0.capacity())).map_err(|_| too_long())?;
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.pop();
        self.0.extend_from_slice(more);
        self.0.push(0);
        Ok(())
    }
}

impl devid_bytes {
    /// A buffer with a copy of the data.
    pub(super) fn from_slice(data: &[u8]) -> devid_bytes {
        let mut buffer = Zeroizing::new(Vec::with_capacity(data.len() + 1));
        buffer.extend_from_slice(data);
        buffer.push(0);
        Buffer(buffer)
    }

    /// Lends an empty buffer to a callback and takes what it put there, up to `max_len` bytes.
    pub(super) fn filled_by<T>(
        max_len: usize,
        fill: impl FnOnce(&Slot<devid_bytes>) -> T,
    ) -> (T, Result<Zeroizing<Vec<u8>>, Error>) {
        let slot = Slot::lent(Self::from_slice(&[]));
        let result = fill(&slot);
        let mut data = slot.into_value().0;
        data.pop();
        if data.len() > max_len {
            let words = format!("a callback gave {} bytes, allowed are {max_len}", data.len());
            return (result, Err(Error::new(Code::TooLarge, words)));
        }
        (result, Ok(data))
    }
}

/// The data. A NUL follows behind the last byte.
///
/// @return Valid until the buffer is freed or appended to.
#[export(otherwise = std::ptr::null())]
fn devid_bytes_data(bytes: &devid_bytes) -> *const u8 {
    // Of all bytes: the NUL may be read through it as well.
    bytes.0.as_ptr()
}

/// The number of bytes, without the NUL behind them.
///
/// @return Length in bytes.
#[export]
fn devid_bytes_len(bytes: &devid_bytes) -> usize {
    bytes.data().len()
}

/// Adds bytes at the end: how a callback gives its result.
///
/// @param data   Copied. May be NULL if `data_len` is 0.
/// @param data_len  Length of `data` in bytes.
#[export]
fn devid_bytes_append(bytes: &mut devid_bytes, data: *const u8, data_len: usize) -> Result<(), Error> {
    // Not a slice: what C points to may be the buffer's own, which changes.
    if let Some(own) = bytes.own(data, data_len)? {
        return bytes.append(&own);
    }
    // SAFETY: as for every pointer to bytes (args.rs); they lie outside the buffer.
    bytes.append(unsafe { bytes_in(data, data_len, "data")? })
}

/// Wipes and frees a buffer.
#[export]
fn devid_bytes_free(bytes: Owned<devid_bytes>) {
    drop(bytes)
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "the handle is made beside its use")]
mod tests {
    use super::*;
    use crate::args::handle_mut;

    #[test]
    fn a_buffer_takes_a_copy_of_its_own_data_and_nothing_half_its_own() {
        let mut buffer = devid_bytes::from_slice(b"abcdef");
        for _ in 0..8 {
            let before = buffer.data().to_vec();
            let (data, len) = (devid_bytes_data(&buffer), devid_bytes_len(&buffer));
            devid_bytes_append(&mut buffer, data.wrapping_add(2), len - 2).unwrap();
            assert_eq!(buffer.data(), [&before[..], &before[2..]].concat());
        }
        let (data, len) = (devid_bytes_data(&buffer), devid_bytes_len(&buffer));
        let error = devid_bytes_append(&mut buffer, data.wrapping_sub(1), len).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(devid_bytes_len(&buffer), len);
    }

    #[test]
    fn a_nul_stands_behind_the_data_however_it_grows() {
        let mut buffer = devid_bytes::from_slice(b"ab");
        for n in 0..100usize {
            assert_eq!((buffer.0.len(), buffer.0.last()), (3 + n, Some(&0)));
            devid_bytes_append(&mut buffer, b"x".as_ptr(), 1).unwrap();
        }
    }

    #[test]
    fn a_callback_that_gives_too_much_is_refused() {
        let give = |slot: &Slot<devid_bytes>| unsafe {
            handle_mut(std::ptr::from_ref(slot).cast_mut(), "buffer").unwrap().append(b"12345").unwrap();
        };
        assert_eq!(&**devid_bytes::filled_by(5, give).1.as_ref().unwrap(), b"12345");
        assert_eq!(devid_bytes::filled_by(4, give).1.unwrap_err().code(), Code::TooLarge);
    }
}

/// Reads a file: certificates, a key, settings of the program's own. A pipe or a device in its place is refused and never waited
/// for.
///
/// @param path       Not NULL.
/// @param max_len    Largest file that is read, in bytes; 0 means 1 MiB.
/// @param out_bytes  Receives the content; free with devid_bytes_free(), which wipes it. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_PERMISSION, DEVID_E_TOO_LARGE; DEVID_E_IO.
#[export]
fn devid_file_read(path: &str, max_len: usize) -> Result<devid_bytes, Error> {
    let max_len = if max_len == 0 { 1 << 20 } else { max_len };
    Ok(devid_bytes::from_slice(&devid_core::files::read(std::path::Path::new(path), max_len)?))
}
