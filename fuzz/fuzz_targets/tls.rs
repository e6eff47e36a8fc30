//! A TLS server's certificates and stapled response, in a handshake that is otherwise right: the input chooses what is sent, in
//! which order, changed how, and signed again by whom. The connection comes about only with the genuine certificate of this
//! server, or one that its CA has signed over this server's key.
#![no_main]
mod made;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use certificates::{Builder, Party, dns, now};
use devid::asn1::oid;
use devid::asn1::x509::{Certificate, assemble_signed};
use devid::crypto::{DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use devid::transport::tls::{TlsConfig, TlsTime};
use devid::transport::{Exchange, ExchangeLimits, HttpConfig, HttpExchange};
use devid::validation::{KeyUsage, RevocationMode, RevocationPolicy, RevocationScope};
use devid_test_support::{certificates, status};
use libfuzzer_sys::fuzz_target;
use made::Choices;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ServerConfig, ServerConnection, SignatureAlgorithm as KeyAlgorithm, SignatureScheme, StreamOwned};
use status::{OcspBuilder, Single};

const NAME: &str = "server.example";
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);

/// Everybody who has a part, made once.
struct Cast {
    root: Party,
    ca: Party,
    server: Party,
    /// Certificates that may come along: genuine ones for other names and purposes, and what anybody can make.
    others: Vec<Party>,
}

impl Cast {
    fn new() -> Self {
        let root = Party::root("root");
        let ca = root.ca("CA");
        let leaf = |name: &str| {
            let names = [dns(name)];
            Builder::leaf(name).alt_names(names).key_usage(&[KeyUsage::DigitalSignature])
        };
        let for_servers = |builder: Builder| builder.purposes(&[oid::KP_SERVER_AUTH]);
        let server = for_servers(leaf(NAME)).signed_by(&ca);
        let stranger = Party::root("root");
        let others = vec![
            ca.clone(),
            root.clone(),
            for_servers(leaf("other.example")).signed_by(&ca),
            leaf(NAME).purposes(&[oid::KP_CLIENT_AUTH]).key(&server.key).signed_by(&ca),
            for_servers(leaf(NAME)).key(&server.key).signed_by(&stranger.ca("CA")),
            for_servers(leaf(NAME)).key(&server.key).signed_by(&server),
            for_servers(leaf(NAME)).key(&server.key).self_signed(),
            stranger,
        ];
        Cast { root, ca, server, others }
    }

    /// A certificate as it is sent, and whether the CA has signed what stands in it.
    fn sent(&self, choices: &mut Choices<'_>, party: &Party) -> (Vec<u8>, bool) {
        let is_genuine = party.certificate == self.server.certificate;
        match choices.below(4) {
            0 => {
                let mut der = party.certificate.as_der().to_vec();
                choices.mutate(&mut der);
                let is_same = der == party.certificate.as_der();
                (der, is_same && is_genuine)
            }
            by @ (1 | 2) => {
                let mut tbs = party.certificate.tbs().to_vec();
                choices.mutate(&mut tbs);
                let signer = if by == 1 { &self.ca } else { &self.others[choices.below(2) + 6] };
                let signature = signer.key.sign(&ALGORITHM, &tbs).expect("a signature");
                (assemble_signed(&tbs, &ALGORITHM.to_der(), &signature), by == 1)
            }
            _ => (party.certificate.as_der().to_vec(), is_genuine),
        }
    }

    fn staple(&self, choices: &mut Choices<'_>) -> Option<Vec<u8>> {
        let single = Single::good(&self.server.certificate, &self.ca);
        let (single, by) = match choices.below(5) {
            0 => return None,
            1 => (single, &self.ca),
            2 => (single.revoked(1), &self.ca),
            3 => (single, &self.others[5]),
            _ => (single.unknown(), &self.ca),
        };
        let mut der = OcspBuilder::by(by).says(single).der();
        choices.mutate(&mut der);
        Some(der)
    }
}

fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(Cast::new)
}

