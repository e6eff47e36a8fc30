//! Certificate requests (RFC 4211): template, controls, proof of possession. The module's tags are IMPLICIT.

use ::der::Tag;

use super::cmp::revocation::CertId;
use super::der::{Asn1Error, Cursor, element, encode, sequence};
use super::fields::read_time;
use super::name::Name;
use super::oid::{self, Oid};
use super::x509::{Extensions, read_oid};
use crate::crypto::algorithm::encode_oid;
use crate::prelude::*;
use crate::time::Time;

/// ```text
/// CertTemplate ::= SEQUENCE {
///     version       [0] Version               OPTIONAL,
///     serialNumber  [1] INTEGER               OPTIONAL,
///     signingAlg    [2] AlgorithmIdentifier   OPTIONAL,
///     issuer        [3] Name                  OPTIONAL,
///     validity      [4] OptionalValidity      OPTIONAL,
///     subject       [5] Name                  OPTIONAL,
///     publicKey     [6] SubjectPublicKeyInfo  OPTIONAL,
///     issuerUID     [7] UniqueIdentifier      OPTIONAL,
///     subjectUID    [8] UniqueIdentifier      OPTIONAL,
///     extensions    [9] Extensions            OPTIONAL }
/// ```
///
/// The fields that RFC 9483 section 4.1.1 lets an end entity fill; version, serialNumber, signingAlg and the unique
/// identifiers must be absent and cannot be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertTemplate {
    /// Which CA shall issue.
    pub issuer: Option<Name>,
    /// First second of validity asked for.
    pub not_before: Option<Time>,
    /// Last second of validity asked for.
    pub not_after: Option<Time>,
    /// Whom the certificate is for; the NULL-DN where the identity stands in subjectAltName alone.
    pub subject: Option<Name>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Option<Vec<u8>>,
    /// Extensions asked for.
    pub extensions: Vec<TemplateExtension>,
}

/// An extension asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateExtension {
    /// Its identifier.
    pub oid: Oid,
    /// Whether it shall be critical.
    pub critical: bool,
    /// DER of its value.
    pub value: Vec<u8>,
}

impl TemplateExtension {
    /// DER of the Extension.
    pub fn to_der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[0x01, 0x01, 0xff] } else { &[] };
        sequence(&[&encode_oid(self.oid), critical, &element(0x04, &[&self.value])])
    }
}

impl CertTemplate {
    /// DER.
    pub fn to_der(&self) -> Vec<u8> {
        let mut content = Vec::new();
        // Name and Time are CHOICEs: their tags are explicit even in a module of implicit tags (X.680 section 31.2.7).
        if let Some(issuer) = &self.issuer {
            content.extend(element(0xa3, &[issuer.as_der()]));
        }
        if self.not_before.is_some() || self.not_after.is_some() {
            let bound = |tag, time: Option<Time>| time.map_or_else(Vec::new, |t| element(tag, &[&encode_time(t)]));
            content.extend(element(0xa4, &[&bound(0xa0, self.not_before), &bound(0xa1, self.not_after)]));
        }
        if let Some(subject) = &self.subject {
            content.extend(element(0xa5, &[subject.as_der()]));
        }
        if let Some(key) = &self.public_key {
            content.extend(retag(key, 0xa6));
        }
        if !self.extensions.is_empty() {
            let all: Vec<u8> = self.extensions.iter().flat_map(TemplateExtension::to_der).collect();
            content.extend(element(0xa9, &[&all]));
        }
        sequence(&[&content])
    }
}

