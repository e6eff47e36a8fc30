//! A TLS server that device memory knows as revoked gets no request, by whatever is bound to that memory.

use std::sync::Arc;

use devid::client::{Config, CrlSubject, Destination, Owner, Planner, Renewal, Subject, Unattended, keep_crl};
use devid::cmp::MacParameters;
use devid::crypto::default_provider;
use devid::store::{AnchorSet, Store};
use devid::{Code, Error, Time};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Parsed, Server, TestCa};

use super::tls::certificate;

/// The server staples a response from before it was revoked, and the list that revokes it is in device memory alone.
struct Bench {
    ca: Server,
    _tls: TlsServer,
    config: Config,
    store: Arc<Store>,
}

impl Bench {
    fn new(is_known: bool) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let store = Arc::new(Store::in_memory(default_provider()));
        let options = ca.with(|ca| {
            ca.knobs.set("at", "any").unwrap();
            let root = certificate(&ca.root.certificate);
            for set in [AnchorSet::Cmp, AnchorSet::Enrolment, AnchorSet::Tls] {
                store.set_anchors(set, std::slice::from_ref(&root)).unwrap();
            }
            let identity = ca.tls_server(KeyType::P256, system_time(), |profile| profile);
            let serial = Parsed::read(&identity.certificate).unwrap().serial;
            let stapled_ocsp = ca.ocsp_response_for(&serial, system_time());
            if is_known {
                ca.revoke(&serial, 1);
            }
            let about = CrlSubject {
                certificate: &certificate(&identity.certificate),
                intermediates: &[certificate(&ca.issuing.certificate)],
                anchors: &[root].into_iter().collect(),
                at: Time::from_unix(system_time()),
            };
            let kept = keep_crl(&default_provider(), &store, &ca.crl(system_time()), &about);
            assert_eq!(kept.is_err_and(|error| error.code() == Code::Revoked), is_known);
            TlsOptions { identity: Some(identity), stapled_ocsp, ..TlsOptions::default() }
        });
        let tls = TlsServer::start(&ca, options).unwrap();
        let mut config = Config::new();
        config.server.url = Some(tls.cmp_url());
        config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
        Bench { ca, _tls: tls, config, store }
    }

    fn to(&self) -> Destination<'_> {
        Destination { store: &self.store, name: "device", purpose: "ldevid" }
    }

    fn renewal(&self, owner: &mut dyn Owner) -> Result<(), Error> {
        let subject = Subject::new().name("CN=device").unwrap();
        let renewal = Renewal {
            planner: &Planner::new(),
            config: &self.config,
            to: self.to(),
            factory: None,
            subject: Some(&subject),
            new_key: None,
        };
        renewal.run_due_http(Some(Time::from_unix(system_time())), owner).unwrap().outcome.map(drop)
    }

    fn client(&self, is_given: bool) -> Result<(), Error> {
        let mut config = self.config.clone();
        let root = self.store.anchors(AnchorSet::Tls).unwrap().remove(0);
        config.cmp_anchors.add(root.clone());
        config.enrolment_anchors.add(root.clone());
        config.tls.anchors.add(root);
        if is_given {
            config.use_signer_store(&self.store);
        }
        let client = config.build().unwrap();
        let client = if is_given { client } else { client.asking(&self.store) };
        let key = default_provider().generate_key(devid::crypto::KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device").unwrap();
        client.enroll_into(self.to(), &key, &subject, &mut *client.exchange()?, &mut Unattended).map(drop)
    }
}

#[test]
fn a_server_that_the_memory_in_hand_knows_as_revoked_gets_no_request() {
    type Door = fn(&Bench) -> Result<(), Error>;
    let doors: [(&str, Door); 3] = [
        ("renewal", |bench| bench.renewal(&mut Unattended)),
        ("settings with the memory", |bench| bench.client(true)),
        ("a client that asks it", |bench| bench.client(false)),
    ];
    for (door, run) in doors {
        run(&Bench::new(false)).unwrap_or_else(|error| panic!("{door}: {error}"));
        let bench = Bench::new(true);
        let error = run(&bench).expect_err(door);
        assert!(error.code() == Code::Tls && error.message().contains("REVOKED"), "{door}: {error}");
        assert!(bench.ca.with(|ca| ca.received.is_empty()), "{door}");
    }
}
