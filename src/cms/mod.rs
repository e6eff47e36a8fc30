//! Cryptographic Message Syntax (RFC 5652) as far as a device needs it: opening and sealing enveloped data, verifying
//! signed data, reading the certificates of a `.p7b` file; and PKCS#12 (RFC 7292), which is built of CMS.
//!
//! DER only, but for PKCS#12 and for files of certificates. What is signed or encrypted and streams in BER is refused by the
//! reader.

mod encrypted_value;
pub mod enveloped;
pub(crate) mod kem;
pub mod pkcs12;
mod recipient;
pub mod signed;
#[cfg(test)]
mod tests;

use std::fmt;

use ::der::Tag;

pub use encrypted_value::open_value;
pub use enveloped::{ContentEncryption, OpenOptions, Opened, open, open_content, seal, seal_content};
pub use pkcs12::{NewPkcs12, Pkcs12, Pkcs12Key, Pkcs12Mac};
pub use recipient::{Recipient, RecipientIdentifier};
pub use signed::{SignedData, sign, sign_content};

use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::oid::Oid;
use crate::asn1::x509::{Certificate, read_oid};
use crate::asn1::{ber, pem};
use crate::codes::Code;
use crate::crypto::CryptoError;

/// Why enveloped data could not be opened or sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CmsError {
    /// The structure is not what RFC 5652 says it is.
    Malformed(Asn1Error),
    /// A cryptographic operation failed or an algorithm is refused.
    Crypto(CryptoError),
    /// None of the recipients or signers is the key, certificate or password at hand.
    NotForUs {
        /// How many recipients or signers there are.
        recipients: usize,
    },
    /// The password opens it, and its integrity check fails: it was changed on its way.
    Damaged(&'static str),
}

impl fmt::Display for CmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CmsError::Malformed(error) => error.fmt(f),
            CmsError::Crypto(error) => error.fmt(f),
            CmsError::NotForUs { recipients } => {
                write!(f, "CMS: none of the {recipients} recipients or signers is the key at hand")
            }
            CmsError::Damaged(what) => write!(f, "{what} fails its integrity check although the password is right"),
        }
    }
}

impl std::error::Error for CmsError {}

impl From<Asn1Error> for CmsError {
    fn from(error: Asn1Error) -> Self {
        CmsError::Malformed(error)
    }
}

impl From<CryptoError> for CmsError {
    fn from(error: CryptoError) -> Self {
        CmsError::Crypto(error)
    }
}

impl From<CmsError> for crate::Error {
    fn from(error: CmsError) -> Self {
        match error {
            CmsError::Malformed(error) => error.into(),
            CmsError::Crypto(error) => error.into(),
            CmsError::NotForUs { .. } => crate::Error::new(Code::Decrypt, error.to_string()),
            CmsError::Damaged(_) => crate::Error::new(Code::Corrupt, error.to_string()),
        }
    }
}

/// All certificates in a SignedData without regard to who signed it: a `.p7b` or `.p7c` file, PEM, base64, DER or BER
/// (RFC 5652 section 10.1: nothing here is signed but the certificates, and those keep the bytes that came).
///
/// Attribute certificates and other formats are skipped. Nothing here is trusted: the caller validates.
pub fn certificates_from_pkcs7(input: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    if !pem::is_pem(input) {
        return certificates_from_signed_data(&pem::without_armour(input));
    }
    let blocks = pem::parse(input)?;
    let block = blocks.iter().find(|block| matches!(block.label, "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA"));
    let block = block.ok_or_else(|| Asn1Error::invalid("PEM", "no PKCS7 block"))?;
    certificates_from_signed_data(&block.decode()?).map_err(|error| block.place(error))
}

fn certificates_from_signed_data(input: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    // Whether it is BER shows at its first length, but for lengths that are written too long further inside.
    match SignedData::from_der(input) {
        Ok(data) => Ok(data.certificates),
        Err(as_der) => match ber::with_definite_lengths(input) {
            Ok(definite) if *definite != *input => {
                let found = SignedData::from_der(&definite)?.certificates;
                // A certificate that is DER comes through as it was; one that is not would be a certificate of our making.
                Ok(found.into_iter().filter(|c| holds(input, c.as_der())).collect())
            }
            _ => Err(as_der),
        },
    }
}

fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// Splits a ContentInfo (RFC 5652 section 3) into type and content; the content is a SEQUENCE for all types we know.
fn read_content_info(input: &[u8]) -> Result<(Oid, Tlv<'_>), Asn1Error> {
    let mut fields = Cursor::sequence(input, "ContentInfo")?;
    let content_type = read_oid(&mut fields)?;
    let content = fields.optional_context(0, true)?;
    let content = content.ok_or_else(|| Asn1Error::invalid("ContentInfo", "no content"))?;
    fields.finish()?;
    let mut inner = Cursor::new(content.value, "ContentInfo")?;
    let content = inner.expect(Tag::Sequence, "content")?;
    inner.finish()?;
    Ok((content_type, content))
}

fn encode_content_info(content_type: Oid, content: &[u8]) -> Vec<u8> {
    sequence(&[&element(0x06, &[content_type.as_bytes()]), &element(0xa0, &[content])])
}
