//! Memory of the highest CRL number seen, so that an old list cannot be played back to a device that has seen a newer
//! one (RFC 5280 section 5.2.3: numbers only rise for a given issuer and scope).

use super::revoked::KeyDigest;
use crate::asn1::Asn1Error;
use crate::asn1::crl::CrlNumber;
use crate::prelude::*;
use crate::sorted::Map;
use crate::sync::Lock;
use crate::time::Time;

/// Which series of numbers: a digest over trust anchor, CRL issuer, scope, and whether it is a delta CRL.
pub(crate) type CrlSeries = [u8; 32];

/// A list whose signature and signer are in order.
#[derive(Clone, Copy, Debug)]
pub struct NumberedList<'a> {
    /// Its series.
    pub series: &'a CrlSeries,
    /// Its number; `None` if it has none.
    pub number: Option<&'a CrlNumber>,
    /// Its thisUpdate.
    pub this_update: Time,
    /// notAfter of its signer: lists of this series clear nobody after it, and the number may be forgotten.
    pub end: Time,
    /// The time of the validation, if it has one.
    pub now: Option<Time>,
    /// The key of the CA on its path that the anchor has certified; of the anchor, if that is the issuer. Whoever stands below it makes
    /// as many series as it likes, and has its part of the room with all of them.
    pub branch: KeyDigest,
}

/// What a memory of numbers says of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// None with a higher number was seen; its own is remembered.
    Newest,
    /// It is older than one seen before.
    Older {
        /// The number of that one.
        highest: CrlNumber,
        /// The latest thisUpdate of the series; `None` if it is not known.
        issued: Option<Time>,
    },
    /// Whether it is older cannot be told, in words: it must not count as the newest.
    Unknown(String),
}

/// Remembers the highest CRL number of each series. Implementations that keep it across restarts live in device memory.
pub trait CrlNumbers: Send + Sync + core::fmt::Debug {
    /// Compares the number of a list that was verified with the highest of its series, and remembers it if it is higher.
    /// What is remembered is never lowered, and makes room only once it has ended.
    fn note(&self, list: &NumberedList<'_>) -> Noted;
}

/// Most series kept; a device meets a handful of CAs. The ones that are there stay, until the certificates of their signers
/// are over.
const MAX_SERIES: usize = 4096;
/// Most of them below one CA that an anchor has certified.
const MAX_SERIES_OF_BRANCH: usize = MAX_SERIES / 4;

/// Why a list of a new series is refused.
pub(crate) fn no_room(series: usize) -> Noted {
    Noted::Unknown(format!("numbers of {series} series are remembered, and there is no room for those of another one"))
}

/// CRL numbers in memory, with a form to write down and read back.
#[derive(Debug, Default)]
pub struct CrlNumberTable {
    numbers: Lock<Map<CrlSeries, Seen>>,
}

/// The highest number of a series, and when its last signer ends.
#[derive(Clone, Debug)]
struct Seen {
    number: CrlNumber,
    issued: Option<Time>,
    end: Time,
    branch: KeyDigest,
}

/// Format and its version; the first one had no ends.
const MAGIC: &[u8] = b"crl-numbers-2\n";
const MAGIC_1: &[u8] = b"crl-numbers-1\n";

impl CrlNumberTable {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the bytes that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "table of CRL numbers";
        let damaged = || Asn1Error::invalid(WHAT, "damaged");
        let (has_ends, mut rest) = match (bytes.strip_prefix(MAGIC), bytes.strip_prefix(MAGIC_1)) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(Asn1Error::invalid(WHAT, "of another format")),
        };
        let mut numbers = Map::new();
        while let Some((series, behind)) = rest.split_first_chunk::<32>() {
            let (end, behind) = match has_ends {
                true => behind.split_first_chunk::<8>().ok_or_else(damaged)?,
                false => (&Time::FOREVER.unix().to_be_bytes(), behind),
            };
            let (length, behind) = behind.split_first().ok_or_else(damaged)?;
            let (number, behind) = behind.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
            if numbers.len() == MAX_SERIES || number.first() == Some(&0) {
                return Err(damaged());
            }
            let end = Time::from_unix(i64::from_be_bytes(*end));
            // The formats know nothing of branches and of when lists were issued.
            let branch = KeyDigest::default();
            let number = CrlNumber::from_be_bytes(number);
            numbers.insert(*series, Seen { number, issued: None, end, branch });
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(CrlNumberTable { numbers: Lock::new(numbers) })
    }

    /// All numbers, to be kept where nobody can change or replace them: who can, can play back old lists.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.numbers.with(|numbers| {
            for (series, seen) in numbers.iter() {
                bytes.extend_from_slice(series);
                bytes.extend_from_slice(&seen.end.unix().to_be_bytes());
                bytes.push(seen.number.as_be_bytes().len() as u8);
                bytes.extend_from_slice(seen.number.as_be_bytes());
            }
        });
        bytes
    }
}

impl CrlNumbers for CrlNumberTable {
    fn note(&self, list: &NumberedList<'_>) -> Noted {
        self.numbers.with(|numbers| note_in(numbers, list))
    }
}

