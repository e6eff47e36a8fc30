//! An RA made of this library: each rule for what a device or another RA sends it has a message here that breaks this one rule,
//! under protection that is right.

use std::sync::Arc;

use devid::Code;
use devid::asn1::cmp::body::encode_body;
use devid::asn1::cmp::general::gen_msg;
use devid::asn1::cmp::poll::poll_req;
use devid::asn1::cmp::revocation::rev_req;
use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiHeader, PkiMessage, PkiStatus, PkiStatusInfo, message};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::client::Config;
use devid::cmp::{DeviceRequest, Proof, RegistrationAuthority, Signer, SignerAuthorisation};
use devid::limits::Limits;
use devid::validation::{KeyUsage, TrustAnchors};

use crate::certificates::{Builder, Party, now};

const TRANSACTION: [u8; 16] = [7; 16];
const NONCE: [u8; 16] = [9; 16];

struct World {
    devices: Party,
    ra: Party,
    authority: RegistrationAuthority,
}

/// An RA under the operator's root, whose devices have a root of their own; the operator's root answers for itself.
fn world() -> World {
    let (operator, devices) = (Party::root("Operator root"), Party::root("Devices' root"));
    let ra = an_ra(&operator, "RA");
    let authority = authority(&ra, &operator, &[&operator, &devices]);
    World { devices, ra, authority }
}

fn an_ra(root: &Party, name: &str) -> Party {
    Builder::leaf(name).key_usage(&[KeyUsage::DigitalSignature]).purposes(&[oid::KP_CMC_RA]).signed_by(root)
}

fn authority(ra: &Party, ca: &Party, devices: &[&Party]) -> RegistrationAuthority {
    let mut config = Config::new();
    config.cmp_anchors.add(ca.certificate.clone());
    config.enrolment_anchors.add(ca.certificate.clone());
    config.protect_with_certificate(Signer::Key(Arc::clone(&ra.key)), ra.certificate.clone(), Vec::new());
    config.authorisation = SignerAuthorisation::by_purpose();
    let context = Arc::clone(config.build().unwrap().context());
    let mut anchors = TrustAnchors::new();
    devices.iter().for_each(|root| anchors.add(root.certificate.clone()));
    RegistrationAuthority::new(context, anchors).unwrap()
}

/// A message that breaks no rule, but for what `bend` does to its header; `by` signs it.
fn message_by(by: &Party, body: BodyType, content: &[u8], bend: impl FnOnce(&mut PkiHeader)) -> Vec<u8> {
    let algorithm = by.key.kind().default_signature();
    let mut header = PkiHeader {
        pvno: 2,
        sender: Some(by.certificate.subject().to_vec()),
        recipient: None,
        message_time: Some(now()),
        protection_alg: Some(algorithm.to_der()),
        sender_kid: by.certificate.subject_key_identifier().map(<[u8]>::to_vec),
        recip_kid: None,
        transaction_id: Some(TRANSACTION.to_vec()),
        sender_nonce: Some(NONCE.to_vec()),
        recip_nonce: None,
        free_text: Vec::new(),
        general_info: Vec::new(),
    };
    bend(&mut header);
    let (header, body) = (header.to_der(), encode_body(body, content));
    let protection = by.key.sign(&algorithm, &sequence(&[&header, &body])).unwrap();
    message::assemble(&header, &body, Some(&protection), std::iter::once(&by.certificate))
}

fn question() -> Vec<u8> {
    gen_msg(&InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() })
}

fn ask(by: &Party, bend: impl FnOnce(&mut PkiHeader)) -> Vec<u8> {
    message_by(by, BodyType::GENM, &question(), bend)
}

fn refusal(outcome: Result<DeviceRequest, devid::Error>) -> (Code, String) {
    let error = outcome.expect_err("the RA must refuse it");
    (error.code(), error.message().to_owned())
}

