//! What a CA says of a certificate in an answer of its own, without a list: written down as what its lists say, and found again by whoever
//! asks about one certificate alone.

use alloc::sync::Arc;

use super::certificate;
use super::names::{place_hash, same_name};
use super::revoked::{Authority, GoodWord, RevokedFact, RevokedFacts, RevokedId};
use super::revoked_fact::HOLD_SECONDS;
use crate::asn1::crl::{CrlReason, shortest_integer};
use crate::asn1::x509::Certificate;
use crate::crypto::{CryptoError, DigestAlgorithm, KeyIdentity, Provider};
use crate::prelude::*;
use crate::time::Time;

/// A certificate, and those among which its issuer stands.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub provider: &'a dyn Provider,
    pub certificate: &'a Certificate,
    pub issuers: &'a [&'a Certificate],
}

/// The CA's word.
pub(crate) struct Told<'a> {
    pub reason: CrlReason,
    pub at: Time,
    /// Who has signed it; `None`: a MAC vouches for it, or TLS.
    pub signer: Option<&'a Certificate>,
}

impl<'a> About<'a> {
    /// Writes down what the CA has done about the certificate on request (RFC 9810 section 5.3.10): it is revoked, on hold, or no longer on
    /// hold. Without its issuer nothing can be written: the record tells certificates apart by the key of that.
    pub fn write_down(&self, told: &Told<'_>, records: &[Arc<dyn RevokedFacts>]) {
        let Some(issuer) = self.issuers.iter().find(|ca| self.is_issued_by(ca)).filter(|_| !records.is_empty()) else {
            return;
        };
        match told.reason {
            CrlReason::RemoveFromCrl => {
                let known = records.iter().flat_map(|record| Some((record, self.known_of(&**record, issuer).ok()?)));
                // Whatever was said before it, also where that counts as of an hour later.
                let word = GoodWord { from: told.at.plus(HOLD_SECONDS + 1), lists: Vec::new() };
                for (record, facts) in known {
                    facts.iter().for_each(|fact| record.lift(fact, &word));
                }
            }
            // Without a digest nothing can be written.
            _ => drop(self.fact(told, issuer).map(|fact| records.iter().for_each(|r| r.note(&fact, Some(told.at))))),
        }
    }

    /// What is written down against the certificate and counts whatever is trusted: what its issuer says, or who has one of these keys. What
    /// is for good comes first.
    #[cfg(feature = "std")]
    pub fn known(&self, record: &dyn RevokedFacts) -> Option<RevokedFact> {
        let mut found: Vec<RevokedFact> = Vec::new();
        for issuer in self.issuers.iter().filter(|ca| same_name(ca.subject(), self.certificate.issuer())) {
            let facts = self.known_of(record, issuer).unwrap_or_default();
            // Another CA of this name has numbers of its own.
            if !facts.is_empty() && self.is_issued_by(issuer) {
                found.extend(facts);
            }
        }
        found.retain(|fact| self.counts(fact.authority));
        let for_good = found.iter().position(RevokedFact::is_for_good);
        for_good.or(found.len().checked_sub(1)).map(|place| found.swap_remove(place))
    }

    fn known_of(&self, record: &dyn RevokedFacts, issuer: &Certificate) -> Result<Vec<RevokedFact>, CryptoError> {
        let key = KeyIdentity::of(issuer);
        let id = |key: &[u8]| id_of(self.provider, self.certificate, issuer, key);
        let ids = [id(&key.as_spki())?, id(issuer.spki())?];
        let ids = if ids[0] == ids[1] { &ids[..1] } else { &ids[..] };
        let digest = sha256(self.provider, &[&key.as_spki()])?;
        let found = record.find(ids, digest.first_chunk().expect("SHA-256 has 32 bytes"));
        Ok(found.map(|known| known.facts).unwrap_or_default())
    }

    #[cfg(feature = "std")]
    fn counts(&self, authority: Authority) -> bool {
        match authority {
            Authority::Issuer => true,
            Authority::Certifier(key) | Authority::Key(key) => self.issuers.iter().any(|ca| {
                [&KeyIdentity::of(ca).as_spki()[..], ca.spki()]
                    .iter()
                    .any(|form| sha256(self.provider, &[form]).is_ok_and(|digest| digest == key))
            }),
        }
    }

    fn is_issued_by(&self, ca: &Certificate) -> bool {
        same_name(ca.subject(), self.certificate.issuer())
            && certificate::against_signature(self.provider, self.certificate, ca.spki(), true).is_none()
    }

    fn fact(&self, told: &Told<'_>, issuer: &Certificate) -> Result<RevokedFact, CryptoError> {
        let key = KeyIdentity::of(issuer);
        let issuer_key = sha256(self.provider, &[&key.as_spki()])?;
        let digest = *issuer_key.first_chunk().expect("SHA-256 has 32 bytes");
        let source = told.signer.map(|signer| sha256(self.provider, &[&KeyIdentity::of(signer).as_spki()]));
        Ok(RevokedFact {
            who: id_of(self.provider, self.certificate, issuer, &key.as_spki())?,
            issuer: digest,
            branch: digest,
            authority: Authority::Issuer,
            source: source.transpose()?.unwrap_or(issuer_key),
            since: Some(told.at),
            reason: told.reason,
            made: told.at,
            end: self.certificate.not_after(),
            list: None,
        })
    }
}

/// Under what a certificate stands in the record.
pub(super) fn id_of(
    provider: &dyn Provider,
    certificate: &Certificate,
    issuer: &Certificate,
    key: &[u8],
) -> Result<RevokedId, CryptoError> {
    let name = place_hash(issuer.subject()).to_be_bytes();
    // The key with its length: nothing of it runs into the number.
    sha256(provider, &[&name, &(key.len() as u64).to_be_bytes(), key, shortest_integer(certificate.serial())])
}

pub(super) fn sha256(provider: &dyn Provider, parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
    let digest = provider.digest(DigestAlgorithm::Sha256, parts)?;
    Ok(*digest.first_chunk().expect("SHA-256 has 32 bytes"))
}
