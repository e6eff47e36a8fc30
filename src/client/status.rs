//! Validation that gets what it lacks: status data by the URLs in certificates, missing issuers by caIssuers.
//!
//! Nobody is asked about a path whose signatures and other checks do not hold (strongSwan CVE-2022-40617): the path is
//! validated without revocation first, then status data is fetched for its certificates, then all is validated again.
//! What comes is bytes to be judged. Only data that was verified is kept: in memory, and in device memory if there is
//! one, until its nextUpdate. What could not be got stands in the log and in the report, and the caller's
//! [`RevocationPolicy`](crate::validation::RevocationPolicy) decides what follows.
//!
//! | file | |
//! | --- | --- |
//! | `gather` | which data for which certificate, from memory or by URL |
//! | `requests` | one request after the other under all caps |
//! | `cache` | what is kept, and its form in device memory |
//! | `memory` | the same for everyone who asks: validators, open peers |
//! | `issuers` | missing issuers |
//! | `kept` | revocation lists that came by another way |
//! | `certificate_store` | certificates by what they hold (RFC 4387) |
//! | `facts` | who is revoked for good, apart from the documents that said so |
//! | `forget` | the owner's way back where a CA counts its lists anew |
//! | `numbers` | the highest CRL numbers in device memory |

mod cache;
mod certificate_store;
mod document;
mod facts;
mod forget;
mod gather;
mod issuers;
mod kept;
mod memory;
mod numbers;
mod record;
mod requests;
mod room;
mod unwritten;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use certificate_store::CertificateQuery;
pub use forget::forget_crl_numbers;
pub use kept::{CrlSubject, keep_crl, kept_crls};
pub use memory::StatusMemory;
pub use numbers::StoredCrlNumbers;

use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::limits;
use crate::store::Store;
use crate::time::Time;
use crate::transport::{ExchangeLimits, Fetch};
use crate::validation::peer::StatusWatch;
use crate::validation::{
    Checks, Finding, PeerKey, PeerRequest, Purpose, Report, StatusSources, TrustAnchors, validate,
};
use gather::Gathered;

/// What is fetched, how, and how much of it. URLs in certificates are chosen by others: everything has a cap.
#[derive(Clone, Debug)]
pub struct StatusOptions {
    /// Ask OCSP responders.
    pub ocsp: bool,
    /// Get CRLs.
    pub crls: bool,
    /// Get missing issuers by caIssuers (RFC 5280 section 4.2.2.1). Off by default: there is no path yet whose
    /// signatures could be checked, so whoever made the certificate chooses what is asked for.
    pub issuers: bool,
    /// An HTTP certificate store (RFC 4387) that is asked for missing issuers, before caIssuers. The device's own choice, so
    /// it is asked also while no path holds.
    pub certificate_store: Option<String>,
    /// The nonce in OCSP requests.
    pub nonce: OcspNonce,
    /// OCSP by GET where the URL stays short enough for caches (RFC 5019 section 5); otherwise, and by default, POST.
    pub ocsp_by_get: bool,
    /// Digest in CertIDs. SHA-1 by default, the one that every responder knows (RFC 5019 section 2.1.1): it names the
    /// certificate and proves nothing.
    pub ocsp_digest: DigestAlgorithm,
    /// Schemes of URLs that are handed to the [`Fetch`], lower case: by default those of the built-in client, which are `http`,
    /// `https`, and `ldap` with the feature of that name. Others are for callers whose own [`Fetch`] serves them.
    pub schemes: Vec<String>,
    /// Host, and perhaps port, of the directory that `ldap:` URLs without a host mean: the device's own choice, where AD CS leaves
    /// it to the network that a computer belongs to.
    pub directory: Option<String>,
    /// If given, only these hosts (exactly, lower case).
    pub allowed_hosts: Option<Vec<String>>,
    /// Most different hosts asked in one validation.
    pub max_hosts: usize,
    /// Most requests in one validation; redirects are counted by the [`Fetch`].
    pub max_requests: u32,
    /// Most redirects followed for one document by the built-in client.
    pub max_redirects: u32,
    /// Most URLs of one kind tried for one certificate.
    pub max_urls_per_certificate: usize,
    /// Largest CRL, in bytes.
    pub max_crl_bytes: usize,
    /// Longest time for all requests of one validation.
    pub total_timeout: Duration,
    /// How long a host that did not answer is not asked again. A dead host costs its time once, not at every validation.
    pub silence: Duration,
    /// Times for one request, and the way to cancel; its size is replaced by the ones here.
    pub exchange: ExchangeLimits,
    /// Most documents kept, in memory and again in device memory; the one that expires first makes room.
    pub max_kept: usize,
    /// Largest document kept, in bytes.
    pub max_kept_bytes: usize,
}

