//! Duties of an end entity that no single exchange shows: what never goes out, what every message has, what 3GPP and IEEE 802.1AR
//! ask for beyond RFC 9483.

use devid::asn1::cmp::{BodyType, CrlSource, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{Cursor, Tag, element, sequence};
use devid::asn1::name::Name;
use devid::asn1::oid;
use devid::client::Subject;
use devid::cmp::{ActionKind, Information, Operation, Question, Signer};
use devid::crypto::algorithm::encode_oid;
use devid::crypto::keys::key_matches_certificate;
use devid::crypto::{KeyKind, SignatureAlgorithm};
use devid::validation::KeyUsage;
use devid::{Code, Time};

use crate::certificates::{Builder, date, key, now, provider};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, cert_rep, content_of, key_of};

/// RFC 9483 section 3.1: the CA's name where it is known, and else the NULL-DN.
#[test]
fn the_recipient_is_the_null_dn_where_nothing_is_known() {
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_by_secret(&ca);
    device.run(&mut ca).unwrap();
    let recipients: Vec<_> = ca.received.iter().map(|message| message.header().recipient.clone()).collect();
    let answered = Some(ca.signer.certificate.subject().to_vec());
    assert_eq!(recipients, [Some(Name::null().as_der().to_vec()), answered]);
}

/// Every element of a message, also inside OCTET STRINGs and BIT STRINGs that hold some.
fn all_elements(bytes: &[u8], see: &mut dyn FnMut(u8, &[u8])) {
    let Ok(mut cursor) = Cursor::new(bytes, "elements") else { return };
    while let Ok(element) = cursor.any("one") {
        see(element.bytes[0], element.value);
        if element.bytes[0] & 0x20 != 0 {
            all_elements(element.value, see);
        }
    }
}

/// RFC 9810 section 5.2.9: seconds and Z, no fraction, in everything that we write: headers, templates, questions.
#[test]
fn every_time_that_goes_out_is_in_whole_seconds_of_utc() {
    let mut ca = MockCa::new().answers_waiting(1, 1);
    let config = Device::config(&ca);
    let client = config.build().unwrap();
    let (new_key, far) = (key(), date(2060, 1, 1));
    let subject = Device::subject().validity(Some(date(2049, 12, 31)), Some(far));
    let mut device = Device::with(client.enroll(Signer::Key(new_key.clone()), &subject).unwrap(), new_key);
    // The certificate is another one than asked for; what counts here is what was sent.
    let _ = device.run(&mut ca);
    let source = CrlSource::DistributionPoint("http://ca.example/crl".to_owned());
    let question = Question::Crl { source, this_update: Some(now().plus(-5)) };
    let mut asking = Device::doing(client.ask(question).unwrap());
    asking.step().unwrap();
    let asked = asking.operation.output().unwrap().to_vec();
    let messages: Vec<Vec<u8>> = device.sent.into_iter().chain([asked]).collect();
    assert!(messages.len() > 3);
    let (mut generalized, mut utc) = (0, 0);
    for message in &messages {
        // What others wrote, in extraCerts, is theirs.
        let mut fields = Cursor::sequence(message, "PKIMessage").unwrap();
        let (header, body) = (fields.any("header").unwrap(), fields.any("body").unwrap());
        let written = [header.bytes, body.bytes].concat();
        all_elements(&written, &mut |tag, value| {
            let digits = value.len() - usize::from(value.ends_with(b"Z"));
            let is_plain = value[..digits].iter().all(u8::is_ascii_digit);
            match tag {
                0x18 => {
                    generalized += 1;
                    assert!(digits == 14 && value.len() == 15 && is_plain, "{}", String::from_utf8_lossy(value));
                }
                0x17 => {
                    utc += 1;
                    assert!(digits == 12 && value.len() == 13 && is_plain, "{}", String::from_utf8_lossy(value));
                }
                _ => {}
            }
        });
    }
    assert!(generalized > messages.len() && utc > 0, "{generalized} GeneralizedTime, {utc} UTCTime");
}

