//! What a client is held to, apart from who it is: header, time, possession, rules of a key update.

use crate::TestCa;
use crate::certs::{BASIC_CONSTRAINTS, Parsed, SUBJECT_ALT_NAME};
use crate::cmp::{CERT_PROFILE, Credential, IMPLICIT_CONFIRM, Refusal, bit, refuse};
use crate::keys::verify;
use crate::knobs::Knobs;
use crate::read::Header;
use crate::tlv::{Node, seq, unix_of};

impl TestCa {
    pub(crate) fn check_key_update(
        &self,
        request: &Node,
        subject: &[u8],
        extensions: &[(String, bool, Vec<u8>)],
        credential: &Credential,
    ) -> Result<(), Refusal> {
        let Credential::Certificate(old) = credential else {
            return refuse(bit::WRONG_INTEGRITY, "a key update is protected with the certificate that is updated");
        };
        if !self.issued.contains(old) {
            return refuse(bit::BAD_CERT_ID, "a key update of a certificate that was not issued here");
        }
        let old = Parsed::read(old)?;
        // RFC 9483 section 4.1.3: same subject and subjectAltName.
        if old.subject != subject {
            return refuse(bit::BAD_CERT_TEMPLATE, "a key update for another subject");
        }
        let asked = extensions.iter().find(|e| e.0 == SUBJECT_ALT_NAME).map(|e| &e.2[..]);
        if asked != old.extension(SUBJECT_ALT_NAME) {
            return refuse(bit::BAD_CERT_TEMPLATE, "a key update for other alternative names");
        }
        for control in request.children.get(2).into_iter().flat_map(|c| &c.children) {
            if control.at(0)?.oid()? == "1.3.6.1.5.5.7.5.1.5" {
                let id = control.at(1)?;
                if id.at(0)?.inner()?.bytes != old.issuer || id.at(1)?.value() != old.serial {
                    return refuse(bit::BAD_CERT_ID, "oldCertID is not the protection certificate");
                }
                return Ok(());
            }
        }
        // RFC 9483 section 4.1.3: the control is recommended, and the protection tells as much.
        Ok(())
    }
}

/// What RFC 9483 sections 3.1 to 3.3 and 4 ask of an end entity's header.
/// A CA that sends no senderNonce (`gave_nonce`) gets none back.
pub(crate) fn check_rules(
    header: &Header,
    number: u8,
    is_first: bool,
    gave_nonce: bool,
    credential: &Credential,
) -> Result<(), Refusal> {
    if header.transaction.len() < 16 {
        return refuse(bit::BAD_DATA_FORMAT, "transactionID of fewer than 128 bits");
    }
    if header.sender_nonce.len() < 16 {
        return refuse(bit::BAD_SENDER_NONCE, "senderNonce of fewer than 128 bits");
    }
    if (is_first || gave_nonce) && is_first == header.recip_nonce.is_some() {
        return refuse(bit::BAD_RECIPIENT_NONCE, "recipNonce belongs in every message but the first");
    }
    header.sender.expect(0xa4, "sender")?;
    let sender = &header.sender.inner()?.bytes;
    match credential {
        Credential::Channel => {}
        Credential::Mac(_) | Credential::Passphrase(_) => {
            // RFC 9483 section 3.1 asks for commonName = reference value; clients in the field send other names too.
            if sender.len() <= 2 && header.sender_kid.is_none() {
                return refuse(bit::BAD_MESSAGE_CHECK, "neither sender nor senderKID tells which secret");
            }
        }
        Credential::Certificate(der) => {
            let certificate = Parsed::read(der)?;
            if *sender != certificate.subject {
                return refuse(bit::BAD_MESSAGE_CHECK, "sender is not the subject of the protection certificate");
            }
            if certificate.key_id().is_some() && header.sender_kid.is_none() {
                return refuse(bit::BAD_MESSAGE_CHECK, "senderKID is missing");
            }
        }
    }
    match header.info.get(IMPLICIT_CONFIRM) {
        Some(_) if !matches!(number, 0 | 2 | 4 | 7) => {
            refuse(bit::BAD_REQUEST, "implicitConfirm outside a request for a certificate")
        }
        Some(value) if value.as_ref().is_none_or(|value| value.bytes != [5, 0]) => {
            refuse(bit::BAD_DATA_FORMAT, "the value of implicitConfirm is not NULL")
        }
        _ => Ok(()),
    }
}

