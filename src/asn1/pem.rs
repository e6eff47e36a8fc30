//! PEM armour (RFC 7468): told from DER by content, read leniently, written strictly.

use alloc::borrow::Cow;
use core::fmt;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::base64::{NotBase64, decode_public, decode_secret};
use super::der::{Asn1Error, Cursor};
use crate::prelude::*;

/// Why a block cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A key with headers.
    Headers,
    NotBase64,
    NoEnd,
    /// As mails quote.
    Quoted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Headers => {
                "headers inside the armour (RFC 1421 encryption) are not supported; use PKCS#8: openssl pkcs8 -topk8"
            }
            Fault::NotBase64 => "the content is not base64",
            Fault::NoEnd => "no END line for the BEGIN line",
            Fault::Quoted => "its lines stand behind \">\", as mails quote: the file is wanted as it was before",
        })
    }
}

/// One armoured block, not yet decoded: what is asked for is, the rest may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The words between BEGIN and the dashes, such as `CERTIFICATE`.
    pub label: &'a str,
    body: Result<&'a [u8], Fault>,
    /// Which one it is in its file, from 1 on.
    number: usize,
}

impl Block<'_> {
    /// The decoded content: by its label it is public, or may hold a private key and is decoded and wiped as one.
    pub fn decode(&self) -> Result<Content, Asn1Error> {
        let content = self.body.and_then(|text| {
            let content = match PUBLIC.contains(&self.label) {
                true => decode_public(text).map(Content::Public),
                false => decode_secret(text).map(Content::Secret),
            };
            content.map_err(|NotBase64| Fault::NotBase64)
        });
        content.map_err(|rule| bad(format!("block {} ({}): {rule}", self.number, self.label)))
    }

    /// The same error as one of this block, where there are others.
    pub fn place(&self, error: Asn1Error) -> Asn1Error {
        error.at(&format!("block {}, {}", self.number, self.label))
    }

    /// Whether the block has headers of RFC 1421, as traditional keys under a password have.
    pub fn is_encrypted_traditional(&self) -> bool {
        self.body.is_err_and(|rule| rule == Fault::Headers)
    }

    /// Whether its label is one of a certificate.
    pub fn is_certificate(&self) -> bool {
        matches!(self.label, "CERTIFICATE" | "X509 CERTIFICATE" | TRUSTED)
    }

    /// The certificate of a block of certificates: behind that of a `TRUSTED CERTIFICATE` OpenSSL writes settings of its
    /// own, which are not part of it.
    pub fn decode_certificate(&self) -> Result<Content, Asn1Error> {
        Ok(self.decode_with_settings()?.0)
    }

    /// The certificate, and the settings of OpenSSL behind it.
    pub(super) fn decode_with_settings(&self) -> Result<(Content, Vec<u8>), Asn1Error> {
        let mut content = self.decode()?;
        let mut settings = Vec::new();
        if self.label == TRUSTED {
            let end = Cursor::new(&content, "Certificate")?.any("a certificate")?.bytes.len();
            match &mut content {
                Content::Public(der) => settings = der.split_off(end),
                Content::Secret(der) => settings = der.split_off(end),
            }
        }
        Ok((content, settings))
    }
}

/// What a block holds, decoded.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// What everybody may see: certificates, requests, CRLs, public keys.
    Public(Vec<u8>),
    /// What may be a private key: decoded in constant time, and wiped when dropped.
    Secret(Zeroizing<Vec<u8>>),
}

impl core::ops::Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Public(der) => der,
            Content::Secret(der) => der,
        }
    }
}

impl core::fmt::Debug for Content {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Content::Public(der) => f.debug_tuple("Public").field(der).finish(),
            Content::Secret(_) => f.write_str("Secret(..)"),
        }
    }
}

/// The labels of what is no secret. All others, known or not, may be those of one.
const PUBLIC: &[&str] = &[
    "CERTIFICATE",
    "X509 CERTIFICATE",
    TRUSTED,
    "X509 CRL",
    "CRL",
    "PKCS7",
    "PKCS #7 SIGNED DATA",
    "OCSP RESPONSE",
    "CERTIFICATE REQUEST",
    "NEW CERTIFICATE REQUEST",
    "PUBLIC KEY",
];

