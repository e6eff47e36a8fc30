//! Who is revoked for good, in device memory: a record of its own, which no document's end and no cache takes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codes::Code;
use crate::error::Error;
use crate::store::{REVOKED_RECORD as RECORD, Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::revoked::RevokedId;
use crate::validation::{RevokedFact, RevokedFacts, RevokedTable};

/// Name of the number that rises with every change of it.
const MARK: &str = "revoked-mark";

/// Facts that outlive a restart, if there is a store; else they last as long as this does. Several processes with the same
/// device memory see each other's facts at once.
///
/// Where the record cannot be read, nobody is cleared: not to know who was revoked is no permission.
#[derive(Debug)]
pub(crate) struct StoredRevokedFacts {
    store: Option<Arc<Store>>,
    state: Mutex<State>,
    troubles: Mutex<Vec<Error>>,
}

#[derive(Debug, Default)]
struct State {
    table: RevokedTable,
    /// Up to which change the table is; `None`: it was not read yet.
    read: Option<u64>,
    /// Facts that this process has met since.
    own: u64,
}

impl StoredRevokedFacts {
    /// Over this store.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        StoredRevokedFacts { store, state: Mutex::default(), troubles: Mutex::default() }
    }

    /// What went wrong since the last call.
    pub fn take_troubles(&self) -> Vec<Error> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number that rises with every new fact, by anyone with the same device memory.
    pub fn mark(&self) -> u64 {
        let mut state = self.state();
        // What cannot be read tells nothing new; whoever asks for a fact is told so.
        let _ = self.sync(&mut state);
        state.read.unwrap_or(0).saturating_add(state.own)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: Error) {
        const MAX_TROUBLES: usize = 16;
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.len() < MAX_TROUBLES {
            troubles.push(error);
        }
    }

    /// Reads what others have written. What is known already stays, whatever became of the record.
    fn sync(&self, state: &mut State) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let mark = stored_mark(store)?;
        if state.read == Some(mark) {
            return Ok(());
        }
        let kept = match store.blob(RECORD) {
            Ok(bytes) => table(&bytes)?,
            Err(error) if error.kind == StoreErrorKind::NotFound => RevokedTable::default(),
            Err(error) => return Err(error),
        };
        state.table.join(&kept);
        state.read = Some(mark);
        Ok(())
    }

    /// Writes a fact down beside all others that are in the record by now.
    fn write(&self, store: &Store, state: &mut State, fact: &RevokedFact, now: Option<Time>) -> Result<(), Error> {
        store.change_blob(RECORD, |kept| {
            let mut all = kept.map(table).transpose()?.unwrap_or_default();
            let full = |detail| StoreError::new(StoreErrorKind::Limit, RECORD, detail);
            Ok(all.add(fact, now).map_err(full)?.then(|| all.to_bytes()))
        })?;
        loop {
            let next = stored_mark(store)?.saturating_add(1);
            if store.raise_number(MARK, &next.to_be_bytes())? {
                // Others may have written meanwhile: their facts are read with the next question.
                if state.read == Some(next - 1) {
                    state.read = Some(next);
                }
                return Ok(());
            }
        }
    }
}

impl RevokedFacts for StoredRevokedFacts {
    fn find(&self, who: &RevokedId) -> Result<Vec<RevokedFact>, String> {
        let mut state = self.state();
        let synced = self.sync(&mut state);
        let found = state.table.find(who);
        match synced {
            Err(error) if found.is_empty() => {
                Err(format!("the record of revoked certificates in device memory cannot be read: {error}"))
            }
            _ => Ok(found),
        }
    }

    fn note(&self, fact: &RevokedFact, now: Option<Time>) {
        let mut state = self.state();
        let _ = self.sync(&mut state);
        match state.table.add(fact, now) {
            Ok(false) => return,
            Ok(true) => state.own += 1,
            Err(full) => return self.trouble(Error::new(Code::Limit, full)),
        }
        if let Some(store) = &self.store {
            if let Err(error) = self.write(store, &mut state, fact, now) {
                self.trouble(error);
            }
        }
    }
}

fn table(bytes: &[u8]) -> Result<RevokedTable, StoreError> {
    RevokedTable::from_bytes(bytes).map_err(|e| StoreError::new(StoreErrorKind::Corrupt, RECORD, e.to_string()))
}

fn stored_mark(store: &Store) -> Result<u64, StoreError> {
    let bytes = store.number(MARK)?.unwrap_or_default();
    Ok(bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}
