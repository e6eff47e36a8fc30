//! Proof of possession in the requests of others, as a registration authority looks at it (RFC 9810 section 5.2.8).

use ::der::Tag;

use super::context::Context;
use crate::asn1::cmp::{BodyType, PkiMessage};
use crate::asn1::crmf::CertTemplate;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::name::Name;
use crate::asn1::pkcs10::CertificationRequest;
use crate::asn1::x509::bit_string;
use crate::codes::Code;
use crate::crypto::SignatureAlgorithm;
use crate::error::Error;
use crate::prelude::*;

const WHAT: &str = "CertReqMsg";

/// What a request says of its new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Possession {
    /// There is a signature by it, and it matches.
    Proved,
    /// It will be shown by a later message: encrypted certificate or challenge.
    Later,
    /// There is none yet: the CA is to make it.
    KeyIsToBeMade,
    /// No certificate is asked for.
    NotAsked,
}

/// Looks at the one request in ir, cr, kur or p10cr.
///
/// Errors: [`Code::SignatureInvalid`] if the proof is missing or does not match; raVerified is no device's to say (RFC
/// 9810 section 5.2.8.1).
pub(super) fn check(context: &Context, message: &PkiMessage) -> Result<Possession, Error> {
    let content = message.body_content();
    match message.body_type() {
        BodyType::IR | BodyType::CR | BodyType::KUR => check_crmf(context, content),
        BodyType::P10CR => {
            check_pkcs10(context, &CertificationRequest::from_der(content)?)?;
            Ok(Possession::Proved)
        }
        _ => Ok(Possession::NotAsked),
    }
}

/// The signature of a PKCS #10 request by the key in it.
pub(super) fn check_pkcs10(context: &Context, csr: &CertificationRequest) -> Result<(), Error> {
    let algorithm = SignatureAlgorithm::from_der(csr.signature_algorithm())?;
    let verified = context.provider.verify(&algorithm, csr.spki(), csr.info(), csr.signature(), false);
    verified.map_err(|e| Error::caused_by(Code::SignatureInvalid, e).context("the PKCS #10 request's own signature"))
}

/// The subject asked for.
pub(super) fn subject(message: &PkiMessage) -> Option<Name> {
    let content = message.body_content();
    match message.body_type() {
        BodyType::IR | BodyType::CR | BodyType::KUR => {
            let template = CertReqMsg::read(content).ok()?.template;
            CertTemplate::from_der(template).ok()?.subject
        }
        BodyType::P10CR => Name::from_der(CertificationRequest::from_der(content).ok()?.subject()).ok(),
        _ => None,
    }
}

/// Controls of the one request in ir, cr or kur, DER; an empty list where there are none.
pub(super) fn controls(message: &PkiMessage) -> Result<&[u8], Error> {
    const NONE: &[u8] = &[0x30, 0];
    Ok(CertReqMsg::read(message.body_content())?.controls.unwrap_or(NONE))
}

/// The same request with `raVerified [0] NULL` in place of its proof.
pub(super) fn with_ra_verified(content: &[u8]) -> Result<Vec<u8>, Error> {
    let CertReqMsg { request, rest, .. } = CertReqMsg::read(content)?;
    Ok(ra_verified(request, rest))
}

/// CertReqMessages with one CertRequest that an RA vouches for.
pub(super) fn ra_verified(request: &[u8], rest: &[u8]) -> Vec<u8> {
    sequence(&[&sequence(&[request, &element(0x80, &[]), rest])])
}

/// ```text
/// CertReqMsg ::= SEQUENCE {
///     certReq   CertRequest,
///     popo      ProofOfPossession  OPTIONAL,
///     regInfo   SEQUENCE SIZE(1..MAX) OF AttributeTypeAndValue OPTIONAL }
/// ```
struct CertReqMsg<'a> {
    /// CertRequest, DER: what the proof covers.
    request: &'a [u8],
    /// certTemplate, DER.
    template: &'a [u8],
    /// controls, DER.
    controls: Option<&'a [u8]>,
    /// Tag number and content of popo.
    popo: Option<(u32, &'a [u8])>,
    /// regInfo, DER; perhaps empty.
    rest: &'a [u8],
}

