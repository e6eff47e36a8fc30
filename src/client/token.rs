//! Device memory with keys in PKCS#11 tokens.

use std::sync::Arc;

use crate::asn1::x509::hex;
use crate::codes::Code;
use crate::crypto::pkcs11::{PinSource, RefusedPin, TokenError, TokenKey, TokenUri};
use crate::crypto::pkcs11::{forget_refused_pins, refused_pins, remember_refused_pins};
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{KeyMaker, KeyReference, Seen, Store};

/// Has device memory open the keys that it names by `pkcs11:` URIs, when they are needed, and make the next ones beside them
/// ([`TokenKey::generate_marked`]): renewals stay in the token. `module` and `pin` as [`TokenKey::open`], but a `module-path`
/// that is kept in device memory is never followed: whoever writes there would choose what code runs.
pub fn open_token_keys(store: &Store, module: Option<&str>, pin: PinSource) {
    recall_refused_pins(store);
    let tokens = Arc::new(Tokens { module: module.map(str::to_owned), pin });
    let maker: Arc<dyn KeyMaker> = tokens.clone();
    store.make_keys_with(maker);
    // What a token has refused is refused to the next process as well, whatever the key was opened for.
    store.after_failed_keys(Arc::new(keep_refused_pins));
    store.open_keys_with(Arc::new(move |reference: &KeyReference| {
        if !is_in_token(&reference.reference) {
            return Ok(None);
        }
        let (module, pin) = (Some(tokens.module()?), Arc::clone(&tokens.pin));
        let key = TokenKey::open_known(module, &reference.reference, &reference.spki, pin)?;
        Ok(Some(Arc::new(key) as Arc<dyn PrivateKey>))
    }));
}

/// Device memory keeps under this name which PINs tokens have refused: a token counts wrong ones over all processes, and locks.
const REFUSED: &str = "refused-pins";
const HEAD: &str = "refused pins 1";

/// What an earlier process was refused is not tried by this one. Best effort: device memory that cannot be read is told by whoever needs it.
pub(crate) fn recall_refused_pins(store: &Store) {
    let Ok(kept) = store.blob(REFUSED) else { return };
    let read = std::str::from_utf8(&kept).ok().and_then(|text| text.strip_prefix(HEAD)).unwrap_or_default();
    remember_refused_pins(read.lines().filter_map(refused_of).collect());
}

/// What this process was refused is kept for the next. Best effort, and no write where it is nothing new.
pub(crate) fn keep_refused_pins(store: &Store) {
    let refused = refused_pins();
    let lines: String = refused.iter().map(line_of).collect();
    let text = format!("{HEAD}\n{lines}");
    let _ = match store.blob(REFUSED) {
        Ok(kept) if kept.as_slice() == text.as_bytes() => Ok(()),
        Ok(_) if refused.is_empty() => store.remove_blob(REFUSED),
        Err(_) if refused.is_empty() => Ok(()),
        _ => store.put_blob(REFUSED, text.as_bytes()),
    };
}

/// People have put right what was wrong: each PIN may be tried once more.
pub(crate) fn forget_kept_pins(store: &Store) -> Result<(), Error> {
    forget_refused_pins();
    Ok(store.remove_blob(REFUSED)?)
}

fn line_of(pin: &RefusedPin) -> String {
    let RefusedPin { serial, label, salt, digest } = pin;
    format!("{} {} {} {}\n", hex(serial.as_bytes()), hex(label.as_bytes()), hex(salt), hex(digest))
}

fn refused_of(line: &str) -> Option<RefusedPin> {
    let fields: Vec<Vec<u8>> = line.split(' ').map(from_hex).collect::<Option<_>>()?;
    let [serial, label, salt, digest] = <[Vec<u8>; 4]>::try_from(fields).ok()?;
    let (serial, label) = (String::from_utf8(serial).ok()?, String::from_utf8(label).ok()?);
    Some(RefusedPin { serial, label, salt: salt.try_into().ok()?, digest: digest.try_into().ok()? })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.is_ascii() && text.len() % 2 == 0;
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    if digits { (0..text.len()).step_by(2).map(byte).collect() } else { None }
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

    fn announce(&self, place: &str) -> Result<Option<String>, Error> {
        if !is_in_token(place) {
            return Ok(None);
        }
        Ok(Some(TokenKey::announce(Some(self.module()?), place)?))
    }

    fn make_announced(&self, words: &str, kind: KeyKind) -> Result<Arc<dyn PrivateKey>, Error> {
        Ok(Arc::new(TokenKey::generate_announced(Some(self.module()?), words, kind, Arc::clone(&self.pin))?))
    }

    fn destroy_announced(&self, words: &str) -> Result<bool, Error> {
        if !TokenUri::parse(words).is_ok_and(|uri| uri.is_marked()) {
            return Ok(false);
        }
        match TokenKey::destroy(Some(self.module()?), words, Arc::clone(&self.pin)) {
            Ok(()) => Ok(true),
            Err(TokenError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn look(&self, reference: &KeyReference) -> Result<Seen, Error> {
        if !is_in_token(&reference.reference) {
            return Ok(Seen::Untold);
        }
        let is_ours = TokenUri::parse(&reference.reference).is_ok_and(|uri| uri.is_marked());
        Ok(match TokenKey::shows_public_half(Some(self.module()?), &reference.reference, &reference.spki)? {
            true => Seen::There,
            // Others may hide the public half, or have none.
            false if is_ours => Seen::Gone,
            false => Seen::Untold,
        })
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
