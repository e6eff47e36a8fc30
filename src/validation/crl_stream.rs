//! A revocation list in one pass, for a device that cannot hold it: chunks go in, what remains is the answer about a
//! few serial numbers and the digest that the signature is checked with.

use alloc::sync::Arc;

use super::crl::{Crl, Extract, FoundEntry};
use crate::asn1::Asn1Error;
use crate::asn1::crl::{
    CrlEntry, CrlHead, CrlTail, header, issuer_names, note, shortest_integer, two_algorithms, unknown_issuer,
};
use crate::asn1::der::Cursor;
use crate::asn1::x509::bit_string;
use crate::codes::Code;
use crate::crypto::{DigestStream, Provider, SignatureAlgorithm};
use crate::error::Error;
use crate::limits;
use crate::prelude::*;

/// Bytes taken from a chunk at a time, however big the chunk is.
const PIECE_BYTES: usize = 8 * 1024;
/// Largest part that is held whole: the fields before the entries, the extensions, the signature.
const MAX_PART_BYTES: usize = 64 * 1024;
/// Largest entry; real ones have 20 to 60 bytes, an issuer's name in it some hundred.
const MAX_ENTRY_BYTES: usize = 4 * 1024;
/// Most serial numbers looked for, and most entries kept about them.
const MAX_SERIALS: usize = 256;
const MAX_FOUND: usize = 24;

/// Reads a revocation list chunk by chunk, hashes its signed part and looks for serial numbers.
///
/// At most 256 KiB of heap, whatever the list's size. [`CrlStream::finish`] gives a [`Crl`] that can be used like any
/// other, but knows about the serial numbers asked for only. Its signature is checked, as with any list, when a
/// validation uses it. Algorithms that take the message whole (Ed25519, ML-DSA) cannot be used this way.
pub struct CrlStream {
    provider: Arc<dyn Provider>,
    asked: Vec<Box<[u8]>>,
    buffer: Vec<u8>,
    /// Bytes in front of the buffer, all dealt with.
    position: usize,
    step: Step,
    outer_end: usize,
    tbs_end: usize,
    digest: Option<Box<dyn DigestStream>>,
    head: Option<CrlHead>,
    tail: CrlTail,
    signature: Option<Box<[u8]>>,
    certificate_issuer: Option<Box<[u8]>>,
    unknown_critical_entry: Option<crate::asn1::oid::Oid>,
    is_issuer_unknown: bool,
    has_odd_entry: bool,
    outer_algorithm: Option<Box<[u8]>>,
    defect: Option<Asn1Error>,
    found: Vec<FoundEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Outer,
    Head,
    EntriesOrTail,
    Entry {
        end: usize,
    },
    Tail,
    Algorithm,
    Signature,
    Done,
    /// Behind the list, where nothing counts.
    Behind,
    Failed,
}

/// Whether a step was made or needs more input.
enum Progress {
    Made,
    NeedsMore,
}

impl CrlStream {
    /// Begins a list that is to be asked about these serial numbers (contents of the INTEGERs), at most 256.
    pub fn new(provider: Arc<dyn Provider>, serials: &[&[u8]]) -> Result<Self, Error> {
        if serials.len() > MAX_SERIALS || serials.iter().any(|s| s.len() > limits::MAX_CERTIFICATE_BYTES / 1024) {
            return Err(Error::new(Code::Limit, format!("more than {MAX_SERIALS} serial numbers, or too long ones")));
        }
        Ok(CrlStream {
            provider,
            asked: serials.iter().map(|s| shortest_integer(s).into()).collect(),
            buffer: Vec::new(),
            position: 0,
            step: Step::Outer,
            outer_end: 0,
            tbs_end: 0,
            digest: None,
            head: None,
            tail: CrlTail::default(),
            signature: None,
            certificate_issuer: None,
            unknown_critical_entry: None,
            is_issuer_unknown: false,
            has_odd_entry: false,
            outer_algorithm: None,
            defect: None,
            found: Vec::new(),
        })
    }

