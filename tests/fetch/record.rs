//! The record of who is revoked for good: written by whoever sees it first, asked first by all, and taken away by nothing.

use std::sync::Arc;

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::client::StatusFetcher;
use devid::client::status::{CrlSubject, OcspNonce, StatusMemory, StatusQuestion, keep_crl};
use devid::client::validator::Validator;
use devid::store::Store;
use devid::time::Time;
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched, Phase, TransportError, TransportErrorKind};
use devid::validation::{
    CheckTime, Checks, Crl, NameCheck, OcspResponse, PeerKey, PeerRequest, Purpose, Report, RevocationMode,
    StatusSources, TrustAnchors,
};

use super::certificates::{Builder, Party};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{checks, code_of, later, now, options, pointing, provider};

/// Who is known to be revoked is so in all of them.
pub(super) const MODES: [RevocationMode; 3] = [RevocationMode::Off, RevocationMode::SoftFail, RevocationMode::HardFail];
const RESPONDER: &str = "http://ocsp.example/";
pub(super) const KEY_COMPROMISE: u8 = 1;
pub(super) const ON_HOLD: u8 = 6;

/// A root, a CA, a peer of the CA, and a device with memory.
pub(super) struct World {
    pub root: Party,
    pub ca: Party,
    pub peer: Party,
    pub store: Arc<Store>,
}

/// What is brought to a validation, and when it is.
pub(super) struct Brought<'a> {
    pub crls: &'a [Arc<Crl>],
    pub ocsp: &'a [Arc<OcspResponse>],
    pub mode: RevocationMode,
    pub at: Time,
}

pub(super) const NOTHING: Brought<'_> =
    Brought { crls: &[], ocsp: &[], mode: RevocationMode::SoftFail, at: Time::FOREVER };

impl World {
    pub fn new() -> Self {
        let root = Party::root("Root");
        let ca = root.ca("CA");
        let peer = pointing(Builder::leaf("peer"), &[], &[RESPONDER.to_owned()], &[]).signed_by(&ca);
        World { root, ca, peer, store: Arc::new(Store::in_memory(provider().clone())) }
    }

    pub fn leaf(&self) -> &Certificate {
        &self.peer.certificate
    }

    pub fn anchors(&self) -> TrustAnchors {
        std::iter::once(self.root.certificate.clone()).collect()
    }

    /// In a new process, by what device memory holds and what is brought.
    pub fn open(&self, anchors: &TrustAnchors, leaf: &Certificate, brought: &Brought<'_>) -> (Report, Option<PeerKey>) {
        let memory = Arc::new(StatusMemory::new(provider().clone(), Some(self.store.clone())));
        let Brought { crls, ocsp, mode, at } = brought;
        let status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        let at = if *at == Time::FOREVER { now() } else { *at };
        let request = PeerRequest {
            anchors,
            certificate: leaf,
            pool: std::slice::from_ref(&self.ca.certificate),
            status: &status,
            checks: checks(at, *mode),
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        memory.open_peer(provider(), request).unwrap()
    }

    pub fn judge(&self, brought: &Brought<'_>) -> Option<Code> {
        self.open(&self.anchors(), self.leaf(), brought).0.error().map(|error| error.code())
    }

    /// A genuine word from before the revocation, good for long.
    pub fn old_good(&self) -> Arc<OcspResponse> {
        let single = Single::good(self.leaf(), &self.ca).times(now().plus(-36_000), Some(later(60)));
        OcspBuilder::by(&self.ca).says(single).build()
    }

    pub fn revoking(&self, reason: u8) -> OcspBuilder {
        OcspBuilder::by(&self.ca).says(Single::good(self.leaf(), &self.ca).revoked(reason))
    }

    pub fn list(&self, reason: u8) -> CrlBuilder {
        CrlBuilder::of(&self.ca).revokes_for(&self.peer, reason)
    }

    /// Nothing that is brought makes the peer good again, however it is asked.
    pub fn is_revoked_for_good(&self, what: &str) {
        let good = [self.old_good()];
        let clear = [CrlBuilder::of(&self.ca).number(99).times(now().plus(-60), Some(later(60))).build()];
        for mode in MODES {
            for at in [now(), later(30)] {
                for (crls, ocsp) in [(&[][..], &[][..]), (&[], &good), (&clear, &[]), (&clear, &good)] {
                    let brought = Brought { crls, ocsp, mode, at };
                    assert_eq!(self.judge(&brought), Some(Code::Revoked), "{what}, {mode:?} at {at}");
                }
            }
            let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), self.store.clone());
            fetcher.options_mut().nonce = OcspNonce::Unused;
            let single = Single::good(self.leaf(), &self.ca).times(now().plus(-60), Some(later(60)));
            let newer = OcspBuilder::by(&self.ca).says(single).der();
            let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| {
                Ok(Fetched::Document(Document { bytes: newer.clone(), ..Document::default() }))
            });
            let (anchors, known, checks) = (self.anchors(), StatusSources::none(), checks(now(), mode));
            let pool = std::slice::from_ref(&self.ca.certificate);
            let question =
                StatusQuestion { anchors: &anchors, leaf: self.leaf(), pool, known: &known, checks: &checks };
            assert_eq!(code_of(&fetcher.validate(&question, &mut fetch)), Some(Code::Revoked), "{what}, fetched");
        }
        let mut validator = Validator::new(self.anchors());
        validator.set_memory(self.store.clone());
        validator.clear_status();
        validator.checks = checks(now(), RevocationMode::SoftFail);
        (validator.purpose, validator.names) = (Some(Purpose::Any), Some(NameCheck::NotChecked));
        let pool = std::slice::from_ref(&self.ca.certificate);
        let verdict = validator.validate(self.leaf(), pool, None, CheckTime::At(now())).unwrap();
        assert_eq!(verdict.report.error().map(|e| e.code()), Some(Code::Revoked), "{what}, validator");
    }
}

