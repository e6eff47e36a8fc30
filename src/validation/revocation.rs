//! Which status a certificate needs, from which source, and what follows where there is none.

use super::checks::Checks;
use super::facts::Facts;
use super::knowledge::Knowledge;
use super::report::Finding;
use super::revocation_policy::{RevocationMode, RevocationScope};
use super::rules::NOT_REVOKED;
use super::status::{Status, StatusSearch};
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use super::unusable::Unusable;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Provider;
use crate::error::Rule;
use crate::prelude::*;
use crate::time::Time;

const NEVER_OLDER: Rule = Rule::new("RFC 5280 section 5.2.3 (V6)", "no list with a lower number than one seen before");

/// What the status check of a path found.
#[derive(Clone, Debug, Default)]
pub struct StatusOutcome {
    /// A fatal one refuses the path.
    pub findings: Vec<Finding>,
    /// Last second at which the status data that was used is current; `None` if none was.
    pub valid_until: Option<Time>,
    /// Indexes of the certificates with a good status, and from when each is.
    pub good: Vec<(usize, Time)>,
    /// Indexes of the certificates without a usable status.
    pub unknown: Vec<usize>,
    /// Indexes of the certificates that are on hold: a later word may be had that lifts it.
    pub on_hold: Vec<usize>,
    /// Signers of status data whose own status is not known: each with its chain to the anchor.
    pub unknown_signers: Vec<Vec<Certificate>>,
    /// The end entity is revoked on its issuer's word: nothing on another path adds to that.
    pub(super) is_final: bool,
    /// Which list revokes a certificate of the path whose signer is not entitled on this path, but may be on another.
    pub(super) contested: Option<String>,
}

impl StatusOutcome {
    /// Whether a certificate is revoked, whatever else may be had.
    pub fn is_revoked_for_now(&self) -> bool {
        let stays = |index: Option<usize>| index.is_none_or(|index| !self.on_hold.contains(&index));
        self.findings.iter().any(|f| f.code == Code::Revoked && f.fatal && stays(f.certificate_index))
    }

    /// Whether a word about a certificate would change something.
    pub fn is_open(&self, index: usize) -> bool {
        self.unknown.contains(&index) || self.on_hold.contains(&index)
    }
}

/// Checks the status of the certificates of a path (leaf first, anchor last) whose signatures and RFC 5280 section 6.1
/// checks hold. Certificates without a status are findings, never silence.
pub fn check_path(
    provider: &dyn Provider,
    path: &[Certificate],
    anchors: &TrustAnchors,
    pool: &[Certificate],
    status: &StatusSources,
    checks: &Checks,
) -> StatusOutcome {
    let pool = &status.with_signers(pool);
    check_path_within(provider, path, anchors, pool, status, checks, &Knowledge::before(status))
}

