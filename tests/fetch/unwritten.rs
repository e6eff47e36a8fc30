//! What is found while device memory cannot be written, or by a process that dies over it, is known to all and written down later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use devid::Code;
use devid::asn1::oid;
use devid::client::StatusFetcher;
use devid::client::status::{CrlSubject, StatusMemory, StatusQuestion, keep_crl};
use devid::store::{Backend, DirectoryBackend, DirectoryOptions, Store, StoreError, StoreErrorKind, StoreOptions};
use devid::transport::fetch::Document;
use devid::transport::{ExchangeLimits, FetchFn, FetchRequest, Fetched};
use devid::validation::{NumberedList, RevocationMode, StatusSources};
use zeroize::Zeroizing;

use super::certificates::Builder;
use super::record::{Brought, KEY_COMPROMISE, MODES, NOTHING, World};
use super::status::{CrlBuilder, OcspBuilder, Single};
use super::{checks, code_of, later, now, options, pointing, provider};

/// As many questions as pass at most until it is tried again after few failures.
const FEW: usize = 40;

/// A folder for a device memory, which goes when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("devid-unwritten-{}-{number}", std::process::id())))
    }

    fn open(&self) -> Arc<Store> {
        store(Box::new(self.backend()))
    }

    fn backend(&self) -> DirectoryBackend {
        DirectoryBackend::open(&self.0, DirectoryOptions::default()).unwrap()
    }

    /// What a process finds there that knows nothing of this one.
    fn after_a_restart(&self) -> (Folder, Arc<Store>) {
        let copy = Folder::new();
        copy_folder(&self.0, &copy.0);
        let store = copy.open();
        (copy, store)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn store(backend: Box<dyn Backend>) -> Arc<Store> {
    Arc::new(Store::new(backend, provider().clone(), StoreOptions::default()))
}

fn in_store(world: &World, store: &Arc<Store>) -> World {
    World { root: world.root.clone(), ca: world.ca.clone(), peer: world.peer.clone(), store: store.clone() }
}

/// A peer is found revoked while another process has the lock. Whoever asks the same memory then refuses it, in this process also
/// while it is not written; and it is written by whoever asks next, and refused after a restart.
#[test]
fn a_revocation_that_could_not_be_written_is_known_to_all_and_written_later() {
    for mode in MODES {
        for other_handle in [false, true] {
            let folder = Folder::new();
            let (ours, other) = (folder.open(), folder.open());
            let world = in_store(&World::new(), &ours);
            let hold = other.hold().unwrap();
            let revoking = [world.revoking(KEY_COMPROMISE).build()];
            assert_eq!(world.judge(&Brought { ocsp: &revoking, mode, ..NOTHING }), Some(Code::Revoked));
            assert!(!ours.blobs().unwrap().contains(&"revoked".to_owned()));
            let again = in_store(&world, if other_handle { &other } else { &ours });
            let good = [world.old_good()];
            if !other_handle {
                assert_eq!(again.judge(&Brought { ocsp: &good, mode, ..NOTHING }), Some(Code::Revoked), "not written");
            }
            drop(hold);
            for turn in 0..FEW {
                let (report, _) = again.open(&again.anchors(), again.leaf(), &Brought { ocsp: &good, mode, ..NOTHING });
                assert_eq!(
                    report.error().map(|e| e.code()),
                    Some(Code::Revoked),
                    "{mode:?} {other_handle} {turn} {report:?} {:?}",
                    again.store.blobs()
                );
            }
            let (_copy, restarted) = folder.after_a_restart();
            in_store(&world, &restarted).is_revoked_for_good("after a restart");
        }
    }
}

/// Whoever ends in good order leaves nothing behind that it could write: no further question is needed.
#[test]
fn what_could_not_be_written_is_written_by_the_last_who_knows_it() {
    for mode in MODES {
        let folder = Folder::new();
        let (ours, other) = (folder.open(), folder.open());
        let world = in_store(&World::new(), &ours);
        let memory = Arc::new(StatusMemory::new(provider().clone(), Some(ours.clone())));
        let hold = other.hold().unwrap();
        let revoking = [world.revoking(KEY_COMPROMISE).build()];
        assert_eq!(world.judge(&Brought { ocsp: &revoking, mode, ..NOTHING }), Some(Code::Revoked));
        drop(hold);
        // By a handle that stays: one that goes would write it.
        let is_written = || ours.blobs().unwrap().contains(&"revoked".to_owned());
        assert!(!is_written());
        drop(memory);
        assert!(is_written());
        let (_copy, restarted) = folder.after_a_restart();
        in_store(&world, &restarted).is_revoked_for_good("after a restart");
    }
}

/// Whoever finds it asks nothing more, lets go of the memory and ends: what could not be written is written then. The dark twin: the
/// lock is held until after that. Then it stays known in this process, and who lets go of the memory next writes it.
#[test]
fn what_could_not_be_written_is_written_when_the_memory_is_let_go_of() {
    for mode in MODES {
        for by_another in [false, true] {
            let folder = Folder::new();
            let (ours, other) = (folder.open(), folder.open());
            let world = in_store(&World::new(), &ours);
            let hold = other.hold().unwrap();
            let revoking = [world.revoking(KEY_COMPROMISE).build()];
            assert_eq!(world.judge(&Brought { ocsp: &revoking, mode, ..NOTHING }), Some(Code::Revoked));
            let has_record = || other.blobs().unwrap().contains(&"revoked".to_owned());
            // A clone that goes is not the handle.
            drop(Store::clone(&ours));
            let rest = World { store: other.clone(), ..in_store(&world, &other) };
            if by_another {
                drop((world, ours));
                assert!(!has_record(), "the lock is held");
                drop(hold);
                drop(folder.open());
            } else {
                drop(hold);
                assert!(!has_record(), "nobody has asked");
                drop((world, ours));
            }
            let (_copy, restarted) = folder.after_a_restart();
            in_store(&rest, &restarted).is_revoked_for_good("after a restart");
        }
    }
}

/// It waits for the lock once, whatever is left; and nothing is asked of a memory beside which nothing is left.
#[test]
fn to_let_go_of_a_memory_costs_one_attempt_at_most() {
    let folder = Folder::new();
    let other = folder.open();
    let tries = Arc::new(AtomicI64::new(0));
    let counted = || store(Watched::counting(folder.backend(), &tries));
    let world = in_store(&World::new(), &counted());
    drop(counted());
    assert_eq!(tries.load(Ordering::Relaxed), 0);
    let hold = other.hold().unwrap();
    world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING });
    world.judge(&Brought { crls: &[world.list(KEY_COMPROMISE).number(7).build()], ..NOTHING });
    let before = tries.load(Ordering::Relaxed);
    drop(world);
    assert_eq!(tries.load(Ordering::Relaxed), before + 1);
    drop(hold);
}

