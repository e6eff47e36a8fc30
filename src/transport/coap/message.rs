//! CoAP messages: bytes and nothing else (RFC 7252 section 3).

use std::fmt;

/// Largest token (RFC 7252 section 3).
pub(super) const MAX_TOKEN_BYTES: usize = 8;

/// Most options read from one message; real answers carry fewer than ten.
const MAX_OPTIONS: usize = 64;

/// Numbers of options (RFC 7252 section 12.2, RFC 7959 section 6).
pub(super) mod number {
    pub(in super::super) const URI_HOST: u16 = 3;
    pub(in super::super) const ETAG: u16 = 4;
    pub(in super::super) const URI_PATH: u16 = 11;
    pub(in super::super) const CONTENT_FORMAT: u16 = 12;
    pub(in super::super) const MAX_AGE: u16 = 14;
    pub(in super::super) const URI_QUERY: u16 = 15;
    pub(in super::super) const BLOCK2: u16 = 23;
    pub(in super::super) const BLOCK1: u16 = 27;
    pub(in super::super) const SIZE2: u16 = 28;
    pub(in super::super) const SIZE1: u16 = 60;
}

/// How a message is to be treated on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// What a message is: class and detail, as in 2.05.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u8);

impl Code {
    pub(super) const EMPTY: Code = Code(0);
    pub(super) const POST: Code = Code(2);
    pub(super) const CONTINUE: Code = Code::new(2, 31);
    pub(super) const REQUEST_ENTITY_INCOMPLETE: Code = Code::new(4, 8);
    pub(super) const REQUEST_ENTITY_TOO_LARGE: Code = Code::new(4, 13);
    pub(super) const TOO_MANY_REQUESTS: Code = Code::new(4, 29);
    pub(super) const SERVICE_UNAVAILABLE: Code = Code::new(5, 3);

    pub(super) const fn new(class: u8, detail: u8) -> Self {
        Code(class << 5 | detail)
    }

    pub(super) const fn class(self) -> u8 {
        self.0 >> 5
    }

    pub(super) const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Like an HTTP status: 4.04 is 404.
    pub(super) const fn status(self) -> u16 {
        self.class() as u16 * 100 + (self.0 & 0x1f) as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 0x1f)
    }
}

