//! `run`: the daemon. In the foreground, one conversation at a time; systemd is told how it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use devid::client::run::{sleep_unless, system_time};
use devid::files::replace;
use serde_json::json;

use super::{hooks, keep, status};
use crate::arguments::Arguments;
use crate::attendant::{cancel, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::{Output, rfc3339};

/// The longest sleep between two looks, in seconds: clocks are set, settings and other processes change things.
const LONGEST_SLEEP_SECONDS: u32 = 15 * 60;
/// The shortest, so that a faulty plan never becomes a spin.
const SHORTEST_SLEEP_SECONDS: u32 = 5;

pub fn run(arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let load = || arguments.load();
    watch_signals();
    let hangup = Arc::new(AtomicBool::new(false));
    let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hangup));
    let mut device = Device::open(&load()?, false)?;
    notify("READY=1");
    while !cancel().is_cancelled() {
        if hangup.swap(false, Ordering::Relaxed) {
            // Bad settings are told, and those that were good stay.
            match load().and_then(|loaded| Ok(Device::open(&loaded, false)?)) {
                Ok(new) => device = new,
                Err(failure) => output.say(&format!("settings not taken: {failure}")),
            }
        }
        let pause = round(&device, output);
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

/// Looks at each identity once. Answers the seconds to the next look.
fn round(device: &Device, output: Output) -> u32 {
    let mut documents = Vec::new();
    let mut pause = LONGEST_SLEEP_SECONDS;
    let names = device.names(&[]).unwrap_or_default();
    for name in &names {
        let identity = device.identity(name);
        match keep::keep_one(device, name, &identity, output, None) {
            Ok((document, _)) => documents.push(document),
            Err(failure) if cancel().is_cancelled() => output.say(&format!("{name}: {failure}")),
            Err(failure) => {
                output.say(&format!("{name}: {}", failure.report()));
                hooks::run(&device.settings.hooks.failed, "failed", name, Some(&failure.to_string()), output);
                documents.push(json!({ "name": name, "error": keep::failure_json(&failure) }));
            }
        }
        // What is due at once was tried just now; if it failed, the plan says when it is tried again.
        if let Ok(plan) = device.planner(&identity).plan(&device.store, name, device.clock()) {
            pause = pause.min(plan.ask_again_seconds.max(SHORTEST_SLEEP_SECONDS));
        }
    }
    let line: Vec<String> = names.iter().filter_map(|name| status::line(device, name).ok()).collect();
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
