//! Strict reading of DER with words for what went wrong, and the few encoders that derives do not give.
//!
//! The decoder is the `der` crate's; [`Cursor`] adds the name of the structure being read to each error and hands out
//! elements as borrowed bytes, so that callers can keep spans instead of copies.

pub use ::der::{Decode, Encode, Tag, TagNumber};
use ::der::{Header, Reader, SliceReader};

pub use super::error::{Asn1Error, Problem};
pub use super::header::{Tlv, context};
use super::header::{foreign_header, full_header, is_unknown_tag, plain_byte, plain_element, plain_header, plain_tag};
use super::not_der::as_text;
use crate::limits;
use crate::prelude::*;

/// Reads elements one after the other from the content of the structure it is named for.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    /// Of all elements.
    len: usize,
    structure: &'static str,
}

impl<'a> Cursor<'a> {
    /// Reads the elements in `bytes`; `structure` names them in errors.
    #[inline]
    pub fn new(bytes: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        if bytes.len() > usize::from(u16::MAX) {
            // The decoder's own limit on the size of an input.
            SliceReader::new(bytes).map_err(|e| Asn1Error::from_der(structure, e))?;
        }
        Ok(Cursor::over(bytes, structure))
    }

    #[inline]
    fn over(bytes: &'a [u8], structure: &'static str) -> Self {
        Cursor { rest: bytes, len: bytes.len(), structure }
    }

    /// Reads the content of the one SEQUENCE that `bytes` must be, to its last byte.
    pub fn sequence(bytes: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        if let Some((element, [])) = plain_element(bytes, 0x30, Tag::Sequence) {
            return Ok(Cursor::over(element.value, structure));
        }
        let mut outer = Cursor::new(bytes, structure)?;
        let content = outer
            .expect(Tag::Sequence, "a SEQUENCE")
            .map_err(|error| as_text(bytes, structure).unwrap_or(error))?
            .value;
        outer.finish()?;
        Ok(Cursor::over(content, structure))
    }

    /// How long the first element is, if it is whole.
    pub(crate) fn first_element_length(&self) -> Option<usize> {
        self.clone().any("an element").ok().map(|element| element.bytes.len())
    }

    /// The tag byte of the next element.
    pub(super) fn next_byte(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Whether everything is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Offset of the next element.
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self, expected: &'static str) -> Result<Tlv<'a>, Asn1Error> {
        let rest = self.rest;
        let first = *rest.first().ok_or_else(|| self.unexpected(expected, None))?;
        if let Some((element, behind)) = plain_tag(first).and_then(|tag| plain_element(rest, first, tag)) {
            self.rest = behind;
            return Ok(element);
        }
        let (tag, header_len, value_len) = match self.full_header() {
            Ok(header) => header,
            Err(error) => foreign_header(rest).filter(|_| is_unknown_tag(rest)).ok_or(error)?,
        };
        let (bytes, behind) = rest.split_at(header_len + value_len);
        self.rest = behind;
        Ok(Tlv { tag, bytes, value: &bytes[header_len..] })
    }

    /// The next element, which must have this tag.
    #[inline(always)]
    pub fn expect(&mut self, tag: Tag, expected: &'static str) -> Result<Tlv<'a>, Asn1Error> {
        self.expect_byte(plain_byte(tag), tag, expected)
    }

    /// The same with the byte that the tag is, where it is one.
    fn expect_byte(&mut self, byte: u8, tag: Tag, expected: &'static str) -> Result<Tlv<'a>, Asn1Error> {
        if let Some((element, behind)) = plain_element(self.rest, byte, tag) {
            self.rest = behind;
            return Ok(element);
        }
        let start = self.rest;
        let element = self.any(expected)?;
        if element.tag != tag {
            self.rest = start;
            return Err(self.unexpected(expected, Some(element.tag)));
        }
        Ok(element)
    }

    /// The next element if it has this tag.
    #[inline(always)]
    pub fn optional(&mut self, tag: Tag) -> Result<Option<Tlv<'a>>, Asn1Error> {
        self.optional_byte(plain_byte(tag), tag)
    }

    fn optional_byte(&mut self, byte: u8, tag: Tag) -> Result<Option<Tlv<'a>>, Asn1Error> {
        if let Some((element, behind)) = plain_element(self.rest, byte, tag) {
            self.rest = behind;
            return Ok(Some(element));
        }
        if self.peek() == Some(tag) { self.any("an element").map(Some) } else { Ok(None) }
    }

    /// The next element if it is `[number]` in the context-specific class.
    #[inline(always)]
    pub fn optional_context(&mut self, number: u32, constructed: bool) -> Result<Option<Tlv<'a>>, Asn1Error> {
        self.optional(context(number, constructed))
    }

