//! The CA, and the ways to it.

use serde::Deserialize;

use super::login::{Login, Tls, Trust};
use super::read;
use crate::asn1::name::Name;
use crate::client::Config;
use crate::client::device::row::{self, Key, Kind, Need, choice, table};
use crate::client::device::secret::Source;
use crate::client::device::span::Span;
use crate::cmp::Acceptance;
use crate::error::Error;
use crate::limits::MAX_CLOCK_SKEW_SECONDS;

/// Sets something of CoAP, where this build has it.
#[cfg(feature = "coap")]
macro_rules! if_coap {
    ($config:ident.$option:ident = $value:expr) => {
        $config.server.coap.$option = $value
    };
}

#[cfg(not(feature = "coap"))]
macro_rules! if_coap {
    ($config:ident.$option:ident = $value:expr) => {{
        let _ = (&$config, $value);
    }};
}

choice! {
    /// Whether certificates are confirmed.
    pub enum Confirm {
        /// By certConf.
        Explicit = "explicit",
        /// By the CA's word that it needs none.
        Implicit = "implicit",
    }
}

table! {
    /// The CA, and how it is spoken to.
    open "ca"
    pub struct Ca {
        /// URL of the CMP server: http, https or coap.
        pub server: Option<String> = "none" => |config, url| read::server(config, url),
        /// What a known CA needs, by name: see docs/known-cas.md.
        pub profile: Option<String> = "none" => |config, name| config.apply_profile(name),
        /// The CA's name in the first message, such as CN=Issuing CA.
        pub recipient: Option<String> = "the issuer of the credential"
            => |config, name| Name::parse(name).map(|name| config.recipient = Some(name)),
        /// Name of the certificate profile to ask for (RFC 9810 section 5.1.1.4).
        pub cert_profile: Option<String> = "none" => |config, name| config.cert_profile = Some(name.clone()),
        /// "implicit" asks the CA to do without certConf (RFC 9483 section 4.1.1).
        pub confirm: Option<Confirm> = "explicit" => |config, how| config.ask_implicit_confirm = *how == Confirm::Implicit,
        /// How far the time in answers may be from the clock. Beyond it, enrolments and renewals go on by both times, and the clock
        /// counts as contradicted; whatever else is asked (revoke, cmp) is refused (MESSAGE_TIME). Off with device.clock = "none".
        pub time_window: Option<Span> = "1h".needs(Need::Clock).said("the window for messageTime")
            => |config, window| config.message_time_window_seconds = Some(window.seconds()),
        /// Take trust anchors that come with the first certificate, where the answer is protected by the shared secret: they are kept
        /// in device memory (devid anchors list), and renewals are believed under them.
        pub accept_ca_pubs: bool = "false".needs(Need::SecretLogin) => |config, on| config.accept_ca_pubs = *on,
        /// Take the root that comes with the first certificate as an anchor (3GPP TS 33.310 section 9.5.4): whoever answers first is
        /// believed, for good, as it is kept in device memory (devid anchors list). It comes with an answer that is signed.
        pub adopt_root: bool = "false".said("adopt_root_of_ip") => |config, on| config.adopt_root_of_ip = *on,
        /// SHA-256 of roots that are known by nothing else; no other anchors are needed then. One that comes with the first certificate
        /// is kept in device memory (devid anchors list).
        pub root_fingerprints: Vec<String> = "none".said("root_fingerprints") => |config, text| config.add_root_fingerprint(text),
        /// How a certificate may differ from what was asked for.
        pub accept: Option<String> = "same-or-added, or what the profile says"
            .kind(Kind::OneOf(&["exact", "same-or-added", "any-order", "anything-but-the-key"]))
            => |config, name| Acceptance::named(name).map(|policy| config.acceptance = policy),
        /// Deviations of the server that are taken, by the names of docs/known-cas.md; each loosens something.
        pub tolerate: Vec<String> = "none, or what the profile says" => |config, name| read::deviation(config, name, true),
        /// Deviations that are not taken, over defaults and profile.
        pub refuse: Vec<String> = "none" => |config, name| read::deviation(config, name, false),
        /// Send messageTime.
        pub send_time: Option<bool> = "true" => |config, on| config.send_message_time = *on,
        /// How far two clocks may be apart wherever they meet: thisUpdate of status data, notBefore of peers and TLS servers.
        pub clock_skew: Option<Span> = "5m".most(MAX_CLOCK_SKEW_SECONDS).said("clock_skew_seconds") => |config, span| config.set_clock_skew(span.seconds()),
        /// How possession of new keys is proved (RFC 9810 section 5.2.8).
        pub possession: Option<String> = "signature".kind(Kind::OneOf(&["signature", "encrCert", "challengeResp"]))
            => |config, name| config.set_possession(name),
        /// Further items of generalInfo.
        pub general_info: Vec<GeneralInfo>,
        /// What the CA may make the client do.
        pub limits: Limits,
        /// The HTTP proxy on the way.
        pub proxy: Option<Proxy>,
        /// How messages go by HTTP.
        pub http: Http,
        /// How messages go by CoAP.
        pub coap: Coap,
        /// How the first certificate is asked for.
        pub login: Login,
        /// Whom the device trusts for answers and certificates.
        pub trust: Trust,
        /// TLS, and its servers.
        pub tls: Tls,
    }
}

