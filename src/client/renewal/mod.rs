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
//! | `scene` | those facts, out of device memory and the clock |
//! | `notes` | what is remembered of how it went |
//! | `progress` | its form in device memory |
//! | `perform` | does a due step |
//! | `means` | with what: client, credential, key, subject |
//! | `questions` | what it asks the CA besides certificates |
//! | `budget` | how many requests a day lead to nothing |
//! | `nap` | which waits it sleeps through |
//! | `clock` | devices without a clock: the time from authentic answers |
//! | `seen` | how far a clock that is believed has come |
//! | `uptime` | waits measured by how long the device has been on |
//! | `looks` | which looks are the first ones of a start |
//! | `trust_end` | when those who are trusted end |
//! | `learning` | how far one answer's time is believed |
//! | `witnesses` | whose word about the time counts for which decision |
//!
//! **Nothing that one message says is final.** A refusal, "revoked", a time: each is a record with a date, which later answers
//! correct. Counts of failures belong to the identity: an operation that ends, waits or is given up does not set them back.

mod budget;
mod clock;
mod decide;
mod known;
mod learning;
mod looks;
mod means;
mod nap;
mod notes;
mod perform;
mod plan;
mod policy;
mod progress;
mod questions;
mod scene;
mod seen;
mod trust_end;
mod uptime;
mod withdrawn;
mod witnesses;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

pub use clock::Timekeeper;
pub use decide::decide;
pub use known::Clock;
#[cfg(all(feature = "settings", unix))]
pub(in crate::client) use means::like;
pub use perform::{Done, Renewal, Report};
pub use plan::{Alarm, Anchor, AnchorFacts, Facts, Plan, Reason, Standing, Step};
pub use policy::{Policy, Seed};
pub use progress::{Attempts, Pace, Progress};
pub use uptime::{Meter, Uptime};

use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, Provider, default_provider};
use crate::error::Error;
use crate::store::{AnchorSet, Store, StoreErrorKind};
use crate::time::Time;
use known::CLOSE_SECONDS;
use learning::Told;
use looks::Looks;
use scene::Scene;

/// Device memory keeps under this name which device it belongs to: a digest of [`Planner::device_id`].
const DEVICE: &str = "device-id";
const DEVICE_HEAD: &str = "devid device 1\n";

/// By how much one start of a device may take longer than another, in seconds: two looks within it, both in the first hour of a clock
/// that begins with the device, are taken for looks after two starts.
const LONGEST_START_SECONDS: i64 = 300;

/// The time is asked for so soon again, in seconds, after a certificate that begins later by the device's clock came into use, and then
/// after twice the time, each time.
const SECOND_WORD_SECONDS: u32 = 3600;
/// The same without a clock, once.
const ONLY_WORD_SECONDS: u32 = 86_400;

