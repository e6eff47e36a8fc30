//! Revocation of the certificate of an identity, kept in device memory while the CA lets wait: the CA is asked once, and polled from then
//! on, in whatever process.

use super::destination::Destination;
use super::install::Installing;
use super::run::Owner;
use super::way::Client;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::Certificate;
use crate::cmp::{Operation, Request, Revoked};
use crate::codes::Code;
use crate::error::Error;
use crate::store::Identity;
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
