//! What of device memory is damaged, so exactly that it is known again.

use crate::sorted::Map;

/// Which records cannot be read, or are lost, by their places: each with a digest of what is there. `None`: that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage(Map<String, Option<String>>);

impl Damage {
    /// Nothing is known of anything.
    pub fn unknown() -> Self {
        let mut damage = Damage::default();
        damage.add(String::new(), None);
        damage
    }

    /// One more place.
    pub fn add(&mut self, place: String, bytes: Option<String>) {
        self.0.insert(place, bytes);
    }

    /// Whether nothing is damaged that was not, just so, when that other one was seen: a key that was made since is named by none of these.
    pub fn is_within(&self, earlier: &Damage) -> bool {
        self.0.iter().all(|(place, bytes)| bytes.is_some() && earlier.0.get(place) == Some(bytes))
    }
}
