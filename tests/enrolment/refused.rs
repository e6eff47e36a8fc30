//! What must not work, and how it is told.

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{encode, sequence};
use devid::cmp::ActionKind;
use devid::validation::KeyUsage;

use crate::certificates::{Builder, Party, date, now, time};
use crate::mock_ca::{Answer, Device, MockCa, cert_rep, poll_rep, strip_protection};

/// Bends the answer to ir and says how the operation ends.
fn ir_answered_with(bend: impl FnMut(&mut Answer) + 'static) -> devid::Error {
    let mut ca = MockCa::new().bending(BodyType::IP, bend);
    let mut device = Device::enrolling_with(&ca);
    let error = device.run(&mut ca).expect_err("this answer must not be taken");
    assert_eq!(ca.bodies(), ["ir"], "nothing is sent after an answer that is not to be believed");
    assert_eq!(device.step().unwrap_err().code(), error.code(), "a failure is for good");
    assert!(device.operation.issued().is_none());
    error
}

/// The owner hands in what he has at hand; only what the CA has protected ends the operation.
#[test]
fn what_is_handed_in_and_proves_nothing_is_refused_and_the_right_answer_is_taken() {
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);
    let mut phases = Vec::new();
    loop {
        match device.step().unwrap() {
            ActionKind::Send => {}
            ActionKind::Accept => {
                device.operation.accept().unwrap();
                continue;
            }
            ActionKind::Done => break,
            other => panic!("{other:?}"),
        }
        let request = device.operation.output().unwrap().to_vec();
        let good = ca.answer(&request);
        let mut bent = good.clone();
        // Within the sender's name.
        bent[40] ^= 1;
        let wrong = [&b""[..], b"<html>x</html>", &request, &bent, &strip_protection(&good), &good[..good.len() - 1]];
        for answer in wrong {
            device.operation.feed(answer).unwrap();
            let error = device.step().unwrap_err();
            assert!(error.facts().requirement.is_some() && !device.operation.has_failed(), "{error}");
            assert_eq!(device.step(), Ok(ActionKind::Send), "{error}");
            assert_eq!(device.operation.output(), Some(&request[..]), "the same message can be carried once more");
        }
        phases.push(crate::mock_ca::output_body(&device.operation).unwrap().name());
        device.operation.feed(&good).unwrap();
    }
    assert_eq!(phases, ["ir", "certConf"]);

    // Dark twin: an authentic refusal is one, however it came.
    let no = |a: &mut Answer| {
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&PkiStatusInfo::new(PkiStatus::Rejection).to_der()]))
    };
    let mut ca = MockCa::new().bending(BodyType::IP, no);
    let mut device = Device::enrolling_with(&ca);
    device.step().unwrap();
    let refusal = ca.answer(device.operation.output().unwrap());
    device.operation.feed(&refusal).unwrap();
    assert_eq!(device.step().unwrap_err().code(), Code::Rejected);
    assert!(device.operation.has_failed());
}

#[test]
fn an_answer_of_another_transaction_is_refused() {
    let error = ir_answered_with(|a| a.header.transaction_id = Some(vec![7; 16]));
    assert_eq!(error.code(), Code::TransactionId);
    assert!(error.message().contains("07070707"), "{error}");
    assert_eq!(ir_answered_with(|a| a.header.transaction_id = None).code(), Code::TransactionId);
}

#[test]
fn an_answer_with_wrong_or_missing_nonces_is_refused() {
    assert_eq!(ir_answered_with(|a| a.header.recip_nonce = Some(vec![9; 16])).code(), Code::Nonce);
    assert_eq!(ir_answered_with(|a| a.header.recip_nonce = None).code(), Code::Nonce);
}

#[test]
fn an_answer_of_an_unknown_version_is_refused() {
    assert_eq!(ir_answered_with(|a| a.header.pvno = 1).code(), Code::UnknownVersion);
    assert_eq!(ir_answered_with(|a| a.header.pvno = 4).code(), Code::UnknownVersion);
}

#[test]
fn a_body_that_does_not_belong_here_is_refused() {
    let pkiconf = |a: &mut Answer| (a.body_type, a.content) = (BodyType::PKICONF, vec![5, 0]);
    let error = ir_answered_with(pkiconf);
    assert_eq!(error.code(), Code::UnexpectedBody);
    assert!(error.message().contains("expected ip or error, got pkiconf"), "{error}");
    assert_eq!(ir_answered_with(|a| a.body_type = BodyType::CP).code(), Code::UnexpectedBody);
    let poll = |a: &mut Answer| (a.body_type, a.content) = (BodyType::POLLREP, poll_rep(0, 5));
    assert_eq!(ir_answered_with(poll).code(), Code::UnexpectedBody, "nothing was polled for");
}

