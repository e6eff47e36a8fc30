//! Operations besides enrolment: revocation and questions to the server (RFC 9483 sections 4.2 and 4.3).
//!
//! They are stepped like any other; [`complete`](super::run::complete) drives them to their end.

use super::way::Client;
use crate::asn1::crl::CrlReason;
use crate::asn1::name::Name;
use crate::asn1::x509::Certificate;
use crate::cmp::{Credential, Operation, Question, RevocationRequest, SealedPassphrase};
use crate::error::Error;
use crate::time::Time;
use crate::validation::same_name;

impl Client {
    /// rr: asks for the revocation of a certificate. An end entity signs it with that certificate's own key, so the
    /// client's credential is the certificate itself, or one that the CA authorises, such as an RA's.
    ///
    /// Errors: the credential is a shared secret (RFC 9483 section 4.1.5).
    pub fn revoke(&self, certificate: &Certificate, reason: CrlReason) -> Result<Operation, Error> {
        self.operation(RevocationRequest::new(certificate, reason))
    }

    /// rr for several certificates in one message, each with its reason (RFC 9810 section 5.3.9): for RAs and managers, whose
    /// credential the CA authorises; RFC 9483 section 4.2 has a device ask for its own alone, and CAs that hold to it refuse. What
    /// became of each is in [`Operation::revocations`]: the operation is done once the server has answered, whether it has revoked
    /// all of them, some, or none.
    ///
    /// Errors: none, too many, one twice; the credential is a shared secret.
    pub fn revoke_several(&self, requests: Vec<RevocationRequest>) -> Result<Operation, Error> {
        let named = |request: RevocationRequest| {
            let issuer = self.name_as_certified(&request.issuer);
            RevocationRequest { issuer, ..request }
        };
        self.operation(requests.into_iter().map(named).collect::<Vec<_>>())
    }

    /// rr for a certificate that is not at hand: by its issuer's name and the content of its serial number. Where the
    /// client holds a certificate of that issuer, the name goes out as it is written there, and the issuer is known by it when it
    /// answers; a name alone makes nobody the issuer.
    pub fn revoke_serial(&self, issuer: &Name, serial: &[u8], reason: CrlReason) -> Result<Operation, Error> {
        let issuer = self.name_as_certified(issuer.as_der());
        self.operation(RevocationRequest::of_serial(issuer, serial.to_vec(), reason))
    }

    /// rr by whoever lost the certificate's key: the client's credential is the passphrase that the CA was given for this,
    /// and its reference value (RFC 9810 appendix B). Nothing but this call protects a revocation with a secret; one for
    /// enrolment is the wrong one.
    ///
    /// Errors: the credential is no shared secret.
    pub fn revoke_with_passphrase(&self, issuer: &Name, serial: &[u8], reason: CrlReason) -> Result<Operation, Error> {
        let issuer = self.name_as_certified(issuer.as_der());
        let request = RevocationRequest::of_serial(issuer, serial.to_vec(), reason);
        self.operation(RevocationRequest { by_passphrase: true, ..request })
    }

    /// genm: gives the CA a passphrase with which the certificate of the client's credential can be revoked when its key is
    /// lost, encrypted to `recipient`, a certificate of the CA that leads to the CMP anchors (RFC 9810 section 5.3.19.9). The
    /// operation holds it encrypted only. `reference` is the value by which the CA finds it again; `now`, the present.
    ///
    /// Errors: one of the two is empty; the certificate is not valid or its key cannot be encrypted to.
    pub fn leave_revocation_passphrase(
        &self,
        recipient: &Certificate,
        reference: &str,
        passphrase: &[u8],
        now: Time,
    ) -> Result<Operation, Error> {
        let sealed = SealedPassphrase::seal(&self.context, recipient, reference, passphrase, now)?;
        self.operation(Question::RevocationPassphrase(sealed))
    }

    /// genm: asks for CA certificates, a root's successor, a template for requests, a CRL, or anything else.
    pub fn ask(&self, question: Question) -> Result<Operation, Error> {
        self.operation(question)
    }

    /// The same name as a CA wrote it: servers compare bytes, and people type text.
    fn name_as_certified(&self, name: &[u8]) -> Vec<u8> {
        let context = &self.context;
        let own: &[Certificate] = match &context.credential {
            Credential::Signature { certificate, .. } => std::slice::from_ref(certificate),
            Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
        };
        let chain: &[Certificate] = match &context.credential {
            Credential::Signature { chain, .. } => chain,
            Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
        };
        let anchors = context.enrolment_anchors.iter().chain(context.cmp_anchors.iter());
        let names = own.iter().map(Certificate::issuer);
        let subjects = chain.iter().chain(&context.intermediates).chain(anchors).map(Certificate::subject);
        names.chain(subjects).find(|known| same_name(known, name)).unwrap_or(name).to_vec()
    }
}
