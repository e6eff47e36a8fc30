//! PKCS#7 as a bundle of certificates and revocation lists (`.p7b`, `.p7c`, RFC 5652 section 5.1): who signed it does not matter, since
//! nothing in it is believed but what is signed itself.

use alloc::borrow::Cow;

use ::der::Tag;

use super::ber;
use super::der::{Asn1Error, Cursor};
use super::fields::read_oid;
use super::oid;
use super::pem::Block;
use super::x509::Certificate;
use crate::limits;
use crate::prelude::*;

const WHAT: &str = "SignedData";

/// Whether a block of PEM is one.
pub(crate) fn is_bundle(block: &Block<'_>) -> bool {
    matches!(block.label, "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA")
}

/// The certificates in it that can be read; attribute certificates and other formats are skipped.
pub(crate) fn certificates(input: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    let mut found = Vec::new();
    each(input, 0, |der| {
        if found.len() == limits::MAX_CMS_CERTIFICATES {
            let limit = limits::MAX_CMS_CERTIFICATES;
            return Err(Asn1Error::too_large("CertificateSet", "count", limit, limit + 1));
        }
        // One that cannot be read is no help, and spoils none of the others.
        found.extend(Certificate::from_der(der));
        Ok(())
    })?;
    Ok(found)
}

/// The revocation lists in it, DER.
pub(crate) fn lists(input: &[u8]) -> Result<Vec<Vec<u8>>, Asn1Error> {
    let mut found = Vec::new();
    each(input, 1, |der| {
        if found.len() == limits::MAX_CMS_CERTIFICATES {
            let limit = limits::MAX_CMS_CERTIFICATES;
            return Err(Asn1Error::too_large("RevocationInfoChoices", "count", limit, limit + 1));
        }
        found.push(der.to_vec());
        Ok(())
    })?;
    Ok(found)
}

/// Each SEQUENCE of the certificates (0) or the lists (1). What was BER outside is taken only where it came as DER: anything else would be
/// a document of our making.
fn each(input: &[u8], part: u32, mut see: impl FnMut(&[u8]) -> Result<(), Asn1Error>) -> Result<(), Asn1Error> {
    // Whether it is BER shows at its first length, but for lengths that are written too long further inside.
    let (whole, parts) = match part_of(input, part) {
        Ok(content) => (Cow::Borrowed(input), content.to_vec()),
        Err(as_der) => match ber::with_definite_lengths(input) {
            Ok(definite) if *definite != *input => (Cow::Owned(definite.to_vec()), part_of(&definite, part)?.to_vec()),
            _ => return Err(as_der),
        },
    };
    // Beside each choice, the same in the input.
    let mut as_they_came = match whole {
        Cow::Borrowed(_) => None,
        Cow::Owned(_) => Some(ber::elements(part_as_it_came(input, part).unwrap_or_default())),
    };
    let mut choices = Cursor::new(&parts, WHAT)?;
    while !choices.is_empty() {
        let choice = choices.any("a certificate or a list")?;
        let is_as_it_came = match &mut as_they_came {
            None => true,
            Some(all) => all.next().is_some_and(|raw| raw.bytes == choice.bytes),
        };
        if choice.tag == Tag::Sequence && is_as_it_came {
            see(choice.bytes)?;
        }
    }
    Ok(())
}

/// The content of `certificates` or `crls` in BER, of what [`part_of`] reads once it is DER.
fn part_as_it_came(input: &[u8], part: u32) -> Option<&[u8]> {
    let inside = |content| ber::elements(content).next().map(|raw| raw.content);
    let mut fields = inside(input)?;
    if fields.first() == Some(&0x06) {
        let content = ber::elements(fields).nth(1)?;
        fields = inside(content.content)?;
    }
    let wanted = if part == 0 { 0xa0 } else { 0xa1 };
    ber::elements(fields).find(|raw| raw.tag == wanted).map(|raw| raw.content)
}

/// The content of `certificates` or `crls`.
fn part_of(input: &[u8], part: u32) -> Result<&[u8], Asn1Error> {
    let mut fields = Cursor::sequence(input, "ContentInfo")?;
    // Some have SignedData alone.
    if fields.peek() == Some(Tag::ObjectIdentifier) {
        if read_oid(&mut fields)? != oid::CMS_SIGNED_DATA {
            return Err(Asn1Error::invalid("ContentInfo", "contentType is not id-signedData"));
        }
        let content = fields.optional_context(0, true)?;
        let content = content.ok_or_else(|| Asn1Error::invalid("ContentInfo", "no content"))?;
        fields.finish()?;
        fields = Cursor::sequence(content.value, WHAT)?;
    }
    fields.expect(Tag::Integer, "version")?;
    fields.expect(Tag::Set, "digestAlgorithms")?;
    fields.expect(Tag::Sequence, "encapContentInfo")?;
    let certificates = fields.optional_context(0, true)?;
    let lists = fields.optional_context(1, true)?;
    fields.expect(Tag::Set, "signerInfos")?;
    fields.finish()?;
    let wanted = if part == 0 { certificates } else { lists };
    Ok(wanted.map_or(&[][..], |field| field.value))
}
