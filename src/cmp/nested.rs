//! Nested messages (RFC 9483 section 5.2.2): one request with an RA's approval around it, or several on their way together.

use ::der::Tag;

use super::authority::Act;
use super::ra::{Device, DeviceRequest, NONCE, RegistrationAuthority, TRANSACTION_ID};
use super::transaction::random;
use crate::asn1::cmp::{BodyType, PkiBody, PkiHeader, PkiMessage, PkiStatus, PkiStatusInfo};
use crate::asn1::der::{Cursor, sequence};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::features::{self, needs};
use crate::prelude::*;
use crate::time::Time;

const NESTED: Rule =
    Rule::new("RFC 9483 section 5.2.2 (A1, A2)", "nested, with at least one message that is not nested");
const SIGNED: Rule = Rule::new("RFC 9483 section 5.2.2 (A1)", "a signature of an RA");
const IDENTIFIERS: Rule = Rule::new(
    "RFC 9483 section 5.2.2.1 (A1)",
    "transactionID and senderNonce of the one message that is approved, of none of several",
);

/// Most messages in one nested message. The limit on bytes is reached before; this one bounds the bookkeeping.
const MAX_MESSAGES: usize = 1000;

/// systemUnavail: what a device is told whose answer was lost (RFC 9483 section 5.2.2.2).
const SYSTEM_UNAVAIL: u32 = 1 << 24;

/// Requests on their way together, and what is needed to bring the answers home.
#[derive(Clone, Debug)]
pub struct Batch {
    message: Vec<u8>,
    transaction_id: Vec<u8>,
    sender_nonce: Vec<u8>,
    requests: Vec<DeviceRequest>,
}

/// What the CA has answered to a batch.
enum Answered {
    /// To each by itself: transactionID, and the whole message.
    Each(Vec<(Option<Vec<u8>>, Vec<u8>)>),
    /// To all of them: it does not take the nested message.
    Refused(PkiStatusInfo),
}

/// A nested message from another RA, its signature checked.
#[derive(Clone, Debug)]
pub struct Nested {
    /// The messages in it, DER, as they came: each is checked as if it had come alone.
    pub messages: Vec<Vec<u8>>,
    /// The RA.
    pub signer: Certificate,
    /// Whether the RA approves of the one message in it (RFC 9483 section 5.2.2.1). A batch approves of nothing.
    pub approves: bool,
    header: PkiHeader,
}

impl Batch {
    /// The nested message, DER.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The requests in it, in their order.
    pub fn requests(&self) -> &[DeviceRequest] {
        &self.requests
    }
}

impl RegistrationAuthority {
    /// A request with the RA's approval around it (RFC 9483 section 5.2.2.1). The CA's answer is not nested; it goes to
    /// the device as it is.
    pub fn nest(&self, request: &DeviceRequest, now: Time) -> Result<Vec<u8>, Error> {
        needs(features::RA)?;
        let inner = request.message.header();
        let nonce = inner.sender_nonce.clone().unwrap_or_default();
        self.write(request.transaction_id().to_vec(), nonce, None, None, &[request.as_der()], now)
    }

    /// Requests that travel together (RFC 9483 section 5.2.2.2).
    ///
    /// Errors: [`Code::InvalidArgument`] for none, too many, or two of one transaction: their answers could not be told
    /// apart.
    pub fn batch(&self, requests: Vec<DeviceRequest>, now: Time) -> Result<Batch, Error> {
        needs(features::RA)?;
        if requests.is_empty() || requests.len() > MAX_MESSAGES {
            let words = format!("{} messages in one nested message; 1 to {MAX_MESSAGES} are taken", requests.len());
            return Err(Error::new(Code::InvalidArgument, words));
        }
        for (number, request) in requests.iter().enumerate() {
            if requests[..number].iter().any(|other| other.transaction_id() == request.transaction_id()) {
                return Err(Error::new(Code::InvalidArgument, "two messages of one transaction in one nested message"));
            }
        }
        let (transaction_id, sender_nonce) = (random(&self.context)?, random(&self.context)?);
        let inner: Vec<&[u8]> = requests.iter().map(DeviceRequest::as_der).collect();
        let message = self.write(transaction_id.clone(), sender_nonce.clone(), None, None, &inner, now)?;
        Ok(Batch { message, transaction_id, sender_nonce, requests })
    }

