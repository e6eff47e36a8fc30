//! Device memory: what it keeps, what it refuses, and what is left of it when everything goes wrong.

mod clock;
mod common;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
mod export;
#[cfg(feature = "crypto-awslc")] // stories with the test CA, which stands on it
mod faults;
#[cfg(unix)]
mod format;
#[cfg(feature = "pkcs11")]
mod ill_mannered;
mod kinds;
#[path = "../common/left_out.rs"]
mod left_out;
#[cfg(unix)]
mod mended;
mod moved;
#[cfg(unix)]
mod room;
#[cfg(feature = "pkcs11")]
#[path = "../common/softhsm.rs"]
mod softhsm;
mod stories;
#[cfg(feature = "pkcs11")]
mod token;
#[cfg(feature = "pkcs11")]
mod token_objects;
