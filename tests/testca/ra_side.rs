//! The library as a registration authority between devices and the test CA, which reads with a decoder of its own and
//! takes approvals, replaced protection and raVerified from its RAs only.

use std::collections::HashMap;
use std::sync::Arc;

use devid::asn1::cmp::{BodyType, PkiHeader, PkiMessage, PkiStatus, PkiStatusInfo};
use devid::asn1::crl::CrlReason;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::client::{Client, Subject, UnsignedRequest};
use devid::cmp::{
    Context, Credential, Device, DeviceRequest, Issued, Operation, Proof, RegistrationAuthority, RevocationRequest,
    Signer, SignerAuthorisation, fail_info_of,
};
use devid::crypto::keys::load_private_key;
use devid::crypto::{CryptoError, KeyKind, PrivateKey, SignatureAlgorithm, default_provider};
use devid::limits::Limits;
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::validation::TrustAnchors;
use devid::{Code, Error};
use devid_testca::server::system_time as seconds_now;
use devid_testca::{Holder, KeyType, RaMode};
use zeroize::Zeroizing;

use crate::bench::{Bench, By, P256, Story};

/// How the RA of a test passes requests on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Nest,
    Batch,
    Replace(Proof, bool),
}

const WAYS: [Way; 5] = [
    Way::Nest,
    Way::Batch,
    Way::Replace(Proof::Keep, false),
    Way::Replace(Proof::RaVerified, false),
    Way::Replace(Proof::Keep, true),
];

fn key_of(holder: &Holder) -> Signer {
    Signer::Key(load_private_key(&*default_provider(), &holder.key.pkcs8, None).unwrap())
}

fn certificate_of(holder: &Holder) -> Certificate {
    Certificate::from_der(&holder.certificate).unwrap()
}

fn context_of(bench: &Bench, holder: &Holder) -> Arc<Context> {
    let mut config = bench.config();
    config.protect_with_certificate(key_of(holder), certificate_of(holder), vec![issuing(bench)]);
    config.authorisation = SignerAuthorisation::by_purpose();
    Arc::clone(config.build().unwrap().context())
}

fn issuing(bench: &Bench) -> Certificate {
    Certificate::from_der(&bench.server.with(|ca| ca.issuing.certificate.clone())).unwrap()
}

/// An RA of the CA.
fn holder(bench: &Bench) -> Holder {
    bench.server.with(|ca| ca.ra(RaMode::Forward, seconds_now())).signer
}

fn authority(bench: &Bench, holder: &Holder) -> RegistrationAuthority {
    let mut devices = TrustAnchors::new();
    devices.add(bench.root());
    devices.add(Certificate::from_der(&bench.server.with(|ca| ca.supplier_root.certificate.clone())).unwrap());
    let mut context = (*context_of(bench, holder)).clone();
    let supplier = bench.server.with(|ca| ca.supplier.certificate.clone());
    context.intermediates.push(Certificate::from_der(&supplier).unwrap());
    let mut authority = RegistrationAuthority::new(Arc::new(context), devices).unwrap();
    authority.add_secret(b"4711", b"an older secret").unwrap();
    authority.add_secret(b"4711", b"correct-horse-battery-staple").unwrap();
    authority
}

type ToCa<'a> = Box<dyn FnMut(&[u8]) -> Vec<u8> + 'a>;

/// device -> RA of this library -> CA, all in memory.
struct Relay<'a> {
    authority: &'a RegistrationAuthority,
    way: Way,
    ca: ToCa<'a>,
    begun: HashMap<Vec<u8>, DeviceRequest>,
}

