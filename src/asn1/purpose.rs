//! Purposes of keys (extendedKeyUsage) by their names in RFC 5280 section 4.2.1.12 and RFC 6402 section 2.10.

use super::oid::{self, Oid};
use crate::prelude::*;

/// All that have a name here.
pub(crate) const PURPOSES: [(&str, Oid); 10] = [
    ("anyExtendedKeyUsage", oid::ANY_EXTENDED_KEY_USAGE),
    ("serverAuth", oid::KP_SERVER_AUTH),
    ("clientAuth", oid::KP_CLIENT_AUTH),
    ("codeSigning", oid::KP_CODE_SIGNING),
    ("emailProtection", oid::KP_EMAIL_PROTECTION),
    ("timeStamping", oid::KP_TIME_STAMPING),
    ("OCSPSigning", oid::KP_OCSP_SIGNING),
    ("cmcCA", oid::KP_CMC_CA),
    ("cmcRA", oid::KP_CMC_RA),
    ("cmKGA", oid::KP_CM_KGA),
];

/// The name of a purpose.
pub(crate) fn name_of(purpose: Oid) -> Option<&'static str> {
    PURPOSES.iter().find(|(_, oid)| *oid == purpose).map(|(name, _)| *name)
}

/// A purpose for people: its name, if it has one, and its number.
pub(crate) fn named(purpose: Oid) -> String {
    name_of(purpose).map_or_else(|| purpose.to_string(), |name| format!("{name} ({purpose})"))
}
