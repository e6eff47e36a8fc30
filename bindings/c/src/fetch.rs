//! Status data by URL: OCSP requests, and the built-in HTTP client for CRLs, OCSP and certificates.

use super::prelude::*;
use devid_core::crypto::{DigestAlgorithm, default_provider};
use devid_core::validation::OcspRequest;

/// A request for the status of one certificate (RFC 6960).
#[handle]
pub type devid_ocsp_request = OcspRequest;

/// Makes a request for the status of a certificate.
///
/// @param issuer       The certificate of its issuer. Not NULL.
/// @param digest       Of the identifier: "SHA1" is what every responder knows (RFC 5019), "SHA256" what newer ones do. It
///                     protects nothing. Not NULL.
/// @param nonce        1: with a nonce, which the response must then carry; 0: without, for pre-signed responses.
/// @param out_request  Receives the request; free with devid_ocsp_request_free(). Not NULL.
#[export]
fn devid_ocsp_request_new(
    cert: &devid_cert,
    issuer: &devid_cert,
    digest: &str,
    nonce: bool,
) -> Result<devid_ocsp_request, Error> {
    let digest = DigestAlgorithm::named(digest)?;
    let make = if nonce { OcspRequest::with_nonce } else { OcspRequest::without_nonce };
    let request = make(&*default_provider(), &cert.certificate, &issuer.certificate, digest)?;
    Ok(request)
}

/// The request as bytes: the body of a POST with content type application/ocsp-request.
///
/// @return DER; valid until the request is freed.
#[export]
fn devid_ocsp_request_der(request: &devid_ocsp_request) -> &[u8] {
    request.as_der()
}

/// Frees a request.
#[export]
fn devid_ocsp_request_free(request: Owned<devid_ocsp_request>) {
    drop(request)
}

/// Gets a document by URL with the built-in HTTP client: a CRL, a certificate, or the answer to an OCSP request. Blocks. What
/// comes back is to be judged, not believed. URLs in certificates are chosen by strangers: fetch them for paths whose
/// signatures hold.
///
/// @param url           "http://...". Not NULL.
/// @param request       An OCSP request to POST; NULL: GET. May be NULL.
/// @param max_len       Largest document accepted, in bytes; 0 means 4 MiB.
/// @param out_document  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_CONNECT, DEVID_E_HTTP_STATUS, ... (DEVID_CLASS_TRANSPORT); DEVID_E_UNSUPPORTED if the HTTP client
///         is not built in.
#[export]
fn devid_fetch(url: &str, request: Option<&[u8]>, max_len: usize) -> Result<devid_bytes, Error> {
    #[cfg(feature = "http")]
    {
        Ok(devid_bytes::from_slice(&devid_core::transport::fetch::fetch_once(url, request, max_len)?))
    }
    #[cfg(not(feature = "http"))]
    {
        let _ = (url, request, max_len);
        Err(Error::new(Code::Unsupported, "the HTTP client is not built in"))
    }
}
