//! What the inspector shows of real messages, and what it keeps to itself.

use devid::asn1::cmp::BodyType;
use devid::asn1::cmp::body::encode_body;
use devid::asn1::der::{self, Cursor};
use devid::asn1::{crmf, oid, pem};
use devid::cmp::ActionKind;
use devid::inspect::{Format, inspect};

use crate::certificates::Builder;
use crate::mock_ca::{Device, MockCa};

fn text(der: &[u8]) -> String {
    inspect(der, Format::Text).unwrap()
}

/// All messages of an enrolment that is put off once: requests and answers.
fn conversation() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut ca = MockCa::new().answers_waiting(1, 1);
    let mut device = Device::enrolling_by_secret(&ca);
    let mut answers = Vec::new();
    loop {
        match device.step().unwrap() {
            ActionKind::Send => {
                let request = device.operation.output().unwrap().to_vec();
                answers.push(ca.answer(&request));
                device.sent.push(request);
                device.operation.feed(answers.last().unwrap()).unwrap();
            }
            ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            ActionKind::Accept => device.operation.accept().unwrap(),
            _ => return (device.sent, answers),
        }
    }
}

#[test]
fn every_message_of_an_enrolment_is_shown_without_a_complaint() {
    let (requests, answers) = conversation();
    for message in requests.iter().chain(&answers) {
        let shown = text(message);
        assert!(shown.starts_with("PKIMessage:\n  header:\n    pvno: cmp2000 (2)\n"), "{shown}");
        for complaint in ["problem", "unexpected", "(missing", "unreadable"] {
            assert!(!shown.contains(complaint), "{shown}");
        }
    }
    let first = text(&requests[0]);
    for expected in
        ["  body:\n    ir:\n", "certReqId: 0", "PasswordBasedMac (1.2.840.113533.7.66.13)", "iterationCount: "]
    {
        assert!(first.contains(expected), "{expected} in\n{first}");
    }
    assert!(text(&requests[1]).contains("    pollReq:\n      - certReqId: 0\n"));
    assert!(text(&answers[0]).contains("status: waiting (3)"));
    assert!(text(&answers[2]).contains("certifiedKeyPair:"));
}

#[test]
fn json_is_json_and_says_the_same() {
    let (requests, answers) = conversation();
    for message in requests.iter().chain(&answers) {
        let json: serde_json::Value = serde_json::from_str(&inspect(message, Format::Json).unwrap()).unwrap();
        let header = &json["PKIMessage"]["header"];
        assert_eq!(header["pvno"], "cmp2000 (2)");
        assert_eq!(header["transactionID"].as_str().map(str::len), Some(32));
        assert_eq!(json["PKIMessage"]["body"].as_object().map(serde_json::Map::len), Some(1));
    }
}

#[test]
fn secrets_and_public_keys_appear_as_their_length_only() {
    let ca = MockCa::new();
    let leaf = Builder::leaf("device").signed_by(&ca.supplier);
    let pkcs8 = leaf.key.to_pkcs8().unwrap();
    let shown = text(&pkcs8);
    assert!(shown.starts_with("OneAsymmetricKey:\n") && shown.contains("privateKey: ("), "{shown}");
    let bytes = |der: &[u8]| der.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for window in bytes(&pkcs8[30..]).as_bytes().chunks(32).filter(|w| w.len() == 32) {
        assert!(!shown.contains(std::str::from_utf8(window).unwrap()), "a piece of the key is in\n{shown}");
    }
    let mut broken = pkcs8.to_vec();
    broken[3] ^= 0x11;
    let shown = text(pem::encode("PRIVATE KEY", &broken).as_bytes());
    assert_eq!(shown, format!("(a broken private key of {} bytes, not shown)\n", broken.len()));
    let key = leaf.key.spki();
    let certificate = text(leaf.certificate.as_der());
    assert!(certificate.starts_with("Certificate:\n") && certificate.contains("subjectPublicKey: (65 bytes)"));
    assert!(!certificate.contains(&bytes(&key[key.len() - 32..])), "a public key is for those who have validated");
}

#[test]
fn a_registration_token_is_not_shown() {
    let (requests, _) = conversation();
    let token = crmf::text_control(oid::REG_CTRL_REG_TOKEN, "s3cret-token");
    let request = crmf::cert_request(0, &crmf::CertTemplate::default(), &[token]);
    let body = encode_body(BodyType(0), &der::sequence(&[&der::sequence(&[&request])]));
    let mut message = Cursor::sequence(&requests[0], "PKIMessage").unwrap();
    let header = message.any("the header").unwrap().bytes;
    let shown = text(&der::sequence(&[header, &body]));
    assert!(shown.contains("regToken (1.3.6.1.5.5.7.5.1.1)") && shown.contains("(12 bytes, not shown)"), "{shown}");
    let hexed: String = b"s3cret-token".iter().map(|b| format!("{b:02x}")).collect();
    assert!(!shown.contains("s3cret") && !shown.contains(&hexed));
}

/// People look at messages because something is wrong with them.
#[test]
fn a_message_broken_anywhere_is_still_shown_and_never_a_panic() {
    let (requests, answers) = conversation();
    for message in requests.iter().take(1).chain(answers.iter().skip(2).take(1)) {
        for at in 0..message.len() {
            let mut flipped = message.clone();
            flipped[at] ^= 0x21;
            let _ = inspect(&flipped, Format::Text).map(|shown| assert!(!shown.is_empty()));
            let _ = inspect(&message[..at], Format::Json).map(|json| {
                serde_json::from_str::<serde_json::Value>(&json).unwrap();
            });
        }
    }
    let half = text(&requests[0][..requests[0].len() / 2]);
    assert!(half.starts_with("PKIMessage:\n  problem: ") && half.contains("transactionID: "), "{half}");
}

#[test]
fn what_is_neither_pem_nor_der_is_refused_with_what_was_expected() {
    for input in [&b""[..], b"hello", b"\x04\x02hi"] {
        let error = inspect(input, Format::Text).unwrap_err();
        assert_eq!(error.code(), devid::Code::Der);
        assert!(error.message().contains("expected a BEGIN line or a SEQUENCE"), "{}", error.message());
    }
    assert_eq!(inspect(b"-----BEGIN CERTIFICATE-----\nMA", Format::Text).unwrap_err().code(), devid::Code::Pem);
}

#[test]
fn a_hostile_depth_or_count_is_cut() {
    let mut deep = vec![0x30, 0x00];
    for _ in 0..2000 {
        deep = der::sequence(&[&deep]);
    }
    assert!(text(&deep).contains("(not shown: too much)"));
    let many = der::sequence(&[&[0x05, 0x00].repeat(5000)]);
    let shown = text(&many);
    assert!(shown.contains("(4800 more, not shown)") && shown.len() < 10_000, "{}", shown.len());
}
