//! Measures devid against libcrypto and rustls-webpki, in one process, in turns.
//!
//! `benches/run.py` builds this program and the shared objects it loads, runs it and writes `docs/performance.md`.
//!
//! ```text
//! devid-bench [--short] --openssl NAME=SHARED_OBJECT... enrol|heap|validation|crl|scale
//! devid-bench --openssl NAME=SHARED_OBJECT serve DIRECTORY
//! devid-bench --openssl NAME=SHARED_OBJECT enrol-times signature|MAC devid|cryptography COUNT
//! ```
//!
//! Results are JSON on standard output, notes for people are on standard error.

mod candidate;
mod clock;
mod crl;
mod enrol;
mod heap;
mod openssl;
mod scale;
mod serve;
mod validation;

use std::error::Error;

use openssl::Openssl;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line asks for.
pub struct Settings {
    /// Fewer rounds.
    pub is_short: bool,
    /// The libcryptos, the one that plays the server last.
    pub openssl: Vec<Openssl>,
}

impl Settings {
    /// Rounds of a measurement that takes `full` when there is time.
    pub fn rounds(&self, full: usize) -> usize {
        if self.is_short { (full / 6).max(3) } else { full }
    }

    /// The libcrypto that plays the CA and makes the certificates.
    pub fn server(&self) -> &Openssl {
        self.openssl.last().expect("checked when the arguments were read")
    }
}

fn main() -> Result<()> {
    let mut settings = Settings { is_short: false, openssl: Vec::new() };
    let mut words = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => settings.is_short = true,
            "--openssl" => {
                let value = arguments.next().ok_or("--openssl needs NAME=SHARED_OBJECT")?;
                let (name, path) = value.split_once('=').ok_or("--openssl needs NAME=SHARED_OBJECT")?;
                settings.openssl.push(Openssl::load(name, path)?);
            }
            _ => words.push(argument),
        }
    }
    if settings.openssl.is_empty() {
        return Err("at least one --openssl NAME=SHARED_OBJECT is needed: it makes the certificates".into());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["enrol"] => enrol::measure(&settings)?,
        ["heap"] => heap::measure(&settings)?,
        ["validation"] => validation::measure(&settings)?,
        ["crl"] => crl::measure(&settings)?,
        ["scale"] => scale::measure(&settings)?,
        ["crl-once", candidate, directory] => crl::once(&settings, candidate, directory)?,
        ["enrol-times", protection, what, count] => return enrol::times(&settings, protection, what, count.parse()?),
        ["serve", directory] => return serve::serve(&settings, directory),
        _ => return Err("usage: devid-bench [--short] --openssl NAME=FILE... enrol|heap|validation|crl|scale".into()),
    };
    println!("{result:#}");
    Ok(())
}
