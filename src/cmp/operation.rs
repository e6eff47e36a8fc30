//! The operation: a state machine that is stepped by its owner.
//!
//! ```text
//!            +------- Sign <-> put_signature() -------+
//!            v                                        |
//!  begin -> build request -> Send -> feed() -> check answer -> waiting? -> Wait -> build pollReq -> Send ...
//!                                                   |    |
//!                                                   |    +-- rp, genp ----------------------------------> Done
//!                                                   v
//!                    ip, cp, kup: Accept -> accept()/reject() -> build certConf -> Send -> feed() -> pkiConf -> Done
//! ```
//!
//! What is particular to one kind of exchange stands in a file of its own: `enrolment`, `revoke`, `info`; what an answer
//! leads to, in `answered`; what the owner is asked to do, in [`action`](super::action); where it stands, in `state`.
//!
//! A step never blocks, never sleeps, reads no clock and starts no thread. A failure ends the operation for good; every
//! later step answers the same error (RFC 9483 section 3.6.1). An end entity never sends error messages.
//!
//! While the CA is being waited for, only the CA, the owner or the limits end the operation: an answer to a poll that proves
//! nothing (no message, another transaction's, without or under a wrong protection) is dropped, and the next poll follows.

use alloc::sync::Arc;

use super::action::{Action, Outcome, SignRequest, SignRole};
use super::bearer::KnownBearers;
use super::context::Context;
use super::credential::Credential;
use super::diagnosis::diagnose;
use super::info::Information;
use super::issued::Issued;
use super::parts::Several;
use super::request::{Request, RevocationRequest};
use super::response::{self, Inbox};
use super::revoke::{Revocations, Revoked};
use super::signer::Signer;
use super::state::{Finished, Halt, Phase, State, UnderWay};
use super::transaction::{Transaction, general_info};
use crate::asn1::cmp::BodyType;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::StatusSources;

const CONFIRMATION: Rule =
    Rule::new("RFC 9483 section 4.1.1 (K5, K6)", "pkiConf, by who signed the certificate response");
pub(super) const POLLING_ENDS: Rule = Rule::new("RFC 9483 section 4.4 (D3)", "an answer within the limits on polling");

/// What follows a transition.
enum Next {
    /// Another one may.
    Look,
    /// The owner's turn.
    Ask,
}

/// One operation: an enrolment from the request to the confirmed certificate, a revocation, or a question.
pub struct Operation {
    pub(super) context: Arc<Context>,
    pub(super) request: Request,
    pub(super) transaction: Option<Transaction>,
    pub(super) state: State,
    pub(super) polls: u32,
    /// Answers to polls that led nowhere: each makes the next wait longer.
    pub(super) dropped: u32,
    /// Authentic errors, one after the other, that say that something else arrived than was sent.
    pub(super) misread: u32,
    pub(super) issued: Option<Issued>,
    /// What becomes of each of several certificates; `issued` is the one that is looked at.
    pub(super) several: Several,
    /// Why the certificate is being refused, while certConf says so.
    pub(super) rejection: Option<Error>,
    /// The version to speak because the server does not know the first one.
    pub(super) other_version: Option<i64>,
    /// Restored, and not looked at since: what the saved form says of the certificate is not believed yet.
    pub(super) is_restored: bool,
    /// Whether it ends only once the certificate is valid.
    pub(super) holds_until_valid: bool,
    /// Whether that wait is bound: see [`Operation::bound_validity`].
    pub(super) bounds_validity: bool,
    /// The present when the message under way was last handed out to be sent.
    pub(super) asked_at: Option<Time>,
    /// Whether the last answer proved nothing and was dropped.
    pub(super) has_dropped: bool,
    /// Signers without authority that are known from before; `None` where there is no device memory that would know.
    pub(super) bearers: Option<KnownBearers>,
    /// One that has answered for the certificate since this operation was made or restored.
    pub(super) met_bearer: Option<Certificate>,
}

/// How many answers in vain it takes until an error about the form of pollReq ends what is polled for: about a day's. A server that
/// has lost the transaction goes on saying so.
pub(super) const MOST_IN_VAIN: u32 = 30;
/// How many answers that prove nothing end what is polled for where no clock tells that its time is over: those of ten days.
const MOST_DROPPED: u32 = 245;

