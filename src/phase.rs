//! Where in an operation something failed: what decisions go by, and what errors tell.

/// With a message and its answer, or how far an exchange of no operation had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A message was to be made or sent, or its answer looked at: the number of its body's tag (RFC 9810 section 5.1.2).
    Message(u8),
    /// An exchange by itself.
    Exchange(ExchangePhase),
}

impl Phase {
    /// For people and logs: `ir`, `certConf`, `connect`.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Message(tag) => body_name(tag),
            Phase::Exchange(phase) => phase.name(),
        }
    }
}

impl From<ExchangePhase> for Phase {
    fn from(phase: ExchangePhase) -> Self {
        Phase::Exchange(phase)
    }
}

/// The standard's name of a body, by the number of its tag.
pub(crate) const fn body_name(tag: u8) -> &'static str {
    const NAMES: [&str; 27] = [
        "ir", "ip", "cr", "cp", "p10cr", "popdecc", "popdecr", "kur", "kup", "krr", "krp", "rr", "rp", "ccr", "ccp",
        "ckuann", "cann", "rann", "crlann", "pkiconf", "nested", "genm", "genp", "error", "certConf", "pollReq",
        "pollRep",
    ];
    if (tag as usize) < NAMES.len() { NAMES[tag as usize] } else { "an unknown body" }
}

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExchangePhase {
    /// Before anything was done.
    Prepare = 0,
    /// Looking up the address.
    Resolve = 1,
    /// Connecting.
    Connect = 2,
    /// Asking a proxy for a tunnel, and the TLS handshake.
    Tls = 3,
    /// Sending the request.
    Send = 4,
    /// Waiting for the answer to begin, up to the end of its header.
    Await = 5,
    /// Reading the answer's body.
    Body = 6,
}

impl ExchangePhase {
    /// For people and logs.
    pub const fn name(self) -> &'static str {
        match self {
            ExchangePhase::Prepare => "prepare",
            ExchangePhase::Resolve => "resolve",
            ExchangePhase::Connect => "connect",
            ExchangePhase::Tls => "tls",
            ExchangePhase::Send => "send",
            ExchangePhase::Await => "await",
            ExchangePhase::Body => "body",
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn from_number(number: u8) -> Self {
        use ExchangePhase::{Await, Body, Connect, Prepare, Resolve, Send, Tls};
        const ALL: [ExchangePhase; 7] = [Prepare, Resolve, Connect, Tls, Send, Await, Body];
        ALL[usize::from(number).min(6)]
    }
}
