//! The identities that are kept, and the files that are made of them.

use std::path::PathBuf;

use serde::Deserialize;

use crate::client::Config;
use crate::client::device::row::{self, Key, Kind, table};
use crate::client::device::secret::Source;
use crate::client::device::span::Span;
use crate::error::Error;

table! {
    /// An identity that is kept.
    open "identity.*"
    pub struct Identity {
        /// What the identity is for: a plain name kept beside it.
        pub purpose: String = "ldevid" ("ldevid".to_owned()).kind(Kind::Name),
        /// The subject to ask for, such as CN=router-7,O=Example. ${id} stands for device.id.
        pub subject: Option<String> = "none",
        /// Ask for no name at all: the CA knows the device by its credential and chooses (3GPP TS 33.310 section 9.5.4.2).
        pub nameless: bool = "false",
        /// Host names to ask for.
        pub dns: Vec<String> = "none",
        /// Addresses to ask for.
        pub ip: Vec<String> = "none",
        /// URIs to ask for.
        pub uri: Vec<String> = "none",
        /// Mailboxes to ask for.
        pub email: Vec<String> = "none",
        /// The name of the hardware (RFC 4108 section 5).
        pub hardware_module: Option<HardwareModule>,
        /// Key usages to ask for, such as digitalSignature.
        pub key_usage: Vec<String> = "the CA decides",
        /// Purposes to ask for, such as clientAuth.
        pub extended_key_usage: Vec<String> = "the CA decides",
        /// Extensions to ask for.
        pub extensions: Vec<WantedExtension>,
        /// The issuer to ask for.
        pub issuer: Option<String> = "the CA decides",
        /// The validity to ask for, from now.
        pub validity: Option<Span> = "the CA decides".least(1),
        /// Type of the keys: P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, ML-DSA-44, ...
        pub key: String = "P-256" ("P-256".to_owned()),
        /// Where its keys are made: a pkcs11: URI with object=NAME, in the token of device.pkcs11; each key gets an id of its own.
        pub key_at: Option<String> = "device memory",
        /// When and how it is renewed.
        pub renew: Renew,
        /// Files of it for other software.
        pub export: Vec<Export>,
    }
}

table! {
    /// The name of the hardware (RFC 4108 section 5).
    whole "identity.*.hardware-module"
    pub struct HardwareModule {
        /// Type of the hardware: its maker's object identifier (RFC 4108 section 5).
        pub r#type: String = "none",
        /// Serial number of the hardware.
        pub serial: String = "none",
    }
}

table! {
    /// An extension to ask for: its value as DER in hexadecimal, or as text.
    list "identity.*.extensions"
    pub struct WantedExtension {
        /// Identifier of an extension to ask for.
        pub oid: String = "none",
        /// Whether it is critical.
        #[serde(default)]
        pub critical: bool = "false",
        /// Its value, DER in hexadecimal.
        pub hex: Option<String> = "none",
        /// Its value as text.
        pub utf8: Option<String> = "none",
    }
}

table! {
    /// When and how an identity is renewed.
    open "identity.*.renew"
    pub struct Renew {
        /// Renew when this share of the lifetime is over.
        pub at: Option<f64> = "0.667",
        /// How much earlier a device may renew to get to its own place in a fleet.
        pub spread: Option<f64> = "0.333",
        /// Renew with the key at hand instead of a new one.
        pub same_key: bool = "false",
        /// Ask for the usages, purposes and policies of the old certificate too, not for its names alone.
        pub with_uses: bool = "false",
        /// The wait after the first failure; it doubles with each further one.
        pub first_wait: Option<Span> = "15m",
        /// The longest wait between attempts.
        pub longest_wait: Option<Span> = "1d",
        /// How often the CA may refuse, or issue what the settings refuse, before the device asks rarely.
        pub refusals: Option<u32> = "8",
    }
}

table! {
    /// Files for other software.
    list "identity.*.export"
    pub struct Export {
        /// For which software the files are written.
        pub layout: String = "none".kind(Kind::OneOf(&["pem", "openssl", "nginx", "strongswan", "mosquitto", "pkcs12"])),
        /// Where to.
        pub folder: PathBuf = "none",
        /// Whom that software shall trust.
        #[serde(default)]
        pub anchors: Vec<PathBuf> = "none",
        /// Encrypts the private key in the files.
        pub password: Option<Source> = "none",
        /// That password is stretched by scrypt (16 MiB of memory) instead of PBKDF2: OpenSSL and Bouncy Castle read it.
        #[serde(default)]
        pub scrypt: bool = "false",
        /// Whom the private key's file is given to: USER or USER:GROUP, names or numbers.
        pub owner: Option<String> = "the program's own user",
        /// Program and arguments to run when the files have changed; no shell.
        #[serde(default)]
        pub then: Vec<String> = "none",
    }
}
