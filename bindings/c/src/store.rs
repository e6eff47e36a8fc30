//! Device memory: identities (key, certificate, chain) in generations, switched as one; pending keys, saved operations, anchors.

use std::ffi::c_char;
use std::sync::Arc;

use super::args::{Handle, Slot, bytes_in, bytes_in_opt, free, handle, handle_ref, out, out_opt, text_in, text_in_opt};
use super::bytes::devid_bytes;
use super::cert::{devid_cert, devid_cert_list};
use super::config::{invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::identity::{devid_identity, signer};
use super::key::devid_key;
use super::storage::constant_secret;
use devid_core::cmp::Signer;
use devid_core::crypto::{PrivateKey, default_provider};
use devid_core::store::{AnchorSet, Identity, KeyReference, NewIdentity, NewKey, Store, StoreError, StoreOptions};
use devid_core::{Code, Error, Time};

/// Device memory. May be shared by threads as const, and used by several processes: calls that change something take a lock.
///
/// Names of identities, labels and operations are 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot or a dash.
#[allow(non_camel_case_types)]
pub struct devid_store(Slot<Arc<Store>>);
handle!(devid_store: Arc<Store>);

/// Opens device memory in a directory, which is created if it is missing.
///
/// @param path        The directory; its parent must exist. Not NULL.
/// @param secret      Encrypts private keys at rest, such as a device-unique key. NULL: keys are plain files, readable by the
///                    owner alone. May be NULL.
/// @param secret_len  Length of `secret` in bytes.
/// @param out_store   Receives the store; free with devid_store_free(). Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_PERMISSION, DEVID_E_IO, DEVID_E_UNSUPPORTED on systems without such a store.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_open_dir(
    path: *const c_char,
    secret: *const u8,
    secret_len: usize,
    out_store: *mut *mut devid_store,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_store, path, secret) = unsafe {
            (out(out_store, "out_store")?, text_in(path, "path")?, bytes_in_opt(secret, secret_len, "secret")?)
        };
        let mut options = StoreOptions::default();
        if let Some(secret) = secret {
            options.key_secret = Some(constant_secret(secret));
        }
        #[cfg(unix)]
        {
            *out_store = devid_store::into_raw(Arc::new(Store::open_directory(path, default_provider(), options)?));
            Ok(())
        }
        #[cfg(not(unix))]
        {
            let _ = (out_store, path, options);
            Err(Error::new(Code::Unsupported, "there is no directory store for this system"))
        }
    })
}

/// Installs an identity: checks it, writes it as a new generation, reads it back and switches to it in one atomic step. The
/// generation that was in use becomes the previous one. On any failure the identity in use is the one from before, whole.
///
/// @param store      Not NULL.
/// @param name       The identity's name, such as "router". Not NULL.
/// @param key        Its private key. Not NULL.
/// @param reference  For a key that cannot be exported: words by which the program finds it again. NULL: its own, see
///                   devid_key_reference(). May be NULL.
/// @param cert       Its certificate; validated by the caller. Not NULL.
/// @param chain      The certificates above, nearest first. NULL: none. May be NULL.
/// @param purpose    What it is for, such as "ldevid". Not NULL.
/// @param now        The present, in seconds since 1970-01-01T00:00:00Z.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH, DEVID_E_VERIFY_AFTER_WRITE, DEVID_E_LOCKED, DEVID_E_FULL, DEVID_E_IO.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_install(
    store: *const devid_store,
    name: *const c_char,
    key: *const devid_key,
    reference: *const c_char,
    cert: *const devid_cert,
    chain: *const devid_cert_list,
    purpose: *const c_char,
    now: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { put(store, name, key, reference, cert, chain, purpose, now, err, Store::install) }
}

