//! Where an element ends: the short cut of [`Cursor`](super::der::Cursor) for millions of tiny ones.

/// The content of the element with this tag that `bytes` begins with, and what follows it.
///
/// The short cut of [`Cursor`] for millions of tiny elements: one-byte tags, definite lengths in their shortest form. It and what walks over
/// entries is inlined always: the crate is compiled for size, where not every call of it would be.
#[inline(always)]
pub(crate) fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (header_len, content_len) = header(bytes, tag)?;
    let rest = bytes.get(header_len..)?;
    (content_len <= rest.len()).then(|| rest.split_at(content_len))
}

/// Tag, content and what follows of the element that `bytes` begins with, whatever its type.
pub(crate) fn take_any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let tag = *bytes.first().filter(|tag| *tag & 0x1f != 0x1f)?;
    take(bytes, tag).map(|(content, rest)| (tag, content, rest))
}

/// Length of the header and of the content of the element with this tag that `bytes` begins with; the content may
/// reach beyond the end of `bytes`. `None` if it is another tag, no DER, or not whole.
#[inline(always)]
pub(crate) fn header(bytes: &[u8], tag: u8) -> Option<(usize, usize)> {
    match bytes {
        [found, first, ..] if *found == tag => match *first {
            short if short < 0x80 => Some((2, usize::from(short))),
            long => long_header(bytes, usize::from(long & 0x7f)),
        },
        _ => None,
    }
}

/// The same where the length takes `count` bytes of its own.
#[cold]
fn long_header(bytes: &[u8], count: usize) -> Option<(usize, usize)> {
    if count == 0 || count > 4 {
        return None;
    }
    let octets = bytes.get(2..2 + count)?;
    let length = octets.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    (octets[0] != 0 && length >= 0x80).then_some((2 + count, length))
}
