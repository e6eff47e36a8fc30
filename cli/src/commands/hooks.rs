//! Programs that are run after something has changed, and lasting exports.
//!
//! A program is given by its arguments; no shell reads them. It gets no environment but PATH and what is said here, has a
//! time limit, and its failure never leads to a new certificate.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::device::Device;
use crate::output::{Output, rfc3339};
use crate::settings::Identity;

/// Longest time a program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs a hook; what goes wrong is told and changes nothing.
pub fn run(arguments: &[String], event: &str, identity: &str, error: Option<&str>, output: Output) -> bool {
    if arguments.is_empty() {
        return true;
    }
    let mut about = vec![("DEVID_EVENT", event.to_owned()), ("DEVID_IDENTITY", identity.to_owned())];
    about.extend(error.map(|words| ("DEVID_ERROR", words.to_owned())));
    match execute(arguments, &about) {
        Ok(()) => true,
        Err(words) => {
            output.say(&format!("{identity}: {}: {words}", arguments.join(" ")));
            false
        }
    }
}

fn execute(arguments: &[String], about: &[(&str, String)]) -> Result<(), String> {
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(about.iter().map(|(name, value)| (name, value)));
    // What it prints goes to standard error: standard output is for results.
    command.stdout(std::io::stderr());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("failed: {status}")),
            None if begun.elapsed() > LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("took longer than {} s and was ended", LIMIT.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Writes the exports that the settings name, where the identity is new or an earlier try did not succeed. Answers what
/// was done, and whether all of it succeeded.
pub fn exports(device: &Device, name: &str, identity: &Identity, is_changed: bool, output: Output) -> (Value, bool) {
    let Ok(current) = device.store.current(name) else { return (json!([]), true) };
    let mut is_good = true;
    let mut done = Vec::new();
    for (number, wanted) in identity.export.iter().enumerate() {
        // What was written last is remembered, so that a failed export or program is tried again and a good one is not.
        let mark = format!("export-{name}-{number}");
        let now = current.generation.to_string();
        if device.store.blob(&mark).is_ok_and(|kept| kept.as_slice() == now.as_bytes()) {
            continue;
        }
        let about = vec![
            ("DEVID_EVENT", "exported".to_owned()),
            ("DEVID_IDENTITY", name.to_owned()),
            ("DEVID_GENERATION", now.clone()),
            ("DEVID_NOT_AFTER", rfc3339(current.certificate.not_after())),
            ("DEVID_FOLDER", wanted.folder.display().to_string()),
        ];
        let outcome = device
            .export_of(wanted)
            .and_then(|export| Ok(device.store.export(name, &export)?))
            .map_err(|failure| failure.to_string())
            .and_then(|_| if wanted.then.is_empty() { Ok(()) } else { execute(&wanted.then, &about) })
            .and_then(|()| device.store.put_blob(&mark, now.as_bytes()).map_err(|e| e.to_string()));
        let folder = wanted.folder.display();
        match &outcome {
            Ok(()) => output.say(&format!("{name}: exported for {} to {folder}", wanted.layout)),
            Err(words) => output.say(&format!("{name}: export for {} to {folder}: {words}", wanted.layout)),
        }
        is_good &= outcome.is_ok();
        done.push(
            json!({ "layout": wanted.layout, "folder": wanted.folder, "ok": outcome.is_ok(), "error": outcome.err() }),
        );
    }
    if is_changed {
        is_good &= run(&device.settings.hooks.changed, "changed", name, None, output);
    }
    (json!(done), is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_what_it_is_told_and_nothing_else() {
        let words = |text: &str| text.split('\u{1f}').map(str::to_owned).collect::<Vec<_>>();
        let about = [("DEVID_EVENT", "changed".to_owned())];
        let script = "sh\u{1f}-c\u{1f}test \"$DEVID_EVENT\" = changed && test -z \"$CARGO_MANIFEST_DIR\"";
        assert_eq!(execute(&words(script), &about), Ok(()));
        assert!(execute(&words("sh\u{1f}-c\u{1f}exit 3"), &about).unwrap_err().contains('3'));
        assert!(execute(&words("/no/such/program"), &about).is_err());
    }
}
