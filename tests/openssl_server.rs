//! Our client against a server that no one here wrote: the CMP mock server of the `openssl` command.
//!
//! The server answers with a certificate that was made beforehand, so the new key is made first and certified by
//! `openssl x509`. Time is pretended: waits take no time, the server does not look at the clock.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devid::asn1::cmp::InfoTypeAndValue;
use devid::asn1::crl::CrlReason;
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::client::{Client, Config, Decision, Event, Owner, Subject};
use devid::cmp::{Information, Issued, MacParameters, Question, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, default_provider};
use devid::{Code, Error, Time};

const SECRET: &str = "correct-horse";

#[test]
fn a_device_enrols_by_secret_and_confirms() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);

    let (issued, story) = enroll(&bench.client_with_secret(&server, SECRET), &bench, "CN=device");

    assert_eq!(issued.expect("issued").certificate, bench.certificate());
    assert_eq!(story.sent, ["ir", "certConf"]);
}

#[test]
fn a_device_enrols_with_its_supplier_certificate_whatever_the_key_type() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa(2048)] {
        let bench = Bench::new(kind, "/CN=device");
        let server = bench.serve(&[]);

        let (issued, story) = enroll(&bench.client_with_certificate(&server), &bench, "CN=device");

        let issued = issued.unwrap_or_else(|e| panic!("{kind}: {e}\n{}", server.log()));
        assert_eq!(issued.chain.last().unwrap(), &bench.anchor());
        assert_eq!(story.sent, ["ir", "certConf"], "{kind}");
    }
}

#[test]
fn implicit_confirmation_saves_the_second_exchange_where_the_server_grants_it() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-grant_implicitconf"]);
    let mut config = bench.config_with_secret(&server, SECRET);
    config.ask_implicit_confirm = true;

    let (issued, story) = enroll(&config.build().unwrap(), &bench, "CN=device");

    assert!(issued.expect("issued").implicitly_confirmed);
    assert_eq!(story.sent, ["ir"]);
}

#[test]
fn implicit_confirmation_that_is_asked_but_not_granted_is_followed_by_certconf() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let mut config = bench.config_with_secret(&server, SECRET);
    config.ask_implicit_confirm = true;

    let (issued, story) = enroll(&config.build().unwrap(), &bench, "CN=device");

    assert!(!issued.expect("issued").implicitly_confirmed);
    assert_eq!(story.sent, ["ir", "certConf"]);
}

#[test]
fn a_server_that_says_waiting_is_polled_until_it_issues() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-poll_count", "2", "-check_after", "30"]);

    let (issued, story) = enroll(&bench.client_with_certificate(&server), &bench, "CN=device");

    issued.unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    assert_eq!(story.sent, ["ir", "pollReq", "pollReq", "certConf"]);
    assert_eq!(story.waits, [30]);
}

#[test]
fn a_further_certificate_and_a_key_update_follow_the_first() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let client = bench.client_with_certificate(&server);
    let subject = Subject::new().name("CN=device").unwrap();

    let mut further = client.enroll_further(bench.signer(), &subject).unwrap();
    let mut story = Story::default();
    client.run(&mut further, &mut story).unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    assert_eq!(story.sent, ["cr", "certConf"]);

    // The server takes a key update for the certificate that it issues, and issues that one again.
    let mut config = bench.config(&server);
    config.protect_with_certificate(bench.signer(), bench.certificate(), Vec::new());
    let client = config.build().unwrap();
    let mut update = client.renew(bench.signer()).unwrap();
    let mut story = Story::default();
    client.run(&mut update, &mut story).unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    assert_eq!(story.sent, ["kur", "certConf"]);
}

#[test]
fn a_rejection_brings_the_servers_status_failure_bits_and_words() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-pkistatus", "2", "-failure", "9", "-statusstring", "key is on the list"]);

    let (issued, story) = enroll(&bench.client_with_secret(&server, SECRET), &bench, "CN=device");

    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::Rejected);
    assert_eq!(error.facts().pki_status, Some(2));
    assert_eq!(error.facts().fail_info, Some(1 << 9), "badPOP");
    assert_eq!(error.facts().server_texts, ["key is on the list"]);
    assert!(error.facts().server_authenticated);
    assert!(error.message().contains("badPOP"), "{error}");
    assert_eq!(story.sent, ["ir"], "no certConf after a rejection");
}

#[test]
fn an_error_message_ends_the_operation_with_its_words() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-send_error"]);

    let (issued, _) = enroll(&bench.client_with_secret(&server, SECRET), &bench, "CN=device");

    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::Rejected);
    assert_eq!(error.facts().fail_info, Some(1 << 2), "badRequest");
    assert_eq!(error.facts().server_texts[0], "error processing message");
    assert!(error.facts().server_authenticated);
}

