//! Revocation lists (RFC 5280 section 5.1) over the bytes that came: header, entries and trailer as spans and facts.
//!
//! A list of a million entries is 38 MB; nothing here turns entries into objects. [`CertificateList::from_der`] walks
//! them once to know that each is well-formed, which a later lookup then relies on.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ::der::Tag;

use super::der::{Asn1Error, Cursor};
use super::distribution_point::{IssuingDistributionPoint, point_url_groups};
use super::general_name::{GeneralName, general_names};
use super::name::Name;
use super::oid::{self, Oid};
use super::x509::{Extension, Extensions, bit_string, read_time, span_of};
use crate::limits;
use crate::time::Time;

/// Bytes and whoever owns them: a vector, a shared slice, a memory-mapped file.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Why a certificate is on a list (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrlReason {
    /// No reason given, or `unspecified (0)`.
    Unspecified,
    /// `keyCompromise (1)`.
    KeyCompromise,
    /// `cACompromise (2)`.
    CaCompromise,
    /// `affiliationChanged (3)`.
    AffiliationChanged,
    /// `superseded (4)`.
    Superseded,
    /// `cessationOfOperation (5)`.
    CessationOfOperation,
    /// `certificateHold (6)`: revoked as long as it stands there.
    CertificateHold,
    /// `removeFromCRL (8)`: in delta CRLs, no longer on hold.
    RemoveFromCrl,
    /// `privilegeWithdrawn (9)`.
    PrivilegeWithdrawn,
    /// `aACompromise (10)`.
    AaCompromise,
    /// A number without meaning in the standard; the certificate is revoked all the same.
    Other(u8),
}

impl CrlReason {
    /// From the number of the ENUMERATED.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => CrlReason::Unspecified,
            1 => CrlReason::KeyCompromise,
            2 => CrlReason::CaCompromise,
            3 => CrlReason::AffiliationChanged,
            4 => CrlReason::Superseded,
            5 => CrlReason::CessationOfOperation,
            6 => CrlReason::CertificateHold,
            8 => CrlReason::RemoveFromCrl,
            9 => CrlReason::PrivilegeWithdrawn,
            10 => CrlReason::AaCompromise,
            other => CrlReason::Other(other),
        }
    }

    /// The number of the ENUMERATED.
    pub const fn number(self) -> u8 {
        match self {
            CrlReason::Unspecified => 0,
            CrlReason::KeyCompromise => 1,
            CrlReason::CaCompromise => 2,
            CrlReason::AffiliationChanged => 3,
            CrlReason::Superseded => 4,
            CrlReason::CessationOfOperation => 5,
            CrlReason::CertificateHold => 6,
            CrlReason::RemoveFromCrl => 8,
            CrlReason::PrivilegeWithdrawn => 9,
            CrlReason::AaCompromise => 10,
            CrlReason::Other(number) => number,
        }
    }

    /// From a CRLReason, DER: an ENUMERATED that fits a byte.
    pub fn from_der(value: &[u8]) -> Result<Self, Asn1Error> {
        match value {
            [0x0a, 0x01, number] if *number < 0x80 => Ok(Self::from_number(*number)),
            [0x0a, 0x02, 0x00, number] if *number >= 0x80 => Ok(Self::from_number(*number)),
            _ => Err(Asn1Error::invalid("CRLReason", "not an ENUMERATED between 0 and 255")),
        }
    }
}

impl fmt::Display for CrlReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CrlReason::Unspecified => "unspecified",
            CrlReason::KeyCompromise => "keyCompromise",
            CrlReason::CaCompromise => "cACompromise",
            CrlReason::AffiliationChanged => "affiliationChanged",
            CrlReason::Superseded => "superseded",
            CrlReason::CessationOfOperation => "cessationOfOperation",
            CrlReason::CertificateHold => "certificateHold",
            CrlReason::RemoveFromCrl => "removeFromCRL",
            CrlReason::PrivilegeWithdrawn => "privilegeWithdrawn",
            CrlReason::AaCompromise => "aACompromise",
            CrlReason::Other(number) => return write!(f, "number {number}"),
        })
    }
}

