//! PKCS#12 files and the BER they may come in.
#![no_main]
use devid::asn1::ber::with_definite_lengths;
use devid::cms::Pkcs12;
use devid::cms::pkcs12::is_pkcs12;
use devid::crypto::default_provider;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = is_pkcs12(input);
    if let Ok(definite) = with_definite_lengths(input) {
        assert_eq!(with_definite_lengths(&definite).as_deref(), Ok(&*definite), "once is enough");
    }
    let _ = Pkcs12::open(&*default_provider(), input, "1234");
});
