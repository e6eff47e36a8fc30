//! The easy way in: a device as a whole, by a settings file or a few values. What is below is there for those who need more.

use std::path::Path;
use std::sync::Arc;

use super::args::{Out, Owned};
use super::bytes::devid_bytes;
use super::config::invalid;
use super::peer::devid_peer;
use super::renewal::{DEVID_DONE_INSTALLED, DEVID_DONE_NOTHING, DEVID_DONE_WAITING, DEVID_NO_CLOCK, devid_done};
use super::run::devid_cancel;
use super::store::devid_store;
#[cfg(not(all(feature = "settings", unix)))]
use absent::{Device, Kept, Part};
#[cfg(all(feature = "settings", unix))]
use devid_core::client::device::{Device, Kept, Part};
use devid_core::client::run::sleep_unless;
use devid_core::client::{Owner, Unattended};
use devid_core::cmp::Operation;
use devid_core::transport::Cancel;
use devid_core::{Code, Error, Time};
use devid_macros::{export, handle};

/// A device as a whole: its settings, its memory, and what is due.
#[handle]
pub type devid_device = Device;

/// For `now` in devid_device_keep(), devid_device_check() and devid_device_status(): what the system's clock says.
pub const DEVID_NOW: i32 = -2;

/// The private key, PKCS#8.
pub const DEVID_PART_KEY: i32 = 1;
/// The certificate.
pub const DEVID_PART_CERTIFICATE: i32 = 2;
/// The certificates above it, nearest first.
pub const DEVID_PART_CHAIN: i32 = 3;
/// The certificate and those above it, as peers need them: without the root.
pub const DEVID_PART_FULL_CHAIN: i32 = 4;
/// The roots that certificates issued to the device must lead to.
pub const DEVID_PART_ANCHORS: i32 = 5;
/// The private key, the certificate and those above it without the root: all of one generation, whatever is renewed meanwhile.
pub const DEVID_PART_BUNDLE: i32 = 6;

/// A device by its settings file, which is the command's: see docs/command.md. Device memory is made where it is missing.
///
/// @param settings_file  Such as "/etc/devid/devid.toml". Not NULL.
/// @param out_device     Receives the device; free with devid_device_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for settings that are wrong, with file, line and the nearest name;
///         DEVID_E_UNSUPPORTED in builds without settings.
#[export]
fn devid_device_open(settings_file: &str) -> Result<devid_device, Error> {
    Device::from_file(Path::new(settings_file))
}

/// A device by a few values, which devid_device_set() takes.
///
/// @param memory_folder  The directory of device memory, which is created if it is missing; its parent must exist. Not NULL.
/// @param out_device     Receives the device; free with devid_device_free(). Not NULL.
/// @return DEVID_OK; those of devid_store_open_dir(); DEVID_E_UNSUPPORTED in builds without settings.
#[export]
fn devid_device_new(memory_folder: &str) -> Result<devid_device, Error> {
    Device::new(Path::new(memory_folder))
}

/// Sets one setting by its name in the settings file; what was set before under this name is replaced. A first certificate
/// needs: "ca.server", "ca.trust.all" (a file with the roots), "ca.login.reference" and "ca.login.secret" (its source, such as
/// "file:/etc/devid/secret"), and "identity.NAME.subject". `devid config explain` lists all names.
///
/// @param key     The name. Not NULL.
/// @param value   As it stands in the file; text needs no quotes, and where a list is wanted, this is its one element. Not NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT for a name that is not a setting, with the nearest one, or another kind of value.
#[export]
fn devid_device_set(device: &mut devid_device, key: &str, value: &str) -> Result<(), Error> {
    device.set(key, value)
}

/// Does whatever is due, once, for every identity of the settings: the first certificate, what was begun, a renewal, a root's
/// successor; and the lasting exports ([[identity.NAME.export]]) where they do not stand as they were written. The programs of the
/// settings (an export's "then", "hooks") are for the command alone: they are not run. Blocks. Safe to be called as often as one likes:
/// what is not due is not done.
///
/// @param now                   The present, in seconds since 1970-01-01T00:00:00Z, of the years 0 to 9999; DEVID_NOW; or DEVID_NO_CLOCK,
///                              and the time is learnt from the CA.
/// @param longest_wait_seconds  Waits that the CA asks for are slept through up to this; longer ones end the call, and the next
///                              one continues.
/// @param out_done              Receives DEVID_DONE_INSTALLED, DEVID_DONE_WAITING or DEVID_DONE_NOTHING. NULL if not wanted. May be
///                              NULL.
/// @param out_again_seconds     Receives after how many seconds to call again, on failure too. NULL if not wanted. May be NULL.
/// @return DEVID_OK; DEVID_E_INVALID_ARGUMENT, before anything is sent, for a present of another year, such as milliseconds; else why the
///         first identity that failed did: it is remembered, and tried again when it is due.
#[export]
fn devid_device_keep(
    device: &mut devid_device,
    now: i64,
    longest_wait_seconds: u32,
    out_done: Option<Out<devid_done>>,
    out_again_seconds: Option<Out<u32>>,
) -> Result<(), Error> {
    tell(device.keep(clock(device, now), longest_wait_seconds, &mut Unattended)?, out_done, out_again_seconds)
}

