//! Ending a blocking call from another thread.

use super::args::{Handle, Slot, free, handle, handle_mut, handle_ref, out, peek};
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use super::operation::devid_op;
use devid_core::transport::Cancel;

/// A switch that ends blocking calls from another thread, or from none: it may be used by any number of operations, and is thrown
/// once. Shared by threads as const.
#[allow(non_camel_case_types)]
pub struct devid_cancel(Slot<Cancel>);
handle!(devid_cancel: Cancel);

/// Makes a switch that is not thrown.
///
/// @param out_cancel  Receives the switch; free with devid_cancel_free(). Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cancel_new(
    out_cancel: *mut *mut devid_cancel,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let out_cancel = unsafe { out(out_cancel, "out_cancel")? };
        *out_cancel = devid_cancel::into_raw(Cancel::new());
        Ok(())
    })
}

/// Throws the switch: devid_op_run() and devid_op_exchange() of operations that have it return soon with DEVID_E_CANCELLED, and
/// so does every later call of theirs. The operations stand where they were: they can be saved, or go on with another switch.
/// Returns at once; may be called from a thread of any kind, but not from a signal handler.
///
/// @param cancel  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cancel_throw(cancel: *const devid_cancel) {
    guard_value((), || {
        // SAFETY: as the header says.
        if let Ok(cancel) = unsafe { handle_ref(cancel, "cancel") } {
            cancel.cancel();
        }
    });
}

/// Whether the switch was thrown.
///
/// @param cancel  May be NULL (gives 0).
/// @return 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cancel_is_thrown(cancel: *const devid_cancel) -> i32 {
    // SAFETY: as the header says.
    unsafe { peek(cancel, 0, |cancel| i32::from(cancel.is_cancelled())) }
}

/// Frees a switch. Operations that have it keep what they need of it.
///
/// @param cancel  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_cancel_free(cancel: *mut devid_cancel) {
    // SAFETY: as the header says.
    unsafe { free(cancel) }
}

/// Gives an operation a switch by which its blocking calls end: exchanges by the built-in HTTP client at any moment, waits without a
/// function of the program at any moment, and functions of the program when they return.
///
/// @param op      Not NULL.
/// @param cancel  NULL: none. May be NULL.
/// @param err     Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_set_cancel(
    op: *mut devid_op,
    cancel: *const devid_cancel,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (mut op, cancel) = unsafe {
            (handle_mut(op, "op")?, if cancel.is_null() { None } else { Some(handle_ref(cancel, "cancel")?.clone()) })
        };
        op.session.client = op.session.client.with_cancel(cancel);
        Ok(())
    })
}
