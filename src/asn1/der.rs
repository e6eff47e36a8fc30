//! Strict reading of DER with words for what went wrong, and the few encoders that derives do not give.
//!
//! The decoder is the `der` crate's; [`Cursor`] adds the name of the structure being read to each error and hands out
//! elements as borrowed bytes, so that callers can keep spans instead of copies.

use alloc::borrow::Cow;
use core::fmt;

pub use ::der::{Decode, Encode, Tag, TagNumber};
use ::der::{Header, Reader, SliceReader};

use super::known_as::named;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::limits;
use crate::prelude::*;

/// Input that is not what its ASN.1 says it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asn1Error {
    /// The structure or field being read, in the standard's words.
    pub structure: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
    /// Offset in bytes from the start of the input given to the reader of `structure`.
    pub offset: usize,
}

impl From<Asn1Error> for Error {
    fn from(error: Asn1Error) -> Self {
        let code = match error.problem {
            Problem::Trailing { .. } => Code::TrailingData,
            Problem::TooLarge { .. } => Code::Limit,
            Problem::Unknown { .. } => Code::Algorithm,
            Problem::NotPem(_) => Code::Pem,
            _ => Code::Der,
        };
        let is_large = matches!(error.problem, Problem::TooLarge { .. });
        let error = Error::caused_by(code, error);
        if is_large { error.breaks(LIMITS) } else { error }
    }
}

const LIMITS: Rule = Rule::new("the limits of the settings", "an input within the limits");

/// What can be wrong with encoded input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes are not DER: the decoder's own words.
    NotDer(String),
    /// Another element than the one that belongs here.
    Unexpected {
        /// What belongs here.
        expected: &'static str,
        /// What came: the tag, or `None` at the end of the input.
        found: Option<Tag>,
    },
    /// Bytes behind the end of the structure.
    Trailing {
        /// How many.
        count: usize,
    },
    /// More than is accepted.
    TooLarge {
        /// What is limited.
        what: &'static str,
        /// The most that is accepted.
        limit: usize,
        /// What came.
        found: usize,
    },
    /// Well-formed, but against a rule of the standard.
    Invalid(Cow<'static, str>),
    /// Not the armour, or not the block, that is wanted (RFC 7468).
    NotPem(Cow<'static, str>),
    /// Well-formed, and of a kind that is not known or not taken here: an algorithm, a curve, a type of key.
    Unknown {
        /// What is not known.
        what: &'static str,
        /// Its identifier.
        identifier: Box<super::oid::Oid>,
    },
}

impl Asn1Error {
    /// An input that breaks a rule of its standard.
    #[cold]
    pub fn invalid(structure: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Asn1Error { structure, problem: Problem::Invalid(rule.into()), offset: 0 }
    }

    /// A text that is not the PEM that is wanted.
    #[cold]
    pub fn pem(rule: impl Into<Cow<'static, str>>) -> Self {
        Asn1Error { structure: "PEM", problem: Problem::NotPem(rule.into()), offset: 0 }
    }

    /// An algorithm, curve or type of key that is not known here, by its identifier.
    #[cold]
    pub fn unknown(structure: &'static str, what: &'static str, identifier: super::oid::Oid) -> Self {
        Asn1Error { structure, problem: Problem::Unknown { what, identifier: Box::new(identifier) }, offset: 0 }
    }

    /// An input above a limit.
    #[cold]
    pub fn too_large(structure: &'static str, what: &'static str, limit: usize, found: usize) -> Self {
        Asn1Error { structure, problem: Problem::TooLarge { what, limit, found }, offset: 0 }
    }

    /// The same error with its place in a file, where there are others.
    #[cold]
    pub(crate) fn at(self, place: &str) -> Self {
        match (self.structure, &self.problem) {
            (structure, Problem::Invalid(rule)) => {
                let rule = format!("{rule} ({place})");
                Asn1Error { problem: Problem::Invalid(rule.into()), structure, offset: self.offset }
            }
            (_, Problem::NotPem(rule)) => Asn1Error::pem(format!("{rule} ({place})")),
            (_, Problem::TooLarge { .. }) => self,
            (structure, _) => {
                let words = self.to_string();
                let words = words.strip_prefix(structure).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&words);
                Asn1Error::invalid(structure, format!("{words} ({place})"))
            }
        }
    }

    /// The `der` crate's error, told which structure it befell.
    #[cold]
    pub fn from_der(structure: &'static str, error: ::der::Error) -> Self {
        let offset = error.position().map_or(0, |p| u32::from(p) as usize);
        Asn1Error { structure, problem: Problem::NotDer(in_words(error.kind())), offset }
    }
}

