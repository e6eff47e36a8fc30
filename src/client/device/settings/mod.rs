//! `devid.toml`: every setting, a row each ([`row`](super::row)); tables that belong together in a file.

mod ca;
mod identity;
mod login;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::row::{self, Key, Kind, Need, choice, table};
use super::secret::Source;
use super::span::Span;
use crate::client::Config;
use crate::error::Error;

pub use ca::{Ca, Coap, Confirm, GeneralInfo, Http, Limits, Proxy};
pub use identity::{Export, HardwareModule, Identity, Renew, WantedExtension};
pub use login::{Login, LoginKind, MacKind, StatusCheck, Tls, Trust};
pub(super) use read::{LEAST_ITERATIONS, octets};

table! {
    /// All settings.
    open ""
    pub struct Settings {
        /// The device and its memory.
        pub device: Device,
        /// The CA, and how it is spoken to.
        pub ca: Ca,
        /// The identities that are kept, by name.
        pub identity: BTreeMap<String, Identity>,
        /// Programs that are told.
        pub hooks: Hooks,
        /// How peers are validated.
        pub peers: Peers,
        /// The command `devid run`.
        pub run: Run,
    }
}

choice! {
    /// What tells the time.
    pub enum Clock {
        /// The system.
        System = "system",
        /// Authentic answers alone.
        None = "none",
    }
}

table! {
    /// The device and its memory.
    open "device"
    pub struct Device {
        /// Folder of device memory: keys, certificates, trust anchors, what is unfinished.
        pub memory: PathBuf = "/var/lib/devid" ("/var/lib/devid".into()),
        /// How many generations of an identity are kept, the one in use included.
        pub retention: usize = "2" (2),
        /// Encrypts private keys at rest.
        pub seal: Option<Source> = "none: keys are kept unencrypted",
        /// New keys are sealed by scrypt (16 MiB of memory) instead of PBKDF2: for secrets that people choose.
        pub seal_scrypt: bool = "false",
        /// What tells this device from others: its place among a fleet's renewals. Text, or file:PATH.
        pub id: Option<String> = "the names in the certificate",
        /// "none" for devices without a clock: the time is learnt from authentic answers.
        pub clock: Clock = "system" (Clock::System) => |config, clock| read::clock(config, *clock),
        /// A token that holds keys.
        pub pkcs11: Option<Pkcs11>,
    }
}

table! {
    /// A token that holds keys.
    open "device.pkcs11"
    pub struct Pkcs11 {
        /// The library of a PKCS#11 token that holds keys.
        #[cfg_attr(not(feature = "pkcs11"), allow(dead_code, reason = "for keys in tokens"))]
        pub module: Option<String> = "none".kind(Kind::Path),
        /// The user's PIN of that token.
        #[cfg_attr(not(feature = "pkcs11"), allow(dead_code, reason = "for keys in tokens"))]
        pub pin: Option<Source> = "none",
    }
}

table! {
    /// Programs that are told, as a list of the program and its arguments; no shell.
    open "hooks"
    pub struct Hooks {
        /// Run when an identity has changed.
        pub changed: Vec<String> = "none",
        /// Run by devid keep and devid run when the CA asks to wait.
        pub waiting: Vec<String> = "none",
        /// Run by devid keep and devid run when an attempt has failed.
        pub failed: Vec<String> = "none",
        /// Run by devid keep and devid run when a renewal is late or there is no usable identity.
        pub alarm: Vec<String> = "none",
        /// How long a program may take, those of exports (then) too. One that takes longer is ended, counts as failed, and is run again.
        pub longest: Span = "30s" (Span(std::time::Duration::from_secs(30))).least(1),
    }
}

table! {
    /// How peers are validated.
    open "peers"
    pub struct Peers {
        /// Roots of peers, for devid validate.
        pub trust: Vec<PathBuf> = "the set peer of device memory",
        /// What a peer's certificate must be for, such as serverAuth.
        pub purpose: Option<String> = "any",
        /// How revocation is looked at.
        pub status: Option<StatusCheck> = "soft",
        /// Fetch CRLs and OCSP answers by the URLs in certificates.
        pub fetch: bool = "false",
        /// Take SHA-1 signatures and RSA keys of 1024 bits in the paths of peers.
        pub allow_weak: bool = "false",
        /// Directory that ldap: URLs without a host mean, as HOST or HOST:PORT.
        pub directory: Option<String> = "none".needs(Need::Fetch),
    }
}

table! {
    /// The command `devid run`.
    open "run"
    pub struct Run {
        /// devid run keeps the JSON of devid status there.
        pub status_file: Option<PathBuf> = "none",
    }
}
