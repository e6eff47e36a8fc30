//! Which call goes wrong, and how.

use std::io;
use std::sync::Mutex;

use devid::store::Verdict;

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The process is stopped: this call and all later ones do not happen.
    Stop,
    /// This call fails with an error number of the system; later ones work.
    Fail(i32),
    /// From this call on, all that change something fail: the medium is full, or read-only now.
    FailFromHere(i32),
    /// This `write` or `read` takes one byte only.
    Short,
}

impl Fault {
    pub fn name(self) -> String {
        match self {
            Fault::None => "no fault".to_owned(),
            Fault::Stop => "stopped".to_owned(),
            Fault::Fail(number) => errno_name(number).to_owned(),
            Fault::FailFromHere(number) => format!("{} from here on", errno_name(number)),
            Fault::Short => "short".to_owned(),
        }
    }
}

pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

fn errno_name(number: i32) -> &'static str {
    match number {
        EINTR => "EINTR",
        EIO => "EIO",
        ENOSPC => "ENOSPC",
        EROFS => "EROFS",
        _ => "an error",
    }
}

/// A call that was asked for.
#[derive(Clone, Debug)]
pub struct Seen {
    pub text: String,
    pub changes_something: bool,
    pub can_be_short: bool,
}

/// Counts calls and goes wrong at one of them.
#[derive(Debug)]
pub struct Plan {
    pub at: usize,
    pub fault: Fault,
    seen: Mutex<Vec<Seen>>,
}

impl Plan {
    pub fn new(at: usize, fault: Fault) -> Self {
        Plan { at, fault, seen: Mutex::default() }
    }

    pub fn none() -> Self {
        Self::new(usize::MAX, Fault::None)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The chosen call, in words.
    pub fn chosen(&self) -> String {
        self.seen.lock().unwrap().get(self.at.wrapping_sub(1)).map_or("the end".to_owned(), |s| s.text.clone())
    }

    /// Whether this very call was the chosen one.
    pub fn is_now(&self) -> bool {
        self.count() == self.at
    }

    pub fn next(&self, call: Seen) -> Verdict {
        let changes_something = call.changes_something;
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(call);
            seen.len()
        };
        let failed = |number| Verdict::Fail(io::Error::from_raw_os_error(number));
        match self.fault {
            Fault::Stop if number >= self.at => Verdict::Fail(io::Error::other("stopped")),
            Fault::Fail(errno) if number == self.at => failed(errno),
            Fault::FailFromHere(errno) if number >= self.at && changes_something => failed(errno),
            Fault::Short if number == self.at => Verdict::Short(1),
            _ => Verdict::Go,
        }
    }
}

/// Choices that depend on a seed alone.
pub struct Dice(u64);

impl Dice {
    pub fn new(words: &str) -> Self {
        Dice(words.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    /// One value below each arity. All combinations if there are at most `most`; otherwise the first and the last of
    /// everything, each single deviation from either, and the rest by chance.
    pub fn combinations(&mut self, arities: &[usize], most: usize) -> Vec<Vec<usize>> {
        let total = arities.iter().try_fold(1usize, |n, a| n.checked_mul(*a)).unwrap_or(usize::MAX);
        if total <= most {
            return (0..total)
                .map(|mut number| {
                    let digit = |arity: &usize| {
                        let digit = number % arity;
                        number /= arity;
                        digit
                    };
                    arities.iter().map(digit).collect()
                })
                .collect();
        }
        let newest: Vec<usize> = arities.iter().map(|a| a - 1).collect();
        let oldest = vec![0; arities.len()];
        let mut chosen = vec![oldest.clone(), newest.clone()];
        let open: Vec<usize> = (0..arities.len()).filter(|i| arities[*i] > 1).collect();
        while chosen.len() < most {
            let one = open[self.below(open.len())];
            let mut picked = match self.below(3) {
                0 => oldest.clone(),
                1 => newest.clone(),
                _ => arities.iter().map(|a| self.below(*a)).collect(),
            };
            picked[one] = self.below(arities[one]);
            chosen.push(picked);
        }
        chosen
    }
}
