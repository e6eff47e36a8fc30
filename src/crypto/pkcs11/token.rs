//! Modules and tokens: found, opened, logged in to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::uri::TokenUri;
use super::{PinRequest, PinSource, TokenError};

/// A module in use.
#[derive(Clone, Debug)]
pub(super) struct Module {
    context: Pkcs11,
    path: String,
}

impl Module {
    /// Loads a module, once in a process: PKCS#11 allows one initialization. It stays until the process ends, as many
    /// modules do not survive being unloaded.
    pub fn load(path: &str) -> Result<Self, TokenError> {
        static LOADED: Mutex<BTreeMap<String, Pkcs11>> = Mutex::new(BTreeMap::new());
        let failed = |error: Error| TokenError::Module(format!("the PKCS#11 module {path}: {error}"));
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = loaded.get(path) {
            return Ok(Module { context: context.clone(), path: path.to_owned() });
        }
        let context = Pkcs11::new(path).map_err(failed)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of the program uses it too.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        loaded.insert(path.to_owned(), context.clone());
        Ok(Module { context, path: path.to_owned() })
    }

    /// The one token that the URI names.
    pub fn token(&self, uri: &TokenUri) -> Result<Token, TokenError> {
        let mut matching = Vec::new();
        let mut present = Vec::new();
        for slot in self.context.get_slots_with_token().map_err(|error| self.failed("listing slots", &error))? {
            let Ok(info) = self.context.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            present.push(format!("{:?}", info.label()));
            if is_meant(uri, slot, &info) {
                matching.push(Token { module: self.clone(), slot, info });
            }
        }
        match matching.len() {
            1 => Ok(matching.remove(0)),
            0 => Err(TokenError::NotFound(format!("no token fits {uri}; {} has {}", self.path, list(&present)))),
            count => Err(TokenError::Ambiguous(format!("{count} tokens fit {uri}; name it by token and serial"))),
        }
    }

    fn failed(&self, doing: &str, error: &Error) -> TokenError {
        TokenError::Failed(format!("{doing} of {}: {error}", self.path))
    }
}

fn is_meant(uri: &TokenUri, slot: Slot, info: &TokenInfo) -> bool {
    let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    fits(&uri.token, info.label())
        && fits(&uri.manufacturer, info.manufacturer_id())
        && fits(&uri.serial, info.serial_number())
        && fits(&uri.model, info.model())
        && uri.slot_id.is_none_or(|wanted| wanted == slot.id())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no token at all".to_owned() } else { names.join(", ") }
}

/// A token that is there.
pub(super) struct Token {
    module: Module,
    slot: Slot,
    pub info: TokenInfo,
}

impl Token {
    /// A session, logged in where the token wants that. A wrong PIN is not tried twice: tokens lock.
    pub fn open(&self, pin: &PinSource, may_write: bool) -> Result<Session, TokenError> {
        let context = &self.module.context;
        let session = if may_write { context.open_rw_session(self.slot) } else { context.open_ro_session(self.slot) };
        let session = session.map_err(|error| self.failed("opening a session", &error))?;
        if !self.info.login_required() {
            return Ok(session);
        }
        let info = context.get_token_info(self.slot).map_err(|error| self.failed("reading the token", &error))?;
        if info.user_pin_locked() {
            return Err(TokenError::PinLocked(format!("the PIN of token {:?} is locked", info.label())));
        }
        let is_logged_in = session.get_session_info().is_ok_and(|info| {
            use cryptoki::session::SessionState::{RoUser, RwUser};
            matches!(info.session_state(), RoUser | RwUser)
        });
        if is_logged_in {
            return Ok(session);
        }
        let login = if info.protected_authentication_path() {
            session.login(UserType::User, None)
        } else {
            let request = PinRequest {
                token: info.label().to_owned(),
                serial: info.serial_number().to_owned(),
                is_final_try: info.user_pin_final_try(),
            };
            let pin: Zeroizing<String> = pin(&request).map_err(TokenError::NoPin)?;
            session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into())))
        };
        match login {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Err(TokenError::WrongPin(format!("token {:?} does not take the PIN", info.label())))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => {
                Err(TokenError::PinLocked(format!("the PIN of token {:?} is locked", info.label())))
            }
            Err(error) => Err(self.failed("logging in", &error)),
        }
    }

    /// The one private key that the URI names.
    pub fn private_key(&self, session: &Session, uri: &TokenUri) -> Result<ObjectHandle, TokenError> {
        let found = self.objects(session, ObjectClass::PRIVATE_KEY, uri.object.as_deref(), uri.id.as_deref())?;
        match found.as_slice() {
            [key] => Ok(*key),
            [] => Err(TokenError::NotFound(format!("there is no private key for {uri} in the token"))),
            more => {
                Err(TokenError::Ambiguous(format!("{} private keys fit {uri}; name it by object and id", more.len())))
            }
        }
    }

    pub fn objects(
        &self,
        session: &Session,
        class: ObjectClass,
        label: Option<&str>,
        id: Option<&[u8]>,
    ) -> Result<Vec<ObjectHandle>, TokenError> {
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
        template.extend(id.map(|id| Attribute::Id(id.to_vec())));
        session.find_objects(&template).map_err(|error| self.failed("looking for keys", &error))
    }

    pub fn failed(&self, doing: &str, error: &Error) -> TokenError {
        TokenError::Failed(format!("{doing} of token {:?}: {error}", self.info.label()))
    }
}

/// Whether the session, or what it knew of the token, is gone: a new one may do.
pub(super) fn is_stale(error: &Error) -> bool {
    use RvError as Rv;
    matches!(
        error,
        Error::Pkcs11(
            Rv::SessionHandleInvalid
                | Rv::SessionClosed
                | Rv::DeviceRemoved
                | Rv::TokenNotPresent
                | Rv::UserNotLoggedIn
                | Rv::KeyHandleInvalid
                | Rv::ObjectHandleInvalid,
            _
        )
    )
}

/// How a key gets back to its token.
#[derive(Clone)]
pub(super) struct Way {
    pub module: Module,
    pub uri: Arc<TokenUri>,
    pub pin: PinSource,
}
