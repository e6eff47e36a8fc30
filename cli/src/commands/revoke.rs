//! `revoke`: asks the CA to revoke the certificate in use.

use devid::asn1::crl::CrlReason;
use devid::{Code, Error};
use serde_json::json;

use super::{is_lost, traced};
use crate::arguments::Revoke;
use crate::attendant::{Attendant, cancel, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub const REASONS: [(&str, CrlReason); 8] = [
    ("unspecified", CrlReason::Unspecified),
    ("key-compromise", CrlReason::KeyCompromise),
    ("affiliation-changed", CrlReason::AffiliationChanged),
    ("superseded", CrlReason::Superseded),
    ("cessation-of-operation", CrlReason::CessationOfOperation),
    ("privilege-withdrawn", CrlReason::PrivilegeWithdrawn),
    ("certificate-hold", CrlReason::CertificateHold),
    ("remove-from-crl", CrlReason::RemoveFromCrl),
];

pub fn run(command: &Revoke, device: &Device, output: Output) -> Result<Exit, Failure> {
    // As RFC 5280 and OpenSSL write them, too: keyCompromise.
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let reason = REASONS.iter().find(|(name, _)| plain(name) == plain(&command.reason)).map(|(_, reason)| *reason);
    let reason = reason.ok_or_else(|| {
        let known: Vec<&str> = REASONS.iter().map(|(name, _)| *name).collect();
        Failure::usage(format!("--reason {}: {} are reasons", command.reason, known.join(", ")))
    })?;
    let name = device.name(command.name.as_deref())?;
    if command.dry_run {
        return super::dry::revoke(device, &name, reason, output);
    }
    let certificate = device.store.current(&name)?.certificate;
    let _busy = device.busy(&name, "devid revoke")?;
    watch_signals();
    let is_for_good = !matches!(reason, CrlReason::CertificateHold | CrlReason::RemoveFromCrl);
    let (was_revoked, lost) = traced(command.talk.trace.as_deref(), "devid revoke", |trace| {
        let client = device.client_of(&name)?.with_cancel(Some(cancel().clone()));
        let mut attendant = Attendant::new(output, command.talk.no_wait, trace);
        let (identity, mut exchange) = (device.identity(&name), client.exchange()?);
        let to = device.destination(&name, &identity);
        let outcome = client.revoke_kept(to, (&certificate, reason), &mut *exchange, &mut attendant);
        match attendant.unless_left(outcome.map_err(|error| client.with_path(error))) {
            // What was asked for is so: by an earlier request that was given up, or by the CA's operator.
            Err(error) if is_for_good && says_revoked(&error) => Ok(Some(true)),
            Err(error) if error.code() == Code::State => {
                let words = format!("{}; devid store abandon {name} gives it up", error.message());
                Err(Failure::Own(Exit::Store, words))
            }
            outcome => Ok(outcome?.map(|_| false)),
        }
    })?;
    let Some(was_revoked) = was_revoked else {
        return Ok(output.ended("revoke", Exit::Waiting, "", json!({ "name": name })));
    };
    let done = match reason {
        _ if was_revoked => "the CA says that its certificate is revoked already",
        CrlReason::CertificateHold => "the CA has put its certificate on hold (--reason remove-from-crl ends that)",
        CrlReason::RemoveFromCrl => "the CA has taken its certificate back into use",
        _ => "the CA has revoked its certificate",
    };
    let exit = if is_lost(lost, output) { Exit::Hook } else { Exit::Done };
    Ok(output.ended("revoke", exit, &format!("{name}: {done}"), json!({ "name": name })))
}

/// PKIFailureInfo certRevoked (RFC 9810 section 5.2.3), in an authentic answer.
fn says_revoked(error: &Error) -> bool {
    const CERT_REVOKED: u32 = 1 << 10;
    let facts = error.facts();
    error.code() == Code::Rejected
        && facts.server_authenticated
        && facts.fail_info.is_some_and(|bits| bits & CERT_REVOKED != 0)
}
