//! Renewal: what is due, when to ask again, and a step that does it. Remembered in device memory, over reboots.

use super::args::c_text;
use super::config::{DEVID_LOG_ERROR, DEVID_LOG_INFO, Log};
use super::new_key::NewKeys;
use super::own_transport::OwnTransport;
use super::prelude::*;
use super::renewal_words::{number_of_alarm, number_of_done, number_of_standing, number_of_step, words_of};
use super::run::{Callbacks, Program, ProgramExchange, devid_exchange_fn};
use super::texts::Texts;
use devid_core::client::renewal::{Clock, Done, Plan, Planner, Renewal, Report, Step};
use devid_core::client::{Config, Destination, Subject};
use devid_core::store::{Problem, Store};
use devid_core::transport::Exchange;

/// The renewal of one identity: rules, settings, and the last plan that was made.
///
/// What it remembers (failures, waits, refusals) is in device memory; a new handle after a reboot continues from there.
#[handle]
pub type devid_renewal = RenewalHandle;

#[doc(hidden)]
pub struct RenewalHandle {
    pub(super) planner: Planner,
    pub(super) config: Config,
    log: Option<std::sync::Arc<Log>>,
    pub(super) name: String,
    purpose: String,
    factory: Option<String>,
    subject: Option<Subject>,
    pub(super) callbacks: Callbacks,
    /// The way of the messages, where the program carries the datagrams.
    pub(super) datagrams: Option<Box<dyn Exchange + Send + Sync>>,
    pub(super) new_keys: NewKeys,
    pub(super) plan: Option<Plan>,
    /// What the plan, or the run before it, has found in device memory.
    pub(super) findings: Vec<Problem>,
    pub(super) finding_words: Texts,
    pub(super) abandoned: Option<CString>,
}

/// What is due: one of DEVID_STEP_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_step = i32;

/// Nothing, for now.
pub const DEVID_STEP_NOTHING: i32 = 0;
/// The first certificate: ir.
pub const DEVID_STEP_ENROLL: i32 = 1;
/// A key update: kur, protected with the identity in use.
pub const DEVID_STEP_UPDATE: i32 = 2;
/// The identity in use has expired, is revoked or damaged: ir with the factory's identity or the settings' credential.
pub const DEVID_STEP_ENROLL_AGAIN: i32 = 3;
/// Continue an operation that was interrupted or that waits for the CA.
pub const DEVID_STEP_RESUME: i32 = 4;
/// Ask for the successor of a trust anchor in device memory.
pub const DEVID_STEP_ASK_FOR_ROOT: i32 = 5;
/// Learn the time from the CA, since what is due depends on it.
pub const DEVID_STEP_LEARN_TIME: i32 = 6;

/// What a step did: one of DEVID_DONE_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_done = i32;

/// Nothing was due.
pub const DEVID_DONE_NOTHING: i32 = 0;
/// A new certificate is in use.
pub const DEVID_DONE_INSTALLED: i32 = 1;
/// The CA asks to wait; the operation is saved.
pub const DEVID_DONE_WAITING: i32 = 2;
/// A root's successor is among the anchors.
pub const DEVID_DONE_ROOT_ADDED: i32 = 3;
/// The CA knows of no successor of the root yet.
pub const DEVID_DONE_NO_SUCCESSOR: i32 = 4;
/// An unfinished operation could not be continued and is given up; a fresh one is due.
pub const DEVID_DONE_ABANDONED: i32 = 5;
/// The time was learnt, and by it nothing is due.
pub const DEVID_DONE_TIME_LEARNT: i32 = 6;

/// How an identity stands: one of DEVID_STANDING_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_standing = i32;

/// No plan was made yet.
pub const DEVID_STANDING_NOT_ASKED: i32 = 0;
/// There is no identity.
pub const DEVID_STANDING_ABSENT: i32 = 1;
/// It is valid, as far as time and what the CA says go.
pub const DEVID_STANDING_VALID: i32 = 2;
/// Its notBefore lies ahead: rather the clock is wrong.
pub const DEVID_STANDING_NOT_YET_VALID: i32 = 3;
/// Its notAfter has passed.
pub const DEVID_STANDING_EXPIRED: i32 = 4;
/// The CA refused it as revoked.
pub const DEVID_STANDING_REVOKED: i32 = 5;
/// It cannot be read: see devid_store_verify() and devid_store_last_good().
pub const DEVID_STANDING_DAMAGED: i32 = 6;
/// Whether it has expired cannot be told without the time.
pub const DEVID_STANDING_UNKNOWN: i32 = 7;