#[test]
fn a_request_that_breaks_no_rule_is_taken_and_each_broken_rule_is_named() {
    let World { devices, authority, .. } = world();
    let device = devices.leaf("device 1");
    authority.check(&ask(&device, |_| {}), None, now()).unwrap();

    type Bend = fn(&mut PkiHeader);
    let cases: [(Bend, Code, &str); 8] = [
        (|h| h.sender_kid = Some(vec![1; 20]), Code::ProtectionInvalid, "senderKID"),
        (|h| h.sender = Some(crate::certificates::common_name("device 2")), Code::ProtectionInvalid, "sender"),
        (|h| h.sender = None, Code::ProtectionInvalid, "sender"),
        (|h| h.transaction_id = Some(vec![7; 15]), Code::TransactionId, "128 bits"),
        (|h| h.transaction_id = None, Code::TransactionId, "128 bits"),
        (|h| h.sender_nonce = Some(vec![9; 15]), Code::Nonce, "128 bits"),
        (|h| h.sender_nonce = None, Code::Nonce, "128 bits"),
        (|h| h.pvno = 1, Code::UnknownVersion, "pvno 1"),
    ];
    for (number, (bend, code, words)) in cases.into_iter().enumerate() {
        let (found, text) = refusal(authority.check(&ask(&device, bend), None, now()));
        assert!(found == code && text.contains(words), "case {number}: {found:?} {text}");
    }
    // A senderKID need not be there (RFC 9483 section 3.1); 128 bits are enough.
    authority.check(&ask(&device, |h| h.sender_kid = None), None, now()).unwrap();
    authority.check(&ask(&device, |h| h.transaction_id = Some(vec![7; 17])), None, now()).unwrap();
}

#[test]
fn a_key_that_is_not_for_signing_protects_no_request() {
    let World { devices, authority, .. } = world();
    for (usage, is_taken) in [(KeyUsage::DigitalSignature, true), (KeyUsage::KeyAgreement, false)] {
        let device = Builder::leaf("device 1").key_usage(&[usage]).signed_by(&devices);
        let outcome = authority.check(&ask(&device, |_| {}), None, now());
        assert_eq!(outcome.is_ok(), is_taken, "{usage:?}: {outcome:?}");
        if !is_taken {
            let (code, text) = refusal(outcome);
            assert!(code == Code::ProtectionInvalid && text.contains("digitalSignature"), "{text}");
        }
    }
}

#[test]
fn who_began_a_transaction_goes_on_with_it_and_nobody_else() {
    let World { devices, authority, .. } = world();
    let (device, neighbour) = (devices.leaf("device 1"), devices.leaf("device 2"));
    let begun = authority.check(&ask(&device, |_| {}), None, now()).unwrap();
    let poll = |by: &Party, bend: fn(&mut PkiHeader)| message_by(by, BodyType::POLLREQ, &poll_req(&[0]), bend);

    authority.check(&poll(&device, |_| {}), Some(&begun), now()).unwrap();
    let (code, text) = refusal(authority.check(&poll(&neighbour, |_| {}), Some(&begun), now()));
    assert!(code == Code::ProtectionInvalid && text.contains("another credential"), "{text}");
    let other = |h: &mut PkiHeader| h.transaction_id = Some(vec![8; 16]);
    let (code, text) = refusal(authority.check(&poll(&device, other), Some(&begun), now()));
    assert!(code == Code::TransactionId && text.contains("another transaction"), "{text}");
    assert_eq!(refusal(authority.check(&poll(&device, |_| {}), None, now())).0, Code::UnexpectedBody);
    assert_eq!(refusal(authority.check(&ask(&device, |_| {}), Some(&begun), now())).0, Code::UnexpectedBody);
}

#[test]
fn a_revocation_keeps_its_protection_and_a_question_need_not() {
    let World { devices, authority, .. } = world();
    let device = devices.leaf("device 1");
    let certificate = &device.certificate;
    let content = rev_req(certificate.issuer(), certificate.serial(), CrlReason::CessationOfOperation);
    let revocation = authority.check(&message_by(&device, BodyType::RR, &content, |_| {}), None, now()).unwrap();
    assert!(revocation.keeps_protection());
    for (proof, with_original) in [(Proof::Keep, false), (Proof::RaVerified, true)] {
        let error = authority.replace(&revocation, proof, with_original, now()).unwrap_err();
        assert!(error.message().contains("5.2.3"), "{error}");
    }
    authority.nest(&revocation, now()).unwrap();
    let asked = authority.check(&ask(&device, |_| {}), None, now()).unwrap();
    authority.replace(&asked, Proof::Keep, false, now()).unwrap();
}

/// A nested message of `ra` around others.
fn nested_by(ra: &Party, inner: &[&[u8]], bend: impl FnOnce(&mut PkiHeader)) -> Vec<u8> {
    message_by(ra, BodyType::NESTED, &sequence(inner), bend)
}

