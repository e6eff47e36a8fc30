//! What the caller wants: a certificate, the revocation of one, or an answer to a question.

mod certificate;
mod revocation;

use alloc::sync::Arc;

pub use certificate::{CertificateRequest, RequestKind};
pub use revocation::RevocationRequest;

use super::context::Context;
use super::info::Question;
use super::proof::Possession;
use crate::asn1::cmp::BodyType;
use crate::codes::Code;
use crate::crypto::PrivateKey;
use crate::crypto::Signer;
use crate::error::Error;
use crate::prelude::*;

/// What an operation asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// A certificate.
    Certificate(CertificateRequest),
    /// Several certificates by one message, each over a key of its own: RFC 9810 section 5.3.1. RFC 9483 section 4.1 has a device
    /// ask for one.
    Certificates(Vec<CertificateRequest>),
    /// The revocation of one.
    Revocation(RevocationRequest),
    /// The revocation of several in one message: RFC 9810 section 5.3.9, for RAs and managers. RFC 9483 section 4.2 has a device
    /// ask for one.
    Revocations(Vec<RevocationRequest>),
    /// Information.
    Information(Question),
}

impl Request {
    /// The body of the request.
    pub fn body(&self) -> BodyType {
        match self {
            Request::Certificate(_) | Request::Certificates(_) => self.kind().body(),
            Request::Revocation(_) | Request::Revocations(_) => BodyType::RR,
            Request::Information(_) => BodyType::GENM,
        }
    }

    /// The body of a proper answer.
    pub fn answer(&self) -> BodyType {
        match self {
            Request::Certificate(_) | Request::Certificates(_) => self.kind().answer(),
            Request::Revocation(_) | Request::Revocations(_) => BodyType::RP,
            Request::Information(_) => BodyType::GENP,
        }
    }

    /// The request for a certificate, if it is one.
    pub fn certificate(&self) -> Option<&CertificateRequest> {
        if let Request::Certificate(request) = self { Some(request) } else { None }
    }

    /// The requests for certificates, one or several; empty if none is asked for.
    pub fn certificates(&self) -> &[CertificateRequest] {
        match self {
            Request::Certificate(request) => core::slice::from_ref(request),
            Request::Certificates(requests) => requests,
            Request::Revocation(_) | Request::Revocations(_) | Request::Information(_) => &[],
        }
    }

    /// Which request for certificates: several are of one kind.
    fn kind(&self) -> RequestKind {
        self.certificates().first().map_or(RequestKind::Initial, |request| request.kind)
    }

    /// Whether certificates are to be updated.
    pub(super) fn is_update(&self) -> bool {
        self.certificates().iter().any(|request| request.kind == RequestKind::KeyUpdate)
    }

    /// The request for revocation, if it is one.
    pub fn revocation(&self) -> Option<&RevocationRequest> {
        if let Request::Revocation(request) = self { Some(request) } else { None }
    }

    /// What is to be revoked, one certificate or several; empty if nothing is.
    pub fn revocations(&self) -> &[RevocationRequest] {
        match self {
            Request::Revocation(request) => core::slice::from_ref(request),
            Request::Revocations(requests) => requests,
            Request::Certificate(_) | Request::Certificates(_) | Request::Information(_) => &[],
        }
    }

    /// The question, if it is one.
    pub fn question(&self) -> Option<&Question> {
        if let Request::Information(question) = self { Some(question) } else { None }
    }

    /// The key that is to be certified, where it is ours.
    pub fn new_key(&self) -> Option<&Signer> {
        self.certificate().and_then(|request| request.key.own())
    }

    /// The protocol version to begin with: 3 where EnvelopedData is expected (RFC 9483 section 3.1, RFC 9810 section 7).
    pub(super) fn version(&self) -> i64 {
        match self {
            _ if self.certificates().iter().any(CertificateRequest::expects_encryption) => 3,
            Request::Information(Question::RevocationPassphrase(_)) => 3,
            _ => 2,
        }
    }

    /// Whether the CA may do without certConf: not where certConf is the proof of possession (RFC 9810 section 5.2.8.3.2).
    pub(super) fn may_be_confirmed_implicitly(&self) -> bool {
        let all = self.certificates();
        !all.is_empty() && all.iter().all(|request| request.possession != Possession::EncryptedCertificate)
    }

    /// The key that opens what is encrypted to the new key, where possession is proved that way.
    pub(super) fn opening_key(&self) -> Option<&Arc<dyn PrivateKey>> {
        self.certificate()?.opening_key()
    }

    /// RFC 9483 section 3.1: certProfile belongs in requests for certificates and in questions for a template.
    pub(super) fn may_name_profile(&self) -> bool {
        matches!(
            self,
            Request::Certificate(_) | Request::Certificates(_) | Request::Information(Question::RequestTemplate)
        )
    }

    /// This request and a further one, in one message.
    pub(super) fn with(&self, further: Request) -> Result<Request, Error> {
        match (self, further) {
            (Request::Revocation(_) | Request::Revocations(_), Request::Revocation(further)) => {
                Ok([self.revocations(), &[further]].concat().into())
            }
            (Request::Certificate(_) | Request::Certificates(_), Request::Certificate(further)) => {
                Ok([self.certificates(), &[further]].concat().into())
            }
            (_, further) => {
                let words = format!("{} and {} do not go together in one message", self.body(), further.body());
                Err(Error::new(Code::InvalidArgument, words))
            }
        }
    }

    /// Refuses what the profile does not allow, before anything is sent.
    pub(super) fn check(&self, context: &Context) -> Result<(), Error> {
        match self {
            Request::Certificate(request) => request.check(context),
            Request::Certificates(requests) => CertificateRequest::check_several(requests, context),
            Request::Revocation(request) => request.check(context),
            Request::Revocations(requests) => RevocationRequest::check_several(requests, context),
            Request::Information(_) => Ok(()),
        }
    }
}

impl From<CertificateRequest> for Request {
    fn from(request: CertificateRequest) -> Self {
        Request::Certificate(request)
    }
}

impl From<Vec<CertificateRequest>> for Request {
    fn from(requests: Vec<CertificateRequest>) -> Self {
        Request::Certificates(requests)
    }
}

impl From<RevocationRequest> for Request {
    fn from(request: RevocationRequest) -> Self {
        Request::Revocation(request)
    }
}

impl From<Vec<RevocationRequest>> for Request {
    fn from(requests: Vec<RevocationRequest>) -> Self {
        Request::Revocations(requests)
    }
}

impl From<Question> for Request {
    fn from(question: Question) -> Self {
        Request::Information(question)
    }
}
