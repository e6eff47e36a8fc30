//! Validation that fetches status data and missing issuers by the URLs in certificates, and keeps what is good.

use super::args::choice;
use super::prelude::*;
use super::validate::hand_out;
use devid_core::asn1::x509::Certificate;
use devid_core::client::peer_certificates::end_entity_of;
use devid_core::client::status::{CertificateQuery, OcspNonce, StatusFetcher, StatusOptions};
use devid_core::client::validator::{Validator, Verdict};
use devid_core::crypto::{DigestAlgorithm, default_provider};
#[cfg(feature = "http")]
use devid_core::transport::HttpConfig;
use devid_core::transport::fetch::Document;
use devid_core::transport::{ExchangeLimits, Fetch, FetchRequest, Fetched, TransportError};
use devid_core::validation::CheckTime;

/// Fetches status data and missing issuers, and keeps what was verified until its nextUpdate. One for many validations.
#[handle]
pub type devid_fetcher = Fetcher;

/// Gets a document by URL. request: an OCSP request to POST, or NULL: GET. max_len: what is longer is refused. document: give its
/// bytes with devid_bytes_append(). Return 0, or a number at or below -10000: the document counts as not there.
#[callback]
pub type devid_fetch_fn = fn(url: &str, request: Option<&[u8]>, max_len: usize, document: &mut devid_bytes) -> i32;

#[doc(hidden)]
pub struct Fetcher {
    pub(super) fetcher: StatusFetcher,
    #[cfg(feature = "http")]
    pub(super) network: HttpConfig,
    /// The program's own, and the schemes that it serves.
    program: Option<(Vec<String>, devid_fetch_fn, User)>,
}

/// A nonce is sent; an OCSP response without it is refused.
pub const DEVID_NONCE_REQUIRED: i32 = 1;
/// A nonce is sent; a response without any is taken by its own times, one with another is refused.
pub const DEVID_NONCE_TOLERATED: i32 = 2;
/// No nonce: for responders of pre-signed responses (RFC 5019).
pub const DEVID_NONCE_UNUSED: i32 = 3;
choice!("DEVID_NONCE_*": OcspNonce {
    DEVID_NONCE_REQUIRED => Required, DEVID_NONCE_TOLERATED => Tolerated, DEVID_NONCE_UNUSED => Unused
});

/// A fetcher with the built-in client, by HTTP and LDAP: OCSP and CRLs, 16 requests to 8 hosts in 30 s for one validation, CRLs to 16 MiB, a
/// nonce that must come back; missing issuers are not fetched.
///
/// @param store        Keeps documents and the highest CRL numbers over restarts; may be freed afterwards. NULL: they last as long
///                     as the fetcher. May be NULL.
/// @param out_fetcher  Receives the fetcher; free with devid_fetcher_free(). Not NULL.
#[export]
fn devid_fetcher_new(store: Option<&devid_store>) -> Result<devid_fetcher, Error> {
    let options = StatusOptions::default();
    let fetcher = match store {
        None => StatusFetcher::new(default_provider(), options),
        Some(store) => StatusFetcher::with_store(default_provider(), options, store.clone()),
    };
    Ok(Fetcher {
        fetcher,
        #[cfg(feature = "http")]
        network: HttpConfig::default(),
        program: None,
    })
}

/// What is fetched.
///
/// @param ocsp     1 (the default): OCSP responders are asked. 0: not.
/// @param crls     1 (the default): CRLs and delta CRLs are fetched. 0: not.
/// @param issuers  1: missing issuers are fetched by caIssuers. There is no path yet whose signatures could be checked, so whoever
///                 made the certificate chooses what is asked for. 0 is the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_fetcher_set_sources(fetcher: &mut devid_fetcher, ocsp: bool, crls: bool, issuers: bool) -> Result<(), Error> {
    let switches = (ocsp, crls, issuers);
    let options = fetcher.fetcher.options_mut();
    (options.ocsp, options.crls, options.issuers) = switches;
    Ok(())
}

