//! Why status data at hand says nothing about a certificate.

use core::fmt;

use crate::codes::Code;
use crate::crypto::CryptoError;
use crate::prelude::*;

/// Why something at hand is of no use. What follows from it is told by its code, which whoever made the check has given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    code: Code,
    text: String,
}

impl Unusable {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Unusable { code, text: text.into() }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, with what it is about before it.
    pub fn of(self, what: impl fmt::Display) -> Self {
        Unusable { text: format!("{what}: {}", self.text), ..self }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Unusable {
    fn from(text: String) -> Self {
        Unusable::new(Code::RevocationUnknown, text)
    }
}

impl From<&str> for Unusable {
    fn from(text: &str) -> Self {
        Unusable::new(Code::RevocationUnknown, text)
    }
}

impl From<CryptoError> for Unusable {
    fn from(error: CryptoError) -> Self {
        error.to_string().into()
    }
}