#[test]
fn an_answer_without_protection_is_refused_even_if_all_else_is_right() {
    let mut ca = MockCa::new();
    ca.break_ = Some(Box::new(|der| strip_protection(&der)));
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.run(&mut ca).unwrap_err().code(), Code::Unprotected);
    assert_eq!(ca.bodies(), ["ir"]);
}

#[test]
fn an_answer_signed_by_a_stranger_is_refused() {
    // A path of its own that comes along: what stands in extraCerts is not trusted for standing there.
    let stranger = Party::root("Operator root");
    let signer = stranger.leaf("CMP server");
    let error = ir_answered_with(move |a| {
        a.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
        a.extra_certs = vec![signer.certificate.clone(), stranger.certificate.clone()];
        a.signer = Some(signer.clone());
    });
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("not trusted"), "{error}");
}

#[test]
fn an_answer_signed_by_a_self_signed_certificate_in_extracerts_is_refused() {
    let impostor = Builder::leaf("CMP server").self_signed();
    let error = ir_answered_with(move |a| {
        a.header.sender_kid = impostor.certificate.subject_key_identifier().map(<[u8]>::to_vec);
        a.extra_certs = vec![impostor.certificate.clone()];
        a.signer = Some(impostor.clone());
    });
    assert_eq!(error.code(), Code::ProtectionInvalid);
}

#[test]
fn an_answer_signed_by_another_key_under_the_right_certificate_is_refused() {
    let error = ir_answered_with(|a| a.signer.as_mut().unwrap().key = crate::certificates::key());
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("does not match"), "{error}");
}

#[test]
fn an_expired_signer_is_refused_and_the_reason_is_told() {
    let mut ca = MockCa::new();
    let expired = Builder::leaf("CMP server").valid(date(2020, 1, 1), date(2025, 1, 1));
    ca.signer = expired.signed_by(&ca.issuing);
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("EXPIRED"), "{error}");
}

#[test]
fn a_signer_whose_key_usage_lacks_digitalsignature_is_refused_unless_tolerated() {
    let mut ca = MockCa::new();
    let other_usage = Builder::leaf("CMP server").key_usage(&[KeyUsage::KeyAgreement]);
    ca.signer = other_usage.purposes(&[devid::asn1::oid::KP_CMC_RA]).signed_by(&ca.issuing);
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("keyUsage without digitalSignature"), "{error}");

    let mut config = Device::config(&ca);
    config.tolerance.signer_key_usage = true;
    Device::enrolling_as(&config).run(&mut ca).expect("a CA in the field is like that");
}

#[test]
fn a_signer_that_is_not_authorised_is_refused() {
    let mut ca = MockCa::new();
    let mut config = Device::config(&ca);
    config.authorisation = devid::cmp::SignerAuthorisation::by_purpose();
    ca.signer = Builder::leaf("RA").signed_by(&ca.issuing);
    let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
    assert!(error.message().contains("cmcCA nor cmcRA"), "{error}");

    ca.signer = Builder::leaf("RA").purposes(&[devid::asn1::oid::KP_CMC_RA]).signed_by(&ca.issuing);
    Device::enrolling_as(&config).run(&mut ca).expect("an RA by its purpose");

    config.authorisation = devid::cmp::SignerAuthorisation::named(devid::asn1::name::Name::common_name("CA 2"));
    assert!(Device::enrolling_as(&config).run(&mut ca).unwrap_err().message().contains("is not CN=CA 2"));
}

#[test]
fn a_senderkid_that_names_another_key_is_refused_unless_tolerated() {
    let wrong = |a: &mut Answer| a.header.sender_kid = Some(vec![1, 2, 3]);
    let error = ir_answered_with(wrong);
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("senderKID 010203"), "{error}");

    let mut ca = MockCa::new().bending(BodyType::IP, wrong);
    let mut config = Device::config(&ca);
    config.tolerance.wrong_sender_kid = true;
    Device::enrolling_as(&config).run(&mut ca).expect("the signature and the path are right");
}

