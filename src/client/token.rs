//! Device memory with keys in PKCS#11 tokens.

use std::sync::Arc;

use crate::codes::Code;
use crate::crypto::PrivateKey;
use crate::crypto::pkcs11::{PinSource, TokenKey};
use crate::error::Error;
use crate::store::{KeyReference, Store};

/// Has device memory open the keys that it names by `pkcs11:` URIs, when they are needed. `module` and `pin` as
/// [`TokenKey::open`], but a `module-path` that is kept in device memory is never followed: whoever writes there would choose
/// what code runs.
pub fn open_token_keys(store: &Store, module: Option<&str>, pin: PinSource) {
    let module = module.map(str::to_owned);
    store.open_keys_with(Arc::new(move |reference: &KeyReference| {
        if !reference.reference.starts_with("pkcs11:") {
            return Ok(None);
        }
        let module = module.as_deref().ok_or_else(|| {
            let words = "device memory names a key in a token: say which module opens it; a module-path that is kept is not followed";
            Error::new(Code::InvalidArgument, words)
        })?;
        let key = TokenKey::open(Some(module), &reference.reference, Arc::clone(&pin))?;
        Ok(Some(Arc::new(key) as Arc<dyn PrivateKey>))
    }));
}
