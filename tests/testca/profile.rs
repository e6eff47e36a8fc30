//! The test CA obeys RFC 9483 itself, towards clients that do not: messages made by hand under a device's signature.

use devid::crypto::{DigestAlgorithm, default_provider};
use devid::transport::fetch::fetch_once;
use devid_testca::certs::{AUTHORITY_KEY_ID, Parsed, common_name, extension};
use devid_testca::keys::key_id;
use devid_testca::server::system_time;
use devid_testca::tlv::{Node, bits, int, octets, oid, seq, tlv};
use devid_testca::{Holder, Key, KeyType, Options, Server, TestCa};

const OLD_CERT_ID: &str = "1.3.6.1.5.5.7.5.1.5";
const REASON_CODE: &str = "2.5.29.21";

const IR: u8 = 0;
const IP: u8 = 1;
const CP: u8 = 3;
const P10CR: u8 = 4;
const KUR: u8 = 7;
const KUP: u8 = 8;
const RR: u8 = 11;
const RP: u8 = 12;
const PKI_CONF: u8 = 19;
const ERROR: u8 = 23;
const CERT_CONF: u8 = 24;

const REJECTION: i64 = 2;
const BAD_REQUEST: u8 = 2;
const BAD_CERT_ID: u8 = 4;
const BAD_DATA_FORMAT: u8 = 5;
const BAD_POP: u8 = 9;
const CERT_REVOKED: u8 = 10;
const CERT_CONFIRMED: u8 = 11;
const BAD_CERT_TEMPLATE: u8 = 19;
const NOT_AUTHORIZED: u8 = 23;

/// A client that writes what it likes, and its CA.
struct Hand {
    ca: TestCa,
    holder: Holder,
    now: i64,
    transaction: u8,
    nonce: u8,
    recip_nonce: Option<Vec<u8>>,
}

/// What the CA answered: body, status, number of the bit of failInfo.
#[derive(Debug, PartialEq)]
struct Answer {
    body: u8,
    status: i64,
    fail: Option<u8>,
    certificate: Option<Vec<u8>>,
}

impl Answer {
    fn is_refusal(&self, body: u8, fail: u8) -> bool {
        (self.body, self.status, self.fail) == (body, REJECTION, Some(fail)) && self.certificate.is_none()
    }
}

impl Hand {
    fn new() -> Self {
        let ca = TestCa::new(Options::default());
        let now = system_time();
        let holder = ca.idevid("device 1", KeyType::P256, now);
        Hand { ca, holder, now, transaction: 0, nonce: 0, recip_nonce: None }
    }

    /// A first request, in a transaction of its own.
    fn ask(&mut self, body: u8, content: &[u8]) -> Answer {
        self.transaction += 1;
        self.recip_nonce = None;
        self.go_on(body, content)
    }

    /// A further message of the transaction.
    fn go_on(&mut self, body: u8, content: &[u8]) -> Answer {
        self.nonce += 1;
        let key = &self.holder.key;
        let sender = Parsed::read(&self.holder.certificate).unwrap().subject;
        let recip_nonce = self.recip_nonce.as_ref().map_or_else(Vec::new, |nonce| tlv(0xa6, &[&octets(nonce)]));
        let header = seq(&[
            &int(if body == IR && content == central_request() { 3 } else { 2 }),
            &tlv(0xa4, &[&sender]),
            &tlv(0xa4, &[&[0x30, 0x00]]),
            &tlv(0xa1, &[&key.algorithm()]),
            &tlv(0xa2, &[&octets(&key_id(&key.spki))]),
            &tlv(0xa4, &[&octets(&[self.transaction; 16])]),
            &tlv(0xa5, &[&octets(&[self.nonce; 16])]),
            &recip_nonce,
        ]);
        let body = tlv(0xa0 | body, &[content]);
        let signature = tlv(0xa0, &[&bits(&key.sign(&seq(&[&header, &body])))]);
        let certificates = tlv(0xa1, &[&seq(&[&self.holder.certificate, &self.ca.supplier.certificate])]);
        let answer = self.ca.answer(&seq(&[&header, &body, &signature, &certificates]), self.now);
        self.read(&Node::parse(&answer).unwrap())
    }

