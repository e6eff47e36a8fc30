//! PINs that a token refused, or has said nothing about: a token counts wrong ones and locks, so none that it refused is given twice, and one
//! that it has not answered is given again, ever more rarely.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{CryptoError, DigestAlgorithm, default_provider};

/// Most refused PINs remembered of one token: tokens lock after fewer.
const MAX_REFUSED: usize = 16;

/// What it costs to guess a refused PIN from what is remembered of it, in iterations of PBKDF2: some ten milliseconds each.
const ITERATIONS: u32 = 20_000;

/// After how long a refused PIN is given once more, in seconds: it may be the right one by now. Once, and only where it was the only wrong try
/// that is known: cards have three, and not all of them tell how many are left.
const TRIED_AGAIN_SECONDS: i64 = 7 * 86_400;

/// After how long a PIN is given again, in seconds, of which so many tries have ended without the token's word: the process died, or it was said
/// that something failed. Nobody has refused it, so it is never held for good; some tokens report a wrong PIN so, and it is given rarely.
fn rest_after_unanswered(tries: u32) -> i64 {
    match tries {
        0 | 1 => 0,
        2 => 86_400,
        _ => TRIED_AGAIN_SECONDS,
    }
}

/// A PIN that a token has refused or not answered, as far as it is remembered: enough to know it again. A PIN refused by one token may be the
/// right one of another: it is not kept itself.
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
    /// It was never refused: so many tries ended without the token's word. `None`: it was.
    pub unanswered: Option<u32>,
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
    /// It was not refused: so many tries ended without an answer, the last one a day or a week ago at most.
    Unanswered(u32),
}

impl RefusedPin {
    fn is_of(&self, pin: &str) -> Result<bool, CryptoError> {
        Ok(digest(pin, &self.salt)? == self.digest)
    }

    fn rest_seconds(&self) -> i64 {
        self.unanswered.map_or(TRIED_AGAIN_SECONDS, rest_after_unanswered)
    }

    /// Whether every try was taken back: nothing is to be said of it.
    fn is_empty(&self) -> bool {
        self.unanswered == Some(0)
    }
}

/// What this process knows of a refused PIN.
struct Known {
    pin: RefusedPin,
    /// The device memory that has it, by its handle.
    home: Option<usize>,
    /// It was tried in this process.
    is_own: bool,
    /// Device memory has it otherwise, or not at all.
    is_unwritten: bool,
    /// The token has shown CKF_USER_PIN_COUNT_LOW since.
    was_low: bool,
    /// Long enough ago.
    is_due: bool,
    /// It is given just now, which was written down before; what was known before that.
    before: Option<RefusedPin>,
}

impl Known {
    fn new(pin: RefusedPin, home: Option<usize>) -> Self {
        let no = false;
        Known { pin, home, is_own: no, is_unwritten: no, was_low: no, is_due: no, before: None }
    }

    /// One that this process has tried.
    fn tried(pin: RefusedPin, home: Option<usize>) -> Self {
        Known { is_unwritten: true, is_own: true, ..Known::new(pin, home) }
    }

    /// Whether its last try is long enough ago.
    fn is_due(&self) -> bool {
        self.is_due || self.pin.rest_seconds() == 0
    }
}

/// What a process knows about PINs.
#[derive(Default)]
struct Memory {
    /// By serial number and label.
    tokens: BTreeMap<(String, String), Vec<Known>>,
    /// What is no longer true, as the token took a PIN in this process: the salts.
    gone: Vec<[u8; 16]>,
}

/// Two programs in one process share it, as they share the tokens' counters.
static MEMORY: Mutex<Memory> = Mutex::new(Memory { tokens: BTreeMap::new(), gone: Vec::new() });

/// Is told that a token has refused a PIN, whatever key that was for, or only asked whether it is still there: whether it is.
type OnRefused = Arc<dyn Fn(bool) -> bool + Send + Sync>;

static ON_REFUSED: Mutex<Vec<OnRefused>> = Mutex::new(Vec::new());

thread_local! {
    /// Whose device memory has given the PIN that is tried now.
    static GIVER: RefCell<Option<OnRefused>> = const { RefCell::new(None) };
}

/// Has device memory told of what a token refuses in this process, also to who opens a key by its URI alone.
pub(crate) fn when_refused(told: OnRefused) {
    ask_all(false);
    ON_REFUSED.lock().unwrap_or_else(PoisonError::into_inner).push(told);
}

