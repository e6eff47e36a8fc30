//! Two clocks that contradict each other: neither of them holds back, throws away or ends what is good by the other.

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::oid;
use devid::client::Config;
use devid::client::renewal::{Done, Standing, Step};
use devid::validation::KeyUsage;
use devid::{Code, Time};

use crate::certificates::{Builder, date, now};
use crate::mock_ca::{Device, MockCa};
use crate::renewal::{DAY, Life};

const HOUR: i64 = 3600;

/// The CA's messages say a time so far from the present; its certificates are right.
fn off(life: &mut Life, seconds: i64) {
    let clock = life.clock;
    life.ca.bend = Some(Box::new(move |answer| answer.header.message_time = Some(clock.plus(seconds))));
    life.ca.issue = Box::new(move |builder| builder.valid(clock.plus(-300), clock.plus(365 * DAY)));
}

/// However far the CA's clock is off, to either side: a certificate that is valid by the device's clock is in use at once, and
/// nothing is asked again.
#[test]
fn a_cas_wrong_clock_holds_back_no_certificate() {
    for seconds in [-400 * DAY, -30 * DAY, -5 * HOUR, -65 * 60, -59 * 60, 59 * 60, 9 * HOUR, 400 * DAY, 9 * 366 * DAY] {
        for by_secret in [false, true] {
            let mut life = Life::new();
            if by_secret {
                life.config
                    .protect_with_secret(crate::mock_ca::REFERENCE, crate::mock_ca::SECRET, crate::mock_ca::LIGHT_MAC)
                    .unwrap();
                life.factory = None;
            }
            off(&mut life, seconds);
            let report = life.run();
            assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{seconds} {by_secret}: {report:?}");
            assert_eq!(life.ca.bodies(), ["ir", "certConf"], "{seconds} {by_secret}");
            assert!(matches!(life.plan().standing, Standing::Valid | Standing::Unknown), "{seconds} {by_secret}");
        }
    }
}

/// The dark twin: what is valid by neither clock is not taken, and the error says what both of them say.
#[test]
fn what_is_valid_by_neither_clock_is_refused_and_both_are_named() {
    let mut ca = MockCa::new().issuing(|builder| builder.valid(now().plus(-9000), now().plus(-100)));
    ca.bend = Some(Box::new(|answer| answer.header.message_time = Some(now().plus(1800))));
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::WrongCertificate);
    let later = now().plus(1800).to_string();
    assert!(error.message().contains("EXPIRED") && error.message().contains(&later), "{error}");
    assert!(error.facts().hint.is_some_and(|hint| hint.contains("the CA's is ahead")), "{error:?}");

    // Where the clocks agree, none is blamed in the other's name.
    ca.bend = None;
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(!error.message().contains("messageTime"), "{error}");
}

/// A certificate for later is kept, confirmed, and comes into use at its time by the later clock.
#[test]
fn a_certificate_for_later_waits_for_the_clock_that_gets_there_first() {
    let mut life = Life::new();
    off(&mut life, -5 * HOUR);
    let begin = life.clock.plus(2 * HOUR);
    life.ca.issue = Box::new(move |builder| builder.valid(begin, date(2060, 1, 1)));
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::Waiting)), "{report:?}");
    assert!(life.to().unfinished().unwrap().expect("staged").is_confirmed);
    let (mut passed, mut wait) = (0, report.wait_seconds);
    while life.store.current("router").is_err() {
        life.clock = life.clock.plus(i64::from(wait));
        passed += i64::from(wait);
        wait = life.run().wait_seconds;
        assert!(passed <= 2 * HOUR + 600, "at its time, not hours later: {passed}");
    }
    assert!(passed >= 2 * HOUR - 600, "{passed}");
    assert_eq!(life.ca.bodies().iter().filter(|body| **body != "genm").count(), 2, "{:?}", life.ca.bodies());
}

