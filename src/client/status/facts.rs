//! Who is revoked or on hold, in device memory: a record of its own, which no document's end and no cache takes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codes::Code;
use crate::error::Error;
use crate::store::{REVOKED_RECORD as RECORD, Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::revoked::{KeyDigest, RevokedId};
use crate::validation::status_sources::UNTOLD;
use crate::validation::{Added, KnownFacts, RevokedFact, RevokedFacts, RevokedTable};

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
    /// The record as it was read last, and what this process has met since.
    table: RevokedTable,
    /// What could not be written to the record.
    unwritten: RevokedTable,
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

    /// Reads what others have written: that takes the place of what was read before, so that what they have lifted is lifted and what
    /// has ended takes no room. A record that cannot be read, or is gone, takes nothing away.
    fn sync(&self, state: &mut State) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let mark = stored_mark(store)?;
        if state.read == Some(mark) {
            return Ok(());
        }
        match store.blob(RECORD) {
            Ok(bytes) => state.table = table(&bytes)?,
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        state.read = Some(mark);
        Ok(())
    }

    /// Changes the record as it is by now, with what others have written.
    fn write(&self, store: &Store, state: &mut State, change: impl Fn(&mut RevokedTable) -> bool) -> Result<(), Error> {
        store.change_blob(RECORD, |kept| {
            let mut all = kept.map(table).transpose()?.unwrap_or_default();
            let is_changed = change(&mut all);
            Ok(is_changed.then(|| all.to_bytes()))
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

    /// A store that cannot be written changes nothing for this process, and is told. Whether it is written.
    fn write_through(&self, state: &mut State, change: impl Fn(&mut RevokedTable) -> bool) -> bool {
        let Some(store) = &self.store else { return true };
        let written = self.write(store, state, change);
        let is_written = written.is_ok();
        written.unwrap_or_else(|error| self.trouble(error));
        is_written
    }
}

impl RevokedFacts for StoredRevokedFacts {
    fn find(&self, who: &[RevokedId], issuer: &KeyDigest) -> Result<KnownFacts, String> {
        let mut state = self.state();
        let synced = self.sync(&mut state);
        let tables = [&state.table, &state.unwritten];
        let found: Vec<RevokedFact> =
            who.iter().flat_map(|who| tables.into_iter().flat_map(|table| table.find(who))).collect();
        match synced {
            // A hold may be lifted, and what else the record says is not known.
            Err(error) if !found.iter().any(RevokedFact::is_for_good) => Err(unreadable(&error)),
            _ => Ok(KnownFacts { facts: found, lost: tables.iter().filter_map(|table| table.lost_of(issuer)).max() }),
        }
    }

    fn note(&self, fact: &RevokedFact, now: Option<Time>) {
        let mut state = self.state();
        let _ = self.sync(&mut state);
        match state.table.add(fact, now) {
            Added::Known => return,
            Added::New => state.own += 1,
            Added::Lost { why, is_new } => {
                self.trouble(Error::new(Code::Limit, why));
                if !is_new {
                    return;
                }
                state.own += 1;
            }
        }
        let is_written = self.write_through(&mut state, |all| match all.add(fact, now) {
            Added::New => true,
            Added::Known => false,
            Added::Lost { is_new, .. } => is_new,
        });
        if !is_written {
            let _ = state.unwritten.add(fact, now);
        }
    }

    fn lift(&self, fact: &RevokedFact, from: Time) {
        let mut state = self.state();
        let _ = self.sync(&mut state);
        state.unwritten.lift(fact, from);
        if state.table.lift(fact, from) {
            self.write_through(&mut state, |all| all.lift(fact, from));
        }
    }

    /// By anyone with the same device memory.
    fn mark(&self) -> u64 {
        let mut state = self.state();
        match self.sync(&mut state) {
            Ok(()) => state.read.unwrap_or(0).saturating_add(state.own),
            // Whoever asks for a fact is told why.
            Err(_) => UNTOLD,
        }
    }
}

fn unreadable(error: &StoreError) -> String {
    format!("the record of revoked certificates in device memory cannot be read: {error}")
}

fn table(bytes: &[u8]) -> Result<RevokedTable, StoreError> {
    RevokedTable::from_bytes(bytes).map_err(|e| StoreError::new(StoreErrorKind::Corrupt, RECORD, e.to_string()))
}

fn stored_mark(store: &Store) -> Result<u64, StoreError> {
    let bytes = store.number(MARK)?.unwrap_or_default();
    Ok(bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}