#[test]
fn a_sender_that_is_not_the_signer_is_refused_unless_tolerated() {
    let other = |a: &mut Answer| a.header.sender = Some(crate::certificates::common_name("somebody"));
    assert_eq!(ir_answered_with(other).code(), Code::ProtectionInvalid);

    let mut ca = MockCa::new().bending(BodyType::IP, other);
    let mut config = Device::config(&ca);
    config.tolerance.other_sender_name = true;
    Device::enrolling_as(&config).run(&mut ca).expect("the signature and the path are right");
}

#[test]
fn a_mac_does_not_answer_a_signature() {
    let algorithm = sequence(&[
        &devid::crypto::algorithm::encode_oid(devid::asn1::oid::PASSWORD_BASED_MAC),
        &sequence(&[
            &[4, 2, 1, 2],
            &sequence(&[&devid::crypto::algorithm::encode_oid(devid::asn1::oid::SHA256)]),
            &encode(&100u32),
            &sequence(&[&devid::crypto::algorithm::encode_oid(devid::asn1::oid::HMAC_WITH_SHA256)]),
        ]),
    ]);
    let error = ir_answered_with(move |a| a.header.protection_alg = Some(algorithm.clone()));
    assert!(error.message().contains("wrongIntegrity"), "{error}");
}

#[test]
fn a_protection_without_its_algorithm_is_refused() {
    let without_algorithm = |der: Vec<u8>| {
        let message = devid::asn1::cmp::PkiMessage::from_der(der, &devid::limits::Limits::default()).unwrap();
        let header = devid::asn1::cmp::PkiHeader { protection_alg: None, ..message.header().clone() };
        let body = devid::asn1::cmp::body::encode_body(message.body_type(), message.body_content());
        devid::asn1::cmp::message::assemble(&header.to_der(), &body, message.protection(), std::iter::empty())
    };
    for by_secret in [false, true] {
        let mut ca = MockCa::new();
        ca.break_ = Some(Box::new(without_algorithm));
        let mut device = if by_secret { Device::enrolling_by_secret(&ca) } else { Device::enrolling_with(&ca) };
        let error = device.run(&mut ca).unwrap_err();
        assert_eq!(error.code(), Code::ProtectionInvalid);
        assert!(error.message().contains("no protectionAlg"), "{error}");
    }
}

#[test]
fn a_mac_under_another_secret_is_refused() {
    let mut ca = MockCa::new().bending(BodyType::IP, |a| a.secret = b"battery-staple".to_vec());
    let error = Device::enrolling_by_secret(&ca).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
    let words = format!("{error} {error:?}");
    assert!(!words.contains("correct-horse"), "no secret in an error");
}

#[test]
fn a_message_time_outside_the_window_is_refused_where_the_clock_is_good() {
    let late = |a: &mut Answer| a.header.message_time = Some(now().plus(3601));
    assert_eq!(ir_answered_with(late).code(), Code::MessageTime);

    let mut ca = MockCa::new().bending(BodyType::IP, late);
    let mut config = Device::config(&ca);
    config.message_time_window_seconds = None;
    Device::enrolling_as(&config).run(&mut ca).expect("a device without a clock");
}

#[test]
fn a_rejection_ends_the_operation_with_the_servers_words() {
    let mut ca = MockCa::new();
    ca.status = PkiStatusInfo {
        status: PkiStatus::Rejection,
        texts: vec!["unknown device".into(), "call us".into()],
        fail_info: Some(1 << 23 | 1 << 31),
    };
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Rejected);
    assert_eq!(error.facts().pki_status, Some(2));
    assert_eq!(error.facts().fail_info, Some(1 << 23 | 1 << 31), "unknown bits are kept");
    assert_eq!(error.facts().server_texts, ["unknown device", "call us"]);
    assert!(error.facts().server_authenticated);
    assert!(error.message().contains("notAuthorized, bit 31"), "{error}");
    assert_eq!(ca.bodies(), ["ir"], "RFC 9483 section 4.1.1: no certConf after a rejection");
}

#[test]
fn an_unknown_status_is_a_failure() {
    let mut ca = MockCa::new();
    ca.status = PkiStatusInfo::new(PkiStatus::Unknown(7));
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Rejected);
}