/// The same for one of several paths that share what is known.
pub(super) fn check_path_within(
    provider: &dyn Provider,
    path: &[Certificate],
    anchors: &TrustAnchors,
    pool: &[Certificate],
    status: &StatusSources,
    checks: &Checks,
    knowledge: &Knowledge,
) -> StatusOutcome {
    let policy = &checks.revocation;
    let mut outcome = StatusOutcome::default();
    let (is_wanted, fatal) = match policy.mode {
        RevocationMode::Off if status.is_empty() => return outcome,
        // Who is known to be revoked is revoked, whether or not anybody wants to know a status.
        RevocationMode::Off => (false, false),
        RevocationMode::SoftFail => (true, false),
        RevocationMode::HardFail => (true, true),
    };
    let search = StatusSearch::new(provider, path, anchors, pool, status, checks, knowledge);
    let below_anchor = path.len().saturating_sub(1);
    let count = match policy.scope {
        RevocationScope::LeafOnly => below_anchor.min(1),
        RevocationScope::WholeChain => below_anchor,
    };
    for index in 0..count {
        match search.status(&path[index], &path[index + 1..]) {
            Status::Good { .. } if !is_wanted => {}
            Status::Good { until, words, notes } => {
                let from = words.first().map_or(Time::from_unix(0), |spoken| spoken.word.from);
                outcome.good.push((index, from));
                outcome.valid_until = Some(outcome.valid_until.map_or(until, |known| known.min(until)));
                let notes = notes
                    .into_iter()
                    .map(|text| Finding::note(NOT_REVOKED, Code::RevocationUnknown, Some(index), text));
                outcome.findings.extend(notes);
            }
            Status::Revoked(found) => {
                outcome.on_hold.extend(found.is_hold().then_some(index));
                outcome.is_final |= index == 0 && found.is_final;
                outcome.findings.push(Finding::fatal(NOT_REVOKED, Code::Revoked, Some(index), found.text));
            }
            Status::Unknown(reasons) if !is_wanted => {
                // It was not to be refused for that; that a memory cannot be read is told.
                let why = reasons.into_iter().next().filter(|_| search.is_unasked());
                outcome.findings.extend(
                    why.map(|why| Finding::note(NOT_REVOKED, Code::RevocationUnknown, Some(index), why.text())),
                );
            }
            Status::Unknown(_) if index == 0 && !search.is_unasked() && has_no_status(&path[index]) => {
                let text = "its issuer makes no revocation information available for it (RFC 9608)";
                outcome.findings.push(Finding::note(NOT_REVOKED, Code::RevocationUnknown, Some(index), text));
            }
            Status::Unknown(reasons) => {
                let text = format!("no usable status: {}", summary(&reasons));
                let is_rollback = reasons.iter().any(|reason| reason.code() == Code::CrlRollback);
                let (rule, code) = match is_rollback {
                    true => (NEVER_OLDER, Code::CrlRollback),
                    false => (NOT_REVOKED, Code::RevocationUnknown),
                };
                outcome.findings.push(Finding { code, certificate_index: Some(index), text, fatal, rule: Some(rule) });
                outcome.unknown.push(index);
            }
        }
    }
    let is_revoked = outcome.findings.iter().any(|f| f.fatal && f.code == Code::Revoked);
    if let Some(text) = knowledge.exhausted().filter(|_| !is_revoked) {
        // In every mode and whatever was found good: what was not looked at may revoke.
        outcome.findings.push(Finding::unfinished(text));
    }
    if let Some(text) = status.unread.as_ref().filter(|_| count > 0 && !is_revoked) {
        // Not to have looked is not to have found nothing.
        outcome.findings.push(Finding {
            code: Code::RevocationUnknown,
            certificate_index: None,
            text: text.clone(),
            fatal,
            rule: Some(NOT_REVOKED),
        });
    }
    outcome.contested = search.contested.take();
    outcome.unknown_signers = search.into_unknown_signers();
    outcome
}

/// RFC 9608 section 4: an end entity's certificate with noRevAvail, or a responder's with ocsp-nocheck, is not asked
/// about. Status data at hand that revokes it counts all the same, and so does what was known from before.
fn has_no_status(certificate: &Certificate) -> bool {
    let Ok(facts) = Facts::read_but_names(certificate) else { return false };
    let is_ca = facts.basic_constraints.is_some_and(|basic| basic.ca);
    let is_responder = || facts.purposes().is_some_and(|mut p| p.any(|p| p == oid::KP_OCSP_SIGNING.as_bytes()));
    !is_ca && (facts.no_rev_avail || (certificate.extension(oid::OCSP_NOCHECK).is_some() && is_responder()))
}

/// The first reasons and how many more there are: a store may hold thousands of lists.
fn summary(reasons: &[Unusable]) -> String {
    const SHOWN: usize = 8;
    let shown = reasons.iter().take(SHOWN).map(Unusable::text).collect::<Vec<_>>().join("; ");
    match reasons.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
