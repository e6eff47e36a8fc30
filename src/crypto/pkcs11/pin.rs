//! PINs that a token refused: a token counts wrong ones and locks, so none is given twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{CryptoError, DigestAlgorithm, default_provider};

/// Most refused PINs remembered of one token: tokens lock after fewer.
const MAX_REFUSED: usize = 16;

/// How often a PIN is given to a token that fails without saying why. Some report a wrong PIN so.
const MAX_UNCLEAR: u32 = 2;

/// What it costs to guess a refused PIN from what is remembered of it, in iterations of PBKDF2: some ten milliseconds each.
const ITERATIONS: u32 = 20_000;

/// A PIN that a token has refused, as far as it is remembered: enough to know it again. A PIN refused by one token may be the right one of
/// another: it is not kept itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPin {
    /// The token's serial number.
    pub serial: String,
    /// The token's label.
    pub label: String,
    /// Random.
    pub salt: [u8; 16],
    /// PBKDF2 with HMAC-SHA256 of the PIN.
    pub digest: [u8; 32],
}

impl RefusedPin {
    fn is_of(&self, pin: &str) -> Result<bool, CryptoError> {
        Ok(digest(pin, &self.salt)? == self.digest)
    }
}

/// What a process knows about the PINs of one token.
#[derive(Default)]
struct Refused {
    pins: Vec<RefusedPin>,
    /// The PIN with which logging in failed for no clear reason, and how often in a row.
    unclear: Option<(RefusedPin, u32)>,
}

/// By serial number and label. Two programs in one process share it, as they share the token's counter.
static TOKENS: Mutex<BTreeMap<(String, String), Refused>> = Mutex::new(BTreeMap::new());

/// What this process knows to be refused: for who keeps it from process to process.
pub fn refused_pins() -> Vec<RefusedPin> {
    tokens().values().flat_map(|known| known.pins.iter().cloned()).collect()
}

/// What another process has kept.
pub fn remember_refused_pins(kept: Vec<RefusedPin>) {
    let mut tokens = tokens();
    for pin in kept {
        let known = tokens.entry((pin.serial.clone(), pin.label.clone())).or_default();
        if !known.pins.contains(&pin) && known.pins.len() < MAX_REFUSED {
            known.pins.push(pin);
        }
    }
}

/// For people who say so: each may be tried once more.
pub fn forget_refused_pins() {
    tokens().clear();
}

/// A token's part of the memory.
pub(super) struct PinMemory {
    token: (String, String),
}

impl PinMemory {
    pub fn of(serial: &str, label: &str) -> Self {
        PinMemory { token: (serial.to_owned(), label.to_owned()) }
    }

    /// Whether this PIN is not to be tried again.
    pub fn is_refused(&self, pin: &str) -> Result<bool, CryptoError> {
        let tokens = tokens();
        let Some(known) = tokens.get(&self.token) else { return Ok(false) };
        for refused in &known.pins {
            if refused.is_of(pin)? {
                return Ok(true);
            }
        }
        match &known.unclear {
            Some((unclear, count)) if *count >= MAX_UNCLEAR => unclear.is_of(pin),
            _ => Ok(false),
        }
    }

    pub fn refused(&self, pin: &str) {
        let (Ok(false), Ok(refused)) = (self.is_refused(pin), self.mark(pin)) else { return };
        let mut tokens = tokens();
        let known = tokens.entry(self.token.clone()).or_default();
        if known.pins.len() < MAX_REFUSED {
            known.pins.push(refused);
        }
    }

    /// Logging in failed, and the PIN may be the reason.
    pub fn failed_unclearly(&self, pin: &str) {
        let Ok(mark) = self.mark(pin) else { return };
        let mut tokens = tokens();
        let known = tokens.entry(self.token.clone()).or_default();
        let before = known.unclear.take().filter(|(unclear, _)| unclear.is_of(pin).unwrap_or(false));
        known.unclear = Some(before.map_or((mark, 1), |(unclear, count)| (unclear, count + 1)));
    }

    /// A PIN was taken: the token's own counter begins anew, too.
    pub fn accepted(&self) {
        tokens().remove(&self.token);
    }

    fn mark(&self, pin: &str) -> Result<RefusedPin, CryptoError> {
        let (serial, label) = self.token.clone();
        let mut salt = [0; 16];
        default_provider().random(&mut salt)?;
        Ok(RefusedPin { serial, label, salt, digest: digest(pin, &salt)? })
    }
}

fn tokens() -> MutexGuard<'static, BTreeMap<(String, String), Refused>> {
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(pin: &str, salt: &[u8]) -> Result<[u8; 32], CryptoError> {
    let mut digest = [0; 32];
    default_provider().pbkdf2(DigestAlgorithm::Sha256, pin.as_bytes(), salt, ITERATIONS, &mut digest)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_pin_stays_refused_until_another_is_taken() {
        let (token, other) = (PinMemory::of("1", "memory"), PinMemory::of("2", "memory"));
        token.refused("0000");
        token.refused("1111");
        for pin in ["0000", "1111"] {
            assert!(token.is_refused(pin).unwrap());
        }
        assert!(!token.is_refused("2222").unwrap() && !other.is_refused("0000").unwrap());
        token.accepted();
        assert!(!token.is_refused("0000").unwrap(), "somebody may have set it since");
    }

    #[test]
    fn what_one_process_was_refused_the_next_one_does_not_try() {
        let token = PinMemory::of("9", "memory");
        token.refused("0000");
        let kept: Vec<RefusedPin> = refused_pins().into_iter().filter(|pin| pin.serial == "9").collect();
        assert!(kept.len() == 1 && !format!("{kept:?}").contains("0000"));
        token.accepted();
        remember_refused_pins(kept.clone());
        remember_refused_pins(kept);
        assert!(token.is_refused("0000").unwrap() && !token.is_refused("0001").unwrap());
        assert_eq!(refused_pins().iter().filter(|pin| pin.serial == "9").count(), 1);
    }

    #[test]
    fn a_failure_without_a_clear_reason_is_tried_once_more_and_no_further() {
        let token = PinMemory::of("3", "memory");
        token.failed_unclearly("0000");
        assert!(!token.is_refused("0000").unwrap(), "it may have been a loose contact");
        token.failed_unclearly("0000");
        assert!(token.is_refused("0000").unwrap());
        token.failed_unclearly("1111");
        assert!(!token.is_refused("1111").unwrap());
    }
}
