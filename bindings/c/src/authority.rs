//! A registration authority: messages of devices are checked and passed on (RFC 9483 section 5.2). How they travel, and whether a
//! device may have what it asks for, is the program's affair.

use super::args::c_text;
use super::args::choice;
use super::prelude::*;
use devid_core::asn1::cmp::revocation::CertId;
use devid_core::asn1::cmp::{PkiStatus, PkiStatusInfo};
use devid_core::asn1::name;
use devid_core::asn1::x509::serial_text;
use devid_core::cmp::{Batch, Device, DeviceRequest, Proof, RegistrationAuthority};

/// A registration authority: its credential, whom it believes among devices, and whom among CAs.
#[handle]
pub type devid_ra = RegistrationAuthority;

/// A device's message whose protection, and whose proof of possession if it has one, have been checked. Never changes.
#[handle]
pub type devid_ra_request = Checked;

/// Requests on their way to the CA in one nested message.
#[handle]
pub type devid_ra_batch = Bundle;

#[doc(hidden)]
pub struct Checked {
    request: DeviceRequest,
    body: CString,
    subject: Option<CString>,
    /// Issuer and serial number of each.
    about: Vec<(CString, CString)>,
}

fn shown(id: &CertId) -> (CString, CString) {
    let issuer = id.issuer.as_deref().map(name::display).unwrap_or_default();
    (c_text(&issuer), c_text(&serial_text(&id.serial)))
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
choice!("DEVID_PROOF_*": Proof { DEVID_PROOF_KEEP => Keep, DEVID_PROOF_RA_VERIFIED => RaVerified });

/// Makes a registration authority.
///
/// @param client   Its credential is the RA's certificate and key, its CMP anchors are the CA's. Not NULL.
/// @param devices  Where paths of devices' certificates end; may be an empty set. Not NULL.
/// @param out_ra   Receives the RA; free with devid_ra_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the credential is not a certificate with a key that signs here;
///         DEVID_E_UNSUPPORTED in builds without "ra".
#[export]
fn devid_ra_new(client: &devid_client, devices: &devid_trust) -> Result<devid_ra, Error> {
    let context = client.client.context();
    RegistrationAuthority::new(context.clone(), (*devices).clone())
}

/// A secret shared with devices; replaces an earlier one of the same reference value.
///
/// @param reference      Reference value; not empty. Not NULL.
/// @param secret         Not empty, and not zero bytes alone, which counts as empty. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for an empty reference value or secret: what was known before stays.
#[export]
fn devid_ra_add_secret(ra: &mut devid_ra, reference: &[u8], secret: &[u8]) -> Result<(), Error> {
    ra.add_secret(reference, secret)
}

/// Whether requests about certificates of others are taken from any device: an rr, or oldCertID, that names another certificate than the
/// one whose key protects the request. Else they are refused, but from signers with the purpose cmcRA or cmcCA.
///
/// @param taken  1: they are taken, and the program decides by devid_ra_request_about_serial(); 0, the default: they are refused.
#[export]
fn devid_ra_set_requests_about_others(ra: &mut devid_ra, taken: bool) -> Result<(), Error> {
    ra.set_requests_about_others(taken);
    Ok(())
}

/// Checks a device's message: form, protection, possession of the new key. Whether this device may have what it asks for is
/// still to be decided, above all whether devid_ra_request_subject() is who protected the message (RFC 9483 section 5.1.1).
///
/// @param earlier      The request that began the transaction, for certConf and pollReq; NULL at its beginning. May be NULL.
/// @param message      One PKIMessage, DER. Not NULL.
/// @param out_request  Receives the request; free with devid_ra_request_free(). Not NULL.
/// @return DEVID_OK; else devid_ra_refuse() tells the device.
#[export]
fn devid_ra_check(
    ra: &devid_ra,
    earlier: Option<&devid_ra_request>,
    message: &[u8],
    now: Time,
) -> Result<devid_ra_request, Error> {
    let request = ra.check(message, earlier.map(|e| &e.request), now)?;
    Ok(Checked {
        body: c_text(request.body().name()),
        subject: request.subject().map(|name| c_text(&name.to_string())),
        about: request.about().iter().map(shown).collect(),
        request,
    })
}

/// Which message it is.
///
/// @return Such as "ir" or "certConf"; never NULL; valid until the request is freed.
#[export]
fn devid_ra_request_body(request: &devid_ra_request) -> &CStr {
    &request.body
}

/// The subject of the certificate asked for.
///
/// @return Such as "CN=router-7"; NULL where no certificate is asked for; valid until the request is freed.
#[export]
fn devid_ra_request_subject(request: &devid_ra_request) -> Option<&CStr> {
    request.subject.as_deref()
}

/// How many certificates the request is about, beside the one that it asks for: those that rr wants revoked, or the one that is to be
/// replaced (oldCertID). Of a later message: what the request is about that began the transaction.
///
/// @return Their number, perhaps 0.
#[export]
fn devid_ra_request_about_count(request: &devid_ra_request) -> usize {
    request.about.len()
}

/// The issuer of one of them.
///
/// @param index  From 0.
/// @return Such as "CN=CA"; NULL beyond the last; valid until the request is freed.
#[export]
fn devid_ra_request_about_issuer(request: &devid_ra_request, index: usize) -> Option<&CStr> {
    request.about.get(index).map(|(issuer, _)| &**issuer)
}

/// The serial number of one of them, as devid_cert_serial() gives it.
///
/// @param index  From 0.
/// @return Hexadecimal digits; NULL beyond the last; valid until the request is freed.
#[export]
fn devid_ra_request_about_serial(request: &devid_ra_request, index: usize) -> Option<&CStr> {
    request.about.get(index).map(|(_, serial)| &**serial)
}

/// The reference value of the secret that protected the message.
///
/// @return NULL if a certificate protected it; valid until the request is freed.
#[export]
fn devid_ra_request_reference(request: &devid_ra_request) -> Option<&[u8]> {
    match request.request.device() {
        Device::Reference(reference) => Some(reference),
        Device::Certificate(_) => None,
    }
}

/// The certificate that protected the message.
///
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if a shared secret protected it.
#[export]
fn devid_ra_request_certificate(request: &devid_ra_request) -> Result<devid_cert, Error> {
    match request.request.device() {
        Device::Certificate(certificate) => Ok(devid_cert::of(certificate.clone())),
        Device::Reference(_) => {
            Err(Error::new(Code::NotFound, "a shared secret protected the message, not a certificate"))
        }
    }
}

/// Whether the device's protection must reach the CA (key updates, revocations, keys made by the CA): then the message is
/// nested, not replaced (RFC 9483 section 5.2.3).
///
/// @return 1 yes, 0 no.
#[export]
fn devid_ra_request_keeps_protection(request: &devid_ra_request) -> bool {
    request.request.keeps_protection()
}

/// The request with the RA's approval around it (RFC 9483 section 5.2.2.1). The CA's answer goes to the device as it is.
///
/// @param out_message  Receives the message for the CA; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_ra_nest(ra: &devid_ra, request: &devid_ra_request, now: Time) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&ra.nest(&request.request, now)?))
}

