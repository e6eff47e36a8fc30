//! What the tests of devid are made with: certificates, lists and answers in one line, bent in any field; a CA in memory; a provider
//! that counts; tokens of SoftHSM. A device never has it.
//!
//! It depends on `devid`, whose tests depend on it: Cargo allows the circle for tests alone.

pub mod certificates;
pub mod counting;
pub mod left_out;
pub mod mock_ca;
#[cfg(feature = "pkcs11")]
pub mod softhsm;
pub mod status;
