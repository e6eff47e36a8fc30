//! What a CA sends encrypted: keys that it makes, certificates and challenges that prove possession of keys that cannot sign.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::{Client, Config, Destination, Owner, Subject};
use devid::cmp::{Action, ActionKind, CertificateRequest, Issued, Operation, Possession, RequestKind, Signer};
use devid::crypto::keys::{key_matches_certificate, load_private_key, same_public_key};
use devid::crypto::{KeyKind, PrivateKey};
use devid::store::Store;
use devid::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use devid::{Code, Error, Time};
use devid_testca::{KeyType, Options, TestCa};

use crate::certificates::provider;

/// A CA, and a device with one of the credentials that something can be encrypted to.
pub struct Bench {
    pub ca: TestCa,
    pub config: Config,
    pub now: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Rsa,
    Ec,
    Secret,
}

impl Bench {
    pub fn new(by: By) -> Self {
        let options = Options::default();
        let now = options.now;
        let ca = TestCa::new(options);
        let mut config = Config::new();
        let root = Certificate::from_der(&ca.root.certificate).unwrap();
        config.cmp_anchors.add(root.clone());
        config.enrolment_anchors.add(root);
        match by {
            By::Secret => {
                let secret = b"correct-horse-battery-staple";
                config.protect_with_secret(b"4711", secret, crate::mock_ca::LIGHT_MAC).unwrap();
            }
            By::Rsa | By::Ec => {
                let kind = if by == By::Rsa { KeyType::Rsa2048 } else { KeyType::P256 };
                let idevid = ca.idevid("device 1", kind, now);
                let key = load_private_key(&**provider(), &idevid.key.pkcs8, None).unwrap();
                let certificate = Certificate::from_der(&idevid.certificate).unwrap();
                config.protect_with_certificate(Signer::Key(key), certificate, Vec::new());
            }
        }
        Bench { ca, config, now: Time::from_unix(now) }
    }

    pub fn knob(mut self, name: &str, value: &str) -> Self {
        self.ca.knobs.set(name, value).unwrap();
        self
    }

    pub fn client(&self) -> Client {
        self.config.build().unwrap()
    }

    /// ir over a key that the CA makes.
    fn central(&mut self) -> Result<Issued, Error> {
        let operation = self.client().enroll_central(RequestKind::Initial, None, &subject())?;
        self.complete(operation)
    }

    /// ir over a key of ours.
    fn over(&mut self, key: &Arc<dyn PrivateKey>) -> Result<Issued, Error> {
        let operation = self.client().enroll(Signer::Key(Arc::clone(key)), &subject())?;
        self.complete(operation)
    }

    fn by_challenge(&mut self, key: &Arc<dyn PrivateKey>) -> Result<Issued, Error> {
        let template = subject().to_template()?;
        let mut request = CertificateRequest::new(RequestKind::Initial, Signer::Key(Arc::clone(key)), template);
        request.possession = Possession::Challenge;
        let operation = self.client().operation(request)?;
        self.complete(operation)
    }

    /// Steps an operation to its end; waits take no time.
    pub fn complete(&mut self, mut operation: Operation) -> Result<Issued, Error> {
        loop {
            match operation.step(self.now)? {
                Action::Send { message, .. } => {
                    let answer = self.ca.answer(message, self.now.unix());
                    operation.feed(&answer)?;
                }
                Action::Wait { seconds, .. } => self.now = self.now.plus(i64::from(seconds)),
                Action::Accept(_) => operation.accept()?,
                Action::Done(_) => return Ok(operation.issued().unwrap().clone()),
                other => panic!("{other:?}"),
            }
        }
    }
}

pub fn subject() -> Subject {
    Subject::new().name("CN=router-7").unwrap().dns("router-7.example").unwrap()
}

fn key_of(kind: KeyKind) -> Arc<dyn PrivateKey> {
    provider().generate_key(kind).unwrap()
}

const DECRYPTS: [KeyKind; 7] = [
    KeyKind::Rsa(2048),
    KeyKind::P256,
    KeyKind::P521,
    KeyKind::X25519,
    KeyKind::MlKem512,
    KeyKind::MlKem768,
    KeyKind::MlKem1024,
];

