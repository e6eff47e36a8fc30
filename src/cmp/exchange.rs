//! The messages of one operation, once it has begun: what was asked for, by what means, and the transaction that they belong to.
//! Where the operation stands is not part of it: each step here answers the next [`State`].
//!
//! What is particular to one kind of exchange stands in a file of its own: `enrolment`, `several`, `encapsulation`; what an answer
//! leads to, in `answered`; what is taken from whom, in `weighing`.

mod answered;
mod delay;
mod encapsulation;
mod enrolment;
pub(super) mod first_contact;
mod put_off;
mod revocation;
mod several;
mod weighing;

use alloc::sync::Arc;

pub(super) use put_off::PutOff;

use super::bearer::KnownBearers;
use super::context::Context;
use super::credential::Credential;
use super::parts::Several;
use super::request::{Request, RevocationRequest};
use super::response;
use super::state::{Finished, Halt, Phase, Sent, State, Then, UnderWay, Waiting};
use super::transaction::{Transaction, Unprotected, general_info};
use super::wait::{CLOSE_SECONDS, Return};
use crate::asn1::cmp::{BodyType, poll};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Signer;
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const POLLING_ENDS: Rule = Rule::new("RFC 9483 section 4.4 (D3)", "an answer within the limits on polling");

/// How many answers in vain it takes until an error about the form of pollReq ends what is polled for: about a day's. A server that
/// has lost the transaction goes on saying so.
const MOST_IN_VAIN: u32 = 30;
/// How many answers that prove nothing end what is polled for where no clock tells that its time is over: those of ten days.
const MOST_DROPPED: u32 = 245;

/// What is wanted, and by what means: all that an operation is before it has begun.
#[derive(Clone)]
pub(super) struct Plan {
    pub context: Arc<Context>,
    pub request: Request,
    /// Whether it ends only once the certificate is valid.
    pub holds_until_valid: bool,
    /// The end of the certificate that it is to take the place of, while that is of use.
    pub replaces_until: Option<Time>,
    /// Whether that wait is bound: see [`Operation::bound_validity`](super::Operation::bound_validity).
    pub bounds_validity: bool,
    /// Signers without authority that are known from before; `None` where there is no device memory that would know.
    pub bearers: Option<KnownBearers>,
}

impl Plan {
    pub fn new(context: Arc<Context>, request: Request) -> Self {
        Plan { context, request, holds_until_valid: false, replaces_until: None, bounds_validity: false, bearers: None }
    }
}

/// How often it was asked in vain.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub polls: u32,
    /// Answers to polls that led nowhere: each makes the next wait longer.
    pub dropped: u32,
    /// Authentic errors, one after the other, that say that something else arrived than was sent.
    pub misread: u32,
}

/// When a certificate comes into use.
pub(super) struct Ripens {
    /// By the owner's clock.
    pub until: Time,
    /// From now; none if it does at once.
    pub left_seconds: i64,
}

/// The messages of an operation. A copy is where it stood, to go back to.
#[derive(Clone)]
pub(super) struct Exchange {
    plan: Arc<Plan>,
    transaction: Transaction,
    counts: Counts,
    /// What becomes of each of several certificates.
    several: Several,
    /// The version to speak because the server does not know the first one.
    other_version: Option<i64>,
    /// Why the server asks to wait, as it said last: what says nothing about it later takes nothing of that back.
    said: Vec<String>,
    /// Whether the last answer proved nothing and was dropped.
    has_dropped: bool,
    /// An answer that was dropped for its time alone: it is judged once more by the clock of later.
    kept_answer: Option<Vec<u8>>,
    /// The message under way, where nobody with authority has put it off.
    put_off: Option<PutOff>,
    /// By how much the owner's clock was ahead of the last answer's messageTime, and what it said then.
    ahead: Option<(Time, i64)>,
    /// A signer without authority that has answered for the certificate since this was begun or restored.
    met_bearer: Option<Certificate>,
}

impl Exchange {
    /// A new transaction for what is wanted.
    pub fn begin(plan: &Plan, now: Time) -> Result<Self, Error> {
        let transaction = begin_transaction(plan, plan.request.version(), now)?;
        Ok(Exchange::of(plan.clone(), transaction, Counts::default(), None))
    }

    /// One that has begun before.
    pub fn of(plan: Plan, transaction: Transaction, counts: Counts, other_version: Option<i64>) -> Self {
        Exchange {
            plan: Arc::new(plan),
            transaction,
            counts,
            several: Several::default(),
            other_version,
            said: Vec::new(),
            has_dropped: false,
            kept_answer: None,
            put_off: None,
            ahead: None,
            met_bearer: None,
        }
    }

