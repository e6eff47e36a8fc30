//! The test CA behind HTTPS on loopback: the same paths and knobs, with a certificate of its own or one given.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::certs::{Holder, Profile, SUBJECT_ALT_NAME};
use crate::server::{Request, Response, Server, serve};
use crate::tlv::{seq, tlv};
use crate::{KeyType, TestCa};

/// Gives each request its answer.
type Answer = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// How the server shows itself, and whom it lets in.
#[derive(Default)]
pub struct TlsOptions {
    /// Certificate and key; by default [`TestCa::tls_server`] makes one.
    pub identity: Option<Holder>,
    /// What is sent behind the certificate, DER; by default the issuing CA's certificate.
    pub chain: Option<Vec<Vec<u8>>>,
    /// Demand a client certificate under one of these, DER. Empty: none is asked for.
    pub client_anchors: Vec<Vec<u8>>,
    /// Let clients without a certificate in, too.
    pub client_is_optional: bool,
    /// Speak TLS 1.2 only.
    pub only_tls12: bool,
    /// An OCSP response to staple, DER.
    pub stapled_ocsp: Vec<u8>,
}

/// An HTTPS listener in front of a [`Server`]'s CA; stopped when dropped.
pub struct TlsServer {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    connections: Arc<Mutex<HashMap<u64, TcpStream>>>,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl TestCa {
    /// A server's certificate for `localhost`, 127.0.0.1 and ::1 from the issuing CA, changed by `change`.
    pub fn tls_server(&mut self, kind: KeyType, now: i64, change: impl Fn(Profile) -> Profile) -> Holder {
        let names = [
            tlv(0x82, &[b"localhost"]),
            tlv(0x87, &[&[127, 0, 0, 1]]),
            tlv(0x87, &[&std::net::Ipv6Addr::LOCALHOST.octets()]),
        ];
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let holder = self.issuing.issue("devid test TLS server", kind, now - 3600, now + 365 * 86_400, |profile| {
            let profile = profile.with(SUBJECT_ALT_NAME, false, seq(&names));
            change(profile.key_usage(&[0]).purposes(&["1.3.6.1.5.5.7.3.1"]))
        });
        self.issued.push(holder.certificate.clone());
        holder
    }
}

impl TlsServer {
    /// On a port of 127.0.0.1 that the system chooses.
    pub fn start(server: &Server, mut options: TlsOptions) -> io::Result<Self> {
        let identity = options.identity.take();
        let (identity, chain) = server.with(|ca| {
            let chain = options.chain.take().unwrap_or_else(|| vec![ca.issuing.certificate.clone()]);
            let made = || ca.tls_server(KeyType::P256, crate::server::system_time(), |p| p);
            (identity.unwrap_or_else(made), chain)
        });
        let config = Arc::new(config(&identity, &chain, &options).map_err(io::Error::other)?);
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let tls = TlsServer {
            address: listener.local_addr()?,
            is_stopped: Arc::default(),
            connections: Arc::default(),
            names: Arc::default(),
        };
        let answer: Answer = Arc::new(server.answer());
        let is_stopped = Arc::clone(&tls.is_stopped);
        let (connections, names) = (Arc::clone(&tls.connections), Arc::clone(&tls.names));
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming()) {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(copy) = stream.try_clone() {
                    connections.lock().unwrap_or_else(PoisonError::into_inner).insert(number, copy);
                }
                let (answer, config) = (Arc::clone(&answer), Arc::clone(&config));
                let (connections, names) = (Arc::clone(&connections), Arc::clone(&names));
                thread::spawn(move || {
                    // A client that goes away is its own business.
                    drop(converse(stream, config, &*answer, &names));
                    connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                });
            }
        });
        Ok(tls)
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where CMP is spoken.
    pub fn cmp_url(&self) -> String {
        format!("{}/cmp", self.url())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The names that clients asked for (SNI), one for each connection whose handshake succeeded.
    pub fn names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the connections that are open, and goes on listening.
    pub fn close_connections(&self) {
        for (_, stream) in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.close_connections();
    }
}

fn config(identity: &Holder, chain: &[Vec<u8>], options: &TlsOptions) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = match options.client_anchors.is_empty() {
        true => Arc::new(NoClientAuth),
        false => {
            let mut roots = RootCertStore::empty();
            for anchor in &options.client_anchors {
                roots.add(CertificateDer::from(anchor.clone()))?;
            }
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let builder = if options.client_is_optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|e| rustls::Error::General(e.to_string()))?
        }
    };
    let versions: &[_] = if options.only_tls12 { &[&TLS12] } else { &[&TLS13, &TLS12] };
    let certificates = std::iter::once(&identity.certificate).chain(chain).map(|c| CertificateDer::from(c.clone()));
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.pkcs8.clone()));
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert_with_ocsp(certificates.collect(), key, options.stapled_ocsp.clone())
}

fn converse(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &dyn Fn(&Request) -> Response,
    names: &Mutex<Vec<Option<String>>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    names.lock().unwrap_or_else(PoisonError::into_inner).push(tls.conn.server_name().map(str::to_owned));
    serve(&mut tls, answer)?;
    tls.conn.send_close_notify();
    let _ = tls.conn.write_tls(&mut tls.sock);
    tls.sock.shutdown(Shutdown::Both)
}
