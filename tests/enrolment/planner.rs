//! The planner over every combination of facts: there is always a step or a moment, a reason, and an alarm where one belongs;
//! nothing valid is given up for something that is not confirmed.

use devid::Time;
use devid::asn1::crl::CrlReason;
use devid::client::Step;
use devid::client::renewal::{
    Alarm, Anchor, AnchorFacts, Attempts, Clock, Facts, Pace, Plan, Policy, Reason, Seed, Standing, decide,
};
use devid::store::AnchorSet;

use crate::certificates::provider;
use crate::renewal::DAY;

const NOW: Time = Time::from_unix(1_800_000_000);
const WEEK: u32 = 7 * 86_400;

/// Seconds before and behind the present where certificates begin and end.
const VALIDITIES: [Option<(i64, i64)>; 14] = [
    None,
    Some((-10 * DAY, 355 * DAY)),
    Some((-260 * DAY, 105 * DAY)),
    Some((-300 * DAY, 65 * DAY)),
    Some((-355 * DAY, 10 * DAY)),
    Some((-365 * DAY, -1)),
    Some((-9000 * DAY, -8000 * DAY)),
    Some((3 * DAY, 300 * DAY)),
    Some((100, 400)),
    Some((-100, 200)),
    Some((-290, 10)),
    Some((0, 0)),
    // It ends before it begins.
    Some((500, -500)),
    Some((-DAY, i64::MAX / 4)),
];

fn clocks() -> [Clock; 7] {
    [
        Clock::Known(NOW),
        Clock::Known(Time::from_unix(0)),
        Clock::Known(Time::from_unix(i64::MAX / 2)),
        Clock::Behind { known: NOW, seconds: 400 * DAY },
        Clock::Doubted { says: NOW.plus(-400 * DAY), off_seconds: 400 * DAY, at_least: Some(NOW.plus(-DAY)) },
        Clock::Unknown { at_least: Some(NOW) },
        Clock::Unknown { at_least: None },
    ]
}

fn attempts() -> Vec<Attempts> {
    let mut found = vec![Attempts::default()];
    for count in [1, 2, 3, 8, 9, u32::MAX] {
        for (ago, wait_seconds) in [(0, 0), (0, 900), (900, 900), (-DAY, 900), (5, u32::MAX), (9000 * DAY, 86_400)] {
            found.push(Attempts { count, last: Some(NOW.plus(-ago)), wait_seconds });
        }
        found.push(Attempts { count, last: None, wait_seconds: 77 });
    }
    found
}

fn anchors() -> [Vec<AnchorFacts>; 4] {
    let anchor = Anchor { set: AnchorSet::Cmp, index: 0 };
    let facts = |begin: i64, end: i64, attempts| AnchorFacts {
        anchor: anchor.clone(),
        validity: (NOW.plus(begin), NOW.plus(end)),
        attempts,
    };
    let asked = Attempts { count: 3, last: Some(NOW.plus(-60)), wait_seconds: WEEK };
    [
        Vec::new(),
        vec![facts(-3000 * DAY, 300 * DAY, Attempts::default())],
        vec![facts(-3000 * DAY, 300 * DAY, asked), facts(-10 * DAY, 3000 * DAY, Attempts::default())],
        vec![facts(-3000 * DAY, -DAY, Attempts::default())],
    ]
}

fn policies() -> [Policy; 3] {
    let odd = Policy {
        share_permille: 0,
        spread_permille: u32::MAX,
        first_retry_seconds: 0,
        longest_retry_seconds: 0,
        max_refusals: 1,
        late_permille: u32::MAX,
        urgent_permille: 0,
        anchor_share_permille: 0,
        anchor_interval_seconds: 0,
        ..Policy::default()
    };
    [Policy::default(), Policy { max_refusals: 0, ..Policy::default() }, odd]
}

