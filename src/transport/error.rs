//! Why an exchange failed, with every fact that is known.

use std::fmt;
use std::io;

use crate::codes::Code;
use crate::error::Error;
pub use crate::phase::ExchangePhase as Phase;

/// Why an exchange or a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// What went wrong.
    pub kind: TransportErrorKind,
    /// How far it had come.
    pub phase: Phase,
    /// HTTP status, once one was received.
    pub status: Option<u16>,
    /// Content-Type of the answer.
    pub content_type: Option<String>,
    /// Seconds the server asks to wait. Only the form in seconds: the other one needs a clock.
    pub retry_after_seconds: Option<u32>,
    /// Where a redirect pointed that was not followed.
    pub location: Option<Box<str>>,
    /// The server may have received the whole request: a certificate may have been issued, a repetition may be refused.
    pub is_possibly_delivered: bool,
    /// Who it is about.
    pub party: Party,
    /// What is known of the cause beyond its kind: what helps goes by it.
    pub cause: Option<Cause>,
    /// The server's certificate, or what is said of its revocation, was refused for its time alone: by a clock that is wrong, perhaps.
    pub is_about_time: bool,
    /// The server's own words in a body that is no message; nobody vouches for them.
    pub server_words: Option<String>,
    /// For people: expectation, finding, place.
    pub detail: String,
}

/// What went wrong with an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The URL, a header or another setting cannot be used.
    Invalid,
    /// Not built in.
    Unsupported,
    /// No address, or no connection to it.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// An HTTP status other than success, without a message in the body.
    HttpStatus,
    /// The answer is of another type than the one that belongs here.
    ContentType,
    /// A deadline passed.
    Timeout,
    /// The answer or its header is larger than the limit.
    TooLarge,
    /// The server asks to come back later (429, 503), or the answer's file is not there yet.
    Busy,
    /// The caller cancelled.
    Cancelled,
    /// The connection broke, or the server does not speak the protocol.
    Broken,
    /// A configured count of requests, hosts or redirects is used up.
    Limit,
    /// A file could not be read or written.
    File,
    /// The caller's own transport failed, with its own code.
    Application(i32),
}

/// What is known of the cause of a failure beyond its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing listens at the host and port.
    NothingListens,
    /// The server ended the connection before a byte of its answer came, and was not spoken to by TLS.
    ClosedUnanswered,
    /// What answers does not speak HTTP.
    NotHttp,
    /// What answers speaks TLS, and was spoken to by HTTP alone.
    TlsForHttp,
    /// What answers does not speak TLS.
    NotTls,
    /// The server ended the handshake by an alert, or sent what ends it, for another reason than those below.
    TlsRefused,
    /// The server wants a client certificate, and none is set.
    ClientCertificateMissing,
    /// The server wants a client certificate by algorithms that the key of the one at hand does not have.
    ClientCertificateUnfit,
    /// The server does not take the client certificate.
    ClientCertificateRefused,
    /// The server's certificate is not taken, by this code of the report on it.
    ServerCertificate(Code),
    /// The server's certificate has a path, and nothing on it is pinned.
    ServerNotPinned,
    /// What people carry has not come back.
    StillUnderWay,
    /// The answer had begun, and the connection ended before all of it was there.
    CutShort,
}

/// Who a failure is about: whose rules it goes by, and who can mend it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Party {
    /// A server that is asked by HTTP, or nobody in particular.
    #[default]
    Server,
    /// The HTTP proxy before it.
    Proxy,
    /// A server that is asked by CoAP.
    CoapServer,
    /// A directory that is asked by LDAP.
    Directory,
    /// The caller's own transport.
    Program,
}

impl TransportErrorKind {
    /// The kind that a public code stands for; `None` for codes that are about something else.
    pub fn from_code(code: Code) -> Option<Self> {
        Some(match code {
            Code::Connect => TransportErrorKind::Connect,
            Code::Tls => TransportErrorKind::Tls,
            Code::HttpStatus => TransportErrorKind::HttpStatus,
            Code::ContentType => TransportErrorKind::ContentType,
            Code::Timeout => TransportErrorKind::Timeout,
            Code::Busy => TransportErrorKind::Busy,
            Code::Cancelled => TransportErrorKind::Cancelled,
            Code::Transport => TransportErrorKind::Broken,
            _ => return None,
        })
    }
}

