//! PKCS #10 requests by anybody, as they come and signed anew by their own key: no panic, and one whose signature holds can be
//! asked for.
#![no_main]
use devid::asn1::pkcs10::CertificationRequest;
use devid::asn1::x509::assemble_signed;
use devid::client::offline::verify_request;
use devid::crypto::{KeyKind, PrivateKey, SignatureAlgorithm, default_provider};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

fn key() -> &'static Arc<dyn PrivateKey> {
    static KEY: OnceLock<Arc<dyn PrivateKey>> = OnceLock::new();
    KEY.get_or_init(|| default_provider().generate_key(KeyKind::Ed25519).expect("a key"))
}

fuzz_target!(|input: &[u8]| {
    let provider = default_provider();
    let _ = CertificationRequest::from_bytes(input);
    if let Ok(request) = CertificationRequest::from_der(input) {
        let _ = verify_request(&*provider, &request);
    }
    // The input as CertificationRequestInfo.
    let algorithm = SignatureAlgorithm::Ed25519;
    let signature = key().sign(&algorithm, input).expect("a signature");
    let made = assemble_signed(input, &algorithm.to_der(), &signature);
    if let Ok(request) = CertificationRequest::from_der(&made) {
        let is_ours = request.spki() == key().spki();
        assert!(!is_ours || verify_request(&*provider, &request).is_ok(), "signed by its own key");
    }
});
