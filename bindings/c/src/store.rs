//! Device memory: identities (key, certificate, chain) in generations, switched as one; pending keys, saved operations, anchors.

use std::sync::Arc;

use super::prelude::*;
use super::storage::{open_directory, sealed_by};
use devid_core::store::{AnchorSet, NewIdentity, NewKey, Store};

/// Device memory. May be shared by threads as const, and used by several processes: calls that change something take a lock.
///
/// Names of identities, labels and operations are 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot or a dash.
#[handle]
pub type devid_store = Arc<Store>;

/// Opens device memory in a directory, which is created if it is missing.
///
/// @param path        The directory; its parent must exist. Not NULL.
/// @param secret      Encrypts private keys at rest, such as a device-unique key. NULL: keys are plain files, readable by the
///                    owner alone. May be NULL.
/// @param out_store   Receives the store; free with devid_store_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_PERMISSION, DEVID_E_IO, DEVID_E_UNSUPPORTED on systems without such a store.
#[export]
fn devid_store_open_dir(path: &str, secret: Option<&[u8]>) -> Result<devid_store, Error> {
    open_directory(path, sealed_by(secret))
}

/// Installs an identity: checks it, writes it as a new generation, reads it back and switches to it in one atomic step. The
/// generation that was in use becomes the previous one. On any failure the identity in use is the one from before, whole.
///
/// @param store      Not NULL.
/// @param name       The identity's name, such as "router". Not NULL.
/// @param key        Its private key. Not NULL.
/// @param reference  For a key that cannot be exported: text by which the program finds it again. NULL: its own, see
///                   devid_key_reference(). May be NULL.
/// @param cert       Its certificate; validated by the caller. Not NULL.
/// @param issuers    The certificates above, nearest first; its own before them is passed over. NULL: none. May be NULL.
/// @param purpose    What it is for, such as "ldevid". Not NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH, DEVID_E_VERIFY_AFTER_WRITE, DEVID_E_LOCKED, DEVID_E_FULL, DEVID_E_IO.
#[export]
fn devid_store_install(
    store: &devid_store,
    name: &str,
    key: &devid_key,
    reference: Option<&str>,
    cert: &devid_cert,
    issuers: Option<&devid_cert_list>,
    purpose: &str,
    now: Time,
) -> Result<(), Error> {
    store.install(name, &new_identity(key, reference, cert, issuers, purpose, now)?)?;
    Ok(())
}

/// The first half of devid_store_install(): everything but the switch. For a certificate that is issued and not confirmed yet;
/// it survives a reboot.
///
/// @param store      Not NULL.
/// @param name       As devid_store_install(). Not NULL.
/// @param key        Its private key. Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @param cert       Its certificate; validated by the caller. Not NULL.
/// @param issuers    The certificates above, nearest first; its own before them is passed over. NULL: none. May be NULL.
/// @param purpose    What it is for, such as "ldevid". Not NULL.
/// @return As devid_store_install(); DEVID_E_EXISTS if another one is waiting already.
#[export]
fn devid_store_stage(
    store: &devid_store,
    name: &str,
    key: &devid_key,
    reference: Option<&str>,
    cert: &devid_cert,
    issuers: Option<&devid_cert_list>,
    purpose: &str,
    now: Time,
) -> Result<(), Error> {
    store.stage(name, &new_identity(key, reference, cert, issuers, purpose, now)?)?;
    Ok(())
}

/// The second half: the staged generation comes into use in one atomic step.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if nothing is staged.
#[export]
fn devid_store_promote(store: &devid_store, name: &str) -> Result<(), Error> {
    store.promote(name)?;
    Ok(())
}

/// Drops the staged generation.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if nothing is staged.
#[export]
fn devid_store_discard(store: &devid_store, name: &str) -> Result<(), Error> {
    Ok(store.discard(name)?)
}

/// Back to the previous generation in one atomic step; a second call undoes the first.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if there is no previous generation.
#[export]
fn devid_store_rollback(store: &devid_store, name: &str) -> Result<(), Error> {
    store.rollback(name)?;
    Ok(())
}