#[test]
fn an_unprotected_error_is_passed_on_as_nobodys_word() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-send_error", "-send_unprot_err"]);

    let (issued, _) = enroll(&bench.client_with_secret(&server, SECRET), &bench, "CN=device");

    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::Unprotected);
    assert_eq!(error.facts().server_texts, ["error processing message"]);
    assert!(!error.facts().server_authenticated);

    let mut config = bench.config_with_secret(&server, SECRET);
    config.tolerance.unprotected_errors = true;
    let (issued, _) = enroll(&config.build().unwrap(), &bench, "CN=device");
    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "reported as the server's decision, and still a failure");
    assert!(!error.facts().server_authenticated);
}

#[test]
fn an_unprotected_certificate_response_is_never_taken() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&["-send_unprotected"]);
    let mut config = bench.config_with_secret(&server, SECRET);
    config.tolerance.unprotected_errors = true;
    config.tolerance.unmatched_errors = true;

    let (issued, story) = enroll(&config.build().unwrap(), &bench, "CN=device");

    assert_eq!(issued.unwrap_err().code(), Code::Unprotected);
    assert_eq!(story.sent, ["ir"]);
}

#[test]
fn a_wrong_secret_is_noticed_on_both_sides() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);

    let (issued, _) = enroll(&bench.client_with_secret(&server, "battery-staple"), &bench, "CN=device");

    assert_eq!(issued.unwrap_err().code(), Code::ProtectionInvalid);
}

#[test]
fn a_server_under_another_root_is_not_believed() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let stranger = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let mut config = bench.config_with_certificate(&server);
    config.cmp_anchors = [stranger.anchor()].into_iter().collect();

    let (issued, story) = enroll(&config.build().unwrap(), &bench, "CN=device");

    assert_eq!(issued.unwrap_err().code(), Code::ProtectionInvalid);
    assert_eq!(story.sent, ["ir"]);
}

#[test]
fn a_certificate_for_another_key_is_refused_and_the_ca_is_told() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let client = bench.client_with_secret(&server, SECRET);
    let other = default_provider().generate_key(KeyKind::P256).unwrap();

    let mut operation = client.enroll(Signer::Key(other), &Subject::new().name("CN=device").unwrap()).unwrap();
    let mut story = Story::accepting_differences();
    let error = client.run(&mut operation, &mut story).unwrap_err();

    assert_eq!(error.code(), Code::WrongCertificate);
    assert!(error.message().contains("another public key"), "{error}");
    assert_eq!(story.sent, ["ir", "certConf"]);
    assert!(server.log().contains("rejected by client"), "{}", server.log());
}

#[test]
fn a_certificate_with_another_subject_is_the_callers_decision() {
    let bench = Bench::new(KeyKind::P256, "/CN=device/O=Modified");
    let server = bench.serve(&["-pkistatus", "1"]);
    let client = bench.client_with_secret(&server, SECRET);

    let (issued, story) = enroll(&client, &bench, "CN=device");
    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::Refused);
    assert!(error.message().contains("subject was requested as CN=device"), "{error}");
    assert_eq!(story.sent, ["ir", "certConf"]);

    let mut operation = client.enroll(bench.signer(), &Subject::new().name("CN=device").unwrap()).unwrap();
    let mut story = Story::accepting_differences();
    let issued = client.run(&mut operation, &mut story).expect("the caller accepts the difference");
    assert_eq!(issued.status.status, devid::asn1::cmp::PkiStatus::GrantedWithMods);
    assert_eq!(issued.differences.len(), 1);
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let stranger = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let mut config = bench.config_with_secret(&server, SECRET);
    config.enrolment_anchors = [stranger.anchor()].into_iter().collect();

    let (issued, story) = enroll(&config.build().unwrap(), &bench, "CN=device");

    let error = issued.unwrap_err();
    assert_eq!(error.code(), Code::WrongCertificate);
    assert!(error.message().contains("enrolment anchor"), "{error}");
    assert_eq!(story.sent, ["ir", "certConf"], "the CA is told");
}

#[test]
fn ca_pubs_become_anchors_under_the_shared_secret_only_where_that_is_wanted() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let anchor = bench.path("ca.pem");
    let server = bench.serve(&["-rsp_capubs", anchor.to_str().unwrap()]);
    let mut config = bench.config_with_secret(&server, SECRET);
    config.enrolment_anchors = Default::default();
    config.accept_ca_pubs = true;

    let (issued, _) = enroll(&config.build().unwrap(), &bench, "CN=device");
    assert_eq!(issued.expect("issued").ca_pubs, [bench.anchor()]);

    let mut config = bench.config_with_certificate(&server);
    config.enrolment_anchors = Default::default();
    config.accept_ca_pubs = true;
    let asked = config.build().unwrap().enroll(bench.signer(), &Subject::new().name("CN=device").unwrap());
    assert_eq!(asked.map(|_| ()).unwrap_err().code(), Code::InvalidArgument, "a signed answer brings no anchors");
}

