//! The operation: a state machine that is stepped by its owner.
//!
//! ```text
//!            +--------- Sign <-> signature() ---------+
//!            v                                        |
//!  begin -> build ir/cr/kur -> Send -> feed() -> check answer -> waiting? -> Wait -> build pollReq -> Send ...
//!                                                     |
//!                                                     v
//!                             Accept -> accept()/reject() -> build certConf -> Send -> feed() -> pkiConf -> Done
//! ```
//!
//! A step never blocks, never sleeps, reads no clock and starts no thread. A failure ends the operation for good; every
//! later step answers the same error (RFC 9483 section 3.6.1). An end entity never sends error messages.

use std::sync::Arc;

use super::context::{Context, Credential};
use super::issued::{self, Issued};
use super::request::{CertificateRequest, RequestKind, Signer};
use super::response::{self, Checked, ProtectedBy, refusal};
use super::transaction::{Transaction, Unprotected};
use crate::asn1::cmp::{
    BodyType, CertOrEncCert, CertRepMessage, CertStatus, PkiBody, PkiStatus, PkiStatusInfo, PollRep, poll,
};
use crate::asn1::crmf;
use crate::asn1::der::sequence;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::keys::same_public_key;
use crate::error::Error;
use crate::time::Time;

/// What the owner of an operation is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send [`Operation::output`] to the server and [`Operation::feed`] the answer.
    Send,
    /// Step again after [`Operation::wait_seconds`]; the state can be saved meanwhile.
    Wait,
    /// Sign [`Operation::to_sign`] elsewhere and hand in [`Operation::signature`].
    Sign,
    /// Look at [`Operation::issued`], install it, then [`Operation::accept`] or [`Operation::reject`].
    Accept,
    /// The certificate is issued and confirmed.
    Done,
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

/// The two exchanges of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The certificate is asked for.
    Certificate,
    /// The certificate is being confirmed.
    Confirmation,
}

pub(super) enum State {
    /// Nothing sent yet.
    Begin,
    /// The new key must sign the CertRequest.
    SignPossession { cert_request: Vec<u8> },
    /// The protection key must sign the message.
    SignMessage { unprotected: Unprotected, under_way: UnderWay },
    /// A message is out.
    Sent { output: Vec<u8>, under_way: UnderWay },
    /// The server asked to wait before the next poll.
    Waiting { until: Time, under_way: UnderWay },
    /// A certificate is here and the owner decides.
    Deciding,
    /// The owner has decided.
    Decided { rejection: Option<Error> },
    /// Issued and confirmed.
    Done,
    /// Over.
    Failed(Error),
}

/// One enrolment: from the request to the confirmed certificate.
pub struct Operation {
    pub(super) context: Arc<Context>,
    pub(super) request: CertificateRequest,
    pub(super) transaction: Option<Transaction>,
    pub(super) state: State,
    pub(super) inbox: Option<Vec<u8>>,
    pub(super) polls: u32,
    pub(super) wait_seconds: u32,
    pub(super) wait_reason: Vec<String>,
    pub(super) issued: Option<Issued>,
    /// Why the certificate is being refused, while certConf says so.
    pub(super) rejection: Option<Error>,
}

