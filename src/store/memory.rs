//! A home in memory: for tests, and for devices that get a new identity at every start.

use zeroize::Zeroizing;

use super::backend::{Backend, key_names};
use super::error::StoreError;
use crate::sorted::Map;

/// Records in a map. Nothing survives the process.
#[derive(Default)]
pub struct MemoryBackend {
    records: Map<String, Zeroizing<Vec<u8>>>,
}

impl MemoryBackend {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for MemoryBackend {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        key_names(key)?;
        Ok(self.records.get(key).cloned())
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        key_names(key)?;
        self.records.insert(key.to_owned(), Zeroizing::new(bytes.to_vec()));
        Ok(())
    }

    fn remove(&mut self, key: &str, _wipe: bool) -> Result<(), StoreError> {
        self.records.remove(key);
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.records.keys().filter(|k| k.starts_with(prefix)).cloned().collect())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
