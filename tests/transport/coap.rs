//! CMP over CoAP: blocks, losses and odd servers, with a server whose codec is not ours, and by the engine alone under a
//! pretended clock.

use std::sync::Arc;
use std::time::Duration;

use devid::Code;
use devid::client::{Config, Subject, Unattended};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::{KeyKind, default_provider};
use devid::transport::coap::{CoapConfig, CoapExchange, Datagrams, Next, Transfer};
use devid::transport::{
    Cancel, Exchange, ExchangeLimits, HttpConfig, HttpExchange, Party, Phase, Reply, Resolve, TransportError,
    TransportErrorKind as Kind, Url,
};
use devid_testca::coap::{CoapOptions, CoapServer};
use devid_testca::{Options, Server, TestCa};

pub fn certificate(der: &[u8]) -> devid::asn1::x509::Certificate {
    devid::asn1::x509::Certificate::from_der(der).unwrap()
}

/// A device that enrols at a URL by secret.
pub fn device(ca: &Server, url: &str) -> Config {
    let mut config = Config::new();
    config.server.url = Some(url.to_owned());
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    config.enrolment_anchors.add(ca.with(|ca| certificate(&ca.root.certificate)));
    config
}

/// A whole enrolment; what the CA says it confirmed.
pub fn enrol(config: &Config, ca: &Server) -> Result<(), devid::Error> {
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let client = config.build()?;
    let mut enrolment = client.enroll(Signer::Key(key), &Subject::new().name("CN=router-7").unwrap())?;
    let issued = client.run(&mut enrolment, &mut Unattended)?;
    assert!(ca.with(|ca| ca.confirmed.contains(&issued.certificate.as_der().to_vec())));
    Ok(())
}

struct Bench {
    ca: Server,
    coap: CoapServer,
}

impl Bench {
    fn new(options: CoapOptions) -> Self {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let coap = CoapServer::start(&ca, options).unwrap();
        Bench { ca, coap }
    }

    fn ask(&self, request: &[u8]) -> Result<Reply, TransportError> {
        CoapExchange::new(&self.coap.cmp_url(), quick_config()).unwrap().exchange(request, &quick())
    }
}

fn quick_config() -> CoapConfig {
    CoapConfig { ack_timeout: Duration::from_millis(100), ..CoapConfig::default() }
}

fn quick() -> ExchangeLimits {
    ExchangeLimits {
        read_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(15),
        ..ExchangeLimits::default()
    }
}

/// A DER SEQUENCE of so many bytes.
fn message(content_len: u16) -> Vec<u8> {
    let [high, low] = content_len.to_be_bytes();
    let mut out = vec![0x30, 0x82, high, low];
    out.resize(4 + usize::from(content_len), 7);
    out
}

#[test]
fn a_device_enrols_over_coap_in_blocks_of_every_size() {
    for exponent in 0..=6 {
        let bench = Bench::new(CoapOptions { exponent, ..CoapOptions::default() });
        enrol(&device(&bench.ca, &bench.coap.cmp_url()), &bench.ca).unwrap_or_else(|e| panic!("{exponent}: {e}"));
        assert_eq!(bench.ca.with(|ca| ca.bodies()), ["ir", "certConf"]);
        assert!(bench.coap.seen().iter().all(|line| line.starts_with("CON POST /cmp")), "every request is confirmable");
    }
}

#[test]
fn the_devices_own_block_size_holds_in_both_directions() {
    let bench = Bench::new(CoapOptions::default());
    let mut config = device(&bench.ca, &bench.coap.cmp_url());
    config.server.coap.block_bytes = 64;
    enrol(&config, &bench.ca).unwrap();
    let seen = bench.coap.seen();
    assert!(seen[0].starts_with("CON POST /cmp 1:0/1/64 64"), "{}", seen[0]);
    assert!(seen.iter().any(|line| line.contains(" 2:1/0/64 0")), "the answer's second block is asked for: {seen:?}");
    assert!(!seen.iter().any(|line| line.contains("/1024")));
}

