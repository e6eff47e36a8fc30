//! A tunnel through an HTTP proxy (RFC 9110 section 9.3.6): what is behind it is TLS, which the proxy cannot read.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use zeroize::Zeroizing;

use super::error::{Phase, TransportError, TransportErrorKind};

/// Longest header of a proxy's answer, in bytes.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Asks the proxy at the other end of `stream` for a connection to `host`.
pub(super) fn open(
    stream: &TcpStream,
    host: &str,
    port: u16,
    authorization: Option<&String>,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Zeroizing::new(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"));
    if let Some(value) = authorization {
        if value.contains(['\r', '\n']) {
            return Err(refused(
                TransportErrorKind::Invalid,
                "the proxy's authorization holds a line break".to_owned(),
            ));
        }
        request.push_str("Proxy-Authorization: ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    wait_until(stream, deadline)?;
    (&*stream).write_all(request.as_bytes())?;
    match read_status(stream, deadline)? {
        200..=299 => Ok(()),
        407 => Err(with_status(407, "the proxy asks for a user name and a password")),
        status => Err(with_status(status, &format!("the proxy does not connect to {authority}"))),
    }
}

/// Reads the proxy's header and not a byte more: what follows belongs to TLS.
fn read_status(mut stream: &TcpStream, deadline: Option<Instant>) -> io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEADER_BYTES {
            let words = format!("the proxy's header is larger than {MAX_HEADER_BYTES} bytes");
            return Err(refused(TransportErrorKind::TooLarge, words));
        }
        wait_until(stream, deadline)?;
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => {
                let words = "the proxy closed the connection when it was asked for a tunnel".to_owned();
                return Err(refused(TransportErrorKind::Connect, words));
            }
            Ok(_) => head.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    // "HTTP/1.1 200 Connection established"
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let status = match (words.next(), words.next()) {
        (Some(version), Some([a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']))
            if version.starts_with(b"HTTP/1.") =>
        {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    };
    status.ok_or_else(|| refused(TransportErrorKind::Broken, "the proxy does not answer in HTTP/1".to_owned()))
}

fn wait_until(stream: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
    let Some(deadline) = deadline else { return Ok(()) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))
}

fn with_status(status: u16, words: &str) -> io::Error {
    io::Error::other(TransportError {
        status: Some(status),
        ..TransportError::new(TransportErrorKind::HttpStatus, Phase::Tls, words)
    })
}

fn refused(kind: TransportErrorKind, words: String) -> io::Error {
    io::Error::other(TransportError::new(kind, Phase::Tls, words))
}
