//! What is remembered between steps: failures, waits, refusals. Kept in device memory, so that a reboot does not begin the
//! waiting anew.
//!
//! Lines of text behind a head line, the record around it carries a digest:
//!
//! ```text
//! devid renewal 3
//! identity <digest of the certificate, 16 hex digits> <attempts> <refusals> <last, seconds> <wait, seconds>
//! against <called revoked at, seconds> <clock doubted 0|1> <clock behind the CA's, seconds> <the least that it said>
//! operation <resumed in vain> <waits>
//! pace <quick successes in a row> <last success, seconds>
//! anchor <digest, 16 hex digits> <attempts> <last> <wait>
//! ```
//!
//! Version 4 has a line more behind `pace`, where the wait is measured by uptime as well:
//!
//! ```text
//! uptime <boot, 32 hex digits> <seconds in it when the wait began>
//! ```
//!
//! Version 5 has both, and one more behind them:
//!
//! ```text
//! stands <the end of the certificates, seconds> <since, seconds>
//! ```
//!
//! Version 6 has all of these, with `- -` for what is not known, and one more behind them:
//!
//! ```text
//! owed <seconds of waiting for requests that have led to nothing>
//! ```
//!
//! `-` stands for a time that is not known, or a clock that nobody contradicted. Version 2 is read too: it does not say how far the
//! clock is behind; and version 1: it has one line with a flag for "revoked" at its end.

use super::budget::Owed;
use super::policy::{Policy, Seed};
use super::uptime::Uptime;
use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::time::Time;

/// A wait that the CA asks for is looked at again after this time at the latest, in seconds: clocks jump.
pub(super) const LONGEST_WAIT_SECONDS: u32 = 7 * 86_400;
const OWING_HEAD: &str = "devid renewal 6";
const STANDING_HEAD: &str = "devid renewal 5";
const MEASURED_HEAD: &str = "devid renewal 4";
const HEAD: &str = "devid renewal 3";
const SECOND_HEAD: &str = "devid renewal 2";
const OLD_HEAD: &str = "devid renewal 1";
/// Most anchors remembered; what is beyond is asked about as if for the first time.
const MOST_ANCHORS: usize = 32;

/// The first bytes of a certificate's SHA-256: tells generations and anchors apart.
pub(super) type Mark = [u8; 8];

pub(super) fn mark_of(provider: &dyn Provider, certificate: &Certificate) -> Result<Mark, Error> {
    let digest = provider.digest(DigestAlgorithm::Sha256, &[certificate.as_der()])?;
    Ok(*digest.first_chunk().expect("SHA-256 has 32 bytes"))
}

/// Attempts at one thing and the wait that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Failures in a row; an attempt counts from its beginning, so that a crash in its middle is one.
    pub count: u32,
    /// When the wait began.
    pub last: Option<Time>,
    /// How long it is, in seconds.
    pub wait_seconds: u32,
}

impl Attempts {
    /// Seconds until the next attempt; 0: now. A clock that was set back behind the last attempt does not prolong a wait.
    pub fn left_seconds(&self, now: Time) -> u32 {
        let Some(last) = self.last else { return 0 };
        let passed = now.since(last);
        if passed < 0 {
            return 0;
        }
        u32::try_from(i64::from(self.wait_seconds).saturating_sub(passed)).unwrap_or(0)
    }

    /// One more, with the wait that follows if it fails.
    pub(super) fn begin(&mut self, now: Time, policy: &Policy, seed: Seed, left_seconds: Option<i64>) {
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        self.wait_seconds = policy.retry_seconds(seed, self.count, None, left_seconds);
    }
}

