//! Certificates as they come in files and from peers: any form, any order.

pub use crate::asn1::bundle::ReadAs;
use crate::asn1::pem::Held;
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::limits;

/// All certificates in a file: certificates in PEM, base64 or DER, and PKCS#7, in BER too. Doubles are left out; blocks of
/// other things (private keys, encrypted or not) are skipped, and so are certificates that cannot be read beside others that can.
///
/// Some CAs armour PKCS#7 as `CERTIFICATE`: what a block is, is told from its content.
pub fn certificates_from_bytes(input: &[u8]) -> Result<Vec<Certificate>, Error> {
    Ok(held_certificates(input, ReadAs::Certificates)?.all)
}

/// The same of what a peer sent as its own. The first must be one that can be read: whose key the peer has proved to hold is told
/// by the place, and another must not slip into it.
pub fn sent_certificates(input: &[u8]) -> Result<Vec<Certificate>, Error> {
    Ok(held_certificates(input, ReadAs::OwnFirst)?.all)
}

/// The same, and what begins as a certificate and cannot be read, or not for that.
pub fn held_certificates(input: &[u8], read_as: ReadAs) -> Result<Held<Certificate>, Error> {
    Ok(Certificate::up_to(input, limits::MAX_CMS_CERTIFICATES, read_as)?)
}
