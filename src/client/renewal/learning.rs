//! What is made of a time in an authentic answer. One answer decides nothing that a later one could not correct: the last
//! known time counts for every later judgement, so a CA whose clock was wrong once would end a device for good.
//!
//! | what the answer says | what becomes of it |
//! | --- | --- |
//! | beyond the end of every anchor | nothing: that authority has no such time |
//! | as the clock, within the hour | believed; a last known time that lies ahead of both is given up |
//! | other than a clock that is not behind | believed for this run, never kept |
//! | the same, in the past, carried by people | it was so late then: kept, and the clock's word stands |
//! | no clock; up to a year after the last known time | believed and kept |
//! | no clock; further ahead, or before the last known time | kept as a question; believed when a second answer agrees |

use super::known::{CLOSE_SECONDS, Clock};
use crate::error::Error;
use crate::store::Store;
use crate::time::Time;

/// Device memory keeps the time in question under this name.
const RECORD: &str = "renewal-time-in-question";
/// And under this one the latest that was told.
const HIGHEST: &str = "renewal-latest-time";
const HEAD: &str = "devid time 1\n";
/// A first answer is believed so far ahead of the last known time, in seconds.
const YEAR_SECONDS: i64 = 366 * 86_400;

/// What was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    /// It is this late.
    Time(Time),
    /// A second answer has to say the same.
    InQuestion(Time),
    /// Nothing.
    Nothing,
}

/// A time that was learnt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// It is this late.
    pub now: Time,
    /// What the answer itself said, which may be behind what was known before.
    pub said: Time,
}

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Later(Time),
    /// Also if it is earlier than what is known.
    Instead(Time),
    Question(Time),
    Nothing,
}

/// An authentic answer's word about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Its messageTime.
    pub at: Time,
    /// People have carried it: it was so late when it was written, and is so late at least.
    pub is_carried: bool,
}

impl Said {
    /// How far it is ahead of a clock that says `clock`, in seconds; negative: behind. `None`: it is about nothing that the clock says, as
    /// the clock may have got there while it was carried.
    pub fn off_seconds(self, clock: Time) -> Option<i64> {
        Some(self.at.since(clock)).filter(|off| !self.is_carried || *off > CLOSE_SECONDS)
    }
}

/// Takes in what an authentic answer said. `latest`: the end of the anchors.
pub(super) fn take_in(store: &Store, said: Said, clock: Option<Time>, latest: Time) -> Result<Learnt, Error> {
    let known = match store.last_known_time() {
        Ok(known) => known,
        Err(error) if error.is_damage() => None,
        // Of what a newer version wrote nothing is written over: it is believed for this run.
        Err(error) if error.is_of_no_use() => return Ok(weigh(said, clock, None, None, latest).0),
        Err(error) => return Err(error.into()),
    };
    let question = in_question(store)?;
    let (learnt, keep) = weigh(said, clock, known, question, latest);
    match keep {
        Keep::Later(time) => {
            store.note_time(time)?;
        }
        Keep::Instead(time) => {
            // It was authentic, too: see `witnesses`.
            known.map_or(Ok(()), |known| note_highest(store, known))?;
            // Dying in between leaves no time, which is learnt like the first one.
            store.forget_time()?;
            store.note_time(time)?;
        }
        Keep::Question(time) => store.put_blob(RECORD, format!("{HEAD}{}\n", time.unix()).as_bytes())?,
        Keep::Nothing => {}
    }
    if matches!(keep, Keep::Later(_) | Keep::Instead(_)) && question.is_some() {
        forget(store)?;
    }
    Ok(learnt)
}

/// The time that one answer said and no second one confirmed.
pub(super) fn in_question(store: &Store) -> Result<Option<Time>, Error> {
    read(store, RECORD)
}

