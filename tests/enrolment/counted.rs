//! How many signatures an enrolment checks.

use std::sync::Arc;

use devid::client::Config;
use devid::cmp::ActionKind;

use crate::counting::Counting;
use crate::mock_ca::{Device, MockCa};

fn counted(ca: &MockCa) -> (Arc<Counting>, Config) {
    let counting = Counting::new();
    let config = Device::config_by(ca, counting.clone());
    (counting, config)
}

#[test]
fn the_issuing_ca_is_verified_once_in_an_enrolment() {
    let mut ca = MockCa::new();
    let (counting, config) = counted(&ca);
    let run = |ca: &mut MockCa| {
        Device::enrolling_as(&config).run(ca).expect("issued");
        counting.take_signatures()
    };
    // ip: the message, its signer, the issuing CA, the certificate; pkiConf: the message.
    assert_eq!(run(&mut ca), 5);
    assert_eq!(run(&mut ca), 5);

    // With the issuing CA among the settings it is known from one operation to the next.
    let mut config = config.clone();
    config.intermediates = vec![ca.issuing.certificate.clone()];
    Device::enrolling_as(&config).run(&mut ca).expect("issued");
    assert_eq!(counting.take_signatures(), 5);
    Device::enrolling_as(&config).run(&mut ca).expect("issued");
    assert_eq!(counting.take_signatures(), 4);
}

#[test]
fn a_signer_is_judged_at_each_answer_and_costs_one_signature() {
    let mut ca = MockCa::new().answers_waiting(4, 30);
    let (counting, config) = counted(&ca);
    let mut device = Device::enrolling_as(&config);
    let mut costs = Vec::new();
    loop {
        match device.step().expect("goes on") {
            ActionKind::Send => {
                device.exchange(&mut ca);
                device.step().expect("goes on");
                costs.push(counting.take_signatures());
            }
            ActionKind::Wait => device.clock = device.clock.plus(30),
            ActionKind::Accept => device.operation.accept().expect("it is there"),
            ActionKind::Done => break,
            ActionKind::Sign => panic!("the key signs here"),
        }
    }
    // Waiting, four times pollRep, ip with the new certificate, pkiConf.
    assert_eq!(costs, [3, 1, 1, 1, 1, 2, 1]);
}
