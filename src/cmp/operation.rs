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
//! The messages that it exchanges, and what their answers lead to, stand in `exchange`; what the owner is asked to do, in
//! [`action`](super::action); where it stands, in `state`: each state holds what is known in it and nowhere else.
//!
//! A step never blocks, never sleeps, reads no clock and starts no thread. A failure ends the operation for good; every
//! later step answers the same error (RFC 9483 section 3.6.1). An end entity never sends error messages. What the device itself
//! could not do, such as ask a key whose token is away, is no such failure: the operation stands where it stood, with the answer that it
//! looked at, and the next step does it.
//!
//! While the CA is being waited for, only the CA, the owner or the limits end the operation: an answer to a poll that proves
//! nothing (no message, another transaction's, without or under a wrong protection) is dropped, and the next poll follows.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::action::{Action, Outcome, SignRequest, SignRole};
use super::bearer::KnownBearers;
use super::context::Context;
use super::credential::Credential;
use super::diagnosis::diagnose;
use super::exchange::first_contact::TakenRoot;
use super::exchange::{Exchange, Plan};
use super::info::Information;
use super::issued::Issued;
use super::request::Request;
use super::response::{Inbox, Way};
use super::revoke::{Revocations, Revoked};
use super::state::{Finished, Halt, Sent, State, Then, Waiting};
use super::wait::Pause;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Signer;
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::StatusSources;

const CONFIRMATION: Rule =
    Rule::new("RFC 9483 section 4.1.1 (K5, K6)", "pkiConf, by who signed the certificate response");

/// What follows a transition.
enum Next {
    /// Another one may.
    Look,
    /// The owner's turn.
    Ask,
}

/// One operation: an enrolment from the request to the confirmed certificate, a revocation, or a question.
pub struct Operation {
    course: Course,
}

enum Course {
    /// No step was made yet; or the first one failed, so that there is nothing to be made.
    New {
        plan: Box<Plan>,
        failure: Option<Error>,
    },
    Begun(Box<Begun>),
}

/// An operation that has begun.
pub(super) struct Begun {
    pub exchange: Exchange,
    pub state: State,
    /// Restored, and not looked at since: what the saved form says of the certificate is not believed yet.
    pub is_restored: bool,
}

impl Operation {
    /// Begins an operation. Nothing is sent or signed before the first step.
    ///
    /// Errors: the request or the settings contradict themselves or RFC 9483.
    pub fn new(context: Arc<Context>, request: impl Into<Request>) -> Result<Self, Error> {
        let request = request.into();
        request.check(&context)?;
        context.check()?;
        let plan = Box::new(Plan::new(context, request));
        Ok(Operation { course: Course::New { plan, failure: None } })
    }

    /// One that has begun before.
    pub(super) fn resumed(exchange: Exchange, state: State) -> Self {
        Operation { course: Course::Begun(Box::new(Begun { exchange, state, is_restored: true })) }
    }

    /// Asks for the same of a further one in the same message, before the first step: what an RA or a manager does (RFC 9810 sections
    /// 5.3.1 to 5.3.9). What becomes of each is told by itself.
    ///
    /// Errors: [`Code::State`] once the operation has begun; [`Code::InvalidArgument`] for what does not go together. The
    /// operation is then as it was.
    pub fn add(&mut self, request: impl Into<Request>) -> Result<(), Error> {
        let Course::New { plan, failure: None } = &mut self.course else {
            return Err(Error::new(Code::State, "the operation has begun: nothing can be added to its request"));
        };
        let request = plan.request.with(request.into())?;
        request.check(&plan.context)?;
        plan.request = request;
        Ok(())
    }