#[test]
fn success_with_failure_bits_is_refused_where_the_profile_is_strict() {
    let mut ca = MockCa::new();
    ca.status.fail_info = Some(1);
    Device::enrolling_with(&ca).run(&mut ca).expect("tolerated");
    let mut config = Device::config(&ca);
    config.tolerance = devid::cmp::Tolerance::strict_rfc9483();
    assert_eq!(Device::enrolling_as(&config).run(&mut ca).unwrap_err().code(), Code::Protocol);
}

#[test]
fn responses_that_are_not_exactly_ours_are_refused() {
    let accepted = PkiStatusInfo::new(PkiStatus::Accepted);
    let rep = |content: Vec<u8>| ir_answered_with(move |a| a.content = content.clone()).code();
    assert_eq!(rep(cert_rep(1, &accepted, None)), Code::Protocol, "another certReqId");
    assert_eq!(rep(cert_rep(0, &accepted, None)), Code::Protocol, "accepted without a certificate");
    assert_eq!(rep(sequence(&[&sequence(&[])])), Code::Protocol, "no response at all");
    let one = sequence(&[&encode(&0i64), &accepted.to_der()]);
    assert_eq!(rep(sequence(&[&sequence(&[&one, &one])])), Code::Protocol, "two responses to one request");
}

/// Another key, another CA, an expired certificate: refused, and the CA is told by certConf (RFC 9483 section 3.6.1).
#[test]
fn a_certificate_that_cannot_be_used_is_refused_and_the_ca_is_told() {
    let mut of_stranger = MockCa::new();
    of_stranger.other_issuer = Some(Party::root("Stranger"));
    let cases: [(&str, MockCa, &str); 3] = [
        (
            "another key",
            MockCa::new().issuing(|mut b| {
                b.spki = None;
                b
            }),
            "another public key",
        ),
        ("another CA", of_stranger, "enrolment anchor"),
        (
            "expired",
            MockCa::new().issuing(|mut b| {
                b.not_after = time(date(2025, 1, 1));
                b
            }),
            "EXPIRED",
        ),
    ];
    for (case, mut ca, words) in cases {
        let mut device = Device::enrolling_with(&ca);
        device.takes_differences = true;
        let error = device.run(&mut ca).unwrap_err();
        assert_eq!(error.code(), Code::WrongCertificate, "{case}: {error}");
        assert!(error.message().contains(words), "{case}: {error}");
        assert_eq!(ca.bodies(), ["ir", "certConf"], "{case}");
        let content = ca.received[1].body(&Default::default()).unwrap();
        let devid::asn1::cmp::PkiBody::Other(content) = content else { panic!() };
        assert!(content.windows(3).any(|w| w == [0x02, 0x01, 0x02]), "{case}: status rejection in certConf");
    }
}

#[test]
fn with_implicit_confirmation_a_certificate_that_cannot_be_used_just_ends_the_operation() {
    let mut ca = MockCa::new().issuing(|mut b| {
        b.spki = None;
        b
    });
    ca.grant_implicit = true;
    let mut config = Device::config(&ca);
    config.ask_implicit_confirm = true;
    assert_eq!(Device::enrolling_as(&config).run(&mut ca).unwrap_err().code(), Code::WrongCertificate);
    assert_eq!(ca.bodies(), ["ir"]);
}

/// RFC 9483 sections 4.1.1 and 3.6.1: granted without having been asked for, it does not keep the CA from being told.
#[test]
fn a_refusal_is_told_to_a_ca_that_grants_what_was_not_asked_for() {
    let mut ca = MockCa::new().issuing(|mut b| {
        b.spki = None;
        b
    });
    ca.grant_implicit = true;
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::WrongCertificate);
    assert_eq!(ca.bodies(), ["ir", "certConf"]);
}

