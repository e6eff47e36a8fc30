//! What the CA has approved or issued is not thrown away: not by its own lost answer, a setting that is wrong for one run, a step back,
//! a user who ends a run, a request that lies about, or a copy of device memory.

use std::path::Path;

use devid::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid::asn1::der::sequence;
use devid::asn1::oid;
use devid::client::renewal::{Alarm, Done, Reason};
use devid::client::{Destination, Planner, RequestOptions, Step, request_into};
use devid::store::{NewKey, Signer, Store, StoreOptions};
use devid::validation::KeyUsage;
use devid::{Code, Time};

use crate::certificates::{Builder, key, now, provider};
use crate::mock_ca::{Device, LIGHT_MAC, SECRET};
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// A CA may end the old certificate at pkiConf: the new one is then all that the device has.
#[test]
fn a_certificate_whose_confirmation_was_answered_and_lost_comes_into_use_once_the_ca_takes_it() {
    let mut world = World::at_renewal(true);
    world.loses = Some(BodyType::CERTCONF);
    let report = world.run(Some(world.truth.get()));
    assert_eq!(report.outcome.unwrap_err().code(), Code::Timeout);
    let staged = world.store.pending("router").unwrap().certificate;
    world.later(i64::from(report.wait_seconds));
    world.asked.clear();

    world.until_installed(Odd::Right, 0, "confirmed before");

    assert_eq!(world.store.current("router").unwrap().certificate, staged);
    let bodies: Vec<BodyType> = world.asked.iter().map(|(_, body)| *body).collect();
    assert_eq!(bodies, [BodyType::CERTCONF, BodyType::GENM]);
    let question = world.ca.received.last().unwrap();
    assert_eq!(question.extra_certs()[0], staged, "asked with the certificate itself");
}

/// The same at a CA that lets questions wait: to be told to wait is as authentic as any other answer.
#[test]
fn a_ca_that_lets_the_question_wait_has_taken_the_certificate() {
    for check_after in [60, DAY] {
        let mut world = World::at_renewal(true);
        world.loses = Some(BodyType::CERTCONF);
        let wait = world.run(Some(world.truth.get())).wait_seconds;
        world.later(i64::from(wait));
        (world.lets_questions_wait, world.lets_wait) = (true, (0, check_after));
        world.until_installed(Odd::Right, 0, "taken");
        assert_eq!((world.count(BodyType::KUR), world.count(BodyType::GENM)), (1, 1));
    }
}

/// A CA that goes on under a PKI that the device does not know is not heard any more: what is polled for in vain ends with the time that
/// it may take, also where each poll's wait is measured by the planner.
#[test]
fn what_is_polled_for_in_vain_is_asked_for_anew_when_its_time_is_over() {
    for clock in [true, false] {
        let least = 3 * DAY;
        let mut world = World::at_renewal(true);
        world.config.limits.max_total_seconds = 3 * 86_400;
        world.lets_wait = (100_000, 600);
        let begun = world.truth.get();
        let told = |world: &World| clock.then(|| world.truth.get());
        let report = world.run(told(&world));
        world.later(i64::from(report.wait_seconds));
        let known = world.ca.signer.clone();
        world.ca.signer = Builder::leaf("CMP server 2")
            .key_usage(&[KeyUsage::DigitalSignature])
            .purposes(&[oid::KP_CMC_RA])
            .signed_by(&world.ca.supplier);
        // A day of it ends nothing.
        let (mut passed, most) = (0, least + 2 * DAY);
        while world.count(BodyType::KUR) < 2 && passed < most {
            let report = world.run(told(&world));
            world.later(i64::from(report.wait_seconds.max(1)));
            passed = world.truth.get().since(begun);
            if world.count(BodyType::KUR) == 2 {
                world.lets_wait = (0, 0);
                world.ca.signer = known.clone();
            }
        }
        assert!((least - DAY / 2..most).contains(&passed), "clock {clock}: after {} days", passed / DAY);
        world.until_installed(Odd::Right, 0, "asked anew");
    }
}

