//! HMAC.

use hmac::{Hmac, KeyInit, Mac};

use super::super::{DigestAlgorithm, DigestValue};
use super::with_digest;

pub(super) fn hmac(algorithm: DigestAlgorithm, key: &[u8], parts: &[&[u8]]) -> DigestValue {
    with_digest!(algorithm, D => {
        let mut state = Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of every length");
        parts.iter().for_each(|part| state.update(part));
        DigestValue::new(&state.finalize().into_bytes())
    })
}
