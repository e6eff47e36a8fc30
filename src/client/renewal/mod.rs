//! Renewal that never forgets: a planner that says what is due and when to ask again, and a step that does it.
//!
//! ```text
//!   now, device memory -> Planner::plan  -> Plan      what is due, when to ask again, how much to worry
//!   Plan               -> Renewal::run_due            does one due step over an exchange, and remembers how it went
//! ```
//!
//! The planner has no thread and no clock. What it remembers (failures, waits, refusals) is in device memory, so that a
//! reboot does not begin the waiting anew; if that record is missing or damaged, it plans as for the first time.
//! Programs that step operations by themselves tell it of an attempt before it is made
//! ([`Planner::note_attempt`]) and of its failure ([`Planner::note_failure`]).
//!
//! | file | |
//! | --- | --- |
//! | `policy` | the rules, and the arithmetic of time behind them |
//! | `decide` | what is due, from facts alone |
//! | `progress` | what is remembered, and its form in device memory |
//! | `perform` | does a due step |
//! | `means` | with what: client, credential, key, subject |
//! | `questions` | what it asks the CA besides certificates |
//! | `nap` | which waits it sleeps through |
//! | `clock` | devices without a clock: the time from authentic answers |
//! | `learning` | how far one answer's time is believed |
//!
//! **Nothing that one message says is final.** A refusal, "revoked", a time: each is a record with a date, which later answers
//! correct. Counts of failures belong to the identity: an operation that ends, waits or is given up does not set them back.

mod clock;
mod decide;
mod learning;
mod means;
mod nap;
mod perform;
mod policy;
mod progress;
mod questions;

use std::sync::Arc;

pub use clock::Timekeeper;
pub use decide::{Alarm, Anchor, AnchorFacts, Clock, Facts, Plan, Reason, Standing, Step, decide};
pub use perform::{Done, Renewal, Report};
pub use policy::{Policy, Seed};
pub use progress::{Attempts, Pace, Progress};

use crate::asn1::cmp::BodyType;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::cmp::can_protect;
use crate::codes::{Class, Code};
use crate::crypto::{DigestAlgorithm, Provider, default_provider};
use crate::error::Error;
use crate::store::{AnchorSet, Identity, Store, StoreErrorKind};
use crate::time::Time;
use crate::validation::same_name;
use decide::CLOSE_SECONDS;
use learning::Told;
use progress::{Mark, mark_of};

/// PKIFailureInfo certRevoked (RFC 9810 section 5.2.3).
const CERT_REVOKED: u32 = 1 << 10;
/// transactionIdInUse, systemUnavail, systemFailure: another transaction may succeed later (RFC 9483 section 3.6.4).
const ANOTHER_TIME: u32 = 1 << 21 | 1 << 24 | 1 << 25;

/// Device memory keeps under this name which device it belongs to: a digest of [`Planner::device_id`].
const DEVICE: &str = "device-id";

/// A wait that the CA asks for is looked at again after this time at the latest, in seconds: clocks jump.
const LONGEST_WAIT_SECONDS: u32 = 7 * 86_400;
/// No question about a root that was answered is asked again sooner, in seconds.
const SHORTEST_QUESTION_SECONDS: i64 = 3600;

/// Says what is due for the identities in a device memory.
#[derive(Clone)]
pub struct Planner {
    /// The rules.
    pub policy: Policy,
    /// What names the device, such as a serial number: it spreads the devices of a fleet over time, and a copy of device memory in
    /// another device is noticed ([`Plan::is_copied`]). `None`: the names in the certificate, which stay the same from one to the
    /// next, and no copy is noticed.
    pub device_id: Option<Vec<u8>>,
    /// The factory's identity (IDevID) in device memory, if there is one: a clock that says less than the notBefore of its
    /// certificate is none. [`Renewal`] sets it by itself.
    pub factory: Option<String>,
    /// Messages are signed whatever a certificate's keyUsage says (switch `signer_key_usage`).
    pub(in crate::client) signs_whatever_usage: bool,
    provider: Arc<dyn Provider>,
}

impl Planner {
    /// With the default rules.
    pub fn new() -> Self {
        Planner::with_provider(default_provider())
    }