/// OpenSSL's client compares the public key alone.
#[test]
fn every_part_of_the_template_is_compared_with_the_certificate() {
    use devid::asn1::oid;
    let differing = |change: fn(Builder) -> Builder| {
        let mut ca = MockCa::new().issuing(change);
        let config = Device::config(&ca);
        let subject =
            Device::subject().key_usage("digitalSignature").unwrap().extended_key_usage("clientAuth").unwrap();
        let subject = subject.validity(Some(date(2020, 1, 1)), Some(date(2030, 1, 1)));
        let key = crate::certificates::key();
        let signer = devid::cmp::Signer::Key(key.clone());
        let mut device = Device::with(config.build().unwrap().enroll(signer, &subject).unwrap(), key);
        device.exchange_until_other(&mut ca).expect("a decision");
        let issued = device.operation.issued().unwrap();
        issued.differences.iter().map(|d| d.field.clone()).collect::<Vec<_>>()
    };
    assert!(differing(|b| b).is_empty());
    assert_eq!(differing(|b| b.subject(crate::certificates::common_name("router-8"))), ["subject"]);
    assert_eq!(differing(|b| b.without(oid::CE_SUBJECT_ALT_NAME)), ["subjectAltName"]);
    assert_eq!(differing(|b| b.key_usage(&[KeyUsage::KeyCertSign])), ["keyUsage"]);
    assert_eq!(differing(|b| b.purposes(&[oid::ANY_EXTENDED_KEY_USAGE])), ["extendedKeyUsage"]);
    assert_eq!(differing(|b| b.valid(date(2021, 1, 1), date(2029, 1, 1))), ["notBefore", "notAfter"]);
}

#[test]
fn a_failed_confirmation_is_told_apart_from_a_failed_request() {
    let mut ca = MockCa::new().bending(BodyType::PKICONF, |a| {
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.fail_info = Some(1 << 25);
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
    });
    let mut device = Device::enrolling_with(&ca);
    let error = device.run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Unconfirmed);
    assert_eq!(error.facts().fail_info, Some(1 << 25));
    assert!(device.operation.issued().is_some(), "the certificate can be looked at");
}

#[test]
fn a_server_that_waits_for_ever_is_given_up() {
    let mut ca = MockCa::new().answers_waiting(1_000_000, 1);
    let mut config = Device::config(&ca);
    config.limits.max_polls = 5;
    let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::PollExhausted);
    assert_eq!(ca.bodies().len(), 6);

    let mut ca = MockCa::new().answers_waiting(1_000_000, 3600);
    let mut config = Device::config(&ca);
    config.limits.max_total_seconds = 86_400;
    assert_eq!(Device::enrolling_as(&config).run(&mut ca).unwrap_err().code(), Code::PollExhausted);
    assert_eq!(ca.bodies().len(), 28, "a day of polls an hour apart, and the last word is the server's, said twice");
}

#[test]
fn a_server_that_sends_its_whole_trust_list_is_read_as_far_as_the_limit_goes() {
    let mut ca = MockCa::new();
    let root = ca.root.certificate.clone();
    ca.bend = Some(Box::new(move |answer| answer.extra_certs.extend(std::iter::repeat_n(root.clone(), 100))));
    Device::enrolling_with(&ca).run(&mut ca).expect("its signer stands first");
}

#[test]
fn absurd_waits_are_cut_to_the_limit() {
    for (check_after, waited) in [(i64::MIN, 1), (-1, 1), (0, 1), (i64::MAX, 7 * 86_400)] {
        let mut ca = MockCa::new().answers_waiting(1, check_after);
        let mut device = Device::enrolling_with(&ca);
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
        assert_eq!(device.wait_seconds(), waited, "{check_after}");
    }
}

#[test]
fn a_server_that_answers_polls_with_waiting_again_does_not_make_the_loop_hot() {
    let waiting = PkiStatusInfo::new(PkiStatus::Waiting);
    let mut ca = MockCa::new().answers_waiting(20, 1).bending(BodyType::POLLREP, move |a| {
        (a.body_type, a.content) = (BodyType::IP, cert_rep(0, &waiting, None));
    });
    let mut device = Device::enrolling_with(&ca);
    for expected in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
        assert_eq!(device.wait_seconds(), expected, "longer each time, so that time ends it and not the polls");
        device.clock = device.clock.plus(i64::from(expected));
    }
}

#[test]
fn a_poll_answer_for_another_request_is_refused() {
    let mut ca = MockCa::new().answers_waiting(1, 1).bending(BodyType::POLLREP, |a| a.content = poll_rep(3, 1));
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Protocol);
}

#[test]
fn an_answer_above_the_limit_is_not_read() {
    let mut ca = MockCa::new();
    let mut config = Device::config(&ca);
    config.limits.max_message_bytes = 500;
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.step(), Ok(ActionKind::Send));
    let answer = ca.answer(device.operation.output().unwrap());
    let error = device.operation.feed(&answer).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.message().contains("the limit is 500"), "{error}");
    assert_eq!(device.step(), Ok(ActionKind::Send), "the operation is as it was");
}

