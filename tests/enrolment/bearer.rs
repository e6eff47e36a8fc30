//! A signer under the CMP anchors that nothing makes the CA's: what proves itself is taken from it, and nothing else.

use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid::{self, Oid};
use devid::client::Config;
use devid::cmp::{ActionKind, Information, Operation, Question, Signer, SignerAuthorisation, Tolerance};
use devid::validation::KeyUsage;
use devid::{Code, Error};

use crate::certificates::{Builder, Party, common_name, date, uri};
use crate::mock_ca::{Device, MockCa, cert_rep};

/// A question of a vendor's own.
const VENDOR: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.5");

/// A CA that signs answers with an ordinary certificate, as a device under the same root has one.
fn ordinary() -> MockCa {
    let mut ca = MockCa::new();
    ca.signer = Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    ca
}

/// A certificate that the CA issued before, and settings in which it is the credential.
fn in_use(ca: &MockCa) -> (Party, Config) {
    let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    let mut config = Device::config(ca);
    config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), Vec::new());
    (own, config)
}

/// Refused for want of authority; what was said is told and not believed.
fn is_not_believed(error: &Error, words: &str) {
    assert_eq!(error.code(), Code::ProtectionInvalid, "{error}");
    assert!(error.message().contains("not authorised to answer"), "{error}");
    assert!(error.message().contains(words), "{error}");
    assert!(!error.facts().server_authenticated, "{error}");
}

#[test]
fn a_certificate_over_the_new_key_is_the_cas_word_whoever_brings_it() {
    let mut ca = ordinary();
    let mut device = Device::enrolling_with(&ca);
    let issued = device.run(&mut ca).unwrap();
    assert!(issued.differences.is_empty());
    assert!(issued.warnings()[0].contains("may not decide for the CA"), "{:?}", issued.warnings());
    assert_eq!(ca.bodies(), ["ir", "certConf"]);

    for said in [
        SignerAuthorisation::by_purpose(),
        SignerAuthorisation::named(devid::asn1::name::Name::common_name("CMP server")),
        SignerAuthorisation::pinned(vec![ca.issuing.certificate.clone()]),
    ] {
        let mut config = Device::config(&ca);
        config.authorisation = said;
        let error = Device::enrolling_as(&config).run(&mut ca).unwrap_err();
        assert_eq!(error.code(), Code::ProtectionInvalid, "the owner has said who is to sign: {error}");
    }
    for strict in [Tolerance::strict_rfc9483(), Tolerance { unauthorised_bearer: false, ..Tolerance::default() }] {
        let mut config = Device::config(&ca);
        config.tolerance = strict;
        is_not_believed(&Device::enrolling_as(&config).run(&mut ca).unwrap_err(), "pin the certificate");
    }
}

/// Every CA below the root can issue over a key that it has seen in a request. The one that renews is the one that issued before.
#[test]
fn what_another_ca_below_the_root_has_issued_is_not_the_cas_word() {
    let renewing = |other: Option<Builder>, is_first: bool| {
        let mut ca = ordinary();
        let config = if is_first { Device::config(&ca) } else { in_use(&ca).1 };
        let mut config = config;
        if let Some(builder) = other {
            let issuer = builder.signed_by(&ca.root);
            config.intermediates.push(issuer.certificate.clone());
            ca.other_issuer = Some(issuer);
        }
        let mut device = match is_first {
            true => Device::enrolling_as(&config),
            false => {
                let key = crate::certificates::key();
                Device::with(config.build().unwrap().renew(Signer::Key(key.clone())).unwrap(), key)
            }
        };
        let outcome = device.run(&mut ca).map(|_| ()).map_err(|error| error.code());
        (outcome, device.operation.issued().is_some())
    };
    let refused = (Err(Code::ProtectionInvalid), false);
    let for_tls = || Builder::ca("TLS CA").path_len(0).purposes(&[oid::KP_SERVER_AUTH]);
    assert_eq!(renewing(None, false), (Ok(()), true));
    assert_eq!(renewing(Some(for_tls()), false), refused);
    assert_eq!(renewing(Some(Builder::ca("Partner")), false), refused);
    // Before the first certificate any CA may be the one, but not one for other purposes.
    assert_eq!(renewing(Some(Builder::ca("Partner")), true), (Ok(()), true));
    assert_eq!(renewing(Some(for_tls()), true), refused);
}

