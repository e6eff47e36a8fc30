//! Operations: enrolment, renewal and others, step by step or in one blocking run.

use super::args::c_text;
use super::config::{DEVID_LOG_ERROR, DEVID_LOG_INFO, DEVID_LOG_WARNING, Log, Session};
use super::prelude::*;
use super::run::Callbacks;
use super::texts::{Text, Texts};
use devid_core::asn1::cmp::{BodyType, PkiStatus, PkiStatusInfo};
use devid_core::client::Binding;
use devid_core::cmp::{Action, ActionKind, Issued, Operation, SignRequest, SignRole};
use std::sync::Arc;

/// One enrolment or renewal, from the request to the confirmed certificate; or a revocation, or a question. It does nothing by
/// itself: it is stepped.
#[handle]
pub type devid_op = Op;

#[doc(hidden)]
pub struct Op {
    pub(super) operation: Operation,
    pub(super) session: Session,
    pub(super) callbacks: Callbacks,
    pub(super) built_in: Option<Box<dyn devid_core::transport::Exchange + Send + Sync>>,
    pub(super) installing: Option<Binding>,
    pub(super) request_name: CString,
    pub(super) texts: OpTexts,
}

/// What getters lend as text; let go at each change.
#[doc(hidden)]
#[derive(Default)]
pub struct OpTexts {
    output: Text,
    wait_reason: Text,
    algorithm: Text,
    differences: Texts,
    warnings: Texts,
    info_types: Texts,
}

/// What devid_op_step() asks for: one of DEVID_ACTION_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_action = i32;

/// Send devid_op_output() to the server and hand its answer to devid_op_feed().
pub const DEVID_ACTION_SEND: i32 = 1;
/// Step again after devid_op_wait_seconds(); the operation can be saved meanwhile.
pub const DEVID_ACTION_WAIT: i32 = 2;
/// Sign devid_op_to_sign() and hand the result to devid_op_put_signature().
pub const DEVID_ACTION_SIGN: i32 = 3;
/// Look at devid_op_certificate(), install it, then devid_op_accept() or devid_op_reject().
pub const DEVID_ACTION_ACCEPT: i32 = 4;
/// The certificate is issued and confirmed, or revoked, or the question is answered.
pub const DEVID_ACTION_DONE: i32 = 5;
/// Write device memory by devid_op_keep(), then step again: only after devid_op_set_keep_apart().
pub const DEVID_ACTION_KEEP: i32 = 6;

/// The new key is to sign: proof of possession.
pub const DEVID_SIGN_NEW_KEY: i32 = 1;
/// The key of the credential is to sign: protection of the message.
pub const DEVID_SIGN_PROTECTION: i32 = 2;

impl Op {
    pub(super) fn new(session: &Session, operation: Operation) -> Op {
        Op {
            installing: None,
            request_name: c_text(operation.request().body().name()),
            operation,
            session: session.clone(),
            callbacks: Callbacks::default(),
            built_in: None,
            texts: OpTexts::default(),
        }
    }

    /// One that keeps device memory in step.
    pub(super) fn bound(session: &Session, operation: Operation, installing: Binding) -> Op {
        Op { installing: Some(installing), ..Op::new(session, operation) }
    }

    /// The operation for a change: texts about it are made anew when they are asked for.
    pub(super) fn operation_mut(&mut self) -> &mut Operation {
        self.texts = OpTexts::default();
        &mut self.operation
    }

    pub(super) fn differences(&self) -> &[CString] {
        let words = |issued: &Issued| issued.differences.iter().map(ToString::to_string).collect();
        self.texts.differences.get(|| self.operation.issued().map_or_else(Vec::new, words))
    }

    pub(super) fn warnings(&self) -> &[CString] {
        self.texts.warnings.get(|| match self.operation.issued() {
            Some(issued) => issued.warnings(),
            None => self.status().map_or_else(Vec::new, PkiStatusInfo::warnings),
        })
    }

    pub(super) fn info_types(&self) -> &[CString] {
        self.texts.info_types.get(|| self.items().iter().map(|item| item.info_type.to_string()).collect())
    }

    /// What the CA said to a success.
    fn status(&self) -> Option<&PkiStatusInfo> {
        let issued = self.operation.issued().map(|issued| &issued.status);
        issued.or_else(|| self.operation.revoked().map(|revoked| &revoked.status))
    }

