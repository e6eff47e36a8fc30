//! What is due, from facts alone: no store, no clock, no certificate objects.

use super::policy::{Policy, Seed};
use super::progress::Attempts;
use crate::store::AnchorSet;
use crate::time::Time;

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Nothing, for now.
    Nothing,
    /// Continue the operation that was interrupted, or that waits for the CA.
    Resume,
    /// The first certificate: ir.
    Enroll,
    /// A key update: kur, protected with the identity in use.
    Update,
    /// The identity in use cannot vouch for itself any more (expired, revoked, or damaged beyond repair): ir with the
    /// factory's identity or the settings' credential.
    EnrollAgain,
    /// Ask for the successor of a trust anchor: genm (RFC 9483 section 4.3.2).
    AskForRoot(Anchor),
    /// The time is not known, or hardly to be believed, and what is due depends on it: ask the CA anything, its authentic
    /// answer has the time.
    LearnTime,
}

/// A trust anchor in device memory that nears its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// One of the sets it is in.
    pub set: AnchorSet,
    /// Its place in that set.
    pub index: usize,
}

/// How the identity in use stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Absent,
    /// It is valid, as far as time and the CA's words go.
    Valid,
    /// Its notBefore lies ahead: rather the clock is wrong.
    NotYetValid,
    /// Its notAfter has passed.
    Expired,
    /// The CA refused it as revoked.
    Revoked,
    /// It cannot be read; the store's `repair` or `last_good` may help.
    Damaged,
    /// Whether it has expired cannot be told without the time.
    Unknown,
}

/// How much people should worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Not at all.
    Quiet,
    /// The renewal is late: [`Policy::late_permille`].
    Late,
    /// The end is near: [`Policy::urgent_permille`].
    Urgent,
    /// There is no usable identity.
    Unusable,
}

/// How far two clocks may differ that are both right, in seconds.
const CLOSE_SECONDS: i64 = 3600;

/// What is known about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time is this.
    Known(Time),
    /// The clock says less than the last known time, which counts in its place.
    Behind {
        /// The last known time.
        known: Time,
        /// How far behind the clock is, in seconds.
        seconds: i64,
    },
    /// There is no clock: it is at least this late, or nothing is known at all.
    Unknown {
        /// The last known time.
        at_least: Option<Time>,
    },
}

impl Clock {
    /// From what a clock says, if there is one, and from the last known time. Clocks that differ by less than an hour are
    /// both believed: the later one counts.
    pub fn new(says: Option<Time>, last_known: Option<Time>) -> Self {
        match (says, last_known) {
            (Some(now), Some(known)) if now < known => match known.since(now) {
                0..CLOSE_SECONDS => Clock::Known(known),
                seconds => Clock::Behind { known, seconds },
            },
            (Some(now), _) => Clock::Known(now),
            (None, at_least) => Clock::Unknown { at_least },
        }
    }

    /// It is at least this late.
    pub fn at_least(self) -> Option<Time> {
        match self {
            Clock::Known(now) => Some(now),
            Clock::Behind { known, .. } => Some(known),
            Clock::Unknown { at_least } => at_least,
        }
    }

    /// Whether there is a time to count with. A clock that is behind is none.
    pub fn is_known(self) -> bool {
        matches!(self, Clock::Known(_))
    }
}

/// What a decision rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Validity of the certificate in use.
    pub validity: Option<(Time, Time)>,
    /// When it was installed: CAs set notBefore back by minutes or days, and what was over before counts for nothing.
    pub installed: Option<Time>,
    /// The identity in use cannot be read.
    pub is_damaged: bool,
    /// The CA said that it is revoked.
    pub is_revoked: bool,
    /// An operation is saved, or a certificate staged.
    pub is_unfinished: bool,
    /// A PKCS#10 request is out: its certificate comes by other means.
    pub is_request_out: bool,
    /// Attempts at a certificate.
    pub attempts: Attempts,
    /// How often the CA refused.
    pub refusals: u32,
    /// Anchors with an end and without a successor.
    pub anchors: Vec<AnchorFacts>,
}

