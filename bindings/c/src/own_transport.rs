//! The program's own way to the server: with all that an answer can say; over datagrams of its own; HTTP and HTTPS without I/O, whose
//! bytes the program's event loop carries.

use super::args::Slot;
use super::prelude::*;
use super::run::devid_exchange_fn;
#[cfg(feature = "coap")]
use super::transport::ProgramDatagrams;
use super::transport::{devid_receive_datagram_fn, devid_send_datagram_fn};
use devid_core::client::run::feed;
use devid_core::cmp::Action;
#[cfg(feature = "http")]
use devid_core::transport::HttpCall;
use devid_core::transport::{ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind, diagnose};

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
    let status = status.ok_or_else(|| invalid(format!("{http_status} is not an HTTP status of an answer")))?;
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

/// Carry the datagrams to a "coap" server by functions of the program instead of the built-in UDP socket: over a modem of its
/// own, or inside DTLS. Blocks, repetitions and their times stay the library's business.
///
/// @param op       Made with settings whose server is a "coap" URL. Not NULL.
/// @param send     NULL: the built-in socket. May be NULL.
/// @param receive  NULL exactly if `send` is. May be NULL.
/// @param user     Passed to all three. May be NULL.
/// @param destroy  Called once, when the operation is freed, other functions are set, or this call fails. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the server is none of CoAP; DEVID_E_UNSUPPORTED if CoAP is not built in.
#[export]
fn devid_op_set_datagrams(
    op: &mut devid_op,
    send: Option<devid_send_datagram_fn>,
    receive: Option<devid_receive_datagram_fn>,
    user: User,
) -> Result<(), Error> {
    #[cfg(feature = "coap")]
    {
        op.built_in = match ProgramDatagrams::of(send, receive, user)? {
            None => None,
            Some(datagrams) => Some(Box::new(op.session.client.coap_over(datagrams)?)),
        };
        Ok(())
    }
    #[cfg(not(feature = "coap"))]
    {
        let _ = (&*op, send, receive, user);
        Err(Error::new(Code::Unsupported, "CoAP is not built in"))
    }
}

/// One message on its way to an HTTP server and the answer on its way back, on one connection of the program.
///
/// Connect a TCP socket to devid_http_call_host() and devid_http_call_port(); send devid_http_call_output() and say by
/// devid_http_call_sent() how much went; hand in the bytes received by devid_http_call_received() until the answer is there, or say by
/// devid_http_call_closed() that the server ended the connection; then devid_op_feed_http_call(). There may be output after every
/// call: TLS talks both ways. After an error close the connection; what the output still holds tells a TLS server why. No call
/// blocks or reads a clock; how long the server may take is the program's affair.
#[handle]
pub type devid_http_call = Call;

#[doc(hidden)]
pub struct Call {
    /// Taken out when it is fed.
    call: Option<HttpCall>,
    host: CString,
}

impl Call {
    fn call(&mut self) -> Result<&mut HttpCall, Error> {
        self.call.as_mut().ok_or_else(|| Error::new(Code::State, "the answer was handed to its operation already"))
    }
}

/// The message under way as an HTTP request to the server of the settings, by their proxy (for "http" alone) and TLS settings. One
/// connection serves one message. The status of an HTTPS server's certificate is judged by what is at hand; nothing is fetched.
///
/// @param op        After DEVID_ACTION_SEND; not changed. Not NULL.
/// @param out_call  Receives the call; free with devid_http_call_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message is under way; DEVID_E_INVALID_ARGUMENT for settings that do not fit;
///         DEVID_E_UNSUPPORTED for CoAP, for "https" through a proxy (the program makes the tunnel and sets no proxy), and in builds
///         without "http".
#[export]
fn devid_op_http_call(op: &mut devid_op) -> Result<devid_http_call, Error> {
    let Some(Action::Send { message, .. }) = op.operation.action() else {
        return Err(Error::new(Code::State, "no message is to be sent"));
    };
    #[cfg(feature = "http")]
    {
        let call = op.session.client.http_call(message).map_err(|error| op.session.client.with_path(error))?;
        Ok(Call { host: super::args::c_text(call.host()), call: Some(call) })
    }
    #[cfg(not(feature = "http"))]
    {
        let _ = message;
        Err(Error::new(Code::Unsupported, "the HTTP client is not built in"))
    }
}

