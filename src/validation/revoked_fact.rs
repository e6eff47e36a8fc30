//! That a certificate is revoked, or on hold: who has said so, of whom, and as it is written down.

use super::revoked_lost::KeyDigest;
use crate::asn1::crl::{CrlNumber, CrlReason};
use crate::prelude::*;
use crate::time::Time;

/// Who is revoked: a digest over the name and the key of the issuer, and the serial number.
pub(crate) type RevokedId = [u8; 32];

/// How often a hold is written that a CA shows anew and anew: a newer one within this time after the one before counts as of its end.
pub(super) const HOLD_SECONDS: i64 = 3600;
/// Bytes of one fact: of today, of the formats before, of the first.
pub(super) const FACT_LEN: usize = FACT_LEN_4 + 8 + 1 + MAX_NUMBER_BYTES;
pub(super) const FACT_LEN_4: usize = 32 + 8 + 8 + 33 + 32 + 8 + 8 + 8 + 1;
pub(super) const FACT_LEN_1: usize = 32 + 8 + 33 + 32 + 8 + 8 + 1;
/// Longest number of a list that is written down (RFC 5280 section 5.2.3); of a longer one time alone counts.
pub(super) const MAX_NUMBER_BYTES: usize = 20;
/// Stands for no list in place of its number's length.
const NO_LIST: u8 = 0xff;

/// On whose word a fact rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// The issuer's own, or of somebody whom its key has certified: it counts under whatever anchors.
    Issuer,
    /// Of somebody certified by this key (SHA-256 of its SubjectPublicKeyInfo), which has certified the issuer too: it counts where
    /// that key has certified the issuer, or stands above it on the path.
    Certifier([u8; 32]),
    /// The owner's trust in this key, an anchor or a trusted OCSP responder: it counts where that key is trusted.
    Key([u8; 32]),
}

/// Which list says something. Numbers rise in a series (RFC 5280 section 5.2.3), and tell the later of two words of one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlace {
    /// The beginning of the series' digest: the signer's key, its name, and the scope.
    pub series: KeyDigest,
    /// The list's number.
    pub number: CrlNumber,
}

impl ListPlace {
    /// A list of this series; `None` where its number is longer than is written down.
    pub fn new(series: KeyDigest, number: &CrlNumber) -> Option<Self> {
        (number.as_be_bytes().len() <= MAX_NUMBER_BYTES).then(|| ListPlace { series, number: number.clone() })
    }

    fn is_after(&self, other: &Self) -> bool {
        self.series == other.series && self.number > other.number
    }

    fn write(place: Option<&Self>, bytes: &mut Vec<u8>) {
        let (series, number) = place.map_or(([0; 8], &[][..]), |place| (place.series, place.number.as_be_bytes()));
        bytes.extend_from_slice(&series);
        bytes.push(place.map_or(NO_LIST, |_| number.len() as u8));
        bytes.extend_from_slice(number);
        bytes.resize(bytes.len() + MAX_NUMBER_BYTES - number.len(), 0);
    }

    /// From the end of a fact; `None` where it is damaged.
    fn read(bytes: &[u8]) -> Option<Option<Self>> {
        let (series, rest) = bytes.split_first_chunk::<8>()?;
        let (len, number) = rest.split_first()?;
        if *len == NO_LIST {
            return Some(None);
        }
        let number = CrlNumber::from_be_bytes(number.get(..usize::from(*len))?);
        Some(Some(ListPlace { series: *series, number }))
    }
}

/// Since when somebody entitled says that a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodWord {
    /// thisUpdate of the list or response; of several, the earliest.
    pub from: Time,
    /// The lists that say so.
    pub lists: Vec<ListPlace>,
}

