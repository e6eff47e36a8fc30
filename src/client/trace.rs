//! What happened in an operation, message by message, and as a sequence diagram: to show where it got stuck.

use std::fmt::Write;
use std::time::Duration;

use super::run::{Decision, Event, Owner};
use crate::asn1::cmp::BodyType;
use crate::cmp::{Issued, Operation, SignRequest, describe_message};
use crate::error::Error;
use crate::limits::Limits;
use crate::time::Time;

/// Columns between the two lifelines of a diagram in text.
const WIDTH: usize = 64;

/// An owner that writes down what happens, and leaves everything else to another one.
pub struct Trace<O> {
    owner: O,
    steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message went out.
    Sent {
        /// Its body.
        body: BodyType,
        /// Its size.
        bytes: usize,
    },
    /// An answer came. What it says of itself was not checked when it was written down.
    Came {
        /// Body, version, protection, sender; `None` if it is no message.
        words: Option<String>,
        /// Its size.
        bytes: usize,
        /// What it took.
        elapsed: Duration,
    },
    /// It was waited.
    Waited {
        /// Seconds.
        seconds: u32,
        /// The server's words.
        reason: String,
    },
    /// The server was not reached or was busy.
    Retried {
        /// Why.
        why: String,
    },
    /// A key elsewhere signed.
    Signed,
    /// The owner decided on the certificate.
    Decided {
        /// Whether it was taken.
        accepted: bool,
    },
}

impl<O: Owner> Trace<O> {
    /// Over another owner.
    pub fn over(owner: O) -> Self {
        Trace { owner, steps: Vec::new() }
    }

    /// What happened so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// A sequence diagram in Mermaid's language, which many viewers of Markdown draw.
    pub fn to_mermaid(&self, outcome: Option<&Error>) -> String {
        let mut out = String::from("sequenceDiagram\n    participant D as device\n    participant S as server\n");
        let mut line = |text: String| {
            let _ = writeln!(out, "    {text}");
        };
        for step in &self.steps {
            line(match step {
                Step::Sent { body, bytes } => format!("D->>S: {body}, {bytes} bytes"),
                Step::Came { bytes, elapsed, .. } => {
                    format!("S-->>D: {}, {bytes} bytes, {} ms", plain(&step.label()), elapsed.as_millis())
                }
                other => format!("Note over D: {}", plain(&other.label())),
            });
        }
        line(format!("Note over D: {}", plain(&ending(outcome))));
        out
    }

    /// The same in plain text, for logs and terminals.
    pub fn to_text(&self, outcome: Option<&Error>) -> String {
        let mut out = format!("device{:>width$}\n", "server", width = WIDTH);
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        for step in &self.steps {
            line(match step {
                Step::Sent { body, bytes } => {
                    format!("  |{:->width$}|", arrow(&format!("-- {body}, {bytes} bytes "), '>'), width = WIDTH)
                }
                Step::Came { bytes, elapsed, .. } => {
                    let words = format!("<- {}, {bytes} bytes, {} ms ", step.label(), elapsed.as_millis());
                    format!("  |{words:-<width$}|", width = WIDTH)
                }
                other => format!("  |   {:<width$}|", other.label(), width = WIDTH - 3),
            });
        }
        line(format!("  |   {:<width$}|", ending(outcome), width = WIDTH - 3));
        out
    }
}

fn arrow(words: &str, head: char) -> String {
    format!("{words:-<width$}{head}", width = WIDTH - 1)
}

impl Step {
    fn label(&self) -> String {
        match self {
            Step::Sent { body, .. } => body.to_string(),
            Step::Came { words, .. } => match words {
                // The body alone: the rest is in the step.
                Some(words) => words.split(',').next().unwrap_or_default().to_owned(),
                None => "no message".to_owned(),
            },
            Step::Waited { seconds, reason } if reason.is_empty() => format!("waits {seconds} s"),
            Step::Waited { seconds, reason } => format!("waits {seconds} s: '{reason}'"),
            Step::Retried { why } => format!("tries again: {why}"),
            Step::Signed => "a key elsewhere signs".to_owned(),
            Step::Decided { accepted: true } => "takes the certificate".to_owned(),
            Step::Decided { accepted: false } => "refuses the certificate".to_owned(),
        }
    }
}

fn ending(outcome: Option<&Error>) -> String {
    outcome.map_or_else(|| "done".to_owned(), |error| format!("failed: {}", error.code().name()))
}

/// Mermaid ends a statement at `;` and begins a comment at `%%` or `#`: words of others do neither.
fn plain(words: &str) -> String {
    words.chars().map(|c| if matches!(c, ';' | '#' | '%' | '\n' | '<' | '>') { ' ' } else { c }).collect()
}

impl<O: Owner> Owner for Trace<O> {
    fn now(&mut self) -> Time {
        self.owner.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.steps.push(Step::Waited { seconds, reason: reason.join(" ") });
        self.owner.wait(seconds, reason)
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        let decision = self.owner.decide(issued)?;
        self.steps.push(Step::Decided { accepted: decision == Decision::Accept });
        Ok(decision)
    }

    fn sign(&mut self, request: &SignRequest) -> Result<Vec<u8>, Error> {
        self.steps.push(Step::Signed);
        self.owner.sign(request)
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        self.owner.checkpoint(operation)
    }

    fn finished(&mut self, operation: &Operation) {
        self.owner.finished(operation);
    }

    fn observe(&mut self, event: Event<'_>) {
        self.steps.push(match &event {
            Event::Sending { body, message } => Step::Sent { body: *body, bytes: message.len() },
            Event::Received { message, elapsed } => {
                let words = describe_message(message, &Limits::default());
                Step::Came { words, bytes: message.len(), elapsed: *elapsed }
            }
            Event::Retrying { error, .. } => Step::Retried { why: error.detail.clone() },
        });
        self.owner.observe(event);
    }
}