    /// The same of several revocations: of the first that is refused, or else the first.
    fn status_of_several(&self) -> i64 {
        let number = |outcome: &Result<PkiStatusInfo, Error>| match outcome {
            Ok(status) => status.status.number(),
            Err(error) => error.facts().pki_status.unwrap_or(PkiStatus::Rejection.number()),
        };
        let outcomes = self.operation.revocations().map_or(&[][..], |several| &several.outcomes);
        outcomes.iter().find(|outcome| outcome.is_err()).or(outcomes.first()).map_or(-1, number)
    }

    pub(super) fn issued(&self) -> Result<&Issued, Error> {
        self.operation.issued().ok_or_else(|| Error::new(Code::State, "no certificate has been issued yet"))
    }

    /// One step. `None`: device memory is to be written first.
    fn step(&mut self, now: Time) -> Result<Option<ActionKind>, Error> {
        self.operation_mut();
        let Op { operation, installing, session, .. } = self;
        let mut told =
            |operation: &Operation, result: &Result<ActionKind, Error>| log_step(&session.log, operation, result);
        if let Some(binding) = installing {
            return binding.step(operation, now, &mut told);
        }
        let result = operation.step(now).map(|action| action.kind());
        told(operation, &result);
        result.map(Some)
    }

    /// The certificate is taken, at once or when it is staged.
    pub(super) fn accept(&mut self) -> Result<(), Error> {
        self.operation_mut();
        match &mut self.installing {
            Some(binding) => binding.accept(&mut self.operation),
            None => self.operation.accept(),
        }
    }

    /// What the message under way is.
    pub(super) fn body_under_way(&self) -> Option<BodyType> {
        let Some(Action::Send { body, .. }) = self.operation.action() else { return None };
        Some(body)
    }

    /// What is to be signed.
    fn to_sign(&self) -> Option<SignRequest> {
        let Some(Action::Sign(request)) = self.operation.action() else { return None };
        Some(request)
    }
}

/// Logs the outcome of a step.
fn log_step(log: &Option<Arc<Log>>, operation: &Operation, result: &Result<ActionKind, Error>) {
    if let Err(error) = result {
        return Log::line(log, DEVID_LOG_ERROR, || error.to_string());
    }
    match operation.action() {
        Some(Action::Send { message, body }) => {
            Log::line(log, DEVID_LOG_INFO, || format!("{body} is to be sent, {} bytes", message.len()));
        }
        Some(Action::Wait { seconds, .. }) => {
            Log::line(log, DEVID_LOG_INFO, || format!("the server asks to wait {seconds} s"));
        }
        Some(Action::Accept(issued)) => {
            for warning in issued.status.warnings() {
                Log::line(log, DEVID_LOG_WARNING, || warning);
            }
        }
        Some(Action::Sign(_) | Action::Done(_)) | None => {}
    }
}

/// Begins an enrolment with a PKI that does not know the device yet: ir (RFC 9483 section 4.1.1). Nothing is sent before the
/// first step.
///
/// @param key      The new key that is to be certified. Not NULL.
/// @param subject  What is asked for. Not NULL.
/// @param out_op   Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_enroll(client: &devid_client, key: &devid_key, subject: &devid_subject) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.enroll(key.signer.clone(), subject)?))
}

/// Begins the enrolment of a further certificate with a PKI that knows the device: cr (RFC 9483 section 4.1.2).
///
/// @param key      The new key that is to be certified. Not NULL.
/// @param subject  What is asked for. Not NULL.
/// @param out_op   Receives the operation; free with devid_op_free(). Not NULL.
#[export]
fn devid_op_enroll_further(client: &devid_client, key: &devid_key, subject: &devid_subject) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.enroll_further(key.signer.clone(), subject)?))
}

/// Begins a key update: kur (RFC 9483 section 4.1.3). The client's credential is the certificate that is updated; the names
/// stay.
///
/// @param client  With a credential set by devid_config_set_credential(). Not NULL.
/// @param key     The new key. Not NULL.
/// @param out_op  Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT if the client's credential is a shared secret.
#[export]
fn devid_op_renew(client: &devid_client, key: &devid_key) -> Result<devid_op, Error> {
    Ok(devid_op::new(client, client.client.renew(key.signer.clone())?))
}

