//! CMP by files (RFC 9483 section 6.4.1): any operation begins on the device, travels on a stick, and goes on after reboots.

use std::path::{Path, PathBuf};

use devid::asn1::cmp::{BodyType, InfoTypeAndValue};
use devid::asn1::crl::CrlReason;
use devid::asn1::oid;
use devid::client::renewal::{Done, Report};
use devid::client::{Client, Config, Destination, Unattended};
use devid::client::{Planner, Renewal, Step};
use devid::cmp::{Information, Operation, Question, Signer};
use devid::store::{AnchorSet, Store};
use devid::transport::file::{FileExchange, read_message, write_message};
use devid::{Code, Error, Time};

use crate::certificates::{Builder, date, key, now, provider};
use crate::mock_ca::{Device, MockCa};
use crate::renewal::{DAY, Life};

/// A stick, removed at the end.
struct Stick(PathBuf);

impl Stick {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("devid-stick-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        Stick(folder)
    }

    fn exchange(&self) -> FileExchange {
        FileExchange::new(&self.0, "router").unwrap()
    }

    /// Carried to the CA and back; how many files were new.
    fn carry(&self, ca: &mut MockCa) -> usize {
        let mut count = 0;
        for number in 1.. {
            let (request, answer) = (self.exchange().request_path(number), self.exchange().answer_path(number));
            if !request.exists() {
                return count;
            }
            if !answer.exists() {
                write_message(&answer, &ca.answer(&read_message(&request, 1 << 20).unwrap())).unwrap();
                count += 1;
            }
        }
        unreachable!("the numbers end")
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The clock stands at the tests' day, and waits are over at once.
struct Patient(Time);

impl devid::client::Owner for Patient {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        self.0 = self.0.plus(i64::from(seconds));
        Ok(())
    }
}

/// Runs an operation that device memory does not know, saved and restored between the trips.
fn travel(client: &Client, mut operation: Operation, stick: &Stick, ca: &mut MockCa) -> (Operation, usize) {
    let mut clock = Patient(now());
    for trips in 0..20 {
        let mut saved = None;
        match client.complete_over(&mut operation, &mut stick.exchange(), &mut clock) {
            Ok(()) => return (operation, trips),
            Err(error) => {
                assert_eq!(error.code(), Code::Busy, "{error}");
                saved.replace(operation.save().unwrap());
            }
        }
        // A reboot, and nothing but the saved form is left.
        operation = client.restore_keyless(&saved.expect("saved")).unwrap();
        assert_eq!(stick.carry(ca), 1);
    }
    panic!("the operation does not end")
}

#[test]
fn an_enrolment_and_a_key_update_travel_on_a_stick() {
    let (mut ca, store, stick) =
        (MockCa::new().answers_waiting(1, 60), Store::in_memory(provider().clone()), Stick::new("ir"));
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let mut config = Device::config(&ca);
    for generation in 1..=2 {
        let client = config.build().unwrap();
        let mut exchange = stick.exchange();
        let mut outcome = match generation {
            1 => client.enroll_into(to, &key(), &Device::subject(), &mut exchange, &mut Patient(now())),
            _ => client.renew_into(to, &key(), &mut exchange, &mut Patient(now())),
        };
        let mut trips = 0;
        while let Err(error) = outcome {
            assert_eq!(error.code(), Code::Busy, "{error}");
            // Looking again before the stick is back changes nothing.
            assert_eq!(client.resume(to, &mut stick.exchange(), &mut Patient(now())).unwrap_err().code(), Code::Busy);
            assert_eq!(stick.carry(&mut ca), 1, "one message at a time");
            trips += 1;
            outcome = client.resume(to, &mut stick.exchange(), &mut Patient(now().plus(600 * trips)));
        }
        let identity = outcome.unwrap();
        assert_eq!((identity.generation, trips), (generation, 4), "request, two polls, certConf");
        let signer = Signer::Key(identity.key.held().unwrap().clone());
        config.protect_with_certificate(signer, identity.certificate.clone(), identity.chain.clone());
    }
    assert!(stick.exchange().answer_path(8).exists());
}

#[test]
fn questions_revocation_and_pkcs10_travel_on_a_stick() {
    let mut ca = MockCa::new().answers_waiting(1, 60);
    ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
    let client = Device::config(&ca).build().unwrap();

    let stick = Stick::new("genm");
    let (asked, trips) = travel(&client, client.ask(Question::CaCerts).unwrap(), &stick, &mut ca);
    assert!(matches!(asked.information(), Some(Information::CaCerts(_))) && trips == 3);

    let stick = Stick::new("rr");
    let revoked = ca.issuing.leaf("router-7").certificate;
    let (done, _) = travel(&client, client.revoke(&revoked, CrlReason::Superseded).unwrap(), &stick, &mut ca);
    assert!(done.revoked().is_some());

    let stick = Stick::new("p10cr");
    let key = key();
    let signer = Signer::Key(key.clone());
    let request = devid::client::UnsignedRequest::new(&Device::subject(), &signer, &Default::default()).unwrap();
    let request = request.sign(&*key).unwrap();
    let (done, trips) = travel(&client, client.enroll_pkcs10(request.as_der()).unwrap(), &stick, &mut ca);
    let issued = done.issued().unwrap();
    assert!(issued.certificate.as_der().windows(key.spki().len()).any(|w| w == key.spki()));
    assert_eq!(trips, 4);
}

#[test]
fn an_answer_that_was_days_on_its_way_is_taken_and_one_from_the_future_is_not() {
    for (later, code) in [(9 * DAY, Code::Busy), (-9 * DAY, Code::MessageTime)] {
        let (mut ca, store, stick) = (MockCa::new(), Store::in_memory(provider().clone()), Stick::new("late"));
        let to = Destination { store: &store, name: "router", purpose: "ldevid" };
        let client = Device::config(&ca).build().unwrap();
        let outcome =
            client.enroll_into(to, &key(), &Device::subject(), &mut stick.exchange(), &mut Patient(now())).unwrap_err();
        assert!(outcome.facts().hint.is_some_and(|hint| hint.contains("carrier")), "{outcome:?}");
        stick.carry(&mut ca);
        let outcome = client.resume(to, &mut stick.exchange(), &mut Patient(now().plus(later))).unwrap_err();
        assert_eq!(outcome.code(), code, "{outcome}");
        // certConf is the next that is carried.
        assert_eq!(stick.exchange().request_path(2).exists(), later > 0);
    }
}

/// The planner's steps go over files as over a network: an answer that is not there yet is waited out.
#[test]
fn a_renewal_by_the_planner_travels_on_a_stick() {
    let (mut ca, store, stick) = (MockCa::new(), Store::in_memory(provider().clone()), Stick::new("plan"));
    store.set_anchors(AnchorSet::Cmp, std::slice::from_ref(&ca.root.certificate)).unwrap();
    let (planner, config, subject) = (Planner::new(), Device::config(&ca), Device::subject());
    let renewal = |config| Renewal {
        planner: &planner,
        config,
        to: Destination { store: &store, name: "router", purpose: "ldevid" },
        factory: None,
        subject: Some(&subject),
        new_key: None,
    };
    let mut clock = now();
    for trip in 0..3 {
        let report = renewal(&config).run_due(Some(clock), &mut stick.exchange(), &mut Unattended).unwrap();
        if trip == 2 {
            assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
            return;
        }
        assert_eq!(report.outcome.unwrap_err().code(), Code::Busy);
        assert_eq!(report.plan.step, if trip == 0 { Step::Enroll } else { Step::Resume });
        assert_eq!(stick.carry(&mut ca), 1);
        clock = clock.plus(i64::from(report.wait_seconds));
    }
}

/// Comes by every so many days, takes what lies there to the CA, and brings the answers the next time.
struct Courier {
    stick: Stick,
    every: i64,
    next: Time,
    under_way: Vec<(PathBuf, Vec<u8>)>,
}

impl Courier {
    fn new(name: &str, every: i64, life: &Life) -> Self {
        Courier { stick: Stick::new(name), every, next: life.clock.plus(3600), under_way: Vec::new() }
    }

