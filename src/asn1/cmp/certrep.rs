//! Certificate responses and confirmations (RFC 9810 sections 5.3.4 and 5.3.18).

use ::der::Tag;

use super::status::PkiStatusInfo;
use crate::asn1::der::{Asn1Error, Cursor, context, element, encode, sequence};
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// ```text
/// CertRepMessage ::= SEQUENCE {
///     caPubs    [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate  OPTIONAL,
///     response  SEQUENCE OF CertResponse }
/// ```
#[derive(Clone, Debug)]
pub struct CertRepMessage {
    /// Certificates that the server offers as trust anchors. Whether they may be that is policy's question.
    pub ca_pubs: Vec<Certificate>,
    /// One for each request.
    pub responses: Vec<CertResponse>,
}

/// ```text
/// CertResponse ::= SEQUENCE {
///     certReqId         INTEGER,
///     status            PKIStatusInfo,
///     certifiedKeyPair  CertifiedKeyPair  OPTIONAL,
///     rspInfo           OCTET STRING      OPTIONAL }
/// ```
#[derive(Clone, Debug)]
pub struct CertResponse {
    /// Which request.
    pub cert_req_id: i64,
    /// What became of it.
    pub status: PkiStatusInfo,
    /// The certificate.
    pub certified_key_pair: Option<CertifiedKeyPair>,
    /// Vendor words.
    pub rsp_info: Option<Vec<u8>>,
}

/// ```text
/// CertifiedKeyPair ::= SEQUENCE {
///     certOrEncCert    CertOrEncCert,
///     privateKey       [0] EncryptedKey        OPTIONAL,
///     publicationInfo  [1] PKIPublicationInfo  OPTIONAL }
/// ```
#[derive(Clone, Debug)]
pub struct CertifiedKeyPair {
    /// The certificate, in the clear or encrypted to the new key.
    pub cert_or_enc_cert: CertOrEncCert,
    /// A centrally generated private key: EncryptedKey as DER.
    pub private_key: Option<Vec<u8>>,
}

/// `CertOrEncCert ::= CHOICE { certificate [0] CMPCertificate, encryptedCert [1] EncryptedKey }`
#[derive(Clone, Debug)]
pub enum CertOrEncCert {
    /// In the clear.
    Certificate(Certificate),
    /// EncryptedKey as DER.
    Encrypted(Vec<u8>),
    /// In the clear, and no certificate that can be read: its DER, and why.
    Unreadable {
        /// What came.
        der: Vec<u8>,
        /// What is wrong with it.
        error: Asn1Error,
    },
}

impl CertRepMessage {
    pub(super) fn parse(element: &[u8], most_certificates: usize) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::sequence(element, "CertRepMessage")?;
        let ca_pubs = match fields.optional_context(1, true)? {
            Some(field) => read_ca_pubs(Cursor::sequence(field.value, "caPubs")?, most_certificates)?.0,
            None => Vec::new(),
        };
        let mut responses = Vec::new();
        let mut list = Cursor::new(fields.expect(Tag::Sequence, "response")?.value, "CertRepMessage")?;
        fields.finish()?;
        while !list.is_empty() {
            if responses.len() == most_certificates {
                return Err(Asn1Error::too_large(
                    "CertRepMessage",
                    "count of responses",
                    most_certificates,
                    responses.len() + 1,
                ));
            }
            responses.push(CertResponse::parse(list.expect(Tag::Sequence, "a CertResponse")?.value)?);
        }
        Ok(CertRepMessage { ca_pubs, responses })
    }
}

impl CertResponse {
    fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "CertResponse")?;
        let cert_req_id = fields.decode()?;
        let status = PkiStatusInfo::parse(fields.expect(Tag::Sequence, "status")?.value)?;
        let certified_key_pair =
            fields.optional(Tag::Sequence)?.map(|pair| CertifiedKeyPair::parse(pair.value)).transpose()?;
        let rsp_info = fields.optional(Tag::OctetString)?.map(|info| info.value.to_vec());
        fields.finish()?;
        Ok(CertResponse { cert_req_id, status, certified_key_pair, rsp_info })
    }
}

impl CertifiedKeyPair {
    fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CertifiedKeyPair";
        let mut fields = Cursor::new(content, WHAT)?;
        let choice = fields.any("certOrEncCert")?;
        let cert_or_enc_cert = if choice.tag == context(0, true) {
            match Certificate::from_der(choice.value) {
                Ok(certificate) => CertOrEncCert::Certificate(certificate),
                Err(error) => CertOrEncCert::Unreadable { der: choice.value.to_vec(), error },
            }
        } else if choice.tag == context(1, true) {
            CertOrEncCert::Encrypted(choice.value.to_vec())
        } else {
            return Err(Asn1Error::invalid(WHAT, "certOrEncCert is neither certificate [0] nor encryptedCert [1]"));
        };
        let private_key = fields.optional_context(0, true)?.map(|field| field.value.to_vec());
        fields.optional_context(1, true)?;
        fields.finish()?;
        Ok(CertifiedKeyPair { cert_or_enc_cert, private_key })
    }
}

/// ```text
/// CertStatus ::= SEQUENCE {
///     certHash    OCTET STRING,
///     certReqId   INTEGER,
///     statusInfo  PKIStatusInfo            OPTIONAL,
///     hashAlg     [0] AlgorithmIdentifier  OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertStatus {
    /// Digest over the certificate.
    pub cert_hash: Vec<u8>,
    /// Which request.
    pub cert_req_id: i64,
    /// Absent means accepted.
    pub status: Option<PkiStatusInfo>,
    /// AlgorithmIdentifier of the digest, DER, where the certificate's signature does not imply one.
    pub hash_alg: Option<Vec<u8>>,
}

impl CertStatus {
    /// `CertConfirmContent ::= SEQUENCE OF CertStatus`, DER.
    pub fn confirm_content(all: &[CertStatus]) -> Vec<u8> {
        let all: Vec<Vec<u8>> = all.iter().map(CertStatus::to_der).collect();
        sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn to_der(&self) -> Vec<u8> {
        let mut content = element(0x04, &[&self.cert_hash]);
        content.extend(encode(&self.cert_req_id));
        if let Some(status) = &self.status {
            content.extend(status.to_der());
        }
        if let Some(algorithm) = &self.hash_alg {
            content.extend(element(0xa0, &[algorithm]));
        }
        sequence(&[&content])
    }
}

/// Certificates in caPubs and in the answer to caCerts. One that cannot be read is no help, and spoils neither the others nor the
/// answer.
/// What was wrong with the first of those that cannot be read, is told beside them.
pub(super) fn read_ca_pubs(
    mut list: Cursor<'_>,
    most: usize,
) -> Result<(Vec<Certificate>, Option<Asn1Error>), Asn1Error> {
    let mut certificates = Vec::new();
    let mut unread = None;
    for count in 0.. {
        if list.is_empty() {
            break;
        }
        if count == most {
            return Err(Asn1Error::too_large("caPubs", "count", most, most + 1));
        }
        match Certificate::from_der(list.any("a certificate")?.bytes) {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => drop(unread.get_or_insert(error)),
        }
    }
    Ok((certificates, unread))
}