/// Alarm level: one of DEVID_ALARM_*, higher is worse.
#[allow(non_camel_case_types)]
pub type devid_alarm = i32;

/// Not at all.
pub const DEVID_ALARM_QUIET: i32 = 0;
/// The renewal is late.
pub const DEVID_ALARM_LATE: i32 = 1;
/// The end is near.
pub const DEVID_ALARM_URGENT: i32 = 2;
/// There is no usable identity.
pub const DEVID_ALARM_UNUSABLE: i32 = 3;

/// For `now`: there is no clock.
pub const DEVID_NO_CLOCK: i32 = -1;

/// What is known about the time: one of DEVID_CLOCK_*.
#[allow(non_camel_case_types)]
pub type devid_clock = i32;

/// The clock is believed.
pub const DEVID_CLOCK_KNOWN: i32 = 1;
/// The clock says less than the last known time, which counts in its place.
pub const DEVID_CLOCK_BEHIND: i32 = 2;
/// There is no clock.
pub const DEVID_CLOCK_UNKNOWN: i32 = 3;
/// An authentic answer has contradicted the clock, or it says a time before 2024: it measures waits, and tells no time.
pub const DEVID_CLOCK_DOUBTED: i32 = 4;

/// Begins to look after an identity. Nothing is sent and device memory is not touched.
///
/// @param config       Server, anchors, and the credential for the first certificate (not needed with
///                     devid_renewal_set_factory()); copied. Anchors in device memory count as well. Not NULL.
/// @param name         The identity's name in device memory. Not NULL.
/// @param purpose      What it is for, such as "ldevid". Not NULL.
/// @param out_renewal  Receives the renewal; free with devid_renewal_free(). Not NULL.
#[export]
fn devid_renewal_new(config: &devid_config, name: &str, purpose: &str) -> Result<devid_renewal, Error> {
    Ok(RenewalHandle {
        planner: Planner::with_provider(std::sync::Arc::clone(config.config.provider())),
        config: config.config.clone(),
        log: config.log.clone(),
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        factory: None,
        subject: None,
        callbacks: Callbacks::default(),
        datagrams: None,
        new_keys: NewKeys::default(),
        plan: None,
        findings: Vec::new(),
        finding_words: Texts::default(),
        abandoned: None,
    })
}

/// Names the device, so that those of a fleet renew at different times, and device memory that was copied from another device is
/// noticed: devid_renewal_is_copied(). Default: the names in the certificate, and no copy is noticed.
///
/// @param id       Such as a serial number; the same after each reboot. Not NULL.
#[export]
fn devid_renewal_set_device_id(renewal: &mut devid_renewal, id: &[u8]) -> Result<(), Error> {
    renewal.planner.device_id = Some(id.to_vec());
    Ok(())
}

/// What the first certificate is asked for, and one after an expiry. Default: what the certificate in use says.
///
/// @param subject  Copied. Not NULL.
#[export]
fn devid_renewal_set_subject(renewal: &mut devid_renewal, subject: &devid_subject) -> Result<(), Error> {
    renewal.subject = Some(subject.clone());
    Ok(())
}

/// The factory's identity (IDevID) in device memory: protects what the identity itself cannot.
///
/// @param name     Its name in device memory. NULL: the credential of the settings. May be NULL.
#[export]
fn devid_renewal_set_factory(renewal: &mut devid_renewal, name: Option<&str>) -> Result<(), Error> {
    renewal.factory = name.map(str::to_owned);
    renewal.planner.factory = renewal.factory.clone();
    Ok(())
}

