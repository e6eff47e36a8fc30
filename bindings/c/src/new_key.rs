//! Where renewals make their new keys.

use std::sync::Arc;

use super::args::Slot;
use super::prelude::*;
use super::run::ended_by_program;
use devid_core::crypto::{KeyKind, PrivateKey};
use devid_core::store::Store;

/// The place for a key that a function of the program makes, for the time of a call of devid_new_key_fn.
#[handle]
pub type devid_new_key = NewKey;

#[doc(hidden)]
#[derive(Default)]
pub struct NewKey(Option<Arc<dyn PrivateKey>>);

/// Makes a new key for an identity. kind: what the key in use is, such as "P-256"; "" for the first one. place: takes the key by
/// devid_new_key_set(). Return 0; a number at or below -10000, which becomes the status of the call; or DEVID_E_CANCELLED.
#[callback]
pub type devid_new_key_fn = fn(kind: &str, place: &mut devid_new_key) -> i32;

/// Where new keys come from.
#[derive(Default)]
pub(super) enum NewKeys {
    /// Where the key in use is; device memory for the first one.
    #[default]
    BesideTheOld,
    /// A place that device memory's maker understands, and the kind of all keys there.
    At(String, KeyKind),
    /// The program makes them.
    Program(devid_new_key_fn, User),
}

impl NewKeys {
    /// Whether it is told here where keys are made.
    pub(super) fn is_elsewhere(&self) -> bool {
        !matches!(self, NewKeys::BesideTheOld)
    }

    /// A new key for an identity.
    pub(super) fn make(&self, store: &Store, name: &str) -> Result<Arc<dyn PrivateKey>, Error> {
        match self {
            NewKeys::BesideTheOld => Err(Error::new(Code::State, "nobody was told to make keys")),
            NewKeys::At(place, kind) => store.make_key(name, place, *kind)?.ok_or_else(|| {
                let words =
                    format!("{place}: device memory was not told how to make keys there: devid_store_set_pkcs11()");
                Error::new(Code::State, words)
            }),
            NewKeys::Program(make, user) => {
                let current = store.current(name).ok();
                made_by(*make, user, current.map(|identity| identity.key.kind()))
            }
        }
    }
}

fn made_by(make: devid_new_key_fn, user: &User, kind: Option<KeyKind>) -> Result<Arc<dyn PrivateKey>, Error> {
    let place = Slot::lent(NewKey::default());
    let kind = kind.map_or_else(String::new, |kind| kind.to_string());
    match devid_new_key_fn(make, user, &kind, &place) {
        0 => {
            let nothing = || Error::new(Code::State, "the function for new keys gave none");
            place.into_value().0.ok_or_else(nothing)
        }
        number => Err(ended_by_program("new keys", number)),
    }
}

/// Puts a key into its place.
///
/// @param place  As given to devid_new_key_fn. Not NULL.
/// @param key    Signs when asked; stays the program's. Not NULL.
/// @return DEVID_OK; DEVID_E_UNSUPPORTED for a key that signs as a step of an operation.
#[export]
fn devid_new_key_set(place: &mut devid_new_key, key: &devid_key) -> Result<(), Error> {
    place.0 = Some(Arc::clone(key.at_hand()?));
    Ok(())
}

/// Makes the keys of an identity, the first one and each that follows, in a token. Each gets a CKA_ID of its own, whose beginning
/// stands also in its label behind the name: "router~3f2a9c01". A key that was made so is destroyed when device memory does not
/// name it any more: after a request that came to nothing, or when its generation is dropped.
///
/// Without this call a new key is made where the one in use is and of its kind: in device memory, or in the same token.
///
/// @param renewal  Run with device memory that devid_store_set_pkcs11() told module and PIN. Not NULL.
/// @param uri      Names token and name (RFC 7512), such as "pkcs11:token=device;object=router"; without `id`. NULL: as without
///                 this call. May be NULL.
/// @param kind     As devid_key_generate_pkcs11(). NULL: "P-256". May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a URI that is not understood; DEVID_E_UNSUPPORTED if tokens were not compiled in.
#[export]
fn devid_renewal_set_new_key(renewal: &mut devid_renewal, uri: Option<&str>, kind: Option<&str>) -> Result<(), Error> {
    renewal.new_keys = match uri {
        None => NewKeys::BesideTheOld,
        Some(uri) => {
            check(uri)?;
            NewKeys::At(uri.to_owned(), KeyKind::named(kind.unwrap_or("P-256"))?)
        }
    };
    Ok(())
}

#[cfg(feature = "pkcs11")]
fn check(uri: &str) -> Result<(), Error> {
    devid_core::client::check_key_template(uri)
}

#[cfg(not(feature = "pkcs11"))]
fn check(_: &str) -> Result<(), Error> {
    Err(Error::new(Code::Unsupported, "built without the feature pkcs11"))
}

/// Has a function of the program make the keys of an identity: in a secure element, or a token that is not spoken to by PKCS#11.
///
/// @param make     NULL: as without devid_renewal_set_new_key(). May be NULL.
/// @param user     Passed to `make` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_key_maker(
    renewal: &mut devid_renewal,
    make: Option<devid_new_key_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.new_keys = make.map_or(NewKeys::BesideTheOld, |make| NewKeys::Program(make, user));
    Ok(())
}
