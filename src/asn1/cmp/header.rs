//! PKIHeader (RFC 9810 section 5.1.1).

use ::der::Tag;

use super::status::read_free_text;
use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, encode, sequence};
use crate::asn1::fields::read_oid;
use crate::asn1::name::Name;
use crate::asn1::oid::Oid;
use crate::crypto::algorithm::encode_oid;
use crate::prelude::*;
use crate::time::Time;

/// ```text
/// PKIHeader ::= SEQUENCE {
///     pvno           INTEGER { cmp1999(1), cmp2000(2), cmp2021(3) },
///     sender         GeneralName,
///     recipient      GeneralName,
///     messageTime    [0] GeneralizedTime      OPTIONAL,
///     protectionAlg  [1] AlgorithmIdentifier  OPTIONAL,
///     senderKID      [2] KeyIdentifier        OPTIONAL,
///     recipKID       [3] KeyIdentifier        OPTIONAL,
///     transactionID  [4] OCTET STRING         OPTIONAL,
///     senderNonce    [5] OCTET STRING         OPTIONAL,
///     recipNonce     [6] OCTET STRING         OPTIONAL,
///     freeText       [7] PKIFreeText          OPTIONAL,
///     generalInfo    [8] SEQUENCE SIZE (1..MAX) OF InfoTypeAndValue OPTIONAL }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkiHeader {
    /// Protocol version.
    pub pvno: i64,
    /// Who sends: the Name of a directoryName as DER; `None` for another form of GeneralName.
    pub sender: Option<Vec<u8>>,
    /// Whom it is for, likewise.
    pub recipient: Option<Vec<u8>>,
    /// When the message was made. One that cannot be read is as good as none: it is optional, and says nothing else.
    pub message_time: Option<Time>,
    /// AlgorithmIdentifier of the protection, DER.
    pub protection_alg: Option<Vec<u8>>,
    /// Which key protects.
    pub sender_kid: Option<Vec<u8>>,
    /// Which key of the recipient is meant.
    pub recip_kid: Option<Vec<u8>>,
    /// Names the transaction.
    pub transaction_id: Option<Vec<u8>>,
    /// Fresh in every message.
    pub sender_nonce: Option<Vec<u8>>,
    /// The peer's last senderNonce.
    pub recip_nonce: Option<Vec<u8>>,
    /// Words for people.
    pub free_text: Vec<String>,
    /// Extensions of the header.
    pub general_info: Vec<InfoTypeAndValue>,
}

/// `InfoTypeAndValue ::= SEQUENCE { infoType OBJECT IDENTIFIER, infoValue ANY OPTIONAL }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoTypeAndValue {
    /// What it is.
    pub info_type: Oid,
    /// Its value as DER; empty if absent.
    pub value: Vec<u8>,
}

