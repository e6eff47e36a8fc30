//! CMP over CoAP (RFC 9482): a confirmable POST in blocks, over UDP or whatever carries datagrams.
//!
//! CoAP has no secrecy here: DTLS (`coaps`) is the business of the [`Datagrams`] that a program brings. Never multicast
//! (RFC 9482 section 2.5), no observation of announcements.

mod message;
mod transfer;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use transfer::{Next, Transfer};

use super::error::{Party, Phase, TransportError, TransportErrorKind};
use super::resolve::{Resolve, SystemResolver, look_up};
use super::url::{Scheme, Url};
use super::{Exchange, ExchangeLimits, Reply};
use crate::crypto::default_provider;
use crate::defaults::with_defaults;

/// How often a wait looks at the cancel flag.
const WAIT_SLICE: Duration = Duration::from_millis(50);

/// Room for one datagram: a block of 1024 bytes with its options, and more than any server should send.
const MAX_DATAGRAM_BYTES: usize = 4096;

with_defaults! {
    /// Settings of CoAP. Timing as RFC 7252 section 4.8.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CoapConfig {
        /// Largest block sent, and wished for: 16, 32, ... 1024 bytes.
        pub block_bytes: u16 = 1024,
        /// Time until the first repetition of a message, up to half of it more at random; each further one takes twice as
        /// long.
        pub ack_timeout: Duration = Duration::from_secs(2),
        /// How often a message is repeated.
        pub max_retransmit: u32 = 4,
        /// Take only the content-format of RFC 9482.
        pub strict_content_type: bool,
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
    way: CoapWay,
    next_id: Option<u16>,
}

/// How datagrams get to the server.
enum CoapWay {
    /// Over UDP, to the addresses that the resolver finds.
    Udp { resolver: Arc<dyn Resolve>, known: Vec<SocketAddr>, good: Option<SocketAddr> },
    /// By the caller's own means.
    Own(Box<dyn Datagrams>),
}

impl CoapExchange {
    /// For the server at `url` (`coap://host[:port]/path`), over UDP. The address is looked up at the first exchange.
    pub fn new(url: &str, config: CoapConfig) -> Result<Self, TransportError> {
        let url = Url::parse(url)?;
        if url.scheme() != Scheme::Coap {
            return Err(invalid(format!("{url}: expected coap://")));
        }
        let way = CoapWay::Udp { resolver: Arc::new(SystemResolver), known: Vec::new(), good: None };
        Ok(CoapExchange { url, config, way, next_id: None })
    }

    /// With a resolver of the caller's.
    #[must_use]
    pub fn resolving_with(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.way = CoapWay::Udp { resolver, known: Vec::new(), good: None };
        self
    }

    /// The same over the caller's own datagrams.
    pub fn over(url: &str, config: CoapConfig, datagrams: Box<dyn Datagrams>) -> Result<Self, TransportError> {
        Ok(CoapExchange { way: CoapWay::Own(datagrams), ..Self::new(url, config)? })
    }

    fn perform(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let started = Instant::now();
        let CoapExchange { url, config, way, next_id } = self;
        let mut attempt = Attempt { url, request, limits, started, next_id };
        let (resolver, known, good) = match way {
            CoapWay::Own(datagrams) => return attempt.over(&mut **datagrams, config).1,
            CoapWay::Udp { resolver, known, good } => (resolver, known, good),
        };
        if known.is_empty() {
            *known = addresses(url, resolver, limits)?;
        }
        let mut failures: Vec<String> = Vec::new();
        let mut is_possibly_delivered = false;
        let mut last = None;
        for (index, address) in known.iter().enumerate() {
            let is_trusted = index + 1 == known.len() || *good == Some(*address);
            // Others are given up after one repetition: a host that is half dead is not to cost a minute at each message.
            let most = if is_trusted { config.max_retransmit } else { config.max_retransmit.min(1) };
            let config = CoapConfig { max_retransmit: most, ..config.clone() };
            let (was_heard, outcome) = match Udp::connect(*address) {
                Ok(mut udp) => attempt.over(&mut udp, &config),
                Err(error) => (false, Err(error)),
            };
            let error = match outcome {
                Err(error) if !was_heard && may_be_elsewhere(&error) && started.elapsed() < limits.total_timeout => {
                    error
                }
                outcome => {
                    *good = was_heard.then_some(*address);
                    if was_heard {
                        known[..=index].rotate_right(1);
                    }
                    return outcome;
                }
            };
            is_possibly_delivered |= error.is_possibly_delivered;
            failures.push(format!("{address}: {}", error.detail));
            last = Some(error);
        }
        // It may have moved.
        (*known, *good) = (Vec::new(), None);
        let last = last.expect("a host has an address");
        Err(TransportError { detail: failures.join("; "), is_possibly_delivered, ..last })
    }
}

