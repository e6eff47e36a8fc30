//! A CA that runs, the device's credential for it, and what is expected of both.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::client::{Config, Event, Owner, Subject};
use devid::cmp::{Issued, MacParameters, Signer};
use devid::crypto::keys::load_private_key;
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, default_provider};
use devid::{Code, Error, Time};
use devid_testca::server::system_time as seconds_now;
use devid_testca::tlv::Node;
use devid_testca::{Holder, KeyType, Knobs, Options, Ra, RaServer, Server, TestCa};

const REFERENCE: &str = "4711";

const SECRET: &[u8] = b"correct-horse-battery-staple";

/// How a device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Idevid(KeyType),
    Pbm,
    Pbmac1,
}

pub const P256: By = By::Idevid(KeyType::P256);

pub const ALL: [By; 5] = [P256, By::Idevid(KeyType::Rsa2048), By::Idevid(KeyType::Ed25519), By::Pbm, By::Pbmac1];

/// A CA that runs, and the device's credential for it.
pub struct Bench {
    pub server: Server,
    pub by: By,
    pub idevid: Option<Holder>,
}

impl Bench {
    pub fn new(by: By) -> Self {
        let ca = TestCa::new(Options::default());
        let idevid = match by {
            By::Idevid(kind) => Some(ca.idevid("device 1", kind, seconds_now())),
            _ => None,
        };
        Bench { server: Server::start(ca).unwrap(), by, idevid }
    }

    /// Well-behaved but for these, and with an empty log.
    pub fn set<V: AsRef<str>>(&self, knobs: &[(&str, V)]) {
        self.server.with(|ca| {
            ca.knobs = Knobs::default();
            for (name, value) in knobs {
                ca.knobs.set(name, value.as_ref()).unwrap();
            }
            ca.received.clear();
            ca.confirmed.clear();
            ca.rejected.clear();
        });
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.server.url = Some(self.server.cmp_url());
        config.cmp_anchors.add(self.root());
        config.enrolment_anchors.add(self.root());
        let digest = DigestAlgorithm::Sha256;
        match (&self.idevid, self.by) {
            (Some(idevid), _) => {
                let key = load_private_key(&*default_provider(), &idevid.key.pkcs8, None).unwrap();
                let certificate = Certificate::from_der(&idevid.certificate).unwrap();
                config.protect_with_certificate(Signer::Key(key), certificate, Vec::new());
            }
            (None, By::Pbmac1) => {
                let parameters = MacParameters::Pbmac1 { prf: digest, mac: digest, iterations: 1000 };
                config.protect_with_secret(REFERENCE.as_bytes(), SECRET, parameters).unwrap();
            }
            (None, _) => {
                let parameters = MacParameters::PasswordBased { owf: digest, mac: digest, iterations: 1000 };
                config.protect_with_secret(REFERENCE.as_bytes(), SECRET, parameters).unwrap();
            }
        }
        config
    }

    pub fn root(&self) -> Certificate {
        Certificate::from_der(&self.server.with(|ca| ca.root.certificate.clone())).unwrap()
    }

    pub fn received(&self) -> Vec<&'static str> {
        self.server.with(|ca| ca.bodies())
    }

    pub fn complaints(&self) -> Vec<String> {
        self.server.with(|ca| ca.complaints())
    }

    /// What a device has after a first enrolment without any knob.
    pub fn first_certificate(&self) -> (Issued, Arc<dyn PrivateKey>) {
        self.set::<&str>(&[]);
        let client = self.config().build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device 1").unwrap().dns("device-1.example").unwrap();
        let mut operation = client.enroll(Signer::Key(Arc::clone(&key)), &subject).unwrap();
        (client.run(&mut operation, &mut Story::default()).unwrap(), key)
    }

    /// The same settings with an RA in front of the CA, and the RA.
    pub fn behind(&self, make: impl FnOnce(&mut TestCa) -> Ra) -> (Config, RaServer) {
        let ra = RaServer::start(self.server.with(make), &self.server.cmp_url()).unwrap();
        let mut config = self.config();
        config.server.url = Some(ra.cmp_url());
        (config, ra)
    }

    /// With these knobs the enrolment fails with this code, after these messages, of which the CA finds nothing to say.
    pub fn expect(&self, knobs: &[(&str, &str)], code: Code, sent: &[&str]) -> Error {
        self.expect_of(&self.config(), knobs, code, sent)
    }

    pub fn expect_of(&self, config: &Config, knobs: &[(&str, &str)], code: Code, sent: &[&str]) -> Error {
        self.set(knobs);
        let (issued, story) = enroll(config);
        let error = issued.map(|_| ()).expect_err(&format!("{knobs:?} must not be taken"));
        assert_eq!(error.code(), code, "{knobs:?}: {error}");
        assert_eq!(story.sent, sent, "{knobs:?}");
        assert_eq!(self.received(), sent, "{knobs:?}");
        assert_eq!(self.complaints(), [""; 0], "{knobs:?}");
        error
    }

    pub fn expect_issued(&self, knobs: &[(&str, &str)]) {
        self.set(knobs);
        let (issued, _) = enroll(&self.config());
        issued.unwrap_or_else(|e| panic!("{:?} {knobs:?}: {e}", self.by));
        assert_eq!(self.complaints(), [""; 0], "{knobs:?}");
        assert_eq!(self.server.with(|ca| ca.confirmed.len()), 1, "{knobs:?}");
    }
}

/// Tag of the body of a message.
pub fn body_tag(der: &[u8]) -> u8 {
    Node::parse(der).unwrap().at(1).unwrap().tag
}

/// Bytes of extraCerts at the end of a message; 0 without them.
pub fn extra_certs_len(der: &[u8]) -> usize {
    let message = Node::parse(der).unwrap();
    message.children.iter().skip(2).find(|c| c.tag == 0xa1).map_or(0, |c| c.bytes.len())
}

pub fn enroll(config: &Config) -> (Result<Issued, Error>, Story) {
    enroll_as(config, Story::default())
}

pub fn enroll_as(config: &Config, mut story: Story) -> (Result<Issued, Error>, Story) {
    let client = config.build().unwrap();
    let key: Arc<_> = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=device 1").unwrap().dns("device-1.example").unwrap();
    let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
    let issued = client.run(&mut operation, &mut story);
    (issued, story)
}

/// An owner that does something before each message goes out.
pub struct Meddling<'a> {
    pub story: Story,
    pub meddle: Box<dyn Fn(&str) + 'a>,
}

impl Owner for Meddling<'_> {
    fn now(&mut self) -> Time {
        self.story.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.story.wait(seconds, reason)
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Sending { body, .. } = &event {
            (self.meddle)(body.name());
        }
        self.story.observe(event);
    }
}

/// An owner that pretends to wait and writes down what happens.
#[derive(Default)]
pub struct Story {
    pub sent: Vec<&'static str>,
    pub waits: Vec<u32>,
    pub reasons: Vec<String>,
    pub pretended_seconds: i64,
}

impl Owner for Story {
    fn now(&mut self) -> Time {
        system_time().plus(self.pretended_seconds)
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.waits.push(seconds);
        self.reasons.extend_from_slice(reason);
        self.pretended_seconds += i64::from(seconds);
        Ok(())
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Sending { body, .. } = event {
            self.sent.push(body.name());
        }
    }
}