impl Relay<'_> {
    fn pass(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let now = system_time();
        let id = PkiMessage::from_der(message.to_vec(), &Limits::default())?.header().transaction_id.clone().unwrap();
        let earlier = self.begun.get(&id);
        let request = self.authority.check(message, earlier, now)?;
        let answer = match self.way {
            Way::Batch => {
                let batch = self.authority.batch(vec![request.clone()], now)?;
                let answer = (self.ca)(batch.message());
                self.authority.unbundle(&batch, Some(&answer), now)?.remove(0)
            }
            Way::Replace(proof, with_original) if !request.keeps_protection() => {
                let answer = (self.ca)(&self.authority.replace(&request, proof, with_original, now)?);
                self.authority.answer(&request, &answer, now)?
            }
            _ => (self.ca)(&self.authority.nest(&request, now)?),
        };
        self.begun.entry(id).or_insert(request);
        Ok(answer)
    }
}

impl Exchange for Relay<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        let refused = |error: Error| {
            let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
            status.fail_info = Some(fail_info_of(&error));
            status.texts.push(error.message().to_owned());
            self.authority.refuse(request, None, &status, system_time()).unwrap()
        };
        let answer = self.pass(request).unwrap_or_else(refused);
        Ok(Reply::from_body(answer))
    }
}

fn relay<'a>(bench: &'a Bench, authority: &'a RegistrationAuthority, way: Way) -> Relay<'a> {
    let ca = Box::new(|message: &[u8]| bench.server.with(|ca| ca.answer(message, seconds_now())));
    Relay { authority, way, ca, begun: HashMap::new() }
}

fn new_key() -> Signer {
    Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap())
}

fn ask(client: &Client) -> Operation {
    client.enroll(new_key(), &Subject::new().name("CN=device 1").unwrap()).unwrap()
}

fn enrol_over(bench: &Bench, relay: &mut Relay<'_>) -> Result<Issued, Error> {
    let client = bench.config().build().unwrap();
    client.run_over(&mut ask(&client), relay, &mut Story::default())
}

#[test]
fn devices_enrol_through_an_ra_made_of_this_library() {
    for by in [P256, By::Idevid(KeyType::Rsa2048), By::Pbm, By::Pbmac1] {
        let bench = Bench::new(by);
        let authority = authority(&bench, &holder(&bench));
        for way in WAYS {
            bench.set(&[("waiting", "1"), ("confirm-waiting", "1")]);
            let issued = enrol_over(&bench, &mut relay(&bench, &authority, way));
            let issued = issued.unwrap_or_else(|e| panic!("{by:?} {way:?}: {e} {:?}", bench.complaints()));
            assert_eq!(issued.chain.last(), Some(&bench.root()));
            assert_eq!(bench.complaints(), [""; 0], "{by:?} {way:?}");
            assert_eq!(bench.server.with(|ca| ca.confirmed.len()), 1, "{by:?} {way:?}");
        }
    }
}

