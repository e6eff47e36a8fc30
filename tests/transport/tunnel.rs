//! HTTPS through a proxy: a tunnel, whose proxy learns the server's name and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use devid::transport::{HttpConfig, Url};

/// A proxy for one or more tunnels: answers CONNECT as told, and connects to `behind` if it said yes.
pub struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// What went through towards the server.
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub fn start(answer: &'static str, behind: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), heads: Arc::default(), passed: Arc::default() };
        let (heads, passed) = (proxy.heads.clone(), proxy.passed.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (heads, passed) = (heads.clone(), passed.clone());
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if stream.read(&mut byte).unwrap_or(0) == 0 {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                    stream.write_all(answer.as_bytes()).unwrap();
                    if answer.starts_with("HTTP/1.1 200") {
                        pass(stream, TcpStream::connect(("127.0.0.1", behind)).unwrap(), &passed);
                    }
                });
            }
        });
        proxy
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn passed(&self) -> Vec<u8> {
        self.passed.lock().unwrap().clone()
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, passed: &Mutex<Vec<u8>>) {
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        passed.lock().unwrap().extend_from_slice(&buffer[..count]);
        if server.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn a_login_is_written_as_rfc_7617_says_and_odd_ones_are_refused() {
    // The example of RFC 7617 section 2.
    assert_eq!(*HttpConfig::basic("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(HttpConfig::basic("a:b", "c").is_err());
    assert!(HttpConfig::basic("a", "b\r\nX-Evil: 1").is_err());
}

#[cfg(feature = "tls")]
mod https {
    use super::*;
    use crate::tls::{certificate, quick};
    use devid::transport::tls::TlsConfig;
    use devid::transport::{
        Exchange, ExchangeLimits, HttpExchange, Party, Phase, TransportError, TransportErrorKind as Kind,
    };
    use devid_testca::tls::{TlsOptions, TlsServer};
    use devid_testca::{Options, Server, TestCa};

    struct Bench {
        ca: Server,
        tls: TlsServer,
    }

    impl Bench {
        fn new() -> Self {
            let ca = Server::start(TestCa::new(Options::default())).unwrap();
            let tls = TlsServer::start(&ca, TlsOptions::default()).unwrap();
            Bench { ca, tls }
        }

        fn exchange(&self, proxy: &Proxy) -> HttpExchange {
            self.exchange_by(proxy.url())
        }

        fn exchange_by(&self, proxy: Url) -> HttpExchange {
            let mut tls = TlsConfig::new();
            tls.anchors.add(self.ca.with(|ca| certificate(&ca.root.certificate)));
            let config = HttpConfig {
                tls: Some(Arc::new(tls)),
                proxy: Some(proxy),
                proxy_authorization: Some(HttpConfig::basic("device", "hunter2").unwrap()),
                ..HttpConfig::default()
            };
            HttpExchange::new(&self.tls.cmp_url(), config).unwrap()
        }

        fn refusal(&self, answer: &'static str) -> TransportError {
            let proxy = Proxy::start(answer, self.tls.port());
            let error = self.exchange(&proxy).exchange(&[0x30, 0], &quick()).unwrap_err();
            assert!(!error.is_possibly_delivered && self.ca.with(|ca| ca.received.is_empty()), "{error}");
            assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("ZGV2"), "{error}");
            error
        }
    }

    #[test]
    fn a_proxy_makes_a_tunnel_and_sees_no_request() {
        let bench = Bench::new();
        let proxy = Proxy::start("HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n", bench.tls.port());
        let mut exchange = bench.exchange(&proxy);
        for round in 0..2 {
            assert_eq!(exchange.exchange(&[0x30, 0], &quick()).unwrap().connection_was_reused, round > 0);
        }

        let authority = format!("localhost:{}", bench.tls.port());
        let head = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic ZGV2aWNlOmh1bnRlcjI=\r\n\r\n"
        );
        assert_eq!(proxy.heads(), [head], "one tunnel for both exchanges, the login in it alone");
        let passed = proxy.passed();
        assert_eq!(passed[0], 0x16, "a TLS handshake");
        assert!(!passed.windows(4).any(|w| w == b"POST"));
    }

    #[test]
    fn a_proxy_that_says_nothing_is_told_as_the_proxy() {
        let bench = Bench::new();
        // Nobody accepts; the system takes the connection.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let limits = ExchangeLimits { connect_timeout: std::time::Duration::from_millis(200), ..quick() };
        let mut exchange = bench.exchange_by(Url::parse(&url).unwrap());
        let error = exchange.exchange(&[0x30, 0], &limits).unwrap_err();
        assert_eq!((error.party, error.kind), (Party::Proxy, Kind::Timeout));
        assert!(error.detail.contains(&format!("the proxy {url}: ")), "{error}");
        // Behind a tunnel it is the server that is waited for.
        let proxy = Proxy::start("HTTP/1.1 200 OK\r\n\r\n", silent.local_addr().unwrap().port());
        let error = bench.exchange(&proxy).exchange(&[0x30, 0], &limits).unwrap_err();
        assert_eq!((error.party, error.kind), (Party::Server, Kind::Timeout), "{error}");
    }

    #[test]
    fn a_proxy_that_refuses_is_quoted_without_the_login() {
        let bench = Bench::new();
        let error = bench.refusal("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        assert_eq!((error.kind, error.status, error.phase), (Kind::HttpStatus, Some(407), Phase::Tls));
        assert!(error.detail.contains("user name"), "{error}");

        let error = bench.refusal("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((error.kind, error.status), (Kind::HttpStatus, Some(403)));

        let challenged = "HTTP/1.1 407 Login\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n";
        let error = bench.refusal(challenged);
        assert!(error.detail.contains("NTLM, Negotiate"), "{error}");
        // RFC 9110 section 15.2: what is interim is not the answer; RFC 9112 section 2.2: LF alone ends a line.
        let busy = "HTTP/1.1 100 Continue\n\nHTTP/1.1 503 Later\nRetry-After: 30\n\n";
        let error = bench.refusal(busy);
        assert_eq!((error.kind, error.status, error.retry_after_seconds), (Kind::Busy, Some(503), Some(30)));
        static ENDLESS: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| "HTTP/1.1 100 Continue\r\n\r\n".repeat(100));
        assert_eq!(bench.refusal(&ENDLESS).kind, Kind::Broken);

        assert_eq!(bench.refusal("SSH-2.0-x\r\n\r\n").kind, Kind::Broken);
        static LONG: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(10_000)));
        assert_eq!(bench.refusal(&LONG).kind, Kind::TooLarge);
    }
}
