//! Behind and beside a registration authority: whose answers count, and what an RA does with messages of others.

use super::prelude::*;
use devid_core::asn1::x509::Certificate;

/// Only these certificates may sign answers: an RA's, known from a file or from the CA. They still need a valid path to the
/// CMP anchors; one that has none is added to the anchors as well. What devid_config_set_signer() says holds besides; further
/// calls add certificates.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_signer_pins(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.pin_signers(Certificate::many_from_bytes(data)?);
    Ok(())
}
