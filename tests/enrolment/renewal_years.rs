//! What no single day shows: states that a device must leave again, whatever it met.

use std::cell::RefCell;

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::client::Step;
use devid::client::renewal::{Alarm, Done, Reason, Standing};
use devid::cmp::{ActionKind, SavedCredential, SavedOperation, SavedState, Signer};
use devid::store::AnchorSet;
use devid::{Code, Time};

use crate::certificates::{Builder, Party, date, now};
use crate::mock_ca::{Device, LIGHT_MAC, MockCa, REFERENCE, SECRET};
use crate::renewal::{DAY, Life};

fn rejected(bit: u32) -> PkiStatusInfo {
    PkiStatusInfo { fail_info: Some(1 << bit), ..PkiStatusInfo::new(PkiStatus::Rejection) }
}

/// Goes on as a daemon does, for so many days.
fn live(life: Life, days: i64) -> Life {
    live_with(life, days, |_| {})
}

/// The same with a CA that is bent each time.
fn live_with(mut life: Life, days: i64, bend: impl Fn(&mut Life)) -> Life {
    let end = life.clock.plus(days * DAY);
    let mut steps = 0;
    while life.clock < end {
        bend(&mut life);
        let report = life.run();
        let wait = i64::from(report.wait_seconds).max(1);
        life = life.later(wait);
        steps += 1;
        assert!(steps < 3000, "it spins: {report:?}");
    }
    life
}

/// The operation belongs to the credential that asked, not to the identity that has expired.
#[test]
fn an_expired_identity_whose_ca_lets_it_wait_is_renewed_with_either_credential() {
    for by_secret in [false, true] {
        let mut life = Life::enrolled().later(400 * DAY).with_right_ca();
        if by_secret {
            life.factory = None;
            life.config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        }
        (life.ca.waits, life.ca.check_after) = (2, DAY);
        assert!(matches!(life.run().outcome, Ok(Done::Waiting)), "{by_secret}");
        let saved = life.to().unfinished().unwrap().expect("it is saved");
        assert_eq!(saved.request, BodyType::IR);
        assert!(matches!(saved.state, SavedState::Waiting(_)));
        assert_eq!(matches!(saved.credential, SavedCredential::Secret(_)), by_secret);
        life = live(life, 4);
        assert_eq!(life.plan().standing, Standing::Valid, "{by_secret}");
        assert_eq!(
            life.ca.bodies(),
            ["genm", "pollReq", "ir", "pollReq", "pollReq", "pollReq", "certConf"],
            "asked once"
        );
    }
}

/// Every credential with every state that can be saved.
#[test]
fn a_saved_operation_is_continued_under_no_other_credential_and_stays_as_it_is() {
    let ca = MockCa::new();
    let parties = [&ca.supplier, &ca.root, &ca.issuing, &ca.signer].map(Party::clone);
    let with_secret = |reference: &[u8]| {
        let mut config = Device::config(&ca);
        config.protect_with_secret(reference, SECRET, LIGHT_MAC).unwrap();
        config
    };
    let with_certificate = |name: &str| {
        let mut config = Device::config(&ca);
        let party = Builder::leaf(name).signed_by(&ca.supplier);
        config.protect_with_certificate(Signer::Key(party.key.clone()), party.certificate, Vec::new());
        config
    };
    let configs = [
        Device::config(&ca),
        with_certificate("in use"),
        with_certificate("expired"),
        with_secret(REFERENCE),
        with_secret(b"another"),
    ];
    for (own, config) in configs.iter().enumerate() {
        for stop in [ActionKind::Send, ActionKind::Wait, ActionKind::Accept] {
            let mut ca = MockCa::new().answers_waiting(1, 60);
            [ca.supplier, ca.root, ca.issuing, ca.signer] = parties.clone();
            let mut device = Device::enrolling_as(config);
            let mut action = device.step().unwrap();
            let mut turns = 0;
            while action != stop && turns < 6 {
                match action {
                    ActionKind::Send => device.exchange(&mut ca),
                    ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
                    _ => break,
                }
                turns += 1;
                let Ok(next) = device.step() else { break };
                action = next;
            }
            let Ok(saved) = device.operation.save() else { continue };
            let told = SavedOperation::read(&saved).unwrap();
            assert_eq!(told.started, now());
            for (other, config) in configs.iter().enumerate() {
                let client = config.build().unwrap();
                let restored = client.restore(Signer::Key(device.new_key.clone()), &saved);
                match restored {
                    Ok(_) => assert_eq!(own, other),
                    Err(error) => {
                        assert_ne!(own, other, "{error}");
                        assert_eq!(error.code(), Code::KeyMismatch, "{error}");
                    }
                }
            }
        }
    }
}

