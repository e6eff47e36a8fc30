//! Which of a server's addresses a connection is made to.

use std::io;
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::time::Duration;
use std::time::Instant;

#[cfg(unix)]
use super::resolve::cancelled;

/// How often a connection attempt looks at the cancel flag.
#[cfg(unix)]
const CONNECT_SLICE: Duration = Duration::from_millis(20);

/// How long an address is alone before the next one is tried beside it (RFC 8305 section 8).
#[cfg(unix)]
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// RFC 8305 section 5: each address a little after the one before, or as soon as that failed; the first to answer is taken,
/// and the attempts of the others end.
#[cfg(unix)]
pub(super) fn race(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<TcpStream, Option<io::Error>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::sockopt::socket_error;

    let mut waiting = addresses.iter();
    let mut running = Vec::new();
    let mut last = None;
    let mut next_at = Instant::now();
    loop {
        if is_cancelled() {
            return Err(Some(cancelled()));
        }
        let now = Instant::now();
        if running.is_empty() || now >= next_at {
            if let Some(address) = waiting.next() {
                match begin(*address) {
                    Ok(socket) => running.push((socket, *address)),
                    Err(e) => last = Some(io::Error::new(e.kind(), format!("{address}: {e}"))),
                }
                next_at = now + NEXT_ADDRESS_AFTER;
                continue;
            }
        }
        if running.is_empty() {
            return Err(last);
        }
        let left = deadline.map_or(CONNECT_SLICE, |d| d.saturating_duration_since(now));
        if left.is_zero() {
            return Err(Some(io::ErrorKind::TimedOut.into()));
        }
        let slice = Timespec { tv_sec: 0, tv_nsec: left.min(CONNECT_SLICE).as_nanos() as _ };
        let mut polled: Vec<PollFd<'_>> =
            running.iter().map(|(socket, _)| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut polled, Some(&slice)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Some(e.into())),
        }
        let is_ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        for index in (0..is_ready.len()).rev().filter(|index| is_ready[*index]) {
            let (socket, address) = running.remove(index);
            let outcome = socket_error(&socket).and_then(|state| state);
            match outcome {
                Ok(()) => {
                    let stream = TcpStream::from(socket);
                    stream.set_nonblocking(false).map_err(Some)?;
                    return Ok(stream);
                }
                Err(e) => last = Some(io::Error::new(io::Error::from(e).kind(), format!("{address}: {e}"))),
            }
        }
    }
}

/// A socket that is about to connect.
#[cfg(unix)]
fn begin(address: SocketAddr) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}

/// One after the other; each gets an equal share of the time that is left.
#[cfg(not(unix))]
pub(super) fn race(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<TcpStream, Option<io::Error>> {
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let share = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Instant::now() + left / (addresses.len() - tried) as u32
        });
        match connect_one(*address, share) {
            Ok(stream) => return Ok(stream),
            Err(e) if is_cancelled() => return Err(Some(e)),
            Err(e) => last = Some(io::Error::new(e.kind(), format!("{address}: {e}"))),
        }
    }
    Err(last)
}

#[cfg(not(unix))]
fn connect_one(address: SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
    match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
        Some(left) if left.is_zero() => Err(io::ErrorKind::TimedOut.into()),
        Some(left) => TcpStream::connect_timeout(&address, left),
        None => TcpStream::connect(address),
    }
}
