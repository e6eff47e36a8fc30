//! CRLs, certificates and OCSP responses by URL: GET and POST under caps, for URLs that stand in certificates.
//!
//! Such URLs are an outsider's choice (strongSwan CVE-2022-40617): fetch only for paths whose signatures hold, and
//! never without the limits here. What comes back is bytes to be judged, not to be believed.

use base64ct::{Base64, Encoding};

use super::ExchangeLimits;
use super::error::TransportError;
pub use super::fetched::{Document, Fetched};

/// Gets something by URL. A caller may bring its own: for `file:` URLs, for a cache, for a device's own stack.
pub trait Fetch {
    /// Performs one request, redirects included.
    fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError>;
}

impl<F: Fetch + ?Sized> Fetch for &mut F {
    fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
        (**self).fetch(request, limits)
    }
}

impl<F: Fetch + ?Sized> Fetch for Box<F> {
    fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
        (**self).fetch(request, limits)
    }
}

/// Makes a [`Fetch`] of a closure.
#[derive(Clone, Copy, Debug)]
pub struct FetchFn<F>(pub F);

impl<F> Fetch for FetchFn<F>
where
    F: FnMut(&FetchRequest<'_>, &ExchangeLimits) -> Result<Fetched, TransportError>,
{
    fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
        (self.0)(request, limits)
    }
}

/// What to get.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// From where.
    pub url: &'a str,
    /// Bytes to POST and their content type; GET without.
    pub post: Option<(&'a str, &'a [u8])>,
    /// Value of Accept.
    pub accept: Option<&'a str>,
    /// ETag of the copy at hand: an unchanged one is not sent again (RFC 9110 section 13.1.2).
    pub if_none_match: Option<&'a str>,
    /// Last-Modified of the copy at hand, as it came (RFC 9110 section 13.1.3).
    pub if_modified_since: Option<&'a str>,
}

impl<'a> FetchRequest<'a> {
    /// GET.
    pub fn get(url: &'a str) -> Self {
        FetchRequest { url, post: None, accept: None, if_none_match: None, if_modified_since: None }
    }

    /// An OCSP request by POST (RFC 6960 appendix A.1).
    pub fn ocsp(url: &'a str, request: &'a [u8]) -> Self {
        FetchRequest {
            post: Some(("application/ocsp-request", request)),
            accept: Some("application/ocsp-response"),
            ..Self::get(url)
        }
    }
}

/// The URL of an OCSP request by GET, which caches can answer: base64 of the request, percent-encoded, behind the
/// responder's URL (RFC 6960 appendix A.1). `None` if the result exceeds 255 bytes: then POST (RFC 5019 section 5).
pub fn ocsp_get_url(responder: &str, request: &[u8]) -> Option<String> {
    let mut url = format!("{}/", responder.strip_suffix('/').unwrap_or(responder));
    for c in Base64::encode_string(request).chars() {
        match c {
            '+' => url.push_str("%2B"),
            '/' => url.push_str("%2F"),
            '=' => url.push_str("%3D"),
            c => url.push(c),
        }
    }
    (url.len() <= 255).then_some(url)
}

#[cfg(feature = "http")]
pub use client::{FetchLimits, HttpFetch};

/// One document by the built-in client, with its default limits: an OCSP request by POST, else GET. `max_bytes` 0 means
/// the default size.
#[cfg(feature = "http")]
pub fn fetch_once(url: &str, ocsp_request: Option<&[u8]>, max_bytes: usize) -> Result<Vec<u8>, TransportError> {
    let mut limits = ExchangeLimits::default();
    if max_bytes != 0 {
        limits.max_reply_bytes = max_bytes;
    }
    fetch_once_over(super::HttpConfig::default(), url, ocsp_request, &limits)
}