/// What is remembered about the renewal of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Which certificate it is about; what was remembered about another one is void.
    pub(super) certificate: Mark,
    /// Attempts at a new certificate.
    pub attempts: Attempts,
    /// How long the device had been on when the wait of `attempts` began, where that is known.
    pub(super) measured: Option<Uptime>,
    /// How often the CA refused, in authentic answers, or what it has issued was refused here.
    pub refusals: u32,
    /// When the CA said last that the certificate is revoked.
    pub revoked: Option<Time>,
    /// That an answer was refused here may come from a wrong clock: the CA is asked for the time.
    pub doubts_clock: bool,
    /// How far the clock was behind an authentic answer that contradicted it, in seconds, until one agrees with it. It is the
    /// device's, and stays from certificate to certificate.
    pub clock_off: Option<i64>,
    /// The least that a clock has said which is not believed: where it says about as much again, it began anew with the device.
    pub clock_least: Option<Time>,
    /// How often in a row an unfinished operation was continued without an answer that proves anything.
    pub in_vain: u32,
    /// How often in a row the CA asked to wait.
    pub waits: u32,
    /// How fast certificates follow each other.
    pub pace: Pace,
    /// Since when the certificates end where they end.
    pub(super) stands: Option<Stands>,
    /// For requests that have led to nothing.
    pub(super) owed: Owed,
    pub(super) anchors: Vec<(Mark, Attempts)>,
}

/// An end that certificates have, one after the other: a CA that ends itself, or that caps what it issues, renews without moving it. To such
/// an identity it is the first of them that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stands {
    pub end: Time,
    pub since: Time,
}

/// A certificate whose end is off by less than this share of the time until then has the same end.
const SAME_END_SHARE: i64 = 16;

impl Stands {
    /// Of a certificate in use from `begin` to `end`, after what was known of the one before.
    fn after(before: Option<Stands>, (begin, end): (Time, Time)) -> Self {
        let is_same = |known: &Stands| {
            let whole = known.end.since(known.since);
            known.since <= begin && whole > 0 && end.since(known.end).abs() <= whole / SAME_END_SHARE
        };
        before.filter(is_same).unwrap_or(Stands { end, since: begin })
    }
}

/// How fast certificates follow each other: a CA that issues them for seconds would otherwise be asked without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Successes in a row, each soon after the one before.
    pub quick: u32,
    /// When the last one was.
    pub last: Option<Time>,
}

/// A success sooner after another than this is a quick one, in seconds.
const QUICK_SECONDS: i64 = 600;
/// The rest after a first success; it doubles with each quick one, in seconds.
const FIRST_REST_SECONDS: i64 = 4;
/// The longest rest: certificates of minutes are still renewed in time.
pub(super) const LONGEST_REST_SECONDS: i64 = 60;

impl Pace {
    /// One more success.
    pub(super) fn succeeded(&mut self, now: Time) {
        let is_quick = self.last.is_some_and(|last| (0..QUICK_SECONDS).contains(&now.since(last)));
        self.quick = if is_quick { self.quick.saturating_add(1) } else { 0 };
        self.last = Some(now);
    }

    /// Seconds until the next request; 0: now.
    pub(super) fn left_seconds(&self, now: Time) -> i64 {
        let Some(passed) = self.last.map(|last| now.since(last)).filter(|passed| *passed >= 0) else { return 0 };
        ((FIRST_REST_SECONDS << self.quick.min(8)).min(LONGEST_REST_SECONDS) - passed).max(0)
    }
}

/// What is said against a certificate is believed so long after it was said last, in seconds: then the CA is asked as if it
/// had not been said, and may say it again.
pub(super) const REVOKED_SECONDS: i64 = 30 * 86_400;
/// The most that a wait of the CA is stretched, in seconds; see [`Progress::wait`]. It is reached after five weeks.
const LONGEST_STRETCH_SECONDS: u32 = 3600;

impl Progress {
    /// About this certificate, in use from and to these times: what was remembered for an earlier generation is dropped.
    pub(super) fn about(self, certificate: Mark, in_use: Option<(Time, Time)>) -> Self {
        let stands = in_use.map(|in_use| Stands::after(self.stands, in_use));
        if self.certificate == certificate {
            return Progress { stands, ..self };
        }
        let Progress { anchors, pace, clock_off, clock_least, owed, .. } = self;
        Progress { certificate, anchors, pace, clock_off, clock_least, owed, stands, ..Progress::default() }
    }

