//! Clocks that are missing, wrong or fail later, beside CAs that let their devices wait: a program that does as the reports say has
//! its certificate in bounded time, asks a bounded number of times, and nothing is thrown away that the CA would still give.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::oid;
use devid::client::renewal::{Clock, Done, Report, Standing};
use devid::client::{Config, Decision, Destination, Owner, Planner, Renewal, Step};
use devid::cmp::{Issued, Operation};
use devid::crypto::PrivateKey;
use devid::limits::Limits;
use devid::store::{AnchorSet, NewIdentity, NewKey, Signer, Store};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::validation::KeyUsage;
use devid::{Code, Error, Time};

use crate::certificates::{Builder, date, now, provider, time};
use crate::mock_ca::{self, LIGHT_MAC, MockCa, REFERENCE, SECRET};
use crate::renewal::DAY;

/// Most requests in 24 hours that lead to nothing: 200, and those of a step that has begun.
pub const MOST_A_DAY: usize = 205;

/// What a device has for a clock, from the beginning or from the renewal on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    Right,
    None,
    Of1970,
    /// It says the same at each look: the device is on for minutes.
    Of1970AtEachStart,
    /// The same, and each start takes more or less time.
    Of1970AboutAtEachStart,
    Off(i64),
}

pub const ODD: [Odd; 9] = [
    Odd::Right,
    Odd::None,
    Odd::Of1970,
    Odd::Of1970AtEachStart,
    Odd::Of1970AboutAtEachStart,
    Odd::Off(-2 * DAY),
    Odd::Off(2 * DAY),
    Odd::Off(40 * DAY),
    Odd::Off(3650 * DAY),
];

impl Odd {
    pub fn says(self, truth: Time) -> Option<Time> {
        match self {
            Odd::Right => Some(truth),
            Odd::None => None,
            Odd::Of1970 => Some(Time::from_unix(truth.since(now()) + 1000)),
            Odd::Of1970AtEachStart => Some(Time::from_unix(1000)),
            // What is left of the true time stands for chance.
            Odd::Of1970AboutAtEachStart => Some(Time::from_unix(1000 + truth.unix() / 7 % 61)),
            Odd::Off(seconds) => Some(truth.plus(seconds)),
        }
    }
}

/// A function of the program that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Decision,
    Checkpoint,
    Wait,
}

/// Sleeps no longer than a moment.
struct Sleeper {
    fails: Option<(Own, Code)>,
}

impl Sleeper {
    fn asked(&self, what: Own) -> Result<(), Error> {
        match self.fails {
            Some((own, code)) if own == what => Err(Error::new(code, "the program's own failure")),
            _ => Ok(()),
        }
    }
}

impl Owner for Sleeper {
    fn now(&mut self) -> Time {
        panic!("the planner's clock counts")
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        assert!(seconds <= 30, "longer waits end the step");
        self.asked(Own::Wait)
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        self.asked(Own::Decision).map(|()| Decision::by_policy(issued))
    }

    fn checkpoint(&mut self, _operation: &Operation) -> Result<(), Error> {
        self.asked(Own::Checkpoint)
    }
}

/// Who answers in the CA's place, having seen its answer.
pub type Another = fn(&[u8]) -> Result<Reply, TransportError>;

pub type KeysFrom = Rc<dyn Fn() -> Result<Arc<dyn PrivateKey>, Error>>;

/// A device, its CA and how late it really is.
pub struct World {
    pub ca: MockCa,
    pub store: Store,
    pub planner: Planner,
    pub config: Config,
    /// Makes the new keys, where device memory does not.
    pub makes_keys: Option<KeysFrom>,
    factory: Option<&'static str>,
    pub truth: Rc<Cell<Time>>,
    /// How far the CA's clock is off.
    pub ca_off: Rc<Cell<i64>>,
    /// Polls that are answered by "wait", each for this time.
    pub lets_wait: (u32, i64),
    /// Questions are answered at once, or not.
    pub lets_questions_wait: bool,
    pub is_dead: bool,
    /// The user ends the exchange.
    pub is_cancelled: bool,
    /// A function of the program fails.
    pub fails: Option<(Own, Code)>,
    /// This is refused with this PKIFailureInfo.
    pub refuses: Option<(BodyType, u32)>,
    /// Somebody else answers, who has seen what the CA has answered.
    pub instead: Option<Another>,
    /// The answer to this is lost once, after the CA has acted.
    pub loses: Option<BodyType>,
    pub asked: Vec<(Time, BodyType)>,
}

