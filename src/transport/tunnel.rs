//! A tunnel through an HTTP proxy (RFC 9110 section 9.3.6): what is behind it is TLS, which the proxy cannot read.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use zeroize::Zeroizing;

use super::error::{Party, Phase, TransportError, TransportErrorKind};

/// Longest header of a proxy's answer, in bytes.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Asks the proxy at the other end of `stream` for a connection to `host`. Whatever fails is the proxy's matter.
pub(super) fn open(
    stream: &TcpStream,
    host: &str,
    port: u16,
    authorization: Option<&String>,
    deadline: Option<Instant>,
) -> io::Result<()> {
    ask(stream, host, port, authorization, deadline).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => e,
        _ if e.get_ref().is_some_and(|known| known.is::<TransportError>()) => e,
        _ => refused(
            TransportErrorKind::Connect,
            format!("the proxy broke the connection off when it was asked for a tunnel: {e}"),
        ),
    })
}

fn ask(
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
    for _ in 0..=MAX_INTERIM {
        let answer = read_answer(stream, deadline)?;
        return match answer.status {
            // RFC 9110 section 15.2: interim answers come before the final one.
            100..=199 => continue,
            200..=299 => Ok(()),
            407 => Err(answer.failure(TransportErrorKind::HttpStatus, &answer.wanted_login())),
            status @ (429 | 503) => {
                let words = format!("the proxy is busy ({status}) and does not connect to {authority} now");
                Err(answer.failure(TransportErrorKind::Busy, &words))
            }
            _ => {
                let words = format!("the proxy does not connect to {authority}");
                Err(answer.failure(TransportErrorKind::HttpStatus, &words))
            }
        };
    }
    let words = format!("the proxy sent more than {MAX_INTERIM} interim answers");
    Err(refused(TransportErrorKind::Broken, words))
}

/// Most interim answers before the final one.
const MAX_INTERIM: usize = 16;

/// The header of a proxy's answer.
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
}

impl Answer {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// RFC 9110 section 11.7.1: which ways to log in the proxy knows.
    fn wanted_login(&self) -> String {
        let schemes: Vec<&str> =
            self.values("proxy-authenticate").filter_map(|value| value.split([' ', ',']).next()).collect();
        match schemes.is_empty() {
            true => "the proxy asks for a user name and a password".to_owned(),
            false => format!("the proxy asks for a login by {}; Basic is what can be set here", schemes.join(", ")),
        }
    }

    fn failure(&self, kind: TransportErrorKind, words: &str) -> io::Error {
        // RFC 9110 section 10.2.3; the form with a date needs a clock.
        let seconds =
            self.values("retry-after").next().filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
        io::Error::other(TransportError {
            status: Some(self.status),
            party: Party::Proxy,
            retry_after_seconds: seconds.map(|value| value.parse().unwrap_or(u32::MAX)),
            ..TransportError::new(kind, Phase::Tls, words)
        })
    }
}

/// Reads the proxy's header and not a byte more: what follows belongs to TLS. Lines may end with LF alone (RFC 9112
/// section 2.2).
fn read_answer(mut stream: &TcpStream, deadline: Option<Instant>) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
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
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    // "HTTP/1.1 200 Connection established"
    let mut words = lines.next().unwrap_or_default().split(' ');
    let status = match (words.next(), words.next().map(str::as_bytes)) {
        (Some(version), Some([a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']))
            if version.starts_with("HTTP/1.") =>
        {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    };
    let status =
        status.ok_or_else(|| refused(TransportErrorKind::Broken, "the proxy does not answer in HTTP/1".to_owned()))?;
    let fields = lines.filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Ok(Answer { status, fields })
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

fn refused(kind: TransportErrorKind, words: String) -> io::Error {
    io::Error::other(TransportError { party: Party::Proxy, ..TransportError::new(kind, Phase::Tls, words) })
}
