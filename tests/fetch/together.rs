//! Several users of one device memory know the same: who has held it open for long no less, and no more, than who opens it now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devid::Code;
use devid::asn1::crl::CrlReason;
use devid::asn1::x509::Certificate;
use devid::client::status::{CrlSubject, StatusMemory, keep_crl};
use devid::store::{MemoryBackend, Store, StoreOptions};
use devid::time::Time;
use devid::validation::{
    Authority, Crl, NameCheck, OcspResponse, PeerKey, PeerRequest, Purpose, Report, RevocationMode, RevokedFact,
    RevokedTable, StatusSources, TrustAnchors,
};

use super::certificates::{Party, now, provider};
use super::kept::Failing;
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{checks, later};

const MODES: [RevocationMode; 2] = [RevocationMode::SoftFail, RevocationMode::HardFail];
const KEY_COMPROMISE: u8 = 1;
const ON_HOLD: u8 = 6;

/// What a peer brings.
type Data<'a> = (&'a [Arc<Crl>], &'a [Arc<OcspResponse>]);

/// One user of a device memory.
struct User(Arc<StatusMemory>);

impl User {
    fn of(store: &Arc<Store>) -> Self {
        User(Arc::new(StatusMemory::new(provider().clone(), Some(store.clone()))))
    }