/// The request under the RA's signature in place of the device's protection (RFC 9483 section 5.2.3). transactionID and nonces
/// stay. devid_ra_answer() makes the CA's answer into the device's.
///
/// @param proof          One of DEVID_PROOF_*.
/// @param with_original  1: the device's message goes along (origPKIMessage), 0: it does not.
/// @param out_message    Receives the message for the CA; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for what must keep its protection.
#[export]
fn devid_ra_replace(
    ra: &devid_ra,
    request: &devid_ra_request,
    proof: Proof,
    with_original: bool,
    now: Time,
) -> Result<devid_bytes, Error> {
    let message = ra.replace(&request.request, proof, with_original, now)?;
    Ok(devid_bytes::from_slice(&message))
}

/// The CA's answer to a replaced request, checked, under the protection that the device expects. The nonces are the device's to
/// check.
///
/// @param request      What was replaced. Not NULL.
/// @param answer       The CA's answer, DER. Not NULL.
/// @param out_message  Receives the message for the device; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_PROTECTION_INVALID, DEVID_E_TRANSACTION_ID, ...: it is not the CA's answer to this.
#[export]
fn devid_ra_answer(ra: &devid_ra, request: &devid_ra_request, answer: &[u8], now: Time) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&ra.answer(&request.request, answer, now)?))
}

