//! Devices without a clock: the time comes from messageTime in answers of the CA, once they have proved authentic.
//!
//! Such a time is a lower bound: it is at least as late as the CA said. It is kept in device memory
//! ([`Store::note_time`](crate::store::Store::note_time)) and goes back only when two answers agree that it was wrong; how far
//! one answer is believed stands in `learning`.

use std::sync::Arc;
use std::time::Instant;

use super::learning::{self, Learnt, Said};
use crate::asn1::cmp::PkiMessage;
use crate::asn1::x509::Certificate;
use crate::client::Client;
use crate::client::run::{Decision, Event, Owner};
use crate::cmp::{Issued, Operation, SignRequest};
use crate::error::Error;
use crate::limits::Limits;
use crate::store::Store;
use crate::time::Time;
use crate::transport::Exchange;

/// Tells an operation the time, and learns it from the operation's authentic answers.
///
/// With a clock, the present goes on from what the clock said. Without one, it is the lower bound before an answer came;
/// an answer is judged as of its own messageTime, if that is not before the lower bound: who could forge it could forge
/// the answer, and the nonces show that it is no old one (RFC 9483 section 3.1). Either way the time is
/// [learnt](Timekeeper::learn) only when the operation has proved the answer authentic.
pub struct Timekeeper<'a> {
    owner: &'a mut dyn Owner,
    start: Time,
    /// When the clock said `start`; `None`: there is no clock.
    began: Option<Instant>,
    waited_seconds: i64,
    /// messageTime of the latest answer by which it is judged, not to be trusted before the operation has taken it.
    said: Option<Time>,
    /// `said` and what was waited since, before the latest answer came.
    before: Option<(Option<Time>, i64)>,
    /// messageTime of the latest answer.
    heard: Option<Time>,
    /// messageTime of the latest answer that the operation has found authentic.
    proven: Option<Time>,
    /// An answer that says an earlier time than the lower bound is judged by it as well.
    hears_earlier: bool,
    /// No time from here on is believed: the end of the anchors.
    latest: Time,
}

impl<'a> Timekeeper<'a> {
    /// With a clock that says `now`.
    pub fn with_clock(owner: &'a mut dyn Owner, now: Time) -> Self {
        Timekeeper { began: Some(Instant::now()), ..Timekeeper::without_clock(owner, now) }
    }

    /// Without a clock: it is at least this late.
    pub fn without_clock(owner: &'a mut dyn Owner, at_least: Time) -> Self {
        Timekeeper {
            owner,
            start: at_least,
            began: None,
            waited_seconds: 0,
            said: None,
            before: None,
            heard: None,
            proven: None,
            hears_earlier: false,
            latest: LATEST,
        }
    }

    /// No time at or after this one is believed: the end of the last anchor.
    #[must_use]
    pub fn up_to(mut self, latest: Time) -> Self {
        self.latest = self.latest.min(latest);
        self
    }

    /// For a question about nothing but the time: an answer is judged as of its own messageTime also if that is earlier
    /// than the lower bound, which may have been learnt from a clock that was wrong.
    #[must_use]
    pub fn hearing_earlier(mut self) -> Self {
        self.hears_earlier = true;
        self
    }

    fn believes(&self, time: Time) -> bool {
        (Time::from_unix(0)..self.latest).contains(&time)
    }

    /// How long it has been running, in seconds: waited, or passed by a clock that was given.
    pub(super) fn passed_seconds(&self) -> i64 {
        let passed = self.began.map_or(0, |began| i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX));
        passed.max(self.waited_seconds)
    }

    /// What the latest authentic answer said: the last one that came, if it ended the operation by an authentic error; else the
    /// last one that the operation went on from, or ended well with, if its signer may speak for the CA. From then on it is the
    /// lower bound.
    pub fn learn<T>(&mut self, outcome: &Result<T, Error>) -> Option<Time> {
        let is_refusal = outcome.as_ref().is_err_and(|error| error.facts().server_authenticated);
        let (said, heard, proven) = (self.said.take(), self.heard.take(), self.proven.take());
        let learnt = if is_refusal { heard } else { proven };
        let has_ended = outcome.is_ok() || is_refusal;
        if let (Some(said), true, None) = (said, has_ended && learnt.is_some(), self.began) {
            (self.start, self.waited_seconds) = (said, 0);
        }
        learnt
    }
}