/// devid_device_keep() with a switch by which it ends soon with DEVID_E_CANCELLED, in exchanges and waits. What is under way stays in
/// device memory, and the next call continues.
///
/// @param cancel                NULL: none. May be NULL.
/// @param now                   As devid_device_keep().
/// @param longest_wait_seconds  As devid_device_keep().
/// @param out_done              Receives DEVID_DONE_INSTALLED, DEVID_DONE_WAITING or DEVID_DONE_NOTHING. NULL if not wanted. May be
///                              NULL.
/// @param out_again_seconds     Receives after how many seconds to call again, on failure too. NULL if not wanted. May be NULL.
/// @return As devid_device_keep(); DEVID_E_CANCELLED.
#[export]
fn devid_device_keep_unless(
    device: &mut devid_device,
    cancel: Option<&devid_cancel>,
    now: i64,
    longest_wait_seconds: u32,
    out_done: Option<Out<devid_done>>,
    out_again_seconds: Option<Out<u32>>,
) -> Result<(), Error> {
    let kept = device.keep_unless(cancel, clock(device, now), longest_wait_seconds, &mut Sleeping(cancel))?;
    tell(kept, out_done, out_again_seconds)
}

/// Asks nobody, as [`Unattended`]; the switch ends its waits.
struct Sleeping<'a>(Option<&'a Cancel>);

impl Owner for Sleeping<'_> {
    fn now(&mut self) -> Time {
        Unattended.now()
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        sleep_unless(self.0, seconds)
    }

    fn checkpoint(&mut self, _operation: &Operation) -> Result<(), Error> {
        match self.0.is_some_and(Cancel::is_cancelled) {
            true => Err(Error::new(Code::Cancelled, "cancelled by the caller")),
            false => Ok(()),
        }
    }
}

fn tell(kept: Kept, out_done: Option<Out<devid_done>>, out_again_seconds: Option<Out<u32>>) -> Result<(), Error> {
    if let Some(mut place) = out_done {
        place.set(match (kept.is_changed, kept.is_waiting) {
            (true, _) => DEVID_DONE_INSTALLED,
            (false, true) => DEVID_DONE_WAITING,
            (false, false) => DEVID_DONE_NOTHING,
        });
    }
    if let Some(mut place) = out_again_seconds {
        place.set(kept.again_seconds);
    }
    match kept.failures.into_iter().next() {
        None => Ok(()),
        Some((name, error)) => Err(error.context(&name)),
    }
}

/// Writes the identity in use for other software: see docs/export.md.
///
/// @param identity  Its name. Not NULL.
/// @param layout    "pem", "openssl", "nginx", "strongswan" or "mosquitto". Not NULL.
/// @param folder    Where to; created if it is missing. Not NULL.
/// @return DEVID_OK; those of devid_store_export().
#[export]
fn devid_device_export(device: &devid_device, identity: &str, layout: &str, folder: &str) -> Result<(), Error> {
    device.export(identity, layout, Path::new(folder))?;
    Ok(())
}

/// A part of the identity in use.
///
/// @param identity  Its name. Not NULL.
/// @param part      One of DEVID_PART_*.
/// @param out_pem   Receives PEM; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_NOT_FOUND; DEVID_E_UNSUPPORTED for a key that cannot leave its home.
#[export]
fn devid_device_pem(device: &devid_device, identity: &str, part: i32) -> Result<devid_bytes, Error> {
    let part = match part {
        DEVID_PART_KEY => Part::Key,
        DEVID_PART_CERTIFICATE => Part::Certificate,
        DEVID_PART_CHAIN => Part::Chain,
        DEVID_PART_FULL_CHAIN => Part::FullChain,
        DEVID_PART_ANCHORS => Part::Anchors,
        DEVID_PART_BUNDLE => Part::Bundle,
        other => return Err(invalid(format!("{other} is none of DEVID_PART_*"))),
    };
    Ok(devid_bytes::from_slice(device.pem(identity, part)?.as_bytes()))
}

