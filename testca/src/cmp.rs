//! CMP from the other side: what becomes of a message: its transaction, and who answers it.

use crate::TestCa;
use crate::answer::{cert_rep, status_info, status_with};
use crate::certs::{SUBJECT_ALT_NAME, common_name};
use crate::check::{check_no_ca, check_possession, check_rules, check_time, check_version};
use crate::issuing::Evaluated;
use crate::keys::{Key, KeyType};
use crate::knobs::Knobs;
use crate::nested::Unnested;
use crate::possession::{Possession, announced, check_may_receive, wanted_key};
use crate::read::{Header, bound, take_apart};
use crate::tlv::{Node, int, seq, tlv, utf8};

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
}