impl fmt::Display for Asn1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.structure)?;
        match &self.problem {
            Problem::NotDer(words) => write!(f, "not DER: {words}")?,
            Problem::Unexpected {
                expected,
                found: Some(Tag::Private { number: TagNumber(number @ FOREIGN..), .. }),
            } => write!(f, "expected {expected}, found the tag {:#04x}", number - FOREIGN)?,
            Problem::Unexpected { expected, found: Some(tag) } => write!(f, "expected {expected}, found {tag}")?,
            Problem::Unexpected { expected, found: None } => write!(f, "expected {expected}, found the end")?,
            Problem::Trailing { count } => write!(f, "{count} bytes behind the end")?,
            Problem::TooLarge { what, limit, found } => write!(f, "{what} is {found}, the limit is {limit}")?,
            Problem::Invalid(rule) | Problem::NotPem(rule) => write!(f, "{rule}")?,
            Problem::Unknown { what, identifier } => {
                write!(f, "{what} that is not known here: {}", named(identifier))?;
            }
        }
        // The very beginning, or no place in particular: not worth a number.
        if self.offset == 0 { Ok(()) } else { write!(f, " (offset {})", self.offset) }
    }
}

impl core::error::Error for Asn1Error {}

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

/// The error for input that is text where DER belongs, or nothing at all. It says which kind of text and never quotes it:
/// what was handed in may be a key.
#[cold]
pub(crate) fn as_text(bytes: &[u8], structure: &'static str) -> Option<Asn1Error> {
    let words = match bytes {
        [] => "expected DER, found nothing: the input is empty",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "expected DER, found text in UTF-16: save it as UTF-8 or ASCII",
        [0x1f, 0x8b, ..] => "expected DER, found data compressed by gzip",
        [b'P', b'K', 3, 4, ..] => "expected DER, found a ZIP archive",
        _ => {
            let head = &bytes[..bytes.len().min(4096)];
            let is_text = head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
            (is_text && (head.len() >= 8 || head.trim_ascii().is_empty())).then(|| kind_of_text(head))?
        }
    };
    Some(Asn1Error::invalid(structure, words))
}

fn kind_of_text(text: &[u8]) -> &'static str {
    let trimmed = text.trim_ascii_start();
    let is = |allowed: fn(&u8) -> bool| text.iter().all(|byte| allowed(byte) || byte.is_ascii_whitespace());
    if trimmed.is_empty() {
        "expected DER, found nothing but blanks"
    } else if text.split(|byte| matches!(byte, b'\n' | b'\r')).any(is_begin_line) {
        "expected DER, found PEM: what is read here is what stands between its BEGIN and END lines, decoded from base64"
    } else if trimmed.windows(11).any(|part| part == b"-----BEGIN ") {
        "expected DER, found text with a BEGIN line that does not stand on a line of its own, or whose lines are \
         joined"
    } else if is_hex(text) {
        "expected DER, found text in hex: xxd -r -p makes the file of it"
    } else if is(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)) {
        "expected DER, found text in base64 without a BEGIN line"
    } else if trimmed.starts_with(b"<") {
        "expected DER, found text that looks like HTML or XML"
    } else if trimmed.starts_with(b"{") || trimmed.starts_with(b"[") {
        "expected DER, found text that looks like JSON"
    } else {
        "expected DER, found text"
    }
}

/// A BEGIN line of PEM with nothing else in it: not a whole file in one line, nor with its line ends written as `\n`.
fn is_begin_line(line: &[u8]) -> bool {
    let label = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.trim_ascii_end().strip_suffix(b"-----"));
    label.is_some_and(|label| !label.windows(5).any(|part| part == b"-----"))
}

