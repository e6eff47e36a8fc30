//! A message whose answer was put off by somebody without authority: it is kept, and sent again where polling leads nowhere.
//!
//! pollReq is for who has the request (RFC 9483 section 4.4). "Waiting" of an authorised signer says that the CA has it. Of
//! another it says so only if that is the CA's own server: a neighbour on the way that says it has kept the request to itself,
//! and the CA knows of nothing that waits. The two look alike, so both ways stay open: pollReq goes out at once, as for
//! any CA; where that is answered by what leads nowhere, the message itself goes out again after the wait of a dropped answer, with
//! the same bytes, and pollReq and it take turns. A CA that answers pollReq never sees the message twice. One that does takes it
//! for what it is, a message under a transactionID and nonce that it knows (RFC 9810 section 5.1.1: transactionIdInUse), and
//! that refusal is dropped, or is a CA's that may refuse. Where the CA finds it too old (badTime), it is made anew.

use super::Exchange;
use super::put_off::PutOff;
use crate::asn1::cmp::{PkiBody, PkiStatus};
use crate::cmp::response::Checked;
use crate::cmp::state::{Sent, State, UnderWay};
use crate::error::Error;
use crate::prelude::*;

/// How many polls in vain it takes to send the message again once pollReq was answered as by who has it.
const PATIENCE_ONCE_ANSWERED: u32 = 3;
/// How often certConf is sent again though the answer to that proves nothing either. Without the "waiting" it would end by the first.
const MOST_CONFIRMATIONS: u32 = 3;

impl Exchange {
    /// Notes by whose word the message under way waits, before the answer is acted on.
    pub(super) fn note_delay(&mut self, checked: &Checked, under_way: &UnderWay, message: Option<&[u8]>) {
        let cert_req_id = match &checked.body {
            PkiBody::Error(content) if content.status.status == PkiStatus::Waiting => -1,
            PkiBody::CertRep(rep) => match rep.responses.iter().find(|one| one.status.status == PkiStatus::Waiting) {
                Some(waiting) => waiting.cert_req_id,
                None => return self.put_off = None,
            },
            PkiBody::PollRep(_) => {
                match (&checked.bearer, &mut self.put_off) {
                    (Some(_), Some(put_off)) => (put_off.in_vain, put_off.patience) = (0, PATIENCE_ONCE_ANSWERED),
                    _ => self.put_off = None,
                }
                return;
            }
            // Of an error it hangs on what it answers.
            PkiBody::Error(_) => return,
            _ => return self.put_off = None,
        };
        match (&checked.bearer, message.filter(|_| under_way.polling.is_none())) {
            (None, _) => self.put_off = None,
            // Who has authority has said waiting before, or nobody has.
            (Some(_), None) => {}
            (Some(_), Some(message)) => {
                let before = self.put_off.take();
                let (patience, sent_again) = before.map_or((1, 0), |before| (before.patience, before.sent_again));
                self.put_off = Some(PutOff {
                    message: message.to_vec(),
                    body: under_way.body,
                    cert_req_id,
                    in_vain: 0,
                    patience,
                    sent_again,
                });
            }
        }
    }

    /// Whether pollReq is all that this message is, and by nobody's word who could know.
    pub(super) fn is_put_off(&self) -> bool {
        self.put_off.is_some()
    }

    /// Whether what was put off has been sent again.
    pub(super) fn was_sent_again(&self) -> bool {
        self.put_off.as_ref().is_some_and(|put_off| put_off.sent_again > 0)
    }

    /// The message that was put off is made anew.
    pub(super) fn give_up_put_off(&mut self) {
        self.put_off = None;
    }

    /// A poll was answered by what leads nowhere.
    pub(super) fn polled_in_vain(&mut self) {
        if let Some(put_off) = &mut self.put_off {
            put_off.in_vain = put_off.in_vain.saturating_add(1);
        }
    }

    /// What is polled for once the answer to this message, sent again, has proved nothing. `None` where that ends it as ever.
    pub(super) fn polls_on_after(&self, under_way: &UnderWay) -> Option<i64> {
        let put_off = self.put_off.as_ref().filter(|put_off| put_off.sent_again > 0)?;
        let is_enough = under_way.is_confirming() && put_off.sent_again >= MOST_CONFIRMATIONS;
        (under_way.polling.is_none() && !is_enough).then_some(put_off.cert_req_id)
    }

    /// The message that was put off, where it is its turn and not pollReq's.
    pub(super) fn send_again(&mut self, under_way: &UnderWay, reason: &[String]) -> Result<Option<State>, Error> {
        let Some(put_off) = self.put_off.as_mut().filter(|put_off| put_off.in_vain >= put_off.patience) else {
            return Ok(None);
        };
        put_off.in_vain = 0;
        put_off.sent_again = put_off.sent_again.saturating_add(1);
        let (output, body) = (put_off.message.clone(), put_off.body);
        self.count_poll(reason)?;
        // Its own nonce is the last one again.
        if let Some(nonce) = &self.transaction.delayed_nonce {
            self.transaction.sent_nonce.clone_from(nonce);
        }
        let under_way = UnderWay::new(body, under_way.phase.clone());
        Ok(Some(State::Sent(Sent { output, under_way, inbox: None, asked_at: None })))
    }
}
