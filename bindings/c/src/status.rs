//! Validation that fetches status data and missing issuers by the URLs in certificates, and keeps what is good.

use std::ffi::{CString, c_char, c_void};

use super::args::{Handle, Slot, c_text, free, handle, handle_mut, handle_ref, out, out_opt, text_in, text_in_opt};
use super::bytes::devid_bytes;
use super::callback::User;
use super::cert::{devid_cert, devid_cert_list};
use super::config::{invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::devid_destroy_fn;
use super::peer::devid_peer;
use super::report::devid_report;
use super::store::devid_store;
use super::validate::hand_out;
use super::validation::{Validator, devid_validator};
use devid_core::asn1::x509::Certificate;
use devid_core::client::peer_certificates::end_entity_of;
use devid_core::client::status::{CertificateQuery, OcspNonce, StatusFetcher, StatusOptions};
use devid_core::crypto::{DigestAlgorithm, default_provider};
use devid_core::transport::fetch::Document;
use devid_core::transport::{ExchangeLimits, Fetch, FetchRequest, Fetched, TransportError};
use devid_core::validation::CheckTime;
use devid_core::{Error, Time};

/// Fetches status data and missing issuers, and keeps what was verified until its nextUpdate. One for many validations.
#[allow(non_camel_case_types)]
pub struct devid_fetcher(Slot<Fetcher>);
handle!(devid_fetcher: Fetcher);

/// Gets a document by URL. request: an OCSP request to POST, or NULL: GET. max_len: what is longer is refused. document: give its
/// bytes with devid_bytes_append(). Return 0, or a number at or below -10000: the document counts as not there.
#[allow(non_camel_case_types)]
pub type devid_fetch_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        url: *const c_char,
        request: *const u8,
        request_len: usize,
        max_len: usize,
        document: *mut devid_bytes,
    ) -> i32,
>;

type FetchFn = unsafe extern "C" fn(*mut c_void, *const c_char, *const u8, usize, usize, *mut devid_bytes) -> i32;

#[doc(hidden)]
pub struct Fetcher {
    fetcher: StatusFetcher,
    /// The program's own, and the schemes that it serves.
    program: Option<(Vec<String>, FetchFn, User)>,
}

/// A nonce is sent; an OCSP response without it is refused.
pub const DEVID_NONCE_REQUIRED: i32 = 1;
/// A nonce is sent; a response without any is taken by its own times, one with another is refused.
pub const DEVID_NONCE_TOLERATED: i32 = 2;
/// No nonce: for responders of pre-signed responses (RFC 5019).
pub const DEVID_NONCE_UNUSED: i32 = 3;

/// A fetcher with the built-in HTTP client: OCSP and CRLs, 16 requests to 8 hosts in 30 s for one validation, CRLs to 16 MiB, a
/// nonce that must come back; missing issuers are not fetched.
///
/// @param store        Keeps documents and the highest CRL numbers over restarts; may be freed afterwards. NULL: they last as long
///                     as the fetcher. May be NULL.
/// @param out_fetcher  Receives the fetcher; free with devid_fetcher_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_new(
    store: *const devid_store,
    out_fetcher: *mut *mut devid_fetcher,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_fetcher = unsafe { out(out_fetcher, "out_fetcher")? };
        let options = StatusOptions::default();
        let fetcher = if store.is_null() {
            StatusFetcher::new(default_provider(), options)
        } else {
            // SAFETY: as the header says.
            let store = unsafe { handle_ref(store, "store")? };
            StatusFetcher::with_store(default_provider(), options, store.clone())
        };
        *out_fetcher = devid_fetcher::into_raw(Fetcher { fetcher, program: None });
        Ok(())
    })
}

