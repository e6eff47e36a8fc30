//! Who says how late it is, and whose word counts for which decision. Each of them may be wrong: a clock, a CA now, a CA at some time before.
//!
//! | decision | whose word counts |
//! | --- | --- |
//! | a wait is over, something is due | the clock while nobody contradicts it, else the CA's authentic answer (`Clock`, `learning`) |
//! | the time that is remembered goes back | two answers that agree (`learning`) |
//! | the identity in use gives way to what the CA issues for it | the same as what is due: it is asked for again soon where the device's clock knows better |
//! | the identity in use has not begun | the CA's, but not where the device's clock calls it valid, as it does itself ([`by_answer`]) |
//! | an older generation comes back into use | everybody's who has ever said a time: **none** of them may call it ended |
//!
//! So no single word puts what has ended in the place of what is valid. Whoever was right, a new certificate is better than an old one: it is
//! asked for where the witnesses differ about what is there.

use super::known::{CLOSE_SECONDS, Clock};
use super::scene::end_of;
use super::{Planner, last_told, learning, seen};
use crate::error::Error;
use crate::store::{PublicPart, Store};
use crate::time::Time;

/// So much later it may be than the last that anybody has said, in seconds: a device that is well looks again within this time.
const LONGEST_SILENCE_SECONDS: i64 = 7 * 86_400;

/// All that says how late it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witnesses {
    /// What the CA's answer says now.
    pub told: Time,
    /// What the device's clock says, if that can be a time at all.
    pub own: Option<Time>,
    /// The latest that was believed before: of answers, also if others have set it back since, and of the clock.
    pub before: Option<Time>,
    /// The identity in use begins then: its CA has had that time, or none of its certificates begins when it is made.
    pub begins: Time,
}

impl Witnesses {
    /// Whether a generation may come back into use: it has begun by the CA's time, and nobody calls it ended.
    pub fn let_back(&self, (begin, end): (Time, Time)) -> bool {
        let latest =
            self.told.max(self.begins).max(self.own.unwrap_or(self.told)).max(self.before.unwrap_or(self.told));
        begin <= self.told && latest.plus(LONGEST_SILENCE_SECONDS) < end
    }
}

/// By what time is decided what is due, when an authentic answer says `told` and the device's clock `own`: by the answer's, but where that is before the
/// identity in use was made, and the clock calls that valid.
pub(super) fn by_answer(told: Time, own: Option<Time>, validity: Option<(Time, Time)>) -> Time {
    let is_valid = |own: Time, (begin, end): (Time, Time)| {
        told < begin.plus(-CLOSE_SECONDS) && (begin.plus(-CLOSE_SECONDS)..=end).contains(&own)
    };
    match (own, validity) {
        (Some(own), Some(validity)) if is_valid(own, validity) => own,
        _ => told,
    }
}

impl Planner {
    /// Where an authentic answer has told that it is `told`, when the device's clock said `clock`.
    pub(super) fn witnesses(
        &self,
        store: &Store,
        identity: &PublicPart,
        told: Time,
        clock: Option<Time>,
    ) -> Result<Witnesses, Error> {
        let before = last_told(store)?.max(learning::highest(store)?).max(seen::latest(store)?);
        let begins = identity.certificate.not_before();
        Ok(Witnesses { told, own: Clock::new(clock, None).plausible(), before, begins })
    }
}

/// From when to when a generation is valid, with what is above it.
pub(super) fn validity(identity: &PublicPart) -> (Time, Time) {
    (identity.certificate.not_before(), end_of(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const TRUTH: Time = Time::from_unix(1_900_000_000);
    const OFF: [i64; 13] = [-4000, -400, -100, -30, -8, -3, 0, 3, 8, 30, 100, 400, 4000];

    /// The device was well a week ago at the latest; the identity in use was made in its time.
    fn every_case(mut look: impl FnMut(Witnesses)) {
        for told in OFF {
            for own in OFF.into_iter().map(Some).chain([None]) {
                for before in [-7, -3, 0, 30, 4000] {
                    for begins in [-300, -30, -7, -1, 0] {
                        let at = |days: i64| TRUTH.plus(days * DAY);
                        let (told, own, before) = (at(told), own.map(at), Some(at(before)));
                        look(Witnesses { told, own, before, begins: at(begins) });
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_the_ca_and_the_clock_say_nothing_comes_back_that_has_ended() {
        every_case(|witnesses| {
            for lifetime in [1, 7, 30, 90, 365] {
                for ended in [0, 1, 6, 8, 29, 31, 300] {
                    let end = TRUTH.plus(-ended * DAY);
                    let validity = (end.plus(-lifetime * DAY), end);
                    assert!(!witnesses.let_back(validity), "{witnesses:?} {validity:?}");
                }
            }
        });
    }

    #[test]
    fn the_clock_and_the_identity_in_use_stand_against_an_answer_that_is_from_before_it() {
        let validity = Some((TRUTH, TRUTH.plus(30 * DAY)));
        let at = |days: i64| TRUTH.plus(days * DAY);
        for told in OFF {
            for own in OFF {
                let time = by_answer(at(told), Some(at(own)), validity);
                assert_eq!(time == at(own), told == own || told < 0 && (0..=30).contains(&own), "{told} {own}");
                assert!(time == at(told) || time == at(own), "{told} {own}");
            }
            // The dark twins: without a clock, or an identity, there is nobody to stand against it.
            assert_eq!(by_answer(at(told), None, validity), at(told));
            assert_eq!(by_answer(at(told), Some(TRUTH), None), at(told));
        }
    }

    /// Nobody has to be right: whoever calls it ended is heard.
    #[test]
    fn one_word_against_it_is_enough() {
        every_case(|witnesses| {
            let latest = [Some(witnesses.told), witnesses.own, witnesses.before, Some(witnesses.begins)];
            let latest = latest.into_iter().flatten().max().unwrap();
            let begin = witnesses.told.plus(-DAY);
            assert!(!witnesses.let_back((begin, latest)), "{witnesses:?}");
            // The dark twin: one that all of them call valid comes back.
            assert!(witnesses.let_back((begin, latest.plus(8 * DAY))), "{witnesses:?}");
            assert!(!witnesses.let_back((witnesses.told.plus(1), latest.plus(8 * DAY))), "it begins later, too");
        });
    }
}
