//! Which roots a first contact has taken: what comes later is believed under them, or the device could never renew what it has.

use super::Exchange;
use crate::asn1::x509::Certificate;
use crate::cmp::issued::Issued;
use crate::cmp::request::RequestKind;
use crate::prelude::*;
use crate::validation::TrustAnchors;

/// A root that came with an answer and was believed because the settings say so, beside their own anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenRoot {
    /// The root.
    pub certificate: Certificate,
    /// Whether signed answers are believed under it, and not certificates alone.
    pub is_for_answers: bool,
    /// Whether certificates are taken under it.
    pub is_for_issued: bool,
}

impl Exchange {
    /// Roots told by their fingerprints (RFC 9810 section 6.7.2), taken from caPubs under the shared secret (section 5.3.2), or adopted
    /// with ip (3GPP TS 33.310 section 9.5.4.3), on which the certificate or the answer's signer hangs; of caPubs all that the CA offers.
    pub fn roots_taken(&self, issued: &Issued) -> Vec<TakenRoot> {
        let context = &self.plan.context;
        let is_first = self.plan.request.certificate().is_some_and(|request| request.kind == RequestKind::Initial);
        let mut taken: Vec<TakenRoot> = Vec::new();
        let mut take = |root: &Certificate, is_for_answers: bool| {
            let lacks = |anchors: &TrustAnchors| !anchors.iter().any(|anchor| anchor == root);
            let one = TakenRoot {
                certificate: root.clone(),
                is_for_answers: is_for_answers && lacks(&context.cmp_anchors),
                is_for_issued: lacks(&context.enrolment_anchors),
            };
            let is_known = taken.iter().any(|known| known.certificate == one.certificate);
            if !is_known && (one.is_for_answers || one.is_for_issued) {
                taken.push(one);
            }
        };
        let adopted = self.transaction.adopted_root.as_ref();
        let used = || issued.chain.last().into_iter().chain(adopted);
        used().filter(|root| context.is_told_root(root)).for_each(|root| take(root, true));
        let is_offered = |root: &Certificate| context.accept_ca_pubs && issued.ca_pubs.contains(root);
        if context.adopt_root_of_ip && is_first {
            // Under no anchor of the settings' own, and not by caPubs: it was adopted.
            let is_adopted = |root: &&Certificate| {
                adopted == Some(*root)
                    || (root.is_self_issued()
                        && !is_offered(root)
                        && !context.enrolment_anchors.iter().any(|anchor| anchor == *root))
            };
            used().filter(is_adopted).for_each(|root| take(root, true));
        }
        // Who may sign answers is said by the settings, if they say anything of it.
        let says_nobody = context.cmp_anchors.is_empty();
        let offered = issued.ca_pubs.iter().filter(|root| root.is_self_issued() && is_offered(root));
        offered.for_each(|root| take(root, says_nobody));
        taken
    }
}
