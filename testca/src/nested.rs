//! Nested messages as the CA takes them (RFC 9483 section 5.2.2): one request with an RA's approval, or a batch.

use crate::TestCa;
use crate::certs::Parsed;
use crate::check::check_rules;
use crate::cmp::{Credential, Refusal, bit, refuse};
use crate::knobs::Knobs;
use crate::read::{Header, take_apart};
use crate::tlv::{Node, seq};
use crate::trust::is_ra;

/// What becomes of a nested message.
pub(crate) enum Unnested {
    /// The answer to the one request in it, as it goes out.
    Answer(Vec<u8>),
    /// The body of the nested answer.
    Body(u8, Vec<u8>),
}

impl TestCa {
    pub(crate) fn unnest(
        &mut self,
        header: &Header,
        body: &Node,
        message: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<Unnested, Refusal> {
        let credential = self.check_protection(header, message, 20, now)?;
        if !self.is_own_ra(&credential) {
            return refuse(bit::NOT_AUTHORIZED, "a nested message from someone who is no RA of this CA");
        }
        let inner = &body.inner()?.children;
        let [first, ..] = &inner[..] else { return refuse(bit::BAD_DATA_FORMAT, "a nested message without any") };
        if inner.iter().any(|one| one.at(1).is_ok_and(|body| body.tag == 0xb4)) {
            return refuse(bit::BAD_REQUEST, "nested messages in a nested message");
        }
        let (first_header, ..) = take_apart(&first.bytes)?;
        if first_header.transaction == header.transaction {
            if inner.len() != 1 || first_header.sender_nonce != header.sender_nonce {
                return refuse(
                    bit::BAD_REQUEST,
                    "transactionID of the inner message, but not its senderNonce, or several",
                );
            }
            return Ok(Unnested::Answer(self.answer(&first.bytes, now)));
        }
        if knobs.strict {
            check_rules(header, 20, true, true, &credential)?;
        }
        let mut answers: Vec<Vec<u8>> = inner.iter().map(|one| self.answer(&one.bytes, now)).collect();
        if knobs.batch_missing {
            answers.pop();
        }
        if knobs.batch_extra {
            let stray = self.answer(b"a request that nobody sent", now);
            answers.insert(0, stray);
        }
        Ok(Unnested::Body(20, seq(&[&answers.concat()])))
    }

    /// Whether this credential is a certificate of this CA for an RA.
    pub(crate) fn is_own_ra(&self, credential: &Credential) -> bool {
        let Credential::Certificate(der) = credential else { return false };
        Parsed::read(der).is_ok_and(|c| c.issuer == self.issuing.name()) && is_ra(der)
    }
}
