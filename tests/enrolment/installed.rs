//! Enrolment into device memory: what is interrupted goes on, what is refused leaves no trace.

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::client::{Client, Destination, Owner, RequestOptions, abandon, request_into};
use devid::cmp::{RequestKind, Signer};
use devid::crypto::KeyKind;
use devid::store::{Identity, Store};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Code, Error, Time};

use crate::certificates::{key, now, provider};
use crate::mock_ca::{Device, MockCa};

/// The way to the CA, which may break after so many exchanges.
struct Line<'a> {
    ca: &'a mut MockCa,
    exchanges_left: Option<u32>,
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if let Some(left) = &mut self.exchanges_left {
            if *left == 0 {
                return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
            }
            *left -= 1;
        }
        Ok(Reply::from_body(self.ca.answer(request)))
    }
}

/// Waits by moving its clock; may lose patience.
struct Patience(Time, Option<u32>);

impl Owner for Patience {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        if self.1 == Some(0) {
            return Err(Error::new(Code::Cancelled, "the device is switched off"));
        }
        self.1 = self.1.map(|n| n - 1);
        self.0 = self.0.plus(i64::from(seconds));
        Ok(())
    }
}

fn patient() -> Patience {
    Patience(now(), None)
}

fn memory() -> Store {
    Store::in_memory(provider().clone())
}

fn place(store: &Store) -> Destination<'_> {
    Destination { store, name: "router", purpose: "ldevid" }
}

fn enroll(client: &Client, store: &Store, ca: &mut MockCa) -> Result<Identity, Error> {
    let mut line = Line { ca, exchanges_left: None };
    client.enroll_into(place(store), &key(), &Device::subject(), &mut line, &mut patient())
}

fn is_tidy(store: &Store) -> bool {
    let pending = store.state("router").unwrap().pending;
    pending.is_none() && store.pending_keys().unwrap().is_empty() && store.operations().unwrap().is_empty()
}

#[test]
fn an_enrolled_identity_is_in_use_with_its_key_and_chain() {
    let (mut ca, store) = (MockCa::new().answers_waiting(1, 60), memory());
    let client = Device::config(&ca).build().unwrap();

    let identity = enroll(&client, &store, &mut ca).expect("enrolled");

    let kept = store.current("router").unwrap();
    assert_eq!(kept.certificate, identity.certificate);
    assert_eq!(kept.chain, [ca.issuing.certificate.clone(), ca.root.certificate.clone()]);
    assert!(is_tidy(&store));
}

#[test]
fn a_renewed_identity_comes_into_use_and_the_old_one_can_come_back() {
    let (mut ca, store) = (MockCa::new(), memory());
    let mut config = Device::config(&ca);
    let first = enroll(&config.build().unwrap(), &store, &mut ca).unwrap();
    let signer = Signer::Key(first.key.held().unwrap().clone());
    config.protect_with_certificate(signer, first.certificate.clone(), first.chain.clone());
    let client = config.build().unwrap();

    let mut line = Line { ca: &mut ca, exchanges_left: None };
    let second = client.renew_into(place(&store), &key(), &mut line, &mut patient()).expect("renewed");

    assert_eq!(store.current("router").unwrap().certificate, second.certificate);
    assert_eq!(store.previous("router").unwrap().certificate, first.certificate);
    assert_eq!(store.rollback("router").unwrap().certificate, first.certificate);
}

/// Wherever the line breaks or the device is switched off, the transaction goes on afterwards and the identity from
/// before stays in use until then.
#[test]
fn an_interrupted_enrolment_is_resumed_from_wherever_it_was() {
    for broken_after in 0..8 {
        for is_line in [true, false] {
            let (mut ca, store) = (MockCa::new().answers_waiting(2, 60), memory());
            let client = Device::config(&ca).build().unwrap();
            let before = enroll(&client, &store, &mut ca).unwrap();
            let sent_before = ca.received.len();
            ca.confirm_waits = 1;

            let (line_lasts, patience) = if is_line { (Some(broken_after), None) } else { (None, Some(broken_after)) };
            let mut line = Line { ca: &mut ca, exchanges_left: line_lasts };
            let mut owner = Patience(now(), patience);
            let outcome = client.enroll_into(place(&store), &key(), &Device::subject(), &mut line, &mut owner);
            if outcome.is_ok() {
                continue;
            }
            assert_eq!(store.current("router").unwrap().certificate, before.certificate, "{broken_after}");
            let error = enroll(&client, &store, &mut ca).unwrap_err();
            assert_eq!(error.code(), Code::State, "a second enrolment does not run over the first");

            let mut line = Line { ca: &mut ca, exchanges_left: None };
            let mut later = Patience(now().plus(600), None);
            let resumed = client.resume(place(&store), &mut line, &mut later).expect("resumed");

            assert_eq!(store.current("router").unwrap().certificate, resumed.certificate);
            assert_ne!(resumed.certificate, before.certificate);
            assert!(is_tidy(&store), "{broken_after}");
            let requests = ca.bodies()[sent_before..].iter().filter(|b| **b == "ir").count();
            assert!(requests <= 1, "one transaction: {:?}", ca.bodies());
        }
    }
}