#[test]
fn whoever_sees_a_revocation_first_writes_it_down_for_all() {
    let world = World::new();
    assert_eq!(world.judge(&NOTHING), None);
    assert_eq!(world.judge(&Brought { ocsp: &[world.old_good()], mode: RevocationMode::HardFail, ..NOTHING }), None);

    let world = World::new();
    let stapled = [world.revoking(KEY_COMPROMISE).build()];
    assert_eq!(world.judge(&Brought { ocsp: &stapled, ..NOTHING }), Some(Code::Revoked));
    world.is_revoked_for_good("a peer's own staple");

    let world = World::new();
    let lists = [world.list(KEY_COMPROMISE).build()];
    assert_eq!(world.judge(&Brought { crls: &lists, ..NOTHING }), Some(Code::Revoked));
    world.is_revoked_for_good("a list at hand");

    let world = World::new();
    let anchors = world.anchors();
    let about = CrlSubject {
        certificate: world.leaf(),
        intermediates: std::slice::from_ref(&world.ca.certificate),
        anchors: &anchors,
        at: now(),
    };
    let kept = keep_crl(provider(), &world.store, &world.list(KEY_COMPROMISE).der(), &about);
    assert_eq!(kept.unwrap_err().code(), Code::Revoked);
    for name in world.store.blobs().unwrap().iter().filter(|name| name.starts_with("status-")) {
        world.store.remove_blob(name).unwrap();
    }
    world.is_revoked_for_good("a list that was put there, and is gone by now");
}

#[test]
fn a_hold_lasts_until_a_later_word_and_no_longer() {
    let hours = |hours: i64| now().plus(hours * 3600);
    for by_list in [true, false] {
        for mode in MODES {
            let world = World::new();
            let single = |from: i64| Single::good(world.leaf(), &world.ca).times(hours(from), Some(later(60)));
            let list = |from: i64| CrlBuilder::of(&world.ca).number(7).times(hours(from), Some(later(60)));
            let (crls, ocsp) = match by_list {
                true => (vec![list(-3).revokes_for(&world.peer, ON_HOLD).build()], vec![]),
                false => (vec![], vec![OcspBuilder::by(&world.ca).says(single(-3).revoked(ON_HOLD)).build()]),
            };
            let judge =
                |crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>]| world.judge(&Brought { crls, ocsp, mode, at: now() });
            assert_eq!(judge(&crls, &ocsp), Some(Code::Revoked), "{mode:?}");
            let older = [OcspBuilder::by(&world.ca).says(single(-3)).build()];
            for _ in 0..2 {
                assert_eq!(judge(&[], &[]), Some(Code::Revoked), "{mode:?}: nothing newer has lifted it");
                assert_eq!(judge(&[], &older), Some(Code::Revoked), "{mode:?}");
                assert_eq!(judge(&[list(-4).build()], &[]), Some(Code::Revoked), "{mode:?}");
                let forged = CrlBuilder::of(&Party::root("CA")).number(99).times(hours(-1), Some(later(60))).build();
                assert_eq!(judge(&[forged], &older), Some(Code::Revoked), "{mode:?}");
            }
            // The other kind of source lifts it too.
            let newer = [OcspBuilder::by(&world.ca).says(single(-2)).build()];
            match by_list {
                true => assert_eq!(judge(&[], &newer), None, "{mode:?}"),
                false => assert_eq!(judge(&[list(-2).number(8).build()], &[]), None, "{mode:?}"),
            }
            assert_eq!(judge(&[], &older), None, "{mode:?}: it has been lifted");
        }
    }
}

