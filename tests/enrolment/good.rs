//! What works.

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::cmp::{ActionKind, MacParameters, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind};

use crate::certificates::{Builder, now};
use crate::mock_ca::{Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, key_of};

#[test]
fn a_device_enrols_with_the_certificate_of_its_supplier() {
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);

    let issued = device.run(&mut ca).expect("issued");

    assert_eq!(ca.bodies(), ["ir", "certConf"]);
    assert_eq!(issued.chain, [ca.issuing.certificate.clone(), ca.root.certificate.clone()]);
    assert!(issued.differences.is_empty(), "{:?}", issued.differences);
    assert_eq!(device.step(), Ok(ActionKind::Done), "done stays done");
}

#[test]
fn a_device_enrols_with_a_reference_value_and_a_secret() {
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_by_secret(&ca);

    device.run(&mut ca).expect("issued");

    assert_eq!(ca.bodies(), ["ir", "certConf"]);
}

#[test]
fn server_that_says_waiting_is_polled_until_it_issues() {
    let mut ca = MockCa::new().answers_waiting(2, 30);
    let mut device = Device::enrolling_with(&ca);

    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    assert_eq!(device.wait_seconds(), 30);
    device.clock = device.clock.plus(29);
    assert_eq!(device.step(), Ok(ActionKind::Wait), "not before the server's time");
    assert_eq!(device.wait_seconds(), 1);

    device.run(&mut ca).expect("issued after two polls");

    assert_eq!(ca.bodies(), ["ir", "pollReq", "pollReq", "pollReq", "certConf"]);
}

/// RFC 9483 section 4.4: any other message is delayed by an error message, and polled for with certReqId -1.
#[test]
fn a_request_and_a_confirmation_delayed_by_error_messages_are_polled_for() {
    let mut ca = MockCa::new().answers_waiting(1, 5);
    ca.wait_by_error = true;
    ca.confirm_waits = 2;
    let mut device = Device::enrolling_by_secret(&ca);

    device.run(&mut ca).expect("issued and confirmed in the end");

    let expected = ["ir", "pollReq", "pollReq", "certConf", "pollReq", "pollReq", "pollReq"];
    assert_eq!(ca.bodies(), expected);
    assert_eq!(device.waits, [5, 5, 5]);
}

#[test]
fn implicit_confirmation_is_followed_where_the_server_grants_it() {
    let mut ca = MockCa::new();
    ca.grant_implicit = true;
    let mut config = Device::config(&ca);
    config.ask_implicit_confirm = true;
    let mut device = Device::enrolling_as(&config);

    let issued = device.run(&mut ca).expect("issued");

    assert!(issued.implicitly_confirmed);
    assert_eq!(ca.bodies(), ["ir"]);
}

#[test]
fn implicit_confirmation_granted_unasked_does_not_spare_certconf() {
    let mut ca = MockCa::new();
    ca.grant_implicit = true;
    let mut device = Device::enrolling_with(&ca);

    let issued = device.run(&mut ca).expect("issued");

    assert!(!issued.implicitly_confirmed);
    assert_eq!(ca.bodies(), ["ir", "certConf"], "RFC 9483 section 4.1.1: granted only where it was asked for");
}

#[test]
fn the_certificate_is_installed_before_it_is_confirmed() {
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);

    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));

    assert_eq!(ca.bodies(), ["ir"], "certConf has not gone out");
    assert!(device.operation.issued().is_some());
    assert_eq!(device.step(), Ok(ActionKind::Accept), "the operation waits for the decision");
}

#[test]
fn grantedwithmods_shows_what_changed_and_the_caller_decides() {
    let changed = || {
        let mut ca = MockCa::new().issuing(|b| b.subject(crate::certificates::common_name("renamed")));
        ca.status = PkiStatusInfo::new(PkiStatus::GrantedWithMods);
        ca
    };
    let mut ca = changed();
    let mut device = Device::enrolling_with(&ca);
    device.takes_differences = true;
    let issued = device.run(&mut ca).expect("accepted as it is");
    assert_eq!(issued.status.status, PkiStatus::GrantedWithMods);
    assert_eq!(issued.differences.len(), 1);
    assert_eq!(issued.differences[0].field, "subject");
    assert_eq!(issued.differences[0].issued, "CN=renamed");

    let mut ca = changed();
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.run(&mut ca).unwrap_err().code(), devid::Code::Refused);
    assert_eq!(ca.bodies(), ["ir", "certConf"], "the CA is told");
}

