//! What becomes of a step: how it went is remembered, and what nothing can come of is given up.

use super::{Done, Renewal, Report};
use crate::asn1::cmp::BodyType;
use crate::client::install::give_up;
use crate::client::renewal::learning::Told;
use crate::client::renewal::nap::{Napped, Obstacle};
use crate::client::renewal::plan::{Alarm, Plan, Standing, Step};
use crate::client::renewal::progress::Progress;
use crate::client::renewal::witnesses::validity;
use crate::codes::{Class, Code};
use crate::crypto::CryptoError;
use crate::error::Error;
use crate::store::{Problem, ProblemKind, PublicPart};
use crate::time::Time;

impl Renewal<'_> {
    /// Nothing is due by the time that was learnt; how long. A clock that is not believed measures it. `before`: how long the rest before
    /// was; `None`: a certificate came into use just now.
    pub(super) fn rest(&self, told: Told, clock: Option<Time>, before: Option<u32>) -> Result<u32, Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let Some(wait_seconds) = planner.rest_by_answer(store, name, told, clock, before)? else { return Ok(1) };
        planner.note_rest(store, name, wait_seconds, clock)
    }

    pub(super) fn nothing_learnt(
        &self,
        plan: Plan,
        error: Error,
        napped: &Napped,
        clock: Option<Time>,
        seen: &Progress,
    ) -> Result<Report, Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let wait_seconds = match () {
            () if napped.is_own(&error) => planner.note_own(store, name, &error, clock, seen)?,
            () if planner.is_under_way(&error) => {
                planner.note_under_way(store, name, &plan.step, napped.is_still_out.get(), clock, seen)?
            }
            () => planner.note_failure(store, name, &plan.step, &error, clock)?,
        };
        Ok(Report { plan, outcome: Err(error), learnt: None, wait_seconds })
    }

    /// Remembers how it went, and says when to come back. `clock`: what the clock says now. `seen`: what was remembered before
    /// the attempt.
    pub(super) fn conclude(
        &self,
        plan: Plan,
        outcome: Result<Done, Error>,
        napped: &Napped,
        told: Option<Told>,
        clock: Option<Time>,
        seen: &Progress,
    ) -> Result<Report, Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let is_about_identity = !matches!(plan.step, Step::AskForRoot(_));
        let learnt = told.map(|told| told.now);
        let book = clock.or(learnt);
        let (outcome, wait_seconds) = match (outcome, napped.refused_seconds.get()) {
            (Err(_), Some(seconds)) if !is_about_identity => {
                let book = plan.clock.at_least().or(book);
                (Ok(Done::Waiting), planner.note_root_waiting(store, name, &plan.step, seconds, book)?)
            }
            (Err(_), Some(seconds)) => {
                planner.note_in_vain(store, name, false)?;
                let waits = napped.waits.get().max(seen.waits.saturating_add(1));
                let wait = planner.note_waits(store, name, seconds, waits, book)?;
                if napped.doubts_clock.get() {
                    planner.note_doubt(store, name)?;
                }
                (Ok(Done::Waiting), wait)
            }
            // What its own user ends, or what fails in the program, says nothing about the CA.
            (Err(error), None) if napped.is_own(&error) => {
                let wait = planner.note_own(store, name, &error, book, seen)?;
                (Err(error), wait)
            }
            (Err(error), None) => self.after_failure(&plan, error, napped, book, seen)?,
            (Ok(done), _) if is_about_identity => {
                let is_new = matches!(done, Done::Installed(_));
                let now = book.or(plan.clock.at_least()).filter(|_| is_new);
                planner.note_success_at(store, name, now)?;
                (Ok(done), 1)
            }
            // The next plan knows when to ask for a root again.
            (Ok(done), _) => (Ok(done), 1),
        };
        // Only what was given up leaves something to be done in the same moment: all else goes on later, or a program that
        // does as told could ask without end.
        let wait_seconds = match (&outcome, told, clock.or(learnt)) {
            (Ok(Done::Abandoned(_)), ..) => wait_seconds,
            (Ok(Done::Waiting), Some(_), _) if !is_about_identity => wait_seconds.max(1),
            (Ok(done), Some(told), _) if !matches!(done, Done::Waiting) => {
                let before = (!matches!(done, Done::Installed(_))).then_some(seen.attempts.wait_seconds);
                self.rest(told, clock, before)?
            }
            (.., Some(now)) => planner.plan(store, name, Some(now))?.ask_again_seconds.max(1),
            (.., None) => wait_seconds.max(1),
        };
        Ok(Report { plan, outcome, learnt, wait_seconds })
    }

    fn after_failure(
        &self,
        plan: &Plan,
        error: Error,
        napped: &Napped,
        clock: Option<Time>,
        seen: &Progress,
    ) -> Result<(Result<Done, Error>, u32), Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        // One that nobody has answered within its time, such as before the clock was set, waits for nothing.
        let is_forgotten = error.code() == Code::PollExhausted && napped.is_unanswered.get();
        if is_forgotten || is_too_old(&plan.step, &error) {
            self.give_up(Some(plan))?;
            return Ok((Ok(Done::Abandoned(error)), 0));
        }
        if planner.is_under_way(&error) {
            planner.note_in_vain(store, name, false)?;
            let wait = planner.note_under_way(store, name, &plan.step, napped.is_still_out.get(), clock, seen)?;
            return Ok((Err(error), wait));
        }
        let wait = planner.note_failure(store, name, &plan.step, &error, clock)?;
        if is_unknown_to_all(&plan.step, &error) {
            give_up(self.to)?;
        }
        if plan.step != Step::Resume {
            return Ok((Err(error), wait));
        }
        // A key that was there and cannot sign now is no better than one that is away.
        let is_unsigned = CryptoError::is_device_behind(&error) && error.is_own();
        let obstacle = napped.obstacle.get();
        let lacks_credential = is_unsigned || matches!(obstacle, Some(Obstacle::Credential | Obstacle::Newer));
        if obstacle == Some(Obstacle::Records) || is_taken_for_another(&error) {
            self.give_up(Some(plan))?;
            return Ok((Ok(Done::Abandoned(error)), 0));
        }
        let is_proven = error.facts().server_authenticated;
        // The CA has heard the confirmation before, or takes the transaction for over: it will say so again.
        let is_turned_down = error.code() == Code::Unconfirmed && is_proven;
        let is_in_vain = is_turned_down || lacks_credential || error.class() == Class::Protocol && !is_proven;
        let most = match () {
            () if is_turned_down => MOST_TURNED_DOWN,
            () if lacks_credential => MOST_WITHOUT_CREDENTIAL,
            () => MOST_IN_VAIN,
        };
        // While there is time, what a newer version has begun is left to it.
        let may_come_back =
            obstacle == Some(Obstacle::Newer) && plan.standing.is_usable() && plan.alarm < Alarm::Urgent;
        if planner.note_in_vain(store, name, is_in_vain && !may_come_back)? >= most {
            self.give_up(None)?;
            return Ok((Ok(Done::Abandoned(error)), wait));
        }
        Ok((Err(error), wait))
    }

    /// Gives the unfinished operation up, not the count of what failed.
    fn give_up(&self, is_due_now: Option<&Plan>) -> Result<(), Error> {
        give_up(self.to)?;
        self.planner().note_abandoned(self.to.store, self.to.name, is_due_now)
    }

    /// The time was learnt, and the certificate still begins later: that is a failure, waited out like others. Where a second answer says the
    /// same, another way is tried: the generation before comes back into use, if nobody at all calls it ended, and the next renewal
    /// begins in its time; else a new certificate is asked for, which is right whoever was wrong. `None`: by the plan, as it is now.
    pub(super) fn after_learning(
        &self,
        plan: &mut Plan,
        now: Time,
        clock: Option<Time>,
    ) -> Result<Option<Report>, Error> {
        let (planner, store, name) = (self.planner(), self.to.store, self.to.name);
        let report = |plan: &Plan, wait_seconds| Report {
            plan: plan.clone(),
            outcome: Ok(Done::TimeLearnt),
            learnt: Some(now),
            wait_seconds,
        };
        let early = store.in_use(name)?;
        let witnesses = planner.witnesses(store, &early, now, clock)?;
        let previous = store.previous(name).ok().filter(|previous| store.usable_key(&previous.key).is_ok());
        let previous = previous.map(PublicPart::from);
        let is_valid_then = |of: &PublicPart| (validity(of).0..validity(of).1).contains(&now);
        match previous.filter(is_valid_then) {
            _ if plan.attempts % 2 == 0 => {}
            // Only where nothing else has failed: nobody knows how long it was silent else.
            Some(previous) if plan.attempts == 1 && witnesses.let_back(validity(&previous)) => {
                let back = store.rollback(name)?;
                let text = format!(
                    "generation {} begins at {} only, and the CA's time is {now}: generation {} is in use again",
                    early.generation,
                    early.certificate.not_before(),
                    back.generation
                );
                let place = format!("identity/{name}");
                plan.findings.push(Problem::new(ProblemKind::Clock, &place, &text).mended(true));
                plan.alarm = plan.alarm.max(Alarm::Late);
                return Ok(Some(report(plan, 1)));
            }
            Some(_) => {
                (plan.step, plan.standing) = (Step::EnrollAgain, Standing::NotYetValid);
                return Ok(None);
            }
            None => {}
        }
        let words = "the certificate in use begins later than the CA's time";
        let error = Error::new(Code::NotYetValid, words);
        let wait_seconds = planner.note_failure(store, name, &plan.step, &error, clock.or(Some(now)))?;
        Ok(Some(report(plan, wait_seconds)))
    }
}

