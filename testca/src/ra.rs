//! A registration authority in front of the CA (RFC 9483 section 5.2): it verifies who asks and that the new key is
//! theirs, then passes the message on, unchanged, with a protection of its own around it, or with its own in place of
//! the device's. Answers go back the same way.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::TestCa;
use crate::answer::status_info;
use crate::certs::{Holder, Parsed, Profile, common_name};
use crate::check::check_possession;
use crate::cmp::{Credential, Received, Refusal, bit, body_name, refuse};
use crate::keys::{Key, KeyType, random, verify};
use crate::mac::{mac, mac_algorithm};
use crate::read::{Header, take_apart};
use crate::server::{Listener, Response, system_time};
use crate::tlv::{Node, bits, generalized_time, int, octets, seq, tlv};
use crate::trust::{CMC_RA, Judge};

const NESTED: u8 = 20;
const SYSTEM_UNAVAIL: u32 = 24;
const SYSTEM_FAILURE: u32 = 25;

/// How an RA passes requests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaMode {
    /// As they are (RFC 9483 section 5.2.1).
    Forward,
    /// Each in a nested message under the RA's signature (section 5.2.2.1).
    Nested,
    /// In a nested message with an identity of its own, which may hold several (section 5.2.2.2).
    Batch,
    /// Under the RA's signature in place of the device's protection (section 5.2.3.1).
    Replace,
    /// The same, with raVerified in place of the proof of possession that the RA checked (section 5.2.3.2).
    RaVerified,
}

impl RaMode {
    /// By name, as on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "forward" => RaMode::Forward,
            "nested" => RaMode::Nested,
            "batch" => RaMode::Batch,
            "replace" => RaMode::Replace,
            "ra-verified" => RaMode::RaVerified,
            _ => return None,
        })
    }
}

/// Carries a message to the CA and brings its answer.
pub type Upstream<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, String> + 'a;

/// The RA.
pub struct Ra {
    /// How it passes requests on.
    pub mode: RaMode,
    /// Its key and certificate.
    pub signer: Holder,
    /// Every message received from devices, in order.
    pub received: Vec<Received>,
    /// Whether answers under its own protection come without certificates.
    pub sends_no_certificates: bool,
    chain: Vec<u8>,
    own: Vec<Vec<u8>>,
    secrets: HashMap<Vec<u8>, Vec<u8>>,
    transactions: HashMap<Vec<u8>, Known>,
}

/// What is known of a transaction.
struct Known {
    credential: Credential,
    /// How its messages go up: what must keep its protection is never given another.
    mode: RaMode,
}

/// A request that may go up.
struct Passed {
    header: Header,
    credential: Credential,
    mode: RaMode,
    node: Node,
}

impl TestCa {
    /// An RA with a certificate of this CA, purpose cmcRA. It knows the CA's secrets and the supplier; the CA names its
    /// certificate among the CA certificates.
    pub fn ra(&mut self, mode: RaMode, now: i64) -> Ra {
        let signer = self.ra_credential(now);
        self.ra_certificates.push(signer.certificate.clone());
        self.ra_with(mode, signer)
    }

    /// Key and certificate for an RA, also for one that others wrote.
    pub(crate) fn ra_credential(&mut self, now: i64) -> Holder {
        let (from, to) = (now - 3600, now + 365 * 86_400);
        self.issuing.issue("devid test RA", self.ra_key, from, to, |p| p.key_usage(&[0]).purposes(&[CMC_RA]))
    }

    /// The same without the purpose: nothing says that it may be an RA.
    pub fn ra_without_purpose(&mut self, mode: RaMode, now: i64) -> Ra {
        let (from, to) = (now - 3600, now + 365 * 86_400);
        let signer = self.issuing.issue("devid test RA", KeyType::P256, from, to, |p| p.key_usage(&[0]));
        self.ra_with(mode, signer)
    }

    /// An RA with a certificate that it made itself.
    pub fn ra_of_its_own(&mut self, mode: RaMode, now: i64) -> Ra {
        let key = Key::generate(KeyType::P256);
        let name = common_name("devid test RA");
        let profile = Profile::new(name.clone(), key.spki.clone(), now - 3600, now + 3600).ca().key_usage(&[0, 5]);
        let signer = Holder { certificate: profile.signed(&name, &key), key };
        self.ra_with(mode, signer)
    }