/// RFC 9810 section 5.2.3: 4 to 6 are warnings that come with a certificate.
#[test]
fn a_warning_comes_with_the_certificate_and_is_shown() {
    let mut ca = MockCa::new();
    ca.status = PkiStatusInfo::new(PkiStatus::KeyUpdateWarning);
    let mut device = Device::enrolling_with(&ca);

    let issued = device.run(&mut ca).expect("issued");

    assert_eq!(issued.status.status, PkiStatus::KeyUpdateWarning);
}

#[test]
fn every_kind_of_key_can_be_certified_and_can_protect() {
    for kind in [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::MlDsa44] {
        let mut ca = MockCa::new();
        let mut idevid = Builder::leaf("IDevID");
        idevid.key = key_of(kind);
        let idevid = idevid.signed_by(&ca.supplier);
        let mut config = Device::config(&ca);
        config.protect_with_certificate(Signer::Key(idevid.key), idevid.certificate, Vec::new());
        let new_key = key_of(kind);
        let signer = Signer::Key(new_key.clone());
        let operation = config.build().unwrap().enroll(signer, &Device::subject()).unwrap();
        Device::with(operation, new_key).run(&mut ca).unwrap_or_else(|e| panic!("{kind}: {e}"));
    }
}

#[test]
fn every_kind_of_signature_on_an_answer_is_verified() {
    for kind in [KeyKind::Rsa(3072), KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::MlDsa65] {
        let mut ca = MockCa::new();
        let mut signer = Builder::leaf("CMP server").purposes(&[devid::asn1::oid::KP_CMC_RA]);
        signer.key = key_of(kind);
        ca.signer = signer.signed_by(&ca.issuing);
        Device::enrolling_with(&ca).run(&mut ca).unwrap_or_else(|e| panic!("{kind}: {e}"));
    }
}

#[test]
fn a_key_update_asks_for_the_same_names_and_names_the_old_certificate() {
    let mut ca = MockCa::new();
    let old = Device::enrolling_with(&ca);
    let (key, mut old) = (old.new_key.clone(), old);
    let old = old.run(&mut ca).expect("the first certificate");
    let mut config = Device::config(&ca);
    config.protect_with_certificate(Signer::Key(key), old.certificate.clone(), vec![ca.issuing.certificate.clone()]);
    let new_key = crate::certificates::key();
    let operation = config.build().unwrap().renew(Signer::Key(new_key.clone())).unwrap();
    let mut device = Device::with(operation, new_key);

    let renewed = device.run(&mut ca).expect("renewed");

    assert_eq!(ca.bodies(), ["ir", "certConf", "kur", "certConf"]);
    assert_eq!(renewed.certificate.subject(), old.certificate.subject());
    let wanted = crate::mock_ca::Wanted::read(&ca.received[2]);
    assert_eq!(wanted.extensions.len(), 1, "subjectAltName");
    let serial = old.certificate.serial();
    assert!(wanted.controls.windows(serial.len()).any(|w| w == serial), "oldCertID names the old serial number");
}

#[test]
fn a_signature_may_answer_a_mac_where_its_signer_is_trusted() {
    // One kind of protection for the whole transaction (RFC 9483 section 3.2).
    let bend = |mut ca: MockCa| {
        let signer = ca.signer.clone();
        ca.bend = Some(Box::new(move |answer| {
            answer.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            answer.signer = Some(signer.clone());
        }));
        ca
    };
    let mut ca = bend(MockCa::new());
    Device::enrolling_by_secret(&ca).run(&mut ca).expect("the signer is trusted");

    let mut ca = bend(MockCa::new());
    let mut config = Device::config(&ca);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    config.tolerance = devid::cmp::Tolerance::strict_rfc9483();
    let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
    assert!(error.message().contains("wrongIntegrity"), "{error}");

    let mut ca = bend(MockCa::new());
    let mut config = Device::config(&ca);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    config.cmp_anchors = Default::default();
    assert!(Device::enrolling_as(&config).run(&mut ca).is_err(), "nobody said whom to trust");
}

