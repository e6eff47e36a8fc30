//! Completions for shells: the command line's own description, with the words of each closed set, and without file names where no file
//! is wanted.

use std::any::TypeId;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, CommandFactory, ValueHint};
use devid::Code;
use devid::cmp::Profile;

use super::revoke::REASONS;
use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::settings::keys::{self, Kind};

pub fn run(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut described(), "devid", &mut out);
    print(&String::from_utf8_lossy(&out));
    Ok(Exit::Done)
}

/// Types of keys that `--type` takes.
const KEY_TYPES: &[&str] =
    &["P-256", "P-384", "P-521", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];

/// How revocation is looked at.
const STATUSES: &[&str] = &["off", "soft", "hard"];

/// The command line with the words that each argument takes. They are for completion alone: what is typed is judged by the command,
/// which knows other spellings too.
fn described() -> Command {
    let layouts = match keys::find("identity.*.export.layout").map(|key| key.kind) {
        Some(Kind::OneOf(names)) => names,
        _ => &[],
    };
    let settings = || keys::ALL.iter().map(|key| key.path);
    let codes = Code::ALL.iter().map(|code| code.name());
    let command = Arguments::command()
        .mut_args(words_of("option", |arg| arg.value_hint(ValueHint::Other).value_parser(assigned(settings()))))
        .mut_subcommand("revoke", |of| of.mut_args(one_of("reason", REASONS.iter().map(|(name, _)| *name))))
        .mut_subcommand("validate", |of| of.mut_args(one_of("status", STATUSES.iter().copied())))
        .mut_subcommand("export", |of| of.mut_args(one_of("layout", layouts.iter().copied())))
        .mut_subcommand("init", |of| of.mut_args(one_of("profile", Profile::NAMES)))
        .mut_subcommand("key", |of| {
            of.mut_subcommand("make", |of| of.mut_args(one_of("kind", KEY_TYPES.iter().copied())))
        })
        .mut_subcommand("config", |of| of.mut_subcommand("explain", |of| of.mut_args(one_of("key", settings()))));
    let commands: Vec<Command> = command.get_subcommands().map(named).collect();
    let error = Command::new("error")
        .about("What an error means, and what to do")
        .arg(Arg::new("code").help("Its name").value_parser(listed(codes)));
    let help = Command::new("help").about("Help on a command, or on an error").subcommands(commands).subcommand(error);
    without_files(command.disable_help_subcommand(true).subcommand(help))
}

/// A command by its name and those below it, as `help` takes them.
fn named(command: &Command) -> Command {
    let name = Command::new(command.get_name().to_owned().leak() as &'static str);
    let about = command.get_about().cloned().unwrap_or_default();
    name.about(about).subcommands(command.get_subcommands().map(named))
}

/// Changes one argument. All are gone through, as that keeps their order, which says what stands first on the line.
fn words_of(id: &'static str, mut change: impl FnMut(Arg) -> Arg) -> impl FnMut(Arg) -> Arg {
    move |arg| if arg.get_id() == id { change(arg) } else { arg }
}

fn one_of<I>(id: &'static str, words: I) -> impl FnMut(Arg) -> Arg
where
    I: IntoIterator<Item = &'static str>,
{
    let words: Vec<&'static str> = words.into_iter().collect();
    words_of(id, move |arg| arg.value_parser(listed(words.iter().copied())))
}

fn listed(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words.map(PossibleValue::new))
}

/// The value is typed behind them.
fn assigned(settings: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(settings.map(|name| PossibleValue::new(format!("{name}=").leak() as &'static str)))
}

/// What is no path is not completed by files.
fn without_files(command: Command) -> Command {
    let is_text = |arg: &Arg| arg.get_value_parser().type_id() == TypeId::of::<String>();
    let command = command.mut_args(|arg| match is_text(&arg) && arg.get_possible_values().is_empty() {
        true => arg.value_hint(ValueHint::Other),
        false => arg,
    });
    let below: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    below.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(shell: clap_complete::Shell) -> String {
        let mut out = Vec::new();
        clap_complete::generate(shell, &mut described(), "devid", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_shell_is_told_the_words_of_each_closed_set() {
        use clap_complete::Shell::{Bash, Fish, Zsh};
        let of_options = ["remove-from-crl", "ML-DSA-87", "ca.http.total=", "trustpoint", "hard"];
        // What stands alone on the line is nothing that clap_complete tells fish.
        let of_others = ["nginx", "UNCONFIRMED", "ca.trust.signer-subjects", "fullchain"];
        for (shell, words) in [(Bash, &of_others[..]), (Zsh, &of_others[..]), (Fish, &[])] {
            let script = script(shell);
            for word in of_options.iter().chain(words) {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_words_are_those_that_are_taken() {
        for name in KEY_TYPES {
            let kind = devid::crypto::KeyKind::from_name(name).unwrap_or_else(|| panic!("{name}"));
            assert!(kind.can_sign() && kind.to_string() == *name, "{name}");
        }
        described().debug_assert();
        for (arguments, is_good) in [
            (&["devid", "revoke", "--reason", "superseded"][..], true),
            (&["devid", "revoke", "--reason", "x"], false),
            (&["devid", "help", "error", "DER"], true),
            (&["devid", "export", "device", "nginx", "/x"], true),
        ] {
            assert_eq!(described().try_get_matches_from(arguments).is_ok(), is_good, "{arguments:?}");
        }
    }
}