    fn ra_with(&self, mode: RaMode, signer: Holder) -> Ra {
        let own = [&self.root, &self.issuing, &self.supplier_root, &self.supplier];
        Ra {
            mode,
            signer,
            received: Vec::new(),
            sends_no_certificates: false,
            chain: self.issuing.certificate.clone(),
            own: own.map(|h| h.certificate.clone()).to_vec(),
            secrets: self.secrets.clone(),
            transactions: HashMap::new(),
        }
    }
}

impl Ra {
    /// Passes one request on and answers what goes back to the device.
    pub fn pass(&mut self, request: &[u8], now: i64, upstream: &mut Upstream<'_>) -> Vec<u8> {
        if self.mode == RaMode::Batch {
            return self.pass_batch(&[request.to_vec()], now, upstream).remove(0);
        }
        let passed = match self.check(request, now) {
            Ok(passed) => passed,
            Err((header, refusal)) => return self.error(header.as_deref(), None, &refusal, now),
        };
        let sent = match passed.mode {
            RaMode::Forward | RaMode::Batch => request.to_vec(),
            RaMode::Nested => self.nest(&passed.header.transaction, &passed.header.sender_nonce, &[request], now),
            RaMode::Replace => self.replace(&passed.node, false),
            RaMode::RaVerified => self.replace(&passed.node, true),
        };
        match upstream(&sent).and_then(|answer| self.back(&passed, &answer, now)) {
            Ok(answer) => answer,
            Err(text) => {
                let refusal = Refusal::new(SYSTEM_FAILURE, text);
                self.error(Some(&passed.header), Some(&passed.credential), &refusal, now)
            }
        }
    }

    /// Passes several requests on in one nested message; one answer for each, in the same order. Requests that the CA
    /// did not answer are answered with systemUnavail, answers that nobody asked for are dropped.
    pub fn pass_batch(&mut self, requests: &[Vec<u8>], now: i64, upstream: &mut Upstream<'_>) -> Vec<Vec<u8>> {
        let checked: Vec<Result<Passed, Vec<u8>>> = requests
            .iter()
            .map(|request| {
                self.check(request, now).map_err(|(header, refusal)| self.error(header.as_deref(), None, &refusal, now))
            })
            .collect();
        let good: Vec<&[u8]> = requests.iter().zip(&checked).filter(|(_, c)| c.is_ok()).map(|(r, _)| &r[..]).collect();
        let (transaction, nonce) = (random(16), random(16));
        let brought = if good.is_empty() {
            Ok(Vec::new())
        } else {
            upstream(&self.nest(&transaction, &nonce, &good, now))
                .and_then(|answer| self.unbundle(&answer, &transaction, &nonce, now))
        };
        let answers = brought.as_deref().unwrap_or_default();
        checked
            .into_iter()
            .map(|checked| {
                let passed = match checked {
                    Ok(passed) => passed,
                    Err(answer) => return answer,
                };
                let belongs = |answer: &&Vec<u8>| {
                    take_apart(answer).is_ok_and(|(header, ..)| header.transaction == passed.header.transaction)
                };
                answers.iter().find(belongs).cloned().unwrap_or_else(|| {
                    let text = brought.as_ref().err().cloned().unwrap_or_else(|| "the CA did not answer".to_owned());
                    let refusal = Refusal::new(SYSTEM_UNAVAIL, text);
                    self.error(Some(&passed.header), Some(&passed.credential), &refusal, now)
                })
            })
            .collect()
    }

    /// Protection, and possession of the new key (RFC 9483 sections 3.5 and 5.2).
    #[allow(clippy::type_complexity, reason = "a refusal needs the header that it answers, where there is one")]
    fn check(&mut self, request: &[u8], now: i64) -> Result<Passed, (Option<Box<Header>>, Refusal)> {
        let taken = take_apart(request).map(|(header, body, node)| (header, body.tag & 0x1f, body, node));
        let (header, number, body, node) = match taken {
            Ok(taken) => taken,
            Err(refusal) => {
                let complaint = Some(refusal.text.clone());
                self.received.push(Received { der: request.to_vec(), body: -1, complaint });
                return Err((None, refusal));
            }
        };
        let outcome = self.check_request(&header, number, &body, &node, now);
        let complaint = outcome.as_ref().err().map(|refusal| refusal.text.clone());
        self.received.push(Received { der: request.to_vec(), body: number.into(), complaint });
        match outcome {
            Ok((credential, mode)) => Ok(Passed { header, credential, mode, node }),
            Err(refusal) => Err((Some(Box::new(header)), refusal)),
        }
    }

