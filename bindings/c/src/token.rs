//! Private keys in PKCS#11 tokens: HSMs, smart cards, secure elements. The private half never leaves the token.

use std::ffi::{c_char, c_void};

use super::args::{handle_ref, null, out, peek, text_in, text_in_opt};
use super::bytes::devid_bytes;
use super::callback::{Destroy, User};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::{devid_destroy_fn, devid_key};
use super::store::devid_store;
use devid_core::Error;
use devid_core::store::Store;

/// Gives the user's PIN for a token. Called when the token wants a login, in the thread that uses the key; must not use the key.
///
/// token, serial: label and serial number of the token. final_try: 0; where one more wrong PIN would lock the token, no PIN is asked for. pin: give the PIN
/// (UTF-8) with devid_bytes_append(). Return 0, or a negative number to fail.
#[allow(non_camel_case_types)]
pub type devid_pin_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        token: *const c_char,
        serial: *const c_char,
        final_try: i32,
        pin: *mut devid_bytes,
    ) -> i32,
>;

/// A private key in a PKCS#11 token. It signs by RSA (PKCS#1 v1.5 and PSS) or ECDSA on P-256, P-384 and P-521.
///
/// A module is loaded once and stays until the process ends. A session that ends, and a token that is taken out and put back,
/// are opened again when the key is used. devid_store_install() and others keep devid_key_reference() of such a key by
/// themselves.
///
/// @param module   Path of the token's PKCS#11 library; it is loaded into the process, so it must be as trustworthy as the
///                 program. NULL: the URI's module-path. May be NULL.
/// @param uri      Names token and key (RFC 7512), such as "pkcs11:token=device;object=idevid". One of each must fit. PINs in
///                 the URI are refused. Not NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin` and `destroy`. May be NULL.
/// @param destroy  Called once, when the key and everything made with it is gone, or when this call fails. May be NULL.
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if token or key is not there, DEVID_E_WRONG_SECRET if the token does not take the PIN,
///         DEVID_E_INVALID_ARGUMENT for a URI that is not understood or not clear, DEVID_E_SIGNER if module or token fails,
///         DEVID_E_UNSUPPORTED if it was not compiled in: see devid_supports("pkcs11").
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_key_open_pkcs11(
    module: *const c_char,
    uri: *const c_char,
    pin: devid_pin_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    out_key: *mut *mut devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy as Destroy);
        // SAFETY: as the header says.
        let (out_key, module, uri) =
            unsafe { (out(out_key, "out_key")?, text_in_opt(module, "module")?, text_in(uri, "uri")?) };
        let pin = pin.ok_or_else(|| null("pin"))?;
        *out_key = built_in::open(module, uri, pin, user)?;
        Ok(())
    })
}

/// Makes a key pair in a token, which neither shows the private half nor lets it out.
///
/// @param module   As devid_key_open_pkcs11(). May be NULL.
/// @param uri      Names the token and, by `object`, the key to be; without `id` a random one is taken. Not NULL.
/// @param kind     "P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "RSA-4096". Not NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin` and `destroy`. May be NULL.
/// @param destroy  As devid_key_open_pkcs11(). May be NULL.
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return As devid_key_open_pkcs11(); DEVID_E_EXISTS if such a key is there already, DEVID_E_ALGORITHM for other kinds.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_key_generate_pkcs11(
    module: *const c_char,
    uri: *const c_char,
    kind: *const c_char,
    pin: devid_pin_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    out_key: *mut *mut devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy as Destroy);
        // SAFETY: as the header says.
        let (out_key, module, uri, kind) = unsafe {
            (out(out_key, "out_key")?, text_in_opt(module, "module")?, text_in(uri, "uri")?, text_in(kind, "kind")?)
        };
        let pin = pin.ok_or_else(|| null("pin"))?;
        *out_key = built_in::generate(module, uri, kind, pin, user)?;
        Ok(())
    })
}

/// Destroys a private key in a token, and its public half: when the identity it was for is gone for good.
///
/// @param module   As devid_key_open_pkcs11(). May be NULL.
/// @param uri      Names token and key. Not NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin`. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return As devid_key_open_pkcs11().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_key_destroy_pkcs11(
    module: *const c_char,
    uri: *const c_char,
    pin: devid_pin_fn,
    user: *mut c_void,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, None);
        // SAFETY: as the header says.
        let (module, uri) = unsafe { (text_in_opt(module, "module")?, text_in(uri, "uri")?) };
        let pin = pin.ok_or_else(|| null("pin"))?;
        built_in::destroy(module, uri, pin, user)
    })
}

