//! Several certificates by one operation (RFC 9810 sections 5.3.1 to 5.3.4): for RAs and managers, and devices that need more than
//! one at once. RFC 9483 section 4.1 knows one.
//!
//! The requests are numbered from 0, and an answer is about the one whose number it has, in whatever order answers come. Each is
//! judged with the key of its own request, decided on and confirmed by itself; what the CA lets wait is polled for after the others
//! are confirmed (section 5.3.22):
//!
//! ```text
//!   ir --> ip --> Accept, Accept, ... --> certConf about all of them --> pkiConf --> pollReq for those that wait --> ip --> ...
//! ```

use alloc::sync::Arc;

use super::Exchange;
use crate::asn1::cmp::{BodyType, CertOrEncCert, CertRepMessage, CertResponse, PkiStatus, PkiStatusInfo};
use crate::asn1::crmf;
use crate::asn1::der::sequence;
use crate::asn1::x509::Certificate;
use crate::cmp::issued::{ISSUED, Issued, is_success};
use crate::cmp::parts::{Part, Several, number};
use crate::cmp::proof::Possession;
use crate::cmp::received::Received;
use crate::cmp::request::Request;
use crate::cmp::response::{self, refusal};
use crate::cmp::state::{Confirming, Finished, Phase, State, ToProve, UnderWay};
use crate::codes::Code;
use crate::crypto::{CryptoError, Signer};
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const NUMBERED: Rule =
    Rule::new("RFC 9810 section 5.3.4 (D5)", "one status and certificate for each request, by its certReqId");

