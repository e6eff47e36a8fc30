//! Enrolment without a network: a request goes out by any means, and the certificate that comes back finds its key.

use std::ffi::{CString, c_char};
use std::ptr;

use zeroize::Zeroizing;

use super::args::{
    Handle, Slot, bytes_in, c_text, free, handle, handle_mut, handle_ref, out, out_opt, peek, text_in, text_in_opt,
};
use super::bytes::devid_bytes;
use super::cert::devid_cert_list;
use super::config::{invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::identity::devid_identity;
use super::key::{devid_key, in_form};
use super::pkcs12::password_text;
use super::store::{devid_store, key_reference, new_key};
use super::subject::devid_subject;
use super::trust::devid_trust;
use super::validation::devid_validator;
use devid_core::asn1::pkcs10::CertificationRequest;
use devid_core::client::{Destination, Import, RequestOptions, UnsignedRequest, keep_request};
use devid_core::cmp::Signer;
use devid_core::crypto::{SignatureAlgorithm, default_provider};
use devid_core::{Code, Error, Time};

/// A PKCS#10 request (RFC 2986), signed or waiting for its signature.
#[allow(non_camel_case_types)]
pub struct devid_request(Slot<Pkcs10>);
handle!(devid_request: Pkcs10);

#[doc(hidden)]
pub struct Pkcs10 {
    state: State,
    algorithm: CString,
}

enum State {
    Unsigned(UnsignedRequest),
    Signed(CertificationRequest),
}

impl Pkcs10 {
    fn signed(&self) -> Result<&CertificationRequest, Error> {
        match &self.state {
            State::Signed(request) => Ok(request),
            State::Unsigned(_) => Err(Error::new(Code::State, "the request is not signed yet")),
        }
    }

    fn unsigned(&self) -> Result<&UnsignedRequest, Error> {
        match &self.state {
            State::Unsigned(request) => Ok(request),
            State::Signed(_) => Err(Error::new(Code::State, "the request is signed already")),
        }
    }
}

/// Makes a PKCS#10 request, for a CA that is reached by other means than CMP. A key at hand signs it at once; for a deferred key
/// see devid_request_to_sign().
///
/// @param key                 The key that is to be certified. Not NULL.
/// @param subject             What is asked for, without issuer and validity: the format has no place for them. Not NULL.
/// @param challenge_password  1 to 255 characters that all who handle the request can read. NULL: none. May be NULL.
/// @param algorithm           How it is signed, as in devid_sign_fn, such as "RSA-PSS-SHA256". NULL: the key's usual one. May be
///                            NULL.
/// @param out_request         Receives the request; free with devid_request_free(). Not NULL.
/// @param err                 Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_ALGORITHM if the key cannot sign so, DEVID_E_SIGNER.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_new(
    key: *const devid_key,
    subject: *const devid_subject,
    challenge_password: *const c_char,
    algorithm: *const c_char,
    out_request: *mut *mut devid_request,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_request, key, subject, password, algorithm) = unsafe {
            (
                out(out_request, "out_request")?,
                handle_ref(key, "key")?,
                handle_ref(subject, "subject")?,
                text_in_opt(challenge_password, "challenge_password")?,
                text_in_opt(algorithm, "algorithm")?,
            )
        };
        let challenge_password = password.map(|text| Zeroizing::new(text.to_owned()));
        let known = |name| {
            let words = format!("'{name}' is no signature algorithm such as ECDSA-SHA256");
            SignatureAlgorithm::from_name(name).ok_or_else(|| invalid(words))
        };
        let options = RequestOptions { challenge_password, algorithm: algorithm.map(known).transpose()? };
        let unsigned = UnsignedRequest::new(&subject, &key.signer, &options)?;
        let algorithm = c_text(&unsigned.algorithm().name());
        let state = match &key.signer {
            Signer::Key(key) => State::Signed(unsigned.sign(&**key)?),
            Signer::Deferred { .. } => State::Unsigned(unsigned),
        };
        *out_request = devid_request::into_raw(Pkcs10 { state, algorithm });
        Ok(())
    })
}

/// What is to be signed, whole and not its digest.
///
/// @param request      Not NULL.
/// @param out_message  Receives the message; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if the request is signed.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_to_sign(
    request: *const devid_request,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, request) = unsafe { (out(out_message, "out_message")?, handle_ref(request, "request")?) };
        *out_message = devid_bytes::from_slice(request.unsigned()?.to_sign());
        Ok(())
    })
}

/// With which algorithm the request is, or is to be, signed, as in devid_sign_fn.
///
/// @param request  May be NULL (gives NULL).
/// @return Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_sign_algorithm(request: *const devid_request) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(request, ptr::null(), |request| request.algorithm.as_ptr()) }
}

