//! A certificate for a PKCS #10 request (RFC 9483 section 4.1.4).

use std::sync::Arc;

use devid::asn1::cmp::PkiStatus;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::assemble_signed;
use devid::cmp::ActionKind;
use devid::crypto::PrivateKey;
use devid::crypto::algorithm::encode_oid;
use devid::{Code, Error};

use crate::certificates::{common_name, dns, extension, key, list};
use crate::mock_ca::{Device, MockCa, content_of};

/// A PKCS #10 request for `router-7` with an alternative name, signed by `signer`.
fn csr(version: u8, key: &Arc<dyn PrivateKey>, signer: &Arc<dyn PrivateKey>) -> Vec<u8> {
    let names = extension(oid::CE_SUBJECT_ALT_NAME, false, &list([dns("router-7.example")]));
    let values = element(0x31, &[&sequence(&[&names])]);
    let attribute = sequence(&[&encode_oid(oid::EXTENSION_REQUEST), &values]);
    let info = sequence(&[&[0x02, 0x01, version], &common_name("router-7"), key.spki(), &element(0xa0, &[&attribute])]);
    let algorithm = signer.kind().default_signature();
    assemble_signed(&info, &algorithm.to_der(), &signer.sign(&algorithm, &info).unwrap())
}

fn enrolling(ca: &MockCa, csr: &[u8]) -> Result<Device, Error> {
    Device::config(ca).build().unwrap().enroll_pkcs10(csr).map(Device::doing)
}

#[test]
fn a_pkcs10_request_becomes_a_certificate_whatever_number_the_server_gives_it() {
    // RFC 9483 section 4.1.4 says -1; servers that say 0 exist. What they say is repeated to them.
    for id in [-1, 0] {
        let mut ca = MockCa::new().answers_waiting(1, 60);
        ca.cert_req_id = id;
        let (new_key, new_csr) = {
            let k = key();
            let c = csr(0, &k, &k);
            (k, c)
        };
        let mut device = enrolling(&ca, &new_csr).unwrap();

        let issued = device.run(&mut ca).expect("issued");

        assert!(issued.differences.is_empty());
        let own = crate::certificates::Builder::leaf("x").key(&new_key).self_signed();
        assert_eq!(own.certificate.subject_key_identifier(), issued.certificate.subject_key_identifier());
        assert_eq!(ca.bodies(), ["p10cr", "pollReq", "pollReq", "certConf"]);
        assert_eq!(content_of(&ca.received[0]), new_csr, "sent as it is");
        let number = [0x02, 0x01, id as u8];
        assert!(content_of(&ca.received[1]).ends_with(&number), "polled for under the server's number");
        assert!(content_of(&ca.received[3]).ends_with(&number), "confirmed under the server's number");
    }
}

#[test]
fn a_number_of_minus_one_answers_pkcs10_requests_only() {
    let mut ca = MockCa::new();
    ca.cert_req_id = -1;
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Protocol);
    ca.cert_req_id = 1;
    let key = key();
    let error = enrolling(&ca, &csr(0, &key, &key)).unwrap().run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Protocol);
}

#[test]
fn the_certificate_is_compared_with_the_pkcs10_request() {
    let key = key();
    let mut ca = MockCa::new().issuing(|b| b.subject(common_name("renamed")).without(oid::CE_SUBJECT_ALT_NAME));
    ca.status.status = PkiStatus::GrantedWithMods;
    let mut device = enrolling(&ca, &csr(0, &key, &key)).unwrap();
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    let fields: Vec<&str> = device.operation.issued().unwrap().differences.iter().map(|d| d.field.as_str()).collect();
    assert_eq!(fields, ["subject", "subjectAltName"]);

    let mut ca = MockCa::new().issuing(|mut b| {
        b.spki = None;
        b
    });
    let error = enrolling(&ca, &csr(0, &key, &key)).unwrap().run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::WrongCertificate, "another key");
    assert_eq!(ca.bodies(), ["p10cr", "certConf"], "the CA is told");
}

#[test]
fn a_pkcs10_request_that_proves_nothing_is_not_sent() {
    let ca = MockCa::new();
    let (ours, other) = (key(), key());
    assert_eq!(enrolling(&ca, &csr(0, &ours, &other)).err().unwrap().code(), Code::SignatureInvalid);
    assert!(enrolling(&ca, &csr(1, &ours, &ours)).is_err(), "another version");
    let whole = csr(0, &ours, &ours);
    for end in 0..whole.len() {
        assert!(enrolling(&ca, &whole[..end]).is_err(), "cut at {end}");
    }
    assert!(enrolling(&ca, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
}

#[test]
fn a_pkcs10_request_under_way_survives_a_reboot_without_its_key() {
    let key = key();
    let mut ca = MockCa::new().answers_waiting(1, 60);
    ca.cert_req_id = -1;
    let mut device = enrolling(&ca, &csr(0, &key, &key)).unwrap();
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));

    let saved = device.operation.save().unwrap();
    let context = device.operation.context().clone();
    device.operation = devid::cmp::Operation::restore_keyless(context, &saved).unwrap();

    let issued = device.run(&mut ca).expect("issued");
    assert!(issued.differences.is_empty());
    assert_eq!(devid::cmp::Operation::saved_key(&saved).unwrap(), key.spki());
}