    fn check_request(
        &mut self,
        header: &Header,
        number: u8,
        body: &Node,
        node: &Node,
        now: i64,
    ) -> Result<(Credential, RaMode), Refusal> {
        let known = self.transactions.get(&header.transaction);
        let remembered = known.map(|known| &known.credential);
        let judge = Judge { secrets: &self.secrets, own: &self.own, remembered };
        let credential = judge.check_protection(header, node, number, now)?;
        if let Some(known) = known {
            if known.credential != credential {
                return refuse(bit::BAD_MESSAGE_CHECK, "protected with another credential than the first request");
            }
            return Ok((credential, known.mode));
        }
        let mut must_keep_protection = number == 7;
        match number {
            0 | 2 | 7 => {
                let message = body.inner()?.at(0)?;
                let request = message.at(0)?;
                match request.at(1)?.tagged(0xa6) {
                    Some(key) if !ends_in_no_bits(key) => {
                        check_possession(message, request, &seq(&[key.value()]), false)?
                    }
                    // Central key generation: the new key is encrypted for whoever protected the request.
                    _ => must_keep_protection = true,
                }
            }
            4 => {
                let (content, info) = (body.inner()?, body.inner()?.at(0)?);
                verify(content.at(1)?, &info.at(2)?.bytes, &info.bytes, content.at(2)?.bits()?)
                    .map_err(|text| Refusal::new(bit::BAD_POP, text))?;
            }
            // A certificate is revoked under its own signature.
            11 => must_keep_protection = true,
            21 => {}
            _ => return refuse(bit::BAD_REQUEST, format!("{} outside a transaction", body_name(number.into()))),
        }
        let mode = match self.mode {
            // RFC 9483 section 5.2.3: MUST NOT for kur and central key generation.
            RaMode::Replace | RaMode::RaVerified if must_keep_protection => RaMode::Nested,
            mode => mode,
        };
        self.transactions.insert(header.transaction.clone(), Known { credential: credential.clone(), mode });
        Ok((credential, mode))
    }

    /// The CA's answer on its way back.
    fn back(&self, passed: &Passed, answer: &[u8], now: i64) -> Result<Vec<u8>, String> {
        if !matches!(passed.mode, RaMode::Replace | RaMode::RaVerified) {
            return Ok(answer.to_vec());
        }
        let (header, body, node) = self.check_answer(answer, now)?;
        if header.transaction != passed.header.transaction {
            return Err("the CA's answer belongs to another transaction".to_owned());
        }
        let sender = tlv(0xa4, &[&self.signer.name()]);
        Ok(self.protect(&node, &body.bytes, &sender, &passed.header.sender.bytes, &passed.header, &passed.credential))
    }

    /// An answer under the signature of the CA.
    fn check_answer(&self, answer: &[u8], now: i64) -> Result<(Header, Node, Node), String> {
        let (header, body, node) = take_apart(answer).map_err(|refusal| refusal.text)?;
        let judge = Judge { secrets: &HashMap::new(), own: &self.own, remembered: None };
        let number = body.tag & 0x1f;
        let checked = judge.check_protection(&header, &node, number, now).map_err(|refusal| refusal.text);
        checked.map_err(|text| format!("the CA's answer: {text}")).map(|_| (header, body, node))
    }

    fn unbundle(&self, answer: &[u8], transaction: &[u8], nonce: &[u8], now: i64) -> Result<Vec<Vec<u8>>, String> {
        let (header, body, _) = self.check_answer(answer, now)?;
        if header.transaction != transaction || header.recip_nonce.as_deref() != Some(nonce) {
            return Err("the CA's answer belongs to another nested message".to_owned());
        }
        if body.tag & 0x1f != NESTED {
            return Err(format!("the CA answered a nested message with {}", body_name((body.tag & 0x1f).into())));
        }
        Ok(body.inner()?.children.iter().map(|message| message.bytes.clone()).collect())
    }

    /// A nested message under the RA's signature.
    fn nest(&self, transaction: &[u8], nonce: &[u8], messages: &[&[u8]], now: i64) -> Vec<u8> {
        let header = seq(&[
            &int(2),
            &tlv(0xa4, &[&self.signer.name()]),
            &tlv(0xa4, &[&[0x30, 0x00]]),
            &tlv(0xa0, &[&generalized_time(now)]),
            &tlv(0xa1, &[&self.signer.key.algorithm()]),
            &tlv(0xa2, &[&octets(&self.key_id())]),
            &tlv(0xa4, &[&octets(transaction)]),
            &tlv(0xa5, &[&octets(nonce)]),
        ]);
        let body = tlv(0xa0 | NESTED, &[&seq(messages)]);
        let protection = self.signer.key.sign(&seq(&[&header, &body]));
        seq(&[&header, &body, &tlv(0xa0, &[&bits(&protection)]), &self.certificates()])
    }

