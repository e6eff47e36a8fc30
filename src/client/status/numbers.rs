//! The highest CRL numbers in device memory: an old list is refused also after a restart.

use std::sync::{Arc, Mutex, PoisonError};

use super::unwritten::{LeftNumber, Unwritten};
use crate::asn1::crl::CrlNumber;
use crate::asn1::x509::hex;
use crate::error::Error;
use crate::sorted::Map;
use crate::store::{Store, StoreError};
use crate::time::Time;
use crate::validation::crl_numbers::{CrlSeries, no_room};
use crate::validation::revoked::KeyDigest;
use crate::validation::{CrlNumberTable, CrlNumbers, Noted, NumberedList};

/// Most series whose numbers are held in memory beside the store; those of others are read from the store each time.
const MAX_HELD: usize = 1024;
/// Most series in device memory. A CA makes as many as it likes; of a device's own there are a handful.
const MAX_STORED: usize = 512;
/// Most of them below one CA that an anchor has certified: one gone bad must not shut the others out.
const MAX_STORED_OF_BRANCH: usize = MAX_STORED / 4;
/// Names of records in device memory: the number, when the last list was issued, and when the last signer of the series ends.
const NUMBER: &str = "crl-";
const ISSUED: &str = "crt-";
const END: &str = "cre-";

/// CRL numbers that outlive a restart, if there is a store; else they last as long as this does.
///
/// The number of a series is looked at each time, as others with the same store raise it; where its record is, is remembered. If
/// a number cannot be read, every list of its series counts as played back: not to know what was seen is no permission.
#[derive(Debug)]
pub struct StoredCrlNumbers {
    store: Option<Arc<Store>>,
    /// Without a store.
    table: CrlNumberTable,
    held: Mutex<Map<CrlSeries, Seen>>,
    unwritten: Arc<Unwritten>,
    troubles: Mutex<Vec<Error>>,
}

/// What the store holds of a series.
#[derive(Clone, Debug, Default)]
struct Seen {
    number: Option<CrlNumber>,
    issued: Option<Time>,
    end: Option<Time>,
    /// Whether its record was there: where it is gone since, it was forgotten.
    is_written: bool,
    /// What its records are called behind the kind, if they are there.
    place: Option<String>,
}

impl StoredCrlNumbers {
    /// Over this store.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        let unwritten = store.as_ref().map(|store| store.beside()).unwrap_or_default();
        let (table, held, troubles) = (CrlNumberTable::new(), Mutex::default(), Mutex::default());
        StoredCrlNumbers { store, table, held, unwritten, troubles }
    }

    /// What went wrong with the store since the last call.
    pub fn take_troubles(&self) -> Vec<Error> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self, error: Error) {
        const MAX_TROUBLES: usize = 16;
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.len() < MAX_TROUBLES {
            troubles.push(error);
        }
    }

    fn note_in(&self, store: &Store, list: &NumberedList<'_>) -> Result<Noted, StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = match held.get(list.series) {
            Some(seen) => now_seen(store, list.series, seen)?,
            None => read(store, list.series)?,
        };
        if let Some(left) = self.unwritten.number(list.series) {
            seen.number = seen.number.max(Some(left.number));
            seen.issued = seen.issued.max(Some(left.issued));
        }
        let noted = match (&seen.number, list.number) {
            (Some(highest), number) if number.is_none_or(|number| number < highest) => {
                Noted::Older { highest: highest.clone(), issued: seen.issued }
            }
            (_, None) => Noted::Newest,
            (None, Some(number)) => {
                if let Some(most) = full(store, list)? {
                    return Ok(no_room(most));
                }
                self.raise(store, list, number, &mut seen);
                Noted::Newest
            }
            (_, Some(number)) => {
                self.raise(store, list, number, &mut seen);
                Noted::Newest
            }
        };
        if held.len() < MAX_HELD || held.contains_key(list.series) {
            held.insert(*list.series, seen);
        }
        Ok(noted)
    }

    /// Writes what is higher than before. A store that cannot be written changes nothing for this validation, and is told.
    fn raise(&self, store: &Store, list: &NumberedList<'_>, number: &CrlNumber, seen: &mut Seen) {
        let place = seen.place.get_or_insert_with(|| place_of(list)).clone();
        if seen.end.is_some_and(|end| end >= list.end) && seen.number.as_ref() == Some(number) {
            return;
        }
        let left = LeftNumber { number: number.clone(), issued: list.this_update, end: list.end, place };
        match self.unwritten.attempt(|| Ok(write(store, &left)?)) {
            Ok(()) => seen.is_written = true,
            Err(error) => {
                self.trouble(error);
                self.unwritten.leave_number(list.series, left);
            }
        }
        seen.issued = seen.issued.max(Some(list.this_update));
        seen.end = seen.end.max(Some(list.end));
        seen.number = Some(number.clone());
    }

    /// Writes what could not be written before, by anybody in this process.
    fn write_left(&self, store: &Store) {
        write_these(store, &self.unwritten, self.unwritten.numbers_to_write());
    }

    /// What is left, by the last who could.
    pub(super) fn write_all_left(&self) {
        if let Some(store) = &self.store {
            write_unwritten(store, &self.unwritten);
        }
    }
}

impl CrlNumbers for StoredCrlNumbers {
    fn note(&self, list: &NumberedList<'_>) -> Noted {
        let Some(store) = &self.store else { return self.table.note(list) };
        self.write_left(store);
        match self.note_in(store, list) {
            Ok(noted) => noted,
            Err(error) => {
                let why = format!("the highest number in device memory cannot be read: {error}");
                self.trouble(error.into());
                Noted::Unknown(why)
            }
        }
    }
}

