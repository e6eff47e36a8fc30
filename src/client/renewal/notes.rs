//! What a planner remembers of how it went: attempts, failures, waits, times.

use std::sync::atomic::Ordering;

use super::budget::Owed;
use super::known::CLOSE_SECONDS;
use super::plan::{Plan, Step};
use super::progress::{self, Attempts, LONGEST_WAIT_SECONDS, Mark, Progress};
use super::scene::{Scene, anchor_of, in_use_of};
use super::{DEVICE, Planner, learning, seen};
use crate::asn1::cmp::BodyType;
use crate::codes::{Class, Code};
use crate::error::Error;
use crate::store::Store;
use crate::time::Time;

/// PKIFailureInfo certRevoked (RFC 9810 section 5.2.3).
const CERT_REVOKED: u32 = 1 << 10;
/// transactionIdInUse, systemUnavail, systemFailure: another transaction may succeed later (RFC 9483 section 3.6.4).
const ANOTHER_TIME: u32 = 1 << 21 | 1 << 24 | 1 << 25;
/// No question about a root that was answered is asked again sooner, in seconds.
const SHORTEST_QUESTION_SECONDS: i64 = 3600;

impl Planner {
    /// [`Planner::note_attempt`], unless something was remembered since `seen`: then another process or thread has begun, and two
    /// that ask at the same moment would be given two certificates, of which one is lost. Whether it was noted.
    pub(super) fn begin_attempt(
        &self,
        store: &Store,
        name: &str,
        step: &Step,
        clock: Option<Time>,
        seen: &Progress,
    ) -> Result<bool, Error> {
        let _hold = store.hold()?;
        if self.progress(store, name)? != *seen {
            return Ok(false);
        }
        self.bind(store)?;
        self.note_attempt(store, name, step, clock).map(|()| true)
    }

    /// What is remembered about the identity in use.
    pub(super) fn progress(&self, store: &Store, name: &str) -> Result<Progress, Error> {
        let (progress, _) = Progress::load(store, &*self.provider, name)?;
        let identity = in_use_of(store, name).ok().and_then(|(identity, _)| identity);
        self.about(progress, identity.as_ref())
    }

    /// Remembers that `step` is attempted now, before it is: if the device dies on the way, that was a failure.
    ///
    /// Errors: device memory; the attempt must not be made then, or nothing would slow its repetition.
    pub fn note_attempt(&self, store: &Store, name: &str, step: &Step, clock: Option<Time>) -> Result<(), Error> {
        let mut scene = self.scene(store, name, clock)?;
        let now = scene.booked();
        if let Step::AskForRoot(anchor) = step {
            let mark = self.anchor_mark(store, anchor)?;
            let mut attempts = scene.progress.anchor(&mark);
            attempts.begin(now, &self.policy, scene.seed, None);
            // Also the answer "there is none yet" is not asked for more often than this.
            attempts.wait_seconds = attempts.wait_seconds.max(self.policy.anchor_interval_seconds);
            scene.progress.set_anchor(mark, attempts);
        } else {
            let left = scene.left_seconds();
            scene.progress.attempts.begin(now, &self.policy, scene.seed, left);
            scene.measure();
        }
        scene.progress.save(store, &*self.provider, name)
    }