/// A list and the delta that takes a certificate off it again.
#[test]
fn a_delta_lifts_a_hold_that_was_written_down() {
    let world = World::new();
    let base = world.list(ON_HOLD).number(7).times(now().plus(-7200), Some(later(9))).build();
    const REMOVE_FROM_CRL: u8 = 8;
    let delta = CrlBuilder::of(&world.ca).number(8).delta_to(7).times(now().plus(-60), Some(later(9)));
    let delta = delta.revokes_for(&world.peer, REMOVE_FROM_CRL).build();
    for mode in MODES {
        assert_eq!(world.judge(&Brought { crls: std::slice::from_ref(&base), mode, ..NOTHING }), Some(Code::Revoked));
        assert_eq!(world.judge(&Brought { crls: &[base.clone(), delta.clone()], mode, ..NOTHING }), None);
    }
}

#[test]
fn a_forged_word_is_not_written_down() {
    let world = World::new();
    let stranger = Party::root("CA");
    let forged = CrlBuilder::of(&stranger).revokes(&world.peer).build();
    let also = OcspBuilder::by(&stranger).says(Single::good(world.leaf(), &world.ca).revoked(1)).build();
    assert_eq!(world.judge(&Brought { crls: &[forged], ocsp: &[also], ..NOTHING }), None);
    assert_eq!(world.judge(&Brought { ocsp: &[world.old_good()], mode: RevocationMode::HardFail, ..NOTHING }), None);
    assert!(!world.store.blobs().unwrap().contains(&"revoked".to_owned()));

    // On hold by one, for good by another, in whatever order they are looked at.
    for (crl, ocsp) in [(ON_HOLD, KEY_COMPROMISE), (KEY_COMPROMISE, ON_HOLD)] {
        let world = World::new();
        let both = Brought { crls: &[world.list(crl).build()], ocsp: &[world.revoking(ocsp).build()], ..NOTHING };
        assert_eq!(world.judge(&both), Some(Code::Revoked));
        world.is_revoked_for_good("on hold, and for good");
    }
    let world = World::new();
    let lists = [world.list(ON_HOLD).number(9).build(), world.list(KEY_COMPROMISE).number(8).build()];
    assert_eq!(world.judge(&Brought { crls: &lists, ..NOTHING }), Some(Code::Revoked));
    world.is_revoked_for_good("two lists");
}

/// What a document says for good is not hidden by a hold that stands before it, nor by one in another that belongs to it.
#[test]
fn the_strongest_of_several_words_counts_in_any_order() {
    for (a, b) in [(ON_HOLD, KEY_COMPROMISE), (KEY_COMPROMISE, ON_HOLD)] {
        for form in 0..5 {
            let world = World::new();
            let list = || CrlBuilder::of(&world.ca).number(7);
            let delta = |number| CrlBuilder::of(&world.ca).number(number).delta_to(7);
            let single = |reason| Single::good(world.leaf(), &world.ca).revoked(reason);
            let (crls, ocsp) = match form {
                0 => (vec![list().revokes_for(&world.peer, a).revokes_for(&world.peer, b)], Vec::new()),
                1 => (vec![list().revokes_for(&world.peer, a), delta(8).revokes_for(&world.peer, b)], Vec::new()),
                2 => {
                    let deltas = [delta(8).revokes_for(&world.peer, a), delta(9).revokes_for(&world.peer, b)];
                    (std::iter::once(list()).chain(deltas).collect(), Vec::new())
                }
                3 => (vec![delta(8).revokes_for(&world.peer, a), delta(9).revokes_for(&world.peer, b)], Vec::new()),
                _ => (Vec::new(), vec![OcspBuilder::by(&world.ca).says(single(a)).says(single(b)).build()]),
            };
            let crls: Vec<Arc<Crl>> = crls.into_iter().map(CrlBuilder::build).collect();
            assert_eq!(world.judge(&Brought { crls: &crls, ocsp: &ocsp, ..NOTHING }), Some(Code::Revoked));
            world.is_revoked_for_good(&format!("form {form}, {a} before {b}"));
        }
    }
}

