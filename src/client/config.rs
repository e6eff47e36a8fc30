//! Settings of a client and their defaults.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::signer_status::SignerFetch;
use super::status::{StatusMemory, StatusOptions};
use super::way::{Client, ServerOptions, Way};
use crate::asn1::x509::Certificate;
use crate::cmp::{Context, Credential, MacParameters, Options, Possession, Profile, SharedSecret, Signer};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{Provider, SignatureAlgorithm, default_provider};
use crate::defaults::with_defaults;
use crate::error::Error;
use crate::limits;
use crate::store::Store;
use crate::transport::{ExchangeLimits, TlsConfig};
use crate::validation::revocation_policy::check_skew;

with_defaults! {
    /// What a client is to be; [`Config::build`] checks it and makes the client. What can be chosen of CMP are its [`Options`], whose fields
    /// are reached as its own: `config.recipient`.
    ///
    /// Anchors for answers (CMP) and for issued certificates (enrolment) are separate sets; neither is filled from anywhere
    /// but here.
    #[derive(Clone)]
    pub struct Config {
        provider: Arc<dyn Provider> = Arc::clone(&provider),
        credential: Option<Credential>,
        profile_mac: Option<MacParameters>,
        pub(super) options: Options,
        /// Where the server is, and how it is reached.
        pub server: ServerOptions,
        /// For `https`: who the server may be, and how the client shows itself. Its anchors are a set of their own.
        pub tls: TlsConfig = TlsConfig::with_provider(Arc::clone(&provider)),
        /// Timeouts and sizes of one exchange.
        pub exchange_limits: ExchangeLimits,
        /// How often a message is sent again when the server was not reached or was busy, so that it cannot have been
        /// processed.
        pub max_retries: u32,
        signer_fetch: Option<(StatusOptions, Arc<StatusMemory>)>,
        /// How possession of new keys is proved, where not in the usual way; see [`Config::set_possession`].
        pub possession: Option<Possession>,
        /// Whether a key update asks for the usages, purposes and policies of the old certificate, not for its names alone.
        pub renew_with_uses: bool,
    } given provider: Arc<dyn Provider>
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
        Config::from_defaults(provider)
    }

    /// Whether a first contact may take roots that come along: by fingerprint, in caPubs, or as they are.
    pub fn takes_roots(&self) -> bool {
        self.adopt_root_of_ip || self.accept_ca_pubs || !self.root_fingerprints.is_empty()
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
    ///
    /// Errors: [`Code::InvalidArgument`] if the secret is none ([`SharedSecret::new`]); an earlier credential stays.
    pub fn protect_with_secret(
        &mut self,
        reference: &[u8],
        secret: &[u8],
        parameters: MacParameters,
    ) -> Result<(), Error> {
        let secret = SharedSecret::new(secret)?;
        self.credential = Some(Credential::Mac { reference: reference.to_vec(), secret, parameters });
        Ok(())
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

    /// Asks device memory about signers of answers and TLS servers: who was revoked before, the CRLs that it keeps at that moment, and
    /// the highest CRL numbers seen. What is bound to a device memory asks that by itself: operations that are installed there, renewals.
    pub fn use_signer_store(&mut self, store: &Store) {
        self.ask(&StatusMemory::of_store(store));
    }

    /// The one door by which a memory comes to be asked: whoever answers for the CA's side is looked up there.
    fn ask(&mut self, memory: &Arc<StatusMemory>) {
        memory.attach(&mut self.options.signer_status);
        memory.attach(&mut self.tls.status);
    }

    /// Adds trust anchors to every set at once: for signers of answers, issued certificates and HTTPS servers. For a PKI with one root
    /// for all; whoever signs answers under it must still be entitled to: see [`SignerAuthorisation`](crate::cmp::SignerAuthorisation).
    ///
    /// `certificates`: DER (one), PEM (any number) or PKCS#7.
    ///
    /// Errors: as [`TrustAnchors::add_bytes`](crate::validation::TrustAnchors::add_bytes); nothing is added then.
    pub fn add_anchors(&mut self, certificates: &[u8]) -> Result<(), Error> {
        self.cmp_anchors.add_bytes(certificates)?;
        self.enrolment_anchors.add_bytes(certificates)?;
        self.tls.anchors.add_bytes(certificates)?;
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

    /// Gets status data about signers of answers by the URLs in their certificates (CDP, AIA), as for peers, over the proxy and the
    /// TLS of these settings; what is good is kept in this memory, and what that knows is asked in every case.
    /// [`Options::signer_revocation`] says whether anything is fetched, and what follows where there is no status.
    ///
    /// Operations that [`Client`] runs do so, renewals among them. Who feeds answers by hand gives the data too
    /// ([`Options::signer_status`]), or calls [`Client::ask_about_signer`].
    pub fn fetch_signer_status(&mut self, options: StatusOptions, memory: Arc<StatusMemory>) {
        self.ask(&memory);
        self.signer_fetch = Some((options, memory));
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
        self.check_times()?;
        let mut signer_revocation = self.signer_revocation.clone();
        if signer_revocation.clock_skew_seconds == limits::CLOCK_SKEW_SECONDS {
            signer_revocation.clock_skew_seconds = self.clock_skew_seconds;
        }
        let mut tls = self.tls.clone();
        // Nobody is trusted for being among them: what the device has of its own helps wherever a path is looked for.
        tls.intermediates.extend(self.intermediates.iter().cloned());
        tls.clock_skew_seconds = self.clock_skew_seconds;
        let mut context = Context::new(Arc::clone(&self.provider), credential);
        context.options = Options::clone(self);
        context.signer_revocation = signer_revocation;
        context.server.clone_from(&self.server.url);
        let mut exchange_limits = self.exchange_limits.clone();
        exchange_limits.max_reply_bytes = self.limits.max_message_bytes;
        Ok(Client {
            context: Arc::new(context),
            way: Arc::new(Way { server: self.server.clone(), tls: Arc::new(tls) }),
            exchange_limits,
            max_retries: self.max_retries,
            possession: self.possession,
            renew_with_uses: self.renew_with_uses,
            signer_fetch: self.signer_fetch()?.map(Arc::new),
        })
    }

    /// How far two clocks may be apart, wherever they meet.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] for more than a day; nothing is changed.
    pub fn set_clock_skew(&mut self, seconds: u32) -> Result<(), Error> {
        check_skew("clock_skew_seconds", seconds)?;
        self.clock_skew_seconds = seconds;
        Ok(())
    }

    /// Refuses what makes a time no bound at all.
    fn check_times(&self) -> Result<(), Error> {
        check_skew("clock_skew_seconds", self.clock_skew_seconds)?;
        self.signer_revocation.check()?;
        self.tls.revocation.check()
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

impl Config {
    /// CoAP over the caller's own datagrams, to the server of these settings: for renewals, whose clients are made while they run.
    #[cfg(feature = "coap")]
    pub fn coap_over(
        &self,
        datagrams: Box<dyn crate::transport::coap::Datagrams>,
    ) -> Result<crate::transport::CoapExchange, Error> {
        Ok(crate::transport::CoapExchange::over(self.server.url()?, self.server.coap.clone(), datagrams)?)
    }

    /// How these settings go to any server by HTTP: proxy, TLS. For fetching status data and documents the same way.
    #[cfg(feature = "http")]
    pub fn http_config(&self) -> Result<crate::transport::HttpConfig, Error> {
        let tls = Arc::new(self.tls.clone());
        self.server.http_config(&tls)
    }
}

impl Deref for Config {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.options
    }
}

impl DerefMut for Config {
    fn deref_mut(&mut self) -> &mut Options {
        &mut self.options
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("credential", &self.credential)
            .field("server", &self.server.url)
            .finish_non_exhaustive()
    }
}