/// A CRLNumber or BaseCRLNumber: content of a non-negative INTEGER, kept without leading zeros and so ordered by length,
/// then bytes. RFC 5280 section 5.2.3 has issuers keep to 20 octets; a longer one is a number all the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CrlNumber(Box<[u8]>);

impl CrlNumber {
    /// From the value of the extension.
    pub fn from_der(value: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CRLNumber";
        let mut cursor = Cursor::new(value, WHAT)?;
        let content = cursor.expect(Tag::Integer, "an INTEGER")?.value;
        cursor.finish()?;
        match content {
            [] => Err(Asn1Error::invalid(WHAT, "an INTEGER without content")),
            [first, ..] if first & 0x80 != 0 => Err(Asn1Error::invalid(WHAT, "negative")),
            _ if content.len() > limits::MAX_CRL_NUMBER_BYTES => {
                Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_CRL_NUMBER_BYTES, content.len()))
            }
            _ => Ok(Self::from_be_bytes(content)),
        }
    }

    /// From its bytes, most significant first.
    pub fn from_be_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        CrlNumber(bytes[zeros..].into())
    }

    /// Its bytes, most significant first, without leading zeros.
    pub fn as_be_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for CrlNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for CrlNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 8 {
            return write!(f, "{}", self.0.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
        }
        write!(f, "0x{}", super::x509::hex(&self.0))
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlNumber({self})")
    }
}

/// What stands before the entries.
#[derive(Clone, Debug)]
pub struct CrlHead {
    /// 1 or 2.
    pub version: u8,
    /// The AlgorithmIdentifier inside the signed part.
    pub signature_algorithm: Box<[u8]>,
    /// The issuer's Name, DER.
    pub issuer: Box<[u8]>,
    /// When the list was made.
    pub this_update: Time,
    /// When the next one will be there at the latest.
    pub next_update: Option<Time>,
}

impl CrlHead {
    /// Reads from version to nextUpdate. `fields` then stands at revokedCertificates, crlExtensions or the end.
    pub(crate) fn read(fields: &mut Cursor<'_>) -> Result<Self, Asn1Error> {
        const WHAT: &str = "TBSCertList";
        let version = match fields.optional(Tag::Integer)? {
            None => 1,
            // Section 5.1.2.1: when present, it is v2.
            Some(field) if field.value == [1] => 2,
            Some(_) => return Err(Asn1Error::invalid(WHAT, "version is there and not 2")),
        };
        let signature_algorithm = fields.expect(Tag::Sequence, "signature")?.bytes.into();
        let issuer = fields.expect(Tag::Sequence, "issuer")?.bytes;
        Name::from_der(issuer)?;
        // Section 5.1.2.3: the issuer field MUST contain a non-empty name.
        if issuer == [0x30, 0x00] {
            return Err(Asn1Error::invalid(WHAT, "issuer without a name"));
        }
        let this_update = read_time(fields, "thisUpdate")?;
        let next_update = match fields.peek() {
            Some(Tag::UtcTime | Tag::GeneralizedTime) => Some(read_time(fields, "nextUpdate")?),
            _ => None,
        };
        Ok(CrlHead { version, signature_algorithm, issuer: issuer.into(), this_update, next_update })
    }
}

/// What stands behind the entries: the list's extensions.
#[derive(Clone, Debug, Default)]
pub struct CrlTail {
    /// cRLNumber (RFC 5280 section 5.2.3).
    pub number: Option<CrlNumber>,
    /// BaseCRLNumber: this is a delta CRL (section 5.2.4).
    pub base_number: Option<CrlNumber>,
    /// Value of authorityKeyIdentifier (section 5.2.1).
    pub authority_key_identifier: Option<Box<[u8]>>,
    /// A critical extension that is not understood: the list must not be used (section 5.2).
    pub unknown_critical: Option<Oid>,
    /// An extension that is critical and must not be, or the opposite (sections 5.2.1 to 5.2.7).
    pub wrong_criticality: Option<Oid>,
    issuing_distribution_point: Option<Box<[u8]>>,
    freshest_crl: Option<Box<[u8]>>,
}

