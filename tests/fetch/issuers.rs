//! Missing issuers by URL, from servers that send the wrong thing or never come to an end.

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::StatusFetcher;
use devid::client::status::{FetchOutcome, StatusAnswer, StatusOptions, StatusQuestion, Wanted, built_in};
use devid::crypto::algorithm::encode_oid;
use devid::store::Store;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, Phase, TransportError, TransportErrorKind};
use devid::validation::{Checks, RevocationMode, RevocationPolicy, StatusSources};

use super::certificates::{Builder, Party, now};
use super::{Web, anchors, code_of, options, pointing, provider, story, texts};

fn ask(root: &Party, leaf: &Party) -> StatusAnswer {
    let options = StatusOptions { issuers: true, ..options() };
    let mut fetch = built_in(&options).unwrap();
    let (anchors, known, checks) = (anchors(&root.certificate), StatusSources::none(), Checks::at(now()));
    let question =
        StatusQuestion { anchors: &anchors, leaf: &leaf.certificate, pool: &[], known: &known, checks: &checks };
    StatusFetcher::new(provider().clone(), options).validate(&question, &mut fetch)
}

/// A "certs-only" CMS message (RFC 5652 section 5).
fn pkcs7(certificates: &[&Certificate]) -> Vec<u8> {
    let all: Vec<u8> = certificates.iter().flat_map(|c| c.as_der().to_vec()).collect();
    let content = sequence(&[&encode_oid(oid::CMS_DATA)]);
    let signed = sequence(&[&[0x02, 0x01, 0x01, 0x31, 0x00], &content, &element(0xa0, &[&all]), &[0x31, 0x00]]);
    sequence(&[&encode_oid(oid::CMS_SIGNED_DATA), &element(0xa0, &[&signed])])
}

/// Root, two CAs and a leaf; each certificate below the root points to its issuer's document.
fn chain(base: impl Fn(&str) -> String) -> (Party, Party, Party, Party) {
    let root = Party::root("root");
    let upper = root.ca("upper CA");
    let lower = pointing(Builder::ca("lower CA"), &[], &[], &[base("/upper")]).signed_by(&upper);
    let leaf = pointing(Builder::leaf("leaf"), &[], &[], &[base("/lower")]).signed_by(&lower);
    (root, upper, lower, leaf)
}

/// A port first, then documents that name it.
fn serving(documents: impl FnOnce(&dyn Fn(&str) -> String) -> Vec<(&'static str, Vec<u8>)>) -> Web {
    let cell = std::sync::Arc::new(std::sync::OnceLock::<Vec<(&'static str, Vec<u8>)>>::new());
    let shared = cell.clone();
    let web = Web::start(move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let found = shared.get().and_then(|all| all.iter().find(|d| d.0 == path));
        let answer = found.map_or_else(|| super::http("404 Not Found", "", b"?"), |d| super::ok(&d.1));
        let _ = std::io::Write::write_all(stream, &answer);
    });
    let _ = cell.set(documents(&|path| web.url(path)));
    web
}

#[test]
fn issuers_come_one_after_the_other_as_der_or_pem() {
    let mut made = None;
    let web = serving(|base| {
        let (root, upper, lower, leaf) = chain(base);
        let pem = devid::asn1::pem::encode("CERTIFICATE", upper.certificate.as_der());
        let documents = vec![("/lower", lower.certificate.as_der().to_vec()), ("/upper", pem.as_bytes().to_vec())];
        made = Some((root, leaf));
        documents
    });
    let (root, leaf) = made.unwrap();
    let answer = ask(&root, &leaf);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Issuer, "fetched"), (Wanted::Issuer, "fetched")]);
    assert_eq!(web.seen().len(), 2);
}

#[test]
fn a_pkcs7_message_brings_the_whole_chain_and_strangers_do_not_harm() {
    let mut made = None;
    let _web = serving(|base| {
        let (root, upper, lower, leaf) = chain(base);
        let stranger = Party::root("stranger");
        let p7 = pkcs7(&[&stranger.certificate, &upper.certificate, &lower.certificate]);
        made = Some((root, leaf));
        vec![("/lower", p7)]
    });
    let (root, leaf) = made.unwrap();
    let answer = ask(&root, &leaf);
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(answer.log.len(), 1);
}

#[test]
fn what_comes_by_url_is_never_an_anchor() {
    let mut made = None;
    let _web = serving(|base| {
        let (root, upper, lower, leaf) = chain(base);
        made = Some(leaf);
        vec![("/lower", pkcs7(&[&lower.certificate, &upper.certificate, &root.certificate]))]
    });
    let answer = ask(&Party::root("the one we trust"), &made.unwrap());
    assert!(!answer.report.is_valid());
}