impl Facts {
    /// The time that the certificate has here: from its installation, or from notBefore if that is not known or not to be
    /// believed.
    fn in_use(&self) -> Option<(Time, Time)> {
        let (begin, end) = self.validity?;
        Some((self.installed.filter(|at| (begin..end).contains(at)).unwrap_or(begin), end))
    }
}

/// What a decision about an anchor rests on.
#[derive(Clone, Debug)]
pub struct AnchorFacts {
    /// Which.
    pub anchor: Anchor,
    /// Its validity.
    pub validity: (Time, Time),
    /// When it was asked for last.
    pub attempts: Attempts,
}

/// What is due, and when to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is due now.
    pub step: Step,
    /// Ask again after so many seconds if nothing changes meanwhile; 0 while a step is due.
    pub ask_again_seconds: u32,
    /// When the certificate in use is to be renewed; `None` if never, or if there is none.
    pub renewal_at: Option<Time>,
    /// How the identity in use stands.
    pub standing: Standing,
    /// How much people should worry.
    pub alarm: Alarm,
    /// Failures in a row.
    pub attempts: u32,
    /// The CA refused so often that it is not asked again with this certificate: see [`Policy::max_refusals`].
    pub has_given_up: bool,
    /// A PKCS#10 request is out; nothing is asked for online until its certificate is imported or it is abandoned.
    pub is_request_out: bool,
    /// What was remembered about failures was damaged, and counts as nothing.
    pub is_memory_damaged: bool,
    /// What is known about the time.
    pub clock: Clock,
}

/// The longest time between two looks at the plan, in seconds: clocks are set, anchors arrive, people abandon things.
const LONGEST_PAUSE_SECONDS: i64 = 7 * 86_400;

/// Says what is due.
pub fn decide(policy: &Policy, seed: Seed, clock: Clock, facts: &Facts) -> Plan {
    let now = clock.at_least();
    let standing = standing(clock, facts);
    let renewal_at = facts.in_use().and_then(|(begin, end)| policy.due_at(seed, begin, end));
    let has_given_up = policy.max_refusals > 0 && facts.refusals >= policy.max_refusals && standing == Standing::Valid;
    let mut plan = Plan {
        step: Step::Nothing,
        ask_again_seconds: u32::try_from(LONGEST_PAUSE_SECONDS).expect("a week"),
        renewal_at,
        standing,
        alarm: alarm(policy, now, standing, facts),
        attempts: facts.attempts.count,
        has_given_up,
        is_request_out: facts.is_request_out,
        is_memory_damaged: false,
        clock,
    };
    let wanted = match standing {
        _ if facts.is_unfinished => Some(Step::Resume),
        _ if facts.is_request_out || has_given_up => None,
        Standing::Absent => Some(Step::Enroll),
        Standing::Expired | Standing::Revoked | Standing::Damaged => Some(Step::EnrollAgain),
        Standing::Valid if renewal_at.is_some_and(|due| now >= Some(due)) => Some(Step::Update),
        Standing::Valid => None,
        // The CA does not tell the time, and a renewal is due whatever the time is.
        Standing::Unknown if facts.attempts.count >= 3 && now >= renewal_at => Some(Step::Update),
        // A certificate was rarely made before its notBefore: rather the clock is wrong.
        Standing::Unknown | Standing::NotYetValid => Some(Step::LearnTime),
    };
    let mut pauses = vec![LONGEST_PAUSE_SECONDS];
    let waits = match now {
        Some(now) if clock.is_known() => i64::from(facts.attempts.left_seconds(now)),
        // Nobody to measure the wait: whoever asks without a clock has waited.
        _ => 0,
    };
    match wanted {
        Some(step) if waits <= 0 => plan.step = step,
        Some(_) => pauses.push(waits),
        None => {}
    }
    if let (Some(now), true) = (now, clock.is_known()) {
        if plan.step == Step::Nothing {
            plan.step = anchor_step(policy, seed, now, facts, &mut pauses);
        }
        let ahead = moments(policy, renewal_at, facts).into_iter().flatten().map(|at| at.since(now));
        pauses.extend(ahead.filter(|seconds| *seconds > 0));
    }
    plan.ask_again_seconds = match plan.step {
        Step::Nothing => u32::try_from(pauses.into_iter().min().unwrap_or(1).max(1)).unwrap_or(u32::MAX),
        _ => 0,
    };
    plan
}