/// How OCSP responders are asked.
///
/// @param nonce    One of DEVID_NONCE_*; REQUIRED is the default.
/// @param by_get   1: by GET where the URL stays short enough for caches (RFC 5019 section 5). 0 (the default): by POST.
/// @param digest   Of the certificate's identifier, such as "SHA1" (the default: what every responder knows). It protects nothing.
///                 Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_fetcher_set_ocsp(
    fetcher: &mut devid_fetcher,
    nonce: OcspNonce,
    by_get: bool,
    digest: &str,
) -> Result<(), Error> {
    let digest = DigestAlgorithm::named(digest)?;
    let options = fetcher.fetcher.options_mut();
    (options.nonce, options.ocsp_by_get, options.ocsp_digest) = (nonce, by_get, digest);
    Ok(())
}

/// Sets one limit; they hold for each validation. URLs in certificates are chosen by strangers: everything has a cap.
///
/// @param name     "max_requests" (16), "max_redirects" for one document (3), "max_hosts" (8), "max_urls_per_certificate" (4),
///                 "max_crl_bytes" (16 MiB), "max_kept" documents (64), "max_kept_bytes" (64 MiB), "total_timeout_seconds" (30),
///                 "request_timeout_seconds" (10), "connect_timeout_seconds" (5), "read_timeout_seconds" (5), "silence_seconds":
///                 how long a host that did not answer is not asked again (60). Not NULL.
/// @param value    Its new value.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name or a value out of range.
#[export]
fn devid_fetcher_set_limit(fetcher: &mut devid_fetcher, name: &str, value: i64) -> Result<(), Error> {
    fetcher.fetcher.options_mut().set(name, value)
}

/// Asks only hosts that are allowed, also where a server redirects. Without any, all may be asked.
///
/// @param host     Name or address without port, compared as it is in lower case. Not NULL.
#[export]
fn devid_fetcher_add_allowed_host(fetcher: &mut devid_fetcher, host: &str) -> Result<(), Error> {
    fetcher.fetcher.options_mut().allowed_hosts.get_or_insert_default().push(host.to_ascii_lowercase());
    Ok(())
}

/// Asks an HTTP certificate store (RFC 4387) for missing issuers, before caIssuers.
///
/// @param url      Such as "http://store.example/search.cgi"; NULL: none (the default). May be NULL.
#[export]
fn devid_fetcher_set_certificate_store(fetcher: &mut devid_fetcher, url: Option<&str>) -> Result<(), Error> {
    fetcher.fetcher.options_mut().certificate_store = url.map(str::to_owned);
    Ok(())
}

/// Names the directory that is meant by "ldap:" URLs without a host, which AD CS puts into certificates. Where there is none, such
/// URLs count as not fetched. Needs the feature "ldap", unless a function of the program serves the scheme.
///
/// @param host     Host, and perhaps port: "dc.corp.example" or "dc.corp.example:389"; NULL: none (the default). May be NULL.
#[export]
fn devid_fetcher_set_directory(fetcher: &mut devid_fetcher, host: Option<&str>) -> Result<(), Error> {
    fetcher.fetcher.options_mut().directory = host.map(str::to_owned);
    Ok(())
}

/// Lets a function of the program fetch, such as from files.
///
/// @param schemes  The schemes of URLs that it serves, with commas: "file" or "http,https,file". Others are left to the built-in
///                 client. Not NULL.
/// @param fetch    NULL: the built-in client again. May be NULL.
/// @param user     Passed to `fetch` and `destroy`. May be NULL.
/// @param destroy  Called once, when the fetcher is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_fetcher_set_fetch(
    fetcher: &mut devid_fetcher,
    schemes: &str,
    fetch: Option<devid_fetch_fn>,
    user: User,
) -> Result<(), Error> {
    let schemes: Vec<String> = schemes.split(',').map(|s| s.trim().to_ascii_lowercase()).collect();
    if schemes.iter().any(String::is_empty) {
        return Err(invalid("a scheme without a name".to_owned()));
    }
    let Fetcher { fetcher, program, .. } = fetcher;
    let mut served = StatusOptions::default().schemes;
    *program = fetch.map(|fetch| {
        served.extend(schemes.iter().filter(|s| !StatusOptions::default().schemes.contains(s)).cloned());
        (schemes, fetch, user)
    });
    fetcher.options_mut().schemes = served;
    Ok(())
}

