//! `enroll`, `keep`, `renew`: what brings a certificate.

use std::sync::Arc;

use devid::client::renewal::{Done, Plan, Reason, Report};
use devid::client::run::sleep_unless;
use devid::client::{Client, Step, Subject};
use devid::crypto::PrivateKey;
use devid::store::{Identity as Kept, ProblemKind};
use devid::{Code, Error};
use serde_json::{Value, json};

use super::hooks::Failed;
use super::{dry, hooks, is_lost, status, traced};
use crate::arguments::{Enroll, Keep, Renew, Talk};
use crate::attendant::{Attendant, cancel, interrupted, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure, error_json};
use crate::output::{Output, date};
use crate::trace::Trace;

/// Waits of the CA that a person sits through, in seconds.
const PATIENCE_SECONDS: u32 = 7 * 86_400;

/// What came of one identity.
pub enum Outcome {
    Installed(Box<Kept>),
    Waiting,
    /// In one word, and why, where something was given up.
    Other(&'static str, Option<Error>),
}

/// How often somebody else's work is looked at, in seconds.
const LOOK_SECONDS: u32 = 2;

/// When the daemon tries again where another process has not let go of device memory, in seconds.
const LOCKED_SECONDS: u32 = 60;

/// The first certificate, waited for.
pub fn enroll(command: &Enroll, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let has_one = device.store.state(&name)?.current.is_some();
    if has_one && !command.again {
        if let Err(error) = device.store.current(&name).map_err(Error::from) {
            let words = format!("\"{name}\" has a certificate already, and its key does not open");
            return Err(error.context(&words).into());
        }
        let words = format!(
            "\"{name}\" has a certificate already: devid renew gets the next one, devid enroll --again another first one by ca.login"
        );
        return Err(Failure::Own(Exit::Store, words));
    }
    if let Some(why) = device.begun_otherwise(&name).filter(|_| has_one) {
        let words = format!(
            "{why}: devid keep goes on with it, devid store abandon {name} gives it up for another first certificate"
        );
        return Err(Failure::Own(Exit::Store, words));
    }
    if command.dry_run {
        return dry::enroll(device, &name, output);
    }
    // What is under way is gone on with, whoever began it.
    let is_anew = has_one && !is_under_way(device, &name)?;
    let by_login: NextClient =
        |device, name| device.another_client(name).map(|(client, subject)| (client, Some(subject)));
    let outcome = talk(&command.talk, "enroll", |trace| match is_anew {
        true => ask_now(device, &name, by_login, output, command.talk.no_wait, trace),
        false => attend(device, &name, has_one.then_some(by_login), output, command.talk.no_wait, trace),
    })?;
    conclude("enroll", device, &name, outcome, output)
}

/// Whatever is due, once, for each identity.
pub fn keep(command: &Keep, device: &Device, output: Output) -> Result<Exit, Failure> {
    watch_signals();
    let names = device.names(&command.names)?;
    if command.dry_run {
        return told_of(&names, command, device, output);
    }
    let mut documents = Vec::new();
    let (mut exit, mut first_failure) = (Exit::NothingDue, None);
    let ((), lost) = traced(command.trace.as_deref(), "devid keep", |mut trace| {
        for name in &names {
            if cancel().is_cancelled() {
                first_failure.get_or_insert(interrupted(&format!("\"{name}\" was not looked at")));
                break;
            }
            if let Some(trace) = &mut trace {
                trace.about(name);
            }
            let mut looked = keep_one(device, name, &Failed::new(), output, trace.as_deref_mut());
            if let Some(failure) = looked.failure.take() {
                output.say(&format!("{name}: {}", failure.report()));
                // Whoever reads the trace finds it there too.
                if let Some(trace) = &mut trace {
                    trace.failed(&failure);
                }
                first_failure.get_or_insert(failure);
            }
            documents.push(looked.document);
            exit = worse(exit, looked.exit);
        }
        Ok(())
    })?;
    if is_lost(lost, output) {
        exit = Exit::Hook;
    }
    if let Some(failure) = first_failure {
        return Err(failure);
    }
    whole(exit)?;
    let changed = documents.iter().any(|d| d["did"] == "installed");
    let exit = match exit {
        Exit::Hook => Exit::Hook,
        other if command.exit_code => other,
        _ => Exit::Done,
    };
    Ok(output.ended("keep", exit, "", json!({ "changed": changed, "identities": documents })))
}

/// What would be due.
fn told_of(names: &[String], command: &Keep, device: &Device, output: Output) -> Result<Exit, Failure> {
    let (mut documents, mut first) = (Vec::new(), None);
    for name in names {
        let told = status::told(device, name);
        output.say(&told.line);
        documents.push(told.document);
        first = first.or(told.failure);
    }
    if let Some(failure) = first {
        return Err(failure);
    }
    let exit = if command.exit_code { Exit::NothingDue } else { Exit::Done };
    Ok(output.ended("keep", exit, "", json!({ "changed": false, "identities": documents })))
}

/// What a look at one identity came to.
pub struct Looked {
    pub document: Value,
    pub exit: Exit,
    /// What went wrong with the CA or device memory.
    pub failure: Option<Failure>,
    /// Look again after so many seconds.
    pub again_seconds: u32,
    /// Exports and programs that have failed.
    pub failed: Failed,
}

/// One identity, with its exports and hooks. Also the daemon's step. `held`: exports and programs that failed and are not tried now.
pub fn keep_one(device: &Device, name: &str, held: &Failed, output: Output, mut trace: Option<&mut Trace>) -> Looked {
    let document = json!({ "name": name });
    let mut looked =
        Looked { document, exit: Exit::NothingDue, failure: None, again_seconds: 0, failed: Failed::new() };
    let (mut did, mut why) = ("nothing", None);
    tell_changes(device, name, output);
    // More may be due behind what is due first: the time is learnt, and a renewal follows; the bound is for a faulty plan.
    for _ in 0..4 {
        let report = match step(device, name, output, true, trace.as_deref_mut()) {
            Ok(report) => report,
            Err(failure) if failure.is_at_work() => {
                output.say(&format!("{name}: {failure}"));
                (did, looked.exit, looked.again_seconds) = ("locked", Exit::Locked, LOOK_SECONDS);
                break;
            }
            Err(failure) => {
                if failure.exit() == Exit::Locked {
                    looked.again_seconds = LOCKED_SECONDS;
                }
                looked.failure = Some(failure);
                break;
            }
        };
        looked.again_seconds = report.wait_seconds;
        for found in report.plan.findings.iter().filter(|found| found.is_mended) {
            output.say(&format!("{name}: {}: {}", found.place, found.text));
        }
        match judged(report.outcome) {
            Ok(Outcome::Installed(kept)) => {
                output.say(&format!(
                    "{name}: generation {} in use, valid until {}",
                    kept.generation,
                    date(kept.certificate.not_after())
                ));
                (did, looked.exit) = ("installed", Exit::Done);
            }
            Ok(Outcome::Waiting) => (did, looked.exit) = ("waiting", Exit::Waiting),
            // What was done before it in this call is what was done.
            Ok(Outcome::Other("nothing", _)) => break,
            Ok(Outcome::Other(words, error)) => {
                output.say(&told(name, words, error.as_ref()));
                (did, why) = (words, error);
            }
            Err(failure) => {
                looked.failure = Some(failure);
                break;
            }
        }
        if report.wait_seconds > 0 || did == "waiting" {
            break;
        }
    }
    if did == "waiting" {
        output.say(&waiting(device, name, "the request is kept"));
        hooks::run(&device.settings.hooks, hooks::Event::Waiting, name, None, output);
    }
    if let Some(failure) = looked.failure.as_ref().filter(|_| !cancel().is_cancelled()) {
        hooks::run(&device.settings.hooks, hooks::Event::Failed, name, Some(&failure.to_string()), output);
    }
    after(device, name, held, output, (did, why.as_ref()), &mut looked);
    looked
}

/// Exports and programs behind it, and what is told of it all.
fn after(
    device: &Device,
    name: &str,
    held: &Failed,
    output: Output,
    (did, why): (&str, Option<&Error>),
    looked: &mut Looked,
) {
    let behind = hooks::behind(device, name, held, output);
    match status::document(device, name) {
        Ok(document) => looked.document = document,
        Err(failure) => {
            looked.document = status::unreadable(device, name, &failure);
            looked.failure = Some(looked.failure.take().unwrap_or(failure));
        }
    }
    let document = &mut looked.document;
    document["did"] = json!(if looked.failure.is_some() { "failed" } else { did });
    behind.tell(document);
    document["error"] = looked.failure.as_ref().map_or(Value::Null, Failure::json);
    document["given_up"] = why.map_or(Value::Null, error_json);
    if document["copied"] == true {
        output.say(&format!("{name}: device memory is a copy of another device's: devid doctor says what to do"));
    }
    if document["alarm"] != "quiet" {
        hooks::run(&device.settings.hooks, hooks::Event::Alarm, name, None, output);
    }
    looked.failed = behind.failed;
    match (behind.is_good, looked.exit) {
        (false, _) => looked.exit = Exit::Hook,
        (true, Exit::NothingDue) if behind.has_worked => looked.exit = Exit::Done,
        (true, _) => {}
    }
}

/// What was done besides certificates, for people.
fn told(name: &str, words: &str, error: Option<&Error>) -> String {
    match error {
        Some(error) => {
            format!(
                "{name}: what was under way is {words}, another request follows when one is due: {}",
                error.report()
            )
        }
        None => format!("{name}: {words}"),
    }
}

/// A person asks for it now: what failed before is not waited out. Refused while somebody else is at work.
fn hurry(device: &Device, name: &str) -> Result<(), Failure> {
    let _busy = device.busy(name, "devid")?;
    let identity = device.identity(name);
    Ok(device.planner(&identity).hurry(&device.store, name)?)
}

/// A renewal, if it is due or asked for.
pub fn renew(command: &Renew, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let state = device.store.state(&name)?;
    if state.current.is_none() && state.pending.is_none() {
        let words = format!("\"{name}\" has no certificate to renew: devid enroll {name} gets the first one");
        return Err(Error::new(Code::NotFound, words).into());
    }
    let plan = device.planner(&device.identity(&name)).plan(&device.store, &name, device.clock())?;
    let is_unfinished = is_under_way(device, &name)?;
    let is_waiting = matches!(plan.reason, Reason::Retrying | Reason::GivenUp | Reason::DayUsedUp | Reason::Revoked);
    if !command.now && !is_unfinished && !is_waiting && plan.step == Step::Nothing {
        // One whose key does not open is not as it should be.
        device.store.current(&name)?;
        let when = plan.renewal_at.map_or_else(|| "never".to_owned(), date);
        output.result(
            "renew",
            &format!("{name}: nothing is due; the renewal comes {when}"),
            json!({ "changed": false }),
        );
        return Ok(Exit::Done);
    }
    if command.dry_run {
        return dry::renew(device, &name, output);
    }
    let outcome = talk(&command.talk, "renew", |trace| match command.now && !is_unfinished {
        true => ask_now(device, &name, Device::next_client, output, command.talk.no_wait, trace),
        false => {
            let anew: Option<NextClient> = if command.now { Some(Device::next_client) } else { None };
            attend(device, &name, anew, output, command.talk.no_wait, trace)
        }
    })?;
    conclude("renew", device, &name, outcome, output)
}

fn talk<T>(
    talk: &Talk,
    command: &str,
    work: impl FnOnce(Option<&mut Trace>) -> Result<T, Failure>,
) -> Result<(T, Option<Failure>), Failure> {
    watch_signals();
    traced(talk.trace.as_deref(), &format!("devid {command}"), work)
}

/// Step after step until the identity is there, with a person watching. `anew`: who asks for what the person wants, and no plan does, where
/// what was under way is given up.
fn attend(
    device: &Device,
    name: &str,
    anew: Option<NextClient>,
    output: Output,
    no_wait: bool,
    mut trace: Option<&mut Trace>,
) -> Result<Outcome, Failure> {
    let before = device.store.state(name)?.current;
    tell_changes(device, name, output);
    let (mut is_hurried, mut awaited) = (false, String::new());
    loop {
        let begun = if is_hurried { Ok(()) } else { hurry(device, name) };
        is_hurried |= begun.is_ok();
        let report = match begun.and_then(|()| step(device, name, output, no_wait, trace.as_deref_mut())) {
            Ok(report) => report,
            // Somebody else is at it: what comes of that is what comes of this.
            Err(failure) if failure.is_at_work() && !no_wait => {
                let words = failure.to_string();
                if awaited != words {
                    output.say(&format!("{name}: waiting for what comes of it, Ctrl-C ends the wait: {words}"));
                    awaited = words;
                }
                sleep_unless(Some(cancel()), LOOK_SECONDS)?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let wait = report.wait_seconds;
        let current = device.store.state(name)?.current;
        match judged(report.outcome)? {
            Outcome::Other("nothing", _) if current.is_some() && current != before => {
                output.end_progress();
                return Ok(Outcome::Installed(Box::new(device.store.current(name)?)));
            }
            Outcome::Other("nothing", _) if device.store.operations()?.iter().any(|saved| saved == name) => {
                if no_wait {
                    return Ok(Outcome::Waiting);
                }
                let span = crate::output::span(u64::from(wait));
                output.say(&match device.begins_later(name) {
                    Some(_) => waiting(device, name, &format!("next look in {span}")),
                    None => format!("{name}: a request is under way; next question in {span}"),
                });
                wait_or_notice(device, name, wait)?;
            }
            Outcome::Other("nothing", _) => return Err(nothing_to_do(name, &report.plan, wait)),
            Outcome::Other(words, error) => {
                output.say(&told(name, words, error.as_ref()));
                if let Some(next_client) = anew.filter(|_| error.is_some()) {
                    return ask_now(device, name, next_client, output, no_wait, trace);
                }
            }
            done => return Ok(done),
        }
    }
}

/// Waits, and notices when another process has changed something meanwhile.
fn wait_or_notice(device: &Device, name: &str, seconds: u32) -> Result<(), Failure> {
    let look = || -> Result<_, Failure> { Ok((device.store.state(name)?, device.store.operations()?)) };
    let before = look()?;
    let mut left = seconds;
    while left > 0 {
        let now = left.min(LOOK_SECONDS);
        sleep_unless(Some(cancel()), now)?;
        left -= now;
        if look()? != before {
            break;
        }
    }
    Ok(())
}

fn nothing_to_do(name: &str, plan: &Plan, wait: u32) -> Failure {
    // Nobody was asked: who waits is told when to try again, and what waits for a person is no matter of time.
    let exit = if matches!(plan.reason, Reason::RequestOut | Reason::Revoked) { Exit::Usage } else { Exit::Transport };
    let words = match plan.reason {
        Reason::Revoked => {
            let found = plan.findings.iter().filter(|found| found.kind == ProblemKind::Revoked);
            let words: Vec<&str> = found.map(|found| found.text.as_str()).collect();
            format!("{name}: nothing is asked for: {}", words.join("; "))
        }
        Reason::RequestOut => format!(
            "a PKCS#10 request of \"{name}\" is out: devid import takes its certificate, devid store abandon {name} gives it up"
        ),
        reason => format!(
            "nothing can be done now ({}), {} to go (devid store reset {name} forgets what failed)",
            reason.word(),
            crate::output::span(u64::from(wait))
        ),
    };
    Failure::Own(exit, words)
}

fn step(
    device: &Device,
    name: &str,
    output: Output,
    no_wait: bool,
    trace: Option<&mut Trace>,
) -> Result<Report, Failure> {
    let mut attendant = Attendant::new(output, no_wait, trace);
    let patience = if no_wait { 0 } else { PATIENCE_SECONDS };
    Ok(device.step(name, device.clock(), patience, Some(cancel()), &mut attendant)?)
}

fn judged(outcome: Result<Done, Error>) -> Result<Outcome, Failure> {
    Ok(match outcome? {
        Done::Installed(kept) => Outcome::Installed(kept),
        Done::Waiting => Outcome::Waiting,
        Done::RootAdded(_) => Outcome::Other("root-added", None),
        Done::NoSuccessor => Outcome::Other("no-successor", None),
        Done::Abandoned(error) => Outcome::Other("given-up", Some(error)),
        Done::TimeLearnt => Outcome::Other("time-learnt", None),
        _ => Outcome::Other("nothing", None),
    })
}

/// Who asks for the next certificate: with a subject, for a first one, else for a key update.
type NextClient = fn(&Device, &str) -> Result<(Client, Option<Subject>), Error>;

/// Whether a request is kept that the same command goes on with.
fn is_under_way(device: &Device, name: &str) -> Result<bool, Failure> {
    Ok(device.store.operations()?.iter().any(|saved| saved == name))
}

/// A certificate that the plan does not ask for.
fn ask_now(
    device: &Device,
    name: &str,
    next_client: NextClient,
    output: Output,
    no_wait: bool,
    trace: Option<&mut Trace>,
) -> Result<Outcome, Failure> {
    let (_busy, identity) = (device.busy(name, "devid")?, &device.identity(name));
    let (client, subject) = next_client(device, name)?;
    let client = client.with_cancel(Some(cancel().clone()));
    let key: Arc<dyn PrivateKey> = match identity.renew.same_key && subject.is_none() {
        true => key_in_use(device, name)?,
        false => device.new_key(name, identity)?,
    };
    let mut attendant = Attendant::new(output, no_wait, trace);
    let mut exchange = client.exchange()?;
    let to = device.destination(name, identity);
    let outcome = match &subject {
        Some(subject) => client.enroll_into(to, &key, subject, &mut *exchange, &mut attendant),
        None => client.renew_into(to, &key, &mut *exchange, &mut attendant),
    };
    match outcome {
        Ok(kept) => Ok(Outcome::Installed(Box::new(kept))),
        Err(error) => match attendant.left_waiting {
            Some(_) if error.code() == Code::Cancelled => Ok(Outcome::Waiting),
            _ => Err(error.into()),
        },
    }
}

/// For the same key again.
pub fn key_in_use(device: &Device, name: &str) -> Result<Arc<dyn PrivateKey>, Failure> {
    let key = device.store.open_key(&device.store.current(name)?.key)?;
    key.ok_or_else(|| Failure::Own(Exit::Crypto, format!("the key of \"{name}\" cannot be opened here")))
}

/// What is waited for: the CA, or the time of a certificate that it has issued for later.
fn waiting(device: &Device, name: &str, then: &str) -> String {
    match device.begins_later(name) {
        Some(begins) => {
            format!("{name}: the certificate is confirmed and kept, and valid from {} on; {then}", date(begins))
        }
        None => {
            let said: Vec<String> = device.under_way(name).iter().flat_map(status::under_way).collect();
            let said = if said.is_empty() { String::new() } else { format!("; {}", said.join("; ")) };
            format!("{name}: the CA asks to wait{said}; {then}")
        }
    }
}

/// What was asked for before the settings were changed is not what they ask for now; what they say without effect is told before the
/// first certificate is asked for.
fn tell_changes(device: &Device, name: &str, output: Output) {
    let is_first = device.store.state(name).is_ok_and(|state| state.current.is_none() && state.pending.is_none());
    if is_first && device.under_way(name).is_none() {
        device.without_effect().iter().for_each(|words| output.say(&format!("warning: {words}")));
    }
    let differs = device.under_way(name).map(|request| request.differs).unwrap_or_default();
    if !differs.is_empty() {
        output.say(&format!(
            "{name}: a request is under way, and {}; devid store abandon {name} gives it up and begins anew",
            differs.join("; ")
        ));
    }
}

/// Exports and programs behind what came, then what is told of it. `lost`: the trace that could not be written to its end.
fn conclude(
    command: &str,
    device: &Device,
    name: &str,
    (outcome, lost): (Outcome, Option<Failure>),
    output: Output,
) -> Result<Exit, Failure> {
    let (did, exit) = match &outcome {
        Outcome::Installed(_) => ("installed", Exit::Done),
        Outcome::Waiting => ("waiting", Exit::Waiting),
        Outcome::Other(words, _) => (*words, Exit::Done),
    };
    let behind = hooks::behind(device, name, &Failed::new(), output);
    let exit = if behind.is_good { exit } else { Exit::Hook };
    whole(exit)?;
    let exit = if is_lost(lost, output) { Exit::Hook } else { exit };
    let mut document = status::document(device, name)?;
    document["did"] = json!(did);
    behind.tell(&mut document);
    let text = match &outcome {
        Outcome::Waiting => waiting(device, name, "the same command goes on"),
        _ => status::line(device, name)?,
    };
    Ok(output.ended(command, exit, &text, json!({ "changed": did == "installed", "identities": [document] })))
}

/// An export or a program that a signal has ended has not failed: it is written, or run, by the next call.
fn whole(exit: Exit) -> Result<(), Failure> {
    match exit == Exit::Hook && cancel().is_cancelled() {
        true => Err(interrupted("what is to be done behind the certificate is done by the next call")),
        false => Ok(()),
    }
}

fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Hook => 4,
        Exit::Locked => 3,
        Exit::Waiting => 2,
        Exit::Done => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}