/// The time that an answer has told last, if any has.
fn last_told(store: &Store) -> Result<Option<Time>, Error> {
    match store.last_known_time() {
        Ok(known) => Ok(known),
        // As if none had been noted; the next one that is noted mends what is damaged, and leaves what a newer version wrote.
        Err(error) if error.is_of_no_use() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a look has found.
struct Look {
    plan: Plan,
    /// What is remembered.
    progress: Progress,
    /// Whether that is anything new.
    is_changed: bool,
    /// What is left of the wait that runs, from this look on.
    passed: Attempts,
}

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
    /// What measures waits besides the time that is told: the system, beside its own clock, for planners as they are made; a
    /// [`Device`](crate::client::device::Device) has [`Meter::System`].
    pub meter: Meter,
    /// Messages are carried by people, as files are: answers may be weeks old when they come. [`Renewal`] sees that by its exchange; who
    /// asks what is due before says it here.
    pub is_carried: bool,
    /// What this planner, with its copies, has looked at since it was made.
    looks: Looks,
    /// What was sent in the step that runs, and is not accounted for yet.
    sent: Arc<AtomicU32>,
    /// Messages are signed whatever a certificate's keyUsage says (switch `signer_key_usage`).
    pub(in crate::client) signs_whatever_usage: bool,
    /// There is another credential than the identity itself, or nobody knows whether.
    has_another: bool,
    /// Who is trusted by the settings, besides device memory: [`Renewal`] and a device know it.
    pub(in crate::client) trusted: Vec<(AnchorSet, Certificate)>,
    provider: Arc<dyn Provider>,
}

impl Planner {
    /// With the default rules.
    pub fn new() -> Self {
        Planner::with_provider(default_provider())
    }

    /// With another provider.
    pub fn with_provider(provider: Arc<dyn Provider>) -> Self {
        Planner {
            policy: Policy::default(),
            device_id: None,
            factory: None,
            meter: Meter::default(),
            is_carried: false,
            looks: Looks::default(),
            sent: Arc::default(),
            signs_whatever_usage: false,
            has_another: true,
            trusted: Vec::new(),
            provider,
        }
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

    /// The plan by a time that an answer has told just now: it is not asked for again, but where that changes nothing. `plan`: by which it
    /// was asked for; the attempt itself does not count.
    fn plan_by_answer(
        &self,
        store: &Store,
        name: &str,
        told: Time,
        clock: Option<Time>,
        plan: &Plan,
    ) -> Result<Plan, Error> {
        let mut scene = self.scene(store, name, Some(told))?;
        scene.hear(told, clock);
        scene.facts.end_wait();
        scene.facts.attempts.count = plan.attempts;
        Ok(scene.plan(&self.policy))
    }

    /// By a time that an answer has told nothing is due for so many seconds; `None`: something is. Where the answer is behind what was
    /// known before, what is left is left by its own time: nothing is due before it has got there, and until then it would say
    /// the same again. A CA whose clock stands still or is set back again is not asked without end either.
    ///
    /// `clock`: what the device's own says. Where the certificate begins later by that, or there is none and it came into use just now, it
    /// was exchanged by one answer's word alone: another answer is asked for its word sooner. `before`: how long the rest before was; `None`:
    /// the certificate came into use just now.
    fn rest_by_answer(
        &self,
        store: &Store,
        name: &str,
        told: Told,
        clock: Option<Time>,
        before: Option<u32>,
    ) -> Result<Option<u32>, Error> {
        let mut scene = self.scene(store, name, Some(told.now))?;
        let is_believed = scene.hear(told.now, clock);
        let longest = match (scene.facts.is_early_by_own_clock(), before) {
            (true, None) => SECOND_WORD_SECONDS,
            (true, Some(before)) => before.saturating_mul(2).max(SECOND_WORD_SECONDS),
            // One question, as nobody may be there to measure another rest.
            (false, None) if clock.is_none() && !self.is_carried => ONLY_WORD_SECONDS,
            (false, _) => u32::MAX,
        };
        let plan = scene.plan(&self.policy);
        if plan.step != Step::Nothing {
            return Ok(None);
        }
        let is_behind_by = match plan.reason {
            Reason::NothingDue if is_believed => told.now.since(told.said).max(0),
            // A wait that runs is one of seconds, whatever the time is.
            _ => 0,
        };
        let wait = plan.ask_again_seconds.saturating_add(u32::try_from(is_behind_by).unwrap_or(u32::MAX));
        let left = scene.facts.validity.map(|(_, end)| end.since(told.said));
        Ok(Some(wait.max(Policy::least_rest_seconds(left)).min(longest)))
    }

    /// What is due at this moment where the time cannot be asked for: the question has failed. `None`: nothing is, without the time.
    fn plan_unasked(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Option<Plan>, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let count = scene.facts.attempts.count;
        // As if it were the turn of the step.
        scene.facts.end_wait();
        (scene.facts.attempts.count, scene.facts.waits) = (count + count % 2, 0);
        scene.facts.is_time_told = true;
        let plan = scene.plan(&self.policy);
        Ok((!matches!(plan.step, Step::Nothing | Step::LearnTime | Step::AskForRoot(_))).then_some(plan))
    }

    /// The plan for who comes back after having waited as told. Where the meter says how long the device has been on, that measures
    /// the wait, and nothing is noted, as long as it moves. Else a clock that is wrong measures it while it ticks; where it says no more than at the last
    /// look, it began anew with the device, and the wait is over. What has passed is noted at the first look of a planner, so that
    /// a device which runs for minutes gets to the end of a wait of days; what passes by later ones the planner remembers by itself.
    ///
    /// With it comes what was remembered when it was made.
    pub(in crate::client) fn plan_as_told(
        &self,
        store: &Store,
        name: &str,
        clock: Option<Time>,
    ) -> Result<(Plan, Progress), Error> {
        let Look { plan, progress, is_changed, passed } = self.look_as_told(store, name, clock)?;
        if is_changed {
            progress.save(store, &*self.provider, name)?;
        }
        self.looks.made(name, progress.attempts, passed);
        if let (Clock::Known(now), Some(told)) = (plan.clock, last_told(store)?) {
            seen::note(store, now, told)?;
            seen::note_boot(store, now, self.meter.reading(clock).as_ref())?;
        }
        Ok((plan, progress))
    }

    /// The plan that [`Planner::plan_as_told`] will make at the same moment, for who only gets ready for it: nothing is noted, or the
    /// look itself would count as one at which time had passed.
    pub(in crate::client) fn plan_to_be_told(
        &self,
        store: &Store,
        name: &str,
        clock: Option<Time>,
    ) -> Result<Plan, Error> {
        self.look_as_told(store, name, clock).map(|look| look.plan)
    }

    fn look_as_told(&self, store: &Store, name: &str, clock: Option<Time>) -> Result<Look, Error> {
        let mut scene = self.scene(store, name, clock)?;
        let is_shortened = self.heed_standing_meter(name, &mut scene);
        // One that no answer has confirmed yet may begin anew with the device as well as one that is contradicted.
        let is_believed = scene.clock.is_known() && last_told(store)?.is_some();
        let is_measured = scene.facts.left_seconds.is_some() || scene.facts.attempts.last.is_none();
        let passed = scene.facts.attempts;
        let look = |plan, scene: Scene, is_changed, passed| Look { plan, progress: scene.progress, is_changed, passed };
        let Some(now) = scene.clock.says().filter(|_| !is_believed) else {
            return Ok(look(scene.plan(&self.policy), scene, is_shortened, passed));
        };
        // Starts take more or less time: what is within that is nothing new.
        let least = scene.progress.clock_least.filter(|least| now >= least.plus(-LONGEST_START_SECONDS));
        // Minutes; a clock that ticks on is beyond its first hour soon.
        let is_at_start = |at: Time| at.since(least.unwrap_or(now)) < CLOSE_SECONDS;
        let is_start = |last: Time| is_at_start(now) && is_at_start(last) && now.since(last) < LONGEST_START_SECONDS;
        let begins_anew = |last: Time| now <= last || is_start(last);
        if scene.progress.pace.last.is_some_and(begins_anew) {
            scene.facts.pace = Pace::default();
        }
        if scene.reading.is_some() && is_measured {
            return Ok(look(scene.plan(&self.policy), scene, is_shortened, passed));
        }
        let mut is_changed = is_shortened;
        if least.is_none() {
            (scene.progress.clock_least, is_changed) = (Some(now), true);
        }
        let plan = scene.plan(&self.policy);
        let (Step::Nothing, Some(last)) = (&plan.step, passed.last) else {
            return Ok(look(plan, scene, is_changed, passed));
        };
        if begins_anew(last) {
            scene.facts.end_wait();
            return Ok(look(scene.plan(&self.policy), scene, is_changed, passed));
        }
        let rest = passed.left_seconds(now);
        if rest == 0 || is_measured {
            return Ok(look(plan, scene, is_changed, passed));
        }
        let passed = Attempts { last: Some(now), wait_seconds: rest, ..passed };
        if scene.reading.is_some() || self.looks.is_first(name) {
            (scene.progress.attempts, is_changed) = (passed, true);
            scene.measure();
        }
        Ok(look(plan, scene, is_changed, passed))
    }

    /// Where the program's meter has not moved, and no clock is believed, whoever comes back has waited: at the first look of a planner, which
    /// is a start of the program, the wait is shortened; after that the process knows by itself how long it is. Whether the wait was shortened.
    fn heed_standing_meter(&self, name: &str, scene: &mut Scene) -> bool {
        let Some(reading) = scene.reading.filter(|reading| reading.stands(&scene.progress, scene.clock)) else {
            return false;
        };
        let kept = scene.progress.attempts;
        let is_first = self.looks.is_first(name);
        let left = match is_first {
            true => uptime::shortened(kept.wait_seconds),
            false => kept.wait_seconds.saturating_sub(self.looks.known_seconds(name, kept)),
        };
        if is_first {
            (scene.progress.attempts.wait_seconds, scene.facts.attempts.wait_seconds) = (left, left);
        }
        scene.facts.left_seconds = scene.facts.left_seconds.map(|by_meter| by_meter.min(left));
        if left == 0 {
            scene.facts.end_wait();
            scene.findings.push(uptime::standing(name, reading.uptime));
        }
        is_first
    }

    /// Keeps whose device memory it is, at the first attempt of a planner that is told.
    fn bind(&self, store: &Store) -> Result<(), Error> {
        let Some(id) = &self.device_id else { return Ok(()) };
        match store.blob(DEVICE) {
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => {
                Ok(store.put_blob(DEVICE, self.device_mark(id)?.as_bytes())?)
            }
            // What a newer version wrote is its own.
            Err(error) if error.is_of_no_use() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Whether device memory was begun by another device: a copy of an image, both with the same keys. It cannot be told where the
    /// planner does not know which device this is, or a newer version has written whose it is.
    fn is_copied(&self, store: &Store) -> Result<bool, Error> {
        let Some(id) = &self.device_id else { return Ok(false) };
        match store.blob(DEVICE) {
            Ok(kept) => {
                let is_of_this_version = kept.starts_with(DEVICE_HEAD.as_bytes());
                Ok(is_of_this_version && kept.as_slice() != self.device_mark(id)?.as_bytes())
            }
            Err(error) if error.is_of_no_use() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn device_mark(&self, id: &[u8]) -> Result<String, Error> {
        let digest = self.provider.digest(DigestAlgorithm::Sha256, &[b"devid device\0", id])?;
        Ok(format!("{DEVICE_HEAD}{}\n", progress::hex(&digest)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a wait of a day, every quarter of an hour, by a clock that is days off and ticks.
    #[test]
    fn who_only_gets_ready_for_a_look_ends_no_wait() {
        for off in [-2 * 86_400, 2 * 86_400, -30 * 86_400] {
            let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
            let begun = Time::from_unix(1_800_000_000);
            store.note_time(begun).unwrap();
            planner.note_clock(&store, "router", begun, begun.plus(off)).unwrap();
            planner.note_waiting(&store, "router", 86_400, Some(begun.plus(off))).unwrap();
            let mut ended: Vec<i64> = Vec::new();
            for look in 1..96 {
                let clock = Some(begun.plus(off + look * 900));
                let ready = planner.plan_to_be_told(&store, "router", clock).unwrap();
                let again = planner.plan_to_be_told(&store, "router", clock).unwrap();
                let (plan, _) = planner.plan_as_told(&store, "router", clock).unwrap();
                assert_eq!((&ready, &again), (&plan, &plan), "the settings are made for what is done");
                ended.extend((plan.step != Step::Nothing).then_some(look));
            }
            assert!(ended.is_empty(), "{off}: {ended:?}");
            let (plan, _) = planner.plan_as_told(&store, "router", Some(begun.plus(off + 86_401))).unwrap();
            assert_ne!(plan.step, Step::Nothing, "the wait is over");
        }
    }

    /// The dark twin: a clock that begins anew measures nothing, and who comes back has waited as told.
    #[test]
    fn a_clock_that_begins_with_the_device_ends_the_wait_at_its_next_start() {
        for (first, second) in [(1000, 1000), (1000, 1040), (1040, 1000), (1000, 1240)] {
            let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
            store.note_time(Time::from_unix(1_800_000_000)).unwrap();
            let at = |seconds: i64| Some(Time::from_unix(seconds));
            planner.plan_as_told(&store, "router", at(first)).unwrap();
            planner.note_waiting(&store, "router", 86_400, at(first)).unwrap();
            let ready = planner.plan_to_be_told(&store, "router", at(second)).unwrap();
            assert_eq!(ready, planner.plan_as_told(&store, "router", at(second)).unwrap().0);
            assert_ne!(ready.step, Step::Nothing, "{first}, {second}");
        }
    }

    /// Until an answer has told the time, a clock that says a build date at each start looks like a right one.
    #[test]
    fn a_clock_that_no_answer_has_confirmed_may_begin_with_the_device() {
        let built = Time::from_unix(1_777_600_000);
        for (first, second) in [(75, 62), (75, 85), (5475, 80), (905, 905)] {
            let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
            let at = |seconds: i64| Some(built.plus(seconds));
            planner.plan_as_told(&store, "router", at(60)).unwrap();
            planner.note_waiting(&store, "router", 86_400, at(first)).unwrap();
            let (plan, _) = planner.plan_as_told(&store, "router", at(second)).unwrap();
            assert_ne!(plan.step, Step::Nothing, "a new start: {first}, {second}");
        }
        // The dark twins: within one start, and once an answer has told the time, a wait is a wait.
        for is_told in [false, true] {
            let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
            if is_told {
                store.note_time(built).unwrap();
            }
            planner.plan_as_told(&store, "router", Some(built.plus(60))).unwrap();
            planner.note_waiting(&store, "router", 86_400, Some(built.plus(75))).unwrap();
            for look in 1..90 {
                let clock = Some(built.plus(75 + look * 900));
                let (plan, _) = planner.plan_as_told(&store, "router", clock).unwrap();
                assert_eq!(plan.step, Step::Nothing, "{is_told}, look {look}");
            }
        }
    }

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
