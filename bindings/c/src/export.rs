//! Identities for other software: its files in its layout; and being told what came into use.

use std::ffi::{CString, c_char, c_void};
use std::ptr;

use zeroize::Zeroizing;

use super::args::{Handle, Slot, c_text, free, handle, handle_mut, handle_ref, null, out, out_opt, text_in};
use super::bytes::devid_bytes;
use super::callback::{Destroy, User};
use super::cert::devid_cert_list;
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::devid_destroy_fn;
use super::pkcs12::{mac_named, not_null, password_text};
use super::store::devid_store;
use devid_core::cms::pkcs12::DEFAULT_ITERATIONS;
use devid_core::store::export::{Export, Layout};
use devid_core::store::{Change, ChangeKind};
use devid_core::{Code, Error};

/// How identities are written for other software. May be used any number of times.
#[allow(non_camel_case_types)]
pub struct devid_export(Slot<Export>);
handle!(devid_export: Export);

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

/// Is told what came into use, when all is done and durable: the moment to reload a server, or to export for one.
///
/// change: one of DEVID_CHANGE_..., perhaps a later one. name: the identity's. generation: the one in use now, or exported.
/// folder: where it was exported to, else NULL. All are borrowed for the call. The store may be used from within, as const. It
/// cannot undo what happened.
#[allow(non_camel_case_types)]
pub type devid_change_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, change: i32, name: *const c_char, generation: u32, folder: *const c_char),
>;

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
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an unknown layout.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_new(
    layout: *const c_char,
    folder: *const c_char,
    out_export: *mut *mut devid_export,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_export, layout, folder) =
            unsafe { (out(out_export, "out_export")?, text_in(layout, "layout")?, text_in(folder, "folder")?) };
        let layout = Layout::from_name(layout)
            .ok_or_else(|| Error::new(Code::InvalidArgument, format!("'{layout}' is no layout such as 'nginx'")))?;
        *out_export = devid_export::into_raw(Export::new(layout, folder));
        Ok(())
    })
}

/// Encrypts the private key: PBES2 in PEM files, all of a PKCS#12 file.
///
/// @param how           Not NULL.
/// @param password      UTF-8. Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param iterations    Of each key derivation; 0 means 100000.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_NOT_UTF8.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_set_password(
    how: *mut devid_export,
    password: *const u8,
    password_len: usize,
    iterations: u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut export, password) = unsafe { (handle_mut(how, "how")?, not_null(password, password_len)?) };
        export.password = Some(Zeroizing::new(password_text(password)?.to_owned()));
        export.iterations = if iterations == 0 { DEFAULT_ITERATIONS } else { iterations };
        Ok(())
    })
}

/// How a PKCS#12 file is authenticated.
///
/// @param how     Not NULL.
/// @param mac     "HMAC", the default, or "PBMAC1" (RFC 9579). Not NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_set_mac(
    how: *mut devid_export,
    mac: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut export, mac) = unsafe { (handle_mut(how, "how")?, text_in(mac, "mac")?) };
        export.mac = mac_named(Some(mac))?;
        Ok(())
    })
}

/// Whom the software shall trust: these certificates are written where its layout has a place for them.
///
/// @param how      Not NULL.
/// @param anchors  Copied; replaces those from before. Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_set_anchors(
    how: *mut devid_export,
    anchors: *const devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut export, anchors) = unsafe { (handle_mut(how, "how")?, handle_ref(anchors, "anchors")?) };
        export.anchors = anchors.to_vec();
        Ok(())
    })
}

/// Whom private keys are given to, for software that does not read them as this user. Needs the right to do so.
///
/// @param how     Not NULL.
/// @param user    Number of the user.
/// @param group   Number of the group.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_set_key_owner(
    how: *mut devid_export,
    user: u32,
    group: u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        unsafe { handle_mut(how, "how")? }.key_owner = Some((user, group));
        Ok(())
    })
}

/// Writes the identity in use for other software, and switches to the new files. On any failure the files from before are still
/// in use, whole.
///
/// @param store           Not NULL.
/// @param name            The identity's name. Not NULL.
/// @param how             Not NULL.
/// @param out_files       Receives the paths by which a configuration refers to the files, each followed by a line feed, the
///                        private key's first; free with devid_bytes_free(). May be NULL.
/// @param out_generation  Receives the generation that was written. May be NULL.
/// @param err             Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND, DEVID_E_BAD_KEY if the key cannot leave its home, DEVID_E_PERMISSION if others may write to
///         the folder, DEVID_E_EXISTS if something else has the name of a file, DEVID_E_LOCKED, DEVID_E_WRONG_SECRET if PKCS#12
///         has no password, DEVID_E_FULL, DEVID_E_IO.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_export(
    store: *const devid_store,
    name: *const c_char,
    how: *const devid_export,
    out_files: *mut *mut devid_bytes,
    out_generation: *mut u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_files, out_generation, store, name, export) = unsafe {
            (
                out_opt(out_files),
                out_opt(out_generation),
                handle_ref(store, "store")?,
                text_in(name, "name")?,
                handle_ref(how, "how")?,
            )
        };
        let exported = store.export(name, &export)?;
        if let Some(out_files) = out_files {
            let lines: String = exported.files.iter().map(|file| format!("{}\n", file.display())).collect();
            *out_files = devid_bytes::from_slice(lines.as_bytes());
        }
        if let Some(out_generation) = out_generation {
            *out_generation = exported.generation;
        }
        Ok(())
    })
}

/// Frees the object.
///
/// @param how  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_export_free(how: *mut devid_export) {
    // SAFETY: as the header says.
    unsafe { free(how) }
}

/// Has a function called after each install, promotion and rollback through this handle, and after each export. It replaces an
/// earlier one. The store may be in use by other threads.
///
/// @param store    Not NULL.
/// @param told     Called in the thread that made the change. Not NULL.
/// @param user     Passed to `told` and `destroy`. May be NULL.
/// @param destroy  Called once, when `told` is replaced or the store freed, or when this call fails. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_on_change(
    store: *const devid_store,
    told: devid_change_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy as Destroy);
        // SAFETY: as the header says.
        let store = unsafe { handle_ref(store, "store")? };
        let told = told.ok_or_else(|| null("told"))?;
        store.on_change(move |change: &Change<'_>| {
            let name = c_text(change.name);
            let folder: Option<CString> = change.folder.map(|folder| c_text(&folder.display().to_string()));
            let folder = folder.as_ref().map_or(ptr::null(), |folder| folder.as_ptr());
            // SAFETY: as the header says: the program's function takes these for the duration of the call.
            unsafe { told(user.pointer(), change.kind as i32, name.as_ptr(), change.generation, folder) }
        });
        Ok(())
    })
}
