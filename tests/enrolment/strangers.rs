//! Peers that do what harms nobody: taken. Each with its dark twin, which is not.

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::name::Name;
use devid::client::{Config, Decision, Owner, Unattended};
use devid::cmp::{Acceptance, ActionKind, Deviation, Issued, MacParameters, Tolerance};
use devid::crypto::DigestAlgorithm;
use devid::crypto::algorithm::encode_oid;
use devid::validation::KeyUsage;

use crate::certificates::{Builder, date, now};
use crate::mock_ca::{Answer, Device, MockCa, SECRET, cert_rep};

const LIGHT_MAC: MacParameters =
    MacParameters::PasswordBased { owf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 100 };

fn by_secret(ca: &MockCa, reference: &[u8]) -> Config {
    let mut config = Device::config(ca);
    config.protect_with_secret(reference, SECRET, LIGHT_MAC).unwrap();
    config
}

#[test]
fn an_answer_without_sender_nonce_or_with_a_short_one_is_taken_unless_the_profile_is_strict() {
    for nonce in [None, Some(vec![1; 8])] {
        let bend = {
            let nonce = nonce.clone();
            move |a: &mut Answer| a.header.sender_nonce = nonce.clone()
        };
        let mut ca = MockCa::new().bending(BodyType::IP, bend.clone());
        Device::enrolling_with(&ca).run(&mut ca).unwrap();
        let mut strict = Device::config(&ca);
        strict.tolerance = Tolerance::strict_rfc9483();
        let error = Device::enrolling_as(&strict).run(&mut ca).unwrap_err();
        assert_eq!(error.code(), Code::Nonce);
    }
}

#[test]
fn a_mac_that_is_right_decides_whatever_the_sender_kid_and_a_wrong_one_never() {
    let mut ca = MockCa::new().bending(BodyType::IP, |a| a.header.sender_kid = Some(b"the CA's own".to_vec()));
    Device::enrolling_as(&by_secret(&ca, b"4711")).run(&mut ca).unwrap();
    let mut strict = by_secret(&ca, b"4711");
    strict.tolerance.any_mac_sender_kid = false;
    assert_eq!(Device::enrolling_as(&strict).run(&mut ca).unwrap_err().code(), Code::ProtectionInvalid);
    let mut ca = MockCa::new().bending(BodyType::IP, |a| a.secret = b"another".to_vec());
    let error = Device::enrolling_as(&by_secret(&ca, b"4711")).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
}

#[test]
fn a_reference_value_of_octets_goes_into_sender_kid_as_it_is() {
    let reference = [0x80, 0xff, 0, 1, 2, 3, 4, 5, 6];
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_as(&by_secret(&ca, &reference));
    device.run(&mut ca).unwrap();
    let header = ca.received[0].header();
    assert_eq!(header.sender_kid.as_deref(), Some(&reference[..]));
    assert_eq!(header.sender.as_deref(), Some(Name::null().as_der()));
}

#[test]
fn whoever_answers_under_another_form_of_name_is_addressed_by_it() {
    let uri = element(0x86, &[b"http://ca.example/"]);
    let sender = uri.clone();
    let mut ca = MockCa::new().bending(BodyType::IP, move |a| a.header.sender = Some(sender.clone()));
    let mut device = Device::enrolling_with(&ca);
    device.run(&mut ca).unwrap();
    let confirmation = &device.sent[1];
    assert!(confirmation.windows(uri.len()).any(|window| window == uri), "the recipient of certConf");
}

#[test]
fn the_chain_goes_out_in_order_whatever_the_order_it_was_given_in() {
    let mut ca = MockCa::new();
    let upper = ca.supplier.ca("Upper");
    let lower = upper.ca("Lower");
    let idevid = Builder::leaf("IDevID").signed_by(&lower);
    let mut config = Device::config(&ca);
    let given = vec![ca.supplier.certificate.clone(), upper.certificate.clone(), lower.certificate.clone()];
    config.protect_with_certificate(devid::cmp::Signer::Key(idevid.key), idevid.certificate.clone(), given);
    Device::enrolling_as(&config).run(&mut ca).unwrap();
    let wanted = [idevid.certificate, lower.certificate, upper.certificate, ca.supplier.certificate.clone()];
    assert_eq!(ca.received[0].extra_certs(), wanted);
}