/// What is fetched.
///
/// @param fetcher  Not NULL.
/// @param ocsp     1 (the default): OCSP responders are asked. 0: not.
/// @param crls     1 (the default): CRLs and delta CRLs are fetched. 0: not.
/// @param issuers  1: missing issuers are fetched by caIssuers. There is no path yet whose signatures could be checked, so whoever
///                 made the certificate chooses what is asked for. 0 is the default.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_set_sources(
    fetcher: *mut devid_fetcher,
    ocsp: i32,
    crls: i32,
    issuers: i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut fetcher = unsafe { handle_mut(fetcher, "fetcher")? };
        let switches = (switch(ocsp)?, switch(crls)?, switch(issuers)?);
        let options = fetcher.fetcher.options_mut();
        (options.ocsp, options.crls, options.issuers) = switches;
        Ok(())
    })
}

/// How OCSP responders are asked.
///
/// @param fetcher  Not NULL.
/// @param nonce    One of DEVID_NONCE_*; REQUIRED is the default.
/// @param by_get   1: by GET where the URL stays short enough for caches (RFC 5019 section 5). 0 (the default): by POST.
/// @param digest   Of the certificate's identifier, such as "SHA1" (the default: what every responder knows). It protects nothing.
///                 Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_set_ocsp(
    fetcher: *mut devid_fetcher,
    nonce: i32,
    by_get: i32,
    digest: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut fetcher, digest) = unsafe { (handle_mut(fetcher, "fetcher")?, text_in(digest, "digest")?) };
        let nonce = match nonce {
            DEVID_NONCE_REQUIRED => OcspNonce::Required,
            DEVID_NONCE_TOLERATED => OcspNonce::Tolerated,
            DEVID_NONCE_UNUSED => OcspNonce::Unused,
            other => return Err(invalid(format!("{other} is none of DEVID_NONCE_*"))),
        };
        let digest = DigestAlgorithm::from_name(digest)
            .ok_or_else(|| invalid(format!("'{digest}' is no digest such as SHA256")))?;
        let by_get = switch(by_get)?;
        let options = fetcher.fetcher.options_mut();
        (options.nonce, options.ocsp_by_get, options.ocsp_digest) = (nonce, by_get, digest);
        Ok(())
    })
}

/// Sets one limit; they hold for each validation. URLs in certificates are chosen by strangers: everything has a cap.
///
/// @param fetcher  Not NULL.
/// @param name     "max_requests" (16), "max_redirects" for one document (3), "max_hosts" (8), "max_urls_per_certificate" (4),
///                 "max_crl_bytes" (16 MiB), "max_kept" documents (64), "max_kept_bytes" (64 MiB), "total_timeout_seconds" (30),
///                 "request_timeout_seconds" (10), "connect_timeout_seconds" (5), "read_timeout_seconds" (5), "silence_seconds":
///                 how long a host that did not answer is not asked again (60). Not NULL.
/// @param value    Its new value.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name or a value out of range.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_set_limit(
    fetcher: *mut devid_fetcher,
    name: *const c_char,
    value: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut fetcher, name) = unsafe { (handle_mut(fetcher, "fetcher")?, text_in(name, "name")?) };
        fetcher.fetcher.options_mut().set(name, value)
    })
}

/// Asks only hosts that are allowed, also where a server redirects. Without any, all may be asked.
///
/// @param fetcher  Not NULL.
/// @param host     Name or address without port, compared as it is in lower case. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_allow_host(
    fetcher: *mut devid_fetcher,
    host: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut fetcher, host) = unsafe { (handle_mut(fetcher, "fetcher")?, text_in(host, "host")?) };
        fetcher.fetcher.options_mut().allowed_hosts.get_or_insert_default().push(host.to_ascii_lowercase());
        Ok(())
    })
}

/// Asks an HTTP certificate store (RFC 4387) for missing issuers, before caIssuers.
///
/// @param fetcher  Not NULL.
/// @param url      Such as "http://store.example/search.cgi"; NULL: none (the default). May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_set_certificate_store(
    fetcher: *mut devid_fetcher,
    url: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut fetcher, url) = unsafe { (handle_mut(fetcher, "fetcher")?, text_in_opt(url, "url")?) };
        fetcher.fetcher.options_mut().certificate_store = url.map(str::to_owned);
        Ok(())
    })
}

