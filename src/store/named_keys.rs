//! Keys that device memory only names: opened, made and destroyed by whoever can.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use super::Store;
use super::damage::Damage;
use super::error::{StoreError, StoreErrorKind};
use super::generations::{REFERENCE, from_hex, identity_key};
use super::named::Named;
use super::opener::{KeyMaker, KeyOpener, Missed, Seen, open_key, usable_key};
use super::problem::{Problem, ProblemKind};
use crate::asn1::x509::hex;
use crate::codes::Code;
use crate::crypto::{KeyKind, KeyReference, PrivateKey, Signer};
use crate::error::Error;

/// Device memory keeps under this name which keys it does not name any more and could not have destroyed: a public key in hexadecimal
/// and a reference a line.
const FORGOTTEN: &str = "forgotten-keys";
/// Most of them.
const MOST_FORGOTTEN: usize = 32;
/// Under this name stands which keys are about to be made: an identity and the words of its key a line.
const ANNOUNCED: &str = "announced-keys";
/// How long what was found of the keys in use is not looked for again, in a process.
const LOOKED_AT_SECONDS: u64 = 86_400;

impl Store {
    /// Says how keys are opened that device memory only names. Nothing is opened before the key is needed: by
    /// [`Store::open_key`], an enrolment that is resumed, a renewal. It replaces an earlier opener.
    pub fn open_keys_with(&self, opener: KeyOpener) {
        let earlier = self.opener.lock().unwrap_or_else(PoisonError::into_inner).replace(opener);
        // Its end may be the program's code, and that may call the store: the lock is open by now.
        drop(earlier);
    }

    /// Says who makes keys that device memory only names: the next key of an identity is then where the last one was. It
    /// replaces an earlier maker.
    pub fn make_keys_with(&self, maker: Arc<dyn KeyMaker>) {
        let earlier = self.maker.lock().unwrap_or_else(PoisonError::into_inner).replace(maker);
        drop(earlier);
    }

    /// A new key for the identity `name`, at a place that a template or the reference of another key names. `None` if nobody makes one there.
    ///
    /// Where its home can say before how it will be called, that is written down first: whoever dies before device memory names the key
    /// leaves none behind, as the identity's next renewal destroys it.
    pub fn make_key(&self, name: &str, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        let Some(maker) = self.key_maker() else { return Ok(None) };
        let made = match maker.announce(place)? {
            None => maker.make(place, kind),
            Some(words) => {
                self.announce_key(name, &words)?;
                maker.make_announced(&words, kind).map(Some)
            }
        };
        made.inspect_err(|_| self.key_has_failed())
    }

    /// Adds a key to those that are about to be made. Those that generations in use name by now are no longer among them. A record that cannot
    /// be read, whosever it is, stops no key: what it may name stays announced.
    fn announce_key(&self, name: &str, words: &str) -> Result<(), Error> {
        let _hold = self.hold()?;
        let named = self.named();
        let mut announced = self.announced_keys().unwrap_or_default();
        self.note_made(words, named.damage());
        announced.retain(|(_, words)| !named.is_settled(words));
        announced.push((name.to_owned(), words.to_owned()));
        announced.drain(..announced.len().saturating_sub(MOST_FORGOTTEN));
        Ok(self.keep_announced_keys(&announced)?)
    }

