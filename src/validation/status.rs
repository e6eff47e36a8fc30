//! The search for a certificate's status among the data at hand, and for whoever may sign such data.

use std::cell::{Cell, RefCell};

use super::checks::{Checks, KeyUsage, NameCheck, PolicyInputs};
use super::facts::Facts;
use super::freshness::{Freshness, Window};
use super::knowledge::{Knowledge, Source};
use super::names::same_name;
use super::revocation::{RevocationMode, RevocationPolicy, RevocationScope, StatusPreference, StatusSources};
use super::trust::TrustAnchors;
use super::{certificate, path};
use crate::asn1::name::display;
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, serial_text};
use crate::codes::Code;
use crate::crypto::Provider;
use crate::limits;
use crate::time::Time;

/// Most signers of status data that are named as without a status.
const MAX_UNKNOWN_SIGNERS: usize = 8;

/// What is known about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not revoked.
    Good {
        /// Last second at which the data that says so is current.
        until: Time,
        /// Checks on the data that could not be made.
        notes: Vec<String>,
    },
    /// Revoked: since when, why, who says so.
    Revoked(String),
    /// Nothing usable; what was looked at and why it is of no use.
    Unknown(Vec<String>),
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
struct SignerChain {
    chain: Vec<Certificate>,
    /// Whether it ends at the anchor of the path that is checked.
    same_anchor: bool,
}

/// What the path of a status signer costs, in signatures: it may take as many, and searches besides.
const PATH_COST: u32 = 8;