impl Exchange for World {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let body = PkiMessage::from_der(request.to_vec(), &Limits::default()).unwrap().body_type();
        self.asked.push((self.truth.get(), body));
        if self.is_dead {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        if self.is_cancelled {
            return Err(TransportError::new(TransportErrorKind::Cancelled, Phase::Await, "the user has ended it"));
        }
        self.ca.waits = if body == BodyType::GENM { u32::from(self.lets_questions_wait) } else { self.lets_wait.0 };
        self.ca.check_after = self.lets_wait.1;
        self.ca.status = match self.refuses.filter(|(of, _)| *of == body) {
            Some((_, info)) => PkiStatusInfo { fail_info: Some(info), ..PkiStatusInfo::new(PkiStatus::Rejection) },
            None => PkiStatusInfo::new(PkiStatus::Accepted),
        };
        let answer = self.ca.answer(request);
        if let Some(instead) = self.instead {
            return instead(&answer);
        }
        if self.loses.take_if(|lost| *lost == body).is_some() {
            return Err(TransportError::new(TransportErrorKind::Timeout, Phase::Await, "the answer is lost"));
        }
        Ok(Reply::from_body(answer))
    }
}

impl World {
    pub fn new(by_secret: bool) -> Self {
        let mut ca = MockCa::new();
        ca.root = Builder::ca("Operator root").valid(date(2020, 1, 1), date(2080, 1, 1)).self_signed();
        ca.issuing = Builder::ca("Issuing CA").valid(date(2020, 1, 1), date(2079, 1, 1)).signed_by(&ca.root);
        let signer = Builder::leaf("CMP server").valid(date(2020, 1, 1), date(2078, 1, 1));
        ca.signer = signer.key_usage(&[KeyUsage::DigitalSignature]).purposes(&[oid::KP_CMC_RA]).signed_by(&ca.issuing);
        ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
        ca.confirms_once = true;
        let (truth, ca_off) = (Rc::new(Cell::new(now())), Rc::new(Cell::new(0)));
        let says = {
            let (truth, off) = (Rc::clone(&truth), Rc::clone(&ca_off));
            move || truth.get().plus(off.get())
        };
        let begins = says.clone();
        ca.issue = Box::new(move |mut builder| {
            let now = begins();
            (builder.not_before, builder.not_after) = (time(now.plus(-60)), time(now.plus(365 * DAY)));
            builder
        });
        ca.bend = Some(Box::new(move |answer| answer.header.message_time = Some(says())));
        let store = Store::in_memory(provider().clone());
        let mut config = Config::new();
        if by_secret {
            config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        } else {
            let idevid = Builder::leaf("IDevID 7").valid(date(2020, 1, 1), date(9999, 12, 31));
            let idevid = idevid.key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.supplier);
            let new = NewIdentity {
                key: NewKey::Given(Signer::from(&idevid.key)),
                certificate: &idevid.certificate,
                chain: &[],
                purpose: "idevid",
                at: now(),
            };
            store.install("idevid", &new).unwrap();
        }
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            store.set_anchors(set, std::slice::from_ref(&ca.root.certificate)).unwrap();
        }
        let planner = Planner::new().for_device(b"router-7");
        let factory = (!by_secret).then_some("idevid");
        World {
            ca,
            store,
            planner,
            config,
            makes_keys: None,
            factory,
            truth,
            ca_off,
            lets_wait: (0, 30),
            lets_questions_wait: false,
            is_dead: false,
            is_cancelled: false,
            fails: None,
            refuses: None,
            instead: None,
            loses: None,
            asked: Vec::new(),
        }
    }

    pub fn run(&mut self, clock: Option<Time>) -> Report {
        // What the renewal borrows is set aside while the CA is borrowed too.
        let (planner, config) = (self.planner.clone(), self.config.clone());
        let store = std::mem::replace(&mut self.store, Store::in_memory(provider().clone()));
        let (subject, makes_keys) = (mock_ca::Device::subject(), self.makes_keys.clone());
        let renewal = Renewal {
            planner: &planner,
            config: &config,
            to: Destination { store: &store, name: "router", purpose: "ldevid" },
            factory: self.factory,
            subject: Some(&subject),
            new_key: makes_keys.as_deref(),
        };
        let mut owner = Sleeper { fails: self.fails };
        let report = renewal.run_due(clock, self, &mut owner).expect("device memory works");
        self.store = store;
        report
    }

    pub fn later(&self, seconds: i64) {
        self.truth.set(self.truth.get().plus(seconds));
    }

    pub fn count(&self, body: BodyType) -> usize {
        self.asked.iter().filter(|(_, asked)| *asked == body).count()
    }

    /// The most requests in 24 hours.
    pub fn busiest_day(&self) -> usize {
        let within = |from: Time| self.asked.iter().filter(|(at, _)| (0..DAY).contains(&at.since(from))).count();
        self.asked.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    /// Does as the reports say until a certificate is installed; the reports, and how long it took.
    pub fn until_installed(&mut self, clock: Odd, most_seconds: i64, what: &str) -> (Vec<String>, i64) {
        let (mut log, begun, mut last_wait) = (Vec::new(), self.truth.get(), 1);
        loop {
            let report = self.run(clock.says(self.truth.get()));
            log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
            assert!(last_wait > 0 || report.wait_seconds > 0, "{what}: two waits of 0: {log:#?}");
            last_wait = report.wait_seconds;
            let passed = self.truth.get().since(begun);
            if matches!(report.outcome, Ok(Done::Installed(_))) {
                return (log, passed);
            }
            assert!(passed <= most_seconds && log.len() < 500, "{what}: not installed in {passed} s: {log:#?}");
            self.later(i64::from(report.wait_seconds));
        }
    }

    /// From an hour after the renewal is due.
    pub fn at_renewal(by_secret: bool) -> Self {
        let mut world = World::new(by_secret);
        world.until_installed(Odd::Right, 0, "the first");
        let due = world.planner.plan(&world.store, "router", Some(now())).unwrap().renewal_at.unwrap();
        world.later(due.since(now()) + 3600);
        world.asked.clear();
        world
    }
}

