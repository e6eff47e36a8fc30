//! What a request that is out was begun with: that stays, or is known to be lost.

use super::error::{StoreError, StoreErrorKind};
use super::generations::Home;
use super::identity::IdentityState;
use super::record::OPERATION;
use crate::cmp::{SavedCredential, SavedOperation};

impl Home<'_> {
    /// Whether a saved operation was begun with this generation's certificate, or may have been, where that cannot be read and no other
    /// generation has it. Whoever polls must be who asked (RFC 9483 section 4.4), whatever else of the generation is lost; and where
    /// it is the key that is lost, what is left tells that nobody can.
    pub fn is_waited_for(&mut self, name: &str, number: u32, state: IdentityState) -> Result<bool, StoreError> {
        // One that was never named was never used to ask for anything.
        if number > self.last_number(name, state)? && self.has_pointer(name)? {
            return Ok(false);
        }
        let saved = match self.load_blob(OPERATION, name) {
            Ok(saved) => saved,
            Err(error) if error.is_damage() || error.kind == StoreErrorKind::NotFound => return Ok(false),
            // A newer version of the library knows by whom it was begun, and may come back.
            Err(error) if error.kind == StoreErrorKind::Version => return Ok(true),
            Err(error) => return Err(error),
        };
        let Ok(SavedOperation { credential, .. }) = SavedOperation::read(&saved) else { return Ok(false) };
        match self.is_credential_of(&credential, name, number)? {
            Some(is_its_own) => Ok(is_its_own),
            None if !matches!(credential, SavedCredential::Certificate(_)) => Ok(false),
            None => {
                for other in self.numbers(name)? {
                    if self.is_credential_of(&credential, name, other)? == Some(true) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether this is the credential of a generation; `None`: its certificate cannot be read any more.
    fn is_credential_of(
        &mut self,
        credential: &SavedCredential,
        name: &str,
        number: u32,
    ) -> Result<Option<bool>, StoreError> {
        match self.load_certificate(name, number) {
            Ok(certificate) => Ok(SavedCredential::of_certificate(certificate.as_der(), &**self.provider)
                .ok()
                .map(|own| own == *credential)),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether nobody has this credential any more who had it as a generation of this identity: its key is lost, or the certificate of
    /// a generation is, and it is of none that is left. For who knows that nobody else has it.
    pub fn has_lost(&mut self, name: &str, credential: &SavedCredential) -> Result<bool, StoreError> {
        if !matches!(credential, SavedCredential::Certificate(_)) {
            return Ok(false);
        }
        let mut is_unreadable = false;
        for number in self.numbers(name)? {
            match self.is_credential_of(credential, name, number)? {
                Some(true) => return Ok(self.load_pair(name, number).is_err_and(|error| error.is_damage())),
                Some(false) => {}
                None => is_unreadable = true,
            }
        }
        Ok(is_unreadable)
    }
}
