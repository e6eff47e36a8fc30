//! Those who are trusted end: people are told before the last one of a set does, of whatever purpose the set is.

use devid::client::renewal::{Alarm, Planner, Reason, Step};
use devid::store::{AnchorSet, NewKey, ProblemKind, Signer, Store};
use devid::time::Time;

use crate::certificates::{Builder, Party, now, provider};
use crate::renewal::DAY;

fn root(from_day: i64, days: i64) -> Party {
    let begin = now().plus(from_day * DAY);
    Builder::ca("Operator root").valid(begin, begin.plus(days * DAY)).self_signed()
}

/// The alarms that an identity alone would have, and those of a root on the day.
fn alarm(store: &Store, day: i64) -> (Alarm, Vec<String>) {
    let plan = Planner::new().plan(store, "device", Some(now().plus(day * DAY))).unwrap();
    let found = plan.findings.iter().inspect(|found| assert_eq!(found.kind, ProblemKind::Ending));
    (plan.alarm, found.map(|found| format!("{}: {}", found.place, found.text)).collect())
}

/// A device with an identity of 30 years, so that nothing else raises an alarm.
fn device() -> Store {
    let store = Store::in_memory(provider().clone());
    let ca = Builder::ca("Somebody").valid(now().plus(-DAY), now().plus(40_000 * DAY)).self_signed();
    let leaf = Builder::leaf("device").valid(now().plus(-DAY), now().plus(30_000 * DAY)).signed_by(&ca);
    let new = devid::store::NewIdentity {
        key: NewKey::Given(Signer::from(&leaf.key)),
        certificate: &leaf.certificate,
        chain: &[],
        purpose: "ldevid",
        at: now(),
    };
    store.install("device", &new).unwrap();
    store
}

#[test]
fn the_end_of_the_last_one_of_a_set_is_told_before_and_after() {
    for set in AnchorSet::ALL {
        // A root of ten years: half a year and a month before its end; one of a month: by the shares of its life.
        for (days, quiet, late, urgent) in [(3650, 3400, 3500, 3630), (30, 20, 25, 28)] {
            let store = device();
            store.set_anchors(set, &[root(0, days).certificate]).unwrap();
            assert_eq!(alarm(&store, quiet), (Alarm::Quiet, Vec::new()), "{set:?} {days}");
            for (day, expected, words) in [
                (late, Alarm::Late, "ends at"),
                (urgent, Alarm::Urgent, "ends at"),
                (days + 1, Alarm::Urgent, "ended at"),
                (days + 400, Alarm::Urgent, "ended at"),
            ] {
                let (found, told) = alarm(&store, day);
                assert_eq!(found, expected, "{set:?} {days} day {day}");
                let place = format!("anchors/{}.pem: CN=Operator root", set.name());
                assert!(told.len() == 1 && told[0].starts_with(&place) && told[0].contains(words), "{told:?}");
            }
            // A successor, or another one that lasts, ends the alarm; the one that has ended beside it raises none.
            store.set_anchors(set, &[root(0, days).certificate, root(days - 10, 20_000).certificate]).unwrap();
            for day in [late, urgent, days + 1] {
                assert_eq!(alarm(&store, day), (Alarm::Quiet, Vec::new()), "{set:?} {days} day {day}");
            }
        }
    }
}

#[test]
fn a_successor_is_asked_for_whatever_set_the_root_is_in() {
    for set in AnchorSet::ALL {
        let store = device();
        store.set_anchors(set, &[root(0, 30).certificate]).unwrap();
        let plan = Planner::new().plan(&store, "device", Some(now().plus(27 * DAY))).unwrap();
        let Step::AskForRoot(anchor) = &plan.step else { panic!("{set:?}: {plan:?}") };
        assert_eq!((anchor.set, anchor.index), (set, 0));
    }
}

/// The moments at which an alarm changes are moments at which to look again.
#[test]
fn whoever_comes_back_as_told_sees_each_alarm_when_it_begins() {
    let store = device();
    store.set_anchors(AnchorSet::Tls, &[root(0, 30).certificate]).unwrap();
    let planner = Planner::new();
    let (mut at, mut seen): (Time, Vec<(Alarm, i64)>) = (now(), Vec::new());
    while at < now().plus(35 * DAY) {
        let plan = planner.plan(&store, "device", Some(at)).unwrap();
        if seen.last().is_none_or(|(alarm, _)| *alarm != plan.alarm) {
            seen.push((plan.alarm, at.since(now()) / 3600));
        }
        if let Step::AskForRoot(_) = plan.step {
            planner.note_attempt(&store, "device", &plan.step, Some(at)).unwrap();
        } else {
            assert_eq!(plan.reason, Reason::NothingDue);
        }
        at = at.plus(i64::from(plan.ask_again_seconds.max(1)));
    }
    // 80 and 93 of a hundred.
    assert_eq!(seen, [(Alarm::Quiet, 0), (Alarm::Late, 24 * 24), (Alarm::Urgent, 669)]);
}
