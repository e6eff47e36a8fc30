//! Which data for which certificate, from memory or by URL.

mod obtain;

use std::collections::HashMap;
use std::sync::Arc;

use super::cache::{Entry, Kept};
use super::document::Item;
use super::issuers::Asked;
use super::memory::{issuer_of, list_key};
use super::requests::Requests;
use super::{FetchEvent, FetchOutcome, OcspNonce, StatusFetcher, StatusQuestion, Wanted};
use crate::asn1::distribution_point::{cdp_url_groups, freshest_crl_url_groups, ocsp_urls};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::features::{self, needs};
use crate::transport::Fetch;
use crate::validation::revocation::{StatusOutcome, check_path};
use crate::validation::{
    Checks, OcspRequest, Report, RevocationMode, RevocationPolicy, RevocationScope, StatusPreference, StatusSources,
    validate,
};

/// Most paths that status data is fetched for: a revoked intermediate leads to the next one.
const MAX_PATHS: usize = 4;
/// Most signers of status data whose own status is fetched.
const MAX_SIGNERS: usize = 8;
/// Most delta CRLs fetched because a complete one names them.
const MAX_NAMED_DELTAS: usize = 4;
/// Most certificates in a question that is answered by what is kept alone; with more, a path is looked for first.
const MAX_RECALLED: usize = 16;

/// All that was found for a question.
pub(super) struct Gathered {
    /// The verdict, where it is clear without another validation.
    pub verdict: Option<Report>,
    pub status: StatusSources,
    pub pool: Vec<Certificate>,
    pub log: Vec<FetchEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Ocsp,
    Crl,
}

/// How a document was got in this validation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Kept,
    Network,
    Nowhere,
}

/// A document that came and is kept if it turns out to be good.
struct Pending {
    key: String,
    wanted: Wanted,
    url: String,
    index: Option<usize>,
    entry: Entry,
}

/// The state of one validation.
#[derive(Default)]
pub(super) struct Hand {
    pub status: StatusSources,
    pub pool: Vec<Certificate>,
    /// Certificates that were found revoked above the end entity: a path leads around them.
    revoked: Vec<Certificate>,
    /// Places that were asked for issuers, in the order in which they led upwards, and how many of them anew.
    pub asked: Vec<Asked>,
    pub asked_anew: usize,
    taken: HashMap<String, Origin>,
    pending: Vec<Pending>,
}

/// One document that is wanted.
pub(super) struct Want<'a> {
    pub wanted: Wanted,
    pub url: &'a str,
    pub index: Option<usize>,
    pub certificate: &'a Certificate,
    /// For OCSP.
    pub request: Option<&'a OcspRequest>,
    /// Ask even if a copy at hand is current: it was of no use.
    pub anew: bool,
}

impl StatusFetcher {
    pub(super) fn gather(&mut self, question: &StatusQuestion<'_>, fetch: &mut dyn Fetch) -> Gathered {
        {
            let mut cache = self.memory.cache();
            (cache.max_entries, cache.max_bytes) = (self.options.max_kept, self.options.max_kept_bytes);
            cache.sync();
        }
        let mut status = question.known.clone();
        self.memory.attach(&mut status);
        self.memory.recall_by_issuer(std::iter::once(question.leaf).chain(question.pool), &mut status);
        if let Some(gathered) = self.answer_from_memory(question, &status) {
            return gathered;
        }
        if let Err(left_out) = needs(features::STATUS_FETCH) {
            // As if there were nothing to be had: by the policy, what is at hand is judged or the status is unknown.
            self.recall_all(question, question.pool, &mut status);
            if question.checks.revocation.mode != RevocationMode::Off {
                status.unread.get_or_insert(left_out.to_string());
            }
            return Gathered { verdict: None, status, pool: question.pool.to_vec(), log: Vec::new() };
        }
        let options = self.options.clone();
        let mut silent = std::mem::take(&mut self.silent);
        let gathered = self.gather_by(question, status, Requests::new(fetch, &options, &mut silent));
        self.silent = silent;
        gathered
    }

