//! PKIMessage (RFC 9810 section 5.1) over the bytes that came.

use core::ops::Range;

use ::der::Tag;

use super::body::{BodyType, PkiBody};
use super::header::PkiHeader;
use crate::asn1::der::{Asn1Error, Cursor, Tlv, check_depth, context, element, sequence};
use crate::asn1::fields::{bit_string, span_of};
use crate::asn1::kind;
use crate::asn1::x509::Certificate;
use crate::limits::Limits;
use crate::prelude::*;

/// ```text
/// PKIMessage ::= SEQUENCE {
///     header      PKIHeader,
///     body        PKIBody,
///     protection  [0] PKIProtection  OPTIONAL,   -- BIT STRING
///     extraCerts  [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate  OPTIONAL }
/// ```
///
/// A received message. Header and body are read at different times: the body is only looked into once it is known who
/// sent it, so that an unauthenticated peer reaches as little code as possible.
#[derive(Clone, Debug)]
pub struct PkiMessage {
    der: Vec<u8>,
    header: PkiHeader,
    protected: Range<u32>,
    body_type: BodyType,
    body_content: Range<u32>,
    protection: Option<Range<u32>>,
    extra_certs: Vec<Certificate>,
    leaves_out: bool,
}

impl PkiMessage {
    /// Splits a message and reads its header. Takes the bytes and keeps them.
    ///
    /// Certificates in extraCerts that cannot be read are left out: the list is not protected, holds what it likes, and
    /// what is needed from it will be missed by name later.
    pub fn from_der(der: Vec<u8>, limits: &Limits) -> Result<Self, Asn1Error> {
        // Another service answers by its own documents (EST by PKCS#7, a download by a certificate), and people mix files up.
        match kind::Kind::of_der(&der) {
            Some(found) if found != kind::CMP => Err(kind::instead(kind::CMP, found)),
            _ => Self::read(der, limits),
        }
    }

    fn read(der: Vec<u8>, limits: &Limits) -> Result<Self, Asn1Error> {
        const WHAT: &str = "PKIMessage";
        if der.len() > limits.max_message_bytes {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits.max_message_bytes, der.len()));
        }
        let mut der = der;
        if let Some(length) = Cursor::new(&der, WHAT)?.first_element_length() {
            if der[length..].iter().all(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n')) {
                // A line end or padding behind the message, as in bodies of HTTP, is no part of it.
                der.truncate(length);
            }
        }
        let mut fields = Cursor::sequence(&der, WHAT)?;
        check_parts(fields.clone(), WHAT)?;
        let header_field = fields.expect(Tag::Sequence, "header")?;
        let body_field = fields.any("body")?;
        let body_type = PkiBody::type_of(&body_field)
            .ok_or_else(|| Asn1Error::invalid(WHAT, "the body's tag is none of RFC 9810's"))?;
        let protection = match fields.optional_context(0, true)? {
            Some(field) => {
                let mut inner = Cursor::new(field.value, "PKIProtection")?;
                let bits = bit_string(
                    inner.expect(Tag::BitString, "a BIT STRING")?,
                    "PKIProtection",
                    "protection has unused bits",
                )?;
                inner.finish()?;
                Some(span_of(&der, bits))
            }
            None => None,
        };
        let (extra_certs, leaves_out) = match fields.optional_context(1, true)? {
            Some(field) => read_extra_certs(Cursor::sequence(field.value, "extraCerts")?, limits)?,
            None => (Vec::new(), false),
        };
        fields.finish()?;
        let header = PkiHeader::parse(header_field.value)?;
        let protected = span_of(&der, header_field.bytes).start..span_of(&der, body_field.bytes).end;
        let body_content = span_of(&der, body_field.value);
        Ok(PkiMessage { protected, body_content, protection, der, header, body_type, extra_certs, leaves_out })
    }

    /// The header.
    pub fn header(&self) -> &PkiHeader {
        &self.header
    }

    /// The sender as a GeneralName of any form (RFC 9810 section 5.1.1), in the way that [`PkiHeader`] writes it back: the Name
    /// of a directoryName, another form whole.
    pub fn sender(&self) -> Option<Vec<u8>> {
        if let Some(name) = &self.header.sender {
            return Some(name.clone());
        }
        let mut protected = Cursor::new(self.slice(&self.protected), "PKIMessage").ok()?;
        let mut header = Cursor::new(protected.expect(Tag::Sequence, "header").ok()?.value, "PKIHeader").ok()?;
        header.any("pvno").ok()?;
        Some(header.any("sender").ok()?.bytes.to_vec())
    }

    /// Which body it carries.
    pub fn body_type(&self) -> BodyType {
        self.body_type
    }

    /// Reads the body.
    pub fn body(&self, limits: &Limits) -> Result<PkiBody, Asn1Error> {
        PkiBody::parse(self.body_type, self.slice(&self.body_content), limits)
    }

    /// The body's content, DER, unread.
    pub fn body_content(&self) -> &[u8] {
        self.slice(&self.body_content)
    }

    /// The protection: a signature or MAC value.
    pub fn protection(&self) -> Option<&[u8]> {
        self.protection.as_ref().map(|span| self.slice(span))
    }

    /// `ProtectedPart ::= SEQUENCE { header, body }` over the bytes received (RFC 9810 section 5.1.3).
    pub fn protected_part(&self) -> Vec<u8> {
        sequence(&[self.slice(&self.protected)])
    }

    /// Certificates that came along, unprotected.
    pub fn extra_certs(&self) -> &[Certificate] {
        &self.extra_certs
    }

    /// Whether more of them came than are read (limit `max_certificates`).
    pub fn leaves_out_certificates(&self) -> bool {
        self.leaves_out
    }

    /// The whole message.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    fn slice(&self, span: &Range<u32>) -> &[u8] {
        &self.der[span.start as usize..span.end as usize]
    }
}