fn read(store: &Store, record: &str) -> Result<Option<Time>, Error> {
    match store.blob(record) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_prefix(HEAD));
            Ok(text.and_then(|text| text.trim_end().parse().ok()).map(Time::from_unix))
        }
        Err(error) if error.is_of_no_use() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The latest time that answers have told before others set it back. A record that is damaged counts as none.
pub(super) fn highest(store: &Store) -> Result<Option<Time>, Error> {
    read(store, HIGHEST)
}

fn note_highest(store: &Store, time: Time) -> Result<(), Error> {
    if highest(store)? < Some(time) {
        store.put_blob(HIGHEST, format!("{HEAD}{}\n", time.unix()).as_bytes())?;
    }
    Ok(())
}

/// Forgets it, and what is in question.
pub(super) fn forget_all(store: &Store) -> Result<(), Error> {
    store.remove_blob(HIGHEST)?;
    forget(store)
}

/// Gives it up.
pub(super) fn forget(store: &Store) -> Result<(), Error> {
    Ok(store.remove_blob(RECORD)?)
}

fn weigh(
    answer: Said,
    clock: Option<Time>,
    known: Option<Time>,
    question: Option<Time>,
    latest: Time,
) -> (Learnt, Keep) {
    let said = answer.at;
    if said >= latest {
        return (Learnt::Nothing, Keep::Nothing);
    }
    if let Some(now) = clock {
        let is_near = said.since(now).abs() <= CLOSE_SECONDS;
        match Clock::new(clock, known).contradicted(None, known) {
            // Clock and CA agree, and what is known lies ahead of both.
            Clock::Behind { .. } if is_near => {
                let later = now.max(said);
                return (Learnt::Time(later), Keep::Instead(later));
            }
            Clock::Behind { .. } | Clock::Unknown { .. } => {}
            // It says what cannot be: as without a clock.
            Clock::Doubted { .. } => {}
            Clock::Known(now) if answer.off_seconds(now).is_none() => return (Learnt::Time(now), Keep::Later(said)),
            Clock::Known(_) if is_near => return (Learnt::Time(said), Keep::Later(said)),
            Clock::Known(_) => return (Learnt::Time(said), Keep::Nothing),
        }
    }
    let Some(known) = known else { return (Learnt::Time(said), Keep::Later(said)) };
    let is_near = |time: Time| (-CLOSE_SECONDS..=YEAR_SECONDS).contains(&said.since(time));
    if is_near(known) {
        let later = said.max(known);
        return (Learnt::Time(later), Keep::Later(later));
    }
    match question.filter(|question| is_near(*question)) {
        Some(_) if said > known => (Learnt::Time(said), Keep::Later(said)),
        Some(_) => (Learnt::Time(said), Keep::Instead(said)),
        None => (Learnt::InQuestion(said), Keep::Question(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    const DAY: i64 = 86_400;
    const NOW: Time = Time::from_unix(1_800_000_000);
    const LATEST: Time = Time::from_unix(1_800_000_000 + 30 * 365 * DAY);

    fn says(store: &Store, days: i64, clock: Option<i64>) -> Learnt {
        let said = Said { at: NOW.plus(days * DAY), is_carried: false };
        take_in(store, said, clock.map(|days| NOW.plus(days * DAY)), LATEST).unwrap()
    }

    fn brings(store: &Store, days: i64, clock: Option<i64>) -> Learnt {
        let said = Said { at: NOW.plus(days * DAY), is_carried: true };
        take_in(store, said, clock.map(|days| NOW.plus(days * DAY)), LATEST).unwrap()
    }

    fn known(store: &Store) -> Option<i64> {
        store.last_known_time().unwrap().map(|time| time.since(NOW) / DAY)
    }

    fn store() -> Store {
        Store::in_memory(default_provider())
    }

    #[test]
    fn without_a_clock_a_leap_of_years_needs_a_second_answer_and_a_wrong_one_is_corrected() {
        let store = store();
        assert_eq!(says(&store, 0, None), Learnt::Time(NOW));
        assert_eq!(says(&store, 200, None), Learnt::Time(NOW.plus(200 * DAY)));
        assert_eq!(says(&store, 2000, None), Learnt::InQuestion(NOW.plus(2000 * DAY)));
        assert_eq!(known(&store), Some(200));
        assert_eq!(says(&store, 201, None), Learnt::Time(NOW.plus(201 * DAY)), "the CA is right again");
        assert_eq!(in_question(&store).unwrap(), None);

        says(&store, 2000, None);
        assert_eq!(says(&store, 2001, None), Learnt::Time(NOW.plus(2001 * DAY)), "two agree");
        assert_eq!(known(&store), Some(2001));
        assert_eq!(says(&store, 203, None), Learnt::InQuestion(NOW.plus(203 * DAY)));
        assert_eq!(known(&store), Some(2001), "one answer does not set the time back");
        assert_eq!(says(&store, 204, None), Learnt::Time(NOW.plus(204 * DAY)));
        assert_eq!(known(&store), Some(204));
        assert_eq!(highest(&store).unwrap(), Some(NOW.plus(2001 * DAY)), "what was told is not forgotten");
        assert_eq!(says(&store, 220, None), Learnt::Time(NOW.plus(220 * DAY)));
        says(&store, 100, None);
        says(&store, 100, None);
        assert_eq!((known(&store), highest(&store).unwrap()), (Some(100), Some(NOW.plus(2001 * DAY))));
    }

    #[test]
    fn what_was_carried_raises_the_least_that_is_known_and_says_nothing_against_a_later_clock() {
        let store = store();
        for (said, clock, then) in [(0, 7, 0), (20, 41, 20), (10, 42, 20), (41, 42, 41)] {
            assert_eq!(brings(&store, said, Some(clock)), Learnt::Time(NOW.plus(clock * DAY)), "{said} {clock}");
            assert_eq!((known(&store), in_question(&store).unwrap()), (Some(then), None), "{said} {clock}");
        }
        // The dark twin: one that is ahead was not ahead any less when it was written.
        assert_eq!(brings(&store, 60, Some(50)), Learnt::Time(NOW.plus(60 * DAY)));
        assert_eq!(known(&store), Some(41), "for this run");
        let said = |days: i64| Said { at: NOW.plus(days * DAY), is_carried: true };
        assert_eq!(said(60).off_seconds(NOW.plus(50 * DAY)), Some(10 * DAY));
        assert_eq!(said(40).off_seconds(NOW.plus(50 * DAY)), None);
        assert_eq!(
            brings(&store, 60, None),
            Learnt::Time(NOW.plus(60 * DAY)),
            "without a clock it is at least so late"
        );
    }

    #[test]
    fn no_answer_is_believed_beyond_the_end_of_the_anchors() {
        let store = store();
        for _ in 0..3 {
            assert_eq!(says(&store, 40 * 365, None), Learnt::Nothing);
            assert_eq!(says(&store, 40 * 365, Some(0)), Learnt::Nothing);
        }
        assert_eq!(known(&store), None);
    }

    #[test]
    fn with_a_clock_nothing_is_kept_beyond_the_hour_and_what_contradicts_clock_and_ca_is_given_up() {
        let store = store();
        says(&store, 0, Some(0));
        assert_eq!(says(&store, 500, Some(1)), Learnt::Time(NOW.plus(500 * DAY)), "for this run");
        assert_eq!(known(&store), Some(0));
        store.note_time(NOW.plus(2000 * DAY)).unwrap();
        assert_eq!(says(&store, 2, Some(2)), Learnt::Time(NOW.plus(2 * DAY)));
        assert_eq!(known(&store), Some(2));
        // A clock that starts in 1970 is none.
        let early = Some(-NOW.unix() / DAY);
        assert_eq!(says(&store, 30, early), Learnt::Time(NOW.plus(30 * DAY)));
        assert_eq!(known(&store), Some(30));
    }
}
