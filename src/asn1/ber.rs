//! BER as some tools stream it, brought to DER's lengths: indefinite lengths, strings in pieces.
//!
//! For containers that their standard lets be BER (PKCS#12) and whose content is checked apart from its encoding. What is
//! signed in DER never goes through here.

use zeroize::Zeroizing;

use super::der::{Asn1Error, push_length};
use crate::limits;
use crate::prelude::*;

const WHAT: &str = "BER";

/// The one value that `input` must be: lengths definite and in the shortest form, OCTET STRINGs in one piece. Other
/// values are not touched. May hold a private key: wiped when dropped.
///
/// Time and memory grow with the length of the input and not with how it nests: all lengths are measured first, four bytes for
/// each constructed value, then every byte is written once, to its last place.
pub fn with_definite_lengths(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Asn1Error> {
    let mut lengths = Lengths(Vec::new());
    let (first, rest) = lengths.measure(input, 0)?;
    if !rest.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "bytes behind the end"));
    }
    let out = Zeroizing::new(Vec::with_capacity(first.encoded_len()));
    let mut writer = Writer { lengths: lengths.0.into_iter(), out };
    writer.write(input, false)?;
    Ok(writer.out)
}

/// Whether these elements have the lengths that [`with_definite_lengths`] gives, throughout.
pub fn has_definite_lengths(elements: &[u8]) -> bool {
    fn look(mut rest: &[u8], depth: usize) -> bool {
        while !rest.is_empty() {
            let Ok(header @ Header { content_len: Some(length), .. }) = Header::read(rest) else { return false };
            let is_shortest = header.len == header_len(length) && !header.is_string();
            let Some((content, behind)) = rest[header.len..].split_at_checked(length) else { return false };
            let is_nested = header.is_constructed;
            if !is_shortest || (is_nested && (depth == limits::MAX_DER_DEPTH || !look(content, depth + 1))) {
                return false;
            }
            rest = behind;
        }
        true
    }
    look(elements, 0)
}

/// An element as it stands in the input.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// Its first byte.
    pub tag: u8,
    /// With tag, length and end.
    pub bytes: &'a [u8],
    /// Without them.
    pub content: &'a [u8],
}

/// Elements one after the other. Each byte is looked at once.
pub struct Elements<'a>(pub &'a [u8]);

impl<'a> Elements<'a> {
    /// The next element.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be told apart from what follows.
    pub fn next_element(&mut self) -> Result<Raw<'a>, Asn1Error> {
        let (raw, rest) = split(self.0, 0)?;
        self.0 = rest;
        Ok(raw)
    }

    /// The next element, which must have this tag.
    ///
    /// # Errors
    ///
    /// As [`Self::next_element`], or it has another tag.
    pub fn expect(&mut self, tag: u8, rule: &'static str) -> Result<Raw<'a>, Asn1Error> {
        self.optional(tag)?.ok_or_else(|| Asn1Error::invalid(WHAT, rule))
    }

    /// The next element, if it has this tag.
    ///
    /// # Errors
    ///
    /// It cannot be told apart from what follows.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Raw<'a>>, Asn1Error> {
        if self.0.first() == Some(&tag) { self.next_element().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    ///
    /// Something is.
    pub fn finish(&self) -> Result<(), Asn1Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Asn1Error::invalid(WHAT, "elements behind the last one")) }
    }
}

/// The first element, and what follows it.
fn split(input: &[u8], depth: usize) -> Result<(Raw<'_>, &[u8]), Asn1Error> {
    if depth > limits::MAX_DER_DEPTH {
        return Err(Asn1Error::too_large(WHAT, "nesting", limits::MAX_DER_DEPTH, depth));
    }
    let header = Header::read(input)?;
    let body = &input[header.len..];
    let cut = || Asn1Error::invalid(WHAT, "a length beyond the end: it is cut short");
    let (content_len, end_len) = match header.content_len {
        Some(length) => (length, 0),
        None => {
            let mut rest = body;
            while !rest.starts_with(&[0, 0]) {
                rest = split(rest, depth + 1)?.1;
            }
            (body.len() - rest.len(), 2)
        }
    };
    let content = body.get(..content_len).ok_or_else(cut)?;
    let (bytes, rest) = input.split_at(header.len + content_len + end_len);
    Ok((Raw { tag: header.tag, bytes, content }, rest))
}