/// The nonce in OCSP requests (RFC 9654).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspNonce {
    /// Sent; an answer without it is refused.
    Required,
    /// Sent; an answer without any is taken by its own times, one with another is refused. For responders that ignore
    /// nonces.
    Tolerated,
    /// Not sent: for responders of pre-signed answers (RFC 5019 section 4).
    Unused,
}

/// What the built-in client serves.
#[cfg(feature = "ldap")]
const BUILT_IN_SCHEMES: [&str; 3] = ["http", "https", "ldap"];
#[cfg(not(feature = "ldap"))]
const BUILT_IN_SCHEMES: [&str; 2] = ["http", "https"];

impl Default for StatusOptions {
    /// OCSP and CRLs, no issuers; 16 requests to 8 hosts in 30 s, 10 s each; CRLs to 16 MiB; 64 documents kept.
    fn default() -> Self {
        StatusOptions {
            ocsp: true,
            crls: true,
            issuers: false,
            certificate_store: None,
            nonce: OcspNonce::Required,
            ocsp_by_get: false,
            ocsp_digest: DigestAlgorithm::Sha1,
            schemes: BUILT_IN_SCHEMES.map(str::to_owned).to_vec(),
            directory: None,
            allowed_hosts: None,
            max_hosts: 8,
            max_requests: 16,
            max_redirects: 3,
            max_urls_per_certificate: 4,
            max_crl_bytes: 16 * 1024 * 1024,
            total_timeout: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            exchange: ExchangeLimits {
                connect_timeout: Duration::from_secs(5),
                read_timeout: Duration::from_secs(5),
                total_timeout: Duration::from_secs(10),
                ..ExchangeLimits::default()
            },
            max_kept: 64,
            max_kept_bytes: 64 * 1024 * 1024,
        }
    }
}

impl StatusOptions {
    /// Sets a number below 2^32 by the name of its field; times in seconds, as `total_timeout_seconds`.
    pub fn set(&mut self, name: &str, value: i64) -> Result<(), Error> {
        let refused = || Error::new(Code::InvalidArgument, format!("{value} is out of range for {name}"));
        let positive = || u32::try_from(value).ok().filter(|n| *n > 0).ok_or_else(refused);
        let whole = || u32::try_from(value).map_err(|_| refused());
        let count = || usize::try_from(whole()?).map_err(|_| refused());
        let seconds = || Ok::<_, Error>(Duration::from_secs(u64::from(positive()?)));
        match name {
            "max_requests" => self.max_requests = positive()?,
            "max_redirects" => self.max_redirects = whole()?,
            "max_hosts" => self.max_hosts = count()?,
            "max_urls_per_certificate" => self.max_urls_per_certificate = count()?,
            "max_crl_bytes" => self.max_crl_bytes = count()?,
            "max_kept" => self.max_kept = count()?,
            "max_kept_bytes" => self.max_kept_bytes = count()?,
            "total_timeout_seconds" => self.total_timeout = seconds()?,
            "request_timeout_seconds" => self.exchange.total_timeout = seconds()?,
            "connect_timeout_seconds" => self.exchange.connect_timeout = seconds()?,
            "read_timeout_seconds" => self.exchange.read_timeout = seconds()?,
            "silence_seconds" => self.silence = Duration::from_secs(whole()?.into()),
            other => return Err(Error::new(Code::InvalidArgument, format!("'{other}' is not a limit of a fetcher"))),
        }
        Ok(())
    }

    fn max_bytes(&self, wanted: Wanted) -> usize {
        match wanted {
            Wanted::Crl | Wanted::DeltaCrl => self.max_crl_bytes.min(limits::MAX_CRL_BYTES),
            Wanted::Ocsp => limits::MAX_OCSP_BYTES,
            Wanted::Issuer => limits::MAX_CERTIFICATE_BYTES,
        }
    }
}

/// What is to be validated.
#[derive(Clone, Copy, Debug)]
pub struct StatusQuestion<'a> {
    /// Whom to believe.
    pub anchors: &'a TrustAnchors,
    /// The certificate that is asked about.
    pub leaf: &'a Certificate,
    /// Certificates that may be on the path, in any order.
    pub pool: &'a [Certificate],
    /// Status data at hand, such as a stapled OCSP response. A certificate with a usable status in here is not asked
    /// about.
    pub known: &'a StatusSources,
    /// What is checked. Without revocation in here nothing is fetched but missing issuers.
    pub checks: &'a Checks,
}

