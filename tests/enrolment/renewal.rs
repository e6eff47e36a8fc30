//! Renewal over years: what is due is done, failures are waited out, reboots forget nothing.

use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::client::renewal::{Alarm, Done, Reason, Report, Standing};
use devid::client::{Config, Destination, Owner, Planner, Renewal, RequestOptions, Step, request_into};
use devid::cmp::Signer;
use devid::crypto::{KeyKind, PrivateKey};
use devid::store::{AnchorSet, NewIdentity, NewKey, Store};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::validation::KeyUsage;
use devid::{Code, Error, Time};

use crate::certificates::{Builder, Party, date, key, now, provider, time};
use crate::mock_ca::{Device, MockCa};

pub const DAY: i64 = 86_400;

/// A device that lives for years in a moment.
pub struct Life {
    pub ca: MockCa,
    pub store: Store,
    pub planner: Planner,
    pub config: Config,
    pub clock: Time,
    pub line_is_dead: bool,
    pub retry_after: Option<u32>,
    pub factory: Option<&'static str>,
    /// The CA's time goes on as the device's; else it stands still.
    ca_tells_time: bool,
}

/// The way to the CA.
struct Line<'a> {
    ca: &'a mut MockCa,
    is_dead: bool,
    retry_after: Option<u32>,
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if let Some(seconds) = self.retry_after {
            let mut error = TransportError::new(TransportErrorKind::Busy, Phase::Await, "503");
            error.retry_after_seconds = Some(seconds);
            return Err(error);
        }
        if self.is_dead {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        Ok(Reply::from_body(self.ca.answer(request)))
    }
}

/// Sleeps no longer than a moment; its clock must not be asked.
struct Sleeper;

impl Owner for Sleeper {
    fn now(&mut self) -> Time {
        panic!("the planner's clock counts")
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        assert!(seconds <= 30, "longer waits end the step");
        Ok(())
    }
}

fn run_due(
    (store, planner, config, factory): (&Store, &Planner, &Config, Option<&str>),
    clock: Option<Time>,
    exchange: &mut dyn Exchange,
) -> Report {
    let renewal = Renewal {
        planner,
        config,
        to: Destination { store, name: "router", purpose: "ldevid" },
        factory,
        subject: Some(&Device::subject()),
        new_key: None,
    };
    renewal.run_due(clock, exchange, &mut Sleeper).expect("device memory works")
}