#[test]
fn a_ca_whose_clock_is_ahead_is_believed_and_beyond_the_skew_it_is_said() {
    let ahead = |seconds: i64| MockCa::new().issuing(move |b| b.valid(now().plus(seconds), date(2030, 1, 1)));
    let warned = |seconds: i64, change: fn(&mut Config)| {
        let mut ca = ahead(seconds);
        let mut config = Device::config(&ca);
        change(&mut config);
        !Device::enrolling_as(&config).run(&mut ca).unwrap().warnings().is_empty()
    };
    assert!(!warned(1, |_| ()));
    assert!(!warned(300, |_| ()));
    assert!(warned(301, |_| ()));
    assert!(warned(1, |config| config.clock_skew_seconds = 0));
    // An authentic messageTime is the CA's clock: what it made by that is not too early.
    let mut ca = ahead(900).bending(BodyType::IP, |a| a.header.message_time = Some(now().plus(900)));
    Device::enrolling_with(&ca).run(&mut ca).unwrap();
    // Expiry is not put off: a certificate that has ended has ended.
    let mut ca = MockCa::new().issuing(|b| b.valid(now().plus(-1000), now().plus(-1)));
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::WrongCertificate);
}

fn error_with(bit: u32) -> Vec<u8> {
    let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
    status.fail_info = Some(1 << bit);
    sequence(&[&status.to_der()])
}

#[test]
fn cert_confirmed_is_a_confirmation_and_another_error_is_none() {
    let answering = |bit: u32| {
        MockCa::new().bending(BodyType::PKICONF, move |a| (a.body_type, a.content) = (BodyType::ERROR, error_with(bit)))
    };
    let mut ca = answering(11);
    Device::enrolling_with(&ca).run(&mut ca).unwrap();
    let mut ca = answering(2);
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Unconfirmed);
    // A refusal stays one.
    let mut ca = answering(11);
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    device.operation.reject("not mine").unwrap();
    assert_eq!(device.exchange_until_other(&mut ca).unwrap_err().code(), Code::Refused);
}

#[test]
fn a_rejection_keeps_its_words_under_any_cert_req_id() {
    let mut ca = MockCa::new().bending(BodyType::IP, |a| {
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.texts.push("no such profile".to_owned());
        a.content = cert_rep(-1, &status, None);
    });
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert_eq!((error.code(), &error.facts().server_texts[..]), (Code::Rejected, &["no such profile".to_owned()][..]));
}

#[test]
fn a_mac_that_is_not_known_is_named_by_its_identifier() {
    let identifier = "2.16.840.1.101.3.4.2.16";
    let unknown = sequence(&[&devid::crypto::algorithm::encode_oid(devid::asn1::oid::Oid::new(identifier).unwrap())]);
    let known = sequence(&[&devid::crypto::algorithm::encode_oid(devid::asn1::oid::SHA256)]);
    let parameters = sequence(&[&element(0x04, &[&[7; 16]]), &known, &encode(&100u32), &unknown]);
    let pbm = devid::crypto::algorithm::encode_oid(devid::asn1::oid::PASSWORD_BASED_MAC);
    let algorithm = sequence(&[&pbm, &parameters]);
    let mut ca = MockCa::new();
    ca.break_ = Some(Box::new(move |der| {
        let message = devid::asn1::cmp::PkiMessage::from_der(der, &devid::limits::Limits::default()).unwrap();
        let header =
            devid::asn1::cmp::PkiHeader { protection_alg: Some(algorithm.clone()), ..message.header().clone() };
        let body = devid::asn1::cmp::body::encode_body(message.body_type(), message.body_content());
        devid::asn1::cmp::message::assemble(&header.to_der(), &body, Some(&[0; 32]), std::iter::empty())
    }));
    let error = Device::enrolling_as(&by_secret(&ca, b"4711")).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Algorithm);
    assert!(error.message().contains(identifier), "{error}");
}

