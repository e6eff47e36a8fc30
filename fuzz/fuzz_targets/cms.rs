//! What is encrypted or signed: no input makes a reader panic, and nothing is opened that was not sealed for this key.
#![no_main]
use std::sync::{Arc, LazyLock};

use devid::asn1::encrypted_key::EncryptedKey;
use devid::asn1::oid;
use devid::cms::{self, OpenOptions, SignedData};
use devid::crypto::{KeyKind, PrivateKey, Provider, default_provider};
use devid::limits::Limits;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<(Arc<dyn Provider>, Vec<Arc<dyn PrivateKey>>)> = LazyLock::new(|| {
    let provider = default_provider();
    let kinds = [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::X25519, KeyKind::MlKem512];
    let keys = kinds.map(|kind| provider.generate_key(kind).expect("a key pair")).to_vec();
    (provider, keys)
});

fuzz_target!(|input: &[u8]| {
    let (provider, keys) = &*KEYS;
    let limits = Limits { max_mac_iterations: 100, ..Limits::default() };
    for key in keys {
        let options = OpenOptions {
            key: Some(&**key),
            password: Some(b"secret"),
            allow_pkcs1_transport: true,
            ..OpenOptions::new(&limits)
        };
        let _ = cms::open(&**provider, input, &options);
        match EncryptedKey::from_der(input) {
            Ok(EncryptedKey::Enveloped(fields)) => {
                let _ = cms::open_content(&**provider, oid::CMS_ENVELOPED_DATA, fields, &options);
            }
            Ok(EncryptedKey::Value(value)) => {
                let _ = cms::open_value(&**provider, &value, &**key);
            }
            Err(_) => {}
        }
    }
    if let Ok(signed) = SignedData::from_der(input) {
        for certificate in signed.signer_certificates() {
            let _ = signed.verify_by(&**provider, certificate, keys[1].spki(), false);
        }
    }
    let _ = cms::certificates_from_pkcs7(input);
    let _ = devid::asn1::cmp::Rand::from_der(input);
});
