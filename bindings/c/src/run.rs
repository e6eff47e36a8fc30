//! Running operations: blocking comfort on top of the steps, also without a clock or by files, and its end from another thread.

use std::time::{Duration, Instant};

use super::args::{Slot, null};
use super::config::{DEVID_LOG_ERROR, DEVID_LOG_INFO, DEVID_LOG_WARNING, Log};
use super::operation::Op;
use super::own_transport::OwnTransport;
use super::prelude::*;
use super::progress::Checkpoint;
use super::renewal::{DEVID_NO_CLOCK, clock};
use devid_core::client::renewal::Timekeeper;
use devid_core::client::run::{feed, sleep_within_reason, system_time};
use devid_core::client::{Decision, Event, Owner, Unattended};
use devid_core::cmp::{Action, Issued, Operation, describe_message};
use devid_core::limits::Limits;
use devid_core::transport::file::FileExchange;
use devid_core::transport::{Cancel, Exchange, ExchangeLimits, Reply, TransportError, diagnose};

/// Carries a message to the server and brings the answer. request: one PKIMessage, DER. reply: give the answer's body with
/// devid_bytes_append(). Return 0, or a number at or below -10000, which becomes the status of the call.
#[callback]
pub type devid_exchange_fn = fn(request: &[u8], reply: &mut devid_bytes) -> i32;

/// Decides on the issued certificate, and is the place to install it. issuers: the certificates above it. differences: where
/// it is not what was asked for, one per line; "" if nowhere. *out_accept is 0 and refuses; write 1 to take the certificate.
/// Return 0; or, to end the run without a decision, a number at or below -10000, or DEVID_E_CANCELLED if the program's user wants that.
#[callback]
pub type devid_decide_fn =
    fn(cert: &devid_cert, issuers: &devid_cert_list, differences: &str, out_accept: &mut i32) -> i32;

/// As devid_decide_fn, with the differences as data. They belong to the library.
#[callback]
pub type devid_judge_fn =
    fn(cert: &devid_cert, issuers: &devid_cert_list, differences: &devid_differences, out_accept: &mut i32) -> i32;

/// How a program decides on an issued certificate.
pub(super) enum Judge {
    ByText(devid_decide_fn, User),
    ByData(devid_judge_fn, User),
}

impl Judge {
    fn ask(&self, issued: &Issued) -> Result<Decision, Error> {
        let (cert, issuers) =
            (Slot::lent(devid_cert::of(issued.certificate.clone())), Slot::lent(issued.chain.clone()));
        let mut accept = 0;
        let status = match self {
            Judge::ByText(decide, user) => {
                let differences: Vec<String> = issued.differences.iter().map(ToString::to_string).collect();
                devid_decide_fn(*decide, user, &cert, &issuers, &differences.join("\n"), &mut accept)
            }
            Judge::ByData(judge, user) => {
                let differences = Slot::lent(devid_differences::of(&issued.differences));
                devid_judge_fn(*judge, user, &cert, &issuers, &differences, &mut accept)
            }
        };
        match (status, accept) {
            (0, 1) => Ok(Decision::Accept),
            (0, _) => Ok(Decision::Reject("refused by the program".to_owned())),
            (number, _) => Err(ended_by_program("decide", number)),
        }
    }
}

/// Waits so many seconds; a function that returns earlier has the rest slept by the library. Return 0; or, to end the run, a number at
/// or below -10000 or DEVID_E_CANCELLED; the operation can go on later.
#[callback]
pub type devid_wait_fn = fn(seconds: u32) -> i32;

/// What the program does itself while an operation runs.
#[derive(Default)]
pub(super) struct Callbacks {
    /// Messages travel as files: see devid_op_set_files().
    pub(super) files: Option<devid_core::transport::file::FileExchange>,
    pub(super) exchange: Option<OwnTransport>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) decide: Option<Judge>,
    pub(super) wait: Option<(devid_wait_fn, User)>,
}

/// Carry the messages by a function of the program instead of the built-in HTTP client.
///
/// @param exchange  NULL: the built-in HTTP client. May be NULL.
/// @param user      Passed to `exchange` and `destroy`. May be NULL.
/// @param destroy   Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_exchange(op: &mut devid_op, exchange: Option<devid_exchange_fn>, user: User) -> Result<(), Error> {
    op.callbacks.exchange = exchange.map(|exchange| OwnTransport::Bytes(exchange, user));
    Ok(())
}

