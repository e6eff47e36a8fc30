//! Behind and beside a registration authority: whose answers count, and what an RA does with messages of others.

use super::args::{bytes_in, handle_mut};
use super::config::devid_config;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::asn1::x509::Certificate;

/// Only these certificates may sign answers: an RA's, known from a file or from the CA. They still need a valid path to the
/// CMP anchors; one that has none is added to the anchors as well. What devid_config_set_signer() says holds besides; further
/// calls add certificates.
///
/// @param config    Not NULL.
/// @param data      Certificates, DER (one) or PEM (any number). Not NULL.
/// @param data_len  Length of `data` in bytes.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_config_pin_signers(
    config: *mut devid_config,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut settings, data) = unsafe { (handle_mut(config, "config")?, bytes_in(data, data_len, "data")?) };
        settings.config.pin_signers(Certificate::many_from_bytes(data)?);
        Ok(())
    })
}