/// Digits with what tools put between them (`30:82`, `0x30, 0x82`), or a dump with whole lines of them among words.
fn is_hex(text: &[u8]) -> bool {
    let is_all = |line: &[u8]| {
        let mut digits = 0;
        let groups = line.split(|byte| !byte.is_ascii_alphanumeric()).filter(|group| !group.is_empty());
        for group in groups {
            let group = group.strip_prefix(b"0x").or_else(|| group.strip_prefix(b"0X")).unwrap_or(group);
            if !group.iter().all(u8::is_ascii_hexdigit) {
                return 0;
            }
            digits += group.len();
        }
        digits
    };
    let is_line = |line: &&[u8]| line.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace());
    let lines = text.split(|byte| *byte == b'\n').filter(|line| is_all(line) >= 16).filter(is_line);
    is_all(text) >= 6 || lines.count() >= 2
}

/// The first element, and what is behind it, of the elements that certificates are made of: a tag that is this byte, a length in the
/// shortest form of up to three bytes, the value within the input. `None` leaves the verdict to the full decoder.
#[inline(always)]
fn plain_element(input: &[u8], byte: u8, tag: Tag) -> Option<(Tlv<'_>, &[u8])> {
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
fn plain_header(input: &[u8]) -> Option<(Tag, usize, usize)> {
    let first = *input.first()?;
    let (Tlv { tag, bytes, value }, _) = plain_element(input, first, plain_tag(first)?)?;
    Some((tag, bytes.len() - value.len(), value.len()))
}

/// What stands for a tag that is not one byte, or none of the usual ones. No element begins with it (X.690 section 8.1.5).
const NOT_PLAIN: u8 = 0;

/// The byte that a tag is.
#[inline(always)]
const fn plain_byte(tag: Tag) -> u8 {
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
fn full_header(input: &[u8]) -> ::der::Result<(Tag, usize, usize)> {
    let mut reader = SliceReader::new(input)?;
    let header = Header::decode(&mut reader)?;
    Ok((header.tag(), u32::from(reader.position()) as usize, u32::from(header.length()) as usize))
}

#[inline(always)]
const fn plain_tag(byte: u8) -> Option<Tag> {
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

const fn foreign(first: u8) -> Tag {
    Tag::Private { constructed: first & 0x20 != 0, number: TagNumber(FOREIGN | first as u32) }
}

/// Tag, length of the header and of the value of an element whose tag the decoder does not know: any of X.690 section 8.1.2, with
/// a length as DER has it, and all of the value there.
#[cold]
fn foreign_header(input: &[u8]) -> Option<(Tag, usize, usize)> {
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
fn is_unknown_tag(input: &[u8]) -> bool {
    SliceReader::new(input).is_ok_and(|reader| Tag::peek(&reader).is_err())
}

/// The decoder's complaint in plain words.
fn in_words(kind: ::der::ErrorKind) -> String {
    use ::der::ErrorKind;
    match kind {
        ErrorKind::IndefiniteLength => "an indefinite length (BER)".to_owned(),
        ErrorKind::Incomplete { .. } => "it ends too early".to_owned(),
        ErrorKind::Length { tag } => format!("a wrong length of {tag}"),
        ErrorKind::Noncanonical { tag } => format!("{tag} in a form that DER does not allow"),
        ErrorKind::Value { tag } => format!("a value of {tag} that cannot be"),
        ErrorKind::TagUnknown { byte } => format!("the tag {byte:#04x}, which is not known here"),
        ErrorKind::TagUnexpected { expected: Some(expected), actual } => format!("expected {expected}, found {actual}"),
        ErrorKind::TagUnexpected { actual, .. } => format!("{actual} does not belong here"),
        ErrorKind::TrailingData { .. } => "bytes behind the end".to_owned(),
        ErrorKind::OidMalformed => "an object identifier that cannot be read".to_owned(),
        ErrorKind::Utf8(_) => "text that is not UTF-8".to_owned(),
        ErrorKind::SetOrdering => "a SET whose elements are not in order".to_owned(),
        ErrorKind::DateTime => "a date that cannot be".to_owned(),
        ErrorKind::Overflow | ErrorKind::Overlength => "a length or number beyond what is read here".to_owned(),
        other => other.to_string(),
    }
}

/// The tag `[number]` of the context-specific class.
pub const fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
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
                    if ours.is_some_and(|ours| matches!(ours.tag, Tag::Private { number: TagNumber(FOREIGN..), .. })) {
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
