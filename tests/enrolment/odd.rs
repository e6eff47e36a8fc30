//! CAs of every oddness that lawful or sloppy writers have: what harms nobody is put up with, what the CA made of the request is
//! told, and what is refused is refused in words. One row for each; the rows with an error are the dark twins.

use devid::Code;
use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::cmp::ActionKind;
use devid::validation::KeyUsage;

use crate::certificates::{
    Builder, basic_constraints, common_name, date, directory, dns, email, ip, name, now, registered_id, uri,
};
use crate::mock_ca::{Answer, Device, MockCa};

/// What comes of it.
enum End {
    /// Without a word.
    Taken,
    /// With this among the differences and warnings.
    Told(&'static str),
    /// With this code, and all of these in message and hint.
    Refused(Code, &'static [&'static str]),
}

use End::{Refused, Taken, Told};

/// What is odd about a CA: its settings, its answer before it is protected, what it issues.
struct Odd {
    setup: fn(&mut MockCa),
    bend: fn(&mut Answer),
    issue: fn(Builder) -> Builder,
}

const PLAIN: Odd = Odd { setup: |_| {}, bend: |_| {}, issue: |builder| builder };

fn answering(bend: fn(&mut Answer)) -> Odd {
    Odd { bend, ..PLAIN }
}

fn issuing(issue: fn(Builder) -> Builder) -> Odd {
    Odd { issue, ..PLAIN }
}

fn being(setup: fn(&mut MockCa)) -> Odd {
    Odd { setup, ..PLAIN }
}

/// What was told, or why it ended.
fn enrol(odd: &Odd, by_secret: bool) -> Result<String, devid::Error> {
    let mut ca = MockCa::new();
    (odd.setup)(&mut ca);
    let (bend, issue) = (odd.bend, odd.issue);
    let mut ca = ca.bending(BodyType::IP, bend).issuing(issue);
    let mut device = if by_secret { Device::enrolling_by_secret(&ca) } else { Device::enrolling_with(&ca) };
    loop {
        match device.exchange_until_other(&mut ca)? {
            ActionKind::Accept => device.operation.decide_by_policy()?,
            ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            ActionKind::Done => break,
            other => panic!("{other:?}"),
        }
    }
    let issued = device.operation.issued().unwrap();
    let differences = issued.differences.iter().map(ToString::to_string);
    Ok(differences.chain(issued.warnings()).collect::<Vec<_>>().join("; "))
}

#[track_caller]
fn check(what: &str, odd: &Odd, end: &End) {
    for by_secret in [false, true] {
        let came = enrol(odd, by_secret);
        match (end, &came) {
            (Taken, Ok(told)) => assert_eq!(told, "", "{what}"),
            (Told(words), Ok(told)) => assert!(told.contains(words), "{what}: {told}"),
            (Refused(code, words), Err(error)) => {
                assert_eq!(error.code(), *code, "{what}: {error}");
                let all = format!("{} [{}]", error.message(), error.facts().hint.unwrap_or_default());
                assert!(words.iter().all(|part| all.contains(part)), "{what}: {all}");
            }
            _ => panic!("{what}, by secret: {by_secret}: {came:?}"),
        }
    }
}

fn info(id: oid::Oid, value: &[u8]) -> InfoTypeAndValue {
    InfoTypeAndValue { info_type: id, value: value.to_vec() }
}

