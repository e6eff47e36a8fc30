//! What was found and could not be written to device memory: somebody else had its lock, or it was full. All who have the same device
//! memory in this process know it at once, and whoever asks next writes it, or else who lets go of it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{facts, numbers};
use crate::asn1::crl::CrlNumber;
use crate::codes::Code;
use crate::error::Error;
use crate::sorted::Map;
use crate::store::{Beside, Store};
use crate::time::Time;
use crate::validation::RevokedTable;
use crate::validation::crl_numbers::CrlSeries;

/// Most numbers that wait.
const MAX_NUMBERS: usize = 1024;
/// How many writes and questions pass without another attempt after one that failed, and most after several: to wait for a lock takes its
/// time, and must not take all of it. Who asks rarely tries it again after so many seconds, twice as many after each that failed.
const PASSED: u32 = 4;
const MAX_PASSED: u32 = 32;
const PAUSE_SECONDS: u64 = 2;
const MAX_PAUSES: u32 = 5;

/// A number that waits: the highest of its series, when that was issued, when the last signer of it ends, and what its records are to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftNumber {
    pub number: CrlNumber,
    pub issued: Time,
    pub end: Time,
    pub place: String,
}

#[derive(Debug, Default)]
pub(super) struct Unwritten {
    left: Mutex<Left>,
    /// Rises with each fact that is left.
    news: AtomicU64,
}

#[derive(Debug, Default)]
struct Left {
    facts: RevokedTable,
    numbers: Map<CrlSeries, LeftNumber>,
    /// How many attempts have failed one after the other, and how many questions pass before the next.
    failed: u32,
    to_pass: u32,
    /// When the last one was made.
    tried: Option<Instant>,
    why: Option<Error>,
}

impl Unwritten {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that rises with each fact that is left.
    pub fn news(&self) -> u64 {
        self.news.load(Ordering::Relaxed)
    }

    /// Looks at the facts that are left.
    pub fn facts<T>(&self, look: impl FnOnce(&RevokedTable) -> T) -> T {
        look(&self.left().facts)
    }

    /// Changes them; `true` if there is one more.
    pub fn change_facts(&self, change: impl FnOnce(&mut RevokedTable) -> bool) {
        if change(&mut self.left().facts) {
            self.news.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it is to be tried again now, if anything is left.
    pub fn is_due(&self) -> bool {
        let mut left = self.left();
        let pause = Duration::from_secs(PAUSE_SECONDS << left.failed.saturating_sub(1).min(MAX_PAUSES));
        let is_due = left.to_pass == 0 || left.tried.is_none_or(|tried| tried.elapsed() >= pause);
        left.to_pass = left.to_pass.saturating_sub(1);
        is_due
    }

    /// Another attempt has come to this.
    pub fn has_tried<T>(&self, outcome: &Result<T, Error>) {
        let mut left = self.left();
        left.why = outcome.as_ref().err().cloned();
        left.tried = Some(Instant::now());
        left.failed = if left.why.is_none() { 0 } else { left.failed.saturating_add(1) };
        left.to_pass = MAX_PASSED.min(left.failed.saturating_mul(PASSED));
    }

    /// Writes something that has just been found; not tried where the last attempt has just failed.
    pub fn attempt<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if !self.is_due() {
            let why = self.left().why.clone();
            return Err(
                why.unwrap_or_else(|| Error::new(Code::Locked, "device memory could not be written a moment ago"))
            );
        }
        let outcome = write();
        self.has_tried(&outcome);
        outcome
    }

    /// The facts that are to be written now, if there are any.
    pub fn facts_to_write(&self) -> Option<RevokedTable> {
        if self.left().facts.is_empty() || !self.is_due() {
            return None;
        }
        self.all_facts()
    }

    /// The facts that are left, if there are any.
    pub fn all_facts(&self) -> Option<RevokedTable> {
        Some(self.left().facts.clone()).filter(|facts| !facts.is_empty())
    }

    pub fn facts_are_written(&self, written: &RevokedTable) {
        self.left().facts.forget(written);
    }

    /// The number of a series, if one is left.
    pub fn number(&self, series: &CrlSeries) -> Option<LeftNumber> {
        self.left().numbers.get(series).cloned()
    }

    pub fn leave_number(&self, series: &CrlSeries, number: LeftNumber) {
        let mut left = self.left();
        if left.numbers.len() >= MAX_NUMBERS && !left.numbers.contains_key(series) {
            return;
        }
        let known = left.numbers.get_or_insert_with(*series, || number.clone());
        known.end = known.end.max(number.end);
        known.issued = known.issued.max(number.issued);
        known.number = known.number.clone().max(number.number);
    }

    /// The numbers that are to be written now.
    pub fn numbers_to_write(&self) -> Vec<(CrlSeries, LeftNumber)> {
        if self.left().numbers.is_empty() || !self.is_due() {
            return Vec::new();
        }
        self.all_numbers()
    }

    /// The numbers that are left.
    pub fn all_numbers(&self) -> Vec<(CrlSeries, LeftNumber)> {
        self.left().numbers.iter().map(|(series, number)| (*series, number.clone())).collect()
    }

    pub fn number_is_written(&self, series: &CrlSeries, written: &LeftNumber) {
        let mut left = self.left();
        if left.numbers.get(series) == Some(written) {
            left.numbers.remove(series);
        }
    }
}

impl Beside for Unwritten {
    fn is_empty(&self) -> bool {
        let left = self.left();
        left.facts.is_empty() && left.numbers.is_empty()
    }

    fn write(&self, store: &dyn Any) {
        let Some(store) = store.downcast_ref::<Store>() else { return };
        // Whether or not it is due: nobody may ask any more. Where the first cannot be written, nothing more is waited for.
        if facts::write_unwritten(store, self).is_ok() {
            numbers::write_unwritten(store, self);
        }
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
