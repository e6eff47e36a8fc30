//! The other end of an operation, in memory and under the test's thumb: every answer can be bent before it is protected
//! (`bend`) or after (`break_`). A real server that stands on its own decoder is `devid-testca`; this one is for lies.

use std::sync::Arc;

use devid::asn1::cmp::body::encode_body;
use devid::asn1::cmp::{BodyType, InfoTypeAndValue, PkiHeader, PkiMessage, PkiStatus, PkiStatusInfo, message};
use devid::asn1::der::{Cursor, Tag, element, encode, sequence};
use devid::asn1::oid;
use devid::asn1::pkcs10::CertificationRequest;
use devid::asn1::x509::Certificate;
use devid::client::{Config, Subject};
use devid::cmp::{Action, ActionKind, Issued, MacParameters, Operation, SignRequest, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, Provider};
use devid::limits::Limits;
use devid::validation::KeyUsage;
use devid::{Error, Time};

use crate::certificates::{Builder, Party, key, now, provider};

pub const REFERENCE: &[u8] = b"4711";
pub const SECRET: &[u8] = b"correct-horse";

/// Light parameters, so that tests do not spend their time on stretching.
pub const LIGHT_MAC: MacParameters =
    MacParameters::PasswordBased { owf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 100 };

/// An answer before its protection.
pub struct Answer {
    pub header: PkiHeader,
    pub body_type: BodyType,
    pub content: Vec<u8>,
    pub extra_certs: Vec<Certificate>,
    /// Who signs; `None`: the MAC of the request's parameters.
    pub signer: Option<Party>,
    pub secret: Vec<u8>,
}

type Transactions = (Vec<Vec<u8>>, Option<(BodyType, Vec<u8>)>, Option<Vec<u8>>, u32);
type Bend = Box<dyn FnMut(&mut Answer)>;
type Break = Box<dyn FnMut(Vec<u8>) -> Vec<u8>>;
type Script = Box<dyn FnMut(&PkiMessage) -> (BodyType, Vec<u8>)>;

pub struct MockCa {
    pub root: Party,
    pub issuing: Party,
    pub signer: Party,
    pub supplier: Party,
    /// How often a request for a certificate is answered with waiting, and the seconds in pollRep.
    pub waits: u32,
    pub check_after: i64,
    /// The same for certConf, by an error message with status waiting.
    pub confirm_waits: u32,
    /// A confirmation that comes again is turned down: the transaction is over.
    pub confirms_once: bool,
    confirmed: Vec<Vec<u8>>,
    /// Delay the first answer by an error message instead of a certificate response.
    pub wait_by_error: bool,
    pub grant_implicit: bool,
    pub status: PkiStatusInfo,
    pub cert_req_id: i64,
    /// RevRepContent in place of one status.
    pub rev_rep: Option<Vec<u8>>,
    /// What genp says.
    pub info: Vec<InfoTypeAndValue>,
    /// Issues in place of `issuing`, which stays in extraCerts.
    pub other_issuer: Option<Party>,
    /// Changes what is issued.
    pub issue: Box<dyn FnMut(Builder) -> Builder>,
    /// Answers in place of everything above.
    pub script: Option<Script>,
    pub bend: Option<Bend>,
    pub break_: Option<Break>,
    /// What came.
    pub received: Vec<PkiMessage>,
    pending: Option<(BodyType, Vec<u8>)>,
    delayed_nonce: Option<Vec<u8>>,
    polls_left: u32,
}

impl Default for MockCa {
    fn default() -> Self {
        Self::new()
    }
}

