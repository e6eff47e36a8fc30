//! Firmware for a Cortex-M4 that enrols by CMP and validates a chain with its CRL.
//!
//! It is told by the host what to do (`mac`, `signature`, `validate`), with which time, seed, keys and certificates; what a device would
//! have in its flash. `run.py` carries its messages to a CA. The exit status says how it went.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
#[cfg(feature = "enrolment")]
mod enrolment;
#[cfg(feature = "validation")]
mod validation;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use cortex_m_semihosting::hprintln;
use devid::asn1::x509::Certificate;
use devid::{Error, Time};

use board::{Line, Random};

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let outcome = run(&mut Line::open());
    let (stack, room) = board::stack_peak();
    hprintln!("heap {} stack {} of {}", board::heap_peak(), stack, room);
    match &outcome {
        Ok(words) => hprintln!("good: {}", words),
        Err(error) => hprintln!("refused: {}", error),
    }
    board::end(outcome.is_ok())
}

fn run(line: &mut Line) -> Result<String, Error> {
    Random::seed(&parameter(line, "seed")?);
    let seconds = text(&parameter(line, "time")?)?.parse().map_err(|_| missing("time"))?;
    let now = Time::from_unix(seconds);
    match text(&parameter(line, "task")?)?.as_str() {
        #[cfg(feature = "enrolment")]
        "mac" => enrolment::by_secret(line, now),
        #[cfg(feature = "enrolment")]
        "signature" => enrolment::by_certificate(line, now),
        #[cfg(feature = "validation")]
        "validate" => validation::of_peer(line, now),
        other => Err(Error::new(devid::Code::InvalidArgument, other.to_string())),
    }
}

fn parameter(line: &mut Line, name: &str) -> Result<Vec<u8>, Error> {
    line.parameter(name).ok_or_else(|| missing(name))
}

fn certificate(line: &mut Line, name: &str) -> Result<Certificate, Error> {
    Ok(Certificate::from_der(&parameter(line, name)?)?)
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    core::str::from_utf8(bytes).map(ToString::to_string).map_err(|_| missing("a text"))
}

fn missing(what: &str) -> Error {
    Error::new(devid::Code::InvalidArgument, what.to_string())
}