/// Lets a function of the program fetch, such as by LDAP.
///
/// @param fetcher  Not NULL.
/// @param schemes  The schemes of URLs that it serves, with commas: "ldap" or "http,https,ldap". Others are left to the built-in
///                 client. Not NULL.
/// @param fetch    NULL: the built-in client again. May be NULL.
/// @param user     Passed to `fetch` and `destroy`. May be NULL.
/// @param destroy  Called once, when the fetcher is freed, another function is set, or this call fails. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_set_fetch(
    fetcher: *mut devid_fetcher,
    schemes: *const c_char,
    fetch: devid_fetch_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy);
        // SAFETY: as the header says.
        let (mut fetcher, schemes) = unsafe { (handle_mut(fetcher, "fetcher")?, text_in(schemes, "schemes")?) };
        let schemes: Vec<String> = schemes.split(',').map(|s| s.trim().to_ascii_lowercase()).collect();
        if schemes.iter().any(String::is_empty) {
            return Err(invalid("a scheme without a name".to_owned()));
        }
        let Fetcher { fetcher, program } = &mut *fetcher;
        let mut served = StatusOptions::default().schemes;
        *program = fetch.map(|fetch| {
            served.extend(schemes.iter().filter(|s| !StatusOptions::default().schemes.contains(s)).cloned());
            (schemes, fetch, user)
        });
        fetcher.options_mut().schemes = served;
        Ok(())
    })
}

/// devid_validate() with status data that is fetched where there is none at hand. Blocks. The path is validated without revocation
/// first: for a path whose signatures or other checks do not hold, nobody is asked. What could not be fetched is a finding of
/// the report, and the validator's revocation rules decide what follows. The peer is refused at once when newer status data
/// that the fetcher, or another one with the same device memory, keeps revokes it.
///
/// @param fetcher     Not NULL.
/// @param validator   Not NULL.
/// @param cert        The certificate that is asked about. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return As devid_validate(); DEVID_E_REENTRANT from within a fetch function.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_validate(
    fetcher: *mut devid_fetcher,
    validator: *const devid_validator,
    cert: *const devid_cert,
    at: i64,
    out_report: *mut *mut devid_report,
    out_peer: *mut *mut devid_peer,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_report, out_peer, mut fetcher, validator, cert) = unsafe {
            (
                out_opt(out_report),
                out_opt(out_peer),
                handle_mut(fetcher, "fetcher")?,
                handle_ref(validator, "validator")?,
                handle_ref(cert, "cert")?,
            )
        };
        fetcher.open(&validator, &cert.certificate, &[], None, at, out_report, out_peer)
    })
}

/// The same for what a peer sent, as devid_validate_sent().
///
/// @param fetcher     Not NULL.
/// @param validator   Not NULL.
/// @param sent        The peer's certificate and others, in any order. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return As devid_fetcher_validate().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_validate_sent(
    fetcher: *mut devid_fetcher,
    validator: *const devid_validator,
    sent: *const devid_cert_list,
    at: i64,
    out_report: *mut *mut devid_report,
    out_peer: *mut *mut devid_peer,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_report, out_peer, mut fetcher, validator, sent) = unsafe {
            (
                out_opt(out_report),
                out_opt(out_peer),
                handle_mut(fetcher, "fetcher")?,
                handle_ref(validator, "validator")?,
                handle_ref(sent, "sent")?,
            )
        };
        let (certificate, others) = end_entity_of(&sent)?;
        fetcher.open(&validator, &certificate, &others, sent.first(), at, out_report, out_peer)
    })
}

