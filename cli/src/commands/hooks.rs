//! Programs that are run after something has changed, and lasting exports.
//!
//! A program is given by its arguments; no shell reads them. It gets no environment but PATH and what is said here, has a
//! time limit, and its failure never leads to a new certificate. What has succeeded is remembered in device memory, so that
//! what has not, or was interrupted, is tried again: at least once for each change.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use devid::client::device::{ExportState, Hooks, missing_program};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::attendant::cancel;
use crate::device::Device;
use crate::failure::Failure;
use crate::output::{Output, rfc3339};

/// What it gets to end by itself, after the command was told to end or its time is over.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a hook; what goes wrong is told and changes nothing.
pub fn run(hooks: &Hooks, event: Event, identity: &str, error: Option<&str>, output: Output) {
    if !event.program(hooks).is_empty() && !cancel().is_cancelled() {
        let _ = attempt(hooks, event, identity, error, output);
    }
}

/// What programs are told.
#[derive(Clone, Copy)]
pub enum Event {
    Changed,
    Waiting,
    Failed,
    Alarm,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Changed => "changed",
            Event::Waiting => "waiting",
            Event::Failed => "failed",
            Event::Alarm => "alarm",
        }
    }

    fn program(self, hooks: &Hooks) -> &[String] {
        match self {
            Event::Changed => &hooks.changed,
            Event::Waiting => &hooks.waiting,
            Event::Failed => &hooks.failed,
            Event::Alarm => &hooks.alarm,
        }
    }
}

/// The same, for who goes on by how it went.
fn attempt(hooks: &Hooks, event: Event, identity: &str, error: Option<&str>, output: Output) -> Result<(), String> {
    let (arguments, event) = (event.program(hooks), event.name());
    let mut about = vec![("DEVID_EVENT", event.to_owned()), ("DEVID_IDENTITY", identity.to_owned())];
    about.extend(error.map(|words| ("DEVID_ERROR", words.to_owned())));
    execute(arguments, &about, hooks.longest.0).map_err(|words| {
        let words = format!("hooks.{event} ({}): {words}", arguments.join(" "));
        output.say(&format!("{identity}: {words}"));
        words
    })
}