/// Has device memory open the keys that it names by "pkcs11:" URIs, when they are needed: devid_identity_key() and
/// devid_store_pending_key() then give keys that sign, and operations continue with them.
///
/// @param store    Not NULL.
/// @param module   As devid_key_open_pkcs11(). May be NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin` and `destroy`. May be NULL.
/// @param destroy  Called once, when the store and all that came out of it is gone, or when this call fails. May be NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if it was not compiled in. What fails later is told by the calls that need the key.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_use_pkcs11(
    store: *const devid_store,
    module: *const c_char,
    pin: devid_pin_fn,
    user: *mut c_void,
    destroy: devid_destroy_fn,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        let user = User::new(user, destroy as Destroy);
        // SAFETY: as the header says.
        let (store, module) = unsafe { (handle_ref(store, "store")?, text_in_opt(module, "module")?) };
        let pin = pin.ok_or_else(|| null("pin"))?;
        built_in::use_in(&store, module, pin, user)
    })
}

/// By what words a key that cannot leave its home is found again: the URI of a key in a token.
///
/// @param key  May be NULL (gives "").
/// @return "" for other keys; valid until the key is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_key_reference(key: *const devid_key) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(key, c"".as_ptr(), |k| k.reference.as_ptr()) }
}

type Pin = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, i32, *mut devid_bytes) -> i32;

#[cfg(feature = "pkcs11")]
mod built_in {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::args::c_text;
    use super::super::key::kind_named;
    use super::*;
    use devid_core::crypto::CryptoError;
    use devid_core::crypto::pkcs11::{PinRequest, PinSource, TokenKey};

    /// The longest PIN that is taken, in bytes; PKCS#11 names no limit, tokens end at 255.
    const MAX_PIN_BYTES: usize = 255;

    fn source(pin: Pin, user: User) -> PinSource {
        Arc::new(move |request: &PinRequest| {
            let (token, serial) = (c_text(&request.token), c_text(&request.serial));
            let (status, given) = devid_bytes::filled_by(MAX_PIN_BYTES, |buffer| {
                let final_try = i32::from(request.is_final_try);
                // SAFETY: as the header says: the program's function takes these for the duration of the call.
                unsafe { pin(user.pointer(), token.as_ptr(), serial.as_ptr(), final_try, buffer) }
            });
            let failed = |words: String| CryptoError::External(status, words);
            match (status, given) {
                (0, Ok(given)) => match std::str::from_utf8(&given) {
                    Ok(text) => Ok(Zeroizing::new(text.to_owned())),
                    Err(_) => Err(failed("the PIN is not UTF-8".to_owned())),
                },
                (0, Err(error)) => Err(failed(error.message().to_owned())),
                (number, _) => Err(failed(format!("the callback answered {number}"))),
            }
        })
    }

    pub fn open(module: Option<&str>, uri: &str, pin: Pin, user: User) -> Result<*mut devid_key, Error> {
        Ok(devid_key::of(Arc::new(TokenKey::open(module, uri, source(pin, user))?)))
    }

    pub fn generate(
        module: Option<&str>,
        uri: &str,
        kind: &str,
        pin: Pin,
        user: User,
    ) -> Result<*mut devid_key, Error> {
        Ok(devid_key::of(Arc::new(TokenKey::generate(module, uri, kind_named(kind)?, source(pin, user))?)))
    }

    pub fn destroy(module: Option<&str>, uri: &str, pin: Pin, user: User) -> Result<(), Error> {
        Ok(TokenKey::destroy(module, uri, source(pin, user))?)
    }

    pub fn use_in(store: &Store, module: Option<&str>, pin: Pin, user: User) -> Result<(), Error> {
        devid_core::client::open_token_keys(store, module, source(pin, user));
        Ok(())
    }
}

#[cfg(not(feature = "pkcs11"))]
mod built_in {
    use super::*;
    use devid_core::Code;

    fn missing<T>() -> Result<T, Error> {
        Err(Error::new(Code::Unsupported, "built without the feature pkcs11"))
    }

    pub fn open(_: Option<&str>, _: &str, _: Pin, _: User) -> Result<*mut devid_key, Error> {
        missing()
    }

    pub fn generate(_: Option<&str>, _: &str, _: &str, _: Pin, _: User) -> Result<*mut devid_key, Error> {
        missing()
    }

    pub fn destroy(_: Option<&str>, _: &str, _: Pin, _: User) -> Result<(), Error> {
        missing()
    }

    pub fn use_in(_: &Store, _: Option<&str>, _: Pin, _: User) -> Result<(), Error> {
        missing()
    }
}
