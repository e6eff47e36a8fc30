//! Device memory with keys in PKCS#11 tokens.

use std::sync::Arc;

use crate::crypto::PrivateKey;
use crate::crypto::pkcs11::{PinSource, TokenKey};
use crate::store::{KeyReference, Store};

/// Has device memory open the keys that it names by `pkcs11:` URIs, when they are needed. `module` and `pin` as
/// [`TokenKey::open`].
pub fn open_token_keys(store: &Store, module: Option<&str>, pin: PinSource) {
    let module = module.map(str::to_owned);
    store.open_keys_with(Arc::new(move |reference: &KeyReference| {
        if !reference.reference.starts_with("pkcs11:") {
            return Ok(None);
        }
        let key = TokenKey::open(module.as_deref(), &reference.reference, Arc::clone(&pin))?;
        Ok(Some(Arc::new(key) as Arc<dyn PrivateKey>))
    }));
}
