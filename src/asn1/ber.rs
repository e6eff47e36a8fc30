//! BER as some tools stream it, brought to DER's lengths: indefinite lengths, strings in pieces.
//!
//! For containers that their standard lets be BER (PKCS#12) and whose content is checked apart from its encoding. What is
//! signed in DER never goes through here.

use zeroize::Zeroizing;

use super::der::{Asn1Error, Cursor, element};
use crate::limits;

const WHAT: &str = "BER";

/// The one value that `input` must be: lengths definite and in the shortest form, OCTET STRINGs in one piece. Other
/// values are not touched. May hold a private key: wiped when dropped.
pub fn with_definite_lengths(input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Asn1Error> {
    let (value, rest) = read(input, 0)?;
    if !rest.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "bytes behind the end"));
    }
    Ok(value)
}

/// One element, anew, and what follows it.
fn read(input: &[u8], depth: usize) -> Result<(Zeroizing<Vec<u8>>, &[u8]), Asn1Error> {
    if depth > limits::MAX_DER_DEPTH {
        return Err(Asn1Error::too_large(WHAT, "nesting", limits::MAX_DER_DEPTH, depth));
    }
    let header = Header::read(input)?;
    let body = &input[header.len..];
    let (content, rest) = match header.content_len {
        Some(length) if length <= body.len() => {
            let (content, rest) = body.split_at(length);
            if !header.is_constructed {
                return Ok((Zeroizing::new(element(header.tag, &[content])), rest));
            }
            let (content, left) = children(content, false, header.is_string(), depth)?;
            debug_assert!(left.is_empty(), "children of a definite length are read to the end");
            (content, rest)
        }
        Some(_) => return Err(Asn1Error::invalid(WHAT, "a length beyond the end")),
        None => children(body, true, header.is_string(), depth)?,
    };
    let tag = if header.is_string() { OCTET_STRING } else { header.tag };
    Ok((Zeroizing::new(element(tag, &[&content])), rest))
}

/// The elements of a constructed value, one after the other; of a string in pieces, their contents. An indefinite length
/// ends with two zero bytes.
fn children(
    mut body: &[u8],
    is_indefinite: bool,
    are_pieces: bool,
    depth: usize,
) -> Result<(Zeroizing<Vec<u8>>, &[u8]), Asn1Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(body.len()));
    loop {
        match (is_indefinite, body) {
            (true, [0, 0, rest @ ..]) => return Ok((out, rest)),
            (false, []) => return Ok((out, body)),
            _ => {}
        }
        let (child, rest) = read(body, depth + 1)?;
        if are_pieces {
            let mut piece = Cursor::new(&child, WHAT)?;
            out.extend_from_slice(piece.expect(::der::Tag::OctetString, "a piece of an OCTET STRING")?.value);
        } else {
            out.extend_from_slice(&child);
        }
        body = rest;
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
                let length = usize::try_from(value).map_err(|_| Asn1Error::invalid(WHAT, "a length beyond the end"))?;
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
