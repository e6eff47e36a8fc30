//! Several certificates by one operation (RFC 9810 sections 5.3.1 to 5.3.4, 5.3.18, 5.3.22): whatever the CA answers, in whatever
//! order, each certificate goes with the key of its own request, is confirmed once, and hides nothing of the others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ::der::Tag;
use devid::asn1::cmp::{BodyType, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::der::{Cursor, element, encode, sequence};
use devid::asn1::x509::Certificate;
use devid::client::{Client, Subject};
use devid::cmp::{ActionKind, CertificateRequest, Operation, RequestKind, Signer};
use devid::crypto::{DigestAlgorithm, PrivateKey};
use devid::{Code, Error};

use crate::certificates::{Builder, Party, key, now, provider};
use crate::mock_ca::{Device, MockCa, content_of};

fn subject(at: usize) -> Subject {
    Subject::new().name(&format!("CN=unit {at}")).unwrap()
}

/// An operation for a certificate over each of these keys.
fn asking(client: &Client, keys: &[Arc<dyn PrivateKey>]) -> Operation {
    let mut operation = client.enroll(Signer::Key(Arc::clone(&keys[0])), &subject(0)).unwrap();
    for (at, key) in keys.iter().enumerate().skip(1) {
        client.add_request(&mut operation, Signer::Key(Arc::clone(key)), &subject(at)).unwrap();
    }
    operation
}

fn keys(count: usize) -> Vec<Arc<dyn PrivateKey>> {
    (0..count).map(|_| key()).collect()
}

/// A number between 0 and `below`, of a sequence that depends on the seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// What the CA does about one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Issued,
    /// Over the key of another request.
    OverAnotherKey,
    Refused,
}

/// What a CA has done, and what it was told.
#[derive(Default)]
struct Book {
    issued: HashMap<i64, Certificate>,
    accepted: Vec<i64>,
    rejected: Vec<i64>,
    /// What stands in the first answer that breaks a rule, if one does.
    broken: Option<&'static str>,
    /// certReqIds that the first answer leaves out.
    missing: Vec<i64>,
    polled: Vec<Vec<i64>>,
}

fn response(id: i64, status: i64, certificate: Option<&Certificate>) -> Vec<u8> {
    let pair = certificate.map_or_else(Vec::new, |c| sequence(&[&element(0xa0, &[c.as_der()])]));
    sequence(&[&encode(&id), &PkiStatusInfo::new(PkiStatus::from_number(status)).to_der(), &pair])
}

fn cert_rep(responses: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[&sequence(&responses.iter().map(Vec::as_slice).collect::<Vec<_>>())])
}

/// The requests' numbers in a pollReq.
fn polled_ids(request: &PkiMessage) -> Vec<i64> {
    let content = content_of(request);
    let mut list = Cursor::sequence(&content, "PollReqContent").unwrap();
    let mut ids = Vec::new();
    while !list.is_empty() {
        ids.push(Cursor::new(list.any("an entry").unwrap().value, "entry").unwrap().decode().unwrap());
    }
    ids
}

/// certReqId, certHash, and whether the certificate is taken.
fn confirmed(request: &PkiMessage) -> Vec<(i64, Vec<u8>, bool)> {
    let content = content_of(request);
    let mut list = Cursor::sequence(&content, "CertConfirmContent").unwrap();
    let mut all = Vec::new();
    while !list.is_empty() {
        let mut one = Cursor::new(list.any("a CertStatus").unwrap().value, "CertStatus").unwrap();
        let hash = one.expect(Tag::OctetString, "certHash").unwrap().value.to_vec();
        all.push((one.decode().unwrap(), hash, one.optional(Tag::Sequence).unwrap().is_none()));
    }
    all
}