#[test]
fn a_certificate_that_the_ca_did_not_issue_for_this_key_proves_nothing() {
    // Over another key; by a CA elsewhere.
    let mut ca = ordinary().issuing(|mut builder| {
        builder.spki = Some(crate::certificates::key().spki().to_vec());
        builder
    });
    is_not_believed(&Device::enrolling_with(&ca).run(&mut ca).unwrap_err(), "accepted");
    assert_eq!(ca.bodies(), ["ir"], "a stranger is told no refusal");
    let mut ca = ordinary();
    ca.other_issuer = Some(Party::root("Elsewhere").ca("Issuing CA"));
    is_not_believed(&Device::enrolling_with(&ca).run(&mut ca).unwrap_err(), "accepted");

    // Who has no path to the CMP anchors brings nothing, whatever it is.
    let mut ca = MockCa::new();
    ca.signer = Party::root("Elsewhere").leaf("CMP server");
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("is not trusted"), "{error}");
    // Nor who stands under a CA that is confined to some names.
    let mut ca = MockCa::new();
    let partner = Builder::ca("Partner").constraints(&[uri("partner.example")], &[]).signed_by(&ca.root);
    ca.signer = partner.leaf("CMP server");
    ca = ca.bending(BodyType::IP, move |a| a.extra_certs.push(partner.certificate.clone()));
    is_not_believed(&Device::enrolling_with(&ca).run(&mut ca).unwrap_err(), "");
}

/// The old certificate over a key that goes on being used, kept by somebody, is no answer to a key update.
#[test]
fn an_old_certificate_is_no_new_one() {
    let mut ca = ordinary();
    let (own, config) = in_use(&ca);
    let older =
        Builder::leaf("router-7").key(&own.key).valid(date(2025, 1, 1), date(2026, 12, 30)).signed_by(&ca.issuing);
    for replayed in [&own, &older] {
        let certificate = replayed.certificate.clone();
        ca = ca.bending(BodyType::KUP, move |a| {
            a.content = cert_rep(0, &PkiStatusInfo::new(PkiStatus::Accepted), Some(&certificate));
        });
        let update = config.build().unwrap().renew(Signer::Key(own.key.clone())).unwrap();
        is_not_believed(&Device::with(update, own.key.clone()).run(&mut ca).unwrap_err(), "accepted");
    }
    ca.bend = None;
    let update = config.build().unwrap().renew(Signer::Key(own.key.clone())).unwrap();
    let mut device = Device::with(update, own.key.clone());
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Accept);
}

#[test]
fn refusals_revocations_and_errors_are_told_and_not_believed() {
    let mut ca = ordinary();
    ca.status = PkiStatusInfo { texts: vec!["account closed".to_owned()], ..PkiStatusInfo::new(PkiStatus::Rejection) };
    is_not_believed(&Device::enrolling_with(&ca).run(&mut ca).unwrap_err(), "account closed");

    let (own, config) = in_use(&ca);
    let client = config.build().unwrap();
    for status in [PkiStatus::Accepted, PkiStatus::Rejection] {
        ca.status = PkiStatusInfo::new(status);
        let mut device = Device::doing(client.revoke(&own.certificate, CrlReason::Superseded).unwrap());
        is_not_believed(&device.complete(&mut ca).unwrap_err(), status.name());
        assert!(device.operation.revoked().is_none());
    }
    // certRevoked in answer to an update makes nobody believe that.
    let mut ca = ca.bending(BodyType::KUP, |a| {
        let status = PkiStatusInfo { fail_info: Some(1 << 10), ..PkiStatusInfo::new(PkiStatus::Rejection) };
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
    });
    let update = client.renew(Signer::Key(crate::certificates::key())).unwrap();
    is_not_believed(&Device::doing(update).run(&mut ca).unwrap_err(), "certRevoked");
}

#[test]
fn it_may_put_off_and_the_ca_may_still_answer_itself() {
    let mut ca = ordinary().answers_waiting(2, 30);
    Device::enrolling_with(&ca).run(&mut ca).unwrap();

    // Put off by a neighbour, answered by the CA's own signer: nobody was bound by waiting.
    let mut ca = ordinary().answers_waiting(2, 30);
    let signer = Builder::leaf("CMP server")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CMC_RA])
        .signed_by(&ca.issuing);
    let mut device = Device::enrolling_with(&ca);
    device.exchange_until_other(&mut ca).unwrap();
    ca.signer = signer;
    device.run(&mut ca).unwrap();

    // A refusal while waiting is dropped; the operation goes on.
    let mut ca = ordinary().answers_waiting(1, 30);
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
    device.clock = device.clock.plus(31);
    let mut refusing = ca.bending(BodyType::IP, |a| {
        a.content = cert_rep(0, &PkiStatusInfo::new(PkiStatus::Rejection), None);
    });
    assert_eq!(device.exchange_until_other(&mut refusing).unwrap(), ActionKind::Wait);
    assert!(device.wait_reason()[0].contains("proves nothing"));
}