    fn gather_by(
        &mut self,
        question: &StatusQuestion<'_>,
        status: StatusSources,
        mut requests: Requests<'_>,
    ) -> Gathered {
        let options = requests.options();
        let mut hand = Hand { status, pool: question.pool.to_vec(), ..Hand::default() };
        let trusted = Checks { revocation: RevocationPolicy::off(), ..question.checks.clone() };
        let look = |fetcher: &Self, pool: &[Certificate]| {
            let none = StatusSources::none();
            validate(&*fetcher.provider, question.anchors, question.leaf, pool, &none, &trusted)
        };
        let mut found = look(self, &hand.pool);
        let asks_for_issuers = options.issuers || options.certificate_store.is_some();
        if asks_for_issuers {
            found = self.find_issuers(&mut requests, &mut hand, question, &trusted, found);
        }
        if !found.is_valid() || question.checks.revocation.mode == RevocationMode::Off {
            self.keep_good(&mut requests, &mut hand, found.path().map(|p| p.chain()), &[]);
            let Hand { mut status, pool, .. } = hand;
            // Who is known to be revoked is judged by that, also where no status is wanted.
            self.recall_all(question, &pool, &mut status);
            let verdict = Some(found).filter(|found| !found.is_valid());
            return Gathered { verdict, status, pool, log: requests.finish().1 };
        }
        let mut paths = 0;
        while let Some(path) = found.path() {
            if paths == MAX_PATHS {
                requests.cut_short(format!("{MAX_PATHS} paths with a revoked certificate"));
                break;
            }
            paths += 1;
            let chain = path.chain();
            let outcome = self.gather_for_path(&mut requests, &mut hand, question, chain);
            self.keep_good(&mut requests, &mut hand, Some(chain), &outcome.unknown);
            let revoked = outcome.findings.iter().find(|f| f.code == Code::Revoked && f.fatal);
            let Some(index @ 1..) = revoked.and_then(|f| f.certificate_index) else { break };
            // Another path may lead around the revoked certificate, also over what may be had in place of one that is kept.
            hand.revoked.push(chain[index].clone());
            found = look(self, &hand.usable());
            if asks_for_issuers {
                found = self.find_issuers(&mut requests, &mut hand, question, &trusted, found);
            }
        }
        let Hand { mut status, pool, .. } = hand;
        // All that is kept about whatever may be on a path, whatever its times and whatever was at hand before: who was
        // found revoked stays revoked, also where the peer brings an answer from before.
        self.recall_all(question, &pool, &mut status);
        let (cut_short, log) = requests.finish();
        status.cut_short = status.cut_short.or(cut_short);
        Gathered { verdict: None, status, pool, log }
    }