/// Puts a message together from its encoded header and body, protection and certificates.
pub fn assemble<'a>(
    header: &[u8],
    body: &[u8],
    protection: Option<&[u8]>,
    extra_certs: impl Iterator<Item = &'a Certificate>,
) -> Vec<u8> {
    let protection = protection.map_or_else(Vec::new, |p| element(0xa0, &[&element(0x03, &[&[0], p])]));
    let certificates: Vec<&[u8]> = extra_certs.map(Certificate::as_der).collect();
    let extra_certs = if certificates.is_empty() { Vec::new() } else { element(0xa1, &[&sequence(&certificates)]) };
    sequence(&[header, body, &protection, &extra_certs])
}

/// Nothing but extraCerts is read where it nests too deep or breaks DER; there, each certificate is looked at by itself.
fn check_parts(mut fields: Cursor<'_>, what: &'static str) -> Result<(), Asn1Error> {
    while !fields.is_empty() {
        let offset = fields.offset();
        let part = fields.any("a part of the message")?;
        if part.tag != context(1, true) || offset == 0 {
            check_depth(part.bytes, what).map_err(|error| Asn1Error { offset: offset + error.offset, ..error })?;
        }
    }
    Ok(())
}

/// The first ones, as many as the limit says: a server that sends its whole trust list sends its signer first (RFC 9483 section
/// 3.3), and nothing depends on the others being read.
fn read_extra_certs(mut list: Cursor<'_>, limits: &Limits) -> Result<(Vec<Certificate>, bool), Asn1Error> {
    let mut certificates: Vec<Certificate> = Vec::new();
    let mut count = 0;
    while !list.is_empty() && count < limits.max_certificates {
        count += 1;
        // What has no end that can be seen hides what comes behind it.
        let Ok(Tlv { bytes, .. }) = list.any("a certificate") else { break };
        if certificates.iter().all(|c| c.as_der() != bytes) {
            if let Ok(certificate) = Certificate::from_der(bytes) {
                certificates.push(certificate);
            }
        }
    }
    Ok((certificates, !list.is_empty() && count >= limits.max_certificates))
}
