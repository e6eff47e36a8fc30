//! Finding a path: from the certificate up to an anchor, with backtracking and a budget.
//!
//! Candidates are found by name alone; key identifiers only order them. What can be said about a candidate by itself is
//! checked when it is tried, what depends on the whole path when an anchor is reached, signatures then and once each.

mod judged;

use alloc::collections::BTreeSet;
use core::cell::OnceCell;

use super::certificate::{Objection, VALIDITY, against_signature};
use super::checks::{CheckTime, Checks};
use super::facts::Facts;
use super::knowledge::Knowledge;
use super::names;
use super::policy;
use super::report::{Finding, Report, ValidPath, rank};
use super::revocation;
use super::rules::{NOT_REVOKED, PATH};
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use crate::asn1::Asn1Error;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{KeyIdentity, Provider};
use crate::error::Rule;
use crate::prelude::*;
use crate::time::Time;

/// Looks for a path from `leaf` to one of `anchors` over certificates of `pool`, in any order, that passes `checks`.
///
/// RFC 5280 section 6.1 with the anchors' own constraints (RFC 5937) and the policy graph of RFC 9618. The report holds
/// the path, or the findings against the most telling of the paths tried; if the work budget ends first, its first
/// finding has [`Code::Budget`], and nothing is said about validity.
pub fn validate(
    provider: &dyn Provider,
    anchors: &TrustAnchors,
    leaf: &Certificate,
    pool: &[Certificate],
    status: &StatusSources,
    checks: &Checks,
) -> Report {
    let pool = &*status.with_signers(pool);
    // Each once: a peer that sends copies, or what differs from one in its last byte, makes no work at each place of the search. The
    // signature first, where those differ.
    let mut seen = BTreeSet::new();
    let pool_once = pool.iter().filter(|c| seen.insert((c.signature(), c.as_der())));
    let nodes = core::iter::once(leaf).chain(anchors.as_slice()).chain(pool_once).map(Node::new).collect();
    let mut search = Search {
        provider,
        anchors,
        pool,
        status,
        checks,
        nodes,
        edges: Vec::new(),
        steps_left: checks.budget.steps,
        names_left: checks.budget.name_comparisons,
        signatures_left: checks.budget.signatures,
        knowledge: Knowledge::before(status),
        exhausted: None,
        revoked: false,
        contested: None,
        worst: None,
        about: 0,
        notes: Vec::new(),
    };
    search.run()
}

/// One certificate that takes part; 0 is the leaf, then the anchors, then the pool.
struct Node<'a> {
    certificate: &'a Certificate,
    facts: OnceCell<Result<Box<Facts<'a>>, Asn1Error>>,
    /// What speaks against it as an issuer, whatever the path.
    against: OnceCell<Option<Objection>>,
    is_self_issued: OnceCell<bool>,
    same_key: OnceCell<usize>,
    /// Whether the hash of its subject is paid for in this validation.
    is_hashed: bool,
    candidates: OnceCell<Vec<usize>>,
    further_candidates: OnceCell<Vec<usize>>,
}

impl<'a> Node<'a> {
    fn new(certificate: &'a Certificate) -> Self {
        Node {
            certificate,
            facts: OnceCell::new(),
            against: OnceCell::new(),
            is_self_issued: OnceCell::new(),
            same_key: OnceCell::new(),
            is_hashed: false,
            candidates: OnceCell::new(),
            further_candidates: OnceCell::new(),
        }
    }

    fn facts(&self) -> Result<&Facts<'a>, &Asn1Error> {
        self.facts.get_or_init(|| Facts::read(self.certificate).map(Box::new)).as_ref().map(|facts| &**facts)
    }
}

/// How the search goes on.
enum Next {
    /// A valid path was found.
    Found(Box<ValidPath>),
    /// Other candidates at the same place.
    Other,
    /// The first so many certificates of the path cannot be the beginning of any valid path: back to before.
    Back(usize),
    /// The budget is used up.
    Stop,
}

struct Search<'a> {
    provider: &'a dyn Provider,
    anchors: &'a TrustAnchors,
    pool: &'a [Certificate],
    status: &'a StatusSources,
    checks: &'a Checks,
    nodes: Vec<Node<'a>>,
    /// Signatures checked: certificate, key (as `key_of` gives it), what is wrong.
    edges: Vec<(usize, usize, Option<Objection>)>,
    steps_left: u32,
    names_left: u32,
    signatures_left: u32,
    knowledge: Knowledge,
    exhausted: Option<&'static str>,
    /// Whether the certificate that was asked about is revoked: then it is on every path, and the search has ended.
    revoked: bool,
    /// A path that holds, while a list is at hand that revokes a certificate of it and whose signer may be entitled on
    /// another path.
    contested: Option<Box<(ValidPath, Vec<Finding>)>>,
    /// The most telling failure so far.
    worst: Option<Vec<Finding>>,
    /// The certificate that the first of them is about.
    about: usize,
    notes: Vec<Finding>,
}

