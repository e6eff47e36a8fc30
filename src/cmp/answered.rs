//! What a checked answer leads to: waiting and polling, another version, a challenge, or the end.

use alloc::sync::Arc;

use super::context::Context;
use super::diagnosis::diagnose;
use super::info::{self, Question};
use super::operation::{MOST_IN_VAIN, Operation, POLLING_ENDS, in_phase};
use super::proof::Possession;
use super::received::Received;
use super::request::Request;
use super::response::{self, Checked, Failure, Inbox};
use super::revoke;
use super::state::{Finished, Halt, Phase, State, UnderWay};
use super::transaction::Transaction;
use crate::asn1::cmp::{BodyType, ErrorMsgContent, PkiBody, PkiStatus, PkiStatusInfo, PollRep, poll};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const POLLING: Rule = Rule::new("RFC 9483 section 4.4 (D3)", "a pollRep about the request that is delayed");
const CHALLENGE: Rule = Rule::new("RFC 9810 section 5.2.8.3.3", "a challenge that the new key opens");
const CERTIFICATE: Rule =
    Rule::new("RFC 9483 section 4.1.1", "one certificate response for each request, about that request");
const REVOCATION: Rule =
    Rule::new("RFC 9483 section 4.2", "one status for each certificate to be revoked, in their order");
const ENCAPSULATION: Rule = Rule::new("RFC 9810 section 5.1.3.4", "a secret encapsulated to the credential's KEM key");
const INFORMATION: Rule = Rule::new("RFC 9483 section 4.3", "the information that was asked for");
const BODY: Rule = Rule::new("RFC 9483 section 3.5 (E1)", "a body that answers the request");

/// Bit of failInfo (RFC 9810 section 5.2.3).
const UNSUPPORTED_VERSION: u32 = 22;
const CERT_CONFIRMED: u32 = 11;

/// What a server says of a message that reached it in another form than it was sent (RFC 9483 section 3.5): badAlg,
/// badMessageCheck, badRequest, badTime, badDataFormat, wrongIntegrity, badRecipientNonce, badSenderNonce, signerNotTrusted,
/// unsupportedVersion; and systemUnavail, which a registration authority says for an answer that was lost (section 5.2.2.2).
const ABOUT_THE_MESSAGE: u32 =
    1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 12 | 1 << 13 | 1 << 18 | 1 << 20 | 1 << 22 | 1 << 24;
/// The same of certConf, but for badRequest: a server that takes none says so, and goes on saying it.
const ABOUT_CONFIRMATION: u32 = ABOUT_THE_MESSAGE & !(1 << 2 | 1 << 24);
/// How often certConf is made anew after such an error.
const MOST_REPEATED: u32 = 8;

/// Seconds to the next poll after an answer that proves nothing; doubled each time.
const FIRST_WAIT_SECONDS: i64 = 60;
/// The same where an authentic answer says waiting once more: it may be a recording of the first that did.
const FIRST_WAIT_AGAIN_SECONDS: i64 = 5;
/// The longest of these waits. At the default limits on polls and time, the time ends first.
const LONGEST_WAIT_SECONDS: i64 = 3600;

/// Whether the server says that it has had the confirmation before (RFC 9810 section 5.2.3, certConfirmed).
pub(super) fn is_confirmed_already(content: &ErrorMsgContent) -> bool {
    content.status.fail_info.is_some_and(|bits| bits >> CERT_CONFIRMED & 1 == 1)
}

impl Operation {
    /// Errors: what the server has said, or, where nothing is being waited for, what anybody may have said.
    pub(super) fn answered(&mut self, answer: Inbox, under_way: UnderWay, now: Time) -> Result<(), Halt> {
        let settings = Arc::clone(&self.context);
        let explained = |e| diagnose(in_phase(e, under_way.body), &settings, under_way.body, &answer.answer);
        let context = self.believing_adopted();
        let off_before = self.clock_off_seconds();
        let proven = self.proven(&context, &answer, under_way, now);
        // The answer may have shown that the clock is wrong.
        let now = now.plus(self.clock_off_seconds() - off_before);
        self.has_dropped = false;
        match proven.and_then(|checked| {
            self.weighed(&context, checked, under_way, now)
                .map_err(|error| Failure::Unproven(error.breaks(response::protection_rule(&context.credential))))
        }) {
            Ok(checked) => Ok(self.act_on(checked, under_way, now).map_err(explained)?),
            Err(Failure::Unproven(error)) if under_way.polling.is_some() => {
                let error = explained(error);
                // Without a clock the present is what the answer says, and this one has nothing to say.
                self.has_dropped = true;
                self.drop_answer(&error, under_way, self.asked_at.unwrap_or(now));
                Ok(())
            }
            Err(Failure::Unproven(error)) if answer.is_handed_in => Err(Halt::Refused(explained(error))),
            Err(Failure::Unproven(error) | Failure::Authentic(error)) => Err(Halt::Failed(explained(error))),
        }
    }

