//! A revocation passphrase on its way to the CA (RFC 9810 section 5.3.19.9 and appendix B).

use core::fmt;

use super::context::Context;
use super::credential::Credential;
use super::shared_secret::SharedSecret;
use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::asn1::encrypted_key::EncryptedKey;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::cms::ContentEncryption;
use crate::codes::Code;
use crate::crypto::algorithm::encode_oid;
use crate::error::Error;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::{Checks, NameCheck, PeerKey, PeerRequest, Purpose};

/// A passphrase and its reference value, encrypted to the CA. The passphrase itself is not kept: neither messages nor saved
/// operations hold it in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPassphrase {
    /// EncryptedKey, DER.
    encrypted_key: Vec<u8>,
}

impl SealedPassphrase {
    /// Encrypts for the holder of a certificate that leads to the CMP anchors and may be encrypted to.
    ///
    /// `reference` is how the CA finds the passphrase again: senderKID of the later request. A passphrase protects as well as
    /// it is hard to guess: whoever sees that request may try all it likes.
    ///
    /// Errors: the reference value is empty, or the passphrase is no [`SharedSecret`]; what validation finds; no key that can be encrypted to.
    pub fn seal(
        context: &Context,
        recipient: &Certificate,
        reference: &str,
        passphrase: &[u8],
        now: Time,
    ) -> Result<Self, Error> {
        if reference.is_empty() {
            return Err(Error::new(Code::InvalidArgument, "the reference value of the revocation passphrase is empty"));
        }
        // Whoever asks for the revocation protects the request with it.
        let passphrase = SharedSecret::new(passphrase).map_err(|e| e.context("the revocation passphrase"))?;
        let mut checks = Checks::at(now);
        checks.revocation = context.signer_revocation.clone();
        let mut pool = context.intermediates.clone();
        if let Credential::Signature { chain, .. } = &context.credential {
            pool.extend_from_slice(chain);
        }
        let status = context.signer_status.recalled(recipient, &pool);
        let request = PeerRequest {
            anchors: &context.cmp_anchors,
            certificate: recipient,
            pool: &pool,
            status: &status,
            checks,
            purpose: Purpose::Any,
            names: NameCheck::NotChecked,
            use_until: None,
        };
        const TO_WHOM: &str = "the certificate that the revocation passphrase is to be encrypted to";
        let (report, key) = PeerKey::open(&context.provider, request)?;
        let Some(key) = key else {
            let refused = report.error().unwrap_or_else(|| Error::new(Code::NoPath, "no path"));
            return Err(refused.context(TO_WHOM));
        };
        // EncryptedKey has room for EnvelopedData alone; who wrote it is what the message's protection says.
        let sealed =
            key.encrypt(now, ContentEncryption::Aes256Cbc, passphrase.as_bytes()).map_err(|e| e.context(TO_WHOM))?;
        Ok(SealedPassphrase { encrypted_key: encrypted_key(&sealed, reference.as_bytes())? })
    }

    /// EncryptedKey, DER.
    pub fn as_der(&self) -> &[u8] {
        &self.encrypted_key
    }

    /// From EncryptedKey, as [`SealedPassphrase::as_der`] gave it.
    pub(super) fn from_der(der: Vec<u8>) -> Result<Self, Error> {
        match EncryptedKey::from_der(&der)? {
            EncryptedKey::Enveloped(_) => Ok(SealedPassphrase { encrypted_key: der }),
            EncryptedKey::Value(_) => Err(Error::new(Code::Corrupt, "a passphrase that is not in EnvelopedData")),
        }
    }
}

impl fmt::Debug for SealedPassphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedPassphrase(..)")
    }
}

/// EncryptedKey with EnvelopedData out of its ContentInfo, and the reference value as its attribute localKeyId (appendix B),
/// with which the version is 2 at least (RFC 5652 section 6.1).
fn encrypted_key(content_info: &[u8], reference: &[u8]) -> Result<Vec<u8>, Error> {
    const WHAT: &str = "EnvelopedData";
    let mut info = Cursor::sequence(content_info, "ContentInfo")?;
    info.any("contentType")?;
    let mut content = Cursor::new(info.any("content")?.value, "ContentInfo")?;
    let mut fields = Cursor::new(content.any(WHAT)?.value, WHAT)?;
    let version: i64 = fields.decode()?;
    let recipients = fields.any("recipientInfos")?.bytes;
    let encrypted = fields.any("encryptedContentInfo")?.bytes;
    let values = element(0x31, &[&element(0x04, &[reference])]);
    let attributes = element(0xa1, &[&sequence(&[&encode_oid(oid::LOCAL_KEY_ID), &values])]);
    Ok(element(0xa0, &[&encode(&version.max(2)), recipients, encrypted, &attributes]))
}
