//! OCSP responses: no input makes the reader panic.
#![no_main]
use devid::validation::OcspResponse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(response) = OcspResponse::from_der(input) {
        assert_eq!(response.basic().is_some(), response.status().to_string() == "successful");
        let _ = format!("{response:?}");
    }
});
