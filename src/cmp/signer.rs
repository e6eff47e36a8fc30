//! A key that signs, wherever it is.

use alloc::sync::Arc;
use core::fmt;

use crate::crypto::{KeyKind, PrivateKey, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;

/// A key that signs: here and now, or by a step of the caller (an HSM, a TPM, a remote signer).
#[derive(Clone)]
pub enum Signer {
    /// Signs when asked.
    Key(Arc<dyn PrivateKey>),
    /// The operation answers [`Action::Sign`](super::Action::Sign) and waits for the signature.
    Deferred {
        /// SubjectPublicKeyInfo of the key, DER.
        spki: Vec<u8>,
        /// Its type.
        kind: KeyKind,
    },
}

impl Signer {
    /// A key that signs elsewhere, known by its SubjectPublicKeyInfo (DER).
    pub fn deferred(spki: Vec<u8>) -> Result<Self, Error> {
        let kind = KeyKind::of_spki(&spki)?;
        Ok(Signer::Deferred { spki, kind })
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        match self {
            Signer::Key(key) => key.spki(),
            Signer::Deferred { spki, .. } => spki,
        }
    }

    /// How it signs unless the caller says otherwise: see [`SignatureAlgorithm::default_for`].
    pub fn default_signature(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::default_for(self.spki(), self.kind())
    }

    /// Type and size.
    pub fn kind(&self) -> KeyKind {
        match self {
            Signer::Key(key) => key.kind(),
            Signer::Deferred { kind, .. } => *kind,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if matches!(self, Signer::Key(_)) { "here" } else { "deferred" };
        write!(f, "Signer({}, {place})", self.kind())
    }
}
