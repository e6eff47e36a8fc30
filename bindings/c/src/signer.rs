//! Settings about who signs answers and whether those certificates are revoked; further header fields of requests.

use std::sync::Arc;

use super::prelude::*;
use super::validation::age;
use devid_core::asn1::oid::Oid;
use devid_core::client::certificates::{ReadAs, held_certificates};
use devid_core::validation::{RevocationMode, RevocationScope, StatusPreference};

/// Whether certificates that sign answers are checked for revocation, with the data that devid_config_add_signer_crls() and its kin
/// give, and what devid_config_set_signer_fetcher() has fetched.
///
/// @param mode    One of DEVID_REVOCATION_*; DEVID_REVOCATION_OFF is the default.
/// @param scope   One of DEVID_SCOPE_*.
/// @param prefer  One of DEVID_PREFER_*.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT. With a signer that is revoked, or whose status must be known and is not, operations
///         fail with DEVID_E_PROTECTION_INVALID.
#[export]
fn devid_config_set_signer_revocation(
    config: &mut devid_config,
    mode: RevocationMode,
    scope: RevocationScope,
    prefer: StatusPreference,
) -> Result<(), Error> {
    let policy = &mut config.config.signer_revocation;
    (policy.mode, policy.scope, policy.prefer) = (mode, scope, prefer);
    Ok(())
}

/// Gets status data about certificates that sign answers by the URLs in them (CDP, AIA), as this fetcher does for peers: with its
/// sources, limits and hosts, keeping what is good where it does; by the proxy and the TLS settings of these settings.
/// devid_config_set_signer_revocation() says whether the status is asked for, and what follows where there is none. Who is known as
/// revoked where the fetcher keeps what is good is refused in every case, also by steps.
///
/// For devid_op_run(), devid_renewal_run() and the like; a program that carries messages itself gives the data by
/// devid_config_add_signer_crls().
///
/// @param fetcher   Copied, but for a fetch function of the program. Not NULL.
#[export]
fn devid_config_set_signer_fetcher(config: &mut devid_config, fetcher: &mut devid_fetcher) -> Result<(), Error> {
    let options = fetcher.fetcher.options_mut().clone();
    config.config.fetch_signer_status(options, Arc::clone(fetcher.fetcher.memory()));
    Ok(())
}

/// Demands a certificate policy of who signs answers (certificatePolicies, RFC 5280 section 4.2.1.4). With other demands it adds up;
/// of several policies one is enough.
///
/// @param identifier  In dotted form. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_config_require_signer_policy(config: &mut devid_config, identifier: &str) -> Result<(), Error> {
    let policy = Oid::new(identifier).map_err(|_| invalid(format!("\"{identifier}\" is not an object identifier")))?;
    config.config.authorisation.policies.push(policy);
    Ok(())
}

/// How old status data about signers may be.
///
/// @param max_age_seconds  Oldest accepted, from its thisUpdate; -1: until its nextUpdate (the default).
/// @param grace_seconds    How long after nextUpdate it may still be used, up to 366 days; 0 is the default.
/// @param skew_seconds     How far thisUpdate may lie in the future, up to a day; 300 is the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_config_set_signer_status_age(
    config: &mut devid_config,
    max_age_seconds: i64,
    grace_seconds: u32,
    skew_seconds: u32,
) -> Result<(), Error> {
    config.config.signer_revocation.set_age(age(max_age_seconds)?, grace_seconds, skew_seconds)
}

/// Adds CRLs about signers of answers and the CAs above them, as devid_validator_add_crls().
///
/// @param crls      Any number: DER, PEM or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_signer_crls(config: &mut devid_config, crls: &[u8]) -> Result<(), Error> {
    Ok(config.config.signer_status.add_crls(Arc::new(crls.to_vec()))?)
}

/// Adds OCSP responses about signers of answers, as devid_validator_add_ocsp().
///
/// @param response      Any number: DER or PEM. Not NULL.
/// @return DEVID_OK; DEVID_E_DER.
#[export]
fn devid_config_add_signer_ocsp(config: &mut devid_config, response: &[u8]) -> Result<(), Error> {
    Ok(config.config.signer_status.add_ocsp(response)?)
}

/// Asks device memory about signers of answers and TLS servers: who was revoked before, the CRLs that it keeps at that moment, and the
/// highest CRL numbers seen, so that an older list cannot be played back. What is bound to a device memory asks that by itself:
/// devid_op_install_into(), devid_op_resume(), devid_renewal_run().
///
/// @param store   Used as long as clients made with these settings are. Not NULL.
#[export]
fn devid_config_set_signer_store(config: &mut devid_config, store: &devid_store) -> Result<(), Error> {
    config.config.use_signer_store(store);
    Ok(())
}

/// Adds a field to generalInfo of requests (RFC 9810 section 5.1.1), such as a vendor's. Profile, implicitConfirm and what else this
/// library sets by itself have functions of their own.
///
/// @param identifier  infoType in dotted form. Not NULL.
/// @param value       infoValue, DER. NULL: none. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_DER if the value is not one element of DER.
#[export]
fn devid_config_add_general_info(
    config: &mut devid_config,
    identifier: &str,
    value: Option<&[u8]>,
) -> Result<(), Error> {
    let info_type =
        Oid::new(identifier).map_err(|_| invalid(format!("\"{identifier}\" is not an object identifier")))?;
    config.config.add_general_info(info_type, value.unwrap_or_default())
}

/// Whether requests say when they were made (messageTime). For devices without a clock: a wrong time is worse than none.
///
/// @param on      1 yes (the default), 0 no.
#[export]
fn devid_config_set_message_time(config: &mut devid_config, on: bool) -> Result<(), Error> {
    config.config.send_message_time = on;
    Ok(())
}

/// Only these certificates may sign answers: an RA's, known from a file or from the CA. They still need a valid path to the
/// CMP anchors; one that has none is added to the anchors as well. What devid_config_set_signer() says holds besides; further
/// calls add certificates.
///
/// @param data      Certificates, DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_config_add_signer_pins(config: &mut devid_config, data: &[u8]) -> Result<(), Error> {
    config.config.pin_signers(held_certificates(data, ReadAs::Anchors)?.all);
    Ok(())
}
