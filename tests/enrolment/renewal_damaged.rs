//! One damaged file of device memory, whichever it is, does not end a device: an identity stays in use or comes back, a next date stands,
//! and what is wrong is told with what to do about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use devid::Code;
use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Alarm, Done, Report, Standing};
use devid::client::{Config, Step};
use devid::store::{AnchorSet, KeySecret, Store, StoreOptions};
use zeroize::Zeroizing;

use crate::certificates::provider;
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

const DAMAGES: [&str; 5] = ["missing", "empty", "half", "garbage", "a byte"];

/// What device memory is about when the damage is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is under way.
    Idle,
    /// A key update waits at the CA.
    Waits,
    /// A certificate is issued and not confirmed.
    Staged,
}

/// A device in a folder of its own with two generations and no credential but its identity.
struct Bench {
    world: World,
    folder: PathBuf,
    is_sealed: bool,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new(name: &str, is_sealed: bool, state: State) -> Self {
        // Thousands of syncs: in memory where there is such a file system.
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("devid-damaged-{name}-{is_sealed}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut world = World::new(true);
        // Early enough for the generation before to be valid still.
        world.planner.policy.share_permille = 400;
        let root = world.ca.root.certificate.clone();
        world.store = open(&folder.join("memory"), is_sealed);
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment, AnchorSet::Tls, AnchorSet::Peer] {
            world.store.set_anchors(set, std::slice::from_ref(&root)).unwrap();
        }
        world.until_installed(Odd::Right, 0, "the first");
        // The secret was for one use; the settings know whom to trust.
        world.config = Config::new();
        world.config.cmp_anchors.add(root.clone());
        world.config.enrolment_anchors.add(root);
        let mut bench = Bench { world, folder, is_sealed };
        bench.wait_for_renewal();
        bench.world.until_installed(Odd::Right, 0, "the second");
        if state != State::Idle {
            bench.wait_for_renewal();
            match state {
                State::Waits => bench.world.lets_wait = (1, 600),
                _ => bench.world.loses = Some(BodyType::CERTCONF),
            }
            let report = bench.run();
            bench.world.later(i64::from(report.wait_seconds));
        }
        assert_eq!(bench.world.store.current("router").unwrap().generation, 2);
        bench
    }

    fn wait_for_renewal(&mut self) {
        let now = self.world.truth.get();
        let due = self.world.planner.plan(&self.world.store, "router", Some(now)).unwrap().renewal_at.unwrap();
        self.world.later(due.since(now) + 3600);
    }

    fn run(&mut self) -> Report {
        let now = self.world.truth.get();
        self.world.run(Some(now))
    }

    fn files(&self) -> Vec<String> {
        let memory = self.folder.join("memory");
        let mut names: Vec<String> = files_below(&memory)
            .iter()
            .map(|path| path.strip_prefix(&memory).unwrap().to_str().unwrap().to_owned())
            .filter(|name| !name.starts_with("lock") && !name.contains(".tmp-"))
            .collect();
        names.sort();
        names
    }

    /// The same device with one file damaged, while `work` looks at it.
    fn damaged(&mut self, file: &str, damage: &str, work: impl FnOnce(&mut World, &str)) {
        let (copy, truth) = (self.folder.join("copy"), self.world.truth.get());
        let _ = fs::remove_dir_all(&copy);
        copy_folder(&self.folder.join("memory"), &copy);
        break_file(&copy.join(file), damage);
        let transactions = self.world.ca.transactions();
        let kept = std::mem::replace(&mut self.world.store, open(&copy, self.is_sealed));
        self.world.asked.clear();
        work(&mut self.world, &format!("{file}: {damage}, sealed: {}", self.is_sealed));
        self.world.store = kept;
        self.world.ca.go_back_to(transactions);
        self.world.truth.set(truth);
    }
}

