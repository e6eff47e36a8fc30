//! What status data itself points to, who signed it, and what one validation leaves for the next.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use devid::Code;
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::{CertificateQuery, OcspNonce, StatusOptions, StatusQuestion, Wanted, built_in};
use devid::client::{StatusFetcher, status::StatusMemory};
use devid::store::Store;
use devid::validation::{NameCheck, PeerKey, PeerRequest, Purpose, RevocationMode, StatusPreference, StatusSources};

use super::certificates::{Builder, Party};
use super::status::{CrlBuilder, OcspBuilder, Single, point_url, points};
use super::{
    Nobody, Pki, Web, anchors, ask, ask_by, checks, code_of, fetcher, http, later, now, ok, options, pointing,
    provider, story, texts,
};

/// Serves documents by path; others are 404.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Document>>>);

/// Its path and its bytes.
type Document = (String, Vec<u8>);

impl Shelf {
    fn open() -> (Self, Web) {
        let shelf = Shelf::default();
        let documents = shelf.clone();
        let web = Web::start(move |head, stream| {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let found = documents.0.lock().unwrap().iter().find(|d| d.0 == path).map(|d| d.1.clone());
            let answer = found.map_or_else(|| http("404 Not Found", "", b"?"), |bytes| ok(&bytes));
            let _ = std::io::Write::write_all(stream, &answer);
        });
        (shelf, web)
    }

    fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut documents = self.0.lock().unwrap();
        documents.retain(|d| d.0 != path);
        documents.push((path.to_owned(), bytes));
    }
}

/// certificateHold
const ON_HOLD: u8 = 6;

#[test]
fn a_delta_that_only_the_list_names_is_fetched_and_not_forgotten_in_memory() {
    let (shelf, web) = Shelf::open();
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let freshest = points(&[&[point_url(&web.url("/delta.crl"))]]);
    let complete = CrlBuilder::of(&pki.ca).number(5).with(oid::CE_FRESHEST_CRL, false, freshest);
    shelf.put("/ca.crl", complete.der());
    shelf.put("/delta.crl", CrlBuilder::of(&pki.ca).number(6).delta_to(5).der());
    let hard = checks(now(), RevocationMode::HardFail);

    let mut fetcher = fetcher();
    let answer = ask(&mut fetcher, &pki, &hard);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Crl, "fetched"), (Wanted::DeltaCrl, "fetched")]);
    assert!(ask_by(&mut fetcher, &pki, &hard, &mut Nobody).report.is_valid());

    // The complete list is still current, its delta of a day later is not: the new one revokes.
    let newer = CrlBuilder::of(&pki.ca).number(7).delta_to(5).times(now(), Some(later(3))).revokes(&pki.leaf);
    shelf.put("/delta.crl", newer.der());
    let mut fresh = super::fetcher();
    assert_eq!(code_of(&ask(&mut fresh, &pki, &hard)), Some(Code::Revoked));
    assert_eq!(code_of(&ask_by(&mut fresh, &pki, &hard, &mut Nobody)), Some(Code::Revoked), "also from memory");
}

#[test]
fn the_status_of_a_responder_is_fetched_too() {
    let (shelf, web) = Shelf::open();
    let pki = Pki::new(&[], &[web.url("/ocsp")], &[]);
    let responder = |url: &str| {
        pointing(Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]), &[url.to_owned()], &[], &[])
            .signed_by(&pki.ca)
    };
    let good = responder(&web.url("/ca.crl"));
    shelf.put("/ocsp", OcspBuilder::delegated(&good).says(Single::good(&pki.leaf.certificate, &pki.ca)).der());
    // A list of its own, which says nothing about the leaf.
    let list = CrlBuilder::of(&pki.ca).scope(&[point_url(&web.url("/ca.crl"))]);
    shelf.put("/ca.crl", list.clone().der());
    let mut checks = checks(now(), RevocationMode::HardFail);
    checks.revocation.prefer = StatusPreference::Ocsp;
    let ask = |fetcher: &mut StatusFetcher| {
        fetcher.options_mut().nonce = OcspNonce::Unused;
        ask(fetcher, &pki, &checks)
    };
    let answer = ask(&mut fetcher());
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Ocsp, "fetched"), (Wanted::Crl, "fetched")]);
    assert!(answer.report.findings().is_empty(), "no doubt is left: {}", texts(&answer));

    shelf.put("/ca.crl", list.revokes(&good).der());
    let answer = ask(&mut fetcher());
    assert_eq!(code_of(&answer), Some(Code::RevocationUnknown));
    assert!(texts(&answer).contains("responder's certificate is revoked"), "{}", texts(&answer));
}

