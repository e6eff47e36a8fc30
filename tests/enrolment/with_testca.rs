//! Revocation, questions and PKCS #10 with a CA that has a decoder of its own.

use devid::Time;
use devid::asn1::cmp::CrlSource;
use devid::asn1::crl::CrlReason;
use devid::asn1::name::Name;
use devid::asn1::pkcs10::{CertificationRequest, certification_request_info};
use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::cmp::{Action, Information, Operation, Question, Signer};
use devid::crypto::KeyKind;
use devid::crypto::keys::load_private_key;
use devid::validation::Crl;
use devid_testca::{KeyType, Options, TestCa};

use crate::certificates::{key, provider};

/// The CA, a device's settings with the supplier's certificate, and the time.
fn bench() -> (TestCa, Config, Time) {
    let options = Options::default();
    let now = options.now;
    let ca = TestCa::new(options);
    let idevid = ca.idevid("device 1", KeyType::P256, now);
    let mut config = Config::new();
    let key = load_private_key(&**provider(), &idevid.key.pkcs8, None).unwrap();
    config.protect_with_certificate(Signer::Key(key), Certificate::from_der(&idevid.certificate).unwrap(), Vec::new());
    let root = Certificate::from_der(&ca.root.certificate).unwrap();
    config.cmp_anchors.add(root.clone());
    config.enrolment_anchors.add(root);
    (ca, config, Time::from_unix(now))
}

/// Steps an operation to its end; waits take no time.
fn complete(operation: &mut Operation, ca: &mut TestCa, mut now: Time) -> Result<(), devid::Error> {
    loop {
        match operation.step(now)? {
            Action::Send { message, .. } => {
                let answer = ca.answer(message, now.unix());
                operation.feed(&answer)?;
            }
            Action::Wait { seconds, .. } => now = now.plus(i64::from(seconds)),
            Action::Accept(_) => operation.accept()?,
            Action::Done(_) => return Ok(()),
            other => panic!("{other:?}"),
        }
    }
}

fn ask(ca: &mut TestCa, config: &Config, now: Time, question: Question) -> Information {
    let mut operation = config.build().unwrap().ask(question).unwrap();
    complete(&mut operation, ca, now).unwrap_or_else(|e| panic!("{e} {:?}", ca.complaints()));
    operation.information().unwrap().clone()
}

#[test]
fn a_certificate_is_issued_for_a_pkcs10_request_and_revoked_again() {
    let (mut ca, mut config, now) = bench();
    let new_key = key();
    let info = certification_request_info(&Name::common_name("router-7"), new_key.spki(), &[], None);
    let algorithm = new_key.kind().default_signature();
    let signature = new_key.sign(&algorithm, &info).unwrap();
    let csr = CertificationRequest::assemble(&info, &algorithm.to_der(), &signature).unwrap();

    let mut enrolment = config.build().unwrap().enroll_pkcs10(csr.to_pem().as_bytes()).unwrap();
    complete(&mut enrolment, &mut ca, now).unwrap_or_else(|e| panic!("{e} {:?}", ca.complaints()));
    let certificate = enrolment.issued().unwrap().certificate.clone();
    assert_eq!(ca.confirmed, [certificate.as_der().to_vec()]);

    let stranger = config.build().unwrap().revoke(&certificate, CrlReason::Superseded);
    let error = complete(&mut stranger.unwrap(), &mut ca, now).unwrap_err();
    assert!(error.message().contains("notAuthorized"), "another certificate's key: {error}");

    config.protect_with_certificate(Signer::Key(new_key), certificate.clone(), Vec::new());
    ca.knobs.set("other-waiting", "2").unwrap();
    let mut revocation = config.build().unwrap().revoke(&certificate, CrlReason::Superseded).unwrap();
    complete(&mut revocation, &mut ca, now).unwrap_or_else(|e| panic!("{e} {:?}", ca.complaints()));
    assert!(revocation.revoked().is_some());
    let crl = devid::asn1::crl::CertificateList::from_der(std::sync::Arc::new(ca.crl(now.unix()))).unwrap();
    assert_eq!(crl.entry_count(), 1);
    assert!(crl.as_der().windows(certificate.serial().len()).any(|w| w == certificate.serial()));
}

#[test]
fn every_question_of_the_profile_is_answered() {
    let (mut ca, config, now) = bench();

    let Information::CaCerts(helpers) = ask(&mut ca, &config, now, Question::CaCerts) else { panic!() };
    assert_eq!(helpers[0].as_der(), ca.issuing.certificate);

    let old = Certificate::from_der(&ca.root.certificate).unwrap();
    let answer = ask(&mut ca, &config, now, Question::RootUpdate { old: old.clone() });
    let Information::RootUpdate(Some(update)) = answer else { panic!("{answer:?}") };
    assert!(update.new_root() != &old && update.new_root().is_self_issued());

    let answer = ask(&mut ca, &config, now, Question::RequestTemplate);
    let Information::RequestTemplate(Some(template)) = answer else { panic!("{answer:?}") };
    assert!(template.template.subject.as_ref().unwrap().is_null());
    assert_eq!(template.key_kinds(), [KeyKind::P256, KeyKind::Rsa(2048)]);

    let issuer = Name::from_der(Certificate::from_der(&ca.issuing.certificate).unwrap().subject()).unwrap();
    let newer_than = |this_update| Question::Crl { source: CrlSource::Issuer(issuer.clone()), this_update };
    let Information::Crls(crls) = ask(&mut ca, &config, now, newer_than(None)) else { panic!() };
    let made = Crl::from_der(crls[0].clone()).unwrap().this_update();
    assert!(matches!(ask(&mut ca, &config, now, newer_than(Some(made))), Information::Crls(c) if c.is_empty()));
    assert!(
        matches!(ask(&mut ca, &config, now, newer_than(Some(made.plus(-1)))), Information::Crls(c) if c.len() == 1)
    );
    assert!(matches!(ask(&mut ca, &config, now, Question::CurrentCrl), Information::Crls(c) if c.len() == 1));
    assert_eq!(ca.complaints(), [""; 0]);
}
