//! Questions to the server and their answers (RFC 9483 section 4.3).

use devid::asn1::cmp::general::KeySpec;
use devid::asn1::cmp::{BodyType, CrlSource, InfoTypeAndValue};
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::name::Name;
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::cmp::{ActionKind, Information, Question, RootUpdate};
use devid::crypto::KeyKind;
use devid::crypto::algorithm::encode_oid;
use devid::validation::{Crl, KeyUsage};
use devid::{Code, Error};

use crate::certificates::{Builder, Party, common_name, date, directory, key, now};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, content_of};

/// Asks a CA that answers with one item.
fn ask(ca: &mut MockCa, question: Question, answer: Oid, value: Vec<u8>) -> Result<Information, Error> {
    ca.received.clear();
    ca.info = vec![InfoTypeAndValue { info_type: answer, value }];
    let client = Device::config(ca).build().unwrap();
    let mut device = Device::doing(client.ask(question)?);
    device.complete(ca)?;
    Ok(device.operation.information().expect("an answer").clone())
}

/// The value of the one item in the last request, if there is one.
fn asked(ca: &MockCa, info_type: Oid) -> Vec<u8> {
    let content = content_of(ca.received.last().unwrap());
    let start = encode_oid(info_type);
    let at = content.windows(start.len()).position(|w| w == start).expect("the infoType") + start.len();
    content[at..].to_vec()
}

#[test]
fn ca_certificates_are_brought_and_are_trusted_for_nothing() {
    let mut ca = MockCa::new();
    let stranger = Party::root("Stranger");
    let value = sequence(&[ca.issuing.certificate.as_der(), stranger.certificate.as_der()]);

    let answer = ask(&mut ca, Question::CaCerts, oid::IT_CA_CERTS, value).unwrap();

    let Information::CaCerts(certificates) = answer else { panic!("{answer:?}") };
    assert_eq!(certificates, [ca.issuing.certificate.clone(), stranger.certificate]);
    assert_eq!(ca.bodies(), ["genm"], "no confirmation follows");
    assert!(asked(&ca, oid::IT_CA_CERTS).is_empty(), "infoValue must be absent");
}

#[test]
fn a_question_without_an_answer_is_told_from_one_that_was_not_understood() {
    let mut ca = MockCa::new();
    for absent in [Vec::new(), vec![5, 0]] {
        let none = ask(&mut ca, Question::CaCerts, oid::IT_CA_CERTS, absent.clone()).unwrap();
        assert!(matches!(none, Information::CaCerts(list) if list.is_empty()));
        let old = ca.root.certificate.clone();
        let none = ask(&mut ca, Question::RootUpdate { old }, oid::IT_ROOT_CA_KEY_UPDATE, absent.clone()).unwrap();
        assert!(matches!(none, Information::RootUpdate(None)));
        let none = ask(&mut ca, Question::RequestTemplate, oid::IT_CERT_REQ_TEMPLATE, absent).unwrap();
        assert!(matches!(none, Information::RequestTemplate(None)));
    }
    let error = ask(&mut ca, Question::CaCerts, oid::IT_CRLS, Vec::new()).unwrap_err();
    assert_eq!(error.code(), Code::Protocol, "an answer to another question");
    let error = ask(&mut ca, Question::CaCerts, oid::IT_CA_CERTS, vec![0x30, 0x02, 0x05, 0x00]).unwrap_err();
    assert_eq!(error.code(), Code::Der);
}

/// RFC 9810 section 5.3.19.9: the receipt has no value; appendix B: EnvelopedData is a matter of version 3.
#[test]
fn the_receipt_for_a_revocation_passphrase_has_no_value() {
    let mut ca = MockCa::new();
    let recipient = Builder::leaf("revocation").key_usage(&[KeyUsage::KeyAgreement]).signed_by(&ca.root).certificate;
    let mut leave = |value: Vec<u8>| {
        let client = Device::config(&ca).build().unwrap();
        ca.info = vec![InfoTypeAndValue { info_type: oid::IT_REV_PASSPHRASE, value }];
        let passphrase = b"seven old kettles";
        let mut device =
            Device::doing(client.leave_revocation_passphrase(&recipient, "router 7", passphrase, now()).unwrap());
        device.complete(&mut ca)?;
        assert_eq!(ca.received.last().unwrap().header().pvno, 3);
        Ok::<_, Error>(device.operation.information().cloned())
    };
    for absent in [Vec::new(), vec![5, 0]] {
        assert!(matches!(leave(absent), Ok(Some(Information::PassphraseTaken))));
    }
    assert_eq!(leave(encode(&7)).unwrap_err().code(), Code::Protocol);
}

