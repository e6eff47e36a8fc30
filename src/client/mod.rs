//! The Rust API people use; ties the rooms below together.
//!
//! | file | one use each |
//! | --- | --- |
//! | [`config`] | settings of a client and their defaults |
//! | [`subject`] | what a certificate is asked for: names, key usage, validity |
//! | [`enroll`] | a new operation: first certificate, a further one, key update; continued after a restart |
//! | [`install`] | enrolment straight into device memory: no crash loses or mixes an identity |
//! | [`run`] | drives an operation with a blocking exchange |

pub mod config;
pub mod enroll;
pub mod install;
pub mod run;
pub mod subject;

pub use config::{Client, Config};
pub use install::{Destination, abandon};
pub use run::{Decision, Event, Owner, Unattended, run};
pub use subject::Subject;
