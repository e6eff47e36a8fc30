//! One HTTP request and its answer, under limits; what CMP exchanges and fetches share.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use ureq::http::{HeaderMap, Method, Request, Version, header};
use zeroize::Zeroizing;

use super::ExchangeLimits;
use super::connection::{Link, LinkConnector, LinkResolver};
use super::error::{Cause, Party, Phase, TransportError, TransportErrorKind};
use super::head::MAX_HEADER_BYTES;
use super::resolve::{Resolve, SystemResolver};
use super::tls::{TlsClient, TlsConfig};
use super::url::{Scheme, Url};
use crate::limits::moment_in;
use crate::time::Time;

/// How long an idle connection is kept. CMP polls are minutes apart; one that died meanwhile is noticed and replaced.
const IDLE_AGE: Duration = Duration::from_secs(3600);

/// Settings of the built-in HTTP client. Nothing is read from the environment.
#[derive(Clone)]
pub struct HttpConfig {
    /// For `https`; without it, such URLs are refused.
    pub tls: Option<Arc<TlsConfig>>,
    /// An HTTP proxy, `http://host:port`. Asked in absolute form for `http`, for a tunnel (CONNECT) for `https` (RFC 9112
    /// sections 3.2.2 and 3.2.3).
    pub proxy: Option<Url>,
    /// Value of Proxy-Authorization, such as [`HttpConfig::basic`] gives. For the proxy's eyes alone.
    pub proxy_authorization: Option<Zeroizing<String>>,
    /// Speak HTTP/1.0, for servers that know nothing else.
    pub use_http_1_0: bool,
    /// Value of User-Agent; none is sent if empty.
    pub user_agent: String,
    /// Further headers, as name and value.
    pub headers: Vec<(String, String)>,
    /// Take only the content type of RFC 9811 section 3.2 (any case, any parameters).
    pub strict_content_type: bool,
    /// Finds addresses.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            tls: None,
            proxy: None,
            proxy_authorization: None,
            use_http_1_0: false,
            user_agent: concat!("devid/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            strict_content_type: false,
            resolver: Arc::new(SystemResolver),
        }
    }
}

impl HttpConfig {
    /// The value of Proxy-Authorization for a user name and a password (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Result<Zeroizing<String>, TransportError> {
        // RFC 7617 section 2: a colon would end the name, control characters have no place.
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            let words = "a user name with a colon, or a control character in it or in the password";
            return Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, words));
        }
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
        Ok(Zeroizing::new(format!("Basic {}", *encoded)))
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers may be secrets: names only.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpConfig")
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("has_proxy_authorization", &self.proxy_authorization.is_some())
            .field("use_http_1_0", &self.use_http_1_0)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// An HTTP client with kept connections.
pub(super) struct Wire {
    agent: ureq::Agent,
    link: Arc<Link>,
    config: HttpConfig,
}

/// A request in this client's terms.
pub(super) struct WireRequest<'a> {
    pub url: &'a Url,
    pub headers: Vec<(&'static str, String)>,
    /// POST if there is one, else GET.
    pub body: Option<&'a [u8]>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct WireReply {
    pub status: u16,
    pub headers: HeaderMap,
    /// What was read of the body, and why not more.
    pub body: Vec<u8>,
    pub body_error: Option<TransportError>,
    pub connection_was_reused: bool,
    pub is_mutually_authenticated: bool,
}

impl Wire {
    pub(super) fn new(config: HttpConfig) -> Result<Self, TransportError> {
        if let Some(proxy) = &config.proxy {
            if proxy.scheme() != Scheme::Http {
                return Err(unsupported(format!("{proxy}: a proxy is spoken to by http")));
            }
        }
        // Without TLS in this build, anchors for servers by https are of no use, and no reason to refuse those by http.
        let tls = config.tls.as_ref().filter(|_| super::tls::IS_BUILT_IN).map(TlsClient::new).transpose()?;
        let authorization = config.proxy_authorization.clone();
        let link = Link::new(config.resolver.clone(), tls, config.proxy.clone(), authorization);
        let settings = ureq::Agent::config_builder()
            // Never from the environment; the proxy is the connector's business.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding(ureq::config::AutoHeaderValue::None)
            .user_agent(config.user_agent.as_str())
            .max_response_header_size(MAX_HEADER_BYTES)
            .max_idle_age(IDLE_AGE)
            .build();
        let agent = ureq::Agent::with_parts(settings, LinkConnector(link.clone()), LinkResolver(link.clone()));
        Ok(Wire { agent, link, config })
    }

    pub(super) fn config(&self) -> &HttpConfig {
        &self.config
    }

