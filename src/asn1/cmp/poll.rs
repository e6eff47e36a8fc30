//! PollReqContent and PollRepContent (RFC 9810 section 5.3.22).

use ::der::Tag;

use super::status::{read_free_text, read_number};
use crate::asn1::der::{Asn1Error, Cursor, encode, sequence};
use crate::prelude::*;

/// Most entries of a pollRep: more requests than are polled for together.
pub const MAX_POLLED: usize = 64;

/// One entry of
/// ```text
/// PollRepContent ::= SEQUENCE OF SEQUENCE {
///     certReqId   INTEGER,
///     checkAfter  INTEGER,  -- time in seconds
///     reason      PKIFreeText  OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollRep {
    /// Which request; -1 for a whole message.
    pub cert_req_id: i64,
    /// Seconds to wait; what the server wrote, which may be absurd.
    pub check_after: i64,
    /// Why, in the server's words.
    pub reason: Vec<String>,
}

impl PollRep {
    pub(super) fn parse_all(element: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        const WHAT: &str = "PollRepContent";
        const MOST: usize = MAX_POLLED;
        let mut entries = Vec::new();
        let mut cursor = Cursor::sequence(element, WHAT)?;
        while !cursor.is_empty() {
            if entries.len() == MOST {
                return Err(Asn1Error::too_large(WHAT, "count", MOST, MOST + 1));
            }
            let mut fields = Cursor::new(cursor.expect(Tag::Sequence, "an entry")?.value, WHAT)?;
            let cert_req_id = fields.decode()?;
            // Any number is an answer; one beyond 64 bits is as good as the largest.
            let check_after = read_number(&fields.expect(Tag::Integer, "checkAfter")?);
            let reason = read_free_text(&mut fields)?;
            fields.finish()?;
            entries.push(PollRep { cert_req_id, check_after, reason });
        }
        Ok(entries)
    }
}

/// `PollReqContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER }`, DER.
pub fn poll_req(cert_req_ids: &[i64]) -> Vec<u8> {
    let entries: Vec<u8> = cert_req_ids.iter().flat_map(|id| sequence(&[&encode(id)])).collect();
    sequence(&[&entries])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_poll_request_stands_in_a_sequence_of_its_own() {
        assert_eq!(poll_req(&[0, -1]), [0x30, 0x0a, 0x30, 0x03, 0x02, 0x01, 0x00, 0x30, 0x03, 0x02, 0x01, 0xff]);
    }
}
