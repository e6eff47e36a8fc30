//! Devices without a clock: the last known time is kept, never goes back, and survives damage.

use std::fs;

use devid::Time;
use devid::asn1::der::element;
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;
use crate::kinds::*;

/// The first second that a 32-bit `time_t` cannot hold.
const AFTER_2038: Time = Time::from_unix(2_147_483_648);

#[test]
fn the_last_known_time_goes_up_and_never_back() {
    every_home(|home, store| {
        assert_eq!(store.last_known_time().unwrap(), None, "{home}");
        assert_eq!(store.note_time(NOW).unwrap(), NOW);
        assert_eq!(
            store.note_time(Time::from_unix(0)).unwrap(),
            NOW,
            "{home}: a clock that begins in 1970 is corrected"
        );
        assert_eq!(store.note_time(NOW.plus(-1)).unwrap(), NOW);
        assert_eq!(store.last_known_time().unwrap(), Some(NOW), "{home}");
        assert_eq!(store.note_time(NOW.plus(1)).unwrap(), NOW.plus(1));
        assert_eq!(store.last_known_time().unwrap(), Some(NOW.plus(1)), "{home}");
        assert_eq!(store.verify().unwrap(), [], "{home}");

        store.forget_time().unwrap();
        assert_eq!(store.last_known_time().unwrap(), None, "{home}: unless a person says so");
        assert_eq!(store.note_time(NOW).unwrap(), NOW);
    });
}

#[test]
fn times_beyond_32_bits_are_kept_and_times_beyond_the_calendar_are_refused() {
    every_home(|home, store| {
        for time in [AFTER_2038.plus(-1), AFTER_2038, Time::from_unix(4_294_967_296), Time::FOREVER] {
            assert_eq!(store.note_time(time).unwrap(), time, "{home}");
            assert_eq!(store.last_known_time().unwrap(), Some(time), "{home}");
        }
        store.forget_time().unwrap();
        for time in [Time::FOREVER.plus(1), Time::from_unix(i64::MAX)] {
            assert_eq!(store.note_time(time).unwrap_err().kind, Kind::Limit, "{home}");
        }
        assert_eq!(store.last_known_time().unwrap(), None, "{home}");
        let long_ago = Time::from_unix(-5_000_000_000);
        assert_eq!((store.note_time(long_ago).unwrap(), store.last_known_time().unwrap()), (long_ago, Some(long_ago)));
    });
}

#[test]
fn a_certificate_without_an_end_is_installed_after_2038_and_read_again() {
    let validity = [element(0x18, &[b"20381231000000Z"]), element(0x18, &[b"99991231235959Z"])];
    every_home(|home, store| {
        let first = home.issued(1);
        let endless = certificate_valid(first.key.spki(), "CN=device", "CN=Issuing CA,O=Factory", 9, &validity);
        let new = NewIdentity { certificate: &endless, at: Time::FOREVER, ..first.new_identity() };
        store.install("device", &new).unwrap();
        let found = home.current("device");
        assert_eq!((found.certificate.not_after(), found.created), (Time::FOREVER, Time::FOREVER), "{home}");
        assert_eq!(found.certificate.not_before().to_string(), "2038-12-31T00:00:00Z");
        assert_eq!(store.verify().unwrap(), []);
    });
}

/// Its dark twin: one second beyond the calendar is no time.
#[test]
fn a_certificate_that_ends_after_the_calendar_is_not_read() {
    let validity = [element(0x18, &[b"20381231000000Z"]), element(0x18, &[b"99991231235960Z"])];
    let der = certificate_der(key(1).spki(), "CN=device", "CN=Issuing CA,O=Factory", 9, &validity);
    assert!(devid::asn1::x509::Certificate::from_der(&der).is_err());
}

#[cfg(unix)]
#[test]
fn one_damaged_record_of_the_time_is_restored_from_the_other() {
    for damaged in ["clock/time", "clock/time.copy"] {
        for content in [Some(&b"devid-clock 1\ntime 99999999999\ncheck 0\n"[..]), Some(b""), None] {
            let place = Place::new();
            let store = place.open();
            store.note_time(NOW).unwrap();
            match content {
                Some(bytes) => fs::write(place.memory().join(damaged), bytes).unwrap(),
                None => fs::remove_file(place.memory().join(damaged)).unwrap(),
            }
            assert_eq!(store.last_known_time().unwrap(), Some(NOW), "{damaged}: the other one serves");
            assert_eq!(store.note_time(NOW.plus(-1)).unwrap(), NOW);
            let mended = store.repair().unwrap();
            assert!(matches!(mended.as_slice(), [p] if p.is_mended && p.place == damaged), "{mended:?}");
            assert_eq!(store.last_known_time().unwrap(), Some(NOW));
            assert_eq!(store.verify().unwrap(), []);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_time_lost_altogether_begins_again_where_the_newest_certificate_does() {
    for by_repair in [true, false] {
        let place = Place::new();
        let store = place.open();
        store.install("device", &issued(1).new_identity()).unwrap();
        store.note_time(NOW).unwrap();
        for file in ["clock/time", "clock/time.copy"] {
            fs::write(place.memory().join(file), "\0\0\0").unwrap();
        }
        let begins = issued(1).certificate.not_before();
        assert!(begins < NOW);

        assert_eq!(store.last_known_time().unwrap_err().kind, Kind::Corrupt);
        assert!(store.verify().unwrap().iter().any(|p| p.kind == ProblemKind::Damaged && p.place == "clock/time"));
        if by_repair {
            assert!(store.repair().unwrap().iter().all(|p| p.is_mended));
        } else {
            assert_eq!(store.note_time(Time::from_unix(0)).unwrap(), begins, "not in 1970");
        }
        assert_eq!(store.last_known_time().unwrap(), Some(begins));
        assert_eq!(store.verify().unwrap(), []);
    }
}

#[cfg(unix)]
#[test]
fn a_time_of_a_newer_version_is_left_alone() {
    let place = Place::new();
    let store = place.open();
    store.note_time(NOW).unwrap();
    let newer = b"devid-clock 2\nnanoseconds 7\ncheck 0\n";
    fs::write(place.memory().join("clock/time"), newer).unwrap();
    assert_eq!(store.last_known_time().unwrap_err().kind, Kind::Version);
    assert_eq!(store.note_time(NOW).unwrap_err().kind, Kind::Version);
    assert!(store.repair().unwrap().iter().all(|p| !p.is_mended));
    assert_eq!(fs::read(place.memory().join("clock/time")).unwrap(), newer);
}