    fn read(&mut self, answer: &Node) -> Answer {
        let header = &answer.at(0).unwrap().children;
        let nonce = header.iter().skip(3).find(|field| field.tag == 0xa5).unwrap();
        self.recip_nonce = Some(nonce.inner().unwrap().value().to_vec());
        assert!(answer.children.len() > 2, "every answer is protected");
        let body = answer.at(1).unwrap();
        let (number, content) = (body.tag & 0x1f, body.inner().unwrap());
        if number == PKI_CONF {
            return Answer { body: number, status: 0, fail: None, certificate: None };
        }
        let response = content.children.last().unwrap().children.first();
        let status = match number {
            ERROR => content.at(0).unwrap(),
            RP => content.at(0).unwrap().at(0).unwrap(),
            _ => response.unwrap().at(1).unwrap(),
        };
        let fail = status.tagged(0x03).map(|bits| {
            let octets = &bits.value()[1..];
            (0..32).find(|n| octets.get(usize::from(n / 8)).is_some_and(|o| o & 0x80 >> (n % 8) != 0)).unwrap()
        });
        let pair = response.filter(|_| !matches!(number, ERROR | RP)).and_then(|response| response.children.get(2));
        let certificate = pair.map(|pair| pair.at(0).unwrap().inner().unwrap().bytes.clone());
        Answer { body: number, status: status.at(0).unwrap().integer().unwrap(), fail, certificate }
    }

    /// Issues a certificate to this client and makes it the one that protects from now on.
    fn enrolled(mut self) -> Self {
        let key = Key::generate(KeyType::P256);
        let answer = self.ask(IR, &seq(&[&request(&key, &[])]));
        let certificate = answer.certificate.expect("issued");
        let confirmed = self.go_on(CERT_CONF, &confirmation(&certificate, &[]));
        assert_eq!(confirmed.body, PKI_CONF, "{:?}", self.ca.complaints());
        self.holder = Holder { certificate, key };
        self
    }
}

fn template(key: &Key, more: &[u8]) -> Vec<u8> {
    let spki = Node::parse(&key.spki).unwrap();
    seq(&[&tlv(0xa5, &[&common_name("device 1")]), &tlv(0xa6, &[spki.value()]), more])
}

/// CertReqMsg over a key, with controls; possession is proved by signature.
fn request(key: &Key, controls: &[u8]) -> Vec<u8> {
    message(&seq(&[&int(0), &template(key, &[]), controls]), key)
}

fn message(certificate_request: &[u8], signer: &Key) -> Vec<u8> {
    let signature = bits(&signer.sign(certificate_request));
    seq(&[certificate_request, &tlv(0xa1, &[&signer.algorithm(), &signature])])
}

/// A request whose key the CA is to make.
fn central_request() -> Vec<u8> {
    seq(&[&seq(&[&seq(&[&int(0), &seq(&[&tlv(0xa5, &[&common_name("device 1")])])])])])
}

fn confirmation(certificate: &[u8], status: &[u8]) -> Vec<u8> {
    let hash = default_provider().digest(DigestAlgorithm::Sha256, &[certificate]).unwrap();
    seq(&[&seq(&[&octets(&hash), &int(0), status])])
}

/// RevDetails of a certificate, with the extensions of a list's entry.
fn revocation(certificate: &[u8], entry_extensions: &[u8]) -> Vec<u8> {
    let certificate = Parsed::read(certificate).unwrap();
    let issuer = Node::parse(&certificate.issuer).unwrap();
    seq(&[&seq(&[&tlv(0x81, &[&certificate.serial]), &tlv(0xa3, &[&issuer.bytes])]), entry_extensions])
}

fn reason(value: &[u8]) -> Vec<u8> {
    seq(&[&extension(REASON_CODE, false, value)])
}

