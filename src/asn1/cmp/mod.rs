//! The types of the Certificate Management Protocol (RFC 9810 appendix F), one file for each group. No behaviour.
//!
//! Written by hand over [`super::der::Cursor`] instead of derived: a message keeps the bytes it was received in,
//! because protection is checked over those, and servers in the field deviate in ways (text that is not UTF-8, empty
//! lists, odd times) that must not make a whole message unreadable. The module's tags are EXPLICIT.

pub mod body;
mod certrep;
pub(crate) mod challenge;
pub mod general;
mod header;
pub mod message;
pub mod poll;
pub mod revocation;
pub(crate) mod status;

pub use body::{BodyType, PkiBody};
pub use certrep::{CertOrEncCert, CertRepMessage, CertResponse, CertStatus, CertifiedKeyPair};
pub use challenge::{Challenge, Rand};
pub use general::{CrlSource, RootCaKeyUpdate};
pub use header::{InfoTypeAndValue, PkiHeader};
pub use message::PkiMessage;
pub use poll::PollRep;
pub use revocation::RevRepContent;
pub use status::{ErrorMsgContent, PkiStatus, PkiStatusInfo};