/// Continues an operation that was saved, perhaps by another process.
///
/// @param client     With the same settings as then. Not NULL.
/// @param key        The new key of that operation: see devid_op_saved_key(). NULL for an operation that has none: a
///                   revocation, a question, p10cr, a key that the CA's side makes and that has not come. May be NULL.
/// @param saved      What devid_op_save() gave. Not NULL.
/// @param out_op     Receives the operation; free with devid_op_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT, DEVID_E_UNKNOWN_VERSION, DEVID_E_KEY_MISMATCH.
#[export]
fn devid_op_restore(client: &devid_client, key: Option<&devid_key>, saved: &[u8]) -> Result<devid_op, Error> {
    let operation = match key {
        Some(key) => client.client.restore(key.signer.clone(), saved)?,
        None => client.client.restore_keyless(saved)?,
    };
    Ok(devid_op::new(client, operation))
}

/// Saves an operation, whenever the last step asked to send, wait or accept, or could not look at an answer that was fed because a key was
/// away. The bytes hold no private key and no shared secret;
/// a registration token or an authenticator (RFC 4211 sections 6.1 and 6.2) stands in them as in the request that went out. Keep them
/// where the keys are.
///
/// @param out_saved  Receives the bytes; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE at other times.
#[export]
fn devid_op_save(op: &devid_op) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&op.operation.save()?))
}

/// Which new key a saved operation belongs to.
///
/// @param saved      What devid_op_save() gave. Not NULL.
/// @param out_spki   Receives the public half, SubjectPublicKeyInfo (DER); free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if it has no new key (a revocation, a question); DEVID_E_DER.
#[export]
fn devid_op_saved_key(saved: &[u8]) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(&Operation::saved_key(saved)?))
}

/// Moves the operation on as far as it goes without the program, and says what is to be done next. A failure ends the operation;
/// later steps answer the same. It does not where devid_op_has_failed() says no: an answer that was fed proves nothing, or the device could
/// not do its part (a key behind a callback or in a token that failed). Of the latter the next step is the next try, with nothing sent again and
/// nothing said to the CA; devid_op_save() keeps the answer that it is about.
///
/// It never waits for a network. An operation that is bound to device memory waits for that: it writes (0.1 s and more on flash),
/// and waits up to 2 s for another process that changes the same device memory. Event loops have devid_op_set_keep_apart().
///
/// @param out_action  Receives one of DEVID_ACTION_*. Not NULL.
/// @return DEVID_OK; DEVID_E_REJECTED with the CA's texts in `err`, and many others: see devid_status_class().
#[export]
fn devid_op_step(op: &mut devid_op, now: Time) -> Result<devid_action, Error> {
    Ok(match op.step(now)? {
        None => DEVID_ACTION_KEEP,
        Some(ActionKind::Send) => DEVID_ACTION_SEND,
        Some(ActionKind::Wait) => DEVID_ACTION_WAIT,
        Some(ActionKind::Sign) => DEVID_ACTION_SIGN,
        Some(ActionKind::Accept) => DEVID_ACTION_ACCEPT,
        Some(ActionKind::Done) => DEVID_ACTION_DONE,
    })
}

/// The message to send, after DEVID_ACTION_SEND: one PKIMessage, DER, content type application/pkixcmp.
///
/// @return NULL if none is to be sent; valid until the operation is changed or freed.
#[export]
fn devid_op_output(op: &devid_op) -> Option<&[u8]> {
    op.operation.output()
}

/// What the message to send is: "ir", "cr", "kur", "p10cr", "rr", "genm", "pollReq", "certConf".
///
/// @return NULL if none is to be sent; valid until the operation is changed or freed.
#[export]
fn devid_op_output_name(op: &devid_op) -> Option<&CStr> {
    op.texts.output.find(|| op.body_under_way().map(|body| body.name().to_owned()))
}

/// Hands in the server's answer; the next step looks at it.
///
/// @param answer      The body of the answer: one PKIMessage, DER. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message is under way, DEVID_E_TOO_LARGE.
#[export]
fn devid_op_feed(op: &mut devid_op, answer: &[u8]) -> Result<(), Error> {
    Log::line(&op.session.log, DEVID_LOG_INFO, || format!("an answer of {} bytes came", answer.len()));
    op.operation_mut().feed(answer)
}

/// How long to wait, after DEVID_ACTION_WAIT.
///
/// @return Seconds.
#[export]
fn devid_op_wait_seconds(op: &devid_op) -> u32 {
    let Some(Action::Wait { seconds, .. }) = op.operation.action() else { return 0 };
    seconds
}

/// The reasons that the server gave for the delay, one per line.
///
/// @return Never NULL; valid until the operation is changed or freed.
#[export]
fn devid_op_wait_reason(op: &devid_op) -> &CStr {
    op.texts.wait_reason.get(|| match op.operation.action() {
        Some(Action::Wait { reason, .. }) => reason.join("\n"),
        _ => String::new(),
    })
}

