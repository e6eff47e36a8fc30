//! Small maps and sets: sorted in one piece of memory.
//!
//! For a hundred entries, and even for some thousand, this is as quick as a tree. The trees of the standard library are compiled anew for
//! every pair of types, six kilobytes each; this is a tenth of it. What may become larger, or is built anew for each validation from what
//! a peer sends, is a `BTreeMap`.

use core::borrow::Borrow;

use crate::prelude::*;

/// Values by their keys, in the order of these.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Map<K, V> {
    pub const fn new() -> Self {
        Map(Vec::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| stays(key, value));
    }
}

impl<K: Ord, V> Map<K, V> {
    /// Where a key stands, or would.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Those whose keys are not less than one and not more than another.
    pub fn range<Q: Ord + ?Sized>(&self, from: &Q, to: &Q) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let start = self.place(from).unwrap_or_else(|place| place);
        self.0[start..].iter().take_while(|(key, _)| key.borrow() <= to).map(|(key, value)| (key, value))
    }

    /// Gives the value that stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(core::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| self.0.remove(place).1)
    }

    /// The value of a key, made where there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (key, make()));
                place
            }
        };
        &mut self.0[place].1
    }

    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.get_or_insert_with(key, V::default)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map::new()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = alloc::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: core::fmt::Debug, V: core::fmt::Debug> core::fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Values, each once, in their order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Set<T>(Map<T, ()>);

impl<T> Set<T> {
    pub const fn new() -> Self {
        Set(Map::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.keys()
    }

    pub fn first(&self) -> Option<&T> {
        self.0.keys().next()
    }

    pub fn last(&self) -> Option<&T> {
        self.0.keys().next_back()
    }
}

impl<T: Ord> Set<T> {
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(value)
    }

    /// Those that are not less than one.
    pub fn from<Q: Ord + ?Sized>(&self, value: &Q) -> impl Iterator<Item = &T>
    where
        T: Borrow<Q>,
    {
        let start = self.0.place(value).unwrap_or_else(|place| place);
        self.0.0[start..].iter().map(|(value, ())| value)
    }

    /// Whether it was not there.
    pub fn insert(&mut self, value: T) -> bool {
        self.0.insert(value, ()).is_none()
    }

    /// Whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.remove(value).is_some()
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Set::new()
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.insert(value);
        }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut set = Set::new();
        set.extend(values);
        set
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = core::iter::Map<alloc::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(value, ())| value)
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_map_does_what_a_tree_does() {
        let mut state = 1u32;
        let mut drawn = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        let (mut ours, mut tree) = (Map::new(), BTreeMap::new());
        let (mut our_set, mut tree_set) = (Set::new(), BTreeSet::new());
        for round in 0..20_000 {
            let (key, value) = (drawn(60).to_string(), round);
            match drawn(8) {
                0 | 1 => {
                    assert_eq!(ours.insert(key.clone(), value), tree.insert(key.clone(), value));
                    assert_eq!(our_set.insert(key.clone()), tree_set.insert(key));
                }
                2 => {
                    assert_eq!(ours.remove(key.as_str()), tree.remove(key.as_str()));
                    assert_eq!(our_set.remove(key.as_str()), tree_set.remove(key.as_str()));
                }
                3 => {
                    *ours.get_or_default(key.clone()) += 1;
                    *tree.entry(key).or_default() += 1;
                }
                4 => {
                    let from = drawn(60).to_string();
                    let (from, to) = if from <= key { (from, key) } else { (key, from) };
                    assert!(ours.range(from.as_str(), to.as_str()).eq(tree.range(from.clone()..=to.clone())));
                }
                5 => {
                    ours.retain(|_, value| *value % 7 != 0);
                    tree.retain(|_, value| *value % 7 != 0);
                }
                _ => {
                    assert!(our_set.from(&key).eq(tree_set.range(key.clone()..)));
                    assert_eq!(ours.get(&key), tree.get(&key));
                    assert_eq!(our_set.contains(&key), tree_set.contains(&key));
                }
            }
            ours.iter_mut().for_each(|(key, value)| *value += i32::from(key.len() == 1));
            tree.iter_mut().for_each(|(key, value)| *value += i32::from(key.len() == 1));
            assert!(ours.iter().eq(tree.iter()) && ours.len() == tree.len());
            assert_eq!((our_set.first(), our_set.last()), (tree_set.first(), tree_set.last()));
        }
        assert!(our_set.into_iter().rev().eq(tree_set.into_iter().rev()));
        assert_eq!(format!("{ours:?}"), format!("{tree:?}"));
    }
}
