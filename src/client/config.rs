//! Settings of a client and their defaults.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::signer_status::SignerFetch;
use super::status::{StatusMemory, StatusOptions, add_kept_crls};
use crate::asn1::cmp::InfoTypeAndValue;
use crate::asn1::der::Cursor;
use crate::asn1::name::Name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::cmp::{
    Acceptance, Context, Credential, MacParameters, Possession, Profile, Signer, SignerAuthorisation, Tolerance,
};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{Provider, SignatureAlgorithm, default_provider};
use crate::error::Error;
use crate::limits::{self, Limits};
use crate::store::Store;
use crate::transport::{Cancel, Exchange, ExchangeLimits, Scheme, TlsConfig, TransportError, Url};
use crate::validation::{RevocationPolicy, StatusSources, TrustAnchors};

/// What a client is to be; [`Config::build`] checks it and makes the client.
///
/// Anchors for answers (CMP) and for issued certificates (enrolment) are separate sets; neither is filled from anywhere
/// but here.
#[derive(Clone)]
pub struct Config {
    provider: Arc<dyn Provider>,
    credential: Option<Credential>,
    profile_mac: Option<MacParameters>,
    /// URL of the CMP server for the built-in HTTP client; the path is used as it stands.
    pub server_url: Option<String>,
    /// HTTP proxy, `http://host:port`; the environment is never asked.
    pub proxy_url: Option<String>,
    /// User name and password for the proxy (RFC 7617).
    pub proxy_login: Option<(String, Zeroizing<String>)>,
    /// Speak HTTP/1.0, for servers that know nothing else.
    pub use_http_1_0: bool,
    /// For `https`: who the server may be, and how the client shows itself. Its anchors are a set of their own.
    pub tls: TlsConfig,
    /// For `coap`: sizes and times.
    #[cfg(feature = "coap")]
    pub coap: crate::transport::CoapConfig,
    /// Timeouts and sizes of one exchange.
    pub exchange_limits: ExchangeLimits,
    /// How often a message is sent again when the server was not reached or was busy, so that it cannot have been
    /// processed.
    pub max_retries: u32,
    /// Who may sign answers.
    pub cmp_anchors: TrustAnchors,
    /// Where issued certificates lead.
    pub enrolment_anchors: TrustAnchors,
    /// Untrusted helpers for both.
    pub intermediates: Vec<Certificate>,
    /// See [`Context::recipient`].
    pub recipient: Option<Name>,
    /// See [`Context::authorisation`].
    pub authorisation: SignerAuthorisation,
    /// See [`Context::signer_status`].
    pub signer_status: StatusSources,
    /// See [`Context::signer_revocation`].
    pub signer_revocation: RevocationPolicy,
    signer_fetch: Option<(StatusOptions, Arc<StatusMemory>)>,
    /// See [`Context::ask_implicit_confirm`].
    pub ask_implicit_confirm: bool,
    /// See [`Context::cert_profile`].
    pub cert_profile: Option<String>,
    general_info: Vec<InfoTypeAndValue>,
    /// See [`Context::send_message_time`].
    pub send_message_time: bool,
    /// See [`Context::accept_ca_pubs`].
    pub accept_ca_pubs: bool,
    /// See [`Context::adopt_root_of_ip`].
    pub adopt_root_of_ip: bool,
    /// SHA-256 of roots known by nothing else: see [`Context::root_fingerprints`].
    pub root_fingerprints: Vec<[u8; 32]>,
    /// See [`Context::message_time_window_seconds`].
    pub message_time_window_seconds: Option<u32>,
    /// How far two clocks may be apart, wherever they meet: see [`Context::clock_skew_seconds`]; also for thisUpdate of status
    /// data about signers where `signer_revocation` leaves it at its default, and for notBefore of TLS servers.
    pub clock_skew_seconds: u32,
    /// See [`Context::acceptance`].
    pub acceptance: Acceptance,
    /// See [`Context::limits`].
    pub limits: Limits,
    /// See [`Context::tolerance`].
    pub tolerance: Tolerance,
    /// How possession of new keys is proved, where not in the usual way; see [`Config::set_possession`].
    pub possession: Option<Possession>,
    /// Whether a key update asks for the usages, purposes and policies of the old certificate, not for its names alone.
    pub renew_with_uses: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config::with_provider(default_provider())
    }
}

impl Config {
    /// Defaults with the default provider.
    pub fn new() -> Self {
        Config::default()
    }