/// RFC 9483 section 3.6.2: what is wrong with the body is answered by the body that answers it, with a rejection.
#[test]
fn faults_in_the_body_are_answered_by_a_rejection_in_the_body_that_was_asked_for() {
    let key = Key::generate(KeyType::P256);
    let other = Key::generate(KeyType::P256);
    let good = request(&key, &[]);
    let numbered = message(&seq(&[&int(7), &template(&key, &[])]), &key);
    let serial = tlv(0x81, &[&[1]]);
    let with_serial = seq(&[&int(0), &seq(&[&serial, &template(&key, &[])[2..]])]);
    let spki = Node::parse(&key.spki).unwrap();
    let (name, public) = (tlv(0xa5, &[&common_name("device 1")]), tlv(0xa6, &[spki.value()]));
    let of_version = |version: u8| seq(&[&int(0), &seq(&[&tlv(0x80, &[&[version]]), &name, &public])]);
    let is_ca = tlv(0xa9, &[&extension("2.5.29.19", true, &seq(&[&[1, 1, 0xff]]))]);
    let as_ca = seq(&[&int(0), &template(&key, &is_ca)]);
    let stolen = message(&seq(&[&int(0), &template(&key, &[])]), &other);
    let vouched = seq(&[&seq(&[&int(0), &template(&key, &[])]), &[0x80, 0x00]]);
    let pkcs10 = |version: i64, signer: &Key| {
        let info = seq(&[&int(version), &common_name("device 1"), &key.spki, &[0xa0, 0x00]]);
        seq(&[&info, &signer.algorithm(), &bits(&signer.sign(&info))])
    };
    let mut hand = Hand::new().enrolled();
    let own = hand.holder.certificate.clone();
    let foreign = hand.ca.peer("peer.example", KeyType::P256, hand.now).certificate;
    for (name, sent, content, body, fail) in [
        ("no request at all", IR, seq(&[]), IP, BAD_REQUEST),
        ("two requests", IR, seq(&[&good, &good]), IP, BAD_REQUEST),
        ("certReqId 7", IR, seq(&[&numbered]), IP, BAD_REQUEST),
        ("serialNumber in the template", IR, seq(&[&message(&with_serial, &key)]), IP, BAD_CERT_TEMPLATE),
        ("version 1 of the template", IR, seq(&[&message(&of_version(1), &key)]), IP, BAD_CERT_TEMPLATE),
        ("a CA", IR, seq(&[&message(&as_ca, &key)]), IP, BAD_CERT_TEMPLATE),
        ("another key's proof", IR, seq(&[&stolen]), IP, BAD_POP),
        ("raVerified by a device", IR, seq(&[&vouched]), IP, NOT_AUTHORIZED),
        ("an INTEGER for a request", IR, seq(&[&int(1)]), IP, BAD_DATA_FORMAT),
        ("something else than a list", IR, int(1), IP, BAD_REQUEST),
        ("another key's proof of an update", KUR, seq(&[&stolen]), KUP, BAD_POP),
        ("PKCS #10 version 1", P10CR, pkcs10(1, &key), CP, BAD_CERT_TEMPLATE),
        ("PKCS #10 of another key", P10CR, pkcs10(0, &other), CP, BAD_POP),
        ("no RevDetails", RR, seq(&[]), RP, BAD_REQUEST),
        ("two RevDetails", RR, seq(&[&revocation(&own, &[]), &revocation(&own, &[])]), RP, BAD_REQUEST),
        ("another's certificate", RR, seq(&[&revocation(&foreign, &[])]), RP, NOT_AUTHORIZED),
        ("reason 7", RR, seq(&[&revocation(&own, &reason(&[0x0a, 1, 7]))]), RP, BAD_DATA_FORMAT),
        ("reason 11", RR, seq(&[&revocation(&own, &reason(&[0x0a, 1, 11]))]), RP, BAD_DATA_FORMAT),
        ("reason 256", RR, seq(&[&revocation(&own, &reason(&[0x0a, 2, 1, 0]))]), RP, BAD_DATA_FORMAT),
        ("a reason that is an INTEGER", RR, seq(&[&revocation(&own, &reason(&[2, 1, 1]))]), RP, BAD_DATA_FORMAT),
    ] {
        let answer = hand.ask(sent, &content);
        assert!(answer.is_refusal(body, fail), "{name}: {answer:?}, {:?}", hand.ca.complaints().last());
    }
    // And the same client is served as soon as it keeps to the rules.
    assert!(hand.ask(IR, &seq(&[&good])).certificate.is_some());
    assert_eq!(hand.ask(RR, &seq(&[&revocation(&own, &reason(&[0x0a, 1, 4]))])).status, 0);
}