#[test]
fn a_key_that_the_ca_makes_comes_to_every_credential_that_can_receive_it() {
    for by in [By::Rsa, By::Ec, By::Secret] {
        let mut bench = Bench::new(by);
        let issued = bench.central().unwrap_or_else(|e| panic!("{by:?}: {e} {:?}", bench.ca.complaints()));
        let key = issued.private_key.as_ref().expect("a key");
        assert!(key_matches_certificate(&**key, &issued.certificate), "{by:?}");
        assert!(issued.differences.is_empty());
        let signature = key.sign(&key.kind().default_signature(), b"message").unwrap();
        let verdict = provider().verify(&key.kind().default_signature(), key.spki(), b"message", &signature, false);
        assert_eq!(verdict, Ok(()));
        assert_eq!(bench.ca.bodies(), ["ir", "certConf"]);
        assert_eq!(bench.ca.complaints(), [""; 0]);
    }
}

#[test]
fn a_generated_key_is_of_the_type_preferred_or_the_difference_is_told() {
    for kind in [KeyKind::P384, KeyKind::Rsa(2048), KeyKind::Ed25519] {
        let mut bench = Bench::new(By::Ec);
        let operation = bench.client().enroll_central(RequestKind::Further, Some(kind), &subject()).unwrap();
        let issued = bench.complete(operation).unwrap_or_else(|e| panic!("{e} {:?}", bench.ca.complaints()));
        assert_eq!(issued.private_key.unwrap().kind(), kind);
        assert!(issued.differences.is_empty());
    }
    // A CA that makes what it likes: the knob wrong-key issues over yet another key, so the type asked for is not it.
    let mut bench = Bench::new(By::Ec).knob("wrong-key", "1");
    let operation = bench.client().enroll_central(RequestKind::Initial, Some(KeyKind::P384), &subject()).unwrap();
    let error = bench.complete(operation).unwrap_err();
    assert_eq!(error.code(), Code::KeyMismatch, "{error}");
    assert_eq!(bench.ca.rejected.len(), 1, "the CA was told");
}

#[test]
fn a_key_update_may_leave_the_making_of_the_key_to_the_ca() {
    let mut bench = Bench::new(By::Ec);
    let first = bench.central().unwrap();
    let key = first.private_key.unwrap();
    bench.config.protect_with_certificate(Signer::Key(key.clone()), first.certificate.clone(), Vec::new());

    let operation = bench.client().enroll_central(RequestKind::KeyUpdate, None, &Subject::new()).unwrap();
    let second = bench.complete(operation).unwrap_or_else(|e| panic!("{e} {:?}", bench.ca.complaints()));

    assert_eq!(second.certificate.subject(), first.certificate.subject());
    assert!(!same_public_key(second.private_key.unwrap().spki(), key.spki()));
}

#[test]
fn credentials_that_nothing_can_be_encrypted_to_are_refused_before_anything_is_sent() {
    let mut bench = Bench::new(By::Ec);
    let idevid = bench.ca.idevid("device 2", KeyType::Ed25519, bench.now.unix());
    let key = load_private_key(&**provider(), &idevid.key.pkcs8, None).unwrap();
    let certificate = Certificate::from_der(&idevid.certificate).unwrap();
    bench.config.protect_with_certificate(Signer::Key(key.clone()), certificate.clone(), Vec::new());
    assert_eq!(bench.central().unwrap_err().code(), Code::Algorithm);
    let deferred = Signer::deferred(key.spki().to_vec()).unwrap();
    bench.config.protect_with_certificate(deferred, certificate, Vec::new());
    assert_eq!(bench.central().unwrap_err().code(), Code::Unsupported);
    let elsewhere = Signer::deferred(key_of(KeyKind::Rsa(2048)).spki().to_vec()).unwrap();
    let mut request = CertificateRequest::new(RequestKind::Initial, elsewhere, subject().to_template().unwrap());
    request.possession = Possession::EncryptedCertificate;
    assert_eq!(bench.client().operation(request).err().unwrap().code(), Code::Unsupported);
    assert!(bench.ca.received.is_empty());
}

