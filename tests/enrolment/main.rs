//! Enrolment, revocation and questions as stories: a device, a CA in memory, a pretend clock; no network, no sleeping.

mod asked_memory;
mod base_stations;
mod bearer;
mod bearer_met;
mod bound;
mod broken;
mod broken_encrypted;
mod by_file;
mod clock_ahead;
mod clock_behind;
mod clocks;
mod confined;
mod counted;
mod counted_anew;
mod decade;
mod duties;
mod elsewhere;
#[cfg(feature = "crypto-awslc")] // the test CA stands on it
mod encrypted;
mod good;
mod hinted;
mod information;
mod inspected;
mod inspected_keys;
mod installed;
mod kept;
mod kept_format;
#[cfg(feature = "crypto-awslc")] // the test CA stands on it
mod key_away;
mod later;
mod measured;
mod odd;
mod own_waits;
mod pkcs10;
mod planner;
mod probe;
mod probe_told;
mod put_off;
mod ra;
mod refused;
mod renewal;
mod renewal_again;
mod renewal_asked;
mod renewal_away;
mod renewal_beside;
mod renewal_clock;
#[cfg(unix)]
mod renewal_damaged;
mod renewal_kept;
mod renewal_newer;
mod renewal_own;
mod renewal_ripens;
mod renewal_sealed;
mod renewal_steps;
mod renewal_waits;
mod renewal_years;
mod revoked;
mod revoked_kept;
mod roots_kept;
mod saved;
mod saved_fields;
mod sent;
mod several;
mod signer_status;
mod strangers;
mod template;
#[cfg(feature = "pkcs11")]
mod token;
mod trust_ends;
#[cfg(feature = "crypto-awslc")] // the test CA stands on it
mod with_testca;

#[cfg(feature = "pkcs11")]
use devid_test_support::softhsm;
use devid_test_support::{certificates, counting, mock_ca, status};