    /// Moves on as far as possible without the owner. Never blocks. `now` is the present.
    ///
    /// A step in the same state answers the same action: after [`Action::Send`] without an answer the message can be
    /// sent again. Errors end the operation and are answered again by every later step, where [`Operation::has_failed`] says so. It does not
    /// of an answer that was handed in by [`Operation::feed`] and proves nothing: the right one can be fed. Nor of what the device could
    /// not do, such as a key behind a callback or in a token that failed: the next step does it, with nothing sent again and nothing
    /// said to the CA and however late. What is saved then has the answer that it was about.
    ///
    /// A present that no certificate can name, such as milliseconds in place of seconds, is [`Code::InvalidArgument`], and ends nothing.
    pub fn step(&mut self, now: Time) -> Result<Action<'_>, Error> {
        check_present(now)?;
        self.begin(now)?;
        if let Course::Begun(begun) = &mut self.course {
            begun.run(now)?;
        }
        self.action().ok_or_else(|| Error::new(Code::State, "the operation stands where nobody is asked"))
    }

    /// Makes the transaction, before anything else.
    fn begin(&mut self, now: Time) -> Result<(), Error> {
        let Course::New { plan, failure } = &mut self.course else { return Ok(()) };
        if let Some(known) = failure {
            return Err(known.clone());
        }
        match Exchange::begin(plan, now) {
            Ok(exchange) => {
                self.course = Course::Begun(Box::new(Begun { exchange, state: State::Begin, is_restored: false }));
                Ok(())
            }
            Err(error) => match Halt::from(error) {
                Halt::Unable(error) | Halt::Refused(error) => Err(error),
                Halt::Failed(error) => {
                    let error = diagnose(error, &plan.context, plan.request.body(), &[]);
                    *failure = Some(error.clone());
                    Err(error)
                }
            },
        }
    }

    pub(super) fn begun(&self) -> Option<&Begun> {
        match &self.course {
            Course::New { .. } => None,
            Course::Begun(begun) => Some(begun),
        }
    }

    fn state(&self) -> Option<&State> {
        self.begun().map(|begun| &begun.state)
    }

    pub(super) fn plan(&self) -> &Plan {
        match &self.course {
            Course::New { plan, .. } => plan,
            Course::Begun(begun) => begun.exchange.plan(),
        }
    }

    fn plan_mut(&mut self) -> &mut Plan {
        match &mut self.course {
            Course::New { plan, .. } => plan,
            Course::Begun(begun) => begun.exchange.plan_mut(),
        }
    }

    /// What the last step asked for, as long as that was not done. `None` before the first step and after a failure.
    pub fn action(&self) -> Option<Action<'_>> {
        let begun = self.begun()?;
        Some(match &begun.state {
            State::Sent(sent) if sent.holds_answer() => return None,
            State::Sent(Sent { output, under_way, .. }) => Action::Send { message: output, body: under_way.body },
            State::Waiting(Waiting { pause, seconds, reason, then }) => {
                // By the clock of the owner, who compares it with that.
                let off = begun.exchange.clock_off_seconds();
                let off = match then {
                    Then::Valid(_) => 0,
                    Then::Poll(..) => off,
                };
                Action::Wait { until: pause.until.plus(-off), seconds: *seconds, reason }
            }
            State::SignPossession { .. } | State::SignMessage { .. } => Action::Sign(begun.to_sign()?),
            State::Deciding(issued) => Action::Accept(issued),
            State::Done(finished) => Action::Done(match finished {
                Finished::Certificate(issued) => Outcome::Certificate(issued),
                Finished::Certificates => Outcome::Certificates,
                Finished::Revoked(revoked) => Outcome::Revoked(revoked),
                Finished::Revocations(revocations) => Outcome::Revocations(revocations),
                Finished::Information(information) => Outcome::Information(information),
            }),
            State::Begin | State::OtherVersion(_) | State::Decided { .. } | State::Failed { .. } => return None,
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
        self.receive(Inbox::new(answer.to_vec(), Way::HandedIn))
    }

    /// The same for an answer that took as long as a journey takes: that its messageTime lies in the past is in its nature, and says that
    /// it is at least this late. One that is ahead of the clock contradicts it as ever.
    pub fn feed_carried(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox::new(answer.to_vec(), Way::Carried))
    }

    /// The same for what answered by a connection made for this message. There is no better answer to wait for: if it proves
    /// nothing, the operation ends, unless it is the answer to a poll.
    pub(crate) fn feed_by_connection(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox::new(answer.to_vec(), Way::Connection))
    }

    /// The same for an answer that came by TLS in which the server was authenticated and the client showed its own
    /// certificate. It differs only with [`Credential::MutualTls`]: there, such answers need no protection of their own.
    pub fn feed_mutually_authenticated(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.receive(Inbox::new(answer.to_vec(), Way::MutualTls))
    }

    fn receive(&mut self, inbox: Inbox) -> Result<(), Error> {
        let most = self.plan().context.limits.max_message_bytes;
        let Some(State::Sent(Sent { inbox: place, .. })) = self.state_mut() else {
            return Err(Error::new(Code::State, "an answer was fed, but no message is under way"));
        };
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
        self.begun()?.exchange.signer_of(answer, now)
    }

    /// Status data about signers of answers, in place of the settings'.
    pub(crate) fn set_signer_status(&mut self, status: StatusSources) {
        Arc::make_mut(&mut self.plan_mut().context).signer_status = status;
    }

    /// Signers without authority that device memory knows from before: see [`KnownBearers`].
    pub(crate) fn know_bearers(&mut self, known: KnownBearers) {
        self.plan_mut().bearers = Some(known);
    }

    /// The signer without authority that has answered for the certificate since this operation was made or restored; `None`
    /// too where somebody with authority has answered in this transaction.
    pub(crate) fn met_bearer(&self) -> Option<&Certificate> {
        self.begun()?.exchange.met_bearer()
    }

    /// Whether the certificate was answered for by a signer without authority that is known from before.
    pub(crate) fn has_met_known_bearer(&self) -> bool {
        self.begun().is_some_and(|begun| begun.exchange.has_met_known_bearer())
    }

    /// The message under way, DER: what [`Action::Send`] brings, for who carries it later.
    pub fn output(&self) -> Option<&[u8]> {
        match self.state()? {
            State::Sent(Sent { output, .. }) => Some(output),
            _ => None,
        }
    }

    /// messageTime of the last answer that proved authentic; `None` if there is none, or it says no time. What merely arrived is
    /// not among them.
    pub(crate) fn proven_time(&self) -> Option<Time> {
        self.begun()?.exchange.transaction().peer_time
    }

    /// The wait is over, whatever the clock says: for owners who have measured it by other means, since it began by another clock,
    /// in another process, or there is none. The next step polls.
    pub(crate) fn end_wait(&mut self) {
        if let Some(State::Waiting(Waiting { pause, .. })) = self.state_mut() {
            pause.end();
        }
    }

    /// For owners whose present is proven: a certificate whose time is not waited for when it comes is not waited for later either.
    /// Who only has a clock, which may begin in 1970, waits on.
    pub fn bound_validity(&mut self) {
        self.plan_mut().bounds_validity = true;
    }

    /// Whether the certificate is here and confirmed, and only its notBefore is waited for.
    pub fn waits_for_validity(&self) -> bool {
        matches!(self.state(), Some(State::Waiting(Waiting { then: Then::Valid(_), .. })))
    }

    fn state_mut(&mut self) -> Option<&mut State> {
        match &mut self.course {
            Course::New { .. } => None,
            Course::Begun(begun) => Some(&mut begun.state),
        }
    }

    /// Hands in the signature that [`Action::Sign`] asks for. It is checked with the public key before it is used.
    ///
    /// Errors: nothing is to be signed; the signature does not match (the operation waits for a right one).
    pub fn put_signature(&mut self, signature: &[u8], now: Time) -> Result<(), Error> {
        match &mut self.course {
            Course::New { .. } => Err(none_to_sign()),
            Course::Begun(begun) => begun.put_signature(signature, now),
        }
    }

    /// The issued certificate, from [`Action::Accept`] on; also after a failed confirmation.
    ///
    /// After [`Operation::restore`] it is as it was saved; the next step judges it anew before anything comes of it.
    pub fn issued(&self) -> Option<&Issued> {
        self.state()?.issued().map(Arc::as_ref)
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
        self.decide(self.issued().and_then(|issued| issued.objection.clone()))
    }

    /// For who puts the certificate into use when the operation is done: one that begins later than the clocks may differ is
    /// confirmed at once, so that the CA keeps it, and then [`Action::Wait`] leads to its time. Otherwise the operation is
    /// done without waiting, and [`Issued::warnings`] says from when the certificate is valid.
    pub fn hold_until_valid(&mut self) {
        self.plan_mut().holds_until_valid = true;
    }

    /// The same for one that takes the place of a certificate which is valid until `end`: where the clocks contradict each other, it is the
    /// owner's by which its time is waited for.
    pub(crate) fn hold_beside_one_valid_until(&mut self, end: Time) {
        self.hold_until_valid();
        self.plan_mut().replaces_until = Some(end);
    }

    /// What became of a request for revocation, once that is done.
    pub fn revoked(&self) -> Option<&Revoked> {
        match self.state()? {
            State::Done(Finished::Revoked(revoked)) => Some(revoked),
            _ => None,
        }
    }

    /// What became of a request for several revocations, certificate by certificate, once it is answered.
    pub fn revocations(&self) -> Option<&Revocations> {
        match self.state()? {
            State::Done(Finished::Revocations(revocations)) => Some(revocations),
            _ => None,
        }
    }

    /// The answer to a question, once it is here.
    pub fn information(&self) -> Option<&Information> {
        match self.state()? {
            State::Done(Finished::Information(information)) => Some(information),
            _ => None,
        }
    }

    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.plan().request
    }

    /// The settings.
    pub fn context(&self) -> &Arc<Context> {
        &self.plan().context
    }

    /// Whether a certificate waits for [`Operation::accept`] or [`Operation::reject`].
    pub fn is_deciding(&self) -> bool {
        matches!(self.state(), Some(State::Deciding(_)))
    }

    /// Whether the last answer proved nothing: nothing that it says is to be learnt, its time neither.
    pub(crate) fn has_dropped_answer(&self) -> bool {
        self.begun().is_some_and(|begun| begun.exchange.has_dropped())
    }

    /// Whether an answer was refused for its time alone, and is kept: by a clock that is wrong, perhaps.
    pub(crate) fn keeps_answer(&self) -> bool {
        self.begun().is_some_and(|begun| begun.exchange.kept_answer().is_some())
    }

    /// Whether an answer is here that the last step could not look at, because the device could not do its part: its key is away. The next
    /// step looks at it; nothing is to be sent.
    pub(crate) fn holds_answer(&self) -> bool {
        matches!(self.state(), Some(State::Sent(sent)) if sent.holds_answer())
    }

    /// Whether the operation is over, as wished.
    pub fn is_done(&self) -> bool {
        matches!(self.state(), Some(State::Done(_)))
    }

    /// Whether the operation is over without success.
    pub fn has_failed(&self) -> bool {
        match &self.course {
            Course::New { failure, .. } => failure.is_some(),
            Course::Begun(begun) => matches!(begun.state, State::Failed { .. }),
        }
    }

    /// transactionID, once the first message is built.
    pub fn transaction_id(&self) -> Option<&[u8]> {
        self.begun().map(|begun| &begun.exchange.transaction().id[..])
    }

    /// What became of each certificate that was asked for, in the order of the requests: the certificate once it is confirmed, or why
    /// there is none. Where one is asked for, it is that one. Of an operation that has failed, those that were confirmed before
    /// are the device's all the same.
    pub fn certificates(&self) -> Vec<Result<&Issued, Error>> {
        match &self.course {
            Course::Begun(begun) => begun.exchange.certificates(&begun.state),
            Course::New { plan, failure } => {
                let none = || Err(failure.clone().unwrap_or_else(not_known_yet));
                plan.request.certificates().iter().map(|_| none()).collect()
            }
        }
    }

    /// Roots that came with the certificate and were believed because the settings say so, once the operation is done: to be kept as
    /// anchors, so that what comes later is believed under them.
    pub fn roots_taken(&self) -> Vec<TakenRoot> {
        match (&self.course, self.issued()) {
            (Course::Begun(begun), Some(issued)) if self.is_done() => begun.exchange.roots_taken(issued),
            _ => Vec::new(),
        }
    }

    fn decide(&mut self, rejection: Option<Error>) -> Result<(), Error> {
        let not_now = || Error::new(Code::State, "no certificate waits for a decision");
        let state = self.state_mut().ok_or_else(not_now)?;
        let State::Deciding(issued) = state else { return Err(not_now()) };
        *state = State::Decided { issued: Arc::clone(issued), rejection };
        Ok(())
    }
}