fn note_in(numbers: &mut Map<CrlSeries, Seen>, list: &NumberedList<'_>) -> Noted {
    if let Some(seen) = numbers.get_mut(list.series) {
        return match list.number {
            Some(number) if *number >= seen.number => {
                let (issued, end) = (seen.issued.max(Some(list.this_update)), list.end.max(seen.end));
                *seen = Seen { number: number.clone(), issued, end, branch: list.branch };
                Noted::Newest
            }
            _ => Noted::Older { highest: seen.number.clone(), issued: seen.issued },
        };
    }
    let Some(number) = list.number else { return Noted::Newest };
    let full = |numbers: &Map<CrlSeries, Seen>| {
        let of_branch = || numbers.values().filter(|seen| seen.branch == list.branch).count();
        match numbers.len() >= MAX_SERIES {
            true => Some(MAX_SERIES),
            false => (of_branch() >= MAX_SERIES_OF_BRANCH).then_some(MAX_SERIES_OF_BRANCH),
        }
    };
    if let (Some(_), Some(now)) = (full(numbers), list.now) {
        numbers.retain(|_, seen| seen.end >= now);
    }
    if let Some(most) = full(numbers) {
        return no_room(most);
    }
    let issued = Some(list.this_update);
    numbers.insert(*list.series, Seen { number: number.clone(), issued, end: list.end, branch: list.branch });
    Noted::Newest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> CrlNumber {
        CrlNumber::from_be_bytes(&n.to_be_bytes())
    }

    fn series(n: u32) -> CrlSeries {
        let mut series = [1; 32];
        series[..4].copy_from_slice(&n.to_be_bytes());
        series
    }

    fn note(table: &CrlNumberTable, of: u32, n: Option<u64>, [end, now]: [i64; 2]) -> Noted {
        let number = n.map(number);
        let now = Some(Time::from_unix(now));
        let branch = (u64::from(of) / 1000).to_be_bytes();
        let (series, end) = (series(of), Time::from_unix(end));
        let this_update = Time::from_unix(5);
        table.note(&NumberedList { series: &series, number: number.as_ref(), this_update, end, now, branch })
    }

    fn older(n: u64) -> Noted {
        Noted::Older { highest: number(n), issued: Some(Time::from_unix(5)) }
    }

    fn older_of_restored(n: u64) -> Noted {
        Noted::Older { highest: number(n), issued: None }
    }

    #[test]
    fn numbers_survive_a_restart_and_only_rise() {
        let table = CrlNumberTable::new();
        let times = [9, 1];
        assert_eq!(note(&table, 1, Some(300), times), Noted::Newest);
        assert_eq!(note(&table, 1, Some(300), times), Noted::Newest);
        assert_eq!(note(&table, 1, Some(299), times), older(300));
        assert_eq!(note(&table, 1, None, times), older(300));
        assert_eq!(note(&table, 2, Some(0), times), Noted::Newest);
        assert_eq!(note(&table, 3, None, times), Noted::Newest, "no series begins with a list without a number");
        let restarted = CrlNumberTable::from_bytes(&table.to_bytes()).unwrap();
        assert_eq!(restarted.to_bytes(), table.to_bytes());
        assert_eq!(note(&restarted, 1, Some(299), times), older_of_restored(300));
        assert_eq!(note(&restarted, 1, Some(301), times), Noted::Newest);
        assert_eq!(note(&restarted, 2, None, times), older_of_restored(0));
    }

    #[test]
    fn a_table_of_the_first_format_is_read_and_nothing_in_it_ends() {
        let mut bytes = MAGIC_1.to_vec();
        bytes.extend_from_slice(&series(1));
        bytes.extend_from_slice(&[2, 1, 44]);
        let table = CrlNumberTable::from_bytes(&bytes).unwrap();
        assert_eq!(note(&table, 1, Some(299), [9, 1]), older_of_restored(300));
        assert!(table.to_bytes().starts_with(MAGIC));
    }

    #[test]
    fn a_full_table_refuses_or_forgets_what_has_ended_and_never_lets_through() {
        let table = CrlNumberTable::new();
        for of in 0..MAX_SERIES as u32 {
            assert_eq!(note(&table, of, Some(7), [100 + i64::from(of % 2), 1]), Noted::Newest);
        }
        let another = MAX_SERIES as u32;
        assert!(matches!(note(&table, another, Some(7), [200, 100]), Noted::Unknown(_)));
        assert_eq!(note(&table, 5, Some(6), [200, 100]), older(7), "those that are there are guarded");
        // A second later every second one has ended.
        assert_eq!(note(&table, another, Some(7), [200, 101]), Noted::Newest);
        assert_eq!(note(&table, another, Some(6), [200, 101]), older(7));
        assert_eq!(note(&table, 5, Some(6), [200, 101]), older(7));
    }

    #[test]
    fn one_branch_fills_its_part_and_shuts_no_other_out() {
        let table = CrlNumberTable::new();
        let of_one = |of: u32, branch: u8| {
            let (series, number) = (series(of), number(7));
            let (end, now) = (Time::from_unix(9), Some(Time::from_unix(1)));
            let this_update = Time::from_unix(5);
            table.note(&NumberedList {
                series: &series,
                number: Some(&number),
                this_update,
                end,
                now,
                branch: [branch; 8],
            })
        };
        for of in 0..MAX_SERIES_OF_BRANCH as u32 {
            assert_eq!(of_one(of, 1), Noted::Newest);
        }
        assert!(matches!(of_one(9_000, 1), Noted::Unknown(_)));
        assert_eq!(of_one(9_000, 2), Noted::Newest);
        assert_eq!(of_one(3, 1), Noted::Newest, "those that are there are guarded");
    }

    #[test]
    fn damaged_memory_is_refused_and_not_taken_for_empty() {
        let table = CrlNumberTable::new();
        note(&table, 1, Some(300), [9, 1]);
        let bytes = table.to_bytes();
        assert!(CrlNumberTable::from_bytes(&[]).is_err());
        for length in 1..bytes.len() {
            assert!(CrlNumberTable::from_bytes(&bytes[..length]).is_err() || length == MAGIC.len());
        }
    }
}