/// The first half of devid_store_install(): everything but the switch. For a certificate that is issued and not confirmed yet;
/// it survives a reboot.
///
/// @param store      Not NULL.
/// @param name       As devid_store_install(). Not NULL.
/// @param key        Its private key. Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @param cert       Its certificate; validated by the caller. Not NULL.
/// @param chain      The certificates above, nearest first. NULL: none. May be NULL.
/// @param purpose    What it is for, such as "ldevid". Not NULL.
/// @param now        The present, in seconds since 1970-01-01T00:00:00Z.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return As devid_store_install(); DEVID_E_EXISTS if another one is waiting already.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_stage(
    store: *const devid_store,
    name: *const c_char,
    key: *const devid_key,
    reference: *const c_char,
    cert: *const devid_cert,
    chain: *const devid_cert_list,
    purpose: *const c_char,
    now: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { put(store, name, key, reference, cert, chain, purpose, now, err, Store::stage) }
}

/// The second half: the staged generation comes into use in one atomic step.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if nothing is staged.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_promote(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, name, err, |store, name| store.promote(name).map(|_| ())) }
}

/// Drops the staged generation.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if nothing is staged.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_discard(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, name, err, Store::discard) }
}

/// Back to the previous generation in one atomic step; a second call undoes the first.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if there is no previous generation.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_rollback(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, name, err, |store, name| store.rollback(name).map(|_| ())) }
}

/// Removes an identity with all its generations.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_remove(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, name, err, Store::remove_identity) }
}

/// The identity in use, read and checked.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND; DEVID_E_CORRUPT and others if it is damaged, see devid_store_last_good().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_current(
    store: *const devid_store,
    name: *const c_char,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { look_up(store, name, out_identity, err, Store::current) }
}

/// The generation before the one in use.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_previous(
    store: *const devid_store,
    name: *const c_char,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { look_up(store, name, out_identity, err, Store::previous) }
}

/// The staged generation.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_pending(
    store: *const devid_store,
    name: *const c_char,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { look_up(store, name, out_identity, err, Store::pending) }
}

/// The identity in use or, if it is damaged, the best one there is.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @param out_damaged   Receives 1 if the one in use is damaged, else 0. May be NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, or what is wrong if no generation is whole.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_last_good(
    store: *const devid_store,
    name: *const c_char,
    out_identity: *mut *mut devid_identity,
    out_damaged: *mut i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_damaged, out_identity, store, name) = unsafe {
            (
                out_opt(out_damaged),
                out(out_identity, "out_identity")?,
                handle_ref(store, "store")?,
                text_in(name, "name")?,
            )
        };
        let (identity, damage) = store.last_good(name)?;
        *out_identity = devid_identity::of(identity, &store);
        if let Some(out_damaged) = out_damaged {
            *out_damaged = i32::from(damage.is_some());
        }
        Ok(())
    })
}

/// The names of all identities.
///
/// @param store      Not NULL.
/// @param out_names  Receives the names as text, sorted, each followed by a line feed; free with devid_bytes_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_identities(
    store: *const devid_store,
    out_names: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_names, store) = unsafe { (out(out_names, "out_names")?, handle_ref(store, "store")?) };
        *out_names = devid_bytes::from_slice(lines(&store.identities()?).as_bytes());
        Ok(())
    })
}

/// Looks everything over, and on request puts right what can be without guessing.
///
/// @param store         Not NULL.
/// @param mend          1: put right; 0: change nothing.
/// @param out_problems  Receives a line of text for each problem found; free with devid_bytes_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK, also if problems were found; or a failure to look.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_verify(
    store: *const devid_store,
    mend: i32,
    out_problems: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_problems, store) = unsafe { (out(out_problems, "out_problems")?, handle_ref(store, "store")?) };
        let problems = if switch(mend)? { store.repair()? } else { store.verify()? };
        let mended = |is_mended| if is_mended { " (put right)" } else { "" };
        let texts: Vec<_> =
            problems.iter().map(|p| format!("{}: {}{}", p.place, p.text, mended(p.is_mended))).collect();
        *out_problems = devid_bytes::from_slice(lines(&texts).as_bytes());
        Ok(())
    })
}

