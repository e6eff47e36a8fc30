//! What targets need that protect again after mutation: a stream of choices, and the makers of the tests.
#![allow(dead_code, reason = "each target uses its own part")]

/// The input as choices. Past its end everything is zero, so that each input ends.
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn of(input: &'a [u8]) -> Self {
        Choices { rest: input }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn below(&mut self, sides: usize) -> usize {
        usize::from(self.byte()) % sides.max(1)
    }

    pub fn maybe(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Changes bytes here and there: a flip, a value, a piece taken out, put in or put twice.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = usize::from(self.byte()) << 8 | usize::from(self.byte());
            let value = self.byte();
            if bytes.is_empty() {
                bytes.push(value);
                continue;
            }
            let at = at % bytes.len();
            match self.below(5) {
                0 => bytes[at] ^= value | 1,
                1 => bytes[at] = value,
                2 => drop(bytes.drain(at..bytes.len().min(at + usize::from(value)))),
                3 => bytes.insert(at, value),
                _ => {
                    let piece = bytes[at..bytes.len().min(at + usize::from(value))].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            bytes.truncate(1 << 16);
        }
    }
}
