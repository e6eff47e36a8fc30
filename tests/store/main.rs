//! Device memory: what it keeps, what it refuses, and what is left of it when everything goes wrong.

#[cfg(all(unix, feature = "pkcs11"))]
mod announced;
mod clock;
mod common;
mod damaged;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
mod export;
#[cfg(feature = "crypto-awslc")] // stories with the test CA, which stands on it
mod faults;
#[cfg(unix)]
mod format;
mod handle;
#[cfg(feature = "pkcs11")]
mod ill_mannered;
mod kinds;
#[cfg(unix)]
mod mended;
mod moved;
#[cfg(unix)]
mod room;
mod stories;
#[cfg(feature = "pkcs11")]
mod token;
#[cfg(feature = "pkcs11")]
mod token_objects;

use devid_test_support::left_out;
#[cfg(feature = "pkcs11")]
use devid_test_support::softhsm;
