//! What is found unfinished, and whose it is: another's conversation, a request that nobody has answered, a certificate whose time has
//! not come.

use devid::asn1::cmp::BodyType;
use devid::client::Destination;
use devid::client::renewal::{Done, Standing};
use devid::store::Store;
use devid::time::Time;

use crate::certificates::time;
use crate::renewal::DAY;
use crate::renewal_waits::{Odd, World};

/// By another thread, or as good as by another process.
fn somebodys_conversation(store: &Store) -> devid::store::Conversation {
    let to = Destination { store, name: "router", purpose: "ldevid" };
    std::thread::scope(|scope| scope.spawn(|| to.converse().unwrap()).join().unwrap())
}

#[test]
fn nobody_goes_into_the_middle_of_anothers_conversation() {
    for waits in [false, true] {
        let mut world = World::at_renewal(true);
        if waits {
            world.lets_wait = (1, 3600);
            let report = world.run(Some(world.truth.get()));
            assert!(matches!(report.outcome, Ok(Done::Waiting)), "{report:?}");
            world.later(i64::from(report.wait_seconds) + 1);
        }
        let (asked, before) = (world.asked.len(), world.store.state("router").unwrap());
        let conversation = somebodys_conversation(&world.store);
        for _ in 0..3 {
            let report = world.run(Some(world.truth.get()));
            assert!(matches!(report.outcome, Ok(Done::Nothing)), "{report:?}");
            assert!((2..3600).contains(&report.wait_seconds), "it is looked at again, and soon: {report:?}");
        }
        assert_eq!((world.asked.len(), world.store.state("router").unwrap()), (asked, before), "nothing was touched");
        drop(conversation);
        let (log, _) = world.until_installed(Odd::Right, DAY, "when it is over");
        assert_eq!(world.asked.iter().filter(|(_, body)| *body == BodyType::KUR).count(), 1, "{log:?}");
    }
}

/// The dark twin: who is in a conversation with another identity, or has nothing to do, keeps nobody and is kept by nobody.
#[test]
fn a_conversation_holds_up_its_own_identity_alone() {
    let mut world = World::new(true);
    let other = Destination { store: &world.store, name: "second", purpose: "ldevid" }.converse().unwrap();
    world.until_installed(Odd::Right, 0, "beside another one's");
    drop(other);
    let conversation = somebodys_conversation(&world.store);
    let report = world.run(Some(world.truth.get()));
    assert!(matches!(report.outcome, Ok(Done::Nothing)) && report.wait_seconds > 3600, "nothing is due: {report:?}");
    drop(conversation);
}

/// The answer to the first request never came, and the clock was set since: that it has begun in 1970 is one clock's word alone, so the same
/// request goes out again, which the CA may have in its hands.
#[test]
fn a_request_that_nobody_has_answered_goes_out_again_whatever_the_clock_said_then() {
    for by_secret in [false, true] {
        let mut world = World::new(by_secret);
        world.loses = Some(BodyType::IR);
        let report = world.run(Some(Time::from_unix(1000)));
        assert!(report.outcome.is_err(), "{report:?}");
        world.later(40 * DAY);
        let report = world.run(Some(world.truth.get()));
        assert!(matches!(report.outcome, Ok(Done::Installed(_))), "{report:?}");
    }
}

/// By no clock, or one that is not believed, a wait is measured in parts; that all are over only the time tells.
#[test]
fn without_the_time_the_next_certificate_comes_into_use_when_it_begins_and_not_before() {
    for clock in [Odd::None, Odd::Right] {
        for days in [2, 8, 10, 20] {
            let what = format!("{clock:?}, in {days} days");
            let mut world = World::at_renewal(false);
            let begins = world.truth.get().plus(days * DAY);
            world.ca.issue = Box::new(move |mut builder| {
                (builder.not_before, builder.not_after) = (time(begins), time(begins.plus(365 * DAY)));
                builder
            });
            let mut log = Vec::new();
            loop {
                let report = world.run(clock.says(world.truth.get()));
                let left = begins.since(world.truth.get());
                log.push(format!("{left} left: {:?} {:?}/{}", report.plan.step, report.outcome, report.wait_seconds));
                assert!(log.len() < 60 && left > -3 * DAY, "{what}: {log:#?}");
                if let Ok(Done::Installed(_)) = &report.outcome {
                    assert!(left <= 3600, "{what}: too early: {log:#?}");
                    break;
                }
                let plan = world.planner.plan(&world.store, "router", Some(world.truth.get())).unwrap();
                assert_eq!(plan.standing, Standing::Valid, "{what}: {log:#?}");
                world.later(i64::from(report.wait_seconds.max(1)));
            }
            assert_eq!(world.count(BodyType::KUR), 1, "{what}: {log:#?}");
            assert!(world.busiest_day() <= 12, "{what}: {log:#?}");
        }
    }
}