/// Where a step began, once it has gone on from there.
#[derive(Default)]
struct Start {
    exchange: Option<Exchange>,
    state: Option<State>,
}

impl Start {
    /// The exchange goes on: where it stands is known before.
    fn by<'e>(&mut self, exchange: &'e mut Exchange) -> &'e mut Exchange {
        self.exchange.get_or_insert_with(|| exchange.clone());
        exchange
    }
}

impl Begun {
    /// As far as possible without the owner.
    fn run(&mut self, now: Time) -> Result<(), Error> {
        let mut start = Start::default();
        loop {
            match self.advance(self.exchange.corrected(now), &mut start) {
                Ok(Next::Look) => {}
                Ok(Next::Ask) => return Ok(()),
                Err(Halt::Refused(error)) => {
                    if let State::Sent(Sent { inbox, .. }) = &mut self.state {
                        *inbox = None;
                    }
                    return Err(error);
                }
                Err(Halt::Unable(error)) => {
                    self.goes_back(start);
                    return Err(error);
                }
                Err(Halt::Failed(error)) => return Err(self.fail(error)),
            }
        }
    }

    /// The device could not do its part: the operation stands again where the step began, and keeps the answer that it was about.
    fn goes_back(&mut self, start: Start) {
        if let Some(exchange) = start.exchange {
            self.exchange = exchange;
        }
        if let Some(state) = start.state {
            self.state = state;
        }
        if let State::Sent(Sent { inbox: Some(inbox), .. }) = &mut self.state {
            inbox.is_held = true;
        }
    }