    /// Remembers how an attempt at `step` failed. Only what an authentic answer says counts as a refusal by the CA: anybody else
    /// could make the device give up. So does a certificate of the CA's that was refused here, by the settings or by whoever decides: the
    /// next one will be like it. A CA that is out of order does not refuse. Returns the seconds to wait before the next attempt.
    pub fn note_failure(
        &self,
        store: &Store,
        name: &str,
        step: &Step,
        error: &Error,
        clock: Option<Time>,
    ) -> Result<u32, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let now = scene.now();
        if let Step::AskForRoot(anchor) = step {
            let mark = self.anchor_mark(store, anchor)?;
            let wait = self.after_root_question(&scene, &mark, error, anchor_of(store, anchor)?.not_after().since(now));
            let mut attempts = scene.progress.anchor(&mark);
            (attempts.last, attempts.wait_seconds) = (Some(now), wait);
            scene.progress.set_anchor(mark, attempts);
            scene.progress.save(store, &*self.provider, name)?;
            return Ok(wait);
        }
        self.count_failure(&mut scene, step, error);
        let wait = scene.begin_wait(self.take_sent());
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// What an answered question taught is that there is no successor to be had now: that is asked as rarely as after "none
    /// yet", or each device would ask a CA that does not know the question many times more often than for certificates.
    pub(super) fn after_root_question(&self, scene: &Scene, mark: &Mark, error: &Error, left_seconds: i64) -> u32 {
        let facts = error.facts();
        let attempts = scene.progress.anchor(mark);
        let wait = self.policy.retry_seconds(scene.seed, attempts.count, facts.retry_after_seconds, None);
        if error.class() == Class::Transport {
            return wait;
        }
        let bound = u32::try_from((left_seconds / 4).max(SHORTEST_QUESTION_SECONDS)).unwrap_or(u32::MAX);
        wait.max(self.policy.anchor_interval_seconds.min(bound))
    }

    pub(super) fn count_failure(&self, scene: &mut Scene, step: &Step, error: &Error) {
        let (now, left, booked) = (scene.now(), scene.left_seconds(), scene.booked());
        let (facts, progress) = (error.facts(), &mut scene.progress);
        let is_refusal_of_theirs = error.code() == Code::Rejected
            && facts.server_authenticated
            && facts.fail_info.is_none_or(|bits| bits & ANOTHER_TIME == 0);
        // Only what the CA has issued for the new key gets as far as that.
        let is_issued = error.code() == Code::WrongCertificate
            && facts.phase.and_then(BodyType::of).is_some_and(BodyType::asks_for_certificate);
        let is_refusal = is_refusal_of_theirs || is_issued || error.code() == Code::Refused;
        progress.refusals = progress.refusals.saturating_add(u32::from(is_refusal));
        // Whose certificate is not valid now, by this clock, may be told so by a clock that is wrong. Doubt costs a question.
        if facts.is_about_time
            || matches!(
                error.code(),
                Code::MessageTime
                    | Code::NotYetValid
                    | Code::Expired
                    | Code::ProtectionInvalid
                    | Code::WrongCertificate
            )
        {
            progress.doubts_clock = true;
        }
        // The wait that runs from here on is not the CA's.
        progress.waits = 0;
        let attempts = &mut progress.attempts;
        attempts.count = attempts.count.max(1);
        attempts.last = Some(booked);
        let has_given_up = self.policy.max_refusals > 0 && progress.refusals >= self.policy.max_refusals;
        let wait = self.policy.retry_seconds(scene.seed, attempts.count, facts.retry_after_seconds, left);
        attempts.wait_seconds = match has_given_up && is_refusal {
            true => wait.max(self.policy.rare_seconds(scene.seed, attempts.count, left)),
            false => wait,
        };
        let was_signed_by_it = *step == Step::Update || facts.phase == Some(BodyType::KUR.into());
        let is_called_revoked = is_refusal_of_theirs && facts.fail_info.is_some_and(|bits| bits & CERT_REVOKED != 0);
        if was_signed_by_it && is_called_revoked {
            // Another way is open at once, the first time: it is not made to wait for the one that is closed.
            if !progress.is_revoked(Some(now)) {
                progress.attempts = Attempts::default();
            }
            progress.revoked = Some(now);
        }
    }

    /// Remembers that the CA asked to wait: no failure, and no attempt before then. What failed before is not forgotten.
    /// Returns the seconds to wait: a CA that asks for hardly any time, over and over, is asked more and more slowly.
    pub fn note_waiting(&self, store: &Store, name: &str, seconds: u32, clock: Option<Time>) -> Result<u32, Error> {
        let (progress, _) = Progress::load(store, &*self.provider, name)?;
        self.note_waits(store, name, seconds, progress.waits.saturating_add(1), clock)
    }

