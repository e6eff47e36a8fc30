//! The challenge-response proof of possession (RFC 9810 section 5.2.8.3.3): popdecc and popdecr.

use ::der::Tag;

use super::header::directory_name;
use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::prelude::*;

/// ```text
/// POPODecKeyChallContent ::= SEQUENCE OF Challenge
/// Challenge ::= SEQUENCE {
///     owf                AlgorithmIdentifier  OPTIONAL,
///     witness            OCTET STRING,
///     challenge          OCTET STRING,  -- deprecated
///     encryptedRand  [0] EnvelopedData  OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// AlgorithmIdentifier of the digest that made `witness`, DER.
    pub owf: Option<Vec<u8>>,
    /// Digest of the number that is encrypted.
    pub witness: Vec<u8>,
    /// `Rand`, encrypted with the new key directly: the form of pvno 2. Empty where `encrypted_rand` is there.
    pub challenge: Vec<u8>,
    /// `Rand` in EnvelopedData, the content of its SEQUENCE: the form of pvno 3.
    pub encrypted_rand: Option<Vec<u8>>,
}

impl Challenge {
    pub(super) fn parse_all(der: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        const WHAT: &str = "POPODecKeyChallContent";
        const MOST: usize = 64;
        let mut list = Cursor::sequence(der, WHAT)?;
        let mut challenges = Vec::new();
        while !list.is_empty() {
            if challenges.len() == MOST {
                return Err(Asn1Error::too_large(WHAT, "count", MOST, MOST + 1));
            }
            challenges.push(Self::parse(list.expect(Tag::Sequence, "a Challenge")?.value)?);
        }
        Ok(challenges)
    }

    fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "Challenge";
        let mut fields = Cursor::new(content, WHAT)?;
        let owf = fields.optional(Tag::Sequence)?.map(|f| f.bytes.to_vec());
        let witness = fields.expect(Tag::OctetString, "witness")?.value.to_vec();
        let challenge = fields.expect(Tag::OctetString, "challenge")?.value.to_vec();
        // The module's tags are explicit: a whole EnvelopedData stands inside.
        let encrypted_rand = match fields.optional_context(0, true)? {
            Some(field) => {
                let mut inner = Cursor::new(field.value, WHAT)?;
                let enveloped = inner.expect(Tag::Sequence, "EnvelopedData")?.value.to_vec();
                inner.finish()?;
                Some(enveloped)
            }
            None => None,
        };
        fields.finish()?;
        Ok(Challenge { owf, witness, challenge, encrypted_rand })
    }
}

/// `Rand ::= SEQUENCE { int INTEGER, sender GeneralName }`, decrypted.
pub struct Rand<'a> {
    /// Content of the INTEGER; proves possession when it is sent back.
    pub int: &'a [u8],
    /// The Name of a directoryName, DER; `None` for another form of GeneralName.
    pub sender: Option<Vec<u8>>,
}

impl<'a> Rand<'a> {
    /// From DER.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::sequence(der, "Rand")?;
        let int = fields.expect(Tag::Integer, "int")?.value;
        let sender = directory_name(fields.any("sender")?)?;
        fields.finish()?;
        Ok(Rand { int, sender })
    }
}

/// `POPODecKeyRespContent ::= SEQUENCE OF INTEGER`, DER, from the contents of the INTEGERs in the challenges' order.
pub(crate) fn pop_dec_key_resp(ints: &[&[u8]]) -> Vec<u8> {
    let all: Vec<u8> = ints.iter().flat_map(|int| element(0x02, &[int])).collect();
    sequence(&[&all])
}
