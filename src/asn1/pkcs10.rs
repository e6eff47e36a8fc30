//! Certification requests (RFC 2986): written, and read back for comparison with what is issued.

use core::fmt;
use core::ops::Range;

use ::der::Tag;

use super::crmf::TemplateExtension;
use super::der::{Asn1Error, Cursor, element, sequence};
use super::directory_string::is_printable;
use super::fields::{assemble_signed, bit_string, read_oid, span_of};
use super::kind::{Kind, explained, no_block};
use super::name::{self, Name};
use super::oid;
use super::pem;
use super::x509::Extensions;
use crate::crypto::algorithm::encode_oid;
use crate::prelude::*;

const WHAT: &str = "CertificationRequest";

/// A signed request.
///
/// ```text
/// CertificationRequest ::= SEQUENCE {
///     certificationRequestInfo  CertificationRequestInfo,
///     signatureAlgorithm        AlgorithmIdentifier,
///     signature                 BIT STRING }
///
/// CertificationRequestInfo ::= SEQUENCE {
///     version        INTEGER { v1(0) },
///     subject        Name,
///     subjectPKInfo  SubjectPublicKeyInfo,
///     attributes     [0] IMPLICIT SET OF Attribute }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CertificationRequest {
    der: Vec<u8>,
    info: Range<u32>,
    subject: Range<u32>,
    spki: Range<u32>,
    algorithm: Range<u32>,
    signature: Range<u32>,
    extensions: Vec<TemplateExtension>,
}

impl CertificationRequest {
    /// Puts a request together from what [`certification_request_info`] made, AlgorithmIdentifier and signature.
    pub fn assemble(info: &[u8], algorithm: &[u8], signature: &[u8]) -> Result<Self, Asn1Error> {
        Self::from_der(&assemble_signed(info, algorithm, signature))
    }

    /// From DER. The signature is not checked here.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        let mut outer = Cursor::sequence(der, WHAT)?;
        let info = outer.expect(Tag::Sequence, "certificationRequestInfo")?;
        let algorithm = outer.expect(Tag::Sequence, "signatureAlgorithm")?.bytes;
        let signature = outer.expect(Tag::BitString, "signature")?;
        outer.finish()?;

        let mut fields = Cursor::new(info.value, WHAT)?;
        if fields.expect(Tag::Integer, "version")?.value != [0] {
            return Err(Asn1Error::invalid(WHAT, "version is not 0"));
        }
        let subject = fields.expect(Tag::Sequence, "subject")?.bytes;
        let spki = fields.expect(Tag::Sequence, "subjectPKInfo")?.bytes;
        // Some writers leave an empty set out (it is not OPTIONAL); the meaning is plain.
        let extensions = match fields.optional_context(0, true)? {
            Some(attributes) => read_extensions(attributes.value)?,
            None => Vec::new(),
        };
        fields.finish()?;

        let signature = bit_string(signature, WHAT, "the signature does not fill whole bytes")?;
        let span = |part: &[u8]| span_of(der, part);
        Ok(CertificationRequest {
            info: span(info.bytes),
            subject: span(subject),
            spki: span(spki),
            algorithm: span(algorithm),
            signature: span(signature),
            extensions,
            der: der.to_vec(),
        })
    }

    /// From DER, base64, or PEM with exactly one request (RFC 7468 section 7).
    pub fn from_bytes(input: &[u8]) -> Result<Self, Asn1Error> {
        if !pem::is_pem(input) {
            let der = pem::without_armour(input);
            return Self::from_der(&der).map_err(|error| explained(error, Kind::Request, &der));
        }
        let blocks = pem::parse(input)?;
        let mut requests =
            blocks.iter().filter(|b| matches!(b.label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"));
        match (requests.next(), requests.next()) {
            (Some(block), None) => {
                let der = block.decode()?;
                Self::from_der(&der).map_err(|error| block.place(explained(error, Kind::Request, &der)))
            }
            (None, _) => Err(no_block(Kind::Request, "CERTIFICATE REQUEST", &blocks)),
            (Some(_), Some(_)) => Err(Asn1Error::pem("more than one CERTIFICATE REQUEST block")),
        }
    }

    /// The request as it is sent.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The request in PEM armour.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der).to_string()
    }

    /// certificationRequestInfo with tag and length: what the signature covers.
    pub fn info(&self) -> &[u8] {
        self.part(&self.info)
    }

    /// The subject, DER; `30 00` where the alternative names alone tell who it is.
    pub fn subject(&self) -> &[u8] {
        self.part(&self.subject)
    }

    /// SubjectPublicKeyInfo of the key to be certified, DER.
    pub fn spki(&self) -> &[u8] {
        self.part(&self.spki)
    }

    /// AlgorithmIdentifier of the signature, DER.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.part(&self.algorithm)
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        self.part(&self.signature)
    }

    /// The extensions asked for (extensionRequest, RFC 2985 section 5.4.2).
    pub fn extensions(&self) -> &[TemplateExtension] {
        &self.extensions
    }

    fn part(&self, span: &Range<u32>) -> &[u8] {
        &self.der[span.start as usize..span.end as usize]
    }
}