/// How often in a row an unfinished operation is continued without an answer that proves anything, or without anything to
/// send, before it is given up. Anybody on the way can send such answers, and the waits between grow to a day.
const MOST_IN_VAIN: u32 = 16;

/// How often in a row the CA itself may turn a confirmation down that is sent again, before a fresh certificate is asked for. The
/// identity in use stays in use.
const MOST_TURNED_DOWN: u32 = 3;

/// How often in a row the credential of an unfinished operation may be missing before it is given up. The waits between grow: that
/// takes days, in which a setting can be put right. What the CA has been asked to approve is not asked for twice.
const MOST_WITHOUT_CREDENTIAL: u32 = 10;

/// PKIFailureInfo transactionIdInUse (RFC 9810 section 5.2.3).
const TRANSACTION_IN_USE: u32 = 1 << 21;

/// PKIFailureInfo badTime: the messageTime was not close to the CA's time.
const BAD_TIME: u32 = 1 << 3;

/// Whether it came up with the request for a certificate itself, and not with what follows it.
fn is_about_request(error: &Error) -> bool {
    error.facts().phase.and_then(BodyType::of).is_some_and(BodyType::asks_for_certificate)
}

/// Whether a new request certainly reached nobody: a fresh one with a fresh time replaces it, instead of this one growing
/// old in device memory.
fn is_unknown_to_all(step: &Step, error: &Error) -> bool {
    let is_new = matches!(step, Step::Enroll | Step::EnrollAgain | Step::Update);
    is_new && error.facts().is_unsent && is_about_request(error)
}

/// Whether the CA has refused a saved request for its age alone: it was made before an outage. That says nothing about the clock or the
/// identity, and nothing was taken: one with a fresh time follows at once.
fn is_too_old(step: &Step, error: &Error) -> bool {
    let facts = error.facts();
    *step == Step::Resume
        && error.code() == Code::Rejected
        && facts.server_authenticated
        && is_about_request(error)
        && facts.fail_info == Some(BAD_TIME)
}

/// Whether the CA has had the request that was sent again, and takes it for another one (transactionIdInUse, RFC 9810 section 5.2.3): its
/// answer is lost, a fresh request is not.
fn is_taken_for_another(error: &Error) -> bool {
    let facts = error.facts();
    error.code() == Code::Rejected
        && facts.server_authenticated
        && facts.fail_info.is_some_and(|bits| bits & TRANSACTION_IN_USE != 0)
}
