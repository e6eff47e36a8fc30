//! Signers without authority that this device has met, in its memory.
//!
//! A CA that signs its answers with an ordinary certificate cannot be told from a neighbour on the way at the first meeting. At a
//! later one it can: the neighbour would have had to be on the way both times. So who confirmed the first certificate is
//! known, and whoever answers for an update an hour after it did so for the first time, where the CA's signers are of that
//! kind; where nothing here says so, a week after. Until then the update waits with its certificate staged, and the identity in
//! use stays in use.

use crate::asn1::x509::Certificate;
use crate::cmp::{Credential, KnownBearers, Operation};
use crate::crypto::Provider;
use crate::store::{Store, StoreError};
use crate::time::Time;

/// Name of the record.
const RECORD: &str = "bearers";
const MAGIC: &[u8] = b"bearers-1\n";
const ENTRY_BYTES: usize = 32 + 8 + 4 + 1;
/// Most signers that are remembered. Who was met least makes room: each costs its owner a certificate under the anchors and an
/// operation of this device's.
const MAX_ENTRIES: usize = 16;
/// From the first meeting to the one that counts, in seconds, where a certificate has come into use by the word of a signer without
/// authority before.
const APART_SECONDS: i64 = 3600;
/// The same where none has: then somebody with authority confirms, and is heard unless he is kept away all the time. A quarter of
/// what is left of the certificate in use is enough.
const LONG_APART_SECONDS: i64 = 7 * 86_400;
/// How many meetings count as well, for devices without a clock. Waits between them are doubled each time.
const ENOUGH_MEETINGS: u32 = 8;

/// A signer that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Met {
    key: [u8; 32],
    first: Time,
    meetings: u32,
    /// Whether a certificate has come into use by its word.
    has_confirmed: bool,
}

impl Met {
    fn is_known(&self, now: Time, apart_seconds: i64) -> bool {
        let is_counted = apart_seconds == APART_SECONDS && self.meetings >= ENOUGH_MEETINGS;
        self.has_confirmed || now.since(self.first) >= apart_seconds || is_counted
    }

    fn read(entry: &[u8]) -> Option<Self> {
        let (key, rest) = entry.split_first_chunk::<32>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (meetings, rest) = rest.split_first_chunk::<4>()?;
        Some(Met {
            key: *key,
            first: Time::from_unix(i64::from_be_bytes(*first)),
            meetings: u32::from_be_bytes(*meetings),
            has_confirmed: *rest == [1],
        })
    }

    fn write(&self, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.key);
        record.extend_from_slice(&self.first.unix().to_be_bytes());
        record.extend_from_slice(&self.meetings.to_be_bytes());
        record.push(u8::from(self.has_confirmed));
    }
}

/// Who is known by now to this operation. A record that is not there or cannot be read knows nobody: then an update takes longer.
pub(super) fn known(store: &Store, operation: &Operation, now: Time) -> KnownBearers {
    let record = store.blob(RECORD).ok();
    let all = record.as_deref().map(|bytes| read(bytes)).unwrap_or_default();
    let left_seconds = match &operation.context().credential {
        Credential::Signature { certificate, .. } => certificate.not_after().since(now),
        Credential::Mac { .. } | Credential::MutualTls { .. } => i64::MAX,
    };
    let apart = apart_seconds(&all, left_seconds);
    KnownBearers { keys: all.iter().filter(|met| met.is_known(now, apart)).map(|met| met.key).collect(), alone: false }
}

/// From the first meeting to the one that counts.
fn apart_seconds(all: &[Met], left_seconds: i64) -> i64 {
    match all.iter().any(|met| met.has_confirmed) {
        true => APART_SECONDS,
        false => LONG_APART_SECONDS.min(left_seconds / 4).max(APART_SECONDS + 1),
    }
}

/// Notes whom this run of the operation has met; `is_done`: it has come to its end. Where somebody with authority has answered,
/// nobody else was needed.
pub(super) fn note(store: &Store, operation: &Operation, is_done: bool, now: Time) -> Result<(), StoreError> {
    let Some(signer) = operation.met_bearer() else { return Ok(()) };
    note_signer(store, &*operation.context().provider, signer, is_done, now)
}

fn note_signer(
    store: &Store,
    provider: &dyn Provider,
    signer: &Certificate,
    has_confirmed: bool,
    now: Time,
) -> Result<(), StoreError> {
    // Without a digest nobody is known: safe.
    let Ok(key) = KnownBearers::key_of(provider, signer) else { return Ok(()) };
    store.change_blob(RECORD, |kept| Ok(Some(with(kept.map(read).unwrap_or_default(), key, has_confirmed, now))))
}

