//! Who may sign status data about a certificate: authority, path, and the signer's own status.
//!
//! A path needs status, and whoever signs status needs a path: the recursion goes through here, over the methods of
//! [`StatusSearch`], and is bound by [`limits::MAX_STATUS_DEPTH`] and the budget of signatures.

use alloc::collections::BTreeSet;

use super::certificate::Objection;
use super::checks::{CheckTime, Checks, KeyUsage, NameCheck, PolicyInputs};
use super::facts::Facts;
use super::knowledge::Source;
use super::names::{Hashed, same_name};
use super::revocation_policy::{RevocationMode, RevocationPolicy, RevocationScope};
use super::status::{Authorised, Revocation, SignerChain, SignerSearch, Standing, Status, StatusSearch};
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use super::unusable::Unusable;
use super::{certificate, path};
use crate::asn1::distribution_point::ocsp_urls;
use crate::asn1::name::display;
use crate::asn1::oid;
use crate::asn1::x509::{Certificate, serial_text};
use crate::codes::Code;
use crate::limits;
use crate::prelude::*;
use crate::time::Time;

/// The status of a certificate on the path of a signer.
pub(super) enum SignerStatus {
    /// Good until then, or not known where the policy does without.
    Enough {
        until: Time,
    },
    /// Not known where the policy asks for it, or accused by a signer who may be accused itself: two that revoke each other clear
    /// nobody, and whom either revokes is revoked, whichever is asked first.
    Missing,
    Revoked(Box<Revocation>),
}

/// How far a responder that the issuer has certified can be relied upon.
pub(super) struct Delegated {
    /// Its certificate and what is known of its status last so long.
    pub until: Time,
    /// A check on it that could not be made.
    pub note: Option<String>,
}

/// What the path of a status signer costs, in signatures: it may take as many, and searches besides.
const PATH_COST: u32 = 8;

