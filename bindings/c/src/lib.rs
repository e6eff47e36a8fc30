//! The C face, described by `include/devid.h`.
//!
//! Each function is one row: documentation for C readers, a signature of safe Rust types, its own work. What C passes for a type,
//! the checks, the panic guard and the way back follow from the types (`devid-rows`, `args`); what a program may and may not do
//! is written in the header and in `docs/c-conventions.md`. The order of the modules below is the order of the header's sections.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]

mod args;
mod callback;
mod guard;
mod prelude;
mod texts;

pub mod error;

pub mod version;

pub mod bytes;

pub mod key;

pub mod token;

pub mod cert;

pub mod pkcs12;

pub mod subject;

pub mod config;

pub mod transport;

pub mod signer;

pub mod operation;

pub mod central;

pub mod run;

pub mod own_transport;

pub mod progress;

pub mod outcome;

pub mod difference;

pub mod support;

pub mod template;

pub mod trust;

pub mod uptime;

pub mod report;

pub mod validation;

pub mod validate;

pub mod validate_bytes;

pub mod peer;

pub mod fetch;
pub mod first_contact;

pub mod probe;

pub mod identity;

pub mod store;

pub mod storage;

pub mod kept;

pub mod problem;

pub mod lists;

pub mod status_data;

pub mod status;

pub mod install;

pub mod export;

pub mod offline;

pub mod saved;

pub mod renewal;
mod renewal_words;

pub mod new_key;

pub mod plan;

pub mod renewal_owner;

pub mod clock;

pub mod network;

pub mod authority;

pub mod inspect;

pub mod device;