/// One status check: its inputs and what it already found out.
pub(super) struct StatusSearch<'a> {
    pub provider: &'a dyn Provider,
    pub checks: &'a Checks,
    pub sources: &'a StatusSources,
    pub pool: &'a [Certificate],
    pub path: &'a [Certificate],
    anchors: &'a TrustAnchors,
    pub(super) knowledge: &'a Knowledge,
    /// Whether a list that nobody entitled on this path has signed lists a certificate of the path as revoked.
    pub(super) contested: Cell<bool>,
    /// Whether a list older than one seen before was met.
    pub(super) rollback: Cell<bool>,
    /// Signers of status data whose own status was looked for and not found, with their chains to the anchor.
    unknown_signers: RefCell<Vec<Vec<Certificate>>>,
    /// Signers whose own status is being looked for.
    in_progress: RefCell<Vec<Certificate>>,
    /// Signers of CRLs found good or bad.
    authorised: RefCell<Vec<(Certificate, Result<SignerChain, String>)>>,
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
            contested: Cell::new(false),
            rollback: Cell::new(false),
            unknown_signers: RefCell::default(),
            in_progress: RefCell::default(),
            authorised: RefCell::default(),
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

    fn note_unknown_signer(&self, signer: &Certificate, above: &[Certificate]) {
        let mut signers = self.unknown_signers.borrow_mut();
        if signers.len() < MAX_UNKNOWN_SIGNERS && !signers.iter().any(|chain| chain[0] == *signer) {
            signers.push(std::iter::once(signer).chain(above).cloned().collect());
        }
    }

    /// The status of a certificate; `above` is its chain from its issuer to the anchor.
    pub(super) fn status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let Some(issuer) = above.first() else {
            return Status::Unknown(vec!["the certificate has no issuer".to_owned()]);
        };
        if let Some(text) = self.knowledge.revoked(certificate, issuer) {
            return Status::Revoked(text);
        }
        let status = self.join(self.ocsp_status(certificate, above), || self.crl_status(certificate, above));
        // What rests on a signer that is itself in question is no fact yet.
        if let Status::Revoked(text) = &status
            && self.in_progress.borrow().is_empty()
        {
            self.knowledge.note_revoked(certificate, issuer, text);
        }
        status
    }

    /// Revoked over good over unknown; that a budget ended stands in the knowledge and decides over the last two.
    fn join(&self, ocsp: Status, crl: impl FnOnce() -> Status) -> Status {
        if let Status::Revoked(_) = ocsp {
            return ocsp;
        }
        match (ocsp, crl()) {
            (_, revoked @ Status::Revoked(_)) => revoked,
            (ocsp @ Status::Good { .. }, crl @ Status::Good { .. }) => match self.policy().prefer {
                StatusPreference::Ocsp => ocsp,
                StatusPreference::Crl => crl,
            },
            (good @ Status::Good { .. }, _) | (_, good @ Status::Good { .. }) => good,
            (Status::Unknown(mut reasons), Status::Unknown(more)) => {
                reasons.extend(more);
                Status::Unknown(reasons)
            }
            (other, _) => other,
        }
    }

    /// Judges the times of status data by the policy.
    pub(super) fn judge(&self, window: Window, what: &str) -> Freshness {
        window.judge(self.checks.at, self.policy(), what)
    }

    /// Takes one signature out of the budget.
    pub(super) fn spend_signature(&self, source: Source) -> Result<(), String> {
        self.knowledge.spend(source, 1)
    }

    /// Certificates with this subject that may have signed a CRL: those of the chain first, then the anchors and the pool
    /// in the caller's order, who puts what it has of its own before what a peer sent. How many are tried is counted by
    /// signature, and never cut short in silence. The flag tells whether the path to it is validated already.
    pub(super) fn signers_named<'s>(
        &'s self,
        name: &[u8],
        key_id: Option<&[u8]>,
        above: &'s [Certificate],
    ) -> Vec<(&'s Certificate, bool)> {
        let named = |list: &'s [Certificate]| list.iter().filter(|c| same_name(c.subject(), name));
        let mut found: Vec<(&Certificate, bool)> = named(above).map(|c| (c, true)).collect();
        let others = self.knowledge.named(name, self.anchors, self.pool);
        for candidate in others.into_iter().chain(named(self.path)) {
            if !found.iter().any(|(known, _)| *known == candidate) {
                found.push((candidate, false));
            }
        }
        // A hint only, as in path building: it decides the order of tries, not who may sign.
        found.sort_by_key(|(candidate, in_chain)| {
            let other_key = match (key_id, candidate.subject_key_identifier()) {
                (Some(wanted), Some(found)) => wanted != found,
                _ => false,
            };
            (!in_chain, other_key)
        });
        found
    }

    /// RFC 5280 section 6.3.3 (f): a path of the CRL signer to the same anchor, and the status of what is on it; and that
    /// whoever has certified the signer may say who speaks for this issuer: a name alone entitles nobody.
    ///
    /// `is_named`: the certificate's distribution points name the list's issuer (cRLIssuer).
    pub(super) fn authorise_crl_signer(
        &self,
        signer: &Certificate,
        above: &[Certificate],
        is_named: bool,
    ) -> Result<Standing, String> {
        let (issuer, anchor) = match above {
            [issuer, .., anchor] | [issuer @ anchor] => (issuer, anchor),
            [] => return Err("the certificate has no issuer".to_owned()),
        };
        if self.in_progress.borrow().contains(signer) {
            // The list that covers its own signer: it may say that the signer is revoked, and then says nothing else.
            return Ok(Standing::Full);
        }
        let SignerChain { chain, same_anchor } = self.signer_chain(signer, anchor)?;
        let parent = chain.get(1).unwrap_or(signer).spki();
        let is_family = parent == issuer.spki() || above.get(1).is_some_and(|above| above.spki() == parent);
        if is_named || is_family {
            return Ok(if same_anchor { Standing::Full } else { Standing::RevocationsOnly });
        }
        if chain.len() <= 2 {
            // An anchor vouches for it directly: nobody stands above an anchor, so what it revokes is revoked also where a
            // cross-certificate leads to another one. It clears nobody, though.
            return Ok(Standing::RevocationsOnly);
        }
        Err(format!(
            "its signer {} was certified neither by the issuer of the certificate nor by the issuer's own issuer",
            display(signer.subject())
        ))
    }

    /// The path of a signer to the anchor of the path that is checked, else to another one.
    fn signer_chain(&self, signer: &Certificate, anchor: &Certificate) -> Result<SignerChain, String> {
        if let Some((_, known)) = self.authorised.borrow().iter().find(|(known, _)| known == signer) {
            return known.clone();
        }
        let outcome = self.while_in_progress(signer, Source::Crl, || {
            let own: TrustAnchors = std::iter::once(anchor.clone()).collect();
            let found = match self.validate_signer(signer, &own) {
                Ok(chain) => SignerChain { chain, same_anchor: true },
                Err(why) if self.anchors.len() < 2 => return Err(why),
                Err(why) => {
                    let chain = self.validate_signer(signer, self.anchors).map_err(|_| why)?;
                    SignerChain { chain, same_anchor: false }
                }
            };
            for (index, certificate) in found.chain.iter().enumerate().take(found.chain.len() - 1) {
                if !self.path.contains(certificate) || certificate == signer {
                    self.check_signer_status(certificate, &found.chain[index + 1..])?;
                }
            }
            Ok(found)
        });
        // What was found while another signer is still in question rests on that one.
        if self.in_progress.borrow().is_empty() {
            self.authorised.borrow_mut().push((signer.clone(), outcome.clone()));
        }
        outcome
    }

    /// RFC 6960 section 4.2.2.2: a responder that the issuer itself has certified for this purpose. Answers with a note
    /// where the responder's own status is not known.
    pub(super) fn authorise_responder(
        &self,
        responder: &Certificate,
        above: &[Certificate],
    ) -> Result<Option<String>, String> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let facts = Facts::read_but_names(responder).map_err(|e| format!("the responder's certificate: {e}"))?;
        // Explicitly: no extendedKeyUsage, or anyExtendedKeyUsage, delegates nothing.
        let delegated = facts.purposes().is_some_and(|mut p| p.any(|found| found == oid::KP_OCSP_SIGNING.as_bytes()));
        if !delegated {
            return Err("the responder's certificate is not for OCSP signing (extendedKeyUsage)".to_owned());
        }
        if !facts.allows(KeyUsage::DigitalSignature) && !facts.allows(KeyUsage::ContentCommitment) {
            return Err("the responder's certificate does not allow signatures (keyUsage)".to_owned());
        }
        if self.in_progress.borrow().contains(responder) {
            return Ok(None);
        }
        if let Some(unknown) = facts.unknown_critical() {
            return Err(format!("a critical extension of the responder's certificate is not understood: {unknown}"));
        }
        self.issued_directly(responder, issuer).map_err(|why| format!("the responder's certificate: {why}"))?;
        self.while_in_progress(responder, Source::Ocsp, || {
            if responder.extension(oid::OCSP_NOCHECK).is_some() {
                return Ok(None);
            }
            match self.status(responder, above) {
                Status::Good { .. } => Ok(None),
                Status::Revoked(text) => Err(format!("the responder's certificate is revoked: {text}")),
                // Section 4.2.2.2.1: neither nocheck nor a status leaves it to the reader.
                Status::Unknown(_) => {
                    self.note_unknown_signer(responder, above);
                    Ok(Some("the status of the OCSP responder's certificate is not known".to_owned()))
                }
            }
        })
    }

    fn while_in_progress<T>(
        &self,
        signer: &Certificate,
        source: Source,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        if self.in_progress.borrow().len() >= limits::MAX_STATUS_DEPTH {
            let kind = if source == Source::Crl { "CRLs" } else { "OCSP responses" };
            let limit = limits::MAX_STATUS_DEPTH;
            return Err(self.knowledge.exhaust(format!("signers of {kind} that hang on each other, {limit} deep,")));
        }
        self.in_progress.borrow_mut().push(signer.clone());
        let outcome = work();
        self.in_progress.borrow_mut().pop();
        outcome
    }

    /// Whether the issuer itself, by this key, made the certificate, and it is within its validity.
    fn issued_directly(&self, responder: &Certificate, issuer: &Certificate) -> Result<(), String> {
        if !same_name(responder.issuer(), issuer.subject()) {
            return Err("it is not from the issuer of the certificate that is asked about".to_owned());
        }
        if responder.signature_algorithm() != responder.tbs_signature_algorithm() {
            return Err("the algorithm inside the signature differs from the one beside it".to_owned());
        }
        self.spend_signature(Source::Ocsp)?;
        let objection = certificate::against_validity(responder, self.checks).or_else(|| {
            certificate::against_signature(self.provider, responder, issuer.spki(), self.checks.allow_weak)
        });
        objection.map_or(Ok(()), |found| Err(found.text))
    }

    /// Validates the path of a signer of status data; its own status is looked at by the caller.
    fn validate_signer(&self, signer: &Certificate, anchors: &TrustAnchors) -> Result<Vec<Certificate>, String> {
        self.knowledge.spend(Source::Crl, PATH_COST)?;
        let checks = Checks {
            extended_key_usages: Vec::new(),
            key_usages: Vec::new(),
            names: NameCheck::NotChecked,
            max_intermediates: None,
            policy: PolicyInputs::default(),
            revocation: RevocationPolicy::off(),
            presented: None,
            ..self.checks.clone()
        };
        let pool: Vec<Certificate> = self.pool.iter().chain(self.path).cloned().collect();
        let report = path::validate(self.provider, anchors, signer, &pool, &StatusSources::none(), &checks);
        match report.path() {
            Some(path) => Ok(path.chain().to_vec()),
            None => {
                let error = report.error();
                if error.as_ref().is_some_and(|e| e.code() == Code::Budget) {
                    // Not found is not the same as not there.
                    self.knowledge.exhaust(format!("work on the path of the signer {}", display(signer.subject())));
                }
                let why = error.map_or_else(String::new, |e| e.message().to_owned());
                Err(format!("the signer {} has no valid path: {why}", display(signer.subject())))
            }
        }
    }

    fn check_signer_status(&self, certificate: &Certificate, above: &[Certificate]) -> Result<(), String> {
        let named = || {
            format!(
                "the signer's certificate {} serial {}",
                display(certificate.subject()),
                serial_text(certificate.serial())
            )
        };
        let needed =
            self.policy().mode == RevocationMode::HardFail && self.policy().scope == RevocationScope::WholeChain;
        match self.status(certificate, above) {
            Status::Good { .. } => Ok(()),
            Status::Revoked(text) => Err(format!("{} is revoked: {text}", named())),
            Status::Unknown(_) if !needed => {
                self.note_unknown_signer(certificate, above);
                Ok(())
            }
            Status::Unknown(reasons) => {
                self.note_unknown_signer(certificate, above);
                Err(format!("{} has no usable status: {}", named(), reasons.join("; ")))
            }
        }
    }
}