    /// With another provider.
    pub fn with_provider(provider: Arc<dyn Provider>) -> Self {
        Planner { policy: Policy::default(), device_id: None, factory: None, signs_whatever_usage: false, provider }
    }

    /// For this device: a serial number, a hardware address.
    #[must_use]
    pub fn for_device(mut self, id: &[u8]) -> Self {
        self.device_id = Some(id.to_vec());
        self
    }

    /// Says what is due for the identity `name`. `clock`: what the device's clock says, `None` if it has none.
    ///
    /// Changes nothing. Errors: device memory cannot be read.
    pub fn plan(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Plan, Error> {
        let scene = self.scene(store, name, clock)?;
        Ok(scene.plan(&self.policy))
    }

    /// The plan by a time that an answer has told just now: it is not asked for again.
    fn plan_by_answer(&self, store: &Store, name: &str, now: Time) -> Result<Plan, Error> {
        let mut scene = self.scene(store, name, Some(now))?;
        (scene.clock, scene.facts.is_time_in_question) = (Clock::Known(now), false);
        Ok(scene.plan(&self.policy))
    }

    /// By a time that an answer has told nothing is due for so many seconds; `None`: something is. Where the answer is behind what was
    /// known before, what is left is left by its own time: nothing is due before it has got there, and until then it would say
    /// the same again. A CA whose clock stands still or is set back again is not asked without end either.
    fn rest_by_answer(&self, store: &Store, name: &str, told: Told) -> Result<Option<u32>, Error> {
        let mut scene = self.scene(store, name, Some(told.now))?;
        (scene.clock, scene.facts.is_time_in_question) = (Clock::Known(told.now), false);
        let plan = scene.plan(&self.policy);
        if plan.step != Step::Nothing {
            return Ok(None);
        }
        let is_behind_by = match plan.reason {
            Reason::NothingDue => told.now.since(told.said).max(0),
            // A wait that runs is one of seconds, whatever the time is.
            _ => 0,
        };
        let wait = plan.ask_again_seconds.saturating_add(u32::try_from(is_behind_by).unwrap_or(u32::MAX));
        let left = scene.facts.validity.map(|(_, end)| end.since(told.said));
        Ok(Some(wait.max(Policy::least_rest_seconds(left))))
    }

    /// What is due at this moment where the time cannot be asked for: the question has failed. `None`: nothing is, without the time.
    fn plan_unasked(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Option<Plan>, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let count = scene.facts.attempts.count;
        // As if it were the turn of the step.
        scene.facts.attempts = Attempts { count: count + count % 2, ..Attempts::default() };
        (scene.facts.waits, scene.facts.pace) = (0, Pace::default());
        let plan = scene.plan(&self.policy);
        Ok((!matches!(plan.step, Step::Nothing | Step::LearnTime | Step::AskForRoot(_))).then_some(plan))
    }

    /// The plan for who comes back after having waited as told. A clock that is wrong measures waits while it ticks; where it
    /// says no more than at the last look, it began anew with the device, and the wait is over. What has passed is noted, so
    /// that a device which runs for minutes gets to the end of a wait of days.
    ///
    /// With it comes what was remembered when it was made.
    pub(in crate::client) fn plan_as_told(
        &self,
        store: &Store,
        name: &str,
        clock: Option<Time>,
    ) -> Result<(Plan, Progress), Error> {
        let mut scene = self.scene(store, name, clock)?;
        if let (false, Some(now)) = (scene.clock.is_known(), scene.clock.says()) {
            if scene.progress.clock_least.is_none_or(|least| now < least) {
                scene.progress.clock_least = Some(now);
                scene.progress.save(store, &*self.provider, name)?;
            }
        }
        let plan = scene.plan(&self.policy);
        let (false, Some(now), Step::Nothing) = (scene.clock.is_known(), scene.clock.says(), &plan.step) else {
            return Ok((plan, scene.progress));
        };
        let Some(last) = scene.facts.attempts.last else { return Ok((plan, scene.progress)) };
        // Not to the second: starts take more or less time. A clock that ticks on is beyond its first hour soon.
        let is_at_start = |at: Time| scene.progress.clock_least.is_some_and(|least| at.since(least) < CLOSE_SECONDS);
        if now <= last || is_at_start(now) && is_at_start(last) {
            (scene.facts.attempts, scene.facts.pace) =
                (Attempts { wait_seconds: 0, ..scene.facts.attempts }, Pace::default());
            return Ok((scene.plan(&self.policy), scene.progress));
        }
        let rest = scene.progress.attempts.left_seconds(now);
        if rest > 0 {
            (scene.progress.attempts.last, scene.progress.attempts.wait_seconds) = (Some(now), rest);
            scene.progress.save(store, &*self.provider, name)?;
        }
        Ok((plan, scene.progress))
    }

    /// [`Planner::note_attempt`], unless something was remembered since `seen`: then another process or thread has begun, and two
    /// that ask at the same moment would be given two certificates, of which one is lost. Whether it was noted.
    fn begin_attempt(
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
    fn progress(&self, store: &Store, name: &str) -> Result<Progress, Error> {
        let (progress, _) = Progress::load(store, &*self.provider, name)?;
        let mark = match store.current(name) {
            Ok(identity) => mark_of(&*self.provider, &identity.certificate)?,
            Err(_) => Mark::default(),
        };
        Ok(progress.about(mark))
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
        }
        scene.progress.save(store, &*self.provider, name)
    }

    /// Remembers how an attempt at `step` failed. Only what an authentic answer says counts as a refusal by the CA: anybody else
    /// could make the device give up. A CA that is out of order does not refuse. Returns the seconds to wait before the next attempt.
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
        let wait = scene.progress.attempts.wait_seconds;
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// What an answered question taught is that there is no successor to be had now: that is asked as rarely as after "none
    /// yet", or each device would ask a CA that does not know the question many times more often than for certificates.
    fn after_root_question(&self, scene: &Scene, mark: &Mark, error: &Error, left_seconds: i64) -> u32 {
        let facts = error.facts();
        let attempts = scene.progress.anchor(mark);
        let wait = self.policy.retry_seconds(scene.seed, attempts.count, facts.retry_after_seconds, None);
        if error.class() == Class::Transport {
            return wait;
        }
        let bound = u32::try_from((left_seconds / 4).max(SHORTEST_QUESTION_SECONDS)).unwrap_or(u32::MAX);
        wait.max(self.policy.anchor_interval_seconds.min(bound))
    }

    fn count_failure(&self, scene: &mut Scene, step: &Step, error: &Error) {
        let (now, left, booked) = (scene.now(), scene.left_seconds(), scene.booked());
        let (facts, progress) = (error.facts(), &mut scene.progress);
        let mut is_refusal = false;
        if error.code() == Code::Rejected && facts.server_authenticated {
            is_refusal = facts.fail_info.is_none_or(|bits| bits & ANOTHER_TIME == 0);
            progress.refusals = progress.refusals.saturating_add(u32::from(is_refusal));
        }
        // Whose certificate is not valid now, by this clock, may be told so by a clock that is wrong. Doubt costs a question.
        if matches!(
            error.code(),
            Code::MessageTime | Code::NotYetValid | Code::Expired | Code::ProtectionInvalid | Code::WrongCertificate
        ) {
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
        let was_signed_by_it = *step == Step::Update || facts.phase == Some(BodyType::KUR.name());
        let is_called_revoked = is_refusal && facts.fail_info.is_some_and(|bits| bits & CERT_REVOKED != 0);
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
        let mut scene = self.scene(store, name, clock)?;
        let longest = self.policy.longest_retry_seconds.max(LONGEST_WAIT_SECONDS);
        let now = scene.booked();
        scene.progress.wait(seconds, now, longest);
        let wait = scene.progress.attempts.wait_seconds;
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// The same for a question about a root: the answer waits at the CA.
    fn note_root_waiting(
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
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        progress.attempts = Attempts { count: plan.attempts, ..Attempts::default() };
        progress.doubts_clock = false;
        progress.save(store, &*self.provider, name)
    }

    /// Remembers how the clock stood to an authentic answer that said `said` when the clock said `clock`: contradicted, until
    /// another answer agrees with it.
    fn note_clock(&self, store: &Store, name: &str, said: Time, clock: Time) -> Result<(), Error> {
        let (before, _) = Progress::load(store, &*self.provider, name)?;
        let mut progress = before.clone();
        let off = said.since(clock);
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

    /// By the time that was learnt nothing is due for so long: a clock that is not believed measures it.
    fn note_rest(&self, store: &Store, name: &str, wait_seconds: u32, clock: Time) -> Result<(), Error> {
        let mut scene = self.scene(store, name, Some(clock))?;
        scene.progress.attempts = Attempts { last: Some(scene.booked()), wait_seconds, ..scene.progress.attempts };
        scene.progress.save(store, &*self.provider, name)
    }

    /// Remembers that an attempt ended by the program's own doing, which says nothing about the CA and counts as no failure. What its
    /// user ends goes on whenever that user comes back; a function of the program that fails is called more and more rarely.
    /// Returns the seconds to wait.
    fn note_own(
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
        scene.progress.save(store, &*self.provider, name)?;
        Ok(wait)
    }

    /// Takes an attempt back that its own user has ended: it says nothing about the CA.
    fn take_back(&self, store: &Store, name: &str, before: &Progress) -> Result<(), Error> {
        let Progress { clock_off, clock_least, doubts_clock, .. } = self.progress(store, name)?;
        Progress { clock_off, clock_least, doubts_clock, ..before.clone() }.save(store, &*self.provider, name)
    }

    /// Remembers that an attempt succeeded. (A new certificate does the same by itself.)
    pub fn note_success(&self, store: &Store, name: &str) -> Result<(), Error> {
        self.note_success_at(store, name, None)
    }

    /// The same; `installed`: a certificate came into use then.
    fn note_success_at(&self, store: &Store, name: &str, installed: Option<Time>) -> Result<(), Error> {
        let (before, _) = Progress::load(store, &*self.provider, name)?;
        let mut progress = before.clone();
        (progress.attempts, progress.refusals, progress.in_vain) = (Attempts::default(), 0, 0);
        (progress.waits, progress.doubts_clock) = (0, false);
        if let Some(now) = installed {
            progress.pace.succeeded(now);
        }
        if progress != before {
            progress.save(store, &*self.provider, name)?;
        }
        Ok(())
    }

    /// Remembers that an unfinished operation was given up. The failures of the identity stay counted: a fresh operation
    /// waits as long as this one would have, unless `is_due_now`.
    fn note_abandoned(&self, store: &Store, name: &str, is_due_now: Option<&Plan>) -> Result<(), Error> {
        let (mut progress, _) = Progress::load(store, &*self.provider, name)?;
        (progress.in_vain, progress.waits) = (0, 0);
        if let Some(plan) = is_due_now {
            progress.attempts = Attempts { count: plan.attempts, ..Attempts::default() };
        }
        progress.save(store, &*self.provider, name)
    }

    /// Counts that an unfinished operation was continued, and nothing that proves anything came of it; or that it was.
    /// Returns how often in a row.
    fn note_in_vain(&self, store: &Store, name: &str, is_in_vain: bool) -> Result<u32, Error> {
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
        learning::forget(store)?;
        store.remove_blob(DEVICE)?;
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

    /// Keeps whose device memory it is, at the first attempt of a planner that is told.
    fn bind(&self, store: &Store) -> Result<(), Error> {
        let Some(id) = &self.device_id else { return Ok(()) };
        match store.blob(DEVICE) {
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => {
                Ok(store.put_blob(DEVICE, self.device_mark(id)?.as_bytes())?)
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Whether device memory was begun by another device: a copy of an image, both with the same keys. It cannot be told where the
    /// planner does not know which device this is.
    fn is_copied(&self, store: &Store) -> Result<bool, Error> {
        let Some(id) = &self.device_id else { return Ok(false) };
        match store.blob(DEVICE) {
            Ok(kept) => Ok(kept.as_slice() != self.device_mark(id)?.as_bytes()),
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn device_mark(&self, id: &[u8]) -> Result<String, Error> {
        let digest = self.provider.digest(DigestAlgorithm::Sha256, &[b"devid device\0", id])?;
        Ok(format!("devid device 1\n{}\n", progress::hex(&digest)))
    }

    fn scene(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Scene, Error> {
        let (progress, is_memory_damaged) = Progress::load(store, &*self.provider, name)?;
        let (identity, is_damaged) = match store.current(name) {
            Ok(identity) => (Some(identity), false),
            Err(error) if error.kind == StoreErrorKind::NotFound => (None, false),
            Err(error) if error.is_damage() => (None, true),
            Err(error) => return Err(error.into()),
        };
        let last_known = match store.last_known_time() {
            Ok(known) => known,
            // As if none had been noted; the next one that is noted mends it.
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error.into()),
        };
        let clock = Clock::new(clock, self.earliest(store, clock)?.max(last_known))
            .contradicted(progress.clock_off, last_known);
        let mark: Mark = match &identity {
            Some(identity) => mark_of(&*self.provider, &identity.certificate)?,
            None => Mark::default(),
        };
        let progress = progress.about(mark);
        let is_staged = store.state(name).map(|state| state.pending.is_some());
        let is_staged = match is_staged {
            Ok(is_staged) => is_staged,
            Err(error) if error.is_damage() => false,
            Err(error) => return Err(error.into()),
        };
        let is_unfinished = is_staged || store.operations()?.iter().any(|saved| saved == name);
        let is_request_out = store.request_out(name)?.is_some();
        let facts = Facts {
            validity: identity.as_ref().map(|i| (i.certificate.not_before(), end_of(i))),
            installed: identity.as_ref().map(|i| i.created),
            is_damaged,
            cannot_sign: !self.signs_whatever_usage && identity.as_ref().is_some_and(|i| !can_protect(&i.certificate)),
            is_revoked: progress.is_revoked(clock.at_least().filter(|_| clock.is_known())),
            is_unfinished,
            is_request_out,
            attempts: progress.attempts,
            refusals: progress.refusals,
            waits: progress.waits,
            pace: progress.pace,
            is_time_in_question: progress.doubts_clock || learning::in_question(store)?.is_some(),
            anchors: self.ageing_anchors(store, &progress)?,
        };
        let seed = Seed::from_id(&*self.provider, &self.id_of(name, identity.as_ref()))?;
        let is_copied = self.is_copied(store)?;
        Ok(Scene { clock, seed, facts, progress, is_memory_damaged, is_copied })
    }

    /// A clock that says less than this is none: the device has a factory certificate that began later. `None` without a
    /// clock, since it is no time that an answer was judged by.
    fn earliest(&self, store: &Store, clock: Option<Time>) -> Result<Option<Time>, Error> {
        let (Some(factory), Some(now)) = (&self.factory, clock) else { return Ok(None) };
        match store.current(factory) {
            Ok(identity) => Ok(Some(identity.certificate.not_before()).filter(|begin| now < *begin)),
            Err(error) if error.is_damage() || error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Names stay from certificate to certificate; keys do not.
    fn id_of(&self, name: &str, identity: Option<&Identity>) -> Vec<u8> {
        match (&self.device_id, identity) {
            (Some(id), _) => id.clone(),
            (None, Some(identity)) => {
                let names = identity.certificate.extension(oid::CE_SUBJECT_ALT_NAME).map_or(&[][..], |e| e.value);
                [identity.certificate.subject(), names].concat()
            }
            (None, None) => name.as_bytes().to_vec(),
        }
    }

    /// A name for the anchor, the same for as long as it is there.
    fn anchor_label(&self, store: &Store, anchor: &Anchor) -> Result<String, Error> {
        Ok(progress::hex(&self.anchor_mark(store, anchor)?))
    }

    fn anchor_mark(&self, store: &Store, anchor: &Anchor) -> Result<Mark, Error> {
        mark_of(&*self.provider, &anchor_of(store, anchor)?)
    }

    /// Roots with an end whose successor is not here yet; one that is in several sets counts once.
    fn ageing_anchors(&self, store: &Store, progress: &Progress) -> Result<Vec<AnchorFacts>, Error> {
        let mut found: Vec<AnchorFacts> = Vec::new();
        let mut seen = Vec::new();
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            let anchors = match store.anchors(set) {
                Ok(anchors) => anchors,
                // Reported by the store's own `verify`; renewal of the identity goes on.
                Err(error) if error.is_damage() => continue,
                Err(error) => return Err(error.into()),
            };
            for (index, root) in anchors.iter().enumerate() {
                let is_open = root.is_self_issued() && root.not_after() < Time::FOREVER;
                if !is_open || anchors.iter().any(|other| succeeds(other, root)) {
                    continue;
                }
                let mark = mark_of(&*self.provider, root)?;
                if !seen.contains(&mark) {
                    seen.push(mark);
                    let validity = (root.not_before(), root.not_after());
                    let attempts = progress.anchor(&mark);
                    found.push(AnchorFacts { anchor: Anchor { set, index }, validity, attempts });
                }
            }
        }
        Ok(found)
    }
}

impl Default for Planner {
    fn default() -> Self {
        Planner::new()
    }
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("policy", &self.policy).field("device_id", &self.device_id).finish()
    }
}

/// The earliest end on the way from the certificate to the top of its chain; of several certificates for one issuer, the
/// one that lasts longest counts. Beyond it nobody accepts the certificate (RFC 5280 section 6.1.3).
fn end_of(identity: &Identity) -> Time {
    let (mut end, mut lowest) = (identity.certificate.not_after(), &identity.certificate);
    for _ in 0..identity.chain.len() {
        let issuers = identity.chain.iter().filter(|c| *c != lowest && same_name(c.subject(), lowest.issuer()));
        let Some(issuer) = issuers.max_by_key(|c| c.not_after()) else { break };
        (end, lowest) = (end.min(issuer.not_after()), issuer);
    }
    end
}

/// All that a decision rests on.
struct Scene {
    clock: Clock,
    seed: Seed,
    facts: Facts,
    progress: Progress,
    is_memory_damaged: bool,
    is_copied: bool,
}

impl Scene {
    fn plan(&self, policy: &Policy) -> Plan {
        let mut plan = decide(policy, self.seed, self.clock, &self.facts);
        plan.is_memory_damaged = self.is_memory_damaged;
        plan.is_copied = self.is_copied;
        if self.is_copied {
            plan.alarm = plan.alarm.max(Alarm::Late);
        }
        plan
    }

    fn now(&self) -> Time {
        self.clock.at_least().unwrap_or(Time::from_unix(0))
    }

    /// The time by which waits are measured: what the clock says, also one that is behind.
    fn booked(&self) -> Time {
        self.clock.says().unwrap_or_else(|| self.now())
    }

    /// Seconds until the certificate in use ends, where that can be told.
    fn left_seconds(&self) -> Option<i64> {
        let (_, end) = self.facts.validity.filter(|_| self.clock.is_known())?;
        Some(end.since(self.now()))
    }
}

fn anchor_of(store: &Store, anchor: &Anchor) -> Result<Certificate, Error> {
    let gone = || Error::new(Code::NotFound, "the trust anchors changed since the plan was made");
    store.anchors(anchor.set)?.into_iter().nth(anchor.index).ok_or_else(gone)
}

/// Whether one root takes the place of the other: the same name, a later end.
fn succeeds(new: &Certificate, old: &Certificate) -> bool {
    new != old && new.is_self_issued() && new.not_after() > old.not_after() && same_name(new.subject(), old.subject())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_plan_at_the_same_moment_one_begins() {
        let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
        let clock = Some(Time::from_unix(1_800_000_000));
        let (first, seen) = planner.plan_as_told(&store, "router", clock).unwrap();
        let (second, seen_too) = planner.plan_as_told(&store, "router", clock).unwrap();
        assert_eq!((&first.step, &second.step), (&Step::Enroll, &Step::Enroll));

        assert!(planner.begin_attempt(&store, "router", &first.step, clock, &seen).unwrap());
        assert!(!planner.begin_attempt(&store, "router", &second.step, clock, &seen_too).unwrap());

        assert_eq!(planner.plan(&store, "router", clock).unwrap().attempts, 1);
        // The next one after that begins again.
        let seen = planner.progress(&store, "router").unwrap();
        assert!(planner.begin_attempt(&store, "router", &first.step, clock, &seen).unwrap());
    }
}