/// The same by a way of its own, within limits, which can be cancelled.
#[cfg(feature = "http")]
pub fn fetch_once_over(
    network: super::HttpConfig,
    url: &str,
    ocsp_request: Option<&[u8]>,
    limits: &ExchangeLimits,
) -> Result<Vec<u8>, TransportError> {
    use super::error::{Phase, TransportErrorKind};
    let request = ocsp_request.map_or_else(|| FetchRequest::get(url), |request| FetchRequest::ocsp(url, request));
    match HttpFetch::new(network, FetchLimits::default())?.fetch(&request, limits)? {
        Fetched::Document(document) => Ok(document.bytes),
        Fetched::NotModified => {
            let words = "the server says that a copy is current, and none was announced";
            Err(TransportError::new(TransportErrorKind::Invalid, Phase::Await, words))
        }
    }
}

#[cfg(feature = "http")]
mod client {

    use ureq::http::header;

    use super::{Document, Fetch, FetchRequest, Fetched};
    use crate::sorted::Set;
    use crate::transport::error::{Phase, TransportError, TransportErrorKind};
    use crate::transport::wire::{
        HttpConfig, Wire, WireReply, WireRequest, header_text, location, retry_after_seconds,
    };
    use crate::transport::words::words_of;
    use crate::transport::{ExchangeLimits, Url};

    /// What the URLs in one certificate path may make the client do. Sizes and times are in [`ExchangeLimits`].
    #[derive(Clone, Debug)]
    pub struct FetchLimits {
        /// Most redirects followed for one document; only to the same scheme.
        pub max_redirects: u32,
        /// Most requests in the client's life, redirects included.
        pub max_requests: u32,
        /// Most different hosts in the client's life.
        pub max_hosts: usize,
        /// If given, only these hosts (exactly, lower case).
        pub allowed_hosts: Option<Vec<String>>,
        /// Host, and perhaps port, of the directory that `ldap:` URLs without a host mean.
        pub directory: Option<String>,
    }

    impl Default for FetchLimits {
        /// 3 redirects, 32 requests, 8 hosts: a path of four certificates with CRL and OCSP each needs 8 requests.
        fn default() -> Self {
            FetchLimits { max_redirects: 3, max_requests: 32, max_hosts: 8, allowed_hosts: None, directory: None }
        }
    }

    /// The built-in client for documents: by HTTP, and by LDAP with the feature `ldap`. One per validation: its limits count over its life.
    ///
    /// `https` only with TLS anchors in its [`HttpConfig`]: documents are signed, and asking for the status of a TLS
    /// server through a TLS server can go round in circles (RFC 5280 section 8). The handshake itself fetches nothing.
    pub struct HttpFetch {
        wire: Wire,
        limits: FetchLimits,
        requests: u32,
        hosts: Set<String>,
    }

    impl HttpFetch {
        /// With its own connections and counts.
        pub fn new(config: HttpConfig, limits: FetchLimits) -> Result<Self, TransportError> {
            Ok(HttpFetch { wire: Wire::new(config)?, limits, requests: 0, hosts: Set::new() })
        }

        /// Requests made so far.
        pub fn request_count(&self) -> u32 {
            self.requests
        }

        fn admit(&mut self, host: &str, url: &dyn std::fmt::Display) -> Result<(), TransportError> {
            if let Some(allowed) = &self.limits.allowed_hosts {
                if !allowed.iter().any(|h| h == host) {
                    return Err(limit(format!("{url}: the host is not among the allowed ones")));
                }
            }
            if self.requests >= self.limits.max_requests {
                return Err(limit(format!("{url}: {} requests were made, the limit is reached", self.requests)));
            }
            if !self.hosts.contains(host) && self.hosts.len() >= self.limits.max_hosts {
                return Err(limit(format!("{url}: {} hosts were asked, the limit is reached", self.hosts.len())));
            }
            self.requests += 1;
            self.hosts.insert(host.to_owned());
            Ok(())
        }

        /// One search in a directory, under the same counts; it is not redirected.
        #[cfg(feature = "ldap")]
        fn look_up(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
            use crate::transport::ldap;
            if request.post.is_some() {
                let words = format!("{}: an OCSP request goes to no directory", request.url);
                return Err(TransportError::new(TransportErrorKind::Unsupported, Phase::Prepare, words));
            }
            let url = ldap::LdapUrl::parse(request.url, self.limits.directory.as_deref())?;
            self.admit(&url.host, &url)?;
            let is_own = self.limits.allowed_hosts.as_ref().is_some_and(|allowed| allowed.contains(&url.host));
            ldap::fetch(&url, is_own, self.wire.config(), limits)
        }
    }

