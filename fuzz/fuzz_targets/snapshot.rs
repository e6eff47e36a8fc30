//! Saved operations: any bytes, with the digest made right so that the fuzzer gets behind it.
#![no_main]
use devid::asn1::der::{element, sequence};
use devid::client::Config;
use devid::cmp::{MacParameters, Operation, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut config = Config::new();
    config.protect_with_secret(b"4711", b"secret", MacParameters::PASSWORD_BASED).unwrap();
    config.limits.max_mac_iterations = 10_000;
    let client = config.build().expect("the settings are whole");
    let key = config.provider().generate_key(KeyKind::Ed25519).expect("a key");
    let _ = Operation::saved_key(input);
    let _ = client.restore(Signer::Key(key.clone()), input);
    let content = sequence(&[input]);
    let digest = config.provider().digest(DigestAlgorithm::Sha256, &[&content]).expect("a digest");
    let _ = client.restore(Signer::Key(key), &sequence(&[&content, &element(0x04, &[&digest])]));
});