fn open(path: &Path, is_sealed: bool) -> Store {
    let secret: KeySecret = Arc::new(|| Ok(Zeroizing::new(b"unique to this device".to_vec())));
    let options =
        StoreOptions { key_secret: is_sealed.then_some(secret), key_iterations: 1000, ..StoreOptions::default() };
    Store::open_directory(path, provider().clone(), options).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// With the access rights, which device memory looks at.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn break_file(path: &Path, damage: &str) {
    let mut bytes = fs::read(path).unwrap();
    match damage {
        "missing" => return fs::remove_file(path).unwrap(),
        "empty" => bytes.clear(),
        "half" => bytes.truncate(bytes.len() / 2),
        "garbage" => bytes.iter_mut().zip(0u8..=255).for_each(|(byte, n)| *byte = n.wrapping_mul(167) ^ 0xa5),
        _ => {
            let at = bytes.len() * 2 / 3;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
        }
    }
    fs::write(path, bytes).unwrap();
}

/// Every file x every damage: after one run an identity is in use that is valid, and a next date stands; within days the device has
/// renewed what had to be.
#[test]
fn whichever_file_is_damaged_an_identity_is_in_use_after_one_run_and_a_next_date_stands() {
    let cases = [
        (State::Idle, false, &DAMAGES[..]),
        (State::Idle, true, &["half", "a byte"]),
        (State::Waits, false, &["missing", "a byte"]),
        (State::Staged, false, &["missing", "a byte"]),
    ];
    for (state, is_sealed, damages) in cases {
        let mut bench = Bench::new(&format!("all-{state:?}"), is_sealed, state);
        let files = bench.files();
        assert!(files.len() >= 16, "{files:?}");
        for (file, damage) in files.iter().flat_map(|file| damages.iter().map(move |damage| (file, damage))) {
            bench.damaged(file, damage, |world, what| {
                let what = format!("{state:?}, {what}");
                world.run(Some(world.truth.get()));
                let in_use = world.store.current("router").unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!((1..=4).contains(&in_use.generation), "{what}");
                let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
                assert_eq!(plan.standing, Standing::Valid, "{what}: {plan:?}");
                assert!(plan.renewal_at.is_some(), "{what}");
                assert!(plan.ask_again_seconds <= 7 * 86_400, "{what}");
                settles(world, &what);
            });
        }
    }
}

/// The device does as told until nothing is due.
fn settles(world: &mut World, what: &str) {
    let begun = world.truth.get();
    let mut log = Vec::new();
    loop {
        let report = world.run(Some(world.truth.get()));
        log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
        let is_idle = matches!(report.outcome, Ok(Done::Nothing)) && world.store.operations().unwrap().is_empty();
        if is_idle || matches!(report.outcome, Ok(Done::Installed(_))) {
            break;
        }
        world.later(i64::from(report.wait_seconds));
        assert!(world.truth.get().since(begun) < 10 * DAY && log.len() < 100, "{what}: {log:#?}");
    }
    let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert_eq!((plan.standing, plan.step), (Standing::Valid, Step::Nothing), "{what}: {log:#?}");
}

/// What a run has put right is told by its report, once; what nobody but a person can put right stays told, and alarms.
#[test]
fn what_is_damaged_is_told_with_what_to_do_about_it() {
    let mut bench = Bench::new("told", false, State::Idle);
    for file in ["meta", "chain.pem", "certificate.pem", "key.pem"] {
        let path = format!("identity/router/gen-000002/{file}");
        bench.damaged(&path, "a byte", |world, what| {
            let now = Some(world.truth.get());
            let plan = world.planner.plan(&world.store, "router", now).unwrap();
            assert_eq!((plan.standing, plan.alarm), (Standing::Damaged, Alarm::Unusable), "{what}");
            assert!(plan.findings[0].text.contains("devid store repair"), "{what}: {:?}", plan.findings);

            let report = world.run(now);
            let [found] = &report.plan.findings[..] else { panic!("{what}: {:?}", report.plan.findings) };
            assert!(found.is_mended && found.text.contains("generation 1 is good and takes its place"), "{found:?}");
            assert_eq!(report.plan.alarm, Alarm::Late, "{what}: somebody is told");
            assert_eq!(world.planner.plan(&world.store, "router", now).unwrap().findings, [], "{what}: told once");
        });
    }
    for set in ["cmp", "enrolment", "tls"] {
        bench.damaged(&format!("anchors/{set}.pem"), "half", |world, what| {
            for _ in 0..2 {
                let report = world.run(Some(world.truth.get()));
                assert!(matches!(report.outcome, Ok(Done::Nothing)), "{what}: {:?}", report.outcome);
                let [found] = &report.plan.findings[..] else { panic!("{what}: {:?}", report.plan.findings) };
                assert!(found.place.ends_with(&format!("{set}.pem")) && found.text.contains("nobody is trusted"));
                assert_eq!(report.plan.alarm, Alarm::Late, "{what}");
            }
            assert!(world.store.repair().unwrap().iter().any(|found| found.text.contains("devid anchors")), "{what}");
        });
    }
}

