//! What is known about the time: by a clock, the last time that the CA has said, and what they say of each other.

use crate::time::Time;

/// How far two clocks may differ that are both right, in seconds.
pub(super) const CLOSE_SECONDS: i64 = 3600;

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
    /// There is a clock, and it measures waits; but an authentic answer has contradicted what it says, or it says a time before
    /// this library was there: it is set by nobody, or wrongly.
    Doubted {
        /// What it says.
        says: Time,
        /// How far it was behind the CA's clock when that was seen, in seconds.
        off_seconds: i64,
        /// The last known time.
        at_least: Option<Time>,
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

    /// The same clock, once an authentic answer has contradicted it: `off_seconds` is how far it was behind that answer.
    #[must_use]
    pub(super) fn contradicted(self, off_seconds: Option<i64>, last_known: Option<Time>) -> Self {
        match (self, off_seconds) {
            (Clock::Known(says), Some(off_seconds)) => Clock::Doubted { says, off_seconds, at_least: last_known },
            (Clock::Known(says), None) if says < EARLIEST => {
                Clock::Doubted { says, off_seconds: 0, at_least: last_known }
            }
            _ => self,
        }
    }

    /// What the clock itself says, right or wrong; `None` if there is none. Waits are measured by it.
    pub(super) fn says(self) -> Option<Time> {
        match self {
            Clock::Known(now) => Some(now),
            Clock::Behind { known, seconds } => Some(known.plus(-seconds)),
            Clock::Doubted { says, .. } => Some(says),
            Clock::Unknown { .. } => None,
        }
    }

    /// What the clock says, where that may be: it is not before this library was there.
    pub(super) fn plausible(self) -> Option<Time> {
        self.says().filter(|says| *says >= EARLIEST)
    }

    /// About how late it is, for alarms: of what a doubted clock says and what it would say if it had gone on as it was when it was
    /// contradicted, the earlier one that is possible. It may have been set since.
    pub(super) fn about(self) -> Option<Time> {
        let Clock::Doubted { says, off_seconds, at_least } = self else { return self.at_least() };
        let possible = [says, says.plus(off_seconds)].into_iter().filter(|at| *at >= at_least.unwrap_or(EARLIEST));
        possible.min().or(at_least)
    }

    /// It is at least this late.
    pub fn at_least(self) -> Option<Time> {
        match self {
            Clock::Known(now) => Some(now),
            Clock::Behind { known, .. } => Some(known),
            Clock::Doubted { at_least, .. } | Clock::Unknown { at_least } => at_least,
        }
    }

    /// The time, where there is one to count with.
    pub(super) fn known(self) -> Option<Time> {
        self.at_least().filter(|_| self.is_known())
    }

    /// Whether there is a time to count with. A clock that is behind, or doubted, tells none.
    pub fn is_known(self) -> bool {
        matches!(self, Clock::Known(_))
    }
}

/// Before this library was there: 2024-01-01. A clock that says less starts with the device.
const EARLIEST: Time = Time::from_unix(1_704_067_200);
