//! Whether the program behind an identity has succeeded for the certificate in use. It is whoever keeps the device that runs it.

use super::Device;
use crate::asn1::x509::hex;
use crate::crypto::{DigestAlgorithm, default_provider};
use crate::error::Error;
use crate::store::StoreErrorKind;

impl Device {
    /// Whether `hooks.changed` is to be run: the settings name it, and for the certificate in use it has not succeeded yet.
    ///
    /// Errors: device memory cannot be read.
    pub fn is_changed_due(&self, name: &str) -> Result<bool, Error> {
        let Some((label, content)) = self.changed_mark(name)? else { return Ok(false) };
        Ok(!self.store.blob(&label).is_ok_and(|kept| kept.as_slice() == content))
    }

    /// Remembers that it has succeeded.
    ///
    /// Errors: device memory cannot be written.
    pub fn note_changed(&self, name: &str) -> Result<(), Error> {
        match self.changed_mark(name)? {
            Some((label, content)) => Ok(self.store.put_blob(&label, &content)?),
            None => Ok(()),
        }
    }

    /// Name and content of what is remembered; `None` where there is no program, or no identity.
    fn changed_mark(&self, name: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
        if self.settings.hooks.changed.is_empty() {
            return Ok(None);
        }
        let current = match self.store.in_use(name) {
            Ok(current) => current,
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let provider = default_provider();
        let digest = |part: &[u8]| provider.digest(DigestAlgorithm::Sha256, &[part]);
        let label = format!("changed-{}", hex(&digest(name.as_bytes())?[..8]));
        Ok(Some((label, hex(&digest(current.certificate.as_der())?).into_bytes())))
    }
}
