//! Identities for other software: its files in its layout; and being told what came into use.

use zeroize::Zeroizing;

use super::pkcs12::{mac_named, not_empty};
use super::prelude::*;
use super::storage::scrypt_cost;
use devid_core::cms::pkcs12::DEFAULT_ITERATIONS;
use devid_core::store::export::{Export, Layout};
use devid_core::store::{Change, ChangeKind};

/// How identities are written for other software. May be used any number of times.
#[handle]
pub type devid_export = Export;

/// A new generation came into use: installed or promoted.
pub const DEVID_CHANGE_INSTALLED: i32 = 1;
/// The previous generation came back into use.
pub const DEVID_CHANGE_ROLLED_BACK: i32 = 2;
/// The identity was written for other software, and its new files are in use.
pub const DEVID_CHANGE_EXPORTED: i32 = 3;

const _: () = {
    assert!(DEVID_CHANGE_INSTALLED == ChangeKind::Installed as i32);
    assert!(DEVID_CHANGE_ROLLED_BACK == ChangeKind::RolledBack as i32);
    assert!(DEVID_CHANGE_EXPORTED == ChangeKind::Exported as i32);
};

/// Is told which identity is now in use, when all is done and durable: the moment to reload a server, or to export for one.
///
/// change: one of DEVID_CHANGE_..., perhaps a later one. name: the identity's. generation: the one in use now, or exported.
/// folder: where it was exported to, else NULL. All are borrowed for the call. The store may be used from within, as const. It
/// cannot undo what happened.
#[callback]
pub type devid_change_fn = fn(change: i32, name: &str, generation: u32, folder: Option<&str>);

/// Prepares exports.
///
/// The files are written beside the old ones, made durable, read back, and switched by one rename: a program never finds a
/// private key beside another key's certificate. Private keys have mode 0600, all else 0644. Layouts:
///
///   "pem"         FOLDER/NAME.pem: key, certificate and chain in one file
///   "pkcs12"      FOLDER/NAME.p12; needs a password
///   "openssl"     FOLDER/current/key.pem, cert.pem, chain.pem
///   "nginx"       FOLDER/current/privkey.pem, fullchain.pem, chain.pem, and ca.pem with the anchors if there are any
///   "mosquitto"   FOLDER/current/keyfile.pem, certfile.pem, cafile.pem
///   "strongswan"  FOLDER/private/NAME.HEX.pem, FOLDER/x509ca/NAME.N.pem, FOLDER/x509/NAME.pem: swanctl's own folders, so
///                 one rename a file, the key first and the old key removed last
///
/// `current` is a symbolic link to a set of files of which the one before is kept.
///
/// @param layout      One of the names above. Not NULL.
/// @param folder      Created if it is missing (its parent must exist). Must belong to this user or root, and nobody else may
///                    write to it. One identity a folder, but for "pem", "pkcs12" and "strongswan". Not NULL.
/// @param out_export  Receives the object; free with devid_export_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown layout.
#[export]
fn devid_export_new(layout: &str, folder: &str) -> Result<devid_export, Error> {
    let layout = Layout::from_name(layout).ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("'{layout}' is not a known layout (for example 'nginx')"))
    })?;
    Ok(Export::new(layout, folder))
}

/// Encrypts the private key: PBES2 in PEM files, all of a PKCS#12 file.
///
/// @param password      UTF-8. Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param iterations    Of each key derivation; 0 means 100000.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_NOT_UTF8.
#[export]
fn devid_export_set_password(how: &mut devid_export, password: &[u8], iterations: u32) -> Result<(), Error> {
    how.password = Some(Zeroizing::new(not_empty(password)?.to_owned()));
    how.iterations = if iterations == 0 { DEFAULT_ITERATIONS } else { iterations };
    Ok(())
}

/// Has the password stretched by scrypt (RFC 7914) in the place of PBKDF2. The MAC of a PKCS#12 file stays by iterations.
///
/// @param n  Cost, a power of two: so many KiB of memory, 1024 to 65536; OpenSSL reads up to 16384 by itself. 0: PBKDF2, the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_export_set_scrypt(how: &mut devid_export, n: u32) -> Result<(), Error> {
    how.scrypt = scrypt_cost(n)?;
    Ok(())
}

/// How a PKCS#12 file is authenticated.
///
/// @param mac     "HMAC", the default, or "PBMAC1" (RFC 9579). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_export_set_mac(how: &mut devid_export, mac: &str) -> Result<(), Error> {
    how.mac = mac_named(Some(mac))?;
    Ok(())
}

/// Whom the software shall trust: these certificates are written where its layout has a place for them. devid_cert_list_add_anchors() reads
/// them from files.
///
/// @param anchors  Copied; replaces those from before. Not NULL.
#[export]
fn devid_export_set_anchors(how: &mut devid_export, anchors: &devid_cert_list) -> Result<(), Error> {
    how.anchors = anchors.to_vec();
    Ok(())
}

/// Whom private keys are given to, for software that does not read them as this user. Needs the right to do so.
///
/// @param user    Number of the user.
/// @param group   Number of the group.
#[export]
fn devid_export_set_key_owner(how: &mut devid_export, user: u32, group: u32) -> Result<(), Error> {
    how.key_owner = Some((user, group));
    Ok(())
}

/// Writes the identity in use for other software, and switches to the new files. On any failure the files from before are still
/// in use, whole.
///
/// @param name            The identity's name. Not NULL.
/// @param out_files       Receives the paths by which a configuration refers to the files, each followed by a line feed, the
///                        private key's first; free with devid_bytes_free(). May be NULL.
/// @param out_generation  Receives the generation that was written. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_BAD_KEY if the key cannot leave its home, DEVID_E_PERMISSION if others may write to
///         the folder, DEVID_E_EXISTS if something else has the name of a file, DEVID_E_LOCKED, DEVID_E_WRONG_SECRET if PKCS#12
///         has no password, DEVID_E_FULL, DEVID_E_IO.
#[export]
fn devid_store_export(store: &devid_store, name: &str, how: &devid_export) -> Result<(devid_bytes, u32), Error> {
    let exported = store.export(name, how)?;
    let lines: String = exported.files.iter().map(|file| format!("{}\n", file.display())).collect();
    Ok((devid_bytes::from_slice(lines.as_bytes()), exported.generation))
}

/// Frees the object.
#[export]
fn devid_export_free(how: Owned<devid_export>) {
    drop(how)
}

/// Has a function called after each install, promotion and rollback through this handle, and after each export. It replaces an
/// earlier one. The store may be in use by other threads.
///
/// @param told     Called in the thread that made the change. Not NULL.
/// @param user     Passed to `told` and `destroy`. May be NULL.
/// @param destroy  Called once, when `told` is replaced or the store freed, or when this call fails. May be NULL.
#[export]
fn devid_store_set_on_change(store: &devid_store, told: devid_change_fn, user: User) -> Result<(), Error> {
    store.on_change(move |change: &Change<'_>| {
        let folder = change.folder.map(|folder| folder.display().to_string());
        devid_change_fn(told, &user, change.kind as i32, change.name, change.generation, folder.as_deref());
    });
    Ok(())
}
