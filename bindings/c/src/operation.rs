//! Operations: enrolment, renewal and others, step by step or in one blocking run.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{Handle, Slot, bytes_in, c_text, free, handle, handle_mut, handle_ref, lend, out, peek, text_in};
use super::bytes::devid_bytes;
use super::cert::{devid_cert, devid_cert_list};
use super::config::{DEVID_LOG_ERROR, DEVID_LOG_INFO, DEVID_LOG_WARNING, Log, Session, devid_client};
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use super::install::Installing;
use super::key::devid_key;
use super::run::Callbacks;
use super::subject::devid_subject;
use devid_core::asn1::cmp::PkiStatusInfo;
use devid_core::cmp::{Action, Issued, Operation, SignRole};
use devid_core::{Code, Error, Time};

/// One enrolment or renewal, from the request to the confirmed certificate; or a revocation, or a question. It does nothing by
/// itself: it is stepped.
#[allow(non_camel_case_types)]
pub struct devid_op(Slot<Op>);
handle!(devid_op: Op);

#[doc(hidden)]
pub struct Op {
    pub(super) operation: Operation,
    pub(super) session: Session,
    pub(super) callbacks: Callbacks,
    pub(super) built_in: Option<Box<dyn devid_core::transport::Exchange + Send + Sync>>,
    pub(super) installing: Option<Installing>,
    pub(super) request_name: CString,
    pub(super) words: Words,
}

/// What getters lend as text; renewed after each change.
#[doc(hidden)]
#[derive(Default)]
pub struct Words {
    output: Option<CString>,
    wait_reason: CString,
    algorithm: Option<CString>,
    differences: Vec<CString>,
    pub(super) warnings: Vec<CString>,
    pub(super) info_types: Vec<CString>,
}

/// What devid_op_step() asks for: one of DEVID_ACTION_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_action = i32;

/// Send devid_op_output() to the server and hand its answer to devid_op_feed().
pub const DEVID_ACTION_SEND: i32 = 1;
/// Step again after devid_op_wait_seconds(); the operation can be saved meanwhile.
pub const DEVID_ACTION_WAIT: i32 = 2;
/// Sign devid_op_to_sign() and hand the result to devid_op_signature().
pub const DEVID_ACTION_SIGN: i32 = 3;
/// Look at devid_op_certificate(), install it, then devid_op_accept() or devid_op_reject().
pub const DEVID_ACTION_ACCEPT: i32 = 4;
/// The certificate is issued and confirmed, or revoked, or the question is answered.
pub const DEVID_ACTION_DONE: i32 = 5;

/// The new key is to sign: proof of possession.
pub const DEVID_SIGN_NEW_KEY: i32 = 1;
/// The key of the credential is to sign: protection of the message.
pub const DEVID_SIGN_PROTECTION: i32 = 2;

impl Op {
    pub(super) fn into_handle(session: &Session, operation: Operation) -> *mut devid_op {
        devid_op::into_raw(Op::new(session, operation))
    }

    /// One that keeps device memory in step.
    pub(super) fn bound(session: &Session, operation: Operation, installing: Installing) -> *mut devid_op {
        devid_op::into_raw(Op { installing: Some(installing), ..Op::new(session, operation) })
    }

    fn new(session: &Session, operation: Operation) -> Op {
        let mut op = Op {
            installing: None,
            request_name: c_text(operation.request().body().name()),
            operation,
            session: session.clone(),
            callbacks: Callbacks::default(),
            built_in: None,
            words: Words::default(),
        };
        op.refresh();
        op
    }

    /// Makes the texts that getters lend.
    pub(super) fn refresh(&mut self) {
        let issued = self.operation.issued();
        self.words = Words {
            output: self.operation.output_body().map(|body| c_text(body.name())),
            wait_reason: c_text(&self.operation.wait_reason().join("\n")),
            algorithm: self.operation.to_sign().map(|request| c_text(&request.algorithm.name())),
            differences: issued
                .map_or_else(Vec::new, |i| i.differences.iter().map(|d| c_text(&d.to_string())).collect()),
            warnings: match issued {
                Some(issued) => issued.warnings(),
                None => self.status().map_or_else(Vec::new, PkiStatusInfo::warnings),
            }
            .iter()
            .map(|text| c_text(text))
            .collect(),
            info_types: self.items().iter().map(|item| c_text(&item.info_type.to_string())).collect(),
        };
    }

    /// What the CA said to a success.
    fn status(&self) -> Option<&PkiStatusInfo> {
        let issued = self.operation.issued().map(|issued| &issued.status);
        issued.or_else(|| self.operation.revoked().map(|revoked| &revoked.status))
    }

    pub(super) fn issued(&self) -> Result<&Issued, Error> {
        self.operation.issued().ok_or_else(|| Error::new(Code::State, "no certificate has been issued yet"))
    }

