//! The inspector over private keys in every wrapping and damaged anywhere: no eight bytes of the secret are ever shown.
#![no_main]
mod made;

use devid::asn1::der::{element, sequence};
use devid::asn1::pem;
use devid::inspect::{Format, inspect};
use libfuzzer_sys::fuzz_target;
use made::Choices;

const SECRET: [u8; 32] = *b"\x9e\x3c\xa1\x57\xd4\x08\xbf\x62\x1d\xe9\x74\xc5\x3b\x90\xf6\x2a\x81\x4d\xb7\x13\xea\x5f\x06\xd8\x49\xac\x72\x95\x2e\xc0\x6b\xf1";

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    // RFC 8410: OneAsymmetricKey of Ed25519.
    let algorithm = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    let mut der = sequence(&[&[0x02, 0x01, 0x00], &algorithm, &element(0x04, &[&element(0x04, &[&SECRET])])]);
    for _ in 0..choices.below(4) {
        der = match choices.below(5) {
            0 => element(0x04, &[&der]),
            1 => sequence(&[&der]),
            2 => element(0xa0, &[&der]),
            3 => element(0x31, &[&der]),
            _ => sequence(&[&[0x06, 0x03, 0x2a, 0x03, 0x04], &element(0xa0, &[&der])]),
        };
    }
    choices.mutate(&mut der);
    let text = if choices.maybe() { pem::encode("PRIVATE KEY", &der).as_bytes().to_vec() } else { der };
    for format in [Format::Text, Format::Json] {
        let Ok(shown) = inspect(&text, format) else { continue };
        let shown = shown.to_ascii_lowercase();
        let plain: String = shown.chars().filter(|c| c.is_ascii_hexdigit()).collect();
        for window in SECRET.windows(8) {
            let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!plain.contains(&hex), "the secret is shown");
        }
    }
});
