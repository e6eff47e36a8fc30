//! The program's own way to the server, with all that an answer can say.

use super::args::Slot;
use super::prelude::*;
use super::run::devid_exchange_fn;
use devid_core::transport::{ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};

/// The answer to one message, filled by the program's transport.
#[handle]
pub type devid_reply = Answer;

#[doc(hidden)]
#[derive(Default)]
pub struct Answer {
    body: Vec<u8>,
    max_bytes: usize,
    http_status: Option<u16>,
    content_type: Option<String>,
    retry_after_seconds: Option<u32>,
    words: Option<String>,
}

/// Carries a message to the server and brings the answer, with more to say than devid_exchange_fn. request: one PKIMessage, DER.
/// reply: the answer's body by devid_reply_append(), and what else is known by devid_reply_set_http() and others. Return 0; one of
/// the codes of DEVID_CLASS_TRANSPORT, such as DEVID_E_BUSY (come back later), DEVID_E_CONNECT (the server was not reached and has
/// seen nothing), DEVID_E_TIMEOUT or DEVID_E_TRANSPORT: it counts as if the library's own client had met it, also for retries,
/// waits and the plan; or a number at or below -10000, which becomes the status of the call.
#[callback]
pub type devid_transport_fn = fn(request: &[u8], reply: &mut devid_reply) -> i32;

/// The program's function that carries messages, in one of its two forms.
pub(super) enum OwnTransport {
    /// It knows bytes.
    Bytes(devid_exchange_fn, User),
    /// It knows more.
    Reply(devid_transport_fn, User),
}

impl OwnTransport {
    pub(super) fn carry(&self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if limits.is_cancelled() {
            let words = "cancelled by the caller";
            return Err(TransportError::new(TransportErrorKind::Cancelled, Phase::Prepare, words));
        }
        let (status, answer) = match self {
            OwnTransport::Bytes(exchange, user) => {
                let (status, body) = devid_bytes::filled_by(limits.max_reply_bytes, |reply| {
                    devid_exchange_fn(*exchange, user, request, reply)
                });
                let body = body.map_err(|error| TransportError::application(-10_000, error.message()));
                (status, body.map(|body| Answer { body: body.to_vec(), ..Answer::default() }))
            }
            OwnTransport::Reply(transport, user) => {
                let reply = Slot::lent(Answer { max_bytes: limits.max_reply_bytes, ..Answer::default() });
                let status = devid_transport_fn(*transport, user, request, &reply);
                (status, Ok(reply.into_value()))
            }
        };
        let answer = match status {
            0 => answer?,
            number => return Err(failure(number, answer.unwrap_or_default())),
        };
        answer.judged()
    }
}

impl Answer {
    fn judged(self) -> Result<Reply, TransportError> {
        let Some(status) = self.http_status else {
            return match self.body.is_empty() {
                false => Ok(Reply { content_type: self.content_type, ..Reply::from_body(self.body) }),
                true => {
                    let words = "the program's transport brought an empty answer";
                    Err(TransportError::new(TransportErrorKind::Broken, Phase::Body, words))
                }
            };
        };
        #[cfg(feature = "http")]
        {
            let retry_after = self.retry_after_seconds.map(|seconds| seconds.to_string());
            let headers: Vec<(&str, &str)> =
                [("content-type", self.content_type.as_deref()), ("retry-after", retry_after.as_deref())]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect();
            devid_core::transport::http::judged(status, &headers, self.body, false)
        }
        #[cfg(not(feature = "http"))]
        match status {
            200..=299 => Ok(Reply { status: Some(status), ..Reply::from_body(self.body) }),
            429 | 503 => Err(TransportError {
                status: Some(status),
                retry_after_seconds: self.retry_after_seconds,
                ..TransportError::new(TransportErrorKind::Busy, Phase::Body, "the server is busy")
            }),
            _ => Err(TransportError {
                status: Some(status),
                ..TransportError::new(TransportErrorKind::HttpStatus, Phase::Body, "expected a CMP message")
            }),
        }
    }
}

/// What a number of the program's function means: a failure on the way, or the program's own.
fn failure(number: i32, answer: Answer) -> TransportError {
    let kind = Code::from_number(number).and_then(TransportErrorKind::from_code);
    let words = |otherwise: String| answer.words.clone().unwrap_or(otherwise);
    let Some(kind) = kind else {
        let words = words(format!("the function for the exchange returned {number}"));
        return TransportError::application(number.min(-10_000), words);
    };
    let phase = match kind {
        TransportErrorKind::Connect => Phase::Connect,
        TransportErrorKind::Tls => Phase::Tls,
        TransportErrorKind::Cancelled => Phase::Send,
        _ => Phase::Await,
    };
    TransportError {
        status: answer.http_status,
        content_type: answer.content_type,
        retry_after_seconds: answer.retry_after_seconds,
        ..TransportError::new(kind, phase, words("the program's transport says so".to_owned()))
    }
}

