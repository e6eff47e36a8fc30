//! What OCSP responses say of a certificate, and whether who signed them may say it (RFC 6960 section 3.2).

use super::freshness::{Freshness, Window};
use super::knowledge::Source;
use super::names::{name_hash, same_name};
use super::ocsp::{OcspResponse, forms_at_hand, key_bits, key_forms};
use super::revoked::GoodWord;
use super::status::{Entitling, Revocation, Speaker, Spoken, Status, StatusSearch, Word};
use super::status_signers::Delegated;
use super::unusable::Unusable;
use crate::asn1::crl::{CrlReason, shortest_integer};
use crate::asn1::ocsp::{BasicResponse, CertStatus, ResponderId, SingleResponse};
use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, KeyIdentity};
use crate::prelude::*;
use crate::time::Time;

/// Who signed a response and may.
struct Responder<'a> {
    key: KeyIdentity<'a>,
    /// On what its word rests.
    entitled: Vec<Entitling>,
    /// How far it can be relied upon.
    reliance: Delegated,
}

/// Which response revokes it, for reports.
pub(super) fn words_of_response(since: Option<Time>, reason: CrlReason, made: Time) -> String {
    let since = since.map_or_else(|| "at an unreadable date".to_owned(), |time| format!("since {time}"));
    let from = match made.unix() {
        0 => "an unreadable date".to_owned(),
        _ => made.to_string(),
    };
    format!("revoked {since}, reason {reason}, by an OCSP response from {from}")
}

