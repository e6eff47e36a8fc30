//! Which keys the records of device memory name, and whether that is all of them.

use super::Home;
use super::damage::Damage;
use super::error::StoreError;
use super::generations::{HELD, REFERENCE, generation_number, identity_key};
use super::record::digest_hex;
use super::repair::identity_names;
use crate::crypto::{KeyReference, Signer};
use crate::sorted::Set;

/// The keys that device memory only names, as far as its records can be read. Who adds a key goes by those that are found; who destroys one
/// asks first whether they are all.
#[derive(Default)]
pub(super) struct Named {
    /// With whether a generation names it that is in use, or the one before.
    found: Vec<(KeyReference, bool)>,
    /// A record that cannot be read.
    unread: Option<StoreError>,
    /// A generation that has lost its key, or a pointer that cannot be read.
    lost: Option<StoreError>,
    damage: Damage,
}

impl Named {
    pub fn nothing_read(error: StoreError) -> Self {
        let damage = Damage::unknown();
        Named { unread: Some(error), damage, ..Named::default() }
    }

    /// What of it is damaged.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// Those that can be read.
    pub fn found(&self) -> impl Iterator<Item = &KeyReference> {
        self.found.iter().map(|(key, _)| key)
    }

    /// Whether a pointer stands on a generation that names this: it is no key any more that was about to be made.
    pub fn is_settled(&self, reference: &str) -> bool {
        self.found.iter().any(|(key, is_settled)| *is_settled && key.reference == reference)
    }

    /// All records could be read.
    pub fn check_read(&self) -> Result<(), StoreError> {
        self.unread.clone().map_or(Ok(()), Err)
    }

    /// A key that is not found is named by nobody: each record could be read, and each generation has its key. Else it may be the one in use.
    pub fn check_whole(&self) -> Result<(), StoreError> {
        self.check_read()?;
        self.lost.clone().map_or(Ok(()), Err)
    }
}

impl Home<'_> {
    /// All that generations and pending keys name.
    pub fn named(&mut self) -> Result<Named, StoreError> {
        let mut named = Named::default();
        let records = self.backend.list("identity/")?;
        let (mut settled, mut wanted) = (Set::new(), Set::new());
        for name in identity_names(&records) {
            let place = |number: u32| format!("{}/gen-{number:06}", identity_key(&name));
            match self.state(&name) {
                Ok(state) => {
                    settled.extend([state.current, state.previous].into_iter().flatten().map(place));
                    wanted.extend(state.pending.map(place));
                }
                Err(error) => {
                    let key = identity_key(&name);
                    let bytes = ["current", "current.copy"].map(|file| self.digest_of(&format!("{key}/{file}")));
                    named.damage.add(key, bytes.into_iter().collect::<Option<Vec<_>>>().map(|all| all.concat()));
                    named.lost = Some(error);
                }
            }
        }
        wanted.extend(settled.iter().cloned());
        let is_generation = |place: &str| place.rsplit('/').next().and_then(generation_number).is_some();
        let places = records.iter().filter_map(|record| Some(record.rsplit_once('/')?.0));
        wanted.extend(places.filter(|place| is_generation(place)).map(str::to_owned));
        for place in wanted {
            let has = |file: &str| records.contains(&format!("{place}/{file}"));
            if !has(HELD) && !has(REFERENCE) {
                named.damage.add(place.clone(), Some(String::new()));
                named.lost = Some(StoreError::corrupt(place, "neither key.pem nor key.ref is there"));
            }
        }
        for place in self.named_keys()? {
            match self.load_key(&place) {
                Ok(record) => {
                    if let Signer::Deferred(reference) = record.key {
                        named.found.push((reference, settled.contains(&place)));
                    }
                }
                Err(error) => {
                    let bytes = self.digest_of(&format!("{place}/{REFERENCE}"));
                    named.damage.add(place, bytes);
                    named.unread = Some(error);
                }
            }
        }
        Ok(named)
    }

    /// Of the bytes of a record, whatever they say; `None` where they cannot be had.
    fn digest_of(&mut self, record: &str) -> Option<String> {
        let bytes = self.backend.read(record).ok()?.unwrap_or_default();
        digest_hex(&**self.provider, &[&bytes]).ok()
    }

    /// Where keys are named: generations, and keys that are pending.
    pub fn named_keys(&mut self) -> Result<Vec<String>, StoreError> {
        let mut places = Vec::new();
        for folder in ["identity/", "pending/"] {
            let keys = self.backend.list(folder)?;
            places
                .extend(keys.iter().filter_map(|key| Some(key.strip_suffix(REFERENCE)?.strip_suffix('/')?.to_owned())));
        }
        Ok(places)
    }
}
