//! Device memory with keys in PKCS#11 tokens.

use std::sync::Arc;

use crate::codes::Code;
use crate::crypto::pkcs11::{PinSource, TokenError, TokenKey, TokenUri};
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{KeyMaker, KeyReference, Store};

/// Has device memory open the keys that it names by `pkcs11:` URIs, when they are needed, and make the next ones beside them
/// ([`TokenKey::generate_marked`]): renewals stay in the token. `module` and `pin` as [`TokenKey::open`], but a `module-path`
/// that is kept in device memory is never followed: whoever writes there would choose what code runs.
pub fn open_token_keys(store: &Store, module: Option<&str>, pin: PinSource) {
    let tokens = Arc::new(Tokens { module: module.map(str::to_owned), pin });
    let maker: Arc<dyn KeyMaker> = tokens.clone();
    store.make_keys_with(maker);
    store.open_keys_with(Arc::new(move |reference: &KeyReference| {
        if !is_in_token(&reference.reference) {
            return Ok(None);
        }
        let (module, pin) = (Some(tokens.module()?), Arc::clone(&tokens.pin));
        let key = TokenKey::open_known(module, &reference.reference, &reference.spki, pin)?;
        Ok(Some(Arc::new(key) as Arc<dyn PrivateKey>))
    }));
}

/// Checks a URI that says where new keys are to be made: it names a token and, by `object`, what the keys are called. It has no
/// `id`, as each key gets its own.
pub fn check_key_template(uri: &str) -> Result<(), Error> {
    let invalid = |words: &str| Error::new(Code::InvalidArgument, format!("{}: {words}", crate::words::uri(uri)));
    let read = TokenUri::parse(uri).map_err(|words| invalid(&words))?;
    match (read.object.as_deref(), &read.id, &read.module_path) {
        (None | Some(""), ..) => Err(invalid("new keys need a name, object=...")),
        (_, Some(_), _) => Err(invalid("new keys get an id each, the URI has none")),
        (.., Some(_)) => Err(invalid("the module is the one that device memory was told")),
        _ => Ok(()),
    }
}

/// The tokens of one module.
struct Tokens {
    module: Option<String>,
    pin: PinSource,
}

impl Tokens {
    fn module(&self) -> Result<&str, Error> {
        self.module.as_deref().ok_or_else(|| {
            let words = "device memory names a key in a token: say which module opens it; a module-path that is kept is not followed";
            Error::new(Code::InvalidArgument, words)
        })
    }
}

impl KeyMaker for Tokens {
    fn make(&self, place: &str, kind: KeyKind) -> Result<Option<Arc<dyn PrivateKey>>, Error> {
        if !is_in_token(place) {
            return Ok(None);
        }
        let key = TokenKey::generate_marked(Some(self.module()?), place, kind, Arc::clone(&self.pin))?;
        Ok(Some(Arc::new(key)))
    }

    fn destroy(&self, reference: &KeyReference) -> Result<bool, Error> {
        let is_ours = TokenUri::parse(&reference.reference).is_ok_and(|uri| uri.is_marked());
        if !is_ours {
            return Ok(false);
        }
        let (module, pin) = (Some(self.module()?), Arc::clone(&self.pin));
        match TokenKey::destroy_known(module, &reference.reference, &reference.spki, pin) {
            Ok(()) => Ok(true),
            Err(TokenError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_in_token(words: &str) -> bool {
    words.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
}