/// Each deviation in how a generated key comes, for each credential: what is refused, and that the CA hears of it.
#[test]
fn a_generated_key_that_is_not_signed_by_a_key_authority_is_refused() {
    for (knob, value, code, words) in [
        ("key-signer", "stranger", Code::SignatureInvalid, "is not trusted"),
        ("key-signer", "no-purpose", Code::SignatureInvalid, "neither the purpose cmKGA"),
        ("key-signer", "issuing", Code::SignatureInvalid, "without digitalSignature"),
        ("unsigned-key", "broken", Code::SignatureInvalid, "does not match"),
        ("unsigned-key", "unsigned", Code::SignatureInvalid, "not signed by anyone"),
        ("unsigned-key", "bare", Code::Protocol, "not wrapped in SignedData"),
    ] {
        for by in [By::Rsa, By::Ec] {
            let mut bench = Bench::new(by).knob(knob, value);
            let error = bench.central().unwrap_err();
            assert_eq!(error.code(), code, "{knob} {value}: {error}");
            assert!(error.message().contains(words), "{knob} {value}: {error}");
            assert_eq!(bench.ca.bodies(), ["ir", "certConf"]);
            assert_eq!((bench.ca.rejected.len(), bench.ca.confirmed.len()), (1, 0));
        }
    }
}

/// RFC 9810 section 4.5: the CA that issued the certificate needs no purpose; its keyUsage is another matter.
#[test]
fn the_issuing_ca_may_have_made_the_key_itself() {
    let mut bench = Bench::new(By::Ec).knob("key-signer", "issuing");
    bench.config.tolerance.set("signer_key_usage", true).unwrap();
    assert!(bench.central().is_ok());
    let mut bench = Bench::new(By::Ec).knob("key-signer", "no-purpose");
    bench.config.tolerance.set("signer_key_usage", true).unwrap();
    assert!(bench.central().is_err(), "nobody else may for that");
}

