//! The verdict on what a peer sent, as it came.

use super::prelude::*;
use super::validate::hand_out;
use devid_core::validation::CheckTime;

/// devid_validate_sent() for bytes: what cannot be read is refused like any other certificate, by a report and a code of the
/// validation. The first certificate must be one that can be read; one behind it that cannot be is left out.
///
/// @param sent        Certificates: PEM, DER (one) or PKCS#7. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @return As devid_validate(); DEVID_E_MALFORMED if it is not a certificate.
#[export]
fn devid_validate_bytes(
    validator: &devid_validator,
    sent: &[u8],
    at: Time,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    hand_out(validator.validate_bytes(sent, CheckTime::At(at))?, out_report, out_peer)
}

/// How far two clocks may be apart: a certificate may begin so much later than the time of the check, status data too. 300 s unless
/// set, as everywhere. Expiry is not put off.
///
/// @param seconds  At most 86400.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_clock_skew(validator: &mut devid_validator, seconds: u32) -> Result<(), Error> {
    validator.set_clock_skew(seconds)
}