/// RFC 9810 section 5.1.1.4: `CertProfileValue ::= SEQUENCE SIZE (1..MAX) OF UTF8String`; one request has one name (RFC 9483 section 4.1.1),
/// several have no more names than there are requests.
pub(crate) fn check_profile(header: &Header, requests: usize, knobs: &Knobs) -> Result<(), Refusal> {
    let Some(value) = header.info.get(CERT_PROFILE) else { return Ok(()) };
    let names = value.as_ref().map_or(&[][..], |value| &value.children[..]);
    if names.is_empty() || names.len() > requests {
        let asked = if requests == 1 { "one request".to_owned() } else { format!("{requests} requests") };
        return refuse(bit::BAD_DATA_FORMAT, format!("certProfile with {} names for {asked}", names.len()));
    }
    for name in names {
        let name = String::from_utf8_lossy(name.expect(0x0c, "the name of a profile")?.value()).into_owned();
        let is_known = knobs.profiles == "*" || knobs.profiles.split_whitespace().any(|known| known == name);
        if !is_known {
            return refuse(bit::BAD_REQUEST, format!("the certificate profile \"{name}\" is not known"));
        }
    }
    Ok(())
}

/// Who asks for a device's certificate is made no CA.
pub(crate) fn check_no_ca(extensions: &[(String, bool, Vec<u8>)]) -> Result<(), Refusal> {
    let is_ca = |value: &[u8]| value.windows(3).any(|window| window == [1, 1, 0xff]);
    match extensions.iter().any(|e| e.0 == BASIC_CONSTRAINTS && is_ca(&e.2)) {
        true => refuse(bit::BAD_CERT_TEMPLATE, "no CA is certified here"),
        false => Ok(()),
    }
}

/// RFC 9483 section 3.1: version 3 only where its syntax is used or expected. Here that is hashAlg in certConf; a
/// request that brings its public key and proves possession of it by signature expects nothing of the kind.
pub(crate) fn check_version(header: &Header, body: &Node, begun_with: Option<i64>) -> Result<(), Refusal> {
    // What began with version 3 goes on with it.
    if header.pvno != 3 || begun_with == Some(3) {
        return Ok(());
    }
    let content = body.inner()?;
    let is_needless = match body.tag & 0x1f {
        0 | 2 | 7 => content.children.iter().all(|message| {
            let template = message.at(0).and_then(|request| request.at(1));
            template.is_ok_and(|t| t.tagged(0xa6).is_some()) && message.tagged(0xa1).is_some()
        }),
        4 | 11 => true,
        24 => content.children.iter().all(|status| status.tagged(0xa0).is_none()),
        _ => false,
    };
    if is_needless { refuse(bit::UNSUPPORTED_VERSION, "pvno 3 where 2 is due") } else { Ok(()) }
}

/// RFC 9483 section 3.5: a messageTime is near the time of this CA.
pub(crate) fn check_time(header: &Header, window: i64, now: i64) -> Result<(), Refusal> {
    let Some(time) = &header.message_time else { return Ok(()) };
    let off = unix_of(time)? - now;
    if window > 0 && off.abs() > window {
        return refuse(bit::BAD_TIME, format!("messageTime is {off} seconds off"));
    }
    Ok(())
}

/// Proof of possession by signature over the CertRequest, or, where that has no subject, over poposkInput, which names who asks and
/// the key (RFC 4211 section 4.1).
pub(crate) fn check_possession(message: &Node, request: &Node, spki: &[u8], is_nameless: bool) -> Result<(), Refusal> {
    let Some(popo) = message.children.iter().skip(1).find(|c| c.tag == 0xa1) else {
        return refuse(bit::BAD_POP, "no proof of possession by signature");
    };
    match popo.tagged(0xa0) {
        Some(_) if !is_nameless => return refuse(bit::BAD_POP, "poposkInput beside a complete template"),
        Some(input) if input.at(1)?.bytes != spki => return refuse(bit::BAD_POP, "poposkInput is about another key"),
        Some(input) => {
            return verify(popo.at(1)?, spki, &seq(&[input.value()]), popo.at(2)?.bits()?)
                .map_err(|text| Refusal::new(bit::BAD_POP, text));
        }
        None if is_nameless => return refuse(bit::BAD_POP, "no poposkInput in a request without a subject"),
        None => {}
    }
    verify(popo.at(0)?, spki, &request.bytes, popo.at(1)?.bits()?).map_err(|text| Refusal::new(bit::BAD_POP, text))
}