#[test]
fn a_fact_is_about_one_issuer_and_number_whatever_the_form_of_the_certificate() {
    let world = World::new();
    let lists = [world.list(KEY_COMPROMISE).build()];
    world.judge(&Brought { crls: &lists, ..NOTHING });
    // The same number by a CA of the same name with another key, and another number by the same CA.
    let other_ca = world.root.ca("CA");
    let mut other = Builder::leaf("other");
    other.serial = world.leaf().serial().to_vec();
    let same_number = other.signed_by(&other_ca).certificate;
    let neighbour = Builder::leaf("neighbour").signed_by(&world.ca).certificate;
    let elsewhere =
        World { ca: other_ca, store: world.store.clone(), root: world.root.clone(), peer: world.peer.clone() };
    let is_valid = |world: &World, leaf| world.open(&world.anchors(), leaf, &NOTHING).0.is_valid();
    assert!(is_valid(&elsewhere, &same_number));
    assert!(is_valid(&world, &neighbour));
    // The CA's certificate made anew for the same key: the same issuer.
    let renewed = Builder::ca("CA").key(&world.ca.key).signed_by(&world.root);
    let again = World { ca: renewed, store: world.store.clone(), root: world.root.clone(), peer: world.peer.clone() };
    assert!(!is_valid(&again, world.leaf()));
}

#[test]
fn the_word_of_another_anchor_counts_where_that_anchor_is_believed() {
    let world = World::new();
    let supplier = Party::root("Supplier");
    // The supplier certifies a signer of the CA's name: where it is an anchor, whom it revokes is refused.
    let signer = Builder::ca("CA").signed_by(&supplier);
    let list = CrlBuilder::of(&signer).revokes(&world.peer).build();
    list_with_signer(&world, &list, &signer, &supplier);
    let both: TrustAnchors = [&world.root, &supplier].into_iter().map(|p| p.certificate.clone()).collect();
    assert!(!world.open(&both, world.leaf(), &NOTHING).0.is_valid(), "it was written down");
    assert!(world.open(&world.anchors(), world.leaf(), &NOTHING).0.is_valid(), "not for those who do not believe it");
}

fn list_with_signer(world: &World, list: &Arc<Crl>, signer: &Party, supplier: &Party) {
    let memory = StatusMemory::new(provider().clone(), Some(world.store.clone()));
    let mut status = StatusSources { crls: vec![list.clone()], ..StatusSources::none() };
    memory.join(&mut status);
    let both: TrustAnchors = [&world.root, supplier].into_iter().map(|p| p.certificate.clone()).collect();
    let pool = [world.ca.certificate.clone(), signer.certificate.clone()];
    let checks: Checks = checks(now(), RevocationMode::SoftFail);
    let report = devid::validation::validate(&**provider(), &both, world.leaf(), &pool, &status, &checks);
    assert_eq!(report.error().map(|error| error.code()), Some(Code::Revoked));
}

#[test]
fn an_open_key_closes_when_another_process_writes_down_that_the_peer_is_revoked() {
    let world = World::new();
    let good = [world.old_good()];
    let (_, key) =
        world.open(&world.anchors(), world.leaf(), &Brought { ocsp: &good, mode: RevocationMode::HardFail, ..NOTHING });
    let key = key.expect("a key");
    assert!(key.spki(now()).is_ok());
    assert_eq!(
        world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING }),
        Some(Code::Revoked)
    );
    assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked);
    assert_eq!(
        key.recheck(&StatusSources { ocsp: good.to_vec(), ..StatusSources::none() }, now()).unwrap_err().code(),
        Code::Revoked
    );
}

