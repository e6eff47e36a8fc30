//! Cryptographic Message Syntax (RFC 5652) as far as a device needs it: opening and sealing enveloped data, verifying
//! signed data, reading the certificates of a `.p7b` file; and PKCS#12 (RFC 7292), which is built of CMS.
//!
//! DER only, but for PKCS#12 and for files of certificates. What is signed or encrypted and streams in BER is refused by the
//! reader.

use crate::prelude::*;

mod content_info;
mod encrypted_value;
mod enveloped;
mod error;
pub(crate) mod kem;
mod options;
pub mod pkcs12;
mod recipient;
mod recipient_identifier;
pub mod signed;
#[cfg(test)]
mod tests;

pub use encrypted_value::open_value;
pub use enveloped::{ContentEncryption, Opened, open, open_content, seal, seal_content};
pub use error::CmsError;
pub use options::OpenOptions;
pub use pkcs12::{NewPkcs12, Pkcs12, Pkcs12Key, Pkcs12Mac};
pub use recipient::Recipient;
pub use recipient_identifier::RecipientIdentifier;
pub use signed::{SignedData, sign, sign_content};

use crate::asn1::Asn1Error;
use crate::asn1::kind::{Kind, explained, no_block};
use crate::asn1::x509::Certificate;
use crate::asn1::{pem, pkcs7};

/// All certificates in a SignedData without regard to who signed it: a `.p7b` or `.p7c` file, PEM, base64, DER or BER
/// (RFC 5652 section 10.1: nothing here is signed but the certificates, and those keep the bytes that came).
///
/// Attribute certificates and other formats are skipped, and so are certificates that cannot be read beside others that can
/// ([`Certificate::held_in`] tells which). Nothing here is trusted: the caller validates.
pub fn certificates_from_pkcs7(input: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    let of = |der: &[u8]| match pkcs7::certificates(der, false) {
        // One that cannot be read is passed over beside others that can; alone it is an error.
        Ok(held) if held.all.is_empty() => held.whole(),
        Ok(held) => Ok(held.all),
        Err(error) => Err(explained(error, Kind::Pkcs7, der)),
    };
    if !pem::is_pem(input) {
        return of(&pem::without_armour(input));
    }
    let blocks = pem::parse(input)?;
    let block = blocks.iter().find(|block| pkcs7::is_bundle(block));
    let block = block.ok_or_else(|| no_block(Kind::Pkcs7, "PKCS7", &blocks))?;
    of(&block.decode()?).map_err(|error| block.place(error))
}