    /// A request under the RA's signature in place of its own protection.
    fn replace(&self, message: &Node, ra_verified: bool) -> Vec<u8> {
        let body = message.at(1).expect("taken apart");
        let changed = match body.tag & 0x1f {
            0 | 2 if ra_verified => with_ra_verified(body).expect("its parts were looked at"),
            _ => body.bytes.clone(),
        };
        let recipient = message.at(0).and_then(|h| h.at(2)).expect("taken apart").bytes.clone();
        let sender = tlv(0xa4, &[&self.signer.name()]);
        self.rewrite(message, &changed, &sender, &recipient, &self.signer.key.algorithm(), &self.key_id(), None)
    }

    /// A message for a device, under the protection that its request had: the RA's signature, or the secret they share.
    fn protect(
        &self,
        message: &Node,
        body: &[u8],
        sender: &[u8],
        recipient: &[u8],
        request: &Header,
        credential: &Credential,
    ) -> Vec<u8> {
        match (credential, &request.algorithm) {
            (Credential::Mac(reference), Some(theirs)) => {
                let (algorithm, secret) = (mac_algorithm(theirs, 0, false), &self.secrets[reference]);
                self.rewrite(message, body, sender, recipient, &algorithm, reference, Some(secret))
            }
            _ => {
                let algorithm = self.signer.key.algorithm();
                self.rewrite(message, body, sender, recipient, &algorithm, &self.key_id(), None)
            }
        }
    }

    /// transactionID and nonces stay (RFC 9483 section 5.2.3).
    #[allow(clippy::too_many_arguments, reason = "the fields of a message")]
    fn rewrite(
        &self,
        message: &Node,
        body: &[u8],
        sender: &[u8],
        recipient: &[u8],
        algorithm: &[u8],
        key_id: &[u8],
        secret: Option<&Vec<u8>>,
    ) -> Vec<u8> {
        let old = message.at(0).expect("taken apart");
        let kept = |tags: &[u8]| -> Vec<u8> {
            let kept = old.children.iter().skip(3).filter(|field| tags.contains(&field.tag));
            kept.flat_map(|field| field.bytes.clone()).collect()
        };
        let header = seq(&[
            &old.children[0].bytes,
            sender,
            recipient,
            &kept(&[0xa0]),
            &tlv(0xa1, &[algorithm]),
            &tlv(0xa2, &[&octets(key_id)]),
            &kept(&[0xa4, 0xa5, 0xa6, 0xa7, 0xa8]),
        ]);
        let protected = seq(&[&header, body]);
        let protection = match secret {
            Some(secret) => {
                let parameters = Node::parse(algorithm).expect("made here");
                mac(&parameters, secret, &protected).unwrap_or_else(|_| random(32))
            }
            None => self.signer.key.sign(&protected),
        };
        let extra = self.extra_certs(message, secret.is_none());
        seq(&[&header, body, &tlv(0xa0, &[&bits(&protection)]), &extra])
    }

    /// The RA's own certificates first, then what the message brought.
    fn extra_certs(&self, message: &Node, is_signed: bool) -> Vec<u8> {
        // Requests are ir to kur, rr, nested, genm, certConf and pollReq; the rest goes down.
        let goes_down =
            message.at(1).is_ok_and(|body| !matches!(body.tag & 0x1f, 0 | 2 | 4 | 7 | 11 | 20 | 21 | 24 | 25));
        if self.sends_no_certificates && goes_down {
            return Vec::new();
        }
        let own = if is_signed { vec![&self.signer.certificate, &self.chain] } else { Vec::new() };
        let brought = message.children.iter().skip(2).find(|c| c.tag == 0xa1);
        let brought = brought.and_then(|list| list.inner().ok()).map_or(&[][..], |list| &list.children[..]);
        let others = brought.iter().map(|c| &c.bytes).filter(|c| !own.contains(c));
        let all: Vec<u8> = own.iter().copied().chain(others).flatten().copied().collect();
        if all.is_empty() { all } else { tlv(0xa1, &[&seq(&[&all])]) }
    }

    fn certificates(&self) -> Vec<u8> {
        tlv(0xa1, &[&seq(&[&self.signer.certificate, &self.chain])])
    }

