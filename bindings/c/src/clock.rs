//! Devices without a clock: the last known time, and clients that are told none.

use super::config::Session;
use super::prelude::*;

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