impl<'a> CertReqMsg<'a> {
    fn read(content: &'a [u8]) -> Result<Self, Error> {
        let mut messages = Cursor::sequence(content, "CertReqMessages")?;
        let one = messages.expect(Tag::Sequence, "a CertReqMsg")?;
        if !messages.is_empty() {
            // RFC 9483 section 4.1.1.
            return Err(Error::new(Code::Protocol, "more than one CertReqMsg in a request"));
        }
        let mut fields = Cursor::new(one.value, WHAT)?;
        let request = fields.expect(Tag::Sequence, "certReq")?;
        let mut inner = Cursor::new(request.value, "CertRequest")?;
        inner.expect(Tag::Integer, "certReqId")?;
        let template = inner.expect(Tag::Sequence, "certTemplate")?.bytes;
        let controls = inner.optional(Tag::Sequence)?.map(|field| field.bytes);
        inner.finish()?;
        let mut popo = None;
        for (number, constructed) in [(0, false), (1, true), (2, true), (3, true)] {
            if let Some(field) = fields.optional_context(number, constructed)? {
                popo = Some((number, field.value));
                break;
            }
        }
        let rest = fields.optional(Tag::Sequence)?.map_or(&[][..], |field| field.bytes);
        fields.finish()?;
        Ok(CertReqMsg { request: request.bytes, template, controls, popo, rest })
    }
}

fn check_crmf(context: &Context, content: &[u8]) -> Result<Possession, Error> {
    let refuse = |words: &str| Err(Error::new(Code::SignatureInvalid, words));
    let CertReqMsg { request, template, popo, .. } = CertReqMsg::read(content)?;
    let Some(spki) = public_key(template)? else {
        return match popo {
            None => Ok(Possession::KeyIsToBeMade),
            Some(_) => refuse("a proof of possession for a key that is to be made"),
        };
    };
    match popo {
        None => refuse("no proof of possession"),
        Some((0, _)) => refuse("raVerified from a device (RFC 9810 section 5.2.8.1)"),
        Some((1, signed)) => {
            let mut fields = Cursor::new(signed, "POPOSigningKey")?;
            if fields.optional_context(0, true)?.is_some() {
                return refuse("poposkInput beside a template with subject and key");
            }
            let algorithm = SignatureAlgorithm::from_der(fields.expect(Tag::Sequence, "algorithmIdentifier")?.bytes)?;
            let value = fields.expect(Tag::BitString, "signature")?;
            fields.finish()?;
            let value = bit_string(value, "POPOSigningKey", "the signature does not fill whole bytes")?;
            let verified = context.provider.verify(&algorithm, &spki, request, value, false);
            match verified {
                Ok(()) => Ok(Possession::Proved),
                Err(e) => refuse(&format!("the proof of possession: {e}")),
            }
        }
        Some(_) => Ok(Possession::Later),
    }
}

/// SubjectPublicKeyInfo of a template; `None` if there is none, or one of no bits: the CA is to make the key (RFC 9483
/// section 4.1.6).
fn public_key(template: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    const KEY: &str = "SubjectPublicKeyInfo";
    let mut fields = Cursor::sequence(template, "CertTemplate")?;
    while !fields.is_empty() {
        let field = fields.any("a field")?;
        if field.tag == crate::asn1::der::context(6, true) {
            let mut parts = Cursor::new(field.value, KEY)?;
            parts.expect(Tag::Sequence, "algorithm")?;
            let bits = bit_string(parts.expect(Tag::BitString, "subjectPublicKey")?, KEY, "unused bits")?;
            return Ok((!bits.is_empty()).then(|| sequence(&[field.value])));
        }
    }
    Ok(None)
}
