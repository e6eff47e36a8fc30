//! What a checked answer leads to: waiting and polling, another version, a challenge, or the end.

use alloc::sync::Arc;

use super::{Exchange, MOST_IN_VAIN};
use crate::asn1::cmp::{
    BodyType, CertRepMessage, ErrorMsgContent, InfoTypeAndValue, PkiBody, PkiMessage, PkiStatus, PkiStatusInfo,
    PollRep, RevRepContent,
};
use crate::asn1::x509::Certificate;
use crate::cmp::bearer::Bearer;
use crate::cmp::context::{Context, Trust};
use crate::cmp::diagnosis::diagnose;
use crate::cmp::info::{self, Question};
use crate::cmp::proof::Possession;
use crate::cmp::received::Received;
use crate::cmp::request::Request;
use crate::cmp::response::{self, Checked, Failure, Inbox, ProtectedBy, Way};
use crate::cmp::revoke;
use crate::cmp::state::{Confirming, Finished, Halt, Phase, State, UnderWay};
use crate::cmp::wait::Pause;
use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::error::{Error, Refused, Rule};
use crate::prelude::*;
use crate::time::Time;

const POLLING: Rule = Rule::new("RFC 9483 section 4.4 (D1)", "a pollRep about the request that is delayed");
const CHALLENGE: Rule = Rule::new("RFC 9810 section 5.2.8.3.3 (C12)", "a challenge that the new key opens");
const CERTIFICATE: Rule =
    Rule::new("RFC 9483 section 4.1.1 (C2)", "one certificate response for each request, about that request");
const REVOCATION: Rule =
    Rule::new("RFC 9483 section 4.2 (R4)", "one status for each certificate to be revoked, in their order");
const ENCAPSULATION: Rule =
    Rule::new("RFC 9810 section 5.1.3.4 (H24)", "a secret encapsulated to the credential's KEM key");
const INFORMATION: Rule = Rule::new("RFC 9483 section 4.3 (S1)", "the information that was asked for");
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

/// How often an answer is judged that was dropped for its time alone.
const MOST_LOOKS: u32 = 4;

/// Whether another clock might take what this error refuses.
fn is_about_time(error: &Error) -> bool {
    let refused = error.facts().refused;
    error.code() == Code::MessageTime || matches!(refused, Some(Refused::Validity | Refused::StatusUnknown))
}

/// What a server has said, and nobody else.
fn proven_by(error: Error) -> Error {
    error.with(|facts| facts.is_proven = true)
}

impl Exchange {
    /// What an answer to a message leads to; `None` where it is looked at once more. `asked_at`: when the message was last handed out to be sent.
    ///
    /// Errors: what the server has said, or, where nothing is being waited for, what anybody may have said.
    pub fn answered(
        &mut self,
        answer: &Inbox,
        (under_way, message): (&UnderWay, Option<&[u8]>),
        asked_at: Time,
        now: Time,
    ) -> Result<State, Halt> {
        let settings = Arc::clone(&self.plan.context);
        let explained = |e| diagnose(in_phase(e, under_way.body), &settings, under_way.body, &answer.answer);
        let context = self.believing_adopted(&settings);
        let off_before = self.clock_off_seconds();
        let proven = self.proven(&context, answer, under_way, now);
        // The answer may have shown that the clock is wrong.
        let now = now.plus(self.clock_off_seconds() - off_before);
        self.has_dropped = false;
        let weighed = proven.and_then(|checked| {
            self.weighed(&context, checked, under_way, now)
                .map_err(|error| Failure::Unproven(error.breaks(response::protection_rule(&context.credential))))
        });
        match (weighed, under_way.polling.or_else(|| self.polls_on_after(under_way))) {
            // That the device could not look at it is no fault of the answer.
            (Err(Failure::Unproven(error) | Failure::Authentic(error)), _) if CryptoError::is_device_behind(&error) => {
                Err(Halt::from(error))
            }
            (Ok(checked), _) => {
                self.kept_answer = None;
                self.note_delay(&checked, under_way, message);
                self.note_clock(now);
                let acted = self.act_on(checked, under_way, now);
                self.note_revocation(&acted, now);
                Ok(acted.map_err(|error| explained(proven_by(error)))?)
            }
            (Err(Failure::Unproven(error)), Some(polling)) => {
                // Without a clock the present is what the answer says, and this one has nothing to say.
                self.has_dropped = true;
                self.kept_answer = is_about_time(&error).then(|| answer.answer.clone());
                if under_way.polling.is_some() && message.is_some() {
                    self.polled_in_vain();
                }
                Ok(self.drop_answer(&explained(error), under_way, polling, asked_at))
            }
            (Err(Failure::Unproven(error)), None) if answer.way.may_bring_another() => {
                Err(Halt::Refused(explained(error)))
            }
            (Err(Failure::Unproven(error)), None) => Err(Halt::from(explained(error))),
            (Err(Failure::Authentic(error)), _) => Err(Halt::from(explained(proven_by(error)))),
        }
    }

