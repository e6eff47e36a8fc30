//! A certification authority for tests: CMP, CRL and OCSP, well-behaved by default and misbehaving on request.
//!
//! [`TestCa`] answers messages in memory and is told the time, so that a test can drive it with a pretended clock;
//! [`Server`] puts it behind HTTP on loopback. It reads messages with a decoder of its own ([`tlv`]) and holds its clients
//! to RFC 9483, so that a mistake of the library under test is not shared. Not for anything but tests: its keys lie about.
//!
//! ```
//! use devid_testca::{Options, Server, TestCa};
//! let server = Server::start(TestCa::new(Options::default())).unwrap();
//! println!("CMP at {}", server.cmp_url());
//! server.with(|ca| ca.knobs.waiting = 2);
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answer;
#[allow(missing_docs, reason = "the names say it")]
pub mod certs;
mod check;
pub mod cmp;
pub mod coap;
mod confirmation;
mod envelope;
mod issuing;
mod kem;
pub mod keys;
pub mod knobs;
mod mac;
pub mod material;
mod nested;
mod ocsp;
mod passphrase;
mod possession;
mod questions;
pub mod ra;
mod read;
mod record;
mod revocation;
#[cfg(test)]
mod rules;
pub mod server;
mod several;
pub mod tls;
pub mod tlv;
mod trust;

use std::collections::{HashMap, VecDeque};

pub use certs::{Holder, Parsed, pem};
pub use cmp::Received;
pub use keys::{Key, KeyType};
pub use knobs::Knobs;
pub use ra::{Ra, RaMode, RaServer};
pub use server::Server;

use certs::{Profile, SUBJECT_ALT_NAME};
use cmp::Transaction;
use tlv::{oid, seq, tlv};

const CRL_POINTS: &str = "2.5.29.31";
const ACCESS: &str = "1.3.6.1.5.5.7.1.1";
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// How a test CA is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Key of root, issuing CA and supplier CA.
    pub ca_key: KeyType,
    /// Key of the CMP signer.
    pub signer_key: KeyType,
    /// Seconds since 1970 when the CAs begin; they last ten years.
    pub now: i64,
    /// Reference values and secrets.
    pub secrets: Vec<(String, Vec<u8>)>,
    /// Base of the URLs in certificates (CRL, OCSP, issuer); set by [`Server::start`] if empty.
    pub base_url: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ca_key: KeyType::P256,
            signer_key: KeyType::P256,
            now: server::system_time(),
            secrets: vec![("4711".to_owned(), b"correct-horse-battery-staple".to_vec())],
            base_url: String::new(),
        }
    }
}

/// The CA: an operator's root and issuing CA with their servers, and a supplier's root and CA.
pub struct TestCa {
    /// Behaviour.
    pub knobs: Knobs,
    /// The operator's root.
    pub root: Holder,
    /// Issues the operator's certificates.
    pub issuing: Holder,
    /// The root of the device's supplier.
    pub supplier_root: Holder,
    /// Issues IDevIDs.
    pub supplier: Holder,
    /// Signs answers; purpose cmcRA.
    pub cmp_signer: Holder,
    /// Signs OCSP responses, by delegation.
    pub ocsp_responder: Holder,
    /// Reference values, which are octets, and secrets.
    pub secrets: HashMap<Vec<u8>, Vec<u8>>,
    /// Every message received, in order; of very many the last.
    pub received: Vec<Received>,
    /// Certificates the client confirmed, and those it rejected.
    pub confirmed: Vec<Vec<u8>>,
    /// See `confirmed`.
    pub rejected: Vec<Vec<u8>>,
    ra_key: KeyType,
    ra_certificates: Vec<Vec<u8>>,
    /// Signs keys that it makes for devices; purpose cmKGA.
    pub key_authority: Holder,
    strange_key_authority: Holder,
    /// Revocation passphrases are encrypted to its key.
    pub passphrase_holder: Holder,
    passphrases: HashMap<String, passphrase::Passphrase>,
    /// Secrets encapsulated to clients, by transaction, with the certificate.
    kem_secrets: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    expired_signer: Holder,
    no_usage_signer: Holder,
    /// Signs answers where the knobs say so: no CA, and certified by nobody else.
    pub self_signed_signer: Holder,
    second_signer: Holder,
    stranger: Holder,
    issued: Vec<Vec<u8>>,
    revoked: Vec<(Vec<u8>, i64, u8)>,
    crl_number: i64,
    transactions: HashMap<Vec<u8>, Transaction>,
    transaction_order: VecDeque<Vec<u8>>,
    base_url: String,
}

