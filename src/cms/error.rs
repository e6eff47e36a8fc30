//! Why enveloped or signed data is not what it should be.

use core::fmt;

use zeroize::Zeroizing;

use crate::asn1::Asn1Error;
use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::features::LeftOut;
use crate::prelude::*;

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
    /// This library was built without what this needs: the feature by its name.
    NotBuiltIn(&'static str),
}

impl CmsError {
    /// Whether the device's own means have failed, which says nothing about the content: see [`CryptoError::is_of_device`].
    pub(super) fn is_of_device(&self) -> bool {
        matches!(self, CmsError::Crypto(error) if error.is_of_device())
    }
}

/// What was decrypted, or in its place a random key of the length that is needed (RFC 3218 section 2.3.2): nobody learns at which step it
/// failed. That the key cannot do it, or could not be asked, is nothing that depends on what was encrypted.
pub(super) fn opened_or(
    opened: Result<Zeroizing<Vec<u8>>, CryptoError>,
    instead: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    match opened {
        Ok(opened) if opened.len() == instead.len() => Ok(opened),
        Err(error @ CryptoError::KeyCannot(_)) => Err(error),
        Err(error) if error.is_of_device() => Err(error),
        _ => Ok(instead),
    }
}

impl fmt::Display for CmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CmsError::Malformed(error) => error.fmt(f),
            CmsError::Crypto(error) => error.fmt(f),
            CmsError::NotForUs { recipients } => {
                write!(f, "CMS: none of the {recipients} recipients or signers is the key at hand")
            }
            CmsError::NotBuiltIn(feature) => LeftOut(feature).fmt(f),
            CmsError::Damaged(what) => write!(f, "{what} fails its integrity check although the password is right"),
        }
    }
}

impl core::error::Error for CmsError {}

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

impl From<LeftOut> for CmsError {
    fn from(left_out: LeftOut) -> Self {
        CmsError::NotBuiltIn(left_out.0)
    }
}

impl From<CmsError> for crate::Error {
    fn from(error: CmsError) -> Self {
        match error {
            CmsError::Malformed(error) => error.into(),
            CmsError::Crypto(error) => error.into(),
            CmsError::NotForUs { .. } => crate::Error::caused_by(Code::Decrypt, error),
            CmsError::NotBuiltIn(feature) => LeftOut(feature).into(),
            CmsError::Damaged(_) => crate::Error::caused_by(Code::Corrupt, error),
        }
    }
}
