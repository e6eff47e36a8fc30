//! Points in time as the library counts them: whole seconds since 1970-01-01T00:00:00Z.
//!
//! There is no clock here. Whoever needs the present passes it in, so that a device without a clock, a test and a
//! caller with a better idea of the time are all served alike. Values reach from year 0 to 9999, beyond what a 32-bit
//! `time_t` can hold: `99991231235959Z` is a legal notAfter (RFC 5280 section 4.1.2.5).

use core::fmt;

use crate::prelude::*;

/// A point in time in UTC: seconds since 1970-01-01T00:00:00Z, negative before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(i64);

impl Time {
    /// `99991231235959Z`: "no well-defined expiration date" (RFC 5280 section 4.1.2.5).
    pub const FOREVER: Time = Time(253_402_300_799);

    /// From seconds since 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Time(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time moved by a number of seconds; stops at the ends of the range.
    pub const fn plus(self, seconds: i64) -> Self {
        Time(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to `self`, negative if `self` is the earlier one.
    pub const fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// From a civil date and time in UTC. `None` if a field is out of its range.
    pub fn from_civil(year: i64, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<Self> {
        if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days from the civil calendar, counted in 400-year eras that begin on 1 March.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let day_of_year = i64::from((153 * m + 2) / 5 + day - 1);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Some(Time(days * 86_400 + i64::from(hour * 3600 + minute * 60 + second)))
    }

    /// Year, month, day, hour, minute, second in UTC.
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let days = self.0.div_euclid(86_400);
        let second_of_day = self.0.rem_euclid(86_400) as u32;
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let m = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * m + 2) / 5 + 1) as u32;
        let month = if m < 10 { m + 3 } else { m - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day, second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60)
    }

    /// Reads the content of a UTCTime in the form RFC 5280 section 4.1.2.5.1 demands: `YYMMDDHHMMSSZ`.
    pub fn from_utc_time(content: &[u8]) -> Option<Self> {
        let [digits @ .., b'Z'] = content else { return None };
        if digits.len() != 12 {
            return None;
        }
        let two_digits = i64::from(number(&digits[..2])?);
        let year = if two_digits >= 50 { 1900 + two_digits } else { 2000 + two_digits };
        Self::from_digits(year, &digits[2..])
    }

    /// Reads the content of a GeneralizedTime in the form RFC 5280 section 4.1.2.5.2 demands: `YYYYMMDDHHMMSSZ`.
    pub fn from_generalized_time(content: &[u8]) -> Option<Self> {
        let [digits @ .., b'Z'] = content else { return None };
        if digits.len() != 14 {
            return None;
        }
        Self::from_digits(i64::from(number(&digits[..4])?), &digits[4..])
    }

    /// Reads the content of a GeneralizedTime in any form of X.680 section 46 that says how far from UTC it is: without seconds, with
    /// a fraction, with a difference in place of the Z. For times that no signature depends on being written in one way.
    pub fn from_any_form(content: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(content).ok()?;
        let (local, ahead) = match text.strip_suffix('Z') {
            Some(local) => (local, 0),
            None => {
                let (local, difference) = text.split_at(text.rfind(['+', '-'])?);
                let digits = &difference.as_bytes()[1..];
                let seconds = match digits.len() {
                    2 => i64::from(number(digits)?) * 3600,
                    4 => i64::from(number(&digits[..2])?) * 3600 + i64::from(number(&digits[2..])?) * 60,
                    _ => return None,
                };
                (local, if difference.starts_with('-') { -seconds } else { seconds })
            }
        };
        let whole = local.split(['.', ',']).next()?;
        let padded = match whole.len() {
            10 => format!("{whole}0000Z"),
            12 => format!("{whole}00Z"),
            _ => format!("{whole}Z"),
        };
        Some(Self::from_generalized_time(padded.as_bytes())?.plus(-ahead))
    }

