//! A revocation list ready for questions: is this serial number on it, is its signature by this key.

use core::fmt;

use super::crl_index::{self, CrlIndex};
use super::crl_numbers::CrlSeries;
use super::names::{name_hash, place_hash};
use super::signed::{Entitled, Line, SignatureMemory};
use crate::asn1::crl::{Bytes, CertificateList, CrlHead, CrlNumber, CrlReason, CrlTail, EntryIssuer, issuer_names};
use crate::asn1::der::Cursor;
use crate::asn1::distribution_point::IssuingDistributionPoint;
use crate::asn1::kind::{Kind, explained, instead};
use crate::asn1::oid::Oid;
use crate::asn1::pem::Held;
use crate::asn1::x509::Certificate;
use crate::asn1::{Asn1Error, documents};
use crate::crypto::{CryptoError, DigestValue, KeyIdentity, Provider, SignatureAlgorithm, dsa};
use crate::prelude::*;
use crate::sync::Once;
use crate::time::Time;

/// A revocation list: parsed, not believed. Share it by `Arc`: the index and the verified signature are kept inside, so
/// that a list in a store costs its signature once and not at every validation.
pub struct Crl {
    head: CrlHead,
    tail: CrlTail,
    signature: Box<[u8]>,
    body: Body,
    signatures: SignatureMemory,
    entitled: Entitled,
    issuer_hash: Once<u64>,
    issuer_place: Once<u64>,
    /// Its series under the key that it was asked with first: its signer's, but for who has several.
    series: Once<(Box<[u8]>, CrlSeries)>,
    /// Why the list clears nobody; whom it lists is revoked all the same.
    defect: Option<Asn1Error>,
}

enum Body {
    /// All of it, in place.
    Whole { list: Box<CertificateList>, index: Once<Option<CrlIndex>> },
    /// What one pass over a list that was never held in memory found out about some serial numbers.
    Extract(Extract),
}

/// What [`super::CrlStream`] keeps of a list.
pub(super) struct Extract {
    /// Digest of the signed part, by the digest of the list's signature algorithm.
    pub digest: DigestValue,
    /// The serial numbers that were looked for, as [`crate::asn1::crl::shortest_integer`].
    pub asked: Vec<Box<[u8]>>,
    /// Those that were found.
    pub found: Vec<FoundEntry>,
    /// A critical extension of some entry that is not understood.
    pub unknown_critical_entry: Option<Oid>,
    /// The AlgorithmIdentifier beside the signature, where it is another than the one inside, over the same digest.
    pub outer_algorithm: Option<Box<[u8]>>,
}

/// An entry that was found, on its own feet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// The serial number, as [`crate::asn1::crl::shortest_integer`].
    pub serial: Box<[u8]>,
    /// Whose certificates the entry is about: names, DER. Empty: the list's own issuer's (RFC 5280 section 5.3.3).
    pub certificate_issuers: Vec<Box<[u8]>>,
    /// It is an entry of an indirect list that does not tell its issuer: whoever has the serial number may be meant.
    pub is_issuer_unknown: bool,
    /// Why.
    pub reason: CrlReason,
    /// Since when, if the entry has a date.
    pub revocation_date: Option<Time>,
}

/// Answer of [`Crl::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The list was read in one pass and not asked about this serial number.
    NotAsked,
    /// The entries with this serial number, of any issuer; empty if there is none.
    Entries(Vec<FoundEntry>),
}

fn first_of(der: &[u8]) -> Result<&[u8], Asn1Error> {
    Ok(Cursor::new(der, "a file")?.any("the first element")?.bytes)
}

/// A list is read however odd it is, since what it says against somebody counts; but another kind of file is no odd list.
fn check_kind(der: &[u8]) -> Result<(), Asn1Error> {
    match Kind::of_der(der) {
        // An odd list may look like a certificate, and is none.
        Some(Kind::Certificate) if first_of(der).is_ok_and(|one| Certificate::from_der(one).is_err()) => Ok(()),
        Some(Kind::Crl) | None => Ok(()),
        Some(kind) => Err(instead(Kind::Crl, kind)),
    }
}