/// One message.
#[derive(Clone)]
pub(super) struct Message {
    pub kind: Type,
    pub code: Code,
    pub id: u16,
    pub token: Vec<u8>,
    /// Number and value, in any order when written, in theirs when read.
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Message {
    /// An empty acknowledgement or reset.
    pub(super) fn empty(kind: Type, id: u16) -> Self {
        Message { kind, code: Code::EMPTY, id, token: Vec::new(), options: Vec::new(), payload: Vec::new() }
    }

    /// The first option of this number.
    pub(super) fn option(&self, number: u16) -> Option<&[u8]> {
        self.options.iter().find(|(n, _)| *n == number).map(|(_, value)| value.as_slice())
    }

    /// The same as an unsigned number (RFC 7252 section 3.2); `None` also if it has more than four bytes.
    pub(super) fn number(&self, number: u16) -> Option<u32> {
        self.option(number).filter(|v| v.len() <= 4).map(|v| v.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    /// The first unknown option that must not be overlooked: those with odd numbers (RFC 7252 section 5.4.1).
    pub(super) fn unknown_critical(&self) -> Option<u16> {
        let known = [number::BLOCK1, number::BLOCK2];
        self.options.iter().map(|(n, _)| *n).find(|n| n % 2 == 1 && !known.contains(n))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            Type::Confirmable => 0,
            Type::NonConfirmable => 1,
            Type::Acknowledgement => 2,
            Type::Reset => 3,
        };
        let mut out = vec![1 << 6 | kind << 4 | self.token.len() as u8, self.code.0];
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.token);
        let mut options: Vec<&(u16, Vec<u8>)> = self.options.iter().collect();
        crate::order::sort_by_key(&mut options, |(number, _)| *number);
        let mut before = 0;
        for (number, value) in options {
            let (delta, delta_more) = nibble(usize::from(number - before));
            let (length, length_more) = nibble(value.len());
            out.push(delta << 4 | length);
            out.extend_from_slice(&delta_more);
            out.extend_from_slice(&length_more);
            out.extend_from_slice(value);
            before = *number;
        }
        if !self.payload.is_empty() {
            out.push(0xff);
            out.extend_from_slice(&self.payload);
        }
        out
    }

    /// Reads a datagram. `None`: it is no CoAP message, or one with a format error.
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let (head, mut rest) = datagram.split_at_checked(4)?;
        let kind = match (head[0] >> 6, head[0] >> 4 & 3) {
            (1, 0) => Type::Confirmable,
            (1, 1) => Type::NonConfirmable,
            (1, 2) => Type::Acknowledgement,
            (1, 3) => Type::Reset,
            _ => return None,
        };
        let token_len = usize::from(head[0] & 0x0f);
        if token_len > MAX_TOKEN_BYTES {
            return None;
        }
        let code = Code(head[1]);
        let id = u16::from_be_bytes([head[2], head[3]]);
        let token = take(&mut rest, token_len)?.to_vec();
        let mut options = Vec::new();
        let mut number = 0u16;
        let mut payload = Vec::new();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first == 0xff {
                // A marker with nothing behind it is a format error.
                if rest.is_empty() {
                    return None;
                }
                payload = rest.to_vec();
                break;
            }
            let delta = extended(first >> 4, &mut rest)?;
            let length = extended(first & 0x0f, &mut rest)?;
            number = number.checked_add(u16::try_from(delta).ok()?)?;
            if options.len() >= MAX_OPTIONS {
                return None;
            }
            options.push((number, take(&mut rest, length)?.to_vec()));
        }
        // RFC 7252 section 4.1: an empty message is four bytes.
        if code == Code::EMPTY && datagram.len() > 4 {
            return None;
        }
        Some(Message { kind, code, id, token, options, payload })
    }
}

/// A Block1 or Block2 option (RFC 7959 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub number: u32,
    pub has_more: bool,
    /// The block's size is 2 to the power of this and four.
    pub exponent: u8,
}

impl Block {
    /// Highest block number: 20 bits.
    pub(super) const MAX_NUMBER: u32 = (1 << 20) - 1;

    pub(super) fn size(self) -> usize {
        16 << self.exponent
    }

    /// Where its first byte stands in the whole.
    pub(super) fn offset(self) -> usize {
        self.number as usize * self.size()
    }

    pub(super) fn encode(self) -> Vec<u8> {
        uint(self.number << 4 | u32::from(self.has_more) << 3 | u32::from(self.exponent))
    }

    /// `Err` for what no block can be.
    pub(super) fn of(message: &Message, number: u16) -> Result<Option<Self>, ()> {
        let Some(value) = message.option(number) else { return Ok(None) };
        let value = message.number(number).filter(|_| value.len() <= 3).ok_or(())?;
        let block = Block { number: value >> 4, has_more: value & 8 != 0, exponent: (value & 7) as u8 };
        if block.exponent == 7 { Err(()) } else { Ok(Some(block)) }
    }
}

/// An unsigned number without leading zeros (RFC 7252 section 3.2).
pub(super) fn uint(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
}

/// Four bits of a delta or length, and the bytes that extend it (RFC 7252 section 3.1).
fn nibble(value: usize) -> (u8, Vec<u8>) {
    match value {
        0..=12 => (value as u8, Vec::new()),
        13..=268 => (13, vec![(value - 13) as u8]),
        _ => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
    }
}

