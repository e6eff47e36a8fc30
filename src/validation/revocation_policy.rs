//! How revocation is checked: what a missing status means, for which certificates, and how old status data may be.

use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::limits::{MAX_CLOCK_SKEW_SECONDS, MAX_OFFLINE_GRACE_SECONDS};
use crate::prelude::*;

/// How revocation is checked.
///
/// Whatever the policy, off too: status data at hand that lists a certificate as revoked refuses it, even if the data
/// itself is out of date, and so does what a memory knows from before: who was revoked stays revoked. And where a budget
/// ends before all of that was looked at, the verdict is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationPolicy {
    /// What a missing status means.
    pub mode: RevocationMode,
    /// Which certificates need a status.
    pub scope: RevocationScope,
    /// Which source speaks first where both have an answer.
    pub prefer: StatusPreference,
    /// Oldest status data accepted: seconds from its thisUpdate to the time of the check. `None`: until its nextUpdate.
    pub max_age_seconds: Option<u32>,
    /// How long after nextUpdate status data may still be used, in seconds, for a device that was offline; the report
    /// says so. Zero: not at all.
    pub offline_grace_seconds: u32,
    /// How far in the future thisUpdate may lie, in seconds: clocks differ.
    pub clock_skew_seconds: u32,
    /// OCSP responders that are believed about every certificate by the device's own configuration (RFC 6960 section
    /// 4.2.2.2, first case). Nobody else need have certified them; the device answers for them.
    pub trusted_responders: Vec<Certificate>,
}

/// What a missing status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationMode {
    /// No status is wanted: none is fetched, and one that is not known refuses nobody and bounds no verdict. Whoever is revoked by
    /// what is at hand is refused.
    Off,
    /// The path is taken, and the report says that the status is not known.
    SoftFail,
    /// The path is refused.
    HardFail,
}

/// Which certificates of a path need a status; the anchor never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationScope {
    /// The certificate that was asked about.
    LeafOnly,
    /// All of them.
    WholeChain,
}

/// Which source speaks first where both have an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPreference {
    /// OCSP: fresher.
    Ocsp,
    /// CRL: asks nobody about anybody.
    Crl,
}

impl Default for RevocationPolicy {
    /// No status is wanted.
    fn default() -> Self {
        Self::off()
    }
}

impl RevocationPolicy {
    /// No status is wanted.
    pub const fn off() -> Self {
        Self::with_mode(RevocationMode::Off)
    }

    /// The whole chain, as far as status data is at hand.
    pub const fn soft_fail() -> Self {
        Self::with_mode(RevocationMode::SoftFail)
    }

    /// The whole chain; a certificate without a status is refused.
    pub const fn hard_fail() -> Self {
        Self::with_mode(RevocationMode::HardFail)
    }

    /// How old status data may be: see `max_age_seconds`, `offline_grace_seconds` and `clock_skew_seconds`.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`] for a grace of more than a year, or a skew of more than a day; nothing is changed.
    pub fn set_age(&mut self, max_age: Option<u32>, grace: u32, skew: u32) -> Result<(), Error> {
        let anew = RevocationPolicy {
            max_age_seconds: max_age,
            offline_grace_seconds: grace,
            clock_skew_seconds: skew,
            ..self.clone()
        };
        anew.check()?;
        *self = anew;
        Ok(())
    }

    /// Refuses what makes the age of status data no bound at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (grace, skew) = (self.offline_grace_seconds, self.clock_skew_seconds);
        if grace > MAX_OFFLINE_GRACE_SECONDS {
            let words =
                format!("grace_seconds: {grace} s after nextUpdate; at most {MAX_OFFLINE_GRACE_SECONDS} are taken");
            return Err(Error::new(Code::InvalidArgument, words));
        }
        check_skew("skew_seconds", skew)
    }

    const fn with_mode(mode: RevocationMode) -> Self {
        RevocationPolicy {
            mode,
            scope: RevocationScope::WholeChain,
            prefer: StatusPreference::Ocsp,
            max_age_seconds: None,
            offline_grace_seconds: 0,
            clock_skew_seconds: crate::limits::CLOCK_SKEW_SECONDS,
            trusted_responders: Vec::new(),
        }
    }
}

/// Refuses clocks that are too far apart to say anything.
pub(crate) fn check_skew(name: &str, seconds: u32) -> Result<(), Error> {
    if seconds <= MAX_CLOCK_SKEW_SECONDS {
        return Ok(());
    }
    let words = format!("{name}: clocks {seconds} s apart; at most {MAX_CLOCK_SKEW_SECONDS} are taken");
    Err(Error::new(Code::InvalidArgument, words))
}
