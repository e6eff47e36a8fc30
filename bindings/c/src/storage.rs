//! Homes of device memory: a directory, memory, the program's own storage; and how it behaves.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::prelude::*;
use devid_core::crypto::default_provider;
use devid_core::limits::MAX_STORED_RECORD_BYTES;
use devid_core::store::{
    CallbackBackend, KeySecret, MemoryBackend, RawStorage, Store, StoreError, StoreErrorKind, StoreOptions,
};
#[cfg(unix)]
use devid_core::store::{DirectoryBackend, DirectoryOptions};

/// How device memory behaves. Setters copy; a store does not change with the options it was opened with.
#[handle]
pub type devid_store_options = Options;

#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Options {
    store: StoreOptions,
    folder: Folder,
    has_atomic_writes: bool,
}

/// How a directory is opened.
#[derive(Clone, Copy)]
struct Folder {
    must_exist: bool,
    lock_wait: Duration,
}

impl Default for Folder {
    fn default() -> Self {
        Folder { must_exist: false, lock_wait: Duration::from_secs(2) }
    }
}

/// The record is there: its bytes were given.
pub const DEVID_RECORD_FOUND: i32 = 1;
/// There is no such record.
pub const DEVID_RECORD_ABSENT: i32 = 2;

/// Gives the secret that encrypts private keys at rest with devid_bytes_append(), such as a device-unique key. Return 0, or a
/// number at or below -10000 to fail.
#[callback]
pub type devid_secret_fn = fn(secret: &mut devid_bytes) -> i32;

/// Reads a record: give its bytes with devid_bytes_append() and write DEVID_RECORD_FOUND, or write DEVID_RECORD_ABSENT. *out_found
/// is 0 and counts as a failure. key: one to four names of A-Z a-z 0-9 . _ - separated by "/", perhaps with a "~" behind.
/// Return 0, or a number at or below -10000 to fail.
#[callback]
pub type devid_storage_read_fn = fn(key: &str, data: &mut devid_bytes, out_found: &mut i32) -> i32;

/// Puts or replaces a record. An interrupted one may leave any bytes, or none, in that record and only there. Return 0, or a
/// number at or below -10000 to fail.
#[callback]
pub type devid_storage_write_fn = fn(key: &str, data: &[u8]) -> i32;

/// Removes a record; it is not an error if there is none. wipe: 1 if it held a private key, which is to be overwritten as well as the
/// storage can. Return 0, or a number at or below -10000 to fail.
#[callback]
pub type devid_storage_remove_fn = fn(key: &str, wipe: i32) -> i32;

/// Lists the keys that begin with `prefix`, in any order: give them with devid_bytes_append(), a newline behind each. Return 0, or
/// a number at or below -10000 to fail.
#[callback]
pub type devid_storage_list_fn = fn(prefix: &str, keys: &mut devid_bytes) -> i32;

/// Makes everything that was written or removed before durable, in front of everything that follows. Return 0, or a number at or
/// below -10000 to fail.
#[callback]
pub type devid_storage_sync_fn = fn() -> i32;

/// Keeps other users of the storage out (on is 1), or lets them in again (0); calls nest. Return 0, or a number at or below -10000
/// to fail.
#[callback]
pub type devid_storage_lock_fn = fn(on: i32) -> i32;

/// New options: two generations kept, keys at rest not encrypted.
///
/// @param out_options  Receives the options; free with devid_store_options_free(). Not NULL.
#[export]
fn devid_store_options_new() -> Result<devid_store_options, Error> {
    Ok(Options::default())
}

/// Encrypts private keys at rest (PBES2: PBKDF2, AES-256).
///
/// @param secret      Such as a device-unique key; nothing is sealed with an empty one. NULL: keys are kept as plain PKCS#8. May be NULL.
#[export]
fn devid_store_options_set_secret(options: &mut devid_store_options, secret: Option<&[u8]>) -> Result<(), Error> {
    options.store.key_secret = secret.map(constant_secret);
    Ok(())
}

/// The same with a secret that is asked for whenever a key is read or written, so that it need not stay in memory.
///
/// @param secret   NULL: keys are kept as plain PKCS#8. Must not use the store. May be NULL.
/// @param user     Passed to `secret` and `destroy`. May be NULL.
/// @param destroy  Called once, when everything opened with the options is gone, or when this call fails. May be NULL.
#[export]
fn devid_store_options_set_secret_callback(
    options: &mut devid_store_options,
    secret: Option<devid_secret_fn>,
    user: User,
) -> Result<(), Error> {
    options.store.key_secret = secret.map(|secret| -> KeySecret {
        Arc::new(move || {
            let (status, given) = devid_bytes::filled_by(devid_core::limits::MAX_SIGNATURE_BYTES, |buffer| {
                devid_secret_fn(secret, &user, buffer)
            });
            done(status, "secret", "")?;
            given.map_err(|e| StoreError::new(StoreErrorKind::Secret, "", e.message()))
        })
    });
    Ok(())
}