fn extended(nibble: u8, rest: &mut &[u8]) -> Option<usize> {
    match nibble {
        15 => None,
        14 => take(rest, 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])) + 269),
        13 => take(rest, 1).map(|b| usize::from(b[0]) + 13),
        small => Some(usize::from(small)),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7252_appendix_a_are_written_and_read() {
        // Figure 16: CON GET coap://server/temperature, ID 0x7d34.
        let message = Message {
            kind: Type::Confirmable,
            code: Code::new(0, 1),
            id: 0x7d34,
            token: Vec::new(),
            options: vec![(number::URI_PATH, b"temperature".to_vec())],
            payload: Vec::new(),
        };
        let bytes = [&[0x40, 0x01, 0x7d, 0x34, 0xbb][..], b"temperature"].concat();
        assert_eq!(message.encode(), bytes);
        // Its answer: ACK 2.05 "22.3 C".
        let bytes = [&[0x60, 0x45, 0x7d, 0x34, 0xff][..], b"22.3 C"].concat();
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!((answer.kind, answer.code.status(), answer.id), (Type::Acknowledgement, 205, 0x7d34));
        assert_eq!(answer.payload, b"22.3 C");
        assert_eq!(answer.encode(), bytes);
    }

    #[test]
    fn every_message_that_is_written_is_read_and_none_that_is_cut_short_is_another() {
        let message = Message {
            kind: Type::Confirmable,
            code: Code::POST,
            id: 7,
            token: vec![1, 2, 3, 4, 5, 6, 7, 8],
            options: vec![
                (number::SIZE1, uint(70_000)),
                (number::URI_PATH, vec![b'a'; 12]),
                (number::URI_PATH, vec![b'b'; 13]),
                (number::URI_PATH, vec![b'c'; 300]),
                (2000, Vec::new()),
            ],
            payload: vec![9; 100],
        };
        let bytes = message.encode();
        let read = Message::parse(&bytes).unwrap();
        assert_eq!(read.encode(), bytes);
        assert_eq!(read.number(number::SIZE1), Some(70_000));
        assert_eq!(read.options.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [11, 11, 11, 60, 2000]);
        for end in 0..bytes.len() - 100 {
            let cut = Message::parse(&bytes[..end]);
            assert!(cut.is_none_or(|m| m.payload.is_empty()), "cut at {end}");
        }
    }

    #[test]
    fn format_errors_are_no_messages() {
        for bad in [
            &[0x40, 0x02, 0][..],
            &[0x00, 0x02, 0, 1],
            &[0x49, 0x02, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            &[0x40, 0x02, 0, 1, 0xff],
            &[0x40, 0x02, 0, 1, 0xf0],
            &[0x40, 0x02, 0, 1, 0x0f],
            &[0x40, 0x02, 0, 1, 0xe0, 0xff, 0xff, 0x10, 0, 0x00],
            &[0x60, 0x00, 0, 1, 0x10],
        ] {
            assert!(Message::parse(bad).is_none(), "{bad:02x?}");
        }
        assert!(Message::parse(&[&[0x40, 0x45, 0, 1][..], &[0; 65]].concat()).is_none(), "a horde of options");
    }

    #[test]
    fn blocks_are_written_as_rfc_7959_says() {
        for (block, bytes) in [
            (Block { number: 0, has_more: false, exponent: 0 }, &[][..]),
            (Block { number: 0, has_more: true, exponent: 6 }, &[0x0e]),
            (Block { number: 31, has_more: false, exponent: 2 }, &[0x01, 0xf2]),
            (Block { number: Block::MAX_NUMBER, has_more: true, exponent: 6 }, &[0xff, 0xff, 0xfe]),
        ] {
            assert_eq!(block.encode(), bytes);
            let mut message = Message::empty(Type::Confirmable, 1);
            message.options = vec![(number::BLOCK1, bytes.to_vec())];
            assert_eq!(Block::of(&message, number::BLOCK1), Ok(Some(block)));
        }
        for bad in [&[0x0f][..], &[0, 0, 0, 0x0e]] {
            let mut message = Message::empty(Type::Confirmable, 1);
            message.options = vec![(number::BLOCK2, bad.to_vec())];
            assert_eq!(Block::of(&message, number::BLOCK2), Err(()), "{bad:?}");
        }
    }
}
