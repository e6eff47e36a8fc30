//! Answers that are not to be believed, refusals, certificates that are not what was asked for.

use devid::Code;
use devid::client::Subject;
use devid::client::run::system_time;
use devid::cmp::Signer;
use devid::crypto::{KeyKind, default_provider};
use devid_testca::server::system_time as seconds_now;

use crate::bench::{Bench, By, Meddling, P256, Story, body_tag, enroll, enroll_as, extra_certs_len};

/// One knob each that spoils the first answer to a signed request.
pub const REFUSED: &[(&str, &str, Code)] = &[
    ("wrong-recip-nonce", "1", Code::Nonce),
    ("no-recip-nonce", "1", Code::Nonce),
    ("wrong-transaction", "1", Code::TransactionId),
    ("no-transaction", "1", Code::TransactionId),
    ("empty-protection", "1", Code::ProtectionInvalid),
    ("wrong-sender", "1", Code::ProtectionInvalid),
    ("two-responses", "1", Code::Protocol),
    ("append", "1", Code::TrailingData),
    ("flip-bit", "300", Code::ProtectionInvalid),
    ("pvno", "1", Code::UnknownVersion),
    ("pvno", "4", Code::UnknownVersion),
    ("wrong-body", "1", Code::UnexpectedBody),
    ("broken-protection", "1", Code::ProtectionInvalid),
    ("no-protection", "1", Code::Unprotected),
    ("signer", "issuing", Code::ProtectionInvalid),
    ("signer", "expired", Code::ProtectionInvalid),
    ("signer", "no-usage", Code::ProtectionInvalid),
    ("signer", "stranger", Code::ProtectionInvalid),
    ("wrong-sender-kid", "1", Code::ProtectionInvalid),
    ("no-extra-certs", "1", Code::ProtectionInvalid),
    ("extra-certs", "70", Code::ProtectionInvalid),
    ("message-time-off", "7200", Code::MessageTime),
    ("message-time-off", "-7200", Code::MessageTime),
    ("garbage", "1", Code::ContentType),
    ("truncate", "100", Code::Transport),
    ("cert-req-id", "7", Code::Protocol),
    ("no-certificate", "1", Code::Protocol),
];

#[test]
fn an_answer_that_is_not_to_be_believed_ends_the_operation_and_nothing_more_is_sent() {
    let bench = Bench::new(P256);
    for &(name, value, code) in REFUSED {
        bench.expect(&[(name, value)], code, &["ir"]);
    }
}

#[test]
fn an_answer_under_another_secret_or_absurd_parameters_is_not_believed() {
    for by in [By::Pbm, By::Pbmac1] {
        let bench = Bench::new(by);
        bench.expect(&[("wrong-secret", "1")], Code::ProtectionInvalid, &["ir"]);
        bench.expect(&[("broken-protection", "1")], Code::ProtectionInvalid, &["ir"]);
        // The MAC decides; whose identifier the CA put beside it harms nobody.
        bench.expect_issued(&[("wrong-sender-kid", "1")]);
        bench.expect(&[("no-protection", "1")], Code::Unprotected, &["ir"]);
        bench.expect(&[("mac-iterations", "2000000")], Code::MacParameters, &["ir"]);
        bench.expect_issued(&[("mac-iterations", "2000")]);
    }
}

