//! `run`: the daemon. In the foreground, one conversation at a time; systemd is told how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use devid::client::run::{sleep_unless, system_time};
use devid::files::replace;
use serde_json::json;

use super::hooks::Failed;
use super::{keep, status};
use crate::arguments::Arguments;
use crate::attendant::{cancel, watch_signals};
use crate::device::{self, Device};
use crate::failure::{Exit, Failure};
use crate::output::{Output, rfc3339};
use crate::settings::{Loaded, judge};

/// The longest sleep between two looks, in seconds: clocks are set, settings and other processes change things.
const LONGEST_SLEEP_SECONDS: u32 = 15 * 60;
/// The shortest, so that a faulty plan never becomes a spin.
const SHORTEST_SLEEP_SECONDS: u32 = 5;

/// The wait before programs and exports that failed are tried again; it doubles with each failure.
const FIRST_TRY_AGAIN: Duration = Duration::from_secs(60);
/// The longest of these.
const LAST_TRY_AGAIN: Duration = Duration::from_secs(3600);

/// What the daemon remembers of an identity besides what device memory does.
#[derive(Default)]
struct Memory {
    /// When exports and programs that failed are tried again, and how often they have.
    try_again: Option<Instant>,
    failures: u32,
    /// Which those are.
    failed: Failed,
}

impl Memory {
    fn may_try(&self) -> bool {
        self.try_again.is_none_or(|at| Instant::now() >= at)
    }

    /// What is not tried now. A failure holds nothing else up.
    fn held(&self) -> Failed {
        if self.may_try() { Failed::new() } else { self.failed.clone() }
    }

    fn tried(&mut self, failed: Failed) {
        let is_due = self.may_try();
        self.failed = failed;
        if self.failed.is_empty() {
            (self.try_again, self.failures) = (None, 0);
        } else if is_due {
            let wait = FIRST_TRY_AGAIN.saturating_mul(1 << self.failures.min(10)).min(LAST_TRY_AGAIN);
            (self.try_again, self.failures) = (Some(Instant::now() + wait), self.failures.saturating_add(1));
        }
    }
}

/// What would fail with settings, as `devid config check` says.
fn faults_of(loaded: &Loaded) -> BTreeSet<String> {
    judge(loaded).into_iter().filter(|one| one.fails).map(|one| one.words).collect()
}

/// Settings that the daemon begins with. What is away comes back, and is no reason to end; what is wrong does not mend itself.
fn begun_with(loaded: &Loaded, output: Output) -> Result<BTreeSet<String>, Failure> {
    let (away, wrong): (Vec<_>, Vec<_>) =
        judge(loaded).into_iter().filter(|one| one.fails).partition(|one| one.is_away);
    away.iter().for_each(|one| output.say(&format!("settings: {}", one.words)));
    match wrong.is_empty() {
        true => Ok(away.into_iter().map(|one| one.words).collect()),
        false => Err(Failure::settings(wrong.into_iter().map(|one| one.words).collect::<Vec<_>>().join("; "))),
    }
}

/// New settings are taken unless something would fail by them that does not fail already.
fn taken(loaded: &Loaded, before: &BTreeSet<String>) -> Result<(Device, BTreeSet<String>), Failure> {
    let faults = faults_of(loaded);
    let new: Vec<&str> = faults.difference(before).map(String::as_str).collect();
    if !new.is_empty() {
        return Err(Failure::settings(new.join("; ")));
    }
    Ok((device::open(loaded, false)?, faults))
}

pub fn run(arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let load = || arguments.load();
    watch_signals();
    let hangup = Arc::new(AtomicBool::new(false));
    let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hangup));
    let loaded = load()?;
    let mut device = device::open(&loaded, false)?;
    let mut faults = begun_with(&loaded, output)?;
    let mut memories = BTreeMap::new();
    notify("READY=1");
    while !cancel().is_cancelled() {
        if hangup.swap(false, Ordering::Relaxed) {
            // Bad settings are told, and those that were good stay.
            match load().and_then(|loaded| taken(&loaded, &faults)) {
                Ok(new) => (device, faults) = new,
                Err(failure) => output.say(&format!("settings not taken: {failure}")),
            }
            // Whoever sends it wants a look now.
            memories.clear();
        }
        let pause = round(&device, &mut memories, output);
        for _ in 0..pause {
            if hangup.load(Ordering::Relaxed) || sleep_unless(Some(cancel()), 1).is_err() {
                break;
            }
        }
        notify("WATCHDOG=1");
    }
    notify("STOPPING=1");
    Ok(Exit::Done)
}

/// Looks at each identity once. Answers the seconds to the next look. How long a wait has lasted is known to the plan, without a clock
/// too; programs, exports and what other processes have done are looked at each time.
fn round(device: &Device, memories: &mut BTreeMap<String, Memory>, output: Output) -> u32 {
    let mut documents = Vec::new();
    let mut pause = LONGEST_SLEEP_SECONDS;
    let names = device.names(&[]).unwrap_or_default();
    for name in &names {
        if cancel().is_cancelled() {
            break;
        }
        let memory = memories.entry(name.clone()).or_default();
        let looked = keep::keep_one(device, name, &memory.held(), output, None);
        if let Some(failure) = &looked.failure {
            output.say(&format!("{name}: {}", failure.report()));
        }
        memory.tried(looked.failed);
        let again = match looked.again_seconds {
            0 if looked.failure.is_some() => LONGEST_SLEEP_SECONDS,
            seconds => seconds.max(SHORTEST_SLEEP_SECONDS),
        };
        let try_again = memory.try_again.map(|at| seconds_up(at.saturating_duration_since(Instant::now())));
        pause = pause.min(again).min(try_again.unwrap_or(u32::MAX).max(SHORTEST_SLEEP_SECONDS));
        documents.push(looked.document);
    }
    let line: Vec<String> = names.iter().map(|name| status::told(device, name).line).collect();
    notify(&format!("STATUS={}", line.join("; ")));
    if let Some(path) = &device.settings.run.status_file {
        let document =
            json!({ "schema": 1, "at": rfc3339(system_time()), "next_look_s": pause, "identities": documents });
        if let Err(error) = replace(path, format!("{document}\n").as_bytes(), 0o644) {
            output.say(&format!("{}: {error}", path.display()));
        }
    }
    pause
}

fn seconds_up(time: Duration) -> u32 {
    u32::try_from(time.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}

/// sd_notify(3): a datagram to the socket that systemd names. Without systemd, nothing.
fn notify(words: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let _ = socket.set_write_timeout(Some(Duration::from_secs(1)));
    let text = name.to_string_lossy();
    let _ = match text.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).and_then(|to| socket.send_to_addr(words.as_bytes(), &to)),
        None => socket.send_to(words.as_bytes(), &*text),
    };
}
