//! Certificates that begin later than the clocks may differ: confirmed and kept for their time, not burnt.

use devid::Code;
use devid::client::{Destination, Owner};
use devid::cmp::{ActionKind, Issued, Operation, Signer};
use devid::store::{NewIdentity, NewKey, ProblemKind, Store};
use devid::transport::{Exchange, ExchangeFn, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Error, Time};

use crate::certificates::{Builder, date, now};
use crate::mock_ca::{Device, MockCa};

const TWO_HOURS: i64 = 7200;

/// A CA whose certificates begin this much later, and whose messages have the device's time.
fn ahead(seconds: i64) -> MockCa {
    MockCa::new().issuing(move |builder| builder.valid(now().plus(seconds), date(2030, 1, 1)))
}

/// An owner with a clock that waits move.
struct Patient {
    clock: Time,
    waits: Vec<u32>,
    longest: u32,
}

impl Owner for Patient {
    fn now(&mut self) -> Time {
        self.clock
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        assert!(reason[0].contains("valid from"), "{reason:?}");
        if seconds > self.longest {
            return Err(Error::new(Code::Cancelled, "too long"));
        }
        self.waits.push(seconds);
        self.clock = self.clock.plus(i64::from(seconds));
        Ok(())
    }
}

#[test]
fn a_certificate_that_begins_later_is_confirmed_and_said_to_begin_later() {
    let mut ca = ahead(TWO_HOURS);
    let issued = Device::enrolling_with(&ca).run(&mut ca).unwrap();
    assert_eq!(ca.bodies(), ["ir", "certConf"]);
    let begins = now().plus(TWO_HOURS).to_string();
    assert!(issued.warnings().iter().any(|warning| warning.contains(&begins)), "{:?}", issued.warnings());
    // Within the tolerance nothing is said.
    let mut ca = ahead(200);
    assert!(Device::enrolling_with(&ca).run(&mut ca).unwrap().warnings().is_empty());
}

#[test]
fn what_begins_after_every_operation_or_never_is_refused() {
    let mut ca = ahead(365 * 86_400);
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("cannot be used: NOT_YET_VALID"), "{error}");
    assert!(error.facts().hint.unwrap_or_default().contains("clock"), "{error}");
    let mut ca = MockCa::new().issuing(|builder| builder.valid(date(2027, 1, 1), date(2026, 1, 1)));
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("can never be valid"), "{error}");
    assert_eq!(error.facts().hint, None, "no clock is to blame");
    // Its issuer must be valid then, too.
    let mut ca = ahead(TWO_HOURS);
    ca.issuing =
        Builder::ca("Issuing CA").key(&ca.issuing.key).valid(date(2020, 1, 1), now().plus(3600)).signed_by(&ca.root);
    let error = Device::enrolling_with(&ca).run(&mut ca).unwrap_err();
    assert!(error.message().contains("EXPIRED"), "{error}");
}

#[test]
fn in_device_memory_it_stays_staged_until_its_time_across_a_reboot() {
    let mut ca = ahead(TWO_HOURS);
    let store = Store::in_memory(crate::certificates::provider().clone());
    let to = Destination { store: &store, name: "device", purpose: "ldevid" };
    let client = Device::config(&ca).build().unwrap();
    let key = crate::certificates::key();
    let mut owner = Patient { clock: now(), waits: Vec::new(), longest: 60 };
    let mut exchange = exchange_with(&mut ca);
    let error = client.enroll_into(to, &key, &Device::subject(), &mut exchange, &mut owner).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    assert!(store.state("device").unwrap().current.is_none() && store.state("device").unwrap().pending.is_some());
    drop(exchange);
    assert_eq!(ca.bodies(), ["ir", "certConf"]);

    // Too early again, then in time: nothing more is said to the CA.
    let mut silent = ExchangeFn(|_: &[u8], _: &ExchangeLimits| panic!("nothing is to be sent"));
    assert_eq!(client.resume(to, &mut silent, &mut owner).unwrap_err().code(), Code::Cancelled);
    let mut owner = Patient { clock: now().plus(60), waits: Vec::new(), longest: 86_400 };
    let identity = client.resume(to, &mut silent, &mut owner).unwrap();
    assert_eq!(identity.key.spki(), key.spki());
    assert_eq!(owner.waits, [(TWO_HOURS - 300 - 60) as u32]);
    assert!(store.state("device").unwrap().current.is_some());
}