const TRUSTED: &str = "TRUSTED CERTIFICATE";
const BEGIN: &[u8] = b"-----BEGIN ";

/// Whether the input is PEM: a line of it is the beginning of armour, and it is not DER that happens to hold such a line.
pub fn is_pem(input: &[u8]) -> bool {
    let begins = |of: fn(&[u8]) -> &[u8]| lines(input).any(|line| begin_label(of(line.text)).is_some());
    !is_der(input) && (begins(|line| line) || begins(unquoted) && parse(input).is_ok())
}

/// Whether the input begins as all DER and BER that is read here does, with a SEQUENCE: no text has its second byte.
/// A text may begin with "0" and another character, and is DER only if that is the length of all the rest.
fn is_der(input: &[u8]) -> bool {
    match input {
        [0x30, 0x80..=0x84, ..] => true,
        [0x30, length @ ..=0x7f, rest @ ..] => rest.len() == usize::from(*length),
        _ => false,
    }
}

/// All blocks, skipping the text around them (RFC 7468 section 2). At least one must be there.
///
/// Nothing is decoded. A block without an end, or behind ">" as mails quote, is one that cannot be: it hides none that follows.
pub fn parse(input: &[u8]) -> Result<Vec<Block<'_>>, Asn1Error> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut quoted: Option<&str> = None;
    for line in lines(input) {
        let number = blocks.len() + 1;
        match (open, begin_label(line.text)) {
            (before, Some(label)) => {
                if let Some((unended, _)) = before {
                    blocks.push(Block { label: unended, body: Err(Fault::NoEnd), number });
                }
                (open, quoted) = (Some((label, line.end)), None);
            }
            (Some((label, start)), None) if is_end(line.text, label) => {
                blocks.push(Block { label, body: body(label, &input[start..line.start]), number });
                open = None;
            }
            (None, None) if line.text.starts_with(b">") => {
                let inside = unquoted(line.text);
                if let Some(label) = quoted.filter(|label| is_end(inside, label)) {
                    blocks.push(Block { label, body: Err(Fault::Quoted), number });
                    quoted = None;
                }
                quoted = begin_label(inside).or(quoted);
            }
            _ => {}
        }
    }
    if let Some((label, _)) = open {
        blocks.push(Block { label, body: Err(Fault::NoEnd), number: blocks.len() + 1 });
    }
    if blocks.is_empty() { Err(bad("no BEGIN line")) } else { Ok(blocks) }
}

/// What a file holds of one kind, and what begins as one of them and cannot be read. The one door for those who take several: what is
/// passed over is there to be told.
#[derive(Clone, Debug)]
pub struct Held<T> {
    /// Those that can be read, in their order.
    pub all: Vec<T>,
    /// Why others cannot, by their blocks: the first eight.
    pub unread: Vec<Asn1Error>,
}

/// How many blocks that cannot be read are told.
const MOST_TOLD: usize = 8;

impl<T> Held<T> {
    /// Reads what stands without armour.
    pub(crate) fn plain(read: impl FnOnce(&mut Self) -> Result<(), Asn1Error>) -> Result<Self, Asn1Error> {
        let mut held = Self::none();
        read(&mut held)?;
        Ok(held)
    }

    /// Reads blocks of one kind: one that cannot be read spoils no other. `first_counts`: but for a first one. More than `most` are
    /// refused, by the error of `read`.
    pub(crate) fn of_blocks<'b, 'i: 'b>(
        blocks: impl Iterator<Item = &'b Block<'i>>,
        (first_counts, most): (bool, usize),
        mut read: impl FnMut(&Block<'_>, &mut Self) -> Result<(), Asn1Error>,
    ) -> Result<Self, Asn1Error> {
        let mut held = Self::none();
        for block in blocks {
            match read(block, &mut held) {
                Ok(()) if first_counts && held.all.is_empty() => {
                    return Err(block.place(bad("the first block holds none")));
                }
                Ok(()) => {}
                Err(error) if held.all.len() > most || (first_counts && held.all.is_empty()) => return Err(error),
                Err(error) if held.unread.len() < MOST_TOLD => held.unread.push(error),
                Err(_) => {}
            }
        }
        Ok(held)
    }

