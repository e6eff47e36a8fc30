//! A client, and its way to the server: the exchange by HTTP or CoAP that its settings ask for.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::signer_status::SignerFetch;
use super::status::StatusMemory;
use crate::cmp::{Context, Credential, Possession};
use crate::codes::Code;
use crate::error::Error;
use crate::store::Store;
use crate::transport::{Cancel, Exchange, ExchangeLimits, Scheme, TlsConfig, TransportError, Url};

/// A client: settings that were checked, shared by its operations. Cheap to clone, safe to share between threads.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) context: Arc<Context>,
    pub(super) way: Arc<Way>,
    pub(super) exchange_limits: ExchangeLimits,
    pub(super) max_retries: u32,
    pub(super) possession: Option<Possession>,
    pub(super) renew_with_uses: bool,
    pub(super) signer_fetch: Option<Arc<SignerFetch>>,
}

/// Where the server is, and how the built-in clients reach it: of a [`Config`](crate::client::Config), and of the client that it makes.
#[derive(Clone, Default)]
pub struct ServerOptions {
    /// URL of the CMP server for the built-in clients; the path is used as it stands.
    pub url: Option<String>,
    /// HTTP proxy, `http://host:port`; the environment is never asked.
    pub proxy_url: Option<String>,
    /// User name and password for the proxy (RFC 7617).
    pub proxy_login: Option<(String, Zeroizing<String>)>,
    /// Speak HTTP/1.0, for servers that know nothing else.
    pub use_http_1_0: bool,
    /// For `coap`: sizes and times.
    #[cfg(feature = "coap")]
    pub coap: crate::transport::CoapConfig,
}

impl ServerOptions {
    pub(super) fn url(&self) -> Result<&str, Error> {
        let url = self.url.as_deref();
        url.ok_or_else(|| Error::new(Code::InvalidArgument, "no server URL in the settings, and no exchange was given"))
    }

    /// The same way to any server by HTTP.
    #[cfg(feature = "http")]
    pub(super) fn http_config(&self, tls: &Arc<TlsConfig>) -> Result<crate::transport::HttpConfig, Error> {
        use crate::transport::HttpConfig;
        let proxy = self.proxy_url.as_deref();
        let login = self.proxy_login.as_ref();
        Ok(HttpConfig {
            tls: (!tls.anchors.is_empty()).then(|| Arc::clone(tls)),
            proxy: proxy.map(|url| url_of("set_proxy (devid_config_set_proxy, ca.proxy.url)", url)).transpose()?,
            proxy_authorization: login.map(|(user, password)| HttpConfig::basic(user, password)).transpose()?,
            use_http_1_0: self.use_http_1_0,
            ..HttpConfig::default()
        })
    }
}

/// Without the password.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The way to the server.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) server: ServerOptions,
    pub(super) tls: Arc<TlsConfig>,
}

impl Client {
    /// The settings of its operations.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// How often a message is sent again: see [`Config::max_retries`](crate::client::Config::max_retries).
    pub fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// The same client, whose blocking calls end when the switch is triggered; `None`: by no switch.
    #[must_use]
    pub fn with_cancel(&self, cancel: Option<Cancel>) -> Client {
        let exchange_limits = ExchangeLimits { cancel, ..self.exchange_limits.clone() };
        Client { exchange_limits, ..self.clone() }
    }

    /// How it speaks TLS.
    #[cfg(feature = "http")]
    pub(super) fn tls(&self) -> &TlsConfig {
        &self.way.tls
    }

    /// The same client on another way: it speaks TLS like this.
    #[cfg(feature = "http")]
    #[must_use]
    pub(super) fn over_tls(&self, tls: TlsConfig) -> Client {
        let way = Way { tls: Arc::new(tls), ..(*self.way).clone() };
        Client { way: Arc::new(way), ..self.clone() }
    }

    /// The same client, which asks this device memory about TLS servers, as
    /// [`Config::use_signer_store`](crate::client::Config::use_signer_store) has it. For the way of an operation that is bound to it.
    #[must_use]
    pub fn asking(&self, store: &Store) -> Client {
        let mut tls = (*self.way.tls).clone();
        StatusMemory::of_store(store).attach(&mut tls.status);
        let way = Way { tls: Arc::new(tls), ..(*self.way).clone() };
        Client { way: Arc::new(way), ..self.clone() }
    }