    fn log(&self, level: i32, words: impl FnOnce() -> String) {
        Log::line(&self.session.log, level, words);
    }
}

/// Begins an enrolment with a PKI that does not know the device yet: ir (RFC 9483 section 4.1.1). Nothing is sent before the
/// first step.
///
/// @param client   Not NULL.
/// @param key      The new key that is to be certified. Not NULL.
/// @param subject  What is asked for. Not NULL.
/// @param out_op   Receives the operation; free with devid_op_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_enroll(
    client: *const devid_client,
    key: *const devid_key,
    subject: *const devid_subject,
    out_op: *mut *mut devid_op,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_op, session, key, subject) = unsafe {
            (
                out(out_op, "out_op")?,
                handle_ref(client, "client")?,
                handle_ref(key, "key")?,
                handle_ref(subject, "subject")?,
            )
        };
        *out_op = Op::into_handle(&session, session.client.enroll(key.signer.clone(), &subject)?);
        Ok(())
    })
}

/// Begins the enrolment of a further certificate with a PKI that knows the device: cr (RFC 9483 section 4.1.2).
///
/// @param client   Not NULL.
/// @param key      The new key that is to be certified. Not NULL.
/// @param subject  What is asked for. Not NULL.
/// @param out_op   Receives the operation; free with devid_op_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_enroll_further(
    client: *const devid_client,
    key: *const devid_key,
    subject: *const devid_subject,
    out_op: *mut *mut devid_op,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_op, session, key, subject) = unsafe {
            (
                out(out_op, "out_op")?,
                handle_ref(client, "client")?,
                handle_ref(key, "key")?,
                handle_ref(subject, "subject")?,
            )
        };
        *out_op = Op::into_handle(&session, session.client.enroll_further(key.signer.clone(), &subject)?);
        Ok(())
    })
}

/// Begins a key update: kur (RFC 9483 section 4.1.3). The client's credential is the certificate that is updated; the names
/// stay.
///
/// @param client  With a credential set by devid_config_set_credential(). Not NULL.
/// @param key     The new key. Not NULL.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the client's credential is a shared secret.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_renew(
    client: *const devid_client,
    key: *const devid_key,
    out_op: *mut *mut devid_op,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_op, session, key) =
            unsafe { (out(out_op, "out_op")?, handle_ref(client, "client")?, handle_ref(key, "key")?) };
        *out_op = Op::into_handle(&session, session.client.renew(key.signer.clone())?);
        Ok(())
    })
}

/// Continues an operation that was saved, perhaps by another process.
///
/// @param client     With the same settings as then. Not NULL.
/// @param key        The new key of that operation: see devid_op_saved_key(). NULL for an operation that has none: a
///                   revocation, a question, p10cr, a key that the CA's side makes and that has not come. May be NULL.
/// @param saved      What devid_op_save() gave. Not NULL.
/// @param saved_len  Length of `saved` in bytes.
/// @param out_op     Receives the operation; free with devid_op_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT, DEVID_E_UNKNOWN_VERSION, DEVID_E_KEY_MISMATCH.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_restore(
    client: *const devid_client,
    key: *const devid_key,
    saved: *const u8,
    saved_len: usize,
    out_op: *mut *mut devid_op,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_op, session, key, saved) = unsafe {
            (
                out(out_op, "out_op")?,
                handle_ref(client, "client")?,
                if key.is_null() { None } else { Some(handle_ref(key, "key")?) },
                bytes_in(saved, saved_len, "saved")?,
            )
        };
        let operation = match key {
            Some(key) => session.client.restore(key.signer.clone(), saved)?,
            None => session.client.restore_keyless(saved)?,
        };
        *out_op = Op::into_handle(&session, operation);
        Ok(())
    })
}

/// Saves an operation, whenever the last step asked to send, wait or accept. The bytes hold no private key and no secret; keep
/// them where the keys are.
///
/// @param op         Not NULL.
/// @param out_saved  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE at other times.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_save(
    op: *const devid_op,
    out_saved: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_saved, op) = unsafe { (out(out_saved, "out_saved")?, handle_ref(op, "op")?) };
        *out_saved = devid_bytes::from_slice(&op.operation.save()?);
        Ok(())
    })
}

/// Which new key a saved operation belongs to.
///
/// @param saved      What devid_op_save() gave. Not NULL.
/// @param saved_len  Length of `saved` in bytes.
/// @param out_spki   Receives the public half, SubjectPublicKeyInfo (DER); free with devid_bytes_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if it has no new key (a revocation, a question); DEVID_E_DER.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_saved_key(
    saved: *const u8,
    saved_len: usize,
    out_spki: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_spki, saved) = unsafe { (out(out_spki, "out_spki")?, bytes_in(saved, saved_len, "saved")?) };
        *out_spki = devid_bytes::from_slice(&Operation::saved_key(saved)?);
        Ok(())
    })
}