#[test]
fn a_poll_answer_that_is_not_to_be_believed_is_dropped_and_the_transaction_goes_on() {
    let bench = Bench::new(P256);
    for name in ["wrong-recip-nonce", "wrong-transaction", "wrong-body", "broken-protection", "no-protection"] {
        bench.set(&[("waiting", "2"), ("at", "pollrep"), (name, "1")]);
        let polls = std::cell::Cell::new(0);
        let meddle = |body: &str| {
            polls.set(polls.get() + u32::from(body == "pollReq"));
            if polls.get() == 2 {
                bench.server.with(|ca| ca.knobs.set(name, "0").unwrap());
            }
        };
        let mut owner = Meddling { story: Story::default(), meddle: Box::new(meddle) };
        let client = bench.config().build().unwrap();
        let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
        let mut operation = client.enroll(key, &Subject::new().name("CN=device 1").unwrap()).unwrap();
        client.run(&mut operation, &mut owner).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(owner.story.sent, ["ir", "pollReq", "pollReq", "pollReq", "certConf"], "{name}");
        assert!(owner.story.waits.contains(&60), "{name}: {:?}", owner.story.waits);
        assert!(owner.story.reasons.iter().any(|r| r.contains("proves nothing")), "{name}: {:?}", owner.story.reasons);
    }
    // What is no message at all does not even get there: the transport says so, and the operation can be run again.
    bench.expect(&[("waiting", "1"), ("at", "pollrep"), ("garbage", "1")], Code::ContentType, &["ir", "pollReq"]);
    let by_error = [("waiting", "1"), ("waiting-by-error", "1"), ("at", "error")];
    bench.expect_issued(&by_error[..2]);
    for (name, code) in [("broken-protection", Code::ProtectionInvalid), ("no-protection", Code::Unprotected)] {
        bench.expect(&[&by_error[..], &[(name, "1")]].concat(), code, &["ir"]);
    }
}

#[test]
fn a_confirmation_that_is_not_to_be_believed_leaves_the_certificate_unconfirmed() {
    let bench = Bench::new(P256);
    for name in ["wrong-recip-nonce", "wrong-transaction", "wrong-body", "broken-protection", "no-protection"] {
        bench.expect(&[("at", "pkiconf"), (name, "1")], Code::Unconfirmed, &["ir", "certConf"]);
        assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 1, "{name}: the CA takes it for confirmed");
    }
    // While the confirmation waits, an answer that proves nothing is dropped, and the next poll brings it.
    let delayed = [("confirm-waiting", "1"), ("at", "pollrep"), ("broken-protection", "1")];
    bench.set(&delayed);
    let (issued, story) = enroll(&bench.config());
    issued.expect("confirmed in the end");
    assert_eq!(story.sent, ["ir", "certConf", "pollReq", "pollReq"]);
}

#[test]
fn a_body_under_another_tag_is_refused() {
    let bench = Bench::new(P256);
    for other in ["2", "3", "8", "19", "22", "26"] {
        bench.expect(&[("body", other)], Code::UnexpectedBody, &["ir"]);
    }
    bench.expect(&[("body", "30")], Code::Der, &["ir"]);
    bench.expect(&[("at", "pkiconf"), ("body", "1")], Code::Unconfirmed, &["ir", "certConf"]);
}

#[test]
fn an_unprotected_error_is_nobodys_word() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("unprotected-error", "1")]);
    let knobs = [("unprotected-error", "1"), ("error", "1"), ("text", "go away")];
    let error = bench.expect(&knobs, Code::Unprotected, &["ir"]);
    assert_eq!(error.facts().server_texts, ["go away"]);
    assert!(!error.facts().server_authenticated);

    let mut config = bench.config();
    config.tolerance.unprotected_errors = true;
    let error = bench.expect_of(&config, &knobs, Code::Rejected, &["ir"]);
    assert!(!error.facts().server_authenticated, "reported, and still nobody's word");
    let waiting = [("unprotected-error", "1"), ("waiting", "1"), ("waiting-by-error", "1")];
    let error = bench.expect_of(&config, &waiting, Code::Rejected, &["ir"]);
    assert!(!error.facts().server_authenticated, "nobody makes the device wait");
}

#[test]
fn a_refusal_brings_status_failure_bits_and_words() {
    let bench = Bench::new(P256);
    for (name, value, status) in [("status", "2", 2), ("error", "1", 2)] {
        let error =
            bench.expect(&[(name, value), ("fail-info", "512"), ("text", "unknown device")], Code::Rejected, &["ir"]);
        assert_eq!(error.facts().pki_status, Some(status));
        assert_eq!(error.facts().fail_info, Some(1 << 9));
        assert_eq!(error.facts().server_texts, ["unknown device"]);
        assert!(error.facts().server_authenticated);
        assert_eq!(error.facts().phase, Some(devid::asn1::cmp::BodyType::IR.into()));
    }
}