    /// What proves nothing changes nothing: somebody on the way must not be able to end what the CA has been asked to
    /// approve. The next poll asks the CA again; the limits on polls and on the whole time are the bound.
    fn drop_answer(&mut self, error: &Error, under_way: UnderWay, now: Time) {
        self.wait_in_vain(FIRST_WAIT_SECONDS, under_way, now, |dropped| {
            vec![format!("an answer that proves nothing was dropped ({dropped} so far): {error}")]
        });
    }

    /// Waits for the next poll longer each time, so that the limit on polls ends nothing that the limit on time would not.
    fn wait_in_vain(
        &mut self,
        first_seconds: i64,
        under_way: UnderWay,
        now: Time,
        reason: impl FnOnce(u32) -> Vec<String>,
    ) {
        self.dropped = self.dropped.saturating_add(1);
        let seconds = first_seconds.saturating_mul(1 << self.dropped.min(12).saturating_sub(1));
        let most = i64::from(self.context.limits.max_check_after_seconds).max(1);
        let until = now.plus(seconds.min(most).min(LONGEST_WAIT_SECONDS));
        self.state = State::waiting(until, reason(self.dropped), under_way);
    }

    /// The settings, with the root that came with ip where the device asked to believe it: it goes on vouching for the
    /// signer of that answer.
    pub(super) fn believing_adopted(&self) -> Arc<Context> {
        let root = self.transaction.as_ref().and_then(|transaction| transaction.adopted_root.as_ref());
        let may = |root: &&Certificate| self.context.adopt_root_of_ip || self.context.is_told_root(root);
        let Some(root) = root.filter(may) else { return Arc::clone(&self.context) };
        let mut context = Context::clone(&self.context);
        context.cmp_anchors.add(root.clone());
        context.enrolment_anchors.add(root.clone());
        Arc::new(context)
    }

    fn proven(
        &mut self,
        context: &Context,
        answer: &Inbox,
        under_way: UnderWay,
        now: Time,
    ) -> Result<Checked, Failure> {
        let transaction = self.transaction.as_mut().expect("a message is under way in it");
        let final_answer = match under_way.phase {
            Phase::Request => self.request.answer(),
            Phase::Confirmation | Phase::Validity => BodyType::PKICONF,
            Phase::Encapsulation => BodyType::GENP,
        };
        let mut allowed = vec![final_answer];
        if under_way.polling.is_some() {
            allowed.push(BodyType::POLLREP);
        }
        let may_be_challenged = self.request.certificate().is_some_and(|r| r.possession == Possession::Challenge);
        if under_way.phase == Phase::Request && may_be_challenged && !transaction.challenged {
            allowed.push(BodyType::POPDECC);
        }
        response::check(context, &self.request, transaction, now, answer, &allowed)
    }

