//! PKCS#12 (RFC 7292): key and certificates in one file under a password.

use super::prelude::*;
use super::storage::scrypt_cost;
use devid_core::cms::pkcs12::{DEFAULT_ITERATIONS, Pkcs12Identity};
use devid_core::cms::{NewPkcs12, Pkcs12, Pkcs12Mac};
use devid_core::crypto::{CryptoError, default_provider};

/// Reads a PKCS#12 file, DER or BER. What comes out is not trusted: validate the certificate before use.
///
/// Protected by PBES2 and HMAC or PBMAC1 as today's tools write them; triple DES, RC2 and SHA-1 of older tools where built in,
/// see devid_supports("legacy-ciphers").
///
/// @param data          Not NULL.
/// @param password      UTF-8; opens both the contents and the MAC. May be NULL (the empty password).
/// @param out_key       Receives the first private key that a certificate in the file is for; NULL if there is none. Free with
///                      devid_key_free(). May be NULL.
/// @param out_cert      Receives the certificate of that key, else NULL; free with devid_cert_free(). May be NULL.
/// @param out_others    Receives all other certificates in their order; free with devid_cert_list_free(). May be NULL.
/// @return DEVID_OK; DEVID_E_WRONG_SECRET if the password opens nothing in it, DEVID_E_CORRUPT if it does and the file was changed,
///         DEVID_E_DER, DEVID_E_LIMIT, DEVID_E_ALGORITHM, DEVID_E_NOT_UTF8, DEVID_E_UNSUPPORTED in builds without "pkcs12".
#[export]
fn devid_pkcs12_read(
    data: &[u8],
    password: &[u8],
) -> Result<(Option<devid_key>, Option<devid_cert>, devid_cert_list), Error> {
    let provider = default_provider();
    let found = Pkcs12::open(&*provider, data, password_text(password)?)?;
    Ok(match found.identity(&*provider)? {
        Some(Pkcs12Identity { key, certificate, others }) => {
            (Some(devid_key::of(key)), Some(devid_cert::of(certificate)), others)
        }
        None => (None, None, found.certificates),
    })
}

/// Writes a PKCS#12 file: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA256 or scrypt, and a MAC with SHA-256.
///
/// @param key           The private key. Not NULL.
/// @param cert          Its certificate. Not NULL.
/// @param issuers       The certificates above, nearest first; its own before them is passed over. NULL: none. May be NULL.
/// @param name          What software shows users for key and certificate (friendlyName). NULL: nothing. May be NULL.
/// @param password      UTF-8. Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param mac           "HMAC", which everyone reads, or "PBMAC1" (RFC 9579). NULL: "HMAC". May be NULL.
/// @param iterations    Of each of the three key derivations; 0 means 100000. .NET reads up to 300000.
/// @param scrypt        Cost of scrypt (RFC 7914), a power of two: so many KiB of memory, 1024 to 65536; OpenSSL reads up to 16384 by itself.
///                      It takes the place of PBKDF2 for key and certificates; the MAC stays by `iterations`. 0: PBKDF2.
/// @param out_data      Receives the file, DER; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH if the certificate is for another key, DEVID_E_UNSUPPORTED if the key cannot leave its
///         home, DEVID_E_INVALID_ARGUMENT, DEVID_E_NOT_UTF8.
#[export]
fn devid_pkcs12_write(
    key: &devid_key,
    cert: &devid_cert,
    issuers: Option<&devid_cert_list>,
    name: Option<&str>,
    password: &[u8],
    mac: Option<&str>,
    iterations: u32,
    scrypt: u32,
) -> Result<devid_bytes, Error> {
    let password = not_empty(password)?;
    let private = key.at_hand()?;
    if !devid_core::crypto::keys::key_matches_certificate(&**private, &cert.certificate) {
        return Err(Error::new(Code::KeyMismatch, "the certificate is for another key"));
    }
    let pkcs8 = private.to_pkcs8().ok_or(CryptoError::KeyCannot("leave its home"))?;
    let new = NewPkcs12 {
        pkcs8: &pkcs8,
        certificate: &cert.certificate,
        chain: issuers.map_or(&[], |issuers| &issuers[..]),
        name: name.unwrap_or_default(),
        mac: mac_named(mac)?,
        iterations: if iterations == 0 { DEFAULT_ITERATIONS } else { iterations },
        scrypt: scrypt_cost(scrypt)?,
    };
    Ok(devid_bytes::from_slice(&new.seal(&*default_provider(), password)?))
}

/// A password under which something is written.
pub(super) fn not_empty(password: &[u8]) -> Result<&str, Error> {
    match password.is_empty() {
        true => Err(Error::new(Code::InvalidArgument, "an empty password protects nothing")),
        false => password_text(password),
    }
}

pub(super) fn password_text(password: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(password).map_err(|_| Error::new(Code::NotUtf8, "password is not UTF-8"))
}

pub(super) fn mac_named(name: Option<&str>) -> Result<Pkcs12Mac, Error> {
    let unknown = |name| Error::new(Code::InvalidArgument, format!("'{name}' is neither HMAC nor PBMAC1"));
    name.map_or(Ok(Pkcs12Mac::Hmac), |name| Pkcs12Mac::from_name(name).ok_or_else(|| unknown(name)))
}
