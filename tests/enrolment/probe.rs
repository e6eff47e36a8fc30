//! What a server is like, found out by questions alone.

use devid::asn1::cmp::BodyType;
use devid::transport::{Cause, ExchangeFn, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::validation::KeyUsage;

use crate::certificates::{Builder, Party, now};
use crate::mock_ca::{Answer, Device, MockCa, strip_protection};

fn probe(ca: &mut MockCa) -> devid::client::Probe {
    let config = Device::config(ca);
    let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| Ok(Reply::from_body(ca.answer(request))));
    let found = config.probe(&mut exchange, now()).unwrap();
    assert!(ca.bodies().iter().all(|body| *body == "genm"), "nothing is asked for: {:?}", ca.bodies());
    found
}

/// RFC 9810 section 5.3.21: a waiting that is not polled for is the end of the transaction, at the server too.
#[test]
fn a_question_that_is_put_off_is_not_polled_for() {
    let mut ca = MockCa::new().answers_waiting(3, 86_400);
    let found = probe(&mut ca);
    assert!(found.findings[0].words.contains("puts the question off"), "{}", found.report());
    assert!(!found.findings[0].fails, "{}", found.report());
    let transactions: std::collections::HashSet<_> =
        ca.received.iter().map(|message| message.header().transaction_id.clone()).collect();
    assert_eq!(transactions.len(), ca.received.len(), "each question is one message");
}

#[test]
fn a_server_that_fits_is_said_to_fit() {
    let mut ca = MockCa::new();
    ca.info = vec![devid::asn1::cmp::InfoTypeAndValue {
        info_type: devid::asn1::oid::IT_CA_CERTS,
        value: devid::asn1::der::sequence(&[ca.issuing.certificate.as_der()]),
    }];
    let found = probe(&mut ca);
    assert!(found.findings[0].words.contains("credential, anchors and switches fit"), "{}", found.report());
    assert!(found.switches.is_empty() && found.pins.is_empty() && found.roots.is_empty(), "{}", found.report());
}

/// It is the MAC's algorithm that the server does not take: which one it does is found out, and no switch is named that does not help.
#[test]
fn a_server_that_knows_old_macs_alone_is_told_by_its_profile() {
    use crate::mock_ca::{REFERENCE, SECRET};
    use devid::asn1::cmp::{PkiMessage, PkiStatus, PkiStatusInfo};
    use devid::asn1::der::sequence;
    use devid::cmp::MacParameters;
    let probed = |taken: &[u8], is_bare: bool| {
        let mut ca = MockCa::new();
        let mut config = Device::config(&ca);
        config.protect_with_secret(REFERENCE, SECRET, MacParameters::PASSWORD_BASED).unwrap();
        let mut exchange = ExchangeFn(|request: &[u8], limits: &ExchangeLimits| {
            let _ = limits;
            let read = PkiMessage::from_der(request.to_vec(), &devid::limits::Limits::default()).unwrap();
            let algorithm = read.header().protection_alg.clone().unwrap();
            let is_known = algorithm.windows(taken.len()).any(|window| window == taken);
            ca.bend = (!is_known).then(|| {
                let bend: Box<dyn FnMut(&mut Answer)> = Box::new(|a: &mut Answer| {
                    let refusal = PkiStatusInfo { fail_info: Some(1), ..PkiStatusInfo::new(PkiStatus::Rejection) };
                    (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&refusal.to_der()]));
                });
                bend
            });
            let answer = ca.answer(request);
            Ok(Reply::from_body(if is_bare && !is_known { strip_protection(&answer) } else { answer }))
        });
        config.probe(&mut exchange, now()).unwrap()
    };
    // SHA-1 with HMAC-SHA-1, as cryptlib and Trustpoint have it; SHA-256 with HMAC-SHA-1, as Insta has it.
    let (sha1, hmac_sha1) = ([0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a], [0x06, 8, 0x2b, 6, 1, 5, 5, 8, 1, 2]);
    assert_eq!(probed(&sha1, true).profile, Some("cryptlib"), "{}", probed(&sha1, true).report());
    assert_eq!(probed(&sha1, false).profile, Some("trustpoint"));
    let found = probed(&hmac_sha1, false);
    assert_eq!(found.profile, Some("insta"));
    assert!(found.report().contains("badAlg"), "{}", found.report());
    assert_ne!(probed(b"nothing of the kind", true).profile, Some("insta"));
}

