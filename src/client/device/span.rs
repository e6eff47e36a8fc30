//! Spans of time with a unit.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::wrong;
use crate::error::Error;

/// A span of time, written with its unit: `90s`, `15m`, `12h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds, as the library counts them: no span that is read is longer.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX)
    }

    /// Reads the written form.
    ///
    /// Errors: [`Code::InvalidArgument`](crate::Code::InvalidArgument).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let other = || {
            wrong(format!(
                "\"{text}\" is not a span of time: a whole number with its unit, such as 90s, 15m, 12h or 7d"
            ))
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = whole_number(digits).ok_or_else(other)?;
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(other()),
        };
        let seconds = number.checked_mul(unit).ok_or_else(other)?;
        if seconds > u64::from(u32::MAX) {
            return Err(wrong(format!("\"{text}\" is longer than any span of time here: 49710d are the most")));
        }
        Ok(Span(Duration::from_secs(seconds)))
    }
}

/// A number of digits alone: the language's own reader takes a plus before them.
pub(super) fn whole_number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Span::parse(&String::deserialize(from)?).map_err(|error| D::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(Span::parse("15m"), Ok(Span(Duration::from_secs(900))));
        assert_eq!(Span::parse("7d").unwrap().seconds(), 604_800);
        for wrong in ["", "15", "m", "1.5h", "-3s", "+3s", "15 m", "1w", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(Span::parse(wrong).is_err(), "{wrong}");
        }
        // What is read is what counts, to the second.
        for (text, seconds) in [("49710d", 4_294_944_000), ("4294967295s", u32::MAX)] {
            assert_eq!(Span::parse(text).unwrap().seconds(), seconds);
        }
        for longer in ["4294967296s", "49711d", "100000d", "106751991167300d"] {
            assert!(Span::parse(longer).unwrap_err().message().contains("49710d"), "{longer}");
        }
    }
}