impl MockCa {
    pub fn new() -> Self {
        let root = Party::root("Operator root");
        let issuing = root.ca("Issuing CA");
        let signer = Builder::leaf("CMP server")
            .key_usage(&[KeyUsage::DigitalSignature])
            .purposes(&[oid::KP_CMC_RA])
            .signed_by(&issuing);
        MockCa {
            supplier: Party::root("Supplier root"),
            root,
            issuing,
            signer,
            waits: 0,
            check_after: 30,
            confirm_waits: 0,
            confirms_once: false,
            confirmed: Vec::new(),
            wait_by_error: false,
            grant_implicit: false,
            status: PkiStatusInfo::new(PkiStatus::Accepted),
            cert_req_id: 0,
            rev_rep: None,
            info: Vec::new(),
            other_issuer: None,
            issue: Box::new(|builder| builder),
            script: None,
            bend: None,
            break_: None,
            received: Vec::new(),
            pending: None,
            delayed_nonce: None,
            polls_left: 0,
        }
    }

    pub fn answers_waiting(mut self, times: u32, check_after: i64) -> Self {
        (self.waits, self.check_after) = (times, check_after);
        self
    }

    /// Bends every answer with this body before it is protected.
    pub fn bending(mut self, body: BodyType, mut bend: impl FnMut(&mut Answer) + 'static) -> Self {
        self.bend = Some(Box::new(move |answer| {
            if answer.body_type == body {
                bend(answer);
            }
        }));
        self
    }

    /// Issues something else than asked.
    pub fn issuing(mut self, change: impl FnMut(Builder) -> Builder + 'static) -> Self {
        self.issue = Box::new(change);
        self
    }

    /// Where its transactions stand, to go back to.
    pub fn transactions(&self) -> Transactions {
        (self.confirmed.clone(), self.pending.clone(), self.delayed_nonce.clone(), self.polls_left)
    }

    pub fn go_back_to(&mut self, transactions: Transactions) {
        (self.confirmed, self.pending, self.delayed_nonce, self.polls_left) = transactions;
    }

