//! Where an operation stands, and what is under way in it.

use alloc::sync::Arc;

use super::info::Information;
use super::issued::Issued;
use super::response::Inbox;
use super::revoke::{Revocations, Revoked};
use super::transaction::Unprotected;
use super::wait::Pause;
use crate::asn1::cmp::BodyType;
use crate::asn1::crmf::{popo_signature, popo_signature_over};
use crate::codes::Code;
use crate::crypto::{CryptoError, PrivateKey, SignatureAlgorithm};
use crate::error::{Error, Facts};
use crate::prelude::*;
use crate::time::Time;

/// What the message under way is, and what will be done with its answer.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    /// The body being sent.
    pub body: BodyType,
    /// Which answer ends this phase.
    pub phase: Phase,
    /// certReqId that is polled for, while polling.
    pub polling: Option<i64>,
}

/// The exchanges of an operation; only an enrolment has the second one, only a KEM key the last.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// The request is out.
    Request,
    /// The certificate is being confirmed.
    Confirmation(Confirming),
    /// Before the request: a secret is being encapsulated to our KEM key.
    Encapsulation,
}

/// What certConf is about.
#[derive(Clone, Debug)]
pub(super) enum Confirming {
    /// The certificate, which is taken, or refused for this reason.
    One(Arc<Issued>, Option<Error>),
    /// What was issued is no certificate, and is refused.
    Unreadable(Error),
    /// Those of several that are decided on: see [`Several`](super::parts::Several).
    Several,
}

impl UnderWay {
    /// The message of a phase that is not delayed.
    pub fn new(body: BodyType, phase: Phase) -> Self {
        UnderWay { body, phase, polling: None }
    }

    /// Whether a certificate is being confirmed, or refused.
    pub fn is_confirming(&self) -> bool {
        matches!(self.phase, Phase::Confirmation(_))
    }

    /// The certificate that is being confirmed.
    pub fn issued(&self) -> Option<&Arc<Issued>> {
        match &self.phase {
            Phase::Confirmation(Confirming::One(issued, _)) => Some(issued),
            _ => None,
        }
    }

    /// Why what was issued is being refused.
    pub fn rejection(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Confirmation(Confirming::One(_, rejection)) => rejection.as_ref(),
            Phase::Confirmation(Confirming::Unreadable(rejection)) => Some(rejection),
            _ => None,
        }
    }
}

/// Why a step does not go on. Who gives up, and who tells the CA that its certificate is refused, comes by [`Halt::from`]: what the device
/// could not do is told from what is wrong with an answer there, and ends nothing.
pub(super) enum Halt {
    /// The operation is over.
    Failed(Error),
    /// What was handed in proves nothing; the operation waits for something better.
    Refused(Error),
    /// The device could not do its part: its key is away. The operation stands where it stood, and the step can be made again.
    Unable(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        match CryptoError::is_device_behind(&error) {
            // It is about no message and breaks no rule.
            true => Halt::Unable(error.with(|facts| *facts = Facts::default())),
            false => Halt::Failed(error),
        }
    }
}

pub(super) enum State {
    /// The transaction is there, and nothing is sent yet.
    Begin,
    /// The server does not know the version of the request: it is made once more with this one.
    OtherVersion(i64),
    /// The new key must sign the CertRequest.
    SignPossession { proof: ToProve, algorithm: SignatureAlgorithm },
    /// The protection key must sign the message.
    SignMessage { unprotected: Unprotected, under_way: UnderWay },
    /// A message is out.
    Sent(Sent),
    /// Nothing is to be done before its time.
    Waiting(Waiting),
    /// A certificate is here and the owner decides.
    Deciding(Arc<Issued>),
    /// The owner has decided.
    Decided { issued: Arc<Issued>, rejection: Option<Error> },
    /// Over, as wished.
    Done(Finished),
    /// Over. A certificate that was issued before is still known.
    Failed { error: Error, issued: Option<Arc<Issued>> },
}

/// A message that is out.
pub(super) struct Sent {
    /// DER.
    pub output: Vec<u8>,
    pub under_way: UnderWay,
    /// Its answer, once it is handed in.
    pub inbox: Option<Inbox>,
    /// The present when it was last handed out to be sent.
    pub asked_at: Option<Time>,
}

impl Sent {
    /// Whether its answer is here, and was looked at in vain because the device could not do its part.
    pub fn holds_answer(&self) -> bool {
        self.inbox.as_ref().is_some_and(|inbox| inbox.is_held)
    }
}

/// A wait.
pub(super) struct Waiting {
    pub pause: Pause,
    /// What was left as of the last step.
    pub seconds: u32,
    pub reason: Vec<String>,
    pub then: Then,
}

/// What follows a wait.
pub(super) enum Then {
    /// The next poll for this certReqId.
    Poll(UnderWay, i64),
    /// Everything is said, and the certificate becomes valid.
    Valid(Arc<Issued>),
}

impl State {
    /// Asks again after that.
    pub fn polling(pause: Pause, reason: Vec<String>, under_way: &UnderWay, cert_req_id: i64) -> Self {
        let under_way = UnderWay { polling: Some(cert_req_id), ..under_way.clone() };
        State::Waiting(Waiting { pause, seconds: 0, reason, then: Then::Poll(under_way, cert_req_id) })
    }

    /// Waits for the time of a certificate.
    pub fn ripening(until: Time, issued: Arc<Issued>) -> Self {
        let reason = vec![issued.valid_from_words()];
        let pause = Pause::saved(until, None);
        State::Waiting(Waiting { pause, seconds: 0, reason, then: Then::Valid(issued) })
    }

    /// The message that is out, is to be signed, or is to be asked about again.
    pub fn under_way(&self) -> Option<&UnderWay> {
        match self {
            State::Sent(Sent { under_way, .. })
            | State::SignMessage { under_way, .. }
            | State::Waiting(Waiting { then: Then::Poll(under_way, _), .. }) => Some(under_way),
            _ => None,
        }
    }

    /// The certificate that is here.
    pub fn issued(&self) -> Option<&Arc<Issued>> {
        match self {
            State::Deciding(issued)
            | State::Decided { issued, .. }
            | State::Waiting(Waiting { then: Then::Valid(issued), .. })
            | State::Done(Finished::Certificate(issued)) => Some(issued),
            State::Failed { issued, .. } => issued.as_ref(),
            _ => self.under_way()?.issued(),
        }
    }

    /// The certificate that is here, to be changed.
    pub fn issued_mut(&mut self) -> Option<&mut Issued> {
        let issued = match self {
            State::Deciding(issued)
            | State::Decided { issued, .. }
            | State::Waiting(Waiting { then: Then::Valid(issued), .. })
            | State::Done(Finished::Certificate(issued)) => issued,
            State::Failed { issued, .. } => issued.as_mut()?,
            State::Sent(Sent { under_way, .. })
            | State::SignMessage { under_way, .. }
            | State::Waiting(Waiting { then: Then::Poll(under_way, _), .. }) => match &mut under_way.phase {
                Phase::Confirmation(Confirming::One(issued, _)) => issued,
                _ => return None,
            },
            _ => return None,
        };
        Some(Arc::make_mut(issued))
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
        key.sign(&algorithm, self.message())
            .map_err(|e| Error::caused_by(Code::Signer, e).context("proof of possession"))
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
    Certificate(Arc<Issued>),
    /// See [`Operation::certificates`].
    Certificates,
    Revoked(Revoked),
    Revocations(Revocations),
    Information(Information),
}