    /// Timeouts and sizes of one exchange.
    pub fn exchange_limits(&self) -> &ExchangeLimits {
        &self.exchange_limits
    }

    /// The error with the path of the server's URL among its facts, if it is about an exchange with it.
    pub fn with_path(&self, error: Error) -> Error {
        let url = self.way.server.url.as_deref().and_then(|url| Url::parse(url).ok());
        match url {
            Some(url) if !error.is_own() => error
                .with(|facts| facts.http_path = Some(url.target().split('?').next().unwrap_or_default().to_owned())),
            _ => error,
        }
    }

    /// The built-in client for the server of the settings: HTTP, HTTPS or CoAP, as its URL says.
    ///
    /// Errors: no URL; [`Code::Unsupported`] if the build lacks the client for it; settings that do not fit to it.
    pub fn exchange(&self) -> Result<Box<dyn Exchange + Send + Sync>, Error> {
        let (url, scheme) = self.server()?;
        match scheme {
            #[cfg(feature = "http")]
            Scheme::Http | Scheme::Https => Ok(Box::new(self.http()?)),
            #[cfg(feature = "coap")]
            Scheme::Coap => Ok(Box::new(crate::transport::CoapExchange::new(url, self.way.server.coap.clone())?)),
            #[cfg(not(all(feature = "http", feature = "coap")))]
            _ => {
                let words = format!("{url}: the {} client is not built in; bring an exchange", scheme.name());
                Err(Error::new(Code::Unsupported, words))
            }
        }
    }

    /// CoAP over the caller's own datagrams, to the server of the settings.
    #[cfg(feature = "coap")]
    pub fn coap_over(
        &self,
        datagrams: Box<dyn crate::transport::coap::Datagrams>,
    ) -> Result<crate::transport::CoapExchange, Error> {
        let (url, _) = self.server()?;
        Ok(crate::transport::CoapExchange::over(url, self.way.server.coap.clone(), datagrams)?)
    }

    /// The server's URL, checked against the rest of the settings.
    fn server(&self) -> Result<(&str, Scheme), Error> {
        let url = self.way.server.url()?;
        let scheme = url_of("set_server (devid_config_set_server, ca.server)", url)?.scheme();
        if matches!(self.context.credential, Credential::MutualTls { .. }) && scheme != Scheme::Https {
            let words = format!("{url}: mutual TLS is to protect messages, and this server is not asked by https");
            return Err(Error::new(Code::InvalidArgument, words));
        }
        Ok((url, scheme))
    }

    /// The built-in HTTP client for the server of the settings.
    #[cfg(feature = "http")]
    pub fn http(&self) -> Result<crate::transport::HttpExchange, Error> {
        let (url, config) = self.http_way()?;
        Ok(crate::transport::HttpExchange::new(url, config)?)
    }

    /// One message to the server of the settings by HTTP, without I/O: for event loops. Timeouts are the caller's.
    ///
    /// Errors: as [`Client::exchange`]; [`Code::Unsupported`] for CoAP, and for `https` through a proxy.
    #[cfg(feature = "http")]
    pub fn http_call(&self, message: &[u8]) -> Result<crate::transport::HttpCall, Error> {
        let (url, config) = self.http_way()?;
        Ok(crate::transport::HttpCall::new(url, &config, message, self.exchange_limits.max_reply_bytes)?)
    }

    #[cfg(feature = "http")]
    fn http_way(&self) -> Result<(&str, crate::transport::HttpConfig), Error> {
        let (url, _) = self.server()?;
        let network = self.way.server.http_config(&self.way.tls)?;
        let strict_content_type = !self.context.tolerance.other_content_type;
        Ok((url, crate::transport::HttpConfig { strict_content_type, ..network }))
    }
}

/// A URL of the settings; an error says which it is.
fn url_of(setting: &str, url: &str) -> Result<Url, TransportError> {
    Url::parse(url).map_err(|error| TransportError { detail: format!("{setting}: {}", error.detail), ..error })
}
