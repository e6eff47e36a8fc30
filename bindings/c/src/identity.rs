//! An identity as device memory keeps it: one generation of key, certificate and chain.

use super::args::c_text;
use super::prelude::*;
use super::texts::Text;
use devid_core::cmp::Difference;
use devid_core::store::{Identity, KeyOpener, Store, usable_key};

/// One generation of an identity: key, certificate and chain. Never changes.
#[handle]
pub type devid_identity = Kept;

#[doc(hidden)]
pub struct Kept {
    identity: Identity,
    opener: Option<KeyOpener>,
    purpose: CString,
    reference: CString,
    differences: Vec<Difference>,
    difference_words: Text,
    warnings: CString,
}

impl devid_identity {
    pub(super) fn of(identity: Identity, store: &Store) -> devid_identity {
        let (purpose, reference) = (c_text(&identity.purpose), c_text(identity.key.reference().unwrap_or_default()));
        let warnings = c_text(&devid_core::client::warnings_of(&identity).join("\n"));
        let (differences, difference_words) = (Vec::new(), Text::default());
        Kept { opener: store.key_opener(), purpose, reference, differences, difference_words, warnings, identity }
    }

    /// One that was just imported, with what in it is not as it was asked for.
    pub(super) fn imported(identity: Identity, store: &Store, differences: &[Difference]) -> devid_identity {
        Kept { differences: differences.to_vec(), ..devid_identity::of(identity, store) }
    }

    pub(super) fn differences(&self) -> &[Difference] {
        &self.differences
    }
}

/// An identity's private key.
///
/// @param out_key   Receives the key, or a deferred one if device memory does not hold it and does not open it either, see
///                  devid_store_set_pkcs11(); free with devid_key_free(). Not NULL.
#[export]
fn devid_identity_key(identity: &devid_identity) -> Result<devid_key, Error> {
    Ok(devid_key::of_signer(usable_key(identity.opener.as_ref(), &identity.identity.key)?))
}

/// The reference by which a key that device memory does not hold is found.
///
/// @return "" if device memory holds the key; valid until the identity is freed.
#[export]
fn devid_identity_key_reference(identity: &devid_identity) -> &CStr {
    &identity.reference
}

/// An identity's certificate.
///
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
#[export]
fn devid_identity_certificate(identity: &devid_identity) -> Result<devid_cert, Error> {
    Ok(devid_cert::of(identity.identity.certificate.clone()))
}

/// An identity's certificate and those above it: the certificate first. As devid_config_set_credential() takes it.
///
/// @param out_chain  Receives the list; free with devid_cert_list_free(). Not NULL.
#[export]
fn devid_identity_chain(identity: &devid_identity) -> Result<devid_cert_list, Error> {
    let identity = &identity.identity;
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    Ok(chain)
}

/// The number of an identity's generation; it counts up with each installation.
///
/// @return From 1.
#[export]
fn devid_identity_generation(identity: &devid_identity) -> u32 {
    identity.identity.generation
}

/// What is not as it was asked for in a certificate that devid_store_import() or its kin has just taken: what the CA added, and
/// what else the policy takes. As devid_op_difference() has it for certificates that come by CMP.
///
/// @return Text, one difference in each line; "" if there is none, and for identities that come out of device memory; valid until the
///         identity is freed.
#[export]
fn devid_identity_differences(identity: &devid_identity) -> &CStr {
    let words = |all: &[Difference]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    identity.difference_words.get(|| words(&identity.differences))
}

/// What its owner should know although its certificates hold: where one of them names another issuer than the one above it, so that
/// some peers will not find that. As devid_op_warning() has it for certificates that come by CMP.
///
/// @return Text, one warning in each line; "" if there is none; valid until the identity is freed.
#[export]
fn devid_identity_warnings(identity: &devid_identity) -> &CStr {
    &identity.warnings
}

/// What an identity is for, such as "ldevid".
///
/// @return Never NULL; valid until the identity is freed.
#[export]
fn devid_identity_purpose(identity: &devid_identity) -> &CStr {
    &identity.purpose
}

/// When an identity was installed, by the clock of who did it.
///
/// @return Seconds since 1970-01-01T00:00:00Z.
#[export]
fn devid_identity_created(identity: &devid_identity) -> i64 {
    identity.identity.created.unix()
}

/// Frees an identity; device memory keeps it.
#[export]
fn devid_identity_free(identity: Owned<devid_identity>) {
    drop(identity)
}
