//! How bytes travel: one request out, one answer back, over HTTP, through files, or by whatever the caller brings.
//!
//! Messages are bytes here; certificates and keys occur in [`tls`] alone. An [`Exchange`] carries one CMP message and returns the answer's
//! bytes; a [`Fetch`] gets a CRL, a certificate or an OCSP response by URL. Both are traits, so that a host may bring
//! its own network stack. Failures are [`TransportError`]s with every fact that is known.

#[cfg(feature = "http")]
mod chunks;
#[cfg(feature = "coap")]
pub mod coap;
#[cfg(feature = "http")]
mod connection;
mod diagnosis;
mod error;
pub mod fetch;
mod fetched;
pub mod file;
#[cfg(feature = "http")]
mod head;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
mod http_call;
#[cfg(feature = "ldap")]
mod ldap;
#[cfg(feature = "http")]
mod race;
#[cfg(any(feature = "http", feature = "coap"))]
mod resolve;
pub mod tls;
#[cfg(feature = "http")]
mod tunnel;
mod url;
#[cfg(feature = "http")]
mod wire;
#[cfg(feature = "http")]
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::defaults::with_defaults;

#[cfg(feature = "coap")]
pub use coap::{CoapConfig, CoapExchange};
pub use diagnosis::diagnose;
pub use error::{Cause, Party, Phase, TransportError, TransportErrorKind};
pub use fetch::{Fetch, FetchFn, FetchRequest, Fetched};
#[cfg(feature = "http")]
pub use http::{HttpConfig, HttpExchange};
#[cfg(feature = "http")]
pub use http_call::HttpCall;
#[cfg(any(feature = "http", feature = "coap"))]
pub use resolve::{Resolve, SystemResolver, ThreadResolver};
pub use tls::TlsConfig;
pub use url::{Scheme, Url, well_known_url};

/// Carries one CMP message to a server and brings its answer.
///
/// An implementation keeps what serves the next exchange with the same server (a connection), and nothing else.
/// It repeats a request only on a new connection, and only if a kept one broke before a byte of the answer came: nearly
/// always the server closed it while idle. A CMP server recognises the rare true repetition by its transactionID.
pub trait Exchange {
    /// Sends `request` (the DER of one PKIMessage) and waits for the answer within `limits`.
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError>;

    /// Whether people carry the messages: an answer may be days old when it comes, and tells no present. A connection does not.
    fn is_carried(&self) -> bool {
        false
    }
}

impl<E: Exchange + ?Sized> Exchange for &mut E {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        (**self).exchange(request, limits)
    }

    fn is_carried(&self) -> bool {
        (**self).is_carried()
    }
}

impl<E: Exchange + ?Sized> Exchange for Box<E> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        (**self).exchange(request, limits)
    }

    fn is_carried(&self) -> bool {
        (**self).is_carried()
    }
}

/// Makes an [`Exchange`] of a closure: the caller's own way to the server.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeFn<F>(pub F);

impl<F> Exchange for ExchangeFn<F>
where
    F: FnMut(&[u8], &ExchangeLimits) -> Result<Reply, TransportError>,
{
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        (self.0)(request, limits)
    }
}

with_defaults! {
    /// What a server may make one exchange cost.
    #[derive(Clone, Debug)]
    pub struct ExchangeLimits {
        /// For finding the server's address and connecting to it. Never unlimited: a host that swallows packets would hold
        /// the caller for minutes.
        pub connect_timeout: Duration = Duration::from_secs(15),
        /// For each single wait for bytes from the server, or for room to send more.
        pub read_timeout: Duration = Duration::from_secs(60),
        /// For the whole exchange, a reconnection included. A server that drips bytes ends here.
        pub total_timeout: Duration = Duration::from_secs(120),
        /// Largest answer accepted, in bytes.
        pub max_reply_bytes: usize = crate::limits::Limits::default().max_message_bytes,
        /// Ends the exchange from another thread.
        pub cancel: Option<Cancel>,
    }
}

impl ExchangeLimits {
    /// Whether the caller has cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }
}

/// A server's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The body: by all that this module can see, a PKIMessage.
    pub body: Vec<u8>,
    /// HTTP status; an answer may come with 4xx and 5xx (RFC 9811 section 3.1). `None` where there is no HTTP.
    pub status: Option<u16>,
    /// Content-Type as it came.
    pub content_type: Option<String>,
    /// The content type is not the one of RFC 9811 section 3.2; taken because the body is a DER SEQUENCE. Worth a
    /// warning.
    pub content_type_is_unusual: bool,
    /// The exchange used a connection kept from an earlier one.
    pub connection_was_reused: bool,
    /// It came by TLS from a server that was authenticated and that asked for the client's certificate and got it.
    pub is_mutually_authenticated: bool,
    /// People carried it, who may have mixed up two files and may have taken days: one that is no answer to the message does not end
    /// the operation, and a messageTime of the past says nothing against the clock.
    pub is_carried: bool,
}

