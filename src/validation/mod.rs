//! Certificate paths, revocation, trust, and the gate to a peer's public key.
//!
//! [`validate`] answers with a [`Report`]: a path from the certificate to a trust anchor that passed every check asked
//! for in [`Checks`], or what speaks against the paths that were tried (RFC 5280 section 6.1, RFC 9618, RFC 5937).

mod certificate;
mod checks;
mod constraints;
pub mod crl;
mod crl_index;
pub(crate) mod crl_numbers;
mod crl_scope;
mod crl_status;
mod crl_stream;
mod facts;
mod freshness;
mod identity;
mod knowledge;
pub(crate) mod names;
mod ocsp;
mod ocsp_status;
mod path;
pub(crate) mod peer;
mod policy;
mod profile;
mod report;
pub mod revocation;
pub(crate) mod revocation_policy;
pub(crate) mod revoked;
mod revoked_fact;
mod revoked_lost;
mod rules;
mod signed;
mod status;
mod status_before;
mod status_signers;
pub(crate) mod status_sources;
pub(crate) mod told;
mod trust;
mod unusable;

pub use crate::asn1::general_name::{GeneralName, alternative_names};
pub use checks::{CheckTime, Checks, KeyUsage, NameCheck, PolicyInputs, Profile};
pub use crl::Crl;
#[cfg(feature = "std")]
pub(crate) use crl_index::MAGIC as INDEX_MAGIC;
pub use crl_numbers::{CrlNumberTable, CrlNumbers, Noted, NumberedList};
pub(crate) use crl_scope::is_ca;
pub use crl_stream::CrlStream;
pub use identity::{NameFault, PeerName};
pub use names::same_name;
pub use ocsp::{OcspRequest, OcspResponse};
pub use path::validate;
pub use peer::{PeerKey, PeerRequest, Purpose};
pub use report::{Check, Finding, Report, ValidPath};
pub use revocation_policy::{RevocationMode, RevocationPolicy, RevocationScope, StatusPreference};
pub use revoked::{Added, Authority, GoodWord, KnownFacts, ListPlace, Lost, RevokedFact, RevokedFacts, RevokedTable};
pub(crate) use signed::Line;
pub use status_sources::{StatusSources, StatusWatch, UNTOLD};
pub use trust::TrustAnchors;