    /// How far the owner's clock is ahead of an answer that has come just now.
    fn note_clock(&mut self, now: Time) {
        let own = self.owners_clock(now);
        self.ahead = self.transaction.peer_time.map(|said| (own, own.since(said)));
    }

    /// Judges the answer that was dropped for its time alone once more, before the server is asked again: it may have said its last
    /// word in it. `None`: there is none, or it has been looked at often enough.
    pub fn looked_again(&mut self, under_way: &UnderWay, now: Time) -> Result<Option<State>, Halt> {
        let Some(answer) = self.kept_answer.take() else { return Ok(None) };
        let answer = Inbox::new(answer, Way::Connection);
        let state = self.answered(&answer, (under_way, None), now, now)?;
        if self.has_dropped && self.counts.dropped > MOST_LOOKS {
            self.kept_answer = None;
            return Ok(None);
        }
        Ok(Some(state))
    }

    /// What proves nothing changes nothing: somebody on the way must not be able to end what the CA has been asked to
    /// approve. The next poll asks the CA again; the limits on polls and on the whole time are the bound.
    fn drop_answer(&mut self, error: &Error, under_way: &UnderWay, polling: i64, now: Time) -> State {
        self.wait_in_vain(FIRST_WAIT_SECONDS, under_way, polling, now, |dropped| {
            vec![format!("an answer that proves nothing was dropped ({dropped} so far): {error}")]
        })
    }

    /// Waits for the next poll longer each time, so that the limit on polls ends nothing that the limit on time would not.
    fn wait_in_vain(
        &mut self,
        first_seconds: i64,
        under_way: &UnderWay,
        polling: i64,
        now: Time,
        reason: impl FnOnce(u32) -> Vec<String>,
    ) -> State {
        self.counts.dropped = self.counts.dropped.saturating_add(1);
        let dropped = self.counts.dropped;
        let seconds = first_seconds.saturating_mul(1 << dropped.min(12).saturating_sub(1));
        let seconds = seconds.min(self.longest_wait_seconds()).min(LONGEST_WAIT_SECONDS);
        State::polling(Pause::new(seconds, now), reason(dropped), under_way, polling)
    }

    /// What the owner allows the server to put off the next poll.
    fn longest_wait_seconds(&self) -> i64 {
        i64::from(self.plan.context.limits.max_check_after_seconds).max(1)
    }