#[test]
fn what_would_fail_is_told_with_the_switch_the_pin_or_the_anchor_that_helps() {
    // An ordinary certificate: to be pinned. The neighbour's words are not believed.
    let mut ca = MockCa::new();
    ca.signer = Builder::leaf("CMP server").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    assert_eq!(probe(&mut ca).pins, [ca.signer.certificate.clone()]);
    // A keyUsage without digitalSignature, a sender of another name, a senderKID of its own.
    let mut ca = MockCa::new();
    ca.signer = Builder::leaf("CMP server").key_usage(&[KeyUsage::KeyAgreement]).signed_by(&ca.issuing);
    ca = ca.bending(BodyType::GENP, |a: &mut Answer| {
        a.header.sender = Some(crate::certificates::common_name("somebody"));
        a.header.sender_kid = Some(vec![1, 2, 3]);
    });
    let found = probe(&mut ca);
    for switch in ["signer_key_usage", "other_sender_name", "wrong_sender_kid"] {
        assert!(found.switches.contains(&switch), "{switch}: {}", found.report());
    }
    assert!(!found.works());
    assert_eq!(found.profile, Some("vault"));
    // A root that the device does not know is shown, and never believed.
    let mut ca = MockCa::new();
    let elsewhere = Party::root("Elsewhere");
    ca.signer = elsewhere.leaf("CMP server");
    let root = elsewhere.certificate.clone();
    ca = ca.bending(BodyType::GENP, move |a: &mut Answer| a.extra_certs.push(root.clone()));
    let found = probe(&mut ca);
    assert_eq!(found.roots, [elsewhere.certificate]);
    assert!(found.pins.is_empty() && !found.report().contains("key update work"), "{}", found.report());
    assert!(found.report().contains("once looked at"));
}

#[test]
fn how_strangers_are_refused_shows_which_errors_will_come() {
    let mut ca = MockCa::new();
    ca.break_ = Some(Box::new(|der| strip_protection(&der)));
    let found = probe(&mut ca);
    assert!(found.findings[0].remedy.contains("protect_by_mutual_tls"), "{}", found.report());
    assert!(found.report().contains("a stranger is answered by genp without protection"), "{}", found.report());
}

#[test]
fn a_server_that_is_not_there_is_a_finding_and_no_error() {
    let ca = MockCa::new();
    let mut dead = ExchangeFn(|_: &[u8], _: &ExchangeLimits| {
        let refused = TransportError::new(TransportErrorKind::Connect, Phase::Connect, "connection refused");
        Err(TransportError { cause: Some(Cause::NothingListens), ..refused })
    });
    let found = Device::config(&ca).probe(&mut dead, now()).unwrap();
    assert!(!found.works());
    assert!(found.findings[0].remedy.contains("is a CMP server running there"), "{}", found.report());
}

#[test]
fn what_harms_nobody_is_told_and_does_not_fail() {
    let mut ca = MockCa::new().answers_waiting(1, 40);
    let found = probe(&mut ca);
    assert!(found.works(), "{}", found.report());
    assert!(found.report().contains("puts the question off"), "{}", found.report());
    // Whom it does not know is told, too.
    let mut ca = MockCa::new();
    ca.info = vec![devid::asn1::cmp::InfoTypeAndValue { info_type: devid::asn1::oid::IT_CA_CERTS, value: Vec::new() }];
    let found = probe(&mut ca);
    assert!(found.works(), "{}", found.report());
    assert!(found.report().contains("certificates of CAs are public"), "{}", found.report());
}

