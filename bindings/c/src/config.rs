//! Settings and client: to whom requests go, how they are protected, who is trusted.

use super::args::null;
use super::prelude::*;
use std::sync::Arc;
use std::time::Duration;

use devid_core::asn1::name::Name;
use devid_core::asn1::x509::Certificate;
use devid_core::client::{Client, Config};
use devid_core::cmp::{Acceptance, MacParameters};
use devid_core::crypto::{DigestAlgorithm, SignatureAlgorithm};

/// Settings from which clients are made. Setters copy; a client does not change with the settings it was made from.
#[handle]
pub type devid_config = Settings;

/// Checked settings, shared by the operations made with it. Never changes; may be shared by threads.
#[handle]
pub type devid_client = Session;

#[doc(hidden)]
pub struct Settings {
    pub(super) config: Config,
    pub(super) log: Option<Arc<Log>>,
}

#[doc(hidden)]
#[derive(Clone)]
pub struct Session {
    pub(super) client: Client,
    pub(super) log: Option<Arc<Log>>,
}

/// PasswordBasedMac (RFC 4211 section 4.4): known by all CAs.
pub const DEVID_MAC_PASSWORD_BASED: i32 = 1;
/// PBMAC1 with PBKDF2 (RFC 9481 section 6.1.2): the better one, where the CA knows it.
pub const DEVID_MAC_PBMAC1: i32 = 2;

/// Whoever has a path to the CMP anchors may sign answers: also every device under them. Only for anchors that exist for CMP
/// alone. Restrictions that are set besides still hold.
pub const DEVID_SIGNER_ANY: i32 = 4;
/// Only certificates with the purpose cmcCA or cmcRA (RFC 9810 section 4.5) may.
pub const DEVID_SIGNER_CMC: i32 = 2;
/// Only the certificate with a certain subject may.
pub const DEVID_SIGNER_SUBJECT: i32 = 3;

/// Something failed.
pub const DEVID_LOG_ERROR: i32 = 1;
/// Something is odd.
pub const DEVID_LOG_WARNING: i32 = 2;
/// What happens: messages sent and received, waits.
pub const DEVID_LOG_INFO: i32 = 3;

/// Is told what happens, in the thread that calls the library. level: one of DEVID_LOG_*. message: one line, no secrets.
#[callback]
pub type devid_log_fn = fn(level: i32, message: &str);

#[doc(hidden)]
pub struct Log {
    write: devid_log_fn,
    user: User,
}

impl Log {
    pub(super) fn line(log: &Option<Arc<Log>>, level: i32, words: impl FnOnce() -> String) {
        if let Some(log) = log {
            devid_log_fn(log.write, &log.user, level, &words());
        }
    }
}

/// New settings, with defaults and without trust in anyone.
///
/// @param out_config  Receives the settings; free with devid_config_free(). Not NULL.
#[export]
fn devid_config_new() -> Result<devid_config, Error> {
    Ok(Settings { config: Config::new(), log: None })
}

/// The CMP server for the built-in client.
///
/// @param url     Such as "http://ca.example:8080/.well-known/cmp"; the path is used as it stands. "https://..." needs
///                devid_config_add_tls_anchors(); "coap://..." goes by UDP (RFC 9482). Not NULL.
#[export]
fn devid_config_set_server(config: &mut devid_config, url: &str) -> Result<(), Error> {
    config.config.server.url = Some(url.to_owned());
    Ok(())
}

/// The HTTP proxy on the way to the server; to an "https" server it makes a tunnel. The environment is never asked.
///
/// @param url     "http://host:port"; NULL for none. May be NULL.
#[export]
fn devid_config_set_proxy(config: &mut devid_config, url: Option<&str>) -> Result<(), Error> {
    config.config.server.proxy_url = url.map(str::to_owned);
    Ok(())
}

/// How long one exchange of the built-in HTTP client may take.
///
/// @param connect_seconds  To find the address and connect; 0 leaves it as it is (15).
/// @param read_seconds     For each wait for bytes from the server; 0 leaves it as it is (60).
/// @param total_seconds    For the whole exchange; 0 leaves it as it is (120).
#[export]
fn devid_config_set_timeouts(
    config: &mut devid_config,
    connect_seconds: u32,
    read_seconds: u32,
    total_seconds: u32,
) -> Result<(), Error> {
    let limits = &mut config.config.exchange_limits;
    for (seconds, place) in [
        (connect_seconds, &mut limits.connect_timeout),
        (read_seconds, &mut limits.read_timeout),
        (total_seconds, &mut limits.total_timeout),
    ] {
        if seconds != 0 {
            *place = Duration::from_secs(seconds.into());
        }
    }
    Ok(())
}

