//! PKCS#12 (RFC 7292): a private key and certificates in one file under a password.
//!
//! Written as today's tools do: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA256, the MAC HMAC-SHA256 by PKCS#12's own key
//! derivation, or PBMAC1 (RFC 9579). Read: these, every AES and PBKDF2 and scrypt of PBES2, MACs from SHA-1 to SHA-512,
//! BER, and (feature `legacy-ciphers`) what old tools wrote: triple DES and RC2 by SHA-1.
//!
//! Files without a MAC, and those protected by public keys, are refused.

use crate::prelude::*;

mod open;
mod password;
mod seal;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

use crate::asn1::kind::Kind;
use crate::asn1::x509::Certificate;
use crate::asn1::{oid, pem};
use crate::crypto::keys::key_matches_certificate;
use crate::crypto::{CryptoError, PrivateKey, Provider};

/// What a PKCS#12 file held. Nothing in it is trusted: the caller validates the certificates, and tells by the public key
/// which of them belongs to which private key.
#[derive(Clone, Debug)]
pub struct Pkcs12 {
    /// The private keys, in their order.
    pub keys: Vec<Pkcs12Key>,
    /// The X.509 certificates, in their order; doubles are left out.
    pub certificates: Vec<Certificate>,
    /// Whether something in it was protected by triple DES, RC2 or SHA-1: worth writing anew.
    pub is_outdated: bool,
}

impl Pkcs12 {
    /// The private key for which there is a certificate, that of an end entity before that of a CA; `None` if there is no key. Keys
    /// of types that are not known here are passed over; where there is no pair without them, the error names the first.
    ///
    /// Errors: also where there are keys, and a certificate for none of them: no key is lost without a word.
    pub fn identity(&self, provider: &dyn Provider) -> Result<Option<Pkcs12Identity>, CryptoError> {
        let mut unusable = None;
        let mut authority = None;
        for key in &self.keys {
            let key = match provider.import_pkcs8(&key.pkcs8) {
                Ok(key) => key,
                Err(error) => {
                    unusable.get_or_insert(error);
                    continue;
                }
            };
            if let Some(own) = self.certificates.iter().find(|c| key_matches_certificate(&*key, c)) {
                let others = self.certificates.iter().filter(|other| *other != own).cloned().collect();
                let found = Pkcs12Identity { key, certificate: own.clone(), others };
                if !is_authority(own) {
                    return Ok(Some(found));
                }
                authority.get_or_insert(found);
            }
        }
        match (authority, unusable) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(error)) => Err(error),
            (None, None) if self.keys.is_empty() => Ok(None),
            (None, None) => Err(CryptoError::BadKey(format!(
                "the PKCS#12 file holds {} and no certificate for it",
                if self.keys.len() == 1 {
                    "a private key".to_owned()
                } else {
                    format!("{} private keys", self.keys.len())
                }
            ))),
        }
    }
}

/// Whether basicConstraints says so.
fn is_authority(certificate: &Certificate) -> bool {
    use x509_cert::ext::pkix::BasicConstraints;
    let constraints = certificate.decode_extension(oid::CE_BASIC_CONSTRAINTS, "BasicConstraints");
    constraints.is_ok_and(|found: Option<BasicConstraints>| found.is_some_and(|constraints| constraints.ca))
}

/// A private key with its certificate.
#[derive(Clone, Debug)]
pub struct Pkcs12Identity {
    /// The private key.
    pub key: Arc<dyn PrivateKey>,
    /// The certificate for it.
    pub certificate: Certificate,
    /// All other certificates in the file, in their order.
    pub others: Vec<Certificate>,
}

/// One private key.
#[derive(Clone)]
pub struct Pkcs12Key {
    /// Unencrypted PKCS#8, DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// The friendlyName, for people.
    pub friendly_name: Option<String>,
}

impl fmt::Debug for Pkcs12Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs12Key").field("friendly_name", &self.friendly_name).finish_non_exhaustive()
    }
}

/// How a file's integrity is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pkcs12Mac {
    /// HMAC-SHA256 with PKCS#12's own key derivation: every reader of the last ten years.
    #[default]
    Hmac,
    /// PBMAC1 with PBKDF2 (RFC 9579): OpenSSL 3.4, Bouncy Castle, GnuTLS and NSS of 2024 and later.
    Pbmac1,
}

/// What is written to a PKCS#12 file.
#[derive(Clone, Copy)]
pub struct NewPkcs12<'a> {
    /// The private key as unencrypted PKCS#8, DER.
    pub pkcs8: &'a [u8],
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// Those above, nearest first.
    pub chain: &'a [Certificate],
    /// The friendlyName of key and certificate, for people; empty: none.
    pub name: &'a str,
    /// How integrity is protected.
    pub mac: Pkcs12Mac,
    /// Of each of the three key derivations. Readers have limits: .NET takes 300,000 each and 1,200,000 in all.
    pub iterations: u32,
    /// scrypt's N (RFC 7914), with r = 8 and p = 1: the key and the certificates are encrypted by it in the place of PBKDF2; the MAC knows
    /// `iterations` alone, and is what a weak password is guessed by. OpenSSL and Bouncy Castle read it.
    pub scrypt: Option<u32>,
}

impl Pkcs12Mac {
    /// By the name that programs use: `HMAC`, `PBMAC1`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "HMAC" => Some(Pkcs12Mac::Hmac),
            "PBMAC1" => Some(Pkcs12Mac::Pbmac1),
            _ => None,
        }
    }
}

impl fmt::Debug for NewPkcs12<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (self.name, self.certificate, self.mac, self.iterations);
        f.debug_tuple("NewPkcs12").field(&fields).finish()
    }
}

/// What [`NewPkcs12::iterations`] is where nobody chose: a tenth of a second on a small device, within every reader's limits.
pub const DEFAULT_ITERATIONS: u32 = 100_000;

/// Whether the input looks like a PKCS#12 file, whole or cut short: a SEQUENCE that begins with version 3 and goes on with a SEQUENCE;
/// also in base64, and in armour where nothing else stands beside it.
pub fn is_pkcs12(input: &[u8]) -> bool {
    match pem::parse(input).ok().filter(|_| pem::is_pem(input)) {
        Some(blocks) => blocks.iter().all(|block| Kind::of_label(block.label) == Some(Kind::Pkcs12)),
        None => Kind::of_der(&pem::without_armour(input)) == Some(Kind::Pkcs12),
    }
}