/// Nothing is removed: the right credential continues it afterwards.
#[test]
fn resuming_with_another_credential_changes_nothing() {
    let mut life = Life::due();
    (life.ca.waits, life.ca.check_after) = (1, DAY);
    assert!(matches!(life.run().outcome, Ok(Done::Waiting)));
    let before = life.store.load_operation("router").unwrap();
    let mut config = life.config.clone();
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
        life.store.anchors(set).unwrap().into_iter().for_each(|anchor| config.cmp_anchors.add(anchor));
    }
    let client = config.build().unwrap();
    let refused = life.to().continued(&client, None).err().expect("another credential");
    assert_eq!(refused.code(), Code::KeyMismatch);
    assert_eq!(life.store.load_operation("router").unwrap(), before);
    life.store.pending_key("router").expect("the new key is still there");
    life = life.later(DAY + 5);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
}

/// A policy that is wrong for weeks, then mended: nobody has to come by.
#[test]
fn a_device_that_gave_up_renews_when_the_ca_is_right_again() {
    for days in [5, 40] {
        let mut life = Life::due();
        life.ca.status = rejected(2);
        life = live(life, days);
        let asked = life.ca.received.len();
        assert!(asked < 60, "{asked} requests in {days} days");
        assert!(life.plan().has_given_up && life.plan().alarm >= Alarm::Late, "{:?}", life.plan());
        life.ca.status = PkiStatusInfo::new(PkiStatus::Accepted);
        let end = life.store.current("router").unwrap().certificate.not_after();
        let left = end.since(life.clock) / DAY;
        life = live(life, left / 3);
        assert_eq!(life.store.current("router").unwrap().generation, 2, "renewed long before the end");
    }
}

/// A CA whose certificate template was changed: what it issues is not what the settings ask for, and no two of its certificates differ in
/// that. It makes a handful for nobody, not one a day; and nobody has to come by once it is right again.
#[test]
fn a_ca_whose_certificates_the_settings_refuse_is_asked_rarely_until_it_is_right_again() {
    for days in [5, 40] {
        let mut life = Life::due();
        let to_another = |life: &mut Life| {
            let mut right = std::mem::replace(&mut life.ca.issue, Box::new(|builder| builder));
            let subject = crate::certificates::common_name("another");
            life.ca.issue = Box::new(move |builder| Builder { subject: subject.clone(), ..right(builder) });
        };
        to_another(&mut life);
        let report = life.run();
        assert_eq!(report.outcome.unwrap_err().code(), Code::Refused);
        assert!(!life.plan().has_given_up, "one is not all of them");
        life = live_with(life, days, to_another);
        let issued = life.ca.bodies().iter().filter(|body| **body == "certConf").count();
        assert!(issued as i64 <= 8 + days / 3, "{issued} certificates for nobody in {days} days");
        if days > 20 {
            assert!(life.plan().has_given_up && life.plan().alarm >= Alarm::Late, "{:?}", life.plan());
        }
        assert_eq!(life.plan().standing, Standing::Valid, "it is not called revoked");
        let end = life.store.current("router").unwrap().certificate.not_after();
        let left = end.since(life.clock) / DAY;
        life = live(life, left / 3);
        assert_eq!(life.store.current("router").unwrap().generation, 2, "renewed long before the end");
        assert!(!life.plan().has_given_up && life.plan().alarm == Alarm::Quiet, "{:?}", life.plan());
    }
}