/// An answer for devid_op_feed_reply(): for programs that step and carry messages themselves.
///
/// @param out_reply  Receives the answer, empty; free with devid_reply_free(). Not NULL.
#[export]
fn devid_reply_new() -> Result<devid_reply, Error> {
    Ok(Answer { max_bytes: ExchangeLimits::default().max_reply_bytes, ..Answer::default() })
}

/// Frees an answer that devid_reply_new() made.
#[export]
fn devid_reply_free(reply: Owned<devid_reply>) {
    drop(reply)
}

/// As devid_op_feed(), for an answer with its HTTP status: it is judged as the built-in client's. On failure the message is still
/// under way and can be sent again; devid_renewal_ended() takes the error, with the seconds that the server asks to wait.
///
/// @param op     After DEVID_ACTION_SEND. Not NULL.
/// @param reply  Its body is taken out of it. Not NULL.
/// @return DEVID_OK; DEVID_E_BUSY, DEVID_E_HTTP_STATUS, ... (DEVID_CLASS_TRANSPORT); others as devid_op_feed().
#[export]
fn devid_op_feed_reply(op: &mut devid_op, reply: &mut devid_reply) -> Result<(), Error> {
    let max_bytes = reply.max_bytes;
    let came = std::mem::replace(reply, Answer { max_bytes, ..Answer::default() });
    let phase = op.body_under_way().map(Into::into);
    let judged = came.judged().map_err(|error| Error::from(error).with(|facts| facts.phase = phase))?;
    op.operation_mut().feed(&judged.body)
}

/// Adds to the body of an answer.
///
/// @param data      Not NULL.
/// @return DEVID_OK; DEVID_E_TOO_LARGE if the body is longer than the limit `max_message_bytes`.
#[export]
fn devid_reply_append(reply: &mut devid_reply, data: &[u8]) -> Result<(), Error> {
    if reply.body.len().saturating_add(data.len()) > reply.max_bytes {
        return Err(Error::new(Code::TooLarge, format!("an answer of more than {} bytes", reply.max_bytes)));
    }
    reply.body.extend_from_slice(data);
    Ok(())
}

/// Says what HTTP said. The answer is then judged as the built-in client's: 429 and 503 without a message are DEVID_E_BUSY.
///
/// @param http_status   200 to 599.
/// @param content_type  Value of Content-Type; NULL if there was none. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a number that is not one of those.
#[export]
fn devid_reply_set_http(reply: &mut devid_reply, http_status: u32, content_type: Option<&str>) -> Result<(), Error> {
    let status = u16::try_from(http_status).ok().filter(|status| (200..=599).contains(status));
    let status = status.ok_or_else(|| invalid(format!("{http_status} is no HTTP status of an answer")))?;
    (reply.http_status, reply.content_type) = (Some(status), content_type.map(str::to_owned));
    Ok(())
}

/// Says how long the server asks to wait (Retry-After).
///
/// @param seconds  0 or more.
#[export]
fn devid_reply_set_retry_after(reply: &mut devid_reply, seconds: u32) -> Result<(), Error> {
    reply.retry_after_seconds = Some(seconds);
    Ok(())
}

/// Says what went wrong, for users; it becomes the message of the error.
///
/// @param text  One line. Not NULL.
#[export]
fn devid_reply_set_words(reply: &mut devid_reply, text: &str) -> Result<(), Error> {
    reply.words = Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect());
    Ok(())
}

/// Carry the messages of an operation by a function that can say more than devid_op_set_exchange() takes. It replaces such a one.
///
/// @param transport  NULL: the built-in HTTP client. May be NULL.
/// @param user       Passed to `transport` and `destroy`. May be NULL.
/// @param destroy    Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_transport(op: &mut devid_op, transport: Option<devid_transport_fn>, user: User) -> Result<(), Error> {
    op.callbacks.exchange = transport.map(|transport| OwnTransport::Reply(transport, user));
    Ok(())
}

/// The same for the messages of devid_renewal_run(), in the place of devid_renewal_set_exchange().
///
/// @param transport  NULL: the built-in HTTP client. May be NULL.
/// @param user       Passed to `transport` and `destroy`. May be NULL.
/// @param destroy    Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_transport(
    renewal: &mut devid_renewal,
    transport: Option<devid_transport_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.callbacks.exchange = transport.map(|transport| OwnTransport::Reply(transport, user));
    Ok(())
}
