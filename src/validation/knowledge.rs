//! What one validation knows and has left, whatever path it looks at.
//!
//! Knowledge is kept apart from the search for paths. Facts only join, in one order: revoked over exhausted over unknown
//! over good. A certificate that an entitled source has revoked is revoked on every path of this validation, under the
//! name and key of its issuer and its serial number; and once a budget has ended below a verdict, the verdict is a
//! refusal, whatever was found good: what was not looked at is not the same as what was looked at and says nothing.

use alloc::collections::BTreeMap;
use core::cell::{Cell, OnceCell, RefCell};

use super::crl_numbers::CrlNumberTable;
use super::names::{Hashed, name_hash, same_name};
use super::ocsp::forms_at_hand;
use super::status_sources::StatusSources;
use super::trust::TrustAnchors;
use super::unusable::Unusable;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, KeyIdentity, Provider};
use crate::limits;
use crate::prelude::*;
use crate::time::Time;

/// Kinds of status data, each with a budget of its own: what a peer staples does not use up what the device's own lists
/// need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Crl,
    Ocsp,
}

/// Facts and budgets of one validation, over all paths that it tries.
#[derive(Debug)]
pub(super) struct Knowledge {
    crl_signatures_left: Cell<u32>,
    ocsp_signatures_left: Cell<u32>,
    candidates_left: Cell<u32>,
    exhausted: RefCell<Option<String>>,
    revoked: RefCell<Vec<RevokedFact>>,
    /// The highest number of each series of lists at hand, where the caller remembers none.
    pub(super) numbers: CrlNumberTable,
    /// Anchors, then the pool, by a hash of their subjects.
    subjects: OnceCell<BTreeMap<u64, Vec<usize>>>,
    keys: OnceCell<KeyHashes>,
}

/// Keys of the pool by their SHA-1, in the forms that are at hand.
#[derive(Debug, Default)]
struct KeyHashes {
    by_hash: BTreeMap<Box<[u8]>, Vec<usize>>,
    /// Those that have yet another form.
    compressed: Vec<usize>,
}

/// That a certificate is revoked: by its issuer's name and key, and its serial number.
#[derive(Debug)]
struct RevokedFact {
    issuer: Box<[u8]>,
    issuer_key: KeyIdentity<'static>,
    serial: Box<[u8]>,
    text: String,
    since: Option<Time>,
    /// It is for good, and on its issuer's word: nothing that others say adds to it.
    is_final: bool,
}

impl RevokedFact {
    fn is_about(&self, certificate: &Certificate, issuer: &Certificate, key: &KeyIdentity<'_>) -> bool {
        *self.serial == *certificate.serial() && self.issuer_key == *key && same_name(&self.issuer, issuer.subject())
    }
}

impl Knowledge {
    /// What is known before a validation: nothing about anyone, and whether the status data at hand is all that was to be had.
    pub(super) fn before(status: &StatusSources) -> Self {
        let knowledge = Knowledge {
            crl_signatures_left: Cell::new(limits::MAX_STATUS_SIGNATURES),
            ocsp_signatures_left: Cell::new(limits::MAX_STATUS_SIGNATURES),
            candidates_left: Cell::new(limits::MAX_STATUS_CANDIDATES),
            exhausted: RefCell::default(),
            revoked: RefCell::default(),
            numbers: CrlNumberTable::new(),
            subjects: OnceCell::new(),
            keys: OnceCell::new(),
        };
        if let Some(bound) = &status.cut_short {
            knowledge.exhaust(bound.clone());
        }
        knowledge
    }

    /// Takes work out of a budget. What is left undone is remembered: see [`Self::exhausted`].
    pub(super) fn spend(&self, source: Source, cost: u32) -> Result<(), Unusable> {
        let left = match source {
            Source::Crl => &self.crl_signatures_left,
            Source::Ocsp => &self.ocsp_signatures_left,
        };
        match left.get().checked_sub(cost) {
            Some(less) => {
                left.set(less);
                Ok(())
            }
            None => {
                let kind = if source == Source::Crl { "CRLs" } else { "OCSP responses" };
                Err(self.exhaust(format!("{} signatures on {kind} and their signers", limits::MAX_STATUS_SIGNATURES)))
            }
        }
    }

