//! "Waiting" by somebody without authority: it costs minutes, whatever message it answers, and polling does not take the place of
//! what the CA has never had.

use std::sync::Arc;

use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::cmp::{ActionKind, Operation, Question, Signer};
use devid::validation::KeyUsage;
use devid::{Code, Error};

use crate::certificates::{Builder, Party, key};
use crate::mock_ca::{Device, MockCa, poll_rep};

/// What the operations ask for.
const KINDS: [&str; 5] = ["ir", "cr", "kur", "rr", "genm"];

/// A CA whose signer has the purpose cmcRA, or nothing but a path to the anchors.
fn ca(has_authority: bool) -> MockCa {
    let mut ca = MockCa::new();
    let mut signer = Builder::leaf("CMP server").key_usage(&[KeyUsage::DigitalSignature]);
    if has_authority {
        signer = signer.purposes(&[oid::KP_CMC_RA]);
    }
    ca.signer = signer.signed_by(&ca.issuing);
    ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: sequence(&[ca.root.certificate.as_der()]) }];
    ca
}

fn neighbour_of(ca: &MockCa) -> Party {
    Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing)
}

fn waiting() -> Vec<u8> {
    sequence(&[&PkiStatusInfo::new(PkiStatus::Waiting).to_der()])
}

/// A neighbour that keeps what it answers to itself, and puts off; polls too, where it is so bold.
fn liar(ca: &MockCa, neighbour: &Party) -> MockCa {
    let mut liar = MockCa::new();
    (liar.root, liar.issuing, liar.signer) = (ca.root.clone(), ca.issuing.clone(), neighbour.clone());
    liar.script = Some(Box::new(|request| match request.body_type() {
        BodyType::POLLREQ => (BodyType::POLLREP, poll_rep(0, 86_400)),
        _ => (BodyType::ERROR, waiting()),
    }));
    liar
}

fn device(ca: &MockCa, kind: &str) -> Device {
    let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    let mut config = Device::config(ca);
    if matches!(kind, "kur" | "rr") {
        config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), Vec::new());
    }
    let (client, new_key) = (config.build().unwrap(), key());
    let signer = Signer::Key(Arc::clone(&new_key));
    let operation = match kind {
        "ir" => client.enroll(signer, &Device::subject()),
        "cr" => client.enroll_further(signer, &Device::subject()),
        "kur" => client.renew(signer),
        "rr" => client.revoke(&own.certificate, CrlReason::Superseded),
        _ => client.ask(Question::CaCerts),
    };
    let mut device = Device::with(operation.unwrap(), new_key);
    device.takes_differences = true;
    device
}

/// What a run came to: the bodies that were sent, and the seconds it took.
struct Run {
    outcome: Result<(), Error>,
    bodies: Vec<String>,
    seconds: i64,
}

/// Runs an operation in which a neighbour answers the exchanges whose bit is set, the CA all others. Answers are handed in, so that
/// what proves nothing is refused and the message is sent again.
fn run(ca: &mut MockCa, kind: &str, lies: u32, rewraps: bool, reboots: bool) -> Run {
    let neighbour = neighbour_of(ca);
    let mut liar = liar(ca, &neighbour);
    let genuine = ca.signer.clone();
    let mut device = device(ca, kind);
    let (start, mut bodies, mut refused) = (device.clock, Vec::new(), 0);
    let outcome = loop {
        match device.step() {
            Err(error) if device.operation.has_failed() => break Err(error),
            Err(error) => {
                refused += 1;
                if refused > 9 {
                    break Err(error);
                }
            }
            Ok(ActionKind::Send) => {
                let message = device.operation.output().unwrap().to_vec();
                let number = bodies.len() as u32;
                bodies.push(body_of(&message));
                let is_lie = number < 32 && lies >> number & 1 == 1;
                let is_request = bodies.last().unwrap() == kind;
                ca.signer = if rewraps && is_request { neighbour.clone() } else { genuine.clone() };
                let clock = device.clock;
                for party in [&mut *ca, &mut liar] {
                    party.bend = Some(Box::new(move |answer| answer.header.message_time = Some(clock)));
                }
                let answer = if is_lie { liar.answer(&message) } else { ca.answer(&message) };
                device.operation.feed(&answer).unwrap();
                if reboots && device.operation.save().is_ok() {
                    // The answer is looked at first: it is not part of what is saved.
                    let _ = device.step();
                    reboot(&mut device);
                }
            }
            Ok(ActionKind::Wait) => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            Ok(ActionKind::Accept) => device.operation.accept().unwrap(),
            Ok(ActionKind::Done) => break Ok(()),
            Ok(other) => panic!("unexpected {other:?}"),
        }
    };
    Run { outcome, bodies, seconds: device.clock.since(start) }
}

