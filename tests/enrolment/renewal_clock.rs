//! Devices without a clock, or with a wrong one: the time comes from authentic answers, and is kept.

use devid::asn1::cmp::{BodyType, InfoTypeAndValue};
use devid::asn1::oid;
use devid::client::renewal::{Alarm, Clock, Done, Standing};
use devid::client::{Step, Unattended};
use devid::cmp::Question;
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::validation::KeyUsage;
use devid::{Code, Time};

use crate::certificates::{Builder, date, key, now};
use crate::mock_ca::{Device, MockCa};
use crate::renewal::{DAY, Life};

struct Line<'a>(&'a mut MockCa);

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        Ok(Reply::from_body(self.0.answer(request)))
    }
}

/// The CA's clock says this from now on.
fn ca_says(life: &mut Life, time: Time) {
    life.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
    life.ca.bend = Some(Box::new(move |answer| answer.header.message_time = Some(time)));
}

#[test]
fn a_device_without_a_clock_enrols_and_knows_from_then_on_how_late_it_is_at_least() {
    let mut life = Life::new();
    ca_says(&mut life, now().plus(5));
    assert_eq!(life.planner.plan(&life.store, "router", None).unwrap().clock, Clock::Unknown { at_least: None });

    let report = life.run_as(None);

    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    assert_eq!(report.learnt, Some(now().plus(5)));
    assert_eq!(life.store.last_known_time().unwrap(), Some(now().plus(5)));
    assert!(report.wait_seconds > 0, "from the time learnt: {report:?}");
    assert_eq!(life.ca.received[0].header().message_time, None, "it tells no time that it does not know");
}

#[test]
fn a_device_that_wakes_up_without_a_clock_asks_for_the_time_and_does_what_is_due() {
    let mut life = Life::enrolled();
    let plan = life.planner.plan(&life.store, "router", None).unwrap();
    assert_eq!((plan.step, plan.standing, plan.alarm), (Step::LearnTime, Standing::Unknown, Alarm::Quiet));

    ca_says(&mut life, now().plus(30 * DAY));
    let report = life.run_as(None);
    assert!(matches!(report.outcome, Ok(Done::TimeLearnt)), "{report:?}");
    assert_eq!(report.learnt, Some(now().plus(30 * DAY)));
    assert_eq!((life.ca.bodies(), report.wait_seconds > 0), (vec!["genm"], true));

    life = life.later(300 * DAY);
    ca_says(&mut life, now().plus(300 * DAY));
    life.ca.received.clear();
    let report = life.run_as(None);
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    assert_eq!(life.ca.bodies(), ["genm", "kur", "certConf"]);
}

#[test]
fn a_clock_that_starts_in_1970_counts_for_less_than_the_last_known_time() {
    let mut life = Life::due();
    let due = life.clock;
    life.store.note_time(due).unwrap();
    ca_says(&mut life, due.plus(60));
    let report = life.run_as(Some(Time::from_unix(100)));
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    assert_eq!(life.ca.bodies(), ["genm", "kur", "certConf"]);
}

/// Any device under the CA could answer. What proves itself is taken from it, and no time is.
#[test]
fn a_signer_who_may_not_speak_for_the_ca_teaches_no_time() {
    let ahead = now().plus(300 * DAY);
    let neighbour = |life: &mut Life| {
        let signer = Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]);
        life.ca.signer = signer.signed_by(&life.ca.issuing);
    };
    let mut life = Life::enrolled();
    let kept = life.store.last_known_time().unwrap();
    neighbour(&mut life);
    ca_says(&mut life, ahead);
    let report = life.run_as(None);
    let error = report.outcome.unwrap_err();
    assert!(error.message().contains("not authorised to answer"), "{error}");
    assert_eq!((report.learnt, life.store.last_known_time().unwrap()), (None, kept));

    // The certificate is the CA's, whoever brings it.
    let mut life = Life::new();
    neighbour(&mut life);
    ca_says(&mut life, now().plus(5));
    let report = life.run_as(None);
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    assert_eq!((report.learnt, life.store.last_known_time().unwrap()), (None, None));
}

/// Wherever the time is not proven, nothing is learnt; what is known never goes back.
#[test]
fn a_time_that_is_not_authentic_or_too_early_is_not_learnt() {
    let mut life = Life::enrolled();
    let kept = life.store.last_known_time().unwrap();
    for what in ["forged", "early", "absent", "end of the calendar"] {
        let signer = key();
        life.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
        life.ca.bend = Some(Box::new(move |answer| {
            answer.header.message_time = match what {
                "early" => Some(date(2025, 6, 1)),
                "absent" => None,
                "forged" => Some(date(2026, 6, 1)),
                _ => Some(Time::FOREVER),
            };
            if what == "forged" && answer.body_type == BodyType::GENP {
                answer.signer.as_mut().unwrap().key = signer.clone();
            }
        }));
        let report = life.run_as(None);
        let error = report.outcome.expect_err(what);
        let expected = if what == "forged" { Code::ProtectionInvalid } else { Code::ClockMissing };
        assert_eq!((error.code(), report.learnt), (expected, None), "{what}: {error}");
        assert_eq!(life.store.last_known_time().unwrap(), kept, "{what}");
        assert!(report.wait_seconds >= 30, "{what}: a program without a clock is told how long to wait");
    }
}