/// The usual provider has no RSA signatures with SHA-224: it is known by name alone.
#[cfg(feature = "crypto-awslc")]
#[test]
fn a_signature_algorithm_that_is_known_by_name_alone_is_named_by_its_identifier() {
    use devid::crypto::{KeyKind, SignatureAlgorithm};
    let ca_of_rsa = || {
        let mut ca = MockCa::new();
        let mut signer = Builder::leaf("CMP server").key_usage(&[KeyUsage::DigitalSignature]);
        signer = signer.purposes(&[devid::asn1::oid::KP_CMC_RA]);
        signer.key = crate::mock_ca::key_of(KeyKind::Rsa(2048));
        ca.signer = signer.signed_by(&ca.issuing);
        ca
    };
    let mut ca = ca_of_rsa();
    Device::enrolling_with(&ca).run(&mut ca).unwrap();
    let error_of = |digest: DigestAlgorithm| {
        let algorithm = SignatureAlgorithm::RsaPkcs1(digest).to_der();
        let mut ca = ca_of_rsa().bending(BodyType::IP, move |a| a.header.protection_alg = Some(algorithm.clone()));
        Device::enrolling_with(&ca).run(&mut ca).unwrap_err()
    };
    let error = error_of(DigestAlgorithm::Sha224);
    assert_eq!(error.code(), Code::Algorithm, "{error}");
    assert!(error.message().contains("SHA-224") && error.message().contains("1.2.840.113549.1.1.14"), "{error}");
    // One that can be checked, over other words than were signed.
    let error = error_of(DigestAlgorithm::Sha384);
    assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
}

#[test]
fn a_credential_that_cannot_serve_is_named_before_anything_is_sent() {
    let mut ca = MockCa::new();
    let with = |ca: &MockCa, builder: Builder| {
        let idevid = builder.signed_by(&ca.supplier);
        let mut config = Device::config(ca);
        config.protect_with_certificate(devid::cmp::Signer::Key(idevid.key), idevid.certificate, Vec::new());
        config
    };
    let expired = with(&ca, Builder::leaf("IDevID").valid(date(2001, 1, 1), date(2002, 1, 1)));
    let error = Device::enrolling_as(&expired).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::Expired, "{error}");
    let config = with(&ca, Builder::leaf("IDevID").key_usage(&[KeyUsage::KeyAgreement]));
    let client = config.build().unwrap();
    let key = devid::cmp::Signer::Key(crate::mock_ca::key_of(devid::crypto::KeyKind::P256));
    let error = client.enroll(key.clone(), &Device::subject()).err().expect("refused");
    assert!(error.message().contains("signer_key_usage"), "the switch is named: {error}");
    let mut config = config;
    config.tolerance.signer_key_usage = true;
    config.build().unwrap().enroll(key, &Device::subject()).expect("the switch takes it");
    assert!(ca.bodies().is_empty());
}

#[test]
fn ca_pubs_are_not_asked_for_where_they_cannot_come() {
    let ca = MockCa::new();
    let key = || devid::cmp::Signer::Key(crate::mock_ca::key_of(devid::crypto::KeyKind::P256));
    let mut config = by_secret(&ca, b"4711");
    config.enrolment_anchors = devid::validation::TrustAnchors::new();
    config.accept_ca_pubs = true;
    let client = config.build().unwrap();
    client.enroll(key(), &Device::subject()).expect("by ir and a secret they come");
    let error = client.enroll_further(key(), &Device::subject()).err().expect("cr brings none");
    assert!(error.message().contains("caPubs"), "{error}");
    let mut signed = Device::config(&ca);
    signed.enrolment_anchors = devid::validation::TrustAnchors::new();
    signed.accept_ca_pubs = true;
    assert!(signed.build().unwrap().enroll(key(), &Device::subject()).is_err(), "nor does a signature");
}

/// The CA's own idea of the subject, under each policy.
#[test]
fn the_policy_decides_on_what_the_ca_made_of_the_request_and_nothing_decides_on_another_key() {
    let issued = |subject: &'static str, policy: Acceptance| -> (Issued, Decision) {
        let mut ca = MockCa::new().issuing(move |b| b.subject(Name::parse(subject).unwrap().as_der().to_vec()));
        let mut config = Device::config(&ca);
        config.acceptance = policy;
        let mut device = Device::enrolling_as(&config);
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
        let issued = device.operation.issued().unwrap().clone();
        let decision = Unattended.decide(&issued).unwrap();
        device.operation.decide_by_policy().unwrap();
        let end = device.exchange_until_other(&mut ca);
        assert_eq!(end.is_ok(), decision == Decision::Accept);
        if let Err(error) = end {
            assert_eq!(error.code(), Code::Refused);
            assert!(!error.message().contains("caller"), "nobody was asked: {error}");
            assert!(error.facts().hint.is_some_and(|hint| hint.contains("acceptance policy")), "{error:?}");
        }
        (issued, decision)
    };
    use Acceptance::{AnyOrder, AnythingButTheKey, Exact, SameOrAdded};
    let taken =
        |subject| [Exact, SameOrAdded, AnyOrder, AnythingButTheKey].map(|p| issued(subject, p).1 == Decision::Accept);
    let deviation = |subject| issued(subject, SameOrAdded).0.differences[0].deviation;
    // Asked for: CN=router-7,O=Example.
    assert_eq!(taken("cn=ROUTER-7,O=Example"), [true; 4]);
    assert_eq!(taken("CN=router-7,O=Example,C=SE"), [false, true, true, true]);
    assert_eq!(deviation("CN=router-7,O=Example,C=SE"), Deviation::Added);
    assert_eq!(taken("O=Example,CN=router-7"), [false, false, true, true]);
    assert_eq!(deviation("O=Example,CN=router-7"), Deviation::Reordered);
    assert_eq!(taken("CN=router-8,O=Example"), [false, false, false, true]);
}