/// A CA that answers by dice: in any order, some later than others; once in a while with a number twice, or one that nobody asked for.
fn by_dice(ca: &mut MockCa, keys: &[Arc<dyn PrivateKey>], fates: &[Fate], seed: u64) -> Rc<RefCell<Book>> {
    let book = Rc::new(RefCell::new(Book::default()));
    let (told, keys, fates, issuing) = (Rc::clone(&book), keys.to_vec(), fates.to_vec(), ca.issuing.clone());
    let mut dice = Dice(seed);
    let mut open: Vec<i64> = (0..keys.len() as i64).collect();
    let settle = move |id: i64, book: &mut Book| {
        let at = id as usize;
        let over = match fates[at] {
            Fate::Refused => return response(id, 2, None),
            Fate::Issued => at,
            Fate::OverAnotherKey => (at + 1) % keys.len(),
        };
        let certificate = Builder::leaf(&format!("unit {at}")).key(&keys[over]).signed_by(&issuing).certificate;
        book.issued.insert(id, certificate.clone());
        response(id, 0, Some(&certificate))
    };
    ca.script = Some(Box::new(move |request| {
        let book = &mut *told.borrow_mut();
        match request.body_type() {
            BodyType::IR => {
                let mut responses = Vec::new();
                open.retain(|id| {
                    let waits = dice.one_in(3);
                    match (waits, dice.one_in(12)) {
                        (_, true) => book.missing.push(*id),
                        (true, _) => responses.push(response(*id, 3, None)),
                        (false, _) => responses.push(settle(*id, book)),
                    }
                    waits && !book.missing.contains(id)
                });
                dice.shuffle(&mut responses);
                if dice.one_in(8) && !responses.is_empty() {
                    book.broken = Some("two answers");
                    responses.push(responses[dice.below(responses.len())].clone());
                } else if dice.one_in(8) {
                    book.broken = Some("the requests 0 to");
                    responses.insert(0, response([-2, 64, 1 << 40][dice.below(3)], 0, None));
                }
                (BodyType::IP, cert_rep(&responses))
            }
            BodyType::POLLREQ => {
                let ids = polled_ids(request);
                assert_eq!(ids, open, "what waits is polled for, and nothing else");
                book.polled.push(ids);
                if dice.one_in(3) {
                    let entry = |id: &i64| sequence(&[&encode(id), &encode(&(10 + id))]);
                    return (BodyType::POLLREP, sequence(&[&open.iter().flat_map(entry).collect::<Vec<u8>>()]));
                }
                dice.shuffle(&mut open);
                let ready = open.split_off(dice.below(open.len()));
                open.sort_unstable();
                let mut responses: Vec<Vec<u8>> = ready.iter().map(|id| settle(*id, book)).collect();
                // Those that wait on may be told so, or not be told of.
                responses.extend(
                    open.iter().filter(|_| dice.one_in(2)).map(|id| response(*id, 3, None)).collect::<Vec<_>>(),
                );
                dice.shuffle(&mut responses);
                (BodyType::IP, cert_rep(&responses))
            }
            BodyType::CERTCONF => {
                for (id, hash, is_taken) in confirmed(request) {
                    let certificate = book.issued.get(&id).expect("only what was issued is confirmed");
                    assert_eq!(hash, provider().digest(DigestAlgorithm::Sha256, &[certificate.as_der()]).unwrap()[..]);
                    assert!(!book.accepted.contains(&id) && !book.rejected.contains(&id), "once");
                    if is_taken { book.accepted.push(id) } else { book.rejected.push(id) }
                }
                (BodyType::PKICONF, vec![5, 0])
            }
            other => panic!("the client sent {other}"),
        }
    }));
    book
}

