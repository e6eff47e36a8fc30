//! CMP from the other side: a request is taken apart and checked hard, an answer is put together, bent as the knobs say.

use std::collections::HashMap;

use aws_lc_rs::{digest, hmac, pbkdf2};

use crate::TestCa;
use crate::certs::{Holder, Parsed, SUBJECT_ALT_NAME, common_name};
use crate::keys::{KeyType, random, verify};
use crate::knobs::Knobs;
use crate::tlv::{Node, bits, generalized_time, int, octets, oid, seq, tlv, unix_of, utf8};

pub(crate) const PBM: &str = "1.2.840.113533.7.66.13";
pub(crate) const PBMAC1: &str = "1.2.840.113549.1.5.14";
const IMPLICIT_CONFIRM: &str = "1.3.6.1.5.5.7.4.13";
const CONFIRM_WAIT_TIME: &str = "1.3.6.1.5.5.7.4.14";

/// Bits of failInfo.
pub(crate) mod bit {
    pub const BAD_ALG: u32 = 0;
    pub const BAD_MESSAGE_CHECK: u32 = 1;
    pub const BAD_REQUEST: u32 = 2;
    pub const BAD_TIME: u32 = 3;
    pub const BAD_CERT_ID: u32 = 4;
    pub const BAD_DATA_FORMAT: u32 = 5;
    pub const BAD_POP: u32 = 9;
    pub const WRONG_INTEGRITY: u32 = 12;
    pub const BAD_RECIPIENT_NONCE: u32 = 13;
    pub const BAD_SENDER_NONCE: u32 = 18;
    pub const BAD_CERT_TEMPLATE: u32 = 19;
    pub const SIGNER_NOT_TRUSTED: u32 = 20;
    pub const UNSUPPORTED_VERSION: u32 = 22;
    pub const NOT_AUTHORIZED: u32 = 23;
}

/// Why a request is refused.
pub(crate) struct Refusal {
    pub(crate) bit: u32,
    pub(crate) text: String,
}

pub(crate) fn refuse<T>(bit: u32, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { bit, text: text.into() })
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Refusal { bit: bit::BAD_DATA_FORMAT, text }
    }
}

/// One request as it came, for tests to look at.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message.
    pub der: Vec<u8>,
    /// Tag number of the body; -1 if the message could not be read.
    pub body: i32,
    /// What was wrong with it, if anything was.
    pub complaint: Option<String>,
}

/// A transaction under way.
pub(crate) struct Transaction {
    nonce: Vec<u8>,
    pub(crate) credential: Credential,
    pending: Option<(u8, Vec<u8>)>,
    polls_left: u32,
    delayed_nonce: Vec<u8>,
    issued: Option<Vec<u8>>,
    implicit: bool,
    /// certReqId of the response: confirmations and polls repeat it.
    id: i64,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Credential {
    Mac(String),
    Certificate(Vec<u8>),
}

/// A request's header, read.
pub(crate) struct Header {
    pvno: i64,
    sender: Node,
    message_time: Option<String>,
    pub(crate) algorithm: Option<Node>,
    pub(crate) sender_kid: Option<Vec<u8>>,
    pub(crate) transaction: Vec<u8>,
    sender_nonce: Vec<u8>,
    recip_nonce: Option<Vec<u8>>,
    info: HashMap<String, Option<Node>>,
}

/// Names of bodies by tag number.
pub fn body_name(number: i32) -> &'static str {
    const NAMES: [&str; 27] = [
        "ir", "ip", "cr", "cp", "p10cr", "popdecc", "popdecr", "kur", "kup", "krr", "krp", "rr", "rp", "ccr", "ccp",
        "ckuann", "cann", "rann", "crlann", "pkiconf", "nested", "genm", "genp", "error", "certConf", "pollReq",
        "pollRep",
    ];
    usize::try_from(number).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("unreadable")
}

