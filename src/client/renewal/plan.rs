//! What a decision rests on, and what it is: facts and plans, without the deciding.

use super::known::{CLOSE_SECONDS, Clock};
use super::progress::{Attempts, Pace};
use crate::asn1::crl::CrlReason;
use crate::store::{AnchorSet, Problem};
use crate::time::Time;

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for now.
    Nothing,
    /// Continue the operation that was interrupted, or that waits for the CA.
    Resume,
    /// The first certificate: ir.
    Enroll,
    /// A key update: kur, protected with the identity in use.
    Update,
    /// The identity in use cannot vouch for itself (expired, revoked, damaged beyond repair, or its key may not sign): ir with
    /// the factory's identity or the settings' credential.
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
    /// The CA refused it as revoked, which is questioned now and then, and does not count for ever; or it has been revoked, or put on hold,
    /// as its CA has said by a list, a response, or in answer to the device's own request ([`Facts::revoked_for`]).
    Revoked,
    /// It cannot be read; the store's `repair` or `last_good` may help.
    Damaged,
    /// Whether it has expired cannot be told without the time.
    Unknown,
}

impl Standing {
    /// Whether there is an identity that may be of use.
    pub(in crate::client) fn is_usable(self) -> bool {
        matches!(self, Standing::Valid | Standing::Unknown | Standing::NotYetValid)
    }
}

/// Alarm level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Not at all.
    Quiet,
    /// The renewal is late: [`Policy::late_permille`](super::Policy::late_permille).
    Late,
    /// The end is near: [`Policy::urgent_permille`](super::Policy::urgent_permille).
    Urgent,
    /// There is no usable identity.
    Unusable,
}

/// Why a plan is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing is due before the next moment.
    NothingDue,
    /// The step is due.
    Due,
    /// An attempt failed, or the answer that people carry was not there yet, and the wait until the next look runs.
    Retrying,
    /// The CA asked to wait.
    CaAsksToWait,
    /// The CA refused too often: it is asked again, but rarely.
    GivenUp,
    /// A certificate was installed a moment ago, and another one is due already.
    Resting,
    /// A PKCS#10 request is out: its certificate is imported, or it is abandoned.
    RequestOut,
    /// So many requests have led to nothing that those of a day are used up: some 100 at once, and from then on another 100 in 24 hours.
    DayUsedUp,
    /// The certificate is revoked for a reason after which no other is asked for, or on hold.
    Revoked,
}

/// What a decision rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Validity of the certificate in use: up to the earliest end of it and of the certificates above it, since nobody
    /// accepts it beyond that (RFC 5280 section 6.1.3).
    pub validity: Option<(Time, Time)>,
    /// When it was installed: CAs set notBefore back by minutes or days, and what was over before counts for nothing.
    pub installed: Option<Time>,
    /// Since when certificates have been in use that all end where this one does: renewals do not move that end.
    pub stands_since: Option<Time>,
    /// The identity in use cannot be read.
    pub is_damaged: bool,
    /// Its private key is sealed under another secret than is given: it signs nothing until that is put right.
    pub is_sealed: bool,
    /// The CA said that it is revoked.
    pub is_revoked: bool,
    /// Why it is revoked, by the record of device memory: its CA has said so, and it counts until that says otherwise.
    pub revoked_for: Option<CrlReason>,
    /// Its key cannot sign messages, by its keyUsage: it is renewed as the first certificate was asked for, while it lasts.
    pub cannot_sign: bool,
    /// There is no other credential: nobody else can ask for its successor.
    pub is_alone: bool,
    /// An operation is saved, or a certificate staged.
    pub is_unfinished: bool,
    /// From when the certificate is valid that is here, confirmed, and waits for its time.
    pub begins: Option<Time>,
    /// A PKCS#10 request is out: its certificate comes by other means.
    pub is_request_out: bool,
    /// Attempts at a certificate.
    pub attempts: Attempts,
    /// What is left of the wait that runs by another measure than the clock ([`Meter`](super::Meter)); `None`: by the clock alone.
    pub left_seconds: Option<u32>,
    /// How often the CA refused.
    pub refusals: u32,
    /// How often in a row the CA asked to wait.
    pub waits: u32,
    /// How fast certificates followed each other.
    pub pace: Pace,
    /// So many requests have led to nothing that each further one is waited for.
    pub is_day_used_up: bool,
    /// The clock, or the last known time, is contradicted by an authentic answer: the time is asked for before it is
    /// relied on.
    pub is_time_in_question: bool,
    /// An answer has told the time just now: it is not asked for again.
    pub is_time_told: bool,
    /// What the device's own clock says, whoever contradicts it; `None`: there is none, or it says a time before this library was there.
    pub own_clock: Option<Time>,
    /// Messages are carried by people: an answer says how late it is at least, as long ago as it was on the way, and to ask for that alone
    /// takes as long as to ask for a certificate.
    pub is_carried: bool,
    /// Anchors with an end and without a successor.
    pub anchors: Vec<AnchorFacts>,
}

