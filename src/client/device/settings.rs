//! `devid.toml`: every setting. [`keys`](super::keys) says what each of them means.
#![allow(missing_docs, reason = "what each setting means stands in `keys`")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::secret::Source;
use super::values::Span;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    pub device: Device,
    pub ca: Ca,
    pub identity: BTreeMap<String, Identity>,
    pub hooks: Hooks,
    pub peers: Peers,
    pub run: Run,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Device {
    pub memory: PathBuf,
    pub retention: usize,
    pub seal: Option<Source>,
    pub id: Option<String>,
    pub clock: Clock,
    pub pkcs11: Option<Pkcs11>,
}

impl Default for Device {
    fn default() -> Self {
        Device {
            memory: "/var/lib/devid".into(),
            retention: 2,
            seal: None,
            id: None,
            clock: Clock::System,
            pkcs11: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    System,
    None,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pkcs11 {
    #[cfg_attr(not(feature = "pkcs11"), allow(dead_code, reason = "for keys in tokens"))]
    pub module: Option<String>,
    #[cfg_attr(not(feature = "pkcs11"), allow(dead_code, reason = "for keys in tokens"))]
    pub pin: Option<Source>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ca {
    pub server: Option<String>,
    pub profile: Option<String>,
    pub recipient: Option<String>,
    pub cert_profile: Option<String>,
    pub confirm: Option<Confirm>,
    pub time_window: Option<Span>,
    pub accept_ca_pubs: bool,
    pub adopt_root: bool,
    pub root_fingerprints: Vec<String>,
    pub accept: Option<String>,
    pub tolerate: Vec<String>,
    pub refuse: Vec<String>,
    pub send_time: Option<bool>,
    pub clock_skew: Option<Span>,
    pub possession: Option<String>,
    pub general_info: Vec<GeneralInfo>,
    pub limits: Limits,
    pub proxy: Option<Proxy>,
    pub http: Http,
    pub coap: Coap,
    pub login: Login,
    pub trust: Trust,
    pub tls: Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    Explicit,
    Implicit,
}

/// An item of generalInfo: its value as DER in hexadecimal, or as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneralInfo {
    pub oid: String,
    pub hex: Option<String>,
    pub utf8: Option<String>,
}

/// What a server may make the client do: see [`crate::limits::Limits`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    pub message_bytes: Option<u32>,
    pub certificates: Option<u32>,
    pub polls: Option<u32>,
    pub check_after: Option<Span>,
    pub total: Option<Span>,
    pub mac_iterations: Option<u32>,
    pub mac_salt_bytes: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[cfg_attr(not(feature = "coap"), allow(dead_code, reason = "for CoAP"))]
pub struct Coap {
    pub block: Option<u32>,
    pub ack: Option<Span>,
    pub retransmit: Option<u32>,
    pub strict_type: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxy {
    pub url: String,
    pub user: Option<String>,
    pub password: Option<Source>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Http {
    pub connect: Option<Span>,
    pub read: Option<Span>,
    pub total: Option<Span>,
    pub retries: Option<u32>,
    pub version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Login {
    pub kind: Option<LoginKind>,
    pub reference: Option<String>,
    pub secret: Option<Source>,
    pub mac: Option<MacKind>,
    pub mac_digest: Option<String>,
    pub mac_iterations: Option<u32>,
    pub signature: Option<String>,
    pub factory: Option<String>,
    pub key: Option<PathBuf>,
    pub certificates: Option<PathBuf>,
    pub password: Option<Source>,
}

impl Login {
    /// Whether somebody at a terminal is asked for it.
    pub(super) fn asks_somebody(&self) -> bool {
        [&self.secret, &self.password].into_iter().flatten().any(|source| *source == Source::Prompt)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginKind {
    /// Reference value and secret.
    Secret,
    /// An identity that device memory holds from the factory.
    Factory,
    /// Key and certificate in files.
    File,
    /// None of its own: TLS with certificates on both sides.
    MutualTls,
}

impl LoginKind {
    /// As settings have it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            LoginKind::Secret => "secret",
            LoginKind::Factory => "factory",
            LoginKind::File => "file",
            LoginKind::MutualTls => "mutual-tls",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacKind {
    PasswordBased,
    Pbmac1,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Trust {
    pub all: Vec<PathBuf>,
    pub answers: Vec<PathBuf>,
    pub issued: Vec<PathBuf>,
    pub tls: Vec<PathBuf>,
    pub intermediates: Vec<PathBuf>,
    #[serde(deserialize_with = "somebody")]
    pub signers: Vec<PathBuf>,
    #[serde(deserialize_with = "somebody")]
    pub signer_subjects: Vec<String>,
    pub signer_cmc: bool,
    pub signer_any: bool,
    pub status: Option<StatusCheck>,
    pub crls: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tls {
    pub name: Option<String>,
    pub intermediates: Vec<PathBuf>,
    #[serde(deserialize_with = "somebody")]
    pub pins: Vec<String>,
    pub min_version: Option<String>,
    pub status: Option<StatusCheck>,
    pub crls: Vec<PathBuf>,
    pub key: Option<PathBuf>,
    pub certificates: Option<PathBuf>,
    pub password: Option<Source>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Identity {
    pub purpose: String,
    pub subject: Option<String>,
    pub nameless: bool,
    pub dns: Vec<String>,
    pub ip: Vec<String>,
    pub uri: Vec<String>,
    pub email: Vec<String>,
    pub hardware_module: Option<HardwareModule>,
    pub key_usage: Vec<String>,
    pub extended_key_usage: Vec<String>,
    pub extensions: Vec<WantedExtension>,
    pub issuer: Option<String>,
    pub validity: Option<Span>,
    pub key: String,
    pub key_at: Option<String>,
    pub renew: Renew,
    pub export: Vec<Export>,
}

impl Default for Identity {
    fn default() -> Self {
        Identity {
            purpose: "ldevid".to_owned(),
            subject: None,
            nameless: false,
            dns: Vec::new(),
            ip: Vec::new(),
            uri: Vec::new(),
            email: Vec::new(),
            hardware_module: None,
            key_usage: Vec::new(),
            extended_key_usage: Vec::new(),
            extensions: Vec::new(),
            issuer: None,
            validity: None,
            key: "P-256".to_owned(),
            key_at: None,
            renew: Renew::default(),
            export: Vec::new(),
        }
    }
}

/// An extension to ask for: its value as DER in hexadecimal, or as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WantedExtension {
    pub oid: String,
    #[serde(default)]
    pub critical: bool,
    pub hex: Option<String>,
    pub utf8: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HardwareModule {
    pub r#type: String,
    pub serial: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Renew {
    pub at: Option<f64>,
    pub spread: Option<f64>,
    pub same_key: bool,
    pub with_uses: bool,
    pub first_wait: Option<Span>,
    pub longest_wait: Option<Span>,
    pub refusals: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Export {
    pub layout: String,
    pub folder: PathBuf,
    #[serde(default)]
    pub anchors: Vec<PathBuf>,
    pub password: Option<Source>,
    /// Whom private keys are given to: a user, or a user and a group, by name or number.
    pub owner: Option<String>,
    /// Run when the files have changed: a program and its arguments, without a shell.
    #[serde(default)]
    pub then: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Hooks {
    pub changed: Vec<String>,
    pub waiting: Vec<String>,
    pub failed: Vec<String>,
    pub alarm: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Peers {
    pub trust: Vec<PathBuf>,
    pub purpose: Option<String>,
    pub status: Option<StatusCheck>,
    pub fetch: bool,
    pub allow_weak: bool,
    pub directory: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusCheck {
    /// Revocation is not looked at.
    Off,
    /// Status data at hand counts; where there is none the certificate is taken, and the report says so.
    Soft,
    /// Without a status the certificate is refused.
    Hard,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Run {
    pub status_file: Option<PathBuf>,
}

/// A list of those who are allowed: see `fit`.
fn somebody<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let allowed = Vec::deserialize(deserializer)?;
    if allowed.is_empty() { Err(de::Error::custom(super::fit::NOBODY)) } else { Ok(allowed) }
}
