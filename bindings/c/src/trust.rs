//! Trust anchors: certificates that are believed without proof.

use super::args::{Handle, Slot, bytes_in, free, handle, handle_mut, handle_ref, out, peek};
use super::cert::devid_cert;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::validation::TrustAnchors;

/// Certificates that are believed without proof. Sets for different uses are best kept apart.
#[allow(non_camel_case_types)]
pub struct devid_trust(Slot<TrustAnchors>);
handle!(devid_trust: TrustAnchors);

/// An empty set: nothing is trusted.
///
/// @param out_trust  Receives the set; free with devid_trust_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_trust_new(out_trust: *mut *mut devid_trust, err: *mut *mut devid_error) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_trust = unsafe { out(out_trust, "out_trust")? };
        *out_trust = devid_trust::into_raw(TrustAnchors::new());
        Ok(())
    })
}

/// Adds trust anchors. Constraints that an anchor carries are enforced (RFC 5937).
///
/// @param trust     Not NULL.
/// @param data      Certificates, DER (one) or PEM (any number). Not NULL.
/// @param data_len  Length of `data` in bytes.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_trust_add_bytes(
    trust: *mut devid_trust,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut trust, data) = unsafe { (handle_mut(trust, "trust")?, bytes_in(data, data_len, "data")?) };
        trust.add_bytes(data)?;
        Ok(())
    })
}

/// Adds a trust anchor.
///
/// @param trust  Not NULL.
/// @param cert   Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_trust_add(
    trust: *mut devid_trust,
    cert: *const devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut trust, cert) = unsafe { (handle_mut(trust, "trust")?, handle_ref(cert, "cert")?) };
        trust.add(cert.certificate.clone());
        Ok(())
    })
}

/// How many anchors there are.
///
/// @param trust  May be NULL (gives 0).
/// @return The number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_trust_count(trust: *const devid_trust) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(trust, 0, |t| t.len()) }
}

/// Frees a set.
///
/// @param trust  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_trust_free(trust: *mut devid_trust) {
    // SAFETY: as the header says.
    unsafe { free(trust) }
}