/// Let a function of the program decide on the issued certificate. Without one, devid_op_run() takes a certificate that is
/// what was asked for and refuses any other.
///
/// @param decide   NULL: as above. May be NULL.
/// @param user     Passed to `decide` and `destroy`. May be NULL.
/// @param destroy  Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_decide(op: &mut devid_op, decide: Option<devid_decide_fn>, user: User) -> Result<(), Error> {
    op.callbacks.decide = decide.map(|decide| Judge::ByText(decide, user));
    Ok(())
}

/// As devid_op_set_decide(), and takes its place; the function is told the differences as data.
///
/// @param judge    NULL: as devid_op_set_decide() with NULL. May be NULL.
/// @param user     Passed to `judge` and `destroy`. May be NULL.
/// @param destroy  Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_judge(op: &mut devid_op, judge: Option<devid_judge_fn>, user: User) -> Result<(), Error> {
    op.callbacks.decide = judge.map(|judge| Judge::ByData(judge, user));
    Ok(())
}

/// Let a function of the program wait, or refuse to. Without one, devid_op_run() sleeps for up to 3600 s at a time; where the server
/// asks for more it answers DEVID_E_BUSY with devid_error_retry_after_seconds().
///
/// @param wait     NULL: sleep. May be NULL.
/// @param user     Passed to `wait` and `destroy`. May be NULL.
/// @param destroy  Called once, when the operation is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_op_set_wait(op: &mut devid_op, wait: Option<devid_wait_fn>, user: User) -> Result<(), Error> {
    op.callbacks.wait = wait.map(|wait| (wait, user));
    Ok(())
}

/// Runs an operation to its end. Blocks: an exchange for as long as devid_config_set_timeouts() says (120 s), a wait for 3600 s at
/// most, all of it for the limit `max_total_seconds` (30 days). devid_op_set_cancel() ends it at any moment. This function alone
/// reads the system's clock.
///
/// After a failure of the way to the server (devid_status_class() gives DEVID_CLASS_TRANSPORT) or of a callback, the operation
/// stands where it was: it can be run again, stepped or saved.
///
/// @return DEVID_OK: the certificate is issued and confirmed, see devid_op_certificate(); or what else was asked for is done. Else as devid_op_step(), or
///         DEVID_CLASS_TRANSPORT, or what a callback returned.
#[export]
fn devid_op_run(op: &mut devid_op) -> Result<(), Error> {
    // Lent out: the closure has the rest of the operation.
    let mut installing = op.installing.take();
    let result = with_exchange(op, |operation, exchange, callbacks, session| {
        let cancel = session.client.exchange_limits().cancel.as_ref();
        let mut owner = Program { callbacks, log: &session.log, cancel };
        match installing.as_mut().filter(|bound| !bound.is_finished()) {
            Some(bound) => bound.run(&session.client, operation, exchange, &mut owner),
            None => session.client.complete_over(operation, exchange, &mut owner),
        }
    });
    op.installing = installing;
    if let Err(error) = &result {
        Log::line(&op.session.log, DEVID_LOG_ERROR, || error.to_string());
    }
    result
}

/// Sends the message under way and feeds the answer: one exchange, for programs that step but leave HTTP to the library.
/// Blocks.
///
/// @param op   After DEVID_ACTION_SEND. Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no message is under way; a failure of the way to the server, after which the same
///         message can be sent again.
#[export]
fn devid_op_exchange(op: &mut devid_op) -> Result<(), Error> {
    with_exchange(op, |operation, exchange, _, session| {
        let Some(Action::Send { message, body }) = operation.action() else {
            return Err(Error::new(Code::State, "no message is to be sent"));
        };
        let reply = exchange.exchange(message, session.client.exchange_limits());
        let reply = reply.map_err(|e| diagnose(e).with(|facts| facts.phase = Some(body.into())))?;
        session.client.ask_about_signer(operation, &reply.body, system_time());
        feed(operation, &reply)
    })
}