/// Whoever is asked may open device memory, or let go of it: no lock is held.
fn ask_all(is_refused: bool) {
    let mut gone = ON_REFUSED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    gone.retain(|told| !told(is_refused));
    let mut all = ON_REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|one| !gone.iter().any(|gone| Arc::ptr_eq(one, gone)));
}

/// The PIN that is asked for now is given for this device memory: it alone is told if the token refuses it.
pub(crate) fn is_given_by(told: OnRefused) {
    GIVER.set(Some(told));
}

/// A PIN is about to be asked for, by nobody yet.
pub(super) fn is_given_by_nobody() {
    GIVER.set(None);
}

fn tell_refused() {
    match GIVER.take() {
        Some(giver) => drop(giver(true)),
        None => ask_all(true),
    }
}

/// What device memory has: what it has no longer was taken out by another process, and is forgotten. `now`: the device's time, if known.
pub(crate) fn recall_refused_pins(home: usize, kept: Vec<RefusedPin>, now: Option<i64>) {
    let mut memory = memory();
    for pins in memory.tokens.values_mut() {
        pins.retain(|one| {
            one.home != Some(home) || one.is_unwritten || kept.iter().any(|kept| kept.salt == one.pin.salt)
        });
    }
    for pin in kept.into_iter().filter(|pin| !memory.gone.contains(&pin.salt)).collect::<Vec<_>>() {
        let pins = &mut memory.tokens.entry((pin.serial.clone(), pin.label.clone())).or_default();
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
        let rest = one.pin.rest_seconds();
        let is_long_ago = |at: i64| now.is_some_and(|now| now.saturating_sub(at) >= rest);
        one.is_due = one.pin.given_at.is_some_and(is_long_ago);
    }
}