#[test]
fn a_host_that_is_silent_costs_its_time_once() {
    let (_, web) = Shelf::open();
    let url = web.url("/ca.crl");
    drop(web);
    let pki = Pki::with_crl_at(url);
    let hard = checks(now(), RevocationMode::HardFail);
    let mut fetcher = fetcher();
    let wait_until_closed = || {
        let answer = ask(&mut super::fetcher(), &pki, &hard);
        texts(&answer).contains("not fetched")
    };
    assert!(wait_until_closed());

    let first = ask(&mut fetcher, &pki, &hard);
    assert!(!texts(&first).contains("did not answer before"), "{}", texts(&first));
    let second = ask_by(&mut fetcher, &pki, &hard, &mut Nobody);
    assert_eq!(code_of(&second), Some(Code::RevocationUnknown));
    assert!(texts(&second).contains("did not answer before"), "{}", texts(&second));

    fetcher.options_mut().silence = Duration::ZERO;
    let mut impatient = StatusFetcher::new(provider().clone(), StatusOptions { silence: Duration::ZERO, ..options() });
    ask(&mut impatient, &pki, &hard);
    let again = ask(&mut impatient, &pki, &hard);
    assert!(!texts(&again).contains("did not answer before"), "{}", texts(&again));
}

/// The path of a question at a certificate store.
fn path_of(query: CertificateQuery<'_>) -> String {
    query.url(&**provider(), "/search.cgi").unwrap()
}

#[test]
fn a_missing_issuer_comes_from_a_certificate_store_that_the_device_names() {
    let (shelf, web) = Shelf::open();
    let pki = Pki::new(&[], &[], &[]);
    let namesake = Party::root("root").ca("issuing CA");
    let part = |c: &Certificate| [b"--x\r\nContent-Type: application/pkix-cert\r\n\r\n", c.as_der(), b"\r\n"].concat();
    let both = [part(&namesake.certificate), part(&pki.ca.certificate), b"--x--\r\n".to_vec()].concat();
    shelf.put(&path_of(CertificateQuery::Subject(pki.ca.certificate.subject())), both);
    shelf.put(&path_of(CertificateQuery::Uri("leaf.example")), pki.leaf.certificate.as_der().to_vec());

    let options = StatusOptions { certificate_store: Some(web.url("/search.cgi")), ..options() };
    let mut fetcher = StatusFetcher::new(provider().clone(), options.clone());
    let (anchors, known) = (anchors(&pki.root.certificate), StatusSources::none());
    let plain = devid::validation::Checks::at(now());
    let question =
        StatusQuestion { anchors: &anchors, leaf: &pki.leaf.certificate, pool: &[], known: &known, checks: &plain };
    let answer = fetcher.validate(&question, &mut built_in(&options).unwrap());
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Issuer, "fetched")]);

    let mut fetch = built_in(&options).unwrap();
    let url = web.url("/search.cgi");
    let found = fetcher.look_up(&url, &CertificateQuery::Uri("leaf.example"), &mut fetch).unwrap();
    assert_eq!(found, std::slice::from_ref(&pki.leaf.certificate));
    let nobody = fetcher.look_up(&url, &CertificateQuery::Uri("other.example"), &mut fetch).unwrap_err();
    assert_eq!((nobody.code(), nobody.facts().http_status), (Code::HttpStatus, Some(404)));
    let junk = [b"--x\r\n\r\n".to_vec(), sequence(&[b"\x05\x00"]), b"\r\n--x--".to_vec()].concat();
    shelf.put(&path_of(CertificateQuery::CommonName("junk")), junk);
    assert!(fetcher.look_up(&url, &CertificateQuery::CommonName("junk"), &mut fetch).is_err());
}

