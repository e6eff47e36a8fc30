//! What a saved operation must carry so that a reboot takes nothing away: with each field left out one of these fails.

use devid::Code;
use devid::asn1::cmp::BodyType;
use devid::asn1::der::{Cursor, Tag, element, encode, sequence};
use devid::asn1::oid;
use devid::client::Config;
use devid::cmp::{ActionKind, Operation, Signer};
use devid::crypto::DigestAlgorithm;
use devid::validation::KeyUsage;

use crate::certificates::{Builder, provider};
use crate::mock_ca::{Device, MockCa};

/// The device after a power cut: the operation from its saved form.
fn reboot(device: Device, config: &Config) -> Device {
    let saved = device.operation.save().expect("it can be saved here");
    let context = config.build().unwrap().context().clone();
    let operation = Operation::restore(context, Signer::Key(device.new_key.clone()), &saved).expect("restored");
    Device { operation, ..device }
}

/// To the next wait, which is waited out.
fn wait_out(device: &mut Device, ca: &mut MockCa) -> u32 {
    assert_eq!(device.exchange_until_other(ca), Ok(ActionKind::Wait));
    let seconds = device.wait_seconds();
    device.clock = device.clock.plus(i64::from(seconds));
    seconds
}

#[test]
fn the_number_of_polls() {
    let mut ca = MockCa::new().answers_waiting(100, 30);
    let mut config = Device::config(&ca);
    config.limits.max_polls = 5;
    let mut device = Device::enrolling_as(&config);
    let mut waits = 0;
    let error = loop {
        match device.exchange_until_other(&mut ca) {
            Ok(ActionKind::Wait) => device.clock = device.clock.plus(30),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        waits += 1;
        assert!(waits < 20, "each reboot begins to count anew");
        device = reboot(device, &config);
    };
    assert_eq!((error.code(), waits), (Code::PollExhausted, 5));
}

#[test]
fn the_beginning_of_the_transaction() {
    let mut ca = MockCa::new().answers_waiting(100, 3600);
    let mut config = Device::config(&ca);
    config.limits.max_total_seconds = 4 * 3600;
    let mut device = Device::enrolling_as(&config);
    let begun = device.clock;
    let error = loop {
        match device.exchange_until_other(&mut ca) {
            Ok(ActionKind::Wait) => device.clock = device.clock.plus(3600),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(device.clock.since(begun) < 20 * 3600, "each reboot begins the time anew");
        device = reboot(device, &config);
    };
    assert_eq!(error.code(), Code::PollExhausted);
    assert!(error.message().contains(&begun.to_string()), "{error}");
}

/// The other one, who may sign too.
fn other_ra(ca: &MockCa) -> crate::certificates::Party {
    Builder::leaf("other RA")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CMC_RA])
        .signed_by(&ca.issuing)
}

#[test]
fn the_signer_that_the_transaction_is_bound_to() {
    let mut ca = MockCa::new();
    ca.confirm_waits = 1;
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Accept);
    device.operation.accept().unwrap();
    wait_out(&mut device, &mut ca);
    device = reboot(device, &config);
    // Who has brought the certificate confirms it, and not another who may sign too.
    ca.signer = other_ra(&ca);
    assert_eq!(wait_out(&mut device, &mut ca), 60);
    assert!(device.wait_reason()[0].contains("proves nothing"), "{:?}", device.wait_reason());
}

#[test]
fn who_has_put_off_and_how_often_an_answer_was_dropped() {
    let mut ca = MockCa::new().answers_waiting(6, 30);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    wait_out(&mut device, &mut ca);
    device = reboot(device, &config);
    let first = ca.signer.clone();
    ca.signer = Builder::leaf("stranger").purposes(&[oid::KP_CMC_RA]).signed_by(&ca.supplier);
    assert_eq!(wait_out(&mut device, &mut ca), 60);
    assert!(device.wait_reason()[0].contains("proves nothing"), "{:?}", device.wait_reason());
    device = reboot(device, &config);
    assert_eq!(wait_out(&mut device, &mut ca), 120);
    // Who has put off is known, also where its answers bring no certificates; another who may sign goes on as well.
    ca.signer = first;
    ca = ca.bending(BodyType::POLLREP, |answer| answer.extra_certs.clear());
    device = reboot(device, &config);
    assert_eq!(wait_out(&mut device, &mut ca), 30);
    device = reboot(device, &config);
    ca.bend = None;
    ca.signer = other_ra(&ca);
    device.run(&mut ca).expect("the other brings it");
}

#[test]
fn the_nonce_of_the_request_whose_answer_is_delayed() {
    let mut ca = MockCa::new().answers_waiting(1, 30);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    wait_out(&mut device, &mut ca);
    // The last answer names the nonce of ir (RFC 9483 section 4.4).
    reboot(device, &config).run(&mut ca).expect("issued");
}

#[test]
fn the_version_of_its_form_and_the_digest_over_it() {
    let mut ca = MockCa::new().answers_waiting(1, 30);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    wait_out(&mut device, &mut ca);
    let saved = device.operation.save().unwrap();
    let context = || config.build().unwrap().context().clone();
    let restore = |saved: &[u8]| {
        Operation::restore(context(), Signer::Key(device.new_key.clone()), saved).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(restore(&saved), Ok(()));
    let mut outer = Cursor::sequence(&saved, "saved").unwrap();
    let content = outer.expect(Tag::Sequence, "the content").unwrap().value;
    let mut fields = Cursor::new(content, "content").unwrap();
    let version: i64 = fields.decode().unwrap();
    let rest = &content[encode(&version).len()..];
    let written = |number: i64| {
        let content = sequence(&[&encode(&number), rest]);
        let digest = provider().digest(DigestAlgorithm::Sha256, &[&content]).unwrap();
        sequence(&[&content, &element(0x04, &[&digest])])
    };
    assert_eq!(written(version), saved);
    for other in [version - 1, version + 1, 0] {
        assert_eq!(restore(&written(other)), Err(Code::UnknownVersion));
    }
    assert!(ca.bodies().contains(&BodyType::POLLREQ.name()));
}
