//! The header of an answer, read before the HTTP library sees it.
//!
//! Servers of the field write header lines that a strict reader refuses, mostly in fields that nobody here looks at. So what is
//! looked at is taken out and written anew, and the rest is left out: an odd line cannot spoil an answer, however many there
//! are, and what is no HTTP at all is named for what it is. What counts for where the body ends is read by the letter (RFC 9112
//! section 6.3): there, two readings of one answer would be dangerous.

use std::fmt::Write as _;

use super::chunks::Chunks;
use super::error::{Cause, Phase, TransportError, TransportErrorKind};
use crate::words::quoted;

/// Longest header of an answer, in bytes, those of 1xx before it included. Real ones stay under 2 KiB.
pub(super) const MAX_HEADER_BYTES: usize = 32 * 1024;

/// The fields that are passed on as they are, besides those that say where the body ends.
const LOOKED_AT: [&str; 8] =
    ["content-type", "content-encoding", "connection", "retry-after", "date", "location", "etag", "last-modified"];

/// Follows the bytes of one answer up to the end of its header.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// What came and is not understood yet.
    held: Vec<u8>,
    /// Where its last line begins, as far as was looked.
    line_start: usize,
    /// Bytes of the headers of 1xx answers before the one that counts.
    read: usize,
    is_past: bool,
    chunks: Option<Chunks>,
}

impl Head {
    /// Whether the header is over.
    pub fn is_past(&self) -> bool {
        self.is_past
    }

    /// Whether what comes is passed on as it is.
    pub fn changes_nothing(&self) -> bool {
        self.is_past && self.chunks.is_none()
    }

    /// Takes what came. Answers header and body in plain form as far as they are there: nothing before the header is whole.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TransportError> {
        match (self.is_past, &mut self.chunks) {
            (true, Some(chunks)) => chunks.pass(bytes),
            (true, None) => Ok(bytes.to_vec()),
            (false, _) => self.pass_header(bytes),
        }
    }

    fn pass_header(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TransportError> {
        let Some((header, behind)) = self.take(bytes)? else { return Ok(Vec::new()) };
        let mut plain = header.plain()?.into_bytes();
        self.chunks = header.is_chunked().then(Chunks::default);
        plain.extend(self.pass(&behind)?);
        Ok(plain)
    }

    /// Takes what came up to the end of the header that counts: that header then, and what came behind it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<(Header, Vec<u8>)>, TransportError> {
        let mut searched = self.held.len();
        self.held.extend_from_slice(bytes);
        loop {
            if self.line_start == 0 {
                let blank = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.held.drain(..blank);
                self.read += blank;
                searched = searched.saturating_sub(blank);
                check_begins_as_http(&self.held)?;
            }
            let end = self.find_end(searched);
            if self.read + end.unwrap_or(self.held.len()) > MAX_HEADER_BYTES {
                return Err(too_large());
            }
            let Some(len) = end else { return Ok(None) };
            let behind = self.held.split_off(len);
            let header = Header::read(&self.held)?;
            (self.read, self.line_start, searched) = (self.read + len, 0, 0);
            // RFC 9110 section 15.2: a client takes any number of 1xx before the answer. 101 is for who asked for it.
            if (100..200).contains(&header.status) && header.status != 101 {
                self.held = behind;
                continue;
            }
            self.held.clear();
            self.is_past = true;
            return Ok(Some((header, behind)));
        }
    }

    /// Up to behind the empty line, if it is there. Lines end with LF, with or without CR (RFC 9112 section 2.2).
    fn find_end(&mut self, searched: usize) -> Option<usize> {
        for at in searched..self.held.len() {
            if self.held[at] != b'\n' {
                continue;
            }
            if matches!(&self.held[self.line_start..at], [] | [b'\r']) {
                return Some(at + 1);
            }
            self.line_start = at + 1;
        }
        None
    }

    /// The connection is over before the header is.
    pub fn ended(&self) -> TransportError {
        match self.held.len() {
            0 => TransportError {
                cause: Some(Cause::ClosedUnanswered),
                ..broken("the server closed the connection without an answer".to_owned())
            },
            count => {
                broken(format!("the server closed the connection within the answer's header, after {count} bytes"))
            }
        }
    }
}

fn broken(words: String) -> TransportError {
    TransportError::new(TransportErrorKind::Broken, Phase::Await, words)
}

/// Something else than HTTP speaks there, and will at the next call.
fn not_http(cause: Cause, what: &str) -> TransportError {
    TransportError { cause: Some(cause), ..broken(format!("not an HTTP answer: {what}")) }
}

fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

fn too_large() -> TransportError {
    let words = format!("the answer's header is larger than {MAX_HEADER_BYTES} bytes");
    TransportError::new(TransportErrorKind::TooLarge, Phase::Await, words)
}

/// Refuses at the first byte that cannot begin an HTTP answer: who speaks something else may be waiting for us.
fn check_begins_as_http(bytes: &[u8]) -> Result<(), TransportError> {
    const MARK: &[u8] = b"HTTP/";
    let seen = bytes.len().min(MARK.len());
    match bytes[..seen].eq_ignore_ascii_case(&MARK[..seen]) {
        true => Ok(()),
        false => {
            let cause = if is_tls(bytes) { Cause::TlsForHttp } else { Cause::NotHttp };
            Err(not_http(cause, &what_came(bytes)))
        }
    }
}

/// What speaks there, from its first bytes.
fn what_came(bytes: &[u8]) -> String {
    let known = match bytes {
        _ if is_tls(bytes) => "a TLS record came: the server speaks TLS at this port (https)",
        [b'S', b'S', b'H', b'-', ..] => "the greeting of an SSH server came",
        [b'2', b'2', b'0', b' ' | b'-', ..] => "the greeting of a mail or FTP server came",
        [0, 0, _, 4, 0, 0, 0, 0, 0, ..] => "HTTP/2 came; HTTP/1.0 and HTTP/1.1 are spoken here",
        // RFC 2510 section 5.2: length, then a flag; drafts after it put a version of 10 before the flag.
        [0, _, _, _, 0..=6 | 10, ..] => {
            "CMP over TCP without HTTP came (RFC 2510 section 5.2), which is not spoken here"
        }
        [0x30, 0..=0x84, ..] => "DER came without HTTP around it",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let head = &bytes[..bytes.len().min(60)];
    match std::str::from_utf8(head) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            format!("{} came", quoted(text.trim_end()))
        }
        _ => {
            let shown: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("the bytes {} came", shown.join(" "))
        }
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Chunks,
    Length(u64),
    /// With the connection.
    ToTheEnd,
}

/// What counts of a header.
pub(super) struct Header {
    minor: u8,
    pub(super) status: u16,
    fields: Vec<(&'static str, String)>,
    lengths: Vec<String>,
    codings: Vec<String>,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, TransportError> {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (minor, status) = status_line(lines.next().unwrap_or_default())?;
        let mut header = Header { minor, status, fields: Vec::new(), lengths: Vec::new(), codings: Vec::new() };
        let mut field: Vec<u8> = Vec::new();
        for line in lines {
            match line {
                // RFC 9112 section 5.2: a line that begins with a space goes on with the one before.
                [b' ' | b'\t', rest @ ..] => {
                    field.push(b' ');
                    field.extend_from_slice(rest);
                }
                _ => {
                    header.take(&std::mem::replace(&mut field, line.to_vec()));
                }
            }
        }
        header.take(&field);
        Ok(header)
    }

    /// One field; what is none, or not looked at, is left out.
    fn take(&mut self, field: &[u8]) {
        let Some(colon) = field.iter().position(|byte| *byte == b':') else { return };
        // RFC 9112 section 5.1: a space before the colon is removed from answers.
        let Ok(name) = std::str::from_utf8(field[..colon].trim_ascii_end()) else { return };
        // RFC 9110 section 5.5: control characters are read as spaces.
        let text: Vec<u8> = field[colon + 1..].iter().map(|b| if b.is_ascii_control() { b' ' } else { *b }).collect();
        let value = text.trim_ascii().iter().map(|byte| char::from(*byte)).collect::<String>();
        let list = || value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
        if name.eq_ignore_ascii_case("content-length") {
            self.lengths.extend(list());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.codings.extend(list());
        } else if let Some(known) = LOOKED_AT.iter().find(|known| name.eq_ignore_ascii_case(known)) {
            self.fields.push((known, value));
        }
    }

    /// The header in the form that every reader takes.
    fn plain(&self) -> Result<String, TransportError> {
        let mut plain = format!("HTTP/1.{} {} OK\r\n", self.minor, self.status);
        for (name, shown) in self.fields() {
            let _ = write!(plain, "{name}: {shown}\r\n");
        }
        match self.body()? {
            Framing::Chunks => plain.push_str("transfer-encoding: chunked\r\n"),
            Framing::ToTheEnd if self.last_coding().is_some() => plain.push_str("connection: close\r\n"),
            Framing::ToTheEnd => {}
            Framing::Length(length) => {
                let _ = write!(plain, "content-length: {length}\r\n");
            }
        }
        plain.push_str("\r\n");
        Ok(plain)
    }

    /// The fields that are passed on. One octet is one character here, and goes on as one.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let shown = |value: &str| value.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        self.fields.iter().map(move |(name, value)| (*name, shown(value)))
    }

