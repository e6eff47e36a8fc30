//! Whether the record of who is revoked speaks against the identity in use: what its CA has done on the device's own request, or has said
//! by a list or a response.

use super::Planner;
use crate::asn1::crl::CrlReason;
use crate::asn1::x509::Certificate;
use crate::client::status::StatusMemory;
use crate::error::Error;
use crate::store::{AnchorSet, Problem, ProblemKind, PublicPart, Store};
use crate::validation::told::About;
use crate::validation::{RevokedFact, same_name};

impl Planner {
    /// What the record says against an identity; `None`: nothing. A record that cannot be read says nothing, and `verify` tells it.
    pub(super) fn said_against(&self, store: &Store, identity: &PublicPart) -> Result<Option<RevokedFact>, Error> {
        let certificate = &identity.certificate;
        let is_its_issuer = |ca: &&Certificate| same_name(ca.subject(), certificate.issuer());
        let mut anchors = Vec::new();
        if !identity.chain.iter().any(|ca| is_its_issuer(&ca)) {
            for set in [AnchorSet::Enrolment, AnchorSet::Cmp] {
                anchors.extend(store.readable_anchors(set)?.0);
            }
            anchors.extend(self.trusted.iter().map(|(_, anchor)| anchor.clone()));
        }
        let issuers: Vec<&Certificate> = identity.chain.iter().chain(&anchors).collect();
        let about = About { provider: &*self.provider, certificate, issuers: &issuers };
        Ok(about.known(&*StatusMemory::of_store(store).revoked_facts()))
    }
}

/// Whether a certificate that is revoked for this reason (RFC 5280 section 5.3.1) is followed by no other that the device asks for by itself.
pub(super) fn asks_for_no_other(reason: CrlReason) -> bool {
    matches!(
        reason,
        CrlReason::CessationOfOperation
            | CrlReason::PrivilegeWithdrawn
            | CrlReason::AffiliationChanged
            | CrlReason::CertificateHold
    )
}

/// What people are told of it.
pub(super) fn finding(name: &str, fact: &RevokedFact) -> Problem {
    let since = fact.since.unwrap_or(fact.made);
    let text = match fact.reason {
        CrlReason::CertificateHold => {
            format!("its CA has put it on hold on {since} (`devid revoke --reason remove-from-crl` asks to end that)")
        }
        reason if asks_for_no_other(reason) => format!(
            "its CA has revoked it on {since}, reason {reason}: no other is asked for by itself (`devid store remove {name}`, then \
             `devid enroll`, asks for one)"
        ),
        reason => format!("its CA has revoked it on {since}, reason {reason}"),
    };
    Problem::new(ProblemKind::Revoked, &format!("identity/{name}"), &text)
}