impl Operation {
    /// Begins an enrolment. Nothing is sent or signed before the first step.
    ///
    /// Errors: the request or the settings contradict themselves or RFC 9483.
    pub fn new(context: Arc<Context>, request: CertificateRequest) -> Result<Self, Error> {
        request.check()?;
        check_context(&context)?;
        if context.enrolment_anchors.is_empty() && !context.accept_ca_pubs {
            let words = "no enrolment anchors: nothing could say whether the issued certificate is the right CA's";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        Ok(Operation {
            context,
            request,
            transaction: None,
            state: State::Begin,
            inbox: None,
            polls: 0,
            wait_seconds: 0,
            wait_reason: Vec::new(),
            issued: None,
            rejection: None,
        })
    }

    /// Moves on as far as possible without the owner. Never blocks. `now` is the present.
    ///
    /// A step in the same state answers the same action: after [`Action::Send`] without an answer the message can be
    /// sent again. Errors end the operation and are answered again by every later step.
    pub fn step(&mut self, now: Time) -> Result<Action, Error> {
        loop {
            match self.advance(now) {
                Ok(Some(action)) => return Ok(action),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Hands in the server's answer; the next step looks at it.
    ///
    /// Errors: no message is under way (the bytes are dropped, the operation goes on), or the answer is above the limit.
    pub fn feed(&mut self, answer: &[u8]) -> Result<(), Error> {
        if !matches!(self.state, State::Sent { .. }) {
            return Err(Error::new(Code::State, "an answer was fed, but no message is under way"));
        }
        let most = self.context.limits.max_message_bytes;
        if answer.len() > most {
            let words = format!("the answer has {} bytes, the limit is {most}", answer.len());
            return Err(Error::new(Code::TooLarge, words));
        }
        self.inbox = Some(answer.to_vec());
        Ok(())
    }

    /// The message to send, DER; after [`Action::Send`].
    pub fn output(&self) -> Option<&[u8]> {
        match &self.state {
            State::Sent { output, .. } => Some(output),
            _ => None,
        }
    }

    /// The body of the message to send, such as `ir` or `pollReq`.
    pub fn output_body(&self) -> Option<BodyType> {
        match &self.state {
            State::Sent { under_way, .. } => Some(under_way.body),
            _ => None,
        }
    }

    /// Seconds to wait, after [`Action::Wait`].
    pub fn wait_seconds(&self) -> u32 {
        self.wait_seconds
    }

    /// The server's words on why it is waited.
    pub fn wait_reason(&self) -> &[String] {
        &self.wait_reason
    }

    /// What to sign, after [`Action::Sign`].
    pub fn to_sign(&self) -> Option<SignRequest> {
        match &self.state {
            State::SignPossession { cert_request } => Some(SignRequest {
                role: SignRole::NewKey,
                algorithm: self.request.pop_algorithm,
                message: cert_request.clone(),
            }),
            State::SignMessage { unprotected, .. } => match &self.context.credential {
                Credential::Signature { algorithm, .. } => Some(SignRequest {
                    role: SignRole::Protection,
                    algorithm: *algorithm,
                    message: unprotected.protected_part(),
                }),
                Credential::Mac { .. } => None,
            },
            _ => None,
        }
    }

    /// Hands in the signature over [`Operation::to_sign`]. It is checked with the public key before it is used.
    ///
    /// Errors: nothing is to be signed; the signature does not match (the operation waits for a right one).
    pub fn signature(&mut self, signature: &[u8], now: Time) -> Result<(), Error> {
        let Some(wanted) = self.to_sign() else {
            return Err(Error::new(Code::State, "a signature was handed in, but none is asked for"));
        };
        let spki = match wanted.role {
            SignRole::NewKey => self.request.key.spki(),
            SignRole::Protection => protection_spki(&self.context),
        };
        let verified = self.context.provider.verify(&wanted.algorithm, spki, &wanted.message, signature, false);
        verified.map_err(|e| Error::new(Code::Signer, format!("the external key's signature: {e}")))?;
        match std::mem::replace(&mut self.state, State::Begin) {
            State::SignPossession { cert_request } => self.send_request(&cert_request, signature, now),
            State::SignMessage { unprotected, under_way } => {
                let transaction = self.transaction.as_ref().expect("a message was written in it");
                let output = transaction.finish(&self.context, &unprotected, signature);
                self.state = State::Sent { output, under_way };
                Ok(())
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
        .map_err(|error| self.fail(error))
    }

    /// The issued certificate, from [`Action::Accept`] on; also after a failed confirmation.
    pub fn issued(&self) -> Option<&Issued> {
        self.issued.as_ref()
    }

    /// Takes the certificate as it is: the next step confirms it.
    pub fn accept(&mut self) -> Result<(), Error> {
        self.decide(None)
    }

    /// Refuses the certificate: the CA is told (unless it does without confirmation) and the operation fails with
    /// [`Code::Refused`].
    pub fn reject(&mut self, reason: &str) -> Result<(), Error> {
        self.decide(Some(Error::new(Code::Refused, format!("the caller refused the certificate: {reason}"))))
    }

    /// What was asked for.
    pub fn request(&self) -> &CertificateRequest {
        &self.request
    }

    /// The settings.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Whether the operation is over without success.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// transactionID, once the first message is built.
    pub fn transaction_id(&self) -> Option<&[u8]> {
        self.transaction.as_ref().map(|t| &t.id[..])
    }

    fn decide(&mut self, rejection: Option<Error>) -> Result<(), Error> {
        if !matches!(self.state, State::Deciding) {
            return Err(Error::new(Code::State, "no certificate waits for a decision"));
        }
        self.state = State::Decided { rejection };
        Ok(())
    }

    /// One transition; `None` means: look again.
    fn advance(&mut self, now: Time) -> Result<Option<Action>, Error> {
        self.check_total_time(now)?;
        match &mut self.state {
            State::Begin => self.begin(now).map(|()| None),
            State::SignPossession { .. } | State::SignMessage { .. } => Ok(Some(Action::Sign)),
            State::Sent { under_way, .. } => match self.inbox.take() {
                None => Ok(Some(Action::Send)),
                Some(answer) => {
                    let under_way = *under_way;
                    self.answered(answer, under_way, now).map_err(|e| in_phase(e, under_way.body)).map(|()| None)
                }
            },
            State::Waiting { until, under_way } => {
                let left = until.since(now);
                if left > 0 {
                    self.wait_seconds = u32::try_from(left).unwrap_or(u32::MAX);
                    return Ok(Some(Action::Wait));
                }
                let under_way = *under_way;
                self.poll(under_way, now).map(|()| None)
            }
            State::Deciding => Ok(Some(Action::Accept)),
            State::Decided { rejection } => {
                let rejection = rejection.take();
                self.decided(rejection, now).map(|()| None)
            }
            State::Done => Ok(Some(Action::Done)),
            State::Failed(error) => Err(error.clone()),
        }
    }

    fn begin(&mut self, now: Time) -> Result<(), Error> {
        // RFC 9483 section 4.1.3: the certificate to be updated must not have expired.
        if let (RequestKind::KeyUpdate, Credential::Signature { certificate, .. }) =
            (self.request.kind, &self.context.credential)
            && certificate.not_after() < now
        {
            let words = format!(
                "the certificate to be updated expired {}; enrol anew with the supplier's certificate",
                certificate.not_after()
            );
            return Err(Error::new(Code::Expired, words));
        }
        self.transaction = Some(Transaction::begin(&self.context, now)?);
        let cert_request = self.request.cert_request();
        match &self.request.key {
            Signer::Deferred { .. } => {
                self.state = State::SignPossession { cert_request };
                Ok(())
            }
            Signer::Key(key) => {
                let signature = key
                    .sign(&self.request.pop_algorithm, &cert_request)
                    .map_err(|e| Error::new(Code::Signer, format!("proof of possession: {e}")))?;
                self.send_request(&cert_request, &signature, now)
            }
        }
    }

    fn send_request(&mut self, cert_request: &[u8], pop_signature: &[u8], now: Time) -> Result<(), Error> {
        let content = crmf::cert_req_messages(cert_request, &self.request.pop_algorithm.to_der(), pop_signature);
        let body = self.request.kind.body();
        self.send(UnderWay { body, phase: Phase::Certificate, polling: None }, &content, 2, now)
    }

    /// Writes a message and protects it, or asks for the signature.
    fn send(&mut self, under_way: UnderWay, content: &[u8], pvno: i64, now: Time) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let transaction = self.transaction.as_mut().expect("begun before anything is sent");
        let unprotected = transaction.write(&context, now, under_way.body, content, pvno)?;
        let protection = match &context.credential {
            Credential::Mac { .. } => {
                let key = transaction.own_mac(&context)?;
                key.protect(&*context.provider, &unprotected.protected_part())?.to_vec()
            }
            Credential::Signature { signer: Signer::Key(key), algorithm, .. } => key
                .sign(algorithm, &unprotected.protected_part())
                .map_err(|e| Error::new(Code::Signer, format!("protection of {}: {e}", under_way.body)))?,
            Credential::Signature { signer: Signer::Deferred { .. }, .. } => {
                self.state = State::SignMessage { unprotected, under_way };
                return Ok(());
            }
        };
        let output = transaction.finish(&context, &unprotected, &protection);
        self.state = State::Sent { output, under_way };
        Ok(())
    }

    fn answered(&mut self, answer: Vec<u8>, under_way: UnderWay, now: Time) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let transaction = self.transaction.as_mut().expect("a message is under way in it");
        let final_answer = match under_way.phase {
            Phase::Certificate => self.request.kind.answer(),
            Phase::Confirmation => BodyType::PKICONF,
        };
        let allowed: &[BodyType] =
            if under_way.polling.is_some() { &[final_answer, BodyType::POLLREP] } else { &[final_answer] };
        let Checked { message, body, protected_by } = response::check(&context, transaction, now, answer, allowed)?;
        match body {
            PkiBody::PollRep(entries) => self.told_to_wait(&entries, under_way, now),
            // RFC 9483 section 4.4: any message but a certificate response is delayed by an error with status waiting.
            PkiBody::Error(content) if content.status.status == PkiStatus::Waiting => {
                self.check_no_fail_info(&content.status)?;
                self.start_polling(-1, &content.status, under_way, now)
            }
            PkiBody::Error(content) => Err(response::server_error(&content)),
            PkiBody::CertRep(rep) => {
                let header = message.header();
                let granted = header.info(oid::IT_IMPLICIT_CONFIRM).is_some();
                let confirm_before = header.info(oid::IT_CONFIRM_WAIT_TIME).and_then(generalized_time);
                let came = Came { extra_certs: message.extra_certs(), protected_by, granted, confirm_before };
                self.certificate_answered(rep, &came, under_way, now)
            }
            PkiBody::PkiConf => {
                self.state = match self.rejection.take() {
                    Some(error) => State::Failed(error),
                    None => State::Done,
                };
                Ok(())
            }
            PkiBody::Other(_) => Err(Error::new(Code::UnexpectedBody, "a body that does not belong here")),
        }
    }

    fn certificate_answered(
        &mut self,
        rep: CertRepMessage,
        came: &Came<'_>,
        under_way: UnderWay,
        now: Time,
    ) -> Result<(), Error> {
        let CertRepMessage { ca_pubs, responses } = rep;
        let [response] = <[_; 1]>::try_from(responses).map_err(|all: Vec<_>| {
            Error::new(Code::Protocol, format!("{} certificate responses to one request", all.len()))
        })?;
        if response.cert_req_id != 0 {
            let words = format!("the answer's certReqId is {}, the request's 0", response.cert_req_id);
            return Err(Error::new(Code::Protocol, words));
        }
        let status = response.status;
        if status.status == PkiStatus::Waiting {
            self.check_no_fail_info(&status)?;
            return self.start_polling(response.cert_req_id, &status, under_way, now);
        }
        if !issued::is_success(status.status) {
            // RFC 9483 section 4.1.1: no certConf after a rejection.
            return Err(refusal(Code::Rejected, "the server refused the request", &status, true));
        }
        self.check_no_fail_info(&status)?;
        let Some(pair) = response.certified_key_pair else {
            let words = format!("the server answered {}, but sent no certificate", status.status.name());
            return Err(Error::new(Code::Protocol, words));
        };
        let certificate = match pair.cert_or_enc_cert {
            CertOrEncCert::Certificate(certificate) => certificate,
            CertOrEncCert::Encrypted(_) => {
                let words = "the server sent the certificate encrypted, which was not asked for";
                return Err(Error::new(Code::Unsupported, words));
            }
        };
        self.certificate_came(certificate, status, ca_pubs, came, now)
    }

    fn certificate_came(
        &mut self,
        certificate: Certificate,
        status: PkiStatusInfo,
        ca_pubs: Vec<Certificate>,
        came: &Came<'_>,
        now: Time,
    ) -> Result<(), Error> {
        // RFC 9483 section 4.1.5, RFC 9810 section 8.9: new anchors only under the shared secret.
        let offered = if came.protected_by == ProtectedBy::Mac { ca_pubs.clone() } else { Vec::new() };
        let trusted: Vec<Certificate> = match self.context.accept_ca_pubs {
            true => offered.iter().filter(|c| c.is_self_issued()).cloned().collect(),
            false => Vec::new(),
        };
        let helpers: Vec<Certificate> = came.extra_certs.iter().chain(&ca_pubs).cloned().collect();
        let checked = issued::check_issued(&self.context, &self.request, &certificate, &helpers, &trusted, now);
        let differences = issued::differences(&self.request.template, &certificate);
        let (chain, refused) = match checked {
            Ok(chain) => (chain, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        self.issued = Some(Issued {
            certificate,
            chain,
            status,
            differences,
            ca_pubs: offered,
            implicitly_confirmed: came.granted,
            confirm_before: came.confirm_before,
            cert_req_id: 0,
        });
        self.state = match refused {
            None => State::Deciding,
            rejection => State::Decided { rejection },
        };
        Ok(())
    }

    fn decided(&mut self, rejection: Option<Error>, now: Time) -> Result<(), Error> {
        let issued = self.issued.as_ref().expect("there is a certificate to decide on");
        if issued.implicitly_confirmed {
            // RFC 9483 section 3.6.1: with implicit confirmation a refusal just ends the operation.
            return match rejection {
                Some(error) => Err(error),
                None => {
                    self.state = State::Done;
                    Ok(())
                }
            };
        }
        let (digest, name_it) = issued::cert_hash_algorithm(&issued.certificate);
        let cert_hash = self.context.provider.digest(digest, &[issued.certificate.as_der()])?;
        let status = rejection.as_ref().map(|error| {
            // failInfo: badPOP has no place here; incorrectData says that what came is not what was asked (bit 7).
            let mut info = PkiStatusInfo::new(PkiStatus::Rejection);
            info.fail_info = Some(1 << 7);
            info.texts.push(error.message().to_owned());
            info
        });
        let content = CertStatus {
            cert_hash: cert_hash.to_vec(),
            cert_req_id: issued.cert_req_id,
            status,
            hash_alg: name_it.then(|| sequence(&[&encode_oid(digest.oid())])),
        };
        // RFC 9810 section 7: version 3 where hashAlg is used.
        let pvno = if name_it { 3 } else { 2 };
        self.rejection = rejection;
        let under_way = UnderWay { body: BodyType::CERTCONF, phase: Phase::Confirmation, polling: None };
        self.send(under_way, &content.to_confirm_content(), pvno, now)
    }

    /// A first answer says waiting: poll at once, the answer tells how long to wait (RFC 9483 section 4.4).
    fn start_polling(
        &mut self,
        cert_req_id: i64,
        status: &PkiStatusInfo,
        under_way: UnderWay,
        now: Time,
    ) -> Result<(), Error> {
        self.wait_reason.clone_from(&status.texts);
        let polling = UnderWay { polling: Some(cert_req_id), ..under_way };
        if under_way.polling.is_some() {
            // "waiting" again where a final answer belongs: wait a little, so that no loop runs hot.
            self.state = State::Waiting { until: now.plus(5), under_way: polling };
            return Ok(());
        }
        let transaction = self.transaction.as_mut().expect("a message is under way in it");
        transaction.delayed_nonce = Some(transaction.sent_nonce.clone());
        self.poll(polling, now)
    }

    fn poll(&mut self, under_way: UnderWay, now: Time) -> Result<(), Error> {
        let most = self.context.limits.max_polls;
        if self.polls >= most {
            return Err(Error::new(Code::PollExhausted, format!("the server is still waiting after {most} polls")));
        }
        self.polls += 1;
        let cert_req_id = under_way.polling.expect("only what is delayed is polled for");
        self.send(UnderWay { body: BodyType::POLLREQ, ..under_way }, &poll::poll_req(&[cert_req_id]), 2, now)
    }

    fn told_to_wait(&mut self, entries: &[PollRep], under_way: UnderWay, now: Time) -> Result<(), Error> {
        let wanted = under_way.polling.expect("pollRep is only allowed while polling");
        let Some(entry) = entries.iter().find(|e| e.cert_req_id == wanted) else {
            let words = format!("pollRep has no entry for certReqId {wanted}");
            return Err(Error::new(Code::Protocol, words));
        };
        self.wait_reason.clone_from(&entry.reason);
        // Negative and absurd values are cut to what the caller allows.
        let seconds = entry.check_after.clamp(1, i64::from(self.context.limits.max_check_after_seconds).max(1));
        self.state = State::Waiting { until: now.plus(seconds), under_way };
        Ok(())
    }

    /// RFC 9483 sections 4.1.1 and 4.4: failInfo must be absent where the status is no failure.
    fn check_no_fail_info(&self, status: &PkiStatusInfo) -> Result<(), Error> {
        if status.fail_info.is_some() && !self.context.tolerance.fail_info_with_success {
            return Err(refusal(Code::Protocol, "failInfo beside a status that is no failure", status, true));
        }
        Ok(())
    }

    fn check_total_time(&self, now: Time) -> Result<(), Error> {
        let most = self.context.limits.max_total_seconds;
        let running = matches!(self.state, State::Sent { .. } | State::Waiting { .. });
        match &self.transaction {
            Some(transaction) if running && now.since(transaction.started) > i64::from(most) => {
                let words = format!("the operation began {} and may take {most} seconds", transaction.started);
                Err(Error::new(Code::PollExhausted, words))
            }
            _ => Ok(()),
        }
    }

    /// Ends the operation. A certificate that was accepted here but not confirmed there is a case of its own: it must
    /// not be used before it is resolved with the CA.
    fn fail(&mut self, error: Error) -> Error {
        if let State::Failed(known) = &self.state {
            return known.clone();
        }
        let confirming = matches!(
            self.state,
            State::Sent { under_way: UnderWay { phase: Phase::Confirmation, .. }, .. }
                | State::Waiting { under_way: UnderWay { phase: Phase::Confirmation, .. }, .. }
        );
        let error = match self.rejection.take() {
            Some(rejection) => rejection,
            None if confirming => {
                let facts = error.facts().clone();
                let words = format!("a certificate was issued, but its confirmation failed: {error}");
                Error::new(Code::Unconfirmed, words).with(|f| *f = facts)
            }
            None => error,
        };
        self.state = State::Failed(error.clone());
        error
    }
}

/// What came with a certificate response.
struct Came<'a> {
    extra_certs: &'a [Certificate],
    protected_by: ProtectedBy,
    granted: bool,
    confirm_before: Option<Time>,
}

/// Refuses settings that contradict themselves, before anything is sent.
pub(super) fn check_context(context: &Context) -> Result<(), Error> {
    use super::context::MacParameters;
    match &context.credential {
        Credential::Signature { signer, certificate, algorithm, .. } => {
            if !same_public_key(signer.spki(), certificate.spki()) {
                let words = "the protection certificate does not belong to the key that signs";
                return Err(Error::new(Code::KeyMismatch, words));
            }
            if !algorithm.fits(signer.kind()) {
                let words = format!("{algorithm:?} cannot be made by a key of type {}", signer.kind());
                return Err(Error::new(Code::Algorithm, words));
            }
            if context.cmp_anchors.is_empty() {
                let words = "no CMP anchors: nothing could say who may sign answers";
                return Err(Error::new(Code::InvalidArgument, words));
            }
        }
        Credential::Mac { reference, secret, parameters } => {
            if reference.is_empty() || secret.is_empty() {
                return Err(Error::new(Code::InvalidArgument, "reference value or secret is empty"));
            }
            let (MacParameters::PasswordBased { iterations, .. } | MacParameters::Pbmac1 { iterations, .. }) =
                *parameters;
            // RFC 9045 section 4.3 and RFC 4211 section 4.4: at least 100.
            if iterations < 100 || iterations > context.limits.max_mac_iterations {
                let most = context.limits.max_mac_iterations;
                let words = format!("{iterations} iterations for the MAC; 100 to {most} are taken");
                return Err(Error::new(Code::MacParameters, words));
            }
        }
    }
    Ok(())
}

fn protection_spki(context: &Context) -> &[u8] {
    match &context.credential {
        Credential::Signature { signer, .. } => signer.spki(),
        Credential::Mac { .. } => &[],
    }
}

fn in_phase(error: Error, body: BodyType) -> Error {
    let name = body.name();
    error.context(&format!("answer to {name}")).with(|facts| facts.phase = Some(name))
}

fn generalized_time(value: &[u8]) -> Option<Time> {
    let mut cursor = crate::asn1::der::Cursor::new(value, "confirmWaitTime").ok()?;
    Time::from_generalized_time(cursor.expect(::der::Tag::GeneralizedTime, "a time").ok()?.value)
}
