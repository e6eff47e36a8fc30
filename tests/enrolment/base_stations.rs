//! What base stations need (3GPP TS 33.310): a request without a name, a root that is known by its fingerprint.

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::crmf;
use devid::asn1::der::{Cursor, Tag, element};
use devid::client::{Config, Subject};
use devid::cmp::{ActionKind, Signer};
use devid::crypto::{DigestAlgorithm, SignatureAlgorithm};
use devid::validation::KeyUsage;

use crate::certificates::{Builder, key, now, provider};
use crate::mock_ca::{Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, cert_rep, content_of};

/// poposkInput, algorithm and signature of a request.
fn proof_in(content: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut messages = Cursor::sequence(content, "CertReqMessages").unwrap();
    let mut message = Cursor::new(messages.any("one").unwrap().value, "CertReqMsg").unwrap();
    message.any("certReq").unwrap();
    let mut proof = Cursor::new(message.any("popo").unwrap().value, "POPOSigningKey").unwrap();
    let input = proof.optional_context(0, true).unwrap().expect("poposkInput").value;
    let algorithm = proof.expect(Tag::Sequence, "algorithm").unwrap().bytes.to_vec();
    let signature = proof.expect(Tag::BitString, "signature").unwrap().value[1..].to_vec();
    (element(0x30, &[input]), algorithm, signature)
}

#[test]
fn a_request_without_a_name_proves_possession_over_who_asks_and_the_key() {
    for by_secret in [false, true] {
        let mut ca = MockCa::new();
        let mut config = Device::config(&ca);
        if by_secret {
            config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        }
        let new_key = key();
        let operation =
            config.build().unwrap().enroll(Signer::Key(new_key.clone()), &Subject::new().nameless()).unwrap();
        let mut device = Device::with(operation, new_key.clone());
        let issued = device.run(&mut ca).unwrap();
        assert!(issued.differences.is_empty(), "whatever name the CA chose was left to it");

        let (input, algorithm, signature) = proof_in(&content_of(&ca.received[0]));
        let algorithm = SignatureAlgorithm::from_der(&algorithm).unwrap();
        provider().verify(&algorithm, new_key.spki(), &input, &signature, false).unwrap();
        let sender = ca.received[0].header().sender.clone().unwrap();
        let named = crmf::popo_signing_key_input(crmf::PopoAuthInfo::Sender(&sender), new_key.spki());
        assert_eq!(input == named, !by_secret, "by name with a certificate, by MAC with a secret");
    }
}

#[test]
fn a_request_without_a_name_is_made_on_purpose_only() {
    let ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    let refused = |subject: &Subject| client.enroll(Signer::Key(key()), subject).err().map(|error| error.code());
    assert_eq!(refused(&Subject::new()), Some(Code::InvalidArgument));
    assert_eq!(refused(&Subject::new().nameless().name("CN=a").unwrap()), Some(Code::InvalidArgument));
    assert_eq!(refused(&Subject::new().nameless().dns("a.example").unwrap()), Some(Code::InvalidArgument));
}

/// It survives a reboot while the CA lets it wait.
#[test]
fn a_request_without_a_name_is_saved_and_continued() {
    let mut ca = MockCa::new().answers_waiting(1, 30);
    let client = Device::config(&ca).build().unwrap();
    let new_key = key();
    let mut device =
        Device::with(client.enroll(Signer::Key(new_key.clone()), &Subject::new().nameless()).unwrap(), new_key.clone());
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
    let saved = device.operation.save().unwrap();
    device.operation = client.restore(Signer::Key(new_key), &saved).unwrap();
    device.run(&mut ca).unwrap();
}

