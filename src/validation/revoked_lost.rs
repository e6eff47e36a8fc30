//! What the record of revoked certificates had no room for: of which issuer, and until when it was said.
//!
//! An issuer has a place of its own, in which it is known exactly what was lost of it. Whoever stands below one CA that an anchor has
//! certified makes as many issuers as it likes, and has its part of the places with all of them. What is lost of others stands
//! together, and is held against all that have no place: so issuers get theirs when they are met in good order, before there is need,
//! and keep it.
//!
//! How exact the times are is bounded too: the more of a branch have lost something, the longer the steps in which that is known, up to a
//! day. So whoever has lists by any number of CAs of its own shown again and again has the record written 24 times a day, or once a day
//! for each of the first [`MAX_PLACES_OF_BRANCH`].

use crate::prelude::*;
use crate::sorted::Map;
use crate::time::Time;

/// First bytes of a digest of a key.
pub(crate) type KeyDigest = [u8; 8];

/// Most issuers with a place of their own.
const MAX_PLACES: usize = 4096;
/// Most of them below one CA that an anchor has certified.
const MAX_PLACES_OF_BRANCH: usize = MAX_PLACES / 16;
/// The shortest step of time and the longest, which is that of those without a place too, in seconds.
const STEP: i64 = 3600;
const MAX_STEP: i64 = 86_400;
/// Words from before so many steps are taken for words of then: else each of a long row of old ones would be news.
const MAX_STEPS_BACK: i64 = 8;
/// Lengths of what is written.
const PLACE_LEN: usize = 8 + 8 + 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LostFacts {
    /// By the issuer's key.
    places: Map<KeyDigest, Place>,
    of_others: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    branch: KeyDigest,
    until: Option<Time>,
}

impl LostFacts {
    /// Until when what was said of certificates of an issuer may be lost.
    pub fn of(&self, issuer: &KeyDigest) -> Option<Time> {
        self.places.get(issuer).map_or(self.of_others, |place| place.until)
    }

    pub fn of_others(&self) -> Option<Time> {
        self.of_others
    }

    /// Issuers of which something was lost.
    pub fn all(&self) -> impl Iterator<Item = (&KeyDigest, Time)> {
        self.places.iter().filter_map(|(issuer, place)| Some((issuer, place.until?)))
    }

    /// Whether an issuer could have its place counted to this branch, and does not.
    pub fn has_not_met(&self, issuer: &KeyDigest, branch: &KeyDigest) -> bool {
        match self.places.get(issuer) {
            Some(place) => place.branch != *branch && self.count(branch) + 1 < self.count(&place.branch),
            None => self.has_room(branch),
        }
    }

    /// Gives an issuer its place: `true` if that is new. Who stands below several branches has it where fewer are, whoever certifies
    /// its key once more.
    pub fn meet(&mut self, issuer: &KeyDigest, branch: &KeyDigest) -> bool {
        let is_new = self.has_not_met(issuer, branch);
        if is_new {
            let until = self.of(issuer);
            self.places.insert(*issuer, Place { branch: *branch, until });
        }
        is_new
    }

    /// Remembers that what was said then of a certificate of this issuer had no room: `true` if that is new.
    pub fn lose(&mut self, issuer: &KeyDigest, branch: &KeyDigest, made: Time, now: Option<Time>) -> bool {
        self.meet(issuer, branch);
        let step = match self.places.get(issuer) {
            Some(place) => {
                let is_lossy = |other: &&Place| other.branch == place.branch && other.until.is_some();
                let others = self.places.values().filter(is_lossy).count() - usize::from(place.until.is_some());
                (STEP * (others as i64 + 1)).min(MAX_STEP)
            }
            None => MAX_STEP,
        };
        // A word from the future is one of today: what is said tomorrow may be good.
        let made = now.map_or(made, |now| made.clamp(now.plus(-step * MAX_STEPS_BACK), now)).unix();
        let until = Time::from_unix(made.saturating_sub(made.rem_euclid(step)).saturating_add(step));
        let known = match self.places.get_mut(issuer) {
            Some(place) => &mut place.until,
            None => &mut self.of_others,
        };
        let is_new = *known < Some(until);
        *known = (*known).max(Some(until));
        is_new
    }

