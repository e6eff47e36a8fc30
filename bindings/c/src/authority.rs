//! A registration authority: messages of devices are checked and passed on (RFC 9483 section 5.2). How they travel, and whether a
//! device may have what it asks for, is the program's affair.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{
    Handle, Slot, bytes_in, bytes_in_opt, c_text, free, handle, handle_mut, handle_ref, lend, out, peek, text_in_opt,
};
use super::bytes::devid_bytes;
use super::cert::devid_cert;
use super::config::{devid_client, invalid, switch};
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use super::operation::{Op, devid_op};
use super::trust::devid_trust;
use devid_core::asn1::cmp::{PkiStatus, PkiStatusInfo};
use devid_core::cmp::{Batch, Device, DeviceRequest, Proof, RegistrationAuthority};
use devid_core::{Code, Error, Time};

/// A registration authority: its credential, whom it believes among devices, and whom among CAs.
#[allow(non_camel_case_types)]
pub struct devid_ra(Slot<RegistrationAuthority>);
handle!(devid_ra: RegistrationAuthority);

/// A device's message whose protection, and whose proof of possession if it has one, have been checked. Never changes.
#[allow(non_camel_case_types)]
pub struct devid_ra_request(Slot<Checked>);
handle!(devid_ra_request: Checked);

/// Requests on their way to the CA in one nested message.
#[allow(non_camel_case_types)]
pub struct devid_ra_batch(Slot<Bundle>);
handle!(devid_ra_batch: Bundle);

#[doc(hidden)]
pub struct Checked {
    request: DeviceRequest,
    body: CString,
    subject: Option<CString>,
}

#[doc(hidden)]
#[derive(Default)]
pub struct Bundle {
    requests: Vec<DeviceRequest>,
    sent: Option<Batch>,
    replies: Vec<Vec<u8>>,
}

/// The device's own proof of possession goes up (RFC 9483 section 5.2.3.1).
pub const DEVID_PROOF_KEEP: i32 = 1;
/// raVerified in its place: the RA has checked it and vouches for it (RFC 9483 section 5.2.3.2).
pub const DEVID_PROOF_RA_VERIFIED: i32 = 2;

/// Makes a registration authority.
///
/// @param client   Its credential is the RA's certificate and key, its CMP anchors are the CA's. Not NULL.
/// @param devices  Where paths of devices' certificates end; may be an empty set. Not NULL.
/// @param out_ra   Receives the RA; free with devid_ra_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the credential is not a certificate with a key that signs here.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_new(
    client: *const devid_client,
    devices: *const devid_trust,
    out_ra: *mut *mut devid_ra,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_ra, session, devices) =
            unsafe { (out(out_ra, "out_ra")?, handle_ref(client, "client")?, handle_ref(devices, "devices")?) };
        let context = session.client.context();
        *out_ra = devid_ra::into_raw(RegistrationAuthority::new(context.clone(), (*devices).clone())?);
        Ok(())
    })
}

/// A secret shared with devices; replaces an earlier one of the same reference value.
///
/// @param ra             Not NULL.
/// @param reference      Reference value. Not NULL.
/// @param reference_len  Length of `reference` in bytes.
/// @param secret         Not NULL.
/// @param secret_len     Length of `secret` in bytes.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_add_secret(
    ra: *mut devid_ra,
    reference: *const u8,
    reference_len: usize,
    secret: *const u8,
    secret_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut ra, reference, secret) = unsafe {
            (
                handle_mut(ra, "ra")?,
                bytes_in(reference, reference_len, "reference")?,
                bytes_in(secret, secret_len, "secret")?,
            )
        };
        ra.add_secret(reference, secret);
        Ok(())
    })
}

