//! How long a wait has lasted. There are four witnesses, and each of them may be wrong: what the CA has told to wait, the clock of the
//! owner, which may jump, or begin at the same date with each start, the times in the CA's answers, of which one server's may be off, and
//! that somebody came back at all. Two questions are asked of them, which err to different sides:
//!
//! - Is the next poll due ([`Pause`])? A poll costs little: in doubt it is. Yet one that is told is waited for as long as a clock goes on.
//! - Is the time for the whole over, so that the request may be given up ([`Elapsed`])? What is given up is lost: in doubt it is not. No
//!   single look at a clock and no single answer says so, but two that agree, or many, one after the other.

use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

/// How far two clocks may differ that are both right, in seconds.
pub(super) const CLOSE_SECONDS: i64 = 3600;
/// How many steps of one witness alone make the whole time: each counts so much of it, or what was told meanwhile if that is more.
const STEPS: i64 = 30;
/// So many steps of one witness alone are forgiven: it may have leapt.
const FORGIVEN: i64 = 2;
/// The end of a wait that somebody else has measured.
const ENDED: Time = Time::from_unix(i64::MIN);

/// A wait for the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub until: Time,
    /// How long it is, in seconds; `None` for one that an older version has saved.
    whole: Option<i64>,
    /// Somebody has come back to it by a clock that had not gone on.
    has_stood: bool,
}

/// How somebody has come back to what was saved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    /// When the operation began.
    pub started: Time,
    /// The clock has not gone on since it was looked at before.
    pub stands: bool,
}

impl Pause {
    pub fn new(seconds: i64, now: Time) -> Self {
        Pause { until: now.plus(seconds), whole: Some(seconds), has_stood: false }
    }

    /// As it was saved; an older version has saved its end alone.
    pub fn saved(until: Time, whole: Option<(i64, bool)>) -> Self {
        Pause { until, whole: whole.map(|(whole, _)| whole), has_stood: whole.is_some_and(|(_, has_stood)| has_stood) }
    }

    /// What is saved besides the end.
    pub fn whole(&self) -> Option<(i64, bool)> {
        self.whole.map(|whole| (whole, self.has_stood))
    }

    /// Somebody else has measured it, and it is over.
    pub fn end(&mut self) {
        self.until = ENDED;
    }

    /// Whether somebody else has measured it.
    pub fn is_ended(&self) -> bool {
        self.until == ENDED
    }

    /// What is left of it, in seconds. A clock that was set back draws it not out: from then on it is as long as it was. Whoever comes back
    /// by one that says less than when it began has waited: who begins anew with each start measures no wait. Whoever comes back again by one
    /// that has not gone on meanwhile has waited for half of it, so that it ends after some starts, however short they are, and in no
    /// single one.
    pub fn left_seconds(&mut self, now: Time, back: Option<Return>) -> i64 {
        let left = self.until.since(now);
        let is_behind = match (self.whole, back) {
            (Some(whole), Some(_)) => left > whole.saturating_add(CLOSE_SECONDS),
            (None, Some(Return { started, .. })) => now < started.plus(-CLOSE_SECONDS),
            (_, None) => false,
        };
        if is_behind {
            (self.until, self.whole) = (now, Some(0));
            return 0;
        }
        let mut whole = self.whole.unwrap_or(left);
        if left > 0 && back.is_some_and(|back| back.stands) {
            whole = if self.has_stood { left.min(whole) / 2 } else { whole };
            self.has_stood = true;
        }
        self.whole = Some(whole);
        if left > whole {
            self.until = now.plus(whole);
        }
        left.min(whole)
    }

    /// How long it was, once it is over: as much of it as was not taken for granted.
    pub fn lasted_seconds(&self) -> i64 {
        self.whole.unwrap_or(0).max(0)
    }
}

/// What one witness has said of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    first: Time,
    last: Time,
    before_last: Time,
    /// The latest time of all.
    highest: Time,
    /// How far it has gone on beyond all that it had said before, step by step, each as far as it is believed alone, in seconds.
    gone_on: i64,
    /// What had been told to wait until then, in seconds.
    told: i64,
    /// The same until it said another time than before: it may stand since.
    moved: i64,
}

