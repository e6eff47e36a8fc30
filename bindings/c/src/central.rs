//! Enrolments for others than the device's own key: keys that the CA's side makes, and requests that others have made.

use super::args::null;
use super::prelude::*;
use devid_core::client::Subject;
use devid_core::cmp::RequestKind;
use devid_core::crypto::KeyKind;

/// Begins an enrolment or renewal over a key that the CA's side makes (RFC 9483 section 4.1.6). The key comes encrypted to the
/// client's credential: an RSA or EC key at hand, or the shared secret.
///
/// @param request   "ir", "cr" or "kur". Not NULL.
/// @param key_kind  The type of key preferred, as devid_key_generate(); of RSA keys the CA chooses the size. NULL: any. May be
///                  NULL.
/// @param subject   What is asked for; NULL for "kur", whose names are those of the credential's certificate. May be NULL.
/// @param out_op    Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT; DEVID_E_ALGORITHM or DEVID_E_UNSUPPORTED if nothing can be encrypted to the
///         credential.
#[export]
fn devid_op_enroll_central(
    client: &devid_client,
    request: &str,
    key_kind: Option<&str>,
    subject: Option<&devid_subject>,
) -> Result<devid_op, Error> {
    let refuse = |words: String| Error::new(Code::InvalidArgument, words);
    let request = match request {
        "ir" => RequestKind::Initial,
        "cr" => RequestKind::Further,
        "kur" => RequestKind::KeyUpdate,
        other => return Err(refuse(format!("'{other}' asks for no key; \"ir\", \"cr\" and \"kur\" do"))),
    };
    let key_kind = key_kind.map(KeyKind::named).transpose()?;
    let operation = match subject {
        None if request == RequestKind::KeyUpdate => {
            client.client.enroll_central(request, key_kind, &Subject::new())?
        }
        None => return Err(null("subject")),
        Some(subject) => client.client.enroll_central(request, key_kind, subject)?,
    };
    Ok(devid_op::new(client, operation))
}

/// The key that the CA's side made, from DEVID_ACTION_ACCEPT on: it is the certificate's, and was signed by a key generation
/// authority. A saved operation does not hold it: keep it before devid_op_accept(), unless devid_op_install_into() does.
///
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet, or its key is the device's own.
#[export]
fn devid_op_private_key(op: &devid_op) -> Result<devid_key, Error> {
    let key = op.issued()?.private_key.clone();
    let key = key.ok_or_else(|| Error::new(Code::State, "the certificate is over a key of the device's own"))?;
    Ok(devid_key::of(key))
}

/// Begins an enrolment on behalf of whoever made a PKCS#10 request: ir with raVerified (RFC 9483 section 5.3.1). The request's own
/// signature is checked; that its subject is who brought it is the RA's to know.
///
/// @param client       Its credential is an RA's certificate. Not NULL.
/// @param request      PKCS#10, DER or PEM. Not NULL.
/// @param out_op       Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_SIGNATURE_INVALID if the request's own signature does not hold; DEVID_E_INVALID_ARGUMENT if the
///         credential is a shared secret.
#[export]
fn devid_op_enroll_on_behalf(client: &devid_client, request: &[u8]) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.enroll_on_behalf(request)?))
}
