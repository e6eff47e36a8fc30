//! What can go wrong with cryptography.

use core::fmt;

use crate::codes::Code;
use crate::error::Error;
use crate::features::LeftOut;
use crate::prelude::*;

/// What went wrong in a cryptographic operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoError {
    /// The algorithm or its parameters are not known, not built in, or refused.
    Unsupported(String),
    /// The signature or MAC does not match. Deliberately without detail.
    Mismatch,
    /// The key is malformed or of a refused size.
    BadKey(String),
    /// The key cannot do this (an external key asked to sign here, a public operation that fails).
    KeyCannot(&'static str),
    /// Decryption or unwrapping failed. Deliberately without detail: a peer must not learn which step.
    Decrypt,
    /// The password or secret does not open what it should.
    WrongSecret,
    /// It is encrypted, and no password was given.
    NoSecret,
    /// Where the secret is kept it cannot be had: the code of that, and which place it is.
    SecretAway(Code, String),
    /// The random generator failed.
    Random,
    /// A key that lives elsewhere, or its PIN, could not be had: the number of that (at or below -10000 the application's own), and what
    /// happened.
    External(i32, String),
}

impl CryptoError {
    /// Whether the device's own means have failed: a key's home that is away, the random generator. It says nothing about what was to be
    /// opened, signed or checked: the same may succeed later.
    pub(crate) fn is_of_device(&self) -> bool {
        match self {
            CryptoError::Random | CryptoError::External(..) | CryptoError::SecretAway(..) => true,
            CryptoError::Unsupported(_)
            | CryptoError::Mismatch
            | CryptoError::BadKey(_)
            | CryptoError::KeyCannot(_)
            | CryptoError::Decrypt
            | CryptoError::WrongSecret
            | CryptoError::NoSecret => false,
        }
    }

    /// Whether that is what led to an error.
    pub(crate) fn is_device_behind(error: &Error) -> bool {
        let first = core::error::Error::source(error);
        let mut causes = core::iter::successors(first, |cause| cause.source());
        causes.any(|cause| cause.downcast_ref::<CryptoError>().is_some_and(CryptoError::is_of_device))
    }
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CryptoError::Unsupported(what) => write!(f, "not supported: {what}"),
            CryptoError::Mismatch => f.write_str("the signature or MAC does not match"),
            CryptoError::BadKey(why) => write!(f, "unusable key: {why}"),
            CryptoError::KeyCannot(what) => write!(f, "the key cannot {what}"),
            CryptoError::Decrypt => f.write_str("decryption failed"),
            CryptoError::WrongSecret => f.write_str("the secret does not open it"),
            CryptoError::NoSecret => f.write_str("it is encrypted, and no password was given"),
            CryptoError::SecretAway(_, why) => f.write_str(why),
            CryptoError::Random => f.write_str("the random generator failed"),
            CryptoError::External(_, what) => write!(f, "the external key failed: {what}"),
        }
    }
}

impl core::error::Error for CryptoError {}

impl From<LeftOut> for CryptoError {
    fn from(left_out: LeftOut) -> Self {
        CryptoError::Unsupported(left_out.to_string())
    }
}

impl From<CryptoError> for Error {
    fn from(error: CryptoError) -> Self {
        if let CryptoError::External(number @ i32::MIN..=-10_000, _) = error {
            return Error::application(number, error.to_string()).with_source(error);
        }
        let code = match error {
            CryptoError::Unsupported(_) => Code::Algorithm,
            CryptoError::Mismatch => Code::SignatureInvalid,
            CryptoError::BadKey(_) => Code::BadKey,
            CryptoError::KeyCannot(_) => Code::Unsupported,
            CryptoError::Decrypt => Code::Decrypt,
            CryptoError::WrongSecret | CryptoError::NoSecret => Code::WrongSecret,
            CryptoError::SecretAway(code, _) => code,
            CryptoError::Random => Code::Random,
            CryptoError::External(..) => Code::Signer,
        };
        Error::caused_by(code, error)
    }
}