    /// Whether the certificate counts as revoked: the CA said so not too long ago. Without a time to count from, it does
    /// until it is said otherwise; [`decide`](super::decide) has it questioned in any case.
    pub(super) fn is_revoked(&self, now: Option<Time>) -> bool {
        self.revoked.is_some_and(|said| now.is_none_or(|now| (0..REVOKED_SECONDS).contains(&now.since(said))))
    }

    /// The CA asked to wait: the attempt that met with this is none that failed, and what failed before is not forgotten.
    /// A CA that asks for a second, again and again, is asked ever more slowly; one that asks for years is asked in between.
    pub(super) fn wait(&mut self, seconds: u32, now: Time, longest_seconds: u32) {
        self.waits = self.waits.saturating_add(1);
        let stretched = stretched(seconds, self.waits);
        let count = self.attempts.count.saturating_sub(1);
        self.attempts = Attempts { count, last: Some(now), wait_seconds: stretched.min(longest_seconds.max(1)) };
    }

    pub(super) fn anchor(&self, mark: &Mark) -> Attempts {
        self.anchors.iter().find(|(known, _)| known == mark).map_or_else(Attempts::default, |(_, attempts)| *attempts)
    }

    pub(super) fn set_anchor(&mut self, mark: Mark, attempts: Attempts) {
        self.anchors.retain(|(known, _)| *known != mark);
        self.anchors.insert(0, (mark, attempts));
        self.anchors.truncate(MOST_ANCHORS);
    }