/// The record with one more meeting.
fn with(mut all: Vec<Met>, key: [u8; 32], has_confirmed: bool, now: Time) -> Vec<u8> {
    match all.iter_mut().find(|met| met.key == key) {
        Some(met) => {
            met.meetings = met.meetings.saturating_add(1);
            met.has_confirmed |= has_confirmed;
            // A clock that was set back must not make anybody wait for years.
            met.first = met.first.min(now);
        }
        None => {
            if all.len() >= MAX_ENTRIES {
                let least = (0..all.len()).min_by_key(|at| (all[*at].has_confirmed, all[*at].meetings, all[*at].first));
                least.map(|at| all.remove(at));
            }
            all.push(Met { key, first: now, meetings: 1, has_confirmed });
        }
    }
    let mut record = MAGIC.to_vec();
    all.iter().for_each(|met| met.write(&mut record));
    record
}

fn read(record: &[u8]) -> Vec<Met> {
    let entries = record.strip_prefix(MAGIC).unwrap_or_default();
    entries.chunks_exact(ENTRY_BYTES).take(MAX_ENTRIES).filter_map(Met::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Time = Time::from_unix(1_800_000_000);

    #[test]
    fn who_was_met_before_is_known_and_nobody_else() {
        let key = |n: u8| [n; 32];
        let met = |record: &[u8], n: u8, now| {
            read(record).iter().any(|met| met.key == key(n) && met.is_known(now, APART_SECONDS))
        };
        let once = with(Vec::new(), key(1), false, NOON);
        assert!(!met(&once, 1, NOON.plus(APART_SECONDS - 1)));
        assert!(met(&once, 1, NOON.plus(APART_SECONDS)));
        assert!(!met(&once, 2, NOON.plus(APART_SECONDS)));
        assert!(met(&with(read(&once), key(1), true, NOON), 1, NOON), "a certificate is in use by its word");

        // Without a clock: by meetings.
        let mut record = Vec::new();
        for n in 1..=ENOUGH_MEETINGS {
            assert!(!met(&record, 1, NOON));
            record = with(read(&record), key(1), false, NOON);
            assert_eq!(read(&record)[0].meetings, n);
        }
        assert!(met(&record, 1, NOON));
        let met = &read(&record)[0];
        assert!(
            !met.is_known(NOON, LONG_APART_SECONDS) && met.is_known(NOON.plus(LONG_APART_SECONDS), LONG_APART_SECONDS)
        );
        // A clock that was ahead.
        let ahead = with(Vec::new(), key(1), false, NOON.plus(1 << 30));
        let again = with(read(&ahead), key(1), false, NOON);
        assert!(read(&again)[0].is_known(NOON.plus(APART_SECONDS), APART_SECONDS));
    }

    #[test]
    fn where_nobody_without_authority_has_confirmed_it_takes_a_week_or_a_quarter_of_what_is_left() {
        let bytes = |has_confirmed| with(Vec::new(), [1; 32], has_confirmed, NOON);
        assert_eq!(apart_seconds(&read(&bytes(true)), i64::MAX), APART_SECONDS);
        let none = read(&bytes(false));
        assert_eq!(apart_seconds(&none, i64::MAX), LONG_APART_SECONDS);
        assert_eq!(apart_seconds(&none, 86_400), 86_400 / 4);
        assert_eq!(apart_seconds(&[], -1), APART_SECONDS + 1);
    }

    #[test]
    fn many_strangers_push_out_nobody_who_has_confirmed() {
        let mut record = with(Vec::new(), [0xff; 32], true, NOON);
        for n in 0..100 {
            record = with(read(&record), [n; 32], false, NOON.plus(i64::from(n)));
        }
        let all = read(&record);
        assert_eq!(all.len(), MAX_ENTRIES);
        assert!(all.iter().any(|met| met.key == [0xff; 32] && met.has_confirmed));
    }

    #[test]
    fn a_record_of_another_form_knows_nobody() {
        let good = with(Vec::new(), [1; 32], true, NOON);
        for bad in [&b""[..], b"bearers-2\n", &good[1..], &good[..good.len() - 1]] {
            assert_eq!(read(bad), []);
        }
        assert_eq!(read(&good).len(), 1);
    }
}