impl fmt::Debug for CertificationRequest {
    /// Without the attributes: there may be a password among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificationRequest({})", name::display(self.subject()))
    }
}

/// certificationRequestInfo, DER, with the attributes extensionRequest and challengePassword (RFC 2985 section 5.4).
pub fn certification_request_info(
    subject: &Name,
    spki: &[u8],
    extensions: &[TemplateExtension],
    challenge_password: Option<&str>,
) -> Vec<u8> {
    let mut attributes = Vec::new();
    if !extensions.is_empty() {
        let extensions: Vec<u8> = extensions.iter().flat_map(TemplateExtension::to_der).collect();
        let values = element(0x31, &[&sequence(&[&extensions])]);
        attributes.push(sequence(&[&encode_oid(oid::EXTENSION_REQUEST), &values]));
    }
    if let Some(password) = challenge_password {
        // DirectoryString: PrintableString where it can be (RFC 2985 section 5.4.1), else UTF8String.
        let tag = if password.bytes().all(is_printable) { 0x13 } else { 0x0c };
        let values = element(0x31, &[&element(tag, &[password.as_bytes()])]);
        attributes.push(sequence(&[&encode_oid(oid::CHALLENGE_PASSWORD), &values]));
    }
    // DER sorts the elements of a SET OF (X.690 section 11.6).
    crate::order::sort(&mut attributes);
    sequence(&[&[0x02, 0x01, 0x00], subject.as_der(), spki, &element(0xa0, &[&attributes.concat()])])
}

