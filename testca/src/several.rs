//! Several certificates by one request (RFC 9810 sections 5.3.1 to 5.3.4, 5.3.18, 5.3.22): each is issued, refused, delayed and confirmed by
//! itself.

use crate::TestCa;
use crate::answer::{status_info, status_with};
use crate::certs::Parsed;
use crate::check::check_profile;
use crate::cmp::{Credential, IMPLICIT_CONFIRM, Refusal, Transaction, bit, refuse};
use crate::confirmation::is_accepted;
use crate::issuing::Evaluated;
use crate::knobs::Knobs;
use crate::read::Header;
use crate::tlv::{Node, int, seq, tlv, utf8};

/// What becomes of one of several requests.
pub(crate) struct Part {
    id: i64,
    /// Tag of the body that answers it.
    tag: u8,
    /// CertResponse.
    response: Vec<u8>,
    certificate: Option<Vec<u8>>,
    /// Whether the client has not been told yet.
    waits: bool,
    /// Whether it was confirmed, or turned down, or need not be.
    is_over: bool,
}

impl Transaction {
    /// Whether some of several certificates are still waited for.
    pub(crate) fn waits_for_some(&self) -> bool {
        self.pending.is_none() && self.several.iter().any(|part| part.waits)
    }
}

impl TestCa {
    pub(crate) fn several_requests(
        &mut self,
        header: &Header,
        number: u8,
        content: &Node,
        credential: &Credential,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let count = content.children.len();
        let mut ids = Vec::new();
        for message in &content.children {
            ids.push(message.at(0)?.at(0)?.integer()?);
        }
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        if count == 0 || !sorted.iter().copied().eq(0..i64::try_from(count).unwrap_or(0)) {
            return refuse(bit::BAD_REQUEST, "certReqIds are not 0, 1, ... each once");
        }
        check_profile(header, count, knobs)?;
        let waiting: Vec<i64> = knobs.waiting_ids.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        let waits = |id: i64| knobs.waiting > 0 && (waiting.is_empty() || waiting.contains(&id));
        let mut parts = Vec::new();
        for (id, message) in ids.into_iter().zip(&content.children) {
            let (response, certificate) = match self.evaluate(header, number, message, credential, knobs, now) {
                Ok(Evaluated::Issued { certificate, pair }) => {
                    let status = status_with(knobs.status, knobs.fail_info, &knobs.text, &knobs.text_form);
                    (seq(&[&int(id), &status, &seq(&[&pair])]), Some(certificate))
                }
                Ok(Evaluated::Challenged(_)) => {
                    return refuse(bit::BAD_POP, "a proof of possession by challenge among several requests");
                }
                Err(refusal) => (seq(&[&int(id), &status_info(2, 1 << refusal.bit, &refusal.text)]), None),
            };
            let is_over = certificate.is_none();
            parts.push(Part { id, tag: number + 1, response, certificate, waits: waits(id), is_over });
        }
        let anchors = if knobs.ca_pubs { tlv(0xa1, &[&seq(&[&self.root.certificate])]) } else { Vec::new() };
        let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
        let asked = header.info.contains_key(IMPLICIT_CONFIRM);
        transaction.implicit = match knobs.implicit_confirm.as_str() {
            "ignore" => false,
            "always" => true,
            _ => asked && !transaction.proves_by_confirming,
        };
        let told = |part: &Part| match part.waits {
            true => seq(&[&int(part.id), &status_info(3, 0, &knobs.poll_reason)]),
            false => part.response.clone(),
        };
        let responses: Vec<u8> = parts.iter().flat_map(told).collect();
        for part in &mut parts {
            part.is_over |= transaction.implicit;
        }
        transaction.several = parts;
        transaction.polls_left = knobs.waiting;
        transaction.delayed_nonce = header.sender_nonce.clone();
        Ok((number + 1, seq(&[&anchors, &seq(&[&responses])])))
    }

    /// One more of those that wait comes after each `waiting` pollReps.
    pub(crate) fn several_polled(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let mut ids = Vec::new();
        for entry in &content.children {
            let id = entry.at(0)?.integer()?;
            if ids.contains(&id) || !transaction.several.iter().any(|part| part.id == id && part.waits) {
                return refuse(bit::BAD_REQUEST, format!("polled for certReqId {id}, which does not wait"));
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return refuse(bit::BAD_REQUEST, "polled for nothing");
        }
        if transaction.polls_left > 0 {
            transaction.polls_left -= 1;
            let reason = if knobs.poll_reason.is_empty() { Vec::new() } else { seq(&[&utf8(&knobs.poll_reason)]) };
            let entry = |id: &i64| seq(&[&int(*id), &int(knobs.check_after), &reason]);
            return Ok((26, seq(&[&ids.iter().flat_map(entry).collect::<Vec<u8>>()])));
        }
        transaction.polls_left = knobs.waiting;
        let ready = transaction.several.iter_mut().find(|part| part.id == ids[0]).expect("looked at above");
        ready.waits = false;
        Ok((ready.tag, seq(&[&seq(&[&ready.response])])))
    }

    /// RFC 9810 section 5.3.18: what is left out is rejected.
    pub(crate) fn several_confirmed(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let is_due = |part: &Part| !part.waits && !part.is_over;
        if !transaction.several.iter().any(is_due) {
            return refuse(bit::CERT_CONFIRMED, "nothing to confirm, or confirmed already");
        }
        let mut accepted = Vec::new();
        let mut ids = Vec::new();
        for status in &content.children {
            let id = status.at(1)?.integer()?;
            let part = transaction.several.iter().find(|part| part.id == id && is_due(part));
            let Some(certificate) = part.and_then(|part| part.certificate.as_ref()).filter(|_| !ids.contains(&id))
            else {
                return refuse(bit::BAD_REQUEST, format!("certReqId {id} is not to be confirmed, or twice"));
            };
            ids.push(id);
            if is_accepted(header, status, certificate)? {
                accepted.push(id);
            }
        }
        let mut over = Vec::new();
        for part in transaction.several.iter_mut().filter(|part| is_due(part)) {
            part.is_over = true;
            over.extend(part.certificate.clone().map(|certificate| (accepted.contains(&part.id), certificate)));
        }
        transaction.is_confirmed = true;
        if knobs.confirm_waiting > 0 {
            transaction.pending = Some((19, vec![5, 0]));
            transaction.polls_left = knobs.confirm_waiting;
            transaction.delayed_nonce = header.sender_nonce.clone();
        }
        for (is_taken, certificate) in over {
            if is_taken {
                self.confirmed.push(certificate);
            } else {
                let serial = Parsed::read(&certificate)?.serial;
                self.rejected.push(certificate);
                self.revoke(&serial, 5);
            }
        }
        if knobs.confirm_waiting > 0 {
            return Ok((23, seq(&[&status_info(3, 0, &knobs.poll_reason)])));
        }
        Ok((19, vec![5, 0]))
    }
}