/// With the same key the certificate in use has the key of the request: it is not what the operation was for.
#[test]
fn with_the_same_key_a_renewal_that_waits_or_loses_an_answer_goes_on_as_with_a_new_one() {
    let mut world = World::at_renewal(true);
    world.planner.policy.same_key = true;
    world.lets_wait = (3, 600);
    let before = world.store.current("router").unwrap();
    world.until_installed(Odd::Right, 3600, "the same key, the CA lets wait");
    let after = world.store.current("router").unwrap();
    assert_eq!((world.count(BodyType::KUR), before.key.spki()), (1, after.key.spki()));
    assert_ne!(before.certificate, after.certificate);

    let mut world = World::at_renewal(true);
    world.planner.policy.same_key = true;
    world.loses = Some(BodyType::CERTCONF);
    let report = world.run(Some(world.truth.get()));
    assert!(report.outcome.is_err());
    assert_eq!(world.store.current("router").unwrap().generation, 1);
    world.later(i64::from(report.wait_seconds));
    world.until_installed(Odd::Right, 3600, "the same key, an answer lost");
    assert_eq!((world.count(BodyType::KUR), world.store.current("router").unwrap().generation), (1, 2));
}

/// The dark twin: a CA that knows nothing of it does not take it, and the identity in use stays in use.
#[test]
fn a_certificate_that_the_ca_does_not_take_never_comes_into_use() {
    let mut world = World::at_renewal(true);
    let in_use = world.store.current("router").unwrap().certificate;
    world.loses = Some(BodyType::CERTCONF);
    let mut wait = world.run(Some(world.truth.get())).wait_seconds;
    let staged = world.store.pending("router").unwrap().certificate;
    world.ca.bend = Some(Box::new(|answer| {
        if answer.body_type == BodyType::GENP {
            let refused = PkiStatusInfo { fail_info: Some(1 << 10), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&refused.to_der()]));
        }
    }));
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        world.later(i64::from(wait));
        let report = world.run(Some(world.truth.get()));
        assert_eq!(world.store.current("router").unwrap().certificate, in_use);
        wait = report.wait_seconds;
        outcomes.push(report.outcome);
    }
    assert!(matches!(outcomes.last(), Some(Ok(Done::Abandoned(_)))), "{outcomes:?}");
    assert!(outcomes.iter().flatten().all(|done| !matches!(done, Done::Installed(_))), "{outcomes:?}");
    assert!(world.store.pending("router").is_err() && staged != in_use);
}

#[test]
fn a_request_that_waits_survives_a_run_with_a_wrong_reference() {
    let mut world = World::new(true);
    world.lets_wait = (3, 600);
    let wait = world.run(Some(now())).wait_seconds;
    world.later(i64::from(wait));
    let right = world.config.clone();
    world.config.protect_with_secret(b"typing error", SECRET, LIGHT_MAC).unwrap();
    let mut seconds = 0;
    for _ in 0..3 {
        let report = world.run(Some(world.truth.get()));
        assert_eq!(report.outcome.as_ref().unwrap_err().code(), Code::KeyMismatch, "{report:?}");
        assert!(report.wait_seconds >= 30);
        world.later(i64::from(report.wait_seconds));
        seconds += report.wait_seconds;
    }
    assert!(seconds > 900, "it is looked at more and more rarely: {seconds}");
    assert_eq!(world.count(BodyType::POLLREQ), 1, "nobody else polls for it");

    world.config = right;
    world.until_installed(Odd::Right, DAY, "the right reference again");
    assert_eq!(world.count(BodyType::IR), 1, "{:?}", world.asked);
}

/// The dark twin: a credential that does not come back does not keep the device waiting for ever.
#[test]
fn a_request_whose_credential_is_gone_gives_way_to_a_fresh_one_after_days() {
    let mut world = World::new(true);
    world.lets_wait = (3, 600);
    let wait = world.run(Some(now())).wait_seconds;
    world.later(i64::from(wait));
    world.config.protect_with_secret(b"device-8", SECRET, LIGHT_MAC).unwrap();
    let (mut report, begun) = (world.run(Some(world.truth.get())), world.truth.get());
    while !matches!(report.outcome, Ok(Done::Abandoned(_))) {
        world.later(i64::from(report.wait_seconds));
        assert!(world.truth.get().since(begun) < 7 * DAY, "{report:?}");
        report = world.run(Some(world.truth.get()));
    }
    assert!(world.truth.get().since(begun) > DAY, "not at the first look");
}