/// A certificate that leads to none of the roots is refused once it is issued: the CAs' certificates tell it before.
#[test]
fn issuers_that_lead_to_no_enrolment_anchor_are_foreseen() {
    let known = |certificate: &devid::asn1::x509::Certificate| {
        vec![devid::asn1::cmp::InfoTypeAndValue {
            info_type: devid::asn1::oid::IT_CA_CERTS,
            value: devid::asn1::der::sequence(&[certificate.as_der()]),
        }]
    };
    let mut ca = MockCa::new();
    ca.info = known(&ca.issuing.certificate);
    assert!(!probe(&mut ca).report().contains("enrolment anchor"), "it leads there");

    // Another CA, and one that was set up anew under its name; also where the question is not answered, but by a signer below its CA.
    let name = |root: &Party| devid::asn1::name::display(root.certificate.subject());
    let again = Party::root(name(&MockCa::new().root).trim_start_matches("CN="));
    for (root, is_answered) in [(Party::root("Elsewhere"), true), (again, true), (Party::root("Elsewhere"), false)] {
        let mut ca = MockCa::new();
        if is_answered {
            ca.info = known(&ca.issuing.certificate);
        }
        let mut config = Device::config(&ca);
        config.enrolment_anchors = devid::validation::TrustAnchors::new();
        config.enrolment_anchors.add(root.certificate);
        let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| Ok(Reply::from_body(ca.answer(request))));
        let found = config.probe(&mut exchange, now()).unwrap();
        let told = found.findings.iter().find(|finding| finding.words.contains("enrolment anchor"));
        let told = told.unwrap_or_else(|| panic!("{}: {}", is_answered, found.report()));
        assert!(!told.fails && told.remedy.contains("ca.trust.issued"), "{}", found.report());
    }
}

/// Enrolment goes by both times, so that a clock that is wrong is no failure; to a device without a clock nothing is wrong.
#[test]
fn a_clock_that_is_wrong_is_told_and_is_no_failure() {
    for (window, is_told, has_time) in [(Some(3600), true, true), (None, false, true), (None, false, false)] {
        let mut ca = MockCa::new();
        ca = ca.bending(BodyType::GENP, move |a: &mut Answer| a.header.message_time = has_time.then(now));
        let mut config = Device::config(&ca);
        config.message_time_window_seconds = window;
        let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| Ok(Reply::from_body(ca.answer(request))));
        let alone = config.probe(&mut exchange, devid::Time::from_unix(0)).unwrap();
        let found = config.probe_for_planner(&mut exchange, devid::Time::from_unix(0)).unwrap();
        // An operation by itself goes by one time.
        assert_eq!(alone.works(), !is_told, "{}", alone.report());
        assert!(found.findings[0].words.contains("the answer is taken"), "{}", found.report());
        assert!(found.works(), "{}", found.report());
        let clock =
            found.findings.iter().find(|finding| finding.words.contains("the device's clock says 1970")).unwrap();
        assert_eq!(!clock.remedy.is_empty(), is_told, "{}", found.report());
    }
}

#[test]
fn a_server_that_answers_no_questions_is_there_all_the_same() {
    let answered = |error: TransportError, url: &str| {
        let mut config = Device::config(&MockCa::new());
        config.server.url = Some(url.to_owned());
        let mut exchange = ExchangeFn(|_: &[u8], _: &ExchangeLimits| Err(error.clone()));
        config.probe(&mut exchange, now()).unwrap()
    };
    let status = |status| TransportError {
        status: Some(status),
        ..TransportError::new(TransportErrorKind::HttpStatus, Phase::Await, "an HTTP status")
    };
    let closed =
        || TransportError::new(TransportErrorKind::Broken, Phase::Await, "the server closed without an answer");
    for (error, url) in
        [(status(501), "http://a.example/"), (status(500), "http://a.example/"), (closed(), "https://a.example/")]
    {
        let found = answered(error, url);
        assert!(found.works() && found.report().contains("does not answer questions"), "{}", found.report());
    }
    // By a path or a login that is wrong nothing works; who closes may expect TLS.
    for error in [status(404), status(401), status(302)] {
        assert!(!answered(error, "http://a.example/").works());
    }
    let found = answered(closed(), "http://a.example/");
    assert!(!found.works() && found.is_closed, "{}", found.report());
}
