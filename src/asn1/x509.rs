//! Certificates (RFC 5280 section 4.1) over the bytes that came: split once, never re-encoded.

use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use ::der::{Decode, Tag};

use super::der::{Asn1Error, Cursor, Tlv, context};
pub use super::fields::{assemble_signed, bit_string, negated, read_oid, read_time, serial_text};
pub(crate) use super::fields::{read_oid_content, span_of};
use super::{name, oid::Oid};
use crate::limits;
use crate::prelude::*;
use crate::sync::{Lock, Once};
use crate::time::Time;
pub use crate::words::hex;

/// A parsed certificate. Cheap to clone; parts are spans of the one buffer that was received.
///
/// Parsing checks structure only. Nothing in a certificate is to be believed before `validation` has spoken; its public
/// key is therefore not reachable from outside the library.
#[derive(Clone)]
pub struct Certificate {
    der: Arc<[u8]>,
    spans: Spans,
    not_before: Time,
    not_after: Time,
    version: u8,
    extensions: Arc<[ExtensionSpan]>,
    known: Arc<Known>,
}

/// Most keys remembered as those that made a certificate's signature: an issuer has one. Several can only be made on
/// purpose.
const MAX_SIGNERS: usize = 2;

/// What was found out about the bytes of a certificate, once for all copies of it.
#[derive(Default)]
struct Known {
    signers: Lock<Vec<Signer>>,
    subject_hash: Once<u64>,
    issuer_hash: Once<u64>,
    issuer_place: Once<u64>,
    /// `None`: the key is written in its usual form.
    usual_key: Once<Option<Box<[u8]>>>,
    key_form: Once<KeyForm>,
    key_digest: Once<[u8; 32]>,
    is_on_curve: Once<bool>,
}

/// How a SubjectPublicKeyInfo writes its key, with the length of a coordinate where that is a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// The one form that such a key has; or it cannot be read.
    Only,
    /// Under one of the labels of an RSA key.
    Rsa,
    /// A point, with both coordinates.
    Uncompressed(u8),
    /// A point, with its abscissa and the parity of the ordinate.
    Compressed(u8),
}

/// A key that was found to have made the signature on a certificate, and whether weak algorithms were allowed.
struct Signer {
    spki: Box<[u8]>,
    allow_weak: bool,
}

#[derive(Clone)]
struct Spans {
    tbs: Range<u32>,
    serial: Range<u32>,
    tbs_signature_algorithm: Range<u32>,
    issuer: Range<u32>,
    validity: Range<u32>,
    subject: Range<u32>,
    spki: Range<u32>,
    signature_algorithm: Range<u32>,
    signature: Range<u32>,
}

#[derive(Clone)]
struct ExtensionSpan {
    oid: Range<u32>,
    critical: bool,
    value: Range<u32>,
}

/// One extension of a certificate, CRL or OCSP response.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    /// Its identifier.
    pub oid: Oid,
    /// Whether a reader that does not know it must refuse.
    pub critical: bool,
    /// The content of extnValue: DER of the type that the identifier names.
    pub value: &'a [u8],
}

/// One extension with the content of its identifier as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawExtension<'a> {
    pub oid: &'a [u8],
    pub critical: bool,
    pub value: &'a [u8],
}

