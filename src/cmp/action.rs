//! What the owner of an operation is to do next, and what came of it in the end.

use super::info::Information;
use super::issued::Issued;
use super::revoke::{Revocations, Revoked};
use crate::asn1::cmp::BodyType;
use crate::crypto::SignatureAlgorithm;
use crate::prelude::*;
use crate::time::Time;

/// What the owner of an operation is to do next, with what it takes.
#[derive(Clone, Debug)]
pub enum Action<'a> {
    /// Send this to the server and [`Operation::feed`](super::Operation::feed) the answer. In the same state a step answers the same message again.
    Send {
        /// The message, DER.
        message: &'a [u8],
        /// Its body, such as `ir` or `pollReq`.
        body: BodyType,
    },
    /// Step again then; the state can be saved meanwhile.
    Wait {
        /// When.
        until: Time,
        /// Seconds left, as of the last step.
        seconds: u32,
        /// The reasons that the server gave for the delay.
        reason: &'a [String],
    },
    /// Sign this elsewhere and hand in the signature by [`Operation::put_signature`](super::Operation::put_signature).
    Sign(SignRequest),
    /// Look at the certificate, install it, then [`Operation::accept`](super::Operation::accept) or [`Operation::reject`](super::Operation::reject).
    Accept(&'a Issued),
    /// Over, as wished.
    Done(Outcome<'a>),
}

/// What came of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The certificate is issued and confirmed.
    Certificate(&'a Issued),
    /// Of several certificates, each is issued and confirmed, or refused: see
    /// [`Operation::certificates`](super::Operation::certificates).
    Certificates,
    /// The certificate is revoked.
    Revoked(&'a Revoked),
    /// Of several certificates, each is revoked, or the server has said why it is not.
    Revocations(&'a Revocations),
    /// The question is answered.
    Information(&'a Information),
}

/// Which action, without its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// [`Action::Send`].
    Send,
    /// [`Action::Wait`].
    Wait,
    /// [`Action::Sign`].
    Sign,
    /// [`Action::Accept`].
    Accept,
    /// [`Action::Done`].
    Done,
}

impl Action<'_> {
    /// Which.
    pub fn kind(&self) -> ActionKind {
        match self {
            Action::Send { .. } => ActionKind::Send,
            Action::Wait { .. } => ActionKind::Wait,
            Action::Sign(_) => ActionKind::Sign,
            Action::Accept(_) => ActionKind::Accept,
            Action::Done(_) => ActionKind::Done,
        }
    }
}

/// Which key is to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignRole {
    /// The new key: proof of possession.
    NewKey,
    /// The key of the protection certificate.
    Protection,
}

/// What an external key is asked to sign.
#[derive(Clone, Debug)]
pub struct SignRequest {
    /// Which key.
    pub role: SignRole,
    /// How.
    pub algorithm: SignatureAlgorithm,
    /// The message to sign, whole, not its digest.
    pub message: Vec<u8>,
}