/// That a certificate is revoked for good, or on hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedFact {
    /// Which one.
    pub who: RevokedId,
    /// Its issuer's key.
    pub issuer: KeyDigest,
    /// The key of the CA on its path that the anchor has certified; of the anchor, if that is the issuer.
    pub branch: KeyDigest,
    /// On whose word.
    pub authority: Authority,
    /// Who said it: SHA-256 of the SubjectPublicKeyInfo of the CRL's or response's signer.
    pub source: [u8; 32],
    /// Since when; `None` if the source gave no readable date.
    pub since: Option<Time>,
    /// Why.
    pub reason: CrlReason,
    /// thisUpdate of the list or response that said so.
    pub made: Time,
    /// The certificate's notAfter: the fact may be forgotten after it.
    pub end: Time,
    /// Of a hold by a list with a number: that.
    pub list: Option<ListPlace>,
}

impl RevokedFact {
    /// Whether nothing takes it back.
    pub fn is_for_good(&self) -> bool {
        self.reason != CrlReason::CertificateHold
    }

    /// Whether this ends a hold: a later word does (RFC 5280 section 5.3.1), and of two words of one second that of the later list.
    pub fn is_lifted_by(&self, word: &GoodWord) -> bool {
        let is_after = |held: &ListPlace| word.lists.iter().any(|list| list.is_after(held));
        !self.is_for_good()
            && (self.made < word.from || (self.made == word.from && self.list.as_ref().is_some_and(is_after)))
    }

    /// The hold that is written down in place of this one, if another was said later. It counts as of then, or as of an hour after this
    /// one: a CA that shows a new one at each meeting does not have the record written each time.
    pub(super) fn held_longer_by(&self, fact: &RevokedFact) -> Option<Self> {
        let is_after = match (&self.list, &fact.list) {
            (Some(known), Some(list)) => list.is_after(known),
            _ => false,
        };
        let is_later = fact.made > self.made || (fact.made == self.made && is_after);
        let made = fact.made.max(self.made.plus(HOLD_SECONDS));
        is_later.then(|| RevokedFact { made, ..fact.clone() })
    }

    /// For reports.
    pub(super) fn text(&self) -> String {
        let since = self.since.map_or_else(|| "at an unreadable date".to_owned(), |t| format!("since {t}"));
        let source = crate::asn1::x509::hex(&self.source[..8]);
        format!("revoked {since}, reason {}, known from before; it was signed by the key {source}", self.reason)
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.who);
        bytes.extend_from_slice(&self.issuer);
        bytes.extend_from_slice(&self.branch);
        let (kind, key) = match self.authority {
            Authority::Issuer => (0, [0; 32]),
            Authority::Key(key) => (1, key),
            Authority::Certifier(key) => (2, key),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&self.source);
        for time in [self.since.map_or(i64::MIN, Time::unix), self.made.unix(), self.end.unix()] {
            bytes.extend_from_slice(&time.to_be_bytes());
        }
        bytes.push(self.reason.number());
        ListPlace::write(self.list.as_ref(), bytes);
    }

    pub(super) fn read(bytes: &[u8], format: u8) -> Option<Self> {
        let is_first_format = format == 1;
        let (who, rest) = bytes.split_first_chunk::<32>()?;
        let (issuer, rest) = rest.split_first_chunk::<8>()?;
        let (branch, rest) = if is_first_format { (issuer, rest) } else { rest.split_first_chunk::<8>()? };
        let (kind, rest) = rest.split_first()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (source, rest) = rest.split_first_chunk::<32>()?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        // Facts of the first format are all for good: when they were said decides nothing.
        let (made, rest) = if is_first_format { (&[0; 8], rest) } else { rest.split_first_chunk::<8>()? };
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let authority = match kind {
            0 => Authority::Issuer,
            1 => Authority::Key(*key),
            2 if !is_first_format => Authority::Certifier(*key),
            _ => return None,
        };
        let since = i64::from_be_bytes(*since);
        let (reason, rest) = rest.split_first()?;
        Some(RevokedFact {
            who: *who,
            issuer: *issuer,
            branch: *branch,
            authority,
            source: *source,
            since: (since != i64::MIN).then(|| Time::from_unix(since)),
            reason: CrlReason::from_number(*reason),
            made: Time::from_unix(i64::from_be_bytes(*made)),
            end: Time::from_unix(i64::from_be_bytes(*end)),
            list: if format > 4 { ListPlace::read(rest)? } else { None },
        })
    }
}
