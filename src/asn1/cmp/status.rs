//! PKIStatusInfo and ErrorMsgContent (RFC 9810 sections 5.2.3 and 5.3.21).

use core::fmt;

use ::der::Tag;

use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, encode, sequence};
use crate::asn1::directory_string;
use crate::asn1::name::is_misleading;
pub use crate::codes::{FAIL_INFO_NAMES, fail_info_names};
use crate::limits;
use crate::prelude::*;
use crate::words::hex;

/// `PKIStatus ::= INTEGER` (RFC 9810 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PkiStatus {
    /// You got exactly what you asked for.
    Accepted,
    /// You got something like what you asked for; find out what differs.
    GrantedWithMods,
    /// You don't get it.
    Rejection,
    /// The request has not been processed yet: poll.
    Waiting,
    /// A revocation is imminent.
    RevocationWarning,
    /// A revocation has occurred.
    RevocationNotification,
    /// The key in oldCertId was updated already.
    KeyUpdateWarning,
    /// A value that the standard does not give.
    Unknown(i64),
}

impl PkiStatus {
    /// From the number on the wire.
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => PkiStatus::Accepted,
            1 => PkiStatus::GrantedWithMods,
            2 => PkiStatus::Rejection,
            3 => PkiStatus::Waiting,
            4 => PkiStatus::RevocationWarning,
            5 => PkiStatus::RevocationNotification,
            6 => PkiStatus::KeyUpdateWarning,
            other => PkiStatus::Unknown(other),
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> i64 {
        match self {
            PkiStatus::Accepted => 0,
            PkiStatus::GrantedWithMods => 1,
            PkiStatus::Rejection => 2,
            PkiStatus::Waiting => 3,
            PkiStatus::RevocationWarning => 4,
            PkiStatus::RevocationNotification => 5,
            PkiStatus::KeyUpdateWarning => 6,
            PkiStatus::Unknown(other) => other,
        }
    }

    /// The standard's word; [`Display`](fmt::Display) says the number of one that is not the standard's.
    pub const fn name(self) -> &'static str {
        match self {
            PkiStatus::Accepted => "accepted",
            PkiStatus::GrantedWithMods => "grantedWithMods",
            PkiStatus::Rejection => "rejection",
            PkiStatus::Waiting => "waiting",
            PkiStatus::RevocationWarning => "revocationWarning",
            PkiStatus::RevocationNotification => "revocationNotification",
            PkiStatus::KeyUpdateWarning => "keyUpdateWarning",
            PkiStatus::Unknown(_) => "an unknown status",
        }
    }
}

impl fmt::Display for PkiStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PkiStatus::Unknown(number) => write!(f, "PKIStatus {number}, which RFC 9810 does not know"),
            known => f.write_str(known.name()),
        }
    }
}

/// ```text
/// PKIStatusInfo ::= SEQUENCE {
///     status        PKIStatus,
///     statusString  PKIFreeText     OPTIONAL,
///     failInfo      PKIFailureInfo  OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkiStatusInfo {
    /// What became of the request.
    pub status: PkiStatus,
    /// The server's texts: cut and made safe to show.
    pub texts: Vec<String>,
    /// Bit n is bit n of PKIFailureInfo; unknown bits up to 31 are kept.
    pub fail_info: Option<u32>,
}

impl PkiStatusInfo {
    /// A status without words or failure bits.
    pub fn new(status: PkiStatus) -> Self {
        PkiStatusInfo { status, texts: Vec::new(), fail_info: None }
    }

    /// What a success is accompanied by, in words: a status other than accepted, and the server's texts, one each.
    pub fn warnings(&self) -> Vec<String> {
        // RFC 9810 section 5.2.3.
        let meaning = match self.status {
            PkiStatus::GrantedWithMods => Some("grantedWithMods: something other than what was asked for was granted"),
            PkiStatus::RevocationWarning => Some("revocationWarning: a revocation is imminent"),
            PkiStatus::RevocationNotification => Some("revocationNotification: a revocation has happened"),
            PkiStatus::KeyUpdateWarning => Some("keyUpdateWarning: the old certificate's key was updated before"),
            _ => None,
        };
        meaning.map(str::to_owned).into_iter().chain(self.texts.iter().cloned()).collect()
    }

    pub(super) fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "PKIStatusInfo")?;
        let status = PkiStatus::from_number(read_number(&fields.expect(Tag::Integer, "status")?));
        let texts = read_free_text(&mut fields)?;
        let fail_info = fields.optional(Tag::BitString)?.map(|bits| bits_of(bits.value)).transpose()?;
        // No bit at all says as much as none.
        let fail_info = fail_info.filter(|bits| *bits != 0);
        fields.finish()?;
        Ok(PkiStatusInfo { status, texts, fail_info })
    }

    /// DER.
    pub fn to_der(&self) -> Vec<u8> {
        let status = encode(&self.status.number());
        let texts = if self.texts.is_empty() { Vec::new() } else { free_text(&self.texts) };
        let fail_info = self.fail_info.map_or_else(Vec::new, encode_bits);
        sequence(&[&status, &texts, &fail_info])
    }
}