#[test]
fn a_key_update_keeps_its_protection_and_is_nested() {
    let bench = Bench::new(P256);
    let (issued, key) = bench.first_certificate();
    let authority = authority(&bench, &holder(&bench));
    bench.set::<&str>(&[]);
    let mut config = bench.config();
    config.protect_with_certificate(Signer::Key(key), issued.certificate.clone(), issued.chain.clone());
    let client = config.build().unwrap();
    let mut operation = client.renew(new_key()).unwrap();
    operation.step(system_time()).unwrap();
    let request = authority.check(operation.output().unwrap(), None, system_time()).unwrap();
    assert!(request.keeps_protection());
    assert_eq!(request.device(), &Device::Certificate(issued.certificate.clone()));
    let error = authority.replace(&request, Proof::Keep, false, system_time()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");

    let mut relay = relay(&bench, &authority, Way::Replace(Proof::RaVerified, false));
    client.run_over(&mut operation, &mut relay, &mut Story::default()).unwrap();
    assert_eq!(bench.received(), ["nested", "kur", "nested", "certConf"]);
}

#[test]
fn replaced_protection_keeps_identifiers_and_can_carry_the_original() {
    let bench = Bench::new(By::Pbm);
    let authority = authority(&bench, &holder(&bench));
    let client = bench.config().build().unwrap();
    let mut operation = ask(&client);
    operation.step(system_time()).unwrap();
    let request = authority.check(operation.output().unwrap(), None, system_time()).unwrap();
    assert_eq!(request.device(), &Device::Reference(b"4711".to_vec()));
    assert_eq!(request.subject().unwrap().to_string(), "CN=device 1");
    let replaced = authority.replace(&request, Proof::Keep, true, system_time()).unwrap();
    let header =
        |der: &[u8]| -> PkiHeader { PkiMessage::from_der(der.to_vec(), &Limits::default()).unwrap().header().clone() };
    let (before, after) = (header(operation.output().unwrap()), header(&replaced));
    assert_eq!(before.transaction_id, after.transaction_id);
    assert_eq!(before.sender_nonce, after.sender_nonce);
    let original = after.info(oid::IT_ORIG_PKI_MESSAGE).unwrap();
    assert!(original.windows(request.as_der().len()).any(|w| w == request.as_der()));
    let without = authority.replace(&request, Proof::Keep, false, system_time()).unwrap();
    assert!(header(&without).info(oid::IT_ORIG_PKI_MESSAGE).is_none());
}

#[test]
fn what_an_ra_cannot_believe_it_does_not_pass_on() {
    let bench = Bench::new(P256);
    let authority = authority(&bench, &holder(&bench));
    let now = system_time();
    let client = bench.config().build().unwrap();
    let mut operation = ask(&client);
    operation.step(now).unwrap();
    let good = operation.output().unwrap().to_vec();
    authority.check(&good, None, now).unwrap();

    // Every byte counts, but for what is not protected: certificates behind the first.
    let mut refused = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        match authority.check(&bad, None, now) {
            Err(_) => refused += 1,
            Ok(request) => assert_eq!(request.device(), authority.check(&good, None, now).unwrap().device(), "{at}"),
        }
    }
    assert!(refused > good.len() / 2, "{refused} of {}", good.len());

    // Another supplier's device, a secret that nobody has, a stale clock, a message out of place.
    let stranger = Bench::new(P256);
    let strange = first_message(&stranger);
    assert_eq!(authority.check(&strange, None, now).unwrap_err().code(), Code::ProtectionInvalid);
    let mut guessing = bench.config();
    guessing.protect_with_secret(b"4711", b"guessed", devid::cmp::MacParameters::PASSWORD_BASED).unwrap();
    let mut guess = ask(&guessing.build().unwrap());
    guess.step(now).unwrap();
    let error = authority.check(guess.output().unwrap(), None, now).unwrap_err();
    assert_eq!((error.code(), fail_info_of(&error)), (Code::ProtectionInvalid, 1 << 1), "{error}");
    let error = authority.check(&good, None, now.plus(7200)).unwrap_err();
    assert_eq!((error.code(), fail_info_of(&error)), (Code::MessageTime, 1 << 3));
    let earlier = authority.check(&good, None, now).unwrap();
    let error = authority.check(&good, Some(&earlier), now).unwrap_err();
    assert_eq!((error.code(), fail_info_of(&error)), (Code::UnexpectedBody, 1 << 2), "ir in a transaction");
}

#[test]
fn a_request_whose_proof_does_not_match_is_refused_under_good_protection() {
    let bench = Bench::new(P256);
    let other = holder(&bench);
    let authority = authority(&bench, &other);
    // The RA's own raVerified, sent by "a device": no device may say so.
    let request = authority.check(&first_message(&bench), None, system_time()).unwrap();
    let vouched = authority.replace(&request, Proof::RaVerified, false, system_time()).unwrap();
    let error = authority.check(&vouched, None, system_time()).unwrap_err();
    assert_eq!((error.code(), fail_info_of(&error)), (Code::SignatureInvalid, 1 << 9), "{error}");
    let kept = authority.replace(&request, Proof::Keep, false, system_time()).unwrap();
    authority.check(&kept, None, system_time()).expect("the device's proof is still there and good");

    // Somebody else's public key, and a signature by one's own.
    let make = || default_provider().generate_key(KeyKind::P256).unwrap();
    let key = Signer::Key(Arc::new(Pretender { shown: make(), own: make() }));
    let client = bench.config().build().unwrap();
    let mut operation = client.enroll(key, &Subject::new().name("CN=device 1").unwrap()).unwrap();
    operation.step(system_time()).unwrap();
    let error = authority.check(operation.output().unwrap(), None, system_time()).unwrap_err();
    assert_eq!((error.code(), fail_info_of(&error)), (Code::SignatureInvalid, 1 << 9), "{error}");
}

