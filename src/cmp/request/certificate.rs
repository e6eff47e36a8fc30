//! A request for a certificate: ir, cr, kur or p10cr (RFC 9483 sections 4.1.1 to 4.1.4).

use alloc::sync::Arc;

use crate::asn1::cmp::BodyType;
use crate::asn1::cmp::poll::MAX_POLLED;
use crate::asn1::crmf::{self, CertTemplate};
use crate::asn1::name::Name;
use crate::asn1::oid;
use crate::asn1::pkcs10::CertificationRequest;
use crate::asn1::x509::Certificate;
use crate::cmp::context::Context;
use crate::cmp::credential::Credential;
use crate::cmp::possession;
use crate::cmp::proof::{Possession, RequestedKey};
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::keys::same_public_key;
use crate::crypto::{CryptoError, KeyKind, PrivateKey, SignatureAlgorithm};
use crate::error::Error;
use crate::limits::MIN_RSA_BITS;
use crate::prelude::*;

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// ir: the first certificate from this PKI.
    Initial,
    /// cr: a further one.
    Further,
    /// kur: a new key for a certificate that is to be updated.
    KeyUpdate,
    /// p10cr: a certificate asked for by PKCS #10, for CAs that do not know CRMF.
    Pkcs10,
}

impl RequestKind {
    /// The body of the request.
    pub const fn body(self) -> BodyType {
        match self {
            RequestKind::Initial => BodyType::IR,
            RequestKind::Further => BodyType::CR,
            RequestKind::KeyUpdate => BodyType::KUR,
            RequestKind::Pkcs10 => BodyType::P10CR,
        }
    }

    /// The body of a proper answer.
    pub const fn answer(self) -> BodyType {
        match self {
            RequestKind::Initial => BodyType::IP,
            RequestKind::Further | RequestKind::Pkcs10 => BodyType::CP,
            RequestKind::KeyUpdate => BodyType::KUP,
        }
    }
}

/// A request for one certificate.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// Which request.
    pub kind: RequestKind,
    /// The new key pair, or that the CA is to make it.
    pub key: RequestedKey,
    /// How possession of it is proved; must fit the key.
    pub possession: Possession,
    /// What is asked for; publicKey is filled in from `key`.
    pub template: CertTemplate,
    /// Controls, each an AttributeTypeAndValue in DER.
    pub controls: Vec<Vec<u8>>,
    pub(in crate::cmp) pkcs10: Option<CertificationRequest>,
}

impl CertificateRequest {
    /// Asks for a certificate over `key` as `template` says. Possession is proved by signature, or by encrCert for keys
    /// that cannot sign.
    pub fn new(kind: RequestKind, key: Signer, template: CertTemplate) -> Self {
        Self::over(kind, RequestedKey::Own(key), template)
    }

    /// Asks for a certificate over a key that the CA's side makes (RFC 9483 section 4.1.6); of this type, if one is
    /// preferred. The key comes in [`Issued::private_key`](crate::cmp::Issued::private_key).
    pub fn central(kind: RequestKind, key_kind: Option<KeyKind>, template: CertTemplate) -> Self {
        Self::over(kind, RequestedKey::Central(key_kind), template)
    }

    pub(in crate::cmp) fn over(kind: RequestKind, key: RequestedKey, mut template: CertTemplate) -> Self {
        template.public_key = key.template_spki();
        let possession = Possession::of(&key);
        CertificateRequest { kind, key, possession, template, controls: Vec::new(), pkcs10: None }
    }

    /// kur for `old`: same subject, same subjectAltName, the control oldCertID (RFC 9483 section 4.1.3).
    pub fn key_update(key: Signer, old: &Certificate) -> Result<Self, Error> {
        Self::key_update_over(RequestedKey::Own(key), old)
    }

    /// Asks for the usages, purposes and policies of `old` as well. RFC 9483 section 4.1.3 has the names alone; CAs that take
    /// the rest from the request leave it out of the new certificate otherwise.
    #[must_use]
    pub fn keeping_uses_of(mut self, old: &Certificate) -> Self {
        for oid in [oid::CE_KEY_USAGE, oid::CE_EXT_KEY_USAGE, oid::CE_CERTIFICATE_POLICIES] {
            if let Some(found) = old.extension(oid) {
                let (critical, value) = (found.critical, found.value.to_vec());
                self.template.extensions.push(crmf::TemplateExtension { oid, critical, value });
            }
        }
        self
    }

    /// The same over a key that the CA's side makes.
    pub fn central_key_update(key_kind: Option<KeyKind>, old: &Certificate) -> Result<Self, Error> {
        Self::key_update_over(RequestedKey::Central(key_kind), old)
    }

