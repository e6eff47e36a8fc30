//! OCSP requests and responses (RFC 6960 section 4) over the bytes that came.

use core::fmt;

use ::der::Tag;

use super::crl::{CrlReason, any_time, first_element, note, shortest_integer, take};
use super::der::{Asn1Error, Cursor, Tlv, context, element, sequence};
use super::fields::{bit_string, read_oid};
use super::oid::{self, Oid};
use super::x509::{Certificate, Extensions};
use crate::crypto::DigestAlgorithm;
use crate::crypto::algorithm::encode_oid;
use crate::limits;
use crate::prelude::*;
use crate::time::Time;

/// Signed certificate timestamps in a single response (RFC 6962 section 3.3): says nothing about the status.
const CT_SCT_LIST: Oid = Oid::new_unwrap("1.3.6.1.4.1.11129.2.4.5");

/// OCSPResponseStatus (RFC 6960 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspResponseStatus {
    /// The response has valid confirmations.
    Successful,
    /// `malformedRequest (1)`.
    MalformedRequest,
    /// `internalError (2)`.
    InternalError,
    /// `tryLater (3)`.
    TryLater,
    /// `sigRequired (5)`.
    SigRequired,
    /// `unauthorized (6)`.
    Unauthorized,
}

impl fmt::Display for OcspResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OcspResponseStatus::Successful => "successful",
            OcspResponseStatus::MalformedRequest => "malformedRequest",
            OcspResponseStatus::InternalError => "internalError",
            OcspResponseStatus::TryLater => "tryLater",
            OcspResponseStatus::SigRequired => "sigRequired",
            OcspResponseStatus::Unauthorized => "unauthorized",
        })
    }
}

/// CertID (RFC 6960 section 4.1.1): which certificate is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// Digest of both hashes; `None` if it is not known here, so that the CertID can match nothing.
    pub digest: Option<DigestAlgorithm>,
    /// Digest of the issuer's Name.
    pub issuer_name_hash: Box<[u8]>,
    /// Digest of the issuer's public key, the BIT STRING's content without the count of unused bits.
    pub issuer_key_hash: Box<[u8]>,
    /// Serial number as [`shortest_integer`].
    pub serial: Box<[u8]>,
}

impl CertId {
    /// Whom it names, and whether nothing else about it is odd.
    fn read(content: &[u8]) -> Result<(Self, bool), Asn1Error> {
        const WHAT: &str = "CertID";
        let mut fields = Cursor::new(content, WHAT)?;
        let mut algorithm = Cursor::new(fields.any("hashAlgorithm")?.value, WHAT)?;
        let digest = read_oid(&mut algorithm)?;
        let parameters = algorithm.optional(Tag::Null)?;
        let is_plain = parameters.is_none_or(|found| found.value.is_empty()) && algorithm.is_empty();
        let mut name = fields.any("issuerNameHash")?;
        let mut is_plain = is_plain;
        while name.tag != Tag::OctetString {
            is_plain = false;
            name = fields.any("issuerNameHash")?;
        }
        let key = fields.any("issuerKeyHash")?.value;
        let serial = fields.any("serialNumber")?;
        if serial.value.is_empty() {
            return Err(Asn1Error::invalid(WHAT, "serialNumber without content"));
        }
        let cert_id = CertId {
            digest: DigestAlgorithm::from_oid(digest),
            issuer_name_hash: name.value.into(),
            issuer_key_hash: key.into(),
            serial: shortest_integer(serial.value).into(),
        };
        Ok((cert_id, is_plain && serial.tag == Tag::Integer && fields.is_empty()))
    }

    /// The DER; `None` if the digest is not known.
    pub fn to_der(&self) -> Option<Vec<u8>> {
        let algorithm = sequence(&[&encode_oid(self.digest?.oid()), &[0x05, 0x00]]);
        let octets = |bytes: &[u8]| element(0x04, &[bytes]);
        let serial = element(0x02, &[&self.serial]);
        Some(sequence(&[&algorithm, &octets(&self.issuer_name_hash), &octets(&self.issuer_key_hash), &serial]))
    }
}

