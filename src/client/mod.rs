//! The Rust API people use; ties the modules below together.
//!
//! | file | one use each |
//! | --- | --- |
//! | `config` | settings of a client and their defaults |
//! | `way` | the client, and its way to the server |
//! | [`subject`] | what a certificate is asked for: names, key usage, validity |
//! | `enroll` | a new operation: first certificate, a further one, key update; continued after a restart |
//! | `install` | enrolment straight into device memory: no crash loses or mixes an identity |
//! | `bearers` | signers without authority that were met before |
//! | [`offline`] | enrolment without a network: PKCS#10 goes out, its key and the request are kept |
//! | [`certificates`] | certificates as they come in files and from peers |
//! | `import` | a certificate that comes back by any means finds its key and is installed |
//! | [`renewal`] | what is due and when to ask again; does a due step; devices without a clock |
//! | `device` | a device as a whole, by a settings file or a few values: the easy way in (feature `settings`) |
//! | `support` | revocation, and questions: CA certificates, a root's successor, templates, CRLs |
//! | `template` | what a CA's template makes of the next request |
//! | `roots` | a root's successor takes its place beside it |
//! | [`mod@run`] | drives an operation with a blocking exchange |
//! | [`peer_certificates`] | which of the certificates that a peer sent is its own |
//! | `token` | keys in PKCS#11 tokens: opened, made anew, destroyed |
//! | [`trace`] | what happened, message by message, as a sequence diagram |
//! | [`validator`] | anchors, status data and what is wanted of certificates, set up once for many validations |
//! | [`crl_file`] | a CRL in a file, with its index in another |
//! | [`status`] | a validation that gets status data and missing issuers by URL, and keeps what is good |

mod bearers;
mod binding;
pub mod certificates;
mod config;
pub mod crl_file;
mod destination;
#[cfg(all(feature = "settings", unix))]
pub mod device;
mod enroll;
mod import;
mod install;
pub mod offline;
pub mod peer_certificates;
pub mod probe;
pub mod renewal;
mod revoking;
mod roots;
pub mod run;
mod signer_status;
pub mod status;
pub mod subject;
mod support;
mod template;
#[cfg(feature = "pkcs11")]
mod token;
pub mod trace;
pub mod validator;
mod way;

pub use binding::Binding;
pub use config::Config;
pub use destination::Destination;
pub use import::{Import, Imported, warnings_of};
pub use install::{Continued, abandon};
pub use offline::{RequestOptions, UnsignedRequest, keep_request, request_into};
pub use probe::{Probe, ProbeFinding};
pub use renewal::{Plan, Planner, Policy, Renewal, Step};
pub use roots::add_root;
pub use run::{Decision, Event, Owner, Unattended, complete, run};
pub use status::{CrlSubject, StatusFetcher, StatusOptions, keep_crl, kept_crls};
pub use subject::Subject;
pub use template::Applied;
#[cfg(feature = "pkcs11")]
pub use token::{check_key_template, open_token_keys};
pub use trace::Trace;
pub use way::{Client, ServerOptions};