/// RFC 9483 section 4.1.6: under the shared secret the authority need not be known, but what it signed must be whole.
#[test]
fn under_a_secret_the_key_authority_need_not_be_known_but_must_have_signed() {
    for signer in ["authority", "stranger", "no-purpose"] {
        Bench::new(By::Secret).knob("key-signer", signer).central().unwrap();
    }
    for (value, code) in
        [("broken", Code::SignatureInvalid), ("unsigned", Code::SignatureInvalid), ("bare", Code::Protocol)]
    {
        let error = Bench::new(By::Secret).knob("unsigned-key", value).central().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_generated_key_of_another_certificate_or_missing_or_unasked_is_refused() {
    for by in [By::Rsa, By::Ec, By::Secret] {
        let error = Bench::new(by).knob("other-generated-key", "1").central().unwrap_err();
        assert_eq!(error.code(), Code::KeyMismatch, "{error}");
        let error = Bench::new(by).knob("no-generated-key", "1").central().unwrap_err();
        assert_eq!(error.code(), Code::Protocol, "{error}");
        let mut bench = Bench::new(by).knob("unasked-key", "1");
        let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
        assert_eq!(error.code(), Code::Protocol, "{error}");
        assert_eq!(bench.ca.rejected.len(), 1);
    }
}

/// Changed ciphertext gives one error and one message to the CA, whatever it decrypts to: no oracle.
#[test]
fn what_cannot_be_opened_is_one_error_and_says_no_more_to_the_ca() {
    for by in [By::Rsa, By::Ec, By::Secret] {
        let mut told = Vec::new();
        for _ in 0..3 {
            let mut bench = Bench::new(by).knob("broken-envelope", "1");
            let error = bench.central().unwrap_err();
            assert_eq!(
                (error.code(), error.message()),
                (Code::Decrypt, "the generated key: decryption failed"),
                "{by:?}"
            );
            told.push(bench.ca.received.last().unwrap().der.len());
        }
        told.dedup();
        let error = Bench::new(by).knob("other-recipient", "1").central().unwrap_err();
        assert_eq!(error.code(), Code::Decrypt, "{by:?}: {error}");
    }
}

#[test]
fn rsa_pkcs1_as_key_transport_is_a_switch() {
    let mut bench = Bench::new(By::Rsa).knob("pkcs1-transport", "1");
    let error = bench.central().unwrap_err();
    assert!(error.message().contains("PKCS#1 v1.5"), "{error}");
    let mut bench = Bench::new(By::Rsa).knob("pkcs1-transport", "1");
    bench.config.tolerance.set("pkcs1_key_transport", true).unwrap();
    bench.central().unwrap();
    let mut bench = Bench::new(By::Rsa).knob("pkcs1-transport", "1").knob("broken-envelope", "1");
    bench.config.tolerance.set("pkcs1_key_transport", true).unwrap();
    assert_eq!(bench.central().unwrap_err().code(), Code::Decrypt);
}

/// What OpenSSL 4.0's server sends: signed and encrypted, but labelled id-data, and no key package.
#[test]
fn a_generated_key_as_openssl_writes_it_is_a_switch_and_must_be_signed_all_the_same() {
    for by in [By::Ec, By::Secret] {
        let error = Bench::new(by).knob("bare-generated-key", "1").central().unwrap_err();
        assert_eq!(error.code(), Code::Protocol, "{error}");
        let with = |knob: &str, value: &str| {
            let mut bench = Bench::new(by).knob("bare-generated-key", "1").knob(knob, value);
            bench.config.tolerance.set("bare_generated_key", true).unwrap();
            bench.central()
        };
        with("waiting", "0").unwrap();
        assert_eq!(with("unsigned-key", "broken").unwrap_err().code(), Code::SignatureInvalid);
        assert_eq!(with("unsigned-key", "unsigned").unwrap_err().code(), Code::SignatureInvalid);
        assert_eq!(with("other-generated-key", "1").unwrap_err().code(), Code::KeyMismatch);
    }
}

#[test]
fn the_form_before_enveloped_data_is_a_switch() {
    for possession in [Possession::None, Possession::EncryptedCertificate, Possession::Challenge] {
        for tolerated in [false, true] {
            let mut bench = Bench::new(By::Rsa).knob("encrypted-value", "1").knob("only-version", "2");
            bench.config.tolerance.set("encrypted_value", tolerated).unwrap();
            let key = key_of(KeyKind::Rsa(2048));
            let outcome = match possession {
                Possession::Challenge => bench.by_challenge(&key),
                Possession::EncryptedCertificate => {
                    let template = subject().to_template().unwrap();
                    let mut request =
                        CertificateRequest::new(RequestKind::Initial, Signer::Key(Arc::clone(&key)), template);
                    request.possession = possession;
                    let operation = bench.client().operation(request).unwrap();
                    bench.complete(operation)
                }
                _ => bench.central(),
            };
            // A server of version 2 refuses version 3 first, and is asked again.
            assert_eq!(bench.ca.bodies()[..2], ["ir", "ir"], "{possession:?}");
            match outcome {
                Ok(_) => assert!(tolerated, "{possession:?}"),
                Err(error) => {
                    assert!(!tolerated, "{possession:?}: {error} {:?}", bench.ca.complaints());
                    assert!(error.message().contains("switch encrypted_value"), "{error}");
                }
            }
        }
    }
    let mut bench = Bench::new(By::Rsa).knob("encrypted-value", "1").knob("broken-envelope", "1");
    bench.config.tolerance.set("encrypted_value", true).unwrap();
    assert_eq!(bench.central().unwrap_err().code(), Code::Decrypt);
}

#[test]
fn keys_that_cannot_sign_are_certified_by_a_certificate_sent_encrypted() {
    for kind in [KeyKind::X25519, KeyKind::MlKem512, KeyKind::MlKem768, KeyKind::MlKem1024] {
        let mut bench = Bench::new(By::Ec);
        bench.config.ask_implicit_confirm = true;
        let key = key_of(kind);
        let issued = bench.over(&key).unwrap_or_else(|e| panic!("{kind}: {e} {:?}", bench.ca.complaints()));
        assert!(key_matches_certificate(&*key, &issued.certificate));
        assert!(!issued.implicitly_confirmed, "certConf is the proof");
        assert_eq!(bench.ca.bodies(), ["ir", "certConf"]);
        assert_eq!(bench.ca.confirmed, [issued.certificate.as_der().to_vec()]);
        assert_eq!(bench.ca.complaints(), [""; 0]);
    }
}

#[test]
fn every_key_that_decrypts_can_prove_itself_in_both_ways() {
    for kind in DECRYPTS {
        let key = key_of(kind);
        let mut bench = Bench::new(By::Ec);
        let template = subject().to_template().unwrap();
        let mut request = CertificateRequest::new(RequestKind::Further, Signer::Key(Arc::clone(&key)), template);
        request.possession = Possession::EncryptedCertificate;
        let operation = bench.client().operation(request).unwrap();
        bench.complete(operation).unwrap_or_else(|e| panic!("{kind}: {e} {:?}", bench.ca.complaints()));
        let mut bench = Bench::new(By::Secret).knob("waiting", "1");
        bench.by_challenge(&key).unwrap_or_else(|e| panic!("{kind}: {e} {:?}", bench.ca.complaints()));
        assert_eq!(bench.ca.bodies(), ["ir", "popdecr", "pollReq", "pollReq", "certConf"], "{kind}");
        assert_eq!(bench.ca.complaints(), [""; 0]);
    }
}

#[test]
fn a_certificate_for_another_key_cannot_be_opened_and_is_not_confirmed() {
    for (knob, kind) in [("other-recipient", KeyKind::Rsa(2048)), ("broken-envelope", KeyKind::MlKem768)] {
        let mut bench = Bench::new(By::Ec).knob(knob, "1");
        let template = subject().to_template().unwrap();
        let mut request = CertificateRequest::new(RequestKind::Initial, Signer::Key(key_of(kind)), template);
        request.possession = Possession::EncryptedCertificate;
        let operation = bench.client().operation(request).unwrap();
        let error = bench.complete(operation).unwrap_err();
        assert_eq!(error.code(), Code::Decrypt, "{knob}: {error}");
        assert_eq!(bench.ca.bodies(), ["ir"], "nothing can be said about what was not read");
    }
    // A CA that does not insist on the proof is no worse than one that asked for none.
    let mut bench = Bench::new(By::Ec).knob("clear-certificate", "1");
    bench.over(&key_of(KeyKind::X25519)).unwrap();
    // Nor is a grant that nobody asked for the end of it: certConf goes out, and certConfirmed says that it is known.
    let mut bench = Bench::new(By::Ec).knob("implicit-confirm", "always");
    bench.over(&key_of(KeyKind::X25519)).unwrap();
    assert_eq!(bench.ca.bodies(), ["ir", "certConf"]);
}

/// The challenge must come from whom it says, and hide what its witness says: else the device would decrypt for anyone.
#[test]
fn a_challenge_that_names_another_sender_or_has_another_witness_is_not_answered() {
    for (knob, words) in [("other-challenge-sender", "another sender"), ("wrong-witness", "witness")] {
        for kind in [KeyKind::Rsa(2048), KeyKind::X25519, KeyKind::MlKem768] {
            let mut bench = Bench::new(By::Ec).knob(knob, "1");
            let error = bench.by_challenge(&key_of(kind)).unwrap_err();
            assert_eq!(error.code(), Code::Protocol, "{error}");
            assert!(error.message().contains(words), "{error}");
            assert_eq!(bench.ca.bodies(), ["ir"]);
        }
    }
    let mut bench = Bench::new(By::Ec).knob("broken-envelope", "1");
    let error = bench.by_challenge(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.code(), Code::Decrypt, "{error}");
}

/// C13: where the CA does not serve one way, the other can be tried.
#[test]
fn bad_pop_on_the_one_way_is_told_so_that_the_other_can_be_tried() {
    let mut bench = Bench::new(By::Ec).knob("no-possession", "encrCert");
    let key = key_of(KeyKind::X25519);
    let error = bench.over(&key).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1 << 9), "badPOP");
    bench.by_challenge(&key).unwrap();
}

