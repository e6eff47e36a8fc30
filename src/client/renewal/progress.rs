//! What is remembered between steps: failures, waits, refusals. Kept in device memory, so that a reboot does not begin the
//! waiting anew.
//!
//! Lines of text behind a head line, the record around it carries a digest:
//!
//! ```text
//! devid renewal 1
//! identity <digest of the certificate, 16 hex digits> <attempts> <refusals> <last, seconds> <wait, seconds> <revoked 0|1>
//! anchor <digest, 16 hex digits> <attempts> <last> <wait>
//! ```

use super::policy::{Policy, Seed};
use crate::asn1::x509::Certificate;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::store::{Store, StoreError};
use crate::time::Time;

const HEAD: &str = "devid renewal 1";
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
    /// How often the CA refused, in authentic answers.
    pub refusals: u32,
    /// The CA said that the certificate is revoked.
    pub is_revoked: bool,
    pub(super) anchors: Vec<(Mark, Attempts)>,
}

impl Progress {
    /// About this certificate: what was remembered for an earlier generation is dropped.
    pub(super) fn about(self, certificate: Mark) -> Self {
        if self.certificate == certificate {
            return self;
        }
        Progress { certificate, anchors: self.anchors, ..Progress::default() }
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
        let mut text = format!(
            "{HEAD}\nidentity {} {count} {} {} {wait_seconds} {}\n",
            hex(&self.certificate),
            self.refusals,
            last.map_or_else(|| "-".to_owned(), |time| time.unix().to_string()),
            u8::from(self.is_revoked),
        );
        for (mark, Attempts { count, last, wait_seconds }) in &self.anchors {
            let last = last.map_or_else(|| "-".to_owned(), |time| time.unix().to_string());
            text.push_str(&format!("anchor {} {count} {last} {wait_seconds}\n", hex(mark)));
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let mut fields = lines.next()?.split(' ');
        if fields.next()? != "identity" {
            return None;
        }
        let certificate = from_hex(fields.next()?)?;
        let (count, refusals) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (last, wait_seconds) = (time(fields.next()?)?, fields.next()?.parse().ok()?);
        let is_revoked = match fields.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        if fields.next().is_some() {
            return None;
        }
        let mut anchors = Vec::new();
        for line in lines {
            let mut fields = line.split(' ');
            if fields.next()? != "anchor" || anchors.len() == MOST_ANCHORS {
                return None;
            }
            let mark = from_hex(fields.next()?)?;
            let count = fields.next()?.parse().ok()?;
            let (last, wait_seconds) = (time(fields.next()?)?, fields.next()?.parse().ok()?);
            anchors.push((mark, Attempts { count, last, wait_seconds }));
        }
        Some(Progress { certificate, attempts: Attempts { count, last, wait_seconds }, refusals, is_revoked, anchors })
    }
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

fn time(field: &str) -> Option<Option<Time>> {
    if field == "-" { Some(None) } else { field.parse().ok().map(|seconds| Some(Time::from_unix(seconds))) }
}

fn hex(bytes: &[u8]) -> String {
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
            refusals: 2,
            is_revoked: true,
            anchors: vec![([9; 8], Attempts::default()), ([8; 8], waiting)],
        }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let (store, provider) = (Store::in_memory(default_provider()), default_provider());
        let longest = "n".repeat(64);
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
        bad.push(text.replace("renewal 1", "renewal 2"));
        bad.push(text.replace(" 1\n", " 2\n"));
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
        let after = sample().about([7; 8]);
        assert_eq!((after.attempts, after.refusals, after.is_revoked), (Attempts::default(), 0, false));
        assert_eq!(after.anchors, sample().anchors);
        assert_eq!(sample().about(sample().certificate), sample());
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
