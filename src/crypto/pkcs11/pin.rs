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

/// After how long a refused PIN is given once more, in seconds: it may be the right one by now. Once, and only where it was the only wrong try
/// that is known: cards have three, and not all of them tell how many are left.
const TRIED_AGAIN_SECONDS: i64 = 7 * 86_400;

/// A PIN that a token has refused, as far as it is remembered: enough to know it again. A PIN refused by one token may be the right one of
/// another: it is not kept itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedPin {
    /// The token's serial number.
    pub serial: String,
    /// The token's label.
    pub label: String,
    /// Random: no two refusals have the same.
    pub salt: [u8; 16],
    /// PBKDF2 with HMAC-SHA256 of the PIN.
    pub digest: [u8; 32],
    /// When it was given, in seconds of Unix time, as far as known.
    pub given_at: Option<i64>,
    /// A later process saw CKF_USER_PIN_COUNT_LOW: the token itself keeps that flag, so that it goes only with a login.
    pub is_counted: bool,
    /// It was refused again.
    pub is_twice: bool,
}

/// Why a PIN is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It was refused, and the token shows CKF_USER_PIN_COUNT_LOW.
    WhileLow,
    /// It was refused less than a week ago.
    ForAWeek,
    /// It was refused again, or is not the only one.
    ForGood,
    /// It has failed twice for no clear reason.
    Unclear,
}

impl RefusedPin {
    fn is_of(&self, pin: &str) -> Result<bool, CryptoError> {
        Ok(digest(pin, &self.salt)? == self.digest)
    }
}

/// What this process knows of a refused PIN.
struct Known {
    pin: RefusedPin,
    /// The device memory that has it, by its handle.
    home: Option<usize>,
    /// It was refused in this process.
    is_own: bool,
    /// Device memory has it otherwise, or not at all.
    is_unwritten: bool,
    /// The token has shown CKF_USER_PIN_COUNT_LOW since.
    was_low: bool,
    /// Long enough ago.
    is_due: bool,
    /// It is given just now, which was written down before.
    is_being_tried: bool,
}

impl Known {
    fn new(pin: RefusedPin, home: Option<usize>) -> Self {
        let no = false;
        Known { pin, home, is_own: no, is_unwritten: no, was_low: no, is_due: no, is_being_tried: no }
    }
}

/// What a process knows about the PINs of one token.
#[derive(Default)]
struct Refused {
    pins: Vec<Known>,
    /// The PIN with which logging in failed for no clear reason, and how often in a row.
    unclear: Option<(RefusedPin, u32)>,
}

/// What a process knows about PINs.
#[derive(Default)]
struct Memory {
    /// By serial number and label.
    tokens: BTreeMap<(String, String), Refused>,
    /// What is no longer true, as the token took a PIN in this process: the salts.
    gone: Vec<[u8; 16]>,
}

/// Two programs in one process share it, as they share the tokens' counters.
static MEMORY: Mutex<Memory> = Mutex::new(Memory { tokens: BTreeMap::new(), gone: Vec::new() });

/// What device memory has: what it has no longer was taken out by another process, and is forgotten. `now`: the device's time, if known.
pub(crate) fn recall_refused_pins(home: usize, kept: Vec<RefusedPin>, now: Option<i64>) {
    let mut memory = memory();
    for known in memory.tokens.values_mut() {
        known.pins.retain(|one| {
            one.home != Some(home) || one.is_unwritten || kept.iter().any(|kept| kept.salt == one.pin.salt)
        });
    }
    for pin in kept.into_iter().filter(|pin| !memory.gone.contains(&pin.salt)).collect::<Vec<_>>() {
        let pins = &mut memory.tokens.entry((pin.serial.clone(), pin.label.clone())).or_default().pins;
        let at = match pins.iter().position(|one| one.pin.salt == pin.salt) {
            Some(at) => at,
            None if pins.len() < MAX_REFUSED => {
                pins.push(Known::new(pin.clone(), None));
                pins.len() - 1
            }
            None => continue,
        };
        let one = &mut pins[at];
        one.home = Some(home);
        if !one.is_unwritten {
            one.pin = pin;
        }
        // One that lies ahead was noted by a clock that was wrong, then or now: the wait begins anew.
        if let Some(now) = now.filter(|now| one.pin.given_at.is_some_and(|at| at > *now)) {
            (one.pin.given_at, one.is_unwritten) = (Some(now), true);
        }
        let is_long_ago = |at: i64| now.is_some_and(|now| now.saturating_sub(at) >= TRIED_AGAIN_SECONDS);
        one.is_due = one.pin.given_at.is_some_and(is_long_ago);
    }
}