#[test]
fn a_rejected_request_leaves_device_memory_as_it_was() {
    let (mut ca, store) = (MockCa::new(), memory());
    let client = Device::config(&ca).build().unwrap();
    let before = enroll(&client, &store, &mut ca).unwrap();
    ca.status = PkiStatusInfo::new(PkiStatus::Rejection);

    assert_eq!(enroll(&client, &store, &mut ca).unwrap_err().code(), Code::Rejected);

    assert_eq!(store.current("router").unwrap().certificate, before.certificate);
    assert!(is_tidy(&store));
}

#[test]
fn a_certificate_that_the_owner_refuses_never_comes_into_use() {
    let (mut ca, store) = (MockCa::new().issuing(|b| b.subject(crate::certificates::common_name("other"))), memory());
    let client = Device::config(&ca).build().unwrap();

    assert_eq!(enroll(&client, &store, &mut ca).unwrap_err().code(), Code::Refused);

    assert!(store.current("router").is_err());
    assert!(is_tidy(&store));
}

/// Issued, staged, but the CA's confirmation was not to be believed: a state one can see and resolve.
#[test]
fn an_unconfirmed_certificate_stays_staged_and_out_of_use() {
    let mut ca = MockCa::new().bending(BodyType::PKICONF, |a| {
        let status = PkiStatusInfo::new(PkiStatus::Rejection);
        (a.body_type, a.content) = (BodyType::ERROR, sequence(&[&status.to_der()]));
    });
    let store = memory();
    let client = Device::config(&ca).build().unwrap();

    assert_eq!(enroll(&client, &store, &mut ca).unwrap_err().code(), Code::Unconfirmed);

    assert!(store.current("router").is_err(), "not in use");
    assert!(store.pending("router").is_ok(), "and not lost");
    assert_eq!(enroll(&client, &store, &mut ca).unwrap_err().code(), Code::State);
    abandon(place(&store)).unwrap();
    assert!(is_tidy(&store));
    ca.bend = None;
    enroll(&client, &store, &mut ca).expect("a fresh start");
}

/// The key of a request that is out, on paper or a stick, is not thrown away for an enrolment over the network.
#[test]
fn an_online_enrolment_does_not_run_over_a_request_that_is_out() {
    let (mut ca, store) = (MockCa::new(), memory());
    let client = Device::config(&ca).build().unwrap();
    let request = request_into(place(&store), &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();

    assert_eq!(enroll(&client, &store, &mut ca).unwrap_err().code(), Code::State);

    assert_eq!(store.pending_request("router").unwrap(), Some(request));
    abandon(place(&store)).unwrap();
    enroll(&client, &store, &mut ca).expect("a fresh start");
}

#[test]
fn nothing_to_resume_is_said_so() {
    let (mut ca, store) = (MockCa::new(), memory());
    let client = Device::config(&ca).build().unwrap();
    let mut line = Line { ca: &mut ca, exchanges_left: None };
    assert_eq!(client.resume(place(&store), &mut line, &mut patient()).unwrap_err().code(), Code::NotFound);
}

/// A line that nothing may go over.
struct NoLine;

impl Exchange for NoLine {
    fn exchange(&mut self, _: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        panic!("something is sent that device memory will not keep");
    }
}

#[test]
fn a_key_that_device_memory_could_not_keep_is_refused_before_anything_is_sent() {
    let ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    for kind in [KeyKind::X25519, KeyKind::MlKem512, KeyKind::MlKem768, KeyKind::MlKem1024] {
        let store = memory();
        let key = provider().generate_key(kind).unwrap();
        let own = client.enroll_into(place(&store), &key, &Device::subject(), &mut NoLine, &mut patient());
        let wanted = (RequestKind::Further, Some(kind));
        let central =
            client.enroll_central_into(place(&store), wanted, &Device::subject(), &mut NoLine, &mut patient());
        let renewed = client.renew_into(place(&store), &key, &mut NoLine, &mut patient());
        for error in [own, central, renewed].map(Result::unwrap_err) {
            assert_eq!(error.code(), Code::Algorithm, "{kind}: {error}");
            assert!(error.message().contains(&format!("of type {kind} signs nothing")), "{error}");
        }
        assert!(is_tidy(&store));
    }
    for kind in [KeyKind::P384, KeyKind::Ed25519] {
        let (mut ca, store) = (MockCa::new(), memory());
        let client = Device::config(&ca).build().unwrap();
        let key = provider().generate_key(kind).unwrap();
        let mut line = Line { ca: &mut ca, exchanges_left: None };
        let kept = client.enroll_into(place(&store), &key, &Device::subject(), &mut line, &mut patient()).unwrap();
        assert_eq!(kept.key.spki(), key.spki());
    }
}
