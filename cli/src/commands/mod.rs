//! One file a command, or a few that belong together.

pub mod anchors;
pub mod ca;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod dry;
pub mod export;
pub mod factory_reset;
pub mod help;
pub mod hooks;
pub mod init;
pub mod inspect;
pub mod keep;
pub mod key;
pub mod offline;
pub mod revoke;
pub mod run;
pub mod settings_schema;
pub mod status;
pub mod store;
pub mod template;
pub mod validate;

use std::path::Path;

use crate::failure::Failure;
use crate::output::Output;
use crate::trace::Trace;

/// Runs what may be traced, and writes the trace however it ended. Where it cannot be written at all, nothing is begun; where what came
/// cannot be written to its end, that takes nothing from what was done, and is answered beside it: see [`is_lost`].
pub fn traced<T>(
    path: Option<&Path>,
    command: &str,
    work: impl FnOnce(Option<&mut Trace>) -> Result<T, Failure>,
) -> Result<(T, Option<Failure>), Failure> {
    let Some(path) = path else { return Ok((work(None)?, None)) };
    let mut trace = Trace::new(path, command);
    trace.write()?;
    let outcome = work(Some(&mut trace));
    if let Err(failure) = &outcome {
        trace.failed(failure);
    }
    let written = trace.write();
    Ok((outcome?, written.err()))
}

/// Tells of a trace that could not be written to its end: what was asked for is done, and the exit status says that not all is.
pub fn is_lost(trace: Option<Failure>, output: Output) -> bool {
    let Some(failure) = trace else { return false };
    output.say(&format!("the trace: {failure}"));
    true
}
