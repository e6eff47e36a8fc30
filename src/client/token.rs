//! Device memory with keys in PKCS#11 tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::asn1::x509::hex;
use crate::codes::Code;
use crate::crypto::pkcs11::{PinSource, RefusedPin, TokenError, TokenKey, TokenUri};
use crate::crypto::pkcs11::{
    forget_refused_pins, have_kept_refused_pins, is_about_to_try, is_given_by, is_not_tried, merge_refused_pins,
    recall_refused_pins, when_refused,
};
use crate::crypto::{CryptoError, KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{KeyMaker, KeyReference, Seen, Store, StoreError};
use crate::time::Time;

/// Has device memory open the keys that it names by `pkcs11:` URIs, when they are needed, and make the next ones beside them
/// ([`TokenKey::generate_marked`]): renewals stay in the token. `module` and `pin` as [`TokenKey::open`], but a `module-path`
/// that is kept in device memory is never followed: whoever writes there would choose what code runs.
pub fn open_token_keys(store: &Store, module: Option<&str>, pin: PinSource) {
    recall_kept_pins(store, None);
    let tokens = Arc::new(Tokens { module: module.map(str::to_owned), pin: written_before(store, pin) });
    let maker: Arc<dyn KeyMaker> = tokens.clone();
    store.make_keys_with(maker);
    // What a token has refused is refused to the next process as well, whatever the key was opened for, and by whomever in this one.
    store.after_failed_keys(Arc::new(|store: &Store| keep_refused_pins(store, None)));
    when_refused(keeper_of(store));
    store.open_keys_with(Arc::new(move |reference: &KeyReference| {
        if !is_in_token(&reference.reference) {
            return Ok(None);
        }
        let (module, pin) = (Some(tokens.module()?), Arc::clone(&tokens.pin));
        let key = TokenKey::open_known(module, &reference.reference, &reference.spki, pin)?;
        Ok(Some(Arc::new(key) as Arc<dyn PrivateKey>))
    }));
}

/// A PIN for a token whose count is low is written down before it is given: whoever comes after a process that dies with it knows of the try,
/// and who cannot write makes none. The record leaves when the token takes it, or was not there.
pub(crate) fn written_before(store: &Store, pin: PinSource) -> PinSource {
    let (memory, keeper) = (store.downgrade(), keeper_of(store));
    Arc::new(move |request| {
        let pin = pin(request)?;
        is_given_by(Arc::clone(&keeper));
        if let Some(store) = memory.upgrade().filter(|_| request.is_count_low) {
            if is_about_to_try(request, &pin)? {
                write_refused_pins(&store, None).map_err(|error| {
                    is_not_tried(request);
                    let words = "it is not given, as the token says that its count of tries is low, and device memory cannot note the try";
                    CryptoError::External(0, format!("{words}: {error}"))
                })?;
            }
        }
        Ok(pin)
    })
}

/// Has device memory keep what a token has refused, as long as somebody has it open; whether somebody has.
fn keeper_of(store: &Store) -> Arc<dyn Fn(bool) -> bool + Send + Sync> {
    let memory = store.downgrade();
    Arc::new(move |is_refused| {
        let store = memory.upgrade();
        store.iter().filter(|_| is_refused).for_each(|store| keep_refused_pins(store, None));
        store.is_some()
    })
}

/// Device memory keeps under this name which PINs tokens have refused: a token counts wrong ones over all processes, and locks.
const REFUSED: &str = "refused-pins";
const HEAD: &str = "refused pins 2";
const COUNTED: &str = "counted";
const TWICE: &str = "twice";
const UNANSWERED: &str = "unanswered";

/// What an earlier process was refused is not tried by this one, but rarely. `now`: the device's time, if known. Best effort: device memory
/// that cannot be read is told by whoever needs it.
pub(crate) fn recall_kept_pins(store: &Store, now: Option<Time>) {
    if let Ok(kept) = kept_pins(store) {
        // Without a clock it is at least as late as an answer has told.
        let now = now.or_else(|| store.last_known_time().ok().flatten()).filter(|_| !kept.is_empty());
        recall_refused_pins(store.handle(), kept, now.map(|now| now.unix()));
    }
}

/// What this process was refused is kept for the next, beside what others have kept. Best effort, and no write where it is nothing new.
pub(crate) fn keep_refused_pins(store: &Store, now: Option<Time>) {
    let _ = write_refused_pins(store, now);
}

fn write_refused_pins(store: &Store, now: Option<Time>) -> Result<(), StoreError> {
    let merged = || {
        let before = kept_pins(store)?;
        let mut kept = before.clone();
        merge_refused_pins(store.handle(), &mut kept, now.map(|now| now.unix()));
        Ok::<_, StoreError>((before, kept))
    };
    // The lock is for those who write.
    let (before, kept) = merged()?;
    if before == kept {
        return Ok(());
    }
    let _hold = store.hold()?;
    let (before, kept) = merged()?;
    if kept.is_empty() {
        store.remove_blob(REFUSED)?;
    } else if kept != before {
        let lines: String = kept.iter().map(line_of).collect();
        store.put_blob(REFUSED, format!("{HEAD}\n{lines}").as_bytes())?;
    }
    have_kept_refused_pins(store.handle(), &kept);
    Ok(())
}

/// The tokens, by their labels, that have refused a PIN as far as device memory knows.
pub(crate) fn tokens_with_refused_pins(store: &Store) -> Vec<String> {
    let kept = kept_pins(store).unwrap_or_default().into_iter().filter(|pin| pin.unanswered.is_none());
    let labels: BTreeSet<String> = kept.map(|pin| pin.label).collect();
    labels.into_iter().collect()
}

/// None where there is no record, or one that is of no use.
fn kept_pins(store: &Store) -> Result<Vec<RefusedPin>, StoreError> {
    let kept = match store.blob(REFUSED) {
        Ok(kept) => kept,
        Err(error) if error.is_of_no_use() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let read = std::str::from_utf8(&kept).ok().and_then(|text| text.strip_prefix(HEAD)).unwrap_or_default();
    Ok(read.lines().filter_map(refused_of).collect())
}

/// People have put right what was wrong: each PIN may be tried once more.
pub(crate) fn forget_kept_pins(store: &Store) -> Result<(), Error> {
    forget_refused_pins();
    Ok(store.remove_blob(REFUSED)?)
}

fn line_of(pin: &RefusedPin) -> String {
    let RefusedPin { serial, label, salt, digest, given_at, is_counted, is_twice, unanswered } = pin;
    let at = given_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let said =
        [(*is_counted, COUNTED), (*is_twice, TWICE)].into_iter().filter_map(|(is_so, word)| is_so.then_some(word));
    let said = said.map(str::to_owned).chain(unanswered.map(|tries| format!("{UNANSWERED}{tries}")));
    let said = said.collect::<Vec<_>>().join("-");
    let said = if said.is_empty() { "-" } else { &said };
    let (serial, label) = (hex(serial.as_bytes()), hex(label.as_bytes()));
    format!("{serial} {label} {} {} {at} {said}\n", hex(salt), hex(digest))
}

fn refused_of(line: &str) -> Option<RefusedPin> {
    let [serial, label, salt, digest, at, said] = <[&str; 6]>::try_from(line.split(' ').collect::<Vec<_>>()).ok()?;
    Some(RefusedPin {
        serial: String::from_utf8(from_hex(serial)?).ok()?,
        label: String::from_utf8(from_hex(label)?).ok()?,
        salt: from_hex(salt)?.try_into().ok()?,
        digest: from_hex(digest)?.try_into().ok()?,
        given_at: at.parse().ok(),
        is_counted: said.split('-').any(|word| word == COUNTED),
        is_twice: said.split('-').any(|word| word == TWICE),
        unanswered: said.split('-').find_map(|word| word.strip_prefix(UNANSWERED)).and_then(|tries| tries.parse().ok()),
    })
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
    let read = TokenUri::parse(uri).map_err(|error| invalid(&error.to_string()).with_source(error))?;
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
