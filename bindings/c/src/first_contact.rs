//! First contact with a CA that nobody here knows: what it is like, a root by its fingerprint, requests as operators want them.

use super::bytes::devid_bytes;
use super::cert::devid_cert_list;
use super::identity::devid_identity;
use super::store::devid_store;
use super::subject::devid_subject;
use super::trust::devid_trust;
use devid_core::client::Import;
use devid_core::cmp::Acceptance;
use devid_core::{Error, Time};
use devid_macros::export;

/// Asks for no name at all, neither subject nor alternative name: the CA knows the device by its credential and chooses (3GPP TS
/// 33.310 section 9.5.4.2). Possession is then proved over who asks and the key (poposkInput, RFC 4211 section 4.1). For ir and cr.
///
/// @param subject  Without any name. Not NULL.
/// @return DEVID_OK.
#[export]
fn devid_subject_set_nameless(subject: &mut devid_subject) -> Result<(), Error> {
    *subject = subject.clone().nameless();
    Ok(())
}

/// Adds the control regToken: a one-time text that the CA gave to whoever may ask (RFC 4211 section 6.1).
///
/// @param subject  Not NULL.
/// @param text     Not NULL.
/// @return DEVID_OK.
#[export]
fn devid_subject_add_reg_token(subject: &mut devid_subject, text: &str) -> Result<(), Error> {
    *subject = subject.clone().reg_token(text);
    Ok(())
}

/// Adds the control authenticator: a text by which the CA knows who asks, again and again (RFC 4211 section 6.2).
///
/// @param subject  Not NULL.
/// @param text     Not NULL.
/// @return DEVID_OK.
#[export]
fn devid_subject_add_authenticator(subject: &mut devid_subject, text: &str) -> Result<(), Error> {
    *subject = subject.clone().authenticator(text);
    Ok(())
}

/// The URL of a CMP server by RFC 9483 section 6.1: "/.well-known/cmp" with "/p/" and a profile, and with the label of an operation,
/// where they are given. Labels are "initialization", "certification", "keyupdate", "pkcs10", "revocation", "getcacerts",
/// "getrootupdate", "getcertreqtemplate", "getcrls"; over CoAP (section 6.2) "ir", "cr", "kur", "p10", "rr", "crts", "rcu", "att",
/// "crls".
///
/// @param server     Scheme, host and port, such as "http://ca.example". Not NULL.
/// @param profile    The CA's name for a set of rules, one segment of a path. NULL: none. May be NULL.
/// @param operation  The label of an operation, one segment of a path. NULL: none. May be NULL.
/// @param out_url    Receives the URL; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_well_known_url(server: &str, profile: Option<&str>, operation: Option<&str>) -> Result<devid_bytes, Error> {
    let url = devid_core::transport::well_known_url(server, profile, operation)?;
    Ok(devid_bytes::from_slice(url.to_string().as_bytes()))
}

/// As devid_store_import(), with a policy on certificates that are not what was asked for.
///
/// @param store          Not NULL.
/// @param name           Looks at the pending key of this label only. NULL: at all of them. May be NULL.
/// @param data           As devid_store_import(). Not NULL.
/// @param anchors        Where the certificate must lead. Not NULL.
/// @param intermediates  Untrusted helpers for the path. NULL: none. May be NULL.
/// @param purpose        What the identity is for, such as "ldevid". Not NULL.
/// @param policy         "exact", "same-or-added", "any-order", "anything-but-the-key": see devid_config_set_acceptance(). Not NULL.
/// @param now            The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_name       Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity   Receives the identity; free with devid_identity_free(). May be NULL.
/// @return As devid_store_import(); DEVID_E_INVALID_ARGUMENT for an unknown policy.
#[export]
fn devid_store_import_by_policy(
    store: &devid_store,
    name: Option<&str>,
    data: &[u8],
    anchors: &devid_trust,
    intermediates: Option<&devid_cert_list>,
    purpose: &str,
    policy: &str,
    now: Time,
) -> Result<(devid_bytes, devid_identity), Error> {
    let intermediates = intermediates.map_or(&[][..], Vec::as_slice);
    let acceptance = Acceptance::named(policy)?;
    let import = Import { name, intermediates, acceptance, ..Import::new(store, anchors, purpose, now) };
    let (identity, differences) = import.run_telling(data)?;
    let name = devid_bytes::from_slice(identity.name.as_bytes());
    Ok((name, devid_identity::imported(identity, import.store, &differences)))
}