#[test]
fn headers_of_every_kind() {
    let rows: [(&str, Odd, End); 21] = [
        ("a long senderNonce", answering(|a| a.header.sender_nonce = Some(vec![7; 300])), Taken),
        ("no senderNonce", answering(|a| a.header.sender_nonce = None), Taken),
        ("an empty senderNonce", answering(|a| a.header.sender_nonce = Some(Vec::new())), Taken),
        ("recipKID", answering(|a| a.header.recip_kid = Some(vec![1; 64])), Taken),
        ("freeText", answering(|a| a.header.free_text = vec!["\u{202e}x".to_owned(), "y".repeat(2000)]), Taken),
        ("another recipient", answering(|a| a.header.recipient = Some(common_name("somebody"))), Taken),
        ("no recipient", answering(|a| a.header.recipient = Some(vec![0x30, 0])), Taken),
        ("no sender", answering(|a| a.header.sender = Some(vec![0x30, 0])), Taken),
        ("version 3", answering(|a| a.header.pvno = 3), Taken),
        ("no messageTime", answering(|a| a.header.message_time = None), Taken),
        ("a clock 50 minutes ahead", answering(|a| a.header.message_time = Some(now().plus(3000))), Taken),
        (
            "an item with UniversalString, twice",
            answering(|a| a.header.general_info = vec![info(oid::IT_CERT_PROFILE, &[0x1c, 4, 0, 0, 0, 65]); 2]),
            Taken,
        ),
        (
            "implicitConfirm that nobody asked for, twice",
            answering(|a| a.header.general_info = vec![info(oid::IT_IMPLICIT_CONFIRM, &[5, 0]); 2]),
            Taken,
        ),
        (
            "confirmWaitTime that is no time",
            answering(|a| a.header.general_info = vec![info(oid::IT_CONFIRM_WAIT_TIME, &[5, 0])]),
            Taken,
        ),
        ("extraCerts the other way round", answering(|a| a.extra_certs.reverse()), Taken),
        (
            "extraCerts twice",
            answering(|a| {
                let again = a.extra_certs.clone();
                a.extra_certs.extend(again);
            }),
            Taken,
        ),
        ("version 4", answering(|a| a.header.pvno = 4), Refused(Code::UnknownVersion, &["2 and 3"])),
        (
            "a clock two hours ahead",
            answering(|a| a.header.message_time = Some(now().plus(7200))),
            Refused(Code::MessageTime, &["one of the clocks is wrong"]),
        ),
        (
            "the end of time",
            answering(|a| a.header.message_time = Some(devid::Time::FOREVER)),
            Refused(Code::MessageTime, &["9999-12-31"]),
        ),
        (
            "another transaction",
            answering(|a| a.header.transaction_id = Some(vec![7; 16])),
            Refused(Code::TransactionId, &["0707"]),
        ),
        ("an old answer", answering(|a| a.header.recip_nonce = Some(vec![9; 16])), Refused(Code::Nonce, &["0909"])),
    ];
    for (what, odd, end) in &rows {
        check(what, odd, end);
    }
}

fn status(status: PkiStatus, fail_info: Option<u32>, text: &str) -> PkiStatusInfo {
    let texts = if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    PkiStatusInfo { status, texts, fail_info }
}

#[test]
fn statuses_and_waits_of_every_kind() {
    let rows: [(&str, Odd, End); 11] = [
        (
            "granted with other names",
            being(|ca| ca.status = status(PkiStatus::GrantedWithMods, None, "other names")),
            Told("other names"),
        ),
        ("accepted with words", being(|ca| ca.status = status(PkiStatus::Accepted, None, "welcome")), Told("welcome")),
        ("accepted with failInfo", being(|ca| ca.status = status(PkiStatus::Accepted, Some(1 << 7), "")), Taken),
        ("polls at once", being(|ca| (ca.waits, ca.check_after) = (1, 0)), Taken),
        ("polls before now", being(|ca| (ca.waits, ca.check_after) = (2, -5)), Taken),
        ("polls after the end of time", being(|ca| (ca.waits, ca.check_after) = (1, i64::MAX)), Taken),
        ("certConf waits", being(|ca| ca.confirm_waits = 2), Taken),
        (
            "a rejection that says nothing",
            being(|ca| ca.status = status(PkiStatus::Rejection, None, "")),
            Refused(Code::Rejected, &["rejection"]),
        ),
        (
            "a bit that nobody knows",
            being(|ca| ca.status = status(PkiStatus::Rejection, Some(1 << 30), "no")),
            Refused(Code::Rejected, &["bit 30", "\"no\""]),
        ),
        (
            "a status that nobody knows",
            being(|ca| ca.status = status(PkiStatus::Unknown(42), None, "")),
            Refused(Code::Rejected, &["42"]),
        ),
        ("another certReqId", being(|ca| ca.cert_req_id = 1), Refused(Code::Protocol, &["certReqId is 1"])),
    ];
    for (what, odd, end) in &rows {
        check(what, odd, end);
    }
}