/// Moves the operation on as far as it goes without the program, and says what is to be done next. Never blocks. A failure
/// ends the operation; later steps answer the same.
///
/// @param op          Not NULL.
/// @param now         The present, in seconds since 1970-01-01T00:00:00Z.
/// @param out_action  Receives one of DEVID_ACTION_*. Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_REJECTED with the CA's words in `err`, and many others: see devid_status_class().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_step(
    op: *mut devid_op,
    now: i64,
    out_action: *mut devid_action,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_action, mut op) = unsafe { (out(out_action, "out_action")?, handle_mut(op, "op")?) };
        let result = op.operation.step(Time::from_unix(now));
        op.refresh();
        match &result {
            Ok(Action::Send) => op.log(DEVID_LOG_INFO, || {
                let len = op.operation.output().map_or(0, <[u8]>::len);
                format!("{} is to be sent, {len} bytes", op.operation.output_body().map_or("a message", |b| b.name()))
            }),
            Ok(Action::Wait) => {
                op.log(DEVID_LOG_INFO, || format!("the server asks to wait {} s", op.operation.wait_seconds()));
            }
            Ok(Action::Accept) => {
                for warning in op.status().map(PkiStatusInfo::warnings).unwrap_or_default() {
                    op.log(DEVID_LOG_WARNING, || warning);
                }
            }
            Ok(_) => {}
            Err(error) => op.log(DEVID_LOG_ERROR, || error.to_string()),
        }
        op.keep_in_step(&result, Time::from_unix(now))?;
        *out_action = match result? {
            Action::Send => DEVID_ACTION_SEND,
            Action::Wait => DEVID_ACTION_WAIT,
            Action::Sign => DEVID_ACTION_SIGN,
            Action::Accept => DEVID_ACTION_ACCEPT,
            Action::Done => DEVID_ACTION_DONE,
        };
        Ok(())
    })
}

/// The message to send, after DEVID_ACTION_SEND: one PKIMessage, DER, content type application/pkixcmp.
///
/// @param op       May be NULL (gives NULL).
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return NULL if none is to be sent; valid until the operation is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_output(op: *const devid_op, out_len: *mut usize) -> *const u8 {
    // SAFETY: as the header says; the bytes live in the operation.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(op, "op") {
            Ok(op) => lend(op.operation.output(), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// What the message to send is: "ir", "cr", "kur", "p10cr", "rr", "genm", "pollReq", "certConf".
///
/// @param op  May be NULL (gives NULL).
/// @return NULL if none is to be sent; valid until the operation is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_output_name(op: *const devid_op) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(op, ptr::null(), |op| op.words.output.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Hands in the server's answer; the next step looks at it.
///
/// @param op          Not NULL.
/// @param answer      The body of the answer: one PKIMessage, DER. Not NULL.
/// @param answer_len  Length of `answer` in bytes.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message is under way, DEVID_E_TOO_LARGE.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_feed(
    op: *mut devid_op,
    answer: *const u8,
    answer_len: usize,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut op, answer) = unsafe { (handle_mut(op, "op")?, bytes_in(answer, answer_len, "answer")?) };
        op.log(DEVID_LOG_INFO, || format!("an answer of {} bytes came", answer.len()));
        op.operation.feed(answer)
    })
}

/// How long to wait, after DEVID_ACTION_WAIT.
///
/// @param op  May be NULL (gives 0).
/// @return Seconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_wait_seconds(op: *const devid_op) -> u32 {
    // SAFETY: as the header says.
    unsafe { peek(op, 0, |op| op.operation.wait_seconds()) }
}

/// The server's words on why it is waited, one a line.
///
/// @param op  May be NULL (gives "").
/// @return Never NULL; valid until the operation is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_wait_reason(op: *const devid_op) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(op, c"".as_ptr(), |op| op.words.wait_reason.as_ptr()) }
}

/// What is to be signed, after DEVID_ACTION_SIGN: the message, whole, not its digest.
///
/// @param op           Not NULL.
/// @param out_message  Receives the message; free with devid_bytes_free(). Not NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be signed.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_to_sign(
    op: *const devid_op,
    out_message: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_message, op) = unsafe { (out(out_message, "out_message")?, handle_ref(op, "op")?) };
        let request = op.operation.to_sign().ok_or_else(|| Error::new(Code::State, "nothing is to be signed"))?;
        *out_message = devid_bytes::from_slice(&request.message);
        Ok(())
    })
}

