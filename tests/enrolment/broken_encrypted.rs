//! What is encrypted, with every byte changed or cut off and then protected as it must be: a CA that lies, or a KGA behind an
//! honest one. No panic, no hang, and no success that the unchanged content would not have been.

use std::sync::Arc;

use devid::Code;
use devid::asn1::cmp::{BodyType, PkiHeader, PkiMessage};
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::cmp::{ActionKind, CertificateRequest, Operation, Possession, RequestKind, Signer};
use devid::cms::{self, ContentEncryption, Recipient, RecipientIdentifier};
use devid::crypto::keys::key_matches_certificate;
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey};
use devid::limits::Limits;
use devid::validation::KeyUsage;

use crate::certificates::{Builder, now, provider};
use crate::mock_ca::{Answer, Device, LIGHT_MAC, MockCa, REFERENCE, SECRET, output_body, protect};

/// A device whose request is out, saved so that every change meets the same state; by the shared secret.
struct Waiting {
    ca: MockCa,
    client: devid::client::Client,
    key: Arc<dyn PrivateKey>,
    saved: Vec<u8>,
    request: PkiMessage,
}

impl Waiting {
    fn with(possession: Possession, kind: KeyKind) -> Self {
        let ca = MockCa::new();
        let mut config = Device::config(&ca);
        config.protect_with_secret(REFERENCE, SECRET, LIGHT_MAC).unwrap();
        config.tolerance.set("encrypted_value", true).unwrap();
        let client = config.build().unwrap();
        let key = provider().generate_key(kind).unwrap();
        let template = Device::subject().to_template().unwrap();
        let mut request = match possession {
            Possession::None => CertificateRequest::central(RequestKind::Initial, None, template),
            _ => CertificateRequest::new(RequestKind::Initial, Signer::Key(Arc::clone(&key)), template),
        };
        request.possession = possession;
        let mut operation = client.operation(request).unwrap();
        assert_eq!(operation.step(now()).map(|action| action.kind()), Ok(ActionKind::Send));
        let request = PkiMessage::from_der(operation.output().unwrap().to_vec(), &Limits::default()).unwrap();
        let saved = operation.save().unwrap();
        Waiting { ca, client, key, saved, request }
    }

    /// The certificate that the CA issues over this key.
    fn certificate(&self, key: &Arc<dyn PrivateKey>) -> Certificate {
        let name = devid::asn1::name::Name::parse("CN=router-7,O=Example").unwrap();
        let mut builder = Builder::leaf("replaced").subject(name.as_der().to_vec());
        builder.spki = Some(key.spki().to_vec());
        builder.signed_by(&self.ca.issuing).certificate
    }

    /// Feeds an answer with this content, protected as it must be, and steps.
    fn answered(&self, body_type: BodyType, content: Vec<u8>) -> (Operation, Result<ActionKind, devid::Error>) {
        let asked = self.request.header();
        let header = PkiHeader {
            pvno: 3,
            sender: Some(self.ca.signer.certificate.subject().to_vec()),
            recipient: asked.sender.clone(),
            protection_alg: None,
            sender_nonce: Some(vec![7; 16]),
            recip_nonce: asked.sender_nonce.clone(),
            general_info: Vec::new(),
            ..asked.clone()
        };
        let extra_certs = vec![self.ca.issuing.certificate.clone()];
        let answer = Answer { header, body_type, content, extra_certs, signer: None, secret: SECRET.to_vec() };
        let der = protect(answer, asked.protection_alg.clone());
        let mut operation = if Operation::awaits_key(&self.saved).unwrap() {
            self.client.restore_keyless(&self.saved).unwrap()
        } else {
            self.client.restore(Signer::Key(Arc::clone(&self.key)), &self.saved).unwrap()
        };
        operation.step(now()).map(|action| action.kind()).unwrap();
        operation.feed(&der).unwrap();
        let outcome = operation.step(now()).map(|action| action.kind());
        (operation, outcome)
    }

    /// Every byte changed, and every length that is too short; `check` sees what was not refused.
    fn with_every_change(&self, body_type: BodyType, content: &[u8], check: impl Fn(&Operation, ActionKind, usize)) {
        let (operation, outcome) = self.answered(body_type, content.to_vec());
        check(&operation, outcome.unwrap_or_else(|e| panic!("the unchanged content is good: {e}")), content.len());
        for at in 0..content.len() {
            let mut changed = content.to_vec();
            changed[at] ^= 1 << (at % 8);
            let (operation, outcome) = self.answered(body_type, changed);
            if let Ok(action) = outcome {
                check(&operation, action, at);
            }
            let (_, outcome) = self.answered(body_type, content[..at].to_vec());
            assert!(outcome.is_err(), "cut after {at} bytes");
        }
    }
}

