//! Certificates and lists of certificates. Their public keys are not given out here: a peer's key comes from devid_peer, after
//! validation.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{Handle, Slot, bytes_in, c_text, free, handle, handle_mut, handle_ref, lend, out, peek};
use super::bytes::devid_bytes;
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use devid_core::asn1::distribution_point::{ca_issuers_urls, cdp_urls, ocsp_urls};
use devid_core::asn1::x509::{Certificate, serial_text};
use devid_core::asn1::{name, pem};
use devid_core::client::import::certificates_from_bytes;
use devid_core::validation::alternative_names;
use devid_core::{Code, Error};

/// A certificate as it came. Nothing in it is checked or to be believed: see devid_validate().
#[allow(non_camel_case_types)]
pub struct devid_cert(Slot<Cert>);
handle!(devid_cert: Cert);

#[doc(hidden)]
pub struct Cert {
    pub(super) certificate: Certificate,
    subject: CString,
    issuer: CString,
    serial: CString,
    urls: [Vec<CString>; 3],
    names: Vec<CString>,
}

/// Where CRLs for the certificate are (cRLDistributionPoints).
pub const DEVID_URL_CRL: i32 = 1;
/// OCSP responders for the certificate (authorityInfoAccess).
pub const DEVID_URL_OCSP: i32 = 2;
/// Certificates of its issuer (authorityInfoAccess).
pub const DEVID_URL_CA_ISSUERS: i32 = 3;

/// Certificates in an order.
#[allow(non_camel_case_types)]
pub struct devid_cert_list(Slot<Vec<Certificate>>);
handle!(devid_cert_list: Vec<Certificate>);

impl devid_cert {
    pub(super) fn of(certificate: Certificate) -> *mut devid_cert {
        <Self as Handle>::into_raw(Cert {
            subject: c_text(&name::display(certificate.subject())),
            issuer: c_text(&name::display(certificate.issuer())),
            serial: c_text(&serial_text(certificate.serial())),
            names: alternative_names(&certificate).iter().map(|n| c_text(n)).collect(),
            urls: [cdp_urls, ocsp_urls, ca_issuers_urls]
                .map(|find| find(&certificate).iter().map(|u| c_text(u)).collect()),
            certificate,
        })
    }
}

impl Cert {
    fn url(&self, kind: i32, index: usize) -> Option<&CString> {
        self.urls.get(usize::try_from(kind).ok()?.checked_sub(1)?)?.get(index)
    }
}

/// Reads one certificate.
///
/// @param data      DER, or PEM with one CERTIFICATE block; copied. Not NULL.
/// @param data_len  Length of `data` in bytes, without a trailing NUL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, DEVID_E_TRAILING_DATA, DEVID_E_LIMIT. RFC 5280 section 4.1.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_parse(
    data: *const u8,
    data_len: usize,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, data) = unsafe { (out(out_cert, "out_cert")?, bytes_in(data, data_len, "data")?) };
        let found = Certificate::many_from_bytes(data)?;
        let [certificate] = &found[..] else {
            return Err(Error::new(Code::Pem, format!("expected one certificate, found {}", found.len())));
        };
        *out_cert = devid_cert::of(certificate.clone());
        Ok(())
    })
}

/// The certificate's bytes as they came, DER.
///
/// @param cert     May be NULL (gives NULL).
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return Valid until the certificate is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_der(cert: *const devid_cert, out_len: *mut usize) -> *const u8 {
    // SAFETY: as the header says; the bytes live as long as the handle.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(cert, "cert") {
            Ok(cert) => lend(Some(cert.certificate.as_der()), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// The certificate as PEM text.
///
/// @param cert     Not NULL.
/// @param out_pem  Receives the text; free with devid_bytes_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_pem(
    cert: *const devid_cert,
    out_pem: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_pem, cert) = unsafe { (out(out_pem, "out_pem")?, handle_ref(cert, "cert")?) };
        *out_pem = devid_bytes::from_slice(pem::encode("CERTIFICATE", cert.certificate.as_der()).as_bytes());
        Ok(())
    })
}

/// The subject's name as text in the form of RFC 4514, such as "CN=router-7,O=Example". For people: two different names can
/// look the same.
///
/// @param cert  May be NULL (gives "").
/// @return UTF-8, never NULL; valid until the certificate is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_subject(cert: *const devid_cert) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(cert, c"".as_ptr(), |c| c.subject.as_ptr()) }
}

/// The issuer's name as text, as devid_cert_subject().
///
/// @param cert  May be NULL (gives "").
/// @return UTF-8, never NULL; valid until the certificate is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_issuer(cert: *const devid_cert) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(cert, c"".as_ptr(), |c| c.issuer.as_ptr()) }
}