/// Brings what device memory has up to what this process knows better. An entry goes only when its token took a PIN in this process, and one
/// that another device memory has stays there. What was refused meanwhile was given `now`.
pub(crate) fn merge_refused_pins(home: usize, kept: &mut Vec<RefusedPin>, now: Option<i64>) {
    let mut memory = memory();
    kept.retain(|one| !memory.gone.contains(&one.salt));
    for one in memory.tokens.values_mut().flatten() {
        if one.home.is_some_and(|of| of != home) {
            continue;
        }
        if one.pin.is_empty() {
            kept.retain(|kept| kept.salt != one.pin.salt);
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
    for one in memory().tokens.values_mut().flatten() {
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
    /// wrong try that is known; and never a third time. One that the token has not answered is given again at once, a day later, and then each
    /// week.
    pub fn held(&self, pin: &str, is_low: bool) -> Result<Option<Held>, CryptoError> {
        let mut memory = memory();
        let Some(pins) = memory.tokens.get_mut(&self.token) else { return Ok(None) };
        for one in pins.iter_mut() {
            one.was_low |= is_low;
            if is_low && !one.is_own && !one.pin.is_counted {
                (one.pin.is_counted, one.is_unwritten) = (true, true);
            }
        }
        let is_only_one = pins.iter().filter(|one| !one.pin.is_empty()).count() == 1;
        for one in pins.iter().filter(|one| one.before.is_none()) {
            if !one.pin.is_of(pin)? {
                continue;
            }
            let held = match one.pin.unanswered {
                None if is_low => Some(Held::WhileLow),
                _ if !is_low && (one.was_low || one.pin.is_counted) => None,
                _ if one.is_due() && (is_only_one && !one.pin.is_twice || one.pin.unanswered.is_some()) => None,
                Some(tries) => Some(Held::Unanswered(tries)),
                None if one.pin.is_twice || !is_only_one => Some(Held::ForGood),
                None => Some(Held::ForAWeek),
            };
            if held.is_some() {
                return Ok(held);
            }
        }
        Ok(None)
    }

    /// Notes that this PIN is given to a token whose flag says that its count is low: whoever comes after a process that dies meanwhile knows
    /// that it was tried, and not what the token said. `false`: it is not going to be given.
    pub fn is_about_to_try(&self, pin: &str) -> Result<bool, CryptoError> {
        if self.held(pin, true)?.is_some() {
            return Ok(false);
        }
        self.note_try(pin, true)?;
        Ok(true)
    }

    /// One more try of this PIN, without the token's word so far.
    fn note_try(&self, pin: &str, is_under_way: bool) -> Result<(), CryptoError> {
        let mark = self.mark(pin)?;
        let mut memory = memory();
        let pins = memory.tokens.entry(self.token.clone()).or_default();
        let found = pins.iter().position(|one| one.pin.is_of(pin).unwrap_or(false));
        let (before, home) = found.map(|at| pins.remove(at)).map_or((mark, None), |one| (one.pin, one.home));
        // One that was refused before is as it was, and its week begins anew.
        let unanswered = before.unanswered.map(|tries| tries.saturating_add(1));
        let now = RefusedPin { given_at: None, is_counted: false, unanswered, ..before.clone() };
        if pins.len() < MAX_REFUSED {
            pins.push(Known { before: is_under_way.then_some(before), ..Known::tried(now, home) });
        }
        Ok(())
    }

    /// It was not given, or nobody was there who could have counted it: it is as if it had not been tried.
    pub fn take_back(&self) {
        for one in memory().tokens.get_mut(&self.token).into_iter().flatten() {
            if let Some(before) = one.before.take() {
                (one.pin, one.is_unwritten) = (before, true);
            }
        }
    }

    pub fn refused(&self, pin: &str) {
        self.note_refused(pin);
        tell_refused();
    }

    fn note_refused(&self, pin: &str) {
        let Ok(mark) = self.mark(pin) else { return };
        let mut memory = memory();
        let pins = memory.tokens.entry(self.token.clone()).or_default();
        let found = pins.iter().position(|one| one.pin.is_of(pin).unwrap_or(false));
        let earlier = found.map(|at| pins.remove(at));
        let home = earlier.as_ref().and_then(|one| one.home);
        let earlier = earlier.map_or(mark, |one| one.pin);
        let is_twice = earlier.unanswered.is_none();
        let pin = RefusedPin { given_at: None, is_counted: false, is_twice, unanswered: None, ..earlier };
        if pins.len() < MAX_REFUSED {
            pins.push(Known::tried(pin, home));
        }
    }

    /// Logging in failed, and the PIN may be the reason.
    pub fn failed_unclearly(&self, pin: &str) {
        let mut was_noted = false;
        for one in memory().tokens.get_mut(&self.token).into_iter().flatten() {
            was_noted |= one.before.take().is_some();
        }
        if !was_noted {
            let _ = self.note_try(pin, false);
        }
    }

    /// A PIN was taken: the token's own counter begins anew, too.
    pub fn accepted(&self) {
        let mut memory = memory();
        let pins = memory.tokens.remove(&self.token).unwrap_or_default();
        memory.gone.extend(pins.iter().map(|one| one.pin.salt));
    }

    fn mark(&self, pin: &str) -> Result<RefusedPin, CryptoError> {
        let (serial, label) = self.token.clone();
        let mut salt = [0; 16];
        default_provider().random(&mut salt)?;
        let digest = digest(pin, &salt)?;
        let no = false;
        Ok(RefusedPin {
            serial,
            label,
            salt,
            digest,
            given_at: None,
            is_counted: no,
            is_twice: no,
            unanswered: Some(0),
        })
    }
}

/// [`PinMemory::is_about_to_try`], for who asks for the PIN.
pub(crate) fn is_about_to_try(request: &super::PinRequest, pin: &str) -> Result<bool, CryptoError> {
    PinMemory::of(&request.serial, &request.token).is_about_to_try(pin)
}

/// [`PinMemory::take_back`], for who has asked for the PIN.
pub(crate) fn is_not_tried(request: &super::PinRequest) {
    PinMemory::of(&request.serial, &request.token).take_back();
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

    /// They were given then: the tests share a process, and each has a time of its own.
    fn given(pins: &mut [RefusedPin], at: i64) {
        pins.iter_mut().for_each(|pin| pin.given_at = Some(at));
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

    /// What was written down before is what the next process finds that comes after a death: the token has not refused it.
    #[test]
    fn a_try_while_the_count_is_low_is_noted_before_it_is_made_and_a_death_refuses_nothing() {
        let token = PinMemory::of("18", "memory");
        let (now, mut noted) = (1_790_000_000, Vec::new());
        let process = |noted: &mut Vec<RefusedPin>, at: i64| {
            begin_anew(&token);
            recall_refused_pins(18, noted.clone(), Some(at));
            let is_given = token.is_about_to_try("0000").unwrap();
            assert!(!is_given || token.held("0000", true).unwrap().is_none(), "it is being tried");
            *noted = kept(18, noted.clone(), "18", Some(at));
            if is_given {
                self::given(noted, at);
            }
            assert_eq!(noted.len(), 1);
            is_given
        };
        // Each of them dies: it is given at once, a day later, and then each week.
        let mut given = Vec::new();
        for day in 0..30 {
            given.extend(
                [0, 1]
                    .map(|hour| (day, hour))
                    .into_iter()
                    .filter(|(day, hour)| process(&mut noted, now + day * 86_400 + hour * 3600)),
            );
        }
        assert_eq!(given, [(0, 0), (0, 1), (1, 1), (8, 1), (15, 1), (22, 1), (29, 1)]);
        begin_anew(&token);
        recall_refused_pins(18, noted.clone(), None);
        assert_eq!(token.held("0000", true).unwrap(), Some(Held::Unanswered(7)));
        assert_eq!(token.held("0000", false).unwrap(), None, "somebody has logged in since");
        // The dark twins: refused, or taken.
        begin_anew(&token);
        assert!(token.is_about_to_try("0000").unwrap());
        token.refused("0000");
        assert_eq!(token.held("0000", true).unwrap(), Some(Held::WhileLow));
        assert!(!kept(18, Vec::new(), "18", None)[0].is_twice, "once");
        begin_anew(&token);
        assert!(token.is_about_to_try("0000").unwrap());
        token.accepted();
        assert_eq!(kept(18, noted, "18", None).len(), 1, "of the other process, until it is recalled");
        assert_eq!(token.held("0000", true).unwrap(), None);
    }

    #[test]
    fn a_try_that_nobody_could_count_is_as_none() {
        let (token, now) = (PinMemory::of("19", "memory"), 1_790_000_000);
        for _ in 0..20 {
            assert!(token.is_about_to_try("0000").unwrap());
            let noted = kept(19, Vec::new(), "19", Some(now));
            assert_eq!(noted.iter().map(|pin| pin.unanswered).collect::<Vec<_>>(), [Some(1)]);
            token.take_back();
            assert_eq!(kept(19, noted, "19", Some(now)), [], "it leaves what keeps it");
        }
        // After another one that has ended in a death, that one is left.
        begin_anew(&token);
        assert!(token.is_about_to_try("0000").unwrap());
        let noted = kept(19, Vec::new(), "19", Some(now));
        begin_anew(&token);
        recall_refused_pins(19, noted.clone(), Some(now));
        assert!(token.is_about_to_try("0000").unwrap());
        token.take_back();
        let after = kept(19, noted.clone(), "19", Some(now));
        assert_eq!(after.iter().map(|pin| pin.unanswered).collect::<Vec<_>>(), [Some(1)]);
        token.accepted();
        assert_eq!(kept(19, noted, "19", Some(now)), []);
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

    /// With the count low or not, in one process or in many: it may be a loose contact, or a wrong PIN.
    #[test]
    fn a_failure_without_a_clear_reason_is_tried_once_more_and_then_rarely() {
        let (token, now) = (PinMemory::of("3", "memory"), 1_790_000_000);
        for is_low in [false, true] {
            let fail = |pin: &str| {
                assert!(!is_low || token.is_about_to_try(pin).unwrap());
                token.failed_unclearly(pin);
            };
            fail("0000");
            assert_eq!(token.held("0000", is_low).unwrap(), None);
            fail("0000");
            assert_eq!(token.held("0000", is_low).unwrap(), Some(Held::Unanswered(2)));
            fail("1111");
            assert_eq!(token.held("1111", is_low).unwrap(), None);
            let mut noted = kept(3, Vec::new(), "3", Some(now));
            given(&mut noted, now);
            for (at, pin, held) in
                [(86_399, "0000", Some(Held::Unanswered(2))), (86_399, "1111", None), (86_400, "0000", None)]
            {
                begin_anew(&token);
                recall_refused_pins(3, noted.clone(), Some(now + at));
                assert_eq!(token.held(pin, is_low).unwrap(), held, "{at} {pin} {is_low}");
            }
            token.accepted();
        }
    }

    #[test]
    fn a_refused_pin_that_fails_for_another_reason_a_week_later_is_given_in_another_week() {
        let token = PinMemory::of("20", "memory");
        let (now, week) = (1_790_000_000, TRIED_AGAIN_SECONDS);
        token.refused("0000");
        let mut noted = kept(20, Vec::new(), "20", Some(now));
        for at in [now + week, now + 2 * week] {
            begin_anew(&token);
            recall_refused_pins(20, noted.clone(), Some(at - 1));
            assert_eq!(token.held("0000", false).unwrap(), Some(Held::ForAWeek), "{at}");
            recall_refused_pins(20, noted.clone(), Some(at));
            assert_eq!(token.held("0000", false).unwrap(), None, "{at}");
            token.failed_unclearly("0000");
            noted = kept(20, noted, "20", Some(at));
        }
    }
}
