//! Firmware that was rolled back: what a newer version has written is left to it, and holds up nothing that can be done without it.

use std::fs;
use std::path::{Path, PathBuf};

use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Alarm, Done};
use devid::store::{AnchorSet, DirectoryBackend, NewKey, Problem, ProblemKind, Signer, Store, StoreOptions};

use crate::certificates::provider;
use crate::mock_ca::Device;
use crate::renewal::{DAY, Life};

/// A device with its memory in a folder.
struct Bench {
    life: Life,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn enrolled(name: &str) -> Self {
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("devid-newer-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut life = Life::new().with_right_ca();
        let home = DirectoryBackend::open(&folder, Default::default()).unwrap();
        life.store = Store::new(Box::new(home), provider().clone(), StoreOptions::default());
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            life.store.set_anchors(set, std::slice::from_ref(&life.ca.root.certificate)).unwrap();
        }
        (life.config, life.factory) = (Device::config(&life.ca), None);
        assert!(matches!(life.run().outcome, Ok(Done::Installed(_))));
        life.ca.received.clear();
        Bench { life, folder }
    }

    /// On the day of the renewal, which waits at the CA.
    fn waiting(name: &str) -> Self {
        let mut bench = Bench::enrolled(name).until_due();
        (bench.life.ca.waits, bench.life.ca.check_after) = (1, 600);
        assert!(matches!(bench.life.run().outcome, Ok(Done::Waiting)));
        bench
    }

    fn until_due(self) -> Self {
        let wait = self.life.plan().renewal_at.unwrap().since(self.life.clock);
        self.later(wait)
    }

    fn later(mut self, seconds: i64) -> Self {
        let life = std::mem::replace(&mut self.life, Life::new());
        self.life = life.later(seconds);
        self
    }

    /// Runs as it is told for so many days, or until there is another certificate.
    fn live(mut self, days: i64) -> (Self, bool) {
        let begun = self.life.clock;
        while self.life.clock.since(begun) < days * DAY {
            let report = self.life.run();
            if matches!(report.outcome, Ok(Done::Installed(_))) {
                return (self, true);
            }
            self = self.later(i64::from(report.wait_seconds.max(1)));
        }
        (self, false)
    }

    fn asked(&self, body: BodyType) -> usize {
        self.life.ca.received.iter().filter(|message| message.body_type() == body).count()
    }
}

fn newer_ones(problems: &[Problem]) -> Vec<&str> {
    problems.iter().filter(|one| one.kind == ProblemKind::Newer).map(|one| one.place.as_str()).collect()
}

#[test]
fn a_time_of_a_newer_version_is_left_as_it_is_and_renewal_goes_on_without() {
    let bench = Bench::enrolled("clock").until_due();
    let records = ["clock/time", "clock/time.copy"].map(|name| bench.folder.join(name));
    let written = b"devid-clock 2\nepoch 77\ncheck 00\n";
    records.iter().for_each(|record| fs::write(record, written).unwrap());
    let plan = bench.life.plan();
    assert_eq!((newer_ones(&plan.findings), plan.alarm), (vec!["clock/time"], Alarm::Late), "{plan:?}");
    let (bench, is_renewed) = bench.live(2);
    assert!(is_renewed);
    for mend in [false, true] {
        let found = if mend { bench.life.store.repair() } else { bench.life.store.verify() }.unwrap();
        assert_eq!(newer_ones(&found), ["clock/time"], "{found:?}");
    }
    records.iter().for_each(|record| assert_eq!(fs::read(record).unwrap(), written));
    // The newer version comes back, or people forget the time: it is noted again.
    bench.life.store.forget_time().unwrap();
    assert_eq!(newer_ones(&bench.life.plan().findings), Vec::<&str>::new());
}