    /// Takes the next bytes of the list, as many as there are. After an error the list is lost.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Error> {
        for piece in chunk.chunks(PIECE_BYTES) {
            self.buffer.extend_from_slice(piece);
            if let Err(error) = self.advance() {
                self.step = Step::Failed;
                self.buffer = Vec::new();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the list. Refused if it is not whole or anything is wrong with it.
    pub fn finish(mut self) -> Result<Crl, Error> {
        let (Step::Done | Step::Behind, Some(head), Some(signature), Some(digest)) =
            (self.step, self.head.take(), self.signature.take(), self.digest.take())
        else {
            return Err(Asn1Error::invalid("CertificateList", "the input ended before the list").into());
        };
        let extract = Extract {
            digest: digest.finish(),
            asked: self.asked,
            found: self.found,
            unknown_critical_entry: self.unknown_critical_entry,
            outer_algorithm: self.outer_algorithm,
        };
        Ok(Crl::from_extract(head, self.tail, signature, extract, self.defect))
    }

    fn advance(&mut self) -> Result<(), Error> {
        let mut used = 0;
        while let Progress::Made = self.step(&mut used)? {}
        self.buffer.drain(..used);
        Ok(())
    }

    /// Makes one step from offset `used` of the buffer on.
    fn step(&mut self, used: &mut usize) -> Result<Progress, Error> {
        match self.step {
            Step::Outer => self.outer(used),
            Step::Head => self.head(used),
            Step::EntriesOrTail => self.entries_or_tail(used),
            Step::Entry { end } if self.position == end => {
                self.step = Step::Tail;
                Ok(Progress::Made)
            }
            Step::Entry { end } => self.entry(used, end),
            Step::Tail if self.position == self.tbs_end => {
                self.step = Step::Algorithm;
                Ok(Progress::Made)
            }
            Step::Tail => self.tail(used),
            Step::Algorithm => self.algorithm(used),
            Step::Signature => self.signature(used),
            Step::Done => {
                let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
                match self.buffer[*used..].iter().find(|byte| !is_padding(byte)) {
                    Some(0x30 | b'-') => {
                        return Err(malformed("another list behind the first: a stream is one list"));
                    }
                    // What else stands behind the list is not signed and says nothing.
                    Some(_) => self.step = Step::Behind,
                    None => {}
                }
                *used = self.buffer.len();
                Ok(Progress::NeedsMore)
            }
            Step::Behind | Step::Failed => {
                *used = self.buffer.len();
                Ok(Progress::NeedsMore)
            }
        }
    }

    fn outer(&mut self, used: &mut usize) -> Result<Progress, Error> {
        let Some((outer_header, outer_content)) = self.header(*used, 0x30, "a CertificateList")? else {
            return Ok(Progress::NeedsMore);
        };
        let Some((tbs_header, tbs_content)) = self.header(*used + outer_header, 0x30, "tbsCertList")? else {
            return Ok(Progress::NeedsMore);
        };
        self.outer_end = outer_header + outer_content;
        self.tbs_end = outer_header + tbs_header + tbs_content;
        if self.outer_end > limits::MAX_CRL_BYTES || self.tbs_end > self.outer_end {
            return Err(malformed("lengths that contradict each other or a limit"));
        }
        // The header of the signed part stays in the buffer: it is hashed once the digest is known.
        *used += outer_header;
        self.position += outer_header;
        self.step = Step::Head;
        Ok(Progress::Made)
    }

    /// Waits for all fields before the entries, then reads them at once.
    fn head(&mut self, used: &mut usize) -> Result<Progress, Error> {
        let Some((tbs_header, _)) = self.header(*used, 0x30, "tbsCertList")? else { return Ok(Progress::NeedsMore) };
        let begin = *used + tbs_header;
        let mut at = begin;
        let mut times = 0;
        loop {
            if self.position + (at - *used) >= self.tbs_end {
                break;
            }
            let Some(&tag) = self.buffer.get(at) else { return self.more(at - begin) };
            // Everything up to the first time, and a second one if it follows.
            if times > 0 && (times == 2 || !matches!(tag, 0x17 | 0x18)) {
                break;
            }
            let Some((header_len, content_len)) = self.header(at, tag, "a field of TBSCertList")? else {
                return self.more(at - begin);
            };
            let end = at + header_len + content_len;
            if end - begin > MAX_PART_BYTES {
                return Err(too_large("the fields before the entries", MAX_PART_BYTES, end - begin));
            }
            if self.buffer.len() < end {
                return Ok(Progress::NeedsMore);
            }
            times += u32::from(matches!(tag, 0x17 | 0x18));
            at = end;
        }
        let mut fields = Cursor::new(&self.buffer[begin..at], "TBSCertList")?;
        let head = CrlHead::read(&mut fields)?;
        fields.finish()?;
        let algorithm = SignatureAlgorithm::from_der(&head.signature_algorithm)
            .map_err(|e| Error::new(Code::Algorithm, e.to_string()))?;
        let digest = algorithm.digest().ok_or_else(|| {
            Error::new(Code::Unsupported, "a CRL signed with an algorithm that takes the list whole cannot be streamed")
        })?;
        self.digest = Some(self.provider.digest_start(digest)?);
        self.head = Some(head);
        self.take(used, at - *used);
        self.step = Step::EntriesOrTail;
        Ok(Progress::Made)
    }

    fn entries_or_tail(&mut self, used: &mut usize) -> Result<Progress, Error> {
        if self.position == self.tbs_end {
            self.step = Step::Tail;
            return Ok(Progress::Made);
        }
        match self.buffer.get(*used) {
            None => Ok(Progress::NeedsMore),
            Some(0x30) => {
                let Some((header_len, content_len)) = self.header(*used, 0x30, "revokedCertificates")? else {
                    return Ok(Progress::NeedsMore);
                };
                let end = self.position + header_len + content_len;
                if end > self.tbs_end {
                    return Err(malformed("a list of revoked certificates beyond the signed part"));
                }
                self.take(used, header_len);
                self.step = Step::Entry { end };
                Ok(Progress::Made)
            }
            Some(_) => {
                self.step = Step::Tail;
                Ok(Progress::Made)
            }
        }
    }

    fn is_asked_for(&self, serial: &[u8]) -> bool {
        self.asked.iter().any(|asked| **asked == *serial)
    }

    fn entry(&mut self, used: &mut usize, end: usize) -> Result<Progress, Error> {
        // Of whatever type: what it says of a serial number counts.
        let tag = self.buffer.get(*used).copied().filter(|tag| tag & 0x1f != 0x1f).unwrap_or(0x30);
        let Some(element) = self.element(*used, tag, "an entry", MAX_ENTRY_BYTES)? else {
            return Ok(Progress::NeedsMore);
        };
        let length = element.total_len;
        if self.position + length > end {
            return Err(malformed("an entry beyond the list of entries"));
        }
        let content = &self.buffer[*used + element.header_len..*used + length];
        let facts = CrlEntry::check(content);
        self.has_odd_entry |= facts.hides_issuer();
        self.unknown_critical_entry = self.unknown_critical_entry.or(facts.unknown_critical);
        if facts.hides_issuer() || facts.certificate_issuer.is_some() {
            self.is_issuer_unknown = facts.hides_issuer();
            self.certificate_issuer = facts.certificate_issuer.filter(|_| !facts.hides_issuer()).map(Into::into);
        }
        // One without a serial number is about nobody.
        if let Some(entry) = CrlEntry::read(content).ok().filter(|entry| self.is_asked_for(entry.serial)) {
            if self.found.len() == MAX_FOUND {
                return Err(too_large("entries with the serial numbers looked for", MAX_FOUND, MAX_FOUND + 1));
            }
            let names = match &self.certificate_issuer {
                Some(value) => issuer_names(value)?.into_iter().map(Into::into).collect(),
                None => Vec::new(),
            };
            self.found.push(FoundEntry {
                serial: entry.serial.into(),
                certificate_issuers: names,
                is_issuer_unknown: self.is_issuer_unknown,
                reason: entry.reason(),
                revocation_date: entry.revocation_date,
            });
        }
        self.take(used, length);
        Ok(Progress::Made)
    }

    fn tail(&mut self, used: &mut usize) -> Result<Progress, Error> {
        let Some(element) = self.element(*used, 0xa0, "crlExtensions", MAX_PART_BYTES)? else {
            return Ok(Progress::NeedsMore);
        };
        if self.position + element.total_len != self.tbs_end {
            return Err(malformed("bytes behind crlExtensions"));
        }
        if self.head.as_ref().is_none_or(|head| head.version < 2) {
            note(&mut self.defect, Asn1Error::invalid("TBSCertList", "extensions in a list of version 1"));
        }
        self.tail = CrlTail::read(&self.buffer[*used + element.header_len..*used + element.total_len]);
        self.take(used, element.total_len);
        Ok(Progress::Made)
    }

    fn algorithm(&mut self, used: &mut usize) -> Result<Progress, Error> {
        let Some(element) = self.element(*used, 0x30, "signatureAlgorithm", MAX_PART_BYTES)? else {
            return Ok(Progress::NeedsMore);
        };
        let bytes = &self.buffer[*used..*used + element.total_len];
        let inner = self.head.as_ref().map(|head| &*head.signature_algorithm).unwrap_or_default();
        if inner != bytes {
            note(&mut self.defect, two_algorithms());
            let digest = |der: &[u8]| SignatureAlgorithm::from_der(der).ok().and_then(SignatureAlgorithm::digest);
            if digest(bytes).is_some() && digest(bytes) == digest(inner) {
                self.outer_algorithm = Some(bytes.into());
            }
        }
        self.take(used, element.total_len);
        self.step = Step::Signature;
        Ok(Progress::Made)
    }

    fn signature(&mut self, used: &mut usize) -> Result<Progress, Error> {
        let Some(element) = self.element(*used, 0x03, "signatureValue", MAX_PART_BYTES)? else {
            return Ok(Progress::NeedsMore);
        };
        let mut cursor = Cursor::new(&self.buffer[*used..*used + element.total_len], "CertificateList")?;
        let bits = cursor.expect(::der::Tag::BitString, "signatureValue")?;
        self.signature = Some(bit_string(bits, "CertificateList", "signatureValue has unused bits")?.into());
        self.take(used, element.total_len);
        if self.position != self.outer_end {
            return Err(malformed("bytes behind signatureValue"));
        }
        if !self.tail.is_indirect() {
            // Without a meaning there: the entries are about the list's own issuer.
            for entry in &mut self.found {
                entry.certificate_issuers.clear();
                entry.is_issuer_unknown = false;
            }
        } else if self.has_odd_entry {
            note(&mut self.defect, unknown_issuer());
        }
        self.step = Step::Done;
        Ok(Progress::Made)
    }

    /// Moves on by `length` bytes; those of the signed part go into the digest.
    fn take(&mut self, used: &mut usize, length: usize) {
        if self.position < self.tbs_end {
            if let Some(digest) = &mut self.digest {
                digest.update(&self.buffer[*used..*used + length]);
            }
        }
        *used += length;
        self.position += length;
    }

    /// The whole element with this tag at `at`; `None` if more input is needed.
    fn element(&self, at: usize, tag: u8, expected: &'static str, limit: usize) -> Result<Option<Element>, Error> {
        let Some((header_len, content_len)) = self.header(at, tag, expected)? else { return Ok(None) };
        let total_len = header_len + content_len;
        if total_len > limit {
            return Err(too_large(expected, limit, total_len));
        }
        Ok((self.buffer.len() >= at + total_len).then_some(Element { header_len, total_len }))
    }

    /// Lengths of header and content of the element with this tag at `at`; `None` if more input is needed.
    fn header(&self, at: usize, tag: u8, expected: &'static str) -> Result<Option<(usize, usize)>, Error> {
        let bytes = self.buffer.get(at..).unwrap_or_default();
        match header(bytes, tag) {
            // Sums of positions and lengths stay within 32 bits: no list has gigabytes.
            Some((_, length)) if length > 1 << 30 => Err(too_large(expected, 1 << 30, length)),
            Some(lengths) => Ok(Some(lengths)),
            // A header has at most six bytes: what cannot be read then never can.
            None if bytes.len() < 6 && bytes.first().is_none_or(|first| *first == tag) => Ok(None),
            None => Err(Asn1Error::invalid("CertificateList", expected_words(expected)).into()),
        }
    }

    fn more(&self, held: usize) -> Result<Progress, Error> {
        match held > MAX_PART_BYTES {
            true => Err(too_large("the fields before the entries", MAX_PART_BYTES, held)),
            false => Ok(Progress::NeedsMore),
        }
    }
}

struct Element {
    header_len: usize,
    total_len: usize,
}

fn malformed(rule: &'static str) -> Error {
    Asn1Error::invalid("CertificateList", rule).into()
}

fn too_large(what: &'static str, limit: usize, found: usize) -> Error {
    Asn1Error::too_large("CertificateList", what, limit, found).into()
}

fn expected_words(expected: &'static str) -> &'static str {
    match expected {
        "an entry" => "expected an entry of revokedCertificates",
        "crlExtensions" => "expected crlExtensions",
        "signatureAlgorithm" => "expected signatureAlgorithm",
        "signatureValue" => "expected signatureValue",
        _ => "expected a CertificateList",
    }
}