#[test]
fn a_wrong_certificate_is_named_and_left_aside() {
    let mut made = None;
    let _web = serving(|base| {
        let (root, _, _, leaf) = chain(base);
        made = Some((root, leaf));
        vec![("/lower", Party::root("somebody else").certificate.as_der().to_vec())]
    });
    let (root, leaf) = made.unwrap();
    let answer = ask(&root, &leaf);
    assert_eq!(code_of(&answer), Some(Code::NoPath));
    assert!(matches!(&answer.log[0].outcome, FetchOutcome::Failed(e) if e.message().contains("somebody else")));
    assert!(answer.pool.is_empty());
    assert!(texts(&answer).contains("issuer's certificate not fetched from http://"), "{}", texts(&answer));
}

#[test]
fn a_certificate_of_the_right_name_and_another_key_opens_nothing() {
    let mut made = None;
    let _web = serving(|base| {
        let (root, _, _, leaf) = chain(base);
        let impostor = root.ca("lower CA");
        made = Some((root, leaf));
        vec![("/lower", impostor.certificate.as_der().to_vec())]
    });
    let (root, leaf) = made.unwrap();
    assert_eq!(code_of(&ask(&root, &leaf)), Some(Code::SignatureInvalid));
}

#[test]
fn certificates_that_point_to_one_another_end() {
    let mut made = None;
    let web = serving(|base| {
        let (a_key, b_key) = (Party::root("A"), Party::root("B"));
        let a = pointing(Builder::ca("A").key(&a_key.key), &[], &[], &[base("/b")]).signed_by(&b_key);
        let b = pointing(Builder::ca("B").key(&b_key.key), &[], &[], &[base("/a")]).signed_by(&a_key);
        made = Some(pointing(Builder::leaf("leaf"), &[], &[], &[base("/a")]).signed_by(&a));
        vec![("/a", a.certificate.as_der().to_vec()), ("/b", b.certificate.as_der().to_vec())]
    });
    let answer = ask(&Party::root("root"), &made.unwrap());
    assert!(!answer.report.is_valid());
    assert_eq!(web.seen().len(), 2, "each URL once");
}

#[test]
fn a_chain_without_end_is_given_up() {
    const PATHS: [&str; 12] = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10", "/11"];
    let mut made = None;
    let web = serving(|base| {
        let mut issuer = Party::root("far away");
        let mut documents = Vec::new();
        for (n, path) in PATHS.iter().enumerate().rev() {
            documents.push((*path, issuer.certificate.as_der().to_vec()));
            issuer = pointing(Builder::ca(&format!("CA {n}")), &[], &[], &[base(path)]).signed_by(&issuer);
        }
        made = Some(issuer);
        documents
    });
    let answer = ask(&Party::root("root"), &made.unwrap());
    assert_eq!(code_of(&answer), Some(Code::NoPath));
    assert_eq!(web.seen().len(), 8);
}

/// A device that keeps issuers, in a new process at each question; one place serves what it is told to, or nobody answers.
struct Keeping {
    root: Party,
    store: std::sync::Arc<Store>,
}

impl Keeping {
    const PLACE: &str = "http://pki.example/ca.cer";

    fn below(issuer: &Party, name: &str) -> Party {
        pointing(Builder::leaf(name), &[], &[], &[Self::PLACE.to_owned()]).signed_by(issuer)
    }

    fn ask(&self, root: &Party, leaf: &Party, served: Option<&[u8]>) -> StatusAnswer {
        let served = served.map(<[u8]>::to_vec);
        let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| match &served {
            Some(bytes) => Ok(Fetched::Document(Document { bytes: bytes.clone(), ..Document::default() })),
            None => Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody")),
        });
        let options = StatusOptions { issuers: true, ..options() };
        let (anchors, known, checks) = (anchors(&root.certificate), StatusSources::none(), Checks::at(now()));
        let question =
            StatusQuestion { anchors: &anchors, leaf: &leaf.certificate, pool: &[], known: &known, checks: &checks };
        let mut fetcher = StatusFetcher::with_store(provider().clone(), options, self.store.clone());
        fetcher.validate(&question, &mut fetch)
    }

    fn is_valid(&self, leaf: &Party, served: Option<&[u8]>) -> bool {
        self.ask(&self.root, leaf, served).report.is_valid()
    }
}