/// By its record, or inside it.
fn made_newer(bench: &Bench, is_inside: bool) {
    let store = &bench.life.store;
    if !is_inside {
        let record = bench.folder.join("operation/router");
        return fs::write(record, b"devid-operation 2 of another kind\nwhatever").unwrap();
    }
    let mut saved = store.load_operation("router").unwrap().to_vec();
    let at = saved.windows(3).position(|bytes| bytes == [2, 1, 4]).expect("the version");
    saved[at + 2] = 5;
    store.save_operation("router", &saved).unwrap();
}

#[test]
fn what_a_newer_version_has_begun_is_left_to_it_while_there_is_time() {
    for is_inside in [false, true] {
        let bench = Bench::waiting(&format!("begun-{is_inside}"));
        let record = bench.folder.join("operation/router");
        let before = fs::read(&record).unwrap();
        made_newer(&bench, is_inside);
        let written = fs::read(&record).unwrap();
        let (bench, is_renewed) = bench.live(20);
        assert!(!is_renewed && bench.asked(BodyType::KUR) == 1);
        assert_eq!(fs::read(&record).unwrap(), written, "{is_inside}");
        let plan = bench.life.plan();
        assert_eq!((newer_ones(&plan.findings), plan.alarm), (vec!["operation/router"], Alarm::Late), "{plan:?}");
        assert_eq!(newer_ones(&bench.life.store.repair().unwrap()).len(), usize::from(!is_inside));
        assert_eq!(fs::read(&record).unwrap(), written, "{is_inside}: also by a repair");
        // The newer version is back.
        fs::write(&record, before).unwrap();
        let (bench, is_renewed) = bench.live(3);
        assert!(is_renewed && bench.asked(BodyType::KUR) == 1, "it has gone on with what it had begun");
    }
}

/// The dark twin: an identity does not end for it.
#[test]
fn near_the_end_what_a_newer_version_has_begun_gives_way_to_a_fresh_request() {
    for is_inside in [false, true] {
        let bench = Bench::waiting(&format!("end-{is_inside}"));
        made_newer(&bench, is_inside);
        let end = bench.life.store.current("router").unwrap().certificate.not_after();
        let (bench, is_renewed) = bench.live(400);
        assert!(is_renewed && bench.life.clock < end, "{is_inside}: {:?}", bench.life.plan());
        assert_eq!(bench.asked(BodyType::KUR), 2);
    }
}

#[test]
fn whose_memory_it_is_cannot_be_told_from_what_a_newer_version_wrote() {
    let bench = Bench::enrolled("device");
    assert!(!bench.life.plan().is_copied);
    for (mark, is_copied) in [("devid device 2\nanything\n", false), ("devid device 1\n00\n", true)] {
        bench.life.store.put_blob("device-id", mark.as_bytes()).unwrap();
        assert_eq!(bench.life.plan().is_copied, is_copied, "{mark}");
    }
    fs::write(bench.folder.join("blob/device-id"), "devid-blob 2 other\n").unwrap();
    assert!(!bench.life.plan().is_copied);
}

#[test]
fn a_pointer_of_a_newer_version_hides_nothing_else_that_is_wrong() {
    let bench = Bench::enrolled("pointer");
    let current = bench.life.store.current("router").unwrap();
    let new = devid::store::NewIdentity {
        key: NewKey::Given(Signer::from(current.key.held().unwrap())),
        certificate: &current.certificate,
        chain: &[],
        purpose: "ldevid",
        at: bench.life.clock,
    };
    bench.life.store.install("another", &new).unwrap();
    for file in ["current", "current.copy"] {
        fs::write(bench.folder.join("identity/another").join(file), "devid-pointer 2\n").unwrap();
    }
    fs::write(bench.folder.join("identity/router/current.copy"), "torn").unwrap();
    let found = bench.life.store.verify().unwrap();
    assert_eq!(newer_ones(&found), ["identity/another/current"], "{found:?}");
    assert!(found.iter().any(|one| one.place == "identity/router/current.copy"), "{found:?}");
    let found = bench.life.store.repair().unwrap();
    assert_eq!(newer_ones(&found).len(), 1);
    assert_eq!(fs::read(bench.folder.join("identity/another/current")).unwrap(), b"devid-pointer 2\n");
}
