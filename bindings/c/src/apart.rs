//! Device memory beside an event loop: steps that never block.

use super::operation::Op;
use super::prelude::*;

/// For event loops: whether device memory is written apart from the steps of an operation that devid_op_install_into() or
/// devid_op_resume() bound. devid_op_step() then never blocks: where device memory is to be written it answers DEVID_ACTION_KEEP,
/// and devid_op_keep() does that, in a worker thread. Not for devid_op_run().
///
/// @param op   Bound to device memory. Not NULL.
/// @param on   1: apart, 0 (the default): within the steps, which wait for the medium, 0.1 s and more on flash, and up to 2 s for
///             another process that changes the same device memory.
/// @return DEVID_OK; DEVID_E_STATE if something is still to be kept, or the operation is not bound.
#[export]
fn devid_op_set_keep_apart(op: &mut devid_op, on: bool) -> Result<(), Error> {
    op.installing.as_mut().ok_or_else(not_bound)?.set_apart(on)
}

/// Writes device memory, after DEVID_ACTION_KEEP. Blocks on the medium and on other processes that change it: call it in a worker
/// thread, and step again when it has returned.
///
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be kept; a failure of device memory, after which it can be called again.
#[export]
fn devid_op_keep(op: &mut devid_op) -> Result<(), Error> {
    op.operation_mut();
    let Op { installing, operation, .. } = op;
    installing.as_mut().ok_or_else(not_bound)?.keep(operation)
}

fn not_bound() -> Error {
    Error::new(Code::State, "the operation is not bound to device memory")
}