impl Reply {
    /// An answer that did not come by HTTP.
    pub fn from_body(body: Vec<u8>) -> Self {
        Reply { body, ..Reply::default() }
    }
}

/// A flag that ends exchanges from another thread, at once, also when they are blocked on a socket. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Default)]
struct CancelState {
    is_cancelled: AtomicBool,
    watchers: Mutex<Vec<Weak<dyn Interrupt>>>,
}

impl std::fmt::Debug for CancelState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CancelState").field(&self.is_cancelled).finish()
    }
}

/// Something that blocks and can be woken by [`Cancel::cancel`].
pub trait Interrupt: Send + Sync {
    /// Makes blocking calls return soon. Called in the cancelling thread; must not block.
    fn interrupt(&self);
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every exchange that was given this flag, and all that will be. Returns at once.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        let watchers = std::mem::take(&mut *self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner));
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.interrupt();
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Calls `watcher` when the flag is set; at once if it is set already. For transports that callers write.
    pub fn watch(&self, watcher: Weak<dyn Interrupt>) {
        {
            let mut watchers = self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|w| w.strong_count() > 0 && !Weak::ptr_eq(w, &watcher));
            watchers.push(watcher);
        }
        if self.is_cancelled() {
            self.cancel();
        }
    }
}

/// How a body looks from outside: this module does not decode messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One DER SEQUENCE, perhaps with bytes behind it (which is for the decoder to refuse).
    Sequence,
    /// The beginning of a DER SEQUENCE that says it is this long.
    CutShort { expected_len: usize },
    /// Nothing of that kind.
    Other,
}

/// Looks at tag and length only.
fn shape_of(body: &[u8]) -> Shape {
    let (header_len, content_len) = match body {
        [0x30, length @ 0..=0x7f, ..] => (2usize, usize::from(*length)),
        [0x30, count @ 0x81..=0x84, rest @ ..] => {
            let count = usize::from(count & 0x7f);
            if rest.len() < count {
                return Shape::CutShort { expected_len: 2 + count };
            }
            (2 + count, rest[..count].iter().fold(0, |n, b| n << 8 | usize::from(*b)))
        }
        [0x30] => return Shape::CutShort { expected_len: 2 },
        _ => return Shape::Other,
    };
    match header_len.checked_add(content_len) {
        Some(expected_len) if expected_len > body.len() => Shape::CutShort { expected_len },
        _ => Shape::Sequence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_sequence_from_its_last_byte_on_and_not_before() {
        for content_len in [0usize, 1, 127, 128, 255, 256, 70_000] {
            let whole = crate::asn1::der::element(0x30, &[&vec![5; content_len]]);
            for end in [0, 1, 2, 3, 4, whole.len() / 2, whole.len() - 1] {
                let end = end.min(whole.len() - 1);
                let expected = if end == 0 { Shape::Other } else { shape_of(&whole[..end]) };
                assert_ne!(shape_of(&whole[..end]), Shape::Sequence, "{content_len} cut at {end}");
                assert!(end == 0 || matches!(expected, Shape::CutShort { .. }));
            }
            assert_eq!(shape_of(&whole), Shape::Sequence);
        }
        assert_eq!(shape_of(b"<html>"), Shape::Other);
        assert_eq!(shape_of(&[0x30, 0x80, 0, 0]), Shape::Other, "indefinite length is not DER");
        assert_eq!(shape_of(&[0x30, 0x85, 1, 1, 1, 1, 1]), Shape::Other, "nothing here is longer than 4 GiB");
    }

    #[test]
    fn cancelling_wakes_watchers_that_came_before_and_after() {
        struct Bell(AtomicBool);
        impl Interrupt for Bell {
            fn interrupt(&self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (early, late) = (Arc::new(Bell(AtomicBool::new(false))), Arc::new(Bell(AtomicBool::new(false))));
        let cancel = Cancel::new();
        let watch = |bell: &Arc<Bell>| {
            let weak: Weak<Bell> = Arc::downgrade(bell);
            cancel.clone().watch(weak);
        };

        watch(&early);
        assert!(!early.0.load(Ordering::SeqCst));
        cancel.cancel();
        watch(&late);

        assert!(early.0.load(Ordering::SeqCst) && late.0.load(Ordering::SeqCst));
    }
}
