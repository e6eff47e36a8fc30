//! One device: its memory, its clock, its deaths, and who watches it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use devid::client::renewal::{Alarm, Done, Meter, Report, Standing, Uptime};
use devid::client::{Config, Destination, Owner, Planner, Renewal, Step};
use devid::cmp::Operation;
use devid::store::{AnchorSet, NewIdentity, NewKey, ProblemKind, Signer, Store, is_own_record};
use devid::validation::KeyUsage;
use devid::{Code, Error, Time};

use super::ca::{Ca, TroubleKind};
use super::{Dice, MOST_A_DAY, MOST_DAYS_TO_RECOVER, MOST_REQUESTS_A_DAY_OF_SHORT_ONES, MOST_STEPS, Tally, days};
use crate::certificates::{Builder, date, now, provider};
use crate::mock_ca::{self, LIGHT_MAC, REFERENCE, SECRET};
use crate::renewal::DAY;

/// What a device has for a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    Right,
    Slow,
    Fast,
    Missing,
    /// Starts in 1970 each day.
    Of1970,
    /// Twenty years ahead, one day in thirty.
    JumpsAhead,
    /// Anywhere, one look in seven.
    Random,
    /// A hundred days behind, from the hundredth day on.
    SetBack,
    DaysFast,
}

impl ClockKind {
    pub const ALL: [ClockKind; 9] = [
        ClockKind::Right,
        ClockKind::Slow,
        ClockKind::Fast,
        ClockKind::Missing,
        ClockKind::Of1970,
        ClockKind::JumpsAhead,
        ClockKind::Random,
        ClockKind::SetBack,
        ClockKind::DaysFast,
    ];

    fn says(self, start: Time, truth: Time, dice: &mut Dice) -> Option<Time> {
        let day = days(truth.since(start));
        Some(match self {
            ClockKind::Right => truth,
            ClockKind::Slow => truth.plus(-400),
            ClockKind::Fast => truth.plus(1800),
            ClockKind::Missing => return None,
            ClockKind::Of1970 => Time::from_unix(truth.unix().rem_euclid(DAY)),
            ClockKind::JumpsAhead if day % 30 == 5 => truth.plus(20 * 365 * DAY),
            ClockKind::JumpsAhead => truth,
            ClockKind::Random if dice.below(7) == 0 => {
                truth.plus(dice.one_of(&[-3000 * DAY, 3000 * DAY, 40_000, -40_000]))
            }
            ClockKind::Random => truth,
            ClockKind::SetBack if day > 100 => truth.plus(-100 * DAY),
            ClockKind::SetBack => truth,
            ClockKind::DaysFast => truth.plus(2 * DAY),
        })
    }
}

/// What a wrong planner would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    NeverEnrolsAgain,
    GivesUpForGood,
    HeedsNoWait,
    DropsIdentities,
}

impl Sabotage {
    pub const ALL: [Sabotage; 4] =
        [Sabotage::NeverEnrolsAgain, Sabotage::GivesUpForGood, Sabotage::HeedsNoWait, Sabotage::DropsIdentities];
}

pub struct Device {
    number: u64,
    ca: Ca,
    store: Store,
    planner: Planner,
    config: Config,
    factory: Option<&'static str>,
    clock: ClockKind,
    start: Time,
    truth: Time,
    /// How long it has been on, where it can tell that.
    uptime: Arc<Mutex<Option<Uptime>>>,
    dice: Dice,
    sabotage: Option<Sabotage>,
    tally: Tally,
    /// Of the last 24 hours.
    recent: VecDeque<Time>,
    generation: u32,
    was_usable: bool,
    unusable_since: Time,
    is_stuck: bool,
    is_spinning: bool,
    same_second: usize,
    /// Each step is printed: DEVID_DECADE_TRACE.
    is_traced: bool,
    /// What went wrong last, for who reads a fault.
    last_error: String,
}

