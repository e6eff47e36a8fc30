//! When a certificate is renewed, how failures are waited out, and when people are told: rules and the arithmetic of
//! time behind them. No clock, no store.

use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::time::Time;

/// The rules of renewal. The defaults suit certificates from hours to decades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Renew when this share of the lifetime is over, in thousandths.
    pub share_permille: u32,
    /// How much earlier a device may renew to get to its own place among all devices, in thousandths of the lifetime.
    pub spread_permille: u32,
    /// The wait after the first failure, in seconds; it doubles with each further one.
    pub first_retry_seconds: u32,
    /// The longest wait between attempts, in seconds. Also bounds what a server asks for by Retry-After.
    pub longest_retry_seconds: u32,
    /// How often the CA may refuse, in answers that are authentic, or issue what is refused here, before the device gives up: people are
    /// told, and it is asked rarely from then on. 0: never gives up.
    pub max_refusals: u32,
    /// Renew with the key at hand instead of a new one.
    pub same_key: bool,
    /// People are told when this share of the lifetime is over, in thousandths.
    pub late_permille: u32,
    /// And with more emphasis at this one.
    pub urgent_permille: u32,
    /// The successor of a trust anchor is asked for from this share of its lifetime on, in thousandths.
    pub anchor_share_permille: u32,
    /// How often, in seconds, as long as there is none.
    pub anchor_interval_seconds: u32,
    /// The longest wait that is slept through within a step, in seconds; a longer one ends the step, to be resumed.
    pub longest_nap_seconds: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            share_permille: 667,
            spread_permille: 333,
            first_retry_seconds: 15 * 60,
            longest_retry_seconds: 24 * 3600,
            max_refusals: 8,
            same_key: false,
            late_permille: 800,
            urgent_permille: 930,
            anchor_share_permille: 700,
            anchor_interval_seconds: 7 * 86_400,
            longest_nap_seconds: 30,
        }
    }
}

/// Delays and backdating up to this share of the lifetime do not push a device from its place, in thousandths.
const SLACK_PERMILLE: i64 = 40;
/// How many renewals ahead a device looks for its place.
const MOST_HOPS: i64 = 64;
/// Ten thousand years: more than the calendar of certificates has.
const LONGEST_LIFETIME_SECONDS: i64 = 10_000 * 366 * 86_400;
/// A device that gave up asks at least so often, in seconds.
const LONGEST_RARE_SECONDS: i64 = 30 * 86_400;
/// No two questions for the time need be further apart, in seconds.
const LONGEST_LEAST_REST_SECONDS: i64 = 3600;
/// No wait is shorter, in seconds.
const SHORTEST_RETRY_SECONDS: i64 = 30;

/// A number of the device's own, the same after each reboot: where it stands among all devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// From whatever names the device: a serial number, a hardware address.
    pub fn from_id(provider: &dyn Provider, id: &[u8]) -> Result<Self, Error> {
        let digest = provider.digest(DigestAlgorithm::Sha256, &[b"devid renewal\0", id])?;
        let first = digest.first_chunk().expect("SHA-256 has 32 bytes");
        Ok(Seed(u64::from_be_bytes(*first)))
    }

    /// A number below `bound`, evenly spread over devices; another one for each purpose.
    fn below(self, bound: i64, purpose: u64) -> i64 {
        let wide = u128::from(mixed(self.0.wrapping_add(mixed(purpose)))) * u128::from(bound.max(0).unsigned_abs());
        i64::try_from(wide >> 64).expect("below an i64")
    }
}