    impl std::fmt::Debug for HttpFetch {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("HttpFetch").field("requests", &self.requests).field("hosts", &self.hosts).finish()
        }
    }

    impl Fetch for HttpFetch {
        fn fetch(&mut self, request: &FetchRequest<'_>, limits: &ExchangeLimits) -> Result<Fetched, TransportError> {
            #[cfg(feature = "ldap")]
            if crate::transport::ldap::is_ldap(request.url) {
                return self.look_up(request, limits);
            }
            let started = std::time::Instant::now();
            let mut url = Url::parse(request.url)?;
            for hop in 0.. {
                self.admit(url.host(), &url)?;
                let mut left = limits.clone();
                left.total_timeout = limits.total_timeout.saturating_sub(started.elapsed());
                let reply = self.wire.perform(
                    &WireRequest { url: &url, headers: headers_of(request), body: request.post.map(|(_, body)| body) },
                    &left,
                )?;
                let Some(location) = redirect(&reply, request) else { return document(reply, &url) };
                let next = url.join(&location).and_then(|next| {
                    if hop >= self.limits.max_redirects {
                        Err(limit(format!("{}: more than {hop} redirects", request.url)))
                    } else if next.scheme() != url.scheme() {
                        Err(limit(format!("{url}: redirected to another scheme")))
                    } else {
                        Ok(next)
                    }
                });
                url = next.map_err(|e| TransportError {
                    status: Some(reply.status),
                    location: Some(location.into()),
                    phase: Phase::Body,
                    ..e
                })?;
            }
            unreachable!("the loop ends by returning")
        }
    }

    fn headers_of(request: &FetchRequest<'_>) -> Vec<(&'static str, String)> {
        [
            ("content-type", request.post.map(|(content_type, _)| content_type)),
            ("accept", request.accept),
            ("if-none-match", request.if_none_match),
            ("if-modified-since", request.if_modified_since),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect()
    }

    /// Where to go on, if the answer is a redirect that may be followed: a POST only by 307 and 308, which keep it a POST.
    fn redirect(reply: &WireReply, request: &FetchRequest<'_>) -> Option<String> {
        let may_follow = match request.post {
            None => matches!(reply.status, 301 | 302 | 303 | 307 | 308),
            Some(_) => matches!(reply.status, 307 | 308),
        };
        may_follow.then(|| location(&reply.headers)).flatten()
    }

    fn document(reply: WireReply, url: &Url) -> Result<Fetched, TransportError> {
        let content_type = header_text(&reply.headers, header::CONTENT_TYPE);
        let error = |kind, detail| TransportError {
            status: Some(reply.status),
            content_type: content_type.clone(),
            retry_after_seconds: retry_after_seconds(&reply.headers),
            location: location(&reply.headers).map(Into::into),
            server_words: match reply.status {
                200 => None,
                _ => words_of(&reply.body),
            },
            ..TransportError::new(kind, Phase::Body, detail)
        };
        match reply.status {
            200 => {}
            304 => return Ok(Fetched::NotModified),
            429 | 503 => return Err(error(TransportErrorKind::Busy, format!("{url}: the server is busy"))),
            _ => return Err(error(TransportErrorKind::HttpStatus, format!("{url}: expected a document"))),
        }
        if let Some(cause) = &reply.body_error {
            return Err(error(cause.kind, format!("{url}: {}", cause.detail)));
        }
        if reply.body.is_empty() {
            return Err(error(TransportErrorKind::Broken, format!("{url}: expected a document, found an empty body")));
        }
        Ok(Fetched::Document(Document {
            etag: header_text(&reply.headers, header::ETAG),
            last_modified: header_text(&reply.headers, header::LAST_MODIFIED),
            url: url.to_string(),
            content_type,
            bytes: reply.body,
        }))
    }

    fn limit(detail: String) -> TransportError {
        TransportError::new(TransportErrorKind::Limit, Phase::Prepare, detail)
    }
}