impl Certificate {
    /// Splits a certificate. The bytes are copied once and kept.
    ///
    /// Refused: anything but one DER certificate, versions above 3, extensions in other versions, the same extension
    /// twice (RFC 5280 section 4.2), times in other forms than RFC 5280 section 4.1.2.5 gives, sizes above `limits`.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "Certificate";
        if der.len() > limits::MAX_CERTIFICATE_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_CERTIFICATE_BYTES, der.len()));
        }
        let span = |part: &[u8]| span_of(der, part);

        let mut outer = Cursor::sequence(der, WHAT)?;
        let tbs = outer.expect(Tag::Sequence, "tbsCertificate")?;
        let signature_algorithm = outer.expect(Tag::Sequence, "signatureAlgorithm")?;
        let signature =
            bit_string(outer.expect(Tag::BitString, "signatureValue")?, WHAT, "signatureValue has unused bits")?;
        outer.finish()?;

        let mut fields = Cursor::new(tbs.value, "TBSCertificate")?;
        let version = read_version(&mut fields)?;
        let serial = fields.expect(Tag::Integer, "serialNumber")?;
        let tbs_signature_algorithm = fields.expect(Tag::Sequence, "signature")?;
        let issuer = fields.expect(Tag::Sequence, "issuer")?;
        let validity_field = fields.expect(Tag::Sequence, "validity")?;
        let mut validity = Cursor::new(validity_field.value, "Validity")?;
        let not_before = read_time(&mut validity, "notBefore")?;
        let not_after = read_time(&mut validity, "notAfter")?;
        validity.finish()?;
        let subject = fields.expect(Tag::Sequence, "subject")?;
        let spki = fields.expect(Tag::Sequence, "subjectPublicKeyInfo")?;
        let issuer_id = fields.optional_context(1, false)?;
        let subject_id = fields.optional_context(2, false)?;
        if version < 2 && (issuer_id.is_some() || subject_id.is_some()) {
            return Err(Asn1Error::invalid("TBSCertificate", "unique identifiers in a version 1 certificate"));
        }
        let mut extensions = Vec::new();
        if let Some(field) = fields.optional_context(3, true)? {
            extensions.reserve(12);
            if version != 3 {
                return Err(Asn1Error::invalid("TBSCertificate", "extensions in a certificate that is not version 3"));
            }
            let mut list = Extensions::parse(field.value, "Extensions")?;
            while !list.cursor.is_empty() {
                let extension = list.read()?;
                let part = |span: &Range<u32>| &der[span.start as usize..span.end as usize];
                if extensions.iter().any(|e: &ExtensionSpan| part(&e.oid) == extension.oid) {
                    return Err(Asn1Error::invalid("Extensions", "the same extension twice"));
                }
                extensions.push(ExtensionSpan {
                    oid: span(extension.oid),
                    critical: extension.critical,
                    value: span(extension.value),
                });
            }
        }
        fields.finish()?;
        if serial.value.is_empty() {
            return Err(Asn1Error::invalid("TBSCertificate", "serialNumber without content"));
        }
        let spans = Spans {
            tbs: span(tbs.bytes),
            serial: span(serial.value),
            tbs_signature_algorithm: span(tbs_signature_algorithm.bytes),
            issuer: span(issuer.bytes),
            validity: span(validity_field.bytes),
            subject: span(subject.bytes),
            spki: span(spki.bytes),
            signature_algorithm: span(signature_algorithm.bytes),
            signature: span(signature),
        };
        let (der, extensions) = (der.into(), extensions.into());
        Ok(Certificate { der, spans, not_before, not_after, version, extensions, known: Arc::default() })
    }

    /// The whole certificate as it came.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// tbsCertificate with tag and length: what the signature covers.
    pub fn tbs(&self) -> &[u8] {
        self.part(&self.spans.tbs)
    }

    /// 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Content of serialNumber: a two's complement integer, at least one byte.
    pub fn serial(&self) -> &[u8] {
        self.part(&self.spans.serial)
    }

    /// The algorithm named inside the signature, as AlgorithmIdentifier.
    pub fn tbs_signature_algorithm(&self) -> &[u8] {
        self.part(&self.spans.tbs_signature_algorithm)
    }

    /// The algorithm named beside the signature, as AlgorithmIdentifier.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.part(&self.spans.signature_algorithm)
    }

    /// The signature: content of the BIT STRING without the count of unused bits.
    pub fn signature(&self) -> &[u8] {
        self.part(&self.spans.signature)
    }

    /// The issuer's Name as DER.
    pub fn issuer(&self) -> &[u8] {
        self.part(&self.spans.issuer)
    }

    /// The subject's Name as DER.
    pub fn subject(&self) -> &[u8] {
        self.part(&self.spans.subject)
    }

    /// The Validity as DER.
    pub fn validity(&self) -> &[u8] {
        self.part(&self.spans.validity)
    }

    /// First second of validity.
    pub fn not_before(&self) -> Time {
        self.not_before
    }

    /// Last second of validity, inclusive.
    pub fn not_after(&self) -> Time {
        self.not_after
    }

    /// SubjectPublicKeyInfo as DER. Inside the library only: a peer's key leaves through `validation::peer`.
    pub(crate) fn spki(&self) -> &[u8] {
        self.part(&self.spans.spki)
    }

    /// All extensions in the order they came.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        self.raw_extensions().filter_map(|e| {
            let oid = Oid::from_bytes(e.oid).ok()?;
            Some(Extension { oid, critical: e.critical, value: e.value })
        })
    }

    /// One extension.
    pub fn extension(&self, oid: Oid) -> Option<Extension<'_>> {
        let found = self.raw_extensions().find(|e| e.oid == oid.as_bytes())?;
        Some(Extension { oid, critical: found.critical, value: found.value })
    }

    /// All extensions in the order they came.
    pub(crate) fn raw_extensions(&self) -> impl Iterator<Item = RawExtension<'_>> {
        self.extensions.iter().map(|e| RawExtension {
            oid: self.part(&e.oid),
            critical: e.critical,
            value: self.part(&e.value),
        })
    }

    /// One extension, decoded; `None` if it is not there.
    pub fn decode_extension<'a, T>(&'a self, oid: Oid, structure: &'static str) -> Result<Option<T>, Asn1Error>
    where
        T: Decode<'a, Error = ::der::Error>,
    {
        self.extension(oid).map(|e| super::der::decode(e.value, structure)).transpose()
    }

    /// Whether extendedKeyUsage is there and names this purpose.
    pub fn has_purpose(&self, purpose: Oid) -> Result<bool, Asn1Error> {
        let Some(extension) = self.extension(super::oid::CE_EXT_KEY_USAGE) else { return Ok(false) };
        let mut purposes = Cursor::sequence(extension.value, "ExtKeyUsageSyntax")?;
        let mut found = false;
        while !purposes.is_empty() {
            found |= read_oid_content(&mut purposes)? == purpose.as_bytes();
        }
        Ok(found)
    }

    /// Content of the subjectKeyIdentifier extension; `None` if it is absent or malformed.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        let value = self.extension(super::oid::CE_SUBJECT_KEY_IDENTIFIER)?.value;
        let mut cursor = Cursor::new(value, "SubjectKeyIdentifier").ok()?;
        Some(cursor.expect(Tag::OctetString, "a key identifier").ok()?.value)
    }

    /// Whether issuer and subject are the same bytes.
    pub fn is_self_issued(&self) -> bool {
        self.issuer() == self.subject()
    }

    /// Whether the signature on these very bytes is known to be by this key under this rule about weak algorithms.
    ///
    /// Only that it is, is remembered, beside the bytes that were read, whose algorithm, content and signature never change;
    /// copies share it. Another certificate, however alike, knows nothing.
    pub(crate) fn is_known_to_be_signed_by(&self, spki: &[u8], allow_weak: bool) -> bool {
        let is_by = |known: &Signer| *known.spki == *spki && known.allow_weak == allow_weak;
        self.known.signers.with(|signers| signers.iter().any(is_by))
    }

    /// Remembers that it is: for the one place that checks signatures on certificates.
    pub(crate) fn note_signed_by(&self, spki: &[u8], allow_weak: bool) {
        self.known.signers.with(|signers| {
            if signers.len() < MAX_SIGNERS {
                signers.push(Signer { spki: spki.into(), allow_weak });
            }
        });
    }

    /// A hash of the subject, as `hash` makes it: for the one place that hashes names.
    pub(crate) fn subject_hash(&self, hash: impl FnOnce(&[u8]) -> u64) -> u64 {
        *self.known.subject_hash.get_or_init(|| hash(self.subject()))
    }

    /// The same of the issuer.
    pub(crate) fn issuer_hash(&self, hash: impl FnOnce(&[u8]) -> u64) -> u64 {
        *self.known.issuer_hash.get_or_init(|| hash(self.issuer()))
    }

    /// The same of the issuer, in the form that is written down.
    pub(crate) fn issuer_place(&self, hash: impl FnOnce(&[u8]) -> u64) -> u64 {
        *self.known.issuer_place.get_or_init(|| hash(self.issuer()))
    }

    /// SubjectPublicKeyInfo in the usual form of its type, as `usual` makes it of another: for the one place that compares keys.
    pub(crate) fn key_in_usual_form(&self, usual: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> &[u8] {
        let known = self.known.usual_key.get_or_init(|| usual(self.spki()).map(Into::into));
        known.as_deref().unwrap_or(self.spki())
    }

    /// Whether the usual form is worked out.
    pub(crate) fn knows_usual_form(&self) -> bool {
        self.known.usual_key.get().is_some()
    }

    /// How the key is written, as `form` finds.
    pub(crate) fn key_form(&self, form: impl FnOnce(&[u8]) -> KeyForm) -> KeyForm {
        *self.known.key_form.get_or_init(|| form(self.spki()))
    }

    /// SHA-256 of the key in its usual form, as `digest` makes it.
    pub(crate) fn key_digest<E>(&self, digest: impl FnOnce() -> Result<[u8; 32], E>) -> Result<[u8; 32], E> {
        match self.known.key_digest.get() {
            Some(known) => Ok(*known),
            None => digest().map(|made| *self.known.key_digest.get_or_init(|| made)),
        }
    }

    /// Whether the key is a point of its curve, as `look` finds.
    pub(crate) fn key_is_on_curve(&self, look: impl FnOnce() -> bool) -> bool {
        *self.known.is_on_curve.get_or_init(look)
    }

    fn part(&self, span: &Range<u32>) -> &[u8] {
        &self.der[span.start as usize..span.end as usize]
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

/// Subject and serial number, as they stand in sentences.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial {})", name::display(self.subject()), serial_text(self.serial()))
    }
}