    /// With an answer that was kept when it was saved.
    #[must_use]
    pub fn keeping(mut self, answer: Option<Vec<u8>>) -> Self {
        self.kept_answer = answer;
        self
    }

    /// An answer that was refused for its time alone, by a clock that is wrong, perhaps.
    pub fn kept_answer(&self) -> Option<&[u8]> {
        self.kept_answer.as_deref()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn plan_mut(&mut self) -> &mut Plan {
        Arc::make_mut(&mut self.plan)
    }

    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The message under way, where nobody with authority has put it off.
    pub fn put_off(&self) -> Option<&PutOff> {
        self.put_off.as_ref()
    }

    /// Goes on with a message that was put off before.
    pub fn resume_put_off(&mut self, put_off: Option<PutOff>) {
        self.put_off = put_off;
    }

    pub fn other_version(&self) -> Option<i64> {
        self.other_version
    }

    /// Whether the last answer proved nothing: nothing that it says is to be learnt, its time neither.
    pub fn has_dropped(&self) -> bool {
        self.has_dropped
    }

    /// The signer without authority that has answered for the certificate; `None` too where somebody with authority has
    /// answered in this transaction.
    pub fn met_bearer(&self) -> Option<&Certificate> {
        self.met_bearer.as_ref().filter(|_| self.transaction.bound_signer.is_none())
    }

    /// Who has signed an answer to the message under way, and what can help to its path.
    pub fn signer_of(&self, answer: &[u8], now: Time) -> Option<(Certificate, Vec<Certificate>)> {
        response::signer_of(&self.believing_adopted(&self.plan.context), &self.transaction, answer, now)
    }

    /// The present, once an authentic answer has shown that the owner's clock is wrong and is followed.
    pub fn corrected(&self, now: Time) -> Time {
        now.plus(self.clock_off_seconds())
    }

    /// The owner's clock, of a present that was [corrected](Exchange::corrected).
    pub fn owners_clock(&self, now: Time) -> Time {
        now.plus(-self.clock_off_seconds())
    }

    /// The later one of the two clocks that may be right: the owner's, and the peer's where that is followed. By it certificates
    /// begin: neither of the two holds back what is valid by the other.
    pub fn later_clock(&self, now: Time) -> Time {
        now.max(self.owners_clock(now))
    }

    /// When a certificate that begins then comes into use.
    ///
    /// Where it takes the place of one that is valid by all clocks, that is by the earliest of them, without tolerance: the other goes on being
    /// of use meanwhile, and by whichever clock peers go, one of the two is valid. Else clocks may differ.
    pub fn ripens(&self, begins: Time, now: Time) -> Ripens {
        let (own, skew) = (self.owners_clock(now), i64::from(self.plan.context.clock_skew_seconds));
        if let Some(by) = self.beside_a_valid_one(now) {
            return Ripens { until: begins.plus(own.since(by)), left_seconds: begins.since(by) };
        }
        let is_by_own =
            self.clock_off_seconds() > CLOSE_SECONDS && self.plan.replaces_until.is_some_and(|end| begins <= end);
        let off = if is_by_own { 0 } else { self.clock_off_seconds().max(0) };
        let from = begins.plus(-skew);
        Ripens { until: from.plus(-off), left_seconds: from.since(self.ripens_by(begins, now)) }
    }

    /// The earliest of the clocks, where the certificate that is to be replaced is valid by all of them.
    fn beside_a_valid_one(&self, now: Time) -> Option<Time> {
        let end = self.plan.replaces_until?;
        let latest = self.later_clock(now).max(self.transaction.peer_time.unwrap_or(now));
        // Who has no clock has the answers' time alone, and asks for it when it may have come, within what clocks may differ.
        (self.plan.context.send_message_time && latest <= end).then(|| self.earliest_clock(now))
    }

    /// The owner's clock, less what it was ahead of the last answer, unless it was set back since.
    fn earliest_clock(&self, now: Time) -> Time {
        let own = self.owners_clock(now);
        let ahead = self.ahead.filter(|(said, _)| *said <= own).map_or(0, |(_, ahead)| ahead.max(0));
        now.min(own.plus(-ahead))
    }

    /// The clock by which a certificate that begins then is waited for: the latest that is authentic, so that none holds back what is valid
    /// by another. Where it would take the place of one that is valid until then, and the clocks contradict each other, the owner's: one
    /// wrong word of the CA does not end what is valid. Who knows no time at all has nothing to wait by: it begins now.
    fn ripens_by(&self, begins: Time, now: Time) -> Time {
        let own = self.owners_clock(now);
        let peer = self.transaction.peer_time;
        if self.waits_by_own(begins, own) {
            return own;
        }
        if !self.plan.context.send_message_time && peer.is_none() && self.plan.replaces_until.is_none() {
            return now.max(begins);
        }
        self.later_clock(now).max(peer.unwrap_or(now))
    }

    fn waits_by_own(&self, begins: Time, own: Time) -> bool {
        begins.since(own) > CLOSE_SECONDS && self.plan.replaces_until.is_some_and(|end| own <= end && begins <= end)
    }

    pub fn clock_off_seconds(&self) -> i64 {
        self.transaction.clock_off_seconds
    }

    /// The first message.
    pub fn first(&mut self, now: Time) -> Result<State, Error> {
        if self.plan.context.credential.is_kem() {
            return self.ask_for_ciphertext(now);
        }
        self.begin_request(now)
    }

    /// The first message once more, with the version that the server knows, in a new transaction.
    pub fn first_with_version(&mut self, version: i64, now: Time) -> Result<State, Error> {
        self.other_version = Some(version);
        let mut transaction = begin_transaction(&self.plan, version, now)?;
        (transaction.started, transaction.elapsed) = (self.transaction.started, self.transaction.elapsed);
        transaction.clock_off_seconds = self.transaction.clock_off_seconds;
        self.transaction = transaction;
        self.first(now)
    }

    /// Makes the request, once it can be protected.
    fn begin_request(&mut self, now: Time) -> Result<State, Error> {
        match &self.plan.request {
            Request::Certificate(_) => self.begin_enrolment(now),
            Request::Certificates(_) => self.begin_several(now),
            Request::Revocation(_) | Request::Revocations(_) => {
                let requests = self.plan.request.revocations();
                requests.iter().try_for_each(|request| request.check_validity(&self.plan.context, now))?;
                self.send_first(&RevocationRequest::content(requests), now)
            }
            Request::Information(question) => self.send_first(&question.content(), now),
        }
    }

    /// Sends the request with this content.
    fn send_first(&mut self, content: &[u8], now: Time) -> Result<State, Error> {
        self.send(UnderWay::new(self.plan.request.body(), Phase::Request), content, 2, now)
    }

    /// Writes a message and protects it, or asks for the signature.
    fn send(&mut self, under_way: UnderWay, content: &[u8], pvno: i64, now: Time) -> Result<State, Error> {
        let context = Arc::clone(&self.plan.context);
        let transaction = &mut self.transaction;
        let info = match under_way.phase {
            Phase::Encapsulation => Vec::new(),
            _ => general_info(&context, &self.plan.request, under_way.body),
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
            Credential::Signature { signer: Signer::Key(key), algorithm, .. } => {
                Some(key.sign(algorithm, &unprotected.protected_part()).map_err(|e| {
                    Error::caused_by(Code::Signer, e).context(&format!("protection of {}", under_way.body))
                })?)
            }
            Credential::Signature { signer: Signer::Deferred { .. }, .. } => {
                return Ok(State::SignMessage { unprotected, under_way });
            }
        };
        Ok(self.protected(&unprotected, protection.as_deref(), under_way))
    }

    /// A message with its protection is out.
    pub fn protected(&self, unprotected: &Unprotected, protection: Option<&[u8]>, under_way: UnderWay) -> State {
        let output = self.transaction.finish(&self.plan.context, unprotected, protection);
        State::Sent(Sent { output, under_way, inbox: None, asked_at: None })
    }

    /// What the server said last about the delay.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// The server says this about the delay, or nothing; what holds of all that it has said.
    pub fn hears(&mut self, words: &[String]) -> Vec<String> {
        if words.iter().any(|text| !text.trim().is_empty()) {
            self.said = words.to_vec();
        }
        self.said.clone()
    }

    /// Asks again. `reason`: what the server said last about the delay.
    pub fn poll(
        &mut self,
        under_way: &UnderWay,
        cert_req_id: i64,
        reason: &[String],
        now: Time,
    ) -> Result<State, Error> {
        self.count_poll(reason)?;
        let ids = match under_way.phase {
            Phase::Request if cert_req_id >= 0 && !self.several.open().is_empty() => self.several.open(),
            _ => vec![cert_req_id],
        };
        let (body, phase) = (BodyType::POLLREQ, under_way.phase.clone());
        self.send(UnderWay { body, phase, polling: Some(cert_req_id) }, &poll::poll_req(&ids), 2, now)
    }

    /// One more poll, within the limit.
    fn count_poll(&mut self, reason: &[String]) -> Result<(), Error> {
        let most = self.plan.context.limits.max_polls;
        if self.counts.polls >= most {
            let reasons: Vec<String> = reason.iter().map(|reason| crate::words::quoted(reason)).collect();
            let said = if reasons.is_empty() { String::new() } else { format!("; it says {}", reasons.join(", ")) };
            let words = format!("the server is still waiting after {most} polls (max_polls){said}");
            return Err(Error::new(Code::PollExhausted, words).breaks(POLLING_ENDS));
        }
        self.counts.polls += 1;
        Ok(())
    }

    /// Whoever measures the waits for polls ends each of them, so that they are no time that is over. One odd clock ends
    /// nothing by this: it takes answers in vain, a day's, and the time; or ten days' of them, where no clock goes on.
    pub fn check_time_in_vain(&self, state: &State, now: Time) -> Result<(), Error> {
        if !self.has_dropped || self.counts.dropped <= MOST_IN_VAIN {
            return Ok(());
        }
        if self.counts.dropped > MOST_DROPPED {
            let words = format!("{} answers to polls proved nothing, one after the other", self.counts.dropped);
            return Err(Error::new(Code::PollExhausted, words).breaks(POLLING_ENDS));
        }
        self.check_total_time(state, now)
    }

    /// Somebody has come back to what was saved.
    pub fn comes_back(&mut self, now: Time) -> Return {
        Return { started: self.transaction.started, stands: self.looks(now) }
    }

    /// Something is done, at that time: whether its owner's clock has stood since the last time.
    pub fn looks(&mut self, now: Time) -> bool {
        let (by_owner, most) = (self.owners_clock(now), self.plan.context.most_seconds());
        self.transaction.elapsed.looks(by_owner, most)
    }

    pub fn check_total_time(&self, state: &State, now: Time) -> Result<(), Error> {
        // The time bounds how long a decision is waited for. Once the certificate is here, it is confirmed however long that took,
        // and whatever the clock was when the operation began: unconfirmed, it helps nobody.
        let is_bound = match state {
            // A poll that is out, or due by another measure than this clock: what the server says counts. If that is waiting
            // once more, the time is over.
            // What is to be looked at once more is looked at first.
            State::Sent(sent) if sent.holds_answer() => false,
            State::Sent(Sent { under_way, .. }) => !under_way.is_confirming() && under_way.polling.is_none(),
            State::Waiting(Waiting { pause, then: Then::Poll(under_way, _), .. }) => {
                !under_way.is_confirming() && pause.until > now
            }
            _ => false,
        };
        let Plan { context, .. } = &*self.plan;
        let (most, has_clock) = (context.most_seconds(), context.total_seconds_by_answers.is_none());
        let passed = self.transaction.elapsed.seconds(has_clock.then(|| self.owners_clock(now)), most);
        if !is_bound || passed <= i64::from(most) {
            return Ok(());
        }
        let began = if has_clock { format!(" began {} and", self.transaction.started) } else { String::new() };
        let words =
            format!("the operation{began} takes {passed} seconds by now; it may take {most} (max_total_seconds)");
        Err(Error::new(Code::PollExhausted, words).breaks(POLLING_ENDS))
    }

    /// The owner, or what is wrong with it, has decided on a certificate.
    pub fn decided(
        &mut self,
        issued: &Arc<super::issued::Issued>,
        rejection: Option<&Error>,
        now: Time,
    ) -> Result<State, Error> {
        match self.plan.request {
            Request::Certificates(_) => self.one_of_several_decided(issued, rejection, now),
            _ => self.one_decided(issued, rejection, now),
        }
    }

    /// What follows once a wait is over.
    pub fn waited(&mut self, waiting: &Waiting, now: Time) -> Result<State, Halt> {
        match &waiting.then {
            Then::Valid(issued) => Ok(State::Done(Finished::Certificate(Arc::clone(issued)))),
            Then::Poll(under_way, cert_req_id) => {
                self.transaction.elapsed.waited(waiting.pause.lasted_seconds());
                self.looks(now);
                if let Some(state) = self.looked_again(under_way, now)? {
                    return Ok(state);
                }
                if let Some(state) = self.send_again(under_way, &waiting.reason)? {
                    return Ok(state);
                }
                Ok(self.poll(under_way, *cert_req_id, &waiting.reason, now)?)
            }
        }
    }
}

/// A new transaction, if the credential can protect it.
fn begin_transaction(plan: &Plan, version: i64, now: Time) -> Result<Transaction, Error> {
    if !plan.request.is_update() && plan.request.revocations().is_empty() {
        // Those two have words of their own: the certificate is what they are about.
        plan.context.check_credential_at(now)?;
    }
    Transaction::begin(&plan.context, version, now)
}
