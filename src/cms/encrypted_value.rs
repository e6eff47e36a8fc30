//! Opening EncryptedValue, CRMF's own way before there was EnvelopedData (RFC 4211 section 2.1; deprecated).
//!
//! Not authenticated, and mostly under RSA PKCS#1 v1.5: for old peers, behind a switch of the caller's.

use ::der::Tag;
use zeroize::Zeroizing;

use super::error::{CmsError, opened_or};
use super::recipient::oaep_parameters;
use crate::asn1::der::Asn1Error;
use crate::asn1::encrypted_key::EncryptedValue;
use crate::asn1::oid;
use crate::asn1::pkcs8::absent_or_null;
use crate::crypto::{CipherAlgorithm, CryptoError, PrivateKey, Provider, RsaEncryption};
use crate::features::{self, needs};
use crate::prelude::*;

/// The decrypted content. Fields that are needed and missing are told by name; everything that depends on what was
/// encrypted is [`CryptoError::Decrypt`].
pub fn open_value(
    provider: &dyn Provider,
    value: &EncryptedValue<'_>,
    key: &dyn PrivateKey,
) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    needs(features::ENVELOPED)?;
    const WHAT: &str = "EncryptedValue";
    let missing = |rule| CmsError::from(Asn1Error::invalid(WHAT, rule));
    // Each is OPTIONAL in the syntax (OpenSSL took what was missing for present).
    let (cipher, parameters) = value.symm_alg.ok_or_else(|| missing("no symmAlg"))?;
    let sealed = value.enc_symm_key.ok_or_else(|| missing("no encSymmKey"))?;
    let (transport, transport_parameters) = value.key_alg.ok_or_else(|| missing("no keyAlg"))?;
    let key_len = match cipher {
        o if o == oid::AES128_CBC => 16,
        o if o == oid::AES192_CBC => 24,
        o if o == oid::AES256_CBC => 32,
        other => return Err(CryptoError::Unsupported(format!("EncryptedValue under {other}; AES-CBC is")).into()),
    };
    let iv = parameters.filter(|p| p.tag == Tag::OctetString && p.value.len() == 16);
    let iv = iv.ok_or_else(|| missing("symmAlg without an initialization vector of 16 bytes"))?.value;
    let scheme = match transport {
        o if o == oid::RSA_ENCRYPTION => {
            absent_or_null(transport_parameters, WHAT)?;
            RsaEncryption::Pkcs1
        }
        o if o == oid::RSAES_OAEP => oaep_parameters(transport_parameters)?,
        other => return Err(CryptoError::Unsupported(format!("key transport {other}")).into()),
    };
    // RFC 3218 section 2.3.2: go on with a random key, so that nobody learns at which step it failed.
    let mut instead = Zeroizing::new(vec![0u8; key_len]);
    provider.random(&mut instead)?;
    let opened = opened_or(key.decrypt(scheme, sealed), instead)?;
    Ok(provider.decrypt(CipherAlgorithm::AesCbc, &opened, iv, &[], value.value)?)
}
