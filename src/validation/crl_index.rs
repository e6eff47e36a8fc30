//! Finding one serial number among a million: a table of offsets into the list's own bytes.

use crate::asn1::crl::{Bytes, CertificateList, CrlEntry, serial_of, shortest_integer};
use crate::limits;
use crate::prelude::*;

/// Below this many entries a walk costs less than an index is worth.
const WALK_BELOW: u32 = 48;

/// Offsets of all entries, grouped by a hash of their serial numbers.
///
/// Two passes of a counting sort build it, without comparing entries: 4 bytes an entry, and half a byte for the groups'
/// bounds. The four bits that offsets of the largest accepted list leave free hold more of the hash: of the entries in a
/// group, all but one in sixteen are passed over without a look at the list. A list made so that all its serial numbers
/// fall into one group costs a walk per lookup, no more.
pub(super) struct CrlIndex {
    /// How many groups; a power of two.
    groups: usize,
    table: Table,
}

/// First where each group begins, and the end; then offset and mark of the entries, group by group.
enum Table {
    Built(Vec<u32>),
    /// As [`CrlIndex::to_bytes`] wrote it, and checked against the list.
    Kept(Bytes),
}

/// Format of a kept index and its version; the counts of groups and entries and the table follow, little endian.
pub(crate) const MAGIC: &[u8; 8] = b"crlidx1\n";
const HEADER_LEN: usize = 16;
/// Largest group of a kept index: checking it must not cost the square of the list.
const MAX_KEPT_GROUP: usize = 1024;

impl CrlIndex {
    pub(super) fn build(list: &CertificateList) -> Option<Self> {
        let count = list.entry_count();
        if count < WALK_BELOW {
            return None;
        }
        let groups = groups_for(count);
        let mut table = vec![0u32; groups + 1 + count as usize];
        let (bounds, offsets) = table.split_at_mut(groups + 1);
        for (_, content) in list.entry_spans() {
            bounds[Place::of(serial(content), groups).group] += 1;
        }
        let mut total = 0;
        for bound in bounds.iter_mut() {
            total += *bound;
            *bound = total;
        }
        // Each bound now is its group's end; filling from the end turns it into its beginning.
        for (offset, content) in list.entry_spans() {
            let place = Place::of(serial(content), groups);
            let bound = &mut bounds[place.group];
            *bound -= 1;
            offsets[*bound as usize] = offset | place.mark;
        }
        Some(CrlIndex { groups, table: Table::Built(table) })
    }

    /// The index as it can be kept beside the list.
    pub(super) fn to_bytes(&self, list: &CertificateList) -> Vec<u8> {
        let words = self.groups + 1 + list.entry_count() as usize;
        let mut bytes = Vec::with_capacity(HEADER_LEN + 4 * words);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(self.groups as u32).to_le_bytes());
        bytes.extend_from_slice(&list.entry_count().to_le_bytes());
        (0..words).for_each(|i| bytes.extend_from_slice(&self.word(i).to_le_bytes()));
        bytes
    }

    /// An index that was kept, checked entry by entry: whatever happened to it, it hides nothing of the list.
    pub(super) fn from_bytes(list: &CertificateList, bytes: Bytes) -> Option<Self> {
        let count = list.entry_count();
        let groups = groups_for(count);
        let held: &[u8] = (*bytes).as_ref();
        let header = [&MAGIC[..], &(groups as u32).to_le_bytes(), &count.to_le_bytes()].concat();
        let words = groups + 1 + count as usize;
        if count < WALK_BELOW || !held.starts_with(&header) || held.len() != HEADER_LEN + 4 * words {
            return None;
        }
        let index = CrlIndex { groups, table: Table::Kept(bytes) };
        let in_order = (0..groups).all(|g| {
            let (begin, end) = (index.word(g), index.word(g + 1));
            begin <= end && end <= count && end - begin <= MAX_KEPT_GROUP as u32
        });
        let complete = in_order
            && list.entry_spans().all(|(offset, content)| {
                let place = Place::of(serial(content), groups);
                index.group_words(place.group).any(|known| known == offset | place.mark)
            });
        complete.then_some(index)
    }

    /// Offsets of the entries that may have this serial number.
    fn candidates(&self, wanted: &[u8]) -> impl Iterator<Item = u32> {
        let place = Place::of(wanted, self.groups);
        let marked = self.group_words(place.group).filter(move |word| word & !OFFSET_BITS == place.mark);
        marked.map(|word| word & OFFSET_BITS)
    }

    fn group_words(&self, group: usize) -> impl Iterator<Item = u32> {
        let first = self.groups + 1;
        let (begin, end) = (self.word(group) as usize, self.word(group + 1) as usize);
        (first + begin..first + end).map(|i| self.word(i))
    }

    #[inline(always)]
    fn word(&self, index: usize) -> u32 {
        match &self.table {
            Table::Built(words) => words[index],
            Table::Kept(bytes) => {
                let at = HEADER_LEN + 4 * index;
                (**bytes).as_ref().get(at..).and_then(|b| b.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
            }
        }
    }

    pub(super) fn heap_len(&self) -> usize {
        match &self.table {
            Table::Built(words) => words.capacity() * size_of::<u32>(),
            Table::Kept(_) => 0,
        }
    }
}

fn groups_for(count: u32) -> usize {
    (count.next_power_of_two() / 8).max(1) as usize
}

/// The entries with this serial number and their offsets; nearly always none or one.
pub(super) fn find<'a>(
    list: &'a CertificateList,
    index: Option<&CrlIndex>,
    serial_number: &[u8],
) -> Vec<(u32, CrlEntry<'a>)> {
    let wanted = shortest_integer(serial_number);
    let mut found: Vec<(u32, CrlEntry<'a>)> = match index {
        Some(index) => index
            .candidates(wanted)
            .filter_map(|offset| list.entry_at_if(offset, wanted).map(|entry| (offset, entry)))
            .collect(),
        None => list
            .entry_spans()
            .filter(|(_, content)| serial(content) == wanted)
            .filter_map(|(offset, content)| CrlEntry::read(content).ok().map(|entry| (offset, entry)))
            .collect(),
    };
    crate::order::sort_by_key(&mut found, |(offset, _)| *offset);
    found
}

#[inline(always)]
fn serial(content: &[u8]) -> &[u8] {
    serial_of(content).map_or(&[], |(serial, _)| shortest_integer(serial))
}

/// Where a serial number belongs in an index.
struct Place {
    group: usize,
    /// More bits of the hash, above [`OFFSET_BITS`].
    mark: u32,
}

/// The bits of an offset into a list.
const OFFSET_BITS: u32 = limits::MAX_CRL_BYTES as u32;

impl Place {
    /// `groups` is a power of two.
    #[inline(always)]
    fn of(serial: &[u8], groups: usize) -> Self {
        // First and last eight bytes: CAs vary the last, the first or all of them.
        let (first, last) = match (serial.first_chunk(), serial.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_be_bytes(*first), u64::from_be_bytes(*last)),
            _ => (serial.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        };
        // The product of two 64-bit numbers, folded: every bit of the number reaches every bit of the hash.
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let hash = fold(first ^ 0x9e37_79b9_7f4a_7c15, 0xa076_1d64_78bd_642f) ^ last;
        let hash = fold(hash ^ serial.len() as u64, 0xe703_7ed1_a0b4_28db);
        Place { group: hash as usize & (groups - 1), mark: (hash >> 32) as u32 & !OFFSET_BITS }
    }
}