impl TransportError {
    /// With what went wrong and words for people; the other facts unknown.
    pub fn new(kind: TransportErrorKind, phase: Phase, detail: impl Into<String>) -> Self {
        TransportError {
            kind,
            phase,
            status: None,
            content_type: None,
            retry_after_seconds: None,
            location: None,
            is_about_time: false,
            server_words: None,
            party: Party::Server,
            cause: None,
            is_possibly_delivered: phase >= Phase::Send,
            detail: detail.into(),
        }
    }

    /// The caller's own transport failed; `code` is its own, at or below -10000.
    pub fn application(code: i32, detail: impl Into<String>) -> Self {
        TransportError {
            is_possibly_delivered: true,
            party: Party::Program,
            ..Self::new(TransportErrorKind::Application(code), Phase::Await, detail)
        }
    }

    pub(super) fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(TransportErrorKind::File, Phase::Prepare, format!("{what} {}: {error}", path.display()))
    }

    /// Whether the server, or what stands before it, was reached and has answered, by something that cannot be believed or is no
    /// message: asking again meets the same answer.
    fn was_answered(&self) -> bool {
        match self.kind {
            TransportErrorKind::Tls => self.cause.is_some(),
            TransportErrorKind::HttpStatus => !self.status.is_some_and(is_passing),
            // A success without a message; another service at this port. An answer that is not whole may come whole the next time.
            TransportErrorKind::Broken => match self.cause {
                Some(Cause::NotHttp | Cause::TlsForHttp) => true,
                Some(Cause::CutShort) => false,
                _ => self.status.is_some_and(|status| (200..300).contains(&status)),
            },
            TransportErrorKind::ContentType | TransportErrorKind::TooLarge => true,
            _ => false,
        }
    }

    /// The public code.
    pub fn code(&self) -> Code {
        match self.kind {
            TransportErrorKind::Invalid => Code::InvalidArgument,
            TransportErrorKind::Unsupported => Code::Unsupported,
            TransportErrorKind::Connect => Code::Connect,
            TransportErrorKind::Tls => Code::Tls,
            TransportErrorKind::HttpStatus => Code::HttpStatus,
            TransportErrorKind::ContentType => Code::ContentType,
            TransportErrorKind::Timeout => Code::Timeout,
            TransportErrorKind::TooLarge => Code::TooLarge,
            TransportErrorKind::Busy => Code::Busy,
            TransportErrorKind::Cancelled => Code::Cancelled,
            TransportErrorKind::Broken | TransportErrorKind::File => Code::Transport,
            TransportErrorKind::Limit => Code::Limit,
            TransportErrorKind::Application(_) => Code::Application,
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detail)?;
        if let Some(words) = &self.server_words {
            write!(f, "; the server says, not authenticated: \"{words}\"")?;
        }
        let mut facts = Vec::new();
        facts.extend(self.status.map(|s| format!("HTTP status {s}")));
        facts.extend(self.content_type.as_ref().map(|t| format!("content type {t}")));
        facts.extend(self.retry_after_seconds.map(|s| format!("retry after {s} s")));
        facts.extend(self.location.as_ref().map(|l| format!("location {l}")));
        if self.phase > Phase::Prepare {
            facts.push(format!("phase {}", self.phase.name()));
        }
        if facts.is_empty() { Ok(()) } else { write!(f, " ({})", facts.join(", ")) }
    }
}

impl std::error::Error for TransportError {}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        let message = error.to_string();
        let rule = rule_of(&error);
        let was_answered = error.was_answered();
        let public = match error.kind {
            TransportErrorKind::Application(code) => Error::application(code, message),
            _ => Error::new(error.code(), message),
        };
        let public = public.with(|facts| {
            facts.http_status = error.status;
            facts.server_texts.extend(error.server_words.clone());
            facts.retry_after_seconds = error.retry_after_seconds;
            facts.phase = Some(error.phase.into());
            facts.was_answered = was_answered;
            if let Some((requirement, expected, hint)) = rule {
                facts.requirement = Some(requirement);
                facts.expected = Some(expected.to_owned());
                facts.hint = hint;
            }
        });
        public.with_source(error)
    }
}

/// Whether an HTTP status may be another one at the next call (RFC 9110 section 15, RFC 6585 sections 4 and 6, RFC 8470 section 5.2).
const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599) && !matches!(status, 501 | 505 | 511)
}