/// The serial number: its encoded bytes in lower-case hexadecimal digits, such as "00c1f2"; a negative one as its magnitude
/// behind a minus sign, such as "-05".
///
/// @param cert  May be NULL (gives "").
/// @return Never NULL; valid until the certificate is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_serial(cert: *const devid_cert) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(cert, c"".as_ptr(), |c| c.serial.as_ptr()) }
}

/// The first second of validity.
///
/// @param cert  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z, negative before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_not_before(cert: *const devid_cert) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(cert, 0, |c| c.certificate.not_before().unix()) }
}

/// The last second of validity, inclusive.
///
/// @param cert  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z; 253402300799 (the end of year 9999) means "no well-defined end".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_not_after(cert: *const devid_cert) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(cert, 0, |c| c.certificate.not_after().unix()) }
}

/// How many names the certificate carries in its subjectAltName.
///
/// @param cert  May be NULL (gives 0).
/// @return 0 if there is none, or none that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_name_count(cert: *const devid_cert) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(cert, 0, |c| c.names.len()) }
}

/// A name in the certificate's subjectAltName, for people. To check a peer's name, tell a validator.
///
/// @param cert   May be NULL (gives NULL).
/// @param index  From 0 to devid_cert_name_count() - 1.
/// @return Such as "DNS:router-7.example" or "IP:192.0.2.7"; NULL if there is no such name; valid until the certificate is
///         freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_name(cert: *const devid_cert, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(cert, ptr::null(), |c| c.names.get(index).map_or(ptr::null(), |n| n.as_ptr())) }
}

/// A URL in a certificate, in the order there. Chosen by whoever issued it: see devid_fetch().
///
/// @param cert   May be NULL (gives NULL).
/// @param kind   One of DEVID_URL_*.
/// @param index  From 0.
/// @return NULL if there is no such URL; valid until the certificate is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_url(cert: *const devid_cert, kind: i32, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(cert, ptr::null(), |c| c.url(kind, index).map_or(ptr::null(), |u| u.as_ptr())) }
}

/// Frees a certificate.
///
/// @param cert  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_free(cert: *mut devid_cert) {
    // SAFETY: as the header says.
    unsafe { free(cert) }
}

/// An empty list.
///
/// @param out_list  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_new(
    out_list: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_list = unsafe { out(out_list, "out_list")? };
        *out_list = devid_cert_list::into_raw(Vec::new());
        Ok(())
    })
}

/// Adds the certificates in DER (one), PEM (each CERTIFICATE block, other blocks are skipped) or PKCS#7 (DER or PEM) at the end of
/// the list; one that is there twice is added once. On failure the list is unchanged.
///
/// @param list      Not NULL.
/// @param data      Copied. Not NULL.
/// @param data_len  Length of `data` in bytes, without a trailing NUL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM, DEVID_E_TRAILING_DATA, DEVID_E_LIMIT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_add_bytes(
    list: *mut devid_cert_list,
    data: *const u8,
    data_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut list, data) = unsafe { (handle_mut(list, "list")?, bytes_in(data, data_len, "data")?) };
        list.extend(certificates_from_bytes(data)?);
        Ok(())
    })
}

/// Adds a certificate at the end of the list.
///
/// @param list  Not NULL.
/// @param cert  Stays the caller's. Not NULL.
/// @param err   Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_add(
    list: *mut devid_cert_list,
    cert: *const devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut list, cert) = unsafe { (handle_mut(list, "list")?, handle_ref(cert, "cert")?) };
        list.push(cert.certificate.clone());
        Ok(())
    })
}

/// The number of certificates in a list.
///
/// @param list  May be NULL (gives 0).
/// @return The number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_count(list: *const devid_cert_list) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(list, 0, |l| l.len()) }
}

/// One certificate of a list, as an object of its own.
///
/// @param list      Not NULL.
/// @param index     From 0 to devid_cert_list_count() - 1.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the list is shorter.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_at(
    list: *const devid_cert_list,
    index: usize,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, list) = unsafe { (out(out_cert, "out_cert")?, handle_ref(list, "list")?) };
        let certificate = list.get(index).ok_or_else(|| {
            Error::new(Code::InvalidArgument, format!("index {index} in a list of {} certificates", list.len()))
        })?;
        *out_cert = devid_cert::of(certificate.clone());
        Ok(())
    })
}

/// The whole list as PEM text, one block after the other.
///
/// @param list     Not NULL.
/// @param out_pem  Receives the text; free with devid_bytes_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_pem(
    list: *const devid_cert_list,
    out_pem: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_pem, list) = unsafe { (out(out_pem, "out_pem")?, handle_ref(list, "list")?) };
        let text: String = list.iter().map(|c| pem::encode("CERTIFICATE", c.as_der()).to_string()).collect();
        *out_pem = devid_bytes::from_slice(text.as_bytes());
        Ok(())
    })
}

/// Frees a list.
///
/// @param list  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cert_list_free(list: *mut devid_cert_list) {
    // SAFETY: as the header says.
    unsafe { free(list) }
}