impl CrlTail {
    /// Reads the content of `[0] crlExtensions`.
    pub(crate) fn read(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut tail = CrlTail::default();
        let mut seen: Vec<Oid> = Vec::new();
        for extension in Extensions::parse_or_none(content, "crlExtensions")? {
            let extension = extension?;
            if seen.contains(&extension.oid) {
                return Err(Asn1Error::invalid("crlExtensions", "the same extension twice"));
            }
            seen.push(extension.oid);
            let must_be_critical = match extension.oid {
                oid::CE_DELTA_CRL_INDICATOR | oid::CE_ISSUING_DISTRIBUTION_POINT => Some(true),
                oid::CE_CRL_NUMBER | oid::CE_AUTHORITY_KEY_IDENTIFIER => Some(false),
                oid::CE_FRESHEST_CRL | oid::PE_AUTHORITY_INFO_ACCESS => Some(false),
                _ => None,
            };
            if must_be_critical.is_some_and(|rule| rule != extension.critical) {
                tail.wrong_criticality = tail.wrong_criticality.or(Some(extension.oid));
            }
            match extension.oid {
                // Not critical, and it decides nothing about what the entries say: one that is odd is none.
                oid::CE_CRL_NUMBER => tail.number = CrlNumber::from_der(extension.value).ok(),
                oid::CE_DELTA_CRL_INDICATOR => tail.base_number = Some(CrlNumber::from_der(extension.value)?),
                oid::CE_ISSUING_DISTRIBUTION_POINT => {
                    IssuingDistributionPoint::from_der(extension.value)?;
                    tail.issuing_distribution_point = Some(extension.value.into());
                }
                oid::CE_AUTHORITY_KEY_IDENTIFIER => tail.authority_key_identifier = Some(extension.value.into()),
                // They help to find data and change nothing about what the list says.
                oid::CE_FRESHEST_CRL => tail.freshest_crl = Some(extension.value.into()),
                oid::CE_ISSUER_ALT_NAME | oid::PE_AUTHORITY_INFO_ACCESS => {}
                other if extension.critical => tail.unknown_critical = tail.unknown_critical.or(Some(other)),
                _ => {}
            }
        }
        Ok(tail)
    }

    /// The URLs of delta CRLs, point by point (freshestCRL, section 5.2.6).
    pub fn freshest_crl_url_groups(&self) -> Vec<Vec<String>> {
        self.freshest_crl.as_deref().map(point_url_groups).unwrap_or_default()
    }

    /// The value of issuingDistributionPoint as it came.
    pub fn issuing_distribution_point_der(&self) -> Option<&[u8]> {
        self.issuing_distribution_point.as_deref()
    }

