//! Which certificate a renewal shows to a TLS server, and what it does where that is refused.

use devid::client::renewal::{Done, Report, Step};
use devid::client::{Config, Destination, Planner, Renewal, Subject, Unattended};
use devid::crypto::default_provider;
use devid::store::{AnchorSet, NewIdentity, NewKey, Signer, Store};
use devid::{Code, Time};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Server, TestCa};

use super::tls::{certificate, key_of};

const DAY: i64 = 86_400;

/// Whom the TLS server lets in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LetsIn {
    Operators,
    Suppliers,
    SuppliersAndNobody,
    Nobody,
}

/// A device that has its certificate, and a TLS server before the CA that has its own mind about certificates.
struct Bench {
    ca: Server,
    tls: TlsServer,
    config: Config,
    store: Store,
    factory: Option<&'static str>,
}

impl Bench {
    fn new(lets_in: LetsIn, has_factory: bool) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let store = Store::in_memory(default_provider());
        let mut config = Config::new();
        config.message_time_window_seconds = None;
        let options = ca.with(|ca| {
            ca.knobs.set("certificate-seconds", &(20 * DAY).to_string()).unwrap();
            ca.knobs.set("time-window", "0").unwrap();
            ca.knobs.set("at", "any").unwrap();
            let root = certificate(&ca.root.certificate);
            for set in [AnchorSet::Cmp, AnchorSet::Enrolment, AnchorSet::Tls] {
                store.set_anchors(set, std::slice::from_ref(&root)).unwrap();
            }
            let idevid = ca.idevid("device 1", KeyType::P256, system_time());
            let key = key_of(&idevid);
            let new = NewIdentity {
                key: NewKey::Given(Signer::from(&key)),
                certificate: &certificate(&idevid.certificate),
                chain: &[certificate(&ca.supplier.certificate)],
                purpose: "idevid",
                at: Time::from_unix(system_time()),
            };
            store.install("idevid", &new).unwrap();
            let anchors = match lets_in {
                LetsIn::Operators => vec![ca.root.certificate.clone()],
                LetsIn::Suppliers | LetsIn::SuppliersAndNobody => vec![ca.supplier_root.certificate.clone()],
                // A root that has issued to none of them.
                LetsIn::Nobody => vec![TestCa::new(Options::default()).root.certificate],
            };
            let client_is_optional = lets_in == LetsIn::SuppliersAndNobody;
            TlsOptions { client_anchors: anchors, client_is_optional, ..TlsOptions::default() }
        });
        let tls = TlsServer::start(&ca, options).unwrap();
        config.server.url = Some(ca.cmp_url());
        let mut bench = Bench { ca, tls, config, store, factory: Some("idevid") };
        let report = bench.run(Some(system_time()));
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
        bench.config.server.url = Some(bench.tls.cmp_url());
        bench.factory = bench.factory.filter(|_| has_factory);
        bench.ca.with(|ca| ca.received.clear());
        bench
    }

    /// One run; the CA's clock agrees with the device's.
    fn run(&self, clock: Option<i64>) -> Report {
        let off = clock.map_or(0, |now| now - system_time());
        self.ca.with(|ca| ca.knobs.set("message-time-off", &off.to_string()).unwrap());
        let subject = Subject::new().name("CN=device").unwrap();
        let renewal = Renewal {
            planner: &Planner::new(),
            config: &self.config,
            to: Destination { store: &self.store, name: "device", purpose: "ldevid" },
            factory: self.factory,
            subject: Some(&subject),
            new_key: None,
        };
        renewal.run_due_http(clock.map(Time::from_unix), &mut Unattended).unwrap()
    }

    fn at_renewal(&self) -> i64 {
        let plan = Planner::new().plan(&self.store, "device", Some(Time::from_unix(system_time()))).unwrap();
        plan.renewal_at.unwrap().unix() + 60
    }

    fn generation(&self) -> u32 {
        self.store.current("device").unwrap().generation
    }
}

#[test]
fn a_server_that_refuses_the_identitys_certificate_is_shown_the_factorys_in_the_same_run() {
    for lets_in in [LetsIn::Suppliers, LetsIn::SuppliersAndNobody] {
        let bench = Bench::new(lets_in, true);
        let report = bench.run(Some(bench.at_renewal()));
        assert_eq!(report.plan.step, Step::Update, "the message is still the identity's own");
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
        assert_eq!(bench.generation(), 2);
    }
}

/// Without a clock nobody knows whether the certificate has ended, but perhaps the server.
#[test]
fn the_time_is_learnt_where_the_server_takes_the_factorys_certificate_alone() {
    let bench = Bench::new(LetsIn::Suppliers, true);
    let report = bench.run(None);
    assert_eq!(report.plan.step, Step::LearnTime);
    assert!(matches!(report.outcome, Ok(Done::TimeLearnt)), "{:?}", report.outcome);
    assert!(report.learnt.is_some());
}

#[test]
fn a_server_that_lets_in_who_shows_none_and_refuses_a_strange_certificate_is_shown_none_at_last() {
    let bench = Bench::new(LetsIn::SuppliersAndNobody, false);
    let report = bench.run(Some(bench.at_renewal()));
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
}

/// A server that is content with the first certificate sees no other.
#[test]
fn a_certificate_that_is_taken_is_the_only_one_shown() {
    let bench = Bench::new(LetsIn::Operators, true);
    let report = bench.run(Some(bench.at_renewal()));
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
    assert_eq!(bench.tls.names().len(), 1, "one connection");
}

/// The dark twin: where every way is closed, nothing is sent, and the error is about the certificate that should have done.
#[test]
fn where_every_certificate_is_refused_the_error_is_about_the_identitys_and_the_next_run_comes_later() {
    let bench = Bench::new(LetsIn::Nobody, true);
    let report = bench.run(Some(bench.at_renewal()));
    let error = report.outcome.unwrap_err();
    assert_eq!(error.code(), Code::Tls);
    assert!(error.to_string().contains("the server refuses the client certificate"), "{error}");
    assert!(report.wait_seconds >= 30);
    assert_eq!(bench.generation(), 1);
    assert!(bench.ca.with(|ca| ca.received.is_empty()), "not a byte came through");
}

/// The settings' own certificate is the only one that its owner has agreed to show.
#[test]
fn where_the_settings_name_a_certificate_no_other_is_shown() {
    let mut bench = Bench::new(LetsIn::Suppliers, true);
    let own = bench.store.current("device").unwrap();
    let key = bench.store.open_key(&own.key).unwrap().unwrap();
    bench.config.tls.set_credential(key, &[own.certificate]).unwrap();
    let report = bench.run(Some(bench.at_renewal()));
    assert_eq!(report.outcome.unwrap_err().code(), Code::Tls);
    assert!(bench.tls.names().is_empty(), "no handshake came to its end");
}