#[test]
fn an_open_peer_closes_at_once_when_newer_status_data_in_device_memory_revokes_it() {
    let (shelf, web) = Shelf::open();
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let store = Arc::new(Store::in_memory(provider().clone()));
    let start = || StatusFetcher::with_store(provider().clone(), options(), store.clone());
    let (anchors, pool, none) = (anchors(&pki.root.certificate), [pki.ca.certificate.clone()], StatusSources::none());
    let request = |checks| PeerRequest {
        anchors: &anchors,
        certificate: &pki.leaf.certificate,
        pool: &pool,
        status: &none,
        checks,
        purpose: Purpose::Any,
        names: NameCheck::NotChecked,
        use_until: None,
    };
    let hard = || checks(now(), RevocationMode::HardFail);
    shelf.put("/ca.crl", CrlBuilder::of(&pki.ca).number(1).der());
    let open = |fetcher: &mut StatusFetcher| {
        let mut fetch = built_in(&options()).unwrap();
        fetcher.open_peer(request(hard()), &mut fetch).unwrap().1.expect("a positive verdict")
    };
    let (mut one, mut other) = (start(), start());
    let peers: [PeerKey; 2] = [open(&mut one), open(&mut other)];
    // One that is validated with device memory and without a network, and one that nobody asked the status of.
    let memory = Arc::new(StatusMemory::new(provider().clone(), Some(store.clone())));
    let offline = memory.open_peer(provider(), request(hard())).unwrap().1.expect("what is kept is enough");
    let careless = memory.open_peer(provider(), request(checks(now(), RevocationMode::Off))).unwrap().1.unwrap();
    let unwatched = PeerKey::open(provider(), request(checks(now(), RevocationMode::Off))).unwrap().1.unwrap();
    let all = [&peers[0], &peers[1], &offline, &careless];
    all.iter().for_each(|peer| assert!(peer.spki(now()).is_ok()));

    let tomorrow = later(2);
    let list = CrlBuilder::of(&pki.ca).number(2).times(later(1), Some(later(9)));
    shelf.put("/ca.crl", list.clone().revokes_for(&pki.leaf, ON_HOLD).der());
    let answer = ask(&mut one, &pki, &checks(tomorrow, RevocationMode::HardFail));
    assert_eq!(code_of(&answer), Some(Code::Revoked));
    for peer in all {
        assert_eq!(peer.spki(now()).unwrap_err().code(), Code::Revoked);
        assert_eq!(peer.agree(now()).unwrap_err().code(), Code::Revoked);
    }
    assert!(unwatched.spki(now()).is_ok());

    // For good: a list that lifts the hold opens nothing.
    shelf.put("/ca.crl", list.number(3).times(later(8), Some(later(20))).der());
    let answer = ask(&mut start(), &pki, &checks(later(10), RevocationMode::HardFail));
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    all.iter().for_each(|peer| assert_eq!(peer.spki(now()).unwrap_err().code(), Code::Revoked));
}

#[test]
fn newer_status_data_that_says_good_lengthens_an_open_peers_time() {
    let (shelf, web) = Shelf::open();
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let mut fetcher = fetcher();
    let (anchors, pool, none) = (anchors(&pki.root.certificate), [pki.ca.certificate.clone()], StatusSources::none());
    shelf.put("/ca.crl", CrlBuilder::of(&pki.ca).number(1).der());
    let request = PeerRequest {
        anchors: &anchors,
        certificate: &pki.leaf.certificate,
        pool: &pool,
        status: &none,
        checks: checks(now(), RevocationMode::HardFail),
        purpose: Purpose::Any,
        names: NameCheck::NotChecked,
        use_until: Some(later(3)),
    };
    let peer = fetcher.open_peer(request, &mut built_in(&options()).unwrap()).unwrap().1.unwrap();
    assert_eq!(peer.expires(), later(1));
    shelf.put("/ca.crl", CrlBuilder::of(&pki.ca).number(2).times(now(), Some(later(9))).der());
    let mut strict = checks(now(), RevocationMode::HardFail);
    strict.revocation.max_age_seconds = Some(3600);
    assert!(ask(&mut fetcher, &pki, &strict).report.is_valid());
    assert!(peer.spki(now()).is_ok());
    assert_eq!(peer.expires(), later(3), "to the caller's bound and no further");
}
