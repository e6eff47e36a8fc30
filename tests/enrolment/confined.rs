//! CAs of another purpose, and answers that somebody on the way has called forth.

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::asn1::oid::{self, Oid};
use devid::cmp::{ActionKind, SignerAuthorisation, Tolerance};
use devid::validation::KeyUsage;

use crate::certificates::{Builder, Party, name};
use crate::mock_ca::{Device, MockCa};

/// The answer's signer is certified by another CA under the root, with these purposes.
fn answered_by(purposes: Option<&[Oid]>, signer: impl Fn(Builder) -> Builder) -> MockCa {
    let mut ca = MockCa::new();
    let other = match purposes {
        Some(purposes) => Builder::ca("TLS CA").purposes(purposes),
        None => Builder::ca("TLS CA"),
    };
    let other = other.signed_by(&ca.root);
    ca.signer = signer(Builder::leaf("CMP server").key_usage(&[KeyUsage::DigitalSignature])).signed_by(&other);
    ca.bend = Some(Box::new(move |answer| answer.extra_certs.push(other.certificate.clone())));
    ca
}

#[test]
fn a_ca_for_other_purposes_appoints_nobody_to_answer() {
    let tls = [oid::KP_SERVER_AUTH, oid::KP_CLIENT_AUTH];
    let ra = |builder: Builder| builder.purposes(&[oid::KP_CMC_RA]);
    for tolerance in [Tolerance::default(), Tolerance::strict_rfc9483()] {
        let run = |purposes: Option<&[Oid]>, authorisation: SignerAuthorisation| {
            let mut ca = answered_by(purposes, ra);
            let mut config = Device::config(&ca);
            config.tolerance = tolerance.clone();
            config.tolerance.unauthorised_bearer = false;
            config.authorisation = authorisation;
            Device::enrolling_as(&config).run(&mut ca).map(|_| ()).map_err(|e| e.code())
        };
        let refused = Err(Code::ProtectionInvalid);
        for said in [SignerAuthorisation::default(), SignerAuthorisation::by_purpose()] {
            assert_eq!(run(Some(&tls), said.clone()), refused);
            assert_eq!(run(None, said.clone()), Ok(()));
            assert_eq!(run(Some(&[oid::KP_SERVER_AUTH, oid::KP_CMC_RA]), said.clone()), Ok(()));
            assert_eq!(run(Some(&[oid::ANY_EXTENDED_KEY_USAGE]), said), Ok(()));
        }
        // A name can be given by any CA, by one of another purpose too.
        let named = devid::asn1::name::Name::common_name("CMP server");
        assert_eq!(run(Some(&tls), SignerAuthorisation::named(named.clone())), refused);
        assert_eq!(run(None, SignerAuthorisation::named(named)), Ok(()));
    }
}

#[test]
fn a_ca_for_other_purposes_does_not_answer_itself() {
    for (purposes, expected) in [
        (Some(vec![oid::KP_SERVER_AUTH]), Err(Code::ProtectionInvalid)),
        (None, Ok(())),
        (Some(vec![oid::KP_CMC_CA]), Ok(())),
    ] {
        let mut ca = MockCa::new();
        let builder = Builder::ca("TLS CA").key_usage(&[KeyUsage::KeyCertSign, KeyUsage::DigitalSignature]);
        let builder = match purposes {
            Some(purposes) => builder.purposes(&purposes),
            None => builder,
        };
        ca.signer = builder.signed_by(&ca.root);
        let mut config = Device::config(&ca);
        config.tolerance.unauthorised_bearer = false;
        assert_eq!(Device::enrolling_as(&config).run(&mut ca).map(|_| ()).map_err(|e| e.code()), expected);
    }
}

/// A bit of pollReq that somebody changes on the way makes the CA say so, genuinely: the enrolment waits on.
#[test]
fn an_error_about_a_poll_that_was_changed_on_the_way_ends_nothing() {
    const BAD_MESSAGE_CHECK: u32 = 1 << 1;
    const NOT_AUTHORIZED: u32 = 1 << 23;
    let error = |bit: u32| {
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.fail_info = Some(bit);
        sequence(&[&status.to_der()])
    };
    let polling = |bit: u32, times: u32| {
        let mut left = times;
        let mut ca = MockCa::new().answers_waiting(times + 1, 1).bending(BodyType::POLLREP, move |answer| {
            if left > 0 {
                left -= 1;
                (answer.body_type, answer.content) = (BodyType::ERROR, error(bit));
            }
        });
        let mut device = Device::enrolling_with(&ca);
        let outcome = device.run(&mut ca).map(|_| ()).map_err(|e| e.code());
        (outcome, device.waits)
    };
    let (outcome, waits) = polling(BAD_MESSAGE_CHECK, 4);
    assert_eq!(outcome, Ok(()));
    assert_eq!(waits[..4], [60, 120, 240, 480], "longer each time");
    // A server that says so for a day has lost the transaction.
    assert_eq!(polling(BAD_MESSAGE_CHECK, 60).0, Err(Code::Rejected));
    assert_eq!(polling(NOT_AUTHORIZED, 1).0, Err(Code::Rejected), "the CA's decision is one");

    // In answer to the request itself it is told: nobody waits for anything yet.
    let mut ca = MockCa::new().bending(BodyType::IP, move |answer| {
        (answer.body_type, answer.content) = (BodyType::ERROR, error(BAD_MESSAGE_CHECK));
    });
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Rejected);
}