#[test]
fn a_server_of_another_version_is_asked_again_once_and_no_more() {
    // Version 3 only: a plain request of version 2 is made again.
    let mut bench = Bench::new(By::Ec).knob("only-version", "3").knob("strict", "0");
    bench.over(&key_of(KeyKind::P256)).unwrap_or_else(|e| panic!("{e} {:?}", bench.ca.complaints()));
    assert_eq!(bench.ca.bodies(), ["ir", "ir", "certConf"]);
    // A version that is not spoken here (RFC 9810 section 7.1.1: abort).
    let mut bench = Bench::new(By::Ec).knob("only-version", "1");
    let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "{error}");
    assert_eq!(bench.ca.bodies(), ["ir"]);
    // One that refuses every version and names our own.
    let mut bench = Bench::new(By::Ec).knob("error", "1").knob("fail-info", "4194304");
    let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "{error}");
    assert_eq!(bench.ca.bodies(), ["ir"]);
    // One that wants 3, and then does not.
    let mut bench = Bench::new(By::Ec).knob("error", "1").knob("fail-info", "4194304").knob("at", "any");
    bench.ca.knobs.set("pvno", "3").unwrap();
    let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.code(), Code::Rejected, "{error}");
    assert_eq!(bench.ca.bodies(), ["ir", "ir"]);
}

