//! The highest CRL numbers in device memory: an old list is refused also after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::asn1::crl::CrlNumber;
use crate::asn1::x509::hex;
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::validation::CrlNumbers;
use crate::validation::crl_numbers::CrlSeries;

/// Most series held in memory beside the store; more are read from the store each time.
const MAX_SERIES: usize = 1024;

/// CRL numbers that outlive a restart, if there is a store; else they last as long as this does.
///
/// A series is read from the store once; a number that another process raises meanwhile is met at the next start. If a
/// number cannot be read, every list of its series counts as played back: not to know what was seen is no permission.
#[derive(Debug)]
pub struct StoredCrlNumbers {
    store: Option<Arc<Store>>,
    known: Mutex<BTreeMap<CrlSeries, Option<CrlNumber>>>,
    troubles: Mutex<Vec<Error>>,
}

impl StoredCrlNumbers {
    /// Over this store.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        StoredCrlNumbers { store, known: Mutex::default(), troubles: Mutex::default() }
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
}

impl CrlNumbers for StoredCrlNumbers {
    fn highest(&self, series: &CrlSeries) -> Option<CrlNumber> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.get(series) {
            return number.clone();
        }
        let number = match self.store.as_ref().map(|store| store.number(&name(series))) {
            None => None,
            Some(Ok(bytes)) => bytes.map(|bytes| CrlNumber::from_be_bytes(&bytes)),
            Some(Err(error)) => {
                self.trouble(error);
                // Above every number that RFC 5280 section 5.2.3 allows (20 octets).
                return Some(CrlNumber::from_be_bytes(&[0xff; 21]));
            }
        };
        if known.len() < MAX_SERIES {
            known.insert(*series, number.clone());
        }
        number
    }

    fn record(&self, series: &CrlSeries, number: &CrlNumber) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(series).is_some_and(|highest| highest.as_ref().is_some_and(|highest| highest >= number)) {
            return;
        }
        if known.len() < MAX_SERIES || known.contains_key(series) {
            known.insert(*series, Some(number.clone()));
        }
        if let Some(store) = &self.store {
            if let Err(error) = store.raise_number(&name(series), number.as_be_bytes()) {
                self.trouble(error);
            }
        }
    }
}

/// Names in the store have at most 64 characters; 30 bytes of the digest are plenty.
fn name(series: &CrlSeries) -> String {
    format!("crl-{}", hex(&series[..30]))
}