/// The finaliser of SplitMix64: each bit of the result depends on each bit of the argument.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Policy {
    /// When a certificate with this validity is to be renewed; `None` if it has no end (RFC 5280 section 4.1.2.5).
    ///
    /// Every device has a place of its own in the renewal period (share times lifetime), counted from 1970, and renews
    /// when its place comes round. So the devices of a fleet stay spread out evenly however they were enrolled. A device
    /// that is not in its place yet gets there in one or two renewals that are earlier by at most the spread.
    pub fn due_at(&self, seed: Seed, not_before: Time, not_after: Time) -> Option<Time> {
        self.place(seed, not_before, not_after, self.share_permille, self.spread_permille)
    }

    /// When the successor of an anchor with this validity is asked for first.
    pub(super) fn anchor_due_at(&self, seed: Seed, not_before: Time, not_after: Time) -> Option<Time> {
        let share = self.anchor_share_permille;
        self.place(seed, not_before, not_after, share, self.spread_permille.min(share / 10))
    }

    fn place(&self, seed: Seed, not_before: Time, not_after: Time, share: u32, spread: u32) -> Option<Time> {
        if not_after >= Time::FOREVER {
            return None;
        }
        let lifetime = not_after.since(not_before).clamp(0, LONGEST_LIFETIME_SECONDS);
        let latest = part(lifetime, share.min(1000)).max(1);
        let earliest = (latest - part(lifetime, spread.min(1000))).max(0);
        let slack = part(lifetime, SLACK_PERMILLE as u32).min(latest - earliest);
        // Seconds from the beginning of the certificate to the first place of the device that is not too early.
        let begin = not_before.unix().rem_euclid(latest);
        let phase = seed.below(latest, 1);
        let first = earliest - slack + (phase - (begin + earliest - slack)).rem_euclid(latest);
        for place in (0..MOST_HOPS).map(|n| first + n * latest) {
            if place <= latest + slack {
                return Some(not_before.plus(place));
            }
            // Out of reach for this certificate: the fewest renewals that lead there, this one as late as possible, so
            // that those on their way are spread evenly as well.
            let hops = place.div_euclid(latest) + i64::from(place % latest != 0);
            if place >= hops * earliest {
                let hop = (place - (hops - 1) * earliest).min(latest);
                return Some(not_before.plus(hop));
            }
        }
        // The spread is too narrow to ever get there: the best that is left is to use all of it.
        Some(not_before.plus(earliest + seed.below(latest - earliest + 1, 2)))
    }

    /// Seconds to wait after the n-th failure in a row, n from 1.
    ///
    /// Doubling and capped, half of it by the device's own number. While there is plenty of time until the end, `left`,
    /// the second wait and further ones are no shorter than a hundredth of it: nothing is urgent, and after an outage the
    /// devices come back spread over a day instead of within the hour. None is longer than a quarter of that time. What a server asks for by Retry-After is kept, within the same bounds and stretched by up to a
    /// half, since it asks all devices the same; where it asks for more than the longest wait, that one is shortened by up to a third.
    pub fn retry_seconds(
        &self,
        seed: Seed,
        attempts: u32,
        retry_after_seconds: Option<u32>,
        left_seconds: Option<i64>,
    ) -> u32 {
        let longest = i64::from(self.longest_retry_seconds).max(SHORTEST_RETRY_SECONDS);
        let doublings = attempts.saturating_sub(1).min(31);
        let unhurried = left_seconds.filter(|_| doublings > 0).map_or(1, |left| (left / 100).clamp(1, longest));
        let full = (i64::from(self.first_retry_seconds) << doublings).clamp(unhurried, longest);
        let mut wait = full - seed.below(full / 2 + 1, u64::from(attempts) << 8 | 3);
        if let Some(asked) = retry_after_seconds {
            let (asked, salt) = (i64::from(asked), u64::from(attempts) << 8 | 4);
            // Within the bound, and spread: what is cut anyway is spread below it.
            wait = wait.max(match longest - asked {
                room @ 1.. => asked + seed.below((asked / 2).min(room) + 1, salt),
                _ => longest - seed.below(longest / 3 + 1, salt),
            });
        }
        if let Some(left) = left_seconds.filter(|left| *left > 0) {
            wait = wait.min(left / 4);
        }
        u32::try_from(wait.max(SHORTEST_RETRY_SECONDS)).unwrap_or(u32::MAX)
    }

    /// A device without a clock that was told that nothing is due yet asks again after so many seconds at the earliest: a hundredth of
    /// the time that its certificate has left, up to an hour. That much later is in time for whatever comes.
    pub(super) fn least_rest_seconds(left_seconds: Option<i64>) -> u32 {
        let Some(left) = left_seconds else { return 1 };
        let least = (left / 100).max(SHORTEST_RETRY_SECONDS.min(left / 4));
        u32::try_from(least.clamp(1, LONGEST_LEAST_REST_SECONDS)).expect("an hour")
    }

    /// Seconds until the next look for an answer that people carry; `looked`: how many it were before this one, if it was not the first.
    pub(super) fn look_seconds(&self, seed: Seed, looked: Option<u32>, left_seconds: Option<i64>) -> u32 {
        let first = self.retry_seconds(seed, 1, None, left_seconds);
        let longest =
            left_seconds.filter(|left| *left > 0).map_or(u32::MAX, |left| u32::try_from(left / 4).unwrap_or(u32::MAX));
        looked.map_or(first, |before| self.own_retry_seconds(before).min(longest).max(first))
    }

    /// Seconds to wait after a function of the program has failed, when the wait before was so long.
    pub(super) fn own_retry_seconds(&self, before: u32) -> u32 {
        let shortest = u32::try_from(SHORTEST_RETRY_SECONDS).expect("half a minute");
        before.saturating_mul(2).clamp(shortest, self.longest_retry_seconds.max(shortest))
    }

    /// Seconds to wait after a refusal once the CA has refused so often that the device gave up: a share of the time that is
    /// left, at least the longest wait otherwise and at most a month, stretched by the device's own number. Giving up is
    /// no end: a CA whose rules were wrong for a while is asked again before the certificate ends.
    pub(super) fn rare_seconds(&self, seed: Seed, attempts: u32, left_seconds: Option<i64>) -> u32 {
        let least = i64::from(self.longest_retry_seconds).max(SHORTEST_RETRY_SECONDS);
        let left = left_seconds.filter(|left| *left > 0);
        let full = left.map_or(least, |left| left / 16).clamp(least, LONGEST_RARE_SECONDS.max(least));
        let wait = full - seed.below(full / 4 + 1, u64::from(attempts) << 8 | 5);
        let bound = left.map_or(wait, |left| (left / 4).max(SHORTEST_RETRY_SECONDS));
        u32::try_from(wait.min(bound)).unwrap_or(u32::MAX)
    }

    /// The moments at which people are to be told, in this order: late, urgent.
    pub(super) fn alarm_times(&self, not_before: Time, not_after: Time) -> [Time; 2] {
        let lifetime = not_after.since(not_before).max(0);
        [self.late_permille, self.urgent_permille].map(|share| not_before.plus(part(lifetime, share.min(1000))))
    }
}

