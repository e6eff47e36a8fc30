//! TCP connections for the HTTP client, with TLS on top where the URL says so.
//!
//! What the HTTP library's own connector does not do is done here: a connection attempt can be cancelled, a request
//! leaves in one piece, an answer that comes while the request is still being sent is read, a proxy is spoken to in
//! absolute form, and how far the exchange has come is known when it fails.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use zeroize::Zeroizing;

use super::error::{Phase, TransportError};
use super::head::Head;
use super::race::race;
use super::resolve::{MAX_ADDRESSES, Resolve, cancelled, look_up};
use super::tls::{Session, TlsClient};
use super::url::Url;
use super::{Cancel, Interrupt, tunnel};
use crate::limits::moment_in;

/// Requests up to this size leave in one write; some small servers read header and body with one call.
const MAX_COALESCED_BYTES: usize = 64 * 1024;

/// What one HTTP client knows about its connections and the exchange in progress; shared with the canceller.
pub(super) struct Link {
    phase: AtomicU8,
    has_received: AtomicBool,
    is_fresh: AtomicBool,
    is_mutual: AtomicBool,
    is_in_tunnel: AtomicBool,
    cancel: Mutex<Option<Cancel>>,
    sockets: Mutex<Vec<Weak<TcpStream>>>,
    known: Mutex<Option<(String, Vec<SocketAddr>)>>,
    resolver: Arc<dyn Resolve>,
    tls: Option<TlsClient>,
    proxy: Option<Url>,
    proxy_authorization: Option<Zeroizing<String>>,
}

impl Link {
    pub(super) fn new(
        resolver: Arc<dyn Resolve>,
        tls: Option<TlsClient>,
        proxy: Option<Url>,
        proxy_authorization: Option<Zeroizing<String>>,
    ) -> Arc<Self> {
        Arc::new(Link {
            phase: AtomicU8::new(0),
            has_received: AtomicBool::new(false),
            is_fresh: AtomicBool::new(false),
            is_mutual: AtomicBool::new(false),
            is_in_tunnel: AtomicBool::new(false),
            cancel: Mutex::default(),
            sockets: Mutex::default(),
            known: Mutex::default(),
            resolver,
            tls,
            proxy,
            proxy_authorization,
        })
    }

    /// Begins an exchange.
    pub(super) fn begin(self: &Arc<Self>, cancel: Option<&Cancel>) {
        self.enter(Phase::Prepare);
        self.has_received.store(false, Ordering::Relaxed);
        self.is_fresh.store(false, Ordering::Relaxed);
        self.is_mutual.store(false, Ordering::Relaxed);
        self.is_in_tunnel.store(false, Ordering::Relaxed);
        *lock(&self.cancel) = cancel.cloned();
        if let Some(cancel) = cancel {
            let link: Weak<Link> = Arc::downgrade(self);
            cancel.watch(link);
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Relaxed))
    }

    /// Whether any byte of an answer came in the exchange.
    pub(super) fn has_received(&self) -> bool {
        self.has_received.load(Ordering::Relaxed)
    }

    /// Whether the exchange made its connection itself.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed)
    }

    /// Whether the exchange's connection is one of TLS in which both sides showed their certificates.
    pub(super) fn is_mutual(&self) -> bool {
        self.is_mutual.load(Ordering::Relaxed)
    }

    /// The next exchange makes a connection of its own: what is kept is over.
    pub(super) fn close_kept(&self) {
        self.interrupt();
    }

    /// Whether it is the proxy that is waited for, and not the server behind it.
    pub(super) fn is_about_proxy(&self) -> bool {
        self.proxy.is_some() && (self.phase() <= Phase::Connect || self.is_in_tunnel.load(Ordering::Relaxed))
    }

    /// Looks the address up again next time: the server may have moved.
    pub(super) fn forget_addresses(&self) {
        *lock(&self.known) = None;
    }

    /// The address that answered comes first next time.
    fn prefer(&self, good: SocketAddr) {
        if let Some((_, addresses)) = &mut *lock(&self.known) {
            if let Some(position) = addresses.iter().position(|address| *address == good) {
                addresses[..=position].rotate_right(1);
            }
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.cancel).as_ref().is_some_and(Cancel::is_cancelled)
    }

    pub(super) fn register(&self, stream: &Arc<TcpStream>) {
        let mut sockets = lock(&self.sockets);
        sockets.retain(|s| s.strong_count() > 0);
        sockets.push(Arc::downgrade(stream));
    }

    pub(super) fn addresses(&self, host: &str, port: u16, timeout: Option<Duration>) -> io::Result<Vec<SocketAddr>> {
        let name = format!("{host}:{port}");
        if let Some((known, addresses)) = &*lock(&self.known) {
            if *known == name {
                return Ok(addresses.clone());
            }
        }
        let addresses = look_up(&self.resolver, host, port, timeout, &|| self.is_cancelled())?;
        *lock(&self.known) = Some((name, addresses.clone()));
        Ok(addresses)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("phase", &self.phase()).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Interrupt for Link {
    fn interrupt(&self) {
        for socket in lock(&self.sockets).iter().filter_map(Weak::upgrade) {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// The HTTP library's resolver: literals, what is known already, then the caller's [`Resolve`].
#[derive(Debug)]
pub(super) struct LinkResolver(pub(super) Arc<Link>);

impl Resolver for LinkResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.enter(Phase::Resolve);
        let (host, port) = match &self.0.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => target(uri)?,
        };
        let addresses = self.0.addresses(host, port, timeout.not_zero().map(|d| *d))?;
        let mut out = self.empty();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            out.push(address);
        }
        Ok(out)
    }
}

