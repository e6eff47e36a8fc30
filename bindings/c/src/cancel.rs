//! Ending a blocking call from another thread.

use super::prelude::*;
use devid_core::transport::Cancel;

/// A switch that ends blocking calls from another thread, or from none: it may be used by any number of operations, and is triggered
/// once. Shared by threads as const.
#[handle]
pub type devid_cancel = Cancel;

/// Makes a switch that is not triggered.
///
/// @param out_cancel  Receives the switch; free with devid_cancel_free(). Not NULL.
#[export]
fn devid_cancel_new() -> Result<devid_cancel, Error> {
    Ok(Cancel::new())
}

/// Throws the switch: devid_op_run() and devid_op_exchange() of operations that have it return soon with DEVID_E_CANCELLED, and
/// so does every later call of theirs. The operations stand where they were: they can be saved, or go on with another switch.
/// Returns at once; may be called from a thread of any kind, but not from a signal handler.
#[export]
fn devid_cancel_trigger(cancel: &devid_cancel) {
    cancel.cancel();
}

/// Whether the switch was triggered.
///
/// @return 1 or 0.
#[export]
fn devid_cancel_is_triggered(cancel: &devid_cancel) -> bool {
    cancel.is_cancelled()
}

/// Frees a switch. Operations that have it keep what they need of it.
#[export]
fn devid_cancel_free(cancel: Owned<devid_cancel>) {
    drop(cancel)
}

/// Gives an operation a switch by which its blocking calls end: exchanges by the built-in HTTP client at any moment, waits without a
/// function of the program at any moment, and functions of the program when they return.
///
/// @param cancel  NULL: none. May be NULL.
#[export]
fn devid_op_set_cancel(op: &mut devid_op, cancel: Option<&devid_cancel>) -> Result<(), Error> {
    op.session.client = op.session.client.with_cancel(cancel.cloned());
    Ok(())
}