table! {
    /// An item of generalInfo: its value as DER in hexadecimal, or as text.
    list "ca.general-info"
    pub struct GeneralInfo {
        /// Identifier of an item of generalInfo that goes with requests, such as a vendor's.
        pub oid: String = "none",
        /// Its value, DER in hexadecimal.
        pub hex: Option<String> = "no value",
        /// Its value as text.
        pub utf8: Option<String> = "no value",
    }
}

/// Bytes that every salt has (RFC 9481 section 6.1 by way of NIST SP 800-132 section 5.1: 128 bits).
const LEAST_SALT: u32 = 16;
/// Bytes that every answer with a certificate has: a certificate by P-256 alone takes some 400, and the message around it as much again.
const LEAST_MESSAGE_BYTES: u32 = 1024;

table! {
    /// What a server may make the client do: see [`crate::limits::Limits`].
    open "ca.limits"
    pub struct Limits {
        /// Largest message accepted.
        pub message_bytes: Option<u32> = "4194304".least(LEAST_MESSAGE_BYTES).said("max_message_bytes")
            => |config, most| config.limits.set("max_message_bytes", i64::from(*most)),
        /// Most certificates read from one list of a message.
        pub certificates: Option<u32> = "64".least(1).said("max_certificates")
            => |config, most| config.limits.set("max_certificates", i64::from(*most)),
        /// Most poll requests in one operation.
        pub polls: Option<u32> = "10000".said("max_polls") => |config, most| config.limits.set("max_polls", i64::from(*most)),
        /// Longest single wait that the server may ask for; longer ones are cut.
        pub check_after: Option<Span> = "7d".said("max_check_after_seconds")
            => |config, span| config.limits.set("max_check_after_seconds", i64::from(span.seconds())),
        /// Longest time of one operation: CAs with approval by people take days.
        pub total: Option<Span> = "30d".least(1).said("max_total_seconds")
            => |config, span| config.limits.set("max_total_seconds", i64::from(span.seconds())),
        /// Most iterations of a MAC that the server may impose (max_mac_iterations).
        pub mac_iterations: Option<u32> = "1000000".least(read::LEAST_ITERATIONS).needs(Need::SecretLogin).said("max_mac_iterations")
            => |config, most| config.limits.set("max_mac_iterations", i64::from(*most)),
        /// Longest salt of a MAC.
        pub mac_salt_bytes: Option<u32> = "256".least(LEAST_SALT).needs(Need::SecretLogin).said("max_mac_salt_bytes")
            => |config, most| config.limits.set("max_mac_salt_bytes", i64::from(*most)),
    }
}

table! {
    /// The HTTP proxy.
    whole "ca.proxy"
    pub struct Proxy {
        /// HTTP proxy, http://host:port. The environment is never asked.
        pub url: String = "none".needs(Need::Http),
        /// User name for the proxy.
        pub user: Option<String> = "none".needs(Need::Http),
        /// Password for the proxy.
        pub password: Option<Source> = "none".needs(Need::Http),
    }
}

table! {
    /// How messages go by HTTP.
    open "ca.http"
    pub struct Http {
        /// Longest time to connect.
        pub connect: Option<Span> = "15s".least(1) => |config, span| config.exchange_limits.connect_timeout = span.0,
        /// Longest silence of the server.
        pub read: Option<Span> = "60s".least(1) => |config, span| config.exchange_limits.read_timeout = span.0,
        /// Longest time of one exchange.
        pub total: Option<Span> = "120s".least(1) => |config, span| config.exchange_limits.total_timeout = span.0,
        /// How often a message is sent again that cannot have been processed.
        pub retries: Option<u32> = "0".said("max_retries") => |config, most| config.max_retries = *most,
        /// Version of HTTP, for servers that know 1.0 alone.
        pub version: Option<String> = "1.1".kind(Kind::OneOf(&["1.1", "1.0"])).needs(Need::Http)
            => |config, name| read::http_version(config, name),
    }
}

table! {
    /// How messages go by CoAP.
    #[cfg_attr(not(feature = "coap"), allow(dead_code, reason = "for CoAP"))]
    open "ca.coap"
    pub struct Coap {
        /// Largest block sent and wished for: 16, 32, ... 1024 bytes.
        pub block: Option<u32> = "1024".kind(Kind::NumberOf(&read::COAP_BLOCKS)).needs(Need::Coap)
            => |config, bytes| if_coap!(config.block_bytes = u16::try_from(*bytes).unwrap_or(u16::MAX)),
        /// Time to the first repetition of a message; each further one takes twice as long.
        pub ack: Option<Span> = "2s".least(1).needs(Need::Coap) => |config, span| if_coap!(config.ack_timeout = span.0),
        /// How often a message is repeated.
        pub retransmit: Option<u32> = "4".needs(Need::Coap) => |config, most| if_coap!(config.max_retransmit = *most),
        /// Take only the content-format of RFC 9482.
        pub strict_type: bool = "false".needs(Need::Coap) => |config, on| if_coap!(config.strict_content_type = *on),
    }
}
