//! What an operation in device memory is, told before it is continued.

use super::args::c_text;
use super::prelude::*;
use devid_core::client::Destination;
use devid_core::cmp::{SavedCredential, SavedOperation, SavedState};

/// What a saved operation is. Never changes; may be shared by threads.
#[handle]
pub type devid_saved = Saved;

#[doc(hidden)]
pub struct Saved {
    saved: SavedOperation,
    request: CString,
    message: Option<CString>,
    credential: CString,
    reason: CString,
    server: Option<CString>,
}

/// The request was protected with the key of a certificate.
pub const DEVID_SAVED_BY_CERTIFICATE: i32 = 1;
/// The request was protected by a shared secret.
pub const DEVID_SAVED_BY_SECRET: i32 = 2;
/// Client and server know each other by TLS.
pub const DEVID_SAVED_BY_TLS: i32 = 3;

/// A message is about to be sent, or its answer was not seen.
pub const DEVID_SAVED_STATE_SENDING: i32 = 1;
/// The CA asked to be asked again later.
pub const DEVID_SAVED_STATE_WAITING: i32 = 2;
/// A certificate is here, and nobody has decided on it.
pub const DEVID_SAVED_STATE_DECIDING: i32 = 3;

impl Saved {
    fn of(saved: SavedOperation) -> Saved {
        let message = match saved.state {
            SavedState::Sending(body) => Some(c_text(body.name())),
            SavedState::Waiting(_) | SavedState::Deciding => None,
        };
        let (request, credential) = (c_text(saved.request.name()), c_text(&saved.credential.to_string()));
        let reason = c_text(&saved.reason.join("\n"));
        let server = saved.server.as_deref().map(c_text);
        Saved { saved, request, message, credential, reason, server }
    }
}

/// Reads what devid_op_save() gave, or what devid_store_operation() keeps. No key and no credential is needed.
///
/// @param saved      The operation's bytes. Not NULL.
/// @param out_saved  Receives what it is; free with devid_saved_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT, DEVID_E_UNKNOWN_VERSION.
#[export]
fn devid_saved_read(saved: &[u8]) -> Result<devid_saved, Error> {
    Ok(Saved::of(SavedOperation::read(saved)?))
}

/// What is unfinished under a name in device memory, before devid_op_resume() continues it.
///
/// @param name       The identity's name. Not NULL.
/// @param out_saved  Receives what it is; free with devid_saved_free(). NULL if nothing is unfinished. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT, DEVID_E_UNKNOWN_VERSION; a failure of device memory.
#[export]
fn devid_store_unfinished(store: &devid_store, name: &str) -> Result<Option<devid_saved>, Error> {
    Ok(Destination { store, name, purpose: "" }.unfinished()?.map(Saved::of))
}

/// The revocation that is unfinished under a name in device memory: devid_op_install_into() with the same continues it.
///
/// @param name       The identity's name. Not NULL.
/// @param out_saved  Receives what it is; free with devid_saved_free(). NULL if none is unfinished. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT, DEVID_E_UNKNOWN_VERSION; a failure of device memory.
#[export]
fn devid_store_unfinished_revocation(store: &devid_store, name: &str) -> Result<Option<devid_saved>, Error> {
    Ok(Destination { store, name, purpose: "" }.unfinished_revocation()?.map(Saved::of))
}

/// The request: "ir", "cr", "kur", "p10cr", "rr", "genm".
///
/// @return Never NULL; valid until `saved` is freed.
#[export]
fn devid_saved_request(saved: &devid_saved) -> &CStr {
    &saved.request
}

/// With what the request was protected: who has to continue it.
///
/// @return One of DEVID_SAVED_BY_*.
#[export]
fn devid_saved_credential_kind(saved: &devid_saved) -> i32 {
    match saved.saved.credential {
        SavedCredential::Certificate(_) => DEVID_SAVED_BY_CERTIFICATE,
        SavedCredential::Secret(_) => DEVID_SAVED_BY_SECRET,
        SavedCredential::MutualTls(_) => DEVID_SAVED_BY_TLS,
    }
}