impl Said {
    fn begin(at: Time, told: i64) -> Self {
        Said { first: at, last: at, before_last: at, highest: at, gone_on: 0, told, moved: told }
    }

    /// `step`: what it is believed alone.
    fn says(&mut self, at: Time, told: i64, step: i64) {
        let most = step.max(told.saturating_sub(self.told));
        self.gone_on = self.gone_on.saturating_add(at.since(self.highest).clamp(0, most));
        self.moved = if at == self.last { self.moved } else { told };
        (self.before_last, self.last, self.told) = (self.last, at, told);
        self.highest = self.highest.max(at);
    }

    /// From the first time to that on which the last two agree, and what was told to wait since.
    fn agreed_seconds(&self, told: i64) -> i64 {
        self.last.min(self.before_last).since(self.first).saturating_add(told.saturating_sub(self.told))
    }

    fn alone(&self, step: i64) -> i64 {
        self.gone_on.saturating_sub(step.saturating_mul(FORGIVEN))
    }

    fn write(&self) -> Vec<u8> {
        let times = [self.first, self.last, self.before_last, self.highest].map(|time| encode(&time.unix())).concat();
        sequence(&[&times, &encode(&self.gone_on), &encode(&self.told), &encode(&self.moved)])
    }

    fn read(fields: &mut Cursor<'_>, what: &'static str) -> Result<Self, Error> {
        let mut fields = Cursor::new(fields.expect(::der::Tag::Sequence, "a witness")?.value, what)?;
        let mut time = || Ok::<_, Error>(Time::from_unix(fields.decode()?));
        let (first, last, before_last, highest) = (time()?, time()?, time()?, time()?);
        let (gone_on, told, moved) = (fields.decode()?, fields.decode()?, fields.decode()?);
        Ok(Said { first, last, before_last, highest, gone_on, told, moved })
    }
}

/// How long an operation takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Elapsed {
    /// The waits that are over, in seconds.
    told: i64,
    /// The owner's clock, when something was done.
    clock: Option<Said>,
    /// Those who may speak for the CA, as long as their answers have a time.
    answers: Option<Said>,
}

/// How much of `most` a single witness is believed for each of its steps.
fn step(most: u32) -> i64 {
    (i64::from(most) / STEPS).max(1)
}

impl Elapsed {
    /// What an older version has saved: when it began, and the time in the first answer.
    pub fn since(started: Time, first_answer: Option<Time>) -> Self {
        let begin = |at| Said::begin(at, 0);
        Elapsed { told: 0, clock: Some(begin(started)), answers: first_answer.map(begin) }
    }

    /// Something is done by a clock that says so. Returns whether it says no more than the last time: one that begins at the same date with
    /// each start does, but for the starts that are seconds later than the one before. One that was ahead once goes on from where it is set back.
    pub fn looks(&mut self, now: Time, most: u32) -> bool {
        let told = self.told;
        let Some(clock) = &mut self.clock else {
            self.clock = Some(Said::begin(now, told));
            return false;
        };
        let stands = now <= clock.last;
        clock.says(now, told, step(most));
        stands
    }

    /// An answer has come by whoever may speak for the CA; one without a time says nothing, and ends what those before have said.
    pub fn hears(&mut self, said: Option<Time>, most: u32) {
        let told = self.told;
        match (said, &mut self.answers) {
            (Some(said), Some(answers)) => answers.says(said, told, step(most)),
            (said, answers) => *answers = said.map(|said| Said::begin(said, told)),
        }
    }

    /// A wait is over.
    pub fn waited(&mut self, seconds: i64) {
        self.told = self.told.saturating_add(seconds);
    }

