//! Enrolment without a network as stories: a device makes a request, the `openssl` command is the CA, and a file comes
//! back. Without the command, the stories that need it say so and pass.

mod kinds;
mod pkcs12;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devid::asn1::pem;
use devid::asn1::pkcs10::CertificationRequest;
use devid::asn1::x509::Certificate;
use devid::client::offline::verify_request;
use devid::client::{Destination, Import, RequestOptions, Subject, UnsignedRequest, keep_request, request_into};
use devid::client::{abandon, run::system_time};
use devid::cmp::Signer;
use devid::crypto::external::ExternalKey;
use devid::crypto::{CryptoError, KeyKind, PrivateKey, SignatureAlgorithm};
use devid::store::{KeyReference, ProblemKind, Store, StoreOptions};
use devid::validation::TrustAnchors;
use devid::{Code, Error};
use devid_test_support::{certificates, left_out, status};

use certificates::{Builder, Party, key, now, provider};
use left_out::left_out;

const CONFIG: &str = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=CA\n[ca]\nbasicConstraints=critical,CA:true\n\
                      keyUsage=critical,keyCertSign,cRLSign\n[other]\nsubjectAltName=DNS:elsewhere.example\n";
const NEW_EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ca.cnf";

/// A CA of the `openssl` command with a root and an issuing CA, in a directory removed at its end.
struct OpensslCa {
    directory: PathBuf,
}

impl OpensslCa {
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success()) {
            left_out("no openssl command");
            return None;
        }
        let name = format!("devid-offline-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let ca = OpensslCa { directory: std::env::temp_dir().join(name) };
        std::fs::create_dir(&ca.directory).unwrap();
        ca.write("ca.cnf", CONFIG.as_bytes());
        ca.openssl(&format!(
            "req -x509 {NEW_EC} -extensions ca -subj /CN=Root -days 30 -keyout root.key -out root.pem"
        ));
        ca.openssl(&format!("req -new {NEW_EC} -subj /CN=Issuing -keyout issuing.key -out issuing.csr"));
        ca.openssl(
            "x509 -req -in issuing.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -extfile ca.cnf \
             -extensions ca -out issuing.pem",
        );
        Some(ca)
    }

    /// Both output streams.
    fn openssl(&self, line: &str) -> String {
        let out = Command::new("openssl").args(line.split_whitespace()).current_dir(&self.directory).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "openssl {line}: {text}");
        text
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.join(name)).unwrap()
    }

    /// Issues `<name>.pem` for a request, with the extensions asked for or as `more` says.
    fn issue(&self, name: &str, request: &CertificationRequest, more: &str) -> Vec<u8> {
        self.write(&format!("{name}.csr"), request.to_pem().as_bytes());
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 10 -out {name}.pem {more}"
        ));
        self.read(&format!("{name}.pem"))
    }

    fn anchors(&self) -> TrustAnchors {
        let mut anchors = TrustAnchors::new();
        anchors.add_bytes(&self.read("root.pem")).unwrap();
        anchors
    }
}