/// The signer's certificate is judged as of the time that its own message tells, never as of an earlier one.
#[test]
fn an_answer_by_a_signer_that_had_expired_by_the_last_known_time_teaches_nothing() {
    let mut life = Life::enrolled();
    life.store.note_time(date(2051, 6, 1)).unwrap();
    ca_says(&mut life, date(2049, 1, 1));
    let report = life.run_as(None);
    assert!(report.outcome.is_err());
    assert_eq!(life.store.last_known_time().unwrap(), Some(date(2051, 6, 1)));
}

#[test]
fn any_operation_teaches_the_time() {
    let mut life = Life::new();
    ca_says(&mut life, date(2026, 3, 1));
    let client = Device::config(&life.ca).build().unwrap().without_clock();
    let mut operation = client.ask(Question::CaCerts).unwrap();
    let (outcome, learnt) = client.complete_without_clock(
        &mut operation,
        &life.store,
        date(2025, 1, 1),
        &mut Line(&mut life.ca),
        &mut Unattended,
    );
    outcome.unwrap();
    assert_eq!(learnt, Some(date(2026, 3, 1)));
    assert_eq!(life.store.last_known_time().unwrap(), learnt);
}

/// To the plan of a clock that is none everything is due at once: the wait is the one that was said.
#[test]
fn a_failure_is_waited_out_by_a_clock_that_was_set_back_as_well() {
    let mut life = Life::due();
    life.store.note_time(life.clock).unwrap();
    life.line_is_dead = true;
    let mut clock = life.clock.plus(-100 * DAY);
    let mut steps = 0usize;
    let end = clock.plus(DAY);
    while clock < end {
        let report = life.run_as(Some(clock));
        assert!(report.wait_seconds > 0, "{report:?}");
        clock = clock.plus(i64::from(report.wait_seconds));
        steps += usize::from(report.outcome.is_err());
    }
    assert!((2..100).contains(&steps), "{steps} attempts in a day");
    // Also who goes by the plan alone waits: the clock is wrong, and counts on.
    let plan = life.planner.plan(&life.store, "router", Some(clock)).unwrap();
    assert!(plan.step == Step::Nothing || plan.ask_again_seconds == 0, "{plan:?}");

    // What the CA refuses is asked again as rarely.
    let mut life = Life::due();
    life.store.note_time(life.clock).unwrap();
    life.ca.bend = Some(Box::new(|answer| answer.header.message_time = None));
    life.ca.status = devid::asn1::cmp::PkiStatusInfo {
        fail_info: Some(1 << 10),
        ..devid::asn1::cmp::PkiStatusInfo::new(devid::asn1::cmp::PkiStatus::Rejection)
    };
    let mut clock = life.clock.plus(-100 * DAY);
    for _ in 0..30 {
        let report = life.run_as(Some(clock));
        clock = clock.plus(i64::from(report.wait_seconds));
    }
    let passed = clock.since(life.clock.plus(-100 * DAY));
    assert!(passed > DAY / 4, "30 attempts in {passed} s");
}

/// A time is heard with every answer, and counts once the answer is proven: what is dropped while the CA is waited for moves
/// neither the waits nor what is learnt.
#[test]
fn the_time_in_an_answer_that_is_dropped_moves_nothing() {
    struct Waits(Vec<u32>);
    impl devid::client::Owner for Waits {
        fn now(&mut self) -> Time {
            panic!("there is no clock")
        }
        fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), devid::Error> {
            self.0.push(seconds);
            Ok(())
        }
    }
    for (forged_time, what) in [(Some(date(2029, 6, 1)), "far ahead"), (None, "none")] {
        let mut ca = MockCa::new().answers_waiting(3, 40);
        let stranger = key();
        let mut polled = 0;
        ca.bend = Some(Box::new(move |answer| {
            polled += u32::from(answer.body_type == BodyType::POLLREP);
            answer.header.message_time = Some(now().plus(7 + i64::from(polled)));
            if answer.body_type == BodyType::POLLREP && polled == 2 {
                answer.header.message_time = forged_time;
                answer.signer.as_mut().unwrap().key = stranger.clone();
            }
        }));
        let store = devid::store::Store::in_memory(crate::certificates::provider().clone());
        let client = Device::config(&ca).build().unwrap().without_clock();
        let subject = devid::client::Subject::new().name("CN=device 1").unwrap();
        let mut operation = client.enroll(devid::cmp::Signer::Key(key()), &subject).unwrap();
        let mut owner = Waits(Vec::new());
        let (outcome, learnt) =
            client.complete_without_clock(&mut operation, &store, now(), &mut Line(&mut ca), &mut owner);
        outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(owner.0, [40, 60, 40], "{what}: as long as was asked, and a minute for the one that was dropped");
        let learnt = learnt.expect("the CA's own");
        assert!(learnt < now().plus(3600), "{what}: {learnt}");
    }
}