#[test]
fn a_signer_behind_more_certificates_than_the_limit_is_not_looked_for() {
    for (before, is_found) in [(60, true), (64, false)] {
        let mut ca = MockCa::new();
        let others: Vec<_> =
            (0..before).map(|i| Builder::leaf(&format!("{i}")).self_signed().certificate.clone()).collect();
        ca.bend = Some(Box::new(move |answer| drop(answer.extra_certs.splice(0..0, others.iter().cloned()))));
        let config = Device::config(&ca);
        assert_eq!(config.limits.max_certificates, 64);
        assert_eq!(Device::enrolling_as(&config).run(&mut ca).is_ok(), is_found, "{before}");
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_refused_and_changes_nothing() {
    let ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.operation.feed(b"early").unwrap_err().code(), Code::State);
    assert_eq!(device.operation.accept().unwrap_err().code(), Code::State);
    assert_eq!(device.operation.put_signature(b"x", now()).unwrap_err().code(), Code::State);
    assert_eq!(device.step(), Ok(ActionKind::Send));
}

#[test]
fn settings_that_contradict_themselves_are_refused_before_anything_is_sent() {
    let ca = MockCa::new();
    let begin = |config: &devid::client::Config| {
        let key = devid::cmp::Signer::Key(crate::certificates::key());
        config.build().and_then(|c| c.enroll(key, &Device::subject())).err().expect("a contradiction").code()
    };
    let mut config = Device::config(&ca);
    config.cmp_anchors = Default::default();
    assert_eq!(begin(&config), Code::InvalidArgument, "nobody to believe");
    let mut config = Device::config(&ca);
    config.enrolment_anchors = Default::default();
    assert_eq!(begin(&config), Code::InvalidArgument, "no root for the certificate");
    let mut config = Device::config(&ca);
    let key = devid::cmp::Signer::Key(crate::certificates::key());
    config.protect_with_certificate(key, ca.signer.certificate.clone(), Vec::new());
    assert_eq!(begin(&config), Code::KeyMismatch);
    // No secret takes the place of an earlier one by being empty.
    let mut config = Device::config(&ca);
    config.protect_with_secret(b"4711", b"secret", crate::mock_ca::LIGHT_MAC).unwrap();
    for empty in [&b""[..], &[0; 16]] {
        let error = config.protect_with_secret(b"4712", empty, crate::mock_ca::LIGHT_MAC).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "an empty secret");
    }
    let kept = config.build().unwrap();
    let kept = &kept.context().credential;
    assert!(matches!(kept, devid::cmp::Credential::Mac { reference, .. } if reference == b"4711"));
    assert_eq!(begin(&devid::client::Config::new()), Code::InvalidArgument, "no credential");
    let mut config = Device::config(&ca);
    config.protect_with_secret(b"4711", b"secret", crate::mock_ca::LIGHT_MAC).unwrap();
    let key = devid::cmp::Signer::Key(crate::certificates::key());
    let error = config.build().unwrap().renew(key).err().unwrap();
    assert_eq!(error.code(), Code::InvalidArgument, "RFC 9483 section 4.1.5: no key update under a secret");
}

/// RFC 9483 section 3.5, note: the signer's status.
#[test]
fn a_revoked_signer_is_refused_where_its_status_is_asked_for() {
    use crate::status::CrlBuilder;
    use devid::validation::{RevocationPolicy, StatusSources};
    let mut ca = MockCa::new();
    let crl = |revokes: bool| {
        let list = CrlBuilder::of(&ca.issuing);
        if revokes { list.revokes(&ca.signer) } else { list }.build()
    };
    let crls =
        |revokes| StatusSources { crls: vec![crl(revokes), CrlBuilder::of(&ca.root).build()], ..Default::default() };
    let mut config = Device::config(&ca);
    config.signer_revocation = RevocationPolicy::hard_fail();

    config.signer_status = crls(false);
    let (good, bad) = (config.clone(), {
        config.signer_status = crls(true);
        config
    });
    Device::enrolling_as(&good).run(&mut ca).expect("not on the list");
    let error = Device::enrolling_as(&bad).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
    assert!(error.message().contains("REVOKED"), "{error}");

    // Lists that are given are looked at, also where nothing was said of revocation.
    for (mut config, is_taken) in [(good, true), (bad, false)] {
        config.signer_revocation = RevocationPolicy::default();
        let outcome = Device::enrolling_as(&config).run(&mut ca);
        assert_eq!(outcome.is_ok(), is_taken);
        if let Err(error) = outcome {
            assert!(error.message().contains("REVOKED"), "{error}");
        }
    }
}

