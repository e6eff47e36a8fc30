//! What else a plan of a renewal says, and the rules behind it.

use super::prelude::*;
use super::renewal::clock;
use devid_core::client::renewal::{Anchor, Reason, Step};
use devid_core::store::{AnchorSet, Problem};

/// When operators are told that an identity is late: devid_renewal_alarm(). Default: 800 and 930 thousandths of the lifetime.
///
/// @param late_permille    1 to 1000: DEVID_ALARM_LATE from this share of the lifetime on, in thousandths.
/// @param urgent_permille  `late_permille` to 1000: DEVID_ALARM_URGENT from this share on, in thousandths.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_renewal_set_alarms(
    renewal: &mut devid_renewal,
    late_permille: u32,
    urgent_permille: u32,
) -> Result<(), Error> {
    if !(1..=1000).contains(&late_permille) || !(late_permille..=1000).contains(&urgent_permille) {
        let words = format!("late at {late_permille} and urgent at {urgent_permille}: 1 to 1000, and in this order");
        return Err(invalid(words));
    }
    let policy = &mut renewal.planner.policy;
    (policy.late_permille, policy.urgent_permille) = (late_permille, urgent_permille);
    Ok(())
}

/// When the successors of trust anchors in device memory are asked for. Default: from 700 thousandths of an anchor's lifetime on,
/// every 604800 s as long as there is none.
///
/// @param share_permille    1 to 1000: from this share of an anchor's lifetime on, in thousandths.
/// @param interval_seconds  How often, from 3600.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_renewal_set_root_questions(
    renewal: &mut devid_renewal,
    share_permille: u32,
    interval_seconds: u32,
) -> Result<(), Error> {
    if !(1..=1000).contains(&share_permille) || interval_seconds < 3600 {
        let words = format!("from {share_permille} thousandths on every {interval_seconds} s: 1 to 1000, from 3600 s");
        return Err(invalid(words));
    }
    let policy = &mut renewal.planner.policy;
    (policy.anchor_share_permille, policy.anchor_interval_seconds) = (share_permille, interval_seconds);
    Ok(())
}

/// An error of the program's own, for devid_renewal_ended(): what it met on a way to the server that the library does not know.
///
/// @param code                 Such as DEVID_E_CONNECT, DEVID_E_BUSY or DEVID_E_TIMEOUT; a number at or below -10000 is the program's.
/// @param retry_after_seconds  How long the server asks to wait; -1 if it does not say.
/// @param text                 What happened, for users. Not NULL.
/// @param out_error            Receives the error; free with devid_error_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a number that is not a failure.
#[export]
fn devid_error_new(code: devid_status, retry_after_seconds: i64, text: &str) -> Result<devid_error, Error> {
    let error = match Code::from_number(code) {
        Some(known) => Error::new(known, text),
        None if code <= -10_000 => Error::application(code, text),
        None => return Err(invalid(format!("{code} is not a failure"))),
    };
    let seconds = u32::try_from(retry_after_seconds).ok();
    Ok(devid_error::from(error.with(|facts| facts.retry_after_seconds = seconds)))
}

/// For programs that step operations themselves: remembers that the CA asked to wait, which is not a failure. A CA that asks for hardly
/// any time, over and over, is asked more and more slowly.
///
/// @param seconds      As devid_op_wait_seconds() says.
/// @param now          As devid_renewal_due().
/// @param out_seconds  Receives the wait before the operation is continued. May be NULL.
/// @return DEVID_OK; a failure of device memory.
#[export]
fn devid_renewal_waiting(renewal: &devid_renewal, store: &devid_store, seconds: u32, now: i64) -> Result<u32, Error> {
    renewal.planner.note_waiting(store, &renewal.name, seconds, clock(now))
}

fn asked_for(renewal: &devid_renewal) -> Option<&Anchor> {
    match &renewal.plan.as_ref()?.step {
        Step::AskForRoot(anchor) => Some(anchor),
        _ => None,
    }
}

/// In which set the anchor is whose successor is to be asked for, with DEVID_STEP_ASK_FOR_ROOT, by the last plan.
///
/// @return "cmp" or "enrolment"; NULL with other steps. Valid until the process ends.
#[export]
fn devid_renewal_root_use(renewal: &devid_renewal) -> Option<&CStr> {
    Some(match asked_for(renewal)?.set {
        AnchorSet::Cmp => c"cmp",
        AnchorSet::Enrolment => c"enrolment",
        AnchorSet::Tls => c"tls",
        AnchorSet::Peer => c"peer",
    })
}

/// Its place in that set, as devid_store_anchors() gives it.
///
/// @return From 0; 0 also with other steps.
#[export]
fn devid_renewal_root_index(renewal: &devid_renewal) -> usize {
    asked_for(renewal).map_or(0, |anchor| anchor.index)
}

