//! Results on standard output, words for people on standard error.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use devid::Time;
use devid::client::device::in_settings;
use devid::client::run::system_time;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

/// Increased when a field changes its meaning or goes; new ones may come at any time.
const SCHEMA: u32 = 1;

/// How a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
}

impl Output {
    /// The result: text for people, or one JSON document.
    pub fn result(self, command: &str, text: &str, fields: Value) {
        self.ended(command, Exit::Done, text, fields);
    }

    /// The result of a command that has looked at something: what it found may be no good, and then nothing in the document is, so that
    /// nobody takes "ok" for more than the exit status. Answers that status.
    pub fn ended(self, command: &str, exit: Exit, text: &str, fields: Value) -> Exit {
        let is_ok = matches!(exit, Exit::Done | Exit::NothingDue | Exit::Waiting);
        if self.json {
            let mut document =
                json!({ "schema": SCHEMA, "devid": env!("CARGO_PKG_VERSION"), "command": command, "ok": is_ok });
            if let (Some(document), Value::Object(fields)) = (document.as_object_mut(), fields) {
                document.extend(fields);
                if !is_ok && document.get("error").is_none_or(Value::is_null) {
                    document.insert("error".to_owned(), Failure::Own(exit, exit.meaning().to_owned()).json());
                }
            }
            print(&format!("{document}\n"));
        } else if !text.is_empty() {
            print(if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }.as_str());
        }
        exit
    }

    /// A line for people while the command works.
    pub fn say(self, words: &str) {
        if !self.quiet {
            tell(words);
        }
    }

    /// A line that is replaced by the next one, on terminals.
    pub fn progress(self, words: &str) {
        if !self.quiet && std::io::stderr().is_terminal() {
            tell_unended(&format!("\r\x1b[K{words}"));
        }
    }

    /// Ends what `progress` wrote.
    pub fn end_progress(self) {
        if !self.quiet && std::io::stderr().is_terminal() {
            tell_unended("\r\x1b[K");
        }
    }

    /// What went wrong.
    pub fn failure(self, command: &str, failure: &Failure) {
        self.failure_in(command, failure, in_settings);
    }

    /// The same where people have other words than settings for what they can do.
    pub fn failure_in(self, command: &str, failure: &Failure, words: fn(&str) -> String) {
        tell(&format!("devid {command}: {}", failure.report_in(words)));
        if let (false, Failure::Library(error)) = (self.quiet, failure) {
            tell(&format!("  more: devid help error {}", error.code().name()));
        }
        if self.json {
            self.failure_document(command, failure.json_in(words));
        }
    }

    /// The same for programs.
    pub fn failure_document(self, command: &str, error: Value) {
        let document = json!({
            "schema": SCHEMA, "devid": env!("CARGO_PKG_VERSION"), "command": command, "ok": false, "error": error,
        });
        print(&format!("{document}\n"));
    }
}

/// A line for people. They are no part of the work: it goes on where nobody can be told, as on a full medium.
pub fn tell(words: &str) {
    tell_unended(&format!("{words}\n"));
}

/// The same without an end of the line.
pub fn tell_unended(words: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(words.as_bytes()).and_then(|()| stderr.flush());
}

/// What could not be written to standard output, the first time.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Writes to standard output.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Notes a result that did not arrive. A reader that went away is no fault of ours: what it read was enough for it.
pub fn written(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            let _ = LOST.set(error);
        }
    }
}

/// Why a result did not arrive: then nothing that the command did well is a success for whoever reads it.
pub fn lost() -> Option<Failure> {
    LOST.get().map(|error| Failure::Own(Exit::Input, format!("standard output: {error}: the result is lost")))
}

pub use devid::client::device::rfc3339;

/// A date, and how far away it is.
pub fn date(time: Time) -> String {
    if time >= Time::FOREVER {
        return "without end".to_owned();
    }
    let (year, month, day, hour, minute, _) = time.civil();
    let away = time.since(system_time());
    let distance = span(away.unsigned_abs());
    let words = if away >= 0 { format!("in {distance}") } else { format!("{distance} ago") };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC ({words})")
}

/// Words of others, with what moves a terminal's cursor or turns its line round made visible. Quotes stay as they are.
pub fn of_others(words: &str) -> String {
    let shown = |c: char| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    words.chars().map(shown).collect()
}

/// A span of time in its largest unit.
pub fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_programs_and_for_people() {
        assert_eq!(rfc3339(Time::from_unix(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(
            (span(1), span(119), span(120), span(86_400 * 3)),
            ("1 second".into(), "119 seconds".into(), "2 minutes".into(), "3 days".into())
        );
        assert_eq!(date(Time::FOREVER), "without end");
    }

    #[test]
    fn words_of_others_are_shown_as_they_are_but_for_what_moves_the_cursor() {
        assert_eq!(of_others("the \"path\" of 'x' \\ \u{e9}"), "the \"path\" of 'x' \\ \u{e9}");
        assert_eq!(of_others("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\n");
    }
}
