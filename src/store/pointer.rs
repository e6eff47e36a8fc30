//! Which generation is in use: the record that is switched, its copy, and the highest number that ever was.

use super::error::{StoreError, StoreErrorKind};
use super::generations::{Home, identity_key};
use super::identity::IdentityState;
use super::record::Record;

/// The record that says which generation is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer {
    pub state: IdentityState,
    /// The highest number that a generation of this identity ever had.
    pub last: u32,
    /// The identity is being removed, with all that belongs to it: whoever meets with this finishes it.
    pub is_going: bool,
}

/// The line of a pointer whose identity is being removed with all that belongs to it.
const GOING: &str = "removal";
/// The highest number of the identities that were removed.
pub(super) const LAST_NUMBER: &str = "generation/last";

impl Home<'_> {
    /// Which generations are which. From the copy if the record itself is damaged; the default if there is neither.
    pub fn state(&mut self, name: &str) -> Result<IdentityState, StoreError> {
        Ok(self.pointer(name)?.unwrap_or_default().state)
    }

    pub fn pointer(&mut self, name: &str) -> Result<Option<Pointer>, StoreError> {
        match self.read_pointer(name, "current") {
            Ok(Some(pointer)) => Ok(Some(pointer)),
            Ok(None) => self.read_pointer(name, "current.copy"),
            Err(damage) if damage.kind == StoreErrorKind::Corrupt => match self.read_pointer(name, "current.copy") {
                Ok(Some(copy)) => Ok(Some(copy)),
                Ok(None) => self.lone_pointer(name)?.ok_or(damage).map(Some),
                Err(_) => Err(damage),
            },
            Err(other) => Err(other),
        }
    }

    /// What the pointer of a first generation that waits to be confirmed has said, from what is there: it has no copy.
    fn lone_pointer(&mut self, name: &str) -> Result<Option<Pointer>, StoreError> {
        let mut state = IdentityState::default();
        for number in self.numbers(name)? {
            match (self.is_complete(name, number)?, self.is_unconfirmed(name, number)?) {
                (true, true) => state.pending = Some(number),
                (true, false) => return Ok(None),
                (false, _) => {}
            }
        }
        let pointer = Pointer { state, last: highest(state), is_going: false };
        Ok(Some(pointer).filter(|pointer| needs_no_copy(*pointer)))
    }

    /// Whether there is a pointer at all; one that names nothing belongs to an identity that is being removed.
    pub fn has_pointer(&mut self, name: &str) -> Result<bool, StoreError> {
        let key = identity_key(name);
        Ok(self.is_there(&format!("{key}/current"))? || self.is_there(&format!("{key}/current.copy"))?)
    }

    /// Whether something is left of an interrupted switch, or a pointer is damaged and its twin has answered for it.
    pub fn is_unsettled(&mut self, name: &str) -> Result<bool, StoreError> {
        let (main, copy) = (self.read_pointer(name, "current"), self.read_pointer(name, "current.copy"));
        match (&main, &copy) {
            (Ok(main), Ok(copy)) if main == copy => {
                let number = main.as_ref().and_then(|pointer| pointer.state.current);
                number.map_or(Ok(false), |number| self.is_unconfirmed(name, number))
            }
            (Ok(Some(main)), Ok(None)) if needs_no_copy(*main) => Ok(false),
            (Err(error), _) | (_, Err(error)) if !error.is_damage() => Err(error.clone()),
            _ => Ok(true),
        }
    }

    /// What is wrong with one of the two, where one is damaged.
    pub fn damaged_pointer(&mut self, name: &str) -> Result<Option<StoreError>, StoreError> {
        for file in ["current", "current.copy"] {
            match self.read_pointer(name, file) {
                Ok(_) => {}
                Err(damage) if damage.is_damage() => return Ok(Some(damage)),
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    /// Whether there is a record, whatever has become of its bytes: some homes look at them before they give them out.
    pub fn is_there(&mut self, place: &str) -> Result<bool, StoreError> {
        match self.backend.read(place) {
            Ok(record) => Ok(record.is_some()),
            Err(error) if error.is_damage() => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub fn read_pointer(&mut self, name: &str, file: &str) -> Result<Option<Pointer>, StoreError> {
        let place = format!("{}/{file}", identity_key(name));
        let Some(bytes) = self.backend.read(&place)? else { return Ok(None) };
        let record = Record::parse(&bytes, "pointer", &place, &**self.provider)?;
        let number = |field| match record.field(field, &place)? {
            "-" => Ok(None),
            _ => record.number::<u32>(field, &place).map(Some),
        };
        let state =
            IdentityState { current: number("current")?, previous: number("previous")?, pending: number("pending")? };
        // The first versions did not write it.
        let last = if record.has("last") { record.number("last", &place)? } else { 0 };
        Ok(Some(Pointer { state, last: last.max(highest(state)), is_going: record.has(GOING) }))
    }

    /// The switch. All that the new state names must be durable.
    ///
    /// On a full medium the copy gives way: what makes room must not need any.
    pub fn write_pointer(&mut self, name: &str, state: IdentityState) -> Result<(), StoreError> {
        let pointer = Pointer { state, last: self.last_number(name, state)?, is_going: false };
        self.put_pointer(name, pointer)
    }

    /// The pointer that names nothing any more: from then on the identity is gone, with all that belongs to it, whatever happens.
    pub fn write_removal(&mut self, name: &str) -> Result<(), StoreError> {
        let state = IdentityState::default();
        let pointer = Pointer { state, last: self.last_number(name, state)?, is_going: true };
        self.put_pointer(name, pointer)
    }

    fn put_pointer(&mut self, name: &str, pointer: Pointer) -> Result<(), StoreError> {
        let state = pointer.state;
        let shown = |number: Option<u32>| number.map_or("-".to_owned(), |n| n.to_string());
        let mut record = Record::new()
            .with("current", shown(state.current))
            .with("previous", shown(state.previous))
            .with("pending", shown(state.pending))
            .with("last", pointer.last);
        if pointer.is_going {
            record = record.with(GOING, "whole");
        }
        let record = record.encode("pointer", &**self.provider)?;
        let (place, copy) = (format!("{}/current", identity_key(name)), format!("{}/current.copy", identity_key(name)));
        let is_first = !matches!(self.read_pointer(name, "current"), Ok(Some(_)));
        if let Err(error) = self.backend.write(&place, &record) {
            let is_whole = matches!(self.read_pointer(name, "current"), Ok(Some(_)));
            self.make_room(error, is_whole, &copy)?;
            self.backend.write(&place, &record)?;
        }
        if is_first {
            // A copy that is spoilt must not stand alone.
            self.backend.sync()?;
        }
        if self.read_pointer(name, "current")? != Some(pointer) {
            let detail = "what was read back is not what was written";
            return Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, place, detail));
        }
        if is_first && needs_no_copy(pointer) && matches!(self.read_pointer(name, "current.copy"), Ok(None)) {
            return Ok(());
        }
        // A copy that cannot be written is for `repair`; one sync makes both durable.
        let _ = self.backend.write_spare(&copy, &record);
        self.backend.sync()
    }

    /// A record could not be written. If that was for want of room, its copy gives way, provided that the record itself is
    /// whole and says no less.
    pub fn make_room(&mut self, error: StoreError, is_whole: bool, copy: &str) -> Result<(), StoreError> {
        if error.kind != StoreErrorKind::Full || !is_whole {
            return Err(error);
        }
        self.backend.remove(copy, false)?;
        self.backend.sync()
    }

    /// The highest number that a generation of this identity ever had.
    pub fn last_number(&mut self, name: &str, state: IdentityState) -> Result<u32, StoreError> {
        let last = match self.pointer(name) {
            Ok(Some(pointer)) => pointer.last,
            // Nothing says how far they had come: no further than what is left, or what was left behind.
            Ok(None) => self.numbers(name)?.last().copied().unwrap_or(0).max(self.last_of_removed()?),
            Err(damage) if damage.kind == StoreErrorKind::Corrupt => {
                self.numbers(name)?.last().copied().unwrap_or(0).max(self.last_of_removed()?)
            }
            Err(other) => return Err(other),
        };
        Ok(last.max(highest(state)))
    }

    /// One that is damaged counts for nothing.
    fn last_of_removed(&mut self) -> Result<u32, StoreError> {
        match self.read_last_number() {
            Err(other) if !other.is_damage() => Err(other),
            read => Ok(read.unwrap_or(None).unwrap_or(0)),
        }
    }

    fn read_last_number(&mut self) -> Result<Option<u32>, StoreError> {
        let Some(bytes) = self.backend.read(LAST_NUMBER)? else { return Ok(None) };
        Record::parse(&bytes, "last", LAST_NUMBER, &**self.provider)?.number("last", LAST_NUMBER).map(Some)
    }

    /// An identity is about to go, and its pointer with it: its numbers are not used again. Best effort: on a full medium
    /// the removal counts for more.
    pub fn keep_last_number(&mut self, name: &str, state: IdentityState) -> Result<(), StoreError> {
        let (last, kept) = (self.last_number(name, state)?, self.last_of_removed()?);
        if last > kept {
            let record = Record::new().with("last", last).encode("last", &**self.provider)?;
            let _ = self.backend.write(LAST_NUMBER, &record).and_then(|()| self.backend.sync());
        }
        Ok(())
    }

    /// What is wrong with the record of the highest number.
    pub fn damage_of_last_number(&mut self) -> Option<StoreError> {
        self.read_last_number().err()
    }
}

/// A first generation that waits to be confirmed says so by itself, should its pointer be lost: the copy comes with the switch.
pub(super) fn needs_no_copy(Pointer { state, is_going, .. }: Pointer) -> bool {
    state.pending.is_some() && (state.current, state.previous, is_going) == (None, None, false)
}

fn highest(state: IdentityState) -> u32 {
    [state.current, state.previous, state.pending].into_iter().flatten().max().unwrap_or(0)
}
