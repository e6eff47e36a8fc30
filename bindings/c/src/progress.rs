//! What a running operation does: seen at each of its pauses, and saved there.

use super::args::{Slot, c_text};
use super::operation::{DEVID_ACTION_ACCEPT, DEVID_ACTION_SEND, DEVID_ACTION_WAIT};
use super::prelude::*;
use super::run::ended_by_program;
use devid_core::cmp::{Action, Operation};

/// How an operation stands: lent for the time of a call of devid_checkpoint_fn, or made by devid_op_view().
#[handle]
pub type devid_view = View;

#[doc(hidden)]
pub struct View {
    action: i32,
    request: CString,
    output: Option<(CString, Vec<u8>)>,
    wait_seconds: u32,
    wait_reason: CString,
    pki_status: i64,
    saved: Result<Vec<u8>, Error>,
}

/// Is told where a running operation stands: before each message, each wait and each decision. view: lent for the call; the
/// operation itself is in use meanwhile, and its getters answer nothing. Return 0; or, to end the run, a number at or below -10000 or
/// DEVID_E_CANCELLED; the operation can go on later.
#[callback]
pub type devid_checkpoint_fn = fn(view: &devid_view) -> i32;

/// The program's function.
pub(super) struct Checkpoint(devid_checkpoint_fn, User);

impl Checkpoint {
    pub(super) fn tell(&self, operation: &Operation) -> Result<(), Error> {
        let Checkpoint(told, user) = self;
        match devid_checkpoint_fn(*told, user, &Slot::lent(View::of(operation))) {
            0 => Ok(()),
            number => Err(ended_by_program("checkpoints", number)),
        }
    }
}

impl View {
    fn of(operation: &Operation) -> View {
        let mut view = View {
            action: DEVID_ACTION_WAIT,
            request: c_text(operation.request().body().name()),
            output: None,
            wait_seconds: 0,
            wait_reason: CString::default(),
            pki_status: operation.issued().map_or(-1, |issued| issued.status.status.number()),
            saved: operation.save(),
        };
        match operation.action() {
            Some(Action::Send { message, body }) => {
                view.action = DEVID_ACTION_SEND;
                view.output = Some((c_text(body.name()), message.to_vec()));
            }
            Some(Action::Wait { seconds, reason, .. }) => {
                (view.wait_seconds, view.wait_reason) = (seconds, c_text(&reason.join("\n")));
            }
            Some(Action::Accept(_)) => view.action = DEVID_ACTION_ACCEPT,
            Some(Action::Sign(_) | Action::Done(_)) | None => {}
        }
        view
    }
}

/// Has a function of the program told where devid_op_run() stands, and where the operation can be saved: for programs that show
/// progress, or keep it by other means than devid_op_install_into().
///
/// @param told     NULL: nobody is told. May be NULL.
/// @param user     Passed to `told` and `destroy`. May be NULL.
/// @param destroy  Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_checkpoint(op: &mut devid_op, told: Option<devid_checkpoint_fn>, user: User) -> Result<(), Error> {
    op.callbacks.checkpoint = told.map(|told| Checkpoint(told, user));
    Ok(())
}

/// The same for the operations of devid_renewal_run().
///
/// @param told     NULL: nobody is told. May be NULL.
/// @param user     Passed to `told` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_checkpoint(
    renewal: &mut devid_renewal,
    told: Option<devid_checkpoint_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.callbacks.checkpoint = told.map(|told| Checkpoint(told, user));
    Ok(())
}

/// How an operation stands now, between its steps.
///
/// @param out_view  Receives the view, which does not change with the operation; free with devid_view_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_REENTRANT while it runs: devid_op_set_checkpoint() tells then.
#[export]
fn devid_op_view(op: &devid_op) -> Result<devid_view, Error> {
    Ok(View::of(&op.operation))
}

/// Frees a view that devid_op_view() made.
#[export]
fn devid_view_free(view: Owned<devid_view>) {
    drop(view)
}

/// What comes next.
///
/// @return DEVID_ACTION_SEND, DEVID_ACTION_WAIT or DEVID_ACTION_ACCEPT.
#[export]
fn devid_view_action(view: &devid_view) -> i32 {
    view.action
}

/// What the operation asks for, as devid_op_request_name().
///
/// @return Never NULL; valid as long as the view.
#[export]
fn devid_view_request_name(view: &devid_view) -> &CStr {
    &view.request
}

/// What the message to send is, as devid_op_output_name().
///
/// @return NULL if none is to be sent; valid as long as the view.
#[export]
fn devid_view_output_name(view: &devid_view) -> Option<&CStr> {
    view.output.as_ref().map(|(name, _)| &**name)
}

/// The message to send, DER.
///
/// @return NULL if none is to be sent; valid as long as the view.
#[export]
fn devid_view_output(view: &devid_view) -> Option<&[u8]> {
    view.output.as_ref().map(|(_, message)| &message[..])
}

/// How long it is waited, before DEVID_ACTION_WAIT.
///
/// @return Seconds.
#[export]
fn devid_view_wait_seconds(view: &devid_view) -> u32 {
    view.wait_seconds
}

/// The reasons that the server gave for the delay, one per line.
///
/// @return Never NULL; valid as long as the view.
#[export]
fn devid_view_wait_reason(view: &devid_view) -> &CStr {
    &view.wait_reason
}

/// PKIStatus that came with the certificate, before DEVID_ACTION_ACCEPT.
///
/// @return As devid_op_pki_status().
#[export(otherwise = -1)]
fn devid_view_pki_status(view: &devid_view) -> i64 {
    view.pki_status
}

/// Saves the operation as it is now, as devid_op_save().
///
/// @param out_saved  Receives the bytes; free with devid_bytes_free(). Not NULL.
#[export]
fn devid_view_save(view: &devid_view) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(view.saved.as_ref().map_err(Error::clone)?))
}
