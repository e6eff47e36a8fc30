//! Requests of one validation, one after the other, under all caps.

use std::collections::HashMap;
use std::time::Instant;

use super::{FetchEvent, FetchOutcome, StatusOptions, Wanted};
use crate::codes::Code;
use crate::error::Error;
use crate::limits::moment_in;
use crate::sorted::Set;
use crate::transport::{ExchangeLimits, Fetch, FetchRequest, Fetched, Url};

/// Most hosts remembered as silent.
const MAX_SILENT: usize = 256;

/// What one validation has asked for so far.
pub(super) struct Requests<'a> {
    fetch: &'a mut dyn Fetch,
    options: &'a StatusOptions,
    started: Instant,
    count: u32,
    hosts: Set<String>,
    /// Who did not answer at all is not waited for a second time, now and for a while.
    silent: &'a mut HashMap<String, Instant>,
    /// Which bound ended the asking for status data. What was not asked for may revoke, so no verdict is positive then.
    cut_short: Option<String>,
    pub log: Vec<FetchEvent>,
}

impl<'a> Requests<'a> {
    pub fn new(fetch: &'a mut dyn Fetch, options: &'a StatusOptions, silent: &'a mut HashMap<String, Instant>) -> Self {
        silent.retain(|_, until| Instant::now() < *until);
        Requests {
            fetch,
            options,
            started: Instant::now(),
            count: 0,
            hosts: Set::new(),
            silent,
            cut_short: None,
            log: Vec::new(),
        }
    }

    /// Remembers that a bound ended before all status data was asked for.
    pub fn cut_short(&mut self, bound: String) {
        self.cut_short.get_or_insert(bound);
    }

    /// Which bound ended the asking for status data, and the log.
    pub fn finish(self) -> (Option<String>, Vec<FetchEvent>) {
        (self.cut_short, self.log)
    }

    pub fn options(&self) -> &'a StatusOptions {
        self.options
    }

    /// One request. `url` is the one in the certificate; that of the request may carry an OCSP request too.
    pub fn perform(&mut self, wanted: Wanted, url: &str, request: &FetchRequest<'_>) -> Result<Fetched, Error> {
        let place = Place::of(url, self.options.directory.as_deref())?;
        let mut limits = self.admit(&place, wanted)?;
        limits.max_reply_bytes = self.options.max_bytes(wanted);
        match self.fetch.fetch(request, &limits) {
            Ok(Fetched::Document(document)) if document.bytes.len() > limits.max_reply_bytes => {
                // A fetch of the caller's need not know our limits.
                let (len, limit) = (document.bytes.len(), limits.max_reply_bytes);
                Err(Error::new(Code::TooLarge, format!("{len} bytes, the limit is {limit}")))
            }
            Ok(fetched) => Ok(fetched),
            Err(error) => {
                let error = Error::from(error);
                if matches!(error.code(), Code::Connect | Code::Tls | Code::Timeout) {
                    self.mute(place.authority);
                }
                Err(error)
            }
        }
    }

    pub fn note(&mut self, wanted: Wanted, url: &str, certificate_index: Option<usize>, outcome: FetchOutcome) {
        self.log.push(FetchEvent { wanted, url: url.to_owned(), certificate_index, outcome });
    }

    /// Remembers who did not answer; at most so many, as the hosts are chosen by others.
    fn mute(&mut self, authority: String) {
        if self.silent.len() >= MAX_SILENT {
            let first = self.silent.iter().min_by_key(|(_, until)| **until).map(|(authority, _)| authority.clone());
            first.map(|authority| self.silent.remove(&authority));
        }
        self.silent.insert(authority, moment_in(self.options.silence));
    }

    /// Whether one more request may be made, and its limits.
    ///
    /// Issuers are asked for before any path holds, where whoever made the certificates chooses: they take half of each
    /// bound at most, and never what status data needs.
    fn admit(&mut self, place: &Place, wanted: Wanted) -> Result<ExchangeLimits, Error> {
        let limit = |text: String| Err(Error::new(Code::Limit, text));
        let options = self.options;
        let is_issuer = wanted == Wanted::Issuer;
        let (max_requests, max_hosts, total_timeout) = match is_issuer {
            true => (options.max_requests.div_ceil(2), options.max_hosts.div_ceil(2), options.total_timeout / 2),
            false => (options.max_requests, options.max_hosts, options.total_timeout),
        };
        if !options.schemes.contains(&place.scheme) {
            let text = format!("URLs of the scheme {} are left to a fetch of the caller's", place.scheme);
            return Err(Error::new(Code::Unsupported, text));
        }
        if let Some(allowed) = &options.allowed_hosts {
            if !allowed.contains(&place.host) {
                return limit(format!("the host {} is not among the allowed ones", place.host));
            }
        }
        if self.silent.contains_key(&place.authority) {
            return Err(Error::new(Code::Connect, format!("{} did not answer before", place.authority)));
        }
        let ended = if self.count >= max_requests {
            Some(format!("{} requests", self.count))
        } else if !self.hosts.contains(&place.host) && self.hosts.len() >= max_hosts {
            Some(format!("{} hosts", self.hosts.len()))
        } else {
            None
        };
        if let Some(bound) = ended {
            let text = format!("the limit of {bound} is reached");
            if !is_issuer {
                self.cut_short(bound);
            }
            return limit(text);
        }
        // Time that is over is the network's doing, and the policy's to judge like a host that does not answer.
        let left = total_timeout.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            let seconds = total_timeout.as_secs_f32();
            return Err(Error::new(Code::Timeout, format!("the {seconds} s for all requests are over")));
        }
        self.count += 1;
        self.hosts.insert(place.host.clone());
        let mut limits = options.exchange.clone();
        limits.total_timeout = limits.total_timeout.min(left);
        limits.connect_timeout = limits.connect_timeout.min(left);
        Ok(limits)
    }
}

