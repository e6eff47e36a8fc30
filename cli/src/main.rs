//! `devid`: the command that gets, keeps and checks a device's identity. See `docs/command.md`.
//!
//! | file | |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `settings/` | `devid.toml` and sources of secrets |
//! | `device` | from settings to the library |
//! | `attendant`, `trace` | what an operation asks and tells while it runs |
//! | `commands/` | one file a command |
//! | `cmp/` | the options of `openssl cmp` |
//! | `output`, `failure`, `usage` | how a command answers: text, JSON, exit status |
#![forbid(unsafe_code)]
// They panic where nobody can be told; `output` has what does not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod arguments;
mod attendant;
mod cmp;
mod commands;
mod device;
mod failure;
mod output;
mod settings;
mod trace;
mod usage;

use devid::client::certificates::ReadAs;
use std::process::ExitCode;

use clap::Parser;

use arguments::{AnchorsAction, Arguments, Command};
use device::{Device, read_certificates, subject};
use failure::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let code = answered();
    devid::client::device::forget_secrets();
    code
}

fn answered() -> ExitCode {
    if let Some((output, options)) = arguments::cmp_command(std::env::args_os()) {
        let exit = cmp::run(&options, output).unwrap_or_else(|failure| {
            output.failure_in("cmp", &failure, cmp::in_options);
            failure.exit()
        });
        return ExitCode::from(u8::from(arrived(exit) != Exit::Done));
    }
    ExitCode::from(arrived(command()).number())
}

/// The exit status, once it is known whether the result has arrived where it was to go.
fn arrived(exit: Exit) -> Exit {
    let Some(failure) = output::lost() else { return exit };
    output::tell(&format!("devid: {failure}"));
    match exit {
        Exit::Done | Exit::NothingDue | Exit::Waiting => failure.exit(),
        other => other,
    }
}

/// Every command but `cmp`, whose options are not read as others are.
fn command() -> Exit {
    if let Some((output, code)) = arguments::help_on_error(std::env::args_os()) {
        return ended("help error", output, commands::help::error(code.as_deref(), output));
    }
    if std::env::args_os().any(|word| word.to_str().is_some_and(|word| word.contains("-----BEGIN"))) {
        // clap would repeat it.
        let words =
            "found the content of a file where its name belongs: put it into a file (a key: chmod 600), and name that";
        return usage::refused(&std::env::args_os().collect::<Vec<_>>(), words);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::explained(&error),
    };
    let output = Output { json: arguments.json, quiet: arguments.quiet, verbose: arguments.verbose };
    let name = arguments.command.name();
    ended(name, output, run(&arguments, output))
}

/// The exit status, and what went wrong in words.
fn ended(name: &str, output: Output, outcome: Result<Exit, Failure>) -> Exit {
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            // Whoever was told to end has not waited for another process to let go.
            let failure = match failure.exit() == Exit::Locked && attendant::cancel().is_cancelled() {
                true => attendant::interrupted(&failure.to_string()),
                false => failure,
            };
            output.failure(name, &failure);
            failure.exit()
        }
    }
}

fn run(arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let loaded = || arguments.load();
    let open = || device::open(&loaded()?, false);
    // Device memory that there is none of is made once it is known that there will be something to keep.
    let first = |ready: &dyn Fn(&Device) -> Result<(), Failure>| {
        let loaded = loaded()?;
        match device::open(&loaded, false) {
            Err(failure) if failure.is_missing() => {
                ready(&Device::without_memory(&loaded)?)?;
                device::open(&loaded, true)
            }
            opened => opened,
        }
    };
    match &arguments.command {
        Command::Init(command) => commands::init::run(command, arguments, output),
        // What is asked for by hand makes device memory; a timer on a device whose medium is not mounted makes none.
        Command::Enroll(command) => {
            let device = first(&|device| Ok(device.check_enrollable(&device.name(command.name.as_deref())?)?))?;
            commands::keep::enroll(command, &device, output)
        }
        Command::Keep(command) => commands::keep::keep(command, &open()?, output),
        Command::Renew(command) => commands::keep::renew(command, &open()?, output),
        Command::Run => commands::run::run(arguments, output),
        Command::Status(command) => commands::status::status(command, &open()?, output),
        Command::Show(command) => commands::status::show(command, &open()?, output),
        Command::Export(command) => commands::export::run(command, &open()?, output),
        Command::Validate(command) => commands::validate::run(command, &loaded()?, output),
        Command::Revoke(command) => commands::revoke::run(command, &open()?, output),
        Command::Request(command) => {
            let device = first(&|device| subject(device, &device.name(command.name.as_deref())?).map(drop))?;
            commands::offline::request(command, &device, output)
        }
        Command::Import(command) => {
            // The factory's identity may be the first of a device: it is made room for once it has been taken into a memory that holds nothing.
            let device = match commands::offline::is_factory(command, &loaded()?.settings) {
                true => first(&|device| commands::offline::take_in(command, device).map(drop))?,
                false => open()?,
            };
            commands::offline::import(command, &device, output)
        }
        Command::Ca(command) => commands::ca::run(command, &open()?, output),
        Command::Store(command) => commands::store::run(command, &open()?, output),
        Command::Anchors(command) => {
            let device = match &command.action {
                AnchorsAction::Add { file, .. } => {
                    first(&|_| read_certificates([file], ReadAs::Anchors, output).map(drop))?
                }
                _ => open()?,
            };
            commands::anchors::run(command, &device, output)
        }
        Command::Key(command) => commands::key::run(command, arguments, output),
        Command::Inspect(command) => commands::inspect::run(command, output),
        Command::Doctor(command) => commands::doctor::run(command, arguments, output),
        Command::Config(command) => commands::config::run(command, arguments, output),
        Command::Cmp { .. } => Err(Failure::usage("cmp comes right behind devid, and its options behind it")),
        Command::Completions { shell } => commands::completions::run(*shell),
        Command::Man { all } => commands::help::man(all.as_deref()),
    }
}
