//! Putting things in order: the only door to sorting.
//!
//! The standard library compiles its sorts anew for every type and every comparison, three to five kilobytes each time. What is put in
//! order here is short, so one sort of positions is compiled once, and what differs is a comparison and the moves. All of it is stable.

use core::cmp::Ordering;

use crate::prelude::*;

/// By the order of the type.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// By what is taken of each. It is taken for each comparison: [`sort_by_cached_key`] takes what is dear once.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// By what is worked out for each, once.
pub(crate) fn sort_by_cached_key<T, K: Ord>(items: &mut [T], key: impl FnMut(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    let order = order_of(keys.len(), &|a, b| keys[a].cmp(&keys[b]));
    arrange(items, order);
}

/// By a comparison.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = order_of(items.len(), &|a, b| compare(&items[a], &items[b]));
    arrange(items, order);
}

/// The positions of so many things in the order of what stands there.
#[inline(never)]
fn order_of(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

/// Moves each to its place, along the cycles of the order.
fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..order.len() {
        let mut place = start;
        loop {
            let from = core::mem::replace(&mut order[place], place);
            if from == start {
                break;
            }
            items.swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are no pattern, few of them different.
    fn scattered(count: usize, different: usize, seed: usize) -> Vec<(usize, usize)> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let next = |at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % different, at)
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn the_order_is_that_of_the_standard_library_and_equals_stay_as_they_were() {
        for count in 0..64 {
            for seed in 0..16 {
                let items = scattered(count, 1 + seed, seed);
                let mut expected = items.clone();
                expected.sort_by_key(|(key, _)| *key);
                for sorter in [
                    (|items: &mut [(usize, usize)]| sort_by_key(items, |(key, _)| *key)) as fn(&mut [(usize, usize)]),
                    |items| sort_by_cached_key(items, |(key, _)| *key),
                    |items| sort_by(items, |a, b| a.0.cmp(&b.0)),
                ] {
                    let mut found = items.clone();
                    sorter(&mut found);
                    assert_eq!(found, expected);
                }
                let (mut found, mut expected) = (items.clone(), items);
                sort(&mut found);
                expected.sort();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_dear_key_is_worked_out_once_for_each() {
        let mut items = scattered(50, 7, 3);
        let mut asked = vec![0; items.len()];
        sort_by_cached_key(&mut items, |(key, at)| {
            asked[*at] += 1;
            *key
        });
        assert_eq!(asked, [1; 50]);
    }
}