/// RFC 9483 section 3.6.1, whatever is wrong with the answer, wherever it comes.
#[test]
fn whatever_is_wrong_no_error_message_goes_out() {
    type Bend = fn(&mut Answer);
    let faults: [(&str, Bend); 12] = [
        ("no transactionID", |a| a.header.transaction_id = None),
        ("another transactionID", |a| a.header.transaction_id = Some(vec![9; 16])),
        ("no recipNonce", |a| a.header.recip_nonce = None),
        ("another recipNonce", |a| a.header.recip_nonce = Some(vec![9; 16])),
        ("pvno 9", |a| a.header.pvno = 9),
        ("another body", |a| a.body_type = BodyType::GENP),
        ("unreadable content", |a| a.content = vec![2, 1, 1]),
        ("another key", |a| a.signer.as_mut().unwrap().key = key()),
        ("no certificates, another senderKID", |a| {
            a.extra_certs.clear();
            a.header.sender_kid = Some(vec![1, 2, 3]);
        }),
        ("a time far off", |a| a.header.message_time = Some(now().plus(1_000_000))),
        ("a rejection", |a| {
            let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
            status.fail_info = Some(1);
            (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
        }),
        ("another sender", |a| a.header.sender = Some(crate::certificates::common_name("somebody"))),
    ];
    for body in [BodyType::IP, BodyType::POLLREP, BodyType::PKICONF] {
        for (fault, bend) in faults {
            let mut ca = MockCa::new().answers_waiting(1, 1).bending(body, bend);
            let mut device = Device::enrolling_with(&ca);
            for _ in 0..8 {
                match device.step() {
                    Ok(ActionKind::Send) => device.exchange(&mut ca),
                    Ok(ActionKind::Wait) => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
                    Ok(ActionKind::Accept) => device.operation.accept().unwrap(),
                    Ok(_) | Err(_) => break,
                }
            }
            let bodies = ca.bodies();
            assert!(!bodies.is_empty(), "{fault}");
            for sent in &bodies {
                assert!(["ir", "pollReq", "certConf"].contains(sent), "{fault} in {body}: {bodies:?}");
            }
        }
    }
    // Nor when the owner refuses.
    let mut ca = MockCa::new();
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    device.operation.reject("not mine").unwrap();
    assert!(device.exchange_until_other(&mut ca).is_err());
    assert_eq!(ca.bodies(), ["ir", "certConf"]);
}

/// RFC 9483 section 4.1.1: pkiConf comes under the protection of the first answer, whoever else may answer for the CA.
#[test]
fn another_authorised_signer_does_not_confirm_unless_tolerated() {
    let mut ca = MockCa::new();
    let second = Builder::leaf("CMP server 2")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CMC_RA])
        .signed_by(&ca.issuing);
    ca = ca.bending(BodyType::PKICONF, move |a| {
        a.header.sender = Some(second.certificate.subject().to_vec());
        a.header.sender_kid = second.certificate.subject_key_identifier().map(<[u8]>::to_vec);
        a.extra_certs.insert(0, second.certificate.clone());
        a.signer = Some(second.clone());
    });
    assert_eq!(Device::enrolling_with(&ca).run(&mut ca).unwrap_err().code(), Code::Unconfirmed);
    let mut config = Device::config(&ca);
    config.tolerance.signer_may_change = true;
    Device::enrolling_as(&config).run(&mut ca).expect("another server of a cluster");
}

/// RFC 9483 sections 4.4 and 5.1: an RA that passes on what the CA has signed puts off under its own signature. To wait decides nothing, so
/// it binds nobody; who brings the certificate is bound as ever.
#[test]
fn an_ra_that_puts_off_leaves_the_decision_to_the_ca_behind_it() {
    for (by_error, is_restored, changes_in_the_end) in (0..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0))
    {
        let mut ca = MockCa::new().answers_waiting(2, 10);
        (ca.wait_by_error, ca.confirm_waits) = (by_error, 1);
        let ra = Builder::leaf("RA")
            .key_usage(&[KeyUsage::DigitalSignature])
            .purposes(&[oid::KP_CMC_RA])
            .signed_by(&ca.issuing);
        let waiting = PkiStatusInfo::new(PkiStatus::Waiting);
        ca.bend = Some(Box::new(move |answer| {
            let waits = match answer.body_type {
                BodyType::POLLREP => true,
                BodyType::ERROR => answer.content == sequence(&[&waiting.to_der()]),
                BodyType::IP => answer.content == cert_rep(0, &waiting, None),
                _ => false,
            };
            if waits || changes_in_the_end && answer.body_type == BodyType::PKICONF {
                answer.header.sender = Some(ra.certificate.subject().to_vec());
                answer.header.sender_kid = ra.certificate.subject_key_identifier().map(<[u8]>::to_vec);
                answer.extra_certs.insert(0, ra.certificate.clone());
                answer.signer = Some(ra.clone());
            }
        }));
        let case = format!("by error {by_error}, restored {is_restored}, changes {changes_in_the_end}");
        let mut device = Device::enrolling_with(&ca);
        let ended = loop {
            match device.exchange_until_other(&mut ca) {
                Ok(ActionKind::Wait) => {
                    device.clock = device.clock.plus(i64::from(device.wait_seconds()));
                    if is_restored {
                        let (context, saved) = (device.operation.context().clone(), device.operation.save().unwrap());
                        let key = Signer::Key(device.new_key.clone());
                        device.operation = Operation::restore(context, key, &saved).unwrap();
                    }
                }
                Ok(ActionKind::Accept) => device.operation.accept().unwrap(),
                Ok(other) => break Ok(other),
                Err(error) => break Err(error.code()),
            }
        };
        assert_eq!(ended, if changes_in_the_end { Err(Code::Unconfirmed) } else { Ok(ActionKind::Done) }, "{case}");
    }
}