/// Makes the connections of one [`Link`].
#[derive(Debug)]
pub(super) struct LinkConnector(pub(super) Arc<Link>);

impl Connector for LinkConnector {
    type Out = LinkTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<LinkTransport>, ureq::Error> {
        let link = &self.0;
        link.enter(Phase::Connect);
        let deadline = details.timeout.not_zero().map(|d| moment_in(*d));
        let stream = Arc::new(connect_any(&details.addrs, deadline, link)?);
        stream.set_nodelay(true)?;
        link.register(&stream);
        if link.is_cancelled() {
            return Err(cancelled().into());
        }
        link.is_fresh.store(true, Ordering::Relaxed);
        let session = match details.needs_tls() {
            true => Some(Box::new(self.secure(details, &stream, deadline)?)),
            false => None,
        };
        // A tunnel is no proxy any more.
        let prefix = link.proxy.as_ref().filter(|_| session.is_none()).map(|_| {
            let authority = details.uri.authority().map_or("", |a| a.as_str());
            format!("http://{authority}")
        });
        Ok(Some(LinkTransport {
            stream,
            session,
            buffers: LazyBuffers::new(16 * 1024, 16 * 1024),
            pending: Vec::new(),
            send_error: None,
            prefix,
            begins_request: true,
            head: Head::default(),
            ready: Vec::new(),
            link: link.clone(),
            read_timeout: None,
            write_timeout: None,
        }))
    }
}

impl LinkConnector {
    /// A tunnel where there is a proxy, then TLS.
    fn secure(
        &self,
        details: &ConnectionDetails,
        stream: &TcpStream,
        deadline: Option<Instant>,
    ) -> Result<Session, ureq::Error> {
        let link = &self.0;
        link.enter(Phase::Tls);
        let (host, port) = target(details.uri)?;
        let outcome = match &link.proxy {
            Some(_) => {
                link.is_in_tunnel.store(true, Ordering::Relaxed);
                tunnel::open(stream, host, port, link.proxy_authorization.as_deref(), deadline)
            }
            None => Ok(()),
        };
        if outcome.is_ok() {
            link.is_in_tunnel.store(false, Ordering::Relaxed);
        }
        let tls = link.tls.as_ref().ok_or(ureq::Error::TlsRequired)?;
        let outcome = outcome.and_then(|()| tls.connect(host, stream, deadline));
        let session = outcome.map_err(|e| match is_timeout(&e) {
            true => ureq::Error::Timeout(Timeout::Connect),
            false => e.into(),
        })?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok(session)
    }
}

/// Host, an IPv6 address without its brackets, and port of a URL.
fn target(uri: &Uri) -> Result<(&str, u16), ureq::Error> {
    let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Ok((host.trim_start_matches('[').trim_end_matches(']'), uri.port_u16().unwrap_or(default_port)))
}