/// A directory that counts who wants the lock, and may write so often, then never again.
struct Watched {
    home: DirectoryBackend,
    tries: Arc<AtomicI64>,
    left: AtomicI64,
    /// Not in one that dies: as a process of its own it shares nothing with who else is in the directory.
    tells_home: bool,
}

impl Watched {
    fn counting(home: DirectoryBackend, tries: &Arc<AtomicI64>) -> Box<dyn Backend> {
        Box::new(Watched { home, tries: tries.clone(), left: AtomicI64::new(i64::MAX), tells_home: true })
    }

    fn dying_after(home: DirectoryBackend, writes: i64) -> Box<dyn Backend> {
        Box::new(Watched { home, tries: Arc::default(), left: AtomicI64::new(writes), tells_home: false })
    }
}

impl Backend for Watched {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.home.read(key)
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            ..=0 => Err(StoreError::new(StoreErrorKind::Io, key, "dead")),
            _ => self.home.write(key, bytes),
        }
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        self.home.remove(key, wipe)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.home.list(prefix)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.home.sync()
    }

    fn home(&mut self) -> Option<PathBuf> {
        self.home.home().filter(|_| self.tells_home)
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        self.home.lock()
    }

    fn unlock(&mut self) {
        self.home.unlock();
    }
}

/// The number of a list, and the list, that came while another process had the lock.
#[test]
fn a_list_and_its_number_that_could_not_be_written_are_written_later() {
    let url = "http://crl.example/ca";
    let folder = Folder::new();
    let (ours, other) = (folder.open(), folder.open());
    let world = in_store(&World::new(), &ours);
    let peer = pointing(Builder::leaf("peer"), &[url.to_owned()], &[], &[]).signed_by(&world.ca);
    let neighbour = pointing(Builder::leaf("neighbour"), &[url.to_owned()], &[], &[]).signed_by(&world.ca);
    let list = CrlBuilder::of(&world.ca).number(7).revokes(&peer).der();
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), ours.clone());
    let (anchors, checks) = (world.anchors(), checks(now(), RevocationMode::HardFail));
    let pool = std::slice::from_ref(&world.ca.certificate);
    let ask = |fetcher: &mut StatusFetcher, leaf, served: Option<Vec<u8>>, known: &StatusSources| {
        let mut fetch = FetchFn(move |_: &FetchRequest<'_>, _: &ExchangeLimits| match &served {
            Some(bytes) => Ok(Fetched::Document(Document { bytes: bytes.clone(), ..Document::default() })),
            None => Ok(Fetched::NotModified),
        });
        let question = StatusQuestion { anchors: &anchors, leaf, pool, known, checks: &checks };
        code_of(&fetcher.validate(&question, &mut fetch))
    };
    let none = StatusSources::none();
    let hold = other.hold().unwrap();
    assert_eq!(ask(&mut fetcher, &neighbour.certificate, Some(list), &none), None);
    assert_eq!((ours.blobs().unwrap().len(), ours.number("revoked-mark").unwrap()), (0, None));
    drop(hold);
    for _ in 0..FEW {
        assert_eq!(ask(&mut fetcher, &neighbour.certificate, None, &none), None);
    }
    let (_copy, restarted) = folder.after_a_restart();
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), restarted.clone());
    let older = CrlBuilder::of(&world.ca).number(6);
    assert_eq!(ask(&mut fetcher, &peer.certificate, None, &none), Some(Code::Revoked), "the list is kept");
    for name in restarted.blobs().unwrap() {
        restarted.remove_blob(&name).unwrap();
    }
    restarted.remove_number("status-mark").unwrap();
    let mut fetcher = StatusFetcher::with_store(provider().clone(), options(), restarted.clone());
    let code = ask(&mut fetcher, &peer.certificate, Some(older.der()), &none);
    assert!(matches!(code, Some(Code::CrlRollback | Code::RevocationUnknown)), "its number is kept: {code:?}");
}