/// Nobody but the server chooses the version: an unprotected error does not.
#[test]
fn an_unprotected_word_about_versions_changes_nothing() {
    let mut bench = Bench::new(By::Ec).knob("only-version", "3").knob("no-protection", "1").knob("at", "any");
    bench.config.tolerance.set("unprotected_errors", true).unwrap();
    assert!(bench.over(&key_of(KeyKind::P256)).is_err());
    assert_eq!(bench.ca.bodies(), ["ir"]);
}

#[test]
fn the_state_of_every_such_operation_survives_reboots() {
    for (possession, by) in [
        (Possession::None, By::Ec),
        (Possession::None, By::Secret),
        (Possession::EncryptedCertificate, By::Ec),
        (Possession::Challenge, By::Secret),
    ] {
        let mut bench = Bench::new(by).knob("waiting", "1").knob("confirm-waiting", "1");
        let client = bench.client();
        let key = key_of(KeyKind::MlKem768);
        let template = subject().to_template().unwrap();
        let mut request = match possession {
            Possession::None => CertificateRequest::central(RequestKind::Initial, Some(KeyKind::P384), template),
            _ => CertificateRequest::new(RequestKind::Initial, Signer::Key(Arc::clone(&key)), template),
        };
        request.possession = possession;
        let mut operation = client.operation(request).unwrap();
        let mut generated: Option<Arc<dyn PrivateKey>> = None;
        loop {
            let action = operation
                .step(bench.now)
                .map(|action| action.kind())
                .unwrap_or_else(|e| panic!("{e} {:?}", bench.ca.complaints()));
            if action == ActionKind::Done {
                break;
            }
            if let Some(made) = operation.issued().and_then(|issued| issued.private_key.clone()) {
                generated = Some(made);
            }
            let saved = operation.save().unwrap();
            if let Some(made) = &generated {
                let pkcs8 = made.to_pkcs8().unwrap();
                let secret = &pkcs8[40..60];
                assert!(saved.windows(secret.len()).all(|w| w != secret), "no private key in what is saved");
            }
            operation = match (&generated, possession) {
                (None, Possession::None) => {
                    assert!(Operation::awaits_key(&saved).unwrap());
                    client.restore_keyless(&saved).unwrap()
                }
                (Some(made), _) => {
                    assert_eq!(Operation::saved_key(&saved).unwrap(), made.spki());
                    assert!(client.restore_keyless(&saved).is_err(), "the key has come and must be brought");
                    client.restore(Signer::Key(Arc::clone(made)), &saved).unwrap()
                }
                (None, _) => client.restore(Signer::Key(Arc::clone(&key)), &saved).unwrap(),
            };
            assert_eq!(operation.step(bench.now).map(|action| action.kind()), Ok(action));
            match action {
                ActionKind::Send => {
                    let answer = bench.ca.answer(operation.output().unwrap(), bench.now.unix());
                    operation.feed(&answer).unwrap();
                }
                ActionKind::Wait => bench.now = bench.now.plus(i64::from(crate::mock_ca::wait_seconds(&operation))),
                ActionKind::Accept => operation.accept().unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bench.ca.bodies().iter().filter(|b| **b == "ir").count(), 1);
        assert_eq!(bench.ca.confirmed.len(), 1);
    }
}

/// The way to the CA, which breaks after so many exchanges.
struct Line<'a> {
    bench: &'a mut Bench,
    exchanges_left: u32,
}

impl Exchange for Line<'_> {
    fn exchange(&mut self, request: &[u8], _limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        if self.exchanges_left == 0 {
            return Err(TransportError::new(TransportErrorKind::Connect, Phase::Connect, "the line is dead"));
        }
        self.exchanges_left -= 1;
        Ok(Reply::from_body(self.bench.ca.answer(request, self.bench.now.unix())))
    }
}

/// Waits by a clock of its own.
pub struct Patience(pub Time);