impl Facts {
    /// No wait runs any longer. What failed stays counted.
    pub(super) fn end_wait(&mut self) {
        self.attempts = Attempts { count: self.attempts.count, ..Attempts::default() };
        (self.left_seconds, self.pace) = (None, Pace::default());
    }

    /// The time that the certificate has here: from its installation, or from notBefore if that is not known or not to be
    /// believed.
    pub(super) fn in_use(&self) -> Option<(Time, Time)> {
        self.validity.map(|validity| in_use(validity, self.installed))
    }

    /// The time that the end has been standing, which alarms are measured by: as long as renewals do not move it, they change nothing.
    pub(super) fn standing(&self) -> Option<(Time, Time)> {
        let (begin, end) = self.in_use()?;
        Some((self.stands_since.map_or(begin, |since| since.min(begin)), end))
    }

    /// Whether the certificate in use begins later by the device's own clock.
    pub(super) fn is_early_by_own_clock(&self) -> bool {
        self.validity.zip(self.own_clock).is_some_and(|((begin, _), own)| own < begin.plus(-CLOSE_SECONDS))
    }

    /// Whether the last renewal has not moved the end.
    pub(super) fn gains_nothing(&self) -> bool {
        self.standing() != self.in_use()
    }
}

/// See [`Facts::in_use`].
pub(super) fn in_use((begin, end): (Time, Time), installed: Option<Time>) -> (Time, Time) {
    (installed.filter(|at| (begin..end).contains(at)).unwrap_or(begin), end)
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
    /// Why that, and why not earlier or later.
    pub reason: Reason,
    /// Ask again after so many seconds if nothing changes meanwhile; 0 while a step is due.
    pub ask_again_seconds: u32,
    /// When the certificate in use is to be renewed; `None` if never, or if there is none.
    pub renewal_at: Option<Time>,
    /// How the identity in use stands.
    pub standing: Standing,
    /// Alarm level.
    pub alarm: Alarm,
    /// Failures in a row.
    pub attempts: u32,
    /// The CA refused, or issued what was refused here, so often that it is asked rarely from now on, and people are told: see [`Policy::max_refusals`](super::Policy::max_refusals).
    pub has_given_up: bool,
    /// A PKCS#10 request is out; nothing is asked for online until its certificate is imported or it is abandoned, unless the
    /// identity in use nears its end ([`Alarm::Urgent`]): then both ways are open, and the request stays. The alarm is late from the
    /// moment on at which the renewal would be due.
    pub is_request_out: bool,
    /// What was remembered about failures was damaged, and counts as nothing.
    pub is_memory_damaged: bool,
    /// Device memory was begun by another device ([`Planner::device_id`](super::Planner::device_id)): two devices have the same
    /// keys. The CA cannot tell them apart, and what one of them renews, the other loses.
    /// [`Planner::reset`](super::Planner::reset) makes it this device's.
    pub is_copied: bool,
    /// What is damaged or out of reach in device memory of what this identity needs: a generation, a set of anchors, which counts as
    /// empty. What a step has put right is told once, by its report.
    pub findings: Vec<Problem>,
    /// What is known about the time.
    pub clock: Clock,
}
