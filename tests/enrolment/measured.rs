//! Waits measured by how long the device has been on, and clocks that are wrong for one look: nothing is asked more often for them, and
//! nothing that the CA has said is lost.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Done, Meter, Step, Uptime};

use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// What the CA is like meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    LetsWait,
    Dead,
}

/// Looks each quarter of an hour for a day, as a timer makes them, without a clock. How many messages were sent.
fn a_day_of_looks(mood: Mood, is_enrolled: bool, is_measured: bool) -> usize {
    let mut world = World::new(true);
    if is_enrolled {
        world.until_installed(Odd::Right, 0, "the first");
    }
    world.asked.clear();
    match mood {
        Mood::Well => {}
        Mood::LetsWait => (world.lets_wait, world.lets_questions_wait) = ((9, DAY), true),
        Mood::Dead => world.is_dead = true,
    }
    let uptime = Arc::new(AtomicI64::new(30));
    if is_measured {
        let read = Arc::clone(&uptime);
        world.planner.meter =
            Meter::Own(Arc::new(move || Some(Uptime { boot: 1, seconds: read.load(Ordering::Relaxed) })));
    }
    for _ in 0..96 {
        world.run(None);
        world.later(900);
        uptime.fetch_add(900, Ordering::Relaxed);
    }
    world.asked.len()
}

#[test]
fn a_timer_on_a_device_without_a_clock_asks_no_more_often_than_the_waits_allow() {
    for mood in [Mood::Well, Mood::LetsWait, Mood::Dead] {
        for is_enrolled in [false, true] {
            let count = a_day_of_looks(mood, is_enrolled, true);
            assert!(count <= 12, "{mood:?}, enrolled: {is_enrolled}: {count} messages in a day");
            // The dark twin: where nothing measures, whoever looks has waited.
            let count = a_day_of_looks(mood, is_enrolled, false);
            assert!(count >= 90, "{mood:?}, enrolled: {is_enrolled}: {count} messages in a day");
        }
    }
}

/// A clock that is beyond the end of the CA's own certificates at some looks while a request waits: the certificate that is brought
/// then is taken as soon as the time is known, and asked for once.
#[test]
fn what_the_ca_brings_while_the_clock_is_wrong_is_not_lost() {
    let beyond = 53 * 365 * DAY;
    for by_secret in [false, true] {
        for is_renewal in [false, true] {
            for wrong_looks in [1, 2, 5, usize::MAX] {
                let what = format!("secret: {by_secret}, renewal: {is_renewal}, wrong at {wrong_looks} looks");
                let mut world = if is_renewal { World::at_renewal(by_secret) } else { World::new(by_secret) };
                world.lets_wait = (1, 7200);
                let report = world.run(Odd::Right.says(world.truth.get()));
                assert!(matches!(report.outcome, Ok(Done::Waiting)), "{what}: {report:?}");
                world.later(i64::from(report.wait_seconds));
                let mut log = Vec::new();
                let is_in_use = (0..40).any(|look| {
                    let off = if look < wrong_looks { beyond } else { 0 };
                    let report = world.run(Some(world.truth.get().plus(off)));
                    world.later(i64::from(report.wait_seconds));
                    log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
                    matches!(report.outcome, Ok(Done::Installed(_)))
                });
                assert!(is_in_use, "{what}: {log:#?}");
                assert_eq!(world.count(BodyType::IR) + world.count(BodyType::KUR), 1, "{what}: {log:#?}");
                assert!(world.count(BodyType::POLLREQ) <= 4, "{what}: {} {log:#?}", world.count(BodyType::POLLREQ));
            }
        }
    }
}

/// One look by a clock beyond the end of the identity in use, where nothing was due before: the time is asked for, and nothing else.
#[test]
fn a_clock_beyond_the_end_costs_a_question_and_no_certificate() {
    for off in [400 * DAY, 4000 * DAY, 20_000 * DAY] {
        let mut world = World::new(true);
        world.until_installed(Odd::Right, 0, "the first");
        world.later(30 * DAY);
        world.asked.clear();
        let report = world.run(Some(world.truth.get().plus(off)));
        assert!(matches!(report.outcome, Ok(Done::TimeLearnt)), "{off}: {report:?}");
        assert_eq!(world.asked.iter().map(|(_, body)| *body).collect::<Vec<_>>(), [BodyType::GENM], "{off}");
        let truth = Rc::clone(&world.truth);
        assert_eq!(world.planner.plan(&world.store, "router", Some(truth.get())).unwrap().step, Step::LearnTime);
        world.run(Some(truth.get()));
        assert_eq!(world.count(BodyType::IR) + world.count(BodyType::KUR), 0, "{off}");
    }
    // The dark twins: it was off over the end, and a CA that does not tell the time holds nothing up.
    for tells_time in [true, false] {
        let mut world = World::new(true);
        world.until_installed(Odd::Right, 0, "the first");
        world.later(400 * DAY);
        world.asked.clear();
        if !tells_time {
            world.ca.bend = Some(Box::new(|answer| answer.header.message_time = None));
        }
        let report = world.run(Some(world.truth.get()));
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{tells_time}: {report:?}");
        assert_eq!(world.count(BodyType::IR), 1, "{tells_time}");
        assert!(world.count(BodyType::GENM) >= 1, "{tells_time}");
    }
}
