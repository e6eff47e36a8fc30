//! Homes of device memory: a directory, memory, the program's own storage; and how it behaves.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::args::{Handle, Slot, bytes_in_opt, c_text, free, handle, handle_mut, handle_ref, null, out, text_in};
use super::bytes::devid_bytes;
use super::callback::User;
use super::config::{invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::devid_destroy_fn;
use super::store::devid_store;
use devid_core::crypto::default_provider;
use devid_core::limits::MAX_STORED_RECORD_BYTES;
use devid_core::store::{
    CallbackBackend, KeySecret, MemoryBackend, RawStorage, Store, StoreError, StoreErrorKind, StoreOptions,
};

/// How device memory behaves. Setters copy; a store does not change with the options it was opened with.
#[allow(non_camel_case_types)]
pub struct devid_store_options(Slot<Options>);
handle!(devid_store_options: Options);

#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Options {
    store: StoreOptions,
    has_atomic_writes: bool,
}

/// The record is there: its bytes were given.
pub const DEVID_RECORD_FOUND: i32 = 1;
/// There is no such record.
pub const DEVID_RECORD_ABSENT: i32 = 2;

/// Gives the secret that encrypts private keys at rest with devid_bytes_append(), such as a device-unique key. Return 0, or a
/// number at or below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_secret_fn = Option<unsafe extern "C" fn(user: *mut c_void, secret: *mut devid_bytes) -> i32>;

/// Reads a record: give its bytes with devid_bytes_append() and write DEVID_RECORD_FOUND, or write DEVID_RECORD_ABSENT. *out_found
/// is 0 and counts as a failure. key: one to four names of A-Z a-z 0-9 . _ - separated by "/", perhaps with a "~" behind.
/// Return 0, or a number at or below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_read_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, key: *const c_char, data: *mut devid_bytes, out_found: *mut i32) -> i32,
>;

/// Puts or replaces a record. An interrupted one may leave any bytes, or none, in that record and only there. Return 0, or a
/// number at or below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_write_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, key: *const c_char, data: *const u8, data_len: usize) -> i32>;

/// Removes a record; it is no error if there is none. wipe: 1 if it held a private key, which is to be overwritten as well as the
/// storage can. Return 0, or a number at or below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_remove_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, key: *const c_char, wipe: i32) -> i32>;

/// Lists the keys that begin with `prefix`, in any order: give them with devid_bytes_append(), a newline behind each. Return 0, or
/// a number at or below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_list_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, prefix: *const c_char, keys: *mut devid_bytes) -> i32>;

/// Makes everything that was written or removed before durable, in front of everything that follows. Return 0, or a number at or
/// below -10000 to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_sync_fn = Option<unsafe extern "C" fn(user: *mut c_void) -> i32>;

/// Keeps other users of the storage out (on is 1), or lets them in again (0); calls nest. Return 0, or a number at or below -10000
/// to fail.
#[allow(non_camel_case_types)]
pub type devid_storage_lock_fn = Option<unsafe extern "C" fn(user: *mut c_void, on: i32) -> i32>;

type ReadFn = unsafe extern "C" fn(*mut c_void, *const c_char, *mut devid_bytes, *mut i32) -> i32;
type WriteFn = unsafe extern "C" fn(*mut c_void, *const c_char, *const u8, usize) -> i32;
type RemoveFn = unsafe extern "C" fn(*mut c_void, *const c_char, i32) -> i32;
type ListFn = unsafe extern "C" fn(*mut c_void, *const c_char, *mut devid_bytes) -> i32;
type SyncFn = unsafe extern "C" fn(*mut c_void) -> i32;
type LockFn = unsafe extern "C" fn(*mut c_void, i32) -> i32;

/// New options: two generations kept, keys at rest not encrypted.
///
/// @param out_options  Receives the options; free with devid_store_options_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_new(
    out_options: *mut *mut devid_store_options,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_options = unsafe { out(out_options, "out_options")? };
        *out_options = devid_store_options::into_raw(Options::default());
        Ok(())
    })
}

/// Encrypts private keys at rest (PBES2: PBKDF2, AES-256).
///
/// @param options     Not NULL.
/// @param secret      Such as a device-unique key. NULL: keys are kept as plain PKCS#8. May be NULL.
/// @param secret_len  Length of `secret` in bytes.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_set_secret(
    options: *mut devid_store_options,
    secret: *const u8,
    secret_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut options, secret) =
            unsafe { (handle_mut(options, "options")?, bytes_in_opt(secret, secret_len, "secret")?) };
        options.store.key_secret = secret.map(constant_secret);
        Ok(())
    })
}

