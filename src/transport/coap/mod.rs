//! CMP over CoAP (RFC 9482): a confirmable POST in blocks, over UDP or whatever carries datagrams.
//!
//! CoAP has no secrecy here: DTLS (`coaps`) is the business of the [`Datagrams`] that a program brings. Never multicast
//! (RFC 9482 section 2.5), no observation of announcements.

mod message;
mod transfer;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

pub use transfer::{Next, Transfer};

use super::error::{Phase, TransportError, TransportErrorKind};
use super::url::{Scheme, Url};
use super::{Exchange, ExchangeLimits, Reply};
use crate::crypto::default_provider;

/// How often a wait looks at the cancel flag.
const WAIT_SLICE: Duration = Duration::from_millis(50);

/// Room for one datagram: a block of 1024 bytes with its options, and more than any server should send.
const MAX_DATAGRAM_BYTES: usize = 4096;

/// Settings of CoAP. Timing as RFC 7252 section 4.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoapConfig {
    /// Largest block sent, and wished for: 16, 32, ... 1024 bytes.
    pub block_bytes: u16,
    /// Time until the first repetition of a message, up to half of it more at random; each further one takes twice as
    /// long.
    pub ack_timeout: Duration,
    /// How often a message is repeated.
    pub max_retransmit: u32,
    /// Take only the content-format of RFC 9482.
    pub strict_content_type: bool,
}

impl Default for CoapConfig {
    fn default() -> Self {
        CoapConfig {
            block_bytes: 1024,
            ack_timeout: Duration::from_secs(2),
            max_retransmit: 4,
            strict_content_type: false,
        }
    }
}

/// Carries datagrams to one server and back.
pub trait Datagrams: Send + Sync {
    /// Sends one.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Waits for one from the server and writes it to `buffer`; its length, or `None` if nothing came in time. What does
    /// not fit may be cut.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>>;
}

/// The built-in CoAP client: one server.
pub struct CoapExchange {
    url: Url,
    config: CoapConfig,
    datagrams: Option<Box<dyn Datagrams>>,
    next_id: Option<u16>,
}

impl CoapExchange {
    /// For the server at `url` (`coap://host[:port]/path`), over UDP. The address is looked up at the first exchange.
    pub fn new(url: &str, config: CoapConfig) -> Result<Self, TransportError> {
        let url = Url::parse(url)?;
        if url.scheme() != Scheme::Coap {
            return Err(invalid(format!("{url}: expected coap://")));
        }
        Ok(CoapExchange { url, config, datagrams: None, next_id: None })
    }

    /// The same over the caller's own datagrams.
    pub fn over(url: &str, config: CoapConfig, datagrams: Box<dyn Datagrams>) -> Result<Self, TransportError> {
        Ok(CoapExchange { datagrams: Some(datagrams), ..Self::new(url, config)? })
    }

    fn perform(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let random = random()?;
        let first_id = *self.next_id.get_or_insert(u16::from_be_bytes([random[10], random[11]]));
        let [head @ .., _, _] = random;
        let mut transfer = Transfer::new(&self.url, request, &self.config, limits, first_id, head)?;
        let datagrams = match &mut self.datagrams {
            Some(datagrams) => datagrams,
            empty => empty.insert(Box::new(Udp::connect(&self.url)?)),
        };
        let started = Instant::now();
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        let outcome = loop {
            let now = started.elapsed();
            if limits.is_cancelled() {
                break Err(stopped(&transfer, TransportErrorKind::Cancelled, "cancelled by the caller".to_owned()));
            }
            let moved = match transfer.next(now) {
                Next::Done(outcome) => break *outcome,
                _ if now >= limits.total_timeout => {
                    let words = format!("the exchange was not complete within {:?}", limits.total_timeout);
                    break Err(stopped(&transfer, TransportErrorKind::Timeout, words));
                }
                Next::Send(datagram) => datagrams.send(&datagram).map(|()| None),
                Next::Wait(until) => {
                    let wait = until.min(limits.total_timeout).saturating_sub(now).min(WAIT_SLICE);
                    datagrams.receive(&mut buffer, wait.max(Duration::from_millis(1)))
                }
            };
            match moved {
                Ok(Some(count)) => transfer.receive(started.elapsed(), &buffer[..count.min(MAX_DATAGRAM_BYTES)]),
                Ok(None) => {}
                Err(e) => break Err(broken(&transfer, &e)),
            }
        };
        self.next_id = Some(transfer.next_id());
        outcome
    }
}

impl Exchange for CoapExchange {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let outcome = self.perform(request, limits);
        outcome.map_err(|e| TransportError { detail: format!("{}: {}", self.url, e.detail), ..e })
    }
}

impl fmt::Debug for CoapExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoapExchange").field("url", &self.url).field("config", &self.config).finish_non_exhaustive()
    }
}

/// UDP to one server; the system lets no one else's datagrams in.
struct Udp(UdpSocket);

impl Udp {
    fn connect(url: &Url) -> Result<Self, TransportError> {
        let failed =
            |phase, e: &dyn fmt::Display| TransportError::new(TransportErrorKind::Connect, phase, e.to_string());
        let addresses = (url.host(), url.port()).to_socket_addrs().map_err(|e| failed(Phase::Resolve, &e))?;
        let mut last = failed(Phase::Resolve, &"the host has no address");
        for address in addresses {
            if is_multicast(address.ip()) {
                // RFC 9482 section 2.5.
                return Err(invalid("a multicast address; CMP has one server".to_owned()));
            }
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let bound = UdpSocket::bind(SocketAddr::new(any, 0));
            match bound.and_then(|socket| socket.connect(address).map(|()| socket)) {
                Ok(socket) => return Ok(Udp(socket)),
                Err(e) => last = failed(Phase::Connect, &format!("{address}: {e}")),
            }
        }
        Err(last)
    }
}

impl Datagrams for Udp {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        self.0.set_read_timeout(Some(wait))?;
        match self.0.recv(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(e),
            },
        }
    }
}

fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

fn random() -> Result<[u8; 12], TransportError> {
    let mut bytes = [0; 12];
    match default_provider().random(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(e) => Err(TransportError::new(TransportErrorKind::Broken, Phase::Prepare, e.to_string())),
    }
}

fn stopped(transfer: &Transfer, kind: TransportErrorKind, words: String) -> TransportError {
    let is_possibly_delivered = transfer.is_possibly_delivered();
    TransportError { is_possibly_delivered, ..TransportError::new(kind, transfer.phase(), words) }
}

fn broken(transfer: &Transfer, error: &io::Error) -> TransportError {
    // A program's own datagrams may bring an error of their own.
    if let Some(known) = error.get_ref().and_then(|e| e.downcast_ref::<TransportError>()) {
        return known.clone();
    }
    match error.kind() {
        // The host says that nobody listens there.
        io::ErrorKind::ConnectionRefused => {
            let made = TransportError::new(TransportErrorKind::Connect, Phase::Connect, error.to_string());
            TransportError { is_possibly_delivered: false, ..made }
        }
        _ => stopped(transfer, TransportErrorKind::Broken, error.to_string()),
    }
}

fn invalid(detail: String) -> TransportError {
    TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail)
}