#[test]
fn answers_with_unordered_doubled_and_unreadable_certificates_are_taken() {
    let ca = MockCa::new();
    let (issuing, stranger) = (ca.issuing.certificate.clone(), Builder::leaf("stranger").self_signed().certificate);
    let mut ca = ca.bending(BodyType::IP, move |answer| {
        let signer = answer.extra_certs.remove(0);
        answer.extra_certs = vec![stranger.clone(), issuing.clone(), issuing.clone(), signer.clone(), signer];
    });

    Device::enrolling_with(&ca).run(&mut ca).expect("issued");
}

/// The certificates in pkiConf may be left out: the signer is remembered (a server in the field does so).
#[test]
fn a_pkiconf_without_certificates_and_senderkid_is_verified_with_the_signer_known_from_before() {
    let mut ca = MockCa::new().bending(BodyType::PKICONF, |answer| {
        answer.extra_certs.clear();
        answer.header.sender_kid = None;
    });

    Device::enrolling_with(&ca).run(&mut ca).expect("confirmed");
}

/// RFC 9483 section 3.1: recipient and unknown generalInfo are handled gracefully; names may be empty.
#[test]
fn odd_recipients_unknown_information_and_empty_names_are_taken() {
    let mut ca = MockCa::new().bending(BodyType::IP, |answer| {
        answer.header.recipient = Some(crate::certificates::common_name("somebody else"));
        answer.header.sender = Some(vec![0x30, 0x00]);
        answer.header.general_info.push(devid::asn1::cmp::InfoTypeAndValue {
            info_type: devid::asn1::oid::Oid::new_unwrap("1.2.3.4.5"),
            value: vec![0x04, 0x01, 0x2a],
        });
        answer.header.pvno = 3;
    });

    Device::enrolling_with(&ca).run(&mut ca).expect("issued");
}

#[test]
fn macs_of_every_strength_are_made_and_pbmac1_too() {
    use DigestAlgorithm::{Sha256, Sha512};
    let ca = MockCa::new();
    for parameters in
        [MacParameters::Pbmac1 { prf: Sha256, mac: Sha512, iterations: 100 }, MacParameters::PASSWORD_BASED]
    {
        let mut config = Device::config(&ca);
        config.protect_with_secret(REFERENCE, SECRET, parameters).unwrap();
        let mut device = Device::enrolling_as(&config);
        assert_eq!(device.step(), Ok(ActionKind::Send), "{parameters:?}");
    }
    // RFC 9045 section 4.3: at least 100; and no more than is taken from others.
    let most = devid::limits::Limits::default().max_mac_iterations;
    for (iterations, is_taken) in [(99, false), (0, false), (100, true), (most, true), (most + 1, false)] {
        for parameters in [
            MacParameters::Pbmac1 { prf: Sha256, mac: Sha256, iterations },
            MacParameters::PasswordBased { owf: Sha256, mac: Sha256, iterations },
        ] {
            let mut config = Device::config(&ca);
            config.protect_with_secret(REFERENCE, SECRET, parameters).unwrap();
            let client = config.build().unwrap();
            let key = Signer::Key(crate::certificates::key());
            let refused = client.enroll(key, &Device::subject()).err().map(|error| error.code());
            assert_eq!(refused, (!is_taken).then_some(devid::Code::MacParameters), "{parameters:?}");
        }
    }
}

#[test]
fn the_time_to_confirm_is_shown_to_the_caller() {
    let mut ca = MockCa::new().bending(BodyType::IP, |answer| {
        let value = devid::asn1::der::element(0x18, &[b"20260101123000Z"]);
        let info_type = devid::asn1::oid::IT_CONFIRM_WAIT_TIME;
        answer.header.general_info.push(devid::asn1::cmp::InfoTypeAndValue { info_type, value });
    });
    let mut device = Device::enrolling_with(&ca);

    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));

    assert_eq!(device.operation.issued().unwrap().confirm_before, Some(now().plus(1800)));
}

#[test]
fn the_reason_for_waiting_is_shown() {
    use devid::asn1::der::{element, encode, sequence};
    let reason = sequence(&[&element(0x0c, &[b"an operator must look at it"])]);
    let content = sequence(&[&sequence(&[&encode(&0i64), &encode(&60i64), &reason])]);
    let mut ca = MockCa::new().answers_waiting(1, 60).bending(BodyType::POLLREP, move |a| a.content = content.clone());
    let mut device = Device::enrolling_with(&ca);

    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));

    assert_eq!(device.wait_reason(), ["an operator must look at it"]);
}