    /// Where the body ends. RFC 9112 section 6.3: a coding beats a length; a body in another last coding than chunked ends with the
    /// connection.
    pub(super) fn body(&self) -> Result<Framing, TransportError> {
        Ok(match (self.last_coding(), self.length()?) {
            (Some(_), _) if self.is_chunked() => Framing::Chunks,
            (Some(_), _) | (None, None) => Framing::ToTheEnd,
            (None, Some(length)) => Framing::Length(length),
        })
    }

    fn last_coding(&self) -> Option<&String> {
        self.codings.iter().rfind(|coding| !coding.eq_ignore_ascii_case("identity"))
    }

    fn is_chunked(&self) -> bool {
        self.last_coding().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    /// Content-Length; said twice it is taken if it is the same.
    fn length(&self) -> Result<Option<u64>, TransportError> {
        let mut known: Option<u64> = None;
        for text in &self.lengths {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse().ok().filter(|_| digits);
            let length =
                length.ok_or_else(|| broken(format!("a Content-Length that is not a number: {}", quoted(text))))?;
            match known {
                Some(before) if before != length => {
                    return Err(broken(format!("two values of Content-Length that differ: {before} and {length}")));
                }
                _ => known = Some(length),
            }
        }
        Ok(known)
    }
}

/// The minor version and the status code. The reason phrase says nothing to programs.
fn status_line(line: &[u8]) -> Result<(u8, u16), TransportError> {
    let text = String::from_utf8_lossy(line);
    let refused = || {
        let begin = text.chars().take(60).collect::<String>();
        not_http(Cause::NotHttp, &format!("it begins with {}", quoted(begin.trim())))
    };
    let mut words = text.split_ascii_whitespace();
    let minor = match words.next().map(str::to_ascii_uppercase).as_deref() {
        Some("HTTP/1.0") => 0,
        // RFC 9110 section 2.5: a higher minor version is read as the highest that is known.
        Some(version)
            if version.strip_prefix("HTTP/1.").is_some_and(|minor| matches!(minor.as_bytes(), [b'1'..=b'9'])) =>
        {
            1
        }
        Some(other) if other.len() > 5 => {
            return Err(broken(format!("an answer in {}; HTTP/1.0 and HTTP/1.1 are spoken here", quoted(other))));
        }
        _ => return Err(refused()),
    };
    let code = words.next().filter(|code| code.len() == 3).and_then(|code| code.parse().ok());
    Ok((minor, code.filter(|code| (100..=999).contains(code)).ok_or_else(refused)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when the bytes arrive in pieces of this size.
    fn read(answer: &[u8], piece: usize) -> Result<String, String> {
        let mut head = Head::default();
        let mut out = Vec::new();
        for chunk in answer.chunks(piece) {
            out.extend(head.pass(chunk).map_err(|e| e.detail)?);
        }
        if !head.is_past() {
            return Err(head.ended().detail);
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    fn always(answer: &[u8]) -> Result<String, String> {
        let whole = read(answer, answer.len().max(1));
        for piece in [1, 2, 3, 7] {
            let in_pieces = read(answer, piece);
            assert_eq!(in_pieces.is_ok(), whole.is_ok(), "in pieces of {piece}: {in_pieces:?}");
            if whole.is_ok() {
                assert_eq!(in_pieces, whole, "in pieces of {piece}");
            }
        }
        whole
    }

    #[test]
    fn odd_lines_spoil_nothing_and_what_counts_comes_out_plain() {
        let many: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
        let odd = [
            "X-Odd : 1\r\n",
            "no colon\r\n",
            ": no name\r\n",
            "X: a\0b\r\n",
            "X: G\u{e4}rtner\r\n",
            "X: 1\r\n\t2\r\n 3\r\n",
            &many,
        ];
        for line in odd {
            let answer = format!(
                "HTTP/1.1 200 OK\r\n{line}Content-Type: application/\r\n  pkixcmp\r\n{line}Content-Length : 3\r\n\r\nabc"
            );
            let plain = always(answer.as_bytes()).unwrap();
            assert_eq!(plain, "HTTP/1.1 200 OK\r\ncontent-type: application/  pkixcmp\r\ncontent-length: 3\r\n\r\nabc");
        }
    }

    #[test]
    fn where_the_body_ends_is_read_by_the_letter() {
        let cases = [
            ("Content-Length: 3\r\nContent-Length: 3", Ok("content-length: 3\r\n")),
            ("Content-Length: 3, 3", Ok("content-length: 3\r\n")),
            ("Content-Length: 003 ", Ok("content-length: 3\r\n")),
            ("Content-Length: 3\r\nTransfer-Encoding: Chunked", Ok("transfer-encoding: chunked\r\n")),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Ok("transfer-encoding: chunked\r\n")),
            ("Transfer-Encoding: identity\r\nContent-Length: 3", Ok("content-length: 3\r\n")),
            ("Transfer-Encoding: gzip\r\nContent-Length: 3", Ok("connection: close\r\n")),
            ("Content-Length: 3\r\nContent-Length: 4", Err("two values of Content-Length that differ: 3 and 4")),
            ("Content-Length: +3", Err("a Content-Length that is not a number: \"+3\"")),
            ("Content-Length: 0x3", Err("a Content-Length that is not a number: \"0x3\"")),
        ];
        for (fields, expected) in cases {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            let expected = expected.map(|field| format!("HTTP/1.1 200 OK\r\n{field}\r\n")).map_err(str::to_owned);
            assert_eq!(always(answer.as_bytes()), expected, "{fields}");
        }
    }

    #[test]
    fn status_lines_are_taken_in_every_form_that_means_one_thing() {
        for line in
            ["HTTP/1.1 200", "HTTP/1.2 200 OK", "HTTP/1.1 200 ", "http/1.1  200 Gr\u{f6}\u{df}e", "\r\nHTTP/1.1 200 OK"]
        {
            assert_eq!(always(format!("{line}\r\n\r\n").as_bytes()).unwrap(), "HTTP/1.1 200 OK\r\n\r\n", "{line}");
            assert_eq!(always(format!("{line}\n\n").as_bytes()).unwrap(), "HTTP/1.1 200 OK\r\n\r\n", "{line}");
        }
        let hints =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.0 404 No\r\n\r\n";
        assert_eq!(always(hints).unwrap(), "HTTP/1.0 404 OK\r\n\r\n");
        for (line, told) in [
            ("HTTP/1.10 200 OK", "an answer in \"HTTP/1.10\"; HTTP/1.0 and HTTP/1.1 are spoken here"),
            ("HTTP/2.0 200 OK", "an answer in \"HTTP/2.0\"; HTTP/1.0 and HTTP/1.1 are spoken here"),
            ("HTTP/1.1 OK", "not an HTTP answer: it begins with \"HTTP/1.1 OK\""),
            ("HTTP/1.1 20 OK", "not an HTTP answer: it begins with \"HTTP/1.1 20 OK\""),
        ] {
            assert_eq!(always(format!("{line}\r\n\r\n").as_bytes()).unwrap_err(), told);
        }
    }

    #[test]
    fn what_is_no_http_is_named_for_what_it_is() {
        for (came, told) in [
            (&b"\x15\x03\x01\x00\x02\x02\x46"[..], "a TLS record came"),
            (b"SSH-2.0-OpenSSH\r\n", "the greeting of an SSH server came"),
            (b"\0\0\x04\x15\x05\x30\x82\x04\x10", "CMP over TCP without HTTP came"),
            (b"\0\0\x04\x15\x0a\x00\x05\x30", "CMP over TCP without HTTP came"),
            (b"\x30\x82\x04\x10\x30", "DER came without HTTP around it"),
            (b"ICY 200 OK\r\n\r\n", "\"ICY 200 OK\" came"),
            (b"\xff\xfb\x01\xff", "the bytes ff fb 01 ff came"),
        ] {
            let error = read(came, came.len()).unwrap_err();
            assert!(error.starts_with("not an HTTP answer: ") && error.contains(told), "{error}");
        }
        assert_eq!(read(b"", 1).unwrap_err(), "the server closed the connection without an answer");
        let cut = "the server closed the connection within the answer's header, after 17 bytes";
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n", 4).unwrap_err(), cut);
    }

    #[test]
    fn the_limit_is_the_one_that_is_told() {
        let answer = |count: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(count));
        let around = answer(0).len();
        assert!(always(answer(MAX_HEADER_BYTES - around).as_bytes()).is_ok());
        assert!(
            always(answer(MAX_HEADER_BYTES - around + 1).as_bytes()).unwrap_err().contains("larger than 32768 bytes")
        );
        let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 2 * MAX_HEADER_BYTES]].concat();
        assert!(always(&endless).is_err());
    }
}
