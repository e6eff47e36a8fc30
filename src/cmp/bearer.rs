//! A signer who is authenticated and may not decide; what it may bring all the same stands in [`super::weighing`].

use super::authority::is_authenticated;
use super::context::Trust;
use super::request::Request;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, KeyIdentity, Provider};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

/// Signers without authority that are known from before, by their keys.
///
/// A neighbour on the way can put the CA's certificate under its own signature, keep certConf to itself and say pkiConf: from a
/// signer without authority that nobody has met before, this cannot be told from the CA's own. So nobody gives up the identity
/// in use for the word of one that is not known: it is confirmed by who may decide, or by a signer that was there before.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownBearers {
    /// SHA-256 of their SubjectPublicKeyInfo in the usual form.
    pub keys: Vec<[u8; 32]>,
    /// Whether nobody else brings anything: for questions whose being answered is evidence.
    pub alone: bool,
}

impl KnownBearers {
    /// Whether this signer is known.
    pub fn contains(&self, provider: &dyn Provider, signer: &Certificate) -> bool {
        !self.keys.is_empty() && Self::key_of(provider, signer).is_ok_and(|key| self.keys.contains(&key))
    }

    /// What a signer is known by.
    pub fn key_of(provider: &dyn Provider, signer: &Certificate) -> Result<[u8; 32], Error> {
        let digest = provider.digest(DigestAlgorithm::Sha256, &[&KeyIdentity::of(signer).as_spki()])?;
        <[u8; 32]>::try_from(&*digest).map_err(|_| Error::new(Code::Algorithm, "a SHA-256 digest of another length"))
    }
}

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
        context: &Trust<'_>,
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
