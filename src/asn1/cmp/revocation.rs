//! Revocation requests and their answers (RFC 9810 sections 5.3.9 and 5.3.10).

use ::der::Tag;

use super::status::PkiStatusInfo;
use crate::asn1::crl::CrlReason;
use crate::asn1::der::{Asn1Error, Cursor, context, element, sequence};
use crate::asn1::oid;
use crate::crypto::algorithm::encode_oid;
use crate::prelude::*;

/// ```text
/// RevRepContent ::= SEQUENCE {
///     status        SEQUENCE SIZE (1..MAX) OF PKIStatusInfo,
///     revCerts  [0] SEQUENCE SIZE (1..MAX) OF CertId           OPTIONAL,
///     crls      [1] SEQUENCE SIZE (1..MAX) OF CertificateList  OPTIONAL }
/// ```
#[derive(Clone, Debug)]
pub struct RevRepContent {
    /// One for each request.
    pub statuses: Vec<PkiStatusInfo>,
    /// Which certificates the server speaks of.
    pub certificates: Vec<CertId>,
    /// CRLs that show the revocation, DER; what they say is `validation`'s question.
    pub crls: Vec<Vec<u8>>,
}

/// `CertId ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER }`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertId {
    /// The issuer's Name, DER; `None` for another form of GeneralName.
    pub issuer: Option<Vec<u8>>,
    /// Content of the INTEGER.
    pub serial: Vec<u8>,
}

/// certDetails of RevDetails: a CertTemplate, of which what tells certificates apart is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertDetails {
    /// issuer and serialNumber; an empty serial number where there is none.
    pub id: CertId,
    /// The subject's Name, DER.
    pub subject: Option<Vec<u8>>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Option<Vec<u8>>,
}

impl RevRepContent {
    pub(super) fn parse(bytes: &[u8], most: usize) -> Result<Self, Asn1Error> {
        const WHAT: &str = "RevRepContent";
        let mut fields = Cursor::sequence(bytes, WHAT)?;
        let mut statuses = Vec::new();
        let mut list = Cursor::new(fields.expect(Tag::Sequence, "status")?.value, WHAT)?;
        while !list.is_empty() {
            check_count("RevRepContent", statuses.len(), most)?;
            statuses.push(PkiStatusInfo::parse(list.expect(Tag::Sequence, "a PKIStatusInfo")?.value)?);
        }
        let mut certificates = Vec::new();
        if let Some(field) = fields.optional_context(0, true)? {
            let mut list = Cursor::sequence(field.value, "revCerts")?;
            while !list.is_empty() {
                check_count("RevRepContent", certificates.len(), most)?;
                certificates.push(CertId::parse(list.expect(Tag::Sequence, "a CertId")?.value)?);
            }
        }
        let mut crls = Vec::new();
        if let Some(field) = fields.optional_context(1, true)? {
            let mut list = Cursor::sequence(field.value, "crls")?;
            while !list.is_empty() {
                check_count("RevRepContent", crls.len(), most)?;
                crls.push(list.expect(Tag::Sequence, "a CertificateList")?.bytes.to_vec());
            }
        }
        fields.finish()?;
        Ok(RevRepContent { statuses, certificates, crls })
    }
}

impl CertId {
    pub(in crate::asn1) fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "CertId")?;
        let issuer = fields.any("issuer")?;
        // directoryName [4], explicit because Name is a CHOICE.
        let issuer = (issuer.tag == context(4, true)).then(|| issuer.value.to_vec());
        let serial = fields.expect(Tag::Integer, "serialNumber")?.value.to_vec();
        fields.finish()?;
        Ok(CertId { issuer, serial })
    }
}

/// The certificates in `RevReqContent ::= SEQUENCE OF RevDetails`, with
/// `RevDetails ::= SEQUENCE { certDetails CertTemplate, crlEntryDetails Extensions OPTIONAL }`. More than `most` are refused.
pub fn rev_details_of(content: &[u8], most: usize) -> Result<Vec<CertDetails>, Asn1Error> {
    const WHAT: &str = "RevReqContent";
    let mut all = Vec::new();
    let mut list = Cursor::sequence(content, WHAT)?;
    while !list.is_empty() {
        check_count(WHAT, all.len(), most)?;
        let mut details = Cursor::new(list.expect(Tag::Sequence, "RevDetails")?.value, "RevDetails")?;
        all.push(CertDetails::parse(details.expect(Tag::Sequence, "certDetails")?.value)?);
        details.optional(Tag::Sequence)?;
        details.finish()?;
    }
    Ok(all)
}

impl CertDetails {
    fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "certDetails")?;
        let mut of = |number, constructed| fields.optional_context(number, constructed);
        of(0, false)?;
        let serial = of(1, false)?.map(|field| field.value.to_vec()).unwrap_or_default();
        of(2, true)?;
        let issuer = of(3, true)?.map(|field| field.value.to_vec());
        of(4, true)?;
        let subject = of(5, true)?.map(|field| field.value.to_vec());
        let public_key = of(6, true)?.map(|field| sequence(&[field.value]));
        for (number, constructed) in [(7, false), (8, false), (9, true)] {
            of(number, constructed)?;
        }
        fields.finish()?;
        Ok(CertDetails { id: CertId { issuer, serial }, subject, public_key })
    }
}

/// `RevReqContent` with one `RevDetails`, as RFC 9483 section 4.2 has it.
pub fn rev_req(issuer: &[u8], serial: &[u8], reason: CrlReason) -> Vec<u8> {
    sequence(&[&rev_details(issuer, serial, reason)])
}

/// `RevDetails ::= SEQUENCE { certDetails CertTemplate, crlEntryDetails Extensions OPTIONAL }`, DER: issuer (DER of the Name),
/// serialNumber (content of the INTEGER), one reasonCode. `RevReqContent` is a SEQUENCE of them.
pub fn rev_details(issuer: &[u8], serial: &[u8], reason: CrlReason) -> Vec<u8> {
    // CertTemplate: serialNumber [1] implicit, issuer [3] explicit because Name is a CHOICE.
    let cert_details = sequence(&[&element(0x81, &[serial]), &element(0xa3, &[issuer])]);
    let reason_code = element(0x04, &[&element(0x0a, &[&[reason.number()]])]);
    let entry_details = sequence(&[&sequence(&[&encode_oid(oid::CE_CRL_REASON), &reason_code])]);
    sequence(&[&cert_details, &entry_details])
}

fn check_count(what: &'static str, count: usize, most: usize) -> Result<(), Asn1Error> {
    if count < most { Ok(()) } else { Err(Asn1Error::too_large(what, "count", most, count + 1)) }
}
