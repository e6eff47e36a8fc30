//! Revocation lists, whole and in one pass: no input makes a reader panic, and both readers accept the same lists and
//! find the same entries in them.
#![no_main]
use std::sync::Arc;

use devid::crypto::default_provider;
use devid::validation::crl::Found;
use devid::validation::{Crl, CrlStream};
use libfuzzer_sys::fuzz_target;

const SERIALS: [&[u8]; 3] = [&[1], &[5], &[0x00, 0x80]];

fuzz_target!(|input: &[u8]| {
    let whole = Crl::from_bytes(Arc::new(input.to_vec()));
    let provider = default_provider();
    let mut stream = CrlStream::new(provider.clone(), &SERIALS).expect("three serial numbers");
    let fed = input.chunks(7).try_for_each(|chunk| stream.feed(chunk));
    let streamed = fed.and_then(|()| stream.finish());
    if let (Ok(whole), Ok(streamed)) = (&whole, &streamed) {
        for serial in SERIALS {
            assert_eq!(whole.find(serial), streamed.find(serial));
            assert_ne!(whole.find(serial), Found::NotAsked);
        }
        assert_eq!(whole.issuing_distribution_point(), streamed.issuing_distribution_point());
    }
    // The one-pass reader knows fewer algorithms and has bounds of its own; it takes nothing that the other refuses.
    assert!(streamed.is_err() || whole.is_ok());
});