/// A verdict and how it came about.
#[derive(Debug)]
pub struct StatusAnswer {
    /// The verdict. Its findings name what could not be fetched, as notes behind the validator's own.
    pub report: Report,
    /// All status data that was looked at.
    pub status: StatusSources,
    /// The certificates of the question's pool and the issuers that were fetched.
    pub pool: Vec<Certificate>,
    /// Every document that was wanted, in order, and what became of it.
    pub log: Vec<FetchEvent>,
}

/// A document that was wanted.
#[derive(Clone, Debug)]
pub struct FetchEvent {
    /// What.
    pub wanted: Wanted,
    /// From where.
    pub url: String,
    /// For which certificate of the path, 0 is the leaf; `None` for missing issuers.
    pub certificate_index: Option<usize>,
    /// What became of it.
    pub outcome: FetchOutcome,
}

/// Kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A CRL from a distribution point.
    Crl,
    /// A delta CRL (RFC 5280 section 4.2.1.15).
    DeltaCrl,
    /// An OCSP response.
    Ocsp,
    /// Certificates of the issuer.
    Issuer,
}

impl Wanted {
    /// For people and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Wanted::Crl => "CRL",
            Wanted::DeltaCrl => "delta CRL",
            Wanted::Ocsp => "OCSP response",
            Wanted::Issuer => "issuer's certificate",
        }
    }
}

/// What became of a wanted document.
#[derive(Clone, Debug)]
pub enum FetchOutcome {
    /// A copy at hand is current; nobody was asked.
    Kept,
    /// It came, and can be read.
    Fetched,
    /// The copy at hand is still the server's current one (304).
    NotModified,
    /// Why there is none. A copy out of date is looked at nevertheless: who was revoked stays revoked.
    Failed(Error),
    /// It could not be written to device memory, which changes nothing for this validation.
    NotStored(Error),
}

/// Validates certificates with status data that it fetches and keeps. One for many validations.
pub struct StatusFetcher {
    provider: Arc<dyn Provider>,
    options: StatusOptions,
    memory: Arc<StatusMemory>,
    /// Who did not answer, and until when nobody waits for it again.
    silent: HashMap<String, Instant>,
}

impl StatusFetcher {
    /// Without device memory: what is kept, and the highest CRL numbers, last as long as this does.
    pub fn new(provider: Arc<dyn Provider>, options: StatusOptions) -> Self {
        let memory = Arc::new(StatusMemory::new(provider.clone(), None));
        Self::with_memory(provider, options, memory)
    }

    /// With device memory: documents and the highest CRL numbers outlive restarts.
    pub fn with_store(provider: Arc<dyn Provider>, options: StatusOptions, store: Arc<Store>) -> Self {
        let memory = Arc::new(StatusMemory::new(provider.clone(), Some(store)));
        Self::with_memory(provider, options, memory)
    }

    /// With what others keep too.
    pub fn with_memory(provider: Arc<dyn Provider>, options: StatusOptions, memory: Arc<StatusMemory>) -> Self {
        StatusFetcher { memory, provider, options, silent: HashMap::new() }
    }

    /// What is kept. A peer that was opened without this fetcher can watch it too.
    pub fn memory(&self) -> &Arc<StatusMemory> {
        &self.memory
    }

    /// The options; changes hold from the next validation on.
    pub fn options_mut(&mut self) -> &mut StatusOptions {
        &mut self.options
    }

    /// Validates; `fetch` is asked for what is not at hand. A new [`HttpFetch`](crate::transport::fetch::HttpFetch) for
    /// each validation, whose own limits count over its life, or the caller's.
    pub fn validate(&mut self, question: &StatusQuestion<'_>, fetch: &mut dyn Fetch) -> StatusAnswer {
        let gathered = self.gather(question, fetch);
        let notes = self.notes(&gathered);
        let Gathered { verdict, status, pool, log } = gathered;
        let report = verdict.unwrap_or_else(|| {
            let StatusQuestion { anchors, leaf, checks, .. } = question;
            validate(&*self.provider, anchors, leaf, &pool, &status, checks)
        });
        self.memory.write_lines();
        StatusAnswer { report: report.with_notes(notes), status, pool, log }
    }

