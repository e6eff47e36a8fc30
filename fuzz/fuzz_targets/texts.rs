//! What comes as text: names, URLs, PEM with what is in it, PKCS #10 requests. A name that was read is written and read as the
//! same name.
#![no_main]
use devid::asn1::name::Name;
use devid::asn1::pem;
use devid::asn1::pkcs10::CertificationRequest;
use devid::asn1::x509::Certificate;
use devid::crypto::default_provider;
use devid::crypto::keys::load_private_key;
use devid::transport::Url;
use devid::validation::{Crl, same_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = CertificationRequest::from_der(input);
    let _ = pem::parse(input);
    let _ = Certificate::many_from_bytes(input);
    let _ = Crl::many_from_bytes(input);
    let _ = load_private_key(&*default_provider(), input, None);
    if let Ok(name) = Name::from_der(input) {
        let _ = name.to_string();
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Url::parse(text);
    if let Ok(name) = Name::parse(text) {
        let written = name.to_string();
        let again = Name::parse(&written).expect("what was written is read");
        assert!(same_name(again.as_der(), name.as_der()), "{text:?} became {written:?}");
    }
});