    /// A positive verdict on what is kept alone: the usual case on a device that talks to the same peers.
    fn answer_from_memory(&mut self, question: &StatusQuestion<'_>, status: &StatusSources) -> Option<Gathered> {
        let checks = question.checks;
        if checks.revocation.mode == RevocationMode::Off || question.pool.len() >= MAX_RECALLED {
            return None;
        }
        let mut hand = Hand { status: status.clone(), pool: question.pool.to_vec(), ..Hand::default() };
        let mut log = Vec::new();
        for certificate in std::iter::once(question.leaf).chain(question.pool) {
            let lists =
                [(Wanted::Crl, cdp_url_groups(certificate)), (Wanted::DeltaCrl, freshest_crl_url_groups(certificate))];
            let lists =
                lists.into_iter().flat_map(|(wanted, groups)| groups.concat().into_iter().map(move |u| (wanted, u)));
            let responders = ocsp_urls(certificate).into_iter().map(|url| (Wanted::Ocsp, url));
            for (wanted, url) in lists.chain(responders).take(2 * self.options.max_urls_per_certificate) {
                let key = self.key(wanted, &url, certificate).ok()?;
                let kept = match self.memory.cache().look(&key) {
                    Kept::Document(entry) => Some(entry).filter(|entry| entry.is_current(checks)),
                    Kept::Nothing => None,
                    // It may be had again.
                    Kept::Unreadable(_) => return None,
                };
                if let Some(entry) = kept {
                    hand.add(&entry.item);
                    log.push(FetchEvent { wanted, url, certificate_index: None, outcome: FetchOutcome::Kept });
                    // A list that names its deltas is not asked without them.
                    for urls in deltas_of(&entry.item) {
                        let delta = urls.iter().find_map(|url| {
                            match self.memory.cache().look(&list_key(url, &issuer_of(&*self.provider, certificate))) {
                                Kept::Document(entry) => Some(entry).filter(|entry| entry.is_current(checks)),
                                // Then the deltas are asked for.
                                Kept::Nothing | Kept::Unreadable(_) => None,
                            }
                        });
                        hand.add(&delta?.item);
                    }
                }
            }
        }
        if log.is_empty() {
            return None;
        }
        let Hand { mut status, pool, .. } = hand;
        self.recall_all(question, &pool, &mut status);
        let report = validate(&*self.provider, question.anchors, question.leaf, &pool, &status, checks);
        let is_whole = report.is_valid()
            && report.findings().iter().all(|f| !matches!(f.code, Code::RevocationUnknown | Code::CrlRollback));
        is_whole.then_some(Gathered { verdict: Some(report), status, pool, log })
    }

    /// What this memory holds about whatever may be on a path, and those that the question came with.
    fn recall_all(&self, question: &StatusQuestion<'_>, pool: &[Certificate], status: &mut StatusSources) {
        self.memory.recall(std::iter::once(question.leaf).chain(pool), status);
        let known = question.known.kept.iter();
        let mut others =
            known.filter(|watch| !std::ptr::addr_eq(Arc::as_ptr(watch), Arc::as_ptr(&self.memory))).peekable();
        if others.peek().is_some() {
            let all: Vec<Certificate> = std::iter::once(question.leaf).chain(pool).cloned().collect();
            others.for_each(|watch| watch.recall(&all, status));
        }
    }

    /// Preferred sources first, then the others, then again without what is kept, as long as a status is missing.
    fn gather_for_path(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        chain: &[Certificate],
    ) -> StatusOutcome {
        let policy = &question.checks.revocation;
        let below_anchor = chain.len().saturating_sub(1);
        let count = match policy.scope {
            RevocationScope::LeafOnly => below_anchor.min(1),
            RevocationScope::WholeChain => below_anchor,
        };
        let order = match policy.prefer {
            StatusPreference::Ocsp => [Source::Ocsp, Source::Crl],
            StatusPreference::Crl => [Source::Crl, Source::Ocsp],
        };
        let mut outcome = self.judge(hand, question, chain);
        // What is at hand only by grace, or with a doubt, is not good enough to ask nobody.
        let has_clock = question.checks.at.known().is_some();
        let doubtful: Vec<usize> = outcome
            .findings
            .iter()
            .filter(|f| has_clock && matches!(f.code, Code::RevocationUnknown | Code::CrlRollback))
            .filter_map(|f| f.certificate_index)
            .collect();
        for (pass, (source, anew)) in [false, true].into_iter().flat_map(|anew| order.map(|s| (s, anew))).enumerate() {
            for index in 0..count {
                if outcome.is_revoked_for_now() {
                    return outcome;
                }
                if outcome.is_open(index) || (pass == 0 && doubtful.contains(&index)) {
                    outcome = match source {
                        Source::Ocsp => self.gather_ocsp(requests, hand, question, chain, index, anew),
                        Source::Crl => self.gather_crls(requests, hand, question, chain, index, anew),
                    };
                }
            }
            if outcome.unknown.is_empty() && outcome.on_hold.is_empty() {
                break;
            }
        }
        if !outcome.is_revoked_for_now() && !outcome.unknown_signers.is_empty() {
            outcome = self.gather_for_signers(requests, hand, question, chain, outcome);
        }
        outcome
    }