    /// Opens the gate to a peer's key with status data that is fetched as [`Self::validate`] does. The handle is there
    /// exactly when the report is positive, and closes at once when newer status data that is kept revokes the peer.
    pub fn open_peer(
        &mut self,
        request: PeerRequest<'_>,
        fetch: &mut dyn Fetch,
    ) -> Result<(StatusAnswer, Option<PeerKey>), Error> {
        let mut checks = request.checks.clone();
        checks.names = request.names.clone();
        checks.extended_key_usages = match &request.purpose {
            Purpose::For(purposes) if purposes.is_empty() => {
                return Err(Error::new(Code::InvalidArgument, "the purpose of a peer's key is an empty list"));
            }
            Purpose::For(purposes) => purposes.clone(),
            Purpose::Any => Vec::new(),
        };
        let question = StatusQuestion {
            anchors: request.anchors,
            leaf: request.certificate,
            pool: request.pool,
            known: request.status,
            checks: &checks,
        };
        // Before anything is asked: what comes meanwhile, here or into a memory of the request's, is newer.
        let marks: Vec<_> = request.status.kept.iter().map(|watch| (watch.clone(), watch.mark())).collect();
        let mark = self.memory.mark();
        let gathered = self.gather(&question, fetch);
        let notes = self.notes(&gathered);
        let Gathered { status, pool, log, .. } = gathered;
        let (report, key) = PeerKey::open(&self.provider, PeerRequest { status: &status, pool: &pool, ..request })?;
        self.memory.write_lines();
        let own: (Arc<dyn StatusWatch>, u64) = (self.memory.clone(), mark);
        let key =
            key.map(|key| marks.into_iter().chain([own]).fold(key, |key, (watch, mark)| key.watching(watch, mark)));
        Ok((StatusAnswer { report: report.with_notes(notes), status, pool, log }, key))
    }

    /// What could not be got, for the report.
    fn notes(&self, gathered: &Gathered) -> Vec<Finding> {
        let note = |code, certificate_index, text| Finding { code, certificate_index, text, fatal: false, rule: None };
        let mut notes: Vec<Finding> = Vec::new();
        for event in &gathered.log {
            let (error, verb) = match &event.outcome {
                FetchOutcome::Failed(error) => (error, "not fetched"),
                FetchOutcome::NotStored(error) => (error, "not stored"),
                _ => continue,
            };
            let text = format!("{} {verb} from {}: {}", event.wanted.name(), event.url, error.message());
            notes.push(note(error.code(), event.certificate_index, text));
        }
        let troubles = self.memory.take_troubles().into_iter();
        notes.extend(troubles.map(|error| note(error.code(), None, error.message().to_owned())));
        notes
    }
}

impl std::fmt::Debug for StatusFetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusFetcher").field("options", &self.options).finish_non_exhaustive()
    }
}

/// One validation with the built-in HTTP client, keeping in `store`, if there is one, what the next one can use.
#[cfg(feature = "http")]
pub fn fetch_status(
    provider: &Arc<dyn Provider>,
    question: &StatusQuestion<'_>,
    options: StatusOptions,
    store: Option<Arc<Store>>,
) -> Result<StatusAnswer, Error> {
    let mut fetch = built_in(&options)?;
    let memory = Arc::new(StatusMemory::new(provider.clone(), store));
    Ok(StatusFetcher::with_memory(provider.clone(), options, memory).validate(question, &mut fetch))
}

/// The built-in HTTP client, held to the hosts and counts of these options also where it follows redirects.
#[cfg(feature = "http")]
pub fn built_in(options: &StatusOptions) -> Result<crate::transport::fetch::HttpFetch, Error> {
    built_in_over(options, crate::transport::HttpConfig::default())
}

/// The same by a way of its own: a proxy, anchors of HTTPS servers.
#[cfg(feature = "http")]
pub fn built_in_over(
    options: &StatusOptions,
    network: crate::transport::HttpConfig,
) -> Result<crate::transport::fetch::HttpFetch, Error> {
    use crate::transport::fetch::{FetchLimits, HttpFetch};
    let fetch_limits = FetchLimits {
        max_redirects: options.max_redirects,
        max_requests: options.max_requests.saturating_mul(2),
        max_hosts: options.max_hosts,
        allowed_hosts: options.allowed_hosts.clone(),
        directory: options.directory.clone(),
    };
    Ok(HttpFetch::new(network, fetch_limits)?)
}

/// Whether a document from then to then (`None`: it does not say) can stand for a new one now.
fn is_current(this_update: Time, until: Option<Time>, checks: &Checks) -> bool {
    let (Some(now), Some(until)) = (checks.at.known(), until) else { return false };
    let max_age = checks.revocation.max_age_seconds;
    now <= until && max_age.is_none_or(|age| now.since(this_update) <= i64::from(age))
}
