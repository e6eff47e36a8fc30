//! The record of who is revoked, and who is on hold: apart from the documents that said so, which expire and make room for others.
//!
//! What an entitled source has revoked, other than for a hold, stays revoked as long as the certificate lives (RFC 5280
//! section 5.3.1: only certificateHold can be taken back). So it is written down once it was verified, in a few bytes, and
//! asked first by every validation with the same memory, whatever lists and responses are at hand by then. A hold is written
//! down too, and ends with a later word that says otherwise.
//!
//! The room is bounded. What had no room is not forgotten in silence: it stays known of which issuer it was and until when
//! (`revoked_lost`), and good words from before clear none of that one's certificates, whatever path leads to them.

pub(crate) use super::revoked_fact::RevokedId;
pub use super::revoked_fact::{Authority, GoodWord, ListPlace, RevokedFact};
use super::revoked_fact::{FACT_LEN, FACT_LEN_1, FACT_LEN_4};
pub(crate) use super::revoked_lost::KeyDigest;
use super::revoked_lost::LostFacts;
use crate::asn1::Asn1Error;
use crate::error::Error;
use crate::prelude::*;
use crate::sorted::Map;
use crate::time::Time;

/// Most facts kept. A device meets few certificates, and of those few are revoked.
const MAX_FACTS: usize = 2048;
/// Most facts about certificates below one CA that an anchor has certified: one gone bad, with all the CAs that it makes, must not
/// fill the record by itself.
const MAX_FACTS_OF_BRANCH: usize = MAX_FACTS / 4;
/// From so many facts below one CA on the issuers that are met are written down: they have their place in what may be lost before
/// that is needed.
const MANY_FACTS_OF_BRANCH: usize = MAX_FACTS_OF_BRANCH / 2;
/// Format and its version; the first one knew no holds, no branches and nothing of what was lost. In the second a branch could stand
/// for its CAs, in the third issuers of which something was lost had no branch, in the fourth holds had no list.
const MAGIC: &[u8] = b"revoked-5\n";
const MAGIC_4: &[u8] = b"revoked-4\n";
const MAGIC_3: &[u8] = b"revoked-3\n";
const MAGIC_2: &[u8] = b"revoked-2\n";
const MAGIC_1: &[u8] = b"revoked-1\n";
/// What begins a fact, and what was lost: of one CA, of all others.
const FACT: u8 = b'f';
const LOST: u8 = b'l';
const LOST_OF_OTHERS: u8 = b'a';

/// That facts had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// About certificates of a CA with this key; `None`: about anyone.
    pub of: Option<KeyDigest>,
    /// What was said up to here may be among them.
    pub until: Time,
}

/// What became of a fact that was to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was known.
    Known,
    /// There was no room for it.
    Lost {
        /// Why, in words.
        why: String,
        /// Whether that facts of this kind were lost is new.
        is_new: bool,
    },
}

/// Memory of facts. Implementations that outlive restarts live in device memory.
pub trait RevokedFacts: Send + Sync + core::fmt::Debug {
    /// What is known against a certificate, which may stand under several identifiers; and whether facts about certificates of its
    /// issuer, by a digest of that one's key, had no room.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, by the code of what failed: then nobody is cleared.
    fn find(&self, who: &[RevokedId], issuer: &KeyDigest) -> Result<KnownFacts, Error>;

    /// Writes down a fact that was verified. `now`: the time of the validation, if it has one; what has ended by then may make
    /// room. What is there for good is not replaced; what has no room is remembered as lost.
    fn note(&self, fact: &RevokedFact, now: Option<Time>);

    /// Ends a hold: somebody entitled has said otherwise. One that was said later, or for good, stays.
    fn lift(&self, fact: &RevokedFact, word: &GoodWord);

    /// An issuer was met in good order, below this CA that an anchor has certified. Where the room is small, it has its own from then on.
    fn meet(&self, issuer: &KeyDigest, branch: &KeyDigest) {
        let _ = (issuer, branch);
    }

    /// A number that changes with every new fact: whoever holds a verdict looks again. [`UNTOLD`](super::status_sources::UNTOLD) where
    /// it cannot be read.
    fn mark(&self) -> u64;
}

/// What a memory of facts knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFacts {
    /// Against a certificate; more than one where several have said so.
    pub facts: Vec<RevokedFact>,
    /// Until when what was said against certificates of its issuer may have had no room.
    pub lost: Option<Time>,
}

