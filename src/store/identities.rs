//! Identities: put in, switched, given back.

use super::backend::check_name;
use super::change::ChangeKind;
use super::error::{StoreError, StoreErrorKind};
use super::generations::{Home, Unreadable, identity_key};
use super::identity::{Identity, IdentityState, NewIdentity, NewKey, PublicPart};
use super::problem::{Problem, ProblemKind};
use super::{Store, repair};
use crate::cmp::SavedCredential;
use crate::crypto::keys;

impl Store {
    /// Installs an identity: checks it, writes it as a new generation, makes that durable, reads it back, and switches
    /// to it in one atomic step. The generation that was in use becomes the previous one.
    ///
    /// On any failure the identity in use is the one from before, whole. (One exception, which no storage can rule out:
    /// if making the switch itself durable fails, the new one may be in use already; both are whole.)
    pub fn install(&self, name: &str, new: &NewIdentity<'_>) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state_to_begin(name)?;
            let identity = home.write(name, new, true)?;
            let state = IdentityState {
                current: Some(identity.generation),
                previous: before.current.or(before.previous),
                ..before
            };
            home.switch(name, state, identity.generation)?;
            home.clear_up(name, state, &new.key);
            Ok(identity)
        });
        self.told(ChangeKind::Installed, outcome)
    }

    /// The first half of [`Store::install`]: everything but the switch. For a certificate that the CA has issued and
    /// that is not confirmed yet (RFC 9810 section 5.3.18): it survives a reboot and is not in use.
    ///
    /// [`StoreErrorKind::Exists`] if another one is waiting already: promote or discard that one first.
    pub fn stage(&self, name: &str, new: &NewIdentity<'_>) -> Result<Identity, StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let before = home.state_to_begin(name)?;
            if let Some(number) = before.pending {
                let detail = format!("generation {number} is waiting to be confirmed or discarded");
                return Err(StoreError::new(StoreErrorKind::Exists, identity_key(name), detail));
            }
            let identity = home.write(name, new, false)?;
            let state = IdentityState { pending: Some(identity.generation), ..before };
            home.switch(name, state, identity.generation)?;
            // The pending key stays until the identity is in use: the CA may still turn it down.
            Ok(identity)
        })
    }

    /// The second half: the staged generation comes into use in one atomic step.
    pub fn promote(&self, name: &str) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.pending.ok_or_else(|| absent(name, "nothing is waiting to be confirmed"))?;
            let identity = home.load(name, number)?;
            let state =
                IdentityState { current: Some(number), previous: before.current.or(before.previous), pending: None };
            home.write_pointer(name, state)?;
            // Beside a pointer it says nothing.
            let _ = home.backend.remove_spare(&format!("{}/gen-{number:06}/unconfirmed", identity_key(name)));
            let twin = home.pending_labels().ok().into_iter().flatten().find(|label| {
                home.load_key(&format!("pending/{label}"))
                    .is_ok_and(|key| keys::same_public_key(key.key.spki(), identity.key.spki()))
            });
            let key = twin.as_deref().map_or(NewKey::Current, NewKey::Pending);
            home.clear_up(name, state, &key);
            Ok(identity)
        });
        self.told(ChangeKind::Installed, outcome)
    }

    /// Drops the staged generation: the CA, or the caller, turned it down.
    pub fn discard(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.pending.ok_or_else(|| absent(name, "nothing is waiting to be confirmed"))?;
            let state = IdentityState { pending: None, ..before };
            if state == IdentityState::default() {
                return home.remove_identity(name);
            }
            if let Err(error) = home.write_pointer(name, state) {
                // What it is about makes room. Until the pointer is written it names an incomplete generation, which `repair` clears away.
                home.only_if_full(error)?;
                home.remove_generation(name, number)?;
                home.backend.sync()?;
                home.write_pointer(name, state)?;
            }
            home.remove_generation(name, number)?;
            home.backend.sync()
        })
    }

    /// Back to the previous generation in one atomic step. The one that was in use becomes the previous one: a second
    /// call undoes the first.
    pub fn rollback(&self, name: &str) -> Result<Identity, StoreError> {
        check_name(name)?;
        let outcome = self.changing(&identity_key(name), |home| {
            let before = home.state(name)?;
            let number = before.previous.ok_or_else(|| absent(name, "there is no previous generation"))?;
            let identity = home.load(name, number)?;
            let state = IdentityState { current: Some(number), previous: before.current, ..before };
            home.write_pointer(name, state)?;
            Ok(identity)
        });
        self.told(ChangeKind::RolledBack, outcome)
    }

    /// The identity in use, read and checked. [`StoreError::is_damage`] says whether `repair` or [`Store::last_good`]
    /// can help.
    pub fn current(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "generation in use", |state| state.current)
    }

    /// The identity in use but for its private key, which need not open: see [`PublicPart`].
    pub fn in_use(&self, name: &str) -> Result<PublicPart, StoreError> {
        self.chosen(
            name,
            "generation in use",
            |state| state.current,
            |home, number| home.load_public(name, number).map(|(public, _)| public),
        )
    }

    /// The generation before.
    pub fn previous(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "previous generation", |state| state.previous)
    }

    /// The staged generation.
    pub fn pending(&self, name: &str) -> Result<Identity, StoreError> {
        self.generation(name, "generation waiting to be confirmed", |state| state.pending)
    }

    /// The identity in use or, if it is damaged, the best one there is, with what is wrong with the one in use.
    pub fn last_good(&self, name: &str) -> Result<(Identity, Option<StoreError>), StoreError> {
        let damage = match self.current(name) {
            Ok(identity) => return Ok((identity, None)),
            // A medium that cannot read it any more, too: this call changes nothing.
            Err(damage) if damage.is_damage() || damage.kind == StoreErrorKind::Io => damage,
            Err(other) => return Err(other),
        };
        if let Ok(previous) = self.previous(name) {
            return Ok((previous, Some(damage)));
        }
        match self.reading(|home| home.newest_good(name, &[], Unreadable::Skip))? {
            Some(identity) => Ok((identity, Some(damage))),
            None => Err(damage),
        }
    }

    /// What [`Store::repair`] does for one identity alone: where the one in use is damaged, the last good generation comes back into
    /// use. Nothing is changed where there is no such generation, or the one in use is whole. What was found.
    pub(crate) fn bring_back(&self, name: &str) -> Result<Vec<Problem>, StoreError> {
        if !self.current(name).is_err_and(|error| error.is_damage()) || self.last_good(name).is_err() {
            return Ok(Vec::new());
        }
        self.changing(&identity_key(name), |home| {
            let mut problems = Vec::new();
            repair::examine_identity(home, name, true, &mut problems)?;
            home.backend.sync()?;
            problems.retain(|problem| matches!(problem.kind, ProblemKind::Generation | ProblemKind::Pointer));
            Ok(problems)
        })
    }

    /// Finishes what an interrupted switch of an identity has left, and writes a damaged pointer anew whose twin is whole: else the next
    /// damage would meet an older one. What was damaged.
    pub(crate) fn settle(&self, name: &str) -> Result<Option<Problem>, StoreError> {
        check_name(name)?;
        if !self.reading(|home| home.is_unsettled(name))? {
            return Ok(None);
        }
        self.changing(&identity_key(name), |home| {
            // Somebody may have been in the middle of it.
            let (state, damage) = (home.state(name)?, home.damaged_pointer(name)?);
            let Some(number) = state.current.filter(|_| home.is_unsettled(name).unwrap_or(false)) else {
                return Ok(None);
            };
            home.write_pointer(name, state)?;
            home.backend.remove_spare(&format!("{}/gen-{number:06}/unconfirmed", identity_key(name)))?;
            let text = |damage: StoreError| format!("{}; written anew by its twin", damage.detail);
            Ok(damage
                .map(|damage| Problem::new(ProblemKind::Pointer, &damage.place.clone(), &text(damage)).mended(true)))
        })
    }

    /// Keys with their certificates of generations whose other parts are damaged: for what was begun with one of them. The newest first.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<Identity>, StoreError> {
        check_name(name)?;
        self.reading(|home| {
            let numbers = home.numbers(name)?;
            Ok(numbers.into_iter().rev().filter_map(|number| home.load_pair(name, number).ok()).collect())
        })
    }

    /// Whether what was begun with this credential cannot be gone on with by any generation of the identity, and was once: see
    /// [`Home::has_lost`].
    pub(crate) fn has_lost(&self, name: &str, credential: &SavedCredential) -> Result<bool, StoreError> {
        check_name(name)?;
        self.reading(|home| home.has_lost(name, credential))
    }

    /// Makes the identity ready to take a certificate: what installing one would fail for fails before the CA is asked for it, and what
    /// it would sweep is swept.
    pub(crate) fn make_ready(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.changing(&identity_key(name), |home| {
            let state = home.state_to_begin(name)?;
            home.next_number(name, state)?;
            home.sweep(name, state)
        })
    }

    /// Which generations there are.
    pub fn state(&self, name: &str) -> Result<IdentityState, StoreError> {
        check_name(name)?;
        self.reading(|home| home.state(name))
    }

    /// Names of all identities, sorted.
    pub fn identities(&self) -> Result<Vec<String>, StoreError> {
        self.reading(|home| {
            let keys = home.backend.list("identity/")?;
            let mut names = Vec::new();
            for name in repair::identity_names(&keys) {
                // A damaged pointer belongs to an identity all the same.
                if !matches!(home.state(&name), Ok(state) if state == IdentityState::default()) {
                    names.push(name);
                }
            }
            Ok(names)
        })
    }

    fn generation(
        &self,
        name: &str,
        what: &str,
        choose: impl Fn(IdentityState) -> Option<u32>,
    ) -> Result<Identity, StoreError> {
        self.chosen(name, what, choose, |home, number| home.load(name, number))
    }

    fn chosen<T>(
        &self,
        name: &str,
        what: &str,
        choose: impl Fn(IdentityState) -> Option<u32>,
        load: impl Fn(&mut Home<'_>, u32) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        check_name(name)?;
        self.reading(|home| {
            let mut number = choose(home.state(name)?).ok_or_else(|| absent(name, &format!("there is no {what}")))?;
            loop {
                let outcome = load(home, number);
                if outcome.is_ok() {
                    return outcome;
                }
                // Another process may have moved on while we were reading.
                match choose(home.state(name)?) {
                    Some(now) if now != number => number = now,
                    _ => return outcome,
                }
            }
        })
    }
}

