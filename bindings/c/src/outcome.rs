//! What came of an operation: its answers and warnings, certificates by one or several requests, decisions by the settings' policy.

use super::operation::Op;
use super::prelude::*;
use super::template::Pattern;
use devid_core::asn1::cmp::PkiStatusInfo;
use devid_core::asn1::x509::Certificate;
use devid_core::cmp::{Information, Question};

/// The operation is not a question, or is not known here.
pub const DEVID_QUESTION_NONE: i32 = 0;
/// Asked by devid_op_ask_ca_certs().
pub const DEVID_QUESTION_CA_CERTS: i32 = 1;
/// Asked by devid_op_ask_root_update().
pub const DEVID_QUESTION_ROOT_UPDATE: i32 = 2;
/// Asked by devid_op_ask_template().
pub const DEVID_QUESTION_TEMPLATE: i32 = 3;
/// Asked by devid_op_ask_crl(), devid_op_ask_crl_of() or devid_op_ask_current_crl().
pub const DEVID_QUESTION_CRL: i32 = 4;
/// Asked by devid_op_ask_other().
pub const DEVID_QUESTION_OTHER: i32 = 5;
/// No question, but a passphrase for a later revocation: devid_op_leave_revocation_passphrase().
pub const DEVID_QUESTION_REV_PASSPHRASE: i32 = 6;

/// What an operation asks for, also one that was restored: "ir", "cr", "kur", "p10cr", "rr", "genm".
///
/// @return Valid until the operation is freed.
#[export]
fn devid_op_request_name(op: &devid_op) -> Option<&CStr> {
    Some(&op.request_name)
}

/// Which question an operation asks, also one that was restored.
///
/// @return One of DEVID_QUESTION_*; more may be added.
#[export(otherwise = DEVID_QUESTION_NONE)]
fn devid_op_question(op: &devid_op) -> i32 {
    match op.operation.request().question() {
        None => DEVID_QUESTION_NONE,
        Some(Question::CaCerts) => DEVID_QUESTION_CA_CERTS,
        Some(Question::RootUpdate { .. }) => DEVID_QUESTION_ROOT_UPDATE,
        Some(Question::RequestTemplate) => DEVID_QUESTION_TEMPLATE,
        Some(Question::Crl { .. } | Question::CurrentCrl) => DEVID_QUESTION_CRL,
        Some(Question::RevocationPassphrase(_)) => DEVID_QUESTION_REV_PASSPHRASE,
        Some(Question::Other(_)) => DEVID_QUESTION_OTHER,
    }
}

/// Whether an operation is done, as DEVID_ACTION_DONE says.
///
/// @return 1 or 0.
#[export]
fn devid_op_is_done(op: &devid_op) -> bool {
    op.operation.is_done()
}

/// How many warnings came with a success: a PKIStatus that is not accepted, as text, and the CA's own texts.
///
/// @return 0: none, or nothing was answered yet.
#[export]
fn devid_op_warning_count(op: &devid_op) -> usize {
    op.warnings().len()
}

/// One warning, such as "keyUpdateWarning: the old certificate's key was updated before".
///
/// @param index  From 0 to devid_op_warning_count() - 1.
/// @return NULL if there is no such warning; valid until the operation is changed or freed.
#[export]
fn devid_op_warning(op: &devid_op, index: usize) -> Option<&CStr> {
    op.warnings().get(index).map(CString::as_c_str)
}

/// The answer to devid_op_ask_ca_certs(): helpers for paths, trusted for nothing.
///
/// @param op         Done. Not NULL.
/// @param out_certs  Receives the list, perhaps an empty one; free with devid_cert_list_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if that was not asked or is not answered yet.
#[export]
fn devid_op_ca_certs(op: &devid_op) -> Result<devid_cert_list, Error> {
    let Information::CaCerts(certificates) = op.information()? else {
        return Err(another("CA certificates"));
    };
    Ok(certificates.clone())
}

/// The answer to devid_op_ask_root_update(). The new root comes out only after the trusted root's key was found to vouch for it,
/// and all links between the two hold (RFC 9810 section 4.4); devid_store_add_root() puts it among the anchors.
///
/// @param op                Done. Not NULL.
/// @param out_root          Receives the new root; NULL if the server knows of none. Free with devid_cert_free(). Not NULL.
/// @param out_new_with_old  Receives the new key signed with the old one: helps those who trust the old root alone. Free with
///                          devid_cert_free(). NULL if not wanted. May be NULL.
/// @param out_old_with_new  Receives the old key signed with the new one, if the server sent that; free with devid_cert_free().
///                          NULL if not wanted. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if that was not asked or is not answered yet.
#[export]
fn devid_op_root_update(op: &devid_op) -> Result<(Option<devid_cert>, Option<devid_cert>, Option<devid_cert>), Error> {
    let Information::RootUpdate(update) = op.information()? else {
        return Err(another("a root update"));
    };
    let Some(update) = update else { return Ok((None, None, None)) };
    let cert = |certificate: &Certificate| devid_cert::of(certificate.clone());
    Ok((Some(cert(update.new_root())), Some(cert(update.new_with_old())), update.old_with_new().map(cert)))
}

