//! The search for a certificate's status among the data at hand; who may sign such data: `status_signers`.

use core::cell::{Cell, OnceCell, RefCell};
use core::cmp::Ordering;

use super::checks::{CheckTime, Checks};
use super::crl::Crl;
use super::freshness::{Freshness, Window};
use super::knowledge::{Knowledge, Source};
use super::names::name_hash;
use super::revocation_policy::{RevocationPolicy, StatusPreference};
use super::revoked::{Authority, RevokedFact, RevokedId};
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use crate::asn1::crl::{CrlReason, shortest_integer};
use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::prelude::*;
use crate::time::Time;

/// Most signers of status data that are named as without a status: whoever fetches theirs looks at fewer.
const MAX_UNKNOWN_SIGNERS: usize = 16;

/// What is known about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not revoked.
    Good {
        /// Last second at which the data that says so is current.
        until: Time,
        /// From when it is.
        from: Time,
        /// Checks on the data that could not be made.
        notes: Vec<String>,
    },
    /// Revoked: since when, why, who says so.
    Revoked(Revocation),
    /// Nothing usable; what was looked at and why it is of no use.
    Unknown(Vec<String>),
}

/// A revocation whose source was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    /// In words.
    pub text: String,
    /// What is written down of it; `None` where it is not for good (a hold), not certain to be about this certificate, or known
    /// from before.
    pub lasting: Option<Lasting>,
    /// SubjectPublicKeyInfo of whoever says so now; `None`: known from before.
    pub source: Option<Box<[u8]>>,
}

impl Revocation {
    /// One that is not written down.
    pub fn passing(text: String) -> Self {
        Revocation { text, lasting: None, source: None }
    }

    /// Whether it is settled whatever is found of those who sign for this issuer: known from before, or by the issuer's own key.
    pub fn is_settled(&self, issuer: &Certificate) -> bool {
        self.source.as_ref().is_none_or(|source| **source == *issuer.spki())
    }
}

/// What is written down of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lasting {
    pub since: Option<Time>,
    pub reason: CrlReason,
    /// SubjectPublicKeyInfo of the signer.
    pub source: Box<[u8]>,
    /// SubjectPublicKeyInfo of the key that the owner trusts and that vouches for the signer; `None`: the issuer's own does.
    pub authority: Option<Box<[u8]>>,
}

/// What a signer of CRLs may say about certificates of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Who is revoked and who is not.
    Full,
    /// Who is revoked: it has authority, but not on this path.
    RevocationsOnly,
}

/// A valid path of a signer of CRLs.
#[derive(Clone, Debug)]
pub(super) struct SignerChain {
    pub chain: Vec<Certificate>,
    /// Whether it ends at the anchor of the path that is checked.
    pub same_anchor: bool,
    /// Whether the status of what is on it is known as far as the policy asks. Without, it has the power to revoke and not
    /// the power to clear: a doubt about the signer is no good news about a peer.
    pub has_status: bool,
}

impl SignerChain {
    pub fn standing(&self) -> Standing {
        if self.same_anchor && self.has_status { Standing::Full } else { Standing::RevocationsOnly }
    }
}

/// A signer, how many anchors count, what is left aside, and as of when.
pub(super) type SignerSearch = (Certificate, usize, Vec<Certificate>, CheckTime);
/// Such a search and the path that it has found.
pub(super) type SignerPath = (SignerSearch, Result<Vec<Certificate>, String>);

/// A signer, as of when where its certificate is over, and what was found.
pub(super) type Authorised = (Certificate, Option<Time>, Result<SignerChain, String>);

/// One status check: its inputs and what it already found out.
pub(super) struct StatusSearch<'a> {
    pub provider: &'a dyn Provider,
    pub checks: &'a Checks,
    pub sources: &'a StatusSources,
    pub pool: &'a [Certificate],
    pub path: &'a [Certificate],
    pub(super) anchors: &'a TrustAnchors,
    pub(super) knowledge: &'a Knowledge,
    /// A list that nobody entitled on this path has signed, and that lists a certificate of the path as revoked; in words.
    pub(super) contested: RefCell<Option<String>>,
    /// Whether a list older than one seen before was met.
    pub(super) rollback: Cell<bool>,
    /// Signers of status data whose own status was looked for and not found, with their chains to the anchor.
    unknown_signers: RefCell<Vec<Vec<Certificate>>>,
    /// Signers whose own status is being looked for.
    pub(super) in_progress: RefCell<Vec<Certificate>>,
    /// Paths of signers that were looked for, by what they were looked for with: they do not depend on who is in question.
    pub(super) signer_paths: RefCell<Vec<SignerPath>>,
    /// Signers of CRLs found good or bad; with those whose certificate is over, as of when.
    pub(super) authorised: RefCell<Vec<Authorised>>,
    /// The lists at hand, each once.
    pub(super) lists: OnceCell<Vec<&'a Crl>>,
}

