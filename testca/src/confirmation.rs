//! What follows an answer with a certificate: certConf and pollReq.

use crate::TestCa;
use crate::answer::status_info;
use crate::certs::Parsed;
use crate::cmp::{Refusal, bit, refuse};
use crate::knobs::Knobs;
use crate::mac::digest_by_name;
use crate::read::Header;
use crate::tlv::{Node, int, seq, utf8};

impl TestCa {
    pub(crate) fn confirmation(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        if knobs.no_confirmations {
            return refuse(bit::BAD_REQUEST, "no certConf is taken here");
        }
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        if !transaction.several.is_empty() {
            return self.several_confirmed(header, content, knobs);
        }
        let Some(issued) = transaction.issued.clone() else {
            // RFC 9810 section 5.2.3: once is enough.
            let is_over = transaction.is_confirmed;
            return match is_over {
                true => refuse(bit::CERT_CONFIRMED, "confirmed already"),
                false => refuse(bit::BAD_REQUEST, "nothing to confirm"),
            };
        };
        if transaction.implicit {
            return refuse(bit::CERT_CONFIRMED, "confirmed already, by implicitConfirm");
        }
        let [status] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one CertStatus");
        };
        if status.at(1)?.integer()? != transaction.id {
            return refuse(bit::BAD_REQUEST, "certReqId is not the one of the response");
        }
        let accepted = is_accepted(header, status, &issued)?;
        transaction.issued = None;
        transaction.is_confirmed = true;
        let serial = Parsed::read(&issued)?.serial;
        if accepted {
            self.confirmed.push(issued);
        } else {
            self.rejected.push(issued);
            self.revoke(&serial, 5);
        }
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        if knobs.confirm_waiting > 0 {
            transaction.pending = Some((19, vec![5, 0]));
            transaction.polls_left = knobs.confirm_waiting;
            transaction.delayed_nonce = header.sender_nonce.clone();
            return Ok((23, seq(&[&status_info(3, 0, &knobs.poll_reason)])));
        }
        Ok((19, vec![5, 0]))
    }

    pub(crate) fn poll(&mut self, header: &Header, content: &Node, knobs: &Knobs) -> Result<(u8, Vec<u8>), Refusal> {
        let is_several = self.transactions.get(&header.transaction).is_some_and(|t| t.waits_for_some());
        if is_several {
            return self.several_polled(header, content, knobs);
        }
        let [entry] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one certReqId to poll for");
        };
        let id = entry.at(0)?.integer()?;
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let Some((tag, _)) = &transaction.pending else {
            return refuse(bit::BAD_REQUEST, "nothing is delayed");
        };
        let expected = if matches!(tag, 12 | 19 | 22) || knobs.waiting_by_error { -1 } else { transaction.id };
        if id != expected {
            return refuse(bit::BAD_REQUEST, format!("polled for certReqId {id}, expected {expected}"));
        }
        if transaction.polls_left > 0 {
            transaction.polls_left -= 1;
            let reason = if knobs.poll_reason.is_empty() { Vec::new() } else { seq(&[&utf8(&knobs.poll_reason)]) };
            return Ok((26, seq(&[&seq(&[&int(id), &int(knobs.check_after), &reason])])));
        }
        Ok(transaction.pending.take().expect("looked at above"))
    }
}

/// Whether a CertStatus accepts this certificate.
pub(crate) fn is_accepted(header: &Header, status: &Node, issued: &[u8]) -> Result<bool, Refusal> {
    let digest = match status.tagged(0xa0) {
        Some(algorithm) if header.pvno == 3 => algorithm.inner()?.at(0)?.oid()?,
        Some(_) => return refuse(bit::BAD_REQUEST, "hashAlg needs pvno 3"),
        None => Parsed::read(issued)?.hash_name()?.to_owned(),
    };
    if status.at(0)?.value() != digest_by_name(&digest)?(issued) {
        return refuse(bit::BAD_CERT_ID, "certHash is not the digest of the certificate issued");
    }
    // RFC 9483 section 4.1.1: accepted or rejection, and failInfo with rejection alone.
    Ok(match status.children.iter().skip(2).find(|c| c.tag == 0x30) {
        Some(info) => match (info.at(0)?.integer()?, info.children.iter().any(|field| field.tag == 0x03)) {
            (0, true) => return refuse(bit::BAD_REQUEST, "certConf with accepted and failInfo"),
            (0, false) => true,
            (2, _) => false,
            (other, _) => return refuse(bit::BAD_REQUEST, format!("certConf with status {other}")),
        },
        None => true,
    })
}
