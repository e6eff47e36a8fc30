//! PINs that a token refused: a token counts wrong ones and locks, so none is given twice.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::super::{CryptoError, DigestAlgorithm, default_provider};

/// Most refused PINs remembered of one token: tokens lock after fewer.
const MAX_REFUSED: usize = 16;

/// How often a PIN is given to a token that fails without saying why. Some report a wrong PIN so.
const MAX_UNCLEAR: u32 = 2;

/// What a process knows about the PINs of one token.
#[derive(Default)]
struct Refused {
    /// Digests of what was refused.
    pins: Vec<Vec<u8>>,
    /// The PIN with which logging in failed for no clear reason, and how often in a row.
    unclear: Option<(Vec<u8>, u32)>,
}

/// By serial number and label. Two programs in one process share it, as they share the token's counter.
static TOKENS: Mutex<BTreeMap<(String, String), Refused>> = Mutex::new(BTreeMap::new());

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
        let digest = digest(pin)?;
        Ok(tokens().get(&self.token).is_some_and(|known| {
            let unclear = known.unclear.as_ref().is_some_and(|(pin, count)| *pin == digest && *count >= MAX_UNCLEAR);
            unclear || known.pins.contains(&digest)
        }))
    }

    pub fn refused(&self, pin: &str) {
        let Ok(digest) = digest(pin) else { return };
        let mut tokens = tokens();
        let known = tokens.entry(self.token.clone()).or_default();
        if !known.pins.contains(&digest) && known.pins.len() < MAX_REFUSED {
            known.pins.push(digest);
        }
    }

    /// Logging in failed, and the PIN may be the reason.
    pub fn failed_unclearly(&self, pin: &str) {
        let Ok(digest) = digest(pin) else { return };
        let mut tokens = tokens();
        let known = tokens.entry(self.token.clone()).or_default();
        let before = known.unclear.take().filter(|(pin, _)| *pin == digest).map_or(0, |(_, count)| count);
        known.unclear = Some((digest, before + 1));
    }

    /// A PIN was taken: the token's own counter begins anew, too.
    pub fn accepted(&self) {
        tokens().remove(&self.token);
    }
}

fn tokens() -> MutexGuard<'static, BTreeMap<(String, String), Refused>> {
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A PIN refused by one token may be the right one of another: it is not kept itself.
fn digest(pin: &str) -> Result<Vec<u8>, CryptoError> {
    static SALT: LazyLock<Zeroizing<[u8; 32]>> = LazyLock::new(|| {
        let mut salt = Zeroizing::new([0; 32]);
        let _ = default_provider().random(&mut *salt);
        salt
    });
    Ok(default_provider().digest(DigestAlgorithm::Sha256, &[&**SALT, pin.as_bytes()])?.to_vec())
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