/// RFC 4211 sections 6.1 and 6.2: identifier and UTF8String, one behind the other.
#[test]
fn tokens_and_authenticators_are_controls_under_their_own_identifiers() {
    let mut ca = MockCa::new();
    let subject = Device::subject().reg_token("one-time").authenticator("again");
    let client = Device::config(&ca).build().unwrap();
    let new_key = key();
    Device::with(client.enroll(Signer::Key(new_key.clone()), &subject).unwrap(), new_key).run(&mut ca).unwrap();
    let control = |identifier: &str, text: &str| {
        let identifier = encode_oid(oid::Oid::new_unwrap(identifier));
        sequence(&[&identifier, &element(0x0c, &[text.as_bytes()])])
    };
    let wanted = [control("1.3.6.1.5.5.7.5.1.1", "one-time"), control("1.3.6.1.5.5.7.5.1.2", "again")];
    assert_eq!(crate::mock_ca::Wanted::read(&ca.received[0]).controls, wanted.concat());
}

/// RFC 9483 section 4.3.4: no value means that there is nothing newer.
#[test]
fn a_ca_without_a_newer_list_says_so_by_sending_none() {
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    let issuer = Name::from_der(ca.issuing.certificate.subject()).unwrap();
    let question = Question::Crl { source: CrlSource::Issuer(issuer), this_update: Some(now()) };
    ca.info = vec![devid::asn1::cmp::InfoTypeAndValue { info_type: oid::IT_CRLS, value: Vec::new() }];
    let mut device = Device::doing(client.ask(question).unwrap());
    device.complete(&mut ca).unwrap();
    let answer = device.operation.information().expect("an answer");
    assert!(matches!(answer, Information::Crls(lists) if lists.is_empty()), "{answer:?}");
}

/// IEEE 802.1AR: the IDevID vouches for the device, for ever; what it gets is an LDevID over a key of its own.
#[test]
fn an_idevid_without_end_enrols_for_an_ldevid() {
    let mut ca = MockCa::new().issuing(|b| b.valid(date(2020, 1, 1), Time::FOREVER));
    let idevid = Builder::leaf("IDevID 7")
        .valid(date(2020, 1, 1), Time::FOREVER)
        .key_usage(&[KeyUsage::DigitalSignature])
        .signed_by(&ca.supplier);
    assert_eq!(idevid.certificate.not_after(), Time::FOREVER);
    let mut config = Device::config(&ca);
    config.protect_with_certificate(Signer::Key(idevid.key.clone()), idevid.certificate.clone(), Vec::new());
    let mut device = Device::enrolling_as(&config);
    let issued = device.run(&mut ca).unwrap();
    assert_eq!(issued.certificate.not_after(), Time::FOREVER);
    assert!(key_matches_certificate(&*device.new_key, &issued.certificate));
    assert!(!key_matches_certificate(&*idevid.key, &issued.certificate), "a key of its own");
    for message in &ca.received {
        assert_eq!(message.extra_certs().first(), Some(&idevid.certificate), "the IDevID vouches for every message");
    }
}

/// certReq and popo of the one CertReqMsg in a message.
fn request_in(message: &PkiMessage) -> (Vec<u8>, Vec<u8>) {
    let content = content_of(message);
    let mut messages = Cursor::sequence(&content, "CertReqMessages").unwrap();
    let one = messages.expect(Tag::Sequence, "CertReqMsg").unwrap();
    messages.finish().expect("exactly one CertReqMsg");
    let mut fields = Cursor::new(one.value, "CertReqMsg").unwrap();
    (fields.any("certReq").unwrap().bytes.to_vec(), fields.any("popo").unwrap().bytes.to_vec())
}

