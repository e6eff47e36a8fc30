//! Trust anchors: certificates that are believed without proof.

use super::prelude::*;
use devid_core::validation::TrustAnchors;

/// Certificates that are believed without proof. Sets for different uses are best kept apart.
#[handle]
pub type devid_trust = TrustAnchors;

/// An empty set: nothing is trusted.
///
/// @param out_trust  Receives the set; free with devid_trust_free(). Not NULL.
#[export]
fn devid_trust_new() -> Result<devid_trust, Error> {
    Ok(TrustAnchors::new())
}

/// Adds trust anchors. Constraints that an anchor carries are enforced (RFC 5937).
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_trust_add_bytes(trust: &mut devid_trust, data: &[u8]) -> Result<(), Error> {
    trust.add_bytes(data)?;
    Ok(())
}

/// Adds a trust anchor.
#[export]
fn devid_trust_add(trust: &mut devid_trust, cert: &devid_cert) -> Result<(), Error> {
    trust.add(cert.certificate.clone());
    Ok(())
}

/// How many anchors there are.
///
/// @return The number.
#[export]
fn devid_trust_count(trust: &devid_trust) -> usize {
    trust.len()
}

/// Frees a set.
#[export]
fn devid_trust_free(trust: Owned<devid_trust>) {
    drop(trust)
}