#[test]
fn the_texts_agreed_with_the_ca_stand_beside_the_template() {
    let mut ca = MockCa::new();
    let subject = Device::subject().reg_token("one-time").authenticator("again");
    let client = Device::config(&ca).build().unwrap();
    let new_key = key();
    Device::with(client.enroll(Signer::Key(new_key.clone()), &subject).unwrap(), new_key).run(&mut ca).unwrap();
    let controls = crate::mock_ca::Wanted::read(&ca.received[0]).controls;
    for text in ["one-time", "again"] {
        assert!(controls.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
}

/// Settings that know the operator by nothing but this fingerprint.
fn knowing(ca: &MockCa, fingerprint: &str) -> Config {
    let mut config = Device::config(ca);
    (config.cmp_anchors, config.enrolment_anchors) = Default::default();
    config.add_root_fingerprint(fingerprint).unwrap();
    config
}

fn fingerprint(certificate: &devid::asn1::x509::Certificate) -> String {
    let digest = provider().digest(DigestAlgorithm::Sha256, &[certificate.as_der()]).unwrap();
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[test]
fn a_root_told_by_its_fingerprint_is_an_anchor_when_it_comes_and_no_other_is() {
    let sending_root = || {
        let mut ca = MockCa::new();
        let root = ca.root.certificate.clone();
        ca.bend = Some(Box::new(move |answer| answer.extra_certs.push(root.clone())));
        ca
    };
    let mut ca = sending_root();
    let issued = Device::enrolling_as(&knowing(&ca, &fingerprint(&ca.root.certificate))).run(&mut ca).unwrap();
    assert_eq!(issued.chain.last(), Some(&ca.root.certificate), "to be installed as the anchor");

    // In caPubs, where roots have their place; signed or not, the fingerprint is what vouches for it.
    let mut by_ca_pubs = MockCa::new();
    let root = by_ca_pubs.root.certificate.clone();
    by_ca_pubs = by_ca_pubs.bending(BodyType::IP, move |answer| {
        let response =
            Cursor::sequence(&answer.content, "CertRepMessage").unwrap().any("response").unwrap().bytes.to_vec();
        let ca_pubs = element(0xa1, &[&element(0x30, &[root.as_der()])]);
        answer.content = element(0x30, &[&ca_pubs, &response]);
    });
    let config = knowing(&by_ca_pubs, &fingerprint(&by_ca_pubs.root.certificate));
    let issued = Device::enrolling_as(&config).run(&mut by_ca_pubs).unwrap();
    assert_eq!(issued.chain.last(), Some(&by_ca_pubs.root.certificate));

    // Another's fingerprint; the right one, and the root does not come; a fingerprint of what is no root.
    for told in [fingerprint(&ca.supplier.certificate), fingerprint(&ca.issuing.certificate)] {
        let error = Device::enrolling_as(&knowing(&ca, &told)).run(&mut ca).unwrap_err();
        assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
        assert!(error.facts().hint.is_some_and(|hint| hint.contains("SHA-256 that was told")), "{error:?}");
    }
    let mut silent = MockCa::new();
    let told = fingerprint(&silent.root.certificate);
    assert!(Device::enrolling_as(&knowing(&silent, &told)).run(&mut silent).is_err());

    // It is remembered while the CA lets the device wait, over a reboot.
    let mut ca = sending_root().answers_waiting(1, 30);
    let config = knowing(&ca, &fingerprint(&ca.root.certificate));
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
    let saved = device.operation.save().unwrap();
    device.operation = config.build().unwrap().restore(Signer::Key(device.new_key.clone()), &saved).unwrap();
    ca.bend = None;
    device.clock = now().plus(60);
    device.run(&mut ca).unwrap();
}

#[test]
fn a_fingerprint_is_64_digits_however_they_are_grouped() {
    let mut config = Config::new();
    let digits = "0123456789abcdef".repeat(4);
    config.add_root_fingerprint(&digits).unwrap();
    config.add_root_fingerprint(&digits.to_uppercase()).unwrap();
    assert_eq!(config.root_fingerprints[0], config.root_fingerprints[1]);
    for other in ["", "01:23", &digits[1..], &format!("{digits}00"), &digits.replace('0', "g")] {
        assert_eq!(config.add_root_fingerprint(other).unwrap_err().code(), Code::InvalidArgument, "{other}");
    }
}

/// Whoever answers first can bring a root and a signer under it. What makes it the operator's is a certificate: until one is
/// here nothing that such a signer refuses is the CA's word.
#[test]
fn a_root_that_came_along_vouches_for_nobodys_refusal() {
    let adopting = |ca: &MockCa, knows_root: bool| {
        let mut config = Device::config(ca);
        config.cmp_anchors = Default::default();
        if !knows_root {
            config.enrolment_anchors = Default::default();
        }
        config.adopt_root_of_ip = true;
        config.limits.max_polls = 3;
        config
    };
    let self_made = || Builder::leaf("self-made signer").key_usage(&[KeyUsage::DigitalSignature]).self_signed();
    let no = || PkiStatusInfo { texts: vec!["no".to_owned()], ..PkiStatusInfo::new(PkiStatus::Rejection) };
    for (what, knows_root, polls) in [("known", true, 0), ("unknown", false, 0), ("after a wait", false, 1)] {
        let mut ca = MockCa::new().answers_waiting(polls, 1);
        let config = adopting(&ca, knows_root);
        let signer = self_made();
        ca.bend = Some(Box::new(move |answer| {
            let is_wait = answer.body_type == BodyType::POLLREP;
            (answer.signer, answer.extra_certs) = (Some(signer.clone()), vec![signer.certificate.clone()]);
            answer.header.sender = Some(signer.certificate.subject().to_vec());
            answer.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            if answer.body_type == BodyType::IP && !is_wait && polls == 0 {
                answer.content = cert_rep(0, &no(), None);
            }
        }));
        let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
        assert!(!error.facts().server_authenticated, "{what}: {error:?}");
        assert_ne!(error.code(), Code::Rejected, "{what}: {error}");
        if polls == 0 {
            assert_eq!(error.code(), Code::ProtectionInvalid, "{what}: {error}");
            assert!(error.message().contains("\"no\" (not authenticated)"), "{what}: {error}");
        }
    }
    // A certificate that proves itself is taken from whoever brings it, and it is said by whom.
    let mut ca = MockCa::new();
    let (config, signer) = (adopting(&ca, true), self_made());
    let above = ca.issuing.certificate.clone();
    ca.bend = Some(Box::new(move |answer| {
        (answer.signer, answer.extra_certs) = (Some(signer.clone()), vec![signer.certificate.clone(), above.clone()]);
        answer.header.sender = Some(signer.certificate.subject().to_vec());
        answer.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
    }));
    let issued = Device::enrolling_as(&config).run(&mut ca).unwrap();
    assert!(issued.warnings().iter().any(|warning| warning.contains("vouches for")), "{:?}", issued.warnings());
    // The operator's own root, with the certificate and after a wait; and a rejection by who is trusted otherwise.
    for waits in [0, 1] {
        let mut ca = MockCa::new().answers_waiting(waits, 1);
        let config = adopting(&ca, false);
        let root = ca.root.certificate.clone();
        ca.bend = Some(Box::new(move |answer| answer.extra_certs.push(root.clone())));
        Device::enrolling_as(&config).run(&mut ca).unwrap();
    }
    let mut ca = MockCa::new().bending(BodyType::IP, move |answer| answer.content = cert_rep(0, &no(), None));
    let mut config = Device::config(&ca);
    config.adopt_root_of_ip = true;
    let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
    assert_eq!((error.code(), error.facts().server_authenticated), (Code::Rejected, true));
}
