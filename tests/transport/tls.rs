//! HTTPS: the server is who it must be, or the handshake ends and says why; the client shows itself where it is asked.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use devid::asn1::x509::Certificate;
use devid::client::{Client, Config, Subject, Unattended};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::external::ExternalKey;
use devid::crypto::keys::load_private_key;
use devid::crypto::{CryptoError, KeyKind, PrivateKey, default_provider};
use devid::transport::fetch::{FetchLimits, HttpFetch};
use devid::transport::tls::{Pin, TlsConfig, TlsTime, TlsVersion};
use devid::transport::{
    Cancel, Exchange, ExchangeLimits, Fetch, FetchRequest, Fetched, HttpCall, HttpConfig, HttpExchange, Phase, Reply,
    TransportError, TransportErrorKind as Kind,
};
use devid::validation::{RevocationPolicy, RevocationScope, TrustAnchors};
use devid::{Code, Time};
use devid_testca::certs::{Holder, Profile};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Server, TestCa};

/// Any DER SEQUENCE: the transport does not read messages, and the CA answers with an error message.
const MESSAGE: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x05];

pub fn quick() -> ExchangeLimits {
    ExchangeLimits {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(10),
        ..ExchangeLimits::default()
    }
}

pub fn certificate(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

pub fn key_of(holder: &Holder) -> Arc<dyn PrivateKey> {
    load_private_key(&*default_provider(), &holder.key.pkcs8, None).unwrap()
}

/// A CA behind HTTPS, and settings of a client that trusts its root.
struct Bench {
    ca: Server,
    tls: TlsServer,
    config: TlsConfig,
}

impl Bench {
    fn new(options: impl FnOnce(&mut TestCa) -> TlsOptions) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let options = ca.with(options);
        let tls = TlsServer::start(&ca, options).unwrap();
        let mut config = TlsConfig::new();
        config.anchors.add(ca.with(|ca| certificate(&ca.root.certificate)));
        Bench { ca, tls, config }
    }

    fn plain() -> Self {
        Bench::new(|_| TlsOptions::default())
    }

    /// A server whose certificate is made by the issuing CA with a change.
    fn with_server(change: impl Fn(Profile) -> Profile) -> Self {
        Bench::new(|ca| TlsOptions {
            identity: Some(ca.tls_server(KeyType::P256, system_time(), change)),
            ..TlsOptions::default()
        })
    }

    /// A server that wants a client certificate under the supplier's root.
    fn demanding(only_tls12: bool) -> Self {
        Bench::new(|ca| TlsOptions {
            client_anchors: vec![ca.supplier_root.certificate.clone()],
            only_tls12,
            ..TlsOptions::default()
        })
    }

    fn exchange(&self) -> HttpExchange {
        exchange_at(&self.tls.cmp_url(), &self.config)
    }

    fn ask(&self) -> Result<Reply, TransportError> {
        self.exchange().exchange(MESSAGE, &quick())
    }

    /// The words of a refused handshake.
    fn refusal(&self) -> String {
        let error = self.ask().expect_err("the handshake must not succeed");
        assert_eq!((error.kind, error.code()), (Kind::Tls, Code::Tls), "{error}");
        assert!(!error.is_possibly_delivered, "{error}");
        assert!(self.ca.with(|ca| ca.received.is_empty()), "not a byte of the request came through");
        error.to_string()
    }

    fn idevid(&self, kind: KeyType) -> (Arc<dyn PrivateKey>, Vec<Certificate>) {
        self.ca.with(|ca| {
            let idevid = ca.idevid("device 1", kind, system_time());
            (key_of(&idevid), vec![certificate(&idevid.certificate), certificate(&ca.supplier.certificate)])
        })
    }
}

pub fn exchange_at(url: &str, config: &TlsConfig) -> HttpExchange {
    let config = HttpConfig { tls: Some(Arc::new(config.clone())), ..HttpConfig::default() };
    HttpExchange::new(url, config).unwrap()
}

// ---- the server --------------------------------------------------------------------------------------------------

