//! The Certificate Management Protocol as an end entity speaks it (RFC 9810, profile RFC 9483).
//!
//! No I/O, no clock, no randomness of its own: an [`Operation`] is stepped by its owner, who carries bytes, passes the
//! time, and brings the provider of cryptography. Data flows one way:
//!
//! | file | |
//! | --- | --- |
//! | `signer`, `shared_secret`, `credential` | a key that signs, wherever it is; a secret of two; what protects messages |
//! | `signer_authorisation` | whom the owner lets sign |
//! | `context` | what holds for all operations of a client: credential and options |
//! | `options` | what can be chosen: anchors, limits, tolerances and the rest, with their defaults |
//! | `tolerance`, `profile` | deviations that are tolerated, by name; bundles of them for known CAs |
//! | `request` | what the caller wants: a certificate by ir, cr, kur or p10cr, a revocation, or an answer to a question |
//! | `revoke` | the answer to a request for revocation, of one certificate or of several |
//! | `proof` | the key that is to be certified, and the proofs of having it |
//! | `kem_mac` | protection with a KEM key: a secret is encapsulated first |
//! | `keygen` | keys that the CA's side makes |
//! | `info` | questions and their answers: CA certificates, a root's successor, templates, CRLs |
//! | `ra`, `nested` | what a registration authority does with the messages of others |
//! | `about` | whose certificates such a message is about |
//! | `protection` | MAC and signature over header and body |
//! | `response` | an answer is checked against its request before anything in it is believed (RFC 9483 section 3.5) |
//! | `answer_signer`, `authority` | whose signature is under it; whether he may sign |
//! | `issued` | the issued certificate is checked |
//! | `compare` | it is compared with what was asked, and by whom it is taken if it differs |
//! | `operation` | the state machine: step, feed |
//! | `action` | what its owner is to do next |
//! | `state` | where it stands, and what is known there and nowhere else |
//! | `wait` | whether the next poll is due, and whether the time for the whole is over, by witnesses that may be wrong |
//! | `bearer` | a signer that may not decide |
//! | `exchange` | the messages of an operation that has begun; each answer leads to the next state |
//! | `exchange::answered` | what an answer leads to: waiting, polling, another version, the end |
//! | `exchange::weighing` | what is taken from a signer that may not decide: what proves itself |
//! | `diagnosis` | what is known of a failure: rule, expectation, finding, hint |
//! | `exchange::enrolment` | the exchange that brings a certificate, as far as its confirmation |
//! | `exchange::several` | the same for several certificates: which answer is about which request, what is confirmed, what is polled for |
//! | `parts` | what becomes of each of several certificates |
//! | `snapshot` | save and restore across a reboot |
//! | `saved_form` | the frame of a saved operation |
//! | `saved` | what a saved operation is, told before it is resumed |

mod about;
mod action;
mod answer_signer;
mod authority;
mod bearer;
mod compare;
mod context;
mod credential;
mod diagnosis;
mod difference;
mod exchange;
mod info;
pub(crate) mod issued;
mod kem_mac;
mod keygen;
mod nested;
mod operation;
mod options;
mod parts;
mod passphrase;
mod possession;
mod profile;
mod proof;
mod protection;
mod ra;
mod received;
mod request;
mod request_form;
mod response;
mod revoke;
mod saved;
mod saved_form;
mod shared_secret;
mod signer_authorisation;
mod snapshot;
mod state;
mod stated;
mod tolerance;
mod transaction;
mod wait;

pub(crate) use bearer::KnownBearers;

pub use crate::crypto::Signer;
pub use action::{Action, ActionKind, Outcome, SignRequest, SignRole};
pub use compare::differences;
pub use context::Context;
pub use credential::{Credential, MacParameters};
pub use diagnosis::describe_message;
pub use difference::{Acceptance, Deviation, Difference};
pub use exchange::first_contact::TakenRoot;
pub use info::{Information, Question, RequestTemplate, RootUpdate};
pub use issued::Issued;
pub use nested::{Batch, Nested};
pub use operation::Operation;
#[cfg(feature = "settings")]
pub(crate) use operation::check_present;
pub use options::Options;
pub use passphrase::SealedPassphrase;
pub use profile::Profile;
pub use proof::{Possession, RequestedKey};
pub use ra::{Device, DeviceRequest, Proof, RegistrationAuthority, fail_info_of};
pub use request::{CertificateRequest, Request, RequestKind, RevocationRequest};
pub use revoke::{Revocations, Revoked};
pub use saved::{SavedCredential, SavedOperation, SavedState};
pub use shared_secret::SharedSecret;
pub use signer_authorisation::SignerAuthorisation;
pub(crate) use signer_authorisation::can_protect;
pub use tolerance::Tolerance;