#[test]
fn what_one_answer_says_against_an_identity_is_questioned_and_does_not_last() {
    let mut life = Life::due();
    life.ca.status = rejected(10);
    life.run().outcome.unwrap_err();
    assert_eq!(life.plan().standing, Standing::Revoked);
    // The factory's identity is refused as well, for another reason; then the identity in use is asked about once more.
    life.ca.status = rejected(2);
    life.run().outcome.unwrap_err();
    life = life.later(2 * DAY);
    life.ca.status = PkiStatusInfo::new(PkiStatus::Accepted);
    life.ca.received.clear();
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!(life.ca.bodies(), ["kur", "certConf"], "what was said does not hold");

    let mut life = Life::due();
    life.ca.status = rejected(10);
    life.run().outcome.unwrap_err();
    let life = life.later(31 * DAY);
    assert_eq!((life.plan().standing, life.plan().step), (Standing::Valid, Step::Update), "nor for ever");
}

/// CA says wait, something on the way spoils the next answer: over and over, for a day.
#[test]
fn waiting_and_failing_by_turns_does_not_set_the_count_back() {
    let mut life = Life::new();
    (life.ca.waits, life.ca.check_after) = (100_000, 60);
    let turn = RefCell::new(0);
    life.ca.break_ = Some(Box::new(move |der| {
        *turn.borrow_mut() += 1;
        if *turn.borrow() % 2 == 0 { b"<html>please wait</html>".to_vec() } else { der }
    }));
    let life = live(life, 1);
    let asked = life.ca.received.len();
    assert!(asked < 150, "{asked} requests in a day");
}

#[test]
fn the_end_is_that_of_the_chain() {
    let mut life = Life::new();
    let end = life.clock.plus(200 * DAY);
    let root = life.ca.root.clone();
    let mut issuing = Builder::ca("Issuing CA").valid(date(2020, 1, 1), date(2059, 1, 1));
    issuing.not_after = crate::certificates::time(end);
    life.ca.issuing = issuing.signed_by(&root);
    let signer = Builder::leaf("CMP server").valid(date(2020, 1, 1), date(2050, 1, 1));
    life.ca.signer = signer
        .key_usage(&[devid::validation::KeyUsage::DigitalSignature])
        .purposes(&[devid::asn1::oid::KP_CMC_RA])
        .signed_by(&root);
    life.run().outcome.unwrap();
    let identity = life.store.current("router").unwrap();
    assert!(identity.certificate.not_after() > end && !identity.chain.is_empty());
    let due = life.plan().renewal_at.unwrap();
    assert!(due < end, "{due}");
    let over = life.planner.plan(&life.store, "router", Some(end.plus(DAY))).unwrap();
    assert_eq!((over.standing, over.alarm), (Standing::Expired, Alarm::Unusable));
}

#[test]
fn a_ca_that_does_not_know_the_question_for_a_roots_successor_is_asked_once_a_week() {
    let mut life = Life::enrolled();
    let seconds = date(2049, 1, 1).since(life.clock);
    life = life.later(seconds);
    life.run().outcome.expect("enrolled again");
    life.ca.received.clear();
    life.ca = life.ca.bending(BodyType::GENP, |answer| {
        (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&rejected(2).to_der()]));
    });
    let life = live(life, 60);
    let asked = life.ca.bodies().iter().filter(|body| **body == "genm").count();
    assert!((1..=10).contains(&asked), "{asked} questions in 60 days");
}

#[test]
fn a_first_enrolment_with_a_clock_that_is_no_clock_happens() {
    for wrong in [Time::from_unix(1000), now().plus(-9000), now().plus(2 * DAY)] {
        let mut life = Life::new();
        life.ca.info =
            vec![devid::asn1::cmp::InfoTypeAndValue { info_type: devid::asn1::oid::IT_CA_CERTS, value: Vec::new() }];
        life.ca.bend = Some(Box::new(|answer| answer.header.message_time = Some(now())));
        let mut clock = wrong;
        for _ in 0..6 {
            let report = life.run_as(Some(clock));
            if matches!(report.outcome, Ok(Done::Installed(_))) {
                break;
            }
            clock = clock.plus(i64::from(report.wait_seconds));
        }
        assert!(life.store.current("router").is_ok(), "a clock that says {wrong}");
    }
}