impl PkiHeader {
    pub(super) fn parse(content: &[u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(content, "PKIHeader")?;
        let pvno = fields.decode()?;
        let sender = directory_name(fields.any("sender")?)?;
        let recipient = directory_name(fields.any("recipient")?)?;
        let message_time = fields.optional_context(0, true)?.and_then(|f| read_message_time(f.value));
        let protection_alg = fields.optional_context(1, true)?.map(|f| one(f, Tag::Sequence)).transpose()?;
        let mut octets = |number| -> Result<Option<Vec<u8>>, Asn1Error> {
            fields.optional_context(number, true)?.map(|f| octet_string(f.value)).transpose()
        };
        let (sender_kid, recip_kid) = (octets(2)?, octets(3)?);
        let (transaction_id, sender_nonce, recip_nonce) = (octets(4)?, octets(5)?, octets(6)?);
        let free_text = match fields.optional_context(7, true)? {
            Some(field) => read_free_text(&mut Cursor::new(field.value, "freeText")?)?,
            None => Vec::new(),
        };
        let general_info = match fields.optional_context(8, true)? {
            Some(field) => read_general_info(field.value)?,
            None => Vec::new(),
        };
        fields.finish()?;
        Ok(PkiHeader {
            pvno,
            sender,
            recipient,
            message_time,
            protection_alg,
            sender_kid,
            recip_kid,
            transaction_id,
            sender_nonce,
            recip_nonce,
            free_text,
            general_info,
        })
    }

    /// DER. Texts are not written: nothing we send has any.
    ///
    /// A sender or recipient that is no Name is written as it stands: another form of GeneralName.
    pub fn to_der(&self) -> Vec<u8> {
        let mut content = encode(&self.pvno);
        for name in [&self.sender, &self.recipient] {
            match name.as_deref().unwrap_or(&[0x30, 0x00]) {
                name @ [0x30, ..] => content.extend(element(0xa4, &[name])),
                // Another form of GeneralName, whole: one that came as sender goes back as recipient.
                other => content.extend(other),
            }
        }
        if let Some(time) = self.message_time {
            content.extend(element(0xa0, &[&element(0x18, &[time.to_generalized_time().as_bytes()])]));
        }
        if let Some(algorithm) = &self.protection_alg {
            content.extend(element(0xa1, &[algorithm]));
        }
        let octets = [
            (0xa2, &self.sender_kid),
            (0xa3, &self.recip_kid),
            (0xa4, &self.transaction_id),
            (0xa5, &self.sender_nonce),
            (0xa6, &self.recip_nonce),
        ];
        for (tag, value) in octets {
            if let Some(value) = value {
                content.extend(element(tag, &[&element(0x04, &[value])]));
            }
        }
        if !self.general_info.is_empty() {
            let items: Vec<u8> = self.general_info.iter().flat_map(InfoTypeAndValue::to_der).collect();
            content.extend(element(0xa8, &[&sequence(&[&items])]));
        }
        sequence(&[&content])
    }

    /// The value of an item of generalInfo.
    pub fn info(&self, info_type: Oid) -> Option<&[u8]> {
        self.general_info.iter().find(|i| i.info_type == info_type).map(|i| &i.value[..])
    }
}

impl InfoTypeAndValue {
    /// DER.
    pub fn to_der(&self) -> Vec<u8> {
        sequence(&[&encode_oid(self.info_type), &self.value])
    }
}

pub(super) fn directory_name(field: Tlv<'_>) -> Result<Option<Vec<u8>>, Asn1Error> {
    // GeneralName: directoryName [4], explicit because Name is a CHOICE.
    if field.tag != crate::asn1::der::context(4, true) {
        return Ok(None);
    }
    Ok(Some(Name::from_der(field.value)?.as_der().to_vec()))
}

/// RFC 9810 section 5.1.1 asks for the form of RFC 5280; what servers write is read.
fn read_message_time(content: &[u8]) -> Option<Time> {
    let mut cursor = Cursor::new(content, "messageTime").ok()?;
    Time::from_any_form(cursor.expect(Tag::GeneralizedTime, "a GeneralizedTime").ok()?.value)
}

fn octet_string(content: &[u8]) -> Result<Vec<u8>, Asn1Error> {
    let mut cursor = Cursor::new(content, "PKIHeader")?;
    let value = cursor.expect(Tag::OctetString, "an OCTET STRING")?.value.to_vec();
    cursor.finish()?;
    Ok(value)
}

fn one(field: Tlv<'_>, tag: Tag) -> Result<Vec<u8>, Asn1Error> {
    let mut cursor = Cursor::new(field.value, "PKIHeader")?;
    let bytes = cursor.expect(tag, "an AlgorithmIdentifier")?.bytes.to_vec();
    cursor.finish()?;
    Ok(bytes)
}

pub(super) fn read_general_info(element: &[u8]) -> Result<Vec<InfoTypeAndValue>, Asn1Error> {
    const WHAT: &str = "InfoTypeAndValue";
    const MOST: usize = 64;
    let mut items = Vec::new();
    let mut cursor = Cursor::sequence(element, WHAT)?;
    while !cursor.is_empty() {
        if items.len() == MOST {
            return Err(Asn1Error::too_large(WHAT, "count", MOST, MOST + 1));
        }
        let mut fields = Cursor::new(cursor.expect(Tag::Sequence, "an InfoTypeAndValue")?.value, WHAT)?;
        let info_type = read_oid(&mut fields)?;
        let value = if fields.is_empty() { Vec::new() } else { fields.any("infoValue")?.bytes.to_vec() };
        fields.finish()?;
        items.push(InfoTypeAndValue { info_type, value });
    }
    Ok(items)
}
