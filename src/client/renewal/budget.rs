//! How many requests a day lead to nothing, at the most.
//!
//! Each request costs some minutes of waiting. A device may owe a number of them, so that a CA which is about to answer is polled as it
//! asks for; what is owed beyond that is added to the wait before the next request. Whoever comes back has waited as long as was told: no
//! clock is asked, and none that jumps makes the day shorter. A certificate that comes into use pays for all that was asked for it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::transport::{Exchange, ExchangeLimits, Reply, TransportError};

/// What a request costs, in seconds of waiting.
const SECONDS_A_REQUEST: u32 = 864;
/// So many requests may be owed.
const MOST_OWED: u32 = 100;
const MOST_OWED_SECONDS: u32 = MOST_OWED * SECONDS_A_REQUEST;

/// What is owed for requests that have led to nothing, in seconds of waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owed(pub u32);

impl Owed {
    /// What was sent is owed, and a wait of so many seconds pays for it. How long that has to be.
    #[must_use]
    pub fn pay(&mut self, sent: u32, wait_seconds: u32) -> u32 {
        let owed = self.0.saturating_add(sent.saturating_mul(SECONDS_A_REQUEST));
        let wait_seconds = wait_seconds.max(owed.saturating_sub(MOST_OWED_SECONDS));
        self.0 = owed.saturating_sub(wait_seconds);
        wait_seconds
    }

    /// Whether no request is left but by waiting for it.
    pub fn is_used_up(self) -> bool {
        self.0 >= MOST_OWED_SECONDS
    }
}

/// Counts what passes.
pub(super) struct Counting<'a> {
    pub exchange: &'a mut dyn Exchange,
    pub sent: &'a AtomicU32,
}

impl Exchange for Counting<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.exchange.exchange(request, limits)
    }

    fn is_carried(&self) -> bool {
        self.exchange.is_carried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;

    /// The most requests in any 24 hours, where `next` says how many a step sends and what wait it asks for.
    fn busiest_day(mut next: impl FnMut(u32) -> (u32, u32)) -> u32 {
        let (mut owed, mut now, mut sent) = (Owed::default(), 0u64, Vec::new());
        for step in 0..3000 {
            let (requests, wait) = next(step);
            sent.push((now, requests));
            now += u64::from(owed.pay(requests, wait));
        }
        let within = |from: u64| sent.iter().filter(move |(at, _)| (from..from + u64::from(DAY)).contains(at));
        sent.iter().map(|(at, _)| within(*at).map(|(_, requests)| requests).sum()).max().unwrap()
    }

    #[test]
    fn no_day_has_more_requests_whatever_is_asked_for_and_however_often_somebody_comes_back() {
        let mut state = 7u64;
        let mut dice = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % below).unwrap()
        };
        for wait in [0, 1, 30, 60, 600, 3600, DAY] {
            for requests in 1..6 {
                let most = busiest_day(|_| (requests, wait));
                assert!(most < 200 + requests, "{wait} {requests}: {most}");
            }
        }
        // A day of silence before a burst, and all by chance.
        assert!(busiest_day(|step| (3, if step % 200 == 199 { DAY } else { 0 })) < 203);
        assert!(busiest_day(|_| (dice(4), [0, 1, 60, 900, 5000, DAY][dice(6) as usize])) < 204);
    }

    /// The dark twin: who asks now and then waits no longer than it would, and a poll each minute for an hour is as the CA asks for.
    #[test]
    fn a_wait_is_as_it_was_told_until_the_day_is_used_up() {
        let mut owed = Owed::default();
        for _ in 0..100 {
            assert_eq!((owed.pay(3, 3600), owed), (3600, Owed(0)));
        }
        for _ in 0..60 {
            assert_eq!(owed.pay(1, 60), 60);
            assert!(!owed.is_used_up());
        }
        let waits: Vec<u32> = (0..100).map(|_| owed.pay(1, 60)).collect();
        assert_eq!((waits[0], waits[99], owed.is_used_up()), (60, SECONDS_A_REQUEST, true));
        // Who stays away is as good as new.
        assert_eq!((owed.pay(0, 2 * DAY), owed), (2 * DAY, Owed(0)));
        assert_eq!(Owed(u32::MAX).pay(u32::MAX, 0), u32::MAX - MOST_OWED_SECONDS);
    }
}
