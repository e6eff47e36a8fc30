//! Several memories, and memories that are full or cannot be read: what one of them knows holds for every verdict, every handle and
//! every path.

use std::sync::Arc;

use devid::Code;
use devid::asn1::oid;
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::client::StatusFetcher;
use devid::client::status::{CrlSubject, StatusMemory, keep_crl};
use devid::client::validator::Validator;
use devid::crypto::DigestAlgorithm;
use devid::store::Store;
use devid::time::Time;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    Authority, CheckTime, Crl, NameCheck, OcspResponse, PeerKey, Purpose, RevocationMode, RevokedFact, StatusSources,
    TrustAnchors, validate,
};

use super::certificates::{Builder, Party};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{DAY, checks, later, now, options, pointing, provider};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];
const KEY_COMPROMISE: u8 = 1;

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory(provider().clone()))
}

fn anchors(parties: &[&Party]) -> TrustAnchors {
    parties.iter().map(|party| party.certificate.clone()).collect()
}

fn word(about: &Party, by: &Party, from: Time, change: impl FnOnce(Single) -> Single) -> Arc<OcspResponse> {
    let single = Single::good(&about.certificate, by).times(from, Some(later(60)));
    OcspBuilder::by(by).says(change(single)).build()
}

fn validator(root: &Party, memory: Option<&Arc<Store>>, ocsp: &Arc<OcspResponse>, mode: RevocationMode) -> Validator {
    let mut validator = Validator::new(anchors(&[root]));
    if let Some(store) = memory {
        validator.set_memory(store.clone());
    }
    validator.checks = checks(now(), mode);
    (validator.purpose, validator.names) = (Some(Purpose::Any), Some(NameCheck::NotChecked));
    validator.status.ocsp.push(ocsp.clone());
    validator
}

/// Where the fetcher keeps what it finds, beside a validator with device memory of its own.
enum Beside {
    NoFetcher,
    WithoutStore,
    AnotherStore,
    TheSameStore,
}

fn opened(by: &Beside, validator: &Validator, theirs: &Arc<Store>, peer: &Party) -> PeerKey {
    let at = CheckTime::At(now());
    let mut fetcher = match by {
        Beside::NoFetcher => return validator.validate(&peer.certificate, &[], None, at).unwrap().peer.expect("a key"),
        Beside::WithoutStore => StatusFetcher::new(provider().clone(), options()),
        Beside::AnotherStore => StatusFetcher::with_store(provider().clone(), options(), store()),
        Beside::TheSameStore => StatusFetcher::with_store(provider().clone(), options(), theirs.clone()),
    };
    let mut nobody = FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
        Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody"))
    });
    let request = validator.request(&peer.certificate, &[], None, at).unwrap();
    fetcher.open_peer(request, &mut nobody).unwrap().1.expect("a key")
}

#[test]
fn every_memory_of_an_opening_is_asked_before_each_use_and_at_each_recheck() {
    let root = Party::root("Root");
    let (peer, neighbour) = (root.leaf("peer"), root.leaf("neighbour"));
    let good = word(&peer, &root, now().plus(-2 * DAY), |single| single);
    let bad = word(&peer, &root, now().plus(-60), |single| single.revoked(KEY_COMPROMISE));
    let list = CrlBuilder::of(&root).number(8).revokes(&peer).der();
    let brought = StatusSources { ocsp: vec![good.clone()], ..StatusSources::none() };
    for mode in MODES {
        for by in [Beside::NoFetcher, Beside::WithoutStore, Beside::AnotherStore, Beside::TheSameStore] {
            for by_list in [false, true] {
                let ours = store();
                let open = || opened(&by, &validator(&root, Some(&ours), &good, mode), &ours, &peer);
                let (one, other) = (open(), open());
                assert!(one.spki(now()).is_ok() && one.recheck(&brought, now()).unwrap().is_valid(), "nothing new");
                // Somebody else with the same device memory is told: about this peer, or about another by a list that has both.
                if by_list {
                    let about = CrlSubject {
                        certificate: &neighbour.certificate,
                        intermediates: &[],
                        anchors: &anchors(&[&root]),
                        at: now(),
                    };
                    keep_crl(provider(), &ours, &list, &about).unwrap();
                } else {
                    let told = validator(&root, Some(&ours), &bad, mode);
                    let told = told.validate(&peer.certificate, &[], None, CheckTime::At(now())).unwrap();
                    assert_eq!(told.report.error().map(|error| error.code()), Some(Code::Revoked));
                }
                assert_eq!(one.spki(now()).unwrap_err().code(), Code::Revoked, "{mode:?} by list: {by_list}");
                assert_eq!(other.recheck(&brought, now()).unwrap_err().code(), Code::Revoked, "{mode:?}");
                assert_eq!(other.spki(now()).unwrap_err().code(), Code::Revoked, "{mode:?}");
            }
        }
    }
}

