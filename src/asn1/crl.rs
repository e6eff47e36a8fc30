//! Revocation lists (RFC 5280 section 5.1) over the bytes that came: header, entries and trailer as spans and facts.
//!
//! A list of a million entries is 38 MB; nothing here turns entries into objects. [`CertificateList::from_der`] walks
//! them once to know that each is well-formed, which a later lookup then relies on.

use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use ::der::Tag;

pub use super::crl_entry::{CrlEntry, issuer_names, shortest_integer};
pub(crate) use super::crl_entry::{EntryIssuer, malformed_entry, serial_of, take_entry, unknown_issuer};
pub use super::crl_fields::{CrlHead, CrlTail};
pub(crate) use super::crl_fields::{any_time, note};
pub use super::crl_number::CrlNumber;
pub use super::crl_reason::CrlReason;
use super::der::{Asn1Error, Cursor, context};
pub(crate) use super::element::{header, take};
use super::fields::{bit_string, span_of};
use super::oid::Oid;
use crate::limits;
use crate::prelude::*;

/// Bytes and whoever owns them: a vector, a shared slice, a memory-mapped file.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

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
    /// The AlgorithmIdentifier beside the signature, where it is another than the one inside.
    outer_algorithm: Option<Box<[u8]>>,
    /// What is odd about the list beside head and tail.
    defect: Option<Asn1Error>,
    /// How many of the bytes are the list.
    length: usize,
    /// Offsets of the entries at which certificateIssuer changes, ascending.
    issuer_switches: Vec<u32>,
}

impl CertificateList {
    /// Splits a list. The bytes are kept, not copied; they must not change while they are owned here (a file that is mapped
    /// must not be written to). What stands behind the list is left out.
    ///
    /// Refused: anything but one CertificateList with issuer and signature, and sizes above `limits`. Whatever else is odd is
    /// a defect: a list that has one clears nobody, and those whom it lists are revoked all the same. Such are versions other
    /// than 1 and 2, times that cannot be read, extensions of the list that cannot be, that come twice or in version 1, an entry of
    /// an indirect list that does not tell its issuer, and an algorithm inside the signed part that differs from the one beside it
    /// (RFC 5280 section 5.1.1.2). What is odd about an entry changes nothing: its certificate is revoked.
    pub fn from_der(bytes: Bytes) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CertificateList";
        let all: &[u8] = (*bytes).as_ref();
        if all.len() > limits::MAX_CRL_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_CRL_BYTES, all.len()));
        }
        let der = first_element(all);
        let mut outer = Cursor::sequence(der, WHAT)?;
        let tbs = outer.expect(Tag::Sequence, "tbsCertList")?;
        let algorithm = match outer.peek() {
            Some(Tag::BitString) => &[],
            _ => outer.any("signatureAlgorithm")?.bytes,
        };
        let signature =
            bit_string(outer.expect(Tag::BitString, "signatureValue")?, WHAT, "signatureValue has unused bits")?;

        let mut defect = None;
        let mut fields = Cursor::new(tbs.value, "TBSCertList")?;
        let head = CrlHead::read(&mut fields)?;
        let outer_algorithm = (*head.signature_algorithm != *algorithm).then(|| algorithm.into());
        if outer_algorithm.is_some() {
            note(&mut defect, two_algorithms());
        }
        let (entries, tail) = read_rest(fields, head.version, &mut defect);
        let entries_span = if entries.is_empty() { 0..0 } else { span_of(der, entries) };
        let mut list = CertificateList {
            tbs: span_of(der, tbs.bytes),
            entries: entries_span,
            signature: signature.into(),
            head,
            tail,
            entry_count: 0,
            unknown_critical_entry: None,
            outer_algorithm,
            defect,
            length: der.len(),
            issuer_switches: Vec::new(),
            bytes: bytes.clone(),
        };
        list.walk(entries);
        Ok(list)
    }

    /// Why the list clears nobody, if anything about it is odd.
    pub(crate) fn defect(&self) -> Option<&Asn1Error> {
        self.head.defect.as_ref().or(self.tail.defect.as_ref()).or(self.defect.as_ref())
    }

    /// The AlgorithmIdentifier beside the signature, where it is another than the one inside.
    pub(crate) fn outer_algorithm(&self) -> Option<&[u8]> {
        self.outer_algorithm.as_deref()
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
        &(*self.bytes).as_ref()[..self.length]
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// A critical extension of some entry that is not understood: the list must not be used (RFC 5280 section 5.3).
    pub fn unknown_critical_entry(&self) -> Option<Oid> {
        self.unknown_critical_entry
    }

    /// Offset and content of each entry, counted from the start of the entries.
    pub(crate) fn entry_spans(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let entries = self.entries();
        let mut rest = entries;
        core::iter::from_fn(move || {
            let start = entries.len() - rest.len();
            let (content, behind) = take_entry(rest)?;
            rest = behind;
            Some((start as u32, content))
        })
    }

    /// The entry that begins at this offset, as [`Self::entry_spans`] gave it, if it has this serial number.
    #[inline]
    pub(crate) fn entry_at_if(&self, offset: u32, serial: &[u8]) -> Option<CrlEntry<'_>> {
        let (content, _) = take_entry(self.entries().get(offset as usize..)?)?;
        let (found, _) = serial_of(content)?;
        if shortest_integer(found) == serial { CrlEntry::read(content).ok() } else { None }
    }

    /// Whose certificate this entry is about: the certificateIssuer extension in force there (RFC 5280 section 5.3.3).
    pub(crate) fn issuer_at(&self, offset: u32) -> EntryIssuer<'_> {
        let Some(index) = self.issuer_switches.partition_point(|s| *s <= offset).checked_sub(1) else {
            return EntryIssuer::Own;
        };
        let entry = self.entries().get(self.issuer_switches[index] as usize..).and_then(take_entry);
        match entry.map(|(content, _)| CrlEntry::check(content)) {
            Some(facts) if !facts.hides_issuer() => {
                facts.certificate_issuer.map_or(EntryIssuer::Unknown, EntryIssuer::Named)
            }
            _ => EntryIssuer::Unknown,
        }
    }

    /// Heap bytes that the list holds beside its own DER.
    pub(crate) fn side_table_len(&self) -> usize {
        self.issuer_switches.len() * size_of::<u32>()
    }

    fn entries(&self) -> &[u8] {
        &self.as_der()[self.entries.start as usize..self.entries.end as usize]
    }

    fn walk(&mut self, entries: &[u8]) {
        let mut rest = entries;
        let mut current = EntryIssuer::Own;
        let is_indirect = self.tail.is_indirect();
        while !rest.is_empty() {
            let Some((content, behind)) = take_entry(rest) else {
                // Where the next one begins is not known: those before it count.
                note(&mut self.defect, malformed_entry());
                self.entries.end -= rest.len() as u32;
                break;
            };
            let facts = CrlEntry::check(content);
            if facts.unknown_critical.is_some() {
                self.unknown_critical_entry = self.unknown_critical_entry.or(facts.unknown_critical);
            }
            let here = match facts.certificate_issuer {
                _ if facts.hides_issuer() => EntryIssuer::Unknown,
                Some(value) => EntryIssuer::Named(value),
                None => current,
            };
            if is_indirect && here != current {
                current = here;
                self.issuer_switches.push((entries.len() - rest.len()) as u32);
                if here == EntryIssuer::Unknown {
                    note(&mut self.defect, unknown_issuer());
                }
            }
            self.entry_count += 1;
            rest = behind;
        }
    }
}

