//! What fails in the program while a renewal runs says nothing about the CA: it counts as no failure, nothing is lost, and a
//! program that goes on failing is not called without end.

use devid::Code;
use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Alarm, Reason};

use crate::renewal::DAY;
use crate::renewal_waits::{Odd, Own, World};

const ALL: [Own; 3] = [Own::Decision, Own::Checkpoint, Own::Wait];

/// Two polls, so that there is something to wait for as well.
fn world(is_renewal: bool) -> World {
    let mut world = if is_renewal { World::at_renewal(true) } else { World::new(true) };
    world.lets_wait = (2, 10);
    world
}

#[test]
fn what_fails_in_the_program_counts_as_no_failure_of_the_ca_and_loses_nothing() {
    for own in ALL {
        for is_renewal in [false, true] {
            let what = format!("{own:?}, renewal: {is_renewal}");
            let mut world = world(is_renewal);
            world.fails = Some((own, Code::Application));
            let report = world.run(Some(world.truth.get()));
            assert_eq!(report.outcome.unwrap_err().code(), Code::Application, "{what}");
            assert_eq!(report.wait_seconds, 30, "{what}");
            // The program has slept through two polls, at most.
            world.later(25);
            let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
            let alarm = if is_renewal { Alarm::Quiet } else { Alarm::Unusable };
            assert_eq!((plan.attempts, plan.reason, plan.alarm), (0, Reason::Retrying, alarm), "{what}");

            world.fails = None;
            world.later(25);
            world.until_installed(Odd::Right, 0, &what);
            assert_eq!(world.count(BodyType::IR) + world.count(BodyType::KUR), 1, "{what}: {:?}", world.asked);
        }
    }
}

/// Ctrl-C: the user comes back when he likes.
#[test]
fn what_the_user_ends_goes_on_at_once() {
    for own in ALL {
        let mut world = world(true);
        world.lets_wait = (9, 10);
        world.fails = Some((own, Code::Cancelled));
        for _ in 0..3 {
            let report = world.run(Some(world.truth.get()));
            assert_eq!((report.outcome.unwrap_err().code(), report.wait_seconds), (Code::Cancelled, 1), "{own:?}");
        }
        let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
        assert_eq!((plan.attempts, plan.reason), (0, Reason::Due), "{own:?}");
        world.fails = None;
        world.until_installed(Odd::Right, 0, &format!("{own:?}"));
        assert_eq!(world.count(BodyType::KUR), 1, "{own:?}: {:?}", world.asked);
    }
}

/// By every clock: a decision that always fails is asked for a bounded number of times, and the request is made once.
#[test]
fn a_program_that_goes_on_failing_is_called_more_and_more_rarely() {
    for odd in [Odd::Right, Odd::Of1970, Odd::Off(2 * DAY)] {
        let mut world = world(true);
        world.fails = Some((Own::Decision, Code::Application));
        let (end, mut runs) = (world.truth.get().plus(DAY), 0);
        while world.truth.get() < end {
            let report = world.run(odd.says(world.truth.get()));
            world.later(i64::from(report.wait_seconds));
            runs += 1;
            assert!(report.wait_seconds >= 1 && runs < 60, "{odd:?}: {report:?}");
        }
        assert!(world.count(BodyType::KUR) <= 1, "{odd:?}: {:?}", world.asked);
        world.fails = None;
        world.until_installed(odd, 2 * DAY, &format!("{odd:?}"));
        assert_eq!(world.count(BodyType::KUR), 1, "{odd:?}: {:?}", world.asked);
    }
}
