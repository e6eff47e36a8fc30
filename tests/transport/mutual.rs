//! Messages without protection of their own: only inside TLS with certificates on both sides, and only on demand.

use std::sync::Arc;

use devid::client::{Config, Subject, Unattended};
use devid::cmp::{ActionKind, MacParameters, Operation, Signer};
use devid::crypto::{KeyKind, default_provider};
use devid::transport::{Exchange, ExchangeFn, HttpConfig, HttpExchange, Reply};
use devid::{Code, Error, Time};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Server, TestCa};

use super::tls::{certificate, key_of, quick};

/// A CA that knows its clients by TLS, and a device's settings for it.
struct Bench {
    ca: Server,
    tls: TlsServer,
    config: Config,
}

impl Bench {
    fn new(answers_are_bare: bool) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let (root, idevid, supplier, options) = ca.with(|ca| {
            ca.knobs.take_unprotected = true;
            if answers_are_bare {
                ca.knobs.set("no-protection", "").unwrap();
                ca.knobs.set("at", "any").unwrap();
            }
            let options =
                TlsOptions { client_anchors: vec![ca.supplier_root.certificate.clone()], ..TlsOptions::default() };
            let idevid = ca.idevid("device 1", KeyType::P256, system_time());
            (certificate(&ca.root.certificate), idevid, certificate(&ca.supplier.certificate), options)
        });
        let tls = TlsServer::start(&ca, options).unwrap();
        let mut config = Config::new();
        config.server.url = Some(tls.cmp_url());
        config.enrolment_anchors.add(root.clone());
        config.tls.anchors.add(root);
        config.tls.set_credential(key_of(&idevid), &[certificate(&idevid.certificate), supplier]).unwrap();
        config.protect_by_mutual_tls();
        Bench { ca, tls, config }
    }

    fn enrolment(&self) -> Operation {
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=router-7").unwrap();
        self.config.build().unwrap().enroll(Signer::Key(key), &subject).unwrap()
    }

    fn run(&self) -> Result<(), Error> {
        self.config.build().unwrap().run(&mut self.enrolment(), &mut Unattended).map(drop)
    }

    /// The device's connection, whose answers `change` may touch on their way.
    fn run_over(&self, change: impl Fn(&mut Reply)) -> Result<(), Error> {
        let tls = Some(Arc::new(self.config.tls.clone()));
        let mut http = HttpExchange::new(&self.tls.cmp_url(), HttpConfig { tls, ..HttpConfig::default() }).unwrap();
        let mut exchange = ExchangeFn(move |request: &[u8], _: &_| {
            let mut reply = http.exchange(request, &quick())?;
            change(&mut reply);
            Ok(reply)
        });
        self.config.build().unwrap().run_over(&mut self.enrolment(), &mut exchange, &mut Unattended).map(drop)
    }
}

#[test]
fn a_device_known_by_tls_enrols_without_protection_on_either_side() {
    let bench = Bench::new(true);
    bench.run().unwrap_or_else(|e| panic!("{e} {:?}", bench.ca.with(|ca| ca.complaints())));
    assert_eq!(bench.ca.with(|ca| ca.confirmed.len()), 1);
    assert_eq!(bench.ca.with(|ca| ca.complaints()), [""; 0]);
}

#[test]
fn a_signed_answer_is_still_checked() {
    let mut bench = Bench::new(false);
    assert_eq!(bench.run().unwrap_err().code(), Code::ProtectionInvalid, "no CMP anchors: the signer is nobody");
    bench.config.cmp_anchors = bench.config.enrolment_anchors.clone();
    bench.run().unwrap();
}

#[test]
fn an_unprotected_answer_that_did_not_come_by_mutual_tls_is_never_a_success() {
    let bench = Bench::new(true);
    let error = bench.run_over(|reply| reply.is_mutually_authenticated = false).unwrap_err();
    assert_eq!(error.code(), Code::Unprotected, "{error}");
    bench.run_over(|_| ()).expect("untouched, it is one");

    // A program that carries messages itself cannot say that it was so.
    let mut enrolment = bench.enrolment();
    let now = Time::from_unix(system_time());
    assert_eq!(enrolment.step(now).map(|action| action.kind()).unwrap(), ActionKind::Send);
    let answer = bench.ca.with(|ca| ca.answer(enrolment.output().unwrap(), now.unix()));
    enrolment.feed(&answer).unwrap();
    assert_eq!(enrolment.step(now).map(|action| action.kind()).unwrap_err().code(), Code::Unprotected);
}

#[test]
fn an_answer_inside_mutual_tls_must_still_belong_to_the_request() {
    for (knob, code) in [
        ("wrong-transaction", Code::TransactionId),
        ("wrong-recip-nonce", Code::Nonce),
        ("wrong-body", Code::UnexpectedBody),
    ] {
        let bench = Bench::new(true);
        bench.ca.with(|ca| ca.knobs.set(knob, "").unwrap());
        assert_eq!(bench.run().unwrap_err().code(), code, "{knob}");
    }
}

#[test]
fn with_another_credential_an_unprotected_answer_is_refused_inside_mutual_tls_too() {
    let mut bench = Bench::new(true);
    bench.config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    assert_eq!(bench.run().unwrap_err().code(), Code::Unprotected);
}

#[test]
fn a_server_that_asks_for_no_certificate_gives_no_such_channel() {
    let bench = Bench::new(true);
    let open = TlsServer::start(&bench.ca, TlsOptions::default()).unwrap();
    let mut config = bench.config.clone();
    config.server.url = Some(open.cmp_url());
    let error = config.build().unwrap().run(&mut bench.enrolment(), &mut Unattended).unwrap_err();
    assert_eq!(error.code(), Code::Unprotected, "{error}");
}

#[test]
fn settings_without_such_a_channel_are_refused_before_anything_is_sent() {
    let mut bench = Bench::new(true);
    bench.config.server.url = Some(bench.ca.cmp_url());
    assert_eq!(bench.run().unwrap_err().code(), Code::InvalidArgument, "plain http");

    let mut config = Config::new();
    config.enrolment_anchors = bench.config.enrolment_anchors.clone();
    config.protect_by_mutual_tls();
    assert_eq!(config.build().map(drop).unwrap_err().code(), Code::InvalidArgument, "no certificate to show");
    assert!(bench.ca.with(|ca| ca.received.is_empty()));
}
