//! Certificates in DER and PEM: no input makes the reader panic, and what it accepts it hands out again unchanged.
#![no_main]
use devid::asn1::x509::Certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.as_der(), input);
        let _ = (certificate.subject_key_identifier(), format!("{certificate:?}"), certificate.extensions().count());
    }
    let _ = Certificate::many_from_bytes(input);
});
