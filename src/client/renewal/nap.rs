//! What the owner is asked while a step runs: short waits are slept through, longer ones end the step.

use std::cell::Cell;

use super::progress::stretched;
use crate::client::run::{Decision, Event, Owner};
use crate::cmp::{Issued, Operation, SignRequest};
use crate::codes::{Class, Code};
use crate::error::Error;
use crate::store::is_sealed;
use crate::time::Time;

/// What the owner was asked while a step ran.
#[derive(Default)]
pub(super) struct Napped {
    /// The CA's answer, an authentic one, asked for a wait that ended the step.
    pub refused_seconds: Cell<Option<u32>>,
    /// How often in a row the CA has asked to wait, with what was remembered before the step. The waits that are slept through grow like those
    /// that are not: a CA that asks for a second without end is not polled each second.
    pub waits: Cell<u32>,
    /// What keeps the unfinished operation from going on.
    pub obstacle: Cell<Option<Obstacle>>,
    /// The saved request that is sent again was never answered.
    pub is_unanswered: Cell<bool>,
    /// The CA's answer, as it seems, was refused for its time alone, and is kept.
    pub doubts_clock: Cell<bool>,
    /// The message was out before this step, and no answer has come in it.
    pub is_still_out: Cell<bool>,
    /// The owner itself has ended the step: its decision, its signature, its wait, its look at the operation failed.
    pub has_owner_failed: Cell<bool>,
}

/// Why an unfinished operation does not go on. That is said where it is found, and not told from the code of an error: a token that is
/// away says "not found" as well as device memory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Device memory's own records of it are lost or damaged: nobody can go on with it.
    Records,
    /// A key or a certificate that it goes on with is out of reach for now.
    Credential,
    /// A newer version of the library has begun it, and may come back.
    Newer,
}

impl Napped {
    /// The outcome of reading device memory's own records of the operation.
    pub fn records<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| match error.code() {
            // The secret that it is sealed under may come back.
            Code::WrongSecret => self.obstacle.set(Some(Obstacle::Credential)),
            Code::UnknownVersion => self.obstacle.set(Some(Obstacle::Newer)),
            _ if is_sealed(error) => self.obstacle.set(Some(Obstacle::Credential)),
            _ if is_damage(error) => self.obstacle.set(Some(Obstacle::Records)),
            _ => {}
        })
    }

    /// The outcome of reaching a key that it goes on with.
    pub fn credential<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|_| self.obstacle.set(Some(Obstacle::Credential)))
    }

    /// Whether an error is the program's own, and says nothing about the CA.
    pub fn is_own(&self, error: &Error) -> bool {
        self.has_owner_failed.get() || matches!(error.class(), Class::Application) || error.code() == Code::Cancelled
    }

    fn noted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_err() {
            self.has_owner_failed.set(true);
        }
        outcome
    }
}

/// Whether a record is lost or damaged, as told by who has read it, rather than out of reach for now.
fn is_damage(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::Corrupt | Code::NotFound | Code::KeyMismatch | Code::BadKey | Code::Der | Code::TrailingData
    )
}

/// Lets the owner sleep through short waits only.
pub(super) struct Napping<'a> {
    owner: &'a mut dyn Owner,
    longest_seconds: u32,
    napped: &'a Napped,
    /// The next wait is for a server that was not reached: the CA has asked for nothing.
    is_retrying: bool,
    /// What is waited for is the time of a certificate that is confirmed.
    is_confirmed: bool,
}

impl Napping<'_> {
    /// One more wait that the CA asks for. One for the time of a certificate is none of the CA's.
    fn stretched(&self, seconds: u32) -> u32 {
        if self.is_confirmed {
            return seconds;
        }
        let waits = self.napped.waits.get().saturating_add(1);
        self.napped.waits.set(waits);
        stretched(seconds, waits)
    }
}

impl<'a> Napping<'a> {
    pub fn new(owner: &'a mut dyn Owner, longest_seconds: u32, napped: &'a Napped) -> Self {
        Napping { owner, longest_seconds, napped, is_retrying: false, is_confirmed: false }
    }
}

impl Owner for Napping<'_> {
    fn now(&mut self) -> Time {
        self.owner.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        let is_retrying = std::mem::take(&mut self.is_retrying);
        let seconds = if is_retrying { seconds } else { self.stretched(seconds) };
        if seconds > self.longest_seconds {
            if !is_retrying {
                self.napped.refused_seconds.set(Some(seconds));
            }
            let what = match (self.is_confirmed, reason) {
                (true, [words, ..]) => format!("{words}, in {seconds} s"),
                _ => format!("the CA asks to wait {seconds} s"),
            };
            return Err(Error::new(Code::Cancelled, format!("{what}: the operation is saved")));
        }
        self.napped.noted(self.owner.wait(seconds, reason))
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        self.napped.noted(self.owner.decide(issued))
    }

    fn sign(&mut self, request: &SignRequest) -> Result<Vec<u8>, Error> {
        self.napped.noted(self.owner.sign(request))
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        self.is_confirmed = operation.waits_for_validity();
        self.napped.doubts_clock.set(operation.keeps_answer());
        self.napped.noted(self.owner.checkpoint(operation))
    }

    fn finished(&mut self, operation: &Operation) {
        self.owner.finished(operation);
    }

    fn observe(&mut self, event: Event<'_>) {
        self.is_retrying = matches!(event, Event::Retrying { .. });
        if matches!(event, Event::Received { .. }) {
            self.napped.is_still_out.set(false);
        }
        self.owner.observe(event);
    }
}