/// Lends the parts of an operation with the program's exchange, or the built-in one, whose connection is kept.
pub(super) fn with_exchange<T>(
    op: &mut Op,
    use_it: impl FnOnce(
        &mut devid_core::cmp::Operation,
        &mut dyn Exchange,
        &Callbacks,
        &super::config::Session,
    ) -> Result<T, Error>,
) -> Result<T, Error> {
    op.operation_mut();
    if let Some(files) = &op.callbacks.files {
        let mut exchange = files.clone();
        return use_it(&mut op.operation, &mut exchange, &op.callbacks, &op.session);
    }
    if op.callbacks.exchange.is_some() {
        let mut exchange = ProgramExchange { callbacks: &op.callbacks };
        return use_it(&mut op.operation, &mut exchange, &op.callbacks, &op.session);
    }
    let built_in = match &mut op.built_in {
        Some(built_in) => built_in,
        // A device memory that the operation is bound to is asked about TLS servers too.
        empty => empty.insert(match &op.installing {
            Some(installing) => op.session.client.asking(installing.destination().store).exchange()?,
            None => op.session.client.exchange()?,
        }),
    };
    let done = use_it(&mut op.operation, built_in, &op.callbacks, &op.session);
    done.map_err(|error| op.session.client.with_path(error))
}

pub(super) struct ProgramExchange<'a> {
    pub(super) callbacks: &'a Callbacks,
}

impl Exchange for ProgramExchange<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        self.callbacks.exchange.as_ref().expect("only made where there is one").carry(request, limits)
    }
}

/// The program as the owner of a running operation.
pub(super) struct Program<'a> {
    pub(super) callbacks: &'a Callbacks,
    pub(super) log: &'a Option<std::sync::Arc<Log>>,
    pub(super) cancel: Option<&'a Cancel>,
}

impl Owner for Program<'_> {
    fn now(&mut self) -> Time {
        system_time()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        Log::line(self.log, DEVID_LOG_INFO, || format!("waiting {seconds} s {}", reason.join(" ")));
        let Some((wait, user)) = &self.callbacks.wait else {
            return sleep_within_reason(self.cancel, seconds);
        };
        let begun = Instant::now();
        match devid_wait_fn(*wait, user, seconds) {
            // Asked again it would return at once again, and be asked a million times: what it left of the time is slept here.
            0 => match Duration::from_secs(seconds.into()).saturating_sub(begun.elapsed()).as_secs_f32().ceil() {
                left if left > 0.0 => sleep_within_reason(self.cancel, left as u32),
                _ => Ok(()),
            },
            number => Err(ended_by_program("wait", number)),
        }
    }

    fn decide(&mut self, issued: &Issued) -> Result<Decision, Error> {
        for warning in issued.warnings() {
            Log::line(self.log, DEVID_LOG_WARNING, || warning);
        }
        match &self.callbacks.decide {
            Some(judge) => judge.ask(issued),
            None => Unattended.decide(issued),
        }
    }

    /// The moments at which a switch ends also a run whose functions are all the program's.
    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        if self.cancel.is_some_and(Cancel::is_cancelled) {
            return Err(Error::new(Code::Cancelled, "cancelled by the caller"));
        }
        self.callbacks.checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.tell(operation))
    }

    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Sending { body, message } => {
                Log::line(self.log, DEVID_LOG_INFO, || format!("sending {body}, {} bytes", message.len()));
            }
            Event::Received { message, elapsed } => Log::line(self.log, DEVID_LOG_INFO, || {
                let words = describe_message(message, &Limits::default());
                let words = words.as_deref().unwrap_or("no message");
                format!("an answer of {} bytes came after {} ms: {words}", message.len(), elapsed.as_millis())
            }),
            Event::Retrying { error, seconds } => {
                Log::line(self.log, DEVID_LOG_WARNING, || format!("again in {seconds} s: {error}"));
            }
        }
    }
}

/// What a function of the program has answered besides 0: its own number, or that its user wants no more of it.
pub(super) fn ended_by_program(what: &str, number: i32) -> Error {
    let words = format!("the function for {what} returned {number}");
    match number == Code::Cancelled.number() {
        true => Error::new(Code::Cancelled, words),
        false => Error::application(number.min(-10_000), words),
    }
}