    /// Element and content of what comes next, if it begins with this byte: for types that the decoder has no tag for.
    pub fn optional_raw(&mut self, tag_byte: u8) -> Option<(&'a [u8], &'a [u8])> {
        let rest = self.rest();
        let (header_len, value_len) = super::element::header(rest, tag_byte)?;
        let (bytes, behind) = rest.split_at_checked(header_len.checked_add(value_len)?)?;
        self.rest = behind;
        Some((bytes, &bytes[header_len..]))
    }

    /// The next tag, `None` at the end or where no tag can be read.
    pub fn peek(&self) -> Option<Tag> {
        let first = *self.rest().first()?;
        plain_tag(first).or_else(|| Tag::peek(&SliceReader::new(self.rest()).ok()?).ok())
    }

    /// Decodes the next element as a type of the `der` crate.
    pub fn decode<T: Decode<'a, Error = ::der::Error>>(&mut self) -> Result<T, Asn1Error> {
        let mut reader = SliceReader::new(self.rest()).map_err(|e| self.failed(e))?;
        let value = T::decode(&mut reader).map_err(|e| self.failed(e))?;
        self.rest = &self.rest[u32::from(reader.position()) as usize..];
        Ok(value)
    }

    /// The same with nothing left to read.
    pub(crate) fn at_end(&self) -> Self {
        Cursor { rest: &[], ..self.clone() }
    }

    /// Refuses anything left over.
    pub fn finish(self) -> Result<(), Asn1Error> {
        match self.rest().len() {
            0 => Ok(()),
            count => Err(Asn1Error {
                structure: self.structure,
                problem: Problem::Trailing { count },
                offset: self.offset(),
            }),
        }
    }

    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The decoder's opinion on a header that is not of the plain kind: lengths of tag, header and value, or an error.
    fn full_header(&self) -> Result<(Tag, usize, usize), Asn1Error> {
        let mut reader = SliceReader::new(self.rest()).map_err(|e| self.failed(e))?;
        let header = Header::peek(&reader).map_err(|e| self.failed(e))?;
        let bytes = reader.tlv_bytes().map_err(|e| self.failed(e))?;
        let value_len = u32::from(header.length()) as usize;
        Ok((header.tag(), bytes.len() - value_len, value_len))
    }

    #[cold]
    fn unexpected(&self, expected: &'static str, found: Option<Tag>) -> Asn1Error {
        Asn1Error { structure: self.structure, problem: Problem::Unexpected { expected, found }, offset: self.offset() }
    }

    #[cold]
    fn failed(&self, error: ::der::Error) -> Asn1Error {
        let inner = Asn1Error::from_der(self.structure, error);
        Asn1Error { offset: self.offset() + inner.offset, ..inner }
    }
}

/// Decodes all of `bytes` as one value of a type of the `der` crate; `structure` names it in errors.
pub fn decode<'a, T: Decode<'a, Error = ::der::Error>>(
    bytes: &'a [u8],
    structure: &'static str,
) -> Result<T, Asn1Error> {
    T::from_der(bytes).map_err(|e| Asn1Error::from_der(structure, e))
}

/// Encodes a value that our own code put together, which cannot fail.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    value.to_der().expect("a value built here stays within DER's lengths")
}

/// One element from a tag byte and the parts of its content.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|p| p.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    push_length(&mut out, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A SEQUENCE of encoded elements.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, parts)
}

pub(super) fn push_length(out: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        out.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    out.push(0x80 | (bytes.len() - skip) as u8);
    out.extend_from_slice(&bytes[skip..]);
}