    /// What is kept for an identity, and whether it was damaged: then it counts as nothing, and the next attempt, which is
    /// noted before it is made, begins the waiting anew.
    pub(super) fn load(store: &Store, provider: &dyn Provider, name: &str) -> Result<(Self, bool), Error> {
        match store.blob(&record_name(provider, name)?) {
            Ok(bytes) => {
                let read = std::str::from_utf8(&bytes).ok().and_then(Progress::from_text);
                Ok((read.clone().unwrap_or_default(), read.is_none()))
            }
            Err(error) if error.kind == crate::store::StoreErrorKind::NotFound => Ok((Progress::default(), false)),
            Err(error) if is_unreadable(&error) => Ok((Progress::default(), true)),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn save(&self, store: &Store, provider: &dyn Provider, name: &str) -> Result<(), Error> {
        Ok(store.put_blob(&record_name(provider, name)?, self.to_text().as_bytes())?)
    }

    pub(super) fn forget(store: &Store, provider: &dyn Provider, name: &str) -> Result<(), Error> {
        Ok(store.remove_blob(&record_name(provider, name)?)?)
    }

    fn to_text(&self) -> String {
        let Attempts { count, last, wait_seconds } = self.attempts;
        let measured = self.measured.filter(|_| last.is_some());
        let head = match (self.stands, measured) {
            _ if self.owed != Owed::default() => OWING_HEAD,
            (Some(_), _) => STANDING_HEAD,
            (None, Some(_)) => MEASURED_HEAD,
            (None, None) => HEAD,
        };
        let mut text = format!(
            "{head}\nidentity {} {count} {} {} {wait_seconds}\nagainst {} {} {} {}\noperation {} {}\npace {} {}\n",
            hex(&self.certificate),
            self.refusals,
            written(last),
            written(self.revoked),
            u8::from(self.doubts_clock),
            self.clock_off.map_or_else(|| "-".to_owned(), |off| off.to_string()),
            written(self.clock_least),
            self.in_vain,
            self.waits,
            self.pace.quick,
            written(self.pace.last),
        );
        match measured {
            Some(Uptime { boot, seconds }) => text.push_str(&format!("uptime {boot:032x} {seconds}\n")),
            None if [STANDING_HEAD, OWING_HEAD].contains(&head) => text.push_str("uptime - -\n"),
            None => {}
        }
        match self.stands {
            Some(Stands { end, since }) => text.push_str(&format!("stands {} {}\n", end.unix(), since.unix())),
            None if head == OWING_HEAD => text.push_str("stands - -\n"),
            None => {}
        }
        if head == OWING_HEAD {
            text.push_str(&format!("owed {}\n", self.owed.0));
        }
        for (mark, Attempts { count, last, wait_seconds }) in &self.anchors {
            text.push_str(&format!("anchor {} {count} {} {wait_seconds}\n", hex(mark), written(*last)));
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let head = lines.next()?;
        let is_old = head == OLD_HEAD;
        if ![OWING_HEAD, STANDING_HEAD, MEASURED_HEAD, HEAD, SECOND_HEAD, OLD_HEAD].contains(&head) {
            return None;
        }
        let identity = fields_of(lines.next()?, "identity", if is_old { 6 } else { 5 })?;
        let attempts = read_attempts(identity[1], identity[3], identity[4])?;
        let mut progress = Progress {
            certificate: from_hex(identity[0])?,
            attempts,
            refusals: identity[2].parse().ok()?,
            ..Progress::default()
        };
        if is_old {
            let said = attempts.last.or(Some(Time::from_unix(0)));
            progress.revoked = said.filter(|_| flag(identity[5]) == Some(true));
            flag(identity[5])?;
        } else {
            let against = fields_of(lines.next()?, "against", if head == SECOND_HEAD { 2 } else { 4 })?;
            (progress.revoked, progress.doubts_clock) = (time(against[0])?, flag(against[1])?);
            progress.clock_off = against.get(2).map_or(Some(None), |field| number(field))?;
            progress.clock_least = against.get(3).map_or(Some(None), |field| time(field))?;
            let operation = fields_of(lines.next()?, "operation", 2)?;
            (progress.in_vain, progress.waits) = (operation[0].parse().ok()?, operation[1].parse().ok()?);
            let pace = fields_of(lines.next()?, "pace", 2)?;
            progress.pace = Pace { quick: pace[0].parse().ok()?, last: time(pace[1])? };
            if [MEASURED_HEAD, STANDING_HEAD, OWING_HEAD].contains(&head) {
                let uptime = fields_of(lines.next()?, "uptime", 2)?;
                if uptime != ["-", "-"] || head == MEASURED_HEAD {
                    let boot = u128::from_str_radix(uptime[0], 16).ok()?;
                    progress.measured = Some(Uptime { boot, seconds: uptime[1].parse().ok()? });
                }
            }
            if head == STANDING_HEAD || head == OWING_HEAD {
                let stands = fields_of(lines.next()?, "stands", 2)?;
                if stands != ["-", "-"] || head == STANDING_HEAD {
                    progress.stands = Some(Stands { end: time(stands[0])??, since: time(stands[1])?? });
                }
            }
            if head == OWING_HEAD {
                progress.owed = Owed(fields_of(lines.next()?, "owed", 1)?[0].parse().ok()?);
            }
        }
        for line in lines {
            let anchor = fields_of(line, "anchor", 4)?;
            if progress.anchors.len() == MOST_ANCHORS {
                return None;
            }
            progress.anchors.push((from_hex(anchor[0])?, read_attempts(anchor[1], anchor[2], anchor[3])?));
        }
        Some(progress)
    }
}

/// The fields of a line that begins with this word, if there are so many.
fn fields_of<'a>(line: &'a str, word: &str, count: usize) -> Option<Vec<&'a str>> {
    let mut fields = line.split(' ');
    let is_it = fields.next()? == word;
    let fields: Vec<&str> = fields.collect();
    (is_it && fields.len() == count).then_some(fields)
}

fn read_attempts(count: &str, last: &str, wait_seconds: &str) -> Option<Attempts> {
    Some(Attempts { count: count.parse().ok()?, last: time(last)?, wait_seconds: wait_seconds.parse().ok()? })
}

fn flag(field: &str) -> Option<bool> {
    match field {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn written(time: Option<Time>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.unix().to_string())
}

/// Damaged, or of a newer version that was here before a downgrade.
fn is_unreadable(error: &StoreError) -> bool {
    error.is_damage() || error.kind == crate::store::StoreErrorKind::Version
}

/// Names of identities may be as long as names of records: a digest keeps the prefix from making them too long.
fn record_name(provider: &dyn Provider, name: &str) -> Result<String, Error> {
    let digest = provider.digest(DigestAlgorithm::Sha256, &[name.as_bytes()])?;
    let shown: String = name.chars().take(32).collect();
    Ok(format!("renewal-{}-{shown}", hex(&digest[..8])))
}

fn number(field: &str) -> Option<Option<i64>> {
    if field == "-" { Some(None) } else { field.parse().ok().map(Some) }
}

fn time(field: &str) -> Option<Option<Time>> {
    number(field).map(|seconds| seconds.map(Time::from_unix))
}

/// A wait that the CA asks for, the n-th in a row: see [`Progress::wait`]. The first is as long as asked for; two seconds more each time are some
/// 300 polls on the first day of a CA that asks for a second without end.
pub(super) fn stretched(seconds: u32, count: u32) -> u32 {
    let least = count.saturating_sub(1).saturating_mul(2).min(LONGEST_STRETCH_SECONDS);
    seconds.max(least).min(LONGEST_WAIT_SECONDS)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Mark> {
    if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, 16).ok().map(u64::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    fn sample() -> Progress {
        let waiting = Attempts { count: 3, last: Some(Time::from_unix(-7)), wait_seconds: 900 };
        Progress {
            certificate: [1, 2, 3, 4, 5, 6, 7, 0xff],
            attempts: waiting,
            measured: None,
            refusals: 2,
            revoked: Some(Time::from_unix(1_700_000_000)),
            doubts_clock: true,
            clock_off: Some(-9),
            clock_least: Some(Time::from_unix(1000)),
            in_vain: 4,
            waits: 5,
            pace: Pace { quick: 1, last: Some(Time::from_unix(8)) },
            stands: None,
            owed: Owed::default(),
            anchors: vec![([9; 8], Attempts::default()), ([8; 8], waiting)],
        }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let (store, provider) = (Store::in_memory(default_provider()), default_provider());
        let longest = "n".repeat(64);
        let measured = Progress { measured: Some(Uptime { boot: 0xfe << 112, seconds: 77 }), ..sample() };
        measured.save(&store, &*provider, "measured").unwrap();
        assert_eq!(Progress::load(&store, &*provider, "measured").unwrap(), (measured, false));
        for measured in [None, sample().measured, Some(Uptime { boot: 5, seconds: 6 })] {
            let stands = Some(Stands { end: Time::from_unix(1_900_000_000), since: Time::from_unix(-4) });
            for (stands, owed) in [(stands, 0), (stands, 900), (None, 900), (None, u32::MAX)] {
                let kept = Progress { measured, stands, owed: Owed(owed), ..sample() };
                kept.save(&store, &*provider, "standing").unwrap();
                assert_eq!(Progress::load(&store, &*provider, "standing").unwrap(), (kept, false));
            }
        }
        sample().save(&store, &*provider, &longest).unwrap();
        assert_eq!(Progress::load(&store, &*provider, &longest).unwrap(), (sample(), false));
        assert_eq!(Progress::load(&store, &*provider, "other").unwrap(), (Progress::default(), false));
    }

    #[test]
    fn damaged_lines_count_as_nothing_and_are_seen() {
        let (store, provider) = (Store::in_memory(default_provider()), default_provider());
        let text = sample().to_text();
        let mut bad: Vec<String> = (0..text.len() - 1).map(|n| text[..n].to_owned()).collect();
        bad.retain(|cut| Progress::from_text(cut) != Some(sample()));
        bad.push(text.replace("renewal 3", "renewal 4"));
        bad.push(text.replace("0000 1\n", "0000 2\n"));
        bad.push(text.replace("-7", "99999999999999999999"));
        bad.push(format!("{text}anchor\n"));
        bad.push(format!("{text}{}", "anchor 0808080808080808 0 - 0\n".repeat(40)));
        for text in bad {
            store.put_blob(&record_name(&*provider, "x").unwrap(), text.as_bytes()).unwrap();
            let (found, is_damaged) = Progress::load(&store, &*provider, "x").unwrap();
            // A cut at the end of a line leaves a whole record behind, without some anchors.
            assert!(is_damaged || found.attempts == sample().attempts, "{text}");
        }
    }

    #[test]
    fn a_new_generation_begins_without_the_failures_of_the_old_one() {
        let after = sample().about([7; 8], None);
        assert_eq!((after.attempts, after.refusals, after.revoked), (Attempts::default(), 0, None));
        assert_eq!((after.anchors, after.pace), (sample().anchors, sample().pace));
        assert_eq!(sample().about(sample().certificate, None), sample());
    }

    #[test]
    fn an_end_that_no_renewal_moves_stands_since_the_first_that_had_it() {
        let at = |day: i64| Time::from_unix(1_700_000_000 + day * 86_400);
        let mut progress = Progress::default();
        // Closer and closer to an end that stays, give or take a little.
        for (number, (begin, end)) in [(0, 300), (200, 300), (266, 301), (288, 299), (296, 300)].into_iter().enumerate()
        {
            progress = progress.about([u8::try_from(number).unwrap(); 8], Some((at(begin), at(end))));
            assert_eq!(progress.stands, Some(Stands { end: at(300), since: at(0) }), "{number}");
        }
        // The CA has a new end, or another lifetime.
        for (begin, end) in [(297, 500), (298, 305), (303, 311)] {
            progress = progress.about([u8::try_from(begin - 250).unwrap(); 8], Some((at(begin), at(end))));
            assert_eq!(progress.stands, Some(Stands { end: at(end), since: at(begin) }), "{begin}");
        }
    }

    #[test]
    fn what_an_older_version_left_is_read() {
        let text = "devid renewal 1\nidentity 0102030405060708 3 2 1700000000 900 1\nanchor 0808080808080808 1 - 60\n";
        let read = Progress::from_text(text).unwrap();
        assert_eq!((read.attempts.count, read.refusals, read.revoked), (3, 2, Some(Time::from_unix(1_700_000_000))));
        assert_eq!(read.anchors.len(), 1);
        assert_eq!(Progress::from_text(&text.replace(" 900 1", " 900 0")).unwrap().revoked, None);
        assert_eq!(Progress::from_text(&text.replace(" 900 1", " 900 2")), None);
    }

    #[test]
    fn a_wait_that_the_ca_asks_for_forgets_no_failure_and_neither_spins_nor_sleeps_for_years() {
        let now = Time::from_unix(1_700_000_000);
        let mut progress = Progress { attempts: Attempts { count: 4, ..Attempts::default() }, ..Progress::default() };
        progress.wait(u32::MAX, now, 7 * 86_400);
        assert_eq!(
            (progress.attempts.count, progress.attempts.wait_seconds),
            (3, 7 * 86_400),
            "its own attempt did not fail"
        );
        let mut asked = 0;
        let mut passed = 0;
        while passed < 86_400 {
            progress.attempts.count += 1;
            progress.wait(0, now, 7 * 86_400);
            passed += progress.attempts.wait_seconds;
            asked += 1;
        }
        assert!(asked < 500, "a CA that never lets it wait is asked {asked} times on the first day");
        assert_eq!(progress.attempts.count, 3);
    }

    #[test]
    fn certificates_of_a_second_are_not_asked_for_each_second() {
        let (mut now, mut pace, mut count) = (Time::from_unix(1_700_000_000), Pace::default(), 0);
        let end = now.plus(86_400);
        while now < end {
            pace.succeeded(now);
            now = now.plus(pace.left_seconds(now).max(1));
            count += 1;
        }
        assert!((1440..1500).contains(&count), "{count}");
        assert_eq!(pace.left_seconds(now.plus(-1_000_000)), 0, "a clock set back does not prolong it");
    }

    #[test]
    fn a_clock_set_back_does_not_prolong_a_wait() {
        let attempts = Attempts { count: 1, last: Some(Time::from_unix(4_000_000_000)), wait_seconds: 900 };
        assert_eq!(attempts.left_seconds(Time::from_unix(4_000_000_100)), 800);
        assert_eq!(attempts.left_seconds(Time::from_unix(4_000_000_900)), 0);
        assert_eq!(attempts.left_seconds(Time::from_unix(1_700_000_000)), 0);
        assert_eq!(attempts.left_seconds(Time::from_unix(i64::MAX)), 0);
    }
}