/// Who signed (RFC 6960 section 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderId {
    /// `byName`: the responder's Name, DER.
    Name(Box<[u8]>),
    /// `byKey`: SHA-1 of the responder's public key.
    KeyHash(Box<[u8]>),
}

/// CertStatus (RFC 6960 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked, as far as the responder knows.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when; `None` if that is no date. It decides nothing.
        time: Option<Time>,
        /// Why.
        reason: CrlReason,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// What a response says about one certificate.
#[derive(Clone, Debug)]
pub struct SingleResponse {
    /// About which.
    pub cert_id: CertId,
    /// What.
    pub status: CertStatus,
    /// When this was known to be right.
    pub this_update: Time,
    /// When newer information will be there at the latest.
    pub next_update: Option<Time>,
    /// A critical extension that is not understood: the entry must not be used.
    pub unknown_critical: Option<Oid>,
}

/// A BasicOCSPResponse, split but not believed.
#[derive(Clone, Debug)]
pub struct BasicResponse {
    /// tbsResponseData with tag and length: what the signature covers.
    pub tbs: Box<[u8]>,
    /// Who says so.
    pub responder_id: ResponderId,
    /// When it was signed; `None` if that cannot be read. It decides nothing.
    pub produced_at: Option<Time>,
    /// The entries; there may be none, and then nothing is said.
    pub responses: Vec<SingleResponse>,
    /// The nonce: content of the OCTET STRING (RFC 9654 section 2.1).
    pub nonce: Option<Box<[u8]>>,
    /// A critical extension that is not understood: the response must not be used.
    pub unknown_critical: Option<Oid>,
    /// AlgorithmIdentifier of the signature.
    pub signature_algorithm: Box<[u8]>,
    /// The signature.
    pub signature: Box<[u8]>,
    /// Certificates that came along; those that cannot be read are left out.
    pub certificates: Vec<Certificate>,
    /// What is odd about the response: it then clears nobody, and those of whom it says so are revoked all the same.
    pub(crate) defect: Option<Asn1Error>,
}

/// An OCSPResponse.
#[derive(Clone, Debug)]
pub struct ResponseMessage {
    /// Whether the responder answered at all.
    pub status: OcspResponseStatus,
    /// The answer; there exactly when the status is `Successful`.
    pub basic: Option<BasicResponse>,
}

impl ResponseMessage {
    /// Splits a response. What stands behind it is left out.
    ///
    /// Refused: anything but an OCSPResponse with responder and signature, a successful one without an answer, an answer of
    /// another type than id-pkix-ocsp-basic, sizes and counts above `limits`. Whatever else is odd is a defect: the response
    /// then clears nobody, and an entry that names a certificate and does not say plainly that it is good, or not known, says
    /// that it is revoked.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "OCSPResponse";
        if der.len() > limits::MAX_OCSP_BYTES {
            return Err(Asn1Error::too_large(WHAT, "size in bytes", limits::MAX_OCSP_BYTES, der.len()));
        }
        let mut fields = Cursor::sequence(first_element(der), WHAT)?;
        let status = match fields.expect(Tag::Enumerated, "responseStatus")?.value {
            [0] => OcspResponseStatus::Successful,
            [1] => OcspResponseStatus::MalformedRequest,
            [2] => OcspResponseStatus::InternalError,
            [3] => OcspResponseStatus::TryLater,
            [5] => OcspResponseStatus::SigRequired,
            [6] => OcspResponseStatus::Unauthorized,
            other => {
                let number = other.first().copied().unwrap_or_default();
                return Err(Asn1Error::invalid(WHAT, format!("responseStatus {number}, which RFC 6960 does not know")));
            }
        };
        let body = fields.optional_context(0, true)?;
        let basic = match (status, body) {
            (OcspResponseStatus::Successful, Some(body)) => {
                let mut response = Cursor::sequence(body.value, "ResponseBytes")?;
                if read_oid(&mut response)? != oid::OCSP_BASIC {
                    return Err(Asn1Error::invalid("ResponseBytes", "a type other than id-pkix-ocsp-basic"));
                }
                let content = response.any("response")?.value;
                Some(BasicResponse::from_der(first_element(content))?)
            }
            (OcspResponseStatus::Successful, None) => {
                return Err(Asn1Error::invalid(WHAT, "successful, but without an answer"));
            }
            // Whatever stands beside an error, the responder has not answered.
            (_, _) => None,
        };
        Ok(ResponseMessage { status, basic })
    }
}