#[test]
fn an_approval_has_the_identifiers_of_the_request_that_it_approves() {
    let World { devices, ra, authority } = world();
    let request = ask(&devices.leaf("device 1"), |_| {});
    let other = ask(&devices.leaf("device 2"), |h| h.transaction_id = Some(vec![8; 16]));

    assert!(authority.open(&nested_by(&ra, &[&request], |_| {}), now()).unwrap().approves);
    // Its transactionID without its senderNonce; as one of several; and neither of them, which is a batch.
    let wrong_nonce = nested_by(&ra, &[&request], |h| h.sender_nonce = Some(vec![1; 16]));
    assert_eq!(authority.open(&wrong_nonce, now()).unwrap_err().code(), Code::TransactionId);
    let one_of_two = nested_by(&ra, &[&request, &other], |_| {});
    assert_eq!(authority.open(&one_of_two, now()).unwrap_err().code(), Code::TransactionId);
    let batch = nested_by(&ra, &[&request, &other], |h| h.transaction_id = Some(vec![3; 16]));
    let opened = authority.open(&batch, now()).unwrap();
    assert!(!opened.approves && opened.messages == [request.clone(), other]);
    // Nothing in it, and nested messages in it.
    assert_eq!(authority.open(&nested_by(&ra, &[], |_| {}), now()).unwrap_err().code(), Code::Protocol);
    let twice = nested_by(&ra, &[&nested_by(&ra, &[&request], |_| {})], |_| {});
    assert_eq!(authority.open(&twice, now()).unwrap_err().code(), Code::Protocol);
    // A device approves of nothing.
    let by_device = nested_by(&devices.leaf("device 3"), &[&request], |_| {});
    assert_eq!(authority.open(&by_device, now()).unwrap_err().code(), Code::ProtectionInvalid);
}

#[test]
fn the_answer_to_a_batch_brings_the_batchs_nonce_back() {
    let World { devices, ra, authority } = world();
    let request = authority.check(&ask(&devices.leaf("device 1"), |_| {}), None, now()).unwrap();
    let batch = authority.batch(vec![request.clone()], now()).unwrap();
    let sent = PkiMessage::from_der(batch.message().to_vec(), &Limits::default()).unwrap();
    let answer = ask(&ra, |h| h.transaction_id = Some(request.transaction_id().to_vec()));
    let (id, nonce) = (sent.header().transaction_id.clone(), sent.header().sender_nonce.clone());
    let answered = |recip_nonce: Option<Vec<u8>>, answers: &[&[u8]]| {
        let nested = nested_by(&ra, answers, |h| (h.transaction_id, h.recip_nonce) = (id.clone(), recip_nonce));
        authority.unbundle(&batch, Some(&nested), now())
    };
    assert_eq!(answered(nonce.clone(), &[&answer]).unwrap(), std::slice::from_ref(&answer));
    for wrong in [None, Some(vec![1; 16])] {
        assert_eq!(answered(wrong, &[&answer]).unwrap_err().code(), Code::Nonce);
    }
    // An error that says waiting is no device's to poll for.
    let waiting = sequence(&[&PkiStatusInfo::new(PkiStatus::Waiting).to_der()]);
    let waiting = message_by(&ra, BodyType::ERROR, &waiting, |h| {
        (h.transaction_id, h.recip_nonce) = (id.clone(), nonce.clone());
    });
    assert_eq!(authority.unbundle(&batch, Some(&waiting), now()).unwrap_err().code(), Code::Unsupported);
    // An answer of the batch that is itself nested is none.
    let twice = nested_by(&ra, &[&answer], |_| {});
    assert_eq!(answered(nonce, &[&twice]).unwrap_err().code(), Code::Protocol);
}

#[test]
fn a_thousand_messages_travel_together_and_one_more_do_not() {
    let World { devices, ra, authority } = world();
    let request = ask(&devices.leaf("device 1"), |_| {});
    let batch = |count: usize| {
        let inner: Vec<&[u8]> = std::iter::repeat_n(request.as_slice(), count).collect();
        let nested = nested_by(&ra, &inner, |h| h.transaction_id = Some(vec![3; 16]));
        authority
            .open(&nested, now())
            .map(|opened| opened.messages.len())
            .map_err(|e| (e.code(), e.message().to_owned()))
    };
    let fits = Limits::default().max_message_bytes / request.len() > 1001;
    assert!(fits, "the limit on bytes would hide the one on messages");
    assert_eq!(batch(1000), Ok(1000));
    let (code, words) = batch(1001).unwrap_err();
    assert!(code == Code::Limit && words.contains("1000"), "{words}");
}

#[test]
fn an_ras_certificate_comes_first_in_what_it_signs() {
    let World { devices, ra, authority } = world();
    let request = authority.check(&ask(&devices.leaf("device 1"), |_| {}), None, now()).unwrap();
    let nested = PkiMessage::from_der(authority.nest(&request, now()).unwrap(), &Limits::default()).unwrap();
    assert_eq!(nested.extra_certs().first(), Some(&ra.certificate));
    assert_eq!(nested.header().transaction_id.as_deref(), Some(request.transaction_id()));
    assert_eq!(nested.header().sender_nonce, Some(NONCE.to_vec()));
}
