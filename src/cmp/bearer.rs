//! A signer who is authenticated and may not decide; what it may bring all the same stands in [`super::weighing`].

use super::authority::is_authenticated;
use super::context::Context;
use super::request::Request;
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::time::Time;

/// The signer of an answer who may not decide.
pub(super) struct Bearer {
    /// Its certificate, which has a path to the CMP anchors.
    pub certificate: Certificate,
    /// That path.
    pub path: Vec<Certificate>,
    /// Why it may not decide.
    pub objection: Error,
}

impl Bearer {
    /// The signer, if it may bring anything. Where the owner has said who is to sign, nobody else brings anything either.
    pub fn find(
        context: &Context,
        request: Option<&Request>,
        signer: &Certificate,
        came: &[Certificate],
        now: Time,
        objection: &Error,
    ) -> Option<Self> {
        request?;
        if !context.tolerance.unauthorised_bearer {
            return None;
        }
        let path = is_authenticated(context, signer, came, now)?;
        Some(Bearer { certificate: signer.clone(), path, objection: objection.clone() })
    }
}