/// The server's key, as the TLS library asks for it.
#[derive(Debug)]
struct Key(Arc<dyn PrivateKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        is_offered.then(|| Box::new(Key(Arc::clone(&self.0))) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> KeyAlgorithm {
        KeyAlgorithm::ECDSA
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.sign(&ALGORITHM, message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// What the next handshake is to show.
#[derive(Clone, Debug, Default)]
struct Shown {
    chain: Vec<Vec<u8>>,
    staple: Option<Vec<u8>>,
    only_tls12: bool,
}

#[derive(Debug)]
struct Resolver(CertifiedKey);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(self.0.clone()))
    }
}

fn serve(shown: &Shown) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = if shown.only_tls12 { vec![&rustls::version::TLS12] } else { rustls::ALL_VERSIONS.to_vec() };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).expect("versions");
    let chain = shown.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let mut key = CertifiedKey::new(chain, Arc::new(Key(Arc::clone(&cast().server.key))));
    key.ocsp = shown.staple.clone();
    builder.with_no_client_auth().with_cert_resolver(Arc::new(Resolver(key)))
}

/// A server on loopback that shows in each handshake what it was given last, and answers a request with an empty body.
fn server() -> &'static (SocketAddr, Mutex<Sender<Shown>>) {
    static SERVER: OnceLock<(SocketAddr, Mutex<Sender<Shown>>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (give, take) = channel::<Shown>();
        std::thread::spawn(move || {
            let mut shown = Shown::default();
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if let Some(newer) = take.try_iter().last() {
                    shown = newer;
                }
                let _ = stream.set_read_timeout(Some(Duration::from_millis(400)));
                let Ok(connection) = ServerConnection::new(Arc::new(serve(&shown))) else { continue };
                let mut stream = StreamOwned::new(connection, stream);
                let mut head = [0; 2048];
                if stream.read(&mut head).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/pkixcmp\r\nconnection: close\r\ncontent-length: 2\r\n\r\n0\0");
                    let _ = stream.flush();
                }
            }
        });
        (address, Mutex::new(give))
    })
}

fuzz_target!(|input: &[u8]| {
    let (cast, mut choices) = (cast(), Choices::of(input));
    let choices = &mut choices;
    let mode = [RevocationMode::Off, RevocationMode::SoftFail, RevocationMode::HardFail][choices.below(3)];
    let only_tls12 = choices.maybe();
    let staple = cast.staple(choices);
    let first = match choices.below(3) {
        0 => &cast.others[choices.below(cast.others.len())],
        _ => &cast.server,
    };
    let (leaf, is_signed) = cast.sent(choices, first);
    let mut chain = vec![leaf.clone()];
    for _ in 0..choices.below(20) {
        let other = &cast.others[choices.below(cast.others.len())];
        chain.push(cast.sent(choices, other).0);
    }
    if choices.maybe() {
        chain.insert(choices.below(chain.len()) + 1, cast.ca.certificate.as_der().to_vec());
    }
    let (address, give) = server();
    give.lock().expect("one thread").send(Shown { chain, staple, only_tls12 }).expect("the server runs");

    let mut tls = TlsConfig::new();
    tls.anchors.add(cast.root.certificate.clone());
    tls.server_name = Some(NAME.to_owned());
    tls.time = TlsTime::At(now());
    tls.revocation = RevocationPolicy { mode, scope: RevocationScope::LeafOnly, ..RevocationPolicy::hard_fail() };
    if choices.maybe() {
        tls.intermediates.push(cast.ca.certificate.clone());
    }
    let config = HttpConfig { tls: Some(Arc::new(tls)), ..HttpConfig::default() };
    let limits = ExchangeLimits {
        connect_timeout: Duration::from_millis(500),
        read_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_millis(800),
        ..ExchangeLimits::default()
    };
    let mut exchange = HttpExchange::new(&format!("https://{address}/cmp"), config).expect("the URL is right");
    if exchange.exchange(&[0x30, 0x00], &limits).is_ok() {
        assert!(is_signed, "a server that the CA has not certified was taken for this one");
        let leaf = Certificate::from_der(&leaf).expect("a certificate that was taken");
        let key = cast.server.key.spki();
        assert!(leaf.tbs().windows(key.len()).any(|part| part == key), "another key was taken for the server's");
    }
});