#[test]
fn a_device_enrols_over_https_on_one_connection() {
    let bench = Bench::plain();
    let mut config = Config::new();
    config.server.url = Some(bench.tls.cmp_url());
    config.tls = bench.config.clone();
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    config.enrolment_anchors = bench.config.anchors.clone();
    let client: Client = config.build().unwrap();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();

    let mut enrolment = client.enroll(Signer::Key(key), &Subject::new().name("CN=router-7").unwrap()).unwrap();
    let issued = client.run(&mut enrolment, &mut Unattended).unwrap();

    assert_eq!(bench.ca.with(|ca| ca.confirmed.clone()), [issued.certificate.as_der().to_vec()]);
    assert_eq!(bench.tls.names(), [Some("localhost".to_owned())], "one connection, which asked for the host by name");
}

#[test]
fn https_without_anchors_is_refused_before_a_byte_is_sent() {
    let bench = Bench::plain();
    let without = HttpExchange::new(&bench.tls.cmp_url(), HttpConfig::default()).unwrap_err();
    assert_eq!((without.kind, without.phase), (Kind::Invalid, Phase::Prepare));
    assert!(without.detail.contains("TLS anchors"), "{without}");

    let config = HttpConfig { tls: Some(Arc::new(TlsConfig::new())), ..HttpConfig::default() };
    assert_eq!(HttpExchange::new(&bench.tls.cmp_url(), config).unwrap_err().kind, Kind::Invalid);

    let mut config = Config::new();
    config.server.url = Some(bench.tls.cmp_url());
    config.cmp_anchors = bench.config.anchors.clone();
    config.enrolment_anchors = bench.config.anchors.clone();
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    let error = config.build().unwrap().http().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "anchors for CMP and enrolment say nothing about TLS: {error}");
}

#[test]
fn the_ca_itself_can_be_the_tls_anchor_and_another_ca_cannot() {
    let mut bench = Bench::plain();
    bench.config.anchors = bench.ca.with(|ca| [certificate(&ca.issuing.certificate)].into_iter().collect());
    assert_eq!(bench.ask().unwrap().status, Some(200));

    bench.ca.with(|ca| ca.received.clear());
    bench.config.anchors = bench.ca.with(|ca| [certificate(&ca.supplier_root.certificate)].into_iter().collect());
    let words = bench.refusal();
    assert!(words.contains("NO_PATH") && words.contains("phase tls"), "{words}");
}

#[test]
fn a_server_that_forgets_its_issuers_is_helped_out() {
    let mut bench = Bench::new(|_| TlsOptions { chain: Some(Vec::new()), ..TlsOptions::default() });
    assert!(bench.refusal().contains("the issuer CN=devid test issuing CA was not found"));

    // What the client has for other paths helps here too; it makes nobody an anchor.
    let mut config = Config::new();
    (config.server.url, config.tls) = (Some(bench.tls.cmp_url()), bench.config.clone());
    config.intermediates = bench.ca.with(|ca| vec![certificate(&ca.issuing.certificate)]);
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    config.enrolment_anchors = bench.config.anchors.clone();
    assert_eq!(config.build().unwrap().http().unwrap().exchange(MESSAGE, &quick()).unwrap().status, Some(200));
    config.tls.anchors = bench.ca.with(|ca| [certificate(&ca.supplier_root.certificate)].into_iter().collect());
    assert!(config.build().unwrap().http().unwrap().exchange(MESSAGE, &quick()).is_err());

    bench.config.intermediates = config.intermediates.clone();
    bench.ask().unwrap();
}

#[test]
fn an_expired_server_is_refused_by_that_name() {
    let bench = Bench::new(|ca| TlsOptions {
        identity: Some(ca.tls_server(KeyType::P256, system_time() - 400 * 86_400, |p| p)),
        ..TlsOptions::default()
    });
    assert!(bench.refusal().contains("EXPIRED"));

    let mut bench = Bench::plain();
    bench.config.time = TlsTime::At(Time::from_unix(system_time() + 366 * 86_400));
    assert!(bench.refusal().contains("EXPIRED"), "by the program's own clock");
    bench.config.time = TlsTime::At(Time::from_unix(system_time() - 7200));
    assert!(bench.refusal().contains("NOT_YET_VALID"));
    bench.config.time = TlsTime::Unknown;
    bench.ask().expect("a device without a clock goes by everything else");
}