/// Every clock x every wait x first certificate and renewal x both credentials.
#[test]
fn whatever_the_clock_says_and_however_long_the_ca_lets_wait_the_device_gets_its_certificate() {
    for odd in ODD {
        for wait in [0, 60, 600, DAY] {
            for is_renewal in [false, true] {
                for by_secret in [false, true] {
                    let what = format!("{odd:?}, CA waits {wait} s, renewal: {is_renewal}, secret: {by_secret}");
                    let mut world = if is_renewal { World::at_renewal(by_secret) } else { World::new(by_secret) };
                    world.lets_wait = if wait == 0 { (0, 30) } else { (3, wait) };
                    // A clock that is slow by days, and contradicted by nobody before, finds the renewal due so much later.
                    let slow = if let Odd::Off(off) = odd { (-off).max(0) } else { 0 };
                    let (log, passed) = world.until_installed(odd, 4 * wait + 2 * 3600 + slow, &what);

                    // By a clock that is years ahead the certificate has expired: the CA is asked for the time first.
                    let request = if is_renewal { BodyType::KUR } else { BodyType::IR };
                    assert_eq!(world.count(request), 1, "{what}: nothing is asked for twice: {log:#?}");
                    assert_eq!(world.count(BodyType::IR) + world.count(BodyType::KUR), 1, "{what}: {log:#?}");
                    assert!(world.count(BodyType::POLLREQ) <= 5, "{what}: {:?}", world.asked);
                    assert!(world.busiest_day() <= 16, "{what}: {:?}", world.asked);
                    if wait > 0 {
                        assert!(passed >= 3 * wait, "{what}: it waits as it is told, {passed} s: {log:#?}");
                    }
                }
            }
        }
    }
}

/// A CA that asks for no time at all, and never issues: neither is each second of an hour's sleep a poll, nor each look an hour of polls.
#[test]
fn a_ca_that_asks_for_a_second_without_end_is_polled_more_and_more_slowly() {
    for asks in [0, 1, 5, 29, 31] {
        let mut world = World::new(true);
        world.lets_wait = (u32::MAX, asks);
        let end = world.truth.get().plus(2 * DAY);
        let mut before = 0;
        while world.truth.get() < end {
            let report = world.run(Some(world.truth.get()));
            assert!(matches!(report.outcome, Ok(Done::Waiting | Done::Nothing)), "{asks}: {report:?}");
            assert!(world.asked.len() - before <= 32, "{asks}: {} polls in one step", world.asked.len() - before);
            before = world.asked.len();
            world.later(i64::from(report.wait_seconds));
        }
        assert!(world.busiest_day() <= MOST_A_DAY, "{asks}: {} in a day", world.busiest_day());
    }
    // The dark twin: a few short waits are slept through.
    let mut world = World::new(true);
    world.lets_wait = (3, 5);
    let (log, _) = world.until_installed(Odd::Right, 0, "three short waits");
    assert_eq!((log.len(), world.count(BodyType::POLLREQ)), (1, 4), "{log:#?}");
}