impl Owner for Patience {
    fn now(&mut self) -> Time {
        self.0
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        self.0 = self.0.plus(i64::from(seconds));
        Ok(())
    }
}

#[test]
fn a_generated_key_goes_straight_into_device_memory_wherever_the_line_breaks() {
    for breaks_after in 0..6 {
        let mut bench = Bench::new(By::Ec).knob("waiting", "1").knob("confirm-waiting", "1");
        let (client, now) = (bench.client(), bench.now);
        let store = Store::in_memory(provider().clone());
        let to = Destination { store: &store, name: "router", purpose: "ldevid" };
        let mut line = Line { bench: &mut bench, exchanges_left: breaks_after };
        let wanted = (RequestKind::Initial, Some(KeyKind::P256));
        let first = client.enroll_central_into(to, wanted, &subject(), &mut line, &mut Patience(now));
        let identity = match first {
            Ok(identity) => identity,
            Err(error) => {
                assert_eq!(error.code(), Code::Connect, "after {breaks_after}: {error}");
                line.exchanges_left = 10;
                client.resume(to, &mut line, &mut Patience(now)).unwrap_or_else(|e| panic!("{breaks_after}: {e}"))
            }
        };
        let Signer::Key(key) = &identity.key else { panic!("{:?}", identity.key) };
        assert!(key_matches_certificate(&**key, &identity.certificate));
        assert_eq!(store.current("router").unwrap().certificate, identity.certificate);
        assert!(store.pending_keys().unwrap().is_empty() && store.operations().unwrap().is_empty());
        assert_eq!(bench.ca.confirmed, [identity.certificate.as_der().to_vec()]);
    }
}

#[test]
fn a_refused_generated_key_leaves_no_trace_in_device_memory() {
    let mut bench = Bench::new(By::Secret).knob("other-generated-key", "1");
    let (client, now) = (bench.client(), bench.now);
    let store = Store::in_memory(provider().clone());
    let to = Destination { store: &store, name: "router", purpose: "ldevid" };
    let mut line = Line { bench: &mut bench, exchanges_left: 10 };
    let error = client.enroll_central_into(to, (RequestKind::Initial, None), &subject(), &mut line, &mut Patience(now));
    assert_eq!(error.unwrap_err().code(), Code::KeyMismatch);
    assert!(store.pending_keys().unwrap().is_empty() && store.operations().unwrap().is_empty());
    assert!(store.current("router").is_err());
}

/// A device whose certificate holds a KEM key.
fn with_kem_key(kind: KeyKind) -> Bench {
    let mut bench = Bench::new(By::Ec);
    let key = key_of(kind);
    let certificate = bench.over(&key).unwrap().certificate;
    bench.config.protect_with_certificate(Signer::Key(key), certificate, Vec::new());
    bench.ca.received.clear();
    bench
}

#[test]
fn a_kem_key_protects_by_a_mac_under_an_encapsulated_secret() {
    for kind in [KeyKind::MlKem512, KeyKind::MlKem768, KeyKind::MlKem1024] {
        let mut bench = with_kem_key(kind).knob("waiting", "1");
        let issued = bench.over(&key_of(KeyKind::P256));
        issued.unwrap_or_else(|e| panic!("{kind}: {e} {:?}", bench.ca.complaints()));
        assert_eq!(bench.ca.bodies(), ["genm", "ir", "pollReq", "pollReq", "certConf"]);
        assert_eq!(bench.ca.complaints(), [""; 0]);
        // And the same key receives what the CA makes (KEMRecipientInfo).
        let mut bench = with_kem_key(kind);
        bench.central().unwrap_or_else(|e| panic!("{kind}: {e} {:?}", bench.ca.complaints()));
        let operation = bench.client().ask(devid::cmp::Question::CaCerts).unwrap();
        let mut operation = operation;
        while operation.step(bench.now).map(|action| action.kind()).unwrap() == ActionKind::Send {
            let answer = bench.ca.answer(operation.output().unwrap(), bench.now.unix());
            operation.feed(&answer).unwrap();
        }
        assert!(operation.information().is_some());
    }
}

