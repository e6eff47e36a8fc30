//! What the CA has done about a certificate on request, for the memories of who is revoked.

use super::Exchange;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::Certificate;
use crate::cmp::credential::Credential;
use crate::cmp::request::{Request, RevocationRequest};
use crate::cmp::state::{Finished, State};
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::told::{About, Told};

/// PKIFailureInfo certRevoked (RFC 9810 section 5.2.3).
const CERT_REVOKED: u32 = 1 << 10;

impl Exchange {
    /// Writes down what an authentic answer says has become of certificates that were to be revoked. `acted`: what it has led to.
    pub(super) fn note_revocation(&self, acted: &Result<State, Error>, now: Time) {
        match (&self.plan.request, acted) {
            (Request::Revocation(request), Ok(State::Done(Finished::Revoked(_)))) => self.note_revoked(request, now),
            (Request::Revocation(request), Err(error)) if says_revoked(request, error) => {
                self.note_revoked(request, now);
            }
            (Request::Revocations(requests), Ok(State::Done(Finished::Revocations(revocations)))) => {
                for (request, outcome) in requests.iter().zip(&revocations.outcomes) {
                    if outcome.as_ref().err().is_none_or(|error| says_revoked(request, error)) {
                        self.note_revoked(request, now);
                    }
                }
            }
            _ => {}
        }
    }

    fn note_revoked(&self, request: &RevocationRequest, now: Time) {
        let (context, transaction) = (&self.plan.context, &self.transaction);
        let Some(certificate) = &request.certificate else { return };
        let chain = match &context.credential {
            Credential::Signature { chain, .. } => &chain[..],
            Credential::Mac { .. } | Credential::MutualTls { .. } => &[],
        };
        let known = chain.iter().chain(&transaction.bound_signer).chain(&transaction.signer_path);
        let issuers: Vec<&Certificate> =
            known.chain(context.enrolment_anchors.iter()).chain(context.cmp_anchors.iter()).collect();
        let about = About { provider: &*context.provider, certificate, issuers: &issuers };
        let told = Told { reason: request.reason, at: now, signer: transaction.signer() };
        about.write_down(&told, &context.signer_status.revoked);
    }
}

/// Whether the CA says that the certificate is revoked already, for good: of a hold it may mean either.
fn says_revoked(request: &RevocationRequest, error: &Error) -> bool {
    let facts = error.facts();
    error.code() == Code::Rejected
        && facts.server_authenticated
        && facts.fail_info.is_some_and(|bits| bits & CERT_REVOKED != 0)
        && !matches!(request.reason, CrlReason::CertificateHold | CrlReason::RemoveFromCrl)
}
