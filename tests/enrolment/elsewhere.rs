//! Keys that sign elsewhere: an HSM, a TPM, a colleague with a smart card.

use devid::Code;
use devid::cmp::{ActionKind, SignRole, Signer};

use crate::certificates::{Builder, key};
use crate::mock_ca::{Device, MockCa};

#[test]
fn both_keys_may_sign_elsewhere_in_their_own_time() {
    let mut ca = MockCa::new();
    let idevid = Builder::leaf("IDevID").signed_by(&ca.supplier);
    let new_key = key();
    let mut config = Device::config(&ca);
    let deferred = Signer::deferred(idevid.key.spki().to_vec()).unwrap();
    config.protect_with_certificate(deferred, idevid.certificate.clone(), Vec::new());
    let signer = Signer::deferred(new_key.spki().to_vec()).unwrap();
    let operation = config.build().unwrap().enroll(signer, &Device::subject()).unwrap();
    let mut device = Device::with(operation, new_key.clone());

    let mut asked = Vec::new();
    let issued = loop {
        match device.exchange_until_other(&mut ca).expect("no failure") {
            ActionKind::Sign => {
                let request = device.to_sign();
                asked.push(request.role);
                let key = if request.role == SignRole::NewKey { &new_key } else { &idevid.key };
                let signature = key.sign(&request.algorithm, &request.message).unwrap();
                device.operation.put_signature(&signature, device.clock).expect("a right signature");
            }
            ActionKind::Accept => device.operation.accept().unwrap(),
            ActionKind::Done => break device.operation.issued().unwrap().clone(),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(asked, [SignRole::NewKey, SignRole::Protection, SignRole::Protection]);
    assert!(issued.differences.is_empty());
}

#[test]
fn a_wrong_signature_is_refused_and_the_right_one_may_follow() {
    let mut ca = MockCa::new();
    let config = Device::config(&ca);
    let new_key = key();
    let signer = Signer::deferred(new_key.spki().to_vec()).unwrap();
    let operation = config.build().unwrap().enroll(signer, &Device::subject()).unwrap();
    let mut device = Device::with(operation, new_key.clone());
    assert_eq!(device.step(), Ok(ActionKind::Sign));
    let request = device.to_sign();

    let wrong = key().sign(&request.algorithm, &request.message).unwrap();
    assert_eq!(device.operation.put_signature(&wrong, device.clock).unwrap_err().code(), Code::Signer);
    assert_eq!(device.operation.put_signature(&[], device.clock).unwrap_err().code(), Code::Signer);
    assert_eq!(device.step(), Ok(ActionKind::Sign), "it still waits");

    let right = new_key.sign(&request.algorithm, &request.message).unwrap();
    device.operation.put_signature(&right, device.clock).expect("the right one");
    device.run(&mut ca).expect("issued");
}
