//! Byte buffers.

use zeroize::Zeroizing;

use super::args::{Handle, Slot, bytes_in, free, handle, handle_mut, peek};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::{Code, Error};

/// Bytes that the library gives, or that a callback fills. One extra NUL stands behind the data, so that PEM and text print
/// directly. The memory is wiped when freed: it may hold a key.
#[allow(non_camel_case_types)]
pub struct devid_bytes(Slot<Buffer>);
handle!(devid_bytes: Buffer);

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
    /// A new buffer for C with a copy of the data.
    pub(super) fn from_slice(data: &[u8]) -> *mut devid_bytes {
        let mut buffer = Zeroizing::new(Vec::with_capacity(data.len() + 1));
        buffer.extend_from_slice(data);
        buffer.push(0);
        <Self as Handle>::into_raw(Buffer(buffer))
    }

    /// Lends an empty buffer to a callback and takes what it put there, up to `max_len` bytes.
    pub(super) fn filled_by<T>(
        max_len: usize,
        fill: impl FnOnce(*mut devid_bytes) -> T,
    ) -> (T, Result<Zeroizing<Vec<u8>>, Error>) {
        let raw = Self::from_slice(&[]);
        let result = fill(raw);
        // SAFETY: made above; by the header a callback does not free what is lent to it.
        let data = unsafe { handle_mut(raw, "the callback's buffer") }.and_then(|mut buffer| {
            let mut data = std::mem::take(&mut buffer.0);
            data.pop();
            buffer.0.push(0);
            if data.len() > max_len {
                return Err(Error::new(
                    Code::TooLarge,
                    format!("a callback gave {} bytes, allowed are {max_len}", data.len()),
                ));
            }
            Ok(data)
        });
        // SAFETY: as above.
        unsafe { free(raw) };
        (result, data)
    }
}

/// The data. A NUL follows behind the last byte.
///
/// @param bytes  May be NULL (gives NULL).
/// @return Valid until the buffer is freed or appended to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_bytes_data(bytes: *const devid_bytes) -> *const u8 {
    // SAFETY: as the header says.
    // Of all bytes: the NUL may be read through it as well.
    unsafe { peek(bytes, std::ptr::null(), |b| b.0.as_ptr()) }
}

/// The number of bytes, without the NUL behind them.
///
/// @param bytes  May be NULL (gives 0).
/// @return Length in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_bytes_len(bytes: *const devid_bytes) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(bytes, 0, |b| b.data().len()) }
}

/// Adds bytes at the end: how a callback gives its result.
///
/// @param bytes  Not NULL.
/// @param data   Copied. May be NULL if `data_len` is 0.
/// @param data_len  Length of `data` in bytes.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_bytes_append(
    bytes: *mut devid_bytes,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut bytes = unsafe { handle_mut(bytes, "bytes")? };
        if let Some(own) = bytes.own(data, data_len)? {
            return bytes.append(&own);
        }
        // SAFETY: as the header says; the data lies outside the buffer, which grows.
        bytes.append(unsafe { bytes_in(data, data_len, "data")? })
    })
}

/// Wipes and frees a buffer.
///
/// @param bytes  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_bytes_free(bytes: *mut devid_bytes) {
    // SAFETY: as the header says.
    unsafe { free(bytes) }
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "the handles are made beside their use")]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_a_copy_of_its_own_data_and_nothing_half_its_own() {
        let raw = devid_bytes::from_slice(b"abcdef");
        for _ in 0..8 {
            let (data, len) = unsafe { (devid_bytes_data(raw), devid_bytes_len(raw)) };
            let before = unsafe { std::slice::from_raw_parts(data, len) }.to_vec();
            assert_eq!(unsafe { devid_bytes_append(raw, data.add(2), len - 2, std::ptr::null_mut()) }, 0);
            let after = unsafe { std::slice::from_raw_parts(devid_bytes_data(raw), devid_bytes_len(raw)) };
            assert_eq!(after, [&before[..], &before[2..]].concat());
        }
        let data = unsafe { devid_bytes_data(raw) };
        let len = unsafe { devid_bytes_len(raw) };
        let status = unsafe { devid_bytes_append(raw, data.wrapping_sub(1), len, std::ptr::null_mut()) };
        assert_eq!(status, Code::InvalidArgument.number());
        assert_eq!(unsafe { devid_bytes_len(raw) }, len);
        unsafe { devid_bytes_free(raw) };
    }

    #[test]
    fn a_nul_stands_behind_the_data_however_it_grows() {
        let raw = devid_bytes::from_slice(b"ab");
        for n in 0..100usize {
            let data = unsafe { std::slice::from_raw_parts(devid_bytes_data(raw), devid_bytes_len(raw) + 1) };
            assert_eq!((data.len(), data[data.len() - 1]), (3 + n, 0));
            assert_eq!(unsafe { devid_bytes_append(raw, b"x".as_ptr(), 1, std::ptr::null_mut()) }, 0);
        }
        unsafe { devid_bytes_free(raw) };
    }

    #[test]
    fn a_callback_that_gives_too_much_is_refused() {
        let give = |raw| unsafe { devid_bytes_append(raw, b"12345".as_ptr(), 5, std::ptr::null_mut()) };
        assert_eq!(&**devid_bytes::filled_by(5, give).1.as_ref().unwrap(), b"12345");
        assert_eq!(devid_bytes::filled_by(4, give).1.unwrap_err().code(), Code::TooLarge);
    }
}