#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    for separate in [false, true] {
        let bench = Bench::new(CoapOptions {
            exponent: 4,
            separate,
            lost_in: vec![0, 2, 3, 9],
            lost_out: vec![1, 5, 6],
            ..CoapOptions::default()
        });
        let mut config = device(&bench.ca, &bench.coap.cmp_url());
        config.server.coap = quick_config();
        enrol(&config, &bench.ca).unwrap_or_else(|e| panic!("{separate}: {e} {:?}", bench.coap.seen()));
        assert_eq!(bench.ca.with(|ca| ca.bodies()), ["ir", "certConf"], "no message was taken twice");
    }
}

#[test]
fn a_separate_response_is_acknowledged() {
    let bench = Bench::new(CoapOptions { separate: true, ..CoapOptions::default() });
    bench.ask(&message(20)).unwrap();
    bench.ask(&message(20)).unwrap();
    let count = |word: &str| bench.coap.seen().iter().filter(|line| line.starts_with(word)).count();
    // The last acknowledgement may still be under way.
    assert!(count("CON POST") >= 2 && count("ACK empty") + 1 >= count("CON POST"), "{:?}", bench.coap.seen());
}

#[test]
fn a_server_that_wants_smaller_blocks_gets_them() {
    // 2.31 with a smaller size: the second block's number counts in the new size (RFC 7959 section 3.2).
    let bench = Bench::new(CoapOptions { exponent: 2, ..CoapOptions::default() });
    bench.ask(&message(2000)).unwrap();
    let seen = bench.coap.seen();
    assert!(seen[0].contains(" 1:0/1/1024 1024") && seen[1].contains(" 1:16/1/64 64"), "{seen:?}");

    let bench = Bench::new(CoapOptions { exponent: 4, wants_blocks: true, ..CoapOptions::default() });
    bench.ask(&message(900)).unwrap();
    let seen = bench.coap.seen();
    assert!(seen[0].ends_with("/cmp 904") && seen[1].contains(" 1:0/1/256 256"), "4.13 is a hint: {seen:?}");
}

#[test]
fn a_server_that_forgot_the_first_blocks_gets_them_once_more_and_not_for_ever() {
    let bench = Bench::new(CoapOptions { exponent: 6, forgets_at: Some(1), ..CoapOptions::default() });
    bench.ask(&message(3000)).unwrap();
    assert_eq!(bench.coap.seen().iter().filter(|line| line.contains(" 1:0/1/1024")).count(), 2);

    let hopeless = Bench::new(CoapOptions { refusal: Some((4 << 5 | 8, String::new())), ..CoapOptions::default() });
    let error = hopeless.ask(&message(3000)).unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::HttpStatus, Some(408)));
}

#[test]
fn refusals_come_with_their_code_and_the_servers_words() {
    let refused = |code: u8, text: &str| {
        let bench = Bench::new(CoapOptions { refusal: Some((code, text.to_owned())), ..CoapOptions::default() });
        bench.ask(&message(20)).unwrap_err()
    };
    let error = refused(4 << 5 | 4, "no such\nCA");
    assert_eq!((error.kind, error.status), (Kind::HttpStatus, Some(404)));
    assert!(error.detail.contains("4.04") && error.detail.contains("no suchCA"), "{error}");
    assert_eq!(refused(5 << 5 | 3, "later").kind, Kind::Busy);
    assert_eq!(refused(2 << 5 | 4, "").kind, Kind::Broken, "an empty success is none");
    assert_eq!(refused(2 << 5 | 4, "<html>").kind, Kind::ContentType);
}

#[test]
fn a_cmp_message_in_an_error_code_is_an_answer() {
    let bench = Bench::new(CoapOptions::default());
    bench.ca.with(|ca| ca.knobs.http_status = 500);
    let reply = bench.ask(&message(20)).unwrap();
    assert_eq!((reply.status, reply.body[0]), (Some(500), 0x30));
}