    /// Names of the bodies received.
    pub fn bodies(&self) -> Vec<&'static str> {
        self.received.iter().map(|m| m.body_type().name()).collect()
    }

    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let request = PkiMessage::from_der(request.to_vec(), &Limits::default()).expect("a readable request");
        let (body_type, content) = match &mut self.script {
            Some(script) => script(&request),
            None => self.decide(&request),
        };
        let header = request.header();
        let is_mac = header.sender_kid.as_deref() == Some(REFERENCE);
        let mut general_info = Vec::new();
        let is_issue = [BodyType::IP, BodyType::CP, BodyType::KUP].contains(&body_type);
        if is_issue && self.grant_implicit {
            let value = vec![5, 0];
            general_info.push(devid::asn1::cmp::InfoTypeAndValue { info_type: oid::IT_IMPLICIT_CONFIRM, value });
        }
        let recip_nonce = match request.body_type() {
            // The final answer after polling names the nonce of the delayed request.
            BodyType::POLLREQ if body_type != BodyType::POLLREP && self.script.is_none() => self.delayed_nonce.clone(),
            _ => header.sender_nonce.clone(),
        };
        let signer = (!is_mac).then(|| self.signer.clone());
        let mut answer = Answer {
            header: PkiHeader {
                pvno: 2,
                sender: Some(self.signer.certificate.subject().to_vec()),
                recipient: header.sender.clone(),
                message_time: Some(header.message_time.unwrap_or(now())),
                protection_alg: None,
                sender_kid: match &signer {
                    Some(signer) => signer.certificate.subject_key_identifier().map(<[u8]>::to_vec),
                    None => header.sender_kid.clone(),
                },
                recip_kid: None,
                transaction_id: header.transaction_id.clone(),
                sender_nonce: Some(vec![(self.received.len() as u8).wrapping_add(1); 16]),
                recip_nonce,
                free_text: Vec::new(),
                general_info,
            },
            body_type,
            content,
            extra_certs: vec![self.signer.certificate.clone(), self.issuing.certificate.clone()],
            signer,
            secret: SECRET.to_vec(),
        };
        let mac_algorithm = header.protection_alg.clone();
        self.received.push(request);
        if let Some(bend) = &mut self.bend {
            bend(&mut answer);
        }
        let der = protect(answer, mac_algorithm);
        match &mut self.break_ {
            Some(break_) => break_(der),
            None => der,
        }
    }

    fn decide(&mut self, request: &PkiMessage) -> (BodyType, Vec<u8>) {
        match request.body_type() {
            BodyType::RR | BodyType::GENM => {
                let (answer_type, content) = match (request.body_type(), &self.rev_rep) {
                    (BodyType::GENM, _) => {
                        (BodyType::GENP, sequence(&[&self.info.iter().flat_map(|i| i.to_der()).collect::<Vec<u8>>()]))
                    }
                    (_, Some(content)) => (BodyType::RP, content.clone()),
                    (_, None) => (BodyType::RP, sequence(&[&sequence(&[&self.status.to_der()])])),
                };
                if self.waits == 0 {
                    return (answer_type, content);
                }
                self.delay(self.waits, answer_type, content, request);
                (BodyType::ERROR, sequence(&[&PkiStatusInfo::new(PkiStatus::Waiting).to_der()]))
            }
            BodyType::IR | BodyType::CR | BodyType::KUR | BodyType::P10CR => {
                let answer_type = match request.body_type() {
                    BodyType::P10CR => BodyType::CP,
                    other => BodyType(other.0 + 1),
                };
                let content = self.issue_for(request);
                if self.waits == 0 {
                    return (answer_type, content);
                }
                self.delay(self.waits, answer_type, content, request);
                if self.wait_by_error {
                    return (BodyType::ERROR, sequence(&[&PkiStatusInfo::new(PkiStatus::Waiting).to_der()]));
                }
                let waiting = PkiStatusInfo::new(PkiStatus::Waiting);
                (answer_type, cert_rep(self.cert_req_id, &waiting, None))
            }
            BodyType::CERTCONF if self.confirm_waits > 0 => {
                self.delay(self.confirm_waits, BodyType::PKICONF, vec![5, 0], request);
                (BodyType::ERROR, sequence(&[&PkiStatusInfo::new(PkiStatus::Waiting).to_der()]))
            }
            BodyType::CERTCONF => {
                let transaction = request.header().transaction_id.clone().unwrap_or_default();
                if self.confirms_once && self.confirmed.contains(&transaction) {
                    return unknown_transaction();
                }
                self.confirmed.push(transaction);
                (BodyType::PKICONF, vec![5, 0])
            }
            BodyType::POLLREQ if self.polls_left > 0 => {
                self.polls_left -= 1;
                (BodyType::POLLREP, poll_rep(poll_id(request), self.check_after))
            }
            // Of a transaction that it knows nothing of, or that is over.
            BodyType::POLLREQ => self.pending.take().unwrap_or_else(unknown_transaction),
            other => panic!("the client sent {other}"),
        }
    }

    fn delay(&mut self, times: u32, body_type: BodyType, content: Vec<u8>, request: &PkiMessage) {
        self.pending = Some((body_type, content));
        self.polls_left = times;
        self.delayed_nonce = request.header().sender_nonce.clone();
    }

    fn issue_for(&mut self, request: &PkiMessage) -> Vec<u8> {
        let wanted = Wanted::read(request);
        let mut builder = Builder::leaf("replaced");
        // Who asks for no name gets one.
        if !wanted.subject.is_empty() {
            builder = builder.subject(wanted.subject);
        }
        builder.spki = Some(wanted.spki);
        for (id, critical, value) in wanted.extensions {
            builder = builder.with(id, critical, value);
        }
        let certificate =
            (self.issue)(builder).signed_by(self.other_issuer.as_ref().unwrap_or(&self.issuing)).certificate;
        let is_issued = !matches!(self.status.status, PkiStatus::Rejection | PkiStatus::Unknown(_));
        cert_rep(self.cert_req_id, &self.status, is_issued.then_some(&certificate))
    }
}