    fn key_update_over(key: RequestedKey, old: &Certificate) -> Result<Self, Error> {
        use crate::asn1::oid::CE_SUBJECT_ALT_NAME;
        let mut template = CertTemplate { subject: Some(Name::from_der(old.subject())?), ..CertTemplate::default() };
        if let Some(names) = old.extension(CE_SUBJECT_ALT_NAME) {
            let extension =
                crmf::TemplateExtension { oid: names.oid, critical: names.critical, value: names.value.to_vec() };
            template.extensions.push(extension);
        }
        let mut request = CertificateRequest::over(RequestKind::KeyUpdate, key, template);
        request.controls.push(crmf::old_cert_id(old.issuer(), old.serial()));
        Ok(request)
    }

    /// p10cr with a PKCS #10 request, DER: our own or someone else's. It is sent as it is; its key need not be at hand.
    ///
    /// Errors: not a request of version 0, or a key of a type that is not known here.
    pub fn from_pkcs10(der: &[u8]) -> Result<Self, Error> {
        let csr = CertificationRequest::from_der(der)?;
        let template = CertTemplate {
            subject: Some(Name::from_der(csr.subject())?),
            extensions: csr.extensions().to_vec(),
            ..CertTemplate::default()
        };
        let key = Signer::deferred(csr.spki().to_vec())?;
        Ok(CertificateRequest { pkcs10: Some(csr), ..CertificateRequest::new(RequestKind::Pkcs10, key, template) })
    }

    /// ir or cr on behalf of whoever made a PKCS #10 request, DER (RFC 9483 section 5.3.1): the RA that asks has checked
    /// the request's own signature and says raVerified in its place. Only an RA's credential makes sense of it.
    ///
    /// Errors: as [`Self::from_pkcs10`]; [`Code::InvalidArgument`] for another kind of request.
    pub fn on_behalf(kind: RequestKind, der: &[u8]) -> Result<Self, Error> {
        if !matches!(kind, RequestKind::Initial | RequestKind::Further) {
            return Err(Error::new(Code::InvalidArgument, "on behalf of others is asked by ir or cr"));
        }
        Ok(CertificateRequest { kind, ..Self::from_pkcs10(der)? })
    }

    /// The PKCS #10 request, if this is p10cr or comes of one.
    pub fn pkcs10(&self) -> Option<&CertificationRequest> {
        self.pkcs10.as_ref()
    }

    /// The CertRequest that the proof of possession signs, DER; certReqId is its place among several.
    pub(in crate::cmp) fn cert_request(&self, cert_req_id: i64) -> Vec<u8> {
        crmf::cert_request(cert_req_id, &self.template, &self.controls)
    }

    pub(super) fn expects_encryption(&self) -> bool {
        self.pkcs10.is_none() && self.possession.expects_encryption()
    }

    /// The key that opens what is encrypted to the new key, where possession is proved that way.
    pub(in crate::cmp) fn opening_key(&self) -> Option<&Arc<dyn PrivateKey>> {
        match (self.possession, self.key.own()) {
            (Possession::EncryptedCertificate | Possession::Challenge, Some(Signer::Key(key))) => Some(key),
            _ => None,
        }
    }

    /// Refuses several that cannot go in one message: of different kinds (the body says which), more than an answer may have, or two
    /// over one key, whose certificates nothing but a number would tell apart. What takes steps of its own for each key is asked
    /// for one by one.
    pub(super) fn check_several(all: &[CertificateRequest], context: &Context) -> Result<(), Error> {
        let refuse = |words: &str| Err(Error::new(Code::InvalidArgument, words));
        let most = context.limits.max_certificates.min(MAX_POLLED);
        if all.is_empty() || all.len() > most {
            return refuse(&format!("{} certificates asked for in one message; 1 to {most} are taken", all.len()));
        }
        for (number, one) in all.iter().enumerate() {
            one.check(context)?;
            let RequestedKey::Own(Signer::Key(key)) = &one.key else {
                return refuse(
                    "several certificates in one message are for keys that sign here; keys of the CA's making, and those that sign by a \
                     step of the caller's, are certified one by one",
                );
            };
            if one.pkcs10.is_some() || one.possession == Possession::Challenge {
                return refuse(
                    "PKCS #10 requests, and proofs of possession by a challenge, go one by one: no message has several",
                );
            }
            if one.kind != all[0].kind {
                return refuse(&format!(
                    "{} and {} do not go together in one message",
                    all[0].kind.body(),
                    one.kind.body()
                ));
            }
            let is_same = |other: &CertificateRequest| {
                other.key.own().is_some_and(|other| same_public_key(other.spki(), key.spki()))
            };
            if all[..number].iter().any(is_same) {
                return refuse("two certificates over one key are asked for in one message");
            }
        }
        Ok(())
    }