/// The list of entries and the extensions. What else stands there is odd.
fn read_rest<'a>(mut fields: Cursor<'a>, version: u8, defect: &mut Option<Asn1Error>) -> (&'a [u8], CrlTail) {
    const WHAT: &str = "TBSCertList";
    let mut entries: Option<&[u8]> = None;
    let mut odd: Option<&[u8]> = None;
    let mut tail = None;
    while !fields.is_empty() {
        let field = match fields.any("revokedCertificates or crlExtensions") {
            Ok(field) => field,
            Err(error) => {
                note(defect, error);
                break;
            }
        };
        match field.tag {
            tag if tag == context(0, true) && tail.is_none() => {
                if version < 2 {
                    note(defect, Asn1Error::invalid(WHAT, "extensions in a list of version 1"));
                }
                tail = Some(CrlTail::read(field.value));
            }
            // An empty one should not be there (RFC 5280 section 5.1.2.6); it says what none says.
            Tag::Sequence if entries.is_none() && odd.is_none() && tail.is_none() => entries = Some(field.value),
            tag => {
                note(defect, Asn1Error::invalid(WHAT, "a field that does not belong there"));
                // The longest is the list, whatever stands beside it.
                let place = if tag == Tag::Sequence { &mut entries } else { &mut odd };
                if place.is_none_or(|known| known.len() < field.value.len()) {
                    *place = Some(field.value);
                }
            }
        }
    }
    (entries.or(odd).unwrap_or_default(), tail.unwrap_or_default())
}

/// The first element alone, whatever stands behind it: it is not signed and says nothing.
pub(crate) fn first_element(bytes: &[u8]) -> &[u8] {
    let length = Cursor::new(bytes, "DER").ok().and_then(|cursor| cursor.first_element_length());
    length.map_or(bytes, |length| &bytes[..length])
}

/// What is wrong with a list that names one algorithm inside the signed part and another beside it (section 5.1.1.2).
#[cold]
pub(crate) fn two_algorithms() -> Asn1Error {
    Asn1Error::invalid("CertificateList", "two different signature algorithms")
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