/// A number that waits is asked before it is written.
#[test]
fn a_number_that_could_not_be_written_counts() {
    let folder = Folder::new();
    let (ours, other) = (folder.open(), folder.open());
    let note = |store: &Arc<Store>, number: u8| {
        let number = devid::asn1::crl::CrlNumber::from_be_bytes(&[number]);
        let list = NumberedList {
            series: &[5; 32],
            number: Some(&number),
            this_update: now(),
            end: later(9),
            now: None,
            branch: [1; 8],
        };
        StatusMemory::new(provider().clone(), Some(store.clone())).crl_numbers().note(&list)
    };
    use devid::validation::Noted;
    let seven = devid::asn1::crl::CrlNumber::from_be_bytes(&[7]);
    let older = || Noted::Older { highest: seven.clone(), issued: Some(now()) };
    let hold = other.hold().unwrap();
    assert_eq!(note(&ours, 7), Noted::Newest);
    assert_eq!(note(&ours, 6), older());
    drop(hold);
    for _ in 0..FEW {
        assert_eq!(note(&other, 6), older());
    }
    let (_copy, restarted) = folder.after_a_restart();
    assert_eq!(note(&restarted, 6), older());
}

/// Wherever a process dies over writing down a revocation: what it has written, those who were there before know.
#[test]
fn who_was_there_before_knows_what_one_that_died_has_written() {
    let mut outcomes = Vec::new();
    for writes in 0..8 {
        let folder = Folder::new();
        let theirs = in_store(&World::new(), &folder.open());
        let (good, hard) = ([theirs.old_good()], RevocationMode::HardFail);
        let before = Brought { ocsp: &good, mode: hard, ..NOTHING };
        let (_, key) = theirs.open(&theirs.anchors(), theirs.leaf(), &before);
        let key = key.expect("a key");
        let known = Arc::new(StatusMemory::new(provider().clone(), Some(theirs.store.clone())));
        let facts = known.revoked_facts();
        let mark = facts.mark();
        let dying = in_store(&theirs, &store(Watched::dying_after(folder.backend(), writes)));
        dying.judge(&Brought { ocsp: &[theirs.revoking(KEY_COMPROMISE).build()], mode: hard, ..NOTHING });
        drop(dying);
        let is_written = theirs.store.blobs().unwrap().contains(&"revoked".to_owned());
        assert_eq!(key.spki(now()).is_ok(), !is_written, "after {writes} writes");
        assert!(!is_written || facts.mark() != mark);
        let found = theirs.judge(&before);
        assert_eq!(found, is_written.then_some(Code::Revoked), "after {writes} writes");
        outcomes.push(is_written);
    }
    assert!(outcomes.contains(&false) && outcomes.contains(&true));
}

