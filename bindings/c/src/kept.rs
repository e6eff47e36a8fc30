//! What device memory keeps besides identities: anchors with their successors, CRLs, the program's own records.

use std::ffi::c_char;

use super::args::{bytes_in, handle_ref, out, out_opt, text_in};
use super::bytes::devid_bytes;
use super::cert::{devid_cert, devid_cert_list};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::operation::devid_op;
use super::store::{anchor_set, devid_store};
use super::trust::devid_trust;
use devid_core::asn1::pem;
use devid_core::client::{CrlSubject, add_root, keep_crl, kept_crls};
use devid_core::cmp::Information;
use devid_core::crypto::default_provider;
use devid_core::{Code, Error, Time};

/// Puts the new root that a server announced among the trust anchors of one use, beside the old one. It must have come in answer
/// to devid_op_ask_root_update(), so that the trusted root's key was found to vouch for it.
///
/// @param store    Not NULL.
/// @param use_for  "cmp", "enrolment", "tls" or "peer"; the old root must be an anchor there. Not NULL.
/// @param op       Done, with a root update. Not NULL.
/// @param out_new  Receives 1 if the root was added, 0 if it was there already. NULL if not wanted. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if the old root is no anchor for this use, DEVID_E_STATE if no new root came.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_add_root(
    store: *const devid_store,
    use_for: *const c_char,
    op: *const devid_op,
    out_new: *mut i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_new, store, use_for, op) = unsafe {
            (out_opt(out_new), handle_ref(store, "store")?, text_in(use_for, "use_for")?, handle_ref(op, "op")?)
        };
        let Information::RootUpdate(Some(update)) = op.information()? else {
            return Err(Error::new(Code::State, "no new root came"));
        };
        let is_new = add_root(&store, anchor_set(use_for)?, update)?;
        if let Some(out_new) = out_new {
            *out_new = i32::from(is_new);
        }
        Ok(())
    })
}

/// Keeps a CRL if it speaks about a certificate: its scope, its signer's authority, its signature, its times, and that it is not
/// older than one seen before (RFC 5280 section 6.3.3) are checked on the way. Later validations with this device memory find
/// it as if it had been fetched.
///
/// @param store          Not NULL.
/// @param crl            DER or PEM. Not NULL.
/// @param crl_len        Length of `crl` in bytes.
/// @param cert           The certificate whose status the CRL is to tell. Not NULL.
/// @param intermediates  Untrusted helpers for its path. NULL: none. May be NULL.
/// @param anchors        Where the path must lead. Not NULL.
/// @param now            The present, in seconds since 1970-01-01T00:00:00Z.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_REVOKED if the CRL was kept and the certificate is on it; DEVID_E_CRL_ROLLBACK if it is older than
///         one seen before; DEVID_E_REVOCATION_UNKNOWN if it says
///         nothing about the certificate that could be believed, and others of devid_validate().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_crl(
    store: *const devid_store,
    crl: *const u8,
    crl_len: usize,
    cert: *const devid_cert,
    intermediates: *const devid_cert_list,
    anchors: *const devid_trust,
    now: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, crl, cert, intermediates, anchors) = unsafe {
            (
                handle_ref(store, "store")?,
                bytes_in(crl, crl_len, "crl")?,
                handle_ref(cert, "cert")?,
                if intermediates.is_null() { None } else { Some(handle_ref(intermediates, "intermediates")?) },
                handle_ref(anchors, "anchors")?,
            )
        };
        let about = CrlSubject {
            certificate: &cert.certificate,
            intermediates: intermediates.as_ref().map_or(&[][..], |list| &list[..]),
            anchors: &anchors,
            at: Time::from_unix(now),
        };
        keep_crl(&default_provider(), &store, crl, &about)
    })
}

/// The CRLs that device memory keeps, whether they were fetched or put there: devid_validator_add_crls() takes them and checks
/// them again.
///
/// @param store     Not NULL.
/// @param out_crls  Receives PEM, empty if there are none; free with devid_bytes_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_crls(
    store: *const devid_store,
    out_crls: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_crls, store) = unsafe { (out(out_crls, "out_crls")?, handle_ref(store, "store")?) };
        let crls = kept_crls(&default_provider(), &store)?;
        let text: String =
            crls.iter().filter_map(|crl| Some(pem::encode("X509 CRL", crl.der()?).to_string())).collect();
        *out_crls = devid_bytes::from_slice(text.as_bytes());
        Ok(())
    })
}

