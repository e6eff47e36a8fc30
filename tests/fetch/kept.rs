//! What is kept, for how long, and what must not stay.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use devid::Code;
use devid::client::StatusFetcher;
use devid::client::status::Wanted;
use devid::store::{Backend, MemoryBackend, Store, StoreError, StoreErrorKind, StoreOptions};
use devid::transport::fetch::Document;
use devid::transport::{FetchFn, Fetched};
use devid::validation::{RevocationMode, StatusPreference};

use super::certificates::{Party, date};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{
    Nobody, Pki, Web, ask, ask_by, checks, code_of, fetcher, http, later, now, ok, options, provider, story, texts,
};

/// Serves whatever is in the cell.
fn changing(cell: &Arc<Mutex<Vec<u8>>>) -> Web {
    let cell = cell.clone();
    Web::start(move |_, stream| drop(stream.write_all(&ok(&cell.lock().unwrap()))))
}

#[test]
fn a_list_is_kept_until_its_next_update_also_over_a_restart() {
    let cell = Arc::default();
    let web = changing(&cell);
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).der();
    let store = Arc::new(Store::in_memory(provider().clone()));
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
    let checks_on = |day| checks(later(day), RevocationMode::HardFail);

    let answer = ask(&mut fetcher, &pki, &checks_on(0));
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    let first = answer.status.crls[0].clone();

    let answer = ask_by(&mut fetcher, &pki, &checks_on(1), &mut Nobody);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Crl, "kept")]);
    assert!(Arc::ptr_eq(&first, &answer.status.crls[0]), "its verified signature and its index are used again");

    let mut restarted = StatusFetcher::with_store(provider().clone(), options(), store);
    let answer = ask_by(&mut restarted, &pki, &checks_on(1), &mut Nobody);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(web.seen().len(), 1);

    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).number(2).times(later(1), Some(later(5))).revokes(&pki.leaf).der();
    let answer = ask(&mut restarted, &pki, &checks_on(2));
    assert_eq!((code_of(&answer), web.seen().len()), (Some(Code::Revoked), 2), "the next one is fetched in its time");
    let answer = ask_by(&mut restarted, &pki, &checks_on(3), &mut Nobody);
    assert_eq!(code_of(&answer), Some(Code::Revoked));
}

#[test]
fn an_old_list_is_refused_after_a_restart() {
    let cell = Arc::default();
    let web = changing(&cell);
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let store = Arc::new(Store::in_memory(provider().clone()));
    let start = || StatusFetcher::with_store(provider().clone(), options(), store.clone());
    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).number(5).der();
    assert!(ask(&mut start(), &pki, &checks(now(), RevocationMode::HardFail)).report.is_valid());

    let tomorrow = |number| CrlBuilder::of(&pki.ca).number(number).times(later(1), Some(later(9))).der();
    *cell.lock().unwrap() = tomorrow(4);
    let answer = ask(&mut start(), &pki, &checks(later(2), RevocationMode::HardFail));
    assert_eq!(code_of(&answer), Some(Code::CrlRollback));
    assert!(texts(&answer).contains("rollback: CRL number 4, but 5 was seen before"), "{}", texts(&answer));

    *cell.lock().unwrap() = tomorrow(6);
    let answer = ask(&mut start(), &pki, &checks(later(2), RevocationMode::HardFail));
    assert!(answer.report.is_valid(), "{}", texts(&answer));
}

/// What a server, or somebody on the way to it, has said beside a list decides nothing once the list is over.
#[test]
fn a_copy_is_asked_about_while_it_may_be_the_servers_and_asked_for_anew_once_it_is_over() {
    for validator in ["ETag: \"v1\"\r\n", "Last-Modified: Thu, 01 Jan 2099 00:00:00 GMT\r\n"] {
        let cell: Arc<Mutex<Vec<u8>>> = Arc::default();
        let crl = cell.clone();
        let web = Web::start(move |head, stream| {
            let answer = match head.to_ascii_lowercase().contains("\r\nif-") {
                true => b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec(),
                false => http("200 OK", validator, &crl.lock().unwrap()),
            };
            let _ = stream.write_all(&answer);
        });
        let pki = Pki::with_crl_at(web.url("/ca.crl"));
        // It does not say when the next one comes: it is asked about each time.
        *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).number(1).times(now().plus(-3600), None).der();
        let mut fetcher = fetcher();
        let hard = |at| checks(at, RevocationMode::HardFail);
        assert!(ask(&mut fetcher, &pki, &hard(now())).report.is_valid());
        let answer = ask(&mut fetcher, &pki, &hard(now().plus(3600)));
        assert!(answer.report.is_valid(), "{}", texts(&answer));
        assert_eq!(story(&answer), [(Wanted::Crl, "not modified")]);
        assert!(web.seen()[1].to_ascii_lowercase().contains("\r\nif-"));

        for (day, number) in [(2, 2), (12, 3)] {
            let list = CrlBuilder::of(&pki.ca).number(number).times(later(day), Some(later(day + 9)));
            let list = if number == 3 { list.revokes_for(&pki.leaf, 6) } else { list };
            *cell.lock().unwrap() = list.der();
            let answer = ask(&mut fetcher, &pki, &hard(later(day)));
            assert_eq!(code_of(&answer), (number == 3).then_some(Code::Revoked), "{}", texts(&answer));
            assert_eq!(story(&answer), [(Wanted::Crl, "fetched")], "{validator}");
        }
        // What is out of date stays so, whatever the server has.
        let answer = ask(&mut fetcher, &pki, &checks(later(40), RevocationMode::SoftFail));
        assert_eq!(code_of(&answer), Some(Code::Revoked), "{}", texts(&answer));
    }
}