/// pkiConf counts from who brought the certificate, and from nobody else without authority.
#[test]
fn only_who_brought_the_certificate_may_confirm_it() {
    let mut ca = MockCa::new();
    let neighbour = Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    for first in [ca.signer.clone(), ordinary().signer] {
        ca.signer = first;
        let neighbour = neighbour.clone();
        ca = ca.bending(BodyType::PKICONF, move |a| {
            a.header.sender = Some(neighbour.certificate.subject().to_vec());
            a.header.sender_kid = neighbour.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            a.extra_certs = vec![neighbour.certificate.clone()];
            a.signer = Some(neighbour.clone());
        });
        assert!(Device::enrolling_with(&ca).run(&mut ca).is_err());
    }
    // It is remembered across a reboot.
    let mut ca = ordinary();
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Accept);
    device.operation.accept().unwrap();
    assert_eq!(device.step().unwrap(), ActionKind::Send);
    let saved = device.operation.save().unwrap();
    let context = device.operation.context().clone();
    device.operation = Operation::restore(context, Signer::Key(device.new_key.clone()), &saved).unwrap();
    device.exchange_until_other(&mut ca).unwrap();
    assert!(device.operation.is_done());
}

/// Who may put off the confirmation is who has brought the certificate: a neighbour's "waiting" would have the device poll for what waits
/// nowhere, in place of sending certConf again.
#[test]
fn the_confirmation_is_put_off_by_who_brought_the_certificate_alone() {
    let base = ordinary();
    let neighbour = Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&base.issuing);
    for signer in [base.signer.clone(), neighbour] {
        let is_spokesman = signer.certificate == base.signer.certificate;
        let mut ca = ordinary();
        (ca.root, ca.issuing, ca.signer) = (base.root.clone(), base.issuing.clone(), base.signer.clone());
        ca.confirm_waits = 1;
        ca.bend = Some(Box::new(move |answer| {
            if answer.body_type == BodyType::ERROR {
                answer.header.sender = Some(signer.certificate.subject().to_vec());
                answer.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
                answer.extra_certs[0] = signer.certificate.clone();
                answer.signer = Some(signer.clone());
            }
        }));
        let outcome = Device::enrolling_with(&ca).run(&mut ca);
        match outcome {
            Ok(_) => assert!(is_spokesman && ca.bodies()[..3] == ["ir", "certConf", "pollReq"], "{:?}", ca.bodies()),
            Err(error) => {
                assert!(!is_spokesman && error.code() == Code::Unconfirmed, "{error}");
                assert_eq!(ca.bodies(), ["ir", "certConf"], "nothing is polled for");
            }
        }
    }
}

#[test]
fn of_information_only_what_an_anchor_vouches_for_is_taken() {
    let mut ca = ordinary();
    let client = Device::config(&ca).build().unwrap();
    let ask = |ca: &mut MockCa, question: Question, items: Vec<InfoTypeAndValue>| -> Result<Information, Error> {
        ca.info = items;
        let mut device = Device::doing(client.ask(question)?);
        device.complete(ca)?;
        Ok(device.operation.information().expect("an answer").clone())
    };
    let certificates = |list: &[&Party]| {
        let ders: Vec<&[u8]> = list.iter().map(|party| party.certificate.as_der()).collect();
        vec![InfoTypeAndValue { info_type: oid::IT_CA_CERTS, value: sequence(&ders) }]
    };
    let (root, issuing, neighbour) = (ca.root.clone(), ca.issuing.clone(), ca.signer.clone());
    assert!(ask(&mut ca, Question::CaCerts, certificates(&[&root, &issuing])).is_ok());
    for lie in [&neighbour, &Party::root("Elsewhere")] {
        is_not_believed(&ask(&mut ca, Question::CaCerts, certificates(&[&issuing, lie])).unwrap_err(), "");
    }
    let vendor = Question::other(VENDOR, &[]).unwrap();
    assert!(matches!(ask(&mut ca, vendor.clone(), Vec::new()), Ok(Information::Other(list)) if list.is_empty()));
    let said = vec![InfoTypeAndValue { info_type: VENDOR, value: neighbour.certificate.as_der().to_vec() }];
    is_not_believed(&ask(&mut ca, vendor, said).unwrap_err(), "");
    let template = sequence(&[&element(0x30, &[&element(0xa5, &[&common_name("spy")])])]);
    let said = vec![InfoTypeAndValue { info_type: oid::IT_CERT_REQ_TEMPLATE, value: template }];
    is_not_believed(&ask(&mut ca, Question::RequestTemplate, said).unwrap_err(), "");
}
