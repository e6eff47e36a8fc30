//! Completions and manual pages, made from the command line's own description.

use std::path::Path;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::print;

/// What is known of each error, by its code.
const ERRORS: &str = include_str!("../../../docs/book/src/errors.md");

/// The part of the book on an error: what was checked, usual causes, what to do.
pub fn error(code: &str) -> Result<Exit, Failure> {
    let name = code.trim_start_matches("DEVID_E_").to_ascii_uppercase();
    match section(&name) {
        Some(text) => {
            print(&format!("{name}\n\n{text}\n"));
            Ok(Exit::Done)
        }
        None => {
            let known: Vec<&str> = devid::Code::ALL.iter().map(|code| code.name()).collect();
            Err(Failure::usage(format!(
                "{}: there is no such code; there are {}",
                code.escape_debug(),
                known.join(" ")
            )))
        }
    }
}

fn section(name: &str) -> Option<&'static str> {
    let (_, rest) = ERRORS.split_once(&format!("\n## {name}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "devid", &mut out);
    print(&String::from_utf8_lossy(&out));
    Ok(Exit::Done)
}

/// The page of the whole, or a page for each command in a folder.
pub fn man(all: Option<&Path>) -> Result<Exit, Failure> {
    let mut command = Arguments::command();
    command.build();
    let Some(folder) = all else {
        print(&page(command)?);
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).map_err(|e| Failure::file(folder, &e))?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("devid-{}", sub.get_name());
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, page(sub.clone().display_name(name))?).map_err(|e| Failure::file(&path, &e))?;
    }
    let path = folder.join("devid.1");
    std::fs::write(&path, page(command)?).map_err(|e| Failure::file(&path, &e))?;
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command).render(&mut out).map_err(|e| Failure::Own(Exit::Internal, e.to_string()))?;
    let mut text = String::from_utf8_lossy(&out).into_owned();
    text.push_str(".SH EXIT STATUS\n");
    for (exit, words) in Exit::ALL {
        text.push_str(&format!(".TP\n\\fB{}\\fR\n{words}\n", exit.number()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_part_of_the_book_and_nothing_else_has() {
        for code in devid::Code::ALL {
            let text = section(code.name()).unwrap_or_else(|| panic!("no section on {}", code.name()));
            for part in ["- **Checked:**", "- **Causes:**", "- **Do:**"] {
                assert!(text.contains(part), "{}: no {part}", code.name());
            }
        }
        assert_eq!(ERRORS.matches("\n## ").count(), devid::Code::ALL.len());
        assert!(error("DEVID_E_REJECTED").is_ok() && error("no-such").is_err());
    }
}
