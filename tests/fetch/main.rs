//! Status data and issuers by URL: from a real CA over HTTP, and from servers that are old, broken or hostile.
#![cfg(feature = "http")]

mod beside;
mod forgotten;
mod found;
mod further;
mod holds;
mod hostile;
mod issuers;
mod kept;
#[cfg(feature = "ldap")]
mod ldap;
mod live;
mod record;
mod shared;
mod together;
mod unasked;
#[cfg(unix)]
mod unwritten;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certificates::{Builder, Party, list, now, provider, uri};
use devid::Code;
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::{FetchOutcome, StatusAnswer, StatusQuestion, Wanted, built_in};
use devid::client::{StatusFetcher, StatusOptions};
use devid::crypto::algorithm::encode_oid;
use devid::time::Time;
use devid::transport::{ExchangeLimits, Fetch, FetchRequest, Fetched, TransportError};
use devid::validation::{
    Checks, RevocationMode, RevocationPolicy, RevocationScope, StatusPreference, StatusSources, TrustAnchors,
};
#[cfg(feature = "ldap")]
use devid_test_support::left_out;
use devid_test_support::{certificates, status};
use status::{point_name, points};

/// An HTTP server on loopback whose answers a closure writes byte by byte. Stopped when dropped.
struct Web {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Web {
    /// `answer` gets the head of each request and the connection; it is closed afterwards.
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped, answer) = (seen.clone(), stop.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(head) = read_request(&mut stream) else { return };
                    log.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream);
                });
            }
        });
        Web { address, seen, stop }
    }

    /// The same bytes for every request.
    fn saying(answer: Vec<u8>) -> Self {
        Self::start(move |_, stream| drop(stream.write_all(&answer)))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
    Some(head)
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len())
        .into_bytes();
    out.extend_from_slice(body);
    out
}

fn ok(body: &[u8]) -> Vec<u8> {
    http("200 OK", "", body)
}

/// A fetch that nobody may use.
struct Nobody;

impl Fetch for Nobody {
    fn fetch(&mut self, request: &FetchRequest<'_>, _: &ExchangeLimits) -> Result<Fetched, TransportError> {
        panic!("{} was asked for", request.url);
    }
}

/// A root, a CA below it, and an end entity of the CA.
struct Pki {
    root: Party,
    ca: Party,
    leaf: Party,
}

impl Pki {
    /// The leaf's certificate names one distribution point with these URLs, and responders and issuers at those.
    fn new(crls: &[String], ocsp: &[String], issuers: &[String]) -> Self {
        let root = Party::root("root");
        let ca = root.ca("issuing CA");
        let leaf = pointing(Builder::leaf("leaf"), crls, ocsp, issuers).signed_by(&ca);
        Pki { root, ca, leaf }
    }

    fn with_crl_at(url: String) -> Self {
        Self::new(&[url], &[], &[])
    }
}

/// Adds cRLDistributionPoints and authorityInfoAccess.
fn pointing(mut builder: Builder, crls: &[String], ocsp: &[String], issuers: &[String]) -> Builder {
    if !crls.is_empty() {
        let names: Vec<Vec<u8>> = crls.iter().map(|url| uri(url)).collect();
        builder = builder.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, points(&[&[point_name(&names)]]));
    }
    let access = |method, urls: &[String]| -> Vec<Vec<u8>> {
        urls.iter().map(|url| sequence(&[&encode_oid(method), &uri(url)])).collect()
    };
    let descriptions = [access(oid::AD_OCSP, ocsp), access(oid::AD_CA_ISSUERS, issuers)].concat();
    if !descriptions.is_empty() {
        builder = builder.with(oid::PE_AUTHORITY_INFO_ACCESS, false, list(descriptions));
    }
    builder
}

fn anchors(root: &Certificate) -> TrustAnchors {
    let mut anchors = TrustAnchors::new();
    anchors.add(root.clone());
    anchors
}

/// The leaf's status only, from CRLs first.
fn leaf_policy(mode: RevocationMode) -> RevocationPolicy {
    RevocationPolicy {
        mode,
        scope: RevocationScope::LeafOnly,
        prefer: StatusPreference::Crl,
        ..RevocationPolicy::hard_fail()
    }
}

fn checks(at: Time, mode: RevocationMode) -> Checks {
    Checks { revocation: leaf_policy(mode), ..Checks::at(at) }
}

/// Short times, so that slow servers do not make slow tests.
fn options() -> StatusOptions {
    StatusOptions {
        max_crl_bytes: 64 * 1024,
        total_timeout: Duration::from_secs(20),
        exchange: ExchangeLimits {
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            ..ExchangeLimits::default()
        },
        ..StatusOptions::default()
    }
}

fn fetcher() -> StatusFetcher {
    StatusFetcher::new(provider().clone(), options())
}

/// Asks about the leaf of a PKI, with the CA's certificate at hand, by the built-in client.
fn ask(fetcher: &mut StatusFetcher, pki: &Pki, checks: &Checks) -> StatusAnswer {
    let mut fetch = built_in(fetcher.options_mut()).unwrap();
    ask_by(fetcher, pki, checks, &mut fetch)
}

fn ask_by(fetcher: &mut StatusFetcher, pki: &Pki, checks: &Checks, fetch: &mut dyn Fetch) -> StatusAnswer {
    let (anchors, pool) = (anchors(&pki.root.certificate), [pki.ca.certificate.clone()]);
    let known = StatusSources::none();
    let leaf = &pki.leaf.certificate;
    fetcher.validate(&StatusQuestion { anchors: &anchors, leaf, pool: &pool, known: &known, checks }, fetch)
}

/// What happened, in short.
fn story(answer: &StatusAnswer) -> Vec<(Wanted, &'static str)> {
    let word = |outcome: &FetchOutcome| match outcome {
        FetchOutcome::Kept => "kept",
        FetchOutcome::Fetched => "fetched",
        FetchOutcome::NotModified => "not modified",
        FetchOutcome::Failed(_) => "failed",
        FetchOutcome::NotStored(_) => "not stored",
    };
    answer.log.iter().map(|event| (event.wanted, word(&event.outcome))).collect()
}

fn code_of(answer: &StatusAnswer) -> Option<Code> {
    answer.report.error().map(|error| error.code())
}

fn texts(answer: &StatusAnswer) -> String {
    answer.report.findings().iter().map(|f| f.text.clone()).collect::<Vec<_>>().join("\n")
}

const DAY: i64 = 86_400;

fn later(days: i64) -> Time {
    now().plus(days * DAY)
}