impl CertTemplate {
    /// From a CertTemplate that a CA sends as a pattern for requests (RFC 9483 section 4.3.3). The NULL-DN and an empty
    /// extension value stand for "to be filled in"; fields that a request must not have are passed over.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "CertTemplate";
        let mut template = CertTemplate::default();
        let mut fields = Cursor::sequence(der, WHAT)?;
        fields.optional_context(0, false)?;
        fields.optional_context(1, false)?;
        fields.optional_context(2, true)?;
        template.issuer = fields.optional_context(3, true)?.map(|f| Name::from_der(f.value)).transpose()?;
        if let Some(field) = fields.optional_context(4, true)? {
            let mut bounds = Cursor::new(field.value, "OptionalValidity")?;
            let mut bound = |number| -> Result<Option<Time>, Asn1Error> {
                let field = bounds.optional_context(number, true)?;
                field.map(|f| read_time(&mut Cursor::new(f.value, "Time")?, "Time")).transpose()
            };
            (template.not_before, template.not_after) = (bound(0)?, bound(1)?);
            bounds.finish()?;
        }
        template.subject = fields.optional_context(5, true)?.map(|f| Name::from_der(f.value)).transpose()?;
        fields.optional_context(6, true)?;
        fields.optional_context(7, false)?;
        fields.optional_context(8, false)?;
        if let Some(field) = fields.optional_context(9, true)? {
            if !field.value.is_empty() {
                template.extensions = TemplateExtension::read_all(&sequence(&[field.value]))?;
            }
        }
        fields.finish()?;
        Ok(template)
    }
}

impl TemplateExtension {
    /// From `Extensions`, DER.
    pub fn read_all(der: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        let all = Extensions::parse(der, "Extensions")?;
        all.map(|e| e.map(|e| TemplateExtension { oid: e.oid, critical: e.critical, value: e.value.to_vec() }))
            .collect()
    }
}

/// UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5).
pub fn encode_time(time: Time) -> Vec<u8> {
    let text = time.to_generalized_time();
    match time.civil().0 {
        1950..=2049 => element(0x17, &[&text.as_bytes()[2..]]),
        _ => element(0x18, &[text.as_bytes()]),
    }
}

/// `CertRequest ::= SEQUENCE { certReqId INTEGER, certTemplate CertTemplate, controls Controls OPTIONAL }`, DER.
pub fn cert_request(cert_req_id: i64, template: &CertTemplate, controls: &[Vec<u8>]) -> Vec<u8> {
    let controls = if controls.is_empty() { Vec::new() } else { sequence(&[&controls.concat()]) };
    sequence(&[&encode(&cert_req_id), &template.to_der(), &controls])
}

/// The control oldCertID: the certificate to be updated (RFC 4211 section 6.5), DER of AttributeTypeAndValue.
///
/// `CertId ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER }`
pub fn old_cert_id(issuer: &[u8], serial: &[u8]) -> Vec<u8> {
    let cert_id = sequence(&[&element(0xa4, &[issuer]), &element(0x02, &[serial])]);
    sequence(&[&encode_oid(oid::REG_CTRL_OLD_CERT_ID), &cert_id])
}

/// The certificates that controls name by oldCertID: `Controls ::= SEQUENCE OF AttributeTypeAndValue`, DER; more than `most` controls are
/// refused.
pub fn old_cert_ids(controls: &[u8], most: usize) -> Result<Vec<CertId>, Asn1Error> {
    const WHAT: &str = "Controls";
    let mut ids = Vec::new();
    let mut list = Cursor::sequence(controls, WHAT)?;
    let mut count = 0;
    while !list.is_empty() {
        if count == most {
            return Err(Asn1Error::too_large(WHAT, "count", most, count + 1));
        }
        count += 1;
        let mut control = Cursor::new(list.expect(Tag::Sequence, "a control")?.value, "AttributeTypeAndValue")?;
        if read_oid(&mut control)? == oid::REG_CTRL_OLD_CERT_ID {
            ids.push(CertId::parse(control.expect(Tag::Sequence, "a CertId")?.value)?);
            control.finish()?;
        }
    }
    Ok(ids)
}