    /// The time that has passed for sure, in seconds. `now`: what the owner's clock says; `None` for one without. `most`: what is asked about.
    ///
    /// Answers that tell the time are heard first: as far as they have gone on step by step; or as far as two of them agree, and the clock,
    /// or the waits, with them. Where answers tell none, the waits count, and the clock step by step.
    pub fn seconds(&self, now: Option<Time>, most: u32) -> i64 {
        let step = step(most);
        let clock = self.clock.filter(|_| now.is_some());
        // A clock of the CA's that has stood for the whole of it is none.
        let moves = |answers: &&Said| self.told.saturating_sub(answers.moved) <= i64::from(most);
        match self.answers.as_ref().filter(moves) {
            None => self.told.max(clock.map_or(0, |clock| clock.alone(step))),
            Some(answers) => {
                let by_clock = clock.zip(now).map_or(0, |(clock, now)| now.since(clock.first));
                answers.alone(step).max(answers.agreed_seconds(self.told).min(self.told.max(by_clock)))
            }
        }
    }

    /// Elements 1 and 2 of what is saved of the counts; older versions pass over the second.
    pub fn write(&self) -> Vec<u8> {
        let witness = |number: u8, said: &Option<Said>| {
            said.as_ref().map_or_else(Vec::new, |said| element(0xa0 | number, &[&said.write()]))
        };
        let all = sequence(&[&encode(&self.told), &witness(0, &self.clock), &witness(1, &self.answers)]);
        element(0xa2, &[&all])
    }

    /// What [`Elapsed::write`] has written, inside its element.
    pub fn read(content: &[u8], what: &'static str) -> Result<Self, Error> {
        let mut fields = Cursor::sequence(content, what)?;
        let told = fields.decode()?;
        let mut witness = |number| {
            let said = fields.optional_context(number, true)?;
            said.map(|said| Said::read(&mut Cursor::new(said.value, what)?, what)).transpose()
        };
        Ok(Elapsed { told, clock: witness(0)?, answers: witness(1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const YEAR: i64 = 365 * DAY;
    const BEGIN: Time = Time::from_unix(1_800_000_000);
    const MOST: u32 = 3 * 86_400;
    const MOST_POLLS: i64 = 400;
    const MOST_STARTS: i64 = 4000;

    /// Numbers without order, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % bound
        }

        fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
            all[self.below(all.len())]
        }
    }

    /// What the owner's clock says.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Clock {
        /// It goes on, and is off by so much from the beginning on.
        Off(i64),
        /// One look in twenty says so much more.
        Leaps(i64),
        /// It begins at the same date with each start.
        SameDate,
        /// It begins at any date with each start.
        AnyDate,
        /// There is none.
        None,
    }