    /// One transition. What it leaves behind is put aside.
    fn advance(&mut self, now: Time, start: &mut Start) -> Result<Next, Halt> {
        let Begun { exchange, state, is_restored } = self;
        let back = core::mem::take(is_restored).then(|| exchange.comes_back(now));
        exchange.check_total_time(state, now)?;
        let later = exchange.later_clock(now);
        if back.is_some() {
            exchange.judge_restored(state, now)?;
        }
        let next = match state {
            State::Begin => start.by(exchange).first(now)?,
            State::OtherVersion(version) => start.by(exchange).first_with_version(*version, now)?,
            State::Sent(Sent { output, under_way, inbox, asked_at }) => match inbox {
                None => {
                    *asked_at = Some(now);
                    return Ok(Next::Ask);
                }
                Some(answer) => {
                    let asked_at = asked_at.unwrap_or(now);
                    let mut next = start.by(exchange).answered(answer, (under_way, Some(output)), asked_at, now)?;
                    exchange.check_time_in_vain(&next, asked_at)?;
                    if let (true, State::Waiting(Waiting { pause, seconds, .. })) = (exchange.has_dropped(), &mut next)
                    {
                        // Not looked at again as of a time that the dropped answer may have said.
                        *seconds = u32::try_from(pause.until.since(asked_at)).unwrap_or(0);
                        *state = next;
                        return Ok(Next::Ask);
                    }
                    next
                }
            },
            State::Waiting(waiting) => {
                if let (Then::Valid(issued), true) = (&waiting.then, exchange.plan().bounds_validity) {
                    exchange.still_worth_waiting_for(issued, later)?;
                }
                let left = match &waiting.then {
                    Then::Valid(issued) => {
                        let ripens = exchange.ripens(issued.certificate.not_before(), now);
                        match waiting.pause.is_ended() {
                            true => 0,
                            false => {
                                waiting.pause = Pause::saved(ripens.until, None);
                                ripens.left_seconds
                            }
                        }
                    }
                    Then::Poll(..) => waiting.pause.left_seconds(now, back),
                };
                if left > 0 {
                    waiting.seconds = u32::try_from(left).unwrap_or(u32::MAX);
                    return Ok(Next::Ask);
                }
                start.by(exchange).waited(waiting, now)?
            }
            State::Decided { issued, rejection } => start.by(exchange).decided(issued, rejection.as_ref(), now)?,
            State::SignPossession { .. } | State::SignMessage { .. } | State::Deciding(_) | State::Done(_) => {
                return Ok(Next::Ask);
            }
            State::Failed { error, .. } => return Err(Halt::Failed(error.clone())),
        };
        let before = core::mem::replace(state, next);
        start.state.get_or_insert(before);
        Ok(Next::Look)
    }