#[test]
fn another_content_format_is_taken_with_a_warning_unless_strict() {
    for content_format in [None, Some(42)] {
        let bench = Bench::new(CoapOptions { content_format, ..CoapOptions::default() });
        assert!(bench.ask(&message(20)).unwrap().content_type_is_unusual);
        let strict = CoapConfig { strict_content_type: true, ..quick_config() };
        let error = CoapExchange::new(&bench.coap.cmp_url(), strict).unwrap().exchange(&message(20), &quick());
        assert_eq!(error.unwrap_err().kind, Kind::ContentType);
    }
}

#[test]
fn answers_are_bounded_and_their_blocks_must_belong_together() {
    let bench = Bench::new(CoapOptions { exponent: 4, ..CoapOptions::default() });
    let limits = ExchangeLimits { max_reply_bytes: 300, ..quick() };
    let error = CoapExchange::new(&bench.coap.cmp_url(), quick_config()).unwrap().exchange(&message(20), &limits);
    assert_eq!(error.unwrap_err().kind, Kind::TooLarge);

    let fickle = Bench::new(CoapOptions { exponent: 4, is_fickle: true, ..CoapOptions::default() });
    let error = fickle.ask(&message(20)).unwrap_err();
    assert_eq!(error.kind, Kind::Broken, "the ETag changed between blocks: {error}");
}

#[test]
fn nobody_there_and_nobody_answering_are_told_apart() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("coap://{}/cmp", free.local_addr().unwrap());
    let config = CoapConfig { ack_timeout: Duration::from_millis(20), max_retransmit: 1, ..CoapConfig::default() };
    let mut exchange = CoapExchange::new(&url, config).unwrap();
    let silent = exchange.exchange(&message(20), &quick()).unwrap_err();
    assert_eq!((silent.kind, silent.is_possibly_delivered), (Kind::Timeout, true), "{silent}");

    let cancel = Cancel::new();
    cancel.cancel();
    let limits = ExchangeLimits { cancel: Some(cancel), ..quick() };
    assert_eq!(exchange.exchange(&message(20), &limits).unwrap_err().kind, Kind::Cancelled);

    drop(free);
    let refused = exchange.exchange(&message(20), &quick()).unwrap_err();
    assert_eq!((refused.kind, refused.is_possibly_delivered), (Kind::Connect, false), "{refused}");
}

#[test]
fn urls_that_coap_cannot_serve_are_refused() {
    let ask =
        |url: &str| CoapExchange::new(url, CoapConfig::default()).and_then(|mut e| e.exchange(&message(1), &quick()));
    assert_eq!(ask("coap://224.0.1.187/cmp").unwrap_err().kind, Kind::Invalid, "multicast (RFC 9482 section 2.5)");
    assert_eq!(ask("http://127.0.0.1/cmp").unwrap_err().kind, Kind::Invalid);
    assert_eq!(ask("coaps://127.0.0.1/cmp").unwrap_err().kind, Kind::Invalid);
    assert_eq!(HttpExchange::new("coap://127.0.0.1/", HttpConfig::default()).unwrap_err().kind, Kind::Unsupported);
    let mut config = Config::new();
    config.server.url = Some("coap://127.0.0.1:9/cmp".to_owned());
    config.server.coap.block_bytes = 100;
    let error =
        CoapExchange::new("coap://127.0.0.1:9/cmp", config.server.coap).unwrap().exchange(&message(1), &quick());
    assert_eq!(error.unwrap_err().code(), Code::InvalidArgument);
}

// ---- the engine alone --------------------------------------------------------------------------------------------

const RANDOM: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0];

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn transfer(url: &str, request: &[u8]) -> Transfer {
    let url = Url::parse(url).unwrap();
    Transfer::new(&url, request, &CoapConfig::default(), &ExchangeLimits::default(), 0x1000, RANDOM).unwrap()
}