fn body_of(message: &[u8]) -> String {
    use devid::asn1::cmp::PkiMessage;
    use devid::limits::Limits;
    PkiMessage::from_der(message.to_vec(), &Limits::default()).unwrap().body_type().name().to_owned()
}

fn reboot(device: &mut Device) {
    let Ok(saved) = device.operation.save() else { return };
    let (context, new_key) = (device.operation.context().clone(), Signer::Key(device.new_key.clone()));
    let is_keyed = device.operation.request().certificate().is_some();
    device.operation = match is_keyed {
        true => Operation::restore(context, new_key, &saved),
        false => Operation::restore_keyless(context, &saved),
    }
    .unwrap();
}

/// In each phase and over a reboot: lies while polling are dropped, or put off by an hour; once they end, the CA is asked what it knows.
#[test]
fn whatever_a_neighbour_puts_off_the_ca_is_asked_within_hours_of_the_last_lie() {
    for kind in KINDS {
        for lies in 0..32 {
            let rewraps = lies % 2 == 0 && matches!(kind, "ir" | "cr" | "kur");
            let mut ca = ca(true);
            let Run { outcome, bodies, seconds } = run(&mut ca, kind, lies, rewraps, lies % 3 == 0);
            let case = format!("{kind} {lies:05b} {rewraps}: {bodies:?} {seconds} s");
            assert!(outcome.is_ok(), "{case}: {outcome:?}");
            // An hour for each poll that is put off, and minutes.
            assert!(seconds <= i64::from(lies.count_ones()) * 3600 + 1800, "{case}");
        }
    }
}

/// A CA whose signer nothing tells from the neighbour's, where it answers for itself.
#[test]
fn one_lie_costs_minutes_at_a_ca_whose_signer_is_not_marked() {
    for kind in ["ir", "cr", "kur", "genm"] {
        let Run { outcome, bodies, seconds } = run(&mut ca(false), kind, 1, false, false);
        assert!(outcome.is_ok() && seconds <= 120, "{kind}: {bodies:?} {seconds} s {outcome:?}");
        assert_eq!(bodies[..3], [kind, "pollReq", kind], "what the CA has never had is sent again");
    }
    // Nobody but a pin tells whose pkiConf is whose once the neighbour has brought the certificate: that ends as it does without "waiting".
    let Run { outcome, seconds, .. } = run(&mut ca(false), "ir", 2, true, false);
    assert!(outcome.is_err() && seconds <= 3600, "{seconds} s {outcome:?}");
}

/// The request that is sent again is as old as the lie: a CA that looks at messageTime says so, and it is made anew.
#[test]
fn a_request_that_has_become_too_old_is_made_anew() {
    let mut ca = ca(true);
    let mut device = device(&ca, "ir");
    let mut liar = liar(&ca, &neighbour_of(&ca));
    device.step().unwrap();
    device.exchange(&mut liar);
    let mut seen: Vec<Option<Vec<u8>>> = Vec::new();
    ca = ca.bending(BodyType::IP, move |answer| {
        seen.push(answer.header.transaction_id.clone());
        if seen.len() == 1 {
            let status = PkiStatusInfo { fail_info: Some(1 << 3), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
        } else {
            assert_ne!(seen[0], seen[1], "a transaction of its own");
        }
    });
    device.run(&mut ca).unwrap();
    assert_eq!(ca.bodies(), ["pollReq", "ir", "ir", "certConf"]);
}

/// The dark twin: who really waits is polled, and never has the request twice, nor certConf.
#[test]
fn a_ca_that_really_waits_has_each_message_once() {
    for has_authority in [true, false] {
        for by_error in [true, false] {
            let mut ca = ca(has_authority).answers_waiting(40, 1800);
            (ca.wait_by_error, ca.confirm_waits) = (by_error, 2);
            let Run { outcome, bodies, .. } = run(&mut ca, "ir", 0, false, false);
            assert!(outcome.is_ok(), "{outcome:?}");
            for once in ["ir", "certConf"] {
                assert_eq!(bodies.iter().filter(|body| *body == once).count(), 1, "{once}: {bodies:?}");
            }
        }
    }
}

/// Who has authority and has said waiting is believed: what it says to pollReq then ends the operation, and nothing is sent twice.
#[test]
fn what_the_ca_itself_has_put_off_is_not_sent_again() {
    let mut ca = ca(true).answers_waiting(1, 30);
    let mut device = device(&ca, "ir");
    device.exchange_until_other(&mut ca).unwrap();
    device.clock = device.clock.plus(31);
    let status = PkiStatusInfo { fail_info: Some(1 << 4), ..PkiStatusInfo::new(PkiStatus::Rejection) };
    ca.script = Some(Box::new(move |_| (BodyType::ERROR, sequence(&[&status.to_der()]))));
    let error = device.exchange_until_other(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "{error}");
    assert_eq!(ca.bodies(), ["ir", "pollReq", "pollReq"]);
}
