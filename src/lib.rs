//! **devid**: how a device gets, keeps and checks its identity in a PKI.
//!
//! The rooms, lower floors first; a lower floor never looks up:
//!
//! | room | knows |
//! | --- | --- |
//! | [`asn1`] | types and bytes |
//! | [`inspect`] | any structure as readable text or JSON |
//! | [`crypto`] | traits for algorithms and keys, two providers |
//! | [`cms`] | enveloped and signed data over `asn1` and `crypto` |
//! | [`validation`] | paths, revocation, trust, the gate to a peer's key |
//! | [`cmp`] | messages, protection, the operation: no I/O, no clock, no randomness of its own |
//! | [`transport`], [`store`] | how bytes travel; how identities are kept |
//! | [`client`] | the API people use; ties the rooms together |
//!
//! The C face is a crate of its own, in `bindings/c`: it uses what is public here, and holds the `unsafe` of that boundary;
//! `bindings/pkcs11` holds that of two calls to tokens.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod asn1;
pub mod client;
pub mod cmp;
pub mod cms;
pub mod codes;
pub mod crypto;
pub mod error;
pub mod files;
pub mod inspect;
pub mod limits;
pub mod store;
pub mod time;
pub mod transport;
pub mod validation;
mod words;

pub use codes::{Class, Code};
pub use error::{Error, Facts, Rule};
pub use time::Time;