/// Facts in memory, with a form to write down and read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedTable {
    facts: Map<(RevokedId, Authority), RevokedFact>,
    lost: LostFacts,
}

impl RevokedTable {
    /// What is known against a certificate.
    pub fn find(&self, who: &RevokedId) -> Vec<RevokedFact> {
        let (from, to) = ((*who, Authority::Issuer), (*who, Authority::Key([0xff; 32])));
        self.facts.range(&from, &to).map(|(_, fact)| fact.clone()).collect()
    }

    /// Which facts had no room.
    pub fn lost(&self) -> Vec<Lost> {
        let of_keys = self.lost.all().map(|(key, until)| Lost { of: Some(*key), until });
        of_keys.chain(self.lost.of_others().map(|until| Lost { of: None, until })).collect()
    }

    /// Until when facts about certificates of an issuer with this key may be lost.
    pub fn lost_of(&self, issuer: &KeyDigest) -> Option<Time> {
        self.lost.of(issuer)
    }

    /// Adds a fact. Facts that have ended by `now` make room, no others.
    pub fn add(&mut self, fact: &RevokedFact, now: Option<Time>) -> Added {
        let key = (fact.who, fact.authority);
        // A word from the future is one of today: what is said tomorrow may lift a hold.
        let made = now.map_or(fact.made, |now| fact.made.min(now));
        if let Some(known) = self.facts.get_mut(&key) {
            let before = known.clone();
            match (known.is_for_good(), fact.is_for_good()) {
                (false, true) => *known = RevokedFact { made, ..fact.clone() },
                // Said once, it is of the day when it was met.
                (false, false) if made == fact.made => {
                    if let Some(longer) = known.held_longer_by(fact) {
                        *known = longer;
                    }
                }
                _ => {}
            }
            // The same certificate, said to end later: a second one of its number, which lives longer.
            known.end = before.end.max(fact.end);
            return if *known == before { Added::Known } else { Added::New };
        }
        let of_branch = |table: &Self| table.facts.values().filter(|f| f.branch == fact.branch).count();
        if let (true, Some(now)) = (self.facts.len() >= MAX_FACTS || of_branch(self) >= MAX_FACTS_OF_BRANCH, now) {
            self.facts.retain(|_, fact| fact.end >= now);
        }
        let why = if self.facts.len() >= MAX_FACTS {
            format!("the record of revoked certificates is full: {MAX_FACTS} that have not ended")
        } else if of_branch(self) >= MAX_FACTS_OF_BRANCH {
            let text = "the record of revoked certificates has no more room for certificates below this CA";
            format!("{text}: {MAX_FACTS_OF_BRANCH} that have not ended")
        } else {
            self.facts.insert(key, RevokedFact { made, ..fact.clone() });
            return Added::New;
        };
        Added::Lost { why, is_new: self.lost.lose(&fact.issuer, &fact.branch, fact.made, now) }
    }

    /// Ends a hold by a later word: `true` if there was one.
    pub fn lift(&mut self, fact: &RevokedFact, word: &GoodWord) -> bool {
        let key = (fact.who, fact.authority);
        let ends = self.facts.get(&key).is_some_and(|known| known.is_lifted_by(word));
        ends && self.facts.remove(&key).is_some()
    }

    /// An issuer was met in good order: see [`RevokedFacts::meet`]. `true` if that is new and is to be written down.
    pub fn meet(&mut self, issuer: &KeyDigest, branch: &KeyDigest) -> bool {
        self.lost.meet(issuer, branch)
    }

    pub(crate) fn has_not_met(&self, issuer: &KeyDigest, branch: &KeyDigest) -> bool {
        self.lost.has_not_met(issuer, branch)
    }

    /// The issuers that another one has met.
    pub(crate) fn join_met(&mut self, other: &RevokedTable) -> bool {
        self.lost.join_met(&other.lost)
    }

    /// Whether some CA that an anchor has certified has used so much of its room that issuers which are met get their place.
    pub(crate) fn is_crowded(&self) -> bool {
        let mut counts: Map<&KeyDigest, usize> = Map::new();
        self.facts.values().for_each(|fact| *counts.get_or_default(&fact.branch) += 1);
        counts.values().any(|count| *count >= MANY_FACTS_OF_BRANCH)
    }