#[test]
fn a_record_that_cannot_be_read_clears_nobody_and_is_not_mended_away() {
    let world = World::new();
    world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING });
    let whole = world.store.blob("revoked").unwrap();
    world.store.put_blob("revoked", &whole[..whole.len() - 1]).unwrap();
    let good = [world.old_good()];
    let hard = Brought { ocsp: &good, mode: RevocationMode::HardFail, ..NOTHING };
    assert_eq!(world.judge(&hard), Some(Code::RevocationUnknown));
    let (soft, _) = world.open(&world.anchors(), world.leaf(), &Brought { mode: RevocationMode::SoftFail, ..hard });
    assert!(soft.is_valid());
    assert!(soft.findings().iter().any(|found| found.text.contains("record of revoked")), "{soft:?}");
    // The owner's way back.
    world.store.remove_blob("revoked").unwrap();
    assert_eq!(world.judge(&hard), None);
    // What comes anew is told, does not take the place of what cannot be read, and is written once it can be.
    world.store.put_blob("revoked", &whole[..whole.len() - 1]).unwrap();
    world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING });
    assert_eq!(world.store.blob("revoked").unwrap().len(), whole.len() - 1);
    world.store.remove_blob("revoked").unwrap();
    assert_eq!([(); 40].map(|()| world.judge(&hard)), [Some(Code::Revoked); 40]);
    assert_eq!(world.store.blob("revoked").unwrap(), whole);
}

/// Whoever stands below a partner CA fills what room it has: who has none is not forgotten, and nobody else's is touched.
#[test]
fn a_full_record_clears_nobody_by_a_word_from_before() {
    const OF_ONE_BRANCH: usize = 512;
    let world = World::new();
    let partner = world.root.ca("partner");
    let ours = World { root: world.root.clone(), ..World::new() };
    let ours = World { ca: ours.root.ca("CA"), ..ours };
    let peer = pointing(Builder::leaf("peer"), &[], &[RESPONDER.to_owned()], &[]).signed_by(&ours.ca);
    let ours = World { peer, store: world.store.clone(), ..ours };
    let subs: Vec<Party> = (0..4).map(|n| partner.ca(&format!("S{n}"))).collect();
    let memory = StatusMemory::new(provider().clone(), Some(world.store.clone()));
    let anchors = world.anchors();
    let meet = |peer: &Party, ca: &Party, crls: &[Arc<Crl>], ocsp: &[Arc<OcspResponse>], mode| {
        let mut status = StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() };
        memory.join(&mut status);
        let pool = [ca.certificate.clone(), partner.certificate.clone()];
        let report = devid::validation::validate(
            &**provider(),
            &anchors,
            &peer.certificate,
            &pool,
            &status,
            &checks(now(), mode),
        );
        report.error().map(|error| error.code())
    };
    for number in 0..=OF_ONE_BRANCH {
        let ca = &subs[number % subs.len()];
        let peer = ca.leaf("peer");
        let list = [CrlBuilder::of(ca).revokes(&peer).build()];
        assert_eq!(meet(&peer, ca, &list, &[], RevocationMode::SoftFail), Some(Code::Revoked));
    }
    let troubles = memory.take_troubles();
    assert!(troubles.iter().any(|error| error.code() == Code::Limit), "it is told: {troubles:?}");
    // The last one had no room: its issuer's good words from before clear nobody where a status is needed, newer ones do.
    let ca = &subs[OF_ONE_BRANCH % subs.len()];
    let other = ca.leaf("other");
    let word = |from: i64| {
        let single = Single::good(&other.certificate, ca).times(now().plus(from), Some(later(9)));
        [OcspBuilder::by(ca).says(single).build()]
    };
    let hard = RevocationMode::HardFail;
    assert_eq!(meet(&other, ca, &[], &word(-90_000), hard), Some(Code::RevocationUnknown));
    assert_eq!(meet(&other, ca, &[], &word(-60), hard), None);
    // Others have their room.
    assert_eq!(ours.judge(&Brought { crls: &[ours.list(KEY_COMPROMISE).build()], ..NOTHING }), Some(Code::Revoked));
    assert_eq!(ours.judge(&Brought { ocsp: &[ours.old_good()], mode: hard, ..NOTHING }), Some(Code::Revoked));
    let next = ours.ca.leaf("next");
    let single = Single::good(&next.certificate, &ours.ca).times(now().plus(-90_000), Some(later(9)));
    assert_eq!(meet(&next, &ours.ca, &[], &[OcspBuilder::by(&ours.ca).says(single).build()], hard), None);
}