/// Hands in the signature of a deferred key. It is checked with the public key.
///
/// @param request        Not NULL.
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @param signature_len  Length of `signature` in bytes.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if the request is signed, DEVID_E_SIGNER if the signature does not match (the request waits
///         for a right one).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_signature(
    request: *mut devid_request,
    signature: *const u8,
    signature_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut request, signature) =
            unsafe { (handle_mut(request, "request")?, bytes_in(signature, signature_len, "signature")?) };
        let signed = request.unsigned()?.with_signature(&*default_provider(), signature)?;
        request.state = State::Signed(signed);
        Ok(())
    })
}

/// The signed request, as a CA takes it. It should not go out before devid_store_put_request() has kept its key.
///
/// @param request   Not NULL.
/// @param form      DEVID_FORM_DER or DEVID_FORM_PEM.
/// @param out_data  Receives the request; free with devid_bytes_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if it is not signed yet.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_data(
    request: *const devid_request,
    form: i32,
    out_data: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_data, request) = unsafe { (out(out_data, "out_data")?, handle_ref(request, "request")?) };
        *out_data = in_form(form, "CERTIFICATE REQUEST", request.signed()?.as_der())?;
        Ok(())
    })
}

/// Frees the request.
///
/// @param request  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_request_free(request: *mut devid_request) {
    // SAFETY: as the header says.
    unsafe { free(request) }
}

/// Keeps a request and its key until the certificate comes, perhaps weeks and reboots later.
///
/// @param store      Not NULL.
/// @param name       The label of the pending key, and the name of the identity to be. Not NULL.
/// @param key        The key that the request is for. Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @param request    Signed. Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_EXISTS if another key is pending under the name, DEVID_E_STATE if an online enrolment is unfinished
///         under it, or if the request is not signed.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_put_request(
    store: *const devid_store,
    name: *const c_char,
    key: *const devid_key,
    reference: *const c_char,
    request: *const devid_request,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (store, name, key, reference, request) = unsafe {
            (
                handle_ref(store, "store")?,
                text_in(name, "name")?,
                handle_ref(key, "key")?,
                text_in_opt(reference, "reference")?,
                handle_ref(request, "request")?,
            )
        };
        let reference = key_reference(&key.signer, reference)?;
        let to = Destination { store: &store, name, purpose: "" };
        keep_request(to, &new_key(&key.signer, reference.as_ref()), request.signed()?)
    })
}

/// Takes in a certificate that came by any means: it finds its pending key by the public key, is validated, compared with the
/// request that was kept, and installed in one atomic step.
///
/// @param store               Not NULL.
/// @param name                Looks at the pending key of this label only. NULL: at all of them. May be NULL.
/// @param data                Certificates and PKCS#7 (.p7b), PEM or DER, in any order, with or without the issuers. Not NULL.
/// @param data_len            Length of `data` in bytes.
/// @param anchors             Where the certificate must lead. Not NULL.
/// @param intermediates       Untrusted helpers for the path. NULL: none. May be NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  1: also a certificate that is not what was asked for; 0: only one that is.
/// @param now                 The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @param err                 Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if no pending key is certified, DEVID_E_EXISTS if the certificate is in use already,
///         DEVID_E_INVALID_ARGUMENT if several match, DEVID_E_WRONG_CERTIFICATE if it is not what was asked for,
///         DEVID_E_NO_PATH, DEVID_E_EXPIRED and others of devid_validate().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_import(
    store: *const devid_store,
    name: *const c_char,
    data: *const u8,
    data_len: usize,
    anchors: *const devid_trust,
    intermediates: *const devid_cert_list,
    purpose: *const c_char,
    accept_differences: i32,
    now: i64,
    out_name: *mut *mut devid_bytes,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe {
        import(
            (store, name, anchors, intermediates, purpose),
            (data, data_len),
            None,
            (accept_differences, now),
            (out_name, out_identity, err),
        )
    }
}

/// The same from a PKCS#12 file, which may bring the private key too: if no pending key is certified in it, the key and its
/// certificate are installed as one, after the same checks.
///
/// @param store               Not NULL.
/// @param name                Under which name a key of the file's own is installed; of the pending keys, this one alone is
///                            looked at. NULL: at all pending keys, and a key of its own is refused. May be NULL.
/// @param data                PKCS#12, as devid_pkcs12_read(). Not NULL.
/// @param data_len            Length of `data` in bytes.
/// @param password            UTF-8. May be NULL (the empty password).
/// @param password_len        Length of `password` in bytes.
/// @param anchors             Where the certificate must lead. Not NULL.
/// @param intermediates       Untrusted helpers for the path. NULL: none. May be NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  As devid_store_import().
/// @param now                 The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @param err                 Receives details on failure, else NULL. May be NULL.
/// @return As devid_store_import(); DEVID_E_WRONG_SECRET, DEVID_E_CORRUPT and others of devid_pkcs12_read().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_import_pkcs12(
    store: *const devid_store,
    name: *const c_char,
    data: *const u8,
    data_len: usize,
    password: *const u8,
    password_len: usize,
    anchors: *const devid_trust,
    intermediates: *const devid_cert_list,
    purpose: *const c_char,
    accept_differences: i32,
    now: i64,
    out_name: *mut *mut devid_bytes,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    // SAFETY: as the header says.
    unsafe {
        import(
            (store, name, anchors, intermediates, purpose),
            (data, data_len),
            Some((password, password_len)),
            (accept_differences, now),
            (out_name, out_identity, err),
        )
    }
}