/// Looks certificates up in an HTTP certificate store (RFC 4387) by a name in them. Blocks. What comes is as unproven as what a
/// peer sends.
///
/// @param fetcher    Not NULL.
/// @param store_url  Such as "http://store.example/search.cgi". Not NULL.
/// @param attribute  "uri": host name, address or mailbox; "name": the subject's common name. Not NULL.
/// @param value      The name. Not NULL.
/// @param out_list   Receives what was found; free with devid_cert_list_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_HTTP_STATUS if there is none; others of DEVID_CLASS_TRANSPORT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_look_up(
    fetcher: *mut devid_fetcher,
    store_url: *const c_char,
    attribute: *const c_char,
    value: *const c_char,
    out_list: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_list, mut fetcher, store_url, attribute, value) = unsafe {
            (
                out(out_list, "out_list")?,
                handle_mut(fetcher, "fetcher")?,
                text_in(store_url, "store_url")?,
                text_in(attribute, "attribute")?,
                text_in(value, "value")?,
            )
        };
        let query = match attribute {
            "uri" => CertificateQuery::Uri(value),
            "name" => CertificateQuery::CommonName(value),
            other => return Err(invalid(format!("'{other}' is neither uri nor name"))),
        };
        let Fetcher { fetcher, program } = &mut *fetcher;
        let mut fetch = ProgramFetch::new(fetcher.options_mut(), program)?;
        *out_list = devid_cert_list::into_raw(fetcher.look_up(store_url, &query, &mut fetch)?);
        Ok(())
    })
}

/// Frees a fetcher. Peers made with it go on watching what it kept.
///
/// @param fetcher  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_fetcher_free(fetcher: *mut devid_fetcher) {
    // SAFETY: as the header says.
    unsafe { free(fetcher) }
}

impl Fetcher {
    #[allow(clippy::too_many_arguments, reason = "the arguments of two C functions, and what the peer sent first")]
    fn open(
        &mut self,
        validator: &Validator,
        certificate: &Certificate,
        sent: &[Certificate],
        presented: Option<&Certificate>,
        at: i64,
        out_report: Option<&mut *mut devid_report>,
        out_peer: Option<&mut *mut devid_peer>,
    ) -> Result<(), Error> {
        let pool = validator.pool_with(sent);
        let request = validator.request(certificate, &pool, presented, CheckTime::At(Time::from_unix(at)))?;
        let Fetcher { fetcher, program } = self;
        let mut fetch = ProgramFetch::new(fetcher.options_mut(), program)?;
        let (answer, peer) = fetcher.open_peer(request, &mut fetch)?;
        hand_out(answer.report, peer, out_report, out_peer)
    }
}

/// The program's function for the schemes that it serves, the built-in client for the others.
struct ProgramFetch<'a> {
    program: &'a Option<(Vec<String>, FetchFn, User)>,
    #[cfg(feature = "http")]
    built_in: devid_core::transport::fetch::HttpFetch,
}

impl<'a> ProgramFetch<'a> {
    #[cfg_attr(not(feature = "http"), expect(clippy::unnecessary_wraps, reason = "the client can fail"))]
    fn new(options: &StatusOptions, program: &'a Option<(Vec<String>, FetchFn, User)>) -> Result<Self, Error> {
        #[cfg(not(feature = "http"))]
        let _ = options;
        Ok(ProgramFetch {
            program,
            #[cfg(feature = "http")]
            built_in: devid_core::client::status::built_in(options)?,
        })
    }
}

impl Fetch for ProgramFetch<'_> {
    fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
        let scheme = request.url.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let Some((_, fetch, user)) = self.program.as_ref().filter(|(schemes, ..)| schemes.contains(&scheme)) else {
            #[cfg(feature = "http")]
            return self.built_in.fetch(request, limits);
            #[cfg(not(feature = "http"))]
            return Err(TransportError::application(-10_000, "the HTTP client is not built in: set a fetch function"));
        };
        let url: CString = c_text(request.url);
        let post = request.post.map_or(&[][..], |(_, body)| body);
        let body = if request.post.is_some() { post.as_ptr() } else { std::ptr::null() };
        let (status, document) = devid_bytes::filled_by(limits.max_reply_bytes, |document| {
            // SAFETY: as the header says: the program's function takes these for the duration of the call.
            unsafe { fetch(user.pointer(), url.as_ptr(), body, post.len(), limits.max_reply_bytes, document) }
        });
        match (status, document) {
            (0, Ok(bytes)) => Ok(Fetched::Document(Document { bytes: bytes.to_vec(), ..Document::default() })),
            (0, Err(error)) => Err(TransportError::application(-10_000, error.message())),
            (number, _) => Err(TransportError::application(
                number.min(-10_000),
                format!("the function for fetching returned {number}"),
            )),
        }
    }
}