/// A genuine answer in between proves that the transaction is not lost: however many answers were junk before, one poll that is
/// changed on the way ends nothing.
#[test]
fn junk_while_polling_takes_nothing_from_the_approval() {
    let mut polls = 0;
    let mut ca = MockCa::new().answers_waiting(90, 1).bending(BodyType::POLLREP, move |answer| {
        polls += 1;
        match polls {
            // Each other answer, beyond the count that an error about polls has in a row.
            1..=80 if polls % 2 == 0 => answer.header.transaction_id = Some(vec![7; 16]),
            82 => {
                let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
                status.fail_info = Some(1 << 1);
                (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
            }
            _ => {}
        }
    });
    let mut config = Device::config(&ca);
    config.limits.max_total_seconds = 400 * 86_400;
    assert_eq!(Device::enrolling_as(&config).run(&mut ca).map(|_| ()).map_err(|error| error.code()), Ok(()));
}

/// What was in vain before the certificate came is over with it: however many answers to polls were junk, a certConf that is changed
/// on the way is made anew, as often as ever.
#[test]
fn junk_while_polling_takes_nothing_from_the_confirmation() {
    const BAD_MESSAGE_CHECK: u32 = 1 << 1;
    for (junk, changed, expected) in [
        (0, 1, Ok(())),
        (8, 1, Ok(())),
        (20, 8, Ok(())),
        (0, 9, Err(Code::Unconfirmed)),
        (8, 9, Err(Code::Unconfirmed)),
    ] {
        let (mut junk_left, mut changed_left) = (junk, changed);
        let mut ca = MockCa::new().answers_waiting(junk + 1, 1);
        ca.bend = Some(Box::new(move |answer| match answer.body_type {
            BodyType::POLLREP if junk_left > 0 => {
                junk_left -= 1;
                answer.header.transaction_id = Some(vec![7; 16]);
            }
            BodyType::PKICONF if changed_left > 0 => {
                changed_left -= 1;
                let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
                status.fail_info = Some(BAD_MESSAGE_CHECK);
                (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
            }
            _ => {}
        }));
        let outcome = Device::enrolling_with(&ca).run(&mut ca).map(|_| ()).map_err(|error| error.code());
        assert_eq!(outcome, expected, "{junk} junk, {changed} changed");
    }
}

/// Names of certificates that came along are prepared within a budget, whatever their letters become.
#[test]
fn long_names_of_strangers_end_with_their_budget() {
    // One letter that becomes eighteen.
    let long = |n: usize| name(&[(oid::AT_COMMON_NAME, 0x0c, format!("{}{n}", "\u{fdfa}".repeat(2000)).as_bytes())]);
    let strangers: Vec<Party> =
        (0..40).map(|n| Builder::ca("X").subject(long(n)).sign(&long(n + 1), &crate::certificates::key())).collect();
    let mut ca = MockCa::new();
    ca.bend = Some(Box::new(move |answer| answer.extra_certs.extend(strangers.iter().map(|p| p.certificate.clone()))));
    Device::enrolling_with(&ca).run(&mut ca).expect("the genuine path is found beside them");
    assert!(matches!(Device::enrolling_with(&ca).step(), Ok(ActionKind::Send)));
}

/// Any CA below the root can certify another under the name of the one that has issued the device's certificate.
#[test]
fn a_ca_by_name_alone_does_not_speak_for_the_ca_of_that_name() {
    use devid::asn1::crl::CrlReason;
    use devid::cmp::Signer;
    let usage = [KeyUsage::KeyCertSign, KeyUsage::CrlSign, KeyUsage::DigitalSignature];
    let named = |above: &Party| Builder::ca("Issuing CA").key_usage(&usage).signed_by(above);
    for tolerance in [Tolerance::default(), Tolerance::strict_rfc9483()] {
        let run = |pick: &dyn Fn(&MockCa, &Party) -> Party, revoke: bool, has_chain: bool| {
            let mut ca = MockCa::new();
            ca.issuing = named(&ca.root);
            let partner = ca.root.ca("Partner");
            let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
            ca.signer = pick(&ca, &partner);
            let certificate = partner.certificate.clone();
            ca.bend = Some(Box::new(move |answer| answer.extra_certs.push(certificate.clone())));
            let mut config = Device::config(&ca);
            config.tolerance = tolerance.clone();
            config.tolerance.unauthorised_bearer = false;
            let chain = if has_chain { vec![ca.issuing.certificate.clone()] } else { Vec::new() };
            config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), chain);
            let client = config.build().unwrap();
            if revoke {
                let operation = client.revoke(&own.certificate, CrlReason::Superseded).unwrap();
                return Device::doing(operation).complete(&mut ca).map_err(|e| e.code());
            }
            let key = crate::certificates::key();
            let operation = client.renew(Signer::Key(key.clone())).unwrap();
            Device::with(operation, key).run(&mut ca).map(|_| ()).map_err(|e| e.code())
        };
        for revoke in [false, true] {
            let refused = Err(Code::ProtectionInvalid);
            for has_chain in [true, false] {
                assert_eq!(run(&|ca, _| ca.issuing.clone(), revoke, has_chain), Ok(()), "the CA itself");
                assert_eq!(run(&|_, partner| named(partner), revoke, has_chain), refused, "by a partner");
                assert_eq!(run(&|_, partner| partner.clone(), revoke, has_chain), refused, "the partner");
            }
            assert_eq!(
                run(&|ca, _| named(&ca.root), revoke, true),
                Ok(()),
                "with a new key, certified as the old one was"
            );
            assert_eq!(run(&|ca, _| named(&ca.root), revoke, false), refused, "who certified the old one is not known");
        }
    }
}