/// How often devid_op_run() sends a message again. It does so only where the server cannot have seen the message.
///
/// @param max_retries  Default 0.
#[export]
fn devid_config_set_max_retries(config: &mut devid_config, max_retries: u32) -> Result<(), Error> {
    config.config.max_retries = max_retries;
    Ok(())
}

/// Protect requests with a secret shared with the CA, and answers by it too. Replaces an earlier credential.
///
/// @param reference      Reference value: tells the CA which secret. Not NULL.
/// @param secret         Not empty, and not zero bytes alone, which counts as empty. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an empty secret: an earlier credential stays.
#[export]
fn devid_config_set_secret(config: &mut devid_config, reference: &[u8], secret: &[u8]) -> Result<(), Error> {
    config.config.protect_with_secret(reference, secret, MacParameters::PASSWORD_BASED)
}

/// How the MAC under the shared secret is made. Call it after devid_config_set_secret(). Some old CAs take no more than 2047
/// iterations, or SHA1 only.
///
/// @param kind        DEVID_MAC_PASSWORD_BASED (the default) or DEVID_MAC_PBMAC1.
/// @param derivation  Digest of the key derivation: "SHA256" (the default), "SHA1", "SHA384", "SHA512". Not NULL.
/// @param mac         Digest of the HMAC, likewise. Not NULL.
/// @param iterations  Default 10000, with PBMAC1 100000; at least 100.
/// @return DEVID_OK; DEVID_E_STATE if no secret is set, DEVID_E_INVALID_ARGUMENT for unknown values.
#[export]
fn devid_config_set_mac(
    config: &mut devid_config,
    kind: i32,
    derivation: &str,
    mac: &str,
    iterations: u32,
) -> Result<(), Error> {
    let (owf, mac) = (DigestAlgorithm::named(derivation)?, DigestAlgorithm::named(mac)?);
    config.config.set_mac_parameters(match kind {
        DEVID_MAC_PASSWORD_BASED => MacParameters::PasswordBased { owf, mac, iterations },
        DEVID_MAC_PBMAC1 => MacParameters::Pbmac1 { prf: owf, mac, iterations },
        other => return Err(invalid(format!("{other} is none of DEVID_MAC_*"))),
    })
}

/// Protect requests by signature with the key of a certificate: the supplier's (IDevID), or one issued before. It is also
/// the certificate that devid_op_renew() updates. Replaces an earlier credential.
///
/// @param key     The certificate's private key. Not NULL.
/// @param chain   The certificate first, then its issuers as far as they are to be sent. Not NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH if key and certificate do not belong together.
#[export]
fn devid_config_set_credential(
    config: &mut devid_config,
    key: &devid_key,
    chain: &devid_cert_list,
) -> Result<(), Error> {
    config.config.set_credential(key.signer.clone(), chain)
}

/// The signature algorithm of the protection, where the CA does not take the key's usual one. Call it after
/// devid_config_set_credential().
///
/// @param algorithm  As in devid_sign_fn, such as "RSA-PSS-SHA256". Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no key is set, DEVID_E_ALGORITHM if the key cannot make it.
#[export]
fn devid_config_set_protection_algorithm(config: &mut devid_config, algorithm: &str) -> Result<(), Error> {
    config.config.set_protection_algorithm(SignatureAlgorithm::named(algorithm)?)
}

/// Adds trust anchors under which signers of answers must stand. Not needed where a shared secret protects.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_cmp_anchors(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.cmp_anchors.add_bytes(data)?;
    Ok(())
}

/// Adds trust anchors to which issued certificates must lead.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_enrolment_anchors(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.enrolment_anchors.add_bytes(data)?;
    Ok(())
}

/// Adds trust anchors to all three sets: for signers of answers, issued certificates and HTTPS servers. For a PKI with one root for
/// all. Whoever signs answers must still be entitled to: see devid_config_set_signer().
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, and nothing is added.
#[export]
fn devid_config_add_anchors(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.add_anchors(data)
}

/// Adds certificates that may stand between others and an anchor. They are not trusted.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_intermediates(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.intermediates.extend(Certificate::many_from_bytes(data)?);
    Ok(())
}