/// Series of lists without number fill the memory of numbers; it never lets an older list through for that.
#[test]
fn a_full_memory_of_numbers_refuses_and_forgets_only_what_has_ended() {
    const SERIES: usize = 512;
    let world = World::new();
    let memory = StatusMemory::new(provider().clone(), Some(world.store.clone()));
    let numbers = memory.crl_numbers();
    let number = |n: u64| devid::asn1::crl::CrlNumber::from_be_bytes(&n.to_be_bytes());
    let note = |of: usize, n: u64, end: Time, at: Time| {
        let mut series = [0; 32];
        series[..8].copy_from_slice(&of.to_be_bytes());
        let branch = (of as u64 / 100).to_be_bytes();
        let (number, at) = (number(n), Some(at));
        let list = devid::validation::NumberedList {
            series: &series,
            number: Some(&number),
            this_update: now(),
            end,
            now: at,
            branch,
        };
        numbers.note(&list)
    };
    use devid::validation::Noted;
    for of in 0..SERIES {
        assert_eq!(note(of, 5, later(if of == 7 { 1 } else { 9 }), now()), Noted::Newest);
    }
    assert!(matches!(note(SERIES, 5, later(9), later(1)), Noted::Unknown(_)));
    assert_eq!(note(3, 4, later(9), later(1)), Noted::Older { highest: number(5), issued: Some(now()) });
    assert_eq!(note(SERIES, 5, later(9), later(2)), Noted::Newest, "one has ended by then");
    let restarted = StatusMemory::new(provider().clone(), Some(world.store.clone())).crl_numbers();
    let mut series = [0; 32];
    series[..8].copy_from_slice(&SERIES.to_be_bytes());
    let (four, end, at) = (number(4), later(9), Some(now()));
    let branch = [7; 8];
    let older = devid::validation::NumberedList {
        series: &series,
        number: Some(&four),
        this_update: now(),
        end,
        now: at,
        branch,
    };
    assert_eq!(restarted.note(&older), Noted::Older { highest: number(5), issued: Some(now()) });
    let count = world.store.blobs().unwrap().len();
    assert_eq!(count, 0, "numbers are no documents");
}

/// Others' responses and lists do not take the places of those that are kept.
#[test]
fn documents_of_another_ca_do_not_take_the_place_of_one_that_holds() {
    let world = World::new();
    let anchors = world.anchors();
    let pool = std::slice::from_ref(&world.ca.certificate);
    let about = CrlSubject { certificate: world.leaf(), intermediates: pool, anchors: &anchors, at: now() };
    let keep = |list: &[u8]| keep_crl(provider(), &world.store, list, &about).map_err(|error| error.code());
    assert_eq!(keep(&world.list(ON_HOLD).number(8).der()), Err(Code::Revoked));
    let held = || MODES.map(|mode| world.judge(&Brought { mode, ..NOTHING }));
    assert_eq!(held(), MODES.map(|_| Some(Code::Revoked)));

    // Nobody's list, though it names the genuine one's key; and a genuine list beside it.
    let stranger = Party::root("CA");
    let mut forged = CrlBuilder::of(&stranger).number(99_999);
    forged.authority_key_identifier = false;
    let name = devid::asn1::der::sequence(&[&devid::asn1::der::element(
        0x80,
        &[&crate::certificates::key_id(world.ca.key.spki())],
    )]);
    let forged = forged.with(devid::asn1::oid::CE_AUTHORITY_KEY_IDENTIFIER, false, name).der();
    keep(&forged).unwrap_err();
    let pem = |der: &[u8]| devid::asn1::pem::encode("X509 CRL", der).to_string();
    let genuine = CrlBuilder::of(&world.ca).number(7).times(now().plus(-3600), Some(later(9))).der();
    keep((pem(&genuine) + &pem(&forged)).as_bytes()).unwrap_err();
    assert_eq!(held(), MODES.map(|_| Some(Code::Revoked)));
    // The later list of the series lifts it, as before.
    assert_eq!(keep(&CrlBuilder::of(&world.ca).number(9).times(now(), Some(later(2))).der()), Ok(()));
    assert_eq!(held(), MODES.map(|_| None));
}