/// RFC 9483 section 4.1.3: the control is recommended; if it is there, it names the certificate that protects.
#[test]
fn a_key_update_without_old_cert_id_is_served_and_one_that_names_another_is_not() {
    let mut hand = Hand::new().enrolled();
    let old = Parsed::read(&hand.holder.certificate).unwrap();
    let named = |serial: &[u8]| {
        let id = seq(&[&tlv(0xa4, &[&old.issuer]), &tlv(0x02, &[serial])]);
        seq(&[&seq(&[&oid(OLD_CERT_ID), &id])])
    };
    for (controls, served) in [(Vec::new(), true), (named(&old.serial), true), (named(&[1]), false)] {
        let answer = hand.ask(KUR, &seq(&[&request(&Key::generate(KeyType::P256), &controls)]));
        assert_eq!((answer.body, answer.certificate.is_some()), (KUP, served), "{:?}", hand.ca.complaints());
        assert!(served || answer.is_refusal(KUP, BAD_CERT_ID), "{answer:?}");
    }
}

/// RFC 9483 section 4.1.1: failInfo goes with rejection alone; certConf is answered by pkiConf or by an error message.
#[test]
fn a_confirmation_is_accepted_or_a_rejection_and_nothing_between() {
    let status = |number: i64, fail: bool| seq(&[&int(number), if fail { &[3, 2, 7, 0x80] } else { &[] }]);
    for (status, taken) in [
        (Vec::new(), Some(true)),
        (status(0, false), Some(true)),
        (status(2, true), Some(false)),
        (status(2, false), Some(false)),
        (status(0, true), None),
        (status(1, false), None),
        (status(3, false), None),
    ] {
        let mut hand = Hand::new();
        let certificate = hand.ask(IR, &seq(&[&request(&Key::generate(KeyType::P256), &[])])).certificate.unwrap();
        let answer = hand.go_on(CERT_CONF, &confirmation(&certificate, &status));
        let counts = (hand.ca.confirmed.len(), hand.ca.rejected.len());
        match taken {
            Some(true) => {
                assert_eq!((answer.body, counts), (PKI_CONF, (1, 0)), "{status:02x?}");
                let again = hand.go_on(CERT_CONF, &confirmation(&certificate, &status));
                assert!(again.is_refusal(ERROR, CERT_CONFIRMED), "once is enough: {again:?}");
            }
            Some(false) => assert_eq!((answer.body, counts), (PKI_CONF, (0, 1)), "{status:02x?}"),
            None => {
                assert!(answer.is_refusal(ERROR, BAD_REQUEST), "{status:02x?}: {answer:?}");
                assert_eq!(counts, (0, 0), "{status:02x?}");
            }
        }
    }
}

/// RFC 9483 section 3.6.4: certRevoked is what a second request is answered with, and by rp.
#[test]
fn a_certificate_that_is_revoked_already_is_said_to_be() {
    let mut hand = Hand::new().enrolled();
    let wanted = seq(&[&revocation(&hand.holder.certificate, &reason(&[0x0a, 1, 1]))]);
    assert_eq!(hand.ask(RR, &wanted), Answer { body: RP, status: 0, fail: None, certificate: None });
    let again = hand.ask(RR, &wanted);
    assert!(again.is_refusal(RP, CERT_REVOKED), "{again:?}");
    // It signs nothing else any more.
    let answer = hand.ask(IR, &seq(&[&request(&Key::generate(KeyType::P256), &[])]));
    assert!(answer.is_refusal(ERROR, NOT_AUTHORIZED), "{answer:?}");
}

/// RFC 9483 sections 4.1.6.1 and 4.1.6.2: keyEncipherment for RSA, keyAgreement for EC.
#[test]
fn no_key_is_sent_to_a_certificate_that_may_not_receive_one() {
    for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa2048] {
        let mut hand = Hand::new();
        hand.holder = hand.ca.idevid("device 1", kind, hand.now);
        assert!(hand.ask(IR, &central_request()).certificate.is_some(), "{kind:?} {:?}", hand.ca.complaints());
        hand.holder = hand.ca.signing_idevid("device 1", kind, hand.now);
        let answer = hand.ask(IR, &central_request());
        assert!(answer.is_refusal(IP, NOT_AUTHORIZED), "{kind:?}: {answer:?}");
        assert!(hand.ca.complaints()[0].contains("key can be sent"), "{:?}", hand.ca.complaints());
    }
}

