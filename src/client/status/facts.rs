//! Who is revoked or on hold, in device memory: a record of its own, which no document's end and no cache takes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::unwritten::Unwritten;
use crate::codes::Code;
use crate::error::Error;
use crate::store::{Beside, REVOKED_RECORD as RECORD, Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::revoked::{KeyDigest, RevokedId};
use crate::validation::status_sources::UNTOLD;
use crate::validation::{Added, GoodWord, KnownFacts, RevokedFact, RevokedFacts, RevokedTable};

/// Name of the number that rises with every change of it. Odd while somebody changes it, and after somebody has died over that: then the
/// record is looked at each time.
const MARK: &str = "revoked-mark";

/// Facts that outlive a restart, if there is a store; else they last as long as this does. Several processes with the same
/// device memory see each other's facts at once; what could not be written is written by whoever asks next, or lets go of
/// the memory.
///
/// Where the record cannot be read, nobody is cleared: not to know who was revoked is no permission.
#[derive(Debug)]
pub(crate) struct StoredRevokedFacts {
    store: Option<Arc<Store>>,
    state: Mutex<State>,
    unwritten: Arc<Unwritten>,
    troubles: Mutex<Vec<Error>>,
}

#[derive(Debug, Default)]
struct State {
    /// The record as it was read last, and what this process has met since.
    table: RevokedTable,
    /// The issuers that this process has met in good order.
    met: RevokedTable,
    /// Up to which change the table is; `None`: it was not read yet.
    read: Option<u64>,
    /// Facts that this process has met since, and what it has found changed without a mark.
    own: u64,
}

impl StoredRevokedFacts {
    /// Over this store.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        let unwritten = store.as_ref().map(|store| store.beside()).unwrap_or_default();
        StoredRevokedFacts { store, state: Mutex::default(), unwritten, troubles: Mutex::default() }
    }

    /// What went wrong since the last call.
    pub fn take_troubles(&self) -> Vec<Error> {
        std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes what is left, by the last who could.
    pub(super) fn write_all_left(&self) {
        if let Some(left) = self.unwritten.all_facts() {
            self.write_these(&mut self.state(), &left);
        }
    }

    /// Whether facts or numbers are left to be written.
    pub(super) fn has_left(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// What is left to be written to its store, where that outlives this process and nobody else is there to write it.
    pub(super) fn left_alone(&self) -> Option<&Arc<Store>> {
        // The numbers', the documents', this one's, and the one by the home's path.
        const OWN: usize = 4;
        self.store.as_ref().filter(|store| store.has_path() && Arc::strong_count(&self.unwritten) <= OWN)
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
        let is_known = state.read == Some(mark);
        if is_known && is_whole(mark) {
            return Ok(());
        }
        match store.blob(RECORD) {
            Ok(bytes) => {
                let table = table(&bytes)?;
                if is_known && table != state.table {
                    state.own += 1;
                }
                state.table = table;
            }
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        state.read = Some(mark);
        Ok(())
    }

    fn write(&self, state: &mut State, is_news: bool, change: impl Fn(&mut RevokedTable) -> bool) -> Result<(), Error> {
        self.store.as_ref().map_or(Ok(()), |store| write(store, state, is_news, change))
    }

    /// Writes what could not be written before, by anybody in this process.
    fn write_left(&self, state: &mut State) {
        if let Some(left) = self.unwritten.facts_to_write() {
            self.write_these(state, &left);
        }
    }

    fn write_these(&self, state: &mut State, left: &RevokedTable) {
        if let Some(store) = &self.store {
            // That it could not be written was told when it was found.
            let _ = write_these(store, &self.unwritten, state, left);
        }
    }

    /// A store that cannot be written changes nothing for this process, and is told. Whether it is written.
    fn write_through(&self, state: &mut State, change: impl Fn(&mut RevokedTable) -> bool) -> bool {
        let written = self.unwritten.attempt(|| self.write(state, true, change));
        let is_written = written.is_ok();
        written.unwrap_or_else(|error| self.trouble(error));
        is_written
    }
}

impl RevokedFacts for StoredRevokedFacts {
    fn find(&self, who: &[RevokedId], issuer: &KeyDigest) -> Result<KnownFacts, Error> {
        let mut state = self.state();
        self.write_left(&mut state);
        let synced = self.sync(&mut state);
        let in_table = |table: &RevokedTable| -> (Vec<RevokedFact>, Option<Time>) {
            (who.iter().flat_map(|who| table.find(who)).collect(), table.lost_of(issuer))
        };
        let (mut facts, lost) = in_table(&state.table);
        let (more, lost_too) = self.unwritten.facts(in_table);
        facts.extend(more);
        match synced {
            // A hold may be lifted, and what else the record says is not known.
            Err(error) if !facts.iter().any(RevokedFact::is_for_good) => Err(unreadable(error)),
            _ => Ok(KnownFacts { facts, lost: lost.max(lost_too) }),
        }
    }

    fn note(&self, fact: &RevokedFact, now: Option<Time>) {
        let mut state = self.state();
        self.write_left(&mut state);
        let _ = self.sync(&mut state);
        match state.table.add(fact, now) {
            // Whoever has written it may have died over that.
            Added::Known if state.read.is_none_or(is_whole) => return,
            Added::Known => {}
            Added::New => state.own += 1,
            Added::Lost { why, is_new } => {
                self.trouble(Error::new(Code::Limit, why));
                if !is_new {
                    return;
                }
                state.own += 1;
            }
        }
        let add = |all: &mut RevokedTable| match all.add(fact, now) {
            Added::New => true,
            Added::Known => false,
            Added::Lost { is_new, .. } => is_new,
        };
        if !self.write_through(&mut state, add) {
            self.unwritten.change_facts(add);
        }
    }

    fn lift(&self, fact: &RevokedFact, word: &GoodWord) {
        let mut state = self.state();
        self.write_left(&mut state);
        let _ = self.sync(&mut state);
        self.unwritten.change_facts(|left| {
            left.lift(fact, word);
            false
        });
        if state.table.lift(fact, word) {
            self.write_through(&mut state, |all| all.lift(fact, word));
        }
    }

    fn meet(&self, issuer: &KeyDigest, branch: &KeyDigest) {
        let mut state = self.state();
        if self.store.is_none() {
            state.table.meet(issuer, branch);
            return;
        }
        state.met.meet(issuer, branch);
        let is_wanted = state.table.has_not_met(issuer, branch) && state.table.is_crowded();
        if is_wanted {
            // What cannot be written is met another time.
            let _ = self.unwritten.attempt(|| self.write(&mut state, false, |all| all.meet(issuer, branch)));
        }
    }

    /// By anyone with the same device memory.
    fn mark(&self) -> u64 {
        let mut state = self.state();
        match self.sync(&mut state) {
            Ok(()) => state.read.unwrap_or(0).saturating_add(state.own).saturating_add(self.unwritten.news()),
            // Whoever asks for a fact is told why.
            Err(_) => UNTOLD,
        }
    }
}

/// Changes the record as it is by now, with what others have written. Its mark is odd meanwhile: whoever has read the record before
/// reads it again, also where somebody dies over the change. `is_news`: there is something in it for those who hold a verdict.
fn write(
    store: &Store,
    state: &mut State,
    is_news: bool,
    change: impl Fn(&mut RevokedTable) -> bool,
) -> Result<(), Error> {
    let _hold = store.hold()?;
    let before = stored_mark(store)?;
    let mut all = match store.blob(RECORD) {
        Ok(bytes) => table(&bytes)?,
        Err(error) if error.kind == StoreErrorKind::NotFound => RevokedTable::default(),
        Err(error) => return Err(error.into()),
    };
    let mut is_changed = change(&mut all);
    if all.is_crowded() {
        is_changed |= all.join_met(&state.met);
    }
    let has_mark = is_news && is_changed || !is_whole(before);
    if has_mark && is_whole(before) {
        store.raise_number(MARK, &before.saturating_add(1).to_be_bytes())?;
    }
    if is_changed {
        store.put_blob(RECORD, &all.to_bytes())?;
    }
    let mut mark = before;
    if has_mark {
        mark = (before | 1).saturating_add(1);
        store.raise_number(MARK, &mark.to_be_bytes())?;
    }
    // Nobody has come between: this is what it holds.
    (state.table, state.read) = (all, Some(mark));
    Ok(())
}

/// Writes what is left, where its memory is let go of.
pub(super) fn write_unwritten(store: &Store, unwritten: &Unwritten) -> Result<(), Error> {
    unwritten.all_facts().map_or(Ok(()), |left| write_these(store, unwritten, &mut State::default(), &left))
}

fn write_these(store: &Store, unwritten: &Unwritten, state: &mut State, left: &RevokedTable) -> Result<(), Error> {
    let written = write(store, state, true, |all| all.join(left));
    unwritten.has_tried(&written);
    if written.is_ok() {
        unwritten.facts_are_written(left);
    }
    written
}

/// Whether nobody is, or has died, over a change.
fn is_whole(mark: u64) -> bool {
    mark % 2 == 0
}

fn unreadable(error: StoreError) -> Error {
    Error::from(error).context("the record of revoked certificates in device memory cannot be read")
}

fn table(bytes: &[u8]) -> Result<RevokedTable, StoreError> {
    RevokedTable::from_bytes(bytes).map_err(|e| StoreError::new(StoreErrorKind::Corrupt, RECORD, e.to_string()))
}

fn stored_mark(store: &Store) -> Result<u64, StoreError> {
    let bytes = store.number(MARK)?.unwrap_or_default();
    Ok(bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}
