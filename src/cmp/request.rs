//! What the caller wants certified, and how it becomes ir, cr or kur (RFC 9483 sections 4.1.1 to 4.1.3).

use std::fmt;
use std::sync::Arc;

use crate::asn1::cmp::BodyType;
use crate::asn1::crmf::{self, CertTemplate};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{KeyKind, PrivateKey, SignatureAlgorithm};
use crate::error::Error;

/// A key that signs: here and now, or by a step of the caller (an HSM, a TPM, a remote signer).
#[derive(Clone)]
pub enum Signer {
    /// Signs when asked.
    Key(Arc<dyn PrivateKey>),
    /// The operation answers [`Action::Sign`](super::Action::Sign) and waits for the signature.
    Deferred {
        /// SubjectPublicKeyInfo of the key, DER.
        spki: Vec<u8>,
        /// Its type.
        kind: KeyKind,
    },
}

impl Signer {
    /// A key that signs elsewhere, known by its SubjectPublicKeyInfo (DER).
    pub fn deferred(spki: Vec<u8>) -> Result<Self, Error> {
        let kind = KeyKind::of_spki(&spki)?;
        Ok(Signer::Deferred { spki, kind })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        match self {
            Signer::Key(key) => key.spki(),
            Signer::Deferred { spki, .. } => spki,
        }
    }

    /// Type and size.
    pub fn kind(&self) -> KeyKind {
        match self {
            Signer::Key(key) => key.kind(),
            Signer::Deferred { kind, .. } => *kind,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if matches!(self, Signer::Key(_)) { "here" } else { "deferred" };
        write!(f, "Signer({}, {place})", self.kind())
    }
}

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// ir: the first certificate from this PKI.
    Initial,
    /// cr: a further one.
    Further,
    /// kur: a new key for a certificate that is to be updated.
    KeyUpdate,
}

impl RequestKind {
    /// The body of the request.
    pub const fn body(self) -> BodyType {
        match self {
            RequestKind::Initial => BodyType::IR,
            RequestKind::Further => BodyType::CR,
            RequestKind::KeyUpdate => BodyType::KUR,
        }
    }

    /// The body of a proper answer.
    pub const fn answer(self) -> BodyType {
        match self {
            RequestKind::Initial => BodyType::IP,
            RequestKind::Further => BodyType::CP,
            RequestKind::KeyUpdate => BodyType::KUP,
        }
    }
}

/// A request for one certificate.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// Which request.
    pub kind: RequestKind,
    /// The new key pair; its proof of possession is a signature.
    pub key: Signer,
    /// Algorithm of the proof of possession; must fit the key.
    pub pop_algorithm: SignatureAlgorithm,
    /// What is asked for; publicKey is filled in from `key`.
    pub template: CertTemplate,
    /// Controls, each an AttributeTypeAndValue in DER.
    pub controls: Vec<Vec<u8>>,
}

impl CertificateRequest {
    /// Asks for a certificate over `key` as `template` says.
    pub fn new(kind: RequestKind, key: Signer, mut template: CertTemplate) -> Self {
        template.public_key = Some(key.spki().to_vec());
        let pop_algorithm = key.kind().default_signature();
        CertificateRequest { kind, key, pop_algorithm, template, controls: Vec::new() }
    }

    /// kur for `old`: same subject, same subjectAltName, the control oldCertID (RFC 9483 section 4.1.3).
    pub fn key_update(key: Signer, old: &Certificate) -> Result<Self, Error> {
        use crate::asn1::oid::CE_SUBJECT_ALT_NAME;
        let mut template = CertTemplate {
            subject: Some(crate::asn1::name::Name::from_der(old.subject())?),
            ..CertTemplate::default()
        };
        if let Some(names) = old.extension(CE_SUBJECT_ALT_NAME) {
            let extension =
                crmf::TemplateExtension { oid: names.oid, critical: names.critical, value: names.value.to_vec() };
            template.extensions.push(extension);
        }
        let mut request = CertificateRequest::new(RequestKind::KeyUpdate, key, template);
        request.controls.push(crmf::old_cert_id(old.issuer(), old.serial()));
        Ok(request)
    }

    /// The CertRequest that the proof of possession signs, DER.
    pub(super) fn cert_request(&self) -> Vec<u8> {
        crmf::cert_request(0, &self.template, &self.controls)
    }

    /// Refuses what the profile does not allow, before anything is sent.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.template.subject.is_none() {
            // RFC 9483 section 4.1.1: subject MUST be present, the NULL-DN where only subjectAltName tells who it is.
            return Err(Error::new(
                Code::InvalidArgument,
                "the request has no subject; use the NULL-DN with a subjectAltName to be known by that alone",
            ));
        }
        if !self.pop_algorithm.fits(self.key.kind()) {
            let (algorithm, kind) = (self.pop_algorithm, self.key.kind());
            return Err(Error::new(Code::Algorithm, format!("{algorithm:?} cannot be made by a key of type {kind}")));
        }
        if let (Some(first), Some(last)) = (self.template.not_before, self.template.not_after)
            && first > last
        {
            return Err(Error::new(Code::InvalidArgument, format!("validity asked for ends {last} before {first}")));
        }
        Ok(())
    }
}
