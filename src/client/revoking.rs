//! Revocation of the certificate of an identity, kept in device memory while the CA lets wait: the CA is asked once, and polled from then
//! on, in whatever process.

use std::sync::Arc;

use super::install::{Destination, Installing};
use super::run::Owner;
use super::way::Client;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::{Certificate, serial_text};
use crate::cmp::{Operation, Request, RevocationRequest, Revoked, SavedOperation};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{Identity, StoreErrorKind};
use crate::transport::Exchange;

impl Client {
    /// rr for the certificate of an identity in device memory: [`Client::revoke`], kept there until the CA has answered. Where the same was
    /// asked for before and the CA lets wait, it is polled, and not asked anew.
    ///
    /// Errors: those of the operation and of device memory; [`Code::State`] if the revocation of another certificate under this name is
    /// unfinished, or of this one for another reason: finish that, or [`abandon`](super::abandon) it; [`Code::Locked`] if somebody else is
    /// in a conversation about this identity.
    pub fn revoke_kept(
        &self,
        to: Destination<'_>,
        (certificate, reason): (&Certificate, CrlReason),
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Revoked, Error> {
        let _alone = to.converse()?;
        let mut operation = self.revoke(certificate, reason)?;
        to.begin(&mut operation, None)?;
        self.complete_bound(to, &mut operation, exchange, owner)?;
        let revoked = operation.revoked().cloned();
        revoked.ok_or_else(|| Error::new(Code::State, "done, and the answer says nothing of a revocation"))
    }

    /// Runs an operation that [`Destination::begin`] or [`Destination::continued`] has prepared, whatever it asks for; what comes of it is
    /// installed, as [`Client::complete_into`] does. `None`: it was a revocation.
    pub fn complete_bound(
        &self,
        to: Destination<'_>,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Option<Identity>, Error> {
        if !matches!(operation.request(), Request::Revocation(_)) {
            return self.complete_into(to, operation, exchange, owner).map(Some);
        }
        let _alone = to.converse()?;
        match self.complete_over(operation, exchange, &mut Installing { to, owner }) {
            Ok(()) => to.finish(operation),
            Err(error) => {
                to.settle(operation, &error)?;
                Err(error)
            }
        }
    }
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