/// The extensions in the attribute extensionRequest; other attributes are passed over.
fn read_extensions(attributes: &[u8]) -> Result<Vec<TemplateExtension>, Asn1Error> {
    let mut cursor = Cursor::new(attributes, "Attributes")?;
    let mut found = Vec::new();
    let mut is_there = false;
    while !cursor.is_empty() {
        let mut attribute = Cursor::new(cursor.expect(Tag::Sequence, "an Attribute")?.value, "Attribute")?;
        let kind = read_oid(&mut attribute)?;
        let values = attribute.expect(Tag::Set, "values")?;
        attribute.finish()?;
        if kind != oid::EXTENSION_REQUEST {
            continue;
        }
        if core::mem::replace(&mut is_there, true) {
            return Err(Asn1Error::invalid("Attributes", "extensionRequest twice"));
        }
        // Some writers put the attribute there with nothing in it: no value, or an empty list. Nothing is asked for.
        if matches!(values.value, [] | [0x30, 0x00]) {
            continue;
        }
        for extension in Extensions::parse(values.value, "extensionRequest")? {
            let extension = extension?;
            let (oid, critical, value) = (extension.oid, extension.critical, extension.value.to_vec());
            found.push(TemplateExtension { oid, critical, value });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPKI: &[u8] = &[0x30, 0x00];
    const ALGORITHM: &[u8] = &[0x30, 0x00];

    fn extension() -> TemplateExtension {
        TemplateExtension { oid: oid::CE_KEY_USAGE, critical: true, value: vec![0x03, 0x02, 0x07, 0x80] }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let name = Name::parse("CN=meter-1").unwrap();
        let info = certification_request_info(&name, SPKI, &[extension()], Some("let me in"));
        let request = CertificationRequest::assemble(&info, ALGORITHM, &[1, 2, 3]).unwrap();
        for found in [CertificationRequest::from_bytes(request.to_pem().as_bytes()), Ok(request.clone())] {
            let found = found.unwrap();
            assert_eq!((found.info(), found.subject(), found.spki()), (&info[..], name.as_der(), SPKI));
            assert_eq!((found.signature_algorithm(), found.signature()), (ALGORITHM, &[1, 2, 3][..]));
            assert_eq!(found.extensions(), [extension()]);
            assert!(!format!("{found:?}").contains("let me in"));
        }
    }

    #[test]
    fn attributes_stand_in_the_order_of_der_and_passwords_in_the_narrowest_alphabet() {
        let info = certification_request_info(&Name::null(), SPKI, &[extension()], Some("pass"));
        let position = |part: &[u8]| info.windows(part.len()).position(|w| w == part);
        // challengePassword is the shorter one, so its length byte sorts first.
        assert!(position(&encode_oid(oid::CHALLENGE_PASSWORD)) < position(&encode_oid(oid::EXTENSION_REQUEST)));
        assert!(position(b"\x13\x04pass").is_some());
        let wide = certification_request_info(&Name::null(), SPKI, &[], Some("p_ss"));
        assert!(wide.windows(6).any(|w| w == b"\x0c\x04p_ss"));
        assert!(certification_request_info(&Name::null(), SPKI, &[], None).ends_with(&[0xa0, 0x00]));
    }

    /// Some writers put the attribute there for nothing, or others with identifiers made of UUIDs.
    #[test]
    fn attributes_that_ask_for_nothing_are_no_obstacle() {
        let with = |attributes: &[u8]| {
            let info = sequence(&[&[0x02, 0x01, 0x00], &[0x30, 0x00], SPKI, &element(0xa0, &[attributes])]);
            CertificationRequest::assemble(&info, ALGORITHM, &[1])
        };
        let attribute = |kind: oid::Oid, values: &[u8]| sequence(&[&encode_oid(kind), &element(0x31, &[values])]);
        let uuid = oid::Oid::new("2.25.329800735698586629295641978511506172918").unwrap();
        for odd in [
            vec![],
            attribute(oid::EXTENSION_REQUEST, &[]),
            attribute(oid::EXTENSION_REQUEST, &[0x30, 0x00]),
            attribute(uuid, &[0x05, 0x00]),
        ] {
            assert_eq!(with(&odd).unwrap().extensions(), []);
        }
        let extensions = sequence(&[&extension().to_der()]);
        let asked = attribute(oid::EXTENSION_REQUEST, &extensions);
        assert_eq!(with(&asked).unwrap().extensions(), [extension()]);
        for twice in [asked.clone(), attribute(oid::EXTENSION_REQUEST, &[])] {
            assert!(with(&[&twice[..], &asked].concat()).is_err());
        }
        assert!(with(&attribute(oid::EXTENSION_REQUEST, &[0x05, 0x00])).is_err());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let info = certification_request_info(&Name::null(), SPKI, &[extension()], None);
        let good = assemble_signed(&info, ALGORITHM, &[1]);
        for cut in 0..good.len() {
            assert!(CertificationRequest::from_der(&good[..cut]).is_err(), "cut at {cut}");
        }
        let version_2 = sequence(&[&[0x02, 0x01, 0x01], &[0x30, 0x00], SPKI, &[0xa0, 0x00]]);
        assert!(CertificationRequest::assemble(&version_2, ALGORITHM, &[1]).is_err());
        let pem = CertificationRequest::from_der(&good).unwrap().to_pem();
        assert!(CertificationRequest::from_bytes(pem.repeat(2).as_bytes()).is_err());
        assert!(CertificationRequest::from_bytes(pem.replace("REQUEST", "THING").as_bytes()).is_err());
    }
}
