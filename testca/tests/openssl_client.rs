//! Someone else's client against the test CA: the `openssl` command enrols, renews, revokes and checks what is published.
//!
//! Needs OpenSSL 3; without the command the tests say SKIPPED and pass.

use devid_testca::server::system_time;
use devid_testca::{KeyType, Options, Parsed, Server, TestCa, pem};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

const SECRET: [&str; 4] = ["-ref", "4711", "-secret", "pass:correct-horse-battery-staple"];

#[test]
fn openssl_enrols_whatever_the_request_the_key_the_confirmation_and_the_wait() {
    let Some(bench) = Bench::new("matrix") else { return };
    let version = String::from_utf8(bench.openssl(&["version"]).0.stdout).expect("text");
    bench.openssl(&["req", "-new", "-key", "new.key", "-subj", "/CN=device", "-out", "request.csr"]).done();
    let is_old = version.starts_with("OpenSSL 3.0");
    for kind in [Some(KeyType::P256), Some(KeyType::Rsa2048), Some(KeyType::Ed25519), None] {
        if is_old && kind == Some(KeyType::Ed25519) {
            eprintln!("SKIPPED: OpenSSL 3.0 cannot protect a message with an Ed25519 key (unsupported key type)");
            continue;
        }
        let protection = bench.protection(kind);
        for command in ["ir", "cr", "p10cr"] {
            for (is_implicit, polls) in [(false, 0), (true, 0), (false, 2), (true, 2)] {
                bench.server.with(|ca| {
                    ca.knobs.waiting = polls;
                    ca.knobs.check_after = 0;
                    ca.knobs.last_recip_nonce = is_old;
                    ca.received.clear();
                });

                let mut arguments = vec!["-cmd", command, "-trusted", "root.pem", "-certout", "issued.pem"];
                arguments.extend(protection.iter().map(String::as_str));
                match command {
                    "p10cr" => arguments.extend(["-csr", "request.csr"]),
                    _ => arguments.extend(["-newkey", "new.key", "-subject", "/CN=device"]),
                }
                if is_implicit {
                    arguments.push("-implicit_confirm");
                }
                bench.cmp(&arguments).done();

                let mut expected = vec![command];
                if polls > 0 {
                    expected.extend(["pollReq"; 3]);
                }
                if !is_implicit {
                    expected.push("certConf");
                }
                let (bodies, complaints) = bench.server.with(|ca| (ca.bodies(), ca.complaints()));
                assert_eq!(bodies, expected, "{command} {kind:?}");
                assert_eq!(complaints, Vec::<String>::new(), "{command} {kind:?}");
                bench.openssl(&["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "issued.pem"]).done();
            }
        }
    }
}

#[test]
fn openssl_renews_and_then_revokes_what_it_was_issued() {
    let Some(bench) = Bench::new("renew") else { return };
    bench.enrol("first.pem");

    let own = ["-cert", "first.pem", "-key", "new.key", "-extracerts", "issuing.pem", "-trusted", "root.pem"];
    let update = ["-cmd", "kur", "-newkey", "second.key", "-certout", "second.pem"];
    bench.cmp(&[&update[..], &own].concat()).done();
    let own = ["-cert", "second.pem", "-key", "second.key", "-extracerts", "issuing.pem", "-trusted", "root.pem"];
    bench.cmp(&[&["-cmd", "rr", "-oldcert", "second.pem", "-revreason", "4"], &own[..]].concat()).done();

    let serial = Parsed::read(&bench.der("second.pem")).expect("a certificate").serial;
    let crl = bench.fetch_crl();
    assert!(crl.contains("Superseded") && crl.contains(&hex(&serial)), "{crl}");
    let again = bench.cmp(&[&["-cmd", "rr", "-oldcert", "second.pem"], &own[..]].concat());
    assert!(!again.0.status.success(), "a revoked certificate protects nothing");
}

#[test]
fn a_supplier_certificate_is_not_updated_by_this_ca() {
    let Some(bench) = Bench::new("foreign") else { return };
    let protection = bench.protection(Some(KeyType::P256));
    let mut arguments = vec!["-cmd", "kur", "-newkey", "new.key", "-trusted", "root.pem", "-certout", "issued.pem"];
    arguments.extend(protection.iter().map(String::as_str));

    let answer = bench.cmp(&arguments);

    assert!(answer.failed_with("badCertId"), "{answer:?}");
}

#[test]
fn wrong_secret_and_unknown_reference_are_refused() {
    let Some(bench) = Bench::new("secret") else { return };
    for (reference, secret) in [("4711", "pass:wrong"), ("4712", "pass:correct-horse-battery-staple")] {
        bench.server.with(|ca| ca.received.clear());
        let answer = bench.cmp(&[
            "-cmd",
            "ir",
            "-ref",
            reference,
            "-secret",
            secret,
            "-newkey",
            "new.key",
            "-subject",
            "/CN=device",
            "-certout",
            "issued.pem",
            "-trusted",
            "root.pem",
            "-unprotected_errors",
        ]);
        assert!(!answer.0.status.success(), "{answer:?}");
        assert_eq!(bench.server.with(|ca| ca.complaints().len()), 1);
        assert!(!bench.directory.join("issued.pem").exists(), "nothing was issued");
    }
}

#[test]
fn a_device_of_another_supplier_is_refused() {
    let Some(bench) = Bench::new("stranger") else { return };
    let other = TestCa::new(Options::default());
    let idevid = other.idevid("devid test device 1", KeyType::P256, system_time());
    bench.write("idevid.pem", &pem("CERTIFICATE", &idevid.certificate));
    bench.write("idevid.key", &pem("PRIVATE KEY", &idevid.key.pkcs8));
    bench.write("chain.pem", &pem("CERTIFICATE", &other.supplier.certificate));

    let answer = bench.cmp(&[
        "-cmd",
        "ir",
        "-cert",
        "idevid.pem",
        "-key",
        "idevid.key",
        "-extracerts",
        "chain.pem",
        "-newkey",
        "new.key",
        "-subject",
        "/CN=device",
        "-certout",
        "issued.pem",
        "-trusted",
        "root.pem",
    ]);

    assert!(answer.failed_with("signerNotTrusted"), "{answer:?}");
}

#[test]
fn a_device_that_plays_authority_is_refused() {
    let Some(bench) = Bench::new("forged") else { return };
    bench.enrol("first.pem");
    bench.openssl(&["req", "-new", "-key", "second.key", "-subj", "/CN=forged", "-out", "forged.csr"]).done();
    bench.write("v3.cnf", "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\n");
    let forge = ["x509", "-req", "-in", "forged.csr", "-CA", "first.pem", "-CAkey", "new.key", "-CAcreateserial"];
    bench.openssl(&[&forge[..], &["-extfile", "v3.cnf", "-out", "forged.pem"]].concat()).done();
    let read = |file: &str| std::fs::read_to_string(bench.directory.join(file)).expect("written");
    bench.write("chain.pem", &(read("first.pem") + &read("issuing.pem")));

    let credential = ["-cert", "forged.pem", "-key", "second.key", "-extracerts", "chain.pem", "-trusted", "root.pem"];
    let request = ["-cmd", "cr", "-newkey", "new.key", "-subject", "/CN=device", "-certout", "issued.pem"];
    let answer = bench.cmp(&[&request[..], &credential].concat());

    assert!(answer.failed_with("signerNotTrusted"), "{answer:?}");
}

#[test]
fn the_page_of_documentation_names_every_knob_with_its_default() {
    let page = include_str!("../../docs/testca.md");
    for (name, default, meaning) in devid_testca::Knobs::table() {
        let line = format!("| `{name}` | {default} | {meaning} |");
        assert!(page.lines().any(|found| found == line), "missing or out of date: {line}");
    }
}

#[test]
fn openssl_accepts_crl_and_ocsp_and_finds_the_revoked_peer_there() {
    let Some(bench) = Bench::new("status") else { return };
    let [good, bad] = ["good.example", "bad.example"].map(|name| {
        let peer = bench.server.with(|ca| ca.peer(name, KeyType::P256, system_time()));
        bench.write(&format!("{name}.pem"), &pem("CERTIFICATE", &peer.certificate));
        Parsed::read(&peer.certificate).expect("made by the CA").serial
    });
    bench.server.with(|ca| ca.revoke(&bad, 1));

    let crl = bench.fetch_crl();
    assert!(crl.contains(&hex(&bad)) && !crl.contains(&hex(&good)), "{crl}");
    let check =
        ["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "-crl_check", "-CRLfile", "issuing.crl.pem"];
    bench.openssl(&[&check[..], &["good.example.pem"]].concat()).done();
    let refused = bench.openssl(&[&check[..], &["bad.example.pem"]].concat());
    assert!(refused.failed_with("certificate revoked"), "{refused:?}");

    let url = format!("{}/ocsp", bench.server.url());
    let ask = |digest, name: &str| {
        let file = format!("{name}.pem");
        bench
            .openssl(&["ocsp", "-issuer", "issuing.pem", digest, "-cert", &file, "-url", &url, "-CAfile", "root.pem"])
            .done()
    };
    for digest in ["-sha1", "-sha256"] {
        let answer = ask(digest, "good.example");
        assert!(answer.contains("good.example.pem: good") && answer.contains("Response verify OK"), "{answer}");
        assert!(!answer.contains("nonce"), "{answer}");
        let answer = ask(digest, "bad.example");
        assert!(answer.contains("bad.example.pem: revoked") && answer.contains("keyCompromise"), "{answer}");
    }
}

struct Bench {
    directory: PathBuf,
    server: Server,
}

#[derive(Debug)]
struct Answer(Output);

impl Answer {
    /// What it printed; fails the test if it did not succeed.
    #[track_caller]
    fn done(self) -> String {
        assert!(self.0.status.success(), "{}", self.text());
        self.text()
    }

    fn text(&self) -> String {
        [&self.0.stdout[..], &self.0.stderr].map(String::from_utf8_lossy).concat()
    }

    fn failed_with(&self, text: &str) -> bool {
        !self.0.status.success() && self.text().contains(text)
    }
}

impl Bench {
    /// A CA behind HTTP, its roots in files, and two fresh keys. `None`, and a word on standard error, without the command.
    fn new(name: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success()) {
            eprintln!("SKIPPED: the openssl command is not there");
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("devid-testca-{}-{number}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let server = Server::start(TestCa::new(Options::default())).expect("a port");
        let bench = Bench { directory, server };
        let (root, issuing) = bench.server.with(|ca| (ca.root.certificate.clone(), ca.issuing.certificate.clone()));
        bench.write("root.pem", &pem("CERTIFICATE", &root));
        bench.write("issuing.pem", &pem("CERTIFICATE", &issuing));
        for file in ["new.key", "second.key"] {
            let curve = "ec_paramgen_curve:P-256";
            bench.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", file]).done();
        }
        Some(bench)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).expect("written");
    }

    fn openssl(&self, arguments: &[&str]) -> Answer {
        Answer(Command::new("openssl").args(arguments).current_dir(&self.directory).output().expect("openssl runs"))
    }

    fn cmp(&self, arguments: &[&str]) -> Answer {
        let address = format!("127.0.0.1:{}", self.server.port());
        let common = ["cmp", "-batch", "-server", &address, "-path", "cmp", "-msg_timeout", "20"];
        self.openssl(&[&common[..], arguments].concat())
    }

    /// Options for protection: by an IDevID of this kind, or by the secret.
    fn protection(&self, kind: Option<KeyType>) -> Vec<String> {
        let Some(kind) = kind else { return SECRET.map(str::to_owned).to_vec() };
        let (idevid, supplier) = self
            .server
            .with(|ca| (ca.idevid("devid test device 1", kind, system_time()), ca.supplier.certificate.clone()));
        self.write("idevid.pem", &pem("CERTIFICATE", &idevid.certificate));
        self.write("idevid.key", &pem("PRIVATE KEY", &idevid.key.pkcs8));
        self.write("chain.pem", &pem("CERTIFICATE", &supplier));
        ["-cert", "idevid.pem", "-key", "idevid.key", "-extracerts", "chain.pem"].map(str::to_owned).to_vec()
    }

    fn enrol(&self, file: &str) {
        let request = ["-cmd", "ir", "-newkey", "new.key", "-subject", "/CN=device", "-certout", file];
        self.cmp(&[&request[..], &SECRET].concat()).done();
    }

    /// The certificate in a PEM file.
    fn der(&self, file: &str) -> Vec<u8> {
        self.openssl(&["x509", "-in", file, "-outform", "DER", "-out", "out.der"]).done();
        std::fs::read(self.directory.join("out.der")).expect("written by openssl")
    }

    /// Gets the CRL, has its signature checked, leaves it in `issuing.crl.pem`, and hands back its text.
    fn fetch_crl(&self) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.server.port())).expect("the CA listens");
        stream.write_all(b"GET /crl/issuing.crl HTTP/1.1\r\nHost: ca\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        let start = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a header") + 4;
        std::fs::write(self.directory.join("issuing.crl"), &answer[start..]).expect("written");
        let read = ["crl", "-inform", "DER", "-in", "issuing.crl", "-CAfile", "issuing.pem", "-text"];
        let text = self.openssl(&[&read[..], &["-out", "issuing.crl.pem"]].concat()).done();
        assert!(text.contains("verify OK"), "{text}");
        text + &std::fs::read_to_string(self.directory.join("issuing.crl.pem")).expect("written by openssl")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn hex(serial: &[u8]) -> String {
    serial.iter().map(|octet| format!("{octet:02X}")).collect()
}
