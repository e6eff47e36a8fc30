//! CMP over HTTP (RFC 9811, RFC 6712).

use super::error::{Phase, TransportError, TransportErrorKind};
use super::url::Url;
use super::wire::{Wire, WireReply, WireRequest, header_text, location, retry_after_seconds};
use super::words::words_of;
use super::{Exchange, ExchangeLimits, Reply, Shape, shape_of};

use ureq::http::header;

pub use super::resolve::{Resolve, SystemResolver, ThreadResolver};
pub use super::wire::HttpConfig;

/// The built-in HTTP client: one server, connections kept between exchanges.
///
/// No redirects, no environment variables, no thread but the one that looks an address up. CMP messages protect
/// themselves; `https` hides them as well, and needs anchors for the server ([`HttpConfig::tls`]).
pub struct HttpExchange {
    url: Url,
    wire: Wire,
}

impl HttpExchange {
    /// For the server at `url`, whose path is sent as written.
    pub fn new(url: &str, config: HttpConfig) -> Result<Self, TransportError> {
        let url = Url::parse(url)?;
        let wire = Wire::new(config)?;
        wire.check_scheme(&url)?;
        Ok(HttpExchange { url, wire })
    }

    /// The server's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl std::fmt::Debug for HttpExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpExchange").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Exchange for HttpExchange {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let reply = self.wire.perform(
            &WireRequest {
                url: &self.url,
                headers: vec![
                    // RFC 9811 3.2: the media type of a PKIMessage.
                    ("content-type", "application/pkixcmp".to_owned()),
                    ("accept", "application/pkixcmp".to_owned()),
                    // RFC 9811 3.6: no cache may answer; the older form for HTTP/1.0 on the way.
                    ("cache-control", "no-cache".to_owned()),
                    ("pragma", "no-cache".to_owned()),
                ],
                body: Some(request),
            },
            limits,
        )?;
        judge(reply, self.wire.config().strict_content_type)
            .map_err(|e| TransportError { detail: format!("{}: {}", self.url, e.detail), ..e })
    }
}

/// What an HTTP answer is that a program got by its own means: by the same rules as the built-in client's (RFC 9811
/// section 3.1). `headers`: those at hand, of which Content-Type, Retry-After and Location are looked at.
///
/// Errors: the answer has no message, as [`TransportErrorKind::Busy`] with the seconds to wait, or another kind.
pub fn judged(
    status: u16,
    headers: &[(&str, &str)],
    body: Vec<u8>,
    strict_content_type: bool,
) -> Result<Reply, TransportError> {
    let invalid = |words: String| TransportError::new(TransportErrorKind::Invalid, Phase::Await, words);
    if !(200..=599).contains(&status) {
        return Err(invalid(format!("{status} is no HTTP status of an answer")));
    }
    let mut map = header::HeaderMap::new();
    for (name, value) in headers {
        let name = header::HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, header::HeaderValue::from_str(value)) else {
            return Err(invalid("a header of the answer has characters that none can have".to_owned()));
        };
        map.append(name, value);
    }
    let reply = WireReply {
        status,
        headers: map,
        body,
        body_error: None,
        connection_was_reused: false,
        is_mutually_authenticated: false,
    };
    judge(reply, strict_content_type)
}

/// Whether an HTTP answer holds a CMP message, whatever its status says, or what to report instead.
fn judge(reply: WireReply, strict: bool) -> Result<Reply, TransportError> {
    let content_type = header_text(&reply.headers, header::CONTENT_TYPE);
    let is_pkixcmp = content_type.as_deref().is_some_and(is_pkixcmp);
    let shape = shape_of(&reply.body);
    let error = |kind, detail: String| TransportError {
        status: Some(reply.status),
        content_type: content_type.clone(),
        retry_after_seconds: retry_after_seconds(&reply.headers),
        location: location(&reply.headers),
        server_words: if reply.body_error.is_none() { words_of(&reply.body) } else { None },
        ..TransportError::new(kind, Phase::Body, detail)
    };
    let found = || match (&content_type, reply.body.is_empty()) {
        (_, true) => "an empty body".to_owned(),
        (Some(content_type), _) => content_type.clone(),
        (None, _) => format!("{} bytes without a content type", reply.body.len()),
    };

    // RFC 9811 3.1: 200 is the one status of success; an answer may also come with 4xx and 5xx. Never with a redirect,
    // which is not followed.
    let may_hold_message = matches!(reply.status, 200..=299 | 400..=599);
    if reply.status != 200 && !(may_hold_message && shape == Shape::Sequence && reply.body_error.is_none()) {
        let kind = match reply.status {
            429 | 503 => TransportErrorKind::Busy,
            _ => TransportErrorKind::HttpStatus,
        };
        return Err(error(
            kind,
            format!("expected a CMP message, found HTTP status {} with {}", reply.status, found()),
        ));
    }
    if let Some(cause) = &reply.body_error {
        return Err(error(cause.kind, cause.detail.clone()));
    }
    match shape {
        Shape::CutShort { expected_len } => {
            let detail = format!("the answer ends after {} of {expected_len} bytes", reply.body.len());
            Err(error(TransportErrorKind::Broken, detail))
        }
        _ if reply.body.is_empty() => {
            Err(error(TransportErrorKind::Broken, "expected a CMP message, found an empty body".to_owned()))
        }
        Shape::Other if !is_pkixcmp => {
            Err(error(TransportErrorKind::ContentType, format!("expected application/pkixcmp, found {}", found())))
        }
        Shape::Other if words_of(&reply.body).is_some() => Err(error(
            TransportErrorKind::ContentType,
            format!("expected a CMP message, found text that calls itself {}", found()),
        )),
        Shape::Sequence if !is_pkixcmp && strict => Err(error(
            TransportErrorKind::ContentType,
            format!("expected the content type application/pkixcmp, found {}", found()),
        )),
        // Labelled as a message but not one: for the decoder to say what is wrong with it.
        Shape::Sequence | Shape::Other => Ok(Reply {
            status: Some(reply.status),
            content_type_is_unusual: !is_pkixcmp,
            connection_was_reused: reply.connection_was_reused,
            is_mutually_authenticated: reply.is_mutually_authenticated,
            content_type,
            body: reply.body,
        }),
    }
}

/// In any case, with any parameters; `-poll` is what drafts called it (RFC 9811 section 4).
fn is_pkixcmp(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/pkixcmp", "application/pkixcmp-poll"].iter().any(|t| media_type.eq_ignore_ascii_case(t))
}
