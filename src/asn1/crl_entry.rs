//! One entry of a revocation list (RFC 5280 section 5.3): whom it is about, whatever else is odd about it, and where it ends.
//!
//! Lists have millions of entries: the walk over them reads no more than it must, by short cuts of [`Cursor`].

use ::der::Tag;

use super::crl_reason::CrlReason;
use super::der::{Asn1Error, Cursor};
use super::element::{take, take_any};
use super::general_name::{GeneralName, general_names};
use super::oid::{self, Oid};
use super::x509::{Extension, Extensions};
use crate::prelude::*;
use crate::time::Time;

/// One entry of a list.
#[derive(Clone, Copy, Debug)]
pub struct CrlEntry<'a> {
    /// Content of userCertificate without superfluous leading bytes: see [`shortest_integer`].
    pub serial: &'a [u8],
    /// When the certificate was revoked; `None` if that is no date. Never decides anything: on the list is revoked.
    pub revocation_date: Option<Time>,
    /// What is behind the date: crlEntryExtensions with tag and length, if it is as it should be.
    extensions: Option<&'a [u8]>,
}

/// What the walk over the entries must know about one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryFacts<'a> {
    /// A critical entry extension that is not understood: the whole list must not be used (RFC 5280 section 5.3).
    pub unknown_critical: Option<Oid>,
    /// Value of certificateIssuer (section 5.3.3).
    pub certificate_issuer: Option<&'a [u8]>,
    /// There are extensions, and they cannot be read to their end. The certificate is revoked all the same; in an indirect
    /// list it is not known whose.
    pub is_odd: bool,
}

impl EntryFacts<'_> {
    /// Whether, in an indirect list, it may say whose certificate it is about in a way that is not understood.
    pub(crate) fn hides_issuer(&self) -> bool {
        self.is_odd || self.unknown_critical.is_some()
    }
}

/// `30 0c 30 0a 06 03 <reasonCode> 04 03 0a 01`: how nearly all entry extensions look.
const REASON_ONLY: [u8; 13] = [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];

impl<'a> CrlEntry<'a> {
    /// Splits the content of one entry: a serial number, and whatever else can be read.
    pub(crate) fn read(content: &'a [u8]) -> Result<Self, Asn1Error> {
        let (entry, date) = Self::split(content).ok_or_else(malformed_entry)?;
        let revocation_date = match date {
            (0x17, digits) => Time::from_utc_time(digits),
            (0x18, digits) => Time::from_generalized_time(digits),
            _ => None,
        };
        Ok(CrlEntry { revocation_date, ..entry })
    }

    /// Checks the content of one entry. The date decides nothing, and neither does what is odd about its extensions, or that they
    /// stand in a list of version 1 (section 5.1.2.6): it is on the list. An entry without a serial number is about nobody.
    #[inline(always)]
    pub(crate) fn check(content: &'a [u8]) -> EntryFacts<'a> {
        let Some((entry, _)) = Self::split(content) else {
            // Nobody knows whom it is about, and it hides none of the others.
            return EntryFacts { is_odd: true, ..EntryFacts::default() };
        };
        match entry.extensions {
            None => EntryFacts::default(),
            Some([start @ .., reason]) if start == REASON_ONLY && *reason < 0x80 => EntryFacts::default(),
            Some(_) => entry.facts(),
        }
    }

    /// Why it is revoked. Reasons that can be taken back (section 5.3.1) count only where nothing is odd about it.
    pub fn reason(&self) -> CrlReason {
        let mut found = None;
        let mut is_sound = true;
        for extension in self.each_extension() {
            match extension {
                Ok(extension) if extension.oid == oid::CE_CRL_REASON => {
                    let reason = CrlReason::from_der(extension.value).ok();
                    is_sound &= found.is_none() && reason.is_some();
                    found = found.or(reason);
                }
                Ok(_) => {}
                Err(_) => is_sound = false,
            }
        }
        match found.unwrap_or(CrlReason::Unspecified) {
            CrlReason::RemoveFromCrl | CrlReason::CertificateHold if !is_sound => CrlReason::Unspecified,
            reason => reason,
        }
    }

    /// Value of certificateIssuer: from here on, entries are about certificates of that issuer.
    pub fn certificate_issuer(&self) -> Option<&'a [u8]> {
        self.each_extension().flatten().find(|e| e.oid == oid::CE_CERTIFICATE_ISSUER).map(|e| e.value)
    }