/// Writes what is left, where its memory is let go of.
pub(super) fn write_unwritten(store: &Store, unwritten: &Unwritten) {
    write_these(store, unwritten, unwritten.all_numbers());
}

fn write_these(store: &Store, unwritten: &Unwritten, numbers: Vec<(CrlSeries, LeftNumber)>) {
    for (series, left) in numbers {
        // That it could not be written was told when it was found.
        let written = write(store, &left).map_err(Error::from);
        unwritten.has_tried(&written);
        if written.is_err() {
            return;
        }
        unwritten.number_is_written(&series, &left);
    }
}

fn write(store: &Store, LeftNumber { number, issued, end, place }: &LeftNumber) -> Result<(), StoreError> {
    let seconds = |time: &Time| u64::try_from(time.unix()).unwrap_or(0).max(1).to_be_bytes();
    // The end first: a number without one would stay for ever.
    store.raise_number(&format!("{END}{place}"), &seconds(end))?;
    store.raise_number(&format!("{ISSUED}{place}"), &seconds(issued))?;
    store.raise_number(&format!("{NUMBER}{place}"), number.as_be_bytes()).map(drop)
}

/// What was held of a series, with what others have raised since, or forgotten. What could not be written stays.
fn now_seen(store: &Store, series: &CrlSeries, held: &Seen) -> Result<Seen, StoreError> {
    let stored = match &held.place {
        Some(place) => store.number(&format!("{NUMBER}{place}"))?.map(|bytes| CrlNumber::from_be_bytes(&bytes)),
        None => None,
    };
    let now = match stored {
        Some(number) => Seen { number: Some(number), is_written: true, ..held.clone() },
        None if held.is_written => return read(store, series),
        // Others may have written it by now, or made room.
        None => read(store, series)?,
    };
    Ok(Seen { number: now.number.max(held.number.clone()), ..now })
}

fn read(store: &Store, series: &CrlSeries) -> Result<Seen, StoreError> {
    let (tail, without_branch) = (series_name(series), hex(&series[..30]));
    let names = store.numbers()?;
    let mut places = names.iter().filter_map(|name| name.strip_prefix(NUMBER));
    let Some(place) = places.find(|place| place.ends_with(&tail) || **place == without_branch) else {
        return Ok(Seen::default());
    };
    let number = store.number(&format!("{NUMBER}{place}"))?.map(|bytes| CrlNumber::from_be_bytes(&bytes));
    let time = |kind: &str| -> Result<Option<Time>, StoreError> {
        Ok(store.number(&format!("{kind}{place}"))?.and_then(|bytes| end_of(&bytes)))
    };
    let (issued, end) = (time(ISSUED)?, time(END)?);
    Ok(Seen { is_written: number.is_some(), number, issued, end, place: Some(place.to_owned()) })
}

/// How many series there is room for, where one more has none; what has ended goes only where it is needed.
fn full(store: &Store, list: &NumberedList<'_>) -> Result<Option<usize>, StoreError> {
    let mut names: Vec<String> = store.numbers()?.into_iter().filter(|name| name.starts_with(NUMBER)).collect();
    let of_branch = format!("{NUMBER}{}", hex(&list.branch));
    let most = |names: &[String]| match names.len() >= MAX_STORED {
        true => Some(MAX_STORED),
        false => {
            let count = names.iter().filter(|name| name.starts_with(&of_branch)).count();
            (count >= MAX_STORED_OF_BRANCH).then_some(MAX_STORED_OF_BRANCH)
        }
    };
    let (Some(_), Some(now)) = (most(&names), list.now) else { return Ok(most(&names)) };
    let mut index = 0;
    while index < names.len() && most(&names).is_some() {
        let end = names[index].replacen(NUMBER, END, 1);
        if store.number(&end)?.and_then(|bytes| end_of(&bytes)).is_some_and(|end| end < now) {
            for kind in [NUMBER, ISSUED, END] {
                store.remove_number(&names[index].replacen(NUMBER, kind, 1))?;
            }
            names.remove(index);
        } else {
            index += 1;
        }
    }
    Ok(most(&names))
}

/// Forgets the numbers below one CA that an anchor has certified, or all. How many series there were.
pub(super) fn forget_numbers(store: &Store, branch: Option<KeyDigest>) -> Result<usize, StoreError> {
    let beginning = branch.map(|branch| hex(&branch[..])).unwrap_or_default();
    let names = store.numbers()?;
    let mut count = 0;
    // The number first: it is what counts.
    for kind in [NUMBER, ISSUED, END] {
        let meant =
            names.iter().filter(|name| name.strip_prefix(kind).is_some_and(|place| place.starts_with(&beginning)));
        for name in meant {
            store.remove_number(name)?;
            count += usize::from(kind == NUMBER);
        }
    }
    Ok(count)
}

fn end_of(bytes: &[u8]) -> Option<Time> {
    let seconds = bytes.iter().try_fold(0i64, |n, byte| n.checked_mul(256)?.checked_add(i64::from(*byte)));
    seconds.map(Time::from_unix)
}

/// Names in the store have at most 64 characters: the branch, and 22 bytes of the series. Those of old have 30 bytes of the series and
/// no branch.
fn place_of(list: &NumberedList<'_>) -> String {
    format!("{}{}", hex(&list.branch), series_name(list.series))
}

fn series_name(series: &CrlSeries) -> String {
    hex(&series[..22])
}
