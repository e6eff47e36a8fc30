//! Rules that checks in several files enforce; all others stand beside their one check.

use crate::error::Rule;

/// What can be read at all.
pub(super) const FORM: Rule =
    Rule::new("RFC 5280 section 4.1 (V1)", "a certificate, and extensions, as their syntax has them");
pub(super) const PATH: Rule = Rule::new("RFC 5280 section 6.1 (V1)", "a path to a trust anchor");
/// RFC 5280 section 6.1.3 (a)(3).
pub(super) const NOT_REVOKED: Rule =
    Rule::new("RFC 5280 section 6.1.3 (V5, V7)", "certificates that are known not to be revoked");