    /// Reads a date of HTTP in any of its three forms (RFC 9110 section 5.6.7), of which two are history.
    #[cfg(feature = "http")]
    pub(crate) fn from_http_date(text: &str) -> Option<Self> {
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let text = text.to_ascii_lowercase().replace(['-', ','], " ");
        // `sun, 06 nov 1994 08:49:37 gmt`, `sunday, 06-nov-94 08:49:37 gmt`, `sun nov  6 08:49:37 1994`
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (day, month, year, clock) = match words[..] {
            [_, day, month, year, clock, "gmt" | "utc"] => (day, month, year, clock),
            [_, month, day, clock, year] => (day, month, year, clock),
            _ => return None,
        };
        let month = 1 + MONTHS.iter().position(|name| *name == month)? as u32;
        let year = match (year.len(), i64::from(number(year.as_bytes())?)) {
            (2, short) => {
                if short >= 70 {
                    1900 + short
                } else {
                    2000 + short
                }
            }
            (4, whole) => whole,
            _ => return None,
        };
        let clock: Vec<u32> = clock.split(':').map(|part| number(part.as_bytes())).collect::<Option<_>>()?;
        let [hour, minute, second] = clock[..] else { return None };
        Self::from_civil(year, month, number(day.as_bytes())?, hour, minute, second.min(59))
    }

    /// The content of a GeneralizedTime, `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5.2).
    pub fn to_generalized_time(self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
    }

    fn from_digits(year: i64, rest: &[u8]) -> Option<Self> {
        let field = |i: usize| number(&rest[2 * i..2 * i + 2]);
        Self::from_civil(year, field(0)?, field(1)?, field(2)?, field(3)?, field(4)?)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, d| match d.is_ascii_digit() {
        true => n.checked_mul(10)?.checked_add(u32::from(d - b'0')),
        false => None,
    })
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_read_and_what_is_none_is_not() {
        let wanted = Time::from_civil(2026, 11, 29, 9, 46, 0);
        for text in [
            "20261129094600Z",
            "202611290946Z",
            "20261129094600.75Z",
            "20261129094600,75Z",
            "20261129104600+0100",
            "202611290446-0500",
            "20261129104600+01",
        ] {
            assert_eq!(Time::from_any_form(text.as_bytes()), wanted, "{text}");
        }
        for text in ["", "Z", "20261129094600", "2026-11-29T09:46:00Z", "20261129094660Z", "20261129094600+1", "+0100"]
        {
            assert_eq!(Time::from_any_form(text.as_bytes()), None, "{text}");
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn dates_of_http_are_read_in_their_three_forms() {
        let wanted = Time::from_civil(1994, 11, 6, 8, 49, 37);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun, 6 nov 1994 08:49:37 UTC",
        ] {
            assert_eq!(Time::from_http_date(text), wanted, "{text}");
        }
        for text in
            ["", "120", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Xyz 1994 08:49:37 GMT", "0"]
        {
            assert_eq!(Time::from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn utc_time_pivots_in_1950() {
        assert_eq!(Time::from_utc_time(b"491231235959Z").unwrap().to_string(), "2049-12-31T23:59:59Z");
        assert_eq!(Time::from_utc_time(b"500101000000Z").unwrap().to_string(), "1950-01-01T00:00:00Z");
    }

    #[test]
    fn the_last_second_of_the_calendar_is_forever() {
        assert_eq!(Time::from_generalized_time(b"99991231235959Z"), Some(Time::FOREVER));
        assert_eq!(Time::FOREVER.to_generalized_time(), "99991231235959Z");
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for day in -200_000..200_000i64 {
            let time = Time::from_unix(day * 86_400 + 3_723);
            let (y, m, d, h, min, s) = time.civil();
            assert_eq!(Time::from_civil(y, m, d, h, min, s), Some(time), "{time}");
        }
    }

    #[test]
    fn malformed_times_are_refused() {
        for bad in [
            &b"20230229000000Z"[..],
            b"20231301000000Z",
            b"20230101246000Z",
            b"2023010100000Z",
            b"20230101000000",
            b"20230101000000.5Z",
            b"2023-101000000Z",
        ] {
            assert_eq!(Time::from_generalized_time(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        for bad in [&b"2301010000Z"[..], b"230101000000+0000", b"", b"Z"] {
            assert_eq!(Time::from_utc_time(bad), None);
        }
    }
}
