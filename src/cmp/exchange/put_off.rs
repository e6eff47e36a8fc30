//! A message that somebody without authority has put off: see [`delay`](super::delay).

use crate::asn1::cmp::BodyType;
use crate::prelude::*;

/// A message that was put off by nobody but signers without authority.
#[derive(Clone)]
pub(in crate::cmp) struct PutOff {
    /// DER, to be sent again as it is.
    pub message: Vec<u8>,
    pub body: BodyType,
    /// What is polled for in its place.
    pub cert_req_id: i64,
    /// Polls in vain, one after the other.
    pub in_vain: u32,
    /// How many of these it takes.
    pub patience: u32,
    /// How often it was sent again.
    pub sent_again: u32,
}
