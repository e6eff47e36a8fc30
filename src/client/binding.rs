//! An operation that its owner steps, bound to a place in device memory: that is kept in step by itself, within the steps, or apart from
//! them for event loops.

use super::destination::Destination;
use super::install::Continued;
use super::run::Owner;
use super::way::Client;
use crate::cmp::{ActionKind, Operation, Signer};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{Conversation, Store};
use crate::time::Time;
use crate::transport::Exchange;

/// What binds an operation to device memory, for who steps it: it makes the steps of [`Destination`] that keep device memory ahead.
///
/// Others, also other processes, are kept out of conversations about the identity until the operation is over or this is dropped.
///
/// ```no_run
/// # use devid::client::{Binding, Client, Destination};
/// # use devid::cmp::{ActionKind, Operation};
/// # use devid::time::Time;
/// # fn main_loop(to: Destination<'_>, mut operation: Operation, now: Time) -> Result<(), devid::Error> {
/// let mut binding = Binding::begin(to, &mut operation, None)?;
/// binding.set_apart(true)?;
/// match binding.step(&mut operation, now, &mut |_, _| ())? {
///     Some(ActionKind::Send) => { /* send what Operation::action() has, without waiting for a medium */ }
///     None => binding.keep(&mut operation)?, // in a worker thread; then step again
///     _ => {}
/// }
/// # Ok(())
/// # }
/// ```
#[allow(missing_debug_implementations, reason = "what is saved may hold what is secret")]
pub struct Binding {
    store: Store,
    name: String,
    purpose: String,
    /// What was saved last: a step that changes nothing writes nothing.
    saved: Vec<u8>,
    /// Installed, or failed for good: another operation may use the name by now.
    is_finished: bool,
    /// The present, as the last step was told.
    now: Time,
    /// Keeps others out until it is finished: between the steps it goes on.
    alone: Option<Conversation>,
    is_apart: bool,
    due: Option<Due>,
}

/// What device memory is to learn before the next step, or has learnt.
enum Due {
    /// The outcome of a step.
    Keep(Result<ActionKind, Error>, Time),
    /// That the certificate is taken: it is staged first.
    Stage,
    /// Device memory knows: the next step answers this.
    Kept(Result<ActionKind, Error>),
}

/// Is told the outcome of a step before device memory is written.
type Told<'t> = &'t mut dyn FnMut(&Operation, &Result<ActionKind, Error>);

impl Binding {
    /// Binds an operation that has not begun: see [`Destination::begin`].
    ///
    /// Errors: those of [`Destination::converse`] and [`Destination::begin`].
    pub fn begin(to: Destination<'_>, operation: &mut Operation, reference: Option<&str>) -> Result<Self, Error> {
        let binding = Binding::alone(to)?;
        to.begin(operation, reference)?;
        Ok(binding)
    }

    /// What was interrupted, bound again: see [`Destination::continued`].
    ///
    /// Errors: those of [`Destination::converse`] and [`Destination::continued`].
    pub fn resume(to: Destination<'_>, client: &Client, key: Option<Signer>) -> Result<(Continued, Self), Error> {
        let binding = Binding::alone(to)?;
        Ok((to.continued(client, key)?, binding))
    }

    fn alone(to: Destination<'_>) -> Result<Self, Error> {
        Ok(Binding {
            store: to.store.clone(),
            name: to.name.to_owned(),
            purpose: to.purpose.to_owned(),
            saved: Vec::new(),
            is_finished: false,
            now: Time::from_unix(0),
            alone: Some(to.converse()?),
            is_apart: false,
            due: None,
        })
    }