/// A transaction that the CA knows nothing of, or that is over.
fn unknown_transaction() -> (BodyType, Vec<u8>) {
    let status = PkiStatusInfo { fail_info: Some(1 << 2), ..PkiStatusInfo::new(PkiStatus::Rejection) };
    (BodyType::ERROR, sequence(&[&status.to_der()]))
}

/// What a request asks for, read by position.
pub struct Wanted {
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub extensions: Vec<(oid::Oid, bool, Vec<u8>)>,
    pub controls: Vec<u8>,
}

impl Wanted {
    pub fn read(request: &PkiMessage) -> Self {
        let content = content_of(request);
        if request.body_type() == BodyType::P10CR {
            let csr = CertificationRequest::from_der(&content).unwrap();
            let extensions = csr.extensions().iter().map(|e| (e.oid, e.critical, e.value.clone())).collect();
            let (subject, spki) = (csr.subject().to_vec(), csr.spki().to_vec());
            return Wanted { subject, spki, extensions, controls: Vec::new() };
        }
        let mut messages = Cursor::sequence(&content, "CertReqMessages").unwrap();
        let mut message = Cursor::new(messages.expect(Tag::Sequence, "one").unwrap().value, "CertReqMsg").unwrap();
        messages.finish().expect("exactly one request");
        let mut request = Cursor::new(message.any("certReq").unwrap().value, "CertRequest").unwrap();
        assert_eq!(request.decode::<i64>().unwrap(), 0, "certReqId");
        let mut template = Cursor::new(request.any("template").unwrap().value, "CertTemplate").unwrap();
        let controls = if request.is_empty() { Vec::new() } else { request.any("controls").unwrap().value.to_vec() };
        let mut wanted = Wanted { subject: Vec::new(), spki: Vec::new(), extensions: Vec::new(), controls };
        while !template.is_empty() {
            let field = template.any("a field").unwrap();
            match field.bytes[0] {
                0xa5 => wanted.subject = field.value.to_vec(),
                0xa6 => wanted.spki = element(0x30, &[field.value]),
                0xa9 => {
                    let list = element(0x30, &[field.value]);
                    wanted.extensions = devid::asn1::x509::Extensions::parse(&list, "Extensions")
                        .unwrap()
                        .map(|e| e.unwrap())
                        .map(|e| (e.oid, e.critical, e.value.to_vec()))
                        .collect();
                }
                0xa3 | 0xa4 => {}
                other => panic!("RFC 9483 section 4.1.1 has no field {other:02x} in a template"),
            }
        }
        wanted
    }
}

/// The content of a request's body.
pub fn content_of(request: &PkiMessage) -> Vec<u8> {
    match request.body(&Limits::default()).unwrap() {
        devid::asn1::cmp::PkiBody::Other(content) => content,
        other => panic!("a request's body, not {other:?}"),
    }
}

pub fn cert_rep(cert_req_id: i64, status: &PkiStatusInfo, certificate: Option<&Certificate>) -> Vec<u8> {
    let pair = certificate.map_or_else(Vec::new, |c| sequence(&[&element(0xa0, &[c.as_der()])]));
    let response = sequence(&[&encode(&cert_req_id), &status.to_der(), &pair]);
    sequence(&[&sequence(&[&response])])
}

pub fn poll_rep(cert_req_id: i64, check_after: i64) -> Vec<u8> {
    sequence(&[&sequence(&[&encode(&cert_req_id), &encode(&check_after)])])
}

fn poll_id(request: &PkiMessage) -> i64 {
    let content = content_of(request);
    let mut list = Cursor::sequence(&content, "PollReqContent").unwrap();
    Cursor::new(list.any("an entry").unwrap().value, "entry").unwrap().decode().unwrap()
}