/// The dark twin: where a set is the only one that vouches for the CA, nobody is believed while it cannot be read, and what waits goes on
/// when it is whole again.
#[test]
fn a_set_of_anchors_that_cannot_be_read_vouches_for_nobody_and_throws_nothing_away() {
    for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
        let mut bench = Bench::new(&format!("vouch-{}", set.name()), false, State::Waits);
        bench.world.config = Config::new();
        let root = bench.world.ca.root.certificate.clone();
        bench.world.asked.clear();
        let file = bench.folder.join(format!("memory/anchors/{}.pem", set.name()));
        break_file(&file, "half");
        let report = bench.run();
        let error = report.outcome.unwrap_err();
        let refused = [Code::InvalidArgument, Code::ProtectionInvalid, Code::NoPath, Code::WrongCertificate]
            .contains(&error.code());
        assert!(refused, "{error}");
        assert_eq!(bench.world.store.current("router").unwrap().generation, 2, "nothing strange came into use");
        bench.world.later(i64::from(report.wait_seconds));

        bench.world.store.set_anchors(set, &[root]).unwrap();
        bench.world.until_installed(Odd::Right, 2 * DAY, set.name());
    }
}

/// The dark twin: where no generation is good, there is nothing to come back to, and the words say what is missing.
#[test]
fn where_no_generation_is_good_a_new_certificate_is_asked_for_and_the_words_say_by_what() {
    let mut bench = Bench::new("none", false, State::Idle);
    break_file(&bench.folder.join("memory/identity/router/gen-000001/meta"), "garbage");
    bench.damaged("identity/router/gen-000002/meta", "garbage", |world, _| {
        // A certificate was installed a moment ago.
        let report = world.run(Some(world.truth.get()));
        assert_eq!((report.plan.step, report.plan.standing), (Step::Nothing, Standing::Damaged));
        world.later(i64::from(report.wait_seconds));
        let report = world.run(Some(world.truth.get()));
        assert_eq!((report.plan.step, report.plan.standing), (Step::EnrollAgain, Standing::Damaged));
        let error = report.outcome.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains("devid store verify"), "{error}");
        assert!(world.asked.is_empty());
    });
}

/// A generation that has ended is not brought back: it is of no more use than the damaged one.
#[test]
fn a_generation_that_has_ended_does_not_come_back() {
    let mut bench = Bench::new("ended", false, State::Idle);
    bench.world.later(300 * DAY);
    bench.damaged("identity/router/gen-000002/meta", "garbage", |world, _| {
        let report = world.run(Some(world.truth.get()));
        assert_eq!((report.plan.step, report.plan.standing), (Step::EnrollAgain, Standing::Damaged));
        assert_eq!(world.store.state("router").unwrap().current, Some(2));
    });
}

/// Who has asked is who polls and confirms: while the key and the certificate of the request are whole, what was asked for is not asked for
/// again, whatever has become of the other parts of its generation.
#[test]
fn what_waits_goes_on_with_its_own_credential_while_its_key_and_certificate_are_whole() {
    for state in [State::Waits, State::Staged] {
        let mut bench = Bench::new(&format!("credential-{state:?}"), false, state);
        for (file, damage) in
            ["meta", "chain.pem"].iter().flat_map(|file| DAMAGES.iter().map(move |damage| (file, damage)))
        {
            bench.damaged(&format!("identity/router/gen-000002/{file}"), damage, |world, what| {
                settles(world, what);
                assert_eq!(world.count(BodyType::KUR), 0, "{state:?}, {what}: {:?}", world.asked);
                let installed = world.store.current("router").unwrap().generation;
                assert_eq!(installed, 3, "{state:?}, {what}");
            });
        }
    }
}