/// A CA has a new key under its name and URL: what is kept of the old one helps its peers and stands in nobody's way.
#[test]
fn kept_issuers_are_added_to_and_shut_nobody_out() {
    let device =
        Keeping { root: Party::root("root"), store: std::sync::Arc::new(Store::in_memory(provider().clone())) };
    let (old, new) = (device.root.ca("CA"), device.root.ca("CA"));
    let (first, second) = (Keeping::below(&old, "first"), Keeping::below(&new, "second"));
    let stranger = Party::root("CA");
    let with_stranger = pkcs7(&[&stranger.certificate, &old.certificate]);
    assert!(device.is_valid(&first, Some(&with_stranger)));
    assert!(device.is_valid(&first, None), "it is kept");
    assert!(!device.is_valid(&second, None), "nobody answers");
    let answer = device.ask(&device.root, &second, Some(new.certificate.as_der()));
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Issuer, "kept"), (Wanted::Issuer, "fetched")]);
    for leaf in [&first, &second] {
        let answer = device.ask(&device.root, leaf, None);
        assert!(answer.report.is_valid(), "both are kept: {}", texts(&answer));
        assert_eq!(story(&answer), [(Wanted::Issuer, "kept")]);
        assert!(!answer.pool.contains(&stranger.certificate), "what stands on no path is not kept");
    }
    // Another root, below which the CA has another certificate of the same key.
    let other = Party::root("other root");
    let cross = Builder::ca("CA").key(&new.key).signed_by(&other);
    assert!(device.ask(&other, &second, Some(cross.certificate.as_der())).report.is_valid());
    assert!(device.is_valid(&second, None) && device.ask(&other, &second, None).report.is_valid());
}

/// A CA's certificate is revoked, and another over the same key stands under its URL: whoever has kept the first one finds the
/// second, and only where there is none is the peer refused.
#[test]
fn a_kept_issuer_that_was_revoked_is_asked_for_anew() {
    const SUPERSEDED: u8 = 4;
    let device =
        Keeping { root: Party::root("root"), store: std::sync::Arc::new(Store::in_memory(provider().clone())) };
    let old = device.root.ca("CA");
    let new = Builder::ca("CA").key(&old.key).signed_by(&device.root);
    let peer = Keeping::below(&old, "peer");
    assert!(device.is_valid(&peer, Some(old.certificate.as_der())), "the first one is kept");
    let list = |issuer: &Party| crate::status::CrlBuilder::of(issuer);
    let lists = [list(&device.root).revokes_for(&old, SUPERSEDED).build(), list(&old).build()];
    for (served, verdict) in [(&old, Some(Code::Revoked)), (&new, None), (&old, None)] {
        for mode in [RevocationMode::SoftFail, RevocationMode::HardFail] {
            let asked = std::cell::Cell::new(0);
            let mut fetch = FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
                asked.set(asked.get() + 1);
                let bytes = served.certificate.as_der().to_vec();
                Ok(Fetched::Document(Document { bytes, ..Document::default() }))
            });
            let options = StatusOptions { issuers: true, ..options() };
            let revocation = RevocationPolicy { mode, ..RevocationPolicy::hard_fail() };
            let question = StatusQuestion {
                anchors: &anchors(&device.root.certificate),
                leaf: &peer.certificate,
                pool: &[],
                known: &StatusSources { crls: lists.to_vec(), ..StatusSources::none() },
                checks: &Checks { revocation, ..Checks::at(now()) },
            };
            let mut fetcher = StatusFetcher::with_store(provider().clone(), options, device.store.clone());
            let answer = fetcher.validate(&question, &mut fetch);
            assert_eq!(code_of(&answer), verdict, "{mode:?}: {}", texts(&answer));
            assert!(asked.get() <= 1, "{mode:?}: each place once");
        }
    }
}

/// However many certificates one place serves, each on a path of its own: those that are kept stay.
#[test]
fn other_issuers_of_a_place_do_not_push_out_one_that_is_kept() {
    let device =
        Keeping { root: Party::root("root"), store: std::sync::Arc::new(Store::in_memory(provider().clone())) };
    let genuine = device.root.ca("CA");
    let peer = Keeping::below(&genuine, "peer");
    assert!(device.is_valid(&peer, Some(genuine.certificate.as_der())));
    for _ in 0..40 {
        let other = device.root.ca("CA");
        let served = pkcs7(&[&other.certificate, &genuine.certificate]);
        assert!(device.is_valid(&Keeping::below(&other, "another"), Some(&served)), "there is always a path");
    }
    assert!(device.is_valid(&peer, None));
}