impl TestCa {
    /// Answers one PKIMessage. `now` in seconds since 1970.
    pub fn answer(&mut self, request: &[u8], now: i64) -> Vec<u8> {
        let knobs = self.knobs.clone();
        self.count_down();
        let (header, body, outcome) = match self.take_apart(request) {
            Ok((header, body, message)) => {
                let number = i32::from(body.tag & 0x1f);
                let outcome = self.process(&header, &body, &message, &knobs, now);
                let complaint = outcome.as_ref().err().map(|r| r.text.clone());
                self.received.push(Received { der: request.to_vec(), body: number, complaint });
                (Some(header), Some(number), outcome)
            }
            Err(refusal) => {
                let complaint = Some(refusal.text.clone());
                self.received.push(Received { der: request.to_vec(), body: -1, complaint });
                (None, None, Err(refusal))
            }
        };
        let (tag, content) = match outcome {
            Ok(answer) => answer,
            Err(refusal) => (23, seq(&[&status_info(2, 1 << refusal.bit, &refusal.text)])),
        };
        self.compose(header.as_ref(), body, tag, content, &knobs, now)
    }

    fn take_apart(&self, request: &[u8]) -> Result<(Header, Node, Node), Refusal> {
        let message = Node::parse(request)?;
        message.expect(0x30, "PKIMessage")?;
        let header = read_header(message.at(0)?)?;
        let body = message.at(1)?.clone();
        if body.tag & 0xe0 != 0xa0 || body.tag & 0x1f > 26 {
            return refuse(bit::BAD_DATA_FORMAT, format!("{:02x} is no tag of a body", body.tag));
        }
        Ok((header, body, message))
    }

    fn process(
        &mut self,
        header: &Header,
        body: &Node,
        message: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        if !matches!(header.pvno, 2 | 3) {
            return refuse(bit::UNSUPPORTED_VERSION, format!("pvno {}", header.pvno));
        }
        let number = body.tag & 0x1f;
        let is_first = matches!(number, 0 | 2 | 4 | 7 | 11 | 21);
        let credential = self.check_protection(header, message, number, now)?;
        if knobs.strict {
            check_rules(header, number, is_first, &credential)?;
            check_time(header, knobs.time_window, now)?;
        }
        let known = self.transactions.get(&header.transaction);
        match known {
            Some(_) if is_first => return refuse(21, "transactionID in use"),
            None if !is_first => return refuse(bit::BAD_REQUEST, "no such transaction"),
            Some(known) => {
                if header.recip_nonce.as_ref() != Some(&known.nonce) {
                    return refuse(bit::BAD_RECIPIENT_NONCE, "recipNonce is not the senderNonce of our last message");
                }
                if known.credential != credential {
                    return refuse(bit::BAD_MESSAGE_CHECK, "protected with another credential than the first request");
                }
            }
            None => {}
        }
        if is_first {
            let nonce = Vec::new();
            let (pending, polls_left, delayed_nonce, issued, implicit) = (None, 0, Vec::new(), None, false);
            let fresh = Transaction {
                nonce,
                credential: credential.clone(),
                pending,
                polls_left,
                delayed_nonce,
                issued,
                implicit,
                id: knobs.cert_req_id,
            };
            self.transactions.insert(header.transaction.clone(), fresh);
        }
        if knobs.error && number != 25 {
            return Ok((23, seq(&[&status_info(2, knobs.fail_info, &knobs.text)])));
        }
        let content = body.inner()?;
        match number {
            0 | 2 | 7 => self.certificate_request(header, number, content, &credential, knobs, now),
            4 => self.pkcs10_request(header, content, knobs, now),
            11 => self.revocation_request(content, &credential),
            21 => self.general_message(content),
            24 => self.confirmation(header, content, knobs),
            25 => self.poll(header, content, knobs),
            _ => refuse(bit::BAD_REQUEST, format!("{} is not served", body_name(i32::from(number)))),
        }
    }

