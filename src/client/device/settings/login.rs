//! Who the device is at first, and whom it believes.

use std::path::PathBuf;

use serde::Deserialize;

use super::read;
use crate::asn1::name::Name;
use crate::client::Config;
use crate::client::device::row::{self, Allowed, Key, Kind, Need, choice, table};
use crate::client::device::secret::Source;
use crate::error::Error;
use crate::validation::{RevocationMode, RevocationPolicy};

choice! {
    /// How the first certificate is asked for.
    pub enum LoginKind {
        /// Reference value and secret.
        Secret = "secret",
        /// An identity that device memory holds from the factory.
        Factory = "factory",
        /// Key and certificate in files.
        File = "file",
        /// None of its own: TLS with certificates on both sides.
        MutualTls = "mutual-tls",
    }
}

choice! {
    /// How the MAC under the secret is made.
    pub enum MacKind {
        /// RFC 4210 section 5.1.3.1.
        PasswordBased = "password-based",
        /// RFC 9481 section 6.1.2.
        Pbmac1 = "pbmac1",
    }
}

choice! {
    /// How revocation is looked at.
    pub enum StatusCheck {
        /// Revocation is not looked at.
        Off = "off",
        /// Status data at hand counts; where there is none the certificate is taken, and the report says so.
        Soft = "soft",
        /// Without a status the certificate is refused.
        Hard = "hard",
    }
}

impl StatusCheck {
    /// The policy of that name.
    pub fn policy(self) -> RevocationPolicy {
        match self {
            StatusCheck::Off => RevocationPolicy::off(),
            StatusCheck::Soft => RevocationPolicy { mode: RevocationMode::SoftFail, ..RevocationPolicy::default() },
            StatusCheck::Hard => RevocationPolicy { mode: RevocationMode::HardFail, ..RevocationPolicy::default() },
        }
    }
}

impl Login {
    /// Whether somebody at a terminal is asked for it.
    pub(in crate::client::device) fn asks_somebody(&self) -> bool {
        [&self.secret, &self.password].into_iter().flatten().any(|source| *source == Source::Prompt)
    }
}

table! {
    /// How the first certificate is asked for.
    open "ca.login"
    pub struct Login {
        /// How the first certificate is asked for: by a shared secret, by the identity from the factory in device memory, by key and
        /// certificate in files, by TLS with certificates on both sides alone.
        pub kind: Option<LoginKind> = "by what is given",
        /// Reference value: tells the CA which secret. Text, or hex:... for octets.
        pub reference: Option<String> = "none".needs(Need::SecretLogin),
        /// The secret shared with the CA.
        pub secret: Option<Source> = "none".needs(Need::SecretLogin),
        /// How the MAC under the secret is made (RFC 9481 section 6.1).
        pub mac: Option<MacKind> = "password-based, or what the profile says".needs(Need::SecretLogin),
        /// Digest of that MAC.
        pub mac_digest: Option<String> = "SHA256, or what the profile says"
            .kind(Kind::OneOf(&["SHA1", "SHA256", "SHA384", "SHA512"])).needs(Need::SecretLogin),
        /// Iterations of that MAC's key derivation.
        pub mac_iterations: Option<u32> = "10000, PBMAC1 100000".least(read::LEAST_ITERATIONS).needs(Need::SecretLogin),
        /// Algorithm that signs messages of the login, such as RSA-PSS-SHA256.
        pub signature: Option<String> = "by the key".needs(Need::SignedLogin),
        /// Name of the factory's identity in device memory.
        pub factory: Option<String> = "idevid".kind(Kind::Name).needs(Need::FactoryLogin),
        /// File with the private key to log in with, or its pkcs11: URI in the token of device.pkcs11.
        pub key: Option<PathBuf> = "none".needs(Need::FileLogin),
        /// File with its certificate first, and its issuers.
        pub certificates: Option<PathBuf> = "none".needs(Need::FileLogin),
        /// Opens that key.
        pub password: Option<Source> = "none".needs(Need::FileLogin),
    }
}

table! {
    /// Whom the device trusts for answers and certificates.
    open "ca.trust"
    pub struct Trust {
        /// Root certificates that count as answers, issued and tls in one word.
        pub all: Vec<PathBuf> = "none",
        /// Roots of those who may protect CMP answers.
        pub answers: Vec<PathBuf> = "none",
        /// Roots that certificates issued to this device must lead to.
        pub issued: Vec<PathBuf> = "none",
        /// Roots of HTTPS servers.
        pub tls: Vec<PathBuf> = "none".needs(Need::Https),
        /// Certificates that help to find paths; nothing is trusted for being here.
        pub intermediates: Vec<PathBuf> = "none",
        /// Only these certificates may protect answers.
        pub signers: Allowed<PathBuf> = "none",
        /// Only signers with these subjects may protect answers; of several, all.
        pub signer_subjects: Allowed<String> = "none"
            => |config, name| Name::parse(name).map(|name| config.authorisation.subjects.push(name)),
        /// Only signers with the purpose cmcCA or cmcRA (RFC 6402) may protect answers.
        pub signer_cmc: bool = "false" => |config, on| config.authorisation.cmc_purpose |= *on,
        /// Anybody below the anchors for answers may protect them: only where no device stands below these.
        pub signer_any: bool = "false" => |config, on| config.authorisation.any_under_anchors |= *on,
        /// How revocation of those who protect answers is looked at.
        pub status: Option<StatusCheck> = "off" => |config, check| config.signer_revocation = check.policy(),
        /// Revocation lists about them; they are looked at also where ca.trust.status is not set.
        pub crls: Vec<PathBuf> = "none",
    }
}

table! {
    /// TLS, and its servers.
    open "ca.tls"
    pub struct Tls {
        /// The server's name in its certificate.
        pub name: Option<String> = "the URL's host".needs(Need::Https) => |config, name| read::tls_name(config, name),
        /// Certificates that help servers which forget to send theirs.
        pub intermediates: Vec<PathBuf> = "none".needs(Need::Https),
        /// One of these must be on the server's path, besides everything else: sha256:HEX of a certificate, spki:HEX of its key.
        pub pins: Allowed<String> = "none".needs(Need::Https) => |config, text| read::pin_of(text).map(|pin| config.tls.pins.push(pin)),
        /// Oldest version of TLS that is spoken.
        pub min_version: Option<String> = "1.2".kind(Kind::OneOf(&["1.2", "1.3"])).needs(Need::Https)
            => |config, name| read::tls_version(config, name),
        /// How revocation of the server is looked at.
        pub status: Option<StatusCheck> = "off".needs(Need::Https) => |config, check| config.tls.revocation = check.policy(),
        /// Revocation lists about servers; they are looked at also where ca.tls.status is not set.
        pub crls: Vec<PathBuf> = "none".needs(Need::Https),
        /// File with the key of the TLS client certificate, or its pkcs11: URI.
        pub key: Option<PathBuf> = "none".needs(Need::Https),
        /// File with the TLS client certificate first, and its issuers.
        pub certificates: Option<PathBuf> = "none".needs(Need::Https),
        /// Opens that key.
        pub password: Option<Source> = "none".needs(Need::TlsKey),
    }
}