impl TestCa {
    /// Makes all keys and certificates.
    pub fn new(options: Options) -> Self {
        let (from, to) = (options.now - 86_400, options.now + 10 * 365 * 86_400);
        let root = Holder::root("devid test root", options.ca_key, from, to);
        let issuing = root.issue("devid test issuing CA", options.ca_key, from, to, Profile::ca);
        let supplier_root = Holder::root("devid test supplier root", options.ca_key, from, to);
        let supplier = supplier_root.issue("devid test supplier CA", options.ca_key, from, to, Profile::ca);
        let cmc_ra = "1.3.6.1.5.5.7.3.28";
        let signing = |p: Profile| p.key_usage(&[0]).purposes(&[cmc_ra]);
        let cmp_signer = issuing.issue("devid test CMP server", options.signer_key, from, to, signing);
        let second_signer = issuing.issue("devid test CMP server", options.signer_key, from, to, signing);
        let ocsp_responder = issuing.issue("devid test OCSP responder", options.ca_key, from, to, |p| {
            p.key_usage(&[0]).purposes(&["1.3.6.1.5.5.7.3.9"]).with("1.3.6.1.5.5.7.48.1.5", false, vec![5, 0])
        });
        let expired = |p: Profile| signing(p);
        let expired_signer = issuing.issue("devid test CMP server", options.signer_key, from - 86_400, from, expired);
        let no_usage_signer = issuing
            .issue("devid test CMP server", options.signer_key, from, to, |p| p.key_usage(&[4]).purposes(&[cmc_ra]));
        let key = Key::generate(options.signer_key);
        let name = certs::common_name("devid test CMP server");
        let profile = Profile::new(name.clone(), key.spki.clone(), from, to).key_usage(&[0]).purposes(&[cmc_ra]);
        let self_signed_signer = Holder { certificate: profile.signed(&name, &key), key };
        let cm_kga = |p: Profile| p.key_usage(&[0]).purposes(&["1.3.6.1.5.5.7.3.32"]);
        let key_authority = issuing.issue("devid test key generation authority", options.signer_key, from, to, cm_kga);
        let strange_key_authority =
            supplier.issue("devid test key generation authority", options.signer_key, from, to, cm_kga);
        let passphrase_holder = issuing.issue("devid test revocation", KeyType::P256, from, to, |p| p.key_usage(&[4]));
        let stranger = Holder::root("devid test CMP server", options.signer_key, from, to);
        let secrets = options.secrets.into_iter().map(|(reference, secret)| (reference.into_bytes(), secret));
        let mut ca = TestCa {
            knobs: Knobs::default(),
            root,
            issuing,
            supplier_root,
            supplier,
            cmp_signer,
            ocsp_responder,
            secrets: secrets.collect(),
            received: Vec::new(),
            confirmed: Vec::new(),
            rejected: Vec::new(),
            ra_key: options.signer_key,
            ra_certificates: Vec::new(),
            key_authority,
            strange_key_authority,
            passphrase_holder,
            passphrases: HashMap::new(),
            kem_secrets: HashMap::new(),
            expired_signer,
            no_usage_signer,
            self_signed_signer,
            second_signer,
            stranger,
            issued: Vec::new(),
            revoked: Vec::new(),
            crl_number: 1,
            transactions: HashMap::new(),
            transaction_order: VecDeque::new(),
            base_url: String::new(),
        };
        if !options.base_url.is_empty() {
            ca.publish_at(&options.base_url);
        }
        ca
    }

    /// Where lists, certificates and status are published: certificates point there from now on, the issuing CA's own too.
    pub(crate) fn publish_at(&mut self, base_url: &str) {
        self.base_url = base_url.to_owned();
        let issuing = Parsed::read(&self.issuing.certificate).expect("made here");
        let profile = Profile::new(issuing.subject, issuing.spki, issuing.not_before, issuing.not_after).ca();
        let point = self.url("/crl/root.crl");
        let issuer = seq(&[&oid(CA_ISSUERS), &self.url("/ca/root.crt")]);
        let profile = profile.with(CRL_POINTS, false, crl_points(&point)).with(ACCESS, false, seq(&[&issuer]));
        self.issuing.certificate = profile.signed(&self.root.name(), &self.root.key);
    }

    /// A URL of this CA, as GeneralName.
    fn url(&self, path: &str) -> Vec<u8> {
        tlv(0x86, &[format!("{}{path}", self.base_url).as_bytes()])
    }