    /// Refuses URLs that this client cannot serve, before anything is sent.
    pub(super) fn check_scheme(&self, url: &Url) -> Result<(), TransportError> {
        match url.scheme() {
            Scheme::Https if !super::tls::IS_BUILT_IN => {
                Err(unsupported(format!("{url}: https needs the feature `tls`, which this build lacks")))
            }
            Scheme::Https if self.config.tls.is_none() => {
                let words = format!("{url}: https needs TLS anchors: nothing could say who the server is");
                Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, words))
            }
            Scheme::Http | Scheme::Https => Ok(()),
            Scheme::Coap => Err(unsupported(format!("{url}: this is the HTTP client"))),
        }
    }

    /// Sends a request and reads the answer. A connection that was kept and turns out to be closed before a byte of the
    /// answer came is replaced once: the server most likely closed it while idle (RFC 9112 section 9.3.1).
    pub(super) fn perform(
        &self,
        request: &WireRequest<'_>,
        limits: &ExchangeLimits,
    ) -> Result<WireReply, TransportError> {
        self.check_scheme(request.url)?;
        let deadline = moment_in(limits.total_timeout);
        match self.attempt(request, limits, deadline) {
            // RFC 9110 section 15.5.9: the server gave the kept connection up before the request came, and has seen nothing of it; it
            // is made again on a new one. A new one that is answered so is slow, and not old.
            Ok(reply) if reply.status == 408 && reply.connection_was_reused => {
                self.link.close_kept();
                self.attempt(request, limits, deadline).map_err(|(e, _)| e)
            }
            Err((error, true)) => {
                self.link.forget_addresses();
                self.attempt(request, limits, deadline).map_err(|(e, _)| TransportError {
                    detail: format!("{} (after reconnecting: {})", e.detail, error.detail),
                    is_possibly_delivered: true,
                    ..e
                })
            }
            outcome => outcome.map_err(|(e, _)| e),
        }
    }

    /// One attempt; on failure also says whether a second one on a new connection is safe.
    #[allow(clippy::result_large_err, reason = "made once an exchange")]
    fn attempt(
        &self,
        request: &WireRequest<'_>,
        limits: &ExchangeLimits,
        deadline: Instant,
    ) -> Result<WireReply, (TransportError, bool)> {
        if limits.is_cancelled() {
            return Err((cancelled(Phase::Prepare), false));
        }
        self.link.begin(limits.cancel.as_ref());
        let outcome = self.send(request, limits, deadline);
        let outcome = outcome.and_then(|mut response| {
            self.link.enter(Phase::Body);
            let (body, body_error) = self.read_body(&mut response, limits);
            let body_error = body_error.or_else(|| compressed(response.headers(), &body));
            if body_error.as_ref().is_some_and(|e| e.kind == TransportErrorKind::Cancelled) {
                return Err(cancelled(Phase::Body));
            }
            Ok(WireReply {
                status: response.status().as_u16(),
                headers: std::mem::take(response.headers_mut()),
                body,
                body_error,
                connection_was_reused: !self.link.is_fresh(),
                is_mutually_authenticated: self.link.is_mutual(),
            })
        });
        outcome.map_err(|error| {
            let lost_kept_connection =
                error.kind == TransportErrorKind::Broken && !self.link.is_fresh() && !self.link.has_received();
            if error.kind == TransportErrorKind::Connect {
                self.link.forget_addresses();
            }
            (error, lost_kept_connection)
        })
    }

    fn send(
        &self,
        request: &WireRequest<'_>,
        limits: &ExchangeLimits,
        deadline: Instant,
    ) -> Result<ureq::http::Response<ureq::Body>, TransportError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let head = self.build(request)?;
        let outcome = match request.body {
            Some(body) => self.run(head.map(|()| body), limits, left),
            None => self.run(head, limits, left),
        };
        outcome.map_err(|e| self.explain(e, request.url, limits))
    }

    fn run(
        &self,
        request: Request<impl ureq::AsSendBody>,
        limits: &ExchangeLimits,
        left: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let configured = self
            .agent
            .configure_request(request)
            .timeout_global(Some(left))
            .timeout_resolve(Some(limits.connect_timeout))
            .timeout_connect(Some(limits.connect_timeout))
            .timeout_per_read(Some(limits.read_timeout))
            .timeout_per_write(Some(limits.read_timeout))
            .build();
        self.agent.run(configured)
    }

    fn build(&self, request: &WireRequest<'_>) -> Result<Request<()>, TransportError> {
        let invalid = |what: String| TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, what);
        let text = request.url.to_string();
        let uri: ureq::http::Uri =
            text.parse().map_err(|e| invalid(format!("{text}: {e}; other characters are percent-encoded")))?;
        if uri.path_and_query().map(|p| p.as_str()) != Some(request.url.target()) {
            return Err(invalid(format!("{text}: the path would not be sent as written")));
        }
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut builder = Request::builder().method(method).uri(uri);
        if self.config.use_http_1_0 {
            builder = builder.version(Version::HTTP_10).header(header::CONNECTION, "keep-alive");
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        // RFC 9110 section 12.5.3: nothing here undoes a coding, and a signed message gains nothing by one.
        if !self.config.headers.iter().any(|(name, _)| name.to_string().eq_ignore_ascii_case("accept-encoding")) {
            builder = builder.header(header::ACCEPT_ENCODING, "identity");
        }
        for (name, value) in &self.config.headers {
            builder = builder.header(name, value);
        }
        // Inside a tunnel the proxy reads nothing, and the server must not.
        if let (Some(value), Some(_), Scheme::Http) =
            (&self.config.proxy_authorization, &self.config.proxy, request.url.scheme())
        {
            builder = builder.header(header::PROXY_AUTHORIZATION, value.as_str());
        }
        builder.body(()).map_err(|e| invalid(format!("a header cannot be sent: {e}")))
    }

    fn read_body(
        &self,
        response: &mut ureq::http::Response<ureq::Body>,
        limits: &ExchangeLimits,
    ) -> (Vec<u8>, Option<TransportError>) {
        let limit = limits.max_reply_bytes;
        let too_large = |found: String| {
            let detail = format!("the answer's body is larger than the limit of {limit} bytes{found}");
            TransportError::new(TransportErrorKind::TooLarge, Phase::Body, detail)
        };
        let announced = response.body().content_length();
        if let Some(length) = announced.filter(|l| *l > limit as u64) {
            return (Vec::new(), Some(too_large(format!(": it announces {length}"))));
        }
        // What is announced is believed only so far: memory grows with what really comes.
        let mut body = Vec::with_capacity(announced.unwrap_or(0).min(64 * 1024) as usize);
        let mut reader = response.body_mut().as_reader().take(limit as u64 + 1);
        let error = match reader.read_to_end(&mut body) {
            _ if limits.is_cancelled() => Some(cancelled(Phase::Body)),
            Ok(_) if body.len() > limit => Some(too_large(String::new())),
            Ok(_) => None,
            Err(e) => Some(self.explain_body(e.into(), body.len(), announced, limits)),
        };
        body.truncate(limit);
        (body, error)
    }

    fn explain_body(
        &self,
        error: ureq::Error,
        read: usize,
        announced: Option<u64>,
        limits: &ExchangeLimits,
    ) -> TransportError {
        let so_far = match announced {
            Some(length) => format!("{read} of {length} bytes of the answer's body came"),
            None => format!("{read} bytes of the answer's body came, its end did not"),
        };
        let mut error = self.translate(error, limits);
        error.detail = format!("{so_far}: {}", error.detail);
        error
    }

    fn explain(&self, error: ureq::Error, url: &Url, limits: &ExchangeLimits) -> TransportError {
        let was_closed = match &error {
            ureq::Error::Io(e) => {
                let known = e.get_ref().and_then(|e| e.downcast_ref::<TransportError>());
                known.is_some_and(|known| known.cause == Some(Cause::ClosedUnanswered))
                    || matches!(
                        e.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
                    )
            }
            _ => false,
        };
        let mut error = self.translate(error, limits);
        // Of a server that was spoken to in the clear, and directly, this may mean that it expects TLS.
        let may_want_tls = url.scheme() == Scheme::Http && self.config.proxy.is_none() && !self.link.has_received();
        let is_closed = error.kind == TransportErrorKind::Broken && was_closed && may_want_tls;
        error.cause = error.cause.filter(|cause| *cause != Cause::ClosedUnanswered);
        error.cause = error.cause.or(is_closed.then_some(Cause::ClosedUnanswered));
        let is_wait = matches!(error.kind, TransportErrorKind::Connect | TransportErrorKind::Timeout);
        // What the proxy itself has answered is told as that already.
        let is_proxys = is_wait && error.party == Party::Server && self.link.is_about_proxy();
        match self.config.proxy.as_ref().filter(|_| is_proxys) {
            Some(proxy) => {
                error.party = Party::Proxy;
                error.detail =
                    format!("{url}: the proxy {}://{}: {}", proxy.scheme().name(), proxy.authority(), error.detail);
            }
            None => error.detail = format!("{url}: {}", error.detail),
        }
        error
    }

    fn translate(&self, error: ureq::Error, limits: &ExchangeLimits) -> TransportError {
        let phase = self.link.phase();
        if limits.is_cancelled() {
            return cancelled(phase);
        }
        let broken = match phase {
            Phase::Prepare | Phase::Resolve | Phase::Connect => TransportErrorKind::Connect,
            Phase::Tls => TransportErrorKind::Tls,
            Phase::Send | Phase::Await | Phase::Body => TransportErrorKind::Broken,
        };
        let cause = match &error {
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => Some(Cause::NothingListens),
            ureq::Error::Io(_) if phase == Phase::Body => Some(Cause::CutShort),
            _ => None,
        };
        let (kind, detail) = match error {
            ureq::Error::Timeout(which) => (TransportErrorKind::Timeout, describe_timeout(which, limits)),
            ureq::Error::HostNotFound => (TransportErrorKind::Connect, "the host has no address".to_owned()),
            ureq::Error::LargeResponseHeader(..) => {
                (TransportErrorKind::TooLarge, format!("the answer's header is larger than {MAX_HEADER_BYTES} bytes"))
            }
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                (TransportErrorKind::Timeout, e.to_string())
            }
            ureq::Error::Io(e) => match e.get_ref().and_then(|e| e.downcast_ref::<TransportError>()) {
                Some(known) => return known.clone(),
                None if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    (broken, "the server closed the connection".to_owned())
                }
                None => (broken, e.to_string()),
            },
            // Header and chunks have been written anew before the library saw them.
            ureq::Error::Protocol(_) => (
                TransportErrorKind::Broken,
                "the answer's body is not as HTTP has it (RFC 9112 section 6.3)".to_owned(),
            ),
            ureq::Error::BadUri(e) => (TransportErrorKind::Invalid, e),
            ureq::Error::Http(e) => (TransportErrorKind::Invalid, e.to_string()),
            other => (broken, other.to_string()),
        };
        TransportError { cause, ..TransportError::new(kind, phase, detail) }
    }
}