/// Checks a device's message: form, protection, possession of the new key. Whether this device may have what it asks for is
/// still to be decided, above all whether devid_ra_request_subject() is who protected the message (RFC 9483 section 5.1.1).
///
/// @param ra           Not NULL.
/// @param earlier      The request that began the transaction, for certConf and pollReq; NULL at its beginning. May be NULL.
/// @param message      One PKIMessage, DER. Not NULL.
/// @param message_len  Length of `message` in bytes.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_request  Receives the request; free with devid_ra_request_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; else devid_ra_refuse() tells the device.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_check(
    ra: *const devid_ra,
    earlier: *const devid_ra_request,
    message: *const u8,
    message_len: usize,
    now: i64,
    out_request: *mut *mut devid_ra_request,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_request, ra, earlier, message) = unsafe {
            (
                out(out_request, "out_request")?,
                handle_ref(ra, "ra")?,
                if earlier.is_null() { None } else { Some(handle_ref(earlier, "earlier")?) },
                bytes_in(message, message_len, "message")?,
            )
        };
        let request = ra.check(message, earlier.as_ref().map(|e| &e.request), Time::from_unix(now))?;
        *out_request = devid_ra_request::into_raw(Checked {
            body: c_text(request.body().name()),
            subject: request.subject().map(|name| c_text(&name.to_string())),
            request,
        });
        Ok(())
    })
}

/// Which message it is.
///
/// @param request  May be NULL (gives "").
/// @return Such as "ir" or "certConf"; never NULL; valid until the request is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_body(request: *const devid_ra_request) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(request, c"".as_ptr(), |r| r.body.as_ptr()) }
}

/// The subject of the certificate asked for.
///
/// @param request  May be NULL.
/// @return Such as "CN=router-7"; NULL where no certificate is asked for; valid until the request is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_subject(request: *const devid_ra_request) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(request, ptr::null(), |r| r.subject.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// The reference value of the secret that protected the message.
///
/// @param request  May be NULL.
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return NULL if a certificate protected it; valid until the request is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_reference(
    request: *const devid_ra_request,
    out_len: *mut usize,
) -> *const u8 {
    // SAFETY: as the header says; the bytes live in the request.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(request, "request") {
            Ok(request) => match request.request.device() {
                Device::Reference(reference) => lend(Some(reference), out_len),
                Device::Certificate(_) => lend(None, out_len),
            },
            Err(_) => lend(None, out_len),
        }
    })
}

/// The certificate that protected the message.
///
/// @param request   Not NULL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if a shared secret protected it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_certificate(
    request: *const devid_ra_request,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, request) = unsafe { (out(out_cert, "out_cert")?, handle_ref(request, "request")?) };
        match request.request.device() {
            Device::Certificate(certificate) => *out_cert = devid_cert::of(certificate.clone()),
            Device::Reference(_) => {
                return Err(Error::new(Code::NotFound, "a shared secret protected the message, not a certificate"));
            }
        }
        Ok(())
    })
}

/// Whether the device's protection must reach the CA (key updates, revocations, keys made by the CA): then the message is
/// nested, not replaced (RFC 9483 section 5.2.3).
///
/// @param request  May be NULL (gives 0).
/// @return 1 yes, 0 no.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_keeps_protection(request: *const devid_ra_request) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(request, 0, |r| i32::from(r.request.keeps_protection())) }
}

/// The request with the RA's approval around it (RFC 9483 section 5.2.2.1). The CA's answer goes to the device as it is.
///
/// @param ra           Not NULL.
/// @param request      Not NULL.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_message  Receives the message for the CA; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_nest(
    ra: *const devid_ra,
    request: *const devid_ra_request,
    now: i64,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, ra, request) =
            unsafe { (out(out_message, "out_message")?, handle_ref(ra, "ra")?, handle_ref(request, "request")?) };
        *out_message = devid_bytes::from_slice(&ra.nest(&request.request, Time::from_unix(now))?);
        Ok(())
    })
}

