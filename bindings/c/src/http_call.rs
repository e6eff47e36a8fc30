//! HTTP and HTTPS without I/O: the program's event loop carries the bytes.

use super::prelude::*;
use devid_core::client::run::feed;
use devid_core::cmp::Action;
#[cfg(feature = "http")]
use devid_core::transport::HttpCall;
use devid_core::transport::diagnose;

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
