//! A certificate's status by CRLs: RFC 5280 section 6.3.3.

mod series;
mod signer;

use alloc::collections::BTreeMap;

use super::checks::Profile;
use super::crl::{Crl, Found, FoundEntry};
use super::crl_scope::{Points, same_series};
use super::freshness::{Freshness, Window};
use super::names::{hash_cost, same_name};
use super::revoked::{GoodWord, ListPlace};
use super::status::{Entitling, Revocation, Speaker, Spoken, Standing, Status, StatusSearch, Word};
use super::unusable::Unusable;
use crate::asn1::crl::CrlReason;
use crate::asn1::distribution_point::ReasonSet;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::prelude::*;
use crate::time::Time;

/// What one list, with its delta, says about a certificate.
enum Said {
    Revoked(Revocation),
    /// The certificate is not on it; how far that can be relied upon, or why not at all.
    NotListed(Result<Reliance, Unusable>),
}

/// How far a list can be relied upon for those whom it does not list.
struct Reliance {
    /// thisUpdate of the list, or of the delta that makes it one of today.
    from: Time,
    until: Time,
    note: Option<String>,
    /// Which list, where its series has numbers.
    list: Option<ListPlace>,
    signer: Certificate,
}

/// A list whose signer is known and entitled.
struct Authentic<'s> {
    crl: &'s Crl,
    signer: &'s Certificate,
    standing: Standing,
    /// Why its certificate allows no more than to revoke, where that says so.
    doubt: Option<Unusable>,
}

/// What was found about one certificate while its lists are gone through, the newest of each series first.
#[derive(Default)]
struct Lists<'s> {
    /// Why a list is of no use, put into words only where there is no status.
    against: Vec<(&'s Crl, Unusable)>,
    /// Lists that do not list the certificate.
    clear: Vec<Authentic<'s>>,
    /// Lists from an entitled signer that cannot be read for this certificate.
    blind: Vec<Authentic<'s>>,
}