/// The request under the RA's signature in place of the device's protection (RFC 9483 section 5.2.3). transactionID and nonces
/// stay. devid_ra_answer() makes the CA's answer into the device's.
///
/// @param ra             Not NULL.
/// @param request        Not NULL.
/// @param proof          One of DEVID_PROOF_*.
/// @param with_original  1: the device's message goes along (origPKIMessage), 0: it does not.
/// @param now            The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_message    Receives the message for the CA; free with devid_bytes_free(). Not NULL.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for what must keep its protection.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_replace(
    ra: *const devid_ra,
    request: *const devid_ra_request,
    proof: i32,
    with_original: i32,
    now: i64,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, ra, request) =
            unsafe { (out(out_message, "out_message")?, handle_ref(ra, "ra")?, handle_ref(request, "request")?) };
        let proof = match proof {
            DEVID_PROOF_KEEP => Proof::Keep,
            DEVID_PROOF_RA_VERIFIED => Proof::RaVerified,
            other => return Err(invalid(format!("{other} is none of DEVID_PROOF_*"))),
        };
        let message = ra.replace(&request.request, proof, switch(with_original)?, Time::from_unix(now))?;
        *out_message = devid_bytes::from_slice(&message);
        Ok(())
    })
}

/// The CA's answer to a replaced request, checked, under the protection that the device expects. The nonces are the device's to
/// check.
///
/// @param ra           Not NULL.
/// @param request      What was replaced. Not NULL.
/// @param answer       The CA's answer, DER. Not NULL.
/// @param answer_len   Length of `answer` in bytes.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_message  Receives the message for the device; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_PROTECTION_INVALID, DEVID_E_TRANSACTION_ID, ...: it is not the CA's answer to this.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_answer(
    ra: *const devid_ra,
    request: *const devid_ra_request,
    answer: *const u8,
    answer_len: usize,
    now: i64,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, ra, request, answer) = unsafe {
            (
                out(out_message, "out_message")?,
                handle_ref(ra, "ra")?,
                handle_ref(request, "request")?,
                bytes_in(answer, answer_len, "answer")?,
            )
        };
        *out_message = devid_bytes::from_slice(&ra.answer(&request.request, answer, Time::from_unix(now))?);
        Ok(())
    })
}

/// An error message of the RA's own (RFC 9483 section 3.6): status rejection.
///
/// @param ra           Not NULL.
/// @param message      The device's message, as it came. Not NULL.
/// @param message_len  Length of `message` in bytes.
/// @param checked      The same, checked: the refusal comes under the protection that the device expects. NULL: under the RA's
///                     signature. May be NULL.
/// @param fail_info    Bits of PKIFailureInfo, bit n (value 1 << n) for bit n; 0 for none.
/// @param text         Words for the device; NULL for none. May be NULL.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_message  Receives the message for the device; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_refuse(
    ra: *const devid_ra,
    message: *const u8,
    message_len: usize,
    checked: *const devid_ra_request,
    fail_info: u32,
    text: *const c_char,
    now: i64,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, ra, message, checked, text) = unsafe {
            (
                out(out_message, "out_message")?,
                handle_ref(ra, "ra")?,
                bytes_in(message, message_len, "message")?,
                if checked.is_null() { None } else { Some(handle_ref(checked, "checked")?) },
                text_in_opt(text, "text")?,
            )
        };
        let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
        status.fail_info = (fail_info != 0).then_some(fail_info);
        status.texts.extend(text.map(str::to_owned));
        let checked = checked.as_ref().map(|c| &c.request);
        *out_message = devid_bytes::from_slice(&ra.refuse(message, checked, &status, Time::from_unix(now))?);
        Ok(())
    })
}

/// Frees a request.
///
/// @param request  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_request_free(request: *mut devid_ra_request) {
    // SAFETY: as the header says.
    unsafe { free(request) }
}

/// An empty batch.
///
/// @param out_batch  Receives the batch; free with devid_ra_batch_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_new(
    out_batch: *mut *mut devid_ra_batch,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_batch = unsafe { out(out_batch, "out_batch")? };
        *out_batch = devid_ra_batch::into_raw(Bundle::default());
        Ok(())
    })
}

/// Adds a request.
///
/// @param batch    Not NULL.
/// @param request  Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE once devid_ra_batch_message() was called.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_add(
    batch: *mut devid_ra_batch,
    request: *const devid_ra_request,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut batch, request) = unsafe { (handle_mut(batch, "batch")?, handle_ref(request, "request")?) };
        if batch.sent.is_some() {
            return Err(Error::new(Code::State, "the batch is on its way"));
        }
        batch.requests.push(request.request.clone());
        Ok(())
    })
}

