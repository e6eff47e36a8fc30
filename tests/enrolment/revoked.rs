//! Revocation: a device gives up one of its certificates (RFC 9483 section 4.2).

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::{element, sequence};
use devid::client::Client;
use devid::cmp::{ActionKind, Signer};
use devid::validation::KeyUsage;
use devid::{Code, Error};

use crate::certificates::{Builder, Party, common_name, date};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, content_of, strip_protection};

/// A certificate of this CA that is in use, and a client whose credential it is.
fn in_use(ca: &MockCa) -> (Party, Client) {
    let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    let mut config = Device::config(ca);
    config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), Vec::new());
    (own, config.build().unwrap())
}

/// Asks for a revocation and says how that fails.
fn refused(ca: &mut MockCa) -> Error {
    let (own, client) = in_use(ca);
    let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Superseded).unwrap());
    let error = device.complete(ca).expect_err("this answer must not be taken");
    assert!(device.operation.revoked().is_none());
    assert_eq!(device.step().unwrap_err().code(), error.code(), "a failure is for good");
    error
}

fn status(number: i64) -> Vec<u8> {
    PkiStatusInfo::new(PkiStatus::from_number(number)).to_der()
}

/// RevRepContent with these statuses, and revCerts that name one certificate.
fn rev_rep(statuses: &[&[u8]], about: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let about = about.map_or_else(Vec::new, |(issuer, serial)| {
        let id = sequence(&[&element(0xa4, &[issuer]), &element(0x02, &[serial])]);
        element(0xa0, &[&sequence(&[&id])])
    });
    sequence(&[&sequence(statuses), &about])
}

#[test]
fn a_device_revokes_its_certificate_with_that_certificates_own_key() {
    let mut ca = MockCa::new();
    let (own, client) = in_use(&ca);
    let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::KeyCompromise).unwrap());

    device.complete(&mut ca).expect("revoked");

    assert_eq!(device.operation.revoked().unwrap().status.status, PkiStatus::Accepted);
    assert_eq!(ca.bodies(), ["rr"], "no confirmation follows");
    // One RevDetails: serialNumber [1], issuer [3], the extension reasonCode with ENUMERATED 1.
    let template =
        sequence(&[&element(0x81, &[own.certificate.serial()]), &element(0xa3, &[own.certificate.issuer()])]);
    let reason = sequence(&[&sequence(&[&[0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, 0x01]])]);
    assert_eq!(content_of(&ca.received[0]), sequence(&[&sequence(&[&template, &reason])]));
    assert!(ca.received[0].header().general_info.is_empty());
}

#[test]
fn a_certificate_is_put_on_hold_and_taken_off_again() {
    for (reason, number) in [(CrlReason::CertificateHold, 6), (CrlReason::RemoveFromCrl, 8)] {
        let mut ca = MockCa::new();
        let (own, client) = in_use(&ca);
        let mut device = Device::doing(client.revoke(&own.certificate, reason).unwrap());
        device.complete(&mut ca).expect("revoked");
        assert_eq!(content_of(&ca.received[0]).last(), Some(&number));
    }
}

#[test]
fn a_refused_revocation_brings_the_servers_status_failure_bits_and_words() {
    let mut ca = MockCa::new();
    ca.status = PkiStatusInfo {
        fail_info: Some(1 << 10),
        texts: vec!["revoked since Monday".to_owned()],
        ..PkiStatusInfo::new(PkiStatus::Rejection)
    };

    let error = refused(&mut ca);

    assert_eq!(error.code(), Code::Rejected);
    assert_eq!(error.facts().fail_info, Some(1 << 10), "certRevoked");
    assert_eq!(error.facts().server_texts, ["revoked since Monday"]);
    assert!(error.facts().server_authenticated && error.message().contains("certRevoked"), "{error}");
}

#[test]
fn an_answer_to_a_revocation_with_no_status_or_several_is_refused() {
    for statuses in [vec![], vec![status(0), status(0)], vec![status(0), status(2)]] {
        let mut ca = MockCa::new();
        let all: Vec<&[u8]> = statuses.iter().map(Vec::as_slice).collect();
        ca.rev_rep = Some(rev_rep(&all, None));
        assert_eq!(refused(&mut ca).code(), Code::Protocol);
    }
}