/// RFC 5280 section 4.2.1.1: authorityKeyIdentifier is the issuer's to say, whatever a request brings.
#[test]
fn every_certificate_names_the_key_that_signed_it() {
    let server = Server::start(TestCa::new(Options::default())).unwrap();
    server.with(|ca| {
        let now = system_time();
        let below = [
            (ca.issuing.certificate.clone(), &ca.root),
            (ca.cmp_signer.certificate.clone(), &ca.issuing),
            (ca.ocsp_responder.certificate.clone(), &ca.issuing),
            (ca.idevid("device 1", KeyType::P256, now).certificate, &ca.supplier),
        ];
        for (certificate, issuer) in below {
            let found = Parsed::read(&certificate).unwrap();
            let named = Node::parse(found.extension(AUTHORITY_KEY_ID).unwrap()).unwrap();
            assert_eq!(named.at(0).unwrap().value(), key_id(&issuer.key.spki));
            found.check_issued_by(&Parsed::read(&issuer.certificate).unwrap(), now).unwrap();
        }
    });
    let mut hand = Hand::new();
    let key = Key::generate(KeyType::P256);
    let invented = seq(&[&tlv(0x80, &[b"another key"])]);
    let subject = extension("2.5.29.14", false, &octets(b"my own name for it"));
    let extensions = tlv(0xa9, &[&subject, &extension(AUTHORITY_KEY_ID, false, &invented)]);
    let wanted = seq(&[&int(0), &template(&key, &extensions)]);
    let issued = Parsed::read(&hand.ask(IR, &seq(&[&message(&wanted, &key)])).certificate.unwrap()).unwrap();
    let named = Node::parse(issued.extension(AUTHORITY_KEY_ID).unwrap()).unwrap();
    assert_eq!(named.at(0).unwrap().value(), key_id(&hand.ca.issuing.key.spki));
    assert_eq!(issued.key_id().unwrap(), b"my own name for it");
}

#[test]
fn what_certificates_point_to_and_what_the_pages_list_is_published() {
    let server = Server::start(TestCa::new(Options::default())).unwrap();
    let get = |path: &str| fetch_once(&format!("{}{path}", server.url()), None, 0).unwrap();
    let issuing = get("/ca/issuing.crt");
    let shown = |der: &[u8], id: &str| {
        let found = Parsed::read(der).unwrap();
        String::from_utf8_lossy(found.extension(id).unwrap_or_default()).into_owned()
    };
    // The issuing CA's own status and issuer, and those of what it issues.
    assert!(shown(&issuing, "2.5.29.31").ends_with(&format!("{}/crl/root.crl", server.url())));
    assert!(shown(&issuing, "1.3.6.1.5.5.7.1.1").contains(&format!("{}/ca/root.crt", server.url())));
    let peer = server.with(|ca| ca.peer("peer.example", KeyType::P256, system_time())).certificate;
    assert!(shown(&peer, "2.5.29.31").ends_with(&format!("{}/crl/issuing.crl", server.url())));
    assert!(shown(&peer, "1.3.6.1.5.5.7.1.1").contains(&format!("{}/ocsp", server.url())));
    assert!(shown(&peer, "1.3.6.1.5.5.7.1.1").contains(&format!("{}/ca/issuing.crt", server.url())));
    for (path, expected) in server.with(|ca| {
        [
            ("/ca/issuing.crt", ca.issuing.certificate.clone()),
            ("/ca/root.crt", ca.root.certificate.clone()),
            ("/crl/issuing.crl", Node::parse(&ca.crl(0)).unwrap().at(0).unwrap().at(2).unwrap().bytes.clone()),
            ("/crl/root.crl", Node::parse(&ca.root_crl(0)).unwrap().at(0).unwrap().at(2).unwrap().bytes.clone()),
        ]
    }) {
        let found = get(path);
        let issuer = || Node::parse(&found).unwrap().at(0).unwrap().at(2).unwrap().bytes.clone();
        assert_eq!(if path.ends_with(".crl") { issuer() } else { found.clone() }, expected, "{path}");
    }
    // The page at the root and the one in the documentation name the same.
    let (page, manual) = (String::from_utf8(get("/")).unwrap(), include_str!("../../docs/testca.md"));
    for path in ["/cmp", "/ca/root.crt", "/ca/issuing.crt", "/crl/root.crl", "/crl/issuing.crl", "/ocsp", "/control"] {
        assert!(page.contains(&format!(" {path} ")) && manual.contains(path), "{path}");
    }
}
