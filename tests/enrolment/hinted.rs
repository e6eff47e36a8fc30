//! Hints are bound to what happened, and name what helps.

use devid::asn1::cmp::{BodyType, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::cmp::{SavedOperation, Signer};
use devid::limits::Limits;
use devid::transport::{ExchangeFn, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Code, Error};

use crate::certificates::{self, Party, key, now};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET};

/// The clock of the CA in memory.
struct Then;

impl devid::client::Owner for Then {
    fn now(&mut self) -> devid::Time {
        now()
    }

    fn wait(&mut self, _seconds: u32, _reason: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

fn refused(mut ca: MockCa, config: &devid::client::Config) -> Error {
    Device::enrolling_as(config).run(&mut ca).unwrap_err()
}

fn hint(error: &Error) -> &'static str {
    error.facts().hint.unwrap_or_else(|| panic!("no hint: {}", error.report()))
}

/// A switch that weakens is named only where it is what is needed: neither name nor identifier fits, as the signer's own certificate is
/// not there.
#[test]
fn a_signer_whose_certificate_did_not_come_is_told_as_that() {
    let ca = MockCa::new().bending(BodyType::IP, |a: &mut Answer| drop(a.extra_certs.remove(0)));
    let error = refused(ca, &Device::config(&MockCa::new()));
    assert!(hint(&error).contains("did not come along"), "{}", error.report());
    // It is there under another name: then it is the name.
    let ca = MockCa::new()
        .bending(BodyType::IP, |a: &mut Answer| a.header.sender = Some(certificates::common_name("somebody")));
    let config = Device::config(&ca);
    assert!(hint(&refused(ca, &config)).contains("other_sender_name"));
}

#[test]
fn who_is_not_known_by_a_secret_is_not_told_of_suppliers() {
    let bend = |a: &mut Answer| {
        let refusal = PkiStatusInfo { fail_info: Some(1 << 20), ..PkiStatusInfo::new(PkiStatus::Rejection) };
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&refusal.to_der()]));
    };
    let (by_secret, signed) = (MockCa::new().bending(BodyType::IP, bend), MockCa::new().bending(BodyType::IP, bend));
    let mut config = Device::config(&by_secret);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    let error = refused(by_secret, &config);
    assert!(hint(&error).contains("reference value") && !hint(&error).contains("supplier"), "{}", error.report());
    let config = Device::config(&signed);
    assert!(hint(&refused(signed, &config)).contains("supplier"));
}

/// The server must be set to another version; a switch about errors does not help an answer that is none.
#[test]
fn an_answer_of_version_1_asks_for_another_profile_of_the_server() {
    let ca = MockCa::new().bending(BodyType::IP, |a: &mut Answer| a.header.pvno = 1);
    let config = Device::config(&ca);
    let error = refused(ca, &config);
    assert_eq!(error.code(), Code::UnknownVersion);
    assert!(hint(&error).contains("CMP 2000") && !hint(&error).contains("old_version_errors"), "{}", error.report());
}

#[test]
fn certificates_that_the_limit_leaves_out_are_told_where_one_is_missing() {
    let others: Vec<_> = (0..5).map(|n| Party::root(&format!("Unrelated {n}")).certificate).collect();
    let with = |most: usize| {
        let others = others.clone();
        let ca = MockCa::new().bending(BodyType::IP, move |a: &mut Answer| {
            let above = a.extra_certs.pop().unwrap();
            a.extra_certs.extend(others.iter().cloned());
            a.extra_certs.push(above);
        });
        let mut config = Device::config(&ca);
        config.limits.max_certificates = most;
        (ca, config)
    };
    let (ca, config) = with(4);
    let error = refused(ca, &config);
    assert!(error.message().contains("max_certificates"), "{}", error.report());
    let (mut ca, config) = with(7);
    assert!(Device::enrolling_as(&config).run(&mut ca).is_ok());
    // Where nothing is missing, nothing is said of it.
    let ca = MockCa::new().bending(BodyType::IP, |a: &mut Answer| drop(a.extra_certs.pop()));
    let config = Device::config(&ca);
    assert!(!refused(ca, &config).message().contains("max_certificates"));
}

/// URL and port were right a moment ago.
#[test]
fn what_fails_after_an_answer_is_not_a_matter_of_the_url() {
    let status = |status| TransportError {
        status: Some(status),
        ..TransportError::new(TransportErrorKind::HttpStatus, Phase::Await, "an HTTP status")
    };
    for (fails_at, words) in [(BodyType::CERTCONF, "is not confirmed"), (BodyType::IR, "no such path")] {
        let mut ca = MockCa::new();
        let config = Device::config(&ca);
        let client = config.build().unwrap();
        let mut operation = client.enroll(Signer::Key(key()), &Device::subject()).unwrap();
        let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| {
            let read = PkiMessage::from_der(request.to_vec(), &Limits::default()).unwrap();
            if read.body_type() == fails_at { Err(status(404)) } else { Ok(Reply::from_body(ca.answer(request))) }
        });
        let error = client.run_over(&mut operation, &mut exchange, &mut Then).unwrap_err();
        assert!(hint(&error).contains(words), "{fails_at}: {}", error.report());
    }
}

/// The CA's words in a protected answer are told, whatever becomes of the answer.
#[test]
fn an_error_in_answer_to_a_poll_is_kept_with_its_words() {
    let mut ca = MockCa::new().answers_waiting(9, 60).bending(BodyType::POLLREP, |a: &mut Answer| {
        let refusal = PkiStatusInfo {
            fail_info: Some(1 << 2),
            texts: vec!["gone".to_owned()],
            ..PkiStatusInfo::new(PkiStatus::Rejection)
        };
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&refusal.to_der()]));
    });
    let mut device = Device::enrolling_with(&ca);
    device.exchange_until_other(&mut ca).unwrap();
    let saved = SavedOperation::read(&device.operation.save().unwrap()).unwrap();
    let told = saved.reason.join("; ");
    assert_eq!(saved.dropped, 1);
    assert!(told.contains("badRequest") && told.contains("gone"), "{told}");
}

#[test]
fn a_ca_pinned_in_its_signers_place_is_told_as_that() {
    let ca = MockCa::new();
    let refused_by = |pin: devid::asn1::x509::Certificate| {
        let mut config = Device::config(&ca);
        config.pin_signers(vec![pin]);
        Device::enrolling_as(&config).run(&mut clone_of(&ca)).unwrap_err()
    };
    let error = refused_by(ca.issuing.certificate.clone());
    assert!(error.message().contains("the signer's own certificate"), "{}", error.report());
    let error = refused_by(Party::root("Elsewhere").certificate);
    assert!(!error.message().contains("the signer's own certificate"), "{}", error.report());
}

/// Another server of the same CA.
fn clone_of(ca: &MockCa) -> MockCa {
    let mut other = MockCa::new();
    (other.root, other.issuing, other.signer) = (ca.root.clone(), ca.issuing.clone(), ca.signer.clone());
    other.supplier = ca.supplier.clone();
    other
}
