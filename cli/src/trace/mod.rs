//! `--trace FILE`: what went over the wire, message by message, each conversation under the identity that it is about. The file's ending
//! decides: `.html` is one page that needs nothing else, `.jsonl` one event per line, `.txt` a sequence diagram in plain text, and a folder
//! gets the messages as DER, numbered on from those that lie there.

mod page;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use devid::client::Event;
use devid::files::replace;
use serde_json::{Value, json};

use crate::attendant::{describe, millis};
use crate::failure::Failure;

/// A message under a MAC lets a weak secret be guessed.
const OWNER_ONLY: u32 = 0o600;

/// What was written down.
pub struct Trace {
    path: PathBuf,
    begun: Instant,
    command: String,
    conversations: Vec<Conversation>,
    /// Of a folder: the number before that of the first message.
    before: Option<usize>,
}

/// What was said about one identity.
#[derive(Default)]
struct Conversation {
    /// Its name; `None` where the command is about one alone.
    about: Option<String>,
    steps: Vec<Step>,
    /// What went wrong, for people and for programs.
    failure: Option<(String, Value)>,
}

impl Conversation {
    fn outcome(&self) -> &str {
        self.failure.as_ref().map_or("done", |(words, _)| words)
    }
}

struct Step {
    at_ms: u128,
    kind: Kind,
    title: String,
    message: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sent,
    Received,
    Note,
}

impl Trace {
    /// Of a command, into a file or folder.
    pub fn new(path: &Path, command: &str) -> Self {
        Trace {
            path: path.to_owned(),
            begun: Instant::now(),
            command: command.to_owned(),
            conversations: vec![Conversation::default()],
            before: None,
        }
    }

    /// What comes from here on is about this identity.
    pub fn about(&mut self, name: &str) {
        self.conversations.retain(|one| one.about.is_some());
        self.conversations.push(Conversation { about: Some(name.to_owned()), ..Conversation::default() });
    }

    /// What is about this identity has come to this.
    pub fn failed(&mut self, failure: &Failure) {
        if let Some(last) = self.conversations.last_mut() {
            last.failure = Some((failure.report(), failure.json()));
        }
    }

    /// Writes an event down.
    pub fn event(&mut self, event: &Event<'_>) {
        let (kind, title, message) = match event {
            Event::Sending { body, message } => (Kind::Sent, body.to_string(), message.to_vec()),
            Event::Received { message, elapsed } => {
                let words = describe(message).unwrap_or_else(|| "not a PKIMessage".to_owned());
                (Kind::Received, format!("{words}, after {} ms", millis(*elapsed)), message.to_vec())
            }
            Event::Retrying { error, seconds } => (Kind::Note, format!("{error}; again in {seconds} s"), Vec::new()),
        };
        self.push(kind, title, message);
    }

    /// Writes a wait down.
    pub fn waited(&mut self, seconds: u32, words: &str) {
        self.push(Kind::Note, format!("{words} ({seconds} s)"), Vec::new());
    }

    fn push(&mut self, kind: Kind, title: String, message: Vec<u8>) {
        let at_ms = self.begun.elapsed().as_millis();
        if let Some(last) = self.conversations.last_mut() {
            last.steps.push(Step { at_ms, kind, title, message });
        }
    }

    /// Writes the file.
    pub fn write(&mut self) -> Result<(), Failure> {
        let ending = self.path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let text = match ending {
            "html" => page::page(&self.command, &self.conversations),
            "jsonl" => self.json_lines(),
            "txt" => self.text(),
            _ => return self.messages(),
        };
        replace(&self.path, text.as_bytes(), OWNER_ONLY).map_err(|e| Failure::file(&self.path, &e))
    }

    fn messages(&mut self) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::file(&self.path, &e);
        std::fs::create_dir_all(&self.path).map_err(failed)?;
        let before = match self.before {
            Some(before) => before,
            // Another conversation's messages stay what they are.
            None => {
                let there = std::fs::read_dir(&self.path).map_err(failed)?.flatten().map(|entry| entry.file_name());
                there.filter_map(|name| number_of(name.to_str()?)).max().unwrap_or(0)
            }
        };
        self.before = Some(before);
        let steps = self.conversations.iter().flat_map(|one| &one.steps);
        for (number, step) in steps.filter(|step| !step.message.is_empty()).enumerate() {
            let way = if step.kind == Kind::Sent { "sent" } else { "received" };
            let path = self.path.join(format!("{:03}-{way}.der", before + number + 1));
            replace(&path, &step.message, OWNER_ONLY).map_err(|e| Failure::file(&path, &e))?;
        }
        Ok(())
    }

    fn json_lines(&self) -> String {
        let mut out = String::new();
        for one in &self.conversations {
            let mut line = |mut line: Value| {
                if let Some(name) = &one.about {
                    line["identity"] = json!(name);
                }
                let _ = writeln!(out, "{line}");
            };
            for step in &one.steps {
                let event = match step.kind {
                    Kind::Sent => "sent",
                    Kind::Received => "received",
                    Kind::Note => "note",
                };
                line(json!({ "t_ms": step.at_ms, "event": event, "words": step.title, "der": hex(&step.message) }));
            }
            line(json!({ "event": "end", "error": one.failure.as_ref().map(|(_, json)| json) }));
        }
        out
    }

    fn text(&self) -> String {
        let mut out = format!("{}\n", self.command);
        for one in &self.conversations {
            if let Some(name) = &one.about {
                let _ = writeln!(out, "\nidentity {name}");
            }
            let _ = writeln!(out, "\ndevice{:>60}", "server");
            for step in &one.steps {
                let arrow = match step.kind {
                    Kind::Sent => format!("--- {} ({} bytes) -->", step.title, step.message.len()),
                    Kind::Received => format!("<-- {} ({} bytes) ---", step.title, step.message.len()),
                    Kind::Note => format!("    {}", step.title),
                };
                let _ = writeln!(out, "{:>7} ms  {arrow}", step.at_ms);
            }
            let _ = writeln!(out, "\n{}", one.outcome());
        }
        out
    }
}

/// The number of a message in a folder of them.
fn number_of(file: &str) -> Option<usize> {
    let (number, way) = file.strip_suffix(".der")?.split_once('-')?;
    matches!(way, "sent" | "received").then(|| number.parse().ok()).flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
