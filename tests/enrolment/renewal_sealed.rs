//! Keys that are sealed under another secret than is given: a board was swapped, a fuse was lost, or a setting is wrong for a while.

use std::sync::{Arc, Mutex};

use devid::asn1::cmp::BodyType;
use devid::client::Step;
use devid::client::renewal::{Alarm, Done, Standing};
use devid::store::{AnchorSet, MemoryBackend, ProblemKind, Store, StoreErrorKind, StoreOptions};
use zeroize::Zeroizing;

use crate::certificates::provider;
use crate::mock_ca::Device;
use crate::renewal::{DAY, Life};

/// The secret that a device gives for its keys at rest.
#[derive(Clone)]
struct Seal(Arc<Mutex<&'static [u8]>>);

impl Seal {
    fn is(&self, secret: &'static [u8]) {
        *self.0.lock().unwrap() = secret;
    }
}

const RIGHT: &[u8] = b"of this board";
const WRONG: &[u8] = b"of another board";

/// Enrolled by a login of the settings, its keys sealed.
fn enrolled() -> (Life, Seal) {
    let (mut life, seal) = (Life::new().with_right_ca(), Seal(Arc::new(Mutex::new(RIGHT))));
    let given = seal.clone();
    let options = StoreOptions {
        key_secret: Some(Arc::new(move || Ok(Zeroizing::new(given.0.lock().unwrap().to_vec())))),
        key_iterations: 10,
        ..StoreOptions::default()
    };
    life.store = Store::new(Box::new(MemoryBackend::default()), provider().clone(), options);
    for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
        life.store.set_anchors(set, std::slice::from_ref(&life.ca.root.certificate)).unwrap();
    }
    (life.config, life.factory) = (Device::config(&life.ca), None);
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    life.ca.received.clear();
    (life, seal)
}

/// Until a day of the certificate's life.
fn on_day(life: Life, day: i64) -> Life {
    let begun = life.store.in_use("router").unwrap().created;
    let left = begun.plus(day * DAY).since(life.clock);
    life.later(left)
}

#[test]
fn while_the_certificate_is_valid_people_are_told_and_nothing_is_asked_for() {
    let (mut life, seal) = enrolled();
    for day in [10, 300, 360] {
        life = on_day(life, day);
        seal.is(WRONG);
        let plan = life.plan();
        assert_eq!((plan.step.clone(), plan.standing, plan.alarm), (Step::Nothing, Standing::Valid, Alarm::Unusable));
        assert!((1..=7 * 86_400).contains(&plan.ask_again_seconds) && plan.renewal_at.is_some(), "{plan:?}");
        let [found] = &plan.findings[..] else { panic!("{plan:?}") };
        assert_eq!(found.kind, ProblemKind::Sealed);
        assert!(found.text.contains("device.seal") && found.text.contains("store remove"), "{}", found.text);
        let report = life.run();
        assert!(matches!(report.outcome, Ok(Done::Nothing)), "{report:?}");
        assert!(life.ca.received.is_empty());
        // What is kept in the clear is shown; the key is not taken for damaged.
        let shown = life.store.in_use("router").unwrap();
        let refused = life.store.current("router").unwrap_err();
        assert_eq!((shown.generation, refused.kind), (1, StoreErrorKind::Secret), "{refused}");
        assert!(life.store.verify().unwrap().iter().all(|problem| problem.kind == ProblemKind::Sealed));
        // The dark twin: with the right secret all is as it was.
        seal.is(RIGHT);
        assert_ne!(life.plan().alarm, Alarm::Unusable);
    }
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))), "and what is due is done");
}

#[test]
fn once_it_has_ended_another_credential_gets_the_next_one_under_the_secret_of_today() {
    for unfinished in [false, true] {
        let (mut life, seal) = enrolled();
        if unfinished {
            // A renewal that waits for the CA, signed by the key and for a key that will not open.
            life = on_day(life, 300);
            life.ca.waits = 1;
            life.ca.check_after = 7000;
            assert!(matches!(life.run().outcome, Ok(Done::Waiting)));
            life.ca.received.clear();
        }
        seal.is(WRONG);
        life = on_day(life, 350);
        assert!(matches!(life.run().outcome, Ok(Done::Nothing)));
        assert_eq!(life.store.operations().unwrap().len(), usize::from(unfinished), "what was begun stays");
        life = on_day(life, 366);
        life.ca.waits = 0;
        let mut log = Vec::new();
        loop {
            let report = life.run();
            log.push(format!("{:?} {:?}", report.plan.step, report.outcome));
            if matches!(report.outcome, Ok(Done::Installed(_))) {
                break;
            }
            assert!(log.len() < 40, "{log:#?}");
            life = life.later(i64::from(report.wait_seconds.max(1)));
        }
        let asked = life.ca.received.iter().filter(|message| message.body_type() == BodyType::IR).count();
        assert_eq!(asked, 1, "{log:#?}");
        assert!(log.len() <= if unfinished { 30 } else { 2 }, "{log:#?}");
        let (now, plan) = (life.store.current("router").unwrap(), life.plan());
        assert_eq!((now.generation > 1, plan.alarm, plan.standing), (true, Alarm::Quiet, Standing::Valid));
    }
}

#[test]
fn without_a_clock_the_end_is_learnt_by_the_other_credential_and_asked_about_rarely() {
    let (mut life, seal) = enrolled();
    seal.is(WRONG);
    let (begun, mut looks) = (life.clock, 0);
    while life.clock.since(begun) < 364 * DAY {
        let report = life.run_as(None);
        assert!(!matches!(report.outcome, Ok(Done::Installed(_))), "nothing valid is given up: {report:?}");
        looks += 1;
        life = life.later(i64::from(report.wait_seconds.max(1)));
    }
    assert!(looks < 400, "{looks}");
    for _ in 0..12 {
        let report = life.run_as(None);
        if matches!(report.outcome, Ok(Done::Installed(_))) {
            return;
        }
        life = life.later(i64::from(report.wait_seconds.max(1)));
    }
    panic!("{:?}", life.plan());
}