    fn each_extension(&self) -> impl Iterator<Item = Result<Extension<'a>, Asn1Error>> {
        let parsed = self.extensions.map(|extensions| Extensions::parse_or_none(extensions, ENTRY_EXTENSIONS));
        let (all, odd) = match parsed {
            Some(Ok(all)) => (Some(all), None),
            Some(Err(error)) => (None, Some(Err(error))),
            None => (None, None),
        };
        all.into_iter().flatten().chain(odd)
    }

    #[inline(always)]
    #[allow(clippy::type_complexity, reason = "a private pair of tag and content")]
    fn split(content: &'a [u8]) -> Option<(Self, (u8, &'a [u8]))> {
        let (serial, rest) = serial_of(content)?;
        let (date, behind) = match rest.first() {
            Some(tag @ (0x17 | 0x18)) => match take(rest, *tag) {
                Some((digits, behind)) => ((*tag, digits), behind),
                None => odd_date(rest),
            },
            Some(_) => odd_date(rest),
            None => ((0, &[][..]), rest),
        };
        let extensions = (!behind.is_empty()).then_some(behind);
        Some((CrlEntry { serial: shortest_integer(serial), revocation_date: None, extensions }, date))
    }

    #[cold]
    fn facts(&self) -> EntryFacts<'a> {
        let mut facts = EntryFacts::default();
        let Ok(extensions) = Extensions::parse_or_none(self.extensions.unwrap_or_default(), ENTRY_EXTENSIONS) else {
            return EntryFacts { is_odd: true, ..facts };
        };
        for extension in extensions {
            let Ok(extension) = extension else {
                return EntryFacts { is_odd: true, ..facts };
            };
            match extension.oid {
                o if o == oid::CE_CERTIFICATE_ISSUER => match issuer_names(extension.value) {
                    // Of two issuers nobody knows which is meant.
                    Ok(_) if facts.certificate_issuer.is_none() => facts.certificate_issuer = Some(extension.value),
                    _ => facts.is_odd = true,
                },
                o if o == oid::CE_CRL_REASON || o == oid::CE_INVALIDITY_DATE => {}
                other if extension.critical => facts.unknown_critical = facts.unknown_critical.or(Some(other)),
                _ => {}
            }
        }
        facts
    }
}

const ENTRY_EXTENSIONS: &str = "crlEntryExtensions";

/// Whose certificate an entry is about (section 5.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryIssuer<'a> {
    /// The list's own issuer.
    Own,
    /// Whom certificateIssuer names: value of the extension.
    Named(&'a [u8]),
    /// It cannot be read: anybody's.
    Unknown,
}

/// What is wrong with an indirect list that has such an entry. In other lists certificateIssuer has no meaning (section
/// 5.3.3) and is passed over: the entries are about the list's own issuer.
#[cold]
pub(crate) fn unknown_issuer() -> Asn1Error {
    Asn1Error::invalid("revokedCertificates", "an entry of an indirect list that does not tell its issuer")
}

/// The names in a certificateIssuer extension's value that are distinguished names, DER; at least one is demanded.
pub fn issuer_names(value: &[u8]) -> Result<Vec<&[u8]>, Asn1Error> {
    const WHAT: &str = "CertificateIssuer";
    let mut outer = Cursor::new(value, WHAT)?;
    let content = outer.expect(Tag::Sequence, "GeneralNames")?.value;
    outer.finish()?;
    let names: Vec<&[u8]> = general_names(content)?
        .into_iter()
        .filter_map(|name| match name {
            GeneralName::Directory(name) => Some(name),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return Err(Asn1Error::invalid(WHAT, "no distinguished name"));
    }
    Ok(names)
}

/// What stands where the date should, and what follows; whatever it is, the serial number has told whom it is about.
#[cold]
fn odd_date(rest: &[u8]) -> ((u8, &[u8]), &[u8]) {
    match (rest.first(), loose_element(rest)) {
        // No date: these are the extensions.
        (Some(0x30), Some((_, []))) => ((0, &[]), rest),
        (Some(tag), Some((content, behind))) => ((*tag, content), behind),
        _ => ((0, &[]), &[]),
    }
}

/// The serial number of an entry, as an INTEGER or as any other value with the same content, and what follows. One without
/// content is none.
#[inline(always)]
pub(crate) fn serial_of(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let found = match take(content, 0x02) {
        Some(found) => found,
        None => take_any(content).map(|(_, serial, rest)| (serial, rest))?,
    };
    (!found.0.is_empty()).then_some(found)
}

/// Content of an INTEGER without the leading bytes that its value does not need, so that a serial number encoded
/// against DER still equals itself.
#[inline(always)]
pub fn shortest_integer(mut content: &[u8]) -> &[u8] {
    while let [first, second, ..] = content {
        if (*first == 0 && second & 0x80 == 0) || (*first == 0xff && second & 0x80 != 0) {
            content = &content[1..];
        } else {
            break;
        }
    }
    content
}

/// Content of the entry that `bytes` begins with, and what follows it. Where it ends must be clear, and nothing else: the others
/// behind it are found whatever is odd about this one.
#[inline(always)]
pub(crate) fn take_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    take(bytes, 0x30).or_else(|| loose_element(bytes))
}

/// The same for an element of any tag, and with a length in more bytes than it needs (BER).
#[cold]
fn loose_element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let tag_len = match bytes.first()? & 0x1f {
        0x1f => 2 + bytes[1..].iter().take(5).position(|byte| byte & 0x80 == 0)?,
        _ => 1,
    };
    let (length_len, length) = match *bytes.get(tag_len)? {
        short @ ..=0x7f => (1, usize::from(short)),
        long @ 0x81..=0x88 => {
            let count = usize::from(long & 0x7f);
            let octets = bytes.get(tag_len + 1..)?.get(..count)?;
            let length = octets.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
            (1 + count, usize::try_from(length).ok()?)
        }
        _ => return None,
    };
    bytes.get(tag_len + length_len..)?.split_at_checked(length)
}

#[cold]
pub(crate) fn malformed_entry() -> Asn1Error {
    Asn1Error::invalid("revokedCertificates", "an entry that is not serial number, date and extensions")
}
