//! **devid**: how a device gets, keeps and checks its identity in a PKI.
//!
//! The modules, lower layers first; none uses one above it:
//!
//! | module | knows |
//! | --- | --- |
//! | [`asn1`] | types and bytes |
//! | [`inspect`] | any structure as readable text or JSON |
//! | [`crypto`] | traits for algorithms and keys, two providers |
//! | [`cms`] | enveloped and signed data over `asn1` and `crypto` |
//! | [`validation`] | paths, revocation, trust, the gate to a peer's key |
//! | [`cmp`] | messages, protection, the operation: no I/O, no clock, no randomness of its own |
//! | [`transport`], [`store`] | how bytes travel; how identities are kept |
//! | [`client`] | the API people use; ties the modules together |
//!
//! Without the feature `std` the crate is `no_std` over `alloc`: `asn1`, `crypto` (the portable provider), `cms`, `validation` and
//! `cmp`. See `docs/porting-to-a-board.md`.
//!
//! The C face is a crate of its own, in `bindings/c`: it uses what is public here, and holds the `unsafe` of that boundary;
//! `bindings/pkcs11` holds that of two calls to tokens, `bindings/awslc` that of one to AWS-LC.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs, unnameable_types)]
#![cfg_attr(not(feature = "std"), allow(dead_code, unused_imports, reason = "the modules above the engine use it"))]

#[cfg_attr(not(any(feature = "std", test)), macro_use)]
extern crate alloc;

pub mod asn1;
#[cfg(feature = "std")]
pub mod client;
pub mod cmp;
pub mod cms;
pub mod codes;
pub mod crypto;
mod defaults;
pub mod error;
mod features;
#[cfg(feature = "std")]
pub mod files;
#[cfg(feature = "std")]
pub mod inspect;
pub mod limits;
mod order;
mod phase;
mod prelude;
mod sorted;
#[cfg(feature = "std")]
pub mod store;
mod sync;
pub mod time;
#[cfg(feature = "std")]
pub mod transport;
pub mod validation;
mod words;

pub use codes::{Class, Code};
pub use error::{Error, Facts, Rule};
pub use features::{features, supports};
pub use phase::{ExchangePhase, Phase};
pub use time::Time;