    /// The list's scope; `None`: all certificates of the list's issuer.
    pub fn issuing_distribution_point(&self) -> Option<IssuingDistributionPoint<'_>> {
        let value = self.issuing_distribution_point.as_deref()?;
        Some(IssuingDistributionPoint::from_der(value).expect("it was read when the list was"))
    }
}

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
    #[inline]
    pub(crate) fn check(content: &'a [u8]) -> Result<EntryFacts<'a>, Asn1Error> {
        let Some((entry, _)) = Self::split(content) else {
            // Nobody knows whom it is about, and it hides none of the others.
            return Ok(EntryFacts { is_odd: true, ..EntryFacts::default() });
        };
        match entry.extensions {
            None => Ok(EntryFacts::default()),
            Some([start @ .., reason]) if start == REASON_ONLY && *reason < 0x80 => Ok(EntryFacts::default()),
            Some(_) => Ok(entry.facts()),
        }
    }

    /// Why it is revoked.
    pub fn reason(&self) -> CrlReason {
        self.find(oid::CE_CRL_REASON).and_then(|e| CrlReason::from_der(e.value).ok()).unwrap_or(CrlReason::Unspecified)
    }

    /// Value of certificateIssuer: from here on, entries are about certificates of that issuer.
    pub fn certificate_issuer(&self) -> Option<&'a [u8]> {
        self.find(oid::CE_CERTIFICATE_ISSUER).map(|e| e.value)
    }

    fn find(&self, wanted: Oid) -> Option<Extension<'a>> {
        Extensions::parse_or_none(self.extensions?, ENTRY_EXTENSIONS).ok()?.flatten().find(|e| e.oid == wanted)
    }

    #[inline]
    #[allow(clippy::type_complexity, reason = "a private pair of tag and content")]
    fn split(content: &'a [u8]) -> Option<(Self, (u8, &'a [u8]))> {
        let (serial, rest) = serial_of(content)?;
        let (date, behind) = match rest.first() {
            Some(tag @ (0x17 | 0x18)) => take(rest, *tag).map(|(digits, behind)| ((*tag, digits), behind))?,
            Some(_) => take_any(rest).map(|(tag, content, behind)| ((tag, content), behind))?,
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
                oid::CE_CERTIFICATE_ISSUER => match issuer_names(extension.value) {
                    // Of two issuers nobody knows which is meant.
                    Ok(_) if facts.certificate_issuer.is_none() => facts.certificate_issuer = Some(extension.value),
                    _ => facts.is_odd = true,
                },
                oid::CE_CRL_REASON | oid::CE_INVALIDITY_DATE => {}
                other if extension.critical => facts.unknown_critical = facts.unknown_critical.or(Some(other)),
                _ => {}
            }
        }
        facts
    }
}

const ENTRY_EXTENSIONS: &str = "crlEntryExtensions";

/// What is wrong with a list whose entries have this among them; certificateIssuer has a meaning in indirect lists only
/// (section 5.3.3), and is passed over elsewhere: the entries are about the list's own issuer.
pub(crate) fn check_issuers(is_indirect: bool, has_odd_entry: bool) -> Result<(), Asn1Error> {
    if is_indirect && has_odd_entry {
        return Err(Asn1Error::invalid(
            "revokedCertificates",
            "an entry of an indirect list that does not tell its issuer",
        ));
    }
    Ok(())
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

/// The serial number of an entry, as an INTEGER or as any other value with the same content, and what follows. One without
/// content is none.
#[inline]
pub(crate) fn serial_of(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let found = match take(content, 0x02) {
        Some(found) => found,
        None => take_any(content).map(|(_, serial, rest)| (serial, rest))?,
    };
    (!found.0.is_empty()).then_some(found)
}

/// Content of an INTEGER without the leading bytes that its value does not need, so that a serial number encoded
/// against DER still equals itself.
#[inline]
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

/// The content of the element with this tag that `bytes` begins with, and what follows it.
///
/// The short cut of [`Cursor`] for millions of tiny elements: one-byte tags, definite lengths in their shortest form.
#[inline]
pub(crate) fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (header_len, content_len) = header(bytes, tag)?;
    let rest = bytes.get(header_len..)?;
    (content_len <= rest.len()).then(|| rest.split_at(content_len))
}

/// Tag, content and what follows of the element that `bytes` begins with, whatever its type.
pub(crate) fn take_any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let tag = *bytes.first().filter(|tag| *tag & 0x1f != 0x1f)?;
    take(bytes, tag).map(|(content, rest)| (tag, content, rest))
}

