//! What a planner remembers of its looks. A program makes its planner when it starts: by a clock that may have begun anew with the device, its
//! first look is the one that tells something, which is written down; what has passed by each later one need not be. How long it has known of a
//! wait it knows by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::progress::Attempts;
use crate::sorted::Map;

/// Shared by the copies of a planner.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks(Arc<Mutex<Map<String, Known>>>);

/// What is known of an identity's wait.
#[derive(Debug)]
struct Known {
    /// As device memory has it.
    kept: Attempts,
    /// What is left of it from the last look on.
    passed: Attempts,
    /// When it was met with first.
    since: Instant,
}

impl Looks {
    /// Whether a look would be the first.
    pub fn is_first(&self, name: &str) -> bool {
        !self.all().contains_key(name)
    }

    /// What is left of a wait from the last look on.
    pub fn passed(&self, name: &str, kept: Attempts) -> Attempts {
        self.all().get(name).filter(|known| known.kept == kept).map_or(kept, |known| known.passed)
    }

    /// One was made.
    pub fn made(&self, name: &str, kept: Attempts, passed: Attempts) {
        let mut all = self.all();
        let since = all.get(name).filter(|known| known.kept == kept).map_or_else(Instant::now, |known| known.since);
        all.insert(name.to_owned(), Known { kept, passed, since });
    }

    /// How long the process has known of this wait, in seconds.
    pub fn known_seconds(&self, name: &str, kept: Attempts) -> u32 {
        let all = self.all();
        let since = all.get(name).filter(|known| known.kept == kept).map(|known| known.since);
        since.map_or(0, |since| u32::try_from(since.elapsed().as_secs()).unwrap_or(u32::MAX))
    }

    /// As if all had been known for so much longer.
    #[cfg(test)]
    pub fn age(&self, seconds: u64) {
        for known in self.all().values_mut() {
            known.since = known.since.checked_sub(std::time::Duration::from_secs(seconds)).unwrap();
        }
    }

    fn all(&self) -> MutexGuard<'_, Map<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::Progress;
    use super::super::{Meter, Planner, Step};
    use crate::crypto::default_provider;
    use crate::store::Store;
    use crate::time::Time;

    const DAY: i64 = 86_400;
    const TOLD: Time = Time::from_unix(1_800_000_000);

    /// How long after the n-th start the first look is made.
    type Begins = fn(i64) -> i64;

    /// What a clock says so many seconds after the device was switched on for the n-th time; the starts lie a day apart.
    type Says = fn(i64, i64) -> i64;

    const CLOCKS: [(&str, Says); 7] = [
        ("ticks, days off", |start, up| TOLD.unix() - 40 * DAY + start * DAY + up),
        ("ticks, of 1970", |start, up| start * DAY + up),
        ("begins anew in 1970", |_, up| up),
        ("begins anew on its day of making", |_, up| TOLD.unix() - 300 * DAY + up),
        ("stands still", |_, _| 1000),
        ("is set to and fro", |_, up| TOLD.unix() - 40 * DAY - if up / 900 % 2 == 1 { 9 * DAY } else { 0 } + up),
        ("says anything", |start, up| (start * 7919 + up / 900 * 104_729) % 4000 * DAY),
    ];

    fn kept(store: &Store) -> Progress {
        Progress::load(store, &*default_provider(), "router").unwrap().0
    }

    /// Looks each quarter of an hour, `looks` at each start, the first one `begins` after it, while a wait of a day runs. How often a look
    /// has written, and at which start something was due.
    fn live(says: Says, looks: i64, begins: Begins) -> (usize, Option<i64>) {
        let store = Store::in_memory(default_provider());
        store.note_time(TOLD).unwrap();
        let planner_of_a_start = || Planner { meter: Meter::Nothing, ..Planner::new() };
        let clock = |start, up| Some(Time::from_unix(says(start, up)));
        let first = planner_of_a_start();
        first.plan_as_told(&store, "router", clock(0, begins(0))).unwrap();
        first.note_waiting(&store, "router", 86_400, clock(0, begins(0) + 5)).unwrap();
        let mut writes = 0;
        for start in 0..300 {
            let planner = if start == 0 { first.clone() } else { planner_of_a_start() };
            for look in i64::from(start == 0)..looks {
                let before = kept(&store);
                let (plan, _) =
                    planner.plan_as_told(&store, "router", clock(start, begins(start) + look * 900)).unwrap();
                writes += usize::from(kept(&store) != before);
                if plan.step != Step::Nothing {
                    return (writes, Some(start));
                }
            }
        }
        (writes, None)
    }

    #[test]
    fn a_clock_that_is_not_believed_writes_once_a_start_at_most_and_every_wait_ends() {
        let begins: [(i64, Begins); 4] = [
            (2, |_| 20),
            (3, |start| 20 + start % 3 * 90),
            (4, |start| 4000 + start * 400),
            (90, |start| 20 + start % 3 * 90),
        ];
        for (what, says) in CLOCKS {
            for (looks, begins) in begins {
                let (writes, due) = live(says, looks, begins);
                let starts = due.unwrap_or_else(|| panic!("{what}, {looks} looks a start: it waits for ever")) + 1;
                // What a clock has said least goes down a few times more, where it says anything.
                assert!(writes <= usize::try_from(starts).unwrap() + 5, "{what}, {looks}: {writes} in {starts} starts");
            }
        }
    }

    /// The dark twin: a wait by a clock that ticks is not ended by who looks often.
    #[test]
    fn looks_of_one_start_end_no_wait_and_write_nothing_after_the_first() {
        let (says, at_once): (Says, Begins) = (CLOCKS[0].1, |_| 400);
        let store = Store::in_memory(default_provider());
        store.note_time(TOLD).unwrap();
        let planner = Planner { meter: Meter::Nothing, ..Planner::new() };
        let clock = |up: i64| Some(Time::from_unix(says(0, at_once(0) + up)));
        planner.plan_as_told(&store, "router", clock(0)).unwrap();
        planner.note_waiting(&store, "router", 86_400, clock(0)).unwrap();
        planner.plan_as_told(&store, "router", clock(900)).unwrap();
        let noted = kept(&store);
        for look in 2..96 {
            let (plan, _) = planner.plan_as_told(&store, "router", clock(look * 900)).unwrap();
            assert_eq!(plan.step, Step::Nothing, "look {look}");
            assert_eq!(kept(&store), noted, "look {look}");
        }
        assert_ne!(planner.plan_as_told(&store, "router", clock(DAY + 1)).unwrap().0.step, Step::Nothing);
    }
}