#[test]
fn a_dead_server_is_a_transport_error_and_the_operation_can_be_run_again() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let mut config = bench.config_with_secret(&bench.serve(&[]), SECRET);
    // The first server is gone: nothing listens at its port any more.
    let dead = config.build().unwrap();
    let mut operation = dead.enroll(bench.signer(), &Subject::new().name("CN=device").unwrap()).unwrap();
    let error = dead.run(&mut operation, &mut Story::default()).unwrap_err();
    assert_eq!(error.code(), Code::Connect);
    assert_eq!(error.facts().phase, Some(devid::asn1::cmp::BodyType::IR.into()));

    let server = bench.serve(&[]);
    config.server.url = Some(server.url());
    config.build().unwrap().run(&mut operation, &mut Story::default()).expect("issued by the server that came back");
}

#[test]
fn a_certificate_is_revoked_with_its_own_key_and_another_is_not() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let mut config = bench.config(&server);
    config.protect_with_certificate(bench.signer(), bench.certificate(), Vec::new());
    let client = config.build().unwrap();

    let mut operation = client.revoke(&bench.certificate(), CrlReason::KeyCompromise).unwrap();
    let mut story = Story::default();
    client.complete(&mut operation, &mut story).unwrap_or_else(|e| panic!("{e}\n{}", server.log()));
    assert!(operation.revoked().is_some());
    assert_eq!(story.sent, ["rr"]);

    let mut operation = client.revoke(&bench.anchor(), CrlReason::Unspecified).unwrap();
    let error = client.complete(&mut operation, &mut Story::default()).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "the server knows one certificate");
}

#[test]
fn a_question_comes_back_from_a_server_that_repeats_it() {
    let bench = Bench::new(KeyKind::P256, "/CN=device");
    let server = bench.serve(&[]);
    let client = bench.client_with_secret(&server, SECRET);
    let info_type = devid::asn1::oid::Oid::new_unwrap("1.3.6.1.4.1.99999.1");
    let question = InfoTypeAndValue { info_type, value: vec![0x0c, 0x02, b'h', b'i'] };

    let mut operation = client.ask(Question::Other(question.clone())).unwrap();
    let mut story = Story::default();
    client.complete(&mut operation, &mut story).unwrap_or_else(|e| panic!("{e}\n{}", server.log()));

    let Some(Information::Other(items)) = operation.information() else { panic!("not answered") };
    assert_eq!(items, &[question]);
    assert_eq!(story.sent, ["genm"]);
}

/// Asks for a certificate over the prepared key.
fn enroll(client: &Client, bench: &Bench, name: &str) -> (Result<Issued, Error>, Story) {
    let mut operation = client.enroll(bench.signer(), &Subject::new().name(name).unwrap()).unwrap();
    let mut story = Story::default();
    let issued = client.run(&mut operation, &mut story);
    (issued, story)
}

/// An owner that pretends to wait and writes down what happens.
#[derive(Default)]
struct Story {
    sent: Vec<&'static str>,
    waits: Vec<u32>,
    pretended_seconds: i64,
    takes_differences: bool,
}

impl Story {
    fn accepting_differences() -> Self {
        Story { takes_differences: true, ..Story::default() }
    }
}

impl Owner for Story {
    fn now(&mut self) -> Time {
        system_time().plus(self.pretended_seconds)
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        self.waits.push(seconds);
        self.pretended_seconds += i64::from(seconds);
        Ok(())
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        match issued.differences.first() {
            Some(difference) if !self.takes_differences => Ok(Decision::Reject(format!(
                "{} was requested as {} and issued as {}",
                difference.field, difference.requested, difference.issued
            ))),
            _ => Ok(Decision::Accept),
        }
    }

    fn observe(&mut self, event: Event<'_>) {
        if let Event::Sending { body, .. } = event {
            self.sent.push(body.name());
        }
    }
}

/// A root, a certificate for the new key, credentials of server and device: all by the `openssl` command.
struct Bench {
    folder: PathBuf,
    new_key: Arc<dyn PrivateKey>,
}

