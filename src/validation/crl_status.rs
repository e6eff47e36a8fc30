//! A certificate's status by CRLs: RFC 5280 section 6.3.3.

use super::checks::{KeyUsage, Profile};
use super::crl::{Crl, Found, FoundEntry};
use super::crl_numbers::CrlSeries;
use super::crl_scope::{Points, same_series};
use super::facts::Facts;
use super::freshness::{Freshness, Window};
use super::names::same_name;
use super::status::{Status, StatusSearch};
use crate::asn1::crl::{CrlNumber, CrlReason};
use crate::asn1::der::Cursor;
use crate::asn1::distribution_point::ReasonSet;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, dsa};
use crate::time::Time;

/// What one list, with its delta, says about a certificate.
enum Said {
    Revoked(String),
    NotRevoked { until: Time, note: Option<String> },
}

impl StatusSearch<'_> {
    /// The certificate's status by the CRLs at hand; `above` is its chain from its issuer to the anchor.
    pub(super) fn crl_status(&self, certificate: &Certificate, above: &[Certificate]) -> Status {
        let points = match Points::of(certificate) {
            Ok(points) => points,
            Err(error) => return Status::Unknown(vec![error.to_string()]),
        };
        // Put into words only where there is no status.
        let mut against: Vec<(&Crl, String)> = Vec::new();
        let mut covered = ReasonSet::NONE;
        let mut until = Time::FOREVER;
        let mut notes = Vec::new();
        for crl in self.complete_lists() {
            if covered == ReasonSet::ALL {
                break;
            }
            let mut explain = |why: String| against.push((crl, why));
            let scope = match points.scope(crl) {
                Ok(scope) => scope,
                Err(why) => {
                    explain(why.to_owned());
                    continue;
                }
            };
            // (e); a list that covers nothing new may still not list the certificate, and is not asked.
            if scope != ReasonSet::NONE && covered.contains(scope) {
                continue;
            }
            match self.ask(crl, certificate, above) {
                Ok(Said::Revoked(text)) => return Status::Revoked(text),
                Ok(Said::NotRevoked { .. }) if scope == ReasonSet::NONE => {
                    explain("the certificate hands its revocation over to another CRL issuer".to_owned());
                }
                Ok(Said::NotRevoked { until: until_here, note }) => {
                    covered = covered.union(scope);
                    until = until.min(until_here);
                    notes.extend(note);
                }
                Err(why) => explain(why),
            }
        }
        if covered == ReasonSet::ALL {
            return Status::Good { until, notes };
        }
        let mut reasons: Vec<String> =
            against.iter().map(|(crl, why)| format!("{}: {why}", self.describe(crl))).collect();
        if covered != ReasonSet::NONE {
            reasons.push("the usable CRLs cover only some reasons".to_owned());
        }
        if self.sources.crls.is_empty() {
            reasons.push("no CRL at hand".to_owned());
        }
        Status::Unknown(reasons)
    }

    /// Complete lists, the newest of a series first.
    fn complete_lists(&self) -> Vec<&Crl> {
        let mut lists: Vec<&Crl> =
            self.sources.crls.iter().map(|c| &**c).filter(|c| c.base_number().is_none()).collect();
        lists.sort_by(|a, b| (b.number(), b.this_update()).cmp(&(a.number(), a.this_update())));
        lists
    }

    /// Steps (f) to (k) for a list whose scope fits.
    fn ask(&self, crl: &Crl, certificate: &Certificate, above: &[Certificate]) -> Result<Said, String> {
        if let Some(why) = crl.unusable() {
            return Err(why);
        }
        // The search for a signer is work too, whether or not it finds one.
        self.spend_signature()?;
        let anchor = above.last().ok_or("the certificate has no issuer")?;
        let signer = self.signer(crl, above)?;
        let listed = entry_for(crl, certificate)?;
        let mut window = Window { this_update: crl.this_update(), next_update: crl.next_update() };
        let mut number = crl.number();
        let mut removed = false;
        for delta in self.deltas(crl) {
            let usable = self.is_current_update(crl, delta);
            if delta.unusable().is_some() || self.verify(delta, signer).is_err() {
                continue;
            }
            let entry = entry_for(delta, certificate)?;
            match entry {
                // Also from a delta that cannot be combined with this list: it is later, and says revoked.
                Some(entry) if entry.reason != CrlReason::RemoveFromCrl => {
                    return Ok(Said::Revoked(self.revoked_text(delta, &entry)));
                }
                Some(_) if usable => removed = true,
                _ => {}
            }
            if usable {
                window = Window { this_update: delta.this_update(), next_update: delta.next_update() };
                number = delta.number();
                break;
            }
        }
        if let Some(entry) = listed
            && !removed
            && entry.reason != CrlReason::RemoveFromCrl
        {
            return Ok(Said::Revoked(self.revoked_text(crl, &entry)));
        }
        if self.checks.profile == Profile::Strict
            && let Some(duty) = crl.broken_duty()
        {
            return Err(duty.to_owned());
        }
        let (until, note) = match self.judge(window, "CRL") {
            Freshness::Current { until } => (until, None),
            Freshness::Grace { until, text } => (until, Some(format!("{text}, used within the offline grace"))),
            Freshness::NotJudged { until } => {
                (until, Some("the time is unknown: whether the CRL is current was not checked".to_owned()))
            }
            Freshness::Refused(why) => return Err(why),
        };
        self.guard(crl, number, anchor)?;
        Ok(Said::NotRevoked { until, note })
    }

    /// Who signed the list: (f) and (g).
    fn signer<'s>(&'s self, crl: &Crl, above: &'s [Certificate]) -> Result<&'s Certificate, String> {
        let anchor = above.last().ok_or("the certificate has no issuer")?;
        let key_id = crl.tail().authority_key_identifier.as_deref().and_then(key_identifier);
        let mut why = None;
        // A signer whose key fits and who may not sign tells more than one whose key does not fit.
        let mut is_telling = false;
        for (candidate, in_chain) in self.signers_named(crl.issuer(), key_id, above) {
            if let Err(reason) = self.verify(crl, candidate) {
                if !is_telling {
                    why = Some(reason);
                }
                continue;
            }
            let allowed = match Facts::read_but_names(candidate) {
                Ok(facts) if facts.allows(KeyUsage::CrlSign) => Ok(()),
                Ok(_) => Err("its issuer's keyUsage does not allow to sign CRLs".to_owned()),
                Err(error) => Err(format!("its issuer's certificate: {error}")),
            };
            let authorised = allowed.and_then(|()| match in_chain {
                true => Ok(()),
                false => self.authorise_crl_signer(candidate, anchor),
            });
            match authorised {
                Ok(()) => return Ok(candidate),
                Err(reason) => (why, is_telling) = (Some(reason), true),
            }
        }
        Err(why.unwrap_or_else(|| format!("no certificate of its issuer {}", display(crl.issuer()))))
    }

    fn verify(&self, crl: &Crl, signer: &Certificate) -> Result<(), String> {
        self.spend_signature()?;
        if crl.is_weak() && !self.checks.allow_weak {
            return Err("its signature is over a SHA-1 digest".to_owned());
        }
        // A DSA key may have its parameters from the keys above it on the path (RFC 5280 section 6.1.4 (f)).
        let place = self.path.iter().position(|c| c == signer).unwrap_or(self.path.len());
        let above = self.path.iter().skip(place + 1).map(Certificate::spki);
        let spki = dsa::working_key(signer.spki(), above);
        crl.verify(self.provider, &spki, self.checks.allow_weak).map_err(|e| format!("its signature: {e}"))
    }

    /// Delta CRLs that are later than this list and of its series, the newest first (RFC 5280 section 5.2.4).
    fn deltas(&self, complete: &Crl) -> Vec<&Crl> {
        let Some(number) = complete.number() else { return Vec::new() };
        let mut deltas: Vec<&Crl> = self
            .sources
            .crls
            .iter()
            .map(|crl| &**crl)
            .filter(|crl| crl.base_number().is_some() && crl.number().is_some_and(|n| n > number))
            .filter(|crl| same_series(complete, crl))
            .collect();
        deltas.sort_by(|a, b| (b.this_update(), b.number()).cmp(&(a.this_update(), a.number())));
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

    /// Refuses a list that is older than one that was seen before.
    fn guard(&self, crl: &Crl, number: Option<&CrlNumber>, anchor: &Certificate) -> Result<(), String> {
        let Some(numbers) = &self.sources.crl_numbers else { return Ok(()) };
        let series = self.series(crl, anchor)?;
        match (number, numbers.highest(&series)) {
            (Some(number), Some(highest)) if *number < highest => {
                self.rollback.set(true);
                Err(format!("rollback: CRL number {number}, but {highest} was seen before"))
            }
            (None, Some(highest)) => {
                self.rollback.set(true);
                Err(format!("rollback: no CRL number, but {highest} was seen before"))
            }
            (Some(number), _) => {
                numbers.record(&series, number);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    fn series(&self, crl: &Crl, anchor: &Certificate) -> Result<CrlSeries, String> {
        let scope = crl.tail().issuing_distribution_point_der().unwrap_or_default();
        let mut parts = Vec::new();
        for part in [anchor.subject(), anchor.spki(), crl.issuer(), scope] {
            // Each with its length: no two series run together into the same bytes.
            parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            parts.extend_from_slice(part);
        }
        let digest = self.provider.digest(DigestAlgorithm::Sha256, &[&parts]).map_err(|e| e.to_string())?;
        CrlSeries::try_from(&*digest).map_err(|_| "a SHA-256 digest of another length".to_owned())
    }

    fn revoked_text(&self, crl: &Crl, entry: &FoundEntry) -> String {
        let since = entry.revocation_date.map_or_else(|| "at an unreadable date".to_owned(), |t| format!("since {t}"));
        format!("revoked {since}, reason {}, by the {}", entry.reason, self.describe(crl))
    }

    fn describe(&self, crl: &Crl) -> String {
        let kind = if crl.base_number().is_some() { "delta CRL" } else { "CRL" };
        let number = crl.number().map_or_else(String::new, |n| format!(" number {n}"));
        format!("{kind}{number} of {} from {}", display(crl.issuer()), crl.this_update())
    }
}

/// The entry about this certificate: serial number and certificate issuer both match (RFC 5280 section 5.3.3). Among
/// several, one that revokes counts before one that takes the revocation back.
fn entry_for(crl: &Crl, certificate: &Certificate) -> Result<Option<FoundEntry>, String> {
    let entries = match crl.find(certificate.serial()) {
        Found::Entries(entries) => entries,
        Found::NotAsked => return Err("it was read in one pass, and not for this serial number".to_owned()),
    };
    let mut about: Vec<FoundEntry> = entries
        .into_iter()
        .filter(|entry| match entry.certificate_issuers.as_slice() {
            [] => same_name(crl.issuer(), certificate.issuer()),
            names => names.iter().any(|name| same_name(name, certificate.issuer())),
        })
        .collect();
    about.sort_by_key(|entry| entry.reason == CrlReason::RemoveFromCrl);
    Ok(about.into_iter().next())
}

/// keyIdentifier of an authorityKeyIdentifier extension's value.
fn key_identifier(value: &[u8]) -> Option<&[u8]> {
    let mut fields = Cursor::sequence(value, "AuthorityKeyIdentifier").ok()?;
    Some(fields.optional_context(0, false).ok()??.value)
}
