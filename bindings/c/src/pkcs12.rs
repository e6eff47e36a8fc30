//! PKCS#12 (RFC 7292): key and certificates in one file under a password.

use std::ffi::c_char;

use super::args::{Handle, null};
use super::args::{bytes_in, handle_ref, out, out_opt, text_in_opt};
use super::bytes::devid_bytes;
use super::cert::{devid_cert, devid_cert_list};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::key::devid_key;
use devid_core::cms::pkcs12::{DEFAULT_ITERATIONS, Pkcs12Identity};
use devid_core::cms::{NewPkcs12, Pkcs12, Pkcs12Mac};
use devid_core::crypto::{CryptoError, default_provider};
use devid_core::{Code, Error};

/// Reads a PKCS#12 file, DER or BER. What comes out is not trusted: validate the certificate before use.
///
/// Protected by PBES2 and HMAC or PBMAC1 as today's tools write them; triple DES, RC2 and SHA-1 of older tools where built in,
/// see devid_supports("legacy-ciphers").
///
/// @param data          Not NULL.
/// @param data_len      Length of `data` in bytes.
/// @param password      UTF-8; opens both the contents and the MAC. May be NULL (the empty password).
/// @param password_len  Length of `password` in bytes.
/// @param out_key       Receives the first private key that a certificate in the file is for; NULL if there is none. Free with
///                      devid_key_free(). May be NULL.
/// @param out_cert      Receives the certificate of that key, else NULL; free with devid_cert_free(). May be NULL.
/// @param out_others    Receives all other certificates in their order; free with devid_cert_list_free(). May be NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_WRONG_SECRET if the password opens nothing in it, DEVID_E_CORRUPT if it does and the file was changed,
///         DEVID_E_DER, DEVID_E_LIMIT, DEVID_E_ALGORITHM, DEVID_E_NOT_UTF8.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_pkcs12_read(
    data: *const u8,
    data_len: usize,
    password: *const u8,
    password_len: usize,
    out_key: *mut *mut devid_key,
    out_cert: *mut *mut devid_cert,
    out_others: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_key, out_cert, out_others, data, password) = unsafe {
            (
                out_opt(out_key),
                out_opt(out_cert),
                out_opt(out_others),
                bytes_in(data, data_len, "data")?,
                bytes_in(password, password_len, "password")?,
            )
        };
        let provider = default_provider();
        let found = Pkcs12::open(&*provider, data, password_text(password)?)?;
        let others = match found.identity(&*provider)? {
            Some(Pkcs12Identity { key, certificate, others }) => {
                if let Some(out_key) = out_key {
                    *out_key = devid_key::of(key);
                }
                if let Some(out_cert) = out_cert {
                    *out_cert = devid_cert::of(certificate);
                }
                others
            }
            None => found.certificates,
        };
        if let Some(out_others) = out_others {
            *out_others = devid_cert_list::into_raw(others);
        }
        Ok(())
    })
}

/// Writes a PKCS#12 file: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA256, and a MAC with SHA-256.
///
/// @param key           The private key. Not NULL.
/// @param cert          Its certificate. Not NULL.
/// @param chain         The certificates above, nearest first. NULL: none. May be NULL.
/// @param name          What software shows people for key and certificate (friendlyName). NULL: nothing. May be NULL.
/// @param password      UTF-8. Not NULL.
/// @param password_len  Length of `password` in bytes; not 0.
/// @param mac           "HMAC", which everyone reads, or "PBMAC1" (RFC 9579). NULL: "HMAC". May be NULL.
/// @param iterations    Of each of the three key derivations; 0 means 100000. .NET reads up to 300000.
/// @param out_data      Receives the file, DER; free with devid_bytes_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_KEY_MISMATCH if the certificate is for another key, DEVID_E_UNSUPPORTED if the key cannot leave its
///         home, DEVID_E_INVALID_ARGUMENT, DEVID_E_NOT_UTF8.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_pkcs12_write(
    key: *const devid_key,
    cert: *const devid_cert,
    chain: *const devid_cert_list,
    name: *const c_char,
    password: *const u8,
    password_len: usize,
    mac: *const c_char,
    iterations: u32,
    out_data: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_data, key, cert, chain, name, password, mac) = unsafe {
            (
                out(out_data, "out_data")?,
                handle_ref(key, "key")?,
                handle_ref(cert, "cert")?,
                if chain.is_null() { None } else { Some(handle_ref(chain, "chain")?) },
                text_in_opt(name, "name")?,
                not_null(password, password_len)?,
                text_in_opt(mac, "mac")?,
            )
        };
        let private = key.at_hand()?;
        if !devid_core::crypto::keys::key_matches_certificate(&**private, &cert.certificate) {
            return Err(Error::new(Code::KeyMismatch, "the certificate is for another key"));
        }
        let pkcs8 = private.to_pkcs8().ok_or(CryptoError::KeyCannot("leave its home"))?;
        let new = NewPkcs12 {
            pkcs8: &pkcs8,
            certificate: &cert.certificate,
            chain: chain.as_ref().map_or(&[], |chain| &chain[..]),
            name: name.unwrap_or_default(),
            mac: mac_named(mac)?,
            iterations: if iterations == 0 { DEFAULT_ITERATIONS } else { iterations },
        };
        *out_data = devid_bytes::from_slice(&new.seal(&*default_provider(), password_text(password)?)?);
        Ok(())
    })
}

/// A password that protects something.
///
/// # Safety
/// As `bytes_in`.
pub(super) unsafe fn not_null<'a>(password: *const u8, password_len: usize) -> Result<&'a [u8], Error> {
    if password.is_null() {
        return Err(null("password"));
    }
    if password_len == 0 {
        return Err(Error::new(Code::InvalidArgument, "an empty password protects nothing"));
    }
    // SAFETY: by the caller's promise.
    unsafe { bytes_in(password, password_len, "password") }
}

pub(super) fn password_text(password: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(password).map_err(|_| Error::new(Code::NotUtf8, "password is not UTF-8"))
}

pub(super) fn mac_named(name: Option<&str>) -> Result<Pkcs12Mac, Error> {
    let unknown = |name| Error::new(Code::InvalidArgument, format!("'{name}' is neither HMAC nor PBMAC1"));
    name.map_or(Ok(Pkcs12Mac::Hmac), |name| Pkcs12Mac::from_name(name).ok_or_else(|| unknown(name)))
}