/// By what copies are compared nobody has signed: a server, or who was on the way once, says what it likes.
#[test]
fn a_304_makes_no_list_of_yesterday_the_one_of_today() {
    let cell: Arc<Mutex<Vec<u8>>> = Arc::default();
    let crl = cell.clone();
    let web = Web::start(move |head, stream| {
        let answer = match head.to_ascii_lowercase().contains("if-modified-since: ") {
            true => b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec(),
            false => http("200 OK", "Last-Modified: Thu, 01 Jan 2099 00:00:00 GMT\r\n", &crl.lock().unwrap()),
        };
        let _ = stream.write_all(&answer);
    });
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    for mode in [RevocationMode::SoftFail, RevocationMode::HardFail] {
        *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).number(1).der();
        let mut fetcher = fetcher();
        assert!(ask(&mut fetcher, &pki, &checks(now(), mode)).report.is_valid());
        let today = CrlBuilder::of(&pki.ca).number(2).times(later(1), Some(later(9)));
        *cell.lock().unwrap() = today.revokes(&pki.leaf).der();
        let answer = ask(&mut fetcher, &pki, &checks(later(2), mode));
        assert_eq!(code_of(&answer), Some(Code::Revoked), "{mode:?}: {}", texts(&answer));
    }
}

#[test]
fn a_304_to_a_question_without_a_copy_is_no_answer() {
    let web = Web::saying(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec());
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let answer = ask(&mut fetcher(), &pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!((code_of(&answer), story(&answer)), (Some(Code::RevocationUnknown), vec![(Wanted::Crl, "failed")]));
}

#[test]
fn a_forged_list_does_not_stay() {
    let cell = Arc::default();
    let web = changing(&cell);
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    let store = Arc::new(Store::in_memory(provider().clone()));
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
    let forger = Party::root("forger");
    *cell.lock().unwrap() =
        CrlBuilder::of(&pki.ca).number(99).times(now(), Some(date(2049, 1, 1))).signed_with(&forger.key).der();
    let answer = ask(&mut fetcher, &pki, &checks(now(), RevocationMode::HardFail));
    assert_eq!((code_of(&answer), story(&answer)), (Some(Code::RevocationUnknown), vec![(Wanted::Crl, "fetched")]));
    assert!(store.blobs().unwrap().is_empty(), "nothing of it is in device memory");

    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).der();
    let answer = ask(&mut fetcher, &pki, &checks(now(), RevocationMode::HardFail));
    assert!(answer.report.is_valid(), "{}", texts(&answer));
}

#[test]
fn who_was_revoked_stays_revoked_when_the_server_is_gone() {
    let web_url = {
        let cell = Arc::default();
        let web = changing(&cell);
        let pki = Pki::with_crl_at(web.url("/ca.crl"));
        // On hold: a later word may lift it, so that it is asked for.
        *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).revokes_for(&pki.leaf, 6).der();
        let mut fetcher = fetcher();
        assert_eq!(code_of(&ask(&mut fetcher, &pki, &checks(now(), RevocationMode::SoftFail))), Some(Code::Revoked));
        (web.address, pki, fetcher)
    };
    let (address, pki, mut fetcher) = web_url;
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let answer = ask(&mut fetcher, &pki, &checks(later(30), RevocationMode::SoftFail));
    assert_eq!((code_of(&answer), story(&answer)), (Some(Code::Revoked), vec![(Wanted::Crl, "failed")]));
}

