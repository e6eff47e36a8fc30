//! An identity as device memory keeps it: one generation of key, certificate and chain.

use std::ffi::{CString, c_char};

use super::args::{Handle, Slot, c_text, free, handle, handle_ref, out, peek};
use super::cert::{devid_cert, devid_cert_list};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::devid_key;
use devid_core::Error;
use devid_core::cmp::Signer;
use devid_core::store::{Identity, IdentityKey, KeyOpener, Store, open_key};

/// One generation of an identity: key, certificate and chain. Never changes.
#[allow(non_camel_case_types)]
pub struct devid_identity(Slot<Kept>);
handle!(devid_identity: Kept);

#[doc(hidden)]
pub struct Kept {
    identity: Identity,
    opener: Option<KeyOpener>,
    purpose: CString,
    reference: CString,
}

impl devid_identity {
    pub(super) fn of(identity: Identity, store: &Store) -> *mut devid_identity {
        let reference = match &identity.key {
            IdentityKey::Held(_) => "",
            IdentityKey::External(reference) => &reference.reference,
        };
        let (purpose, reference) = (c_text(&identity.purpose), c_text(reference));
        Self::into_raw(Kept { opener: store.key_opener(), purpose, reference, identity })
    }
}

/// An identity's private key.
///
/// @param identity  Not NULL.
/// @param out_key   Receives the key, or a deferred one if device memory does not hold it and does not open it either, see
///                  devid_store_use_pkcs11(); free with devid_key_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_key(
    identity: *const devid_identity,
    out_key: *mut *mut devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_key, kept) = unsafe { (out(out_key, "out_key")?, handle_ref(identity, "identity")?) };
        *out_key = devid_key::of_signer(signer(kept.opener.as_ref(), &kept.identity.key)?);
        Ok(())
    })
}

/// The words by which a key that device memory does not hold is found.
///
/// @param identity  May be NULL (gives "").
/// @return "" if device memory holds the key; valid until the identity is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_key_reference(identity: *const devid_identity) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(identity, c"".as_ptr(), |i| i.reference.as_ptr()) }
}

/// An identity's certificate.
///
/// @param identity  Not NULL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_certificate(
    identity: *const devid_identity,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, kept) = unsafe { (out(out_cert, "out_cert")?, handle_ref(identity, "identity")?) };
        *out_cert = devid_cert::of(kept.identity.certificate.clone());
        Ok(())
    })
}

/// An identity's certificate and those above it: the certificate first. As devid_config_set_credential() takes it.
///
/// @param identity   Not NULL.
/// @param out_chain  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_chain(
    identity: *const devid_identity,
    out_chain: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_chain, kept) = unsafe { (out(out_chain, "out_chain")?, handle_ref(identity, "identity")?) };
        let identity = &kept.identity;
        let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
        *out_chain = devid_cert_list::into_raw(chain);
        Ok(())
    })
}

/// The number of an identity's generation; it counts up with each installation.
///
/// @param identity  May be NULL (gives 0).
/// @return From 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_generation(identity: *const devid_identity) -> u32 {
    // SAFETY: as the header says.
    unsafe { peek(identity, 0, |i| i.identity.generation) }
}

/// What an identity is for, such as "ldevid".
///
/// @param identity  May be NULL (gives "").
/// @return Never NULL; valid until the identity is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_purpose(identity: *const devid_identity) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(identity, c"".as_ptr(), |i| i.purpose.as_ptr()) }
}

/// When an identity was installed, by the clock of who did it.
///
/// @param identity  May be NULL (gives 0).
/// @return Seconds since 1970-01-01T00:00:00Z.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_created(identity: *const devid_identity) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(identity, 0, |i| i.identity.created.unix()) }
}

/// Frees an identity; device memory keeps it.
///
/// @param identity  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_identity_free(identity: *mut devid_identity) {
    // SAFETY: as the header says.
    unsafe { free(identity) }
}

pub(super) fn signer(opener: Option<&KeyOpener>, key: &IdentityKey) -> Result<Signer, Error> {
    match open_key(opener, key)? {
        Some(key) => Ok(Signer::Key(key)),
        None => Signer::deferred(key.spki().to_vec()),
    }
}
