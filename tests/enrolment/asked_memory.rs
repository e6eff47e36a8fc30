//! Whoever holds a device memory asks it: what that knows against a signer, a CA or a link to a root counts by every door, without a
//! second call.

use std::sync::Arc;

use devid::asn1::pem;
use devid::client::renewal::{Planner, Renewal};
use devid::client::status::{StatusMemory, StatusOptions};
use devid::client::{Client, Config, CrlSubject, Destination, Import, Owner, add_root, keep_crl};
use devid::cmp::{Operation, Signer};
use devid::store::{AnchorSet, Store};
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::validation::{Checks, RevocationPolicy, StatusSources, TrustAnchors, validate};
use devid::{Code, Error, Time};

use crate::certificates::{Builder, Party, key, now, provider};
use crate::kept::update;
use crate::mock_ca::{Device, MockCa};
use crate::status::CrlBuilder;

struct Line<'a> {
    ca: &'a mut MockCa,
    exchanges_left: u32,
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.exchanges_left == 0 {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        self.exchanges_left -= 1;
        Ok(Reply::from_body(self.ca.answer(request)))
    }
}

fn line(ca: &mut MockCa) -> Line<'_> {
    Line { ca, exchanges_left: u32::MAX }
}

/// Waits by moving its clock.
struct Waiting(Time);

impl Owner for Waiting {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, seconds: u32, _: &[String]) -> Result<(), Error> {
        self.0 = self.0.plus(i64::from(seconds));
        Ok(())
    }
}

/// How a device memory comes to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    Nothing,
    /// A validation has met the certificate, with a list that is not kept.
    Record,
    /// A list was put there.
    List,
}

/// `who`, or a neighbour whom nobody asks about: what is known is known in the same form in both cases.
fn know(knows: Knows, store: &Arc<Store>, root: &Party, above: &[Party], who: &Party) {
    let issuer = above.first().unwrap_or(root);
    let list = CrlBuilder::of(issuer).number(7).revokes(who);
    let anchors: TrustAnchors = [root.certificate.clone()].into_iter().collect();
    let pool: Vec<_> = above.iter().map(|party| party.certificate.clone()).collect();
    match knows {
        Knows::Nothing => {}
        Knows::Record => {
            let mut met = StatusSources { crls: vec![list.build()], ..StatusSources::none() };
            StatusMemory::new(provider().clone(), Some(store.clone())).join(&mut met);
            let mut checks = Checks::at(now());
            checks.revocation = RevocationPolicy::soft_fail();
            assert!(!validate(&**provider(), &anchors, &who.certificate, &pool, &met, &checks).is_valid());
        }
        Knows::List => {
            let about =
                CrlSubject { certificate: &who.certificate, intermediates: &pool, anchors: &anchors, at: now() };
            assert_eq!(keep_crl(provider(), store, &list.der(), &about).unwrap_err().code(), Code::Revoked);
        }
    }
}

fn place(store: &Store) -> Destination<'_> {
    Destination { store, name: "router", purpose: "ldevid" }
}

fn client(ca: &MockCa) -> Client {
    Device::config(ca).build().unwrap()
}