/// devid_validate() with status data that is fetched where there is none at hand. Blocks. The path is validated without revocation
/// first: for a path whose signatures or other checks do not hold, nobody is asked. What could not be fetched is a finding of
/// the report, and the validator's revocation rules decide what follows. The peer is refused at once when newer status data
/// that the fetcher, or another one with the same device memory, keeps revokes it.
///
/// @param cert        The certificate that is asked about. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @return As devid_validate(); DEVID_E_REENTRANT from within a fetch function.
#[export]
fn devid_fetcher_validate(
    fetcher: &mut devid_fetcher,
    validator: &devid_validator,
    cert: &devid_cert,
    at: Time,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    hand_out(fetcher.open(validator, &cert.certificate, &[], None, at)?, out_report, out_peer)
}

/// The same for what a peer sent, as devid_validate_sent().
///
/// @param sent        The peer's certificate and others, in any order. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @return As devid_fetcher_validate().
#[export]
fn devid_fetcher_validate_sent(
    fetcher: &mut devid_fetcher,
    validator: &devid_validator,
    sent: &devid_cert_list,
    at: Time,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    let (certificate, others) = end_entity_of(sent)?;
    hand_out(fetcher.open(validator, &certificate, &others, sent.first(), at)?, out_report, out_peer)
}

/// Looks certificates up in an HTTP certificate store (RFC 4387) by a name in them. Blocks. What comes is as unproven as what a
/// peer sends.
///
/// @param store_url  Such as "http://store.example/search.cgi". Not NULL.
/// @param attribute  "uri": host name, address or mailbox; "name": the subject's common name. Not NULL.
/// @param value      The name. Not NULL.
/// @param out_list   Receives what was found; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_HTTP_STATUS if there is none; others of DEVID_CLASS_TRANSPORT.
#[export]
fn devid_fetcher_look_up(
    fetcher: &mut devid_fetcher,
    store_url: &str,
    attribute: &str,
    value: &str,
) -> Result<devid_cert_list, Error> {
    let query = match attribute {
        "uri" => CertificateQuery::Uri(value),
        "name" => CertificateQuery::CommonName(value),
        other => return Err(invalid(format!("'{other}' is neither uri nor name"))),
    };
    let (fetcher, mut fetch) = fetcher.parts()?;
    fetcher.look_up(store_url, &query, &mut fetch)
}

/// Frees a fetcher. Peers made with it go on watching what it kept.
#[export]
fn devid_fetcher_free(fetcher: Owned<devid_fetcher>) {
    drop(fetcher)
}

impl Fetcher {
    /// The fetcher and its way, for one call.
    #[cfg_attr(not(feature = "http"), expect(clippy::unnecessary_wraps, reason = "the client can fail"))]
    fn parts(&mut self) -> Result<(&mut StatusFetcher, ProgramFetch<'_>), Error> {
        let way = ProgramFetch {
            program: &self.program,
            #[cfg(feature = "http")]
            built_in: devid_core::client::status::built_in_over(self.fetcher.options_mut(), self.network.clone())?,
        };
        Ok((&mut self.fetcher, way))
    }

    fn open(
        &mut self,
        validator: &Validator,
        certificate: &Certificate,
        sent: &[Certificate],
        presented: Option<&Certificate>,
        at: Time,
    ) -> Result<Verdict, Error> {
        let pool = validator.pool_with(sent);
        let request = validator.request(certificate, &pool, presented, CheckTime::At(at))?;
        let (fetcher, mut fetch) = self.parts()?;
        let (answer, peer) = fetcher.open_peer(request, &mut fetch)?;
        Ok(Verdict { report: answer.report, peer })
    }
}

/// The program's function for the schemes that it serves, the built-in client for the others.
struct ProgramFetch<'a> {
    program: &'a Option<(Vec<String>, devid_fetch_fn, User)>,
    #[cfg(feature = "http")]
    built_in: devid_core::transport::fetch::HttpFetch,
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
        let body = request.post.map(|(_, body)| body);
        let (status, document) = devid_bytes::filled_by(limits.max_reply_bytes, |document| {
            devid_fetch_fn(*fetch, user, request.url, body, limits.max_reply_bytes, document)
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