impl Life {
    /// A device with its factory's identity and the operator's root in device memory.
    pub fn new() -> Self {
        let mut ca = MockCa::new();
        ca.root = Builder::ca("Operator root").valid(date(2020, 1, 1), date(2060, 1, 1)).self_signed();
        ca.issuing = Builder::ca("Issuing CA").valid(date(2020, 1, 1), date(2059, 1, 1)).signed_by(&ca.root);
        let signer = Builder::leaf("CMP server").valid(date(2020, 1, 1), date(2050, 1, 1));
        ca.signer = signer.key_usage(&[KeyUsage::DigitalSignature]).purposes(&[oid::KP_CMC_RA]).signed_by(&ca.issuing);
        let store = Store::in_memory(provider().clone());
        let idevid = Builder::leaf("IDevID 7")
            .valid(date(2020, 1, 1), date(9999, 12, 31))
            .key_usage(&[KeyUsage::DigitalSignature])
            .signed_by(&ca.supplier);
        let new = NewIdentity {
            key: NewKey::Given(Signer::from(&idevid.key)),
            certificate: &idevid.certificate,
            chain: &[],
            purpose: "idevid",
            at: now(),
        };
        store.install("idevid", &new).unwrap();
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            store.set_anchors(set, std::slice::from_ref(&ca.root.certificate)).unwrap();
        }
        let planner = Planner::new().for_device(b"router-7");
        let config = Config::new();
        Life {
            ca,
            store,
            planner,
            config,
            clock: now(),
            line_is_dead: false,
            retry_after: None,
            factory: Some("idevid"),
            ca_tells_time: false,
        }
        .issuing_for_a_year()
    }

    /// What is issued begins now and lasts a year.
    pub fn issuing_for_a_year(mut self) -> Self {
        let begin = self.clock;
        self.ca.issue = Box::new(move |mut builder| {
            (builder.not_before, builder.not_after) = (time(begin), time(begin.plus(365 * DAY)));
            builder
        });
        self
    }

    pub fn later(mut self, seconds: i64) -> Self {
        self.clock = self.clock.plus(seconds);
        if self.ca_tells_time {
            let clock = self.clock;
            self.ca.bend = Some(Box::new(move |answer| answer.header.message_time = Some(clock)));
        }
        self.issuing_for_a_year()
    }

    /// Later, and the CA goes on as it was told.
    pub fn later_as_is(mut self, seconds: i64) -> Self {
        self.clock = self.clock.plus(seconds);
        self.issuing_for_a_year()
    }

    /// From here on the CA's time goes on as the device's, and it answers questions.
    pub fn with_right_ca(mut self) -> Self {
        self.ca_tells_time = true;
        self.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
        self.later(0)
    }

    pub fn run_as(&mut self, clock: Option<Time>) -> Report {
        let mut line = Line { ca: &mut self.ca, is_dead: self.line_is_dead, retry_after: self.retry_after };
        run_due((&self.store, &self.planner, &self.config, self.factory), clock, &mut line)
    }

    /// The same by another way to the CA.
    pub fn run_over(&self, clock: Option<Time>, exchange: &mut dyn Exchange) -> Report {
        run_due((&self.store, &self.planner, &self.config, self.factory), clock, exchange)
    }

    pub fn to(&self) -> Destination<'_> {
        Destination { store: &self.store, name: "router", purpose: "ldevid" }
    }

    pub fn run(&mut self) -> Report {
        self.run_as(Some(self.clock))
    }

    /// Enrolled today.
    pub fn enrolled() -> Self {
        let mut life = Life::new();
        let report = life.run();
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
        life.ca.received.clear();
        life
    }

    /// Enrolled, and on the day of the renewal.
    pub fn due() -> Self {
        let life = Life::enrolled();
        let due = life.plan().renewal_at.unwrap();
        let seconds = due.since(life.clock);
        life.later(seconds)
    }

    pub fn plan(&self) -> devid::client::Plan {
        self.planner.plan(&self.store, "router", Some(self.clock)).unwrap()
    }

    fn generation(&self) -> u32 {
        self.store.current("router").unwrap().generation
    }
}

fn rejected(fail_info: Option<u32>) -> PkiStatusInfo {
    PkiStatusInfo { fail_info, ..PkiStatusInfo::new(PkiStatus::Rejection) }
}

#[test]
fn a_device_enrols_and_renews_for_years_with_a_new_key_each_time() {
    let mut life = Life::new();
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for renewal in 0..5 {
        let report = life.run();
        let Ok(Done::Installed(identity)) = report.outcome else { panic!("{report:?}") };
        assert_eq!(life.ca.bodies(), [if renewal == 0 { "ir" } else { "kur" }, "certConf"]);
        life.ca.received.clear();
        assert!(!keys.contains(&identity.key.spki().to_vec()), "a new key");
        keys.push(identity.key.spki().to_vec());
        // As an event loop does: ask, wait as long as told, ask again.
        let mut wait = report.wait_seconds;
        let mut asked = 0;
        while wait > 0 {
            life = life.later(i64::from(wait));
            let plan = life.plan();
            assert_eq!((plan.standing, plan.alarm), (Standing::Valid, Alarm::Quiet));
            (wait, asked) = (plan.ask_again_seconds, asked + 1);
        }
        assert!(asked < 60, "it asks about once a week: {asked}");
        assert_eq!(life.plan().step, Step::Update);
    }
}

#[test]
fn the_key_stays_where_the_policy_says_so() {
    let mut life = Life::due();
    life.planner.policy.same_key = true;
    let before = life.store.current("router").unwrap();
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    let after = life.store.current("router").unwrap();
    assert_eq!(after.key.spki(), before.key.spki());
    assert_ne!(after.certificate, before.certificate);
}