/// Removes an identity with all its generations, the request that is under way for it, the keys of both, and what was remembered about
/// it. Who is interrupted calls it again. Keys in tokens are not touched.
///
/// @param store  Not NULL.
/// @param name   The identity's name. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND; DEVID_E_LOCKED if somebody is in a conversation about it.
#[export]
fn devid_store_remove(store: &devid_store, name: &str) -> Result<(), Error> {
    Ok(store.remove_identity(name)?)
}

/// Ends the waits of this handle (2 s at most) for another process that changes the same device memory. For signal handling: called
/// from another thread; what waits fails with DEVID_E_LOCKED and has changed nothing.
///
/// @param store  May be NULL (nothing happens).
#[export]
fn devid_store_end_waits(store: &devid_store) {
    store.end_waits();
}

/// Back to how the device left the factory: every identity but one goes, with unfinished operations, pending keys and requests,
/// anchors and blobs. The last known time, the numbers of revocation lists and the record of who is revoked stay; keys in tokens
/// are not touched. Who is interrupted calls it again.
///
/// @param store  Not NULL.
/// @param keep   The identity that stays: the factory's (IDevID). NULL: none. May be NULL.
/// @return DEVID_OK or a failure of device memory.
#[export]
fn devid_store_factory_reset(store: &devid_store, keep: Option<&str>) -> Result<(), Error> {
    Ok(store.factory_reset(keep.as_slice())?)
}

/// The identity in use, read and checked.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND; DEVID_E_CORRUPT and others if it is damaged, see devid_store_last_good().
#[export]
fn devid_store_current(store: &devid_store, name: &str) -> Result<devid_identity, Error> {
    Ok(devid_identity::of(store.current(name)?, store))
}

/// The generation before the one in use.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[export]
fn devid_store_previous(store: &devid_store, name: &str) -> Result<devid_identity, Error> {
    Ok(devid_identity::of(store.previous(name)?, store))
}

/// The staged generation.
///
/// @param store         Not NULL.
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[export]
fn devid_store_pending(store: &devid_store, name: &str) -> Result<devid_identity, Error> {
    Ok(devid_identity::of(store.pending(name)?, store))
}

/// The identity in use or, if it is damaged, the best one there is.
///
/// @param name          The identity's name. Not NULL.
/// @param out_identity  Receives the identity; free with devid_identity_free(). Not NULL.
/// @param out_damaged   Receives 1 if the one in use is damaged, else 0. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, or what is wrong if no generation is whole.
#[export]
fn devid_store_last_good(store: &devid_store, name: &str) -> Result<(devid_identity, bool), Error> {
    let (identity, damage) = store.last_good(name)?;
    Ok((devid_identity::of(identity, store), damage.is_some()))
}

/// The names of all identities.
///
/// @param out_names  Receives the names as text, sorted, each followed by a line feed; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_store_identities(store: &devid_store) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(lines(&store.identities()?).as_bytes()))
}

/// Looks everything over, and on request puts right what can be without guessing. Keys in tokens are opened, see
/// devid_store_set_pkcs11(): a PIN may be asked for, once.
///
/// @param repair        1: repair; 0: change nothing.
/// @param out_problems  Receives a line of text for each problem found; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK, also if problems were found; or a failure to look.
#[export]
fn devid_store_verify(store: &devid_store, repair: bool) -> Result<devid_bytes, Error> {
    let problems = if repair { store.repair()? } else { store.verify()? };
    let mended = |is_mended| if is_mended { " (put right)" } else { "" };
    let texts: Vec<_> = problems.iter().map(|p| format!("{}: {}{}", p.place, p.text, mended(p.is_mended))).collect();
    Ok(devid_bytes::from_slice(lines(&texts).as_bytes()))
}

