//! The search for a certificate's status among the data at hand; who may sign such data: `status_signers`.

use alloc::borrow::Cow;
use core::cell::{Cell, OnceCell, RefCell};
use core::cmp::Ordering;

use super::checks::{CheckTime, Checks};
use super::crl::Crl;
use super::freshness::{Freshness, Window};
use super::knowledge::{Knowledge, Source};
use super::names::Hashed;
use super::revocation_policy::{RevocationPolicy, StatusPreference};
use super::revoked::{GoodWord, ListPlace};
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use super::unusable::Unusable;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::Certificate;
use crate::crypto::{KeyIdentity, Provider, dsa};
use crate::prelude::*;
use crate::time::Time;

/// Most signers of status data that are named as without a status: whoever fetches theirs looks at fewer.
const MAX_UNKNOWN_SIGNERS: usize = 16;

/// Most CAs that are written down as having certified a signer and the issuer: during a change of roots there are two or three.
const MAX_CERTIFIERS: usize = 4;

/// What is known about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not revoked.
    Good {
        /// Last second at which the data that says so is current.
        until: Time,
        /// Who says so, and as of when: the newest word first, which decides. A hold ends by any that is later and may end it.
        words: Vec<Spoken>,
        /// Checks on the data that could not be made.
        notes: Vec<String>,
    },
    /// Revoked: since when, why, who says so.
    Revoked(Revocation),
    /// Nothing usable; what was looked at and why it is of no use.
    Unknown(Vec<Unusable>),
}

/// A revocation whose source was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    /// In words.
    pub text: String,
    /// What is written down of it; `None` where it is not certain to be about this certificate, or known from before.
    pub word: Option<Word>,
    /// Whose key says so now; `None`: known from before.
    pub source: Option<KeyIdentity<'static>>,
    /// Since when; `None`: that is not known.
    pub since: Option<Time>,
    /// It is a hold that is known from before alone: a later word may be had that lifts it.
    pub is_old_hold: bool,
    /// It is for good and on its issuer's word: it counts whatever path leads to the certificate, and nothing that others say adds to it.
    pub is_final: bool,
    /// What others say of it besides. Each counts by itself elsewhere, and where it can be lifted, each is to be lifted.
    pub others: Vec<Revocation>,
}

/// That somebody is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub word: GoodWord,
    /// All on whose word it is.
    pub by: Vec<Speaker>,
}

/// Who says that somebody is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The signer of a list.
    Signer(Certificate),
    /// An OCSP responder's key, and on what its word rests.
    Responder(KeyIdentity<'static>, Vec<Entitling>),
}

impl Revocation {
    /// One that is not written down.
    pub fn passing(text: String) -> Self {
        Revocation {
            text,
            word: None,
            source: None,
            since: None,
            is_old_hold: false,
            is_final: false,
            others: Vec::new(),
        }
    }

    /// Whether nothing takes it back (RFC 5280 section 5.3.1: a hold alone can be lifted).
    pub fn is_for_good(&self) -> bool {
        self.word.as_ref().is_some_and(|word| word.reason != CrlReason::CertificateHold)
    }

    /// Both: what is for good first, and of two of a kind what counts on more paths, or the later.
    pub fn with(self, other: Self) -> Self {
        let order = |found: &Self| {
            // What is not certain to be about this certificate is lifted by nothing.
            let made = found.word.as_ref().map_or(Time::FOREVER, |word| word.made);
            (found.is_final, found.is_for_good(), made)
        };
        let (mut first, second) = if order(&other) > order(&self) { (other, self) } else { (self, other) };
        let Revocation { others, .. } = second.clone();
        first.others.push(Revocation { others: Vec::new(), ..second });
        first.others.extend(others);
        first
    }

    /// Each by itself.
    pub fn each(mut self) -> Vec<Self> {
        let others = core::mem::take(&mut self.others);
        core::iter::once(self).chain(others).collect()
    }

    /// What is left of several.
    pub fn of(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().reduce(Self::with)
    }

    /// Whether a later word would change something.
    pub fn is_hold(&self) -> bool {
        self.is_old_hold || self.word.as_ref().is_some_and(|word| word.reason == CrlReason::CertificateHold)
    }