#[test]
fn statuses_that_are_no_yes_are_no_revocation() {
    for (number, code) in [(2, Code::Rejected), (3, Code::Protocol), (6, Code::Rejected), (77, Code::Rejected)] {
        let mut ca = MockCa::new();
        ca.rev_rep = Some(rev_rep(&[&status(number)], None));
        assert_eq!(refused(&mut ca).code(), code, "status {number}");
    }
}

#[test]
fn an_answer_about_another_certificate_is_no_revocation() {
    let mut ca = MockCa::new();
    let (own, client) = in_use(&ca);
    let (issuer, serial) = (own.certificate.issuer(), own.certificate.serial());
    let stranger = common_name("Another CA");
    for (about, is_ours) in [((issuer, serial), true), ((issuer, &[1][..]), false), ((&stranger[..], serial), false)] {
        ca.rev_rep = Some(rev_rep(&[&status(0)], Some(about)));
        let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Unspecified).unwrap());
        let result = device.complete(&mut ca).map_err(|e| e.code());
        assert_eq!(result, if is_ours { Ok(()) } else { Err(Code::Protocol) });
    }
}

#[test]
fn the_answer_to_a_revocation_is_checked_like_any_other() {
    fn bent(bend: impl FnMut(&mut Answer) + 'static) -> Code {
        refused(&mut MockCa::new().bending(BodyType::RP, bend)).code()
    }
    assert_eq!(bent(|a| a.header.recip_nonce = Some(vec![9; 16])), Code::Nonce);
    assert_eq!(bent(|a| a.header.transaction_id = Some(vec![7; 16])), Code::TransactionId);
    assert_eq!(bent(|a| a.signer.as_mut().unwrap().key = crate::certificates::key()), Code::ProtectionInvalid);
    assert_eq!(bent(|a| a.body_type = BodyType::GENP), Code::UnexpectedBody);
    let mut ca = MockCa::new();
    ca.break_ = Some(Box::new(|der| strip_protection(&der)));
    assert_eq!(refused(&mut ca).code(), Code::Unprotected);
}

#[test]
fn a_revocation_that_takes_days_is_polled_for_and_survives_reboots() {
    let mut ca = MockCa::new().answers_waiting(2, 86_400);
    let (own, client) = in_use(&ca);
    let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Superseded).unwrap());
    loop {
        let action = device.step().expect("no failure");
        if action == ActionKind::Done {
            break;
        }
        let saved = device.operation.save().expect("a state that can be saved");
        assert_eq!(devid::cmp::Operation::saved_key(&saved).unwrap_err().code(), Code::State);
        let with_key = client.restore(Signer::Key(crate::certificates::key()), &saved);
        assert_eq!(with_key.err().unwrap().code(), Code::KeyMismatch);
        device.operation = client.restore_keyless(&saved).expect("restored");
        assert_eq!(device.step(), Ok(action));
        match action {
            ActionKind::Send => device.exchange(&mut ca),
            ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ca.bodies(), ["rr", "pollReq", "pollReq", "pollReq"]);
    assert!(content_of(&ca.received[1]).ends_with(&[0x02, 0x01, 0xff]), "polled for the whole message");
    assert!(device.operation.revoked().is_some());
}

#[test]
fn a_revocation_under_a_secret_or_of_an_expired_certificate_is_not_asked_for() {
    let ca = MockCa::new();
    let (own, client) = in_use(&ca);
    let mut config = Device::config(&ca);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC);
    let by_secret = config.build().unwrap().revoke(&own.certificate, CrlReason::Unspecified);
    assert_eq!(by_secret.err().unwrap().code(), Code::InvalidArgument);
    assert!(client.revoke(&own.certificate, CrlReason::Other(7)).is_err());

    let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Unspecified).unwrap());
    device.clock = date(2040, 1, 1);
    assert_eq!(device.step().unwrap_err().code(), Code::Expired);
}
