//! What the CA holds its clients to, shown by clients that break it: messages made by hand, under a MAC.

use crate::cmp::body_name;
use crate::mac::{PBM, mac};
use crate::tlv::{Node, bits, int, octets, oid, seq, tlv};
use crate::{Options, TestCa};

const NOW: i64 = 1_790_000_000;
const GENM: u8 = 21;
const POLL_REQ: u8 = 25;
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const HMAC_SHA256: &str = "1.2.840.113549.2.9";
const CA_CERTS: &str = "1.3.6.1.5.5.7.4.17";

#[test]
fn a_request_by_the_rules_is_served() {
    let mut client = Client::new();
    assert_eq!(client.ask(GENM, &ca_certs()), "genp");
    assert!(client.ca.complaints().is_empty());
}

#[test]
fn the_answer_to_any_request_can_be_delayed() {
    let mut client = Client::new();
    client.ca.knobs.other_waiting = 1;
    assert_eq!(client.ask(GENM, &ca_certs()), "error", "status waiting");
    let poll = seq(&[&seq(&[&int(-1)])]);
    assert_eq!(client.ask(POLL_REQ, &poll), "pollRep");
    assert_eq!(client.ask(POLL_REQ, &poll), "genp");
    assert!(client.ca.complaints().is_empty(), "{:?}", client.ca.complaints());
    assert_eq!(client.ask(POLL_REQ, &poll), "error", "nothing is left to poll for");
    assert_eq!(client.ca.complaints(), ["nothing is delayed"]);
}

#[test]
fn a_sender_nonce_used_before_is_refused() {
    let mut client = Client::new();
    client.ca.knobs.other_waiting = 3;
    client.ask(GENM, &ca_certs());
    client.keeps_its_nonce = true;
    assert_eq!(client.ask(POLL_REQ, &seq(&[&seq(&[&int(-1)])])), "error");
    assert_eq!(client.ca.complaints(), ["senderNonce was used before in this transaction"]);
}

#[test]
fn version_3_without_its_syntax_is_refused_unless_the_ca_is_lenient() {
    // rr and p10cr never need it.
    let mut client = Client::new();
    client.pvno = 3;
    assert_eq!(client.ask(4, &seq(&[])), "error");
    assert_eq!(client.ca.complaints(), ["pvno 3 where 2 is due"]);

    let mut client = Client::new();
    client.pvno = 3;
    client.ca.knobs.strict = false;
    client.ask(4, &seq(&[]));
    assert!(!client.ca.complaints()[0].contains("pvno"), "{:?}", client.ca.complaints());

    let mut client = Client::new();
    client.pvno = 3;
    assert_eq!(client.ask(GENM, &ca_certs()), "genp", "what is asked may come in version 3");
}

#[test]
fn an_unknown_version_a_wrong_secret_and_a_short_nonce_are_refused() {
    for (break_it, words) in [
        ((|c: &mut Client| c.pvno = 1) as fn(&mut Client), "pvno 1"),
        (|c| c.secret = b"battery-staple".to_vec(), "the MAC does not match"),
        (|c| c.nonce_len = 8, "senderNonce of fewer than 128 bits"),
        (|c| c.transaction = vec![1; 8], "transactionID of fewer than 128 bits"),
    ] {
        let mut client = Client::new();
        break_it(&mut client);
        assert_eq!(client.ask(GENM, &ca_certs()), "error");
        assert_eq!(client.ca.complaints(), [words]);
    }
}

#[test]
fn old_transactions_are_forgotten_and_recent_ones_are_not() {
    let mut client = Client::new();
    for number in 0..1010u32 {
        client.begin(number);
        assert_eq!(client.ask(GENM, &ca_certs()), "genp");
    }
    assert_eq!(client.ca.transactions.len(), 1000);
    client.begin(1009);
    assert_eq!(client.ask(GENM, &ca_certs()), "error", "in use");
    client.begin(0);
    assert_eq!(client.ask(GENM, &ca_certs()), "genp", "forgotten");
    assert_eq!(client.ca.complaints(), ["transactionID in use"]);
}

fn ca_certs() -> Vec<u8> {
    seq(&[&seq(&[&oid(CA_CERTS)])])
}

/// A client that may break rules, and its CA.
struct Client {
    ca: TestCa,
    pvno: i64,
    secret: Vec<u8>,
    transaction: Vec<u8>,
    nonce_len: usize,
    keeps_its_nonce: bool,
    sent: u8,
    recip_nonce: Option<Vec<u8>>,
}

impl Client {
    fn new() -> Self {
        let options = Options { now: NOW, ..Options::default() };
        let secret = options.secrets[0].1.clone();
        let ca = TestCa::new(options);
        let (transaction, recip_nonce) = (vec![7; 16], None);
        Client { ca, pvno: 2, secret, transaction, nonce_len: 16, keeps_its_nonce: false, sent: 0, recip_nonce }
    }

    fn begin(&mut self, number: u32) {
        self.transaction = [&[0; 12][..], &number.to_be_bytes()].concat();
        self.recip_nonce = None;
    }

    /// Sends a body and names the answer's.
    fn ask(&mut self, body: u8, content: &[u8]) -> &'static str {
        if !self.keeps_its_nonce {
            self.sent = self.sent.wrapping_add(1);
        }
        let algorithm = |id: &str| seq(&[&oid(id), &[5, 0]]);
        let parameters = seq(&[&octets(&[9; 16]), &algorithm(SHA256), &int(100), &algorithm(HMAC_SHA256)]);
        let protection_alg = seq(&[&oid(PBM), &parameters]);
        let anyone = tlv(0xa4, &[&[0x30, 0x00]]);
        let recip_nonce = self.recip_nonce.as_ref().map_or_else(Vec::new, |n| tlv(0xa6, &[&octets(n)]));
        let header = seq(&[
            &int(self.pvno),
            &anyone,
            &anyone,
            &tlv(0xa1, &[&protection_alg]),
            &tlv(0xa2, &[&octets(b"4711")]),
            &tlv(0xa4, &[&octets(&self.transaction)]),
            &tlv(0xa5, &[&octets(&vec![self.sent; self.nonce_len])]),
            &recip_nonce,
        ]);
        let body = tlv(0xa0 | body, &[content]);
        let identifier = Node::parse(&protection_alg).unwrap();
        let Ok(value) = mac(&identifier, &self.secret, &seq(&[&header, &body])) else { panic!("a MAC") };
        let message = seq(&[&header, &body, &tlv(0xa0, &[&bits(&value)])]);

        let answer = Node::parse(&self.ca.answer(&message, NOW)).unwrap();
        let fields = &answer.at(0).unwrap().children;
        let nonce = fields.iter().skip(3).find(|f| f.tag == 0xa5).unwrap();
        self.recip_nonce = Some(nonce.inner().unwrap().value().to_vec());
        body_name(i32::from(answer.at(1).unwrap().tag & 0x1f))
    }
}