/// Lengths of the contents of constructed values as DER, in the order of their headers.
struct Lengths(Vec<u32>);

/// What was measured of an element.
struct Measured {
    tag: u8,
    /// Of the content as DER.
    content_len: usize,
}

impl Measured {
    fn encoded_len(&self) -> usize {
        header_len(self.content_len) + self.content_len
    }
}

impl Lengths {
    /// Measures one element with all inside; what follows it.
    fn measure<'a>(&mut self, input: &'a [u8], depth: usize) -> Result<(Measured, &'a [u8]), Asn1Error> {
        if depth > limits::MAX_DER_DEPTH {
            return Err(Asn1Error::too_large(WHAT, "nesting", limits::MAX_DER_DEPTH, depth));
        }
        let header = Header::read(input)?;
        let (content, rest) = header.split_body(input)?;
        if !header.is_constructed {
            let measured = Measured { tag: header.tag, content_len: content.len() };
            return Ok((measured, rest.unwrap_or_default()));
        }
        let index = self.0.len();
        self.0.push(0);
        let (content_len, left) = self.measure_inside(content, rest.is_none(), header.is_string(), depth)?;
        self.0[index] = u32::try_from(content_len).map_err(|_| Asn1Error::invalid(WHAT, "longer than 4 GB"))?;
        Ok((Measured { tag: header.der_tag(), content_len }, rest.unwrap_or(left)))
    }

    /// The elements of a constructed value, one after the other; of a string in pieces, their contents. An indefinite length
    /// ends with two zero bytes. The length as DER, and what follows.
    fn measure_inside<'a>(
        &mut self,
        mut body: &'a [u8],
        is_indefinite: bool,
        are_pieces: bool,
        depth: usize,
    ) -> Result<(usize, &'a [u8]), Asn1Error> {
        let mut length = 0;
        loop {
            match (is_indefinite, body) {
                (true, [0, 0, rest @ ..]) => return Ok((length, rest)),
                (false, []) => return Ok((length, body)),
                _ => {}
            }
            let (child, rest) = self.measure(body, depth + 1)?;
            body = rest;
            if are_pieces && child.tag != OCTET_STRING {
                return Err(Asn1Error::invalid(WHAT, "a piece of an OCTET STRING that is none"));
            }
            length += if are_pieces { child.content_len } else { child.encoded_len() };
        }
    }
}

/// Writes what was measured, in the same order.
struct Writer {
    lengths: alloc::vec::IntoIter<u32>,
    out: Zeroizing<Vec<u8>>,
}

impl Writer {
    /// One element, or of a piece of a string its content; what follows it.
    fn write<'a>(&mut self, input: &'a [u8], is_piece: bool) -> Result<&'a [u8], Asn1Error> {
        let header = Header::read(input)?;
        let (mut content, rest) = header.split_body(input)?;
        let length = match header.is_constructed {
            true => self.lengths.next().unwrap_or_default() as usize,
            false => content.len(),
        };
        if !is_piece {
            self.out.push(header.der_tag());
            push_length(&mut self.out, length);
        }
        if !header.is_constructed {
            self.out.extend_from_slice(content);
            return Ok(rest.unwrap_or_default());
        }
        loop {
            match (rest, content) {
                (None, [0, 0, rest @ ..]) => return Ok(rest),
                (Some(rest), []) => return Ok(rest),
                _ => content = self.write(content, header.is_string())?,
            }
        }
    }
}

/// Bytes of tag and length before a content of this length.
fn header_len(content_len: usize) -> usize {
    match content_len {
        ..=0x7f => 2,
        long => 2 + (usize::BITS - long.leading_zeros()).div_ceil(8) as usize,
    }
}

const OCTET_STRING: u8 = 0x04;

struct Header {
    tag: u8,
    is_constructed: bool,
    /// Bytes of tag and length.
    len: usize,
    /// `None`: until the end-of-contents.
    content_len: Option<usize>,
}