/// The rule that is broken, what it asks for, and what may help, where that is not said by HTTP's rules for servers.
fn rule_of(error: &TransportError) -> Option<(&'static str, &'static str, Option<&'static str>)> {
    use TransportErrorKind as Kind;
    Some(match (error.party, error.kind) {
        (Party::Proxy, Kind::Connect | Kind::Timeout)
            if error.phase <= Phase::Connect || error.kind == Kind::Timeout =>
        {
            let hint = match error.cause {
                Some(Cause::NothingListens) => {
                    "nothing listens at the proxy's host and port: set_proxy (devid_config_set_proxy, ca.proxy.url) says which they are; without it the server is asked directly"
                }
                _ => {
                    "it is the proxy that is not reached or does not answer, and nobody has asked the server yet: set_proxy (devid_config_set_proxy, ca.proxy.url) says where it is; without it the server is asked directly"
                }
            };
            ("RFC 9110 section 3.7", "a connection to the HTTP proxy", Some(hint))
        }
        (Party::Proxy, Kind::HttpStatus) => {
            let hint = match error.status {
                Some(407) => Some("set the login of the proxy"),
                _ => Some("the proxy decides where it connects to: ask its owner, or go without it"),
            };
            ("RFC 9110 section 9.3.6", "a tunnel through the proxy (2xx to CONNECT)", hint)
        }
        (Party::Proxy, Kind::Busy) => {
            ("RFC 9110 section 15.6.4", "a tunnel through the proxy, not a request to come back", None)
        }
        (Party::Proxy, _) => ("RFC 9110 section 9.3.6", "a proxy that answers CONNECT in HTTP/1", None),
        (Party::CoapServer, Kind::HttpStatus) => {
            let hint = error.status.filter(|status| *status == 404);
            ("RFC 9482 section 2.3", "2.04 (Changed) with a PKIMessage", hint.map(|_| "the server has no such path"))
        }
        (Party::CoapServer, Kind::ContentType) => {
            ("RFC 9482 section 5", "the content-format application/pkixcmp (259)", None)
        }
        (Party::CoapServer, Kind::Busy) => ("RFC 7252 section 5.9.3.4", "an answer, not a request to come back", None),
        (Party::CoapServer, Kind::Timeout) => {
            ("RFC 7252 section 4.2", "an acknowledgement and an answer in time", None)
        }
        (Party::Directory, Kind::Invalid) => ("RFC 4516 section 2", "ldap://host/name?attribute", None),
        (Party::Directory, Kind::Limit) => {
            ("RFC 4511 section 4.5.3", "the entry in the directory that was asked", None)
        }
        (Party::Directory, _) => ("RFC 4511 section 4.5.2", "an entry with the attribute, for anybody to read", None),
        (Party::Server, Kind::TooLarge) if error.phase == Phase::Await => (
            "RFC 9110 section 5.4",
            "a header of 32768 bytes at most",
            Some("something before the CMP server adds header fields, such as cookies"),
        ),
        (Party::Server, Kind::Busy) if error.status == Some(429) => (
            "RFC 6585 section 4",
            "an answer, not a request to come back",
            Some(
                "a front end that limits the rate turned the message away (seen at Nokia NCM and Insta): it was not processed; profile nokia-ncm tries again, or set max_retries",
            ),
        ),
        (Party::Server, Kind::HttpStatus) if error.status == Some(407) => (
            "RFC 9110 section 15.5.8",
            "an answer of the server, not of a proxy",
            Some("a proxy wants a login: set the login of the proxy"),
        ),
        (Party::Server, Kind::Broken)
            if error.phase == Phase::Await || error.cause == Some(Cause::ClosedUnanswered) =>
        {
            let hint = match error.cause {
                Some(Cause::TlsForHttp) => Some("the server speaks TLS at this port: https:// in place of http://"),
                Some(Cause::ClosedUnanswered) => Some(
                    "servers that expect TLS at this port (https://), and those that the request frightened away, close without a word",
                ),
                Some(Cause::NotHttp) => {
                    Some("another service listens at this port: it is not the one for CMP over HTTP")
                }
                _ => None,
            };
            ("RFC 9112 section 4", "an HTTP answer", hint)
        }
        (Party::CoapServer, Kind::Connect) => ("RFC 9482 section 2.3", "a CoAP server that takes datagrams", None),
        _ => return None,
    })
}