fn sent(transfer: &mut Transfer, now: Duration) -> Vec<u8> {
    match transfer.next(now) {
        Next::Send(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}

fn waits_until(transfer: &mut Transfer, now: Duration) -> Duration {
    match transfer.next(now) {
        Next::Wait(until) => until,
        other => panic!("{other:?}"),
    }
}

fn ends(transfer: &mut Transfer, now: Duration) -> Result<Reply, TransportError> {
    match transfer.next(now) {
        Next::Done(outcome) => *outcome,
        other => panic!("{other:?}"),
    }
}

/// A response: type bits, message ID, token as the request had it, 2.04, content-format 259, this payload.
fn response(kind: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[kind | 8, 0x44, high, low, 1, 2, 3, 4, 5, 6, 7, 8, 0xc2, 0x01, 0x03, 0xff], payload].concat()
}

#[test]
fn a_request_is_the_same_as_rfc_7252_and_9482_write_it() {
    let datagram = sent(&mut transfer("coap://ca.example:61616/.well-known/cmp?a=%26b&c", &[0x30, 0]), seconds(0));
    let expected = [
        // Version 1, confirmable, token of 8 bytes; POST; message ID; token.
        &[0x48, 0x02, 0x10, 0x00, 1, 2, 3, 4, 5, 6, 7, 8][..],
        // Uri-Host, two of Uri-Path, Content-Format 259, two of Uri-Query with its escape resolved.
        &[0x3a],
        b"ca.example",
        &[0x8b],
        b".well-known",
        &[0x03],
        b"cmp",
        &[0x12, 0x01, 0x03, 0x34],
        b"a=&b",
        &[0x01],
        b"c",
        &[0xff, 0x30, 0x00],
    ]
    .concat();
    assert_eq!(datagram, expected);
}

#[test]
fn a_message_is_repeated_four_times_at_growing_distances_and_given_up() {
    let mut transfer = transfer("coap://127.0.0.1/cmp", &[0x30, 0]);
    let first = sent(&mut transfer, seconds(0));
    // RFC 7252 section 4.8 without the random part: after 2, 6, 14 and 30 seconds; the end after 62.
    for at in [2, 6, 14, 30] {
        assert_eq!(waits_until(&mut transfer, seconds(at) - Duration::from_millis(1)), seconds(at));
        assert_eq!(sent(&mut transfer, seconds(at)), first);
    }
    assert_eq!(waits_until(&mut transfer, seconds(31)), seconds(62));
    let error = ends(&mut transfer, seconds(62)).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::Timeout, Phase::Await));
    assert!(error.detail.contains("5 times"), "{error}");
}

#[test]
fn an_acknowledged_request_is_not_repeated_and_its_response_may_take_its_time() {
    let mut transfer = transfer("coap://127.0.0.1/cmp", &[0x30, 0]);
    sent(&mut transfer, seconds(0));
    transfer.receive(seconds(1), &[0x60, 0x00, 0x10, 0x00]);
    assert_eq!(waits_until(&mut transfer, seconds(1)), seconds(61), "the silence that is put up with");
    transfer.receive(seconds(50), &response(0x40, 0x7777, &[0x30, 0x01, 0x05]));
    assert_eq!(sent(&mut transfer, seconds(50)), [0x60, 0x00, 0x77, 0x77], "the response is acknowledged");
    assert_eq!(ends(&mut transfer, seconds(50)).unwrap().body, [0x30, 0x01, 0x05]);

    transfer.receive(seconds(51), &response(0x40, 0x7777, &[0x30, 0x01, 0x05]));
    assert_eq!(sent(&mut transfer, seconds(51)), [0x60, 0x00, 0x77, 0x77], "and so is its repetition");
}