    /// Names of the bodies received, in order.
    pub fn bodies(&self) -> Vec<&'static str> {
        self.received.iter().map(|r| cmp::body_name(r.body)).collect()
    }

    /// What was wrong with the requests, if anything was.
    pub fn complaints(&self) -> Vec<String> {
        self.received.iter().filter_map(|r| r.complaint.clone()).collect()
    }

    /// A device's identity from its supplier: certificate with a fresh key, which may also receive keys where it can.
    pub fn idevid(&self, name: &str, kind: KeyType, now: i64) -> Holder {
        let usages: &[u8] = match kind {
            KeyType::Rsa2048 => &[0, 2],
            KeyType::P256 | KeyType::P384 => &[0, 4],
            KeyType::Ed25519 => &[0],
        };
        self.supplier.issue(name, kind, now - 3600, 253_402_300_799, |p| p.key_usage(usages))
    }

    /// The same for signing alone: nothing is encrypted to it.
    pub fn signing_idevid(&self, name: &str, kind: KeyType, now: i64) -> Holder {
        self.supplier.issue(name, kind, now - 3600, 253_402_300_799, |p| p.key_usage(&[0]))
    }

    /// A peer's certificate with a fresh key, for servers and clients, and for key agreement or encryption.
    pub fn peer(&mut self, dns_name: &str, kind: KeyType, now: i64) -> Holder {
        let key = Key::generate(kind);
        let usages: &[u8] = if kind == KeyType::Rsa2048 { &[0, 2] } else { &[0, 4] };
        let profile = self
            .end_entity(certs::common_name(dns_name), key.spki.clone(), now - 3600, now + 365 * 86_400)
            .dns(dns_name)
            .key_usage(usages)
            .purposes(&["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
        let certificate = profile.signed(&self.issuing.name(), &self.issuing.key);
        self.issued.push(certificate.clone());
        Holder { certificate, key }
    }

    /// Revokes by serial number (content of the INTEGER), with a reason of RFC 5280 section 5.3.1; 8 takes a hold back.
    pub fn revoke(&mut self, serial: &[u8], reason: u8) {
        self.revoked.retain(|r| r.0 != serial);
        if reason != 8 {
            self.revoked.push((serial.to_vec(), server::system_time() - 60, reason));
        }
        self.crl_number += 1;
    }

    /// The issuing CA's CRL, good for a day.
    pub fn crl(&self, now: i64) -> Vec<u8> {
        certs::crl(&self.issuing, self.crl_number, &self.revoked, now - 60, now + 86_400)
    }

    /// The root's CRL: empty, good for a day.
    pub fn root_crl(&self, now: i64) -> Vec<u8> {
        certs::crl(&self.root, 1, &[], now - 60, now + 86_400)
    }

    /// Base of the URLs in certificates.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    fn is_revoked(&self, serial: &[u8]) -> bool {
        self.revoked.iter().any(|r| r.0 == serial)
    }

    /// A profile with the URLs of CRL, OCSP and issuer, if there are any.
    fn end_entity(&self, subject: Vec<u8>, spki: Vec<u8>, from: i64, to: i64) -> Profile {
        let profile = Profile::new(subject, spki, from, to);
        if self.base_url.is_empty() {
            return profile;
        }
        let access = |method: &str, path: &str| seq(&[&oid(method), &self.url(path)]);
        let ocsp = access("1.3.6.1.5.5.7.48.1", "/ocsp");
        let issuer = access(CA_ISSUERS, "/ca/issuing.crt");
        let point = self.url("/crl/issuing.crl");
        profile.with(CRL_POINTS, false, crl_points(&point)).with(ACCESS, false, seq(&[&ocsp, &issuer]))
    }

    /// Lets knobs that hold for a number of requests run out: after an answer.
    fn count_down(&mut self) {
        match self.knobs.requests {
            0 => {}
            1 => self.knobs = Knobs::default(),
            more => self.knobs.requests = more - 1,
        }
    }
}

/// cRLDistributionPoints of one point with one URL.
fn crl_points(url: &[u8]) -> Vec<u8> {
    seq(&[&seq(&[&tlv(0xa0, &[&tlv(0xa0, &[url])])])])
}

/// Whether a certificate carries a subjectAltName: for tests.
pub fn has_alt_name(der: &[u8]) -> bool {
    Parsed::read(der).is_ok_and(|c| c.extension(SUBJECT_ALT_NAME).is_some())
}
