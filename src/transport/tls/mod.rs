//! HTTPS: whom the client takes for its server, and how it shows itself (RFC 8446, RFC 5246, RFC 9325).
//!
//! A second line around CMP's own protection (RFC 9483 section 6.1): it hides requests and answers from onlookers. Its
//! anchors are a set of their own. A server's certificate is validated by [`crate::validation`], like any other; the TLS
//! library decides nothing about it.

#[cfg(all(feature = "http", not(feature = "tls")))]
mod absent;
#[cfg(feature = "tls")]
mod offered;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod sign;
#[cfg(feature = "tls")]
mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

#[cfg(all(feature = "http", not(feature = "tls")))]
pub(super) use absent::{Session, TlsClient};
#[cfg(feature = "tls")]
pub(super) use session::{Session, TlsClient};

use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{DigestAlgorithm, PrivateKey, Provider, default_provider};
use crate::defaults::with_defaults;
use crate::error::Error;
use crate::time::Time;
use crate::validation::{RevocationPolicy, StatusSources, TrustAnchors};

/// Whether this build speaks TLS: the feature `tls`.
pub const IS_BUILT_IN: bool = cfg!(feature = "tls");

with_defaults! {
    /// Settings for HTTPS. Nobody is trusted at first, and the system's own certificates are never asked.
    #[derive(Clone)]
    pub struct TlsConfig {
        #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "for the handshake"))]
        provider: Arc<dyn Provider> = provider,
        credential: Option<Credential>,
        /// Where paths of servers' certificates end. May hold the CA's own certificate, if it also issued the server's.
        pub anchors: TrustAnchors,
        /// Certificates that help servers which forget to send theirs; nothing is trusted for being here.
        pub intermediates: Vec<Certificate>,
        /// The server's name, where it is not the URL's host: asked for (SNI) and demanded of its certificate.
        pub server_name: Option<String>,
        /// If there are any, one of them must be on the server's path, besides everything else.
        pub pins: Vec<Pin>,
        /// Oldest version spoken.
        pub min_version: TlsVersion = TlsVersion::Tls12,
        /// The time at which the server's certificate must be valid.
        pub time: TlsTime = TlsTime::System,
        /// How far ahead of that time the server's certificate may begin: clocks differ.
        pub clock_skew_seconds: u32 = crate::limits::CLOCK_SKEW_SECONDS,
        /// Status data about servers. A response that the server staples counts too.
        pub status: StatusSources,
        /// Whether the server's status is asked about.
        pub revocation: RevocationPolicy = RevocationPolicy::off(),
    } given provider: Arc<dyn Provider>
}

#[derive(Clone)]
struct Credential {
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "for the handshake"))]
    key: Arc<dyn PrivateKey>,
    chain: Vec<Certificate>,
}

/// A SHA-256 fingerprint that must occur on the server's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Of a SubjectPublicKeyInfo, as in RFC 7469 section 2.4: outlives the renewal of the certificate.
    PublicKey([u8; 32]),
    /// Of a whole certificate.
    Certificate([u8; 32]),
}

/// Versions of TLS; older ones are not spoken (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), only with forward secrecy and authenticated encryption.
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Which time a handshake goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsTime {
    /// The system's clock.
    System,
    /// This one, for programs with a clock of their own.
    At(Time),
    /// That clock said this at an instant, and goes on.
    Since(Time, Instant),
    /// None: the device has no clock yet, and validity periods are not looked at.
    Unknown,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig::with_provider(default_provider())
    }
}

impl TlsConfig {
    /// Defaults with the default provider.
    pub fn new() -> Self {
        TlsConfig::default()
    }

    /// Defaults with another provider, which checks certificates and signatures. The record layer's own is AWS-LC.
    pub fn with_provider(provider: Arc<dyn Provider>) -> Self {
        TlsConfig::from_defaults(provider)
    }

    /// The certificate to show to servers that ask for one, its issuers behind it as far as they are to be sent, and its
    /// key: in memory or elsewhere, but one that signs when asked.
    pub fn set_credential(&mut self, key: Arc<dyn PrivateKey>, chain: &[Certificate]) -> Result<(), Error> {
        let Some(certificate) = chain.first() else {
            return Err(Error::new(Code::InvalidArgument, "an empty chain: the client's certificate comes first"));
        };
        if !same_public_key(certificate.spki(), key.spki()) {
            let name = crate::asn1::name::display(certificate.subject());
            let words = format!("the TLS certificate of {name} is not over the key that came with it");
            return Err(Error::new(Code::KeyMismatch, words));
        }
        self.credential = Some(Credential { key, chain: chain.to_vec() });
        Ok(())
    }

    /// The same with no certificate to show.
    #[cfg(feature = "http")]
    pub(crate) fn without_credential(&self) -> Self {
        TlsConfig { credential: None, ..self.clone() }
    }

    /// The certificate to show, if there is one.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.credential.as_ref().map(|c| &c.chain[0])
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("anchors", &self.anchors)
            .field("certificate", &self.credential.as_ref().map(|c| &c.chain[0]))
            .field("server_name", &self.server_name)
            .field("pins", &self.pins)
            .field("min_version", &self.min_version)
            .finish_non_exhaustive()
    }
}

impl Pin {
    /// The pin of a certificate's public key.
    pub fn of_public_key(provider: &dyn Provider, certificate: &Certificate) -> Result<Self, Error> {
        Ok(Pin::PublicKey(sha256(provider, certificate.spki())?))
    }

    /// The pin of a certificate.
    pub fn of_certificate(provider: &dyn Provider, certificate: &Certificate) -> Result<Self, Error> {
        Ok(Pin::Certificate(sha256(provider, certificate.as_der())?))
    }
}

fn sha256(provider: &dyn Provider, bytes: &[u8]) -> Result<[u8; 32], Error> {
    let value = provider.digest(DigestAlgorithm::Sha256, &[bytes])?;
    Ok((*value).try_into().expect("SHA-256 has 32 bytes"))
}