    /// Refuses what the profile does not allow, before anything is sent.
    pub(super) fn check(&self, context: &Context) -> Result<(), Error> {
        // RFC 9483 section 4.1.5, RFC 9810 section 8.9: caPubs are taken from ip under a shared secret and nowhere else. Asked
        // for where they cannot come, they are missed here and not after the CA has issued.
        let is_first = self.kind == RequestKind::Initial;
        let by_secret = matches!(context.credential, Credential::Mac { .. });
        let may_come = (is_first && ((context.accept_ca_pubs && by_secret) || context.adopt_root_of_ip))
            || !context.root_fingerprints.is_empty();
        if context.enrolment_anchors.is_empty() && !may_come && context.accept_ca_pubs {
            let words = "no enrolment anchors, and the CA's own (caPubs) are taken from the answer to ir under a shared \
                         secret only: set anchors, or enrol by ir with a secret";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        if context.enrolment_anchors.is_empty() && !may_come {
            let words = "no enrolment anchors: nothing could say whether the issued certificate is the right CA's";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        match &self.pkcs10 {
            Some(csr) if self.kind != RequestKind::Pkcs10 => {
                if !matches!(context.credential, Credential::Signature { .. }) {
                    let words = "only an RA asks on behalf of others, with a certificate of its own";
                    return Err(Error::new(Code::InvalidArgument, words));
                }
                possession::check_pkcs10(context, csr)
            }
            Some(csr) => check_pkcs10(context, csr),
            None if self.kind == RequestKind::Pkcs10 => {
                Err(Error::new(Code::InvalidArgument, "p10cr is made from a PKCS #10 request: see from_pkcs10"))
            }
            None => {
                if matches!(self.key, RequestedKey::Central(_)) {
                    context.credential.check_can_receive_key()?;
                }
                self.check_template()
            }
        }
    }

    fn check_template(&self) -> Result<(), Error> {
        let may_be_nameless = matches!(self.kind, RequestKind::Initial | RequestKind::Further)
            && matches!(self.possession, Possession::Signature(_));
        if self.template.subject.is_none() && !may_be_nameless {
            // RFC 9483 section 4.1.1: subject MUST be present, the NULL-DN where only subjectAltName tells who it is. A request without
            // is TS 33.310's, and says by poposkInput whose it is.
            return Err(Error::new(
                Code::InvalidArgument,
                "the request has no subject; use the NULL-DN with a subjectAltName to be known by that alone",
            ));
        }
        self.possession.check(&self.key)?;
        if let (Some(first), Some(last)) = (self.template.not_before, self.template.not_after) {
            if first > last {
                return Err(Error::new(
                    Code::InvalidArgument,
                    format!("validity asked for ends {last} before {first}"),
                ));
            }
        }
        Ok(())
    }
}

/// RFC 9483 section 4.1.4: a subject or alternative name, and a signature by the key that is to be certified.
fn check_pkcs10(context: &Context, csr: &CertificationRequest) -> Result<(), Error> {
    if csr.subject() == Name::null().as_der() && !csr.extensions().iter().any(|e| e.oid == oid::CE_SUBJECT_ALT_NAME) {
        return Err(Error::new(Code::InvalidArgument, "the PKCS #10 request names nobody"));
    }
    if let Some(bits) = small_rsa_key(csr.spki()) {
        let words =
            format!("the PKCS #10 request is for an RSA key of {bits} bits; at least {MIN_RSA_BITS} are taken back");
        return Err(Error::new(Code::BadKey, words));
    }
    let algorithm = SignatureAlgorithm::from_der(csr.signature_algorithm())?;
    // Weak digests are let pass: what the CA makes of someone's request is the CA's affair.
    let verified = context.provider.verify(&algorithm, csr.spki(), csr.info(), csr.signature(), true);
    verified.map_err(|error| match error {
        CryptoError::Mismatch => Error::new(
            Code::SignatureInvalid,
            "the PKCS #10 request's own signature does not match: it was changed after it was signed",
        ),
        other => {
            let words = format!("the PKCS #10 request's own signature: {other}");
            Error::new(Error::from(other).code(), words)
        }
    })
}

/// The size of an RSA key that no certificate is taken for.
fn small_rsa_key(spki: &[u8]) -> Option<u32> {
    match KeyKind::of_spki(spki) {
        Ok(KeyKind::Rsa(bits)) if bits < MIN_RSA_BITS => Some(bits),
        _ => None,
    }
}
