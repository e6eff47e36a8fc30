//! CMP from the other side: what becomes of a request, from its transaction to the content of the answer.

use crate::TestCa;
use crate::answer::{cert_rep, status_info, status_with};
use crate::certs::{Parsed, Profile, SUBJECT_ALT_NAME, common_name};
use crate::check::{check_no_ca, check_possession, check_profile, check_rules, check_time, check_version};
use crate::keys::{Key, KeyType, verify};
use crate::knobs::Knobs;
use crate::mac::digest_by_name;
use crate::nested::Unnested;
use crate::possession::{Possession, announced, check_may_receive, wanted_key};
use crate::read::{Header, bound, take_apart};
use crate::tlv::{Node, int, oid, seq, tlv, unix_of, utf8};

pub(crate) const CERT_PROFILE: &str = "1.3.6.1.5.5.7.4.21";
pub(crate) const IMPLICIT_CONFIRM: &str = "1.3.6.1.5.5.7.4.13";

/// How many messages are kept for tests to look at, at least.
const KEPT_MESSAGES: usize = 10_000;

/// How many transactions are remembered, finished ones included.
const MAX_TRANSACTIONS: usize = 1000;

/// Bits of failInfo.
pub(crate) mod bit {
    pub const BAD_ALG: u32 = 0;
    pub const BAD_MESSAGE_CHECK: u32 = 1;
    pub const BAD_REQUEST: u32 = 2;
    pub const BAD_TIME: u32 = 3;
    pub const BAD_CERT_ID: u32 = 4;
    pub const BAD_DATA_FORMAT: u32 = 5;
    pub const BAD_POP: u32 = 9;
    pub const CERT_REVOKED: u32 = 10;
    pub const CERT_CONFIRMED: u32 = 11;
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
    /// The body that says so, where the message itself was in order: ip, cp, kup, rp; `None`: an error message.
    pub(crate) body: Option<u8>,
}

pub(crate) fn refuse<T>(bit: u32, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(bit, text))
}

