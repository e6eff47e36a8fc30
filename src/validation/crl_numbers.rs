//! Memory of the highest CRL number seen, so that an old list cannot be played back to a device that has seen a newer
//! one (RFC 5280 section 5.2.3: numbers only rise for a given issuer and scope).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::asn1::Asn1Error;
use crate::asn1::crl::CrlNumber;

/// Which series of numbers: a digest over trust anchor, CRL issuer, scope, and whether it is a delta CRL.
pub type CrlSeries = [u8; 32];

/// Remembers the highest CRL number of each series. Implementations that keep it across restarts live in device memory.
pub trait CrlNumbers: Send + Sync + std::fmt::Debug {
    /// The highest number recorded for this series.
    fn highest(&self, series: &CrlSeries) -> Option<CrlNumber>;

    /// Records the number of a list that was verified. Never lowers what is there.
    fn record(&self, series: &CrlSeries, number: &CrlNumber);
}

/// Most series kept; a device meets a handful of CAs. The ones that are there stay.
const MAX_SERIES: usize = 4096;

/// CRL numbers in memory, with a form to write down and read back.
#[derive(Debug, Default)]
pub struct CrlNumberTable {
    numbers: Mutex<BTreeMap<CrlSeries, CrlNumber>>,
}

impl CrlNumberTable {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the bytes that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "table of CRL numbers";
        let damaged = || Asn1Error::invalid(WHAT, "damaged");
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| Asn1Error::invalid(WHAT, "of another format"))?;
        let mut numbers = BTreeMap::new();
        while let Some((series, behind)) = rest.split_first_chunk::<32>() {
            let (length, behind) = behind.split_first().ok_or_else(damaged)?;
            let (number, behind) = behind.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
            if numbers.len() == MAX_SERIES || number.first() == Some(&0) {
                return Err(damaged());
            }
            numbers.insert(*series, CrlNumber::from_be_bytes(number));
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(CrlNumberTable { numbers: Mutex::new(numbers) })
    }

    /// All numbers, to be kept where nobody can change or replace them: who can, can play back old lists.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = MAGIC.to_vec();
        for (series, number) in numbers.iter() {
            bytes.extend_from_slice(series);
            bytes.push(number.as_be_bytes().len() as u8);
            bytes.extend_from_slice(number.as_be_bytes());
        }
        bytes
    }
}

/// Format and its version.
const MAGIC: &[u8] = b"crl-numbers-1\n";

impl CrlNumbers for CrlNumberTable {
    fn highest(&self, series: &CrlSeries) -> Option<CrlNumber> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).get(series).cloned()
    }

    fn record(&self, series: &CrlSeries, number: &CrlNumber) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let full = numbers.len() >= MAX_SERIES;
        match numbers.get_mut(series) {
            Some(known) if *known < *number => *known = number.clone(),
            Some(_) => {}
            None if full => {}
            None => {
                numbers.insert(*series, number.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> CrlNumber {
        CrlNumber::from_be_bytes(&n.to_be_bytes())
    }

    #[test]
    fn numbers_survive_a_restart_and_only_rise() {
        let table = CrlNumberTable::new();
        table.record(&[1; 32], &number(300));
        table.record(&[1; 32], &number(299));
        table.record(&[2; 32], &number(0));
        let restarted = CrlNumberTable::from_bytes(&table.to_bytes()).unwrap();
        assert_eq!(restarted.highest(&[1; 32]), Some(number(300)));
        assert_eq!(restarted.highest(&[2; 32]), Some(number(0)));
        assert_eq!(restarted.highest(&[3; 32]), None);
    }

    #[test]
    fn damaged_memory_is_refused_and_not_taken_for_empty() {
        let table = CrlNumberTable::new();
        table.record(&[1; 32], &number(300));
        let bytes = table.to_bytes();
        assert!(CrlNumberTable::from_bytes(&[]).is_err());
        for length in 1..bytes.len() {
            assert!(CrlNumberTable::from_bytes(&bytes[..length]).is_err() || length == MAGIC.len());
        }
    }
}