    /// Whether it may have come after something that was signed then. Whoever is revoked clears nobody any more, and undoes nothing that
    /// it has said against others before: a signer that retires takes none of its revocations along.
    pub fn came_after(&self, made: Time) -> bool {
        self.since.is_none_or(|since| made < since) && self.others.iter().all(|other| other.came_after(made))
    }

    /// Whether it is settled whatever is found of those who sign for this issuer: known from before, or by the issuer's own key.
    pub fn is_settled(&self, issuer: &Certificate) -> bool {
        self.source.as_ref().is_none_or(|source| *source == KeyIdentity::of(issuer))
            || self.others.iter().any(|other| other.is_settled(issuer))
    }
}

/// What is written down of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub since: Option<Time>,
    pub reason: CrlReason,
    /// thisUpdate of the list or response.
    pub made: Time,
    /// Of a hold by a list, which one.
    pub list: Option<ListPlace>,
    /// The signer's key.
    pub source: KeyIdentity<'static>,
    /// On what it rests: each alone is enough.
    pub entitled: Vec<Entitling>,
}

/// What entitles a signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entitling {
    /// It is the issuer's own key, or certified by it.
    Issuer,
    /// This key has certified the signer, and the issuer too.
    Certifier(KeyIdentity<'static>),
    /// The owner trusts this key.
    Owner(KeyIdentity<'static>),
}

impl Entitling {
    /// Whether whoever is entitled so may take back what others hold: the issuer may, and whom the owner trusts. A CA that has certified
    /// the issuer's key once more may not, nor whom it has certified: any CA below an anchor can do that.
    pub fn is_over_all(&self) -> bool {
        matches!(self, Entitling::Issuer | Entitling::Owner(_))
    }
}

/// What a signer of CRLs may say about certificates of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Who is revoked and who is not, as long as its own certificates and their status last.
    Full { until: Time },
    /// Who is revoked: it has authority, but not on this path.
    RevocationsOnly,
}

/// A valid path of a signer of CRLs.
#[derive(Clone, Debug)]
pub(super) struct SignerChain {
    pub chain: Vec<Certificate>,
    /// Whether it ends at the anchor of the path that is checked.
    pub same_anchor: bool,
    /// How long the status of what is on it is known as far as the policy asks, and its certificates are valid. Without, it has the power to
    /// revoke and not the power to clear: a doubt about the signer is no good news about a peer.
    pub good_until: Option<Time>,
    /// The signer is itself revoked: what it has said before stands against those of whom it was said.
    pub revoked: Option<Revocation>,
}

impl SignerChain {
    pub fn standing(&self) -> Standing {
        match self.good_until.filter(|_| self.same_anchor && self.revoked.is_none()) {
            Some(until) => Standing::Full { until },
            None => Standing::RevocationsOnly,
        }
    }
}

/// A signer, how many anchors count, what is left aside, and as of when.
pub(super) type SignerSearch = (Certificate, usize, Vec<Certificate>, CheckTime);
/// Such a search and the path that it has found.
pub(super) type SignerPath = (SignerSearch, Result<Vec<Certificate>, Unusable>);

