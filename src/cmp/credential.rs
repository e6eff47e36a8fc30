//! What protects requests: a key with its certificate, a secret shared with the CA, or nothing but TLS.

use core::fmt;

use super::shared_secret::SharedSecret;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::Signer;
use crate::crypto::{DigestAlgorithm, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;

/// How requests are protected; one kind for a whole operation (RFC 9483 section 3.2).
#[derive(Clone)]
pub enum Credential {
    /// By the key of a certificate, the supplier's (IDevID) or one issued before: by signature, or, with a KEM key, by a MAC
    /// under a secret that the server encapsulates to it (RFC 9810 section 5.1.3.4).
    Signature {
        /// The key.
        signer: Signer,
        /// Its certificate.
        certificate: Certificate,
        /// The chain above the certificate, next issuer first; the root may be left out.
        chain: Vec<Certificate>,
        /// The algorithm; must fit the key. Of no meaning with a KEM key.
        algorithm: SignatureAlgorithm,
    },
    /// By a MAC under a secret shared with the CA.
    Mac {
        /// Reference value: tells the CA which secret.
        reference: Vec<u8>,
        /// The secret.
        secret: SharedSecret,
        /// How the MAC is made.
        parameters: MacParameters,
    },
    /// Not at all: client and server know each other by TLS with certificates on both sides, and the CA wants it that way
    /// (HashiCorp Vault). Answers without protection count only if they came that way:
    /// [`Operation::feed_mutually_authenticated`](super::Operation::feed_mutually_authenticated). RFC 9810 section 5.1.3
    /// allows protection to be left out where something outside the message gives it.
    MutualTls {
        /// The client's name in messages: the subject of its TLS certificate, DER.
        sender: Vec<u8>,
    },
}

impl Credential {
    /// Whether messages are protected by a MAC under an encapsulated secret.
    pub(super) fn is_kem(&self) -> bool {
        matches!(self, Credential::Signature { signer, .. } if signer.kind().can_decapsulate())
    }

    /// Refuses credentials to which no generated key can be encrypted, before anything is sent.
    pub(super) fn check_can_receive_key(&self) -> Result<(), Error> {
        match self {
            Credential::Mac { .. } => Ok(()),
            Credential::MutualTls { .. } => {
                let words =
                    "a generated key comes encrypted to the credential of the messages, and there is none beside TLS";
                Err(Error::new(Code::Unsupported, words))
            }
            Credential::Signature { signer: Signer::Key(key), .. } if key.kind().can_receive() => Ok(()),
            Credential::Signature { signer: Signer::Key(key), .. } => {
                let words = format!(
                    "a generated key comes encrypted to the credential, and nothing can be encrypted to a key of type {}; \
                     an RSA or EC key or a shared secret can receive it",
                    key.kind()
                );
                Err(Error::new(Code::Algorithm, words))
            }
            Credential::Signature { signer: Signer::Deferred { .. }, .. } => {
                let words = "a generated key comes encrypted to the credential, whose key signs by a step of the caller's \
                             and opens nothing";
                Err(Error::new(Code::Unsupported, words))
            }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Signature { certificate, algorithm, .. } => {
                write!(f, "Signature({certificate:?}, {algorithm:?})")
            }
            Credential::Mac { parameters, .. } => write!(f, "Mac({parameters:?})"),
            Credential::MutualTls { .. } => f.write_str("MutualTls"),
        }
    }
}

/// Parameters of the MAC that we make. What a server chooses is bounded by [`Limits`](crate::limits::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacParameters {
    /// PasswordBasedMac (RFC 4211 section 4.4, RFC 9045): what all CAs in the field know.
    PasswordBased {
        /// One-way function.
        owf: DigestAlgorithm,
        /// HMAC with this digest.
        mac: DigestAlgorithm,
        /// How often the one-way function is applied; at least 100 (RFC 9045 section 4.3).
        iterations: u32,
    },
    /// PBMAC1 with PBKDF2 (RFC 9481 section 6.1.2): the better one, where the CA knows it.
    Pbmac1 {
        /// Digest of PBKDF2's HMAC.
        prf: DigestAlgorithm,
        /// HMAC with this digest.
        mac: DigestAlgorithm,
        /// Iterations of PBKDF2.
        iterations: u32,
    },
}

impl MacParameters {
    /// PasswordBasedMac with SHA-256 throughout and 10,000 iterations (RFC 9045 section 4.3 for secrets of low entropy). The default,
    /// though RFC 9481 section 7 recommends PBMAC1: all CAs of the field know it, and one that does not know PBMAC1 refuses the first
    /// message, which costs a secret that is good for one, or a trip of the stick. To fall back on such a refusal would let anybody
    /// on the way choose the weaker one.
    pub const PASSWORD_BASED: MacParameters =
        MacParameters::PasswordBased { owf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 10_000 };

    /// PBMAC1 with SHA-256 throughout and 100,000 iterations.
    pub const PBMAC1: MacParameters =
        MacParameters::Pbmac1 { prf: DigestAlgorithm::Sha256, mac: DigestAlgorithm::Sha256, iterations: 100_000 };
}
