//! A body in chunks (RFC 9112 section 7.1), written anew before the HTTP library reads it: lines that end with LF alone, spaces,
//! extensions and trailers harm nobody, and what is wrong is told in words.

use std::io::Write as _;

use super::error::{Phase, TransportError, TransportErrorKind};
use crate::words::quoted;

/// Longest line of a size with its extensions, and of a trailer.
const MAX_LINE_BYTES: usize = 4096;

/// Follows a body in chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    line: Vec<u8>,
    gives_data_alone: bool,
}

#[derive(Debug, Default)]
enum State {
    /// Within the line that says how long the chunk is.
    #[default]
    Size,
    /// Within a chunk; this many bytes are to come.
    Data(u64),
    /// Behind a chunk, before its line end.
    DataEnd,
    /// Behind the last chunk.
    Trailer,
    /// Behind the body.
    Over,
}

impl Chunks {
    /// For a reader of the data, without the lines between the chunks.
    pub fn undone() -> Self {
        Chunks { gives_data_alone: true, ..Chunks::default() }
    }

    /// Whether all data have come; trailers add none.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Trailer | State::Over)
    }

    /// What came, in plain form.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, TransportError> {
        let mut plain = Vec::with_capacity(bytes.len());
        while let [first, rest @ ..] = bytes {
            match self.state {
                State::Over => {
                    if !self.gives_data_alone {
                        plain.extend_from_slice(bytes);
                    }
                    break;
                }
                State::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    plain.extend_from_slice(&bytes[..count]);
                    bytes = &bytes[count..];
                    self.state = match left - count as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    continue;
                }
                State::DataEnd | State::Size | State::Trailer if *first != b'\n' => self.line.push(*first),
                State::DataEnd | State::Size | State::Trailer => self.line_ended(&mut plain)?,
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(broken(format!("a line of more than {MAX_LINE_BYTES} bytes between the chunks")));
            }
            bytes = rest;
        }
        Ok(plain)
    }

    fn line_ended(&mut self, plain: &mut Vec<u8>) -> Result<(), TransportError> {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        let mut write = |text: std::fmt::Arguments<'_>| {
            if !self.gives_data_alone {
                let _ = plain.write_fmt(text);
            }
        };
        match self.state {
            State::Size => {
                let size = size(line)?;
                write(format_args!("{size:x}\r\n"));
                self.state = if size == 0 { State::Trailer } else { State::Data(size) };
            }
            State::Trailer if !line.is_empty() => {}
            State::Trailer => {
                write(format_args!("\r\n"));
                self.state = State::Over;
            }
            _ if line.is_empty() => {
                write(format_args!("\r\n"));
                self.state = State::Size;
            }
            _ => return Err(broken("a chunk is longer than the line before it says".to_owned())),
        }
        Ok(())
    }
}

/// `chunk-size [ chunk-ext ]`.
fn size(line: &[u8]) -> Result<u64, TransportError> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    size.ok_or_else(|| {
        broken(format!(
            "the length of a chunk is not a number: {}",
            quoted(&digits.chars().take(40).collect::<String>())
        ))
    })
}

fn broken(words: String) -> TransportError {
    TransportError::new(TransportErrorKind::Broken, Phase::Body, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], piece: usize) -> Result<String, String> {
        let mut chunks = Chunks::default();
        let mut out = Vec::new();
        for part in body.chunks(piece) {
            out.extend(chunks.pass(part).map_err(|error| error.detail)?);
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_form_that_means_one_body_comes_out_alike() {
        for body in [
            "3\r\nabc\r\n2\r\n\r\n\r\n0\r\n\r\n",
            "3\nabc\n2\n\r\n\n0\n\n",
            "0003 ;x=\"y\"\r\nabc\r\n 2\t\r\n\r\n\r\n000\r\nX: y\r\nZ: 1\r\n\r\n",
        ] {
            for piece in 1..=body.len() {
                assert_eq!(
                    read(body.as_bytes(), piece).unwrap(),
                    "3\r\nabc\r\n2\r\n\r\n\r\n0\r\n\r\n",
                    "{body:?} by {piece}"
                );
            }
        }
        assert_eq!(read(b"0\r\n\r\nbehind", 3).unwrap(), "0\r\n\r\nbehind", "what is behind is for others to refuse");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (body, told) in [
            ("zz\r\nabc", "the length of a chunk is not a number: \"zz\""),
            ("-1\r\nabc", "the length of a chunk is not a number: \"-1\""),
            ("\r\nabc", "the length of a chunk is not a number: \"\""),
            ("11111111111111111\r\n", "the length of a chunk is not a number: \"11111111111111111\""),
            ("2\r\nabc\r\n", "a chunk is longer than the line before it says"),
        ] {
            assert_eq!(read(body.as_bytes(), 2).unwrap_err(), told);
        }
        assert!(read(&[b'1'; 5000], 100).unwrap_err().contains("more than 4096 bytes"));
    }
}
