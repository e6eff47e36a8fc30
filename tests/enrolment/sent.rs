//! What goes out, by the rules of RFC 9483 sections 3.1 to 3.3 and 4.1.

use devid::asn1::cmp::{BodyType, PkiBody, PkiMessage};
use devid::asn1::der::Cursor;
use devid::asn1::name::Name;
use devid::asn1::oid;
use devid::crypto::{DigestAlgorithm, KeyKind};

use crate::certificates::{Builder, provider};
use crate::mock_ca::{Device, MockCa, REFERENCE, key_of};

fn sent(device: &Device) -> Vec<PkiMessage> {
    device.sent.iter().map(|der| PkiMessage::from_der(der.clone(), &Default::default()).unwrap()).collect()
}

#[test]
fn nonces_are_fresh_the_transaction_stays_and_each_message_answers_the_last() {
    let mut ca = MockCa::new().answers_waiting(2, 1);
    let mut device = Device::enrolling_with(&ca);
    device.run(&mut ca).unwrap();
    let messages = sent(&device);
    assert_eq!(messages.len(), 5);
    for (i, message) in messages.iter().enumerate() {
        let header = message.header();
        assert_eq!(header.pvno, 2);
        assert_eq!(header.transaction_id, messages[0].header().transaction_id);
        assert_eq!(header.transaction_id.as_ref().unwrap().len(), 16);
        assert_eq!(header.sender_nonce.as_ref().unwrap().len(), 16);
        let unique = messages[..i].iter().all(|m| m.header().sender_nonce != header.sender_nonce);
        assert!(unique, "senderNonce is fresh in message {i}");
        let expected = (i > 0).then(|| vec![i as u8; 16]);
        assert_eq!(header.recip_nonce, expected, "the server's last senderNonce in message {i}");
    }
    let mut other = Device::enrolling_with(&ca);
    other.run(&mut ca).unwrap();
    assert_ne!(sent(&other)[0].header().transaction_id, messages[0].header().transaction_id);
}

#[test]
fn a_signed_message_names_its_signer_and_brings_its_certificates() {
    let mut ca = MockCa::new();
    let supplier_ca = ca.supplier.ca("Supplier CA");
    let idevid = Builder::leaf("IDevID").signed_by(&supplier_ca);
    let mut config = Device::config(&ca);
    let chain = vec![supplier_ca.certificate.clone(), ca.supplier.certificate.clone()];
    config.protect_with_certificate(devid::cmp::Signer::Key(idevid.key), idevid.certificate.clone(), chain);
    let mut device = Device::enrolling_as(&config);
    device.run(&mut ca).unwrap();
    for message in sent(&device) {
        let header = message.header();
        assert_eq!(header.sender.as_deref(), Some(idevid.certificate.subject()));
        assert_eq!(header.sender_kid.as_deref(), idevid.certificate.subject_key_identifier());
        assert_eq!(message.extra_certs()[0], idevid.certificate, "the protection certificate comes first");
        let chain = &message.extra_certs()[1..];
        let wanted = [supplier_ca.certificate.clone(), ca.supplier.certificate.clone()];
        assert_eq!(chain, wanted, "its chain, as far as it was given");
        let algorithm = KeyKind::P256.default_signature();
        assert_eq!(header.protection_alg, Some(algorithm.to_der()));
    }
}

#[test]
fn a_maced_message_is_from_the_reference_value_and_brings_no_certificates() {
    let mut ca = MockCa::new().answers_waiting(1, 1);
    let mut device = Device::enrolling_by_secret(&ca);
    device.run(&mut ca).unwrap();
    let messages = sent(&device);
    for message in &messages {
        let header = message.header();
        assert_eq!(header.sender_kid.as_deref(), Some(REFERENCE));
        assert_eq!(header.sender.as_deref(), Some(Name::common_name("4711").as_der()));
        assert!(message.extra_certs().is_empty());
        assert_eq!(header.protection_alg, messages[0].header().protection_alg, "parameters stay the same");
    }
}