/// Nothing is due before the next moment.
pub const DEVID_WHY_NOTHING_DUE: i32 = 1;
/// The step is due.
pub const DEVID_WHY_DUE: i32 = 2;
/// An attempt failed, and its wait runs.
pub const DEVID_WHY_RETRYING: i32 = 3;
/// The CA asked to wait.
pub const DEVID_WHY_CA_ASKS_TO_WAIT: i32 = 4;
/// The CA refused too often: it is asked again, but rarely.
pub const DEVID_WHY_GIVEN_UP: i32 = 5;
/// A certificate was installed a moment ago, and another one is due already.
pub const DEVID_WHY_RESTING: i32 = 6;
/// A PKCS#10 request is out: its certificate is imported, or it is abandoned.
pub const DEVID_WHY_REQUEST_OUT: i32 = 7;
/// So many requests have led to nothing that those of a day are used up: some 100 at once, and from then on another 100 in 24 hours.
pub const DEVID_WHY_DAY_USED_UP: i32 = 8;
/// The certificate is revoked for a reason after which no other is asked for (cessationOfOperation, privilegeWithdrawn,
/// affiliationChanged), or on hold.
pub const DEVID_WHY_REVOKED: i32 = 9;

/// Why the last plan is as it is.
///
/// @return One of DEVID_WHY_*, more may be added; 0 if no plan was made.
#[export]
fn devid_renewal_reason(renewal: &devid_renewal) -> Option<i32> {
    Some(match renewal.plan.as_ref()?.reason {
        Reason::NothingDue => DEVID_WHY_NOTHING_DUE,
        Reason::Due => DEVID_WHY_DUE,
        Reason::Retrying => DEVID_WHY_RETRYING,
        Reason::CaAsksToWait => DEVID_WHY_CA_ASKS_TO_WAIT,
        Reason::GivenUp => DEVID_WHY_GIVEN_UP,
        Reason::Resting => DEVID_WHY_RESTING,
        Reason::RequestOut => DEVID_WHY_REQUEST_OUT,
        Reason::DayUsedUp => DEVID_WHY_DAY_USED_UP,
        Reason::Revoked => DEVID_WHY_REVOKED,
        _ => 0,
    })
}

/// When to ask again, by the last plan: the present that it was made for and the seconds that it named.
///
/// @return Seconds since 1970-01-01T00:00:00Z; -1 if the time is not known.
#[export(otherwise = -1)]
fn devid_renewal_next(renewal: &devid_renewal) -> Option<i64> {
    let plan = renewal.plan.as_ref()?;
    let now = plan.clock.at_least().filter(|_| plan.clock.is_known())?;
    Some(now.plus(i64::from(plan.ask_again_seconds)).unix())
}

/// Whether what was remembered about failures was damaged, by the last plan; it counts as nothing then.
///
/// @return 1 or 0.
#[export]
fn devid_renewal_is_memory_damaged(renewal: &devid_renewal) -> bool {
    renewal.plan.as_ref().is_some_and(|plan| plan.is_memory_damaged)
}

/// Whether device memory was begun by another device (devid_renewal_set_device_id()), by the last plan: an image was copied, and two
/// devices have the same keys. The CA cannot tell them apart. devid_renewal_reset() makes it this device's.
///
/// @return 1 or 0.
#[export]
fn devid_renewal_is_copied(renewal: &devid_renewal) -> bool {
    renewal.plan.as_ref().is_some_and(|plan| plan.is_copied)
}

/// How much is damaged or out of reach in device memory of what this identity needs, by the last plan: a generation, a set of anchors, which
/// counts as empty then. After devid_renewal_run() also what that has put right.
///
/// @return 0: nothing, or no plan was made.
#[export]
fn devid_renewal_finding_count(renewal: &devid_renewal) -> usize {
    renewal.findings.len()
}

/// One of them: where, what, and what a person does about it.
///
/// @param index  From 0 to devid_renewal_finding_count() - 1.
/// @return NULL if there is no such finding; valid until the next plan or run, or until the renewal is freed.
#[export]
fn devid_renewal_finding(renewal: &devid_renewal, index: usize) -> Option<&CStr> {
    let words = |found: &Problem| format!("{}: {}", found.place, found.text);
    renewal.finding_words.at(index, || renewal.findings.iter().map(words).collect())
}

/// Makes device memory forget the time that it knows: for operators who have set a clock right that ran ahead. What it noted last is
/// else a lower bound for ever.
///
/// @return DEVID_OK or a failure of device memory.
#[export]
fn devid_store_forget_time(store: &devid_store) -> Result<(), Error> {
    Ok(store.forget_time()?)
}