impl<'a> StatusSearch<'a> {
    /// Certificates with this subject that may have signed a CRL: those of the chain first, then the anchors and the pool
    /// in the caller's order, who puts what it has of its own before what a peer sent. How many are tried is counted by
    /// signature, and never cut short in silence. The flag tells whether the path to it is validated already.
    pub(super) fn signers_named<'s>(
        &'s self,
        name: Hashed<'_>,
        key_id: Option<&[u8]>,
        above: &'s [Certificate],
    ) -> Vec<(&'s Certificate, bool)> {
        let named = |list: &'s [Certificate]| list.iter().filter(|c| name.is_subject_of(c));
        let of_chain = named(above).map(|candidate| (candidate, true));
        let others = self.knowledge.named(name, self.anchors, self.pool).into_iter().chain(named(self.path));
        // Each once, also of many that differ in their last byte: the signature first.
        let mut seen = BTreeSet::new();
        let mut found: Vec<(&Certificate, bool)> = of_chain
            .chain(others.map(|candidate| (candidate, false)))
            .filter(|(candidate, _)| seen.insert((candidate.signature(), candidate.as_der())))
            .collect();
        // A hint only, as in path building: it decides the order of tries, not who may sign.
        crate::order::sort_by_key(&mut found, |(candidate, in_chain)| {
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
    /// `is_named`: the certificate's distribution points name the list's issuer (cRLIssuer). `made`: when the list was.
    pub(super) fn authorise_crl_signer(
        &self,
        signer: &Certificate,
        above: &[Certificate],
        is_named: bool,
        made: Time,
    ) -> Result<Standing, Unusable> {
        let (issuer, anchor) = match above {
            [issuer, .., anchor] | [issuer @ anchor] => (issuer, anchor),
            [] => return Err("the certificate has no issuer".into()),
        };
        if self.is_in_progress(signer) {
            // The list that covers its own signer: it may say that the signer is revoked, and then says nothing else.
            let until = signer.not_after();
            return Ok(if self.may_clear_itself(signer) {
                Standing::Full { until }
            } else {
                Standing::RevocationsOnly
            });
        }
        // Another certificate of the issuer's own key: what that has revoked rests on nobody else.
        let is_issuers = self.is_same_key(signer, issuer);
        let found = match self.signer_chain(signer, anchor, made) {
            Err(_) if is_issuers => return Ok(Standing::RevocationsOnly),
            found => found?,
        };
        if let Some(revoked) = found.revoked.as_ref().filter(|revoked| !is_issuers && !revoked.came_after(made)) {
            return Err(revoked.text.clone().into());
        }
        let certifier = found.chain.get(1).unwrap_or(signer);
        let is_parent = |ca: &Certificate| self.is_same_key(ca, certifier);
        let is_family =
            is_parent(issuer) || above.get(1).is_some_and(is_parent) || self.has_certified(certifier, issuer)?;
        if is_family || (is_named && (found.chain.len() <= 2 || above.iter().any(is_parent))) {
            return Ok(found.standing());
        }
        if is_named || is_issuers {
            // The name that the certificate gives to its list's issuer is anybody's to take who issues certificates: whoever is
            // certified elsewhere clears nobody by it.
            return Ok(Standing::RevocationsOnly);
        }
        if found.chain.len() <= 2 {
            // An anchor vouches for it directly: nobody stands above an anchor, so what it revokes is revoked also where a
            // cross-certificate leads to another one. It clears nobody, though.
            return Ok(Standing::RevocationsOnly);
        }
        let name = display(signer.subject());
        let why = "was certified neither by the issuer of the certificate nor by the issuer's own issuer";
        Err(format!("its signer {name} {why}").into())
    }

    /// Whether the silence of a signer's own list is a status for the signer: where its certificate names no other place to ask
    /// at, or the same as a certificate of the path does. Who names a place of its own is asked about there: a stolen key would
    /// else sign that it was not stolen.
    pub(super) fn may_clear_itself(&self, signer: &Certificate) -> bool {
        let places = |certificate: &'a Certificate| certificate.extension(oid::CE_CRL_DISTRIBUTION_POINTS);
        match signer.extension(oid::CE_CRL_DISTRIBUTION_POINTS) {
            Some(own) => self.path.iter().filter_map(places).any(|place| place.value == own.value),
            None => ocsp_urls(signer).is_empty(),
        }
    }

    /// Whether this CA has certified the issuer, wherever the path that is checked ends: an issuing CA may be an anchor too,
    /// and a peer chooses up to which anchor it sends its chain.
    pub(super) fn has_certified(&self, ca: &Certificate, issuer: &Certificate) -> Result<bool, Unusable> {
        if ca == issuer || !same_name(ca.subject(), issuer.issuer()) {
            return Ok(false);
        }
        self.spend_signature(Source::Crl)?;
        Ok(certificate::against_signature(self.provider, issuer, ca.spki(), self.checks.allow_weak).is_none())
    }

    /// The path of a signer to the anchor of the path that is checked, else to another one. A signer without one that a key of the path or an
    /// anchor has certified stands below that, see [`Self::certified_directly`].
    ///
    /// A signer whose certificate is over by now is judged as of when it signed: it clears nobody any more, but whom it has
    /// revoked is not forgotten with its certificate.
    pub(super) fn signer_chain(
        &self,
        signer: &Certificate,
        anchor: &Certificate,
        made: Time,
    ) -> Result<SignerChain, Unusable> {
        let then = self.is_over(signer).then_some(made);
        let is_it = |(known, at, _): &&Authorised| known == signer && *at == then;
        if let Some((_, _, known)) = self.authorised.borrow().iter().find(is_it) {
            return known.clone();
        }
        let outcome = self.while_in_progress(signer, Source::Crl, || {
            if let Some(made) = then {
                let at = CheckTime::At(made);
                let found = self.unrevoked_chain(signer, self.anchors, at);
                let found = found.or_else(|why| self.certified_directly(signer, made, why))?;
                return Ok(SignerChain { same_anchor: false, good_until: None, ..found });
            }
            let own: TrustAnchors = core::iter::once(anchor.clone()).collect();
            let at = self.checks.at;
            match self.unrevoked_chain(signer, &own, at) {
                Ok(found) => Ok(found),
                Err(why) => self.certified_directly(signer, made, why).or_else(|why| {
                    if self.anchors.len() < 2 {
                        return Err(why);
                    }
                    let found = self.unrevoked_chain(signer, self.anchors, at).map_err(|_| why)?;
                    Ok(SignerChain { same_anchor: false, ..found })
                }),
            }
        });
        // What was found while another signer is still in question rests on that one.
        if self.in_progress.borrow().is_empty() {
            self.authorised.borrow_mut().push((signer.clone(), then, outcome.clone()));
        }
        outcome
    }

    /// A signer that a key of the path or an anchor has certified, and that has no path of its own to the anchor. Policies and name constraints
    /// on the way ask for what it does not have, what stands above it has ended or is newer than its list, the owner is strict. All of that
    /// is of the certificates that the peer has sent, of which a CA has several, or of the day: it clears nobody, and whom it has revoked is
    /// revoked. `why`: what speaks against its path.
    fn certified_directly(&self, signer: &Certificate, made: Time, why: Unusable) -> Result<SignerChain, Unusable> {
        if self.was_over(signer, made) {
            return Err(why);
        }
        let on_the_path = (1..self.path.len()).map(|index| &self.path[index..]);
        for certifiers in on_the_path.chain(self.anchors.as_slice().iter().map(core::slice::from_ref)) {
            if !self.has_certified(&certifiers[0], signer)? {
                continue;
            }
            let revoked = match self.signer_status(signer, certifiers) {
                SignerStatus::Revoked(found) => Some(*found),
                SignerStatus::Enough { .. } | SignerStatus::Missing => None,
            };
            let chain = core::iter::once(signer).chain(certifiers).cloned().collect();
            return Ok(SignerChain { chain, same_anchor: true, good_until: None, revoked });
        }
        Err(why)
    }

    /// The signer and the certificates between it and its anchor, as they were found.
    pub(super) fn known_chain(&self, signer: &Certificate) -> Vec<Certificate> {
        let authorised = self.authorised.borrow();
        let found = authorised.iter().find_map(|(known, _, found)| found.as_ref().ok().filter(|_| known == signer));
        found.map_or_else(|| vec![signer.clone()], |found| found.chain[..found.chain.len() - 1].to_vec())
    }

    pub(super) fn is_over(&self, certificate: &Certificate) -> bool {
        self.checks.at.known().is_some_and(|now| certificate.not_after() < now)
    }

    /// A path of a signer on which nothing but perhaps the signer is revoked, and whether the status of what is on it is known as far as the policy
    /// asks. What stands on one path and is revoked, or without a status, is left aside for another path: whoever sends
    /// certificates must not choose on which path the signer is looked at. Each path costs from the budget.
    pub(super) fn unrevoked_chain(
        &self,
        signer: &Certificate,
        anchors: &TrustAnchors,
        at: CheckTime,
    ) -> Result<SignerChain, Unusable> {
        let chained = |chain, good_until, revoked| SignerChain { chain, same_anchor: true, good_until, revoked };
        let mut aside: Vec<Certificate> = Vec::new();
        let mut revoked = None;
        let mut without_status = None;
        loop {
            let chain = match (self.validate_signer(signer, anchors, &aside, at), without_status) {
                (Ok(chain), known) => {
                    without_status = known;
                    chain
                }
                (Err(_), Some(chain)) => return Ok(chained(chain, None, None)),
                (Err(why), None) => return Err(revoked.map_or(why, |found: Revocation| found.text.into())),
            };
            let mut in_doubt = None;
            let mut bad = None;
            // What it rests on ends, and with it what it clears.
            let below_anchor = chain.iter().take(chain.len() - 1);
            let mut good_until = below_anchor.map(Certificate::not_after).fold(Time::FOREVER, Time::min);
            for (index, certificate) in chain.iter().enumerate().take(chain.len() - 1) {
                if self.path.contains(certificate) && certificate != signer {
                    continue;
                }
                match self.signer_status(certificate, &chain[index + 1..]) {
                    SignerStatus::Enough { until } => good_until = good_until.min(until),
                    SignerStatus::Missing => in_doubt = Some(index),
                    SignerStatus::Revoked(found) if index == 0 => return Ok(chained(chain, None, Some(*found))),
                    SignerStatus::Revoked(found) => {
                        bad = Some(index);
                        revoked.get_or_insert(*found);
                    }
                }
            }
            match (bad, in_doubt) {
                (None, None) => return Ok(chained(chain, Some(good_until), None)),
                (None, Some(0)) => return Ok(chained(chain, None, None)),
                (Some(index), _) => aside.push(chain[index].clone()),
                (None, Some(index)) => {
                    aside.push(chain[index].clone());
                    without_status.get_or_insert(chain);
                }
            }
        }
    }

    /// RFC 6960 section 4.2.2.2: a responder that the issuer itself has certified for this purpose. `made`: when the response was, if
    /// it revokes.
    pub(super) fn authorise_responder(
        &self,
        responder: &Certificate,
        above: &[Certificate],
        made: Option<Time>,
    ) -> Result<Delegated, Unusable> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let lasting = |until: Time| Delegated { until: until.min(responder.not_after()), note: None };
        let facts = Facts::read_but_names(responder).map_err(|e| format!("the responder's certificate: {e}"))?;
        // Explicitly: no extendedKeyUsage, or anyExtendedKeyUsage, delegates nothing.
        let delegated = facts.purposes().is_some_and(|mut p| p.any(|found| found == oid::KP_OCSP_SIGNING.as_bytes()));
        if !delegated {
            return Err("the responder's certificate is not for OCSP signing (extendedKeyUsage)".into());
        }
        if !facts.allows(KeyUsage::DigitalSignature) && !facts.allows(KeyUsage::ContentCommitment) {
            return Err("the responder's certificate does not allow signatures (keyUsage)".into());
        }
        if self.is_in_progress(responder) {
            // Of itself it may say that it is revoked; that it is not, others have to say.
            return match made {
                Some(_) => Ok(lasting(Time::FOREVER)),
                None => Err("a responder says of itself that it is good".into()),
            };
        }
        if let Some(unknown) = facts.unknown_critical(&[]) {
            return Err(
                format!("a critical extension of the responder's certificate is not understood: {unknown}").into()
            );
        }
        self.issued_directly(responder, issuer, made).map_err(|why| why.of("the responder's certificate"))?;
        self.while_in_progress(responder, Source::Ocsp, || {
            match self.status(responder, above) {
                Status::Good { until, .. } => Ok(lasting(until)),
                // Accused by one who may be accused itself: whom it revokes is revoked all the same.
                Status::Revoked(why) if made.is_some() && !why.is_settled(issuer) => {
                    self.has_accused.set(true);
                    Ok(lasting(Time::FOREVER))
                }
                Status::Revoked(why) if made.is_some_and(|made| why.came_after(made)) => Ok(lasting(Time::FOREVER)),
                Status::Revoked(why) => Err(format!("the responder's certificate is revoked: {}", why.text).into()),
                Status::Unknown(_) if made.is_none() && self.is_unasked() && self.is_demanded() => {
                    Err("what is known against the responder from before cannot be told".into())
                }
                // It does without a status; one that is known counts all the same.
                Status::Unknown(_) if responder.extension(oid::OCSP_NOCHECK).is_some() => Ok(lasting(Time::FOREVER)),
                // Section 4.2.2.2.1: neither nocheck nor a status leaves it to the reader.
                Status::Unknown(_) => {
                    self.note_unknown_signer(responder, above);
                    let note = "the status of the OCSP responder's certificate is not known".to_owned();
                    Ok(Delegated { note: Some(note), ..lasting(Time::FOREVER) })
                }
            }
        })
    }

    /// Whether the signer's own status is being looked for: what it says now is not more than what others say of it.
    pub(super) fn is_in_progress(&self, signer: &Certificate) -> bool {
        self.in_progress.borrow().contains(signer)
    }

    pub(super) fn while_in_progress<T>(
        &self,
        signer: &Certificate,
        source: Source,
        work: impl FnOnce() -> Result<T, Unusable>,
    ) -> Result<T, Unusable> {
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

    /// What speaks against the validity of a responder's certificate now. Whom it has revoked before its end is not forgotten with it.
    /// `made`: when the response was, if it revokes.
    pub(super) fn against_responders_validity(&self, responder: &Certificate, made: Option<Time>) -> Option<Objection> {
        let objection = certificate::against_validity(responder, self.checks)?;
        if made.is_some_and(|made| !self.was_over(responder, made)) { None } else { Some(objection) }
    }

    /// Whether a certificate has ended, and before this was made. What it has revoked until then it was believed until then, also where it
    /// began after that: a clock may be behind, and a certificate renewed.
    fn was_over(&self, signer: &Certificate, made: Time) -> bool {
        self.is_over(signer) && signer.not_after() < made
    }

    /// Whether the issuer itself, by this key, made the certificate, and it is within its validity.
    pub(super) fn issued_directly(
        &self,
        responder: &Certificate,
        issuer: &Certificate,
        made: Option<Time>,
    ) -> Result<(), Unusable> {
        if !same_name(responder.issuer(), issuer.subject()) {
            return Err("it is not from the issuer of the certificate that is asked about".into());
        }
        if responder.signature_algorithm() != responder.tbs_signature_algorithm() {
            return Err("the algorithm inside the signature differs from the one beside it".into());
        }
        self.spend_signature(Source::Ocsp)?;
        let objection = self.against_responders_validity(responder, made).or_else(|| {
            certificate::against_signature(self.provider, responder, issuer.spki(), self.checks.allow_weak)
        });
        objection.map_or(Ok(()), |found| Err(found.text.into()))
    }

    /// Validates the path of a signer of status data, over anything at hand but what is left aside; its own status is looked
    /// at by the caller.
    pub(super) fn validate_signer(
        &self,
        signer: &Certificate,
        anchors: &TrustAnchors,
        aside: &[Certificate],
        at: CheckTime,
    ) -> Result<Vec<Certificate>, Unusable> {
        let search: SignerSearch = (signer.clone(), anchors.len(), aside.to_vec(), at);
        let known =
            self.signer_paths.borrow().iter().find(|(known, _)| *known == search).map(|(_, found)| found.clone());
        if let Some(found) = known {
            // Signers that hang on each other ask the same again and again: once is enough to pay for, but it is no gift.
            self.knowledge.spend(Source::Crl, 1)?;
            return found;
        }
        let found = self.search_signer(signer, anchors, aside, at);
        self.signer_paths.borrow_mut().push((search, found.clone()));
        found
    }

    fn search_signer(
        &self,
        signer: &Certificate,
        anchors: &TrustAnchors,
        aside: &[Certificate],
        at: CheckTime,
    ) -> Result<Vec<Certificate>, Unusable> {
        self.knowledge.spend(Source::Crl, PATH_COST)?;
        let checks = Checks {
            at,
            extended_key_usages: Vec::new(),
            key_usages: Vec::new(),
            names: NameCheck::NotChecked,
            max_intermediates: None,
            policy: PolicyInputs::default(),
            revocation: RevocationPolicy::off(),
            presented: None,
            recognised: Vec::new(),
            ..self.checks.clone()
        };
        let at_hand = self.pool.iter().chain(self.path);
        let pool: Vec<Certificate> = at_hand.filter(|certificate| !aside.contains(certificate)).cloned().collect();
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
                Err(format!("the signer {} has no valid path: {why}", display(signer.subject())).into())
            }
        }
    }

    fn is_demanded(&self) -> bool {
        self.policy().mode == RevocationMode::HardFail
    }

    pub(super) fn signer_status(&self, certificate: &Certificate, above: &[Certificate]) -> SignerStatus {
        let needed = self.is_demanded() && self.policy().scope == RevocationScope::WholeChain;
        match self.status(certificate, above) {
            Status::Good { until, .. } => SignerStatus::Enough { until },
            Status::Revoked(found) if !above.first().is_none_or(|issuer| found.is_settled(issuer)) => {
                self.has_accused.set(true);
                SignerStatus::Missing
            }
            Status::Revoked(Revocation { text, since, .. }) => {
                let (name, serial) = (display(certificate.subject()), serial_text(certificate.serial()));
                let text = format!("the signer's certificate {name} serial {serial} is revoked: {text}");
                SignerStatus::Revoked(Box::new(Revocation { since, ..Revocation::passing(text) }))
            }
            Status::Unknown(_) => {
                self.note_unknown_signer(certificate, above);
                let is_missing = needed || (self.is_unasked() && self.is_demanded());
                if is_missing { SignerStatus::Missing } else { SignerStatus::Enough { until: Time::FOREVER } }
            }
        }
    }
}