    /// An error message of the RA's own (RFC 9483 section 3.6).
    fn error(&self, request: Option<&Header>, credential: Option<&Credential>, why: &Refusal, now: i64) -> Vec<u8> {
        let octet_field = |tag: u8, value: Option<&Vec<u8>>| value.map_or_else(Vec::new, |v| tlv(tag, &[&octets(v)]));
        let nobody = tlv(0xa4, &[&[0x30, 0x00]]);
        let sender = tlv(0xa4, &[&self.signer.name()]);
        let recipient = request.map_or(&nobody, |header| &header.sender.bytes);
        let header = seq(&[
            &int(2),
            &sender,
            recipient,
            &tlv(0xa0, &[&generalized_time(now)]),
            &octet_field(0xa4, request.map(|header| &header.transaction)),
            &octet_field(0xa5, Some(&random(16))),
            &octet_field(0xa6, request.map(|header| &header.sender_nonce)),
        ]);
        let body = tlv(0xb7, &[&seq(&[&status_info(2, 1 << why.bit, &why.text)])]);
        let message = Node::parse(&seq(&[&header, &body])).expect("made here");
        match (request, credential) {
            (Some(request), Some(credential)) => self.protect(&message, &body, &sender, recipient, request, credential),
            _ => {
                let algorithm = self.signer.key.algorithm();
                self.rewrite(&message, &body, &sender, recipient, &algorithm, &self.key_id(), None)
            }
        }
    }

    fn key_id(&self) -> Vec<u8> {
        Parsed::read(&self.signer.certificate).ok().and_then(|c| c.key_id()).unwrap_or_default()
    }

    /// Names of the bodies received, in order.
    pub fn bodies(&self) -> Vec<&'static str> {
        self.received.iter().map(|r| body_name(r.body)).collect()
    }

    /// What was wrong with the requests, if anything was.
    pub fn complaints(&self) -> Vec<String> {
        self.received.iter().filter_map(|r| r.complaint.clone()).collect()
    }
}

/// A publicKey of no bits asks for central key generation (RFC 9483 section 4.1.6).
fn ends_in_no_bits(key: &Node) -> bool {
    key.children.last().is_none_or(|bits| bits.value().len() <= 1)
}

/// ir or cr with `raVerified [0] NULL` in place of each proof.
fn with_ra_verified(body: &Node) -> Result<Vec<u8>, String> {
    let messages: Vec<u8> = body
        .inner()?
        .children
        .iter()
        .map(|message| {
            let fields = message.children.iter().map(|field| match field.tag {
                0xa1 => vec![0x80, 0x00],
                _ => field.bytes.clone(),
            });
            let fields: Vec<Vec<u8>> = fields.collect();
            seq(&[&fields.concat()])
        })
        .collect::<Vec<_>>()
        .concat();
    Ok(tlv(body.tag, &[&seq(&[&messages])]))
}

/// An RA behind HTTP on loopback, in front of a CA behind HTTP; stopped when it is dropped.
pub struct RaServer {
    ra: Arc<Mutex<Ra>>,
    listener: Listener,
}

impl RaServer {
    /// On a port that the system chooses; `upstream` is the CA's URL, such as [`Server::cmp_url`](crate::Server::cmp_url).
    pub fn start(ra: Ra, upstream: &str) -> io::Result<Self> {
        let (ra, upstream) = (Arc::new(Mutex::new(ra)), upstream.to_owned());
        let shared = Arc::clone(&ra);
        let socket = TcpListener::bind(("127.0.0.1", 0))?;
        let listener = Listener::start(socket, move |request| {
            if request.method != "POST" || !request.path.starts_with("/cmp") {
                return Response::plain(404, "text/plain", b"only POST /cmp\n".to_vec());
            }
            let mut ra = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = ra.pass(&request.body, system_time(), &mut |message| post(&upstream, message));
            Response::plain(200, "application/pkixcmp", answer)
        })?;
        Ok(RaServer { ra, listener })
    }

    /// Where devices send their messages.
    pub fn cmp_url(&self) -> String {
        format!("{}/cmp", self.listener.url())
    }

    /// Does something with the RA.
    pub fn with<T>(&self, work: impl FnOnce(&mut Ra) -> T) -> T {
        work(&mut self.ra.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops listening and closes all connections.
    pub fn stop(&self) {
        self.listener.stop();
    }
}

/// One exchange over a connection of its own.
fn post(url: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("the CA is not reached: {error}");
    let rest = url.strip_prefix("http://").ok_or("only http:// goes up")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/pkixcmp\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        message.len()
    );
    stream.write_all(&[head.as_bytes(), message].concat()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("the CA's answer is no HTTP")?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        let line = String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned();
        return Err(format!("the CA answered {line}"));
    }
    Ok(answer.split_off(end + 4))
}
