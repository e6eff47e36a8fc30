//! The record of who is revoked for good: apart from the documents that said so, which expire and make room for others.
//!
//! What an entitled source has revoked, other than for a hold, stays revoked as long as the certificate lives (RFC 5280
//! section 5.3.1: only certificateHold can be taken back). So it is written down once it was verified, in a few bytes, and
//! asked first by every validation with the same memory, whatever lists and responses are at hand by then.

use alloc::collections::BTreeMap;

use crate::asn1::Asn1Error;
use crate::asn1::crl::CrlReason;
use crate::prelude::*;
use crate::time::Time;

/// Who is revoked: a digest over the name and the key of the issuer, and the serial number.
pub type RevokedId = [u8; 32];

/// Most facts kept. A device meets few certificates, and of those few are revoked.
const MAX_FACTS: usize = 2048;
/// Most facts about certificates of one issuer: a CA gone bad must not fill the record by itself.
const MAX_FACTS_OF_ISSUER: usize = MAX_FACTS / 4;
/// Format and its version.
const MAGIC: &[u8] = b"revoked-1\n";
/// Bytes of one fact.
const FACT_LEN: usize = 32 + 8 + 33 + 32 + 8 + 8 + 1;

/// On whose word a fact rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// The issuer's own, or of somebody whom its key has certified: it counts under whatever anchors.
    Issuer,
    /// The owner's trust in this key (SHA-256 of its SubjectPublicKeyInfo), an anchor or a trusted OCSP responder: it counts
    /// where that key is trusted.
    Key([u8; 32]),
}

/// That a certificate is revoked for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedFact {
    /// Which one.
    pub who: RevokedId,
    /// First bytes of a digest of its issuer's key.
    pub issuer: [u8; 8],
    /// On whose word.
    pub authority: Authority,
    /// Who said it: SHA-256 of the SubjectPublicKeyInfo of the CRL's or response's signer.
    pub source: [u8; 32],
    /// Since when; `None` if the source gave no readable date.
    pub since: Option<Time>,
    /// Why.
    pub reason: CrlReason,
    /// The certificate's notAfter: the fact may be forgotten after it.
    pub end: Time,
}

impl RevokedFact {
    /// For reports.
    pub(super) fn text(&self) -> String {
        let since = self.since.map_or_else(|| "at an unreadable date".to_owned(), |t| format!("since {t}"));
        let source = crate::asn1::x509::hex(&self.source[..8]);
        format!("revoked {since}, reason {}, known from before; it was signed by the key {source}", self.reason)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.who);
        bytes.extend_from_slice(&self.issuer);
        let (kind, key) = match self.authority {
            Authority::Issuer => (0, [0; 32]),
            Authority::Key(key) => (1, key),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&self.source);
        bytes.extend_from_slice(&self.since.map_or(i64::MIN, Time::unix).to_be_bytes());
        bytes.extend_from_slice(&self.end.unix().to_be_bytes());
        bytes.push(self.reason.number());
    }

    fn read(bytes: &[u8; FACT_LEN]) -> Option<Self> {
        let (who, rest) = bytes.split_first_chunk::<32>()?;
        let (issuer, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (source, rest) = rest.split_first_chunk::<32>()?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let authority = match kind {
            0 => Authority::Issuer,
            1 => Authority::Key(*key),
            _ => return None,
        };
        let since = i64::from_be_bytes(*since);
        Some(RevokedFact {
            who: *who,
            issuer: *issuer,
            authority,
            source: *source,
            since: (since != i64::MIN).then(|| Time::from_unix(since)),
            reason: CrlReason::from_number(*rest.first()?),
            end: Time::from_unix(i64::from_be_bytes(*end)),
        })
    }
}

/// Memory of facts. Implementations that outlive restarts live in device memory.
pub trait RevokedFacts: Send + Sync + core::fmt::Debug {
    /// What is known against a certificate; more than one where several have said so.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, in words: then nobody is cleared.
    fn find(&self, who: &RevokedId) -> Result<Vec<RevokedFact>, String>;

    /// Writes down a fact that was verified. `now`: the time of the validation, if it has one; what has ended by then may make
    /// room. Nothing that is there is replaced.
    fn note(&self, fact: &RevokedFact, now: Option<Time>);
}

/// Facts in memory, with a form to write down and read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedTable {
    facts: BTreeMap<(RevokedId, Authority), RevokedFact>,
}

impl RevokedTable {
    /// What is known against a certificate.
    pub fn find(&self, who: &RevokedId) -> Vec<RevokedFact> {
        let all = (*who, Authority::Issuer)..=(*who, Authority::Key([0xff; 32]));
        self.facts.range(all).map(|(_, fact)| fact.clone()).collect()
    }

    /// Adds a fact: `true` if it is new. Facts that have ended by `now` make room, no others.
    ///
    /// # Errors
    ///
    /// There is no room, in words.
    pub fn add(&mut self, fact: &RevokedFact, now: Option<Time>) -> Result<bool, String> {
        let key = (fact.who, fact.authority);
        if let Some(known) = self.facts.get_mut(&key) {
            // The same certificate, said to end later: a second one of its number, which lives longer.
            let is_later = fact.end > known.end;
            known.end = known.end.max(fact.end);
            return Ok(is_later);
        }
        let of_issuer = |table: &Self| table.facts.values().filter(|f| f.issuer == fact.issuer).count();
        if let (true, Some(now)) = (self.facts.len() >= MAX_FACTS || of_issuer(self) >= MAX_FACTS_OF_ISSUER, now) {
            self.facts.retain(|_, fact| fact.end >= now);
        }
        if self.facts.len() >= MAX_FACTS {
            return Err(format!("the record of revoked certificates is full: {MAX_FACTS} that have not ended"));
        }
        if of_issuer(self) >= MAX_FACTS_OF_ISSUER {
            let text = "the record of revoked certificates has no more room for this issuer";
            return Err(format!("{text}: {MAX_FACTS_OF_ISSUER} that have not ended"));
        }
        self.facts.insert(key, fact.clone());
        Ok(true)
    }