/// What nobody asked for and is more than a device's: told always, and not taken by who wants exactly what he asked for.
#[test]
fn powers_and_burdens_that_nobody_asked_for_are_told() {
    use devid::asn1::oid;
    let must_staple = sequence(&[&[2, 1, 5]]);
    let rows: [(oid::Oid, Vec<u8>, &str); 8] = [
        (oid::CE_EXT_KEY_USAGE, purposes(&[oid::KP_CMC_RA]), "cmcRA was added"),
        (oid::CE_EXT_KEY_USAGE, purposes(&[oid::KP_CLIENT_AUTH, oid::KP_OCSP_SIGNING]), "OCSPSigning was added"),
        (oid::CE_EXT_KEY_USAGE, purposes(&[oid::ANY_EXTENDED_KEY_USAGE]), "anyExtendedKeyUsage was added"),
        (oid::CE_EXT_KEY_USAGE, purposes(&[oid::KP_CM_KGA, oid::KP_CMC_CA]), "cmKGA was added; cmcCA was added"),
        (oid::PE_TLS_FEATURE, must_staple, "must-staple"),
        (oid::CE_INHIBIT_ANY_POLICY, vec![2, 1, 0], "inhibitAnyPolicy was added"),
        // What the templates of CAs have for every device.
        (oid::CE_EXT_KEY_USAGE, purposes(&[oid::KP_CLIENT_AUTH, oid::KP_SERVER_AUTH]), ""),
        (oid::CE_CERTIFICATE_POLICIES, sequence(&[&sequence(&[&encode_oid(oid::ANY_POLICY)])]), ""),
    ];
    for (id, value, told) in rows {
        let taken = |policy| {
            let value = value.clone();
            let mut ca = MockCa::new().issuing(move |builder| builder.with(id, false, value.clone()));
            let mut config = Device::config(&ca);
            config.acceptance = policy;
            let mut device = Device::enrolling_as(&config);
            assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
            device.operation.decide_by_policy().unwrap();
            let end = device.exchange_until_other(&mut ca);
            let differences = &device.operation.issued().unwrap().differences;
            let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
            (end.is_ok(), words.join("; "))
        };
        let (is_taken, words) = taken(Acceptance::SameOrAdded);
        assert!(is_taken && words.contains(told) && words.is_empty() == told.is_empty(), "{told}: {words}");
        let is_asked_for = told.is_empty();
        assert_eq!(taken(Acceptance::Exact).0, is_asked_for, "{told}");
    }
}

fn purposes(all: &[devid::asn1::oid::Oid]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = all.iter().map(|purpose| encode_oid(*purpose)).collect();
    sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A refusal of a path says which certificate of it is meant.
#[test]
fn the_certificate_that_spoils_a_path_is_named() {
    let mut ca = MockCa::new();
    let expired = Builder::ca("Old issuing CA").valid(date(2020, 1, 1), date(2024, 1, 1)).signed_by(&ca.root);
    ca.other_issuer = Some(expired.clone());
    let mut config = Device::config(&ca);
    config.intermediates.push(expired.certificate.clone());
    let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::WrongCertificate);
    assert!(error.message().contains("EXPIRED: CN=Old issuing CA (serial "), "{error}");
    // The issued one itself needs no name.
    let mut ca = MockCa::new().issuing(|builder| builder.valid(date(2020, 1, 1), date(2024, 1, 1)));
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("EXPIRED: valid until"), "{error}");
}