/// When certificates are renewed. Default: at 667 thousandths of the lifetime, up to 333 thousandths earlier while a device
/// finds its own place among all.
///
/// @param share_permille   1 to 1000: the share of the lifetime, in thousandths.
/// @param spread_permille  0 to `share_permille`: how much earlier it may be, in thousandths of the lifetime.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_renewal_set_schedule(
    renewal: &mut devid_renewal,
    share_permille: u32,
    spread_permille: u32,
) -> Result<(), Error> {
    if !(1..=1000).contains(&share_permille) || spread_permille > share_permille {
        let words = format!("share {share_permille} and spread {spread_permille}: 1 to 1000, 0 to the share");
        return Err(invalid(words));
    }
    renewal.planner.policy.share_permille = share_permille;
    renewal.planner.policy.spread_permille = spread_permille;
    Ok(())
}

/// How failures are waited out: the wait doubles from the first to the longest. Default: 900 s, 86400 s, 8 refusals.
///
/// @param first_seconds    The wait after the first failure, from 1.
/// @param longest_seconds  The longest wait between attempts; also bounds what a server asks for by Retry-After.
/// @param max_refusals     How often the CA may refuse, or issue what is refused here, before the device gives up; 0: it never does.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_renewal_set_retry(
    renewal: &mut devid_renewal,
    first_seconds: u32,
    longest_seconds: u32,
    max_refusals: u32,
) -> Result<(), Error> {
    if first_seconds == 0 || longest_seconds < first_seconds {
        let words = format!("waits from {first_seconds} s to {longest_seconds} s: from 1 s, and growing");
        return Err(invalid(words));
    }
    let policy = &mut renewal.planner.policy;
    policy.first_retry_seconds = first_seconds;
    policy.longest_retry_seconds = longest_seconds;
    policy.max_refusals = max_refusals;
    Ok(())
}

/// The longest wait that devid_renewal_run() sleeps through when the CA asks to wait. Default: 30 s.
///
/// @param longest_seconds  0: it never sleeps.
#[export]
fn devid_renewal_set_longest_nap(renewal: &mut devid_renewal, longest_seconds: u32) -> Result<(), Error> {
    renewal.planner.policy.longest_nap_seconds = longest_seconds;
    Ok(())
}

/// Whether renewals keep the key. Default: a new one each time, of the same kind.
///
/// @param same     1: the same key; 0: a new one.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_renewal_set_same_key(renewal: &mut devid_renewal, same: bool) -> Result<(), Error> {
    renewal.planner.policy.same_key = same;
    Ok(())
}

/// Carry the messages of devid_renewal_run() by a function of the program instead of the built-in HTTP client.
///
/// @param exchange  NULL: the built-in HTTP client. May be NULL.
/// @param user      Passed to `exchange` and `destroy`. May be NULL.
/// @param destroy   Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_exchange(
    renewal: &mut devid_renewal,
    exchange: Option<devid_exchange_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.callbacks.exchange = exchange.map(|exchange| OwnTransport::Bytes(exchange, user));
    Ok(())
}

/// Says what is due. Never blocks on a network and changes nothing; reads device memory.
///
/// @param renewal      Keeps the plan for devid_renewal_alarm() and others. Not NULL.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z; DEVID_NO_CLOCK if there is no clock.
/// @param out_step     Receives one of DEVID_STEP_*. Not NULL.
/// @param out_seconds  Receives after how many seconds to ask again if nothing changes; 0 while a step is due. May be NULL.
/// @return DEVID_OK; a failure of device memory.
#[export]
fn devid_renewal_due(renewal: &mut devid_renewal, store: &devid_store, now: i64) -> Result<(devid_step, u32), Error> {
    let plan = renewal.planner.plan(store, &renewal.name, clock(now))?;
    let due = (number_of_step(&plan.step), plan.ask_again_seconds);
    renewal.found(plan.findings.clone());
    renewal.plan = Some(plan);
    Ok(due)
}