/// Every combination; some million.
fn every_combination(mut look: impl FnMut(&Policy, Clock, &Facts, &Plan)) -> usize {
    let seed = Seed::from_id(&**provider(), b"router-7").unwrap();
    let (attempts, anchors, policies) = (attempts(), anchors(), policies());
    let mut count = 0;
    let bits = |number: u32| std::array::from_fn::<bool, 5, _>(|bit| number >> bit & 1 == 1);
    for validity in VALIDITIES {
        let validity =
            validity.map(|(begin, end)| (NOW.plus(begin), if end > 1 << 50 { Time::FOREVER } else { NOW.plus(end) }));
        for [is_damaged, is_revoked, is_unfinished, is_request_out, is_time_in_question] in (0..32).map(bits) {
            if is_damaged && validity.is_some() {
                continue;
            }
            for attempts in &attempts {
                for (refusals, waits, pace) in [
                    (0, 0, Pace::default()),
                    (8, 0, Pace::default()),
                    (u32::MAX, 3, Pace { quick: 9, last: Some(NOW.plus(-1)) }),
                ] {
                    // Anchors are looked at on their own: what is due about them does not depend on the rest.
                    let anchors = &anchors[count % anchors.len()];
                    let facts = Facts {
                        validity,
                        installed: [None, Some(NOW.plus(-DAY))][count % 2],
                        stands_since: [None, None, Some(NOW.plus(-400 * DAY))][count % 3],
                        is_damaged,
                        is_sealed: count % 7 == 6 && validity.is_some(),
                        is_revoked,
                        revoked_for: match count % 11 {
                            8 => Some(CrlReason::CertificateHold),
                            9 => Some(CrlReason::CessationOfOperation),
                            10 => Some(CrlReason::Superseded),
                            _ => None,
                        }
                        .filter(|_| validity.is_some()),
                        cannot_sign: count % 3 == 2,
                        is_alone: count % 11 == 10,
                        is_unfinished,
                        begins: [None, Some(NOW.plus(5 * DAY)), Some(NOW.plus(-DAY))][count % 3]
                            .filter(|_| is_unfinished),
                        is_request_out,
                        attempts: *attempts,
                        left_seconds: [None, None, Some(0), Some(77)][count % 4],
                        refusals,
                        waits,
                        pace,
                        is_day_used_up: count % 13 == 12,
                        is_time_in_question,
                        is_time_told: false,
                        own_clock: None,
                        is_carried: count % 5 == 4,
                        anchors: anchors.clone(),
                    };
                    for clock in clocks() {
                        let own_clock = says(clock).filter(|own| own.unix() > 1_704_067_200);
                        let facts = Facts { own_clock, ..facts.clone() };
                        for policy in &policies {
                            look(policy, clock, &facts, &decide(policy, seed, clock, &facts));
                        }
                    }
                    count += 1;
                }
            }
        }
    }
    count * 7 * policies.len()
}

/// What is left of the wait: by the meter, or by the clock.
fn left_seconds(facts: &Facts, now: Time) -> u32 {
    facts.left_seconds.unwrap_or_else(|| facts.attempts.left_seconds(now))
}

#[test]
fn whatever_the_facts_are_there_is_a_step_or_a_moment_and_a_reason() {
    let count = every_combination(|policy, clock, facts, plan| {
        let why = || format!("{plan:?}\n{facts:?}\n{clock:?}\n{policy:?}");
        match plan.step {
            Step::Nothing => {
                assert!((1..=WEEK).contains(&plan.ask_again_seconds), "{}", why());
                assert_ne!(plan.reason, Reason::Due, "{}", why());
            }
            _ => assert_eq!((plan.ask_again_seconds, plan.reason), (0, Reason::Due), "{}", why()),
        }
        let is_about_identity = !matches!(plan.step, Step::Nothing | Step::AskForRoot(_));
        // A wait that runs is kept, by whoever can measure it.
        let is_waited = |now| left_seconds(facts, now) > 0 || facts.pace.left_seconds_of(now) > 0;
        assert!(!(is_about_identity && says(clock).is_some_and(is_waited)), "{}", why());
        // Who gave something to carry to the CA does not ask it as well.
        if facts.is_request_out && !facts.is_unfinished {
            let is_last_resort = plan.alarm >= Alarm::Urgent && plan.standing != Standing::Absent;
            assert!((is_last_resort || !is_about_identity) && plan.is_request_out, "{}", why());
        }
        // What was begun is finished before anything else is.
        if facts.is_unfinished && is_about_identity {
            assert!(matches!(plan.step, Step::Resume | Step::LearnTime), "{}", why());
        }
    });
    assert!(count > 500_000, "{count}");
}