/// A signer, as of when where its certificate is over, and what was found.
pub(super) type Authorised = (Certificate, Option<Time>, Result<SignerChain, Unusable>);

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
    /// Whether what is known from before could not be told for the last certificate whose status is not known.
    is_unasked: Cell<bool>,
    /// Signers of status data whose own status was looked for and not found, with their chains to the anchor.
    unknown_signers: RefCell<Vec<Vec<Certificate>>>,
    /// Signers whose own status is being looked for.
    pub(super) in_progress: RefCell<Vec<Certificate>>,
    /// A signer was met that another revokes who is not the issuer.
    pub(super) has_accused: Cell<bool>,
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
            is_unasked: Cell::new(false),
            unknown_signers: RefCell::default(),
            in_progress: RefCell::default(),
            has_accused: Cell::new(false),
            signer_paths: RefCell::default(),
            authorised: RefCell::default(),
            lists: OnceCell::new(),
        }
    }

    pub(super) fn policy(&self) -> &RevocationPolicy {
        &self.checks.revocation
    }

    /// Whether nobody can tell what is known from before against the certificate that was last found without a status: to need none is no
    /// permission not to know that.
    pub(super) fn is_unasked(&self) -> bool {
        self.is_unasked.get()
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
            return Status::Unknown(vec!["the certificate has no issuer".into()]);
        };
        let key = self.key_of(issuer);
        if let Some((text, since, is_final)) = self.knowledge.revoked(certificate, issuer, &key) {
            if !is_final && !self.sources.revoked.is_empty() {
                // Found on another path: what is said on this one may count where that does not.
                if let Status::Revoked(more) = self.said_now(certificate, above) {
                    self.take_down(certificate, above, more);
                }
            }
            return Status::Revoked(Revocation { since, is_final, ..Revocation::passing(text) });
        }
        let before = self.known_before(certificate, above);
        if let Some(found) = before.as_ref().ok().and_then(|before| before.for_good.clone()) {
            if !found.is_final {
                // Others may say it too, whose word counts where this one does not.
                if let Status::Revoked(more) = self.said_now(certificate, above) {
                    self.take_down(certificate, above, more);
                }
            }
            let word = (found.since, found.is_final);
            self.knowledge.note_revoked(certificate, issuer, &key, &found.text, word);
            return Status::Revoked(found);
        }
        let is_unasked = before.as_ref().map_or(true, |before| before.lost.is_some());
        let status = match (self.said_now(certificate, above), before) {
            (Status::Revoked(found), _) => {
                self.take_down(certificate, above, found.clone());
                Status::Revoked(found)
            }
            // Not to know who was revoked before is no permission.
            (Status::Good { .. }, Err(why)) => Status::Unknown(vec![why]),
            (status, Ok(before)) => self.after(above, before, status),
            (Status::Unknown(reasons), Err(why)) => Status::Unknown(core::iter::once(why).chain(reasons).collect()),
        };
        self.is_unasked.set(is_unasked && matches!(status, Status::Unknown(_)));
        status
    }

    /// What the data at hand says.
    fn said_now(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        self.join(self.ocsp_status(certificate, above), || self.crl_status(certificate, above), above)
    }

    /// Remembers what was found, in this validation and in device memory. What rests on a signer that is itself in question is no fact yet;
    /// that such a signer is revoked is one, on the word of others.
    fn take_down(&self, certificate: &Certificate, above: &[Certificate], found: Revocation) {
        let Some(issuer) = above.first() else { return };
        let key = self.key_of(issuer);
        for found in found.each() {
            if !self.is_in_question(&found, issuer) {
                let word = (found.since, found.is_final);
                self.knowledge.note_revoked(certificate, issuer, &key, &found.text, word);
                if let Some(word) = &found.word {
                    self.write_down(certificate, above, word);
                }
            }
        }
    }

    /// Whether a good word ends a hold (RFC 5280 section 5.3.1): where it is later, in whatever form, and all who say it may speak wherever
    /// the hold counts. Who signs status data does not lift its own.
    fn lifts(&self, Spoken { word: good, by }: &Spoken, hold: &Revocation, above: &[Certificate]) -> bool {
        let Some(word) = hold.word.as_ref().filter(|word| word.reason == CrlReason::CertificateHold) else {
            return false;
        };
        word.made < good.from
            && self.in_progress.borrow().is_empty()
            && by.iter().all(|speaker| {
                let (source, entitled) = self.authority_of(speaker, above);
                source == word.source
                    || entitled.iter().any(Entitling::is_over_all)
                    || word.entitled.iter().all(|held| entitled.contains(held))
            })
    }

    /// Whose key it is, and on what its word rests on this path.
    pub(super) fn authority_of(
        &self,
        speaker: &Speaker,
        above: &[Certificate],
    ) -> (KeyIdentity<'static>, Vec<Entitling>) {
        match speaker {
            Speaker::Signer(signer) => (self.key_of(signer).into_owned(), self.entitling(signer, above)),
            Speaker::Responder(key, entitling) => (key.clone(), entitling.clone()),
        }
    }

    /// Whether what was found rests on a signer that is itself in question, or may be as somebody in question accuses others.
    fn is_in_question(&self, found: &Revocation, issuer: &Certificate) -> bool {
        let in_progress = self.in_progress.borrow();
        let is_sources = |signer: &Certificate| found.source.as_ref().is_some_and(|key| self.key_of(signer) == *key);
        !in_progress.is_empty()
            && !found.is_settled(issuer)
            && (self.has_accused.get() || in_progress.iter().any(is_sources))
    }

    /// Which key a certificate holds: what keys are compared by. A DSA key may have its parameters from the keys above it on the
    /// path (RFC 5280 section 6.1.4 (f)).
    pub(super) fn key_of<'c>(&self, certificate: &'c Certificate) -> KeyIdentity<'c> {
        match self.working_key(certificate) {
            Cow::Borrowed(_) => KeyIdentity::of(certificate),
            Cow::Owned(key) => KeyIdentity::of_spki(&key).into_owned(),
        }
    }

    /// Whether two certificates hold the same key.
    pub(super) fn is_same_key(&self, a: &Certificate, b: &Certificate) -> bool {
        self.key_of(a) == self.key_of(b)
    }

    /// The key of a certificate as signatures are checked with it.
    pub(super) fn working_key<'c>(&'c self, certificate: &'c Certificate) -> Cow<'c, [u8]> {
        if !KeyIdentity::may_inherit(certificate) {
            return Cow::Borrowed(certificate.spki());
        }
        let place = self.path.iter().position(|c| c == certificate).unwrap_or(self.path.len());
        dsa::working_key(certificate.spki(), self.path.iter().skip(place + 1).map(Certificate::spki))
    }

    /// On whose word what this signer of a CRL says rests. On nobody's where it has nothing but the name that a distribution point gives to
    /// its list's issuer: whoever is certified below an anchor may take that, so it refuses while it is at hand, and lasts no longer.
    pub(super) fn entitling(&self, signer: &Certificate, above: &[Certificate]) -> Vec<Entitling> {
        let Some(issuer) = above.first() else { return Vec::new() };
        let (key, issuer_key) = (self.key_of(signer), self.key_of(issuer));
        if key == issuer_key {
            return vec![Entitling::Issuer];
        }
        let authorised = self.authorised.borrow();
        let found = authorised.iter().find_map(|(known, _, found)| found.as_ref().ok().filter(|_| known == signer));
        let mut entitling = Vec::new();
        match found.map(|found| found.chain.get(1).unwrap_or(signer)) {
            // It stands on the path itself.
            None => entitling.push(Entitling::Certifier(key.into_owned())),
            Some(certifier) => {
                let key = self.key_of(certifier);
                if key == issuer_key {
                    return vec![Entitling::Issuer];
                }
                if self.is_parent(&key, certifier, issuer, above) {
                    entitling.push(Entitling::Certifier(key.into_owned()));
                }
                // Others may have certified both, and be all that is left of them one day. One's own stand first.
                let others = self.knowledge.named(Hashed::issuer(signer), self.anchors, self.pool);
                for other in others.into_iter().take(2 * MAX_CERTIFIERS) {
                    let key = self.key_of(other);
                    let is_known = |known: &Entitling| matches!(known, Entitling::Certifier(known) if *known == key);
                    if entitling.len() < MAX_CERTIFIERS
                        && !entitling.iter().any(is_known)
                        && self.has_certified(other, signer).unwrap_or(false)
                        && self.is_parent(&key, other, issuer, above)
                    {
                        entitling.push(Entitling::Certifier(key.into_owned()));
                    }
                }
            }
        }
        let place = above.iter().position(|certificate| certificate == signer).unwrap_or_default();
        let chain = found.map_or(&above[place..], |found| &found.chain);
        // The anchor itself, or whom it has certified directly: what one of its CAs has certified is not its own word, and counts below that
        // CA alone.
        let anchor = chain.last().filter(|_| chain.len() <= 2);
        entitling.extend(anchor.map(|anchor| Entitling::Owner(self.key_of(anchor).into_owned())));
        entitling
    }

    /// On whose word it rests that this signer of a CRL has revoked somebody: as [`Self::entitling`], and with what entitles every other
    /// certificate of its name and key at hand. Which of them a list is met with is the choice of whoever sends them, and takes nothing away
    /// of what the key has revoked; to clear somebody, each stands for itself.
    pub(super) fn entitling_to_revoke(&self, signer: &Certificate, above: &[Certificate]) -> Vec<Entitling> {
        let mut entitling = self.entitling(signer, above);
        let Some(issuer) = above.first() else { return entitling };
        if entitling.contains(&Entitling::Issuer) {
            return entitling;
        }
        let key = self.key_of(signer);
        let named = |name| self.knowledge.named(name, self.anchors, self.pool);
        let is_another = |other: &&Certificate| {
            let other_key = self.key_of(other);
            // Keys in another form cost as much as a signature each, and anybody may have sent them.
            let is_paid = || other_key.is_written_out_already() || self.spend_signature(Source::Crl).is_ok();
            *other != signer && is_paid() && other_key == key
        };
        let mut more = Vec::new();
        for other in named(Hashed::subject(signer)).into_iter().filter(is_another) {
            for ca in named(Hashed::issuer(other)) {
                let ca_key = self.key_of(ca);
                if !self.has_certified(ca, other).unwrap_or(false) {
                    continue;
                }
                if ca_key == self.key_of(issuer) {
                    return vec![Entitling::Issuer];
                }
                if self.is_parent(&ca_key, ca, issuer, above) {
                    if self.anchors.iter().any(|anchor| anchor == ca) {
                        more.push(Entitling::Owner(ca_key.clone().into_owned()));
                    }
                    more.push(Entitling::Certifier(ca_key.into_owned()));
                }
            }
        }
        // Those of the owner's anchors first, and the rest in an order that nobody chooses.
        crate::order::sort_by(&mut more, |one, other| order_of(one).cmp(&order_of(other)));
        for one in more {
            if entitling.len() < 2 * MAX_CERTIFIERS && !entitling.contains(&one) {
                entitling.push(one);
            }
        }
        entitling
    }

    /// Whether a CA stands above the issuer on the path, or has certified it. A budget that ended is remembered and decides.
    fn is_parent(&self, key: &KeyIdentity<'_>, ca: &Certificate, issuer: &Certificate, above: &[Certificate]) -> bool {
        above.iter().any(|above| self.key_of(above) == *key) || self.has_certified(ca, issuer).unwrap_or(false)
    }

    /// Revoked over good over unknown; that a budget ended stands in the knowledge and decides over the last two.
    fn join(&self, ocsp: Status, crl: impl FnOnce() -> Status, above: &[Certificate]) -> Status {
        if matches!(&ocsp, Status::Revoked(found) if found.is_final) {
            return ocsp;
        }
        match (ocsp, crl()) {
            (Status::Revoked(one), Status::Revoked(other)) => Status::Revoked(one.with(other)),
            (Status::Revoked(found), Status::Good { until, words, notes })
            | (Status::Good { until, words, notes }, Status::Revoked(found)) => {
                match self.unless_lifted(found, &words, above) {
                    Some(found) => Status::Revoked(found),
                    None => Status::Good { until, words, notes },
                }
            }
            (revoked @ Status::Revoked(_), _) | (_, revoked @ Status::Revoked(_)) => revoked,
            (Status::Good { until, words, notes }, Status::Good { until: other, words: lists, notes: more }) => {
                let from = |words: &[Spoken]| words.first().map(|spoken| spoken.word.from);
                // The newer word says until when: an old one, with which somebody came, lengthens nothing.
                let is_ocsp = match (from(&words).cmp(&from(&lists)), self.policy().prefer) {
                    (Ordering::Greater, _) | (Ordering::Equal, StatusPreference::Ocsp) => true,
                    (Ordering::Less, _) | (Ordering::Equal, StatusPreference::Crl) => false,
                };
                match is_ocsp {
                    true => Status::Good { until, words: [words, lists].concat(), notes },
                    false => Status::Good { until: other, words: [lists, words].concat(), notes: more },
                }
            }
            (good @ Status::Good { .. }, _) | (_, good @ Status::Good { .. }) => good,
            (Status::Unknown(mut reasons), Status::Unknown(more)) => {
                reasons.extend(more);
                Status::Unknown(reasons)
            }
        }
    }

    /// What is left of what was found against somebody where others say later that it is good.
    pub(super) fn unless_lifted(
        &self,
        found: Revocation,
        words: &[Spoken],
        above: &[Certificate],
    ) -> Option<Revocation> {
        let is_lifted = |found: &Revocation| words.iter().any(|spoken| self.lifts(spoken, found, above));
        Revocation::of(found.each().into_iter().filter(|found| !is_lifted(found)))
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
    pub(super) fn spend_signature(&self, source: Source) -> Result<(), Unusable> {
        self.knowledge.spend(source, 1)
    }
}

/// Anchors first, then by the key.
fn order_of(entitling: &Entitling) -> (u8, Cow<'_, [u8]>) {
    match entitling {
        Entitling::Issuer => (0, Cow::Borrowed(&[])),
        Entitling::Owner(key) => (1, key.as_spki()),
        Entitling::Certifier(key) => (2, key.as_spki()),
    }
}
