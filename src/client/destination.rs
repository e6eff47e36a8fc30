//! Where an identity is kept, and what is asked about its certificate there: a request for revocation that waits.

use std::sync::Arc;

use crate::asn1::x509::serial_text;
use crate::cmp::{Operation, Request, RevocationRequest, SavedOperation};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{Store, StoreErrorKind};

/// Where an enrolment ends up.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Device memory.
    pub store: &'a Store,
    /// The identity's name there; also the label of its pending key and of its saved operation.
    pub name: &'a str,
    /// What the identity is for, such as `ldevid`.
    pub purpose: &'a str,
}

impl Destination<'_> {
    /// The revocation that is unfinished here, as [`Destination::unfinished`]. `None` if none is.
    ///
    /// Errors: device memory; [`Code::Corrupt`] and [`Code::UnknownVersion`] of the saved form.
    pub fn unfinished_revocation(&self) -> Result<Option<SavedOperation>, Error> {
        match self.store.load_operation(&self.store.label_of_revocation(self.name)?) {
            Ok(saved) => SavedOperation::read(&saved).map(Some),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The label in device memory under which an operation is kept that is bound to this place.
    pub fn label_of(&self, operation: &Operation) -> Result<String, Error> {
        match operation.request() {
            Request::Revocation(_) => Ok(self.store.label_of_revocation(self.name)?),
            _ => Ok(self.name.to_owned()),
        }
    }

    /// A revocation is about to begin. One that waits, of the same certificate and for the same reason, takes its place.
    pub(super) fn begin_revocation(&self, operation: &mut Operation, wanted: &RevocationRequest) -> Result<(), Error> {
        let label = self.label_of(operation)?;
        let _hold = self.store.hold()?;
        let saved = match self.store.load_operation(&label) {
            Ok(saved) => saved,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(self.store.make_ready(self.name)?),
            // What was asked for is not known any more; who has had the certificate revoked is told that by the CA.
            Err(error) if error.is_damage() => return Ok(self.store.remove_operation(&label)?),
            Err(error) => return Err(error.into()),
        };
        match Operation::saved_revocation(&saved) {
            Ok(Some(out)) if is_same(&out, wanted) => {
                *operation = Operation::restore_keyless(Arc::clone(operation.context()), &saved)?;
                Ok(())
            }
            Ok(Some(out)) => Err(self.another_is_out(&out)),
            Ok(None) => Ok(self.store.remove_operation(&label)?),
            Err(error) if error.code() == Code::Corrupt => Ok(self.store.remove_operation(&label)?),
            Err(error) => Err(error),
        }
    }

    fn another_is_out(&self, out: &RevocationRequest) -> Error {
        let words = format!(
            "a request to revoke serial {} of \"{}\" for {} is unfinished: finish or abandon it first",
            serial_text(&out.serial),
            self.name,
            out.reason
        );
        Error::new(Code::State, words)
    }

    /// Gives a revocation up that is unfinished here. The CA is not told. It is no error if there is none.
    pub(super) fn give_revocation_up(&self) -> Result<(), Error> {
        Ok(self.store.remove_operation(&self.store.label_of_revocation(self.name)?)?)
    }
}

fn is_same(out: &RevocationRequest, wanted: &RevocationRequest) -> bool {
    out.is_about(Some(&wanted.issuer), &wanted.serial)
        && (out.reason, out.by_passphrase) == (wanted.reason, wanted.by_passphrase)
}
