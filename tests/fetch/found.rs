//! What is kept is found by whom it is about, not by the bytes of a name or a URL; and what is there and cannot be read has not said
//! that it knows nothing.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::client::StatusFetcher;
use devid::client::status::{CrlSubject, OcspNonce, StatusMemory, StatusQuestion, keep_crl};
use devid::store::Store;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    NameCheck, OcspResponse, PeerRequest, Purpose, Report, RevocationMode, StatusSources, TrustAnchors,
};

use super::certificates::{Builder, Party, name};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{checks, code_of, later, now, options, pointing, provider};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];
const LIST: &str = "http://pki.example/ca.crl";
const ELSEWHERE: &str = "http://other.example/list.crl";
const RESPONDER: &str = "http://ocsp.example/";
const ON_HOLD: u8 = 6;

fn at(urls: &[&str]) -> Builder {
    let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
    let builder = Builder::leaf("peer");
    if urls.is_empty() { builder } else { pointing(builder, &urls, &[], &[]) }
}

fn anchors(root: &Party) -> TrustAnchors {
    std::iter::once(root.certificate.clone()).collect()
}

/// In a new process, by what is kept alone.
fn recall(
    store: &Arc<Store>,
    root: &Party,
    leaf: &Party,
    staple: &[Arc<OcspResponse>],
    mode: RevocationMode,
) -> Report {
    let memory = Arc::new(StatusMemory::new(provider().clone(), Some(store.clone())));
    let status = StatusSources { ocsp: staple.to_vec(), ..StatusSources::none() };
    let request = PeerRequest {
        anchors: &anchors(root),
        certificate: &leaf.certificate,
        pool: &[],
        status: &status,
        checks: checks(now(), mode),
        purpose: Purpose::Any,
        names: NameCheck::NotChecked,
        use_until: None,
    };
    memory.open_peer(provider(), request).unwrap().0
}

fn code(report: &Report) -> Option<Code> {
    report.error().map(|error| error.code())
}

/// A genuine good word from before.
fn old_good(root: &Party, leaf: &Party) -> Arc<OcspResponse> {
    let single = Single::good(&leaf.certificate, root).times(now().plus(-36_000), Some(later(14)));
    OcspBuilder::by(root).says(single).build()
}

/// RFC 5280 sections 6.3.3 and 7.1: any list of the issuer whose scope fits, whatever URL it came from and whatever string types
/// the issuer's name has.
#[test]
fn a_list_is_found_for_all_certificates_of_its_issuer() {
    let utf8 = name(&[(oid::AT_COMMON_NAME, 0x0c, b"Root")]);
    let printable = name(&[(oid::AT_COMMON_NAME, 0x13, b"ROOT")]);
    let root = Builder::ca("Root").subject(utf8.clone()).self_signed();
    let other_key = Builder::ca("Root").subject(utf8.clone()).self_signed();
    for (what, about, peer, issuer) in [
        ("the same", at(&[]), at(&[]), &utf8),
        ("another string type", at(&[]), at(&[]), &printable),
        ("a list with a URL, a peer without", at(&[LIST]), at(&[]), &utf8),
        ("the other way round", at(&[]), at(&[LIST]), &utf8),
        ("another URL", at(&[LIST]), at(&[ELSEWHERE]), &utf8),
        ("the URL's host in another case", at(&[LIST]), at(&["http://PKI.example/ca.crl"]), &utf8),
        ("another URL and string type", at(&[LIST]), at(&[ELSEWHERE]), &printable),
    ] {
        for reason in [1, ON_HOLD] {
            let store = Arc::new(Store::in_memory(provider().clone()));
            let peer_of = |builder: &Builder| builder.clone().sign(issuer, &root.key);
            let (about, peer) = (about.clone().signed_by(&root), peer_of(&peer));
            let list = CrlBuilder::of(&root).times(now().plus(-60), Some(later(1)));
            let list = list.revokes_for(&peer, reason).der();
            let trust = anchors(&root);
            let subject =
                CrlSubject { certificate: &about.certificate, intermediates: &[], anchors: &trust, at: now() };
            keep_crl(provider(), &store, &list, &subject).unwrap();
            let staple = [old_good(&root, &peer)];
            for mode in MODES {
                for staple in [&staple[..], &[]] {
                    assert_eq!(code(&recall(&store, &root, &peer, staple, mode)), Some(Code::Revoked), "{what}");
                }
            }
            // Found is not believed: of a CA of the same name it says nothing.
            let stranger = at(&[]).sign(issuer, &other_key.key);
            let report = recall(&store, &other_key, &stranger, &[], RevocationMode::SoftFail);
            assert_eq!(code(&report), None, "{what}: {:?}", report.findings());
        }
    }
}