impl Home<'_> {
    /// Writes the pointer; a generation it was for is removed if the switch certainly did not happen.
    fn switch(&mut self, name: &str, state: IdentityState, generation: u32) -> Result<(), StoreError> {
        let switched = self.write_pointer(name, state);
        if switched.is_err() {
            let names_it =
                |found: IdentityState| [found.current, found.previous, found.pending].contains(&Some(generation));
            if matches!(self.state(name), Ok(found) if !names_it(found)) {
                let _ = self.remove_generation(name, generation).and_then(|()| self.backend.sync());
            }
        }
        switched
    }

    /// What follows a switch and must not make it fail: what stays behind is removed by the next call or by `repair`.
    fn clear_up(&mut self, name: &str, state: IdentityState, key: &NewKey<'_>) {
        let pending = match key {
            NewKey::Pending(label) => self.remove_pending(label),
            _ => Ok(()),
        };
        let _ = pending.and_then(|()| self.sweep(name, state)).and_then(|()| self.backend.sync());
    }

    pub(super) fn only_if_full(&self, error: StoreError) -> Result<(), StoreError> {
        if error.kind == StoreErrorKind::Full { Ok(()) } else { Err(error) }
    }
}

pub(super) fn absent(name: &str, detail: &str) -> StoreError {
    StoreError::not_found(identity_key(name), detail)
}
