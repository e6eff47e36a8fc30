//! The handle on a private key, wherever it lives.

use alloc::sync::Arc;
use core::fmt;

use super::{KeyKind, PrivateKey, SignatureAlgorithm};
use crate::asn1::Asn1Error;
use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;

/// A private key, wherever it lives: as operations, credentials and device memory pass it on. Copies share the key.
#[derive(Clone)]
pub enum Signer {
    /// At hand: it signs when asked, in memory, in a token or behind a callback.
    Key(Arc<dyn PrivateKey>),
    /// Elsewhere, known by its public half. An operation answers [`Action::Sign`](crate::cmp::Action::Sign) and waits for the signature;
    /// device memory keeps the words by which the key is found.
    Deferred(KeyReference),
}

/// Where a key is that is not at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReference {
    /// The caller's words for it, such as a PKCS#11 URI (RFC 7512). One line; empty: nobody needs to find it again.
    pub reference: String,
    /// The public half as SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// As the public half says.
    kind: KeyKind,
}

impl KeyReference {
    /// By these words, with this SubjectPublicKeyInfo (DER).
    pub fn new(reference: impl Into<String>, spki: Vec<u8>) -> Result<Self, Asn1Error> {
        let kind = KeyKind::of_spki(&spki)?;
        Ok(KeyReference { reference: reference.into(), spki, kind })
    }

    /// Of a key that knows the words by which it is found again, such as one in a token.
    pub fn of(key: &dyn PrivateKey) -> Option<Self> {
        let reference = key.reference()?.to_owned();
        Some(KeyReference { reference, spki: key.spki().to_vec(), kind: key.kind() })
    }

    /// Type and size of the key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
}

impl Signer {
    /// A key that signs elsewhere, known by its SubjectPublicKeyInfo (DER).
    pub fn deferred(spki: Vec<u8>) -> Result<Self, Error> {
        Ok(Signer::Deferred(KeyReference::new("", spki)?))
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        match self {
            Signer::Key(key) => key.spki(),
            Signer::Deferred(reference) => &reference.spki,
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
            Signer::Deferred(reference) => reference.kind,
        }
    }

    /// The key, if it is at hand.
    pub fn held(&self) -> Option<&Arc<dyn PrivateKey>> {
        if let Signer::Key(key) = self { Some(key) } else { None }
    }

    /// The words by which it is found where it lives, if there are any.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Signer::Key(key) => key.reference(),
            Signer::Deferred(reference) => Some(&*reference.reference).filter(|words| !words.is_empty()),
        }
    }

    /// The key as device memory keeps it: one that can leave its home goes there, whatever the words; of another one the reference does, by
    /// these words, or else by those that it knows itself.
    ///
    /// Errors: [`Code::InvalidArgument`] if it cannot leave its home, and nobody has words for that.
    pub fn to_keep(&self, words: Option<&str>) -> Result<Self, Error> {
        if matches!(self, Signer::Key(key) if key.to_pkcs8().is_some()) {
            return Ok(self.clone());
        }
        let Some(words) = words.or(self.reference()) else {
            return Err(Error::new(Code::InvalidArgument, "a key that cannot be exported needs a reference"));
        };
        let (reference, spki) = (words.to_owned(), self.spki().to_vec());
        Ok(Signer::Deferred(KeyReference { reference, spki, kind: self.kind() }))
    }
}

impl From<&Arc<dyn PrivateKey>> for Signer {
    fn from(key: &Arc<dyn PrivateKey>) -> Self {
        Signer::Key(Arc::clone(key))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signer::Key(_) => write!(f, "Signer({}, here)", self.kind()),
            Signer::Deferred(key) => write!(f, "Signer({}, deferred, {:?})", key.kind, key.reference),
        }
    }
}