impl Bench {
    fn new(credential: KeyKind, subject: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("devid-openssl-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let new_key = default_provider().generate_key(KeyKind::P256).unwrap();
        let bench = Bench { folder, new_key };
        bench.write_key("ca", KeyKind::P256, None);
        // A server of this version cannot sign with Ed25519.
        bench.write_key("server", if credential == KeyKind::Ed25519 { KeyKind::P256 } else { credential }, None);
        bench.write_key("idevid", credential, None);
        bench.write_key("new", KeyKind::P256, Some(&bench.new_key));
        bench.openssl(&[
            "req",
            "-x509",
            "-key",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            &format!("/CN=Root {number}"),
            "-days",
            "3650",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
        bench.certify("server", "/CN=CMP server");
        bench.certify("idevid", "/CN=device/O=Supplier");
        bench.certify("new", subject);
        bench
    }

    fn write_key(&self, name: &str, kind: KeyKind, key: Option<&Arc<dyn PrivateKey>>) {
        let key = key.cloned().unwrap_or_else(|| default_provider().generate_key(kind).unwrap());
        let text = pem::encode("PRIVATE KEY", &key.to_pkcs8().unwrap());
        std::fs::write(self.path(&format!("{name}.key")), text.as_bytes()).unwrap();
    }

    fn certify(&self, name: &str, subject: &str) {
        let [key, csr, out, extensions] = ["key", "csr", "pem", "ext"].map(|e| format!("{name}.{e}"));
        let mut text =
            "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n".to_owned();
        if name == "server" {
            // cmcRA (RFC 9810 section 4.5): it may answer for the CA, under whose root devices stand too.
            text.push_str("extendedKeyUsage=1.3.6.1.5.5.7.3.28\n");
        }
        std::fs::write(self.path(&extensions), text).unwrap();
        self.openssl(&["req", "-new", "-key", &key, "-subj", subject, "-out", &csr]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &csr,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "365",
            "-out",
            &out,
            "-extfile",
            &extensions,
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.folder).output().expect("openssl");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read_certificate(&self, name: &str) -> Certificate {
        Certificate::many_from_bytes(&std::fs::read(self.path(name)).unwrap()).unwrap().remove(0)
    }

    fn anchor(&self) -> Certificate {
        self.read_certificate("ca.pem")
    }

    /// What the server will issue.
    fn certificate(&self) -> Certificate {
        self.read_certificate("new.pem")
    }

    fn signer(&self) -> Signer {
        Signer::Key(Arc::clone(&self.new_key))
    }

    fn serve(&self, options: &[&str]) -> Server {
        Server::start(&self.folder, options)
    }

    fn config_with_secret(&self, server: &Server, secret: &str) -> Config {
        let mut config = self.config(server);
        // What Debian's openssl takes: SHA-256 and HMAC-SHA1.
        let (owf, mac) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha1);
        let parameters = MacParameters::PasswordBased { owf, mac, iterations: 500 };
        config.protect_with_secret(b"4711", secret.as_bytes(), parameters).unwrap();
        config
    }

    fn config_with_certificate(&self, server: &Server) -> Config {
        let mut config = self.config(server);
        let pem = std::fs::read(self.path("idevid.key")).unwrap();
        let key = devid::crypto::keys::load_private_key(&*default_provider(), &pem, None).unwrap();
        config.protect_with_certificate(Signer::Key(key), self.read_certificate("idevid.pem"), Vec::new());
        config
    }

    fn config(&self, server: &Server) -> Config {
        let mut config = Config::new();
        config.server.url = Some(server.url());
        config.cmp_anchors.add(self.anchor());
        config.enrolment_anchors.add(self.anchor());
        config
    }

    fn client_with_secret(&self, server: &Server, secret: &str) -> Client {
        self.config_with_secret(server, secret).build().unwrap()
    }

    fn client_with_certificate(&self, server: &Server) -> Client {
        self.config_with_certificate(server).build().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `openssl cmp -port 0`: the system chooses the port, the server prints it.
struct Server {
    process: Child,
    port: u16,
    log_file: PathBuf,
}

impl Server {
    fn start(folder: &Path, options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log_file = folder.join(format!("server-{}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut process = Command::new("openssl")
            .args(["cmp", "-port", "0", "-srv_ref", "4711", "-srv_secret", &format!("pass:{SECRET}")])
            .args(["-srv_trusted", "ca.pem", "-srv_cert", "server.pem", "-srv_key", "server.key"])
            .args(["-rsp_cert", "new.pem", "-rsp_extracerts", "ca.pem"])
            .args(options)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log_file).unwrap())
            .spawn()
            .expect("openssl");
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            let read = stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "no server: {}", std::fs::read_to_string(&log_file).unwrap());
            if let Some((_, rest)) = line.rsplit_once(':') {
                if line.starts_with("ACCEPT") {
                    break rest.split_whitespace().next().unwrap().parse().unwrap();
                }
            }
        };
        // The rest of its words must not fill the pipe.
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        Server { process, port, log_file }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/pkix/", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