/// Which credential that was: SHA-256 of the certificate (DER), the reference value of the secret, or the sender's name (DER).
///
/// @return Valid until `saved` is freed.
#[export]
fn devid_saved_credential(saved: &devid_saved) -> Option<&[u8]> {
    Some(match &saved.saved.credential {
        SavedCredential::Certificate(digest) => &digest[..],
        SavedCredential::Secret(value) | SavedCredential::MutualTls(value) => value,
    })
}

/// The same as text, for users.
///
/// @return Never NULL; valid until `saved` is freed.
#[export]
fn devid_saved_credential_text(saved: &devid_saved) -> &CStr {
    &saved.credential
}

/// When the operation began, by the clock of then.
///
/// @return Seconds since 1970-01-01T00:00:00Z.
#[export(otherwise = -1)]
fn devid_saved_since(saved: &devid_saved) -> i64 {
    saved.saved.started.unix()
}

/// What comes next.
///
/// @return One of DEVID_SAVED_STATE_*.
#[export]
fn devid_saved_state(saved: &devid_saved) -> i32 {
    match saved.saved.state {
        SavedState::Sending(_) => DEVID_SAVED_STATE_SENDING,
        SavedState::Waiting(_) => DEVID_SAVED_STATE_WAITING,
        SavedState::Deciding => DEVID_SAVED_STATE_DECIDING,
    }
}

/// The message that is about to be sent, with DEVID_SAVED_STATE_SENDING: as devid_op_output_name().
///
/// @return NULL in other states; valid until `saved` is freed.
#[export]
fn devid_saved_message(saved: &devid_saved) -> Option<&CStr> {
    saved.message.as_deref()
}

/// Until when the CA asked to wait, with DEVID_SAVED_STATE_WAITING; by the clock of then.
///
/// @return Seconds since 1970-01-01T00:00:00Z; -1 in other states.
#[export(otherwise = -1)]
fn devid_saved_wait_until(saved: &devid_saved) -> Option<i64> {
    match saved.saved.state {
        SavedState::Waiting(until) => Some(until.unix()),
        SavedState::Sending(_) | SavedState::Deciding => None,
    }
}

/// How often the CA has been polled.
///
/// @return 0 or more.
#[export]
fn devid_saved_polls(saved: &devid_saved) -> u32 {
    saved.saved.polls
}

/// Why the CA asked to wait, as its own message says; for whoever waits. As devid_op_wait_reason() has it for an operation at work.
///
/// @return Text, one of its texts in each line; "" if it gave none; valid until `saved` is freed.
#[export]
fn devid_saved_reason(saved: &devid_saved) -> &CStr {
    &saved.reason
}

/// The URL to which the request was sent: whoever answers at another one may know nothing of it.
///
/// @return NULL where that is not known; valid until `saved` is freed.
#[export]
fn devid_saved_server(saved: &devid_saved) -> Option<&CStr> {
    saved.server.as_deref()
}

/// How many answers in a row led nowhere: they proved nothing, or said that something else arrived than was sent. The same is asked
/// again, and the reason says why.
///
/// @return 0 or more.
#[export]
fn devid_saved_dropped(saved: &devid_saved) -> u32 {
    saved.saved.dropped
}

/// The public half of the new key: SubjectPublicKeyInfo, DER.
///
/// @return NULL if the operation has none, or none yet; valid until `saved` is freed.
#[export]
fn devid_saved_new_key(saved: &devid_saved) -> Option<&[u8]> {
    Some(&saved.saved.new_key[..]).filter(|key| !key.is_empty())
}

/// Frees it; the saved operation stays.
#[export]
fn devid_saved_free(saved: Owned<devid_saved>) {
    drop(saved)
}