#[test]
fn ocsp_answers_are_kept_by_certificate_and_not_by_url_alone() {
    let cell = Arc::default();
    let web = changing(&cell);
    let pki = Pki::new(&[], &[web.url("/ocsp")], &[]);
    let other = Pki {
        leaf: super::pointing(super::Builder::leaf("other"), &[], &[web.url("/ocsp")], &[]).signed_by(&pki.ca),
        root: pki.root.clone(),
        ca: pki.ca.clone(),
    };
    let mut fetcher = fetcher();
    fetcher.options_mut().nonce = devid::client::status::OcspNonce::Unused;
    let mut checks = checks(now(), RevocationMode::HardFail);
    checks.revocation.prefer = StatusPreference::Ocsp;
    *cell.lock().unwrap() = OcspBuilder::by(&pki.ca).says(Single::good(&pki.leaf.certificate, &pki.ca)).der();

    let answer = ask(&mut fetcher, &pki, &checks);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    let answer = ask(&mut fetcher, &other, &checks);
    assert_eq!(code_of(&answer), Some(Code::RevocationUnknown), "an answer about another certificate");
    assert!(ask_by(&mut fetcher, &pki, &checks, &mut Nobody).report.is_valid());
    assert_eq!(web.seen().len(), 2);
}

#[test]
fn device_memory_holds_a_bounded_count_of_documents() {
    let store = Arc::new(Store::in_memory(provider().clone()));
    let mut small = StatusFetcher::with_store(
        provider().clone(),
        devid::client::StatusOptions { max_kept: 2, ..options() },
        store.clone(),
    );
    let root = Party::root("root");
    for days in [3, 1, 2] {
        let ca = root.ca(&format!("CA {days}"));
        let url = format!("http://crl.example/{days}.crl");
        let leaf = super::pointing(super::Builder::leaf("leaf"), &[url], &[], &[]).signed_by(&ca);
        let pki = Pki { root: root.clone(), leaf, ca };
        let crl = CrlBuilder::of(&pki.ca).times(now(), Some(later(days))).der();
        let mut fetch = FetchFn(move |_: &devid::transport::FetchRequest<'_>, _: &devid::transport::ExchangeLimits| {
            Ok(Fetched::Document(Document { bytes: crl.clone(), ..Document::default() }))
        });
        let answer = ask_by(&mut small, &pki, &checks(now(), RevocationMode::HardFail), &mut fetch);
        assert!(answer.report.is_valid(), "{}", texts(&answer));
    }
    assert_eq!(store.blobs().unwrap().len(), 2);
}

/// Device memory whose numbers cannot be read, or nothing written, while the switch is on.
pub struct Failing {
    pub inner: MemoryBackend,
    pub numbers: Arc<AtomicBool>,
    pub writing: Arc<AtomicBool>,
}

fn broken() -> StoreError {
    StoreError::new(StoreErrorKind::Io, "flash", "worn out")
}

impl Backend for Failing {
    fn read(&mut self, key: &str) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        if key.starts_with("number/") && self.numbers.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.inner.read(key)
    }
    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if self.writing.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.inner.write(key, bytes)
    }
    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        self.inner.remove(key, wipe)
    }
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list(prefix)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.inner.sync()
    }
}

#[test]
fn device_memory_that_fails_is_named_and_never_opens_the_way_back() {
    let cell = Arc::default();
    let web = changing(&cell);
    let pki = Pki::with_crl_at(web.url("/ca.crl"));
    *cell.lock().unwrap() = CrlBuilder::of(&pki.ca).number(5).der();
    let (numbers, writing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let backend = Failing { inner: MemoryBackend::new(), numbers: numbers.clone(), writing: writing.clone() };
    let store = Arc::new(Store::new(Box::new(backend), provider().clone(), StoreOptions::default()));
    let start = || StatusFetcher::with_store(provider().clone(), options(), store.clone());
    let hard = checks(now(), RevocationMode::HardFail);

    let answer = ask(&mut start(), &pki, &hard);
    assert!(answer.report.is_valid(), "what cannot be kept was good all the same: {}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Crl, "fetched"), (Wanted::Crl, "not stored")]);
    assert!(texts(&answer).contains("CRL numbers: flash: worn out"), "{}", texts(&answer));

    writing.store(false, Ordering::SeqCst);
    assert!(ask(&mut start(), &pki, &hard).report.is_valid());
    numbers.store(true, Ordering::SeqCst);
    let answer = ask(&mut start(), &pki, &hard);
    assert_eq!(code_of(&answer), Some(Code::CrlRollback), "what was seen before is not known");
    assert!(texts(&answer).contains("CRL numbers: flash: worn out"), "{}", texts(&answer));

    numbers.store(false, Ordering::SeqCst);
    assert!(ask(&mut start(), &pki, &hard).report.is_valid());
}
