//! How often a CA is asked: in a day by whatever it answers, and by which credential where it refuses one.

use devid::asn1::cmp::BodyType;
use devid::client::Step;
use devid::client::renewal::{Alarm, Done, Reason};
use devid::transport::{Phase, Reply, TransportError, TransportErrorKind};

use crate::mock_ca::strip_protection;
use crate::renewal::DAY;
use crate::renewal_waits::{MOST_A_DAY, ODD, Odd, World};

/// PKIFailureInfo badRequest, systemUnavail and notAuthorized (RFC 9810 section 5.2.3).
const BAD_REQUEST: u32 = 1 << 2;
const UNAVAILABLE: u32 = 1 << 24;
const NOT_AUTHORIZED: u32 = 1 << 23;

type Trouble = fn(&mut World);

const TROUBLES: [(&str, Trouble); 10] = [
    ("waits for a second without end", |world| world.lets_wait = (u32::MAX, 1)),
    ("waits for a minute, and questions wait", |world| {
        (world.lets_wait, world.lets_questions_wait) = ((u32::MAX, 60), true);
    }),
    ("waits for ten minutes, the clock is wrong", |world| {
        world.lets_wait = (u32::MAX, 600);
        world.ca_off.set(-30 * DAY);
    }),
    ("waits for a second, the clock is wrong", |world| {
        world.lets_wait = (u32::MAX, 1);
        world.ca_off.set(400 * DAY);
    }),
    ("is busy", |world| {
        world.instead = Some(|_| {
            let mut error = TransportError::new(TransportErrorKind::Busy, Phase::Await, "503");
            error.retry_after_seconds = Some(0);
            Err(error)
        });
    }),
    ("answers garbage", |world| world.instead = Some(|_| Ok(Reply::from_body(b"<html>please wait</html>".to_vec())))),
    ("answers without protection", |world| {
        world.instead = Some(|answer| Ok(Reply::from_body(strip_protection(answer))))
    }),
    ("loses each answer", |world| {
        world.instead = Some(|_| Err(TransportError::new(TransportErrorKind::Timeout, Phase::Await, "lost")));
    }),
    ("refuses, the clock is wrong", |world| {
        world.refuses = Some((BodyType::IR, BAD_REQUEST));
        world.ca_off.set(-400 * DAY);
    }),
    ("is out of order", |world| world.refuses = Some((BodyType::IR, UNAVAILABLE))),
];

/// Every clock x every CA that leads to nothing x first certificate and renewal x both credentials; people who try again in between.
#[test]
fn no_day_has_more_requests_than_its_own_whatever_the_ca_answers() {
    let mut used_up = 0;
    for odd in ODD {
        for (what, trouble) in TROUBLES {
            for (is_renewal, by_secret) in [(false, true), (true, false)] {
                let what = format!("{odd:?}, the CA {what}, renewal: {is_renewal}, secret: {by_secret}");
                let mut world = if is_renewal { World::at_renewal(by_secret) } else { World::new(by_secret) };
                trouble(&mut world);
                let end = world.truth.get().plus(2 * DAY);
                while world.truth.get() < end {
                    let report = world.run(odd.says(world.truth.get()));
                    world.later(i64::from(report.wait_seconds));
                    let plan =
                        world.planner.plan(&world.store, "router", odd.says(world.truth.get().plus(-1))).unwrap();
                    used_up += usize::from(plan.reason == Reason::DayUsedUp);
                    assert!(plan.reason != Reason::DayUsedUp || plan.ask_again_seconds > 0, "{what}: {plan:?}");
                }
                assert!(world.busiest_day() <= MOST_A_DAY, "{what}: {} in a day", world.busiest_day());
            }
        }
    }
    assert!(used_up > 0, "no day was used up");
}

/// The dark twin: what the CA gives in the end is there, and was asked for once.
#[test]
fn who_has_used_the_day_up_goes_on_until_the_ca_issues() {
    for odd in ODD {
        let mut world = World::new(true);
        world.lets_wait = (150, 1);
        let (log, passed) = world.until_installed(odd, 2 * DAY, "it issues");
        assert_eq!(world.count(BodyType::IR), 1, "{odd:?}: {log:#?}");
        assert!(world.busiest_day() <= MOST_A_DAY && passed > DAY / 4, "{odd:?}: {passed} s");
    }
}

/// Device memory was put back from before a renewal, and the CA has ended what it has: it refuses that, in words or in
/// none that say revoked, and takes the other credential.
#[test]
fn who_is_refused_again_and_again_asks_by_the_other_credential_long_before_the_end() {
    for by_secret in [false, true] {
        let mut world = World::at_renewal(by_secret);
        world.refuses = Some((BodyType::KUR, NOT_AUTHORIZED));
        let (begun, first) = (world.truth.get(), world.store.current("router").unwrap());
        let (_, log) = until_new(&mut world, Odd::Right, first.generation, 30 * DAY);
        let passed = world.truth.get().since(begun);
        assert!(passed < 21 * DAY, "{passed} s: {log:#?}");
        assert_eq!(world.count(BodyType::IR), 1, "{log:#?}");
        assert!(world.count(BodyType::KUR) <= 10, "{log:#?}");
        let left = first.certificate.not_after().since(world.truth.get());
        assert!(left > 365 * DAY / 4, "long before it is late: {left}");
    }
}

/// The dark twins: what nobody vouches for counts for nothing, and where there is no other credential none is missed.
#[test]
fn no_other_credential_is_asked_for_a_refusal_that_anybody_can_send_nor_where_there_is_none() {
    let mut world = World::at_renewal(false);
    world.refuses = Some((BodyType::KUR, NOT_AUTHORIZED));
    world.instead = Some(|answer| Ok(Reply::from_body(strip_protection(answer))));
    let first = world.store.current("router").unwrap().generation;
    let (is_new, log) = until_new(&mut world, Odd::Right, first, 30 * DAY);
    assert!(!is_new && world.count(BodyType::IR) == 0, "{log:#?}");

    let mut world = World::at_renewal(true);
    world.config = devid::client::Config::new();
    world.refuses = Some((BodyType::KUR, NOT_AUTHORIZED));
    let (is_new, log) = until_new(&mut world, Odd::Right, first, 30 * DAY);
    assert!(!is_new && log.iter().all(|line| line.starts_with("Update") || line.starts_with("Nothing")), "{log:#?}");
    let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    assert!(plan.has_given_up && plan.alarm >= Alarm::Late, "{plan:?}");
    // It renews once it may.
    world.refuses = None;
    let (is_new, log) = until_new(&mut world, Odd::Right, first, 40 * DAY);
    assert!(is_new, "{log:#?}");
}

/// Does as the reports say; whether a new generation is in use, and the steps.
fn until_new(world: &mut World, odd: Odd, generation: u32, most_seconds: i64) -> (bool, Vec<String>) {
    let (begun, mut log) = (world.truth.get(), Vec::new());
    while world.truth.get().since(begun) < most_seconds {
        let report = world.run(odd.says(world.truth.get()));
        if report.plan.step != Step::Nothing || report.outcome.is_err() {
            log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
        }
        if matches!(report.outcome, Ok(Done::Installed(_))) {
            return (world.store.current("router").unwrap().generation > generation, log);
        }
        world.later(i64::from(report.wait_seconds.max(1)));
    }
    (false, log)
}
