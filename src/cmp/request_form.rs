//! The saved form of a request.

use ::der::{Decode, Tag};

use super::info::Question;
use super::issued::Issued;
use super::passphrase::SealedPassphrase;
use super::proof::{Possession, RequestedKey};
use super::request::{CertificateRequest, Request, RequestKind, RevocationRequest};
use super::saved_form::{WHAT, octets, read_octets};
use crate::asn1::cmp::{CrlSource, InfoTypeAndValue};
use crate::asn1::crl::CrlReason;
use crate::asn1::crmf::{CertTemplate, TemplateExtension};
use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::asn1::name::Name;
use crate::asn1::oid::Oid;
use crate::asn1::x509::{Certificate, read_oid};
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::{KeyKind, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;

/// Numbers of requests, after 0 to 2 for ir, cr and kur.
const PKCS10: i64 = 3;

const REVOCATION: i64 = 4;

const QUESTION: i64 = 5;

const PASSPHRASE_REVOCATION: i64 = 6;

const REVOCATIONS: i64 = 7;

pub(super) fn write_request(request: &Request, issued: Option<&Issued>) -> Vec<u8> {
    match request {
        Request::Certificate(request) => write_certificate_request(request, issued),
        Request::Certificates(_) => unreachable!("refused before"),
        Request::Revocation(request) => {
            let kind = if request.by_passphrase { PASSPHRASE_REVOCATION } else { REVOCATION };
            sequence(&[&encode(&kind), &octets(&[]), &write_revocation(request)])
        }
        Request::Revocations(requests) => {
            let all: Vec<u8> = requests.iter().flat_map(|request| sequence(&[&write_revocation(request)])).collect();
            sequence(&[&encode(&REVOCATIONS), &octets(&[]), &all])
        }
        Request::Information(question) => {
            let (number, fields) = write_question(question);
            sequence(&[&encode(&QUESTION), &octets(&[]), &encode(&number), &fields])
        }
    }
}

pub(super) fn read_request(key: Option<Signer>, fields: &mut Cursor<'_>) -> Result<Request, Error> {
    let mut fields = Cursor::new(fields.expect(Tag::Sequence, "the request")?.value, WHAT)?;
    let kind = fields.decode::<i64>()?;
    let spki = read_octets(&mut fields)?;
    match (kind, key) {
        (REVOCATION | PASSPHRASE_REVOCATION, None) => {
            let by_passphrase = kind == PASSPHRASE_REVOCATION;
            Ok(RevocationRequest { by_passphrase, ..read_revocation(&mut fields)? }.into())
        }
        (REVOCATIONS, None) => Ok(read_revocations(&mut fields)?.into()),
        (QUESTION, None) => Ok(read_question(fields.decode()?, &mut fields)?.into()),
        (PKCS10, key) if key.as_ref().is_none_or(|key| key.spki() == spki) => {
            Ok(CertificateRequest::from_pkcs10(&read_octets(&mut fields)?)?.into())
        }
        (0..=2, key) if key.as_ref().map_or(&[][..], Signer::spki) == spki => {
            Ok(read_certificate_request(kind, key, fields)?.into())
        }
        (0..=2 | PKCS10, Some(_)) => Err(Error::new(Code::KeyMismatch, "the saved operation belongs to another key")),
        (0..=2, None) => Err(Error::new(Code::KeyMismatch, "the saved operation belongs to a key, and none was given")),
        (REVOCATION | PASSPHRASE_REVOCATION | REVOCATIONS | QUESTION, Some(_)) => {
            Err(Error::new(Code::KeyMismatch, "the saved operation has no new key, and one was given"))
        }
        (other, _) => Err(Error::new(Code::Corrupt, format!("the saved operation is of unknown kind {other}"))),
    }
}

fn read_revocations(fields: &mut Cursor<'_>) -> Result<Vec<RevocationRequest>, Error> {
    let mut requests = Vec::new();
    while !fields.is_empty() {
        let mut one = Cursor::new(fields.expect(Tag::Sequence, "a certificate to be revoked")?.value, WHAT)?;
        requests.push(read_revocation(&mut one)?);
    }
    Ok(requests)
}

/// Issuer, serial number, reason, and the certificate where it is at hand: who may confirm hangs on it.
fn write_revocation(request: &RevocationRequest) -> Vec<u8> {
    let reason = encode(&i64::from(request.reason.number()));
    let certificate = request.certificate.as_ref().map_or_else(Vec::new, |one| octets(one.as_der()));
    [octets(&request.issuer), octets(&request.serial), reason, certificate].concat()
}

fn read_revocation(fields: &mut Cursor<'_>) -> Result<RevocationRequest, Error> {
    let (issuer, serial) = (read_octets(fields)?, read_octets(fields)?);
    let reason = CrlReason::from_number(fields.decode()?);
    let request = RevocationRequest::of_serial(issuer, serial, reason);
    if fields.is_empty() {
        return Ok(request);
    }
    let certificate = Certificate::from_der(&read_octets(fields)?)?;
    if !request.is_about(Some(certificate.issuer()), certificate.serial()) {
        return Err(Error::new(Code::Corrupt, "the saved revocation holds another certificate than the one it names"));
    }
    Ok(RevocationRequest { certificate: Some(certificate), ..request })
}

fn write_question(question: &Question) -> (i64, Vec<u8>) {
    match question {
        Question::CaCerts => (0, Vec::new()),
        Question::RootUpdate { old } => (1, octets(old.as_der())),
        Question::RequestTemplate => (2, Vec::new()),
        Question::Crl { source, this_update } => {
            let time = this_update.map_or_else(Vec::new, |t| encode(&t.unix()));
            let (tag, text) = match source {
                CrlSource::DistributionPoint(uri) => (0xa0, uri.as_bytes()),
                CrlSource::Issuer(name) => (0xa1, name.as_der()),
                CrlSource::PointName(name) => (0xa2, &name[..]),
            };
            (3, [element(tag, &[&octets(text)]), time].concat())
        }
        Question::CurrentCrl => (4, Vec::new()),
        Question::RevocationPassphrase(sealed) => (6, octets(sealed.as_der())),
        Question::Other(info) => (5, [encode_oid(info.info_type), octets(&info.value)].concat()),
    }
}

fn read_question(number: i64, fields: &mut Cursor<'_>) -> Result<Question, Error> {
    Ok(match number {
        0 => Question::CaCerts,
        1 => Question::RootUpdate { old: Certificate::from_der(&read_octets(fields)?)? },
        2 => Question::RequestTemplate,
        3 => {
            let source = match (fields.optional_context(0, true)?, fields.optional_context(2, true)?) {
                (None, Some(field)) => CrlSource::PointName(read_octets(&mut Cursor::new(field.value, WHAT)?)?),
                (Some(field), _) => {
                    let uri = read_octets(&mut Cursor::new(field.value, WHAT)?)?;
                    CrlSource::DistributionPoint(String::from_utf8_lossy(&uri).into_owned())
                }
                (None, None) => {
                    let field = fields.expect(crate::asn1::der::context(1, true), "the CRL's issuer")?;
                    CrlSource::Issuer(Name::from_der(&read_octets(&mut Cursor::new(field.value, WHAT)?)?)?)
                }
            };
            let this_update = if fields.is_empty() { None } else { Some(Time::from_unix(fields.decode()?)) };
            Question::Crl { source, this_update }
        }
        4 => Question::CurrentCrl,
        5 => Question::Other(InfoTypeAndValue { info_type: read_oid(fields)?, value: read_octets(fields)? }),
        6 => Question::RevocationPassphrase(SealedPassphrase::from_der(read_octets(fields)?)?),
        other => return Err(Error::new(Code::Corrupt, format!("the saved question is of unknown kind {other}"))),
    })
}

fn write_certificate_request(request: &CertificateRequest, issued: Option<&Issued>) -> Vec<u8> {
    let kind: i64 = match request.kind {
        RequestKind::Initial => 0,
        RequestKind::Further => 1,
        RequestKind::KeyUpdate => 2,
        RequestKind::Pkcs10 => PKCS10,
    };
    let spki = match &request.key {
        RequestedKey::Own(signer) => signer.spki(),
        RequestedKey::Central(_) => {
            let generated = issued.and_then(|issued| issued.private_key.as_ref());
            generated.map_or(&[][..], |key| key.spki())
        }
    };
    if let Some(csr) = request.pkcs10() {
        return sequence(&[&encode(&kind), &octets(spki), &octets(csr.as_der())]);
    }
    let (number, possession): (i64, Vec<u8>) = match (&request.key, request.possession) {
        (_, Possession::Signature(algorithm)) => (0, algorithm.to_der()),
        (_, Possession::EncryptedCertificate) => (1, Vec::new()),
        (_, Possession::Challenge) => (2, Vec::new()),
        (RequestedKey::Central(Some(kind)), Possession::None) => (3, octets(kind.to_string().as_bytes())),
        (_, Possession::None) => (3, Vec::new()),
    };
    let template = &request.template;
    let name = |name: &Option<Name>| name.as_ref().map_or_else(Vec::new, |n| n.as_der().to_vec());
    let time = |time: Option<Time>| time.map_or_else(Vec::new, |t| encode(&t.unix()));
    let extensions: Vec<u8> = template
        .extensions
        .iter()
        .flat_map(|e| sequence(&[&encode_oid(e.oid), &encode(&e.critical), &octets(&e.value)]))
        .collect();
    let controls: Vec<u8> = request.controls.concat();
    sequence(&[
        &encode(&kind),
        &octets(spki),
        &sequence(&[&encode(&number), &possession]),
        &element(0xa0, &[&name(&template.issuer)]),
        &element(0xa1, &[&time(template.not_before)]),
        &element(0xa2, &[&time(template.not_after)]),
        &element(0xa3, &[&name(&template.subject)]),
        &sequence(&[&extensions]),
        &sequence(&[&controls]),
    ])
}

fn read_certificate_request(
    kind: i64,
    key: Option<Signer>,
    mut fields: Cursor<'_>,
) -> Result<CertificateRequest, Error> {
    let kind = match kind {
        0 => RequestKind::Initial,
        1 => RequestKind::Further,
        _ => RequestKind::KeyUpdate,
    };
    let (possession, central) = read_possession(fields.expect(Tag::Sequence, "the possession")?.value)?;
    let key = match (central, key) {
        (Some(central), _) => central,
        (None, Some(signer)) => RequestedKey::Own(signer),
        (None, None) => {
            return Err(Error::new(Code::Corrupt, "the saved operation has no key of ours and asks for none"));
        }
    };
    let template = read_template(&mut fields)?;
    let mut controls = Vec::new();
    let mut list = Cursor::new(fields.expect(Tag::Sequence, "the controls")?.value, WHAT)?;
    while !list.is_empty() {
        controls.push(list.any("a control")?.bytes.to_vec());
    }
    Ok(CertificateRequest { possession, controls, ..CertificateRequest::over(kind, key, template) })
}

pub(super) fn read_template(fields: &mut Cursor<'_>) -> Result<CertTemplate, Error> {
    let mut optional = |number| -> Result<Option<&[u8]>, Error> {
        let field = fields.optional_context(number, true)?.map(|f| f.value);
        Ok(field.filter(|value| !value.is_empty()))
    };
    let time = |value: &[u8]| -> Result<Time, Error> {
        i64::from_der(value).map(Time::from_unix).map_err(|e| crate::asn1::Asn1Error::from_der(WHAT, e).into())
    };
    let issuer = optional(0)?.map(Name::from_der).transpose()?;
    let not_before = optional(1)?.map(time).transpose()?;
    let not_after = optional(2)?.map(time).transpose()?;
    let subject = optional(3)?.map(Name::from_der).transpose()?;
    let mut extensions = Vec::new();
    let mut list = Cursor::new(fields.expect(Tag::Sequence, "the extensions")?.value, WHAT)?;
    while !list.is_empty() {
        let mut one = Cursor::new(list.expect(Tag::Sequence, "an extension")?.value, WHAT)?;
        let oid: Oid = read_oid(&mut one)?;
        extensions.push(TemplateExtension { oid, critical: one.decode()?, value: read_octets(&mut one)? });
    }
    Ok(CertTemplate { issuer, not_before, not_after, subject, public_key: None, extensions })
}

/// The proof of possession; with it, the request for a generated key.
fn read_possession(content: &[u8]) -> Result<(Possession, Option<RequestedKey>), Error> {
    let mut fields = Cursor::new(content, WHAT)?;
    Ok(match fields.decode::<i64>()? {
        0 => {
            let algorithm = fields.expect(Tag::Sequence, "the algorithm")?.bytes;
            (Possession::Signature(SignatureAlgorithm::from_der(algorithm)?), None)
        }
        1 => (Possession::EncryptedCertificate, None),
        2 => (Possession::Challenge, None),
        3 if fields.is_empty() => (Possession::None, Some(RequestedKey::Central(None))),
        3 => {
            let name = read_octets(&mut fields)?;
            let kind = core::str::from_utf8(&name).ok().and_then(KeyKind::from_name);
            (Possession::None, Some(RequestedKey::Central(kind)))
        }
        other => {
            return Err(Error::new(Code::Corrupt, format!("the saved proof of possession is of unknown kind {other}")));
        }
    })
}
