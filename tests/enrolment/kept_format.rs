//! Saved operations of today's form and what renewal remembers, kept in `tests/vectors/device-memory`: a device that is updated
//! while its CA takes its time goes on.

use std::fs;
use std::path::{Path, PathBuf};

use devid::Code;
use devid::asn1::cmp::BodyType;
use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::cmp::{ActionKind, Operation, SavedCredential, SavedOperation, SavedState, Signer};
use devid::crypto::keys::load_private_key;

use crate::certificates::{now, provider};
use crate::mock_ca::{Device, LIGHT_MAC, MockCa, REFERENCE, SECRET};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/device-memory/snapshot-4")
}

/// Of the CA of then.
fn config() -> Config {
    let mut config = Device::config(&MockCa::new());
    let root = Certificate::many_from_bytes(&fs::read(vectors().join("root.pem")).unwrap()).unwrap().remove(0);
    config.cmp_anchors.add(root.clone());
    config.enrolment_anchors.add(root);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    config
}

/// Run once for each form; what it writes is committed.
#[test]
#[ignore = "writes the vectors of a new form"]
fn write_the_vectors() {
    fs::create_dir_all(vectors()).unwrap();
    let mut ca = MockCa::new().answers_waiting(1, 86_400);
    let mut config = Device::config(&ca);
    config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    let mut device = Device::enrolling_as(&config);
    let root = devid::asn1::pem::encode("CERTIFICATE", ca.root.certificate.as_der());
    fs::write(vectors().join("root.pem"), root.as_bytes()).unwrap();
    let pkcs8 = device.new_key.to_pkcs8().unwrap();
    fs::write(vectors().join("key.pem"), devid::asn1::pem::encode("PRIVATE KEY", &pkcs8).as_bytes()).unwrap();
    let save = |device: &Device, name: &str| fs::write(vectors().join(name), device.operation.save().unwrap()).unwrap();
    assert_eq!(device.step(), Ok(ActionKind::Send));
    save(&device, "sending-ir");
    device.exchange(&mut ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    save(&device, "waiting");
    device.clock = device.clock.plus(86_400);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    save(&device, "deciding");
    device.operation.accept().unwrap();
    assert_eq!(device.step(), Ok(ActionKind::Send));
    save(&device, "sending-certConf");
}

#[test]
fn saved_operations_of_form_4_are_told_and_go_on() {
    let pem = fs::read(vectors().join("key.pem")).unwrap();
    let key = load_private_key(&**provider(), &pem, None).unwrap();
    for (name, action, is) in [
        ("sending-ir", ActionKind::Send, SavedState::Sending(BodyType::IR)),
        ("waiting", ActionKind::Wait, SavedState::Waiting(now().plus(86_400))),
        ("deciding", ActionKind::Accept, SavedState::Deciding),
        ("sending-certConf", ActionKind::Send, SavedState::Sending(BodyType::CERTCONF)),
    ] {
        let saved = fs::read(vectors().join(name)).unwrap();
        let told = SavedOperation::read(&saved).unwrap();
        assert_eq!((told.request, told.started, told.state), (BodyType::IR, now(), is), "{name}");
        assert_eq!(told.credential, SavedCredential::Secret(REFERENCE.to_vec()));
        let client = config().build().unwrap();
        let operation = client.restore(Signer::Key(key.clone()), &saved).unwrap();
        let mut device = Device::with(operation, key.clone());
        assert_eq!(device.step(), Ok(action), "{name}");
        assert_eq!(Operation::saved_key(&saved).unwrap(), key.spki());
    }
}

/// The dark twin: another form is refused by its number, a damaged one as damaged.
#[test]
fn other_forms_of_saved_operations_are_refused_by_number() {
    let saved = fs::read(vectors().join("waiting")).unwrap();
    let at = saved.windows(3).position(|bytes| bytes == [2, 1, 4]).expect("the version");
    for version in [3, 5] {
        let mut other = saved.clone();
        other[at + 2] = version;
        let error = SavedOperation::read(&other).unwrap_err();
        assert_eq!(error.code(), Code::UnknownVersion, "{error}");
    }
    let mut torn = saved.clone();
    torn.truncate(saved.len() / 2);
    assert_eq!(SavedOperation::read(&torn).unwrap_err().code(), Code::Corrupt);
}