/// Runs an operation of a client without a clock, as devid_op_run() does, and learns the time: an answer is judged as of its own
/// messageTime, if that is not before what is known, and only an authentic one is learnt from. Kept in device memory. Blocks. The
/// system's clock is not read.
///
/// @param op          Of a client that devid_client_without_clock() made. Not NULL.
/// @param at_least    A lower bound known otherwise, such as the build date of the firmware; 0 if there is none. What device memory
///                    knows counts if it is later.
/// @param out_learnt  Receives the time that was learnt, also on failure; DEVID_NO_CLOCK if none was. Not NULL.
/// @return As devid_op_run().
#[export]
fn devid_op_run_without_clock(
    op: &mut devid_op,
    store: &devid_store,
    at_least: i64,
    mut out_learnt: Out<i64>,
) -> Result<(), Error> {
    out_learnt.set(i64::from(DEVID_NO_CLOCK));
    let bound = clock(at_least).max(store.last_known_time()?).unwrap_or(Time::from_unix(0));
    let mut learnt = Ok(None);
    let outcome = with_exchange(op, |operation, exchange, callbacks, session| {
        let cancel = session.client.exchange_limits().cancel.as_ref();
        let mut owner = Program { callbacks, log: &session.log, cancel };
        let client = &session.client;
        let mut keeper = Timekeeper::without_clock(&mut owner, bound).up_to(client.end_of_anchors());
        let outcome = client.complete_over(operation, exchange, &mut keeper);
        learnt = client.learn_into(store, &mut keeper, &outcome);
        outcome
    });
    if let Some(time) = learnt? {
        out_learnt.set(time.unix());
    }
    outcome
}

/// A switch that ends blocking calls from another thread, or from none: it may be used by any number of operations, and is triggered
/// once. Shared by threads as const.
#[handle]
pub type devid_cancel = Cancel;

/// Makes a switch that is not triggered.
///
/// @param out_cancel  Receives the switch; free with devid_cancel_free(). Not NULL.
#[export]
fn devid_cancel_new() -> Result<devid_cancel, Error> {
    Ok(Cancel::new())
}

/// Throws the switch: devid_op_run() and devid_op_exchange() of operations that have it return soon with DEVID_E_CANCELLED, and
/// so does every later call of theirs. The operations stand where they were: they can be saved, or go on with another switch.
/// Returns at once; may be called from a thread of any kind, but not from a signal handler.
#[export]
fn devid_cancel_trigger(cancel: &devid_cancel) {
    cancel.cancel();
}

/// Whether the switch was triggered.
///
/// @return 1 or 0.
#[export]
fn devid_cancel_is_triggered(cancel: &devid_cancel) -> bool {
    cancel.is_cancelled()
}

/// Frees a switch. Operations that have it keep what they need of it.
#[export]
fn devid_cancel_free(cancel: Owned<devid_cancel>) {
    drop(cancel)
}

/// Gives an operation a switch by which its blocking calls end: exchanges by the built-in HTTP client at any moment, waits without a
/// function of the program at any moment, and functions of the program when they return.
///
/// @param cancel  NULL: none. May be NULL.
#[export]
fn devid_op_set_cancel(op: &mut devid_op, cancel: Option<&devid_cancel>) -> Result<(), Error> {
    op.session.client = op.session.client.with_cancel(cancel.cloned());
    Ok(())
}

/// Let the messages of an operation of any kind travel as files instead of over a network: requests go to
/// NAME-1-request.pki, NAME-2-request.pki and so on, answers are expected in NAME-1-answer.pki and so on, each one PKIMessage in
/// DER. A file appears whole or not at all, and is on the medium when the call returns: a stick may be pulled.
///
/// As long as an answer is not there, devid_op_run() and devid_op_exchange() answer DEVID_E_BUSY. The operation stands where it
/// was: saved, or bound by devid_op_install_into(), it continues weeks and reboots later, finds its own request again and looks for
/// the answer once more.
///
/// @param folder  An existing directory, such as where the stick is mounted. NULL: the network again. May be NULL.
/// @param name    Keeps transactions apart: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot. NULL only if `folder` is. May be
///                NULL.
/// @return DEVID_OK; DEVID_E_NULL for a folder without a name, DEVID_E_INVALID_ARGUMENT for a name that cannot be used.
#[export]
fn devid_op_set_files(op: &mut devid_op, folder: Option<&str>, name: Option<&str>) -> Result<(), Error> {
    op.callbacks.files = match folder {
        Some(folder) => Some(FileExchange::new(folder, name.ok_or_else(|| null("name"))?)?),
        None => None,
    };
    Ok(())
}