#[test]
fn what_does_not_belong_to_the_request_changes_nothing() {
    let mut transfer = transfer("coap://127.0.0.1/cmp", &[0x30, 0]);
    sent(&mut transfer, seconds(0));
    let good = response(0x60, 0x1000, &[0x30, 0]);
    let mut other_token = good.clone();
    other_token[4] ^= 1;
    let other_id = response(0x60, 0x1001, &[0x30, 0]);
    for noise in [&other_token[..], &other_id, &[], &good[..3], b"HTTP/1.1 200 OK\r\n", &[0x70, 0x00, 0x10, 0x01]] {
        transfer.receive(seconds(1), noise);
        assert_eq!(waits_until(&mut transfer, seconds(1)), seconds(2));
    }
    // A question of a stranger is turned away (RFC 7252 section 4.2).
    transfer.receive(seconds(1), &[0x40, 0x01, 0x22, 0x22]);
    assert_eq!(sent(&mut transfer, seconds(1)), [0x70, 0x00, 0x22, 0x22]);
    transfer.receive(seconds(1), &good);
    assert_eq!(ends(&mut transfer, seconds(1)).unwrap().body, [0x30, 0]);
}

#[test]
fn a_reset_or_an_answer_that_must_not_be_overlooked_ends_it() {
    let mut rejected = transfer("coap://127.0.0.1/cmp", &[0x30, 0]);
    sent(&mut rejected, seconds(0));
    rejected.receive(seconds(1), &[0x70, 0x00, 0x10, 0x00]);
    assert_eq!(ends(&mut rejected, seconds(1)).unwrap_err().kind, Kind::Broken);

    // Option 9 (OSCORE) is critical.
    let mut odd = transfer("coap://127.0.0.1/cmp", &[0x30, 0]);
    sent(&mut odd, seconds(0));
    odd.receive(seconds(1), &[0x68, 0x44, 0x10, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0xff, 0x30, 0]);
    assert!(ends(&mut odd, seconds(1)).unwrap_err().detail.contains("critical option 9"));
}

#[test]
fn no_datagram_whatever_brings_the_engine_down() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000 {
        let mut transfer = transfer("coap://127.0.0.1/cmp", &message(1500));
        sent(&mut transfer, seconds(0));
        let mut datagram = response(0x60, 0x1000, &message((round % 40) as u16));
        for _ in 0..random() % 5 {
            let at = (random() % datagram.len() as u64) as usize;
            datagram[at] = random() as u8;
        }
        datagram.truncate(1 + (random() % datagram.len() as u64) as usize);
        transfer.receive(seconds(1), &datagram);
        let _ = transfer.next(seconds(1));
    }
}

// ---- the program's own datagrams ---------------------------------------------------------------------------------

/// A modem of the program's: UDP all the same, but not by the library.
struct Modem(std::net::UdpSocket);

impl Datagrams for Modem {
    fn send(&mut self, datagram: &[u8]) -> std::io::Result<()> {
        self.0.send(datagram).map(drop)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> std::io::Result<Option<usize>> {
        self.0.set_read_timeout(Some(wait))?;
        Ok(self.0.recv(buffer).ok())
    }
}

#[test]
fn a_program_can_carry_the_datagrams_itself() {
    let bench = Bench::new(CoapOptions { exponent: 5, ..CoapOptions::default() });
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", bench.coap.port())).unwrap();
    let client = device(&bench.ca, "coap://ca.nowhere.invalid/cmp").build().unwrap();
    let mut exchange = client.coap_over(Box::new(Modem(socket))).unwrap();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let mut enrolment = client.enroll(Signer::Key(key), &Subject::new().name("CN=router-7").unwrap()).unwrap();
    client.run_over(&mut enrolment, &mut exchange, &mut Unattended).unwrap();
    assert_eq!(bench.ca.with(|ca| ca.confirmed.len()), 1);
}

/// A resolver that says what it is told, and counts.
#[derive(Debug)]
struct Says(Vec<std::net::SocketAddr>, std::sync::atomic::AtomicUsize);

impl Resolve for Says {
    fn resolve(&self, _: &str, _: u16, _: Option<Duration>) -> std::io::Result<Vec<std::net::SocketAddr>> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(self.0.clone())
    }
}

