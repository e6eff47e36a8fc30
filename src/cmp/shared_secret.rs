//! A secret shared with the other side: what a MAC is made and checked with.

use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;

/// A secret shared with a CA, an RA or a device, by which messages are protected (RFC 9810 section 5.1.3.1). There is none that is
/// empty: nothing that a MAC is made or checked with comes by another way. A copy shares the octets, which are wiped with the last.
#[derive(Clone)]
pub struct SharedSecret(Arc<Zeroizing<Vec<u8>>>);

impl SharedSecret {
    /// Of these octets.
    ///
    /// Errors: [`Code::InvalidArgument`] if there are none, or nothing but zero bytes, as a buffer has that nobody has filled: HMAC fills
    /// its key up with them (RFC 2104 section 2), so that PBMAC1 under such a secret is PBMAC1 under the empty one.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        let words = match secret {
            [] => "the secret is empty: whoever knows the reference value could protect messages with it",
            _ if secret.iter().all(|byte| *byte == 0) => {
                "the secret is nothing but zero bytes, which counts as empty (RFC 2104): whoever knows the reference value could \
                 protect messages with it"
            }
            _ => return Ok(SharedSecret(Arc::new(Zeroizing::new(secret.to_vec())))),
        };
        Err(Error::new(Code::InvalidArgument, words))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_zero_bytes_alone_are_no_secret() {
        for none in [&b""[..], &[0], &[0; 16], &[0; 64], &[0; 200]] {
            assert_eq!(SharedSecret::new(none).unwrap_err().code(), Code::InvalidArgument, "{} bytes", none.len());
        }
    }

    #[test]
    fn one_byte_that_is_not_zero_makes_a_secret_and_a_copy_shares_it() {
        for some in [&b"0"[..], b" ", &[0, 1], &[0xff; 16]] {
            let secret = SharedSecret::new(some).unwrap();
            let copy = secret.clone();
            assert_eq!((copy.as_bytes(), Arc::strong_count(&secret.0)), (some, 2));
            assert_eq!(format!("{secret:?}"), "SharedSecret(..)");
        }
    }
}