/// Length of the header and of the content of the element with this tag that `bytes` begins with; the content may
/// reach beyond the end of `bytes`. `None` if it is another tag, no DER, or not whole.
#[inline]
pub(crate) fn header(bytes: &[u8], tag: u8) -> Option<(usize, usize)> {
    match bytes {
        [found, first, ..] if *found == tag => match *first {
            short if short < 0x80 => Some((2, usize::from(short))),
            long => long_header(bytes, usize::from(long & 0x7f)),
        },
        _ => None,
    }
}

/// The same where the length takes `count` bytes of its own.
#[cold]
fn long_header(bytes: &[u8], count: usize) -> Option<(usize, usize)> {
    if count == 0 || count > 4 {
        return None;
    }
    let octets = bytes.get(2..2 + count)?;
    let length = octets.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    (octets[0] != 0 && length >= 0x80).then_some((2 + count, length))
}

#[cold]
fn malformed_entry() -> Asn1Error {
    Asn1Error::invalid("revokedCertificates", "an entry that is not serial number, date and extensions")
}

/// A revocation list, split but not believed.
#[derive(Clone)]
pub struct CertificateList {
    bytes: Bytes,
    tbs: Range<u32>,
    entries: Range<u32>,
    head: CrlHead,
    tail: CrlTail,
    signature: Box<[u8]>,
    entry_count: u32,
    unknown_critical_entry: Option<Oid>,
    /// Offsets of the entries at which certificateIssuer changes, ascending.
    issuer_switches: Vec<u32>,
}

