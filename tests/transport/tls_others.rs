//! HTTPS with ends that are not ours: Python's ssl, which is OpenSSL, as the server, and `openssl cmp` as the client.
//!
//! Without `python3` or OpenSSL 3 the tests say so and pass.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use devid::client::{Config, Subject, Unattended};
use devid::cmp::Signer;
use devid::crypto::{KeyKind, default_provider};
use devid::transport::tls::TlsConfig;
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Options, Server, TestCa, pem};

use super::tls::{certificate, key_of};
use crate::left_out::left_out;

/// A directory with the server's material, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("devid-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Python in front of a test CA.
struct Python {
    child: Child,
    port: u16,
    output: BufReader<std::process::ChildStdout>,
}

impl Python {
    fn start(folder: &Folder, ca: &Server, client_anchors: Option<&[u8]>, version: &str) -> Option<Self> {
        let (certificates, key) = ca.with(|ca| {
            let server = ca.tls_server(KeyType::P256, system_time(), |p| p);
            let chain = pem("CERTIFICATE", &server.certificate) + &pem("CERTIFICATE", &ca.issuing.certificate);
            (folder.write("server.pem", &chain), folder.write("server.key", &pem("PRIVATE KEY", &server.key.pkcs8)))
        });
        let anchors = client_anchors.map_or("-".to_owned(), |a| folder.write("clients.pem", &pem("CERTIFICATE", a)));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transport/forward_tls.py");
        let started = Command::new("python3")
            .args(["-u", script, &ca.port().to_string(), &certificates, &key, &anchors, version])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            left_out("no python3");
            return None;
        };
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Some(Python { child, port: line.trim().parse().expect("a port"), output })
    }

    /// Ends it; everything it said.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        let _ = self.child.wait();
        said
    }
}

#[test]
fn a_device_shows_its_idevid_to_a_server_of_openssl_and_enrols_through_it() {
    for version in ["1.2", "1.3"] {
        let folder = Folder::new(&format!("python-{version}"));
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let (supplier_root, root) =
            ca.with(|ca| (ca.supplier_root.certificate.clone(), certificate(&ca.root.certificate)));
        let Some(python) = Python::start(&folder, &ca, Some(&supplier_root), version) else { return };
        let idevid = ca.with(|ca| ca.idevid("device 1", KeyType::Rsa2048, system_time()));
        let chain = [certificate(&idevid.certificate), ca.with(|ca| certificate(&ca.supplier.certificate))];
        let mut config = Config::new();
        config.server.url = Some(format!("https://localhost:{}/cmp", python.port));
        config.tls.anchors.add(root.clone());
        config.tls.set_credential(key_of(&idevid), &chain).unwrap();
        config.set_credential(Signer::Key(key_of(&idevid)), &chain).unwrap();
        config.cmp_anchors.add(root.clone());
        config.enrolment_anchors.add(root);
        let client = config.build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();

        let mut enrolment = client.enroll(Signer::Key(key), &Subject::new().name("CN=router-7").unwrap()).unwrap();
        let issued = client.run(&mut enrolment, &mut Unattended).unwrap_or_else(|e| panic!("{version}: {e}"));

        assert_eq!(ca.with(|ca| ca.confirmed.clone()), [issued.certificate.as_der().to_vec()]);
        drop(enrolment);
        assert_eq!(python.end().trim(), format!("TLSv{version} localhost device 1"));
    }
}

#[test]
fn a_server_of_openssl_refuses_a_client_without_a_certificate_and_the_error_says_so() {
    use devid::transport::Exchange;
    for version in ["1.2", "1.3"] {
        let folder = Folder::new(&format!("none-{version}"));
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let (supplier_root, root) =
            ca.with(|ca| (ca.supplier_root.certificate.clone(), certificate(&ca.root.certificate)));
        let Some(python) = Python::start(&folder, &ca, Some(&supplier_root), version) else { return };
        let mut config = TlsConfig::new();
        config.anchors.add(root);
        let url = format!("https://localhost:{}/cmp", python.port);

        let outcome = super::tls::exchange_at(&url, &config).exchange(&[0x30, 0], &super::tls::quick());

        let words = outcome.unwrap_err().to_string();
        assert!(words.contains("the server demands a client certificate, and none is set"), "{version}: {words}");
        assert!(python.end().contains("refused"));
        assert!(ca.with(|ca| ca.received.is_empty()));
    }
}

/// `openssl s_server` with one connection to come.
struct Openssl {
    child: Child,
    port: String,
    said: Option<BufReader<std::process::ChildStdout>>,
}