/// The other way round: the device's clock is right, and the CA's is not.
#[test]
fn a_ca_whose_clock_is_off_enrols_the_device_all_the_same_and_the_doubt_ends_when_it_is_put_right() {
    for off in [-2 * DAY, 2 * DAY] {
        for wait in [0, 600] {
            let mut world = World::new(true);
            world.ca_off.set(off);
            world.lets_wait = if wait == 0 { (0, 30) } else { (3, wait) };
            let what = format!("CA {off} s off, waits {wait}");
            world.until_installed(Odd::Right, 2 * 3600, &what);
            assert_eq!(world.count(BodyType::IR), 1, "{what}");
            let clock =
                |world: &World| world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap().clock;
            assert!(matches!(clock(&world), Clock::Doubted { .. }), "{what}: {:?}", clock(&world));

            world.ca_off.set(0);
            world.later(8 * DAY);
            for _ in 0..3 {
                let report = world.run(Some(world.truth.get()));
                world.later(i64::from(report.wait_seconds));
            }
            assert!(matches!(clock(&world), Clock::Known(_)), "{what}: {:?}", clock(&world));
        }
    }
}

/// Quiet years: a clock that is wrong costs a question a week, not one at each look.
#[test]
fn a_device_whose_clock_is_wrong_asks_for_the_time_now_and_then() {
    for odd in ODD {
        let mut world = World::new(true);
        world.until_installed(odd, 2 * 3600, "the first");
        world.asked.clear();
        let end = world.truth.get().plus(60 * DAY);
        let mut looks = 0;
        while world.truth.get() < end {
            let report = world.run(odd.says(world.truth.get()));
            assert!(report.outcome.is_ok() && report.wait_seconds > 0, "{odd:?}: {report:?}");
            assert!(matches!(report.plan.standing, Standing::Valid | Standing::Unknown), "{odd:?}: {report:?}");
            world.later(i64::from(report.wait_seconds));
            looks += 1;
        }
        assert!(looks <= 30 && world.asked.len() <= 30, "{odd:?}: {looks} looks, {:?}", world.asked);
        // Who goes by the plan alone does not ask without end either.
        if let Some(said) = odd.says(world.truth.get()) {
            let plan = world.planner.plan(&world.store, "router", Some(said)).unwrap();
            assert!(plan.step == Step::Nothing || plan.ask_again_seconds == 0, "{odd:?}: {plan:?}");
        }
    }
}

/// Whatever the clock is: a CA that is away is asked more and more rarely, by reports.
#[test]
fn a_ca_that_is_away_is_asked_a_bounded_number_of_times_by_every_clock() {
    let mut counts = BTreeMap::new();
    for odd in ODD {
        for is_renewal in [false, true] {
            let mut world = if is_renewal { World::at_renewal(false) } else { World::new(false) };
            world.is_dead = true;
            let end = world.truth.get().plus(3 * DAY);
            while world.truth.get() < end {
                let report = world.run(odd.says(world.truth.get()));
                assert!(report.wait_seconds >= 30, "{odd:?}: {report:?}");
                world.later(i64::from(report.wait_seconds));
            }
            counts.insert(format!("{odd:?} {is_renewal}"), world.asked.len());
            assert!(world.busiest_day() <= 12, "{odd:?}: {} in a day", world.busiest_day());
            world.is_dead = false;
            world.until_installed(odd, 3 * DAY, &format!("{odd:?}, the CA is back"));
        }
    }
    assert!(counts.values().all(|count| (2..=24).contains(count)), "{counts:?}");
}

/// A clock that is weeks ahead for one start while the CA lets wait: the CA has been asked to approve, and is not asked twice.
#[test]
fn a_clock_that_is_ahead_for_a_look_throws_no_waiting_request_away() {
    for by_secret in [false, true] {
        for off in [40 * DAY, 400 * DAY, -40 * DAY, -50 * 365 * DAY] {
            for looks in [1, 5] {
                let mut world = World::new(by_secret);
                world.lets_wait = (10, DAY);
                for look in 0..60 {
                    let clock = world.truth.get().plus(if (3..3 + looks).contains(&look) { off } else { 0 });
                    let report = world.run(Some(clock));
                    if matches!(report.outcome, Ok(Done::Installed(_))) {
                        break;
                    }
                    let is_odd = (2..2 + looks).contains(&look);
                    world.later(if is_odd { 3600 } else { i64::from(report.wait_seconds.max(1)) });
                }
                assert!(world.store.current("router").is_ok(), "{off} {looks}: {:?}", world.asked);
                assert_eq!(world.count(BodyType::IR), 1, "{off} {looks}: {:?}", world.asked);
            }
        }
    }
}
