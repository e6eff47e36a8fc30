//! CMP through files (RFC 9483 section 6.4.1): for devices that never see a network and for delayed delivery.
//!
//! A file holds the DER of exactly one message, nothing around it, and its name ends with `.pki`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{Cause, Phase, TransportError, TransportErrorKind};
use super::{Exchange, ExchangeLimits, Reply, Shape, shape_of};
use crate::files::{open_regular, replace};

/// The extension that RFC 9483 section 6.4.1 demands.
pub const EXTENSION: &str = "pki";

/// Writes one message to a file whose name must end with `.pki`. The file appears whole or not at all, and replaces an
/// older one; it is on the medium when the call returns, so that a USB stick may be pulled.
pub fn write_message(path: &Path, message: &[u8]) -> Result<(), TransportError> {
    check_extension(path)?;
    check_one_message(path, message)?;
    replace(path, message, 0o666).map_err(|e| TransportError::file("writing", path, &e))
}

/// Reads the one message in a file whose name must end with `.pki`.
///
/// A file that is not there (yet) is [`TransportErrorKind::Busy`]: come back later.
pub fn read_message(path: &Path, max_bytes: usize) -> Result<Vec<u8>, TransportError> {
    check_extension(path)?;
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let detail = format!("the answer is not there yet: expected the file {}", path.display());
            let mut error = TransportError::new(TransportErrorKind::Busy, Phase::Await, detail);
            error.cause = Some(Cause::StillUnderWay);
            return Err(error);
        }
        Err(e) => return Err(TransportError::file("opening", path, &e)),
    };
    let mut message = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut message).map_err(|e| TransportError::file("reading", path, &e))?;
    if message.len() > max_bytes {
        let detail = format!("{} is larger than the limit of {max_bytes} bytes", path.display());
        return Err(TransportError::new(TransportErrorKind::TooLarge, Phase::Body, detail));
    }
    check_one_message(path, &message)?;
    Ok(message)
}

/// An [`Exchange`] over a directory that travels: requests go to `<name>-<n>-request.pki`, answers are expected in
/// `<name>-<n>-answer.pki`, n counting from 1.
///
/// An exchange whose answer is not there yet ends with [`TransportErrorKind::Busy`]. Repeated with the same bytes,
/// also by another process after a reboot, it finds its own request file again and looks for the answer once more.
#[derive(Clone, Debug)]
pub struct FileExchange {
    directory: PathBuf,
    name: String,
}

/// Most messages of one transaction kept in a directory: the search for a free number must end.
const MAX_MESSAGES: u32 = 10_000;

impl FileExchange {
    /// Over an existing directory. The name keeps transactions apart: letters, digits, `.`, `_`, `-`.
    pub fn new(directory: impl Into<PathBuf>, name: &str) -> Result<Self, TransportError> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(is_plain) {
            let detail =
                format!("{} is not a name of 1 to 64 letters, digits, '.', '_', '-'", crate::words::quoted(name));
            return Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail));
        }
        Ok(FileExchange { directory: directory.into(), name: name.to_owned() })
    }

    /// Where the n-th request is written, n from 1.
    pub fn request_path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}-{number}-request.{EXTENSION}", self.name))
    }

    /// Where the answer to the n-th request is expected.
    pub fn answer_path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}-{number}-answer.{EXTENSION}", self.name))
    }

    /// The number under which this request stands, or is to stand. What lies there is read only where it has this request's
    /// length: whoever had the medium puts there what he likes, as often as he likes.
    fn number_of(&self, request: &[u8], limits: &ExchangeLimits) -> Result<(u32, bool), TransportError> {
        for number in 1..=MAX_MESSAGES {
            check_cancelled(limits)?;
            let path = self.request_path(number);
            match std::fs::metadata(&path) {
                // Another request of the transaction, or a damaged one: its number is taken.
                Ok(found) if found.len() != request.len() as u64 => continue,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((number, false)),
                Ok(_) | Err(_) => {}
            }
            match read_message(&path, request.len()) {
                Ok(earlier) if earlier == request => return Ok((number, true)),
                Err(e) if e.kind == TransportErrorKind::Busy => return Ok((number, false)),
                Ok(_) | Err(_) => {}
            }
        }
        let detail = format!("{} holds {MAX_MESSAGES} requests named {}", self.directory.display(), self.name);
        Err(TransportError::new(TransportErrorKind::Limit, Phase::Prepare, detail))
    }
}

fn check_cancelled(limits: &ExchangeLimits) -> Result<(), TransportError> {
    if limits.is_cancelled() {
        return Err(TransportError::new(TransportErrorKind::Cancelled, Phase::Prepare, "cancelled by the caller"));
    }
    Ok(())
}

impl Exchange for FileExchange {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        check_cancelled(limits)?;
        let (number, is_there) = self.number_of(request, limits)?;
        if !is_there {
            write_message(&self.request_path(number), request)?;
        }
        let body = read_message(&self.answer_path(number), limits.max_reply_bytes)?;
        Ok(Reply { is_carried: true, ..Reply::from_body(body) })
    }

    fn is_carried(&self) -> bool {
        true
    }
}

fn check_extension(path: &Path) -> Result<(), TransportError> {
    // RFC 9483 6.4.1: the filename extension ".pki" must be used.
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case(EXTENSION)) {
        return Ok(());
    }
    let detail = format!("{}: the name of a message file ends with .{EXTENSION}", path.display());
    Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail))
}

fn check_one_message(path: &Path, message: &[u8]) -> Result<(), TransportError> {
    use crate::asn1::der::Cursor;
    use crate::asn1::not_der::as_text;
    // RFC 9483 6.4.1: one DER message only, no header or trailer around it. A line end that an editor has put behind it is
    // read over with the message.
    let length = Cursor::new(message, "PKIMessage").ok().and_then(|cursor| cursor.first_element_length());
    let is_one = length
        .is_some_and(|length| message[length..].iter().all(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n')));
    let text = as_text(message, "one PKIMessage").map(|error| error.to_string());
    let found = match shape_of(message) {
        Shape::Sequence if is_one => return Ok(()),
        Shape::Sequence => "bytes behind the message".to_owned(),
        Shape::CutShort { expected_len } => format!("{} bytes of {expected_len}", message.len()),
        Shape::Other => text.unwrap_or_else(|| "something else".to_owned()),
    };
    let detail = format!("{}: expected exactly one DER message, found {found}", path.display());
    Err(TransportError::new(TransportErrorKind::ContentType, Phase::Body, detail))
}