    fn open(
        &self,
        root: &Party,
        peer: &Certificate,
        (crls, ocsp): Data<'_>,
        (at, mode): (Time, RevocationMode),
    ) -> (Report, Option<PeerKey>) {
        let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
        let request = PeerRequest {
            anchors: &anchors,
            certificate: peer,
            pool: &[],
            status: &StatusSources { crls: crls.to_vec(), ocsp: ocsp.to_vec(), ..StatusSources::none() },
            checks: checks(at, mode),
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        self.0.open_peer(provider(), request).unwrap()
    }

    fn judge(&self, root: &Party, peer: &Certificate, data: Data<'_>, when: (Time, RevocationMode)) -> Option<Code> {
        self.open(root, peer, data, when).0.error().map(|error| error.code())
    }
}

fn memory() -> Arc<Store> {
    Arc::new(Store::in_memory(provider().clone()))
}

/// Small numbers, the same at each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Whoever meets whatever, in any order: the same question has the same answer, by a user from the beginning and by a new one.
#[test]
fn who_was_there_before_knows_what_a_new_one_knows() {
    let root = Party::root("Root");
    let peers: Vec<Party> = (0..3).map(|n| root.leaf(&format!("peer {n}"))).collect();
    let list = |number: u64| {
        let list = CrlBuilder::of(&root).number(number).times(now().plus(-3600 + number as i64), Some(later(9)));
        // One is on hold on each second list, another for good on the last.
        let list = if number % 2 == 0 { list.revokes_for(&peers[0], ON_HOLD) } else { list };
        if number > 8 { list.revokes_for(&peers[1], KEY_COMPROMISE) } else { list }
    };
    let lists: Vec<(Arc<Crl>, Vec<u8>)> = (1..=9).map(|n| (list(n).build(), list(n).der())).collect();
    let word = |peer: &Party, from: i64, on_hold: bool| {
        let single = Single::good(&peer.certificate, &root).times(now().plus(from), Some(later(9)));
        OcspBuilder::by(&root).says(if on_hold { single.revoked(ON_HOLD) } else { single }).build()
    };
    let mut rollbacks = 0;
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let ours = memory();
        let users: Vec<User> = (0..2).map(|_| User::of(&ours)).collect();
        for _ in 0..12 {
            let user = &users[dice.roll(2) as usize];
            let peer = &peers[dice.roll(3) as usize];
            let (crl, der) = &lists[dice.roll(if seed % 3 == 0 { 9 } else { 8 }) as usize];
            let hard = (now(), RevocationMode::HardFail);
            match dice.roll(4) {
                0 => drop(user.judge(&root, &peer.certificate, (std::slice::from_ref(crl), &[]), hard)),
                1 => {
                    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
                    let certificate = &peer.certificate;
                    let about = CrlSubject { certificate, intermediates: &[], anchors: &anchors, at: now() };
                    let _ = keep_crl(provider(), &ours, der, &about);
                }
                kind => {
                    let word = word(peer, -600 + 60 * dice.roll(10) as i64, kind == 2);
                    user.judge(&root, &peer.certificate, (&[], &[word]), hard);
                }
            }
            for peer in &peers {
                let crl = std::slice::from_ref(&lists[dice.roll(9) as usize].0);
                let old = [word(peer, -36_000, false)];
                let brought: [Data<'_>; 3] = [(&[], &[]), (crl, &[]), (&[], &old)];
                for (brought, mode) in brought.into_iter().flat_map(|brought| MODES.map(|mode| (brought, mode))) {
                    let new = User::of(&ours).judge(&root, &peer.certificate, brought, (now(), mode));
                    rollbacks += usize::from(new == Some(Code::CrlRollback));
                    for user in &users {
                        let known = user.judge(&root, &peer.certificate, brought, (now(), mode));
                        assert_eq!(known, new, "seed {seed}, {mode:?}");
                    }
                }
            }
        }
    }
    assert!(rollbacks > 0, "older lists were met");
}

/// The record of one user is full of what has ended by now; another makes room, and writes down who is revoked.
#[test]
fn what_has_ended_takes_no_room_in_who_was_there_before() {
    let root = Party::root("Root");
    let peer = root.leaf("peer");
    let revoked = CrlBuilder::of(&root).number(8).times(later(20), Some(later(29))).revokes(&peer).build();
    let ours = memory();
    let before = User::of(&ours);
    let branch = provider().digest(devid::crypto::DigestAlgorithm::Sha256, &[root.key.spki()]).unwrap();
    let mut full = RevokedTable::default();
    for number in 0..600u16 {
        let fact = RevokedFact {
            who: [number.to_be_bytes(); 16].concat().try_into().unwrap(),
            issuer: [7; 8],
            branch: *branch.first_chunk().unwrap(),
            authority: Authority::Issuer,
            source: [7; 32],
            since: None,
            reason: CrlReason::KeyCompromise,
            made: now(),
            end: later(10),
            list: None,
        };
        full.add(&fact, None);
        before.0.revoked_facts().note(&fact, Some(now()));
    }
    assert!(full.count() < 600, "that is more than there is room for");
    let at = |mode| (later(20), mode);
    let hard = at(RevocationMode::HardFail);
    assert_eq!(User::of(&ours).judge(&root, &peer.certificate, (&[revoked], &[]), hard), Some(Code::Revoked));
    for mode in MODES {
        assert_eq!(before.judge(&root, &peer.certificate, (&[], &[]), at(mode)), Some(Code::Revoked), "{mode:?}");
        assert_eq!(User::of(&ours).judge(&root, &peer.certificate, (&[], &[]), at(mode)), Some(Code::Revoked));
    }
}

/// A peer is open; what revokes it comes while device memory cannot be read for a moment.
#[test]
fn what_cannot_be_read_for_a_moment_is_looked_for_again() {
    #[derive(Clone, Copy, Debug)]
    enum Trouble {
        None,
        /// The list itself is damaged.
        List,
        /// Whether there is something new cannot be told.
        Marks,
    }
    let root = Party::root("Root");
    let (peer, neighbour) = (root.leaf("peer"), root.leaf("neighbour"));
    let single = Single::good(&peer.certificate, &root).times(now().plus(-7200), Some(later(9)));
    let good = [OcspBuilder::by(&root).says(single).build()];
    for revokes in [true, false] {
        for (trouble, mode) in
            [Trouble::None, Trouble::List, Trouble::Marks].into_iter().flat_map(|t| MODES.map(|mode| (t, mode)))
        {
            let (numbers, writing) = (Arc::new(AtomicBool::new(false)), Arc::default());
            let backend = Failing { inner: MemoryBackend::new(), numbers: numbers.clone(), writing };
            let ours = Arc::new(Store::new(Box::new(backend), provider().clone(), StoreOptions::default()));
            let (report, key) = User::of(&ours).open(&root, &peer.certificate, (&[], &good), (now(), mode));
            let key = key.unwrap_or_else(|| panic!("{:?}", report.findings()));
            assert!(key.spki(now()).is_ok());

            let list = CrlBuilder::of(&root).number(8);
            let list = if revokes { list.revokes(&peer) } else { list.revokes(&root) };
            let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
            let about =
                CrlSubject { certificate: &neighbour.certificate, intermediates: &[], anchors: &anchors, at: now() };
            keep_crl(provider(), &ours, &list.der(), &about).unwrap();
            let name = ours.blobs().unwrap().into_iter().find(|name| name.starts_with("status-")).unwrap();
            let whole = ours.blob(&name).unwrap().to_vec();
            let expected = match (trouble, mode) {
                (Trouble::None, _) => None,
                (Trouble::List, mode) => {
                    let mut damaged = whole.clone();
                    damaged.truncate(whole.len() / 2);
                    ours.put_blob(&name, &damaged).unwrap();
                    Some(mode)
                }
                (Trouble::Marks, mode) => {
                    numbers.store(true, Ordering::SeqCst);
                    Some(mode)
                }
            };
            if let Some(mode) = expected {
                for _ in 0..2 {
                    let used = key.spki(now()).map_err(|error| error.code());
                    match mode {
                        RevocationMode::HardFail => {
                            assert_eq!(used.unwrap_err(), Code::RevocationUnknown, "{trouble:?}")
                        }
                        _ => assert!(used.is_ok(), "{trouble:?}"),
                    }
                }
            }
            numbers.store(false, Ordering::SeqCst);
            ours.put_blob(&name, &whole).unwrap();
            for _ in 0..2 {
                let used = key.spki(now()).err().map(|error| error.code());
                assert_eq!(used, revokes.then_some(Code::Revoked), "{trouble:?} {mode:?}");
            }
        }
    }
}

/// The mark that tells of news goes back: its record was damaged and removed, or memory was put back to a copy of before.
#[test]
fn a_mark_that_goes_back_is_news_too() {
    let root = Party::root("Root");
    let (peer, neighbour) = (root.leaf("peer"), root.leaf("neighbour"));
    let anchors: TrustAnchors = std::iter::once(root.certificate.clone()).collect();
    let about = CrlSubject { certificate: &neighbour.certificate, intermediates: &[], anchors: &anchors, at: now() };
    let list = |number: u64| CrlBuilder::of(&root).number(number);
    let single = Single::good(&peer.certificate, &root).times(now().plus(-7200), Some(later(9)));
    let good = [OcspBuilder::by(&root).says(single).build()];
    for (is_back, mode) in [false, true].into_iter().flat_map(|is_back| MODES.map(|mode| (is_back, mode))) {
        let ours = memory();
        for number in 4..8 {
            keep_crl(provider(), &ours, &list(number).der(), &about).unwrap();
        }
        let user = User::of(&ours);
        let (report, key) = user.open(&root, &peer.certificate, (&[], &good), (now(), mode));
        let key = key.unwrap_or_else(|| panic!("{:?}", report.findings()));
        if is_back {
            ours.remove_number("status-mark").unwrap();
        }
        keep_crl(provider(), &ours, &list(50).revokes(&peer).der(), &about).unwrap();
        for user in [&user, &User::of(&ours)] {
            let known = user.judge(&root, &peer.certificate, (&[], &good), (now(), mode));
            assert_eq!(known, Some(Code::Revoked), "back: {is_back}, {mode:?}");
        }
        assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked, "back: {is_back}, {mode:?}");
    }
}
