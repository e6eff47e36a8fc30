//! Revocation: a device gives up one of its certificates (RFC 9483 section 4.2).

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::{element, sequence};
use devid::client::Client;
use devid::cmp::{ActionKind, RevocationRequest, Signer};
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
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    let by_secret = config.build().unwrap().revoke(&own.certificate, CrlReason::Unspecified);
    assert_eq!(by_secret.err().unwrap().code(), Code::InvalidArgument);
    assert!(client.revoke(&own.certificate, CrlReason::Other(7)).is_err());

    let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Unspecified).unwrap());
    device.clock = date(2040, 1, 1);
    assert_eq!(device.step().unwrap_err().code(), Code::Expired);
}

/// Three certificates of this CA, to be revoked by who holds the first.
fn three(ca: &MockCa) -> (Vec<Party>, Client) {
    let (own, client) = in_use(ca);
    (vec![own, ca.issuing.leaf("router-8"), ca.issuing.leaf("router-9")], client)
}

fn requests(parties: &[Party]) -> Vec<RevocationRequest> {
    parties.iter().map(|party| RevocationRequest::new(&party.certificate, CrlReason::Superseded)).collect()
}

/// Each certificate gets the status in its place, whatever the others get; for every pattern of answers.
#[test]
fn several_certificates_are_revoked_by_one_message_and_each_has_an_outcome_of_its_own() {
    for pattern in 0..8u32 {
        let mut ca = MockCa::new();
        let (parties, client) = three(&ca);
        let refused = |at: usize| pattern >> at & 1 == 1;
        let statuses: Vec<Vec<u8>> = (0..3)
            .map(|at| {
                let mut status =
                    PkiStatusInfo::new(if refused(at) { PkiStatus::Rejection } else { PkiStatus::Accepted });
                status.texts.push(format!("words about {at}"));
                status.to_der()
            })
            .collect();
        ca.rev_rep = Some(rev_rep(&statuses.iter().map(Vec::as_slice).collect::<Vec<_>>(), None));
        let mut device = Device::doing(client.revoke_several(requests(&parties)).unwrap());

        device.complete(&mut ca).expect("answered");

        let found = device.operation.revocations().unwrap();
        assert_eq!(found.outcomes.len(), 3);
        for (at, outcome) in found.outcomes.iter().enumerate() {
            match outcome {
                Ok(status) => {
                    assert!(!refused(at) && status.texts == [format!("words about {at}")], "{pattern} {at}: {status:?}")
                }
                Err(error) => {
                    assert!(refused(at) && error.code() == Code::Rejected, "{pattern} {at}: {error}");
                    assert_eq!(error.facts().server_texts, [format!("words about {at}")]);
                    let serial = devid::asn1::x509::serial_text(parties[at].certificate.serial());
                    assert!(error.message().contains(&serial), "{error}");
                }
            }
        }
        // One RevDetails for each, in their order.
        let one = |party: &Party| {
            let template = sequence(&[
                &element(0x81, &[party.certificate.serial()]),
                &element(0xa3, &[party.certificate.issuer()]),
            ]);
            let reason = sequence(&[&sequence(&[&[0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, 0x04]])]);
            sequence(&[&template, &reason])
        };
        assert_eq!(content_of(&ca.received[0]), sequence(&[&parties.iter().flat_map(one).collect::<Vec<_>>()]));
        assert_eq!(ca.bodies(), ["rr"]);
    }
}

#[test]
fn an_answer_that_does_not_say_what_became_of_each_is_refused_in_plain_words() {
    for count in [0, 1, 2, 4] {
        let mut ca = MockCa::new();
        let (parties, client) = three(&ca);
        let yes = status(0);
        ca.rev_rep = Some(rev_rep(&vec![&yes[..]; count], None));
        let mut device = Device::doing(client.revoke_several(requests(&parties)).unwrap());
        let error = device.complete(&mut ca).unwrap_err();
        let words = format!("{count} statuses in the answer to a request for the revocation of 3 certificates");
        assert!(error.code() == Code::Protocol && error.message().contains(&words), "{error}");
        assert!(device.operation.revocations().is_none());
    }
}

/// revCerts names those that were asked for, in their order, or some of them; never others, and never all of them in another order.
#[test]
fn certificates_that_an_answer_names_are_those_that_were_asked_for_in_their_order() {
    let cases: [(&[usize], bool); 7] = [
        (&[0, 1, 2], true),
        (&[], true),
        (&[1], true),
        (&[0, 2], true),
        (&[0, 2, 1], false),
        (&[2, 1, 0], false),
        (&[0, 1, 3], false),
    ];
    for (named, is_taken) in cases {
        let mut ca = MockCa::new();
        let (mut parties, client) = three(&ca);
        parties.push(ca.issuing.leaf("a stranger"));
        let ids: Vec<u8> = named
            .iter()
            .flat_map(|at| {
                let certificate = &parties[*at].certificate;
                sequence(&[&element(0xa4, &[certificate.issuer()]), &element(0x02, &[certificate.serial()])])
            })
            .collect();
        let about = if named.is_empty() { Vec::new() } else { element(0xa0, &[&sequence(&[&ids])]) };
        let yes = status(0);
        ca.rev_rep = Some(sequence(&[&sequence(&[&yes, &yes, &yes]), &about]));
        let mut device = Device::doing(client.revoke_several(requests(&parties[..3])).unwrap());
        let result = device.complete(&mut ca).map_err(|error| error.code());
        assert_eq!(result, if is_taken { Ok(()) } else { Err(Code::Protocol) }, "{named:?}");
    }
}

