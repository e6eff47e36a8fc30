//! What a certificate is asked for: names, uses, lifetime.

use std::ffi::c_char;

use super::args::{Handle, Slot, bytes_in, free, handle, handle_mut, out, text_in};
use super::config::switch;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use devid_core::client::Subject;
use devid_core::{Code, Error, Time};

/// What a certificate is asked for. Some identity must be there: a subject or an alternative name.
#[allow(non_camel_case_types)]
pub struct devid_subject(Slot<Subject>);
handle!(devid_subject: Subject);

/// Asks for nothing yet.
///
/// @param out_subject  Receives the object; free with devid_subject_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_new(
    out_subject: *mut *mut devid_subject,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_subject = unsafe { out(out_subject, "out_subject")? };
        *out_subject = devid_subject::into_raw(Subject::new());
        Ok(())
    })
}

/// The subject's distinguished name.
///
/// @param subject  Not NULL.
/// @param name     In the form of RFC 4514, such as "CN=router-7,O=Example". Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER if the text is no name.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_set_name(
    subject: *mut devid_subject,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, name, "name", err, Subject::name) }
}

/// Adds a DNS name (RFC 5280 section 4.2.1.6).
///
/// @param subject  Not NULL.
/// @param name     ASCII; international names in their A-label form. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_dns(
    subject: *mut devid_subject,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, name, "name", err, Subject::dns) }
}

/// Adds an e-mail address.
///
/// @param subject  Not NULL.
/// @param address  ASCII. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_email(
    subject: *mut devid_subject,
    address: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, address, "address", err, Subject::email) }
}

/// Adds a URI.
///
/// @param subject  Not NULL.
/// @param uri      ASCII. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_uri(
    subject: *mut devid_subject,
    uri: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, uri, "uri", err, Subject::uri) }
}

/// Adds an IP address.
///
/// @param subject  Not NULL.
/// @param address  Version 4 or 6, such as "192.0.2.1" or "2001:db8::1". Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_ip(
    subject: *mut devid_subject,
    address: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    let add = |subject: Subject, address: &str| {
        let wrong = |_| Error::new(Code::InvalidArgument, format!("'{address}' is no IP address"));
        Ok(subject.ip(address.parse().map_err(wrong)?))
    };
    // SAFETY: as the header says.
    unsafe { change(subject, address, "address", err, add) }
}

/// Adds the name of a hardware module (RFC 4108 section 5), as the certificates have that devices are born with.
///
/// @param subject            Not NULL.
/// @param hardware_type      The maker's identifier for the type, such as "1.3.6.1.4.1.32473.7". Not NULL.
/// @param serial_number      Not NULL.
/// @param serial_number_len  Length of `serial_number` in bytes.
/// @param err                Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_hardware_module(
    subject: *mut devid_subject,
    hardware_type: *const c_char,
    serial_number: *const u8,
    serial_number_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut subject, hardware_type, serial_number) = unsafe {
            (
                handle_mut(subject, "subject")?,
                text_in(hardware_type, "hardware_type")?,
                bytes_in(serial_number, serial_number_len, "serial_number")?,
            )
        };
        *subject = subject.clone().hardware_module(hardware_type, serial_number)?;
        Ok(())
    })
}

/// Adds a use of the key (RFC 5280 section 4.2.1.3).
///
/// @param subject  Not NULL.
/// @param usage    Such as "digitalSignature" or "keyAgreement". Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_key_usage(
    subject: *mut devid_subject,
    usage: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, usage, "usage", err, Subject::key_usage) }
}

/// Adds a purpose (extended key usage, RFC 5280 section 4.2.1.12).
///
/// @param subject  Not NULL.
/// @param purpose  Such as "clientAuth" or "serverAuth", or an identifier such as "1.3.6.1.5.5.7.3.2". Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_purpose(
    subject: *mut devid_subject,
    purpose: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, purpose, "purpose", err, Subject::extended_key_usage) }
}

/// Adds any extension.
///
/// @param subject     Not NULL.
/// @param identifier  Such as "1.2.3.4". Not NULL.
/// @param critical    1 yes, 0 no.
/// @param value       DER of the extension's value. Not NULL.
/// @param value_len   Length of `value` in bytes.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_add_extension(
    subject: *mut devid_subject,
    identifier: *const c_char,
    critical: i32,
    value: *const u8,
    value_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut subject, identifier, value) = unsafe {
            (handle_mut(subject, "subject")?, text_in(identifier, "identifier")?, bytes_in(value, value_len, "value")?)
        };
        *subject = subject.clone().extension(identifier, switch(critical)?, value)?;
        Ok(())
    })
}

/// Asks for an issuer.
///
/// @param subject  Not NULL.
/// @param name     In the form of RFC 4514. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER if the text is no name.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_set_issuer(
    subject: *mut devid_subject,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { change(subject, name, "name", err, Subject::issuer) }
}

/// Asks for a lifetime. The CA may choose another; that is a difference to be accepted.
///
/// @param subject     Not NULL.
/// @param not_before  First second, since 1970-01-01T00:00:00Z; 0 leaves it to the CA.
/// @param not_after   Last second; 0 leaves it to the CA.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_set_validity(
    subject: *mut devid_subject,
    not_before: i64,
    not_after: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut subject = unsafe { handle_mut(subject, "subject")? };
        let time = |seconds| (seconds != 0).then(|| Time::from_unix(seconds));
        *subject = subject.clone().validity(time(not_before), time(not_after));
        Ok(())
    })
}

/// Frees the object.
///
/// @param subject  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_free(subject: *mut devid_subject) {
    // SAFETY: as the header says.
    unsafe { free(subject) }
}

/// One change by a text; on failure the object stays as it was.
///
/// # Safety
/// As the functions that pass their arguments here.
unsafe fn change(
    subject: *mut devid_subject,
    text: *const c_char,
    name: &str,
    err: *mut *mut devid_error,
    change: impl FnOnce(Subject, &str) -> Result<Subject, Error>,
) -> devid_status {
    guard(err, || {
        // SAFETY: by the caller's promise.
        let (mut subject, text) = unsafe { (handle_mut(subject, "subject")?, text_in(text, name)?) };
        *subject = change(subject.clone(), text)?;
        Ok(())
    })
}
