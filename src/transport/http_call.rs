//! One CMP message by HTTP or HTTPS without I/O (RFC 9811): for event loops, which have sockets of their own.

use std::fmt;

use ureq::http::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::Reply;
use super::chunks::Chunks;
use super::error::{Cause, Phase, TransportError, TransportErrorKind};
use super::head::{Framing, Head};
use super::http::{HEADERS, HttpConfig, judged_with};
use super::tls::{Session, TlsClient};
use super::url::{Scheme, Url};

/// A message on its way to an HTTP server and the answer on its way back, on one connection that the caller has: bytes in, bytes
/// out. It reads no clock and waits for nothing; how long the server may take is the caller's affair.
///
/// Connect to [`host`](Self::host) and [`port`](Self::port); send what [`output`](Self::output) holds and say how much went by
/// [`sent`](Self::sent); hand in what comes by [`received`](Self::received) until it says that the answer is there, or
/// [`closed`](Self::closed) if the server ends the connection; then take [`into_reply`](Self::into_reply). There may be output
/// again after every call: TLS talks both ways. After an error the connection is to be closed; what `output` still holds tells a TLS
/// server why.
///
/// The answer is judged as the built-in client's: see [`HttpExchange`](super::HttpExchange). The server of an `https` URL is
/// validated within the handshake, with status data at hand; nothing is fetched.
pub struct HttpCall {
    url: Url,
    /// Whom to connect to.
    peer: (String, u16),
    tls: Option<Session>,
    out: Zeroizing<Vec<u8>>,
    answer: Answer,
    has_received: bool,
    is_strict: bool,
}

/// What came of the answer.
#[derive(Default)]
struct Answer {
    head: Head,
    status: u16,
    fields: Vec<(&'static str, String)>,
    framing: Option<Framing>,
    chunks: Option<Chunks>,
    body: Vec<u8>,
    /// Why not more of the body is read.
    body_error: Option<TransportError>,
    max_len: usize,
    /// Nothing more is to come, or to be read.
    is_over: bool,
}

impl HttpCall {
    /// For one message to the server at `url`. Of the settings, a proxy counts for `http` alone. `max_reply_bytes`: largest body of
    /// the answer.
    ///
    /// Errors: [`TransportErrorKind::Invalid`] for settings that cannot be sent, [`TransportErrorKind::Unsupported`] for another
    /// scheme, and for `https` through a proxy: its tunnel is the caller's to make, who then sets no proxy.
    pub fn new(url: &str, config: &HttpConfig, message: &[u8], max_reply_bytes: usize) -> Result<Self, TransportError> {
        let url = Url::parse(url)?;
        let unsupported = |words: String| TransportError::new(TransportErrorKind::Unsupported, Phase::Prepare, words);
        let tls = match (url.scheme(), &config.tls, &config.proxy) {
            (Scheme::Coap, ..) => return Err(unsupported(format!("{url}: this is HTTP"))),
            (Scheme::Http, ..) => None,
            (Scheme::Https, _, Some(_)) => {
                let words =
                    "https through a proxy needs a tunnel (CONNECT), which the program makes; set no proxy then";
                return Err(unsupported(format!("{url}: {words}")));
            }
            (Scheme::Https, tls, None) => Some(TlsClient::new(&tls.clone().unwrap_or_default())?.begin(url.host())?),
        };
        let proxy = config.proxy.as_ref();
        let peer = proxy.map_or((url.host(), url.port()), |proxy| (proxy.host(), proxy.port()));
        let mut call = HttpCall {
            peer: (peer.0.to_owned(), peer.1),
            out: Zeroizing::new(Vec::new()),
            answer: Answer { max_len: max_reply_bytes, ..Answer::default() },
            has_received: false,
            is_strict: config.strict_content_type,
            tls,
            url,
        };
        let request = request(&call.url, config, message)?;
        match &mut call.tls {
            Some(tls) => tls.put(&request)?,
            None => call.out = request,
        }
        call.talk();
        Ok(call)
    }

