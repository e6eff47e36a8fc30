//! What else an operation knows of itself, and decisions by the settings' policy.

use super::prelude::*;

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