/// Names the CA or RA that requests are addressed to. Default: the issuer of the credential's certificate or the anchor.
///
/// @param name    Such as "CN=Issuing CA,O=Example"; NULL for the default. May be NULL.
/// @return DEVID_OK; DEVID_E_DER if the text is not a name.
#[export]
fn devid_config_set_recipient(config: &mut devid_config, name: Option<&str>) -> Result<(), Error> {
    config.config.recipient = name.map(Name::parse).transpose()?;
    Ok(())
}

/// Which signers with a path to the CMP anchors may sign answers. Without a call: a CMP anchor itself, a certificate with the
/// purpose cmcCA or cmcRA, or a CA certificate of the path that issues the device's certificates. Calls add up, also with
/// devid_config_add_signer_pins(): a signer must be all that was said.
///
/// @param who      One of DEVID_SIGNER_*.
/// @param subject  With DEVID_SIGNER_SUBJECT: the subject, such as "CN=RA,O=Example"; else ignored. May be NULL.
#[export]
fn devid_config_set_signer(config: &mut devid_config, who: i32, subject: Option<&str>) -> Result<(), Error> {
    let said = &mut config.config.authorisation;
    match who {
        DEVID_SIGNER_ANY => said.any_under_anchors = true,
        DEVID_SIGNER_CMC => said.cmc_purpose = true,
        DEVID_SIGNER_SUBJECT => said.subjects.push(Name::parse(subject.ok_or_else(|| null("subject"))?)?),
        other => return Err(invalid(format!("{other} is none of DEVID_SIGNER_*"))),
    }
    Ok(())
}

/// Asks the CA to do without a confirmation of the issued certificate (RFC 9483 section 4.1.1). It need not agree.
///
/// @param on      1 yes, 0 no (the default).
#[export]
fn devid_config_set_implicit_confirm(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.ask_implicit_confirm = on;
    Ok(())
}

/// The certificate profile that the CA is asked for (certProfile, RFC 9810 section 5.1.1.4).
///
/// @param profile  The profile's name; NULL for none. May be NULL.
#[export]
fn devid_config_set_cert_profile(config: &mut devid_config, profile: Option<&str>) -> Result<(), Error> {
    config.config.cert_profile = profile.map(str::to_owned);
    Ok(())
}

/// Take the anchors that the CA sends (caPubs) as anchors of the issued certificate. Only under a shared secret.
///
/// @param on      1 yes, 0 no (the default).
#[export]
fn devid_config_set_accept_ca_pubs(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.accept_ca_pubs = on;
    Ok(())
}

/// How far the time in an answer may lie from the present.
///
/// @param seconds  Default 3600; -1: not looked at, for devices without a clock.
#[export]
fn devid_config_set_time_window(config: &mut devid_config, seconds: i64) -> Result<(), Error> {
    config.config.message_time_window_seconds = match seconds {
        -1 => None,
        _ => Some(u32::try_from(seconds).map_err(|_| invalid(format!("a window of {seconds} seconds")))?),
    };
    Ok(())
}

/// A limit on what a server may make the client do.
///
/// @param name    "max_message_bytes", "max_certificates", "max_polls", "max_check_after_seconds", "max_total_seconds",
///                "max_mac_iterations", "max_mac_salt_bytes". Not NULL.
/// @param value   The limit.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name or a value out of range.
#[export]
fn devid_config_set_limit(config: &mut devid_config, name: &str, value: i64) -> Result<(), Error> {
    config.config.limits.set(name, value)
}

/// Puts up with one deviation of a server from RFC 9483. None of them makes an unauthenticated answer a success.
///
/// @param name    Off by default: "unprotected_errors", "unmatched_errors", "wrong_sender_kid", "renamed_root",
///                "other_sender_name", "signer_key_usage", "signer_may_change", "encrypted_value", "pkcs1_key_transport",
///                "gcm_in_enveloped_data", "bare_generated_key", "allow_weak", "pbes2_in_pbmac1", "null_mac_sender",
///                "never_confirm". On by default: "old_version_errors", "signature_answers_mac", "no_sender_nonce",
///                "any_mac_sender_kid", "loose_sender_kid", "zero_cert_req_id", "null_sender", "unauthorised_bearer",
///                "fail_info_with_success", "other_content_type". docs/known-cas.md says what each is for. Not NULL.
/// @param on      1 yes, 0 no.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name.
#[export]
fn devid_config_set_tolerance(config: &mut devid_config, name: &str, on: bool) -> Result<(), Error> {
    config.config.tolerance.set(name, on)
}

