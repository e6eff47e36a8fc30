//! Status data by URL: OCSP requests, and the built-in HTTP client for CRLs, OCSP and certificates.

use std::ffi::c_char;
use std::ptr;

use super::args::{Handle, Slot, bytes_in_opt, free, handle, handle_ref, lend, out, text_in};
use super::bytes::devid_bytes;
use super::cert::devid_cert;
use super::config::{invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use devid_core::crypto::{DigestAlgorithm, default_provider};
use devid_core::validation::OcspRequest;
#[cfg(not(feature = "http"))]
use devid_core::{Code, Error};

/// A request for the status of one certificate (RFC 6960).
#[allow(non_camel_case_types)]
pub struct devid_ocsp_request(Slot<OcspRequest>);
handle!(devid_ocsp_request: OcspRequest);

/// Makes a request for the status of a certificate.
///
/// @param cert         Not NULL.
/// @param issuer       The certificate of its issuer. Not NULL.
/// @param digest       Of the identifier: "SHA1" is what every responder knows (RFC 5019), "SHA256" what newer ones do. It
///                     protects nothing. Not NULL.
/// @param nonce        1: with a nonce, which the response must then carry; 0: without, for pre-signed responses.
/// @param out_request  Receives the request; free with devid_ocsp_request_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ocsp_request_new(
    cert: *const devid_cert,
    issuer: *const devid_cert,
    digest: *const c_char,
    nonce: i32,
    out_request: *mut *mut devid_ocsp_request,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_request, cert, issuer, digest) = unsafe {
            (
                out(out_request, "out_request")?,
                handle_ref(cert, "cert")?,
                handle_ref(issuer, "issuer")?,
                text_in(digest, "digest")?,
            )
        };
        let digest = DigestAlgorithm::from_name(digest)
            .ok_or_else(|| invalid(format!("'{digest}' is no digest such as SHA256")))?;
        let make = if switch(nonce)? { OcspRequest::with_nonce } else { OcspRequest::without_nonce };
        let request = make(&*default_provider(), &cert.certificate, &issuer.certificate, digest)?;
        *out_request = devid_ocsp_request::into_raw(request);
        Ok(())
    })
}

/// The request as bytes: the body of a POST with content type application/ocsp-request.
///
/// @param request  May be NULL (gives NULL).
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return DER; valid until the request is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ocsp_request_der(request: *const devid_ocsp_request, out_len: *mut usize) -> *const u8 {
    // SAFETY: as the header says; the bytes live as long as the handle.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(request, "request") {
            Ok(request) => lend(Some(request.as_der()), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// Frees a request.
///
/// @param request  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ocsp_request_free(request: *mut devid_ocsp_request) {
    // SAFETY: as the header says.
    unsafe { free(request) }
}

/// Gets a document by URL with the built-in HTTP client: a CRL, a certificate, or the answer to an OCSP request. Blocks. What
/// comes back is to be judged, not believed. URLs in certificates are chosen by strangers: fetch them for paths whose
/// signatures hold.
///
/// @param url           "http://...". Not NULL.
/// @param request       An OCSP request to POST; NULL: GET. May be NULL.
/// @param request_len   Length of `request` in bytes.
/// @param max_len       Largest document accepted, in bytes; 0 means 4 MiB.
/// @param out_document  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_CONNECT, DEVID_E_HTTP_STATUS, ... (DEVID_CLASS_TRANSPORT); DEVID_E_UNSUPPORTED if the HTTP client
///         is not built in.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetch(
    url: *const c_char,
    request: *const u8,
    request_len: usize,
    max_len: usize,
    out_document: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_document, url, request) = unsafe {
            (out(out_document, "out_document")?, text_in(url, "url")?, bytes_in_opt(request, request_len, "request")?)
        };
        #[cfg(feature = "http")]
        {
            *out_document = devid_bytes::from_slice(&devid_core::transport::fetch::fetch_once(url, request, max_len)?);
            Ok(())
        }
        #[cfg(not(feature = "http"))]
        {
            let _ = (out_document, url, request, max_len);
            Err(Error::new(Code::Unsupported, "the HTTP client is not built in"))
        }
    })
}