#[test]
fn the_answer_to_a_question_is_checked_like_any_other() {
    fn bent(bend: impl FnMut(&mut Answer) + 'static) -> Code {
        let mut ca = MockCa::new().bending(BodyType::GENP, bend);
        ask(&mut ca, Question::CaCerts, oid::IT_CA_CERTS, Vec::new()).expect_err("not to be taken").code()
    }
    assert_eq!(bent(|a| a.header.recip_nonce = Some(vec![9; 16])), Code::Nonce);
    assert_eq!(bent(|a| a.header.recip_nonce = None), Code::Nonce);
    assert_eq!(bent(|a| a.signer.as_mut().unwrap().key = key()), Code::ProtectionInvalid);
    assert_eq!(bent(|a| a.body_type = BodyType::RP), Code::UnexpectedBody);
}

#[test]
fn a_question_by_secret_is_answered_and_may_be_waited_for() {
    let mut ca = MockCa::new().answers_waiting(1, 60);
    ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: Vec::new() }];
    let mut config = Device::config(&ca);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    let client = config.build().unwrap();
    let mut device = Device::doing(client.ask(Question::CaCerts).unwrap());
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    device.operation = client.restore_keyless(&device.operation.save().unwrap()).unwrap();
    device.complete(&mut ca).expect("answered");
    assert!(device.operation.information().is_some());
    assert_eq!(ca.bodies(), ["genm", "pollReq", "pollReq"]);
}

/// An old root, its successor, and the links between them.
struct Rollover {
    old: Party,
    new: Party,
    new_with_old: Party,
    old_with_new: Party,
}

impl Rollover {
    fn of(old: &Party) -> Self {
        let new = Party::root("Operator root");
        let new_with_old = Builder::ca("Operator root").key(&new.key).signed_by(old);
        let old_with_new = Builder::ca("x").subject(old.certificate.subject().to_vec()).key(&old.key).signed_by(&new);
        Rollover { old: old.clone(), new, new_with_old, old_with_new }
    }

    fn value(&self) -> Vec<u8> {
        value(&self.new.certificate, Some(&self.new_with_old.certificate), Some(&self.old_with_new.certificate))
    }
}

fn value(new: &Certificate, new_with_old: Option<&Certificate>, old_with_new: Option<&Certificate>) -> Vec<u8> {
    let link = |tag, c: Option<&Certificate>| c.map_or_else(Vec::new, |c| element(tag, &[c.as_der()]));
    sequence(&[new.as_der(), &link(0xa0, new_with_old), &link(0xa1, old_with_new)])
}

