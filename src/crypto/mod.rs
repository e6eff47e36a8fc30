//! Cryptography as the rest of the library sees it: traits here, implementations in `awslc` and `rust`.
//!
//! Rooms above name a [`Provider`] and never an implementation. Both implementations can be compiled in; the default
//! one is [`default_provider`]. Everything that touches a private key is constant time in the default provider.

pub mod algorithm;
#[cfg(feature = "crypto-awslc")]
pub mod awslc;
mod digest_algorithm;
pub(crate) mod dsa;
mod error;
pub mod external;
pub(crate) mod key_identity;
mod key_kind;
pub mod keys;
#[cfg(feature = "legacy-ciphers")]
pub(crate) mod legacy;
mod modulus;
#[cfg(any(feature = "crypto-awslc", feature = "rust-rsa"))]
mod oaep;
pub(crate) mod pbe;
pub(crate) mod pbes2;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod provider;
pub(crate) mod public_key;
#[cfg_attr(not(any(feature = "crypto-awslc", feature = "rust-rsa")), allow(dead_code, reason = "a build may lack RSA"))]
mod rsa_pss;
#[cfg(feature = "crypto-rust-p256")]
pub mod rust;
mod scrypt;
mod signature_algorithm;
mod signer;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

pub use algorithm::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
pub use error::CryptoError;
pub use external::ExternalKey;
pub(crate) use key_identity::KeyIdentity;
pub use provider::{CipherAlgorithm, DigestStream, DigestValue, PrivateKey, Provider, RsaEncryption};
pub use public_key::{PublicKey, RsaPublicKey};
pub use signer::{KeyReference, Signer};

#[cfg(not(any(feature = "crypto-awslc", feature = "crypto-rust-p256")))]
compile_error!("devid needs cryptography: enable the feature crypto-awslc (needs a C compiler) or crypto-rust");

/// The provider to use where nobody chose one: AWS-LC if it is compiled in, else RustCrypto.
pub fn default_provider() -> Arc<dyn Provider> {
    #[cfg(feature = "crypto-awslc")]
    return Arc::new(awslc::AwsLc);
    #[cfg(all(feature = "crypto-rust-p256", not(feature = "crypto-awslc")))]
    return Arc::new(rust::RustCrypto);
    #[cfg(not(any(feature = "crypto-awslc", feature = "crypto-rust-p256")))]
    unreachable!("refused above at compile time");
}