/// As devid_store_import(), with all that a validator checks: its anchors and intermediates, CRLs and OCSP responses at hand,
/// revocation rules, purposes, names, policies. A certificate that is on a CRL never comes into use.
///
/// @param store               Not NULL.
/// @param name                Looks at the pending key of this label only. NULL: at all of them. May be NULL.
/// @param data                As devid_store_import(). Not NULL.
/// @param data_len            Length of `data` in bytes.
/// @param validator           What is checked. Purposes and names are for the device's own certificate here. Not NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  As devid_store_import().
/// @param now                 The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @param err                 Receives details on failure, else NULL. May be NULL.
/// @return As devid_store_import(); DEVID_E_REVOKED, DEVID_E_REVOCATION_UNKNOWN and others of devid_validate().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_import_checked(
    store: *const devid_store,
    name: *const c_char,
    data: *const u8,
    data_len: usize,
    validator: *const devid_validator,
    purpose: *const c_char,
    accept_differences: i32,
    now: i64,
    out_name: *mut *mut devid_bytes,
    out_identity: *mut *mut devid_identity,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_name, out_identity, store, name, data, validator, purpose) = unsafe {
            (
                out_opt(out_name),
                out_opt(out_identity),
                handle_ref(store, "store")?,
                text_in_opt(name, "name")?,
                bytes_in(data, data_len, "data")?,
                handle_ref(validator, "validator")?,
                text_in(purpose, "purpose")?,
            )
        };
        let at = Time::from_unix(now);
        let base = Import::new(&store, &validator.anchors, purpose, at);
        let import = Import {
            name,
            provider: std::sync::Arc::clone(&validator.provider),
            intermediates: &validator.pool,
            status: validator.status.clone(),
            checks: validator.own_checks(at)?,
            ..base
        };
        take_in(&import, data, accept_differences, out_name, out_identity)
    })
}

fn take_in(
    import: &Import<'_>,
    data: &[u8],
    accept_differences: i32,
    out_name: Option<&mut *mut devid_bytes>,
    out_identity: Option<&mut *mut devid_identity>,
) -> Result<(), Error> {
    let identity =
        if switch(accept_differences)? { import.install(&import.check(data)?)? } else { import.run(data)? };
    if let Some(out_name) = out_name {
        *out_name = devid_bytes::from_slice(identity.name.as_bytes());
    }
    if let Some(out_identity) = out_identity {
        *out_identity = devid_identity::of(identity, import.store);
    }
    Ok(())
}

type Into = (*const devid_store, *const c_char, *const devid_trust, *const devid_cert_list, *const c_char);
type Results = (*mut *mut devid_bytes, *mut *mut devid_identity, *mut *mut devid_error);

/// # Safety
/// As the header says of devid_store_import_pkcs12().
unsafe fn import(
    (store, name, anchors, intermediates, purpose): Into,
    (data, data_len): (*const u8, usize),
    password: Option<(*const u8, usize)>,
    (accept_differences, now): (i32, i64),
    (out_name, out_identity, err): Results,
) -> devid_status {
    guard(err, || {
        // SAFETY: by the caller's promise.
        let (out_name, out_identity, store, name, data, password, anchors, intermediates, purpose) = unsafe {
            (
                out_opt(out_name),
                out_opt(out_identity),
                handle_ref(store, "store")?,
                text_in_opt(name, "name")?,
                bytes_in(data, data_len, "data")?,
                match password {
                    Some((password, len)) => Some(password_text(bytes_in(password, len, "password")?)?),
                    None => None,
                },
                handle_ref(anchors, "anchors")?,
                if intermediates.is_null() { None } else { Some(handle_ref(intermediates, "intermediates")?) },
                text_in(purpose, "purpose")?,
            )
        };
        let intermediates = intermediates.as_ref().map_or(&[][..], |list| &list[..]);
        let at = Time::from_unix(now);
        let import = Import { name, password, intermediates, ..Import::new(&store, &anchors, purpose, at) };
        take_in(&import, data, accept_differences, out_name, out_identity)
    })
}