/// The dark twin: where its key or its certificate is gone, nobody can go on with it. That is a fact, which no waiting changes: another one
/// asks anew at once.
#[test]
fn what_was_begun_with_a_credential_that_is_lost_is_asked_for_anew_at_once() {
    let mut bench = Bench::new("credential-gone", false, State::Waits);
    for (file, damage) in
        ["key.pem", "certificate.pem"].iter().flat_map(|file| DAMAGES[..4].iter().map(move |damage| (file, damage)))
    {
        for is_repaired in [false, true] {
            bench.damaged(&format!("identity/router/gen-000002/{file}"), damage, |world, what| {
                if is_repaired {
                    world.store.repair().unwrap();
                }
                let begun = world.truth.get();
                settles(world, what);
                assert_eq!(world.count(BodyType::KUR), 1, "{what}: {:?}", world.asked);
                let took = world.truth.get().since(begun);
                assert!(took < 7200, "{what}, repaired: {is_repaired}: {took} s");
                assert!(world.store.verify().unwrap().is_empty(), "{what}: nothing is left of it");
            });
        }
    }
    // The dark twin of that: a credential of the settings that is not there now may come back.
    let mut world = World::new(true);
    world.lets_wait = (1, 600);
    let report = world.run(Some(world.truth.get()));
    assert!(matches!(report.outcome, Ok(Done::Waiting)), "{:?}", report.outcome);
    let config = std::mem::replace(&mut world.config, Config::new());
    for _ in 0..3 {
        world.later(DAY);
        assert!(world.run(Some(world.truth.get())).outcome.is_err());
        assert_eq!(world.store.operations().unwrap(), ["router"]);
    }
    world.config = config;
    world.until_installed(Odd::Right, 2 * DAY, "it is back");
    assert_eq!(world.count(BodyType::IR), 1);
}

/// Power that was lost between a pointer and its copy leaves an older copy: the next run writes it, before the first one is damaged.
#[test]
fn what_an_interrupted_switch_has_left_is_finished_by_the_next_run_and_a_damaged_pointer_is_told() {
    let mut bench = Bench::new("settled", false, State::Idle);
    let identity = bench.folder.join("memory/identity/router");
    let (current, copy) = (identity.join("current"), identity.join("current.copy"));
    let whole = fs::read(&current).unwrap();
    // As it is where the first generation is in use.
    let elsewhere = Bench::new("settled-first", false, State::Idle);
    let _ = elsewhere.world.store.rollback("router").unwrap();
    let first = fs::read(elsewhere.folder.join("memory/identity/router/current")).unwrap();
    assert_ne!(whole, first);
    for left in [Some(&first[..]), None] {
        match left {
            Some(bytes) => fs::write(&copy, bytes).unwrap(),
            None => fs::remove_file(&copy).unwrap(),
        }
        fs::write(identity.join("gen-000002/unconfirmed"), "left").unwrap();
        let report = bench.run();
        assert!(report.plan.findings.is_empty(), "nothing is damaged: {report:?}");
        assert_eq!(fs::read(&copy).unwrap(), whole);
        assert_eq!(bench.world.store.verify().unwrap(), []);
    }
    for damaged in [&current, &copy] {
        fs::write(damaged, "torn").unwrap();
        let report = bench.run();
        let [found] = &report.plan.findings[..] else { panic!("{report:?}") };
        assert!(found.is_mended && damaged.ends_with(found.place.rsplit('/').next().unwrap()), "{found:?}");
        assert_eq!(report.plan.alarm, Alarm::Late);
        assert_eq!(fs::read(damaged).unwrap(), whole);
        // The dark twin: told once.
        assert!(bench.run().plan.findings.is_empty());
        assert_eq!(bench.world.store.current("router").unwrap().generation, 2);
    }
}