/// Device memory knows that the signer is revoked, and has no list that says so: it is asked where nothing was said of revocation.
#[test]
fn a_signer_that_device_memory_knows_as_revoked_is_refused() {
    use crate::status::CrlBuilder;
    use devid::store::Store;
    use devid::validation::{Checks, RevocationPolicy, StatusSources, validate};
    for is_revoked in [false, true] {
        let mut ca = MockCa::new();
        let store = std::sync::Arc::new(Store::in_memory(crate::certificates::provider().clone()));
        let memory =
            devid::client::status::StatusMemory::new(crate::certificates::provider().clone(), Some(store.clone()));
        let list = CrlBuilder::of(&ca.issuing);
        let list = if is_revoked { list.revokes(&ca.signer) } else { list };
        let mut met = StatusSources { crls: vec![list.build()], ..StatusSources::none() };
        memory.join(&mut met);
        let mut checks = Checks::at(crate::certificates::now());
        checks.revocation = RevocationPolicy::soft_fail();
        let anchors = std::iter::once(ca.root.certificate.clone()).collect();
        let pool = std::slice::from_ref(&ca.issuing.certificate);
        let provider = &**crate::certificates::provider();
        let report = validate(provider, &anchors, &ca.signer.certificate, pool, &met, &checks);
        assert_eq!(report.is_valid(), !is_revoked);
        let mut config = Device::config(&ca);
        config.use_signer_store(&store);
        let outcome = Device::enrolling_as(&config).run(&mut ca);
        assert_eq!(outcome.is_ok(), !is_revoked);
        if let Err(error) = outcome {
            assert!(error.message().contains("REVOKED"), "{error}");
        }
    }
}

/// The status data at hand is asked about what was issued and the CAs above it, whatever is asked of signers; a missing
/// status refuses nothing.
#[test]
fn a_certificate_under_a_revoked_ca_is_not_taken() {
    use crate::status::CrlBuilder;
    use devid::validation::{RevocationPolicy, StatusSources};
    for policy in [RevocationPolicy::off(), RevocationPolicy::soft_fail(), RevocationPolicy::hard_fail()] {
        for revoked in [false, true] {
            let mut ca = MockCa::new();
            // Another one than the signer's issuer, which nobody has anything against.
            let issuing = ca.root.ca("Issuing CA for devices");
            ca.other_issuer = Some(issuing.clone());
            let list = CrlBuilder::of(&ca.root);
            let list = if revoked { list.revokes(&issuing) } else { list };
            let mut config = Device::config(&ca);
            config.intermediates.push(issuing.certificate.clone());
            config.protect_with_secret(b"4711", crate::mock_ca::SECRET, crate::mock_ca::LIGHT_MAC).unwrap();
            config.signer_revocation = policy.clone();
            config.signer_status = StatusSources { crls: vec![list.build()], ..StatusSources::none() };
            let outcome = Device::enrolling_as(&config).run(&mut ca);
            match (revoked, outcome) {
                (false, outcome) => drop(outcome.unwrap_or_else(|e| panic!("{policy:?}: {e}"))),
                (true, outcome) => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.code(), Code::WrongCertificate, "{policy:?}");
                    assert!(error.message().contains("revoked since"), "{error}");
                }
            }
            // Nothing at hand: nothing is asked.
            config.signer_status = StatusSources::none();
            Device::enrolling_as(&config).run(&mut ca).unwrap();
        }
    }
}

/// RFC 9483 section 4.1.3.
#[test]
fn an_expired_certificate_is_not_updated_but_the_way_out_is_told() {
    let ca = MockCa::new();
    let old = Builder::leaf("router-7").valid(date(2020, 1, 1), date(2025, 1, 1)).signed_by(&ca.issuing);
    let mut config = Device::config(&ca);
    config.protect_with_certificate(devid::cmp::Signer::Key(old.key), old.certificate, Vec::new());
    let key = crate::certificates::key();
    let operation = config.build().unwrap().renew(devid::cmp::Signer::Key(key.clone())).unwrap();
    let error = Device::with(operation, key).step().unwrap_err();
    assert_eq!(error.code(), Code::Expired);
    assert!(error.message().contains("enrol anew"), "{error}");
}
