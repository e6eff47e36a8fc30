//! Enrolment without a network: a request goes out by any means, and the certificate that comes back finds its key.

use super::args::c_text;
use super::prelude::*;
use zeroize::Zeroizing;

use super::key::in_form;
use super::pkcs12::password_text;
use devid_core::asn1::pkcs10::CertificationRequest;
use devid_core::client::{Destination, Import, RequestOptions, UnsignedRequest, keep_request};
use devid_core::cmp::Signer;
use devid_core::crypto::{SignatureAlgorithm, default_provider};

/// A PKCS#10 request (RFC 2986), signed or waiting for its signature.
#[handle]
pub type devid_request = Pkcs10;

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
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, DEVID_E_ALGORITHM if the key cannot sign so, DEVID_E_SIGNER.
#[export]
fn devid_request_new(
    key: &devid_key,
    subject: &devid_subject,
    challenge_password: Option<&str>,
    algorithm: Option<&str>,
) -> Result<devid_request, Error> {
    let challenge_password = challenge_password.map(|text| Zeroizing::new(text.to_owned()));
    let algorithm = algorithm.map(SignatureAlgorithm::named).transpose()?;
    let options = RequestOptions { challenge_password, algorithm };
    let unsigned = UnsignedRequest::new(subject, &key.signer, &options)?;
    let algorithm = c_text(&unsigned.algorithm().name());
    let state = match &key.signer {
        Signer::Key(key) => State::Signed(unsigned.sign(&**key)?),
        Signer::Deferred { .. } => State::Unsigned(unsigned),
    };
    Ok(Pkcs10 { state, algorithm })
}

/// What is to be signed, whole and not its digest.
///
/// @param out_message  Receives the message; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if the request is signed.
#[export]
fn devid_request_to_sign(request: &devid_request) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(request.unsigned()?.to_sign()))
}

/// With which algorithm the request is, or is to be, signed, as in devid_sign_fn.
///
/// @return Valid as long as the request.
#[export]
fn devid_request_sign_algorithm(request: &devid_request) -> Option<&CStr> {
    Some(&request.algorithm)
}

