//! Devices without a clock: the last known time, and operations that learn the time from authentic answers.

use super::args::{Handle, handle_mut, handle_ref, out, out_opt};
use super::config::{Session, devid_client};
use super::error::{devid_error, devid_status};
use super::guard::guard;
use super::operation::devid_op;
use super::renewal::clock;
use super::run::{Program, with_exchange};
use super::store::devid_store;
use devid_core::Time;
use devid_core::client::renewal::Timekeeper;
use devid_core::client::run::complete;

/// Notes in device memory that it is at least this late. What is kept never goes back.
///
/// @param store      Not NULL.
/// @param time       A time that was proven, in seconds since 1970-01-01T00:00:00Z: by an authentic answer, a signed CRL, a person.
/// @param out_known  Receives how late it is at least now. May be NULL.
/// @param err        Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_LIMIT for a time after the year 9999; a failure of device memory.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_note_time(
    store: *const devid_store,
    time: i64,
    out_known: *mut i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_known, store) = unsafe { (out_opt(out_known), handle_ref(store, "store")?) };
        let known = store.note_time(Time::from_unix(time))?;
        if let Some(out_known) = out_known {
            *out_known = known.unix();
        }
        Ok(())
    })
}

/// How late it is at least, as far as device memory knows.
///
/// @param store     Not NULL.
/// @param out_time  Receives seconds since 1970-01-01T00:00:00Z, or DEVID_NO_CLOCK if no time was noted yet. Not NULL.
/// @param err       Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT if the record is damaged, which the next devid_store_note_time() mends.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_store_last_known_time(
    store: *const devid_store,
    out_time: *mut i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_time, store) = unsafe { (out(out_time, "out_time")?, handle_ref(store, "store")?) };
        *out_time = store.last_known_time()?.map_or(i64::from(super::renewal::DEVID_NO_CLOCK), Time::unix);
        Ok(())
    })
}

/// The same client for a device without a clock: it tells no time in its messages and does not compare those in answers with
/// its own.
///
/// @param client      Not NULL.
/// @param out_client  Receives the client; free with devid_client_free(). Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK or a failure.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_client_without_clock(
    client: *const devid_client,
    out_client: *mut *mut devid_client,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_client, session) = unsafe { (out(out_client, "out_client")?, handle_ref(client, "client")?) };
        let without = Session { client: session.client.without_clock(), log: session.log.clone() };
        *out_client = devid_client::into_raw(without);
        Ok(())
    })
}

/// Runs an operation of a client without a clock, as devid_op_run() does, and learns the time: an answer is judged as of its own
/// messageTime, if that is not before what is known, and only an authentic one is learnt from. Kept in device memory. Blocks. The
/// system's clock is not read.
///
/// @param op          Of a client that devid_client_without_clock() made. Not NULL.
/// @param store       Not NULL.
/// @param at_least    A lower bound known otherwise, such as the build date of the firmware; 0 if there is none. What device memory
///                    knows counts if it is later.
/// @param out_learnt  Receives the time that was learnt, also on failure; DEVID_NO_CLOCK if none was. Not NULL.
/// @param err         Receives details on failure, else NULL. May be NULL.
/// @return As devid_op_run().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_op_run_without_clock(
    op: *mut devid_op,
    store: *const devid_store,
    at_least: i64,
    out_learnt: *mut i64,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_learnt, mut op, store) =
            unsafe { (out(out_learnt, "out_learnt")?, handle_mut(op, "op")?, handle_ref(store, "store")?) };
        *out_learnt = i64::from(super::renewal::DEVID_NO_CLOCK);
        let bound = clock(at_least).max(store.last_known_time()?).unwrap_or(Time::from_unix(0));
        let mut learnt = Ok(None);
        let outcome = with_exchange(&mut op, |operation, exchange, callbacks, session| {
            let cancel = session.client.exchange_limits().cancel.as_ref();
            let mut owner = Program { callbacks, log: &session.log, cancel };
            let client = &session.client;
            let mut keeper = Timekeeper::without_clock(&mut owner, bound).up_to(client.end_of_anchors());
            let outcome = complete(operation, exchange, client.exchange_limits(), client.max_retries(), &mut keeper);
            learnt = client.learn_into(&store, &mut keeper, &outcome);
            outcome
        });
        op.refresh();
        if let Some(time) = learnt? {
            *out_learnt = time.unix();
        }
        outcome
    })
}