impl Crl {
    /// From DER; see [`CertificateList::from_der`] for what is refused.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Asn1Error> {
        Self::from_bytes(alloc::sync::Arc::new(der))
    }

    /// From bytes that someone else owns, such as a mapped file: only the index is on the heap. One list alone: [`Self::held_in`] reads several.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Asn1Error> {
        documents::one_alone(Kind::Crl, (*bytes).as_ref())?;
        Self::first_of(bytes)
    }

    fn first_of(bytes: Bytes) -> Result<Self, Asn1Error> {
        let list = CertificateList::from_der(bytes)?;
        Ok(Crl {
            defect: list.defect().cloned(),
            head: list.head().clone(),
            tail: list.tail().clone(),
            signature: list.signature().into(),
            body: Body::Whole { list: Box::new(list), index: Once::new() },
            signatures: SignatureMemory::default(),
            entitled: Entitled::default(),
            issuer_hash: Once::new(),
            issuer_place: Once::new(),
            series: Once::new(),
        })
    }

    /// The same with an index that [`Self::index_to_bytes`] gave and that was kept beside the list, so that neither need
    /// be on the heap. The index is checked against every entry; one that does not fit is refused, and the list can be
    /// taken without it.
    pub fn from_bytes_with_index(bytes: Bytes, index: Bytes) -> Result<Self, Asn1Error> {
        let mut crl = Self::from_bytes(bytes)?;
        crl.take_index(index)?;
        Ok(crl)
    }

    /// Has an index that was kept beside the list.
    pub(crate) fn take_index(&mut self, index: Bytes) -> Result<(), Asn1Error> {
        if let Body::Whole { list, index: slot } = &mut self.body {
            let kept = CrlIndex::from_bytes(list, index)
                .ok_or_else(|| Asn1Error::invalid("index of a CRL", "damaged, or the index of another list"))?;
            *slot = Once::of(Some(kept));
        }
        Ok(())
    }

    /// The list as it came, DER; `None` for one that was read in one pass.
    pub fn der(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Whole { list, .. } => Some(list.as_der()),
            Body::Extract(_) => None,
        }
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The index in a form to be kept; `None` for lists so small that they need none, and for lists that were read in
    /// one pass.
    pub fn index_to_bytes(&self) -> Option<Vec<u8>> {
        match &self.body {
            Body::Whole { list, index } => {
                index.get_or_init(|| CrlIndex::build(list)).as_ref().map(|index| index.to_bytes(list))
            }
            Body::Extract(_) => None,
        }
    }

    /// All lists of a file or an answer: DER or base64, also one behind the other; those of a PKCS#7; all X509 CRL and PKCS7 blocks of a PEM
    /// text, whose other blocks are skipped. Beside them, what begins as a list and cannot be read: it may revoke.
    pub fn held_in(bytes: Bytes) -> Result<Held<Self>, Asn1Error> {
        documents::all_in(Kind::Crl, (*bytes).as_ref(), |der, is_beginning| {
            check_kind(der)?;
            // Only the index is on the heap where it is DER.
            let read = if is_beginning { Self::first_of(bytes.clone()) } else { Self::from_der(der.to_vec()) };
            read.map_err(|error| explained(error, Kind::Crl, der))
        })
    }

    /// The same, if each can be read.
    pub fn many_from_bytes(input: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        Self::held_in(alloc::sync::Arc::new(input.to_vec()))?.whole()
    }

    pub(super) fn from_extract(
        head: CrlHead,
        tail: CrlTail,
        signature: Box<[u8]>,
        extract: Extract,
        defect: Option<Asn1Error>,
    ) -> Self {
        let (body, entitled) = (Body::Extract(extract), Entitled::default());
        let defect = head.defect.clone().or_else(|| tail.defect.clone()).or(defect);
        let (signatures, issuer_hash, issuer_place) = (SignatureMemory::default(), Once::new(), Once::new());
        let series = Once::new();
        Crl { head, tail, signature, body, signatures, entitled, issuer_hash, issuer_place, series, defect }
    }

    /// The issuer's Name, DER.
    pub fn issuer(&self) -> &[u8] {
        &self.head.issuer
    }

    /// A hash of the issuer's name as it is compared; it is prepared for that once.
    pub(crate) fn issuer_hash(&self) -> u64 {
        *self.issuer_hash.get_or_init(|| name_hash(self.issuer()))
    }

    /// The same in the form that is written down.
    pub(crate) fn issuer_place(&self) -> u64 {
        *self.issuer_place.get_or_init(|| place_hash(self.issuer()))
    }

    /// Its series under a signer's key, as `make` works it out.
    pub(crate) fn series<E>(&self, key: &[u8], make: impl FnOnce() -> Result<CrlSeries, E>) -> Result<CrlSeries, E> {
        if let Some((_, series)) = self.series.get().filter(|(known, _)| **known == *key) {
            return Ok(*series);
        }
        let made = make()?;
        self.series.get_or_init(|| (key.into(), made));
        Ok(made)
    }

    /// 1 or 2.
    pub fn version(&self) -> u8 {
        self.head.version
    }

    /// When the list was made.
    pub fn this_update(&self) -> Time {
        self.head.this_update
    }

    /// When the next one will be there at the latest.
    pub fn next_update(&self) -> Option<Time> {
        self.head.next_update
    }

    /// cRLNumber.
    pub fn number(&self) -> Option<&CrlNumber> {
        self.tail.number.as_ref()
    }

    /// BaseCRLNumber; there exactly when this is a delta CRL.
    pub fn base_number(&self) -> Option<&CrlNumber> {
        self.tail.base_number.as_ref()
    }

    /// The list's scope; `None`: all certificates of its issuer.
    pub fn issuing_distribution_point(&self) -> Option<IssuingDistributionPoint<'_>> {
        self.tail.issuing_distribution_point()
    }

    /// The URLs of delta CRLs for this list, point by point (freshestCRL, RFC 5280 section 5.2.6).
    pub fn freshest_crl_url_groups(&self) -> Vec<Vec<String>> {
        self.tail.freshest_crl_url_groups()
    }

    /// How many entries the list has; `None` where it was not kept.
    pub fn entry_count(&self) -> Option<u32> {
        match &self.body {
            Body::Whole { list, .. } => Some(list.entry_count()),
            Body::Extract(_) => None,
        }
    }

    /// Heap bytes that hold the index and tables of this list, without its DER.
    pub fn index_len(&self) -> usize {
        match &self.body {
            Body::Whole { list, index } => {
                let index = index.get().and_then(Option::as_ref).map_or(0, CrlIndex::heap_len);
                index + list.side_table_len()
            }
            Body::Extract(_) => 0,
        }
    }

    /// The entries with this serial number (content of the INTEGER), whoever issued the certificate. The first call on
    /// a big list builds the index.
    pub fn find(&self, serial: &[u8]) -> Found {
        let (list, index) = match &self.body {
            Body::Whole { list, index } => (list, index.get_or_init(|| CrlIndex::build(list)).as_ref()),
            Body::Extract(extract) => return extract.find(serial),
        };
        let entries = crl_index::find(list, index, serial).into_iter().map(|(offset, entry)| {
            let issuer = list.issuer_at(offset);
            let names = match issuer {
                EntryIssuer::Named(value) => issuer_names(value).unwrap_or_default(),
                EntryIssuer::Own | EntryIssuer::Unknown => Vec::new(),
            };
            FoundEntry {
                serial: entry.serial.into(),
                certificate_issuers: names.into_iter().map(Into::into).collect(),
                is_issuer_unknown: issuer == EntryIssuer::Unknown,
                reason: entry.reason(),
                revocation_date: entry.revocation_date,
            }
        });
        Found::Entries(entries.collect())
    }

    /// Whether there may be an entry with this serial number, whoever issued the certificate.
    pub(super) fn may_list(&self, serial: &[u8]) -> bool {
        !matches!(self.find(serial), Found::Entries(entries) if entries.is_empty())
    }

    /// Checks the signature by the key in a SubjectPublicKeyInfo (DER), over the bytes that came. The answer is kept:
    /// the same question costs nothing the second time.
    pub(crate) fn verify(&self, provider: &dyn Provider, spki: &[u8], allow_weak: bool) -> Result<(), CryptoError> {
        self.signatures.recall_or(spki, allow_weak, || {
            let inside = self.verify_by(&self.head.signature_algorithm, provider, spki, allow_weak);
            match (inside, self.outer_algorithm()) {
                // Which of the two was meant, the signature tells; the list clears nobody.
                (Err(error), Some(outer)) => self.verify_by(outer, provider, spki, allow_weak).map_err(|_| error),
                (inside, _) => inside,
            }
        })
    }

    fn verify_by(
        &self,
        algorithm: &[u8],
        provider: &dyn Provider,
        spki: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        if let (Some(digest), Body::Whole { list, .. }, true) = (dsa::digest_of(algorithm), &self.body, allow_weak) {
            return dsa::verify(provider, digest, spki, list.tbs(), &self.signature);
        }
        let algorithm = SignatureAlgorithm::from_der(algorithm).map_err(|e| CryptoError::Unsupported(e.to_string()))?;
        if algorithm.is_weak() && !allow_weak {
            return Err(CryptoError::Unsupported(
                "a weak signature; allow_weak takes it (peers.allow-weak in settings)".to_owned(),
            ));
        }
        match &self.body {
            Body::Whole { list, .. } => provider.verify(&algorithm, spki, list.tbs(), &self.signature, allow_weak),
            Body::Extract(extract) => {
                provider.verify_digest(&algorithm, spki, &extract.digest, &self.signature, allow_weak)
            }
        }
    }

    fn outer_algorithm(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Whole { list, .. } => list.outer_algorithm(),
            Body::Extract(extract) => extract.outer_algorithm.as_deref(),
        }
    }

    /// Whether the signature was checked by this key before: asking again costs nothing.
    pub(super) fn knows_signature_by(&self, spki: &[u8], allow_weak: bool) -> bool {
        self.signatures.knows(spki, allow_weak)
    }

    /// Whether this list is of the series of another and older: the same issuer and scope, by the same key where both
    /// were verified, and a lower number (RFC 5280 section 5.2.3); where one has no number, an
    /// earlier time.
    pub(crate) fn is_older_than(&self, other: &Crl) -> bool {
        let is_older = match (self.number(), other.number()) {
            (Some(number), Some(theirs)) => number < theirs,
            _ => self.this_update() < other.this_update(),
        };
        is_older
            && self.base_number().is_some() == other.base_number().is_some()
            && self.scope_der() == other.scope_der()
            && self.is_of_signer_of(other)
    }

    /// Whether this list says all that another says, or what became of it: the same list, a later one of its series, or a
    /// complete one about all certificates that is not earlier.
    pub(crate) fn takes_the_place_of(&self, other: &Crl) -> bool {
        let is_full = self.base_number().is_none() && self.scope_der().is_none();
        // One that is odd says less than it should: what was said before stays beside it.
        if self.defect.is_some() {
            return self.der().is_some() && self.der() == other.der();
        }
        other.is_older_than(self)
            || (is_full && self.is_of_signer_of(other) && other.this_update() <= self.this_update())
            || (self.der().is_some() && self.der() == other.der())
    }

    fn scope_der(&self) -> Option<&[u8]> {
        self.tail.issuing_distribution_point_der()
    }

    /// Whether this list is in the name of another's issuer and by the key of its signer, as far as both were verified.
    pub(crate) fn is_of_signer_of(&self, other: &Crl) -> bool {
        super::names::same_name(self.issuer(), other.issuer()) && self.has_signer_of(other)
    }

    fn has_signer_of(&self, other: &Crl) -> bool {
        let keys = |crl: &Crl| -> Vec<KeyIdentity<'static>> {
            crl.signatures.signers().iter().map(|key| KeyIdentity::of_spki(key).into_owned()).collect()
        };
        let (ours, theirs) = (keys(self), keys(other));
        // Verified keys alone: an identifier is anybody's to write. Without them it is another signer's.
        ours.iter().any(|key| theirs.contains(key))
    }

    /// Finds out whether who has signed another list has signed this one, so that the two can be compared.
    pub(crate) fn try_signers_of(&self, other: &Crl, provider: &dyn Provider) {
        for key in other.signatures.signers() {
            // What does not fit is remembered as not fitting.
            let _ = self.verify(provider, &key, true);
        }
    }

    /// Whether some validation found that it is signed by somebody who may say who is revoked. That the signature is
    /// somebody's is not enough: a peer signs in any name.
    pub(crate) fn is_entitled(&self) -> bool {
        self.entitled.is_found()
    }

    /// Who that is, with the path above.
    pub(super) fn entitled(&self) -> &Entitled {
        &self.entitled
    }

    /// Certificates that are kept with the list: of its signer, and of the path above.
    pub(crate) fn signers(&self) -> Vec<Certificate> {
        self.entitled.signers()
    }

    pub(crate) fn bring_signers(&self, signers: &[Certificate]) {
        self.entitled.bring(signers);
    }

    /// On whose word it is, as far as that was found.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.entitled.lines()
    }

    pub(crate) fn bring_lines(&self, lines: Vec<Line>) {
        self.entitled.bring_lines(lines);
    }

    /// Why the list can be used for no certificate at all; `None` if it can.
    pub(super) fn unusable(&self) -> Option<String> {
        let unknown = |what: &str, oid| format!("a critical {what} extension of the CRL is not understood: {oid}");
        if let Some(defect) = &self.defect {
            return Some(format!("it clears nobody: {defect}"));
        }
        if let Some(oid) = self.tail.unknown_critical {
            return Some(unknown("list", oid));
        }
        let entry = match &self.body {
            Body::Whole { list, .. } => list.unknown_critical_entry(),
            Body::Extract(extract) => extract.unknown_critical_entry,
        };
        entry.map(|oid| unknown("entry", oid))
    }

    /// A duty of CRL issuers (RFC 5280 sections 5.1.2 and 5.2) that the list breaks though it can be read.
    pub(super) fn broken_duty(&self) -> Option<&'static str> {
        if self.head.next_update.is_none() {
            return Some("it has no nextUpdate (RFC 5280 section 5.1.2.5)");
        }
        if self.tail.number.is_none() {
            return Some("it has no CRL number (RFC 5280 section 5.2.3)");
        }
        if self.tail.authority_key_identifier.is_none() {
            return Some("it has no authority key identifier (RFC 5280 section 5.2.1)");
        }
        self.tail.wrong_criticality.map(|_| "an extension of it is critical that must not be, or the opposite")
    }

    pub(super) fn tail(&self) -> &CrlTail {
        &self.tail
    }

    pub(super) fn is_weak(&self) -> bool {
        let is_weak = |der: &[u8]| SignatureAlgorithm::from_der(der).is_ok_and(SignatureAlgorithm::is_weak);
        is_weak(&self.head.signature_algorithm) && self.outer_algorithm().is_none_or(is_weak)
    }

    /// Whether an entry says that its certificate is revoked: removeFromCRL has a meaning in delta CRLs only (RFC 5280 section
    /// 5.3.1), and elsewhere is an odd word about a certificate that is on the list.
    pub(super) fn revokes(&self, entry: &FoundEntry) -> bool {
        entry.reason != CrlReason::RemoveFromCrl || !self.tail.is_delta
    }
}

impl Extract {
    fn find(&self, serial: &[u8]) -> Found {
        let wanted = crate::asn1::crl::shortest_integer(serial);
        if !self.asked.iter().any(|asked| **asked == *wanted) {
            return Found::NotAsked;
        }
        Found::Entries(self.found.iter().filter(|entry| *entry.serial == *wanted).cloned().collect())
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &crate::asn1::name::display(&self.head.issuer))
            .field("this_update", &self.head.this_update)
            .field("next_update", &self.head.next_update)
            .field("number", &self.tail.number)
            .finish_non_exhaustive()
    }
}