fn standing(clock: Clock, facts: &Facts) -> Standing {
    let Some((begin, end)) = facts.validity else {
        return if facts.is_damaged { Standing::Damaged } else { Standing::Absent };
    };
    if facts.is_revoked {
        return Standing::Revoked;
    }
    match clock.at_least() {
        Some(at_least) if at_least > end => Standing::Expired,
        Some(now) if clock.is_known() => {
            if now < begin {
                Standing::NotYetValid
            } else {
                Standing::Valid
            }
        }
        // What has no end needs no clock.
        _ if end >= Time::FOREVER => Standing::Valid,
        _ => Standing::Unknown,
    }
}

fn alarm(policy: &Policy, now: Option<Time>, standing: Standing, facts: &Facts) -> Alarm {
    match standing {
        Standing::Absent | Standing::Expired | Standing::Revoked | Standing::Damaged => return Alarm::Unusable,
        Standing::Valid | Standing::NotYetValid | Standing::Unknown => {}
    }
    let (Some(now), Some((begin, end))) = (now, facts.in_use()) else { return Alarm::Quiet };
    if end >= Time::FOREVER {
        return Alarm::Quiet;
    }
    let [late, urgent] = policy.alarm_times(begin, end);
    if now >= urgent {
        Alarm::Urgent
    } else if now >= late {
        Alarm::Late
    } else {
        Alarm::Quiet
    }
}

/// When something about the identity changes by itself.
fn moments(policy: &Policy, renewal_at: Option<Time>, facts: &Facts) -> [Option<Time>; 5] {
    let (Some((not_before, _)), Some((begin, end))) = (facts.validity, facts.in_use()) else { return [None; 5] };
    let ends = (end < Time::FOREVER).then_some(end);
    let [late, urgent] = policy.alarm_times(begin, end).map(|at| ends.map(|_| at));
    [Some(not_before), renewal_at, late, urgent, ends.map(|end| end.plus(1))]
}

