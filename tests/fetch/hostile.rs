//! Servers that are slow, broken, redirecting, lying, or not there.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::client::StatusFetcher;
use devid::client::status::{FetchOutcome, OcspNonce, StatusAnswer, Wanted};
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched};
use devid::validation::{NameCheck, PeerName, RevocationMode, RevocationScope, StatusPreference};

use super::certificates::{Builder, Party, common_name, key};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{
    Nobody, Pki, Web, ask, ask_by, checks, code_of, fetcher, http, now, ok, options, pointing, provider, story, texts,
};

/// Why the first document did not come. A failure is in the log and in the report; soft-fail takes the path, hard-fail
/// refuses it.
fn failure(pki: &Pki) -> Code {
    let soft = ask(&mut fetcher(), pki, &checks(now(), RevocationMode::SoftFail));
    assert!(soft.report.is_valid(), "{}", texts(&soft));
    assert!(texts(&soft).contains("CRL not fetched from http://"), "{}", texts(&soft));
    let hard = ask(&mut fetcher(), pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!(code_of(&hard), Some(Code::RevocationUnknown));
    first_failure(&hard)
}

fn first_failure(answer: &StatusAnswer) -> Code {
    match &answer.log[0].outcome {
        FetchOutcome::Failed(error) => error.code(),
        other => panic!("{other:?}"),
    }
}

fn failure_of(web: &Web) -> Code {
    failure(&Pki::with_crl_at(web.url("/ca.crl")))
}

#[test]
fn nothing_is_fetched_for_a_path_that_does_not_hold() {
    let web = Web::saying(ok(b"anything"));
    let url = [web.url("/x")];
    let good = Pki::new(&url, &url, &url);
    let ask_nobody = |pki: &Pki, change: &dyn Fn(&mut devid::validation::Checks)| {
        let mut checks = checks(now(), RevocationMode::HardFail);
        change(&mut checks);
        let mut fetcher = fetcher();
        fetcher.options_mut().issuers = true;
        let answer = ask_by(&mut fetcher, pki, &checks, &mut Nobody);
        assert!(answer.log.is_empty());
        code_of(&answer)
    };

    let leaf = pointing(Builder::leaf("leaf"), &url, &url, &url).sign(&common_name("issuing CA"), &key());
    let forged = Pki { leaf, root: good.root.clone(), ca: good.ca.clone() };
    assert_eq!(ask_nobody(&forged, &|_| ()), Some(Code::SignatureInvalid));
    let leaf = pointing(Builder::leaf("leaf"), &url, &url, &url).valid(super::later(-9), super::later(-8));
    let expired = Pki { leaf: leaf.signed_by(&good.ca), root: good.root.clone(), ca: good.ca.clone() };
    assert_eq!(ask_nobody(&expired, &|_| ()), Some(Code::Expired));
    let name = NameCheck::All(vec![PeerName::host("peer.example")]);
    assert_eq!(ask_nobody(&good, &|checks| checks.names = name.clone()), Some(Code::Name));
    assert_eq!(ask_nobody(&good, &|checks| checks.revocation.mode = RevocationMode::Off), None);
    assert!(web.seen().is_empty());
}

#[test]
fn a_document_that_is_cut_short_or_missing_is_no_document() {
    let pki_of = |web: &Web| Pki::with_crl_at(web.url("/ca.crl"));
    let short = Web::saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n0\x80".to_vec());
    assert_eq!(failure(&pki_of(&short)), Code::Transport);
    let absent = Web::saying(http("404 Not Found", "", b"no such file"));
    assert_eq!(failure(&pki_of(&absent)), Code::HttpStatus);
    let empty = Web::saying(ok(b""));
    assert_eq!(failure(&pki_of(&empty)), Code::Transport);
}

#[test]
fn an_endless_document_ends_at_the_limit() {
    let web = Web::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[0x30; 4096]).is_ok() {}
    });
    assert_eq!(failure_of(&web), Code::TooLarge);
}

#[test]
fn an_endless_header_ends_too() {
    let web = Web::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(format!("X: {}\r\n", "x".repeat(4000)).as_bytes()).is_ok() {}
    });
    let code = failure_of(&web);
    assert!(matches!(code, Code::TooLarge | Code::Transport), "{code:?}");
}

