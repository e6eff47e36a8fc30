//! Help on errors, and manual pages, made from the command line's own description.

use std::path::Path;

use clap::CommandFactory;
use devid::Code;
use serde_json::json;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::{Output, print};
use crate::settings::{DEFAULT_FILE, keys};

/// What is known of each error, by its code.
const ERRORS: &str = include_str!("../../../docs/book/src/errors.md");

/// The part of the book on an error: what was checked, usual causes, what to do.
/// Without a code, the list of all. A code is its name, with or without `DEVID_E_`, or its number.
pub fn error(code: Option<&str>, output: Output) -> Result<Exit, Failure> {
    let Some(code) = code else {
        let line = |code: &Code| format!("{:5}  {:22} {}\n", code.number(), code.name(), code.text());
        let lines: Vec<String> = Code::ALL.iter().map(line).collect();
        output.result("help error", &lines.concat(), json!({ "code": null, "number": null, "class": null, "exit": null, "exit_where_answered": null, "meaning": null, "text": lines.concat() }));
        return Ok(Exit::Done);
    };
    let name = code.trim_start_matches("DEVID_E_").to_ascii_uppercase();
    let number = name.parse::<i32>().ok().and_then(i32::checked_abs).map(|number| -number);
    let found = Code::ALL.iter().find(|known| known.name() == name || Some(known.number()) == number);
    match found.and_then(|code| Some((code, section(code.name())?))) {
        Some((code, text)) => {
            let (name, number, exit) = (code.name(), code.number(), Exit::of_code(*code));
            let class = format!("{:?}", code.class());
            let other = Exit::where_answered(*code);
            let fields = json!({
                "code": name, "number": number, "class": class.to_lowercase(), "exit": exit.number(), "meaning": exit.meaning(), "text": text,
                "exit_where_answered": other.map(Exit::number),
            });
            let mut heading = format!(
                "{name} ({number})\nC: DEVID_E_{name}. Python: devid.{class}Error. Exit status {}: {}.",
                exit.number(),
                exit.meaning()
            );
            if let Some(other) = other {
                heading.push_str(&format!(
                    "\nWhere the server was reached, and what it answers is no message or cannot be believed: {}: {}.",
                    other.number(),
                    other.meaning()
                ));
            }
            output.result("help error", &format!("{heading}\n\n{text}\n"), fields);
            Ok(Exit::Done)
        }
        None => {
            let known: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
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

/// The page of the whole, or a page for each command in a folder.
pub fn man(all: Option<&Path>) -> Result<Exit, Failure> {
    let command = described();
    let Some(folder) = all else {
        print(&page(command)?);
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).map_err(|e| Failure::file(folder, &e))?;
    let mut all = vec![("devid.toml.5".to_owned(), settings_page())];
    pages("devid", command, &mut all)?;
    for (name, text) in all {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Failure::file(&path, &e))?;
    }
    Ok(Exit::Done)
}

/// The whole command line as pages describe it: the help on a part is its page.
fn described() -> clap::Command {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    command
}

/// The page of a command and those of its parts, to which it refers.
fn pages(name: &str, command: clap::Command, out: &mut Vec<(String, String)>) -> Result<(), Failure> {
    for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
        pages(&format!("{name}-{}", part.get_name()), part.clone(), out)?;
    }
    out.push((format!("{name}.1"), page(command.display_name(name.to_owned()))?));
    Ok(())
}

/// devid.toml(5), from the table of settings: a part for each table of the file.
fn settings_page() -> String {
    // A word of our own at the beginning of a line is none of roff's.
    let plain =
        |text: &str| text.replace('\\', "\\e").replace('-', "\\-").replace("\n'", "\n\\&'").replace("\n.", "\n\\&.");
    let mut text = format!(
        ".TH devid.toml 5 \"\" \"devid {}\"\n.SH NAME\ndevid.toml \\- settings of devid\n.SH DESCRIPTION\n\
         {DEFAULT_FILE}, or the file named by \\fB\\-\\-config\\fR, in TOML. An unknown setting is refused with the nearest known one. \
         Each can be given as \\fB\\-o\\fR \\fIKEY\\fR=\\fIVALUE\\fR, which counts more than the file. An asterisk stands for a name of \
         your own. \\fBdevid config check\\fR reads the file and changes nothing.\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut tables: Vec<&str> = Vec::new();
    for table in keys::ALL.iter().map(keys::Key::table) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for table in tables {
        text.push_str(&format!(".SH [{}]\n", plain(table)));
        for key in keys::ALL.iter().filter(|key| key.table() == table) {
            let name = key.path.rsplit('.').next().unwrap_or(key.path);
            let (name, value) = (plain(name), plain(&key.kind.words()));
            let (meaning, default) = (plain(key.meaning), plain(key.default));
            text.push_str(&format!(".TP\n\\fB{name}\\fR: {value}\n{meaning}\nDefault: {default}\n"));
        }
    }
    text.push_str(".SH SEE ALSO\n.BR devid (1)\n");
    text
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut out = Vec::new();
    // It answers as `openssl cmp` does.
    let is_cmp = command.get_name() == "cmp";
    clap_mangen::Man::new(command).render(&mut out).map_err(|e| Failure::Own(Exit::Internal, e.to_string()))?;
    let mut text = String::from_utf8_lossy(&out).into_owned();
    text.push_str(".SH EXIT STATUS\n");
    for (exit, words) in Exit::ALL {
        let words = match exit {
            Exit::Done if is_cmp => "success",
            Exit::Internal if is_cmp => "everything else",
            _ if is_cmp => continue,
            _ => words,
        };
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
    }

    #[test]
    fn the_page_of_the_settings_has_each_of_them_and_is_read_without_a_warning() {
        let text = settings_page();
        for key in keys::ALL {
            let (table, name) = key.path.rsplit_once('.').unwrap();
            let part = text.split(&format!(".SH [{}]\n", table.replace('-', "\\-"))).nth(1);
            let part = part.unwrap_or_else(|| panic!("no part [{table}]")).split("\n.SH ").next().unwrap();
            assert!(part.contains(&format!("\\fB{}\\fR: ", name.replace('-', "\\-"))), "{}", key.path);
        }
        assert_eq!(text.matches("\nDefault: ").count(), keys::ALL.len());
        // A line that begins with a dot is roff's own, and each of these is one that was meant.
        let of_roff = text.lines().filter(|line| line.starts_with(['.', '\'']));
        assert!(
            of_roff.into_iter().all(|line| [".TH ", ".SH ", ".TP", ".BR "].iter().any(|word| line.starts_with(word)))
        );
    }

    #[test]
    fn every_page_that_a_page_refers_to_is_written_and_has_its_options() {
        let mut all = Vec::new();
        pages("devid", described(), &mut all).unwrap();
        let text = |name: &str| {
            let found = all.iter().find(|(known, _)| known == name);
            found.map(|(_, text)| text.replace("\\-", "-")).unwrap_or_else(|| panic!("no page {name}"))
        };
        let mut links = 0;
        for (name, _) in &all {
            for word in text(name).split_whitespace().filter(|word| word.starts_with("devid-") && word.ends_with("(1)"))
            {
                assert!(!word.contains("help("), "{name}: {word}");
                text(&word.replace("(1)", ".1"));
                links += 1;
            }
        }
        assert!(links > 40, "{links}");
        for (name, option) in [
            ("devid-store-remove.1", "--yes"),
            ("devid-store-factory-reset.1", "--keep"),
            ("devid-key-make.1", "--type"),
            ("devid-key-convert.1", "--new-password"),
            ("devid-config-schema.1", "--output"),
        ] {
            assert!(text(name).contains(option), "{name}: no {option}");
        }
        let (of_cmp, of_keep) = (text("devid-cmp.1"), text("devid-keep.1"));
        let statuses = |page: &str| page.split(".SH EXIT STATUS").nth(1).unwrap().matches(".TP").count();
        assert_eq!((statuses(&of_cmp), statuses(&of_keep)), (2, Exit::ALL.len()));
    }

    #[test]
    fn a_code_is_found_by_its_name_and_by_its_number() {
        let output = Output { json: false, quiet: false, verbose: 0 };
        for code in Code::ALL {
            let (name, number) = (code.name(), code.number());
            for word in [name.to_owned(), format!("DEVID_E_{name}"), number.to_string(), number.abs().to_string()] {
                assert!(error(Some(&word), output).is_ok(), "{word}");
            }
        }
        assert!(error(None, output).is_ok());
        for word in ["no-such", "-9999", "999999999999", "-2147483648", "0", ""] {
            assert!(error(Some(word), output).is_err(), "{word}");
        }
    }
}