#[test]
fn a_reset_brings_a_device_back_and_keeps_its_identity() {
    let mut life = Life::due();
    life.ca.status = rejected(10);
    life.run().outcome.unwrap_err();
    assert_eq!(life.plan().standing, Standing::Revoked);
    life.planner.reset(&life.store, "router").unwrap();
    assert_eq!((life.plan().standing, life.plan().reason), (Standing::Valid, Reason::Due));
    assert_eq!(life.store.current("router").unwrap().generation, 1);
}

#[test]
fn anchors_of_every_set_are_read_by_something() {
    let life = Life::new();
    let root = Builder::ca("Somebody").self_signed();
    for set in AnchorSet::ALL {
        life.store.set_anchors(set, std::slice::from_ref(&root.certificate)).unwrap();
        assert_eq!(life.store.trust(set).unwrap().len(), 1);
    }
}

/// A message that is repeated because nobody is there waits for no CA.
#[test]
fn a_line_that_is_dead_is_a_failure_however_often_a_message_is_repeated() {
    for retries in [0, 3, 10] {
        let mut life = Life::due();
        life.config.max_retries = retries;
        life.line_is_dead = true;
        let report = life.run();
        assert_eq!(report.outcome.as_ref().unwrap_err().code(), Code::Connect, "{retries}");
        assert_eq!(life.plan().attempts, 1, "it counts");
        assert!(
            life.store.operations().unwrap().is_empty(),
            "nobody knows of the request: a fresh one takes its place"
        );
        (life.line_is_dead, life.retry_after) = (false, Some(3600));
        let mut report = report_after(&mut life, i64::from(report.wait_seconds));
        while matches!(report.outcome, Ok(Done::Nothing)) {
            report = report_after(&mut life, i64::from(report.wait_seconds));
        }
        assert_eq!(report.outcome.unwrap_err().code(), Code::Busy, "{retries}");
        assert!(report.wait_seconds >= 3600, "what the server asks for counts: {}", report.wait_seconds);
        assert_ne!(life.plan().reason, Reason::CaAsksToWait);
    }
}

fn report_after(life: &mut Life, seconds: i64) -> devid::client::renewal::Report {
    life.clock = life.clock.plus(seconds.max(1));
    life.run()
}

/// A question that the CA lets wait is polled like an enrolment (RFC 9483 section 4.4).
#[test]
fn a_roots_successor_that_the_ca_lets_wait_for_is_polled_and_added() {
    use devid::asn1::cmp::InfoTypeAndValue;
    use devid::asn1::der::element;
    use devid::asn1::oid;
    let mut life = Life::enrolled();
    let seconds = date(2049, 1, 1).since(life.clock);
    life = life.later(seconds).with_right_ca();
    life.run().outcome.expect("enrolled again");
    let long = |builder: Builder| builder.valid(date(2048, 1, 1), date(2088, 1, 1));
    let new = long(Builder::ca("Operator root")).self_signed();
    let link = long(Builder::ca("Operator root").key(&new.key)).signed_by(&life.ca.root);
    let value = sequence(&[new.certificate.as_der(), &element(0xa0, &[link.certificate.as_der()])]);
    life.ca.info = vec![InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value }];
    (life.ca.waits, life.ca.check_after) = (2, DAY);
    life.ca.received.clear();
    let mut added = false;
    for _ in 0..12 {
        let report = life.run();
        match report.outcome {
            Ok(Done::RootAdded(_)) => added = true,
            Ok(Done::Waiting | Done::Nothing) => {}
            other => panic!("{other:?}"),
        }
        if added {
            break;
        }
        life = life.later(i64::from(report.wait_seconds).max(1));
    }
    assert!(added, "{:?}", life.ca.bodies());
    assert_eq!(
        life.ca.bodies().iter().filter(|body| **body == "genm").count(),
        1,
        "asked once: {:?}",
        life.ca.bodies()
    );
    assert!(life.store.operations().unwrap().is_empty());
}