    /// Defaults with another provider.
    pub fn with_provider(provider: Arc<dyn Provider>) -> Self {
        Config {
            tls: TlsConfig::with_provider(Arc::clone(&provider)),
            provider,
            credential: None,
            server_url: None,
            proxy_url: None,
            proxy_login: None,
            use_http_1_0: false,
            #[cfg(feature = "coap")]
            coap: crate::transport::CoapConfig::default(),
            exchange_limits: ExchangeLimits::default(),
            max_retries: 0,
            cmp_anchors: TrustAnchors::new(),
            enrolment_anchors: TrustAnchors::new(),
            intermediates: Vec::new(),
            recipient: None,
            authorisation: SignerAuthorisation::default(),
            signer_status: StatusSources::none(),
            signer_revocation: RevocationPolicy::default(),
            signer_fetch: None,
            ask_implicit_confirm: false,
            cert_profile: None,
            general_info: Vec::new(),
            send_message_time: true,
            accept_ca_pubs: false,
            adopt_root_of_ip: false,
            root_fingerprints: Vec::new(),
            profile_mac: None,
            message_time_window_seconds: Some(3600),
            clock_skew_seconds: limits::CLOCK_SKEW_SECONDS,
            acceptance: Acceptance::default(),
            limits: Limits::default(),
            tolerance: Tolerance::default(),
            possession: None,
            renew_with_uses: false,
        }
    }

    /// Whether they say who the device is.
    pub(in crate::client) fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    /// The provider.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// Protect requests with the key of a certificate; `chain` holds its issuers, in any order or none.
    pub fn protect_with_certificate(&mut self, signer: Signer, certificate: Certificate, chain: Vec<Certificate>) {
        // By the certificate's identifier of the key: peers verify by that, whatever label the key's own file has.
        let algorithm = SignatureAlgorithm::default_for(certificate.spki(), signer.kind());
        self.credential = Some(Credential::Signature { signer, certificate, chain, algorithm });
    }

    /// The same, as people have it at hand: a list with the certificate first and its issuers behind it. Key and
    /// certificate must belong together.
    pub fn set_credential(&mut self, signer: Signer, chain: &[Certificate]) -> Result<(), Error> {
        let [certificate, chain @ ..] = chain else {
            return Err(Error::new(Code::InvalidArgument, "an empty chain: the credential's certificate comes first"));
        };
        if !same_public_key(certificate.spki(), signer.spki()) {
            let name = crate::asn1::name::display(certificate.subject());
            let words = format!("the certificate of {name} is not over the key that came with it");
            return Err(Error::new(Code::KeyMismatch, words));
        }
        self.protect_with_certificate(signer, certificate.clone(), chain.to_vec());
        Ok(())
    }

    /// Do not protect requests at all: client and server know each other by TLS with certificates on both sides. Needs
    /// an `https` server, TLS anchors and a TLS credential. For CAs that want it so; see [`Credential::MutualTls`].
    pub fn protect_by_mutual_tls(&mut self) {
        self.credential = Some(Credential::MutualTls { sender: Vec::new() });
    }

    /// How the MAC under the shared secret is made.
    pub fn set_mac_parameters(&mut self, wanted: MacParameters) -> Result<(), Error> {
        match &mut self.credential {
            Some(Credential::Mac { parameters, .. }) => {
                *parameters = wanted;
                Ok(())
            }
            _ => Err(Error::new(Code::State, "MAC parameters are set before the shared secret")),
        }
    }

    /// Protect requests with a secret shared with the CA, known there by the reference value.
    pub fn protect_with_secret(&mut self, reference: &[u8], secret: &[u8], parameters: MacParameters) {
        let secret = Zeroizing::new(secret.to_vec());
        self.credential = Some(Credential::Mac { reference: reference.to_vec(), secret, parameters });
    }

    /// The signature algorithm of the protection, where the key's default is not what the CA wants.
    pub fn set_protection_algorithm(&mut self, wanted: SignatureAlgorithm) -> Result<(), Error> {
        match &mut self.credential {
            Some(Credential::Signature { signer, algorithm, .. }) if wanted.fits(signer.kind()) => {
                *algorithm = wanted;
                Ok(())
            }
            Some(Credential::Signature { signer, .. }) => {
                let words = format!("{wanted} cannot be made by a key of type {}", signer.kind());
                Err(Error::new(Code::Algorithm, words))
            }
            _ => Err(Error::new(Code::State, "a signature algorithm is set before the key that signs")),
        }
    }

    /// Uses what device memory keeps for signers of answers: its CRLs as they are now, who was revoked before, and the highest
    /// CRL numbers seen.
    ///
    /// # Errors
    ///
    /// Device memory cannot be read.
    pub fn use_signer_store(&mut self, store: &Arc<Store>) -> Result<(), Error> {
        join_memory(&mut self.signer_status, &self.provider, store)
    }