/// One exchange with a server that may have several addresses.
struct Attempt<'a> {
    url: &'a Url,
    request: &'a [u8],
    limits: &'a ExchangeLimits,
    started: Instant,
    next_id: &'a mut Option<u16>,
}

impl Attempt<'_> {
    /// With one address; and whether anything was heard from there.
    fn over(&mut self, datagrams: &mut dyn Datagrams, config: &CoapConfig) -> (bool, Result<Reply, TransportError>) {
        let made = random().and_then(|random| {
            let first_id = *self.next_id.get_or_insert(u16::from_be_bytes([random[10], random[11]]));
            let [head @ .., _, _] = random;
            Transfer::new(self.url, self.request, config, self.limits, first_id, head)
        });
        let mut transfer = match made {
            Ok(transfer) => transfer,
            Err(error) => return (false, Err(error)),
        };
        let (limits, begun) = (self.limits, self.started.elapsed());
        let started = self.started;
        let now_of = || started.elapsed().saturating_sub(begun);
        let left = limits.total_timeout.saturating_sub(begun);
        let mut was_heard = false;
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        let outcome = loop {
            let now = now_of();
            if limits.is_cancelled() {
                break Err(stopped(&transfer, TransportErrorKind::Cancelled, "cancelled by the caller".to_owned()));
            }
            let moved = match transfer.next(now) {
                Next::Done(outcome) => break *outcome,
                _ if now >= left => {
                    let words = format!(
                        "the exchange was not complete within {}",
                        crate::words::duration(limits.total_timeout)
                    );
                    break Err(stopped(&transfer, TransportErrorKind::Timeout, words));
                }
                Next::Send(datagram) => datagrams.send(&datagram).map(|()| None),
                Next::Wait(until) => {
                    let wait = until.min(left).saturating_sub(now).min(WAIT_SLICE);
                    datagrams.receive(&mut buffer, wait.max(Duration::from_millis(1)))
                }
            };
            match moved {
                Ok(Some(count)) => {
                    was_heard = true;
                    transfer.receive(now_of(), &buffer[..count.min(MAX_DATAGRAM_BYTES)]);
                }
                Ok(None) => {}
                Err(e) => break Err(broken(&transfer, &e)),
            }
        };
        *self.next_id = Some(transfer.next_id());
        (was_heard, outcome)
    }
}

/// Whether another address of the host may do better: nobody was there, or nothing came from there.
fn may_be_elsewhere(error: &TransportError) -> bool {
    matches!(error.kind, TransportErrorKind::Connect | TransportErrorKind::Timeout | TransportErrorKind::Broken)
}

/// Within the connect timeout.
fn addresses(
    url: &Url,
    resolver: &Arc<dyn Resolve>,
    limits: &ExchangeLimits,
) -> Result<Vec<SocketAddr>, TransportError> {
    let found = look_up(resolver, url.host(), url.port(), Some(limits.connect_timeout), &|| limits.is_cancelled());
    let found = found.map_err(|error| {
        let kind = match error.kind() {
            _ if limits.is_cancelled() => TransportErrorKind::Cancelled,
            io::ErrorKind::TimedOut => TransportErrorKind::Timeout,
            _ => TransportErrorKind::Connect,
        };
        TransportError::new(kind, Phase::Resolve, error.to_string())
    })?;
    // RFC 9482 section 2.5.
    match found.iter().any(|address| is_multicast(address.ip())) {
        true => Err(invalid("a multicast address; CMP has one server".to_owned())),
        false => Ok(found),
    }
}

impl Exchange for CoapExchange {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let outcome = self.perform(request, limits);
        let party = |own| if own == Party::Program { own } else { Party::CoapServer };
        outcome.map_err(|e| TransportError {
            detail: format!("{}: {}", self.url, e.detail),
            party: party(e.party),
            ..e
        })
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
    fn connect(address: SocketAddr) -> Result<Self, TransportError> {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let bound = UdpSocket::bind(SocketAddr::new(any, 0));
        let connected = bound.and_then(|socket| socket.connect(address).map(|()| socket));
        let failed = |e: io::Error| TransportError::new(TransportErrorKind::Connect, Phase::Connect, e.to_string());
        connected.map(Udp).map_err(failed)
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
