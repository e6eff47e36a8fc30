//! PKIMessages: splitting, header, every body.
#![no_main]
use devid::asn1::cmp::PkiMessage;
use devid::limits::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    if let Ok(message) = PkiMessage::from_der(input.to_vec(), &limits) {
        let _ = message.body(&limits);
        assert!(message.protected_part().len() <= input.len() + 8);
    }
});
