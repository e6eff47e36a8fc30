//! An operation that outlives its process.

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::oid;
use devid::cmp::{ActionKind, Operation, SavedOperation, Signer};
use devid::validation::KeyUsage;

use crate::certificates::{Builder, Party, key};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET};

/// The same device after a reboot: what it had in memory is gone but the saved bytes and the key in device memory.
fn reboot(device: Device, config: &devid::client::Config) -> Device {
    let saved = device.operation.save().expect("a state that can be saved");
    let Device { new_key, clock, waits, sent, .. } = device;
    let operation = config.build().unwrap().restore(Signer::Key(new_key.clone()), &saved).expect("restored");
    Device { operation, new_key, clock, waits, sent, takes_differences: false }
}

#[test]
fn a_transaction_survives_a_reboot_at_every_step() {
    for by_secret in [false, true] {
        let mut ca = MockCa::new().answers_waiting(2, 86_400);
        ca.confirm_waits = 1;
        let mut config = Device::config(&ca);
        if by_secret {
            config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        }
        let mut device = Device::enrolling_as(&config);
        let mut reboots = 0;
        loop {
            let action = device.step().expect("no failure");
            if action == ActionKind::Done {
                break;
            }
            device = reboot(device, &config);
            reboots += 1;
            assert_eq!(device.step(), Ok(action), "the same action as before the reboot");
            match action {
                ActionKind::Send => device.exchange(&mut ca),
                ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
                ActionKind::Accept => device.operation.accept().unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reboots, 11, "sends, waits and the decision");
        assert_eq!(ca.bodies().iter().filter(|b| **b == "ir").count(), 1, "one transaction");
    }
}

#[test]
fn a_certificate_being_refused_is_still_refused_after_a_reboot() {
    let mut ca = MockCa::new().issuing(|mut b| {
        b.spki = None;
        b
    });
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.step(), Ok(ActionKind::Send));
    device.exchange(&mut ca);
    assert_eq!(device.step(), Ok(ActionKind::Send), "certConf with the refusal");

    let mut device = reboot(device, &config);

    assert_eq!(device.run(&mut ca).unwrap_err().code(), Code::WrongCertificate, "pkiConf is not success here");
}

#[test]
fn the_differences_and_the_chain_are_there_again_after_a_reboot() {
    let mut ca = MockCa::new().issuing(|b| b.subject(crate::certificates::common_name("renamed")));
    ca.status = PkiStatusInfo::new(PkiStatus::GrantedWithMods);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
    let before = device.operation.issued().unwrap().clone();

    let device = reboot(device, &config);

    let after = device.operation.issued().unwrap();
    assert_eq!(after.certificate, before.certificate);
    assert_eq!(after.chain, before.chain);
    assert_eq!(after.differences, before.differences);
    assert_eq!(after.status.status, PkiStatus::GrantedWithMods);
}

#[test]
fn saved_bytes_hold_no_private_key_and_no_secret() {
    let mut ca = MockCa::new().answers_waiting(1, 60);
    let mut device = Device::enrolling_by_secret(&ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    let saved = device.operation.save().unwrap();
    let pkcs8 = device.new_key.to_pkcs8().unwrap();
    // The private scalar of a P-256 key in PKCS#8 stands behind 04 20.
    let at = pkcs8.windows(2).position(|w| w == [0x04, 0x20]).unwrap() + 2;
    assert!(!saved.windows(32).any(|w| w == &pkcs8[at..at + 32]));
    assert!(!saved.windows(SECRET.len()).any(|w| w == SECRET));
    assert_eq!(Operation::saved_key(&saved).unwrap(), device.new_key.spki());
}

#[test]
fn damaged_bytes_and_wrong_keys_are_refused() {
    let mut ca = MockCa::new().answers_waiting(1, 60);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    let saved = device.operation.save().unwrap();
    let client = config.build().unwrap();
    let restore = |bytes: &[u8]| client.restore(Signer::Key(device.new_key.clone()), bytes).err().map(|e| e.code());
    assert_eq!(restore(&saved), None);
    for at in 0..saved.len() {
        let mut flipped = saved.clone();
        flipped[at] ^= 0x10;
        assert_eq!(restore(&flipped), Some(Code::Corrupt), "byte {at}");
    }
    for end in 0..saved.len() {
        assert_eq!(restore(&saved[..end]), Some(Code::Corrupt), "cut at {end}");
    }
    let other = client.restore(Signer::Key(key()), &saved).err().unwrap();
    assert_eq!(other.code(), Code::KeyMismatch);
    let mut by_secret = Device::config(&ca);
    by_secret.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
    let error = by_secret.build().unwrap().restore(Signer::Key(device.new_key.clone()), &saved).err().unwrap();
    assert_eq!(error.code(), Code::KeyMismatch, "another credential");
}

#[test]
fn nothing_is_saved_before_there_is_something_and_after_the_end() {
    let mut ca = MockCa::new().bending(BodyType::IP, |a| a.header.recip_nonce = None);
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.operation.save().unwrap_err().code(), Code::State);
    device.run(&mut ca).unwrap_err();
    assert_eq!(device.operation.save().unwrap_err().code(), Code::State);
}