fn execute(arguments: &[String], about: &[(&str, String)], longest: Duration) -> Result<(), String> {
    // One that is looked for in PATH is the system's.
    if arguments[0].contains('/') {
        devid::files::check_writers(std::path::Path::new(&arguments[0])).map_err(|e| format!("not run: {e}"))?;
    }
    let mut command = Command::new(&arguments[0]);
    // A process group of its own: it ends with what it has started.
    command.args(&arguments[1..]).env_clear().stdin(Stdio::null()).process_group(0);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(about.iter().map(|(name, value)| (name, value)));
    // What it prints goes to standard error: standard output is for results.
    command.stdout(std::io::stderr());
    let mut child = command.spawn().map_err(|e| {
        let why = missing_program(arguments);
        why.unwrap_or_else(|| format!("{}: cannot be run: {e}", arguments[0]))
    })?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("failed: {status}")),
            None if begun.elapsed() > longest => {
                end(&mut child);
                return Err(format!("took longer than {} s (hooks.longest) and was ended", longest.as_secs()));
            }
            None if cancel().is_cancelled() && !has_ended_within(&mut child, GRACE) => {
                end(&mut child);
                return Err("was ended, as the command was told to end; it is run again".to_owned());
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn has_ended_within(child: &mut Child, time: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Asks the program and what it has started to end, and then does not ask any more.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
        if has_ended_within(child, GRACE / 2) {
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// What is to be done behind an identity that has changed, and how it went.
pub struct Behind {
    /// Each lasting export, with what was done.
    pub exports: Value,
    /// All of it stands.
    pub is_good: bool,
    /// Something was written or run.
    pub has_worked: bool,
    /// Which of them has failed now or before.
    pub failed: Failed,
    /// Why the program behind the identity has not succeeded.
    pub hook: Option<String>,
}

impl Behind {
    /// Puts how it went into what is told of the identity.
    pub fn tell(&self, document: &mut Value) {
        document["exports"] = self.exports.clone();
        if let (Some(words), true) = (&self.hook, document["hook"].is_object()) {
            document["hook"]["open"] = json!(words);
        }
    }
}

/// Exports and programs that have failed, each by what tells it from the others: none of them holds another one up.
pub type Failed = BTreeSet<String>;

/// The program behind the identity, among them.
const CHANGED: &str = "changed";

/// Writes the exports that are due, and runs the programs behind them and behind the identity. Of those in `held` it only
/// tells how they stand: what has failed is not tried at every look.
pub fn behind(device: &Device, name: &str, held: &Failed, output: Output) -> Behind {
    let mut behind = Behind { exports: json!([]), is_good: true, has_worked: false, failed: Failed::new(), hook: None };
    let wanted = match device.exports(name) {
        Ok(wanted) => wanted,
        Err(error) => {
            output.say(&format!("{name}: exports: {error}"));
            behind.is_good = false;
            return behind;
        }
    };
    let mut told = Vec::new();
    for state in &wanted {
        let is_due = state.due.is_some() || state.is_program_due;
        let may_try = !held.contains(state.label());
        let outcome = match (is_due, may_try) {
            (false, _) => Ok(()),
            (true, false) => Err("an earlier try failed; it is tried again later".to_owned()),
            (true, true) => export(device, name, state).map_err(|failure| failure.to_string()),
        };
        let (folder, layout) = (state.export.folder.display(), &state.export.layout);
        match &outcome {
            Ok(()) if is_due => output.say(&format!("{name}: exported for {layout} to {folder}")),
            Ok(()) => {}
            Err(words) => output.say(&format!("{name}: export for {layout} to {folder}: {words}")),
        }
        behind.is_good &= outcome.is_ok();
        behind.has_worked |= is_due && may_try;
        if outcome.is_err() {
            behind.failed.insert(state.label().to_owned());
        }
        told.push(json!({
            "layout": layout, "folder": state.export.folder, "ok": outcome.is_ok(), "open": outcome.err(),
            "written": is_due && may_try,
        }));
    }
    behind.exports = json!(told);
    if let Err(error) = device.forget_exports(name, &wanted) {
        output.say(&format!("{name}: exports: {error}"));
    }
    changed(device, name, !held.contains(CHANGED), &mut behind, output);
    behind
}

/// Writes one export, and runs the program behind it.
fn export(device: &Device, name: &str, state: &ExportState) -> Result<(), Failure> {
    if state.due.is_some() {
        device.write_export(name, state)?;
    }
    let then = &state.export.then;
    if then.is_empty() {
        return Ok(());
    }
    let current = device.store.current(name)?;
    let about = [
        ("DEVID_EVENT", "exported".to_owned()),
        ("DEVID_IDENTITY", name.to_owned()),
        ("DEVID_GENERATION", current.generation.to_string()),
        ("DEVID_NOT_AFTER", rfc3339(current.certificate.not_after())),
        ("DEVID_FOLDER", state.export.folder.display().to_string()),
    ];
    let told = |words| format!("it is written, and then identity.{name}.export.then ({}): {words}", then.join(" "));
    execute(then, &about, device.settings.hooks.longest.0)
        .map_err(|words| Failure::Own(crate::failure::Exit::Hook, told(words)))?;
    Ok(device.note_program(state)?)
}

/// The program behind the identity itself: once it has succeeded for a certificate, that is remembered.
fn changed(device: &Device, name: &str, may_try: bool, behind: &mut Behind, output: Output) {
    let outcome = match device.is_changed_due(name) {
        Ok(false) => return,
        Ok(true) if cancel().is_cancelled() => Err("it is run by the next call".to_owned()),
        Ok(true) if !may_try => Err("an earlier try failed; it is tried again later".to_owned()),
        Ok(true) => {
            behind.has_worked = true;
            attempt(&device.settings.hooks, Event::Changed, name, None, output)
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(words) = outcome {
        (behind.is_good, behind.hook) = (false, Some(words));
        behind.failed.insert(CHANGED.to_owned());
    } else if let Err(error) = device.note_changed(name) {
        output.say(&format!("{name}: {error}"));
        behind.is_good = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn a_program_gets_what_it_is_told_and_nothing_else() {
        let words = |text: &str| text.split('\u{1f}').map(str::to_owned).collect::<Vec<_>>();
        let about = [("DEVID_EVENT", "changed".to_owned())];
        let script = "sh\u{1f}-c\u{1f}test \"$DEVID_EVENT\" = changed && test -z \"$CARGO_MANIFEST_DIR\"";
        let execute = |script: &str| execute(&words(script), &about, LONGEST);
        assert_eq!(execute(script), Ok(()));
        assert!(execute("sh\u{1f}-c\u{1f}exit 3").unwrap_err().contains('3'));
        assert!(execute("/no/such/program").is_err());
    }

    #[test]
    fn a_program_that_takes_longer_than_it_may_is_ended_and_told_with_the_setting() {
        let sleeps = ["sleep", "600"].map(str::to_owned);
        let words = execute(&sleeps, &[], Duration::from_millis(50)).unwrap_err();
        assert!(words.contains("hooks.longest"), "{words}");
    }

    #[test]
    fn a_program_that_others_can_change_is_not_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("devid-hook-own-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("hook");
        std::fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
        let mode = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        let run = || execute(&[program.display().to_string()], &[], LONGEST);
        for (of_folder, of_program, is_run) in
            [(0o755, 0o755, true), (0o755, 0o757, false), (0o777, 0o755, false), (0o1777, 0o755, true)]
        {
            mode(&folder, of_folder);
            mode(&program, of_program);
            assert_eq!(run().is_ok(), is_run, "{of_folder:o} {of_program:o}: {:?}", run());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_program_ends_with_what_it_has_started() {
        let path = std::env::temp_dir().join(format!("devid-hook-{}", std::process::id()));
        let script = format!("sleep 600 & echo $! > {}; wait", path.display());
        let mut child = Command::new("sh").args(["-c", &script]).process_group(0).spawn().unwrap();
        let grandchild = loop {
            match std::fs::read_to_string(&path).unwrap_or_default().trim().parse::<u32>() {
                Ok(id) => break id,
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        end(&mut child);
        let stat = format!("/proc/{grandchild}/stat");
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        while !is_gone() {
            thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