    /// Uses what device memory keeps, as it is now, for TLS servers too.
    ///
    /// # Errors
    ///
    /// Device memory cannot be read.
    #[cfg(all(feature = "settings", unix))]
    pub(crate) fn use_tls_store(&mut self, store: &Arc<Store>) -> Result<(), Error> {
        join_memory(&mut self.tls.status, &self.provider, store)
    }

    /// Adds a root that is known by its SHA-256 alone, in hexadecimal with or without colons: see
    /// [`Context::root_fingerprints`]. No other anchors are needed then.
    ///
    /// Errors: [`Code::InvalidArgument`] for what is no SHA-256.
    pub fn add_root_fingerprint(&mut self, text: &str) -> Result<(), Error> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b':' | b' ' | b'-')).collect();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let bytes: Option<Vec<u8>> =
            digits.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect();
        let fingerprint = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let words = "a root's fingerprint is a SHA-256: 64 hexadecimal digits, with or without colons";
        self.root_fingerprints.push(fingerprint.ok_or_else(|| Error::new(Code::InvalidArgument, words))?);
        Ok(())
    }

    /// What a known CA needs, by name: see [`Profile::NAMES`] and `docs/known-cas.md`. Replaces the tolerances set so far;
    /// switches set later hold on top of it. Its MAC parameters hold where they are left at the default.
    ///
    /// Errors: [`Code::InvalidArgument`] for an unknown name.
    pub fn apply_profile(&mut self, name: &str) -> Result<(), Error> {
        let profile = Profile::named(name)?;
        self.tolerance = profile.tolerance;
        self.profile_mac = profile.mac;
        self.ask_implicit_confirm = profile.ask_implicit_confirm.unwrap_or(self.ask_implicit_confirm);
        self.max_retries = profile.max_retries.unwrap_or(self.max_retries);
        self.acceptance = profile.acceptance.unwrap_or(self.acceptance);
        Ok(())
    }

    /// What the profile says of MACs, for whoever says it again with what else is set: the profile says nothing from here on.
    #[cfg(feature = "settings")]
    pub(in crate::client) fn take_profile_mac(&mut self) -> Option<MacParameters> {
        self.profile_mac.take()
    }

    /// Only these certificates, and those pinned before, may sign answers: see [`SignerAuthorisation::pins`]. What else is
    /// said of the signer holds as well. They also help to build paths, so that answers need not bring them.
    pub fn pin_signers(&mut self, certificates: Vec<Certificate>) {
        self.intermediates.extend(certificates.iter().cloned());
        self.authorisation.pins.get_or_insert_default().extend(certificates);
    }

    /// Gets status data about signers of answers by the URLs in their certificates (CDP, AIA), as for peers, over the proxy and the
    /// TLS of these settings; what is good is kept in this memory. [`Config::signer_revocation`] says what follows where there is none.
    ///
    /// Operations that [`Client`] runs do so, renewals among them. Who feeds answers by hand gives the data too
    /// ([`Config::signer_status`]), or calls [`Client::ask_about_signer`].
    pub fn fetch_signer_status(&mut self, options: StatusOptions, memory: Arc<StatusMemory>) {
        self.signer_fetch = Some((options, memory));
    }

    /// Adds an item to generalInfo of requests, such as a vendor's: its identifier, and its value in DER or nothing.
    ///
    /// Errors: the value is not one element of DER; the item is one that this library sets by itself.
    pub fn add_general_info(&mut self, info_type: Oid, value: &[u8]) -> Result<(), Error> {
        if !value.is_empty() {
            let mut one = Cursor::new(value, "infoValue")?;
            one.any("one element")?;
            one.finish()?;
        }
        if [oid::IT_IMPLICIT_CONFIRM, oid::IT_CERT_PROFILE].contains(&info_type) {
            let words = format!("{info_type} has a setting of its own");
            return Err(Error::new(Code::InvalidArgument, words));
        }
        self.general_info.push(InfoTypeAndValue { info_type, value: value.to_vec() });
        Ok(())
    }

    /// How possession of new keys is proved (RFC 9810 section 5.2.8): `encrCert` or `challengeResp`, by keys to which
    /// something can be encrypted; `signature`, by keys that can sign, which is usual.
    pub fn set_possession(&mut self, name: &str) -> Result<(), Error> {
        self.possession = match name {
            "signature" => None,
            "encrCert" => Some(Possession::EncryptedCertificate),
            "challengeResp" => Some(Possession::Challenge),
            other => {
                let words =
                    format!("'{other}' is not a proof of possession: signature, encrCert and challengeResp are");
                return Err(Error::new(Code::InvalidArgument, words));
            }
        };
        Ok(())
    }

    /// CoAP over the caller's own datagrams, to the server of these settings: for renewals, whose clients are made while they run.
    #[cfg(feature = "coap")]
    pub fn coap_over(
        &self,
        datagrams: Box<dyn crate::transport::coap::Datagrams>,
    ) -> Result<crate::transport::CoapExchange, Error> {
        Ok(crate::transport::CoapExchange::over(server_of(self.server_url.as_deref())?, self.coap.clone(), datagrams)?)
    }

    /// Checks the settings and makes the client.
    pub fn build(&self) -> Result<Client, Error> {
        let mut credential = self.credential.clone().ok_or_else(|| {
            Error::new(Code::InvalidArgument, "no credential: set a certificate with its key, or a shared secret")
        })?;
        credential = match credential {
            Credential::MutualTls { .. } => {
                let no_certificate = "mutual TLS is to protect messages, and there is no TLS certificate to show";
                let certificate = self.tls.certificate();
                let certificate = certificate.ok_or_else(|| Error::new(Code::InvalidArgument, no_certificate))?;
                Credential::MutualTls { sender: certificate.subject().to_vec() }
            }
            other => other,
        };
        if let (Credential::Mac { parameters, .. }, Some(wanted)) = (&mut credential, self.profile_mac) {
            if *parameters == MacParameters::PASSWORD_BASED {
                *parameters = wanted;
            }
        }
        let mut signer_revocation = self.signer_revocation.clone().looking_at(&self.signer_status);
        if signer_revocation.clock_skew_seconds == limits::CLOCK_SKEW_SECONDS {
            signer_revocation.clock_skew_seconds = self.clock_skew_seconds;
        }
        let mut tls = self.tls.clone();
        // Nobody is trusted for being among them: what the device has of its own helps wherever a path is looked for.
        tls.intermediates.extend(self.intermediates.iter().cloned());
        tls.clock_skew_seconds = self.clock_skew_seconds;
        let context = Context {
            cmp_anchors: self.cmp_anchors.clone(),
            enrolment_anchors: self.enrolment_anchors.clone(),
            intermediates: self.intermediates.clone(),
            recipient: self.recipient.clone(),
            authorisation: self.authorisation.clone(),
            signer_status: self.signer_status.clone(),
            signer_revocation,
            ask_implicit_confirm: self.ask_implicit_confirm,
            cert_profile: self.cert_profile.clone(),
            general_info: self.general_info.clone(),
            send_message_time: self.send_message_time,
            accept_ca_pubs: self.accept_ca_pubs,
            adopt_root_of_ip: self.adopt_root_of_ip,
            root_fingerprints: self.root_fingerprints.clone(),
            message_time_window_seconds: self.message_time_window_seconds,
            clock_skew_seconds: self.clock_skew_seconds,
            acceptance: self.acceptance,
            limits: self.limits.clone(),
            tolerance: self.tolerance.clone(),
            ..Context::new(Arc::clone(&self.provider), credential)
        };
        let mut exchange_limits = self.exchange_limits.clone();
        exchange_limits.max_reply_bytes = self.limits.max_message_bytes;
        Ok(Client {
            context: Arc::new(context),
            way: Arc::new(Way {
                server_url: self.server_url.clone(),
                proxy_url: self.proxy_url.clone(),
                proxy_login: self.proxy_login.clone(),
                use_http_1_0: self.use_http_1_0,
                tls: Arc::new(tls),
                #[cfg(feature = "coap")]
                coap: self.coap.clone(),
            }),
            exchange_limits,
            max_retries: self.max_retries,
            possession: self.possession,
            renew_with_uses: self.renew_with_uses,
            signer_fetch: self.signer_fetch()?.map(Arc::new),
        })
    }

    #[cfg(feature = "http")]
    fn signer_fetch(&self) -> Result<Option<SignerFetch>, Error> {
        use super::status::built_in_over;
        use crate::transport::Fetch;
        let Some((options, memory)) = &self.signer_fetch else { return Ok(None) };
        let network = self.http_config()?;
        let open = Box::new(move |options: &StatusOptions| {
            built_in_over(options, network.clone()).map(|way| Box::new(way) as Box<dyn Fetch>)
        });
        Ok(Some(SignerFetch::new(&self.provider, options.clone(), Arc::clone(memory), &self.signer_status, open)))
    }

    #[cfg(not(feature = "http"))]
    fn signer_fetch(&self) -> Result<Option<SignerFetch>, Error> {
        match &self.signer_fetch {
            None => Ok(None),
            Some(_) => {
                Err(Error::new(Code::Unsupported, "status of signers is fetched by HTTP, which is not built in"))
            }
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("credential", &self.credential)
            .field("server_url", &self.server_url)
            .finish_non_exhaustive()
    }
}

