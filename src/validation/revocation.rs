//! Which source of status decides about a certificate.

use super::checks::Checks;
use super::report::Finding;
use super::trust::TrustAnchors;
use crate::asn1::x509::Certificate;
use crate::crypto::Provider;

/// How revocation is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationPolicy {
    /// Not at all: the caller asked for it.
    #[default]
    Off,
}

/// Status data at hand.
#[derive(Clone, Debug, Default)]
pub struct StatusSources {}

impl StatusSources {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }
}

/// Checks the status of the certificates of a path (leaf first, anchor last) whose signatures and RFC 5280 section 6.1
/// checks hold. A fatal finding refuses the path.
pub fn check_path(
    _provider: &dyn Provider,
    _path: &[Certificate],
    _anchors: &TrustAnchors,
    _pool: &[Certificate],
    _status: &StatusSources,
    checks: &Checks,
) -> Vec<Finding> {
    match checks.revocation {
        RevocationPolicy::Off => Vec::new(),
    }
}
