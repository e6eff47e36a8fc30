//! Private keys in PKCS#11 tokens: HSMs, smart cards, secure elements. The private half never leaves the token.

use super::prelude::*;
use devid_core::store::Store;
use std::ffi::c_void;

/// Gives the user's PIN for a token. Called when the token wants a login, in the thread that uses the key; must not use the key.
///
/// token, serial: label and serial number of the token. final_try: 0; where one more wrong PIN would lock the token, no PIN is asked for. pin: give the PIN
/// (UTF-8) with devid_bytes_append(). Return 0, or a negative number to fail.
#[callback]
pub type devid_pin_fn = fn(token: &str, serial: &str, final_try: i32, pin: &mut devid_bytes) -> i32;

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
/// @return DEVID_OK; DEVID_E_NOT_FOUND if token or key is not there, DEVID_E_WRONG_SECRET if the token does not take the PIN,
///         DEVID_E_INVALID_ARGUMENT for a URI that is not understood or not clear, DEVID_E_SIGNER if module or token fails,
///         DEVID_E_UNSUPPORTED if it was not compiled in: see devid_supports("pkcs11").
#[export]
fn devid_key_open_pkcs11(module: Option<&str>, uri: &str, pin: devid_pin_fn, user: User) -> Result<devid_key, Error> {
    built_in::open(module, uri, pin, user)
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
/// @return As devid_key_open_pkcs11(); DEVID_E_EXISTS if such a key is there already, DEVID_E_ALGORITHM for other kinds.
#[export]
fn devid_key_generate_pkcs11(
    module: Option<&str>,
    uri: &str,
    kind: &str,
    pin: devid_pin_fn,
    user: User,
) -> Result<devid_key, Error> {
    built_in::generate(module, uri, kind, pin, user)
}

/// Destroys a private key in a token, and its public half: when the identity it was for is gone for good.
///
/// @param module   As devid_key_open_pkcs11(). May be NULL.
/// @param uri      Names token and key. Not NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin`. May be NULL.
/// @return As devid_key_open_pkcs11().
#[export]
fn devid_key_destroy_pkcs11(
    module: Option<&str>,
    uri: &str,
    pin: devid_pin_fn,
    user: *mut c_void,
) -> Result<(), Error> {
    let user = User::new(user, None);
    built_in::destroy(module, uri, pin, user)
}

/// Has device memory open the keys that it names by "pkcs11:" URIs, when they are needed: devid_identity_key() and
/// devid_store_pending_key() then give keys that sign, and operations continue with them.
///
/// @param module   As devid_key_open_pkcs11(). May be NULL.
/// @param pin      Gives the PIN. Not NULL.
/// @param user     Passed to `pin` and `destroy`. May be NULL.
/// @param destroy  Called once, when the store and all that came out of it is gone, or when this call fails. May be NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED if it was not compiled in. What fails later is told by the calls that need the key.
#[export]
fn devid_store_set_pkcs11(
    store: &devid_store,
    module: Option<&str>,
    pin: devid_pin_fn,
    user: User,
) -> Result<(), Error> {
    built_in::use_in(store, module, pin, user)
}

/// By what reference a key that cannot leave its home is found again: the URI of a key in a token, or the text that device memory keeps
/// for a key that signs elsewhere.
///
/// @return "" for other keys; valid until the key is freed.
#[export]
fn devid_key_reference(key: &devid_key) -> &CStr {
    &key.reference
}

#[cfg(feature = "pkcs11")]
mod built_in {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::*;
    use devid_core::crypto::pkcs11::{PinRequest, PinSource, TokenKey};
    use devid_core::crypto::{CryptoError, KeyKind};

    /// The longest PIN that is taken, in bytes; PKCS#11 names no limit, tokens end at 255.
    const MAX_PIN_BYTES: usize = 255;

    fn source(pin: devid_pin_fn, user: User) -> PinSource {
        Arc::new(move |request: &PinRequest| {
            let (status, given) = devid_bytes::filled_by(MAX_PIN_BYTES, |buffer| {
                let final_try = i32::from(request.is_final_try);
                devid_pin_fn(pin, &user, &request.token, &request.serial, final_try, buffer)
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

    pub fn open(module: Option<&str>, uri: &str, pin: devid_pin_fn, user: User) -> Result<devid_key, Error> {
        Ok(devid_key::of(Arc::new(TokenKey::open(module, uri, source(pin, user))?)))
    }

    pub fn generate(
        module: Option<&str>,
        uri: &str,
        kind: &str,
        pin: devid_pin_fn,
        user: User,
    ) -> Result<devid_key, Error> {
        Ok(devid_key::of(Arc::new(TokenKey::generate(module, uri, KeyKind::named(kind)?, source(pin, user))?)))
    }

    pub fn destroy(module: Option<&str>, uri: &str, pin: devid_pin_fn, user: User) -> Result<(), Error> {
        Ok(TokenKey::destroy(module, uri, source(pin, user))?)
    }

    pub fn use_in(store: &Store, module: Option<&str>, pin: devid_pin_fn, user: User) -> Result<(), Error> {
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

    pub fn open(_: Option<&str>, _: &str, _: devid_pin_fn, _: User) -> Result<devid_key, Error> {
        missing()
    }

    pub fn generate(_: Option<&str>, _: &str, _: &str, _: devid_pin_fn, _: User) -> Result<devid_key, Error> {
        missing()
    }

    pub fn destroy(_: Option<&str>, _: &str, _: devid_pin_fn, _: User) -> Result<(), Error> {
        missing()
    }

    pub fn use_in(_: &Store, _: Option<&str>, _: devid_pin_fn, _: User) -> Result<(), Error> {
        missing()
    }
}
