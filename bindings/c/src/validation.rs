//! Validation: what to check, and with which data.

use std::sync::Arc;

use super::args::choice;
use super::prelude::*;
use devid_core::asn1::oid::Oid;
use devid_core::client::certificates::certificates_from_bytes;
use devid_core::client::subject::purpose_oid;
use devid_core::client::validator::Validator;
use devid_core::validation::{KeyUsage, NameCheck, PeerName, Profile, Purpose};
use devid_core::validation::{RevocationMode, RevocationScope, StatusPreference};

/// What is checked, and the data to check it with. Once set up it may be shared by threads as const.
#[handle]
pub type devid_validator = Validator;

/// Revocation is not checked. Neither 0 nor 1, which forgotten or ill-typed arguments are.
pub const DEVID_REVOCATION_OFF: i32 = 4;
/// A certificate whose status is not known is taken, and the report says so.
pub const DEVID_REVOCATION_SOFT: i32 = 2;
/// A certificate whose status is not known is refused.
pub const DEVID_REVOCATION_HARD: i32 = 3;
choice!("DEVID_REVOCATION_*": RevocationMode {
    DEVID_REVOCATION_OFF => Off, DEVID_REVOCATION_SOFT => SoftFail, DEVID_REVOCATION_HARD => HardFail
});

/// Only the certificate that is asked about needs a status.
pub const DEVID_SCOPE_LEAF: i32 = 1;
/// All certificates below the anchor need a status.
pub const DEVID_SCOPE_CHAIN: i32 = 2;
choice!("DEVID_SCOPE_*": RevocationScope { DEVID_SCOPE_LEAF => LeafOnly, DEVID_SCOPE_CHAIN => WholeChain });

/// OCSP speaks first where both have an answer.
pub const DEVID_PREFER_OCSP: i32 = 1;
/// CRLs speak first where both have an answer.
pub const DEVID_PREFER_CRL: i32 = 2;
choice!("DEVID_PREFER_*": StatusPreference { DEVID_PREFER_OCSP => Ocsp, DEVID_PREFER_CRL => Crl });

/// What RFC 5280 section 6.1 asks of a validator.
pub const DEVID_PROFILE_DEFAULT: i32 = 1;
/// Also what RFC 5280 section 4 asks of issuers.
pub const DEVID_PROFILE_STRICT: i32 = 2;
choice!("DEVID_PROFILE_*": Profile { DEVID_PROFILE_DEFAULT => Default, DEVID_PROFILE_STRICT => Strict });

/// A DNS name; wildcards in the certificate as in RFC 9525.
pub const DEVID_NAME_DNS: i32 = 1;
/// An IP address.
pub const DEVID_NAME_IP: i32 = 2;
/// An e-mail address.
pub const DEVID_NAME_EMAIL: i32 = 3;
/// A URI.
pub const DEVID_NAME_URI: i32 = 4;

/// A validator with a copy of the anchors. Before it is used, it must be told what the certificates are to be for
/// (devid_validator_add_purpose() or devid_validator_set_any_purpose()) and which names they must carry
/// (devid_validator_add_name() or devid_validator_set_any_name()).
///
/// @param out_validator  Receives the validator; free with devid_validator_free(). Not NULL.
#[export]
fn devid_validator_new(trust: &devid_trust) -> Result<devid_validator, Error> {
    Ok(Validator::new(trust.clone()))
}

/// Adds certificates that may stand between others and an anchor, in any order. They are not trusted.
///
/// @param data       Certificates: DER (one), PEM (any number) or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_validator_add_intermediates(validator: &mut devid_validator, data: &[u8]) -> Result<(), Error> {
    validator.pool.extend(certificates_from_bytes(data)?);
    Ok(())
}

/// Adds CRLs, complete and delta, in any order. They are believed only as far as they prove themselves. One that cannot be read beside
/// others may revoke: the status is not known then, and the report says why.
///
/// @param data       CRLs, any number: DER, PEM or PKCS#7. Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM.
#[export]
fn devid_validator_add_crls(validator: &mut devid_validator, data: &[u8]) -> Result<(), Error> {
    Ok(validator.status.add_crls(Arc::new(data.to_vec()))?)
}

