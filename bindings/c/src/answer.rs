//! What came of an operation that is not about a new certificate: the CA's answers, and its warnings.

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
