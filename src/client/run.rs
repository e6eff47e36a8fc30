//! Drives an operation to its end with a blocking exchange: comfort on top of step and feed, not a second engine.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::way::Client;
use crate::asn1::cmp::BodyType;
use crate::cmp::{Action, Issued, Operation, SignRequest};
use crate::codes::Code;
use crate::error::{Error, Refused};
use crate::time::Time;
use crate::transport::{
    self, Cancel, Exchange, ExchangeLimits, Interrupt, Reply, TransportError, TransportErrorKind as Kind,
};

/// What the owner of an operation is asked while it runs. Every method has a sensible default but the clock.
pub trait Owner {
    /// The present.
    fn now(&mut self) -> Time;

    /// Waits. An error ends the run, not the operation: it can be saved and continued.
    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error>;

    /// Decides on the issued certificate; the place to install it. The default leaves it to the settings' policy: see
    /// [`Acceptance`](crate::cmp::Acceptance).
    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        Ok(Decision::by_policy(issued))
    }

    /// Signs with a key that lives elsewhere.
    fn sign(&mut self, _request: &SignRequest) -> Result<Vec<u8>, Error> {
        Err(Error::new(Code::Signer, "a key signs elsewhere, and nobody is there to ask it"))
    }

    /// The state can be saved: before each message, each wait and each decision, and where the run ends because the device could not look at
    /// an answer, as its key is away. An error ends the run, not the operation.
    fn checkpoint(&mut self, _operation: &Operation) -> Result<(), Error> {
        Ok(())
    }

    /// The operation has come to its end; what it knows of the answers by which it did.
    fn finished(&mut self, _operation: &Operation) {}

    /// Is told what happens.
    fn observe(&mut self, _event: Event<'_>) {}
}

/// The owner's decision on an issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Take it; the CA is told.
    Accept,
    /// Refuse it, for this reason; the CA is told.
    Reject(String),
    /// The settings' policy does not take it: it is refused for what differs, and the CA is told.
    NotAsAsked,
}

impl Decision {
    /// What the settings' policy says.
    pub fn by_policy(issued: &Issued) -> Self {
        if issued.objection().is_none() { Decision::Accept } else { Decision::NotAsAsked }
    }
}

/// What happens while an operation runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message goes out.
    Sending {
        /// Its body.
        body: BodyType,
        /// The message, DER.
        message: &'a [u8],
    },
    /// An answer came; it is not checked yet.
    Received {
        /// The answer.
        message: &'a [u8],
        /// What it took.
        elapsed: Duration,
    },
    /// The server was not reached or was busy; the message is sent again.
    Retrying {
        /// Why.
        error: &'a TransportError,
        /// After this many seconds.
        seconds: u32,
    },
}

/// The owner that asks nobody: the system's clock, sleeping waits, certificates as asked for.
#[derive(Debug, Default)]
pub struct Unattended;

impl Owner for Unattended {
    fn now(&mut self) -> Time {
        system_time()
    }

    fn wait(&mut self, seconds: u32, _reason: &[String]) -> Result<(), Error> {
        sleep_within_reason(None, seconds)
    }
}

/// The longest wait that a blocking run sleeps through where its owner says nothing about waits, in seconds.
pub const LONGEST_SLEEP_SECONDS: u32 = 3600;

/// [`sleep_unless`] for waits up to an hour. A longer one, CAs with manual approval ask for days, is [`Code::Busy`] with the
/// seconds: the operation stands where it was, to be saved and run again then.
pub fn sleep_within_reason(cancel: Option<&Cancel>, seconds: u32) -> Result<(), Error> {
    if seconds <= LONGEST_SLEEP_SECONDS {
        return sleep_unless(cancel, seconds);
    }
    let words = format!(
        "the server asks to wait {seconds} s, longer than is slept through ({LONGEST_SLEEP_SECONDS} s): save the operation and run it again then"
    );
    Err(Error::new(Code::Busy, words).with(|facts| facts.retry_after_seconds = Some(seconds)))
}

/// Sleeps; [`Cancel::cancel`] ends it at once, with [`Code::Cancelled`].
pub fn sleep_unless(cancel: Option<&Cancel>, seconds: u32) -> Result<(), Error> {
    let time = Duration::from_secs(u64::from(seconds));
    let Some(cancel) = cancel else {
        std::thread::sleep(time);
        return Ok(());
    };
    let sleeper: Arc<Sleeper> = Arc::default();
    let watcher: Weak<Sleeper> = Arc::downgrade(&sleeper);
    cancel.watch(watcher);
    let is_woken = sleeper.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = sleeper.condition.wait_timeout_while(is_woken, time, |is_woken| !*is_woken);
    drop(waited.unwrap_or_else(PoisonError::into_inner));
    match cancel.is_cancelled() {
        true => Err(Error::new(Code::Cancelled, "cancelled by the caller while waiting")),
        false => Ok(()),
    }
}

