//! The exchange before the request of a KEM key: the server encapsulates a secret to it (RFC 9810 section 5.1.3.4; see
//! [`kem_mac`](crate::cmp::kem_mac)).

use super::Exchange;
use crate::asn1::cmp::general::gen_msg;
use crate::asn1::cmp::{BodyType, InfoTypeAndValue};
use crate::asn1::oid;
use crate::cmp::kem_mac;
use crate::cmp::state::{Phase, State, UnderWay};
use crate::codes::Code;
use crate::error::{Error, Rule};
use crate::prelude::*;
use crate::time::Time;

const CIPHERTEXT: Rule = Rule::new("RFC 9810 section 5.1.3.4 (H24)", "KemCiphertextInfo with a value");

impl Exchange {
    /// Asks for the ciphertext.
    pub(super) fn ask_for_ciphertext(&mut self, now: Time) -> Result<State, Error> {
        let question = InfoTypeAndValue { info_type: oid::IT_KEM_CIPHERTEXT_INFO, value: Vec::new() };
        self.send(UnderWay::new(BodyType::GENM, Phase::Encapsulation), &gen_msg(&question), 2, now)
    }

    /// The ciphertext is here, or the answer is none: the request goes out under the derived key.
    pub(super) fn ciphertext_came(&mut self, items: &[InfoTypeAndValue], now: Time) -> Result<State, Error> {
        let item = items.iter().find(|item| item.info_type == oid::IT_KEM_CIPHERTEXT_INFO && !item.value.is_empty());
        let Some(item) = item else {
            return Err(
                CIPHERTEXT.broken(Code::Protocol, "the server encapsulated no secret to the credential's KEM key")
            );
        };
        self.transaction.kem_ciphertext = Some(item.value.clone());
        self.transaction.own_mac = Some(kem_mac::derive(&self.plan.context, &self.transaction)?);
        self.begin_request(now)
    }
}