/// How often the secret is stretched for new keys. A device-unique random secret needs little, a password much.
///
/// @param iterations  PBKDF2 iterations, from 1000; default 100000.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_store_options_set_iterations(options: &mut devid_store_options, iterations: u32) -> Result<(), Error> {
    if !(1000..=10_000_000).contains(&iterations) {
        return Err(invalid(format!("{iterations} iterations; 1000 to 10000000 are taken")));
    }
    options.store.key_iterations = iterations;
    Ok(())
}

/// Has the secret stretched by scrypt (RFC 7914) for new keys, in the place of PBKDF2: who guesses a password needs memory for each guess. Keys
/// that are there stay as they are, and are read either way.
///
/// @param n  Cost, a power of two: so many KiB of memory, 1024 to 65536; 0: PBKDF2, the default.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_store_options_set_scrypt(options: &mut devid_store_options, n: u32) -> Result<(), Error> {
    options.store.key_scrypt = scrypt_cost(n)?;
    Ok(())
}

/// The cost of scrypt; 0: PBKDF2.
pub(super) fn scrypt_cost(n: u32) -> Result<Option<u32>, Error> {
    match n {
        0 => Ok(None),
        1024..=65_536 if n.is_power_of_two() => Ok(Some(n)),
        _ => Err(invalid(format!("scrypt with a cost of {n}; a power of two from 1024 to 65536 is taken, or 0"))),
    }
}

/// How many generations of an identity are kept, the one in use included. One that is staged is kept besides.
///
/// @param count    2 (the default) to 1000: there is always one to roll back to.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_store_options_set_retention(options: &mut devid_store_options, count: u32) -> Result<(), Error> {
    if !(2..=1000).contains(&count) {
        return Err(invalid(format!("{count} generations; 2 to 1000 are taken")));
    }
    options.store.retention_count = count as usize;
    Ok(())
}

/// For devid_store_open(): whether device memory is made where there is none: a directory that is missing, or an empty one, as the
/// place of a medium is that is not mounted. A path that is mistyped is else a new, empty device memory.
///
/// @param on       1: it must exist; 0 (the default): it is made.
/// @return DEVID_OK. devid_store_open() answers DEVID_E_NOT_FOUND for one that must exist and does not.
#[export]
fn devid_store_options_set_must_exist(options: &mut devid_store_options, on: bool) -> Result<(), Error> {
    options.folder.must_exist = on;
    Ok(())
}

/// For devid_store_open(): how long a call waits for another process that has the lock of the directory, before it answers
/// DEVID_E_LOCKED.
///
/// @param millis  Milliseconds, 2000 by default, at most 600000. 0: not at all.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT.
#[export]
fn devid_store_options_set_lock_wait(options: &mut devid_store_options, millis: u32) -> Result<(), Error> {
    if millis > 600_000 {
        return Err(invalid(format!("a wait of {millis} ms for a lock; at most 600000 are taken")));
    }
    options.folder.lock_wait = Duration::from_millis(millis.into());
    Ok(())
}

/// For devid_store_open_storage(): an interrupted write always leaves the old or the new bytes. Saves a second copy of each record.
///
/// @param on       1 yes, 0 no (the default).
#[export]
fn devid_store_options_set_atomic_writes(options: &mut devid_store_options, on: bool) -> Result<(), Error> {
    options.has_atomic_writes = on;
    Ok(())
}

/// Frees options. Stores that were opened with them go on.
#[export]
fn devid_store_options_free(options: Owned<devid_store_options>) {
    drop(options)
}

/// Opens device memory in a directory, as devid_store_open_dir(), with options.
///
/// @param path       The directory; its parent must exist. Not NULL.
/// @param options    NULL: the defaults. May be NULL.
/// @param out_store  Receives the store; free with devid_store_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_PERMISSION, DEVID_E_IO, DEVID_E_NOT_FOUND, DEVID_E_UNSUPPORTED on systems without such a store.
#[export]
fn devid_store_open(path: &str, options: Option<&devid_store_options>) -> Result<devid_store, Error> {
    open_directory(path, options_of(options))
}