#[test]
fn who_has_nothing_usable_asks_for_it_and_people_are_told() {
    every_combination(|policy, clock, facts, plan| {
        let why = || format!("{plan:?}\n{facts:?}\n{clock:?}\n{policy:?}");
        let is_unusable =
            matches!(plan.standing, Standing::Absent | Standing::Expired | Standing::Revoked | Standing::Damaged);
        // Not valid yet by the clock, and somebody was asked about it.
        let is_early = plan.standing == Standing::NotYetValid && facts.attempts.count > 0;
        assert_eq!(plan.alarm == Alarm::Unusable, is_unusable || is_early || facts.is_sealed, "{}", why());
        // A key that does not open signs nothing, and while its certificate is valid nobody else is asked in its place.
        if facts.is_sealed {
            assert_ne!(plan.step, Step::Update, "{}", why());
            let is_quiet = matches!(plan.step, Step::Nothing | Step::AskForRoot(_));
            assert!(is_quiet || plan.standing != Standing::Valid, "{}", why());
        }
        if plan.has_given_up {
            assert!(plan.alarm >= Alarm::Late, "{}", why());
        }
        // No wait runs, nothing is out: something is done about it now.
        let is_free = match says(clock) {
            Some(now) => left_seconds(facts, now) == 0 && facts.pace.left_seconds_of(now) == 0,
            None => facts.left_seconds.unwrap_or(0) == 0,
        };
        let is_carried = facts.is_request_out && !facts.is_unfinished && plan.standing == Standing::Absent;
        // What its CA has taken out of service, or put on hold, is followed by nothing that nobody has asked for.
        let is_at_rest = match facts.revoked_for {
            Some(CrlReason::CessationOfOperation) => true,
            Some(CrlReason::CertificateHold) => !facts.is_unfinished,
            _ => false,
        } && plan.standing == Standing::Revoked;
        if is_at_rest && !facts.is_request_out && facts.revoked_for == Some(CrlReason::CessationOfOperation) {
            assert!(matches!(plan.step, Step::Nothing | Step::AskForRoot(_)), "{}", why());
            assert!(matches!(plan.reason, Reason::Revoked | Reason::Due), "{}", why());
        }
        if is_unusable && is_free && !is_carried && !is_at_rest {
            assert!(!matches!(plan.step, Step::Nothing | Step::AskForRoot(_)), "{}", why());
        }
        // A renewal that is due is asked for, or the time.
        if plan.standing == Standing::Valid
            && plan.renewal_at.is_some_and(|due| clock.at_least() >= Some(due))
            && is_free
            && !facts.is_request_out
            && !facts.is_unfinished
            && !facts.is_sealed
        {
            assert!(matches!(plan.step, Step::Update | Step::LearnTime | Step::EnrollAgain), "{}", why());
        }
    });
}

#[test]
fn nothing_valid_is_given_up_for_something_that_is_not_confirmed() {
    every_combination(|policy, clock, facts, plan| {
        let why = || format!("{plan:?}\n{facts:?}\n{clock:?}\n{policy:?}");
        if plan.step == Step::EnrollAgain {
            let may = facts.cannot_sign
                || match plan.standing {
                    Standing::Expired | Standing::Damaged | Standing::Revoked => true,
                    // The CA has refused it often, and every other time the other credential is tried, where there is one.
                    Standing::Valid => plan.has_given_up && !facts.is_alone,
                    // Neither the clock nor the CA's time makes it valid.
                    Standing::NotYetValid => facts.attempts.count >= 3,
                    Standing::Absent | Standing::Unknown => false,
                };
            assert!(may, "{}", why());
        }
        // A first certificate is asked for only where there is none.
        if plan.step == Step::Enroll {
            assert_eq!(plan.standing, Standing::Absent, "{}", why());
        }
        // What only one answer said, or a clock that nobody vouches for, ends nothing.
        if plan.standing == Standing::Expired {
            assert!(facts.validity.is_some_and(|(_, end)| clock.at_least() > Some(end)), "{}", why());
        }
    });
}