    /// The status of those who signed the status data, where it is not known: a CRL issuer of its own, an OCSP responder
    /// without nocheck (RFC 6960 section 4.2.2.2.1).
    fn gather_for_signers(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        chain: &[Certificate],
        mut outcome: StatusOutcome,
    ) -> StatusOutcome {
        let mut looked_at: Vec<Certificate> = Vec::new();
        // What is fetched may be by signers whose status is not known either: they come next.
        while let Some(signer) = outcome.unknown_signers.iter().find(|signer| !looked_at.contains(&signer[0])).cloned()
        {
            if looked_at.len() == MAX_SIGNERS {
                requests.cut_short(format!("{MAX_SIGNERS} signers of status data"));
                break;
            }
            looked_at.push(signer[0].clone());
            let [certificate, issuer, ..] = &signer[..] else { continue };
            let ocsp = if self.options.ocsp { ocsp_urls(certificate) } else { Vec::new() };
            let lists = if self.options.crls { cdp_url_groups(certificate).concat() } else { Vec::new() };
            let responders = ocsp.into_iter().map(|url| (Wanted::Ocsp, url));
            let urls: Vec<_> = responders.chain(lists.into_iter().map(|url| (Wanted::Crl, url))).collect();
            for (wanted, url) in urls.iter().take(self.options.max_urls_per_certificate) {
                let request = match wanted {
                    Wanted::Ocsp => self.ocsp_request(certificate, issuer).ok(),
                    _ => None,
                };
                if *wanted == Wanted::Ocsp && request.is_none() {
                    continue;
                }
                let want =
                    Want { wanted: *wanted, url, index: None, certificate, request: request.as_ref(), anew: false };
                if self.obtain(requests, hand, question.checks, &want) {
                    outcome = self.judge(hand, question, chain);
                    if !outcome.unknown_signers.iter().any(|unknown| unknown[0] == *certificate) {
                        break;
                    }
                }
            }
        }
        outcome
    }

    fn ocsp_request(&self, certificate: &Certificate, issuer: &Certificate) -> Result<OcspRequest, Error> {
        let digest = self.options.ocsp_digest;
        match self.options.nonce {
            OcspNonce::Unused => OcspRequest::without_nonce(&*self.provider, certificate, issuer, digest),
            _ => OcspRequest::with_nonce(&*self.provider, certificate, issuer, digest),
        }
    }

    fn judge(&self, hand: &Hand, question: &StatusQuestion<'_>, chain: &[Certificate]) -> StatusOutcome {
        check_path(&*self.provider, chain, question.anchors, &hand.pool, &hand.status, question.checks)
    }

    fn gather_ocsp(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        chain: &[Certificate],
        index: usize,
        anew: bool,
    ) -> StatusOutcome {
        let (certificate, issuer) = (&chain[index], &chain[index + 1]);
        let urls = if self.options.ocsp { ocsp_urls(certificate) } else { Vec::new() };
        for url in urls.iter().take(self.options.max_urls_per_certificate) {
            let request = match self.ocsp_request(certificate, issuer) {
                Ok(request) => request,
                Err(error) => {
                    requests.note(Wanted::Ocsp, url, Some(index), FetchOutcome::Failed(error));
                    break;
                }
            };
            let want =
                Want { wanted: Wanted::Ocsp, url, index: Some(index), certificate, request: Some(&request), anew };
            if self.obtain(requests, hand, question.checks, &want) {
                let outcome = self.judge(hand, question, chain);
                if !outcome.is_open(index) {
                    return outcome;
                }
            }
        }
        self.judge(hand, question, chain)
    }