/// Adds OCSP responses: stapled by the peer, fetched, or of a file. They are believed only as far as they prove themselves, and one that
/// cannot be read beside others is as a CRL that cannot be.
///
/// @param data       Responses, any number: DER or PEM. One, if there is a request. Not NULL.
/// @param request    The request it answers, whose nonce it must carry; NULL for others. May be NULL.
/// @return DEVID_OK; DEVID_E_DER; DEVID_E_NONCE.
#[export]
fn devid_validator_add_ocsp(
    validator: &mut devid_validator,
    data: &[u8],
    request: Option<&devid_ocsp_request>,
) -> Result<(), Error> {
    match request {
        Some(request) => validator.status.ocsp.push(Arc::new(request.read_response(data)?)),
        None => validator.status.add_ocsp(data)?,
    }
    Ok(())
}

/// Forgets all CRLs and OCSP responses, to make room for newer ones. Device memory keeps what it has.
#[export]
fn devid_validator_clear_status(validator: &mut devid_validator) -> Result<(), Error> {
    validator.clear_status();
    Ok(())
}

/// Adds a purpose that the certificate must be for (extended key usage); all of them must be there.
///
/// @param purpose    Such as "serverAuth" or "clientAuth", or an identifier such as "1.3.6.1.5.5.7.3.1". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_add_purpose(validator: &mut devid_validator, purpose: &str) -> Result<(), Error> {
    validator.add_purpose(purpose_oid(purpose)?);
    Ok(())
}

/// Any purpose will do: there is a reason not to ask.
#[export]
fn devid_validator_set_any_purpose(validator: &mut devid_validator) -> Result<(), Error> {
    validator.purpose = Some(Purpose::Any);
    Ok(())
}

/// Adds a name that the certificate must carry in its subjectAltName (RFC 9525); all of them must be there. The common name
/// is never looked at.
///
/// @param kind       One of DEVID_NAME_*.
/// @param name       The name. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_add_name(validator: &mut devid_validator, kind: i32, name: &str) -> Result<(), Error> {
    let name = match kind {
        DEVID_NAME_DNS => PeerName::Dns(name.to_owned()),
        DEVID_NAME_IP => PeerName::Ip(name.parse().map_err(|_| invalid(format!("'{name}' is not an IP address")))?),
        DEVID_NAME_EMAIL => PeerName::Email(name.to_owned()),
        DEVID_NAME_URI => PeerName::Uri(name.to_owned()),
        other => return Err(invalid(format!("{other} is none of DEVID_NAME_*"))),
    };
    validator.add_name(name);
    Ok(())
}

/// Any name will do: the program knows its peer otherwise.
#[export]
fn devid_validator_set_any_name(validator: &mut devid_validator) -> Result<(), Error> {
    validator.names = Some(NameCheck::NotChecked);
    Ok(())
}

/// Adds a use of the key that the certificate must allow (RFC 5280 section 4.2.1.3).
///
/// @param usage      Such as "digitalSignature". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_add_key_usage(validator: &mut devid_validator, usage: &str) -> Result<(), Error> {
    let usage =
        KeyUsage::from_name(usage).ok_or_else(|| invalid(format!("'{usage}' is not a key usage of RFC 5280")))?;
    validator.checks.key_usages.push(usage);
    Ok(())
}

/// How revocation is checked. Whoever is revoked by what is at hand, or known to be by device memory, is refused in every mode.
///
/// @param mode       One of DEVID_REVOCATION_*; DEVID_REVOCATION_OFF is the default: no status is wanted.
/// @param scope      One of DEVID_SCOPE_*; DEVID_SCOPE_CHAIN is the default.
/// @param prefer     One of DEVID_PREFER_*; DEVID_PREFER_OCSP is the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_revocation(
    validator: &mut devid_validator,
    mode: RevocationMode,
    scope: RevocationScope,
    prefer: StatusPreference,
) -> Result<(), Error> {
    let policy = &mut validator.checks.revocation;
    (policy.mode, policy.scope, policy.prefer) = (mode, scope, prefer);
    Ok(())
}

/// Seconds, or -1 for none.
pub(super) fn age(seconds: i64) -> Result<Option<u32>, Error> {
    match seconds {
        -1 => Ok(None),
        age => Ok(Some(u32::try_from(age).map_err(|_| invalid(format!("max_age_seconds: an age of {age} seconds")))?)),
    }
}

/// How old status data may be.
///
/// @param max_age_seconds  Oldest accepted, from its thisUpdate; -1: until its nextUpdate (the default).
/// @param grace_seconds   How long after nextUpdate it may still be used, up to 366 days; 0 is the default.
/// @param skew_seconds    How far in the future thisUpdate may lie, up to a day; 300 is the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_status_age(
    validator: &mut devid_validator,
    max_age_seconds: i64,
    grace_seconds: u32,
    skew_seconds: u32,
) -> Result<(), Error> {
    validator.checks.revocation.set_age(age(max_age_seconds)?, grace_seconds, skew_seconds)
}