impl BasicResponse {
    fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "BasicOCSPResponse";
        let mut outer = Cursor::sequence(der, WHAT)?;
        let tbs = outer.expect(Tag::Sequence, "tbsResponseData")?;
        let signature_algorithm = outer.expect(Tag::Sequence, "signatureAlgorithm")?.bytes.into();
        let signature =
            bit_string(outer.expect(Tag::BitString, "signature")?, WHAT, "signature has unused bits")?.into();
        let certificates = match outer.optional_context(0, true)? {
            Some(field) => read_certificates(field.value)?,
            None => Vec::new(),
        };

        let mut defect = None;
        let mut fields = Cursor::new(tbs.value, "ResponseData")?;
        let responder_id = loop {
            let field = fields.any("responderID")?;
            if [1, 2].iter().any(|number| field.tag == context(*number, true)) {
                break read_responder_id(&field)?;
            }
            if field.tag != context(0, true) || field.value != [0x02, 0x01, 0x00] {
                note(&mut defect, Asn1Error::invalid("ResponseData", "version is not 1"));
            }
        };
        // Whatever stands before the entries: it decides nothing.
        let mut produced_at = None;
        let mut entries: Option<&[u8]> = None;
        while !fields.is_empty() && fields.peek() != Some(context(1, true)) {
            let field = fields.any("producedAt or responses")?;
            match field.tag {
                Tag::Sequence => {
                    entries = Some(field.value);
                    break;
                }
                Tag::GeneralizedTime | Tag::UtcTime if produced_at.is_none() => produced_at = any_time(&field),
                // The longest is the list, where there is no other.
                _ if entries.is_none_or(|known| known.len() < field.value.len()) => entries = Some(field.value),
                _ => {}
            }
        }
        let mut list = Cursor::new(entries.unwrap_or_default(), "responses")?;
        let mut responses = Vec::new();
        let mut unread = None;
        while !list.is_empty() {
            if responses.len() == limits::MAX_OCSP_SINGLE_RESPONSES {
                let found = responses.len() + 1;
                return Err(Asn1Error::too_large(WHAT, "responses", limits::MAX_OCSP_SINGLE_RESPONSES, found));
            }
            let element = match list.any("a SingleResponse") {
                Ok(element) => element,
                Err(error) => {
                    // Where the next one begins is not known: those before it count.
                    note(&mut defect, error);
                    break;
                }
            };
            match SingleResponse::read(element.value) {
                // Of whatever type; only what is as it should be clears anybody.
                Ok(single) if element.tag == Tag::Sequence || single.status != CertStatus::Good => {
                    responses.push(single)
                }
                Ok(_) => {}
                // It says nothing; the others do.
                Err(error) => {
                    unread.get_or_insert(error);
                }
            }
        }
        if let (true, Some(error)) = (responses.is_empty(), unread) {
            return Err(error);
        }
        let mut nonce = None;
        let mut unknown_critical = None;
        let mut take_in = |extension: Oid, value: &[u8], critical: bool| match extension {
            o if o == oid::OCSP_NONCE => nonce = Some(read_nonce(value)),
            // RFC 6960 section 4.4.8: it has a meaning only together with "revoked".
            o if o == OCSP_EXTENDED_REVOKE => {}
            other if critical => unknown_critical = unknown_critical.or(Some(other)),
            _ => {}
        };
        if let Ok(Some(field)) = fields.optional_context(1, true) {
            if let Err(error) = read_extensions(field.value, "responseExtensions", &mut take_in) {
                note(&mut defect, error);
            }
        }
        if let Err(error) = fields.finish() {
            note(&mut defect, error);
        }
        Ok(BasicResponse {
            tbs: tbs.bytes.into(),
            responder_id,
            produced_at,
            responses,
            nonce,
            unknown_critical,
            signature_algorithm,
            signature,
            certificates,
            defect,
        })
    }
}