/// Opens device memory that ends with the process: for tests, and for devices that get a new identity at each start.
///
/// @param options    NULL: the defaults. May be NULL.
/// @param out_store  Receives the store; free with devid_store_free(). Not NULL.
#[export]
fn devid_store_open_memory(options: Option<&devid_store_options>) -> Result<devid_store, Error> {
    let options = options_of(options).store;
    Ok(Arc::new(Store::new(Box::new(MemoryBackend::new()), default_provider(), options)))
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
/// @return DEVID_OK or a failure. Calls with the store answer what the functions return, or DEVID_E_APPLICATION.
#[export]
fn devid_store_open_storage(
    read: devid_storage_read_fn,
    write: devid_storage_write_fn,
    remove: devid_storage_remove_fn,
    list: devid_storage_list_fn,
    sync: devid_storage_sync_fn,
    lock: Option<devid_storage_lock_fn>,
    user: User,
    options: Option<&devid_store_options>,
) -> Result<devid_store, Error> {
    let Options { store, has_atomic_writes, .. } = options_of(options);
    let storage = ProgramStorage { read, write, remove, list, sync, lock, has_atomic_writes, user };
    let backend = CallbackBackend::new(storage, default_provider());
    Ok(Arc::new(Store::new(Box::new(backend), default_provider(), store)))
}

fn constant_secret(secret: &[u8]) -> KeySecret {
    let secret = Zeroizing::new(secret.to_vec());
    Arc::new(move || Ok(secret.clone()))
}

pub(super) fn open_directory(path: &str, options: Options) -> Result<devid_store, Error> {
    #[cfg(unix)]
    {
        let Folder { must_exist, lock_wait } = options.folder;
        let directory = DirectoryOptions { must_exist, lock_wait, ..DirectoryOptions::default() };
        let backend = DirectoryBackend::open(path, directory)?;
        Ok(Arc::new(Store::new(Box::new(backend), default_provider(), options.store)))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, options);
        Err(Error::new(devid_core::Code::Unsupported, "there is no directory store for this system"))
    }
}

pub(super) fn sealed_by(secret: Option<&[u8]>) -> Options {
    let store = StoreOptions { key_secret: secret.map(constant_secret), ..StoreOptions::default() };
    Options { store, ..Options::default() }
}

fn options_of(options: Option<&Options>) -> Options {
    options.cloned().unwrap_or_default()
}

struct ProgramStorage {
    read: devid_storage_read_fn,
    write: devid_storage_write_fn,
    remove: devid_storage_remove_fn,
    list: devid_storage_list_fn,
    sync: devid_storage_sync_fn,
    lock: Option<devid_storage_lock_fn>,
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
        let mut found = 0;
        let (status, data) = devid_bytes::filled_by(MAX_STORED_RECORD_BYTES, |buffer| {
            devid_storage_read_fn(self.read, &self.user, key, buffer, &mut found)
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
        let status = devid_storage_write_fn(self.write, &self.user, key, bytes);
        done(status, "write", key)
    }

    fn remove(&mut self, key: &str, wipe: bool) -> Result<(), StoreError> {
        done(devid_storage_remove_fn(self.remove, &self.user, key, i32::from(wipe)), "remove", key)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (status, keys) = devid_bytes::filled_by(MAX_STORED_RECORD_BYTES, |buffer| {
            devid_storage_list_fn(self.list, &self.user, prefix, buffer)
        });
        done(status, "list", prefix)?;
        let keys = keys.map_err(|e| StoreError::new(StoreErrorKind::Limit, prefix, e.message()))?;
        let keys = std::str::from_utf8(&keys)
            .map_err(|_| StoreError::new(StoreErrorKind::Application(-10_000), prefix, "a key that is not UTF-8"))?;
        Ok(keys.lines().filter(|key| key.starts_with(prefix)).map(str::to_owned).collect())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        done(devid_storage_sync_fn(self.sync, &self.user), "sync", "")
    }

    fn has_atomic_writes(&self) -> bool {
        self.has_atomic_writes
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        match self.lock {
            Some(lock) => done(devid_storage_lock_fn(lock, &self.user, 1), "lock", ""),
            None => Ok(()),
        }
    }

    fn unlock(&mut self) {
        if let Some(lock) = self.lock {
            // A lock that cannot be given back is the program's own to notice.
            devid_storage_lock_fn(lock, &self.user, 0);
        }
    }
}