    fn note_made(&self, words: &str, damage: &Damage) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push((words.to_owned(), damage.clone()));
        let surplus = made.len().saturating_sub(MOST_FORGOTTEN);
        made.drain(..surplus);
    }

    /// Whether a key that no record names which can be read is named by none that cannot, either: each of these is what it was before this
    /// process has made the key.
    fn is_named_by_none(&self, words: &str, named: &Named) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().any(|(of, before)| of == words && named.damage().is_within(before))
    }

    /// Destroys the keys that were about to be made for an identity and that device memory does not name: for who is in its conversation, so
    /// that nobody else is making one. Returns how many. One that cannot be reached now is destroyed in a later call; none while a record that
    /// may name it cannot be read.
    pub(crate) fn destroy_announced_keys(&self, name: &str) -> Result<usize, Error> {
        let announced = self.announced_keys()?;
        let Some(maker) = self.key_maker().filter(|_| announced.iter().any(|(of, _)| of == name)) else { return Ok(0) };
        let named = self.named();
        let whole = named.check_whole();
        let (mut destroyed, mut done) = (0, Vec::new());
        for (of, words) in announced.iter().filter(|(of, _)| of == name) {
            if named.is_settled(words) {
                done.push((of.clone(), words.clone()));
                continue;
            }
            let may_be_named = whole.is_err() && !self.is_named_by_none(words, &named);
            if may_be_named || named.found().any(|key| key.reference == *words) {
                continue;
            }
            match maker.destroy_announced(words) {
                Ok(is_destroyed) => {
                    destroyed += usize::from(is_destroyed);
                    done.push((of.clone(), words.clone()));
                }
                Err(_) => self.key_has_failed(),
            }
        }
        self.withdraw(|one| done.contains(one))?;
        Ok(whole.map(|()| destroyed)?)
    }

    /// The key of an identity that has come into use is no longer among those that are about to be made: whatever becomes of its record later,
    /// it is not one that nobody knows.
    pub(super) fn settle_announced_key(&self, key: &Signer) -> Result<(), StoreError> {
        match key {
            Signer::Deferred(key) => self.withdraw(|(_, words)| *words == key.reference),
            Signer::Key(_) => Ok(()),
        }
    }

    fn withdraw(&self, is_done: impl Fn(&(String, String)) -> bool) -> Result<(), StoreError> {
        if !self.announced_keys()?.iter().any(&is_done) {
            return Ok(());
        }
        let _hold = self.hold()?;
        let mut left = self.announced_keys()?;
        left.retain(|one| !is_done(one));
        self.keep_announced_keys(&left)
    }

    fn announced_keys(&self) -> Result<Vec<(String, String)>, StoreError> {
        let kept = match self.blob(ANNOUNCED) {
            Ok(kept) => kept,
            Err(error) if error.is_of_no_use() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let text = std::str::from_utf8(&kept).unwrap_or_default();
        let line = |line: &str| line.split_once(' ').map(|(name, words)| (name.to_owned(), words.to_owned()));
        Ok(text.lines().filter_map(line).collect())
    }

    fn keep_announced_keys(&self, keys: &[(String, String)]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return self.remove_blob(ANNOUNCED);
        }
        let lines: String = keys.iter().map(|(name, words)| format!("{name} {words}\n")).collect();
        self.put_blob(ANNOUNCED, lines.as_bytes())
    }

    /// Says what is done when a key that device memory names could not be had.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn after_failed_keys(&self, then: Arc<dyn Fn(&Store) + Send + Sync>) {
        let earlier = self.on_failed_key.lock().unwrap_or_else(PoisonError::into_inner).replace(then);
        drop(earlier);
    }

    fn key_has_failed(&self) {
        let then = self.on_failed_key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(then) = then {
            then(self);
        }
    }

    /// That the key of an identity in use is gone from its home, as far as a look tells that asks for nothing secret: the first of a process,
    /// and one a day.
    pub(crate) fn missed_key(&self, name: &str) -> Result<Option<Problem>, StoreError> {
        let Some(maker) = self.key_maker() else { return Ok(None) };
        let place = self.reading(|home| {
            let number = home.state(name)?.current;
            Ok(number.map(|number| format!("{}/gen-{number:06}", identity_key(name))))
        })?;
        let Some(place) = place else { return Ok(None) };
        // What cannot be read is found by who looks at the records.
        let Ok(Signer::Deferred(reference)) = self.reading(|home| Ok(home.load_key(&place)?.key)) else {
            return Ok(None);
        };
        if let Some((of, at, found)) = self.missed().get(name) {
            if *of == reference && at.elapsed().as_secs() < LOOKED_AT_SECONDS {
                return Ok(found.clone());
            }
        }
        // Whoever looks may be the program's code: no lock is held.
        let is_gone = maker.look(&reference).is_ok_and(|seen| seen == Seen::Gone);
        let found = is_gone.then(|| gone(&place, &reference));
        self.missed().insert(name.to_owned(), (reference, Instant::now(), found.clone()));
        Ok(found)
    }

    /// Whether it is certain that the key of an identity in use, which could not be opened, is not just away: its home is there and shows that.
    #[cfg(all(feature = "settings", unix))]
    pub(crate) fn can_see_home_of_key(&self, name: &str) -> bool {
        let Ok(Signer::Deferred(reference)) = self.current(name).map(|identity| identity.key) else {
            return false;
        };
        let looked = self.key_maker().map(|maker| maker.look(&reference));
        looked.is_some_and(|looked| looked.is_ok_and(|seen| seen != Seen::Untold))
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_maker(&self) -> Option<Arc<dyn KeyMaker>> {
        self.maker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys that device memory only names: of every generation of every identity, and those that are pending.
    pub fn key_references(&self) -> Result<Vec<KeyReference>, StoreError> {
        let named = self.named();
        named.check_read()?;
        Ok(named.found().cloned().collect())
    }

    fn named(&self) -> Named {
        self.reading(|home| home.named()).unwrap_or_else(Named::nothing_read)
    }

    /// Which of these keys are not to be had where they are: by a look that asks for nothing secret, or else by the opener
    /// ([`Store::open_keys_with`]), if there is one. Outside the lock, as tokens take their time.
    pub(super) fn keys_not_to_be_had(&self) -> Result<Vec<Problem>, StoreError> {
        let Some(opener) = self.key_opener() else { return Ok(Vec::new()) };
        let looked_at = |(place, reference): (String, KeyReference)| {
            match self.key_maker().map_or(Ok(Seen::Untold), |maker| maker.look(&reference)) {
                Ok(Seen::There) => return None,
                Ok(Seen::Gone) => return Some(gone(&place, &reference)),
                Ok(Seen::Untold) | Err(_) => {}
            }
            let error = open_key(Some(&opener), &Signer::Deferred(reference.clone())).err()?;
            let text = format!("the key that it names, {}, is not to be had: {error}", reference.reference);
            Some(Problem::new(ProblemKind::KeyElsewhere, &format!("{place}/{REFERENCE}"), &text))
        };
        Ok(self.places_of_keys()?.into_iter().filter_map(looked_at).collect())
    }

    /// Which keys that look as if they were there do not open, as their private half alone is gone: for who may log in. What a home refuses for
    /// another reason, such as a PIN, is not told here.
    pub fn keys_that_do_not_open(&self) -> Result<Vec<Problem>, StoreError> {
        let Some((opener, maker)) = self.key_opener().zip(self.key_maker()) else { return Ok(Vec::new()) };
        let is_shown = |reference: &KeyReference| maker.look(reference).is_ok_and(|seen| seen == Seen::There);
        let is_bereft = |(place, reference): (String, KeyReference)| {
            let key = Signer::Deferred(reference.clone());
            let is_gone = is_shown(&reference)
                && open_key(Some(&opener), &key).is_err_and(|error| error.code() == Code::NotFound);
            is_gone.then(|| gone(&place, &reference))
        };
        Ok(self.places_of_keys()?.into_iter().filter_map(is_bereft).collect())
    }

    /// The places of keys that are only named, as far as they can be read: what cannot is found by who looks at the records.
    fn places_of_keys(&self) -> Result<Vec<(String, KeyReference)>, StoreError> {
        self.reading(|home| {
            let mut found = Vec::new();
            for place in home.named_keys()? {
                if let Ok(Signer::Deferred(reference)) = home.load_key(&place).map(|record| record.key) {
                    found.push((place, reference));
                }
            }
            Ok(found)
        })
    }

    /// The keys that device memory only names, as far as its records can be read, where keys are made anew; else none.
    pub(crate) fn makers_keys(&self) -> Vec<KeyReference> {
        if self.key_maker().is_some() { self.named().found().cloned().collect() } else { Vec::new() }
    }

    /// Destroys those of the keys that device memory does not name any more and that its maker made: else a token would be
    /// full some day of keys that nobody can use. Returns how many. One that cannot be reached now is remembered, and destroyed in a
    /// later call; so are all while a record that may name them cannot be read, which is the error then.
    pub fn destroy_forgotten_keys(&self, candidates: &[KeyReference]) -> Result<usize, Error> {
        let Some(maker) = self.key_maker() else { return Ok(0) };
        let before = self.forgotten_keys()?;
        let all: Vec<&KeyReference> =
            before.iter().chain(candidates.iter().filter(|key| !before.contains(key))).collect();
        if all.is_empty() {
            return Ok(0);
        }
        let named = self.named();
        let whole = named.check_whole();
        let (mut destroyed, mut left) = (0, Vec::new());
        for forgotten in all.into_iter().filter(|candidate| named.found().all(|n| n.spki != candidate.spki)) {
            if whole.is_err() && !self.is_named_by_none(&forgotten.reference, &named) {
                left.push(forgotten.clone());
                continue;
            }
            match maker.destroy(forgotten) {
                Ok(is_destroyed) => destroyed += usize::from(is_destroyed),
                Err(_) => left.push(forgotten.clone()),
            }
        }
        // The newest ones, where there are more than are ever expected.
        left.drain(..left.len().saturating_sub(MOST_FORGOTTEN));
        if left != before {
            self.keep_forgotten_keys(&left)?;
        }
        Ok(whole.map(|()| destroyed)?)
    }

    /// Keys that device memory named once, and that could not be destroyed yet.
    fn forgotten_keys(&self) -> Result<Vec<KeyReference>, StoreError> {
        let kept = match self.blob(FORGOTTEN) {
            Ok(kept) => kept,
            // At worst keys stay in a token that nobody needs.
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let text = std::str::from_utf8(&kept).unwrap_or_default();
        let key = |line: &str| {
            let (spki, reference) = line.split_once(' ')?;
            KeyReference::new(reference, from_hex(spki)?).ok()
        };
        Ok(text.lines().filter_map(key).collect())
    }

    fn keep_forgotten_keys(&self, keys: &[KeyReference]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return self.remove_blob(FORGOTTEN);
        }
        let lines: String = keys.iter().map(|key| format!("{} {}\n", hex(&key.spki), key.reference)).collect();
        self.put_blob(FORGOTTEN, lines.as_bytes())
    }

    /// The opener in use. Who keeps it does not keep device memory; while somebody does, that remembers what a failure teaches, such as a PIN
    /// that a token has refused.
    pub fn key_opener(&self) -> Option<KeyOpener> {
        let opener = self.opener.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let memory = self.downgrade();
        Some(Arc::new(move |reference: &KeyReference| {
            opener(reference).inspect_err(|_| {
                if let Some(store) = memory.upgrade() {
                    store.key_has_failed();
                }
            })
        }))
    }

    /// A key that signs: the one that device memory holds, or the one that it names, opened. `None` if nobody opens it.
    ///
    /// Errors: the opener's; [`Code::KeyMismatch`] if another key than the one kept is there now.
    pub fn open_key(&self, key: &Signer) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        open_key(self.key_opener().as_ref(), key)
    }

    /// The key as it can be used now: see [`usable_key`].
    pub fn usable_key(&self, key: &Signer) -> Result<Signer, Error> {
        usable_key(self.key_opener().as_ref(), key)
    }
}

fn gone(place: &str, reference: &KeyReference) -> Problem {
    let text = format!(
        "the key that it names, {}, is not seen in its home any more: unless it opens all the same, the identity signs nothing; `devid renew --now` gets a new one, where it does not open by the other credential (ca.login)",
        reference.reference
    );
    Problem::new(ProblemKind::KeyElsewhere, &format!("{place}/{REFERENCE}"), &text)
}