/// Keeps bytes that need no secrecy, such as a configuration; an earlier record of that name is replaced.
///
/// @param store     Not NULL.
/// @param name      As names of identities; not beginning with "status-" or "crl-", which are the library's. Not NULL.
/// @param data      At most 64 MiB. May be NULL if `data_len` is 0.
/// @param data_len  Length of `data` in bytes.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_blob(
    store: *const devid_store,
    name: *const c_char,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, name, data) =
            unsafe { (handle_ref(store, "store")?, text_in(name, "name")?, bytes_in(data, data_len, "data")?) };
        own_name(name)?;
        Ok(store.put_blob(name, data)?)
    })
}

/// Bytes that devid_store_put_blob() kept.
///
/// @param store     Not NULL.
/// @param name      Not NULL.
/// @param out_data  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_CORRUPT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_blob(
    store: *const devid_store,
    name: *const c_char,
    out_data: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_data, store, name) =
            unsafe { (out(out_data, "out_data")?, handle_ref(store, "store")?, text_in(name, "name")?) };
        *out_data = devid_bytes::from_slice(&store.blob(name)?);
        Ok(())
    })
}

/// The names of all records of the program's own, one a line.
///
/// @param store      Not NULL.
/// @param out_names  Receives the names; free with devid_bytes_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_blobs(
    store: *const devid_store,
    out_names: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_names, store) = unsafe { (out(out_names, "out_names")?, handle_ref(store, "store")?) };
        let names: Vec<String> = store.blobs()?.into_iter().filter(|name| own_name(name).is_ok()).collect();
        *out_names = devid_bytes::from_slice(names.join("\n").as_bytes());
        Ok(())
    })
}

/// Removes bytes that devid_store_put_blob() kept. It is no error if there are none.
///
/// @param store  Not NULL.
/// @param name   Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_remove_blob(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, name) = unsafe { (handle_ref(store, "store")?, text_in(name, "name")?) };
        own_name(name)?;
        Ok(store.remove_blob(name)?)
    })
}

/// Raises a number that must never go back, such as a firmware's version: on no path does it become lower.
///
/// @param store       Not NULL.
/// @param name        As names of identities; not beginning with "status-" or "crl-". Not NULL.
/// @param value       Not negative.
/// @param out_raised  Receives 1 if it was raised, 0 if it is that high already. NULL if not wanted. May be NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a negative value, DEVID_E_CORRUPT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_raise_number(
    store: *const devid_store,
    name: *const c_char,
    value: i64,
    out_raised: *mut i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_raised, store, name) =
            unsafe { (out_opt(out_raised), handle_ref(store, "store")?, text_in(name, "name")?) };
        own_name(name)?;
        let value =
            u64::try_from(value).map_err(|_| Error::new(Code::InvalidArgument, format!("{value} is negative")))?;
        let raised = store.raise_number(name, &value.to_be_bytes())?;
        if let Some(out_raised) = out_raised {
            *out_raised = i32::from(raised);
        }
        Ok(())
    })
}

/// A number that devid_store_raise_number() kept.
///
/// @param store      Not NULL.
/// @param name       Not NULL.
/// @param out_value  Receives the number; 0 if there is none. Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT; DEVID_E_LIMIT if it is larger than an int64_t holds.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_number(
    store: *const devid_store,
    name: *const c_char,
    out_value: *mut i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_value, store, name) =
            unsafe { (out(out_value, "out_value")?, handle_ref(store, "store")?, text_in(name, "name")?) };
        let bytes = store.number(name)?.unwrap_or_default();
        let number = bytes.iter().try_fold(0i64, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)));
        *out_value = number.ok_or_else(|| Error::new(Code::Limit, "the number is larger than an int64_t holds"))?;
        Ok(())
    })
}

/// Records of the library's own are not the program's to change: a forged cache would be a nuisance, a lost one too.
fn own_name(name: &str) -> Result<(), Error> {
    if ["status-", "crl-"].iter().any(|prefix| name.starts_with(prefix)) {
        return Err(Error::new(Code::InvalidArgument, format!("\"{name}\" is a record of the library's own")));
    }
    Ok(())
}