/// The answer to devid_op_ask_template().
///
/// @param op            Done. Not NULL.
/// @param out_template  Receives the template; NULL if the CA asks for nothing in particular. Free with devid_template_free().
///                      Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if that was not asked or is not answered yet.
#[export]
fn devid_op_template(op: &devid_op) -> Result<Option<devid_template>, Error> {
    match op.information()? {
        Information::RequestTemplate(template) => Ok(template.clone().map(Pattern::of)),
        _ => Err(another("a template")),
    }
}

/// How many CRLs came: in answer to devid_op_ask_crl() and its kin, or along with a revocation.
///
/// @return 0: none, or nothing was answered yet.
#[export]
fn devid_op_crl_count(op: &devid_op) -> usize {
    op.crls().len()
}

/// One CRL that came, DER. Its signature is not checked: devid_store_put_crl() and devid_validator_add_crls() take it.
///
/// @param index    From 0 to devid_op_crl_count() - 1.
/// @return NULL if there is no such CRL; valid until the operation is changed or freed.
#[export]
fn devid_op_crl(op: &devid_op, index: usize) -> Option<&[u8]> {
    op.crls().get(index).map(Vec::as_slice)
}

/// How many items came in answer to devid_op_ask_other().
///
/// @return 0: none, or nothing was answered yet.
#[export]
fn devid_op_info_count(op: &devid_op) -> usize {
    op.info_types().len()
}

/// infoType of an item, in dotted form.
///
/// @param index  From 0 to devid_op_info_count() - 1.
/// @return NULL if there is no such item; valid until the operation is changed or freed.
#[export]
fn devid_op_info_type(op: &devid_op, index: usize) -> Option<&CStr> {
    op.info_types().get(index).map(CString::as_c_str)
}

/// infoValue of an item, DER.
///
/// @param index    From 0 to devid_op_info_count() - 1.
/// @param out_len  Receives the length in bytes, 0 if the item has no value. May be NULL.
/// @return NULL if there is no such item; valid until the operation is changed or freed.
#[export]
fn devid_op_info_value(op: &devid_op, index: usize) -> Option<&[u8]> {
    op.items().get(index).map(|item| &item.value[..])
}

impl Op {
    /// The answer to a question.
    pub(super) fn information(&self) -> Result<&Information, Error> {
        self.operation.information().ok_or_else(|| Error::new(Code::State, "no question was answered yet"))
    }

    pub(super) fn crls(&self) -> &[Vec<u8>] {
        let several = self.operation.revocations().map(|several| &several.crls);
        match (self.operation.information(), self.operation.revoked().map(|revoked| &revoked.crls).or(several)) {
            (Some(Information::Crls(crls)), _) => crls,
            (_, Some(crls)) => crls,
            _ => &[],
        }
    }