/// Does what is due, at most one step, and remembers how it went: the loop of a daemon is this call and a sleep. Without a clock
/// it learns the time first, where that matters. Blocks.
///
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z; DEVID_NO_CLOCK if there is no clock. The system's clock
///                     is read for nothing but to see whether that is the one: devid_renewal_set_uptime().
/// @param out_done     Receives one of DEVID_DONE_*. May be NULL.
/// @param out_seconds  Receives after how many seconds to come back, also on failure; 0: at once, after an operation was
///                     given up, and never twice in a row. Not NULL.
/// @return DEVID_OK; what went wrong, as devid_op_run() or device memory says: it is waited out like everything else.
#[export]
fn devid_renewal_run(
    renewal: &mut devid_renewal,
    store: &devid_store,
    now: i64,
    out_done: Option<Out<devid_done>>,
    mut out_seconds: Out<u32>,
) -> Result<(), Error> {
    // If not even that can be planned, device memory is out of order: no hurry.
    out_seconds.set(renewal.planner.policy.first_retry_seconds);
    // Lent out: the run has the rest of the renewal.
    let mut datagrams = renewal.datagrams.take();
    let report = renewal.run(store, clock(now), datagrams.as_mut());
    renewal.datagrams = datagrams;
    let report = report?;
    out_seconds.set(report.wait_seconds);
    let mended = report.plan.findings.iter().filter(|found| found.is_mended);
    let plan = renewal.planner.plan(store, &renewal.name, report.learnt.or(clock(now)))?;
    let findings = mended.chain(&plan.findings).cloned().collect();
    renewal.found(findings);
    renewal.plan = Some(plan);
    renewal.abandoned = match &report.outcome {
        Ok(Done::Abandoned(error)) => Some(c_text(&error.to_string())),
        _ => None,
    };
    let done = report.outcome.inspect_err(|error| {
        Log::line(&renewal.log, DEVID_LOG_ERROR, || format!("{}: {error}", renewal.name));
    })?;
    Log::line(&renewal.log, DEVID_LOG_INFO, || {
        let seconds = report.wait_seconds;
        format!("{}: {}; next look in {seconds} s", renewal.name, words_of(&done))
    });
    if let Some(mut out_done) = out_done {
        out_done.set(number_of_done(&done));
    }
    Ok(())
}

/// For programs that step operations themselves: remembers that what devid_renewal_due() said is attempted now, before it is. If
/// the device dies on the way, that was a failure.
///
/// @param now      As devid_renewal_due().
/// @return DEVID_OK; DEVID_E_STATE if nothing was due; a failure of device memory, after which no attempt should be made.
#[export]
fn devid_renewal_begun(renewal: &devid_renewal, store: &devid_store, now: i64) -> Result<(), Error> {
    renewal.planner.note_attempt(store, &renewal.name, renewal.due_step()?, clock(now))
}

/// For programs that step operations themselves: remembers how the attempt ended.
///
/// @param why          The error it ended with. NULL: it succeeded. May be NULL.
/// @param now          As devid_renewal_due().
/// @param out_seconds  Receives the wait before the next attempt. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if nothing was due; a failure of device memory.
#[export]
fn devid_renewal_ended(
    renewal: &devid_renewal,
    store: &devid_store,
    why: Option<&devid_error>,
    now: i64,
) -> Result<u32, Error> {
    let step = renewal.due_step()?;
    match why {
        Some(failure) => renewal.planner.note_failure(store, &renewal.name, step, failure.error(), clock(now)),
        None => {
            renewal.planner.note_success(store, &renewal.name)?;
            Ok(0)
        }
    }
}

/// Forgets failures and refusals: for operators who have corrected what was wrong.
///
/// @return DEVID_OK or a failure of device memory.
#[export]
fn devid_renewal_reset(renewal: &devid_renewal, store: &devid_store) -> Result<(), Error> {
    renewal.planner.reset(store, &renewal.name)
}

/// Alarm level by the last plan.
///
/// @param renewal  May be NULL (gives DEVID_ALARM_QUIET).
/// @return One of DEVID_ALARM_*.
#[export]
fn devid_renewal_alarm(renewal: &devid_renewal) -> Option<devid_alarm> {
    Some(number_of_alarm(renewal.plan.as_ref()?.alarm))
}

/// How the identity in use stands, by the last plan.
///
/// @param renewal  May be NULL (gives DEVID_STANDING_NOT_ASKED).
/// @return One of DEVID_STANDING_*.
#[export]
fn devid_renewal_standing(renewal: &devid_renewal) -> Option<devid_standing> {
    Some(number_of_standing(renewal.plan.as_ref()?.standing))
}