/// The certificates above one, of a list that may begin with that one itself.
pub(crate) fn above<'a>(certificate: &Certificate, list: &'a [Certificate]) -> &'a [Certificate] {
    match list {
        [first, rest @ ..] if first == certificate => rest,
        _ => list,
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", name::display(self.subject()), serial_text(self.serial()))
    }
}

/// The extensions in the content of an `[n] EXPLICIT Extensions`, one by one.
pub struct Extensions<'a> {
    cursor: Cursor<'a>,
    count: usize,
}

impl<'a> Extensions<'a> {
    /// `content` holds the SEQUENCE OF Extension; an empty one is refused (RFC 5280 section 4.1).
    pub fn parse(content: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        let cursor = Cursor::sequence(content, structure)?;
        if cursor.is_empty() {
            return Err(Asn1Error::invalid(structure, "an empty list of extensions"));
        }
        Ok(Extensions { cursor, count: 0 })
    }

    /// The same, where an empty list harms nobody: in CRLs, their entries, and OCSP.
    pub fn parse_or_none(content: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        Ok(Extensions { cursor: Cursor::sequence(content, structure)?, count: 0 })
    }

    /// One that stands alone: what is odd about its neighbours does not matter.
    pub(crate) fn single(element: &'a [u8], structure: &'static str) -> Result<Extension<'a>, Asn1Error> {
        let mut alone = Extensions { cursor: Cursor::new(element, structure)?, count: 0 };
        alone.next().unwrap_or_else(|| Err(Asn1Error::invalid(structure, "no Extension")))
    }

    fn read(&mut self) -> Result<RawExtension<'a>, Asn1Error> {
        self.count += 1;
        if self.count > limits::MAX_EXTENSIONS {
            return Err(Asn1Error::too_large("Extensions", "count", limits::MAX_EXTENSIONS, self.count));
        }
        let mut fields = Cursor::new(self.cursor.expect(Tag::Sequence, "an Extension")?.value, "Extension")?;
        let oid = read_oid_content(&mut fields)?;
        let critical = match fields.optional(Tag::Boolean)? {
            None => false,
            Some(Tlv { value: [0xff], .. }) => true,
            // The DEFAULT written out: not DER, but old issuers do it and the meaning is plain.
            Some(Tlv { value: [0x00], .. }) => false,
            Some(_) => return Err(Asn1Error::invalid("Extension", "critical is not a BOOLEAN of DER")),
        };
        let value = fields.expect(Tag::OctetString, "extnValue")?.value;
        fields.finish()?;
        Ok(RawExtension { oid, critical, value })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Asn1Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            // Where the next one begins is not known: the iterator ends here, also for callers that pass over errors.
            self.cursor = self.cursor.at_end();
        }
        Some(read.and_then(|RawExtension { oid, critical, value }| {
            Ok(Extension { oid: Oid::from_bytes(oid)?, critical, value })
        }))
    }
}