/// A client: settings that were checked, shared by its operations. Cheap to clone, safe to share between threads.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) context: Arc<Context>,
    way: Arc<Way>,
    exchange_limits: ExchangeLimits,
    pub(super) max_retries: u32,
    pub(super) possession: Option<Possession>,
    pub(super) renew_with_uses: bool,
    pub(super) signer_fetch: Option<Arc<SignerFetch>>,
}

/// The way to the server.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "for the built-in HTTP client"))]
#[derive(Clone)]
struct Way {
    server_url: Option<String>,
    proxy_url: Option<String>,
    proxy_login: Option<(String, Zeroizing<String>)>,
    use_http_1_0: bool,
    tls: Arc<TlsConfig>,
    #[cfg(feature = "coap")]
    coap: crate::transport::CoapConfig,
}

fn server_of(url: Option<&str>) -> Result<&str, Error> {
    url.ok_or_else(|| Error::new(Code::InvalidArgument, "no server URL in the settings, and no exchange was given"))
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("server_url", &self.server_url).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Client {
    /// The settings of its operations.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// How often a message is sent again: see [`Config::max_retries`].
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

    /// Timeouts and sizes of one exchange.
    pub fn exchange_limits(&self) -> &ExchangeLimits {
        &self.exchange_limits
    }

    /// The error with the path of the server's URL among its facts, if it is about an exchange with it.
    pub fn with_path(&self, error: Error) -> Error {
        let url = self.way.server_url.as_deref().and_then(|url| Url::parse(url).ok());
        match url {
            Some(url) if error.facts().phase.is_some() => error
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
            Scheme::Coap => Ok(Box::new(crate::transport::CoapExchange::new(url, self.way.coap.clone())?)),
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
        Ok(crate::transport::CoapExchange::over(url, self.way.coap.clone(), datagrams)?)
    }

    /// The server's URL, checked against the rest of the settings.
    fn server(&self) -> Result<(&str, Scheme), Error> {
        let url = server_of(self.way.server_url.as_deref())?;
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
        use crate::transport::{HttpConfig, HttpExchange};
        let way = &*self.way;
        let (url, _) = self.server()?;
        let network = network(&way.tls, way.proxy_url.as_deref(), way.proxy_login.as_ref(), way.use_http_1_0)?;
        let config = HttpConfig { strict_content_type: !self.context.tolerance.other_content_type, ..network };
        Ok(HttpExchange::new(url, config)?)
    }
}

#[cfg(feature = "http")]
impl Config {
    /// How these settings go to any server by HTTP: proxy, TLS. For fetching status data and documents the same way.
    pub fn http_config(&self) -> Result<crate::transport::HttpConfig, Error> {
        let tls = Arc::new(self.tls.clone());
        network(&tls, self.proxy_url.as_deref(), self.proxy_login.as_ref(), self.use_http_1_0)
    }
}

#[cfg(feature = "http")]
fn network(
    tls: &Arc<TlsConfig>,
    proxy: Option<&str>,
    login: Option<&(String, Zeroizing<String>)>,
    use_http_1_0: bool,
) -> Result<crate::transport::HttpConfig, Error> {
    use crate::transport::HttpConfig;
    Ok(HttpConfig {
        tls: (!tls.anchors.is_empty()).then(|| Arc::clone(tls)),
        proxy: proxy.map(|url| url_of("set_proxy (devid_config_set_proxy, ca.proxy.url)", url)).transpose()?,
        proxy_authorization: login.map(|(user, password)| HttpConfig::basic(user, password)).transpose()?,
        use_http_1_0,
        ..HttpConfig::default()
    })
}

/// A URL of the settings; an error says which it is.
fn url_of(setting: &str, url: &str) -> Result<Url, TransportError> {
    Url::parse(url).map_err(|error| TransportError { detail: format!("{setting}: {}", error.detail), ..error })
}

/// Lists that device memory keeps, who was revoked before, and the highest CRL numbers seen.
fn join_memory(status: &mut StatusSources, provider: &Arc<dyn Provider>, store: &Arc<Store>) -> Result<(), Error> {
    add_kept_crls(provider, store, status)?;
    (status.crl_numbers, status.revoked) = (Vec::new(), Vec::new());
    StatusMemory::new(provider.clone(), Some(store.clone())).join(status);
    Ok(())
}