/// Whom to connect to: the server, or its proxy.
///
/// @return A name or an address, an IPv6 address without brackets; valid until the call is freed.
#[export]
fn devid_http_call_host(call: &devid_http_call) -> &CStr {
    &call.host
}

/// The TCP port to connect to.
///
/// @return The port; 0 once the answer was handed to its operation.
#[export]
fn devid_http_call_port(call: &devid_http_call) -> u32 {
    call.call.as_ref().map_or(0, |call| call.port().into())
}

/// What is to be sent now.
///
/// @return NULL if there is nothing; valid until the call is changed or freed.
#[export]
fn devid_http_call_output(call: &devid_http_call) -> Option<&[u8]> {
    call.call.as_ref().map(HttpCall::output).filter(|output| !output.is_empty())
}

/// Says how much of the output was sent.
///
/// @param count  At most as many bytes as the output holds.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if it holds less; DEVID_E_STATE.
#[export]
fn devid_http_call_sent(call: &mut devid_http_call, count: usize) -> Result<(), Error> {
    let call = call.call()?;
    let held = call.output().len();
    if count > held {
        return Err(invalid(format!("{count} bytes were sent, and {held} were there to send")));
    }
    call.sent(count);
    Ok(())
}

/// Hands in bytes received from the server.
///
/// @param data      In pieces of any length. Not NULL.
/// @param out_done  Receives 1 once the answer is there, 0 if more is to come. Not NULL.
/// @return DEVID_OK; DEVID_E_TLS if the server is not taken for whom it should be, DEVID_E_TRANSPORT if it does not speak HTTP,
///         DEVID_E_TOO_LARGE; DEVID_E_STATE.
#[export]
fn devid_http_call_received(call: &mut devid_http_call, data: &[u8]) -> Result<bool, Error> {
    call.call()?.received(data).map_err(diagnose)
}

/// Says that the server ended the connection: the end of an answer whose length was not said before.
///
/// @return DEVID_OK: the answer is there; DEVID_E_TRANSPORT or DEVID_E_TLS if it is not; DEVID_E_STATE.
#[export]
fn devid_http_call_closed(call: &mut devid_http_call) -> Result<(), Error> {
    call.call()?.closed().map_err(diagnose)
}

/// Hands the answer to the operation that the call was made for; the next step looks at it. On failure the message is still under
/// way and can be sent again by a new call; devid_renewal_ended() takes the error, with the seconds that the server asks to wait.
///
/// @param call  Its answer is taken out of it. Not NULL.
/// @return DEVID_OK; DEVID_E_BUSY, DEVID_E_HTTP_STATUS, ... (DEVID_CLASS_TRANSPORT) if it is not a message, or not there;
///         DEVID_E_STATE; others as devid_op_feed().
#[export]
fn devid_op_feed_http_call(op: &mut devid_op, call: &mut devid_http_call) -> Result<(), Error> {
    call.call()?;
    let call = call.call.take().expect("looked at before");
    let phase = op.body_under_way().map(Into::into);
    let reply = call.into_reply().map_err(|error| diagnose(error).with(|facts| facts.phase = phase));
    let reply = reply.map_err(|error| op.session.client.with_path(error))?;
    feed(op.operation_mut(), &reply)
}

/// Frees a call. The socket is the program's.
#[export]
fn devid_http_call_free(call: Owned<devid_http_call>) {
    drop(call)
}

#[cfg(not(feature = "http"))]
use absent::HttpCall;

/// A call that cannot be made, in builds without the HTTP client.
#[cfg(not(feature = "http"))]
mod absent {
    use devid_core::transport::{Reply, TransportError};
    use std::convert::Infallible;

    pub struct HttpCall(Infallible);

    impl HttpCall {
        pub fn port(&self) -> u16 {
            match self.0 {}
        }

        pub fn output(&self) -> &[u8] {
            match self.0 {}
        }

        pub fn sent(&mut self, _: usize) {
            match self.0 {}
        }

        pub fn received(&mut self, _: &[u8]) -> Result<bool, TransportError> {
            match self.0 {}
        }

        pub fn closed(&mut self) -> Result<(), TransportError> {
            match self.0 {}
        }

        pub fn into_reply(self) -> Result<Reply, TransportError> {
            match self.0 {}
        }
    }
}
