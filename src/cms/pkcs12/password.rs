//! From a password to keys: the forms a password takes, PKCS#12's key derivation, and a bound on the work.

use zeroize::Zeroizing;

use crate::asn1::Asn1Error;
use crate::crypto::{CryptoError, DigestAlgorithm, Provider};
use crate::limits;

/// The password, and how much work may still be done with it.
pub(super) struct Password<'a> {
    pub provider: &'a dyn Provider,
    text: &'a str,
    iterations_left: u64,
}

/// What derived bytes are for (RFC 7292 appendix B.3).
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    #[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code, reason = "for old ciphers alone"))]
    Key = 1,
    #[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code, reason = "for old ciphers alone"))]
    Iv = 2,
    Mac = 3,
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

fn bmp(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
    for unit in text.encode_utf16().chain([0]) {
        out.extend_from_slice(&unit.to_be_bytes());
    }
    out
}

/// PKCS#12's own key derivation (RFC 7292 appendix B.2). The caller has counted `iterations`, at least 1.
pub(super) fn derive(
    provider: &dyn Provider,
    digest: DigestAlgorithm,
    password: &[u8],
    salt: &[u8],
    (purpose, iterations): (Purpose, u32),
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let block_len = match digest {
        DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 => 128,
        _ => 64,
    };
    let diversifier = vec![purpose as u8; block_len];
    // S and P: repeated to whole blocks.
    let mut input = Zeroizing::new(Vec::with_capacity(salt.len() + password.len() + 2 * block_len));
    for part in [salt, password] {
        let length = part.len().next_multiple_of(block_len);
        input.extend(part.iter().copied().cycle().take(if part.is_empty() { 0 } else { length }));
    }
    let mut chunks = out.chunks_mut(digest.output_len()).peekable();
    while let Some(chunk) = chunks.next() {
        let value = provider.digest_repeated(digest, &[&diversifier, &input], iterations)?;
        chunk.copy_from_slice(&value[..chunk.len()]);
        if chunks.peek().is_some() {
            let addend: Zeroizing<Vec<u8>> = Zeroizing::new(value.iter().copied().cycle().take(block_len).collect());
            input.chunks_mut(block_len).for_each(|block| add_and_one(block, &addend));
        }
    }
    Ok(())
}

/// block = block + addend + 1, big endian, without the overflow.
fn add_and_one(block: &mut [u8], addend: &[u8]) {
    let mut carry = 1u16;
    for (byte, more) in block.iter_mut().zip(addend).rev() {
        let sum = u16::from(*byte) + u16::from(*more) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}
