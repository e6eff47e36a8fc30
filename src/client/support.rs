//! Operations besides enrolment: revocation and questions to the server (RFC 9483 sections 4.2 and 4.3).
//!
//! They are stepped like any other; [`complete`](super::run::complete) drives them to their end.

use super::config::Client;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::Certificate;
use crate::cmp::{Operation, Question, RevocationRequest};
use crate::error::Error;

impl Client {
    /// rr: asks for the revocation of a certificate. An end entity signs it with that certificate's own key, so the
    /// client's credential is the certificate itself, or one that the CA authorises, such as an RA's.
    ///
    /// Errors: the credential is a shared secret (RFC 9483 section 4.1.5).
    pub fn revoke(&self, certificate: &Certificate, reason: CrlReason) -> Result<Operation, Error> {
        self.operation(RevocationRequest::new(certificate, reason))
    }

    /// genm: asks for CA certificates, a root's successor, a template for requests, a CRL, or anything else.
    pub fn ask(&self, question: Question) -> Result<Operation, Error> {
        self.operation(question)
    }
}
