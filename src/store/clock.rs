//! The last known time: for devices whose clock is missing, stops with the power, or starts in 1970.
//!
//! ```text
//! clock/time        a record with a check
//! clock/time.copy   the same again; the later of the two counts
//! ```

use super::Store;
use super::error::{StoreError, StoreErrorKind};
use super::generations::Home;
use super::problem::{Problem, ProblemKind};
use super::record::Record;
use super::repair::{identity_names, left_alone};
use crate::time::Time;

const TIME: &str = "clock/time";
const COPY: &str = "clock/time.copy";

impl Store {
    /// Notes that it is at least this late, and says how late it is at least: `time`, or what is kept if that is later.
    /// What is kept never goes back. A later time is a write, so call it when a time was proven (messageTime of a
    /// protected answer, thisUpdate of a CRL) and now and then, not each second.
    ///
    /// A damaged record is made anew. It then begins at `time` or at the latest notBefore of the certificates installed,
    /// whichever is later: no certificate was made before its notBefore.
    ///
    /// Errors: [`StoreErrorKind::Limit`] for a time after 99991231235959Z, which would be a mistake for ever.
    pub fn note_time(&self, time: Time) -> Result<Time, StoreError> {
        if time > Time::FOREVER {
            let detail = format!("{} s is after 9999-12-31T23:59:59Z, the end of the calendar", time.unix());
            return Err(StoreError::new(StoreErrorKind::Limit, TIME, detail));
        }
        self.changing("clock", |home| {
            let kept = home.kept_time();
            let known = match &kept {
                Ok(known) => *known,
                Err(damage) if damage.kind == StoreErrorKind::Corrupt => home.latest_not_before()?,
                Err(other) => return Err(other.clone()),
            };
            let latest = known.map_or(time, |known| known.max(time));
            if kept.is_err() || known != Some(latest) {
                home.write_time(latest)?;
            }
            Ok(latest)
        })
    }

    /// How late it is at least; `None` if no time was noted yet. It is the best guess of the present for a device that
    /// has just started without a clock.
    ///
    /// Errors: [`StoreErrorKind::Corrupt`] if both records are damaged; [`Store::note_time`] and [`Store::repair`] mend.
    pub fn last_known_time(&self) -> Result<Option<Time>, StoreError> {
        self.reading(|home| home.kept_time())
    }

    /// Gives the last known time up. For people who know that a time too late was noted. It is no error if there is none.
    pub fn forget_time(&self) -> Result<(), StoreError> {
        self.changing("clock", |home| {
            home.backend.remove(TIME, false)?;
            home.backend.remove(COPY, false)?;
            home.backend.sync()
        })
    }
}

impl Home<'_> {
    /// The later of the two records; an error only if none can be read and one is damaged.
    fn kept_time(&mut self) -> Result<Option<Time>, StoreError> {
        match (self.read_time(TIME), self.read_time(COPY)) {
            (Ok(main), Ok(copy)) => Ok(main.max(copy)),
            (Ok(Some(kept)), Err(damage)) | (Err(damage), Ok(Some(kept))) if damage.kind == StoreErrorKind::Corrupt => {
                Ok(Some(kept))
            }
            (Err(damage), _) | (_, Err(damage)) => Err(damage),
        }
    }

    fn read_time(&mut self, place: &str) -> Result<Option<Time>, StoreError> {
        let Some(bytes) = self.backend.read(place)? else { return Ok(None) };
        let record = Record::parse(&bytes, "clock", place, &**self.provider)?;
        Ok(Some(Time::from_unix(record.number("time", place)?)))
    }

    fn write_time(&mut self, time: Time) -> Result<(), StoreError> {
        let record = Record::new().with("time", time.unix()).encode("clock", &**self.provider)?;
        let is_first = !matches!(self.read_time(TIME), Ok(Some(_)));
        if let Err(error) = self.backend.write(TIME, &record) {
            let (main, kept) = (self.read_time(TIME), self.kept_time());
            let is_whole = matches!((main, kept), (Ok(Some(main)), Ok(kept)) if kept == Some(main));
            self.make_room(error, is_whole, COPY)?;
            self.backend.write(TIME, &record)?;
        }
        if is_first {
            // A copy that is spoilt must not stand alone.
            self.backend.sync()?;
        }
        if self.read_time(TIME)? != Some(time) {
            let detail = "what was read back is not what was written";
            return Err(StoreError::new(StoreErrorKind::VerifyAfterWrite, TIME, detail));
        }
        // A copy that cannot be written is for the next call or for `repair`; one sync makes both durable.
        let _ = self.backend.write_spare(COPY, &record);
        self.backend.sync()
    }

    /// The latest notBefore of the generations that are whole.
    fn latest_not_before(&mut self) -> Result<Option<Time>, StoreError> {
        let mut latest = None;
        for name in identity_names(&self.backend.list("identity/")?) {
            for number in self.numbers(&name)? {
                match self.load(&name, number) {
                    Ok(identity) => latest = latest.max(Some(identity.certificate.not_before())),
                    Err(error) if error.is_damage() => {}
                    Err(error) if error.is_sealed() || error.kind == StoreErrorKind::Version => {}
                    // Readable perhaps later: the time must not begin too early for good.
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(latest)
    }

    /// Both records are readable and say the same, or there is neither.
    pub(super) fn examine_time(&mut self, mend: bool, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        let (main, copy) = (self.read_time(TIME), self.read_time(COPY));
        if main == copy && main.is_ok() {
            return Ok(());
        }
        let (place, text) = match (&main, &copy) {
            (Err(damage), _) => (TIME, damage.detail.clone()),
            (_, Err(damage)) => (COPY, damage.detail.clone()),
            (Ok(main), Ok(copy)) if main < copy => (TIME, "older than its copy, or missing".to_owned()),
            _ => (COPY, "older than the record it copies, or missing".to_owned()),
        };
        for other in [&main, &copy].into_iter().filter_map(|read| read.as_ref().err()) {
            if other.kind != StoreErrorKind::Corrupt {
                problems.push(left_alone(other));
                return Ok(());
            }
        }
        let kept = match self.kept_time() {
            Err(_) => self.latest_not_before()?,
            kept => kept?,
        };
        if mend {
            match kept {
                Some(time) => self.write_time(time)?,
                // Nothing is known any more: without a record the next time noted counts.
                None => {
                    self.backend.remove(TIME, false)?;
                    self.backend.remove(COPY, false)?;
                }
            }
        }
        let text = match kept {
            Some(time) => format!("{text}; {time} counts"),
            None => format!("{text}; the last known time is lost"),
        };
        let kind = if main.is_ok() && copy.is_ok() { ProblemKind::Leftover } else { ProblemKind::Damaged };
        problems.push(Problem::new(kind, place, &text).mended(mend));
        Ok(())
    }
}
