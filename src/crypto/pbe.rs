//! PKCS#12's own way from a password to keys (RFC 7292 appendix B), and what was encrypted by it (appendix C): PKCS#12 files and keys in
//! PKCS#8 of OpenSSL before 3.0, Java and others. Nothing is encrypted so.

use zeroize::Zeroizing;

use super::{CryptoError, DigestAlgorithm, Provider};
use crate::prelude::*;

/// What derived bytes are for (appendix B.3).
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    #[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code, reason = "for old ciphers alone"))]
    Key = 1,
    #[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code, reason = "for old ciphers alone"))]
    Iv = 2,
    Mac = 3,
}

/// A password as a BMPString with a NULL terminator (appendix B.1).
pub(crate) fn bmp(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
    for unit in text.encode_utf16().chain([0]) {
        out.extend_from_slice(&unit.to_be_bytes());
    }
    out
}

/// The derivation (appendix B.2). The caller has counted `iterations`, at least 1.
pub(crate) fn derive(
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

/// Undoes an encryption by one of pkcs-12PbeIds (appendix C): key and IV by SHA-1. `spend` counts iterations before they are done.
#[cfg(feature = "legacy-ciphers")]
pub(crate) fn decrypt<E: From<CryptoError> + From<crate::asn1::Asn1Error>>(
    provider: &dyn Provider,
    (algorithm, parameters): (crate::asn1::oid::Oid, crate::asn1::der::Tlv<'_>),
    password: &[u8],
    ciphertext: &[u8],
    spend: impl FnOnce(u32) -> Result<(), E>,
) -> Result<Zeroizing<Vec<u8>>, E> {
    use super::legacy::{self, LegacyCipher};
    use crate::asn1::Asn1Error;
    use crate::asn1::der::Cursor;
    use crate::asn1::{known_as::named, oid};
    const WHAT: &str = "pkcs-12PbeParams";
    let (cipher, key_len) = match algorithm {
        o if o == oid::PBE_SHA1_3DES_3KEY => (LegacyCipher::TripleDes, 24),
        o if o == oid::PBE_SHA1_3DES_2KEY => (LegacyCipher::TripleDes, 16),
        o if o == oid::PBE_SHA1_RC2_128 => (LegacyCipher::Rc2, 16),
        o if o == oid::PBE_SHA1_RC2_40 => (LegacyCipher::Rc2, 5),
        other => return Err(CryptoError::Unsupported(format!("what is encrypted with {}", named(&other))).into()),
    };
    let mut fields = Cursor::sequence(parameters.bytes, WHAT)?;
    let salt = fields.expect(::der::Tag::OctetString, "salt")?.value;
    let iterations: u32 = fields.decode()?;
    fields.finish()?;
    if iterations == 0 {
        return Err(Asn1Error::invalid(WHAT, "0 iterations").into());
    }
    spend(iterations)?;
    let (mut material, mut iv) = (Zeroizing::new([0u8; 24]), [0u8; 8]);
    let digest = DigestAlgorithm::Sha1;
    derive(provider, digest, password, salt, (Purpose::Key, iterations), &mut material[..key_len])?;
    derive(provider, digest, password, salt, (Purpose::Iv, iterations), &mut iv)?;
    if algorithm == oid::PBE_SHA1_3DES_2KEY {
        // Two-key triple DES: the first key is the third as well.
        material.copy_within(..8, 16);
        return Ok(legacy::decrypt(cipher, &*material, &iv, ciphertext)?);
    }
    Ok(legacy::decrypt(cipher, &material[..key_len], &iv, ciphertext)?)
}
