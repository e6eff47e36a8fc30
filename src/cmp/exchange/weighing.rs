//! Who may not decide can still bring what proves itself.
//!
//! Many CAs sign answers with a certificate that says nothing of its office: an ordinary one under the operator's root, as
//! every device has. Such a signer is authenticated and not authorised (RFC 9483 section 3.5), and no word of it counts: no
//! refusal, no revocation, no information. But a certificate over the device's own new key, issued by the CA that its
//! certificates come from, is that CA's word whoever carries it; nobody but the CA can make it. And to be put off by somebody costs no more
//! than not to be answered at all, which anybody on the way can bring about.
//!
//! That the certificate came proves nothing about its bearer: whoever sees it on the way can put it under a signature of its own.
//! So a bearer binds nobody, and who may decide can still answer. Its pkiConf counts for a first certificate, where it has
//! brought that; for an update of what device memory has in use, only where it is known from before
//! ([`crate::cmp::bearer::KnownBearers`]).

use alloc::sync::Arc;

use super::Exchange;
use super::answered::is_confirmed_already;
use crate::asn1::cmp::{
    CertOrEncCert, CertRepMessage, InfoTypeAndValue, PkiBody, PkiMessage, PkiStatus, PkiStatusInfo,
};
use crate::asn1::x509::Certificate;
use crate::cmp::authority::{ANSWERS, may_have_issued};
use crate::cmp::context::Trust;
use crate::cmp::credential::Credential;
use crate::cmp::info::{Information, Question, check_answer};
use crate::cmp::issued::{Issued, chain_under, check_issued, is_success};
use crate::cmp::request::{CertificateRequest, RequestKind};
use crate::cmp::response::{Checked, refusal};
use crate::cmp::state::UnderWay;
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::error::{Error, Refused};
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{StatusSources, is_ca, validate};

