//! PKCS#7 as a bundle of certificates and revocation lists (`.p7b`, `.p7c`, RFC 5652 section 5.1): who signed it does not matter, since
//! nothing in it is believed but what is signed itself.

use ::der::Tag;

use super::ber;
use super::der::{Asn1Error, Cursor};
use super::fields::read_oid;
use super::oid;
use super::pem::{Block, Held};
use super::x509::Certificate;
use crate::limits;
use crate::prelude::*;

const WHAT: &str = "SignedData";

/// Whether a block of PEM is one.
pub(crate) fn is_bundle(block: &Block<'_>) -> bool {
    matches!(block.label, "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA")
}

/// The certificates in it; one that cannot be read is told with its place and spoils none of the others. Attribute certificates and other
/// formats are skipped. `first_counts`: a first one that cannot be read is an error.
pub(crate) fn certificates(input: &[u8], first_counts: bool) -> Result<Held<Certificate>, Asn1Error> {
    let mut found = Held::none();
    let mut number = 0;
    each(input, 0, "CertificateSet", |tag, choice| {
        number += 1;
        let is_first = first_counts && found.all.is_empty();
        // RFC 5652 section 10.2.2: [0] to [3] are no certificates of X.509.
        if matches!(tag, 0xa0..=0xa3) && !is_first {
            return Ok(());
        }
        let no_certificate = || Asn1Error::invalid("CertificateSet", "a choice that is not a certificate in DER");
        let read = choice.ok_or_else(no_certificate).and_then(Certificate::from_der);
        match read.map_err(|error| error.at(&format!("choice {number} of the PKCS#7"))) {
            Err(error) if is_first => return Err(error),
            read => found.take(read),
        }
        Ok(())
    })?;
    Ok(found)
}

/// The revocation lists in it, DER; other formats (RFC 5652 section 10.2.1) are told.
pub(crate) fn lists(input: &[u8]) -> Result<Held<Vec<u8>>, Asn1Error> {
    let mut found = Held::none();
    each(input, 1, "RevocationInfoChoices", |_, choice| {
        let no_list = || Asn1Error::invalid("RevocationInfoChoices", "a choice that is not a CRL in DER");
        found.take(choice.map(<[u8]>::to_vec).ok_or_else(no_list));
        Ok(())
    })?;
    Ok(found)
}

/// Each of the certificates (0) or the lists (1), its tag and where it stands in the input; `None` for what is no SEQUENCE in DER: a choice may be BER
/// too, and what we made DER of it would be a document of our making.
fn each(
    input: &[u8],
    part: u32,
    name: &'static str,
    mut see: impl FnMut(u8, Option<&[u8]>) -> Result<(), Asn1Error>,
) -> Result<(), Asn1Error> {
    // Whether it is BER shows at its first length, but for lengths that are written too long further inside.
    let content = part_of(input, part).or_else(|as_der| part_of_ber(input, part).map_err(|_| as_der))?;
    let mut choices = ber::Elements(content);
    let mut count = 0;
    while !choices.0.is_empty() {
        // Also of those that are skipped: each is looked into.
        if count == limits::MAX_CMS_CERTIFICATES {
            return Err(Asn1Error::too_large(name, "count", count, count + 1));
        }
        count += 1;
        let choice = choices.next_element()?;
        let is_der = choice.tag == SEQUENCE && ber::has_definite_lengths(choice.bytes);
        see(choice.tag, is_der.then_some(choice.bytes))?;
    }
    Ok(())
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The same as [`part_of`] of a document that is BER outside: nothing is copied, and no more is looked into than is asked for.
fn part_of_ber(input: &[u8], part: u32) -> Result<&[u8], Asn1Error> {
    let mut whole = ber::Elements(input);
    let mut fields = ber::Elements(whole.expect(SEQUENCE, "no SEQUENCE")?.content);
    whole.finish()?;
    // Some have SignedData alone.
    if let Some(content_type) = fields.optional(0x06)? {
        if content_type.content != oid::CMS_SIGNED_DATA.as_bytes() {
            return Err(Asn1Error::invalid("ContentInfo", "contentType is not id-signedData"));
        }
        let mut content = ber::Elements(fields.expect(0xa0, "no content")?.content);
        fields.finish()?;
        fields = ber::Elements(content.expect(SEQUENCE, "no SignedData")?.content);
        content.finish()?;
    }
    fields.expect(0x02, "no version")?;
    fields.expect(SET, "no digestAlgorithms")?;
    fields.expect(SEQUENCE, "no encapContentInfo")?;
    let certificates = fields.optional(0xa0)?;
    let lists = fields.optional(0xa1)?;
    fields.expect(SET, "no signerInfos")?;
    fields.finish()?;
    let wanted = if part == 0 { certificates } else { lists };
    Ok(wanted.map_or(&[][..], |field| field.content))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    /// SignedData of these choices alone.
    fn bundle(part: u32, choices: &[u8]) -> Vec<u8> {
        let (version, set) = ([2, 1, 1], [SET, 0]);
        let content = sequence(&[&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]]);
        sequence(&[&version, &set, &content, &element(0xa0 + part as u8, &[choices]), &set])
    }

    #[test]
    fn choices_of_any_kind_are_counted() {
        for one in [&[0x05, 0x00][..], &[0x30, 0x00], &[0x24, 0x00], &[0x30, 0x80, 0x00, 0x00]] {
            for part in [0, 1] {
                let seen = |count: usize| {
                    let mut seen = 0;
                    each(&bundle(part, &one.repeat(count)), part, "choices", |_, _| {
                        seen += 1;
                        Ok(())
                    })
                    .map(|()| seen)
                };
                let most = limits::MAX_CMS_CERTIFICATES;
                assert_eq!(seen(most).unwrap(), most, "{one:02x?}");
                assert!(seen(most + 1).is_err(), "{one:02x?}");
            }
        }
    }
}
