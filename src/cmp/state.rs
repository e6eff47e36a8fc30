//! Where an operation stands, and what is under way in it.

use alloc::sync::Arc;

use super::info::Information;
use super::response::Inbox;
use super::revoke::{Revocations, Revoked};
use super::transaction::Unprotected;
use crate::asn1::cmp::BodyType;
use crate::asn1::crmf::{popo_signature, popo_signature_over};
use crate::codes::Code;
use crate::crypto::{PrivateKey, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

/// What the message under way is, and what will be done with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    /// The body being sent.
    pub body: BodyType,
    /// Which answer ends this phase.
    pub phase: Phase,
    /// certReqId that is polled for, while polling.
    pub polling: Option<i64>,
}

/// The exchanges of an operation; only an enrolment has the second one, only a KEM key the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The request is out.
    Request,
    /// The certificate is being confirmed.
    Confirmation,
    /// Before the request: a secret is being encapsulated to our KEM key.
    Encapsulation,
    /// Everything is said, and the certificate is not valid yet.
    Validity,
}

/// Why a step does not go on.
pub(super) enum Halt {
    /// The operation is over.
    Failed(Error),
    /// What was handed in proves nothing; the operation waits for something better.
    Refused(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

pub(super) enum State {
    /// Nothing sent yet.
    Begin,
    /// The new key must sign the CertRequest.
    SignPossession { proof: ToProve, algorithm: SignatureAlgorithm },
    /// The protection key must sign the message.
    SignMessage { unprotected: Unprotected, under_way: UnderWay },
    /// A message is out; its answer, once it is handed in.
    Sent { output: Vec<u8>, under_way: UnderWay, inbox: Option<Inbox> },
    /// The server asked to wait before the next poll.
    Waiting { until: Time, seconds: u32, reason: Vec<String>, under_way: UnderWay },
    /// A certificate is here and the owner decides.
    Deciding,
    /// The owner has decided.
    Decided { rejection: Option<Error> },
    /// Over, as wished.
    Done(Finished),
    /// Over.
    Failed(Error),
}

impl State {
    pub fn waiting(until: Time, reason: Vec<String>, under_way: UnderWay) -> Self {
        State::Waiting { until, seconds: 0, reason, under_way }
    }
}

/// The request whose key is to be proved, and what its signature is over.
pub(super) struct ToProve {
    /// CertRequest, DER.
    pub cert_request: Vec<u8>,
    /// POPOSigningKeyInput, DER, where the request says not whose it is.
    pub input: Option<Vec<u8>>,
}

impl ToProve {
    /// RFC 4211 section 4.1: poposkInput if it is there, else the request.
    pub fn message(&self) -> &[u8] {
        self.input.as_ref().unwrap_or(&self.cert_request)
    }

    /// By a key that signs here.
    pub fn sign(&self, key: &Arc<dyn PrivateKey>, algorithm: SignatureAlgorithm) -> Result<Vec<u8>, Error> {
        key.sign(&algorithm, self.message()).map_err(|e| Error::new(Code::Signer, format!("proof of possession: {e}")))
    }

    /// ProofOfPossession with this signature, DER.
    pub fn signed(&self, algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        let algorithm = algorithm.to_der();
        match &self.input {
            Some(input) => popo_signature_over(input, &algorithm, signature),
            None => popo_signature(&algorithm, signature),
        }
    }
}

/// What came of an operation.
pub(super) enum Finished {
    /// See [`Operation::issued`].
    Certificate,
    /// See [`Operation::certificates`].
    Certificates,
    Revoked(Revoked),
    Revocations(Revocations),
    Information(Information),
}