/// id-pkix-ocsp-extended-revoke (RFC 6960 section 4.4.8).
const OCSP_EXTENDED_REVOKE: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1.9");
/// id-pkix-ocsp-crl (RFC 6960 section 4.4.2).
const OCSP_CRL: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1.3");
/// id-pkix-ocsp-archive-cutoff (RFC 6960 section 4.4.4).
const OCSP_ARCHIVE_CUTOFF: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1.6");

impl SingleResponse {
    /// What names a certificate and does not say plainly that it is good, or not known, says that it is revoked.
    fn read(content: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "SingleResponse";
        let mut fields = Cursor::new(content, WHAT)?;
        let (cert_id, is_sound) = CertId::read(fields.any("certID")?.value)?;
        let choice = fields.any("certStatus").ok();
        let is =
            |number| choice.as_ref().is_some_and(|c| c.tag == context(number, false) || c.tag == context(number, true));
        let status = match (is(0), is(2)) {
            (true, _) => CertStatus::Good,
            (_, true) => CertStatus::Unknown,
            _ => return Ok(Self::read_revoked(cert_id, choice.filter(|_| is(1)).map_or(&[], |c| c.value), fields)),
        };
        if !is_sound || choice.is_some_and(|choice| choice.tag.is_constructed() || !choice.value.is_empty()) {
            return Err(Asn1Error::invalid(WHAT, "certID or certStatus is not as it should be"));
        }
        let this_update = generalized_time(&mut fields, "thisUpdate")?;
        let (next_update, unknown_critical) = Self::read_rest(&mut fields)?;
        fields.finish()?;
        Ok(SingleResponse { cert_id, status, this_update, next_update, unknown_critical })
    }

    /// nextUpdate, and a critical extension that is not understood.
    fn read_rest(fields: &mut Cursor<'_>) -> Result<(Option<Time>, Option<Oid>), Asn1Error> {
        let next_update = match fields.optional_context(0, true)? {
            Some(field) => {
                let mut inner = Cursor::new(field.value, "nextUpdate")?;
                let time = generalized_time(&mut inner, "nextUpdate")?;
                inner.finish()?;
                Some(time)
            }
            None => None,
        };
        let mut unknown_critical = None;
        if let Some(field) = fields.optional_context(1, true)? {
            read_extensions(field.value, "singleExtensions", &mut |extension, _: &[u8], critical| {
                // Read and without influence on the status: RFC 6960 sections 4.4.2 to 4.4.5, RFC 6962 section 3.3.
                let tolerated =
                    [OCSP_CRL, OCSP_ARCHIVE_CUTOFF, CT_SCT_LIST, oid::CE_CRL_REASON, oid::CE_INVALIDITY_DATE];
                if critical && !tolerated.contains(&extension) {
                    unknown_critical = unknown_critical.or(Some(extension));
                }
            })?;
        }
        Ok((next_update, unknown_critical))
    }

