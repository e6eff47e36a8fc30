//! Validation: the verdict, and the way to a peer's key behind it.

use super::prelude::*;
use devid_core::client::peer_certificates::end_entity_of;
use devid_core::client::validator::Verdict;
use devid_core::validation::CheckTime;

/// Looks for a path from a certificate to an anchor that passes every check (RFC 5280 section 6.1; revocation by section
/// 6.3 and RFC 6960). Does not block, fetches nothing.
///
/// @param validator   Not NULL.
/// @param cert        The certificate that is asked about. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  Receives what was found, also when the certificate is refused; free with devid_report_free(). NULL if
///                    not wanted. May be NULL.
/// @param out_peer    Receives the way to the certificate's public key, only when all checks passed; free with
///                    devid_peer_free(). NULL if not wanted. May be NULL.
/// @return DEVID_OK if a path was found and nothing speaks against it. Else the most telling reason: DEVID_E_EXPIRED,
///         DEVID_E_REVOKED, DEVID_E_REVOCATION_UNKNOWN, DEVID_E_NAME, DEVID_E_NO_PATH, ... (DEVID_CLASS_VALIDATION);
///         DEVID_E_INVALID_ARGUMENT if neither purposes nor names were said.
#[export]
fn devid_validate(
    validator: &devid_validator,
    cert: &devid_cert,
    at: Time,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    hand_out(validator.validate(&cert.certificate, &[], None, CheckTime::At(at))?, out_report, out_peer)
}

/// The same for a device that does not know the time: periods of validity are not checked, and the report says so.
///
/// @param validator   Not NULL.
/// @param cert        The certificate that is asked about. Not NULL.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @return As devid_validate().
#[export]
fn devid_validate_without_time(
    validator: &devid_validator,
    cert: &devid_cert,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    hand_out(validator.validate(&cert.certificate, &[], None, CheckTime::Unknown)?, out_report, out_peer)
}

/// devid_validate() for what a peer sent: its certificate and others. The first is the peer's own, as TLS and others prove
/// possession of its key, unless it is a CA's: then the one that issued none of the others is judged, and the first must be a CA
/// above it, else the verdict is DEVID_E_NO_PATH. Those others serve this validation only.
///
/// @param sent        As devid_cert_list_add_bytes() reads it from PEM, DER or PKCS#7. Not NULL.
/// @param at          Time of the check, in seconds since 1970-01-01T00:00:00Z.
/// @param out_report  As devid_validate(). May be NULL.
/// @param out_peer    As devid_validate(). May be NULL.
/// @return As devid_validate(); DEVID_E_INVALID_ARGUMENT for an empty list.
#[export]
fn devid_validate_sent(
    validator: &devid_validator,
    sent: &devid_cert_list,
    at: Time,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    let (certificate, others) = end_entity_of(sent)?;
    hand_out(validator.validate(&certificate, &others, sent.first(), CheckTime::At(at))?, out_report, out_peer)
}

/// A verdict in the form that crosses the boundary: the report goes out also where the certificate is refused.
pub(super) fn hand_out(
    verdict: Verdict,
    out_report: Option<Out<devid_report>>,
    out_peer: Option<Out<devid_peer>>,
) -> Result<(), Error> {
    let refusal = verdict.report.refusal();
    if let Some(mut out_report) = out_report {
        out_report.set(devid_report::of(verdict.report));
    }
    match (verdict.peer, refusal) {
        (_, Some(error)) => Err(error),
        (None, None) => Err(Error::new(Code::NoPath, "no positive verdict")),
        (Some(peer), None) => {
            if let Some(mut out_peer) = out_peer {
                out_peer.set(peer);
            }
            Ok(())
        }
    }
}