/// What is to be signed, after DEVID_ACTION_SIGN: the message, whole, not its digest.
///
/// @param out_message  Receives the message; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be signed.
#[export]
fn devid_op_to_sign(op: &devid_op) -> Result<devid_bytes, Error> {
    let request = op.to_sign().ok_or_else(|| Error::new(Code::State, "nothing is to be signed"))?;
    Ok(devid_bytes::from_slice(&request.message))
}

/// The signature algorithm to use, as in devid_sign_fn.
///
/// @return NULL if nothing is to be signed; valid until the operation is changed or freed.
#[export]
fn devid_op_sign_algorithm(op: &devid_op) -> Option<&CStr> {
    op.texts.algorithm.find(|| op.to_sign().map(|request| request.algorithm.name()))
}

/// Which key is to sign.
///
/// @return DEVID_SIGN_NEW_KEY or DEVID_SIGN_PROTECTION; 0 if nothing is to be signed.
#[export]
fn devid_op_sign_role(op: &devid_op) -> i32 {
    match op.to_sign().map(|request| request.role) {
        Some(SignRole::NewKey) => DEVID_SIGN_NEW_KEY,
        Some(SignRole::Protection) => DEVID_SIGN_PROTECTION,
        None => 0,
    }
}

/// Hands in a signature. It is checked with the public key before it is used.
///
/// @param signature      ECDSA as Ecdsa-Sig-Value (DER), others as their standard says. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be signed, DEVID_E_SIGNER if it does not match (the operation waits for a
///         right one).
#[export]
fn devid_op_put_signature(op: &mut devid_op, signature: &[u8], now: Time) -> Result<(), Error> {
    op.operation_mut().put_signature(signature, now)
}

/// The issued certificate, from DEVID_ACTION_ACCEPT on. Its key, and its path to an enrolment anchor, are checked.
///
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if none is there yet.
#[export]
fn devid_op_certificate(op: &devid_op) -> Result<devid_cert, Error> {
    Ok(devid_cert::of(op.issued()?.certificate.clone()))
}

/// The certificates above the issued one, next issuer first, the anchor last.
///
/// @param out_issuers  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet.
#[export]
fn devid_op_issuers(op: &devid_op) -> Result<devid_cert_list, Error> {
    Ok(op.issued()?.chain.clone())
}

/// The certificates that the CA offers as anchors (caPubs), if its answer was protected by the shared secret.
///
/// @param out_certs  Receives the list, perhaps an empty one; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet.
#[export]
fn devid_op_ca_pubs(op: &devid_op) -> Result<devid_cert_list, Error> {
    Ok(op.issued()?.ca_pubs.clone())
}

/// PKIStatus that came with the certificate, or with the revocation; of several revocations the first refusal's, if there is one.
///
/// @return 0 accepted, 1 grantedWithMods, 4 or more: a warning, see devid_op_warning(); of several revocations also 2, rejection; -1 if
///         none is there yet.
#[export(otherwise = -1)]
fn devid_op_pki_status(op: &devid_op) -> i64 {
    op.status().map_or_else(|| op.status_of_several(), |status| status.status.number())
}

/// In how many ways the issued certificate is not what was asked for.
///
/// @return 0: it is what was asked for, or none is there yet.
#[export]
fn devid_op_difference_count(op: &devid_op) -> usize {
    op.differences().len()
}

/// One difference as text, such as "subject: requested CN=a, issued CN=b".
///
/// @param index  From 0 to devid_op_difference_count() - 1.
/// @return NULL if there is no such difference; valid until the operation is changed or freed.
#[export]
fn devid_op_difference(op: &devid_op, index: usize) -> Option<&CStr> {
    op.differences().get(index).map(CString::as_c_str)
}

/// Takes the issued certificate; the next step confirms it. One that is bound to device memory is staged there first.
///
/// @return DEVID_OK; DEVID_E_STATE if no certificate waits for a decision.
#[export]
fn devid_op_accept(op: &mut devid_op) -> Result<(), Error> {
    op.accept()
}

/// Refuses the issued certificate. The next steps tell the CA; the operation then fails with DEVID_E_REFUSED.
///
/// @param reason  Text for the CA. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate waits for a decision.
#[export]
fn devid_op_reject(op: &mut devid_op, reason: &str) -> Result<(), Error> {
    op.operation_mut().reject(reason)
}

/// Frees an operation. One that is not done is abandoned; the CA is not told.
#[export]
fn devid_op_free(op: Owned<devid_op>) {
    drop(op)
}
