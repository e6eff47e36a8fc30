//! CRLs and certificates from a directory: the `ldap:` URLs that stand in cRLDistributionPoints and authorityInfoAccess (RFC 5280
//! sections 4.2.1.13 and 4.2.2.1, RFC 4516, RFC 4523).
//!
//! One anonymous search on a connection of its own, and no more of LDAP than that: no bind, no referrals, no TLS (what comes is
//! signed, and judged by whoever asked). The crates for LDAP were looked at: `ldap3_proto` and `ldap3` bring an asynchronous
//! runtime, `rasn-ldap` a second ASN.1 library of 300 KB, `lber` reads elements alone, without a bound on what a peer announces. A
//! search and its answer are four structures.
//!
//! | file | |
//! | --- | --- |
//! | `url` | what a URL asks for |
//! | `filter` | search filters in text (RFC 4515) |
//! | `message` | the request and its answers |

mod filter;
mod message;
mod url;

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use url::{LdapUrl, is_ldap};

use self::message::{Found, Message, limit};
use super::connection::Link;
use super::error::{Party, Phase, TransportError, TransportErrorKind};
use super::fetched::{Document, Fetched};
use super::http::HttpConfig;
use super::race::race;
use super::{ExchangeLimits, tunnel};
use crate::asn1::pem;
use crate::limits::moment_in;

/// Most messages of one answer: entries, references, the end.
const MAX_MESSAGES: u32 = 32;

/// LDAP, and the global catalog of Active Directory.
const PORTS: [u16; 2] = [389, 3268];

const OWN_WORD: &str = "it is asked where the host is allowed or is the directory of the settings";

/// What a URL names, if it is there and is one thing of its kind, or several that stand for one another.
///
/// Where to ask is a stranger's choice: a port that is no directory's, and this machine and its link, only by the word of the
/// device's owner (`is_own`).
pub(super) fn fetch(
    url: &LdapUrl,
    is_own: bool,
    network: &HttpConfig,
    limits: &ExchangeLimits,
) -> Result<Fetched, TransportError> {
    let is_own = is_own || url.is_own;
    if !is_own && !PORTS.contains(&url.port) {
        let words = format!("{} is not a port of directories (389, 3268); {OWN_WORD}", url.port);
        return Err(about(url, limit(words)));
    }
    let link = Link::new(Arc::clone(&network.resolver), None, None, None);
    link.begin(limits.cancel.as_ref());
    let mut line = Line::open(url, is_own, network, limits, &link).map_err(|error| about(url, error))?;
    let found = line.search(url, limits.max_reply_bytes).map_err(|error| about(url, error))?;
    // The server notices that it may close. Whether it does is its own affair.
    let _ = line.send(&message::UNBIND);
    document(url, found)
}

fn about(url: &LdapUrl, mut error: TransportError) -> TransportError {
    error.detail = format!("{url}: {}", error.detail);
    error.party = Party::Directory;
    // A search changes nothing, however often it comes.
    error.is_possibly_delivered = false;
    error
}

/// One value as it is; several in PEM, which every reader of lists and certificates takes.
fn document(url: &LdapUrl, found: Found) -> Result<Fetched, TransportError> {
    let values = found.values;
    let bytes = match &values[..] {
        [] => {
            let others = match found.other_attributes.is_empty() {
                true => String::new(),
                false => format!("; what came instead: {}", found.other_attributes.join(", ")),
            };
            let words = match found.entries {
                0 => "the directory has no such entry, or shows it to nobody unknown".to_owned(),
                _ => {
                    let asked: Vec<&str> = url.attributes.iter().map(|attribute| attribute.name).collect();
                    format!("the entry has no attribute {}{others}", asked.join(" and no "))
                }
            };
            return Err(about(url, broken(Phase::Body, words)));
        }
        [(_, one)] => one.clone(),
        several => {
            several.iter().flat_map(|(label, value)| pem::encode(label, value).bytes().collect::<Vec<_>>()).collect()
        }
    };
    Ok(Fetched::Document(Document { bytes, url: url.to_string(), ..Document::default() }))
}

/// A connection to a directory, within the limits of one exchange.
struct Line<'a> {
    stream: Arc<TcpStream>,
    link: &'a Link,
    deadline: Instant,
    read_timeout: Duration,
}