#[test]
fn none_too_many_or_one_twice_are_not_asked_to_be_revoked() {
    let ca = MockCa::new();
    let (parties, client) = three(&ca);
    let refused = |requests: Vec<RevocationRequest>| {
        let error = client.revoke_several(requests).err().expect("refused");
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        error.message().to_owned()
    };
    assert!(refused(Vec::new()).contains("0 certificates"));
    assert!(refused(requests(&vec![parties[0].clone(); 65])).contains("max_certificates"));
    let mut twice = requests(&parties);
    twice.push(RevocationRequest::new(&parties[1].certificate, CrlReason::KeyCompromise));
    assert!(refused(twice).contains("twice"));
    let mut by_passphrase = requests(&parties);
    by_passphrase[2].by_passphrase = true;
    refused(by_passphrase);
    let mut odd = requests(&parties);
    odd[1].reason = CrlReason::Other(7);
    refused(odd);
}

#[test]
fn several_revocations_that_take_days_survive_reboots() {
    let mut ca = MockCa::new().answers_waiting(1, 86_400);
    let (parties, client) = three(&ca);
    let (yes, no) = (status(0), status(2));
    ca.rev_rep = Some(rev_rep(&[&yes, &no, &yes], None));
    let mut device = Device::doing(client.revoke_several(requests(&parties)).unwrap());
    while device.step().expect("no failure") != ActionKind::Done {
        let saved = device.operation.save().expect("a state that can be saved");
        assert_eq!(devid::cmp::SavedOperation::read(&saved).unwrap().request, BodyType::RR);
        device.operation = client.restore_keyless(&saved).expect("restored");
        match device.step().unwrap() {
            ActionKind::Send => device.exchange(&mut ca),
            ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            other => panic!("{other:?}"),
        }
    }
    let outcomes = &device.operation.revocations().unwrap().outcomes;
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

/// A CA certificate that may sign messages.
fn ca_of(name: &str, issuer: &Party) -> Party {
    Builder::ca(name).key_usage(&[KeyUsage::DigitalSignature, KeyUsage::KeyCertSign]).signed_by(issuer)
}

/// A manager under another CA of the operator has certificates of "Device CA" revoked; who is called so answers that it is done. The
/// name makes nobody the issuer: its key does, or the CA's certificate that the manager has.
#[test]
fn only_who_has_issued_a_certificate_confirms_that_it_is_revoked() {
    let base = MockCa::new();
    let genuine = ca_of("Device CA", &base.root);
    let new_key = ca_of("Device CA", &base.root);
    let partner = ca_of("Partner CA", &base.root);
    let partners = ca_of("Device CA", &partner);
    let devices = [genuine.leaf("router-7"), genuine.leaf("router-8")];
    let by_serial = |party: &Party| {
        let (issuer, serial) = (party.certificate.issuer().to_vec(), party.certificate.serial().to_vec());
        RevocationRequest::of_serial(issuer, serial, CrlReason::KeyCompromise)
    };
    let of_certificate = |party: &Party| RevocationRequest::new(&party.certificate, CrlReason::KeyCompromise);
    // Who answers; whether that counts where the certificates are at hand, where the issuer is, both, and neither.
    let answers = [
        (&genuine, [true, true, true, false]),
        (&new_key, [false, true, true, false]),
        (&partners, [false; 4]),
        (&partner, [false; 4]),
    ];
    for (signer, expected) in answers {
        for (way, expected) in expected.into_iter().enumerate() {
            for count in 1..=2 {
                let (has_certificates, knows_issuer) = (way == 0 || way == 2, way == 1 || way == 2);
                let helper = partner.certificate.clone();
                let mut ca = MockCa::new().bending(BodyType::RP, move |answer| answer.extra_certs.push(helper.clone()));
                (ca.root, ca.issuing) = (base.root.clone(), base.issuing.clone());
                ca.signer = signer.clone();
                let manager = Builder::leaf("manager").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
                let mut config = Device::config(&ca);
                let chain = vec![ca.issuing.certificate.clone()];
                config.protect_with_certificate(Signer::Key(manager.key.clone()), manager.certificate.clone(), chain);
                if knows_issuer {
                    config.intermediates.push(genuine.certificate.clone());
                }
                let yes = status(0);
                ca.rev_rep = Some(rev_rep(&vec![&yes[..]; count], None));
                let asked: Vec<RevocationRequest> = devices[..count]
                    .iter()
                    .map(|party| if has_certificates { of_certificate(party) } else { by_serial(party) })
                    .collect();
                let client = config.build().unwrap();
                let mut device = Device::doing(client.revoke_several(asked).unwrap());
                // What is known about the issuer outlives a restart.
                assert_eq!(device.step(), Ok(ActionKind::Send));
                let saved = device.operation.save().unwrap();
                device.operation = client.restore_keyless(&saved).unwrap();
                let done = device.complete(&mut ca);
                let who = signer.certificate.to_string();
                assert_eq!(done.is_ok(), expected, "{who}, way {way}, {count}: {:?}", done.err());
                if let Err(error) = done {
                    assert!(
                        error.message().contains("not authorised") && error.message().contains("add_intermediates"),
                        "{error}"
                    );
                }
            }
        }
    }
}
