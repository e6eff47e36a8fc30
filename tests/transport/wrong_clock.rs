//! A clock that is wrong is found out over HTTPS as well: the server's certificate that it refuses is no reason to ask nobody.

use devid::client::renewal::{Done, Report, Step};
use devid::client::{Config, Destination, Planner, Renewal, Subject, Unattended};
use devid::cmp::MacParameters;
use devid::crypto::default_provider;
use devid::store::{AnchorSet, Store};
use devid::validation::{Crl, RevocationPolicy};
use devid::{Code, Time};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Server, TestCa};

use super::tls::certificate;

const DAY: i64 = 86_400;

/// A device without a certificate; the server's certificate begins so many days after what the clock says, and the CA's time is off as far.
struct Bench {
    ca: Server,
    _tls: TlsServer,
    config: Config,
    store: Store,
    ca_off_days: i64,
}

impl Bench {
    fn new(begins_days: i64, ca_off_days: i64) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let store = Store::in_memory(default_provider());
        let options = ca.with(|ca| {
            ca.knobs.set("time-window", "0").unwrap();
            ca.knobs.set("at", "any").unwrap();
            let root = certificate(&ca.root.certificate);
            for set in [AnchorSet::Cmp, AnchorSet::Enrolment, AnchorSet::Tls] {
                store.set_anchors(set, std::slice::from_ref(&root)).unwrap();
            }
            let identity = Some(ca.tls_server(KeyType::P256, system_time() + begins_days * DAY, |profile| profile));
            TlsOptions { identity, ..TlsOptions::default() }
        });
        let tls = TlsServer::start(&ca, options).unwrap();
        let mut config = Config::new();
        config.server.url = Some(tls.cmp_url());
        config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
        Bench { ca, _tls: tls, config, store, ca_off_days }
    }

    fn run(&self, clock: i64) -> Report {
        // Time passes at the CA as it does here.
        let off = clock - system_time() + self.ca_off_days * DAY;
        self.ca.with(|ca| ca.knobs.set("message-time-off", &off.to_string()).unwrap());
        let subject = Subject::new().name("CN=device").unwrap();
        let renewal = Renewal {
            planner: &Planner::new(),
            config: &self.config,
            to: Destination { store: &self.store, name: "device", purpose: "ldevid" },
            factory: None,
            subject: Some(&subject),
            new_key: None,
        };
        renewal.run_due_http(Some(Time::from_unix(clock)), &mut Unattended).unwrap()
    }
}

#[test]
fn a_clock_that_is_months_slow_is_told_by_the_ca_and_the_device_enrols() {
    let bench = Bench::new(90, 100);
    let now = system_time();
    let report = bench.run(now);
    assert_eq!(report.plan.step, Step::Enroll);
    let error = report.outcome.unwrap_err();
    assert_eq!(error.code(), Code::Tls, "{error}");
    assert!(bench.ca.with(|ca| ca.received.is_empty()));

    let report = bench.run(now + i64::from(report.wait_seconds));
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
    assert!(report.learnt.unwrap().since(Time::from_unix(now)) > 99 * DAY);
    let names: Vec<String> = bench.ca.with(|ca| ca.received.iter().map(|body| format!("{body:?}")).collect());
    assert!(names.len() >= 3, "the time, the certificate, its confirmation: {names:?}");
}

/// The dark twin: where the CA's time agrees with the clock, the server's certificate is what is wrong, and nothing else is sent to it.
#[test]
fn a_server_whose_certificate_is_not_valid_by_the_cas_own_time_gets_no_request() {
    let bench = Bench::new(90, 0);
    let mut now = system_time();
    for _ in 0..6 {
        let report = bench.run(now);
        assert!(!matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
        assert!(report.wait_seconds >= 1);
        now += i64::from(report.wait_seconds);
    }
    assert!(bench.store.state("device").unwrap().current.is_none());
    assert!(bench.ca.with(|ca| ca.confirmed.is_empty()));
}

/// The server's certificate is judged by the time that the run is told, as everything else is: a program may have another clock than the
/// system's.
#[test]
fn a_run_that_is_told_the_time_judges_the_server_by_it() {
    let bench = Bench::new(90, 0);
    let report = bench.run(system_time() + 91 * DAY);
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
    assert_eq!(report.plan.step, Step::Enroll);
    // The dark twin: valid by the system's clock, and not by the one that is told.
    let bench = Bench::new(0, 0);
    let error = bench.run(system_time() - 2 * DAY).outcome.unwrap_err();
    assert_eq!(error.code(), Code::Tls, "{error}");
}

/// Lists of the CAs above the server, of today by a clock that is a month ahead of the device's.
fn with_lists(ca_off_days: i64) -> Bench {
    let mut bench = Bench::new(0, ca_off_days);
    let lists = bench.ca.with(|ca| [ca.crl(system_time() + 30 * DAY), ca.root_crl(system_time() + 30 * DAY)]);
    bench.config.tls.status.crls = lists.into_iter().map(|der| Crl::from_der(der).unwrap().into()).collect();
    bench.config.tls.revocation = RevocationPolicy::hard_fail();
    bench
}

#[test]
fn a_clock_by_which_the_servers_lists_are_of_another_time_is_told_by_the_ca_and_the_device_enrols() {
    let bench = with_lists(30);
    let now = system_time();
    let report = bench.run(now);
    let error = report.outcome.unwrap_err();
    assert!(error.code() == Code::Tls && error.message().contains("from the future"), "{error}");
    assert!(bench.ca.with(|ca| ca.received.is_empty()));

    let report = bench.run(now + i64::from(report.wait_seconds));
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
}

/// The dark twins: where the CA's time agrees with the clock they are what is wrong, and where there is none at all no clock is doubted.
#[test]
fn a_server_whose_lists_are_of_another_time_by_the_cas_own_or_missing_gets_no_request() {
    for has_lists in [true, false] {
        let mut bench = with_lists(0);
        if !has_lists {
            bench.config.tls.status.crls.clear();
        }
        let mut now = system_time();
        for _ in 0..6 {
            let report = bench.run(now);
            assert!(!matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
            now += i64::from(report.wait_seconds);
        }
        assert!(bench.ca.with(|ca| ca.confirmed.is_empty()));
        assert!(has_lists || bench.ca.with(|ca| ca.received.is_empty()), "nobody is asked for the time");
    }
}