impl StatusSearch<'_> {
    /// The certificate's status by the CRLs at hand; `above` is its chain from its issuer to the anchor. All lists that
    /// speak about it are asked, whatever their numbers, and one that revokes decides.
    pub(super) fn crl_status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let (points, unreadable) = match Points::of(certificate, above.first()) {
            Ok(points) => (points, None),
            // Which lists clear it cannot be told; its issuer's lists revoke it all the same.
            Err(error) => {
                (Points::of_issuer_alone(certificate, above.first()), Some(Unusable::from(error.to_string())))
            }
        };
        let mut lists = Lists::default();
        let mut covered = ReasonSet::NONE;
        let (mut from, mut until) = (Time::FOREVER, Time::FOREVER);
        let (mut notes, mut places, mut by, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut found: Option<Revocation> = None;
        for crl in self.complete_lists() {
            let (scope, silence) = match points.scope(crl) {
                Ok(scope) => (scope, Unusable::from("the certificate hands its revocation over to another CRL issuer")),
                // By its scope it clears others (RFC 5280 section 6.3.3 (b)); whom it lists is revoked all the same.
                Err(why) if points.may_name(crl) && crl.may_list(certificate.serial()) => (ReasonSet::NONE, why.into()),
                Err(why) => {
                    lists.against.push((crl, why.into()));
                    continue;
                }
            };
            let said = self.ask(crl, certificate, above, &points, &mut lists);
            match said {
                // Others may say it for good, or by a word that counts where this one does not.
                Ok(Said::Revoked(one)) => {
                    let is_final = one.is_final;
                    found = Revocation::of(found.into_iter().chain([one]));
                    if let Some(found) = found.take_if(|_| is_final) {
                        return Status::Revoked(found);
                    }
                }
                Ok(Said::NotListed(_)) if scope == ReasonSet::NONE => {
                    lists.against.push((crl, silence));
                }
                // (e); the newest list that covers a reason says until when.
                Ok(Said::NotListed(Ok(reliance))) if covered.contains(scope) => {
                    // It says nothing of until when. A hold that it ends is ended.
                    if scope == ReasonSet::ALL {
                        let lists = reliance.list.into_iter().collect();
                        let word = GoodWord { from: reliance.from, lists };
                        others.push(Spoken { word, by: vec![Speaker::Signer(reliance.signer)] });
                    }
                }
                Ok(Said::NotListed(Ok(reliance))) => {
                    covered = covered.union(scope);
                    from = from.min(reliance.from);
                    until = until.min(reliance.until);
                    notes.extend(reliance.note);
                    places.extend(reliance.list);
                    by.push(Speaker::Signer(reliance.signer));
                }
                // Not lost: what revokes is looked at before whether a list can be relied upon; and a budget that ended
                // is remembered in the knowledge.
                Ok(Said::NotListed(Err(why))) | Err(why) => lists.against.push((crl, why)),
            }
        }
        if let Some(by_delta) = self.revoked_by_a_delta(certificate, above, &points, &mut lists) {
            return Status::Revoked(found.into_iter().fold(by_delta, Revocation::with));
        }
        // Lists of another series lift a hold if they are later and leave nothing open.
        let is_clear = covered == ReasonSet::ALL && unreadable.is_none();
        let mut words = vec![Spoken { word: GoodWord { from, lists: places }, by }];
        words.append(&mut others);
        let found = match is_clear {
            true => found.and_then(|found| self.unless_lifted(found, &words, above)),
            false => found,
        };
        if let Some(found) = found {
            return Status::Revoked(found);
        }
        if is_clear {
            return Status::Good { until, words, notes };
        }
        let mut reasons: Vec<Unusable> =
            lists.against.into_iter().map(|(crl, why)| why.of(self.describe(crl))).collect();
        reasons.extend(unreadable);
        if covered != ReasonSet::NONE {
            reasons.push("the usable CRLs cover only some reasons".into());
        }
        if self.sources.crls.is_empty() {
            reasons.push("no CRL at hand".into());
        } else if reasons.is_empty() {
            reasons.push("delta CRLs alone are at hand, and no list that they change".into());
        }
        Status::Unknown(reasons)
    }

    /// The lists at hand; one that is there twice is one, and costs its signature once.
    fn lists(&self) -> &[&Crl] {
        self.lists.get_or_init(|| {
            let mut by_signature: BTreeMap<&[u8], Vec<&Crl>> = BTreeMap::new();
            let mut lists = Vec::new();
            for crl in self.sources.crls.iter().map(|crl| &**crl) {
                let known = by_signature.entry(crl.signature()).or_default();
                // The signature finds it, the bytes decide: anybody can put it under another list.
                if !known
                    .iter()
                    .any(|known| core::ptr::eq(*known, crl) || (crl.der().is_some() && known.der() == crl.der()))
                {
                    known.push(crl);
                    lists.push(crl);
                }
            }
            lists
        })
    }

    /// Complete lists, the newest first: numbers of different series say nothing of each other.
    fn complete_lists(&self) -> Vec<&Crl> {
        let mut lists: Vec<&Crl> = self.lists().iter().copied().filter(|c| c.base_number().is_none()).collect();
        crate::order::sort_by(&mut lists, |a, b| (b.this_update(), b.number()).cmp(&(a.this_update(), a.number())));
        lists
    }

    /// Steps (f) to (k) for a list whose scope fits.
    fn ask<'s>(
        &'s self,
        crl: &'s Crl,
        certificate: &Certificate,
        above: &'s [Certificate],
        points: &Points<'_>,
        lists: &mut Lists<'s>,
    ) -> Result<Said, Unusable> {
        // The signature before the entries: whose list it is decides whether anybody reads it.
        let authentic = self.signer(crl, above, points, certificate)?;
        let (signer, standing) = (authentic.signer, authentic.standing);
        let doubt = authentic.doubt.clone();
        let listed = match (crl.unusable().map(Unusable::from), self.entry_for(crl, certificate)) {
            (None, Ok(listed)) => listed,
            // It clears nobody; whom it names is revoked (X.509 section 7.3).
            (Some(_), Ok(Some(entry))) if crl.revokes(&entry) && !self.is_lifted(crl, signer, &entry, lists) => {
                return Ok(Said::Revoked(self.revocation((crl, crl), &entry, signer, above)));
            }
            (Some(why), _) | (None, Err(why)) => {
                lists.blind.push(authentic);
                return Err(why);
            }
        };
        // The list itself, or the delta that makes it one of today.
        let mut latest = crl;
        let mut removed = false;
        let mut unread = None;
        for delta in self.deltas(crl) {
            // Not this signer's word takes nothing away and adds nothing; where the budget ended, the knowledge has it and the
            // verdict is a refusal.
            let Ok(fits) = self.verify(delta, signer) else { continue };
            let usable = fits && self.is_current_update(crl, delta);
            if !self.is_in_progress(signer) {
                delta.entitled().note(&crl.signers(), None);
                delta.bring_lines(crl.lines());
            }
            let entry = match (delta.unusable().map(Unusable::from), self.entry_for(delta, certificate)) {
                (None, Ok(entry)) => entry,
                (Some(_), Ok(Some(entry))) if delta.revokes(&entry) => Some(entry),
                (Some(why), _) | (None, Err(why)) => {
                    // Later than the list and by its signer, and it cannot be read: the list alone clears nobody.
                    unread = Some(why.of(self.describe(delta)));
                    continue;
                }
            };
            match entry {
                // Also from a delta that cannot be combined with this list: it is later, and says revoked.
                Some(entry) if delta.revokes(&entry) => {
                    self.guard(delta, delta.number(), signer, (standing, above))?;
                    // A hold in a delta takes nothing back of what the list says for good.
                    let is_hold = |entry: &FoundEntry| entry.reason == CrlReason::CertificateHold;
                    let by_list = listed.filter(|listed| crl.revokes(listed) && !is_hold(listed) && is_hold(&entry));
                    let (by, entry) = by_list.map_or((delta, entry), |listed| (crl, listed));
                    return Ok(Said::Revoked(self.revocation((by, by), &entry, signer, above)));
                }
                Some(_) if usable => removed = true,
                _ => {}
            }
            if usable {
                lists.clear.push(Authentic { crl: delta, signer, standing, doubt: None });
                latest = delta;
                break;
            }
        }
        let is_early = self.is_from_the_future(crl.this_update());
        // Before the verdict: a list that revokes must not be followed by an older one that does not. A list of next month is
        // not noted: until then the present one is the newest.
        let older = if is_early { None } else { self.guard(crl, latest.number(), signer, (standing, above))? };
        if let Some(entry) = listed {
            // RFC 5280 section 5.3.1: removeFromCRL takes back a hold. Of a certificate that has expired it says nothing that counts.
            let is_lifted = removed && entry.reason == CrlReason::CertificateHold;
            if !is_lifted && crl.revokes(&entry) && !self.is_lifted(crl, signer, &entry, lists) {
                // A delta that does not take a hold back, as it has to (section 5.2.4), holds as of its own day.
                return Ok(Said::Revoked(self.revocation((crl, latest), &entry, signer, above)));
            }
        }
        let blind =
            lists.blind.iter().any(|blind| self.is_same_key(blind.signer, signer) && crl.is_older_than(blind.crl));
        if !is_early {
            lists.clear.push(authentic);
        }
        let usable = match (older, unread, standing) {
            (Some(rollback), ..) => Err(rollback),
            (None, Some(why), _) => Err(why),
            (None, None, _) if blind => Err("a newer list of its series is at hand and cannot be read".into()),
            (None, None, Standing::RevocationsOnly) => {
                let why = "its signer clears nobody here: it is accused or has no usable status of its own, its certificate \
                           is over, or another anchor or issuer certified it";
                Err(doubt.unwrap_or_else(|| why.into()))
            }
            (None, None, Standing::Full { until }) => self.reliance(crl, latest, until, signer),
        };
        Ok(Said::NotListed(usable))
    }

    /// How far a list can be relied upon for those whom it does not list; `latest`: itself, or the delta that goes with it. `signer_until`:
    /// how long its signer may clear anybody.
    fn reliance(
        &self,
        crl: &Crl,
        latest: &Crl,
        signer_until: Time,
        signer: &Certificate,
    ) -> Result<Reliance, Unusable> {
        let window = Window { this_update: latest.this_update(), next_update: latest.next_update() };
        let from = window.this_update;
        if self.checks.profile == Profile::Strict {
            if let Some(duty) = crl.broken_duty() {
                return Err(duty.into());
            }
        }
        let (until, note) = match self.judge(window, "CRL") {
            Freshness::Current { until } => (until, None),
            Freshness::Grace { until, text } => (until, Some(format!("{text}, used within the offline grace"))),
            Freshness::NotJudged { until } => {
                (until, Some("the time is unknown: whether the CRL is current was not checked".to_owned()))
            }
            Freshness::Refused(why) => return Err(why.into()),
        };
        let list = self.place_of(crl, latest.number(), signer);
        Ok(Reliance { from, until: until.min(signer_until), note, list, signer: signer.clone() })
    }

    /// Whether a hold (RFC 5280 section 5.3.1) was lifted by a later list of the same series and signer; a delta tells of
    /// changes only, so that its silence lifts nothing that a complete list holds. Other reasons are for good: what an older
    /// list revoked for them is revoked.
    fn is_lifted(&self, crl: &Crl, signer: &Certificate, entry: &FoundEntry, lists: &Lists<'_>) -> bool {
        entry.reason == CrlReason::CertificateHold
            && lists.clear.iter().any(|clear| {
                let speaks = clear.crl.base_number().is_none() || crl.base_number().is_some();
                speaks && self.is_same_key(clear.signer, signer) && is_earlier(crl, clear.crl)
            })
    }

    /// A delta that revokes, though there is no complete list at hand that it could be combined with; of several one that does so for
    /// good.
    fn revoked_by_a_delta<'s>(
        &'s self,
        certificate: &Certificate,
        above: &'s [Certificate],
        points: &Points<'_>,
        lists: &mut Lists<'s>,
    ) -> Option<Revocation> {
        let deltas = self.lists().iter().copied().filter(|crl| crl.base_number().is_some());
        let mut all: Option<Revocation> = None;
        for delta in deltas.filter(|delta| points.scope(delta).is_ok() || points.may_name(delta)) {
            if !delta.may_list(certificate.serial()) {
                // It does not revoke, and alone it clears nobody either.
                continue;
            }
            let authentic = match self.signer(delta, above, points, certificate) {
                Ok(authentic) => authentic,
                // Nobody's word; a budget that ended is in the knowledge.
                Err(why) => {
                    lists.against.push((delta, why));
                    continue;
                }
            };
            let entry = match self.entry_for(delta, certificate) {
                Ok(Some(entry)) if delta.revokes(&entry) => entry,
                // It was not read for this certificate, or names that took too long; that is in the knowledge.
                _ => continue,
            };
            if !self.is_lifted(delta, authentic.signer, &entry, lists) {
                let found = self.revocation((delta, delta), &entry, authentic.signer, above);
                all = Revocation::of(all.into_iter().chain([found]));
            }
        }
        all
    }

    /// Delta CRLs that are later than this list and of its series, the newest first (RFC 5280 section 5.2.4).
    fn deltas(&self, complete: &Crl) -> Vec<&Crl> {
        let Some(number) = complete.number() else { return Vec::new() };
        let mut deltas: Vec<&Crl> = self
            .lists()
            .iter()
            .copied()
            .filter(|crl| crl.base_number().is_some() && crl.number().is_some_and(|n| n > number))
            .filter(|crl| same_series(complete, crl))
            .collect();
        crate::order::sort_by(&mut deltas, |a, b| (b.this_update(), b.number()).cmp(&(a.this_update(), a.number())));
        deltas
    }

    /// Whether this delta and the complete list make a list of today: section 5.2.4 (c), and its own times.
    fn is_current_update(&self, complete: &Crl, delta: &Crl) -> bool {
        let starts_in_time = match (delta.base_number(), complete.number()) {
            (Some(base), Some(number)) => base <= number,
            _ => false,
        };
        let window = Window { this_update: delta.this_update(), next_update: delta.next_update() };
        starts_in_time && !matches!(self.judge(window, "delta CRL"), Freshness::Refused(_))
    }

    /// The entry about this certificate: serial number and certificate issuer both match (RFC 5280 section 5.3.3). Among
    /// several, in whatever order, the strongest word counts: for good over on hold over taken back.
    pub(super) fn entry_for(&self, crl: &Crl, certificate: &Certificate) -> Result<Option<FoundEntry>, Unusable> {
        let entries = match crl.find(certificate.serial()) {
            Found::Entries(entries) => entries,
            Found::NotAsked => return Err("it was read in one pass, and not for this serial number".into()),
        };
        let names = entries.iter().flat_map(|entry| &entry.certificate_issuers);
        if names.map(|name| hash_cost(name)).sum::<usize>() > MAX_ISSUER_NAMES_COST {
            return Err(self.knowledge.exhaust("work on the names in one list's entries".to_owned()));
        }
        let mut about: Vec<FoundEntry> = entries
            .into_iter()
            .filter(|entry| match entry.certificate_issuers.as_slice() {
                _ if entry.is_issuer_unknown => true,
                [] => same_name(crl.issuer(), certificate.issuer()),
                names => names.iter().any(|name| same_name(name, certificate.issuer())),
            })
            .collect();
        crate::order::sort_by_key(&mut about, |entry| (weakness(entry.reason), entry.is_issuer_unknown));
        Ok(about.into_iter().next())
    }

    /// Which list revokes it, for reports.
    pub(super) fn words_of_entry(&self, crl: &Crl, entry: &FoundEntry) -> String {
        let since = entry.revocation_date.map_or_else(|| "at an unreadable date".to_owned(), |t| format!("since {t}"));
        format!("revoked {since}, reason {}, by the {}", entry.reason, self.describe(crl))
    }

    /// What a list's entry says; a hold as of `latest`, the list itself or the delta that goes with it and leaves the hold as it is.
    fn revocation(
        &self,
        (crl, latest): (&Crl, &Crl),
        entry: &FoundEntry,
        signer: &Certificate,
        above: &[Certificate],
    ) -> Revocation {
        let text = self.words_of_entry(crl, entry);
        let source = self.key_of(signer).into_owned();
        let is_hold = entry.reason == CrlReason::CertificateHold;
        let word = (!entry.is_issuer_unknown).then(|| Word {
            since: entry.revocation_date,
            reason: entry.reason,
            made: if is_hold { latest.this_update() } else { crl.this_update() },
            list: self.place_of(crl, latest.number().filter(|_| is_hold), signer),
            source: source.clone(),
            entitled: self.entitling_to_revoke(signer, above),
        });
        let is_final = !is_hold && word.as_ref().is_some_and(|word| word.entitled.contains(&Entitling::Issuer));
        Revocation { word, source: Some(source), since: entry.revocation_date, is_final, ..Revocation::passing(text) }
    }

    fn describe(&self, crl: &Crl) -> String {
        let kind = if crl.base_number().is_some() { "delta CRL" } else { "CRL" };
        let number = crl.number().map_or_else(String::new, |n| format!(" number {n}"));
        let from = match crl.this_update().unix() {
            0 => "an unreadable date".to_owned(),
            _ => crl.this_update().to_string(),
        };
        format!("{kind}{number} of {} from {from}", display(crl.issuer()))
    }
}

/// Whether a list, complete or delta, is of the same scope as a complete one and earlier; a delta that was made with it, too.
fn is_earlier(crl: &Crl, complete: &Crl) -> bool {
    let (Some(number), Some(other)) = (crl.number(), complete.number()) else { return false };
    let is_of_then = crl.base_number().is_some() || crl.this_update() < complete.this_update();
    same_series(complete, crl) && (number < other || (number == other && is_of_then))
}

/// Which of several entries about one certificate counts, the lowest: for good, on hold, taken back (RFC 5280 section 5.3.1).
fn weakness(reason: CrlReason) -> u8 {
    match reason {
        CrlReason::RemoveFromCrl => 2,
        CrlReason::CertificateHold => 1,
        _ => 0,
    }
}

/// What the names in one list's entries about one serial number may cost, in comparisons: an indirect list has some hundred
/// issuers.
const MAX_ISSUER_NAMES_COST: usize = 32_000;