fn root_update(ca: &mut MockCa, value: Vec<u8>) -> Result<RootUpdate, Error> {
    let old = ca.root.certificate.clone();
    match ask(ca, Question::RootUpdate { old }, oid::IT_ROOT_CA_KEY_UPDATE, value)? {
        Information::RootUpdate(Some(update)) => Ok(update),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_root_is_offered_once_the_old_one_vouches_for_it() {
    let mut ca = MockCa::new();
    let rollover = Rollover::of(&ca.root);

    let update = root_update(&mut ca, rollover.value()).unwrap();

    assert_eq!(update.new_root(), &rollover.new.certificate);
    assert_eq!(update.new_with_old(), &rollover.new_with_old.certificate);
    assert_eq!(update.old_with_new(), Some(&rollover.old_with_new.certificate));
    assert_eq!(asked(&ca, oid::IT_ROOT_CA_CERT), rollover.old.certificate.as_der(), "which root is meant");
    let without = value(&rollover.new.certificate, Some(&rollover.new_with_old.certificate), None);
    assert!(root_update(&mut ca, without).unwrap().old_with_new().is_none());
}

#[test]
fn a_root_keeps_its_name_over_a_change_of_key() {
    let mut ca = MockCa::new();
    let new = Party::root("Operator root");
    let new_with_old = Builder::ca("Operator root").key(&new.key).signed_by(&ca.root);
    let update = root_update(&mut ca, value(&new.certificate, Some(&new_with_old.certificate), None)).unwrap();
    assert_eq!(update.new_root(), &new.certificate);
}

/// The answer is properly protected by an RA that is trusted to protect messages, and brings a root of the RA's making.
/// OpenSSL CVE-2026-42769: there the check of the links said yes to anything.
#[test]
fn a_root_swapped_by_the_ra_is_refused_cve_2026_42769() {
    let mut ca = MockCa::new();
    let good = Rollover::of(&ca.root);
    // A root of the same name as ours, with all links, and none of them by our key.
    let impostor = Rollover::of(&Party::root("Operator root"));
    let (new, link) = (&impostor.new.certificate, &impostor.new_with_old.certificate);
    let self_made = Builder::ca("Operator root").key(&impostor.new.key);
    let self_made = self_made.sign(ca.root.certificate.subject(), &impostor.new.key);
    let swapped = [
        ("a link by another key of our root's name", impostor.value()),
        ("no link at all", value(new, None, None)),
        ("no link but oldWithNew", value(new, None, Some(&impostor.old_with_new.certificate))),
        ("the right link for another root", value(new, Some(&good.new_with_old.certificate), None)),
        ("the old root as its own link", value(new, Some(&ca.root.certificate), None)),
        ("the new root as its own link", value(new, Some(new), None)),
        ("a link signed by the new key in the old name", value(new, Some(&self_made.certificate), None)),
        ("another root beside the right link", value(&good.new.certificate, Some(link), None)),
        ("a wrong oldWithNew", {
            let wrong = Some(&impostor.old_with_new.certificate);
            value(&good.new.certificate, Some(&good.new_with_old.certificate), wrong)
        }),
    ];
    for (what, value) in swapped {
        let error = root_update(&mut ca, value).expect_err(what);
        assert_eq!(error.code(), Code::WrongCertificate, "{what}: {error}");
    }
}

#[test]
fn a_new_root_that_is_no_ca_or_not_valid_or_not_signed_by_itself_is_refused() {
    let mut ca = MockCa::new();
    let root = ca.root.clone();
    let update = |builder: Builder, signer: Option<&Party>| {
        let link = builder.clone().signed_by(&root);
        let new = match signer {
            None => builder.self_signed(),
            Some(other) => builder.clone().sign(&builder.subject, &other.key),
        };
        value(&new.certificate, Some(&link.certificate), None)
    };
    let leaf = Builder::leaf("Operator root").key_usage(&[KeyUsage::DigitalSignature]);
    let expired = Builder::ca("Operator root").valid(date(2020, 1, 1), date(2025, 1, 1));
    for (what, value) in [
        ("no CA", update(leaf, None)),
        ("expired", update(expired, None)),
        ("signed by another", update(Builder::ca("Operator root"), Some(&Party::root("Other")))),
    ] {
        assert_eq!(root_update(&mut ca, value).expect_err(what).code(), Code::WrongCertificate, "{what}");
    }
    assert!(root_update(&mut ca, update(Builder::ca("Operator root"), None)).is_ok());
}

#[test]
fn a_template_tells_what_to_ask_for_and_with_which_keys() {
    let mut ca = MockCa::new();
    let empty_alt_names = sequence(&[&encode_oid(oid::CE_SUBJECT_ALT_NAME), &[0x04, 0x00]]);
    let template = sequence(&[
        &element(0xa3, &[&common_name("Issuing CA")]),
        &element(0xa5, &[&[0x30, 0x00]]),
        &element(0xa9, &[&empty_alt_names]),
    ]);
    let p256 = sequence(&[&encode_oid(oid::EC_PUBLIC_KEY), &encode_oid(oid::CURVE_P256)]);
    let unknown = sequence(&[&encode_oid(oid::SHA256)]);
    let control = |kind: Oid, value: &[u8]| sequence(&[&encode_oid(kind), value]);
    let key_spec = sequence(&[
        &control(oid::REG_CTRL_ALG_ID, &p256),
        &control(oid::REG_CTRL_RSA_KEY_LEN, &encode(&2048u32)),
        &control(oid::REG_CTRL_ALG_ID, &unknown),
        &control(oid::REG_CTRL_REG_TOKEN, &[0x0c, 0x00]),
    ]);
    let value = sequence(&[&template, &key_spec]);
    let mut config = Device::config(&ca);
    config.cert_profile = Some("router".to_owned());
    ca.info = vec![InfoTypeAndValue { info_type: oid::IT_CERT_REQ_TEMPLATE, value: value.clone() }];
    let mut device = Device::doing(config.build().unwrap().ask(Question::RequestTemplate).unwrap());

    device.complete(&mut ca).unwrap();

    let Some(Information::RequestTemplate(Some(found))) = device.operation.information() else { panic!() };
    assert_eq!(found.der, value);
    assert_eq!(found.template.issuer.as_ref().unwrap().as_der(), common_name("Issuing CA"));
    assert!(found.template.subject.as_ref().unwrap().is_null(), "to be filled in");
    assert!(found.template.extensions[0].value.is_empty(), "to be filled in");
    assert_eq!(found.key_specs.len(), 3, "what is no keySpec is passed over");
    assert_eq!(found.key_specs[1], KeySpec::RsaBits(2048));
    assert_eq!(found.key_kinds(), [KeyKind::P256, KeyKind::Rsa(2048)]);
    let words = found.key_words();
    assert!(
        words[0] == "P-256" && words[2].contains("2.16.840.1.101.3.4.2.1") && words[2].contains("not known here"),
        "{words:?}"
    );
    let header = ca.received[0].header();
    assert!(header.info(oid::IT_CERT_PROFILE).is_some(), "RFC 9483 section 3.1: certProfile belongs here");

    let mut device = Device::doing(config.build().unwrap().ask(Question::CaCerts).unwrap());
    device.step().unwrap();
    ca.answer(device.operation.output().unwrap());
    assert!(ca.received[1].header().info(oid::IT_CERT_PROFILE).is_none(), "and not in other questions");
}

fn crl(ca: &MockCa) -> Vec<u8> {
    crate::status::CrlBuilder::of(&ca.issuing).der()
}

#[test]
fn a_newer_crl_comes_and_an_older_or_another_one_is_refused() {
    let mut ca = MockCa::new();
    let list = crl(&ca);
    let made = Crl::from_der(list.clone()).unwrap().this_update();
    let issuer = Name::from_der(ca.issuing.certificate.subject()).unwrap();
    let source = CrlSource::Issuer(issuer.clone());
    let ask_for = |ca: &mut MockCa, source: &CrlSource, this_update| {
        let question = Question::Crl { source: source.clone(), this_update };
        ask(ca, question, oid::IT_CRLS, sequence(&[&list]))
    };

    for known in [None, Some(made.plus(-1))] {
        let answer = ask_for(&mut ca, &source, known).unwrap();
        let Information::Crls(crls) = answer else { panic!("{answer:?}") };
        assert_eq!(crls, std::slice::from_ref(&list));
    }
    let general_name = element(0xa4, &[issuer.as_der()]);
    assert!(asked(&ca, oid::IT_CRL_STATUS_LIST).starts_with(&[0x30]), "CRLStatusListValue");
    let content = asked(&ca, oid::IT_CRL_STATUS_LIST);
    let issuer_choice = element(0xa1, &[&sequence(&[&general_name])]);
    assert!(content.windows(issuer_choice.len()).any(|w| w == issuer_choice), "issuer [1] GeneralNames");

    let error = ask_for(&mut ca, &source, Some(made)).unwrap_err();
    assert_eq!(error.code(), Code::Protocol, "the one at hand is as new: {error}");
    let other = CrlSource::Issuer(Name::from_der(&common_name("Another CA")).unwrap());
    assert_eq!(ask_for(&mut ca, &other, None).unwrap_err().code(), Code::Protocol);
    let point = CrlSource::DistributionPoint("http://ca.example/crl".to_owned());
    assert!(ask_for(&mut ca, &point, None).is_ok(), "which issuer a distribution point has is not known here");
    let uri = element(0xa0, &[&element(0xa0, &[&element(0x86, &[b"http://ca.example/crl"])])]);
    assert!(asked(&ca, oid::IT_CRL_STATUS_LIST).windows(uri.len()).any(|w| w == uri), "dpn [0] fullName [0]");
}

/// RFC 9483 section 4.3.4: by the name of the distribution point whatever its form, else by the CRL's issuer that stands there.
#[test]
fn a_list_is_asked_for_by_the_name_that_the_certificate_has_for_it() {
    use crate::status::{crl_issuer, point_name, point_relative, point_url, points};
    let (issuing, other) = (Party::root("Issuing CA"), common_name("CRL issuer"));
    let asked_for = |fields: &[&[Vec<u8>]]| {
        let builder = Builder::leaf("router-7");
        let builder = match fields {
            [] => builder,
            fields => builder.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(fields)),
        };
        let certificate = builder.signed_by(&issuing).certificate;
        match Question::crl_for(&certificate, None).unwrap() {
            Question::Crl { source, .. } => devid::asn1::cmp::general::crl_status_list(&source, None),
            other => panic!("{other:?}"),
        }
    };
    let holds = |content: &[u8], part: &[u8]| content.windows(part.len()).any(|window| window == part);
    let directory_point = point_name(&[directory(&other)]);
    assert!(holds(&asked_for(&[&[point_url("http://a/b")]]), b"http://a/b"));
    assert!(holds(&asked_for(&[std::slice::from_ref(&directory_point)]), &directory_point));
    let relative = point_relative("list 1");
    assert!(holds(&asked_for(&[&[relative.clone(), crl_issuer(&other)]]), &relative));
    assert!(holds(&asked_for(&[&[crl_issuer(&other)]]), &element(0xa1, &[&sequence(&[&element(0xa4, &[&other])])])));
    let by_issuer = element(0xa1, &[&sequence(&[&element(0xa4, &[issuing.certificate.subject()])])]);
    assert!(holds(&asked_for(&[]), &by_issuer));
}

#[test]
fn the_current_crl_comes_without_saying_which() {
    let mut ca = MockCa::new();
    let list = crl(&ca);
    let answer = ask(&mut ca, Question::CurrentCrl, oid::IT_CURRENT_CRL, list.clone()).unwrap();
    assert!(matches!(answer, Information::Crls(crls) if crls == [list]));
    assert!(ask(&mut ca, Question::CurrentCrl, oid::IT_CURRENT_CRL, vec![0x30, 0x00]).is_err());
}

#[test]
fn a_vendors_question_is_passed_through_as_it_is() {
    let mut ca = MockCa::new();
    let vendor = Oid::new_unwrap("1.3.6.1.4.1.99999.1");
    let question = Question::Other(InfoTypeAndValue { info_type: vendor, value: vec![0x0c, 0x02, b'h', b'i'] });
    let answer = ask(&mut ca, question, vendor, vec![0x02, 0x01, 0x2a]).unwrap();
    let Information::Other(items) = answer else { panic!("{answer:?}") };
    assert_eq!(items, [InfoTypeAndValue { info_type: vendor, value: vec![0x02, 0x01, 0x2a] }]);
    assert_eq!(asked(&ca, vendor), [0x0c, 0x02, b'h', b'i']);
}

#[test]
fn every_question_survives_a_reboot() {
    let vendor = InfoTypeAndValue { info_type: Oid::new_unwrap("1.3.6.1.4.1.99999.1"), value: vec![5, 0] };
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    let issuer = Name::from_der(ca.issuing.certificate.subject()).unwrap();
    for question in [
        Question::CaCerts,
        Question::RootUpdate { old: ca.root.certificate.clone() },
        Question::RequestTemplate,
        Question::Crl { source: CrlSource::Issuer(issuer), this_update: Some(now()) },
        Question::Crl { source: CrlSource::DistributionPoint("http://ca.example/crl".to_owned()), this_update: None },
        Question::CurrentCrl,
        Question::Other(vendor),
    ] {
        let mut device = Device::doing(client.ask(question.clone()).unwrap());
        assert_eq!(device.step(), Ok(ActionKind::Send));
        let restored = client.restore_keyless(&device.operation.save().unwrap()).unwrap();
        assert_eq!(restored.request().question(), Some(&question));
        assert_eq!(restored.output(), device.operation.output());
    }
    ca.received.clear();
}

/// The damage stands under the RA's good protection: only the links themselves can give it away.
#[test]
fn no_root_update_with_a_changed_byte_is_offered() {
    let mut ca = MockCa::new();
    let good = Rollover::of(&ca.root).value();
    assert!(root_update(&mut ca, good.clone()).is_ok());
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(root_update(&mut ca, changed).is_err(), "byte {at} was changed and the root offered");
    }
}