#[test]
fn a_server_by_another_name_is_refused_unless_that_name_is_the_one_asked_for() {
    let mut bench = Bench::with_server(|p| p.dns("ca.example"));
    let words = bench.refusal();
    assert!(words.contains("NAME") && words.contains("localhost"), "{words}");

    bench.config.server_name = Some("ca.example".to_owned());
    bench.ask().unwrap();
    assert_eq!(bench.tls.names().last().unwrap().as_deref(), Some("ca.example"));

    bench.config.server_name = Some("devid test TLS server".to_owned());
    assert_eq!(bench.ask().unwrap_err().kind, Kind::Invalid, "the common name is no name of a host");
}

#[test]
fn an_address_in_the_url_is_demanded_of_the_certificate() {
    let bench = Bench::plain();
    let url = format!("https://127.0.0.1:{}/cmp", bench.tls.port());
    exchange_at(&url, &bench.config).exchange(MESSAGE, &quick()).unwrap();
    assert_eq!(bench.tls.names(), [None], "addresses are not sent as names (RFC 6066 section 3)");

    let bench = Bench::with_server(|p| p.dns("localhost"));
    let url = format!("https://127.0.0.1:{}/cmp", bench.tls.port());
    let error = exchange_at(&url, &bench.config).exchange(MESSAGE, &quick()).unwrap_err();
    assert!(error.detail.contains("NAME") && error.detail.contains("IP address 127.0.0.1"), "{error}");
}

#[test]
fn a_certificate_for_another_purpose_makes_no_server() {
    let bench = Bench::with_server(|p| p.purposes(&["1.3.6.1.5.5.7.3.2"]));
    assert!(bench.refusal().contains("KEY_USAGE"));
    let bench = Bench::with_server(|p| p.key_usage(&[2]));
    assert!(bench.refusal().contains("KEY_USAGE"));
}

#[test]
fn servers_with_every_kind_of_key_are_verified_in_both_versions() {
    for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa2048, KeyType::Ed25519] {
        for only_tls12 in [false, true] {
            let bench = Bench::new(|ca| TlsOptions {
                identity: Some(ca.tls_server(kind, system_time(), |p| p)),
                only_tls12,
                ..TlsOptions::default()
            });
            bench.ask().unwrap_or_else(|e| panic!("{kind:?}, only 1.2: {only_tls12}: {e}"));
        }
    }
}

#[test]
fn an_old_version_can_be_ruled_out() {
    let mut bench = Bench::new(|_| TlsOptions { only_tls12: true, ..TlsOptions::default() });
    bench.ask().unwrap();
    bench.ca.with(|ca| ca.received.clear());
    bench.config.min_version = TlsVersion::Tls13;
    let words = bench.refusal();
    assert!(words.contains("protocol_version") || words.contains("protocol version"), "{words}");
}

#[test]
fn a_pin_must_be_on_the_path_besides_everything_else() {
    let mut bench = Bench::plain();
    let provider = default_provider();
    let issuing = bench.ca.with(|ca| certificate(&ca.issuing.certificate));
    let by_key = Pin::of_public_key(&*provider, &issuing).unwrap();
    let by_certificate = Pin::of_certificate(&*provider, &issuing).unwrap();
    for pin in [by_key, by_certificate] {
        bench.config.pins = vec![Pin::PublicKey([7; 32]), pin];
        bench.ask().unwrap();
    }
    bench.ca.with(|ca| ca.received.clear());

    bench.config.pins = vec![Pin::PublicKey([7; 32]), Pin::Certificate([8; 32])];
    assert!(bench.refusal().contains("none of the 2 pinned fingerprints"));

    bench.config.pins = vec![by_key];
    bench.config.anchors = bench.ca.with(|ca| [certificate(&ca.supplier_root.certificate)].into_iter().collect());
    assert!(bench.refusal().contains("NO_PATH"), "a pin replaces no anchor");
}