impl Drop for OpensslCa {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const AS_ASKED: &str = "-copy_extensions copy";

fn memory() -> Store {
    Store::in_memory(provider().clone())
}

fn place<'a>(store: &'a Store, name: &'a str) -> Destination<'a> {
    Destination { store, name, purpose: "ldevid" }
}

fn subject() -> Subject {
    let subject = Subject::new().name("CN=router-7,O=Example").unwrap().dns("router-7.example").unwrap();
    subject.key_usage("digitalSignature").unwrap().extended_key_usage("clientAuth").unwrap()
}

fn request(store: &Store, name: &str, key: &Arc<dyn PrivateKey>) -> CertificationRequest {
    request_into(place(store, name), key, None, &subject(), &RequestOptions::default()).unwrap()
}

fn import<'a>(store: &'a Store, anchors: &'a TrustAnchors) -> Import<'a> {
    // Later than whatever another program's clock has put into a certificate in the meantime.
    Import::new(store, anchors, "ldevid", system_time().plus(3600))
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>, code: Code, words: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn requests_of_every_key_type_say_to_openssl_what_was_meant() {
    let Some(ca) = OpensslCa::new() else { return };
    let subject = subject().ip("192.0.2.7".parse().unwrap()).ip("2001:db8::7".parse().unwrap());
    let subject = subject.email("admin@example.org").unwrap().uri("urn:dev:7").unwrap();
    let subject = subject.hardware_module("1.3.6.1.4.1.32473.7", b"SN-0042").unwrap();
    let subject = subject.extension("1.3.6.1.4.1.32473.8", true, &[0x04, 0x02, 0xca, 0xfe]).unwrap();
    let options = RequestOptions { challenge_password: Some("let me in".to_owned().into()), ..Default::default() };
    for kind in [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
        let key = provider().generate_key(kind).unwrap();
        let request = UnsignedRequest::new(&subject, &Signer::Key(key.clone()), &options).unwrap().sign(&*key).unwrap();
        ca.write("request.pem", request.to_pem().as_bytes());
        ca.write("request.der", request.as_der());
        let text = ca.openssl("req -verify -noout -text -in request.pem");
        for words in [
            "verify OK",
            "CN = router-7",
            "O = Example",
            "DNS:router-7.example",
            "IP Address:192.0.2.7",
            "IP Address:2001:DB8:0:0:0:0:0:7",
            "email:admin@example.org",
            "URI:urn:dev:7",
            "othername",
            "Digital Signature",
            "TLS Web Client Authentication",
            "1.3.6.1.4.1.32473.8: critical",
            "let me in",
        ] {
            assert!(text.contains(words), "{kind}: \"{words}\" is not in {text}");
        }
        assert!(ca.openssl("req -verify -noout -inform DER -in request.der").contains("verify OK"));

        // The dark twin: a bit of the subject is turned.
        let mut broken = request.as_der().to_vec();
        let at = broken.windows(8).position(|w| w == b"router-7").unwrap();
        broken[at] ^= 1;
        let broken = CertificationRequest::from_der(&broken).unwrap();
        assert_eq!(verify_request(&**provider(), &request), Ok(()));
        refusal(verify_request(&**provider(), &broken), Code::SignatureInvalid, "");
    }
}

#[test]
fn a_certificate_finds_its_key_weeks_and_reboots_later() {
    let Some(ca) = OpensslCa::new() else { return };
    let home = ca.directory.join("memory");
    let open = || Store::open_directory(&home, provider().clone(), StoreOptions::default()).unwrap();
    let key = provider().generate_key(KeyKind::P256).unwrap();
    let sent = request(&open(), "router", &key);
    // What a person finds in device memory is what goes to the CA.
    assert_eq!(std::fs::read_to_string(home.join("pending/router/request.pem")).unwrap(), sent.to_pem());
    ca.issue("router", &sent, AS_ASKED);
    ca.openssl("crl2pkcs7 -nocrl -certfile root.pem -certfile issuing.pem -certfile router.pem -out router.p7b");

    let (store, anchors) = (open(), ca.anchors());
    let imported = import(&store, &anchors).check(&ca.read("router.p7b")).unwrap();
    assert_eq!((imported.name(), imported.differences().len(), imported.chain().len()), ("router", 0, 2));
    assert_eq!(imported.request(), Some(&sent));
    import(&store, &anchors).install(&imported).unwrap();

    let identity = open().current("router").unwrap();
    assert_eq!((identity.key.spki(), identity.purpose.as_str()), (key.spki(), "ldevid"));
    assert_eq!(identity.certificate, *imported.certificate());
    assert!(store.pending_keys().unwrap().is_empty());
    assert_eq!(store.pending_request("router").unwrap(), None);
    assert!(store.verify().unwrap().is_empty(), "{:?}", store.verify());
    // The stick is plugged in a second time.
    refusal(import(&store, &anchors).check(&ca.read("router.p7b")), Code::Exists, "identity \"router\"");
    assert_eq!(import(&store, &anchors).install(&imported).unwrap().generation, identity.generation);
}

#[test]
fn certificates_are_taken_in_every_usual_form_and_order() {
    let Some(ca) = OpensslCa::new() else { return };
    let store = memory();
    let sent = request(&store, "router", &key());
    let certificate = ca.issue("router", &sent, AS_ASKED);
    ca.openssl("x509 -in router.pem -outform DER -out router.der");
    ca.openssl("crl2pkcs7 -nocrl -certfile issuing.pem -certfile router.pem -out chain.p7b");
    ca.openssl("crl2pkcs7 -nocrl -certfile router.pem -certfile issuing.pem -outform DER -out chain.der");
    let issuing = ca.read("issuing.pem");
    let armoured = pem::encode("CERTIFICATE", &ca.read("chain.der")).as_bytes().to_vec();
    let with_key =
        [b"Bag Attributes\n".to_vec(), ca.read("issuing.key"), certificate.clone(), issuing.clone()].concat();
    for (form, file) in [
        ("certificate first", [&certificate[..], &issuing].concat()),
        ("certificate last", [&issuing[..], &certificate].concat()),
        ("with root and a double", [&ca.read("root.pem")[..], &issuing, &certificate, &issuing].concat()),
        ("p7b", ca.read("chain.p7b")),
        ("p7b, DER", ca.read("chain.der")),
        ("p7b armoured as a certificate", armoured),
        ("p7b beside a certificate", [&ca.read("chain.p7b")[..], &certificate].concat()),
        ("with text and a private key", with_key),
    ] {
        let imported = import(&store, &ca.anchors()).check(&file).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!((imported.name(), imported.chain().len()), ("router", 2), "{form}");
    }
    // Alone it needs its issuer from elsewhere.
    let (anchors, der) = (ca.anchors(), ca.read("router.der"));
    let helpers = Certificate::many_from_bytes(&issuing).unwrap();
    refusal(import(&store, &anchors).check(&der), Code::NoPath, "\"router\"");
    assert!(Import { intermediates: &helpers, ..import(&store, &anchors) }.check(&der).is_ok());

    // What holds no certificate at all.
    refusal(
        import(&store, &anchors).check(sent.to_pem().as_bytes()),
        Code::Pem,
        "\"CERTIFICATE REQUEST\": a certificate request",
    );
    assert!(import(&store, &anchors).check(&ca.read("issuing.key")).is_err());
    assert!(import(&store, &anchors).check(b"").is_err());
    for cut in [1, 20, der.len() / 2, der.len() - 1] {
        assert!(import(&store, &anchors).check(&der[..cut]).is_err());
    }
    assert!(store.current("router").is_err(), "a check installs nothing");
}

/// What a CA makes of a request when it grants everything.
fn issued(request: &CertificationRequest) -> Builder {
    let mut builder = Builder::leaf("");
    builder.subject = request.subject().to_vec();
    builder.spki = Some(request.spki().to_vec());
    for wanted in request.extensions() {
        builder = builder.with(wanted.oid, wanted.critical, wanted.value.clone());
    }
    builder
}

fn anchor(root: &Party) -> TrustAnchors {
    let mut anchors = TrustAnchors::new();
    anchors.add(root.certificate.clone());
    anchors
}

#[test]
fn what_must_not_be_installed_is_refused_with_the_reason() {
    let root = Party::root("Root");
    let (store, anchors) = (memory(), anchor(&root));
    let sent = request(&store, "router", &key());
    let take = Import::new(&store, &anchors, "ldevid", now());
    let der = |builder: Builder| builder.signed_by(&root).certificate.as_der().to_vec();

    refusal(take.check(&der(Builder::leaf("stranger"))), Code::NotFound, "no pending key is certified");
    let early = issued(&sent).valid(certificates::date(2020, 1, 1), certificates::date(2021, 1, 1));
    refusal(take.check(&der(early)), Code::Expired, "\"router\"");
    let late = issued(&sent).valid(certificates::date(2027, 1, 1), certificates::date(2028, 1, 1));
    refusal(take.check(&der(late)), Code::NotYetValid, "\"router\"");
    let foreign = issued(&sent).signed_by(&Party::root("Another root")).certificate;
    refusal(take.check(foreign.as_der()), Code::NoPath, "anchors");
    // The issuer's name alone is no signature.
    let forged = issued(&sent).sign(root.certificate.subject(), &key()).certificate;
    let refused = take.check(forged.as_der()).unwrap_err();
    assert_eq!(refused.code(), Code::BadSignature, "{refused}");
    assert!(refused.facts().hint.is_some_and(|hint| hint.contains("another key")), "{refused}");

    let certificate = der(issued(&sent));
    let second = der(issued(&sent));
    let both = format!("{}{}", *pem::encode("CERTIFICATE", &certificate), *pem::encode("CERTIFICATE", &second));
    refusal(take.check(both.as_bytes()), Code::InvalidArgument, "2 pairs");
    let elsewhere = Import { name: Some("switch"), ..take.clone() };
    refusal(elsewhere.check(&certificate), Code::NotFound, "\"switch\"");
    assert!(store.current("router").is_err() && store.pending_keys().unwrap() == ["router"]);
    assert!(take.run(&certificate).is_ok());
}

/// Certificates that cannot be read beside those that can, in any kind of file: the others count, and alone they are named.
#[test]
fn a_damaged_certificate_spoils_no_file() {
    use devid::client::certificates::{certificates_from_bytes, sent_certificates};
    let root = Party::root("Root");
    let good = root.leaf("good").certificate;
    let armour = |der: &[u8]| pem::encode("CERTIFICATE", der).to_string();
    let (whole, junk) = (armour(good.as_der()), armour(&[0x30, 3, 2, 1, 5]));
    let ended = whole.replace("-----END CERTIFICATE-----\n", "");
    for text in [
        format!("{whole}{junk}"),
        format!("{junk}{whole}"),
        format!("{junk}{whole}{junk}"),
        format!("{ended}{whole}"),
        format!("{whole}-----BEGIN CERTIFICATE-----\nM*I\n-----END CERTIFICATE-----\n"),
    ] {
        assert_eq!(certificates_from_bytes(text.as_bytes()).unwrap(), std::slice::from_ref(&good), "{text}");
        let anchors = Certificate::many_from_bytes(text.as_bytes()).unwrap();
        assert_eq!(anchors, std::slice::from_ref(&good), "{text}");
    }
    let alone = certificates_from_bytes(format!("-----BEGIN A-----\nQUJD\n-----END A-----\n{junk}").as_bytes());
    let words = alone.unwrap_err().to_string();
    assert!(words.contains("block 2"), "{words}");
    // Whose key a peer has proved to hold is told by the place: what it sent first must be readable.
    assert_eq!(sent_certificates(format!("{whole}{junk}").as_bytes()).unwrap(), [good]);
    assert!(sent_certificates(format!("{junk}{whole}").as_bytes()).unwrap_err().to_string().contains("block 1"));
    let other =
        certificates_from_bytes(b"-----BEGIN CERTIFICATE REQUEST-----\nQUJD\n-----END CERTIFICATE REQUEST-----\n");
    assert!(other.unwrap_err().to_string().contains("CERTIFICATE REQUEST"));
}

/// What is passed over is told where it may be what is missing.
#[test]
fn an_import_that_finds_nothing_tells_what_of_the_file_cannot_be_read() {
    let root = Party::root("Root");
    let (store, anchors) = (memory(), anchor(&root));
    let sent = request(&store, "router", &key());
    let take = Import::new(&store, &anchors, "ldevid", now());
    let armour = |der: &[u8]| pem::encode("CERTIFICATE", der).to_string();
    let (mine, above) =
        (armour(issued(&sent).signed_by(&root).certificate.as_der()), armour(root.certificate.as_der()));
    let quoted: String = mine.lines().flat_map(|line| ["> ", line, "\n"]).collect();
    let cut = mine.replace("-----END CERTIFICATE-----\n", "");
    for (text, why) in [
        (format!("{cut}{above}"), "block 1 (CERTIFICATE): no END line"),
        (format!("{above}{cut}"), "block 2 (CERTIFICATE): no END line"),
        (format!("words\n{quoted}{above}"), "as mails quote"),
        (mine.replacen("\nMII", "\nM*I", 1) + &above, "block 1 (CERTIFICATE): the content is not base64"),
    ] {
        refusal(take.check(text.as_bytes()), Code::NotFound, why);
    }
    // Alone it is the error itself.
    refusal(take.check(quoted.as_bytes()), Code::Pem, "as mails quote");
    let with_key = format!("{above}{}", *pem::encode("PRIVATE KEY", b"any"));
    refusal(take.check(with_key.as_bytes()), Code::NotFound, "PKCS#12 brings keys");
    // Beside the one that is looked for it is nobody's business.
    assert!(take.run(format!("{mine}{cut}").as_bytes()).is_ok());
}

#[test]
fn a_key_that_is_pending_twice_is_told_apart_by_name_only() {
    let root = Party::root("Root");
    let (store, anchors, key) = (memory(), anchor(&root), key());
    let sent = request(&store, "router", &key);
    request(&store, "router-spare", &key);
    let certificate = issued(&sent).signed_by(&root).certificate;
    let take = Import::new(&store, &anchors, "ldevid", now());
    refusal(take.check(certificate.as_der()), Code::InvalidArgument, "\"router-spare\"");
    let spare = Import { name: Some("router-spare"), ..take };
    assert_eq!(spare.run(certificate.as_der()).unwrap().name, "router-spare");
    assert_eq!(store.pending_keys().unwrap(), ["router"]);
}

#[test]
fn a_certificate_that_is_not_as_asked_is_installed_only_when_told() {
    let Some(ca) = OpensslCa::new() else { return };
    let (store, anchors) = (memory(), ca.anchors());
    let sent = request(&store, "router", &key());
    let certificate = ca.issue("router", &sent, "-extfile ca.cnf -extensions other");
    let file = [&certificate[..], &ca.read("issuing.pem")].concat();
    let take = import(&store, &anchors);

    refusal(take.run(&file), Code::WrongCertificate, "subjectAltName");
    assert!(store.current("router").is_err());
    let imported = take.check(&file).unwrap();
    let fields: Vec<_> = imported.differences().iter().map(|d| d.field.as_str()).collect();
    assert_eq!(fields, ["subjectAltName", "keyUsage", "extendedKeyUsage"]);
    take.install(&imported).unwrap();
    assert!(store.current("router").is_ok());
}

#[test]
fn a_crash_between_the_switch_and_the_clearing_up_is_no_second_installation() {
    let root = Party::root("Root");
    let (store, anchors, key) = (memory(), anchor(&root), key());
    let sent = request(&store, "router", &key);
    let certificate = issued(&sent).signed_by(&root).certificate;
    let take = Import::new(&store, &anchors, "ldevid", now());
    let first = take.run(certificate.as_der()).unwrap();
    // As the crash left it: in use, and pending.
    store.put_pending_key("router", &Signer::from(&key)).unwrap();
    let again = take.run(certificate.as_der()).unwrap();
    assert_eq!(again.generation, first.generation);
    assert!(store.pending_keys().unwrap().is_empty());
}

#[test]
fn keys_that_live_elsewhere_sign_here_and_now_or_later() {
    let root = Party::root("Root");
    let (store, anchors) = (memory(), anchor(&root));
    let chip = key();
    let signing = chip.clone();
    let external = ExternalKey::new(chip.spki(), move |algorithm, message| signing.sign(algorithm, message));
    let external: Arc<dyn PrivateKey> = Arc::new(external.unwrap());
    let (to, options) = (place(&store, "chip"), RequestOptions::default());
    // Device memory cannot hold such a key: it must be told how to find it.
    assert!(request_into(to, &external, None, &subject(), &options).is_err());
    let sent = request_into(to, &external, Some("pkcs11:object=router"), &subject(), &options).unwrap();
    let certificate = issued(&sent).signed_by(&root).certificate;
    let identity = Import::new(&store, &anchors, "ldevid", now()).run(certificate.as_der()).unwrap();
    assert!(identity.key.held().is_none());

    // Deferred: the bytes go out, the signature comes back.
    let remote = key();
    let signer = Signer::deferred(remote.spki().to_vec()).unwrap();
    let unsigned = UnsignedRequest::new(&subject(), &signer, &options).unwrap();
    let signature = remote.sign(&unsigned.algorithm(), unsigned.to_sign()).unwrap();
    let wrong = key().sign(&unsigned.algorithm(), unsigned.to_sign()).unwrap();
    refusal(unsigned.with_signature(&**provider(), &wrong), Code::Signer, "the request");
    refusal(unsigned.sign(&*key()), Code::KeyMismatch, "another key");
    let sent = unsigned.with_signature(&**provider(), &signature).unwrap();
    let reference = KeyReference::new("slot 3", remote.spki().to_vec()).unwrap();
    keep_request(place(&store, "remote"), &Signer::Deferred(reference), &sent).unwrap();
    assert_eq!(store.pending_request("remote").unwrap(), Some(sent));
}

#[test]
fn a_request_with_a_post_quantum_key_makes_the_round() {
    let root = Party::root("Root");
    let (store, anchors) = (memory(), anchor(&root));
    for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65] {
        let key = match provider().generate_key(kind) {
            Ok(key) => key,
            Err(CryptoError::Unsupported(_)) => {
                eprintln!("SKIPPED: the provider has no {kind}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let name = kind.to_string();
        let sent = request(&store, &name, &key);
        assert_eq!(verify_request(&**provider(), &sent), Ok(()));
        let certificate = issued(&sent).signed_by(&root).certificate;
        let identity = Import::new(&store, &anchors, "ldevid", now()).run(certificate.as_der()).unwrap();
        assert_eq!((identity.name.as_str(), identity.key.spki()), (name.as_str(), key.spki()));
    }
}

#[test]
fn a_request_that_cannot_be_made_is_refused_before_anything_is_kept() {
    let store = memory();
    let ask = |subject: Subject, options: RequestOptions| {
        request_into(place(&store, "router"), &key(), None, &subject, &options).map(drop)
    };
    let with_password = |text: String| RequestOptions { challenge_password: Some(text.into()), ..Default::default() };
    let none = RequestOptions::default;
    refusal(ask(Subject::new(), none()), Code::InvalidArgument, "without any name");
    refusal(ask(Subject::new().nameless(), none()), Code::InvalidArgument, "names nobody");
    refusal(ask(subject().issuer("CN=CA").unwrap(), none()), Code::InvalidArgument, "issuer");
    refusal(ask(subject().validity(None, Some(now())), none()), Code::InvalidArgument, "lifetime");
    refusal(ask(subject(), with_password(String::new())), Code::InvalidArgument, "challengePassword");
    refusal(ask(subject(), with_password("x".repeat(256))), Code::InvalidArgument, "challengePassword");
    let other = RequestOptions { algorithm: Some(SignatureAlgorithm::Ed25519), ..Default::default() };
    refusal(ask(subject(), other), Code::Algorithm, "P-256");
    assert!(store.pending_keys().unwrap().is_empty());
    assert_eq!(ask(subject(), with_password("ä".repeat(255))), Ok(()));
}

#[test]
fn a_pending_request_is_not_lost_by_accident() {
    let (store, first) = (memory(), key());
    let to = place(&store, "router");
    let sent = request(&store, "router", &first);
    // Another key under the same name would orphan the request that is out.
    refusal(
        request_into(to, &key(), None, &subject(), &RequestOptions::default()).map(drop),
        Code::Exists,
        "waiting already",
    );
    assert_eq!(store.pending_request("router").unwrap(), Some(sent.clone()));
    // A second request over the same key is one more chance for the same certificate.
    let renewed = request(&store, "router", &first);
    assert_eq!(store.pending_request("router").unwrap(), Some(renewed));
    // A request for another key is not kept with this one.
    let stranger = request(&memory(), "router", &key());
    assert!(store.put_pending_request("router", &stranger).is_err());
    assert!(store.put_pending_request("switch", &stranger).is_err());

    abandon(to).unwrap();
    assert_eq!(store.pending_request("router").unwrap(), None);
    store.save_operation("router", b"an online enrolment under way").unwrap();
    let late = request_into(to, &key(), None, &subject(), &RequestOptions::default()).map(drop);
    refusal(late, Code::State, "unfinished");
}

#[test]
fn a_damaged_request_costs_the_comparison_and_not_the_identity() {
    let home = std::env::temp_dir().join(format!("devid-offline-damage-{}", std::process::id()));
    let root = Party::root("Root");
    let (store, anchors) =
        (Store::open_directory(&home, provider().clone(), StoreOptions::default()).unwrap(), anchor(&root));
    let sent = request(&store, "router", &key());
    let certificate = issued(&sent).signed_by(&root).certificate;
    let take = Import::new(&store, &anchors, "ldevid", now());
    let file = home.join("pending/router/request.pem");
    std::fs::write(&file, "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n").unwrap();
    assert_eq!(store.verify().unwrap()[0].place, "pending/router/request.pem");
    refusal(take.run(certificate.as_der()), Code::WrongCertificate, "request.pem");
    take.install(&take.check(certificate.as_der()).unwrap()).unwrap();
    assert!(store.verify().unwrap().is_empty());

    // A request whose key is gone, as an interrupted removal leaves it, is cleared away.
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, sent.to_pem()).unwrap();
    let problems = store.repair().unwrap();
    assert!(problems.iter().any(|p| p.kind == ProblemKind::Leftover && p.is_mended), "{problems:?}");
    assert!(!file.exists() && store.verify().unwrap().is_empty());
    std::fs::remove_dir_all(&home).unwrap();
}

#[test]
fn an_imported_certificate_that_names_another_issuer_is_told_as_an_enrolled_one_is() {
    use devid::asn1::der::{element, sequence};
    use devid::asn1::oid;
    let root = Party::root("Root");
    for (is_odd, named) in
        [(true, [9; 20].to_vec()), (false, root.certificate.subject_key_identifier().unwrap().to_vec())]
    {
        let (store, anchors, key) = (memory(), anchor(&root), key());
        let sent = request(&store, "router", &key);
        let names = sequence(&[&element(0x80, &[&named])]);
        let builder = issued(&sent).without_key_identifiers().with(oid::CE_AUTHORITY_KEY_IDENTIFIER, false, names);
        let certificate = builder.signed_by(&root).certificate;
        let identity = Import::new(&store, &anchors, "ldevid", now()).run(certificate.as_der()).unwrap();
        let told = devid::client::warnings_of(&identity);
        assert_eq!(told.len(), usize::from(is_odd), "{told:?}");
        assert!(told.iter().all(|words| words.contains("names another key than its issuer's")), "{told:?}");
    }
}