    /// The answers to a batch, one for each request and in the order of the requests, as they go to the devices. Answers
    /// that nobody asked for are dropped; a request without answer is answered with systemUnavail. `None`: nothing came. Where the CA
    /// refuses the nested message itself, each device is told so in the CA's words, in its own transaction (RFC 9483 section 3.6.3).
    ///
    /// Errors: the nested answer is not the CA's, or not to this batch; call again with `None` to tell the devices.
    pub fn unbundle(&self, batch: &Batch, answer: Option<&[u8]>, now: Time) -> Result<Vec<Vec<u8>>, Error> {
        needs(features::RA)?;
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.fail_info = Some(SYSTEM_UNAVAIL);
        status.texts.push("no answer came to the RA".to_owned());
        let came = match answer.map(|answer| self.open_answer(batch, answer, now)).transpose()? {
            Some(Answered::Each(came)) => came,
            Some(Answered::Refused(told)) => {
                status = told;
                Vec::new()
            }
            None => Vec::new(),
        };
        let answer_to = |request: &DeviceRequest| {
            let found = came.iter().find(|(id, _)| id.as_deref() == Some(request.transaction_id()));
            match found {
                Some((_, der)) => Ok(der.clone()),
                None => self.refuse(request.as_der(), Some(request), &status, now),
            }
        };
        batch.requests.iter().map(answer_to).collect()
    }

    /// Takes a nested message of another RA: its path ends at the anchors of devices, its certificate has the purpose
    /// cmcRA.
    ///
    /// Errors: it is not protected, not an RA's, or holds nothing or nested messages.
    pub fn open(&self, nested: &[u8], now: Time) -> Result<Nested, Error> {
        needs(features::RA)?;
        let message = PkiMessage::from_der(nested.to_vec(), &self.context.limits)?;
        if message.body_type() != BodyType::NESTED {
            let words = format!("expected nested, got {}", message.body_type());
            return Err(NESTED.broken(Code::UnexpectedBody, words));
        }
        let (signer, _) = self.check_protection(&message, None, Act::NestedRequest(&self.devices), now)?;
        let Device::Certificate(signer) = signer else {
            return Err(SIGNED.broken(Code::ProtectionInvalid, "a nested message under a MAC"));
        };
        let messages = self.messages_in(&message)?;
        let header = message.header().clone();
        let inner: Vec<&PkiHeader> = messages.iter().map(PkiMessage::header).collect();
        let is_same = |h: &&PkiHeader| h.transaction_id.is_some() && h.transaction_id == header.transaction_id;
        let approves = match &inner[..] {
            [one] if is_same(one) => one.sender_nonce == header.sender_nonce,
            _ => false,
        };
        if !approves && inner.iter().any(is_same) {
            let words = "a nested message with the transactionID of one of several, or without its senderNonce";
            return Err(IDENTIFIERS.broken(Code::TransactionId, words));
        }
        let messages = messages.iter().map(|m| m.as_der().to_vec()).collect();
        Ok(Nested { messages, signer, approves, header })
    }