    fn certificate_request(
        &mut self,
        header: &Header,
        number: u8,
        content: &Node,
        credential: &Credential,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let [message] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one CertReqMsg");
        };
        let request = message.at(0)?;
        if request.at(0)?.integer()? != 0 {
            return refuse(bit::BAD_REQUEST, "certReqId is not 0");
        }
        let template = request.at(1)?;
        for field in &template.children {
            if matches!(field.tag & 0x1f, 1 | 2 | 7 | 8) {
                return refuse(bit::BAD_CERT_TEMPLATE, format!("the template has field [{}]", field.tag & 0x1f));
            }
        }
        let subject = template.tagged(0xa5).ok_or("the template has no subject".to_owned())?.inner()?.bytes.clone();
        let key = template.tagged(0xa6).ok_or("the template has no publicKey".to_owned())?;
        let spki = seq(&[key.value()]);
        let mut extensions = Vec::new();
        if let Some(list) = template.tagged(0xa9) {
            extensions = crate::certs::read_extensions(list)?;
        }
        if subject == [0x30, 0x00] && !extensions.iter().any(|e| e.0 == SUBJECT_ALT_NAME) {
            return refuse(bit::BAD_CERT_TEMPLATE, "neither subject nor subjectAltName");
        }
        check_possession(message, request, &spki)?;
        if number == 7 {
            self.check_key_update(request, &subject, &extensions, credential)?;
        }
        let validity = template.tagged(0xa4).map(|v| (bound(v, 0xa0), bound(v, 0xa1)));
        let certificate = self.issue_requested(&subject, &spki, &extensions, validity, knobs, now);
        self.respond(header, number + 1, certificate, knobs)
    }

    fn check_key_update(
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
        refuse(bit::BAD_CERT_ID, "a key update without oldCertID")
    }

    fn pkcs10_request(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let info = content.at(0)?;
        let (subject, spki) = (info.at(1)?.bytes.clone(), info.at(2)?.bytes.clone());
        verify(content.at(1)?, &spki, &info.bytes, content.at(2)?.bits()?)
            .map_err(|text| Refusal { bit: bit::BAD_POP, text })?;
        let mut extensions = Vec::new();
        for attribute in info.tagged(0xa0).into_iter().flat_map(|a| &a.children) {
            if attribute.at(0)?.oid()? == "1.2.840.113549.1.9.14" {
                extensions = crate::certs::read_extensions(attribute.at(1)?.at(0)?)?;
            }
        }
        let certificate = self.issue_requested(&subject, &spki, &extensions, None, knobs, now);
        let knobs = Knobs { cert_req_id: -1, ..knobs.clone() };
        self.respond(header, 3, certificate, &knobs)
    }

    fn issue_requested(
        &mut self,
        subject: &[u8],
        spki: &[u8],
        extensions: &[(String, bool, Vec<u8>)],
        validity: Option<(Option<i64>, Option<i64>)>,
        knobs: &Knobs,
        now: i64,
    ) -> Vec<u8> {
        let (from, to) = validity.unwrap_or((None, None));
        let lifetime =
            if knobs.certificate_seconds != 0 { knobs.certificate_seconds } else { knobs.certificate_days * 86_400 };
        // An expired certificate was valid before.
        let begin = from.unwrap_or(if lifetime < 0 { now + 2 * lifetime } else { now - 300 });
        let end = to.unwrap_or(now + lifetime);
        let subject = if knobs.modify_subject { common_name("modified by the CA") } else { subject.to_vec() };
        let other = knobs.wrong_key.then(|| crate::keys::Key::generate(KeyType::P256).spki);
        let mut profile = self.end_entity(subject, other.unwrap_or_else(|| spki.to_vec()), begin, end);
        for (id, critical, value) in extensions {
            if !(knobs.drop_alt_names && id == SUBJECT_ALT_NAME) {
                profile = profile.with(id, *critical, value.clone());
            }
        }
        let certificate = profile.signed(&self.issuing.name(), &self.issuing.key);
        self.issued.push(certificate.clone());
        certificate
    }

    fn respond(
        &mut self,
        header: &Header,
        tag: u8,
        certificate: Vec<u8>,
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
        let asked = header.info.contains_key(IMPLICIT_CONFIRM);
        transaction.implicit = match knobs.implicit_confirm.as_str() {
            "ignore" => false,
            "always" => true,
            _ => asked,
        };
        transaction.issued = Some(certificate.clone());
        transaction.id = knobs.cert_req_id;
        let refused = matches!(knobs.status, 2 | 3) || knobs.status > 6;
        let body = if refused || knobs.no_certificate { None } else { Some(&certificate) };
        let anchors = knobs.ca_pubs.then(|| self.root.certificate.clone());
        let content =
            cert_rep(knobs.cert_req_id, &status_info(knobs.status, knobs.fail_info, &knobs.text), body, anchors);
        if knobs.waiting == 0 {
            return Ok((tag, content));
        }
        transaction.pending = Some((tag, content));
        transaction.polls_left = knobs.waiting;
        transaction.delayed_nonce = header.sender_nonce.clone();
        let waiting = status_info(3, u32::from(knobs.waiting_fail_info), &knobs.poll_reason);
        Ok(if knobs.waiting_by_error {
            (23, seq(&[&waiting]))
        } else {
            (tag, cert_rep(knobs.cert_req_id, &waiting, None, None))
        })
    }

    fn confirmation(&mut self, header: &Header, content: &Node, knobs: &Knobs) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let Some(issued) = transaction.issued.clone() else {
            return refuse(bit::BAD_REQUEST, "nothing to confirm");
        };
        if transaction.implicit {
            return refuse(11, "confirmed already, by implicitConfirm");
        }
        let [status] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one CertStatus");
        };
        let digest = match status.tagged(0xa0) {
            Some(algorithm) if header.pvno == 3 => algorithm.inner()?.at(0)?.oid()?,
            Some(_) => return refuse(bit::BAD_REQUEST, "hashAlg needs pvno 3"),
            None => Parsed::read(&issued)?.hash_name()?.to_owned(),
        };
        if status.at(0)?.value() != digest_by_name(&digest)?(&issued) {
            return refuse(bit::BAD_CERT_ID, "certHash is not the digest of the certificate issued");
        }
        if status.at(1)?.integer()? != transaction.id {
            return refuse(bit::BAD_REQUEST, "certReqId is not the one of the response");
        }
        let accepted = match status.children.iter().skip(2).find(|c| c.tag == 0x30) {
            Some(info) => info.at(0)?.integer()? <= 1,
            None => true,
        };
        transaction.issued = None;
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

    fn poll(&mut self, header: &Header, content: &Node, knobs: &Knobs) -> Result<(u8, Vec<u8>), Refusal> {
        let [entry] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one certReqId to poll for");
        };
        let id = entry.at(0)?.integer()?;
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        let Some((tag, _)) = &transaction.pending else {
            return refuse(bit::BAD_REQUEST, "nothing is delayed");
        };
        let expected = if *tag == 19 || knobs.waiting_by_error { -1 } else { transaction.id };
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

    fn revocation_request(&mut self, content: &Node, credential: &Credential) -> Result<(u8, Vec<u8>), Refusal> {
        let [details] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "not exactly one RevDetails");
        };
        let template = details.at(0)?;
        let serial = template.tagged(0x81).ok_or("no serialNumber in certDetails".to_owned())?.value().to_vec();
        let Credential::Certificate(signer) = credential else {
            return refuse(bit::WRONG_INTEGRITY, "a revocation request under a MAC");
        };
        let signer = Parsed::read(signer)?;
        if signer.serial != serial {
            return refuse(bit::NOT_AUTHORIZED, "signed by another certificate than the one to revoke");
        }
        if !self.issued.contains(&signer.der) || template.tagged(0xa3).is_none_or(|i| i.value() != signer.issuer) {
            return refuse(bit::BAD_CERT_ID, "issuer is missing or is not this CA");
        }
        let reason = match details.children.get(1) {
            Some(list) => {
                let all = crate::certs::read_extensions(list)?;
                all.iter().find(|e| e.0 == "2.5.29.21").and_then(|e| e.2.last().copied()).unwrap_or(0)
            }
            None => 0,
        };
        self.revoke(&serial, reason);
        Ok((12, seq(&[&seq(&[&status_info(0, 0, "")])])))
    }

    fn general_message(&self, content: &Node) -> Result<(u8, Vec<u8>), Refusal> {
        let kind = content.at(0)?.at(0)?.oid()?;
        // caCerts (RFC 9483 section 4.3.1); anything else is answered without a value.
        let value = if kind == "1.3.6.1.5.5.7.4.17" { seq(&[&self.issuing.certificate]) } else { Vec::new() };
        Ok((22, seq(&[&seq(&[&oid(&kind), &value])])))
    }

    /// Puts the answer together, bent as the knobs say.
    fn compose(
        &mut self,
        request: Option<&Header>,
        request_body: Option<i32>,
        tag: u8,
        content: Vec<u8>,
        knobs: &Knobs,
        now: i64,
    ) -> Vec<u8> {
        let kind = match tag {
            1 | 3 | 8 => "first",
            19 => "pkiconf",
            26 => "pollrep",
            _ => "error",
        };
        let plain = Knobs::default();
        let bent = if knobs.at == kind || knobs.at == "any" { knobs } else { &plain };
        if bent.garbage {
            return b"this is no PKIMessage".to_vec();
        }
        let nonce = if bent.short_sender_nonce { random(8) } else { random(16) };
        let mut recip_nonce = request.map(|h| h.sender_nonce.clone());
        let mut implicit = false;
        if let Some(transaction) = request.and_then(|h| self.transactions.get_mut(&h.transaction)) {
            transaction.nonce.clone_from(&nonce);
            // The final answer after polling names the request that was delayed (RFC 9483 section 4.4).
            if request_body == Some(25) && tag != 26 && !transaction.delayed_nonce.is_empty() {
                let delayed = std::mem::take(&mut transaction.delayed_nonce);
                recip_nonce = if knobs.last_recip_nonce { recip_nonce } else { Some(delayed) };
            }
            implicit = transaction.implicit && kind == "first";
        }
        if bent.wrong_recip_nonce {
            recip_nonce = Some(random(16));
        }
        if bent.no_recip_nonce {
            recip_nonce = None;
        }
        let is_mac = request
            .and_then(|h| h.algorithm.as_ref())
            .is_some_and(|a| matches!(a.at(0).and_then(Node::oid).as_deref(), Ok(PBM | PBMAC1)))
            && !knobs.sign_macs;
        let secret = request
            .and_then(|h| h.sender_kid.as_ref())
            .and_then(|kid| self.secrets.get(&*String::from_utf8_lossy(kid)).cloned());
        let (signer, is_mac) = (self.signer(&bent.signer), is_mac && secret.is_some());
        let algorithm = match (is_mac, request.and_then(|h| h.algorithm.as_ref())) {
            (true, Some(theirs)) => mac_algorithm(theirs, bent.mac_iterations),
            _ => signer.key.algorithm(),
        };
        let mut kid = match (is_mac, request.and_then(|h| h.sender_kid.clone())) {
            (true, theirs) => theirs,
            _ => Parsed::read(&signer.certificate).ok().and_then(|c| c.key_id()),
        };
        if bent.wrong_sender_kid {
            kid = Some(vec![1, 2, 3, 4]);
        }
        let mut info = Vec::new();
        if implicit {
            info.extend(seq(&[&oid(IMPLICIT_CONFIRM), &[5, 0]]));
        }
        if knobs.confirm_wait_seconds != 0 && kind == "first" {
            info.extend(seq(&[&oid(CONFIRM_WAIT_TIME), &generalized_time(now + knobs.confirm_wait_seconds)]));
        }
        let explicit = |tag: u8, value: Option<Vec<u8>>| value.map_or_else(Vec::new, |v| tlv(tag, &[&octets(&v)]));
        let transaction =
            if bent.wrong_transaction { Some(random(16)) } else { request.map(|h| h.transaction.clone()) };
        let recipient = request.map_or_else(|| tlv(0xa4, &[&[0x30, 0x00]]), |h| h.sender.bytes.clone());
        let (tag, content) = if bent.wrong_body { (22, seq(&[])) } else { (tag, content) };
        let header = seq(&[
            &int(bent.pvno),
            &tlv(0xa4, &[&signer.name()]),
            &recipient,
            &tlv(0xa0, &[&generalized_time(now + bent.message_time_off)]),
            &tlv(0xa1, &[&algorithm]),
            &explicit(0xa2, kid),
            &explicit(0xa4, transaction),
            &explicit(0xa5, Some(nonce)),
            &explicit(0xa6, recip_nonce),
            &if bent.oversize > 0 {
                tlv(0xa7, &[&seq(&[&utf8(&"x".repeat(bent.oversize as usize))])])
            } else {
                Vec::new()
            },
            &if info.is_empty() { Vec::new() } else { tlv(0xa8, &[&seq(&[&info])]) },
        ]);
        let body = tlv(0xa0 | tag, &[&content]);
        let protected = seq(&[&header, &body]);
        let mut protection = match secret.filter(|_| is_mac) {
            Some(secret) => {
                let secret = if bent.wrong_secret { b"another secret".to_vec() } else { secret };
                let parameters = Node::parse(&algorithm).expect("made or read here");
                mac(&parameters, &secret, &protected).unwrap_or_else(|_| random(32))
            }
            None => signer.key.sign(&protected),
        };
        if bent.broken_protection {
            protection[0] ^= 1;
        }
        let mut certificates = Vec::new();
        for n in 0..bent.extra_certs {
            let stranger = Holder::root(&format!("unrelated {n}"), KeyType::P256, now - 3600, now + 3600);
            certificates.extend(stranger.certificate);
        }
        if !is_mac {
            certificates.extend(&signer.certificate);
        }
        certificates.extend(&self.issuing.certificate);
        let extra = if bent.no_extra_certs { Vec::new() } else { tlv(0xa1, &[&seq(&[&certificates])]) };
        let protection = if bent.no_protection { Vec::new() } else { tlv(0xa0, &[&bits(&protection)]) };
        let mut message = seq(&[&header, &body, &protection, &extra]);
        if bent.truncate > 0 {
            message.truncate(bent.truncate as usize);
        }
        message
    }

    fn signer(&self, which: &str) -> &Holder {
        match which {
            "issuing" => &self.issuing,
            "expired" => &self.expired_signer,
            "no-usage" => &self.no_usage_signer,
            "stranger" => &self.stranger,
            _ => &self.cmp_signer,
        }
    }
}

