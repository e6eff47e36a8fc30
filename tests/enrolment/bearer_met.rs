//! Who confirms an update, by which the identity in use is given up: who may decide, or a signer without authority that was
//! there before. A neighbour on the way sees the CA's certificate and can put it under a signature of its own.

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::client::Config;
use devid::cmp::{ActionKind, Operation, Signer};
use devid::validation::KeyUsage;
use devid::{Code, Error};

use crate::certificates::{Builder, Party, key};
use crate::mock_ca::{Answer, Device, MockCa};
use crate::renewal_waits::{Odd, World};

/// What a device under the same CA has.
fn neighbour(ca: &MockCa) -> Party {
    Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing)
}

/// The answer, put under another signature.
fn signed_again_by(answer: &mut Answer, signer: &Party) {
    answer.header.sender = Some(signer.certificate.subject().to_vec());
    answer.header.sender_kid = signer.certificate.subject_key_identifier().map(<[u8]>::to_vec);
    answer.extra_certs.insert(0, signer.certificate.clone());
    answer.signer = Some(signer.clone());
}

fn updating(ca: &MockCa, change: impl FnOnce(&mut Config)) -> Device {
    let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    let mut config = Device::config(ca);
    config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), Vec::new());
    change(&mut config);
    let key = key();
    Device::with(config.build().unwrap().renew(Signer::Key(key.clone())).unwrap(), key)
}

/// Up to certConf, of a certificate that a neighbour has brought.
fn brought_by_neighbour(ca: &mut MockCa, change: impl FnOnce(&mut Config)) -> Device {
    let signer = neighbour(ca);
    brought_by(ca, signer, change)
}

fn brought_by(ca: &mut MockCa, signer: Party, change: impl FnOnce(&mut Config)) -> Device {
    ca.bend = Some(Box::new(move |answer| signed_again_by(answer, &signer)));
    let mut device = updating(ca, change);
    assert_eq!(device.exchange_until_other(ca).unwrap(), ActionKind::Accept, "the certificate is the CA's word");
    device.operation.accept().unwrap();
    device
}

fn is_not_confirmed(error: &Error) {
    assert_eq!(error.code(), Code::Unconfirmed, "{error}");
    assert!(error.message().contains("the certificate in use stays in use"), "{error}");
    assert!(!error.facts().server_authenticated, "{error}");
}

/// An operation without device memory knows nobody from before and gives nothing up: the certificate says by whose word it is confirmed,
/// and its owner decides. In device memory such a word brings no update into use: see the worlds below.
#[test]
fn an_update_by_itself_says_by_whose_word_it_is_confirmed() {
    let told = |ca: &mut MockCa, mut device: Device| {
        let warnings = device.run(ca).unwrap().warnings();
        assert!(
            warnings.iter().any(|told| told.contains("CN=neighbour") && told.contains("pin that signer")),
            "{warnings:?}"
        );
    };
    let mut ca = MockCa::new();
    let device = brought_by_neighbour(&mut ca, |_| ());
    told(&mut ca, device);

    // The same by saying that certConf has been there before (certConfirmed).
    let mut ca = MockCa::new();
    let signer = neighbour(&ca);
    let device = brought_by(&mut ca, signer.clone(), |_| ());
    ca.bend = Some(Box::new(move |answer| {
        let status = PkiStatusInfo { fail_info: Some(1 << 11), ..PkiStatusInfo::new(PkiStatus::Rejection) };
        (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
        signed_again_by(answer, &signer);
    }));
    told(&mut ca, device);

    // By another than who brought it: nobody's word.
    let mut ca = MockCa::new();
    let mut device = brought_by_neighbour(&mut ca, |_| ());
    let other = Builder::leaf("other").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    ca.bend = Some(Box::new(move |answer| signed_again_by(answer, &other)));
    assert_eq!(device.run(&mut ca).unwrap_err().code(), Code::Unconfirmed);

    // The dark twin: the CA's own signer confirms, and there is nothing to tell.
    let mut ca = MockCa::new();
    assert_eq!(updating(&ca, |_| ()).run(&mut ca).unwrap().warnings(), [""; 0]);
}

/// What a neighbour has brought binds nobody: the CA itself confirms it, also after a reboot.
#[test]
fn one_message_of_a_neighbour_does_not_shut_the_ca_out() {
    for is_restored in [false, true] {
        let mut ca = MockCa::new();
        let mut device = brought_by_neighbour(&mut ca, |_| ());
        assert_eq!(device.step().unwrap(), ActionKind::Send);
        if is_restored {
            let (saved, context) = (device.operation.save().unwrap(), device.operation.context().clone());
            device.operation = Operation::restore(context, Signer::Key(device.new_key.clone()), &saved).unwrap();
        }
        ca.bend = None;
        let issued = device.run(&mut ca).unwrap();
        assert_eq!(issued.warnings(), [""; 0], "confirmed by who may");
    }
}

/// A CA whose new signer says nothing of its office: the update waits an hour for a second meeting, the certificate in use stays in
/// use until then, and nothing is asked for twice.
#[test]
fn a_signer_that_nobody_has_met_confirms_an_update_an_hour_later() {
    for forgets in [true, false] {
        let mut world = World::new(false);
        world.ca.signer = Builder::leaf("Server").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&world.ca.issuing);
        world.until_installed(Odd::Right, 0, "the first, confirmed by who brought it");
        world.later(300 * crate::renewal::DAY);
        world.asked.clear();
        // Once certConf was there, the CA knows the transaction no more; or it says pkiConf again.
        world.ca.confirms_once = forgets;
        let before = world.store.current("router").unwrap().certificate;
        world.ca.signer =
            Builder::leaf("New server").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&world.ca.issuing);
        let begun = world.truth.get();
        is_not_confirmed(&world.run(Some(begun)).outcome.unwrap_err());
        assert_eq!(world.store.current("router").unwrap().certificate, before);
        assert!(world.store.pending("router").is_ok());

        world.until_installed(Odd::Right, 2 * 3600, "met twice");
        assert!(world.truth.get().since(begun) >= 3600);
        assert_eq!(world.count(BodyType::KUR), 1);
        assert_ne!(world.store.current("router").unwrap().certificate, before);

        // From now on it is known.
        world.asked.clear();
        world.later(300 * crate::renewal::DAY);
        let report = world.run(Some(world.truth.get()));
        assert!(matches!(report.outcome, Ok(devid::client::renewal::Done::Installed(_))), "{:?}", report.outcome);
    }
}