fn cert_rep(pair: &[u8]) -> Vec<u8> {
    let response = sequence(&[&[2, 1, 0], &sequence(&[&[2, 1, 0]]), &sequence(&[pair])]);
    sequence(&[&sequence(&[&response])])
}

/// EnvelopedData under the implicit tag of EncryptedKey.
fn encrypted_key(recipient: Recipient<'_>, content_type: oid::Oid, content: &[u8]) -> Vec<u8> {
    let mut sealed =
        cms::seal_content(&**provider(), &[recipient], ContentEncryption::Aes256Cbc, content_type, content).unwrap();
    sealed[0] = 0xa0;
    sealed
}

fn generated_key(waiting: &Waiting, key: &Arc<dyn PrivateKey>, iterations: u32) -> Vec<u8> {
    let authority = Builder::leaf("KGA").key_usage(&[KeyUsage::DigitalSignature]).signed_by(&waiting.ca.issuing);
    let package = sequence(&[&key.to_pkcs8().unwrap()]);
    let own = [authority.certificate.clone()];
    let signed =
        cms::signed::sign_content(&**provider(), &*authority.key, &own, oid::CT_KP_KEY_PACKAGE, &package).unwrap();
    encrypted_key(Recipient::Password { secret: SECRET, iterations }, oid::CMS_SIGNED_DATA, &signed)
}

#[test]
fn no_generated_key_with_a_changed_byte_is_taken_unless_it_is_still_the_key() {
    let waiting = Waiting::with(Possession::None, KeyKind::P256);
    let made = provider().generate_key(KeyKind::P256).unwrap();
    let certificate = waiting.certificate(&made);
    let key = generated_key(&waiting, &made, 100);
    let content = cert_rep(&[element(0xa0, &[certificate.as_der()]), element(0xa0, &[&key])].concat());
    waiting.with_every_change(BodyType::IP, &content, |operation, action, at| {
        if action == ActionKind::Accept {
            let issued = operation.issued().unwrap();
            assert_eq!(issued.certificate, certificate, "byte {at}");
            assert!(key_matches_certificate(&**issued.private_key.as_ref().unwrap(), &certificate), "byte {at}");
        } else {
            // The CA is told that the certificate is not wanted.
            assert_eq!((action, output_body(operation)), (ActionKind::Send, Some(BodyType::CERTCONF)), "byte {at}");
        }
    });
}

#[test]
fn no_encrypted_certificate_with_a_changed_byte_is_taken_as_another() {
    for kind in [KeyKind::P256, KeyKind::MlKem512] {
        let waiting = Waiting::with(Possession::EncryptedCertificate, kind);
        let certificate = waiting.certificate(&waiting.key);
        let identifier = RecipientIdentifier::IssuerAndSerial(&[0x30, 0], &[0]);
        let recipient = Recipient::Key { spki: waiting.key.spki(), identifier };
        let content = cert_rep(&element(0xa1, &[&encrypted_key(recipient, oid::CMS_DATA, certificate.as_der())]));
        waiting.with_every_change(BodyType::IP, &content, |operation, action, at| {
            if action == ActionKind::Accept {
                assert_eq!(operation.issued().unwrap().certificate, certificate, "{kind}: byte {at}");
            } else {
                assert_eq!(output_body(operation), Some(BodyType::CERTCONF), "{kind}: byte {at}");
            }
        });
    }
}

#[test]
fn no_challenge_with_a_changed_byte_is_answered_with_another_number() {
    let waiting = Waiting::with(Possession::Challenge, KeyKind::P256);
    let number = [0x42; 20];
    let sender = element(0xa4, &[waiting.ca.signer.certificate.subject()]);
    let rand = sequence(&[&element(0x02, &[&number]), &sender]);
    let witness = provider().digest(DigestAlgorithm::Sha256, &[&number]).unwrap();
    let identifier = RecipientIdentifier::IssuerAndSerial(&[0x30, 0], &[0]);
    let mut enveloped = encrypted_key(Recipient::Key { spki: waiting.key.spki(), identifier }, oid::CMS_DATA, &rand);
    enveloped[0] = 0x30;
    let owf = sequence(&[&element(0x06, &[oid::SHA256.as_bytes()])]);
    let challenge = sequence(&[&owf, &element(0x04, &[&witness]), &[4, 0], &element(0xa0, &[&enveloped])]);
    waiting.with_every_change(BodyType::POPDECC, &sequence(&[&challenge]), |operation, action, at| {
        assert_eq!((action, output_body(operation)), (ActionKind::Send, Some(BodyType::POPDECR)), "byte {at}");
        let sent = operation.output().unwrap();
        assert!(sent.windows(number.len()).any(|w| w == number), "byte {at}: another number");
    });
    // A second challenge does not belong in an operation that has answered one.
    let (mut operation, outcome) = waiting.answered(BodyType::POPDECC, sequence(&[&challenge, &challenge]));
    assert_eq!(outcome.unwrap_err().code(), Code::Protocol);
    assert!(operation.step(now()).map(|action| action.kind()).is_err());
}

