//! A CA whose clock is set forward or back, stands still, or differs between the nodes of a cluster, at any moment before a
//! renewal is due: a device by whatever clock asks a bounded number of times, and its certificate is renewed in time.

use devid::asn1::cmp::BodyType;
use devid::client::renewal::{Done, Standing};

use crate::certificates::now;
use crate::renewal::DAY;
use crate::renewal_waits::{ODD, Odd, World};

/// What the CA's clock does, from the moment on at which the device has been told how long nothing is due.
#[derive(Clone, Copy, Debug)]
enum Odder {
    /// It is set once.
    Set(i64),
    /// Every other answer comes from a node whose clock is off.
    EveryOther(i64),
    /// Each answer is so much more off than the one before.
    Drifts(i64),
    /// It stands still for so long, then it is right again.
    Stands(i64),
}

const STEPS: [i64; 5] = [1, 60, 1800, 3601, 7200];

fn all() -> Vec<Odder> {
    let signed = STEPS.into_iter().flat_map(|seconds| [-seconds, seconds]);
    let mut all: Vec<Odder> = signed.flat_map(|step| [Odder::Set(step), Odder::EveryOther(step)]).collect();
    all.extend([Odder::Drifts(-1), Odder::Drifts(-60), Odder::Stands(1800), Odder::Stands(6 * 3600)]);
    all
}

impl Odder {
    /// How far the CA's clock is off at the n-th look, `passed` seconds after the first.
    fn off(self, look: usize, passed: i64) -> i64 {
        match self {
            Odder::Set(step) => step,
            Odder::EveryOther(step) => step * i64::from(look % 2 == 0),
            Odder::Drifts(step) => step * i64::try_from(look).unwrap(),
            Odder::Stands(seconds) => -passed.min(seconds) * i64::from(passed < seconds),
        }
    }
}

/// Every clock x everything that the CA's does, from some moment before the renewal on.
#[test]
fn whatever_the_clock_of_the_ca_does_the_device_asks_a_bounded_number_of_times_and_renews() {
    for (n, odd) in ODD.into_iter().enumerate() {
        for (m, odder) in all().into_iter().enumerate() {
            let before = [4, 600][(n + m) % 2];
            renews(odd, odder, before, &format!("{odd:?}, {odder:?} {before} s before"));
        }
    }
}

fn renews(odd: Odd, odder: Odder, before: i64, what: &str) {
    // The first certificate as everybody gets it, whatever the clock is: then it fails.
    let mut world = World::new(true);
    world.until_installed(Odd::Right, 0, "the first");
    let due = world.planner.plan(&world.store, "router", Some(now())).unwrap().renewal_at.unwrap();
    world.later(due.since(now()) - before);
    let mut report = world.run(odd.says(world.truth.get()));
    world.asked.clear();
    let begun = world.truth.get();
    // Who is slow by days finds it due so much later.
    let slow = if let Odd::Off(off) = odd { (-off).max(0) } else { 0 };
    let mut log = vec![format!("{:?}/{}", report.outcome, report.wait_seconds)];
    for look in 0.. {
        if matches!(report.outcome, Ok(Done::Installed(_))) {
            break;
        }
        world.later(i64::from(report.wait_seconds.max(1)));
        let passed = world.truth.get().since(begun);
        assert!(passed < 3 * DAY + slow && look < 80, "{what}: not renewed: {log:#?}");
        world.ca_off.set(odder.off(look, passed));
        report = world.run(odd.says(world.truth.get()));
        log.push(format!("{passed}: {:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
    }
    assert!(world.busiest_day() <= 40, "{what}: {} in a day: {log:#?}", world.busiest_day());
    let asked = world.count(BodyType::IR) + world.count(BodyType::KUR);
    assert!(asked <= 2, "{what}: {log:#?}");
    let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
    let is_good = matches!(plan.standing, Standing::Valid | Standing::NotYetValid | Standing::Unknown);
    assert!(is_good, "{what}: {plan:?}");
}
