//! A request, taken apart.

use std::collections::HashMap;

use crate::cmp::{Refusal, bit, refuse};
use crate::tlv::{Node, unix_of};

/// A request's header, read.
pub(crate) struct Header {
    pub(crate) pvno: i64,
    pub(crate) sender: Node,
    pub(crate) message_time: Option<String>,
    pub(crate) algorithm: Option<Node>,
    pub(crate) sender_kid: Option<Vec<u8>>,
    pub(crate) transaction: Vec<u8>,
    pub(crate) sender_nonce: Vec<u8>,
    pub(crate) recip_nonce: Option<Vec<u8>>,
    pub(crate) info: HashMap<String, Option<Node>>,
}

pub(crate) fn take_apart(request: &[u8]) -> Result<(Header, Node, Node), Refusal> {
    let message = Node::parse(request)?;
    message.expect(0x30, "PKIMessage")?;
    let header = read_header(message.at(0)?)?;
    let body = message.at(1)?.clone();
    if body.tag & 0xe0 != 0xa0 || body.tag & 0x1f > 26 {
        return refuse(bit::BAD_DATA_FORMAT, format!("{:02x} is no tag of a body", body.tag));
    }
    Ok((header, body, message))
}

pub(crate) fn read_header(node: &Node) -> Result<Header, Refusal> {
    node.expect(0x30, "PKIHeader")?;
    let octets = |tag: u8| -> Result<Option<Vec<u8>>, String> {
        // sender and recipient carry tag a4 as well: the optional fields come behind them.
        match node.children.iter().skip(3).find(|c| c.tag == tag) {
            Some(field) => Ok(Some(field.inner()?.expect(0x04, "OCTET STRING")?.value().to_vec())),
            None => Ok(None),
        }
    };
    let mut info = HashMap::new();
    if let Some(list) = node.children.iter().skip(3).find(|c| c.tag == 0xa8) {
        for item in &list.inner()?.children {
            info.insert(item.at(0)?.oid()?, item.children.get(1).cloned());
        }
    }
    let message_time = match node.children.iter().skip(3).find(|c| c.tag == 0xa0) {
        Some(field) => Some(String::from_utf8_lossy(field.inner()?.expect(0x18, "messageTime")?.value()).into_owned()),
        None => None,
    };
    let Some(transaction) = octets(0xa4)? else { return refuse(bit::BAD_DATA_FORMAT, "no transactionID") };
    let Some(sender_nonce) = octets(0xa5)? else { return refuse(bit::BAD_SENDER_NONCE, "no senderNonce") };
    Ok(Header {
        pvno: node.at(0)?.integer()?,
        sender: node.at(1)?.clone(),
        message_time,
        algorithm: node.children.iter().skip(3).find(|c| c.tag == 0xa1).map(|f| f.inner().cloned()).transpose()?,
        sender_kid: octets(0xa2)?,
        transaction,
        sender_nonce,
        recip_nonce: octets(0xa6)?,
        info,
    })
}

pub(crate) fn bound(validity: &Node, tag: u8) -> Option<i64> {
    let node = validity.tagged(tag)?.inner().ok()?;
    let text = String::from_utf8_lossy(node.value()).into_owned();
    unix_of(&if node.tag == 0x17 { format!("20{text}") } else { text }).ok()
}