#[test]
fn a_server_that_drips_ends_at_the_time_for_one_request() {
    let web = Web::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        while stream.write_all(&[0x30]).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let mut fetcher = fetcher();
    fetcher.options_mut().exchange.total_timeout = Duration::from_millis(400);
    let started = Instant::now();
    let answer = ask(&mut fetcher, &pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!(first_failure(&answer), Code::Timeout);
    assert!(started.elapsed() < Duration::from_secs(60), "it would drip for 250 s");
}

#[test]
fn a_dead_server_is_tried_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = |path: &str| format!("http://{address}{path}");
    let pki = Pki::new(&[url("/a.crl"), url("/b.crl")], &[url("/ocsp")], &[]);
    let answer = ask(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!(first_failure(&answer), Code::Connect);
    assert_eq!(story(&answer).len(), 3);
    assert_eq!(texts(&answer).matches("did not answer before").count(), 2, "{}", texts(&answer));
}

#[test]
fn what_the_bytes_are_counts_and_not_what_the_server_calls_them() {
    let cell = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let answer = cell.clone();
    let web = Web::start(move |_, stream| {
        let _ = stream.write_all(&answer.lock().unwrap());
    });
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let crl = CrlBuilder::of(&pki.ca).der();
    let ask_once = || ask(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail));
    *cell.lock().unwrap() = http("200 OK", "Content-Type: text/html\r\n", &crl);
    assert!(ask_once().report.is_valid());
    let armoured = devid::asn1::pem::encode("X509 CRL", &crl);
    *cell.lock().unwrap() = http("200 OK", "Content-Type: text/plain\r\n", armoured.as_bytes());
    assert!(ask_once().report.is_valid(), "PEM");
    // Some CAs publish their lists in PKCS#7: what it revokes is revoked, and what is no list is named.
    let bundle = |crl: &[u8]| {
        let object = |id: oid::Oid| element(0x06, &[id.as_bytes()]);
        let (data, lists) = (sequence(&[&object(oid::CMS_DATA)]), element(0xa1, &[crl]));
        let signed = sequence(&[&[2, 1, 1], &[0x31, 0], &data, &lists, &[0x31, 0]]);
        sequence(&[&object(oid::CMS_SIGNED_DATA), &element(0xa0, &[&signed])])
    };
    *cell.lock().unwrap() = http("200 OK", "Content-Type: application/pkcs7-mime\r\n", &bundle(&crl));
    assert!(ask_once().report.is_valid(), "PKCS#7");
    let revoking = CrlBuilder::of(&pki.ca).revokes(&pki.leaf).der();
    *cell.lock().unwrap() = http("200 OK", "Content-Type: application/pkcs7-mime\r\n", &bundle(&revoking));
    assert_eq!(ask_once().report.error().map(|error| error.code()), Some(Code::Revoked), "PKCS#7");
    // Several: each is read, or said to be there.
    let unread = |document: &[u8]| {
        *cell.lock().unwrap() = ok(document);
        ask_once()
    };
    let code = |answer: &StatusAnswer| answer.report.error().map(|error| error.code());
    for both in [[&crl[..], &revoking].concat(), [&revoking[..], &crl].concat()] {
        assert_eq!(code(&unread(&both)), Some(Code::Revoked), "one behind the other");
    }
    let answer = unread(&[&crl[..], &revoking[..revoking.len() - 9]].concat());
    assert_eq!(code(&answer), Some(Code::RevocationUnknown));
    assert!(answer.report.error().unwrap().message().contains("behind others, from byte"), "{}", texts(&answer));
    assert_eq!(code(&unread(&[&revoking[..], &crl[..crl.len() - 9]].concat())), Some(Code::Revoked));
    *cell.lock().unwrap() = ok(pki.leaf.certificate.as_der());
    let answer = ask_once();
    assert!(texts(&answer).contains("expected a CRL, found a certificate"), "{}", texts(&answer));
    *cell.lock().unwrap() = http("200 OK", "Content-Type: application/pkix-crl\r\n", b"<html>please log in</html>");
    assert_eq!(first_failure(&ask_once()), Code::Der);
}

