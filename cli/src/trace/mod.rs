//! `--trace FILE`: what went over the wire, message by message. The file's ending decides: `.html` is one page that
//! needs nothing else, `.jsonl` one event per line, `.txt` a sequence diagram in plain text, and a folder gets the messages
//! as DER, numbered on from those that lie there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use devid::client::Event;
use devid::files::replace;
use devid::inspect::{Format, inspect};
use serde_json::json;

use crate::attendant::{describe, millis};
use crate::failure::Failure;

/// A message under a MAC lets a weak secret be guessed.
const OWNER_ONLY: u32 = 0o600;

/// What was written down.
pub struct Trace {
    path: PathBuf,
    begun: Instant,
    command: String,
    steps: Vec<Step>,
    /// Of a folder: the number before that of the first message.
    before: Option<usize>,
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
            steps: Vec::new(),
            before: None,
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
        self.steps.push(Step { at_ms: self.begun.elapsed().as_millis(), kind, title, message });
    }

    /// Writes the file. `outcome`: what went wrong, if something did.
    pub fn write(&mut self, outcome: Option<&Failure>) -> Result<(), Failure> {
        let ending = self.path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let text = match ending {
            "html" => self.html(outcome),
            "jsonl" => self.json_lines(outcome),
            "txt" => self.text(outcome),
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
        for (number, step) in self.steps.iter().filter(|step| !step.message.is_empty()).enumerate() {
            let way = if step.kind == Kind::Sent { "sent" } else { "received" };
            let path = self.path.join(format!("{:03}-{way}.der", before + number + 1));
            replace(&path, &step.message, OWNER_ONLY).map_err(|e| Failure::file(&path, &e))?;
        }
        Ok(())
    }

    fn json_lines(&self, outcome: Option<&Failure>) -> String {
        let mut out = String::new();
        for step in &self.steps {
            let event = match step.kind {
                Kind::Sent => "sent",
                Kind::Received => "received",
                Kind::Note => "note",
            };
            let line = json!({ "t_ms": step.at_ms, "event": event, "words": step.title, "der": hex(&step.message) });
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "{}", json!({ "event": "end", "error": outcome.map(Failure::json) }));
        out
    }

    fn text(&self, outcome: Option<&Failure>) -> String {
        let mut out = format!("{}\n\ndevice{:>60}\n", self.command, "server");
        for step in &self.steps {
            let arrow = match step.kind {
                Kind::Sent => format!("--- {} ({} bytes) -->", step.title, step.message.len()),
                Kind::Received => format!("<-- {} ({} bytes) ---", step.title, step.message.len()),
                Kind::Note => format!("    {}", step.title),
            };
            let _ = writeln!(out, "{:>7} ms  {arrow}", step.at_ms);
        }
        let _ = writeln!(out, "\n{}", outcome.map_or_else(|| "done".to_owned(), Failure::report));
        out
    }

    fn html(&self, outcome: Option<&Failure>) -> String {
        let mut rows = String::new();
        let mut details = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            let y = 60 + number * 44;
            let (title, id) = (escape(&step.title), number + 1);
            match step.kind {
                Kind::Note => {
                    let _ = writeln!(
                        rows,
                        "<text class=\"note\" x=\"450\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                        y + 4,
                        escape(&cut(&step.title, 110))
                    );
                    continue;
                }
                Kind::Sent | Kind::Received => {
                    let (from, to, class) =
                        if step.kind == Kind::Sent { (120, 780, "sent") } else { (780, 120, "received") };
                    // What fits on an arrow; the rest stands over the opened message.
                    let short = escape(&cut(step.title.split(',').next().unwrap_or_default(), 80));
                    let _ = writeln!(
                        rows,
                        "<a href=\"#m{id}\"><title>{title}</title><text x=\"450\" y=\"{}\" text-anchor=\"middle\">{short}</text>\
                         <line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" marker-end=\"url(#tip)\"/></a>\
                         <text class=\"time\" x=\"20\" y=\"{y}\">{} ms</text>",
                        y - 7,
                        step.at_ms
                    );
                }
            }
            let opened = inspect(&step.message, Format::Text).unwrap_or_else(|e| format!("cannot be read: {e}"));
            let way = if step.kind == Kind::Sent { "sent" } else { "received, shown as it came" };
            let _ = writeln!(
                details,
                "<details><summary>{id}. {title} <span>{way}, {} bytes, at {} ms</span></summary>\
                 <pre id=\"m{id}\">{}</pre><p>DER: <a download=\"message-{id}.der\" href=\"data:application/pkixcmp;base64,{}\">save</a></p></details>",
                step.message.len(),
                step.at_ms,
                escape(&opened),
                base64(&step.message)
            );
        }
        let end = 60 + self.steps.len() * 44;
        let (class, words) = match outcome {
            None => ("good", "done".to_owned()),
            Some(failure) => ("bad", failure.report()),
        };
        let first = escape(words.lines().next().unwrap_or_default());
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>devid: trace</title>\n<style>{STYLE}</style>\n\
             <h1>{}</h1>\n<p>devid {}</p>\n<p class=\"{class}\" id=\"outcome\">{first}</p>\n\
             <svg viewBox=\"0 0 900 {}\" role=\"img\" aria-label=\"messages between device and server\">\
             <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
             <path d=\"M0 0L10 5L0 10z\"/></marker></defs>\
             <text x=\"120\" y=\"22\" text-anchor=\"middle\">device</text><text x=\"780\" y=\"22\" text-anchor=\"middle\">server</text>\
             <line class=\"life\" x1=\"120\" y1=\"30\" x2=\"120\" y2=\"{end}\"/><line class=\"life\" x1=\"780\" y1=\"30\" x2=\"780\" y2=\"{end}\"/>\n\
             {rows}<text class=\"{class}\" x=\"120\" y=\"{}\">{}</text></svg>\n<h2>Messages</h2>\n{details}<h2>Outcome</h2>\n<pre class=\"{class}\">{}</pre>\n</html>\n",
            escape(&self.command),
            env!("CARGO_PKG_VERSION"),
            end + 40,
            end + 22,
            escape(&cut(words.lines().next().unwrap_or_default(), 90)),
            escape(&words)
        )
    }
}

/// The number of a message in a folder of them.
fn number_of(file: &str) -> Option<usize> {
    let (number, way) = file.strip_suffix(".der")?.split_once('-')?;
    matches!(way, "sent" | "received").then(|| number.parse().ok()).flatten()
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}\
h1{font-size:1.3rem}h2{font-size:1.1rem}svg{width:100%;font-size:13px}line{stroke-width:1.5}.life{stroke:#bbb}.sent{stroke:#1f6fb4}\
.received{stroke:#2a7d3f}.note,.time{fill:#666;font-size:12px}pre{overflow:auto;background:#f6f6f6;padding:.8rem;font-size:12.5px}\
summary{cursor:pointer}summary span{color:#666;font-size:.85em}.good{color:#2a7d3f;fill:#2a7d3f}.bad{color:#b3261e;fill:#b3261e}";

/// What fits into the diagram; the whole stands below it.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
    }
}

/// Text that others wrote, for a page.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The body of a PEM block without its lines.
fn base64(bytes: &[u8]) -> String {
    devid::asn1::pem::encode("X", bytes).lines().filter(|line| !line.starts_with('-')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_words_of_others_as_words() {
        let mut trace = Trace::new(Path::new("x.html"), "devid enroll");
        trace.waited(3, "<script>alert(1)</script>");
        let page = trace.html(Some(&Failure::usage("a & b")));
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("a &amp; b"));
    }
}