#[test]
fn a_new_key_is_of_the_kind_of_the_old_one_or_made_by_the_program() {
    let mut life = Life::new();
    let subject = Device::subject();
    let make = || -> Result<std::sync::Arc<dyn PrivateKey>, Error> { Ok(provider().generate_key(KeyKind::P384)?) };
    let renewal = Renewal {
        planner: &life.planner,
        config: &life.config,
        to: Destination { store: &life.store, name: "router", purpose: "ldevid" },
        factory: Some("idevid"),
        subject: Some(&subject),
        new_key: Some(&make),
    };
    let mut line = Line { ca: &mut life.ca, is_dead: false, retry_after: None };
    renewal.run_due(Some(now()), &mut line, &mut Sleeper).unwrap().outcome.unwrap();
    assert_eq!(life.store.current("router").unwrap().key.held().unwrap().kind(), KeyKind::P384);

    let due = life.plan().renewal_at.unwrap().since(life.clock);
    life = life.later(due);
    life.run().outcome.unwrap();
    assert_eq!(life.store.current("router").unwrap().key.held().unwrap().kind(), KeyKind::P384);
}

/// The request reached nobody, so each attempt makes a fresh one; the wait is in device memory.
#[test]
fn a_dead_line_is_waited_out_and_a_reboot_does_not_begin_the_waiting_anew() {
    let mut life = Life::due();
    life.line_is_dead = true;
    let mut waits = Vec::new();
    for attempt in 1..8 {
        let report = life.run();
        assert_eq!(report.outcome.unwrap_err().code(), Code::Connect);
        assert_eq!(report.plan.attempts, attempt - 1);
        waits.push(report.wait_seconds);
        // After a reboot nothing but device memory is left.
        life.planner = Planner::new().for_device(b"router-7");
        let plan = life.plan();
        assert_eq!((plan.step, plan.attempts), (Step::Nothing, attempt));
        assert!(plan.ask_again_seconds.abs_diff(report.wait_seconds) <= 2);
        assert!(matches!(life.run().outcome, Ok(Done::Nothing)), "too early");
        life = life.later(i64::from(report.wait_seconds) + 2);
    }
    assert!(waits[0] <= 900 && waits[1..].iter().all(|wait| (12 * 3600..=24 * 3600).contains(wait)), "{waits:?}");
    assert_eq!(life.generation(), 1);

    life.line_is_dead = false;
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!((life.generation(), life.plan().attempts), (2, 0));
}

#[test]
fn a_server_that_says_when_to_come_back_is_not_asked_before() {
    let mut life = Life::due();
    life.retry_after = Some(5 * 3600);
    let report = life.run();
    assert_eq!(report.outcome.unwrap_err().code(), Code::Busy);
    assert!((5 * 3600..=8 * 3600).contains(&report.wait_seconds), "{}", report.wait_seconds);
}

/// Switched off in the middle of the attempt: that was a failure too, and the transaction goes on.
#[test]
fn an_attempt_that_ended_in_a_power_cut_counts_and_its_operation_comes_first() {
    struct PowerCut<'a>(&'a mut MockCa);
    impl Exchange for PowerCut<'_> {
        fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
            if self.0.answer(request).is_empty() { unreachable!("it answers") } else { panic!("power cut") }
        }
    }
    let mut life = Life::due();
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let renewal = Renewal {
            planner: &life.planner,
            config: &life.config,
            to: Destination { store: &life.store, name: "router", purpose: "ldevid" },
            factory: None,
            subject: None,
            new_key: None,
        };
        let _ = renewal.run_due(Some(life.clock), &mut PowerCut(&mut life.ca), &mut Sleeper);
    }));
    assert!(died.is_err());
    assert_eq!(life.store.operations().unwrap(), ["router"]);
    let plan = life.plan();
    assert_eq!((plan.step, plan.attempts), (Step::Nothing, 1), "no boot loop at the CA's cost");

    life = life.later(3600);
    assert_eq!(life.plan().step, Step::Resume);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!(life.generation(), 2);
}

