//! What a test says where this machine lacks a tool that it needs.

use std::io::Write;
use std::path::PathBuf;

/// Names what is left out, past the test runner, which shows nothing of tests that pass, and for the last lines of `make test`
/// (`DEVID_LEFT_OUT` names the file that it reads).
///
/// # Panics
/// Where `CI` is set: there a test is made or fails.
pub fn left_out(reason: &str) {
    let words = format!("left out: {reason} (scripts/setup.sh test installs what is missing)");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{words}");
    let _ = writeln!(std::io::stderr(), "{words}");
    if let Some(file) = std::env::var_os("DEVID_LEFT_OUT") {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&file);
        let mut opened = opened.unwrap_or_else(|e| panic!("{}: {e}", PathBuf::from(&file).display()));
        writeln!(opened, "{words}").unwrap_or_else(|e| panic!("{}: {e}", PathBuf::from(&file).display()));
    }
}
