//! What a certificate is asked for: names, uses, lifetime.

use super::prelude::*;
use devid_core::client::Subject;

/// What a certificate is asked for. Some identity must be there: a subject or an alternative name.
#[handle]
pub type devid_subject = Subject;

/// Creates an empty certificate subject: nothing is asked for yet.
///
/// @param out_subject  Receives the object; free with devid_subject_free(). Not NULL.
#[export]
fn devid_subject_new() -> Result<devid_subject, Error> {
    Ok(Subject::new())
}

/// The subject's distinguished name.
///
/// @param subject  Not NULL.
/// @param name     In the form of RFC 4514, such as "CN=router-7,O=Example". Not NULL.
/// @return DEVID_OK; DEVID_E_DER if the text is not a name.
#[export]
fn devid_subject_set_name(subject: &mut devid_subject, name: &str) -> Result<(), Error> {
    *subject = subject.clone().name(name)?;
    Ok(())
}

/// Adds a DNS name (RFC 5280 section 4.2.1.6).
///
/// @param subject  Not NULL.
/// @param name     ASCII; international names in their A-label form. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_dns(subject: &mut devid_subject, name: &str) -> Result<(), Error> {
    *subject = subject.clone().dns(name)?;
    Ok(())
}

/// Adds an e-mail address.
///
/// @param subject  Not NULL.
/// @param address  ASCII. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_email(subject: &mut devid_subject, address: &str) -> Result<(), Error> {
    *subject = subject.clone().email(address)?;
    Ok(())
}

/// Adds a URI.
///
/// @param subject  Not NULL.
/// @param uri      ASCII. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_uri(subject: &mut devid_subject, uri: &str) -> Result<(), Error> {
    *subject = subject.clone().uri(uri)?;
    Ok(())
}

/// Adds an IP address.
///
/// @param subject  Not NULL.
/// @param address  Version 4 or 6, such as "192.0.2.1" or "2001:db8::1". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_ip(subject: &mut devid_subject, address: &str) -> Result<(), Error> {
    let wrong = |_| Error::new(Code::InvalidArgument, format!("'{address}' is not an IP address"));
    *subject = subject.clone().ip(address.parse().map_err(wrong)?);
    Ok(())
}

/// Adds the name of a hardware module (RFC 4108 section 5), as found in factory-installed (IDevID) certificates.
///
/// @param hardware_type      The maker's identifier for the type, such as "1.3.6.1.4.1.32473.7". Not NULL.
/// @param serial_number      Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_hardware_module(
    subject: &mut devid_subject,
    hardware_type: &str,
    serial_number: &[u8],
) -> Result<(), Error> {
    *subject = subject.clone().hardware_module(hardware_type, serial_number)?;
    Ok(())
}

/// Adds a use of the key (RFC 5280 section 4.2.1.3).
///
/// @param subject  Not NULL.
/// @param usage    Such as "digitalSignature" or "keyAgreement". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_key_usage(subject: &mut devid_subject, usage: &str) -> Result<(), Error> {
    *subject = subject.clone().key_usage(usage)?;
    Ok(())
}

/// Adds a purpose (extended key usage, RFC 5280 section 4.2.1.12).
///
/// @param subject  Not NULL.
/// @param purpose  Such as "clientAuth" or "serverAuth", or an identifier such as "1.3.6.1.5.5.7.3.2". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_purpose(subject: &mut devid_subject, purpose: &str) -> Result<(), Error> {
    *subject = subject.clone().extended_key_usage(purpose)?;
    Ok(())
}

/// Adds any extension.
///
/// @param identifier  Such as "1.2.3.4". Not NULL.
/// @param critical    1 yes, 0 no.
/// @param value       DER of the extension's value. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_subject_add_extension(
    subject: &mut devid_subject,
    identifier: &str,
    critical: bool,
    value: &[u8],
) -> Result<(), Error> {
    *subject = subject.clone().extension(identifier, critical, value)?;
    Ok(())
}

/// Asks for an issuer.
///
/// @param subject  Not NULL.
/// @param name     In the form of RFC 4514. Not NULL.
/// @return DEVID_OK; DEVID_E_DER if the text is not a name.
#[export]
fn devid_subject_set_issuer(subject: &mut devid_subject, name: &str) -> Result<(), Error> {
    *subject = subject.clone().issuer(name)?;
    Ok(())
}

/// Asks for a lifetime. The CA may choose another; that is a difference to be accepted.
///
/// @param not_before  First second, since 1970-01-01T00:00:00Z; 0 leaves it to the CA.
/// @param not_after   Last second; 0 leaves it to the CA.
#[export]
fn devid_subject_set_validity(subject: &mut devid_subject, not_before: i64, not_after: i64) -> Result<(), Error> {
    let time = |seconds| (seconds != 0).then(|| Time::from_unix(seconds));
    *subject = subject.clone().validity(time(not_before), time(not_after));
    Ok(())
}

/// Frees the object.
#[export]
fn devid_subject_free(subject: Owned<devid_subject>) {
    drop(subject)
}