#[test]
fn a_revoked_server_is_refused_where_its_status_is_asked_for() {
    let start = |revoked: bool, stapled: bool| {
        let mut bench = Bench::new(|ca| {
            let identity = ca.tls_server(KeyType::P256, system_time(), |p| p);
            let serial = devid_testca::Parsed::read(&identity.certificate).unwrap().serial;
            if revoked {
                ca.revoke(&serial, 1);
            }
            let stapled_ocsp = if stapled { ca.ocsp_response_for(&serial, system_time()) } else { Vec::new() };
            TlsOptions { identity: Some(identity), stapled_ocsp, ..TlsOptions::default() }
        });
        bench.config.revocation =
            RevocationPolicy { scope: RevocationScope::LeafOnly, ..RevocationPolicy::hard_fail() };
        bench
    };
    start(false, true).ask().expect("the stapled response says good");
    assert!(start(true, true).refusal().contains("REVOKED"));
    assert!(start(false, false).refusal().contains("REVOCATION_UNKNOWN"), "nothing stapled, nothing at hand");

    let mut by_list = start(true, false);
    let crl = by_list.ca.with(|ca| devid::validation::Crl::from_der(ca.crl(system_time())).unwrap());
    by_list.config.status.crls.push(Arc::new(crl));
    assert!(by_list.refusal().contains("REVOKED"));
}

#[test]
fn documents_come_by_https_where_the_caller_gave_anchors() {
    let bench = Bench::plain();
    let config = HttpConfig { tls: Some(Arc::new(bench.config.clone())), ..HttpConfig::default() };
    let url = format!("{}/crl/issuing.crl", bench.tls.url());
    let fetched = HttpFetch::new(config, FetchLimits::default()).unwrap().fetch(&FetchRequest::get(&url), &quick());
    assert!(matches!(fetched, Ok(Fetched::Document(document)) if document.bytes[0] == 0x30));

    let mut without = HttpFetch::new(HttpConfig::default(), FetchLimits::default()).unwrap();
    assert_eq!(without.fetch(&FetchRequest::get(&url), &quick()).unwrap_err().kind, Kind::Invalid);
}

// ---- the client --------------------------------------------------------------------------------------------------

#[test]
fn a_client_certificate_is_shown_where_the_server_asks_for_it() {
    for only_tls12 in [false, true] {
        for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa2048, KeyType::Ed25519] {
            let mut bench = Bench::demanding(only_tls12);
            let (key, chain) = bench.idevid(kind);
            bench.config.set_credential(key, &chain).unwrap();
            let reply = bench.ask().unwrap_or_else(|e| panic!("{kind:?}, only 1.2: {only_tls12}: {e}"));
            assert!(reply.is_mutually_authenticated);
        }
    }
}

#[test]
fn a_server_that_does_not_ask_sees_no_certificate() {
    let mut bench = Bench::plain();
    let (key, chain) = bench.idevid(KeyType::P256);
    bench.config.set_credential(key, &chain).unwrap();
    assert!(!bench.ask().unwrap().is_mutually_authenticated);
}

#[test]
fn a_key_in_a_token_signs_the_handshake() {
    let (key, chain) = {
        let bench = Bench::plain();
        bench.idevid(KeyType::P256)
    };
    let inner = key.clone();
    let token = ExternalKey::new(key.spki(), move |algorithm, message| inner.sign(algorithm, message)).unwrap();
    let broken =
        ExternalKey::new(key.spki(), |_, _| Err(CryptoError::External(-10_007, "the token was pulled out".to_owned())));
    let mut bench = Bench::new(|_| TlsOptions::default());
    let issuer = chain[1].as_der().to_vec();
    bench.tls =
        TlsServer::start(&bench.ca, TlsOptions { client_anchors: vec![issuer], ..TlsOptions::default() }).unwrap();

    bench.config.set_credential(Arc::new(token), &chain[..1]).unwrap();
    assert!(bench.ask().unwrap().is_mutually_authenticated);

    bench.config.set_credential(Arc::new(broken.unwrap()), &chain[..1]).unwrap();
    let error = bench.ask().unwrap_err();
    assert_eq!(error.kind, Kind::Application(-10_007), "the program's own number comes back: {error}");
    assert_eq!(devid::Error::from(error).number(), -10_007);
}