    /// Whom to connect to: a name or an address, an IPv6 address without brackets. The server's, or its proxy's.
    pub fn host(&self) -> &str {
        &self.peer.0
    }

    /// And at which TCP port.
    pub fn port(&self) -> u16 {
        self.peer.1
    }

    /// What is to be sent now; empty if there is nothing.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes of [`output`](Self::output) were sent: more than it holds count as all of it.
    pub fn sent(&mut self, count: usize) {
        let count = count.min(self.out.len());
        self.out.drain(..count);
    }

    /// Takes what came. `true` once nothing more is to come: [`into_reply`](Self::into_reply) says what the answer is.
    ///
    /// Errors: what came is no HTTP, or its header larger than the limit; the TLS server is not taken for whom it should be.
    pub fn received(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        self.has_received |= !bytes.is_empty();
        let text = match &mut self.tls {
            Some(tls) => {
                let text = tls.take(bytes);
                self.talk();
                text.map_err(|error| self.about(error))?
            }
            None => bytes.to_vec(),
        };
        self.answer.take(&text).map_err(|error| self.about(error))?;
        Ok(self.answer.is_over)
    }

    /// The server ended the connection: the end of an answer that says nothing else of its length.
    ///
    /// Errors: [`TransportErrorKind::Broken`] or [`TransportErrorKind::Tls`] if not even the answer's header is there.
    pub fn closed(&mut self) -> Result<(), TransportError> {
        if self.tls.as_ref().is_some_and(Session::is_handshaking) {
            let words = "the server closed the connection during the TLS handshake".to_owned();
            return Err(self.about(TransportError::new(TransportErrorKind::Tls, Phase::Tls, words)));
        }
        self.answer.ended().map_err(|mut error| {
            // A server that was spoken to in the clear may have expected TLS.
            let may_want_tls = self.tls.is_none() && self.peer.0 == self.url.host() && !self.has_received;
            error.cause = error.cause.filter(|cause| *cause != Cause::ClosedUnanswered || may_want_tls);
            self.about(error)
        })
    }

    /// Whether the answer is there, or as much of it as will be read.
    pub fn is_done(&self) -> bool {
        self.answer.is_over
    }

    /// The answer, judged by RFC 9811 section 3.1 as the built-in client judges it.
    ///
    /// Errors: [`TransportErrorKind::Broken`] if it is not there in full; what the answer is instead of a message, such as
    /// [`TransportErrorKind::Busy`] with the seconds to wait.
    pub fn into_reply(self) -> Result<Reply, TransportError> {
        if !self.answer.is_over {
            let words = "the answer has not come in full".to_owned();
            return Err(self.about(TransportError::new(TransportErrorKind::Broken, Phase::Await, words)));
        }
        let is_mutually_authenticated = self.tls.as_ref().is_some_and(Session::is_mutual);
        let Answer { status, fields, body, body_error, .. } = self.answer;
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = judged_with(status, &fields, (body, body_error), self.is_strict);
        let reply = reply.map_err(|error| about(&self.url, error))?;
        Ok(Reply { is_mutually_authenticated, ..reply })
    }

    /// What TLS has to say goes out.
    fn talk(&mut self) {
        if let Some(tls) = &mut self.tls {
            self.out.extend(tls.output());
        }
    }

