//! PKIBody, the choice of message types (RFC 9810 section 5.1.2).

use core::fmt;

use ::der::{Tag, TagNumber};

use super::certrep::CertRepMessage;
use super::challenge::Challenge;
use super::header::{InfoTypeAndValue, read_general_info};
use super::poll::PollRep;
use super::revocation::RevRepContent;
use super::status::ErrorMsgContent;
use crate::asn1::der::{Asn1Error, Tlv, element};
use crate::limits::Limits;
use crate::phase::{Phase, body_name};
use crate::prelude::*;

/// The tag number of a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyType(pub u8);

#[allow(missing_docs, reason = "the names are the standard's")]
impl BodyType {
    pub const IR: BodyType = BodyType(0);
    pub const IP: BodyType = BodyType(1);
    pub const CR: BodyType = BodyType(2);
    pub const CP: BodyType = BodyType(3);
    pub const P10CR: BodyType = BodyType(4);
    pub const POPDECC: BodyType = BodyType(5);
    pub const POPDECR: BodyType = BodyType(6);
    pub const KUR: BodyType = BodyType(7);
    pub const KUP: BodyType = BodyType(8);
    pub const RR: BodyType = BodyType(11);
    pub const RP: BodyType = BodyType(12);
    pub const PKICONF: BodyType = BodyType(19);
    pub const NESTED: BodyType = BodyType(20);
    pub const GENM: BodyType = BodyType(21);
    pub const GENP: BodyType = BodyType(22);
    pub const ERROR: BodyType = BodyType(23);
    pub const CERTCONF: BodyType = BodyType(24);
    pub const POLLREQ: BodyType = BodyType(25);
    pub const POLLREP: BodyType = BodyType(26);

    /// The standard's name for it.
    pub const fn name(self) -> &'static str {
        body_name(self.0)
    }

    /// Of the message that something failed with.
    pub(crate) const fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Message(tag) => Some(BodyType(tag)),
            Phase::Exchange(_) => None,
        }
    }

    /// Whether it asks for a certificate, so that a refusal of it is one of the request itself.
    pub(crate) const fn asks_for_certificate(self) -> bool {
        matches!(self, BodyType::IR | BodyType::CR | BodyType::P10CR | BodyType::KUR)
    }

    /// What answers this request, besides an error.
    pub(crate) const fn answer(self) -> Option<BodyType> {
        Some(match self {
            BodyType::IR => BodyType::IP,
            BodyType::CR | BodyType::P10CR => BodyType::CP,
            BodyType::KUR => BodyType::KUP,
            BodyType::RR => BodyType::RP,
            BodyType::GENM => BodyType::GENP,
            BodyType::CERTCONF => BodyType::PKICONF,
            BodyType::POLLREQ => BodyType::POLLREP,
            _ => return None,
        })
    }

    /// Whether end entities send it, so that it is nobody's answer.
    pub(crate) fn is_request(self) -> bool {
        const REQUESTS: [BodyType; 9] = [
            BodyType::IR,
            BodyType::CR,
            BodyType::P10CR,
            BodyType::KUR,
            BodyType::RR,
            BodyType::GENM,
            BodyType::CERTCONF,
            BodyType::POLLREQ,
            BodyType::POPDECR,
        ];
        REQUESTS.contains(&self)
    }
}

impl From<BodyType> for Phase {
    fn from(body: BodyType) -> Self {
        Phase::Message(body.0)
    }
}

impl fmt::Debug for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A received body, as far as an end entity needs to look into it.
#[derive(Clone, Debug)]
pub enum PkiBody {
    /// ip, cp, kup.
    CertRep(CertRepMessage),
    /// popdecc.
    Challenges(Vec<Challenge>),
    /// rp.
    RevRep(RevRepContent),
    /// genp.
    GenRep(Vec<InfoTypeAndValue>),
    /// error.
    Error(ErrorMsgContent),
    /// pkiconf.
    PkiConf,
    /// pollRep.
    PollRep(Vec<PollRep>),
    /// Any other: content of the explicit tag.
    Other(Vec<u8>),
}

impl PkiBody {
    /// Which body an element is; `None` if its tag is none of a body.
    pub(super) fn type_of(field: &Tlv<'_>) -> Option<BodyType> {
        match field.tag {
            Tag::ContextSpecific { constructed: true, number: TagNumber(n @ 0..=26) } => Some(BodyType(n as u8)),
            _ => None,
        }
    }

    pub(super) fn parse(body_type: BodyType, content: &[u8], limits: &Limits) -> Result<Self, Asn1Error> {
        match body_type {
            BodyType::IP | BodyType::CP | BodyType::KUP => {
                CertRepMessage::parse(content, limits.max_certificates).map(PkiBody::CertRep)
            }
            BodyType::POPDECC => Challenge::parse_all(content).map(PkiBody::Challenges),
            BodyType::RP => RevRepContent::parse(content, limits.max_certificates).map(PkiBody::RevRep),
            BodyType::GENP => read_general_info(content).map(PkiBody::GenRep),
            BodyType::ERROR => ErrorMsgContent::parse(content).map(PkiBody::Error),
            // The tag says it all; NULL is what belongs there, and servers with an empty SEQUENCE or nothing exist.
            BodyType::PKICONF => Ok(PkiBody::PkiConf),
            BodyType::POLLREP => PollRep::parse_all(content).map(PkiBody::PollRep),
            _ => Ok(PkiBody::Other(content.to_vec())),
        }
    }
}

/// The DER of a body: its content under its explicit tag.
pub fn encode_body(body_type: BodyType, content: &[u8]) -> Vec<u8> {
    element(0xa0 | body_type.0, &[content])
}