/// The end of a wait that somebody else has measured: see [`Operation::end_wait`].
const ENDED: Time = Time::from_unix(i64::MIN);

impl Operation {
    /// Begins an operation. Nothing is sent or signed before the first step.
    ///
    /// Errors: the request or the settings contradict themselves or RFC 9483.
    pub fn new(context: Arc<Context>, request: impl Into<Request>) -> Result<Self, Error> {
        let request = request.into();
        request.check(&context)?;
        context.check()?;
        Ok(Operation {
            context,
            request,
            transaction: None,
            state: State::Begin,
            polls: 0,
            dropped: 0,
            misread: 0,
            issued: None,
            rejection: None,
            other_version: None,
            is_restored: false,
            holds_until_valid: false,
            bounds_validity: false,
            asked_at: None,
            has_dropped: false,
            bearers: None,
            met_bearer: None,
            several: Several::default(),
        })
    }

    /// Asks for the same of a further one in the same message, before the first step: what an RA or a manager does (RFC 9810 sections
    /// 5.3.1 to 5.3.9). What becomes of each is told by itself.
    ///
    /// Errors: [`Code::State`] once the operation has begun; [`Code::InvalidArgument`] for what does not go together. The
    /// operation is then as it was.
    pub fn add(&mut self, request: impl Into<Request>) -> Result<(), Error> {
        if !matches!(self.state, State::Begin) || self.transaction.is_some() {
            return Err(Error::new(Code::State, "the operation has begun: nothing can be added to its request"));
        }
        let request = self.request.with(request.into())?;
        request.check(&self.context)?;
        self.request = request;
        Ok(())
    }