    fn about(&self, error: TransportError) -> TransportError {
        about(&self.url, error)
    }
}

fn about(url: &Url, error: TransportError) -> TransportError {
    TransportError { detail: format!("{url}: {}", error.detail), ..error }
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall").field("url", &self.url).field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

/// The request in full. One connection serves one message: polls are minutes apart.
fn request(url: &Url, config: &HttpConfig, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let target = match (&config.proxy, url.scheme()) {
        // RFC 9112 section 3.2.2.
        (Some(_), Scheme::Http) => url.to_string(),
        _ => url.target().to_owned(),
    };
    let version = if config.use_http_1_0 { "1.0" } else { "1.1" };
    let mut text =
        Zeroizing::new(format!("POST {target} HTTP/{version}\r\nhost: {}\r\n", url.authority()).into_bytes());
    let length = message.len().to_string();
    let own = [("connection", "close"), ("accept-encoding", "identity"), ("content-length", length.as_str())];
    let agent = [("user-agent", config.user_agent.as_str())];
    let agent = agent.iter().filter(|(_, value)| !value.is_empty());
    let login = config.proxy.as_ref().and(config.proxy_authorization.as_ref());
    let login = login.map(|value| ("proxy-authorization", value.as_str()));
    let more = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.iter().chain(&HEADERS).chain(agent).copied().chain(login).chain(more) {
        let sound = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
        if !sound {
            let words =
                format!("the header {} cannot be sent: a character that none can have", crate::words::quoted(name));
            return Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, words));
        }
        text.extend([name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(message);
    Ok(text)
}

impl Answer {
    fn take(&mut self, text: &[u8]) -> Result<(), TransportError> {
        if self.is_over || text.is_empty() {
            return Ok(());
        }
        if self.framing.is_some() {
            self.take_body(text);
            return Ok(());
        }
        let Some((header, behind)) = self.head.take(text)? else { return Ok(()) };
        let framing = match header.status {
            // RFC 9112 section 6.3: these have no body.
            204 | 304 => Framing::Length(0),
            _ => header.body()?,
        };
        (self.status, self.fields, self.framing) = (header.status, header.fields().collect(), Some(framing));
        match framing {
            Framing::Length(length) if length > self.max_len as u64 => {
                self.fail(TransportErrorKind::TooLarge, self.too_large(&format!(": it announces {length}")));
            }
            Framing::Length(length) => self.is_over = length == 0,
            Framing::Chunks => self.chunks = Some(Chunks::undone()),
            Framing::ToTheEnd => {}
        }
        if !self.is_over && !behind.is_empty() {
            self.take_body(&behind);
        }
        Ok(())
    }

    /// What is behind the body belongs to nobody: one answer is awaited.
    fn take_body(&mut self, text: &[u8]) {
        match self.chunks.as_mut().map(|chunks| (chunks.pass(text), chunks.is_over())) {
            Some((Ok(data), is_over)) => {
                self.body.extend(data);
                self.is_over = is_over;
            }
            Some((Err(error), _)) => return self.fail(error.kind, error.detail),
            None => self.body.extend_from_slice(text),
        }
        if let Some(Framing::Length(length)) = self.framing {
            self.body.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            self.is_over = self.body.len() as u64 == length;
        }
        if self.body.len() > self.max_len {
            self.body.truncate(self.max_len);
            self.fail(TransportErrorKind::TooLarge, self.too_large(""));
        }
    }

    /// No more of the body is read, for this reason.
    fn fail(&mut self, kind: TransportErrorKind, words: String) {
        self.body_error = Some(TransportError::new(kind, Phase::Body, words));
        self.is_over = true;
    }

    /// The connection is over.
    fn ended(&mut self) -> Result<(), TransportError> {
        let count = self.body.len();
        let so_far = match self.framing {
            _ if self.is_over => return Ok(()),
            None => return Err(self.head.ended()),
            Some(Framing::ToTheEnd) => {
                self.is_over = true;
                return Ok(());
            }
            Some(Framing::Length(length)) => format!("{count} of {length} bytes of the answer's body came"),
            Some(Framing::Chunks) => format!("{count} bytes of the answer's body came, its end did not"),
        };
        let words = format!("{so_far}: the server closed the connection");
        self.fail(TransportErrorKind::Broken, words);
        if let Some(error) = &mut self.body_error {
            error.cause = Some(Cause::CutShort);
        }
        Ok(())
    }

    fn too_large(&self, found: &str) -> String {
        format!("the answer's body is larger than the limit of {} bytes{found}", self.max_len)
    }
}
