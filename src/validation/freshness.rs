//! Whether status data is of today.

use super::checks::CheckTime;
use super::revocation_policy::RevocationPolicy;
use crate::limits;
use crate::prelude::*;
use crate::time::Time;

/// The times that status data carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub this_update: Time,
    pub next_update: Option<Time>,
}

/// What the times mean for a validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Of today, until this second.
    Current { until: Time },
    /// Over, but within the grace that the caller gives an offline device; until this second.
    Grace { until: Time, text: String },
    /// The validation's time is not known, so nothing can be said.
    NotJudged { until: Time },
    /// Not usable: why.
    Refused(String),
}

impl Window {
    /// Judges the times. `what` names the data for people.
    pub(super) fn judge(&self, at: CheckTime, policy: &RevocationPolicy, what: &str) -> Freshness {
        let until = self.until(policy);
        let CheckTime::At(now) = at else { return Freshness::NotJudged { until } };
        if self.this_update > now.plus(i64::from(policy.clock_skew_seconds)) {
            return Freshness::Refused(format!("the {what} is from the future: thisUpdate {}", self.this_update));
        }
        if let Some(max_age) = policy.max_age_seconds {
            if now.since(self.this_update) > i64::from(max_age) {
                return Freshness::Refused(format!(
                    "the {what} is older than the {max_age} s allowed: thisUpdate {}",
                    self.this_update
                ));
            }
        }
        if now <= until {
            return Freshness::Current { until };
        }
        let grace_end = until.plus(i64::from(policy.offline_grace_seconds));
        let text = match self.next_update {
            Some(next_update) => format!("the {what} is out of date: nextUpdate {next_update}"),
            None => format!("the {what} names no nextUpdate and is from {}", self.this_update),
        };
        if now <= grace_end { Freshness::Grace { until: grace_end, text } } else { Freshness::Refused(text) }
    }

    /// Last second at which the data is current.
    fn until(&self, policy: &RevocationPolicy) -> Time {
        let by_age = policy.max_age_seconds.map(|age| self.this_update.plus(i64::from(age)));
        let by_next = self.next_update;
        match (by_next, by_age) {
            (Some(next), Some(age)) => next.min(age),
            (Some(next), None) => next,
            (None, Some(age)) => age,
            // RFC 6960 section 4.2.2.1: newer information is available all the time; RFC 5280 section 5.1.2.5 leaves
            // such CRLs open. Without a bound, yesterday's answer would be replayed for ever.
            (None, None) => self.this_update.plus(limits::STATUS_WITHOUT_NEXT_UPDATE_SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn judge(now: i64, next_update: Option<i64>, change: impl FnOnce(&mut RevocationPolicy)) -> Freshness {
        let mut policy = RevocationPolicy::hard_fail();
        change(&mut policy);
        let window = Window { this_update: Time::from_unix(0), next_update: next_update.map(Time::from_unix) };
        window.judge(CheckTime::At(Time::from_unix(now)), &policy, "CRL")
    }

    #[test]
    fn the_last_second_counts_and_the_next_does_not() {
        assert_eq!(judge(DAY, Some(DAY), |_| ()), Freshness::Current { until: Time::from_unix(DAY) });
        assert!(matches!(judge(DAY + 1, Some(DAY), |_| ()), Freshness::Refused(_)));
    }

    #[test]
    fn data_from_the_future_is_refused_beyond_the_clock_skew() {
        assert!(matches!(judge(-60, Some(DAY), |p| p.clock_skew_seconds = 60), Freshness::Current { .. }));
        assert!(matches!(judge(-61, Some(DAY), |p| p.clock_skew_seconds = 60), Freshness::Refused(_)));
    }

    #[test]
    fn the_grace_of_an_offline_device_ends() {
        let grace = |p: &mut RevocationPolicy| p.offline_grace_seconds = 100;
        assert!(
            matches!(judge(DAY + 100, Some(DAY), grace), Freshness::Grace { until, .. } if until.unix() == DAY + 100)
        );
        assert!(matches!(judge(DAY + 101, Some(DAY), grace), Freshness::Refused(_)));
    }

    #[test]
    fn the_maximum_age_bounds_what_promises_to_live_longer() {
        let bounded = |p: &mut RevocationPolicy| p.max_age_seconds = Some(10);
        assert_eq!(judge(10, Some(DAY), bounded), Freshness::Current { until: Time::from_unix(10) });
        assert!(matches!(judge(11, Some(DAY), bounded), Freshness::Refused(_)));
        assert!(matches!(judge(11, None, bounded), Freshness::Refused(_)));
    }

    #[test]
    fn data_without_next_update_lives_for_a_day_and_not_for_ever() {
        assert!(matches!(judge(DAY, None, |_| ()), Freshness::Current { .. }));
        assert!(matches!(judge(DAY + 1, None, |_| ()), Freshness::Refused(_)));
    }

    #[test]
    fn without_a_clock_nothing_is_refused_and_nothing_is_called_current() {
        let window = Window { this_update: Time::from_unix(0), next_update: None };
        let judged = window.judge(CheckTime::Unknown, &RevocationPolicy::hard_fail(), "CRL");
        assert!(matches!(judged, Freshness::NotJudged { .. }));
    }
}