/// Keeps a new key whose certificate has not come yet, so that it survives a reboot.
///
/// @param label      Its label. Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @return DEVID_OK; DEVID_E_EXISTS.
#[export]
fn devid_store_put_pending_key(
    store: &devid_store,
    label: &str,
    key: &devid_key,
    reference: Option<&str>,
) -> Result<(), Error> {
    Ok(store.put_pending_key(label, &key.signer.to_keep(reference)?)?)
}

/// A key that is waiting for its certificate.
///
/// @param label    Its label. Not NULL.
/// @param out_key  Receives the key, or a deferred one if it cannot be exported; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[export]
fn devid_store_pending_key(store: &devid_store, label: &str) -> Result<devid_key, Error> {
    Ok(devid_key::of_signer(store.usable_key(&store.pending_key(label)?.key)?))
}

/// Removes a key that was waiting: its identity is installed, or given up.
///
/// @param store  Not NULL.
/// @param label  Its label. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[export]
fn devid_store_remove_pending_key(store: &devid_store, label: &str) -> Result<(), Error> {
    Ok(store.remove_pending_key(label)?)
}

/// Keeps a saved operation under a name; an earlier one of that name is replaced.
///
/// @param name       Not NULL.
/// @param saved      What devid_op_save() gave. Not NULL.
#[export]
fn devid_store_put_operation(store: &devid_store, name: &str, saved: &[u8]) -> Result<(), Error> {
    Ok(store.save_operation(name, saved)?)
}

/// A saved operation, for devid_op_restore().
///
/// @param name       Not NULL.
/// @param out_saved  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_CORRUPT.
#[export]
fn devid_store_operation(store: &devid_store, name: &str) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&store.load_operation(name)?))
}

/// Removes a saved operation.
///
/// @param store  Not NULL.
/// @param name   Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND.
#[export]
fn devid_store_remove_operation(store: &devid_store, name: &str) -> Result<(), Error> {
    Ok(store.remove_operation(name)?)
}

/// Keeps the trust anchors for one use; earlier ones are replaced. devid_cert_list_add_anchors() reads them from files.
///
/// @param use_for  "cmp", "enrolment", "tls" or "peer". Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for another use.
#[export]
fn devid_store_put_anchors(store: &devid_store, use_for: &str, certs: &devid_cert_list) -> Result<(), Error> {
    Ok(store.set_anchors(anchor_set(use_for)?, certs)?)
}

/// The trust anchors kept for one use.
///
/// @param use_for    "cmp", "enrolment", "tls" or "peer". Not NULL.
/// @param out_certs  Receives the list, perhaps an empty one; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for another use; DEVID_E_CORRUPT.
#[export]
fn devid_store_anchors(store: &devid_store, use_for: &str) -> Result<devid_cert_list, Error> {
    Ok(store.anchors(anchor_set(use_for)?)?)
}

/// Closes device memory. What was read from it stays. Who was found revoked, and numbers of revocation lists, that could not be written
/// so far are written now, also where validators and fetchers still use it; that waits once for another process that has the lock.
#[export]
fn devid_store_free(store: Owned<devid_store>) {
    store.get().write_unwritten();
    drop(store)
}

fn new_identity<'a>(
    key: &'a devid_key,
    reference: Option<&str>,
    cert: &'a devid_cert,
    issuers: Option<&'a devid_cert_list>,
    purpose: &'a str,
    at: Time,
) -> Result<NewIdentity<'a>, Error> {
    Ok(NewIdentity {
        key: NewKey::Given(key.signer.to_keep(reference)?),
        certificate: &cert.certificate,
        chain: issuers.map_or(&[], Vec::as_slice),
        purpose,
        at,
    })
}

pub(super) fn anchor_set(name: &str) -> Result<AnchorSet, Error> {
    let found = AnchorSet::ALL.into_iter().find(|set| set.name() == name);
    found.ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("'{name}' is not a known use of anchors (for example 'peer')"))
    })
}

pub(super) fn lines(texts: &[String]) -> String {
    texts.iter().flat_map(|text| [text, "\n"]).collect()
}
