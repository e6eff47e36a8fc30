//! CMP over HTTP (RFC 9811, RFC 6712).

use base64ct::{Base64, Encoding};

use super::error::{Cause, Phase, TransportError, TransportErrorKind};
use super::url::Url;
use super::wire::{Wire, WireReply, WireRequest, compressed, header_text, location, retry_after_seconds};
use super::words::words_of;
use super::{Exchange, ExchangeLimits, Reply, Shape, shape_of};

use ureq::http::header;

pub use super::resolve::{Resolve, SystemResolver, ThreadResolver};
pub use super::wire::HttpConfig;

/// What goes with each message.
pub(super) const HEADERS: [(&str, &str); 4] = [
    // RFC 9811 3.2: the media type of a PKIMessage.
    ("content-type", "application/pkixcmp"),
    ("accept", "application/pkixcmp"),
    // RFC 9811 3.6: no cache may answer; the older form for HTTP/1.0 on the way.
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
];

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
                headers: HEADERS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
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
    judged_with(status, headers, (body, None), strict_content_type)
}

/// The same with why not more of the body was read.
pub(super) fn judged_with(
    status: u16,
    headers: &[(&str, &str)],
    (body, body_error): (Vec<u8>, Option<TransportError>),
    strict_content_type: bool,
) -> Result<Reply, TransportError> {
    let invalid = |words: String| TransportError::new(TransportErrorKind::Invalid, Phase::Await, words);
    if !(200..=599).contains(&status) {
        return Err(invalid(format!("{status} is not an HTTP status of an answer")));
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
        body_error: body_error.or_else(|| compressed(&map, &body)),
        headers: map,
        body,
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
        location: location(&reply.headers).map(Into::into),
        server_words: if reply.body_error.is_none() { words_of(&reply.body) } else { None },
        ..TransportError::new(kind, Phase::Body, detail)
    };
    let is_compressed = reply.body_error.as_ref().is_some_and(|e| e.kind == TransportErrorKind::ContentType);
    let found = || {
        let named = match (&content_type, reply.body.is_empty()) {
            (_, true) => return "an empty body".to_owned(),
            (Some(content_type), _) => content_type.clone(),
            (None, _) => format!("{} bytes without a content type", reply.body.len()),
        };
        match shape {
            _ if is_compressed => format!("{named}, compressed, which was not accepted"),
            Shape::CutShort { expected_len } if is_pkixcmp => {
                format!("{named} that ends after {} of {expected_len} bytes", reply.body.len())
            }
            _ => named,
        }
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
        return Err(TransportError { cause: cause.cause, ..error(cause.kind, cause.detail.clone()) });
    }
    if let Some(form) = message_in_text(&reply.body) {
        let detail = format!("expected a CMP message in DER (RFC 9811 section 3.2), found one in {form}");
        return Err(TransportError { server_words: None, ..error(TransportErrorKind::ContentType, detail) });
    }
    match shape {
        Shape::Sequence if content_type.as_deref().is_some_and(is_of_x509) && !begins_like_a_message(&reply.body) => {
            Err(error(TransportErrorKind::ContentType, format!("expected a CMP message, found {}", found())))
        }
        Shape::CutShort { expected_len } => {
            let detail = format!("the answer ends after {} of {expected_len} bytes", reply.body.len());
            Err(TransportError { cause: Some(Cause::CutShort), ..error(TransportErrorKind::Broken, detail) })
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
            format!(
                "expected the content type application/pkixcmp, found {} (switch other_content_type takes it)",
                found()
            ),
        )),
        // Labelled as a message but not one: for the decoder to say what is wrong with it.
        Shape::Sequence | Shape::Other => Ok(Reply {
            status: Some(reply.status),
            content_type_is_unusual: !is_pkixcmp,
            connection_was_reused: reply.connection_was_reused,
            is_mutually_authenticated: reply.is_mutually_authenticated,
            is_carried: false,
            content_type,
            body: reply.body,
        }),
    }
}

/// PEM or base64 around a message, as it was taken from a file: which of them; `None` if it is something else.
fn message_in_text(body: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let (form, inner) = match text.strip_prefix("-----BEGIN ") {
        Some(rest) => ("PEM", rest.split_once("-----")?.1.split("-----END").next()?),
        None => ("base64", text),
    };
    let inner: String = inner.split_ascii_whitespace().collect();
    let der = Base64::decode_vec(&inner).ok()?;
    begins_like_a_message(&der).then_some(form)
}

/// `PKIMessage ::= SEQUENCE { header SEQUENCE { pvno INTEGER, sender [tag] ...`: neither a certificate nor a CRL nor OCSP.
fn begins_like_a_message(body: &[u8]) -> bool {
    let inside = |der: &[u8]| match der {
        [0x30, length, rest @ ..] => {
            rest.get(usize::from(length & 0x7f) * usize::from(length >> 7)..).map(<[u8]>::to_vec)
        }
        _ => None,
    };
    let header = inside(body).and_then(|content| inside(&content));
    header.is_some_and(|header| matches!(header[..], [0x02, 1, _, 0xa0..=0xa8 | 0x81..=0x88, ..]))
}

/// Other documents in DER, which a wrong path on a CA's web server leads to.
fn is_of_x509(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = media_type.strip_prefix("application/").unwrap_or_default();
    ["pkix-", "x-x509-", "x-pki-", "ocsp-", "timestamp-", "cms", "pkcs", "x-pkcs"]
        .iter()
        .any(|prefix| kind.starts_with(prefix))
        && !is_pkixcmp(content_type)
}

/// In any case, with any parameters; `-poll` is what drafts called it (RFC 9811 section 4).
fn is_pkixcmp(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/pkixcmp", "application/pkixcmp-poll"].iter().any(|t| media_type.eq_ignore_ascii_case(t))
}