#[test]
fn a_server_that_demands_a_certificate_and_gets_none_or_a_strange_one_says_so() {
    for only_tls12 in [false, true] {
        let mut bench = Bench::demanding(only_tls12);
        let words = bench.refusal();
        assert!(words.contains("the server demands a client certificate, and none is set"), "{words}");

        let stranger = bench.ca.with(|ca| ca.peer("device.example", KeyType::P256, system_time()));
        bench.config.set_credential(key_of(&stranger), &[certificate(&stranger.certificate)]).unwrap();
        let words = bench.refusal();
        assert!(words.contains("the server refuses the client certificate"), "{words}");
    }
}

#[test]
fn a_certificate_without_its_key_cannot_be_set() {
    let bench = Bench::plain();
    let (_, chain) = bench.idevid(KeyType::P256);
    let other = default_provider().generate_key(KeyKind::P256).unwrap();
    let mut config = TlsConfig::new();
    assert_eq!(config.set_credential(other.clone(), &chain).unwrap_err().code(), Code::KeyMismatch);
    assert_eq!(config.set_credential(other, &[]).unwrap_err().code(), Code::InvalidArgument);
    assert!(config.certificate().is_none());
}

// ---- the connection ----------------------------------------------------------------------------------------------

#[test]
fn a_kept_connection_is_used_again_and_replaced_once_it_is_closed() {
    for only_tls12 in [false, true] {
        let bench = Bench::new(|_| TlsOptions { only_tls12, ..TlsOptions::default() });
        let mut exchange = bench.exchange();
        assert!(!exchange.exchange(MESSAGE, &quick()).unwrap().connection_was_reused);
        assert!(exchange.exchange(MESSAGE, &quick()).unwrap().connection_was_reused);
        bench.tls.close_connections();
        assert!(!exchange.exchange(MESSAGE, &quick()).unwrap().connection_was_reused);
        assert_eq!(bench.tls.names().len(), 2);
        assert_eq!(bench.ca.with(|ca| ca.received.len()), 3);
    }
}

#[test]
fn an_answer_cut_short_inside_tls_is_not_taken() {
    let bench = Bench::plain();
    bench.ca.with(|ca| ca.knobs.set("cut-after", "150").unwrap());
    let error = bench.ask().unwrap_err();
    assert_eq!(error.kind, Kind::Broken, "{error}");
    assert!(error.is_possibly_delivered);
}

#[test]
fn a_server_without_tls_is_called_that() {
    let ca = Server::start(TestCa::new(Options::default())).unwrap();
    let mut config = TlsConfig::new();
    config.anchors.add(ca.with(|ca| certificate(&ca.root.certificate)));
    let url = format!("https://localhost:{}/cmp", ca.port());
    let error = exchange_at(&url, &config).exchange(MESSAGE, &quick()).unwrap_err();
    assert_eq!(error.kind, Kind::Tls, "{error}");
    assert_eq!(error.phase, Phase::Tls, "{error}");
}

/// RFC 8446 section 6: two alerts say that nothing of what the client sent is wrong, and another handshake may go well.
#[test]
fn an_alert_about_the_server_itself_is_passing_and_others_are_its_answer() {
    let bench = Bench::plain();
    for (alert, is_answer) in [(80, false), (90, false), (40, true), (70, true), (112, true)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://127.0.0.1:{}/cmp", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 8192];
            let _ = stream.read(&mut hello).unwrap();
            stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).unwrap();
            // Until the client has read it.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = exchange_at(&url, &bench.config).exchange(MESSAGE, &quick()).unwrap_err();
        server.join().unwrap();
        assert_eq!((error.kind, error.phase), (Kind::Tls, Phase::Tls), "{alert}: {error}");
        assert!(error.to_string().contains("the server ended the TLS session: alert"), "{alert}: {error}");
        assert_eq!(devid::Error::from(error).facts().was_answered, is_answer, "{alert}");
    }
}