#[test]
fn redirects_are_followed_to_allowed_hosts_and_not_for_ever() {
    let cell = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let crl = cell.clone();
    let target = Web::start(move |_, stream| drop(stream.write_all(&ok(&crl.lock().unwrap()))));
    let moved = |to: String| Web::saying(http("302 Found", &format!("Location: {to}\r\n"), b""));

    let web = moved(target.url("/real.crl"));
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).der();
    let answer = ask(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail));
    assert!(answer.report.is_valid(), "{}", texts(&answer));

    let circle = Web::saying(http("302 Found", "Location: /ca.crl\r\n", b""));
    assert_eq!(failure_of(&circle), Code::Limit);

    let other_host = format!("http://localhost:{}/real.crl", target.address.port());
    let web = moved(other_host);
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let mut fetcher = fetcher();
    fetcher.options_mut().allowed_hosts = Some(vec!["127.0.0.1".to_owned()]);
    let before = target.seen().len();
    let answer = ask(&mut fetcher, &pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!((first_failure(&answer), target.seen().len()), (Code::Limit, before));
}

#[test]
fn hosts_and_requests_are_counted() {
    let urls: Vec<String> = (0..6).map(|n| format!("http://h{n}.example/a.crl")).collect();
    let pki = Pki::new(&urls, &[], &[]);
    let ask_with = |change: &dyn Fn(&mut devid::client::StatusOptions)| {
        let ask_in = |mode| {
            let mut fetcher = fetcher();
            change(fetcher.options_mut());
            let mut asked = 0;
            let mut fetch = FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
                asked += 1;
                Ok(Fetched::Document(Document { bytes: b"no CRL".to_vec(), ..Document::default() }))
            });
            let answer = ask_by(&mut fetcher, &pki, &checks(now(), mode), &mut fetch);
            assert!(texts(&answer).contains("CRL not fetched"), "{}", texts(&answer));
            (asked, code_of(&answer))
        };
        let (asked, hard) = ask_in(RevocationMode::HardFail);
        let (again, soft) = ask_in(RevocationMode::SoftFail);
        assert_eq!(asked, again);
        (asked, hard, soft)
    };
    // What the network or the owner keeps back is unknown, and the policy decides; what a bound keeps back refuses.
    let unknown = |asked| (asked, Some(Code::RevocationUnknown), None);
    let cut_short = |asked| (asked, Some(Code::Budget), Some(Code::Budget));
    assert_eq!(ask_with(&|_| ()), unknown(4), "URLs of one list");
    assert_eq!(ask_with(&|options| options.max_requests = 4), unknown(4));
    assert_eq!(ask_with(&|options| options.max_requests = 3), cut_short(3));
    assert_eq!(ask_with(&|options| options.max_hosts = 4), unknown(4));
    assert_eq!(ask_with(&|options| options.max_hosts = 3), cut_short(3));
    assert_eq!(ask_with(&|options| options.allowed_hosts = Some(vec!["h1.example".to_owned()])), unknown(1));
    assert_eq!(ask_with(&|options| options.total_timeout = Duration::ZERO), unknown(0));
}

#[test]
fn a_document_that_the_callers_fetch_makes_too_large_is_refused() {
    let pki = Pki::with_crl_at("http://crl.example/a.crl".to_owned());
    let mut fetch = FetchFn(|_: &FetchRequest<'_>, limits: &ExchangeLimits| {
        let bytes = vec![0x30; limits.max_reply_bytes + 1];
        Ok(Fetched::Document(Document { bytes, ..Document::default() }))
    });
    let answer = ask_by(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail), &mut fetch);
    assert_eq!(first_failure(&answer), Code::TooLarge);
}

#[test]
fn other_schemes_are_left_to_a_fetch_of_the_callers() {
    let ftp = "ftp://archive.example/ca.crl".to_owned();
    let pki = Pki::new(std::slice::from_ref(&ftp), &[], &[]);
    let crl = CrlBuilder::of(&pki.ca).der();

    let answer = ask_by(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail), &mut Nobody);
    assert_eq!(first_failure(&answer), Code::Unsupported);
    assert_eq!(code_of(&answer), Some(Code::RevocationUnknown));

    let mut fetcher = fetcher();
    fetcher.options_mut().schemes.push("ftp".to_owned());
    let mut fetch = FetchFn(|request: &FetchRequest<'_>, _: &ExchangeLimits| {
        assert_eq!(request.url, ftp);
        Ok(Fetched::Document(Document { bytes: crl.clone(), ..Document::default() }))
    });
    let answer = ask_by(&mut fetcher, &pki, &checks(now(), RevocationMode::HardFail), &mut fetch);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
}

