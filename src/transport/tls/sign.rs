//! The client's certificate, shown where a server asks for it; its key may live anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{OtherError, SignatureScheme};

use super::Credential;
use super::verify::SCHEMES;
use crate::crypto::{KeyKind, PrivateKey, SignatureAlgorithm};

/// The client's certificate in the TLS library's terms.
pub(super) fn certified(credential: &Credential) -> Arc<CertifiedKey> {
    let chain = credential.chain.iter().map(|c| CertificateDer::from(c.as_der().to_vec())).collect();
    Arc::new(CertifiedKey::new(chain, Arc::new(Key(credential.key.clone()))))
}

/// Answers one connection's request for a certificate, and remembers it.
#[derive(Debug)]
pub(super) struct Answer {
    pub certified: Option<Arc<CertifiedKey>>,
    pub was_asked: AtomicBool,
    pub was_given: AtomicBool,
}

impl Answer {
    pub(super) fn new(certified: Option<Arc<CertifiedKey>>) -> Arc<Self> {
        Arc::new(Answer { certified, was_asked: AtomicBool::new(false), was_given: AtomicBool::new(false) })
    }
}

impl ResolvesClientCert for Answer {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        // Whose certificates the server takes (its list of names) is a hint that servers get wrong: not followed.
        let found = self.certified.clone().filter(|c| c.key.choose_scheme(schemes).is_some());
        self.was_given.store(found.is_some(), Ordering::Relaxed);
        found
    }

    /// Asked without a certificate too: a server's wish for one is worth telling.
    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Key(Arc<dyn PrivateKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let suits = |known: &&super::verify::Scheme| offered.contains(&known.scheme) && known.suits(self.0.kind());
        SCHEMES.iter().find(suits).map(|known| -> Box<dyn Signer> {
            Box::new(SchemeSigner { key: self.0.clone(), scheme: known.scheme, algorithm: known.algorithm })
        })
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.0.kind() {
            KeyKind::Rsa(_) => rustls::SignatureAlgorithm::RSA,
            KeyKind::Ed25519 => rustls::SignatureAlgorithm::ED25519,
            _ => rustls::SignatureAlgorithm::ECDSA,
        }
    }
}

#[derive(Debug)]
struct SchemeSigner {
    key: Arc<dyn PrivateKey>,
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
}

impl Signer for SchemeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.key.sign(&self.algorithm, message).map_err(|e| rustls::Error::Other(OtherError(Arc::new(e))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