/// The same with a secret that is asked for whenever a key is read or written, so that it need not stay in memory.
///
/// @param options  Not NULL.
/// @param secret   NULL: keys are kept as plain PKCS#8. Must not use the store. May be NULL.
/// @param user     Passed to `secret` and `destroy`. May be NULL.
/// @param destroy  Called once, when everything opened with the options is gone, or when this call fails. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_set_secret_callback(
    options: *mut devid_store_options,
    secret: devid_secret_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy);
        // SAFETY: as the header says.
        let mut options = unsafe { handle_mut(options, "options")? };
        options.store.key_secret = secret.map(|ask| -> KeySecret {
            Arc::new(move || {
                let (status, secret) = devid_bytes::filled_by(devid_core::limits::MAX_SIGNATURE_BYTES, |buffer| {
                    // SAFETY: as the header says: the program's function takes these for the duration of the call.
                    unsafe { ask(user.pointer(), buffer) }
                });
                done(status, "secret", "")?;
                secret.map_err(|e| StoreError::new(StoreErrorKind::Secret, "", e.message()))
            })
        });
        Ok(())
    })
}

/// How often the secret is stretched for new keys. A device-unique random secret needs little, a password much.
///
/// @param options     Not NULL.
/// @param iterations  PBKDF2 iterations, from 1000; default 100000.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_set_iterations(
    options: *mut devid_store_options,
    iterations: u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut options = unsafe { handle_mut(options, "options")? };
        if !(1000..=10_000_000).contains(&iterations) {
            return Err(invalid(format!("{iterations} iterations; 1000 to 10000000 are taken")));
        }
        options.store.key_iterations = iterations;
        Ok(())
    })
}

/// How many generations of an identity are kept, the one in use included. One that is staged is kept besides.
///
/// @param options  Not NULL.
/// @param count    2 (the default) to 1000: there is always one to roll back to.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_set_retention(
    options: *mut devid_store_options,
    count: u32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut options = unsafe { handle_mut(options, "options")? };
        if !(2..=1000).contains(&count) {
            return Err(invalid(format!("{count} generations; 2 to 1000 are taken")));
        }
        options.store.retention_count = count as usize;
        Ok(())
    })
}

/// For devid_store_open_storage(): an interrupted write always leaves the old or the new bytes. Saves a second copy of each record.
///
/// @param options  Not NULL.
/// @param on       1 yes, 0 no (the default).
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_set_atomic_writes(
    options: *mut devid_store_options,
    on: i32,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut options = unsafe { handle_mut(options, "options")? };
        options.has_atomic_writes = switch(on)?;
        Ok(())
    })
}

/// Frees options. Stores that were opened with them go on.
///
/// @param options  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_options_free(options: *mut devid_store_options) {
    // SAFETY: as the header says.
    unsafe { free(options) }
}

/// Opens device memory in a directory, as devid_store_open_dir(), with options.
///
/// @param path       The directory; its parent must exist. Not NULL.
/// @param options    NULL: the defaults. May be NULL.
/// @param out_store  Receives the store; free with devid_store_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_PERMISSION, DEVID_E_IO, DEVID_E_UNSUPPORTED on systems without such a store.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_open(
    path: *const c_char,
    options: *const devid_store_options,
    out_store: *mut *mut devid_store,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_store, path, options) =
            unsafe { (out(out_store, "out_store")?, text_in(path, "path")?, options_in(options)?) };
        #[cfg(unix)]
        {
            let store = Store::open_directory(path, default_provider(), options.store)?;
            *out_store = devid_store::into_raw(Arc::new(store));
            Ok(())
        }
        #[cfg(not(unix))]
        {
            let _ = (out_store, path, options);
            Err(devid_core::Error::new(devid_core::Code::Unsupported, "there is no directory store for this system"))
        }
    })
}

/// Opens device memory that ends with the process: for tests, and for devices that get a new identity at each start.
///
/// @param options    NULL: the defaults. May be NULL.
/// @param out_store  Receives the store; free with devid_store_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_open_memory(
    options: *const devid_store_options,
    out_store: *mut *mut devid_store,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_store, options) = unsafe { (out(out_store, "out_store")?, options_in(options)?) };
        let store = Store::new(Box::new(MemoryBackend::new()), default_provider(), options.store);
        *out_store = devid_store::into_raw(Arc::new(store));
        Ok(())
    })
}