impl<'a> StatusSearch<'a> {
    pub(super) fn new(
        provider: &'a dyn Provider,
        path: &'a [Certificate],
        anchors: &'a TrustAnchors,
        pool: &'a [Certificate],
        sources: &'a StatusSources,
        checks: &'a Checks,
        knowledge: &'a Knowledge,
    ) -> Self {
        StatusSearch {
            provider,
            checks,
            sources,
            pool,
            path,
            anchors,
            knowledge,
            contested: RefCell::default(),
            rollback: Cell::new(false),
            unknown_signers: RefCell::default(),
            in_progress: RefCell::default(),
            signer_paths: RefCell::default(),
            authorised: RefCell::default(),
            lists: OnceCell::new(),
        }
    }

    pub(super) fn policy(&self) -> &RevocationPolicy {
        &self.checks.revocation
    }

    /// Whether a list older than one seen before was met since the last call.
    pub(super) fn take_rollback(&self) -> bool {
        self.rollback.take()
    }

    /// Signers of status data whose own status is not known: each with its chain to the anchor.
    pub(super) fn into_unknown_signers(self) -> Vec<Vec<Certificate>> {
        self.unknown_signers.into_inner()
    }

    pub(super) fn note_unknown_signer(&self, signer: &Certificate, above: &[Certificate]) {
        let mut signers = self.unknown_signers.borrow_mut();
        if signers.len() < MAX_UNKNOWN_SIGNERS && !signers.iter().any(|chain| chain[0] == *signer) {
            signers.push(core::iter::once(signer).chain(above).cloned().collect());
        }
    }