impl Header {
    fn read(input: &[u8]) -> Result<Self, Asn1Error> {
        let cut = || Asn1Error::invalid(WHAT, "cut short");
        let (&tag, &first) = (input.first().ok_or_else(cut)?, input.get(1).ok_or_else(cut)?);
        if tag & 0x1f == 0x1f {
            return Err(Asn1Error::invalid(WHAT, "a tag number above 30"));
        }
        let is_constructed = tag & 0x20 != 0;
        let (len, content_len) = match first {
            0x80 if is_constructed => (2, None),
            0x80 => return Err(Asn1Error::invalid(WHAT, "a primitive value of indefinite length")),
            short @ ..=0x7f => (2, Some(usize::from(short))),
            long => {
                let count = usize::from(long & 0x7f);
                let digits = input.get(2..2 + count).ok_or_else(cut)?;
                if count > 8 {
                    return Err(Asn1Error::invalid(WHAT, "a length of more than 8 bytes"));
                }
                let value = digits.iter().fold(0u64, |value, digit| value << 8 | u64::from(*digit));
                let length = usize::try_from(value)
                    .map_err(|_| Asn1Error::invalid(WHAT, "a length beyond the end: it is cut short"))?;
                (2 + count, Some(length))
            }
        };
        Ok(Header { tag, is_constructed, len, content_len })
    }

    /// The content behind this header and what follows it; of an indefinite length, all there is, and what follows is not known yet.
    fn split_body<'a>(&self, input: &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Asn1Error> {
        let body = &input[self.len..];
        let Some(length) = self.content_len else { return Ok((body, None)) };
        let split = body.split_at_checked(length);
        let (content, rest) =
            split.ok_or_else(|| Asn1Error::invalid(WHAT, "a length beyond the end: it is cut short"))?;
        Ok((content, Some(rest)))
    }

    const fn der_tag(&self) -> u8 {
        if self.is_string() { OCTET_STRING } else { self.tag }
    }

    /// An OCTET STRING in pieces. (Implicitly tagged ones cannot be told from other values and are the reader's affair.)
    const fn is_string(&self) -> bool {
        self.tag == OCTET_STRING | 0x20
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::element;

    #[test]
    fn nested_strings_in_pieces_of_every_length_come_out_whole() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let (first, second) = content.split_at(length / 3);
            let inner = [&[0x24, 0x80][..], &element(0x04, &[first]), &[0, 0]].concat();
            let pieces = [&[0x30, 0x80, 0x24, 0x80][..], &inner, &element(0x04, &[second]), &[0; 4]].concat();
            let expected = element(0x30, &[&element(0x04, &[&content])]);
            assert_eq!(with_definite_lengths(&pieces).unwrap()[..], expected, "{length}");
            assert_eq!(header_len(length) + length, element(0x04, &[&content]).len());
        }
    }

    #[test]
    fn streamed_values_come_out_as_der() {
        let streamed = [
            0x30, 0x80, 0x02, 0x81, 0x01, 0x05, 0x24, 0x80, 0x04, 0x02, 1, 2, 0x24, 0x03, 0x04, 0x01, 3, 0, 0, 0xa0,
            0x80, 0x05, 0x00, 0, 0, 0, 0,
        ];
        let expected = [0x30, 0x0c, 0x02, 0x01, 0x05, 0x04, 0x03, 1, 2, 3, 0xa0, 0x02, 0x05, 0x00];
        assert_eq!(with_definite_lengths(&streamed).unwrap()[..], expected);
        assert_eq!(with_definite_lengths(&expected).unwrap()[..], expected, "DER stays as it is");
        assert!(has_definite_lengths(&expected) && !has_definite_lengths(&streamed));
        for short in [&[0x04, 0x81, 0x01, 7][..], &[0x24, 0x03, 0x04, 0x01, 7], &[0x30, 0x02, 0x04, 0x01], &[0x30]] {
            assert!(!has_definite_lengths(short), "{short:?}");
        }
        assert!(!has_definite_lengths(&(0..40).fold(Vec::new(), |inner, _| element(0x30, &[&inner]))));
    }

    #[test]
    fn what_is_cut_short_too_deep_or_not_ended_is_refused() {
        let streamed = [0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 1, 0, 0, 0, 0];
        for end in 0..streamed.len() {
            assert!(with_definite_lengths(&streamed[..end]).is_err(), "{end}");
        }
        assert!(with_definite_lengths(&[&streamed[..], &[0]].concat()).is_err());
        assert!(with_definite_lengths(&[0x30, 0x80].repeat(100)).is_err());
        assert!(with_definite_lengths(&[0x04, 0x80, 0, 0]).is_err());
        assert!(with_definite_lengths(&[0x04, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(with_definite_lengths(&[0x24, 0x02, 0x05, 0x00]).is_err(), "a piece that is no OCTET STRING");
    }
}
