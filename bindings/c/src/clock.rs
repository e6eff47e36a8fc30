//! Devices without a clock: the last known time, and operations that learn the time from authentic answers.

use super::config::Session;
use super::prelude::*;
use super::renewal::clock;
use super::run::{Program, with_exchange};
use devid_core::client::renewal::Timekeeper;

/// Notes in device memory that it is at least this late. What is kept never goes back.
///
/// @param time       A time that was proven, in seconds since 1970-01-01T00:00:00Z: by an authentic answer, a signed CRL, a person.
/// @param out_known  Receives how late it is at least now. May be NULL.
/// @return DEVID_OK; DEVID_E_LIMIT for a time after the year 9999; a failure of device memory.
#[export]
fn devid_store_note_time(store: &devid_store, time: Time) -> Result<Time, Error> {
    Ok(store.note_time(time)?)
}

/// How late it is at least, as far as device memory knows.
///
/// @param out_time  Receives seconds since 1970-01-01T00:00:00Z, or DEVID_NO_CLOCK if no time was noted yet. Not NULL.
/// @return DEVID_OK; DEVID_E_CORRUPT if the record is damaged, which the next devid_store_note_time() replaces.
#[export]
fn devid_store_last_known_time(store: &devid_store) -> Result<i64, Error> {
    Ok(store.last_known_time()?.map_or(i64::from(super::renewal::DEVID_NO_CLOCK), Time::unix))
}

/// The same client for a device without a clock: it tells no time in its messages and does not compare those in answers with
/// its own.
///
/// @param out_client  Receives the client; free with devid_client_free(). Not NULL.
#[export]
fn devid_client_without_clock(client: &devid_client) -> Result<devid_client, Error> {
    let without = Session { client: client.client.without_clock(), log: client.log.clone() };
    Ok(without)
}

/// Runs an operation of a client without a clock, as devid_op_run() does, and learns the time: an answer is judged as of its own
/// messageTime, if that is not before what is known, and only an authentic one is learnt from. Kept in device memory. Blocks. The
/// system's clock is not read.
///
/// @param op          Of a client that devid_client_without_clock() made. Not NULL.
/// @param at_least    A lower bound known otherwise, such as the build date of the firmware; 0 if there is none. What device memory
///                    knows counts if it is later.
/// @param out_learnt  Receives the time that was learnt, also on failure; DEVID_NO_CLOCK if none was. Not NULL.
/// @return As devid_op_run().
#[export]
fn devid_op_run_without_clock(
    op: &mut devid_op,
    store: &devid_store,
    at_least: i64,
    mut out_learnt: Out<i64>,
) -> Result<(), Error> {
    out_learnt.set(i64::from(super::renewal::DEVID_NO_CLOCK));
    let bound = clock(at_least).max(store.last_known_time()?).unwrap_or(Time::from_unix(0));
    let mut learnt = Ok(None);
    let outcome = with_exchange(op, |operation, exchange, callbacks, session| {
        let cancel = session.client.exchange_limits().cancel.as_ref();
        let mut owner = Program { callbacks, log: &session.log, cancel };
        let client = &session.client;
        let mut keeper = Timekeeper::without_clock(&mut owner, bound).up_to(client.end_of_anchors());
        let outcome = client.complete_over(operation, exchange, &mut keeper);
        learnt = client.learn_into(store, &mut keeper, &outcome);
        outcome
    });
    if let Some(time) = learnt? {
        out_learnt.set(time.unix());
    }
    outcome
}