    /// Revoked is revoked, whatever is odd about when and why, and about the extensions beside it.
    fn read_revoked(cert_id: CertId, info: &[u8], mut fields: Cursor<'_>) -> Self {
        let read_info = || {
            let mut info = Cursor::new(info, "RevokedInfo").ok()?;
            let time = any_time(&info.any("revocationTime").ok()?);
            let reason = info.optional_context(0, true).ok().flatten().and_then(|f| CrlReason::from_der(f.value).ok());
            Some((time, reason))
        };
        let (time, reason) = read_info().unwrap_or_default();
        let status = CertStatus::Revoked { time, reason: reason.unwrap_or(CrlReason::Unspecified) };
        // Not known when: as old as can be.
        let this_update = generalized_time(&mut fields, "thisUpdate").unwrap_or(Time::from_unix(0));
        let (next_update, _) = Self::read_rest(&mut fields).unwrap_or((None, None));
        SingleResponse { cert_id, status, this_update, next_update, unknown_critical: None }
    }
}

/// Content of an OCSP nonce extension: an OCTET STRING (RFC 9654 section 2.1). Old responders leave the OCTET STRING
/// out; such bytes are taken as they are and equal no nonce that was sent from here.
fn read_nonce(value: &[u8]) -> Box<[u8]> {
    match take(value, 0x04) {
        Some((content, [])) => content.into(),
        _ => value.into(),
    }
}

fn read_extensions(
    content: &[u8],
    structure: &'static str,
    handle: &mut dyn FnMut(Oid, &[u8], bool),
) -> Result<(), Asn1Error> {
    let mut seen: Vec<Oid> = Vec::new();
    for extension in Extensions::parse_or_none(content, structure)? {
        let extension = extension?;
        if seen.contains(&extension.oid) {
            return Err(Asn1Error::invalid(structure, "the same extension twice"));
        }
        seen.push(extension.oid);
        handle(extension.oid, extension.value, extension.critical);
    }
    Ok(())
}

fn read_responder_id(choice: &Tlv<'_>) -> Result<ResponderId, Asn1Error> {
    const WHAT: &str = "ResponderID";
    let mut inner = Cursor::new(choice.value, WHAT)?;
    let id = if choice.tag == context(1, true) {
        ResponderId::Name(inner.expect(Tag::Sequence, "a Name")?.bytes.into())
    } else if choice.tag == context(2, true) {
        ResponderId::KeyHash(inner.expect(Tag::OctetString, "a KeyHash")?.value.into())
    } else {
        return Err(Asn1Error::invalid(WHAT, "neither byName nor byKey"));
    };
    inner.finish()?;
    Ok(id)
}

fn read_certificates(content: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    let mut certificates = Vec::new();
    let Ok(mut list) = Cursor::sequence(content, "certs") else { return Ok(certificates) };
    let mut count = 0;
    while !list.is_empty() {
        count += 1;
        if count > limits::MAX_OCSP_CERTIFICATES {
            return Err(Asn1Error::too_large("certs", "count", limits::MAX_OCSP_CERTIFICATES, count));
        }
        // One that is odd need not be the one that is needed.
        let Ok(element) = list.any("a Certificate") else { break };
        certificates.extend(Certificate::from_der(element.bytes));
    }
    Ok(certificates)
}

fn generalized_time(fields: &mut Cursor<'_>, field: &'static str) -> Result<Time, Asn1Error> {
    // Old responders write UTCTime; what it says is as clear.
    let time = any_time(&fields.any(field)?);
    time.ok_or_else(|| Asn1Error::invalid(field, "not a time in the form YYYYMMDDHHMMSSZ"))
}

/// Builds an OCSPRequest for these certificates, unsigned (RFC 6960 section 4.1), with a nonce if given (RFC 9654).
/// `None` if a CertID's digest is not known.
pub fn encode_request(cert_ids: &[CertId], nonce: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut requests = Vec::new();
    for cert_id in cert_ids {
        requests.extend(sequence(&[&cert_id.to_der()?]));
    }
    let mut tbs = sequence(&[&requests]);
    if let Some(nonce) = nonce {
        let value = element(0x04, &[&element(0x04, &[nonce])]);
        let extension = sequence(&[&encode_oid(oid::OCSP_NONCE), &value]);
        tbs.extend(element(0xa2, &[&sequence(&[&extension])]));
    }
    Some(sequence(&[&sequence(&[&tbs])]))
}