    /// What the CA's answers say of the time.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Answers {
        Right,
        Untold,
        /// The CA's clock stands.
        Same,
        /// One server of three is off by so much.
        OneOff(i64),
    }

    #[derive(Clone, Copy, Debug)]
    struct World {
        clock: Clock,
        answers: Answers,
        /// What the CA tells to wait.
        told: i64,
        /// How long a start lasts, and how long it takes to the next.
        on: i64,
        off: i64,
    }

    #[derive(Debug, Default)]
    struct Life {
        polls: i64,
        starts: i64,
        leaps: i64,
        /// What has passed in truth.
        passed: i64,
        is_over: bool,
        /// The most starts without a poll once the wait was over in truth.
        longest: i64,
    }

    impl World {
        fn any(dice: &mut Dice) -> Self {
            let off = dice.one_of(&[-400 * DAY, -40 * DAY, -600, 600, 40 * DAY, 400 * DAY]);
            World {
                clock: dice.one_of(&[
                    Clock::Off(0),
                    Clock::Off(off),
                    Clock::Leaps(off),
                    Clock::SameDate,
                    Clock::AnyDate,
                    Clock::None,
                ]),
                answers: dice.one_of(&[Answers::Right, Answers::Untold, Answers::Same, Answers::OneOff(off)]),
                told: dice.one_of(&[600, 4 * 3600, DAY]),
                on: dice.one_of(&[30, 3600, 8 * 3600, 10 * DAY]),
                off: dice.one_of(&[0, 60, 16 * 3600, 40 * DAY]),
            }
        }

        /// An operation whose CA lets it wait without an end.
        fn live(&self, dice: &mut Dice) -> Life {
            let (mut life, mut began, mut date) = (Life::default(), 0, BEGIN);
            let look = |life: &mut Life, dice: &mut Dice, began: i64, date: Time| match self.clock {
                Clock::Off(by) => BEGIN.plus(life.passed + by),
                Clock::Leaps(by) if dice.below(20) == 0 => {
                    life.leaps += 1;
                    BEGIN.plus(life.passed + by)
                }
                Clock::Leaps(_) => BEGIN.plus(life.passed),
                Clock::SameDate | Clock::AnyDate | Clock::None => date.plus(life.passed - began),
            };
            let answer = |life: &Life, dice: &mut Dice| match self.answers {
                Answers::Untold => None,
                Answers::Same => Some(BEGIN),
                Answers::OneOff(by) if dice.below(3) == 0 => Some(BEGIN.plus(life.passed + by)),
                Answers::Right | Answers::OneOff(_) => Some(BEGIN.plus(life.passed)),
            };
            let started = look(&mut life, dice, began, date);
            let mut elapsed = Elapsed::since(started, None);
            elapsed.hears(answer(&life, dice), MOST);
            let mut pause = Pause::new(self.told, started);
            let (mut is_back, mut polled, mut in_vain) = (false, 0, 0);
            while !life.is_over && life.polls < MOST_POLLS && life.starts < MOST_STARTS {
                let now = look(&mut life, dice, began, date);
                let back = core::mem::take(&mut is_back).then(|| Return { started, stands: elapsed.looks(now, MOST) });
                let left = pause.left_seconds(now, back);
                if left <= 0 {
                    elapsed.waited(pause.lasted_seconds());
                    elapsed.looks(now, MOST);
                    elapsed.hears(answer(&life, dice), MOST);
                    pause = Pause::new(self.told, now);
                    (life.polls, polled, in_vain) = (life.polls + 1, life.passed, 0);
                }
                let by_clock = (self.clock != Clock::None).then_some(now);
                life.is_over = elapsed.seconds(by_clock, MOST) > i64::from(MOST);
                if left > 0 && life.passed + left <= began + self.on {
                    life.passed += left;
                } else if left > 0 {
                    in_vain += i64::from(life.passed - polled > self.told);
                    life.longest = life.longest.max(in_vain);
                    life.passed = began + self.on + self.off;
                    (began, is_back, life.starts) = (life.passed, true, life.starts + 1);
                    if self.clock == Clock::AnyDate {
                        date = BEGIN.plus(i64::try_from(dice.below(6 * 365)).unwrap() * DAY - 3 * YEAR);
                    }
                    // As it is saved and read again.
                    let content = elapsed.write();
                    let mut content = Cursor::new(&content, "test").unwrap();
                    let content = content.optional_context(2, true).unwrap().unwrap();
                    elapsed = Elapsed::read(content.value, "test").unwrap();
                    pause = Pause::saved(pause.until, pause.whole());
                }
            }
            life
        }

        /// Whether one witness is right whom the others do not drown: not all lie together.
        fn has_honest_witness(&self) -> bool {
            let goes_on = !matches!(self.clock, Clock::Leaps(_) | Clock::AnyDate);
            self.answers == Answers::Right || goes_on
        }
    }

    #[test]
    fn a_poll_is_sent_soon_none_much_too_soon_and_nothing_is_given_up_before_its_time_but_in_the_end() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let (mut kept, mut given_up) = (0, 0);
        for _ in 0..250 {
            let world = World::any(&mut dice);
            let life = world.live(&mut dice);
            let case = format!("{world:?} {life:?}");
            // One poll more in each start, or each leap of the clock.
            assert!(life.polls <= life.starts + life.leaps + life.passed / world.told + 1, "{case}");
            assert!(life.longest <= 24, "{case}");
            if world.has_honest_witness() {
                assert!(!life.is_over || life.passed > i64::from(MOST), "{case}");
                kept += 1;
            }
            // Where nothing but a clock that never gets on measures, the number of polls has its limit.
            let goes_on = matches!(world.clock, Clock::Off(_));
            let is_measured = match world.answers {
                Answers::Untold => goes_on,
                Answers::Same => goes_on && life.polls * world.told > i64::from(MOST) + world.told,
                Answers::Right | Answers::OneOff(_) => true,
            };
            if is_measured {
                assert!(life.is_over || life.passed < 2 * i64::from(MOST), "{case}");
                given_up += 1;
            }
        }
        assert!(kept > 100 && given_up > 100, "{kept} {given_up}");
    }

    /// A wait of a day is waited for by whoever looks at it each minute by a clock that goes on, also where one look was ahead or behind.
    #[test]
    fn one_odd_look_at_a_clock_makes_no_wait_shorter_but_its_own() {
        for odd in [2 * 3600, DAY, 5 * YEAR, -2 * 3600, -400 * DAY] {
            for odd_at in [0, 1, 700] {
                let (mut elapsed, mut pause) = (Elapsed::since(BEGIN, None), Pause::new(DAY, BEGIN));
                let mut polls = 0;
                for minute in 1..=4 * 1440 {
                    let truth = BEGIN.plus(60 * minute);
                    let now = truth.plus(if minute == odd_at + 1 { odd } else { 0 });
                    let stands = elapsed.looks(now, MOST);
                    // As it was saved and restored.
                    pause = Pause::saved(pause.until, pause.whole());
                    if pause.left_seconds(now, Some(Return { started: BEGIN, stands })) <= 0 {
                        polls += 1;
                        elapsed.waited(pause.lasted_seconds());
                        pause = Pause::new(DAY, now);
                    }
                }
                assert!((3..=6).contains(&polls), "{odd} s at {odd_at}: {polls} polls in 4 days");
            }
        }
    }

    /// One look, one answer, or both where they differ, end nothing; two that agree do, once the CA was asked again.
    #[test]
    fn what_a_single_witness_says_ends_nothing() {
        let begun = || {
            let mut elapsed = Elapsed::since(BEGIN, None);
            elapsed.hears(Some(BEGIN), MOST);
            elapsed
        };
        let later = |by: i64| BEGIN.plus(by);
        for by in [4 * DAY, 400 * DAY, -400 * DAY] {
            let mut by_clock = begun();
            by_clock.looks(later(by), MOST);
            by_clock.hears(Some(later(60)), MOST);
            assert!(by_clock.seconds(Some(later(by)), MOST) <= 60, "{by}");
            for clock in [None, Some(later(120))] {
                let mut by_answer = begun();
                by_answer.hears(Some(later(by)), MOST);
                assert!(by_answer.seconds(clock, MOST) <= 120, "{by}");
                by_answer.hears(Some(later(120)), MOST);
                assert!(by_answer.seconds(clock, MOST) <= 120, "{by}");
                let mut by_first = Elapsed::since(BEGIN, Some(later(-by)));
                (0..3).for_each(|count| by_first.hears(Some(later(40 * count)), MOST));
                assert!(by_first.seconds(clock, MOST) <= 120, "{by}");
            }
        }
        // The dark twin: the clock and two answers, or the waits and two answers.
        let mut agreed = begun();
        agreed.hears(Some(later(4 * DAY)), MOST);
        assert!(agreed.seconds(Some(later(4 * DAY)), MOST) <= 60);
        agreed.hears(Some(later(4 * DAY + 60)), MOST);
        assert_eq!(agreed.seconds(Some(later(4 * DAY + 60)), MOST), 4 * DAY);
        assert!(agreed.seconds(None, MOST) <= 60);
        let mut agreed = begun();
        agreed.waited(5 * DAY);
        (0..2).for_each(|_| agreed.hears(Some(later(4 * DAY)), MOST));
        assert_eq!(agreed.seconds(None, MOST), 4 * DAY);
        // Whose answers are heard no more is counted on from the last by what was told since.
        agreed.waited(DAY);
        assert_eq!(agreed.seconds(None, MOST), 5 * DAY);
    }
}