/// ```text
/// ErrorMsgContent ::= SEQUENCE {
///     pKIStatusInfo  PKIStatusInfo,
///     errorCode      INTEGER      OPTIONAL,
///     errorDetails   PKIFreeText  OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMsgContent {
    /// Status, texts, failure bits.
    pub status: PkiStatusInfo,
    /// A number that only the server's documentation explains; one of more than 64 bits in hex.
    pub error_code: Option<String>,
    /// More texts.
    pub details: Vec<String>,
}

impl ErrorMsgContent {
    pub(super) fn parse(element: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::sequence(element, "ErrorMsgContent")?;
        let status = PkiStatusInfo::parse(fields.expect(Tag::Sequence, "pKIStatusInfo")?.value)?;
        // Vendors put any INTEGER here.
        let error_code = fields.optional(Tag::Integer)?.map(|number| match number.value.len() {
            ..=8 => read_number(&number).to_string(),
            _ => format!("0x{}", hex(&number.value[..number.value.len().min(32)])),
        });
        let details = read_free_text(&mut fields)?;
        fields.finish()?;
        Ok(ErrorMsgContent { status, error_code, details })
    }
}

/// `PKIFreeText ::= SEQUENCE SIZE (1..MAX) OF UTF8String`, if it comes next: tolerant, since it is only shown.
pub(super) fn read_free_text(fields: &mut Cursor<'_>) -> Result<Vec<String>, Asn1Error> {
    let Some(list) = fields.optional(Tag::Sequence)? else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    let mut cursor = Cursor::new(list.value, "PKIFreeText")?;
    while !cursor.is_empty() && texts.len() < limits::MAX_SERVER_TEXTS {
        let (tag, element) = (cursor.next_byte(), cursor.any("a UTF8String")?);
        // Old servers write other string types.
        texts.push(match directory_string::text(tag.unwrap_or_default(), element.value) {
            Some(text) => show(text.as_bytes()),
            None => show(element.value),
        });
    }
    Ok(texts)
}

/// The value of an INTEGER; one beyond 64 bits at the end of the range.
pub(super) fn read_number(number: &Tlv<'_>) -> i64 {
    let is_negative = number.value.first().is_some_and(|byte| byte & 0x80 != 0);
    let end = if is_negative { i64::MIN } else { i64::MAX };
    ::der::Decode::from_der(number.bytes).unwrap_or(end)
}

/// A peer's text, made fit to be shown: cut at the limit, without characters that move the cursor or turn the line round.
pub(crate) fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(limits::MAX_SERVER_TEXT_BYTES)];
    String::from_utf8_lossy(cut).chars().map(|c| if is_misleading(c) { '\u{fffd}' } else { c }).collect()
}

fn free_text(texts: &[String]) -> Vec<u8> {
    let encoded: Vec<u8> = texts.iter().flat_map(|t| element(0x0c, &[t.as_bytes()])).collect();
    sequence(&[&encoded])
}

fn bits_of(content: &[u8]) -> Result<u32, Asn1Error> {
    let [unused @ 0..=7, bytes @ ..] = content else {
        return Err(Asn1Error::invalid("PKIFailureInfo", "not a BIT STRING of DER"));
    };
    let mut bits = 0u32;
    for n in 0..(bytes.len() * 8).saturating_sub(usize::from(*unused)).min(32) {
        if bytes[n / 8] >> (7 - n % 8) & 1 == 1 {
            bits |= 1 << n;
        }
    }
    Ok(bits)
}

/// A named bit list: trailing zero bits are left out (X.690 section 11.2.2).
fn encode_bits(bits: u32) -> Vec<u8> {
    let count = 32 - bits.leading_zeros() as usize;
    let mut bytes = vec![0u8; count.div_ceil(8)];
    for n in (0..count).filter(|n| bits >> n & 1 == 1) {
        bytes[n / 8] |= 0x80 >> (n % 8);
    }
    element(0x03, &[&[(bytes.len() * 8 - count) as u8], &bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_bit_has_its_place_and_name() {
        for n in 0..27 {
            let info = PkiStatusInfo { fail_info: Some(1 << n), ..PkiStatusInfo::new(PkiStatus::Rejection) };
            let der = info.to_der();
            assert_eq!(PkiStatusInfo::parse(&der[2..]).unwrap(), info);
            assert_eq!(fail_info_names(1 << n), FAIL_INFO_NAMES[n as usize]);
        }
        // badPOP is bit 9: two bytes, six unused bits.
        assert_eq!(encode_bits(1 << 9), [0x03, 0x03, 0x06, 0x00, 0x40]);
    }

    #[test]
    fn text_that_is_not_utf8_is_shown_as_far_as_it_goes() {
        let content = [&[0x02, 0x01, 0x02][..], &sequence(&[&element(0x0c, &[b"ung\xfcltig\x1b[2J"])])].concat();
        let info = PkiStatusInfo::parse(&content).unwrap();
        assert_eq!(info.texts, ["ung\u{fffd}ltig\u{fffd}[2J"]);
    }

    #[test]
    fn an_endless_list_of_texts_is_cut() {
        let texts: Vec<u8> = (0..1000).flat_map(|_| element(0x0c, &[&[b'x'; 5000]])).collect();
        let content = [&[0x02, 0x01, 0x02][..], &sequence(&[&texts])].concat();
        let info = PkiStatusInfo::parse(&content).unwrap();
        assert_eq!(info.texts.len(), limits::MAX_SERVER_TEXTS);
        assert!(info.texts.iter().all(|t| t.len() == limits::MAX_SERVER_TEXT_BYTES));
    }
}