#[derive(Debug)]
struct Pretender {
    shown: Arc<dyn PrivateKey>,
    own: Arc<dyn PrivateKey>,
}

impl PrivateKey for Pretender {
    fn spki(&self) -> &[u8] {
        self.shown.spki()
    }

    fn kind(&self) -> KeyKind {
        self.shown.kind()
    }

    fn sign(&self, algorithm: &SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.own.sign(algorithm, message)
    }

    fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

fn first_message(bench: &Bench) -> Vec<u8> {
    let client = bench.config().build().unwrap();
    let mut operation = ask(&client);
    operation.step(system_time()).unwrap();
    operation.output().unwrap().to_vec()
}

#[test]
fn a_batch_brings_each_answer_home_and_makes_lost_ones_good() {
    let bench = Bench::new(P256);
    let authority = authority(&bench, &holder(&bench));
    let now = system_time();
    let body = |der: &Vec<u8>| PkiMessage::from_der(der.clone(), &Limits::default()).unwrap().body_type();
    let (ip, error) = (BodyType::IP, BodyType::ERROR);
    for (knobs, expected) in [
        (vec![], vec![ip, ip, ip]),
        (vec![("batch-missing", "1")], vec![ip, ip, error]),
        (vec![("batch-extra", "1")], vec![ip, ip, ip]),
    ] {
        bench.set(&knobs);
        let requests: Vec<DeviceRequest> =
            (0..3).map(|_| authority.check(&first_message(&bench), None, now).unwrap()).collect();
        let batch = authority.batch(requests, now).unwrap();
        let answer = bench.server.with(|ca| ca.answer(batch.message(), seconds_now()));
        let answers = authority.unbundle(&batch, Some(&answer), now).unwrap();
        assert_eq!(answers.iter().map(body).collect::<Vec<_>>(), expected, "{knobs:?}");
        for (request, answer) in batch.requests().iter().zip(&answers) {
            let answer = PkiMessage::from_der(answer.clone(), &Limits::default()).unwrap();
            assert_eq!(answer.header().transaction_id.as_deref(), Some(request.transaction_id()));
        }
        let nothing = authority.unbundle(&batch, None, now).unwrap();
        assert_eq!(nothing.iter().map(body).collect::<Vec<_>>(), vec![error; 3]);
        // The answer to another batch, and one that was changed.
        let second = authority.batch(batch.requests().to_vec(), now).unwrap();
        assert_eq!(authority.unbundle(&second, Some(&answer), now).unwrap_err().code(), Code::TransactionId);
        let mut changed = answer.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        assert!(authority.unbundle(&batch, Some(&changed), now).is_err());
    }
    assert_eq!(authority.batch(Vec::new(), now).unwrap_err().code(), Code::InvalidArgument);
    let one = authority.check(&first_message(&bench), None, now).unwrap();
    assert_eq!(authority.batch(vec![one.clone(), one], now).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn nested_messages_are_opened_upstream_and_only_an_ras_single_request_is_an_approval() {
    let bench = Bench::new(P256);
    let (lower, upper) = (authority(&bench, &holder(&bench)), authority(&bench, &holder(&bench)));
    let now = system_time();
    let request = lower.check(&first_message(&bench), None, now).unwrap();
    let nested = lower.nest(&request, now).unwrap();
    let opened = upper.open(&nested, now).unwrap();
    assert!(opened.approves);
    assert_eq!(opened.messages, [request.as_der()]);
    upper.check(&opened.messages[0], None, now).unwrap();
    assert_eq!(upper.answer_batch(&opened, &[], now).unwrap_err().code(), Code::InvalidArgument);

    let batch = lower.batch(vec![request.clone()], now).unwrap();
    let opened = upper.open(batch.message(), now).unwrap();
    assert!(!opened.approves, "a batch approves of nothing (RFC 9483 section 5.2.2.2)");
    let answer = bench.server.with(|ca| ca.answer(&opened.messages[0], seconds_now()));
    let nested_answer = upper.answer_batch(&opened, &[&answer], now).unwrap();
    assert_eq!(lower.unbundle(&batch, Some(&nested_answer), now).unwrap(), [answer]);

    // Whoever is no RA, and what is no nested message.
    let plain = bench.server.with(|ca| ca.ra_without_purpose(RaMode::Forward, seconds_now())).signer;
    let not_an_ra = authority(&bench, &plain);
    let forged = not_an_ra.nest(&request, now).unwrap();
    assert_eq!(upper.open(&forged, now).unwrap_err().code(), Code::ProtectionInvalid);
    assert_eq!(upper.open(request.as_der(), now).unwrap_err().code(), Code::UnexpectedBody);
    for at in (0..nested.len()).step_by(7) {
        let mut changed = nested.clone();
        changed[at] ^= 0x10;
        if let Ok(opened) = upper.open(&changed, now) {
            assert_eq!(opened.messages, [request.as_der()], "byte {at} is not protected");
        }
    }
}

#[test]
fn an_answer_that_is_not_the_cas_is_not_passed_off_as_the_ras() {
    let bench = Bench::new(By::Pbm);
    let authority = authority(&bench, &holder(&bench));
    let now = system_time();
    for (knobs, code) in [
        ([("broken-protection", "1")], Code::ProtectionInvalid),
        ([("no-protection", "1")], Code::Unprotected),
        ([("signer", "stranger")], Code::ProtectionInvalid),
        ([("signer", "expired")], Code::ProtectionInvalid),
        ([("wrong-transaction", "1")], Code::TransactionId),
    ] {
        bench.set(&knobs);
        let request = authority.check(&first_message(&bench), None, now).unwrap();
        let sent = authority.replace(&request, Proof::Keep, false, now).unwrap();
        let answer = bench.server.with(|ca| ca.answer(&sent, seconds_now()));
        let error = authority.answer(&request, &answer, now).unwrap_err();
        assert_eq!(error.code(), code, "{knobs:?}: {error}");
    }
}

#[test]
fn a_refusal_of_the_ra_reaches_the_device_under_the_protection_it_expects() {
    for by in [P256, By::Pbm] {
        let bench = Bench::new(by);
        let authority = authority(&bench, &holder(&bench));
        let client = bench.config().build().unwrap();
        let mut operation = ask(&client);
        let now = system_time();
        operation.step(now).unwrap();
        let request = authority.check(operation.output().unwrap(), None, now).unwrap();
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.fail_info = Some(1 << 23);
        status.texts.push("not on the list".to_owned());
        let answer = authority.refuse(request.as_der(), Some(&request), &status, now).unwrap();
        operation.feed(&answer).unwrap();
        let error = operation.step(now).unwrap_err();
        assert_eq!(error.code(), Code::Rejected, "{by:?}: {error}");
        assert!(error.facts().server_authenticated);
        assert_eq!(error.facts().server_texts, ["not on the list"]);
    }
}

#[test]
fn an_ra_asks_on_behalf_of_who_made_a_pkcs10_request() {
    let bench = Bench::new(P256);
    bench.set::<&str>(&[]);
    let ra = holder(&bench);
    let client = |holder: &Holder| {
        let mut config = bench.config();
        config.protect_with_certificate(key_of(holder), certificate_of(holder), vec![issuing(&bench)]);
        config.build().unwrap()
    };
    let key: Arc<dyn PrivateKey> = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=printer 3").unwrap().dns("printer-3.example").unwrap();
    let signer = Signer::Key(Arc::clone(&key));
    let unsigned = UnsignedRequest::new(&subject, &signer, &Default::default()).unwrap();
    let csr = unsigned.sign(&*key).unwrap();

    let asking = client(&ra);
    let mut operation = asking.enroll_on_behalf(csr.as_der()).unwrap();
    let issued = asking.run(&mut operation, &mut Story::default()).unwrap();
    let certified = devid_testca::Parsed::read(issued.certificate.as_der()).unwrap().spki;
    assert_eq!(certified, csr.spki());
    assert_eq!(issued.differences, []);
    assert_eq!(bench.received(), ["ir", "certConf"]);

    // A request whose signature is not its key's goes nowhere.
    let mut changed = csr.as_der().to_vec();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(asking.enroll_on_behalf(&changed).err().map(|e| e.code()), Some(Code::SignatureInvalid));
    // Whoever is no RA vouches for nobody; who has a shared secret only is told at once.
    bench.set::<&str>(&[]);
    let plain = bench.server.with(|ca| ca.ra_without_purpose(RaMode::Forward, seconds_now())).signer;
    let pretender = client(&plain);
    let mut operation = pretender.enroll_on_behalf(csr.as_der()).unwrap();
    let error = pretender.run(&mut operation, &mut Story::default()).unwrap_err();
    assert_eq!(error.facts().fail_info, Some(1 << 23), "{error}");
    let by_secret = Bench::new(By::Pbm).config().build().unwrap();
    assert_eq!(by_secret.enroll_on_behalf(csr.as_der()).err().map(|e| e.code()), Some(Code::InvalidArgument));
}

#[test]
fn an_ra_has_the_certificate_of_another_revoked() {
    let bench = Bench::new(P256);
    let (issued, _) = bench.first_certificate();
    let revoke = |holder: &Holder| {
        let mut config = bench.config();
        config.protect_with_certificate(key_of(holder), certificate_of(holder), vec![issuing(&bench)]);
        let client = config.build().unwrap();
        let mut operation = client.revoke(&issued.certificate, CrlReason::CessationOfOperation).unwrap();
        client.complete(&mut operation, &mut Story::default()).map(|()| operation.revoked().is_some())
    };
    let plain = bench.server.with(|ca| ca.ra_without_purpose(RaMode::Forward, seconds_now())).signer;
    assert_eq!(revoke(&plain).unwrap_err().facts().fail_info, Some(1 << 23));
    assert_eq!(revoke(&holder(&bench)), Ok(true));
}

/// RFC 9483 section 3.6.3: what the CA says of the nested message itself reaches each device, as an answer to its own request.
#[test]
fn an_error_about_a_batch_reaches_each_device_in_the_cas_words() {
    let bench = Bench::new(By::Pbm);
    let stranger = bench.server.with(|ca| ca.ra_without_purpose(RaMode::Forward, seconds_now())).signer;
    let authority = authority(&bench, &stranger);
    let client = bench.config().build().unwrap();
    let mut devices: Vec<Operation> = (0..3).map(|_| ask(&client)).collect();
    let now = system_time();
    let requests: Vec<DeviceRequest> = devices
        .iter_mut()
        .map(|device| {
            device.step(now).unwrap();
            authority.check(device.output().unwrap(), None, now).unwrap()
        })
        .collect();
    let batch = authority.batch(requests, now).unwrap();
    let refusal = bench.server.with(|ca| ca.answer(batch.message(), seconds_now()));

    let answers = authority.unbundle(&batch, Some(&refusal), now).unwrap();

    assert_eq!(answers.len(), 3);
    for (device, answer) in devices.iter_mut().zip(&answers) {
        device.feed(answer).unwrap();
        let error = device.step(now).map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.facts().fail_info), (Code::Rejected, Some(1 << 23)), "{error}");
        assert_eq!(error.facts().server_texts, ["a nested message from someone who is no RA of this CA"]);
        assert!(error.facts().server_authenticated && device.has_failed(), "under the secret that the device expects");
    }
    // One device's answer is no other's; and an error that is not the CA's, or about another batch, reaches nobody.
    let mut other = ask(&client);
    other.step(now).unwrap();
    other.feed(&answers[0]).unwrap();
    assert!(other.step(now).is_err() && !other.has_failed());
    let mut changed = refusal.clone();
    let place = refusal.windows(9).position(|window| window == b"no RA of ").unwrap();
    changed[place] = b's';
    assert_eq!(authority.unbundle(&batch, Some(&changed), now).unwrap_err().code(), Code::ProtectionInvalid);
    let again = authority.check(other.output().unwrap(), None, now).unwrap();
    let second = authority.batch(vec![again], now).unwrap();
    assert_eq!(authority.unbundle(&second, Some(&refusal), now).unwrap_err().code(), Code::TransactionId);
}

#[test]
fn an_ra_has_several_certificates_revoked_by_one_message() {
    let bench = Bench::new(P256);
    let certificates: Vec<Certificate> = (0..3).map(|_| bench.first_certificate().0.certificate).collect();
    let mut config = bench.config();
    let ra = holder(&bench);
    config.protect_with_certificate(key_of(&ra), certificate_of(&ra), vec![issuing(&bench)]);
    let client = config.build().unwrap();
    let revoke = |wanted: &[&Certificate]| {
        let one = |certificate: &&Certificate| RevocationRequest::new(certificate, CrlReason::Superseded);
        let mut operation = client.revoke_several(wanted.iter().map(one).collect()).unwrap();
        client.complete(&mut operation, &mut Story::default()).unwrap();
        let outcomes = operation.revocations().unwrap().outcomes.clone();
        outcomes.into_iter().map(|outcome| outcome.err().map(|error| error.facts().fail_info)).collect::<Vec<_>>()
    };
    bench.set::<&str>(&[]);
    assert_eq!(revoke(&[&certificates[1]]), [None], "a list of one is a list");
    // What is revoked already is refused, and hides nothing of the others.
    assert_eq!(revoke(&[&certificates[0], &certificates[1], &certificates[2]]), [None, Some(Some(1 << 10)), None]);
    assert_eq!(bench.complaints(), [""; 0]);
    assert_eq!(revoke(&certificates.iter().collect::<Vec<_>>()), [Some(Some(1 << 10)); 3]);
}

#[test]
fn an_ra_without_a_certificate_of_its_own_is_refused() {
    let bench = Bench::new(By::Pbm);
    let context = Arc::clone(bench.config().build().unwrap().context());
    assert!(matches!(context.credential, Credential::Mac { .. }));
    let error = RegistrationAuthority::new(context, TrustAnchors::new()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let bench = Bench::new(P256);
    // Nor one that would believe whoever answers first, and vouch for it to its devices.
    let mut believing = Context::clone(&context_of(&bench, &holder(&bench)));
    believing.adopt_root_of_ip = true;
    let error = RegistrationAuthority::new(Arc::new(believing), TrustAnchors::new()).unwrap_err();
    assert!(error.code() == Code::InvalidArgument && error.message().contains("adopt_root"), "{error}");
    // Nothing is taken from devices of nobody's.
    let authority = RegistrationAuthority::new(context_of(&bench, &holder(&bench)), TrustAnchors::new()).unwrap();
    let error = authority.check(&first_message(&bench), None, system_time()).unwrap_err();
    assert_eq!(error.code(), Code::ProtectionInvalid);
}