impl CertificateList {
    /// Splits a list and checks the form of each entry. The bytes are kept, not copied; they must not change while
    /// they are owned here (a file that is mapped must not be written to).
    ///
    /// Refused: anything but one DER CertificateList, versions other than 1 and 2, extensions of the list in version 1, the
    /// same one twice, an entry that is no SEQUENCE, one of an indirect list that does not tell its issuer, an
    /// algorithm inside the signed part that differs from the one beside it (RFC 5280 section 5.1.1.2), sizes above
    /// `limits`. What else is odd about an entry changes nothing: its certificate is revoked.
    pub fn from_der(bytes: Bytes) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CertificateList";
        let der: &[u8] = (*bytes).as_ref();
        if der.len() > limits::MAX_CRL_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_CRL_BYTES, der.len()));
        }
        let mut outer = Cursor::sequence(der, WHAT)?;
        let tbs = outer.expect(Tag::Sequence, "tbsCertList")?;
        let algorithm = outer.expect(Tag::Sequence, "signatureAlgorithm")?;
        let signature =
            bit_string(outer.expect(Tag::BitString, "signatureValue")?, WHAT, "signatureValue has unused bits")?;
        outer.finish()?;

        let mut fields = Cursor::new(tbs.value, "TBSCertList")?;
        let head = CrlHead::read(&mut fields)?;
        if *head.signature_algorithm != *algorithm.bytes {
            return Err(Asn1Error::invalid(WHAT, "two different signature algorithms"));
        }
        let entries = match fields.optional(Tag::Sequence)? {
            // An empty one should not be there (RFC 5280 section 5.1.2.6); it says what none says.
            Some(list) => list.value,
            None => &[],
        };
        let tail = match fields.optional_context(0, true)? {
            Some(_) if head.version < 2 => {
                return Err(Asn1Error::invalid("TBSCertList", "extensions in a list of version 1"));
            }
            Some(field) => CrlTail::read(field.value)?,
            None => CrlTail::default(),
        };
        fields.finish()?;

        let entries_span = if entries.is_empty() { 0..0 } else { span_of(der, entries) };
        let mut list = CertificateList {
            tbs: span_of(der, tbs.bytes),
            entries: entries_span,
            signature: signature.into(),
            head,
            tail,
            entry_count: 0,
            unknown_critical_entry: None,
            issuer_switches: Vec::new(),
            bytes: bytes.clone(),
        };
        list.walk(entries)?;
        Ok(list)
    }

    /// Everything before the entries.
    pub fn head(&self) -> &CrlHead {
        &self.head
    }

    /// Everything behind the entries.
    pub fn tail(&self) -> &CrlTail {
        &self.tail
    }

    /// tbsCertList with tag and length: what the signature covers.
    pub fn tbs(&self) -> &[u8] {
        &self.as_der()[self.tbs.start as usize..self.tbs.end as usize]
    }

    /// The signature: content of the BIT STRING without the count of unused bits.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The whole list as it came.
    pub fn as_der(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// A critical extension of some entry that is not understood: the list must not be used (RFC 5280 section 5.3).
    pub fn unknown_critical_entry(&self) -> Option<Oid> {
        self.unknown_critical_entry
    }

    /// Offset and content length of each entry's content, counted from the start of the entries.
    pub(crate) fn entry_spans(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let entries = self.entries();
        let mut position = 0usize;
        std::iter::from_fn(move || {
            let rest = &entries[position..];
            let (header_len, content_len) = header(rest, 0x30)?;
            let start = position as u32;
            position += header_len + content_len;
            Some((start, &rest[header_len..header_len + content_len]))
        })
    }

    /// The entry that begins at this offset, as [`Self::entry_spans`] gave it.
    pub(crate) fn entry_at(&self, offset: u32) -> Option<CrlEntry<'_>> {
        let (content, _) = take(self.entries().get(offset as usize..)?, 0x30)?;
        CrlEntry::read(content).ok()
    }

    /// The same, only if it has this serial number.
    #[inline]
    pub(crate) fn entry_at_if(&self, offset: u32, serial: &[u8]) -> Option<CrlEntry<'_>> {
        let (content, _) = take(self.entries().get(offset as usize..)?, 0x30)?;
        let (found, _) = serial_of(content)?;
        if shortest_integer(found) == serial { CrlEntry::read(content).ok() } else { None }
    }

    /// Value of the certificateIssuer extension in force at this entry (RFC 5280 section 5.3.3); `None`: the list's
    /// own issuer.
    pub(crate) fn certificate_issuer_at(&self, offset: u32) -> Option<&[u8]> {
        let index = self.issuer_switches.partition_point(|s| *s <= offset).checked_sub(1)?;
        self.entry_at(self.issuer_switches[index])?.certificate_issuer()
    }

    /// Heap bytes that the list holds beside its own DER.
    pub(crate) fn side_table_len(&self) -> usize {
        self.issuer_switches.len() * size_of::<u32>()
    }

    fn entries(&self) -> &[u8] {
        &self.as_der()[self.entries.start as usize..self.entries.end as usize]
    }

    fn walk(&mut self, entries: &[u8]) -> Result<(), Asn1Error> {
        let mut rest = entries;
        let mut current_issuer: Option<&[u8]> = None;
        let mut has_odd = false;
        let is_indirect = self.tail.issuing_distribution_point().is_some_and(|p| p.indirect_crl);
        while !rest.is_empty() {
            let (content, behind) = take(rest, 0x30).ok_or_else(malformed_entry)?;
            let facts = CrlEntry::check(content)?;
            if facts.unknown_critical.is_some() {
                self.unknown_critical_entry = self.unknown_critical_entry.or(facts.unknown_critical);
            }
            has_odd |= facts.is_odd;
            if is_indirect && facts.certificate_issuer.is_some() && facts.certificate_issuer != current_issuer {
                current_issuer = facts.certificate_issuer;
                self.issuer_switches.push((entries.len() - rest.len()) as u32);
            }
            self.entry_count += 1;
            rest = behind;
        }
        check_issuers(is_indirect, has_odd)
    }
}

impl fmt::Debug for CertificateList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateList")
            .field("issuer", &super::name::display(&self.head.issuer))
            .field("this_update", &self.head.this_update)
            .field("number", &self.tail.number)
            .field("entry_count", &self.entry_count)
            .finish_non_exhaustive()
    }
}