/// The identity that asked is the previous one by then.
#[test]
fn a_renewal_that_waits_survives_a_step_back() {
    let mut world = World::at_renewal(true);
    world.until_installed(Odd::Right, DAY, "the second");
    let due = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap().renewal_at.unwrap();
    world.later(due.since(world.truth.get()) + 60);
    world.lets_wait = (2, 600);
    world.asked.clear();
    let report = world.run(Some(world.truth.get()));
    assert!(matches!(report.outcome, Ok(Done::Waiting)), "{report:?}");

    world.store.rollback("router").unwrap();
    world.later(i64::from(report.wait_seconds));
    world.until_installed(Odd::Right, DAY, "after the step back");
    assert_eq!(world.count(BodyType::KUR), 1, "{:?}", world.asked);
}

#[test]
fn what_its_own_user_ends_is_no_failure_of_the_ca() {
    let mut world = World::at_renewal(false);
    world.is_cancelled = true;
    for _ in 0..5 {
        let report = world.run(Some(world.truth.get()));
        assert_eq!(report.outcome.unwrap_err().code(), Code::Cancelled);
        assert_eq!(report.wait_seconds, 1);
        let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
        assert_eq!((plan.attempts, plan.step != Step::Nothing), (0, true), "{plan:?}");
    }
    world.is_cancelled = false;
    world.until_installed(Odd::Right, 60, "goes on at once");
}

/// Whose wait runs: the CA's, or that of an outage after it.
#[test]
fn an_outage_after_the_ca_asked_to_wait_is_told_as_one() {
    let mut world = World::at_renewal(false);
    world.lets_wait = (3, 600);
    let report = world.run(Some(world.truth.get()));
    let reason = |world: &World| world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap().reason;
    assert_eq!(reason(&world), Reason::CaAsksToWait);
    world.later(i64::from(report.wait_seconds));
    world.is_dead = true;
    assert!(world.run(Some(world.truth.get())).outcome.is_err());
    assert_eq!(reason(&world), Reason::Retrying);

    world.is_dead = false;
    world.planner.hurry(&world.store, "router").unwrap();
    assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Waiting)), "a person need not wait");
    assert_eq!(reason(&world), Reason::CaAsksToWait);
    world.until_installed(Odd::Right, DAY, "goes on");
    assert_eq!(world.count(BodyType::KUR), 1);
}

