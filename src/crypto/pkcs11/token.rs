//! Modules and tokens: found, opened, logged in to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::pin::{Held, PinMemory, is_given_by_nobody};
use super::uri::{TokenUri, UriError};
use super::{PinRequest, PinSource, TokenError, words};

/// A module in use.
#[derive(Clone, Debug)]
pub(super) struct Module(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    context: Pkcs11,
    /// For what `cryptoki` does not offer.
    beside: devid_pkcs11::Module,
    path: String,
    /// How often it was initialized: handles of an earlier time mean nothing, or something else.
    epoch: AtomicU64,
    /// Taken for each use of a module that was initialized without locks.
    turn: Mutex<()>,
    has_locks: AtomicBool,
}

impl Module {
    /// Loads a module, once in a process: PKCS#11 allows one initialization. It stays until the process ends, as many
    /// modules do not survive being unloaded.
    pub fn load(path: &str) -> Result<Self, TokenError> {
        static LOADED: Mutex<BTreeMap<String, Module>> = Mutex::new(BTreeMap::new());
        let failed = |error: Error| TokenError::Module(format!("the PKCS#11 module {path}: {}", words::name(&error)));
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(path) {
            return Ok(module.clone());
        }
        let context = Pkcs11::new(path).map_err(failed)?;
        let beside = devid_pkcs11::Module::new(path).map_err(failed)?;
        let module = Module(Arc::new(Loaded {
            context,
            beside,
            path: path.to_owned(),
            epoch: AtomicU64::new(0),
            turn: Mutex::new(()),
            has_locks: AtomicBool::new(true),
        }));
        module.initialize().map_err(failed)?;
        loaded.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    fn initialize(&self) -> Result<(), Error> {
        let with_locks = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        let outcome = match self.0.context.initialize(with_locks) {
            // PKCS#11 2.40 5.4: a module may refuse the kind of locking, or arguments altogether. Without, it counts on
            // one thread at a time.
            Err(Error::Pkcs11(RvError::CantLock | RvError::ArgumentsBad | RvError::NeedToCreateThreads, _)) => {
                self.0.has_locks.store(false, Ordering::SeqCst);
                self.0.beside.initialize_without_arguments()
            }
            other => other,
        };
        match outcome {
            // Another part of the program uses it too.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                self.0.epoch.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Held while the module is used, where it cannot bear two threads.
    pub fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let is_needed = !self.0.has_locks.load(Ordering::SeqCst);
        is_needed.then(|| self.0.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }

    /// C_Sign where C_SignInit went before.
    pub fn finish_signing(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.beside.sign(session, data)
    }

    /// A forked child, or a program whose other part ended the module, begins anew (PKCS#11 2.40 5.4).
    fn slots(&self) -> Result<Vec<Slot>, Error> {
        match self.0.context.get_slots_with_token() {
            Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {
                self.initialize()?;
                self.0.context.get_slots_with_token()
            }
            other => other,
        }
    }

    /// The one token that the URI names.
    pub fn token(&self, uri: &TokenUri) -> Result<Token, TokenError> {
        let mut matching = Vec::new();
        let mut present = Vec::new();
        for slot in self.slots().map_err(|error| self.failed("listing slots", &error))? {
            let Ok(info) = self.0.context.get_token_info(slot) else { continue };
            if !info.token_initialized() {
                continue;
            }
            present.push(crate::words::quoted(info.label()));
            if is_meant(uri, slot, &info) {
                matching.push(Token { module: self.clone(), slot, info });
            }
        }
        match matching.len() {
            1 => Ok(matching.remove(0)),
            0 => Err(TokenError::Away(format!("no token fits {uri}; {} has {}", self.0.path, list(&present)))),
            count => Err(TokenError::Ambiguous(format!("{count} tokens fit {uri}; name it by token and serial"))),
        }
    }

    fn failed(&self, doing: &str, error: &Error) -> TokenError {
        TokenError::Failed(format!("{doing} of {}: {}", self.0.path, words::name(error)))
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
    /// A session, logged in where the token wants that.
    pub fn open(&self, pin: &PinSource, may_write: bool) -> Result<Session, TokenError> {
        let context = &self.module.0.context;
        let session = if may_write { context.open_rw_session(self.slot) } else { context.open_ro_session(self.slot) };
        let session = session.map_err(|error| self.failed("opening a session", &error))?;
        if !self.info.login_required() {
            return Ok(session);
        }
        let is_logged_in = session.get_session_info().is_ok_and(|info| {
            use cryptoki::session::SessionState::{RoUser, RwUser};
            matches!(info.session_state(), RoUser | RwUser)
        });
        if !is_logged_in {
            self.login(&session, UserType::User, pin)?;
        }
        Ok(session)
    }

    /// A session of whoever is not logged in.
    pub fn open_public(&self) -> Result<Session, TokenError> {
        let session = self.module.0.context.open_ro_session(self.slot);
        session.map_err(|error| self.failed("opening a session", &error))
    }

    /// Gives the PIN. One that the token refused is given again rarely ([`PinMemory::held`]), and the last try before it locks is left to
    /// people: whoever loops above this, in this process or the next, cannot lock the token.
    pub fn login(&self, session: &Session, user: UserType, pin: &PinSource) -> Result<(), TokenError> {
        let info = self.read_info()?;
        let label = info.label();
        let locked = || {
            TokenError::PinLocked(format!(
                "the PIN of token {} is locked (CKR_PIN_LOCKED)",
                crate::words::quoted(label)
            ))
        };
        if info.user_pin_locked() {
            return Err(locked());
        }
        if info.protected_authentication_path() {
            return match session.login(user, None) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
                Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(locked()),
                Err(error) => Err(self.failed("logging in at the token's own keypad", &error)),
            };
        }
        if info.user_pin_final_try() {
            let words =
                "one more wrong PIN locks it: the last try is left to a person. Log in with another program first";
            return Err(TokenError::WrongPin(format!(
                "the PIN of token {} is not tried, as {words}",
                crate::words::quoted(label)
            )));
        }
        let request = PinRequest {
            token: label.to_owned(),
            serial: info.serial_number().to_owned(),
            is_final_try: info.user_pin_final_try(),
            is_count_low: info.user_pin_count_low(),
        };
        is_given_by_nobody();
        let pin: Zeroizing<String> = pin(&request).map_err(TokenError::NoPin)?;
        let memory = PinMemory::of(info.serial_number(), label);
        if let Some(held) = memory.held(&pin, request.is_count_low).map_err(TokenError::NoPin)? {
            memory.take_back();
            return Err(held_back(held, label));
        }
        match session.login(user, Some(&AuthPin::new(pin.as_str().into()))) {
            Ok(()) => {
                memory.accepted();
                Ok(())
            }
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                memory.take_back();
                Ok(())
            }
            Err(error) => Err(self.refused(&error, &memory, &pin)),
        }
    }

    /// What a failed login says about the PIN.
    fn refused(&self, error: &Error, memory: &PinMemory, pin: &str) -> TokenError {
        let (label, name) = (self.info.label(), words::name(error));
        let wrong = || {
            memory.refused(pin);
            TokenError::WrongPin(format!("token {} does not take the PIN ({name})", crate::words::quoted(label)))
        };
        match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => wrong(),
            Error::Pkcs11(RvError::PinLocked, _) => {
                memory.refused(pin);
                TokenError::PinLocked(format!("the PIN of token {} is locked ({name})", crate::words::quoted(label)))
            }
            error if is_stale(error) => {
                memory.take_back();
                self.failed("logging in", error)
            }
            // Some modules report a wrong PIN as a general error; the token's own counter tells.
            _ if self.read_info().is_ok_and(|now| now.user_pin_count_low() && !self.info.user_pin_count_low()) => {
                wrong()
            }
            error => {
                memory.failed_unclearly(pin);
                self.failed("logging in", error)
            }
        }
    }

    fn read_info(&self) -> Result<TokenInfo, TokenError> {
        let info = self.module.0.context.get_token_info(self.slot);
        info.map_err(|error| self.failed("reading the token", &error))
    }

    /// The private keys that the URI names.
    pub fn private_keys(&self, session: &Session, uri: &TokenUri) -> Result<Vec<ObjectHandle>, TokenError> {
        let label = uri.object.as_deref().map(str::as_bytes);
        self.objects(session, ObjectClass::PRIVATE_KEY, label, uri.id.as_deref())
    }

    pub fn objects(
        &self,
        session: &Session,
        class: ObjectClass,
        label: Option<&[u8]>,
        id: Option<&[u8]>,
    ) -> Result<Vec<ObjectHandle>, TokenError> {
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        template.extend(label.map(|label| Attribute::Label(label.to_vec())));
        template.extend(id.map(|id| Attribute::Id(id.to_vec())));
        session.find_objects(&template).map_err(|error| self.failed("looking for keys", &error))
    }

    pub fn failed(&self, doing: &str, error: &Error) -> TokenError {
        TokenError::Failed(format!(
            "{doing} of token {}: {}",
            crate::words::quoted(self.info.label()),
            words::name(error)
        ))
    }
}

/// Why a PIN is not given.
fn held_back(held: Held, label: &str) -> TokenError {
    let label = crate::words::quoted(label);
    let now = "let it be tried at once (`devid store reset`, Renewal.reset)";
    let until = match held {
        Held::WhileLow => "while the token says that its count of tries is low",
        Held::ForAWeek => "for a week",
        Held::ForGood => "by itself",
        Held::Unanswered(tries) => {
            return TokenError::Failed(format!(
                "token {label}: {tries} tries of the PIN given ended without an answer, and the token may have counted them; it is tried \
                 again a day or a week after the last: see to the token, or {now}"
            ));
        }
    };
    TokenError::WrongPin(format!(
        "token {label}: the PIN given was refused before (CKR_PIN_INCORRECT); it is not tried again {until}, as wrong ones lock a token: \
         give the right one; if it is right by now, log in with it by another program or {now}"
    ))
}

/// Whether the session, or what it knew of the token, is gone: no fault of what was asked.
fn is_stale(error: &Error) -> bool {
    use RvError as Rv;
    matches!(
        error,
        Error::Pkcs11(
            Rv::SessionHandleInvalid
                | Rv::SessionClosed
                | Rv::DeviceRemoved
                | Rv::TokenNotPresent
                | Rv::CryptokiNotInitialized
                | Rv::FunctionCanceled,
            _
        )
    )
}

/// Whether a new session may do what this one could not. Modules say anything when a token was away, the process was
/// forked or another program reset the token; so all but the errors that are about the request itself.
pub(super) fn may_begin_anew(error: &Error) -> bool {
    use RvError as Rv;
    match error {
        Error::Pkcs11(error, _) => !matches!(
            error,
            Rv::MechanismInvalid
                | Rv::MechanismParamInvalid
                | Rv::KeyFunctionNotPermitted
                | Rv::KeyTypeInconsistent
                | Rv::KeySizeRange
                | Rv::DataInvalid
                | Rv::DataLenRange
                | Rv::FunctionNotSupported
                | Rv::FunctionCanceled
                | Rv::PinIncorrect
                | Rv::PinLocked
                | Rv::PinExpired
        ),
        _ => false,
    }
}

/// How a key gets back to its token.
#[derive(Clone)]
pub(super) struct Way {
    pub module: Module,
    pub uri: Arc<TokenUri>,
    /// Its public half, where that is known: several keys of one name are told apart by it.
    pub spki: Option<Arc<[u8]>>,
    pub pin: PinSource,
}

impl Way {
    /// By module and URI, which must be whole.
    pub fn find(module: Option<&str>, uri: &str, pin: PinSource) -> Result<Self, TokenError> {
        let uri = TokenUri::parse(uri).map_err(TokenError::Uri)?;
        let path = module.or(uri.module_path.as_deref());
        let path = path.ok_or(TokenError::Uri(UriError::NoModule))?;
        Ok(Way { module: Module::load(path)?, uri: Arc::new(uri), spki: None, pin })
    }
}