/// Where somebody with authority has confirmed until now, nobody else does for a week.
#[test]
fn a_signer_without_authority_waits_a_week_where_there_was_one_with_it() {
    let mut world = World::at_renewal(true);
    world.ca.confirms_once = false;
    world.ca.signer = Builder::leaf("New server").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&world.ca.issuing);
    let before = world.store.current("router").unwrap().certificate;
    let begun = world.truth.get();
    let mut wait = 0;
    while world.truth.get().since(begun) + i64::from(wait) < 7 * crate::renewal::DAY {
        world.later(i64::from(wait));
        wait = world.run(Some(world.truth.get())).wait_seconds;
        assert_eq!(world.store.current("router").unwrap().certificate, before);
    }
    world.until_installed(Odd::Right, 3 * crate::renewal::DAY, "after a week");

    // The dark twin: the CA's own server is heard in between, and confirms at once.
    let mut world = World::at_renewal(true);
    (world.ca.confirms_once, world.ca.signer) = (false, Builder::leaf("neighbour").signed_by(&world.ca.issuing));
    let report = world.run(Some(world.truth.get()));
    is_not_confirmed(report.outcome.as_ref().unwrap_err());
    world.ca.signer = Builder::leaf("CMP server")
        .key_usage(&[KeyUsage::DigitalSignature])
        .purposes(&[oid::KP_CMC_RA])
        .signed_by(&world.ca.issuing);
    world.later(i64::from(report.wait_seconds));
    world.until_installed(Odd::Right, 0, "by who may");
}

/// The dark twin: the neighbour was there once, and the CA, which has heard nothing, has given the certificate up.
#[test]
fn a_neighbour_that_was_there_once_brings_nothing_into_use() {
    let mut world = World::at_renewal(true);
    let before = world.store.current("router").unwrap().certificate;
    let signer = Builder::leaf("neighbour").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&world.ca.issuing);
    let server = std::mem::replace(&mut world.ca.signer, signer);
    let mut report = world.run(Some(world.truth.get()));
    is_not_confirmed(report.outcome.as_ref().unwrap_err());
    let staged = world.store.pending("router").unwrap().certificate;

    world.ca.signer = server;
    let mut has_issued_anew = false;
    world.ca.bend = Some(Box::new(move |answer| {
        has_issued_anew |= answer.body_type == BodyType::KUP;
        if !has_issued_anew && matches!(answer.body_type, BodyType::PKICONF | BodyType::GENP) {
            let refused = PkiStatusInfo { fail_info: Some(1 << 2), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&refused.to_der()]));
        }
    }));
    for _ in 0..40 {
        world.later(i64::from(report.wait_seconds));
        report = world.run(Some(world.truth.get()));
        let in_use = world.store.current("router").unwrap().certificate;
        assert!(in_use != staged);
        if in_use != before {
            return;
        }
    }
    panic!("a fresh certificate comes into use: {report:?}, {:?}", world.asked);
}