/// A fetcher and a validator with memories of their own: both are asked, and both are told.
#[test]
fn two_memories_know_what_either_knows() {
    let world = World::new();
    let stores = [(); 2].map(|()| Arc::new(Store::in_memory(provider().clone())));
    let (anchors, pool) = (world.anchors(), [world.ca.certificate.clone()]);
    let ask = |fetchers: &Arc<Store>, validators: Option<&Arc<Store>>, ocsp: &[Arc<OcspResponse>], mode| {
        let mut known = StatusSources { ocsp: ocsp.to_vec(), ..StatusSources::none() };
        if let Some(store) = validators {
            StatusMemory::new(provider().clone(), Some(store.clone())).join(&mut known);
        }
        let checks = checks(now(), mode);
        let question =
            StatusQuestion { anchors: &anchors, leaf: world.leaf(), pool: &pool, known: &known, checks: &checks };
        let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), fetchers.clone());
        let mut nobody = FetchFn(|_: &FetchRequest<'_>, _: &ExchangeLimits| {
            Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "no network"))
        });
        code_of(&fetcher.validate(&question, &mut nobody))
    };
    let (good, revoked) = ([world.old_good()], [world.revoking(KEY_COMPROMISE).build()]);
    let [a, b] = &stores;
    for mode in MODES {
        assert_eq!(ask(a, Some(b), &good, mode), None, "{mode:?}");
    }
    assert_eq!(ask(a, None, &revoked, RevocationMode::SoftFail), Some(Code::Revoked));
    for mode in MODES {
        assert_eq!(ask(b, None, &good, mode), None, "{mode:?}: the other has not heard of it");
        assert_eq!(ask(a, Some(b), &good, mode), Some(Code::Revoked), "{mode:?}: asked");
    }
    assert_eq!(ask(a, Some(b), &revoked, RevocationMode::SoftFail), Some(Code::Revoked));
    let third = Arc::new(Store::in_memory(provider().clone()));
    assert_eq!(ask(&third, Some(&third), &revoked, RevocationMode::SoftFail), Some(Code::Revoked));
    for mode in MODES {
        assert_eq!(ask(&third, None, &good, mode), Some(Code::Revoked), "{mode:?}: told");
    }
}

/// A partner that makes a series of numbers by each scope that it thinks of: it has its part of the memory, and no more.
#[test]
fn a_partner_that_fills_the_memory_of_numbers_shuts_nobody_else_out() {
    let world = World::new();
    let partner = world.root.ca("partner");
    let theirs = Builder::leaf("theirs").signed_by(&partner);
    let anchors = world.anchors();
    let meet = |peer: &Party, ca: &Party, crls: &[Arc<Crl>]| {
        let memory = StatusMemory::new(provider().clone(), Some(world.store.clone()));
        let mut status = StatusSources { crls: crls.to_vec(), ..StatusSources::none() };
        memory.join(&mut status);
        let pool = [ca.certificate.clone()];
        let checks = checks(now(), RevocationMode::HardFail);
        let report = devid::validation::validate(&**provider(), &anchors, &peer.certificate, &pool, &status, &checks);
        report.error().map(|error| error.code())
    };
    for round in 0..5 {
        let lists: Vec<Arc<Crl>> = (0..40)
            .map(|n| {
                let name = crate::certificates::directory(partner.certificate.subject());
                let names = [name, crate::certificates::uri(&format!("http://x.example/{round}/{n}"))];
                CrlBuilder::of(&partner).scope(&[crate::status::point_name(&names)]).build()
            })
            .collect();
        meet(&theirs, &partner, &lists);
    }
    let lists = |number| [CrlBuilder::of(&world.ca).number(number).build()];
    assert_eq!(meet(&partner.leaf("other"), &partner, &[CrlBuilder::of(&partner).build()]), Some(Code::CrlRollback));
    assert_eq!(meet(&world.peer, &world.ca, &lists(8)), None);
    assert_eq!(meet(&world.peer, &world.ca, &lists(7)), Some(Code::CrlRollback), "and is guarded");
}