/// Sleeps no longer than a moment, and may die at a step.
struct Mortal {
    steps_left: i64,
}

impl Owner for Mortal {
    fn now(&mut self) -> Time {
        panic!("the planner's clock counts")
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        assert!(seconds <= 30, "longer waits end the step");
        Ok(())
    }

    fn checkpoint(&mut self, _operation: &Operation) -> Result<(), Error> {
        self.steps_left -= 1;
        if self.steps_left == 0 { Err(Error::new(Code::Cancelled, "the device died")) } else { Ok(()) }
    }
}

impl Device {
    pub fn new(number: u64, sabotage: Option<Sabotage>) -> Self {
        let mut dice = Dice::new(number);
        let start = now().plus(dice.below(365 * DAY));
        let ca = Ca::new(start, super::YEARS, Dice::new(number ^ 0x5eed_0000));
        let clocks = ClockKind::ALL;
        let clock = clocks[usize::try_from(number).unwrap() % clocks.len()];
        let store = Store::in_memory(provider().clone());
        let mut config = Config::new();
        let by_secret = number / clocks.len() as u64 % 3 == 1;
        if by_secret {
            config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        } else {
            let idevid = Builder::leaf("IDevID 7").valid(date(2020, 1, 1), date(9999, 12, 31));
            let idevid = idevid.key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.mock.supplier);
            let new = NewIdentity {
                key: NewKey::Given(Signer::from(&idevid.key)),
                certificate: &idevid.certificate,
                chain: &[],
                purpose: "idevid",
                at: start,
            };
            store.install("idevid", &new).unwrap();
        }
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            store.set_anchors(set, std::slice::from_ref(&ca.mock.root.certificate)).unwrap();
        }
        let mut planner = Planner::new().for_device(&number.to_be_bytes());
        let uptime = Arc::new(Mutex::new(None));
        if number % 2 == 1 {
            let read = Arc::clone(&uptime);
            planner.meter = Meter::Own(Arc::new(move || *read.lock().unwrap()));
        }
        if sabotage == Some(Sabotage::HeedsNoWait) {
            (planner.policy.first_retry_seconds, planner.policy.longest_retry_seconds) = (0, 0);
        }
        Device {
            number,
            ca,
            store,
            planner,
            config,
            factory: (!by_secret).then_some("idevid"),
            clock: if sabotage.is_some() { ClockKind::Right } else { clock },
            start,
            truth: start,
            uptime,
            dice,
            sabotage,
            tally: Tally::default(),
            recent: VecDeque::new(),
            generation: 0,
            was_usable: false,
            unusable_since: start,
            is_stuck: false,
            is_spinning: false,
            same_second: 0,
            is_traced: std::env::var_os("DEVID_DECADE_TRACE").is_some(),
            last_error: String::new(),
        }
    }

    pub fn live(mut self, years: i64) -> Tally {
        let end = self.start.plus(years * 365 * DAY);
        // A sabotaged device has shown what it should with its first fault.
        while self.truth < end
            && self.tally.steps < MOST_STEPS
            && (self.sabotage.is_none() || self.tally.faults().is_empty())
        {
            let knows_root = self
                .ca
                .offered_root()
                .is_some_and(|root| self.store.anchors(AnchorSet::Enrolment).unwrap().contains(&root.certificate));
            self.ca.reach(self.truth, knows_root);
            let wait = self.step();
            self.truth = self.truth.plus(wait);
        }
        let problems = self.store.verify().unwrap();
        if let Some(problem) = problems.iter().find(|problem| problem.kind != ProblemKind::Unresolved) {
            let text = self.note(&format!("{problem:?}"));
            self.tally.lost.push(text);
        }
        // No program may put a record where the library has put one of its own.
        let own = self.store.blobs().unwrap();
        assert!(own.iter().all(|name| is_own_record(name)), "{own:?}");
        (self.tally.devices, self.tally.days) = (1, days(self.truth.since(self.start)));
        for kind in self.ca.met {
            *self.tally.troubles.entry(kind).or_default() += 1;
        }
        self.tally
    }

    fn note(&self, what: &str) -> String {
        let (day, trouble) = (days(self.truth.since(self.start)), self.ca.trouble().map(|trouble| trouble.kind));
        let (number, clock, factory, last) = (self.number, self.clock, self.factory, &self.last_error);
        format!("device {number} ({clock:?}, {factory:?}), day {day}, {trouble:?}: {what}; last error {last}")
    }

    /// One look, and the seconds until the next.
    fn step(&mut self) -> i64 {
        self.tally.steps += 1;
        let asked = self.ca.request_times.len();
        let said = self.clock.says(self.start, self.truth, &mut self.dice);
        // A clock that starts in 1970 each day is that of a device which is switched on each day.
        let span = if self.clock == ClockKind::Of1970 { DAY } else { 3 * DAY };
        let (boot, seconds) = (self.truth.unix().div_euclid(span), self.truth.unix().rem_euclid(span));
        *self.uptime.lock().unwrap() = Some(Uptime { boot: boot.unsigned_abs().into(), seconds });
        let wait = match self.sabotaged(said) {
            Some(wait) => wait,
            None => {
                let report = self.run(said);
                let wait = self.judge(&report, said);
                if self.is_traced {
                    let asked = self.ca.request_times.len().saturating_sub(asked);
                    let text = self
                        .note(&format!("{} by {said:?}, {asked} requests, next in {wait} s: {report:?}", self.truth));
                    println!("{text}");
                }
                wait
            }
        };
        self.count_requests(asked);
        self.look_at_identity();
        wait
    }

    fn run(&mut self, clock: Option<Time>) -> Report {
        let subject = mock_ca::Device::subject();
        let dies = self.dice.below(12) == 0;
        let mut owner = Mortal { steps_left: if dies { 1 + self.dice.below(5) } else { 0 } };
        let renewal = Renewal {
            planner: &self.planner,
            config: &self.config,
            to: Destination { store: &self.store, name: "router", purpose: "ldevid" },
            factory: self.factory,
            subject: Some(&subject),
            new_key: None,
        };
        let report = renewal.run_due(clock, &mut self.ca, &mut owner).expect("device memory works");
        self.tally.deaths += usize::from(dies && owner.steps_left <= 0);
        self.tally.certificates += usize::from(matches!(report.outcome, Ok(Done::Installed(_))));
        report
    }

    /// The next moment is one that comes, and who is without an identity says so.
    fn judge(&mut self, report: &Report, said: Option<Time>) -> i64 {
        let wait = i64::from(report.wait_seconds);
        if let Err(error) | Ok(Done::Abandoned(error)) = &report.outcome {
            self.last_error = format!("{:?}: {error}", report.plan.step);
        }
        if wait > 31 * DAY {
            let text = self.note(&format!("comes back in {} days: {report:?}", days(wait)));
            self.tally.stuck.push(text);
        }
        self.same_second = if wait == 0 { self.same_second + 1 } else { 0 };
        if self.same_second > 20 && !self.is_spinning {
            self.is_spinning = true;
            let text = self.note(&format!("{} steps in one second: {report:?}", self.same_second));
            self.tally.spinning.push(text);
        }
        let plan = self.planner.plan(&self.store, "router", said).unwrap();
        let is_unusable = matches!(plan.standing, Standing::Absent | Standing::Expired | Standing::Damaged);
        if is_unusable && plan.alarm < Alarm::Unusable {
            let text = self.note(&format!("nobody is told: {plan:?}"));
            self.tally.stuck.push(text);
        }
        // A second passes with each step.
        match self.sabotage {
            Some(Sabotage::HeedsNoWait) if report.plan.step != Step::Nothing => 1,
            _ => wait.max(1),
        }
    }

    fn count_requests(&mut self, asked: usize) {
        let new = self.ca.request_times.split_off(asked.min(self.ca.request_times.len()));
        self.ca.request_times.clear();
        self.tally.requests += new.len();
        self.recent.extend(new);
        while self.recent.front().is_some_and(|at| self.truth.since(*at) > DAY) {
            self.recent.pop_front();
        }
        self.tally.busiest_day = self.tally.busiest_day.max(self.recent.len());
        let is_short = self.ca.shared.lifetime.get() < DAY
            || self.ca.met.last() == Some(&TroubleKind::IssuesShort)
            || self.ca.met.iter().rev().nth(1) == Some(&TroubleKind::IssuesShort);
        let most = if is_short { MOST_REQUESTS_A_DAY_OF_SHORT_ONES } else { MOST_A_DAY };
        if self.recent.len() > most && !self.is_spinning {
            self.is_spinning = true;
            let text = self.note(&format!("{} requests in a day", self.recent.len()));
            self.tally.spinning.push(text);
        }
    }

    fn look_at_identity(&mut self) {
        let (now, well) = (self.truth, self.ca.is_well());
        let (generation, is_usable) = match self.store.current("router") {
            Ok(identity) => {
                let certificates = std::iter::once(&identity.certificate).chain(&identity.chain);
                let is_usable = certificates.into_iter().all(|c| c.not_before() <= now && now <= c.not_after());
                (identity.generation, is_usable)
            }
            Err(_) => (0, false),
        };
        // One that begins later by the CA's time gives way to the one before, which is whole and valid.
        if generation < self.generation && !is_usable {
            let text = self.note(&format!("generation {} became {generation}", self.generation));
            self.tally.lost.push(text);
        }
        if self.was_usable && !is_usable && generation != self.generation && !self.expires_in_seconds() {
            let text = self.note(&format!("generation {generation} is of no use, {} was", self.generation));
            self.tally.lost.push(text);
        }
        if self.was_usable && !is_usable {
            self.unusable_since = now;
        }
        (self.generation, self.was_usable) = (generation, is_usable);
        if is_usable || !well {
            self.is_stuck = false;
            return;
        }
        let since = days(now.since(self.ca.well_since.max(self.unusable_since)));
        self.tally.slowest_recovery_days = self.tally.slowest_recovery_days.max(since);
        if since > MOST_DAYS_TO_RECOVER && !self.is_stuck {
            self.is_stuck = true;
            let said = self.clock.says(self.start, now, &mut self.dice);
            let plan = self.planner.plan(&self.store, "router", said).unwrap();
            let text = self.note(&format!("no usable identity, and the CA well for {since} days: {plan:?}"));
            self.tally.stuck.push(text);
        }
    }

    /// Certificates of seconds are over before anybody looks.
    fn expires_in_seconds(&self) -> bool {
        self.ca.shared.lifetime.get() < 3600
    }

    fn sabotaged(&mut self, said: Option<Time>) -> Option<i64> {
        let sabotage = self.sabotage?;
        let plan = self.planner.plan(&self.store, "router", said).unwrap();
        match sabotage {
            Sabotage::NeverEnrolsAgain => {
                let is_it = plan.step == Step::EnrollAgain || plan.step == Step::Update;
                (is_it && days(self.truth.since(self.start)) > 30).then_some(DAY)
            }
            Sabotage::GivesUpForGood => (plan.attempts > 0 && self.generation > 0).then_some(DAY),
            Sabotage::HeedsNoWait => {
                // As if no failure were remembered.
                self.planner.reset(&self.store, "router").unwrap();
                None
            }
            Sabotage::DropsIdentities => {
                if days(self.truth.since(self.start)) > 100 && self.generation > 0 {
                    self.store.remove_identity("router").unwrap();
                    return Some(1);
                }
                None
            }
        }
    }
}