    /// The answers to a batch that came from another RA, nested for it.
    pub fn answer_batch(&self, nested: &Nested, answers: &[&[u8]], now: Time) -> Result<Vec<u8>, Error> {
        needs(features::RA)?;
        if nested.approves {
            let words = "the answer to a single nested request is not nested (RFC 9483 section 5.2.2.1)";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        let (id, nonce) = (nested.header.transaction_id.clone().unwrap_or_default(), random(&self.context)?);
        let theirs = nested.header.sender_nonce.clone();
        self.write(id, nonce, theirs, Some(nested.signer.subject().to_vec()), answers, now)
    }

    fn open_answer(&self, batch: &Batch, answer: &[u8], now: Time) -> Result<Answered, Error> {
        let (message, _) = self.check_answer(answer, now)?;
        let header = message.header();
        if header.transaction_id.as_ref() != Some(&batch.transaction_id) {
            return Err(TRANSACTION_ID.broken(Code::TransactionId, "the nested answer belongs to another batch"));
        }
        if header.recip_nonce.as_ref() != Some(&batch.sender_nonce) {
            return Err(NONCE.broken(Code::Nonce, "the nested answer's recipNonce is not the batch's senderNonce"));
        }
        if message.body_type() == BodyType::ERROR {
            return self.refused_as_a_whole(&message);
        }
        if message.body_type() != BodyType::NESTED {
            let words = format!("expected nested in answer to a batch, got {}", message.body_type());
            return Err(NESTED.broken(Code::UnexpectedBody, words));
        }
        let inner = self.messages_in(&message)?;
        let each = inner.into_iter().map(|m| (m.header().transaction_id.clone(), m.as_der().to_vec())).collect();
        Ok(Answered::Each(each))
    }

    /// What each device is told of an error about the nested message.
    fn refused_as_a_whole(&self, message: &PkiMessage) -> Result<Answered, Error> {
        let PkiBody::Error(content) = message.body(&self.context.limits)? else {
            return Err(NESTED.broken(Code::UnexpectedBody, "a body of type error that is none"));
        };
        if content.status.status == PkiStatus::Waiting {
            // To a device it would mean that its own request waits, which nobody would know of.
            return Err(Error::new(
                Code::Unsupported,
                "the CA lets the batch wait, and batches are not polled for here",
            ));
        }
        let texts = [content.status.texts, content.details].concat();
        Ok(Answered::Refused(PkiStatusInfo { status: PkiStatus::Rejection, texts, ..content.status }))
    }

    /// `NestedMessageContent ::= PKIMessages`, a sequence of at least one.
    fn messages_in(&self, message: &PkiMessage) -> Result<Vec<PkiMessage>, Error> {
        let mut list = Cursor::sequence(message.body_content(), "PKIMessages")?;
        let mut messages = Vec::new();
        while !list.is_empty() {
            if messages.len() == MAX_MESSAGES {
                let words = format!("more than {MAX_MESSAGES} messages in one nested message");
                return Err(Error::new(Code::Limit, words));
            }
            let one = list.expect(Tag::Sequence, "a PKIMessage")?.bytes.to_vec();
            let one = PkiMessage::from_der(one, &self.context.limits)?;
            if one.body_type() == BodyType::NESTED {
                return Err(NESTED.broken(Code::Protocol, "nested messages in a nested message"));
            }
            messages.push(one);
        }
        if messages.is_empty() {
            return Err(NESTED.broken(Code::Protocol, "a nested message without any"));
        }
        Ok(messages)
    }

    fn write(
        &self,
        transaction_id: Vec<u8>,
        sender_nonce: Vec<u8>,
        recip_nonce: Option<Vec<u8>>,
        recipient: Option<Vec<u8>>,
        messages: &[&[u8]],
        now: Time,
    ) -> Result<Vec<u8>, Error> {
        let header = PkiHeader {
            pvno: 2,
            sender: None,
            recipient: recipient.or_else(|| self.context.recipient.as_ref().map(|name| name.as_der().to_vec())),
            message_time: Some(now),
            protection_alg: None,
            sender_kid: None,
            recip_kid: None,
            transaction_id: Some(transaction_id),
            sender_nonce: Some(sender_nonce),
            recip_nonce,
            free_text: Vec::new(),
            general_info: Vec::new(),
        };
        self.sign(header, BodyType::NESTED, &sequence(messages), &[])
    }
}
