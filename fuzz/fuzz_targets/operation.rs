//! An operation fed with what a server without the secret can send: nothing of it may panic, hang or succeed.
//!
//! The first byte chooses what becomes of the bytes: fed as they are, or put as body, generalInfo or extraCerts into an
//! answer whose header matches, so that the fuzzer gets past the first checks.
#![no_main]
use devid::Time;
use devid::asn1::cmp::{PkiMessage, message};
use devid::asn1::name::Name;
use devid::client::{Config, Subject};
use devid::cmp::{ActionKind, MacParameters, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut config = Config::new();
    let digest = DigestAlgorithm::Sha256;
    let parameters = MacParameters::PasswordBased { owf: digest, mac: digest, iterations: 100 };
    config.protect_with_secret(b"4711", b"secret", parameters).unwrap();
    config.accept_ca_pubs = true;
    config.limits.max_mac_iterations = 1000;
    let client = config.build().expect("the settings are whole");
    let key = Signer::Key(config.provider().generate_key(KeyKind::Ed25519).expect("a key"));
    let subject = Subject::new().name("CN=device").expect("a name");
    let mut operation = client.enroll(key, &subject).expect("an operation");
    let now = Time::from_unix(1_800_000_000);
    assert_eq!(operation.step(now).map(|action| action.kind()).expect("the request"), ActionKind::Send);

    let answer = if choice & 1 == 0 { bytes.to_vec() } else { answer_with(operation.output().expect("it"), bytes) };
    if operation.feed(&answer).is_ok() {
        assert!(!matches!(operation.step(now).map(|action| action.kind()), Ok(ActionKind::Accept | ActionKind::Done)), "accepted without the secret");
    }
});

fn answer_with(request: &[u8], body: &[u8]) -> Vec<u8> {
    let request = PkiMessage::from_der(request.to_vec(), &Default::default()).expect("our own message");
    let mut header = request.header().clone();
    header.recip_nonce = header.sender_nonce.clone();
    header.sender = Some(Name::null().as_der().to_vec());
    message::assemble(&header.to_der(), body, Some(&[0; 32]), std::iter::empty())
}