/// Days of approval: the step ends, the device may be switched off, the same transaction goes on.
#[test]
fn a_ca_that_takes_days_is_asked_again_when_it_said() {
    let mut life = Life::due();
    (life.ca.waits, life.ca.check_after) = (2, 2 * DAY);
    for _ in 0..2 {
        let report = life.run();
        assert!(matches!(report.outcome, Ok(Done::Waiting)), "{report:?}");
        assert!(i64::from(report.wait_seconds).abs_diff(2 * DAY) <= 2);
        assert!(matches!(life.run().outcome, Ok(Done::Nothing)), "too early");
        let wait = i64::from(report.wait_seconds);
        life = life.later(wait + 1);
        assert_eq!((life.plan().step, life.plan().attempts), (Step::Resume, 0), "waiting is no failure");
    }
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!(life.ca.bodies(), ["kur", "pollReq", "pollReq", "pollReq", "certConf"]);
}

#[test]
fn an_expired_certificate_is_replaced_by_the_factory_identity() {
    let mut life = Life::enrolled().later(366 * DAY).with_right_ca();
    assert_eq!(life.plan().alarm, Alarm::Unusable);
    let report = life.run();
    assert_eq!((report.plan.step, report.plan.standing), (Step::EnrollAgain, Standing::Expired));
    assert!(report.outcome.is_ok());
    // It was off over the end, or its clock has jumped: the CA knows.
    assert_eq!(life.ca.bodies(), ["genm", "ir", "certConf"]);
    assert_eq!(life.ca.received[1].header().sender.as_deref(), Some(&crate::certificates::common_name("IDevID 7")[..]));
    assert_eq!((life.generation(), life.plan().alarm), (2, Alarm::Quiet));
}

#[test]
fn a_certificate_that_the_ca_calls_revoked_is_replaced_by_the_factory_identity() {
    let mut life = Life::due();
    life.ca.status = rejected(Some(1 << 10));
    let report = life.run();
    assert_eq!((report.outcome.unwrap_err().code(), report.wait_seconds), (Code::Rejected, 1));
    assert_eq!((life.plan().standing, life.plan().step), (Standing::Revoked, Step::EnrollAgain));

    life.ca.status = PkiStatusInfo::new(PkiStatus::Accepted);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!(life.ca.bodies(), ["kur", "ir", "certConf"]);
    assert_eq!(life.plan().standing, Standing::Valid);
}

#[test]
fn a_device_gives_up_after_refusals_says_so_and_begins_again_when_told() {
    let mut life = Life::due();
    life.ca.status = rejected(Some(1 << 2));
    for _ in 0..8 {
        let report = life.run();
        assert_eq!(report.outcome.unwrap_err().code(), Code::Rejected);
        life = life.later(2 * DAY);
    }
    let plan = life.plan();
    assert!(plan.has_given_up && plan.step == Step::Nothing, "{plan:?}");
    assert_eq!((plan.reason, plan.alarm), (Reason::GivenUp, Alarm::Late), "people are told");
    assert_eq!(life.run().plan.step, Step::Nothing);

    life.planner.reset(&life.store, "router").unwrap();
    life.ca.status = PkiStatusInfo::new(PkiStatus::Accepted);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
}

/// RFC 9483 section 3.6.4: transactionIdInUse, systemUnavail and systemFailure call for another try.
#[test]
fn a_ca_that_is_out_of_order_does_not_refuse() {
    let mut life = Life::due();
    for bit in [21, 24, 25].into_iter().cycle().take(12) {
        life.ca.status = rejected(Some(1 << bit));
        assert_eq!(life.run().outcome.unwrap_err().code(), Code::Rejected);
        life = life.later(2 * DAY);
    }
    assert!(!life.plan().has_given_up && life.plan().step == Step::Update);
}