fn anchor_step(policy: &Policy, seed: Seed, now: Time, facts: &Facts, pauses: &mut Vec<i64>) -> Step {
    for AnchorFacts { anchor, validity: (begin, end), attempts } in &facts.anchors {
        let Some(due) = policy.anchor_due_at(seed, *begin, *end).filter(|_| now <= *end) else { continue };
        let wait = due.since(now).max(i64::from(attempts.left_seconds(now)));
        if wait <= 0 {
            return Step::AskForRoot(anchor.clone());
        }
        pauses.push(wait);
    }
    Step::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    const DAY: i64 = 86_400;
    const BEGIN: Time = Time::from_unix(1_700_000_000);

    fn seed() -> Seed {
        Seed::from_id(&*default_provider(), b"router-7").unwrap()
    }

    fn year() -> Facts {
        Facts { validity: Some((BEGIN, BEGIN.plus(365 * DAY))), ..Facts::default() }
    }

    fn on_day(day: i64, facts: &Facts) -> Plan {
        decide(&Policy::default(), seed(), Clock::Known(BEGIN.plus(day * DAY)), facts)
    }

    fn failed(seconds_ago: i64, wait_seconds: u32, now: Time) -> Attempts {
        Attempts { count: 1, last: Some(now.plus(-seconds_ago)), wait_seconds }
    }

    #[test]
    fn a_year_in_the_life_of_a_certificate() {
        let facts = year();
        let due = on_day(1, &facts).renewal_at.unwrap();
        let due_day = due.since(BEGIN) / DAY;
        assert!((106..=258).contains(&due_day), "{due_day}");

        let quiet = on_day(due_day - 3, &facts);
        assert_eq!((quiet.step, quiet.alarm, quiet.standing), (Step::Nothing, Alarm::Quiet, Standing::Valid));
        assert_eq!(BEGIN.plus((due_day - 3) * DAY).plus(i64::from(quiet.ask_again_seconds)), due, "to the second");
        assert_eq!(on_day(due_day + 1, &facts).step, Step::Update);
        assert_eq!(on_day(due_day + 1, &facts).ask_again_seconds, 0);
        assert_eq!(on_day(300, &facts).alarm, Alarm::Late);
        assert_eq!(on_day(350, &facts).alarm, Alarm::Urgent);
        let over = on_day(366, &facts);
        assert_eq!((over.step, over.alarm, over.standing), (Step::EnrollAgain, Alarm::Unusable, Standing::Expired));
    }

    #[test]
    fn what_was_begun_is_finished_first_and_a_request_that_is_out_is_waited_for() {
        assert_eq!(on_day(300, &Facts { is_unfinished: true, ..year() }).step, Step::Resume);
        let out = on_day(300, &Facts { is_request_out: true, ..year() });
        assert_eq!((out.step, out.is_request_out), (Step::Nothing, true));
        let first = Facts::default();
        assert_eq!(on_day(0, &first).step, Step::Enroll);
        assert_eq!(on_day(0, &Facts { is_damaged: true, ..first }).step, Step::EnrollAgain);
    }

    #[test]
    fn lifetime_counts_from_the_installation_so_that_a_certificate_set_back_is_not_renewed_at_once() {
        let exact = Policy { spread_permille: 0, ..Policy::default() };
        let now = BEGIN.plus(300);
        let facts = |installed| Facts {
            validity: Some((BEGIN, BEGIN.plus(400))),
            installed: Some(installed),
            ..Facts::default()
        };
        let at = |facts: &Facts| decide(&exact, seed(), Clock::Known(now), facts).renewal_at.unwrap().since(now);
        assert_eq!(at(&facts(now)), 66);
        assert_eq!(at(&facts(Time::from_unix(5))), 266 - 300, "a clock of 1970 at the time is not believed");
        assert_eq!(at(&facts(BEGIN.plus(401))), 266 - 300, "nor one of the future");
    }

    #[test]
    fn a_revoked_certificate_does_not_vouch_for_itself() {
        let plan = on_day(1, &Facts { is_revoked: true, ..year() });
        assert_eq!((plan.step, plan.alarm, plan.standing), (Step::EnrollAgain, Alarm::Unusable, Standing::Revoked));
    }

    #[test]
    fn a_failure_is_waited_out_and_the_alarm_is_not_missed_meanwhile() {
        let now = BEGIN.plus(290 * DAY);
        let plan = on_day(290, &Facts { attempts: failed(100, 1000, now), ..year() });
        assert_eq!((plan.step, plan.ask_again_seconds, plan.attempts), (Step::Nothing, 900, 1));
        assert_eq!(on_day(290, &Facts { attempts: failed(1000, 1000, now), ..year() }).step, Step::Update);
        let long = on_day(290, &Facts { attempts: failed(0, 4_000_000, now), ..year() });
        assert_eq!(i64::from(long.ask_again_seconds), 2 * DAY, "the alarm at 80 % comes first");
    }

    #[test]
    fn a_device_gives_up_asking_with_a_certificate_but_not_when_it_has_expired() {
        let facts = Facts { refusals: 8, ..year() };
        let plan = on_day(300, &facts);
        assert_eq!((plan.step, plan.has_given_up, plan.alarm), (Step::Nothing, true, Alarm::Late));
        assert_eq!(on_day(300, &Facts { refusals: 7, ..year() }).step, Step::Update);
        let over = on_day(366, &facts);
        assert_eq!((over.step, over.has_given_up), (Step::EnrollAgain, false));
        let never = Policy { max_refusals: 0, ..Policy::default() };
        let plan = decide(&never, seed(), Clock::Known(BEGIN.plus(300 * DAY)), &facts);
        assert_eq!(plan.step, Step::Update);
    }

    #[test]
    fn an_anchor_is_asked_about_late_in_its_life_and_only_now_and_then() {
        let anchor = Anchor { set: AnchorSet::Enrolment, index: 2 };
        let at = |day: i64, attempts| {
            let facts = AnchorFacts {
                anchor: anchor.clone(),
                validity: (BEGIN.plus(-3000 * DAY), BEGIN.plus(650 * DAY)),
                attempts,
            };
            on_day(day, &Facts { anchors: vec![facts], ..year() }).step
        };
        assert_eq!(at(1, Attempts::default()), Step::AskForRoot(anchor.clone()));
        assert_eq!(at(1, failed(60, 7 * 86_400, BEGIN.plus(DAY))), Step::Nothing);
        assert_eq!(at(300, Attempts::default()), Step::Update, "one's own certificate comes first");
        let young = AnchorFacts { anchor, validity: (BEGIN, BEGIN.plus(3650 * DAY)), attempts: Attempts::default() };
        assert_eq!(on_day(1, &Facts { anchors: vec![young], ..year() }).step, Step::Nothing);
    }

    #[test]
    fn without_a_clock_only_what_is_proven_is_due() {
        let at = |at_least: Option<i64>, facts: &Facts| {
            let at_least = at_least.map(|day| BEGIN.plus(day * DAY));
            decide(&Policy::default(), seed(), Clock::new(None, at_least), facts)
        };
        let plan = at(None, &year());
        assert_eq!((plan.step.clone(), plan.standing), (Step::LearnTime, Standing::Unknown));
        assert!(!plan.clock.is_known());
        assert_eq!(at(Some(10), &year()).step, Step::LearnTime);
        assert_eq!(at(Some(366), &year()).step, Step::EnrollAgain, "what has expired stays expired");
        assert_eq!(at(Some(366), &year()).standing, Standing::Expired);
        assert_eq!(at(None, &Facts { is_unfinished: true, ..year() }).step, Step::Resume);
        assert_eq!(at(None, &Facts::default()).step, Step::Enroll);
        let forever = Facts { validity: Some((BEGIN, Time::FOREVER)), ..Facts::default() };
        assert_eq!((at(None, &forever).step, at(None, &forever).standing), (Step::Nothing, Standing::Valid));
    }

    #[test]
    fn a_clock_behind_the_last_known_time_is_not_believed() {
        let known = BEGIN.plus(300 * DAY);
        let clock = Clock::new(Some(Time::from_unix(0)), Some(known));
        assert_eq!(clock, Clock::Behind { known, seconds: known.unix() });
        assert_eq!(decide(&Policy::default(), seed(), clock, &year()).step, Step::LearnTime);
        let refused = Attempts { count: 3, ..Attempts::default() };
        let unanswered = decide(&Policy::default(), seed(), clock, &Facts { attempts: refused, ..year() });
        assert_eq!(unanswered.step, Step::Update, "due whatever the time is");
        let ahead = Clock::new(Some(known.plus(5)), Some(known));
        assert_eq!(ahead, Clock::Known(known.plus(5)));
        assert_eq!(Clock::new(Some(known.plus(-5)), Some(known)), Clock::Known(known), "a small difference");
        let early = decide(&Policy::default(), seed(), Clock::Known(Time::from_unix(0)), &year());
        assert_eq!((early.step, early.standing), (Step::LearnTime, Standing::NotYetValid));
    }
}