/// Hands in the signature of a deferred key. It is checked with the public key.
///
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if the request is signed, DEVID_E_SIGNER if the signature does not match (the request waits
///         for a right one).
#[export]
fn devid_request_put_signature(request: &mut devid_request, signature: &[u8]) -> Result<(), Error> {
    let signed = request.unsigned()?.with_signature(&*default_provider(), signature)?;
    request.state = State::Signed(signed);
    Ok(())
}

/// The signed request, as a CA takes it. It should not go out before devid_store_put_request() has kept its key.
///
/// @param form      DEVID_FORM_DER or DEVID_FORM_PEM.
/// @param out_data  Receives the request; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if it is not signed yet.
#[export]
fn devid_request_data(request: &devid_request, form: i32) -> Result<devid_bytes, Error> {
    in_form(form, "CERTIFICATE REQUEST", request.signed()?.as_der())
}

/// Frees the request.
#[export]
fn devid_request_free(request: Owned<devid_request>) {
    drop(request)
}

/// Keeps a request and its key until the certificate comes, perhaps weeks and reboots later.
///
/// @param name       The label of the pending key, and the name of the identity to be. Not NULL.
/// @param key        The key that the request is for. Not NULL.
/// @param reference  As devid_store_install(). May be NULL.
/// @param request    Signed. Not NULL.
/// @return DEVID_OK; DEVID_E_EXISTS if another key is pending under the name, DEVID_E_STATE if an online enrolment is unfinished
///         under it, or if the request is not signed.
#[export]
fn devid_store_put_request(
    store: &devid_store,
    name: &str,
    key: &devid_key,
    reference: Option<&str>,
    request: &devid_request,
) -> Result<(), Error> {
    let to = Destination { store, name, purpose: "" };
    keep_request(to, &key.signer.to_keep(reference)?, request.signed()?)
}

/// Takes in a certificate that came by any means: it finds its pending key by the public key, is validated, compared with the
/// request that was kept, and installed in one atomic step.
///
/// @param store               Not NULL.
/// @param name                Looks at the pending key of this label only. NULL: at all of them. May be NULL.
/// @param data                Certificates and PKCS#7 (.p7b), PEM or DER, in any order, with or without the issuers. Not NULL.
/// @param anchors             Where the certificate must lead. Not NULL.
/// @param intermediates       Untrusted helpers for the path. NULL: none. May be NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  1: also a certificate that is not what was asked for; 0: only one that is.
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if no pending key is certified, DEVID_E_EXISTS if the certificate is in use already,
///         DEVID_E_INVALID_ARGUMENT if several match, DEVID_E_WRONG_CERTIFICATE if it is not what was asked for,
///         DEVID_E_NO_PATH, DEVID_E_EXPIRED and others of devid_validate().
#[export]
fn devid_store_import(
    store: &devid_store,
    name: Option<&str>,
    data: &[u8],
    anchors: &devid_trust,
    intermediates: Option<&devid_cert_list>,
    purpose: &str,
    accept_differences: bool,
    now: Time,
) -> Result<(devid_bytes, devid_identity), Error> {
    let intermediates = intermediates.map_or(&[][..], Vec::as_slice);
    take_in(&Import { name, intermediates, ..Import::new(store, anchors, purpose, now) }, data, accept_differences)
}

/// The same from a PKCS#12 file, which may bring the private key too: if no pending key is certified in it, the key and its
/// certificate are installed as one, after the same checks.
///
/// @param store               Not NULL.
/// @param name                Under which name a key of the file's own is installed; of the pending keys, this one alone is
///                            looked at. NULL: at all pending keys, and a key of its own is refused. May be NULL.
/// @param data                PKCS#12, as devid_pkcs12_read(). Not NULL.
/// @param password            UTF-8. May be NULL (the empty password).
/// @param anchors             Where the certificate must lead. Not NULL.
/// @param intermediates       Untrusted helpers for the path. NULL: none. May be NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  As devid_store_import().
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @return As devid_store_import(); DEVID_E_WRONG_SECRET, DEVID_E_CORRUPT and others of devid_pkcs12_read().
#[export]
fn devid_store_import_pkcs12(
    store: &devid_store,
    name: Option<&str>,
    data: &[u8],
    password: &[u8],
    anchors: &devid_trust,
    intermediates: Option<&devid_cert_list>,
    purpose: &str,
    accept_differences: bool,
    now: Time,
) -> Result<(devid_bytes, devid_identity), Error> {
    let intermediates = intermediates.map_or(&[][..], Vec::as_slice);
    let password = Some(password_text(password)?);
    let import = Import { name, password, intermediates, ..Import::new(store, anchors, purpose, now) };
    take_in(&import, data, accept_differences)
}

/// As devid_store_import(), with all that a validator checks: its anchors and intermediates, CRLs and OCSP responses at hand,
/// revocation rules, purposes, names, policies. A certificate that is on a CRL never comes into use.
///
/// @param name                Looks at the pending key of this label only. NULL: at all of them. May be NULL.
/// @param data                As devid_store_import(). Not NULL.
/// @param validator           What is checked. Purposes and names are for the device's own certificate here. Not NULL.
/// @param purpose             What the identity is for, such as "ldevid". Not NULL.
/// @param accept_differences  As devid_store_import().
/// @param out_name            Receives the name of the identity; free with devid_bytes_free(). May be NULL.
/// @param out_identity        Receives the identity; free with devid_identity_free(). May be NULL.
/// @return As devid_store_import(); DEVID_E_REVOKED, DEVID_E_REVOCATION_UNKNOWN and others of devid_validate().
#[export]
fn devid_store_import_checked(
    store: &devid_store,
    name: Option<&str>,
    data: &[u8],
    validator: &devid_validator,
    purpose: &str,
    accept_differences: bool,
    now: Time,
) -> Result<(devid_bytes, devid_identity), Error> {
    let import = Import {
        name,
        provider: std::sync::Arc::clone(&validator.provider),
        intermediates: &validator.pool,
        status: validator.status.clone(),
        checks: validator.own_checks(now)?,
        ..Import::new(store, &validator.anchors, purpose, now)
    };
    take_in(&import, data, accept_differences)
}

fn take_in(import: &Import<'_>, data: &[u8], accept_differences: bool) -> Result<(devid_bytes, devid_identity), Error> {
    let (identity, differences) = if accept_differences {
        let imported = import.check(data)?;
        (import.install(&imported)?, imported.differences().to_vec())
    } else {
        import.run_telling(data)?
    };
    let name = devid_bytes::from_slice(identity.name.as_bytes());
    Ok((name, devid_identity::imported(identity, import.store, &differences)))
}
