//! What a known CA needs, by name.

use std::ffi::c_char;

use super::args::{handle_mut, text_in};
use super::config::{devid_config, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;

/// Settings for a known CA. Replaces the tolerances set so far; switches set later hold on top. Its MAC parameters hold
/// where devid_config_set_mac() is not called. Nothing in a profile loosens who is believed.
///
/// @param config  Not NULL.
/// @param name    "ejbca", "insta", "nokia-ncm", "3gpp", "vault", "openssl-mock", "strict-rfc9483". Not NULL.
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
