//! A CA whose clock is ahead for a while: what it issues then begins later, and nothing valid gives way to it before.

use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Alarm, Done, Standing};

use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// Whether what is in use is valid by the true time.
fn is_usable(world: &World) -> bool {
    let (now, identity) = (world.truth.get(), world.store.current("router").unwrap());
    // As far as clocks may differ.
    identity.certificate.not_before() <= now.plus(600) && now <= identity.certificate.not_after()
}

/// The CA is ahead for the first days of a renewal, of which the device's own clock is right.
fn renewed_while_ahead(world: &mut World, ahead: i64, days: i64) -> Vec<String> {
    world.ca_off.set(ahead);
    let begun = world.truth.get();
    let mut log = Vec::new();
    while world.truth.get().since(begun) < 60 * DAY {
        if world.truth.get().since(begun) > days * DAY {
            world.ca_off.set(0);
        }
        let report = world.run(Some(world.truth.get()));
        log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
        assert!(is_usable(world), "{ahead}: {log:#?}");
        world.later(i64::from(report.wait_seconds.max(1)));
        assert!(is_usable(world), "{ahead}, while it is waited: {log:#?}");
        assert!(log.len() < 300, "{ahead}: {log:#?}");
    }
    log
}

#[test]
fn a_valid_identity_does_not_give_way_to_one_that_begins_later_by_its_own_clock() {
    for by_secret in [false, true] {
        for days in [1, 10, 30, 100] {
            for ahead in [2 * 3600, 3 * DAY, 40 * DAY] {
                let mut world = World::at_renewal(by_secret);
                let log = renewed_while_ahead(&mut world, ahead, days);
                assert!(world.store.current("router").unwrap().generation > 1, "{ahead} {days}: {log:#?}");
                assert!(world.count(BodyType::GENM) < 40, "{ahead} {days}: {log:#?}");
            }
        }
    }
}

/// An identity that the CA's time has ended is exchanged, whichever clock is right: its word is asked for again soon, and once it is right
/// the generation before is back.
#[test]
fn a_certificate_in_use_by_the_cas_word_alone_is_asked_about_within_a_day() {
    for (by_secret, has_clock) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut world = World::at_renewal(by_secret);
        world.ca_off.set(200 * DAY);
        let (begun, mut log, mut exchanged, mut lost) = (world.truth.get(), Vec::new(), false, 0);
        while world.truth.get().since(begun) < 60 * DAY {
            if world.truth.get().since(begun) > DAY {
                world.ca_off.set(0);
            }
            let report = world.run(has_clock.then(|| world.truth.get()));
            let wait = i64::from(report.wait_seconds.max(1));
            log.push(format!("{:?} {:?}/{wait}", report.plan.step, report.outcome));
            exchanged |= !is_usable(&world);
            lost += if is_usable(&world) { 0 } else { wait };
            world.later(wait);
            assert!(log.len() < 100, "{log:#?}");
        }
        assert!(exchanged && is_usable(&world), "{by_secret} {has_clock}: {log:#?}");
        assert!(lost < 9 * DAY / 4, "{by_secret} {has_clock}, {lost} s: {log:#?}");
    }
}

/// Without a clock the CA's word is the time. Once it is right again, the generation before is in use until the new one begins.
#[test]
fn without_a_clock_the_generation_before_comes_back_where_the_new_one_begins_later_after_all() {
    for by_secret in [false, true] {
        let mut world = World::at_renewal(by_secret);
        world.ca_off.set(10 * DAY);
        let mut log = Vec::new();
        let is_early = |world: &World| {
            world.store.current("router").unwrap().certificate.not_before() > world.truth.get().plus(600)
        };
        while !is_early(&world) {
            let report = world.run(None);
            world.later(i64::from(report.wait_seconds.max(1)));
            assert!(log.len() < 20, "{log:#?}");
            log.push(format!("{:?} {:?}", report.plan.step, report.outcome));
        }
        world.ca_off.set(0);
        let right_again = world.truth.get();
        while !is_usable(&world) {
            let report = world.run(None);
            log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
            if is_usable(&world) {
                assert!(report.plan.alarm >= Alarm::Late && !report.plan.findings.is_empty(), "{report:?}");
            }
            world.later(i64::from(report.wait_seconds.max(1)));
            assert!(log.len() < 40, "{log:#?}");
        }
        let wait = world.truth.get().since(right_again);
        assert!(wait < 9 * DAY, "{wait}: {log:#?}");
        // From then on it is renewed as ever, and no day is without.
        for _ in 0..20 {
            let report = world.run(None);
            log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
            assert!(is_usable(&world), "{log:#?}");
            world.later(i64::from(report.wait_seconds.max(1)));
        }
        assert!(world.store.current("router").unwrap().generation > 2, "{log:#?}");
    }
}

/// The dark twins: a first certificate is taken as it comes, by whichever clock it has begun; and so it is where no time is told at all.
#[test]
fn a_first_certificate_is_in_use_at_once_by_the_later_clock_and_where_nobody_tells_the_time() {
    for ahead in [0, 400, 900, 3000, 3700, 3 * DAY] {
        let mut world = World::new(true);
        world.ca_off.set(ahead + 60);
        let report = world.run(Some(world.truth.get()));
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{ahead}: {report:?}");
    }
    let mut world = World::new(true);
    world.ca.bend = Some(Box::new(|answer| answer.header.message_time = None));
    let report = world.run(None);
    assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    // Who is asked for the time later is judged as of a time that has been.
    world.later(DAY);
    world.ca.bend = None;
    let report = world.run(None);
    assert!(!report.outcome.as_ref().is_err_and(|error| error.to_string().contains("1970")), "{report:?}");
}

/// An identity that begins later by the clock and by the CA is asked about as any failure is waited out, and people are told.
#[test]
fn an_identity_that_is_not_valid_yet_by_two_witnesses_is_told_and_asked_about_rarely() {
    let mut world = World::new(true);
    world.ca_off.set(40 * DAY);
    world.until_installed(Odd::Right, 0, "the first");
    world.ca_off.set(0);
    world.asked.clear();
    let begun = world.truth.get();
    let mut log = Vec::new();
    while world.truth.get().since(begun) < 30 * DAY && !is_usable(&world) {
        let report = world.run(Some(world.truth.get()));
        let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
        if plan.standing == Standing::NotYetValid {
            assert!(plan.alarm >= Alarm::Late, "{plan:?}");
        }
        world.later(i64::from(report.wait_seconds.max(1)));
        log.push(format!(
            "{:?} {} {:?}/{}",
            report.plan.step, report.plan.attempts, report.outcome, report.wait_seconds
        ));
        assert!(log.len() < 100, "{log:#?}");
    }
    assert!(world.count(BodyType::GENM) < 20, "{:?}", world.asked);
    assert!(is_usable(&world), "another one is asked for in the end");
}
