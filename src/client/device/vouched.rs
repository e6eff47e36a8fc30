//! Whether those whom the device trusts to issue certificates still vouch for the one that it has.

use super::Device;
use crate::asn1::x509::Certificate;
use crate::client::renewal::{Alarm, Plan};
use crate::codes::Code;
use crate::crypto::default_provider;
use crate::store::{AnchorSet, Problem, ProblemKind};
use crate::validation::{Checks, StatusSources, TrustAnchors, validate};

impl Device {
    /// Tells people of an identity in use whose certificate leads to none of the anchors for issued certificates any more: the owner
    /// has exchanged them, as where a CA's key is lost. It stays in use, since peers may go by other anchors, and another first certificate
    /// may cost somebody's approval: whether it is asked for is the owner's to say.
    pub(super) fn heed_anchors(&self, name: &str, plan: &mut Plan) {
        // The factory's is vouched for by its maker, whom the CA knows and the device need not.
        if name == self.factory_name() || !plan.standing.is_usable() || !self.leads_nowhere(name) {
            return;
        }
        // What the CA before was asked for would be gone on with.
        let first = match self.begun_otherwise(name) {
            Some(why) => format!("{why}: `devid store abandon {name}` gives it up, then "),
            None => String::new(),
        };
        let text = format!(
            "its certificate leads to none of the anchors for issued certificates (ca.trust.issued, `devid anchors list`): \
             {first}`devid enroll --again {name}` asks for another one by ca.login; this one stays in use meanwhile"
        );
        plan.alarm = plan.alarm.max(Alarm::Late);
        plan.findings.push(Problem::new(ProblemKind::Ending, &format!("identity/{name}"), &text));
    }

    /// What cannot be told speaks for the certificate.
    fn leads_nowhere(&self, name: &str) -> bool {
        let (Ok(identity), Ok((kept, None))) =
            (self.store.in_use(name), self.store.readable_anchors(AnchorSet::Enrolment))
        else {
            return false;
        };
        let of_settings = self.trusted().into_iter().filter(|(set, _)| *set == AnchorSet::Enrolment);
        let mut anchors = TrustAnchors::new();
        kept.into_iter().chain(of_settings.map(|(_, anchor)| anchor)).for_each(|anchor| anchors.add(anchor));
        !anchors.is_empty() && has_no_path(&anchors, &identity.certificate, &identity.chain)
    }
}

/// Whether there is no path at all: one that fails for anything else was there when the certificate was taken.
fn has_no_path(anchors: &TrustAnchors, certificate: &Certificate, chain: &[Certificate]) -> bool {
    let mut checks = Checks::at_unknown_time();
    checks.allow_weak = true;
    let report = validate(&*default_provider(), anchors, certificate, chain, &StatusSources::none(), &checks);
    let is_about_path = |code| matches!(code, Code::NoPath | Code::BadSignature | Code::SignatureInvalid);
    report.error().is_some_and(|error| is_about_path(error.code()))
}