    /// What is to be signed.
    fn to_sign(&self) -> Option<SignRequest> {
        match &self.state {
            State::SignPossession { proof, algorithm } => {
                Some(SignRequest { role: SignRole::NewKey, algorithm: *algorithm, message: proof.message().to_vec() })
            }
            State::SignMessage { unprotected, .. } => match &self.exchange.plan().context.credential {
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

    fn put_signature(&mut self, signature: &[u8], now: Time) -> Result<(), Error> {
        let now = self.exchange.corrected(now);
        let wanted = self.to_sign().ok_or_else(none_to_sign)?;
        let Plan { context, request, .. } = self.exchange.plan();
        let spki = match wanted.role {
            SignRole::NewKey => request.new_key().map_or(&[][..], Signer::spki),
            SignRole::Protection => protection_spki(context),
        };
        let verified = context.provider.verify(&wanted.algorithm, spki, &wanted.message, signature, false);
        verified.map_err(|e| Error::caused_by(Code::Signer, e).context("the external key's signature"))?;
        let before = self.exchange.clone();
        let next = match &self.state {
            State::SignPossession { proof, algorithm } => {
                self.exchange.possession_signed(proof, *algorithm, signature, now)
            }
            State::SignMessage { unprotected, under_way } => {
                Ok(self.exchange.protected(unprotected, Some(signature), under_way.clone()))
            }
            _ => Err(none_to_sign()),
        };
        match next.map_err(Halt::from) {
            Ok(next) => self.state = next,
            Err(Halt::Failed(error)) => return Err(self.fail(error)),
            Err(Halt::Unable(error) | Halt::Refused(error)) => {
                self.exchange = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the operation. A certificate that was accepted here but not confirmed there is a case of its own: it must
    /// not be used before it is resolved with the CA.
    fn fail(&mut self, error: Error) -> Error {
        if let State::Failed { error: known, .. } = &self.state {
            return known.clone();
        }
        let Plan { context, request, .. } = self.exchange.plan();
        let error = diagnose(error, context, request.body(), &[]);
        let under_way = self.state.under_way();
        let is_to_be_signed = matches!(self.state, State::SignMessage { .. });
        let error = match under_way.and_then(|under_way| under_way.rejection()) {
            Some(rejection) => rejection.clone(),
            None if under_way.is_some_and(|under_way| under_way.is_confirming()) && !is_to_be_signed => {
                let facts = error.facts().clone();
                let words = format!("a certificate was issued, but its confirmation failed: {error}");
                Error::new(Code::Unconfirmed, words).with(|f| *f = facts).breaks(CONFIRMATION)
            }
            None => error,
        };
        self.state = State::Failed { error: error.clone(), issued: self.state.issued().map(Arc::clone) };
        error
    }
}

fn none_to_sign() -> Error {
    Error::new(Code::State, "a signature was handed in, but none is asked for")
}

fn not_known_yet() -> Error {
    Error::new(Code::State, "nothing is known of this certificate yet")
}

fn protection_spki(context: &Context) -> &[u8] {
    match &context.credential {
        Credential::Signature { signer, .. } => signer.spki(),
        Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
    }
}

/// The year 0, in which GeneralizedTime begins.
const FIRST: Time = Time::from_unix(-62_167_219_200);

/// Refuses a present that GeneralizedTime (RFC 5280 section 4.1.2.5.2) cannot name, before anything is sent by it.
pub(crate) fn check_present(now: Time) -> Result<(), Error> {
    match (FIRST..=Time::FOREVER).contains(&now) {
        true => Ok(()),
        false => {
            let words = format!(
                "the present: expected seconds since 1970, up to {}, found {}: are these milliseconds?",
                Time::FOREVER.unix(),
                now.unix()
            );
            Err(Error::new(Code::InvalidArgument, words))
        }
    }
}
