//! Who may not decide can still bring what proves itself.
//!
//! Many CAs sign answers with a certificate that says nothing of its office: an ordinary one under the operator's root, as
//! every device has. Such a signer is authenticated and not authorised (RFC 9483 section 3.5), and no word of it counts: no
//! refusal, no revocation, no information. But a certificate over the device's own new key, issued by the CA that its
//! certificates come from, is that CA's word whoever carries it; nobody but the CA can make it. And to be put off by somebody costs no more
//! than not to be answered at all, which anybody on the way can bring about.
//!
//! Once the certificate is here, its bearer has shown that it speaks with the CA about this very request: it may say pkiConf
//! in this transaction, and nothing else.

use super::authority::may_have_issued;
use super::context::Context;
use super::credential::Credential;
use super::info::{Information, Question, check_answer};
use super::issued::{check_issued, is_success};
use super::operation::Operation;
use super::request::{CertificateRequest, RequestKind};
use super::response::{Checked, refusal};
use crate::asn1::cmp::{
    CertOrEncCert, CertRepMessage, InfoTypeAndValue, PkiBody, PkiMessage, PkiStatus, PkiStatusInfo,
};
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::time::Time;
use crate::validation::{StatusSources, is_ca, validate};

impl Operation {
    /// Passes on what an authorised signer says, and of another what proves itself.
    pub(super) fn weighed(&mut self, context: &Context, checked: Checked, now: Time) -> Result<Checked, Error> {
        let Some(bearer) = &checked.bearer else { return Ok(checked) };
        let knowing = context.with_told_roots(checked.message.extra_certs());
        let context = knowing.as_ref().unwrap_or(context);
        let proves_itself = match &checked.body {
            PkiBody::PollRep(_) => true,
            PkiBody::Error(content) => content.status.status == PkiStatus::Waiting,
            PkiBody::CertRep(rep) => self.certificate_proves_itself(context, rep, &checked.message, now),
            PkiBody::PkiConf => self.rejection.is_none() && self.is_known_bearer(&bearer.certificate),
            PkiBody::GenRep(items) => self.information_proves_itself(context, items, &checked.message, now),
            _ => false,
        };
        if !proves_itself {
            return Err(told_by_nobody(&bearer.objection, &checked.body));
        }
        let transaction = self.transaction.as_mut().expect("a message is under way in it");
        transaction.heard(&checked.message);
        // What time it is proves nobody's word but the CA's.
        transaction.peer_time = None;
        if brings_certificate(&checked.body) {
            transaction.bound_signer = Some(bearer.certificate.clone());
            transaction.signer_path = bearer.path[1..].to_vec();
            let told = bearer.path.iter().find(|root| context.is_told_root(root)).cloned();
            transaction.adopted_root = told.or(transaction.adopted_root.take());
        }
        Ok(checked)
    }

    /// Whether this signer has brought the certificate: a signer without authority is bound to the transaction by nothing
    /// else.
    fn is_known_bearer(&self, signer: &Certificate) -> bool {
        self.transaction.as_ref().and_then(|transaction| transaction.bound_signer.as_ref()) == Some(signer)
    }

    fn certificate_proves_itself(
        &self,
        context: &Context,
        rep: &CertRepMessage,
        message: &PkiMessage,
        now: Time,
    ) -> bool {
        let ([response], Some(request)) = (&rep.responses[..], self.request.certificate()) else { return false };
        if response.status.status == PkiStatus::Waiting {
            return true;
        }
        let certificate = match response.certified_key_pair.as_ref().map(|pair| &pair.cert_or_enc_cert) {
            Some(CertOrEncCert::Certificate(certificate)) if is_success(response.status.status) => certificate,
            _ => return false,
        };
        // messageTime of somebody who may not decide moves no clock.
        request.key.own().is_some()
            && is_new(context, request, certificate)
            && check_issued(context, request, certificate, message.extra_certs(), &[], now)
                .is_ok_and(|above| may_have_issued(context, request.kind == RequestKind::KeyUpdate, &above, now))
    }

    fn information_proves_itself(
        &self,
        context: &Context,
        items: &[InfoTypeAndValue],
        message: &PkiMessage,
        now: Time,
    ) -> bool {
        // Who says nothing asks nobody to believe it.
        if items.is_empty() {
            return true;
        }
        let Some(question) = self.request.question() else { return false };
        match check_answer(context, question, items.to_vec(), now) {
            // Each has been issued under an anchor: a CA of the owner's PKI, whoever names it.
            Ok(Information::CaCerts(certificates)) => {
                let pool = [&certificates[..], message.extra_certs()].concat();
                certificates.iter().all(|ca| is_issued_ca(context, ca, &pool, now))
            }
            // The trusted root vouches for it.
            Ok(Information::RootUpdate(update)) => update.is_some(),
            // Their signatures are checked where they are used.
            Ok(Information::Crls(crls)) => !crls.is_empty() && matches!(question, Question::Crl { .. }),
            _ => false,
        }
    }
}

/// An older certificate over a key that goes on being used is no answer to this request: anybody may keep one.
fn is_new(context: &Context, request: &CertificateRequest, certificate: &Certificate) -> bool {
    let Credential::Signature { certificate: old, .. } = &context.credential else { return true };
    let is_same_key = request.key.own().is_some_and(|key| key.spki() == old.spki());
    certificate != old && (!is_same_key || certificate.not_after() >= old.not_after())
}

fn is_issued_ca(context: &Context, certificate: &Certificate, pool: &[Certificate], now: Time) -> bool {
    let anchored = [&context.cmp_anchors, &context.enrolment_anchors].into_iter().any(|anchors| {
        let checks = context.checks_at(now);
        validate(&*context.provider, anchors, certificate, pool, &StatusSources::none(), &checks).is_valid()
    });
    anchored && is_ca(certificate).unwrap_or(false)
}

fn brings_certificate(body: &PkiBody) -> bool {
    matches!(body, PkiBody::CertRep(rep) if rep.responses.iter().any(|response| is_success(response.status.status)))
}

/// Why the answer is not taken, with what it says for what that is worth.
fn told_by_nobody(objection: &Error, body: &PkiBody) -> Error {
    let told: Option<PkiStatusInfo> = match body {
        PkiBody::Error(content) => {
            let texts = [&content.status.texts[..], &content.details].concat();
            Some(PkiStatusInfo { texts, ..content.status.clone() })
        }
        PkiBody::CertRep(rep) => rep.responses.first().map(|response| response.status.clone()),
        PkiBody::RevRep(content) => content.statuses.first().cloned(),
        _ => None,
    };
    match told {
        Some(status) => refusal(objection.code(), &format!("{}. It says", objection.message()), &status, false),
        None => objection.clone(),
    }
}