impl Bench {
    /// A client of a host with these addresses before the server's own.
    fn behind(&self, others: &[std::net::SocketAddr]) -> (CoapExchange, Arc<Says>) {
        let url = Url::parse(&self.coap.cmp_url()).unwrap();
        let own = format!("{}:{}", url.host(), url.port()).parse().unwrap();
        let says = Arc::new(Says([others, &[own]].concat(), 0.into()));
        let exchange = CoapExchange::new("coap://ca.example/cmp", quick_config()).unwrap();
        (exchange.resolving_with(says.clone()), says)
    }
}

#[test]
fn a_host_with_dead_addresses_is_asked_at_the_one_that_answers() {
    let bench = Bench::new(CoapOptions::default());
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let nobody = {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    let (mut exchange, says) = bench.behind(&[nobody, silent.local_addr().unwrap()]);
    exchange.exchange(&message(20), &quick()).unwrap();
    let count = |socket: &std::net::UdpSocket| {
        let mut buffer = [0; 2000];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
    };
    assert_eq!(count(&silent), 2, "the message and one repetition");
    for _ in 0..2 {
        exchange.exchange(&message(20), &quick()).unwrap();
    }
    assert_eq!(count(&silent), 0, "the good address is remembered");
    assert_eq!(says.1.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn where_no_address_answers_all_are_named_and_looked_up_anew() {
    let bench = Bench::new(CoapOptions::default());
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let says = Arc::new(Says(vec![silent, silent], 0.into()));
    let mut exchange = CoapExchange::new("coap://ca.example/cmp", quick_config()).unwrap().resolving_with(says.clone());
    for turn in 1..3 {
        let error = exchange.exchange(&message(20), &quick()).unwrap_err();
        assert_eq!((error.kind, error.party), (Kind::Connect, Party::CoapServer), "{error}");
        assert_eq!(error.detail.matches(&silent.to_string()).count(), 2, "{error}");
        assert!(!error.is_possibly_delivered);
        assert_eq!(says.1.load(std::sync::atomic::Ordering::Relaxed), turn);
    }
    drop(bench);
}

#[test]
fn a_look_up_keeps_to_the_limits_and_to_cancel() {
    #[derive(Debug)]
    struct Slow;
    impl Resolve for Slow {
        fn resolve(&self, _: &str, _: u16, _: Option<Duration>) -> std::io::Result<Vec<std::net::SocketAddr>> {
            std::thread::sleep(Duration::from_secs(60));
            Ok(Vec::new())
        }
    }
    let mut exchange =
        CoapExchange::new("coap://ca.example/cmp", quick_config()).unwrap().resolving_with(Arc::new(Slow));
    let limits = ExchangeLimits { connect_timeout: Duration::from_millis(100), ..quick() };
    let error = exchange.exchange(&message(20), &limits).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::Timeout, Phase::Resolve), "{error}");
    let cancel = Cancel::new();
    cancel.cancel();
    let error = exchange.exchange(&message(20), &ExchangeLimits { cancel: Some(cancel), ..quick() }).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled, "{error}");
}

#[test]
fn a_failure_of_coap_goes_by_the_rules_of_coap() {
    let bench = Bench::new(CoapOptions::default());
    let mut config = device(&bench.ca, &format!("{}/nowhere", bench.coap.cmp_url()));
    config.server.coap = quick_config();
    let error = enrol(&config, &bench.ca).unwrap_err();
    assert_eq!(error.facts().requirement, Some("RFC 9482 section 2.3"), "{error}");
    assert_eq!(error.facts().http_status, Some(404));
}
