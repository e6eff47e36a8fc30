//! The C face, described by `include/devid.h`.
//!
//! Each function turns raw pointers into safe values in its first lines (`args`), makes one call into the Rust library, and
//! turns the result back. What a program may and may not do is written for C readers in the header and in
//! `docs/c-conventions.md`; the reasons of `unsafe` here rest on those sentences ("as the header says"). The order of the
//! modules below is the order of the header's sections.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_safety_doc, reason = "the comments of exported functions are the header's, for C readers")]

mod args;
mod callback;
mod guard;

pub mod error;

pub mod version;

pub mod bytes;

pub mod key;

pub mod token;

pub mod cert;

pub mod pkcs12;

pub mod subject;

pub mod config;

pub mod profile;

pub mod ra;

pub mod transport;

pub mod signer;

pub mod operation;

pub mod central;

pub mod run;

pub mod cancel;

pub mod support;

pub mod answer;

pub mod template;

pub mod trust;

pub mod report;

pub mod validation;

pub mod validate;

pub mod peer;

pub mod fetch;

pub mod identity;

pub mod store;

pub mod storage;

pub mod kept;
mod mapped;

pub mod status_data;

pub mod status;

pub mod install;

pub mod export;

pub mod offline;

pub mod renewal;
mod renewal_words;

pub mod clock;

pub mod authority;

pub mod inspect;

pub mod files;