/// Accepts what is offered, unless the number is among the unwanted; the clock jumps over waits.
fn run(device: &mut Device, ca: &mut MockCa, unwanted: &[usize]) -> Result<(), Error> {
    loop {
        match device.exchange_until_other(ca)? {
            ActionKind::Wait => device.clock = device.clock.plus(i64::from(device.wait_seconds())),
            ActionKind::Accept => {
                let at = device.operation.issued().unwrap().request_index();
                match unwanted.contains(&at) {
                    true => device.operation.reject("not wanted")?,
                    false => device.operation.accept()?,
                }
            }
            ActionKind::Done => return Ok(()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn whatever_the_ca_answers_a_certificate_goes_with_its_own_key_and_hides_no_other() {
    let (mut completed, mut issued_in_all) = (0, 0);
    for seed in 0..400u64 {
        let mut dice = Dice(seed + 1);
        let keys = keys(1 + dice.below(4));
        let fates: Vec<Fate> = keys
            .iter()
            .map(|_| match dice.below(6) {
                0 if keys.len() > 1 => Fate::OverAnotherKey,
                1 => Fate::Refused,
                _ => Fate::Issued,
            })
            .collect();
        let unwanted: Vec<usize> = (0..keys.len()).filter(|_| dice.one_in(6)).collect();
        let mut ca = MockCa::new();
        let client = Device::config(&ca).build().unwrap();
        let requests: Vec<CertificateRequest> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let template = subject(at).to_template().unwrap();
                CertificateRequest::new(RequestKind::Initial, Signer::Key(Arc::clone(key)), template)
            })
            .collect();
        let book = by_dice(&mut ca, &keys, &fates, seed);
        let mut device = Device::doing(client.operation(requests).unwrap());

        let result = run(&mut device, &mut ca, &unwanted);

        let book = book.borrow();
        let found = device.operation.certificates();
        assert_eq!(found.len(), keys.len());
        if let Some(words) = book.broken {
            let error = result.expect_err("an answer that breaks a rule");
            assert!(error.code() == Code::Protocol && error.message().contains(words), "{seed}: {error}");
            assert!(!ca.bodies().contains(&"certConf"), "nothing of it is taken");
            assert!(found.iter().all(Result::is_err));
            continue;
        }
        result.unwrap_or_else(|error| panic!("{seed} {fates:?}: {error}"));
        completed += 1;
        for (at, outcome) in found.iter().enumerate() {
            let id = at as i64;
            let code = outcome.as_ref().map(|_| ()).map_err(Error::code);
            let expected = match fates[at] {
                _ if book.missing.contains(&id) => Err(Code::Protocol),
                Fate::Refused => Err(Code::Rejected),
                Fate::OverAnotherKey => Err(Code::WrongCertificate),
                Fate::Issued if unwanted.contains(&at) => Err(Code::Refused),
                Fate::Issued => Ok(()),
            };
            assert_eq!(code, expected, "seed {seed}, certificate {at}: {outcome:?}");
            assert_eq!(book.accepted.contains(&id), expected.is_ok(), "seed {seed}: the CA knows");
            assert_eq!(book.rejected.contains(&id), book.issued.contains_key(&id) && expected.is_err(), "seed {seed}");
            if let Ok(issued) = outcome {
                assert_eq!(issued.certificate, book.issued[&id], "seed {seed}: over the key of its own request");
                issued_in_all += 1;
            }
        }
    }
    assert!(completed > 200 && issued_in_all > 200, "{completed} {issued_in_all}");
}

/// A CA that lets all wait, and then answers polls with nothing about those that wait, is asked again later each time, up to the limit.
#[test]
fn answers_to_polls_that_say_nothing_of_those_that_wait_make_no_hot_loop() {
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    ca.script = Some(Box::new(|request| match request.body_type() {
        BodyType::IR => (BodyType::IP, cert_rep(&[response(0, 3, None), response(1, 3, None)])),
        _ => (BodyType::IP, cert_rep(&[])),
    }));
    let mut device = Device::doing(asking(&client, &keys(2)));
    for _ in 0..5 {
        assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
        device.clock = device.clock.plus(i64::from(device.wait_seconds()));
    }
    assert_eq!(ca.bodies(), ["ir", "pollReq", "pollReq", "pollReq", "pollReq", "pollReq"]);
}

#[test]
fn the_longest_time_of_those_that_wait_is_waited() {
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    ca.script = Some(Box::new(|request| match request.body_type() {
        BodyType::IR => (BodyType::IP, cert_rep(&[response(1, 3, None), response(0, 3, None)])),
        _ => {
            let entries =
                [(0, 20), (1, 70), (9, 500)].map(|(id, after): (i64, i64)| sequence(&[&encode(&id), &encode(&after)]));
            (BodyType::POLLREP, sequence(&[&entries.concat()]))
        }
    }));
    let mut device = Device::doing(asking(&client, &keys(2)));
    assert_eq!(device.exchange_until_other(&mut ca).unwrap(), ActionKind::Wait);
    assert_eq!(device.wait_seconds(), 70);
}

#[test]
fn a_request_that_the_server_cannot_read_is_refused_with_its_words() {
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    ca.script = Some(Box::new(|_| (BodyType::IP, cert_rep(&[response(-1, 2, None)]))));
    let mut device = Device::doing(asking(&client, &keys(2)));
    assert_eq!(run(&mut device, &mut ca, &[]).unwrap_err().code(), Code::Rejected);
    assert!(
        device
            .operation
            .certificates()
            .iter()
            .all(|outcome| outcome.as_ref().is_err_and(|e| e.code() == Code::Rejected))
    );
}

/// What was confirmed before the rest failed is the device's.
#[test]
fn a_confirmed_certificate_outlives_the_failure_of_the_others() {
    let mut ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    let keys = keys(2);
    let certificate = Builder::leaf("unit 1").key(&keys[1]).signed_by(&ca.issuing).certificate;
    let issued = certificate.clone();
    ca.script = Some(Box::new(move |request| match request.body_type() {
        BodyType::IR => (BodyType::IP, cert_rep(&[response(1, 0, Some(&issued)), response(0, 3, None)])),
        BodyType::CERTCONF => (BodyType::PKICONF, vec![5, 0]),
        _ => {
            let status = PkiStatusInfo { fail_info: Some(1 << 23), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            (BodyType::ERROR, sequence(&[&status.to_der()]))
        }
    }));
    let mut device = Device::doing(asking(&client, &keys));
    assert_eq!(run(&mut device, &mut ca, &[]).unwrap_err().code(), Code::Rejected);
    let found = device.operation.certificates();
    assert_eq!(found[1].as_ref().unwrap().certificate, certificate);
    assert_eq!(found[0].as_ref().unwrap_err().code(), Code::Rejected);
}

#[test]
fn what_cannot_go_in_one_message_is_refused_before_it_is_sent() {
    let ca = MockCa::new();
    let client = Device::config(&ca).build().unwrap();
    let keys = keys(2);
    let mut operation = asking(&client, &keys);
    let refused = |result: Result<(), Error>, words: &str| {
        let error = result.expect_err("refused");
        assert!(error.code() == Code::InvalidArgument && error.message().contains(words), "{error}");
    };
    // One key twice; a key that signs by steps; another kind; a revocation; a key of the CA's making; too many.
    refused(client.add_request(&mut operation, Signer::Key(Arc::clone(&keys[1])), &subject(2)), "over one key");
    let deferred = Signer::deferred(key().spki().to_vec()).unwrap();
    refused(client.add_request(&mut operation, deferred, &subject(2)), "one by one");
    let template = || subject(2).to_template().unwrap();
    let further = CertificateRequest::new(RequestKind::Further, Signer::Key(key()), template());
    refused(operation.add(further), "ir and cr");
    refused(operation.add(CertificateRequest::central(RequestKind::Initial, None, template())), "one by one");
    let party: Party = ca.issuing.leaf("router-8");
    let revocation = devid::cmp::RevocationRequest::new(&party.certificate, devid::asn1::crl::CrlReason::Superseded);
    refused(operation.add(revocation), "ir and rr");
    refused(client.operation(Vec::<CertificateRequest>::new()).map(|_| ()), "0 certificates");
    for at in 2..64 {
        client.add_request(&mut operation, Signer::Key(key()), &subject(at)).unwrap();
    }
    refused(client.add_request(&mut operation, Signer::Key(key()), &subject(64)), "1 to 64");
    assert_eq!(operation.request().certificates().len(), 64, "what was refused left no trace");

    operation.step(now()).unwrap();
    let late = client.add_request(&mut operation, Signer::Key(key()), &subject(65)).unwrap_err();
    assert_eq!(late.code(), Code::State);
    assert_eq!(operation.save().unwrap_err().code(), Code::Unsupported);
}
