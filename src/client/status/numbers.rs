//! The highest CRL numbers in device memory: an old list is refused also after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::asn1::crl::CrlNumber;
use crate::asn1::x509::hex;
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::time::Time;
use crate::validation::crl_numbers::{CrlSeries, no_room};
use crate::validation::{CrlNumberTable, CrlNumbers, Noted, NumberedList};

/// Most series whose numbers are held in memory beside the store; those of others are read from the store each time.
const MAX_HELD: usize = 1024;
/// Most series in device memory. A CA makes as many as it likes; of a device's own there are a handful.
const MAX_STORED: usize = 512;
/// Names of records in device memory: the number, and when the last signer of the series ends.
const NUMBER: &str = "crl-";
const END: &str = "cre-";

/// CRL numbers that outlive a restart, if there is a store; else they last as long as this does.
///
/// A series is read from the store once; a number that another process raises meanwhile is met at the next start. If a
/// number cannot be read, every list of its series counts as played back: not to know what was seen is no permission.
#[derive(Debug)]
pub struct StoredCrlNumbers {
    store: Option<Arc<Store>>,
    /// Without a store.
    table: CrlNumberTable,
    held: Mutex<BTreeMap<CrlSeries, Seen>>,
    troubles: Mutex<Vec<Error>>,
}

/// What the store holds of a series.
#[derive(Clone, Debug, Default)]
struct Seen {
    number: Option<CrlNumber>,
    end: Option<Time>,
}

impl StoredCrlNumbers {
    /// Over this store.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        StoredCrlNumbers { store, table: CrlNumberTable::new(), held: Mutex::default(), troubles: Mutex::default() }
    }

    /// What went wrong with the store since the last call.
    pub fn take_troubles(&self) -> Vec<Error> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self, error: StoreError) {
        const MAX_TROUBLES: usize = 16;
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.len() < MAX_TROUBLES {
            troubles.push(error.into());
        }
    }

    fn note_in(&self, store: &Store, list: &NumberedList<'_>) -> Result<Noted, StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = match held.get(list.series) {
            Some(seen) => seen.clone(),
            None => read(store, list.series)?,
        };
        let noted = match (&seen.number, list.number) {
            (Some(highest), Some(number)) if number < highest => Noted::Older(highest.clone()),
            (Some(highest), None) => Noted::Older(highest.clone()),
            (None, None) => Noted::Newest,
            (None, Some(_)) if !has_room(store, list.now)? => no_room(MAX_STORED),
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
        // The end first: a number without one would stay for ever.
        if seen.end.is_none_or(|end| end < list.end) {
            let end = u64::try_from(list.end.unix()).unwrap_or(0).max(1);
            if let Err(error) = store.raise_number(&name(END, list.series), &end.to_be_bytes()) {
                self.trouble(error);
            }
            seen.end = Some(list.end);
        }
        if seen.number.as_ref() != Some(number) {
            if let Err(error) = store.raise_number(&name(NUMBER, list.series), number.as_be_bytes()) {
                self.trouble(error);
            }
            seen.number = Some(number.clone());
        }
    }
}

impl CrlNumbers for StoredCrlNumbers {
    fn note(&self, list: &NumberedList<'_>) -> Noted {
        let Some(store) = &self.store else { return self.table.note(list) };
        match self.note_in(store, list) {
            Ok(noted) => noted,
            Err(error) => {
                let why = format!("the highest number in device memory cannot be read: {error}");
                self.trouble(error);
                Noted::Unknown(why)
            }
        }
    }
}

fn read(store: &Store, series: &CrlSeries) -> Result<Seen, StoreError> {
    let number = store.number(&name(NUMBER, series))?.map(|bytes| CrlNumber::from_be_bytes(&bytes));
    let end = match number {
        Some(_) => store.number(&name(END, series))?.and_then(|bytes| end_of(&bytes)),
        None => None,
    };
    Ok(Seen { number, end })
}

/// Whether one more series has its place; what has ended goes only where it is needed.
fn has_room(store: &Store, now: Option<Time>) -> Result<bool, StoreError> {
    let names: Vec<String> = store.numbers()?.into_iter().filter(|name| name.starts_with(NUMBER)).collect();
    let Some(mut over) = (names.len() + 1).checked_sub(MAX_STORED).filter(|over| *over > 0) else { return Ok(true) };
    let Some(now) = now else { return Ok(false) };
    for number in names {
        if over == 0 {
            break;
        }
        let end = number.replacen(NUMBER, END, 1);
        if store.number(&end)?.and_then(|bytes| end_of(&bytes)).is_some_and(|end| end < now) {
            store.remove_number(&number)?;
            store.remove_number(&end)?;
            over -= 1;
        }
    }
    Ok(over == 0)
}

fn end_of(bytes: &[u8]) -> Option<Time> {
    let seconds = bytes.iter().try_fold(0i64, |n, byte| n.checked_mul(256)?.checked_add(i64::from(*byte)));
    seconds.map(Time::from_unix)
}

/// Names in the store have at most 64 characters; 30 bytes of the digest are plenty.
fn name(kind: &str, series: &CrlSeries) -> String {
    format!("{kind}{}", hex(&series[..30]))
}