/// What RFC 9483 sections 3.1 to 3.3 and 4 ask of an end entity's header.
fn check_rules(header: &Header, number: u8, is_first: bool, credential: &Credential) -> Result<(), Refusal> {
    if header.transaction.len() < 16 {
        return refuse(bit::BAD_DATA_FORMAT, "transactionID of fewer than 128 bits");
    }
    if header.sender_nonce.len() < 16 {
        return refuse(bit::BAD_SENDER_NONCE, "senderNonce of fewer than 128 bits");
    }
    if is_first == header.recip_nonce.is_some() {
        return refuse(bit::BAD_RECIPIENT_NONCE, "recipNonce belongs in every message but the first");
    }
    header.sender.expect(0xa4, "sender")?;
    let sender = &header.sender.inner()?.bytes;
    match credential {
        Credential::Mac(reference) => {
            // RFC 9483 section 3.1 asks for commonName = reference value; clients in the field send other names too.
            if *sender != common_name(reference) && sender.len() <= 2 && header.sender_kid.is_none() {
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

/// RFC 9483 section 3.5: a messageTime is near the time of this CA.
fn check_time(header: &Header, window: i64, now: i64) -> Result<(), Refusal> {
    let Some(time) = &header.message_time else { return Ok(()) };
    let off = unix_of(time)? - now;
    if window > 0 && off.abs() > window {
        return refuse(bit::BAD_TIME, format!("messageTime is {off} seconds off"));
    }
    Ok(())
}

fn read_header(node: &Node) -> Result<Header, Refusal> {
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

/// Proof of possession by signature over the CertRequest (RFC 4211 section 4.1).
fn check_possession(message: &Node, request: &Node, spki: &[u8]) -> Result<(), Refusal> {
    let Some(popo) = message.children.iter().skip(1).find(|c| c.tag == 0xa1) else {
        return refuse(bit::BAD_POP, "no proof of possession by signature");
    };
    if popo.tagged(0xa0).is_some() {
        return refuse(bit::BAD_POP, "poposkInput beside a complete template");
    }
    verify(popo.at(0)?, spki, &request.bytes, popo.at(1)?.bits()?).map_err(|text| Refusal { bit: bit::BAD_POP, text })
}

fn bound(validity: &Node, tag: u8) -> Option<i64> {
    let node = validity.tagged(tag)?.inner().ok()?;
    let text = String::from_utf8_lossy(node.value()).into_owned();
    unix_of(&if node.tag == 0x17 { format!("20{text}") } else { text }).ok()
}

fn status_info(status: i64, fail_info: u32, text: &str) -> Vec<u8> {
    let text = if text.is_empty() { Vec::new() } else { seq(&[&utf8(text)]) };
    let numbers: Vec<u8> = (0..32).filter(|n| fail_info >> n & 1 == 1).collect();
    let bits = if numbers.is_empty() { Vec::new() } else { crate::certs::named_bits(&numbers) };
    seq(&[&int(status), &text, &bits])
}

fn cert_rep(id: i64, status: &[u8], certificate: Option<&Vec<u8>>, anchor: Option<Vec<u8>>) -> Vec<u8> {
    let pair = certificate.map_or_else(Vec::new, |c| seq(&[&tlv(0xa0, &[c])]));
    let anchors = anchor.map_or_else(Vec::new, |a| tlv(0xa1, &[&seq(&[&a])]));
    seq(&[&anchors, &seq(&[&seq(&[&int(id), status, &pair])])])
}

type DigestOf = fn(&[u8]) -> Vec<u8>;

fn digest_by_name(name: &str) -> Result<DigestOf, String> {
    Ok(match name {
        "1.3.14.3.2.26" => |m| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.1" => |m| digest::digest(&digest::SHA256, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.2" => |m| digest::digest(&digest::SHA384, m).as_ref().to_vec(),
        "2.16.840.1.101.3.4.2.3" => |m| digest::digest(&digest::SHA512, m).as_ref().to_vec(),
        other => return Err(format!("the digest {other} is not known to this CA")),
    })
}

fn hmac_by_name(name: &str) -> Result<hmac::Algorithm, String> {
    Ok(match name {
        "1.3.6.1.5.5.8.1.2" | "1.2.840.113549.2.7" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.2.9" => hmac::HMAC_SHA256,
        "1.2.840.113549.2.10" => hmac::HMAC_SHA384,
        "1.2.840.113549.2.11" => hmac::HMAC_SHA512,
        other => return Err(format!("the MAC {other} is not known to this CA")),
    })
}

/// PasswordBasedMac (RFC 4211 section 4.4) or PBMAC1 (RFC 8018 section 7.1).
pub(crate) fn mac(algorithm: &Node, secret: &[u8], message: &[u8]) -> Result<Vec<u8>, Refusal> {
    const MOST: i64 = 1_000_000;
    let parameters = algorithm.at(1)?;
    let bounded = |count: i64| {
        if (1..=MOST).contains(&count) { Ok(count as u32) } else { refuse(bit::BAD_ALG, "iterationCount") }
    };
    let (method, key) = if algorithm.at(0)?.oid()? == PBM {
        let digest = digest_by_name(&parameters.at(1)?.at(0)?.oid()?)?;
        let mut key = [secret, parameters.at(0)?.value()].concat();
        for _ in 0..bounded(parameters.at(2)?.integer()?)? {
            key = digest(&key);
        }
        (hmac_by_name(&parameters.at(3)?.at(0)?.oid()?)?, key)
    } else {
        let derivation = parameters.at(0)?;
        if derivation.at(0)?.oid()? != "1.2.840.113549.1.5.12" {
            return refuse(bit::BAD_ALG, "PBMAC1 without PBKDF2");
        }
        let inner = derivation.at(1)?;
        let length = inner.at(2)?.expect(0x02, "keyLength, which RFC 9481 asks for")?.integer()?;
        let prf = match inner.at(3)?.at(0)?.oid()?.as_str() {
            "1.2.840.113549.2.7" => pbkdf2::PBKDF2_HMAC_SHA1,
            "1.2.840.113549.2.9" => pbkdf2::PBKDF2_HMAC_SHA256,
            "1.2.840.113549.2.10" => pbkdf2::PBKDF2_HMAC_SHA384,
            "1.2.840.113549.2.11" => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return refuse(bit::BAD_ALG, format!("PBKDF2 with {other}")),
        };
        let count = std::num::NonZeroU32::new(bounded(inner.at(1)?.integer()?)?).expect("at least one");
        let mut key = vec![0; usize::try_from(length).unwrap_or(0).clamp(1, 128)];
        pbkdf2::derive(prf, count, inner.at(0)?.value(), secret, &mut key);
        (hmac_by_name(&parameters.at(1)?.at(0)?.oid()?)?, key)
    };
    Ok(hmac::sign(&hmac::Key::new(method, &key), message).as_ref().to_vec())
}

/// The request's MAC algorithm, under a salt of our own and perhaps another iteration count.
fn mac_algorithm(theirs: &Node, iterations: i64) -> Vec<u8> {
    let rebuild = || -> Result<Vec<u8>, String> {
        let parameters = theirs.at(1)?;
        let count = |found: &Node| if iterations == 0 { found.bytes.clone() } else { int(iterations) };
        let salt = octets(&random(16));
        Ok(if theirs.at(0)?.oid()? == PBM {
            let (owf, mac) = (&parameters.at(1)?.bytes, &parameters.at(3)?.bytes);
            seq(&[&theirs.at(0)?.bytes, &seq(&[&salt, owf, &count(parameters.at(2)?), mac])])
        } else {
            let inner = parameters.at(0)?.at(1)?;
            let rest: Vec<u8> = inner.children[2..].iter().flat_map(|c| c.bytes.clone()).collect();
            let inner = seq(&[&salt, &count(inner.at(1)?), &rest]);
            let derivation = seq(&[&parameters.at(0)?.at(0)?.bytes, &inner]);
            seq(&[&theirs.at(0)?.bytes, &seq(&[&derivation, &parameters.at(1)?.bytes])])
        })
    };
    rebuild().unwrap_or_else(|_| theirs.bytes.clone())
}