/// Keeps a new key whose certificate has not come yet, so that it survives a reboot.
///
/// @param store      Not NULL.
/// @param label      Its label. Not NULL.
/// @param key        Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_EXISTS.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_pending_key(
    store: *const devid_store,
    label: *const c_char,
    key: *const devid_key,
    reference: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, label, key, reference) = unsafe {
            (
                handle_ref(store, "store")?,
                text_in(label, "label")?,
                handle_ref(key, "key")?,
                text_in_opt(reference, "reference")?,
            )
        };
        let reference = key_reference(&key.signer, reference)?;
        Ok(store.put_pending_key(label, &new_key(&key.signer, reference.as_ref()))?)
    })
}

/// A key that is waiting for its certificate.
///
/// @param store    Not NULL.
/// @param label    Its label. Not NULL.
/// @param out_key  Receives the key, or a deferred one if it cannot be exported; free with devid_key_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_pending_key(
    store: *const devid_store,
    label: *const c_char,
    out_key: *mut *mut devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_key, store, label) =
            unsafe { (out(out_key, "out_key")?, handle_ref(store, "store")?, text_in(label, "label")?) };
        *out_key = devid_key::of_signer(signer(store.key_opener().as_ref(), &store.pending_key(label)?.key)?);
        Ok(())
    })
}

/// Removes a key that was waiting: its identity is installed, or given up.
///
/// @param store  Not NULL.
/// @param label  Its label. Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_remove_pending_key(
    store: *const devid_store,
    label: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, label, err, Store::remove_pending_key) }
}

/// Keeps a saved operation under a name; an earlier one of that name is replaced.
///
/// @param store      Not NULL.
/// @param name       Not NULL.
/// @param saved      What devid_op_save() gave. Not NULL.
/// @param saved_len  Length of `saved` in bytes.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_operation(
    store: *const devid_store,
    name: *const c_char,
    saved: *const u8,
    saved_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, name, saved) =
            unsafe { (handle_ref(store, "store")?, text_in(name, "name")?, bytes_in(saved, saved_len, "saved")?) };
        Ok(store.save_operation(name, saved)?)
    })
}

/// A saved operation, for devid_op_restore().
///
/// @param store      Not NULL.
/// @param name       Not NULL.
/// @param out_saved  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_CORRUPT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_operation(
    store: *const devid_store,
    name: *const c_char,
    out_saved: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_saved, store, name) =
            unsafe { (out(out_saved, "out_saved")?, handle_ref(store, "store")?, text_in(name, "name")?) };
        *out_saved = devid_bytes::from_slice(&store.load_operation(name)?);
        Ok(())
    })
}

/// Removes a saved operation.
///
/// @param store  Not NULL.
/// @param name   Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_remove_operation(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe { by_name(store, name, err, Store::remove_operation) }
}

/// Keeps the trust anchors for one use; earlier ones are replaced.
///
/// @param store  Not NULL.
/// @param use_for  "cmp", "enrolment", "tls" or "peer". Not NULL.
/// @param certs  Not NULL.
/// @param err    Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for another use.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_anchors(
    store: *const devid_store,
    use_for: *const c_char,
    certs: *const devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, use_for, certs) =
            unsafe { (handle_ref(store, "store")?, text_in(use_for, "use_for")?, handle_ref(certs, "certs")?) };
        Ok(store.set_anchors(anchor_set(use_for)?, &certs)?)
    })
}

/// The trust anchors kept for one use.
///
/// @param store      Not NULL.
/// @param use_for    "cmp", "enrolment", "tls" or "peer". Not NULL.
/// @param out_certs  Receives the list, perhaps an empty one; free with devid_cert_list_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for another use; DEVID_E_CORRUPT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_anchors(
    store: *const devid_store,
    use_for: *const c_char,
    out_certs: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_certs, store, use_for) =
            unsafe { (out(out_certs, "out_certs")?, handle_ref(store, "store")?, text_in(use_for, "use_for")?) };
        *out_certs = devid_cert_list::into_raw(store.anchors(anchor_set(use_for)?)?);
        Ok(())
    })
}

/// Closes device memory. What was read from it stays.
///
/// @param store  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_free(store: *mut devid_store) {
    // SAFETY: as the header says.
    unsafe { free(store) }
}