    /// What became of each certificate that was to be revoked, once that is answered; one that is asked for alone is revoked, or
    /// the operation fails.
    pub(super) fn revocations(&self) -> Vec<Result<PkiStatusInfo, Error>> {
        match (self.operation.revoked(), self.operation.revocations()) {
            (Some(revoked), _) => vec![Ok(revoked.status.clone())],
            (_, Some(several)) => several.outcomes.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn items(&self) -> &[devid_core::asn1::cmp::InfoTypeAndValue] {
        match self.operation.information() {
            Some(Information::Other(items)) => items,
            _ => &[],
        }
    }
}

fn another(what: &str) -> Error {
    Error::new(Code::State, format!("something else than {what} was asked for"))
}

/// Whether the CA does without a confirmation of the issued certificate.
///
/// @param op  May be NULL (gives 0).
/// @return 1 or 0; 0 as long as none is there.
#[export]
fn devid_op_is_implicitly_confirmed(op: &devid_op) -> bool {
    op.operation.issued().is_some_and(|issued| issued.implicitly_confirmed)
}

/// Until when the issued certificate must be confirmed (confirmWaitTime, RFC 9810 section 5.1.1.2).
///
/// @param op  May be NULL (gives -1).
/// @return Seconds since 1970-01-01T00:00:00Z; -1 if the CA did not say.
#[export(otherwise = -1)]
fn devid_op_confirm_before(op: &devid_op) -> Option<i64> {
    Some(op.operation.issued()?.confirm_before?.unix())
}

/// Whether the operation has failed for good: it is of no use any more.
///
/// @param op  May be NULL (gives 0).
/// @return 1 or 0.
#[export]
fn devid_op_has_failed(op: &devid_op) -> bool {
    op.operation.has_failed()
}

/// The transactionID, by which the CA's operators find the operation in their logs.
///
/// @param op       May be NULL (gives NULL).
/// @return NULL before the first message; valid until the operation is changed or freed.
#[export]
fn devid_op_transaction_id(op: &devid_op) -> Option<&[u8]> {
    op.operation.transaction_id()
}

/// Takes the issued certificate or refuses it, as devid_config_set_acceptance() says: for programs that step and leave that decision
/// to the settings. One that is bound to device memory is staged there before it is taken.
///
/// @return DEVID_OK; DEVID_E_STATE if no certificate waits for a decision. A refusal is told by the next steps.
#[export]
fn devid_op_decide_by_policy(op: &mut devid_op) -> Result<(), Error> {
    match op.issued()?.objection().is_none() {
        true => op.accept(),
        false => op.operation_mut().decide_by_policy(),
    }
}

/// Has a certificate that begins later confirmed at once, so that the CA keeps it, and the operation wait until its time comes
/// (DEVID_ACTION_WAIT): for programs that put the certificate into use when the operation is done. Operations that are bound to
/// device memory do so by themselves.
#[export]
fn devid_op_set_hold_until_valid(op: &mut devid_op) -> Result<(), Error> {
    op.operation_mut().hold_until_valid();
    Ok(())
}

/// Asks for a further certificate by the same message (RFC 9810 section 5.3.1): for RAs, and devices that need more than one. RFC 9483
/// section 4.1 knows one, and CAs that hold to it refuse.
///
/// Each certificate comes by a DEVID_ACTION_ACCEPT of its own, or is offered to the function of devid_op_set_decide(), is accepted or
/// rejected by itself, and confirmed; a rejection does not fail the operation. Some can wait at the CA while others come.
/// The operation is done when something has become of each: devid_op_certificate_at(). It cannot be saved, nor be bound
/// to device memory.
///
/// @param op       Of devid_op_enroll() or devid_op_enroll_further(), before the first step. Not NULL.
/// @param key      A further new key, which signs here. Not NULL.
/// @param subject  What is asked for. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE once the operation has begun; DEVID_E_INVALID_ARGUMENT for another kind of operation, a key that
///         is in it already or signs by steps of the program, or more than the limit `max_certificates` (64). The operation is then as
///         it was.
#[export]
fn devid_op_add_request(op: &mut devid_op, key: &devid_key, subject: &devid_subject) -> Result<(), Error> {
    let client = op.session.client.clone();
    client.add_request(op.operation_mut(), key.signer.clone(), subject)
}

/// Which of several requests the certificate answers that devid_op_certificate() gives.
///
/// @return From 0, in the order in which they were asked for; 0 too where none is there, or one is asked for.
#[export]
fn devid_op_request_index(op: &devid_op) -> usize {
    op.operation.issued().map_or(0, devid_core::cmp::Issued::request_index)
}

/// How many certificates are asked for.
///
/// @return 0 for a revocation or a question.
#[export]
fn devid_op_certificate_count(op: &devid_op) -> usize {
    op.operation.request().certificates().len()
}

/// What became of one of the certificates that were asked for.
///
/// @param index     From 0, in the order in which they were asked for, to devid_op_certificate_count() - 1.
/// @param out_cert  Receives the certificate; free with devid_cert_free(). Not NULL.
/// @return DEVID_OK: it is issued and confirmed; DEVID_E_REJECTED with the CA's texts in `err`, DEVID_E_REFUSED if it was
///         rejected here, and others as of devid_op_step(): there is none; DEVID_E_STATE: nothing is known of it yet;
///         DEVID_E_INVALID_ARGUMENT if there is no such request.
#[export]
fn devid_op_certificate_at(op: &devid_op, index: usize) -> Result<devid_cert, Error> {
    Ok(devid_cert::of(op.certificate_at(index)?.certificate.clone()))
}

/// The certificates above one of those that were asked for, next issuer first, the anchor last.
///
/// @param index        As for devid_op_certificate_at().
/// @param out_issuers  Receives the list; free with devid_cert_list_free(). Not NULL.
/// @return As devid_op_certificate_at().
#[export]
fn devid_op_issuers_at(op: &devid_op, index: usize) -> Result<devid_cert_list, Error> {
    Ok(op.certificate_at(index)?.chain.clone())
}

impl super::operation::Op {
    fn certificate_at(&self, index: usize) -> Result<&devid_core::cmp::Issued, Error> {
        let mut all = self.operation.certificates();
        match index < all.len() {
            true => all.swap_remove(index),
            false => Err(invalid(format!("{} certificates were asked for", all.len()))),
        }
    }
}