    /// Takes over what another one knows: `true` if that is news.
    pub fn join(&mut self, other: &LostFacts) -> bool {
        let before = self.clone();
        // Of those who have no place there, it may stand among the others'.
        for (_, place) in self.places.iter_mut().filter(|(issuer, _)| !other.places.contains_key(*issuer)) {
            place.until = place.until.max(other.of_others);
        }
        for (issuer, theirs) in other.places.iter() {
            if !self.places.contains_key(issuer) {
                self.meet(issuer, &theirs.branch);
            }
            let known = match self.places.get_mut(issuer) {
                Some(place) => &mut place.until,
                None => &mut self.of_others,
            };
            *known = (*known).max(theirs.until);
        }
        self.of_others = self.of_others.max(other.of_others);
        *self != before
    }

    /// The issuers that another one has met get their places here.
    pub fn join_met(&mut self, other: &LostFacts) -> bool {
        other.places.iter().fold(false, |is_new, (issuer, place)| self.meet(issuer, &place.branch) || is_new)
    }

    /// Forgets what another one holds.
    pub fn forget(&mut self, other: &LostFacts) {
        self.places.retain(|issuer, place| other.places.get(issuer) != Some(place));
        self.of_others = self.of_others.filter(|until| other.of_others < Some(*until));
    }

    fn has_room(&self, branch: &KeyDigest) -> bool {
        self.places.len() < MAX_PLACES && self.count(branch) < MAX_PLACES_OF_BRANCH
    }

    fn count(&self, branch: &KeyDigest) -> usize {
        self.places.values().filter(|place| place.branch == *branch).count()
    }

    /// The places, each behind this byte, and what stands together behind the other.
    pub fn write(&self, of_one: u8, of_others: u8, bytes: &mut Vec<u8>) {
        for (issuer, place) in self.places.iter() {
            bytes.push(of_one);
            let until = place.until.map_or(i64::MIN, Time::unix).to_be_bytes();
            [issuer, &place.branch, &until].iter().for_each(|part| bytes.extend_from_slice(*part));
        }
        if let Some(until) = self.of_others {
            bytes.push(of_others);
            bytes.extend_from_slice(&until.unix().to_be_bytes());
        }
    }