impl Owner for Timekeeper<'_> {
    fn now(&mut self) -> Time {
        match self.began {
            // Whoever waits by other means than sleeping, as tests do, is later by that.
            Some(began) => {
                let passed = i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX);
                self.start.plus(passed.max(self.waited_seconds))
            }
            None => self.said.unwrap_or(self.start).plus(self.waited_seconds),
        }
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.owner.wait(seconds, reason)?;
        self.waited_seconds = self.waited_seconds.saturating_add(i64::from(seconds));
        Ok(())
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        self.owner.decide(issued)
    }

    fn sign(&mut self, request: &SignRequest) -> Result<Vec<u8>, Error> {
        self.owner.sign(request)
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        self.proven = operation.proven_time().filter(|time| self.believes(*time));
        if let (true, Some(before)) = (operation.has_dropped_answer(), self.before.take()) {
            // Nobody's word: it is as late as it was before.
            self.heard = None;
            if self.began.is_none() {
                (self.said, self.waited_seconds) = before;
            }
        }
        self.owner.checkpoint(operation)
    }

    fn finished(&mut self, operation: &Operation) {
        self.proven = operation.proven_time().filter(|time| self.believes(*time));
        self.owner.finished(operation);
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Received { message, .. } = &event {
            let message = PkiMessage::from_der(message.to_vec(), &Limits::default()).ok();
            let time = message.and_then(|message| message.header().message_time);
            self.heard = time.filter(|time| self.believes(*time));
            self.before = Some((self.said, self.waited_seconds));
            let is_bound = self.began.is_none() && !self.hears_earlier;
            // An answer without a time leaves the present where the one before has put it.
            if let Some(said) = self.heard.filter(|time| !is_bound || *time >= self.start) {
                self.said = Some(said);
                if self.began.is_none() {
                    self.waited_seconds = 0;
                }
            }
        }
        self.owner.observe(event);
    }
}

/// No messageTime at or after the year 9000 is believed: one at the end of the calendar would be a mistake for ever.
pub(super) const LATEST: Time = Time::from_unix(221_845_392_000);

impl Client {
    /// The same client for a device without a clock: it tells no time in its messages, does not compare those in answers
    /// with its own, and counts how long an operation takes by the times in the answers alone, as the first one may be years after its
    /// beginning.
    #[must_use]
    pub fn without_clock(&self) -> Client {
        let mut client = self.clone();
        let context = Arc::make_mut(&mut client.context);
        (context.send_message_time, context.message_time_window_seconds) = (false, None);
        context.total_seconds_by_answers.get_or_insert(context.limits.max_total_seconds);
        context.limits.max_total_seconds = u32::MAX;
        client
    }

    /// The same client for questions whose being answered is evidence: only who may speak for the CA answers them, not who can
    /// bring what proves itself.
    #[must_use]
    pub(super) fn heeding_authority_alone(&self) -> Client {
        let mut client = self.clone();
        Arc::make_mut(&mut client.context).tolerance.unauthorised_bearer = false;
        client
    }

    /// The same client for owners who keep account of their clock: see [`Context::follow_authentic_time`](crate::cmp::Context).
    #[must_use]
    pub(in crate::client) fn following_authentic_time(&self) -> Client {
        let mut client = self.clone();
        Arc::make_mut(&mut client.context).follow_authentic_time = true;
        client
    }

    /// Runs an operation of a client [without a clock](Client::without_clock), and keeps the time that was learnt in
    /// device memory.
    ///
    /// `at_least`: a lower bound known otherwise, such as the build date of the firmware; what device memory knows counts
    /// if it is later.
    ///
    /// What was learnt is returned, also beside an error; `None`: no authentic answer had a time, or the first one was more
    /// than a year ahead of what is known, or before it, and a second one has to confirm it.
    pub fn complete_without_clock(
        &self,
        operation: &mut Operation,
        store: &Store,
        at_least: Time,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> (Result<(), Error>, Option<Time>) {
        let known = match store.last_known_time() {
            Ok(known) => known.map_or(at_least, |known| known.max(at_least)),
            Err(error) if error.is_of_no_use() => at_least,
            Err(error) => return (Err(error.into()), None),
        };
        let mut keeper = Timekeeper::without_clock(owner, known).up_to(self.end_of_anchors());
        let outcome = self.complete_over(operation, exchange, &mut keeper);
        match self.learn_into(store, &mut keeper, &outcome) {
            Ok(noted) => (outcome, noted),
            Err(error) => (outcome.and(Err(error)), None),
        }
    }

    /// Keeps what an operation [without a clock](Client::without_clock) has taught in device memory, and says how late it is
    /// now; `None` if no authentic answer had a time, or one that a second answer has to confirm.
    pub fn learn_into<T>(
        &self,
        store: &Store,
        keeper: &mut Timekeeper<'_>,
        outcome: &Result<T, Error>,
    ) -> Result<Option<Time>, Error> {
        let Some(said) = keeper.learn(outcome) else { return Ok(None) };
        let said = Said { at: said, is_carried: false };
        Ok(match learning::take_in(store, said, None, self.end_of_anchors())? {
            Learnt::Time(time) => Some(time),
            Learnt::InQuestion(_) | Learnt::Nothing => None,
        })
    }

    /// The end of the last anchor: an authority that says a later time is wrong. Where none has an end, the year 9000.
    pub fn end_of_anchors(&self) -> Time {
        let context = self.context();
        let anchors = context.cmp_anchors.iter().chain(context.enrolment_anchors.iter());
        anchors.map(Certificate::not_after).max().unwrap_or(LATEST).min(LATEST)
    }
}

impl std::fmt::Debug for Timekeeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timekeeper").field("start", &self.start).finish_non_exhaustive()
    }
}
