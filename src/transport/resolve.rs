//! Addresses of hosts, found within the limits of an exchange.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::limits::moment_in;

/// How often a look-up looks at the cancel flag.
const SLICE: Duration = Duration::from_millis(20);

/// Most addresses of one host that are tried.
pub(super) const MAX_ADDRESSES: usize = 16;

/// Finds a host's addresses. A caller may pin addresses, ask DNS in its own way or in its own thread.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of `host` (never an address literal), best first. Should end within `timeout`.
    fn resolve(&self, host: &str, port: u16, timeout: Option<Duration>) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the operating system. The built-in clients ask every [`Resolve`] in a helper thread, so that their timeouts and their
/// cancel flag hold for the look-up too; one that is given up lingers in its thread until the system ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16, _timeout: Option<Duration>) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.take(MAX_ADDRESSES).collect())
    }
}

/// Asks the operating system in a helper thread, so that the connect timeout holds for the look-up too. A look-up that
/// is given up lingers in its thread until the system ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadResolver;

impl Resolve for ThreadResolver {
    fn resolve(&self, host: &str, port: u16, timeout: Option<Duration>) -> io::Result<Vec<SocketAddr>> {
        let Some(timeout) = timeout else { return SystemResolver.resolve(host, port, None) };
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let host = host.to_owned();
        std::thread::Builder::new().name("devid-resolve".to_owned()).spawn(move || {
            let _ = sender.send(SystemResolver.resolve(&host, port, None));
        })?;
        receiver.recv_timeout(timeout).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The addresses of a host, an address literal included, at least one. In a thread of its own where the system's resolver may
/// take longer than the caller allows: what the system says in the end is lost then.
pub(super) fn look_up(
    resolver: &Arc<dyn Resolve>,
    host: &str,
    port: u16,
    timeout: Option<Duration>,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let (beside, name) = (resolver.clone(), host.to_owned());
    let asked = std::thread::Builder::new().name("devid-resolve".to_owned()).spawn(move || {
        let _ = sender.send(beside.resolve(&name, port, timeout));
    });
    if asked.is_err() {
        return some_of(host, resolver.resolve(host, port, timeout)?);
    }
    let end = timeout.map(moment_in);
    loop {
        let left = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left.min(SLICE)) {
            Ok(outcome) => return some_of(host, outcome?),
            Err(_) if is_cancelled() => return Err(cancelled()),
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
            Err(RecvTimeoutError::Timeout) => {
                let words = format!("looking up the address of {host} took too long");
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other(format!("looking up the address of {host} ended without an answer")));
            }
        }
    }
}

fn some_of(host: &str, mut addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    addresses.truncate(MAX_ADDRESSES);
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"))),
        false => Ok(addresses),
    }
}

pub(super) fn cancelled() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled by the caller")
}
