//! Mistakes on the command line, before there are arguments to look at: in clap's words for people, and with `--json` as the error
//! object, as any other failure.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::{Output, tell, written};

const PROGRAM: &str = "devid";

/// What clap answers in place of arguments: help and version, which were asked for, or what is wrong.
pub fn explained(error: &clap::Error) -> Exit {
    let printed = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        written(printed);
        return Exit::Done;
    }
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing; --help lists them".to_owned(),
        _ => sentence(&error.render().to_string()),
    };
    document(&std::env::args_os().collect::<Vec<_>>(), &message);
    Exit::Usage
}

/// Refused before clap has looked at it.
pub fn refused(words: &[OsString], message: &str) -> Exit {
    tell(&format!("{PROGRAM}: {message}"));
    document(words, message);
    Exit::Usage
}

/// The error object, where one was asked for.
fn document(words: &[OsString], message: &str) {
    let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    if words.iter().take_while(|word| **word != "--").any(|word| *word == "--json") {
        let output = Output { json: true, quiet: false, verbose: 0 };
        output.failure_document(&command(&words), Failure::usage(message).json());
    }
}

/// The command that was meant, as it was typed: the first word that is one and no option's value.
fn command(words: &[&str]) -> String {
    let valued = ["-c", "--config", "-o", "--option", "-m", "--memory"];
    let commands = Arguments::command();
    let is_value = |at: usize| at > 0 && valued.contains(&words[at - 1]);
    let found =
        words.iter().enumerate().find(|(at, word)| !word.starts_with('-') && !is_value(*at)).map(|(_, word)| *word);
    match found.filter(|word| commands.find_subcommand(word).is_some()) {
        Some(word) => word.to_owned(),
        None => PROGRAM.to_owned(),
    }
}

/// What clap says, without the usage below it, in one line.
fn sentence(text: &str) -> String {
    let said = text.split("\n\nUsage:").next().unwrap_or(text).split("\n\nFor more information").next().unwrap_or(text);
    said.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_was_meant_is_no_value_of_an_option() {
        for (words, meant) in [
            (&["--json", "show", "--what"][..], "show"),
            (&["-c", "status", "keep", "--no"], "keep"),
            (&["--memory", "run", "--json"], "devid"),
            (&["nosuch", "status"], "devid"),
            (&["--config=x", "init"], "init"),
            (&[], "devid"),
        ] {
            assert_eq!(command(words), meant, "{words:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        let text = "error: the following required arguments were not provided:\n  --server <URL>\n  --trust <FILE>\n\nUsage: devid init\n\nFor more information, try '--help'.\n";
        assert_eq!(sentence(text), "the following required arguments were not provided: --server <URL> --trust <FILE>");
        assert_eq!(
            sentence("error: unexpected argument '-z' found\n\nFor more information, try '--help'.\n"),
            "unexpected argument '-z' found"
        );
    }
}