impl Exchange {
    /// What became of each certificate that was asked for: see [`Operation::certificates`](crate::cmp::Operation::certificates).
    pub fn certificates<'a>(&'a self, state: &'a State) -> Vec<Result<&'a Issued, Error>> {
        let open = || match state {
            State::Failed { error, .. } => error.clone(),
            _ => Error::new(Code::State, "nothing is known of this certificate yet"),
        };
        let outcome = |part: &'a Part| match part {
            Part::Settled(Ok(issued)) => Ok(&**issued),
            Part::Settled(Err(error)) | Part::Decided(_, Err(error)) => Err(error.clone()),
            Part::Open | Part::Came(..) | Part::Decided(_, Ok(_)) => Err(open()),
        };
        match (&self.plan.request, state) {
            (Request::Certificates(requests), _) if self.several.parts.is_empty() => {
                requests.iter().map(|_| Err(open())).collect()
            }
            (Request::Certificates(_), _) => self.several.parts.iter().map(outcome).collect(),
            (Request::Certificate(_), State::Done(Finished::Certificate(issued))) => vec![Ok(&**issued)],
            (Request::Certificate(_), _) => vec![Err(open())],
            (Request::Revocation(_) | Request::Revocations(_) | Request::Information(_), _) => Vec::new(),
        }
    }

    /// Asks for all of them, each after proof of possession of its key.
    pub(super) fn begin_several(&mut self, now: Time) -> Result<State, Error> {
        self.check_may_update(now)?;
        let requests = self.plan.request.certificates().to_vec();
        self.several = Several { parts: requests.iter().map(|_| Part::Open).collect(), ..Several::default() };
        let mut messages = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            let cert_request = request.cert_request(number(at));
            let proof = ToProve { input: self.possession_input(request)?, cert_request };
            let popo = match (request.possession, request.key.own()) {
                (Possession::Signature(algorithm), Some(Signer::Key(key))) => {
                    proof.signed(algorithm, &proof.sign(key, algorithm)?)
                }
                (possession, _) => possession.announcement(&request.key),
            };
            messages.push(crmf::cert_req_msg(&proof.cert_request, &popo));
        }
        self.send_first(&sequence(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>()), now)
    }

    /// Certificate responses, each about the request whose number it has.
    ///
    /// Errors: one is about no request, or two are about one. Then nothing of the answer is taken.
    pub(super) fn several_answered(
        &mut self,
        rep: CertRepMessage,
        came: &Received<'_>,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        let CertRepMessage { ca_pubs, responses } = rep;
        // RFC 9483 section 3.6.2: a request that cannot be read has no numbers.
        if let [CertResponse { cert_req_id: -1, status, .. }] = &responses[..] {
            if status.status == PkiStatus::Waiting {
                return self.start_polling(-1, status, under_way, now);
            }
            if !is_success(status.status) {
                return Err(refusal(Code::Rejected, "the server refused the request", status, true));
            }
        }
        let responses = self.in_order(responses)?;
        let (waiting, has_come) = self.take(responses, ca_pubs, came, now)?;
        let transaction = &self.transaction;
        self.several
            .nonce
            .get_or_insert_with(|| transaction.delayed_nonce.clone().unwrap_or_else(|| transaction.sent_nonce.clone()));
        self.several.is_answered = true;
        self.several.reason = waiting.as_ref().map_or_else(Vec::new, |status| status.texts.clone());
        match self.several.open().first() {
            // Nothing but waiting, or in answer to a poll nothing about those that wait.
            Some(first) if !has_come => {
                let status = waiting.unwrap_or_else(|| PkiStatusInfo::new(PkiStatus::Waiting));
                self.start_polling(*first, &status, under_way, now)
            }
            _ => {
                self.counts.misread = 0;
                self.next_of_several(now)
            }
        }
    }

    /// The responses by the place of their request; those about what is settled are passed over.
    fn in_order(&self, responses: Vec<CertResponse>) -> Result<Vec<(usize, CertResponse)>, Error> {
        let count = self.several.parts.len();
        let mut found: Vec<(usize, CertResponse)> = Vec::new();
        for response in responses {
            let id = response.cert_req_id;
            let Some(at) = usize::try_from(id).ok().filter(|at| *at < count) else {
                let words = format!("an answer has certReqId {id}, the requests 0 to {}", number(count) - 1);
                return Err(NUMBERED.broken(Code::Protocol, words));
            };
            if found.iter().any(|(other, _)| *other == at) {
                return Err(NUMBERED.broken(Code::Protocol, format!("two answers have certReqId {id}")));
            }
            found.push((at, response));
        }
        found.retain(|(at, _)| matches!(self.several.parts[*at], Part::Open));
        crate::order::sort_by_key(&mut found, |(at, _)| *at);
        Ok(found)
    }

    /// Takes what is said of each. Answers with what the server says of the first of those that wait, and whether anything else has
    /// come.
    ///
    /// Errors: the device could not open one of them. Then the whole answer is looked at anew.
    fn take(
        &mut self,
        responses: Vec<(usize, CertResponse)>,
        ca_pubs: Vec<Certificate>,
        came: &Received<'_>,
        now: Time,
    ) -> Result<(Option<PkiStatusInfo>, bool), Error> {
        let mut waiting = None;
        let mut has_come = false;
        let is_told: Vec<usize> = responses.iter().map(|(at, _)| *at).collect();
        for (at, response) in responses {
            if response.status.status == PkiStatus::Waiting {
                waiting.get_or_insert(response.status);
                continue;
            }
            has_come = true;
            self.several.at = at;
            match self.part_of(response, ca_pubs.clone(), came, now) {
                Ok(part) => self.several.parts[at] = part,
                Err(error) if CryptoError::is_device_behind(&error) => {
                    return Err(error.context(&format!("certificate {at}")));
                }
                Err(error) => self.several.settle(at, Err(error.context(&format!("certificate {at}")))),
            }
        }
        if !self.several.is_answered {
            // RFC 9810 section 5.3.4: a status for each certificate that was requested.
            for at in (0..self.several.parts.len()).filter(|at| !is_told.contains(at)) {
                let words = format!("the server's answer says nothing of certReqId {at}");
                self.several.settle(at, Err(NUMBERED.broken(Code::Protocol, words)));
                has_come = true;
            }
        }
        Ok((waiting, has_come))
    }

    /// What a response brings for the request that is looked at.
    fn part_of(
        &self,
        response: CertResponse,
        ca_pubs: Vec<Certificate>,
        came: &Received<'_>,
        now: Time,
    ) -> Result<Part, Error> {
        let CertResponse { cert_req_id, status, certified_key_pair, .. } = response;
        if !is_success(status.status) {
            return Err(refusal(Code::Rejected, "the server refused the request", &status, true));
        }
        response::check_no_fail_info(&self.plan.context, &status)?;
        let Some(pair) = certified_key_pair else {
            let words = format!("the server answered {}, but sent no certificate", status.status);
            return Err(NUMBERED.broken(Code::Protocol, words));
        };
        let certificate = match pair.cert_or_enc_cert {
            CertOrEncCert::Certificate(certificate) => certificate,
            CertOrEncCert::Encrypted(encrypted) => self.opened(&encrypted, came)?,
            CertOrEncCert::Unreadable { der, error } => {
                let words = format!("the issued certificate cannot be read: {error}");
                let refused = Error::new(Code::WrongCertificate, words).breaks(ISSUED);
                if self.is_confirmed_implicitly(came) || self.plan.context.tolerance.never_confirm {
                    return Err(refused);
                }
                let status = self.status_of_unreadable(&der, &refused, cert_req_id)?;
                return Ok(Part::Decided(status, Err(refused)));
            }
        };
        let judged = self.judged((certificate, pair.private_key), status, ca_pubs, cert_req_id, came, now)?;
        Ok(Part::Came(Arc::new(judged.0), judged.1))
    }

    /// The owner has decided on the certificate that is looked at.
    pub(super) fn one_of_several_decided(
        &mut self,
        issued: &Arc<Issued>,
        rejection: Option<&Error>,
        now: Time,
    ) -> Result<State, Error> {
        self.part_decided(issued, rejection)?;
        self.next_of_several(now)
    }

    /// The owner, or what is wrong with it, has decided on the certificate that is looked at.
    fn part_decided(&mut self, issued: &Arc<Issued>, rejection: Option<&Error>) -> Result<(), Error> {
        let status = self.status_of(issued, rejection)?;
        let needs_no_word = issued.implicitly_confirmed || self.plan.context.tolerance.never_confirm;
        let outcome = rejection.map_or_else(|| Ok(Arc::clone(issued)), |error| Err(error.clone()));
        let at = self.several.at;
        self.several.parts[at] = if needs_no_word { Part::Settled(outcome) } else { Part::Decided(status, outcome) };
        Ok(())
    }

    /// Asks the owner about the next one; after the last, confirms them, and polls for those that wait.
    fn next_of_several(&mut self, now: Time) -> Result<State, Error> {
        while let Some(at) = self.several.parts.iter().position(|part| matches!(part, Part::Came(..))) {
            let Part::Came(issued, refused) = core::mem::replace(&mut self.several.parts[at], Part::Open) else {
                break;
            };
            self.several.at = at;
            if refused.is_none() {
                return Ok(State::Deciding(issued));
            }
            self.part_decided(&issued, refused.as_ref())?;
        }
        if self.several.is_confirming() {
            return self.confirm(Confirming::Several, now);
        }
        let Some(first) = self.several.open().first().copied() else {
            return Ok(State::Done(Finished::Certificates));
        };
        let transaction = &mut self.transaction;
        transaction.delayed_nonce = self.several.nonce.clone().or(transaction.delayed_nonce.take());
        let reason = self.several.reason.clone();
        self.poll(&UnderWay::new(BodyType::POLLREQ, Phase::Request), first, &reason, now)
    }

    /// The CA has taken the confirmation.
    pub(super) fn several_confirmed(&mut self, now: Time) -> Result<State, Error> {
        for part in &mut self.several.parts {
            if let Part::Decided(..) = part {
                let Part::Decided(_, outcome) = core::mem::replace(part, Part::Open) else { continue };
                *part = Part::Settled(outcome);
            }
        }
        self.next_of_several(now)
    }
}