/// Anyone on the way can answer with an unprotected error.
#[test]
fn refusals_that_are_not_authentic_do_not_make_a_device_give_up_or_believe_itself_revoked() {
    let mut life = Life::due();
    life.ca = life.ca.bending(BodyType::KUP, |answer| {
        let status = rejected(Some(1 << 10));
        (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
    });
    life.ca.break_ = Some(Box::new(|der| crate::mock_ca::strip_protection(&der)));
    for _ in 0..10 {
        assert_ne!(life.run().outcome.unwrap_err().code(), Code::Connect);
        life = life.later(2 * DAY);
    }
    let plan = life.plan();
    assert!(!plan.has_given_up, "{plan:?}");
    assert_eq!((plan.step, plan.standing), (Step::Update, Standing::Valid));
}

#[test]
fn a_damaged_memory_of_failures_counts_as_none_and_does_no_harm() {
    let mut life = Life::due();
    life.line_is_dead = true;
    let _ = life.run();
    let record = life.store.blobs().unwrap().into_iter().find(|name| name.starts_with("renewal-")).expect("a record");
    life.store.put_blob(&record, b"devid renewal 1\nidentity none").unwrap();
    let plan = life.plan();
    assert!(plan.is_memory_damaged);
    assert_eq!((plan.step, plan.attempts), (Step::Update, 0));
    let _ = life.run();
    let plan = life.plan();
    assert_eq!((plan.is_memory_damaged, plan.attempts, plan.step), (false, 1, Step::Nothing), "it waits again");
}

#[test]
fn a_request_on_its_way_by_other_means_is_not_overtaken() {
    let mut life = Life::due();
    let to = Destination { store: &life.store, name: "router", purpose: "ldevid" };
    request_into(to, &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();
    let report = life.run();
    assert!(report.plan.is_request_out && matches!(report.outcome, Ok(Done::Nothing)));
    assert!(life.ca.received.is_empty());
}

#[test]
fn a_damaged_saved_operation_is_given_up_for_a_fresh_one() {
    let mut life = Life::due();
    life.store.put_pending_key("router", &Signer::Key(key())).unwrap();
    life.store.save_operation("router", b"scrambled").unwrap();
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::Abandoned(_))), "{report:?}");
    assert_eq!(report.wait_seconds, 0);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
}

#[test]
fn a_root_near_its_end_gets_its_successor_beside_it() {
    let mut life = Life::enrolled();
    // The root lasts from 2020 to 2060.
    let seconds = date(2048, 6, 1).since(life.clock);
    life = life.later(seconds).with_right_ca();
    life.run().outcome.expect("enrolled again: years are over");
    life.ca.received.clear();
    assert!(matches!(life.plan().step, Step::AskForRoot(_)), "{:?}", life.plan());

    life.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value: Vec::new() }];
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::NoSuccessor)), "{report:?}");
    assert!(matches!(life.run().outcome, Ok(Done::Nothing)), "not again today");

    life = life.later(8 * DAY);
    let old = life.ca.root.clone();
    let new = Party::root("Operator root");
    let long = |builder: Builder| builder.valid(date(2048, 1, 1), date(2088, 1, 1));
    let new = long(Builder::ca("Operator root").key(&new.key)).self_signed();
    let link = long(Builder::ca("Operator root").key(&new.key)).signed_by(&old);
    let value = sequence(&[new.certificate.as_der(), &element(0xa0, &[link.certificate.as_der()])]);
    life.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value }];
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::RootAdded(_))), "{report:?}");
    for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
        assert_eq!(life.store.anchors(set).unwrap(), [old.certificate.clone(), new.certificate.clone()]);
    }
}

/// A key outside of device memory signs by the owner; the program makes the new one.
#[test]
fn without_a_way_to_make_a_key_the_step_says_what_is_missing() {
    let mut life = Life::new();
    let signer = Signer::Key(key());
    let certificate = Builder::leaf("x").subject(crate::certificates::common_name("router"));
    let mut builder = certificate;
    builder.spki = Some(signer.spki().to_vec());
    (builder.not_before, builder.not_after) = (time(now().plus(-300 * DAY)), time(now().plus(65 * DAY)));
    let certificate = builder.signed_by(&life.ca.issuing).certificate;
    let reference = devid::store::KeyReference::new("slot 9", signer.spki().to_vec()).unwrap();
    let new = NewIdentity {
        key: NewKey::Given(Signer::Deferred(reference.clone())),
        certificate: &certificate,
        chain: &[],
        purpose: "ldevid",
        at: now().plus(-300 * DAY),
    };
    life.store.install("router", &new).unwrap();
    let report = life.run();
    assert_eq!(report.plan.step, Step::Update);
    assert_eq!(report.outcome.unwrap_err().code(), Code::Unsupported);
}