/// # Safety
/// As the functions that pass their arguments here.
#[allow(clippy::too_many_arguments, reason = "the arguments of the C functions that share it")]
unsafe fn put(
    store: *const devid_store,
    name: *const c_char,
    key: *const devid_key,
    reference: *const c_char,
    cert: *const devid_cert,
    chain: *const devid_cert_list,
    purpose: *const c_char,
    now: i64,
    err: *mut *mut devid_error,
    put: impl FnOnce(&Store, &str, &NewIdentity<'_>) -> Result<Identity, StoreError>,
) -> devid_status {
    guard(err, || {
        // SAFETY: by the caller's promise.
        let (store, name, key, reference, cert, chain, purpose) = unsafe {
            (
                handle_ref(store, "store")?,
                text_in(name, "name")?,
                handle_ref(key, "key")?,
                text_in_opt(reference, "reference")?,
                handle_ref(cert, "cert")?,
                if chain.is_null() { None } else { Some(handle_ref(chain, "chain")?) },
                text_in(purpose, "purpose")?,
            )
        };
        let reference = key_reference(&key.signer, reference)?;
        let new = NewIdentity {
            key: new_key(&key.signer, reference.as_ref()),
            certificate: &cert.certificate,
            chain: chain.as_ref().map_or(&[], |chain| &chain[..]),
            purpose,
            at: Time::from_unix(now),
        };
        put(&store, name, &new)?;
        Ok(())
    })
}

/// # Safety
/// As the functions that pass their arguments here.
unsafe fn by_name(
    store: *const devid_store,
    name: *const c_char,
    err: *mut *mut devid_error,
    call: impl FnOnce(&Store, &str) -> Result<(), StoreError>,
) -> devid_status {
    guard(err, || {
        // SAFETY: by the caller's promise.
        let (store, name) = unsafe { (handle_ref(store, "store")?, text_in(name, "name")?) };
        Ok(call(&store, name)?)
    })
}

/// # Safety
/// As the functions that pass their arguments here.
unsafe fn look_up(
    store: *const devid_store,
    name: *const c_char,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
    find: impl FnOnce(&Store, &str) -> Result<Identity, StoreError>,
) -> devid_status {
    guard(err, || {
        // SAFETY: by the caller's promise.
        let (out_identity, store, name) =
            unsafe { (out(out_identity, "out_identity")?, handle_ref(store, "store")?, text_in(name, "name")?) };
        *out_identity = devid_identity::of(find(&store, name)?, &store);
        Ok(())
    })
}

/// Where a key is that does not leave its home; `None` for one that does.
pub(super) fn key_reference(signer: &Signer, reference: Option<&str>) -> Result<Option<KeyReference>, Error> {
    let exportable = matches!(signer, Signer::Key(key) if key.to_pkcs8().is_some());
    let own = match signer {
        Signer::Key(key) => key.reference(),
        Signer::Deferred { .. } => None,
    };
    match (exportable, reference.or(own)) {
        (true, _) => Ok(None),
        (false, Some(reference)) => {
            Ok(Some(KeyReference { reference: reference.to_owned(), spki: signer.spki().to_vec() }))
        }
        (false, None) => Err(invalid("a key that cannot be exported needs a reference".to_owned())),
    }
}

pub(super) fn new_key<'a>(signer: &'a Signer, reference: Option<&'a KeyReference>) -> NewKey<'a> {
    match (signer, reference) {
        (_, Some(reference)) => NewKey::External(reference),
        (Signer::Key(key), None) => NewKey::Held(&**key as &dyn PrivateKey),
        (Signer::Deferred { .. }, None) => unreachable!("a deferred key has a reference by now"),
    }
}

pub(super) fn anchor_set(name: &str) -> Result<AnchorSet, Error> {
    let found = AnchorSet::ALL.into_iter().find(|set| set.name() == name);
    found.ok_or_else(|| Error::new(Code::InvalidArgument, format!("'{name}' is no use of anchors such as 'peer'")))
}

fn lines(texts: &[String]) -> String {
    texts.iter().flat_map(|text| [text, "\n"]).collect()
}
