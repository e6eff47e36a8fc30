//! The way to the server: TLS, and what proxies and old servers want.

use super::args::choice;
use super::args::null;
use super::prelude::*;
#[cfg(feature = "coap")]
use std::io;
use std::sync::Arc;
#[cfg(feature = "coap")]
use std::time::Duration;

use zeroize::Zeroizing;

use super::config::Settings;
use devid_core::asn1::x509::Certificate;
use devid_core::transport::TlsConfig;
#[cfg(feature = "coap")]
use devid_core::transport::TransportError;
#[cfg(feature = "coap")]
use devid_core::transport::coap::Datagrams;
use devid_core::transport::tls::{self, Pin, TlsTime, TlsVersion};
use devid_core::validation::RevocationMode;
use devid_core::validation::RevocationPolicy;

/// SHA-256 of a SubjectPublicKeyInfo (DER): outlives the renewal of the certificate.
pub const DEVID_PIN_PUBLIC_KEY: i32 = 1;
/// SHA-256 of a whole certificate (DER).
pub const DEVID_PIN_CERTIFICATE: i32 = 2;

/// TLS 1.2 (RFC 5246), with forward secrecy and authenticated encryption.
pub const DEVID_TLS_1_2: i32 = 12;
/// TLS 1.3 (RFC 8446).
pub const DEVID_TLS_1_3: i32 = 13;
choice!("DEVID_TLS_*": TlsVersion { DEVID_TLS_1_2 => Tls12, DEVID_TLS_1_3 => Tls13 });

/// The system's clock.
pub const DEVID_CLOCK_SYSTEM: i32 = 1;
/// A time that the program gives.
pub const DEVID_CLOCK_GIVEN: i32 = 2;
/// None: validity periods are not looked at.
pub const DEVID_CLOCK_NONE: i32 = 3;

/// The TLS settings, where the build has TLS.
fn tls_of(settings: &mut Settings) -> Result<&mut TlsConfig, Error> {
    match tls::IS_BUILT_IN {
        true => Ok(&mut settings.config.tls),
        false => Err(Error::new(Code::Unsupported, "https is not built in")),
    }
}

/// Adds trust anchors for HTTPS servers. Used for TLS only, and TLS uses no others. May be the CA's own
/// certificate, if the CA issued the server's.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM; DEVID_E_UNSUPPORTED if HTTPS is not built in.
#[export]
fn devid_config_add_tls_anchors(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    tls_of(config)?.anchors.add_bytes(data)?;
    Ok(())
}

/// The certificate to show to HTTPS servers that ask for one: the supplier's (IDevID), or one issued before. It need not be
/// the one that protects messages.
///
/// @param key     Its private key, in memory or elsewhere, but one that signs when asked. Not NULL.
/// @param chain   The certificate first, then its issuers as far as they are to be sent. Not NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH if key and certificate do not belong together; DEVID_E_UNSUPPORTED for a key that
///         signs as a step of an operation, and if HTTPS is not built in.
#[export]
fn devid_config_set_tls_credential(
    config: &mut devid_config,
    key: &devid_key,
    chain: &devid_cert_list,
) -> Result<(), Error> {
    let key = Arc::clone(key.at_hand()?);
    tls_of(config)?.set_credential(key, chain)
}

/// The HTTPS server's name, where it is not the URL's host: it is asked for (SNI) and demanded of the certificate.
///
/// @param name    A host name or an address; NULL for the URL's host. May be NULL.
#[export]
fn devid_config_set_tls_server_name(config: &mut devid_config, name: Option<&str>) -> Result<(), Error> {
    tls_of(config)?.server_name = name.map(str::to_owned);
    Ok(())
}

/// Adds a fingerprint. If there are any, one of them must occur on the HTTPS server's path, from its certificate to the
/// anchor, besides everything else.
///
/// @param kind             DEVID_PIN_PUBLIC_KEY or DEVID_PIN_CERTIFICATE.
/// @param fingerprint      SHA-256. Not NULL.
/// @param fingerprint_len  32.
#[export]
fn devid_config_add_tls_pin(config: &mut devid_config, kind: i32, fingerprint: &[u8]) -> Result<(), Error> {
    let sha256: [u8; 32] = fingerprint
        .try_into()
        .map_err(|_| invalid(format!("a SHA-256 fingerprint has 32 bytes, not {}", fingerprint.len())))?;
    tls_of(config)?.pins.push(match kind {
        DEVID_PIN_PUBLIC_KEY => Pin::PublicKey(sha256),
        DEVID_PIN_CERTIFICATE => Pin::Certificate(sha256),
        other => return Err(invalid(format!("{other} is none of DEVID_PIN_*"))),
    });
    Ok(())
}