fn read_version(fields: &mut Cursor<'_>) -> Result<u8, Asn1Error> {
    let Some(field) = fields.optional(context(0, true))? else { return Ok(1) };
    match field.value {
        // The DEFAULT written out: tolerated like other readers do.
        [0x02, 0x01, 0x00] => Ok(1),
        [0x02, 0x01, 0x01] => Ok(2),
        [0x02, 0x01, 0x02] => Ok(3),
        _ => Err(Asn1Error::invalid("TBSCertificate", "version is not 1, 2 or 3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::pem;

    const DEVICE: &[u8] = include_bytes!("../../tests/c/data/device.pem");

    #[test]
    fn certificates_are_found_among_other_blocks_and_texts() {
        let certificate = Certificate::many_from_bytes(DEVICE).unwrap().remove(0);
        let plain = pem::encode("CERTIFICATE", certificate.as_der());
        // OpenSSL's x509 -trustout writes its settings behind the certificate.
        let trusted = pem::encode("TRUSTED CERTIFICATE", &[certificate.as_der(), &[0x30, 0x02, 0x0c, 0x00]].concat());
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END RSA PRIVATE KEY-----\n";
        for text in [
            format!("0 s:CN=device\n{}", *plain),
            trusted.to_string(),
            format!("{key}{}", *plain),
            format!("{}-----BEGIN X509 CRL-----\nQUJD\n", *plain),
        ] {
            assert_eq!(
                Certificate::many_from_bytes(text.as_bytes()).unwrap(),
                core::slice::from_ref(&certificate),
                "{text}"
            );
        }
        // A damaged one spoils no other of a bundle; where there is no other, it is named by its place.
        let damaged = plain.replacen("MII", "M*I", 1);
        let behind = pem::encode("CERTIFICATE", &[certificate.as_der(), &[0x30, 0x00]].concat()).to_string();
        for odd in [&damaged, &behind] {
            for text in [format!("{}{odd}", *plain), format!("{odd}{}", *plain)] {
                assert_eq!(Certificate::many_from_bytes(text.as_bytes()).unwrap(), core::slice::from_ref(&certificate));
            }
            let error = Certificate::many_from_bytes(format!("{odd}{odd}").as_bytes()).unwrap_err();
            assert!(error.to_string().contains("block 1") || error.to_string().contains("behind the end"), "{error}");
        }
        let none = Certificate::many_from_bytes(key.as_bytes()).unwrap_err().to_string();
        assert!(none.contains("\"RSA PRIVATE KEY\""), "{none}");
        let padded = [certificate.as_der(), b"\r\n\0"].concat();
        assert_eq!(Certificate::many_from_bytes(&padded).unwrap(), core::slice::from_ref(&certificate));
    }

    #[test]
    fn a_negative_serial_number_is_itself() {
        for (content, text) in
            [(&[0xfb][..], "-05"), (&[0x00, 0xfb], "00fb"), (&[0x80], "-80"), (&[0xff, 0x00], "-0100")]
        {
            assert_eq!(serial_text(content), text);
        }
    }
}
