//! Finding one serial number among a million: a table of offsets into the list's own bytes.

use crate::asn1::crl::{CertificateList, CrlEntry, shortest_integer, take};

/// Below this many entries a walk costs less than an index is worth.
const WALK_BELOW: u32 = 48;

/// Offsets of all entries, grouped by a hash of their serial numbers.
///
/// Two passes of a counting sort build it, without comparing entries: 4 bytes an entry, and half a byte for the groups'
/// bounds. A list made so that all its serial numbers fall into one group costs a walk per lookup, no more.
pub(super) struct CrlIndex {
    /// Where each group begins in `offsets`; one more than there are groups.
    bounds: Vec<u32>,
    offsets: Vec<u32>,
}

impl CrlIndex {
    pub(super) fn build(list: &CertificateList) -> Option<Self> {
        let count = list.entry_count();
        if count < WALK_BELOW {
            return None;
        }
        let groups = (count.next_power_of_two() / 8) as usize;
        let mut bounds = vec![0u32; groups + 1];
        for (_, content) in list.entry_spans() {
            bounds[group(serial(content), groups)] += 1;
        }
        let mut total = 0;
        for bound in &mut bounds {
            total += *bound;
            *bound = total;
        }
        // Each bound now is its group's end; filling from the end turns it into its beginning.
        let mut offsets = vec![0u32; count as usize];
        for (offset, content) in list.entry_spans() {
            let bound = &mut bounds[group(serial(content), groups)];
            *bound -= 1;
            offsets[*bound as usize] = offset;
        }
        Some(CrlIndex { bounds, offsets })
    }

    /// Offsets of the entries that may have this serial number.
    fn candidates(&self, wanted: &[u8]) -> &[u32] {
        let group = group(wanted, self.bounds.len() - 1);
        &self.offsets[self.bounds[group] as usize..self.bounds[group + 1] as usize]
    }

    pub(super) fn heap_len(&self) -> usize {
        (self.bounds.capacity() + self.offsets.capacity()) * size_of::<u32>()
    }
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
            .iter()
            .filter_map(|offset| list.entry_at_if(*offset, wanted).map(|entry| (*offset, entry)))
            .collect(),
        None => list
            .entry_spans()
            .filter(|(_, content)| serial(content) == wanted)
            .filter_map(|(offset, content)| CrlEntry::read(content).ok().map(|entry| (offset, entry)))
            .collect(),
    };
    found.sort_unstable_by_key(|(offset, _)| *offset);
    found
}

fn serial(content: &[u8]) -> &[u8] {
    take(content, 0x02).map_or(&[], |(serial, _)| shortest_integer(serial))
}

fn group(serial: &[u8], groups: usize) -> usize {
    let mut hash = 0x9e37_79b9_7f4a_7c15u64 ^ serial.len() as u64;
    for part in serial.chunks(8) {
        let mut word = [0u8; 8];
        word[..part.len()].copy_from_slice(part);
        // The product of two 64-bit numbers, folded: every bit of the number reaches every bit of the hash.
        let mixed = u128::from(hash ^ u64::from_le_bytes(word)) * u128::from(0xa076_1d64_78bd_642f_u64);
        hash = mixed as u64 ^ (mixed >> 64) as u64;
    }
    // `groups` is a power of two.
    hash as usize & (groups - 1)
}