/// A document of two issuers is found by either.
#[test]
fn lists_of_several_issuers_in_one_document_are_found_by_each() {
    let (root, other) = (Party::root("Root"), Party::root("Other root"));
    let trust: TrustAnchors = [root.certificate.clone(), other.certificate.clone()].into_iter().collect();
    let store = Arc::new(Store::in_memory(provider().clone()));
    let known: Vec<Party> = [&root, &other].iter().map(|by| at(&[LIST]).signed_by(by)).collect();
    let peers: Vec<Party> = [&root, &other].iter().map(|by| at(&[ELSEWHERE]).signed_by(by)).collect();
    for (by, peer, about) in [(&root, &peers[0], &known[0]), (&other, &peers[1], &known[1])] {
        let list = CrlBuilder::of(by).revokes_for(peer, 1).der();
        let subject = CrlSubject { certificate: &about.certificate, intermediates: &[], anchors: &trust, at: now() };
        keep_crl(provider(), &store, &list, &subject).unwrap();
    }
    for (by, peer) in [(&root, &peers[0]), (&other, &peers[1])] {
        assert_eq!(code(&recall(&store, by, peer, &[], RevocationMode::SoftFail)), Some(Code::Revoked));
    }
}

/// Every kind of document: damaged on the medium, of another form, cut.
#[test]
fn what_is_kept_and_cannot_be_read_was_not_looked_at() {
    let root = Party::root("Root");
    let list = || CrlBuilder::of(&root).times(now().plus(-3600), Some(later(9))).der();
    let with_responder = pointing(Builder::leaf("peer"), &[], &[RESPONDER.to_owned()], &[]).signed_by(&root);
    let single = Single::good(&with_responder.certificate, &root).times(now().plus(-3600), Some(later(9)));
    let good = OcspBuilder::by(&root).says(single).der();
    for (peer, document) in [(at(&[LIST]).signed_by(&root), list()), (with_responder, good)] {
        let store = Arc::new(Store::in_memory(provider().clone()));
        let ask = |answer: Option<Vec<u8>>, mode| {
            let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
            fetcher.options_mut().nonce = OcspNonce::Unused;
            let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| match answer.clone() {
                Some(bytes) => Ok(Fetched::Document(Document { bytes, ..Document::default() })),
                None => Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "no network")),
            });
            let (trust, known, checks) = (anchors(&root), StatusSources::none(), checks(now(), mode));
            let question =
                StatusQuestion { anchors: &trust, leaf: &peer.certificate, pool: &[], known: &known, checks: &checks };
            fetcher.validate(&question, &mut fetch)
        };
        assert_eq!(code_of(&ask(Some(document.clone()), RevocationMode::HardFail)), None);
        let staple = [old_good(&root, &peer)];
        assert_eq!(code(&recall(&store, &root, &peer, &staple, RevocationMode::HardFail)), None, "whole");

        let records: Vec<String> = store.blobs().unwrap().into_iter().filter(|n| n.starts_with("status-")).collect();
        assert_eq!(records.len(), 1);
        let whole = store.blob(&records[0]).unwrap().to_vec();
        for damaged in [&b"junk"[..], b"", &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
            store.put_blob(&records[0], damaged).unwrap();
            let hard = recall(&store, &root, &peer, &staple, RevocationMode::HardFail);
            assert_eq!(code(&hard), Some(Code::RevocationUnknown));
            assert!(hard.error().unwrap().message().contains("cannot be read"), "{:?}", hard.findings());
            let soft = recall(&store, &root, &peer, &staple, RevocationMode::SoftFail);
            assert_eq!(code(&soft), None);
            assert!(soft.findings().iter().any(|f| f.code == Code::RevocationUnknown), "{:?}", soft.findings());
            // Nobody else's affair.
            let other = Builder::leaf("other").signed_by(&Party::root("Root"));
            assert!(recall(&store, &root, &other, &[], RevocationMode::SoftFail).findings().iter().all(|f| f.fatal));
            assert_eq!(code_of(&ask(None, RevocationMode::HardFail)), Some(Code::RevocationUnknown));
            // What is fetched again takes its place.
            assert_eq!(code_of(&ask(Some(document.clone()), RevocationMode::HardFail)), None);
            assert_eq!(code(&recall(&store, &root, &peer, &staple, RevocationMode::HardFail)), None, "mended");
        }
    }
}