    /// Moves on as far as possible without the owner. Never blocks. `now` is the present.
    ///
    /// A step in the same state answers the same action: after [`Action::Send`] without an answer the message can be
    /// sent again. Errors end the operation and are answered again by every later step; but for one about an answer that was
    /// handed in by [`Operation::feed`] and proves nothing: then [`Operation::has_failed`] says no, and the right answer can be fed.
    pub fn step(&mut self, now: Time) -> Result<Action<'_>, Error> {
        loop {
            match self.advance(self.corrected(now)) {
                Ok(Next::Look) => {}
                Ok(Next::Ask) => break,
                Err(Halt::Refused(error)) => return Err(error),
                Err(Halt::Failed(error)) => return Err(self.fail(error)),
            }
        }
        self.action().ok_or_else(|| Error::new(Code::State, "the operation stands where nobody is asked"))
    }

    /// What the last step asked for, as long as that was not done. `None` before the first step and after a failure.
    pub fn action(&self) -> Option<Action<'_>> {
        Some(match &self.state {
            State::Sent { output, under_way, .. } => Action::Send { message: output, body: under_way.body },
            State::Waiting { until, seconds, reason, .. } => {
                // By the clock of the owner, who compares it with that.
                let off = self.clock_off_seconds();
                let off = if self.waits_for_validity() { off.max(0) } else { off };
                Action::Wait { until: until.plus(-off), seconds: *seconds, reason }
            }
            State::SignPossession { .. } | State::SignMessage { .. } => Action::Sign(self.to_sign()?),
            State::Deciding => Action::Accept(self.issued.as_ref()?),
            State::Done(finished) => Action::Done(match finished {
                Finished::Certificate => Outcome::Certificate(self.issued.as_ref()?),
                Finished::Certificates => Outcome::Certificates,
                Finished::Revoked(revoked) => Outcome::Revoked(revoked),
                Finished::Revocations(revocations) => Outcome::Revocations(revocations),
                Finished::Information(information) => Outcome::Information(information),
            }),
            State::Begin | State::Decided { .. } | State::Failed(_) => return None,
        })
    }

    /// Hands in the server's answer; the next step looks at it.
    ///
    /// Answers that people carry get mixed up: the file of another device, the request itself, an answer to an earlier message, a
    /// web page. What does not prove to be the server's answer to this message is refused by the next step, and the operation goes on
    /// waiting: only who can protect an answer ends it.
    ///
    /// Errors: no message is under way (the bytes are dropped, the operation goes on), or the answer is above the limit.
    pub fn feed(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox { answer: answer.to_vec(), is_mutually_authenticated: false, is_handed_in: true })
    }

    /// The same for what answered by a connection made for this message. There is no better answer to wait for: if it proves
    /// nothing, the operation ends, unless it is the answer to a poll.
    pub(crate) fn feed_by_connection(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox { answer: answer.to_vec(), is_mutually_authenticated: false, is_handed_in: false })
    }

    /// The same for an answer that came by TLS in which the server was authenticated and the client showed its own
    /// certificate. It differs only with [`Credential::MutualTls`]: there, such answers need no protection of their own.
    pub fn feed_mutually_authenticated(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox { answer: answer.to_vec(), is_mutually_authenticated: true, is_handed_in: false })
    }

    fn receive(&mut self, inbox: Inbox) -> Result<(), Error> {
        let State::Sent { inbox: place, .. } = &mut self.state else {
            return Err(Error::new(Code::State, "an answer was fed, but no message is under way"));
        };
        let most = self.context.limits.max_message_bytes;
        if inbox.answer.len() > most {
            let words = format!("the answer has {} bytes, the limit is {most}", inbox.answer.len());
            return Err(Error::new(Code::TooLarge, words));
        }
        *place = Some(inbox);
        Ok(())
    }

    /// Who has signed an answer to the message under way, and what can help to its path: for who gets status data before the answer
    /// is judged. `None` where no status is asked for, and where the signature is nobody's: nobody is asked about certificates that
    /// have only come along.
    pub(crate) fn signer_of(&self, answer: &[u8], now: Time) -> Option<(Certificate, Vec<Certificate>)> {
        response::signer_of(&self.believing_adopted(), self.transaction.as_ref()?, answer, now)
    }

    /// Status data about signers of answers, in place of the settings'.
    pub(crate) fn set_signer_status(&mut self, status: StatusSources) {
        Arc::make_mut(&mut self.context).signer_status = status;
    }

    /// Signers without authority that device memory knows from before: see [`KnownBearers`].
    pub(crate) fn know_bearers(&mut self, known: KnownBearers) {
        self.bearers = Some(known);
    }

    /// The signer without authority that has answered for the certificate since this operation was made or restored; `None`
    /// too where somebody with authority has answered in this transaction.
    pub(crate) fn met_bearer(&self) -> Option<&Certificate> {
        let has_authority = self.transaction.as_ref().is_some_and(|transaction| transaction.bound_signer.is_some());
        self.met_bearer.as_ref().filter(|_| !has_authority)
    }

    /// The message under way, DER: what [`Action::Send`] brings, for who carries it later.
    pub fn output(&self) -> Option<&[u8]> {
        match &self.state {
            State::Sent { output, .. } => Some(output),
            _ => None,
        }
    }

    /// messageTime of the last answer that proved authentic; `None` if there is none, or it says no time. What merely arrived is
    /// not among them.
    pub(crate) fn proven_time(&self) -> Option<Time> {
        self.transaction.as_ref().and_then(|transaction| transaction.peer_time)
    }

    /// The wait is over, whatever the clock says: for owners who have measured it by other means, since it began by another clock,
    /// in another process, or there is none. The next step polls.
    pub(crate) fn end_wait(&mut self) {
        if let State::Waiting { until, .. } = &mut self.state {
            *until = ENDED;
        }
    }

    /// For owners whose present is proven: a certificate whose time is not waited for when it comes is not waited for later either.
    /// Who only has a clock, which may begin in 1970, waits on.
    pub fn bound_validity(&mut self) {
        self.bounds_validity = true;
    }

    /// Whether the certificate is here and confirmed, and only its notBefore is waited for.
    pub fn waits_for_validity(&self) -> bool {
        matches!(&self.state, State::Waiting { under_way, .. } if under_way.phase == Phase::Validity)
    }

    /// The present, once an authentic answer has shown that the owner's clock is wrong and is followed.
    fn corrected(&self, now: Time) -> Time {
        now.plus(self.clock_off_seconds())
    }

    /// The owner's clock, of a present that was [corrected](Operation::corrected).
    pub(super) fn owners_clock(&self, now: Time) -> Time {
        now.plus(-self.clock_off_seconds())
    }

    /// The later one of the two clocks that may be right: the owner's, and the peer's where that is followed. By it certificates
    /// begin: neither of the two holds back what is valid by the other.
    pub(super) fn later_clock(&self, now: Time) -> Time {
        now.max(self.owners_clock(now))
    }

    pub(super) fn clock_off_seconds(&self) -> i64 {
        self.transaction.as_ref().map_or(0, |transaction| transaction.clock_off_seconds)
    }

    /// What is to be signed.
    fn to_sign(&self) -> Option<SignRequest> {
        match &self.state {
            State::SignPossession { proof, algorithm } => {
                Some(SignRequest { role: SignRole::NewKey, algorithm: *algorithm, message: proof.message().to_vec() })
            }
            State::SignMessage { unprotected, .. } => match &self.context.credential {
                Credential::Signature { algorithm, .. } => Some(SignRequest {
                    role: SignRole::Protection,
                    algorithm: *algorithm,
                    message: unprotected.protected_part(),
                }),
                Credential::Mac { .. } | Credential::MutualTls { .. } => None,
            },
            _ => None,
        }
    }

    /// Hands in the signature that [`Action::Sign`] asks for. It is checked with the public key before it is used.
    ///
    /// Errors: nothing is to be signed; the signature does not match (the operation waits for a right one).
    pub fn put_signature(&mut self, signature: &[u8], now: Time) -> Result<(), Error> {
        let now = self.corrected(now);
        let Some(wanted) = self.to_sign() else {
            return Err(Error::new(Code::State, "a signature was handed in, but none is asked for"));
        };
        let spki = match wanted.role {
            SignRole::NewKey => self.request.new_key().map_or(&[][..], Signer::spki),
            SignRole::Protection => protection_spki(&self.context),
        };
        let verified = self.context.provider.verify(&wanted.algorithm, spki, &wanted.message, signature, false);
        verified.map_err(|e| Error::new(Code::Signer, format!("the external key's signature: {e}")))?;
        match core::mem::replace(&mut self.state, State::Begin) {
            State::SignPossession { proof, algorithm } => self.possession_signed(&proof, algorithm, signature, now),
            State::SignMessage { unprotected, under_way } => {
                let transaction = self.transaction.as_ref().expect("a message was written in it");
                let output = transaction.finish(&self.context, &unprotected, Some(signature));
                self.state = State::Sent { output, under_way, inbox: None };
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
    ///
    /// After [`Operation::restore`] it is as it was saved; the next step judges it anew before anything comes of it.
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

    /// Refuses the certificate as the settings' policy does ([`Issued::objection`]): the CA is told, and the operation fails
    /// with [`Code::Refused`] and what differs. Nothing else than [`Operation::accept`] where the policy takes it.
    pub fn decide_by_policy(&mut self) -> Result<(), Error> {
        self.decide(self.issued.as_ref().and_then(|issued| issued.objection.clone()))
    }

    /// For who puts the certificate into use when the operation is done: one that begins later than the clocks may differ is
    /// confirmed at once, so that the CA keeps it, and then [`Action::Wait`] leads to its time. Otherwise the operation is
    /// done without waiting, and [`Issued::warnings`] says from when the certificate is valid.
    pub fn hold_until_valid(&mut self) {
        self.holds_until_valid = true;
    }

    /// What became of a request for revocation, once that is done.
    pub fn revoked(&self) -> Option<&Revoked> {
        match &self.state {
            State::Done(Finished::Revoked(revoked)) => Some(revoked),
            _ => None,
        }
    }

    /// What became of a request for several revocations, certificate by certificate, once it is answered.
    pub fn revocations(&self) -> Option<&Revocations> {
        match &self.state {
            State::Done(Finished::Revocations(revocations)) => Some(revocations),
            _ => None,
        }
    }

    /// The answer to a question, once it is here.
    pub fn information(&self) -> Option<&Information> {
        match &self.state {
            State::Done(Finished::Information(information)) => Some(information),
            _ => None,
        }
    }

    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The settings.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Whether a certificate waits for [`Operation::accept`] or [`Operation::reject`].
    pub fn is_deciding(&self) -> bool {
        matches!(self.state, State::Deciding)
    }

    /// Whether the last answer proved nothing: nothing that it says is to be learnt, its time neither.
    pub(crate) fn has_dropped_answer(&self) -> bool {
        self.has_dropped
    }

    /// Whether the operation is over, as wished.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
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

    /// One transition.
    fn advance(&mut self, now: Time) -> Result<Next, Halt> {
        self.check_total_time(now)?;
        let later = self.later_clock(now);
        if core::mem::take(&mut self.is_restored) {
            self.judge_restored(now)?;
        }
        if self.bounds_validity && self.waits_for_validity() {
            self.still_worth_waiting_for(later)?;
        }
        match &mut self.state {
            State::Begin => self.begin(now)?,
            State::Sent { under_way, inbox, .. } => match inbox.take() {
                None => {
                    self.asked_at = Some(now);
                    return Ok(Next::Ask);
                }
                Some(answer) => {
                    let under_way = *under_way;
                    self.answered(answer, under_way, now)?;
                    self.check_time_in_vain(now)?;
                    if let (true, State::Waiting { until, seconds, .. }) = (self.has_dropped, &mut self.state) {
                        // Not looked at again as of a time that the dropped answer may have said.
                        *seconds = u32::try_from(until.since(self.asked_at.unwrap_or(now))).unwrap_or(0);
                        return Ok(Next::Ask);
                    }
                }
            },
            State::Waiting { until, seconds, reason, under_way } => {
                let left = until.since(if under_way.phase == Phase::Validity { later } else { now });
                if left > 0 {
                    *seconds = u32::try_from(left).unwrap_or(u32::MAX);
                    return Ok(Next::Ask);
                }
                let (under_way, reason) = (*under_way, core::mem::take(reason));
                match under_way.phase {
                    Phase::Validity => self.state = State::Done(Finished::Certificate),
                    _ => self.poll(under_way, &reason, now)?,
                }
            }
            State::Decided { rejection } => {
                let rejection = rejection.take();
                self.decided(rejection, now)?;
            }
            State::SignPossession { .. } | State::SignMessage { .. } | State::Deciding | State::Done(_) => {
                return Ok(Next::Ask);
            }
            State::Failed(error) => return Err(Halt::Failed(error.clone())),
        }
        Ok(Next::Look)
    }

    fn begin(&mut self, now: Time) -> Result<(), Error> {
        if !self.request.is_update() && self.request.revocations().is_empty() {
            // Those two have words of their own: the certificate is what they are about.
            self.context.check_credential_at(now)?;
        }
        let version = self.other_version.unwrap_or(self.request.version());
        let mut transaction = Transaction::begin(&self.context, version, now)?;
        if let Some(earlier) = &self.transaction {
            (transaction.started, transaction.clock_off_seconds) = (earlier.started, earlier.clock_off_seconds);
        }
        self.transaction = Some(transaction);
        if self.context.credential.is_kem() {
            return self.ask_for_ciphertext(now);
        }
        self.begin_request(now)
    }

    /// Makes the request, once it can be protected.
    pub(super) fn begin_request(&mut self, now: Time) -> Result<(), Error> {
        match &self.request {
            Request::Certificate(_) => self.begin_enrolment(now),
            Request::Certificates(_) => self.begin_several(now),
            Request::Revocation(_) | Request::Revocations(_) => {
                let requests = self.request.revocations();
                requests.iter().try_for_each(|request| request.check_validity(&self.context, now))?;
                self.send_first(&RevocationRequest::content(requests), now)
            }
            Request::Information(question) => self.send_first(&question.content(), now),
        }
    }

    /// Sends the request with this content.
    pub(super) fn send_first(&mut self, content: &[u8], now: Time) -> Result<(), Error> {
        self.send(UnderWay { body: self.request.body(), phase: Phase::Request, polling: None }, content, 2, now)
    }

    /// Writes a message and protects it, or asks for the signature.
    pub(super) fn send(&mut self, under_way: UnderWay, content: &[u8], pvno: i64, now: Time) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let transaction = self.transaction.as_mut().expect("begun before anything is sent");
        let info = match under_way.phase {
            Phase::Encapsulation => Vec::new(),
            _ => general_info(&context, &self.request, under_way.body),
        };
        let unprotected = transaction.write(&context, now, under_way.body, content, pvno, info)?;
        let protection = match &context.credential {
            Credential::Mac { .. } => {
                let key = transaction.own_mac(&context)?;
                Some(key.protect(&*context.provider, &unprotected.protected_part())?.to_vec())
            }
            Credential::MutualTls { .. } => None,
            credential if credential.is_kem() => match &transaction.own_mac {
                Some(key) => Some(key.protect(&*context.provider, &unprotected.protected_part())?.to_vec()),
                None => None,
            },
            Credential::Signature { signer: Signer::Key(key), algorithm, .. } => Some(
                key.sign(algorithm, &unprotected.protected_part())
                    .map_err(|e| Error::new(Code::Signer, format!("protection of {}: {e}", under_way.body)))?,
            ),
            Credential::Signature { signer: Signer::Deferred { .. }, .. } => {
                self.state = State::SignMessage { unprotected, under_way };
                return Ok(());
            }
        };
        let output = transaction.finish(&context, &unprotected, protection.as_deref());
        self.state = State::Sent { output, under_way, inbox: None };
        Ok(())
    }

    /// Whoever measures the waits for polls ends each of them, so that they are no time that is over. One odd clock ends
    /// nothing by this: it takes answers in vain, a day's, and the time; or ten days' of them, where no clock goes on.
    fn check_time_in_vain(&self, now: Time) -> Result<(), Error> {
        if !self.has_dropped || self.dropped <= MOST_IN_VAIN {
            return Ok(());
        }
        if self.dropped > MOST_DROPPED {
            let words = format!("{} answers to polls proved nothing, one after the other", self.dropped);
            return Err(Error::new(Code::PollExhausted, words).breaks(POLLING_ENDS));
        }
        self.check_total_time(now)
    }

    fn check_total_time(&self, now: Time) -> Result<(), Error> {
        let most = self.context.limits.max_total_seconds;
        // The time bounds how long a decision is waited for. Once the certificate is here, it is confirmed however long that took,
        // and whatever the clock was when the operation began: unconfirmed, it helps nobody.
        let running = match &self.state {
            State::Sent { under_way, .. } | State::Waiting { under_way, .. }
                if under_way.phase == Phase::Confirmation =>
            {
                false
            }
            // A poll that is out, or due by another measure than this clock: what the server says counts. If that is waiting
            // once more, the time is over.
            State::Sent { under_way, .. } => under_way.polling.is_none(),
            State::Waiting { until, .. } if *until == ENDED => false,
            // Nothing is being asked for any more.
            State::Waiting { under_way, .. } => under_way.phase != Phase::Validity,
            _ => false,
        };
        match &self.transaction {
            Some(transaction) if running && now.since(transaction.started) > i64::from(most) => {
                let words = format!(
                    "the operation began {} and may take {most} seconds (max_total_seconds)",
                    transaction.started
                );
                Err(Error::new(Code::PollExhausted, words).breaks(POLLING_ENDS))
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
        let error = diagnose(error, &self.context, self.request.body(), &[]);
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
                Error::new(Code::Unconfirmed, words).with(|f| *f = facts).breaks(CONFIRMATION)
            }
            None => error,
        };
        self.state = State::Failed(error.clone());
        error
    }
}

fn protection_spki(context: &Context) -> &[u8] {
    match &context.credential {
        Credential::Signature { signer, .. } => signer.spki(),
        Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
    }
}

pub(super) fn in_phase(error: Error, body: BodyType) -> Error {
    let name = body.name();
    error.context(&format!("answer to {name}")).with(|facts| facts.phase = Some(name))
}