    /// The status of a certificate; `above` is its chain from its issuer to the anchor.
    pub(super) fn status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let Some(issuer) = above.first() else {
            return Status::Unknown(vec!["the certificate has no issuer".to_owned()]);
        };
        if let Some(text) = self.knowledge.revoked(certificate, issuer) {
            return Status::Revoked(Revocation::passing(text));
        }
        let unreadable = match self.remembered(certificate, issuer) {
            Ok(None) => None,
            Ok(Some(text)) => {
                self.knowledge.note_revoked(certificate, issuer, &text);
                return Status::Revoked(Revocation::passing(text));
            }
            Err(why) => Some(why),
        };
        let status = self.join(self.ocsp_status(certificate, above), || self.crl_status(certificate, above));
        match (status, unreadable) {
            (Status::Revoked(found), _) => {
                // What rests on a signer that is itself in question is no fact yet.
                if self.in_progress.borrow().is_empty() {
                    self.knowledge.note_revoked(certificate, issuer, &found.text);
                    if let Some(lasting) = &found.lasting {
                        self.write_down(certificate, issuer, lasting);
                    }
                }
                Status::Revoked(found)
            }
            // Not to know who was revoked before is no permission.
            (Status::Good { .. }, Some(why)) => Status::Unknown(vec![why]),
            (status, _) => status,
        }
    }

    /// Why the certificate is known to be revoked from before, in words; an error where that cannot be told.
    fn remembered(&self, certificate: &Certificate, issuer: &Certificate) -> Result<Option<String>, String> {
        let Some(facts) = &self.sources.revoked else { return Ok(None) };
        let known = facts.find(&self.id_of(certificate, issuer)?)?;
        for fact in known {
            let counts = match fact.authority {
                Authority::Issuer => true,
                Authority::Key(key) => {
                    let trusted = self.anchors.iter().chain(&self.policy().trusted_responders);
                    let mut keys = trusted.map(|trusted| self.sha256(&[trusted.spki()]));
                    keys.any(|trusted| trusted.is_ok_and(|trusted| trusted == key))
                }
            };
            if counts {
                return Ok(Some(fact.text()));
            }
        }
        Ok(None)
    }

    /// Writes down that a certificate is revoked, where there is memory for it.
    fn write_down(&self, certificate: &Certificate, issuer: &Certificate, lasting: &Lasting) {
        let Some(facts) = &self.sources.revoked else { return };
        let fact = || -> Result<RevokedFact, String> {
            let key = self.sha256(&[issuer.spki()])?;
            Ok(RevokedFact {
                who: self.id_of(certificate, issuer)?,
                issuer: *key.first_chunk().ok_or("a digest without bytes")?,
                authority: match &lasting.authority {
                    None => Authority::Issuer,
                    Some(key) => Authority::Key(self.sha256(&[key])?),
                },
                source: self.sha256(&[&lasting.source])?,
                since: lasting.since,
                reason: lasting.reason,
                end: certificate.not_after(),
            })
        };
        // Without a digest nothing can be written; this verdict stands all the same.
        if let Ok(fact) = fact() {
            facts.note(&fact, self.checks.at.known());
        }
    }

    fn id_of(&self, certificate: &Certificate, issuer: &Certificate) -> Result<RevokedId, String> {
        let name = name_hash(issuer.subject()).to_be_bytes();
        let key = issuer.spki();
        // The key with its length: nothing of it runs into the number.
        self.sha256(&[&name, &(key.len() as u64).to_be_bytes(), key, shortest_integer(certificate.serial())])
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], String> {
        let digest = self.provider.digest(DigestAlgorithm::Sha256, parts).map_err(|e| e.to_string())?;
        <[u8; 32]>::try_from(&*digest).map_err(|_| "a SHA-256 digest of another length".to_owned())
    }

    /// On whose word what this signer of a CRL says rests: `None` where the issuer's own key has signed, or has certified the
    /// signer; else the anchor that vouches for it.
    pub(super) fn authority_of(&self, signer: &Certificate, above: &[Certificate]) -> Option<Box<[u8]>> {
        let issuer = above.first()?;
        if signer.spki() == issuer.spki() {
            return None;
        }
        let authorised = self.authorised.borrow();
        let found = authorised.iter().find_map(|(known, _, found)| found.as_ref().ok().filter(|_| known == signer));
        let chain = found.map_or(above, |found| &found.chain);
        if found.is_some() && chain.get(1).is_some_and(|certifier| certifier.spki() == issuer.spki()) {
            return None;
        }
        chain.last().map(|anchor| anchor.spki().into())
    }

    /// Revoked over good over unknown; that a budget ended stands in the knowledge and decides over the last two.
    fn join(&self, ocsp: Status, crl: impl FnOnce() -> Status) -> Status {
        if matches!(&ocsp, Status::Revoked(found) if found.lasting.is_some()) {
            return ocsp;
        }
        match (ocsp, crl()) {
            // For good over on hold.
            (revoked @ Status::Revoked(_), Status::Revoked(found)) if found.lasting.is_none() => revoked,
            (_, revoked @ Status::Revoked(_)) => revoked,
            (ocsp @ Status::Good { from: of_ocsp, .. }, crl @ Status::Good { from: of_crl, .. }) => {
                // The newer word says until when: an old one, with which somebody came, lengthens nothing.
                match (of_ocsp.cmp(&of_crl), self.policy().prefer) {
                    (Ordering::Greater, _) | (Ordering::Equal, StatusPreference::Ocsp) => ocsp,
                    (Ordering::Less, _) | (Ordering::Equal, StatusPreference::Crl) => crl,
                }
            }
            (revoked @ Status::Revoked(_), _) => revoked,
            (good @ Status::Good { .. }, _) | (_, good @ Status::Good { .. }) => good,
            (Status::Unknown(mut reasons), Status::Unknown(more)) => {
                reasons.extend(more);
                Status::Unknown(reasons)
            }
        }
    }

    /// Whether status data begins beyond what clocks may differ: it says nothing yet, but whom it revokes.
    pub(super) fn is_from_the_future(&self, this_update: Time) -> bool {
        let skew = i64::from(self.policy().clock_skew_seconds);
        self.checks.at.known().is_some_and(|now| this_update > now.plus(skew))
    }

    /// Judges the times of status data by the policy.
    pub(super) fn judge(&self, window: Window, what: &str) -> Freshness {
        window.judge(self.checks.at, self.policy(), what)
    }

    /// Takes one signature out of the budget.
    pub(super) fn spend_signature(&self, source: Source) -> Result<(), String> {
        self.knowledge.spend(source, 1)
    }
}