/// Thousandths of a number of seconds, without overflow.
fn part(seconds: i64, permille: u32) -> i64 {
    seconds / 1000 * i64::from(permille) + seconds % 1000 * i64::from(permille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    const DAY: i64 = 86_400;
    const YEAR: i64 = 365 * DAY;

    fn seed(n: u32) -> Seed {
        Seed::from_id(&*default_provider(), &n.to_be_bytes()).unwrap()
    }

    /// Days into the lifetime at which each of a row of certificates is renewed; renewal takes `late` seconds.
    fn life(policy: &Policy, seed: Seed, late: i64, backdated: i64) -> Vec<i64> {
        let mut now = Time::from_unix(1_700_000_000);
        let mut days = Vec::new();
        for _ in 0..12 {
            let (begin, end) = (now.plus(-backdated), now.plus(YEAR));
            let due = policy.due_at(seed, begin, end).unwrap();
            days.push(due.since(now) / DAY);
            now = due.plus(late);
        }
        days
    }

    #[test]
    fn a_device_finds_its_place_in_two_renewals_and_keeps_it() {
        let policy = Policy::default();
        for n in 0..500 {
            for (late, backdated) in [(0, 0), (40, 0), (DAY / 2, 0), (40, 3600), (0, DAY)] {
                let days = life(&policy, seed(n), late, backdated);
                assert!(days.iter().all(|d| (105..=258).contains(d)), "{n} {late} {backdated}: {days:?}");
                let period = YEAR * 667 / 1000 / DAY;
                assert!(
                    days[2..].iter().all(|d| (period - 2..=period + 2).contains(d)),
                    "{late} {backdated}: {days:?}"
                );
            }
        }
    }

    #[test]
    fn devices_enrolled_together_renew_apart() {
        let policy = Policy::default();
        let begin = Time::from_unix(1_700_000_000);
        let mut by_tenth = [0u32; 10];
        for n in 0..2000 {
            let due = policy.due_at(seed(n), begin, begin.plus(YEAR)).unwrap().since(begin) / DAY;
            by_tenth[usize::try_from((due - 107) * 10 / 152).unwrap()] += 1;
        }
        // From 0.294 to 0.707 of the lifetime.
        assert!(by_tenth.iter().all(|count| (100..320).contains(count)), "{by_tenth:?}");
    }

    #[test]
    fn a_certificate_without_an_end_is_never_due_and_odd_validities_do_no_harm() {
        let policy = Policy::default();
        let begin = Time::from_unix(0);
        assert_eq!(policy.due_at(seed(1), begin, Time::FOREVER), None);
        assert_eq!(policy.due_at(seed(1), begin, begin.plus(-5)), Some(begin.plus(1)), "ends before it begins");
        for lifetime in [0, 1, 2, 3, 59, 1000] {
            let due = policy.due_at(seed(1), begin, begin.plus(lifetime)).unwrap().since(begin);
            assert!((0..=lifetime.max(1)).contains(&due), "{lifetime}: {due}");
        }
        let far = Policy { share_permille: u32::MAX, spread_permille: u32::MAX, ..Policy::default() };
        assert!(far.due_at(seed(1), Time::from_unix(i64::MIN), Time::from_unix(0)).is_some());
        let exact = Policy { spread_permille: 0, ..Policy::default() };
        assert_eq!(exact.due_at(seed(1), begin, begin.plus(1000)), Some(begin.plus(667)));
    }

    #[test]
    fn waits_double_up_to_a_cap_and_shrink_towards_the_end() {
        let policy = Policy::default();
        let waits: Vec<u32> = (1..40).map(|n| policy.retry_seconds(seed(7), n, None, None)).collect();
        assert!((450..=900).contains(&waits[0]) && (900..=1800).contains(&waits[1]), "{waits:?}");
        assert!(waits.iter().all(|w| *w <= 86_400) && waits[38] >= 43_200, "{waits:?}");
        assert_eq!(policy.retry_seconds(seed(7), 20, None, Some(4000)), 1000);
        let plenty: Vec<u32> = (1..4).map(|n| policy.retry_seconds(seed(7), n, None, Some(120 * DAY))).collect();
        assert!(plenty[0] <= 900 && plenty[1] >= 43_200 && plenty[2] >= 43_200, "no hurry: {plenty:?}");
        assert_eq!(policy.retry_seconds(seed(7), 20, None, Some(4)), 30, "no hammering at the end");
        assert!(policy.retry_seconds(seed(7), 20, None, Some(-4)) >= 43_200, "nor behind it");
    }

    #[test]
    fn retry_after_is_kept_but_not_by_all_at_once_and_not_for_ever() {
        let policy = Policy::default();
        let waits: Vec<u32> = (0..100).map(|n| policy.retry_seconds(seed(n), 1, Some(3600), None)).collect();
        assert!(waits.iter().all(|w| (3600..=5400).contains(w)));
        assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 1200);
        // The longest wait is the longest, and not everybody's at the same moment.
        for asked in [60_000, 86_399, 86_400, 90_000, u32::MAX] {
            let waits: Vec<u32> = (0..100).map(|n| policy.retry_seconds(seed(n), 1, Some(asked), None)).collect();
            assert!(waits.iter().all(|wait| (asked.min(57_600)..=86_400).contains(wait)), "{asked}: {waits:?}");
        }
        let waits: std::collections::BTreeSet<u32> =
            (0..100).map(|n| policy.retry_seconds(seed(n), 1, Some(u32::MAX), None)).collect();
        assert!(waits.len() > 90);
    }
}
