//! What is due, from facts alone: no store, no clock, no certificate objects.

use super::known::{CLOSE_SECONDS, Clock};
use super::plan::{Alarm, AnchorFacts, Facts, Plan, Reason, Standing, Step};
use super::policy::{Policy, Seed};
use super::withdrawn::asks_for_no_other;
use crate::asn1::crl::CrlReason;
use crate::time::Time;

/// How often in a row the time is asked for before a certificate that waits for its time comes into use without. The waits between grow to a day.
const MOST_QUESTIONS: u32 = 16;

/// The longest time between two looks at the plan, in seconds: clocks are set, anchors arrive, people abandon things.
const LONGEST_PAUSE_SECONDS: i64 = 7 * 86_400;

/// Renewals that move nothing are an hour apart at least, and need not be further apart than a day, in seconds.
const SHORTEST_REST_IN_VAIN_SECONDS: i64 = 3600;
const LONGEST_REST_IN_VAIN_SECONDS: i64 = 86_400;

/// Says what is due.
///
/// Whatever the facts are, the plan has a step, or a moment within a week at which to ask again; and a reason.
pub fn decide(policy: &Policy, seed: Seed, clock: Clock, facts: &Facts) -> Plan {
    let now = clock.at_least();
    let standing = standing(clock, facts);
    let renewal_at = facts.in_use().and_then(|(begin, end)| {
        let due = policy.due_at(seed, begin, end)?;
        // A renewal that has moved nothing is not repeated soon, and the end is not waited for.
        Some(if facts.gains_nothing() { due.max(begin.plus(rest_in_vain(begin, end))) } else { due })
    });
    let has_given_up = policy.max_refusals > 0 && facts.refusals >= policy.max_refusals && standing.is_usable();
    let mut plan = Plan {
        step: Step::Nothing,
        reason: Reason::NothingDue,
        ask_again_seconds: u32::try_from(LONGEST_PAUSE_SECONDS).expect("a week"),
        renewal_at,
        standing,
        alarm: alarm(policy, clock.about(), standing, facts).max(if has_given_up { Alarm::Late } else { Alarm::Quiet }),
        attempts: facts.attempts.count,
        has_given_up,
        is_request_out: facts.is_request_out,
        is_memory_damaged: false,
        is_copied: false,
        findings: Vec::new(),
        clock,
    };
    let mut pauses = vec![LONGEST_PAUSE_SECONDS];
    let begins = facts.begins.zip(facts.own_clock).map(|(begins, own)| begins.since(own));
    pauses.extend(begins.filter(|seconds| *seconds > 0));
    if facts.is_request_out && !facts.is_unfinished && !goes_beside_request(&plan) {
        plan.reason = Reason::RequestOut;
        // A request that was made and forgotten must not be the end of the identity.
        if renewal_at.is_some_and(|due| clock.about() >= Some(due)) {
            plan.alarm = plan.alarm.max(Alarm::Late);
        }
    } else if let Some(step) = wanted(policy, &plan, facts) {
        let (wait, reason) = waits(&plan, facts);
        if wait <= 0 {
            (plan.step, plan.reason) = (step, Reason::Due);
        } else {
            plan.reason = reason;
            pauses.push(wait);
        }
    } else if standing == Standing::Revoked {
        plan.reason = Reason::Revoked;
    }
    if let (Some(now), true) = (now, clock.is_known()) {
        if plan.step == Step::Nothing {
            plan.step = anchor_step(policy, seed, now, facts, &mut pauses);
            if plan.step != Step::Nothing {
                plan.reason = Reason::Due;
            }
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

/// How long a renewal is not repeated that has not moved the end, in seconds.
fn rest_in_vain(begin: Time, end: Time) -> i64 {
    (end.since(begin) / 4).clamp(SHORTEST_REST_IN_VAIN_SECONDS, LONGEST_REST_IN_VAIN_SECONDS)
}

/// A PKCS#10 request that is out is somebody's way to the next certificate, and to the first one the only way that is known. But one
/// that was forgotten must not be the end of an identity: near that, the online way is taken too, and the request stays.
fn goes_beside_request(plan: &Plan) -> bool {
    plan.standing != Standing::Absent && plan.alarm >= Alarm::Urgent
}

/// What is to be done about the identity as soon as no wait runs. Where one way failed, the next attempt takes another one
/// that may be open: the time may be wrong, the other credential may be believed, what was said against the identity may
/// not hold any more. The count of failures says whose turn it is; it is never set back but by success.
fn wanted(policy: &Policy, plan: &Plan, facts: &Facts) -> Option<Step> {
    let (now, count) = (plan.clock.at_least(), facts.attempts.count);
    let is_odd = count % 2 == 1;
    let is_told = plan.clock.says().is_some() || now.is_some();
    let is_time_poor = facts.is_time_in_question || (!plan.clock.is_known() && is_told);
    let update = || if facts.cannot_sign { Step::EnrollAgain } else { Step::Update };
    // No answer that was carried tells the present: what can be done meanwhile is done.
    let may_learn = !facts.is_carried;
    let rather_learn = |step: Step| Some(if is_time_poor && is_odd && may_learn { Step::LearnTime } else { step });
    match plan.standing {
        Standing::Revoked if facts.revoked_for == Some(CrlReason::CertificateHold) => {
            // The CA that takes it has lifted the hold.
            let is_due = !facts.is_sealed && plan.renewal_at.is_some_and(|due| now >= Some(due));
            if facts.is_unfinished { Some(Step::Resume) } else { is_due.then(update) }
        }
        Standing::Revoked if facts.revoked_for.is_some_and(asks_for_no_other) => None,
        // The right secret may come back, and then all is as it was. Once the certificate has ended there is nothing to be lost.
        Standing::Valid if facts.is_sealed => None,
        Standing::Unknown | Standing::NotYetValid if facts.is_sealed => Some(Step::LearnTime),
        _ if facts.is_unfinished && begins_by_one_clock_alone(policy, plan, facts) => None,
        _ if facts.is_unfinished && replaces_too_early(plan, facts) => {
            // Only a CA that never tells the time again leaves it to the count.
            Some(if count >= MOST_QUESTIONS && is_odd { Step::Resume } else { Step::LearnTime })
        }
        // Each answer that lets wait tells the time, too.
        _ if facts.is_unfinished && facts.waits > 0 && !facts.is_time_in_question => Some(Step::Resume),
        _ if facts.is_unfinished => rather_learn(Step::Resume),
        Standing::Absent => rather_learn(Step::Enroll),
        // Nobody has tried to renew it while that was due: the device was off over its end, or the clock has jumped there. To be told
        // which costs a question; another identity would cost somebody's approval.
        Standing::Expired if plan.clock.is_known() && count == 0 && !facts.is_time_told && may_learn => {
            Some(Step::LearnTime)
        }
        Standing::Expired | Standing::Damaged => rather_learn(Step::EnrollAgain),
        // One answer said so. Asking for an update with it puts that to the test.
        Standing::Revoked if is_odd && !facts.is_sealed && facts.revoked_for.is_none() => Some(update()),
        Standing::Revoked => Some(Step::EnrollAgain),
        Standing::Valid if plan.renewal_at.is_some_and(|due| now >= Some(due)) => {
            // So often in authentic answers, which nobody else can send. What is in use stays in use until the other is there.
            if plan.has_given_up && is_odd && !facts.is_alone {
                return Some(Step::EnrollAgain);
            }
            Some(if facts.is_time_in_question && is_odd && may_learn { Step::LearnTime } else { update() })
        }
        Standing::Valid => None,
        // The CA does not tell the time, or not the present, and a renewal is due whatever the time is.
        Standing::Unknown if (count >= 3 && is_odd || !may_learn) && plan.clock.about() >= plan.renewal_at => {
            Some(update())
        }
        // The CA has the same time as the clock, or none: the certificate is of no use now.
        Standing::NotYetValid if count >= 3 && is_odd => Some(Step::EnrollAgain),
        // A certificate was rarely made before its notBefore: rather the clock is wrong.
        Standing::Unknown | Standing::NotYetValid => Some(Step::LearnTime),
    }
}

/// Whether the certificate that waits for its time would come into use in place of one that is valid, and nobody knows whether its time has
/// come: a wait is measured in parts, and where there is no clock, only the time tells that all of them are over.
fn replaces_too_early(plan: &Plan, facts: &Facts) -> bool {
    let is_early = facts.begins.is_some_and(|begins| plan.clock.at_least() < Some(begins.plus(-CLOSE_SECONDS)));
    is_early && !plan.clock.is_known() && plan.standing.is_usable()
}

/// Whether the certificate that waits has not begun by the device's own clock, and the one in use is valid by that and by the CA's time, and not
/// near its end by either: to keep it loses nothing, whichever of the two is wrong.
fn begins_by_one_clock_alone(policy: &Policy, plan: &Plan, facts: &Facts) -> bool {
    let (Some(begins), Some(own), Some((begin, _))) = (facts.begins, facts.own_clock, facts.validity) else {
        return false;
    };
    let urgent = facts.standing().map(|(since, end)| policy.alarm_times(since, end)[1]);
    let latest = Some(own).max(plan.clock.at_least());
    let is_in_time = own >= begin.plus(-CLOSE_SECONDS) && latest < urgent;
    plan.standing.is_usable() && own < begins.plus(-CLOSE_SECONDS) && is_in_time
}

/// Seconds until the next attempt, and why.
fn waits(plan: &Plan, facts: &Facts) -> (i64, Reason) {
    // Without a clock and a meter there is nobody to measure a wait: whoever asks has waited as long as was told. A clock that is
    // wrong measures as well as another while it ticks; where it begins anew with each start, see `Planner::plan_as_told`.
    let by_clock = plan.clock.says().map(|now| facts.attempts.left_seconds(now));
    let after_attempt = i64::from(facts.left_seconds.or(by_clock).unwrap_or(0));
    let rest = plan.clock.says().map_or(0, |now| facts.pace.left_seconds(now));
    match after_attempt {
        0.. if rest > after_attempt => (rest, Reason::Resting),
        wait if facts.is_day_used_up => (wait, Reason::DayUsedUp),
        wait if facts.waits > 0 && facts.is_unfinished => (wait, Reason::CaAsksToWait),
        wait if plan.has_given_up => (wait, Reason::GivenUp),
        // The CA's time has said that nothing is due before. Where the clock tells that, a function of the program has failed.
        wait if plan.attempts == 0 && !plan.clock.is_known() && !facts.is_unfinished => (wait, Reason::NothingDue),
        wait => (wait, Reason::Retrying),
    }
}

fn standing(clock: Clock, facts: &Facts) -> Standing {
    let Some((begin, end)) = facts.validity else {
        return if facts.is_damaged { Standing::Damaged } else { Standing::Absent };
    };
    let is_over = clock.at_least().is_some_and(|at_least| at_least > end);
    // A hold has nothing to say any more once the certificate has ended.
    let is_withdrawn = facts.revoked_for.is_some_and(|reason| reason != CrlReason::CertificateHold || !is_over);
    if facts.is_revoked || is_withdrawn {
        return Standing::Revoked;
    }
    match clock.at_least() {
        Some(_) if is_over => Standing::Expired,
        Some(now) if clock.is_known() => {
            // Clocks that differ by less are both believed; whoever relies on it looks for himself.
            if now < begin.plus(-CLOSE_SECONDS) { Standing::NotYetValid } else { Standing::Valid }
        }
        // What has no end needs no clock.
        _ if end >= Time::FOREVER => Standing::Valid,
        _ => Standing::Unknown,
    }
}

fn alarm(policy: &Policy, now: Option<Time>, standing: Standing, facts: &Facts) -> Alarm {
    match standing {
        Standing::Absent | Standing::Expired | Standing::Revoked | Standing::Damaged => return Alarm::Unusable,
        _ if facts.is_sealed => return Alarm::Unusable,
        // By the clock; once the CA has been asked, by it as well.
        Standing::NotYetValid => return if facts.attempts.count > 0 { Alarm::Unusable } else { Alarm::Late },
        Standing::Valid | Standing::Unknown => {}
    }
    // By the CA's time it has begun; whoever goes by the device's clock does not take it.
    let least = if facts.is_early_by_own_clock() { Alarm::Late } else { Alarm::Quiet };
    let (Some(now), Some((begin, end))) = (now, facts.standing()) else { return least };
    if end >= Time::FOREVER {
        return least;
    }
    let [late, urgent] = policy.alarm_times(begin, end);
    if now >= urgent {
        Alarm::Urgent
    } else if now >= late {
        Alarm::Late
    } else {
        least
    }
}

/// When something about the identity changes by itself.
fn moments(policy: &Policy, renewal_at: Option<Time>, facts: &Facts) -> [Option<Time>; 5] {
    let (Some((not_before, _)), Some((begin, end))) = (facts.validity, facts.standing()) else { return [None; 5] };
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
    use super::super::plan::Anchor;
    use super::super::progress::Attempts;
    use super::*;
    use crate::crypto::default_provider;
    use crate::store::AnchorSet;

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
        assert_eq!((over.step, over.alarm, over.standing), (Step::LearnTime, Alarm::Unusable, Standing::Expired));
        // Nobody has tried to renew it: the clock may have jumped. Once an answer has told the time, or an attempt was made, it is over.
        assert_eq!(on_day(366, &Facts { is_time_told: true, ..year() }).step, Step::EnrollAgain);
        let tried = Attempts { count: 2, ..Attempts::default() };
        assert_eq!(on_day(366, &Facts { attempts: tried, ..year() }).step, Step::EnrollAgain);
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
    fn renewals_that_do_not_move_the_end_do_not_quiet_the_alarm_and_are_not_repeated_soon() {
        let end = BEGIN.plus(365 * DAY);
        let renewed_on = |day: i64, since: Option<i64>| Facts {
            installed: Some(BEGIN.plus(day * DAY)),
            stands_since: since.map(|day| BEGIN.plus(day * DAY)),
            ..year()
        };
        for (day, alarm) in [(200, Alarm::Quiet), (295, Alarm::Late), (345, Alarm::Urgent), (364, Alarm::Urgent)] {
            assert_eq!(on_day(day, &renewed_on(day, Some(0))).alarm, alarm, "{day}");
            // The dark twin: one that ends where none before it has ended has its own life.
            assert_eq!(on_day(day, &renewed_on(day, None)).alarm, Alarm::Quiet, "{day}");
        }
        let (mut installed, mut count) = (BEGIN, 0);
        while installed < end {
            let facts = Facts { installed: Some(installed), stands_since: Some(BEGIN), ..year() };
            let plan = decide(&Policy::default(), seed(), Clock::Known(installed), &facts);
            let next = plan.renewal_at.unwrap();
            assert!(installed == BEGIN || next.since(installed) >= 3600, "{count}");
            (installed, count) = (next, count + 1);
        }
        assert!(count < 30, "{count}");
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
    fn a_day_that_is_used_up_is_told_with_its_next_moment() {
        let now = BEGIN.plus(290 * DAY);
        let facts = Facts { attempts: failed(100, 1000, now), is_day_used_up: true, ..year() };
        let plan = on_day(290, &facts);
        assert_eq!((plan.step, plan.reason, plan.ask_again_seconds), (Step::Nothing, Reason::DayUsedUp, 900));
        let waiting = Facts { is_unfinished: true, waits: 90, ..facts.clone() };
        assert_eq!(on_day(290, &waiting).reason, Reason::DayUsedUp);
        // The dark twin: once it is over, what is due is due.
        let over = Facts { attempts: failed(1000, 1000, now), ..facts };
        assert_eq!((on_day(290, &over).step, on_day(290, &over).reason), (Step::Update, Reason::Due));
    }

    #[test]
    fn a_device_that_gave_up_says_so_and_asks_again_rarely() {
        let now = BEGIN.plus(300 * DAY);
        let waiting = Attempts { count: 8, last: Some(now), wait_seconds: 9000 };
        let facts = Facts { refusals: 8, attempts: waiting, ..year() };
        let plan = on_day(300, &facts);
        assert_eq!((plan.step, plan.has_given_up, plan.alarm), (Step::Nothing, true, Alarm::Late));
        assert_eq!((plan.ask_again_seconds, plan.reason), (9000, Reason::GivenUp));
        let early = on_day(
            260,
            &Facts { attempts: Attempts { last: Some(BEGIN.plus(260 * DAY)), ..waiting }, ..facts.clone() },
        );
        assert_eq!((early.step, early.alarm), (Step::Nothing, Alarm::Late), "people are told at once");
        let steps =
            |count| on_day(300, &Facts { attempts: Attempts { count, ..Attempts::default() }, ..facts.clone() }).step;
        assert_eq!((steps(8), steps(9)), (Step::Update, Step::EnrollAgain), "the other credential, before the end");
        let alone = Facts { is_alone: true, attempts: Attempts { count: 9, ..Attempts::default() }, ..facts.clone() };
        assert_eq!(on_day(300, &alone).step, Step::Update, "there is none");
        assert_eq!(on_day(300, &Facts { refusals: 7, ..year() }).step, Step::Update);
        let over = on_day(366, &facts);
        assert_eq!((over.step, over.has_given_up), (Step::EnrollAgain, false));
        let never = Policy { max_refusals: 0, ..Policy::default() };
        let rested = Facts { attempts: Attempts::default(), ..facts };
        let plan = decide(&never, seed(), Clock::Known(BEGIN.plus(300 * DAY)), &rested);
        assert_eq!((plan.step, plan.has_given_up), (Step::Update, false));
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
        let slow = decide(&Policy::default(), seed(), Clock::Known(BEGIN.plus(-400)), &year());
        assert_eq!(slow.standing, Standing::Valid, "a clock that is slow by minutes is no other clock");
    }

    #[test]
    fn without_the_time_a_certificate_that_begins_later_does_not_replace_a_valid_one() {
        let begins = BEGIN.plus(310 * DAY);
        let waiting = Facts { is_unfinished: true, begins: Some(begins), ..year() };
        let at = |clock, facts: &Facts| decide(&Policy::default(), seed(), clock, facts).step;
        let told = |day: i64| Clock::Unknown { at_least: Some(BEGIN.plus(day * DAY)) };
        for clock in [
            told(300),
            Clock::Unknown { at_least: None },
            Clock::Behind { known: BEGIN.plus(300 * DAY), seconds: 5 * DAY },
            Clock::Doubted {
                says: BEGIN.plus(400 * DAY),
                off_seconds: -100 * DAY,
                at_least: Some(BEGIN.plus(300 * DAY)),
            },
        ] {
            for count in 0..16 {
                let attempts = Attempts { count, ..Attempts::default() };
                assert_eq!(at(clock, &Facts { attempts, ..waiting.clone() }), Step::LearnTime, "{clock:?} {count}");
            }
            let attempts = Attempts { count: 17, ..Attempts::default() };
            assert_eq!(at(clock, &Facts { attempts, ..waiting.clone() }), Step::Resume, "the time is never told");
        }
        assert_eq!(at(told(311), &waiting), Step::Resume, "its time has come for sure");
        assert_eq!(at(Clock::Known(BEGIN.plus(300 * DAY)), &waiting), Step::Resume, "which measures it by the time");
        let first = Facts { validity: None, ..waiting };
        assert_eq!(at(told(300), &first), Step::Resume, "there is none that it would replace");
    }

    #[test]
    fn what_was_said_against_an_identity_is_put_to_the_test() {
        let steps: Vec<Step> = (0..4)
            .map(|count| {
                let attempts = Attempts { count, ..Attempts::default() };
                on_day(300, &Facts { is_revoked: true, attempts, ..year() }).step
            })
            .collect();
        assert_eq!(steps, [Step::EnrollAgain, Step::Update, Step::EnrollAgain, Step::Update]);
    }

    #[test]
    fn a_time_in_question_is_asked_for_by_turns() {
        for facts in [Facts::default(), year(), Facts { is_unfinished: true, ..year() }] {
            let step = |count| {
                let attempts = Attempts { count, ..Attempts::default() };
                on_day(300, &Facts { is_time_in_question: true, attempts, ..facts.clone() }).step
            };
            assert_ne!(step(0), Step::LearnTime);
            assert_eq!(step(1), Step::LearnTime);
            assert_ne!(step(2), Step::LearnTime);
        }
    }
}