/// Each way in which an answer comes to a device memory, and which is told only that memory. `learn` is called when the memory comes
/// to know, at the latest moment at which that has to count.
type Door = (&'static str, fn(&mut MockCa, &Arc<Store>, &dyn Fn(&MockCa)) -> Result<(), Error>);

const DOORS: [Door; 8] = [
    ("enroll_into", |ca, store, learn| {
        learn(ca);
        let client = client(ca);
        client.enroll_into(place(store), &key(), &Device::subject(), &mut line(ca), &mut Waiting(now())).map(drop)
    }),
    ("resume", |ca, store, learn| {
        let client = client(ca);
        let mut broken = Line { ca, exchanges_left: 0 };
        let begun = client.enroll_into(place(store), &key(), &Device::subject(), &mut broken, &mut Waiting(now()));
        assert_eq!(begun.unwrap_err().code(), Code::Connect);
        learn(ca);
        client.resume(place(store), &mut line(ca), &mut Waiting(now())).map(drop)
    }),
    ("begin and steps", |ca, store, learn| {
        let (client, key) = (client(ca), key());
        let mut operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
        place(store).begin(&mut operation, None).unwrap();
        learn(ca);
        Device::with(operation, key).run(ca).map(drop)
    }),
    ("renewal", |ca, store, learn| {
        learn(ca);
        let (planner, config, subject) =
            (Planner::with_provider(provider().clone()), Device::config(ca), Device::subject());
        let renewal = Renewal {
            planner: &planner,
            config: &config,
            to: place(store),
            factory: None,
            subject: Some(&subject),
            new_key: None,
        };
        renewal.run_due(Some(now()), &mut line(ca), &mut Waiting(now())).unwrap().outcome.map(drop)
    }),
    ("settings with the memory", |ca, store, learn| {
        let mut config = Device::config(ca);
        config.use_signer_store(store);
        stepped(&config.build().unwrap(), ca, learn)
    }),
    ("settings with a fetcher's memory, by steps", |ca, store, learn| {
        stepped(&with_fetcher(ca, store).build().unwrap(), ca, learn)
    }),
    ("settings with a fetcher's memory, run", |ca, store, learn| {
        let client = with_fetcher(ca, store).build().unwrap();
        learn(ca);
        let mut operation = client.enroll(Signer::Key(key()), &Device::subject()).unwrap();
        client.run_over(&mut operation, &mut line(ca), &mut Waiting(now())).map(drop)
    }),
    ("settings with the memory, restored", |ca, store, learn| {
        let mut config = Device::config(ca);
        config.use_signer_store(store);
        let (client, key) = (config.build().unwrap(), key());
        let mut device =
            Device::with(client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap(), key.clone());
        device.step().unwrap();
        let saved = device.operation.save().unwrap();
        let restored = Operation::restore(client.context().clone(), Signer::Key(key.clone()), &saved).unwrap();
        learn(ca);
        Device::with(restored, key).run(ca).map(drop)
    }),
];

fn with_fetcher(ca: &MockCa, store: &Arc<Store>) -> Config {
    let mut config = Device::config(ca);
    let memory = Arc::new(StatusMemory::new(provider().clone(), Some(store.clone())));
    config.fetch_signer_status(StatusOptions::default(), memory);
    config
}

/// The client is there before the memory comes to know.
fn stepped(client: &Client, ca: &mut MockCa, learn: &dyn Fn(&MockCa)) -> Result<(), Error> {
    let key = key();
    let operation = client.enroll(Signer::Key(key.clone()), &Device::subject()).unwrap();
    learn(ca);
    Device::with(operation, key).run(ca).map(drop)
}

#[test]
fn a_signer_that_the_memory_in_hand_knows_as_revoked_is_refused_by_every_door() {
    for (door, run) in DOORS {
        for knows in [Knows::Nothing, Knows::Record, Knows::List] {
            for is_signer in [true, false] {
                let (mut ca, store) = (MockCa::new(), Arc::new(Store::in_memory(provider().clone())));
                let neighbour = Builder::leaf("neighbour").signed_by(&ca.issuing);
                let learn = |ca: &MockCa| {
                    let who = if is_signer { &ca.signer } else { &neighbour };
                    know(knows, &store, &ca.root, std::slice::from_ref(&ca.issuing), who);
                };
                let outcome = run(&mut ca, &store, &learn);
                let story = format!("{door}, knows {knows:?}, of the signer: {is_signer}");
                match (knows, is_signer) {
                    (Knows::Nothing, _) | (_, false) => outcome.unwrap_or_else(|error| panic!("{story}: {error}")),
                    _ => {
                        let error = outcome.expect_err(&story);
                        assert!(error.message().contains("REVOKED"), "{story}: {error}");
                        assert!(store.current("router").is_err(), "{story}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_certificate_under_a_ca_that_the_memory_in_hand_knows_as_revoked_is_taken_by_no_door() {
    for (door, run) in DOORS {
        for knows in [Knows::Nothing, Knows::Record, Knows::List] {
            let (mut ca, store) = (MockCa::new(), Arc::new(Store::in_memory(provider().clone())));
            let other = ca.root.ca("Issuing CA for devices");
            ca.other_issuer = Some(other.clone());
            ca = ca.bending(devid::asn1::cmp::BodyType::IP, {
                let certificate = other.certificate.clone();
                move |answer| answer.extra_certs.push(certificate.clone())
            });
            let outcome = run(&mut ca, &store, &|ca| know(knows, &store, &ca.root, &[], &other));
            let story = format!("{door}, knows {knows:?}");
            if knows == Knows::Nothing {
                outcome.unwrap_or_else(|error| panic!("{story}: {error}"));
            } else {
                let error = outcome.expect_err(&story);
                assert_eq!(error.code(), Code::WrongCertificate, "{story}: {error}");
                assert!(error.message().contains("revoked since"), "{story}: {error}");
                assert!(store.current("router").is_err(), "{story}");
            }
        }
    }
}

#[test]
fn a_certificate_under_a_ca_that_device_memory_knows_as_revoked_is_not_imported() {
    for knows in [Knows::Nothing, Knows::Record, Knows::List] {
        let (ca, store) = (MockCa::new(), Arc::new(Store::in_memory(provider().clone())));
        let key = key();
        store.put_pending_key("router", &Signer::from(&key)).unwrap();
        know(knows, &store, &ca.root, &[], &ca.issuing);
        let certificate = Builder::leaf("router-7").key(&key).signed_by(&ca.issuing).certificate;
        let anchors: TrustAnchors = [ca.root.certificate.clone()].into_iter().collect();
        let sent: Vec<String> = [&certificate, &ca.issuing.certificate]
            .map(|one| pem::encode("CERTIFICATE", one.as_der()).to_string())
            .into_iter()
            .collect();
        let outcome = Import::new(&store, &anchors, "ldevid", now()).check(sent.concat().as_bytes());
        match knows {
            Knows::Nothing => drop(outcome.unwrap()),
            _ => assert_eq!(outcome.unwrap_err().code(), Code::Revoked, "{knows:?}"),
        }
    }
}

#[test]
fn a_root_behind_a_link_that_device_memory_knows_as_revoked_is_not_added() {
    for knows in [Knows::Nothing, Knows::Record, Knows::List] {
        for is_link in [true, false] {
            let (mut ca, store) = (MockCa::new(), Arc::new(Store::in_memory(provider().clone())));
            let update = update(&mut ca);
            store.set_anchors(AnchorSet::Cmp, std::slice::from_ref(&ca.root.certificate)).unwrap();
            let link = Party { certificate: update.new_with_old().clone(), ..ca.root.clone() };
            know(knows, &store, &ca.root, &[], if is_link { &link } else { &ca.issuing });
            let outcome = add_root(&store, AnchorSet::Cmp, &update);
            match (knows, is_link) {
                (Knows::Nothing, _) | (_, false) => assert!(outcome.unwrap()),
                _ => {
                    assert_eq!(outcome.unwrap_err().code(), Code::Revoked, "{knows:?}");
                    assert_eq!(store.anchors(AnchorSet::Cmp).unwrap().len(), 1);
                }
            }
        }
    }
}
