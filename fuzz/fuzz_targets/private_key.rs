//! Private keys in every form, with and without a password.
#![no_main]
use devid::crypto::{default_provider, keys::load_private_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let provider = default_provider();
    let _ = load_private_key(&*provider, input, None);
    let _ = load_private_key(&*provider, input, Some(b"password"));
});
