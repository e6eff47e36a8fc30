//! The frame of a saved operation: its version, its digest, and how its fields are written.

use ::der::Tag;

use super::state::{Phase, UnderWay};
use crate::asn1::cmp::BodyType;
use crate::asn1::der::{Cursor, element, encode};
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;

/// Changes whenever the saved form does. Others are refused by their number: 3 and older do not say whose they are.
pub(super) const VERSION: i64 = 4;

pub(super) const WHAT: &str = "saved operation";

/// The fields, the version first; the whole content; and its digest, which is for the caller to check.
pub(super) fn opened(saved: &[u8]) -> Result<(Cursor<'_>, &[u8], &[u8]), Error> {
    let damaged = |error: crate::asn1::Asn1Error| Error::new(Code::Corrupt, error.to_string());
    let mut outer = Cursor::sequence(saved, WHAT).map_err(damaged)?;
    let content = outer.expect(Tag::Sequence, "the content").map_err(damaged)?;
    let digest = outer.expect(Tag::OctetString, "the digest").map_err(damaged)?.value;
    outer.finish().map_err(damaged)?;
    let fields = Cursor::new(content.value, WHAT).map_err(damaged)?;
    Ok((fields, content.bytes, digest))
}

/// Reads the version. Whoever can check the digest does so first: a damaged version is no other version.
pub(super) fn check_version(fields: &mut Cursor<'_>) -> Result<(), Error> {
    let version: i64 = fields.decode().map_err(|error| Error::new(Code::Corrupt, error.to_string()))?;
    if version == VERSION {
        return Ok(());
    }
    let words = format!("the saved operation has version {version}, this library reads {VERSION}");
    Err(Error::new(Code::UnknownVersion, words))
}

pub(super) fn octets(value: &[u8]) -> Vec<u8> {
    element(0x04, &[value])
}

pub(super) fn read_octets(fields: &mut Cursor<'_>) -> Result<Vec<u8>, Error> {
    Ok(fields.expect(Tag::OctetString, "bytes")?.value.to_vec())
}

/// What was under way, without what the phase is about.
pub(super) struct SavedUnderWay {
    pub body: BodyType,
    pub phase: SavedPhase,
    pub polling: Option<i64>,
}

/// The number of a phase.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SavedPhase {
    Request = 0,
    Confirmation = 1,
    Encapsulation = 2,
    /// Everything is said, and the certificate is not valid yet.
    Validity = 3,
}

impl SavedUnderWay {
    pub fn of(under_way: &UnderWay) -> Self {
        let phase = match under_way.phase {
            Phase::Request => SavedPhase::Request,
            Phase::Confirmation(_) => SavedPhase::Confirmation,
            Phase::Encapsulation => SavedPhase::Encapsulation,
        };
        SavedUnderWay { body: under_way.body, phase, polling: under_way.polling }
    }

    /// Nothing: a confirmed certificate becomes valid.
    pub const RIPENING: SavedUnderWay =
        SavedUnderWay { body: BodyType::PKICONF, phase: SavedPhase::Validity, polling: None };

    pub fn write(&self) -> Vec<u8> {
        let polling = self.polling.map_or_else(Vec::new, |id| encode(&id));
        [encode(&i64::from(self.body.0)), encode(&(self.phase as i64)), polling].concat()
    }
}

pub(super) fn read_under_way(content: &[u8]) -> Result<Option<SavedUnderWay>, Error> {
    if content.is_empty() {
        return Ok(None);
    }
    let mut fields = Cursor::new(content, WHAT)?;
    let body = BodyType(fields.decode()?);
    let phase = match fields.decode::<i64>()? {
        1 => SavedPhase::Confirmation,
        2 => SavedPhase::Encapsulation,
        3 => SavedPhase::Validity,
        _ => SavedPhase::Request,
    };
    let polling = if fields.is_empty() { None } else { Some(fields.decode()?) };
    Ok(Some(SavedUnderWay { body, phase, polling }))
}

/// Why the CA asks to wait, in its words. Older saved operations do not have them.
pub(super) fn read_reason(state: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    let mut reason = Vec::new();
    if !state.is_empty() {
        let mut texts = Cursor::new(state.expect(Tag::Sequence, "the reason")?.value, WHAT)?;
        while !texts.is_empty() {
            reason.push(String::from_utf8_lossy(&read_octets(&mut texts)?).into_owned());
        }
    }
    Ok(reason)
}