/// Protects an answer as it says.
pub fn protect(mut answer: Answer, mac_algorithm: Option<Vec<u8>>) -> Vec<u8> {
    let algorithm = match &answer.signer {
        Some(signer) => signer.key.kind().default_signature().to_der(),
        None => answer.header.protection_alg.clone().or(mac_algorithm).expect("a MAC's parameters"),
    };
    answer.header.protection_alg.get_or_insert(algorithm.clone());
    let header = answer.header.to_der();
    let body = encode_body(answer.body_type, &answer.content);
    let protected = sequence(&[&header, &body]);
    let protection = match &answer.signer {
        Some(signer) => signer.key.sign(&signer.key.kind().default_signature(), &protected).unwrap(),
        None => password_based_mac(&algorithm, &answer.secret, &protected),
    };
    message::assemble(&header, &body, Some(&protection), answer.extra_certs.iter())
}

/// The same message without protection.
pub fn strip_protection(der: &[u8]) -> Vec<u8> {
    let mut fields = Cursor::sequence(der, "PKIMessage").unwrap();
    let (header, body) = (fields.any("header").unwrap().bytes, fields.any("body").unwrap().bytes);
    sequence(&[header, body])
}

/// RFC 4211 section 4.4 with SHA-256 throughout, written a second time.
fn password_based_mac(algorithm: &[u8], secret: &[u8], protected: &[u8]) -> Vec<u8> {
    let mut fields = Cursor::sequence(algorithm, "AlgorithmIdentifier").unwrap();
    fields.any("identifier").unwrap();
    let mut parameters = Cursor::new(fields.any("parameters").unwrap().value, "PBMParameter").unwrap();
    let salt = parameters.any("salt").unwrap().value;
    parameters.any("owf").unwrap();
    let iterations: u32 = parameters.decode().unwrap();
    let mut value = [secret, salt].concat();
    for _ in 0..iterations {
        value = provider().digest(DigestAlgorithm::Sha256, &[&value]).unwrap().to_vec();
    }
    provider().hmac(DigestAlgorithm::Sha256, &value, &[protected]).unwrap().to_vec()
}

/// A device with an operation under way and a clock of its own.
pub struct Device {
    pub operation: Operation,
    pub new_key: Arc<dyn PrivateKey>,
    pub clock: Time,
    /// Seconds it was told to wait.
    pub waits: Vec<u32>,
    /// Every message sent.
    pub sent: Vec<Vec<u8>>,
    pub takes_differences: bool,
}

impl Device {
    /// ir, protected by the supplier's certificate.
    pub fn enrolling_with(ca: &MockCa) -> Self {
        Self::enrolling_as(&Self::config(ca))
    }

    /// ir, protected by the shared secret.
    pub fn enrolling_by_secret(ca: &MockCa) -> Self {
        let mut config = Self::config(ca);
        config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        Self::enrolling_as(&config)
    }

    pub fn config(ca: &MockCa) -> Config {
        Self::config_by(ca, provider().clone())
    }

    /// The same with another provider.
    pub fn config_by(ca: &MockCa, by: Arc<dyn Provider>) -> Config {
        let idevid = Builder::leaf("IDevID 7")
            .valid(crate::certificates::date(2020, 1, 1), crate::certificates::date(9999, 12, 31))
            .key_usage(&[KeyUsage::DigitalSignature])
            .signed_by(&ca.supplier);
        let mut config = Config::with_provider(by);
        config.protect_with_certificate(Signer::Key(idevid.key), idevid.certificate, Vec::new());
        config.cmp_anchors.add(ca.root.certificate.clone());
        config.enrolment_anchors.add(ca.root.certificate.clone());
        config
    }

    pub fn subject() -> Subject {
        Subject::new().name("CN=router-7,O=Example").unwrap().dns("router-7.example").unwrap()
    }

    pub fn enrolling_as(config: &Config) -> Self {
        let new_key = key();
        let operation = config.build().unwrap().enroll(Signer::Key(Arc::clone(&new_key)), &Self::subject()).unwrap();
        Self::with(operation, new_key)
    }