    /// How many questions have no answer yet.
    fn visit(&mut self, life: &mut Life) -> usize {
        for (path, answer) in self.under_way.drain(..) {
            write_message(&path, &answer).unwrap();
        }
        for number in 1.. {
            let (request, answer) =
                (self.stick.exchange().request_path(number), self.stick.exchange().answer_path(number));
            if !request.exists() {
                break;
            }
            if !answer.exists() {
                let came = life.ca.answer(&read_message(&request, 1 << 20).unwrap());
                self.under_way.push((answer, came));
            }
        }
        self.next = life.clock.plus(self.every);
        self.under_way.len()
    }

    /// Until there is another certificate, by a clock that is off by so much, or none. When what was looked at.
    fn until_installed(&mut self, mut life: Life, off: Option<i64>) -> (Life, Vec<Report>) {
        let (begun, mut reports, mut log) = (life.clock, Vec::new(), Vec::new());
        while life.clock.since(begun) < 400 * DAY {
            let clock = off.map(|off| life.clock.plus(off));
            let report = life.run_over(clock, &mut self.stick.exchange());
            let wait = i64::from(report.wait_seconds.max(1));
            let is_installed = matches!(report.outcome, Ok(Done::Installed(_)));
            let outcome = report.outcome.as_ref().map_or_else(ToString::to_string, |done| format!("{done:?}"));
            log.push(format!("{:?} {outcome} / {wait}", report.plan.step));
            assert_eq!(report.plan.attempts, 0, "nothing has failed: {log:#?}");
            reports.push(report);
            if is_installed {
                return (life, reports);
            }
            let looks_again = life.clock.plus(wait);
            while self.next <= looks_again {
                let until = self.next.since(life.clock).max(0);
                life = life.later(until);
                assert!(self.visit(&mut life) <= 1, "one question at a time: {log:#?}");
            }
            let until = looks_again.since(life.clock);
            life = life.later(until);
        }
        panic!("{} s: {log:#?}", self.every)
    }
}

/// Answers that were days on their way are no word against a clock, and nothing is asked for that would only say how late it was then.
#[test]
fn by_a_courier_of_days_a_device_enrols_and_renews_with_the_messages_of_that_alone() {
    for every in [7 * 3600, 2 * DAY, 7 * DAY, 14 * DAY] {
        let mut life = Life::new().with_right_ca();
        let mut courier = Courier::new(&format!("courier-{every}"), every, &life);
        let (enrolled, mut reports) = courier.until_installed(life, Some(0));
        let due = enrolled.plan().renewal_at.unwrap().since(enrolled.clock);
        life = enrolled.later(due);
        courier.next = life.clock.plus(3600);
        let (renewed, more) = courier.until_installed(life, Some(0));
        reports.extend(more);
        for report in &reports {
            assert!(report.plan.clock.is_known() && report.plan.step != Step::LearnTime, "{every}: {report:?}");
        }
        let asked: Vec<BodyType> = renewed.ca.received.iter().map(|message| message.body_type()).collect();
        assert_eq!(asked, [BodyType::IR, BodyType::CERTCONF, BodyType::KUR, BodyType::CERTCONF], "{every}");
        assert!(renewed.store.last_known_time().unwrap() > Some(now()), "it is so late at least");
    }
}

/// The dark twin: what was carried and is ahead of the clock contradicts it.
#[test]
fn an_answer_that_was_carried_and_is_ahead_of_the_clock_contradicts_it() {
    let life = Life::new().with_right_ca();
    let mut courier = Courier::new("behind", 2 * DAY, &life);
    let (life, _) = courier.until_installed(life, Some(-40 * DAY));
    let plan = life.planner.plan(&life.store, "router", Some(life.clock.plus(-40 * DAY))).unwrap();
    assert!(!plan.clock.is_known(), "{:?}", plan.clock);
    // A clock that has been set since is believed once an answer says no later time.
    let due = life.planner.plan(&life.store, "router", Some(life.clock)).unwrap().renewal_at.unwrap();
    let wait = due.since(life.clock);
    let mut life = life.later(wait);
    courier.next = life.clock.plus(3600);
    (life, _) = courier.until_installed(life, Some(0));
    assert!(life.plan().clock.is_known(), "{:?}", life.plan().clock);
}

/// Without a clock, how late it is at least is worth a question now and then, and one at a time.
#[test]
fn by_a_courier_a_device_without_a_clock_asks_one_question_at_a_time_and_renews_before_the_end() {
    for every in [7 * 3600, 2 * DAY, 7 * DAY] {
        let life = Life::new().with_right_ca();
        let mut courier = Courier::new(&format!("clockless-{every}"), every, &life);
        let (mut life, _) = courier.until_installed(life, None);
        let end = life.store.current("router").unwrap().certificate.not_after();
        life.ca.received.clear();
        let (life, _) = courier.until_installed(life, None);
        assert!(life.clock < end, "{every}");
        let questions = life.ca.received.iter().filter(|message| message.body_type() == BodyType::GENM).count();
        assert!((1..70).contains(&questions), "{every}: {questions}");
    }
}

/// Looks for an answer are further and further apart, from the first of each message on; a medium that is away is a failure.
#[test]
fn by_a_courier_a_look_that_finds_no_answer_yet_is_no_attempt_that_failed() {
    let mut life = Life::new().with_right_ca();
    let stick = Stick::new("looks");
    for body in [BodyType::IR, BodyType::CERTCONF] {
        let mut waits = Vec::new();
        for _ in 0..12 {
            let report = life.run_over(Some(life.clock), &mut stick.exchange());
            assert_eq!(report.outcome.unwrap_err().code(), Code::Busy);
            assert_eq!(life.plan().attempts, 0);
            waits.push(report.wait_seconds);
            life = life.later(i64::from(report.wait_seconds));
        }
        assert!(waits[0] <= 900 && waits[11] == 86_400, "{body:?}: {waits:?}");
        assert!(waits.is_sorted_by(|a, b| *b == (2 * a).min(86_400)), "{body:?}: {waits:?}");
        assert_eq!(stick.carry(&mut life.ca), 1);
    }
    let report = life.run_over(Some(life.clock), &mut stick.exchange());
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");

    let away = Stick::new("away");
    std::fs::remove_dir_all(&away.0).unwrap();
    let life = Life::due().with_right_ca();
    for count in 1..3 {
        let report = life.run_over(Some(life.clock), &mut away.exchange());
        assert_ne!(report.outcome.unwrap_err().code(), Code::Busy);
        assert_eq!(life.plan().attempts, count);
        life.planner.hurry(&life.store, "router").unwrap();
    }
}

/// A question that is out is looked at again, and not asked anew at each look; the next one is as rare as over a network.
#[test]
fn by_a_courier_a_question_about_a_root_goes_out_once_for_each_answer() {
    let life = Life::enrolled().with_right_ca();
    let old = Builder::ca("Old root").valid(date(2016, 1, 1), date(2027, 1, 1)).self_signed();
    let both = [life.ca.root.certificate.clone(), old.certificate];
    life.store.set_anchors(AnchorSet::Enrolment, &both).unwrap();
    let mut courier = Courier::new("root", 7 * DAY, &life);
    let (mut life, begun, mut looks) = (life, now(), 0);
    while life.clock.since(begun) < 60 * DAY {
        let report = life.run_over(Some(life.clock), &mut courier.stick.exchange());
        assert!(matches!(report.plan.step, Step::AskForRoot(_) | Step::Nothing), "{report:?}");
        let looks_again = life.clock.plus(i64::from(report.wait_seconds.max(1)));
        looks += 1;
        while courier.next <= looks_again {
            let until = courier.next.since(life.clock).max(0);
            life = life.later(until);
            assert!(courier.visit(&mut life) <= 1);
        }
        let until = looks_again.since(life.clock);
        life = life.later(until);
    }
    let asked = life.ca.received.iter().filter(|message| message.body_type() == BodyType::GENM).count();
    assert!((1..=5).contains(&asked) && looks > 20, "{asked} {looks}");
}

/// Half a file, another transaction's answer, something else: the device says what it found and asks again later.
#[test]
fn what_is_not_the_answer_is_not_taken_for_it() {
    let mut ca = MockCa::new();
    let store = Store::in_memory(provider().clone());
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let config: Config = Device::config(&ca);
    let client = config.build().unwrap();
    let stick = Stick::new("bad");
    let first = client.enroll_into(to, &key(), &Device::subject(), &mut stick.exchange(), &mut Patient(now()));
    assert_eq!(first.unwrap_err().code(), Code::Busy);
    stick.carry(&mut ca);
    let answer = stick.exchange().answer_path(1);
    let good = std::fs::read(&answer).unwrap();
    let resume = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).unwrap();
        client.resume(to, &mut stick.exchange(), &mut Patient(now()))
    };
    for (what, bytes) in [("half", &good[..good.len() / 2]), ("PEM", b"-----BEGIN CERT"), ("empty", b"")] {
        assert_eq!(resume(&answer, bytes).unwrap_err().code(), Code::ContentType, "{what}");
        assert_eq!(store.operations().unwrap(), ["router"], "{what}: it can still go on");
    }
    // Whole messages that are not the answer: the files of two devices, or of two messages, were mixed up.
    let request = std::fs::read(stick.exchange().request_path(1)).unwrap();
    let mut other = Device::enrolling_with(&ca);
    other.step().unwrap();
    let of_another = ca.answer(other.operation.output().unwrap());
    let unprotected = crate::mock_ca::strip_protection(&good);
    for (what, bytes, code) in [
        ("the request", &request[..], Code::UnexpectedBody),
        ("another device's", &of_another, Code::TransactionId),
        ("without protection", &unprotected, Code::Unprotected),
        ("a certificate", ca.root.certificate.as_der(), Code::Der),
    ] {
        let error = resume(&answer, bytes).unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error}");
        assert_eq!(store.operations().unwrap(), ["router"], "{what}: it still waits for the right one");
    }
    // An editor has put a line end behind the right one.
    let error = resume(&answer, &[&good[..], b"\n"].concat()).unwrap_err();
    assert_eq!(error.code(), Code::Busy, "the answer is taken, certConf is on the stick: {error}");
    // The answer to ir once more in place of that to certConf.
    let error = resume(&stick.exchange().answer_path(2), &good).unwrap_err();
    assert!(matches!(error.code(), Code::Nonce | Code::UnexpectedBody), "{error}");
    std::fs::remove_file(stick.exchange().answer_path(2)).unwrap();
    stick.carry(&mut ca);
    assert!(client.resume(to, &mut stick.exchange(), &mut Patient(now())).is_ok());
}