/// The subject that was asked for, its strings of these types.
fn subject_in(common: (u8, &[u8]), organisation: (u8, &[u8])) -> Vec<u8> {
    name(&[(oid::AT_ORGANIZATION, organisation.0, organisation.1), (oid::AT_COMMON_NAME, common.0, common.1)])
}

fn wide(text: &str, bytes: usize) -> Vec<u8> {
    text.bytes().flat_map(|byte| [vec![0; bytes - 1], vec![byte]].concat()).collect()
}

/// With this content of authorityKeyIdentifier.
fn named_authority(builder: Builder, content: &[u8]) -> Builder {
    builder.without_key_identifiers().with(oid::CE_AUTHORITY_KEY_IDENTIFIER, false, sequence(&[content]))
}

#[test]
fn certificates_of_every_kind() {
    let rows: [(&str, Odd, End); 38] = [
        (
            "authorityKeyIdentifier of another key",
            issuing(|b| named_authority(b, &element(0x80, &[&[9; 20]]))),
            Told("its authorityKeyIdentifier names another key than its issuer's (CN="),
        ),
        (
            "authorityKeyIdentifier of another certificate of the CA",
            issuing(|b| named_authority(b, &[0x82, 1, 7])),
            Told("its authorityKeyIdentifier names another serial number than its issuer's (CN="),
        ),
        (
            "authorityKeyIdentifier of another CA",
            issuing(|b| named_authority(b, &element(0xa1, &[&directory(&common_name("Elsewhere"))]))),
            Told("its authorityKeyIdentifier names another issuer than its issuer's (CN="),
        ),
        ("an empty authorityKeyIdentifier", issuing(|b| named_authority(b, &[])), Taken),
        ("begins in 299 seconds", issuing(|b| b.valid(now().plus(299), date(2030, 1, 1))), Taken),
        ("begins in an hour", issuing(|b| b.valid(now().plus(3600), date(2030, 1, 1))), Told("valid from")),
        ("lasts for ever", issuing(|b| b.valid(date(2020, 1, 1), devid::Time::FOREVER)), Taken),
        ("of 1950", issuing(|b| b.valid(date(1950, 1, 1), date(2030, 1, 1))), Taken),
        ("serial number zero", issuing(|b| Builder { serial: vec![0], ..b }), Taken),
        ("a negative serial number", issuing(|b| Builder { serial: vec![0x80, 1], ..b }), Taken),
        ("a serial number of 60 octets", issuing(|b| Builder { serial: vec![0x41; 60], ..b }), Taken),
        ("no key identifiers", issuing(Builder::without_key_identifiers), Taken),
        ("an extension of a vendor", issuing(|b| b.with(oid::IT_CA_CERTS, false, vec![0xff; 3])), Taken),
        ("basicConstraints that say no", issuing(|b| b.with(oid::CE_BASIC_CONSTRAINTS, true, vec![0x30, 0])), Taken),
        (
            "keyUsage of a template",
            issuing(|b| b.key_usage(&[KeyUsage::DigitalSignature, KeyUsage::KeyAgreement])),
            Taken,
        ),
        ("purposes of a template", issuing(|b| b.purposes(&[oid::KP_CLIENT_AUTH, oid::KP_SERVER_AUTH])), Taken),
        ("policies", issuing(|b| b.policies(&[oid::KP_TIME_STAMPING, oid::ANY_POLICY])), Taken),
        ("BMPString", issuing(|b| b.subject(subject_in((0x1e, &wide("router-7", 2)), (0x0c, b"Example")))), Taken),
        (
            "UniversalString",
            issuing(|b| b.subject(subject_in((0x1c, &wide("router-7", 4)), (0x13, b"Example")))),
            Taken,
        ),
        ("TeletexString", issuing(|b| b.subject(subject_in((0x14, b"router-7"), (0x14, b"Example")))), Taken),
        ("GeneralString", issuing(|b| b.subject(subject_in((0x1b, b"router-7"), (0x0c, b"Example")))), Taken),
        ("other case and spaces", issuing(|b| b.subject(subject_in((0x0c, b" ROUTER-7 "), (0x0c, b"EXAMPLE")))), Taken),
        (
            "a DNS name added",
            issuing(|b| b.alt_names([dns("router-7.example"), dns("x.example")])),
            Told("dns:x.example was added"),
        ),
        (
            "a mailbox added",
            issuing(|b| b.alt_names([dns("router-7.example"), email("a@b.example")])),
            Told("email:a@b.example was added"),
        ),
        (
            "an address added",
            issuing(|b| b.alt_names([dns("router-7.example"), ip(&[10, 0, 0, 1])])),
            Told("ip:10.0.0.1 was added"),
        ),
        (
            "a URI added",
            issuing(|b| b.alt_names([dns("router-7.example"), uri("urn:x:1")])),
            Told("uri:urn:x:1 was added"),
        ),
        (
            "a directory name added",
            issuing(|b| b.alt_names([dns("router-7.example"), directory(&common_name("x"))])),
            Told("CN=x was added"),
        ),
        (
            "an identifier added",
            issuing(|b| b.alt_names([dns("router-7.example"), registered_id(oid::CMS_DATA)])),
            Told("registeredID:1.2.840"),
        ),
        ("may sign certificates", issuing(|b| b.key_usage(&[KeyUsage::KeyCertSign])), Told("keyCertSign was added")),
        ("answers for the CA", issuing(|b| b.purposes(&[oid::KP_CMC_RA])), Told("cmcRA was added")),
        ("must staple", issuing(|b| b.with(oid::PE_TLS_FEATURE, false, sequence(&[&[2, 1, 5]]))), Told("must-staple")),
        (
            "is a CA",
            issuing(|b| b.with(oid::CE_BASIC_CONSTRAINTS, true, basic_constraints(true, None))),
            Refused(Code::Refused, &["cA was added", "anything-but-the-key"]),
        ),
        (
            "the organisation dropped",
            issuing(|b| b.subject(common_name("router-7"))),
            Refused(Code::Refused, &["O=Example is missing"]),
        ),
        (
            "another name",
            issuing(|b| b.subject(subject_in((0x0c, b"router-8"), (0x0c, b"Example")))),
            Refused(Code::Refused, &["router-8", "acceptance policy"]),
        ),
        (
            "expired",
            issuing(|b| b.valid(date(2020, 1, 1), date(2021, 1, 1))),
            Refused(Code::WrongCertificate, &["EXPIRED", "clock is fast"]),
        ),
        (
            "ends before it begins",
            issuing(|b| b.valid(date(2029, 1, 1), date(2028, 1, 1))),
            Refused(Code::WrongCertificate, &["can never be valid"]),
        ),
        (
            "a critical extension of a vendor",
            issuing(|b| b.with(oid::IT_CA_CERTS, true, vec![5, 0])),
            Refused(Code::WrongCertificate, &["1.3.6.1.5.5.7.4.17"]),
        ),
        (
            "another key",
            issuing(|b| Builder { spki: None, ..b }),
            Refused(Code::WrongCertificate, &["another public key"]),
        ),
    ];
    for (what, odd, end) in &rows {
        check(what, odd, end);
    }
}

/// What is odd about a confirmation, and how it is made so.
type Confirmation = (&'static str, fn(&mut Answer));

#[test]
fn confirmations_of_every_kind() {
    let rows: [Confirmation; 6] = [
        ("an empty SEQUENCE for NULL", |a| a.content = vec![0x30, 0]),
        ("nothing for NULL", |a| a.content.clear()),
        ("version 3", |a| a.header.pvno = 3),
        ("no senderNonce", |a| a.header.sender_nonce = None),
        ("no messageTime", |a| a.header.message_time = None),
        ("no certificates", |a| a.extra_certs.clear()),
    ];
    for (what, bend) in rows {
        let mut ca = MockCa::new().bending(BodyType::PKICONF, bend);
        assert!(Device::enrolling_with(&ca).run(&mut ca).is_ok(), "{what}");
        let mut ca = MockCa::new().bending(BodyType::PKICONF, bend);
        assert!(Device::enrolling_by_secret(&ca).run(&mut ca).is_ok(), "{what}");
    }
}