/// Brings what device memory has up to what this process knows better. An entry goes only when its token took a PIN in this process, and one
/// that another device memory has stays there. What was refused meanwhile was given `now`.
pub(crate) fn merge_refused_pins(home: usize, kept: &mut Vec<RefusedPin>, now: Option<i64>) {
    let mut memory = memory();
    kept.retain(|one| !memory.gone.contains(&one.salt));
    for one in memory.tokens.values_mut().flat_map(|known| &mut known.pins) {
        if one.home.is_some_and(|of| of != home) {
            continue;
        }
        if one.pin.given_at.is_none() && now.is_some() {
            (one.pin.given_at, one.is_unwritten) = (now, true);
        }
        if one.is_unwritten {
            match kept.iter_mut().find(|kept| kept.salt == one.pin.salt) {
                Some(kept) => *kept = one.pin.clone(),
                None => kept.push(one.pin.clone()),
            }
        }
    }
}

/// Device memory has what [`merge_refused_pins`] made of it.
pub(crate) fn have_kept_refused_pins(home: usize, kept: &[RefusedPin]) {
    for one in memory().tokens.values_mut().flat_map(|known| &mut known.pins) {
        if one.home.is_none_or(|of| of == home) && kept.contains(&one.pin) {
            (one.home, one.is_unwritten) = (Some(home), false);
        }
    }
}

/// For people who say so: each may be tried once more.
pub fn forget_refused_pins() {
    *memory() = Memory::default();
}

/// A token's part of the memory.
pub(super) struct PinMemory {
    token: (String, String),
}

impl PinMemory {
    pub fn of(serial: &str, label: &str) -> Self {
        PinMemory { token: (serial.to_owned(), label.to_owned()) }
    }

    /// Why this PIN is not to be given now, if so. `is_low`: CKF_USER_PIN_COUNT_LOW. A refused one is given again once the flag has gone, as
    /// somebody has logged in since, and the token counts anew; never while the flag is there. Without that, a week later, if it was the only
    /// wrong try that is known; and never a third time.
    pub fn held(&self, pin: &str, is_low: bool) -> Result<Option<Held>, CryptoError> {
        let mut memory = memory();
        let Some(known) = memory.tokens.get_mut(&self.token) else { return Ok(None) };
        for one in &mut known.pins {
            one.was_low |= is_low;
            if is_low && !one.is_own && !one.pin.is_counted {
                (one.pin.is_counted, one.is_unwritten) = (true, true);
            }
        }
        let is_only_one = known.pins.len() == 1;
        for one in known.pins.iter().filter(|one| !one.is_being_tried) {
            if !one.pin.is_of(pin)? {
                continue;
            }
            return Ok(match () {
                () if is_low => Some(Held::WhileLow),
                () if one.was_low || one.pin.is_counted => None,
                () if one.pin.is_twice || !is_only_one => Some(Held::ForGood),
                () if one.is_due => None,
                () => Some(Held::ForAWeek),
            });
        }
        match &known.unclear {
            Some((unclear, count)) if *count >= MAX_UNCLEAR => Ok(unclear.is_of(pin)?.then_some(Held::Unclear)),
            _ => Ok(None),
        }
    }