/// Refuses input that nests deeper than [`limits::MAX_DER_DEPTH`], before anything recursive reads it.
pub fn check_depth(bytes: &[u8], structure: &'static str) -> Result<(), Asn1Error> {
    // Ends of the constructed values that are open at the current position; no recursion, no allocation.
    let mut open_ends = [0usize; limits::MAX_DER_DEPTH];
    let mut depth = 0;
    let mut position = 0;
    while position < bytes.len() {
        while depth > 0 && open_ends[depth - 1] <= position {
            depth -= 1;
        }
        let (tag, header_len, value_len) = match plain_header(&bytes[position..]) {
            Some(parts) => parts,
            None => match full_header(&bytes[position..]) {
                Ok(parts) => parts,
                Err(error) => foreign_header(&bytes[position..])
                    .filter(|_| is_unknown_tag(&bytes[position..]))
                    .ok_or_else(|| Asn1Error { offset: position, ..Asn1Error::from_der(structure, error) })?,
            },
        };
        let content = position + header_len;
        // A length near the end of the address space is a lie; where that has 32 bits it must not wrap into a truth.
        let end = content.saturating_add(value_len);
        if tag.is_constructed() {
            if depth == open_ends.len() {
                let problem = Problem::TooLarge {
                    what: "nesting",
                    limit: limits::MAX_DER_DEPTH,
                    found: limits::MAX_DER_DEPTH + 1,
                };
                return Err(Asn1Error { structure, problem, offset: position });
            }
            open_ends[depth] = end;
            depth += 1;
            position = content;
        } else {
            position = end;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::header::foreign_byte;

    #[test]
    fn an_error_names_structure_expectation_finding_and_place() {
        let bytes = sequence(&[&[0x02, 0x01, 0x05], &[0x05, 0x00]]);
        let mut cursor = Cursor::sequence(&bytes, "Example").unwrap();
        cursor.expect(Tag::Integer, "a number").unwrap();
        let error = cursor.expect(Tag::OctetString, "a nonce").unwrap_err();
        assert_eq!(error.to_string(), "Example: expected a nonce, found NULL (offset 3)");
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        for length in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![0u8; length];
            let made = element(0x04, &[&content]);
            assert_eq!(made, encode(&::der::asn1::OctetStringRef::new(&content).unwrap()));
        }
    }

    #[test]
    fn bytes_behind_the_end_and_truncated_input_are_refused() {
        assert!(Cursor::sequence(&[0x30, 0x00, 0x00], "Example").is_err());
        assert!(Cursor::sequence(&[0x30, 0x02, 0x05], "Example").is_err());
        assert!(
            Cursor::sequence(&[0x30, 0x81, 0x02, 0x05, 0x00], "Example").is_err(),
            "length not in the shortest form"
        );
        assert!(Cursor::sequence(&[], "Example").is_err());
    }

    #[test]
    fn plain_headers_are_read_as_the_decoder_reads_them() {
        // Every tag byte with every kind of length, whole and cut short.
        let lengths: [&[u8]; 9] = [
            &[0x00],
            &[0x7f],
            &[0x80],
            &[0x81, 0x7f],
            &[0x81, 0x80],
            &[0x82, 0x00, 0xff],
            &[0x82, 0x01, 0x00],
            &[0x83, 0x01, 0x00, 0x00],
            &[0xff],
        ];
        for tag in 0..=0xffu8 {
            for length in lengths {
                for filling in [0, 127, 128, 256, 65_536] {
                    let input = [&[tag], length, &vec![0; filling]].concat();
                    let mut reader = SliceReader::new(&input).unwrap();
                    let theirs = Header::peek(&reader).ok().zip(reader.tlv_bytes().ok());
                    let ours = Cursor::new(&input, "Example").unwrap().any("an element").ok();
                    if ours.is_some_and(|ours| foreign_byte(ours.tag).is_some()) {
                        assert!(is_unknown_tag(&input));
                        continue;
                    }
                    assert_eq!(
                        ours.map(|o| (o.tag, o.bytes)),
                        theirs.map(|(h, b)| (h.tag(), b)),
                        "{tag:02x} {length:02x?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nested_constructed_values_end_at_the_depth_limit() {
        let nest = |levels: usize| (0..levels).fold(vec![0x05, 0x00], |inner, _| sequence(&[&inner]));
        assert!(check_depth(&nest(limits::MAX_DER_DEPTH), "Example").is_ok());
        let error = check_depth(&nest(limits::MAX_DER_DEPTH + 1), "Example").unwrap_err();
        assert!(matches!(error.problem, Problem::TooLarge { what: "nesting", .. }));
        assert!(check_depth(&nest(5_000), "Example").is_err());
    }
}
