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
pub mod status;
pub mod store;
pub mod template;
pub mod validate;

use std::path::Path;

use crate::failure::Failure;
use crate::trace::Trace;

/// Runs what may be traced, and writes the trace however it ended. Where it cannot be written, nothing is begun.
pub fn traced<T>(
    path: Option<&Path>,
    command: &str,
    work: impl FnOnce(Option<&mut Trace>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let Some(path) = path else { return work(None) };
    let mut trace = Trace::new(path, command);
    trace.write(None)?;
    let outcome = work(Some(&mut trace));
    let written = trace.write(outcome.as_ref().err());
    match (outcome, written) {
        (Ok(_), Err(failure)) => Err(failure),
        (outcome, _) => outcome,
    }
}
