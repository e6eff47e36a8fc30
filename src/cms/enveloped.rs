//! EnvelopedData (RFC 5652 section 6) with AES-CBC and AuthEnvelopedData (RFC 5083, RFC 5084) with AES-GCM.

use alloc::borrow::Cow;

use ::der::Tag;
use zeroize::Zeroizing;

use super::content_info::{encode_content_info, read_content_info};
use super::error::CmsError;
use super::options::OpenOptions;
use super::recipient::{Recipient, open_key};
use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::fields::read_oid;
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::algorithm_identifier;
use crate::crypto::{CipherAlgorithm, CryptoError, Provider};
use crate::features::{self, needs};
use crate::limits;
use crate::prelude::*;

/// How content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncryption {
    /// AES-256-CBC in EnvelopedData: what CMP demands (RFC 9481 section 5). Not authenticated.
    Aes256Cbc,
    /// AES-256-GCM in AuthEnvelopedData.
    Aes256Gcm,
}

/// Opened content.
#[derive(Debug)]
pub struct Opened {
    /// Its type, such as id-data or id-signedData.
    pub content_type: Oid,
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
    /// Whether it was authenticated (AES-GCM); without, whoever could reach the public key may have written it.
    pub authenticated: bool,
}

/// Seals content for recipients. The result is a ContentInfo, DER.
pub fn seal(
    provider: &dyn Provider,
    recipients: &[Recipient<'_>],
    encryption: ContentEncryption,
    content_type: Oid,
    content: &[u8],
) -> Result<Vec<u8>, CmsError> {
    let sealed_type = match encryption {
        ContentEncryption::Aes256Cbc => oid::CMS_ENVELOPED_DATA,
        ContentEncryption::Aes256Gcm => oid::CMS_AUTH_ENVELOPED_DATA,
    };
    let data = seal_content(provider, recipients, encryption, content_type, content)?;
    Ok(encode_content_info(sealed_type, &data))
}

/// EnvelopedData or AuthEnvelopedData alone, DER, as CMP's EncryptedKey holds it.
pub fn seal_content(
    provider: &dyn Provider,
    recipients: &[Recipient<'_>],
    encryption: ContentEncryption,
    content_type: Oid,
    content: &[u8],
) -> Result<Vec<u8>, CmsError> {
    needs(features::ENVELOPED)?;
    if recipients.is_empty() {
        return Err(CmsError::NotForUs { recipients: 0 });
    }
    let mut key = Zeroizing::new([0u8; 32]);
    provider.random(&mut *key)?;
    let infos: Vec<_> = recipients.iter().map(|r| r.seal_key(provider, &*key)).collect::<Result<_, _>>()?;
    let infos = set_of(infos);

    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let encrypted_content = |algorithm: &[u8], ciphertext: &[u8]| {
        sequence(&[&object(content_type), algorithm, &element(0x80, &[ciphertext])])
    };
    match encryption {
        ContentEncryption::Aes256Cbc => {
            let mut iv = [0u8; 16];
            provider.random(&mut iv)?;
            let ciphertext = provider.encrypt(CipherAlgorithm::AesCbc, &*key, &iv, &[], content)?;
            let algorithm = sequence(&[&object(oid::AES256_CBC), &element(0x04, &[&iv])]);
            let versions: Vec<_> = recipients.iter().map(Recipient::enveloped_version).collect::<Result<_, _>>()?;
            let version = versions.into_iter().max().unwrap_or(0);
            Ok(sequence(&[&[0x02, 0x01, version], &infos, &encrypted_content(&algorithm, &ciphertext)]))
        }
        ContentEncryption::Aes256Gcm => {
            let mut nonce = [0u8; 12];
            provider.random(&mut nonce)?;
            // RFC 5083 section 2.1: attributes, with the content's type, unless that is id-data.
            let attributes = if content_type == oid::CMS_DATA {
                Vec::new()
            } else {
                sequence(&[&object(oid::CMS_CONTENT_TYPE), &element(0x31, &[&object(content_type)])])
            };
            let (written, authenticated) = if attributes.is_empty() {
                (Vec::new(), Vec::new())
            } else {
                (element(0xa1, &[&attributes]), element(0x31, &[&attributes]))
            };
            let mut ciphertext = provider.encrypt(CipherAlgorithm::AesGcm, &*key, &nonce, &authenticated, content)?;
            let tag = ciphertext.split_off(content.len());
            // GCMParameters (RFC 5084 section 3.2): the tag's length is written, its DEFAULT is 12.
            let parameters = sequence(&[&element(0x04, &[&nonce]), &[0x02, 0x01, 16]]);
            let algorithm = sequence(&[&object(oid::AES256_GCM), &parameters]);
            Ok(sequence(&[
                &[0x02, 0x01, 0x00],
                &infos,
                &encrypted_content(&algorithm, &ciphertext),
                &written,
                &element(0x04, &[&tag]),
            ]))
        }
    }
}

/// Opens a ContentInfo with enveloped or authenticated-enveloped data, DER.
///
/// Wrong keys, changed content and malformed padding are all [`CryptoError::Decrypt`].
pub fn open(provider: &dyn Provider, content_info: &[u8], options: &OpenOptions<'_>) -> Result<Opened, CmsError> {
    let (content_type, content) = read_content_info(content_info)?;
    open_content(provider, content_type, content.value, options)
}

/// Opens what stands inside a ContentInfo, or stands alone as in CMP's EncryptedKey: `fields` is the content of the
/// EnvelopedData's SEQUENCE, without tag and length, which may have been replaced by an IMPLICIT tag.
pub fn open_content(
    provider: &dyn Provider,
    content_type: Oid,
    fields: &[u8],
    options: &OpenOptions<'_>,
) -> Result<Opened, CmsError> {
    needs(features::ENVELOPED)?;
    let (what, authenticated) = match content_type {
        o if o == oid::CMS_ENVELOPED_DATA => ("EnvelopedData", false),
        o if o == oid::CMS_AUTH_ENVELOPED_DATA => ("AuthEnvelopedData", true),
        _ => return Err(Asn1Error::invalid("ContentInfo", "contentType is not enveloped data").into()),
    };
    let mut fields = Cursor::new(fields, what)?;
    // RFC 5652 section 6.1 derives the version from the rest; RFC 9483's 0 with a password is met as well as 3.
    if !matches!(fields.expect(Tag::Integer, "version")?.value, [0..=4]) {
        return Err(Asn1Error::invalid(what, "version is not 0 to 4").into());
    }
    fields.optional_context(0, true)?;
    let infos = fields.expect(Tag::Set, "recipientInfos")?;
    let encrypted = EncryptedContent::read(fields.expect(Tag::Sequence, "encryptedContentInfo")?)?;
    encrypted.check_place(authenticated, options)?;
    let attributes = fields.optional_context(1, true)?;
    let mut ciphertext = encrypted.ciphertext.to_vec();
    let mut aad = Vec::new();
    if authenticated {
        let tag = fields.expect(Tag::OctetString, "mac")?.value;
        fields.optional_context(2, true)?;
        if tag.len() != 16 {
            return Err(CryptoError::Unsupported(format!("an AES-GCM tag of {} bytes; 16 are", tag.len())).into());
        }
        ciphertext.extend_from_slice(tag);
        aad = authenticated_attributes(attributes, encrypted.content_type)?;
    }
    fields.finish()?;

    let mut infos = Cursor::new(infos.value, what)?;
    let mut count = 0;
    let mut last = None;
    while !infos.is_empty() {
        count += 1;
        if count > limits::MAX_CMS_RECIPIENTS {
            return Err(Asn1Error::too_large(what, "count of recipients", limits::MAX_CMS_RECIPIENTS, count).into());
        }
        let opened = match open_key(provider, infos.any("a RecipientInfo")?, options, encrypted.key_len) {
            Ok(None) => continue,
            Ok(Some(key)) => encrypted.open(provider, &key, &aad, &ciphertext).map_err(CmsError::Crypto),
            Err(error) => Err(error),
        };
        match opened {
            Ok(content) => return Ok(Opened { content_type: encrypted.content_type, content, authenticated }),
            // What could not be tried may be the one that opens.
            Err(error) if !last.as_ref().is_some_and(CmsError::is_of_device) => last = Some(error),
            Err(_) => {}
        }
    }
    Err(last.unwrap_or(CmsError::NotForUs { recipients: count }))
}

/// EncryptedContentInfo with its algorithm understood.
struct EncryptedContent<'a> {
    content_type: Oid,
    cipher: CipherAlgorithm,
    key_len: usize,
    iv: &'a [u8],
    ciphertext: Cow<'a, [u8]>,
}

impl<'a> EncryptedContent<'a> {
    /// RFC 5084 section 1.4: AES-GCM stands in AuthEnvelopedData.
    fn check_place(&self, authenticated: bool, options: &OpenOptions<'_>) -> Result<(), CmsError> {
        match (self.cipher, authenticated) {
            (CipherAlgorithm::AesGcm, false) if !options.allow_gcm_in_enveloped => {
                let words = "AES-GCM in EnvelopedData, where RFC 5084 has AuthEnvelopedData; switch gcm_in_enveloped_data takes it, \
                             profile xipki";
                Err(CryptoError::Unsupported(words.to_owned()).into())
            }
            (CipherAlgorithm::AesCbc, true) => {
                let rule = "AES-CBC, which does not belong in this type of content";
                Err(Asn1Error::invalid("AuthEnvelopedData", rule).into())
            }
            _ => Ok(()),
        }
    }

    fn read(info: Tlv<'a>) -> Result<Self, CmsError> {
        const WHAT: &str = "EncryptedContentInfo";
        let mut fields = Cursor::new(info.value, WHAT)?;
        let content_type = read_oid(&mut fields)?;
        let (algorithm, parameters) =
            algorithm_identifier(fields.expect(Tag::Sequence, "contentEncryptionAlgorithm")?)?;
        let ciphertext = match fields.optional_context(0, true)? {
            // In pieces, as Bouncy Castle streams it.
            Some(pieces) => {
                let mut joined = Vec::new();
                let mut pieces = Cursor::new(pieces.value, WHAT)?;
                while !pieces.is_empty() {
                    joined.extend_from_slice(pieces.expect(Tag::OctetString, "a piece of encryptedContent")?.value);
                }
                Cow::Owned(joined)
            }
            None => {
                let whole = fields.optional_context(0, false)?;
                Cow::Borrowed(whole.ok_or_else(|| Asn1Error::invalid(WHAT, "no encryptedContent"))?.value)
            }
        };
        fields.finish()?;
        let (cipher, key_len) = match algorithm {
            o if o == oid::AES128_CBC => (CipherAlgorithm::AesCbc, 16),
            o if o == oid::AES192_CBC => (CipherAlgorithm::AesCbc, 24),
            o if o == oid::AES256_CBC => (CipherAlgorithm::AesCbc, 32),
            o if o == oid::AES128_GCM => (CipherAlgorithm::AesGcm, 16),
            o if o == oid::AES192_GCM => (CipherAlgorithm::AesGcm, 24),
            o if o == oid::AES256_GCM => (CipherAlgorithm::AesGcm, 32),
            other => return Err(CryptoError::Unsupported(format!("content encryption {other}; AES is")).into()),
        };
        let parameters = parameters.ok_or_else(|| Asn1Error::invalid(WHAT, "no initialization vector"))?;
        let iv = match cipher {
            CipherAlgorithm::AesCbc if parameters.tag == Tag::OctetString => parameters.value,
            CipherAlgorithm::AesCbc => return Err(Asn1Error::invalid(WHAT, "no initialization vector").into()),
            CipherAlgorithm::AesGcm => {
                let mut fields = Cursor::sequence(parameters.bytes, "GCMParameters")?;
                let nonce = fields.expect(Tag::OctetString, "aes-nonce")?.value;
                let tag_len: u8 = if fields.is_empty() { 12 } else { fields.decode()? };
                fields.finish()?;
                if tag_len != 16 || nonce.len() != 12 {
                    let found = format!("AES-GCM with a nonce of {} and a tag of {tag_len} bytes", nonce.len());
                    return Err(CryptoError::Unsupported(found).into());
                }
                nonce
            }
        };
        Ok(EncryptedContent { content_type, cipher, key_len, iv, ciphertext })
    }

    fn open(
        &self,
        provider: &dyn Provider,
        key: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        // A key of another size than the algorithm's is a downgrade, not another variant of AES.
        if key.len() != self.key_len {
            return Err(CryptoError::Decrypt);
        }
        provider.decrypt(self.cipher, key, self.iv, aad, ciphertext)
    }
}

/// What AES-GCM authenticates beside the content: the attributes as they came, under SET OF's own tag (RFC 5083
/// section 2.2). Attributes MUST be there, and name the content's type, unless that is id-data.
fn authenticated_attributes(attributes: Option<Tlv<'_>>, content_type: Oid) -> Result<Vec<u8>, CmsError> {
    const WHAT: &str = "AuthAttributes";
    let Some(attributes) = attributes else {
        return if content_type == oid::CMS_DATA {
            Ok(Vec::new())
        } else {
            Err(Asn1Error::invalid(WHAT, "absent although the content is not id-data").into())
        };
    };
    let mut list = Cursor::new(attributes.value, WHAT)?;
    let mut named = None;
    while !list.is_empty() {
        let mut attribute = Cursor::new(list.expect(Tag::Sequence, "an Attribute")?.value, WHAT)?;
        if read_oid(&mut attribute)? == oid::CMS_CONTENT_TYPE {
            let mut values = Cursor::new(attribute.expect(Tag::Set, "attrValues")?.value, WHAT)?;
            if named.replace(read_oid(&mut values)?).is_some() {
                return Err(Asn1Error::invalid(WHAT, "the content's type twice").into());
            }
            values.finish()?;
        }
    }
    if named.is_none_or(|named| named != content_type) {
        return Err(Asn1Error::invalid(WHAT, "the content's type is missing or another").into());
    }
    Ok(element(0x31, &[attributes.value]))
}

/// SET OF in DER: elements in ascending order (X.690 section 11.6).
fn set_of(mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    crate::order::sort(&mut elements);
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    element(0x31, &parts)
}