/// Fields of EncryptedValue are optional one by one; OpenSSL's reader dereferenced what was not there.
#[test]
fn an_encrypted_value_without_its_optional_fields_is_refused_null_in_encryptedvalue() {
    let waiting = Waiting::with(Possession::EncryptedCertificate, KeyKind::Rsa(2048));
    let object = |found: oid::Oid| element(0x06, &[found.as_bytes()]);
    let symm_alg = element(0xa1, &[&object(oid::AES256_CBC), &element(0x04, &[&[0; 16]])]);
    let without_iv = element(0xa1, &[&object(oid::AES256_CBC)]);
    let with_null = element(0xa1, &[&object(oid::AES256_CBC), &[5, 0]]);
    let key = element(0x82, &[&[0; 257]]);
    let key_alg = element(0xa3, &[&object(oid::RSA_ENCRYPTION), &[5, 0]]);
    let value = element(0x03, &[&[0; 33]]);
    let nothing = Vec::new();
    let outcome = |fields: [&Vec<u8>; 4]| {
        let encrypted = sequence(&fields.map(Vec::as_slice));
        waiting.answered(BodyType::IP, cert_rep(&element(0xa1, &[&encrypted]))).1.unwrap_err()
    };
    for fields in [
        [&nothing, &key, &key_alg, &value],
        [&without_iv, &key, &key_alg, &value],
        [&with_null, &key, &key_alg, &value],
        [&symm_alg, &nothing, &key_alg, &value],
        [&symm_alg, &key, &nothing, &value],
        [&symm_alg, &key, &key_alg, &nothing],
        [&nothing, &nothing, &nothing, &value],
        [&nothing, &nothing, &nothing, &nothing],
    ] {
        assert_eq!(outcome(fields).code(), Code::Der);
    }
    // With everything in place only the decryption fails, and says no more.
    assert_eq!(outcome([&symm_alg, &key, &key_alg, &value]).code(), Code::Decrypt);
    let error = waiting.answered(BodyType::IP, cert_rep(&element(0xa1, &[&[5, 0]]))).1.unwrap_err();
    assert_eq!(error.code(), Code::Der, "NULL in place of EncryptedKey: {error}");
}

/// A password recipient orders work: bounded like a MAC's parameters (Bouncy Castle CVE-2026-59647).
#[test]
fn a_password_recipient_that_orders_too_much_work_is_refused_before_it_costs() {
    let waiting = Waiting::with(Possession::None, KeyKind::P256);
    let made = provider().generate_key(KeyKind::P256).unwrap();
    let certificate = waiting.certificate(&made);
    let mut key = generated_key(&waiting, &made, 0x1_0001);
    let place = key.windows(5).position(|w| w == [2, 3, 1, 0, 1]).unwrap();
    key[place + 2..place + 5].copy_from_slice(&[0x7f, 0xff, 0xff]);
    let content = cert_rep(&[element(0xa0, &[certificate.as_der()]), element(0xa0, &[&key])].concat());
    let started = std::time::Instant::now();
    let (mut operation, outcome) = waiting.answered(BodyType::IP, content);
    assert_eq!(outcome, Ok(ActionKind::Send), "certConf with the refusal");
    assert!(started.elapsed().as_secs() < 5, "not computed");
    let told = operation.output().unwrap().to_vec();
    assert!(String::from_utf8_lossy(&told).contains("iterations"), "the CA is told why");
    assert!(operation.step(now()).map(|action| action.kind()).is_ok());
}

/// Names are data: they come back as they are, in errors too (format strings from DNs).
#[test]
fn names_that_look_like_format_strings_are_told_as_they_are() {
    let words = "%s%n%x{}{0}";
    let mut ca = MockCa::new();
    let name = devid::asn1::name::Name::common_name(words).as_der().to_vec();
    ca.signer = Builder::leaf("x").subject(name).key_usage(&[KeyUsage::KeyEncipherment]).signed_by(&ca.issuing);
    let mut device = Device::enrolling_with(&ca);
    let error = device.run(&mut ca).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}