    /// Where the operation ends up.
    pub fn destination(&self) -> Destination<'_> {
        Destination { store: &self.store, name: &self.name, purpose: &self.purpose }
    }

    /// Whether it is over: installed, or failed for good.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Whether device memory is written apart from the steps, by [`Binding::keep`], so that they never wait for the medium or for another
    /// process.
    ///
    /// Errors: [`Code::State`] while something is still to be kept.
    pub fn set_apart(&mut self, on: bool) -> Result<(), Error> {
        if self.due.is_some() {
            return Err(Error::new(Code::State, "device memory has something to learn, which is to be kept first"));
        }
        self.is_apart = on;
        Ok(())
    }

    /// One step of the operation. `None`: device memory is to be written first, by [`Binding::keep`]; never where it is not apart.
    ///
    /// `told` hears what came of the step before device memory is written.
    ///
    /// Errors: those of the operation and of device memory.
    pub fn step(&mut self, operation: &mut Operation, now: Time, told: Told<'_>) -> Result<Option<ActionKind>, Error> {
        match self.due.take() {
            Some(Due::Kept(result)) => return result.map(Some),
            Some(due) => {
                self.due = Some(due);
                return Ok(None);
            }
            None => {}
        }
        let result = operation.step(now).map(|action| action.kind());
        told(operation, &result);
        if !self.is_apart {
            self.keep_in_step(operation, &result, now)?;
            return result.map(Some);
        }
        // A key that signs elsewhere is asked for nothing that device memory has to know.
        if matches!(result, Ok(ActionKind::Sign)) {
            return result.map(Some);
        }
        self.due = Some(Due::Keep(result, now));
        Ok(None)
    }

    /// Takes the certificate, at once or when it is staged.
    ///
    /// Errors: [`Code::State`] if none waits for a decision; device memory.
    pub fn accept(&mut self, operation: &mut Operation) -> Result<(), Error> {
        if self.is_apart && operation.is_deciding() {
            self.due = Some(Due::Stage);
            return Ok(());
        }
        self.stage(operation)?;
        operation.accept()
    }

    /// Writes device memory where that is apart from the steps; the next step answers what the one before it found.
    ///
    /// Errors: [`Code::State`] if nothing is to be kept; device memory, after which it can be called again.
    pub fn keep(&mut self, operation: &mut Operation) -> Result<(), Error> {
        let Some(due) = self.due.take() else {
            return Err(Error::new(Code::State, "device memory has nothing to learn: step first"));
        };
        match due {
            Due::Keep(result, now) => match self.keep_in_step(operation, &result, now) {
                Ok(()) => self.due = Some(Due::Kept(result)),
                Err(error) => {
                    self.due = Some(Due::Keep(result, now));
                    return Err(error);
                }
            },
            Due::Stage => {
                if let Err(error) = self.stage(operation) {
                    self.due = Some(Due::Stage);
                    return Err(error);
                }
                operation.accept()?;
            }
            kept @ Due::Kept(_) => self.due = Some(kept),
        }
        Ok(())
    }

    /// Runs the operation to its end instead of stepping on: [`Client::complete_bound`]. What that leaves for later keeps nobody out.
    ///
    /// Errors: those of [`Client::complete_bound`].
    pub fn run(
        &mut self,
        client: &Client,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<(), Error> {
        // It takes its own: another thread may have bound the operation than runs it.
        self.alone = None;
        let result = client.complete_bound(self.destination(), operation, exchange, owner);
        self.is_finished = result.is_ok() || operation.has_failed();
        result.map(|_| ())
    }

    /// After a step: device memory is ahead of what its owner will do next.
    fn keep_in_step(
        &mut self,
        operation: &Operation,
        result: &Result<ActionKind, Error>,
        now: Time,
    ) -> Result<(), Error> {
        self.now = now;
        match result {
            Ok(ActionKind::Send | ActionKind::Wait | ActionKind::Accept) => {
                self.save(operation)?;
            }
            Ok(ActionKind::Done) if !self.is_finished => {
                self.destination().finish(operation)?;
                self.is_finished = true;
                self.alone = None;
            }
            Ok(_) => {}
            Err(error) if !self.is_finished => {
                if operation.holds_answer() {
                    self.save(operation)?;
                }
                self.destination().settle(operation, error)?;
                self.is_finished = operation.has_failed();
                if self.is_finished {
                    self.alone = None;
                }
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn save(&mut self, operation: &Operation) -> Result<(), Error> {
        let saved = operation.save()?;
        self.destination().keep_generated_key(operation)?;
        if saved != self.saved {
            self.store.save_operation(&self.destination().label_of(operation)?, &saved)?;
            self.saved = saved;
        }
        Ok(())
    }

    /// Before the certificate is accepted: it is staged.
    fn stage(&self, operation: &Operation) -> Result<(), Error> {
        match operation.issued() {
            Some(issued) if operation.is_deciding() => self.destination().stage(issued, self.now),
            _ => Ok(()),
        }
    }
}
