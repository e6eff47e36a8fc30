//! Whom a recipient is named as, and small parts that all kinds of recipients have.

use ::der::Tag;

use super::error::CmsError;
use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{absent_or_null, algorithm_identifier};
use crate::asn1::x509::Certificate;
use crate::crypto::CryptoError;
use crate::prelude::*;

/// How a recipient's certificate is named.
#[derive(Clone, Copy, Debug)]
pub enum RecipientIdentifier<'a> {
    /// Issuer (Name, DER) and serial number (content of the INTEGER).
    IssuerAndSerial(&'a [u8], &'a [u8]),
    /// The content of its subjectKeyIdentifier extension.
    SubjectKeyIdentifier(&'a [u8]),
}

/// Whether a recipient identifier names the certificate. Without a certificate every one does: RFC 9810 section
/// 5.2.8.3.2 has keys that no certificate exists for yet.
pub(super) fn is_for(
    certificate: Option<&Certificate>,
    identifier: Tlv<'_>,
    key_identifier: Option<&[u8]>,
) -> Result<bool, Asn1Error> {
    let Some(certificate) = certificate else { return Ok(true) };
    if key_identifier.is_some() {
        return Ok(certificate.subject_key_identifier() == key_identifier);
    }
    if identifier.tag != Tag::Sequence {
        return Err(Asn1Error::invalid("RecipientIdentifier", "neither issuerAndSerialNumber nor a key identifier"));
    }
    let mut fields = Cursor::new(identifier.value, "IssuerAndSerialNumber")?;
    let issuer = fields.expect(Tag::Sequence, "issuer")?.bytes;
    let serial = fields.expect(Tag::Integer, "serialNumber")?.value;
    fields.finish()?;
    Ok(issuer == certificate.issuer() && serial == certificate.serial())
}

/// The length of the key-encryption key of an AES key wrap (RFC 3565 section 2.3.2: parameters absent; NULL is met).
pub(super) fn wrap_key_len(identifier: Tlv<'_>) -> Result<usize, CmsError> {
    let mut outer = Cursor::new(identifier.bytes, "KeyWrapAlgorithm")?;
    let (algorithm, parameters) = algorithm_identifier(outer.expect(Tag::Sequence, "an AlgorithmIdentifier")?)?;
    absent_or_null(parameters, "KeyWrapAlgorithm")?;
    match algorithm {
        o if o == oid::AES128_WRAP => Ok(16),
        o if o == oid::AES192_WRAP => Ok(24),
        o if o == oid::AES256_WRAP => Ok(32),
        other => Err(CryptoError::Unsupported(format!("key wrap {other}; AES is")).into()),
    }
}

pub(super) fn issuer_and_serial(issuer: &[u8], serial: &[u8]) -> Vec<u8> {
    sequence(&[issuer, &element(0x02, &[serial])])
}

pub(super) fn object(found: Oid) -> Vec<u8> {
    element(0x06, &[found.as_bytes()])
}
