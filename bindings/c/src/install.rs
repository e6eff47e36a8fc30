//! Enrolment straight into device memory: an operation that is bound to it keeps it in step by itself, within its steps or apart from them.

use super::operation::Op;
use super::prelude::*;
use devid_core::client::{Binding, Continued, Destination, abandon};

/// A generation is in use.
pub const DEVID_STATE_CURRENT: i32 = 1;
/// There is a previous generation to roll back to.
pub const DEVID_STATE_PREVIOUS: i32 = 2;
/// A certificate is issued and not confirmed yet: it is staged, and not in use. devid_op_resume() resolves that with the CA.
pub const DEVID_STATE_UNCONFIRMED: i32 = 4;
/// An operation is saved that devid_op_resume() continues.
pub const DEVID_STATE_OPERATION: i32 = 8;
/// A new key waits for its certificate.
pub const DEVID_STATE_PENDING_KEY: i32 = 16;
/// A PKCS#10 request is out: devid_store_import() takes its certificate.
pub const DEVID_STATE_REQUEST: i32 = 32;

/// Binds an enrolment, renewal or revocation to device memory, so that no crash loses or mixes an identity: the new key is kept before the
/// request leaves, the operation before each message and wait, the certificate before it is confirmed; when the operation is
/// done, key, certificate and chain come into use in one atomic step, and the generation before is kept for rollback. Roots that the
/// settings let it take (fingerprints, caPubs, the root of ip) are anchors in the store's sets for CMP and for enrolment then. The
/// operation is stepped or run as without. A revocation is kept, too, until the CA has answered; where the same was asked for before, of this
/// certificate and for this reason, and the CA lets wait, that one continues: it is polled, and not asked anew.
/// If it fails for good, what was kept is given up; if it was interrupted, devid_op_resume() continues. Others, also other processes, are kept out of this identity's conversations until the operation is
/// over or freed; one that devid_op_run() has left for later keeps nobody out.
///
/// @param op         Not stepped yet. Not NULL.
/// @param name       The identity's name; also the label of its pending key and of its saved operation. Not NULL.
/// @param purpose    What the identity is for, such as "ldevid". Not NULL.
/// @param reference  Where the new key is, for a key that cannot be exported, such as a PKCS#11 URI; else ignored. May be NULL.
/// @return DEVID_OK; DEVID_E_STATE if the operation is under way, or if an earlier one under this name is unfinished
///         (devid_op_resume() or devid_store_abandon() it first); DEVID_E_INVALID_ARGUMENT for a question, and for several certificates;
///         DEVID_E_LOCKED if another thread or process is in a conversation about this identity.
#[export]
fn devid_op_install_into(
    op: &mut devid_op,
    store: &devid_store,
    name: &str,
    purpose: &str,
    reference: Option<&str>,
) -> Result<(), Error> {
    if op.installing.is_some() {
        return Err(Error::new(Code::State, "the operation is bound to device memory already"));
    }
    op.installing = Some(Binding::begin(Destination { store, name, purpose }, &mut op.operation, reference)?);
    Ok(())
}

/// Continues what was interrupted under a name in device memory: by a crash, a reboot, a server out of reach, a CA that takes
/// days. The operation stays bound to device memory.
///
/// @param client   With the same settings as then. Not NULL.
/// @param name     The identity's name. Not NULL.
/// @param purpose  As devid_op_install_into(). Not NULL.
/// @param key      Stands for the new key, where device memory has only its reference. NULL: the pending key of device memory;
///                 one that it can only name signs as a step. May be NULL.
/// @param out_op   Receives the operation; free with devid_op_free(). NULL if the interruption came when all was done: the
///                 identity is in use. Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND if nothing is unfinished under this name; DEVID_E_KEY_MISMATCH; DEVID_E_LOCKED if another
///         thread or process is in a conversation about this identity.
#[export]
fn devid_op_resume(
    client: &devid_client,
    store: &devid_store,
    name: &str,
    purpose: &str,
    key: Option<&devid_key>,
) -> Result<Option<devid_op>, Error> {
    let to = Destination { store, name, purpose };
    match Binding::resume(to, &client.client, key.map(|key| key.signer.clone()))? {
        (Continued::Installed(_), _) => Ok(None),
        (Continued::Operation(operation), binding) => Ok(Some(devid_op::bound(client, *operation, binding))),
    }
}

/// Gives an unfinished enrolment up: the saved operation, the staged certificate and the pending key are removed; a revocation that waits
/// is forgotten, too. The CA is not told, and the identity in use is not touched.
///
/// @param name   The identity's name. Not NULL.
/// @return DEVID_OK, also if nothing was unfinished; or a failure.
#[export]
fn devid_store_abandon(store: &devid_store, name: &str) -> Result<(), Error> {
    abandon(Destination { store, name, purpose: "" })
}

/// What device memory holds under a name.
///
/// @param name       The identity's name. Not NULL.
/// @param out_state  Receives the sum of DEVID_STATE_* that hold; 0: nothing. More may be added. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT.
#[export]
fn devid_store_state(store: &devid_store, name: &str) -> Result<i32, Error> {
    let generations = store.state(name)?;
    let is_in = |names: Vec<String>| names.iter().any(|known| known == name);
    let states = [
        (DEVID_STATE_CURRENT, generations.current.is_some()),
        (DEVID_STATE_PREVIOUS, generations.previous.is_some()),
        (DEVID_STATE_UNCONFIRMED, generations.pending.is_some()),
        (DEVID_STATE_OPERATION, is_in(store.operations()?)),
        (DEVID_STATE_PENDING_KEY, is_in(store.pending_keys()?)),
        (DEVID_STATE_REQUEST, store.pending_request(name)?.is_some()),
    ];
    Ok(states.iter().filter(|(_, holds)| *holds).map(|(state, _)| state).sum())
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