/// One TCP connection.
pub(super) struct LinkTransport {
    stream: Arc<TcpStream>,
    session: Option<Box<Session>>,
    buffers: LazyBuffers,
    /// Written by the HTTP library, not yet sent.
    pending: Vec<u8>,
    /// Sending failed; an answer may be there all the same (a server that refuses early closes its side).
    send_error: Option<io::Error>,
    /// Scheme and authority, put before the path where a proxy is asked (RFC 9112 section 3.2.2).
    prefix: Option<String>,
    begins_request: bool,
    head: Head,
    /// The answer's header in plain form, and what came behind it, as far as it is not passed on.
    ready: Vec<u8>,
    link: Arc<Link>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl LinkTransport {
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() || self.send_error.is_some() {
            return Ok(());
        }
        let timeout = timeout.for_write();
        let wanted = timeout.not_zero().map(|d| *d);
        if wanted != self.write_timeout {
            self.stream.set_write_timeout(wanted)?;
            self.write_timeout = wanted;
        }
        let written = match &mut self.session {
            Some(session) => session.write_all(&self.stream, &pending),
            None => (&*self.stream).write_all(&pending),
        };
        match written {
            Ok(()) => Ok(()),
            Err(e) if is_timeout(&e) => Err(ureq::Error::Timeout(timeout.reason)),
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.send_error = Some(e);
                Ok(())
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Answers how many bytes are ready; `None`: something came, and the header is not whole yet.
    fn receive(&mut self, timeout: NextTimeout) -> Result<Option<usize>, ureq::Error> {
        let timeout = timeout.for_read();
        let end = timeout.not_zero().map(|d| moment_in(*d));
        let mut left = timeout.not_zero().map(|d| *d);
        loop {
            let free = self.buffers.input_append_buf();
            if free.is_empty() {
                return Err(ureq::Error::LargeResponseHeader(0, 0));
            }
            if !self.ready.is_empty() {
                let count = self.ready.len().min(free.len());
                free[..count].copy_from_slice(&self.ready[..count]);
                self.ready.drain(..count);
                return Ok(Some(count));
            }
            if left != self.read_timeout {
                self.stream.set_read_timeout(left)?;
                self.read_timeout = left;
            }
            let mut piece = [0; 4096];
            let into = if self.head.changes_nothing() { free } else { &mut piece[..] };
            let outcome = match &mut self.session {
                Some(session) => session.read(&self.stream, into),
                None => (&*self.stream).read(into),
            };
            match outcome {
                Ok(0) if self.head.is_past() => return Ok(Some(0)),
                Ok(0) => return Err(io::Error::other(self.head.ended()).into()),
                Ok(count) if self.head.changes_nothing() => return Ok(Some(count)),
                Ok(count) => {
                    self.ready = self.head.pass(&piece[..count]).map_err(io::Error::other)?;
                    if self.ready.is_empty() && !self.head.is_past() {
                        return Ok(None);
                    }
                    // Within a body "nothing" would mean its end.
                    left = end.map(|end| end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    left = end.map(|end| end.saturating_duration_since(Instant::now()));
                    if left.is_some_and(|l| l.is_zero()) {
                        return Err(ureq::Error::Timeout(timeout.reason));
                    }
                }
                Err(e) if is_timeout(&e) => return Err(ureq::Error::Timeout(timeout.reason)),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Transport for LinkTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.link.enter(Phase::Send);
        self.link.is_mutual.store(self.session.as_ref().is_some_and(|s| s.is_mutual()), Ordering::Relaxed);
        let output = &self.buffers.output()[..amount];
        match &self.prefix {
            // The request line comes first and whole: "POST /path HTTP/1.1".
            Some(prefix) if self.begins_request => {
                let target = output.iter().position(|b| *b == b' ').map_or(0, |p| p + 1);
                self.pending.extend_from_slice(&output[..target]);
                self.pending.extend_from_slice(prefix.as_bytes());
                self.pending.extend_from_slice(&output[target..]);
            }
            _ => self.pending.extend_from_slice(output),
        }
        self.begins_request = false;
        self.head = Head::default();
        self.ready.clear();
        if self.pending.len() > MAX_COALESCED_BYTES { self.flush(timeout) } else { Ok(()) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if !self.begins_request {
            self.flush(timeout)?;
            self.begins_request = true;
        }
        if self.link.phase() < Phase::Await {
            self.link.enter(Phase::Await);
        }
        let received = self.receive(timeout);
        let count = match (received, self.send_error.take()) {
            // What the server said in TLS before it closed its side tells more than that it did.
            (Err(ureq::Error::Io(e)), Some(_)) if e.get_ref().is_some_and(|e| e.is::<TransportError>()) => {
                return Err(e.into());
            }
            (Ok(Some(0)) | Err(ureq::Error::Io(_)), Some(send_error)) => return Err(send_error.into()),
            (received, _) => received?,
        };
        let Some(count) = count else {
            self.link.has_received.store(true, Ordering::Relaxed);
            return Ok(true);
        };
        if count > 0 {
            self.link.has_received.store(true, Ordering::Relaxed);
        }
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        // A kept connection must be silent: bytes nobody asked for, an end or an error make it unusable.
        let session = &mut self.session;
        let mut is_silent = |mut stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let silent = match session {
                Some(session) => session.is_silent(stream),
                None => matches!(stream.read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock),
            };
            stream.set_nonblocking(false)?;
            Ok(silent)
        };
        self.ready.is_empty() && is_silent(&self.stream).unwrap_or(false)
    }

    fn is_tls(&self) -> bool {
        self.session.is_some()
    }
}

impl Drop for LinkTransport {
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.close(&self.stream);
        }
    }
}

impl fmt::Debug for LinkTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTransport").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

/// Tries the addresses, and has the one that answered come first next time.
fn connect_any(addresses: &[SocketAddr], deadline: Option<Instant>, link: &Link) -> Result<TcpStream, ureq::Error> {
    match race(addresses, deadline, &|| link.is_cancelled()) {
        Ok(stream) => {
            if let Ok(good) = stream.peer_addr() {
                link.prefer(good);
            }
            Ok(stream)
        }
        Err(Some(e)) if !link.is_cancelled() && is_timeout(&e) => Err(ureq::Error::Timeout(Timeout::Connect)),
        Err(Some(e)) => Err(e.into()),
        Err(None) => Err(ureq::Error::HostNotFound),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