impl<'a> Line<'a> {
    fn open(
        url: &LdapUrl,
        is_own: bool,
        network: &HttpConfig,
        limits: &ExchangeLimits,
        link: &'a Link,
    ) -> Result<Self, TransportError> {
        let deadline = moment_in(limits.total_timeout);
        let connected_by = deadline.min(moment_in(limits.connect_timeout));
        let left = || connected_by.saturating_duration_since(Instant::now());
        // Where a proxy stands before the network, it is the way to the directory too.
        let (host, port) = match &network.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (url.host.as_str(), url.port),
        };
        let failed = |phase| move |error: io::Error| io_error(&error, phase, link);
        link.enter(Phase::Resolve);
        let addresses = link.addresses(host, port, Some(left())).map_err(failed(Phase::Resolve))?;
        if !is_own && network.proxy.is_none() && addresses.iter().any(|address| is_near(address.ip())) {
            return Err(limit(format!("the URL leads to this machine or its own link; {OWN_WORD}")));
        }
        link.enter(Phase::Connect);
        let stream = race(&addresses, Some(connected_by), &|| link.is_cancelled()).map_err(|error| {
            let error = error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"));
            io_error(&error, Phase::Connect, link)
        })?;
        let stream = Arc::new(stream);
        link.register(&stream);
        if network.proxy.is_some() {
            let login = network.proxy_authorization.as_deref();
            tunnel::open(&stream, &url.host, url.port, login, Some(connected_by)).map_err(failed(Phase::Tls))?;
        }
        Ok(Line { stream, link, deadline, read_timeout: limits.read_timeout })
    }

    /// Asks, and reads what comes up to the end of the answer.
    fn search(&mut self, url: &LdapUrl, max_bytes: usize) -> Result<Found, TransportError> {
        let seconds = self.deadline.saturating_duration_since(Instant::now()).as_secs().max(1);
        self.link.enter(Phase::Send);
        self.send(&message::search(url, seconds))?;
        let (mut found, mut left) = (Found::default(), max_bytes);
        for _ in 0..MAX_MESSAGES {
            let bytes = self.receive(left)?;
            left -= bytes.len();
            match Message::read(&bytes).ok_or_else(|| broken(Phase::Body, "an answer that is not one of LDAP"))? {
                Message::Entry(entry) => found.take(&entry, url),
                // RFC 4511 section 4.5.3: elsewhere, a stranger's choice.
                Message::Reference(place) => found.reference = found.reference.or(place),
                Message::Intermediate => {}
                Message::Done(result) => return found.ended(&result),
                Message::Notice(words) => return Err(message::disconnected(&words)),
            }
        }
        Err(limit(format!("more than {MAX_MESSAGES} messages in one answer")))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), TransportError> {
        let left = self.left(Phase::Send)?;
        self.stream.set_write_timeout(Some(left)).map_err(|e| io_error(&e, Phase::Send, self.link))?;
        (&*self.stream).write_all(bytes).map_err(|e| io_error(&e, Phase::Send, self.link))
    }

    /// One message, whose length is judged before it is read.
    fn receive(&self, left: usize) -> Result<Vec<u8>, TransportError> {
        let mut bytes = vec![0; 2];
        self.link.enter(Phase::Await);
        self.fill(&mut bytes, Phase::Await)?;
        self.link.enter(Phase::Body);
        if bytes[0] != 0x30 {
            let found = match bytes[..] {
                [b'H', b'T'] => "one of HTTP".to_owned(),
                [0x15 | 0x16, 3] => "one of TLS, which is not spoken to directories".to_owned(),
                [first, second] if first.is_ascii_graphic() && second.is_ascii_graphic() => "text".to_owned(),
                _ => format!("a message that begins with the octets {:02x} {:02x}", bytes[0], bytes[1]),
            };
            return Err(broken(Phase::Body, format!("expected an answer of LDAP, found {found}")));
        }
        let length = match bytes[1] {
            short @ 0..=0x7f => usize::from(short),
            long @ 0x81..=0x84 => {
                bytes.resize(2 + usize::from(long & 0x7f), 0);
                self.fill(&mut bytes[2..], Phase::Body)?;
                bytes[2..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return Err(broken(Phase::Body, "a length that LDAP does not have (RFC 4511 section 5.1)")),
        };
        let header = bytes.len();
        if length > left.saturating_sub(header) {
            let words = format!("an answer of {length} bytes, of which {left} are left within the limit");
            return Err(TransportError::new(TransportErrorKind::TooLarge, Phase::Body, words));
        }
        // As much as came, not as much as was announced.
        while bytes.len() < header + length {
            let start = bytes.len();
            bytes.resize((start + 64 * 1024).min(header + length), 0);
            self.fill(&mut bytes[start..], Phase::Body)?;
        }
        Ok(bytes)
    }

    fn fill(&self, mut buffer: &mut [u8], phase: Phase) -> Result<(), TransportError> {
        while !buffer.is_empty() {
            let left = self.left(phase)?.min(self.read_timeout);
            self.stream.set_read_timeout(Some(left)).map_err(|e| io_error(&e, phase, self.link))?;
            match (&*self.stream).read(buffer) {
                Ok(0) => {
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
                    return Err(io_error(&error, phase, self.link));
                }
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(&error, phase, self.link)),
            }
        }
        Ok(())
    }

    /// Time that is left, if any is.
    fn left(&self, phase: Phase) -> Result<Duration, TransportError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io_error(&io::ErrorKind::TimedOut.into(), phase, self.link)),
            false => Ok(left),
        }
    }
}

/// Whether an address is of this machine or reaches no further than its link.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_unspecified() || v4.is_link_local() || v4.is_broadcast() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.segments()[0] & 0xffc0 == 0xfe80
        }
    }
}

fn io_error(error: &io::Error, phase: Phase, link: &Link) -> TransportError {
    use TransportErrorKind as Kind;
    if link.is_cancelled() {
        return TransportError::new(Kind::Cancelled, phase, "cancelled by the caller");
    }
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<TransportError>()) {
        return inner.clone();
    }
    let (kind, words) = match (error.kind(), phase) {
        (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Phase::Resolve | Phase::Connect) => {
            (Kind::Timeout, "no connection in time".to_owned())
        }
        (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, _) => (Kind::Timeout, "no answer in time".to_owned()),
        (_, Phase::Resolve | Phase::Connect) => (Kind::Connect, error.to_string()),
        (io::ErrorKind::UnexpectedEof, Phase::Await) => {
            (Kind::Broken, "the server closed the connection without an answer".to_owned())
        }
        _ => (Kind::Broken, error.to_string()),
    };
    TransportError::new(kind, phase, words)
}

fn broken(phase: Phase, words: impl Into<String>) -> TransportError {
    TransportError::new(TransportErrorKind::Broken, phase, words)
}
