//! What a known CA needs, by name.

use std::ffi::c_char;

use super::args::{handle_mut, text_in};
use super::config::{devid_config, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::cmp::Acceptance;

/// Settings for a known CA. Replaces the tolerances set so far; switches set later hold on top. Its MAC parameters hold
/// where devid_config_set_mac() is not called. Nothing in a profile loosens who is believed.
///
/// @param config  Not NULL.
/// @param name    "ejbca", "insta", "nokia-ncm", "3gpp", "vault", "xipki", "cryptlib", "trustpoint",
///                "openssl-mock", "strict-rfc9483". Not NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_set_profile(
    config: *mut devid_config,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut settings, name) = unsafe { (handle_mut(config, "config")?, text_in(name, "name")?) };
        settings.config.apply_profile(name)
    })
}

/// Believe a self-signed certificate that comes in extraCerts of ip, for signer and new certificate of that ir, where no
/// configured anchor does (3GPP TS 33.310 section 9.5.4.3). The device then believes whoever answers first: only for
/// networks where nobody else can, or over TLS. The chain's last certificate is what was believed: see devid_op_chain().
///
/// @param config  Not NULL.
/// @param on      1 yes, 0 no (the default).
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_set_adopt_root(
    config: *mut devid_config,
    on: i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        unsafe { handle_mut(config, "config")? }.config.adopt_root_of_ip = switch(on)?;
        Ok(())
    })
}

/// How far two clocks may be apart that are both right, wherever they meet: the first second of a fresh certificate, of the
/// signer's and of a TLS server's, messageTime, thisUpdate of status data. Nothing that has expired lives longer by it.
///
/// @param config   Not NULL.
/// @param seconds  Default 300.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_set_clock_skew(
    config: *mut devid_config,
    seconds: u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        unsafe { handle_mut(config, "config")? }.config.clock_skew_seconds = seconds;
        Ok(())
    })
}

/// Who decides on a certificate that is not what was asked for, where no function of the program does. Another key than the
/// one requested is never taken.
///
/// @param config  Not NULL.
/// @param policy  "exact": only what was asked for; "same-or-added" (the default): also what the CA added, and a shorter
///                validity; "any-order": also a subject whose parts come in another order; "anything-but-the-key". Not NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_set_acceptance(
    config: *mut devid_config,
    policy: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut settings, policy) = unsafe { (handle_mut(config, "config")?, text_in(policy, "policy")?) };
        settings.config.acceptance = Acceptance::named(policy)?;
        Ok(())
    })
}

/// Whether a key update asks for the usages, purposes and policies of the old certificate too. RFC 9483 section 4.1.3 has the
/// names alone; some CAs leave out what is not asked for, which devid_op_warning() tells.
///
/// @param config  Not NULL.
/// @param on      1 yes, 0 no (the default).
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_set_renew_with_uses(
    config: *mut devid_config,
    on: i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        unsafe { handle_mut(config, "config")? }.config.renew_with_uses = switch(on)?;
        Ok(())
    })
}