/// Where a URL leads.
struct Place {
    scheme: String,
    host: String,
    authority: String,
}

impl Place {
    /// `directory`: what LDAP URLs without a host mean.
    fn of(url: &str, directory: Option<&str>) -> Result<Self, Error> {
        let invalid = || Error::new(Code::InvalidArgument, "not a URL with a scheme");
        let (scheme, rest) = url.split_once(':').ok_or_else(invalid)?;
        let scheme = scheme.to_ascii_lowercase();
        if matches!(scheme.as_str(), "http" | "https") {
            let url = Url::parse(url)?;
            let authority = format!("{}:{}", url.host(), url.port());
            return Ok(Place { scheme, host: url.host().to_owned(), authority });
        }
        let authority = rest.strip_prefix("//").unwrap_or_default();
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = match (scheme.as_str(), authority) {
            ("ldap", "") => directory.unwrap_or_default(),
            _ => authority,
        }
        .to_ascii_lowercase();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split(':').next().unwrap_or_default(),
        };
        Ok(Place { scheme, host: host.to_owned(), authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_urls_of_every_scheme() {
        let read = |url| Place::of(url, Some("Own.example:1389")).map(|p| (p.scheme, p.host)).ok();
        let place = |scheme: &str, host: &str| Some((scheme.to_owned(), host.to_owned()));
        assert_eq!(read("http://CRL.example:8080/a"), place("http", "crl.example"));
        assert_eq!(read("LDAP://Directory.example:389/cn=x?y"), place("ldap", "directory.example"));
        assert_eq!(read("ldap://[2001:db8::1]:389/cn=x"), place("ldap", "2001:db8::1"));
        assert_eq!(read("ldap://user@host.example/"), place("ldap", "host.example"));
        assert_eq!(read("ldap:///cn=x"), place("ldap", "own.example"), "the device's own");
        assert_eq!(Place::of("ldap:///cn=x", None).map(|place| place.host).ok().as_deref(), Some(""));
        assert_eq!(read("file:/etc/passwd"), place("file", ""));
        assert_eq!(read("no url"), None);
        assert_eq!(read("http://user@host/"), None, "credentials do not belong there");
    }
}