    pub fn with(operation: Operation, new_key: Arc<dyn PrivateKey>) -> Self {
        let (waits, sent) = (Vec::new(), Vec::new());
        Device { operation, new_key, clock: now(), waits, sent, takes_differences: false }
    }

    pub fn step(&mut self) -> Result<ActionKind, Error> {
        self.operation.step(self.clock).map(|action| action.kind())
    }

    /// How long it is to be waited, by the last step.
    pub fn wait_seconds(&self) -> u32 {
        wait_seconds(&self.operation)
    }

    /// Why, by the server's words.
    pub fn wait_reason(&self) -> &[String] {
        match self.operation.action() {
            Some(Action::Wait { reason, .. }) => reason,
            other => panic!("not waiting: {other:?}"),
        }
    }

    /// What a key that lives elsewhere is to sign.
    pub fn to_sign(&self) -> SignRequest {
        match self.operation.action() {
            Some(Action::Sign(request)) => request,
            other => panic!("nothing to sign: {other:?}"),
        }
    }

    /// One message out, one answer in.
    pub fn exchange(&mut self, ca: &mut MockCa) {
        let message = self.operation.output().expect("a message to send").to_vec();
        let answer = ca.answer(&message);
        self.sent.push(message);
        // As a connection brings it, for which there is no second answer.
        devid::client::run::feed(&mut self.operation, &devid::transport::Reply::from_body(answer))
            .expect("an answer is expected");
    }

    /// Runs until the next thing that is not sending.
    pub fn exchange_until_other(&mut self, ca: &mut MockCa) -> Result<ActionKind, Error> {
        loop {
            match self.step()? {
                ActionKind::Send => self.exchange(ca),
                other => return Ok(other),
            }
        }
    }

    /// An operation that is not about a new key.
    pub fn doing(operation: Operation) -> Self {
        Self::with(operation, key())
    }

    /// Runs an operation without a decision to the end; the clock jumps over waits.
    pub fn complete(&mut self, ca: &mut MockCa) -> Result<(), Error> {
        loop {
            match self.exchange_until_other(ca)? {
                ActionKind::Wait => {
                    let seconds = self.wait_seconds();
                    self.waits.push(seconds);
                    self.clock = self.clock.plus(i64::from(seconds));
                }
                ActionKind::Done => return Ok(()),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Runs to the end; the clock jumps over waits.
    pub fn run(&mut self, ca: &mut MockCa) -> Result<Issued, Error> {
        loop {
            match self.exchange_until_other(ca)? {
                ActionKind::Wait => {
                    let seconds = self.wait_seconds();
                    self.waits.push(seconds);
                    self.clock = self.clock.plus(i64::from(seconds));
                }
                ActionKind::Accept => {
                    let issued = self.operation.issued().expect("a certificate");
                    if issued.differences.is_empty() || self.takes_differences {
                        self.operation.accept()?;
                    } else {
                        let fields: Vec<&str> = issued.differences.iter().map(|d| d.field.as_str()).collect();
                        let reason = format!("differs in {}", fields.join(", "));
                        self.operation.reject(&reason)?;
                    }
                }
                ActionKind::Done => return Ok(self.operation.issued().expect("a certificate").clone()),
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

/// How long an operation is to be left alone, by its last step.
pub fn wait_seconds(operation: &Operation) -> u32 {
    match operation.action() {
        Some(Action::Wait { seconds, .. }) => seconds,
        other => panic!("not waiting: {other:?}"),
    }
}

/// What the message under way is, if one is.
pub fn output_body(operation: &Operation) -> Option<BodyType> {
    match operation.action() {
        Some(Action::Send { body, .. }) => Some(body),
        _ => None,
    }
}

/// A key pair on another curve.
pub fn key_of(kind: KeyKind) -> Arc<dyn PrivateKey> {
    provider().generate_key(kind).expect("a key pair")
}