    /// An authentic answer, and what it leads to.
    fn act_on(&mut self, checked: Checked, under_way: UnderWay, now: Time) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let Checked { message, body, protected_by, bearer } = checked;
        match body {
            PkiBody::PollRep(entries) => {
                self.misread = 0;
                let most = match bearer {
                    // Who may not decide puts off no longer than an answer that proves nothing.
                    Some(_) => LONGEST_WAIT_SECONDS,
                    None => i64::from(self.context.limits.max_check_after_seconds).max(1),
                };
                self.told_to_wait(&entries, most, under_way, now).map_err(|error| error.breaks(POLLING))
            }
            // RFC 9483 section 4.4: any message but a certificate response is delayed by an error with status waiting.
            PkiBody::Error(content) if content.status.status == PkiStatus::Waiting => {
                response::check_no_fail_info(&context, &content.status)?;
                self.start_polling(-1, &content.status, under_way, now)
            }
            // The server has had the confirmation already, and our repetition of it after a broken connection is answered by
            // that (RFC 9810 section 5.2.3, certConfirmed): authenticated, it confirms as pkiConf does. A refusal that is
            // answered so stays one: what was confirmed was not this.
            PkiBody::Error(content)
                if under_way.phase == Phase::Confirmation
                    && self.rejection.is_none()
                    && !self.several.refuses_any()
                    && is_confirmed_already(&content) =>
            {
                if self.several.is_confirming() {
                    return self.several_confirmed(now);
                }
                self.note_if_by_bearer();
                self.confirmed(now);
                Ok(())
            }
            // Genuine, and yet it says only that something else arrived than was sent: anybody on the way can change a bit of
            // pollReq, and must not be able to end by it what the CA has been asked to approve.
            PkiBody::Error(content)
                if under_way.polling.is_some()
                    && self.misread < MOST_IN_VAIN
                    && content.status.fail_info.is_some_and(|bits| bits & ABOUT_THE_MESSAGE != 0) =>
            {
                self.misread += 1;
                self.wait_in_vain(FIRST_WAIT_SECONDS, under_way, now, |_| {
                    vec![format!("pollReq did not arrive as it was sent: {}", response::server_error(&content))]
                });
                Ok(())
            }
            // The same of certConf: what the CA has issued must not hang on one bit that somebody changes, nor on a saved certConf
            // that answers a nonce which is not the server's last any more. It is made anew, in answer to this error.
            PkiBody::Error(content) if self.confirms_anew_after(&content, under_way) => {
                self.misread += 1;
                self.confirm(now)
            }
            PkiBody::Error(content) => match self.version_to_try(&content, message.header().pvno, under_way) {
                Some(version) => {
                    self.other_version = Some(version);
                    self.state = State::Begin;
                    Ok(())
                }
                None => Err(response::server_error(&content)),
            },
            PkiBody::Challenges(challenges) => {
                let sender = message.header().sender.as_deref();
                self.challenge_came(&challenges, sender, now).map_err(|error| error.breaks(CHALLENGE))
            }
            PkiBody::CertRep(rep) => {
                let mut came = Received::with(&message, protected_by);
                // The clock of somebody who may not decide moves none.
                came.message_time.take_if(|_| bearer.is_some());
                came.granted &= bearer.as_ref().is_none_or(|bearer| self.may_confirm(&bearer.certificate));
                came.signer = self.transaction.as_ref().and_then(Transaction::signer).cloned();
                let answered = match self.request {
                    Request::Certificates(_) => self.several_answered(rep, &came, under_way, now),
                    _ => self.certificate_answered(rep, &came, under_way, now),
                };
                answered.map_err(|error| error.breaks(CERTIFICATE))
            }
            PkiBody::RevRep(content) => {
                let finished = match &self.request {
                    Request::Revocations(requests) => {
                        revoke::check_answers(&context, requests, content).map(Finished::Revocations)
                    }
                    request => {
                        let request = request.revocation().expect("rp is only allowed as answer to rr");
                        revoke::check_answer(&context, request, content).map(Finished::Revoked)
                    }
                };
                self.state = State::Done(finished.map_err(|error| error.breaks(REVOCATION))?);
                Ok(())
            }
            PkiBody::GenRep(items) if under_way.phase == Phase::Encapsulation => {
                self.ciphertext_came(&items, now).map_err(|error| error.breaks(ENCAPSULATION))
            }
            PkiBody::GenRep(items) => {
                let question = self.request.question().expect("genp is only allowed as answer to genm");
                let information =
                    info::check_answer(&context, question, items, now).map_err(|error| error.breaks(INFORMATION))?;
                self.state = State::Done(Finished::Information(information));
                Ok(())
            }
            PkiBody::PkiConf if self.several.is_confirming() => self.several_confirmed(now),
            PkiBody::PkiConf => {
                match self.rejection.take() {
                    Some(error) => self.state = State::Failed(error),
                    None => {
                        self.note_if_by_bearer();
                        self.confirmed(now);
                    }
                }
                Ok(())
            }
            PkiBody::Other(_) => Err(Error::new(Code::UnexpectedBody, "a body that does not belong here").breaks(BODY)),
        }
    }

    /// Whether certConf is made anew, in answer to this error: it says that something else arrived than was sent.
    pub(super) fn confirms_anew_after(&self, content: &ErrorMsgContent, under_way: UnderWay) -> bool {
        under_way.phase == Phase::Confirmation
            && under_way.polling.is_none()
            && (self.issued.is_some() || self.several.is_confirming())
            && self.misread < MOST_REPEATED
            && content.status.fail_info.is_some_and(|bits| bits & ABOUT_CONFIRMATION != 0)
    }

    /// RFC 9810 section 7: a server that does not know the version names one that it does; the request is made once more
    /// with that, in a new transaction. Only a protected error leads here, so that nobody else chooses the version.
    fn version_to_try(&self, content: &ErrorMsgContent, theirs: i64, under_way: UnderWay) -> Option<i64> {
        let ours = self.transaction.as_ref().map_or(0, |transaction| transaction.pvno);
        let is_version = content.status.fail_info.is_some_and(|bits| bits >> UNSUPPORTED_VERSION & 1 == 1);
        let is_first = under_way.body == self.request.body() && under_way.polling.is_none();
        let is_new = self.other_version.is_none() && theirs != ours && matches!(theirs, 2 | 3);
        // RFC 9810 appendix B: EnvelopedData is not known to version 2.
        let may_change = !matches!(self.request.question(), Some(Question::RevocationPassphrase(_)));
        (is_version && is_first && is_new && may_change).then_some(theirs)
    }

    /// A first answer says waiting: poll at once, the answer tells how long to wait (RFC 9483 section 4.4).
    pub(super) fn start_polling(
        &mut self,
        cert_req_id: i64,
        status: &PkiStatusInfo,
        under_way: UnderWay,
        now: Time,
    ) -> Result<(), Error> {
        let polling = UnderWay { polling: Some(cert_req_id), ..under_way };
        if under_way.polling.is_some() {
            // "waiting" again where pollRep or a final answer belongs (RFC 9483 section 4.4): a server that has ways of its own,
            // or somebody who plays back the first answer. Neither makes the loop hot or uses up the polls.
            self.wait_in_vain(FIRST_WAIT_AGAIN_SECONDS, polling, now, |_| status.texts.clone());
            return Ok(());
        }
        let transaction = self.transaction.as_mut().expect("a message is under way in it");
        transaction.delayed_nonce = Some(transaction.sent_nonce.clone());
        self.poll(polling, &status.texts, now)
    }

    /// Asks again. `reason`: what the server said last about the delay.
    pub(super) fn poll(&mut self, under_way: UnderWay, reason: &[String], now: Time) -> Result<(), Error> {
        let most = self.context.limits.max_polls;
        if self.polls >= most {
            let reasons: Vec<String> = reason.iter().map(|reason| crate::words::quoted(reason)).collect();
            let said = if reasons.is_empty() { String::new() } else { format!("; it says {}", reasons.join(", ")) };
            return Err(Error::new(
                Code::PollExhausted,
                format!("the server is still waiting after {most} polls (max_polls){said}"),
            )
            .breaks(POLLING_ENDS));
        }
        self.polls += 1;
        let cert_req_id = under_way.polling.expect("only what is delayed is polled for");
        let ids = match under_way.phase {
            Phase::Request if cert_req_id >= 0 && !self.several.open().is_empty() => self.several.open(),
            _ => vec![cert_req_id],
        };
        self.send(UnderWay { body: BodyType::POLLREQ, ..under_way }, &poll::poll_req(&ids), 2, now)
    }

    fn told_to_wait(
        &mut self,
        entries: &[PollRep],
        most_seconds: i64,
        under_way: UnderWay,
        now: Time,
    ) -> Result<(), Error> {
        let wanted = under_way.polling.expect("pollRep is only allowed while polling");
        // One request is out, so one entry is about it whatever its number: -1 is for whole messages (RFC 9483 section 4.4).
        let only = entries.first().filter(|entry| entries.len() == 1 && matches!(entry.cert_req_id, -1 | 0));
        // Of several that wait, the longest time: none is polled for before its own (RFC 9810 section 5.3.22).
        let open = self.several.open();
        let is_meant =
            |entry: &&PollRep| entry.cert_req_id == wanted || (wanted >= 0 && open.contains(&entry.cert_req_id));
        let longest = entries.iter().filter(is_meant).max_by_key(|entry| entry.check_after);
        let Some(entry) = longest.or(only) else {
            let words = format!("pollRep has no entry for certReqId {wanted}");
            return Err(Error::new(Code::Protocol, words));
        };
        // Negative and absurd values are cut to what the caller allows.
        let most = most_seconds.min(i64::from(self.context.limits.max_check_after_seconds).max(1));
        let seconds = entry.check_after.clamp(1, most);
        self.state = State::waiting(now.plus(seconds), entry.reason.clone(), under_way);
        Ok(())
    }
}
