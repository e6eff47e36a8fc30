//! Device memory beside an event loop: steps that never block.

use super::operation::Op;
use super::prelude::*;
use devid_core::cmp::ActionKind;

/// An operation whose device memory is written apart from its steps.
#[derive(Default)]
pub(super) struct Apart {
    is_on: bool,
    due: Option<Due>,
}

/// What device memory is to learn before the next step, or has learnt.
enum Due {
    /// The outcome of a step.
    Keep(Result<ActionKind, Error>, Time),
    /// That the certificate is taken: it is staged first.
    Stage,
    /// Device memory knows: the next step answers this.
    Kept(Result<ActionKind, Error>),
}

impl Op {
    /// One step. `None`: device memory is to be written first.
    pub(super) fn step_apart(&mut self, now: Time) -> Result<Option<ActionKind>, Error> {
        if !self.apart.is_on || self.installing.is_none() {
            let result = self.operation_mut().step(now).map(|action| action.kind());
            self.note(&result);
            self.keep_in_step(&result, now)?;
            return result.map(Some);
        }
        match self.apart.due.take() {
            Some(Due::Kept(result)) => return result.map(Some),
            Some(due) => {
                self.apart.due = Some(due);
                return Ok(None);
            }
            None => {}
        }
        let result = self.operation_mut().step(now).map(|action| action.kind());
        self.note(&result);
        // A key that signs elsewhere is asked for nothing that device memory has to know.
        if matches!(result, Ok(ActionKind::Sign)) {
            return result.map(Some);
        }
        self.apart.due = Some(Due::Keep(result, now));
        Ok(None)
    }

    /// The certificate is taken, at once or when it is staged.
    pub(super) fn accept_apart(&mut self) -> Result<(), Error> {
        if self.apart.is_on && self.installing.is_some() && self.operation.is_deciding() {
            self.apart.due = Some(Due::Stage);
            return Ok(());
        }
        self.stage()?;
        self.operation_mut().accept()
    }

    /// Does what was put off.
    fn keep(&mut self) -> Result<(), Error> {
        let Some(due) = self.apart.due.take() else {
            return Err(Error::new(Code::State, "device memory has nothing to learn: step first"));
        };
        match due {
            Due::Keep(result, now) => match self.keep_in_step(&result, now) {
                Ok(()) => self.apart.due = Some(Due::Kept(result)),
                Err(error) => {
                    self.apart.due = Some(Due::Keep(result, now));
                    return Err(error);
                }
            },
            Due::Stage => {
                if let Err(error) = self.stage() {
                    self.apart.due = Some(Due::Stage);
                    return Err(error);
                }
                self.operation_mut().accept()?;
            }
            kept @ Due::Kept(_) => self.apart.due = Some(kept),
        }
        Ok(())
    }
}

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
    if op.installing.is_none() {
        return Err(Error::new(Code::State, "the operation is not bound to device memory"));
    }
    if op.apart.due.is_some() {
        return Err(Error::new(Code::State, "device memory has something to learn: devid_op_keep() first"));
    }
    op.apart.is_on = on;
    Ok(())
}

/// Writes device memory, after DEVID_ACTION_KEEP. Blocks on the medium and on other processes that change it: call it in a worker
/// thread, and step again when it has returned.
///
/// @return DEVID_OK; DEVID_E_STATE if nothing is to be kept; a failure of device memory, after which it can be called again.
#[export]
fn devid_op_keep(op: &mut devid_op) -> Result<(), Error> {
    op.keep()
}