    /// The same; `waits`: how often in a row it has, with this one.
    pub(super) fn note_waits(
        &self,
        store: &Store,
        name: &str,
        seconds: u32,
        waits: u32,
        clock: Option<Time>,
    ) -> Result<u32, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let longest = self.policy.longest_retry_seconds.max(LONGEST_WAIT_SECONDS);
        let now = scene.booked();
        scene.progress.waits = waits.max(1) - 1;
        scene.progress.wait(seconds, now, longest);
        let wait = scene.begin_wait(self.take_sent());
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// Remembers that an answer was refused for its time alone while the CA was waited for: the time is asked for before it is judged
    /// again.
    pub(super) fn note_doubt(&self, store: &Store, name: &str) -> Result<(), Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        // The turn of the question: see `decide`.
        (progress.doubts_clock, progress.attempts.count) = (true, progress.attempts.count | 1);
        progress.save(store, &*self.provider, name)
    }

    /// The same for a question about a root: the answer waits at the CA.
    pub(super) fn note_root_waiting(
        &self,
        store: &Store,
        name: &str,
        step: &Step,
        seconds: u32,
        clock: Option<Time>,
    ) -> Result<u32, Error> {
        let Step::AskForRoot(anchor) = step else { return Ok(seconds) };
        let mut scene = self.scene(store, name, clock)?;
        let mark = self.anchor_mark(store, anchor)?;
        let mut attempts = scene.progress.anchor(&mark);
        (attempts.last, attempts.wait_seconds) = (Some(scene.booked()), progress::stretched(seconds, attempts.count));
        scene.progress.set_anchor(mark, attempts);
        scene.progress.save(store, &*self.provider, name)?;
        Ok(attempts.wait_seconds)
    }

    /// Remembers that the time was learnt: what is due by it need not wait, and if that fails it waits as long as it would
    /// have without this attempt.
    pub fn note_time_learnt(&self, store: &Store, name: &str, plan: &Plan) -> Result<(), Error> {
        self.note_told(store, name, plan.attempts)
    }

    /// The same; `count`: how many failures are remembered. None where nothing is due by that time: then it was all there was to do.
    pub(super) fn note_told(&self, store: &Store, name: &str, count: u32) -> Result<(), Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        progress.attempts = Attempts { count, ..Attempts::default() };
        progress.doubts_clock = false;
        progress.save(store, &*self.provider, name)
    }

    /// Remembers how the clock stood to an authentic answer that said `said` when the clock said `clock`: contradicted, until
    /// another answer agrees with it.
    pub(super) fn note_clock(&self, store: &Store, name: &str, said: Time, clock: Time) -> Result<(), Error> {
        let (before, _) = Progress::load(store, &*self.provider, name)?;
        let mut progress = before.clone();
        let off = said.since(clock);
        seen::correct(store, said)?;
        if off.abs() <= CLOSE_SECONDS {
            seen::confirm_boot(store, clock, self.meter.reading(Some(clock)).as_ref())?;
        }
        progress.clock_off = match before.clock_off {
            _ if off.abs() <= CLOSE_SECONDS => None,
            // As it was, but for what two answers need: no write for that.
            Some(known) if (known - off).abs() <= CLOSE_SECONDS => Some(known),
            _ => Some(off),
        };
        progress.doubts_clock = false;
        if progress != before {
            progress.save(store, &*self.provider, name)?;
        }
        Ok(())
    }

    /// An authentic answer that was carried has said a time that the clock has reached: it is not behind any longer, if it was. Whether it
    /// is ahead, no such answer tells.
    pub(super) fn note_clock_reached(&self, store: &Store, name: &str) -> Result<(), Error> {
        let (before, _) = Progress::load(store, &*self.provider, name)?;
        let mut progress = before.clone();
        progress.clock_off = before.clock_off.filter(|off| *off < 0);
        progress.doubts_clock = false;
        if progress != before {
            progress.save(store, &*self.provider, name)?;
        }
        Ok(())
    }

    /// By the time that was learnt nothing is due for so long: a clock that is not believed measures it, or the meter. Returns the seconds to
    /// wait.
    pub(super) fn note_rest(
        &self,
        store: &Store,
        name: &str,
        wait_seconds: u32,
        clock: Option<Time>,
    ) -> Result<u32, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let (before, kept) = (scene.progress.owed, scene.progress.attempts);
        scene.progress.attempts = Attempts { last: Some(scene.booked()), wait_seconds, ..kept };
        let wait_seconds = scene.begin_wait(self.take_sent());
        if clock.is_none() && scene.reading.is_none() {
            // Nobody measures it but who comes back.
            (scene.progress.attempts, scene.progress.measured) = (kept, None);
            if scene.progress.owed == before {
                return Ok(wait_seconds);
            }
        }
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait_seconds)
    }

    /// Whether the answer is on its way with its carrier.
    pub(super) fn is_under_way(&self, error: &Error) -> bool {
        self.is_carried && error.code() == Code::Busy
    }

    /// Remembers that an answer which people carry is not there yet: no attempt that failed. `was_out`: the message was out before this look.
    /// `before`: what was remembered before it. Returns the seconds until the next one, each time twice as many.
    pub(super) fn note_under_way(
        &self,
        store: &Store,
        name: &str,
        step: &Step,
        was_out: bool,
        clock: Option<Time>,
        before: &Progress,
    ) -> Result<u32, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let (mark, left) = match step {
            Step::AskForRoot(anchor) => (Some(self.anchor_mark(store, anchor)?), None),
            _ => (None, scene.left_seconds()),
        };
        let attempts = mark.map_or(before.attempts, |mark| before.anchor(&mark));
        let looked = was_out.then_some(attempts.wait_seconds);
        let mut wait_seconds = self.policy.look_seconds(scene.seed, looked, left);
        let attempts = Attempts { count: attempts.count, last: Some(scene.booked()), wait_seconds };
        match mark {
            Some(mark) => scene.progress.set_anchor(mark, attempts),
            None => {
                (scene.progress.attempts, scene.progress.waits) = (attempts, 0);
                wait_seconds = scene.begin_wait(self.take_sent());
            }
        }
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait_seconds)
    }

    /// Remembers that an attempt ended by the program's own doing, which says nothing about the CA and counts as no failure. What its
    /// user ends goes on whenever that user comes back; a function of the program that fails is called more and more rarely.
    /// Returns the seconds to wait.
    pub(super) fn note_own(
        &self,
        store: &Store,
        name: &str,
        error: &Error,
        clock: Option<Time>,
        before: &Progress,
    ) -> Result<u32, Error> {
        self.take_back(store, name, before)?;
        if error.code() == Code::Cancelled {
            return Ok(1);
        }
        let mut scene = self.scene(store, name, clock)?;
        let wait = self.policy.own_retry_seconds(before.attempts.wait_seconds);
        let count = before.attempts.count;
        scene.progress.attempts = Attempts { count, last: Some(scene.booked()), wait_seconds: wait };
        let wait = scene.begin_wait(self.take_sent());
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// Takes an attempt back that its own user has ended: it says nothing about the CA.
    pub(super) fn take_back(&self, store: &Store, name: &str, before: &Progress) -> Result<(), Error> {
        let Progress { clock_off, clock_least, doubts_clock, owed, .. } = self.progress(store, name)?;
        Progress { clock_off, clock_least, doubts_clock, owed, ..before.clone() }.save(store, &*self.provider, name)
    }

    /// Remembers that an attempt succeeded. (A new certificate does the same by itself.)
    pub fn note_success(&self, store: &Store, name: &str) -> Result<(), Error> {
        self.note_success_at(store, name, None)
    }

    /// The same; `installed`: a certificate came into use then.
    pub(super) fn note_success_at(&self, store: &Store, name: &str, installed: Option<Time>) -> Result<(), Error> {
        let (before, _) = Progress::load(store, &*self.provider, name)?;
        let mut progress = before.clone();
        (progress.attempts, progress.refusals, progress.in_vain) = (Attempts::default(), 0, 0);
        (progress.waits, progress.doubts_clock) = (0, false);
        if let Some(now) = installed {
            progress.pace.succeeded(now);
            // It has led to something.
            progress.owed = Owed::default();
            self.take_sent();
        }
        if progress != before {
            progress.save(store, &*self.provider, name)?;
        }
        Ok(())
    }

    /// How many requests were sent and not accounted for yet.
    fn take_sent(&self) -> u32 {
        self.sent.swap(0, Ordering::Relaxed)
    }

    /// What a step has sent that no note has accounted for, if it has: how long it is waited then, instead of `wait_seconds`.
    pub(super) fn note_sent(
        &self,
        store: &Store,
        name: &str,
        wait_seconds: u32,
        clock: Option<Time>,
    ) -> Result<u32, Error> {
        let sent = self.take_sent();
        if sent == 0 {
            return Ok(wait_seconds);
        }
        let mut scene = self.scene(store, name, clock)?;
        let paid = scene.progress.owed.pay(sent, wait_seconds);
        if paid > wait_seconds {
            scene.progress.attempts =
                Attempts { last: Some(scene.booked()), wait_seconds: paid, ..scene.progress.attempts };
            scene.measure();
        }
        scene.progress.save(store, &*self.provider, name)?;
        Ok(paid)
    }

    /// Remembers that an unfinished operation was given up. The failures of the identity stay counted: a fresh operation
    /// waits as long as this one would have, unless `is_due_now`.
    pub(super) fn note_abandoned(&self, store: &Store, name: &str, is_due_now: Option<&Plan>) -> Result<(), Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        (progress.in_vain, progress.waits) = (0, 0);
        if let Some(plan) = is_due_now {
            progress.attempts = Attempts { count: plan.attempts, ..Attempts::default() };
        }
        progress.save(store, &*self.provider, name)
    }

    /// Counts that an unfinished operation was continued, and nothing that proves anything came of it; or that it was.
    /// Returns how often in a row.
    pub(super) fn note_in_vain(&self, store: &Store, name: &str, is_in_vain: bool) -> Result<u32, Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        let count = if is_in_vain { progress.in_vain.saturating_add(1) } else { 0 };
        if count != progress.in_vain {
            progress.in_vain = count;
            progress.save(store, &*self.provider, name)?;
        }
        Ok(count)
    }

    /// Forgets all failures, refusals and what was said against the identity: for people who have put right what was wrong. The
    /// identity, its saved operation and the last known time ([`Store::forget_time`]) stay.
    ///
    /// Device memory that was copied from another device (see [`Plan::is_copied`]) is this device's from then on.
    pub fn reset(&self, store: &Store, name: &str) -> Result<(), Error> {
        learning::forget_all(store)?;
        store.remove_blob(DEVICE)?;
        #[cfg(feature = "pkcs11")]
        crate::client::token::forget_kept_pins(store)?;
        Progress::forget(store, &*self.provider, name)
    }

    /// What is due need not wait for failures before it any longer. They stay counted: if it fails again, the wait goes on where
    /// it was. For people who ask for it now; what the CA asked to wait for is not shortened.
    pub fn hurry(&self, store: &Store, name: &str) -> Result<(), Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        if progress.waits > 0 {
            return Ok(());
        }
        progress.attempts = Attempts { count: progress.attempts.count, ..Attempts::default() };
        progress.save(store, &*self.provider, name)
    }
}