/// The question for the time is no step of the identity: whatever comes of it, what is due is done in the same run.
#[test]
fn a_question_for_the_time_that_fails_fails_nothing_else() {
    type Answering = fn(&mut crate::mock_ca::Answer);
    let error: Answering = |answer| {
        let status = PkiStatusInfo::new(PkiStatus::Rejection).to_der();
        (answer.body_type, answer.content) = (BodyType::ERROR, devid::asn1::der::sequence(&[&status]));
        answer.header.message_time = None;
    };
    let nothing: Answering = |answer| answer.header.message_time = None;
    for (what, genm) in [("refused", error), ("no time", nothing)] {
        let mut life = Life::new();
        // The first attempt ends with a doubt about the clock.
        life.ca.issue = Box::new(|builder| builder.valid(date(2020, 1, 1), date(2021, 1, 1)));
        assert_eq!(life.run().outcome.unwrap_err().code(), Code::WrongCertificate);
        life = life.later(DAY);
        life.ca.bend = Some(Box::new(move |answer| {
            if answer.body_type == BodyType::GENP {
                genm(answer);
            }
        }));
        life.ca.received.clear();
        let report = life.run();
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{what}: {report:?}");
        assert_eq!(life.ca.bodies().last(), Some(&"certConf"), "{what}");
    }
    // A line that is dead is asked once.
    let mut life = Life::new();
    life.ca.issue = Box::new(|builder| builder.valid(date(2020, 1, 1), date(2021, 1, 1)));
    let _ = life.run();
    life = life.later(DAY);
    life.line_is_dead = true;
    assert_eq!(life.run().outcome.unwrap_err().code(), Code::Connect);
}

/// RFC 9483 section 4.1.3: a key update is signed by the certificate it updates. One that may not sign is renewed with the credential of
/// the first enrolment, while it lasts.
#[test]
fn a_certificate_that_cannot_sign_is_renewed_by_the_first_credential_before_it_ends() {
    for usage in [KeyUsage::KeyAgreement, KeyUsage::KeyEncipherment] {
        let mut life = Life::new();
        let begin = life.clock;
        let month = move |begin: Time, builder: Builder| builder.valid(begin, begin.plus(30 * DAY)).key_usage(&[usage]);
        life.ca.issue = Box::new(move |builder| month(begin, builder));
        assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
        for _ in 0..90 {
            life.clock = life.clock.plus(DAY);
            let begin = life.clock;
            life.ca.issue = Box::new(move |builder| month(begin, builder));
            let report = life.run();
            assert!(report.outcome.is_ok(), "{report:?}");
            assert_eq!(life.plan().standing, Standing::Valid, "{usage:?}: no day without a certificate");
        }
        let asked = life.ca.bodies().iter().filter(|body| **body == "ir").count();
        assert!((4..8).contains(&asked), "{usage:?}: {:?}", life.ca.bodies());
        assert!(!life.ca.bodies().contains(&"kur"));
    }
    // One that may sign is updated by itself, and so is any where the settings say so.
    let mut life = Life::due();
    assert_eq!(life.plan().step, Step::Update);
    assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
    assert_eq!(life.ca.bodies()[0], "kur");
}

#[test]
fn that_a_certificate_cannot_renew_itself_is_told_when_it_comes() {
    let warned = |usages: &'static [KeyUsage], change: fn(&mut Config)| {
        let mut ca = MockCa::new().issuing(move |builder| builder.key_usage(usages));
        let mut config = Device::config(&ca);
        change(&mut config);
        let mut device = Device::enrolling_as(&config);
        device.takes_differences = true;
        let issued = device.run(&mut ca).unwrap();
        issued.warnings().iter().any(|warning| warning.contains("renewal"))
    };
    assert!(warned(&[KeyUsage::KeyAgreement], |_| ()));
    assert!(warned(&[KeyUsage::KeyEncipherment, KeyUsage::DataEncipherment], |_| ()));
    assert!(!warned(&[KeyUsage::DigitalSignature, KeyUsage::KeyAgreement], |_| ()));
    assert!(!warned(&[KeyUsage::KeyAgreement], |config| config.tolerance.signer_key_usage = true));
    let mut ca = MockCa::new();
    assert!(Device::enrolling_with(&ca).run(&mut ca).unwrap().warnings().is_empty(), "no keyUsage is every usage");
}

/// A signer whose certificate is of today signs for a CA whose clock is years ahead: the confirmation is taken, too.
#[test]
fn the_signer_of_a_ca_whose_clock_is_ahead_is_judged_by_the_devices_clock() {
    let mut life = Life::new();
    let until = life.clock.plus(30 * DAY);
    let signer = Builder::leaf("CMP server").valid(date(2020, 1, 1), until).purposes(&[oid::KP_CMC_RA]);
    life.ca.signer = signer.key_usage(&[KeyUsage::DigitalSignature]).signed_by(&life.ca.issuing);
    off(&mut life, 400 * DAY);
    let report = life.run();
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    // Expired by both, it signs nothing.
    let mut life = Life::new();
    let signer = Builder::leaf("CMP server").valid(date(2020, 1, 1), life.clock.plus(-DAY)).purposes(&[oid::KP_CMC_RA]);
    life.ca.signer = signer.key_usage(&[KeyUsage::DigitalSignature]).signed_by(&life.ca.issuing);
    off(&mut life, 400 * DAY);
    assert_eq!(life.run().outcome.unwrap_err().code(), Code::ProtectionInvalid);
}