/// Validates a peer by the settings under "peers": roots, purpose, revocation.
///
/// @param sent      The peer's certificate first, and others that it sent; PEM or DER. May be NULL if `sent_len` is 0.
/// @param name      What the certificate must carry: "dns:HOST", "ip:ADDRESS", "email:MAILBOX", "uri:URI"; "any" if the caller
///                  knows otherwise who it is. Not NULL.
/// @param now       The present, in seconds since 1970-01-01T00:00:00Z, or DEVID_NOW.
/// @param out_peer  Receives the way to the peer's key; free with devid_peer_free(). Not NULL.
/// @return DEVID_OK if the peer is to be believed; else why not, as devid_validate().
#[export]
fn devid_device_check(device: &devid_device, sent: &[u8], name: &str, now: i64) -> Result<devid_peer, Error> {
    let missing = || Error::new(Code::ClockMissing, "a peer is judged at a time: DEVID_NOW or the caller's");
    let now = clock(device, now).ok_or_else(missing)?;
    let (report, peer) = device.check(sent, name, now)?;
    let refused = || report.error().unwrap_or_else(|| Error::new(Code::NoPath, "no path to a trust anchor"));
    peer.ok_or_else(refused)
}

/// How every identity stands, as `devid status --json` prints it: names, certificate, standing, alarm, next renewal.
/// Beside them `warnings`: settings that have no effect beside the others.
///
/// @param now       The present, in seconds since 1970-01-01T00:00:00Z; DEVID_NOW; or DEVID_NO_CLOCK.
/// @param out_json  Receives one JSON document; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK or a failure of device memory.
#[export]
fn devid_device_status(device: &devid_device, now: i64) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(device.status(clock(device, now))?.as_bytes()))
}

/// The device's memory, for everything that this part of the header has no function for.
///
/// @param out_store  Receives the store, which is the device's own; free with devid_store_free(). Not NULL.
#[export]
fn devid_device_store(device: &devid_device) -> Result<devid_store, Error> {
    Ok(Arc::clone(&device.store))
}

/// Frees a device.
#[export]
fn devid_device_free(device: Owned<devid_device>) {
    drop(device);
}

/// What `now` says: of the constants, and of times.
fn clock(device: &Device, now: i64) -> Option<Time> {
    match now {
        now if now == i64::from(DEVID_NOW) => device.clock(),
        now if now == i64::from(DEVID_NO_CLOCK) => None,
        now => Some(Time::from_unix(now)),
    }
}

/// In builds without settings there is no such device; each way to one says so.
#[cfg(not(all(feature = "settings", unix)))]
mod absent {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use devid_core::client::Owner;
    use devid_core::store::Store;
    use devid_core::transport::Cancel;
    use devid_core::validation::{PeerKey, Report};
    use devid_core::{Code, Error, Time};

    pub enum Never {}

    pub struct Device {
        pub store: Arc<Store>,
        never: Never,
    }

    pub enum Part {
        Key,
        Certificate,
        Chain,
        FullChain,
        Anchors,
        Bundle,
    }

    pub struct Kept {
        pub is_changed: bool,
        pub is_waiting: bool,
        pub again_seconds: u32,
        pub failures: Vec<(String, Error)>,
    }

    fn none<T>() -> Result<T, Error> {
        Err(Error::new(Code::Unsupported, "this build reads no settings (feature settings)"))
    }

    impl Device {
        pub fn from_file(_: &Path) -> Result<Self, Error> {
            none()
        }
        pub fn new(_: &Path) -> Result<Self, Error> {
            none()
        }
        pub fn set(&mut self, _: &str, _: &str) -> Result<(), Error> {
            match self.never {}
        }
        pub fn keep(&self, _: Option<Time>, _: u32, _: &mut dyn Owner) -> Result<Kept, Error> {
            match self.never {}
        }
        pub fn keep_unless(
            &self,
            _: Option<&Cancel>,
            _: Option<Time>,
            _: u32,
            _: &mut dyn Owner,
        ) -> Result<Kept, Error> {
            match self.never {}
        }
        pub fn export(&self, _: &str, _: &str, _: &Path) -> Result<Vec<PathBuf>, Error> {
            match self.never {}
        }
        pub fn pem(&self, _: &str, _: Part) -> Result<String, Error> {
            match self.never {}
        }
        pub fn check(&self, _: &[u8], _: &str, _: Time) -> Result<(Report, Option<PeerKey>), Error> {
            match self.never {}
        }
        pub fn status(&self, _: Option<Time>) -> Result<String, Error> {
            match self.never {}
        }
        pub fn clock(&self) -> Option<Time> {
            match self.never {}
        }
    }
}