/// With which algorithm is to be signed, as in devid_sign_fn.
///
/// @param op  May be NULL (gives NULL).
/// @return NULL if nothing is to be signed; valid until the operation is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_sign_algorithm(op: *const devid_op) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(op, ptr::null(), |op| op.words.algorithm.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Which key is to sign.
///
/// @param op  May be NULL (gives 0).
/// @return DEVID_SIGN_NEW_KEY or DEVID_SIGN_PROTECTION; 0 if nothing is to be signed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_sign_role(op: *const devid_op) -> i32 {
    let role = |op: &Op| match op.operation.to_sign().map(|request| request.role) {
        Some(SignRole::NewKey) => DEVID_SIGN_NEW_KEY,
        Some(SignRole::Protection) => DEVID_SIGN_PROTECTION,
        None => 0,
    };
    // SAFETY: as the header says.
    unsafe { peek(op, 0, role) }
}

/// Hands in a signature. It is checked with the public key before it is used.
///
/// @param op             Not NULL.
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @param signature_len  Length of `signature` in bytes.
/// @param now            The present, in seconds since 1970-01-01T00:00:00Z.
/// @param err            Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be signed, DEVID_E_SIGNER if it does not match (the operation waits for a
///         right one).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_signature(
    op: *mut devid_op,
    signature: *const u8,
    signature_len: usize,
    now: i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut op, signature) = unsafe { (handle_mut(op, "op")?, bytes_in(signature, signature_len, "signature")?) };
        let result = op.operation.signature(signature, Time::from_unix(now));
        op.refresh();
        result
    })
}

/// The issued certificate, from DEVID_ACTION_ACCEPT on. Its key, and its path to an enrolment anchor, are checked.
///
/// @param op        Not NULL.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if none is there yet.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_certificate(
    op: *const devid_op,
    out_cert: *mut *mut devid_cert,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_cert, op) = unsafe { (out(out_cert, "out_cert")?, handle_ref(op, "op")?) };
        *out_cert = devid_cert::of(op.issued()?.certificate.clone());
        Ok(())
    })
}

/// The certificates above the issued one, next issuer first, the anchor last.
///
/// @param op         Not NULL.
/// @param out_chain  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_chain(
    op: *const devid_op,
    out_chain: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_chain, op) = unsafe { (out(out_chain, "out_chain")?, handle_ref(op, "op")?) };
        *out_chain = devid_cert_list::into_raw(op.issued()?.chain.clone());
        Ok(())
    })
}

/// The certificates that the CA offers as anchors (caPubs), if its answer was protected by the shared secret.
///
/// @param op         Not NULL.
/// @param out_certs  Receives the list, perhaps an empty one; free with devid_cert_list_free(). Not NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_ca_pubs(
    op: *const devid_op,
    out_certs: *mut *mut devid_cert_list,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_certs, op) = unsafe { (out(out_certs, "out_certs")?, handle_ref(op, "op")?) };
        *out_certs = devid_cert_list::into_raw(op.issued()?.ca_pubs.clone());
        Ok(())
    })
}

/// PKIStatus that came with the certificate, or with the revocation.
///
/// @param op  May be NULL (gives -1).
/// @return 0 accepted, 1 grantedWithMods, 4 or more: a warning, see devid_op_warning(); -1 if none is there yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_pki_status(op: *const devid_op) -> i64 {
    // SAFETY: as the header says.
    unsafe { peek(op, -1, |op| op.status().map_or(-1, |status| status.status.number())) }
}

/// In how many ways the issued certificate is not what was asked for.
///
/// @param op  May be NULL (gives 0).
/// @return 0: it is what was asked for, or none is there yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_difference_count(op: *const devid_op) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(op, 0, |op| op.words.differences.len()) }
}

/// One difference in words, such as "subject: requested CN=a, issued CN=b".
///
/// @param op     May be NULL (gives NULL).
/// @param index  From 0 to devid_op_difference_count() - 1.
/// @return NULL if there is no such difference; valid until the operation is changed or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_difference(op: *const devid_op, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(op, ptr::null(), |op| op.words.differences.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// Takes the issued certificate; the next step confirms it. One that is bound to device memory is staged there first.
///
/// @param op   Not NULL.
/// @param err  Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate waits for a decision.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_accept(op: *mut devid_op, err: *mut *mut devid_error) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let mut op = unsafe { handle_mut(op, "op")? };
        op.stage()?;
        op.operation.accept()
    })
}

/// Refuses the issued certificate. The next steps tell the CA; the operation then fails with DEVID_E_REFUSED.
///
/// @param op      Not NULL.
/// @param reason  Words for the CA. Not NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate waits for a decision.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_reject(
    op: *mut devid_op,
    reason: *const c_char,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut op, reason) = unsafe { (handle_mut(op, "op")?, text_in(reason, "reason")?) };
        op.operation.reject(reason)
    })
}

/// Frees an operation. One that is not done is abandoned; the CA is not told.
///
/// @param op  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_free(op: *mut devid_op) {
    // SAFETY: as the header says.
    unsafe { free(op) }
}
