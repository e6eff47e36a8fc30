//! Every message the CA can send, cut short and with every byte changed: no panic, no hang, and no success that the
//! unchanged message would not have been.

use std::cell::RefCell;
use std::rc::Rc;

use devid::cmp::ActionKind;

use crate::mock_ca::{Device, MockCa};

/// Answers of a whole operation, in order.
fn answers(mut ca: MockCa, mut device: Device) -> Vec<Vec<u8>> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keeper = Rc::clone(&kept);
    ca.break_ = Some(Box::new(move |der| {
        keeper.borrow_mut().push(der.clone());
        der
    }));
    device.run(&mut ca).expect("the unchanged answers are good");
    kept.take()
}

/// Feeds `change`d answers at position `which` of an operation that is otherwise in order.
fn with_each_change(by_secret: bool, stride: usize, change: impl Fn(&[u8], usize) -> Option<Vec<u8>>) -> (u32, u32) {
    let ca = || {
        let mut ca = MockCa::new().answers_waiting(1, 1);
        ca.confirm_waits = 1;
        ca
    };
    let begin = |ca: &MockCa| if by_secret { Device::enrolling_by_secret(ca) } else { Device::enrolling_with(ca) };
    let first = ca();
    let device = begin(&first);
    let good = answers(first, device);
    let (mut tried, mut taken) = (0, 0);
    for (which, answer) in good.iter().enumerate() {
        // One operation up to the answer in question, then restored from its saved form for each change.
        let mut ca = ca();
        let config = {
            let mut config = Device::config(&ca);
            if by_secret {
                use crate::mock_ca::{LIGHT_MAC, REFERENCE, SECRET};
                config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
            }
            config
        };
        let client = config.build().unwrap();
        let mut device = Device::enrolling_as(&config);
        let mut sent = 0;
        loop {
            match device.step().unwrap() {
                ActionKind::Send if sent == which => break,
                ActionKind::Send => {
                    device.exchange(&mut ca);
                    sent += 1;
                }
                ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
                ActionKind::Accept => device.operation.accept().unwrap(),
                other => panic!("{other:?}"),
            }
        }
        let saved = device.operation.save().unwrap();
        let real = ca.answer(device.operation.output().unwrap());
        for at in (0..answer.len().max(real.len())).step_by(stride) {
            let Some(changed) = change(&real, at) else { continue };
            let signer = devid::cmp::Signer::Key(device.new_key.clone());
            let mut operation = client.restore(signer, &saved).unwrap();
            operation.step(device.clock).map(|action| action.kind()).unwrap();
            operation.feed(&changed).unwrap();
            tried += 1;
            let outcome = operation.step(device.clock).map(|action| action.kind());
            // While it is polled, what proves nothing is dropped: the same is asked again, after a minute.
            let is_dropped = matches!(outcome, Ok(ActionKind::Wait)) && crate::mock_ca::wait_seconds(&operation) == 60;
            if outcome.is_ok() && !is_dropped {
                taken += 1;
                // Only what protection does not cover may be changed: the certificates that come along.
                let end = unprotected_from(&real);
                assert!(at >= end, "byte {at} of answer {which} was changed and taken; extraCerts begin at {end}");
            }
        }
    }
    (tried, taken)
}

/// Where extraCerts begin.
fn unprotected_from(der: &[u8]) -> usize {
    use devid::asn1::der::Cursor;
    let mut fields = Cursor::sequence(der, "PKIMessage").unwrap();
    for field in ["header", "body", "protection"] {
        fields.any(field).unwrap();
    }
    let extra = if fields.is_empty() { 0 } else { fields.any("extraCerts").unwrap().bytes.len() };
    der.len() - extra
}

#[test]
fn no_answer_with_a_changed_byte_is_taken_under_a_secret() {
    let flip = |der: &[u8], at: usize| {
        let mut changed = der.to_vec();
        *changed.get_mut(at)? ^= 1 << (at % 8);
        Some(changed)
    };
    let (tried, _) = with_each_change(true, 1, flip);
    assert!(tried > 3000, "{tried}");
}

#[test]
fn no_answer_with_a_changed_byte_is_taken_under_a_signature() {
    let flip = |der: &[u8], at: usize| {
        let mut changed = der.to_vec();
        *changed.get_mut(at)? ^= 0x80 >> (at % 8);
        Some(changed)
    };
    let (tried, _) = with_each_change(false, 3, flip);
    assert!(tried > 1000, "{tried}");
}

#[test]
fn no_answer_that_was_cut_short_is_taken() {
    let cut = |der: &[u8], at: usize| (at < der.len()).then(|| der[..at].to_vec());
    let (tried, taken) = with_each_change(true, 1, cut);
    assert!(tried > 3000, "{tried}");
    assert_eq!(taken, 0);
}

#[test]
fn no_answer_with_bytes_behind_its_end_is_taken() {
    let append = |der: &[u8], at: usize| (at == 0).then(|| [der, &[1]].concat());
    let (tried, taken) = with_each_change(true, 1, append);
    assert!(tried >= 5, "{tried}");
    assert_eq!(taken, 0);
    // A line end behind it, as HTTP bodies have it, is no part of the message.
    let mut ca = MockCa::new();
    ca.break_ = Some(Box::new(|der| [&der[..], b"\r\n\0"].concat()));
    Device::enrolling_with(&ca).run(&mut ca).unwrap();
}

#[test]
fn garbage_of_every_kind_is_a_clear_error() {
    let nested = (0..30).fold(vec![5, 0], |inner, _| devid::asn1::der::sequence(&[&inner]));
    for garbage in [&b""[..], b"<html>busy</html>", &nested, &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0u8; 64]] {
        let ca = MockCa::new();
        let mut device = Device::enrolling_with(&ca);
        device.step().unwrap();
        device.operation.feed(garbage).unwrap();
        let error = device.step().unwrap_err();
        assert!(matches!(error.code(), devid::Code::Der | devid::Code::Limit), "{error}");
        assert!(error.message().starts_with("answer to ir: PKIMessage"), "{error}");
    }
}