/// A branch gone bad has filled its part of the record and more; what is met of another CA of that branch then has no room.
struct Full {
    roots: [Party; 2],
    middle: Party,
    ca: Party,
    cross: Party,
    memory: StatusMemory,
}

impl Full {
    fn new() -> Self {
        const MORE_THAN_ANY_BOUND_OF_A_BRANCH: u16 = 700;
        let roots = [Party::root("R0"), Party::root("R1")];
        let middle = roots[0].ca("middle");
        let ca = middle.ca("CA");
        let cross = Builder::ca("CA").key(&ca.key).signed_by(&roots[1]);
        let memory = StatusMemory::new(provider().clone(), Some(store()));
        let digest = provider().digest(DigestAlgorithm::Sha256, &[middle.key.spki()]).unwrap();
        let branch = *digest.first_chunk().unwrap();
        for number in 0..MORE_THAN_ANY_BOUND_OF_A_BRANCH {
            let fact = RevokedFact {
                who: [number.to_be_bytes(); 16].concat().try_into().unwrap(),
                issuer: [number.to_be_bytes(); 4].concat().try_into().unwrap(),
                branch,
                authority: Authority::Issuer,
                source: [7; 32],
                since: None,
                reason: devid::asn1::crl::CrlReason::KeyCompromise,
                made: now(),
                end: later(9_000),
                list: None,
            };
            memory.revoked_facts().note(&fact, Some(now()));
        }
        Full { roots, middle, ca, cross, memory }
    }

    /// The verdict under these anchors by this path.
    fn judge(
        &self,
        anchors: &TrustAnchors,
        sent: &[&Party],
        (crls, ocsp): (&[Arc<Crl>], &[Arc<OcspResponse>]),
        (at, mode): (Time, RevocationMode),
    ) -> Option<Code> {
        let mut status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        self.memory.join(&mut status);
        let pool: Vec<Certificate> = sent[1..].iter().map(|party| party.certificate.clone()).collect();
        let report = validate(&**provider(), anchors, &sent[0].certificate, &pool, &status, &checks(at, mode));
        report.error().map(|error| error.code())
    }
}

#[test]
fn what_had_no_room_is_known_as_lost_on_every_path() {
    let world = Full::new();
    let peer = world.ca.leaf("peer");
    let (ca, middle, cross) = (&world.ca, &world.middle, &world.cross);
    let both = anchors(&[&world.roots[0], &world.roots[1]]);
    let list = [CrlBuilder::of(ca).revokes(&peer).build()];
    let old = [word(&peer, ca, now().plus(-2 * DAY), |single| single)];
    let new = [word(&peer, ca, later(1).plus(-60), |single| single)];
    let soon = (now().plus(3600), RevocationMode::HardFail);
    let of_others = world.roots[0].leaf("other");
    let about_others = [word(&of_others, &world.roots[0], now().plus(-2 * DAY), |single| single)];
    assert_eq!(world.judge(&both, &[&peer, ca, middle], (&[], &old), soon), None, "nobody has said anything yet");
    assert_eq!(world.judge(&both, &[&peer, ca, middle], (&list, &[]), soon), Some(Code::Revoked));
    let alone = anchors(&[ca]);
    let paths: [(&TrustAnchors, &[&Party]); 5] = [
        (&both, &[&peer, ca, middle]),
        (&both, &[&peer, cross]),
        (&both, &[&peer, cross, ca, middle]),
        (&both, &[&peer, ca, cross]),
        (&alone, &[&peer]),
    ];
    for (anchors, sent) in paths {
        let judge = |ocsp, at| world.judge(anchors, sent, (&[], ocsp), (at, RevocationMode::HardFail));
        assert_eq!(judge(&old, soon.0), Some(Code::RevocationUnknown));
        assert_eq!(judge(&new, later(1)), None, "a later word tells");
    }
    assert_eq!(world.judge(&both, &[&of_others], (&[], &about_others), soon), None, "others are not touched");
}