impl<'a> Search<'a> {
    fn run(&mut self) -> Report {
        if self.pool.len() + self.anchors.len() > self.checks.budget.certificates {
            self.exhausted = Some("certificates");
            return self.refused();
        }
        if self.checks.at == CheckTime::Unknown {
            let text = "the time is unknown: validity periods were not checked";
            self.notes.push(Finding::note(VALIDITY, Code::ClockMissing, None, text));
        }
        if let Some(reason) = self.against_leaf() {
            self.record(0, 0, &reason);
            return self.refused();
        }
        let mut path = Vec::with_capacity(8);
        path.push(0);
        match self.extend(&mut path) {
            Next::Found(path) => self.valid(*path),
            Next::Other | Next::Back(_) | Next::Stop => self.without_other_path(),
        }
    }

    fn valid(&mut self, path: ValidPath) -> Report {
        Report::valid(path, core::mem::take(&mut self.notes))
    }

    /// No path was found that ends the search: a contested one that all others left standing, or the certificate's own
    /// standing as an anchor, or none.
    fn without_other_path(&mut self) -> Report {
        // Revoked, or not looked at to the end: nothing below outweighs that.
        if self.revoked || self.exhausted.is_some_and(|what| what != DEPTH) || self.knowledge.exhausted().is_some() {
            return self.refused();
        }
        if let Some((path, notes)) = self.contested.take().map(|held| *held) {
            self.notes.extend(notes);
            return self.valid(path);
        }
        if self.is_itself_an_anchor() {
            let leaf = self.nodes[0].certificate;
            let path = ValidPath::new(vec![leaf.clone()], leaf.not_after(), None, None, self.checks);
            if let Some(reason) = self.against_presented(&path) {
                self.record(0, 0, &reason);
                return self.refused();
            }
            return self.valid(path);
        }
        self.refused()
    }

    /// Whether the certificate that was asked about is a configured anchor, CA or not: its name and key are believed
    /// without proof (RFC 5280 section 6.1.1 (d)), and it ends its own path. Another certificate of the anchor's name and
    /// key counts if that key made it; else its content would be anybody's.
    fn is_itself_an_anchor(&self) -> bool {
        let leaf = self.nodes[0].certificate;
        let is_remade = |anchor: &Certificate| {
            KeyIdentity::of(anchor) == KeyIdentity::of(leaf)
                && names::same_name(anchor.subject(), leaf.subject())
                && names::same_name(leaf.issuer(), leaf.subject())
                && against_signature(self.provider, leaf, anchor.spki(), self.checks.allow_weak).is_none()
        };
        self.anchors.iter().any(|anchor| anchor == leaf || is_remade(anchor))
    }

    fn refused(&mut self) -> Report {
        let mut findings = Vec::new();
        if self.revoked {
            // What is known for certain comes before what was not looked at.
            findings.append(self.worst.get_or_insert_default());
        }
        if let Some(what) = self.exhausted {
            let text = format!("the budget of {what} was used up before the search ended");
            findings.push(Finding::unfinished(text));
        }
        findings.append(self.worst.get_or_insert_default());
        if findings.is_empty() {
            let leaf = self.nodes[0].certificate;
            let text = format!("no path to a trust anchor: the issuer {} was not found", display(leaf.issuer()));
            findings.push(Finding::fatal(PATH, Code::NoPath, Some(0), text));
        }
        findings.append(&mut self.notes);
        Report::refused(findings).about(self.nodes.get(self.about).map(|node| node.certificate))
    }

    /// Tries all issuers of the last certificate on the path.
    fn extend(&mut self, path: &mut Vec<usize>) -> Next {
        let last = path[path.len() - 1];
        for list in [Self::candidates, Self::further_candidates] {
            for k in 0..list(self, last).len() {
                let candidate = list(self, last)[k];
                let Some(left) = self.steps_left.checked_sub(1) else {
                    self.exhausted = Some("steps");
                    return Next::Stop;
                };
                self.steps_left = left;
                if self.edge(last, candidate).is_some_and(|wrong| wrong.is_some()) {
                    continue;
                }
                match self.try_issuer(path, candidate) {
                    Next::Back(len) if len < path.len() => return Next::Back(len),
                    Next::Other | Next::Back(_) => {}
                    end => return end,
                }
            }
            if self.exhausted.is_some_and(|what| what != DEPTH) {
                return Next::Stop;
            }
        }
        if path.len() > 1 {
            let issuer = self.nodes[last].certificate.issuer();
            self.record_with(path.len() - 1, last, Some(PATH), Code::NoPath, || {
                format!("no path to a trust anchor: the issuer {} was not found", display(issuer))
            });
        }
        Next::Other
    }