/// The nested message with all requests (RFC 9483 section 5.2.2.2). Once made it stays the same.
///
/// @param batch        Not NULL.
/// @param ra           Not NULL.
/// @param now          The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_message  Receives the message for the CA; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for no requests, too many, or two of one transaction.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_message(
    batch: *mut devid_ra_batch,
    ra: *const devid_ra,
    now: i64,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, mut batch, ra) =
            unsafe { (out(out_message, "out_message")?, handle_mut(batch, "batch")?, handle_ref(ra, "ra")?) };
        if batch.sent.is_none() {
            batch.sent = Some(ra.batch(batch.requests.clone(), Time::from_unix(now))?);
        }
        let sent = batch.sent.as_ref().expect("made above");
        *out_message = devid_bytes::from_slice(sent.message());
        Ok(())
    })
}

/// Takes the CA's nested answer apart: a reply for each request, in their order. Answers that nobody asked for are dropped, lost
/// ones become errors with systemUnavail.
///
/// @param batch       After devid_ra_batch_message(). Not NULL.
/// @param ra          Not NULL.
/// @param answer      The CA's answer, DER; NULL if none came: every device is told. May be NULL.
/// @param answer_len  Length of `answer` in bytes.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message was made; a failure if it is not the CA's answer to this batch.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_feed(
    batch: *mut devid_ra_batch,
    ra: *const devid_ra,
    answer: *const u8,
    answer_len: usize,
    now: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut batch, ra, answer) = unsafe {
            (handle_mut(batch, "batch")?, handle_ref(ra, "ra")?, bytes_in_opt(answer, answer_len, "answer")?)
        };
        let sent = batch.sent.as_ref().ok_or_else(|| Error::new(Code::State, "the batch was not sent yet"))?;
        batch.replies = ra.unbundle(sent, answer, Time::from_unix(now))?;
        Ok(())
    })
}

/// How many replies there are.
///
/// @param batch  May be NULL (gives 0).
/// @return One for each request after devid_ra_batch_feed(), else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_reply_count(batch: *const devid_ra_batch) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(batch, 0, |b| b.replies.len()) }
}

/// The reply to one request, as it goes to the device.
///
/// @param batch    May be NULL (gives NULL).
/// @param index    From 0 to devid_ra_batch_reply_count() - 1, in the order of devid_ra_batch_add().
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return DER; NULL if there is no such reply; valid until the batch is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_reply(
    batch: *const devid_ra_batch,
    index: usize,
    out_len: *mut usize,
) -> *const u8 {
    // SAFETY: as the header says; the bytes live in the batch.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(batch, "batch") {
            Ok(batch) => lend(batch.replies.get(index).map(|reply| &reply[..]), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// Frees a batch.
///
/// @param batch  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_batch_free(batch: *mut devid_ra_batch) {
    // SAFETY: as the header says.
    unsafe { free(batch) }
}

/// Frees an RA. Its requests and batches go on.
///
/// @param ra  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_ra_free(ra: *mut devid_ra) {
    // SAFETY: as the header says.
    unsafe { free(ra) }
}

/// Begins an enrolment on behalf of whoever made a PKCS#10 request: ir with raVerified (RFC 9483 section 5.3.1). The request's own
/// signature is checked; that its subject is who brought it is the RA's to know.
///
/// @param client       Its credential is an RA's certificate. Not NULL.
/// @param request      PKCS#10, DER or PEM. Not NULL.
/// @param request_len  Length of `request` in bytes.
/// @param out_op       Receives the operation; free with devid_op_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_SIGNATURE_INVALID if the request's own signature does not hold; DEVID_E_INVALID_ARGUMENT if the
///         credential is a shared secret.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_enroll_on_behalf(
    client: *const devid_client,
    request: *const u8,
    request_len: usize,
    out_op: *mut *mut devid_op,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_op, session, request) = unsafe {
            (out(out_op, "out_op")?, handle_ref(client, "client")?, bytes_in(request, request_len, "request")?)
        };
        *out_op = Op::into_handle(&session, session.client.enroll_on_behalf(request)?);
        Ok(())
    })
}