#[test]
fn what_was_issued_otherwise_than_asked_is_refused_and_the_ca_is_told() {
    let bench = Bench::new(P256);
    for (name, value, code) in [
        ("wrong-key", "1", Code::WrongCertificate),
        ("certificate-days", "-1", Code::WrongCertificate),
        ("certificate-from-stranger", "1", Code::WrongCertificate),
        ("broken-certificate", "1", Code::WrongCertificate),
        ("modify-subject", "1", Code::Refused),
        ("drop-alt-names", "1", Code::Refused),
    ] {
        bench.expect(&[(name, value)], code, &["ir", "certConf"]);
        let (confirmed, rejected) = bench.server.with(|ca| (ca.confirmed.len(), ca.rejected.len()));
        assert_eq!((confirmed, rejected), (0, 1), "{name}");
    }
    bench.set(&[("certificate-seconds", "600")]);
    let issued = enroll(&bench.config()).0.expect("short-lived, and good");
    assert!(issued.certificate.not_after().since(system_time()) <= 600);
}

#[test]
fn a_ca_that_never_stops_waiting_is_given_up() {
    let bench = Bench::new(P256);
    bench.set(&[("waiting", "1000000")]);
    let mut config = bench.config();
    config.limits.max_polls = 5;
    let (issued, story) = enroll(&config);
    assert_eq!(issued.unwrap_err().code(), Code::PollExhausted);
    assert_eq!(story.sent.len(), 6);
}

#[test]
fn the_ca_looks_at_the_devices_clock_only_when_told_to() {
    let bench = Bench::new(P256);
    let off = || Story { pretended_seconds: 600, ..Story::default() };
    bench.set(&[("time-window", "60")]);
    let (issued, story) = enroll_as(&bench.config(), off());
    assert_eq!(issued.unwrap_err().facts().fail_info, Some(1 << 3), "badTime");
    assert_eq!(story.sent, ["ir"]);
    assert!(bench.complaints()[0].contains("seconds off"), "{:?}", bench.complaints());
    for knobs in [[("time-window", "0"), ("strict", "1")], [("time-window", "60"), ("strict", "0")]] {
        bench.set(&knobs);
        enroll_as(&bench.config(), off()).0.expect("issued");
    }
}

#[test]
fn a_request_with_a_changed_byte_gets_no_certificate_from_the_ca() {
    for by in [P256, By::Pbm] {
        let bench = Bench::new(by);
        bench.set::<&str>(&[]);
        enroll(&bench.config()).0.expect("issued");
        let (now, request) = (seconds_now(), bench.server.with(|ca| ca.received[0].der.clone()));
        let end = request.len() - extra_certs_len(&request);
        let ip = 0xa1;
        for at in 0..request.len() {
            let mut changed = request.clone();
            changed[at] ^= 1 << (at % 8);
            // In a transaction of its own the request as it came would be served.
            let answer = bench.server.with(|ca| ca.answer(&changed, now));
            let body = body_tag(&answer);
            assert!(body == 0xb7 || (body == ip && at >= end), "{by:?}: byte {at} of {end}: {body:02x}");
            let answer = bench.server.with(|ca| ca.answer(&request[..at], now));
            assert_eq!(body_tag(&answer), 0xb7, "{by:?}: cut after {at} bytes");
        }
    }
}

#[test]
fn errorcode_and_errordetails_reach_the_caller() {
    let bench = Bench::new(P256);
    let knobs = [("error", "1"), ("error-code", "4711"), ("error-details", "line 12"), ("text", "no")];
    let error = bench.expect(&knobs, Code::Rejected, &["ir"]);
    assert!(error.message().contains("errorCode 4711"), "{error}");
    assert_eq!(error.facts().server_texts, ["no", "line 12"]);
}