/// The oldest version of TLS that is spoken.
///
/// @param version  DEVID_TLS_1_2 (the default) or DEVID_TLS_1_3.
#[export]
fn devid_config_set_tls_min_version(config: &mut devid_config, version: TlsVersion) -> Result<(), Error> {
    tls_of(config)?.min_version = version;
    Ok(())
}

/// The time at which an HTTPS server's certificate must be valid.
///
/// @param clock   One of DEVID_CLOCK_*; DEVID_CLOCK_SYSTEM is the default.
/// @param at_utc  With DEVID_CLOCK_GIVEN: seconds since 1970-01-01T00:00:00Z; else ignored.
#[export]
fn devid_config_set_tls_clock(config: &mut devid_config, clock: i32, at_utc: Time) -> Result<(), Error> {
    tls_of(config)?.time = match clock {
        DEVID_CLOCK_SYSTEM => TlsTime::System,
        DEVID_CLOCK_GIVEN => TlsTime::At(at_utc),
        DEVID_CLOCK_NONE => TlsTime::Unknown,
        other => return Err(invalid(format!("{other} is none of DEVID_CLOCK_*"))),
    };
    Ok(())
}

/// Whether the status of HTTPS servers is asked about: in lists given by devid_config_add_tls_crls(), and in the OCSP response
/// that the server staples. Nothing is fetched for it.
///
/// @param mode    One of DEVID_REVOCATION_*; DEVID_REVOCATION_OFF is the default.
#[export]
fn devid_config_set_tls_revocation(config: &mut devid_config, mode: RevocationMode) -> Result<(), Error> {
    tls_of(config)?.revocation = RevocationPolicy { mode, ..RevocationPolicy::hard_fail() };
    Ok(())
}

/// Adds CRLs that HTTPS servers are looked up in, as devid_validator_add_crls().
///
/// @param data      CRLs, any number: DER, PEM or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_tls_crls(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    Ok(tls_of(config)?.status.add_crls(Arc::new(data.to_vec()))?)
}

/// Leave messages without protection of their own, because client and server know each other by TLS with certificates on
/// both sides: for CAs that want it so (HashiCorp Vault). Needs an "https" server, devid_config_add_tls_anchors() and
/// devid_config_set_tls_credential(). Answers without protection count only if they came over such a connection of the
/// built-in HTTP client, never by devid_op_feed() or a function of the program; answers with a signature are checked as
/// always. Replaces an earlier credential.
///
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if HTTPS is not built in.
#[export]
fn devid_config_set_mutual_tls(config: &mut devid_config) -> Result<(), Error> {
    tls_of(config)?;
    config.config.protect_by_mutual_tls();
    Ok(())
}

/// For "coap" servers: sizes and times (RFC 7252 section 4.8, RFC 7959).
///
/// @param block_bytes     Largest block: 16, 32, 64, 128, 256, 512 or 1024; 0 leaves it as it is (1024).
/// @param ack_millis      Until the first repetition of a message, and up to half of it more at random; each further one takes
///                        twice as long. 0 leaves it as it is (2000).
/// @param max_retransmit  How often a message is repeated; -1 leaves it as it is (4).
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for other values; DEVID_E_UNSUPPORTED if CoAP is not built in.
#[export]
fn devid_config_set_coap(
    config: &mut devid_config,
    block_bytes: u32,
    ack_millis: u32,
    max_retransmit: i32,
) -> Result<(), Error> {
    #[cfg(feature = "coap")]
    {
        let coap = &mut config.config.server.coap;
        match block_bytes {
            0 => {}
            16 | 32 | 64 | 128 | 256 | 512 | 1024 => coap.block_bytes = block_bytes as u16,
            other => return Err(invalid(format!("blocks of {other} bytes; CoAP knows 16, 32, 64, ... 1024"))),
        }
        if ack_millis != 0 {
            coap.ack_timeout = Duration::from_millis(ack_millis.into());
        }
        match max_retransmit {
            -1 => {}
            0..=20 => coap.max_retransmit = max_retransmit as u32,
            other => return Err(invalid(format!("{other} repetitions; 0 to 20 are taken"))),
        }
        Ok(())
    }
    #[cfg(not(feature = "coap"))]
    {
        let _ = (&*config, block_bytes, ack_millis, max_retransmit);
        Err(Error::new(Code::Unsupported, "CoAP is not built in"))
    }
}