    /// Takes over all facts of another table that this one lacks and has room for, and what that one has lost: `true` if that is
    /// news.
    pub fn join(&mut self, other: &RevokedTable) -> bool {
        let mut is_new = self.lost.join(&other.lost);
        for fact in other.facts.values() {
            // Without room it is remembered as lost.
            is_new |= !matches!(self.add(fact, None), Added::Known | Added::Lost { is_new: false, .. });
        }
        is_new
    }

    /// Forgets what another table holds.
    pub(crate) fn forget(&mut self, other: &RevokedTable) {
        self.facts.retain(|key, fact| other.facts.get(key) != Some(fact));
        self.lost.forget(&other.lost);
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == RevokedTable::default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.facts.len()
    }

    /// All facts, to be kept where nobody can change them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for fact in self.facts.values() {
            bytes.push(FACT);
            fact.write(&mut bytes);
        }
        self.lost.write(LOST, LOST_OF_OTHERS, &mut bytes);
        bytes
    }

    /// From the bytes that [`Self::to_bytes`] gave, in this version or one before.
    ///
    /// # Errors
    ///
    /// They are damaged, or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "record of revoked certificates";
        const FORMATS: [(&[u8], u8); 5] = [(MAGIC, 5), (MAGIC_4, 4), (MAGIC_3, 3), (MAGIC_2, 2), (MAGIC_1, 1)];
        let format = FORMATS.iter().find_map(|(magic, format)| Some((bytes.strip_prefix(*magic)?, *format)));
        let table = match format {
            Some((rest, 1)) => Self::read_first_format(rest),
            Some((rest, format)) => Self::read(rest, format),
            None => return Err(Asn1Error::invalid(WHAT, "of another format")),
        };
        table.ok_or_else(|| Asn1Error::invalid(WHAT, "damaged"))
    }

    fn read(mut rest: &[u8], format: u8) -> Option<Self> {
        let mut table = RevokedTable::default();
        while let Some((kind, behind)) = rest.split_first() {
            rest = match (*kind, format) {
                (FACT, _) => {
                    let len = if format > 4 { FACT_LEN } else { FACT_LEN_4 };
                    let (fact, behind) = behind.split_at_checked(len)?;
                    table.take(RevokedFact::read(fact, format)?)?;
                    behind
                }
                (LOST, 2) => table.lost.read_place_2(behind)?,
                (LOST, 3) => table.lost.read_place_3(behind)?,
                (LOST, _) => table.lost.read_place(behind)?,
                (LOST_OF_OTHERS, _) => table.lost.read_others(behind, format > 2)?,
                _ => return None,
            };
        }
        if format < 4 {
            table.lost.hold_against_all();
        }
        Some(table)
    }

    fn read_first_format(rest: &[u8]) -> Option<Self> {
        let mut table = RevokedTable::default();
        let facts = rest.chunks_exact(FACT_LEN_1);
        if !facts.remainder().is_empty() {
            return None;
        }
        for fact in facts {
            table.take(RevokedFact::read(fact, 1)?)?;
        }
        Some(table)
    }

    fn take(&mut self, fact: RevokedFact) -> Option<()> {
        let is_one = self.facts.len() < MAX_FACTS && self.facts.insert((fact.who, fact.authority), fact).is_none();
        is_one.then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::revoked_fact::{HOLD_SECONDS, MAX_NUMBER_BYTES};
    use super::*;
    use crate::asn1::crl::{CrlNumber, CrlReason};

    fn list(number: u16) -> ListPlace {
        ListPlace::new([4; 8], &CrlNumber::from_be_bytes(&number.to_be_bytes())).unwrap()
    }

    fn good(from: i64, lists: &[u16]) -> GoodWord {
        GoodWord { from: Time::from_unix(from), lists: lists.iter().map(|number| list(*number)).collect() }
    }

    fn fact(number: u16, end: i64) -> RevokedFact {
        let mut who = [0; 32];
        who[..2].copy_from_slice(&number.to_be_bytes());
        RevokedFact {
            who,
            issuer: number.to_be_bytes().repeat(4).try_into().unwrap(),
            branch: [(number % 8) as u8; 8],
            authority: match number % 4 {
                0 => Authority::Key([7; 32]),
                1 => Authority::Certifier([7; 32]),
                _ => Authority::Issuer,
            },
            source: [3; 32],
            since: (number % 2 == 0).then(|| Time::from_unix(-5)),
            reason: if number % 5 == 4 { CrlReason::CertificateHold } else { CrlReason::KeyCompromise },
            made: Time::from_unix(i64::from(number)),
            end: Time::from_unix(end),
            list: (number % 10 == 9).then(|| list(number)),
        }
    }

    fn lost(added: &Added) -> bool {
        matches!(added, Added::Lost { .. })
    }

    #[test]
    fn facts_survive_a_restart_as_they_are() {
        let mut table = RevokedTable::default();
        for number in 0..3_000 {
            table.add(&fact(number, 1_000), None);
        }
        assert!(!table.lost().is_empty(), "some had no room");
        let again = RevokedTable::from_bytes(&table.to_bytes()).unwrap();
        assert_eq!(again, table);
        assert_eq!(again.find(&fact(5, 0).who), [fact(5, 1_000)]);
        assert!(again.find(&[9; 32]).is_empty());
    }

    #[test]
    fn a_record_of_the_first_format_is_read_and_written_anew() {
        let whole = RevokedFact { reason: CrlReason::KeyCompromise, ..fact(6, 9) };
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        // Without its branch and the time of the word.
        let without = |bytes: &[u8]| [&bytes[..40], &bytes[48..121], &bytes[129..FACT_LEN_4]].concat();
        let first = [MAGIC_1, &without(&bytes)].concat();
        let table = RevokedTable::from_bytes(&first).unwrap();
        let expected = RevokedFact { branch: whole.issuer, made: Time::from_unix(0), ..whole };
        assert_eq!(table.find(&expected.who), [expected]);
        assert!(table.to_bytes().starts_with(MAGIC));
        assert_eq!(RevokedTable::from_bytes(&table.to_bytes()).unwrap(), table);
        RevokedTable::from_bytes(&first[..first.len() - 1]).unwrap_err();
    }

    /// What a branch stood for is not known any more: it may be anyone's.
    #[test]
    fn records_of_the_second_and_third_format_lose_nothing() {
        let mut bytes = MAGIC_2.to_vec();
        bytes.push(FACT);
        fact(6, 9).write(&mut bytes);
        bytes.truncate(MAGIC_2.len() + 1 + FACT_LEN_4);
        let fourth = [MAGIC_4, &bytes[MAGIC_2.len()..]].concat();
        assert_eq!(RevokedTable::from_bytes(&fourth).unwrap().find(&fact(6, 9).who), [fact(6, 9)]);
        let lost =
            |key: u8, branch: u8, until: i64| [&[LOST][..], &[key; 8], &[branch; 8], &until.to_be_bytes()].concat();
        let of_issuer = [&bytes[..], &lost(1, 9, 3_600)].concat();
        let table = RevokedTable::from_bytes(&of_issuer).unwrap();
        let third = [MAGIC_3, &of_issuer[MAGIC_2.len()..of_issuer.len() - 16], &3_600i64.to_be_bytes()].concat();
        let of_anyone = [&third[..], &[LOST_OF_OTHERS], &7_200i64.to_be_bytes()].concat();
        for (bytes, until) in [(third, 3_600), (of_anyone, 7_200)] {
            assert_eq!(RevokedTable::from_bytes(&bytes).unwrap().lost_of(&[1; 8]), Some(Time::from_unix(until)));
        }
        assert_eq!(table.find(&fact(6, 9).who), [fact(6, 9)]);
        assert_eq!((table.lost_of(&[1; 8]), table.lost_of(&[2; 8])), (Some(Time::from_unix(3_600)), None));
        let table = RevokedTable::from_bytes(&[&of_issuer[..], &lost(9, 9, 7_200)].concat()).unwrap();
        assert_eq!(table.lost_of(&[2; 8]), Some(Time::from_unix(7_200)));
        assert_eq!(RevokedTable::from_bytes(&table.to_bytes()).unwrap(), table);
    }

    #[test]
    fn damage_is_refused_and_not_taken_for_an_empty_record() {
        let mut table = RevokedTable::default();
        table.add(&fact(1, 9), None);
        table.add(&fact(2, 9), None);
        let bytes = table.to_bytes();
        for length in 0..bytes.len() {
            let whole = length >= MAGIC.len() && (length - MAGIC.len()) % (FACT_LEN + 1) == 0;
            assert_eq!(RevokedTable::from_bytes(&bytes[..length]).is_ok(), whole, "{length}");
        }
        let twice = [&bytes[..], &bytes[MAGIC.len()..]].concat();
        RevokedTable::from_bytes(&twice).unwrap_err();
        let mut other_kind = bytes;
        other_kind[MAGIC.len() + 1 + 48] = 3;
        RevokedTable::from_bytes(&other_kind).unwrap_err();
    }

    #[test]
    fn only_what_has_ended_makes_room_and_what_has_none_is_known_to_be_lost() {
        let mut table = RevokedTable::default();
        for number in 0..MAX_FACTS as u16 {
            // Eight branches, an eighth each: none is at its bound.
            assert_eq!(table.add(&fact(number, 1_000 + i64::from(number)), None), Added::New);
        }
        let next = fact(MAX_FACTS as u16, 9_000);
        assert!(matches!(table.add(&next, None), Added::Lost { is_new: true, .. }));
        assert!(matches!(table.add(&next, Some(Time::from_unix(1_000))), Added::Lost { is_new: false, .. }));
        assert_eq!(table.lost(), [Lost { of: Some(next.issuer), until: Time::from_unix(3_600) }]);
        assert_eq!(table.count(), MAX_FACTS, "nothing was lost to what came later");
        assert_eq!(table.add(&next, Some(Time::from_unix(1_001))), Added::New);
        assert_eq!((table.count(), table.find(&fact(0, 0).who)), (MAX_FACTS, Vec::new()));
        assert_eq!(RevokedTable::from_bytes(&table.to_bytes()).unwrap(), table);
    }

    #[test]
    fn one_branch_fills_a_quarter_at_most_whatever_it_calls_its_issuers() {
        let mut table = RevokedTable::default();
        let of_one = |number| RevokedFact { branch: [1; 8], ..fact(number, 9) };
        for number in 0..MAX_FACTS_OF_BRANCH as u16 {
            assert_eq!(table.add(&of_one(number), None), Added::New);
        }
        for number in 0..1_000 {
            assert!(lost(&table.add(&of_one(5_000 + number), None)));
        }
        assert!((0..1_000).all(|number| table.lost_of(&of_one(5_000 + number).issuer).is_some()));
        let known = table.lost();
        assert_eq!(known.iter().filter(|lost| lost.of.is_some()).count(), 256, "of the first it is known exactly");
        assert!(known.iter().all(|lost| lost.until <= Time::from_unix(2 * 86_400)));
        assert_eq!(table.add(&RevokedFact { branch: [2; 8], ..fact(5_000, 9) }, None), Added::New);
    }

    #[test]
    fn what_is_lost_beyond_all_bounds_is_lost_of_all_who_were_not_met_before() {
        let mut table = RevokedTable::default();
        let met = [77; 8];
        assert!(!table.is_crowded());
        for number in 0..MAX_FACTS as u16 {
            table.add(&fact(number, 1_000_000), None);
        }
        assert!(table.is_crowded() && table.meet(&met, &[9; 8]) && !table.meet(&met, &[9; 8]));
        let at = |number: u16, made| RevokedFact { made: Time::from_unix(made), ..fact(10_000 + number, 1_000_000) };
        for number in 0..8 * 256 + 1 {
            assert!(lost(&table.add(&at(number, 10), None)));
        }
        assert_eq!(table.lost_of(&[255; 8]), Some(Time::from_unix(86_400)), "of others");
        assert_eq!(table.lost_of(&met), None);
        // A word from the future bars no word of tomorrow.
        table.add(&at(9_999, i64::MAX), Some(Time::from_unix(7_300)));
        assert_eq!(table.lost_of(&[255; 8]), Some(Time::from_unix(86_400)));
        assert_eq!(RevokedTable::from_bytes(&table.to_bytes()).unwrap(), table);
        let mut other = RevokedTable::default();
        assert!(other.join(&table) && !other.join(&table));
        assert_eq!(other, table);
        other.forget(&table);
        assert!(other.is_empty());
    }

    #[test]
    fn a_fact_that_is_there_for_good_is_not_replaced() {
        let mut table = RevokedTable::default();
        table.add(&fact(1, 9), None);
        let other = RevokedFact { reason: CrlReason::Superseded, source: [9; 32], ..fact(1, 5) };
        assert_eq!(table.add(&other, None), Added::Known);
        let held = RevokedFact { reason: CrlReason::CertificateHold, made: Time::from_unix(50), ..other.clone() };
        assert_eq!(table.add(&held, None), Added::Known);
        assert!(!table.lift(&held, &good(60, &[])));
        assert_eq!(table.find(&other.who), [fact(1, 9)]);
        let by_another = RevokedFact { authority: Authority::Key([1; 32]), ..other };
        assert_eq!(table.add(&by_another, None), Added::New);
        assert_eq!(table.find(&by_another.who).len(), 2);
    }

    #[test]
    fn a_hold_ends_with_a_later_word_and_not_with_an_earlier_one() {
        let held = |made| RevokedFact { made: Time::from_unix(made), ..fact(4, 9) };
        let mut table = RevokedTable::default();
        table.add(&held(10), None);
        assert_eq!(table.add(&held(5), None), Added::Known, "an older word shortens nothing");
        assert_eq!(table.add(&held(4000), None), Added::New);
        assert!(!table.lift(&held(10), &good(4000, &[])));
        assert_eq!(table.find(&held(4000).who), [held(4000)]);
        assert!(table.lift(&held(10), &good(4001, &[])));
        assert!(table.find(&held(4000).who).is_empty());
        table.add(&held(20), None);
        let for_good = RevokedFact { reason: CrlReason::KeyCompromise, ..held(15) };
        assert_eq!(table.add(&for_good, None), Added::New);
        assert_eq!(table.find(&for_good.who), [for_good]);
    }

    /// Numbers tell which list of one second is the later, within their series.
    #[test]
    fn a_hold_of_this_second_ends_with_the_next_list_of_its_series_alone() {
        let held = RevokedFact { list: Some(list(300)), ..fact(4, 9) };
        let other = ListPlace { series: [5; 8], ..list(301) };
        for (word, expected) in [
            (good(4, &[301]), true),
            (good(4, &[7, 301]), true),
            (good(4, &[300]), false),
            (good(4, &[299, 7]), false),
            (good(4, &[]), false),
            (GoodWord { lists: vec![other], ..good(4, &[]) }, false),
            (good(3, &[301]), false),
            (good(5, &[7]), true),
        ] {
            let mut table = RevokedTable::default();
            table.add(&held, None);
            let mut table = RevokedTable::from_bytes(&table.to_bytes()).unwrap();
            assert_eq!(table.lift(&held, &word), expected, "{word:?}");
            let without = RevokedFact { list: None, ..held.clone() };
            assert_eq!(without.is_lifted_by(&word), word.from > held.made, "{word:?}");
            let for_good = RevokedFact { reason: CrlReason::KeyCompromise, ..held.clone() };
            assert!(!for_good.is_lifted_by(&word));
        }
        let longest = CrlNumber::from_be_bytes(&[9; MAX_NUMBER_BYTES]);
        assert!(ListPlace::new([4; 8], &longest).is_some());
        assert!(ListPlace::new([4; 8], &CrlNumber::from_be_bytes(&[9; MAX_NUMBER_BYTES + 1])).is_none());
    }

    /// A CA that shows a newer hold at each meeting has it written once an hour, and none of them is lost.
    #[test]
    fn ever_newer_holds_are_written_once_an_hour() {
        for step in [1, 60, 3599] {
            let mut table = RevokedTable::default();
            let (mut written, mut last) = (0, 0);
            for said in (0..10 * HOLD_SECONDS).step_by(step) {
                let now = Time::from_unix(said);
                let number = u16::try_from(said).unwrap_or(u16::MAX);
                let held = RevokedFact { made: now, list: Some(list(number)), ..fact(4, i64::MAX) };
                written += usize::from(table.add(&held, Some(now)) == Added::New);
                assert!(!table.clone().lift(&held, &good(said, &[])), "it is as of the last word, or later");
                last = said;
            }
            assert!(written <= 12, "{written} times, every {step} s");
            assert!(table.lift(&fact(4, 9), &good(last + HOLD_SECONDS + 1, &[])), "and ends within an hour");
        }
        // Ever higher numbers of one second, too.
        let mut table = RevokedTable::default();
        let held = |number| RevokedFact { list: Some(list(number)), ..fact(4, 9) };
        let written = (1..1000).filter(|number| table.add(&held(*number), None) == Added::New).count();
        assert!(written <= 2, "{written}");
        assert!(!table.lift(&held(0), &good(4, &[999])));
    }
}
