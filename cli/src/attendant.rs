//! Attends an operation for a person or a timer: the clock, waits that can be interrupted, words on what happens, a trace.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use devid::asn1::name;
use devid::client::device::{end_prompts_by, give_terminal_back};
use devid::client::run::{sleep_unless, system_time};
use devid::client::{Event, Owner};
use devid::cmp::{Issued, describe_message};
use devid::store::Store;
use devid::transport::Cancel;
use devid::{Code, Error, Time};

use crate::failure::{Exit, Failure};
use crate::output::{self, Output, of_others};
use crate::trace::Trace;

/// The switch that signals throw; one for the process.
static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// Thrown by SIGINT and SIGTERM.
pub fn cancel() -> &'static Cancel {
    CANCEL.get_or_init(Cancel::new)
}

/// Makes SIGINT and SIGTERM end what is at work, with its place kept; a second one ends the process.
pub fn watch_signals() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    end_prompts_by(cancel());
    std::thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                give_terminal_back();
                std::process::exit(128 + signal);
            }
            cancel().cancel();
            memories().iter().filter_map(Weak::upgrade).for_each(|store| store.end_waits_for_good());
        }
    });
}

/// Device memories in use: waits for other processes that change them end with the switch, too.
fn memories() -> std::sync::MutexGuard<'static, Vec<Weak<Store>>> {
    static MEMORIES: Mutex<Vec<Weak<Store>>> = Mutex::new(Vec::new());
    MEMORIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds one of them.
pub fn ends_with_the_command(store: &Arc<Store>) {
    let mut memories = memories();
    memories.retain(|memory| memory.strong_count() > 0);
    memories.push(Arc::downgrade(store));
    // The signal may have come before.
    if cancel().is_cancelled() {
        store.end_waits_for_good();
    }
}

/// For a command that changes nothing and has no place to keep: SIGINT and SIGTERM end it where it stands, whatever it waits for.
pub fn end_at_signals(command: &'static str, output: Output) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            give_terminal_back();
            output.failure(command, &interrupted("nothing more was looked at"));
            signal_hook::low_level::exit(Exit::Interrupted.number().into());
        }
    });
}

/// A signal has ended the command.
pub fn interrupted(words: &str) -> Failure {
    Error::new(Code::Cancelled, format!("ended by a signal: {words}")).into()
}

/// Attends one operation after the other.
pub struct Attendant<'a> {
    output: Output,
    /// Leave at the first wait instead of waiting.
    no_wait: bool,
    trace: Option<&'a mut Trace>,
    /// What the CA asked to wait, if it was not waited for.
    pub left_waiting: Option<u32>,
    /// What is waited for is the time of a certificate that is confirmed.
    is_confirmed: bool,
    /// Device memory keeps what the CA was asked. Who leaves anything else asks anew.
    is_kept: bool,
}

impl<'a> Attendant<'a> {
    /// Speaks as the command does.
    pub fn new(output: Output, no_wait: bool, trace: Option<&'a mut Trace>) -> Self {
        Attendant { output, no_wait, trace, left_waiting: None, is_confirmed: false, is_kept: true }
    }

    /// For what device memory does not keep.
    pub fn of_nothing_kept(output: Output, no_wait: bool, trace: Option<&'a mut Trace>) -> Self {
        Attendant { is_kept: false, ..Attendant::new(output, no_wait, trace) }
    }

    /// An outcome, if it is not that the user did not want to wait.
    pub fn unless_left<T>(&self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Err(error) if self.left_waiting.is_some() => {
                self.output.say(error.message());
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }
}

impl Owner for Attendant<'_> {
    fn now(&mut self) -> Time {
        system_time()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        let said = match reason {
            [words, ..] if self.is_confirmed => words.clone(),
            [] => "the CA asks to wait".to_owned(),
            words => format!("the CA asks to wait: {}", of_others(&words.join("; "))),
        };
        if let Some(trace) = &mut self.trace {
            trace.waited(seconds, &said);
        }
        if self.no_wait {
            self.left_waiting = Some(seconds);
            return Err(Error::new(
                Code::Cancelled,
                match self.is_kept {
                    true => format!("{said}; the request is kept and goes on at the next call"),
                    false => format!("{said}; this request is not kept, the next call asks anew"),
                },
            ));
        }
        let place = if self.is_kept { "Ctrl-C keeps the place" } else { "Ctrl-C gives it up" };
        self.output.say(&format!("{said}; next look in {}, {place}", output::span(u64::from(seconds))));
        for left in (1..=seconds).rev() {
            self.output.progress(&format!("next look in {}", output::span(u64::from(left))));
            if let Err(error) = sleep_unless(Some(cancel()), 1) {
                self.output.end_progress();
                return Err(error);
            }
        }
        self.output.end_progress();
        Ok(())
    }

    fn decide(&mut self, issued: &Issued) -> Result<devid::client::Decision, Error> {
        let shown = name::display(issued.certificate.subject());
        self.output
            .say(&format!("certificate came: {shown}, valid until {}", output::date(issued.certificate.not_after())));
        for difference in &issued.differences {
            self.output.say(&format!("  differs from the request: {difference}"));
        }
        for warning in issued.warnings() {
            self.output.say(&format!("  warning: {}", of_others(&warning)));
        }
        devid::client::Unattended.decide(issued)
    }

    fn checkpoint(&mut self, operation: &devid::cmp::Operation) -> Result<(), Error> {
        self.is_confirmed = operation.waits_for_validity();
        Ok(())
    }

    fn observe(&mut self, event: Event<'_>) {
        match &event {
            Event::Sending { body, message } => self.output.say(&format!("{body} sent, {} bytes", message.len())),
            Event::Received { message, elapsed } => {
                let words = match self.output.verbose {
                    0 => String::new(),
                    _ => describe(message).map(|words| format!(" ({words}, not checked yet)")).unwrap_or_default(),
                };
                self.output.say(&format!("{} bytes came back in {} ms{words}", message.len(), elapsed.as_millis()));
            }
            Event::Retrying { error, seconds } => self.output.say(&format!("{error}; again in {seconds} s")),
        }
        if self.output.verbose > 2 {
            if let Event::Sending { message, .. } | Event::Received { message, .. } = &event {
                if let Ok(text) = devid::inspect::inspect(message, devid::inspect::Format::Text) {
                    self.output.say(&text);
                }
            }
        }
        if let Some(trace) = &mut self.trace {
            trace.event(&event);
        }
    }
}

/// What a message says of itself.
pub fn describe(message: &[u8]) -> Option<String> {
    describe_message(message, &devid::limits::Limits::default()).map(|words| plain(&words))
}

/// Words of others without what moves a terminal's cursor.
fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Milliseconds, for the trace.
pub fn millis(elapsed: Duration) -> u128 {
    elapsed.as_millis()
}
