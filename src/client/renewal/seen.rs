//! How far a clock that is believed has come. One whose battery is empty begins at the same date with each start; where that is later
//! than the last answer of the CA, only what it said before tells that it was set back.

use super::decide::CLOSE_SECONDS;
use crate::error::Error;
use crate::store::{Store, StoreErrorKind};
use crate::time::Time;

const RECORD: &str = "clock-seen";
const HEAD: &str = "devid clock 1\n";
/// How far the clock gets between two notes, in seconds: some fifty writes a year.
const NOTED_SECONDS: i64 = 7 * 86_400;
/// A clock that has got further since is not noted, in seconds: it was off, or has jumped, and an answer will tell.
const LONGEST_JUMP_SECONDS: i64 = 120 * 86_400;

/// The latest that a believed clock has said, as far as it was noted. A record that is damaged counts as none.
pub(super) fn latest(store: &Store) -> Result<Option<Time>, Error> {
    match store.blob(RECORD) {
        Ok(bytes) => {
            let seconds =
                std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_prefix(HEAD)?.trim_end().parse().ok());
            Ok(seconds.map(Time::from_unix))
        }
        Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How far a clock that says `says` was set back since, in seconds; `None`: it was not.
pub(super) fn set_back_seconds(store: &Store, says: Time) -> Result<Option<i64>, Error> {
    Ok(latest(store)?.map(|latest| latest.since(says)).filter(|off| *off > CLOSE_SECONDS))
}

/// A clock that is believed says `says`; `told` is the time of the last answer.
pub(super) fn note(store: &Store, says: Time, told: Time) -> Result<(), Error> {
    let passed = says.since(latest(store)?.map_or(told, |latest| latest.max(told)));
    if (NOTED_SECONDS..=LONGEST_JUMP_SECONDS).contains(&passed) {
        store.put_blob(RECORD, format!("{HEAD}{}\n", says.unix()).as_bytes())?;
    }
    Ok(())
}

/// An authentic answer has said `said`: what a clock has said beyond that was wrong.
pub(super) fn correct(store: &Store, said: Time) -> Result<(), Error> {
    if latest(store)?.is_some_and(|latest| latest.since(said) > CLOSE_SECONDS) {
        store.remove_blob(RECORD)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Clock, Planner, Step};
    use super::*;
    use crate::crypto::default_provider;

    const DAY: i64 = 86_400;
    const TOLD: Time = Time::from_unix(1_800_000_000);

    /// Looks once a day by a right clock, after an answer on day 0.
    fn looked_until(day: i64) -> (Store, Planner) {
        let (store, planner) = (Store::in_memory(default_provider()), Planner::new());
        store.note_time(TOLD).unwrap();
        for day in 1..=day {
            planner.plan_as_told(&store, "router", Some(TOLD.plus(day * DAY))).unwrap();
        }
        (store, planner)
    }

    #[test]
    fn a_clock_that_begins_behind_what_it_has_said_is_doubted_wherever_it_begins() {
        for begins in [1, 5, 50, 90] {
            let (store, planner) = looked_until(100);
            let plan = planner.plan(&store, "router", Some(TOLD.plus(begins * DAY))).unwrap();
            assert!(matches!(plan.clock, Clock::Doubted { .. }), "{begins}: {:?}", plan.clock);
            // An answer that agrees with it ends the doubt: it was before that it was wrong.
            planner.note_clock(&store, "router", TOLD.plus(begins * DAY), TOLD.plus(begins * DAY)).unwrap();
            let plan = planner.plan(&store, "router", Some(TOLD.plus(begins * DAY))).unwrap();
            assert!(plan.clock.is_known() && plan.step == Step::Enroll, "{begins}: {plan:?}");
        }
    }

    #[test]
    fn a_clock_that_gets_on_is_believed_and_written_down_now_and_then() {
        let (store, planner) = looked_until(0);
        let mut written = 0;
        for look in 1..4 * 365 {
            let (before, clock) = (latest(&store).unwrap(), TOLD.plus(look * DAY / 4));
            let (plan, _) = planner.plan_as_told(&store, "router", Some(clock)).unwrap();
            assert!(plan.clock.is_known());
            written += i32::from(latest(&store).unwrap() != before);
        }
        assert!((40..60).contains(&written), "{written}");
        // One look by a clock that is years ahead is no mark that a right one would be behind.
        planner.plan_as_told(&store, "router", Some(TOLD.plus(8000 * DAY))).unwrap();
        assert!(planner.plan(&store, "router", Some(TOLD.plus(365 * DAY))).unwrap().clock.is_known());
    }
}