    fn gather_crls(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        chain: &[Certificate],
        index: usize,
        anew: bool,
    ) -> StatusOutcome {
        let certificate = &chain[index];
        if !self.options.crls {
            return self.judge(hand, question, chain);
        }
        let deltas = freshest_crl_url_groups(certificate).into_iter().map(|urls| (Wanted::DeltaCrl, urls));
        let complete = cdp_url_groups(certificate).into_iter().map(|urls| (Wanted::Crl, urls));
        let mut left = self.options.max_urls_per_certificate;
        // Deltas first: once there is a status, no further complete list is asked for.
        for (wanted, mut urls) in deltas.chain(complete) {
            // URLs that the built-in client knows come first; the others may all lead to the same list.
            crate::order::sort_by_key(&mut urls, |url| !url.to_ascii_lowercase().starts_with("http"));
            for (number, url) in urls.iter().enumerate() {
                if left == 0 {
                    let text = format!("{} URLs were tried for the certificate", self.options.max_urls_per_certificate);
                    let error = Error::new(Code::Limit, text.clone());
                    requests.note(wanted, url, Some(index), FetchOutcome::Failed(error));
                    if number == 0 {
                        // Another list, not another place of one that was asked for.
                        requests.cut_short(text);
                    }
                    return self.judge(hand, question, chain);
                }
                left -= 1;
                let want = Want { wanted, url, index: Some(index), certificate, request: None, anew };
                if self.obtain(requests, hand, question.checks, &want) {
                    if wanted == Wanted::Crl {
                        self.gather_named_deltas(requests, hand, question, &want);
                    }
                    break;
                }
            }
            if wanted == Wanted::Crl {
                let outcome = self.judge(hand, question, chain);
                if !outcome.is_open(index) {
                    return outcome;
                }
            }
        }
        self.judge(hand, question, chain)
    }

    /// The delta CRLs that the complete list just obtained names itself (freshestCRL, RFC 5280 section 5.2.6).
    fn gather_named_deltas(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        complete: &Want<'_>,
    ) {
        let Ok(key) = self.key(complete.wanted, complete.url, complete.certificate) else { return };
        let pending = hand.pending.iter().find(|pending| pending.key == key).map(|pending| pending.entry.item.clone());
        let kept = pending.or_else(|| match self.memory.cache().look(&key) {
            Kept::Document(entry) => Some(entry.item),
            Kept::Nothing => None,
            Kept::Unreadable(why) => {
                hand.status.unread.get_or_insert(why);
                None
            }
        });
        for (number, urls) in kept.as_ref().map(deltas_of).unwrap_or_default().into_iter().enumerate() {
            if number == MAX_NAMED_DELTAS {
                requests.cut_short(format!("{MAX_NAMED_DELTAS} delta CRLs that a list names"));
                break;
            }
            for url in urls.iter().take(self.options.max_urls_per_certificate) {
                if self.obtain(requests, hand, question.checks, &Want { wanted: Wanted::DeltaCrl, url, ..*complete }) {
                    break;
                }
            }
        }
    }
}

/// Where the deltas of complete lists are, by the lists' own word.
pub(super) fn deltas_of(item: &Item) -> Vec<Vec<String>> {
    let Item::Crls(lists) = item else { return Vec::new() };
    lists.iter().flat_map(|crl| crl.freshest_crl_url_groups()).collect()
}

impl Hand {
    /// The pool without what was found revoked.
    pub fn usable(&self) -> Vec<Certificate> {
        self.pool.iter().filter(|c| !self.revoked.contains(c)).cloned().collect()
    }

    fn add(&mut self, item: &Item) {
        match item {
            Item::Crls(lists) => {
                for crl in lists {
                    if !self.status.crls.iter().any(|known| Arc::ptr_eq(known, crl)) {
                        self.status.crls.push(crl.clone());
                    }
                }
            }
            Item::Ocsp(response) => {
                if !self.status.ocsp.iter().any(|known| Arc::ptr_eq(known, response)) {
                    self.status.ocsp.push(response.clone());
                }
            }
            Item::Issuers(certificates) => {
                for certificate in certificates {
                    if !self.pool.contains(certificate) {
                        self.pool.push(certificate.clone());
                    }
                }
            }
        }
    }

    fn add_kept(&mut self, kept: Option<&Entry>) {
        if let Some(entry) = kept {
            self.add(&entry.item);
        }
    }
}
