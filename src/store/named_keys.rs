//! Keys that device memory only names: opened, made and destroyed by whoever can.

use std::sync::{Arc, PoisonError};

use super::error::{StoreError, StoreErrorKind};
use super::generations::{REFERENCE, from_hex};
use super::identity::{IdentityKey, KeyReference};
use super::opener::{KeyMaker, KeyOpener, open_key};
use super::problem::{Problem, ProblemKind};
use super::{Home, Store};
use crate::asn1::x509::hex;
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;

/// Device memory keeps under this name which keys it does not name any more and could not have destroyed: a public key in hexadecimal
/// and a reference a line.
const FORGOTTEN: &str = "forgotten-keys";
/// Most of them.
const MOST_FORGOTTEN: usize = 32;

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

    /// A new key at a place that a template or the reference of another key names. `None` if nobody makes one there.
    pub fn make_key(&self, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        self.key_maker().map_or(Ok(None), |maker| maker.make(place, kind))
    }

    fn key_maker(&self) -> Option<Arc<dyn KeyMaker>> {
        self.maker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys that device memory only names: of every generation of every identity, and those that are pending.
    pub fn key_references(&self) -> Result<Vec<KeyReference>, StoreError> {
        self.reading(|home| {
            let mut found = Vec::new();
            for place in home.named_keys()? {
                if let IdentityKey::External(reference) = home.load_key(&place)?.key {
                    found.push(reference);
                }
            }
            Ok(found)
        })
    }

    /// Which of these keys are not to be had where they are: by the opener ([`Store::open_keys_with`]), if there is one. Outside the
    /// lock, as tokens take their time.
    pub(super) fn keys_not_to_be_had(&self) -> Result<Vec<Problem>, StoreError> {
        let Some(opener) = self.key_opener() else { return Ok(Vec::new()) };
        let keys: Vec<(String, IdentityKey)> = self.reading(|home| {
            let places = home.named_keys()?;
            // What cannot be read is found by who looks at the records.
            let read = |place: String| home.load_key(&place).ok().map(|record| (place, record.key));
            Ok(places.into_iter().filter_map(read).collect())
        })?;
        let looked_at = |(place, key): (String, IdentityKey)| {
            let IdentityKey::External(reference) = &key else { return None };
            let error = open_key(Some(&opener), &key).err()?;
            let text = format!("the key that it names, {}, is not to be had: {error}", reference.reference);
            Some(Problem::new(ProblemKind::KeyElsewhere, &format!("{place}/{REFERENCE}"), &text))
        };
        Ok(keys.into_iter().filter_map(looked_at).collect())
    }

    /// The same where keys are made anew, else none.
    pub(crate) fn makers_keys(&self) -> Result<Vec<KeyReference>, StoreError> {
        if self.key_maker().is_some() { self.key_references() } else { Ok(Vec::new()) }
    }

    /// Destroys those of the keys that device memory does not name any more and that its maker made: else a token would be
    /// full some day of keys that nobody can use. Returns how many. One that cannot be reached now is remembered, and destroyed in a
    /// later call.
    pub fn destroy_forgotten_keys(&self, candidates: &[KeyReference]) -> Result<usize, Error> {
        let Some(maker) = self.key_maker() else { return Ok(0) };
        let before = self.forgotten_keys()?;
        let all: Vec<&KeyReference> =
            before.iter().chain(candidates.iter().filter(|key| !before.contains(key))).collect();
        if all.is_empty() {
            return Ok(0);
        }
        let named = self.key_references()?;
        let (mut destroyed, mut left) = (0, Vec::new());
        for forgotten in all.into_iter().filter(|candidate| named.iter().all(|n| n.spki != candidate.spki)) {
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
        Ok(destroyed)
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
            Some(KeyReference { reference: reference.to_owned(), spki: from_hex(spki)? })
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

    /// The opener in use.
    pub fn key_opener(&self) -> Option<KeyOpener> {
        self.opener.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A key that signs: the one that device memory holds, or the one that it names, opened. `None` if nobody opens it.
    ///
    /// Errors: the opener's; [`Code::KeyMismatch`](crate::Code::KeyMismatch) if another key than the one kept is there now.
    pub fn open_key(&self, key: &IdentityKey) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        open_key(self.key_opener().as_ref(), key)
    }
}

impl Home<'_> {
    /// Where keys are named: generations, and keys that are pending.
    fn named_keys(&mut self) -> Result<Vec<String>, StoreError> {
        let mut places = Vec::new();
        for folder in ["identity/", "pending/"] {
            let keys = self.backend.list(folder)?;
            places
                .extend(keys.iter().filter_map(|key| Some(key.strip_suffix(REFERENCE)?.strip_suffix('/')?.to_owned())));
        }
        Ok(places)
    }
}