impl Exchange {
    /// Passes on what an authorised signer says, and of another what proves itself.
    pub(super) fn weighed(
        &mut self,
        context: &Trust<'_>,
        checked: Checked,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<Checked, Error> {
        let Some(bearer) = &checked.bearer else { return self.vouched(context, checked, under_way, now) };
        let context = &context.with_told_roots(checked.message.extra_certs());
        let signer = &bearer.certificate;
        let brings = brings_certificate(&checked.body);
        let confirms = match &checked.body {
            PkiBody::PkiConf => true,
            PkiBody::Error(content) => under_way.is_confirming() && is_confirmed_already(content),
            _ => false,
        };
        let proves_itself = match &checked.body {
            _ if self.plan.bearers.as_ref().is_some_and(|known| known.alone) && !self.knows(signer) => false,
            _ if confirms => self.may_confirm(signer, under_way),
            // To be put off costs no more than no answer, while a certificate is waited for. In place of certConf, which would be sent
            // again, nobody would be asked for what waits nowhere.
            PkiBody::PollRep(_) if under_way.is_confirming() => self.is_spokesman(signer),
            PkiBody::PollRep(_) => true,
            PkiBody::Error(content) if content.status.status == PkiStatus::Waiting => {
                !under_way.is_confirming() || self.is_spokesman(signer)
            }
            // What is sent once more costs nothing, and goes to the CA.
            PkiBody::Error(content) => self.confirms_anew_after(content, under_way) && self.is_spokesman(signer),
            PkiBody::CertRep(rep) => self.certificate_proves_itself(context, rep, &checked.message, now),
            PkiBody::GenRep(items) => self.information_proves_itself(context, items, &checked.message, now),
            _ => false,
        };
        if brings && proves_itself || under_way.is_confirming() && self.is_spokesman(signer) {
            self.met_bearer = Some(signer.clone());
        }
        if !proves_itself {
            let objection = if confirms { unknown_bearer(&bearer.objection) } else { bearer.objection.clone() };
            return Err(told_by_nobody(&objection, &checked.body));
        }
        let transaction = &mut self.transaction;
        if transaction.bound_signer.is_none() {
            transaction.heard(&checked.message);
        }
        // What time it is proves nobody's word but the CA's.
        transaction.peer_time = None;
        if brings {
            transaction.bearer = Some(signer.clone());
            if transaction.bound_signer.is_none() {
                transaction.signer_path = bearer.path[1..].to_vec();
            }
            let told = bearer.path.iter().find(|root| context.is_told_root(root)).cloned();
            transaction.adopted_root = told.or(transaction.adopted_root.take());
        }
        Ok(checked)
    }

    fn knows(&self, signer: &Certificate) -> bool {
        self.plan.bearers.as_ref().is_some_and(|known| known.contains(&*self.plan.context.provider, signer))
    }

    /// Whether this signer without authority has brought the certificate, or is known from before.
    fn is_spokesman(&self, signer: &Certificate) -> bool {
        self.transaction.bearer.as_ref() == Some(signer) || self.knows(signer)
    }

    /// Whether the word of this signer without authority is enough to bring the certificate into use. A first certificate takes
    /// nothing away: who has brought it may say so. An update in device memory takes the place of the identity in use: there
    /// the signer must be known. An operation by itself gives nothing up; its certificate says by whose word it is confirmed
    /// ([`Exchange::noted`]), and its owner decides.
    pub(super) fn may_confirm(&self, signer: &Certificate, under_way: &UnderWay) -> bool {
        let must_be_known = self.plan.request.is_update() && self.plan.bearers.is_some();
        under_way.rejection().is_none() && if must_be_known { self.knows(signer) } else { self.is_spokesman(signer) }
    }

    /// Whether the certificate was answered for by a signer without authority that is known from before.
    pub fn has_met_known_bearer(&self) -> bool {
        self.met_bearer().is_some_and(|signer| self.knows(signer))
    }

    /// The certificate, which says that nobody with authority has confirmed it where that is so.
    pub(super) fn noted(&self, issued: &Arc<Issued>) -> Arc<Issued> {
        let Some(unproven) = self.unproven(issued) else { return Arc::clone(issued) };
        Arc::new(Issued { unproven: Some(unproven), ..Issued::clone(issued) })
    }

    fn unproven(&self, issued: &Issued) -> Option<String> {
        let transaction = &self.transaction;
        let adopted = transaction.adopted_root.as_ref().filter(|root| !self.plan.context.is_told_root(root));
        if let Some(root) = adopted.filter(|root| !issued.chain.contains(root)) {
            return Some(format!(
                "the certificate proves itself, and was brought and confirmed by a signer whom nothing but the root that came along vouches for: {root}"
            ));
        }
        let signer = transaction.bearer.as_ref().filter(|_| transaction.bound_signer.is_none())?;
        Some(format!(
            "the certificate was confirmed by {signer}, who may not decide for the CA: pin that signer, or the one that does"
        ))
    }

    /// Passes on what a signer says whom only a root that came along vouches for ([`Options::adopt_root_of_ip`](crate::cmp::Options::adopt_root_of_ip)): anybody can make both.
    /// It is the operator's root where it issued the certificate, too (3GPP TS 33.310 section 9.5.4.3), so until a certificate
    /// is here such a signer can put off, and not refuse.
    fn vouched(
        &mut self,
        context: &Trust<'_>,
        checked: Checked,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<Checked, Error> {
        let transaction = &self.transaction;
        let adopted = transaction.adopted_root.clone().filter(|root| !context.is_told_root(root));
        let (Some(root), Some(signer), None) = (adopted, transaction.bound_signer.clone(), under_way.issued()) else {
            return Ok(checked);
        };
        let is_vouched_for = match &checked.body {
            PkiBody::PollRep(_) => true,
            PkiBody::Error(content) => content.status.status == PkiStatus::Waiting,
            PkiBody::CertRep(rep) => {
                self.certificate_proves_itself(context, rep, &checked.message, now)
                    || self.is_issued_under(context, rep, &checked.message, (&signer, &root), now)
            }
            _ => false,
        };
        if is_vouched_for {
            return Ok(checked);
        }
        let transaction = &mut self.transaction;
        (transaction.bound_signer, transaction.adopted_root) = (None, None);
        transaction.signer_path.clear();
        let words = format!(
            "the answer's signer {signer} is known by nothing but a root that came along, and there is no certificate that this root has issued"
        );
        let objection =
            ANSWERS.broken(Code::ProtectionInvalid, words).with(|facts| facts.refused = Some(Refused::NoPath));
        Err(told_by_nobody(&objection, &checked.body))
    }

    /// Whether signer and certificate stand under this root.
    fn is_issued_under(
        &self,
        context: &Trust<'_>,
        rep: &CertRepMessage,
        message: &PkiMessage,
        (signer, root): (&Certificate, &Certificate),
        now: Time,
    ) -> bool {
        let ([response], Some(request)) = (&rep.responses[..], self.plan.request.certificate()) else { return false };
        let pair = response.certified_key_pair.as_ref().map(|pair| &pair.cert_or_enc_cert);
        let certificate = match pair {
            Some(CertOrEncCert::Certificate(certificate)) => certificate,
            // It is asked once it is opened.
            Some(CertOrEncCert::Encrypted(_)) => return true,
            _ => return false,
        };
        let helpers = [message.extra_certs(), &rep.ca_pubs].concat();
        [now, self.owners_clock(now)]
            .into_iter()
            .any(|at| chain_under(context, request, [signer, certificate], &helpers, root, at).is_some())
    }

    fn certificate_proves_itself(
        &self,
        context: &Trust<'_>,
        rep: &CertRepMessage,
        message: &PkiMessage,
        now: Time,
    ) -> bool {
        let ([response], Some(request)) = (&rep.responses[..], self.plan.request.certificate()) else { return false };
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
        context: &Trust<'_>,
        items: &[InfoTypeAndValue],
        message: &PkiMessage,
        now: Time,
    ) -> bool {
        // Who says nothing asks nobody to believe it.
        if items.is_empty() {
            return true;
        }
        let Some(question) = self.plan.request.question() else { return false };
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
fn is_new(context: &Trust<'_>, request: &CertificateRequest, certificate: &Certificate) -> bool {
    let Credential::Signature { certificate: old, .. } = &context.credential else { return true };
    let is_same_key = request.key.own().is_some_and(|key| same_public_key(key.spki(), old.spki()));
    certificate != old && (!is_same_key || certificate.not_after() >= old.not_after())
}

fn is_issued_ca(context: &Trust<'_>, certificate: &Certificate, pool: &[Certificate], now: Time) -> bool {
    let anchored = [&*context.cmp_anchors, &*context.enrolment_anchors].into_iter().any(|anchors| {
        let checks = context.checks_at(now);
        validate(&*context.provider, anchors, certificate, pool, &StatusSources::none(), &checks).is_valid()
    });
    anchored && is_ca(certificate).unwrap_or(false)
}

fn brings_certificate(body: &PkiBody) -> bool {
    matches!(body, PkiBody::CertRep(rep) if rep.responses.iter().any(|response| is_success(response.status.status)))
}

/// Why a confirmation is not taken.
fn unknown_bearer(objection: &Error) -> Error {
    let words = format!(
        "{}. Its confirmation of a key update counts once it has been met before: \
         until then the certificate in use stays in use",
        objection.message()
    );
    Error::new(objection.code(), words).with(|facts| *facts = objection.facts().clone())
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
        Some(status) => refusal(objection.code(), &format!("{}. It says", objection.message()), &status, false)
            .with(|facts| facts.refused = objection.facts().refused),
        None => objection.clone(),
    }
}