/// An error message of the RA's own (RFC 9483 section 3.6): status rejection.
///
/// @param message      The device's message, as it came. Not NULL.
/// @param checked      The same, checked: the refusal comes under the protection that the device expects. NULL: under the RA's
///                     signature. May be NULL.
/// @param fail_info    Bits of PKIFailureInfo, bit n (value 1 << n) for bit n; 0 for none.
/// @param text         Text for the device; NULL for none. May be NULL.
/// @param out_message  Receives the message for the device; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_ra_refuse(
    ra: &devid_ra,
    message: &[u8],
    checked: Option<&devid_ra_request>,
    fail_info: u32,
    text: Option<&str>,
    now: Time,
) -> Result<devid_bytes, Error> {
    let mut status = PkiStatusInfo::new(PkiStatus::Rejection);
    status.fail_info = (fail_info != 0).then_some(fail_info);
    status.texts.extend(text.map(str::to_owned));
    let checked = checked.map(|c| &c.request);
    Ok(devid_bytes::from_slice(&ra.refuse(message, checked, &status, now)?))
}

/// Frees a request.
#[export]
fn devid_ra_request_free(request: Owned<devid_ra_request>) {
    drop(request)
}

/// An empty batch.
///
/// @param out_batch  Receives the batch; free with devid_ra_batch_free(). Not NULL.
#[export]
fn devid_ra_batch_new() -> Result<devid_ra_batch, Error> {
    Ok(Bundle::default())
}

/// Adds a request.
///
/// @return DEVID_OK; DEVID_E_STATE once devid_ra_batch_message() was called.
#[export]
fn devid_ra_batch_add(batch: &mut devid_ra_batch, request: &devid_ra_request) -> Result<(), Error> {
    if batch.sent.is_some() {
        return Err(Error::new(Code::State, "the batch is on its way"));
    }
    batch.requests.push(request.request.clone());
    Ok(())
}

/// The nested message with all requests (RFC 9483 section 5.2.2.2). Once made it stays the same.
///
/// @param out_message  Receives the message for the CA; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for no requests, too many, or two of one transaction.
#[export]
fn devid_ra_batch_message(batch: &mut devid_ra_batch, ra: &devid_ra, now: Time) -> Result<devid_bytes, Error> {
    if batch.sent.is_none() {
        batch.sent = Some(ra.batch(batch.requests.clone(), now)?);
    }
    let sent = batch.sent.as_ref().expect("made above");
    Ok(devid_bytes::from_slice(sent.message()))
}

/// Takes the CA's nested answer apart: a reply for each request, in their order. Answers that nobody asked for are dropped, lost
/// ones become errors with systemUnavail.
///
/// @param batch       After devid_ra_batch_message(). Not NULL.
/// @param answer      The CA's answer, DER; NULL if none came: every device is told. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message was made; a failure if it is not the CA's answer to this batch.
#[export]
fn devid_ra_batch_feed(
    batch: &mut devid_ra_batch,
    ra: &devid_ra,
    answer: Option<&[u8]>,
    now: Time,
) -> Result<(), Error> {
    let sent = batch.sent.as_ref().ok_or_else(|| Error::new(Code::State, "the batch was not sent yet"))?;
    batch.replies = ra.unbundle(sent, answer, now)?;
    Ok(())
}

/// How many replies there are.
///
/// @return One for each request after devid_ra_batch_feed(), else 0.
#[export]
fn devid_ra_batch_reply_count(batch: &devid_ra_batch) -> usize {
    batch.replies.len()
}

/// The reply to one request, as it goes to the device.
///
/// @param index    From 0 to devid_ra_batch_reply_count() - 1, in the order of devid_ra_batch_add().
/// @return DER; NULL if there is no such reply; valid until the batch is changed or freed.
#[export]
fn devid_ra_batch_reply(batch: &devid_ra_batch, index: usize) -> Option<&[u8]> {
    batch.replies.get(index).map(|reply| &reply[..])
}

/// Frees a batch.
#[export]
fn devid_ra_batch_free(batch: Owned<devid_ra_batch>) {
    drop(batch)
}

/// Frees an RA. Its requests and batches go on.
#[export]
fn devid_ra_free(ra: Owned<devid_ra>) {
    drop(ra)
}
