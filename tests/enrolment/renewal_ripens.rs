//! A renewed certificate that is not valid yet is held beside the one in use, as long as that is valid.

use devid::Time;
use devid::asn1::cmp::BodyType;

use crate::certificates::time;
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

const HOUR: i64 = 3600;

/// A CA that dates its certificates so far ahead of its own clock, which is right.
fn dating_ahead(by_secret: bool, seconds: i64) -> World {
    let mut world = World::new(by_secret);
    date_ahead(&mut world, seconds);
    world
}

fn date_ahead(world: &mut World, seconds: i64) {
    let truth = world.truth.clone();
    world.ca.issue = Box::new(move |mut builder| {
        let begins = truth.get().plus(seconds);
        (builder.not_before, builder.not_after) = (time(begins), time(begins.plus(365 * DAY)));
        builder
    });
}

fn validity(world: &World) -> (Time, Time) {
    let certificate = world.store.current("router").unwrap().certificate;
    (certificate.not_before(), certificate.not_after())
}

fn is_valid(world: &World) -> bool {
    let (begins, ends) = validity(world);
    (begins..=ends).contains(&world.truth.get())
}

/// Looks, with the clock as it is off then, and waits as told.
fn look(world: &mut World, off: Option<i64>) {
    let clock = off.map(|off| world.truth.get().plus(off));
    let report = world.run(clock);
    world.later(i64::from(report.wait_seconds).clamp(1, DAY / 4));
}

/// How the device's clock is off, as of the look that is the first after the day on which the identity is to be renewed.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Right,
    /// A little ahead, always.
    Ahead,
    /// Far ahead at a single look, weeks before anything is due.
    Leaps,
    None,
}

#[test]
fn a_renewed_certificate_is_in_use_from_when_it_begins_and_the_one_before_until_then() {
    for by_secret in [false, true] {
        for clock in [Clock::Right, Clock::Ahead, Clock::Leaps, Clock::None] {
            for ahead in [100, HOUR / 2, HOUR - 100, 2 * HOUR, 10 * DAY] {
                let what = format!("{by_secret}, {clock:?}, {ahead} s");
                let mut world = World::new(by_secret);
                world.until_installed(Odd::Right, 0, "the first");
                let first = validity(&world);
                date_ahead(&mut world, ahead);
                world.later(if matches!(clock, Clock::Leaps) { 190 * DAY } else { 240 * DAY });
                let mut looks = 0;
                let used = loop {
                    let off = match clock {
                        Clock::Right => Some(0),
                        Clock::Ahead => Some(HOUR / 2),
                        Clock::Leaps if looks == 0 => Some(60 * DAY),
                        Clock::Leaps => Some(0),
                        Clock::None => None,
                    };
                    look(&mut world, off);
                    looks += 1;
                    // Without a clock that is as exact as clocks may differ.
                    let is_close = matches!(clock, Clock::None) && validity(&world).0.since(world.truth.get()) <= 300;
                    assert!(
                        is_valid(&world) || is_close,
                        "{what}: in use {:?} at {}",
                        validity(&world),
                        world.truth.get()
                    );
                    if validity(&world) != first {
                        break world.truth.get();
                    }
                    assert!(looks < 2000, "{what}: never in use");
                };
                let begins = validity(&world).0;
                assert!(used.since(begins) <= 2 * DAY, "{what}: begins {begins}, in use at {used}");
                assert_eq!(world.count(BodyType::KUR), 1, "{what}: {:?}", world.asked);
            }
        }
    }
}

/// The dark twins: where nothing else is valid, a certificate is in use as soon as clocks may differ so far.
#[test]
fn where_none_is_valid_the_new_one_is_in_use_at_once() {
    for by_secret in [false, true] {
        let mut world = dating_ahead(by_secret, 200);
        world.until_installed(Odd::Right, 0, "the first");
        assert!(!is_valid(&world), "{by_secret}: by seconds");
        let first = validity(&world);
        world.later(400 * DAY);
        let since = world.truth.get();
        while validity(&world) == first {
            look(&mut world, Some(0));
            assert!(world.truth.get().since(since) <= HOUR, "{by_secret}: it has ended");
        }
    }
}
