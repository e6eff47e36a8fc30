//! What is known about a certificate from before this validation, and what is written down for the next: the search's side of the
//! record in `revoked`.

use super::names::Hashed;
use super::ocsp_status::words_of_response;
use super::revoked::{Authority, KeyDigest, RevokedFact, RevokedId};
use super::signed::Line;
use super::status::{Entitling, Revocation, Speaker, Spoken, Status, StatusSearch, Word};
use super::told;
use super::unusable::Unusable;
use crate::asn1::distribution_point::distribution_points;
use crate::asn1::general_name::GeneralName;
use crate::asn1::ocsp::CertStatus;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::crypto::KeyIdentity;
use crate::prelude::*;
use crate::time::Time;

/// What is known from before.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// It is revoked for good.
    pub for_good: Option<Revocation>,
    /// It is on hold.
    hold: Option<Hold>,
    /// Until when facts about certificates of this issuer were met that there was no room for.
    pub lost: Option<Time>,
}

/// A hold lasts until somebody entitled says otherwise later (RFC 5280 section 5.3.1), whatever became of the list that said so.
#[derive(Debug)]
struct Hold {
    found: Revocation,
    /// When the latest word was made.
    made: Time,
    facts: Vec<RevokedFact>,
}

impl StatusSearch<'_> {
    /// What is known of a certificate from before; an error where that cannot be told.
    pub(super) fn known_before(&self, certificate: &Certificate, above: &[Certificate]) -> Result<Before, Unusable> {
        let mut before = Before::default();
        let Some(issuer) = above.first().filter(|_| !self.sources.revoked.is_empty()) else { return Ok(before) };
        let ids = self.ids_of(certificate, issuer)?;
        let of = self.key_digest(&self.key_of(issuer))?;
        let (mut facts, mut unread) = (Vec::new(), None);
        for record in &self.sources.revoked {
            match record.find(&ids, &of) {
                Ok(known) => {
                    facts.extend(known.facts);
                    before.lost = before.lost.max(known.lost);
                }
                // What another says for good counts all the same.
                Err(error) => unread = Some(Unusable::from(error.message())),
            }
        }
        for fact in facts {
            if !self.counts(&fact, certificate, above)? {
                continue;
            }
            if fact.is_for_good() {
                let text = self.said_at_hand(&fact, certificate, issuer).unwrap_or_else(|| fact.text());
                let is_final = fact.authority == Authority::Issuer;
                before.for_good = Some(Revocation { since: fact.since, is_final, ..Revocation::passing(text) });
                if is_final {
                    return Ok(before);
                }
                continue;
            }
            let found = Revocation { since: fact.since, is_old_hold: true, ..Revocation::passing(fact.text()) };
            match &mut before.hold {
                Some(hold) if fact.made <= hold.made => hold.facts.push(fact),
                Some(hold) => {
                    (hold.made, hold.found) = (fact.made, found);
                    hold.facts.push(fact);
                }
                none => *none = Some(Hold { made: fact.made, found, facts: vec![fact] }),
            }
        }
        match unread {
            Some(why) if before.for_good.is_none() => Err(why),
            _ => Ok(before),
        }
    }

    /// What of the data at hand says what is written down, in its words: what has been fetched for this very question is written down, and
    /// nothing was known before. Words alone: the fact decides.
    fn said_at_hand(&self, fact: &RevokedFact, certificate: &Certificate, issuer: &Certificate) -> Option<String> {
        let lists = self.sources.crls.iter().filter(|crl| crl.is_entitled() && crl.this_update() == fact.made);
        let by_list = lists.filter_map(|crl| {
            let entry = self.entry_for(crl, certificate).ok()??;
            let is_it = (entry.revocation_date, entry.reason) == (fact.since, fact.reason);
            is_it.then(|| self.words_of_entry(crl, &entry))
        });
        let responses = self.sources.ocsp.iter().filter(|response| response.is_entitled());
        let by_response = responses.filter_map(|response| {
            let about = self.entries_about(response.basic()?, certificate, issuer).ok()?;
            let said = CertStatus::Revoked { time: fact.since, reason: fact.reason };
            let is_it = about.iter().any(|entry| entry.this_update == fact.made && entry.status == said);
            is_it.then(|| words_of_response(fact.since, fact.reason, fact.made))
        });
        by_list.chain(by_response).next()
    }

    /// A status, with what was known before: good words from before a hold, or from before what was lost, clear nobody.
    pub(super) fn after(&self, above: &[Certificate], before: Before, status: Status) -> Status {
        match (status, before) {
            (Status::Good { words, .. }, Before { hold: Some(hold), .. })
                if !hold.facts.iter().all(|fact| words.iter().any(|spoken| self.ends(fact, spoken, above))) =>
            {
                Status::Revoked(hold.found)
            }
            (Status::Unknown(_), Before { hold: Some(hold), .. }) => Status::Revoked(hold.found),
            (Status::Good { words, .. }, Before { lost: Some(until), .. })
                if words.first().is_none_or(|spoken| spoken.word.from <= until) =>
            {
                Status::Unknown(vec![without_room(until)])
            }
            (Status::Unknown(reasons), Before { lost: Some(until), .. }) => {
                Status::Unknown(core::iter::once(without_room(until)).chain(reasons).collect())
            }
            (Status::Good { words, until, notes }, Before { hold, .. }) => {
                // What rests on a signer that is itself in question lifts nothing yet.
                let is_settled = self.in_progress.borrow().is_empty();
                for fact in hold.filter(|_| is_settled).iter().flat_map(|hold| &hold.facts) {
                    if let Some(spoken) = words.iter().find(|spoken| self.ends_for_all(fact, spoken, above)) {
                        self.sources.revoked.iter().for_each(|record| record.lift(fact, &spoken.word));
                    }
                }
                if is_settled {
                    self.meet(above);
                }
                Status::Good { words, until, notes }
            }
            (status, _) => status,
        }
    }

    /// Whether this good word ends a hold that is written down, in this validation: all who say it may take back what is said on that
    /// authority, or have said it themselves.
    fn ends(&self, fact: &RevokedFact, spoken: &Spoken, above: &[Certificate]) -> bool {
        self.is_ended(fact, spoken, above, Entitling::is_over_all)
    }

    /// The same for all who have that memory: whom the owner trusts here need not be trusted where the hold counts.
    fn ends_for_all(&self, fact: &RevokedFact, spoken: &Spoken, above: &[Certificate]) -> bool {
        self.is_ended(fact, spoken, above, |entitling| *entitling == Entitling::Issuer)
    }

    fn is_ended(
        &self,
        fact: &RevokedFact,
        Spoken { word, by }: &Spoken,
        above: &[Certificate],
        is_over: impl Fn(&Entitling) -> bool,
    ) -> bool {
        let is_key =
            |key: &KeyIdentity<'_>, digest: &[u8; 32]| self.sha256(&[&key.as_spki()]).is_ok_and(|key| key == *digest);
        let is_allowed = |speaker: &Speaker| {
            let (source, entitled) = self.authority_of(speaker, above);
            is_key(&source, &fact.source)
                || entitled.iter().any(|entitling| match (entitling, &fact.authority) {
                    (Entitling::Certifier(key), Authority::Certifier(digest))
                    | (Entitling::Owner(key), Authority::Key(digest))
                        if is_key(key, digest) =>
                    {
                        true
                    }
                    (entitling, _) => is_over(entitling),
                })
        };
        fact.is_lifted_by(word) && by.iter().all(is_allowed)
    }

    /// Writes down that a certificate is revoked, or on hold, where there is memory for it.
    pub(super) fn write_down(&self, certificate: &Certificate, above: &[Certificate], word: &Word) {
        let Some(issuer) = above.first().filter(|_| !self.sources.revoked.is_empty()) else { return };
        let fact = |entitling: &Entitling| -> Result<RevokedFact, Unusable> {
            Ok(RevokedFact {
                who: self.id_of(certificate, issuer, &self.key_of(issuer).as_spki())?,
                issuer: self.key_digest(&self.key_of(issuer))?,
                branch: self.branch_of(above)?,
                authority: match entitling {
                    Entitling::Issuer => Authority::Issuer,
                    Entitling::Certifier(key) => Authority::Certifier(self.sha256(&[&key.as_spki()])?),
                    Entitling::Owner(key) => Authority::Key(self.sha256(&[&key.as_spki()])?),
                },
                source: self.sha256(&[&word.source.as_spki()])?,
                since: word.since,
                reason: word.reason,
                made: word.made,
                end: certificate.not_after(),
                list: word.list.clone(),
            })
        };
        for entitling in &word.entitled {
            // Without a digest nothing can be written; this verdict stands all the same.
            if let Ok(fact) = fact(entitling) {
                self.sources.revoked.iter().for_each(|record| record.note(&fact, self.checks.at.known()));
            }
        }
    }

    /// The issuer was met in good order.
    fn meet(&self, above: &[Certificate]) {
        let Some(issuer) = above.first().filter(|_| !self.sources.revoked.is_empty()) else { return };
        // Without a digest it is met another time.
        if let (Ok(issuer), Ok(branch)) = (self.key_digest(&self.key_of(issuer)), self.branch_of(above)) {
            self.sources.revoked.iter().for_each(|record| record.meet(&issuer, &branch));
        }
    }

    /// The key of the CA that the anchor has certified, or of the anchor, if that is the issuer. Whoever stands below it makes as many
    /// issuers and lists as it likes: it has its part of the room with all of them.
    pub(super) fn branch_of(&self, above: &[Certificate]) -> Result<KeyDigest, Unusable> {
        let branch = above.iter().rev().nth(1).or(above.first()).ok_or("the certificate has no issuer")?;
        self.key_digest(&self.key_of(branch))
    }

    /// On whose word a list is that this certificate's key has signed: the keys on its path, which is the path that is checked or was
    /// found to authorise it. `None` where nobody keeps anything.
    pub(super) fn line_of_signer(&self, signer: &Certificate, above: &[Certificate]) -> Option<Line> {
        if let Some(place) = above.iter().position(|certificate| certificate == signer) {
            return self.line(&above[place..]);
        }
        let authorised = self.authorised.borrow();
        let found = authorised.iter().find_map(|(known, _, found)| found.as_ref().ok().filter(|_| known == signer));
        // Without a path it is another certificate of the issuer's key.
        self.line(found.map_or(above, |found| &found.chain))
    }

    /// A path from a signer up to an anchor, as a line.
    pub(super) fn line<'c>(&self, chain: impl IntoIterator<Item = &'c Certificate>) -> Option<Line> {
        if self.sources.revoked.is_empty() {
            return None;
        }
        let mut line = chain.into_iter().map(|c| self.key_digest(&self.key_of(c)).ok()).collect::<Option<Line>>()?;
        line.reverse();
        Some(line)
    }

    /// Whether what entitled the source of a fact does so for the issuer on this path, under these anchors.
    fn counts(&self, fact: &RevokedFact, certificate: &Certificate, above: &[Certificate]) -> Result<bool, Unusable> {
        let is_key = |certificate: &Certificate, key: &[u8; 32]| -> Result<bool, Unusable> {
            let usual = self.key_sha256(&self.key_of(certificate))?;
            // As it was written before keys had one form, too.
            let as_it_came = self.sha256(&[certificate.spki()])?;
            Ok([usual, as_it_came].contains(key))
        };
        match &fact.authority {
            Authority::Issuer => return Ok(true),
            Authority::Key(key) => {
                for trusted in self.anchors.iter().chain(&self.policy().trusted_responders) {
                    if is_key(trusted, key)? {
                        return Ok(true);
                    }
                }
            }
            Authority::Certifier(key) => {
                for ca in above {
                    if is_key(ca, key)? {
                        return Ok(true);
                    }
                }
                let Some(issuer) = above.first() else { return Ok(false) };
                for ca in self.knowledge.named(Hashed::issuer(issuer), self.anchors, self.pool) {
                    // Anybody may have sent it: what costs something is asked once the signature is paid for and holds.
                    let is_it = match self.key_of(ca).is_written_out_already() {
                        true => is_key(ca, key)? && self.has_certified(ca, issuer)?,
                        false => self.has_certified(ca, issuer)? && is_key(ca, key)?,
                    };
                    if is_it {
                        return Ok(true);
                    }
                }
                return self.is_signer_still_entitled(fact, (certificate, issuer), above);
            }
        }
        Ok(false)
    }

    /// Whether the key that has signed a word is one of this issuer's signers, or of the CRL issuer that the certificate names, under the
    /// present anchors: who has certified both then may be gone, and others have.
    fn is_signer_still_entitled(
        &self,
        fact: &RevokedFact,
        (certificate, issuer): (&Certificate, &Certificate),
        above: &[Certificate],
    ) -> Result<bool, Unusable> {
        let points = certificate.extension(oid::CE_CRL_DISTRIBUTION_POINTS).map(|points| points.value);
        // What cannot be read names nobody; the lists' scope says so.
        let points = points.and_then(|points| distribution_points(points).ok()).unwrap_or_default();
        let of_points = points.iter().flat_map(|point| &point.crl_issuer).filter_map(|name| match name {
            GeneralName::Directory(name) => Some(*name),
            _ => None,
        });
        let named = |name| self.knowledge.named(name, self.anchors, self.pool);
        for signer in core::iter::once(Hashed::subject(issuer)).chain(of_points.map(Hashed::of)).flat_map(named) {
            let key = self.key_of(signer);
            if !key.is_written_out_already() || self.key_sha256(&key)? != fact.source {
                continue;
            }
            for ca in self.knowledge.named(Hashed::issuer(signer), self.anchors, self.pool) {
                let key = self.key_of(ca);
                if self.has_certified(ca, signer)?
                    && (above.iter().any(|above| self.key_of(above) == key) || self.has_certified(ca, issuer)?)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Under what a certificate may stand in the record: by its issuer's key, and by the bytes of that as they came, as it was
    /// written before keys had one form.
    fn ids_of(&self, certificate: &Certificate, issuer: &Certificate) -> Result<Vec<RevokedId>, Unusable> {
        let key = self.key_of(issuer);
        let mut ids = vec![self.id_of(certificate, issuer, &key.as_spki())?];
        if *key.as_spki() != *issuer.spki() {
            ids.push(self.id_of(certificate, issuer, issuer.spki())?);
        }
        Ok(ids)
    }

    fn id_of(&self, certificate: &Certificate, issuer: &Certificate, key: &[u8]) -> Result<RevokedId, Unusable> {
        Ok(told::id_of(self.provider, certificate, issuer, key)?)
    }

    fn key_digest(&self, key: &KeyIdentity<'_>) -> Result<KeyDigest, Unusable> {
        Ok(*self.key_sha256(key)?.first_chunk().ok_or("a digest without bytes")?)
    }

    fn key_sha256(&self, key: &KeyIdentity<'_>) -> Result<[u8; 32], Unusable> {
        key.digest(|spki| self.sha256(&[spki]))
    }

    fn sha256(&self, parts: &[&[u8]]) -> Result<[u8; 32], Unusable> {
        Ok(told::sha256(self.provider, parts)?)
    }
}

fn without_room(until: Time) -> Unusable {
    let text = "the record of revoked certificates had no room for what was said of its issuer's certificates until";
    format!("{text} {until}, and no later word is at hand").into()
}