    /// The settings, with the root that came with ip where the device asked to believe it: it goes on vouching for the
    /// signer of that answer.
    pub(super) fn believing_adopted<'s>(&self, settings: &'s Context) -> Trust<'s> {
        let may = |root: &&Certificate| settings.adopt_root_of_ip || settings.is_told_root(root);
        Trust::believing(settings, self.transaction.adopted_root.as_ref().filter(may))
    }

    fn proven(
        &mut self,
        context: &Trust<'_>,
        answer: &Inbox,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<Checked, Failure> {
        let (request, transaction) = (&self.plan.request, &mut self.transaction);
        let final_answer = match under_way.phase {
            Phase::Request => request.answer(),
            Phase::Confirmation(_) => BodyType::PKICONF,
            Phase::Encapsulation => BodyType::GENP,
        };
        let mut allowed = vec![final_answer];
        if under_way.polling.is_some() {
            allowed.push(BodyType::POLLREP);
        }
        let may_be_challenged = request.certificate().is_some_and(|r| r.possession == Possession::Challenge);
        if matches!(under_way.phase, Phase::Request) && may_be_challenged && !transaction.challenged {
            allowed.push(BodyType::POPDECC);
        }
        response::check(context, request, transaction, now, answer, &allowed)
    }

    /// An authentic answer, and what it leads to.
    fn act_on(&mut self, checked: Checked, under_way: &UnderWay, now: Time) -> Result<State, Error> {
        let Checked { message, body, protected_by, bearer, is_late } = checked;
        match (body, &under_way.phase) {
            (PkiBody::PollRep(entries), _) => {
                self.told_to_wait(&entries, bearer.as_ref(), under_way, now).map_err(|error| error.breaks(POLLING))
            }
            (PkiBody::Error(content), _) => self.error_came(&content, message.header().pvno, under_way, now),
            (PkiBody::Challenges(challenges), _) => {
                let sender = message.header().sender.as_deref();
                self.challenge_came(&challenges, sender, now).map_err(|error| error.breaks(CHALLENGE))
            }
            (PkiBody::CertRep(rep), _) => self
                .certificates_came(rep, &message, (protected_by, bearer, is_late), under_way, now)
                .map_err(|error| error.breaks(CERTIFICATE)),
            (PkiBody::RevRep(content), _) => self.revocation_came(content).map_err(|error| error.breaks(REVOCATION)),
            (PkiBody::GenRep(items), Phase::Encapsulation) => {
                self.ciphertext_came(&items, now).map_err(|error| error.breaks(ENCAPSULATION))
            }
            (PkiBody::GenRep(items), _) => self.information_came(items, now).map_err(|error| error.breaks(INFORMATION)),
            (PkiBody::PkiConf, Phase::Confirmation(confirming)) => self.confirmation_came(confirming, now),
            (PkiBody::PkiConf | PkiBody::Other(_), _) => Err(does_not_belong_here()),
        }
    }

    /// An authentic error: the server's last word, or not.
    fn error_came(
        &mut self,
        content: &ErrorMsgContent,
        pvno: i64,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        let is_about = |bits: u32| content.status.fail_info.is_some_and(|said| said & bits != 0);
        match (under_way.polling, &under_way.phase) {
            // RFC 9483 section 4.4: any message but a certificate response is delayed by an error with status waiting.
            _ if content.status.status == PkiStatus::Waiting => {
                response::check_no_fail_info(&self.plan.context, &content.status)?;
                self.start_polling(-1, &content.status, under_way, now)
            }
            // The server has had the confirmation already, and our repetition of it after a broken connection is answered by
            // that (RFC 9810 section 5.2.3, certConfirmed): authenticated, it confirms as pkiConf does. A refusal that is
            // answered so stays one: what was confirmed was not this.
            (_, Phase::Confirmation(confirming))
                if is_confirmed_already(content) && under_way.rejection().is_none() && !self.several.refuses_any() =>
            {
                self.confirmation_came(confirming, now)
            }
            // Of a message that nobody with authority has put off, the CA may know nothing: then it is sent again, and what is said
            // to that counts.
            (Some(polling), _) if self.is_put_off() => {
                self.polled_in_vain();
                Ok(self.wait_in_vain(FIRST_WAIT_SECONDS, under_way, polling, now, |_| {
                    vec![format!("what was put off is not known: {}", response::server_error(content))]
                }))
            }
            // The message that was sent again has become too old (badTime), or the like: nothing has come of it, and it is made anew.
            (None, Phase::Request) if self.was_sent_again() && is_about(ABOUT_THE_MESSAGE) => {
                let version = self.transaction.pvno;
                self.give_up_put_off();
                Ok(State::OtherVersion(version))
            }
            // Genuine, and yet it says only that something else arrived than was sent: anybody on the way can change a bit of
            // pollReq, and must not be able to end by it what the CA has been asked to approve.
            (Some(polling), _) if self.counts.misread < MOST_IN_VAIN && is_about(ABOUT_THE_MESSAGE) => {
                self.counts.misread += 1;
                Ok(self.wait_in_vain(FIRST_WAIT_SECONDS, under_way, polling, now, |_| {
                    vec![format!("pollReq did not arrive as it was sent: {}", response::server_error(content))]
                }))
            }
            // The same of certConf: what the CA has issued must not hang on one bit that somebody changes, nor on a saved certConf
            // that answers a nonce which is not the server's last any more. It is made anew, in answer to this error.
            (_, Phase::Confirmation(confirming)) if self.confirms_anew_after(content, under_way) => {
                self.counts.misread += 1;
                self.confirm(confirming.clone(), now)
            }
            _ => match self.version_to_try(content, pvno, under_way) {
                Some(version) => Ok(State::OtherVersion(version)),
                None => Err(response::server_error(content)),
            },
        }
    }

    /// ip, cp or kup.
    fn certificates_came(
        &mut self,
        rep: CertRepMessage,
        message: &PkiMessage,
        (protected_by, bearer, is_late): (ProtectedBy, Option<Bearer>, bool),
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        let mut came = Received::with(message, protected_by);
        // The clock of somebody who may not decide moves none, nor does one that was read long ago.
        came.message_time.take_if(|said| bearer.is_some() || is_late && *said < now);
        came.granted &= bearer.as_ref().is_none_or(|bearer| self.may_confirm(&bearer.certificate, under_way));
        came.signer = self.transaction.signer().cloned();
        match self.plan.request {
            Request::Certificates(_) => self.several_answered(rep, &came, under_way, now),
            _ => self.certificate_answered(rep, &came, under_way, now),
        }
    }

    /// rp.
    fn revocation_came(&self, content: RevRepContent) -> Result<State, Error> {
        let context = &self.plan.context;
        let finished = match &self.plan.request {
            Request::Revocations(requests) => {
                revoke::check_answers(context, requests, content).map(Finished::Revocations)?
            }
            Request::Revocation(request) => revoke::check_answer(context, request, content).map(Finished::Revoked)?,
            Request::Certificate(_) | Request::Certificates(_) | Request::Information(_) => {
                return Err(does_not_belong_here());
            }
        };
        Ok(State::Done(finished))
    }

    /// genp.
    fn information_came(&self, items: Vec<InfoTypeAndValue>, now: Time) -> Result<State, Error> {
        let question = self.plan.request.question().ok_or_else(does_not_belong_here)?;
        let information = info::check_answer(&self.plan.context, question, items, now)?;
        Ok(State::Done(Finished::Information(information)))
    }

    /// pkiConf, or what says the same.
    fn confirmation_came(&mut self, confirming: &Confirming, now: Time) -> Result<State, Error> {
        Ok(match confirming {
            Confirming::Several => return self.several_confirmed(now),
            Confirming::One(issued, None) => self.confirmed(self.noted(issued), now),
            Confirming::One(issued, Some(error)) => {
                State::Failed { error: error.clone(), issued: Some(Arc::clone(issued)) }
            }
            Confirming::Unreadable(error) => State::Failed { error: error.clone(), issued: None },
        })
    }

    /// Whether certConf is made anew, in answer to this error: it says that something else arrived than was sent.
    pub(super) fn confirms_anew_after(&self, content: &ErrorMsgContent, under_way: &UnderWay) -> bool {
        matches!(under_way.phase, Phase::Confirmation(Confirming::One(..) | Confirming::Several))
            && under_way.polling.is_none()
            && self.counts.misread < MOST_REPEATED
            && content.status.fail_info.is_some_and(|bits| bits & ABOUT_CONFIRMATION != 0)
    }

    /// RFC 9810 section 7: a server that does not know the version names one that it does; the request is made once more
    /// with that, in a new transaction. Only a protected error leads here, so that nobody else chooses the version.
    fn version_to_try(&self, content: &ErrorMsgContent, theirs: i64, under_way: &UnderWay) -> Option<i64> {
        let ours = self.transaction.pvno;
        let is_version = content.status.fail_info.is_some_and(|bits| bits >> UNSUPPORTED_VERSION & 1 == 1);
        let is_first = under_way.body == self.plan.request.body() && under_way.polling.is_none();
        let is_new = self.other_version.is_none() && theirs != ours && matches!(theirs, 2 | 3);
        // RFC 9810 appendix B: EnvelopedData is not known to version 2.
        let may_change = !matches!(self.plan.request.question(), Some(Question::RevocationPassphrase(_)));
        (is_version && is_first && is_new && may_change).then_some(theirs)
    }

    /// A first answer says waiting: poll at once, the answer tells how long to wait (RFC 9483 section 4.4).
    pub(super) fn start_polling(
        &mut self,
        cert_req_id: i64,
        status: &PkiStatusInfo,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        if under_way.polling.is_some() {
            // "waiting" again where pollRep or a final answer belongs (RFC 9483 section 4.4): a server that has ways of its own,
            // or somebody who plays back the first answer. Neither makes the loop hot or uses up the polls.
            let wait = FIRST_WAIT_AGAIN_SECONDS;
            return Ok(self.wait_in_vain(wait, under_way, cert_req_id, now, |_| status.texts.clone()));
        }
        self.transaction.delayed_nonce = Some(self.transaction.sent_nonce.clone());
        let said = self.hears(&status.texts);
        self.poll(under_way, cert_req_id, &said, now)
    }

    /// pollRep. Who may not decide puts off no longer than an answer that proves nothing.
    fn told_to_wait(
        &mut self,
        entries: &[PollRep],
        bearer: Option<&Bearer>,
        under_way: &UnderWay,
        now: Time,
    ) -> Result<State, Error> {
        let wanted = under_way.polling.ok_or_else(does_not_belong_here)?;
        self.counts.misread = 0;
        // One request is out, so one entry is about it whatever its number: -1 is for whole messages (RFC 9483 section 4.4).
        let only = entries.first().filter(|entry| entries.len() == 1 && matches!(entry.cert_req_id, -1 | 0));
        // Of several that wait, the longest time: none is polled for before its own (RFC 9810 section 5.3.22).
        let open = self.several.open();
        let is_meant =
            |entry: &&PollRep| entry.cert_req_id == wanted || (wanted >= 0 && open.contains(&entry.cert_req_id));
        let longest = entries.iter().filter(is_meant).max_by_key(|entry| entry.check_after);
        let Some(entry) = longest.or(only) else {
            let words = format!("pollRep has no entry for certReqId {wanted}");
            return Err(POLLING.broken(Code::Protocol, words));
        };
        // Negative and absurd values are cut to what the caller allows.
        let most = bearer.map_or(i64::MAX, |_| LONGEST_WAIT_SECONDS).min(self.longest_wait_seconds());
        let seconds = entry.check_after.clamp(1, most);
        // The reason is optional (RFC 9810 section 5.3.22).
        let said = self.hears(&entry.reason);
        Ok(State::polling(Pause::new(seconds, now), said, under_way, wanted))
    }
}

fn does_not_belong_here() -> Error {
    BODY.broken(Code::UnexpectedBody, "a body that does not belong here")
}

fn in_phase(error: Error, body: BodyType) -> Error {
    let name = body.name();
    error.context(&format!("answer to {name}")).with(|facts| facts.phase = Some(body.into()))
}
