//! A CA whose messages say a time that has been: its word alone puts nothing that has ended in the place of what is valid.

use std::rc::Rc;

use devid::Time;
use devid::client::renewal::Done;

use crate::certificates::time;
use crate::renewal::DAY;
use crate::renewal_waits::{ODD, Odd, World};

/// What it issues is right, whatever its messages say.
fn issuing_for(by_secret: bool, lifetime: i64) -> World {
    let mut world = World::new(by_secret);
    let truth = Rc::clone(&world.truth);
    world.ca.issue = Box::new(move |mut builder| {
        let now = truth.get();
        (builder.not_before, builder.not_after) = (time(now.plus(-300)), time(now.plus(lifetime)));
        builder
    });
    world
}

/// Whose end is whose: in use, and before.
fn in_use(world: &World) -> Option<(u32, Time)> {
    world.store.current("router").ok().map(|identity| (identity.generation, identity.certificate.not_after()))
}

/// Lives for so long; what was in use is never followed by what ends before it, nor by an older generation that has ended.
fn live(world: &mut World, odd: Odd, seconds: i64, what: &str) {
    let (begun, mut log) = (world.truth.get(), Vec::new());
    while world.truth.get().since(begun) < seconds {
        let before = in_use(world);
        let report = world.run(odd.says(world.truth.get()));
        log.push(format!("{} {:?} {:?}/{}", world.truth.get(), report.plan.step, report.outcome, report.wait_seconds));
        if let (Some((was, _)), Some((is, end))) = (before, in_use(world)) {
            assert!(is >= was || end > world.truth.get(), "{what}: {was} became {is}: {log:#?}");
        }
        assert!(log.len() < 3000, "{what}: {log:#?}");
        world.later(i64::from(report.wait_seconds.max(1)));
    }
}

#[test]
fn no_generation_comes_back_that_has_ended_whatever_time_the_ca_says() {
    for odd in ODD {
        for (by_secret, lifetime) in [(false, 7 * DAY), (true, 40 * DAY)] {
            for off in [-30 * DAY, -5 * 365 * DAY, 400 * DAY] {
                let what = format!("{odd:?}, secret: {by_secret}, {lifetime} s, {off} s off");
                let mut world = issuing_for(by_secret, lifetime);
                live(&mut world, odd, 2 * lifetime, &what);
                world.ca_off.set(off);
                live(&mut world, odd, 60 * DAY, &what);
                assert!(world.busiest_day() < 60, "{what}: {} in a day", world.busiest_day());
                // It is right again, and all is as it was.
                world.ca_off.set(0);
                live(&mut world, odd, 45 * DAY, &what);
                assert!(in_use(&world).is_some_and(|(_, end)| end > world.truth.get()), "{what}");
            }
        }
    }
}

/// A clock that is right and a certificate that is valid by it: such a device renews in time, and asks for no other identity, whatever
/// time the CA says.
#[test]
fn who_has_a_right_clock_renews_in_time_by_its_own_identity() {
    for off in [-3 * DAY, -30 * DAY, -400 * DAY] {
        let mut world = issuing_for(false, 30 * DAY);
        live(&mut world, Odd::Right, 40 * DAY, "well");
        world.asked.clear();
        world.ca_off.set(off);
        for _ in 0..120 {
            live(&mut world, Odd::Right, DAY, "off");
            assert!(in_use(&world).is_some_and(|(_, end)| end > world.truth.get()), "{off}: {:?}", world.asked);
        }
        assert_eq!(world.count(devid::asn1::cmp::BodyType::IR), 0, "{off}: {:?}", world.asked);
    }
}

/// Where there is nobody but the identity of before to ask for the next: it asks, and does not come back.
#[test]
fn who_has_no_other_credential_asks_by_the_identity_of_before() {
    let mut world = issuing_for(true, 90 * DAY);
    live(&mut world, Odd::None, 100 * DAY, "well");
    let mut log = Vec::new();
    // What is in use was issued by a CA that was far ahead; now it is right.
    let (ahead, truth) = (400 * DAY, Rc::clone(&world.truth));
    let right = std::mem::replace(
        &mut world.ca.issue,
        Box::new(move |mut builder| {
            let now = truth.get().plus(400 * DAY);
            (builder.not_before, builder.not_after) = (time(now.plus(-300)), time(now.plus(90 * DAY)));
            builder
        }),
    );
    world.ca_off.set(ahead);
    let before = in_use(&world).unwrap().0;
    while in_use(&world).unwrap().0 == before {
        let report = world.run(None);
        log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
        assert!(log.len() < 60, "{log:#?}");
        world.later(i64::from(report.wait_seconds.max(1)));
    }
    world.ca.issue = right;
    world.ca_off.set(0);
    world.config = devid::client::Config::new();
    let right_again = world.truth.get();
    loop {
        let report = world.run(None);
        log.push(format!("{:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
        if matches!(report.outcome, Ok(Done::Installed(_))) {
            break;
        }
        assert!(world.truth.get().since(right_again) < 9 * DAY, "{log:#?}");
        world.later(i64::from(report.wait_seconds.max(1)));
    }
    let identity = world.store.current("router").unwrap();
    assert!(identity.certificate.not_before() <= world.truth.get(), "{log:#?}");
}