#[test]
fn damaged_values_in_good_answers_are_errors_or_answers_and_never_panics() {
    let mut ca = MockCa::new();
    let list = crl(&ca);
    let point =
        Question::Crl { source: CrlSource::DistributionPoint("http://ca.example/crl".to_owned()), this_update: None };
    let template = sequence(&[&sequence(&[&element(0xa5, &[&common_name("x")]), &element(0xa9, &[])])]);
    for (question, answer, value) in [
        (Question::CaCerts, oid::IT_CA_CERTS, sequence(&[ca.issuing.certificate.as_der()])),
        (Question::RequestTemplate, oid::IT_CERT_REQ_TEMPLATE, template),
        (point, oid::IT_CRLS, sequence(&[&list])),
        (Question::CurrentCrl, oid::IT_CURRENT_CRL, list.clone()),
    ] {
        ask(&mut ca, question.clone(), answer, value.clone()).expect("undamaged");
        for at in (0..value.len()).step_by(5) {
            let mut changed = value.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = ask(&mut ca, question.clone(), answer, changed);
            // One infoValue, cut short.
            assert!(ask(&mut ca, question.clone(), answer, value[..at].to_vec()).is_err() || at == 0, "cut at {at}");
        }
    }
}

/// What is known against a signer is known against the link to a new root.
#[test]
fn a_new_root_whose_link_is_revoked_is_refused() {
    use devid::validation::{RevocationPolicy, StatusSources};
    let mut ca = MockCa::new();
    let new = Builder::ca("Operator root").self_signed();
    let link = Builder::ca("Operator root").key(&new.key).signed_by(&ca.root);
    let sent = value(&new.certificate, Some(&link.certificate), None);
    ca.info = vec![InfoTypeAndValue { info_type: oid::IT_ROOT_CA_KEY_UPDATE, value: sent }];
    for policy in [RevocationPolicy::soft_fail(), RevocationPolicy::hard_fail()] {
        for revoked in [false, true] {
            let list = |list: crate::status::CrlBuilder| if revoked { list.revokes(&link) } else { list };
            let mut config = Device::config(&ca);
            config.signer_revocation = policy.clone();
            config.signer_status = StatusSources {
                crls: vec![
                    list(crate::status::CrlBuilder::of(&ca.root)).build(),
                    crate::status::CrlBuilder::of(&ca.issuing).build(),
                ],
                ..StatusSources::none()
            };
            let question = Question::RootUpdate { old: ca.root.certificate.clone() };
            let mut device = Device::doing(config.build().unwrap().ask(question).unwrap());
            let outcome = device.complete(&mut ca).map_err(|e| e.code());
            assert_eq!(outcome, if revoked { Err(Code::WrongCertificate) } else { Ok(()) }, "{policy:?}");
        }
    }
}