/// What is staged is told as unresolved until the CA knows that it came: then device memory is sound, and nothing is to be mended.
#[test]
fn device_memory_with_a_certificate_that_is_confirmed_and_waits_for_its_time_is_sound() {
    for is_answered in [true, false] {
        let mut ca = ahead(TWO_HOURS);
        let store = Store::in_memory(crate::certificates::provider().clone());
        let to = Destination { store: &store, name: "device", purpose: "ldevid" };
        let client = Device::config(&ca).build().unwrap();
        let mut owner = Patient { clock: now(), waits: Vec::new(), longest: 60 };
        let mut left = if is_answered { u32::MAX } else { 1 };
        let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| match left {
            0 => Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead")),
            _ => {
                left -= 1;
                Ok(Reply::from_body(ca.answer(request)))
            }
        });
        let key = crate::certificates::key();
        client.enroll_into(to, &key, &Device::subject(), &mut exchange, &mut owner).unwrap_err();
        assert!(store.state("device").unwrap().pending.is_some());
        for problems in [store.verify().unwrap(), store.repair().unwrap()] {
            let kinds: Vec<ProblemKind> = problems.iter().map(|problem| problem.kind).collect();
            assert_eq!(kinds.is_empty(), is_answered, "{problems:?}");
            assert!(kinds.iter().all(|kind| *kind == ProblemKind::Unresolved), "{problems:?}");
        }
        // Another certificate than the one that was confirmed, or one of which nothing is known any more, is told.
        let saved = store.load_operation("device").unwrap();
        store.remove_operation("device").unwrap();
        assert_eq!(store.verify().unwrap().len(), 1);
        let other = crate::certificates::Builder::leaf("device 1").signed_by(&ca.issuing);
        let new = NewIdentity {
            key: NewKey::Given(Signer::from(&other.key)),
            certificate: &other.certificate,
            chain: &[],
            purpose: "ldevid",
            at: now(),
        };
        store.discard("device").unwrap();
        store.stage("device", &new).unwrap();
        store.save_operation("device", &saved).unwrap();
        assert!(store.verify().unwrap().iter().any(|problem| problem.kind == ProblemKind::Unresolved));
    }
}

/// The wait for its time is no wait for the CA: no limit on the operation ends it.
#[test]
fn the_wait_for_its_time_is_bound_by_no_limit_of_the_operation() {
    let mut ca = ahead(29 * 86_400);
    let mut device = Device::enrolling_with(&ca);
    device.operation.hold_until_valid();
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Accept);
    device.operation.accept().unwrap();
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
    let saved = device.operation.save().unwrap();
    let context = device.operation.context().clone();
    let mut restored = Operation::restore(context, Signer::Key(device.new_key.clone()), &saved).unwrap();
    assert_eq!(restored.step(now().plus(86_400)).map(|action| action.kind()).unwrap(), ActionKind::Wait);
    let issued: &Issued = restored.issued().unwrap();
    assert!(!issued.warnings().is_empty());
    assert_eq!(restored.step(now().plus(31 * 86_400)).map(|action| action.kind()).unwrap(), ActionKind::Done);
}

/// Whose present is proven does not wait for years: the CA's clock, the only one that the device had, may have been far ahead when the
/// certificate was made. Who only has a clock, which may begin in 1970, waits on and loses nothing.
#[test]
fn a_certificate_for_another_year_is_waited_for_by_nobody_who_knows_the_time() {
    let held = |is_bound: bool, asked: Option<i64>| {
        let mut ca = ahead(20 * 86_400);
        let subject = Device::subject().validity(asked.map(|seconds| now().plus(seconds)), None);
        let key = crate::certificates::key();
        let client = Device::config(&ca).build().unwrap();
        let mut device = Device::with(client.enroll(Signer::Key(key.clone()), &subject).unwrap(), key);
        device.operation.hold_until_valid();
        assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Accept);
        device.operation.accept().unwrap();
        assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
        if is_bound {
            device.operation.bound_validity();
        }
        device.operation
    };
    let step = |operation: &mut Operation, days: i64| operation.step(now().plus(days * 86_400)).map(|a| a.kind());
    let mut bound = held(true, None);
    assert_eq!(step(&mut bound, -9).unwrap(), ActionKind::Wait, "29 days");
    let error = step(&mut bound, -300).unwrap_err();
    assert!(error.code() == Code::WrongCertificate && error.message().contains("clock was wrong"), "{error}");
    assert!(bound.has_failed());
    // As asked for: the device's own wish.
    assert_eq!(step(&mut held(true, Some(20 * 86_400)), -300).unwrap(), ActionKind::Wait);
    let mut unbound = held(false, None);
    assert_eq!(step(&mut unbound, -20_000).unwrap(), ActionKind::Wait, "1970");
    assert_eq!(step(&mut unbound, 21).unwrap(), ActionKind::Done);
}

fn exchange_with(ca: &mut MockCa) -> impl Exchange + '_ {
    ExchangeFn(|request: &[u8], _: &ExchangeLimits| Ok(Reply::from_body(ca.answer(request))))
}
