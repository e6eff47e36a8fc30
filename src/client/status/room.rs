//! Who gives way where there is no room for all that is kept.
//!
//! A CA makes as many keys, names, lists and URLs as it likes. So room is not shared by any of these, but by who has certified
//! whom: what stands below one certified key has no more than its share of what is above it, whatever it is split into, and
//! pushes out its own first.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Time;
use crate::validation::Line;
use crate::validation::revoked::KeyDigest;

/// Which part of the room those have who speak against nobody, whatever others do.
const SPARE_PART: usize = 4;

/// Something that takes room.
#[derive(Debug)]
pub(super) struct Guest {
    /// On whose word it is. Without any it shares the room of all of which that is not known.
    pub lines: Vec<Line>,
    /// Whether it speaks against anybody.
    pub revokes: bool,
    /// Of one signer's the earliest gives way.
    pub until: Time,
    /// How much room it takes.
    pub weight: usize,
}

/// A share, or a part of one: those who stand in it with their lines, and how much room they take.
#[derive(Default)]
struct Share<'g> {
    weight: usize,
    members: Vec<(usize, &'g [KeyDigest])>,
}

/// Which of them gives way: of those that matter least, one from the largest share of the largest share, and so on down to one
/// signer. `None`: there is nobody.
pub(super) fn who_gives_way(guests: &[Guest]) -> Option<usize> {
    // A word against somebody gives way to none about others; but whoever fills everything with such words must not keep out lists that
    // are empty today.
    let weight = |of: &dyn Fn(&&Guest) -> bool| guests.iter().filter(of).map(|guest| guest.weight).sum::<usize>();
    let (all, spare) = (weight(&|_| true), weight(&|guest| !guest.revokes));
    let is_spare = spare > all / SPARE_PART || spare == all;
    let candidates: Vec<usize> = (0..guests.len()).filter(|index| guests[*index].revokes != is_spare).collect();
    let weights = weights_of(guests, &candidates);
    // Each stands where the least is: whoever puts its own beside another's, or certifies another's key, takes it into no large share.
    let mut members: Vec<(usize, &[KeyDigest])> =
        candidates.into_iter().map(|index| (index, lightest(&guests[index].lines, &weights))).collect();
    for depth in 0.. {
        let mut shares: BTreeMap<Option<&KeyDigest>, Share<'_>> = BTreeMap::new();
        for (index, line) in members {
            let share = shares.entry(line.get(depth)).or_default();
            share.weight += guests[index].weight;
            share.members.push((index, line));
        }
        let (below, largest) = shares.into_iter().max_by_key(|(_, share)| share.weight)?;
        members = largest.members;
        if below.is_none() {
            break;
        }
    }
    members.into_iter().map(|(index, _)| index).min_by_key(|index| (guests[*index].until, *index))
}

/// How much room stands below each beginning of a line.
fn weights_of<'g>(guests: &'g [Guest], candidates: &[usize]) -> BTreeMap<&'g [KeyDigest], usize> {
    let mut weights = BTreeMap::new();
    for guest in candidates.iter().map(|index| &guests[*index]) {
        let beginnings: BTreeSet<&[KeyDigest]> =
            guest.lines.iter().flat_map(|line| (1..=line.len()).map(|len| &line[..len])).collect();
        for beginning in beginnings {
            *weights.entry(beginning).or_default() += guest.weight;
        }
    }
    weights
}

/// The line with the least beside it, from the anchor down.
fn lightest<'g>(lines: &'g [Line], weights: &BTreeMap<&[KeyDigest], usize>) -> &'g [KeyDigest] {
    let weight_of = |line: &[KeyDigest]| -> Vec<usize> {
        (1..=line.len()).map(|len| weights.get(&line[..len]).copied().unwrap_or(0)).collect()
    };
    lines.iter().min_by_key(|line| weight_of(line)).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: u8 = 0;

    fn guest(lines: &[&[u8]], revokes: bool, until: i64) -> Guest {
        let lines = lines.iter().map(|line| line.iter().map(|key| [*key; 8]).collect()).collect();
        Guest { lines, revokes, until: Time::from_unix(until), weight: 1 }
    }

    /// Takes away until so many are left, and answers who was taken away.
    fn gone(all: Vec<(u32, Guest)>, room: usize) -> Vec<u32> {
        let (mut names, mut guests): (Vec<u32>, Vec<Guest>) = all.into_iter().unzip();
        let mut gone = Vec::new();
        while guests.len() > room {
            let index = who_gives_way(&guests).unwrap();
            guests.remove(index);
            gone.push(names.remove(index));
        }
        gone
    }

    #[test]
    fn nobody_is_pushed_out_by_what_one_beside_it_has_certified() {
        for depth in 0..3 {
            let above: Vec<u8> = (ANCHOR..=depth).collect();
            let below = |more: &[u8]| [&above[..], more].concat();
            let mut all = vec![(0, guest(&[&below(&[100])], true, 1))];
            for sub in 0..100u8 {
                all.push((1 + u32::from(sub), guest(&[&below(&[200, sub])], true, 1000)));
            }
            assert!(!gone(all, 4).contains(&0), "depth {depth}");
        }
    }

    #[test]
    fn what_speaks_against_nobody_goes_first_and_of_one_signer_the_earliest() {
        let all = vec![
            (0, guest(&[&[ANCHOR, 1]], true, 1)),
            (1, guest(&[&[ANCHOR, 1]], true, 2)),
            (2, guest(&[&[ANCHOR, 2]], false, 9)),
            (3, guest(&[&[ANCHOR, 2]], false, 8)),
        ];
        assert_eq!(gone(all, 1), [3, 2, 0]);
    }

    #[test]
    fn a_part_of_the_room_is_for_those_who_speak_against_nobody() {
        let mut all = vec![(0, guest(&[&[ANCHOR, 1]], false, 1))];
        all.extend((1..60).map(|n| (n, guest(&[&[ANCHOR, 7, n as u8]], true, 1000))));
        assert!(!gone(all, 8).contains(&0));
    }

    #[test]
    fn a_second_line_through_a_large_share_takes_nothing_along() {
        let mut all = vec![(0, guest(&[&[ANCHOR, 7, 1], &[ANCHOR, 1]], true, 1))];
        all.extend((1..60).map(|n| (n, guest(&[&[ANCHOR, 7, n as u8]], true, 1000))));
        assert!(!gone(all, 3).contains(&0));
    }

    #[test]
    fn what_is_of_nobody_known_has_one_share() {
        let mut all = vec![(0, guest(&[], true, 1))];
        all.extend((1..60).map(|n| (n, guest(&[&[ANCHOR, n as u8]], true, 1000))));
        assert!(!gone(all, 3).contains(&0));
    }
}