#[test]
fn the_recipient_is_the_ca_at_first_and_then_whoever_answered() {
    let mut ca = MockCa::new();
    let mut config = Device::config(&ca);
    config.recipient = Some(Name::parse("CN=Issuing CA").unwrap());
    let mut device = Device::enrolling_as(&config);
    device.run(&mut ca).unwrap();
    let messages = sent(&device);
    assert_eq!(messages[0].header().recipient, Some(Name::parse("CN=Issuing CA").unwrap().as_der().to_vec()));
    assert_eq!(messages[1].header().recipient.as_deref(), Some(ca.signer.certificate.subject()));

    let mut device = Device::enrolling_with(&ca);
    device.run(&mut ca).unwrap();
    let issuer = ca.supplier.certificate.subject();
    assert_eq!(sent(&device)[0].header().recipient.as_deref(), Some(issuer), "the issuer of the credential");
}

#[test]
fn implicitconfirm_and_certprofile_stand_in_the_request_alone() {
    let mut ca = MockCa::new();
    let mut config = Device::config(&ca);
    config.ask_implicit_confirm = true;
    config.cert_profile = Some("tls-server".to_owned());
    let mut device = Device::enrolling_as(&config);
    device.run(&mut ca).unwrap();
    let messages = sent(&device);
    assert_eq!(messages[0].header().info(oid::IT_IMPLICIT_CONFIRM), Some(&[5, 0][..]));
    let profile = messages[0].header().info(oid::IT_CERT_PROFILE).unwrap();
    assert!(profile.ends_with(b"tls-server"));
    assert!(messages[1].header().general_info.is_empty(), "certConf has neither");
    // Not where it is not asked for.
    let mut device = Device::enrolling_with(&ca);
    device.run(&mut ca).unwrap();
    assert!(sent(&device).iter().all(|message| message.header().general_info.is_empty()));
}

/// RFC 9483 section 4.1.1: the digest of the certificate's signature; RFC 9481 section 3.3: SHA-512 for Ed25519; RFC 9810
/// section 5.3.18: hashAlg and version 3 where no digest is implied.
#[test]
fn certhash_follows_the_signature_of_the_certificate() {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    let cases = [
        (KeyKind::P256, Sha256, 2),
        (KeyKind::P384, Sha384, 2),
        (KeyKind::Rsa(2048), Sha256, 2),
        (KeyKind::Ed25519, Sha512, 2),
        (KeyKind::MlDsa44, Sha512, 3),
    ];
    for (kind, digest, pvno) in cases {
        let mut ca = MockCa::new();
        let mut issuing = Builder::ca("Issuing CA");
        issuing.key = key_of(kind);
        ca.issuing = issuing.signed_by(&ca.root);
        ca.signer = Builder::leaf("CMP server").purposes(&[devid::asn1::oid::KP_CMC_RA]).signed_by(&ca.issuing);
        let mut device = Device::enrolling_with(&ca);
        let issued = device.run(&mut ca).unwrap();
        let confirmation = &sent(&device)[1];
        assert_eq!(confirmation.header().pvno, pvno, "{kind}");
        let PkiBody::Other(content) = confirmation.body(&Default::default()).unwrap() else { panic!() };
        let mut list = Cursor::sequence(&content, "CertConfirmContent").unwrap();
        let mut status = Cursor::new(list.any("one").unwrap().value, "CertStatus").unwrap();
        list.finish().unwrap();
        let hash = status.any("certHash").unwrap().value;
        let expected = provider().digest(digest, &[issued.certificate.as_der()]).unwrap();
        assert_eq!(hash, &expected[..], "{kind}");
        assert_eq!(status.decode::<i64>().unwrap(), 0, "certReqId");
        assert_eq!(status.is_empty(), pvno == 2, "{kind}: hashAlg where it is needed, no statusInfo for accepted");
    }
}

/// RFC 9483 section 3.6.1: an end entity never sends an error message.
#[test]
fn no_error_message_is_ever_sent() {
    let mut ca = MockCa::new().bending(BodyType::IP, |a| a.header.transaction_id = None);
    let mut device = Device::enrolling_with(&ca);
    device.run(&mut ca).unwrap_err();
    assert!(sent(&device).iter().all(|m| m.body_type() != BodyType::ERROR));
}

#[test]
fn times_are_written_in_whole_seconds_of_utc() {
    let ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);
    device.step().unwrap();
    let message = device.operation.output().unwrap();
    assert!(message.windows(17).any(|w| w == b"\x18\x0f20260101120000Z"));
}