/// User name and password for the proxy (RFC 7617). They are sent to the proxy alone, and shown nowhere.
///
/// @param user      Without a colon; NULL for none. May be NULL.
/// @param password  NULL only if `user` is. May be NULL.
#[export]
fn devid_config_set_proxy_login(
    config: &mut devid_config,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<(), Error> {
    config.config.server.proxy_login = match (user, password) {
        (None, _) => None,
        (Some(_), None) => return Err(null("password")),
        (Some(user), Some(password)) => Some((user.to_owned(), Zeroizing::new(password.to_owned()))),
    };
    Ok(())
}

/// Speak HTTP/1.0, for servers that know nothing else.
///
/// @param on      1 yes, 0 no (the default).
#[export]
fn devid_config_set_http_1_0(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.server.use_http_1_0 = on;
    Ok(())
}

/// Sends one datagram to the server. Return 0, or a number at or below -10000, which becomes the status of the call.
#[callback]
pub type devid_send_datagram_fn = fn(datagram: &[u8]) -> i32;

/// Waits for one datagram from the server, at most so many milliseconds. datagram: give it with devid_bytes_append(), at most
/// 4096 bytes; nothing if none came. Return 0, or a number at or below -10000, which becomes the status of the call.
#[callback]
pub type devid_receive_datagram_fn = fn(wait_millis: u32, datagram: &mut devid_bytes) -> i32;

/// The same for the messages of devid_renewal_run().
///
/// @param renewal  Made with settings whose server is a "coap" URL. Not NULL.
/// @param send     NULL: the built-in socket. May be NULL.
/// @param receive  NULL exactly if `send` is. May be NULL.
/// @param user     Passed to all three. May be NULL.
/// @param destroy  Called once, when the renewal is freed, other functions are set, or this call fails. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the server is none of CoAP; DEVID_E_UNSUPPORTED if CoAP is not built in.
#[export]
fn devid_renewal_set_datagrams(
    renewal: &mut devid_renewal,
    send: Option<devid_send_datagram_fn>,
    receive: Option<devid_receive_datagram_fn>,
    user: User,
) -> Result<(), Error> {
    #[cfg(feature = "coap")]
    {
        renewal.datagrams = match ProgramDatagrams::of(send, receive, user)? {
            None => None,
            Some(datagrams) => Some(Box::new(renewal.config.coap_over(datagrams)?)),
        };
        Ok(())
    }
    #[cfg(not(feature = "coap"))]
    {
        let _ = (&*renewal, send, receive, user);
        Err(Error::new(Code::Unsupported, "CoAP is not built in"))
    }
}

/// The program's way for datagrams.
#[cfg(feature = "coap")]
pub(super) struct ProgramDatagrams {
    send: devid_send_datagram_fn,
    receive: devid_receive_datagram_fn,
    user: User,
}

#[cfg(feature = "coap")]
impl ProgramDatagrams {
    /// Both functions, or none.
    pub(super) fn of(
        send: Option<devid_send_datagram_fn>,
        receive: Option<devid_receive_datagram_fn>,
        user: User,
    ) -> Result<Option<Box<Self>>, Error> {
        match (send, receive) {
            (None, None) => Ok(None),
            (Some(send), Some(receive)) => Ok(Some(Box::new(ProgramDatagrams { send, receive, user }))),
            (None, _) => Err(null("send")),
            (_, None) => Err(null("receive")),
        }
    }
}

#[cfg(feature = "coap")]
impl Datagrams for ProgramDatagrams {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match devid_send_datagram_fn(self.send, &self.user, datagram) {
            0 => Ok(()),
            number => Err(failed("sending datagrams", number)),
        }
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        let millis = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let (status, datagram) = devid_bytes::filled_by(buffer.len(), |datagram| {
            devid_receive_datagram_fn(self.receive, &self.user, millis, datagram)
        });
        match (status, datagram) {
            (0, Ok(datagram)) => {
                buffer[..datagram.len()].copy_from_slice(&datagram);
                Ok((!datagram.is_empty()).then_some(datagram.len()))
            }
            // No CoAP server sends as much: nothing that could be an answer.
            (0, Err(_)) => Ok(None),
            (number, _) => Err(failed("receiving datagrams", number)),
        }
    }
}

#[cfg(feature = "coap")]
fn failed(what: &str, number: i32) -> io::Error {
    let words = format!("the function for {what} returned {number}");
    io::Error::other(TransportError::application(number.min(-10_000), words))
}

/// Adds certificates that may stand between an HTTPS server's certificate and an anchor, for servers that do not send them. They
/// are not trusted.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM; DEVID_E_UNSUPPORTED if HTTPS is not built in.
#[export]
fn devid_config_add_tls_intermediates(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    if !tls::IS_BUILT_IN {
        return Err(Error::new(Code::Unsupported, "https is not built in"));
    }
    config.config.tls.intermediates.extend(Certificate::many_from_bytes(data)?);
    Ok(())
}
