//! The forms a password takes, and a bound on the work that is done with it.

use zeroize::Zeroizing;

use crate::asn1::Asn1Error;
use crate::crypto::Provider;
use crate::crypto::pbe::bmp;
use crate::limits;
use crate::prelude::*;

/// The password, and how much work may still be done with it.
pub(super) struct Password<'a> {
    pub provider: &'a dyn Provider,
    text: &'a str,
    iterations_left: u64,
}

impl<'a> Password<'a> {
    pub fn new(provider: &'a dyn Provider, text: &'a str) -> Self {
        Password { provider, text, iterations_left: limits::MAX_PKCS12_ITERATIONS }
    }

    /// For PKCS#12's own derivation: a BMPString with a NULL terminator (appendix B.1). Of the empty password some tools
    /// make the terminator, others nothing at all.
    pub fn bmp_forms(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let mut forms = vec![bmp(self.text)];
        if self.text.is_empty() {
            forms.push(Zeroizing::new(Vec::new()));
        }
        forms
    }

    /// For PBES2 and PBMAC1: the text in UTF-8, which is what tools do; and the BMPString, which is what RFC 9579
    /// section 6 says.
    pub fn pbkdf2_forms(&self) -> Vec<Zeroizing<Vec<u8>>> {
        vec![Zeroizing::new(self.text.as_bytes().to_vec()), bmp(self.text)]
    }

    /// Counts work against the limit before it is done.
    pub fn spend(&mut self, iterations: u64) -> Result<(), Asn1Error> {
        match self.iterations_left.checked_sub(iterations) {
            Some(left) => {
                self.iterations_left = left;
                Ok(())
            }
            None => {
                let limit = usize::try_from(limits::MAX_PKCS12_ITERATIONS).unwrap_or(usize::MAX);
                let spent = limits::MAX_PKCS12_ITERATIONS - self.iterations_left;
                let found = usize::try_from(spent.saturating_add(iterations)).unwrap_or(usize::MAX);
                Err(Asn1Error::too_large("PKCS#12", "count of key derivation's iterations", limit, found))
            }
        }
    }
}