impl StatusSearch<'_> {
    /// The certificate's status by the OCSP responses at hand; `above` is its chain from its issuer to the anchor.
    pub(super) fn ocsp_status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let mut reasons = Vec::new();
        let mut newest: Option<(Time, Status)> = None;
        let (mut found, mut good): (Option<Revocation>, Vec<Spoken>) = (None, Vec::new());
        for response in &self.sources.ocsp {
            match self.ocsp_says(response, certificate, above) {
                // On hold: another may say that it is for good, or later that it is not.
                Ok((_, Status::Revoked(one))) => {
                    let is_final = one.is_final;
                    found = Revocation::of(found.into_iter().chain([one]));
                    if let Some(found) = found.take_if(|_| is_final) {
                        return Status::Revoked(found);
                    }
                }
                // Of several words the newest counts, be it out of date by now: an older one does not outlive it.
                Ok((from, said)) => {
                    if let Status::Good { words, .. } = &said {
                        good.extend(words.iter().cloned());
                    }
                    match &newest {
                        Some((known, Status::Good { .. })) if from <= *known => {}
                        Some((known, _)) if from < *known => {}
                        _ => newest = Some((from, said)),
                    }
                }
                Err(why) => reasons.push(why.of("OCSP response")),
            }
        }
        if let Some((_, Status::Good { words, .. })) = &mut newest {
            good.retain(|spoken| !words.contains(spoken));
            words.append(&mut good);
            found = found.and_then(|found| self.unless_lifted(found, words, above));
        }
        if let Some(found) = found {
            return Status::Revoked(found);
        }
        match newest {
            Some((_, Status::Unknown(why))) => {
                reasons.extend(why);
                Status::Unknown(reasons)
            }
            Some((_, said)) => said,
            None => Status::Unknown(reasons),
        }
    }

    /// What a response says of the certificate, and as of when; an error where it is nobody's word about it.
    fn ocsp_says(
        &self,
        response: &OcspResponse,
        certificate: &Certificate,
        above: &[Certificate],
    ) -> Result<(Time, Status), Unusable> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let Some(basic) = response.basic() else {
            return Err(format!("the responder answered {}", response.status()).into());
        };
        let about = self.entries_about(basic, certificate, issuer)?;
        if about.is_empty() {
            return Err("it does not speak of the certificate".into());
        }
        // Every entry is looked at: the first that says good must not hide one that says revoked, nor a hold what is for good.
        let revocations = about.iter().filter_map(|entry| match entry.status {
            CertStatus::Revoked { time, reason } => Some((entry, time, reason)),
            _ => None,
        });
        let revoked = revocations.min_by_key(|(.., reason)| *reason == CrlReason::CertificateHold);
        // What is odd about a response takes away nothing of what it says against somebody.
        if revoked.is_none() {
            if let Some(why) = self.clears_nobody(response, basic, &about) {
                return Err(why.into());
            }
        }
        let responder = self.authorise(response, basic, above, revoked.map(|(entry, ..)| entry.this_update))?;
        if let Some((entry, time, reason)) = revoked {
            let text = words_of_response(time, reason, entry.this_update);
            let source = responder.key.clone().into_owned();
            let (made, entitled) = (entry.this_update, responder.entitled);
            let is_final = reason != CrlReason::CertificateHold && entitled.contains(&Entitling::Issuer);
            let word = Word { since: time, reason, made, list: None, source: source.clone(), entitled };
            let found = Revocation {
                word: Some(word),
                source: Some(source),
                since: time,
                is_final,
                ..Revocation::passing(text)
            };
            return Ok((made, Status::Revoked(found)));
        }
        let newest = about.iter().max_by_key(|entry| entry.this_update).ok_or("no entry")?;
        let from = newest.this_update;
        if self.is_from_the_future(from) {
            return Err(format!("it is from the future: thisUpdate {from}").into());
        }
        let unknown = |why: &str| Ok((from, Status::Unknown(vec![Unusable::from(why).of("OCSP response")])));
        if about.iter().any(|entry| entry.status == CertStatus::Unknown) {
            return unknown("the responder does not know the certificate");
        }
        let window = Window { this_update: newest.this_update, next_update: newest.next_update };
        let mut notes: Vec<String> = responder.reliance.note.into_iter().collect();
        let until = match self.judge(window, "OCSP response") {
            Freshness::Current { until } => until,
            Freshness::Grace { until, text } => {
                notes.push(format!("{text}, used within the offline grace"));
                until
            }
            Freshness::NotJudged { until } => {
                notes.push("the time is unknown: whether the OCSP response is current was not checked".to_owned());
                until
            }
            Freshness::Refused(why) => return unknown(&why),
        };
        let key = responder.key.clone().into_owned();
        let (word, by) = (GoodWord { from, lists: Vec::new() }, vec![Speaker::Responder(key, responder.entitled)]);
        let until = until.min(responder.reliance.until);
        Ok((from, Status::Good { until, words: vec![Spoken { word, by }], notes }))
    }

    /// Why a response says of nobody that it is good; `None` if nothing is odd about it.
    fn clears_nobody(
        &self,
        response: &OcspResponse,
        basic: &BasicResponse,
        about: &[&SingleResponse],
    ) -> Option<String> {
        let unknown = about.iter().find_map(|entry| entry.unknown_critical).or(basic.unknown_critical);
        let unknown = unknown.map(|oid| format!("a critical extension is not understood: {oid}"));
        let defect = basic.defect.as_ref().map(|defect| format!("it clears nobody: {defect}"));
        unknown.or(defect).or_else(|| response.doubt.map(str::to_owned))
    }

    /// The entries whose CertID is this certificate's in all three parts (RFC 6960 section 3.2 item 1). The key is hashed in the form
    /// that the responder knows it in (section 4.1.1), which need not be the one that is at hand.
    pub(super) fn entries_about<'r>(
        &self,
        basic: &'r BasicResponse,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Vec<&'r SingleResponse>, Unusable> {
        let serial = shortest_integer(certificate.serial());
        let mut about = Vec::new();
        for entry in basic.responses.iter().filter(|entry| *entry.cert_id.serial == *serial) {
            // By a digest that is not known here nobody can tell whether the entry is about this certificate: it says
            // nothing, neither good nor revoked.
            let Some(digest) = entry.cert_id.digest else { continue };
            let hash = |bytes: &[u8]| self.provider.digest(digest, &[bytes]);
            if *entry.cert_id.issuer_name_hash != *hash(certificate.issuer())? {
                continue;
            }
            for key in key_forms(issuer).map_err(|e| e.to_string())? {
                if *entry.cert_id.issuer_key_hash == *hash(&key)? {
                    about.push(entry);
                    break;
                }
            }
        }
        Ok(about)
    }

    /// RFC 6960 sections 3.2 item 4 and 4.2.2.2: signed by the certificate's issuer, or by a responder it has
    /// certified. `made`: when the response was, if it revokes.
    fn authorise<'s>(
        &'s self,
        response: &OcspResponse,
        basic: &'s BasicResponse,
        above: &'s [Certificate],
        made: Option<Time>,
    ) -> Result<Responder<'s>, Unusable> {
        let issuer = above.first().ok_or("the certificate has no issuer")?;
        let mut why = Unusable::from("nobody at hand is the responder it names");
        let trusted = &self.policy().trusted_responders;
        let near = core::iter::once(issuer).chain(trusted).chain(&basic.certificates);
        // The response's name is prepared once, each certificate's once in its life: both are somebody else's choice. So is each
        // certificate's key hashed once in a validation.
        let (hash, of_pool) = match &basic.responder_id {
            ResponderId::Name(name) => (name_hash(name), self.pool.iter().collect()),
            ResponderId::KeyHash(hash) => (0, self.knowledge.keyed(hash, self.provider, self.pool)),
        };
        for candidate in near.chain(of_pool) {
            if !self.is_responder(candidate, &basic.responder_id, hash)? {
                continue;
            }
            self.spend_signature(Source::Ocsp)?;
            let verified = response.verify(basic, self.provider, candidate.spki(), self.checks.allow_weak);
            let key = KeyIdentity::of(candidate);
            let verified = match verified {
                // Whoever certifies a key once more chooses what it is bound to, and undoes nothing that the key has revoked.
                Err(_) if made.is_some() && key.is_bound_in(candidate.spki()) => {
                    self.spend_signature(Source::Ocsp)?;
                    response.verify(basic, self.provider, &key.as_spki(), self.checks.allow_weak)
                }
                verified => verified,
            };
            if let Err(error) = verified {
                // Not the key that made it: another candidate may be. If none is, it is nobody's word.
                why = format!("its signature: {error}").into();
                continue;
            }
            match self.entitle(candidate, above, made) {
                Ok((reliance, entitled)) => {
                    let is_trusted_by_owner = !entitled.contains(&Entitling::Issuer);
                    if !self.is_in_progress(candidate) {
                        let is_enclosed = candidate == issuer || basic.certificates.contains(candidate);
                        let signers = if is_enclosed { &[] } else { core::slice::from_ref(candidate) };
                        let line = match (is_trusted_by_owner, key == KeyIdentity::of(issuer)) {
                            (true, _) => self.line([candidate]),
                            (false, true) => self.line(above),
                            (false, false) => self.line(core::iter::once(candidate).chain(above)),
                        };
                        response.entitled.note(signers, line);
                    }
                    return Ok(Responder { key, entitled, reliance });
                }
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// Whether the responder whose signature it is may speak about the certificates of this issuer: how far it can be relied upon, and on
    /// what that rests: whether it is the owner's trust alone that says so.
    fn entitle(
        &self,
        candidate: &Certificate,
        above: &[Certificate],
        made: Option<Time>,
    ) -> Result<(Delegated, Vec<Entitling>), Unusable> {
        let is_issuer = |issuer: &Certificate| {
            candidate == issuer
                || (KeyIdentity::of(candidate) == KeyIdentity::of(issuer)
                    && same_name(candidate.subject(), issuer.subject()))
        };
        if above.first().is_some_and(is_issuer) {
            // The end of the path's own certificates is the path's affair.
            return Ok((Delegated { until: Time::FOREVER, note: None }, vec![Entitling::Issuer]));
        }
        if self.policy().trusted_responders.contains(candidate) {
            // Section 4.2.2.2, first case: by our own configuration, whoever made its certificate.
            return match self.against_responders_validity(candidate, made) {
                None => {
                    // Whom the issuer has certified for it, too, speaks by that as well: trust takes nothing away of what it has revoked.
                    let is_delegated = made.is_some() && self.authorise_responder(candidate, above, made).is_ok();
                    let owner = Entitling::Owner(KeyIdentity::of(candidate).into_owned());
                    let issuer = is_delegated.then_some(Entitling::Issuer);
                    let reliance = Delegated { until: candidate.not_after(), note: None };
                    Ok((reliance, core::iter::once(owner).chain(issuer).collect()))
                }
                Some(found) => Err(format!("the trusted responder's certificate: {}", found.text).into()),
            };
        }
        self.authorise_responder(candidate, above, made).map(|reliance| (reliance, vec![Entitling::Issuer]))
    }

    /// Whether a response names this certificate's holder; an error where the budget ended.
    fn is_responder(&self, candidate: &Certificate, id: &ResponderId, hash: u64) -> Result<bool, Unusable> {
        let wanted = match id {
            ResponderId::Name(name) => {
                if candidate.subject_hash(name_hash) != hash {
                    return Ok(false);
                }
                // Whoever has made a name for this hash has it compared, and pays.
                self.knowledge.spend_candidates(1)?;
                return Ok(same_name(name, candidate.subject()));
            }
            ResponderId::KeyHash(hash) => hash,
        };
        // Section 4.2.1: KeyHash is SHA-1, whatever the rest uses. It finds the key, it proves nothing.
        let is_hash_of =
            |key: &[u8]| self.provider.digest(DigestAlgorithm::Sha1, &[key]).is_ok_and(|found| *found == **wanted);
        if forms_at_hand(candidate).unwrap_or_default().iter().any(|key| is_hash_of(key)) {
            return Ok(true);
        }
        let key = KeyIdentity::of(candidate);
        if !key.is_written_out_already() {
            // As much work as a signature, over what anybody may have sent.
            self.spend_signature(Source::Ocsp)?;
        }
        Ok(key_bits(&key.as_spki()).is_ok_and(is_hash_of))
    }
}
