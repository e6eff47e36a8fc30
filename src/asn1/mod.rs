//! Types and bytes: what the standards write in ASN.1, and nothing about what it means to us.
//!
//! Small structures are declared with `der`'s derives, so that a type can be compared with its ASN.1 by eye.
//! Certificates, revocation lists and protected messages keep the bytes that came: a signature is always checked over
//! those, never over a re-encoding.

mod base64;
pub mod ber;
pub(crate) mod bundle;
pub mod cmp;
pub mod crl;
mod crl_entry;
mod crl_fields;
mod crl_number;
mod crl_reason;
pub mod crmf;
pub mod der;
pub(crate) mod directory_string;
pub mod distribution_point;
pub(crate) mod documents;
mod element;
pub mod encrypted_key;
mod error;
pub(crate) mod fields;
pub(crate) mod general_name;
mod header;
pub(crate) mod kind;
pub(crate) mod known_as;
pub mod name;
mod name_text;
pub(crate) mod not_der;
mod object_identifier;
pub mod ocsp;
#[allow(missing_docs, reason = "the constants are named after the identifiers they are")]
pub mod oid;
mod openssl_trust;
pub mod pem;
pub mod pkcs10;
pub(crate) mod pkcs7;
pub mod pkcs8;
pub(crate) mod purpose;
pub mod serial;
pub mod x509;

pub use self::error::{Asn1Error, Problem};