/// When the certificate in use is to be renewed, by the last plan.
///
/// @return Seconds since 1970-01-01T00:00:00Z; -1: never, or there is none.
#[export(otherwise = -1)]
fn devid_renewal_at(renewal: &devid_renewal) -> Option<i64> {
    Some(renewal.plan.as_ref()?.renewal_at?.unix())
}

/// Failures in a row, by the last plan.
///
/// @return 0 or more.
#[export]
fn devid_renewal_attempts(renewal: &devid_renewal) -> Option<u32> {
    Some(renewal.plan.as_ref()?.attempts)
}

/// Whether the CA refused so often that it is not asked again with this certificate: see devid_renewal_reset().
///
/// @return 1 or 0.
#[export]
fn devid_renewal_has_given_up(renewal: &devid_renewal) -> bool {
    renewal.plan.as_ref().is_some_and(|plan| plan.has_given_up)
}

/// What is known about the time, by the last plan.
///
/// @return One of DEVID_CLOCK_*.
#[export(otherwise = DEVID_CLOCK_UNKNOWN)]
fn devid_renewal_clock(renewal: &devid_renewal) -> Option<devid_clock> {
    Some(match renewal.plan.as_ref()?.clock {
        Clock::Known(_) => DEVID_CLOCK_KNOWN,
        Clock::Behind { .. } => DEVID_CLOCK_BEHIND,
        Clock::Unknown { .. } => DEVID_CLOCK_UNKNOWN,
        Clock::Doubted { .. } => DEVID_CLOCK_DOUBTED,
    })
}

/// How late it is at least, by the last plan: after devid_renewal_run() without a clock, the time that was learnt.
///
/// @return Seconds since 1970-01-01T00:00:00Z; -1 if nothing is known.
#[export(otherwise = -1)]
fn devid_renewal_time(renewal: &devid_renewal) -> Option<i64> {
    Some(renewal.plan.as_ref()?.clock.at_least()?.unix())
}

/// Frees a renewal; what it remembers stays in device memory.
#[export]
fn devid_renewal_free(renewal: Owned<devid_renewal>) {
    drop(renewal)
}

impl RenewalHandle {
    fn found(&mut self, findings: Vec<Problem>) {
        (self.findings, self.finding_words) = (findings, Texts::default());
    }

    fn run(
        &self,
        store: &Store,
        clock: Option<Time>,
        datagrams: Option<&mut Box<dyn Exchange + Send + Sync>>,
    ) -> Result<Report, Error> {
        let make = || self.new_keys.make(store, &self.name);
        let renewal = Renewal {
            planner: &self.planner,
            config: &self.config,
            to: Destination { store, name: &self.name, purpose: &self.purpose },
            factory: self.factory.as_deref(),
            subject: self.subject.as_ref(),
            new_key: self.new_keys.is_elsewhere().then_some(&make),
        };
        let cancel = self.config.exchange_limits.cancel.as_ref();
        let mut owner = Program { callbacks: &self.callbacks, log: &self.log, cancel };
        if let Some(files) = &self.callbacks.files {
            return renewal.run_due(clock, &mut files.clone(), &mut owner);
        }
        if self.callbacks.exchange.is_some() {
            return renewal.run_due(clock, &mut ProgramExchange { callbacks: &self.callbacks }, &mut owner);
        }
        if let Some(datagrams) = datagrams {
            return renewal.run_due(clock, &mut **datagrams, &mut owner);
        }
        #[cfg(feature = "http")]
        {
            renewal.run_due_http(clock, &mut owner)
        }
        #[cfg(not(feature = "http"))]
        Err(Error::new(Code::Unsupported, "the HTTP client is not built in: set an exchange function"))
    }

    fn due_step(&self) -> Result<&Step, Error> {
        match &self.plan {
            Some(plan) if plan.step != Step::Nothing => Ok(&plan.step),
            _ => Err(Error::new(Code::State, "by the last plan nothing is due: ask what is first")),
        }
    }
}

/// A time before 1970 is not a time of a device's clock.
pub(super) fn clock(now: i64) -> Option<Time> {
    (now >= 0).then_some(Time::from_unix(now))
}