    /// Takes over all facts of another table that this one lacks and has room for.
    pub fn join(&mut self, other: &RevokedTable) {
        for fact in other.facts.values() {
            let _ = self.add(fact, None);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.facts.len()
    }

    /// All facts, to be kept where nobody can change them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.facts.values().for_each(|fact| fact.write(&mut bytes));
        bytes
    }

    /// From the bytes that [`Self::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// They are damaged, or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "record of revoked certificates";
        let damaged = || Asn1Error::invalid(WHAT, "damaged");
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| Asn1Error::invalid(WHAT, "of another format"))?;
        let mut table = RevokedTable::default();
        while let Some((fact, behind)) = rest.split_first_chunk::<FACT_LEN>() {
            let fact = RevokedFact::read(fact).ok_or_else(damaged)?;
            if table.facts.len() == MAX_FACTS || table.facts.insert((fact.who, fact.authority), fact).is_some() {
                return Err(damaged());
            }
            rest = behind;
        }
        if rest.is_empty() { Ok(table) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(number: u16, end: i64) -> RevokedFact {
        let mut who = [0; 32];
        who[..2].copy_from_slice(&number.to_be_bytes());
        RevokedFact {
            who,
            issuer: [(number % 8) as u8; 8],
            authority: if number % 3 == 0 { Authority::Key([7; 32]) } else { Authority::Issuer },
            source: [3; 32],
            since: (number % 2 == 0).then(|| Time::from_unix(-5)),
            reason: CrlReason::from_number(number as u8),
            end: Time::from_unix(end),
        }
    }

    #[test]
    fn facts_survive_a_restart_as_they_are() {
        let mut table = RevokedTable::default();
        for number in 0..600 {
            table.add(&fact(number, 1_000), None).unwrap();
        }
        let again = RevokedTable::from_bytes(&table.to_bytes()).unwrap();
        assert_eq!(again, table);
        assert_eq!(again.find(&fact(5, 0).who), [fact(5, 1_000)]);
        assert!(again.find(&[9; 32]).is_empty());
    }

    #[test]
    fn damage_is_refused_and_not_taken_for_an_empty_record() {
        let mut table = RevokedTable::default();
        table.add(&fact(1, 9), None).unwrap();
        table.add(&fact(2, 9), None).unwrap();
        let bytes = table.to_bytes();
        for length in 0..bytes.len() {
            let whole = length >= MAGIC.len() && (length - MAGIC.len()) % FACT_LEN == 0;
            assert_eq!(RevokedTable::from_bytes(&bytes[..length]).is_ok(), whole, "{length}");
        }
        let twice = [&bytes[..], &bytes[MAGIC.len()..]].concat();
        RevokedTable::from_bytes(&twice).unwrap_err();
        let mut other_kind = bytes;
        other_kind[MAGIC.len() + 40] = 2;
        RevokedTable::from_bytes(&other_kind).unwrap_err();
    }

    #[test]
    fn only_what_has_ended_makes_room() {
        let mut table = RevokedTable::default();
        for number in 0..MAX_FACTS as u16 {
            // Eight issuers, an eighth each: nobody is at its bound.
            table.add(&fact(number, 1_000 + i64::from(number)), None).unwrap();
        }
        let next = fact(MAX_FACTS as u16, 9_000);
        table.add(&next, None).unwrap_err();
        table.add(&next, Some(Time::from_unix(1_000))).unwrap_err();
        assert_eq!(table.count(), MAX_FACTS, "nothing was lost to what came later");
        assert_eq!(table.add(&next, Some(Time::from_unix(1_001))), Ok(true));
        assert_eq!((table.count(), table.find(&fact(0, 0).who)), (MAX_FACTS, Vec::new()));
        assert_eq!(RevokedTable::from_bytes(&table.to_bytes()).unwrap(), table);
    }

    #[test]
    fn one_issuer_fills_a_quarter_at_most() {
        let mut table = RevokedTable::default();
        let of_one = |number| RevokedFact { issuer: [1; 8], ..fact(number, 9) };
        for number in 0..MAX_FACTS_OF_ISSUER as u16 {
            table.add(&of_one(number), None).unwrap();
        }
        table.add(&of_one(5_000), None).unwrap_err();
        table.add(&RevokedFact { issuer: [2; 8], ..fact(5_000, 9) }, None).unwrap();
    }

    #[test]
    fn a_fact_that_is_there_is_not_replaced() {
        let mut table = RevokedTable::default();
        table.add(&fact(1, 9), None).unwrap();
        let other = RevokedFact { reason: CrlReason::Superseded, source: [9; 32], ..fact(1, 5) };
        assert_eq!(table.add(&other, None), Ok(false));
        assert_eq!(table.find(&other.who), [fact(1, 9)]);
        let by_another = RevokedFact { authority: Authority::Key([1; 32]), ..other };
        assert_eq!(table.add(&by_another, None), Ok(true));
        assert_eq!(table.find(&by_another.who).len(), 2);
    }
}