    /// Nothing yet.
    pub(crate) const fn none() -> Self {
        Held { all: Vec::new(), unread: Vec::new() }
    }

    /// One more that was read, or why it cannot be.
    pub(crate) fn take(&mut self, read: Result<T, Asn1Error>) {
        match read {
            Ok(one) => self.all.push(one),
            Err(error) if self.unread.len() < MOST_TOLD => self.unread.push(error),
            Err(_) => {}
        }
    }

    /// All, where there is any; else why the first cannot be read, or what there is in its place.
    pub(crate) fn or(mut self, none: impl FnOnce() -> Asn1Error) -> Result<Self, Asn1Error> {
        match (self.all.is_empty(), self.unread.is_empty()) {
            (false, _) => Ok(self),
            (true, false) => Err(self.unread.swap_remove(0)),
            (true, true) => Err(none()),
        }
    }

    /// All, if none of them cannot be read.
    pub(crate) fn whole(mut self) -> Result<Vec<T>, Asn1Error> {
        if self.unread.is_empty() { Ok(self.all) } else { Err(self.unread.swap_remove(0)) }
    }
}

/// What is not PEM, as DER: base64 without armour, as some exports are, is decoded, and a line end or padding behind DER left
/// out. Not for private keys.
pub fn without_armour(input: &[u8]) -> Cow<'_, [u8]> {
    match bare_base64(input) {
        Some(der) => Cow::Owned(der.to_vec()),
        None => Cow::Borrowed(without_padding(input)),
    }
}

/// DER without the line end, blanks or zeros that editors and media put behind it.
pub fn without_padding(input: &[u8]) -> &[u8] {
    let length = Cursor::new(input, "DER").ok().and_then(|cursor| cursor.first_element_length());
    match length.and_then(|length| input.split_at_checked(length)) {
        Some((der, behind)) if behind.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) => der,
        _ => input,
    }
}

/// Where a structure in DER begins behind or between the blocks of a text, in bytes from its start. No line of text begins so.
pub(crate) fn der_beside_blocks(input: &[u8]) -> Option<usize> {
    let mut open: Option<&str> = None;
    for line in lines(input) {
        match (open, begin_label(line.text)) {
            (_, Some(label)) => open = Some(label),
            (Some(label), None) if is_end(line.text, label) => open = None,
            (None, None) if matches!(line.text, [0x30, 0x80..=0x84, ..]) => return Some(line.start),
            _ => {}
        }
    }
    None
}

/// What a text without the wanted block holds instead, for an error.
pub fn labels_of(blocks: &[Block<'_>]) -> String {
    let mut labels: Vec<String> = Vec::new();
    for block in blocks {
        let label = crate::words::quoted(&block.label.chars().take(40).collect::<String>());
        if !labels.contains(&label) && labels.len() < 5 {
            labels.push(label);
        }
    }
    labels.join(", ")
}

/// The content of a text that is base64 of a SEQUENCE and nothing else; `None` if it is not. White space is free.
fn bare_base64(input: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    // Base64 of a SEQUENCE begins with M.
    if text.trim_ascii_start().first() != Some(&b'M') {
        return None;
    }
    decode_secret(text).ok().filter(|der| der.first() == Some(&0x30))
}

/// A line without what a mail puts before the words of another.
fn unquoted(line: &[u8]) -> &[u8] {
    let words = line.iter().position(|byte| !matches!(byte, b'>' | b' ' | b'\t'));
    &line[words.unwrap_or(line.len())..]
}

struct Line<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

/// Lines however they end, without white space around their text (RFC 7468 section 2), without a byte order mark before the first.
fn lines(input: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = if input.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    core::iter::from_fn(move || {
        let rest = input.get(start..).filter(|rest| !rest.is_empty())?;
        let len = memchr::memchr2(b'\n', b'\r', rest).map_or(rest.len(), |at| at + 1);
        let line = Line { text: rest[..len].trim_ascii(), start, end: start + len };
        start = line.end;
        Some(line)
    })
}

/// The label of a BEGIN line.
fn begin_label(line: &[u8]) -> Option<&str> {
    let label = core::str::from_utf8(line.strip_prefix(BEGIN)?.strip_suffix(b"-----")?).ok()?;
    (!label.contains("-----")).then_some(label)
}

fn is_end(line: &[u8], label: &str) -> bool {
    line.strip_prefix(b"-----END ").and_then(|rest| rest.strip_suffix(b"-----")) == Some(label.as_bytes())
}

/// What stands between BEGIN and END. Headers (RFC 1421, RFC 4716) are passed over, but for those that say how a key is
/// encrypted.
fn body<'a>(label: &str, text: &'a [u8]) -> Result<&'a [u8], Fault> {
    let Some(colon) = memchr::memrchr(b':', text) else { return Ok(text) };
    if label.ends_with("KEY") {
        return Err(Fault::Headers);
    }
    let behind = &text[colon..];
    let end = behind.windows(2).position(|pair| pair == b"\n\n" || pair == b"\r\r");
    let end = end.or_else(|| behind.windows(4).position(|four| four == b"\r\n\r\n"));
    let end = end.or_else(|| behind.iter().position(|byte| matches!(byte, b'\n' | b'\r')));
    Ok(&behind[end.unwrap_or(behind.len())..])
}