/// The same with a list: it revokes another one, of whom nothing is written down yet.
#[test]
fn who_was_there_before_knows_a_list_that_one_that_died_has_kept() {
    let mut outcomes = Vec::new();
    for writes in 0..16 {
        let folder = Folder::new();
        let theirs = in_store(&World::new(), &folder.open());
        let other = pointing(Builder::leaf("other"), &[], &[], &[]).signed_by(&theirs.ca);
        let single = Single::good(&other.certificate, &theirs.ca).times(now().plus(-36_000), Some(later(60)));
        let good = [OcspBuilder::by(&theirs.ca).says(single).build()];
        let before = Brought { ocsp: &good, mode: RevocationMode::HardFail, ..NOTHING };
        let key = theirs.open(&theirs.anchors(), &other.certificate, &before).1.expect("a key");
        assert!(key.spki(now()).is_ok());
        let dying = store(Watched::dying_after(folder.backend(), writes));
        let (anchors, pool) = (theirs.anchors(), [theirs.ca.certificate.clone()]);
        let about = CrlSubject { certificate: theirs.leaf(), intermediates: &pool, anchors: &anchors, at: now() };
        let list = theirs.list(KEY_COMPROMISE).revokes(&other).number(8).der();
        let _ = keep_crl(provider(), &dying, &list, &about);
        drop(dying);
        let is_kept = theirs.store.blobs().unwrap().iter().any(|name| name.starts_with("status-"));
        assert_eq!(key.spki(now()).is_ok(), !is_kept, "after {writes} writes");
        let found = theirs.open(&anchors, &other.certificate, &before).0.error().map(|error| error.code());
        assert_eq!(found, is_kept.then_some(Code::Revoked), "after {writes} writes");
        outcomes.push(is_kept);
    }
    assert!(outcomes.contains(&false) && outcomes.contains(&true));
}

/// The record changes behind an odd mark: it is seen by who has looked at it before, at the same mark.
#[test]
fn a_record_that_changes_without_its_mark_is_seen() {
    let world = World::new();
    world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING });
    let record = world.store.blob("revoked").unwrap();
    world.store.remove_blob("revoked").unwrap();
    let mark = world.store.number("revoked-mark").unwrap().unwrap();
    assert_eq!(mark, [2]);
    world.store.raise_number("revoked-mark", &[3]).unwrap();
    let good = [world.old_good()];
    let hard = Brought { ocsp: &good, mode: RevocationMode::HardFail, ..NOTHING };
    let (_, key) = world.open(&world.anchors(), world.leaf(), &hard);
    let key = key.expect("a key");
    assert!(key.spki(now()).is_ok());
    world.store.put_blob("revoked", &record).unwrap();
    assert_eq!(key.spki(now()).unwrap_err().code(), Code::Revoked);
    // The next one who notes anything makes it whole.
    world.judge(&Brought { ocsp: &[world.revoking(KEY_COMPROMISE).build()], ..NOTHING });
}

/// That a signer of status data is revoked is written down like anyone else's revocation, though nobody has asked about the signer itself.
#[test]
fn a_signer_that_was_found_revoked_stays_revoked() {
    for with_nocheck in [false, true] {
        for mode in MODES {
            let world = World::new();
            let mut builder = Builder::leaf("Responder").purposes(&[oid::KP_OCSP_SIGNING]);
            if with_nocheck {
                builder = builder.with(oid::OCSP_NOCHECK, false, vec![5, 0]);
            }
            let responder = builder.signed_by(&world.ca);
            let single = || Single::good(world.leaf(), &world.ca).times(now().plus(-60), Some(later(30)));
            let by_thief = [OcspBuilder::delegated(&responder).says(single()).build()];
            let list = [CrlBuilder::of(&world.ca).revokes_for(&responder, KEY_COMPROMISE).build()];
            let by_list = Brought { crls: &list, ocsp: &by_thief, mode, ..NOTHING };
            // The list itself clears the peer.
            assert_eq!(world.judge(&by_list), None);
            let alone = Brought { ocsp: &by_thief, mode: RevocationMode::HardFail, at: later(3), ..NOTHING };
            assert_eq!(world.judge(&alone), Some(Code::RevocationUnknown), "nocheck {with_nocheck}, {mode:?}");
        }
    }
}

/// The same of a signer of lists that its CA's own issuer has certified.
#[test]
fn a_signer_of_lists_that_was_found_revoked_stays_revoked() {
    for mode in MODES {
        let world = World::new();
        let signer = Builder::ca("CA").signed_by(&world.root);
        let by_root = [CrlBuilder::of(&world.root).revokes_for(&signer, KEY_COMPROMISE).build()];
        let by_thief = CrlBuilder::of(&signer).number(9).times(now().plus(-60), Some(later(30))).build();
        let judge = |crls: &[Arc<devid::validation::Crl>], mode, at| {
            let memory = StatusMemory::new(provider().clone(), Some(world.store.clone()));
            let mut status = StatusSources { crls: crls.to_vec(), ..StatusSources::none() };
            memory.join(&mut status);
            let pool = [world.ca.certificate.clone(), signer.certificate.clone()];
            let (anchors, checks) = (world.anchors(), checks(at, mode));
            let report = devid::validation::validate(&**provider(), &anchors, world.leaf(), &pool, &status, &checks);
            report.error().map(|error| error.code())
        };
        judge(&[by_root[0].clone(), by_thief.clone()], mode, now());
        let alone = judge(&[by_thief], RevocationMode::HardFail, later(3));
        assert_eq!(alone, Some(Code::RevocationUnknown), "{mode:?}");
    }
}
