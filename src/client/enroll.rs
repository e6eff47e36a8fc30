//! A new operation: the first certificate, a further one, a key update, one for a PKCS #10 request; or one continued
//! after a restart.

use std::sync::Arc;

use super::subject::Subject;
use super::way::Client;
use crate::asn1::pkcs10::CertificationRequest;
use crate::asn1::x509::Certificate;
use crate::cmp::{CertificateRequest, Credential, Operation, Request, RequestKind, Signer};
use crate::codes::Code;
use crate::crypto::KeyKind;
use crate::error::Error;

impl Client {
    /// ir: the first certificate from this PKI (RFC 9483 section 4.1.1).
    pub fn enroll(&self, key: Signer, subject: &Subject) -> Result<Operation, Error> {
        self.request(RequestKind::Initial, key, subject)
    }

    /// cr: a further certificate from a PKI that the device is known to (RFC 9483 section 4.1.2).
    pub fn enroll_further(&self, key: Signer, subject: &Subject) -> Result<Operation, Error> {
        self.request(RequestKind::Further, key, subject)
    }

    /// Asks for a further certificate by the same message, before the first step of an operation of [`Client::enroll`] or
    /// [`Client::enroll_further`], or one that this was called for before (RFC 9810 section 5.3.1): for RAs, and devices that need
    /// more than one; RFC 9483 section 4.1 knows one, and CAs that hold to it refuse. Each certificate is offered, accepted and
    /// confirmed by itself, and [`Operation::certificates`] has what became of each. Such an operation is run by
    /// [`Client::complete`]; it cannot be saved, and is not installed in device memory by itself.
    ///
    /// Errors: as [`Operation::add`]; the key is one of the request already, or does not sign here.
    pub fn add_request(&self, operation: &mut Operation, key: Signer, subject: &Subject) -> Result<(), Error> {
        let kind = operation.request().certificates().first().map(|request| request.kind);
        match kind {
            Some(kind @ (RequestKind::Initial | RequestKind::Further)) => {
                operation.add(self.certificate_request(kind, key, subject)?)
            }
            _ => {
                let words = "a further certificate is asked for beside a first or a further one";
                Err(Error::new(Code::InvalidArgument, words))
            }
        }
    }

    /// kur: a new certificate over a new key for the one that the client's credential holds, with the same names
    /// (RFC 9483 section 4.1.3).
    ///
    /// Errors: the credential is a shared secret, which cannot protect a key update (RFC 9483 section 4.1.5).
    pub fn renew(&self, key: Signer) -> Result<Operation, Error> {
        let Credential::Signature { certificate, .. } = &self.context.credential else {
            return Err(needs_certificate());
        };
        let certificate: Certificate = certificate.clone();
        let mut request = CertificateRequest::key_update(key, &certificate)?;
        if self.renew_with_uses {
            request = request.keeping_uses_of(&certificate);
        }
        self.operation(self.proved(request))
    }

    /// With the proof of possession that the settings say, where the key can give it.
    fn proved(&self, mut request: CertificateRequest) -> CertificateRequest {
        if let (Some(possession), Some(key)) = (self.possession, request.key.own()) {
            if key.kind().can_receive() {
                request.possession = possession;
            }
        }
        request
    }

    /// ir, cr or kur over a key that the CA's side makes (RFC 9483 section 4.1.6), of this type, if one is preferred. The key
    /// comes in [`Issued::private_key`](crate::cmp::Issued::private_key), encrypted on its way to the client's credential.
    ///
    /// For [`RequestKind::KeyUpdate`] the names are those of the credential's certificate, and `subject` is not looked at.
    pub fn enroll_central(
        &self,
        kind: RequestKind,
        key_kind: Option<KeyKind>,
        subject: &Subject,
    ) -> Result<Operation, Error> {
        match (kind, &self.context.credential) {
            (RequestKind::KeyUpdate, Credential::Signature { certificate, .. }) => {
                self.operation(CertificateRequest::central_key_update(key_kind, certificate)?)
            }
            (RequestKind::KeyUpdate, Credential::Mac { .. }) => Err(needs_certificate()),
            _ => {
                let mut request = CertificateRequest::central(kind, key_kind, subject.to_template()?);
                request.controls.extend_from_slice(subject.controls());
                self.operation(request)
            }
        }
    }

    /// p10cr: a certificate for a PKCS #10 request, DER or PEM, our own or someone else's (RFC 9483 section 4.1.4).
    pub fn enroll_pkcs10(&self, request: &[u8]) -> Result<Operation, Error> {
        let request = CertificationRequest::from_bytes(request)?;
        self.operation(CertificateRequest::from_pkcs10(request.as_der())?)
    }

    /// ir on behalf of whoever made a PKCS #10 request, DER or PEM; the client's credential is an RA's (RFC 9483 section
    /// 5.3.1). The request's own signature is checked here, and raVerified stands in its place. That its subject is who
    /// brought it is the RA's to know.
    pub fn enroll_on_behalf(&self, request: &[u8]) -> Result<Operation, Error> {
        let request = CertificationRequest::from_bytes(request)?;
        self.operation(CertificateRequest::on_behalf(RequestKind::Initial, request.as_der())?)
    }

    /// Any request.
    pub fn operation(&self, request: impl Into<Request>) -> Result<Operation, Error> {
        Operation::new(Arc::clone(&self.context), request)
    }

    /// Continues a saved operation with the new key it belongs to.
    pub fn restore(&self, key: Signer, saved: &[u8]) -> Result<Operation, Error> {
        Operation::restore(Arc::clone(&self.context), key, saved)
    }

    /// Continues a saved operation that has no new key of ours: a revocation, a question, p10cr, a key that the CA's side is
    /// to make and that has not come yet.
    pub fn restore_keyless(&self, saved: &[u8]) -> Result<Operation, Error> {
        Operation::restore_keyless(Arc::clone(&self.context), saved)
    }

    /// The same for who has the key that goes with it, if there is one.
    pub(super) fn restored(&self, key: Option<Signer>, saved: &[u8]) -> Result<Operation, Error> {
        match key {
            Some(key) => self.restore(key, saved),
            None => self.restore_keyless(saved),
        }
    }

    fn request(&self, kind: RequestKind, key: Signer, subject: &Subject) -> Result<Operation, Error> {
        self.operation(self.certificate_request(kind, key, subject)?)
    }

    fn certificate_request(
        &self,
        kind: RequestKind,
        key: Signer,
        subject: &Subject,
    ) -> Result<CertificateRequest, Error> {
        let mut request = CertificateRequest::new(kind, key, subject.to_template()?);
        request.controls.extend_from_slice(subject.controls());
        Ok(self.proved(request))
    }
}

fn needs_certificate() -> Error {
    let words = "a key update is protected with the certificate that is updated, not with a shared secret";
    Error::new(Code::InvalidArgument, words)
}