/// A thread that sleeps and can be woken.
#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    condition: Condvar,
}

impl Interrupt for Sleeper {
    fn interrupt(&self) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }
}

/// The system's clock. Only callers that ask for it read it: the operation itself is told the time.
pub fn system_time() -> Time {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        Err(before) => Time::from_unix(-i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX)),
    }
}

impl Client {
    /// Runs an operation over the built-in client: see [`run`].
    pub fn run(&self, operation: &mut Operation, owner: &mut dyn Owner) -> Result<Issued, Error> {
        let done = self.run_over(operation, &mut self.exchange()?, owner);
        done.map_err(|error| self.with_path(error))
    }

    /// Runs any operation over the built-in client: see [`complete`].
    pub fn complete(&self, operation: &mut Operation, owner: &mut dyn Owner) -> Result<(), Error> {
        let done = self.complete_over(operation, &mut self.exchange()?, owner);
        done.map_err(|error| self.with_path(error))
    }

    /// Runs any operation over the caller's own exchange: see [`complete`].
    pub fn complete_over(
        &self,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<(), Error> {
        drive(operation, exchange, (self.exchange_limits(), self.max_retries), owner, Some(self))
    }

    /// Runs an operation over the caller's own exchange: see [`run`].
    pub fn run_over(
        &self,
        operation: &mut Operation,
        exchange: &mut dyn Exchange,
        owner: &mut dyn Owner,
    ) -> Result<Issued, Error> {
        check_issues(operation)?;
        self.complete_over(operation, exchange, owner)?;
        Ok(operation.issued().expect("done means issued").clone())
    }
}

impl Client {
    /// Gets status data about the signer of an answer, where [`super::Config::fetch_signer_status`] asks for it, before the answer is
    /// fed. Blocks. For programs that step and use this client's exchange; [`Client::run`] and its kin do it by themselves.
    ///
    /// Answers what could not be had, in words: whether that matters is for the revocation policy to say.
    pub fn ask_about_signer(&self, operation: &mut Operation, answer: &[u8], now: Time) -> Vec<String> {
        let cancel = self.exchange_limits().cancel.as_ref();
        self.signer_fetch.as_ref().map_or_else(Vec::new, |fetch| fetch.ask(operation, answer, now, cancel))
    }
}

fn check_issues(operation: &Operation) -> Result<(), Error> {
    match operation.request().certificate() {
        Some(_) => Ok(()),
        None if !operation.request().certificates().is_empty() => {
            let words = "several certificates come of this operation: complete it, and see what became of each";
            Err(Error::new(Code::InvalidArgument, words))
        }
        None => Err(Error::new(Code::InvalidArgument, "no certificate comes of this operation: complete it")),
    }
}

/// Runs an enrolment to its end: see [`complete`].
///
/// Errors: [`Code::InvalidArgument`] before anything is sent if the operation is not about a new certificate.
pub fn run(
    operation: &mut Operation,
    exchange: &mut dyn Exchange,
    limits: &ExchangeLimits,
    max_retries: u32,
    owner: &mut dyn Owner,
) -> Result<Issued, Error> {
    check_issues(operation)?;
    complete(operation, exchange, limits, max_retries, owner)?;
    let issued = operation.issued().ok_or_else(|| Error::new(Code::State, "done, and no certificate is there"))?;
    Ok(issued.clone())
}

/// Runs any operation to its end, or to a failure of the way to the server, after which it can be run again. What came
/// of it is in the operation: see [`Action::Done`].
///
/// Blocks. A message is repeated at most `max_retries` times and only where the server cannot have seen it: a server
/// that saw it would take the repetition for a second transaction.
pub fn complete(
    operation: &mut Operation,
    exchange: &mut dyn Exchange,
    limits: &ExchangeLimits,
    max_retries: u32,
    owner: &mut dyn Owner,
) -> Result<(), Error> {
    drive(operation, exchange, (limits, max_retries), owner, None)
}

/// `client`: whose settings may want the status of the answer's signer.
fn drive(
    operation: &mut Operation,
    exchange: &mut dyn Exchange,
    (limits, max_retries): (&ExchangeLimits, u32),
    owner: &mut dyn Owner,
    client: Option<&Client>,
) -> Result<(), Error> {
    let mut not_had = Vec::new();
    loop {
        if let Err(error) = operation.step(owner.now()).map(|_| ()) {
            if operation.holds_answer() {
                owner.checkpoint(operation)?;
            }
            return Err(with_causes(error, &not_had));
        }
        if !matches!(operation.action(), Some(Action::Sign(_) | Action::Done(_))) {
            owner.checkpoint(operation)?;
        }
        match operation.action() {
            Some(Action::Send { message, body }) => {
                let answer = send((message, body), exchange, limits, max_retries, owner)?;
                if let Some(client) = client {
                    not_had = client.ask_about_signer(operation, &answer.body, owner.now());
                }
                feed(operation, &answer)?;
            }
            Some(Action::Wait { seconds, reason, .. }) => owner.wait(seconds, reason)?,
            Some(Action::Sign(request)) => {
                let signature = owner.sign(&request)?;
                operation.put_signature(&signature, owner.now())?;
            }
            Some(Action::Accept(issued)) => match owner.decide(issued)? {
                Decision::Accept => operation.accept()?,
                Decision::Reject(reason) => operation.reject(&reason)?,
                Decision::NotAsAsked => operation.decide_by_policy()?,
            },
            Some(Action::Done(_)) | None => {
                owner.finished(operation);
                return Ok(());
            }
        }
    }
}

/// Where the status of a signer is not known: why it could not be had.
fn with_causes(error: Error, not_had: &[String]) -> Error {
    match not_had {
        [first, ..] if error.facts().refused == Some(Refused::StatusUnknown) => error.followed_by(first),
        _ => error,
    }
}

/// Hands in an answer as what it is: carried by people ([`Operation::feed_carried`]), or by a connection, where one that proves nothing
/// ends the operation; with or without certificates on both sides of TLS.
pub fn feed(operation: &mut Operation, reply: &Reply) -> Result<(), Error> {
    match (reply.is_carried, reply.is_mutually_authenticated) {
        (true, _) => operation.feed_carried(&reply.body),
        (false, true) => operation.feed_mutually_authenticated(&reply.body),
        (false, false) => operation.feed_by_connection(&reply.body),
    }
}

fn send(
    (message, body): (&[u8], BodyType),
    exchange: &mut dyn Exchange,
    limits: &ExchangeLimits,
    max_retries: u32,
    owner: &mut dyn Owner,
) -> Result<Reply, Error> {
    let mut retries = 0;
    loop {
        owner.observe(Event::Sending { body, message });
        let begun = std::time::Instant::now();
        match exchange.exchange(message, limits) {
            Ok(reply) => {
                owner.observe(Event::Received { message: &reply.body, elapsed: begun.elapsed() });
                return Ok(reply);
            }
            Err(error) if retries < max_retries && may_repeat(&error) => {
                retries += 1;
                // Doubling from two seconds, at most five minutes, unless the server says.
                let seconds = error.retry_after_seconds.unwrap_or(1 << retries.min(8)).min(300);
                owner.observe(Event::Retrying { error: &error, seconds });
                match owner.wait(seconds, &[]) {
                    Ok(()) => {}
                    // Who does not wait so long for a server that is not there is told that it is not there.
                    Err(refused) if refused.code() == Code::Cancelled && !limits.is_cancelled() => {
                        return Err(not_sent(body, error));
                    }
                    Err(refused) => return Err(refused),
                }
            }
            Err(error) => return Err(not_sent(body, error)),
        }
    }
}

const HEARD_BEFORE: &str =
    "the server has answered this operation before, at this URL: the operation can be run again, and asks the same";
const ISSUED_BEFORE: &str = "the server has answered this operation before, at this URL: a certificate was issued, and is not confirmed; the operation can be run again, and confirms it";

fn not_sent(body: BodyType, error: TransportError) -> Error {
    let is_unsent = !error.is_possibly_delivered;
    let is_about_time = error.is_about_time;
    // Whoever has answered before is at this URL, and speaks as it is spoken to.
    let was_heard = matches!(body, BodyType::CERTCONF | BodyType::POLLREQ | BodyType::POPDECR);
    let is_about_url = matches!(error.kind, Kind::HttpStatus | Kind::ContentType | Kind::Broken);
    let error = transport::diagnose(error).context(&format!("sending {body}"));
    error.with(|facts| {
        if was_heard && is_about_url {
            facts.hint = Some(match body {
                BodyType::CERTCONF => ISSUED_BEFORE,
                _ => HEARD_BEFORE,
            });
        }
        (facts.phase, facts.is_unsent, facts.is_about_time) = (Some(body.into()), is_unsent, is_about_time);
    })
}

/// Whether the server cannot have taken the message: it was never reached whole, or said that it is busy.
fn may_repeat(error: &TransportError) -> bool {
    use crate::transport::TransportErrorKind::{Busy, Connect};
    error.kind == Busy || (error.kind == Connect && !error.is_possibly_delivered)
}