/// Tells a function of the program what happens in operations.
///
/// @param log      Called in the thread that uses the operation. NULL: no log. May be NULL.
/// @param user     Passed to `log` and `destroy`. May be NULL.
/// @param destroy  Called once, when everything made with it is gone, or when this call fails. May be NULL.
#[export]
fn devid_config_set_log(config: &mut devid_config, log: Option<devid_log_fn>, user: User) -> Result<(), Error> {
    config.log = log.map(|write| Arc::new(Log { write, user }));
    Ok(())
}

/// Frees settings. Clients made from them go on.
#[export]
fn devid_config_free(config: Owned<devid_config>) {
    drop(config)
}

/// Checks settings and makes a client.
///
/// @param out_client  Receives the client; free with devid_client_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if something needed is missing.
#[export]
fn devid_client_new(config: &devid_config) -> Result<devid_client, Error> {
    Ok(Session { client: config.config.build()?, log: config.log.clone() })
}

/// Frees a client. Operations made with it go on.
#[export]
fn devid_client_free(client: Owned<devid_client>) {
    drop(client)
}

pub(super) fn invalid(words: String) -> Error {
    Error::new(Code::InvalidArgument, words)
}

/// Chooses how possession of new keys is proved to which something can be encrypted (RFC 9810 section 5.2.8). Without it, keys
/// that can sign do so, and others take "encrCert".
///
/// @param possession  "encrCert": the certificate is sent encrypted to the new key and confirmed by its digest;
///                    "challengeResp": a number is sent encrypted to the new key and sent back; "signature" where the key can.
///                    Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for another text.
#[export]
fn devid_config_set_possession(config: &mut devid_config, possession: &str) -> Result<(), Error> {
    config.config.set_possession(possession)
}

/// Believe a root that is known by its SHA-256 alone, printed on paper or in the device's documents: a certificate with this digest
/// that comes with an answer is an anchor, for signers and for issued certificates, as if it had been set (RFC 9810 section 6.7.2).
/// No other anchors are needed then. The chain's last certificate is that root, to be installed: see devid_op_issuers().
///
/// @param config       Not NULL.
/// @param fingerprint  64 hexadecimal digits, with or without colons. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_config_add_root_fingerprint(config: &mut devid_config, fingerprint: &str) -> Result<(), Error> {
    config.config.add_root_fingerprint(fingerprint)
}

/// Settings for a known CA. Replaces the tolerances set so far; switches set later hold on top. Its MAC parameters hold
/// where devid_config_set_mac() is not called. Nothing in a profile loosens who is believed.
///
/// @param name    "ejbca", "insta", "nokia-ncm", "3gpp", "vault", "xipki", "cryptlib", "trustpoint",
///                "openssl-mock", "strict-rfc9483". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name.
#[export]
fn devid_config_set_profile(config: &mut devid_config, name: &str) -> Result<(), Error> {
    config.config.apply_profile(name)
}

/// Believe a self-signed certificate that comes in extraCerts of ip, for signer and new certificate of that ir, where no
/// configured anchor does (3GPP TS 33.310 section 9.5.4.3). The device then believes whoever answers first: only for
/// networks where nobody else can, or over TLS. The chain's last certificate is what was believed: see devid_op_issuers().
///
/// @param on      1 yes, 0 no (the default).
#[export]
fn devid_config_set_adopt_root(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.adopt_root_of_ip = on;
    Ok(())
}

/// How far two clocks may be apart that are both right, wherever they meet: the first second of a fresh certificate, of the
/// signer's and of a TLS server's, messageTime, thisUpdate of status data. Nothing that has expired lives longer by it.
///
/// @param seconds  Default 300, at most 86400.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for more.
#[export]
fn devid_config_set_clock_skew(config: &mut devid_config, seconds: u32) -> Result<(), Error> {
    config.config.set_clock_skew(seconds)
}

/// Who decides on a certificate that is not what was asked for, where no function of the program does. Another key than the
/// one requested is never taken.
///
/// @param policy  "exact": only what was asked for; "same-or-added" (the default): also what the CA added, and another
///                validity; "any-order": also a subject whose parts come in another order; "anything-but-the-key". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name.
#[export]
fn devid_config_set_acceptance(config: &mut devid_config, policy: &str) -> Result<(), Error> {
    config.config.acceptance = Acceptance::named(policy)?;
    Ok(())
}

/// Whether a key update asks for the usages, purposes and policies of the old certificate too. RFC 9483 section 4.1.3 has the
/// names alone; some CAs leave out what is not asked for, which devid_op_warning() tells.
///
/// @param on      1 yes, 0 no (the default).
#[export]
fn devid_config_set_renew_with_uses(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.renew_with_uses = on;
    Ok(())
}