#[test]
fn a_handshake_that_never_ends_is_given_up_and_can_be_cancelled() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}/cmp", silent.local_addr().unwrap().port());
    let bench = Bench::plain();
    let limits = ExchangeLimits { connect_timeout: Duration::from_millis(200), ..quick() };
    let error = exchange_at(&url, &bench.config).exchange(MESSAGE, &limits).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::Timeout, Phase::Tls), "{error}");
    assert!(!error.is_possibly_delivered);

    let cancel = Cancel::new();
    let limits = ExchangeLimits { cancel: Some(cancel.clone()), ..quick() };
    let waker = std::thread::spawn(move || {
        let connection = silent.accept().unwrap();
        cancel.cancel();
        connection
    });
    let error = exchange_at(&url, &bench.config).exchange(MESSAGE, &limits).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled, "{error}");
    drop(waker.join());
}

#[test]
fn settings_are_shown_without_secrets() {
    let bench = Bench::plain();
    let mut config = TlsConfig::new();
    let (key, chain) = bench.idevid(KeyType::P256);
    config.set_credential(key, &chain).unwrap();
    let http = HttpConfig {
        tls: Some(Arc::new(config)),
        proxy_authorization: Some(HttpConfig::basic("device", "hunter2").unwrap()),
        headers: vec![("X-Token".to_owned(), "hunter2".to_owned())],
        ..HttpConfig::default()
    };
    let shown = format!("{http:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("ZGV2aWNl"), "{shown}");
    assert!(shown.contains("device 1") && shown.contains("X-Token"), "{shown}");
}

// ---- without I/O ---------------------------------------------------------------------------------------------------

/// Carries the bytes of a call over a socket, a few at a time, as an event loop does.
fn carry(call: &mut HttpCall) -> Result<(), TransportError> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((call.host(), call.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 700];
    while !call.is_done() {
        while !call.output().is_empty() {
            let piece = call.output().len().min(50);
            if stream.write_all(&call.output()[..piece]).is_err() {
                // The server has closed: what it said before that is read below.
                break;
            }
            call.sent(piece);
        }
        let outcome = match stream.read(&mut buffer) {
            Ok(0) => call.closed(),
            Ok(count) => call.received(&buffer[..count]).map(|_| ()),
            Err(err) if err.kind() == std::io::ErrorKind::ConnectionReset => call.closed(),
            Err(err) => panic!("{err}"),
        };
        if outcome.is_err() {
            // The server is told why.
            let _ = stream.write_all(call.output());
            return outcome;
        }
    }
    Ok(())
}

impl Bench {
    fn call(&self) -> Result<Reply, TransportError> {
        let config = HttpConfig { tls: Some(Arc::new(self.config.clone())), ..HttpConfig::default() };
        let mut call = HttpCall::new(&self.tls.cmp_url(), &config, MESSAGE, 1 << 20)?;
        carry(&mut call)?;
        call.into_reply()
    }
}

#[test]
fn an_event_loop_speaks_https_as_the_built_in_client_does() {
    let plain = Bench::plain();
    let (called, asked) = (plain.call().unwrap(), plain.ask().unwrap());
    assert_eq!((called.status, called.content_type), (asked.status, asked.content_type));
    assert!(!called.is_mutually_authenticated);

    let mut mutual = Bench::demanding(false);
    let (key, chain) = mutual.idevid(KeyType::P256);
    mutual.config.set_credential(key, &chain).unwrap();
    assert!(mutual.call().unwrap().is_mutually_authenticated);
}

#[test]
fn an_event_loop_is_refused_where_the_built_in_client_is() {
    let mut strange = Bench::plain();
    strange.config.anchors = TrustAnchors::new();
    strange.config.anchors.add(certificate(&TestCa::new(Options::default()).root.certificate));
    let mut late = Bench::plain();
    late.config.time = TlsTime::At(Time::from_unix(4_000_000_000));
    let mut named_otherwise = Bench::plain();
    named_otherwise.config.server_name = Some("other.example".to_owned());
    for bench in [&strange, &late, &named_otherwise, &Bench::demanding(false), &Bench::demanding(true)] {
        let (called, asked) = (bench.call().unwrap_err(), bench.ask().unwrap_err());
        assert_eq!((called.kind, called.cause), (asked.kind, asked.cause), "{called}");
        assert!(bench.ca.with(|ca| ca.received.is_empty()), "not a byte of the request came through");
    }
}
