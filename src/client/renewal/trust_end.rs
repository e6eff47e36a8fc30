//! When those who are trusted end: after the last one of a set nothing that needs the set is believed any more.

use super::Planner;
use super::plan::Alarm;
use super::policy::Policy;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::store::{AnchorSet, Problem, ProblemKind, Store};
use crate::time::Time;

/// A root lasts for decades, and its successor is brought to a fleet within months: the alarms begin no earlier than this before
/// its end, in seconds.
const LATE_AHEAD_SECONDS: i64 = 180 * 86_400;
/// The urgent one.
const URGENT_AHEAD_SECONDS: i64 = 30 * 86_400;

/// The anchor of a set that ends last.
#[derive(Clone, Debug)]
pub(super) struct TrustEnd {
    set: AnchorSet,
    last: Certificate,
}

impl TrustEnd {
    /// When people are told, and when with emphasis: by the shares of its life as for an identity, and not too early.
    pub(super) fn alarm_times(&self, policy: &Policy) -> [Time; 2] {
        let (begin, end) = (self.last.not_before(), self.last.not_after());
        let [late, urgent] = policy.alarm_times(begin, end);
        [late.max(end.plus(-LATE_AHEAD_SECONDS)), urgent.max(end.plus(-URGENT_AHEAD_SECONDS))]
    }

    pub(super) fn alarm(&self, policy: &Policy, now: Time) -> Alarm {
        let [late, urgent] = self.alarm_times(policy);
        match now {
            now if now >= urgent => Alarm::Urgent,
            now if now >= late => Alarm::Late,
            _ => Alarm::Quiet,
        }
    }

    /// What a person does about it.
    pub(super) fn finding(&self, policy: &Policy, now: Option<Time>) -> Option<Problem> {
        let now = now.filter(|now| self.alarm(policy, *now) > Alarm::Quiet)?;
        let (end, name) = (self.last.not_after(), display(self.last.subject()));
        let ends = if now > end { format!("ended at {end}") } else { format!("ends at {end}") };
        let text = format!(
            "{name}, the last one of the set, {ends} and no successor is here: nothing that needs it is believed after that; add one"
        );
        Some(Problem::new(ProblemKind::Ending, &format!("anchors/{}.pem", self.set.name()), &text))
    }
}

impl Planner {
    /// The last end of each set that has one, of device memory and of the settings together.
    pub(super) fn trust_ends(&self, store: &Store) -> Result<Vec<TrustEnd>, Error> {
        let mut ends = Vec::new();
        for set in AnchorSet::ALL {
            let kept = store.readable_anchors(set)?.0;
            let of_settings = self.trusted.iter().filter(|(of, _)| *of == set).map(|(_, anchor)| anchor);
            let last = kept.iter().chain(of_settings).max_by_key(|anchor| anchor.not_after());
            ends.extend(
                last.filter(|last| last.not_after() < Time::FOREVER).map(|last| TrustEnd { set, last: last.clone() }),
            );
        }
        Ok(ends)
    }
}
