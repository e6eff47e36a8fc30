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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// The issuer's Name, DER; `None` for another form of GeneralName.
    pub issuer: Option<Vec<u8>>,
    /// Content of the INTEGER.
    pub serial: Vec<u8>,
}

impl RevRepContent {
    pub(super) fn parse(bytes: &[u8], most: usize) -> Result<Self, Asn1Error> {
        const WHAT: &str = "RevRepContent";
        let mut fields = Cursor::sequence(bytes, WHAT)?;
        let mut statuses = Vec::new();
        let mut list = Cursor::new(fields.expect(Tag::Sequence, "status")?.value, WHAT)?;
        while !list.is_empty() {
            check_count(statuses.len(), most)?;
            statuses.push(PkiStatusInfo::parse(list.expect(Tag::Sequence, "a PKIStatusInfo")?.value)?);
        }
        let mut certificates = Vec::new();
        if let Some(field) = fields.optional_context(0, true)? {
            let mut list = Cursor::sequence(field.value, "revCerts")?;
            while !list.is_empty() {
                check_count(certificates.len(), most)?;
                certificates.push(CertId::parse(list.expect(Tag::Sequence, "a CertId")?.value)?);
            }
        }
        let mut crls = Vec::new();
        if let Some(field) = fields.optional_context(1, true)? {
            let mut list = Cursor::sequence(field.value, "crls")?;
            while !list.is_empty() {
                check_count(crls.len(), most)?;
                crls.push(list.expect(Tag::Sequence, "a CertificateList")?.bytes.to_vec());
            }
        }
        fields.finish()?;
        Ok(RevRepContent { statuses, certificates, crls })
    }
}

impl CertId {
    fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "CertId")?;
        let issuer = fields.any("issuer")?;
        // directoryName [4], explicit because Name is a CHOICE.
        let issuer = (issuer.tag == context(4, true)).then(|| issuer.value.to_vec());
        let serial = fields.expect(Tag::Integer, "serialNumber")?.value.to_vec();
        fields.finish()?;
        Ok(CertId { issuer, serial })
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

/// The certificates that `RevReqContent` is about, at most so many; what is left out of the issuer or the serial number stands for any.
pub fn certificates_in(content: &[u8], most: usize) -> Result<Vec<CertId>, Asn1Error> {
    const WHAT: &str = "RevReqContent";
    let mut requests = Cursor::sequence(content, WHAT)?;
    let mut found = Vec::new();
    while !requests.is_empty() {
        check_count(found.len(), most)?;
        let mut details = Cursor::new(requests.expect(Tag::Sequence, "RevDetails")?.value, WHAT)?;
        let mut fields = Cursor::new(details.expect(Tag::Sequence, "certDetails")?.value, "CertTemplate")?;
        let mut one = CertId { issuer: None, serial: Vec::new() };
        while !fields.is_empty() {
            let field = fields.any("a field")?;
            if field.tag == context(1, false) {
                one.serial = field.value.to_vec();
            } else if field.tag == context(3, true) {
                one.issuer = Some(field.value.to_vec());
            }
        }
        found.push(one);
    }
    Ok(found)
}

fn check_count(count: usize, most: usize) -> Result<(), Asn1Error> {
    if count < most { Ok(()) } else { Err(Asn1Error::too_large("RevRepContent", "count", most, count + 1)) }
}