/// The ciphertext is nobody's word: a wrong one leads to messages that the server refuses, and to nothing else.
#[test]
fn a_wrong_ciphertext_or_none_ends_the_operation() {
    let mut bench = with_kem_key(KeyKind::MlKem768).knob("broken-envelope", "1");
    let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1 << 1), "badMessageCheck: {error}");
    let mut bench = with_kem_key(KeyKind::MlKem768).knob("no-ciphertext", "1");
    let error = bench.over(&key_of(KeyKind::P256)).unwrap_err();
    assert_eq!(error.code(), Code::Protocol, "{error}");
    assert_eq!(bench.ca.bodies(), ["genm"]);
    for knob in ["wrong-transaction", "wrong-recip-nonce"] {
        let mut bench = with_kem_key(KeyKind::MlKem768).knob(knob, "1");
        assert!(bench.over(&key_of(KeyKind::P256)).is_err());
        assert_eq!(bench.ca.bodies(), ["genm"], "{knob}");
    }
}

/// Only the ciphertext comes bare: every answer after it must be signed by someone who is trusted.
#[test]
fn after_the_ciphertext_nothing_unprotected_is_believed() {
    let mut bench = with_kem_key(KeyKind::MlKem768);
    let mut operation = bench.client().enroll(Signer::Key(key_of(KeyKind::P256)), &subject()).unwrap();
    assert_eq!(operation.step(bench.now).map(|action| action.kind()), Ok(ActionKind::Send));
    let answer = bench.ca.answer(operation.output().unwrap(), bench.now.unix());
    operation.feed(&answer).unwrap();
    assert_eq!(operation.step(bench.now).map(|action| action.kind()), Ok(ActionKind::Send));
    let saved = operation.save().unwrap();
    let signer = operation.request().new_key().unwrap().clone();
    let answer = bench.ca.answer(operation.output().unwrap(), bench.now.unix());
    let bare = crate::mock_ca::strip_protection(&answer);
    let after = |answer: &[u8]| {
        // Saved and restored: the key of the MAC is derived anew from the ciphertext.
        let mut operation = bench.client().restore(signer.clone(), &saved).unwrap();
        operation.step(bench.now).map(|action| action.kind()).unwrap();
        operation.feed(answer).unwrap();
        operation.step(bench.now).map(|action| action.kind())
    };
    assert_eq!(after(&bare).unwrap_err().code(), Code::Unprotected);
    assert_eq!(after(&answer), Ok(ActionKind::Accept));
}

/// Whoever kept the ciphertext of an earlier transaction and gives it identifiers of the next: the MAC's key is bound to the transaction
/// (RFC 9810 section 5.1.3.4), so that the request is refused as changed, and nothing comes of it.
#[test]
fn a_ciphertext_of_an_earlier_transaction_leads_nowhere_in_the_next() {
    let mut bench = with_kem_key(KeyKind::MlKem768);
    let begun = |bench: &mut Bench| {
        let mut operation = bench.client().enroll(Signer::Key(key_of(KeyKind::P256)), &subject()).unwrap();
        assert_eq!(operation.step(bench.now).map(|action| action.kind()), Ok(ActionKind::Send));
        let genm = operation.output().unwrap().to_vec();
        let answer = bench.ca.answer(&genm, bench.now.unix());
        let header = devid::asn1::cmp::PkiMessage::from_der(genm, &devid::limits::Limits::default()).unwrap();
        let header = header.header().clone();
        (operation, [header.transaction_id.unwrap(), header.sender_nonce.unwrap()], answer)
    };
    let before = bench.ca.confirmed.len();
    let (_, earlier, mut kept) = begun(&mut bench);
    let (mut operation, own, genuine) = begun(&mut bench);
    for (old, new) in earlier.iter().zip(&own) {
        let at = kept.windows(old.len()).position(|window| window == old).unwrap();
        kept[at..at + new.len()].copy_from_slice(new);
    }
    assert_ne!(kept, genuine);
    operation.feed(&kept).unwrap();
    let ir = operation.step(bench.now).map(|action| action.kind());
    assert_eq!(ir, Ok(ActionKind::Send));
    let answer = bench.ca.answer(operation.output().unwrap(), bench.now.unix());
    let refused = operation.feed(&answer).and_then(|()| operation.step(bench.now).map(|_| ())).unwrap_err();
    assert_eq!(refused.facts().fail_info, Some(1 << 1), "badMessageCheck: {refused}");
    assert_eq!((bench.ca.bodies(), bench.ca.confirmed.len()), (vec!["genm", "genm", "ir"], before));
}