/// Writes one block with lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(der.len().div_ceil(48) * 65 + 2 * label.len() + 40));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for line in der.chunks(48) {
        let mut characters = Zeroizing::new([0u8; 64]);
        let line = Base64::encode(line, &mut *characters).expect("48 bytes make 64 characters");
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

fn bad(rule: impl Into<Cow<'static, str>>) -> Asn1Error {
    Asn1Error::pem(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_at_every_length() {
        for length in 0..200usize {
            let der: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let text = encode("CERTIFICATE", &der);
            let blocks = parse(text.as_bytes()).unwrap();
            assert_eq!((blocks[0].label, &blocks[0].decode().unwrap()[..]), ("CERTIFICATE", &der[..]));
        }
    }

    #[test]
    fn what_may_be_a_private_key_is_decoded_as_one() {
        let is_public = |label: &str| {
            let text = encode(label, &[0x30, 0x00]);
            matches!(parse(text.as_bytes()).unwrap()[0].decode().unwrap(), Content::Public(_))
        };
        for label in PUBLIC {
            assert!(is_public(label));
            // The same words about a key, and in another form, are another label.
            for other in
                [format!("{label} PRIVATE KEY"), format!("PRIVATE {label}"), label.to_lowercase(), format!("{label} ")]
            {
                assert!(!is_public(&other), "{other}");
            }
        }
        for label in
            ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PKCS12", "CMS", "ANY", ""]
        {
            assert!(!is_public(label), "{label}");
        }
    }

    fn labels(text: &str) -> Vec<&str> {
        parse(text.as_bytes()).unwrap().iter().map(|block| block.label).collect()
    }

    #[test]
    fn blocks_are_found_between_explanations_however_lines_end() {
        let text =
            format!("Bag Attributes\r\n  name: x\n{}\nsome words\n{}", &*encode("A", b"one"), &*encode("B C", b"two"));
        for text in [text.clone(), text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")] {
            assert!(is_pem(text.as_bytes()));
            assert_eq!(labels(&text), ["A", "B C"]);
            assert_eq!(parse(text.as_bytes()).unwrap()[1].decode().unwrap()[..], *b"two");
        }
        let spaced = encode("A", b"one").replace('\n', " \t\n");
        assert_eq!(parse(spaced.as_bytes()).unwrap()[0].decode().unwrap()[..], *b"one");
    }

    #[test]
    fn armour_begins_a_line_and_what_is_before_it_is_text() {
        let block = encode("A", b"one");
        let text = format!("0 depth, see -----BEGIN B-----\n > -----BEGIN C-----\n{}", &*block);
        assert!(is_pem(text.as_bytes()));
        assert_eq!(labels(&text), ["A"]);
        assert!(!is_pem(b"see -----BEGIN B-----\nQUJD\n-----END B-----\n"));
        // DER may hold a text with armour in it.
        for inner in [&block[..], &"x".repeat(300)] {
            let der = crate::asn1::der::sequence(&[format!("{inner}\n{}", &*block).as_bytes()]);
            assert!(!is_pem(&der));
        }
    }

    /// As they stand in YAML, heredocs and mails.
    #[test]
    fn blanks_before_a_boundary_hide_no_block() {
        for blanks in [" ", "    ", "\t"] {
            let indented: String =
                encode("A", b"one").lines().flat_map(|line| [blanks, line, "\n"]).collect::<Vec<_>>().concat();
            let text = format!("{indented}{}", &*encode("B", b"two"));
            assert!(is_pem(indented.as_bytes()));
            assert_eq!(labels(&text), ["A", "B"]);
            assert_eq!(parse(text.as_bytes()).unwrap()[0].decode().unwrap()[..], *b"one");
        }
    }

    #[test]
    fn a_broken_block_hides_no_other() {
        let good = encode("A", b"one");
        let broken = [
            "-----BEGIN B-----\nQUJD\n".to_owned(),
            "-----BEGIN B-----\nQU*D\n-----END B-----\n".to_owned(),
            "-----BEGIN B-----\nQUJDR\n-----END B-----\n".to_owned(),
            "-----BEGIN B-----\nQUJD\n-----END C-----\n".to_owned(),
            "-----BEGIN B KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nQUJD\n-----END B KEY-----\n"
                .to_owned(),
            "> -----BEGIN B-----\n> QUJD\n> -----END B-----\n".to_owned(),
            ">> -----BEGIN B-----\n>> QUJD\n>>-----END B-----\n".to_owned(),
        ];
        for broken in broken {
            for text in [format!("{}{broken}", &*good), format!("{broken}{}", &*good)] {
                let blocks = parse(text.as_bytes()).unwrap();
                assert_eq!(blocks.len(), 2, "{text}");
                for block in blocks {
                    let whole = block.decode().ok().filter(|der| der[..] == *b"one");
                    assert_eq!(whole.is_some(), block.label == "A", "{text}");
                }
            }
        }
    }

    #[test]
    fn damaged_armour_is_refused_with_the_reason_and_the_place() {
        let reason = |text: &str| {
            parse(text.as_bytes()).and_then(|blocks| blocks.last().unwrap().decode().map(drop)).unwrap_err().to_string()
        };
        assert!(reason("no armour at all").contains("no BEGIN line"));
        assert!(reason("-----BEGIN A-----\nQUJD\n").contains("no END line"));
        assert!(reason("-----BEGIN A-----\nQU*D\n-----END A-----").contains("not base64"));
        assert!(reason("> -----BEGIN A-----\n> QUJD\n> -----END A-----").contains("as mails quote"));
        // Words about armour are none.
        assert!(
            reason("> put it between -----BEGIN A-----\n> -----BEGIN A-----\n> and its end").contains("no BEGIN line")
        );
        let second = reason("-----BEGIN A-----\nQUJD\n-----END A-----\n-----BEGIN B-----\nQUJDR\n-----END B-----");
        assert!(second.contains("block 2 (B)") && second.contains("not base64"), "{second}");
        assert!(
            reason("-----BEGIN A KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END A KEY-----").contains("PKCS#8")
        );
    }

    #[test]
    fn headers_of_what_is_no_key_are_passed_over() {
        for headers in ["Comment: x\n\n", "Comment: x\nSubject: y\n\n", "Comment: x\r\n\r\n", "Comment: x\n"] {
            let text = format!("-----BEGIN A-----\n{headers}QUJD\n-----END A-----\n");
            assert_eq!(parse(text.as_bytes()).unwrap()[0].decode().unwrap()[..], *b"ABC", "{headers}");
        }
    }

    #[test]
    fn base64_alone_is_told_from_other_input() {
        assert_eq!(bare_base64(b" MAMC\r\nAQU=\n").unwrap()[..], [0x30, 0x03, 0x02, 0x01, 0x05]);
        for other in [&b""[..], b"\n", b"QUJD", b"MAM", b"MA*C", &[0x30, 0x03, 0x02, 0x01, 0x00], b"-----BEGIN A-----"]
        {
            assert!(bare_base64(other).is_none());
        }
    }
}
