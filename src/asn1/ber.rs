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
/// Time and memory grow with the length of the input and not with how it nests: all lengths are measured first, then every
/// byte is written once, to its last place.
pub fn with_definite_lengths(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Asn1Error> {
    let mut tree = Tree { nodes: Vec::new() };
    let rest = tree.measure(input, 0)?;
    if !rest.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "bytes behind the end"));
    }
    let mut out = Zeroizing::new(Vec::with_capacity(tree.nodes[0].encoded_len()));
    tree.write(0, &mut out);
    Ok(out)
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

/// The elements of a content, one after the other, as far as they can be told apart. Each byte is looked at once.
pub fn elements(mut content: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    core::iter::from_fn(move || {
        let (raw, rest) = split(content, 0).ok()?;
        content = rest;
        Some(raw)
    })
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

/// The elements of the input, each before those inside it.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    tag: u8,
    /// Of the content as DER.
    content_len: usize,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Primitive(&'a [u8]),
    /// The nodes up to this one are inside.
    Constructed(usize),
    /// The same, of an OCTET STRING: only their contents count.
    Pieces(usize),
}

impl Node<'_> {
    fn encoded_len(&self) -> usize {
        header_len(self.content_len) + self.content_len
    }
}

impl<'a> Tree<'a> {
    /// Adds one element with all inside; what follows it.
    fn measure(&mut self, input: &'a [u8], depth: usize) -> Result<&'a [u8], Asn1Error> {
        if depth > limits::MAX_DER_DEPTH {
            return Err(Asn1Error::too_large(WHAT, "nesting", limits::MAX_DER_DEPTH, depth));
        }
        let header = Header::read(input)?;
        let body = &input[header.len..];
        let (content, rest) = match header.content_len {
            Some(length) => {
                let split = body.split_at_checked(length);
                let (content, rest) =
                    split.ok_or_else(|| Asn1Error::invalid(WHAT, "a length beyond the end: it is cut short"))?;
                (content, Some(rest))
            }
            None => (body, None),
        };
        if !header.is_constructed {
            self.nodes.push(Node { tag: header.tag, content_len: content.len(), content: Content::Primitive(content) });
            return Ok(rest.unwrap_or_default());
        }
        let index = self.nodes.len();
        let tag = if header.is_string() { OCTET_STRING } else { header.tag };
        self.nodes.push(Node { tag, content_len: 0, content: Content::Constructed(0) });
        let (content_len, left) = self.measure_inside(content, rest.is_none(), header.is_string(), depth)?;
        let end = self.nodes.len();
        self.nodes[index].content_len = content_len;
        self.nodes[index].content = if header.is_string() { Content::Pieces(end) } else { Content::Constructed(end) };
        Ok(rest.unwrap_or(left))
    }

    /// The elements of a constructed value, one after the other; of a string in pieces, their contents. An indefinite length
    /// ends with two zero bytes. The length as DER, and what follows.
    fn measure_inside(
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
            let child = self.nodes.len();
            body = self.measure(body, depth + 1)?;
            let child = &self.nodes[child];
            if are_pieces && child.tag != OCTET_STRING {
                return Err(Asn1Error::invalid(WHAT, "a piece of an OCTET STRING that is none"));
            }
            length += if are_pieces { child.content_len } else { child.encoded_len() };
        }
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        out.push(self.nodes[index].tag);
        push_length(out, self.nodes[index].content_len);
        self.write_content(index, out);
    }

    fn write_content(&self, index: usize, out: &mut Vec<u8>) {
        match self.nodes[index].content {
            Content::Primitive(bytes) => out.extend_from_slice(bytes),
            Content::Constructed(end) => self.inside(index, end, |child| self.write(child, out)),
            Content::Pieces(end) => self.inside(index, end, |child| self.write_content(child, out)),
        }
    }

    /// The elements right under one, whose last is before `end`.
    fn inside(&self, index: usize, end: usize, mut each: impl FnMut(usize)) {
        let mut child = index + 1;
        while child < end {
            each(child);
            child = match self.nodes[child].content {
                Content::Primitive(_) => child + 1,
                Content::Constructed(end) | Content::Pieces(end) => end,
            };
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

    /// An OCTET STRING in pieces. (Implicitly tagged ones cannot be told from other values and are the reader's affair.)
    fn is_string(&self) -> bool {
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