/// A list that cannot be read was not looked at for any certificate of its issuer, whatever URL it names.
#[test]
fn a_damaged_list_is_missed_for_every_certificate_of_its_issuer() {
    let root = Party::root("Root");
    let peer = at(&[LIST]).signed_by(&root);
    for other in [at(&["http://elsewhere.example/ca.crl"]), Builder::leaf("other")] {
        let other = other.signed_by(&root);
        let store = Arc::new(Store::in_memory(provider().clone()));
        let list = CrlBuilder::of(&root).times(now().plus(-3600), Some(later(9))).revokes(&other).der();
        let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), store.clone());
        let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| {
            Ok(Fetched::Document(Document { bytes: list.clone(), ..Document::default() }))
        });
        let (trust, known, checks) = (anchors(&root), StatusSources::none(), checks(now(), RevocationMode::HardFail));
        let leaf = &peer.certificate;
        let question = StatusQuestion { anchors: &trust, leaf, pool: &[], known: &known, checks: &checks };
        assert_eq!(code_of(&fetcher.validate(&question, &mut fetch)), None);

        let staple = [old_good(&root, &other)];
        let judge = |mode| recall(&store, &root, &other, &staple, mode);
        let names = store.blobs().unwrap();
        let record = names.iter().find(|name| name.starts_with("status-")).unwrap();
        let whole = store.blob(record).unwrap().to_vec();
        for damaged in [&b"junk"[..], &whole[..whole.len() / 2]] {
            store.put_blob(record, damaged).unwrap();
            assert_eq!(code(&judge(RevocationMode::HardFail)), Some(Code::RevocationUnknown));
            let soft = judge(RevocationMode::SoftFail);
            assert!(soft.is_valid() && soft.findings().iter().any(|f| f.code == Code::RevocationUnknown));
        }
        store.put_blob(record, &whole).unwrap();
        for mode in [RevocationMode::HardFail, RevocationMode::SoftFail] {
            assert_eq!(code(&judge(mode)), Some(Code::Revoked), "whole");
        }
    }
}

/// Two names that were made to have the same place in device memory, and the same URL: each has its own list there.
#[test]
fn names_that_were_made_to_collide_share_no_place() {
    let attribute = |text: &str| sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &element(0x0c, &[text.as_bytes()])]);
    let name_of = |texts: [&str; 2]| {
        let last = element(0x31, &[&texts.iter().flat_map(|text| attribute(text)).collect::<Vec<u8>>()]);
        sequence(&[&element(0x31, &[&attribute("CA")]), &last])
    };
    let names = [["fqbidb5rsk", "jcpsiuntge"], ["ux4ci5bcww", "wehudkqcbj"]].map(name_of);
    let store = Arc::new(Store::in_memory(provider().clone()));
    let roots = names.map(|name| Builder::ca("Root").subject(name).self_signed());
    for root in &roots {
        let peer = at(&[LIST]).signed_by(root);
        let trust = anchors(root);
        let about = CrlSubject { certificate: &peer.certificate, intermediates: &[], anchors: &trust, at: now() };
        keep_crl(provider(), &store, &CrlBuilder::of(root).der(), &about).unwrap();
    }
    let kept = store.blobs().unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let place = |name: &str| name.rsplit_once('-').unwrap().1.to_owned();
    assert_eq!(place(&kept[0]), place(&kept[1]), "they do collide");
    let memory = StatusMemory::new(provider().clone(), Some(store));
    for root in &roots {
        let mut status = StatusSources::none();
        memory.recall([&at(&[LIST]).signed_by(root).certificate], &mut status);
        let issuers: Vec<&[u8]> = status.crls.iter().map(|crl| crl.issuer()).collect();
        assert_eq!(issuers, [root.certificate.subject()]);
    }
}