#[test]
fn a_responder_that_ignores_nonces_is_believed_only_where_that_is_said() {
    let cell = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let answer = cell.clone();
    let web = Web::start(move |_, stream| drop(stream.write_all(&ok(&answer.lock().unwrap()))));
    let pki = Pki::new(&[], &[web.url("/ocsp")], &[]);
    let good = OcspBuilder::by(&pki.ca).says(Single::good(&pki.leaf.certificate, &pki.ca));
    let ask_with = |nonce| {
        let mut fetcher = StatusFetcher::new(provider().clone(), options());
        fetcher.options_mut().nonce = nonce;
        let mut checks = checks(now(), RevocationMode::HardFail);
        checks.revocation.prefer = StatusPreference::Ocsp;
        ask(&mut fetcher, &pki, &checks)
    };

    *cell.lock().unwrap() = good.clone().der();
    assert_eq!(first_failure(&ask_with(OcspNonce::Required)), Code::Nonce);
    assert!(ask_with(OcspNonce::Tolerated).report.is_valid());
    assert!(ask_with(OcspNonce::Unused).report.is_valid());
    *cell.lock().unwrap() = good.nonce(&[7; 32]).der();
    assert_eq!(first_failure(&ask_with(OcspNonce::Tolerated)), Code::Nonce, "an answer to someone else, or an old one");

    // A nonce keeps an old "good" out. What an answer says against somebody counts without one, with another, and with text around.
    let revoked = OcspBuilder::by(&pki.ca).says(Single::good(&pki.leaf.certificate, &pki.ca).revoked(1));
    let other = revoked.clone().nonce(&[7; 32]).der();
    let padded = [&revoked.clone().der()[..], b"\r\n"].concat();
    for der in [revoked.der(), other, padded] {
        *cell.lock().unwrap() = der;
        for nonce in [OcspNonce::Required, OcspNonce::Tolerated, OcspNonce::Unused] {
            assert_eq!(ask_with(nonce).report.error().map(|error| error.code()), Some(Code::Revoked));
        }
    }
    // Beside a word against somebody else it clears nobody.
    let neighbour = Single::good(&pki.ca.leaf("neighbour").certificate, &pki.ca).revoked(1);
    *cell.lock().unwrap() =
        OcspBuilder::by(&pki.ca).says(neighbour).says(Single::good(&pki.leaf.certificate, &pki.ca)).der();
    let answer = ask_with(OcspNonce::Required).report;
    assert_eq!(answer.error().map(|error| error.code()), Some(Code::RevocationUnknown));
    assert!(ask_with(OcspNonce::Tolerated).report.is_valid());
}

#[test]
fn a_revoked_intermediate_leads_to_the_status_of_another_path() {
    let (old_root, new_root) = (Party::root("old root"), Party::root("new root"));
    let cell = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(&'static str, Vec<u8>)>::new()));
    let documents = cell.clone();
    let web = Web::start(move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let found = documents.lock().unwrap().iter().find(|d| d.0 == path).map(|d| ok(&d.1));
        let _ = stream.write_all(&found.unwrap_or_else(|| http("404 Not Found", "", b"?")));
    });
    let ca_key = key();
    let ca = |point: &str| pointing(Builder::ca("CA").key(&ca_key), &[web.url(point)], &[], &[]);
    let (by_old, by_new) = (ca("/old.crl").signed_by(&old_root), ca("/new.crl").signed_by(&new_root));
    let leaf = pointing(Builder::leaf("leaf"), &[web.url("/ca.crl")], &[], &[]).signed_by(&by_old);
    *cell.lock().unwrap() = vec![
        ("/ca.crl", CrlBuilder::of(&by_old).der()),
        ("/old.crl", CrlBuilder::of(&old_root).revokes(&by_old).der()),
        ("/new.crl", CrlBuilder::of(&new_root).der()),
    ];
    let mut anchors = super::anchors(&old_root.certificate);
    anchors.add(new_root.certificate.clone());
    let mut checks = checks(now(), RevocationMode::HardFail);
    checks.revocation.scope = RevocationScope::WholeChain;
    let pool = [by_old.certificate.clone(), by_new.certificate.clone()];
    let known = devid::validation::StatusSources::none();
    let leaf = &leaf.certificate;
    let question = super::StatusQuestion { anchors: &anchors, leaf, pool: &pool, known: &known, checks: &checks };

    let answer = fetcher().validate(&question, &mut super::built_in(&options()).unwrap());

    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(answer.report.path().unwrap().anchor(), &new_root.certificate);
    assert!(story(&answer).iter().all(|event| *event == (Wanted::Crl, "fetched")), "{:?}", story(&answer));
}