/// Certificates that need no status: that is no permission not to know what was said against them.
#[test]
fn who_needs_no_status_is_refused_where_nobody_can_tell_what_was_said_before() {
    let root = Party::root("Root");
    let unasked = |builder: Builder| builder.with(oid::CE_NO_REV_AVAIL, false, vec![5, 0]).signed_by(&root);
    let responder = Builder::leaf("responder").purposes(&[oid::KP_OCSP_SIGNING]);
    let responder = responder.with(oid::OCSP_NOCHECK, false, vec![5, 0]).signed_by(&root);
    for peer in [unasked(Builder::leaf("peer")), responder] {
        let ours = store();
        let judge = |crls: &[Arc<Crl>], mode| {
            let memory = StatusMemory::new(provider().clone(), Some(ours.clone()));
            let mut status = StatusSources { crls: crls.to_vec(), ..StatusSources::none() };
            memory.join(&mut status);
            validate(&**provider(), &anchors(&[&root]), &peer.certificate, &[], &status, &checks(now(), mode))
        };
        let code = |crls: &[Arc<Crl>], mode| judge(crls, mode).error().map(|error| error.code());
        let [soft, hard] = MODES;
        assert_eq!((code(&[], soft), code(&[], hard)), (None, None), "it needs none");
        assert_eq!(code(&[CrlBuilder::of(&root).revokes(&peer).build()], hard), Some(Code::Revoked));
        assert_eq!((code(&[], soft), code(&[], hard)), (Some(Code::Revoked), Some(Code::Revoked)));
        let whole = ours.blob("revoked").unwrap();
        ours.put_blob("revoked", &whole[..whole.len() - 1]).unwrap();
        assert_eq!(code(&[], hard), Some(Code::RevocationUnknown));
        let report = judge(&[], soft);
        assert!(report.is_valid() && report.findings().iter().any(|found| found.text.contains("record of revoked")));
    }
    let world = Full::new();
    let peer = Builder::leaf("peer").with(oid::CE_NO_REV_AVAIL, false, vec![5, 0]).signed_by(&world.ca);
    let list = [CrlBuilder::of(&world.ca).revokes(&peer).build()];
    let (both, sent) = (anchors(&[&world.roots[0]]), [&peer, &world.ca, &world.middle]);
    let hard = (now(), RevocationMode::HardFail);
    assert_eq!(world.judge(&both, &sent, (&[], &[]), hard), None);
    assert_eq!(world.judge(&both, &sent, (&list, &[]), hard), Some(Code::Revoked));
    assert_eq!(world.judge(&both, &sent, (&[], &[]), hard), Some(Code::RevocationUnknown), "it had no room");
}

/// A genuine list of some time ago, put beside the one of today by whoever carries the document.
#[test]
fn an_older_list_in_the_same_document_takes_nothing_away() {
    const LIST: &str = "http://pki.example/ca.crl";
    let root = Party::root("Root");
    let named = |name: &str| pointing(Builder::leaf(name), &[LIST.to_owned()], &[], &[]).signed_by(&root);
    let (peer, neighbour) = (named("peer"), named("neighbour"));
    let list = |number: u64, from: i64, to: i64| {
        CrlBuilder::of(&root).number(number).times(now().plus(from * DAY), Some(later(to)))
    };
    let (seven, eight) = (list(7, -9, 20).der(), list(8, -2, 2).der());
    let nine = list(9, 2, 20).revokes(&peer).der();
    let document = |lists: &[&Vec<u8>]| -> Vec<u8> {
        lists.iter().flat_map(|list| pem::encode("X509 CRL", list).as_bytes().to_vec()).collect()
    };
    for came in [document(&[&nine]), document(&[&nine, &eight]), document(&[&nine, &seven]), document(&[&seven, &nine])]
    {
        let ours = store();
        let meet = |who: &Party, served: Option<&Vec<u8>>, at: Time, mode| {
            let served = served.cloned();
            let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| match &served {
                Some(bytes) => Ok(Fetched::Document(Document { bytes: bytes.clone(), ..Document::default() })),
                None => Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "nobody")),
            });
            let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), ours.clone());
            let (anchors, known, checks) = (anchors(&[&root]), StatusSources::none(), checks(at, mode));
            let question = devid::client::status::StatusQuestion {
                anchors: &anchors,
                leaf: &who.certificate,
                pool: &[],
                known: &known,
                checks: &checks,
            };
            fetcher.validate(&question, &mut fetch).report.error().map(|error| error.code())
        };
        let hard = RevocationMode::HardFail;
        assert_eq!(meet(&neighbour, Some(&eight), now(), hard), None);
        assert_eq!(meet(&neighbour, Some(&came), later(3), hard), None);
        for mode in MODES {
            assert_eq!(meet(&peer, None, later(4), mode), Some(Code::Revoked), "{mode:?}");
            assert_eq!(meet(&neighbour, None, later(4), mode), None, "{mode:?}");
        }
        let kept = devid::client::status::kept_crls(provider(), &ours).unwrap();
        assert!(kept.iter().all(|list| list.der() != Some(&seven[..])), "the older one is not kept");
    }
}
