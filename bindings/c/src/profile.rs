//! What a known CA needs, by name.

use super::prelude::*;
use devid_core::cmp::Acceptance;

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