    /// Reads a place as it was written, and what stands behind it.
    pub fn read_place<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (place, behind) = bytes.split_at_checked(PLACE_LEN)?;
        let (issuer, rest) = place.split_first_chunk()?;
        let (branch, rest) = rest.split_first_chunk()?;
        let until = i64::from_be_bytes(*rest.first_chunk()?);
        let until = (until != i64::MIN).then(|| Time::from_unix(until));
        let known = self.places.insert(*issuer, Place { branch: *branch, until });
        (known.is_none() && self.places.len() <= MAX_PLACES).then_some(behind)
    }

    /// The same from before there were branches.
    pub fn read_place_3<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (issuer, behind) = bytes.split_first_chunk::<8>()?;
        let (until, behind) = behind.split_first_chunk::<8>()?;
        let until = Some(Time::from_unix(i64::from_be_bytes(*until)));
        let known = self.places.insert(*issuer, Place { branch: KeyDigest::default(), until });
        (known.is_none() && self.places.len() <= MAX_PLACES).then_some(behind)
    }

    /// The same from before that: what was lost of a branch's own key may be of any CA below it.
    pub fn read_place_2<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let behind = self.read_place(bytes)?;
        let place = &bytes[..PLACE_LEN];
        if place[..8] == place[8..16] {
            let until = self.places.get(&place[..8]).and_then(|place| place.until);
            self.of_others = self.of_others.max(until);
        }
        Some(behind)
    }

    /// Reads what stands together. `is_only`: it stands there once.
    pub fn read_others<'b>(&mut self, bytes: &'b [u8], is_only: bool) -> Option<&'b [u8]> {
        let (until, behind) = bytes.split_first_chunk::<8>()?;
        let until = Some(Time::from_unix(i64::from_be_bytes(*until)));
        let is_first = self.of_others.is_none();
        self.of_others = self.of_others.max(until);
        (is_first || !is_only).then_some(behind)
    }

    /// Of a record in which what stands together was held against all.
    pub fn hold_against_all(&mut self) {
        let of_others = self.of_others;
        self.places.values_mut().for_each(|place| place.until = place.until.max(of_others));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn key(number: usize) -> KeyDigest {
        (number as u64 + 1).to_be_bytes()
    }

    /// splitmix64
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, sides: i64) -> i64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % sides as u64) as i64
        }
    }

    /// Whoever has any number of issuers, and shows words by them in any order, of any date: what it makes be written is bounded, nothing
    /// of it is forgotten, and nobody who was met before, or stands with it and elsewhere, pays for it.
    #[test]
    fn what_one_branch_makes_be_written_is_bounded_and_nothing_is_forgotten() {
        const DAYS: i64 = 8;
        let (bad, good) = (key(1_000_000), key(2_000_000));
        for (seed, issuers) in [1, 2, 10, 64, 256, 400, 3000].into_iter().enumerate() {
            for order in 0..3 {
                let mut dice = Dice(seed as u64 * 3 + order);
                let mut lost = LostFacts::default();
                let (met, shared) = (key(5_000_000), key(6_000_000));
                assert!(lost.meet(&met, &good));
                assert!(lost.meet(&shared, &bad) && (0..3).all(|n| lost.meet(&key(7_000_000 + n), &bad)));
                assert!(lost.meet(&shared, &good), "where fewer are");
                let mut said: Map<KeyDigest, Time> = Map::new();
                let mut writes = 0;
                for turn in 0..DAYS * 600 {
                    let now = 1_000_000_000 + turn * DAY / 600;
                    let issuer = match order {
                        0 => dice.below(issuers),
                        1 => turn % issuers,
                        _ => turn / 10 % issuers,
                    };
                    let made = match dice.below(3) {
                        0 => turn,
                        1 => now - dice.below(9 * DAY),
                        _ => now + dice.below(DAY),
                    };
                    let (issuer, made, now) = (key(issuer as usize), Time::from_unix(made), Time::from_unix(now));
                    writes += i64::from(lost.lose(&issuer, &bad, made, Some(now)));
                    let made = made.min(now);
                    let known = said.get_or_insert_with(issuer, || made);
                    *known = made.max(*known);
                    assert!(lost.of(&issuer) > Some(made));
                }
                let first = issuers.min(MAX_PLACES_OF_BRANCH as i64) * (MAX_STEPS_BACK + 2);
                let a_day = 1 + issuers.clamp(25, MAX_PLACES_OF_BRANCH as i64);
                assert!(writes <= first + (DAYS + 1) * a_day, "{issuers} issuers, order {order}: {writes}");
                assert!(said.iter().all(|(issuer, made)| lost.of(issuer) > Some(*made)));
                assert_eq!((lost.of(&met), lost.of(&shared)), (None, None));
                assert!(lost.places.len() <= 2 + MAX_PLACES_OF_BRANCH);
                let is_held_against_others = lost.of(&key(9_000_000)).is_some();
                assert_eq!(is_held_against_others, said.len() > MAX_PLACES_OF_BRANCH - 3, "{issuers}");
                let mut bytes = Vec::new();
                lost.write(b'l', b'a', &mut bytes);
                assert!(bytes.len() < 8192);
            }
        }
    }

    /// What either knows to be lost of anyone, both together know.
    #[test]
    fn two_joined_forget_nothing_of_either() {
        let mut dice = Dice(7);
        for _ in 0..60 {
            let make = |dice: &mut Dice| {
                let mut lost = LostFacts::default();
                for _ in 0..dice.below(900) {
                    let (issuer, branch) = (key(dice.below(600) as usize), key(10_000 + dice.below(2) as usize));
                    match dice.below(3) {
                        0 => drop(lost.meet(&issuer, &branch)),
                        _ => drop(lost.lose(&issuer, &branch, Time::from_unix(dice.below(DAY)), None)),
                    }
                }
                lost
            };
            let (one, other) = (make(&mut dice), make(&mut dice));
            let mut both = one.clone();
            assert_eq!(both.join(&other), both != one);
            for issuer in (0..700).map(key) {
                assert!(both.of(&issuer) >= one.of(&issuer).max(other.of(&issuer)));
            }
            let once = both.clone();
            assert!(!both.join(&other), "no news the second time");
            assert_eq!(both, once);
        }
    }
}