/// Opens device memory in the program's own storage: a flash translation layer, NVRAM, a secure element, a database. Nothing that
/// the functions do needs to be atomic: each record carries its length and a check, and new bytes are durable beside the old
/// ones before they take their place. The functions are called one at a time, in the thread that uses the store, and must not
/// use it.
///
/// @param read       Not NULL.
/// @param write      Not NULL.
/// @param remove     Not NULL.
/// @param list       Not NULL.
/// @param sync       Not NULL.
/// @param lock       NULL: nobody else uses the storage. May be NULL.
/// @param user       Passed to all of them and to `destroy`. May be NULL.
/// @param destroy    Called once, when the store and all that uses it is gone, or when this call fails. May be NULL.
/// @param options    NULL: the defaults. May be NULL.
/// @param out_store  Receives the store; free with devid_store_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure. Calls with the store answer what the functions return, or DEVID_E_APPLICATION.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_open_storage(
    read: devid_storage_read_fn,
    write: devid_storage_write_fn,
    remove: devid_storage_remove_fn,
    list: devid_storage_list_fn,
    sync: devid_storage_sync_fn,
    lock: devid_storage_lock_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    options: *const devid_store_options,
    out_store: *mut *mut devid_store,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy);
        // SAFETY: as the header says.
        let (out_store, options) = unsafe { (out(out_store, "out_store")?, options_in(options)?) };
        let storage = ProgramStorage {
            read: read.ok_or_else(|| null("read"))?,
            write: write.ok_or_else(|| null("write"))?,
            remove: remove.ok_or_else(|| null("remove"))?,
            list: list.ok_or_else(|| null("list"))?,
            sync: sync.ok_or_else(|| null("sync"))?,
            lock,
            has_atomic_writes: options.has_atomic_writes,
            user,
        };
        let backend = CallbackBackend::new(storage, default_provider());
        *out_store = devid_store::into_raw(Arc::new(Store::new(Box::new(backend), default_provider(), options.store)));
        Ok(())
    })
}

pub(super) fn constant_secret(secret: &[u8]) -> KeySecret {
    let secret = Zeroizing::new(secret.to_vec());
    Arc::new(move || Ok(secret.clone()))
}

/// # Safety
/// As [`handle_ref`].
unsafe fn options_in(options: *const devid_store_options) -> Result<Options, devid_core::Error> {
    if options.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { handle_ref(options, "options")? }.clone())
}

struct ProgramStorage {
    read: ReadFn,
    write: WriteFn,
    remove: RemoveFn,
    list: ListFn,
    sync: SyncFn,
    lock: Option<LockFn>,
    has_atomic_writes: bool,
    user: User,
}

/// What a function of the program answered.
fn done(status: i32, what: &str, place: &str) -> Result<(), StoreError> {
    match status {
        0 => Ok(()),
        number => {
            let words = format!("the function for {what} returned {number}");
            Err(StoreError::new(StoreErrorKind::Application(number.min(-10_000)), place, words))
        }
    }
}

impl RawStorage for ProgramStorage {
    fn read(&mut self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let name = c_text(key);
        let mut found = 0;
        let (status, data) = devid_bytes::filled_by(MAX_STORED_RECORD_BYTES, |buffer| {
            // SAFETY: as the header says: the program's function takes these for the duration of the call.
            unsafe { (self.read)(self.user.pointer(), name.as_ptr(), buffer, &mut found) }
        });
        done(status, "read", key)?;
        match found {
            DEVID_RECORD_FOUND => data.map(Some).map_err(|e| StoreError::new(StoreErrorKind::Limit, key, e.message())),
            DEVID_RECORD_ABSENT => Ok(None),
            other => {
                let words = format!("the function for read wrote {other}, which is neither found nor absent");
                Err(StoreError::new(StoreErrorKind::Application(-10_000), key, words))
            }
        }
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let name = c_text(key);
        // SAFETY: as above.
        let status = unsafe { (self.write)(self.user.pointer(), name.as_ptr(), bytes.as_ptr(), bytes.len()) };
        done(status, "write", key)
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        let name = c_text(key);
        // SAFETY: as above.
        done(unsafe { (self.remove)(self.user.pointer(), name.as_ptr(), i32::from(wipe)) }, "remove", key)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let name = c_text(prefix);
        let (status, keys) = devid_bytes::filled_by(MAX_STORED_RECORD_BYTES, |buffer| {
            // SAFETY: as above.
            unsafe { (self.list)(self.user.pointer(), name.as_ptr(), buffer) }
        });
        done(status, "list", prefix)?;
        let keys = keys.map_err(|e| StoreError::new(StoreErrorKind::Limit, prefix, e.message()))?;
        let keys = std::str::from_utf8(&keys)
            .map_err(|_| StoreError::new(StoreErrorKind::Application(-10_000), prefix, "a key that is not UTF-8"))?;
        Ok(keys.lines().filter(|key| key.starts_with(prefix)).map(str::to_owned).collect())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        // SAFETY: as above.
        done(unsafe { (self.sync)(self.user.pointer()) }, "sync", "")
    }

    fn has_atomic_writes(&self) -> bool {
        self.has_atomic_writes
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        match self.lock {
            // SAFETY: as above.
            Some(lock) => done(unsafe { lock(self.user.pointer(), 1) }, "lock", ""),
            None => Ok(()),
        }
    }

    fn unlock(&mut self) {
        if let Some(lock) = self.lock {
            // SAFETY: as above. A lock that cannot be given back is the program's own to notice.
            unsafe { lock(self.user.pointer(), 0) };
        }
    }
}