    /// Takes so many certificates that are looked at as signers out of their budget.
    pub(super) fn spend_candidates(&self, count: usize) -> Result<(), Unusable> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.candidates_left.get().checked_sub(count) {
            Some(less) => {
                self.candidates_left.set(less);
                Ok(())
            }
            None => {
                self.candidates_left.set(0);
                let most = limits::MAX_STATUS_CANDIDATES;
                Err(self.exhaust(format!("{most} certificates that are looked at as signers of status data")))
            }
        }
    }

    /// Remembers that a budget ended before everything at hand was looked at. Nothing takes that back.
    pub(super) fn exhaust(&self, what: String) -> Unusable {
        let text = format!("the budget of {what} was used up before all status data was looked at");
        Unusable::new(Code::Budget, self.exhausted.borrow_mut().get_or_insert(text).clone())
    }

    /// Which budget ended, if one did.
    pub(super) fn exhausted(&self) -> Option<String> {
        self.exhausted.borrow().clone()
    }

    /// Why this certificate of this issuer, whose key is `key`, is revoked; since when, if that is known; and whether nothing adds to that.
    pub(super) fn revoked(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        key: &KeyIdentity<'_>,
    ) -> Option<(String, Option<Time>, bool)> {
        let facts = self.revoked.borrow();
        let fact = facts.iter().find(|fact| fact.is_about(certificate, issuer, key))?;
        Some((fact.text.clone(), fact.since, fact.is_final))
    }

    pub(super) fn note_revoked(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        key: &KeyIdentity<'_>,
        text: &str,
        (since, is_final): (Option<Time>, bool),
    ) {
        let mut revoked = self.revoked.borrow_mut();
        let known = revoked.iter_mut().find(|fact| fact.is_about(certificate, issuer, key));
        if let Some(known) = known {
            known.is_final |= is_final;
        } else {
            revoked.push(RevokedFact {
                issuer: issuer.subject().into(),
                issuer_key: key.clone().into_owned(),
                serial: certificate.serial().into(),
                text: text.to_owned(),
                since,
                is_final,
            });
        }
    }

    /// Certificates of the pool whose key may have this SHA-1: each is hashed once, whatever is asked.
    pub(super) fn keyed<'c>(
        &self,
        hash: &[u8],
        provider: &dyn Provider,
        pool: &'c [Certificate],
    ) -> Vec<&'c Certificate> {
        let keys = self.keys.get_or_init(|| {
            let mut keys = KeyHashes::default();
            for (index, certificate) in pool.iter().enumerate() {
                for form in forms_at_hand(certificate).unwrap_or_default() {
                    if let Ok(hash) = provider.digest(DigestAlgorithm::Sha1, &[&form]) {
                        keys.by_hash.entry(hash.to_vec().into()).or_default().push(index);
                    }
                }
                if KeyIdentity::of(certificate).is_compressed() {
                    keys.compressed.push(index);
                }
            }
            keys
        });
        let found = keys.by_hash.get(hash).map(Vec::as_slice).unwrap_or_default();
        let others = keys.compressed.iter().filter(|index| found.binary_search(index).is_err());
        found.iter().chain(others).filter_map(|index| pool.get(*index)).collect()
    }

    /// Anchors and certificates of the pool with this subject: each name is read once, whatever is asked. Those whose names have the same
    /// hash are paid for, also where somebody made them collide; where the budget ends, that is remembered, and there are none.
    pub(super) fn named<'c>(
        &self,
        name: Hashed<'_>,
        anchors: &'c TrustAnchors,
        pool: &'c [Certificate],
    ) -> Vec<&'c Certificate> {
        let all = |index: usize| anchors.as_slice().get(index).or_else(|| pool.get(index - anchors.len()));
        let subjects = self.subjects.get_or_init(|| {
            let mut subjects: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            for (index, certificate) in anchors.iter().chain(pool).enumerate() {
                subjects.entry(certificate.subject_hash(name_hash)).or_default().push(index);
            }
            subjects
        });
        let found = subjects.get(&name.hash()).map(Vec::as_slice).unwrap_or_default();
        if self.spend_candidates(found.len()).is_err() {
            return Vec::new();
        }
        found.iter().filter_map(|index| all(*index)).filter(|c| name.is_subject_of(c)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    /// A certificate of this subject, which is looked at and not believed.
    fn named(text: &str, number: u8) -> Certificate {
        let common_name = sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &element(0x0c, &[text.as_bytes()])]);
        let name = sequence(&[&element(0x31, &[&common_name])]);
        let ed25519 = sequence(&[&[0x06, 0x03, 0x2b, 0x65, 0x70]]);
        let key = sequence(&[&ed25519, &element(0x03, &[&[0], &[number; 32]])]);
        let validity = sequence(&[&element(0x17, &[b"260101000000Z"]), &element(0x17, &[b"270101000000Z"])]);
        let version = element(0xa0, &[&[0x02, 0x01, 0x02]]);
        let serial = element(0x02, &[&[1]]);
        let tbs = sequence(&[&version, &serial, &ed25519, &name, &validity, &name, &key]);
        Certificate::from_der(&sequence(&[&tbs, &ed25519, &element(0x03, &[&[0; 65]])])).unwrap()
    }

    /// However many certificates of one name are at hand, and however often they are looked for: as many are looked at as the budget says,
    /// and that it has ended is remembered.
    #[test]
    fn certificates_of_one_name_are_looked_at_within_a_budget() {
        let anchors = TrustAnchors::new();
        for many in [100, 200, 400] {
            let pool: Vec<Certificate> = (0..many).map(|number| named("CA", number as u8)).collect();
            let knowledge = Knowledge::before(&StatusSources::none());
            let mut looked_at = 0;
            while knowledge.exhausted().is_none() {
                let found = knowledge.named(Hashed::subject(&pool[0]), &anchors, &pool).len();
                assert!(
                    found == many || (found == 0 && knowledge.exhausted().is_some()),
                    "none is left out in silence"
                );
                looked_at += found;
            }
            let most = limits::MAX_STATUS_CANDIDATES as usize;
            assert!(looked_at <= most && looked_at > most - many, "{many}: {looked_at}");
            assert!(knowledge.named(Hashed::subject(&pool[0]), &anchors, &pool).is_empty());
        }
    }
}