fn describe_timeout(which: ureq::Timeout, limits: &ExchangeLimits) -> String {
    let (what, limit) = match which {
        ureq::Timeout::Connect | ureq::Timeout::Resolve => ("no connection", limits.connect_timeout),
        ureq::Timeout::PerRead => ("the server was silent", limits.read_timeout),
        ureq::Timeout::PerWrite => ("the server took no more bytes", limits.read_timeout),
        _ => ("the exchange was not complete", limits.total_timeout),
    };
    format!("{what} within {}", crate::words::duration(limit))
}

/// Retry-After in seconds (RFC 9110 section 10.2.3). A date counts from the server's own clock, as its Date has it, or else from
/// the system's.
pub(super) fn retry_after_seconds(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit mean "a very long time".
        return Some(value.parse().unwrap_or(u32::MAX));
    }
    let until = Time::from_http_date(value)?;
    let theirs = headers.get(header::DATE).and_then(|date| Time::from_http_date(date.to_str().ok()?));
    let seconds = until.since(theirs.unwrap_or_else(system_time));
    Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

fn system_time() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Refuses a body that is compressed, by its header or, without one, by the mark of gzip. A header that is not true harms
/// nobody: what begins like DER or text is not compressed.
pub(super) fn compressed(headers: &HeaderMap, body: &[u8]) -> Option<TransportError> {
    let told =
        header_text(headers, header::CONTENT_ENCODING).filter(|coding| !coding.trim().eq_ignore_ascii_case("identity"));
    let coding = match (told, body) {
        (_, [] | [0x30, ..]) => return None,
        (Some(coding), _) if super::words::words_of(body).is_none() => coding,
        (None, [0x1f, 0x8b, 0x08, ..]) => "gzip".to_owned(),
        _ => return None,
    };
    let detail = format!("the answer's body is compressed ({coding}) although only \"identity\" was accepted");
    Some(TransportError::new(TransportErrorKind::ContentType, Phase::Body, detail))
}

/// A header's text, cut to a length fit for messages.
pub(super) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    Some(value.chars().filter(|c| !c.is_control()).take(256).collect())
}

/// Where a redirect points.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(header::LOCATION)?.to_str().ok().map(str::to_owned)
}

fn cancelled(phase: Phase) -> TransportError {
    TransportError::new(TransportErrorKind::Cancelled, phase, "cancelled by the caller")
}

fn unsupported(detail: String) -> TransportError {
    TransportError::new(TransportErrorKind::Unsupported, Phase::Prepare, detail)
}