/// Where one way has failed, the next attempts take every other one that may be open.
#[test]
fn no_way_is_tried_for_ever_while_another_one_may_be_open() {
    let seed = Seed::from_id(&**provider(), b"router-7").unwrap();
    let steps = |facts: &Facts, clock: Clock| -> Vec<Step> {
        (0..8)
            .map(|count| {
                let attempts = Attempts { count, ..Attempts::default() };
                decide(&Policy::default(), seed, clock, &Facts { attempts, ..facts.clone() }).step
            })
            .collect()
    };
    let valid = |begin: i64, end: i64| Facts {
        validity: Some((NOW.plus(begin * DAY), NOW.plus(end * DAY))),
        ..Facts::default()
    };
    let known = Clock::Known(NOW);
    let behind = Clock::Behind { known: NOW, seconds: 400 * DAY };
    let revoked = Facts { is_revoked: true, ..valid(-10, 355) };
    let given_up = Facts { refusals: 8, ..valid(-340, 25) };
    let doubted = Facts { is_time_in_question: true, ..valid(-340, 25) };
    for (facts, clock, ways) in [
        (revoked, known, vec![Step::EnrollAgain, Step::Update]),
        (given_up, known, vec![Step::Update, Step::EnrollAgain]),
        (doubted, known, vec![Step::Update, Step::LearnTime]),
        (valid(30, 300), known, vec![Step::LearnTime, Step::EnrollAgain]),
        (valid(-340, 25), behind, vec![Step::LearnTime, Step::Update]),
        (valid(-400, -35), behind, vec![Step::EnrollAgain, Step::LearnTime]),
        (Facts { is_unfinished: true, ..Facts::default() }, behind, vec![Step::Resume, Step::LearnTime]),
    ] {
        let steps = steps(&facts, clock);
        for way in ways {
            assert!(steps.contains(&way), "{way:?} is not among {steps:?} for {facts:?}");
        }
    }
}

/// A CA that refuses, is away or does not answer is not asked more often than this, whatever the rules say.
#[test]
fn waits_have_a_lower_and_an_upper_bound() {
    let seed = Seed::from_id(&**provider(), b"router-7").unwrap();
    for policy in policies() {
        for count in [1, 2, 3, 5, 40, u32::MAX] {
            for asked in [None, Some(0), Some(60), Some(u32::MAX)] {
                for left in [None, Some(-5), Some(0), Some(1), Some(300), Some(DAY), Some(365 * DAY), Some(i64::MAX)] {
                    let wait = policy.retry_seconds(seed, count, asked, left);
                    let most = i64::from(policy.longest_retry_seconds.max(30)) * 3 / 2;
                    assert!(
                        (30..=most.max(30)).contains(&i64::from(wait)),
                        "{wait} {count} {asked:?} {left:?} {policy:?}"
                    );
                    if let Some(left) = left.filter(|left| *left > 120) {
                        assert!(i64::from(wait) <= left / 4, "{wait} of {left}");
                    }
                }
            }
        }
    }
}

/// By which waits are measured: also a clock that is behind counts on.
fn says(clock: Clock) -> Option<Time> {
    match clock {
        Clock::Known(now) => Some(now),
        Clock::Behind { known, seconds } => Some(known.plus(-seconds)),
        Clock::Doubted { says, .. } => Some(says),
        Clock::Unknown { .. } => None,
    }
}

trait Rest {
    fn left_seconds_of(&self, now: Time) -> i64;
}

impl Rest for Pace {
    /// As documented: no rest is longer than a minute.
    fn left_seconds_of(&self, now: Time) -> i64 {
        let Some(last) = self.last else { return 0 };
        let passed = now.since(last);
        let rest = (4i64 << self.quick.min(8)).min(60);
        if passed < 0 { 0 } else { (rest - passed).max(0) }
    }
}