impl Openssl {
    /// `None` without OpenSSL 3. With the test CA's certificate for it, or with one of its own over P-521.
    fn start(folder: &Folder, ca: &mut TestCa, is_p521: bool, arguments: &[&str]) -> Option<Self> {
        if !has_openssl() {
            return None;
        }
        let server = ca.tls_server(KeyType::P256, system_time(), |p| p);
        let chain = pem("CERTIFICATE", &server.certificate) + &pem("CERTIFICATE", &ca.issuing.certificate);
        let chain = folder.write("server.pem", &chain);
        let key = folder.write("server.key", &pem("PRIVATE KEY", &server.key.pkcs8));
        if is_p521 {
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1", "-nodes"])
                .args(["-subj", "/CN=localhost", "-keyout", &key, "-out", &chain])
                .output();
            assert!(made.unwrap().status.success());
        }
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-key", &key, "-cert", &chain])
            .args(["-cert_chain", &chain])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        let port = line.trim().rsplit(':').next().unwrap().to_owned();
        Some(Openssl { child, port, said: Some(said) })
    }

    /// What an exchange with it fails for.
    fn refusal(&self, ca: &TestCa) -> String {
        use devid::transport::Exchange;
        let mut config = TlsConfig::new();
        config.anchors.add(certificate(&ca.root.certificate));
        let mut exchange = super::tls::exchange_at(&format!("https://localhost:{}/cmp", self.port), &config);
        exchange.exchange(&[0x30, 0], &super::tls::quick()).unwrap_err().to_string()
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_openssl() -> bool {
    let version = Command::new("openssl").arg("version").output();
    let is_there = version.is_ok_and(|out| out.status.success() && out.stdout.starts_with(b"OpenSSL 3"));
    if !is_there {
        left_out("no OpenSSL 3");
    }
    is_there
}

/// Neither a group nor a certificate that both know: the words name what fails, and what was offered for it.
#[test]
fn a_server_of_openssl_that_does_not_come_to_terms_is_told_with_what_was_offered() {
    for (is_p521, arguments) in [(false, &["-groups", "P-521"][..]), (true, &["-tls1_2"])] {
        let folder = Folder::new(&format!("terms-{is_p521}"));
        let mut ca = TestCa::new(Options::default());
        let Some(server) = Openssl::start(&folder, &mut ca, is_p521, arguments) else { return };
        let words = server.refusal(&ca);
        let tls12 = words.split_once("TLS 1.2 (").map(|(_, told)| told).unwrap_or_default();
        for offered in ["groups", "X25519", "secp256r1", "secp384r1", "ECDHE", "ecdsa_secp256r1_sha256"] {
            assert!(tls12.contains(offered), "{arguments:?}: {offered}: {words}");
        }
        assert!(!tls12.contains("secp521r1"), "{arguments:?}: {words}");
    }
}

#[test]
fn a_server_of_openssl_that_wants_a_second_handshake_is_told_by_that_name() {
    let folder = Folder::new("renegotiation");
    let mut ca = TestCa::new(Options::default());
    let Some(mut server) = Openssl::start(&folder, &mut ca, false, &["-tls1_2"]) else { return };
    let (mut said, mut input) = (server.said.take().unwrap(), server.child.stdin.take().unwrap());
    // Once the request is there it asks for the second handshake.
    let asks = std::thread::spawn(move || {
        let mut line = String::new();
        while said.read_line(&mut line).is_ok_and(|count| count > 0) {
            if line.contains("POST ") {
                std::io::Write::write_all(&mut input, b"R\n").unwrap();
            }
            line.clear();
        }
    });
    let words = server.refusal(&ca);
    drop(server);
    asks.join().unwrap();
    assert!(words.contains("does not renegotiate") && !words.contains("offered are"), "{words}");
}

#[test]
fn openssl_enrols_over_https_with_the_test_ca() {
    if !has_openssl() {
        return;
    }
    let folder = Folder::new("openssl");
    let ca = Server::start(TestCa::new(Options::default())).unwrap();
    let tls = TlsServer::start(
        &ca,
        ca.with(|ca| TlsOptions {
            client_anchors: vec![ca.supplier_root.certificate.clone()],
            ..TlsOptions::default()
        }),
    )
    .unwrap();
    let (root, idevid, supplier) = ca.with(|ca| {
        let idevid = ca.idevid("device 1", KeyType::P256, system_time());
        (ca.root.certificate.clone(), idevid, ca.supplier.certificate.clone())
    });
    folder.write("root.pem", &pem("CERTIFICATE", &root));
    folder.write("idevid.pem", &(pem("CERTIFICATE", &idevid.certificate) + &pem("CERTIFICATE", &supplier)));
    folder.write("idevid.key", &pem("PRIVATE KEY", &idevid.key.pkcs8));
    let line = format!(
        "cmp -cmd ir -server localhost:{} -path cmp -tls_used -tls_cert idevid.pem -tls_key idevid.key \
         -tls_trusted root.pem -tls_host localhost -trusted root.pem -ref 4711 -secret pass:correct-horse-battery-staple \
         -recipient /CN=CA -subject /CN=openssl-7 -newkey idevid.key -certout new.pem",
        tls.port()
    );
    let out = Command::new("openssl").args(line.split_whitespace()).current_dir(&folder.0).output().unwrap();
    assert!(out.status.success(), "{}\n{:?}", String::from_utf8_lossy(&out.stderr), ca.with(|ca| ca.complaints()));
    assert_eq!(ca.with(|ca| ca.confirmed.len()), 1);
    assert!(tls.names().contains(&Some("localhost".to_owned())));
}
