//! How far a clock that is believed has come. One whose battery is empty begins at the same date with each start; where that is later
//! than the last answer of the CA, only what it said before tells that it was set back; and where it is later than that too, only that it
//! says at each start what it said at one before.

use super::known::CLOSE_SECONDS;
use super::uptime::{Reading, SAME_BEGIN_SECONDS};
use crate::error::Error;
use crate::store::Store;
use crate::time::Time;

const RECORD: &str = "clock-seen";
const HEAD: &str = "devid clock 1\n";
const BOOT: &str = "clock-boot";
const BOOT_HEAD: &str = "devid boot 1\n";
/// Of so many boots one is noted whatever the clock says.
const NOTED_BOOTS: u128 = 16;
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
        Err(error) if error.is_of_no_use() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How far a clock that says `says` was set back since, in seconds; `None`: it was not. One that has begun where it had begun at another
/// start is one that may have been, nobody knows how far.
pub(super) fn set_back_seconds(store: &Store, says: Time, reading: Option<&Reading>) -> Result<Option<i64>, Error> {
    let set_back = latest(store)?.map(|latest| latest.since(says)).filter(|off| *off > CLOSE_SECONDS);
    if set_back.is_some() {
        return Ok(set_back);
    }
    let Some((reading, before)) = of_device(reading).zip(boot(store)?) else { return Ok(None) };
    let is_again =
        before.boot != reading.uptime.boot && reading.begin(says).since(before.begin).abs() <= SAME_BEGIN_SECONDS;
    Ok(is_again.then_some(0))
}

/// Where the clock of a process that has one of its own begins, says nothing of the device's.
fn of_device(reading: Option<&Reading>) -> Option<&Reading> {
    reading.filter(|reading| reading.is_of_device)
}

/// Where a clock that was believed had begun at some start of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boot {
    boot: u128,
    begin: Time,
}

fn boot(store: &Store) -> Result<Option<Boot>, Error> {
    match store.blob(BOOT) {
        Ok(bytes) => Ok(std::str::from_utf8(&bytes).ok().and_then(|text| {
            let (boot, begin) = text.strip_prefix(BOOT_HEAD)?.trim_end().split_once(' ')?;
            Some(Boot { boot: u128::from_str_radix(boot, 16).ok()?, begin: Time::from_unix(begin.parse().ok()?) })
        })),
        Err(error) if error.is_of_no_use() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A clock that is believed says `says` in this boot. Noted at few boots: once a week, where it has gone back, and at one boot in
/// sixteen, which its own number chooses, so that one which begins again where it began is met.
pub(super) fn note_boot(store: &Store, says: Time, reading: Option<&Reading>) -> Result<(), Error> {
    let Some(reading) = of_device(reading) else { return Ok(()) };
    let uptime = reading.uptime;
    let begin = reading.begin(says);
    let is_noted = match boot(store)? {
        Some(before) if before.boot == uptime.boot => false,
        Some(before) => !(0..NOTED_SECONDS).contains(&begin.since(before.begin)) || uptime.boot % NOTED_BOOTS == 0,
        None => true,
    };
    if is_noted {
        put_boot(store, Boot { boot: uptime.boot, begin })?;
    }
    Ok(())
}

fn put_boot(store: &Store, Boot { boot, begin }: Boot) -> Result<(), Error> {
    Ok(store.put_blob(BOOT, format!("{BOOT_HEAD}{boot:032x} {}\n", begin.unix()).as_bytes())?)
}

/// An authentic answer agrees with a clock that has begun where it had begun before: it was switched on twice in a moment.
pub(super) fn confirm_boot(store: &Store, says: Time, reading: Option<&Reading>) -> Result<(), Error> {
    match of_device(reading) {
        Some(reading) if set_back_seconds(store, says, Some(reading))? == Some(0) => {
            put_boot(store, Boot { boot: reading.uptime.boot, begin: reading.begin(says) })
        }
        _ => Ok(()),
    }
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
    use super::super::{Clock, Meter, Planner, Step, Uptime};
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

    /// A device that is switched on each day, and looks a minute later; its clock says what `begins` says, and goes on.
    fn doubted_at(begins: impl Fn(u128) -> Time, boots: u128) -> Option<u128> {
        let (store, mut planner) = looked_until(0);
        let uptime = std::sync::Arc::new(std::sync::Mutex::new(Uptime { boot: 0, seconds: 60 }));
        let read = std::sync::Arc::clone(&uptime);
        planner.meter = Meter::Own(std::sync::Arc::new(move || Some(*read.lock().unwrap())));
        for boot in 1..=boots {
            for seconds in [60, 5000] {
                // Boots have numbers without an order.
                *uptime.lock().unwrap() = Uptime { boot: boot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3, seconds };
                let clock = Some(begins(boot).plus(seconds + i64::try_from(boot % 7).unwrap()));
                let (plan, _) = planner.plan_as_told(&store, "router", clock).unwrap();
                if !plan.clock.is_known() {
                    return Some(boot);
                }
            }
        }
        None
    }

    #[test]
    fn a_clock_that_begins_at_the_same_date_with_each_boot_is_doubted_though_it_is_later_than_all_it_has_said() {
        for days in [1, 5, 50, 150, 300] {
            let worst = (1..8).map(|first| {
                let right = |boot: u128| TOLD.plus(i64::try_from(boot).unwrap() * DAY);
                // Right for some days, then its battery is empty.
                doubted_at(|boot| if boot < first { right(boot) } else { TOLD.plus((days + 8) * DAY) }, 200)
            });
            assert!(worst.into_iter().all(|doubted| doubted.is_some_and(|boot| boot < 120)), "{days}");
        }
        // The dark twin: one that goes on, with boots each day, each hour, or each few minutes, is believed.
        for apart in [DAY, 3600, 200] {
            assert_eq!(doubted_at(|boot| TOLD.plus(i64::try_from(boot).unwrap() * apart), 400), None, "{apart}");
        }
    }

    #[test]
    fn who_is_switched_on_twice_in_a_moment_is_believed_again_when_an_answer_agrees() {
        let (store, mut planner) = looked_until(1);
        let at = |planner: &mut Planner, boot: u128| {
            planner.meter = Meter::Own(std::sync::Arc::new(move || Some(Uptime { boot, seconds: 20 })));
        };
        let clock = TOLD.plus(2 * DAY);
        at(&mut planner, 3);
        assert!(planner.plan_as_told(&store, "router", Some(clock)).unwrap().0.clock.is_known());
        at(&mut planner, 4);
        let again = clock.plus(30);
        assert!(!planner.plan_as_told(&store, "router", Some(again)).unwrap().0.clock.is_known());
        planner.note_clock(&store, "router", again, again).unwrap();
        assert!(planner.plan_as_told(&store, "router", Some(again)).unwrap().0.clock.is_known());
    }
}