impl Refusal {
    pub(crate) fn new(bit: u32, text: impl Into<String>) -> Self {
        Refusal { bit, text: text.into(), body: None }
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Refusal::new(bit::BAD_DATA_FORMAT, text)
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
    pub(crate) nonce: Vec<u8>,
    /// Of answers that may not have arrived: a poll after one of them goes by one from before.
    pub(crate) earlier_nonces: Vec<Vec<u8>>,
    pub(crate) credential: Credential,
    pub(crate) pending: Option<(u8, Vec<u8>)>,
    pub(crate) polls_left: u32,
    pub(crate) delayed_nonce: Vec<u8>,
    pub(crate) issued: Option<Vec<u8>>,
    /// Whether it was confirmed, or turned down.
    pub(crate) is_confirmed: bool,
    pub(crate) implicit: bool,
    /// senderNonces of the client so far.
    pub(crate) seen_nonces: Vec<Vec<u8>>,
    /// certReqId of the response: confirmations and polls repeat it.
    pub(crate) id: i64,
    /// pvno of the first request.
    pub(crate) version: i64,
    /// The number that a challenge hides, and the request that waits for it.
    pub(crate) challenge: Option<Vec<u8>>,
    pub(crate) challenged_request: Option<(u8, Node)>,
    /// Whether the challenge was answered rightly.
    pub(crate) is_proved: bool,
    /// Whether confirming the certificate proves possession.
    pub(crate) proves_by_confirming: bool,
    /// Where several certificates are asked for: what becomes of each.
    pub(crate) several: Vec<crate::several::Part>,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Credential {
    /// A shared secret, by its reference value.
    Mac(Vec<u8>),
    Certificate(Vec<u8>),
    /// A revocation passphrase, by its reference value.
    Passphrase(String),
    /// None of its own: the client is known by TLS.
    Channel,
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
        if self.received.len() >= 2 * KEPT_MESSAGES {
            self.received.drain(..KEPT_MESSAGES);
        }
        let (header, body, outcome) = match take_apart(request) {
            Ok((header, body, message)) if body.tag & 0x1f == 20 => {
                let at = self.received.len();
                self.received.push(Received { der: request.to_vec(), body: 20, complaint: None });
                let outcome = match self.unnest(&header, &body, &message, &knobs, now) {
                    Ok(Unnested::Answer(answer)) => return answer,
                    Ok(Unnested::Body(tag, content)) => Ok((tag, content)),
                    Err(refusal) => {
                        self.received[at].complaint = Some(refusal.text.clone());
                        Err(refusal)
                    }
                };
                (Some(header), Some(20), outcome)
            }
            Ok((header, body, message)) => {
                let number = i32::from(body.tag & 0x1f);
                let outcome = self.process(&header, &body, &message, &knobs, now);
                let complaint = outcome.as_ref().err().map(|r| r.text.clone());
                if complaint.is_none() {
                    crate::record::request(request);
                }
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
            Err(refusal) => {
                let status = status_info(2, 1 << refusal.bit, &refusal.text);
                match refusal.body {
                    // RFC 9483 section 3.6.2: what is wrong with the request itself is answered by the body that answers it.
                    Some(12) => (12, seq(&[&seq(&[&status])])),
                    Some(tag) => {
                        let id = if tag == 3 && body == Some(4) { knobs.pkcs10_id } else { knobs.cert_req_id };
                        (tag, cert_rep(id, &status, None, None))
                    }
                    None => (23, seq(&[&status])),
                }
            }
        };
        let answer = self.compose(header.as_ref(), body, tag, content, &knobs, now);
        self.count_down();
        answer
    }

    /// Notes a request that is not looked at.
    pub(crate) fn turn_away(&mut self, request: &[u8]) -> Vec<u8> {
        let body = take_apart(request).map_or(-1, |(_, body, _)| i32::from(body.tag & 0x1f));
        self.received.push(Received { der: request.to_vec(), body, complaint: None });
        self.count_down();
        Vec::new()
    }

    fn process(
        &mut self,
        header: &Header,
        body: &Node,
        message: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        if !matches!(header.pvno, 2 | 3) || (knobs.only_version != 0 && header.pvno != knobs.only_version) {
            return refuse(bit::UNSUPPORTED_VERSION, format!("pvno {}", header.pvno));
        }
        let number = body.tag & 0x1f;
        if crate::kem::is_question(header, body, message) {
            return self.encapsulated(header, message, now);
        }
        let is_first = matches!(number, 0 | 2 | 4 | 7 | 11 | 21);
        let credential = self.check_protection(header, message, number, now)?;
        if knobs.strict {
            check_version(header, body, self.transactions.get(&header.transaction).map(|t| t.version))?;
            let is_opening = is_first && !self.kem_secrets.contains_key(&header.transaction);
            check_rules(header, number, is_opening, !self.knobs.no_sender_nonce, &credential)?;
            check_time(header, knobs.time_window, now)?;
        }
        let known = self.transactions.get(&header.transaction);
        match known {
            Some(_) if is_first => return refuse(21, "transactionID in use"),
            None if !is_first => return refuse(bit::BAD_REQUEST, "no such transaction"),
            Some(known) => {
                let is_ours =
                    |nonce: &Vec<u8>| *nonce == known.nonce || (number == 25 && known.earlier_nonces.contains(nonce));
                if !self.knobs.no_sender_nonce && !header.recip_nonce.as_ref().is_some_and(is_ours) {
                    return refuse(bit::BAD_RECIPIENT_NONCE, "recipNonce is not the senderNonce of our last message");
                }
                // RFC 9483 section 3.5: fresh in every message.
                if knobs.strict && known.seen_nonces.contains(&header.sender_nonce) {
                    return refuse(bit::BAD_SENDER_NONCE, "senderNonce was used before in this transaction");
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
                earlier_nonces: Vec::new(),
                credential: credential.clone(),
                pending,
                polls_left,
                delayed_nonce,
                issued,
                is_confirmed: false,
                implicit,
                id: knobs.cert_req_id,
                seen_nonces: Vec::new(),
                version: header.pvno,
                challenge: None,
                challenged_request: None,
                is_proved: false,
                proves_by_confirming: false,
                several: Vec::new(),
            };
            self.remember(header.transaction.clone(), fresh);
        }
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        transaction.seen_nonces.push(header.sender_nonce.clone());
        if knobs.error && number != 25 {
            let code = if knobs.error_code == 0 { Vec::new() } else { int(knobs.error_code) };
            let details = &knobs.error_details;
            let details = if details.is_empty() { Vec::new() } else { seq(&[&utf8(details)]) };
            return Ok((23, seq(&[&status_with(2, knobs.fail_info, &knobs.text, &knobs.text_form), &code, &details])));
        }
        let answer = self.serve(header, body, &credential, knobs, now);
        let answer = answer.map_err(|refusal| {
            // popdecr (6) is answered as its request was to be.
            let asked = self.transactions.get(&header.transaction).and_then(|t| t.challenged_request.as_ref());
            let body = match (number, asked) {
                (0 | 2 | 7 | 11, _) => Some(number + 1),
                (4, _) => Some(3),
                (6, Some((asked, _))) => Some(asked + 1),
                _ => None,
            };
            Refusal { body: refusal.body.or(body), ..refusal }
        })?;
        Ok(if matches!(number, 11 | 21) && knobs.other_waiting > 0 {
            self.delay(header, answer, knobs)
        } else {
            answer
        })
    }

    /// What the body asks for, its faults included: those are answered by the body that answers it.
    fn serve(
        &mut self,
        header: &Header,
        body: &Node,
        credential: &Credential,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let (number, content) = (body.tag & 0x1f, body.inner()?);
        match number {
            0 | 2 | 7 => self.certificate_request(header, number, content, credential, knobs, now),
            6 => {
                self.check_challenge_answer(header, content)?;
                let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
                transaction.is_proved = true;
                let (number, content) = transaction.challenged_request.take().expect("kept with the challenge");
                self.certificate_request(header, number, &content, credential, knobs, now)
            }
            4 => self.pkcs10_request(header, content, knobs, now),
            11 => self.revocation_requests(content, credential),
            21 => self.general_message(content, credential, now),
            24 => self.confirmation(header, content, knobs),
            25 => self.poll(header, content, knobs),
            _ => refuse(bit::BAD_REQUEST, format!("{} is not served", body_name(i32::from(number)))),
        }
    }

    /// Keeps the answer back and says waiting in its place.
    fn delay(&mut self, header: &Header, answer: (u8, Vec<u8>), knobs: &Knobs) -> (u8, Vec<u8>) {
        let transaction = self.transactions.get_mut(&header.transaction).expect("known by now");
        transaction.pending = Some(answer);
        transaction.polls_left = knobs.other_waiting;
        transaction.delayed_nonce = header.sender_nonce.clone();
        (23, seq(&[&status_info(3, 0, &knobs.poll_reason)]))
    }

    /// Begins a transaction; the oldest is forgotten where there are too many.
    fn remember(&mut self, id: Vec<u8>, transaction: Transaction) {
        if self.transaction_order.len() >= MAX_TRANSACTIONS {
            if let Some(oldest) = self.transaction_order.pop_front() {
                self.transactions.remove(&oldest);
            }
        }
        self.transaction_order.push_back(id.clone());
        self.transactions.insert(id, transaction);
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
            return self.several_requests(header, number, content, credential, knobs, now);
        };
        check_profile(header, 1, knobs)?;
        if message.at(0)?.at(0)?.integer()? != 0 {
            return refuse(bit::BAD_REQUEST, "certReqId is not 0");
        }
        match self.evaluate(header, number, message, credential, knobs, now)? {
            Evaluated::Challenged(challenge) => {
                let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
                transaction.challenged_request = Some((number, content.clone()));
                Ok((5, challenge))
            }
            Evaluated::Issued { certificate, pair } => self.respond(header, number + 1, certificate, &pair, knobs),
        }
    }

    /// What becomes of one CertReqMsg.
    pub(crate) fn evaluate(
        &mut self,
        header: &Header,
        number: u8,
        message: &Node,
        credential: &Credential,
        knobs: &Knobs,
        now: i64,
    ) -> Result<Evaluated, Refusal> {
        let request = message.at(0)?;
        let template = request.at(1)?;
        for field in &template.children {
            if matches!(field.tag & 0x1f, 1 | 2 | 7 | 8) {
                return refuse(bit::BAD_CERT_TEMPLATE, format!("the template has field [{}]", field.tag & 0x1f));
            }
        }
        // RFC 4211 section 5.
        if template.tagged(0x80).is_some_and(|version| version.value() != [2]) {
            return refuse(bit::BAD_CERT_TEMPLATE, "the template's version is not 2");
        }
        // An issuer is a wish (OpenSSL's client names the one of its credential): this CA has one name.
        // TS 33.310: who asks for no name is given one, and says by poposkInput whose request it is.
        let is_nameless = template.tagged(0xa5).is_none() && number != 7;
        let subject = match template.tagged(0xa5) {
            Some(subject) => subject.inner()?.bytes.clone(),
            None if is_nameless => common_name("named by the CA"),
            None => return refuse(bit::BAD_CERT_TEMPLATE, "the template has no subject"),
        };
        let made = wanted_key(template)?.map(Key::generate);
        let spki = match (&made, template.tagged(0xa6)) {
            (None, Some(key)) => seq(&[key.value()]),
            (Some(made), _) => made.spki.clone(),
            (None, None) => return refuse(bit::BAD_CERT_TEMPLATE, "the template has no publicKey"),
        };
        let mut extensions = Vec::new();
        if let Some(list) = template.tagged(0xa9) {
            extensions = crate::certs::read_extensions(list)?;
        }
        check_no_ca(&extensions)?;
        if subject == [0x30, 0x00] && !extensions.iter().any(|e| e.0 == SUBJECT_ALT_NAME) {
            return refuse(bit::BAD_CERT_TEMPLATE, "neither subject nor subjectAltName");
        }
        let possession = announced(message)?;
        let expects_encryption = made.is_some() || possession != Possession::Signature;
        if knobs.strict && header.pvno != 3 && expects_encryption && !knobs.encrypted_value {
            return refuse(bit::UNSUPPORTED_VERSION, "pvno 2 where 3 is due");
        }
        let is_answer = self.transactions.get(&header.transaction).is_some_and(|t| t.is_proved);
        let is_vouched_for = message.children.iter().skip(1).any(|field| field.tag == 0x80);
        if is_vouched_for && !self.is_own_ra(credential) {
            return refuse(bit::NOT_AUTHORIZED, "raVerified from someone who is no RA of this CA");
        }
        match possession {
            _ if is_vouched_for => {}
            _ if made.is_some() && message.children.len() > 1 => {
                return refuse(bit::BAD_POP, "a proof of possession of a key that is yet to be made");
            }
            _ if made.is_some() => {}
            Possession::Signature => check_possession(message, request, &spki, is_nameless)?,
            Possession::EncryptedCertificate if knobs.no_possession == "encrCert" => {
                return refuse(bit::BAD_POP, "encrCert is not served");
            }
            Possession::Challenge if knobs.no_possession == "challengeResp" => {
                return refuse(bit::BAD_POP, "challengeResp is not served");
            }
            Possession::Challenge if !is_answer => {
                let (challenge, hidden) = self.challenge(&spki, knobs)?;
                let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
                transaction.challenge = Some(hidden);
                return Ok(Evaluated::Challenged(challenge));
            }
            Possession::EncryptedCertificate | Possession::Challenge => {}
        }
        if number == 7 {
            self.check_key_update(request, &subject, &extensions, credential)?;
        }
        let validity = template.tagged(0xa4).map(|v| (bound(v, 0xa0), bound(v, 0xa1)));
        if made.is_some() {
            check_may_receive(credential)?;
        }
        let certificate = self.issue_requested(&subject, &spki, &extensions, validity, knobs, now);
        let proves_by_confirming = possession == Possession::EncryptedCertificate;
        let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
        transaction.proves_by_confirming |= proves_by_confirming;
        let mut pair = if proves_by_confirming && !knobs.clear_certificate {
            tlv(0xa1, &[&self.wrapped_certificate(&certificate, knobs)?])
        } else {
            tlv(0xa0, &[&certificate])
        };
        let unasked = knobs.unasked_key.then(|| Key::generate(KeyType::P256));
        if let Some(made) = made.or(unasked).filter(|_| !knobs.no_generated_key) {
            pair.extend(tlv(0xa0, &[&self.wrapped_key(&made, credential, knobs)?]));
        }
        Ok(Evaluated::Issued { certificate, pair })
    }

    fn pkcs10_request(
        &mut self,
        header: &Header,
        content: &Node,
        knobs: &Knobs,
        now: i64,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let info = content.at(0)?;
        // RFC 9483 section 4.1.4.
        if info.at(0)?.integer()? != 0 {
            return refuse(bit::BAD_CERT_TEMPLATE, "the version of the PKCS #10 request is not 0");
        }
        let (subject, spki) = (info.at(1)?.bytes.clone(), info.at(2)?.bytes.clone());
        verify(content.at(1)?, &spki, &info.bytes, content.at(2)?.bits()?)
            .map_err(|text| Refusal::new(bit::BAD_POP, text))?;
        let mut extensions = Vec::new();
        for attribute in info.tagged(0xa0).into_iter().flat_map(|a| &a.children) {
            if attribute.at(0)?.oid()? == "1.2.840.113549.1.9.14" {
                extensions = crate::certs::read_extensions(attribute.at(1)?.at(0)?)?;
            }
        }
        check_profile(header, 1, knobs)?;
        check_no_ca(&extensions)?;
        let certificate = self.issue_requested(&subject, &spki, &extensions, None, knobs, now);
        let knobs = Knobs { cert_req_id: knobs.pkcs10_id, ..knobs.clone() };
        let pair = tlv(0xa0, &[&certificate]);
        self.respond(header, 3, certificate, &pair, &knobs)
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
        let subject = if knobs.reversed_subject { reversed(&subject) } else { subject };
        let other = knobs.wrong_key.then(|| crate::keys::Key::generate(KeyType::P256).spki);
        let mut profile = self.end_entity(subject, other.unwrap_or_else(|| spki.to_vec()), begin, end);
        for (id, critical, value) in extensions {
            if !(knobs.drop_alt_names && id == SUBJECT_ALT_NAME) {
                profile = profile.with(id, *critical, value.clone());
            }
        }
        if !knobs.add_alt_name.is_empty() {
            let asked = extensions.iter().find(|e| e.0 == SUBJECT_ALT_NAME).and_then(|e| Node::parse(&e.2).ok());
            let added = tlv(0x82, &[knobs.add_alt_name.as_bytes()]);
            let names = [asked.map_or_else(Vec::new, |names| names.value().to_vec()), added].concat();
            profile = profile.with(SUBJECT_ALT_NAME, false, seq(&[&names]));
        }
        let issuer = if knobs.certificate_from_stranger { &self.stranger } else { &self.issuing };
        let mut certificate = profile.signed(&issuer.name(), &issuer.key);
        if knobs.broken_certificate {
            if let Some(last) = certificate.last_mut() {
                *last ^= 1;
            }
        }
        self.issued.push(certificate.clone());
        certificate
    }

    fn respond(
        &mut self,
        header: &Header,
        tag: u8,
        certificate: Vec<u8>,
        pair: &[u8],
        knobs: &Knobs,
    ) -> Result<(u8, Vec<u8>), Refusal> {
        let transaction = self.transactions.get_mut(&header.transaction).expect("begun above");
        let asked = header.info.contains_key(IMPLICIT_CONFIRM);
        transaction.implicit = match knobs.implicit_confirm.as_str() {
            "ignore" => false,
            "always" => true,
            // RFC 9810 section 5.2.8.3.2: certConf is the proof.
            _ => asked && !transaction.proves_by_confirming,
        };
        transaction.issued = Some(certificate);
        transaction.id = knobs.cert_req_id;
        let refused = matches!(knobs.status, 2 | 3) || knobs.status > 6;
        let body = if refused || knobs.no_certificate { None } else { Some(pair) };
        let anchors = knobs.ca_pubs.then(|| self.root.certificate.clone());
        let content = cert_rep(
            knobs.cert_req_id,
            &status_with(knobs.status, knobs.fail_info, &knobs.text, &knobs.text_form),
            body,
            anchors,
        );
        let content = if knobs.two_responses { doubled(&content) } else { content };
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

    fn poll(&mut self, header: &Header, content: &Node, knobs: &Knobs) -> Result<(u8, Vec<u8>), Refusal> {
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

    /// One status for each RevDetails, in their order (RFC 9810 section 5.3.10). One is a device's (RFC 9483 section 4.2), several are
    /// an RA's: each is taken or refused by itself.
    fn revocation_requests(&mut self, content: &Node, credential: &Credential) -> Result<(u8, Vec<u8>), Refusal> {
        if let [details] = &content.children[..] {
            self.revocation_request(details, credential)?;
            return Ok((12, seq(&[&seq(&[&status_info(0, 0, "")])])));
        }
        if content.children.is_empty() {
            return refuse(bit::BAD_REQUEST, "a revocation request without any RevDetails");
        }
        let serials: Vec<_> = content.children.iter().filter_map(|one| one.at(0).ok()?.tagged(0x81)).collect();
        if serials.iter().enumerate().any(|(at, one)| serials[..at].iter().any(|other| other.value() == one.value())) {
            return refuse(bit::BAD_REQUEST, "one certificate twice in a revocation request");
        }
        let status = |details| match self.revocation_request(details, credential) {
            Ok(()) => status_info(0, 0, ""),
            Err(refusal) => status_info(2, 1 << refusal.bit, &refusal.text),
        };
        let statuses: Vec<u8> = content.children.iter().flat_map(status).collect();
        Ok((12, seq(&[&seq(&[&statuses])])))
    }

    fn revocation_request(&mut self, details: &Node, credential: &Credential) -> Result<(), Refusal> {
        let template = details.at(0)?;
        let serial = template.tagged(0x81).ok_or("no serialNumber in certDetails".to_owned())?.value().to_vec();
        let issuer = match credential {
            Credential::Certificate(signer) => {
                let signer = Parsed::read(signer)?;
                // RFC 9483 section 5.3.2: an RA may ask for others.
                if signer.serial != serial && !self.is_own_ra(credential) {
                    return refuse(bit::NOT_AUTHORIZED, "signed by another certificate than the one to revoke");
                }
                signer.issuer
            }
            Credential::Passphrase(reference) if self.is_passphrase_for(reference, &serial) => self.issuing.name(),
            Credential::Passphrase(_) => {
                return refuse(bit::NOT_AUTHORIZED, "the revocation passphrase is for another certificate");
            }
            _ => return refuse(bit::WRONG_INTEGRITY, "a revocation request under a MAC"),
        };
        let is_issued = |der: &Vec<u8>| Parsed::read(der).is_ok_and(|c| c.serial == serial);
        if !self.issued.iter().any(is_issued) || template.tagged(0xa3).is_none_or(|i| i.value() != issuer) {
            return refuse(bit::BAD_CERT_ID, "issuer is missing or is not this CA");
        }
        let reason = match details.children.get(1) {
            Some(list) => {
                let all = crate::certs::read_extensions(list)?;
                let value = all.iter().find(|e| e.0 == "2.5.29.21").map(|e| Node::parse(&e.2)).transpose()?;
                match value.as_ref().map(|node| node.expect(0x0a, "reasonCode").map(Node::value)).transpose()? {
                    Some([reason @ (0..=6 | 8..=10)]) => *reason,
                    Some(other) => {
                        let shown: Vec<String> = other.iter().map(u8::to_string).collect();
                        let text = format!("reasonCode {}, which RFC 5280 does not know", shown.join(" "));
                        return refuse(bit::BAD_DATA_FORMAT, text);
                    }
                    None => 0,
                }
            }
            None => 0,
        };
        let held = self.revoked.iter().find(|revoked| revoked.0 == serial).map(|revoked| revoked.2);
        match (held, reason) {
            // On hold, and taken off it or revoked for good.
            (Some(6), _) => {}
            (Some(_), _) => return refuse(bit::CERT_REVOKED, "the certificate is revoked already"),
            (None, 8) => return refuse(bit::BAD_REQUEST, "the certificate is not on hold"),
            (None, _) => {}
        }
        self.revoke(&serial, reason);
        Ok(())
    }

    fn general_message(&mut self, content: &Node, credential: &Credential, now: i64) -> Result<(u8, Vec<u8>), Refusal> {
        let [item, ..] = &content.children[..] else {
            return refuse(bit::BAD_REQUEST, "a genm without a question");
        };
        let kind = item.at(0)?.oid()?;
        // RFC 9483 section 4.3 and currentCRL; anything else is answered without a value.
        let (kind, value) = match kind.strip_prefix("1.3.6.1.5.5.7.4.") {
            Some("6") => (kind, self.crl(now)),
            Some("12") => {
                self.take_passphrase(item.at(1)?, credential)?;
                (kind, Vec::new())
            }
            // RFC 9483 section 4.3.1.
            Some("17") if item.children.len() > 1 => {
                return refuse(bit::BAD_DATA_FORMAT, "a question for caCerts with a value");
            }
            Some("17") => (kind, seq(&[&self.issuing.certificate, &self.ra_certificates.concat()])),
            Some("19") => (kind, request_template()),
            Some("20") => ("1.3.6.1.5.5.7.4.18".to_owned(), self.root_update(now)),
            Some("22") => {
                let status = item.at(1)?.at(0)?;
                if status.children.is_empty() {
                    return refuse(bit::BAD_DATA_FORMAT, "a CRLStatus that names no list");
                }
                let known = status.children.get(1).map(|t| String::from_utf8_lossy(t.value()).into_owned());
                let known = known.map(|t| unix_of(&if t.len() == 13 { format!("20{t}") } else { t })).transpose()?;
                let is_newer = known.is_none_or(|known| known < now - 60);
                ("1.3.6.1.5.5.7.4.23".to_owned(), if is_newer { seq(&[&self.crl(now)]) } else { Vec::new() })
            }
            _ => (kind, Vec::new()),
        };
        Ok((22, seq(&[&seq(&[&oid(&kind), &value])])))
    }

    /// A new root with the links from and to the old one.
    fn root_update(&self, now: i64) -> Vec<u8> {
        let (from, to) = (now - 3600, now + 10 * 365 * 86_400);
        let new = crate::Holder::root("devid test root", KeyType::P256, from, to);
        let link = |subject: Vec<u8>, key: &crate::Key| Profile::new(subject, key.spki.clone(), from, to).ca();
        let new_with_old = link(new.name(), &new.key).signed(&self.root.name(), &self.root.key);
        let old_with_new = link(self.root.name(), &self.root.key).signed(&new.name(), &new.key);
        seq(&[&new.certificate, &tlv(0xa0, &[&new_with_old]), &tlv(0xa1, &[&old_with_new])])
    }
}

/// CertReqTemplateContent: a subject to be filled in, over P-256 or RSA of 2048 bits.
fn request_template() -> Vec<u8> {
    let control = |kind: &str, value: &[u8]| seq(&[&oid(kind), value]);
    let p256 = seq(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
    let keys = [control("1.3.6.1.5.5.7.5.1.11", &p256), control("1.3.6.1.5.5.7.5.1.12", &int(2048))];
    seq(&[&seq(&[&tlv(0xa5, &[&[0x30, 0x00]])]), &seq(&[&keys.concat()])])
}

/// A Name with its parts back to front.
fn reversed(name: &[u8]) -> Vec<u8> {
    let name = Node::parse(name).expect("read before");
    let parts: Vec<u8> = name.children.iter().rev().flat_map(|part| part.bytes.clone()).collect();
    seq(&[&parts])
}

/// What becomes of a request for a certificate.
pub(crate) enum Evaluated {
    /// Possession is to be proved first: popdecc.
    Challenged(Vec<u8>),
    /// The certificate, and the content of CertifiedKeyPair.
    Issued { certificate: Vec<u8>, pair: Vec<u8> },
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

/// A CertRepMessage with its responses twice.
fn doubled(content: &[u8]) -> Vec<u8> {
    let message = Node::parse(content).expect("made here");
    let fields: Vec<Vec<u8>> = message.children.iter().map(|field| field.bytes.clone()).collect();
    let (responses, rest) = fields.split_last().expect("responses are not optional");
    let responses = Node::parse(responses).expect("made here").value().repeat(2);
    seq(&[&rest.concat(), &seq(&[&responses])])
}
