//! Operations against a CA whose answers are changed and then protected as they should be: body, header and certificates that
//! came along; several answers in a row, saved and restored in between. Whatever comes, what is accepted holds our own key
//! under our own anchor.
#![no_main]
mod made;

use std::cell::RefCell;
use std::rc::Rc;

use certificates::{Builder, now};
use devid::asn1::cmp::BodyType;
use devid::asn1::crl::CrlReason;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::cmp::{ActionKind, Operation, Question, Signer};
use devid::validation::KeyUsage;
use devid_test_support::{certificates, mock_ca};
use libfuzzer_sys::fuzz_target;
use made::Choices;
use mock_ca::{Answer, Device, MockCa};

/// Answers that one operation is given at most.
const MOST: usize = 12;

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    let mut ca = MockCa::new().answers_waiting(choices.below(3) as u32, 1);
    ca.confirm_waits = choices.below(2) as u32;
    ca.wait_by_error = choices.maybe();
    ca.grant_implicit = choices.maybe();
    let kind = choices.below(6);
    let by_secret = choices.maybe();
    let mut config = Device::config(&ca);
    config.ask_implicit_confirm = choices.maybe();
    config.accept_ca_pubs = choices.maybe();
    config.adopt_root_of_ip = choices.maybe();
    if by_secret {
        config.protect_with_secret(mock_ca::REFERENCE, mock_ca::SECRET, mock_ca::LIGHT_MAC).unwrap();
    }
    let own = Builder::leaf("router-7").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&ca.issuing);
    if kind >= 4 {
        let chain = vec![ca.issuing.certificate.clone()];
        config.protect_with_certificate(Signer::Key(own.key.clone()), own.certificate.clone(), chain);
    }
    // The rest of the input belongs to the answers.
    let rest: Vec<u8> = std::iter::from_fn(|| (!choices.is_empty()).then(|| choices.byte())).collect();
    let plan = Rc::new(RefCell::new(rest));
    let bends = Rc::clone(&plan);
    ca.bend = Some(Box::new(move |answer| {
        let bytes = std::mem::take(&mut *bends.borrow_mut());
        let mut choices = Choices::of(&bytes);
        bend(answer, &mut choices);
        *bends.borrow_mut() = std::iter::from_fn(|| (!choices.is_empty()).then(|| choices.byte())).collect();
    }));
    let client = config.build().expect("the settings are whole");
    let new_key = certificates::key();
    let operation = match kind {
        0 | 1 => client.enroll(Signer::Key(new_key.clone()), &Device::subject()),
        2 => client.ask(Question::CaCerts),
        3 => client.ask(Question::RootUpdate { old: ca.root.certificate.clone() }),
        4 => client.renew(Signer::Key(new_key.clone())),
        _ => client.revoke(&own.certificate, CrlReason::Superseded),
    };
    let Ok(operation) = operation else { return };
    let mut device = Device::with(operation, new_key);
    for _ in 0..MOST {
        match device.step() {
            Ok(ActionKind::Send) => device.exchange(&mut ca),
            Ok(ActionKind::Wait) => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            Ok(ActionKind::Accept) => {
                let issued = device.operation.issued().expect("a certificate");
                let (der, spki) = (issued.certificate.as_der(), device.new_key.spki());
                assert!(der.windows(spki.len()).any(|part| part == spki), "another key was accepted");
                let is_ours = |anchor: &Certificate| *anchor == ca.root.certificate;
                let may_adopt = by_secret && config.accept_ca_pubs || config.adopt_root_of_ip;
                assert!(may_adopt || issued.chain.last().is_some_and(is_ours), "another anchor");
                if device.operation.accept().is_err() {
                    return;
                }
            }
            Ok(ActionKind::Done | ActionKind::Sign) | Err(_) => return,
        }
        let is_cut = plan.borrow_mut().pop().is_some_and(|byte| byte & 3 == 3);
        if is_cut && let Ok(saved) = device.operation.save() {
            let context = client.context().clone();
            let restored = match kind {
                0 | 1 | 4 => Operation::restore(context, Signer::Key(device.new_key.clone()), &saved),
                _ => Operation::restore_keyless(context, &saved),
            };
            device.operation = restored.expect("what was saved is restored");
        }
    }
});

fn bend(answer: &mut Answer, choices: &mut Choices<'_>) {
    choices.mutate(&mut answer.content);
    match choices.below(16) {
        0 => answer.body_type = BodyType(choices.byte() % 27),
        1 => choices.mutate(answer.header.sender_nonce.get_or_insert_default()),
        2 => choices.mutate(answer.header.recip_nonce.get_or_insert_default()),
        3 => choices.mutate(answer.header.sender_kid.get_or_insert_default()),
        4 => answer.header.message_time = Some(now().plus((i64::from(choices.byte()) - 128) * 3600)),
        5 => answer.header.pvno = i64::from(choices.byte()),
        6 => {
            let value = vec![choices.byte(); choices.below(9)];
            let info_type = [oid::IT_IMPLICIT_CONFIRM, oid::IT_CONFIRM_WAIT_TIME, oid::IT_CERT_PROFILE][choices.below(3)];
            answer.header.general_info.push(devid::asn1::cmp::InfoTypeAndValue { info_type, value });
        }
        7 => answer.extra_certs.clear(),
        8 => answer.extra_certs.reverse(),
        9 => answer.header.transaction_id = None,
        _ => {}
    }
}
