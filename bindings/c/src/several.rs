//! Several certificates by one operation.

use super::prelude::*;

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
