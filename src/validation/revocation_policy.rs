//! How revocation is checked: what a missing status means, for which certificates, and how old status data may be.

use super::status_sources::StatusSources;
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// How revocation is checked.
///
/// Whatever the policy (other than off), status data at hand that lists a certificate as revoked refuses it, even if
/// the data itself is out of date: who was revoked stays revoked.
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
    /// Revocation is not checked: the caller asked for it.
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
    /// No check.
    fn default() -> Self {
        Self::off()
    }
}

impl RevocationPolicy {
    /// The same, where these are at hand: lists, responses and a memory of who was revoked that the owner has given are asked, also
    /// where nothing was said of revocation. What they do not tell is then no reason to refuse.
    #[must_use]
    pub(crate) fn looking_at(self, given: &StatusSources) -> Self {
        let StatusSources { crls, ocsp, revoked, kept, .. } = given;
        let is_given = !crls.is_empty() || !ocsp.is_empty() || !revoked.is_empty() || !kept.is_empty();
        if is_given && self.mode == RevocationMode::Off {
            RevocationPolicy { mode: RevocationMode::SoftFail, ..self }
        } else {
            self
        }
    }

    /// No check.
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