/// How much is demanded of issuers.
///
/// @param profile    DEVID_PROFILE_DEFAULT (the default) or DEVID_PROFILE_STRICT.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_profile(validator: &mut devid_validator, profile: Profile) -> Result<(), Error> {
    validator.checks.profile = profile;
    Ok(())
}

/// Accept SHA-1 signatures and RSA keys below 2048 bits. For old CAs only.
///
/// @param on         1 yes, 0 no (the default).
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_allow_weak(validator: &mut devid_validator, on: bool) -> Result<(), Error> {
    validator.checks.allow_weak = on;
    Ok(())
}

/// Accept DNS name constraints with a dot in front, as some private CAs write them.
///
/// @param on         1 yes, 0 no (the default).
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_allow_dotted_dns(validator: &mut devid_validator, on: bool) -> Result<(), Error> {
    validator.checks.allow_dotted_dns_constraints = on;
    Ok(())
}

/// Sets how much work one validation may take, whatever certificates it is given. Each default ends well below 0.2 s on a small
/// device; reaching one is DEVID_E_BUDGET, no verdict.
///
/// @param name   "signatures" (100), "name_comparisons" (250000), "steps" (50000), "depth": certificates between the one that is
///               asked about and the anchor (16), "certificates": given ones (1000). Not NULL.
/// @param value  From 1.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown name or a value out of range.
#[export]
fn devid_validator_set_budget(validator: &mut devid_validator, name: &str, value: u32) -> Result<(), Error> {
    if value == 0 {
        return Err(invalid(format!("a budget of 0 for {name}: nothing could be validated")));
    }
    let budget = &mut validator.checks.budget;
    match name {
        "signatures" => budget.signatures = value,
        "name_comparisons" => budget.name_comparisons = value,
        "steps" => budget.steps = value,
        "depth" => budget.depth = value as usize,
        "certificates" => budget.certificates = value as usize,
        other => return Err(invalid(format!("'{other}' is not a budget of a validation"))),
    }
    Ok(())
}

/// Adds a certificate policy to those that are acceptable (user-initial-policy-set, RFC 5280 section 6.1.1). Without any, all
/// are.
///
/// @param policy     Such as "2.16.840.1.101.3.2.1.48.1". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_add_policy(validator: &mut devid_validator, policy: &str) -> Result<(), Error> {
    let policy: Oid = policy.parse().map_err(|_| invalid(format!("'{policy}' is not an object identifier")))?;
    validator.checks.policy.initial_set.push(policy);
    Ok(())
}

/// The switches of policy processing (RFC 5280 section 6.1.1 (e) to (g)).
///
/// @param require_explicit  1: the path must be valid for an acceptable policy; 0 is the default.
/// @param inhibit_mapping   1: policies are not mapped; 0 is the default.
/// @param inhibit_any       1: anyPolicy counts for nothing; 0 is the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_policy_rules(
    validator: &mut devid_validator,
    require_explicit: bool,
    inhibit_mapping: bool,
    inhibit_any: bool,
) -> Result<(), Error> {
    let rules = (require_explicit, inhibit_mapping, inhibit_any);
    let policy = &mut validator.checks.policy;
    (policy.require_explicit, policy.inhibit_mapping, policy.inhibit_any) = rules;
    Ok(())
}

/// Most CA certificates between the certificate and the anchor; self-issued ones do not count.
///
/// @param count      -1: only the limits on work count (the default).
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_validator_set_max_intermediates(validator: &mut devid_validator, count: i32) -> Result<(), Error> {
    validator.checks.max_intermediates = match count {
        -1 => None,
        count => Some(usize::try_from(count).map_err(|_| invalid(format!("{count} intermediates")))?),
    };
    Ok(())
}

/// Until when keys of validated peers may be used at most, whatever certificates and status data say.
///
/// @param until      Last second, since 1970-01-01T00:00:00Z; -1: no bound of one's own (the default).
#[export]
fn devid_validator_set_use_until(validator: &mut devid_validator, until: i64) -> Result<(), Error> {
    validator.use_until = (until != -1).then(|| Time::from_unix(until));
    Ok(())
}

/// Frees a validator. Reports and peers made with it go on.
#[export]
fn devid_validator_free(validator: Owned<devid_validator>) {
    drop(validator)
}