    /// Notes that this PIN is given to a token whose flag says that its count is low: whoever comes after a process that dies meanwhile goes by
    /// the flag. `false`: it is not going to be given.
    pub fn is_about_to_try(&self, pin: &str) -> Result<bool, CryptoError> {
        if self.held(pin, true)?.is_some() {
            return Ok(false);
        }
        let mark = self.mark(pin)?;
        let mut memory = memory();
        let pins = &mut memory.tokens.entry(self.token.clone()).or_default().pins;
        pins.retain(|one| !one.is_being_tried);
        let pin = RefusedPin { is_counted: true, ..mark };
        if pins.len() < MAX_REFUSED {
            pins.push(Known { is_unwritten: true, is_being_tried: true, ..Known::new(pin, None) });
        }
        Ok(true)
    }

    pub fn refused(&self, pin: &str) {
        let Ok(mark) = self.mark(pin) else { return };
        let mut memory = memory();
        let known = memory.tokens.entry(self.token.clone()).or_default();
        let found = known.pins.iter().position(|one| one.pin.is_of(pin).unwrap_or(false));
        let earlier = found.map(|at| known.pins.remove(at));
        let pin = match &earlier {
            Some(earlier) => RefusedPin {
                given_at: None,
                is_counted: false,
                is_twice: !earlier.is_being_tried,
                ..earlier.pin.clone()
            },
            None => mark,
        };
        if known.pins.len() < MAX_REFUSED {
            let home = earlier.and_then(|one| one.home);
            known.pins.push(Known { is_own: true, is_unwritten: true, ..Known::new(pin, home) });
        }
    }

    /// Logging in failed, and the PIN may be the reason.
    pub fn failed_unclearly(&self, pin: &str) {
        let Ok(mark) = self.mark(pin) else { return };
        let mut memory = memory();
        let known = memory.tokens.entry(self.token.clone()).or_default();
        let before = known.unclear.take().filter(|(unclear, _)| unclear.is_of(pin).unwrap_or(false));
        known.unclear = Some(before.map_or((mark, 1), |(unclear, count)| (unclear, count + 1)));
    }

    /// A PIN was taken: the token's own counter begins anew, too.
    pub fn accepted(&self) {
        let mut memory = memory();
        let known = memory.tokens.remove(&self.token).unwrap_or_default();
        memory.gone.extend(known.pins.iter().map(|one| one.pin.salt));
    }

    fn mark(&self, pin: &str) -> Result<RefusedPin, CryptoError> {
        let (serial, label) = self.token.clone();
        let mut salt = [0; 16];
        default_provider().random(&mut salt)?;
        let digest = digest(pin, &salt)?;
        Ok(RefusedPin { serial, label, salt, digest, given_at: None, is_counted: false, is_twice: false })
    }
}

/// [`PinMemory::is_about_to_try`], for who asks for the PIN.
pub(crate) fn is_about_to_try(request: &super::PinRequest, pin: &str) -> Result<bool, CryptoError> {
    PinMemory::of(&request.serial, &request.token).is_about_to_try(pin)
}

fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(pin: &str, salt: &[u8]) -> Result<[u8; 32], CryptoError> {
    let mut digest = [0; 32];
    default_provider().pbkdf2(DigestAlgorithm::Sha256, pin.as_bytes(), salt, ITERATIONS, &mut digest)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What device memory has after this process brought its part.
    fn kept(home: usize, mut kept: Vec<RefusedPin>, serial: &str, now: Option<i64>) -> Vec<RefusedPin> {
        merge_refused_pins(home, &mut kept, now);
        kept.retain(|pin| pin.serial == serial);
        have_kept_refused_pins(home, &kept);
        kept
    }

    /// As the next process: it knows what is kept.
    fn begin_anew(token: &PinMemory) {
        memory().tokens.remove(&token.token);
    }

    #[test]
    fn a_refused_pin_stays_refused_until_another_is_taken() {
        let (token, other) = (PinMemory::of("1", "memory"), PinMemory::of("2", "memory"));
        token.refused("0000");
        token.refused("1111");
        for pin in ["0000", "1111"] {
            assert!(token.held(pin, false).unwrap().is_some());
        }
        assert!(token.held("2222", false).unwrap().is_none() && other.held("0000", false).unwrap().is_none());
        token.accepted();
        assert!(token.held("0000", false).unwrap().is_none(), "somebody may have set it since");
    }

    #[test]
    fn what_one_process_was_refused_the_next_one_does_not_try() {
        let token = PinMemory::of("9", "memory");
        token.refused("0000");
        let first = kept(9, Vec::new(), "9", None);
        assert!(first.len() == 1 && !format!("{first:?}").contains("0000"));
        begin_anew(&token);
        for _ in 0..2 {
            recall_refused_pins(9, first.clone(), None);
        }
        assert!(token.held("0000", false).unwrap().is_some() && token.held("0001", false).unwrap().is_none());
        assert_eq!(kept(9, first.clone(), "9", None), first);
        // Another process took it out.
        recall_refused_pins(9, Vec::new(), None);
        assert!(token.held("0000", false).unwrap().is_none());
    }

    /// Who knows nothing of it takes nothing out, and nothing goes from one device memory to another.
    #[test]
    fn an_entry_leaves_only_when_its_token_took_a_pin_here() {
        let token = PinMemory::of("10", "memory");
        token.refused("0000");
        let first = kept(10, Vec::new(), "10", None);
        assert_eq!(kept(11, Vec::new(), "10", None), [], "of another device memory");
        begin_anew(&token);
        assert_eq!(kept(10, first.clone(), "10", None), first, "a process that never saw it");
        PinMemory::of("12", "memory").accepted();
        recall_refused_pins(10, first.clone(), None);
        assert_eq!(kept(10, first.clone(), "10", None), first, "another token took one");
        token.accepted();
        assert_eq!(kept(10, first, "10", None), []);
    }

    #[test]
    fn a_refused_pin_is_given_once_a_week_and_never_while_the_count_is_low() {
        let token = PinMemory::of("13", "memory");
        let (now, week) = (1_790_000_000, TRIED_AGAIN_SECONDS);
        token.refused("0000");
        let first = kept(13, Vec::new(), "13", Some(now));
        begin_anew(&token);
        for (at, is_low, is_refused) in [
            (None, false, true),
            (Some(now + week - 1), false, true),
            (Some(now + week), false, false),
            (Some(now + week), true, true),
        ] {
            recall_refused_pins(13, first.clone(), at);
            assert_eq!(token.held("0000", is_low).unwrap().is_some(), is_refused, "{at:?} {is_low}");
        }
        // Refused once more: the week begins anew.
        token.refused("0000");
        let second = kept(13, first, "13", Some(now + week));
        assert_eq!(second.iter().map(|pin| pin.given_at).collect::<Vec<_>>(), [Some(now + week)]);
        assert!(second.iter().all(|pin| pin.is_twice));
        // And no further time: a card with three tries is not locked by who waits.
        for weeks in 1..100 {
            begin_anew(&token);
            recall_refused_pins(13, second.clone(), Some(now + weeks * week));
            assert_eq!(token.held("0000", false).unwrap(), Some(Held::ForGood), "{weeks}");
            assert_eq!(token.held("1111", false).unwrap(), None, "one that somebody gives instead");
        }
    }

    #[test]
    fn of_several_refused_pins_none_is_given_again_by_itself() {
        let token = PinMemory::of("16", "memory");
        let (now, week) = (1_790_000_000, TRIED_AGAIN_SECONDS);
        token.refused("0000");
        token.refused("1111");
        let both = kept(16, Vec::new(), "16", Some(now));
        begin_anew(&token);
        recall_refused_pins(16, both, Some(now + 2 * week));
        for pin in ["0000", "1111"] {
            assert_eq!(token.held(pin, false).unwrap(), Some(Held::ForGood));
        }
        token.accepted();
        assert_eq!(token.held("0000", false).unwrap(), None);
    }

    /// A clock that was years ahead when it was noted holds no PIN for years; nor does one that is set to and fro give it often.
    #[test]
    fn a_refusal_that_lies_ahead_is_a_week_old_in_a_week() {
        let token = PinMemory::of("17", "memory");
        let (now, week) = (1_790_000_000, TRIED_AGAIN_SECONDS);
        token.refused("0000");
        let mut noted = kept(17, Vec::new(), "17", Some(now + 5 * 365 * 86_400));
        for (at, held) in [(now, Some(Held::ForAWeek)), (now + week - 1, Some(Held::ForAWeek)), (now + week, None)] {
            begin_anew(&token);
            recall_refused_pins(17, noted.clone(), Some(at));
            assert_eq!(token.held("0000", false).unwrap(), held, "{at}");
            noted = kept(17, noted, "17", Some(at));
        }
        assert_eq!(noted[0].given_at, Some(now));
    }

    /// What was written down before is what the next process finds that comes after a death.
    #[test]
    fn a_try_while_the_count_is_low_is_noted_before_it_is_made() {
        let token = PinMemory::of("18", "memory");
        assert!(token.is_about_to_try("0000").unwrap());
        assert_eq!(token.held("0000", true).unwrap(), None, "it is being tried");
        let noted = kept(18, Vec::new(), "18", None);
        assert_eq!(noted.len(), 1);
        begin_anew(&token);
        recall_refused_pins(18, noted.clone(), None);
        assert!(!token.is_about_to_try("0000").unwrap(), "it died with it");
        assert_eq!(token.held("0000", true).unwrap(), Some(Held::WhileLow));
        assert_eq!(token.held("0000", false).unwrap(), None, "the token has taken it");
        // The dark twins: refused, or taken.
        begin_anew(&token);
        assert!(token.is_about_to_try("0000").unwrap());
        token.refused("0000");
        assert_eq!(token.held("0000", false).unwrap(), Some(Held::ForAWeek));
        assert!(!kept(18, Vec::new(), "18", None)[0].is_twice, "once");
        begin_anew(&token);
        assert!(token.is_about_to_try("0000").unwrap());
        token.accepted();
        assert_eq!(kept(18, noted, "18", None).len(), 1, "of the other process, until it is recalled");
        assert_eq!(token.held("0000", true).unwrap(), None);
    }

    #[test]
    fn a_refused_pin_is_given_again_when_somebody_has_logged_in() {
        let token = PinMemory::of("14", "memory");
        token.refused("0000");
        let first = kept(14, Vec::new(), "14", None);
        assert!(token.held("0000", true).unwrap().is_some());
        assert!(token.held("0000", false).unwrap().is_none(), "the flag went while this process saw it");
        // What one process alone has seen says nothing to the next: some modules keep the flag no longer than themselves.
        assert_eq!(kept(14, first.clone(), "14", None), first);
        begin_anew(&token);
        recall_refused_pins(14, first.clone(), None);
        assert!(token.held("0000", false).unwrap().is_some() && token.held("0000", true).unwrap().is_some());
        let counted = kept(14, first, "14", None);
        assert!(counted.iter().all(|pin| pin.is_counted));
        begin_anew(&token);
        recall_refused_pins(14, counted, None);
        assert!(token.held("0000", false).unwrap().is_none());
        token.refused("0000");
        assert!(token.held("0000", false).unwrap().is_some(), "one try a login");
    }

    #[test]
    fn a_failure_without_a_clear_reason_is_tried_once_more_and_no_further() {
        let token = PinMemory::of("3", "memory");
        token.failed_unclearly("0000");
        assert!(token.held("0000", false).unwrap().is_none(), "it may have been a loose contact");
        token.failed_unclearly("0000");
        assert!(token.held("0000", false).unwrap().is_some());
        token.failed_unclearly("1111");
        assert!(token.held("1111", false).unwrap().is_none());
    }
}