/// How an operation ended, how often it was told to wait, and what it sent.
type Course = (Result<(), Code>, usize, Vec<&'static str>);

/// Runs to the end, over reboots at every step or over none.
fn course(mut ca: MockCa, config: &devid::client::Config, reboots: bool) -> Course {
    let mut device = Device::enrolling_as(config);
    let mut waits = 0;
    let outcome = loop {
        let action = match device.step() {
            Ok(ActionKind::Done) => break Ok(()),
            Ok(action) => action,
            Err(error) => break Err(error.code()),
        };
        if reboots {
            device = reboot(device, config);
            assert_eq!(device.step(), Ok(action), "the same action as before the reboot");
        }
        match action {
            ActionKind::Send => device.exchange(&mut ca),
            ActionKind::Wait => {
                waits += 1;
                device.clock = device.clock.plus(i64::from(device.wait_seconds()));
            }
            ActionKind::Accept => device.operation.accept().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    (outcome, waits, ca.bodies())
}

#[test]
fn what_protects_a_transaction_protects_it_after_a_reboot_too() {
    type Bend = fn(&mut Answer, &Party);
    let bends: [(&str, Bend); 8] = [
        ("nothing", |_, _| {}),
        ("another transactionID", |a, _| a.header.transaction_id = Some(vec![1; 16])),
        ("another recipNonce", |a, _| a.header.recip_nonce = Some(vec![1; 16])),
        ("no recipNonce", |a, _| a.header.recip_nonce = None),
        ("another signer, authorised as well", |a, other| {
            a.header.sender = Some(other.certificate.subject().to_vec());
            a.header.sender_kid = other.certificate.subject_key_identifier().map(<[u8]>::to_vec);
            a.extra_certs.insert(0, other.certificate.clone());
            a.signer = Some(other.clone());
        }),
        ("another sender", |a, _| a.header.sender = Some(crate::certificates::common_name("Another CA"))),
        ("another version", |a, _| a.header.pvno = 4),
        ("no certificates", |a, _| a.extra_certs.clear()),
    ];
    let mut refused = 0;
    for body in [BodyType::POLLREP, BodyType::IP, BodyType::PKICONF] {
        for (name, bend) in bends {
            let world = || {
                let ca = MockCa::new().answers_waiting(2, 600);
                let other = Builder::leaf("Second CMP server")
                    .key_usage(&[KeyUsage::DigitalSignature])
                    .purposes(&[oid::KP_CMC_RA])
                    .signed_by(&ca.issuing);
                (Device::config(&ca), ca.bending(body, move |answer| bend(answer, &other)))
            };
            let (config, ca) = world();
            let without = course(ca, &config, false);
            let (config, ca) = world();
            assert_eq!(course(ca, &config, true), without, "{name} in {body}");
            refused += usize::from(without.0.is_err());
        }
    }
    assert!(refused > 10, "{refused} courses were refused");
}

#[test]
fn limits_on_polls_and_time_count_what_was_before_a_reboot() {
    for (polls, total, code) in
        [(3, 10_000_000, Some(Code::PollExhausted)), (10_000, 3_000, Some(Code::PollExhausted)), (12, 10_000, None)]
    {
        let world = || {
            let ca = MockCa::new().answers_waiting(10, 600);
            let mut config = Device::config(&ca);
            (config.limits.max_polls, config.limits.max_total_seconds) = (polls, total);
            (config, ca)
        };
        let (config, ca) = world();
        let without = course(ca, &config, false);
        let (config, ca) = world();
        assert_eq!(course(ca, &config, true), without, "{polls} polls, {total} seconds");
        assert_eq!(without.0.err(), code, "{polls} polls, {total} seconds");
    }
}

/// The time bounds how long a decision is waited for: what came is confirmed, however long the device was off before it asked, or
/// before it could confirm.
#[test]
fn a_certificate_that_came_is_confirmed_however_long_the_device_was_off() {
    let days = |n: i64| n * 86_400;
    for (before_the_poll, before_the_confirmation) in [(29, 0), (29, 31), (0, 31), (0, 120)] {
        let mut ca = MockCa::new().answers_waiting(1, 60);
        let mut config = Device::config(&ca);
        // The CA's clock stands still here.
        config.message_time_window_seconds = None;
        assert_eq!(config.limits.max_total_seconds, 30 * 86_400);
        let mut device = Device::enrolling_as(&config);
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
        device.clock = device.clock.plus(days(before_the_poll) + 60);
        let mut device = reboot(device, &config);
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept), "{before_the_poll}");
        device.operation.accept().unwrap();
        assert_eq!(device.step(), Ok(ActionKind::Send), "certConf");
        device.clock = device.clock.plus(days(before_the_confirmation));
        let mut device = reboot(device, &config);
        device.run(&mut ca).unwrap_or_else(|e| panic!("{before_the_poll}, {before_the_confirmation}: {e}"));
        assert_eq!(ca.bodies(), ["ir", "pollReq", "pollReq", "certConf"]);
    }
    // Without a decision it ends, once the CA has said twice that it is so late.
    let mut ca = MockCa::new().answers_waiting(3, 60);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    device.clock = device.clock.plus(days(31));
    let error = reboot(device, &config).run(&mut ca).unwrap_err();
    assert_eq!(error.code(), Code::PollExhausted);
    assert!(error.message().contains("max_total_seconds"), "{error}");
}

/// The same facts about who signs and who has issued lead to the same end, whether an operation lives in one process or is saved
/// and restored at every step, and whatever a stranger adds to the answers.
#[test]
fn a_restored_operation_judges_by_the_same_facts() {
    use crate::status::CrlBuilder;
    use devid::validation::{RevocationMode, RevocationPolicy, StatusSources};
    let to_the_end = |config: &devid::client::Config, ca: &mut MockCa, reboots: bool| -> Result<(), Code> {
        let mut device = Device::enrolling_as(config);
        loop {
            let action = device.step().map_err(|error| error.code())?;
            if action == ActionKind::Done {
                return Ok(());
            }
            if reboots {
                device = reboot(device, config);
                assert_eq!(device.step(), Ok(action));
            }
            match action {
                ActionKind::Send => device.exchange(ca),
                ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
                ActionKind::Accept => device.operation.accept().unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    let mut ends = Vec::new();
    for mode in [RevocationMode::Off, RevocationMode::SoftFail, RevocationMode::HardFail] {
        // Who is on the lists that the device has.
        for who in ["nobody", "the signer", "the issuing CA", "another"] {
            let verdicts: Vec<_> = [(false, false), (true, false), (false, true), (true, true)]
                .into_iter()
                .map(|(reboots, is_joined)| {
                    let mut ca = MockCa::new().answers_waiting(2, 60);
                    let lists = [&ca.issuing, &ca.root].map(|issuer| match who {
                        "the signer" if issuer.certificate == ca.issuing.certificate => {
                            CrlBuilder::of(issuer).revokes(&ca.signer)
                        }
                        "the issuing CA" if issuer.certificate == ca.root.certificate => {
                            CrlBuilder::of(issuer).revokes(&ca.issuing)
                        }
                        "another" => CrlBuilder::of(issuer).revokes(&ca.supplier),
                        _ => CrlBuilder::of(issuer),
                    });
                    let mut config = Device::config(&ca);
                    config.signer_revocation = RevocationPolicy { mode, ..RevocationPolicy::hard_fail() };
                    config.signer_status =
                        StatusSources { crls: lists.map(CrlBuilder::build).to_vec(), ..StatusSources::none() };
                    if is_joined {
                        // CAs of the same name, by nobody: another certificate of the genuine key would be another path.
                        let others = [Party::root("Issuing CA").certificate, Party::root("Operator root").certificate];
                        ca.bend = Some(Box::new(move |answer| answer.extra_certs.extend(others.iter().cloned())));
                    }
                    to_the_end(&config, &mut ca, reboots)
                })
                .collect();
            assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{mode:?}, {who}: {verdicts:?}");
            ends.push((mode, who, verdicts[0]));
        }
    }
    // What is at hand is asked in every mode, also where nothing was said of revocation.
    for (mode, who, end) in ends {
        let expected = match who {
            "nobody" | "another" => Ok(()),
            _ => Err(Code::ProtectionInvalid),
        };
        assert_eq!(end, expected, "{mode:?}, {who}");
    }
}

/// waiting {text}, then a pollRep with these reasons, one after the other.
fn waits_with(text: &str, reasons: [Option<&'static str>; 3]) -> MockCa {
    use devid::asn1::der::{element, encode, sequence};
    let waiting = PkiStatusInfo { texts: vec![text.to_owned()], ..PkiStatusInfo::new(PkiStatus::Waiting) };
    let first = crate::mock_ca::cert_rep(0, &waiting, None);
    let (mut is_first, mut reasons) = (true, reasons.into_iter());
    let mut ca = MockCa::new().answers_waiting(3, 60);
    ca.bend = Some(Box::new(move |answer| match answer.body_type {
        BodyType::IP if std::mem::take(&mut is_first) => answer.content.clone_from(&first),
        BodyType::POLLREP => {
            let reason = reasons.next().flatten().map(|words| sequence(&[&element(0x0c, &[words.as_bytes()])]));
            let entry = [encode(&0i64), encode(&60i64), reason.unwrap_or_default()].concat();
            answer.content = sequence(&[&sequence(&[&entry])]);
        }
        _ => {}
    }));
    ca
}

#[test]
fn what_the_ca_has_said_of_the_delay_stays_until_it_says_something_else() {
    let mut ca = waits_with("an officer looks at it", [None, Some("ask Bob"), Some(" ")]);
    let config = Device::config(&ca);
    let mut device = Device::enrolling_as(&config);
    for said in ["an officer looks at it", "ask Bob", "ask Bob"] {
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
        assert_eq!(device.wait_reason(), [said]);
        // A reboot while it waits, and one while the next poll is out, take nothing of it.
        device = reboot(device, &config);
        device.clock = device.clock.plus(60);
        assert_eq!(device.step(), Ok(ActionKind::Send));
        let saved = SavedOperation::read(&device.operation.save().unwrap()).unwrap();
        assert_eq!(saved.reason, [said]);
        device = reboot(device, &config);
    }
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Accept));
}

#[test]
fn a_ca_that_has_said_nothing_has_said_nothing() {
    let mut ca = waits_with("", [None, None, None]);
    let mut device = Device::enrolling_with(&ca);
    assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
    assert_eq!(device.wait_reason(), [""; 0]);
}

/// Where it was asked for stays what it was, wherever it is gone on with.
#[test]
fn a_saved_operation_says_to_which_server_it_was_sent() {
    let mut ca = MockCa::new().answers_waiting(9, 60);
    let mut config = Device::config(&ca);
    for (first, later) in [
        (Some("http://a.example/"), Some("http://b.example/")),
        (None, Some("http://b.example/")),
        (Some("http://a.example/"), None),
    ] {
        config.server.url = first.map(str::to_owned);
        let mut device = Device::enrolling_as(&config);
        device.step().unwrap();
        let told = |device: &Device| SavedOperation::read(&device.operation.save().unwrap()).unwrap().server;
        assert_eq!(told(&device).as_deref(), first);
        device.exchange(&mut ca);
        assert_eq!(device.exchange_until_other(&mut ca), Ok(ActionKind::Wait));
        config.server.url = later.map(str::to_owned);
        let saved = device.operation.save().unwrap();
        let key = Signer::Key(device.new_key.clone());
        device.operation = config.build().unwrap().restore(key, &saved).unwrap();
        device.step().unwrap();
        assert_eq!(told(&device).as_deref(), first);
    }
}
