//! Tag and length: the usual ones at a glance, all others by the `der` crate, and those that it does not know as far as to step over them.

use ::der::{Decode, Header, Reader, SliceReader, Tag, TagNumber};

/// One element: tag, length, value.
#[derive(Clone, Copy, Debug)]
pub struct Tlv<'a> {
    /// The tag.
    pub tag: Tag,
    /// The whole element.
    pub bytes: &'a [u8],
    /// Its content.
    pub value: &'a [u8],
}

/// The first element, and what is behind it, of the elements that certificates are made of: a tag that is this byte, a length in the
/// shortest form of up to three bytes, the value within the input. `None` leaves the verdict to the full decoder.
#[inline(always)]
pub(super) fn plain_element(input: &[u8], byte: u8, tag: Tag) -> Option<(Tlv<'_>, &[u8])> {
    let (header_len, value_len) = match *input {
        [first, ..] if first != byte || first == NOT_PLAIN => return None,
        [_, length @ ..=0x7f, ..] => (2, usize::from(length)),
        [_, 0x81, length @ (0x80..), ..] => (3, usize::from(length)),
        [_, 0x82, high @ (1..), low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let (bytes, behind) = input.split_at_checked(header_len + value_len)?;
    Some((Tlv { tag, bytes, value: &bytes[header_len..] }, behind))
}

/// Tag, length of the header and of the value of such an element.
pub(super) fn plain_header(input: &[u8]) -> Option<(Tag, usize, usize)> {
    let first = *input.first()?;
    let (Tlv { tag, bytes, value }, _) = plain_element(input, first, plain_tag(first)?)?;
    Some((tag, bytes.len() - value.len(), value.len()))
}

/// What stands for a tag that is not one byte, or none of the usual ones. No element begins with it (X.690 section 8.1.5).
const NOT_PLAIN: u8 = 0;

/// The byte that a tag is.
#[inline(always)]
pub(super) const fn plain_byte(tag: Tag) -> u8 {
    match tag {
        Tag::Boolean => 0x01,
        Tag::Integer => 0x02,
        Tag::BitString => 0x03,
        Tag::OctetString => 0x04,
        Tag::Null => 0x05,
        Tag::ObjectIdentifier => 0x06,
        Tag::Enumerated => 0x0a,
        Tag::Utf8String => 0x0c,
        Tag::PrintableString => 0x13,
        Tag::Ia5String => 0x16,
        Tag::UtcTime => 0x17,
        Tag::GeneralizedTime => 0x18,
        Tag::Sequence => 0x30,
        Tag::Set => 0x31,
        Tag::ContextSpecific { constructed: false, number: TagNumber(number @ ..0x1f) } => 0x80 | number as u8,
        Tag::ContextSpecific { constructed: true, number: TagNumber(number @ ..0x1f) } => 0xa0 | number as u8,
        _ => NOT_PLAIN,
    }
}

/// The same of any element, by the full decoder. The value need not be there.
pub(super) fn full_header(input: &[u8]) -> ::der::Result<(Tag, usize, usize)> {
    let mut reader = SliceReader::new(input)?;
    let header = Header::decode(&mut reader)?;
    Ok((header.tag(), u32::from(reader.position()) as usize, u32::from(header.length()) as usize))
}

#[inline(always)]
pub(super) const fn plain_tag(byte: u8) -> Option<Tag> {
    Some(match byte {
        0x01 => Tag::Boolean,
        0x02 => Tag::Integer,
        0x03 => Tag::BitString,
        0x04 => Tag::OctetString,
        0x05 => Tag::Null,
        0x06 => Tag::ObjectIdentifier,
        0x0a => Tag::Enumerated,
        0x0c => Tag::Utf8String,
        0x13 => Tag::PrintableString,
        0x16 => Tag::Ia5String,
        0x17 => Tag::UtcTime,
        0x18 => Tag::GeneralizedTime,
        0x30 => Tag::Sequence,
        0x31 => Tag::Set,
        // Context-specific, numbers that fit the byte.
        0x80..=0x9e => context((byte & 0x1f) as u32, false),
        0xa0..=0xbe => context((byte & 0x1f) as u32, true),
        _ => return None,
    })
}

/// Added to the first byte of a tag that the decoder does not know, such as UniversalString's: it stands for it as a private
/// tag with a number that none has. What nobody needs to understand is stepped over.
const FOREIGN: u32 = 0x4000_0000;

/// The byte that stands behind such a tag.
pub(super) fn foreign_byte(tag: Tag) -> Option<u32> {
    match tag {
        Tag::Private { number: TagNumber(number @ FOREIGN..), .. } => Some(number - FOREIGN),
        _ => None,
    }
}

const fn foreign(first: u8) -> Tag {
    Tag::Private { constructed: first & 0x20 != 0, number: TagNumber(FOREIGN | first as u32) }
}

/// Tag, length of the header and of the value of an element whose tag the decoder does not know: any of X.690 section 8.1.2, with
/// a length as DER has it, and all of the value there.
#[cold]
pub(super) fn foreign_header(input: &[u8]) -> Option<(Tag, usize, usize)> {
    let first = *input.first().filter(|first| **first != 0)?;
    let tag_len = match first & 0x1f {
        // The number is in the bytes behind, seven bits each, the last below 0x80.
        0x1f => 2 + input[1..].iter().take(4).position(|byte| byte & 0x80 == 0)?,
        _ => 1,
    };
    let (length_len, value_len) = match *input.get(tag_len)? {
        length @ ..=0x7f => (1, usize::from(length)),
        count @ 0x81..=0x84 => {
            let bytes = input.get(tag_len + 1..)?.get(..usize::from(count & 0x7f))?;
            let length =
                bytes.iter().try_fold(0usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
            let is_shortest = bytes[0] != 0 && length >= 0x80;
            (1 + bytes.len(), is_shortest.then_some(length)?)
        }
        _ => return None,
    };
    let header_len = tag_len + length_len;
    (value_len <= input.len() - header_len).then_some((foreign(first), header_len, value_len))
}

/// Whether it is the tag that the decoder does not know, and not something else that is wrong.
pub(super) fn is_unknown_tag(input: &[u8]) -> bool {
    SliceReader::new(input).is_ok_and(|reader| Tag::peek(&reader).is_err())
}

/// The tag `[number]` of the context-specific class.
pub const fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}