/// 3GPP TS 33.310 sections 9.5.2 and 9.5.4.2: one PKIMessage, one CertReqMsg, the public key always, the subject where it is known.
#[test]
fn a_base_station_asks_for_one_certificate_over_a_key_of_its_own() {
    for subject in [Device::subject(), Subject::new().nameless()] {
        for by_secret in [false, true] {
            let mut ca = MockCa::new();
            let mut config = Device::config(&ca);
            (config.ask_implicit_confirm, ca.grant_implicit) = (true, true);
            config.apply_profile("3gpp").unwrap();
            if by_secret {
                config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
            }
            let new_key = key();
            let operation = config.build().unwrap().enroll(Signer::Key(new_key.clone()), &subject).unwrap();
            Device::with(operation, new_key.clone()).run(&mut ca).unwrap();
            let (request, _) = request_in(&ca.received[0]);
            let public = element(0xa6, &[&new_key.spki()[element_header(new_key.spki())..]]);
            assert!(request.windows(public.len()).any(|window| window == public), "publicKey [6] is in the template");
            let has_subject = crate::mock_ca::Wanted::read(&ca.received[0]).subject;
            assert_eq!(has_subject.is_empty(), subject.to_template().unwrap().subject.is_none());
            assert_eq!(ca.bodies(), ["ir", "certConf"], "one message each, and an explicit confirmation");
        }
    }
}

/// Length of tag and length octets.
fn element_header(der: &[u8]) -> usize {
    let mut cursor = Cursor::new(der, "element").unwrap();
    der.len() - cursor.any("one").unwrap().value.len()
}

/// 3GPP TS 33.310 section 9.5: the vendor's key signs the message, its certificate and those above go along, and the new key
/// proves itself.
#[test]
fn the_vendors_key_signs_the_message_and_the_new_key_its_own_proof() {
    let mut ca = MockCa::new();
    let vendor_ca = ca.supplier.ca("Vendor CA");
    let vendor = Builder::leaf("Base station 7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&vendor_ca);
    let mut config = Device::config(&ca);
    let chain = vec![vendor_ca.certificate.clone()];
    config.protect_with_certificate(Signer::Key(vendor.key.clone()), vendor.certificate.clone(), chain);
    let mut device = Device::enrolling_as(&config);
    device.run(&mut ca).unwrap();
    let message = &ca.received[0];
    let algorithm = SignatureAlgorithm::from_der(message.header().protection_alg.as_ref().unwrap()).unwrap();
    let verify = |spki: &[u8]| {
        provider().verify(&algorithm, spki, &message.protected_part(), message.protection().unwrap(), false)
    };
    assert!(verify(vendor.key.spki()).is_ok() && verify(device.new_key.spki()).is_err());
    assert_eq!(message.extra_certs(), [vendor.certificate.clone(), vendor_ca.certificate]);
    let (request, proof) = request_in(message);
    let mut fields = Cursor::new(&proof, "ProofOfPossession").unwrap();
    let signing = fields.optional_context(1, true).unwrap().expect("by signature").value;
    let mut parts = Cursor::new(signing, "POPOSigningKey").unwrap();
    let algorithm = SignatureAlgorithm::from_der(parts.any("algorithm").unwrap().bytes).unwrap();
    let signature = &parts.any("signature").unwrap().value[1..];
    provider().verify(&algorithm, device.new_key.spki(), &request, signature, false).expect("over certReq");
    assert!(provider().verify(&algorithm, vendor.key.spki(), &request, signature, false).is_err());
}

/// The hashes of 3GPP TS 33.310: SHA-256 and SHA-384 are sent and taken; SHA-1 and MD5 never.
#[test]
fn answers_under_sha_1_and_md5_are_refused_and_requests_are_under_sha_2() {
    for (kind, wanted) in [(KeyKind::P256, "SHA256"), (KeyKind::P384, "SHA384"), (KeyKind::Rsa(2048), "SHA256")] {
        let mut ca = MockCa::new();
        let mut idevid = Builder::leaf("IDevID 7");
        idevid.key = key_of(kind);
        let idevid = idevid.signed_by(&ca.supplier);
        let mut config = Device::config(&ca);
        config.protect_with_certificate(Signer::Key(idevid.key), idevid.certificate, Vec::new());
        Device::enrolling_as(&config).run(&mut ca).unwrap();
        let sent = SignatureAlgorithm::from_der(ca.received[0].header().protection_alg.as_ref().unwrap()).unwrap();
        assert!(!sent.is_weak() && sent.to_string().replace('-', "").contains(wanted), "{kind}: {sent}");
    }
    const MD5: &str = "1.2.840.113549.1.1.4";
    for weak in ["1.2.840.10045.4.1", "1.2.840.113549.1.1.5", MD5] {
        let algorithm = sequence(&[&encode_oid(oid::Oid::new_unwrap(weak))]);
        let mut ca = MockCa::new().bending(BodyType::IP, move |a| a.header.protection_alg = Some(algorithm.clone()));
        let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
        match weak == MD5 {
            // Nothing here knows it.
            true => assert_eq!(error.code(), Code::Algorithm, "{error}"),
            false => assert!(error.message().contains("too weak to be believed"), "{weak}: {error}"),
        }
        assert_eq!(ca.bodies(), ["ir"], "{weak}");
    }
}