/// A request that was made for another way, and forgotten.
#[test]
fn people_are_told_of_a_request_that_keeps_an_identity_from_its_renewal() {
    let world = World::at_renewal(true);
    let due = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert_eq!((due.step, due.alarm), (Step::Update, Alarm::Quiet));
    let to = Destination { store: &world.store, name: "router", purpose: "ldevid" };
    request_into(to, &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();
    let out = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert_eq!((out.step, out.reason, out.alarm), (Step::Nothing, Reason::RequestOut, Alarm::Late));
    let early = world.planner.plan(&world.store, "router", Some(now())).unwrap();
    assert_eq!((early.reason, early.alarm), (Reason::RequestOut, Alarm::Quiet), "there is time");
}

fn open(home: &Path) -> Store {
    Store::open_directory(home, provider().clone(), StoreOptions::default()).unwrap()
}

/// A place of this test's own.
fn place(name: &str) -> std::path::PathBuf {
    let place = std::env::temp_dir().join(format!("devid-kept-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    place
}

#[test]
fn a_damaged_request_or_one_without_its_key_is_out_no_more() {
    for (file, bytes) in [("request.pem", &b""[..]), ("request.pem", b"scrambled"), ("key.pem", b"")] {
        let home = place("request");
        let mut world = World::new(true);
        world.store = open(&home);
        for set in [devid::store::AnchorSet::Cmp, devid::store::AnchorSet::Enrolment] {
            world.store.set_anchors(set, std::slice::from_ref(&world.ca.root.certificate)).unwrap();
        }
        let to = Destination { store: &world.store, name: "router", purpose: "ldevid" };
        request_into(to, &key(), None, &Device::subject(), &RequestOptions::default()).unwrap();
        assert_eq!(world.planner.plan(&world.store, "router", Some(now())).unwrap().reason, Reason::RequestOut);
        std::fs::write(home.join("pending/router").join(file), bytes).unwrap();

        let problem = world.store.verify().unwrap().into_iter().find(|problem| problem.place.contains(file)).unwrap();
        assert!(problem.text.contains("abandon it"), "{problem:?}");
        world.store.repair().unwrap();
        assert_eq!(home.join("pending/router/request.pem").exists(), file == "key.pem", "what is readable stays");
        world.until_installed(Odd::Right, 0, &format!("{file} damaged"));
        std::fs::remove_dir_all(home).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// An image with device memory in it is copied to a second device.
#[test]
fn a_copy_of_device_memory_in_another_device_is_noticed() {
    let (home, other) = (place("first"), place("second"));
    let mut world = World::new(false);
    let (memory, idevid) = (open(&home), world.store.current("idevid").unwrap());
    let new = devid::store::NewIdentity {
        key: NewKey::Given(Signer::from(idevid.key.held().unwrap())),
        certificate: &idevid.certificate,
        chain: &[],
        purpose: "idevid",
        at: now(),
    };
    memory.install("idevid", &new).unwrap();
    world.store = memory;
    for set in [devid::store::AnchorSet::Cmp, devid::store::AnchorSet::Enrolment] {
        world.store.set_anchors(set, std::slice::from_ref(&world.ca.root.certificate)).unwrap();
    }
    world.until_installed(Odd::Right, 0, "the first");
    copy(&home, &other);
    let (second, plan) =
        (open(&other), |planner: &Planner, store: &Store| planner.plan(store, "router", Some(now().plus(60))).unwrap());
    let elsewhere = Planner::new().for_device(b"router-8");

    assert!(!plan(&world.planner, &world.store).is_copied);
    let copied = plan(&elsewhere, &second);
    assert_eq!((copied.is_copied, copied.alarm), (true, Alarm::Late));
    assert!(!plan(&Planner::new(), &second).is_copied, "who does not know which device it is cannot tell");

    // What docs/device-memory.md says: the copy gives up what is the other's, and enrols with what is its own.
    second.remove_identity("router").unwrap();
    elsewhere.reset(&second, "router").unwrap();
    let mut fresh = World::new(false);
    (fresh.store, fresh.planner, fresh.ca) = (second, elsewhere, world.ca);
    fresh.until_installed(Odd::Right, 0, "the second device");
    let (one, two) = (world.store.current("router").unwrap(), fresh.store.current("router").unwrap());
    assert_ne!(one.key.spki(), two.key.spki());
    assert!(!plan(&fresh.planner, &fresh.store).is_copied);
    for home in [home, other] {
        std::fs::remove_dir_all(home).unwrap();
    }
}

/// A backup is the folder, copied while nothing changes it; put back, it goes on.
#[test]
fn a_backup_that_is_put_back_goes_on_and_one_that_is_behind_is_renewed() {
    let (home, backup) = (place("home"), place("backup"));
    let mut world = World::at_renewal(true);
    let identity = world.store.current("router").unwrap();
    let memory = open(&home);
    let new = devid::store::NewIdentity {
        key: NewKey::Given(Signer::from(identity.key.held().unwrap())),
        certificate: &identity.certificate,
        chain: &identity.chain,
        purpose: "ldevid",
        at: now(),
    };
    memory.install("router", &new).unwrap();
    for set in [devid::store::AnchorSet::Cmp, devid::store::AnchorSet::Enrolment] {
        memory.set_anchors(set, std::slice::from_ref(&world.ca.root.certificate)).unwrap();
    }
    {
        let _hold = memory.hold().unwrap();
        copy(&home, &backup);
    }
    world.store = memory;
    world.until_installed(Odd::Right, 60, "after the backup");
    let renewed = world.store.current("router").unwrap();

    world.store = open(&backup);
    assert!(world.store.verify().unwrap().is_empty(), "{:?}", world.store.verify());
    assert_eq!(world.store.current("router").unwrap().certificate, identity.certificate);
    world.until_installed(Odd::Right, 60, "from the backup");
    assert_ne!(world.store.current("router").unwrap().certificate, renewed.certificate);
    for home in [home, backup] {
        std::fs::remove_dir_all(home).unwrap();
    }
}

/// All but the factory's identity is given up, and the device begins as it left the factory.
#[test]
fn a_factory_reset_keeps_the_identity_of_the_factory() {
    let mut world = World::new(false);
    world.until_installed(Odd::Right, 0, "the first owner's");
    world.lets_wait = (3, 600);
    world.later(300 * DAY);
    assert!(matches!(world.run(Some(world.truth.get())).outcome, Ok(Done::Waiting)));

    let idevid = world.store.current("idevid").unwrap().certificate;
    world.store.factory_reset(&["idevid"]).unwrap();

    assert_eq!(world.store.identities().unwrap(), ["idevid"]);
    assert_eq!(world.store.current("idevid").unwrap().certificate, idevid);
    assert!(world.store.operations().unwrap().is_empty() && world.store.pending_keys().unwrap().is_empty());
    assert!(
        world.store.blobs().unwrap().is_empty()
            && world.store.anchors(devid::store::AnchorSet::Cmp).unwrap().is_empty()
    );
    assert!(world.store.verify().unwrap().is_empty());
    let kept: Option<Time> = world.store.last_known_time().unwrap();
    assert!(kept.is_some(), "how late it is does not change with the owner");

    for set in [devid::store::AnchorSet::Cmp, devid::store::AnchorSet::Enrolment] {
        world.store.set_anchors(set, std::slice::from_ref(&world.ca.root.certificate)).unwrap();
    }
    world.lets_wait = (0, 30);
    world.until_installed(Odd::Right, 0, "the next owner's");
}

/// Refuses the next requests for the time that they say (badTime), so many.
fn finds_too_old(world: &mut World, mut count: u32) {
    let mut bend = world.ca.bend.take().unwrap();
    world.ca.bend = Some(Box::new(move |answer| {
        bend(answer);
        if answer.body_type == BodyType::KUP && count > 0 {
            count -= 1;
            let refused = PkiStatusInfo { fail_info: Some(1 << 3), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            (answer.body_type, answer.content) = (BodyType::ERROR, sequence(&[&refused.to_der()]));
        }
    }));
}

/// The saved request is from before an outage: that it is too old says nothing about the clock.
#[test]
fn a_request_that_an_outage_has_made_too_old_is_made_anew_at_once() {
    let mut world = World::at_renewal(true);
    world.loses = Some(BodyType::KUR);
    let report = world.run(Some(world.truth.get()));
    assert_eq!(report.outcome.unwrap_err().code(), Code::Timeout);
    world.later(2 * DAY);
    finds_too_old(&mut world, 1);
    let report = world.run(Some(world.truth.get()));
    assert!(matches!(report.outcome, Ok(Done::Abandoned(_))), "{:?}", report.outcome);
    assert_eq!(report.wait_seconds, 0);
    let report = world.run(Some(world.truth.get()));
    assert_eq!(report.plan.step, Step::Update, "the clock is not doubted");
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{:?}", report.outcome);
    assert_eq!((world.count(BodyType::KUR), world.count(BodyType::GENM)), (3, 0));
}

/// The dark twin: one that is refused for its time though it is fresh.
#[test]
fn a_fresh_request_that_is_refused_for_its_time_is_a_failure_and_waited_out() {
    let mut world = World::at_renewal(true);
    world.loses = Some(BodyType::KUR);
    world.run(Some(world.truth.get()));
    world.later(2 * DAY);
    finds_too_old(&mut world, 2);
    assert_eq!(world.run(Some(world.truth.get())).wait_seconds, 0);
    let report = world.run(Some(world.truth.get()));
    assert_eq!(report.outcome.unwrap_err().code(), Code::Rejected);
    assert!(report.wait_seconds >= 30, "never twice in a row");
    let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert_eq!((plan.reason, plan.attempts), (Reason::Retrying, 2));
}