    fn try_issuer(&mut self, path: &mut Vec<usize>, candidate: usize) -> Next {
        let is_anchor = self.is_anchor(candidate);
        if !is_anchor && path.iter().any(|i| self.same_entity(*i, candidate)) {
            return Next::Other;
        }
        if let Some(reason) = self.against_issuer(candidate) {
            let reason = reason.clone();
            self.record(path.len(), candidate, &reason);
            return Next::Other;
        }
        if let Some(reason) = self.against_length(path, candidate) {
            self.record(path.len(), candidate, &reason);
            return Next::Other;
        }
        if !is_anchor && path.len() > self.checks.budget.depth {
            // Not an end of the search: shorter paths may be left. But what was not looked at is not called invalid.
            self.exhausted.get_or_insert(DEPTH);
            return Next::Other;
        }
        path.push(candidate);
        let next = if is_anchor { self.complete(path) } else { self.extend(path) };
        path.pop();
        next
    }

    fn is_anchor(&self, node: usize) -> bool {
        (1..=self.anchors.len()).contains(&node)
    }

    /// The same name with the same key is the same CA: a path that meets it twice has a loop in it.
    fn same_entity(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.nodes[a].certificate, self.nodes[b].certificate);
        a.subject() == b.subject() && KeyIdentity::of(a) == KeyIdentity::of(b)
    }

    /// Certificates whose subject is, byte for byte, the issuer of this one; best first.
    fn candidates(&mut self, node: usize) -> &[usize] {
        if self.nodes[node].candidates.get().is_none() {
            let issuer = self.nodes[node].certificate.issuer();
            let mut found = Vec::new();
            for other in 1..self.nodes.len() {
                let subject = self.nodes[other].certificate.subject();
                if !self.spend_names(if subject.len() == issuer.len() { 1 + issuer.len() / 64 } else { 1 }) {
                    break;
                }
                if subject == issuer {
                    found.push(other);
                }
            }
            self.order(node, &mut found);
            self.nodes[node].candidates.get_or_init(|| found);
        }
        self.nodes[node].candidates.get().map_or(&[], Vec::as_slice)
    }

    /// Certificates whose subject is the issuer of this one in other bytes (RFC 5280 section 7.1).
    fn further_candidates(&mut self, node: usize) -> &[usize] {
        if self.nodes[node].further_candidates.get().is_none() {
            let below = self.nodes[node].certificate;
            let issuer = below.issuer();
            let mut found = Vec::new();
            let mut hash = None;
            for other in 1..self.nodes.len() {
                let subject = self.nodes[other].certificate.subject();
                let cost = match core::mem::replace(&mut self.nodes[other].is_hashed, true) {
                    true => 1,
                    false => names::hash_cost(subject),
                };
                if !self.spend_names(cost) || (hash.is_none() && !self.spend_names(names::hash_cost(issuer))) {
                    break;
                }
                let subject_hash = self.nodes[other].certificate.subject_hash(names::name_hash);
                if *hash.get_or_insert_with(|| below.issuer_hash(names::name_hash)) == subject_hash
                    && subject != issuer
                    && self.spend_names(names::hash_cost(issuer))
                    && names::same_name(subject, issuer)
                {
                    found.push(other);
                }
            }
            self.order(node, &mut found);
            self.nodes[node].further_candidates.get_or_init(|| found);
        }
        self.nodes[node].further_candidates.get().map_or(&[], Vec::as_slice)
    }

    fn spend_names(&mut self, cost: usize) -> bool {
        match self.names_left.checked_sub(u32::try_from(cost).unwrap_or(u32::MAX)) {
            Some(left) => {
                self.names_left = left;
                true
            }
            None => {
                self.names_left = 0;
                self.exhausted = Some("name comparisons");
                false
            }
        }
    }

    /// Anchors before others, and those with the key identifier that is asked for before those with another. A hint
    /// only: identifiers are not protected against being wrong.
    fn order(&self, node: usize, candidates: &mut [usize]) {
        if candidates.len() < 2 {
            return;
        }
        let wanted = self.nodes[node].facts().ok().and_then(|f| f.authority_key_id);
        crate::order::sort_by_cached_key(candidates, |i| {
            let found = self.nodes[*i].certificate.subject_key_identifier();
            let mismatch = match (wanted, found) {
                (Some(wanted), Some(found)) if wanted == found => 0,
                (Some(_), Some(_)) => 2,
                _ => 1,
            };
            (mismatch, !self.is_anchor(*i))
        });
    }

    /// The path reached an anchor: everything that depends on the whole of it. Signatures before names and policies, whose
    /// cost whoever made the certificates chooses: one signature that does not hold ends all paths over it.
    fn complete(&mut self, path: &[usize]) -> Next {
        for k in 0..path.len() - 1 {
            match self.check_signature(path, k) {
                None => return Next::Stop,
                Some(None) => {}
                Some(Some(reason)) => {
                    self.record(k, path[k], &reason);
                    return Next::Back(k + 1);
                }
            }
        }
        if let Some(next) = self.check_constraints(path) {
            return next;
        }
        if !self.spend_policies(path) {
            return Next::Stop;
        }
        let policies = match self.check_policies(path) {
            Ok(policies) => policies,
            Err((index, reason)) => {
                self.record(index, path[index], &reason);
                return Next::Other;
            }
        };
        self.check_status(path, policies)
    }

    /// The status of the certificates of a path on which everything else holds.
    fn check_status(&mut self, path: &[usize], policies: policy::ValidPolicies) -> Next {
        let chain: Vec<Certificate> = path.iter().map(|i| self.nodes[*i].certificate.clone()).collect();
        let status = revocation::check_path_within(
            self.provider,
            &chain,
            self.anchors,
            self.pool,
            self.status,
            self.checks,
            &self.knowledge,
        );
        let revoked = |f: &&Finding| f.fatal && f.code == Code::Revoked;
        let revoked = status.findings.iter().filter(revoked).filter_map(|f| f.certificate_index).min();
        if status.findings.iter().any(|f| f.fatal) {
            self.record_all(path, status.findings);
            if revoked == Some(0) {
                // Its issuer's name and key are the same on every path: so is the verdict. What others say of it on another path is worth
                // remembering where there is a memory.
                self.revoked = true;
                let is_all = status.is_final || self.status.revoked.is_empty() || self.knowledge.exhausted().is_some();
                return if is_all { Next::Stop } else { Next::Other };
            }
            return match (self.knowledge.exhausted(), revoked) {
                (Some(_), _) => Next::Stop,
                (None, Some(index)) => Next::Back(index + 1),
                (None, None) => Next::Other,
            };
        }
        let not_after = chain.iter().map(Certificate::not_after).min().unwrap_or(Time::FOREVER);
        let found =
            ValidPath::new(chain, not_after, status.valid_until, policies, self.checks).with_good_status(&status.good);
        if let Some(reason) = self.against_presented(&found) {
            self.record(0, 0, &reason);
            return Next::Other;
        }
        if let Some(text) = status.contested {
            let mut notes = status.findings;
            notes.push(Finding::note(NOT_REVOKED, Code::RevocationUnknown, None, text));
            self.contested.get_or_insert_with(|| Box::new((found, notes)));
            return Next::Other;
        }
        self.notes.extend(status.findings);
        Next::Found(Box::new(found))
    }

    fn fail(&mut self, index: usize, node: usize, rule: Rule, code: Code, text: String) -> Next {
        self.record(index, node, &Objection { rule: Some(rule), code, text });
        Next::Other
    }

    /// What speaks against the certificate at this index of a path.
    fn record(&mut self, index: usize, node: usize, reason: &Objection) {
        self.record_with(index, node, reason.rule, reason.code, || reason.text.clone());
    }

    fn record_with(
        &mut self,
        index: usize,
        node: usize,
        rule: Option<Rule>,
        code: Code,
        text: impl FnOnce() -> String,
    ) {
        if self.is_more_telling(code) {
            let (certificate_index, text) = (Some(index), text());
            self.worst = Some(vec![Finding { code, certificate_index, text, fatal: true, rule }]);
            self.about = node;
        }
    }

    fn record_all(&mut self, path: &[usize], mut findings: Vec<Finding>) {
        crate::order::sort_by_key(&mut findings, |f| (!f.fatal, core::cmp::Reverse(rank(f.code))));
        if let Some(first) = findings.first().filter(|first| self.is_more_telling(first.code)) {
            self.about = first.certificate_index.and_then(|index| path.get(index).copied()).unwrap_or_default();
            self.worst = Some(findings);
        }
    }

    fn is_more_telling(&self, code: Code) -> bool {
        self.worst.as_ref().and_then(|w| w.first()).is_none_or(|known| rank(code) > rank(known.code))
    }
}

const DEPTH: &str = "depth";