/// The control regToken or authenticator: a text agreed with the CA (RFC 4211 sections 6.1 and 6.2), DER.
pub fn text_control(control: Oid, text: &str) -> Vec<u8> {
    sequence(&[&encode_oid(control), &element(0x0c, &[text.as_bytes()])])
}

/// `CertReqMessages` with one `CertReqMsg`, DER.
pub fn cert_req_messages(cert_request: &[u8], popo: &[u8]) -> Vec<u8> {
    sequence(&[&cert_req_msg(cert_request, popo)])
}

/// `CertReqMsg`: the request and its proof of possession, DER; an empty `popo` is left out. `CertReqMessages` is a SEQUENCE of them.
pub fn cert_req_msg(cert_request: &[u8], popo: &[u8]) -> Vec<u8> {
    sequence(&[cert_request, popo])
}

/// Proof of possession by signature over the CertRequest: ProofOfPossession, DER.
///
/// ```text
/// POPOSigningKey ::= SEQUENCE {
///     poposkInput          [0] POPOSigningKeyInput  OPTIONAL,  -- must be absent here (RFC 9810 section 5.2.8.2)
///     algorithmIdentifier  AlgorithmIdentifier,
///     signature            BIT STRING }
/// ```
pub fn popo_signature(algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    // ProofOfPossession: signature [1], implicit.
    element(0xa1, &[algorithm, &element(0x03, &[&[0], signature])])
}

/// Proof of possession for a request without a name: the signature is over poposkInput, which says who asks for which key.
pub fn popo_signature_over(input: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    element(0xa1, &[&retag(input, 0xa0), algorithm, &element(0x03, &[&[0], signature])])
}

/// Who asks, in poposkInput.
#[derive(Clone, Copy, Debug)]
pub enum PopoAuthInfo<'a> {
    /// The sender's authenticated name: a Name, DER.
    Sender(&'a [u8]),
    /// A MAC over the public key under the secret shared with the CA: AlgorithmIdentifier, DER, and the value.
    PublicKeyMac(&'a [u8], &'a [u8]),
}

/// ```text
/// POPOSigningKeyInput ::= SEQUENCE {
///     authInfo  CHOICE { sender [0] GeneralName, publicKeyMAC PKMACValue },
///     publicKey SubjectPublicKeyInfo }
/// PKMACValue ::= SEQUENCE { algId AlgorithmIdentifier, value BIT STRING }
/// ```
pub fn popo_signing_key_input(who: PopoAuthInfo<'_>, spki: &[u8]) -> Vec<u8> {
    let who = match who {
        PopoAuthInfo::Sender(name) => element(0xa0, &[&element(0xa4, &[name])]),
        PopoAuthInfo::PublicKeyMac(algorithm, value) => sequence(&[algorithm, &element(0x03, &[&[0], value])]),
    };
    sequence(&[&who, spki])
}

/// How possession of a key that cannot sign is proved after the request (RFC 4211 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubsequentMessage {
    /// encrCert: the certificate is sent encrypted with the new key, and confirmed by its digest.
    EncryptedCertificate = 0,
    /// challengeResp: a number is sent encrypted with the new key, and sent back.
    Challenge = 1,
}

/// Proof of possession by a later message: ProofOfPossession, DER. `agrees`: the new key agrees on secrets
/// (`keyAgreement [3]`) and does not decrypt or decapsulate (`keyEncipherment [2]`).
pub fn popo_subsequent(agrees: bool, message: SubsequentMessage) -> Vec<u8> {
    // POPOPrivKey is a CHOICE, its tag explicit inside; subsequentMessage [1] is an implicit INTEGER.
    element(if agrees { 0xa3 } else { 0xa2 }, &[&element(0x81, &[&[message as u8]])])
}

/// The same element under another tag byte: IMPLICIT tagging of an encoded SEQUENCE.
fn retag(encoded: &[u8], tag: u8) -> Vec<u8> {
    let mut out = encoded.to_vec();
    out[0] = tag;
    out
}
